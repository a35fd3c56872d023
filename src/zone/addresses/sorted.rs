//! Sorted keys under an index of their leading bits.
//!
//! An index cell says where the keys begin that share its bits, and about eight do: half a byte a key, and so few that they
//! stand in one cache line. Large IPv4 sets have 2^16 cells or more, so that a key there is its low half, two bytes: 10 million
//! hosts cost 2.42 bytes each. Up to 131,072 keys that index would cost more than it saves, and keys stay whole. The bits are
//! those below the ones that all keys have in common, since all of IPv6 begins with `001`.
//!
//! Of a cell so small, all keys are compared at once, with some of its neighbours' and without a branch on what is found: among a
//! million hosts that are evenly spread, one is found or not in 13 ns, where a walk along the cell takes 34, most of them for its
//! mispredicted end.

use std::ops::Range;

use super::key::{FRACTION_BITS, HALF_BITS, Key};
use crate::zone::{
    subject::Run,
    tight::{LARGE_LEN, push_tight, reserve_tight},
};

/// From so many IPv4 keys on, 2^16 cells of four bytes cost less than the upper halves of the keys.
const HALVES_FROM: usize = 1 << 17;
/// About so many keys share a cell of the index.
const KEYS_PER_CELL_LOG2: u32 = 3;
/// An index has at most 2^20 cells, 4 MiB.
const INDEX_BITS_MAX: u32 = 20;

/// So many keys are looked at together: one cache line of lower halves, and a few vector instructions.
const WINDOW: usize = 32;

/// After so many windows, keys are not as evenly spread as was guessed, and halving is as good.
const WINDOWS_MAX: usize = 3;

/// Lower halves to a block while they become more: enough that it is given back to the system when it is freed.
const BLOCK_LEN: usize = LARGE_LEN;

/// Keys in ascending order.
#[derive(Debug)]
pub(super) struct Sorted<K> {
    /// What the first cell begins with.
    first: K,
    /// Bits of a key that its cell does not say.
    shift: u32,
    /// For each value of the bits above `shift`, the position of its first key; then the number of keys.
    cells: Box<[u32]>,
    keys: Keys<K>,
}

#[derive(Debug)]
enum Keys<K> {
    Whole(Box<[K]>),
    Halves(Box<[u16]>),
}

/// Builds [`Sorted`] from the lowest key to the highest.
#[derive(Debug)]
pub(super) struct SortedBuilder<K> {
    whole: Vec<K>,
    /// Once there are many: the lower halves, and how many of them each upper half has.
    lows: Lows,
    counts: Vec<u32>,
}

impl<K: Key> SortedBuilder<K> {
    pub(super) fn new() -> Self {
        Self { whole: Vec::new(), lows: Lows::default(), counts: Vec::new() }
    }

    /// The next key, not below those before it.
    #[inline]
    pub(super) fn push(&mut self, key: K) {
        if self.counts.is_empty() {
            debug_assert!(self.whole.last().is_none_or(|last| *last <= key));
            push_tight(&mut self.whole, key);
            if K::BITS == 32 && self.whole.len() == HALVES_FROM {
                self.halve();
            }
        } else {
            self.push_half(key);
        }
    }

    #[cold]
    fn halve(&mut self) {
        self.counts = vec![0; 1 << HALF_BITS];
        for key in std::mem::take(&mut self.whole) {
            self.push_half(key);
        }
    }

    #[inline]
    fn push_half(&mut self, key: K) {
        self.lows.push(key.half());
        self.counts[key.above(HALF_BITS)] += 1;
    }

    /// Number of keys so far.
    pub(super) fn len(&self) -> usize {
        self.whole.len() + self.lows.len()
    }

    /// All keys in order. What is over is given back on the way.
    pub(super) fn into_keys(self) -> IntoKeys<K> {
        let Self { whole, lows, counts } = self;
        let mut blocks = lows.full;
        blocks.push(lows.last);
        IntoKeys {
            whole: whole.into_iter(),
            counts,
            upper: 0,
            blocks: blocks.into_iter(),
            block: Vec::new().into_iter(),
        }
    }

