//! The way from a query's name to its zone: the longest apex that it ends in.
//!
//! Apexes have few different lengths, so a look at the length of what is left of a name says for nearly every label that no
//! apex begins there. Where one may, a few bits of its first octets choose among the apexes of that length, and all octets are
//! compared, eight at a time. Where such bits do not tell them apart, a hash of all octets does. Nothing that a stranger sends
//! makes a lookup longer.

use crate::wire::name::{NAME_MAX, Name, QueryName, outer_words};

/// Zones by their apexes.
#[derive(Debug)]
pub(super) struct Catalog<Z> {
    /// By octets on the wire, the root's included: those that are as long.
    shelves: Box<[Shelf; NAME_MAX + 1]>,
    /// Shelf by shelf, where some places are empty; then those that found theirs taken.
    apexes: Vec<Apex<Z>>,
    /// Where in those each apex stands, by hash with open addressing. At least every other slot is free.
    slots: Vec<u32>,
}

/// Where the apexes of one length stand.
#[derive(Clone, Copy, Debug)]
struct Shelf {
    /// The first of its places.
    first: u32,
    /// Which bits of their first eight octets choose among them, none of which tells upper from lower case.
    shift: u8,
    mask: u8,
    /// Whether all that are as long stand here, each in a place of its own.
    has_all: bool,
}

/// Beyond all places.
const NONE: u32 = u32::MAX;

/// In ASCII, these bits of an octet are the same for a letter in upper and in lower case.
const CASELESS: u8 = 0x1f;

impl<Z> Catalog<Z> {
    /// Takes zones with distinct names.
    pub(super) fn new<'a>(zones: impl IntoIterator<Item = (&'a Name, Z)>) -> Self {
        let mut by_length: Vec<Vec<Apex<Z>>> = (0..=NAME_MAX).map(|_| Vec::new()).collect();
        let mut count = 0;
        for (name, zone) in zones {
            by_length[name.as_wire().len()].push(Apex::new(name, zone));
            count += 1;
        }
        let mut shelves = Box::new([Shelf { first: NONE, shift: 0, mask: 0, has_all: true }; NAME_MAX + 1]);
        let (mut apexes, mut hidden) = (Vec::new(), Vec::new());
        for (shelf, own) in shelves.iter_mut().zip(by_length).filter(|(_, own)| !own.is_empty()) {
            *shelf = Shelf::of(&own, apexes.len() as u32);
            apexes.resize_with(apexes.len() + usize::from(shelf.mask) + 1, Apex::empty);
            for apex in own {
                let place = &mut apexes[shelf.place(apex.first.lower)];
                if place.zone.is_none() { *place = apex } else { hidden.push(apex) }
            }
        }
        apexes.append(&mut hidden);
        let slots = vec![NONE; (2 * count + 1_usize).next_power_of_two()];
        let mut catalog = Self { shelves, apexes, slots };
        for at in 0..catalog.apexes.len() {
            let apex = &catalog.apexes[at];
            if apex.zone.is_none() {
                continue;
            }
            let mut slot = catalog.home(apex.hash());
            while catalog.slots[slot] != NONE {
                slot = catalog.after(slot);
            }
            catalog.slots[slot] = at as u32;
        }
        catalog
    }

    /// The zone of the closest apex at or above a name, and how many labels of the name stand left of it.
    #[inline]
    pub(super) fn find(&self, name: &QueryName) -> Option<(&Z, usize)> {
        let wire = name.as_wire();
        let mut left = 0;
        while left <= name.label_count() {
            if let Some(zone) = self.at(&wire[name.start(left)..]) {
                return Some((zone, left));
            }
            left += 1;
        }
        None
    }

    /// Whether any apex has so many octets.
    #[inline]
    pub(super) fn has_any_of(&self, len: usize) -> bool {
        self.shelves.get(len).is_some_and(|shelf| shelf.first != NONE)
    }

    /// The zone whose apex is this whole name, in whatever case.
    #[inline(always)]
    pub(super) fn at(&self, name: &[u8]) -> Option<&Z> {
        let shelf = self.shelves.get(name.len())?;
        let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) else {
            return if shelf.first == NONE { None } else { self.at_by_hash(name) };
        };
        let [first, last] = [first, last].map(|word| u64::from_le_bytes(*word));
        // Where no apex is as long, the place is beyond all.
        let apex = self.apexes.get(shelf.place(first))?;
        if apex.first.is(first) && apex.last.is(last) && (apex.between.is_empty() || apex.is_between(between(name))) {
            return apex.zone.as_ref();
        }
        if shelf.has_all { None } else { self.at_by_hash(name) }
    }

    #[cold]
    #[inline(never)]
    fn at_by_hash(&self, name: &[u8]) -> Option<&Z> {
        let mut slot = self.home(Words::of(name).hash());
        while let Some(apex) = self.apexes.get(self.slots[slot] as usize) {
            if apex.len as usize == name.len() && apex.is(name) {
                return apex.zone.as_ref();
            }
            slot = self.after(slot);
        }
        None
    }

    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    #[inline]
    fn after(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }
}

