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
//! not, it is kept only of the pieces that have something behind them. These come in [runs](super::nested_runs): what is behind a piece
//! is in the same run, or right before it.
//!
//! A narrow entry that begins where the wider one does has nothing before it that says what the wider one does; but what comes
//! right after it does, since the wider one goes on. Of such a piece that is told, in a bit or two for each that ends, and no
//! other.

use std::ops::Range;

use super::{
    marks::{Marks, WORD, below},
    nested_runs::{Pieces, Runs},
    which::Which,
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
    /// The pieces that have something behind them, if all this is told only of them, one after another; and then as if one less
    /// were behind each.
    runs: Option<Runs>,
    /// Of the pieces that end, those that come right before what is behind them.
    before_behind: Which,
}

impl Nesting {
    /// So many pieces with nothing behind them.
    pub(super) fn outermost(len: usize) -> Self {
        let blocks = vec![0; len.div_ceil(WORD)];
        Self { bits: 1, deepest: 0, blocks, groups: Vec::new(), runs: None, before_behind: Which::default() }
    }

    /// The next piece, which is at `position`, has so many behind it.
    #[inline]
    pub(super) fn push(&mut self, position: usize, behind: usize) {
        while behind >> self.bits != 0 {
            self.widen();
        }
        self.deepest = behind.max(self.deepest);
        let (block, bit) = (position / WORD, position % WORD);
        if bit == 0 {
            (0..self.bits).for_each(|_| push_tight(&mut self.blocks, 0));
        }
        for (at, word) in self.blocks[block * self.bits..].iter_mut().enumerate() {
            *word |= (behind >> at & 1) as u64 * (1 << bit);
        }
    }