    pub(super) fn build(self) -> Sorted<K> {
        if !self.counts.is_empty() {
            let lows = self.lows.join();
            let shift = K::BITS - index_bits(lows.len()).max(HALF_BITS);
            let counts = split(self.counts, &lows, shift);
            let keys = Keys::Halves(lows);
            return Sorted { first: K::MIN, shift, cells: starts(counts), keys };
        }
        let keys = self.whole;
        let (Some(&first), Some(&last)) = (keys.first(), keys.last()) else {
            return Sorted { first: K::MIN, shift: 0, cells: Box::default(), keys: Keys::Whole(Box::default()) };
        };
        let shift = last.since(first).bit_len().saturating_sub(index_bits(keys.len())).min(K::BITS - 1);
        let mut counts = vec![0; last.since(first).above(shift) + 2];
        for key in &keys {
            counts[key.since(first).above(shift)] += 1;
        }
        Sorted { first, shift, cells: starts(counts), keys: Keys::Whole(keys.into_boxed_slice()) }
    }
}

/// Lower halves while they become more, in blocks that can be given back one by one.
#[derive(Debug, Default)]
struct Lows {
    full: Vec<Vec<u16>>,
    last: Vec<u16>,
}

impl Lows {
    #[inline]
    fn push(&mut self, low: u16) {
        if self.last.len() == self.last.capacity() {
            self.begin();
        }
        self.last.push(low);
    }

    #[cold]
    fn begin(&mut self) {
        let full = std::mem::replace(&mut self.last, Vec::with_capacity(BLOCK_LEN));
        if !full.is_empty() {
            self.full.push(full);
        }
    }

    fn len(&self) -> usize {
        self.full.len() * BLOCK_LEN + self.last.len()
    }

    /// All in one.
    fn join(self) -> Box<[u16]> {
        let len = self.len();
        let mut all = Vec::new();
        for block in self.full.into_iter().chain([self.last]) {
            let to_come = len - all.len();
            reserve_tight(&mut all, block.len(), to_come);
            all.extend_from_slice(&block);
        }
        all.into()
    }
}

/// The keys of a [`SortedBuilder`].
#[derive(Debug)]
pub(super) struct IntoKeys<K> {
    whole: std::vec::IntoIter<K>,
    counts: Vec<u32>,
    upper: usize,
    blocks: std::vec::IntoIter<Vec<u16>>,
    block: std::vec::IntoIter<u16>,
}

impl<K: Key> Iterator for IntoKeys<K> {
    type Item = K;

    fn next(&mut self) -> Option<K> {
        if let Some(key) = self.whole.next() {
            return Some(key);
        }
        while *self.counts.get(self.upper)? == 0 {
            self.upper += 1;
        }
        self.counts[self.upper] -= 1;
        let mut low = self.block.next();
        if low.is_none() {
            self.block = self.blocks.next()?.into_iter();
            low = self.block.next();
        }
        Some(K::of_halves(self.upper, low?))
    }
}

/// Bits of the index of so many keys.
fn index_bits(key_count: usize) -> u32 {
    key_count.ilog2().saturating_sub(KEYS_PER_CELL_LOG2).min(INDEX_BITS_MAX)
}

/// How many keys each cell has, and the one after the last, from how many lower halves each upper half has.
fn split(mut counts: Vec<u32>, mut lows: &[u16], shift: u32) -> Vec<u32> {
    if shift == HALF_BITS {
        counts.reserve_exact(1);
        counts.push(0);
        return counts;
    }
    let mut cells = vec![0; (counts.len() << (HALF_BITS - shift)) + 1];
    for (upper, &count) in counts.iter().enumerate() {
        let (own, rest) = lows.split_at(count as usize);
        for &low in own {
            cells[(upper << (HALF_BITS - shift)) + u32::from(low).above(shift)] += 1;
        }
        lows = rest;
    }
    cells
}

/// Where the keys of each cell begin, from how many it has; the last has none.
fn starts(mut counts: Vec<u32>) -> Box<[u32]> {
    let mut sum = 0;
    for count in &mut counts {
        sum += std::mem::replace(count, sum);
    }
    counts.into()
}

