//! Prefixes that were read, to tell which of them come again.
//!
//! Files are mostly sorted, and then each prefix costs a comparison. One out of order goes to a table, where a step or two find it.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, Hash},
};

use foldhash::fast::RandomState;

/// Keys out of order.
trait Others<K>: Default {
    /// Adds a key, and says whether it is new.
    fn insert(&mut self, key: K) -> bool;
    /// How many there are.
    fn count(&self) -> usize;
}

impl<K: Eq + Hash> Others<K> for HashSet<K, RandomState> {
    fn insert(&mut self, key: K) -> bool {
        Self::insert(self, key)
    }

    fn count(&self) -> usize {
        self.len()
    }
}

/// Keys that are numbers above zero.
#[derive(Default)]
struct Numbers {
    /// So many as a power of two, and one in four at least is free: zero.
    places: Vec<u64>,
    count: usize,
    state: RandomState,
}

impl Others<u64> for Numbers {
    #[inline]
    fn insert(&mut self, number: u64) -> bool {
        debug_assert!(number > 0);
        if 4 * self.count >= 3 * self.places.len() {
            self.grow();
        }
        let place = self.place(number);
        let is_new = self.places[place] == 0;
        self.places[place] = number;
        self.count += usize::from(is_new);
        is_new
    }

    fn count(&self) -> usize {
        self.count
    }
}

impl Numbers {
    /// Where the number stands, or will.
    #[inline]
    fn place(&self, number: u64) -> usize {
        let mask = self.places.len() - 1;
        let mut place = self.state.hash_one(number) as usize & mask;
        while self.places[place] != 0 && self.places[place] != number {
            place = (place + 1) & mask;
        }
        place
    }

    #[cold]
    fn grow(&mut self) {
        let larger = vec![0; (2 * self.places.len()).max(64)];
        for number in std::mem::replace(&mut self.places, larger) {
            if number > 0 {
                let place = self.place(number);
                self.places[place] = number;
            }
        }
    }
}

/// Keys that were read.
#[derive(Default)]
struct Known<K, O> {
    /// Those that were above all before them.
    ascending: Vec<K>,
    others: O,
}

impl<K: Copy + Ord, O: Others<K>> Known<K, O> {
    /// Adds a key, and says whether it is new.
    #[inline]
    fn insert(&mut self, key: K) -> bool {
        if self.ascending.last().is_none_or(|highest| *highest < key) {
            if self.ascending.len() == self.ascending.capacity() {
                self.ascending.reserve_exact((self.ascending.len() / 8).max(64));
            }
            self.ascending.push(key);
            return true;
        }
        self.ascending.binary_search(&key).is_err() && self.others.insert(key)
    }

    fn count(&self) -> usize {
        self.ascending.len() + self.others.count()
    }
}

/// The prefixes, as numbers of eight octets but for the rare ones beyond /64.
#[derive(Default)]
pub(super) struct KnownPrefixes {
    v4: Known<u64, Numbers>,
    /// Below /64 the first bit beyond the prefix is set, which tells its length.
    v6_wide: Known<u64, Numbers>,
    v6_64: Known<u64, Numbers>,
    /// And `::/64`, which is zero.
    v6_deep: Known<(u128, u8), HashSet<(u128, u8), RandomState>>,
}

impl KnownPrefixes {
    /// Adds an IPv4 prefix, and says whether it is new.
    #[inline]
    pub(super) fn insert_v4(&mut self, base: u32, length: u8) -> bool {
        self.v4.insert(u64::from(base) << 8 | u64::from(length + 1))
    }

    /// Adds an IPv6 prefix, and says whether it is new.
    #[inline]
    pub(super) fn insert_v6(&mut self, base: u128, length: u8) -> bool {
        let upper = (base >> 64) as u64;
        match length {
            0..64 => self.v6_wide.insert(upper | 1 << (63 - length)),
            64 if upper > 0 => self.v6_64.insert(upper),
            _ => self.v6_deep.insert((base, length)),
        }
    }

    /// How many there are.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.v4.count() + self.v6_wide.count() + self.v6_64.count() + self.v6_deep.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_known_in_any_order() {
        let mut known = KnownPrefixes::default();
        let new: Vec<bool> = [(5, 32), (7, 32), (6, 32), (6, 32), (5, 32), (5, 31), (9, 8), (7, 32), (6, 32)]
            .into_iter()
            .map(|(base, length)| known.insert_v4(base, length))
            .collect();
        assert_eq!(new, [true, true, true, false, false, true, true, false, false]);
        assert_eq!(known.count(), 5);
    }

    #[test]
    fn prefixes_of_every_length_are_different() {
        let mut known = KnownPrefixes::default();
        for is_new in [true, false] {
            assert!((0..=128).all(|length| known.insert_v6(0, length) == is_new));
            assert!((0..=32).all(|length| known.insert_v4(0, length) == is_new));
            assert_eq!(known.insert_v6(1 << 64, 64), is_new);
        }
        assert_eq!(known.count(), 129 + 33 + 1);
    }

    #[test]
    fn many_out_of_order_are_told_apart() {
        let mut known = KnownPrefixes::default();
        for is_new in [true, false] {
            for index in (0..50_000_u32).rev() {
                assert_eq!(known.insert_v4(index << 8, 24), is_new);
                assert_eq!(known.insert_v6(u128::from(index) << 64, 64), is_new);
                assert_eq!(known.insert_v6(u128::from(index) << 96, 48 + (index % 16) as u8), is_new);
            }
        }
        assert_eq!(known.count(), 150_000);
    }
}
