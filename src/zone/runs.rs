//! Lines in any order to entries in order, in hardly more memory than the entries take in the end.
//!
//! While a dataset is replaced, the old one is still served, so what is gathered for the new one must be about as small as
//! what it becomes. It is therefore a merge sort in memory: lines are collected up to a limit, sorted, and packed as a *run*, in
//! which an entry says only how it differs from the one before it. At the end all runs are read side by side, and each
//! block of them is given back as soon as it was read, while the result grows. A file that is sorted makes a single run.
//!
//! Here are the parts that do not know what entries are: octets that are written at one end and read from the other, and the
//! merge.

use std::{cmp::Ordering, collections::VecDeque};

/// Octets of a block: enough that the C library, as the server sets it up, gives a block back to the system when it is freed.
const BLOCK_LEN: usize = 256 * 1024;

/// Packed entries: written at the end, read from the start.
#[derive(Debug, Default)]
pub(super) struct Packed {
    blocks: VecDeque<Vec<u8>>,
    /// Where the next octet to be read stands in the first block.
    at: usize,
    len: usize,
}

impl Packed {
    /// Lets `write` append one entry of at most `len` octets.
    #[inline]
    pub(super) fn append(&mut self, len: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let block = match self.blocks.back_mut() {
            Some(block) if block.len() + len <= BLOCK_LEN => block,
            _ => {
                self.blocks.push_back(Vec::new());
                self.blocks.back_mut().expect("it was just put there")
            }
        };
        let before = block.len();
        write(block);
        self.len += block.len() - before;
    }

    /// Octets written.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Gives back what was taken for octets that were not written.
    pub(super) fn shrink_to_fit(&mut self) {
        self.blocks.back_mut().into_iter().for_each(Vec::shrink_to_fit);
    }

    /// Lets `read` take one entry from the octets that follow; it returns how many they were.
    #[inline]
    pub(super) fn take<T>(&mut self, read: impl FnOnce(&mut Octets<'_>) -> T) -> T {
        while self.blocks.front().is_some_and(|block| block.len() == self.at) {
            self.blocks.pop_front();
            self.at = 0;
        }
        let block = self.blocks.front().map_or(&[][..], |block| &block[self.at..]);
        let mut octets = Octets { rest: block };
        let taken = read(&mut octets);
        self.at += block.len() - octets.rest.len();
        taken
    }
}

/// Octets that are read from the start. What is not there is zero.
pub(super) struct Octets<'a> {
    rest: &'a [u8],
}

