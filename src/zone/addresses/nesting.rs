//! Which entry stands behind a piece of the address space, in two bits a piece.
//!
//! Where a narrow entry has ended, the wider one around it answers. What a piece says is the narrowest entry's word, so it must
//! be told where the next wider one has its own. Entries have a *depth* for that: that of an entry with nothing behind it is
//! one, and that of each entry within it is one more. Kept is how many are behind a piece, of those that are told apart; the next
//! of them is the one that was stated last before it with no more behind than there must be, since all that lies between is deeper
//! or within what is over. And after a narrow entry the wider one goes on: such a piece is *resumed* and says nothing
//! itself, for what is behind it does.
//!
//! ```text
//!  192.0.2.0/24 until 9:00       |                                                               |
//!  192.0.2.64/26 until 8:00      |               |               |                               |
//!  pieces                        | stated, 9:00  | stated, 8:00  | resumed                       | nothing said
//!  behind                        | 0             | 1             | 1                             | 0
//! ```
//!
//! Two words say it of 64 pieces, and another says which of them are stated, so 64 are searched with a few instructions; one word
//! more for each depth says it of 64 such blocks. That is done only where an entry has ended or goes on, or counts together with
//! the wider ones. Lists whose entries all hold for ever need none of it.

use super::marks::{Marks, WORD, below};
use crate::zone::{nested::TOGETHER_MAX, runs::push_tight};

/// So many depths are told apart. What is nested deeper has a [link](crate::zone::ruling::Rulings) to what is behind it.
pub(super) const DEPTH_MAX: usize = 4;

/// Most that is behind a piece.
const BEHIND_MAX: usize = DEPTH_MAX - 1;

const _: () = assert!(BEHIND_MAX < 4 && DEPTH_MAX <= TOGETHER_MAX, "two bits tell it, and all of a way may count");

/// How many stand behind pieces, by position.
#[derive(Debug)]
pub(super) struct Nesting {
    /// For 64 pieces each, the two bits of how many are behind them.
    blocks: Vec<[u64; 2]>,
    /// For each group of 64 blocks and each depth, the blocks that have a statement at most so deep.
    groups: Vec<[u64; BEHIND_MAX]>,
}

/// The pieces of a block with fewer than so many behind them.
#[inline]
fn fewer_behind([low, high]: [u64; 2], than: usize) -> u64 {
    match than {
        1 => !low & !high,
        2 => !high,
        _ => !(low & high),
    }
}

impl Nesting {
    /// So many pieces with nothing behind them.
    pub(super) fn outermost(len: usize) -> Self {
        Self { blocks: vec![[0; 2]; len.div_ceil(WORD)], groups: Vec::new() }
    }

    /// The next piece, which is at `position`, has so many behind it.
    pub(super) fn push(&mut self, position: usize, behind: usize) {
        debug_assert!(behind <= BEHIND_MAX);
        let bit = position % WORD;
        if bit == 0 {
            push_tight(&mut self.blocks, [0; 2]);
        }
        let [low, high] = &mut self.blocks[position / WORD];
        *low |= (behind as u64 & 1) << bit;
        *high |= (behind as u64 >> 1) << bit;
    }

    /// All are there, and those that are `stated` say something.
    pub(super) fn finish(&mut self, stated: &Marks) {
        self.blocks.shrink_to_fit();
        self.groups = vec![[0; BEHIND_MAX]; self.blocks.len().div_ceil(WORD)];
        for (block, bits) in self.blocks.iter().enumerate() {
            for (depth, blocks) in (1..).zip(&mut self.groups[block / WORD]) {
                let has_any = stated.word(block) & fewer_behind(*bits, depth) != 0;
                *blocks |= u64::from(has_any) << (block % WORD);
            }
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<[u64; 2]>() + self.groups.capacity() * size_of::<[u64; BEHIND_MAX]>()
    }

    /// The piece that says what holds where the one at `position` says nothing.
    pub(super) fn behind(&self, position: usize, stated: &Marks) -> Option<usize> {
        let (block, bit) = (position / WORD, position % WORD);
        let [low, high] = self.blocks.get(block)?.map(|bits| (bits >> bit & 1) as usize);
        let depth = low + 2 * high;
        if depth == 0 {
            return None;
        }
        let statements = |block: usize| stated.word(block) & fewer_behind(self.blocks[block], depth);
        let own = statements(block) & below(bit);
        if own != 0 {
            return Some(block * WORD + last(own)?);
        }
        let (group, block_bit) = (block / WORD, block % WORD);
        let has = |group: usize| self.groups[group][depth - 1];
        let blocks = has(group) & below(block_bit);
        let (group, blocks) = match blocks {
            0 => (0..group).rev().map(|group| (group, has(group))).find(|(_, blocks)| *blocks != 0)?,
            blocks => (group, blocks),
        };
        let block = group * WORD + last(blocks)?;
        Some(block * WORD + last(statements(block))?)
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
        for (seed, len) in [(1, 3), (2, 64), (3, 65), (4, 5_000), (5, 20_000)] {
            let mut random = SmallRng::seed_from_u64(seed);
            // Seldom with nothing behind, so that the search goes far.
            let pieces: Vec<(usize, bool)> = (0..len)
                .map(|position| match position == 0 || random.random_ratio(1, 3_000) {
                    true => (0, true),
                    false => (random.random_range(1..=BEHIND_MAX), random.random_ratio(1, 3)),
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
            nesting.finish(&stated);
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
            nesting.finish(&stated);
            assert!((0..10_000).all(|position| nesting.behind(position, &stated).is_none()));
            assert!(nesting.memory_bytes() <= 2 * 10_000 / 8 + 16 + 100);
        }
    }
}
