//! What an entry costs, and what a lookup: `cargo bench --bench structures`; without the lookups, but with more sorts of lists,
//! `cargo bench --bench structures -- building`.
//!
//! *Most* is the most memory that is held at a time while lines become entries, the entries included, so that a reload needs
//! that and the old entries.
//!
//! Entries are made up with a fixed seed. *Spread* hosts are drawn from all of IPv4, *clustered* ones from 4,000 of its /16.
//! Lookups are timed in a row, the best run counts, misses at random from the whole space, hits at random from the entries.
//!
//! Times are taken by hand here: a row has the bytes, the building and the lookups of one and the same set, whose ten million
//! entries take seconds to make, and a harness has nothing to say of bytes. What it says of the lookups, with the spread of
//! many samples, is in `parts` (`find_host`, `find_prefix`, `find_name`).

use std::{hint::black_box, time::Instant};

#[path = "support/peak.rs"]
mod peak;

use dnsbld::{
    wire::name::{Name, QueryName, RelativeName},
    zone::{
        addresses::{Addresses, AddressesBuilder, Specificity},
        names::{Glance, Names, NamesBuilder, Scope},
        ruling::{Claim, Context, FOREVER_S},
        standing::Equals,
        values::{ValueId, ValuesBuilder},
    },
};
use rand::{Rng, SeedableRng, rngs::SmallRng};

const LOOKUPS: usize = 2_000_000;
/// The quickest of so many runs counts: what else the machine does only adds.
const RUNS: usize = 5;
const NOW: Context = Context { now_s: 1_800_000_000, keyed: false };

#[global_allocator]
static ALLOCATOR: peak::Counting = peak::Counting;

const DAY_S: u32 = 86_400;
const YEAR_S: u32 = 365 * DAY_S;

/// Which entries end, and within how many seconds of each other.
#[derive(Clone, Copy)]
struct Ends {
    /// One in so many; 0 is none.
    one_in: u32,
    within_s: u32,
}

const NEVER: Ends = Ends { one_in: 0, within_s: 1 };
const A_DAY: Ends = Ends { one_in: 1, within_s: DAY_S };

/// All entries end, or some.
const SOME: [Ends; 9] = [
    A_DAY,
    Ends { one_in: 1, within_s: 30 * DAY_S },
    Ends { one_in: 1, within_s: YEAR_S },
    Ends { one_in: 2, within_s: DAY_S },
    Ends { one_in: 2, within_s: YEAR_S },
    Ends { one_in: 10, within_s: DAY_S },
    Ends { one_in: 10, within_s: YEAR_S },
    Ends { one_in: 100, within_s: DAY_S },
    Ends { one_in: 100, within_s: YEAR_S },
];

impl Ends {
    /// What a list says whose entries end so.
    fn words(self) -> String {
        match self.one_in {
            0 => String::new(),
            1 => format!(", ends within {} d", self.within_s / DAY_S),
            one_in => format!(", 1/{one_in} ends in {} d", self.within_s / DAY_S),
        }
    }

    /// When an entry ends.
    fn draw(self, random: &mut SmallRng) -> u32 {
        if self.one_in > 0 && random.random_ratio(1, self.one_in) {
            1_800_000_000 + random.random_range(0..self.within_s)
        } else {
            FOREVER_S
        }
    }

    /// When the entry of a line ends.
    fn of_line(self, line: usize) -> u32 {
        self.draw(&mut SmallRng::seed_from_u64(line as u64))
    }
}

