//! Each rule, end to end: a reload that breaks it changes nothing, says so in the log, the status and the metrics, and is taken
//! when an operator accepts it.

use std::{
    fs,
    net::UdpSocket,
    time::{Duration, SystemTime},
};

use super::{
    live::{Live, PATIENCE, PROMPT, Place, await_true, gzip, hosts, notes},
    support::{
        daemon::{Daemon, dnsbld},
        message::Query,
    },
};

const SOA: &str = "$SOA 600 ns.example h.example 1 600 300 86400 120\n";

/// A file that breaks one rule.
struct Broken {
    /// The word of the rule.
    reason: &'static str,
    good: String,
    bad: String,
    /// A name that only the broken data list, with its answer.
    shows: (&'static str, &'static str),
}

fn rules() -> Vec<Broken> {
    let rule = |reason, good: &str, broken: &str, shows| Broken {
        reason,
        good: good.to_owned(),
        bad: broken.to_owned(),
        shows,
    };
    let bad_lines = "not an address\n".repeat(20);
    vec![
        rule("collapsed", &hosts(2_000, 2), &hosts(10, 3), ("1.0.0.10", "3")),
        rule("world", "127.0.0.2\n", "64/8 :3:\n0/1 :3:\n!127.0.0.1\n", ("1.0.0.10", "3")),
        rule("never_listed", "127.0.0.2\n", "127.0.0.0/24 :3:\n", ("9.0.0.127", "3")),
        rule("cut_short", "127.0.0.2\n", "127.0.0.2\n10.0.0.1 :3", ("1.0.0.10", "3")),
        rule("lost_soa", &format!("{SOA}127.0.0.2\n"), "127.0.0.2\n10.0.0.1 :3:\n", ("1.0.0.10", "3")),
        rule("bad_lines", "127.0.0.2\n", &format!("{bad_lines}10.0.0.1 :3:\n"), ("1.0.0.10", "3")),
        rule("expired", "127.0.0.2\n", "$TIMESTAMP 2020:01:01 2020:02:01\n10.0.0.1\n", ("1.0.0.10", "SERVFAIL")),
    ]
}

fn zone(rule: &Broken) -> String {
    format!("{}.example", rule.reason.replace('_', "-"))
}

/// The last line of a zone in the log is what is served of it.
#[test]
fn what_is_refused_is_not_told_of_as_what_went_live() {
    let place = Place::new();
    let files = ["one.example.ip4set", "two.example.ip4set"];
    for file in files {
        place.drop_file(file, "127.0.0.2\n");
    }
    let live = Live::start(&place, &["--check", "1d"]);
    for (file, text) in files.iter().zip(["127.0.0.2\n127.0.0", "127.0.0.2 :3:\n"]) {
        fs::write(place.at(file), text).expect("written");
    }
    // Both are seen at one look.
    for file in files {
        fs::rename(place.at(file), place.zone(file)).expect("renamed");
    }
    live.await_answer("2.0.0.127.two.example", "3", PROMPT);
    await_true("it is refused", || live.log().contains("ends in the middle of a line"), || live.log());
    let told = |zone: &str| live.log().matches(&format!("INFO zone {zone}: ")).count();
    assert_eq!((told("one.example"), told("two.example")), (1, 2), "{}", live.log());
}

