//! The set against claims scanned one by one.

mod limits;
mod memory;
mod wide;

use ipnet::Ipv4Net;
use iptrie::Ipv4RTrieMap;
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::*;
use crate::zone::{
    ruling::{Claim, FOREVER_S, KeyRule},
    standing::{Equals, Standing},
    values::ValueId,
};

/// A line as the model keeps it: start, prefix length, claim.
type Line = (u128, u8, Claim);

/// Values and their ends, or `None` for an exclusion; empty if nothing is said.
type Answer = Option<Vec<(u32, u32)>>;

fn answer(finding: Finding<'_>, context: &Context) -> Answer {
    let mut values = Vec::new();
    finding.for_each_value(context, |value, until_s, _| values.push((value.0, until_s)));
    (!matches!(finding, Finding::Excluded)).then_some(values)
}

/// Scans all lines, most specific level first; within a level wide prefixes come first, and equal ones as their lines do.
fn model(lines: &[Line], bits: u8, specificity: Specificity, address: u128, context: &Context) -> Answer {
    let level_of = |length: u8| match specificity {
        Specificity::Octets if bits == 32 => length.div_ceil(8).max(1),
        _ => length,
    };
    let covers = |line: &&Line| line.1 == 0 || (line.0 ^ address) >> (bits - line.1) == 0;
    let mut covering: Vec<&Line> = lines.iter().filter(covers).collect();
    // The answers of a level come in this order.
    covering.sort_by_key(|line| line.1);
    for level in (0..=bits).rev().filter(|_| !covering.is_empty()) {
        let claims = covering.iter().filter(|line| level_of(line.1) == level).map(|line| line.2);
        let mut kept: Vec<Claim> = Vec::new();
        for claim in claims {
            let all = specificity == Specificity::Octets && bits == 32;
            match kept.iter_mut().find(|k| !all || Claim { until_s: claim.until_s, ..**k } == claim) {
                Some(earlier) if all => earlier.until_s = earlier.until_s.max(claim.until_s),
                Some(earlier) if claim.until_s > earlier.until_s => *earlier = claim,
                Some(_) => {}
                None => kept.push(claim),
            }
        }
        kept.retain(|claim| claim.in_force(context));
        if kept.iter().any(|claim| claim.value.is_none()) {
            return None;
        }
        if !kept.is_empty() {
            return Some(kept.iter().map(|claim| (claim.value.expect("listed").0, claim.until_s)).collect());
        }
    }
    Some(Vec::new())
}

fn any_claim() -> impl Strategy<Value = Claim> {
    let value = prop_oneof![3 => (0..4_u32).prop_map(|id| Some(ValueId(id))), 1 => Just(None)];
    let times = prop_oneof![
        4 => Just((0, FOREVER_S)),
        3 => (1..6_u32).prop_map(|until_s| (0, until_s)),
        1 => (1..6_u32, 1..6_u32),
    ];
    let key = prop_oneof![8 => Just(KeyRule::Anyone), 1 => Just(KeyRule::Required), 1 => Just(KeyRule::SkipsDelay)];
    (value, times, key).prop_map(|(value, (from_s, until_s), key)| Claim { value, from_s, until_s, key, hold_s: 0 })
}

/// Lines in the 256 addresses around the border of two /24, so that all levels occur.
fn any_lines(bits: u8, base: u128) -> impl Strategy<Value = Vec<Line>> {
    let length = prop_oneof![4 => Just(bits), 6 => bits - 9..bits, 1 => 0..=bits];
    let line = (0..256_u128, length, any_claim()).prop_map(move |(offset, length, claim)| {
        let host = if length == bits { 0 } else { (u128::MAX >> (128 - bits)) >> length };
        ((base + offset) & !host, length, claim)
    });
    prop::collection::vec(line, 0..24)
}

fn contexts() -> impl Iterator<Item = Context> {
    (0..7).flat_map(|now_s| [false, true].map(|keyed| Context { now_s, keyed }))
}

const V4_BASE: u32 = 0x0a01_0280;
const V6_BASE: u128 = 0x2001_0db8_0000_0001_0000_0000_0000_0080;
/// Around the border between what the wide and the deep table keep.
const V6_WIDE_BASE: u128 = 0x2001_0db8_0000_0001_ffff_ffff_ffff_ff80;

fn build_v4(lines: &[Line], specificity: Specificity) -> Addresses {
    let mut builder = AddressesBuilder::new(specificity);
    for &(start, length, claim) in lines {
        builder.add_v4(start as u32, length, claim);
    }
    builder.build(|_, _, _| {})
}

