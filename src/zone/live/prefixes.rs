//! Prefixes of addresses that were listed or excluded by command, by their length.
//!
//! Nearly all are single addresses, and hardly any set has more than three lengths; so each length that exists is a map of
//! its own, and a lookup asks them from the longest to the shortest.

use std::sync::Arc;

use super::{
    keys::Numbers,
    ordered::{Entry, Ordered, Want},
};
use crate::zone::{bits::Address, subject::Run};

/// So many pieces of a run are looked at, where exclusions lie in it, before it is said that something is listed there. That is
/// for the reason of [`ASKED_MAX`](crate::zone::ruling::ASKED_MAX), and they are fewer since files are asked for each piece.
pub(super) const PIECES_MAX: u32 = 128;

type Map<A> = Arc<Ordered<Numbers<A>>>;

/// A set of prefixes of one family.
#[derive(Clone)]
pub(super) struct Prefixes<A: Address> {
    /// The lengths that there are, the longest first.
    lengths: Vec<(u8, Map<A>)>,
}

impl<A: Address> Default for Prefixes<A> {
    fn default() -> Self {
        Self { lengths: Vec::new() }
    }
}

impl<A: Address> Prefixes<A> {
    /// What is said of an address: by the longest prefix that is in force.
    #[inline]
    pub(super) fn find(&self, address: A, now_s: u64) -> Option<Entry> {
        self.covering(address, A::BITS, now_s)
    }

    /// What the longest prefix in force says that has at most this length.
    #[inline]
    fn covering(&self, address: A, most: u8, now_s: u64) -> Option<Entry> {
        let of_length = |(length, map): &(u8, Map<A>)| {
            map.find(&address.prefix(*length).first).filter(|entry| entry.in_force(now_s))
        };
        self.lengths.iter().filter(|(length, _)| *length <= most).find_map(of_length)
    }

    /// What is said of exactly this prefix, in force or not.
    pub(super) fn exactly(&self, first: A, length: u8) -> Option<Entry> {
        self.lengths.iter().find(|(other, _)| *other == length)?.1.find(&first)
    }

    /// The exclusions that this prefix is a part of, but for its own, the longest first, in force or not.
    pub(super) fn exclusions_around(&self, first: A, length: u8) -> impl Iterator<Item = (A, u8)> {
        let shorter = self.lengths.iter().filter(move |(other, map)| *other < length && map.exclusion_count() > 0);
        shorter.filter_map(move |(other, map)| {
            let first = first.prefix(*other).first;
            map.find(&first).filter(|entry| entry.value().is_none()).map(|_| (first, *other))
        })
    }

    /// How many prefixes within this one are listed, but for itself, counted up to `most`.
    pub(super) fn count_listed_within(&self, first: A, length: u8, now_s: u64, most: usize) -> usize {
        let run = first.prefix(length);
        let longer = self.lengths.iter().take_while(|(other, _)| *other > length);
        longer.fold(0, |count, (_, map)| {
            count + map.count_in_force(Want::Listed, &run.first, |key| *key <= run.last, now_s, most - count)
        })
    }

    /// The map of a length.
    pub(super) fn of_length(&mut self, length: u8) -> &mut Ordered<Numbers<A>> {
        let place = self.lengths.partition_point(|(other, _)| *other > length);
        if self.lengths.get(place).is_none_or(|(other, _)| *other != length) {
            self.lengths.insert(place, (length, Map::default()));
        }
        Arc::make_mut(&mut self.lengths[place].1)
    }

    /// Makes lookups quick again after changes.
    pub(super) fn settle(&mut self) {
        for (_, map) in self.lengths.iter_mut().filter(|(_, map)| !map.is_settled()) {
            Arc::make_mut(map).settle();
        }
    }

    pub(super) fn remove(&mut self, first: A, length: u8) -> Option<Entry> {
        let place = self.lengths.iter().position(|(other, _)| *other == length)?;
        let map = Arc::make_mut(&mut self.lengths[place].1);
        let before = map.remove(&first);
        if map.len() == 0 {
            self.lengths.remove(place);
        }
        before
    }

    /// Whether anything of that sort is in force within the prefix of that length that a run is, and more specific than it.
    fn any_within(&self, want: Want, run: Run<A>, length: u8, now_s: u64) -> bool {
        let mut longer = self.lengths.iter().take_while(|(other, _)| *other > length);
        longer.any(|(_, map)| map.any_in_force(want, &run.first, |key| *key <= run.last, now_s))
    }

    /// Whether anything of a run is listed, here or, where nothing is said here, by `files`, which is asked for parts of it. The
    /// run must be a prefix, and so are the parts: what is not would be taken for more than it is.
    pub(super) fn any_listed(
        &self,
        run: Run<A>,
        now_s: u64,
        pieces_left: &mut u32,
        files: &mut impl FnMut(Run<A>) -> bool,
    ) -> bool {
        let length = run.first.common_length(run.last);
        debug_assert!(run == run.first.prefix(length), "not a prefix");
        let covering = self.covering(run.first, length, now_s).map(|entry| entry.value().is_some());
        let has_listed = self.any_within(Want::Listed, run, length, now_s);
        let is_listed = |files: &mut dyn FnMut(Run<A>) -> bool| covering.unwrap_or_else(|| files(run));
        if !self.any_within(Want::Excluded, run, length, now_s) {
            return has_listed || is_listed(files);
        }
        let hosts = self.lengths.first().filter(|(longest, _)| has_listed && *longest == A::BITS);
        if hosts.is_some_and(|(_, map)| map.any_in_force(Want::Listed, &run.first, |key| *key <= run.last, now_s)) {
            return true;
        }
        if !has_listed && !is_listed(files) {
            return false;
        }
        if *pieces_left == 0 {
            return true;
        }
        *pieces_left -= 1;
        let halves = [run.first, run.last].map(|end| end.prefix(length + 1));
        halves.into_iter().any(|half| self.any_listed(half, now_s, pieces_left, files))
    }

    /// Calls `visit` with each prefix and what is said of it.
    pub(super) fn for_each(&self, mut visit: impl FnMut(A, u8, Entry)) {
        for (length, map) in &self.lengths {
            map.for_each(|first, entry| visit(*first, *length, entry));
        }
    }

    /// The prefixes whose entries are over.
    pub(super) fn over(&self, now_s: u64) -> impl Iterator<Item = (A, u8)> {
        self.lengths.iter().flat_map(move |(length, map)| map.over(now_s).map(|first| (*first, *length)))
    }

    pub(super) fn len(&self) -> usize {
        self.lengths.iter().map(|(_, map)| map.len()).sum()
    }

    pub(super) fn exclusion_count(&self) -> usize {
        self.lengths.iter().map(|(_, map)| map.exclusion_count()).sum()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.lengths.iter().map(|(_, map)| map.memory_bytes()).sum()
    }
}
