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
