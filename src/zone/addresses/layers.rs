//! Addresses with something to say, and pieces of the address space with something to say.
//!
//! Nearly all entries of nearly all lists are single addresses: [`Hosts`] keeps those, and an address that is not there has
//! nothing said of it. Prefixes nest and exclude each other, but what results of them is flat: [`Segments`] keeps the places
//! where the answer changes, so that one search finds it however deep the prefixes are nested. A lone prefix makes two such
//! places, its start and what comes after its end; neighbours share them. Of the places where nothing is said any more is known
//! only that. Only where a prefix has ended or goes on, or counts together with others, is looked for the one
//! [behind it](super::nesting). Of several places at one address the last one holds.

use std::ops::Range;

use super::{
    blocks::{Blocks, BlocksBuilder},
    column::{Column, ColumnBuilder},
    key::Key,
    marks::Marks,
    nested_runs::Pieces,
    nesting::Nesting,
    sorted::{Sorted, SortedBuilder},
    starts::{Starts, StartsBuilder},
};
use crate::zone::{
    lifetimes::Lifetimes,
    nested::{self, Nested, Standings},
    ruling::{Context, Finding, Rulings},
    standing::Standing,
    subject::Run,
};

/// Single addresses.
#[derive(Debug)]
pub(super) struct Hosts<K> {
    keys: Sorted<K>,
    column: Column,
    blocks: Blocks,
}

/// The address space, cut where the answer changes.
#[derive(Debug)]
pub(super) struct Segments<K> {
    starts: Starts<K>,
    /// Where something is said; elsewhere nothing is, or what is behind.
    stated: Marks,
    /// What is said there.
    column: Column,
    blocks: Blocks,
    /// None where nothing is ever behind anything.
    nesting: Option<Box<Nesting>>,
    /// So many claims are those that their prefix had stated before. None of them ends.
    again: usize,
}

/// Builds [`Hosts`] from the lowest to the highest.
#[derive(Debug)]
pub(super) struct HostsBuilder<K> {
    keys: SortedBuilder<K>,
    column: ColumnBuilder,
    blocks: BlocksBuilder,
}

impl<K: Key> HostsBuilder<K> {
    pub(super) fn new() -> Self {
        Self { keys: SortedBuilder::new(), column: ColumnBuilder::new(), blocks: BlocksBuilder::default() }
    }

    #[inline]
    pub(super) fn push(&mut self, key: K, standing: Standing, rulings: &Rulings) {
        let end_s = self.column.push(standing, rulings);
        self.blocks.push(self.keys.len(), end_s);
        self.keys.push(key);
    }

    pub(super) fn build(self) -> Hosts<K> {
        Hosts { keys: self.keys.build(), column: self.column.build(), blocks: self.blocks.build() }
    }
}

/// Builds [`Segments`] from the lowest to the highest.
#[derive(Debug)]
pub(super) struct SegmentsBuilder<K> {
    starts: StartsBuilder<K>,
    stated: Marks,
    column: ColumnBuilder,
    blocks: BlocksBuilder,
    nesting: Option<Nesting>,
    again: usize,
}

/// What is said of a piece of the address space.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    /// By itself.
    pub(super) standing: Standing,
    /// How many others are behind it.
    pub(super) behind: usize,
    /// What is behind it comes next, and is not among those.
    pub(super) is_before_behind: bool,
    /// From that second on they list nothing.
    pub(super) behind_end_s: u32,
    /// The same prefix said it before.
    pub(super) is_again: bool,
}

impl Said {
    /// Nothing.
    pub(super) const NOTHING: Self = Self::alone(Standing::ABSENT);

    /// With nothing behind it.
    pub(super) const fn alone(standing: Standing) -> Self {
        Self { standing, behind: 0, is_before_behind: false, behind_end_s: 0, is_again: false }
    }
}

impl<K: Key> SegmentsBuilder<K> {
    pub(super) fn new() -> Self {
        Self {
            starts: StartsBuilder::new(),
            stated: Marks::default(),
            column: ColumnBuilder::new(),
            blocks: BlocksBuilder::default(),
            nesting: None,
            again: 0,
        }
    }