impl Shelf {
    /// The shelf that tells most of some apexes of one length apart, and of several such the smallest.
    fn of<Z>(own: &[Apex<Z>], first: u32) -> Self {
        let apart = |shelf: &Self| {
            let place = |apex: &Apex<Z>| shelf.place(apex.first.lower) - first as usize;
            own.iter().fold(0_u32, |taken, apex| taken | 1 << place(apex)).count_ones() as usize
        };
        let mut best = Self { first, shift: 0, mask: 0, has_all: own.len() == 1 };
        let mut best_apart = 1;
        for mask in [1, 3, 7, 15, 31] {
            for shift in (0..u64::BITS as u8).filter(|shift| mask << (shift % 8) <= CASELESS) {
                let shelf = Self { first, shift, mask, has_all: false };
                let apart = apart(&shelf);
                if apart > best_apart {
                    (best, best_apart) = (Self { has_all: apart == own.len(), ..shelf }, apart);
                }
            }
        }
        best
    }

    /// Where the apex stands that begins with these octets, in whatever case.
    #[inline]
    fn place(self, octets: u64) -> usize {
        self.first as usize + (octets.wrapping_shr(self.shift.into()) & u64::from(self.mask)) as usize
    }
}

impl<Z> Default for Catalog<Z> {
    fn default() -> Self {
        Self::new([])
    }
}

/// What tells a lower-case letter from its upper case, in each octet of a word.
const ALL_LOWER: u64 = 0x2020_2020_2020_2020;

/// A name in words of eight octets: its [outer ones](outer_words), and what neither has.
/// The usual apex is all in two of them.
struct Words<'a> {
    first: u64,
    between: &'a [[u8; 8]],
    last: u64,
}

impl<'a> Words<'a> {
    fn of(name: &'a [u8]) -> Self {
        let (first, last) = outer_words(name);
        Self { first, between: between(name), last }
    }

    fn hash(&self) -> u32 {
        hash(self.first, self.between.iter().map(|word| u64::from_le_bytes(*word)), self.last)
    }
}

/// The same of names that differ in the case of letters only.
fn hash(first: u64, between: impl Iterator<Item = u64>, last: u64) -> u32 {
    /// Odd, with bits everywhere: the golden ratio of 2^64.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let hash = (first | ALL_LOWER).wrapping_mul(SPREAD);
    let add = |hash: u64, word: u64| (hash.rotate_left(29) ^ (word | ALL_LOWER)).wrapping_mul(SPREAD);
    (between.chain([last]).fold(hash, add) >> 32) as u32
}

/// As many whole words after the first as begin before the last does.
#[inline]
fn between(name: &[u8]) -> &[[u8; 8]] {
    name.get(8..name.len() - 1).map_or(&[], |rest| rest.as_chunks().0)
}

/// The apex of a zone.
#[derive(Debug)]
struct Apex<Z> {
    first: Word,
    last: Word,
    between: Box<[Word]>,
    len: u32,
    /// None of an empty place.
    zone: Option<Z>,
}

/// Eight octets of a name, compared without regard to case (RFC 4343).
#[derive(Clone, Debug)]
struct Word {
    lower: u64,
    /// [`ALL_LOWER`], but only where letters are.
    letters: u64,
}

impl<Z> Apex<Z> {
    /// Like no name: those begin with the length of a label.
    fn empty() -> Self {
        let none = Word { lower: u64::MAX, letters: 0 };
        Self { first: none.clone(), last: none, between: Box::default(), len: 0, zone: None }
    }

    fn new(name: &Name, zone: Z) -> Self {
        let Words { first, between, last } = Words::of(name.as_wire());
        let between = between.iter().map(|word| Word::new(u64::from_le_bytes(*word))).collect();
        let len = name.as_wire().len() as u32;
        Self { first: Word::new(first), last: Word::new(last), between, len, zone: Some(zone) }
    }

    fn hash(&self) -> u32 {
        hash(self.first.lower, self.between.iter().map(|word| word.lower), self.last.lower)
    }

    /// Whether a name that is as long is this one.
    fn is(&self, name: &[u8]) -> bool {
        let Words { first, between, last } = Words::of(name);
        self.first.is(first) && self.last.is(last) && self.is_between(between)
    }

    #[inline]
    fn is_between(&self, between: &[[u8; 8]]) -> bool {
        self.between.iter().zip(between).all(|(own, word)| own.is(u64::from_le_bytes(*word)))
    }
}

impl Word {
    fn new(word: u64) -> Self {
        let octets = word.to_le_bytes();
        let letters = u64::from_le_bytes(octets.map(|octet| if octet.is_ascii_alphabetic() { 0x20 } else { 0 }));
        Self { lower: u64::from_le_bytes(octets.map(|octet| octet.to_ascii_lowercase())), letters }
    }