#[test]
fn each_rule_refuses_and_can_be_overruled() {
    let place = Place::new();
    let rules = rules();
    for rule in &rules {
        place.drop_file(&format!("{}.ip4set", zone(rule)), &rule.good);
    }
    let live = Live::start(&place, &[]);
    assert!(live.tell(&["status"]).0, "{}", live.status());
    for rule in &rules {
        place.drop_file(&format!("{}.ip4set", zone(rule)), &rule.bad);
    }
    for rule in &rules {
        let (zone, reason) = (zone(rule), rule.reason);
        let name = format!("{}.{zone}", rule.shows.0);
        let file = format!("{zone}.ip4set: refused: ");
        await_true(&file, || live.status().contains(&file), || live.log());
        let before = live.ask(&name);
        assert_ne!(before, rule.shows.1, "{reason}: it is live");
        let metrics = live.metrics();
        let counted = format!("dnsbld_zone_load_failed_total{{zone=\"{zone}\",reason=\"{reason}\"}} 1\n");
        assert!(metrics.contains(&counted), "{counted}{metrics}");
        assert!(metrics.contains(&format!("dnsbld_zone_troubles{{zone=\"{zone}\"}} 1\n")), "{metrics}");
        // The message holds the command that helps.
        let command = format!("--accept {zone}");
        assert!(live.log().contains(&command), "{command}: {}", live.log());
        assert!(live.tell(&["reload"]).1.contains("dnsbld reload --accept ZONE takes what is refused"), "{reason}");
        let (_, said) = live.tell(&["reload", "--accept", &zone]);
        assert!(said.contains("1 dataset read") && !said.contains(&file), "{said}");
        assert_eq!(live.ask(&name), rule.shows.1, "{reason}: it was accepted");
        let metrics = live.metrics();
        assert!(metrics.contains(&format!("dnsbld_zone_troubles{{zone=\"{zone}\"}} 0\n")), "{metrics}");
        let loaded = format!("dnsbld_zone_loaded_timestamp_seconds{{zone=\"{zone}\"}} 1");
        assert!(metrics.contains(&loaded), "{metrics}");
    }
    // All are served as they are; what has expired answers SERVFAIL, and is told of for as long as it does, and so is what must
    // never be listed, once the server has tested itself.
    let is_as_accepted = |(is_well, said): (bool, String)| {
        let is_tested = |line: &str| line.starts_with("never-listed.example: SELF-TEST FAILS");
        let told: Vec<&str> = said
            .lines()
            .filter(|line| !line.ends_with(" entries") && !line.ends_with(" entry") && !is_tested(line))
            .collect();
        !is_well && matches!(told[..], [line] if line.starts_with("expired.example: 1 entry, but its data expired at"))
    };
    assert!(is_as_accepted(live.tell(&["status"])), "{}", live.status());
    for rule in &rules {
        place.await_kept(&format!("{}.ip4set", zone(rule)));
    }
    drop(live);
    // What was accepted stays accepted.
    let live = Live::start(&place, &[]);
    assert!(is_as_accepted(live.tell(&["status"])), "{}\n{}", live.status(), live.log());
    for rule in &rules {
        assert_eq!(live.ask(&format!("{}.{}", rule.shows.0, zone(rule))), rule.shows.1, "{}", rule.reason);
    }
}

#[test]
fn what_the_operator_names_and_the_zones_own_servers_are_not_listed() {
    let place = Place::new();
    let head = "$SOA 600 ns.bl.example h.bl.example 1 600 300 86400 120\n$NS 600 ns.bl.example\n";
    let rules = "[reload]\nnever-list = [\"203.0.113.0/24\"]\nmin-share = 0.9\nfloor = 10\n";
    place.drop_file("bl.example.ip4set", format!("{head}{}", hosts(20, 2)));
    place.drop_file("bl.example.generic", "ns A 192.0.2.53\n");
    let live = Live::configured(&place, &format!("folder = \"zones\"\nstate = \"state\"\n{rules}"));
    for (text, why, reason) in [
        (
            hosts(20, 3) + "203.0.113.77\n",
            "it lists addresses of 203.0.113.0/24, which must never be listed",
            "never_listed",
        ),
        (hosts(20, 3) + "192.0.2.0/24\n", "it lists 192.0.2.53, a name server of its own zone", "own_server"),
        (hosts(17, 3), "17 entries where there were 20", "collapsed"),
    ] {
        place.drop_file("bl.example.ip4set", format!("{head}{text}"));
        await_true(why, || live.status().contains(why), || live.log());
        assert_eq!(live.ask("1.0.0.10.bl.example"), "2");
        let counted = format!("dnsbld_zone_load_failed_total{{zone=\"bl.example\",reason=\"{reason}\"}} 1\n");
        assert!(live.metrics().contains(&counted), "{counted}{}", live.metrics());
    }
    place.drop_file("bl.example.ip4set", format!("{head}{}", hosts(18, 4)));
    live.await_answer("1.0.0.10.bl.example", "4", PROMPT);
    assert!(live.tell(&["status"]).0);
}

