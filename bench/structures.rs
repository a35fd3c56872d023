//! What an entry costs, and what a lookup: `cargo bench --bench structures`.
//!
//! Entries are made up with a fixed seed. *Spread* hosts are drawn from all of IPv4, *clustered* ones from 4,000 of its /16.
//! Lookups are timed in a row, the best run counts, misses at random from the whole space, hits at random from the entries.

use std::{hint::black_box, time::Instant};

use dnsbld::{
    wire::name::{Name, QueryName},
    zone::{
        addresses::{Addresses, AddressesBuilder, Specificity},
        names::{NamesBuilder, Scope},
        ruling::{Claim, Context},
        standing::Equals,
        values::{ValueId, ValuesBuilder},
    },
};
use rand::{Rng, SeedableRng, rngs::SmallRng};

const LOOKUPS: usize = 2_000_000;
/// The quickest of so many runs counts: what else the machine does only adds.
const RUNS: usize = 5;
const NOW: Context = Context { now_s: 1_800_000_000, keyed: false };

fn main() {
    let values = values(300);
    println!("{:44} {:>9} {:>8} {:>8} {:>8}", "", "bytes", "build ms", "miss ns", "hit ns");
    for count in [100, 100_000, 1_000_000, 10_000_000] {
        for clustered in [false, true] {
            hosts(&format!("{count} hosts"), &host_keys(count, clustered), clustered, &|_| Claim::listed(values[0]));
        }
    }
    let spread = host_keys(10_000_000, false);
    hosts("10000000 hosts, 30 values", &spread, false, &|line| Claim::listed(values[line % 30]));
    hosts("10000000 hosts, 300 values", &spread, false, &|line| Claim::listed(values[line % 300]));
    hosts("10000000 hosts, lifetimes", &spread, false, &|line| Claim {
        until_s: 1_800_000_000 + line as u32 % 3_600,
        ..Claim::listed(values[0])
    });
    let mut sorted = spread;
    sorted.sort_unstable();
    hosts("10000000 hosts, sorted file", &sorted, false, &|_| Claim::listed(values[0]));
    for lifetimes in [false, true] {
        prefixes_v4("ip4set of /24", 200_000, Specificity::Octets, &values, lifetimes);
    }
    for (specificity, text) in [(Specificity::Octets, "ip4set"), (Specificity::Prefix(Equals::First), "ip4trie")] {
        for lifetimes in [false, true] {
            prefixes_v4(text, 200_000, specificity, &values, lifetimes);
        }
    }
    prefixes_v4("ip4trie", 900_000, Specificity::Prefix(Equals::First), &values, false);
    prefixes_v6(200_000, &values);
    for lifetimes in [false, true] {
        names(1_000_000, &values, lifetimes);
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

fn report(what: &str, entries: usize, bytes: usize, build_ms: f64, miss_ns: f64, hit_ns: f64) {
    println!("{what:44} {:9.2} {build_ms:8.1} {miss_ns:8.1} {hit_ns:8.1}", bytes as f64 / entries as f64);
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

fn hosts(what: &str, keys: &[u32], clustered: bool, claim: &dyn Fn(usize) -> Claim) {
    let start = Instant::now();
    let mut builder = AddressesBuilder::new(Specificity::Octets);
    for (line, key) in keys.iter().enumerate() {
        builder.add_v4(*key, 32, claim(line));
    }
    let set = builder.build();
    let build_ms = start.elapsed().as_secs_f64() * 1e3;
    let find = |key: u128| set.find_v4(key as u32, &NOW).is_listed();
    let miss_ns = time(|random| u128::from(random.random::<u32>()), find);
    let hit_ns = time(|random| u128::from(keys[random.random_range(0..keys.len())]), find);
    let what = format!("{what}, {}", if clustered { "clustered" } else { "spread" });
    report(&what, keys.len(), set.memory_bytes(), build_ms, miss_ns, hit_ns);
}

fn claim(random: &mut SmallRng, values: &[ValueId], lifetimes: bool) -> Claim {
    let claim =
        if random.random_ratio(1, 20) { Claim::excluded() } else { Claim::listed(values[random.random_range(0..30)]) };
    if lifetimes { Claim { until_s: 1_800_000_000 + random.random_range(0..86_400), ..claim } } else { claim }
}

fn prefixes_v4(what: &str, count: usize, specificity: Specificity, values: &[ValueId], lifetimes: bool) {
    let longest_only = what.contains("/24");
    let mut random = random();
    let lines: Vec<(u32, u8, Claim)> = (0..count)
        .map(|_| {
            let length = if longest_only || random.random_ratio(1, 2) { 24 } else { random.random_range(14..=31) };
            (random.random(), length, claim(&mut random, values, lifetimes))
        })
        .collect();
    let start = Instant::now();
    let mut builder = AddressesBuilder::new(specificity);
    for &(address, length, claim) in &lines {
        builder.add_v4(address, length, claim);
    }
    let set = builder.build();
    let build_ms = start.elapsed().as_secs_f64() * 1e3;
    let find = |key: u128| set.find_v4(key as u32, &NOW).is_listed();
    let miss_ns = time(|random| u128::from(random.random::<u32>()), find);
    let hit_ns = time(|random| u128::from(lines[random.random_range(0..count)].0), find);
    let what = format!("{count} prefixes, {what}{}", if lifetimes { ", lifetimes" } else { "" });
    report(&what, count, set.memory_bytes(), build_ms, miss_ns, hit_ns);
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

fn prefixes_v6(count: usize, values: &[ValueId]) {
    let mut random = random();
    let lines: Vec<(u128, u8, Claim)> = (0..count)
        .map(|_| {
            let network = u128::from(0x2001_0000 + random.random_range(0..0x0a0f_0000_u32)) << 96;
            let address = network | random.random::<u128>() >> 32;
            (address, [32, 48, 56, 64][random.random_range(0..4)], claim(&mut random, values, false))
        })
        .collect();
    let start = Instant::now();
    let mut builder = AddressesBuilder::new(Specificity::Prefix(Equals::First));
    for &(address, length, claim) in &lines {
        builder.add_v6(address, length, claim);
    }
    let set = builder.build();
    let build_ms = start.elapsed().as_secs_f64() * 1e3;
    let find = |key: u128| set.find_v6(key, &NOW).is_listed();
    let miss_ns = time(|random| 0x2000 << 112 | random.random::<u128>() >> 4, find);
    let hit_ns = time(|random| lines[random.random_range(0..count)].0, find);
    report(&format!("{count} IPv6 prefixes"), count, set.memory_bytes(), build_ms, miss_ns, hit_ns);
}

fn random_name(random: &mut SmallRng) -> String {
    let length = random.random_range(4..=16);
    let label: String = (0..length).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect();
    let tld = ["com", "com", "com", "net", "org", "info", "xyz", "top", "de", "shop"][random.random_range(0..10)];
    format!("{label}.{tld}")
}

fn names(count: usize, values: &[ValueId], lifetimes: bool) {
    let mut random = random();
    let lines: Vec<(Name, Scope, Claim)> = (0..count)
        .map(|_| {
            let name = Name::parse(random_name(&mut random).as_bytes()).expect("a name");
            let scope = if random.random_ratio(3, 10) { Scope::Both } else { Scope::Exact };
            let value = if random.random_ratio(8, 10) { values[0] } else { values[random.random_range(0..10)] };
            let until_s = if lifetimes { 1_800_000_000 + random.random_range(0..86_400) } else { u32::MAX };
            (name, scope, Claim { until_s, ..Claim::listed(value) })
        })
        .collect();
    let start = Instant::now();
    let mut builder = NamesBuilder::default();
    for (name, scope, claim) in &lines {
        builder.add(name.as_wire(), *scope, *claim);
    }
    let set = builder.build();
    let build_ms = start.elapsed().as_secs_f64() * 1e3;
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
    let what = format!("{count} names{}", if lifetimes { ", lifetimes" } else { "" });
    report(&what, count, set.memory_bytes(), build_ms, miss_ns, hit_ns);
}