    #[inline]
    fn is(&self, word: u64) -> bool {
        word | self.letters == self.lower
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

    use super::*;
    use crate::zone::scattered::{Path, alike_name, rounds, to_wire};

    fn wire(text: &str) -> Vec<u8> {
        Name::parse_keeping_case(text.as_bytes()).expect("a name").as_wire().to_vec()
    }

    #[test]
    fn apexes_of_every_length_in_any_case() {
        let texts: Vec<String> = (1..=60)
            .map(|len| "x".repeat(len))
            .chain((1..60).map(|len| format!("{}.a-b.c9", "y".repeat(len))))
            .collect();
        let apexes: Vec<Name> = texts.iter().map(|text| Name::parse(text.as_bytes()).expect("a name")).collect();
        let catalog = Catalog::new(apexes.iter().zip(0_usize..));
        for (place, text) in texts.iter().enumerate() {
            assert_eq!(catalog.at(&wire(text)), Some(&place));
            assert_eq!(catalog.at(&wire(&text.to_uppercase())), Some(&place));
            // Octets that differ where only a letter may.
            for at in 0..wire(text).len() {
                for bit in [0x01, 0x20, 0x40, 0x80] {
                    let mut other = wire(text);
                    other[at] ^= bit;
                    let is_same = other.eq_ignore_ascii_case(&wire(text));
                    assert_eq!(catalog.at(&other), is_same.then_some(&place), "{text} {at} {bit}");
                }
            }
        }
    }

    #[test]
    fn a_few_bits_tell_the_usual_zones_of_one_length_apart() {
        let texts = [
            "sbl.example.org",
            "xbl.example.org",
            "pbl.example.org",
            "dbl.example.org",
            "zrd.example.org",
            "bl.example2.org",
        ];
        let apexes: Vec<Name> = texts.iter().map(|text| Name::parse(text.as_bytes()).expect("a name")).collect();
        let catalog = Catalog::new(apexes.iter().zip(0_usize..));
        let shelf = catalog.shelves[apexes[0].as_wire().len()];
        assert!(shelf.has_all && shelf.mask <= 15, "{shelf:?}");
        for (place, text) in texts.iter().enumerate() {
            assert_eq!(catalog.at(&wire(&text.to_uppercase())), Some(&place));
        }
        assert_eq!(catalog.at(&wire("tbl.example.org")), None);
    }

    #[test]
    fn many_of_one_length() {
        let apexes: Vec<Name> = (0..1_000)
            .map(|number| Name::parse(format!("a-customer-{number:04}.test").as_bytes()).expect("a name"))
            .collect();
        let catalog = Catalog::new(apexes.iter().zip(0_usize..));
        for (place, apex) in apexes.iter().enumerate() {
            assert_eq!(catalog.at(&apex.as_wire().to_ascii_uppercase()), Some(&place));
        }
        assert_eq!(catalog.at(&wire("a-customer-1000.test")), None);
    }

    /// Apexes from all over, some below others, held against a table of them.
    #[test]
    fn whatever_they_are_the_closest_is_found() {
        for seed in 0..rounds(40) {
            let random = &mut SmallRng::seed_from_u64(seed);
            let pool = 1 << random.random_range(1..12);
            let mut paths: Vec<Path> = vec![Vec::new()];
            for _ in 0..1 << random.random_range(0..9) {
                let near = paths.choose(random).expect("the root");
                let path = alike_name(random, near, pool);
                if to_wire(&path).len() <= NAME_MAX {
                    paths.push(path);
                }
            }
            let is_apex: Vec<&Path> = paths.iter().filter(|_| random.random_ratio(2, 3)).collect();
            let apexes: BTreeSet<Name> = is_apex.iter().map(|path| Name::from_wire(&to_wire(path))).collect();
            let apexes: Vec<Name> = apexes.into_iter().collect();
            let places: HashMap<&Name, usize> = apexes.iter().zip(0..).collect();
            let catalog = Catalog::new(apexes.iter().zip(0_usize..));
            for path in &paths {
                let path = alike_name(random, path, pool);
                let upper = |octet: u8| if random.random() { octet.to_ascii_uppercase() } else { octet };
                let wire: Vec<u8> = to_wire(&path).into_iter().map(upper).collect();
                let mut asked = QueryName::new();
                if wire.len() > NAME_MAX {
                    continue;
                }
                assert!(asked.read(&wire).is_some());
                let place = |count: usize| places.get(&Name::from_wire(&to_wire(&path[..count])));
                let expected = (0..=path.len()).rev().find_map(|count| Some((place(count)?, path.len() - count)));
                assert_eq!(catalog.find(&asked), expected, "{seed}");
                assert_eq!(catalog.at(&wire), place(path.len()), "{seed}");
            }
        }
    }
}
