//! Which entries have something that others do not: an end, a link.
//!
//! Where all have it, that takes nothing. Where many have it, it takes a bit for each entry and half a bit to count them; where
//! few have it, [a few bits](super::sparse) for each that does.

use super::{marks::Marks, sparse::Sparse};

/// Where no more than one in so many entries has it, it takes less to tell where those are than to mark them.
const FEW: usize = 4;

/// The entries that have it.
#[derive(Debug)]
pub(super) enum Which {
    Marked(Marks),
    Few(Sparse),
}

impl Default for Which {
    fn default() -> Self {
        Self::Marked(Marks::default())
    }
}

impl Which {
    /// How many have it before the entry at `position`, if that has it too.
    #[inline]
    pub(super) fn rank(&self, position: usize) -> Option<usize> {
        match self {
            Self::Marked(marks) => marks.rank(position),
            Self::Few(few) => few.rank(position),
        }
    }

    /// The last entry before the one at `position` that has it, after how many others that have it.
    pub(super) fn last_before(&self, position: usize) -> Option<(usize, usize)> {
        match self {
            Self::Marked(marks) => marks.last_before(position),
            Self::Few(few) => few.last_before(position),
        }
    }

    /// The entry that has it and before which so many have it.
    pub(super) fn position(&self, rank: usize) -> Option<usize> {
        match self {
            Self::Marked(marks) => marks.position(rank),
            Self::Few(few) => few.position(rank),
        }
    }

    /// How many have it.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Marked(marks) => marks.count(),
            Self::Few(few) => few.count(),
        }
    }

    /// Bits that it takes, about, if so many of so many entries have it.
    pub(super) fn bits(count: usize, entries: usize) -> usize {
        if count == entries {
            0
        } else if count * FEW <= entries {
            count * Sparse::bits(count, entries)
        } else {
            entries * 3 / 2
        }
    }

    /// The entry at `position`, above all before it, has it.
    #[inline]
    pub(super) fn mark(&mut self, position: usize) {
        if let Self::Marked(marks) = self {
            marks.mark(position);
        }
    }

    /// All are there, of so many entries.
    pub(super) fn finish(&mut self, entries: usize) {
        if let Self::Marked(marks) = self
            && marks.count() * FEW <= entries
        {
            *self = Self::Few(Sparse::new(marks.positions(entries), marks.count(), entries));
        }
        self.finish_marked(entries);
    }

    /// The same without caring for a bit an entry.
    pub(super) fn finish_marked(&mut self, entries: usize) {
        if let Self::Marked(marks) = self {
            marks.finish(entries);
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Marked(marks) => marks.memory_bytes(),
            Self::Few(few) => few.memory_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_ten_thousand() {
        const ENTRIES: usize = 10_000;
        for every in [1, 2, 3, 4, 5, 300, ENTRIES + 1] {
            let mut which = Which::default();
            let entries: Vec<_> = (every - 1..ENTRIES).step_by(every).collect();
            for position in &entries {
                which.mark(*position);
            }
            which.finish(ENTRIES);
            assert_eq!(matches!(which, Which::Few(_)), every >= FEW);
            let mut rank = 0_usize;
            for position in 0..ENTRIES {
                assert_eq!(which.last_before(position), rank.checked_sub(1).map(|before| (entries[before], before)));
                let is_one = entries.get(rank) == Some(&position);
                assert_eq!(which.rank(position), is_one.then_some(rank));
                rank += usize::from(is_one);
            }
            assert!((0..=rank).all(|rank| which.position(rank) == entries.get(rank).copied()));
            assert_eq!(which.count(), rank);
            let bits = Which::bits(rank, ENTRIES);
            assert!(bits.abs_diff(which.memory_bytes() * 8) <= bits / 8 + 256, "one in {every}");
        }
    }
}
