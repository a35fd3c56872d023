//! What a file will change: in addresses and not in lines, against files and against a running server, and as a gate.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{
    explain::dnsbld,
    live::{Live, Place, await_true, long_list},
};

/// Two folders of zones: what there is, and what is to come.
fn places() -> (Place, Place) {
    let (old, new) = (Place::new(), Place::new());
    old.drop_file("bl.example.ip4set", ":2:x\n192.0.2.0/24\n198.51.100.1\n203.0.113.7 :4:y\n");
    old.drop_file("names.example.dnset", ":2:x\n.spam.example\n");
    let hosts: Vec<String> = (0..256).map(|last| format!("192.0.2.{last}")).collect();
    let hosts = hosts.join("\n");
    new.drop_file("bl.example.ip4set", format!(":2:x\n{hosts}\n198.51.100.2\n203.0.113.7\n"));
    new.drop_file("names.example.dnset", ":2:x\nspam.example\n*.spam.example\n");
    (old, new)
}

fn path(place: &Place, file: &str) -> String {
    place.zone(file).display().to_string()
}

fn amounts(zone: &Value) -> [u64; 3] {
    ["listed", "delisted", "changed"].map(|kind| zone[kind]["amounts"]["v4"].as_u64().expect("a number"))
}

#[test]
fn folders_and_files_are_compared_by_address() {
    let (old, new) = places();
    let (old_zones, new_zones) = (old.zones().display().to_string(), new.zones().display().to_string());
    let (said, errors, code) = dnsbld(&["diff", &old_zones, &new_zones]);
    assert_eq!((code, errors.as_str()), (1, ""));
    let expected = "listed:   1 IPv4 address\ndelisted: 1 IPv4 address\nchanged:  1 IPv4 address\naccess:   nothing\n\
        bl.example (before: 258 IPv4 addresses)\n  listed: 1 IPv4 address (0.4%)\n  + 198.51.100.2\n  delisted: 1 IPv4 address \
        (0.4%)\n  - 198.51.100.1\n  changed: 1 IPv4 address (0.4%)\n  ~ 203.0.113.7\n";
    assert_eq!(said, expected);
    // A file is put in its place, or compared with another by what it is said to be.
    let file = path(&new, "bl.example.ip4set");
    for words in
        [&["diff", "--json", &old_zones, &file][..], &["diff", "--json", &path(&old, "bl.example.ip4set"), &file]]
    {
        let (said, _, code) = dnsbld(words);
        let told: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!((code, told["zones"].as_array().map(Vec::len), amounts(&told["zones"][0])), (1, Some(1), [1, 1, 1]));
    }
    let (one, two) = (old.at("yesterday"), new.at("today"));
    fs::copy(old.zone("names.example.dnset"), &one).expect("copied");
    fs::copy(new.zone("names.example.dnset"), &two).expect("copied");
    let words = ["diff", "--as", "names.example:dnset", one.to_str().expect("UTF-8"), two.to_str().expect("UTF-8")];
    let (said, _, code) = dnsbld(&words);
    assert_eq!((said.lines().next(), code), (Some("listed:   nothing"), 0), "{said}");
    let (_, errors, code) = dnsbld(&["diff", one.to_str().expect("UTF-8"), &file]);
    assert!(code == 2 && errors.contains("--as ZONE:TYPE"), "{errors}");
    let (_, errors, code) = dnsbld(&["diff", "--as", "names.example", &file, &file]);
    assert!(code == 2 && errors.contains("--as names.example: expected ZONE:TYPE, as in "), "{errors}");
    // What cannot be told is trouble, and no difference.
    let full = fs::File::options().write(true).open("/dev/full").expect("a device");
    let mut command = Command::new(env!("CARGO_BIN_EXE_dnsbld"));
    let output = command.args(["diff", &old_zones, &old_zones]).stdout(full).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Lines that cannot be read list nothing, which may be all that changes.
#[test]
fn what_is_wrong_with_the_lines_is_told_beside() {
    let (old, new) = (Place::new(), Place::new());
    old.drop_file("bl.example.ip4set", "192.0.2.1\n192.0.2.2\n");
    new.drop_file("bl.example.ip4set", "192.0.2.1\n192.0.2.300\n");
    let (old_zones, new_zones) = (old.zones().display().to_string(), new.zones().display().to_string());
    let file = path(&new, "bl.example.ip4set");
    let expected = [
        format!("{file}:2:1: warning: invalid address `192.0.2.300`: expected an IPv4 address"),
        format!("ip4set:{file}: 1 warning (1 invalid address); `dnsbld check` shows them"),
    ];
    let live = Live::start(&old, &[]);
    let (_, said) = live.tell(&["diff", "running", &file]);
    assert!(expected.iter().all(|start| said.contains(start)), "{said}");
    for to_come in [&new_zones, &file] {
        let (said, errors, code) = dnsbld(&["diff", &old_zones, to_come]);
        assert!(code == 1 && said.contains("delisted: 1 IPv4 address"), "{said}");
        assert_eq!(errors.lines().count(), 2, "{errors}");
        assert!(errors.lines().zip(&expected).all(|(line, start)| line.starts_with(start)), "{errors}");
    }
    let (_, errors, code) = dnsbld(&["diff", &new_zones, &new_zones]);
    assert!(code == 0 && errors.lines().count() == 2, "what both read is told of once: {errors}");
}

#[test]
fn a_drop_is_held_against_a_running_server() {
    let (old, new) = places();
    let live = Live::start(&old, &[]);
    let file = path(&new, "bl.example.ip4set");
    let (_, said) = live.tell(&["diff", "--json", "running", &file]);
    let told: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((amounts(&told["zones"][0]), told["zones"].as_array().map(Vec::len)), ([1, 1, 1], Some(1)), "{said}");
    let (is_same, said) = live.tell(&["diff", "running", &path(&old, "bl.example.ip4set")]);
    assert!(is_same, "{said}");
    // The gate: as it is, too much by number, too much by share.
    let folder = new.zones().display().to_string();
    let state = old.state().display().to_string();
    for (words, expected) in [
        (&["--max-delisted", "1"][..], 0),
        (&["--max-delisted", "0"], 3),
        (&["--max-changed", "0.1%"], 3),
        (&["--max-changed", "0.5%"], 0),
    ] {
        let (said, errors, code) =
            dnsbld(&[&["check", &folder, "--against", "running", "--state", &state][..], words].concat());
        assert_eq!(code, expected, "{words:?}: {said}{errors}");
        assert_eq!(said.contains("bl.example: too much: 1 IPv4 address (0.4%)"), expected == 3, "{said}");
    }
    let empty = tempfile::tempdir().expect("a folder");
    let empty = empty.path().display().to_string();
    let (is_well, said) = live.tell(&["diff", "running", &empty]);
    assert!(!is_well && said.contains(&format!("nothing to compare: no file in {empty} is named ZONE.TYPE")), "{said}");
    let (_, errors, code) = dnsbld(&["check", &folder, "--against", "running", "--max-delisted", "lots"]);
    assert!(code == 2 && errors.contains("neither a number"), "{errors}");
    // A file that cannot be loaded is no drop.
    fs::write(new.zone("bl.example.ip4set.gz"), b"\x1f\x8b broken").expect("written");
    let (is_well, said) = live.tell(&["diff", "running", &path(&new, "bl.example.ip4set.gz")]);
    assert!(!is_well && said.contains("cannot be unpacked"), "{said}");
    assert_eq!(live.ask("1.100.51.198.bl.example"), "2", "nothing has changed by asking");
}

#[test]
fn a_folder_of_many_files_is_held_against_a_running_server() {
    let (old, new) = places();
    let live = Live::start(&old, &[]);
    let name = "a-zone-with-quite-a-long-name.example-of-a-blocklist.example";
    for number in 0..700 {
        new.drop_file(&format!("{number}.{name}.ip4set"), "192.0.2.1\n");
    }
    let folder = new.zones().display().to_string();
    let (is_same, said) = live.tell(&["diff", "running", &folder]);
    assert!(!is_same && said.contains(&format!("\n699.{name} (before: nothing)\n")), "{said}");
}

/// `check ... | head -1` in a script with `pipefail`: what nobody reads decides all the same.
#[test]
fn the_gate_stays_shut_when_nobody_reads_to_the_end() {
    let (old, new) = places();
    let live = Live::start(&old, &[]);
    // It answers only when nobody reads any more.
    live.send(Signal::SIGSTOP);
    let file = path(&new, "bl.example.ip4set");
    let mut command = live.command(&["check", &file, "--against", "running", "--max-delisted", "0"]);
    let mut checking = command.stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut said = BufReader::new(checking.stdout.take().expect("its output"));
    said.read_line(&mut String::new()).expect("what was found is told first");
    drop(said);
    live.send(Signal::SIGCONT);
    assert_eq!(checking.wait().expect("it ends").code(), Some(3));
}

/// What several files take from a zone together is what counts, and each is no zone of its own.
#[test]
fn several_files_are_dropped_together() {
    let (old, new) = (Place::new(), Place::new());
    let hosts = |range: std::ops::Range<u8>| range.map(|last| format!("192.0.2.{last}\n")).collect::<Vec<_>>().concat();
    old.drop_file("bl.example.ip4set.one", hosts(0..50));
    old.drop_file("bl.example.ip4set.two", hosts(50..100));
    new.drop_file("bl.example.ip4set.one", hosts(9..50));
    new.drop_file("bl.example.ip4set.two", hosts(59..100));
    let live = Live::start(&old, &[]);
    let [one, two] = ["bl.example.ip4set.one", "bl.example.ip4set.two"].map(|file| path(&new, file));
    let (zones, state) = (old.zones().display().to_string(), old.state().display().to_string());
    let config = new.at("main.conf");
    fs::write(&config, "folder = \"zones\"\n").expect("written");
    let config = config.display().to_string();
    let specs = [&one, &two].map(|file| format!("bl.example:ip4set:{file}"));
    for against in [&*zones, "running"] {
        for named in [&[&*one, &two][..], &[&specs[0], &specs[1]], &["--config", &config]] {
            let check = |most: &str| {
                let words = ["check", "--json", "--against", against, "--state", &state, "--max-delisted", most];
                dnsbld(&[&words, named].concat())
            };
            let (said, errors, code) = check("17%");
            let told: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}{errors}"));
            let zones = told["difference"].as_array().unwrap_or_else(|| panic!("{named:?}: {said}{errors}"));
            assert_eq!((zones.len(), amounts(&zones[0])), (1, [0, 18, 0]), "{against} {named:?}: {said}");
            assert_eq!((code, check("18%").2), (3, 0), "{against} {named:?}: {said}");
        }
    }
    drop(live);
    // Without a server there is no comparison, and what was found is told all the same.
    let (said, errors, code) = dnsbld(&["check", &one, "--against", "running", "--state", &state]);
    assert!(code == 1 && said.contains("bl.example: 41 entries") && errors.contains("no server answers at"), "{said}");
    let (said, errors, code) = dnsbld(&["check", &one, "--json", "--against", "running", "--state", &state]);
    let told: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    let why = told["not_compared"].as_str().expect("a reason");
    assert!(code == 1 && why.starts_with("not compared with running: no server") && errors.contains(why), "{said}");
    let (said, _, code) = dnsbld(&["check", &one, "--strict", "--against", &zones]);
    assert!(code == 1 && said.contains(&format!("not compared with {zones}: mend what is wrong here first")), "{said}");
}

