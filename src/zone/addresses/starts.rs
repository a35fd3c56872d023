//! Where pieces of the address space begin.
//!
//! Mostly each begins at an address of its own. Where prefixes begin at one address and the narrower ones end, there is a piece for
//! each of them, of which all but the last are only looked for [behind it](super::nesting). That address is kept once: of it is told
//! that several begin there, and of those beyond one, which are the first, a few bits instead of a key each.
//!
//! ```text
//!  2001:db8::/48                 |                               |
//!  2001:db8::/64 until 8:00      |               |               |
//!  piece                         | 0, 1          | 2             | 3
//!  start                         | 0             | 1             | 2
//!  several begin                 | yes           | no            | no
//! ```

use std::ops::Range;

use super::{
    key::Key,
    sorted::{Sorted, SortedBuilder},
    which::Which,
};
use crate::zone::halving::partition_point;

/// The first addresses of pieces, in order.
#[derive(Debug)]
pub(super) struct Starts<K> {
    /// Each address once.
    keys: Sorted<K>,
    repeats: Repeats,
}

/// Pieces that begin where the piece before them does.
#[derive(Debug, Default)]
struct Repeats {
    /// How many there are.
    count: usize,
    /// The addresses at which there are any.
    several: Which,
    /// Of the repeats, the first of each such address.
    firsts: Which,
}

/// Builds [`Starts`] from the lowest to the highest.
#[derive(Debug)]
pub(super) struct StartsBuilder<K> {
    keys: SortedBuilder<K>,
    /// The newest key, once there is one.
    last: K,
    /// So many keys there were when the newest repeat came.
    repeated: usize,
    repeats: Repeats,
}

impl<K: Key> StartsBuilder<K> {
    pub(super) fn new() -> Self {
        Self { keys: SortedBuilder::new(), last: K::MIN, repeated: 0, repeats: Repeats::default() }
    }

    /// Where the next piece begins, not below those before it.
    #[inline]
    pub(super) fn push(&mut self, key: K) {
        if key == self.last && self.keys.len() > 0 {
            self.repeat();
        } else {
            self.last = key;
            self.keys.push(key);
        }
    }

    fn repeat(&mut self) {
        let Repeats { count, several, firsts } = &mut self.repeats;
        let keys = self.keys.len();
        if std::mem::replace(&mut self.repeated, keys) != keys {
            several.mark(keys - 1);
            firsts.mark(*count);
        }
        *count += 1;
    }

    /// Number of pieces so far.
    pub(super) fn len(&self) -> usize {
        self.keys.len() + self.repeats.count
    }

    pub(super) fn build(self) -> Starts<K> {
        let Self { keys, mut repeats, .. } = self;
        repeats.several.finish(keys.len());
        repeats.firsts.finish(repeats.count);
        Starts { keys: keys.build(), repeats }
    }
}

impl Repeats {
    /// How many there are at the first so many addresses.
    fn count_to(&self, addresses: usize) -> usize {
        let Some((_, last)) = self.several.last_before(addresses) else { return 0 };
        self.firsts.position(last + 1).unwrap_or(self.count)
    }
}

impl<K: Key> Starts<K> {
    /// Number of pieces.
    pub(super) fn len(&self) -> usize {
        self.keys.len() + self.repeats.count
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let Repeats { several, firsts, .. } = &self.repeats;
        self.keys.memory_bytes() + several.memory_bytes() + firsts.memory_bytes()
    }

    /// Where pieces begin, each address once.
    pub(super) fn addresses(&self) -> &Sorted<K> {
        &self.keys
    }

    /// The number of pieces that begin at the first so many addresses.
    #[inline]
    fn pieces(&self, addresses: usize) -> usize {
        if self.repeats.count == 0 { addresses } else { addresses + self.repeats.count_to(addresses) }
    }

    /// The number of the address at which the piece at `position` begins.
    fn address(&self, position: usize) -> usize {
        let after = position.saturating_sub(self.repeats.count)..position.min(self.keys.len());
        partition_point(after, |address| self.pieces(address + 1) <= position)
    }