/// Who comes from rbldnsd has no rules for data, and is served half an access list at a start as there. A slip of the pen in one that
/// is in force opens nothing.
#[test]
fn an_access_list_that_breaks_stays_closed_for_rbldnsd_too() {
    const REFUSED: u8 = 5;
    let place = Place::new();
    place.drop_file("hosts", "127.0.0.2\n");
    place.drop_file("clients", "0/0 :refuse\n");
    let mut rbldnsd = dnsbld();
    let place_of = |name: &str| place.zone(name).display().to_string();
    let specs = [format!("bl.example:ip4set:{}", place_of("hosts")), format!("bl.example:acl:{}", place_of("clients"))];
    rbldnsd.args(["rbldnsd", "-n", "-c", "1s", "-b", "127.0.0.1/0"]).args(specs);
    let server = Daemon::start(rbldnsd);
    let rcode = || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
        socket.send_to(&Query::new("2.0.0.127.bl.example", 1).octets(), server.address()).expect("sent");
        let mut reply = [0; 512];
        socket.recv(&mut reply).expect("a reply");
        reply[3] & 0xf
    };
    assert_eq!(rcode(), REFUSED);
    for (broken, why) in [
        ("0/0 :refse\n127.0.0.9 :pass\n", "1 line is bad in this access list"),
        ("", "no entries where there were 1"),
        ("0/0 refuse\n1.2.3.4 ignore\n", "2 lines are bad in this access list"),
    ] {
        place.drop_file("clients", broken);
        await_true(why, || server.said().contains(&format!("refused: {why}")), || server.said());
        assert_eq!(rcode(), REFUSED, "{broken}: {}", server.said());
    }
    place.drop_file("clients", "0/0 :pass\n");
    await_true("it is open", || rcode() == 0, || server.said());
}

#[test]
fn the_access_list_for_all_zones_is_accepted_by_its_name() {
    let place = Place::new();
    place.drop_file("bl.example.ip4set", "127.0.0.2\n");
    place.drop_file("@.acl", "0/0 :refuse\n");
    let live = Live::start(&place, &[]);
    assert_eq!(live.ask("2.0.0.127.bl.example"), "REFUSED");
    place.drop_file("@.acl", "<html>\n");
    live.await_words("--accept @");
    assert_eq!(live.ask("2.0.0.127.bl.example"), "REFUSED");
    assert!(live.status().contains("refused: 1 line is bad in this access list"), "{}", live.status());
    let (is_well, said) = live.tell(&["reload", "--accept", "@"]);
    assert!(is_well, "{said}");
    assert_eq!(live.ask("2.0.0.127.bl.example"), "2");
}

#[test]
fn of_several_access_lists_each_counts() {
    let place = Place::new();
    place.drop_file("bl.example.ip4set", "127.0.0.2\n");
    place.drop_file("bl.example.acl", "127.0.0.1 :refuse\n");
    place.drop_file("bl.example.acl.2026-11-30", "127.0.0.7 :refuse\n");
    let live = Live::start(&place, &[]);
    assert_eq!(live.ask("2.0.0.127.bl.example"), "REFUSED", "the dated one hides nothing");
    place.drop_file("bl.example.acl", "127.0.0.1 :pass\n");
    live.await_answer("2.0.0.127.bl.example", "2", Duration::from_secs(10));
    place.drop_file("@.acl", "127.0.0.7 :pass\n");
    place.drop_file("@.acl.office", "127.0.0.1 :refuse\n");
    live.await_answer("2.0.0.127.bl.example", "REFUSED", Duration::from_secs(10));
    place.drop_file("@.acl.a", "127.0.0.1 :pass\n");
    place.drop_file("@.acl.office", "127.0.0.1 :pass\n");
    live.await_answer("2.0.0.127.bl.example", "2", Duration::from_secs(10));
}

