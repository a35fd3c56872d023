//! Few positions among many, in hardly more than half a bit each beyond what it takes at least to tell which they are.
//!
//! Positions that are cut into a high and a low part so that there are about as many high parts as positions need few bits
//! (Elias 1974, Fano 1971): the low parts stand as they are, and of the high ones is told in unary how many positions have
//! each, a one for every position and a zero after the last with that part. Where a part begins is found by counting zeros; of
//! one in a hundred it is kept where it is.
//!
//! ```text
//! positions       3, 5, 18, 19, 60
//! low parts       3, 5, 2, 3, 4            3 bits each
//! high parts      110 0110 0000 010        of 0 two, of 1 none, of 2 two, of 3 to 6 none, of 7 one
//! ```

use std::ops::Range;

use super::{
    bit_numbers::BitNumbers,
    marks::{WORD, below, nth},
};
use crate::zone::{halving::partition_point, tight::push_tight};

/// Of one zero in so many is kept where it is.
const ZEROS: usize = 128;

/// The positions.
#[derive(Debug)]
pub(super) struct Sparse {
    low: BitNumbers,
    high: Vec<u64>,
    /// Bits that are zeros, one in [`ZEROS`].
    zeros: Vec<u32>,
}

impl Sparse {
    /// Takes so many positions, in order, below `end`.
    pub(super) fn new(positions: impl Iterator<Item = usize>, count: usize, end: usize) -> Self {
        let width = Self::low_bits(count, end);
        let mut low = BitNumbers::new(width);
        let bits = if count == 0 { 0 } else { count + (end >> width) + 1 };
        let mut high = vec![0_u64; bits.div_ceil(WORD)];
        for (number, position) in positions.enumerate() {
            low.push(position as u32);
            let at = (position >> width) + number;
            high[at / WORD] |= 1 << (at % WORD);
        }
        low.shrink_to_fit();
        let (mut zeros, mut count) = (Vec::new(), 0);
        for (at, word) in high.iter().enumerate() {
            let next = count + word.count_zeros() as usize;
            let wanted = zeros.len() * ZEROS;
            if wanted < next {
                push_tight(&mut zeros, (at * WORD + nth(!word, wanted - count)) as u32);
            }
            count = next;
        }
        zeros.shrink_to_fit();
        Self { low, high, zeros }
    }

    /// Bits of each of so many positions below `end`, about.
    pub(super) fn bits(count: usize, end: usize) -> usize {
        Self::low_bits(count, end) as usize + 3
    }

    fn low_bits(count: usize, end: usize) -> u32 {
        (end / count.max(1)).checked_ilog2().unwrap_or(0)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.low.len()
    }

    /// How many come before `position`, if that is one of them.
    #[inline(never)]
    pub(super) fn rank(&self, position: usize) -> Option<usize> {
        let Range { start, end } = self.sharing(position)?;
        let low = self.low_part(position);
        // They are in order.
        let at = partition_point(start..end, |at| self.low.get(at) < low);
        (at < end && self.low.get(at) == low).then_some(at)
    }

    /// The last one before `position`, which may be the end, and how many come before it.
    #[inline(never)]
    pub(super) fn last_before(&self, position: usize) -> Option<(usize, usize)> {
        let (high, low) = (position >> self.low.width(), self.low_part(position));
        let Range { start, end } = self.sharing(position)?;
        let rank = partition_point(start..end, |at| self.low.get(at) < low).checked_sub(1)?;
        if rank >= start {
            return Some((self.whole(high, rank), rank));
        }
        let (word, bit) = ((start + high) / WORD, (start + high) % WORD);
        let near = self.high.get(word).and_then(|ones| (ones & below(bit)).checked_ilog2());
        let near = near.map(|bit| self.whole(word * WORD + bit as usize - rank, rank));
        Some((near.or_else(|| self.position(rank))?, rank))
    }

    /// The position of these parts, after so many others.
    fn whole(&self, high: usize, rank: usize) -> usize {
        high << self.low.width() | self.low.get(rank) as usize
    }

    fn low_part(&self, position: usize) -> u32 {
        position as u32 & self.low.mask()
    }

