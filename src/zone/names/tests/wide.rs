//! Sets of thousands of names: with few labels at the top and many below, or the other way round, labels that begin alike, and
//! octets of any kind, asked for names that are nearly theirs.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::*;
use crate::zone::scattered::{
    Numbering, Path, alike_name, random_label, random_now_s, random_value_count, rounds, to_wire,
};

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

    /// What is left of the lines of that name but those of the other scope.
    fn kept(&self, path: &[Vec<u8>], other: Scope) -> Vec<Claim> {
        let places = self.places.get(path).into_iter().flatten();
        let lines = places.map(|&place| &self.all[place]).filter(|line| line.1 != other);
        let lines: Vec<Line> = lines.map(|(_, scope, claim)| (Vec::new(), *scope, *claim)).collect();
        kept(lines.iter())
    }

    fn said(&self, path: &[Vec<u8>], other: Scope, context: &Context) -> Answer {
        in_force(&self.kept(path, other), context)
    }

    fn answer(&self, path: &[Vec<u8>], context: &Context) -> (Answer, usize) {
        let exact = self.said(path, Scope::Below, context);
        if is_said(&exact) {
            return (exact, path.len());
        }
        let wildcards = (0..path.len()).rev().map(|count| (self.said(&path[..count], Scope::Exact, context), count));
        wildcards.into_iter().find(|(answer, _)| is_said(answer)).unwrap_or((Some(Vec::new()), 0))
    }

    /// Whether any name below is listed that is not left out; `None` if so much is there that nobody goes over all of it.
    fn listed_below(
        &self,
        path: &[Vec<u8>],
        context: &Context,
        is_left_out: impl Fn(&[Vec<u8>], bool) -> bool,
    ) -> Option<bool> {
        let names: Vec<&Path> = self
            .places
            .range(path.to_vec()..)
            .map(|(name, _)| name)
            .take_while(|name| name.starts_with(path))
            .collect();
        if names.len() > 200 {
            return None;
        }
        let is_listed = |answer: Answer| matches!(answer, Some(values) if !values.is_empty());
        let other = [path, &[b"no such label".to_vec()]].concat();
        let is_any = |name: &&Path| {
            let lists =
                |other: Scope| is_listed(self.said(name, other, context)) && !is_left_out(name, other == Scope::Exact);
            name.len() > path.len() && (lists(Scope::Below) || lists(Scope::Exact))
        };
        Some(is_listed(self.answer(&other, context).0) || names.iter().any(is_any))
    }

    /// What is counted of all that is left of the lines.
    fn lifetimes(&self, now_s: u64) -> Lifetimes {
        let mut lifetimes = Lifetimes::default();
        for path in self.places.keys() {
            let [below, exact] = [Scope::Below, Scope::Exact].map(|other| self.kept(path, other));
            let excludes = |claim: &Claim| claim.value.is_none() && claim.is_unconditional();
            // Of a name and all below it the same is said.
            let is_same = below == exact || below.iter().any(excludes) && exact.iter().any(excludes);
            for claims in [Some(exact), Some(below).filter(|_| !is_same)].into_iter().flatten() {
                if claims.iter().any(excludes) {
                    lifetimes.all += 1;
                    continue;
                }
                let ends = || claims.iter().map(|claim| claim.until_s).filter(|until_s| *until_s != FOREVER_S);
                let next_s = ends().filter(|until_s| now_s < u64::from(*until_s)).min();
                let over = ends().filter(|until_s| now_s >= u64::from(*until_s)).count();
                lifetimes = lifetimes.and(Lifetimes { all: claims.len(), ending: ends().count(), over, next_s });
            }
        }
        lifetimes
    }
}

/// What the first of these levels says that says anything.
fn first_said(levels: &[Level], context: &Context) -> Answer {
    levels.iter().map(|claims| in_force(claims, context)).find(is_said).unwrap_or(Some(Vec::new()))
}

/// Whether a name is among some that are left out, which have nothing in common.
fn is_left_out(name: &[u8], is_wildcard: bool) -> bool {
    let sum = name.iter().fold(u32::from(is_wildcard), |sum, octet| sum.wrapping_mul(31).wrapping_add((*octet).into()));
    !sum.is_multiple_of(3)
}

fn random_lines(random: &mut SmallRng, count: usize, pools: &[u32]) -> Vec<(Path, Scope, Claim)> {
    let endless = random.random_ratio(1, 3);
    let wildcards_in_ten = random.random_range(0..=10);
    // Few names have few values, or some would have more than can count.
    let are_many = pools.iter().map(|pool| f64::from(*pool)).product::<f64>() > count as f64;
    let values = if are_many { random_value_count(random) } else { 5 };
    let mut lines: Vec<(Path, Scope, Claim)> = Vec::with_capacity(count);
    for _ in 0..count {
        let path = match lines.choose(random) {
            Some((near, ..)) if random.random_ratio(1, 3) => alike_name(random, near, pools[0]),
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
        lines.push((path, scope, Claim::random(random, 6, values, endless)));
    }
    lines
}

/// The set of these lines, put together from parts as files are that are loaded side by side.
fn built(random: &mut SmallRng, lines: &Lines) -> Names {
    let parts = random.random_range(1..4);
    let mut all = NamesBuilder::default();
    for part in lines.all.chunks(lines.all.len().div_ceil(parts).max(1)) {
        let numbering = Numbering::random(random);
        let mut builder = NamesBuilder::default();
        for (path, scope, claim) in part {
            builder.add(&to_wire(path), *scope, numbering.claim(*claim));
        }
        all.absorb(builder, numbering.values());
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
            1 => alike_name(random, near, pools[0]),
            2 => {
                let once = alike_name(random, near, 7);
                alike_name(random, &once, pools[0])
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
        let context = Context { now_s: random_now_s(random), keyed: random.random() };
        assert!(query.read(&wire).is_some());
        let found = look_up(&names, query.relative(path.len()), &context);
        let (expected, label_count) = lines.answer(&path, &context);
        let asked = || format!("{seed} {count}: {} {context:?}", Name::from_wire(&to_wire(&path)));
        if is_said(&expected) {
            assert_eq!(found.entry_label_count, label_count, "{}", asked());
        }
        assert_eq!(answer(found.finding, &context), expected, "{}", asked());
        let relative = query.relative(path.len());
        assert_eq!(first_said(&names.levels(relative), &context), expected, "levels {}", asked());
        if let Some(below) = lines.listed_below(&path, &context, |_, _| false) {
            assert_eq!(found.listed_below, below, "below {}", asked());
        }
        let is_out = |path: &[Vec<u8>], is_wildcard| {
            let reversed: Vec<u8> = path.iter().flat_map(|label| [&[label.len() as u8], &label[..]].concat()).collect();
            is_left_out(&reversed, is_wildcard)
        };
        if let Some(below) = lines.listed_below(&path, &context, is_out) {
            let is_out = |name: &Reversed, is_wildcard: bool| is_left_out(name.all(), is_wildcard);
            assert_eq!(names.any_below_but(relative, &context, is_out), below, "but some below {}", asked());
        }
    }
    for now_s in [0, 3, 1 << 31, 1 << 32] {
        assert_eq!(names.lifetimes(now_s), lines.lifetimes(now_s), "{seed} {count}");
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
    for seed in 0..rounds(8) {
        for (place, count) in [5, 40, 300, 2_500].into_iter().enumerate() {
            check(seed * 10 + place as u64, count);
        }
    }
    check(7, 60_000);
}
