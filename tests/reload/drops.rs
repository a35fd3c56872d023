//! Every way in which a file comes, changes and goes.

use std::{
    fs,
    net::Ipv4Addr,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::{
    live::{Live, PATIENCE, PROMPT, Place, append, gzip, host_name, hosts},
    support::daemon::{Daemon, dnsbld, program},
};

const NAME: &str = "1.0.0.10.bl.example";
const FILE: &str = "bl.example.ip4set";

#[test]
fn files_go_live_however_they_come() {
    let place = Place::new();
    place.drop_file("other.example.ip4set", "127.0.0.2\n");
    let live = Live::start(&place, &[]); // looked at every minute only: what is live sooner, the kernel told of
    let mut slowest = Duration::ZERO;
    let mut expect = |expected: &str, how: &str| {
        let took = live.await_answer(NAME, expected, PROMPT);
        println!("{how}: {took:?}");
        slowest = slowest.max(took);
    };
    let (zone, aside) = (place.zone(FILE), place.at("aside"));
    assert_eq!(live.ask(NAME), "REFUSED");

    fs::write(&zone, hosts(3, 2)).expect("written");
    expect("2", "a new file");
    place.drop_file(FILE, hosts(3, 3));
    expect("3", "replaced by rename");
    fs::write(&zone, hosts(3, 4)).expect("written");
    expect("4", "rewritten in place");
    fs::write(&aside, hosts(3, 5)).expect("written");
    let rsync = Command::new(program("rsync", "rsync")).args(["-t", "--ignore-times"]).args([&aside, &zone]).status();
    assert!(rsync.expect("rsync").success());
    expect("5", "rsynced");
    fs::write(&aside, hosts(3, 6)).expect("written");
    fs::remove_file(&zone).expect("removed");
    fs::hard_link(&aside, &zone).expect("linked");
    expect("6", "hard-linked");
    // The other name of the same file: the kernel says nothing, in this folder.
    fs::write(&aside, hosts(3, 7)).expect("written");
    assert!(live.tell(&["reload"]).0);
    expect("7", "written under its other name, with a command");

    fs::remove_file(&zone).expect("removed");
    place.drop_file("bl.example.ip4set.gz", gzip(&hosts(3, 8)));
    let let_go = || {
        // What is accepted is what was told.
        assert!(live.tell(&["reload"]).1.contains("the file is gone") || live.log().contains("the file is gone"));
        assert!(live.tell(&["reload", "--accept", "bl.example"]).0);
    };
    let_go();
    expect("8", "gzip");
    fs::remove_file(place.zone("bl.example.ip4set.gz")).expect("removed");
    place.drop_file("bl.example.ip4set.zst", zstd::encode_all(hosts(3, 9).as_bytes(), 3).expect("packed"));
    let_go();
    expect("9", "zstd");
    println!("slowest: {slowest:?}");
}

/// `deploy/reload.md`: live within two seconds, unasked. This machine may be busy with others, so it may take some drops until most
/// are in time; of a server that is late itself most never are.
#[test]
fn a_small_file_is_live_within_two_seconds() {
    const PROMISED: Duration = Duration::from_secs(2);
    const DROPS: u8 = 20;
    let place = Place::new();
    place.drop_file(FILE, hosts(3, 2));
    // Looked at once a day: nobody but the kernel can tell that there is something new.
    let live = Live::start(&place, &["--check", "1d"]);
    let mut took = Vec::new();
    for value in 3..3 + DROPS {
        place.drop_file(FILE, hosts(3, value)); // the rename is the last thing it does
        took.push(live.await_answer(NAME, &value.to_string(), PATIENCE));
        let last = took.last_chunk::<5>();
        if last.is_some_and(|last| last.iter().filter(|took| **took < PROMISED).count() >= 4) {
            println!("after {took:?}");
            return;
        }
    }
    panic!("no four of five drops were live within {PROMISED:?}: {took:?}\n{}", live.log());
}

#[test]
fn links_are_followed_when_they_are_switched() {
    let place = Place::new();
    let release = |number: u8| {
        let folder = place.at(&format!("release-{number}"));
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join(FILE), hosts(3, number)).expect("written");
    };
    let switch = |to: &str, link: &Path| {
        let aside = place.at("link.new");
        symlink(to, &aside).expect("a link");
        fs::rename(aside, link).expect("renamed");
    };
    for number in [41, 42, 43] {
        release(number);
    }
    // The file in the folder is a link through a link.
    switch("release-41", &place.at("current"));
    symlink("../current/bl.example.ip4set", place.zone(FILE)).expect("a link");
    let live = Live::start(&place, &[]);
    assert_eq!(live.ask(NAME), "41");
    switch("release-42", &place.at("current"));
    live.await_answer(NAME, "42", PROMPT);
    fs::write(place.at("release-42").join(FILE), hosts(3, 44)).expect("written");
    live.await_answer(NAME, "44", PROMPT);
    drop(live);

    // The folder itself is a link.
    fs::remove_dir_all(place.zones()).expect("removed");
    switch("release-41", &place.zones());
    let live = Live::start(&place, &[]);
    assert_eq!(live.ask(NAME), "41");
    switch("release-43", &place.zones());
    live.await_answer(NAME, "43", PROMPT);
    fs::write(place.at("release-43").join(FILE), hosts(3, 45)).expect("written");
    live.await_answer(NAME, "45", PROMPT);
}