    /// The numbers of those that have the same high part as `position`, if there can be any.
    #[inline]
    fn sharing(&self, position: usize) -> Option<Range<usize>> {
        let high = position >> self.low.width();
        // Right after as many zeros as there are lower parts are those with that one.
        let begin = match high {
            0 => 0,
            high => {
                let known = (high - 1) / ZEROS;
                self.find(*self.zeros.get(known)? as usize, high - 1 - known * ZEROS, |word| !word)? + 1
            }
        };
        let first = begin - high;
        Some(first..first + self.ones_from(begin))
    }

    /// The position before which come so many.
    pub(super) fn position(&self, rank: usize) -> Option<usize> {
        // So many ones come before a zero.
        let before = |known: usize| self.zeros[known] as usize - known * ZEROS;
        let after = partition_point(0..self.zeros.len(), |known| before(known) <= rank);
        let (start, before) = after.checked_sub(1).map_or((0, 0), |known| (self.zeros[known] as usize, before(known)));
        let at = self.find(start, rank - before, |word| word)?;
        Some(self.whole(at - rank, rank))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.low.memory_bytes() + self.high.capacity() * 8 + self.zeros.capacity() * 4
    }

    /// From bit `start` on, the bit before which come so many others that are set in what `bits` makes of the words.
    #[inline]
    fn find(&self, start: usize, mut count: usize, bits: impl Fn(u64) -> u64) -> Option<usize> {
        let mut first = u64::MAX << (start % WORD);
        for (at, word) in self.high.iter().enumerate().skip(start / WORD) {
            let word = bits(*word) & std::mem::replace(&mut first, u64::MAX);
            let ones = word.count_ones() as usize;
            if count < ones {
                return Some(at * WORD + nth(word, count));
            }
            count -= ones;
        }
        None
    }

    /// How many bits are set without a gap from that one on.
    fn ones_from(&self, bit: usize) -> usize {
        let (at, shift) = (bit / WORD, bit % WORD);
        let first = self.high.get(at).map_or(0, |word| (word >> shift).trailing_ones() as usize);
        if first < WORD - shift {
            return first;
        }
        let rest = &self.high[at + 1..];
        let full = rest.iter().take_while(|word| **word == u64::MAX).count();
        first + full * WORD + rest.get(full).map_or(0, |word| word.trailing_ones() as usize)
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::*;

    #[test]
    fn positions_and_back() {
        let mut random = SmallRng::seed_from_u64(1);
        let mut lists: Vec<(Vec<usize>, usize)> = vec![
            (vec![], 0),
            (vec![], 100),
            (vec![0], 1),
            (vec![99], 100),
            (vec![3, 5, 18, 19, 60], 64),
            ((0..10_000).collect(), 10_000),
            // All in one place, at either end and in the middle.
            ((0..3_000).collect(), 1_000_000),
            ((500_000..503_000).collect(), 1_000_000),
            ((997_000..1_000_000).collect(), 1_000_000),
        ];
        for one_in in [2, 5, 64, 1_000, 30_000] {
            lists.push(((0..100_000).filter(|_| random.random_ratio(1, one_in)).collect(), 100_000));
        }
        for (positions, end) in lists {
            let sparse = Sparse::new(positions.iter().copied(), positions.len(), end);
            let mut expected = (0..).zip(&positions).peekable();
            let mut last = None;
            for position in 0..end {
                assert_eq!(sparse.last_before(position), last, "{position} of {end}");
                let rank = expected.next_if(|(_, next)| **next == position).map(|(rank, _)| rank);
                assert_eq!(sparse.rank(position), rank, "{position} of {end}");
                last = rank.map(|rank| (position, rank)).or(last);
            }
            assert!(expected.next().is_none());
            for (rank, position) in positions.iter().enumerate() {
                assert_eq!(sparse.position(rank), Some(*position));
            }
            assert_eq!((sparse.count(), sparse.last_before(end)), (positions.len(), last));
            assert_eq!(sparse.position(positions.len()), None);
            let most = positions.len() * Sparse::bits(positions.len(), end);
            assert!(sparse.memory_bytes() * 8 <= most + most / 8 + 4 * WORD, "{} of {end}", positions.len());
        }
    }
}
