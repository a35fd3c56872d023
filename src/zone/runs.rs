//! Lines in any order to entries in order, in hardly more memory than the entries take in the end.
//!
//! While a dataset is replaced, the old one is still served, so what is gathered for the new one must be about as small as
//! what it becomes. It is therefore a merge sort in memory: lines are collected up to a limit, sorted, and packed as a *run*, in
//! which an entry says only how it differs from the one before it. At the end all runs are read side by side, and each
//! block of them is given back as soon as it was read, while the result grows. A file that is sorted makes a single run, and
//! hosts in order none at all.
//!
//! Bytes an entry, as `cargo bench --bench structures -- building` counts them: what it takes in the end, and the most that is
//! held while that comes about, itself included.
//!
//! | | in the end | at most |
//! |---|---|---|
//! | 10 million hosts, sorted; in any order | 2.42 | 2.44 |
//! | the same with 30 values | 3.4 | 3.5; 3.7 |
//! | the same with lifetimes that end within a day | 4.6 | 5.1; 5.6 |
//! | 1 million hosts, sorted; in any order | 2.3 | 2.5; 3.7 |
//! | the same with 30 values | 3.3 | 3.9; 4.3 |
//! | the same with lifetimes that end within a day | 4.4 | 5.7; 6.4 |
//! | 200,000 IPv4 prefixes with 30 values | 6.8 to 7.6 | 10.1 to 11.1 |
//! | the same with lifetimes that end within a day | 9.4 to 10.3 | 13.1 to 13.6 |
//! | 200,000 IPv6 prefixes | 17.8 | 19.8 |
//! | 1 million names | 18.4 | 18.4 |
//! | the same with lifetimes that end within a day | 21.2 | 21.2 |
//!
//! What is beyond the result is in the lines that are collected and in the blocks that are begun and not yet given back, one a
//! run: it matters less the larger a set is.
//!
//! Here are the parts that do not know what entries are: octets that are written at one end and read from the other. Names are
//! merged [one by one](super::names), addresses, which are numbers, [by stretches](super::addresses).

use std::collections::VecDeque;

use super::tight::LARGE_LEN;

/// Octets of a block, which is given back to the system when it was read.
pub(super) const BLOCK_LEN: usize = LARGE_LEN;

/// Packed entries: written at the end, read from the start.
#[derive(Debug, Default)]
pub(super) struct Tape {
    /// What is full, and in the end all, but what is read or written now.
    blocks: VecDeque<Vec<u8>>,
    block: Vec<u8>,
    /// Where the next octet to be read stands in the block.
    at: usize,
    /// Octets of the full blocks that were written.
    full_len: usize,
}

impl Tape {
    /// Lets `write` append one entry of at most `len` octets.
    #[inline]
    pub(super) fn append(&mut self, len: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if self.block.len() + len > BLOCK_LEN {
            self.full_len += self.block.len();
            self.blocks.push_back(std::mem::take(&mut self.block));
        }
        write(&mut self.block);
    }

    /// Octets written.
    pub(super) fn len(&self) -> usize {
        self.full_len + self.block.len()
    }

    /// Gives back what was taken for octets that were not written.
    pub(super) fn shrink_to_fit(&mut self) {
        self.block.shrink_to_fit();
    }

    /// Begins to be read.
    pub(super) fn turn(&mut self) {
        self.shrink_to_fit();
        self.blocks.push_back(std::mem::take(&mut self.block));
    }

