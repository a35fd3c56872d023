//! Pieces that have something behind them, where most have not.
//!
//! They come in runs. Nearly always a run begins at an entry that ends, which is within one that does not, or right after it, if
//! it is around some that do not. Which entries end is [known anyhow](super::annotations): so of a run is told at which of them it
//! begins, which takes a bit or two for each entry that ends, and how long it is. Where a run begins elsewhere, since what is
//! said of a piece depends on who asks, all are told by their positions.
//!
//! ```text
//!  192.0.2.0/24                  |                                                               |
//!  192.0.2.64/26 until 8:00      |               |               |                               |
//!  192.0.2.80/28                 |               |   |   |       |                               |
//!  behind                        | 0             | 1 | 2 | 1     | 0                             |
//!  run                                           | first         |
//! ```

use std::ops::Range;

use super::{bit_numbers::BitNumbers, marks::Marks, which::Which};
use crate::zone::halving::partition_point;

/// Which pieces say something, and which of those end.
#[derive(Clone, Copy)]
pub(super) struct Pieces<'a> {
    pub(super) stated: &'a Marks,
    pub(super) ending: Option<&'a Which>,
}

impl Pieces<'_> {
    /// How many end before the one at `position`, if that ends too.
    pub(super) fn rank(&self, position: usize) -> Option<usize> {
        self.ending?.rank(self.stated.rank(position)?)
    }
}

/// Runs of pieces.
#[derive(Debug)]
pub(super) struct Runs {
    begins: Begins,
    /// Of the pieces of all runs, one after another, those that are first in theirs.
    firsts: Which,
    /// How many pieces these are, and how many are in the longest run.
    len: usize,
    longest: usize,
}

/// Where they begin.
#[derive(Debug)]
enum Begins {
    /// At those that end and have such a rank, or right after them, where the bit is set.
    Ending(Which, BitNumbers),
    /// At these positions.
    At(Which),
}

/// The first piece of a run.
#[derive(Clone, Copy)]
pub(super) struct First {
    pub(super) position: usize,
    /// So many pieces are in the runs before.
    pub(super) before: usize,
}

impl Runs {
    /// Takes runs of so many pieces among `len`, unless that takes as many bits as `most` or more.
    pub(super) fn new(
        runs: impl Iterator<Item = Range<usize>> + Clone,
        nested: usize,
        len: usize,
        pieces: &Pieces<'_>,
        most: usize,
    ) -> Option<Self> {
        let count = runs.clone().count();
        let ends = pieces.ending.map_or(0, Which::count);
        let (at, lens) = (Which::bits(count, len), Which::bits(count, nested));
        let by_end = count + Which::bits(count, ends);
        if at.min(by_end) + lens >= most {
            return None;
        }
        let by_end = (by_end < at).then(|| Begins::by_end(runs.clone(), ends, pieces)).flatten();
        if by_end.is_none() && at + lens >= most {
            return None;
        }
        let begins = by_end.unwrap_or_else(|| Begins::At(which(runs.clone().map(|run| run.start), len)));
        let longest = runs.clone().map(|run| run.len()).max().unwrap_or(0);
        let firsts = runs.scan(0, |before, run| Some(std::mem::replace(before, *before + run.len())));
        let firsts = which(firsts, nested);
        Some(Self { begins, firsts, len: nested, longest })
    }

    /// The first piece of the run that the one at `position` is in.
    pub(super) fn find(&self, position: usize, pieces: &Pieces<'_>) -> Option<First> {
        let (first, run) = match &self.begins {
            Begins::Ending(begins, after) => {
                let stated = pieces.stated.count_to(position + 1);
                let (newest, end) = pieces.ending?.last_before(stated)?;
                // Mostly that is far behind: more say something since than are in any run.
                if stated - newest > self.longest + 1 {
                    return None;
                }
                let (begin, at) = begins.last_before(end + 1)?;
                let begin = if begin == end { newest } else { pieces.ending?.position(begin)? };
                let after = after.get(at) as usize;
                let run = self.pieces(at)?;
                let near = position.saturating_sub(run.len())..position + 1;
                let found = partition_point(near, |position| pieces.stated.count_to(position + 1) <= begin);
                pieces.stated.rank(found).filter(|rank| *rank == begin)?;
                (found + after, run)
            }
            Begins::At(positions) => {
                let (found, at) = positions.last_before(position + 1)?;
                (found, self.pieces(at)?)
            }
        };
        (position.checked_sub(first)? < run.len()).then_some(First { position: first, before: run.start })
    }

