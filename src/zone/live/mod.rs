//! What was listed or excluded by command, as it is served: one more dataset in front of those that were read from files.
//!
//! Workers read it without locks while some hundred versions a second may be published. A version is immutable and shares
//! nearly all of its memory with the one before; see `ordered`. Of a million single addresses, each costs some 17 octets
//! (IPv4) or 34 (IPv6), a name its own length and 14.
//!
//! | asked | answered by |
//! |---|---|
//! | an address | the longest prefix in force |
//! | a name | its own entry in force, else the closest wildcard in force above it |
//! | is anything in a run of addresses, or below a name, listed? | a walk that passes over what is over or says nothing of it |
//!
//! What is over is passed over by every lookup, to the second; sweeping only returns memory.

mod keys;
mod names;
mod ordered;
mod prefixes;
#[cfg(test)]
mod tests;
mod values;

use std::{fmt, sync::Arc};

pub use self::{
    names::Below,
    ordered::Entry,
    values::{BUILT_IN, LiveValue, LiveValueId, OwnValue, ValueNumbers, expand},
};
use self::{
    names::LiveNames,
    ordered::Ordered,
    prefixes::{PIECES_MAX, Prefixes},
};
use super::{reversed::Reversed, ruling::FOREVER_S, subject::Run};
use crate::wire::name::RelativeName;

/// All live listings that are served at one moment, by the slots of their zones.
#[derive(Clone, Debug, Default)]
pub struct Live {
    zones: Vec<Option<Arc<LiveZone>>>,
}

impl Live {
    /// None at all.
    pub const NONE: &Self = &Self { zones: Vec::new() };

    /// What a zone has, if it has any.
    #[inline]
    pub fn zone(&self, slot: u32) -> Option<&LiveZone> {
        self.zones.get(slot as usize)?.as_deref()
    }

    /// Entries of all zones, and how many of them are exclusions.
    pub fn counts(&self) -> (usize, usize) {
        let zones = || self.zones.iter().flatten();
        (zones().map(|zone| zone.len()).sum(), zones().map(|zone| zone.exclusion_count()).sum())
    }

    /// Replaces what a zone has.
    pub fn set(&mut self, slot: u32, zone: Option<Arc<LiveZone>>) {
        let at = slot as usize;
        if at >= self.zones.len() {
            if zone.is_none() {
                return;
            }
            self.zones.resize(at + 1, None);
        }
        self.zones[at] = zone;
    }
}

/// Where an entry belongs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// An IPv4 prefix: its first address, and its length.
    V4(u32, u8),
    /// An IPv6 prefix.
    V6(u128, u8),
    /// A name, its labels from right to left, or all names below it.
    Name {
        /// See [`reverse`](super::reversed::reverse).
        reversed: Box<[u8]>,
        /// All names below, and not itself.
        is_wildcard: bool,
    },
}

/// The live listings of one zone.
#[derive(Clone, Default)]
pub struct LiveZone {
    v4: Prefixes<u32>,
    v6: Prefixes<u128>,
    names: LiveNames,
    values: values::LiveValues,
    /// TTL of answers where the zone has no dataset that gives one, in seconds.
    pub(crate) ttl_s: u32,
}

impl LiveZone {
    /// None yet; answers have that TTL where the zone has no dataset that gives one.
    pub fn new(ttl_s: u32) -> Self {
        Self { ttl_s, ..Self::default() }
    }

    /// What is said of an IPv4 address.
    #[inline]
    pub fn find_v4(&self, address: u32, now_s: u64) -> Option<Entry> {
        self.v4.find(address, now_s)
    }

    /// What is said of an IPv6 address.
    #[inline]
    pub fn find_v6(&self, address: u128, now_s: u64) -> Option<Entry> {
        self.v6.find(address, now_s)
    }

    /// What is said of a name, and how many labels the entry has that says so, `*` not counted.
    #[inline]
    pub fn find_name(&self, name: RelativeName<'_>, now_s: u64) -> Option<(usize, Entry)> {
        if !self.has_names() {
            return None;
        }
        self.names.find(&Reversed::of(name), now_s)
    }

    /// Whether anything is said of names.
    #[inline]
    pub fn has_names(&self) -> bool {
        self.names.exact.len() + self.names.wildcards.len() > 0
    }