fn build_v6(lines: &[Line]) -> Addresses {
    let mut builder = AddressesBuilder::new(Specificity::Octets);
    for &(start, length, claim) in lines {
        builder.add_v6(start, length, claim);
    }
    builder.build(|_, _, _| {})
}

fn check_v4(lines: &[Line], specificity: Specificity) -> Result<(), TestCaseError> {
    let set = build_v4(lines, specificity);
    prop_assert_eq!(set.entries(), lines.len());
    for context in contexts() {
        let mut listed = Vec::new();
        for address in V4_BASE - 2..=V4_BASE + 270 {
            let expected = model(lines, 32, specificity, u128::from(address), &context);
            listed.push(expected.as_ref().is_some_and(|values| !values.is_empty()));
            prop_assert_eq!(answer(set.find_v4(address, &context), &context), expected, "{:x} {:?}", address, context);
        }
        for (first, size) in (0..listed.len()).step_by(7).flat_map(|first| [1, 2, 8, 40, 300].map(|s| (first, s))) {
            let last = (first + size).min(listed.len()) - 1;
            let expected = listed[first..=last].iter().any(|listed| *listed);
            let address = V4_BASE - 2 + first as u32;
            let found = set.any_listed_v4(address, address + (last - first) as u32, &context);
            prop_assert_eq!(found, expected, "{:x} +{} {:?}", address, last - first, context);
        }
    }
    let mut covered = Vec::new();
    set.for_each_v4(|first, last, standings| covered.push((first, last, standings.clone())));
    prop_assert!(covered.is_sorted_by(|one, two| one.1 < two.0));
    for context in contexts() {
        for address in V4_BASE - 2..=V4_BASE + 270 {
            let piece = covered.iter().find(|piece| piece.0 <= address && address <= piece.1);
            let visited = piece.map_or(Some(vec![]), |piece| answer(set.decide(&piece.2, &context), &context));
            let found = answer(set.find_v4(address, &context), &context);
            prop_assert_eq!(visited, found.clone());
            let levels = piece.map_or(vec![], |piece| set.levels(&piece.2));
            prop_assert_eq!(of_levels(levels, &context), found);
        }
    }
    let covered =
        covered.into_iter().map(|(first, last, standings)| (first.into(), last.into(), standings.0)).collect();
    check_ranges(&covered, V4_BASE.into(), |range, pieces| {
        let range = Run { first: range.first as u32, last: range.last as u32 };
        set.for_each_v4_of(range, |first, last, standings| {
            pieces.push((first.into(), last.into(), standings.0.clone()));
        });
    })?;
    prop_assert!(set.extent_v4() >= extent(&covered) && set.extent_v6() == 0.0);
    Ok(())
}

/// Ranges and what is said of them.
type Pieces = Vec<(u128, u128, Vec<Standing>)>;

/// Something is said of so many addresses at least, but for what is rounded off where these are more than a float counts.
fn extent(pieces: &Pieces) -> f64 {
    pieces.iter().map(|piece| (piece.1 - piece.0) as f64 + 1.0).sum::<f64>() * (1.0 - 1e-12)
}

/// Of a range, the same is visited as of all that reaches into it.
fn check_ranges(covered: &Pieces, base: u128, visit: impl Fn(Run<u128>, &mut Pieces)) -> Result<(), TestCaseError> {
    for (first, size) in (base - 2..base + 270).step_by(13).flat_map(|first| [1, 2, 40, 300].map(|size| (first, size)))
    {
        let last = first + size - 1;
        let reaches = |piece: &&(u128, u128, _)| piece.0 <= last && piece.1 >= first;
        let clipped =
            covered.iter().filter(reaches).map(|piece| (piece.0.max(first), piece.1.min(last), piece.2.clone()));
        let mut pieces = Vec::new();
        visit(Run { first, last }, &mut pieces);
        prop_assert_eq!(pieces, clipped.collect::<Vec<_>>());
    }
    Ok(())
}

/// What the first level says that has a claim in force.
fn of_levels(levels: Vec<Level>, context: &Context) -> Answer {
    let in_force = |level: Level| level.iter().copied().filter(|claim| claim.in_force(context)).collect::<Vec<Claim>>();
    let claims = levels.into_iter().map(in_force).find(|claims| !claims.is_empty()).unwrap_or_default();
    claims.iter().map(|claim| Some((claim.value?.0, claim.until_s))).collect()
}

