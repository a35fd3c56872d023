//! Sets from all over the address space, dense here and sparse there, asked for addresses that are far from all entries and alike
//! to some in part of their bits.

use std::{collections::HashMap, ops::RangeInclusive};

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::*;
use crate::zone::scattered::{Numbering, alike, host_mask, random_now_s, random_value_count, rounds};

/// Lines, and where those of a prefix are.
struct Lines {
    bits: u8,
    all: Vec<Line>,
    places: HashMap<(u128, u8), Vec<usize>, foldhash::fast::RandomState>,
    /// Where what is said may change, in order.
    borders: Vec<u128>,
}

impl Lines {
    fn new(bits: u8, lines: Vec<Line>) -> Self {
        let mut places: HashMap<_, Vec<usize>, _> = HashMap::default();
        let mut borders = Vec::new();
        for (place, &(start, length, _)) in lines.iter().enumerate() {
            places.entry((start, length)).or_default().push(place);
            borders.extend([Some(start), last_of(bits, start, length).checked_add(1)].into_iter().flatten());
        }
        borders.sort_unstable();
        Self { bits, all: lines, places, borders }
    }

    /// The lines of such lengths that cover an address; the others do not matter to it.
    fn covering(&self, address: u128, lengths: RangeInclusive<u8>) -> Vec<Line> {
        let mut places: Vec<usize> = lengths
            .filter_map(|length| self.places.get(&(address & !host_mask(self.bits, length), length)))
            .flatten()
            .copied()
            .collect();
        places.sort_unstable();
        places.iter().map(|&place| self.all[place]).collect()
    }

    /// What is said by the lines of the first level that say anything.
    fn answer(&self, specificity: Specificity, address: u128, context: &Context) -> Answer {
        let is_octets = specificity == Specificity::Octets && self.bits == 32;
        let mut longest = Some(self.bits);
        while let Some(length) = longest {
            let shortest = match length {
                _ if !is_octets => length,
                9.. => length - 7,
                _ => 0,
            };
            longest = shortest.checked_sub(1);
            let lines = self.covering(address, shortest..=length);
            if !lines.is_empty() {
                let said = model(&lines, self.bits, specificity, address, context);
                if said.as_ref().is_none_or(|values| !values.is_empty()) {
                    return said;
                }
            }
        }
        Some(Vec::new())
    }

    /// Whether anything in a range is listed; `None` if so much is there that nobody goes over all of it.
    fn any_listed(&self, specificity: Specificity, range: Run<u128>, context: &Context) -> Option<bool> {
        let [first, end] = [range.first, range.last].map(|at| self.borders.partition_point(|border| *border <= at));
        let within = Some(&self.borders[first..end]).filter(|within| within.len() < 100)?;
        let is_listed =
            |address: &u128| self.answer(specificity, *address, context).is_some_and(|values| !values.is_empty());
        Some(std::iter::once(&range.first).chain(within).any(is_listed))
    }
}

fn last_of(bits: u8, start: u128, length: u8) -> u128 {
    start | host_mask(bits, length)
}

fn random_lines(random: &mut SmallRng, bits: u8, count: usize) -> Vec<Line> {
    let all = host_mask(bits, 0);
    let mut seeds = vec![random.random::<u128>() & all];
    let endless = random.random_ratio(1, 3);
    let hosts_in_ten = random.random_range(0..=10);
    let freshness = random.random_range(1..50);
    let narrow = random.random_range(0..bits);
    let values = random_value_count(random);
    let is_apart = random.random_ratio(1, 2);
    let mut lines: Vec<Line> = Vec::with_capacity(count);
    for _ in 0..count {
        let address = match seeds.choose(random) {
            Some(_) if !is_apart && random.random_ratio(1, freshness) => random.random::<u128>() & all,
            // Near one another, in as many bits as this list likes.
            Some(seed) if is_apart || random.random() => {
                seed & !(all >> narrow) | random.random::<u128>() & all >> narrow
            }
            Some(seed) => alike(random, bits, *seed),
            None => 0,
        };
        if seeds.len() < 200 {
            seeds.push(address);
        }
        let length = match random.random_range(0..10) {
            shape if shape < hosts_in_ten => bits,
            0..7 => random.random_range(bits / 2..=bits),
            _ => random.random_range(1..=bits),
        };
        lines.push((address & !host_mask(bits, length), length, Claim::random(random, 5, values, endless)));
    }
    lines
}

/// The set of these lines, put together from parts as files are that are loaded side by side.
fn built(random: &mut SmallRng, lines: &Lines, specificity: Specificity) -> Addresses {
    let parts = random.random_range(1..4);
    let mut all = AddressesBuilder::new(specificity);
    for part in lines.all.chunks(lines.all.len().div_ceil(parts).max(1)) {
        let numbering = Numbering::random(random);
        let mut builder = AddressesBuilder::new(specificity);
        for &(start, length, claim) in part {
            let claim = numbering.claim(claim);
            match lines.bits {
                32 => builder.add_v4(start as u32, length, claim),
                _ => builder.add_v6(start, length, claim),
            }
        }
        all.absorb(builder, numbering.values());
    }
    all.build(|_, _, _| {})
}