    /// What is behind the newest piece, before which so many end, comes next; it is not among those that were told to be behind
    /// it.
    pub(super) fn mark_before_behind(&mut self, ending: usize) {
        self.before_behind.mark(ending);
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

    /// All so many are there.
    pub(super) fn finish(&mut self, len: usize, pieces: &Pieces<'_>) {
        self.before_behind.finish(pieces.ending.map_or(0, Which::count));
        let nested: usize = self.runs(len).map(|run| run.len()).sum();
        // In a run, at least one is behind each.
        let bits = (usize::BITS - self.deepest.saturating_sub(1).leading_zeros()) as usize;
        let most = (len * self.bits).saturating_sub(nested * bits);
        match Runs::new(self.runs(len), nested, len, pieces, most) {
            Some(runs) => self.keep_runs(runs, bits, len, pieces.stated),
            None => self.group(pieces.stated),
        }
        self.blocks.shrink_to_fit();
        self.groups.shrink_to_fit();
    }

    /// Keeps only what has something behind it.
    #[cold]
    fn keep_runs(&mut self, runs: Runs, bits: usize, len: usize, stated: &Marks) {
        let mut kept = Self { bits, ..Self::outermost(0) };
        let mut kept_stated = Marks::default();
        for (at, position) in self.runs(len).flatten().enumerate() {
            kept.push(at, self.depth(position) - 1);
            if stated.rank(position).is_some() {
                kept_stated.mark(at);
            }
        }
        kept_stated.finish(runs.len());
        kept.group(&kept_stated);
        *self = Self { runs: Some(runs), before_behind: std::mem::take(&mut self.before_behind), ..kept };
    }

    /// Positions that follow each other and have something behind them.
    fn runs(&self, len: usize) -> impl Iterator<Item = Range<usize>> + Clone {
        let run_from = move |from| {
            let start = self.first_from(from, len, |depths| depths);
            (start < len).then(|| start..self.first_from(start, len, |depths| !depths))
        };
        std::iter::successors(run_from(0), move |run| run_from(run.end))
    }

    /// The first position from that one on that is set in what `bits` makes of the words that have those with something behind.
    fn first_from(&self, from: usize, len: usize, bits: impl Fn(u64) -> u64) -> usize {
        let mut first = u64::MAX << (from % WORD);
        for block in from / WORD..len.div_ceil(WORD) {
            let nested = self.words(block).iter().fold(0, |nested, word| nested | word);
            let found = bits(nested) & std::mem::replace(&mut first, u64::MAX);
            if found != 0 {
                return block * WORD + found.trailing_zeros() as usize;
            }
        }
        len
    }

    /// Says of each group of blocks which have a statement.
    fn group(&mut self, stated: &Marks) {
        let count = self.blocks.len() / self.bits.max(1);
        for depth in 1..=self.deepest {
            for group in 0..count.div_ceil(WORD) {
                let blocks = group * WORD..count.min((group + 1) * WORD);
                let has_any = |block| u64::from(self.statements(block, depth, stated.word(block)) != 0);
                let blocks = blocks.rev().fold(0, |blocks, block| blocks << 1 | has_any(block));
                push_tight(&mut self.groups, blocks);
            }
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let runs = self.runs.as_ref().map_or(0, Runs::memory_bytes);
        (self.blocks.capacity() + self.groups.capacity()) * size_of::<u64>() + runs + self.before_behind.memory_bytes()
    }

    /// The piece that says what holds where the one at `position` says nothing.
    pub(super) fn behind(&self, position: usize, pieces: &Pieces<'_>) -> Option<usize> {
        if self.before_behind.count() > 0
            && pieces.rank(position).is_some_and(|rank| self.before_behind.rank(rank).is_some())
        {
            return Some(position + 1);
        }
        let Some(runs) = &self.runs else {
            return self.search(position, 0, |block| pieces.stated.word(block));
        };
        let first = runs.find(position, pieces)?;
        let at = first.before + (position - first.position);
        let stated = |block: usize| {
            let start = block * WORD;
            let marks = pieces.stated.window(first.position + start.saturating_sub(first.before));
            // Those before are of other runs.
            marks.checked_shl(first.before.saturating_sub(start) as u32).unwrap_or(0)
        };
        match self.search(at, first.before, stated) {
            Some(behind) => Some(position - (at - behind)),
            // The piece before the run has nothing behind itself and is behind the others.
            None => first.position.checked_sub(1),
        }
    }

    /// How many are behind the piece at `position`.
    fn depth(&self, position: usize) -> usize {
        let (block, bit) = (position / WORD, position % WORD);
        self.words(block).iter().rev().fold(0, |sum, word| sum << 1 | (word >> bit & 1) as usize)
    }

    /// The last piece before `position` that is stated with fewer behind it, given which of a block are: none before `start`.
    fn search(&self, position: usize, start: usize, stated: impl Fn(usize) -> u64) -> Option<usize> {
        let (block, bit) = (position / WORD, position % WORD);
        let depth = self.depth(position);
        if depth == 0 {
            return None;
        }
        let own = self.statements(block, depth, stated(block)) & below(bit);
        if own != 0 {
            return Some(block * WORD + last(own)?);
        }
        let (group, block_bit) = (block / WORD, block % WORD);
        let groups = &self.groups[(depth - 1) * (self.groups.len() / self.deepest)..];
        let blocks = groups[group] & below(block_bit);
        let (group, blocks) = match blocks {
            0 => {
                let from = start / (WORD * WORD);
                let before = groups[from..group].iter().rposition(|blocks| *blocks != 0)?;
                (from + before, groups[from + before])
            }
            blocks => (group, blocks),
        };
        let block = group * WORD + last(blocks)?;
        Some(block * WORD + last(self.statements(block, depth, stated(block)))?)
    }

    fn words(&self, block: usize) -> &[u64] {
        &self.blocks[block * self.bits..(block + 1) * self.bits]
    }

    /// The pieces of a block that are `stated` and have fewer than `depth` behind them.
    fn statements(&self, block: usize, depth: usize, stated: u64) -> u64 {
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
        fewer & stated
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

    /// How many are behind a piece, and whether it is stated.
    type Piece = (usize, bool);

    /// Compares all that is behind these with what a walk finds, the marked ones of them ending. Returns whether runs are kept.
    fn keeps_runs(pieces: &[Piece], ends: impl Fn(usize) -> bool) -> bool {
        let (mut nesting, mut stated, mut ending) = (Nesting::outermost(0), Marks::default(), Which::default());
        for (position, &(behind, is_stated)) in pieces.iter().enumerate() {
            nesting.push(position, behind);
            if is_stated && ends(position) {
                ending.mark(stated.count());
            }
            if is_stated {
                stated.mark(position);
            }
        }
        ending.finish(stated.count());
        stated.finish(pieces.len());
        let said = Pieces { stated: &stated, ending: Some(&ending) };
        nesting.finish(pieces.len(), &said);
        let mut newest = [None; 65];
        for (position, &(behind, is_stated)) in pieces.iter().enumerate() {
            let expected = newest[..behind].iter().copied().max().flatten();
            assert_eq!(nesting.behind(position, &said), expected, "{position}");
            if is_stated {
                newest[behind] = Some(position);
            }
        }
        nesting.runs.is_some()
    }

    #[test]
    fn against_a_walk() {
        // Seldom with nothing behind, so that the search goes far; or mostly. Runs spare a bit where so many bits tell just as many
        // as are behind the deepest.
        for (seed, len, deepest, outermost, is_kept) in [
            (1, 3, 3, 1, false),
            (2, 64, 3, 1, false),
            (3, 65, 3, 1, false),
            (4, 5_000, 1, 1, true),
            (5, 20_000, 3, 1, false),
            (6, 20_000, 4, 1, true),
            (7, 20_000, 60, 1, false),
            (8, 20_000, 3, 2_900, true),
            (9, 50_000, 1, 2_990, true),
            (10, 100, 1, 2_990, true),
        ] {
            let mut random = SmallRng::seed_from_u64(seed);
            let pieces: Vec<Piece> = (0..len)
                .map(|position| {
                    let is_outermost = position == 0 || random.random_ratio(outermost, 3_000);
                    let behind = if is_outermost { 0 } else { random.random_range(1..=deepest) };
                    (behind, is_outermost || random.random_ratio(1, 3))
                })
                .collect();
            assert_eq!(keeps_runs(&pieces, |_| false), is_kept, "{seed}");
        }
    }

    /// Pieces with runs of such lengths among them, as far from each other, and the first of each.
    fn with_runs(random: &mut SmallRng, lens: &[usize], gaps: &[usize], deepest: usize) -> (Vec<Piece>, Vec<usize>) {
        let (mut pieces, mut firsts): (Vec<Piece>, _) = (Vec::new(), Vec::new());
        for (len, gap) in lens.iter().zip(gaps) {
            pieces.extend((0..*gap).map(|_| (0, random.random())));
            if let Some(before) = pieces.last_mut() {
                before.1 = true;
            }
            firsts.push(pieces.len());
            pieces.extend((0..*len).map(|_| (random.random_range(1..=deepest), random.random())));
        }
        (pieces, firsts)
    }

    #[test]
    fn runs_against_a_walk() {
        let cases: [(&[usize], &[usize]); 7] = [
            // At the first position and at the last.
            (&[1], &[0]),
            (&[3, 2], &[0, 100]),
            // One after another, with one piece between.
            (&[1; 100], &[1; 100]),
            (&[7; 400], &[1; 400]),
            // Over many blocks, and over several groups of them.
            (&[64, 128, 1, 65, 700], &[64, 2_000, 63, 1, 1_000]),
            (&[5, 9_000, 2, 20_000, 64], &[30_000, 40_000, 1, 70_000, 64]),
            (&[2; 1_000], &[40; 1_000]),
        ];
        for (case, (lens, gaps)) in cases.into_iter().enumerate() {
            for deepest in [1, 2, 3, 5, 64] {
                let mut random = SmallRng::seed_from_u64(case as u64);
                let (mut pieces, firsts) = with_runs(&mut random, lens, gaps, deepest);
                let some: Vec<bool> = pieces.iter().map(|_| random.random_ratio(1, 20)).collect();
                keeps_runs(&pieces, |_| false);
                keeps_runs(&pieces, |position| some[position]);
                keeps_runs(&pieces, |position| pieces[position].0 == 0);
                // Each begins at one that ends, or right after.
                let at: Vec<usize> =
                    firsts.iter().map(|first| first - usize::from(*first > 0 && random.random())).collect();
                for first in &at {
                    pieces[*first].1 = true;
                }
                assert!(keeps_runs(&pieces, |position| at.binary_search(&position).is_ok()) || deepest > 2);
                keeps_runs(&pieces, |position| some[position] || at.binary_search(&position).is_ok());
                // All but one.
                keeps_runs(&pieces, |position| at[1..].binary_search(&position).is_ok());
            }
        }
    }

    #[test]
    fn nothing_is_behind_the_outermost() {
        let mut stated = Marks::default();
        (0..10_000).step_by(2).for_each(|position| stated.mark(position));
        let pieces = Pieces { stated: &stated, ending: None };
        for seen in [0, 1, 5_000, 10_000] {
            let mut nesting = Nesting::outermost(seen);
            (seen..10_000).for_each(|position| nesting.push(position, 0));
            nesting.finish(10_000, &pieces);
            assert!((0..10_000).all(|position| nesting.behind(position, &pieces).is_none()));
            assert_eq!(nesting.memory_bytes(), 0);
        }
    }
}
