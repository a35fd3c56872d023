//! Which entry stands behind a piece of the address space, in three bits a piece.
//!
//! Where a narrow entry has ended, the wider one around it answers. What a piece says is the narrowest entry's word, so it must
//! be told where the next wider one has its own. Pieces have a *depth* for that: that of an entry with nothing behind it is
//! one, and that of each entry within it is one more. The entry behind a piece is the one that was stated last before it with a
//! lower depth, since all that lies between is deeper or within what is over. And after a narrow entry the wider one goes on:
//! such a piece is *resumed* and says nothing itself, for the last statement with its own depth holds.
//!
//! ```text
//!  192.0.2.0/24 until 9:00       |                                                                |
//!  192.0.2.64/26 until 8:00      |               |                 |                              |
//!  pieces                        | depth 1, 9:00 | depth 2, 8:00   | depth 1, resumed             | absent
//! ```
//!
//! Three words say it of 64 pieces, so 64 are searched with a few instructions, and one word more for each depth says it of 64 such
//! blocks. That is done only where an entry has ended or goes on, or counts together with the wider ones. Lists whose entries all hold for ever need none of it.

use crate::zone::{nested::TOGETHER_MAX, runs::push_tight};

/// So many depths are told apart. What is nested deeper has a [link](crate::zone::ruling::Rulings) to what is behind it.
pub(super) const DEPTH_MAX: usize = 4;

const _: () = assert!(DEPTH_MAX <= 4 && DEPTH_MAX <= TOGETHER_MAX, "two bits tell a depth, and all of a way may count");

/// Pieces to a block, and blocks to a group.
const BLOCK: usize = u64::BITS as usize;

/// The depths of pieces, by position.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    blocks: Vec<Block>,
    /// For each group and depth, the blocks that have a statement at most so deep.
    groups: Vec<[u64; DEPTH_MAX]>,
}

/// Bits of 64 pieces.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    /// It is resumed.
    resumed: u64,
    /// The two bits of its depth, less one.
    depths: [u64; 2],
}

impl Block {
    /// The pieces that state something at most so deep.
    fn stated(self, depth: usize) -> u64 {
        let [low, high] = self.depths;
        let is_within = match depth {
            1 => !low & !high,
            2 => !high,
            3 => !(low & high),
            _ => u64::MAX,
        };
        is_within & !self.resumed
    }

    fn depth(self, bit: usize) -> usize {
        let [low, high] = self.depths.map(|bits| (bits >> bit & 1) as usize);
        1 + low + 2 * high
    }
}

/// What a piece says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// From 1 to [`DEPTH_MAX`].
    pub(super) depth: usize,
    /// Whether a statement before it goes on.
    pub(super) is_resumed: bool,
}

impl Place {
    /// Nothing is behind it.
    pub(super) const OUTERMOST: Self = Self { depth: 1, is_resumed: false };
}

impl Nesting {
    /// So many pieces with nothing behind them.
    pub(super) fn outermost(len: usize) -> Self {
        let mut nesting = Self::default();
        (0..len).for_each(|position| nesting.push(position, Place::OUTERMOST));
        nesting
    }

    /// The next piece, which is at `position`.
    pub(super) fn push(&mut self, position: usize, place: Place) {
        debug_assert!((1..=DEPTH_MAX).contains(&place.depth));
        let (block, bit) = (position / BLOCK, position % BLOCK);
        let (group, block_bit) = (block / BLOCK, block % BLOCK);
        if bit == 0 {
            push_tight(&mut self.blocks, Block::default());
            if block_bit == 0 {
                self.groups.push([0; DEPTH_MAX]);
            }
        }
        let bits = &mut self.blocks[block];
        bits.resumed |= u64::from(place.is_resumed) << bit;
        let depth = place.depth as u64 - 1;
        bits.depths[0] |= (depth & 1) << bit;
        bits.depths[1] |= (depth >> 1) << bit;
        if !place.is_resumed {
            self.groups[group][place.depth - 1..].iter_mut().for_each(|blocks| *blocks |= 1 << block_bit);
        }
    }

    pub(super) fn shrink_to_fit(&mut self) {
        self.blocks.shrink_to_fit();
        self.groups.shrink_to_fit();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>() + self.groups.capacity() * size_of::<[u64; DEPTH_MAX]>()
    }

    /// The piece that says what holds where the one at `position` says nothing.
    pub(super) fn behind(&self, position: usize) -> Option<usize> {
        let (block, bit) = (position / BLOCK, position % BLOCK);
        let bits = self.blocks.get(block)?;
        let is_resumed = bits.resumed >> bit & 1 == 1;
        match bits.depth(bit) - usize::from(!is_resumed) {
            0 => None,
            depth => self.last_stated(block, bit, depth),
        }
    }

    /// All pieces that say what holds at `position`, the narrowest first.
    pub(super) fn all_behind(&self, position: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(self.behind(position), |&position| self.behind(position))
    }

    /// The last statement before that bit of that block which is at most so deep.
    fn last_stated(&self, block: usize, bit: usize, depth: usize) -> Option<usize> {
        let last_in = |block: usize, pieces: u64| last(pieces).map(|bit| block * BLOCK + bit);
        let own = self.blocks[block].stated(depth) & below(bit);
        if own != 0 {
            return last_in(block, own);
        }
        let (group, block_bit) = (block / BLOCK, block % BLOCK);
        let has = |group: usize| self.groups[group][depth - 1];
        let blocks = has(group) & below(block_bit);
        let (group, blocks) = match blocks {
            0 => (0..group).rev().map(|group| (group, has(group))).find(|(_, blocks)| *blocks != 0)?,
            blocks => (group, blocks),
        };
        let block = group * BLOCK + last(blocks)?;
        last_in(block, self.blocks[block].stated(depth))
    }
}

/// The bits below one.
fn below(bit: usize) -> u64 {
    (1 << bit) - 1
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
            // Seldom outermost, so that the search goes far.
            let places: Vec<Place> = (0..len)
                .map(|position| Place {
                    depth: if position == 0 || random.random_ratio(1, 3_000) { 1 } else { random.random_range(2..=4) },
                    is_resumed: position > 0 && random.random_ratio(2, 3),
                })
                .collect();
            let mut nesting = Nesting::outermost(0);
            places.iter().enumerate().for_each(|(position, place)| nesting.push(position, *place));
            for (position, place) in places.iter().enumerate() {
                let depth = if place.is_resumed { place.depth } else { place.depth - 1 };
                let expected = (0..position).rev().find(|&at| places[at].depth <= depth && !places[at].is_resumed);
                assert_eq!(nesting.behind(position), expected, "{position}");
            }
        }
    }

    #[test]
    fn nothing_is_behind_the_outermost() {
        let mut nesting = Nesting::outermost(10_000);
        nesting.shrink_to_fit();
        assert!((0..10_000).all(|position| nesting.behind(position).is_none()));
        assert!(nesting.memory_bytes() <= 3 * 10_000 / 8 + 24 + 200);
    }
}