impl<K: Key> Sorted<K> {
    pub(super) fn len(&self) -> usize {
        self.cells.last().map_or(0, |&count| count as usize)
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.cells)
            + match &self.keys {
                Keys::Whole(keys) => size_of_val(&**keys),
                Keys::Halves(lows) => size_of_val(&**lows),
            }
    }

    /// The positions of the keys that share a cell with `key`, if it is within the index.
    #[inline]
    fn cell(&self, key: K) -> Option<Range<usize>> {
        if key < self.first {
            return None;
        }
        match self.cells.get(key.since(self.first).above(self.shift)..)? {
            &[start, end, ..] => Some(start as usize..end as usize),
            _ => None,
        }
    }

    /// The position of `key`, of which there is at most one.
    #[inline(always)]
    pub(super) fn find(&self, key: K) -> Option<usize> {
        let cell = self.cell(key)?;
        let len = cell.end - cell.start;
        match &self.keys {
            Keys::Whole(keys) if len <= WINDOW => match near(keys, &cell) {
                Some((_, window)) if !is_in_window(window, key) => None,
                Some((at, window)) => Some(at + count_in_window(window, |other| other < key)),
                None => find_around(keys, cell, key, 0),
            },
            Keys::Halves(lows) if len <= WINDOW => match near(lows, &cell) {
                Some((_, window)) if !is_in_window(window, key.half()) => None,
                _ => find_around(lows, cell, key.half(), 0),
            },
            Keys::Whole(keys) => find_in(keys, cell.clone(), key, self.guess(key, len)),
            Keys::Halves(lows) => find_in(lows, cell.clone(), key.half(), self.guess(key, len)),
        }
    }

    /// The number of keys up to `key`, those that equal it included.
    #[inline(always)]
    pub(super) fn count_to(&self, key: K) -> usize {
        let Some(cell) = self.cell(key) else {
            return if key < self.first { 0 } else { self.len() };
        };
        let (start, len) = (cell.start, cell.end - cell.start);
        match &self.keys {
            Keys::Whole(keys) => match near(keys, &cell).filter(|_| len <= WINDOW) {
                Some((at, window)) => at + count_in_window(window, |other| other <= key),
                None => start + count_while(&keys[cell], self.guess(key, len), |other| other <= key),
            },
            Keys::Halves(lows) => match near(lows, &cell).filter(|_| len <= WINDOW) {
                Some((at, window)) => start + count_in_part(window, (start - at, len), |other| other <= key.half()),
                None => start + count_while(&lows[cell], self.guess(key, len), |other| other <= key.half()),
            },
        }
    }

    /// How many keys of its cell, which has so many, are below `key` if they are evenly spread.
    #[inline]
    fn guess(&self, key: K, cell_len: usize) -> usize {
        // What the cell does not say, as a fraction of what it might.
        (key.since(self.first).fraction_below(self.shift) * cell_len) >> FRACTION_BITS
    }

    /// The positions of the keys in a range, which are distinct.
    pub(super) fn positions(&self, range: Run<K>) -> Range<usize> {
        self.count_to(range.first) - usize::from(self.find(range.first).is_some())..self.count_to(range.last)
    }

    /// The key at `position`.
    pub(super) fn key(&self, position: usize) -> K {
        match &self.keys {
            Keys::Whole(keys) => keys[position],
            Keys::Halves(lows) => {
                let upper = self.cells.partition_point(|&start| start as usize <= position) - 1;
                K::of_halves(upper >> (HALF_BITS - self.shift), lows[position])
            }
        }
    }

    /// The keys at these positions, in order.
    pub(super) fn iter(&self, positions: Range<usize>) -> impl Iterator<Item = K> {
        let mut cell = self.cells.partition_point(|&start| start as usize <= positions.start).saturating_sub(1);
        positions.map(move |position| match &self.keys {
            Keys::Whole(keys) => keys[position],
            Keys::Halves(lows) => {
                while self.cells[cell + 1] as usize <= position {
                    cell += 1;
                }
                K::of_halves(cell >> (HALF_BITS - self.shift), lows[position])
            }
        })
    }
}

/// A window that has all keys of a small cell, and where it begins; its neighbours have the rest of it. None where it would be
/// more than two cache lines, and where there are fewer keys.
#[inline(always)]
fn near<'a, T>(keys: &'a [T], cell: &Range<usize>) -> Option<(usize, &'a [T; WINDOW])> {
    let at = cell.start.min(keys.len().wrapping_sub(WINDOW));
    let window = keys.get(at..)?.first_chunk()?;
    (size_of::<T>() <= 4).then_some((at, window))
}