    /// Which of the pieces of all runs are those of one.
    fn pieces(&self, run: usize) -> Option<Range<usize>> {
        Some(self.firsts.position(run)?..self.firsts.position(run + 1).unwrap_or(self.len))
    }

    /// How many pieces are in runs.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let begins = match &self.begins {
            Begins::Ending(ends, after) => ends.memory_bytes() + after.memory_bytes(),
            Begins::At(positions) => positions.memory_bytes(),
        };
        begins + self.firsts.memory_bytes()
    }
}

impl Begins {
    /// Where runs begin if each does so at one of so many that end or right after it.
    fn by_end(runs: impl Iterator<Item = Range<usize>>, ends: usize, pieces: &Pieces<'_>) -> Option<Self> {
        let (mut which, mut after) = (Which::default(), BitNumbers::new(1));
        for run in runs {
            let at = pieces.rank(run.start);
            which.mark(at.or_else(|| pieces.rank(run.start.checked_sub(1)?))?);
            after.push(u32::from(at.is_none()));
        }
        which.finish(ends);
        after.shrink_to_fit();
        Some(Self::Ending(which, after))
    }
}

/// Those of so many.
fn which(positions: impl Iterator<Item = usize>, of: usize) -> Which {
    let mut which = Which::default();
    positions.for_each(|position| which.mark(position));
    which.finish(of);
    which
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = 10_000;

    /// What is kept of these runs if every third piece says nothing but where one ends.
    fn checked(runs: &[Range<usize>], ends: &[usize]) -> Runs {
        let (mut stated, mut ending) = (Marks::default(), Which::default());
        for position in 0..LEN {
            if ends.contains(&position) {
                ending.mark(stated.count());
            }
            if position % 3 != 1 || ends.contains(&position) {
                stated.mark(position);
            }
        }
        ending.finish(stated.count());
        stated.finish(LEN);
        let pieces = Pieces { stated: &stated, ending: Some(&ending) };
        let nested = runs.iter().map(Range::len).sum();
        let kept = Runs::new(runs.iter().cloned(), nested, LEN, &pieces, usize::MAX).expect("room");
        let mut before = 0;
        let mut expected = vec![None; LEN];
        for run in runs {
            expected[run.clone()].fill(Some((run.start, before)));
            before += run.len();
        }
        assert_eq!(kept.len(), nested);
        for (position, expected) in expected.into_iter().enumerate() {
            let found = kept.find(position, &pieces).map(|first| (first.position, first.before));
            assert_eq!(found, expected, "{position}");
        }
        let begins = match &kept.begins {
            Begins::Ending(..) => runs.len() + Which::bits(runs.len(), ends.len()),
            Begins::At(_) => Which::bits(runs.len(), LEN),
        };
        let bits = begins + Which::bits(runs.len(), nested);
        let fits = |most| Runs::new(runs.iter().cloned(), nested, LEN, &pieces, most).is_some();
        assert!(!fits(bits) && fits(bits + 1));
        kept
    }

    #[test]
    fn at_those_that_end_or_after_them() {
        for (every, len) in [(2, 1), (3, 1), (5, 2), (80, 60), (1_000, 7), (9_990, 10)] {
            for first in [0, every - len] {
                let runs: Vec<_> = (first..LEN).step_by(every).map(|start| start..(start + len).min(LEN)).collect();
                let at = |run: &Range<usize>| run.start - usize::from(run.start > 0 && run.start % 7 < 3);
                let ends: Vec<_> = runs.iter().map(at).collect();
                assert!(matches!(checked(&runs, &ends).begins, Begins::Ending(..)), "{every}");
                // Others end too: right before and within runs, and far from them.
                let mut others: Vec<_> = runs.iter().flat_map(|run| [run.start, run.end - 1]).chain(ends).collect();
                others.sort_unstable();
                others.dedup();
                checked(&runs, &others);
            }
        }
    }

    #[test]
    fn elsewhere() {
        let runs: Vec<_> = (0..LEN).step_by(50).map(|start| start..start + 1 + start % 49).collect();
        let starts: Vec<_> = runs.iter().map(|run| run.start).collect();
        for ends in [&[], &starts[1..], &starts[..starts.len() - 1], &[49, 51, 99]] {
            assert!(matches!(checked(&runs, ends).begins, Begins::At(_)));
        }
        assert!(matches!(checked(&runs, &starts).begins, Begins::Ending(..)));
    }

    #[test]
    fn none() {
        let kept = checked(&[], &[1, 5]);
        assert_eq!((kept.len(), kept.memory_bytes()), (0, 0));
    }
}
