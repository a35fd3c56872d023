//! What a reload takes: a dataset is there twice while it is replaced, and once again soon after; what does not change is there once.

use std::{
    fmt::Write as _,
    fs,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use super::{
    live::{Live, Place, await_true},
    support::message::reversed,
};

/// These take some seconds each in a debug build, and many more on a busy machine, since loading gives way.
const LOADED: Duration = Duration::from_secs(120);
/// What the C library, threads and buffers may take beside the data and a tenth of them. Up to 600 are seen at a peak, in debug and
/// release builds alike, and up to 300 that stay.
const SLACK_KIB: u64 = 1_024;

/// A list that is replaced. There are so many entries that their data matter and nothing else does.
struct List {
    zone: &'static str,
    kind: &'static str,
    count: u32,
    /// A line, given its number: lines come in no order.
    line: fn(u32) -> String,
    /// What is asked for to see that a line is live, before the zone's name.
    name: fn(u32) -> String,
}

const LISTS: [List; 4] = [
    List { zone: "names.example", kind: "dnset", count: 1_000_000, line: mail, name: mail },
    List {
        zone: "hosts.example",
        kind: "ip4set",
        count: 4_000_000,
        line: |number| host(number).to_string(),
        name: |number| reversed(host(number)),
    },
    List {
        zone: "prefixes.example",
        kind: "ip4trie",
        count: 1_500_000,
        line: |number| format!("{}/{}", prefix(number), 22 + number % 3),
        name: |number| reversed(prefix(number)),
    },
    List {
        zone: "ending.example",
        kind: "ip4set",
        count: 2_000_000,
        line: |number| format!("{} @ until={}", host(number), 4_000_000_000 + number % 86_400),
        name: |number| reversed(host(number)),
    },
];

fn mail(number: u32) -> String {
    format!("mail{number}.of-some-length{}.test", number % 1_000)
}

/// One in every thousand, from 128.0.0.0 on and around.
fn host(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x8000_0000 + number * 501)
}

/// Each the start of a network of its own.
fn prefix(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x8000_0000 + (number << 10))
}

impl List {
    fn file(&self) -> String {
        format!("{}.{}", self.zone, self.kind)
    }

    fn lines(&self) -> String {
        (0..u64::from(self.count)).fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{}", (self.line)((line * 7_919 % u64::from(self.count)) as u32));
            text
        })
    }

    /// Puts the lines into the file with a value, and waits until they are live and kept.
    fn load(&self, live: &Live, place: &Place, value: u8, lines: &str) {
        place.drop_file(&self.file(), format!(":{value}:\n{lines}"));
        live.await_answer(&format!("{}.{}", (self.name)(self.count - 1), self.zone), &value.to_string(), LOADED);
        place.await_kept(&self.file());
    }
}

/// A line of `/proc/PID/status`, in KiB.
pub(crate) fn memory_kib(live: &Live, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", live.id())).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.unwrap_or_else(|| panic!("no {key}: {status}")).parse().expect("a number")
}

/// What it takes when it has become quiet: no more and no less for a while.
pub(crate) fn settled_kib(live: &Live) -> u64 {
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

/// Beside each list stand the others, which are larger together, so that whatever loads more than what changed is seen.
#[test]
fn a_reload_takes_a_dataset_once_more_and_gives_it_back() {
    let place = Place::new();
    place.drop_file("small.example.ip4set", "192.0.2.1\n");
    let live = Live::start(&place, &[]);
    let mut before_kib = settled_kib(&live);
    let mut loaded = Vec::new();
    for list in &LISTS {
        let lines = list.lines();
        list.load(&live, &place, 2, &lines);
        let after_kib = settled_kib(&live);
        let dataset_kib = after_kib.saturating_sub(before_kib);
        assert!(dataset_kib > 4 * SLACK_KIB, "{}: {dataset_kib} KiB are too few to measure", list.file());
        loaded.push((list, lines, dataset_kib));
        before_kib = after_kib;
    }
    let all_kib = before_kib;
    for value in [3, 4] {
        for (list, lines, dataset_kib) in &loaded {
            let before_kib = settled_kib(&live);
            fs::write(format!("/proc/{}/clear_refs", live.id()), "5").expect("the peak begins anew");
            list.load(&live, &place, value, lines);
            let more_kib = memory_kib(&live, "VmHWM").saturating_sub(before_kib);
            let after_kib = settled_kib(&live);
            let numbers = format!(
                "{}: {dataset_kib} KiB of data, {more_kib} KiB more for a while; {all_kib} KiB before, {after_kib} KiB after",
                list.file()
            );
            println!("{numbers}");
            assert!(more_kib <= dataset_kib + dataset_kib / 10 + SLACK_KIB, "{numbers}");
            assert!(more_kib > dataset_kib / 2, "the new data are there beside the old: {numbers} cannot be all");
            // Nor does it grow from one reload to the next.
            assert!(after_kib <= all_kib + SLACK_KIB, "not all is given back: {numbers}");
        }
    }
}
