//! Prefixes that were read, to tell which of them come again.
//!
//! Files are mostly sorted, and then each prefix costs a comparison. One out of order goes to a table, where a step or two find it.

use std::{collections::HashSet, hash::Hash};

use foldhash::fast::RandomState;

/// Keys that were read.
#[derive(Default)]
struct Known<K> {
    /// Those that were above all before them.
    ascending: Vec<K>,
    others: HashSet<K, RandomState>,
}

impl<K: Copy + Ord + Hash> Known<K> {
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
        self.ascending.len() + self.others.len()
    }
}

/// The prefixes, as numbers of eight octets but for the rare ones beyond /64.
#[derive(Default)]
pub(super) struct KnownPrefixes {
    v4: Known<u64>,
    /// Below /64 the first bit beyond the prefix is set, which tells its length.
    v6_wide: Known<u64>,
    v6_64: Known<u64>,
    v6_deep: Known<(u128, u8)>,
}

impl KnownPrefixes {
    /// Adds an IPv4 prefix, and says whether it is new.
    #[inline]
    pub(super) fn insert_v4(&mut self, base: u32, length: u8) -> bool {
        self.v4.insert(u64::from(base) << 8 | u64::from(length))
    }

    /// Adds an IPv6 prefix, and says whether it is new.
    #[inline]
    pub(super) fn insert_v6(&mut self, base: u128, length: u8) -> bool {
        let upper = (base >> 64) as u64;
        match length {
            0..64 => self.v6_wide.insert(upper | 1 << (63 - length)),
            64 => self.v6_64.insert(upper),
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