#[test]
fn a_folder_that_appears_later() {
    let place = Place::new();
    place.drop_file(FILE, hosts(3, 2));
    let live = Live::start(&place, &["--check", "1s"]);
    for value in [3, 4] {
        fs::remove_dir_all(place.zones()).expect("removed");
        live.tell(&["reload"]);
        assert_eq!(live.ask(NAME), if value == 3 { "2" } else { "3" }, "what is gone is served on");
        fs::create_dir(place.zones()).expect("a folder");
        place.drop_file(FILE, hosts(3, value));
        live.await_answer(NAME, &value.to_string(), PATIENCE);
    }
    assert!(live.tell(&["status"]).0, "{}", live.status());
}

#[test]
fn a_folder_that_is_not_there_yet() {
    let place = Place::new();
    fs::remove_dir(place.zones()).expect("removed");
    let missing = dnsbld().arg("serve").arg(place.zones()).output().expect("runs");
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no such folder"), "a typing mistake, most likely");
    // A configuration may name one that is mounted later.
    let live = Live::configured(&place, "folder = \"zones\"\nstate = \"state\"\n");
    let folder = place.zones().display().to_string();
    for words in ["the zones folder does not exist, so there is nothing to serve until it does", "no zones yet in "] {
        assert!(live.log().lines().any(|line| line.contains(words) && line.contains(&folder)), "{}", live.log());
    }
    assert!(!live.tell(&["status"]).0 && !live.tell(&["reload"]).0);
    assert!(live.metrics().contains("\ndnsbld_troubled_datasets 1\n"), "{}", live.metrics());
    fs::create_dir(place.zones()).expect("a folder");
    place.drop_file(FILE, hosts(3, 2));
    live.await_answer(NAME, "2", PROMPT);
    assert!(live.tell(&["status"]).0, "{}", live.status());
    drop(live);

    // A name with a typing mistake does not become a folder, not even to keep the state in it.
    let live = Live::configured(&place, "folder = \"zonez\"\n");
    assert!(!place.at("zonez").exists() && live.log().contains("no state folder: it would lie in"), "{}", live.log());
    drop(live);
    // A file is no folder, and nothing was served before.
    fs::write(place.at("zonez"), "").expect("written");
    let live = Live::configured(&place, "folder = \"zonez\"\n");
    let words = "cannot read the zones folder: Not a directory (os error 20); there is nothing to serve until";
    assert!(live.log().contains(words) && !live.log().contains("served on"), "{}", live.log());
}