    /// What is said from `start` on.
    #[inline]
    pub(super) fn push(&mut self, start: K, said: Said, rulings: &Rulings) {
        let Said { standing, behind, is_before_behind, behind_end_s, is_again } = said;
        let position = self.starts.len();
        if self.nesting.is_none() && (behind > 0 || is_before_behind) {
            self.nesting = Some(Nesting::outermost(position));
        }
        if let Some(nesting) = &mut self.nesting {
            nesting.push(position, behind);
            if is_before_behind {
                nesting.mark_before_behind(self.column.ending_count());
            }
        }
        self.starts.push(start);
        let mut end_s = behind_end_s;
        if standing != Standing::ABSENT {
            self.stated.mark(position);
            self.again += if is_again { standing.claim_count(rulings) } else { 0 };
            end_s = end_s.max(self.column.push(standing, rulings));
        }
        self.blocks.push(position, end_s);
    }

    pub(super) fn build(self) -> Segments<K> {
        let Self { starts, mut stated, column, blocks, mut nesting, again } = self;
        stated.finish(starts.len());
        let column = column.build();
        if let Some(nesting) = &mut nesting {
            nesting.finish(starts.len(), &Pieces { stated: &stated, ending: column.ending() });
        }
        let nesting = nesting.map(Box::new);
        Segments { starts: starts.build(), stated, column, blocks: blocks.build(), nesting, again }
    }
}

impl<K: Key> Hosts<K> {
    /// Keys of which the same is said for ever.
    pub(super) fn alike(keys: SortedBuilder<K>, standing: Standing, rulings: &Rulings) -> Self {
        let keys = keys.build();
        let blocks = Blocks::alike(keys.len(), standing.outlook(rulings).end_s());
        Self { column: Column::alike(standing), blocks, keys }
    }

    #[inline(always)]
    pub(super) fn find<'a>(&self, key: K, rulings: &'a Rulings, context: &Context) -> Finding<'a> {
        match self.keys.find(key) {
            Some(position) => self.column.decide(position, rulings, context),
            None => Finding::Absent,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether any host has an end of its own.
    pub(super) fn has_lifetimes(&self) -> bool {
        self.column.has_lifetimes()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.keys.memory_bytes() + self.column.memory_bytes() + self.blocks.memory_bytes()
    }

    /// Whether an address in the range is listed here, or [too many](crate::zone::ruling::ASKED_MAX) had to be asked.
    pub(super) fn any_listed(
        &self,
        range: Run<K>,
        rulings: &Rulings,
        context: &Context,
        asks_left: &mut usize,
    ) -> bool {
        let is_listed = |position: usize| self.column.decide(position, rulings, context).is_listed();
        self.blocks.first_listed(self.keys.positions(range), context, asks_left, is_listed).is_some()
    }

    /// Whether nothing is said here of some address in the range, or too many had to be asked. Looks at single hosts only where
    /// they fill the whole range.
    pub(super) fn leave_any(&self, range: Run<K>, rulings: &Rulings, context: &Context, asks_left: &mut usize) -> bool {
        let mut positions = self.keys.positions(range);
        (positions.len() as u128) <= range.last.since(range.first).widen()
            || positions
                .any(|position| are_all_asked(asks_left) || self.column.decide(position, rulings, context).is_absent())
    }

    /// Hosts from all over the set, some more than `count` if there are so many.
    pub(super) fn spread(&self, count: usize) -> impl Iterator<Item = K> {
        spread(&self.keys, count)
    }

    /// The hosts of a range, in order.
    pub(super) fn iter(&self, range: Run<K>) -> impl Iterator<Item = Piece> {
        let positions = self.keys.positions(range);
        self.keys.iter(positions.clone()).zip(positions).map(|(key, position)| {
            let key = key.widen();
            Piece { first: key, last: key, standing: self.column.standing(position), behind: Vec::new() }
        })
    }

    /// How much of it ends, and when.
    pub(super) fn lifetimes(&self, rulings: &Rulings, now_s: u64) -> Lifetimes {
        Lifetimes::of((0..self.keys.len()).map(|position| self.column.standing(position)), rulings, now_s)
    }
}

impl<K: Key> Nested for Segments<K> {
    fn standing(&self, position: usize) -> Standing {
        self.stated.rank(position).map_or(Standing::ABSENT, |at| self.column.standing(at))
    }

    fn behind(&self, position: usize) -> Option<usize> {
        self.nesting.as_ref()?.behind(position, &Pieces { stated: &self.stated, ending: self.column.ending() })
    }
}