    /// Whether anything in a run of IPv4 addresses, which must be a prefix, is listed: here, or else by `files`, which is asked
    /// for parts of the run where nothing is said here.
    pub fn any_listed_v4(&self, run: Run<u32>, now_s: u64, mut files: impl FnMut(Run<u32>) -> bool) -> bool {
        self.v4.any_listed(run, now_s, &mut { PIECES_MAX }, &mut files)
    }

    /// The same for IPv6.
    pub fn any_listed_v6(&self, run: Run<u128>, now_s: u64, mut files: impl FnMut(Run<u128>) -> bool) -> bool {
        self.v6.any_listed(run, now_s, &mut { PIECES_MAX }, &mut files)
    }

    /// What is said of the names below one.
    pub fn below(&self, name: RelativeName<'_>, now_s: u64) -> Below {
        if !self.has_names() {
            return Below::Nothing;
        }
        self.names.below(&Reversed::of(name), now_s)
    }

    /// Whether a name, or all names below it, are excluded.
    pub fn leaves_out(&self, name: &Reversed, is_wildcard: bool, now_s: u64) -> bool {
        self.names.leaves_out(name, is_wildcard, now_s)
    }

    /// The value of an entry.
    #[inline]
    pub fn value(&self, id: LiveValueId) -> Option<&LiveValue> {
        self.values.get(id)
    }

    /// What is said of exactly this, in force or not.
    pub fn exactly(&self, place: &Place) -> Option<Entry> {
        match place {
            Place::V4(first, length) => self.v4.exactly(*first, *length),
            Place::V6(first, length) => self.v6.exactly(*first, *length),
            Place::Name { reversed, is_wildcard: false } => self.names.exact.find(reversed),
            Place::Name { reversed, is_wildcard: true } => self.names.wildcards.find(reversed),
        }
    }

    /// The exclusions that this is a part of, but for its own, the narrowest first, in force or not.
    pub fn exclusions_around(&self, place: &Place) -> Vec<Place> {
        match place {
            Place::V4(first, length) => {
                self.v4.exclusions_around(*first, *length).map(|(first, length)| Place::V4(first, length)).collect()
            }
            Place::V6(first, length) => {
                self.v6.exclusions_around(*first, *length).map(|(first, length)| Place::V6(first, length)).collect()
            }
            Place::Name { reversed, .. } => {
                let wildcard = |top: &[u8]| Place::Name { reversed: top.into(), is_wildcard: true };
                self.names.exclusions_around(reversed).into_iter().map(wildcard).collect()
            }
        }
    }

    /// How many listings are in force within this, but for its own, counted up to `most`.
    pub fn count_listed_within(&self, place: &Place, now_s: u64, most: usize) -> usize {
        match place {
            Place::V4(first, length) => self.v4.count_listed_within(*first, *length, now_s, most),
            Place::V6(first, length) => self.v6.count_listed_within(*first, *length, now_s, most),
            Place::Name { is_wildcard: false, .. } => 0,
            Place::Name { reversed, is_wildcard: true } => self.names.count_listed_below(reversed, now_s, most),
        }
    }

    /// Lists with a value, or excludes.
    pub fn put(&mut self, place: &Place, value: Option<&OwnValue>, until_s: u32, numbers: &mut ValueNumbers) {
        let entry = Entry::new(value.map(|own| numbers.take(own, &mut self.values)), until_s);
        let before = match place {
            Place::V4(first, length) => self.v4.of_length(*length).put(first, entry),
            Place::V6(first, length) => self.v6.of_length(*length).put(first, entry),
            Place::Name { reversed, is_wildcard } => self.names_mut(*is_wildcard).put(reversed, entry),
        };
        self.let_go(before, numbers);
    }

    /// The same while a zone is built, in the order of prefix lengths or of whether it is a wildcard, and then of keys.
    pub fn push(&mut self, place: &Place, value: Option<&OwnValue>, until_s: u32, numbers: &mut ValueNumbers) {
        let entry = Entry::new(value.map(|own| numbers.take(own, &mut self.values)), until_s);
        match place {
            Place::V4(first, length) => self.v4.of_length(*length).push(first, entry),
            Place::V6(first, length) => self.v6.of_length(*length).push(first, entry),
            Place::Name { reversed, is_wildcard } => self.names_mut(*is_wildcard).push(reversed, entry),
        }
    }