fn main() {
    let values = values(300);
    if std::env::args().any(|argument| argument == "building") {
        building(&values);
        return;
    }
    println!("{:44} {:>7} {:>7} {:>8} {:>8} {:>8}", "", "bytes", "most", "build ms", "miss ns", "hit ns");
    for count in [100, 100_000, 1_000_000, 10_000_000] {
        for clustered in [false, true] {
            hosts(&format!("{count} hosts"), &host_keys(count, clustered), clustered, &|_| Claim::listed(values[0]));
        }
    }
    let spread = host_keys(10_000_000, false);
    hosts("10000000 hosts, 30 values", &spread, false, &|line| Claim::listed(values[line % 30]));
    hosts("10000000 hosts, 300 values", &spread, false, &|line| Claim::listed(values[line % 300]));
    let ending_claim = |line| Claim { until_s: A_DAY.of_line(line), ..Claim::listed(values[0]) };
    hosts(&format!("10000000 hosts{}", A_DAY.words()), &spread, false, &ending_claim);
    let mut sorted = spread;
    sorted.sort_unstable();
    hosts("10000000 hosts, sorted file", &sorted, false, &|_| Claim::listed(values[0]));
    for ends in [NEVER, A_DAY] {
        prefixes_v4("ip4set of /24", 200_000, Specificity::Octets, &values, ends);
    }
    for (specificity, text) in [(Specificity::Octets, "ip4set"), (Specificity::Prefix(Equals::First), "ip4trie")] {
        for ends in [NEVER, A_DAY] {
            prefixes_v4(text, 200_000, specificity, &values, ends);
        }
    }
    prefixes_v4("ip4trie", 900_000, Specificity::Prefix(Equals::First), &values, NEVER);
    prefixes_v6(200_000, &values);
    for ends in [NEVER, A_DAY] {
        names(1_000_000, &values, ends);
    }
}

/// Lists of many shapes, built and not asked.
fn building(values: &[ValueId]) {
    println!("{:44} {:>7} {:>7} {:>8}", "", "bytes", "most", "build ms");
    for count in [1_000_000, 10_000_000] {
        for (order, is_sorted) in [("sorted", true), ("shuffled", false)] {
            let mut keys = host_keys(count, false);
            if is_sorted {
                keys.sort_unstable();
            }
            let hosts = |what: &str, claim: &dyn Fn(usize) -> Claim| {
                build_hosts(&format!("{count} hosts, {order}{what}"), &keys, claim);
                println!();
            };
            hosts("", &|_| Claim::listed(values[0]));
            hosts(", 30 values", &|line| Claim::listed(values[line % 30]));
            for ends in SOME {
                let claim = |line| Claim { until_s: ends.of_line(line), ..Claim::listed(values[0]) };
                hosts(&ends.words(), &claim);
            }
        }
    }
    for ends in [NEVER].into_iter().chain(SOME) {
        let lines = prefix_lines(200_000, false, values, ends);
        let what = ends.words();
        build_prefixes(&format!("200000 prefixes, ip4set{what}"), &lines, Specificity::Octets);
        println!();
        build_prefixes(&format!("200000 prefixes, ip4trie{what}"), &lines, Specificity::Prefix(Equals::First));
        println!();
    }
    for ends in [NEVER].into_iter().chain(SOME) {
        build_v6(&ends.words(), &v6_lines(200_000, values, ends));
        println!();
    }
    for (order, is_sorted) in [("sorted", true), ("shuffled", false)] {
        for ends in [NEVER].into_iter().chain(SOME) {
            let mut lines = name_lines(1_000_000, values, ends);
            if is_sorted {
                lines.sort_by(|one, two| one.0.as_wire().cmp(two.0.as_wire()));
            }
            let what = ends.words();
            build_names(&format!("1000000 names, {order}{what}"), &lines);
            println!();
        }
    }
}

fn values(count: u32) -> Vec<ValueId> {
    let mut builder = ValuesBuilder::default();
    (0..count).map(|value| builder.intern((0x7f00_0000 + value).into(), b"")).collect()
}

fn random() -> SmallRng {
    SmallRng::seed_from_u64(1)
}

fn host_keys(count: usize, clustered: bool) -> Vec<u32> {
    let mut random = random();
    (0..count)
        .map(|_| {
            if clustered {
                (random.random_range(0..4_000) * 16) << 16 | random.random_range(0..65_536)
            } else {
                random.random()
            }
        })
        .collect()
}

/// Builds, and prints what it took; the line stays open.
fn built<T>(what: &str, entries: usize, build: impl FnOnce() -> T, bytes: impl Fn(&T) -> usize) -> T {
    let (since, start) = (peak::Since::now(), Instant::now());
    let set = build();
    let (most, build_ms) = (since.peak(), start.elapsed().as_secs_f64() * 1e3);
    let each = |bytes: usize| bytes as f64 / entries as f64;
    print!("{what:44} {:7.2} {:7.2} {build_ms:8.1}", each(bytes(&set)), each(most));
    set
}

