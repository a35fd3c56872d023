//! The keys of a chunk, in order: numbers side by side, or names one after another in one run of octets.

use std::{borrow::Borrow, sync::Arc};

/// Most entries of a chunk. A change copies one chunk, a lookup searches one: of IPv4 keys that is eight cache lines.
pub(super) const CHUNK_MAX: usize = 128;

/// Keys in order. How many there are is known to the chunk that has them.
pub(super) trait Column: Clone {
    /// A key as it is compared.
    type Key: ?Sized + Ord;
    /// A key on its own, cheap to copy.
    type Owned: Clone + Borrow<Self::Key>;
    /// No keys.
    fn empty() -> Self;
    /// The key at a place.
    fn key(&self, at: usize) -> &Self::Key;
    /// A copy of a key.
    fn own(key: &Self::Key) -> Self::Owned;
    /// How many of the first keys of chunks are not beyond `key`.
    fn rank_first(firsts: &[Self::Owned], key: &Self::Key) -> usize {
        firsts.partition_point(|first| first.borrow() <= key)
    }
    /// How many of the first `count` keys are less than `key`.
    fn rank(&self, count: usize, key: &Self::Key) -> usize;
    /// Puts a key before place `at`.
    fn insert(&mut self, count: usize, at: usize, key: &Self::Key);
    /// Takes a key out.
    fn remove(&mut self, count: usize, at: usize);
    /// Parts with the keys from place `at` on.
    fn split_off(&mut self, count: usize, at: usize) -> Self;
    /// Appends the keys of another.
    fn append(&mut self, count: usize, other: &Self, other_count: usize);
    /// Bytes that are held elsewhere.
    fn heap_bytes(&self) -> usize;
}

/// Numbers.
#[derive(Clone)]
pub(super) struct Numbers<A>([A; CHUNK_MAX]);

/// IPv4 addresses: a binary search waits for memory at every step, while to compare all of a chunk's keys needs a few
/// instructions, and waits once for lines that are all asked for together. Of the first keys, that is done for a run of as many.
mod v4 {
    use super::CHUNK_MAX;

    #[inline]
    pub(super) fn rank(keys: &[u32], key: u32) -> usize {
        keys.iter().map(|other| u32::from(*other < key)).sum::<u32>() as usize
    }

    #[inline]
    pub(super) fn rank_first(firsts: &[u32], key: u32) -> usize {
        let (mut run, mut end) = (0, firsts.len().div_ceil(CHUNK_MAX));
        while end - run > 1 {
            let middle = usize::midpoint(run, end);
            if firsts[middle * CHUNK_MAX] <= key {
                run = middle;
            } else {
                end = middle;
            }
        }
        let start = run * CHUNK_MAX;
        let run = &firsts[start..firsts.len().min(start + CHUNK_MAX)];
        start + run.iter().map(|first| u32::from(*first <= key)).sum::<u32>() as usize
    }
}

/// IPv6 addresses.
mod v6 {
    #[inline]
    pub(super) fn rank(keys: &[u128], key: u128) -> usize {
        keys.partition_point(|other| *other < key)
    }

    #[inline]
    pub(super) fn rank_first(firsts: &[u128], key: u128) -> usize {
        firsts.partition_point(|first| *first <= key)
    }
}

macro_rules! numbers {
    ($($number:ty => $family:ident),*) => {$(
        impl Column for Numbers<$number> {
            type Key = $number;
            type Owned = $number;

            fn empty() -> Self {
                Self([0; CHUNK_MAX])
            }

            #[inline]
            fn key(&self, at: usize) -> &$number {
                &self.0[at]
            }

            fn own(key: &$number) -> $number {
                *key
            }

            #[inline]
            fn rank(&self, count: usize, key: &$number) -> usize {
                $family::rank(&self.0[..count], *key)
            }

            #[inline]
            fn rank_first(firsts: &[$number], key: &$number) -> usize {
                $family::rank_first(firsts, *key)
            }

            fn insert(&mut self, count: usize, at: usize, key: &$number) {
                self.0.copy_within(at..count, at + 1);
                self.0[at] = *key;
            }

            fn remove(&mut self, count: usize, at: usize) {
                self.0.copy_within(at + 1..count, at);
            }

            fn split_off(&mut self, count: usize, at: usize) -> Self {
                let mut rest = Self::empty();
                rest.0[..count - at].copy_from_slice(&self.0[at..count]);
                rest
            }

            fn append(&mut self, count: usize, other: &Self, other_count: usize) {
                self.0[count..count + other_count].copy_from_slice(&other.0[..other_count]);
            }

            fn heap_bytes(&self) -> usize {
                0
            }
        }
    )*};
}

numbers!(u32 => v4, u128 => v6);

/// Names, each as its labels from right to left with their length octets: all names below one follow it without gap.
#[derive(Clone)]
pub(super) struct Texts {
    /// Where each ends in the octets: 128 names of at most 255 octets.
    ends: [u16; CHUNK_MAX],
    octets: Vec<u8>,
}

impl Texts {
    #[inline]
    fn start(&self, at: usize) -> usize {
        if at == 0 { 0 } else { usize::from(self.ends[at - 1]) }
    }
}

impl Column for Texts {
    type Key = [u8];
    type Owned = Arc<[u8]>;

    fn empty() -> Self {
        Self { ends: [0; CHUNK_MAX], octets: Vec::new() }
    }

    #[inline]
    fn key(&self, at: usize) -> &[u8] {
        &self.octets[self.start(at)..usize::from(self.ends[at])]
    }

    fn own(key: &[u8]) -> Arc<[u8]> {
        key.into()
    }

    #[inline]
    fn rank(&self, count: usize, key: &[u8]) -> usize {
        let (mut first, mut end) = (0, count);
        while first < end {
            let middle = usize::midpoint(first, end);
            if self.key(middle) < key {
                first = middle + 1;
            } else {
                end = middle;
            }
        }
        first
    }

    fn insert(&mut self, count: usize, at: usize, key: &[u8]) {
        let start = self.start(at);
        self.octets.reserve_exact(key.len()); // a chunk is copied by each change, so what it has to spare is wasted
        self.octets.splice(start..start, key.iter().copied());
        self.ends.copy_within(at..count, at + 1);
        self.ends[at] = start as u16;
        for end in &mut self.ends[at..=count] {
            *end += key.len() as u16;
        }
    }

    fn remove(&mut self, count: usize, at: usize) {
        let (start, end) = (self.start(at), usize::from(self.ends[at]));
        self.octets.drain(start..end);
        self.octets.shrink_to_fit();
        self.ends.copy_within(at + 1..count, at);
        for later in &mut self.ends[at..count - 1] {
            *later -= (end - start) as u16;
        }
    }

    fn split_off(&mut self, count: usize, at: usize) -> Self {
        let start = self.start(at);
        let mut rest = Self { ends: [0; CHUNK_MAX], octets: self.octets.split_off(start) };
        self.octets.shrink_to_fit();
        for (end, old) in rest.ends.iter_mut().zip(&self.ends[at..count]) {
            *end = old - start as u16;
        }
        rest
    }

    fn append(&mut self, count: usize, other: &Self, other_count: usize) {
        let start = self.octets.len() as u16;
        self.octets.extend_from_slice(&other.octets);
        for (end, old) in self.ends[count..].iter_mut().zip(&other.ends[..other_count]) {
            *end = old + start;
        }
    }

    fn heap_bytes(&self) -> usize {
        self.octets.capacity()
    }
}