/// The position of `key` in a cell. Most are not there, and that is seen sooner than where they would be.
#[inline(always)]
fn find_in<T: Copy + Ord>(keys: &[T], cell: Range<usize>, key: T, guess: usize) -> Option<usize> {
    let own = keys.get(cell.clone())?;
    let at = window_at(guess, own.len().wrapping_sub(WINDOW));
    if let Some(window) = own.get(at..).and_then(|own| own.first_chunk::<WINDOW>()) {
        if is_in_window(window, key) {
            return Some(cell.start + at + count_in_window(window, |other| other < key));
        }
        if window[0] < key && key < window[WINDOW - 1] {
            return None;
        }
    }
    find_around(keys, cell, key, guess)
}

/// The position of `key` in a cell, near the place in it that is guessed.
#[inline(never)]
fn find_around<T: Copy + Ord>(keys: &[T], cell: Range<usize>, key: T, guess: usize) -> Option<usize> {
    let (start, keys) = (cell.start, keys.get(cell)?);
    let below = count_while(keys, guess, |other| other < key);
    keys.get(below).is_some_and(|other| *other == key).then_some(start + below)
}

#[inline(always)]
fn is_in_window<T: Copy + PartialEq>(window: &[T; WINDOW], key: T) -> bool {
    window.iter().fold(0, |found, other| found | u16::from(*other == key)) != 0
}

/// Where the window begins that has `guess` in its middle.
#[inline]
fn window_at(guess: usize, last_at: usize) -> usize {
    guess.saturating_sub(WINDOW / 2).min(last_at)
}

/// The number of keys in a window for which `test` holds.
#[inline(never)]
fn count_in_window<T: Copy>(window: &[T; WINDOW], test: impl Fn(T) -> bool) -> usize {
    usize::from(window.iter().map(|other| u16::from(test(*other))).sum::<u16>())
}

/// The same of so many keys from some place in it on.
#[inline(never)]
fn count_in_part<T: Copy>(window: &[T; WINDOW], (from, len): (usize, usize), test: impl Fn(T) -> bool) -> usize {
    let (from, len) = (from as u16, len as u16);
    let counts = |(at, other): (u16, &T)| u16::from(test(*other)) & u16::from(at.wrapping_sub(from) < len);
    usize::from((0..).zip(window).map(counts).sum::<u16>())
}