#[test]
fn a_folder_that_cannot_be_read_any_more_is_in_trouble() {
    let place = Place::new();
    place.drop_file(FILE, hosts(3, 2));
    let live = Live::start(&place, &[]);
    let of_zone = |count: u32| format!("\ndnsbld_zone_troubles{{zone=\"bl.example\"}} {count}\n");
    for _ in 0..2 {
        fs::rename(place.zones(), place.at("aside")).expect("moved");
        let (is_well, said) = live.tell(&["reload"]);
        let words = format!("zones folder {}: cannot be read: No such file", place.zones().display());
        assert!(!is_well && said.contains(&words) && said.contains("served on until"), "{said}");
        let (is_well, said) = live.tell(&["status"]);
        assert!(!is_well && said.contains(&words), "{said}");
        let metrics = live.metrics();
        assert!(metrics.contains(&of_zone(1)) && metrics.contains("\ndnsbld_troubled_datasets 1\n"), "{metrics}");
        assert_eq!(live.ask(NAME), "2");
        fs::rename(place.at("aside"), place.zones()).expect("moved back");
        assert!(live.tell(&["reload"]).0 && live.tell(&["status"]).0, "{}", live.status());
        assert!(live.metrics().contains(&of_zone(0)), "{}", live.metrics());
    }
}

/// As where a file was to be mounted there.
#[test]
fn an_access_list_that_is_a_folder_opens_nothing() {
    let place = Place::new();
    let list = place.zone("bl.example.acl");
    place.drop_file(FILE, hosts(3, 2));
    fs::create_dir(&list).expect("a folder");
    let live = Live::start(&place, &[]);
    assert_eq!(live.ask(NAME), "SERVFAIL");
    assert!(!live.tell(&["status"]).0);
    fs::remove_dir(&list).expect("removed");
    place.drop_file("bl.example.acl", "127.0.0.0/8 :refuse\n");
    live.await_answer(NAME, "REFUSED", PROMPT);
    assert!(live.tell(&["status"]).0, "{}", live.status());
    place.await_kept("bl.example.acl");
    fs::remove_file(&list).expect("removed");
    fs::create_dir(&list).expect("a folder");
    assert!(!live.tell(&["reload"]).0);
    assert_eq!(live.ask(NAME), "REFUSED");
    drop(live);
    let live = Live::start(&place, &[]);
    assert_eq!(live.ask(NAME), "REFUSED");
    assert!(!live.tell(&["status"]).0);
}

/// They are for zones that are named with them, and no file becomes one by itself.
#[test]
fn access_lists_alone_are_no_zone() {
    let place = Place::new();
    fs::write(place.at("clients"), "192.0.2.1 :refuse\n").expect("written");
    let mut serve = dnsbld();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--http", "off", "--state", "off"]);
    serve.arg(format!(":acl:{}", place.at("clients").display()));
    let said = Daemon::start(serve).said();
    assert!(said.contains("no zones: access lists alone are no zone") && !said.contains("as they arrive"), "{said}");
}

#[test]
fn a_burst_of_changes() {
    let place = Place::new();
    place.drop_file(FILE, hosts(3, 2));
    let live = Live::start(&place, &[]);
    for number in 0..200 {
        place.drop_file(&format!("zone-{number}.example.ip4set"), hosts(3, 2));
        place.drop_file(FILE, hosts(3, (number % 100) as u8 + 3));
    }
    live.await_answer(NAME, "102", PROMPT);
    live.await_answer("1.0.0.10.zone-199.example", "2", PROMPT);
    for number in 0..200 {
        assert_eq!(live.ask(&format!("1.0.0.10.zone-{number}.example")), "2");
    }
    assert!(live.tell(&["status"]).0);
}

#[test]
fn a_file_that_is_still_written_does_not_go_live() {
    const TRIES: usize = 10;
    const STEPS: u32 = 60;
    let place = Place::new();
    place.drop_file(FILE, hosts(STEPS, 2));
    let live = Live::start(&place, &["--check", "1s"]);
    'tries: for _ in 0..TRIES {
        place.drop_file(FILE, hosts(STEPS, 2));
        live.await_answer(NAME, "2", PATIENCE);
        fs::write(place.zone(FILE), ":3:\n").expect("begun");
        let mut last = Instant::now();
        for number in 0..STEPS {
            thread::sleep(Duration::from_millis(30)); // the writer's own pace
            append(&place.zone(FILE), &format!("{}\n", Ipv4Addr::from(0x0a00_0001 + number)));
            if last.elapsed() > Duration::from_millis(100) {
                continue 'tries; // this machine is too busy to write evenly: a pause is an end
            }
            last = Instant::now();
            assert_eq!(live.ask(NAME), "2", "half a file is live\n{}", live.log());
        }
        live.await_answer(&host_name(STEPS - 1, "bl.example"), "3", PROMPT);
        return;
    }
    panic!("not once in {TRIES} tries could a file be written evenly");
}

