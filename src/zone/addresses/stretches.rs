//! Runs side by side, in the order of their entries.
//!
//! Reading runs one entry at a time means to ask before each which of a dozen is next, and no processor guesses that. So a
//! stretch of the address space is taken from all of them at once, some hundred entries, and put in order by their keys: each
//! goes to about where it belongs, and what is not yet right is moved by a place or two. Where hosts suddenly become dense, a
//! stretch is given back and a shorter one taken.

use super::{
    key::Key,
    packing::{Entry, Reading},
};

/// A stretch is made longer when it has fewer than half as many entries, and shorter when it has more.
const USUAL: usize = 1 << 8;
/// So many are too many, and it is begun anew.
const MOST: usize = 4 * USUAL;

/// Entries go to so many places first.
const PLACES_BITS: u32 = 9;
const PLACES: usize = 1 << PLACES_BITS;
/// If more share one, there is no telling what the rest of their order will cost.
const SHARED_MAX: u32 = 32;

/// A run and what was read of it, but not yet taken.
#[derive(Debug)]
struct Side<K> {
    reading: Reading<K>,
    rest: Vec<Entry<K>>,
    /// So many are in this stretch.
    given: usize,
}

impl<K: Key> Side<K> {
    fn new(mut reading: Reading<K>) -> Self {
        let mut rest = Vec::new();
        reading.give(|first| {
            rest.push(first);
            false
        });
        Self { reading, rest, given: 0 }
    }

    /// Adds the entries up to the key `last` to those `found`, until these are `most`.
    fn give(&mut self, last: K, found: &mut Vec<Entry<K>>, most: usize) {
        let Self { reading, rest, given } = self;
        let before = found.len();
        let old = rest.iter().take_while(|entry| entry.start <= last).count();
        found.extend(rest.drain(..old));
        if rest.is_empty() {
            reading.give(|entry| {
                let is_in = entry.start <= last;
                let into = if is_in { &mut *found } else { &mut *rest };
                into.push(entry);
                is_in && into.len() < most
            });
        }
        *given = found.len() - before;
    }

    /// Takes back what it gave last.
    fn take_back(&mut self, found: &mut Vec<Entry<K>>) {
        self.rest.splice(0..0, found.drain(found.len() - self.given..));
        self.given = 0;
    }
}

/// Runs while they are read, side by side.
#[derive(Debug)]
pub(super) struct Stretches<K> {
    sides: Vec<Side<K>>,
    /// A stretch is a prefix of so many bits.
    length: u8,
    found: Vec<Entry<K>>,
    /// The same in order.
    ordered: Vec<Entry<K>>,
}

impl<K: Key> Stretches<K> {
    pub(super) fn new(runs: impl IntoIterator<Item = Reading<K>>) -> Self {
        let sides: Vec<_> = runs.into_iter().map(Side::new).collect();
        let room = sides.iter().map(|side| side.rest.len() + side.reading.left()).sum::<usize>().min(MOST);
        let [found, ordered] = [(); 2].map(|()| Vec::with_capacity(room));
        Self { sides, length: (K::BITS / 2) as u8, found, ordered }
    }

    /// The entries that come next, in order; equal prefixes in the order of the runs, and all of them. None when all were taken.
    pub(super) fn take(&mut self) -> Option<&[Entry<K>]> {
        let lowest = self.sides.iter().filter_map(|side| side.rest.first()).map(|entry| entry.start).min()?;
        while !self.find(lowest.prefix(self.length).1) {
            self.length += 1;
        }
        self.order(lowest.prefix(self.length).0);
        if self.ordered.len() > USUAL && self.is_divisible() {
            self.length += 1;
        } else if self.ordered.len() < USUAL / 2 && self.length > 0 {
            self.length -= 1;
        }
        Some(&self.ordered)
    }

    fn is_divisible(&self) -> bool {
        u32::from(self.length) < K::BITS
    }

    /// Finds all entries up to the key `last`, or none if they are too many.
    fn find(&mut self, last: K) -> bool {
        let most = if self.is_divisible() { MOST } else { usize::MAX };
        let Self { sides, found, .. } = self;
        found.clear();
        for at in 0..sides.len() {
            sides[at].give(last, found, most);
            if found.len() >= most {
                sides[..=at].iter_mut().rev().for_each(|side| side.take_back(found));
                return false;
            }
        }
        true
    }

