//! Prefixes of addresses that were listed or excluded by command, by their length.
//!
//! Nearly all are single addresses, and hardly any set has more than three lengths; so each length that exists is a map of
//! its own, and a lookup asks them from the longest to the shortest.

use std::sync::Arc;

use super::{
    column::{Column, Numbers},
    ordered::{Entry, Ordered, Want},
};

/// So many pieces of a run are looked at, where exclusions lie in it, before it is said that something is listed there: a
/// question too many, but no listing that cannot be found.
pub(super) const PIECES_MAX: u32 = 128;

/// An address as a number.
pub(super) trait Address: Copy + Ord {
    /// Width.
    const BITS: u8;
    /// The first and the last address of the prefix of this length around this one.
    fn prefix(self, length: u8) -> (Self, Self);
    /// The same prefix's upper half.
    fn upper_half(self, length: u8) -> Self;
}

macro_rules! addresses {
    ($($number:ty),*) => {$(
        impl Address for $number {
            const BITS: u8 = <$number>::BITS as u8;

            #[inline]
            fn prefix(self, length: u8) -> (Self, Self) {
                let host = <$number>::MAX.checked_shr(u32::from(length)).unwrap_or(0);
                (self & !host, self | host)
            }

            fn upper_half(self, length: u8) -> Self {
                self | 1 << (<$number>::BITS - 1 - u32::from(length))
            }
        }
    )*};
}

addresses!(u32, u128);

type Map<A> = Arc<Ordered<Numbers<A>>>;

/// A set of prefixes of one family.
#[derive(Clone)]
pub(super) struct Prefixes<A>
where
    Numbers<A>: Column,
{
    /// The lengths that there are, the longest first.
    lengths: Vec<(u8, Map<A>)>,
}

impl<A> Default for Prefixes<A>
where
    Numbers<A>: Column,
{
    fn default() -> Self {
        Self { lengths: Vec::new() }
    }
}

impl<A: Address> Prefixes<A>
where
    Numbers<A>: Column<Key = A>,
{
    /// What is said of an address: by the longest prefix that is in force.
    #[inline]
    pub(super) fn find(&self, address: A, now_s: u64) -> Option<(u8, Entry)> {
        self.covering(address, A::BITS, now_s)
    }

    /// What the longest prefix in force says that has at most this length.
    #[inline]
    fn covering(&self, address: A, most: u8, now_s: u64) -> Option<(u8, Entry)> {
        self.lengths.iter().filter(|(length, _)| *length <= most).find_map(|(length, map)| {
            let entry = map.find(&address.prefix(*length).0)?;
            entry.in_force(now_s).then_some((*length, entry))
        })
    }

    /// What is said of exactly this prefix, in force or not.
    pub(super) fn exactly(&self, first: A, length: u8) -> Option<Entry> {
        self.lengths.iter().find(|(other, _)| *other == length)?.1.find(&first)
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

    /// Whether anything of that sort is in force within a prefix, and more specific than it.
    fn any_within(&self, want: Want, first: A, length: u8, now_s: u64) -> bool {
        let last = first.prefix(length).1;
        let mut longer = self.lengths.iter().take_while(|(other, _)| *other > length);
        longer.any(|(_, map)| map.any_in_force(want, &first, |key| *key <= last, now_s))
    }

    /// Whether anything of a prefix is listed, here or, where nothing is said here, by `files`, which is asked for prefixes.
    pub(super) fn any_listed(
        &self,
        first: A,
        length: u8,
        now_s: u64,
        pieces_left: &mut u32,
        files: &mut impl FnMut(A, A) -> bool,
    ) -> bool {
        let covering = self.covering(first, length, now_s).map(|(_, entry)| entry.value().is_some());
        let has_listed = self.any_within(Want::Listed, first, length, now_s);
        let is_listed =
            |files: &mut dyn FnMut(A, A) -> bool| covering.unwrap_or_else(|| files(first, first.prefix(length).1));
        if !self.any_within(Want::Excluded, first, length, now_s) {
            return has_listed || is_listed(files);
        }
        let hosts = self.lengths.first().filter(|(longest, _)| has_listed && *longest == A::BITS);
        let last = first.prefix(length).1;
        if hosts.is_some_and(|(_, map)| map.any_in_force(Want::Listed, &first, |key| *key <= last, now_s)) {
            return true;
        }
        if !has_listed && !is_listed(files) {
            return false;
        }
        if *pieces_left == 0 {
            return true;
        }
        *pieces_left -= 1;
        let mut half = |half| self.any_listed(half, length + 1, now_s, pieces_left, files);
        half(first) || half(first.upper_half(length))
    }

    /// Calls `visit` with each prefix and what is said of it.
    pub(super) fn for_each(&self, mut visit: impl FnMut(A, u8, Entry)) {
        for (length, map) in &self.lengths {
            map.for_each(|first, entry| visit(*first, *length, entry));
        }
    }

    /// Calls `visit` with each prefix that is over, until it has enough.
    pub(super) fn for_each_over(&self, now_s: u64, visit: &mut dyn FnMut(A, u8) -> bool) {
        for (length, map) in &self.lengths {
            map.for_each_over(now_s, &mut |first| visit(*first, *length));
        }
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