/// The listings of a zone may stay what they are, and nobody get them, or everybody others.
#[test]
fn who_may_ask_is_compared_too() {
    let (old, new) = (Place::new(), Place::new());
    for place in [&old, &new] {
        place.drop_file("bl.example.ip4set", "127.0.0.2\n");
        place.drop_file("other.example.ip4set", "127.0.0.2\n");
    }
    old.drop_file("bl.example.acl", "127.0.0.1 :refuse\n");
    new.drop_file("bl.example.acl", "0/0 :9:everybody listed\n");
    let [old_zones, new_zones] = [&old, &new].map(|place| place.zones().display().to_string());
    let state = old.state().display().to_string();
    let _live = Live::start(&old, &[]);
    let file = path(&new, "bl.example.acl");
    let nothing = "listed:   nothing\ndelisted: nothing\nchanged:  nothing\n";
    let of_zone = "bl.example (before: 1 IPv4 address)\n  clients that find everything listed: 4294967296 IPv4 addresses \
        (100.0%)\n  @ 0.0.0.0/0\n";
    let expected = format!("{nothing}access:   changes in 1 zone\n{of_zone}");
    for words in [[&*old_zones, &*new_zones], [&old_zones, &file], ["running", &new_zones], ["running", &file]] {
        let (said, errors, code) = dnsbld(&[&["diff", "--state", &state][..], &words].concat());
        assert_eq!((code, &*said), (1, &*expected), "{words:?}: {errors}");
    }
    let too_much = "bl.example: too much: clients at 4294967296 IPv4 addresses (100.0%) dealt with otherwise by access \
        lists, at most ";
    for against in [&*old_zones, "running"] {
        for (words, expected) in [
            (&[][..], 3),
            (&["--max-access", "4294967295"], 3),
            (&["--max-access", "99.9%"], 3),
            (&["--max-access", "4294967296"], 0),
            (&["--max-access", "100%"], 0),
        ] {
            let words = [&["check", &new_zones, "--against", against, "--state", &state][..], words].concat();
            let (said, errors, code) = dnsbld(&words);
            assert_eq!((code, said.contains(too_much)), (expected, expected == 3), "{words:?}: {said}{errors}");
        }
    }
    let (said, ..) = dnsbld(&["check", &new_zones, "--json", "--against", &old_zones]);
    let told: Value = serde_json::from_str(&said).expect("JSON");
    let access = &told["difference"][0]["access"];
    assert_eq!(access["all_listed"]["amounts"]["v4"], 1_u64 << 32, "{said}");
    assert_eq!((&access["keys"], &access["share"]), (&0.into(), &1.0.into()), "{said}");
    assert_eq!(told["too_much"].as_array().map(Vec::len), Some(1), "{said}");

    // Keys are secrets, and counted only.
    new.drop_file("bl.example.acl", "127.0.0.1 :refuse\n");
    new.drop_file("bl.example.aclkey", ":pass\nsecretkey :pass\n");
    let (said, _, code) = dnsbld(&["diff", &old_zones, &new_zones]);
    assert_eq!(code, 1, "{said}");
    let of_zone = "bl.example (before: 1 IPv4 address)\n  access keys: 1\n";
    assert_eq!(said, format!("{nothing}access:   changes in 1 zone\n{of_zone}"));
    let (said, ..) = dnsbld(&["check", &new_zones, "--against", &old_zones]);
    assert!(said.contains("bl.example: too much: 1 access key (100.0%) dealt with otherwise"), "{said}");
}

