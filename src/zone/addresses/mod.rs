//! Sets of IPv4 and IPv6 addresses and prefixes.
//!
//! A busy server looks millions of addresses up that are not listed, in sets of up to ten million single addresses and some
//! hundred thousand prefixes, and is told a whole new set every few minutes. So a set is immutable, sorted, and as small as it
//! goes, since what counts is how much of it stays in the processor's caches:
//!
//! | kept in | what | bytes an entry |
//! |---|---|---|
//! | hosts (/32, /128) | sorted keys under an index | IPv4 2.4 of ten million, 4.4 of a hundred; IPv6 16 |
//! | segments (/0 to /31; /0 to /64; /65 to /127) | places where the answer changes, two for a lone prefix | 5 to 8; 17; 33 |
//! | beside each | value of what is said: nothing if all agree, else 1, 2 or 4 each | |
//! | | lifetime, where there is one: as many bits as tell the ends of all apart | 2.1 if within a day; 3.1 a year |
//! | | link to what several lines say together, where there are many such: as many bits as the highest number has | |
//! | | which have an end, or a link, where some have none | 1.5 bits an entry; for each that has one 5 if one in four has, 12 if one in a thousand |
//! | beside segments | whether anything is said there | 1.5 bits a place |
//! | | what is behind an entry that ends, where there is any | 1 bit a place if nested once, 2 if three times, and so on; where those are few, half a byte to a byte for each that is within or around others, and two bits where the one around goes on right after it |
//! | rulings | a delay or key; several values of one key, or of one octet's prefixes | 24 or more, the same ones once |
//!
//! A lookup asks hosts first, then segments, from the more to the less specific. What is expired or not for this client says
//! nothing, and the next one decides. Whoever asks for a part of an address (empty non-terminals, RFC 8020) asks whether
//! anything in a range is listed: that walks the entries in the range, but only up to the first that is listed.
//!
//! | file | |
//! |---|---|
//! | `layers.rs` with `v6.rs` | hosts and segments, and what is asked of them |
//! | `sorted.rs` with `starts.rs` | their keys; where pieces of the address space begin |
//! | `key.rs` | what a key is: 32, 64 or 128 bits |
//! | `column.rs` with `annotations.rs` | what is said of each, until when |
//! | `nesting.rs` with `nested_runs.rs`, `blocks.rs` | what is behind a segment; which stretches are over |
//! | `which.rs`, `marks.rs`, `sparse.rs`, `bit_numbers.rs` | some positions among many, numbers of a few bits |
//! | `builder.rs` | lines in any order become such a set: |
//! | `newest.rs`, `packing.rs`, `gather.rs`, `stretches.rs` | collected, packed, sorted, merged, |
//! | `sweep.rs` | and flattened |

mod annotations;
mod bit_numbers;
mod blocks;
mod builder;
mod column;
mod gather;
mod key;
mod layers;
mod marks;
mod nested_runs;
mod nesting;
mod newest;
mod packing;
mod sorted;
mod sparse;
mod starts;
mod stretches;
mod sweep;
#[cfg(test)]
mod tests;
mod v6;
mod which;

pub use self::{
    builder::{AddressesBuilder, Specificity},
    sweep::Crowding,
};
use self::{
    layers::{Hosts, Segments, overlay},
    v6::V6,
};
use super::{
    lifetimes::Lifetimes,
    nested::{self, Standings},
    ruling::{ASKED_MAX, Context, Finding, Level, Rulings},
    subject::Run,
};

/// An immutable set of addresses and prefixes with what is said of them.
#[derive(Debug)]
pub struct Addresses {
    v4_hosts: Hosts<u32>,
    v4_segments: Segments<u32>,
    /// None where nothing is said of IPv6: most lists have no more than a few kilobytes.
    v6: Option<Box<V6>>,
    rulings: Rulings,
    entries: usize,
}

