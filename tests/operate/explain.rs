//! Why something is listed: the answer a client gets, the line that says so, and what stands behind it.

use std::{
    net::IpAddr,
    process::Command,
    time::{Duration, SystemTime},
};

use serde_json::Value;

use super::{
    live::{Live, Place, now_s},
    support::message::reversed,
};

/// `dnsbld WORDS...`, what it prints on standard output and error, and its exit code.
pub(crate) fn dnsbld(words: &[&str]) -> (String, String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_dnsbld")).args(words).output().expect("the program starts");
    let text = |octets: Vec<u8>| String::from_utf8(octets).expect("UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code().expect("an exit code"))
}

fn place() -> Place {
    let place = Place::new();
    place.drop_file(
        "bl.example.ip4set",
        "$TTL 2h\n:2:listed, see $\n192.0.2.0/24\n!192.0.2.9\n192.0.2.7 :3:by itself @ until=4102444800\n",
    );
    place.drop_file("bl.example.ip6trie", ":4:six\n2001:db8::/32\n");
    place.drop_file("names.example.dnset.gz", super::live::gzip(":5:bad\n.spam.example\n!good.spam.example\n"));
    place
}

/// The lines of one zone in an explanation: number, file name's end, effect.
fn lines(zone: &Value) -> Vec<(u64, String, String)> {
    let lines = zone["lines"].as_array().expect("lines").iter();
    let word = |value: &Value| value.as_str().expect("a text").to_owned();
    lines.map(|line| (line["line"].as_u64().expect("a number"), word(&line["file"]), word(&line["effect"]))).collect()
}

/// Asks a running server and the files themselves: both must say the same.
fn explain(live: &Live, place: &Place, words: &[&str]) -> Vec<Value> {
    let (is_well, said) = live.tell(&[&["explain", "--json"], words].concat());
    assert!(is_well, "{said}");
    let of_server: Value = serde_json::from_str(&said).expect("JSON");
    let zones = place.zones().display().to_string();
    let (said, errors, code) = dnsbld(&[&["explain", "--json", "--from", &zones], words].concat());
    assert_eq!(code, 0, "{errors}");
    let of_files: Value = serde_json::from_str(&said).expect("JSON");
    let without_time = |mut answer: Value| {
        for listing in answer["zones"]
            .as_array_mut()
            .expect("zones")
            .iter_mut()
            .flat_map(|zone| zone["listings"].as_array_mut().expect("listings"))
        {
            listing["remaining_s"] = Value::Null;
        }
        answer
    };
    assert_eq!(without_time(of_server.clone()), without_time(of_files));
    of_server["zones"].as_array().cloned().expect("zones")
}

#[test]
fn the_name_of_a_query_stands_for_what_it_asks() {
    let place = place();
    let live = Live::start(&place, &[]);
    let codes = |key: &str| {
        let zones = explain(&live, &place, &[key]);
        zones.iter().map(|zone| zone["listings"][0]["address"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(codes("7.2.0.192.BL.example"), [Some("127.0.0.3".to_owned()), None]);
    assert_eq!(codes("9.2.0.192.bl.example."), [None, None], "excluded");
    assert_eq!(codes("www.spam.example.names.example"), [None, Some("127.0.0.5".to_owned())]);
    assert_eq!(codes("2.0.192.bl.example"), [None, None], "no address");
    place.drop_file(
        "zen.example.combined",
        "$DATASET ip4set sbl @\n:2:sbl\n127.0.0.2\n$DATASET ip4set xbl xbl\n:4:xbl\n127.0.0.4\n",
    );
    let (is_well, said) = live.tell(&["reload"]);
    assert!(is_well, "{said}");
    let (_, said) = live.tell(&["explain", "4.0.0.127.xbl.zen.example"]);
    assert!(said.contains("xbl.zen.example: listed as 127.0.0.4"), "{said}");
}

#[test]
fn a_zone_that_is_not_loaded_hides_no_other() {
    let place = place();
    place.drop_file("broken.example.ip4set.gz", b"\x1f\x8b");
    let live = Live::start(&place, &[]);
    let (is_well, said) = live.tell(&["explain", "192.0.2.7"]);
    assert!(is_well, "{said}");
    assert!(said.contains("bl.example: listed as 127.0.0.3"), "{said}");
    assert!(said.contains("broken.example: not loaded, answers SERVFAIL"), "{said}");
}

#[test]
fn a_list_that_has_ended_is_what_excludes_all() {
    let place = place();
    place.drop_file("bl.example.retired", "@ TXT ended\n");
    let live = Live::start(&place, &[]);
    let [bl, _] = &explain(&live, &place, &["192.0.2.7"])[..] else { panic!("two zones") };
    assert_eq!(bl["listings"], Value::Array(Vec::new()));
    let label = format!("retired:{}", place.zone("bl.example.retired").display());
    assert_eq!(bl["excluded_by"], serde_json::json!([{ "dataset": label }]));
    let effects: Vec<String> = lines(bl).into_iter().map(|(_, _, effect)| effect).collect();
    assert_eq!(effects, ["behind"; 2]);
    let (_, said) = live.tell(&["explain", "192.0.2.7"]);
    assert!(said.contains(&format!("bl.example: not listed, excluded by {label}")), "{said}");
    let (is_well, said) = live.tell(&["status"]);
    assert!(is_well && said.contains("bl.example: 1 entry, retired: it lists nothing\n"), "{said}");
    let (is_well, said) = live.tell(&["list", "bl.example", "192.0.2.8"]);
    assert!(!is_well && said.contains("zone bl.example is retired and lists nothing"), "{said}");
}

#[test]
fn the_answer_the_line_and_what_stands_behind() {
    let place = place();
    let live = Live::start(&place, &[]);
    let [bl, names] = &explain(&live, &place, &["192.0.2.7"])[..] else { panic!("two zones") };
    assert_eq!((&bl["zone"], &names["zone"]), (&"bl.example".into(), &"names.example".into()));
    assert_eq!(names["listings"], Value::Array(Vec::new()));
    let listing = &bl["listings"][0];
    assert_eq!((&listing["address"], &listing["text"]), (&"127.0.0.3".into(), &"by itself".into()));
    assert_eq!((&listing["ttl_s"], &listing["until"]), (&7_200.into(), &"2100-01-01T00:00:00Z".into()));
    let file = place.zone("bl.example.ip4set").display().to_string();
    let expected = |rows: &[(u64, &str)]| -> Vec<(u64, String, String)> {
        rows.iter().map(|(line, effect)| (*line, file.clone(), (*effect).to_owned())).collect()
    };
    assert_eq!(lines(bl), expected(&[(5, "decides"), (3, "behind")]));

    let excluded = &explain(&live, &place, &["192.0.2.9", "bl.example"])[0];
    assert_eq!(excluded["listings"], Value::Array(Vec::new()));
    assert_eq!(lines(excluded), expected(&[(4, "decides"), (3, "behind")]));
    assert_eq!(excluded["lines"][0]["excludes"], true);

    let name = &explain(&live, &place, &["www.spam.example", "names.example"])[0];
    assert_eq!((&name["listings"][0]["address"], lines(name)[0].0), (&"127.0.0.5".into(), 2));
    let six = &explain(&live, &place, &["2001:db8::1", "bl.example"])[0];
    assert_eq!((&six["listings"][0]["text"], lines(six)[0].0), (&"six".into(), 2));
}

/// An IPv6 address may stand for an IPv4 one too: what is explained is what is answered, whoever says it.
#[test]
fn addresses_of_both_families_are_explained_as_they_are_answered() {
    let place = Place::new();
    place.drop_file("bl.example.ip4set", ":2:four\n192.0.2.0/24\n!192.0.2.7\n");
    place.drop_file("bl.example.ip6trie", ":3:six\n::ffff:0:0/96\n2002:c000:200::/40\n2001:db8::/32\n");
    let live = Live::start(&place, &[]);
    let expect = |address: &str, expected: &str, lines: usize| {
        let name = reversed(address.parse::<IpAddr>().expect("an address"));
        let answered = live.ask(&format!("{name}.bl.example")).replace("NXDOMAIN", "");
        let explained = &explain(&live, &place, &[address])[0];
        let listings = explained["listings"].as_array().expect("listings").iter();
        let last =
            |listing: &Value| listing["address"].as_str().and_then(|text| text.rsplit('.').next()).map(str::to_owned);
        let listed: Vec<String> = listings.filter_map(last).collect();
        assert_eq!((&*answered, &*listed.join(" ")), (expected, expected), "{address}: {explained}");
        assert_eq!(explained["lines"].as_array().map(Vec::len), Some(lines), "{address}: {explained}");
    };
    expect("8.8.8.8", "", 0);
    expect("192.0.2.9", "2", 1);
    expect("::ffff:8.8.8.8", "3", 1);
    expect("::ffff:192.0.2.9", "2 3", 2);
    expect("::ffff:192.0.2.7", "3", 3);
    expect("2002:c000:209::1", "2 3", 2);
    expect("2002:c000:207::1", "3", 3);
    expect("2002:808:808::1", "", 0);
    expect("2001:db8::1", "3", 1);
    // What is said by command counts for both as well, but only a server knows of it.
    for (words, key, answered, excluded) in [
        (&["bl.example", "8.8.8.8"][..], "::ffff:8.8.8.8", "2 3", 0),
        (&["--exclude", "bl.example", "192.0.2.9"], "2002:c000:209::1", "NXDOMAIN", 1),
    ] {
        assert!(live.tell(&[&["list"], words].concat()).0);
        let (_, said) = live.tell(&["explain", "--json", key]);
        let explained: Value = serde_json::from_str(&said).expect("JSON");
        let zone = &explained["zones"][0];
        let count = |field: &str| zone[field].as_array().map(Vec::len);
        assert_eq!(count("listings"), Some(answered.split(' ').filter(|word| *word != "NXDOMAIN").count()), "{said}");
        assert_eq!(count("excluded_by"), Some(excluded), "{said}");
    }
    assert_eq!(live.ask(&format!("{}.f.f.f.f{}.bl.example", "8.0.8.0.8.0.8.0", ".0".repeat(20))), "2 3");
    assert_eq!(live.ask(&format!("1{}.9.0.2.0.0.0.0.c.2.0.0.2.bl.example", ".0".repeat(19))), "NXDOMAIN");
}

/// What is excluded by command silences the lines of the files: none of them decides.
#[test]
fn a_line_behind_a_live_exclusion_would_list() {
    let place = place();
    let live = Live::start(&place, &[]);
    let ask = || live.tell(&["explain", "192.0.2.7", "bl.example"]).1;
    assert!(ask().contains("bl.example.ip4set:5: lists it"), "{}", ask());
    assert!(live.tell(&["list", "--exclude", "bl.example", "192.0.0.0/16"]).0);
    let said = ask();
    assert!(said.starts_with("bl.example: not listed, excluded by command: 192.0.0.0/16"), "{said}");
    for words in ["bl.example.ip4set:5: behind that, would list it", "bl.example.ip4set:3: behind that, would list it"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// Lines are those of the file as it is, and answers those of the version before: whoever asks is told so.
#[test]
fn what_was_refused_is_told() {
    let place = place();
    let live = Live::start(&place, &[]);
    place.drop_file("bl.example.ip4set", "198.51.100.1\n127.0.0.1\n");
    live.await_words("127.0.0.1/32, which must never be listed");
    let (_, said) = live.tell(&["explain", "192.0.2.8", "bl.example"]);
    assert!(
        said.contains("listed as 127.0.0.2 by ") && said.contains("until a newer version of its file is taken"),
        "{said}"
    );
    let trouble = "bl.example.ip4set: refused: it lists addresses of 127.0.0.1/32, which must never be listed";
    assert!(said.contains(trouble) && said.contains("answers are of the last good version"), "{said}");
    assert!(!said.contains("taken out of its file") && !said.contains("ip4set:3: lists it"), "{said}");
    let (_, said) = live.tell(&["explain", "2001:db8::1", "bl.example"]);
    assert!(said.contains("until it is taken out of its file"), "another file of the zone is as it was: {said}");
    let (_, said) = live.tell(&["explain", "good.spam.example", "names.example"]);
    assert!(!said.contains("refused"), "another zone: {said}");
}

/// The only listing in an explanation.
fn listing(said: &str) -> Value {
    let answer: Value = serde_json::from_str(said).expect("JSON");
    answer["zones"][0]["listings"][0].clone()
}

#[test]
fn the_time_that_is_left_is_the_time_until_the_end() {
    const LEFT_S: u64 = 5_000;
    let until_s = now_s() + LEFT_S;
    let place = Place::new();
    // The TTL is longer than what is left, so what is left is the TTL.
    place.drop_file("bl.example.ip4set", format!("$TTL 2h\n192.0.2.7 @ until={until_s}\n192.0.2.8\n"));
    place.drop_file("bl.example.ip6trie", format!("$TTL 2h\n2001:db8::/32 @ until={until_s}\n2001:db9::/32\n"));
    place.drop_file("bl.example.dnset", format!("$TTL 2h\n.spam.example @ until={until_s}\nham.example\n"));
    let live = Live::start(&place, &[]);
    let zones = place.zones().display().to_string();
    let ask = |key: &str| {
        let before_s = now_s();
        let (is_well, of_server) = live.tell(&["explain", "--json", key]);
        assert!(is_well, "{of_server}");
        let (of_files, errors, code) = dnsbld(&["explain", "--json", "--from", &zones, key]);
        assert_eq!(code, 0, "{errors}");
        // Whoever answered did so in one of these seconds.
        ([of_server, of_files], until_s - now_s()..=until_s - before_s)
    };
    let until = humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(until_s)).to_string();
    for pause in [Duration::ZERO, Duration::from_millis(1_100)] {
        // It counts from when it is asked for, not from when it was loaded.
        std::thread::sleep(pause);
        for key in ["192.0.2.7", "2001:db8::1", "www.spam.example"] {
            let (said, possible) = ask(key);
            for listing in said.map(|said| listing(&said)) {
                let left_s = listing["remaining_s"].as_u64().unwrap_or_else(|| panic!("no time: {listing}"));
                assert!(possible.contains(&left_s), "not in {possible:?}: {listing}");
                assert_eq!((&listing["ttl_s"], &listing["until"]), (&left_s.into(), &until.as_str().into()));
            }
            assert!(possible.end() + pause.as_secs() <= LEFT_S);
        }
    }
    for key in ["192.0.2.8", "2001:db9::1", "ham.example"] {
        for listing in ask(key).0.map(|said| listing(&said)) {
            assert!(listing["address"].is_string(), "{key}: {listing}");
            assert_eq!((&listing["until"], &listing["remaining_s"]), (&Value::Null, &Value::Null), "it has no end");
        }
    }
}

/// What a subzone says, and what it hides of its own file and not of others: what is explained is what is answered.
#[test]
fn subzones_are_explained_as_they_are_answered() {
    let place = Place::new();
    place.drop_file("bl.example.dnset", ":2:file\nfoo.s\n*.wild.s\n");
    place.drop_file(
        "bl.example.combined",
        "$DATASET dnset s\n:3:subzone\nother\n$DATASET ip4set 2.1\n:4:numbers\n10.0.0.9\n",
    );
    place.drop_file("bl.example.ip4set", ":5:address\n1.2.3.4\n");
    place.drop_file(
        "c.example.combined",
        "$DATASET dnset:a @\n:2:zone\nx.s\n*.w.s\n$DATASET dnset:e s\n:3:subzone\ny\n$DATASET ip4set:f t\n:4:hosts\n1.2.3.4\n",
    );
    place.drop_file("z.c.example.dnset", ":9:zone of its own\nq\n");
    place.drop_file("c.example.dnset", ":6:other file\nq.z\n");
    let live = Live::start(&place, &[]);
    let expect = |zone: &str, key: &str, expected: &str, rows: &[u64]| {
        let name = key.parse::<IpAddr>().map_or_else(|_| key.to_owned(), reversed);
        let answered = live.ask(&format!("{name}.{zone}")).replace("NXDOMAIN", "");
        let zones = explain(&live, &place, &[key, zone]);
        let explained = zones.iter().find(|told| told["zone"] == zone).unwrap_or_else(|| panic!("{zone}: {zones:?}"));
        let listings = explained["listings"].as_array().expect("listings").iter();
        let listed: Vec<_> = listings.filter_map(|listing| listing["address"].as_str()?.rsplit('.').next()).collect();
        assert_eq!((&*answered, &*listed.join(" ")), (expected, expected), "{key}: {explained}");
        let numbers: Vec<u64> = lines(explained).into_iter().map(|(number, _, _)| number).collect();
        assert_eq!(numbers, rows, "{key}: {explained}");
    };
    expect("bl.example", "foo.s", "2", &[2]);
    expect("bl.example", "a.wild.s", "2", &[3]);
    expect("bl.example", "other.s", "3", &[3]);
    expect("s.bl.example", "foo", "2", &[2]);
    expect("s.bl.example", "a.wild", "2", &[3]);
    expect("s.bl.example", "other", "3", &[3]);
    expect("s.bl.example", "foo.s", "", &[]);
    expect("2.1.bl.example", "10.0.0.9", "4", &[6]);
    expect("bl.example", "1.2.3.4", "5", &[2]);
    expect("c.example", "x.s", "", &[]);
    expect("c.example", "q.w.s", "", &[]);
    expect("c.example", "y.s", "3", &[7]);
    expect("c.example", "1.2.3.4", "", &[]);
    expect("t.c.example", "1.2.3.4", "4", &[10]);
    expect("z.c.example", "q", "9", &[2]);
    for (name, words) in [
        ("foo.s.bl.example", "s.bl.example: listed as 127.0.0.2 by dnset:"),
        ("x.s.c.example", "s.c.example: not listed\n"),
        ("q.z.c.example", "z.c.example: listed as 127.0.0.9 by dnset:"),
        ("y.s.c.example", "s.c.example: listed as 127.0.0.3 by combined:"),
    ] {
        let (_, said) = live.tell(&["explain", name]);
        assert!(said.contains(words), "{name}: {said}");
        assert_eq!(said.matches(": listed as ").count(), usize::from(live.ask(name) != "NXDOMAIN"), "{name}: {said}");
    }
    // What is excluded by command is excluded in subzones, too, however it is seen there.
    for key in ["*.wild", "other"] {
        assert!(live.tell(&["list", "--exclude", "bl.example", key]).0);
    }
    for name in ["a.wild.s.bl.example", "other.s.bl.example"] {
        let (_, said) = live.tell(&["explain", name]);
        assert!(["NXDOMAIN", "NOERROR"].contains(&&*live.ask(name)), "{name}");
        assert!(
            said.contains("s.bl.example: not listed, excluded by command: ") && !said.contains("listed as"),
            "{said}"
        );
    }
}

/// Whatever says how long something is listed, from the end of the zone's data on nothing is.
#[test]
fn the_end_of_the_zone_comes_first() {
    let end_s = now_s() + 100;
    let end = humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(end_s)).to_string();
    let stamp = end.trim_end_matches('Z').replace(['-', 'T'], ":");
    let place = Place::new();
    place
        .drop_file("bl.example.ip4set", format!("$TIMESTAMP 0 {stamp}\n192.0.2.1\n192.0.2.2 @ until={}\n", end_s - 50));
    let live = Live::start(&place, &[]);
    assert!(live.tell(&["list", "bl.example", "192.0.2.3", "--for", "1h"]).0);
    let words =
        format!("but the zone's data end first, at {end}, by their $TIMESTAMP: from then on it answers SERVFAIL");
    for (key, most_s, is_first) in [("192.0.2.1", 101, true), ("192.0.2.2", 50, false), ("192.0.2.3", 101, true)] {
        let (_, said) = live.tell(&["explain", key]);
        assert_eq!(said.contains(&words), is_first, "{said}");
        let (_, said) = live.tell(&["explain", "--json", key]);
        let told: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(told["zones"][0]["ends_s"], end_s, "{said}");
        let ttl_s = listing(&said)["ttl_s"].as_u64().expect("a TTL");
        assert!((most_s - 40..=most_s).contains(&ttl_s), "{said}");
    }
}

#[test]
fn people_can_read_it() {
    let place = place();
    let zones = place.zones().display().to_string();
    let (said, _, _) = dnsbld(&["explain", "--from", &zones, "192.0.2.7", "bl.example"]);
    assert!(said.contains("bl.example: listed as 127.0.0.3 by ip4set:"), "{said}");
    assert!(
        said.contains("bl.example.ip4set:5: lists it until 2100-01-01T00:00:00Z: 192.0.2.7 :3:by itself"),
        "{said}"
    );
    assert!(said.contains("bl.example.ip4set:3: behind that, would list it: 192.0.2.0/24"), "{said}");
    let (said, _, _) = dnsbld(&["explain", "--from", &zones, "192.0.2.9", "bl.example"]);
    assert!(said.contains("not listed, excluded by ip4set:") && said.contains(":4: excludes it: !192.0.2.9"), "{said}");
}

/// More lines than anyone reads are not shown, which is said.
#[test]
fn what_is_left_out_is_told() {
    let place = Place::new();
    for (count, is_left_out) in [(10, false), (1_100, true)] {
        let line = |number| format!("192.0.2.{}-255 :2:x{number}\n", number % 9);
        place.drop_file("bl.example.ip4set", (0..count).map(line).collect::<Vec<_>>().concat());
        let file = place.zone("bl.example.ip4set").display().to_string();
        let (said, errors, _) = dnsbld(&["explain", "--from", &place.zones().display().to_string(), "192.0.2.9"]);
        let note = format!("ip4set:{file}: its first 1000 lines about it are shown, and there may be more");
        assert_eq!(said.contains(&note), is_left_out, "{said}{errors}");
        assert_eq!(said.matches(&format!("{file}:")).count() - usize::from(is_left_out), count.min(1_000), "{errors}");
    }
}

/// A zone file is taken by its name, as `diff` takes it.
#[test]
fn a_file_by_itself() {
    let place = place();
    let file = place.zone("bl.example.ip6trie").display().to_string();
    let (said, errors, _) = dnsbld(&["explain", "--from", &file, "2001:db8::1"]);
    assert!(said.starts_with("bl.example: listed as 127.0.0.4"), "{said}{errors}");
    let (said, errors, code) = dnsbld(&["check", &file]);
    assert!(code == 0 && said.contains("zone bl.example: 1 entry in 1 dataset,"), "{said}{errors}");
    let (said, errors, code) = dnsbld(&["dump", &file]);
    assert!(code == 0 && said.contains("$ORIGIN\tbl.example."), "{said}{errors}");
    let odd = place.at("hosts").display().to_string();
    std::fs::write(&odd, "192.0.2.1\n").expect("written");
    for words in [&["check", &odd][..], &["dump", &odd], &["explain", "192.0.2.1", "--from", &odd]] {
        let (_, errors, code) = dnsbld(words);
        assert!(code == 1 && errors.lines().count() == 1, "{errors}");
        assert!(errors.contains("hosts: its name is not ZONE.TYPE, as in bl.example.org.ip4set"), "{errors}");
        assert!(errors.trim_end().ends_with("or say what it is: ZONE:TYPE:FILE"), "{errors}");
    }
    let (_, errors, code) = dnsbld(&["check", "deploy/dnsbld.toml"]);
    assert!(code == 1 && errors.contains("behind --config"), "{errors}");
}

/// What cannot be done is said in one line that names what to do.
#[test]
fn bad_input_gets_one_line() {
    let place = place();
    let live = Live::start(&place, &[]);
    let nowhere = place.at("nowhere").display().to_string();
    for (words, expected) in [
        (
            &["explain", "192.0.2.1", "other.example"][..],
            "no zone other.example is served here; there are: bl.example, names.example",
        ),
        (&["explain", "192.0.2.1/24"], "neither an address"),
        (&["reload", "--accept", "other.example"], "no zone other.example is served here"),
    ] {
        let (is_well, said) = live.tell(words);
        assert!(!is_well && said.lines().count() == 1 && said.contains(expected), "{words:?}: {said}");
    }
    for (words, expected) in [
        (&["explain", "192.0.2.1", "--state", &nowhere][..], "no server answers at"),
        (&["explain", "192.0.2.1"], "--state FOLDER"),
        (&["explain", "192.0.2.1", "--from", &nowhere], "no such folder"),
        (&["explain", "192.0.2.1", "--from", "/dev/null"], "/dev/null: neither a folder nor a file named ZONE.TYPE"),
        (&["explain", "192.0.2.1", "--from", "bl.example:ip4set:/nowhere/at/all"], "cannot open /nowhere/at/all"),
    ] {
        let (_, errors, code) = dnsbld(words);
        assert!(code == 1 && errors.lines().count() == 1 && errors.contains(expected), "{words:?}: {errors}");
    }
    for (text, expected) in [
        ("foldr = \"zones\"\n", ":1:1: unknown field `foldr`, expected one of `listen`"),
        ("folder = \"zones\"\nlisten = [\"127.0.0.1\"]\n", ":2:11: invalid socket address syntax: write ADDRESS:PORT"),
        ("folder = \"zones\"\n[reload]\nmin-share = 3\n", ":3:1: `reload.min-share`: must be 0 to 1"),
        ("folder = zones\n", ":1:10: "),
    ] {
        let path = place.at("bad.toml").display().to_string();
        std::fs::write(&path, text).expect("written");
        let (_, errors, code) = dnsbld(&["serve", "--config", &path]);
        assert!(code == 1 && errors.lines().count() == 1 && errors.contains(expected), "{text}: {errors}");
    }
}