/// An access list of all zones is of those, too, that nothing is dropped for; and one alone is no zone.
#[test]
fn an_access_list_of_all_zones_is_compared_for_all() {
    let (old, new) = (Place::new(), Place::new());
    for zone in ["bl.example", "other.example"] {
        old.drop_file(&format!("{zone}.ip4set"), "127.0.0.2\n");
    }
    old.drop_file("@.acl", "192.0.2.1 :refuse\n");
    new.drop_file("@.acl", "192.0.2.0/31 :refuse\n");
    let state = old.state().display().to_string();
    let [old_zones, new_zones] = [&old, &new].map(|place| place.zones().display().to_string());
    let live = Live::start(&old, &[]);
    let file = path(&new, "@.acl");
    for words in [[&*old_zones, &*file], ["running", &file], ["running", &new_zones]] {
        let (said, errors, code) = dnsbld(&[&["diff", "--state", &state][..], &words].concat());
        assert_eq!((code, &*errors), (1, ""), "{words:?}");
        assert!(said.contains("\naccess:   changes in 2 zones\n"), "{words:?}: {said}");
        let told = "other.example (before: 1 IPv4 address)\n  clients refused: 1 IPv4 address (0.0%)\n  @ 192.0.2.0\n";
        assert!(said.ends_with(told), "{words:?}: {said}");
    }
    let (said, errors, code) = dnsbld(&["diff", &path(&old, "@.acl"), &file]);
    assert!(code == 2 && errors.contains("nothing to compare: access lists alone are no zone"), "{said}{errors}");
    // One whose name has a slip lets in whom it is to keep out.
    new.drop_file("b1.example.acl", "192.0.2.1 :refuse\n");
    let (_, said) = live.tell(&["diff", "running", &path(&new, "b1.example.acl")]);
    assert!(said.contains("b1.example.acl: no file here has data for zone b1.example: is that its name?"), "{said}");
}