    /// Lets `read` take one entry from the octets that follow.
    #[inline]
    pub(super) fn take<T>(&mut self, read: impl FnOnce(&mut Octets<'_>) -> T) -> T {
        if self.at == self.block.len() {
            self.block = self.blocks.pop_front().unwrap_or_default();
            self.at = 0;
        }
        let rest = &self.block[self.at..];
        let mut octets = Octets { rest };
        let taken = read(&mut octets);
        self.at += rest.len() - octets.rest.len();
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
        if let Some(word) = self.rest.first_chunk() {
            let word = u64::from_le_bytes(*word);
            let more = word.trailing_ones();
            if let Some(rest) = self.rest.get(more as usize + 1..)
                && more < WORD_LEN
            {
                self.rest = rest;
                let unused = u64::BITS - 8 * (more + 1);
                return word << unused >> unused >> (more + 1);
            }
        }
        self.long_number()
    }

    #[cold]
    fn long_number(&mut self) -> u64 {
        let more = self.rest.first().map_or(0, |first| first.trailing_ones());
        let mut word = [0; size_of::<u128>()];
        let taken = self.octets(more as usize + 1);
        word[..taken.len()].copy_from_slice(taken);
        (u128::from_le_bytes(word) >> (more + 1).min(u8::BITS)) as u64
    }
}

/// Octets of a number that is not long.
const WORD_LEN: u32 = 8;

/// Writes a number in as many octets as it needs, seven bits to each; at most [`NUMBER_MAX`]. How many follow the first is told
/// by as many ones in its lowest bits.
#[inline]
pub(super) fn push_number(into: &mut Vec<u8>, number: u64) {
    let bits = u64::BITS - (number | 1).leading_zeros();
    let more = (bits - 1) / 7;
    if more >= WORD_LEN {
        into.push(u8::MAX);
        return into.extend_from_slice(&number.to_le_bytes());
    }
    // A whole word at once, of which is taken away what is not needed.
    let word = number << (more + 1) | ((1 << more) - 1);
    into.extend_from_slice(&word.to_le_bytes());
    into.truncate(into.len() - (WORD_LEN - 1 - more) as usize);
}

/// Octets of the longest number.
pub(super) const NUMBER_MAX: usize = 9;

/// The difference of two times as a number that is small when they are close.
#[inline]
pub(super) fn zigzag(time_s: u32, last_s: u32) -> u64 {
    let difference = i64::from(time_s) - i64::from(last_s);
    (difference << 1 ^ difference >> 63) as u64
}

/// The time that has this difference.
#[inline]
pub(super) fn unzigzag(number: u64, last_s: u32) -> u32 {
    let difference = (number >> 1).cast_signed() ^ -(number & 1).cast_signed();
    (i64::from(last_s) + difference) as u32
}

/// How many octets two texts begin with alike.
#[inline]
pub(super) fn common_len(one: &[u8], two: &[u8]) -> usize {
    let (mut one_rest, mut two_rest, mut common) = (one, two, 0);
    while let (Some((one_word, one_after)), Some((two_word, two_after))) =
        (one_rest.split_first_chunk(), two_rest.split_first_chunk())
    {
        let different = u64::from_le_bytes(*one_word) ^ u64::from_le_bytes(*two_word);
        if different != 0 {
            return common + different.trailing_zeros() as usize / 8;
        }
        (one_rest, two_rest, common) = (one_after, two_after, common + size_of::<u64>());
    }
    common + one_rest.iter().zip(two_rest).take_while(|(one, two)| one == two).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_begin_alike() {
        let text = b"the quick brown fox jumps over the lazy dog";
        for len in 0..text.len() {
            let mut other = *text;
            other[len] = b'!';
            assert_eq!(common_len(text, &other), len);
            assert_eq!(common_len(&text[..len], &other), len);
            assert_eq!(common_len(text, &text[..len]), len);
        }
    }

    #[test]
    fn blocks_come_and_go() {
        let scattered = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let ends = (0..u64::BITS).flat_map(|bits| [(1 << bits) - 1, 1 << bits]).chain([u64::MAX]);
        let numbers: Vec<u64> = (0..200_000_u64).map(|number| scattered(number) >> (number % 64)).chain(ends).collect();
        let mut packed = Tape::default();
        for &number in &numbers {
            packed.append(NUMBER_MAX, |into| push_number(into, number));
        }
        packed.turn();
        assert!(packed.blocks.len() > 4 && packed.blocks.iter().all(|block| block.capacity() <= BLOCK_LEN));
        for number in numbers {
            let taken = packed.take(|octets| (octets.number(), ()));
            assert_eq!(taken.0, number);
        }
        assert!(packed.blocks.is_empty());
    }
}
