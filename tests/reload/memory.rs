//! What a reload takes: a dataset is there twice while it is replaced, and once again soon after.

use std::{
    fmt::Write as _,
    fs,
    time::{Duration, Instant},
};

use super::live::{Live, Place, await_true};

const FILE: &str = "names.example.dnset";
const COUNT: u32 = 1_000_000;
/// What threads, buffers and the C library may take beside the data.
const SLACK_KIB: u64 = 6 * 1024;

/// Names in no order.
fn names() -> String {
    (0..COUNT).fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "{}", name(number.wrapping_mul(7_919) % COUNT));
        text
    })
}

fn name(number: u32) -> String {
    format!("mail{number}.of-some-length{}.test", number % 1_000)
}

/// A line of `/proc/PID/status`, in KiB.
fn memory_kib(live: &Live, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", live.id())).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.unwrap_or_else(|| panic!("no {key}: {status}")).parse().expect("a number")
}

/// What it takes when it has become quiet: no more and no less for a while.
fn settled_kib(live: &Live) -> u64 {
    let (mut kib, mut since) = (memory_kib(live, "VmRSS"), Instant::now());
    await_true(
        "memory stays as it is",
        || {
            let now = memory_kib(live, "VmRSS");
            if now != kib {
                (kib, since) = (now, Instant::now());
            }
            since.elapsed() > Duration::from_secs(1)
        },
        || live.log(),
    );
    kib
}

#[test]
fn a_reload_takes_a_dataset_once_more_and_gives_it_back() {
    /// A million names take some seconds in a debug build, and many more on a busy machine, since loading gives way.
    const LOADED: Duration = Duration::from_secs(120);
    let place = Place::new();
    place.drop_file(FILE, "one.test\n");
    let live = Live::start(&place, &[]);
    let empty_kib = settled_kib(&live);
    let (names, last) = (names(), format!("{}.names.example", name(COUNT - 1)));
    place.drop_file(FILE, format!(":2:\n{names}"));
    live.await_answer(&last, "2", LOADED);
    place.await_kept(FILE);
    let loaded_kib = settled_kib(&live);
    let dataset_kib = loaded_kib.saturating_sub(empty_kib);
    assert!(dataset_kib > 4 * u64::from(COUNT) / 1024, "{loaded_kib} KiB with all names, {empty_kib} KiB without");
    for value in [3, 4, 5] {
        let text = format!(":{value}:\n{names}");
        let before_kib = memory_kib(&live, "VmRSS");
        fs::write(format!("/proc/{}/clear_refs", live.id()), "5").expect("the peak begins anew");
        place.drop_file(FILE, text);
        live.await_answer(&last, &value.to_string(), LOADED);
        // Nor does it grow from one reload to the next.
        let after_kib = loaded_kib + loaded_kib / 10 + SLACK_KIB;
        await_true(
            "memory is given back",
            || memory_kib(&live, "VmRSS") <= after_kib,
            || format!("{} KiB, {loaded_kib} KiB before", memory_kib(&live, "VmRSS")),
        );
        place.await_kept(FILE);
        let more_kib = memory_kib(&live, "VmHWM").saturating_sub(before_kib);
        println!("{dataset_kib} KiB of data, {more_kib} KiB more while they were replaced");
        assert!(more_kib * 10 <= dataset_kib * 13 + SLACK_KIB * 10, "{more_kib} KiB more than the {dataset_kib} KiB");
        assert!(more_kib > dataset_kib / 2, "the new data are there beside the old: {more_kib} KiB cannot be all");
    }
}
