//! Sets of thousands of names: with few labels at the top and many below, or the other way round, labels that begin alike, and
//! octets of any kind, asked for names that are nearly theirs.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::*;

/// Labels from the right, so that what is below a name comes right after it.
type Path = Vec<Vec<u8>>;

/// Lines by their names.
struct Lines {
    all: Vec<(Path, Scope, Claim)>,
    places: BTreeMap<Path, Vec<usize>>,
}

impl Lines {
    fn new(lines: Vec<(Path, Scope, Claim)>) -> Self {
        let mut places: BTreeMap<Path, Vec<usize>> = BTreeMap::new();
        for (place, (path, ..)) in lines.iter().enumerate() {
            places.entry(path.clone()).or_default().push(place);
        }
        Self { all: lines, places }
    }

    /// What the lines of that name say but those of the other scope.
    fn said(&self, path: &[Vec<u8>], other: Scope, context: &Context) -> Answer {
        let places = self.places.get(path).into_iter().flatten();
        let lines = places.map(|&place| &self.all[place]).filter(|line| line.1 != other);
        let lines: Vec<Line> = lines.map(|(_, scope, claim)| (Vec::new(), *scope, *claim)).collect();
        said(lines.iter(), context)
    }

    fn answer(&self, path: &[Vec<u8>], context: &Context) -> (Answer, usize) {
        let exact = self.said(path, Scope::Below, context);
        if is_said(&exact) {
            return (exact, path.len());
        }
        let wildcards = (0..path.len()).rev().map(|count| (self.said(&path[..count], Scope::Exact, context), count));
        wildcards.into_iter().find(|(answer, _)| is_said(answer)).unwrap_or((Some(Vec::new()), 0))
    }

    /// Whether any name below is listed; `None` if so much is there that nobody goes over all of it.
    fn listed_below(&self, path: &[Vec<u8>], context: &Context) -> Option<bool> {
        let names: Vec<&Path> = self
            .places
            .range(path.to_vec()..)
            .map(|(name, _)| name)
            .take_while(|name| name.starts_with(path))
            .collect();
        if names.len() > 200 {
            return None;
        }
        let is_listed = |name: &[Vec<u8>]| matches!(self.answer(name, context).0, Some(values) if !values.is_empty());
        let other = |name: &[Vec<u8>]| [name, &[b"no such label".to_vec()]].concat();
        let is_any = |name: &&Path| name.len() > path.len() && is_listed(name) || is_listed(&other(name));
        Some(is_listed(&other(path)) || names.iter().any(is_any))
    }
}

fn to_wire(path: &[Vec<u8>]) -> Vec<u8> {
    let labels = path.iter().rev().flat_map(|label| [&[label.len() as u8], &label[..]].concat());
    labels.chain([0]).collect()
}

fn random_label(random: &mut SmallRng, pool: u32) -> Vec<u8> {
    let number = random.random_range(0..pool);
    match number % 8 {
        0 => format!("{number}").into_bytes(),
        1 => format!("mail-{number}").into_bytes(),
        2 => vec![b'l'; (number % 63) as usize + 1],
        3 => (number % 6_000).to_be_bytes().map(|octet| octet.to_ascii_lowercase()).to_vec(),
        4 => format!("a-label-of-some-length-that-is-{number}-long").into_bytes(),
        _ => format!("{:x}", number.wrapping_mul(2_654_435_761)).into_bytes(),
    }
}

/// A name that is nearly that one.
fn alike(random: &mut SmallRng, path: &[Vec<u8>], pool: u32) -> Path {
    let mut path = path.to_vec();
    let at = random.random_range(0..path.len().max(1));
    match random.random_range(0..8) {
        0 => path.push(random_label(random, pool)),
        1 => path.insert(at, random_label(random, pool)),
        2 => path.truncate(at),
        3 if !path.is_empty() => path[at] = random_label(random, pool),
        4 if !path.is_empty() => _ = path.remove(at),
        5 if path.get(at).is_some_and(|label| label.len() > 1) => _ = path[at].pop(),
        6 if path.get(at).is_some_and(|label| label.len() < 63) => path[at].push(b'x'),
        7 if !path.is_empty() => {
            let octet = random.random_range(0..path[at].len());
            path[at][octet] = (path[at][octet] ^ 1).to_ascii_lowercase();
        }
        _ => {}
    }
    path
}

