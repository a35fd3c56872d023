//! A server that starts finds something good to serve, whatever state its files are in and however the one before it ended.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use nix::sys::signal::Signal;

use super::{
    live::{Live, PATIENCE, PROMPT, Place, append, await_true, gzip, host_name, hosts, is_kept, kept_files, long_list},
    support::daemon::dnsbld,
};

pub(crate) const FILE: &str = "bl.example.ip4set";
const NAME: &str = "1.0.0.10.bl.example";

/// What a file may look like when a server starts, and what the log says of it.
fn broken_files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let whole = hosts(3_000, 3);
    let (packed, dense) = (gzip(&whole), zstd::encode_all(whole.as_bytes(), 3).expect("packed"));
    vec![
        ("half a line", whole.as_bytes()[..whole.len() - 4].to_vec(), "ends in the middle of a line"),
        ("half a file", hosts(1_000, 3).into_bytes(), "1000 entries where there were 3000"),
        ("empty", Vec::new(), "0 entries where there were 3000"),
        ("lists the world", b"0/1\n128/2\n!127.0.0.1\n".to_vec(), "of all addresses"),
        ("lists localhost", (hosts(2_000, 3) + "127.0.0.1\n").into_bytes(), "127.0.0.1/32, which must never be listed"),
        ("expired", ("$TIMESTAMP 2020-01-01 2020-02-01\n".to_owned() + &hosts(2_000, 3)).into_bytes(), "have expired"),
        ("no list at all", b"<html><body>503</body></html>\n".repeat(50), "lines are bad"),
        ("truncated gzip", packed[..packed.len() / 2].to_vec(), "cannot be unpacked"),
        ("truncated zstd", dense[..dense.len() / 2].to_vec(), "cannot be unpacked"),
    ]
}

#[test]
fn the_last_good_version_is_served_where_the_files_are_broken() {
    let place = Place::new();
    place.drop_file(FILE, hosts(3_000, 2));
    start_and_keep(&place);
    for (what, octets, why) in broken_files() {
        place.drop_file(FILE, octets);
        let live = Live::start(&place, &[]);
        assert_eq!(live.ask(NAME), "2", "{what}\n{}", live.log());
        let log = live.log();
        assert!(log.contains(why) && log.contains("the last good version is served instead, kept at 20"), "{log}");
        assert!(!live.tell(&["status"]).0, "{what}");
    }
    fs::remove_file(place.zone(FILE)).expect("removed");
    place.drop_file(FILE, hosts(3_000, 4));
    let live = Live::start(&place, &[]);
    assert_eq!(live.ask(NAME), "4");
    assert!(live.tell(&["status"]).0);
}

#[test]
fn without_a_state_folder_a_first_load_only_warns() {
    let place = Place::new();
    for (what, octets, why) in broken_files() {
        if what.starts_with("truncated") {
            continue;
        }
        place.drop_file(FILE, octets);
        let mut command = dnsbld();
        command.arg("serve").arg(place.zones()).args(["--state", "off"]);
        let live = Live::spawn(command, &place);
        let log = live.log();
        let is_a_matter_of_before = why.contains("where there were");
        assert!(
            is_a_matter_of_before || log.contains(why) && log.contains("a reload would refuse it"),
            "{what}: {log}"
        );
        // What has expired is not told, wherever it comes from.
        assert_eq!(live.ask(NAME) == "SERVFAIL", what == "expired", "{what}");
    }
}

#[test]
fn a_restart_confirms_that_a_file_is_gone() {
    let place = Place::new();
    place.drop_file(FILE, hosts(30, 2));
    place.drop_file("other.example.ip4set", hosts(30, 3));
    start_and_keep(&place);
    let live = Live::start(&place, &[]);
    fs::remove_file(place.zone(FILE)).expect("removed");
    live.await_words("the file is gone");
    assert_eq!(live.ask(NAME), "2");
    drop(live);
    let live = Live::start(&place, &[]);
    assert_eq!(live.ask(NAME), "REFUSED");
    assert_eq!(live.ask("1.0.0.10.other.example"), "3");
    assert!(live.tell(&["status"]).0, "{}", live.status());
}