fn check_v6(lines: &[Line], base: u128) -> Result<(), TestCaseError> {
    let set = build_v6(lines);
    for context in contexts() {
        let mut listed = Vec::new();
        for address in base..=base + 270 {
            let expected = model(lines, 128, Specificity::Octets, address, &context);
            listed.push(expected.as_ref().is_some_and(|values| !values.is_empty()));
            prop_assert_eq!(answer(set.find_v6(address, &context), &context), expected, "{:x} {:?}", address, context);
        }
        for address in (0..60).flat_map(|bit| (0..=270).step_by(30).map(move |low| base + low + (1 << (bit + 60)))) {
            let expected = model(lines, 128, Specificity::Octets, address, &context);
            prop_assert_eq!(answer(set.find_v6(address, &context), &context), expected, "{:x} {:?}", address, context);
        }
        for (first, size) in (0..listed.len()).step_by(7).flat_map(|first| [1, 2, 8, 40, 300].map(|s| (first, s))) {
            let last = (first + size).min(listed.len()) - 1;
            let expected = listed[first..=last].iter().any(|listed| *listed);
            let found = set.any_listed_v6(base + first as u128, base + last as u128, &context);
            prop_assert_eq!(found, expected);
        }
    }
    let mut covered = Vec::new();
    set.for_each_v6(|first, last, standings| covered.push((first, last, standings.clone())));
    prop_assert!(covered.is_sorted_by(|one, two| one.1 < two.0));
    for (first, last, standings) in &covered {
        for (address, context) in [*first, *last].into_iter().flat_map(|end| contexts().map(move |c| (end, c))) {
            let found = answer(set.find_v6(address, &context), &context);
            prop_assert_eq!(answer(set.decide(standings, &context), &context), found);
        }
    }
    let covered = covered.into_iter().map(|(first, last, standings)| (first, last, standings.0)).collect();
    check_ranges(&covered, base.max(2), |range, pieces| {
        set.for_each_v6_of(range, |first, last, standings| pieces.push((first, last, standings.0.clone())));
    })?;
    prop_assert!(set.extent_v6() >= extent(&covered) && set.extent_v4() == 0.0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn octets_like_the_model(lines in any_lines(32, u128::from(V4_BASE))) {
        check_v4(&lines, Specificity::Octets)?;
    }

    #[test]
    fn prefixes_like_the_model(lines in any_lines(32, u128::from(V4_BASE))) {
        check_v4(&lines, Specificity::Prefix(Equals::First))?;
    }

    #[test]
    fn deep_prefixes_like_the_model(
        places in prop::collection::vec((prop::sample::select(vec![0_u32, 127, 128, 129, 200]), 0..=31_u8), 1..30),
        ends in prop_oneof![
            1 => Just(vec![FOREVER_S; 30]),
            3 => prop::collection::vec(prop_oneof![1 => Just(FOREVER_S), 6 => 1..7_u32], 30),
        ],
        specificity in prop::sample::select(vec![Specificity::Octets, Specificity::Prefix(Equals::First)]),
    ) {
        let lines: Vec<Line> = places.iter().zip(ends).enumerate().map(|(line, (&(offset, length), until_s))| {
            let claim = if line % 5 == 4 { Claim::excluded() } else { Claim::listed(ValueId(line as u32 % 3)) };
            let start = (V4_BASE + offset) & !u32::MAX.checked_shr(u32::from(length)).unwrap_or(0);
            (u128::from(start), length, Claim { until_s, ..claim })
        }).collect();
        check_v4(&lines, specificity)?;
    }

    #[test]
    fn v6_like_the_model(lines in any_lines(128, V6_BASE)) {
        check_v6(&lines, V6_BASE)?;
    }

    #[test]
    fn v6_between_wide_and_deep(
        deep in any_lines(128, V6_WIDE_BASE),
        wide in prop::collection::vec((any::<bool>(), 60..=66_u8, any_claim()), 0..12),
    ) {
        let mut lines = deep;
        for (upper, length, claim) in wide {
            let address = V6_WIDE_BASE + if upper { 200 } else { 0 };
            lines.push((address & !(u128::MAX >> length), length, claim));
        }
        check_v6(&lines, V6_WIDE_BASE)?;
    }

    #[test]
    fn longest_prefixes_like_iptrie(
        prefixes in prop::collection::vec((any::<u32>(), 1..=32_u8, 0..9_u32), 0..200),
        probes in prop::collection::vec(any::<u32>(), 100),
    ) {
        let mut trie: Ipv4RTrieMap<u32> = Ipv4RTrieMap::with_root(u32::MAX);
        let mut builder = AddressesBuilder::new(Specificity::Prefix(Equals::Last));
        for &(address, length, value) in &prefixes {
            // Few leading bits vary, so that prefixes nest.
            let address = address & 0x030f_ffff & !u32::MAX.checked_shr(u32::from(length)).unwrap_or(0);
            let net = Ipv4Net::new(address.into(), length).expect("a length");
            trie.insert(net.into(), value);
            builder.add_v4(address, length, Claim::listed(ValueId(value)));
        }
        let set = builder.build(|_, _, _| {});
        let context = Context { now_s: 0, keyed: false };
        let edges = prefixes.iter().flat_map(|p| [p.0 & 0x030f_ffff, (p.0 & 0x030f_ffff) | 0xff]);
        for probe in probes.iter().map(|probe| probe & 0x030f_ffff).chain(edges) {
            let expected = Some(*trie.lookup(&std::net::Ipv4Addr::from(probe)).1).filter(|value| *value != u32::MAX);
            let found = answer(set.find_v4(probe, &context), &context).expect("no exclusions").first().map(|v| v.0);
            prop_assert_eq!(found, expected);
        }
    }
}

fn ip(text: &str) -> u32 {
    text.parse::<std::net::Ipv4Addr>().expect(text).into()
}

const NOW: Context = Context { now_s: 1_000, keyed: false };

#[test]
fn octets_share_a_level() {
    let mut builder = AddressesBuilder::new(Specificity::Octets);
    let value = |id| Claim::listed(ValueId(id));
    builder.add_v4(ip("2.0.0.0"), 23, value(1));
    builder.add_v4(ip("2.0.1.0"), 24, value(2));
    builder.add_v4(ip("2.0.1.7"), 32, value(3));
    builder.add_v4(ip("2.0.1.8"), 29, value(4));
    builder.add_v4(ip("2.0.1.9"), 32, value(5));
    builder.add_v4(ip("2.0.1.10"), 32, Claim::excluded());
    builder.add_v4(ip("0.0.0.0"), 0, value(6));
    let set = builder.build(|_, _, _| {});
    let at = |text| answer(set.find_v4(ip(text), &NOW), &NOW).map(|v| v.iter().map(|v| v.0).collect::<Vec<_>>());
    assert_eq!(at("2.0.0.1"), Some(vec![1]));
    assert_eq!(at("2.0.1.1"), Some(vec![1, 2]));
    assert_eq!(at("2.0.1.7"), Some(vec![3]));
    assert_eq!(at("2.0.1.8"), Some(vec![4]));
    assert_eq!(at("2.0.1.9"), Some(vec![4, 5]));
    assert_eq!(at("2.0.1.10"), None);
    assert_eq!(at("200.0.0.0"), Some(vec![6]));
}

#[test]
fn exclusions_fill_a_listed_range() {
    let mut builder = AddressesBuilder::new(Specificity::Prefix(Equals::First));
    builder.add_v4(ip("10.0.0.0"), 30, Claim::listed(ValueId(1)));
    for host in 0..3 {
        builder.add_v4(ip("10.0.0.0") + host, 32, Claim::excluded());
    }
    builder.add_v4(ip("10.0.0.3"), 32, Claim { until_s: 2_000, ..Claim::excluded() });
    let set = builder.build(|_, _, _| {});
    let any = |now_s| set.any_listed_v4(ip("10.0.0.0"), ip("10.0.0.255"), &Context { now_s, keyed: false });
    assert!(!any(1_999));
    assert!(any(2_000));
    assert!(!set.any_listed_v4(ip("10.0.0.0"), ip("10.0.0.2"), &Context { now_s: 9_999, keyed: false }));
}

#[test]
fn the_ends_of_the_space() {
    let mut builder = AddressesBuilder::new(Specificity::Octets);
    builder.add_v4(u32::MAX, 32, Claim::listed(ValueId(1)));
    builder.add_v4(0, 1, Claim::listed(ValueId(2)));
    builder.add_v4(u32::MAX, 4, Claim::listed(ValueId(3)));
    builder.add_v6(0, 0, Claim::listed(ValueId(4)));
    builder.add_v6(u128::MAX, 128, Claim::excluded());
    let set = builder.build(|_, _, _| {});
    let mut pieces = Vec::new();
    set.for_each_v4(|first, last, standings| pieces.push((first, last, standings.0[0].ruling)));
    let listed = |id| crate::zone::ruling::Ruling::listed(ValueId(id));
    assert_eq!(
        pieces,
        [(0, u32::MAX / 2, listed(2)), (0xf000_0000, u32::MAX - 1, listed(3)), (u32::MAX, u32::MAX, listed(1))]
    );
    assert!(set.any_listed_v6(0, u128::MAX, &NOW) && !set.any_listed_v6(u128::MAX, u128::MAX, &NOW));
}

#[test]
fn many_prefixes_that_begin_at_one_address() {
    const GROUPS: u32 = 60_000;
    let mut builder = AddressesBuilder::new(Specificity::Octets);
    for group in 0..GROUPS {
        // All of one level, the narrowest first to end.
        for (length, until_s) in [(24, 2_000), (23, 3_000), (22, 4_000)] {
            let value = ValueId(u32::from(length));
            builder.add_v4(group * 0x1_0000 + 0x400, length, Claim { until_s, ..Claim::listed(value) });
        }
    }
    let set = builder.build(|_, _, _| {});
    let at = |address, now_s| {
        let context = Context { now_s, keyed: false };
        answer(set.find_v4(address, &context), &context).map(|values| values.iter().map(|v| v.0).collect::<Vec<_>>())
    };
    for start in (0..GROUPS).step_by(997).map(|group| group * 0x1_0000 + 0x400) {
        assert_eq!(at(start, 1_999), Some(vec![22, 23, 24]));
        assert_eq!(at(start, 2_000), Some(vec![22, 23]));
        assert_eq!(at(start, 3_999), Some(vec![22]));
        assert_eq!(at(start + 0x1ff, 1_999), Some(vec![22, 23]));
        assert_eq!(at(start + 0x3ff, 1_999), Some(vec![22]));
        assert_eq!(
            [at(start, 4_000), at(start - 1, 0), at(start + 0x400, 0)],
            [Some(vec![]), Some(vec![]), Some(vec![])]
        );
        let any = |first, last, now_s| set.any_listed_v4(first, last, &Context { now_s, keyed: false });
        assert!(any(start, start, 3_999) && any(start - 9, start, 3_999) && !any(start, start + 0x3ff, 4_000));
        assert!(!any(start - 9, start - 1, 0) && !any(start + 0x400, start + 0x4ff, 0));
    }
    let mut lengths = std::collections::BTreeMap::new();
    set.for_each_v4(|first, last, standings| *lengths.entry((last - first + 1, standings.0.len())).or_insert(0) += 1);
    assert_eq!(
        lengths.into_iter().collect::<Vec<_>>(),
        [((0x100, 2), GROUPS), ((0x100, 3), GROUPS), ((0x200, 1), GROUPS)]
    );
    let some = set.some_listed_v4(50, &NOW);
    assert_eq!(some.iter().collect::<std::collections::BTreeSet<_>>().len(), some.len());
}

#[test]
fn what_goes_on_counts_once() {
    let until = |until_s| Claim { until_s, ..Claim::listed(ValueId(1)) };
    // Around a hundred prefixes that are over: one that never ends, within another, and one that ends later.
    for around in [
        vec![(0, 0, until(FOREVER_S))],
        vec![(0, 0, until(9)), (0, 4, until(FOREVER_S))],
        vec![(0, 0, until(FOREVER_S)), (0, 4, until(FOREVER_S)), (0, 5, until(9))],
    ] {
        let dead = (1..=100).map(|group| (group * 0x1_0000, 24, until(5)));
        let lines: Vec<Line> = around.iter().copied().chain(dead).collect();
        let set = build_v4(&lines, Specificity::Prefix(Equals::First));
        let lifetimes = set.lifetimes(6);
        assert_eq!((lifetimes.all, lifetimes.over), (100 + around.len(), 100));
    }
}

/// Around a hundred prefixes that never end: one with a value that is over and one that is not, or with two that never end.
#[test]
fn what_goes_on_counts_once_with_all_its_values() {
    for (end_s, over) in [(5, 1), (FOREVER_S, 0)] {
        let around = [(1, FOREVER_S), (2, end_s)]
            .map(|(value, until_s)| (0, 8, Claim { until_s, ..Claim::listed(ValueId(value)) }));
        let within = (0..100).map(|group| (group * 0x2_0000, 24, Claim::listed(ValueId(3))));
        // Whether anything ends decides how all of it is kept.
        let ending = (1 << 31, 24, Claim { until_s: 9, ..Claim::listed(ValueId(4)) });
        let lines: Vec<Line> = around.into_iter().chain(within).chain([ending]).collect();
        for specificity in [Specificity::Octets, Specificity::Prefix(Equals::All)] {
            let lifetimes = build_v4(&lines, specificity).lifetimes(6);
            assert_eq!((lifetimes.all, lifetimes.ending, lifetimes.over), (103, over + 1, over), "{specificity:?}");
        }
    }
}
