//! Addresses with something to say, and pieces of the address space with something to say.
//!
//! Nearly all entries of nearly all lists are single addresses: [`Hosts`] keeps those, and an address that is not there has
//! nothing said of it. Prefixes nest and exclude each other, but what results of them is flat: [`Segments`] keeps the places
//! where the answer changes, so that one search finds it however deep the prefixes are nested. A lone prefix makes two such
//! places, its start and what comes after its end; neighbours share them.

use std::ops::Range;

use super::{
    column::{Column, ColumnBuilder},
    sorted::{Key, Sorted, SortedBuilder},
};
use crate::zone::{
    ruling::{Context, Finding, Ruling, Rulings},
    standing::Standing,
};

/// Single addresses.
#[derive(Debug)]
pub(super) struct Hosts<K> {
    keys: Sorted<K>,
    column: Column,
}

/// The address space, cut where the answer changes.
#[derive(Debug)]
pub(super) struct Segments<K> {
    starts: Sorted<K>,
    column: Column,
}

/// Keys in ascending order and what is said of them, while they are put together.
#[derive(Debug)]
pub(super) struct Rows<K> {
    keys: SortedBuilder<K>,
    column: ColumnBuilder,
}

impl<K: Key> Rows<K> {
    pub(super) fn new() -> Self {
        Self { keys: SortedBuilder::new(), column: ColumnBuilder::new() }
    }

    #[inline]
    pub(super) fn push(&mut self, key: K, standing: Standing, rulings: &Rulings) {
        self.keys.push(key);
        self.column.push(standing, rulings);
    }

    pub(super) fn into_hosts(self) -> Hosts<K> {
        Hosts { keys: self.keys.build(), column: self.column.build() }
    }

    pub(super) fn into_segments(self) -> Segments<K> {
        Segments { starts: self.keys.build(), column: self.column.build() }
    }
}

impl<K: Key> Hosts<K> {
    /// Keys of which the same is said for ever.
    pub(super) fn alike(keys: SortedBuilder<K>, standing: Standing, rulings: &Rulings) -> Self {
        let keys = keys.build();
        Self { column: Column::alike(keys.len(), standing, rulings), keys }
    }

    #[inline]
    pub(super) fn find<'a>(&self, key: K, rulings: &'a Rulings, context: &Context) -> Finding<'a> {
        match self.keys.find(key) {
            Some(position) => self.column.decide(position, rulings, context),
            None => Finding::Absent,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether any host has an end of its own.
    pub(super) fn has_lifetimes(&self) -> bool {
        self.column.has_lifetimes()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.keys.memory_bytes() + self.column.memory_bytes()
    }

    /// Whether an address from `first` to `last` is listed here.
    pub(super) fn any_listed(&self, first: K, last: K, rulings: &Rulings, context: &Context) -> bool {
        self.column.first_listed(self.keys.positions(first, last), rulings, context).is_some()
    }

    /// Whether nothing is said here of some address from `first` to `last`. Looks at single hosts only where they fill the
    /// whole range.
    pub(super) fn leave_any(&self, first: K, last: K, rulings: &Rulings, context: &Context) -> bool {
        let mut positions = self.keys.positions(first, last);
        (positions.len() as u128) <= last.since(first).widen()
            || positions.any(|position| self.column.decide(position, rulings, context).is_absent())
    }

    /// Hosts from all over the set, some more than `count` if there are so many.
    pub(super) fn spread(&self, count: usize) -> impl Iterator<Item = K> {
        spread(&self.keys, count)
    }

    /// All hosts in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u128, u128, Standing)> {
        self.keys.iter().enumerate().map(|(position, key)| {
            let key = key.widen();
            (key, key, self.column.standing(position))
        })
    }
}