/// Nanoseconds for each of the lookups.
fn time(keys: impl Fn(&mut SmallRng) -> u128, find: impl Fn(u128) -> bool) -> f64 {
    let mut random = random();
    let keys: Vec<u128> = (0..LOOKUPS).map(|_| keys(&mut random)).collect();
    let run = |_| {
        let start = Instant::now();
        black_box(keys.iter().filter(|key| find(**key)).count());
        start.elapsed().as_nanos() as f64 / LOOKUPS as f64
    };
    (0..RUNS).map(run).fold(f64::INFINITY, f64::min)
}

fn build_hosts(what: &str, keys: &[u32], claim: &dyn Fn(usize) -> Claim) -> Addresses {
    let build = || {
        let mut builder = AddressesBuilder::new(Specificity::Octets);
        for (line, key) in keys.iter().enumerate() {
            builder.add_v4(*key, 32, claim(line));
        }
        builder.build(|_, _, _| {})
    };
    built(what, keys.len(), build, Addresses::memory_bytes)
}

fn hosts(what: &str, keys: &[u32], clustered: bool, claim: &dyn Fn(usize) -> Claim) {
    let what = format!("{what}, {}", if clustered { "clustered" } else { "spread" });
    let set = build_hosts(&what, keys, claim);
    let find = |key: u128| set.find_v4(key as u32, &NOW).is_listed();
    let miss_ns = time(|random| u128::from(random.random::<u32>()), find);
    let hit_ns = time(|random| u128::from(keys[random.random_range(0..keys.len())]), find);
    lookups(miss_ns, hit_ns);
}

/// Ends the line with what lookups cost.
fn lookups(miss_ns: f64, hit_ns: f64) {
    println!(" {miss_ns:8.1} {hit_ns:8.1}");
}

fn claim(random: &mut SmallRng, values: &[ValueId], ends: Ends) -> Claim {
    let claim =
        if random.random_ratio(1, 20) { Claim::excluded() } else { Claim::listed(values[random.random_range(0..30)]) };
    Claim { until_s: ends.draw(random), ..claim }
}

fn prefix_lines(count: usize, all_24: bool, values: &[ValueId], ends: Ends) -> Vec<(u32, u8, Claim)> {
    let mut random = random();
    (0..count)
        .map(|_| {
            let length = if all_24 || random.random_ratio(1, 2) { 24 } else { random.random_range(14..=31) };
            (random.random(), length, claim(&mut random, values, ends))
        })
        .collect()
}

fn build_prefixes(what: &str, lines: &[(u32, u8, Claim)], specificity: Specificity) -> Addresses {
    let build = || {
        let mut builder = AddressesBuilder::new(specificity);
        for &(address, length, claim) in lines {
            builder.add_v4(address, length, claim);
        }
        builder.build(|_, _, _| {})
    };
    built(what, lines.len(), build, Addresses::memory_bytes)
}

fn prefixes_v4(what: &str, count: usize, specificity: Specificity, values: &[ValueId], ends: Ends) {
    let lines = prefix_lines(count, what.contains("/24"), values, ends);
    let what = format!("{count} prefixes, {what}{}", ends.words());
    let set = build_prefixes(&what, &lines, specificity);
    let find = |key: u128| set.find_v4(key as u32, &NOW).is_listed();
    let miss_ns = time(|random| u128::from(random.random::<u32>()), find);
    let hit_ns = time(|random| u128::from(lines[random.random_range(0..count)].0), find);
    lookups(miss_ns, hit_ns);
    empty_non_terminals(&set);
}

/// What the question costs whether anything in a /8, /16 or /24 is listed.
fn empty_non_terminals(set: &Addresses) {
    let any = |length: u32| {
        time(
            |random| u128::from(random.random::<u32>()),
            |key| {
                let host = u32::MAX >> length;
                set.any_listed_v4(key as u32 & !host, key as u32 | host, &NOW)
            },
        )
    };
    println!("{:44} {:.0} {:.0} {:.0} ns", "  anything listed in /8, /16, /24", any(8), any(16), any(24));
}

