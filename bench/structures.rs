//! What an entry costs, and what a lookup: `cargo bench --bench structures`; without the lookups, but with more sorts of lists,
//! `cargo bench --bench structures -- building`.
//!
//! *Most* is the most memory that is held at a time while lines become entries, the entries included, so that a reload needs
//! that and the old entries.
//!
//! Entries are made up with a fixed seed. *Spread* hosts are drawn from all of IPv4, *clustered* ones from 4,000 of its /16.
//! Lookups are timed in a row, the best run counts, misses at random from the whole space, hits at random from the entries.

use std::{hint::black_box, time::Instant};

#[path = "support/peak.rs"]
mod peak;

use dnsbld::{
    wire::name::{Name, QueryName},
    zone::{
        addresses::{Addresses, AddressesBuilder, Specificity},
        names::{Names, NamesBuilder, Scope},
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

/// Stands for entries that do not end, where others have the seconds within which all do.
const NEVER: u32 = 0;
const DAY_S: u32 = 86_400;
const SPREADS_S: [u32; 3] = [DAY_S, 30 * DAY_S, 365 * DAY_S];

/// What a list says whose entries end within so many seconds of each other.
fn ending(within_s: u32) -> String {
    if within_s == NEVER { String::new() } else { format!(", ends within {} d", within_s / DAY_S) }
}

/// When the entry of a line ends, of a list whose entries end within so many seconds of each other.
fn until_s(line: usize, within_s: u32) -> u32 {
    1_800_000_000 + (line as u32).wrapping_mul(2_654_435_761) % within_s
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
    let ending_claim = |line| Claim { until_s: until_s(line, DAY_S), ..Claim::listed(values[0]) };
    hosts(&format!("10000000 hosts{}", ending(DAY_S)), &spread, false, &ending_claim);
    let mut sorted = spread;
    sorted.sort_unstable();
    hosts("10000000 hosts, sorted file", &sorted, false, &|_| Claim::listed(values[0]));
    for within_s in [NEVER, DAY_S] {
        prefixes_v4("ip4set of /24", 200_000, Specificity::Octets, &values, within_s);
    }
    for (specificity, text) in [(Specificity::Octets, "ip4set"), (Specificity::Prefix(Equals::First), "ip4trie")] {
        for within_s in [NEVER, DAY_S] {
            prefixes_v4(text, 200_000, specificity, &values, within_s);
        }
    }
    prefixes_v4("ip4trie", 900_000, Specificity::Prefix(Equals::First), &values, NEVER);
    prefixes_v6(200_000, &values);
    for within_s in [NEVER, DAY_S] {
        names(1_000_000, &values, within_s);
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
            for within_s in SPREADS_S {
                let claim = |line| Claim { until_s: until_s(line, within_s), ..Claim::listed(values[0]) };
                hosts(&ending(within_s), &claim);
            }
            for step in [2, 10] {
                let ends = |line: usize| if line.is_multiple_of(step) { until_s(line, DAY_S) } else { FOREVER_S };
                let claim = |line| Claim { until_s: ends(line), ..Claim::listed(values[0]) };
                hosts(&format!(", 1 in {step} ends"), &claim);
            }
        }
    }
    for within_s in [NEVER].into_iter().chain(SPREADS_S) {
        let lines = prefix_lines(200_000, false, values, within_s);
        let what = ending(within_s);
        build_prefixes(&format!("200000 prefixes, ip4set{what}"), &lines, Specificity::Octets);
        println!();
        build_prefixes(&format!("200000 prefixes, ip4trie{what}"), &lines, Specificity::Prefix(Equals::First));
        println!();
    }
    for within_s in [NEVER].into_iter().chain(SPREADS_S) {
        build_v6(&ending(within_s), &v6_lines(200_000, values, within_s));
        println!();
    }
    for (order, is_sorted) in [("sorted", true), ("shuffled", false)] {
        for within_s in [NEVER].into_iter().chain(SPREADS_S) {
            let mut lines = name_lines(1_000_000, values, within_s);
            if is_sorted {
                lines.sort_by(|one, two| one.0.as_wire().cmp(two.0.as_wire()));
            }
            let what = ending(within_s);
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
        builder.build()
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

fn claim(random: &mut SmallRng, values: &[ValueId], within_s: u32) -> Claim {
    let claim =
        if random.random_ratio(1, 20) { Claim::excluded() } else { Claim::listed(values[random.random_range(0..30)]) };
    if within_s == NEVER { claim } else { Claim { until_s: 1_800_000_000 + random.random_range(0..within_s), ..claim } }
}

fn prefix_lines(count: usize, all_24: bool, values: &[ValueId], within_s: u32) -> Vec<(u32, u8, Claim)> {
    let mut random = random();
    (0..count)
        .map(|_| {
            let length = if all_24 || random.random_ratio(1, 2) { 24 } else { random.random_range(14..=31) };
            (random.random(), length, claim(&mut random, values, within_s))
        })
        .collect()
}

fn build_prefixes(what: &str, lines: &[(u32, u8, Claim)], specificity: Specificity) -> Addresses {
    let build = || {
        let mut builder = AddressesBuilder::new(specificity);
        for &(address, length, claim) in lines {
            builder.add_v4(address, length, claim);
        }
        builder.build()
    };
    built(what, lines.len(), build, Addresses::memory_bytes)
}

fn prefixes_v4(what: &str, count: usize, specificity: Specificity, values: &[ValueId], within_s: u32) {
    let lines = prefix_lines(count, what.contains("/24"), values, within_s);
    let what = format!("{count} prefixes, {what}{}", ending(within_s));
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

fn v6_lines(count: usize, values: &[ValueId], within_s: u32) -> Vec<(u128, u8, Claim)> {
    let mut random = random();
    (0..count)
        .map(|_| {
            let network = u128::from(0x2001_0000 + random.random_range(0..0x0a0f_0000_u32)) << 96;
            let address = network | random.random::<u128>() >> 32;
            (address, [32, 48, 56, 64][random.random_range(0..4)], claim(&mut random, values, within_s))
        })
        .collect()
}

fn build_v6(what: &str, lines: &[(u128, u8, Claim)]) -> Addresses {
    let build = || {
        let mut builder = AddressesBuilder::new(Specificity::Prefix(Equals::First));
        for &(address, length, claim) in lines {
            builder.add_v6(address, length, claim);
        }
        builder.build()
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

fn name_lines(count: usize, values: &[ValueId], within_s: u32) -> Vec<(Name, Scope, Claim)> {
    let mut random = random();
    (0..count)
        .map(|_| {
            let name = Name::parse(random_name(&mut random).as_bytes()).expect("a name");
            let scope = if random.random_ratio(3, 10) { Scope::Both } else { Scope::Exact };
            let value = if random.random_ratio(8, 10) { values[0] } else { values[random.random_range(0..10)] };
            let until_s = if within_s == NEVER { FOREVER_S } else { 1_800_000_000 + random.random_range(0..within_s) };
            (name, scope, Claim { until_s, ..Claim::listed(value) })
        })
        .collect()
}

fn build_names(what: &str, lines: &[(Name, Scope, Claim)]) -> Names {
    let build = || {
        let mut builder = NamesBuilder::default();
        for (name, scope, claim) in lines {
            builder.add(name.as_wire(), *scope, *claim);
        }
        builder.build()
    };
    built(what, lines.len(), build, Names::memory_bytes)
}

fn names(count: usize, values: &[ValueId], within_s: u32) {
    let lines = name_lines(count, values, within_s);
    let set = build_names(&format!("{count} names{}", ending(within_s)), &lines);
    let mut random = random();
    // Reading the name from the wire is part of it: names that were read would not fit the cache.
    let time = |queries: &[Name]| {
        let octets: Vec<u8> = queries.iter().flat_map(Name::as_wire).copied().collect();
        let run = |_| {
            let (mut query, mut at, mut found) = (QueryName::new(), 0, 0);
            let start = Instant::now();
            while at < octets.len() {
                at += query.read(&octets[at..]).expect("a name");
                found += usize::from(set.look_up(query.relative(query.label_count()), &NOW).finding.is_listed());
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
