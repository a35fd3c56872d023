//! Changes in any order to addresses and names from all over, held against a table of what was said last.

use std::{cell::Cell, collections::HashMap, net::Ipv4Addr};

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::*;
use crate::{
    wire::name::{NAME_MAX, QueryName},
    zone::{
        ruling::is_over,
        scattered::{Path, alike, alike_name, host_mask, random_label, rounds, to_wire},
    },
};

/// What was said last: an own value, or an exclusion; and its end.
#[derive(Clone, Debug, PartialEq)]
struct Said {
    own: Option<OwnValue>,
    until_s: u32,
}

impl Said {
    fn in_force(&self, now_s: u64) -> bool {
        !is_over(self.until_s, now_s)
    }

    fn is_listed(&self) -> bool {
        self.own.is_some()
    }
}

/// As many entries as this may be gone over for one question.
const ASKED_MAX: usize = 100;

/// All that is said.
#[derive(Clone, Default)]
struct Model(HashMap<Place, Said, foldhash::fast::RandomState>);

impl Model {
    fn at(&self, place: &Place, now_s: u64) -> Option<&Said> {
        self.0.get(place).filter(|said| said.in_force(now_s))
    }

    fn find(&self, bits: u8, address: u128, now_s: u64) -> Option<&Said> {
        (0..=bits).rev().find_map(|length| self.at(&prefix(bits, address, length), now_s))
    }

    /// The closest wildcard above a name, or at it.
    fn wildcard(&self, path: &[Vec<u8>], now_s: u64) -> Option<(usize, &Said)> {
        (0..=path.len()).rev().find_map(|count| Some((count, self.at(&name(&path[..count], true), now_s)?)))
    }

    fn find_name(&self, path: &[Vec<u8>], now_s: u64) -> Option<(usize, &Said)> {
        let own = self.at(&name(path, false), now_s).map(|said| (path.len(), said));
        own.or_else(|| self.wildcard(path.split_last()?.1, now_s))
    }

    fn below(&self, path: &[Vec<u8>], now_s: u64) -> Below {
        let top = reversed(path);
        let covering = self.wildcard(path, now_s).map(|(_, said)| said.is_listed());
        let mut some =
            covering.map_or(Below::Nothing, |is_listed| if is_listed { Below::Listed } else { Below::AllExcluded });
        for (place, said) in self.0.iter().filter(|(_, said)| said.in_force(now_s)) {
            let Place::Name { reversed, is_wildcard } = place else { continue };
            match reversed.starts_with(&top) {
                true if said.is_listed() && (*is_wildcard || **reversed != *top) => return Below::Listed,
                true if !said.is_listed() && some == Below::Nothing => some = Below::SomeExcluded,
                _ => {}
            }
        }
        some
    }

    /// Where what is said of addresses changes within a range, beginning with its first.
    fn borders(&self, bits: u8, first: u128, last: u128) -> Vec<u128> {
        let ends = |place: &Place| match place {
            Place::V4(start, length) if bits == 32 => Some((u128::from(*start), *length)),
            Place::V6(start, length) if bits == 128 => Some((*start, *length)),
            _ => None,
        };
        let starts = self.0.keys().filter_map(ends);
        let all = starts.flat_map(|(start, length)| [Some(start), (start | host_mask(bits, length)).checked_add(1)]);
        std::iter::once(first).chain(all.flatten().filter(|border| (first..=last).contains(border))).collect()
    }
}

fn prefix(bits: u8, address: u128, length: u8) -> Place {
    let first = address & !host_mask(bits, length);
    if bits == 32 { Place::V4(first as u32, length) } else { Place::V6(first, length) }
}

fn reversed(path: &[Vec<u8>]) -> Vec<u8> {
    path.iter().flat_map(|label| [&[label.len() as u8], &label[..]].concat()).collect()
}

fn name(path: &[Vec<u8>], is_wildcard: bool) -> Place {
    Place::Name { reversed: reversed(path).into(), is_wildcard }
}

