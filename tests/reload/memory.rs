//! What a reload takes: a dataset is there twice while it is replaced, and once again soon after; what does not change is there once.

use std::{
    fmt::Write as _,
    fs,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use super::live::{Live, Place, await_true};

/// A million names take some seconds in a debug build, and many more on a busy machine, since loading gives way.
const LOADED: Duration = Duration::from_secs(120);

/// A list that is replaced.
struct List {
    file: &'static str,
    count: u32,
    /// What is at a line, given a number; all numbers up to the count come in no order.
    entry: fn(u32) -> String,
    /// What stands behind it.
    tail: fn(u32) -> String,
    /// What is asked for to see that an entry is live.
    name: fn(u32) -> String,
}

const LISTS: [List; 4] = [
    List { file: "names.example.dnset", count: 1_000_000, entry: mail, tail: nothing, name: |number| mail(number) + ".names.example" },
    List {
        file: "hosts.example.ip4set",
        count: 4_000_000,
        entry: |number| Ipv4Addr::from(number.wrapping_mul(1_001)).to_string(),
        tail: nothing,
        name: |number| reversed(number.wrapping_mul(1_001), "hosts.example"),
    },
    List {
        file: "nets.example.ip4trie",
        count: 1_500_000,
        entry: |number| format!("{}/{}", Ipv4Addr::from(number << 11), 22 + number % 3),
        tail: nothing,
        name: |number| reversed(number << 11, "nets.example"),
    },
    List {
        file: "ends.example.ip4set",
        count: 2_000_000,
        entry: |number| Ipv4Addr::from(number.wrapping_mul(1_001)).to_string(),
        tail: |number| format!(" @ until={}", 4_000_000_000 + number % 86_400),
        name: |number| reversed(number.wrapping_mul(1_001), "ends.example"),
    },
];

fn nothing(_: u32) -> String {
    String::new()
}

fn mail(number: u32) -> String {
    format!("mail{number}.of-some-length{}.test", number % 1_000)
}

fn reversed(address: u32, zone: &str) -> String {
    let [a, b, c, d] = address.to_be_bytes();
    format!("{d}.{c}.{b}.{a}.{zone}")
}

impl List {
    fn text(&self, value: u8) -> String {
        (0..self.count).fold(format!(":{value}:\n"), |mut text, line| {
            let number = (u64::from(line) * 7_919 % u64::from(self.count)) as u32;
            let _ = writeln!(text, "{}{}", (self.entry)(number), (self.tail)(number));
            text
        })
    }

    fn last(&self) -> String {
        (self.name)(self.count - 1)
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

#[test]
fn a_reload_takes_a_dataset_once_more_and_gives_it_back() {
    let place = Place::new();
    place.drop_file("small.example.ip4set", "192.0.2.1\n");
    let live = Live::start(&place, &[]);
    let mut loaded = Vec::new();
    for list in &LISTS {
        let before_kib = settled_kib(&live);
        let t = Instant::now();
        place.drop_file(list.file, list.text(2));
        println!("text {:?}", t.elapsed());
        live.await_answer(&list.last(), "2", LOADED);
        println!("load {:?}", t.elapsed());
        place.await_kept(list.file);
        let kib = settled_kib(&live) - before_kib;
        println!("{}: {kib} KiB, peak more {}", list.file, memory_kib(&live, "VmHWM") - before_kib);
        loaded.push(kib);
    }
    println!("{}", live.log());
    let all = settled_kib(&live);
    for (list, dataset_kib) in LISTS.iter().zip(loaded) {
        for value in [3, 4] {
            let text = list.text(value);
            let before_kib = settled_kib(&live);
            fs::write(format!("/proc/{}/clear_refs", live.id()), "5").expect("the peak begins anew");
            place.drop_file(list.file, text);
            live.await_answer(&list.last(), &value.to_string(), LOADED);
            place.await_kept(list.file);
            let more_kib = memory_kib(&live, "VmHWM").saturating_sub(before_kib);
            let after = settled_kib(&live);
            println!("{} {dataset_kib} KiB of data, {more_kib} KiB more while they were replaced: {:.3}; after {} of {all}", list.file, more_kib as f64 / dataset_kib as f64, after);
        }
    }
}
