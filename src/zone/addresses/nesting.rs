//! Which entry stands behind a piece of the address space, in a bit or two a piece.
//!
//! Where a narrow entry has ended, the wider one around it answers. What a piece says is the narrowest entry's word, so it must
//! be told where the next wider one has its own. Kept is how many others stand behind each piece, one behind the other. The
//! next of them is the one that was stated last before it with fewer behind itself: all that lies between is deeper or within
//! what is over. And after a narrow entry the wider one goes on: such a piece is *resumed* and says nothing itself, for what is
//! behind it does.
//!
//! ```text
//!  192.0.2.0/24 until 9:00       |                                                               |
//!  192.0.2.64/26 until 8:00      |               |               |                               |
//!  pieces                        | stated, 9:00  | stated, 8:00  | resumed                       | nothing said
//!  behind                        | 0             | 1             | 1                             | 0
//! ```
//!
//! As many words say it of 64 pieces as the deepest number has bits, and another says which of them are stated, so 64 are searched
//! with a few instructions; one word more for each depth says it of 64 such blocks. That is done only where an entry has ended or
//! goes on, or counts together with the wider ones. Lists whose entries all hold for ever need none of it, and where few do
//! not, it is kept only of the pieces that have something behind them.

use super::{
    marks::{Marks, WORD, below},
    sparse::Sparse,
};
use crate::zone::tight::push_tight;

/// How many stand behind pieces, by position.
#[derive(Debug)]
pub(super) struct Nesting {
    /// So many bits tell how many are behind any piece, and so many are behind the deepest.
    bits: usize,
    deepest: usize,
    /// For 64 pieces each, a word for each of these bits, the lowest first.
    blocks: Vec<u64>,
    /// For each depth and each group of 64 blocks, the blocks that have a statement with fewer behind it.
    groups: Vec<u64>,
    /// So many pieces have something behind them.
    nested: usize,
    /// Which those are, if all this is told only of them.
    few: Option<Few>,
}

/// Some of the pieces.
#[derive(Debug)]
struct Few {
    positions: Sparse,
    /// Those that say something.
    stated: Marks,
}

impl Nesting {
    /// So many pieces with nothing behind them.
    pub(super) fn outermost(len: usize) -> Self {
        let blocks = vec![0; len.div_ceil(WORD)];
        Self { bits: 1, deepest: 0, blocks, groups: Vec::new(), nested: 0, few: None }
    }

    /// The next piece, which is at `position`, has so many behind it.
    #[inline]
    pub(super) fn push(&mut self, position: usize, behind: usize) {
        while behind >> self.bits != 0 {
            self.widen();
        }
        self.deepest = behind.max(self.deepest);
        self.nested += usize::from(behind > 0);
        let (block, bit) = (position / WORD, position % WORD);
        if bit == 0 {
            (0..self.bits).for_each(|_| push_tight(&mut self.blocks, 0));
        }
        for (at, word) in self.blocks[block * self.bits..].iter_mut().enumerate() {
            *word |= (behind >> at & 1) as u64 * (1 << bit);
        }
    }

    #[cold]
    fn widen(&mut self) {
        let mut blocks = Vec::new();
        for block in self.blocks.chunks(self.bits) {
            block.iter().chain([&0]).for_each(|word| push_tight(&mut blocks, *word));
        }
        self.blocks = blocks;
        self.bits += 1;
    }

    /// All so many are there, and those that are `stated` say something.
    pub(super) fn finish(&mut self, len: usize, stated: &Marks) {
        if self.nested * (self.bits + 1 + Sparse::bits(self.nested, len)) < len * self.bits {
            self.keep_few(len, stated);
        }
        let few = self.few.take();
        self.group(few.as_ref().map_or(stated, |few| &few.stated));
        self.few = few;
        self.blocks.shrink_to_fit();
        self.groups.shrink_to_fit();
    }

    /// Keeps only what has something behind it.
    #[cold]
    fn keep_few(&mut self, len: usize, stated: &Marks) {
        let mut few = Self { bits: self.bits, ..Self::outermost(0) };
        let mut few_stated = Marks::default();
        let is_nested = |at: &usize| self.depth(*at) > 0;
        for (at, position) in (0..len).filter(is_nested).enumerate() {
            few.push(at, self.depth(position));
            if stated.rank(position).is_some() {
                few_stated.mark(at);
            }
        }
        few_stated.finish(self.nested);
        let positions = Sparse::new((0..len).filter(is_nested), self.nested, len);
        few.few = Some(Few { positions, stated: few_stated });
        *self = few;
    }