fn v6_lines(count: usize, values: &[ValueId], ends: Ends) -> Vec<(u128, u8, Claim)> {
    let mut random = random();
    (0..count)
        .map(|_| {
            let network = u128::from(0x2001_0000 + random.random_range(0..0x0a0f_0000_u32)) << 96;
            let address = network | random.random::<u128>() >> 32;
            (address, [32, 48, 56, 64][random.random_range(0..4)], claim(&mut random, values, ends))
        })
        .collect()
}

fn build_v6(what: &str, lines: &[(u128, u8, Claim)]) -> Addresses {
    let build = || {
        let mut builder = AddressesBuilder::new(Specificity::Prefix(Equals::First));
        for &(address, length, claim) in lines {
            builder.add_v6(address, length, claim);
        }
        builder.build(|_, _, _| {})
    };
    built(&format!("{} IPv6 prefixes{what}", lines.len()), lines.len(), build, Addresses::memory_bytes)
}

fn prefixes_v6(count: usize, values: &[ValueId]) {
    let lines = v6_lines(count, values, NEVER);
    let set = build_v6("", &lines);
    let find = |key: u128| set.find_v6(key, &NOW).is_listed();
    let miss_ns = time(|random| 0x2000 << 112 | random.random::<u128>() >> 4, find);
    let hit_ns = time(|random| lines[random.random_range(0..count)].0, find);
    lookups(miss_ns, hit_ns);
}

fn random_name(random: &mut SmallRng) -> String {
    let length = random.random_range(4..=16);
    let label: String = (0..length).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect();
    let tld = ["com", "com", "com", "net", "org", "info", "xyz", "top", "de", "shop"][random.random_range(0..10)];
    format!("{label}.{tld}")
}

fn name_lines(count: usize, values: &[ValueId], ends: Ends) -> Vec<(Name, Scope, Claim)> {
    let mut random = random();
    (0..count)
        .map(|_| {
            let name = Name::parse(random_name(&mut random).as_bytes()).expect("a name");
            let scope = if random.random_ratio(3, 10) { Scope::Both } else { Scope::Exact };
            let value = if random.random_ratio(8, 10) { values[0] } else { values[random.random_range(0..10)] };
            (name, scope, Claim { until_s: ends.draw(&mut random), ..Claim::listed(value) })
        })
        .collect()
}

fn build_names(what: &str, lines: &[(Name, Scope, Claim)]) -> Names {
    let build = || {
        let mut builder = NamesBuilder::default();
        for (name, scope, claim) in lines {
            builder.add(name.as_wire(), *scope, *claim);
        }
        builder.build(|_| {})
    };
    built(what, lines.len(), build, Names::memory_bytes)
}

/// Asks as a query of the usual kind does.
fn is_listed(set: &Names, name: RelativeName<'_>) -> bool {
    match set.glance(name, &NOW) {
        Glance::Nothing => false,
        Glance::One { .. } => true,
        Glance::Unclear => set.look_up(name, &NOW).finding.is_listed(),
    }
}

fn names(count: usize, values: &[ValueId], ends: Ends) {
    let lines = name_lines(count, values, ends);
    let set = build_names(&format!("{count} names{}", ends.words()), &lines);
    let mut random = random();
    // Reading the name from the wire is part of it: names that were read would not fit the cache.
    let time = |queries: &[Name]| {
        let octets: Vec<u8> = queries.iter().flat_map(Name::as_wire).copied().collect();
        let run = |_| {
            let (mut query, mut at, mut found) = (QueryName::new(), 0, 0);
            let start = Instant::now();
            while at < octets.len() {
                at += query.read(&octets[at..]).expect("a name");
                found += usize::from(is_listed(&set, query.relative(query.label_count())));
            }
            black_box(found);
            start.elapsed().as_nanos() as f64 / queries.len() as f64
        };
        (0..RUNS).map(run).fold(f64::INFINITY, f64::min)
    };
    let unlisted =
        |random: &mut SmallRng| Name::parse(format!("www.{}", random_name(random)).as_bytes()).expect("a name");
    let miss_ns = time(&(0..LOOKUPS).map(|_| unlisted(&mut random)).collect::<Vec<_>>());
    let hit_ns = time(&(0..LOOKUPS).map(|_| lines[random.random_range(0..count)].0.clone()).collect::<Vec<_>>());
    lookups(miss_ns, hit_ns);
}