/// Serves the file until its copy is kept.
pub(crate) fn start_and_keep(place: &Place) {
    let _live = Live::start(place, &[]);
    place.await_kept(FILE);
}

/// Whether all of the list says the same, and what.
pub(crate) fn value_of_all(live: &Live, count: u32) -> String {
    let first = live.ask(NAME);
    for number in (0..count).step_by(count as usize / 20).chain([count - 1]) {
        assert_eq!(
            live.ask(&host_name(number, "bl.example")),
            first,
            "two versions at once, at {number}\n{}",
            live.log()
        );
    }
    first
}

#[test]
fn what_cannot_be_tidied_is_told_once() {
    let place = Place::new();
    place.drop_file(FILE, hosts(30, 2));
    place.drop_file("other.example.ip4set", hosts(30, 3));
    let live = Live::start(&place, &[]);
    place.await_kept(FILE);
    place.await_kept("other.example.ip4set");
    drop(live);
    for version in fs::read_dir(place.good()).expect("a folder").flatten() {
        fs::create_dir_all(version.path().join("unused")).expect("made");
    }
    let log = Live::start(&place, &[]).log();
    assert_eq!(log.matches("cannot be tidied").count(), 1, "{log}");
    assert!(log.contains("2 of the last good versions cannot be tidied: "), "{log}");
}

#[test]
fn what_is_kept_is_kept_anew_when_it_was_removed() {
    let place = Place::new();
    place.drop_file(FILE, hosts(3_000, 2));
    let live = Live::start(&place, &[]);
    place.await_kept(FILE);
    fs::remove_dir_all(place.state()).expect("removed");
    // Whatever looks at the files, unasked or not.
    place.drop_file("other.example.ip4set", hosts(30, 3));
    live.await_words("the last good versions were removed from the state folder");
    place.await_kept(FILE);
    drop(live);
    place.drop_file(FILE, "");
    assert_eq!(Live::start(&place, &[]).ask(NAME), "2");
}

/// As where the zones folder that has the state folder in it is moved away: nothing can be kept in its place.
#[test]
fn what_cannot_be_kept_anew_is_told_once() {
    let place = Place::new();
    place.drop_file(FILE, hosts(3, 2));
    let live = Live::configured(&place, "folder = \"zones\"\nstate = \"zones/.dnsbld\"\ncheck = \"1s\"\n");
    let good = place.zone(".dnsbld/good");
    await_true("kept", || kept_files(&good).next().is_some(), || live.log());
    fs::rename(place.zones(), place.at("aside")).expect("moved");
    live.await_words("the last good versions were removed from the state folder, and are not kept until");
    thread::sleep(Duration::from_secs(3));
    fs::rename(place.at("aside"), place.zones()).expect("moved back");
    live.await_words("the zones folder can be read now");
    let log = live.log();
    for words in ["removed from the state folder", "cannot read the zones folder", "the zones folder can be read now"] {
        assert_eq!(log.matches(words).count(), 1, "{log}");
    }
    assert!(!log.contains("kept for the next start"), "{log}");
    assert_eq!(live.ask(NAME), "2");
}

#[test]
fn a_drop_that_was_interrupted_is_taken_up_again() {
    let place = Place::new();
    place.drop_file(FILE, hosts(3_000, 2));
    start_and_keep(&place);
    // As a writer leaves it that was killed: aside under another name, or in place and half.
    fs::write(place.zone(".bl.example.ip4set.Xy12"), "10.0").expect("written");
    fs::write(place.zone("bl.example.ip4set.tmp"), "10.0").expect("written");
    let whole = hosts(3_000, 3);
    fs::write(place.zone(FILE), &whole[..20_000]).expect("written");
    let live = Live::start(&place, &[]);
    assert_eq!(live.ask(NAME), "2");
    append(&place.zone(FILE), &whole[20_000..]);
    live.await_answer(&host_name(2_999, "bl.example"), "3", PROMPT);
    assert!(live.tell(&["status"]).0, "{}", live.status());
}

/// A server of the file `hosts` by its name.
fn serve_by_name(place: &Place) -> Live {
    let mut command = dnsbld();
    command.arg("serve").arg(format!("bl.example:ip4set:{}", place.zone("hosts").display()));
    command.arg("--state").arg(place.state());
    Live::spawn(command, place)
}

