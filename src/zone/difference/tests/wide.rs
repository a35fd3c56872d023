//! Differences of sets from all over the space of addresses and of names, several on each side, told by asking both sides for every
//! key at which an answer may change.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use rand::{
    Rng, SeedableRng,
    rngs::SmallRng,
    seq::{IndexedRandom, SliceRandom},
};

use super::*;
use crate::{
    wire::name::QueryName,
    zone::{
        addresses::{AddressesBuilder, Specificity},
        dataset::Entries,
        names::{NamesBuilder, Scope},
        reversed::{reverse, unreverse},
        ruling::{Claim, Finding},
        scattered::{Path, alike, alike_name, host_mask, random_label, rounds, to_wire},
        standing::Equals,
        values::{Template, Values, ValuesBuilder},
    },
};

/// So many values there are, of which a dataset gives each a number of its own.
const VALUES: u32 = 6;

/// The longest name that is listed leaves room for a label below it.
const LISTED_NAME_MAX: usize = 200;

fn values(random: &mut SmallRng) -> Values {
    let mut all = [("2", "a"), ("2", "b"), ("2", ""), ("3", "a"), ("3", "$"), ("4", "see $")];
    all.shuffle(random);
    let mut builder = ValuesBuilder::default();
    for (last, text) in all {
        builder.intern(Ipv4Addr::new(127, 0, 0, last.parse().expect("an octet")), text.as_bytes());
    }
    builder.build(|text| {
        let mut template = Template::default();
        for (index, literal) in text.split(|octet| *octet == b'$').enumerate() {
            if index > 0 {
                template.push_key();
            }
            template.push_text(literal);
        }
        template
    })
}

fn dataset_of(random: &mut SmallRng, entries: Entries) -> Arc<Dataset> {
    let kind = if matches!(entries, Entries::Names(_)) { Kind::DnSet } else { Kind::Ip4Trie };
    Arc::new(Dataset { label: "set".into(), kind, ttl_s: 60, values: values(random), default_value: None, entries })
}

/// The values that some datasets answer with, and whether any of them finds something itself.
fn asked(
    side: &[Arc<Dataset>],
    context: &Context,
    ask: impl for<'a> Fn(&'a Dataset) -> (Finding<'a>, bool),
) -> (BTreeSet<String>, bool) {
    let (mut found, mut any_says) = (BTreeSet::new(), false);
    for dataset in side {
        let (finding, says) = ask(dataset);
        any_says |= says;
        finding.for_each_value(context, |value, _, _| {
            let text = dataset.values.text(value).map(|text| dataset.values.expand(text, b"$"));
            found.insert(format!("{} {text:?}", dataset.values.address(value)));
        });
    }
    (found, any_says)
}

fn change(old: &BTreeSet<String>, new: &BTreeSet<String>) -> Option<Change> {
    match (old.is_empty(), new.is_empty()) {
        _ if old == new => None,
        (true, _) => Some(Change::Listed),
        (_, true) => Some(Change::Delisted),
        _ => Some(Change::Changed),
    }
}

/// What is expected, put together from one key after the other.
#[derive(Default)]
struct Expected {
    before: Amounts,
    amounts: BTreeMap<Change, Amounts>,
    shown: BTreeMap<Change, Vec<Item>>,
}

impl Expected {
    /// The next range of addresses.
    fn add_range(&mut self, bits: u8, first: u128, last: u128, is_before: bool, change: Option<Change>) {
        let count = |amounts: &mut Amounts| match bits {
            32 => amounts.v4 += (last - first) as u64 + 1,
            _ => amounts.v6 = amounts.v6.saturating_add((last - first).saturating_add(1)),
        };
        if is_before {
            count(&mut self.before);
        }
        let Some(change) = change else { return };
        count(self.amounts.entry(change).or_default());
        let shown = self.shown.entry(change).or_default();
        match (shown.last_mut(), bits) {
            (Some(Item::V4(_, end)), 32) if u128::from(*end) + 1 == first => *end = last as u32,
            (Some(Item::V6(_, end)), 128) if *end + 1 == first => *end = last,
            (_, 32) => shown.push(Item::V4(first as u32, last as u32)),
            _ => shown.push(Item::V6(first, last)),
        }
    }

    /// The next name, or what is below it.
    fn add_name(&mut self, item: Item, is_before: bool, change: Option<Change>) {
        let is_wildcard = matches!(item, Item::Wildcard(_));
        let count = |amounts: &mut Amounts| if is_wildcard { amounts.wildcards += 1 } else { amounts.names += 1 };
        if is_before {
            count(&mut self.before);
        }
        let Some(change) = change else { return };
        count(self.amounts.entry(change).or_default());
        self.shown.entry(change).or_default().push(item);
    }
}

