//! The way from a query's name to its zone: the longest apex that it ends in.
//!
//! Apexes have few different lengths, so a look at the length of what is left of a name says for nearly every label that no
//! apex begins there. Where one may, its octets are compared eight at a time with those of the few apexes of that length, or
//! of the one that a hash leads to where they are many. Nothing that a stranger sends makes a lookup longer.

use crate::wire::name::{NAME_MAX, Name, QueryName};

/// The apexes of all zones.
#[derive(Debug)]
pub(super) struct Catalog {
    /// By octets on the wire, the root's included: the first apex that is as long.
    first_of_length: Box<[u32; NAME_MAX + 1]>,
    /// Places by hash, open addressing. At least every other slot is free.
    slots: Vec<u32>,
    apexes: Vec<Apex>,
}

/// No apex.
const NONE: u32 = u32::MAX;

/// So many apexes of one length are compared one by one.
const COMPARED_MAX: usize = 4;

impl Catalog {
    /// Takes distinct names, which will be known by their places.
    pub(super) fn new(apexes: &[Name]) -> Self {
        let slots = vec![NONE; (2 * apexes.len() + 1).next_power_of_two()];
        let mut catalog =
            Self { first_of_length: Box::new([NONE; NAME_MAX + 1]), slots, apexes: Vec::with_capacity(apexes.len()) };
        for (place, apex) in (0..).zip(apexes) {
            let first = &mut catalog.first_of_length[apex.as_wire().len()];
            catalog.apexes.push(Apex::new(apex, std::mem::replace(first, place)));
            let mut slot = catalog.home(apex.as_wire());
            while catalog.slots[slot] != NONE {
                slot = catalog.after(slot);
            }
            catalog.slots[slot] = place;
        }
        catalog
    }

    /// The closest apex at or above a name, by its place, and how many labels of the name stand left of it.
    #[inline]
    pub(super) fn find(&self, name: &QueryName) -> Option<(usize, usize)> {
        let wire = name.as_wire();
        let mut left = 0;
        while left <= name.label_count() {
            if let Some(place) = self.at(&wire[name.start(left)..]) {
                return Some((place, left));
            }
            left += 1;
        }
        None
    }

    /// The apex that is this whole name, in whatever case, by its place.
    #[inline]
    pub(super) fn at(&self, name: &[u8]) -> Option<usize> {
        let first = *self.first_of_length.get(name.len())?;
        // NONE is beyond all.
        let apex = self.apexes.get(first as usize)?;
        if apex.is(name) { Some(first as usize) } else { self.at_from(apex.next_as_long, name) }
    }

    #[inline(never)]
    fn at_from(&self, second: u32, name: &[u8]) -> Option<usize> {
        let mut place = second;
        for _ in 1..COMPARED_MAX {
            let apex = self.apexes.get(place as usize)?;
            if apex.is(name) {
                return Some(place as usize);
            }
            place = apex.next_as_long;
        }
        self.at_by_hash(name)
    }

    #[cold]
    fn at_by_hash(&self, name: &[u8]) -> Option<usize> {
        let mut slot = self.home(name);
        while let Some(apex) = self.apexes.get(self.slots[slot] as usize) {
            if apex.len == name.len() && apex.is(name) {
                return Some(self.slots[slot] as usize);
            }
            slot = self.after(slot);
        }
        None
    }

    fn home(&self, name: &[u8]) -> usize {
        /// Odd, with bits everywhere: the golden ratio of 2^64.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let Words { first, between, last } = Words::of(name);
        let mut hash = (first | ALL_LOWER).wrapping_mul(SPREAD);
        for word in between.iter().map(|word| u64::from_le_bytes(*word)).chain([last]) {
            hash = (hash.rotate_left(29) ^ (word | ALL_LOWER)).wrapping_mul(SPREAD);
        }
        (hash >> 32) as usize & (self.slots.len() - 1)
    }

    #[inline]
    fn after(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }
}

impl Default for Catalog {
    fn default() -> Self {
        Self::new(&[])
    }
}

/// What tells a lower-case letter from its upper case, in each octet of a word.
const ALL_LOWER: u64 = 0x2020_2020_2020_2020;

/// A name in words of eight octets: the first, the last, which begins where it must to end with the name, and what neither has.
/// The usual apex is all in two of them.
struct Words<'a> {
    first: u64,
    between: &'a [[u8; 8]],
    last: u64,
}

impl<'a> Words<'a> {
    #[inline]
    fn of(name: &'a [u8]) -> Self {
        let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) else {
            let all = short_word(name);
            return Self { first: all, between: &[], last: all };
        };
        Self { first: u64::from_le_bytes(*first), between: between(name), last: u64::from_le_bytes(*last) }
    }
}

/// As many whole words after the first as begin before the last does.
#[inline]
fn between(name: &[u8]) -> &[[u8; 8]] {
    name.get(8..name.len() - 1).map_or(&[], |rest| rest.as_chunks().0)
}

#[cold]
fn short_word(name: &[u8]) -> u64 {
    name.iter().rev().fold(0, |word, octet| word << 8 | u64::from(*octet))
}

/// The apex of a zone.
#[derive(Debug)]
struct Apex {
    first: Word,
    last: Word,
    between: Box<[Word]>,
    len: usize,
    /// Another one of the same length.
    next_as_long: u32,
}

/// Eight octets of a name, compared without regard to case (RFC 4343).
#[derive(Debug)]
struct Word {
    lower: u64,
    /// [`ALL_LOWER`], but only where letters are.
    letters: u64,
}

impl Apex {
    fn new(name: &Name, next_as_long: u32) -> Self {
        let Words { first, between, last } = Words::of(name.as_wire());
        let between = between.iter().map(|word| Word::new(u64::from_le_bytes(*word))).collect();
        let len = name.as_wire().len();
        Self { first: Word::new(first), last: Word::new(last), between, len, next_as_long }
    }

    /// Whether a name that is as long is this one.
    #[inline]
    fn is(&self, name: &[u8]) -> bool {
        let Words { first, last, .. } = Words::of(name);
        self.first.is(first) && self.last.is(last) && (self.between.is_empty() || self.is_between(name))
    }

    #[inline]
    fn is_between(&self, name: &[u8]) -> bool {
        self.between.iter().zip(between(name)).all(|(own, word)| own.is(u64::from_le_bytes(*word)))
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
    use super::*;

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
        let catalog = Catalog::new(&apexes);
        for (place, text) in texts.iter().enumerate() {
            assert_eq!(catalog.at(&wire(text)), Some(place));
            assert_eq!(catalog.at(&wire(&text.to_uppercase())), Some(place));
            // Octets that differ where only a letter may.
            for at in 0..wire(text).len() {
                for bit in [0x01, 0x20, 0x40, 0x80] {
                    let mut other = wire(text);
                    other[at] ^= bit;
                    let is_same = other.eq_ignore_ascii_case(&wire(text));
                    assert_eq!(catalog.at(&other), is_same.then_some(place), "{text} {at} {bit}");
                }
            }
        }
    }

    #[test]
    fn many_of_one_length() {
        let apexes: Vec<Name> = (0..1_000)
            .map(|number| Name::parse(format!("a-customer-{number:04}.test").as_bytes()).expect("a name"))
            .collect();
        let catalog = Catalog::new(&apexes);
        for (place, apex) in apexes.iter().enumerate() {
            assert_eq!(catalog.at(&apex.as_wire().to_ascii_uppercase()), Some(place));
        }
        assert_eq!(catalog.at(&wire("a-customer-1000.test")), None);
    }
}