fn find<'a>(set: &'a Addresses, bits: u8, address: u128, context: &Context) -> Finding<'a> {
    if bits == 32 { set.find_v4(address as u32, context) } else { set.find_v6(address, context) }
}

fn any_listed(set: &Addresses, bits: u8, range: Run<u128>, context: &Context) -> bool {
    if bits == 32 {
        set.any_listed_v4(range.first as u32, range.last as u32, context)
    } else {
        set.any_listed_v6(range.first, range.last, context)
    }
}

fn check(seed: u64, bits: u8, count: usize, specificity: Specificity) {
    let random = &mut SmallRng::seed_from_u64(seed);
    let lines = Lines::new(bits, random_lines(random, bits, count));
    let set = built(random, &lines, specificity);
    for _ in 0..600 {
        let &(start, length, _) = lines.all.choose(random).expect("lines");
        let end = if random.random() { start } else { last_of(bits, start, length) };
        let all = host_mask(bits, 0);
        let address = match random.random_range(0..6) {
            0 => end,
            1 => end.wrapping_add(1) & all,
            2 => end.wrapping_sub(1) & all,
            3 => random.random::<u128>() & all,
            _ => alike(random, bits, end),
        };
        let context = Context { now_s: random_now_s(random), keyed: random.random() };
        let expected = lines.answer(specificity, address, &context);
        let found = answer(find(&set, bits, address, &context), &context);
        assert_eq!(found, expected, "{seed} {bits} {count} {specificity:?}: {address:x} {context:?}");

        let wide = host_mask(bits, random.random_range(0..=bits));
        let range = Run { first: address & !wide, last: address | wide };
        let Some(expected) = lines.any_listed(specificity, range, &context) else { continue };
        let found = any_listed(&set, bits, range, &context);
        assert_eq!(found, expected, "{seed} {bits} {count} {specificity:?}: {range:x?} {context:?}");
    }
    check_visits(&lines, &set, specificity);
    for now_s in [0, 1, 2, 3, 4, 5, 6, 1 << 31, 1 << 32] {
        let Lifetimes { all, ending, over, next_s } = set.lifetimes(now_s);
        let left = ending - over;
        assert!(ending <= all && next_s.is_some() == (left > 0), "{seed} {bits} {count}");
        assert!(next_s.is_none_or(|next_s| u64::from(next_s) > now_s), "{seed} {bits} {count}");
        let context = Context { now_s, keyed: true };
        for address in
            set.some_listed_v4(20, &context).into_iter().map(u128::from).chain(set.some_listed_v6(20, &context))
        {
            let expected = lines.answer(specificity, address, &context);
            assert!(
                expected.is_some_and(|values| !values.is_empty()),
                "{seed} {bits} {count}: {address:x} {context:?}"
            );
        }
    }
}

/// Where something is said, and only there, pieces are visited, and they say what is found there.
fn check_visits(lines: &Lines, set: &Addresses, specificity: Specificity) {
    let step = 1 + lines.all.len() / 1_000;
    let mut pieces: Pieces = Vec::new();
    let mut visit = |first: u128, last: u128, standings: &Standings| {
        let is_looked_at = pieces.len().is_multiple_of(step);
        for context in [0, 3].map(|now_s| Context { now_s, keyed: false }).into_iter().filter(|_| is_looked_at) {
            for address in [first, last] {
                let expected = lines.answer(specificity, address, &context);
                assert_eq!(answer(set.decide(standings, &context), &context), expected, "{address:x}");
                assert_eq!(of_levels(set.levels(standings), &context), expected, "{address:x}");
            }
        }
        pieces.push((first, last, Vec::new()));
    };
    if lines.bits == 32 {
        set.for_each_v4(|first, last, standings| visit(first.into(), last.into(), standings));
    } else {
        set.for_each_v6(&mut visit);
    }
    assert!(pieces.is_sorted_by(|one, two| one.1 < two.0));
    for &border in lines.borders.iter().step_by(step) {
        let after = pieces.partition_point(|piece| piece.1 < border);
        if pieces.get(after).is_none_or(|piece| piece.0 > border) && border <= host_mask(lines.bits, 0) {
            assert!(lines.covering(border, 0..=lines.bits).is_empty(), "{border:x} is left out");
        }
    }
}

#[test]
fn from_all_over() {
    for seed in 0..rounds(6) {
        for (place, count) in [5, 40, 300, 2_500].into_iter().enumerate() {
            let seed = seed * 10 + place as u64;
            check(seed, 32, count, Specificity::Octets);
            check(seed, 32, count, Specificity::Prefix(Equals::First));
            check(seed, 128, count, Specificity::Octets);
        }
    }
}

/// So many that an address is kept as its lower half.
#[test]
fn many_from_all_over() {
    check(1, 32, 150_000, Specificity::Octets);
    check(2, 32, 150_000, Specificity::Prefix(Equals::First));
}
