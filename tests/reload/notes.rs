//! The scanner's notes: an actual Berkeley DB, dumped by the commands that deploy/virbl.md shows, served, and over in time.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

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

#[test]
fn check_says_what_ends_next() {
    let place = Place::new();
    let soon_s = now_s() + 7_210;
    let text = format!("192.0.2.1 @ until={soon_s}\n192.0.2.2\n192.0.2.3 @ until=2100-01-01T00:00:00Z\n");
    place.drop_file("bl.example.ip4set", text);
    let output = dnsbld().arg("check").arg(place.zones()).output().expect("runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("zone bl.example: 2 listings or exclusions end by themselves, the next at 20"), "{said}");
    assert!(said.contains("Z, 2h "), "{said}");
}