/// What may be said of, and how.
struct World {
    bits: u8,
    addresses: Vec<u128>,
    paths: Vec<Path>,
    places: Vec<Place>,
    values: u32,
}

impl World {
    fn new(random: &mut SmallRng, bits: u8, count: usize) -> Self {
        let pool = 1 << random.random_range(0..14);
        let hosts_in_ten = random.random_range(0..=10);
        let wildcards_in_ten = random.random_range(0..=10);
        let names_in_ten = random.random_range(0..=5);
        let narrow = random.random_range(0..bits);
        let mut world = Self {
            bits,
            addresses: vec![0, host_mask(bits, 0), random.random::<u128>() & host_mask(bits, 0)],
            paths: vec![Vec::new(), vec![random_label(random, pool)]],
            places: Vec::new(),
            values: 1 << random.random_range(0..12),
        };
        for _ in 0..count {
            if random.random_range(0..10) < names_in_ten {
                let near = world.paths.choose(random).expect("the root").clone();
                let path = alike_name(random, &near, pool);
                if to_wire(&path).len() <= NAME_MAX {
                    world.places.push(name(&path, random.random_range(0..10) < wildcards_in_ten));
                    world.paths.push(path);
                }
                continue;
            }
            let near = *world.addresses.choose(random).expect("the ends");
            let address = if random.random() {
                alike(random, bits, near)
            } else {
                near & !host_mask(bits, narrow) | random.random::<u128>() & host_mask(bits, narrow)
            };
            let length = if random.random_range(0..10) < hosts_in_ten { bits } else { random.random_range(0..=bits) };
            world.places.push(prefix(bits, address, length));
            world.addresses.push(address);
        }
        world
    }

    fn said(&self, random: &mut SmallRng) -> Said {
        let number = random.random_range(0..self.values);
        let own = OwnValue {
            address: (number % 2 == 1).then(|| Ipv4Addr::from_bits(0x7f00_0000 + number)),
            text: (number % 3 > 0).then(|| format!("{number}: $$ $").into()),
        };
        let until_s = match random.random_range(0..4) {
            0 => FOREVER_S,
            1 => FOREVER_S - 1,
            _ => random.random_range(0..6),
        };
        Said { own: random.random_ratio(2, 3).then_some(own), until_s }
    }

    /// A name that is one of these, or nearly.
    fn some_path(&self, random: &mut SmallRng) -> Path {
        let near = self.paths.choose(random).expect("the root");
        let path = match random.random_range(0..3) {
            0 => near.clone(),
            1 => near[..random.random_range(0..=near.len())].to_vec(),
            _ => alike_name(random, near, 100),
        };
        if to_wire(&path).len() <= NAME_MAX { path } else { near.clone() }
    }
}

fn random_now_s(random: &mut SmallRng) -> u64 {
    *[0, 1, 3, 5, 6, 1_000, u64::from(FOREVER_S) - 2, u64::from(FOREVER_S) - 1, u64::from(FOREVER_S), 1 << 40]
        .choose(random)
        .expect("a time")
}

/// That an entry says what was said.
fn check_entry(zone: &LiveZone, found: Option<Entry>, expected: Option<&Said>) {
    let (Some(entry), Some(said)) = (found, expected) else {
        return assert_eq!(found.map(|entry| entry.until_s), expected.map(|said| said.until_s));
    };
    assert_eq!((entry.until_s, entry.value().is_some()), (said.until_s, said.is_listed()));
    let (Some(id), Some(own)) = (entry.value(), &said.own) else { return };
    let value = zone.value(id).expect("a value");
    assert_eq!((value.has_address, value.has_text), (own.address.is_some(), own.text.is_some()));
    assert_eq!(value.values.address(value.id), own.address.unwrap_or(BUILT_IN));
    let text = value.values.text(value.id).map(|text| value.values.expand(text, b"key"));
    let expected = own.text.as_deref().map(|text| text.replace("$$", "\n").replace('$', "key").replace('\n', "$"));
    assert_eq!(text, expected.map(String::into_bytes));
}