fn random_lines(random: &mut SmallRng, count: usize, pools: &[u32]) -> Vec<(Path, Scope, Claim)> {
    let endless = random.random_ratio(1, 3);
    let wildcards_in_ten = random.random_range(0..=10);
    let mut lines: Vec<(Path, Scope, Claim)> = Vec::with_capacity(count);
    for _ in 0..count {
        let path = match lines.choose(random) {
            Some((near, ..)) if random.random_ratio(1, 3) => alike(random, near, pools[0]),
            _ => pools[..random.random_range(1..=pools.len())].iter().map(|pool| random_label(random, *pool)).collect(),
        };
        if to_wire(&path).len() > NAME_MAX {
            continue;
        }
        let scope = match random.random_range(0..10) {
            number if number >= wildcards_in_ten => Scope::Exact,
            number if number % 2 == 0 => Scope::Below,
            _ => Scope::Both,
        };
        lines.push((path, scope, Claim::random(random, 6, 5, endless)));
    }
    lines
}

/// The set of these lines, put together from parts as files are that are loaded side by side.
fn built(random: &mut SmallRng, lines: &Lines) -> Names {
    let parts = random.random_range(1..4);
    let values: Vec<ValueId> = (0..5).map(ValueId).collect();
    let mut all = NamesBuilder::default();
    for part in lines.all.chunks(lines.all.len().div_ceil(parts).max(1)) {
        let mut builder = NamesBuilder::default();
        for (path, scope, claim) in part {
            builder.add(&to_wire(path), *scope, *claim);
        }
        all.absorb(builder, &values);
    }
    all.build(|_| {})
}

fn check(seed: u64, count: usize) {
    let random = &mut SmallRng::seed_from_u64(seed);
    let pools: Vec<u32> = (0..random.random_range(1..5)).map(|_| 1 << random.random_range(0..16)).collect();
    let lines = Lines::new(random_lines(random, count, &pools));
    let names = built(random, &lines);
    assert_eq!(names.entries(), lines.all.len());
    let mut query = QueryName::new();
    for _ in 0..600 {
        let (near, ..) = lines.all.choose(random).expect("lines");
        let path = match random.random_range(0..4) {
            0 => near.clone(),
            1 => alike(random, near, pools[0]),
            2 => {
                let once = alike(random, near, 7);
                alike(random, &once, pools[0])
            }
            _ => near[..random.random_range(0..=near.len())].to_vec(),
        };
        let mut wire = to_wire(&path);
        if random.random() {
            for octet in wire.iter_mut().filter(|octet| **octet > 63) {
                octet.make_ascii_uppercase();
            }
        }
        if wire.len() > NAME_MAX {
            continue;
        }
        let context = Context { now_s: random.random_range(0..7), keyed: random.random() };
        assert!(query.read(&wire).is_some());
        let found = look_up(&names, query.relative(path.len()), &context);
        let (expected, label_count) = lines.answer(&path, &context);
        let asked = || format!("{seed} {count}: {} {context:?}", Name::from_wire(&to_wire(&path)));
        if is_said(&expected) {
            assert_eq!(found.entry_label_count, label_count, "{}", asked());
        }
        assert_eq!(answer(found.finding, &context), expected, "{}", asked());
        if let Some(below) = lines.listed_below(&path, &context) {
            assert_eq!(found.listed_below, below, "below {}", asked());
        }
    }
    let mut visited: Vec<Name> = Vec::new();
    names.for_each(|name, _, _| visited.push(name.to_name()));
    visited.sort();
    let mut expected: Vec<Name> = lines.places.keys().map(|path| Name::from_wire(&to_wire(path))).collect();
    expected.sort();
    assert!(visited == expected, "{seed} {count}");
}

#[test]
fn thousands_of_names() {
    let rounds = std::env::var("DNSBLD_WIDE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(8);
    for seed in 0..rounds {
        for (place, count) in [5, 40, 300, 2_500].into_iter().enumerate() {
            check(seed * 10 + place as u64, count);
        }
    }
    check(7, 60_000);
}
