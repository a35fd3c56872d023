//! Which blocks of entries are over.
//!
//! Whole blocks of entries may be over, long before the next drop comes. For each block of 64, the second at which its last
//! listing ends is kept, if it has one, so that asking whether anything in a range is listed passes over the dead.

use std::ops::Range;

use super::annotations::Annotations;
use crate::zone::ruling::{Context, FOREVER_S};

/// Entries to a block.
const BLOCK: usize = 64;

/// When blocks end.
#[derive(Debug)]
pub(super) struct Blocks {
    /// For each block the second from which it lists nothing, if there is one.
    ends: Annotations,
}

impl Blocks {
    /// So many entries that all list nothing from one second on.
    pub(super) fn alike(len: usize, end_s: u32) -> Self {
        let mut builder = BlocksBuilder::default();
        (0..len).step_by(BLOCK).for_each(|position| builder.push(position, end_s));
        builder.build()
    }

    /// The first of these positions of which `is_listed` holds, which is not asked where all is over. It is taken to hold where
    /// [no more](crate::zone::ruling::ASKED_MAX) are left to be asked.
    pub(super) fn first_listed(
        &self,
        mut at: Range<usize>,
        context: &Context,
        asks_left: &mut usize,
        is_listed: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        while at.start < at.end {
            if *asks_left == 0 {
                return Some(at.start);
            }
            let block = at.start / BLOCK;
            let end = at.end.min((block + 1) * BLOCK);
            let is_over = self.ends.get(block).is_some_and(|end_s| context.now_s >= u64::from(end_s));
            if !is_over {
                let found = (at.start..end).find(|&position| is_listed(position));
                let asked = found.map_or(end, |found| found + 1) - at.start;
                *asks_left = asks_left.saturating_sub(asked);
                if found.is_some() {
                    return found;
                }
            }
            at.start = end;
        }
        None
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.ends.memory_bytes()
    }
}

/// Builds [`Blocks`] from first to last.
#[derive(Debug, Default)]
pub(super) struct BlocksBuilder {
    ends: Annotations,
    /// Blocks that are complete.
    count: usize,
    /// From when on the one that is not lists nothing.
    end_s: Option<u32>,
}

impl BlocksBuilder {
    /// The entry at `position`, the next one, lists nothing from `end_s` on.
    #[inline]
    pub(super) fn push(&mut self, position: usize, end_s: u32) {
        if position.is_multiple_of(BLOCK) {
            self.complete();
        }
        self.end_s = self.end_s.max(Some(end_s));
    }

    fn complete(&mut self) {
        if let Some(end_s) = self.end_s.take() {
            if end_s != FOREVER_S {
                self.ends.push(self.count, end_s);
            }
            self.count += 1;
        }
    }

    pub(super) fn build(mut self) -> Blocks {
        self.complete();
        self.ends.finish_marked(self.count);
        Blocks { ends: self.ends }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::ruling::ASKED_MAX;

    #[test]
    fn what_is_over_is_passed_over() {
        let mut builder = BlocksBuilder::default();
        for position in 0..1_000 {
            builder.push(position, if position == 700 { 90 } else { 50 });
        }
        builder.push(1_000, 0);
        let blocks = builder.build();
        let first = |at, now_s| {
            let asked = std::cell::Cell::new(0);
            let is_listed = |position| {
                asked.set(asked.get() + 1);
                position < 1_000 && now_s < if position == 700 { 90 } else { 50 }
            };
            let mut left = ASKED_MAX;
            let first = blocks.first_listed(at, &Context { now_s, keyed: false }, &mut left, is_listed);
            assert_eq!(ASKED_MAX - left, asked.get());
            (first, asked.get())
        };
        assert_eq!(first(3..1_001, 49), (Some(3), 1));
        assert_eq!(first(3..1_001, 50), (Some(700), 700 % BLOCK + 1));
        assert_eq!(first(3..700, 50), (None, 700 % BLOCK));
        assert_eq!(first(704..1_001, 50), (None, 0));
        assert_eq!(first(1_000..1_001, 49), (None, 1));
        assert_eq!(first(5..5, 49), (None, 0));
    }

    #[test]
    fn no_more_are_asked_than_can_be() {
        let mut builder = BlocksBuilder::default();
        (0..100_000).for_each(|position| builder.push(position, if position < 50_000 { 50 } else { 90 }));
        let blocks = builder.build();
        let asked = std::cell::Cell::new(0);
        let none_listed = |_| {
            asked.set(asked.get() + 1);
            false
        };
        let context = Context { now_s: 60, keyed: false };
        assert_eq!(blocks.first_listed(0..50_900, &context, &mut { ASKED_MAX }, none_listed), None);
        assert!(asked.replace(0) <= ASKED_MAX);
        let mut left = ASKED_MAX;
        assert!(blocks.first_listed(0..100_000, &context, &mut left, none_listed).is_some());
        assert!(left == 0 && asked.replace(0) <= ASKED_MAX + BLOCK);
        assert_eq!(blocks.first_listed(60_000..100_000, &context, &mut left, none_listed), Some(60_000));
        assert_eq!(asked.get(), 0);
    }

    #[test]
    fn what_never_ends_takes_nothing() {
        let mut builder = BlocksBuilder::default();
        (0..1_000).for_each(|position| builder.push(position, FOREVER_S));
        assert_eq!(builder.build().memory_bytes(), 0);
        assert_eq!(Blocks::alike(1_000, FOREVER_S).memory_bytes(), 0);
        assert_eq!(Blocks::alike(1_000, 90).memory_bytes(), 0);
    }
}