#[test]
fn queries_are_answered_until_the_reload_in_hand_is_over() {
    let place = Place::new();
    place.drop_file("hosts", hosts(3, 2));
    let mut live = serve_by_name(&place);
    place.await_kept("hosts");
    place.drop_file("hosts", long_list(1, &hosts(3, 3)));
    live.send(Signal::SIGHUP);
    await_true("it is being read", || live.has_open(&place.zone("hosts")), || live.log());
    live.send(Signal::SIGTERM);
    for _ in 0..50 {
        assert_eq!(live.ask(NAME), "2", "{}", live.log());
    }
    assert!(live.has_open(&place.zone("hosts")), "it was read as long as it was asked\n{}", live.log());
    assert!(live.await_end(), "{}", live.log());
}

#[test]
fn a_pipe_in_the_place_of_a_file_holds_nobody_up() {
    let place = Place::new();
    place.drop_file("hosts", hosts(3, 2));
    let mut live = serve_by_name(&place);
    place.await_kept("hosts");
    nix::unistd::mkfifo(&place.at("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    fs::rename(place.at("pipe"), place.zone("hosts")).expect("renamed");
    live.await_words("it is a pipe, a socket or a device, and no file");
    live.tell(&["reload"]);
    assert!(live.status().contains("and no file"), "{}", live.status());
    let spec = format!("bl.example:ip4set:{}", place.zone("hosts").display());
    for (words, what) in [(["diff", "running", &spec], "and no file"), (["explain", "10.0.0.1", "bl.example"], "2")] {
        let (_, said) = live.tell(&words);
        assert!(said.contains(what), "{said}");
    }
    assert_eq!(live.ask(NAME), "2");
    live.send(Signal::SIGTERM);
    assert!(live.await_end(), "{}", live.log());
}

#[test]
fn a_full_disk_costs_the_copy_and_nothing_else() {
    let place = Place::new();
    place.drop_file(FILE, hosts(100, 2));
    start_and_keep(&place);
    // No file may grow beyond 40 blocks of 512 octets, as if the disk were full there; needs no mount and no root.
    let script = "trap '' XFSZ; ulimit -f 40; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_dnsbld"), "serve"]).arg(place.zones());
    command.arg("--state").arg(place.state());
    let live = Live::spawn(command, &place);
    place.drop_file(FILE, hosts(5_000, 3));
    live.await_answer(NAME, "3", PATIENCE);
    live.await_words("its files are not kept for the next start: File too large");
    assert!(live.tell(&["status"]).0, "it is served");
    drop(live);
    // What was kept before is whole.
    place.drop_file(FILE, "<html>\n".repeat(20));
    let live = Live::start(&place, &[]);
    assert_eq!(live.ask(NAME), "2");
    drop(live);

    // No state folder can be made: everything but the state is there.
    fs::remove_dir_all(place.state()).expect("removed");
    fs::write(place.state(), "in the way").expect("written");
    place.drop_file(FILE, hosts(100, 4));
    let live = Live::start(&place, &[]);
    assert!(live.log().contains("no state folder: there is something else of that name"), "{}", live.log());
    assert_eq!(live.ask(NAME), "4");
    place.drop_file(FILE, hosts(100, 5));
    live.await_answer(NAME, "5", PROMPT);
}

/// A command that runs another one with a file system of 256 KiB in a folder; only that one sees it, and what is in the folder
/// `before` is in it at the start.
fn within_small_file_system(folder: &Path, before: &Path) -> Command {
    let command = |then: &str| {
        let script = format!("mount -t tmpfs -o size=256k small \"$1\" && cp -a \"$2\"/. \"$1\" && shift 2 && {then}");
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", &script, "sh"]).args([folder, before]);
        command
    };
    let tried = command("true").output().expect("unshare is not installed: apt-get install util-linux");
    assert!(
        tried.status.success(),
        "a full disk needs a user and a mount namespace (unshare -rm) with a tmpfs in it, and here there is none: {}",
        String::from_utf8_lossy(&tried.stderr)
    );
    command("exec \"$@\"")
}