/// Sets of both families, and where what they say may change.
fn addresses(random: &mut SmallRng, count: usize, borders: &mut BTreeSet<(u8, u128)>) -> Arc<Dataset> {
    let specificity = if random.random() { Specificity::Octets } else { Specificity::Prefix(Equals::First) };
    let endless = random.random_ratio(1, 3);
    let mut builder = AddressesBuilder::new(specificity);
    for _ in 0..random.random_range(0..=count) {
        let bits = if random.random() { 32 } else { 128 };
        let all = host_mask(bits, 0);
        // What other sets have, too, lest they never meet.
        let near: Vec<u128> = borders.iter().filter(|border| border.0 == bits).map(|border| border.1).collect();
        let other = *near.choose(random).unwrap_or(&0);
        let address = if random.random() { other } else { alike(random, bits, other) };
        let length = random.random_range(u8::from(specificity == Specificity::Octets)..=bits);
        let claim = Claim::random(random, 5, VALUES, endless);
        let (first, last) = (address & !host_mask(bits, length), address | host_mask(bits, length));
        match bits {
            32 => builder.add_v4(first as u32, length, claim),
            _ => builder.add_v6(first, length, claim),
        }
        borders.insert((bits, first));
        if last < all {
            borders.insert((bits, last + 1));
        }
    }
    dataset_of(random, Entries::Addresses(builder.build(|_, _, _| {})))
}

/// A set of names, all of which go to `paths`.
fn names(random: &mut SmallRng, count: usize, paths: &mut Vec<Path>) -> Arc<Dataset> {
    let endless = random.random_ratio(1, 3);
    let pool = 1 << random.random_range(0..10);
    let mut builder = NamesBuilder::default();
    for _ in 0..random.random_range(0..=count) {
        let path = match paths.choose(random) {
            Some(near) if random.random_ratio(1, 3) => near.clone(),
            Some(near) if random.random() => alike_name(random, near, pool),
            _ => (0..random.random_range(0..4)).map(|_| random_label(random, pool)).collect(),
        };
        if to_wire(&path).len() <= LISTED_NAME_MAX {
            let scope = *[Scope::Exact, Scope::Below, Scope::Both].choose(random).expect("scopes");
            builder.add(&to_wire(&path), scope, Claim::random(random, 5, VALUES, endless));
            paths.push(path);
        }
    }
    dataset_of(random, Entries::Names(builder.build(|_| {})))
}

type Side = Vec<Arc<Dataset>>;

fn expect_addresses(expected: &mut Expected, sides: &[Side; 2], borders: &BTreeSet<(u8, u128)>, context: &Context) {
    let mut ends = borders.iter().skip(1).copied();
    for &(bits, first) in borders {
        let last = ends.next().filter(|end| end.0 == bits).map_or(host_mask(bits, 0), |end| end.1 - 1);
        let [(old, _), (new, _)] = [0, 1].map(|side: usize| {
            asked(&sides[side], context, |dataset| match &dataset.entries {
                Entries::Addresses(set) if bits == 32 => (set.find_v4(first as u32, context), true),
                Entries::Addresses(set) => (set.find_v6(first, context), true),
                _ => (Finding::Absent, false),
            })
        });
        expected.add_range(bits, first, last, !old.is_empty(), change(&old, &new));
    }
}

fn expect_names(expected: &mut Expected, sides: &[Side; 2], paths: &[Path], context: &Context) {
    let all: BTreeSet<Box<[u8]>> = paths.iter().map(|path| reverse(&Name::from_wire(&to_wire(path)))).collect();
    for reversed in all {
        let name = unreverse(&reversed);
        for item in [Item::Name(name.clone()), Item::Wildcard(name.clone())] {
            let below = if matches!(item, Item::Wildcard(_)) { &b"\x0dno such label"[..] } else { &[] };
            let mut query = QueryName::new();
            assert!(query.read(&[below, name.as_wire()].concat()).is_some());
            let [(old, old_says), (new, new_says)] = [0, 1].map(|side: usize| {
                asked(&sides[side], context, |dataset| match &dataset.entries {
                    Entries::Names(names) => {
                        let found = names.look_up(query.relative(query.label_count()), context);
                        let is_own = !found.finding.is_absent() && found.entry_label_count == name.label_count();
                        (found.finding, is_own)
                    }
                    _ => (Finding::Absent, false),
                })
            });
            if old_says || new_says {
                expected.add_name(item, !old.is_empty(), change(&old, &new));
            }
        }
    }
}

fn check(seed: u64, count: usize) {
    let random = &mut SmallRng::seed_from_u64(seed);
    let mut borders = BTreeSet::from([(32, 0), (128, 0)]);
    let mut paths = Vec::new();
    let mut shared: Side = Vec::new();
    let sides: [Side; 2] = [(); 2].map(|()| {
        let mut side: Side = Vec::new();
        for _ in 0..random.random_range(0..3) {
            side.push(addresses(random, count, &mut borders));
            side.push(names(random, count, &mut paths));
        }
        // What is the same on both sides.
        side.extend(shared.choose(random).cloned());
        shared.extend(side.iter().cloned());
        side
    });
    let [old, new] = sides.each_ref().map(|side| snapshot_of(side));
    for now_s in [0, 1, 3, 5, 6, 1 << 31, 1 << 32] {
        let context = Context { now_s, keyed: random.random() };
        let mut expected = Expected::default();
        expect_addresses(&mut expected, &sides, &borders, &context);
        expect_names(&mut expected, &sides, &paths, &context);
        let found = difference(&old, &new, &context, usize::MAX, |_| true).remove(0);
        assert_eq!(found.before, expected.before, "{seed} {count} {context:?}");
        assert_eq!(found.amounts, expected.amounts, "{seed} {count} {context:?}");
        assert!(found.shown == expected.shown, "{seed} {count} {context:?}");
    }
}

#[test]
fn every_change_and_no_other() {
    for seed in 0..rounds(12) {
        for count in [2, 10, 60] {
            check(seed, count);
        }
    }
}