#[test]
fn a_key_of_any_list_opens_a_zone() {
    let place = Place::new();
    place.drop_file("bl.example.ip4set", "127.0.0.2\n");
    place.drop_file("bl.example.aclkey", ":refuse\nfirst :pass\n");
    place.drop_file("bl.example.aclkey.more", ":refuse\nsecond :pass\n");
    let live = Live::start(&place, &[]);
    for (name, answer) in [
        ("2.0.0.127.bl.example", "REFUSED"),
        ("2.0.0.127.first.bl.example", "2"),
        ("2.0.0.127.second.bl.example", "2"),
        ("2.0.0.127.third.bl.example", "REFUSED"),
    ] {
        assert_eq!(live.ask(name), answer, "{name}");
    }
}

#[test]
fn an_access_list_that_is_not_mounted_yet_opens_nothing() {
    let place = Place::new();
    place.drop_file("bl.example.ip4set", "127.0.0.2\n");
    place.drop_file("other.example.ip4set", "127.0.0.2\n");
    let [far, mounted] = ["far", "mounted"].map(|name| place.at(name));
    fs::create_dir(&far).expect("made");
    fs::write(far.join("clients"), "127.0.0.1 :pass\n").expect("written");
    std::os::unix::fs::symlink(mounted.join("clients"), place.zone("bl.example.acl")).expect("linked");
    let live = Live::start(&place, &[]);
    assert_eq!(live.ask("2.0.0.127.bl.example"), "SERVFAIL");
    assert_eq!(live.ask("2.0.0.127.other.example"), "2");
    assert!(live.status().contains("bl.example.acl"), "{}", live.status());
    fs::rename(far, mounted).expect("mounted");
    live.tell(&["reload"]);
    assert_eq!(live.ask("2.0.0.127.bl.example"), "2");
}

#[test]
fn several_zones_are_accepted_at_once() {
    let place = Place::new();
    let zones = ["one.example", "two.example", "three.example"];
    let drop = |value| zones.iter().for_each(|zone| place.drop_file(&format!("{zone}.ip4set"), value));
    drop("127.0.0.2\n");
    let live = Live::start(&place, &[]);
    drop("127.0.0.0/24 :3:\n");
    for zone in zones {
        live.await_words(&format!("--accept {zone}"));
    }
    live.tell(&["reload", "--accept", zones[0], "--accept", zones[1]]);
    assert_eq!(zones.map(|zone| live.ask(&format!("9.0.0.127.{zone}"))), ["3", "3", "NXDOMAIN"]);
}