/// A server that has a file system that is small in that folder, and the folder as that server sees it.
fn start_within_small_file_system(place: &Place, folder: &Path, state: &Path, before: &Path) -> (Live, PathBuf) {
    let mut command = within_small_file_system(folder, before);
    command.arg(env!("CARGO_BIN_EXE_dnsbld")).arg("serve").arg(place.zones()).arg("--state").arg(state);
    let live = Live::spawn(command, place);
    let root = Path::new("/proc").join(live.id().to_string()).join("root");
    let seen = root.join(folder.strip_prefix("/").expect("whole"));
    (live, seen)
}

/// Copies what is in such a folder, which ends with the server.
fn copy_seen(seen: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    let copied = Command::new("cp").arg("-a").args([seen, to]).status();
    assert!(copied.expect("cp").success());
}

#[test]
fn a_full_file_system_keeps_what_was_good_and_takes_what_fits() {
    let place = Place::new();
    let before = place.at("before");
    for folder in [&place.good(), &before] {
        fs::create_dir_all(folder).expect("a folder");
    }
    let (small, large) = (hosts(2_000, 2), hosts(40_000, 3));
    assert!(small.len() < 100_000 && large.len() > 300_000);
    place.drop_file(FILE, &small);
    let start = |before: &Path| start_within_small_file_system(&place, &place.good(), &place.state(), before);
    let (live, good) = start(&before);
    await_true("kept", || is_kept(&good, small.as_bytes()), || live.log());

    place.drop_file(FILE, &large);
    live.await_answer(NAME, "3", PATIENCE);
    live.await_words("its files are not kept for the next start: No space left on device");
    assert!(is_kept(&good, small.as_bytes()), "what was kept before is whole");
    let versions = fs::read_dir(&good).expect("a folder").flatten();
    assert_eq!(versions.count(), 1, "and nothing half beside it takes the room");
    copy_seen(&good, &before);
    drop(live);

    // A start on that disk: the file is whole, and served; then it is not, and what was kept is.
    let (live, _) = start(&before);
    assert_eq!(value_of_all(&live, 40_000), "3");
    drop(live);
    place.drop_file(FILE, &large[..5_000]);
    let (live, good) = start(&before);
    assert_eq!(value_of_all(&live, 2_000), "2", "{}", live.log());
    assert!(live.log().contains("the last good version is served instead"), "{}", live.log());

    let packed = gzip(&large.replace(":3", ":4"));
    place.drop_file(FILE, &packed);
    live.await_answer(NAME, "4", PATIENCE);
    await_true("kept", || is_kept(&good, &packed), || live.log());
    copy_seen(&good, &before);
    drop(live);
    // As a drop that the disk cut off.
    place.drop_file(FILE, "");
    let (live, _) = start(&before);
    assert_eq!(value_of_all(&live, 40_000), "4", "{}", live.log());
}

/// Lines of 16 octets behind a first one of 4, so that none ends where a page does.
fn even_list(count: u32, value: u8) -> String {
    let lines = hosts(count, value);
    let mut lines = lines.lines();
    let first = lines.next().expect("a value").to_owned() + "\n";
    lines.fold(first, |text, line| text + &format!("{line:<15}\n"))
}