fn check_addresses(random: &mut SmallRng, world: &World, zone: &LiveZone, model: &Model) {
    let (bits, all) = (world.bits, host_mask(world.bits, 0));
    let near = *world.addresses.choose(random).expect("the ends");
    let address = if random.random() { near } else { alike(random, bits, near) };
    let now_s = random_now_s(random);
    let found = if bits == 32 { zone.find_v4(address as u32, now_s) } else { zone.find_v6(address, now_s) };
    check_entry(zone, found, model.find(bits, address, now_s));

    let wide = host_mask(bits, random.random_range(0..=bits));
    let (first, last) = (address & !wide, address | wide);
    let mut borders = model.borders(bits, first, last);
    // Ranges that files list.
    let files: Vec<(u128, u128)> = (0..random.random_range(0..3))
        .map(|_| {
            let end = alike(random, bits, near);
            (end & !(all >> random.random_range(0..bits)), end)
        })
        .collect();
    borders.extend(files.iter().flat_map(|(first, last)| [*first, last.saturating_add(1)]));
    borders.retain(|border| (first..=last).contains(border));
    if borders.len() > ASKED_MAX {
        return;
    }
    let in_files = |first: u128, last: u128| files.iter().any(|file| file.0 <= last && first <= file.1);
    let is_listed = |address: &u128| {
        model.find(bits, *address, now_s).map_or_else(|| in_files(*address, *address), Said::is_listed)
    };
    let expected = borders.iter().any(is_listed);
    let asked = Cell::new(0);
    let in_run = |first: u128, last: u128| {
        let size = last - first;
        assert!(size & size.wrapping_add(1) == 0 && first & size == 0, "no prefix: {first:x} {last:x}");
        asked.set(asked.get() + 1);
        in_files(first, last)
    };
    let (found, exact) = if bits == 32 {
        let run = Run { first: first as u32, last: last as u32 };
        let mut files = |run: Run<u32>| in_run(run.first.into(), run.last.into());
        let exact = zone.v4.any_listed(run, now_s, &mut { u32::MAX }, &mut files);
        asked.set(0);
        (zone.any_listed_v4(run, now_s, files), exact)
    } else {
        let run = Run { first, last };
        let mut files = |run: Run<u128>| in_run(run.first, run.last);
        let exact = zone.v6.any_listed(run, now_s, &mut { u32::MAX }, &mut files);
        asked.set(0);
        (zone.any_listed_v6(run, now_s, files), exact)
    };
    assert_eq!(exact, expected, "{first:x} {last:x} at {now_s}");
    // Where too many pieces would have to be looked at, something is.
    assert!(asked.get() <= 2 * PIECES_MAX + 1);
    assert!(found || !expected);
}

fn check_names(random: &mut SmallRng, world: &World, zone: &LiveZone, model: &Model) {
    let path = world.some_path(random);
    let now_s = random_now_s(random);
    let mut query = QueryName::new();
    assert!(query.read(&to_wire(&path)).is_some());
    let relative = query.relative(path.len());
    let (found, expected) = (zone.find_name(relative, now_s), model.find_name(&path, now_s));
    assert_eq!(found.map(|(count, _)| count), expected.map(|(count, _)| count), "{path:?}");
    check_entry(zone, found.map(|(_, entry)| entry), expected.map(|(_, said)| said));
    assert_eq!(zone.below(relative, now_s), model.below(&path, now_s), "{path:?}");
    let name = Reversed::of(relative);
    let is_excluded = |said: Option<(usize, &Said)>| said.is_some_and(|(_, said)| !said.is_listed());
    assert_eq!(zone.leaves_out(&name, false, now_s), is_excluded(expected));
    assert_eq!(zone.leaves_out(&name, true, now_s), is_excluded(model.wildcard(&path, now_s)));
}