impl<K: Key> Segments<K> {
    #[inline(always)]
    pub(super) fn find<'a>(&'a self, key: K, rulings: &'a Rulings, context: &Context) -> Finding<'a> {
        if self.is_empty() {
            return Finding::Absent;
        }
        match self.starts.count_to(key) {
            0 => Finding::Absent,
            count => self.decide(count - 1, rulings, context),
        }
    }

    /// Decides what is said at `position` for one query.
    #[inline(always)]
    fn decide<'a>(&'a self, position: usize, rulings: &'a Rulings, context: &Context) -> Finding<'a> {
        if let Some(at) = self.stated.rank(position) {
            let standing = self.column.standing(at);
            let finding = standing.decide(rulings, context);
            if self.nesting.is_none() || !finding.is_absent() && !standing.ruling.is_joined() {
                return finding;
            }
        } else if self.nesting.is_none() {
            return Finding::Absent;
        }
        nested::decide(self, position, rulings, context)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Whether any segment has an end of its own.
    pub(super) fn has_lifetimes(&self) -> bool {
        self.column.has_lifetimes()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let Self { starts, stated, column, blocks, nesting, .. } = self;
        let nesting = nesting.as_ref().map_or(0, |nesting| nesting.memory_bytes());
        starts.memory_bytes() + stated.memory_bytes() + column.memory_bytes() + blocks.memory_bytes() + nesting
    }

    /// Positions of the segments that reach into the range.
    fn positions(&self, range: Run<K>) -> Range<usize> {
        self.starts.count_to(range.first).saturating_sub(1)..self.starts.count_to(range.last)
    }

    /// The segment at `position`, as far as it reaches into the range, unless others hide it all.
    fn clipped(&self, position: usize, range: Run<K>) -> Option<Run<K>> {
        let start = self.starts.key(position);
        let next = (position + 1 < self.starts.len()).then(|| self.starts.key(position + 1));
        let last = || next.map_or(K::MAX, before).min(range.last);
        (next != Some(start)).then(|| Run { first: start.max(range.first), last: last() })
    }

    /// Whether `test` holds for a piece of the range that is listed here now, or too many had to be asked.
    pub(super) fn any_listed(
        &self,
        range: Run<K>,
        rulings: &Rulings,
        context: &Context,
        asks_left: &mut usize,
        test: impl Fn(Run<K>, &mut usize) -> bool,
    ) -> bool {
        let mut positions = self.positions(range);
        let is_listed = |position: usize| self.decide(position, rulings, context).is_listed();
        while let Some(position) = self.blocks.first_listed(positions.clone(), context, asks_left, is_listed) {
            if *asks_left == 0 || self.clipped(position, range).is_some_and(|piece| test(piece, asks_left)) {
                return true;
            }
            positions.start = position + 1;
        }
        false
    }

    /// Whether `test` holds for a piece of the range of which nothing is said here now, or too many had to be asked.
    pub(super) fn any_left(
        &self,
        range: Run<K>,
        rulings: &Rulings,
        context: &Context,
        asks_left: &mut usize,
        test: impl Fn(Run<K>, &mut usize) -> bool,
    ) -> bool {
        if self.is_empty() {
            return test(range, asks_left);
        }
        let lowest = self.starts.key(0);
        if range.first < lowest && test(Run { last: range.last.min(before(lowest)), ..range }, asks_left) {
            return true;
        }
        self.positions(range).any(|position| {
            are_all_asked(asks_left)
                || self.decide(position, rulings, context).is_absent()
                    && self.clipped(position, range).is_some_and(|piece| test(piece, asks_left))
        })
    }

    /// Something is said of so many keys.
    pub(super) fn extent(&self) -> f64 {
        let all = Run { first: K::MIN, last: K::MAX };
        self.iter(all).map(|piece| piece.last.since(piece.first).widen() as f64 + 1.0).sum()
    }

    /// Starts of segments from all over the set, some more than `count` if there are so many.
    pub(super) fn spread(&self, count: usize) -> impl Iterator<Item = K> {
        spread(self.starts.addresses(), count)
    }

    /// The segments that reach into a range and of which something is said, in order.
    pub(super) fn iter(&self, range: Run<K>) -> impl Iterator<Item = Piece<K>> {
        let positions = self.positions(range);
        let len = self.starts.len();
        let nexts = self.starts.iter((positions.start + 1).min(len)..len).map(Some).chain([None]);
        let starts = positions.clone().zip(self.starts.iter(positions).zip(nexts));
        let starts = starts.filter(|(_, (first, next))| *next != Some(*first));
        let pieces = starts.map(|(position, (first, next))| {
            let last = next.map_or(K::MAX, before);
            let behind = std::iter::successors(self.behind(position), |&position| self.behind(position));
            let mut behind = behind.map(|position| self.standing(position));
            let standing = match self.standing(position) {
                Standing::ABSENT => behind.next().unwrap_or(Standing::ABSENT),
                standing => standing,
            };
            Piece { first, last, standing, behind: behind.collect() }
        });
        pieces.filter(|piece| piece.standing != Standing::ABSENT)
    }

    /// How much of it ends, and when. What goes on after others counts once.
    pub(super) fn lifetimes(&self, rulings: &Rulings, now_s: u64) -> Lifetimes {
        let mut lifetimes = Lifetimes::of(self.standings(), rulings, now_s);
        lifetimes.all -= self.again;
        lifetimes
    }

    /// What is stated by each of them.
    fn standings(&self) -> impl Iterator<Item = Standing> {
        (0..self.starts.len()).filter_map(|position| self.stated.rank(position)).map(|at| self.column.standing(at))
    }
}

/// Keys at even distances, four times as many as are wanted, since some may list nothing.
fn spread<K: Key>(keys: &Sorted<K>, count: usize) -> impl Iterator<Item = K> {
    let step = (keys.len() / (4 * count).max(1)).max(1);
    (0..keys.len()).step_by(step).map(|position| keys.key(position))
}

/// Takes one of the entries that may be asked. Returns whether there was none.
fn are_all_asked(asks_left: &mut usize) -> bool {
    let were_left = *asks_left;
    *asks_left = were_left.saturating_sub(1);
    were_left == 0
}

/// The key before one that is not the lowest.
fn before<K: Key>(key: K) -> K {
    key.since(K::of_halves(0, 1))
}

/// A range and what is said of it.
#[derive(Debug)]
pub(super) struct Piece<K = u128> {
    pub(super) first: K,
    pub(super) last: K,
    pub(super) standing: Standing,
    /// What is said where that is absent, the narrowest first; mostly empty, which takes no memory.
    pub(super) behind: Vec<Standing>,
}

impl<K: Key> Piece<K> {
    /// The same of addresses, given where they begin and end.
    pub(super) fn map(self, first: impl Fn(K) -> u128, last: impl Fn(K) -> u128) -> Piece {
        Piece { first: first(self.first), last: last(self.last), standing: self.standing, behind: self.behind }
    }
}

/// Lays what several layers have of a range over each other, the most specific first, and calls `visit` with each piece of it of
/// which something is said and all that is said of that, as far down as it can matter.
pub(super) fn overlay<'a>(
    range: Run<u128>,
    layers: Vec<Box<dyn Iterator<Item = Piece> + 'a>>,
    mut visit: impl FnMut(u128, u128, &Standings),
) {
    let mut layers: Vec<_> = layers.into_iter().map(Iterator::peekable).collect();
    let mut standings = Standings(Vec::with_capacity(layers.len()));
    let mut at = range.first;
    loop {
        let mut next = None;
        let mut last = range.last;
        let Standings(stack) = &mut standings;
        stack.clear();
        for layer in &mut layers {
            while layer.next_if(|piece| piece.last < at).is_some() {}
            match layer.peek() {
                Some(piece) if piece.first <= at => {
                    stack.push(piece.standing);
                    stack.extend_from_slice(&piece.behind);
                    last = last.min(piece.last);
                }
                Some(piece) => {
                    last = last.min(piece.first - 1);
                    next = Some(next.unwrap_or(piece.first).min(piece.first));
                }
                None => {}
            }
        }
        if let Some(decisive) = stack.iter().position(|standing| standing.is_unconditional()) {
            stack.truncate(decisive + 1);
        }
        if !stack.is_empty() {
            visit(at, last, &standings);
        } else if next.is_none() {
            return;
        }
        if last >= range.last {
            return;
        }
        at = last + 1;
    }
}
