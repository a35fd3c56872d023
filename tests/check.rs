//! `dnsbld check`: what it reports, and when it fails.

use std::{fs, io::Write as _, process::Command};

/// Writes files into a folder, checks it, and returns the exit code with what was printed.
fn check(files: &[(&str, &str)], options: &[&str]) -> (i32, String) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("written");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_dnsbld"))
        .current_dir(folder.path())
        .arg("check")
        .args(options)
        .arg(".")
        .output()
        .expect("runs");
    (output.status.code().expect("no signal"), String::from_utf8_lossy(&output.stdout).into_owned())
}

const HEAD: &str = "$SOA 1h ns.example.org host.example.org 0 1h 1h 1d 5m\n$NS 1h ns.example.org\n";

#[test]
fn a_good_list_passes_in_every_way() {
    let v4 = format!("{HEAD}127.0.0.2\n!127.0.0.1\n192.0.2.0/24 :3:text\n");
    let v6 = format!("{HEAD}::ffff:7f00:2\n2001:db8::/32\n");
    let names = format!("{HEAD}test\nexample.com\n");
    let files = [("a.example.ip4set", &*v4), ("b.example.ip6trie", &*v6), ("c.example.dnset", &*names)];
    let (code, said) = check(&files, &["--strict"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.ends_with("3 zones, 0 errors, 0 warnings\n"), "{said}");
}

/// A subzone answers for all names in it, and nothing else of its file.
#[test]
fn names_that_a_subzone_hides_are_warned_of() {
    let text = format!(
        "{HEAD}$DATASET dnset:a @\ntest\nx.s\n*.w.s\n*.up\n$DATASET dnset:e s s.up\ny\n$DATASET generic:g @\nhost.s A 192.0.2.1\n"
    );
    let files = [("a.example.combined", &*text), ("a.example.dnset", "foo.s\n")];
    let (code, said) = check(&files, &[]);
    let warnings: Vec<&str> = said.lines().filter(|line| line.contains("never answered")).collect();
    let [names, records] = &*warnings else { panic!("{said}") };
    assert!(
        names.contains(":a: 2 names are never answered, such as ") && names.contains(".s: it is in a subzone"),
        "{said}"
    );
    assert!(
        code == 0 && records.contains(":g: 1 name is never answered, such as host.s: it is in a subzone"),
        "{said}"
    );
}

/// As a shell's `<(...)` does it.
#[test]
fn what_comes_through_a_pipe_is_checked() {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writeln!(writer, "{HEAD}127.0.0.2\n192.0.2.0/24").expect("written");
    drop(writer);
    let mut command = Command::new(env!("CARGO_BIN_EXE_dnsbld"));
    let output = command.args(["check", "a.example:ip4set:/dev/stdin"]).stdin(reader).output().expect("runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("zone a.example: 2 entries"), "{said}");
}

#[test]
fn a_bad_line_is_shown_with_its_place_and_fails_only_the_strict() {
    let text = format!("{HEAD}127.0.0.2\n192.0.2.256 :2:x\n");
    let (code, said) = check(&[("a.example.ip4set", &text)], &[]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("a.example.ip4set:4:1: warning: invalid address `192.0.2.256 :2:x`: expected an IPv4"),
        "{said}"
    );
    assert_eq!(check(&[("a.example.ip4set", &text)], &["--strict"]).0, 1);
}

#[test]
fn what_cannot_be_loaded_fails() {
    let (code, said) = check(&[("a.example.ip4set", "$TIMESTAMP 2037:01:01\n127.0.0.2\n")], &[]);
    assert!(
        code == 1 && said.contains("in the future") && said.contains("not all of its datasets are loaded"),
        "{said}"
    );
    let (code, said) = check(&[("notes.txt", "127.0.0.2\n")], &[]);
    assert!(code == 1 && said.contains("nothing to serve"), "{said}");
}

/// Whoever mends a list sees what there is to mend.
#[test]
fn every_fault_is_shown() {
    let bad = (0..300).fold(String::new(), |lines, number| lines + &format!("192.0.2.256 :2:{number}\n"));
    let text = format!("{HEAD}127.0.0.2\n{}{bad}", "192.0.2.7\n".repeat(3_000));
    let mut files = vec![("a.example.ip4set".to_owned(), text)];
    files.extend((0..8).map(|number| (format!("{number}.example.ip4sett"), String::new())));
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    let (_, said) = check(&files, &[]);
    assert_eq!(said.matches("invalid address `192.0.2.256").count(), 300, "{said}");
    assert_eq!(said.matches("ip4sett is no type").count(), 8, "{said}");
    let (_, said) = check(&files, &["--json"]);
    let told: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let faults = told["faults"].as_array().expect("faults");
    assert_eq!((faults.len(), &told["faults_left_out"]), (300, &0.into()));
    assert_eq!(faults[299]["line"], 3_303);
    // And not a million of them.
    let text = format!("{HEAD}127.0.0.2\n{}", "192.0.2.256\n".repeat(10_003));
    let (_, said) = check(&[("a.example.ip4set", &text)], &[]);
    assert_eq!(said.matches("invalid address `").count(), 10_000);
    assert!(said.contains("ip4set:./a.example.ip4set: 3 more of these\n"), "{}", &said[said.len() - 2_000..]);
}

/// Whoever drops a file chooses its name.
#[test]
fn a_name_forges_no_line() {
    let (_, said) = check(&[("a.example.ip4set", HEAD), ("b\nz.example.ip4set: error: \u{1b}[31mlost", "")], &[]);
    assert!(said.contains("b\\nz.example.ip4set: error: \\u{1b}[31mlost: warning: not served"), "{said}");
    assert!(!said.contains("\nz.example") && !said.contains('\u{1b}'), "{said}");
}

/// A gate in a cron job takes nothing that the server would not.
#[test]
fn what_a_reload_would_refuse_is_told_and_fails_the_strict() {
    let bad = "not an address\n".repeat(11);
    for (name, entries, words) in [
        ("ip4set", "192.0.2.1\n192.0.2", "a.example.ip4set ends in the middle of a line"),
        ("ip4trie", "0/0\n!127.0.0.1\n", "it lists 100 % of all addresses"),
        ("ip4set", "127.0.0.1\n", "it lists addresses of 127.0.0.1/32, which must never be listed"),
        ("ip4set", &bad, "11 of 14 lines are bad"),
        ("ip4set", "$TIMESTAMP 2020:01:01 +1h\n", "the data have expired already"),
    ] {
        let (file, text) = (format!("a.example.{name}"), format!("{HEAD}127.0.0.2\n{entries}"));
        let (_, said) = check(&[(&file, &text)], &[]);
        let line = format!("{file}: warning: a reload would refuse this: ");
        assert!(said.lines().any(|one| one.contains(&line) && one.contains(words)), "{words}: {said}");
        assert_eq!(check(&[(&file, &text)], &["--strict"]).0, 1, "{said}");
        assert!(!said.contains("no warnings"), "{said}");
    }
    let servers = ("example.org.generic", "ns A 192.0.2.53\n");
    let text = format!("{HEAD}127.0.0.2\n192.0.2.0/24\n");
    let (code, said) = check(&[servers, ("a.example.ip4set", &text)], &[]);
    assert!(code == 0 && said.contains("refuse this: it lists 192.0.2.53, a name server of its own zone"), "{said}");
    // What the configuration says of the rules holds here as well.
    let folder = tempfile::tempdir().expect("a folder");
    let (zones, config) = (folder.path().join("zones"), folder.path().join("dnsbld.toml"));
    fs::create_dir(&zones).expect("a folder");
    fs::write(zones.join("a.example.ip4trie"), format!("{HEAD}127.0.0.2\n0/0\n!127.0.0.1\n")).expect("written");
    let text = format!("folder = {zones:?}\n[reload]\nmax-address-share = 1.0\n");
    fs::write(&config, text).expect("written");
    let output =
        Command::new(env!("CARGO_BIN_EXE_dnsbld")).args(["check", "--strict", "--config"]).arg(&config).output();
    let output = output.expect("runs");
    assert!(output.status.success(), "{output:?}");
}

/// A lifetime that is lost lists for ever, so the warning says so.
#[test]
fn a_broken_lifetime_says_what_holds_instead() {
    for (entries, words) in [
        ("192.0.2.1 @ lifetime=5x\n", "5m or 2h; without it, the entry has no end but one by $LIFETIME or `until`"),
        ("192.0.2.1 @ until=soon\n", "18:00:00Z; without it, the entry has no end but one by $LIFETIME or `lifetime`"),
        ("$LIFETIME 1x\n", "2h or 1d; without it, the entries after it have no end"),
        (
            "$LIFETIME 1h\n$LIFETIME 1x\n",
            "2h or 1d; without it, the entries after it end by the $LIFETIME before, 3600 s",
        ),
    ] {
        let (_, said) = check(&[("a.example.ip4set", &format!("{HEAD}127.0.0.2\n{entries}"))], &[]);
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// Nobody misses it before the file is as old as the lifetime.
#[test]
fn a_test_entry_that_ends_is_told() {
    let v4 = "127.0.0.2\n!127.0.0.1\n";
    for (file, text, ending) in [
        ("a.example.ip4set", format!("$LIFETIME 1h\n{v4}"), Some("127.0.0.2, ::FFFF:7F00:2")),
        ("a.example.ip4set", format!("{v4}$LIFETIME 1h\n192.0.2.1\n"), None),
        ("a.example.ip4set", "$LIFETIME 1h\n127.0.0.2 @ lifetime=0\n".to_owned(), None),
        ("a.example.ip6trie", "::ffff:7f00:2 @ until=2100-01-01T00:00:00Z\n".to_owned(), Some("::FFFF:7F00:2")),
        ("a.example.dnset", "$LIFETIME 1h\ntest\n".to_owned(), Some("TEST")),
        // All of it ends with these data, and the next have a test entry as well.
        ("a.example.ip4set", format!("$TIMESTAMP 2026:01:01 +30000d\n{v4}"), None),
    ] {
        let (code, said) = check(&[(file, &format!("{HEAD}{text}"))], &[]);
        assert_eq!((code, said.contains(" ends by itself: ")), (0, ending.is_some()), "{text}: {said}");
        let words =
            |entry| format!("zone a.example: warning: {entry} ends by itself: RFC 5782 section 5 wants the test");
        assert!(ending.is_none_or(|entry| said.contains(&words(entry))), "{text}: {said}");
    }
}

/// Whoever takes the comment sign away where it stands is not to lose the test entry.
#[test]
fn the_samples_lifetime_leaves_its_test_entries() {
    let sample = include_str!("../zones/virbl.tee.gr.ip4set");
    let text = sample.replace("\n#   $LIFETIME 1h\n", "\n$LIFETIME 1h\n");
    assert_ne!(text, sample);
    let servers = ("virbl.tee.gr.generic", include_str!("../zones/virbl.tee.gr.generic"));
    let (code, said) = check(&[("virbl.tee.gr.ip4set", &text), servers], &["--strict"]);
    assert!(code == 0 && said.contains(" end by themselves, the next at "), "{said}");
}

/// Each of these is served as it stands, and does not what was meant.
#[test]
fn slips_that_are_served_are_told() {
    for (name, entries, words) in [
        (
            "ip4set",
            "192.0.2.1 :2:x @ lifetme=5s\n",
            "4:18: warning: unknown entry parameter `192.0.2.1 :2:x @ lifetme=5s`: expected delay, ts",
        ),
        (
            "ip4set",
            "192.0.2.1 :2:x @ lifetime 5s\n",
            "4:18: warning: unknown entry parameter `192.0.2.1 :2:x @ lifetime 5s`: expected `=` right behind the name",
        ),
        (
            "dnset",
            "</body>\n",
            "4:1: warning: domain name with a character that no host has `</body>`: expected letters",
        ),
        ("dnset", "host:8080\n", "4:5: warning: domain name with a character that no host has"),
    ] {
        let file = format!("a.example.{name}");
        let (code, said) = check(&[(&file, &format!("{HEAD}test\n{entries}"))], &[]);
        assert!(code == 0 && said.contains(&format!("{file}:{words}")), "{words}: {said}");
    }
    for (servers, is_told) in
        [("192.0.2.1", true), ("192.0.2.1.", true), ("http://x", true), ("ns.192.0.2.1.example ns", false)]
    {
        let (_, said) = check(&[("a.example.ip4set", &format!("$NS 1d {servers}\n127.0.0.2\n"))], &[]);
        assert_eq!(said.contains(":1:8: warning: name server that cannot be"), is_told, "{servers}: {said}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("hosts"), format!("{HEAD}127.0.0.2\n")).expect("written");
    fs::write(folder.path().join("clients"), "192.0.2.1 :refuse\n").expect("written");
    let lone = Command::new(env!("CARGO_BIN_EXE_dnsbld"))
        .current_dir(folder.path())
        .args(["check", ":acl:clients", "a.example:ip4set:hosts"])
        .output();
    let said = String::from_utf8(lone.expect("runs").stdout).expect("UTF-8");
    assert!(
        !said.contains("dots without") && said.contains("\nacl:clients: no warnings\n"),
        "no zone is all zones: {said}"
    );
    for (zone, is_told) in [("a..example", true), (".a.example", true), ("a.example.", false), ("a.example", false)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dnsbld"));
        let output = command.current_dir(folder.path()).args(["check", &format!("{zone}:ip4set:hosts")]).output();
        let said = String::from_utf8(output.expect("runs").stdout).expect("UTF-8");
        let words = ":ip4set:hosts: warning: dots without a label between are left out: the zone is a.example\n";
        assert_eq!(said.contains(words), is_told, "{zone}: {said}");
    }
}

/// What is past its end answers SERVFAIL, so nothing is said of test entries; the line is named.
#[test]
fn what_has_expired_fails_by_its_name() {
    let text = format!("{HEAD}$TIMESTAMP 2020:01:01 +1h\n127.0.0.2\n");
    let (code, said) = check(&[("a.example.ip4set", &text)], &[]);
    assert_eq!(code, 1, "{said}");
    for words in [
        "a.example.ip4set:3:12: note: data have expired `$TIMESTAMP 2020:01:01 +1h`: expected an end that is still to come",
        "zone a.example: error: its data expired at 2020-01-01T01:00:00Z by their $TIMESTAMP, and it answers SERVFAIL",
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert!(!said.contains("is not listed"), "{said}");
}

/// It serves nothing, so it says nothing of what is served until something is mended; and each thing once.
#[test]
fn an_error_is_said_once() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.example.ip4set.gz"), b"\x1f\x8b broken").expect("written");
    let run = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_dnsbld")).arg("check").args(words).output().expect("runs");
        [output.stdout, output.stderr].map(|octets| String::from_utf8(octets).expect("UTF-8"))
    };
    let [said, errors] = run(&[folder.path().to_str().expect("UTF-8")]);
    assert_eq!((said.matches("cannot be unpacked").count(), &*errors), (1, ""), "{said}");
    let [help, _] = run(&["--help"]);
    assert!(help.lines().all(|line| line.matches("[default: ").count() <= 1), "{help}");
    assert_eq!(help.matches("[default: 100%]").count(), 2, "{help}");
}

/// RFC 5782 section 5, in both directions and for each kind of key.
#[test]
fn the_test_entries_of_the_rfc() {
    let missing = format!("{HEAD}192.0.2.1\n");
    let (_, said) = check(&[("a.example.ip4set", &missing)], &[]);
    for question in ["127.0.0.2", "::FFFF:7F00:2"] {
        assert!(said.contains(&format!("{question} is not listed: RFC 5782 section 5")), "{said}");
    }
    let world = format!("{HEAD}0/0\n");
    let (_, said) = check(&[("a.example.ip4trie", &world)], &[]);
    for question in ["127.0.0.1", "::FFFF:7F00:1"] {
        assert!(said.contains(&format!("{question} is listed: RFC 5782 section 5")), "{said}");
    }
    let names = format!("{HEAD}.invalid\n");
    let (_, said) = check(&[("a.example.dnset", &names)], &[]);
    assert!(said.contains("TEST is not listed") && said.contains("INVALID is listed"), "{said}");
    let value = format!("{HEAD}127.0.0.2 :10.0.0.1:\n");
    let (_, said) = check(&[("a.example.ip4set", &value)], &[]);
    assert!(said.contains("127.0.0.2 answers 10.0.0.1: RFC 5782 section 2.1"), "{said}");
}

/// What a zone says is tested, not to whom.
#[test]
fn access_lists_are_left_aside() {
    let text = format!("{HEAD}127.0.0.2\n");
    let files = [("a.example.ip4set", &*text), ("a.example.acl", ":refuse\n127.0.0.0/8 :pass\n")];
    let (code, said) = check(&files, &["--strict"]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn zones_without_their_own_records_are_pointed_out() {
    let (_, said) = check(&[("a.example.ip4set", "127.0.0.2\n")], &[]);
    assert!(said.contains("no $SOA") && said.contains("no $NS"), "{said}");
}

/// Whoever follows the delegation asks the zone itself for such an address.
#[test]
fn a_name_server_of_ours_without_an_address_is_pointed_out() {
    let head =
        "$SOA 1h ns1.d.example host.d.example 0 1h 1h 1d 5m\n$NS 1h ns1.d.example NS2.D.example ns.example.org\n";
    let list = format!("{head}127.0.0.2\n");
    let warning = |server: &str| format!("zone d.example: warning: its name server {server} has no address");
    let list = ("d.example.ip4set", &*list);
    let (code, said) = check(&[list], &["--strict"]);
    assert!(
        code == 1 && said.contains(&warning("ns1.d.example")) && said.contains(&warning("NS2.D.example")),
        "{said}"
    );
    assert!(!said.contains(&warning("ns.example.org")), "{said}");
    // One of each family, and a listed name, as rbldnsd has them.
    let records = ("d.example.generic", "ns1 AAAA 2001:db8::53\n");
    let names = ("d.example.dnset", "ns2 :192.0.2.53:\ntest\n");
    let (code, said) = check(&[list, records, names], &["--strict"]);
    assert_eq!(code, 0, "{said}");
    // The zone that holds it is ours, whichever it is.
    let (_, said) = check(&[list, records, names, ("example.org.generic", "www A 192.0.2.80\n")], &[]);
    assert!(said.contains(&warning("ns.example.org")), "{said}");
    // What a list that has ended keeps of its other files counts, and it needs no other if it tells them itself.
    let servers = ("d.example.generic", "ns1 A 192.0.2.53\nns2 A 192.0.2.54\n");
    let (code, said) = check(&[list, servers, ("d.example.retired", "")], &["--strict"]);
    assert!(code == 0 && said.contains("zone d.example: 2 entries in 2 datasets"), "{said}");
    let alone = format!("{head}ns1 A 192.0.2.53\n");
    let (_, said) = check(&[("d.example.retired", &*alone)], &[]);
    assert!(!said.contains(&warning("ns1.d.example")) && said.contains(&warning("NS2.D.example")), "{said}");
}