#[test]
fn a_file_that_vanishes_keeps_its_data() {
    let place = Place::new();
    place.drop_file(FILE, hosts(3, 2));
    place.drop_file("other.example.ip4set", "127.0.0.2\n");
    let live = Live::start(&place, &[]);
    fs::rename(place.zone(FILE), place.at("away")).expect("moved");
    live.await_words("the file is gone");
    assert_eq!(live.ask(NAME), "2");
    let counted = r#"dnsbld_zone_load_failed_total{zone="bl.example",reason="missing"} 1"#;
    super::live::await_true(counted, || live.metrics().contains(counted), || live.metrics());
    assert!(live.status().contains("the file is gone"));
    // The very same file comes back.
    fs::rename(place.at("away"), place.zone(FILE)).expect("moved");
    live.await_words("the file is back");
    super::live::await_true("well again", || live.tell(&["status"]).0, || live.status());
    // Another one comes in its place.
    fs::remove_file(place.zone(FILE)).expect("removed");
    super::live::await_true("noticed", || live.status().contains("gone"), || live.log());
    place.drop_file(FILE, hosts(3, 4));
    live.await_answer(NAME, "4", PROMPT);
    assert!(live.tell(&["status"]).0, "{}", live.status());
    // It is to be gone.
    fs::remove_file(place.zone(FILE)).expect("removed");
    super::live::await_true("noticed", || live.status().contains("gone"), || live.log());
    let (is_well, said) = live.tell(&["reload"]);
    assert!(!is_well && said.contains("dnsbld reload --accept ZONE takes what is refused, and lets go of"), "{said}");
    let is_told_of = |family: &str| live.metrics().contains(&format!("dnsbld_zone_{family}{{zone=\"bl.example\""));
    assert!(is_told_of("loaded_timestamp_seconds") && is_told_of("load_duration_seconds"), "{}", live.metrics());
    let (is_well, said) = live.tell(&["reload", "--accept", "bl.example"]);
    let let_go = format!("0 datasets read\nip4set:{}: let go, and served no more\n", place.zone(FILE).display());
    assert!(is_well && said == let_go, "{said}");
    assert_eq!(live.ask(NAME), "REFUSED");
    // Nobody is called because it grows old.
    assert!(!is_told_of("loaded_timestamp_seconds") && !is_told_of("load_duration_seconds"), "{}", live.metrics());
    assert!(is_told_of("load_failed_total"), "{}", live.metrics());
}

#[test]
fn a_zone_that_is_named_is_missed_until_it_comes() {
    let place = Place::new();
    place.drop_file("other.example.ip4set", "127.0.0.2\n");
    let text = "folder = \"zones\"\nstate = \"state\"\n[listings]\nyields-to = [\"bl.example\"]\n";
    let live = Live::configured(&place, text);
    let words = "dnsbld.toml:4:1: `listings.yields-to`: zone bl.example is not served";
    let count = || live.log().matches(words).count();
    assert_eq!(count(), 1, "at the start\n{}", live.log());
    place.drop_file("other.example.ip4set", "127.0.0.2\n127.0.0.3\n");
    live.await_answer("3.0.0.127.other.example", "2", PROMPT);
    assert_eq!(count(), 1, "a change that has nothing to do with it\n{}", live.log());
    live.tell(&["reload"]);
    super::live::await_true("told by command", || count() == 2, || live.log());
    place.drop_file(FILE, hosts(3, 2));
    live.await_answer(NAME, "2", PROMPT);
    live.tell(&["reload"]);
    assert_eq!(count(), 2, "it is there\n{}", live.log());
}

/// Whoever reads the log need not be where the server was started.
#[test]
fn advice_holds_in_every_folder() {
    let place = Place::new();
    place.drop_file(FILE, hosts(3, 2));
    let mut command = dnsbld();
    command.current_dir(place.zones()).env_remove("STATE_DIRECTORY").args(["serve", "."]);
    let live = Live::spawn(command, &place);
    fs::remove_file(place.zone(FILE)).expect("removed");
    let state = place.zones().canonicalize().expect("a folder").join(".dnsbld");
    live.await_words(&format!("dnsbld reload --state {} --accept bl.example", state.display()));
}

