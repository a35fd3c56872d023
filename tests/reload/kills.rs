//! A server that is killed in the middle of a load, or of keeping a copy for the next start, leaves good data behind.
//!
//! Each blow is meant for such a moment. The process is stopped when it seems to have come, looked at while it stands still,
//! and killed; so what was hit is known and not guessed, and the test goes on until each was hit.

use std::{fs, thread, time::Duration};

use super::{
    live::{Live, Place, await_true, hosts, kept_files},
    restart::{FILE, start_and_keep, value_of_all},
};

const COUNT: u32 = 30_000;

/// When a blow shall fall.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// The new file is being read.
    Load,
    /// The new file is live, and its copy not complete.
    Keep,
    /// At some time between the first notice of the file and the time when all is done.
    Some(Duration),
}

#[test]
fn whatever_is_killed_in_the_middle_starts_with_good_data() {
    /// So many rounds there are at least, and at most while one of the moments was never hit.
    const ROUNDS: std::ops::RangeInclusive<u8> = 12..=60;
    let place = Place::new();
    place.drop_file(FILE, list(2));
    start_and_keep(&place);
    let (mut loads, mut copies, mut newest) = (0, 0, 2);
    for round in 0..*ROUNDS.end() {
        if round >= *ROUNDS.start() && loads > 0 && copies > 0 {
            break;
        }
        let live = Live::start(&place, &[]);
        await_true("all is done of before", || is_kept_as_it_is(&place), || live.log());
        newest = round + 3;
        place.drop_file(FILE, list(newest));
        match [Moment::Load, Moment::Keep, Moment::Some(Duration::from_millis(150 + 35 * u64::from(round)))]
            [usize::from(round) % 3]
        {
            Moment::Some(pause) => thread::sleep(pause),
            moment if !is_caught(&live, &place, moment) => {}
            Moment::Load => loads += 1,
            Moment::Keep => copies += 1,
        }
        live.kill();

        // The file is whole, so it is served.
        let live = Live::start(&place, &[]);
        assert_eq!(value_of_all(&live, COUNT), newest.to_string());
        live.kill();

        // The file is not: then a version that was good is, and all of it.
        fs::write(place.zone(FILE), &list(99)[..5_000]).expect("written");
        let live = Live::start(&place, &[]);
        let found: u8 =
            value_of_all(&live, COUNT).parse().unwrap_or_else(|_| panic!("nothing is served\n{}", live.log()));
        assert!((2..=newest).contains(&found), "{found} was never good\n{}", live.log());
        drop(live);
        place.drop_file(FILE, list(newest));
    }
    println!("killed {loads} times while loading and {copies} times while keeping, up to version {newest}");
    assert!(loads > 0 && copies > 0, "not both were hit: {loads} loads, {copies} copies");
}

/// A list with one value that takes a while to read and to copy: one half, much that says nothing, the other half.
fn list(value: u8) -> String {
    let hosts = hosts(COUNT, value);
    let (lines, rest) = hosts.split_at(hosts[..hosts.len() / 2].rfind('\n').expect("lines") + 1);
    [lines, &format!("# {}\n", "x".repeat(4_000)).repeat(4_000), rest].concat()
}

/// Stops the server at that moment; false if it has passed.
fn is_caught(live: &Live, place: &Place, moment: Moment) -> bool {
    let is_now = || match moment {
        // It reads the file for the copy too, but then the copy has been begun.
        Moment::Load => live.has_open(&place.zone(FILE)) && !place.is_keeping(),
        Moment::Keep => place.is_keeping(),
        Moment::Some(_) => true,
    };
    live.stop_when(is_now, || is_kept_as_it_is(place))
}

/// Whether the kept copy is one of the file that is there now: it has its time, which no two drops share.
fn is_kept_as_it_is(place: &Place) -> bool {
    let modified = |path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let wanted = modified(place.zone(FILE));
    kept_files(&place.good()).any(|file| modified(file) == wanted)
}
