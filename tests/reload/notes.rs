//! The scanner's notes: an actual Berkeley DB, dumped by the commands that deploy/virbl.md shows, served, and over in time.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::{
    live::{Live, PATIENCE, PROMPT, Place, now_s},
    support::daemon::{dnsbld, program},
};

fn manual() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/virbl.md");
    fs::read_to_string(path).expect("deploy/virbl.md")
}

/// The first block of a language in the manual.
fn block(manual: &str, language: &str) -> String {
    let start = format!("```{language}\n");
    let text = manual.split(&start).nth(1).and_then(|rest| rest.split("```").next());
    text.unwrap_or_else(|| panic!("deploy/virbl.md shows no ```{language} block")).to_owned()
}

/// Notes into the database, as the scanner makes them; a later note replaces an earlier one.
fn note(place: &Place, notes: &[(&str, u64)]) {
    let mut load = Command::new(program("db5.3_load", "db5.3-util"));
    load.args(["-T", "-t", "btree"]).arg(place.at("virbl.db")).stdin(Stdio::piped());
    let mut load = load.spawn().expect("db5.3_load");
    let mut input = load.stdin.take().expect("a pipe");
    for (address, seen_s) in notes {
        writeln!(input, "{address}\n{seen_s}").expect("written");
    }
    drop(input);
    assert!(load.wait().expect("db5.3_load").success());
}

/// Runs the manual's commands.
fn dump(place: &Place) {
    program("db5.3_dump", "db5.3-util");
    let output = Command::new("sh").arg("-c").arg(block(&manual(), "sh")).current_dir(place.at(".")).output();
    let output = output.expect("sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn notes_of_a_berkeley_db_are_served_and_end() {
    let place = Place::new();
    fs::write(place.at("virbl.head"), block(&manual(), "text")).expect("written");
    let seen_s = now_s();
    note(&place, &[("192.0.2.1", seen_s), ("192.0.2.2", seen_s - 3_594), ("192.0.2.3", seen_s - 7_200)]);
    dump(&place);
    let live = Live::start(&place, &[]);
    assert_eq!(live.ask("1.2.0.192.virbl.tee.gr"), "2");
    assert_eq!(live.ask("2.2.0.192.virbl.tee.gr"), "2");
    assert_eq!(live.ask("3.2.0.192.virbl.tee.gr"), "NXDOMAIN", "it was over before");
    assert_eq!(live.ask("2.0.0.127.virbl.tee.gr"), "2");
    assert!(!live.log().contains("warning"), "{}", live.log());
    let (_, said) = live.tell(&["explain", "192.0.2.1"]);
    assert!(said.contains("192.0.2.1 sent a virus") && said.contains("until 20") && said.contains("m "), "{said}");
    live.await_answer("2.2.0.192.virbl.tee.gr", "NXDOMAIN", PATIENCE);
    assert_eq!(live.ask("1.2.0.192.virbl.tee.gr"), "2");

    // It sends another one, and so does somebody new.
    let seen_s = now_s();
    note(&place, &[("192.0.2.2", seen_s), ("192.0.2.4", seen_s)]);
    dump(&place);
    live.await_answer("2.2.0.192.virbl.tee.gr", "2", PROMPT);
    assert_eq!(live.ask("4.2.0.192.virbl.tee.gr"), "2");
    assert!(live.tell(&["status"]).0, "{}", live.status());
}

/// The moment to the second, and how long it is until then, for datasets of every sort; an exclusion ends as a listing does.
#[test]
fn check_says_what_ends_next() {
    const CASES: [(&str, &str); 6] = [
        ("hosts.example.ip4set", "192.0.2.1 @ until={soon}\n192.0.2.2\n192.0.2.3 @ until={late}\n"),
        ("prefixes.example.ip4trie", "192.0.0.0/16\n192.0.2.0/24 @ until={soon}\n192.0.2.8/29 @ until={late}\n"),
        ("excluded.example.ip6trie", "2001:db8::/32 @ until={late}\n!2001:db8:1::/48 @ until={soon}\n"),
        ("names.example.dnset", "one.test @ until={soon}\ntwo.test\n!www.one.test @ until={late}\n"),
        ("below.example.dnset", ".one.test @ until={soon}\n.two.test\nthree.test @ until={late}\n*.three.test\n"),
        (
            "sections.example.combined",
            "$DATASET ip4set hosts\n192.0.2.1 @ until={late}\n\
            $DATASET dnset names\none.test @ until={soon}\n",
        ),
    ];
    let place = Place::new();
    // What is over counts no more.
    let (over_s, soon_s, late_s) = (now_s() - 60, now_s() + 7_210, now_s() + 7_211);
    for (file, text) in CASES {
        let text = text.replace("{soon}", &soon_s.to_string()).replace("{late}", &date(late_s));
        place.drop_file(file, text);
    }
    place.drop_file("over.example.ip4set", format!("192.0.2.1 @ until={over_s}\n192.0.2.2\n"));
    let check = |options: &[&str]| {
        let output = dnsbld().arg("check").args(options).arg(place.zones()).output().expect("runs");
        String::from_utf8(output.stdout).expect("text")
    };
    let began_s = now_s();
    let said = check(&[]);
    let spans: Vec<String> = (began_s..=now_s()).map(|now_s| span(soon_s - now_s)).collect();
    let told: Value = serde_json::from_str(&check(&["--json"])).expect("JSON");
    let of_zone = |zone: &str| {
        &told["zones"].as_array().expect("zones").iter().find(|told| told["zone"] == zone).expect("one")["next_expiry_s"]
    };
    for (file, _) in CASES {
        let zone = file.rsplit_once('.').expect("a type").0;
        let line = |span: &String| {
            let soon = date(soon_s);
            format!("zone {zone}: 2 listings or exclusions end by themselves, the next at {soon}, {span} from now\n")
        };
        assert!(spans.iter().any(|span| said.contains(&line(span))), "{zone} {spans:?}:\n{said}");
        assert_eq!(of_zone(zone), soon_s, "{zone}");
    }
    assert!(!said.contains("zone over.example: 1 listing") && of_zone("over.example").is_null(), "{said}");
}

/// As RFC 3339 writes a second.
fn date(at_s: u64) -> String {
    jiff::Timestamp::from_second(at_s.cast_signed()).expect("a time").to_string()
}

/// Some hours as people write them.
fn span(seconds: u64) -> String {
    let parts = [(seconds / 3_600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let words: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    words.join(" ")
}