    /// The number of pieces that begin up to `key`, those that begin there included.
    #[inline(always)]
    pub(super) fn count_to(&self, key: K) -> usize {
        self.pieces(self.keys.count_to(key))
    }

    /// Where the piece at `position` begins.
    pub(super) fn key(&self, position: usize) -> K {
        self.keys.key(self.address(position))
    }

    /// Where the pieces at these positions begin, in order.
    pub(super) fn iter(&self, positions: Range<usize>) -> impl Iterator<Item = K> {
        let addresses = self.address(positions.start)..self.address(positions.end.max(1) - 1) + 1;
        let addresses = if positions.is_empty() { 0..0 } else { addresses };
        self.keys.iter(addresses.clone()).zip(addresses).flat_map(move |(key, address)| {
            let own = self.pieces(address).max(positions.start)..self.pieces(address + 1).min(positions.end);
            std::iter::repeat_n(key, own.len())
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::*;

    /// Compares these with what a slice says of them.
    fn holds<K: Key + std::fmt::Debug>(keys: &[K], probes: impl IntoIterator<Item = K>) -> Starts<K> {
        let mut builder = StartsBuilder::new();
        for (len, key) in keys.iter().enumerate() {
            assert_eq!(builder.len(), len);
            builder.push(*key);
        }
        let starts = builder.build();
        assert_eq!((starts.len(), starts.is_empty()), (keys.len(), keys.is_empty()));
        for probe in probes {
            assert_eq!(starts.count_to(probe), keys.partition_point(|key| *key <= probe), "{probe:?}");
        }
        assert!((0..keys.len()).all(|position| starts.key(position) == keys[position]));
        let step = 1 + keys.len() / 100;
        for start in (0..=keys.len()).step_by(step) {
            for end in [start, start + 1, start + 2, start + 7, keys.len()] {
                let range = start..end.min(keys.len());
                assert!(starts.iter(range.clone()).eq(keys[range].iter().copied()));
            }
        }
        starts
    }

    #[test]
    fn none_and_few() {
        holds::<u32>(&[], [0, 1, u32::MAX]);
        holds(&[7_u32], [0, 7, 8]);
        holds(&[7_u32; 3], [0, 7, 8]);
        holds(&[0_u64, 0, 1, u64::MAX, u64::MAX], [0, 1, 2, u64::MAX - 1, u64::MAX]);
        holds(&[3_u128, 3, 3, 3, 9, 9, 9], 0..12);
    }

    #[test]
    fn as_many_as_there_are_kinds_of_lists() {
        let mut random = SmallRng::seed_from_u64(1);
        // No repeats, few, many; one each and several; and so many keys that they are halved.
        for (len, one_in, most) in
            [(3_000, 1_000_000, 1), (3_000, 100, 1), (3_000, 3, 1), (3_000, 2, 5), (300_000, 9, 3)]
        {
            let mut keys: Vec<u32> = Vec::new();
            for step in 0..len {
                let more = if random.random_ratio(1, one_in) { random.random_range(1..=most) } else { 0 };
                keys.extend((0..=more).map(|_| step * 9_001 + step % 5));
            }
            let probes: Vec<u32> = keys.iter().step_by(7).flat_map(|key| [*key, key + 1]).collect();
            let starts = holds(&keys, probes);
            let bits = (starts.memory_bytes() - starts.keys.memory_bytes()) * 8;
            assert!(bits <= keys.len() * 3 / 2 + starts.repeats.count * 3 / 2 + 256, "{bits}");
        }
    }

    #[test]
    fn all_begin_twice() {
        let keys: Vec<u128> = (0..10_000).map(|step| 0x2001 << 112 | (step / 2) << 40).collect();
        let starts = holds(&keys, keys.iter().flat_map(|key| [*key, *key + 1]));
        assert_eq!(starts.memory_bytes(), starts.keys.memory_bytes());
    }

    #[test]
    fn without_repeats_there_is_nothing_more() {
        let keys: Vec<u64> = (0..10_000).map(|step| step * 77).collect();
        let starts = holds(&keys, [0, 76, 77, 769_923, 769_924]);
        assert_eq!(starts.memory_bytes(), starts.keys.memory_bytes());
    }
}