#[test]
fn what_cannot_be_loaded_cannot_be_accepted() {
    let place = Place::new();
    place.drop_file("bl.example.ip4set.gz", gzip(&hosts(3_000, 2)));
    place.drop_file("future.example.ip4set", "127.0.0.2\n");
    let live = Live::start(&place, &[]);
    let packed = gzip(&hosts(3_000, 3));
    place.drop_file("bl.example.ip4set.gz", &packed[..packed.len() - 9]);
    live.await_words("cannot be unpacked");
    assert!(!live.tell(&["reload", "--accept", "bl.example"]).0);
    assert_eq!(live.ask("1.0.0.10.bl.example"), "2");
    let metrics = live.metrics();
    assert!(metrics.contains(r#"dnsbld_zone_load_failed_total{zone="bl.example",reason="unpack"}"#), "{metrics}");
    place.drop_file("bl.example.ip4set.gz", &packed);
    live.await_answer("1.0.0.10.bl.example", "3", PROMPT);

    place.drop_file("future.example.ip4set", "$TIMESTAMP 2037:01:01 2037:02:01\n127.0.0.2 :9:\n");
    live.await_words("in the future");
    let metrics = live.metrics();
    assert!(metrics.contains(r#"dnsbld_zone_load_failed_total{zone="future.example",reason="future"} 1"#), "{metrics}");
    assert!(!live.tell(&["reload", "--accept", "future.example"]).0);
    assert_eq!(live.ask("2.0.0.127.future.example"), "2");
    place.drop_file("future.example.ip4set", "127.0.0.2 :9:\n");
    live.await_answer("2.0.0.127.future.example", "9", PROMPT);
    assert!(live.tell(&["status"]).0, "{}", live.status());
}

#[test]
fn zstd_files_are_replaced_unasked_and_one_cut_short_is_not_taken() {
    const FILE: &str = "bl.example.ip4set.zst";
    const NAME: &str = "1.0.0.10.bl.example";
    let pack = |value| zstd::encode_all(hosts(3_000, value).as_bytes(), 3).expect("packed");
    let place = Place::new();
    place.drop_file(FILE, pack(2));
    let live = Live::start(&place, &["--check", "1d"]); // what is live sooner, the kernel told of
    assert_eq!(live.ask(NAME), "2");
    place.drop_file(FILE, pack(3));
    live.await_answer(NAME, "3", PROMPT);

    let whole = pack(4);
    let mut failures = 0;
    // Without its last octets, without its second half, and with nothing but its first words.
    for len in [whole.len() - 3, whole.len() / 2, 12] {
        place.drop_file(FILE, &whole[..len]);
        failures += 1;
        let counted = format!("dnsbld_zone_load_failed_total{{zone=\"bl.example\",reason=\"unpack\"}} {failures}\n");
        await_true(&counted, || live.metrics().contains(&counted), || live.log());
        assert!(live.status().contains("cannot be unpacked"), "{}", live.status());
        assert!(!live.tell(&["reload", "--accept", "bl.example"]).0, "there is nothing to accept");
        failures += 1; // it was tried once more
        assert_eq!(live.ask(NAME), "3");
    }
    place.drop_file(FILE, &whole);
    live.await_answer(NAME, "4", PROMPT);
    assert!(live.tell(&["status"]).0, "{}", live.status());
}

#[test]
fn a_list_that_runs_out_by_itself_has_not_collapsed() {
    const COUNT: u32 = 12_000;
    let place = Place::new();
    let ends = SystemTime::now() + Duration::from_secs(4);
    let ends_s = ends.duration_since(SystemTime::UNIX_EPOCH).expect("later").as_secs();
    let notes = notes(COUNT, ends_s);
    let text = format!("$LIFETIME 1s\n:2:\n{notes}192.0.2.1 {ends_s} @ lifetime=1h\n");
    place.drop_file("virbl.example.ip4seen", &text);
    let live = Live::start(&place, &["--check", "1s"]);
    assert_eq!(live.ask("1.0.0.10.virbl.example"), "2");
    assert!(live.status().contains("virbl.example: 12001 entries"), "{}", live.status());
    let (_, said) = live.tell(&["explain", "10.0.0.1"]);
    assert!(said.contains("until 20") && said.contains("from now"), "{said}");
    live.await_answer("1.0.0.10.virbl.example", "NXDOMAIN", PATIENCE);
    live.await_words("12000 entries that were over are given back");
    await_true("one is left", || live.status().contains("virbl.example: 1 entry"), || live.log());
    assert!(live.tell(&["status"]).0);
    assert!(live.metrics().contains("dnsbld_zone_expired_entries_total{zone=\"virbl.example\"} 12000\n"));
    assert_eq!(live.ask("1.2.0.192.virbl.example"), "2");
    // Another drop of the same notes, and a start with them.
    place.drop_file("virbl.example.ip4seen", format!("{text}192.0.2.2 {ends_s} @ lifetime=1h\n"));
    live.await_answer("2.2.0.192.virbl.example", "2", PROMPT);
    drop(live);
    let live = Live::start(&place, &[]);
    assert!(live.tell(&["status"]).0, "{}", live.status());
    assert_eq!(live.ask("2.2.0.192.virbl.example"), "2");
}