    /// Says nothing of it any more.
    pub fn remove(&mut self, place: &Place, numbers: &mut ValueNumbers) {
        let before = match place {
            Place::V4(first, length) => self.v4.remove(*first, *length),
            Place::V6(first, length) => self.v6.remove(*first, *length),
            Place::Name { reversed, is_wildcard } => self.names_mut(*is_wildcard).remove(reversed),
        };
        self.let_go(before, numbers);
    }

    /// Makes lookups quick again after changes: to be called before it is published.
    pub fn settle(&mut self) {
        self.v4.settle();
        self.v6.settle();
    }

    fn names_mut(&mut self, is_wildcard: bool) -> &mut Ordered<keys::Texts> {
        Arc::make_mut(if is_wildcard { &mut self.names.wildcards } else { &mut self.names.exact })
    }

    fn let_go(&mut self, entry: Option<Entry>, numbers: &mut ValueNumbers) {
        if let Some(id) = entry.and_then(Entry::value) {
            numbers.give_back(id, &mut self.values);
        }
    }

    /// Calls `visit` with all that is said.
    pub fn for_each(&self, mut visit: impl FnMut(Place, Entry)) {
        self.v4.for_each(|first, length, entry| visit(Place::V4(first, length), entry));
        self.v6.for_each(|first, length, entry| visit(Place::V6(first, length), entry));
        for (map, is_wildcard) in [(&self.names.exact, false), (&self.names.wildcards, true)] {
            map.for_each(|reversed, entry| visit(Place::Name { reversed: reversed.into(), is_wildcard }, entry));
        }
    }

    /// When the next of the listings that are in force ends, in seconds since the epoch. Looks at all of them.
    pub fn next_end_s(&self, now_s: u64) -> Option<u32> {
        let mut next_s = FOREVER_S;
        let mut look = |entry: Entry| {
            if entry.value().is_some() && entry.in_force(now_s) {
                next_s = next_s.min(entry.until_s);
            }
        };
        self.for_each_entry(&mut look);
        (next_s != FOREVER_S).then_some(next_s)
    }

    /// How many listings are in force, and how many exclusions. Looks at all of them.
    pub fn counts_in_force(&self, now_s: u64) -> (usize, usize) {
        let (mut listings, mut exclusions) = (0, 0);
        self.for_each_entry(&mut |entry| {
            let count = if entry.value().is_some() { &mut listings } else { &mut exclusions };
            *count += usize::from(entry.in_force(now_s));
        });
        (listings, exclusions)
    }

    /// The same as [`Self::for_each`] without saying of what it is.
    fn for_each_entry(&self, look: &mut impl FnMut(Entry)) {
        self.v4.for_each(|_, _, entry| look(entry));
        self.v6.for_each(|_, _, entry| look(entry));
        self.names.exact.for_each(|_, entry| look(entry));
        self.names.wildcards.for_each(|_, entry| look(entry));
    }

    /// At most `limit` of what is over at this second.
    pub fn over(&self, now_s: u64, limit: usize) -> Vec<Place> {
        let v4 = self.v4.over(now_s).map(|(first, length)| Place::V4(first, length));
        let v6 = self.v6.over(now_s).map(|(first, length)| Place::V6(first, length));
        let name = |is_wildcard| move |reversed: &[u8]| Place::Name { reversed: reversed.into(), is_wildcard };
        let exact = self.names.exact.over(now_s).map(name(false));
        let wildcards = self.names.wildcards.over(now_s).map(name(true));
        v4.chain(v6).chain(exact).chain(wildcards).take(limit).collect()
    }

    /// Number of entries, exclusions included, in force or not.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len() + self.names.exact.len() + self.names.wildcards.len()
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of exclusions among the entries.
    pub fn exclusion_count(&self) -> usize {
        let names = self.names.exact.exclusion_count() + self.names.wildcards.exclusion_count();
        self.v4.exclusion_count() + self.v6.exclusion_count() + names
    }

    /// Number of listings among the entries.
    pub fn listing_count(&self) -> usize {
        self.len() - self.exclusion_count()
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.v4.memory_bytes() + self.v6.memory_bytes() + self.names.memory_bytes() + self.values.memory_bytes()
    }
}

impl fmt::Debug for LiveZone {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("LiveZone").field("entries", &self.len()).finish_non_exhaustive()
    }
}