/// What the option takes is taken of both sides.
#[test]
fn prefixes_with_host_bits_are_compared_as_they_are_taken() {
    let place = Place::new();
    place.drop_file("bl.example.ip4set", "192.0.2.1/24\n");
    let zones = place.zones().display().to_string();
    for word in [&zones, &path(&place, "bl.example.ip4set")] {
        let (said, _, code) = dnsbld(&["check", word, "--allow-host-bits", "--json", "--against", &zones]);
        let told: Value = serde_json::from_str(&said).expect("JSON");
        let before = &told["difference"][0]["before"]["v4"];
        assert_eq!((code, before, amounts(&told["difference"][0])), (0, &256.into(), [0; 3]), "{said}");
    }
}

/// To compare a large file takes long, and the end does not wait for it.
#[test]
fn a_comparison_that_takes_long_does_not_hold_the_end() {
    let place = Place::new();
    place.drop_file("bl.example.ip4set", "127.0.0.2\n");
    let mut live = Live::start(&place, &[]);
    let large = place.at("large.ip4set.zst");
    fs::write(&large, long_list(4, "")).expect("written");
    let mut command = live.command(&["diff", "running", &format!("bl.example:ip4set:{}", large.display())]);
    let mut asking = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    await_true("it is being read", || live.has_open(&large), || live.log());
    live.send(Signal::SIGTERM);
    assert!(live.await_end(), "{}", live.log());
    assert!(!asking.wait().expect("it ends").success(), "nobody waited until it was answered");
}

#[test]
fn check_tells_machines_what_it_tells_people() {
    let place = Place::new();
    place.drop_file("bl.example.ip4set", "$NS 60 ns.example\n192.0.2.1 @ until=4102444800\n192.0.2.300\n127.0.0.2\n");
    let zones = place.zones().display().to_string();
    let (said, _, code) = dnsbld(&["check", &zones, "--json", "--against", &zones]);
    let told: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!((code, &told["errors"], &told["warnings"]), (0, &0.into(), &2.into()), "{said}");
    assert_eq!((&told["faults"][0]["line"], &told["faults"][0]["column"]), (&3.into(), &1.into()), "{said}");
    assert_eq!(
        (&told["zones"][0]["entries"], &told["zones"][0]["next_expiry_s"]),
        (&2.into(), &4_102_444_800_u64.into())
    );
    assert_eq!(told["difference"][0]["listed"]["amounts"]["v4"], 0);
    place.drop_file("bl.example.dnset.gz", b"\x1f\x8b broken");
    let (said, _, code) = dnsbld(&["check", &zones, "--json"]);
    let told: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &told["errors"], told["failures"].as_array().map(Vec::len)), (1, &1.into(), Some(1)), "{said}");
}