fn check_all(zone: &LiveZone, model: &Model, now_s: u64) {
    let mut visited = 0;
    zone.for_each(|place, entry| {
        visited += 1;
        check_entry(zone, Some(entry), model.0.get(&place));
        assert_eq!(zone.exactly(&place), Some(entry));
    });
    let exclusions = model.0.values().filter(|said| !said.is_listed()).count();
    assert_eq!((visited, zone.len(), zone.exclusion_count()), (model.0.len(), model.0.len(), exclusions));
    let over = zone.over(now_s, usize::MAX);
    assert!(over.iter().all(|place| !model.0[place].in_force(now_s)));
    assert_eq!(over.len(), model.0.values().filter(|said| !said.in_force(now_s)).count());
    assert_eq!(zone.over(now_s, 2), over[..over.len().min(2)]);
    let listed = model.0.values().filter(|said| said.is_listed() && said.in_force(now_s));
    let ends = listed.map(|said| said.until_s).filter(|until_s| *until_s != FOREVER_S);
    assert_eq!(zone.next_end_s(now_s), ends.min());
    let in_force = model.0.values().filter(|said| said.in_force(now_s));
    let (listings, exclusions) = in_force.partition::<Vec<_>, _>(|said| said.is_listed());
    assert_eq!(zone.counts_in_force(now_s), (listings.len(), exclusions.len()));
}

fn check(seed: u64, bits: u8, count: usize) {
    let random = &mut SmallRng::seed_from_u64(seed);
    let world = World::new(random, bits, count);
    let (mut zone, mut model, mut numbers) = (LiveZone::new(60), Model::default(), ValueNumbers::default());
    let mut published: Option<(LiveZone, Model)> = None;
    let removes_in_ten = random.random_range(0..6);
    for step in 0..2 * count {
        let place = world.places.choose(random).expect("places");
        if random.random_range(0..10) < removes_in_ten {
            zone.remove(place, &mut numbers);
            model.0.remove(place);
        } else {
            let said = world.said(random);
            zone.put(place, said.own.as_ref(), said.until_s, &mut numbers);
            model.0.insert(place.clone(), said);
        }
        if step == count {
            zone.settle();
            published = Some((zone.clone(), model.clone()));
            if random.random() {
                // As after a new start.
                let (mut anew, mut anew_numbers) = (LiveZone::new(60), ValueNumbers::default());
                zone.for_each(|place, entry| {
                    anew.push(&place, model.0[&place].own.as_ref(), entry.until_s, &mut anew_numbers);
                });
                (zone, numbers) = (anew, anew_numbers);
            }
        }
    }
    if random.random() {
        zone.settle();
    }
    for (zone, model) in published.into_iter().chain([(zone, model)]) {
        check_all(&zone, &model, random_now_s(random));
        for _ in 0..150 {
            check_addresses(random, &world, &zone, &model);
            check_names(random, &world, &zone, &model);
        }
    }
}

#[test]
fn whatever_was_said_last() {
    for seed in 0..rounds(6) {
        for (place, count) in [3, 20, 150, 2_500].into_iter().enumerate() {
            let seed = seed * 10 + place as u64;
            check(seed, 32, count);
            check(seed, 128, count);
        }
    }
}

/// More than a few hundred blocks of values, given back in any order and taken again.
#[test]
fn a_value_for_each_of_many() {
    let (mut zone, mut numbers) = (LiveZone::new(60), ValueNumbers::default());
    let said = |number: u32| Said {
        own: Some(OwnValue { address: None, text: Some(number.to_string().into()) }),
        until_s: FOREVER_S,
    };
    let place = |number: u32| Place::V4(number.wrapping_mul(2_654_435_761), 32);
    let mut put = |zone: &mut LiveZone, at: u32, number: u32| {
        zone.put(&place(at), said(number).own.as_ref(), FOREVER_S, &mut numbers);
    };
    (0..20_000).for_each(|number| put(&mut zone, number, number));
    let published = zone.clone();
    (0..20_000).rev().step_by(3).for_each(|number| put(&mut zone, number, number + 50_000));
    for at in 0..20_000 {
        let changed = if at % 3 == 19_999 % 3 { at + 50_000 } else { at };
        for (zone, number) in [(&published, at), (&zone, changed)] {
            check_entry(zone, zone.exactly(&place(at)), Some(&said(number)));
        }
    }
}
