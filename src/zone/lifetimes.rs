//! How much of a dataset ends, how much is over, and what ends next: for reports, refusals and sweeps, on no query's way.

use super::{
    ruling::{FOREVER_S, Rulings, is_over},
    standing::Standing,
};

/// What was counted: of that which is kept, and not of the lines that it came from. Prefixes side by side that say the same are
/// one; an entry with several claims counts once for each, and where prefixes count together, those of the wider one count with
/// each within it, too. So it is true in proportion: how much of all is over, and not how many lines are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes {
    /// All that was looked at.
    pub all: usize,
    /// Of these, those that end.
    pub ending: usize,
    /// Of these, those that are over.
    pub over: usize,
    /// When the next of the others ends, in seconds since the epoch.
    pub next_s: Option<u32>,
}

impl Lifetimes {
    /// Counts what is said of something.
    #[inline]
    pub fn count(&mut self, standing: Standing, rulings: &Rulings, now_s: u64) {
        if standing.ruling.is_simple() {
            self.count_end(standing.until_s, now_s);
        } else {
            for claim in standing.claims(rulings) {
                self.count_end(claim.until_s, now_s);
            }
        }
    }

    fn count_end(&mut self, until_s: u32, now_s: u64) {
        self.all += 1;
        if until_s == FOREVER_S {
            return;
        }
        self.ending += 1;
        if is_over(until_s, now_s) {
            self.over += 1;
        } else {
            self.next_s = Some(self.next_s.map_or(until_s, |next_s| next_s.min(until_s)));
        }
    }

    /// Counts what is said.
    pub fn of(standings: impl Iterator<Item = Standing>, rulings: &Rulings, now_s: u64) -> Self {
        let mut lifetimes = Self::default();
        standings.for_each(|standing| lifetimes.count(standing, rulings, now_s));
        lifetimes
    }

    /// So many that never end.
    pub fn endless(count: usize) -> Self {
        Self { all: count, ..Self::default() }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            all: self.all + other.all,
            ending: self.ending + other.ending,
            over: self.over + other.over,
            next_s: [self.next_s, other.next_s].into_iter().flatten().min(),
        }
    }

    /// Whether anything ends.
    pub fn some_end(&self) -> bool {
        self.ending > 0
    }

    /// How many of so many entries are not over, in proportion.
    pub fn live_of(&self, entries: usize) -> usize {
        if self.over == 0 {
            return entries;
        }
        (entries as u128 * (self.all - self.over) as u128 / self.all as u128) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::{ruling::Ruling, values::ValueId};

    #[test]
    fn the_dead_the_next_and_the_rest() {
        let rulings = Rulings::default();
        let mut lifetimes = Lifetimes::default();
        for until_s in [50, 100, 101, 900, FOREVER_S] {
            lifetimes.count(Standing { ruling: Ruling::listed(ValueId(1)), until_s }, &rulings, 100);
        }
        assert_eq!(lifetimes, Lifetimes { all: 5, ending: 4, over: 2, next_s: Some(101) });
        assert_eq!(lifetimes.live_of(50), 30);
        assert_eq!(lifetimes.and(Lifetimes::endless(5)).live_of(50), 40);
    }
}
