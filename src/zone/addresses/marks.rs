//! Which positions have something, and how many before them do.
//!
//! A bit for each position, and for each 64 of them how many are set before: where only some positions have something, that
//! stands without gaps, and is found by its rank. Where all have something there are no bits at all.

use crate::zone::{halving::partition_point, tight::push_tight};

/// Positions to a word.
pub(super) const WORD: usize = u64::BITS as usize;

/// The positions that are marked.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// All positions that there are. Then there are no words.
    all: bool,
    /// Up to the last mark.
    words: Vec<u64>,
    /// Marks before each of them.
    ranks: Vec<u32>,
    count: u32,
}

impl Marks {
    /// How many are marked before `position`, if that is marked too.
    #[inline]
    pub(super) fn rank(&self, position: usize) -> Option<usize> {
        if self.all {
            return Some(position);
        }
        let (word, bit) = (position / WORD, position % WORD);
        let marks = self.words.get(word).filter(|marks| *marks >> bit & 1 == 1)?;
        Some((self.ranks[word] + (marks & below(bit)).count_ones()) as usize)
    }

    /// How many are marked before `position`.
    #[inline]
    pub(super) fn count_to(&self, position: usize) -> usize {
        if self.all {
            return position.min(self.count());
        }
        let (word, bit) = (position / WORD, position % WORD);
        let marks = self.words.get(word);
        marks.map_or(self.count(), |marks| (self.ranks[word] + (marks & below(bit)).count_ones()) as usize)
    }

    /// The marked position before which so many are marked.
    pub(super) fn position(&self, rank: usize) -> Option<usize> {
        if rank >= self.count() || self.all {
            return Some(rank).filter(|rank| *rank < self.count());
        }
        let word = partition_point(1..self.words.len(), |word| self.ranks[word] as usize <= rank) - 1;
        Some(word * WORD + nth(self.words[word], rank - self.ranks[word] as usize))
    }

    /// The last marked position before that one, after how many others are marked.
    pub(super) fn last_before(&self, position: usize) -> Option<(usize, usize)> {
        let rank = self.count_to(position).checked_sub(1)?;
        let (word, bit) = (position / WORD, position % WORD);
        let near = self.words.get(word).and_then(|marks| (marks & below(bit)).checked_ilog2());
        Some((near.map_or_else(|| self.position(rank), |bit| Some(word * WORD + bit as usize))?, rank))
    }

    /// The marks of the positions from `position` on, as many as a word has.
    pub(super) fn window(&self, position: usize) -> u64 {
        let (word, bit) = (position / WORD, position % WORD);
        self.word(word) >> bit | self.word(word + 1) << 1 << (WORD - 1 - bit)
    }

    /// The marks of the positions from [`WORD`] times `word` on.
    #[inline]
    pub(super) fn word(&self, word: usize) -> u64 {
        if self.all { u64::MAX } else { self.words.get(word).copied().unwrap_or(0) }
    }

    /// All that are marked, of so many, in order.
    pub(super) fn positions(&self, end: usize) -> impl Iterator<Item = usize> {
        let is_marked = move |position: &usize| self.word(position / WORD) >> (position % WORD) & 1 == 1;
        (0..end).filter(is_marked)
    }

    /// Marks a position above all that are marked.
    #[inline]
    pub(super) fn mark(&mut self, position: usize) {
        let (word, bit) = (position / WORD, position % WORD);
        while self.words.len() <= word {
            push_tight(&mut self.words, 0);
            push_tight(&mut self.ranks, self.count);
        }
        self.words[word] |= 1 << bit;
        self.count += 1;
    }

    /// How many are marked.
    pub(super) fn count(&self) -> usize {
        self.count as usize
    }

    /// All are marked that will be, of so many positions.
    pub(super) fn finish(&mut self, positions: usize) {
        self.all = self.count as usize == positions;
        if self.all {
            self.words.clear();
            self.ranks.clear();
        }
        self.words.shrink_to_fit();
        self.ranks.shrink_to_fit();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.words.capacity() * 8 + self.ranks.capacity() * 4
    }
}

/// The bits below one.
#[inline]
pub(super) fn below(bit: usize) -> u64 {
    (1 << bit) - 1
}

/// The bit that is set and before which so many others are.
#[inline]
pub(super) fn nth(word: u64, mut count: usize) -> usize {
    let mut at = 0;
    for half in [32, 16, 8] {
        let ones = (word >> at & below(half)).count_ones() as usize;
        if count >= ones {
            count -= ones;
            at += half;
        }
    }
    let mut rest = word >> at;
    (0..count).for_each(|_| rest &= rest - 1);
    at + rest.trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_count_the_marks_before() {
        for (every, after) in [(1, 0), (2, 0), (3, 1), (70, 5), (1_000, 900)] {
            let mut marks = Marks::default();
            let is_marked = |position: &usize| position % every == after;
            (0..5_000).filter(is_marked).for_each(|position| marks.mark(position));
            assert!(marks.positions(5_000).eq((0..5_000).filter(is_marked)));
            marks.finish(5_000);
            let (mut rank, mut last) = (0, None);
            for position in 0..5_000 {
                assert_eq!(marks.last_before(position), last, "{position}");
                assert_eq!(marks.count_to(position), rank, "{position}");
                let expected = is_marked(&position).then_some(rank);
                assert_eq!(marks.rank(position), expected, "{position}");
                assert_eq!(marks.word(position / WORD) >> (position % WORD) & 1 == 1, expected.is_some());
                let window = (0..WORD).rev().fold(0, |marks, bit| marks << 1 | u64::from(is_marked(&(position + bit))));
                let left = (5_000 - position).min(WORD);
                let beyond = if left < WORD { u64::MAX << left } else { 0 };
                assert_eq!(marks.window(position) & !beyond, window & !beyond, "{position}");
                if expected.is_some() {
                    assert_eq!(marks.position(rank), Some(position));
                    last = Some((position, rank));
                    rank += 1;
                }
            }
            assert!(marks.positions(5_000).eq((0..5_000).filter(is_marked)));
            assert_eq!([5_000, 5_001, 9_000].map(|position| marks.count_to(position)), [rank; 3]);
            assert_eq!((marks.last_before(5_000), marks.position(rank)), (last, None));
            assert_eq!(marks.memory_bytes() == 0, every == 1);
        }
    }
}