impl<K: Key> Segments<K> {
    #[inline]
    pub(super) fn find<'a>(&self, key: K, rulings: &'a Rulings, context: &Context) -> Finding<'a> {
        if self.is_empty() {
            return Finding::Absent;
        }
        match self.starts.count_to(key) {
            0 => Finding::Absent,
            count => self.column.decide(count - 1, rulings, context),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Whether any segment has an end of its own.
    pub(super) fn has_lifetimes(&self) -> bool {
        self.column.has_lifetimes()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.starts.memory_bytes() + self.column.memory_bytes()
    }

    /// Positions of the segments that reach into the range.
    fn positions(&self, first: K, last: K) -> Range<usize> {
        self.starts.count_to(first).saturating_sub(1)..self.starts.count_to(last)
    }

    /// First and last key of the segment at `position`, as far as it reaches into the range.
    fn clip(&self, position: usize, (first, last): (K, K)) -> (K, K) {
        let end = if position + 1 < self.starts.len() { before(self.starts.key(position + 1)) } else { K::MAX };
        (self.starts.key(position).max(first), end.min(last))
    }

    /// Whether `test` holds for a piece of the range that is listed here now.
    pub(super) fn any_listed(
        &self,
        range: (K, K),
        rulings: &Rulings,
        context: &Context,
        mut test: impl FnMut(K, K) -> bool,
    ) -> bool {
        let mut positions = self.positions(range.0, range.1);
        while let Some(position) = self.column.first_listed(positions.clone(), rulings, context) {
            let (first, last) = self.clip(position, range);
            if test(first, last) {
                return true;
            }
            positions.start = position + 1;
        }
        false
    }

    /// Whether `test` holds for a piece of the range of which nothing is said here now.
    pub(super) fn any_left(
        &self,
        range: (K, K),
        rulings: &Rulings,
        context: &Context,
        mut test: impl FnMut(K, K) -> bool,
    ) -> bool {
        if self.is_empty() {
            return test(range.0, range.1);
        }
        let lowest = self.starts.key(0);
        if range.0 < lowest && test(range.0, range.1.min(before(lowest))) {
            return true;
        }
        self.positions(range.0, range.1).any(|position| {
            let (first, last) = self.clip(position, range);
            self.column.decide(position, rulings, context).is_absent() && test(first, last)
        })
    }

    /// Starts of segments from all over the set, some more than `count` if there are so many.
    pub(super) fn spread(&self, count: usize) -> impl Iterator<Item = K> {
        spread(&self.starts, count)
    }

    /// All segments that say something, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (K, K, Standing)> {
        let ends = self.starts.iter().skip(1).map(before).chain([K::MAX]);
        self.starts
            .iter()
            .zip(ends)
            .enumerate()
            .map(|(position, (first, last))| (first, last, self.column.standing(position)))
            .filter(|(_, _, standing)| standing.ruling != Ruling::ABSENT)
    }
}

/// Keys at even distances, four times as many as are wanted, since some may list nothing.
fn spread<K: Key>(keys: &Sorted<K>, count: usize) -> impl Iterator<Item = K> {
    let step = (keys.len() / (4 * count).max(1)).max(1);
    (0..keys.len()).step_by(step).map(|position| keys.key(position))
}

/// The key before one that is not the lowest.
fn before<K: Key>(key: K) -> K {
    key.since(K::of_halves(0, 1))
}

/// A range and what is said of it.
pub(super) type Piece = (u128, u128, Standing);

/// Lays several layers over each other, the most specific first, and calls `visit` with each piece of which something is
/// said and all that is said of it, as far down as it can matter.
pub(super) fn overlay<'a>(
    layers: Vec<Box<dyn Iterator<Item = Piece> + 'a>>,
    mut visit: impl FnMut(u128, u128, &[Standing]),
) {
    let mut layers: Vec<_> = layers.into_iter().map(Iterator::peekable).collect();
    let mut stack = Vec::with_capacity(layers.len());
    let mut at = 0;
    loop {
        let mut next = None;
        let mut last = u128::MAX;
        stack.clear();
        for layer in &mut layers {
            while layer.next_if(|&(_, end, _)| end < at).is_some() {}
            match layer.peek() {
                Some(&(start, end, standing)) if start <= at => {
                    stack.push(standing);
                    last = last.min(end);
                }
                Some(&(start, ..)) => {
                    last = last.min(start - 1);
                    next = Some(next.unwrap_or(start).min(start));
                }
                None => {}
            }
        }
        if let Some(decisive) = stack.iter().position(|standing| standing.is_unconditional()) {
            stack.truncate(decisive + 1);
        }
        if !stack.is_empty() {
            visit(at, last, &stack);
        } else if next.is_none() {
            return;
        }
        match last.checked_add(1) {
            Some(after) => at = after,
            None => return,
        }
    }
}