impl Addresses {
    /// What is said of an IPv4 address.
    #[inline(always)]
    pub fn find_v4(&self, address: u32, context: &Context) -> Finding<'_> {
        match self.v4_hosts.find(address, &self.rulings, context) {
            Finding::Absent => self.v4_segments.find(address, &self.rulings, context),
            finding => finding,
        }
    }

    /// What is said of an IPv6 address.
    #[inline]
    pub fn find_v6(&self, address: u128, context: &Context) -> Finding<'_> {
        match &self.v6 {
            Some(v6) => v6.find(address, &self.rulings, context),
            None => Finding::Absent,
        }
    }

    /// Whether any address from `first` to `last` is listed now, net of exclusions, or [too many](ASKED_MAX) had to be asked.
    pub fn any_listed_v4(&self, first: u32, last: u32, context: &Context) -> bool {
        let (range, rulings, asks_left) = (Run { first, last }, &self.rulings, &mut { ASKED_MAX });
        let no_host = |piece, asks_left: &mut _| self.v4_hosts.leave_any(piece, rulings, context, asks_left);
        self.v4_hosts.any_listed(range, rulings, context, asks_left)
            || self.v4_segments.any_listed(range, rulings, context, asks_left, no_host)
    }

    /// The same for IPv6.
    pub fn any_listed_v6(&self, first: u128, last: u128, context: &Context) -> bool {
        let asks_left = &mut { ASKED_MAX };
        self.v6.as_ref().is_some_and(|v6| v6.any_listed(Run { first, last }, &self.rulings, context, asks_left))
    }

    /// Calls `visit` with each range of IPv4 addresses of which the same is said, in ascending order, and all that is said,
    /// most specific first, down to what always decides. [`Self::decide`] and [`Self::levels`] read that.
    pub fn for_each_v4(&self, visit: impl FnMut(u32, u32, &Standings)) {
        self.for_each_v4_of(Run { first: 0, last: u32::MAX }, visit);
    }

    /// The same for IPv6.
    pub fn for_each_v6(&self, visit: impl FnMut(u128, u128, &Standings)) {
        self.for_each_v6_of(Run { first: 0, last: u128::MAX }, visit);
    }

    /// The same of one range of IPv4 addresses, as far as the others reach into it.
    pub fn for_each_v4_of(&self, range: Run<u32>, mut visit: impl FnMut(u32, u32, &Standings)) {
        let segments = self.v4_segments.iter(range).map(|piece| piece.map(u128::from, u128::from));
        let layers: Vec<Box<dyn Iterator<Item = _>>> = vec![Box::new(self.v4_hosts.iter(range)), Box::new(segments)];
        let range = Run { first: range.first.into(), last: range.last.into() };
        overlay(range, layers, |first, last, standings| visit(first as u32, last as u32, standings));
    }

    /// The same of one range of IPv6 addresses.
    pub fn for_each_v6_of(&self, range: Run<u128>, visit: impl FnMut(u128, u128, &Standings)) {
        overlay(range, self.v6.as_ref().map_or_else(Vec::new, |v6| v6.layers(range)), visit);
    }

    /// Something is said of so many IPv4 addresses at most: a single one counts beside the prefixes around it, so that it need
    /// not be looked at.
    pub fn extent_v4(&self) -> f64 {
        self.v4_hosts.len() as f64 + self.v4_segments.extent()
    }

    /// The same for IPv6.
    pub fn extent_v6(&self) -> f64 {
        self.v6.as_ref().map_or(0.0, |v6| v6.extent())
    }

    /// Decides what [`Self::for_each_v4`] and [`Self::for_each_v6`] visit.
    pub fn decide<'a>(&'a self, standings: &'a Standings, context: &Context) -> Finding<'a> {
        nested::decide(standings, 0, &self.rulings, context)
    }

    /// The levels of claims behind what [`Self::for_each_v4`] and [`Self::for_each_v6`] visit, most specific first.
    pub fn levels(&self, standings: &Standings) -> Vec<Level> {
        standings.levels(&self.rulings)
    }

    /// Up to so many IPv4 addresses that are listed now, from all over the set.
    pub fn some_listed_v4(&self, count: usize, context: &Context) -> Vec<u32> {
        let hosts = self.v4_hosts.spread(count);
        let candidates = hosts.chain(self.v4_segments.spread(count));
        candidates.filter(|&address| self.find_v4(address, context).is_listed()).take(count).collect()
    }

    /// The same for IPv6.
    pub fn some_listed_v6(&self, count: usize, context: &Context) -> Vec<u128> {
        let candidates = self.v6.iter().flat_map(|v6| v6.spread(count));
        candidates.filter(|&address| self.find_v6(address, context).is_listed()).take(count).collect()
    }

    /// Number of entries, as many as were added.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// How much of it ends, and when.
    pub fn lifetimes(&self, now_s: u64) -> Lifetimes {
        let has_ends = self.v4_hosts.has_lifetimes()
            || self.v4_segments.has_lifetimes()
            || self.v6.as_ref().is_some_and(|v6| v6.has_lifetimes());
        if !has_ends && self.rulings.is_empty() {
            return Lifetimes::endless(self.entries);
        }
        let Self { v4_hosts, v4_segments, v6, rulings, .. } = self;
        let v4 = v4_hosts.lifetimes(rulings, now_s).and(v4_segments.lifetimes(rulings, now_s));
        v6.iter().fold(v4, |v4, v6| v4.and(v6.lifetimes(rulings, now_s)))
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.v4_hosts.memory_bytes()
            + self.v4_segments.memory_bytes()
            + self.v6.as_ref().map_or(0, |v6| v6.memory_bytes())
            + self.rulings.memory_bytes()
    }
}