/// The zones, what is kept of them and the half of a drop share the disk.
#[test]
fn a_drop_that_ends_with_the_disk_costs_nothing() {
    let place = Place::new();
    let (before, state) = (place.at("before"), place.zone(".dnsbld"));
    fs::create_dir(&before).expect("a folder");
    fs::write(before.join(FILE), even_list(2_000, 2)).expect("written");
    let start = || start_within_small_file_system(&place, &place.zones(), &state, &before);
    let troubles = |live: &Live| {
        let metrics = live.metrics();
        let line = metrics.lines().find(|line| line.starts_with("dnsbld_zone_troubles{zone=\"bl.example\""));
        line.and_then(|line| line.rsplit(' ').next()).unwrap_or_else(|| panic!("{metrics}")).to_owned()
    };
    let (live, zones) = start();
    let good = zones.join(".dnsbld/good");
    let is_kept = |value, count| is_kept(&good, even_list(count, value).as_bytes());
    await_true("kept", || is_kept(2, 2_000), || live.log());

    // The disk takes all of it, and has no room for the copy.
    fs::write(zones.join(".aside"), even_list(10_000, 3)).expect("there is room");
    fs::rename(zones.join(".aside"), zones.join(FILE)).expect("renamed");
    live.await_answer(NAME, "3", PATIENCE);
    live.await_words("its files are not kept for the next start: No space left on device");
    assert_eq!(value_of_all(&live, 10_000), "3");
    assert!(is_kept(2, 2_000) && troubles(&live) == "0", "{}", live.log());

    // Aside it ends as well, and nothing happens.
    let is_full = |error: &io::Error| error.kind() == io::ErrorKind::StorageFull;
    let large = even_list(30_000, 4);
    assert!(fs::write(zones.join(".aside"), &large).is_err_and(|error| is_full(&error)), "it has no end");
    // In place it leaves what is more than before, and not all.
    fs::remove_file(zones.join(".aside")).expect("removed");
    assert!(fs::write(zones.join(FILE), &large).is_err_and(|error| is_full(&error)), "it has no end");
    let left = fs::read_to_string(zones.join(FILE)).expect("there");
    assert!(left.lines().count() > 10_000 && left.len() < large.len() && !left.ends_with('\n'), "{}", left.len());
    live.await_words("ends in the middle of a line");
    live.send(Signal::SIGHUP);
    await_true("in trouble", || troubles(&live) == "1", || live.log());
    assert_eq!(value_of_all(&live, 10_000), "3", "{}", live.log());
    copy_seen(&zones, &before);
    live.kill();

    // A start on the disk that is full: nothing can be written there, and what was kept is served.
    let (live, zones) = start();
    assert_eq!(value_of_all(&live, 2_000), "2", "{}", live.log());
    assert!(live.log().contains("the last good version is served instead"), "{}", live.log());
    assert_eq!(troubles(&live), "1");
    // With room again the next drop is well.
    fs::write(zones.join(FILE), even_list(3_000, 5)).expect("there is room");
    live.await_answer(NAME, "5", PATIENCE);
    let good = zones.join(".dnsbld/good");
    let wanted = even_list(3_000, 5);
    await_true("kept", || super::live::is_kept(&good, wanted.as_bytes()), || live.log());
    assert_eq!((value_of_all(&live, 3_000), troubles(&live)), ("5".to_owned(), "0".to_owned()));
}

/// It is read at a start only, which nobody need guess.
#[test]
fn a_configuration_that_was_changed_is_told_of_at_a_reload() {
    let place = Place::new();
    place.drop_file("bl.example.ip4set", "127.0.0.2\n");
    fs::write(place.at("scanner.token"), "0123456789abcdef").expect("written");
    let config = "folder = \"zones\"\nstate = \"state\"\n";
    let token = "[tokens.scanner]\nfile = \"scanner.token\"\nzones = [\"*\"]\n";
    let live = Live::configured(&place, &format!("{config}{token}"));
    let count = || live.log().matches("was changed since the start, and no reload reads it").count();
    live.tell(&["reload"]);
    assert_eq!(count(), 0, "{}", live.log());
    fs::write(place.at("dnsbld.toml"), format!("{config}minimal = true\n")).expect("written");
    live.tell(&["reload"]);
    await_true("it is told", || count() == 1, || live.log());
    live.send(Signal::SIGHUP);
    live.tell(&["reload"]);
    assert_eq!(count(), 1, "once for each change: {}", live.log());
    fs::write(place.at("dnsbld.toml"), format!("{config}minimal = yes\n")).expect("written");
    live.send(Signal::SIGHUP);
    await_true("it is told", || count() == 2, || live.log());
    // Nor are the files that it names read again.
    fs::write(place.at("scanner.token"), "fedcba9876543210").expect("written");
    live.send(Signal::SIGHUP);
    await_true("it is told", || count() == 3, || live.log());
    assert!(live.log().contains("scanner.token was changed since"), "{}", live.log());
    fs::remove_file(place.at("scanner.token")).expect("removed");
    live.send(Signal::SIGHUP);
    let is_told = || live.log().contains("scanner.token cannot be looked at: No such file");
    await_true("it is told", is_told, || live.log());
}