    /// Puts what was found into order, given the first key that it may have.
    fn order(&mut self, first: K) {
        let shift = (K::BITS - u32::from(self.length)).saturating_sub(PLACES_BITS);
        let Self { found, ordered, .. } = self;
        if found.is_sorted_by_key(Entry::key) {
            return std::mem::swap(found, ordered);
        }
        let place = |entry: &Entry<K>| entry.start.since(first).above(shift) % PLACES;
        let mut nexts = [0_u32; PLACES];
        for entry in &*found {
            nexts[place(entry)] += 1;
        }
        if nexts.iter().any(|&count| count > SHARED_MAX) {
            found.sort_by_key(Entry::key);
            return std::mem::swap(found, ordered);
        }
        let mut sum = 0;
        for next in &mut nexts {
            sum += std::mem::replace(next, sum);
        }
        ordered.resize(found.len(), found[0]);
        for entry in &*found {
            let next = &mut nexts[place(entry)];
            ordered[*next as usize] = *entry;
            *next += 1;
        }
        for at in 1..ordered.len() {
            let entry = ordered[at];
            let mut to = at;
            while to > 0 && ordered[to - 1].key() > entry.key() {
                ordered[to] = ordered[to - 1];
                to -= 1;
            }
            ordered[to] = entry;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::zone::{
        addresses::packing::{Common, Packing},
        ruling::{FOREVER_S, Ruling},
        standing::Standing,
        values::ValueId,
    };

    /// Runs of starts and lengths; what is said of each is which one it is.
    fn holds<K: Key + std::fmt::Debug>(runs: Vec<Vec<(K, u32)>>) {
        let mut values = 0..;
        let mut entries = Vec::new();
        let [one, two] = [(0, 1), (1, 2)].map(|(length, value)| {
            Common::alike(length, Standing { ruling: Ruling::listed(ValueId(value)), until_s: FOREVER_S })
        });
        let runs: Vec<_> = runs
            .into_iter()
            .map(|mut run| {
                run.sort_unstable();
                let mut packing = Packing::new(one.and(two), 0);
                for ((start, length), value) in run.into_iter().zip(values.by_ref()) {
                    let standing = Standing { ruling: Ruling::listed(ValueId(value)), until_s: FOREVER_S };
                    packing.push(Entry { start, length, standing });
                    entries.push((start, length, value));
                }
                packing.read()
            })
            .collect();
        entries.sort_by_key(|entry| (entry.0, entry.1));
        let mut stretches = Stretches::new(runs);
        let mut taken = Vec::new();
        while let Some(entries) = stretches.take() {
            assert!(taken.last().is_none_or(|last: &(K, u32, u32)| last.0 < entries[0].start), "parted");
            taken.extend(entries.iter().map(|entry| {
                let value = entry.standing.ruling.value().expect("it has one");
                (entry.start, entry.length, value.0)
            }));
        }
        assert!(taken == entries);
    }

    proptest! {
        #[test]
        fn few_and_close(runs in proptest::collection::vec(proptest::collection::vec((0_u32..50, 0_u32..3), 0..40), 0..9)) {
            holds(runs);
        }

        #[test]
        fn wide_and_scattered(runs in proptest::collection::vec(proptest::collection::vec((any::<u128>(), 0_u32..3), 0..99), 0..5)) {
            holds(runs);
        }

        #[test]
        fn dense_after_sparse(
            runs in proptest::collection::vec((0_u32..3, any::<u32>(), 0_u32..12, 0_u32..3_000), 0..9),
        ) {
            let sparse = |seed: u32| (0..300_u32).map(move |at| (at.wrapping_mul(seed | 1), 32));
            let dense = |start: u32, shift: u32, count| (0..count).map(move |at| (start.wrapping_add(at >> shift), 32));
            holds(runs.into_iter().map(|(at, seed, shift, count)| {
                sparse(seed).chain(dense(at << 30, shift, count)).collect()
            }).collect());
        }
    }

    #[test]
    fn one_prefix_in_all_runs() {
        holds(vec![(0..5_000).map(|at| (7_u64, at % 3)).collect(); 3]);
        holds(vec![vec![(0_u32, 0), (u32::MAX, 32)]; 3]);
    }
}