    /// Says of each group of blocks which have a statement.
    fn group(&mut self, stated: &Marks) {
        let count = self.blocks.len() / self.bits;
        for depth in 1..=self.deepest {
            for group in 0..count.div_ceil(WORD) {
                let blocks = group * WORD..count.min((group + 1) * WORD);
                let has_any = |block| u64::from(self.statements(block, depth, stated) != 0);
                let blocks = blocks.rev().fold(0, |blocks, block| blocks << 1 | has_any(block));
                push_tight(&mut self.groups, blocks);
            }
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let few = self.few.as_ref().map_or(0, |few| few.positions.memory_bytes() + few.stated.memory_bytes());
        (self.blocks.capacity() + self.groups.capacity()) * size_of::<u64>() + few
    }

    /// The piece that says what holds where the one at `position` says nothing.
    pub(super) fn behind(&self, position: usize, stated: &Marks) -> Option<usize> {
        match &self.few {
            None => self.search(position, stated),
            Some(few) => {
                let at = few.positions.rank(position)?;
                let run = few.positions.gapless(at, position);
                match self.search(at, &few.stated).filter(|behind| *behind >= at - run) {
                    Some(behind) => few.positions.position(behind),
                    // The piece before the run has nothing behind itself and is behind the others.
                    None => position.checked_sub(run + 1),
                }
            }
        }
    }

    /// How many are behind the piece at `position`.
    fn depth(&self, position: usize) -> usize {
        let (block, bit) = (position / WORD, position % WORD);
        self.words(block).iter().rev().fold(0, |sum, word| sum << 1 | (word >> bit & 1) as usize)
    }

    fn search(&self, position: usize, stated: &Marks) -> Option<usize> {
        let (block, bit) = (position / WORD, position % WORD);
        let depth = self.depth(position);
        if depth == 0 {
            return None;
        }
        let own = self.statements(block, depth, stated) & below(bit);
        if own != 0 {
            return Some(block * WORD + last(own)?);
        }
        let (group, block_bit) = (block / WORD, block % WORD);
        let groups = &self.groups[(depth - 1) * (self.groups.len() / self.deepest)..];
        let blocks = groups[group] & below(block_bit);
        let (group, blocks) = match blocks {
            0 => groups[..group].iter().copied().enumerate().rfind(|(_, blocks)| *blocks != 0)?,
            blocks => (group, blocks),
        };
        let block = group * WORD + last(blocks)?;
        Some(block * WORD + last(self.statements(block, depth, stated))?)
    }

    fn words(&self, block: usize) -> &[u64] {
        &self.blocks[block * self.bits..(block + 1) * self.bits]
    }

    /// The pieces of a block that are stated and have fewer than `depth` behind them.
    fn statements(&self, block: usize, depth: usize, stated: &Marks) -> u64 {
        let (mut fewer, mut equal) = (0, u64::MAX);
        // From the highest bit on, those that differ there are settled.
        for (at, word) in self.words(block).iter().enumerate().rev() {
            if depth >> at & 1 == 1 {
                fewer |= equal & !word;
                equal &= word;
            } else {
                equal &= !word;
            }
        }
        fewer & stated.word(block)
    }
}

/// The highest bit that is set.
fn last(bits: u64) -> Option<usize> {
    bits.checked_ilog2().map(|bit| bit as usize)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::*;

    #[test]
    fn against_a_walk() {
        // Seldom with nothing behind, so that the search goes far; or mostly, so that few are kept.
        for (seed, len, deepest, outermost) in [
            (1, 3, 1, 1),
            (2, 64, 2, 1),
            (3, 65, 3, 1),
            (4, 5_000, 1, 1),
            (5, 20_000, 3, 1),
            (6, 20_000, 4, 1),
            (7, 20_000, 64, 1),
            (8, 20_000, 3, 2_900),
            (9, 50_000, 1, 2_990),
            (10, 100, 1, 2_990),
        ] {
            let is_few = outermost > 1;
            let mut random = SmallRng::seed_from_u64(seed);
            let pieces: Vec<(usize, bool)> = (0..len)
                .map(|position| {
                    let is_outermost = position == 0 || random.random_ratio(outermost, 3_000);
                    let behind = if is_outermost { 0 } else { random.random_range(1..=deepest) };
                    (behind, is_outermost || random.random_ratio(1, 3))
                })
                .collect();
            let (mut nesting, mut stated) = (Nesting::outermost(0), Marks::default());
            for (position, &(behind, is_stated)) in pieces.iter().enumerate() {
                nesting.push(position, behind);
                if is_stated {
                    stated.mark(position);
                }
            }
            stated.finish(len);
            nesting.finish(len, &stated);
            assert_eq!(nesting.few.is_some(), is_few);
            for (position, &(depth, _)) in pieces.iter().enumerate() {
                let is_next = |at: &usize| pieces[*at].0 < depth && pieces[*at].1;
                assert_eq!(nesting.behind(position, &stated), (0..position).rev().find(is_next), "{position}");
            }
        }
    }

    #[test]
    fn nothing_is_behind_the_outermost() {
        let mut stated = Marks::default();
        (0..10_000).step_by(2).for_each(|position| stated.mark(position));
        for seen in [0, 1, 5_000, 10_000] {
            let mut nesting = Nesting::outermost(seen);
            (seen..10_000).for_each(|position| nesting.push(position, 0));
            nesting.finish(10_000, &stated);
            assert!((0..10_000).all(|position| nesting.behind(position, &stated).is_none()));
            assert!(nesting.memory_bytes() <= 10_000 / 8 + 8);
        }
    }
}