#[test]
fn a_new_file_that_is_broken_does_not_take_its_zone_down() {
    let place = Place::new();
    place.drop_file(FILE, hosts(3, 2));
    place.drop_file("other.example.ip4set", "127.0.0.2\n");
    let live = Live::start(&place, &[]);
    place.drop_file("bl.example.ip4set.more.gz", &gzip(&hosts(500, 3))[..200]);
    live.await_words("its zones are served without it");
    place.drop_file("other.example.ip4set", "127.0.0.2\n127.0.0.3 :9:\n");
    live.await_answer("3.0.0.127.other.example", "9", PROMPT);
    assert_eq!(live.ask(NAME), "2");
    assert!(!live.tell(&["status"]).0);
    place.drop_file("bl.example.ip4set.more.gz", gzip(&hosts(500, 3)));
    live.await_answer(NAME, "2 3", PROMPT);
    assert!(live.tell(&["status"]).0);
}

#[test]
fn a_signal_and_a_command_reload_at_once() {
    let place = Place::new();
    place.drop_file(FILE, hosts(3, 2));
    place.drop_file("other.example.ip4set", hosts(3, 2));
    let live = Live::start(&place, &["--check", "0"]);
    place.drop_file(FILE, hosts(3, 3));
    live.send(Signal::SIGHUP);
    println!("HUP: {:?}", live.await_answer(NAME, "3", PROMPT));
    place.drop_file(FILE, hosts(3, 4));
    assert_eq!(live.ask(NAME), "3", "nobody looks unasked");
    let (is_well, said) = live.tell(&["reload"]);
    assert!(is_well && said.contains("1 dataset read"), "only what has changed is read: {said}");
    assert_eq!(live.ask(NAME), "4", "it is over when the command returns");
}

/// Whoever says that all is ready need not wait until it is quiet.
#[test]
fn a_signal_reloads_at_once_what_is_still_written() {
    const EVERY: Duration = Duration::from_millis(50);
    let place = Place::new();
    place.drop_file(FILE, hosts(3, 2));
    let live = Live::start(&place, &[]);
    fs::write(place.zone(FILE), hosts(3, 3)).expect("begun");
    let is_over = AtomicBool::new(false);
    let is_live = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let deadline = Instant::now() + PROMPT;
            while !is_over.load(Ordering::Relaxed) && Instant::now() < deadline {
                append(&place.zone(FILE), "# still written\n");
                thread::sleep(EVERY); // the writer's own pace
            }
        });
        let is_live = || live.ask(NAME) == "3";
        while !is_live() && !writer.is_finished() {
            live.send(Signal::SIGHUP);
            thread::sleep(EVERY * 5); // a change in the middle of the load has it tried again, with the next signal
        }
        let is_in_time = is_live() && !writer.is_finished();
        is_over.store(true, Ordering::Relaxed);
        is_in_time
    });
    assert!(is_live, "not before the writer was done\n{}", live.log());
}

/// To metrics, a file that may not be opened is as missing as one that is not there; the text tells which.
#[test]
fn a_file_that_may_not_be_opened() {
    let place = Place::new();
    place.drop_file(FILE, hosts(3, 2));
    let mut command = dnsbld();
    if nix::unistd::geteuid().is_root() {
        // Root without the right to pass over permissions.
        command = Command::new(program("setpriv", "util-linux"));
        command.args(["--bounding-set", "-dac_override,-dac_read_search", env!("CARGO_BIN_EXE_dnsbld")]);
    }
    command.arg("serve").arg(place.zones()).arg("--state").arg(place.state());
    let live = Live::spawn(command, &place);
    let aside = place.at("aside");
    fs::write(&aside, hosts(3, 3)).expect("written");
    fs::set_permissions(&aside, fs::Permissions::from_mode(0o000)).expect("closed");
    fs::rename(&aside, place.zone(FILE)).expect("renamed");
    live.await_words("bl.example.ip4set: Permission denied");
    assert_eq!(live.ask(NAME), "2", "the data before are served on");
    let counted = r#"dnsbld_zone_load_failed_total{zone="bl.example",reason="missing"} 1"#;
    super::live::await_true(counted, || live.metrics().contains(counted), || live.metrics());
    // It is there, so nobody is told to let it go.
    assert!(live.status().contains("Permission denied") && !live.log().contains("--accept"), "{}", live.log());
    live.tell(&["reload", "--accept", "bl.example"]);
    assert_eq!(live.ask(NAME), "2");
    fs::set_permissions(place.zone(FILE), fs::Permissions::from_mode(0o644)).expect("opened");
    assert!(live.tell(&["reload"]).0);
    assert_eq!(live.ask(NAME), "3");
    assert!(live.tell(&["status"]).0, "{}", live.status());
}

