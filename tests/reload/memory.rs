//! What a reload takes: a dataset is there twice while it is replaced, and once again soon after; what does not change is there once.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    thread,
    time::{Duration, Instant},
};

use super::{
    live::{Live, Place, await_true, gzip},
    support::{daemon::await_true_within, message::reversed},
};

/// These take some seconds each in a debug build, and many more on a busy machine, since loading gives way.
const LOADED: Duration = Duration::from_secs(120);
/// What the C library, two threads and their buffers may take beside the data while a list is loaded, whatever its size, or where
/// lines have texts of their own, with tables of those that are known, ...
const PEAK_KIB: u64 = 2_048;
const PEAK_OF_TEXTS_KIB: u64 = 3_584;
/// ... and what of that may stay.
const REST_KIB: u64 = 512;

/// A list that is replaced. There are so many entries that their data matter and nothing else does.
struct List {
    zone: &'static str,
    kind: &'static str,
    count: u32,
    /// What comes before the default value.
    head: &'static str,
    /// A line, given its number: lines come in no order.
    line: fn(u32) -> String,
    /// What is asked for to see that a line is live, before the zone's name.
    name: fn(u32) -> String,
    is_packed: bool,
    peak_kib: u64,
}

const LISTS: [List; 9] = [
    List { zone: "names.example", kind: "dnset", count: 1_000_000, line: mail, name: mail, ..HOSTS },
    HOSTS,
    List {
        zone: "prefixes.example",
        kind: "ip4trie",
        count: 1_500_000,
        line: |number| format!("{}/{}", prefix(number), 22 + number % 3),
        name: |number| reversed(prefix(number)),
        ..HOSTS
    },
    List {
        zone: "ending.example",
        count: 1_200_000,
        line: |number| format!("{} @ until={}", host(number), 4_000_000_000 + number % 86_400),
        ..HOSTS
    },
    List {
        zone: "sixes.example",
        kind: "ip6trie",
        count: 500_000,
        line: |number| format!("{}/{}", six(number), 48 + number % 3),
        name: |number| reversed(six(number)),
        ..HOSTS
    },
    List {
        zone: "seen.example",
        kind: "ip4seen",
        count: 1_200_000,
        head: "$LIFETIME 7300d\n",
        line: |number| format!("{} {}", host(number), 1_790_000_000 + number % 86_400),
        ..HOSTS
    },
    List {
        zone: "values.example",
        count: 100_000,
        line: |number| format!("{} because of reason {number}", host(number)),
        peak_kib: PEAK_OF_TEXTS_KIB,
        ..HOSTS
    },
    List { zone: "packed.example", count: 2_000_000, is_packed: true, ..HOSTS },
    List {
        zone: "both.example",
        kind: "combined",
        count: 1_500_000,
        head: "$DATASET dnset @\nlisted.test\n$DATASET ip4set @\n",
        line: |number| match number % 2 {
            0 => host(number).to_string(),
            _ => format!("{} @ until={}", host(number), 4_000_000_000 + number % 86_400),
        },
        ..HOSTS
    },
];

const HOSTS: List = List {
    zone: "hosts.example",
    kind: "ip4set",
    count: 2_500_000,
    head: "",
    line: |number| host(number).to_string(),
    name: |number| reversed(host(number)),
    is_packed: false,
    peak_kib: PEAK_KIB,
};

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

fn six(number: u32) -> Ipv6Addr {
    Ipv6Addr::from((0x2000_0000_0000_0000 + (u128::from(number) << 16)) << 64)
}

impl List {
    fn file(&self) -> String {
        format!("{}.{}{}", self.zone, self.kind, if self.is_packed { ".gz" } else { "" })
    }

    fn lines(&self) -> String {
        (0..u64::from(self.count)).fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{}", (self.line)((line * 7_919 % u64::from(self.count)) as u32));
            text
        })
    }

    /// Puts the lines into the file with a value, and what follows.
    fn drop_into(&self, place: &Place, value: u8, lines: &str, more: &str) {
        let text = format!("{}:{value}:\n{lines}{more}", self.head);
        place.drop_file(&self.file(), if self.is_packed { gzip(&text) } else { text.into_bytes() });
    }

    /// Puts the lines into the file with a value, and waits until they are live and kept.
    fn load(&self, live: &Live, place: &Place, value: u8, lines: &str) {
        self.drop_into(place, value, lines, "");
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

/// Tells what a list of so many KiB of data takes more for a while: as much once again, and nothing else that grows with it.
fn assert_peak(live: &Live, list: &List, dataset_kib: u64, before_kib: u64) {
    let more_kib = memory_kib(live, "VmHWM").saturating_sub(before_kib);
    let numbers = format!("{}: {dataset_kib} KiB of data, {more_kib} KiB more for a while", list.file());
    println!("{numbers}");
    // Where there are more cores a file is read in more parts.
    let pairs = thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)) as u64;
    assert!(more_kib <= dataset_kib + pairs * list.peak_kib, "{numbers}");
    assert!(more_kib > dataset_kib / 2, "the new data are there beside the old: {numbers} cannot be all");
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
        println!("{}: {dataset_kib} KiB", list.file());
        assert!(dataset_kib > 8 * REST_KIB, "{}: {dataset_kib} KiB are too few to measure", list.file());
        loaded.push((list, lines, dataset_kib));
        before_kib = after_kib;
    }
    let all_kib = before_kib;
    let anew = || {
        let before_kib = settled_kib(&live);
        fs::write(format!("/proc/{}/clear_refs", live.id()), "5").expect("the peak begins anew");
        before_kib
    };
    // Nor does it grow from one reload to the next. Where others have the processor it takes a while.
    let await_given_back = |list: &List, before_kib: u64| {
        let most_kib = (before_kib + REST_KIB).min(all_kib + 2 * REST_KIB);
        let is_given_back = || memory_kib(&live, "VmRSS") <= most_kib;
        let numbers = || {
            let now_kib = memory_kib(&live, "VmRSS");
            format!("{}: {all_kib} KiB at first, {before_kib} KiB before, {now_kib} KiB after", list.file())
        };
        await_true_within(LOADED, "all is given back", is_given_back, numbers);
        println!("{}", numbers());
    };
    for (list, lines, dataset_kib) in &loaded {
        let before_kib = anew();
        list.load(&live, &place, 3, lines);
        assert_peak(&live, list, *dataset_kib, before_kib);
        await_given_back(list, before_kib);
    }
    // What is refused is there as well, until it is.
    for (list, lines, dataset_kib) in loaded.iter().step_by(3) {
        let before_kib = anew();
        list.drop_into(&place, 4, lines, "192.0");
        let refused = format!("dnsbld_zone_load_failed_total{{zone=\"{}\",reason=\"cut_short\"}} 1\n", list.zone);
        await_true_within(LOADED, &refused, || live.metrics().contains(&refused), || live.log());
        assert_peak(&live, list, *dataset_kib, before_kib);
        await_given_back(list, before_kib);
    }
}