impl<'a> Octets<'a> {
    /// The next octet.
    #[inline]
    pub(super) fn octet(&mut self) -> u8 {
        let Some((&first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        first
    }

    /// The next octets.
    #[inline]
    pub(super) fn octets(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// A number that [`push_number`] wrote.
    #[inline]
    pub(super) fn number(&mut self) -> u64 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let octet = self.octet();
            number |= u64::from(octet & 0x7f) << shift;
            if octet < 0x80 || shift == 63 {
                return number;
            }
            shift += 7;
        }
    }
}

/// Writes a number in as many octets as it needs, seven bits to each; at most [`NUMBER_MAX`].
#[inline]
pub(super) fn push_number(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// Octets of the longest number.
pub(super) const NUMBER_MAX: usize = 10;

/// The difference of two times as a number that is small when they are close.
#[inline]
pub(super) fn zigzag(time_s: u32, last_s: u32) -> u64 {
    let difference = i64::from(time_s) - i64::from(last_s);
    (difference << 1 ^ difference >> 63) as u64
}

/// The time that has this difference.
#[inline]
pub(super) fn unzigzag(number: u64, last_s: u32) -> u32 {
    let difference = (number >> 1) as i64 ^ -((number & 1) as i64);
    (i64::from(last_s) + difference) as u32
}

/// Entries in order, one of them at hand.
pub(super) trait Run {
    /// Goes on to the next entry; `false` if there is none.
    fn advance(&mut self) -> bool;
    /// Compares the entries at hand.
    fn compare(&self, other: &Self) -> Ordering;
}

/// Reads runs side by side, in the order of their entries; equal ones in the order of the runs.
///
/// A tournament: each inner place of a binary tree, whose leaves are the runs, knows who lost there, so that when the
/// winner goes on to its next entry, one comparison a level finds the next one.
#[derive(Debug)]
pub(super) struct Merge<R> {
    runs: Vec<R>,
    is_over: Vec<bool>,
    /// The losers, from place 1 on; at place 0 the winner.
    places: Vec<usize>,
}

impl<R: Run> Merge<R> {
    pub(super) fn new(mut runs: Vec<R>) -> Self {
        let is_over: Vec<bool> = runs.iter_mut().map(|run| !run.advance()).collect();
        let count = runs.len();
        let mut merge = Self { runs, is_over, places: vec![0; count] };
        let mut winners: Vec<usize> = (0..2 * count).map(|place| place.saturating_sub(count)).collect();
        for place in (1..count).rev() {
            let (one, two) = (winners[2 * place], winners[2 * place + 1]);
            let (winner, loser) = if merge.comes_before(two, one) { (two, one) } else { (one, two) };
            winners[place] = winner;
            merge.places[place] = loser;
        }
        if let Some(place) = merge.places.first_mut() {
            *place = winners[1];
        }
        merge
    }

    /// The entry that comes next.
    #[inline]
    pub(super) fn peek(&self) -> Option<&R> {
        let &winner = self.places.first()?;
        (!self.is_over[winner]).then(|| &self.runs[winner])
    }

    /// Goes on to the next entry.
    #[inline]
    pub(super) fn advance(&mut self) {
        let mut winner = self.places[0];
        self.is_over[winner] = !self.runs[winner].advance();
        let mut place = usize::midpoint(winner, self.runs.len());
        while place > 0 {
            let loser = self.places[place];
            if self.comes_before(loser, winner) {
                self.places[place] = winner;
                winner = loser;
            }
            place /= 2;
        }
        self.places[0] = winner;
    }

    #[inline]
    fn comes_before(&self, one: usize, two: usize) -> bool {
        if self.is_over[one] || self.is_over[two] {
            return self.is_over[two] && !self.is_over[one];
        }
        self.runs[one].compare(&self.runs[two]).then(one.cmp(&two)).is_lt()
    }
}

/// Appends without ever holding much more room than is used: what is large moves its pages when it grows, not its octets.
#[inline]
pub(super) fn push_tight<T>(into: &mut Vec<T>, item: T) {
    if into.len() == into.capacity() {
        into.reserve_exact((into.len() / 8).max(16));
    }
    into.push(item);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pairs of a key and what must not be compared.
    struct Pairs {
        packed: Packed,
        left: usize,
        at_hand: (u64, u64),
    }

    impl Pairs {
        fn new(mut pairs: Vec<(u64, u64)>) -> Self {
            pairs.sort_by_key(|pair| pair.0);
            let mut packed = Packed::default();
            let mut last = 0;
            for (key, label) in &pairs {
                packed.append(2 * NUMBER_MAX, |into| {
                    push_number(into, key - last);
                    push_number(into, *label);
                });
                last = *key;
            }
            packed.shrink_to_fit();
            Self { packed, left: pairs.len(), at_hand: (0, 0) }
        }
    }

    impl Run for Pairs {
        fn advance(&mut self) -> bool {
            if self.left == 0 {
                return false;
            }
            self.left -= 1;
            let (delta, label) = self.packed.take(|octets| (octets.number(), octets.number()));
            self.at_hand = (self.at_hand.0 + delta, label);
            true
        }

        fn compare(&self, other: &Self) -> Ordering {
            self.at_hand.0.cmp(&other.at_hand.0)
        }
    }

    proptest! {
        #[test]
        fn merged_is_sorted_and_stable(keys in proptest::collection::vec(proptest::collection::vec(0_u64..50, 0..40), 0..9)) {
            let mut label = 0..;
            let labelled: Vec<Vec<(u64, u64)>> =
                keys.into_iter().map(|run| run.into_iter().zip(label.by_ref()).collect()).collect();
            let mut expected = labelled.concat();
            expected.sort_by_key(|pair| pair.0);
            let mut merge = Merge::new(labelled.into_iter().map(Pairs::new).collect());
            let mut merged = Vec::new();
            while let Some(run) = merge.peek() {
                merged.push(run.at_hand);
                merge.advance();
            }
            prop_assert_eq!(merged, expected);
        }
    }

    #[test]
    fn blocks_come_and_go() {
        let numbers: Vec<u64> = (0..200_000_u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let mut packed = Packed::default();
        for &number in &numbers {
            packed.append(NUMBER_MAX, |into| push_number(into, number));
        }
        let full = packed.blocks.len();
        assert!(full > 4 && packed.blocks.iter().all(|block| block.capacity() <= BLOCK_LEN));
        assert!(numbers.iter().all(|&number| packed.take(|octets| octets.number()) == number));
        assert_eq!(packed.blocks.len(), 1);
    }
}