/// The number of keys for which `test` holds, as it does up to some key and not after it. Hosts of a network are spread evenly
/// enough that this is mostly found around `guess`, in one cache line or two; halving would wait for memory at each step.
#[inline]
fn count_while<T: Copy>(keys: &[T], guess: usize, test: impl Fn(T) -> bool + Copy) -> usize {
    let Some(last_at) = keys.len().checked_sub(WINDOW) else {
        return keys.iter().position(|other| !test(*other)).unwrap_or(keys.len());
    };
    let mut at = window_at(guess, last_at);
    for _ in 0..WINDOWS_MAX {
        let Some(window) = keys[at..].first_chunk::<WINDOW>() else { break };
        if !test(window[0]) && at > 0 {
            at = at.saturating_sub(WINDOW - 1);
        } else if test(window[WINDOW - 1]) && at < last_at {
            at = (at + WINDOW - 1).min(last_at);
        } else {
            return at + count_in_window(window, test);
        }
    }
    keys.partition_point(|other| test(*other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds<K: Key + std::fmt::Debug>(keys: &[K], probes: impl IntoIterator<Item = K>) {
        let [mut builder, mut again] = [SortedBuilder::new(), SortedBuilder::new()];
        for &key in keys {
            builder.push(key);
            again.push(key);
        }
        assert_eq!(builder.len(), keys.len());
        let sorted = builder.build();
        assert_eq!(sorted.len(), keys.len());
        assert!(again.into_keys().eq(keys.iter().copied()));
        assert_eq!(sorted.iter(0..keys.len()).collect::<Vec<_>>(), keys);
        for probe in probes {
            assert_eq!(sorted.find(probe), keys.binary_search(&probe).ok(), "{probe:?}");
            assert_eq!(sorted.count_to(probe), keys.partition_point(|key| *key <= probe), "{probe:?}");
        }
        for position in (0..keys.len()).step_by(1 + keys.len() / 1_000) {
            assert_eq!(sorted.key(position), keys[position]);
            assert!(sorted.iter(position..keys.len()).take(3).eq(keys[position..].iter().copied().take(3)));
        }
    }

    #[test]
    fn several_that_are_equal() {
        for spread in [1_u32, 30_000] {
            let mut builder = SortedBuilder::new();
            let keys: Vec<u32> =
                (0..140_000).map(|index: u32| if index < 40 { 0 } else { index / 7 * spread }).collect();
            for key in &keys {
                builder.push(*key);
            }
            let sorted = builder.build();
            for key in keys.iter().step_by(5).flat_map(|key| [*key, *key + 1]) {
                assert_eq!(sorted.count_to(key), keys.partition_point(|other| *other <= key), "{key}");
            }
        }
    }

    #[test]
    fn empty_and_tiny() {
        holds::<u32>(&[], [0, 1, u32::MAX]);
        holds(&[7_u32], [0, 7, 8, u32::MAX]);
        holds(&[0_u64, u64::MAX], [0, 1, u64::MAX - 1, u64::MAX]);
        holds(&[u128::MAX], [0, u128::MAX - 1, u128::MAX]);
    }

    #[test]
    fn far_above_a_narrow_set() {
        let first = 0x2001_0db8_u128 << 96;
        let keys: Vec<u128> = (0..64).map(|step| first + (step << 8)).collect();
        let far = (0..128).map(|bit| first.saturating_add(1 << bit));
        holds(&keys, far.flat_map(|far| [far, far.saturating_add(0xf20), far | 0x2_0000]));
        let upper: Vec<u64> = keys.iter().map(|key| *key as u64).collect();
        holds(&upper, (0..64).map(|bit| 1 << bit));
    }

    #[test]
    fn crowded_in_parts_of_a_cell() {
        // Everything in a few corners of the address space, so that no guess is right.
        for start in [0_u32, 0x7fff_0000, 0xffff_0000] {
            let dense = (0..50_000).map(|index| start + index % 65_536);
            let mut keys: Vec<u32> = dense.chain((0..100_000).map(|index| index * 42_000 + 1)).collect();
            keys.sort_unstable();
            keys.dedup();
            holds(&keys, keys.iter().step_by(13).flat_map(|key| [*key, key.wrapping_sub(1), key.wrapping_add(1)]));
            let few = &keys[..40_000];
            holds(few, few.iter().step_by(7).flat_map(|key| [*key, key.wrapping_sub(1), key.wrapping_add(1)]));
        }
    }

    #[test]
    fn neighbours_with_the_same_lower_halves() {
        // Two keys to each upper half, and in most the same ones: who looks at several together sees those of others.
        let low = |upper: u32| if upper % 7 == 3 { [9_000, 9_001] } else { [500, 40_000] };
        let keys: Vec<u32> = (0..65_536).flat_map(|upper| low(upper).map(|low| upper << 16 | low)).collect();
        let probes = (0..65_536)
            .flat_map(|upper: u32| [0, 499, 500, 501, 9_000, 9_001, 40_000, 65_535].map(|low| upper << 16 | low));
        holds(&keys, probes);
        // The same where keys are whole, and cells have as many as a window and one more.
        for each in [31, 32, 33] {
            let keys: Vec<u32> = (0..each * 256).map(|index| (index / each) << 24 | (index % each) << 4).collect();
            holds(&keys, keys.iter().flat_map(|key| [*key, key.wrapping_sub(1), key + 1]));
        }
    }

    #[test]
    fn whole_and_halves() {
        for count in [100_usize, 5_000, HALVES_FROM - 1, HALVES_FROM, 200_000, 1_100_000] {
            let step = u32::MAX / count as u32;
            let keys: Vec<u32> = (0..count as u32).map(|index| index * step + index % 7).collect();
            holds(&keys, keys.iter().step_by(97).flat_map(|key| [*key, key.wrapping_sub(1), key + 1]));
            let wide: Vec<u64> = keys.iter().map(|key| 0x2000 << 48 | u64::from(*key)).collect();
            holds(&wide, [0, 0x2000 << 48, u64::MAX]);
        }
        let dense: Vec<u32> =
            (0..u32::try_from(HALVES_FROM).expect("small")).map(|index| 0xffff_0000 - index).rev().collect();
        holds(&dense, [0, 0xffff_0000, 0xfffe_ffff, 0xfffd_0000, u32::MAX]);
    }
}
