//! A file that changes while it is read is neither the old one nor the new: what was read of it does not go live.
//!
//! The server is stopped while it has the file open, and goes on when the file has changed; so there is no doubt that it did.

use std::{
    fs::{self, File},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::{
    live::{Live, PATIENCE, PROMPT, Place, append, await_true, host_name, hosts, kept_files},
    support::daemon::dnsbld,
};

const FILE: &str = "bl.example.ip4set";
const COUNT: u32 = 60_000;
/// A file may be read before anybody sees that it is open.
const TRIES: u8 = 20;
const WORDS: &str = "a file changed while it was read";

fn start(place: &Place) -> Live {
    let mut command = dnsbld();
    command.env("RUST_LOG", "dnsbld=debug").arg("serve").arg(place.zones());
    command.args(["--check", "1d", "--state"]).arg(place.state());
    Live::spawn(command, place)
}

/// So many addresses, and one more at the end.
fn list(value: u8) -> String {
    hosts(COUNT, value) + "192.0.2.1\n"
}

/// Drops a file, and writes another one in its place while it is read; false if it is live before that.
fn change_while_read(live: &Live, place: &Place, zone: &str, values: [u8; 2]) -> bool {
    let [first, second] = values.map(list);
    let file = format!("{zone}.ip4set");
    place.drop_file(&file, first);
    // The copy for the next start is read from the file too.
    let is_read = || live.has_open(&place.zone(&file)) && !place.is_keeping();
    let is_live = || live.ask(&host_name(0, zone)) == values[0].to_string();
    if !live.stop_when(is_read, is_live) {
        return false;
    }
    // In place, and longer than before.
    fs::write(place.zone(&file), second + "# the end\n").expect("written");
    live.send(Signal::SIGCONT);
    true
}

/// Asks a zone from its start to its end until all of it answers with that value; until then it may answer as before.
fn await_all(live: &Live, zone: &str, before: &[&str], value: u8) {
    let names =
        [host_name(0, zone), host_name(COUNT / 2, zone), host_name(COUNT - 1, zone), format!("1.2.0.192.{zone}")];
    let wanted = value.to_string();
    let begun = Instant::now();
    loop {
        let found = names.clone().map(|name| live.ask(&name));
        if found.iter().all(|found| *found == wanted) {
            return;
        }
        for (name, found) in names.iter().zip(&found) {
            assert!(
                *found == wanted || before.contains(&found.as_str()),
                "{name} answers {found}: what was read while it changed is live\n{}",
                live.log()
            );
        }
        assert!(begun.elapsed() < PATIENCE, "{found:?}, not {wanted}\n{}", live.log());
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_read_again() {
    let place = Place::new();
    place.drop_file(FILE, list(2));
    let live = start(&place);
    let mut before = 2;
    for turn in 1..=TRIES {
        let [first, second] = [10 * turn + 1, 10 * turn + 2];
        if change_while_read(&live, &place, "bl.example", [first, second]) {
            await_all(&live, "bl.example", &[&before.to_string()], second);
            assert!(live.log().contains(WORDS), "{}", live.log());
            // It passed by itself, so nobody is called.
            assert!(live.tell(&["status"]).0, "{}", live.status());
            assert!(!live.metrics().contains("reason=\"changed\""), "{}", live.metrics());
            return;
        }
        before = first;
    }
    panic!("not once in {TRIES} tries was the file seen open while it was read\n{}", live.log());
}

#[test]
fn a_new_file_that_changes_while_it_is_read_is_not_served_until_it_is_quiet() {
    let place = Place::new();
    place.drop_file("other.example.ip4set", "127.0.0.2\n");
    let live = start(&place);
    for turn in 1..=TRIES {
        let zone = format!("new-{turn}.example");
        if change_while_read(&live, &place, &zone, [3, 4]) {
            await_all(&live, &zone, &["REFUSED", "SERVFAIL"], 4);
            let counted = format!("dnsbld_zone_load_failed_total{{zone=\"{zone}\",reason=\"changed\"}} 1\n");
            assert!(live.metrics().contains(&counted), "{}", live.metrics());
            assert!(live.log().contains(WORDS), "{}", live.log());
            assert!(live.tell(&["status"]).0, "{}", live.status());
            return;
        }
    }
    panic!("not once in {TRIES} tries was the file seen open while it was read\n{}", live.log());
}

/// As where a writer begins anew: what it had written so far ends with a line, and looks like a whole file to whoever reads on.
#[test]
fn a_file_that_shrinks_to_the_end_of_a_line_while_it_is_read_is_read_again() {
    /// It must not be quiet for so long, or what is left of it is a whole file: 150 ms are promised.
    const NOT_QUIET: Duration = Duration::from_millis(100);
    let place = Place::new();
    let path = place.zone(FILE);
    place.drop_file(FILE, list(2));
    let live = start(&place);
    let mut before = 2;
    for turn in 1..=TRIES {
        let [first, second] = [10 * turn + 1, 10 * turn + 2];
        let text = list(first);
        let left = text[..text.len() / 3 * 2].rfind('\n').expect("a line") + 1;
        place.drop_file(FILE, &text);
        // The reader will meet the new end.
        let is_before = |position: &u64| *position < left as u64;
        let is_read = || !place.is_keeping() && live.positions_in(&path).iter().any(is_before);
        let is_live = || live.ask(&host_name(0, "bl.example")) == first.to_string();
        if live.stop_when(is_read, is_live) {
            let file = File::options().write(true).open(&path).expect("opened");
            file.set_len(left as u64).expect("shortened");
            live.send(Signal::SIGCONT);
            let mut seen_open = Instant::now();
            while live.has_open(&path) {
                seen_open = Instant::now();
            }
            fs::write(&path, list(second)).expect("written");
            if seen_open.elapsed() < NOT_QUIET {
                await_all(&live, "bl.example", &[&before.to_string()], second);
                assert!(live.log().contains(WORDS), "{}", live.log());
                assert!(live.tell(&["status"]).0, "{}", live.status());
                return;
            }
            live.await_answer("1.2.0.192.bl.example", &second.to_string(), PATIENCE);
            before = second;
        } else {
            before = first;
        }
    }
    panic!("not once in {TRIES} tries did the file shrink while it was read\n{}", live.log());
}

/// Lists that somebody writes to at all times, or replaces sooner than they can be read, are loaded every few seconds all the same.
#[test]
fn a_file_that_is_never_quiet_goes_live() {
    let place = Place::new();
    let files = ["grows.example.ip4set", "moves.example.ip4set", "begins.example.ip4set"];
    for file in files {
        place.drop_file(file, list(2));
    }
    let (is_over, write_at_once) = (AtomicBool::new(false), Duration::from_millis(20));
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in (0..=u16::MAX).cycle().take_while(|_| !is_over.load(Ordering::Relaxed)) {
                let [third, last] = number.to_be_bytes();
                append(&place.zone(files[0]), &format!("203.0.{third}.{last}\n"));
                append(&place.zone(files[2]), &format!("203.0.{third}.{last}\n203.1.{third}"));
                append(&place.zone(files[2]), &format!(".{last}\n"));
                place.drop_file(files[1], hosts(COUNT, 3 + (number % 200) as u8));
                thread::sleep(write_at_once);
            }
        });
        let _over = Over(&is_over);
        let live = start(&place);
        // What is read at the start is not quiet either.
        for zone in ["grows.example", "begins.example", "moves.example"] {
            assert!(live.ask(&host_name(0, zone)).parse::<u8>().is_ok(), "{zone}: {}", live.log());
        }
        let entries = |zone: &str| {
            let line = format!("dnsbld_zone_entries{{zone=\"{zone}\",");
            let metrics = live.metrics();
            let line = metrics.lines().find(|own| own.starts_with(&line)).expect("a line of its own");
            line.rsplit_once(' ').map_or("", |(_, number)| number).parse::<u32>().expect("entries")
        };
        let before = [entries("grows.example"), entries("begins.example")];
        let value = live.ask(&host_name(0, "moves.example"));
        let is_newer = || {
            entries("grows.example") > before[0]
                && entries("begins.example") > before[1]
                && live.ask(&host_name(0, "moves.example")) != value
        };
        await_true("what is never quiet is live", is_newer, || live.log());
        // Nothing is wrong with them, and no line is read before it is whole.
        assert!(live.tell(&["status"]).0, "{}", live.status());
        assert!(!live.log().contains("cut short") && !live.log().contains("bad address"), "{}", live.log());
    });
}

/// Says that it is over when a test ends, well or not.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A first start copies each file for the next one, which takes a disk seconds where there are many.
#[test]
fn a_change_does_not_wait_until_all_is_kept() {
    const ZONES: usize = 2_000;
    let place = Place::new();
    for number in 0..ZONES {
        fs::write(place.zone(&format!("z{number}.example.ip4set")), "127.0.0.2\n").expect("written");
    }
    let live = Live::start(&place, &[]);
    place.drop_file("z7.example.ip4set", "127.0.0.2\n127.0.0.3\n");
    let took = live.await_answer("3.0.0.127.z7.example", "2", PROMPT);
    let kept = kept_files(&place.good()).count();
    assert!(kept < ZONES || took < Duration::from_secs(2), "live after {took:?}, when {kept} were kept");
}