/// Small and large files go live one after the other.
#[test]
fn a_zone_is_told_of_once_when_it_is_loaded() {
    let place = Place::new();
    let drop_both = |value: u8| {
        place.drop_file(FILE, hosts(3, value));
        place.drop_file("large.example.ip4set", hosts(150_000, value));
    };
    drop_both(2);
    // Nobody looks but by command, so that both are found by one look.
    let live = Live::start(&place, &["--check", "0s"]);
    drop_both(3);
    let (is_well, said) = live.tell(&["reload"]);
    assert!(is_well && said.contains('2'), "{said}");
    assert_eq!((live.ask(NAME), live.ask("1.0.0.10.large.example")), ("3".to_owned(), "3".to_owned()));
    for zone in ["bl.example", "large.example"] {
        let told = live.log().matches(&format!("zone {zone}: ")).count();
        assert_eq!(told, 2, "{zone}, at the start and now: {}", live.log());
    }
}

#[test]
fn a_folder_in_the_place_of_a_file_is_told_once() {
    let place = Place::new();
    place.drop_file(FILE, hosts(3, 2));
    let live = Live::start(&place, &["--check", "1d"]);
    fs::remove_file(place.zone(FILE)).expect("removed");
    fs::create_dir(place.zone(FILE)).expect("a folder");
    for _ in 0..4 {
        live.tell(&["reload"]);
    }
    assert_eq!(live.ask(NAME), "2");
    assert_eq!(live.log().matches("the file is gone").count(), 1, "{}", live.log());
    assert!(!live.log().contains("not served"), "{}", live.log());
    // One that was never a file is told as well, and as often.
    fs::create_dir(place.zone("other.example.ip4set")).expect("a folder");
    for _ in 0..4 {
        live.tell(&["reload"]);
    }
    assert_eq!(live.log().matches("not served: it is a folder").count(), 1, "{}", live.log());
    fs::remove_dir(place.zone(FILE)).expect("removed");
    place.drop_file(FILE, hosts(3, 3));
    live.await_answer(NAME, "3", PROMPT);
    assert!(live.tell(&["status"]).0, "{}", live.status());
}

/// Who asks what a file would change is told of it, and nobody else: nothing of it is served.
#[test]
fn a_comparison_leaves_no_line_in_the_log() {
    let place = Place::new();
    place.drop_file(FILE, hosts(3, 2));
    let live = Live::start(&place, &[]);
    let compared = place.at("compared");
    for (kind, octets, told) in [
        ("ip4set", gzip(&hosts(500, 3))[..200].to_vec(), "cannot be unpacked"),
        ("ip4set", b"127.0.0.1\n10.0.0.1\nnot an address\n10.0.0.9".to_vec(), "listed:   2 IPv4 addresses\n"),
        ("acl", b"0/0 :refse\n".to_vec(), "refused: 1 line is bad in this access list"),
    ] {
        fs::write(&compared, octets).expect("written");
        let (_, said) = live.tell(&["diff", "running", &format!("bl.example:{kind}:{}", compared.display())]);
        assert!(said.contains(told), "{said}");
    }
    // By the time that this is told, the rest would have been.
    place.drop_file("other.example.ip4set", hosts(3, 2));
    live.await_words("zone other.example: 3 entries");
    let log = live.log();
    assert!(!log.contains("compared") && log.matches("zone bl.example: ").count() == 1, "{log}");
}
