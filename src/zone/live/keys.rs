//! The keys of a chunk, in order: numbers side by side, or names one after another in one run of octets.
//!
//! A lookup among a million keys costs what it waits for memory. So numbers are found in three reads: a cell of an [`Index`]
//! over all chunks tells which of them may have the key; what the map knows of that chunk has the first of every
//! [`PART`] keys; and of the part that these point to, all keys are compared at once.

use std::{convert::Infallible, ops::Range, sync::Arc};

use crate::zone::{bits::Address, halving::partition_point};

/// Most entries of a chunk. A change copies one chunk.
pub(super) const CHUNK_MAX: usize = 128;

/// So many keys are compared at once: of IPv4 addresses, one cache line.
const PART: usize = 16;
const PARTS: usize = CHUNK_MAX / PART;

/// Of fewer chunks, a binary search takes no longer than an index.
const INDEXED_MIN: usize = 8;

/// Keys in order. How many there are is known to the chunk that has them.
pub(super) trait ChunkKeys: Clone {
    /// A key as it is compared.
    type Key: ?Sized + Ord;
    /// What is known of the keys of a chunk without reading it: the first one, and more where that helps to find others.
    type Heads: Clone;
    /// Which chunks may have a key.
    type Index: Clone;
    /// No keys.
    fn empty() -> Self;
    /// The key at a place.
    fn key(&self, at: usize) -> &Self::Key;
    /// What is to be known of these keys; there is at least one.
    fn heads(&self) -> Self::Heads;
    /// The same after a change.
    fn update_heads(&self, heads: &mut Self::Heads) {
        *heads = self.heads();
    }
    /// The first key.
    fn first(heads: &Self::Heads) -> &Self::Key;
    /// An index over chunks in order.
    fn index<'a>(chunks: impl ExactSizeIterator<Item = &'a Self::Heads>) -> Option<Self::Index>
    where
        Self::Heads: 'a;
    /// Chunks before this range begin with a key that is not beyond `key`, and chunks behind it do not.
    fn candidates(index: &Self::Index, key: &Self::Key) -> Range<usize>;
    /// Bytes of an index.
    fn index_bytes(index: &Self::Index) -> usize;
    /// How many of the first `count` keys are less than `key`.
    fn rank(&self, heads: &Self::Heads, count: usize, key: &Self::Key) -> usize;
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

/// Numbers. Behind those that count, all are the greatest, so that no search needs to know how many there are.
#[derive(Clone)]
pub(super) struct Numbers<A>([A; CHUNK_MAX]);

/// Which chunks begin in which part of the range of all keys, the parts being equally wide. Where keys are spread evenly, that
/// leaves one or two chunks; where they are not, a search among those that are left.
#[derive(Clone)]
pub(super) struct Index<A> {
    base: A,
    shift: u32,
    /// Of each cell, how many chunks begin in those before it; one more at the end.
    starts: Box<[u32]>,
}

impl<A: Address> Index<A> {
    #[inline]
    fn cell(&self, key: A) -> usize {
        key.steps_above(self.base, self.shift).min(self.starts.len() - 2)
    }
}

impl<A: Address> ChunkKeys for Numbers<A> {
    type Key = A;
    type Heads = [A; PARTS];
    type Index = Index<A>;

    fn empty() -> Self {
        Self([A::MAX; CHUNK_MAX])
    }

    #[inline]
    fn key(&self, at: usize) -> &A {
        &self.0[at]
    }

    #[inline]
    fn heads(&self) -> Self::Heads {
        std::array::from_fn(|part| self.0[part * PART])
    }

    #[inline]
    fn first(heads: &Self::Heads) -> &A {
        &heads[0]
    }

    fn index<'a>(mut chunks: impl ExactSizeIterator<Item = &'a Self::Heads>) -> Option<Self::Index> {
        if chunks.len() < INDEXED_MIN {
            return None;
        }
        let firsts: Vec<A> = chunks.by_ref().map(|heads| heads[0]).collect();
        let (base, last) = (*firsts.first()?, *firsts.last()?);
        let cells = firsts.len().next_power_of_two();
        // The last key falls into the last cell or one before it.
        let shift = last.bits_above(base).saturating_sub(cells.trailing_zeros());
        let mut index = Index { base, shift, starts: vec![0; cells + 1].into() };
        for first in &firsts {
            let cell = index.cell(*first);
            index.starts[cell + 1] += 1;
        }
        let mut before = 0;
        for start in &mut index.starts {
            before += *start;
            *start = before;
        }
        Some(index)
    }

    #[inline]
    fn candidates(index: &Self::Index, key: &A) -> Range<usize> {
        let cell = index.cell(*key);
        index.starts[cell] as usize..index.starts[cell + 1] as usize
    }

    fn index_bytes(index: &Self::Index) -> usize {
        size_of_val(&*index.starts)
    }

    #[inline]
    fn rank(&self, heads: &Self::Heads, _count: usize, key: &A) -> usize {
        let part = heads.iter().map(|head| u32::from(head < key)).sum::<u32>().saturating_sub(1) as usize;
        let start = part.min(PARTS - 1) * PART;
        let keys = &self.0[start..start + PART];
        start + keys.iter().map(|other| u32::from(other < key)).sum::<u32>() as usize
    }

    fn insert(&mut self, count: usize, at: usize, key: &A) {
        self.0.copy_within(at..count, at + 1);
        self.0[at] = *key;
    }

    fn remove(&mut self, count: usize, at: usize) {
        self.0.copy_within(at + 1..count, at);
        self.0[count - 1] = A::MAX;
    }

    fn split_off(&mut self, count: usize, at: usize) -> Self {
        let mut rest = Self::empty();
        rest.0[..count - at].copy_from_slice(&self.0[at..count]);
        self.0[at..].fill(A::MAX);
        rest
    }

    fn append(&mut self, count: usize, other: &Self, other_count: usize) {
        self.0[count..count + other_count].copy_from_slice(&other.0[..other_count]);
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}

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

impl ChunkKeys for Texts {
    type Key = [u8];
    type Heads = Arc<[u8]>;
    type Index = Infallible;

    fn empty() -> Self {
        Self { ends: [0; CHUNK_MAX], octets: Vec::new() }
    }

    #[inline]
    fn key(&self, at: usize) -> &[u8] {
        &self.octets[self.start(at)..usize::from(self.ends[at])]
    }

    fn heads(&self) -> Arc<[u8]> {
        self.key(0).into()
    }

    fn update_heads(&self, heads: &mut Arc<[u8]>) {
        if **heads != *self.key(0) {
            *heads = self.heads();
        }
    }

    #[inline]
    fn first(heads: &Arc<[u8]>) -> &[u8] {
        heads
    }

    fn index<'a>(_chunks: impl ExactSizeIterator<Item = &'a Arc<[u8]>>) -> Option<Infallible> {
        None
    }

    fn candidates(index: &Infallible, _key: &[u8]) -> Range<usize> {
        match *index {}
    }

    fn index_bytes(index: &Infallible) -> usize {
        match *index {}
    }

    #[inline]
    fn rank(&self, _heads: &Arc<[u8]>, count: usize, key: &[u8]) -> usize {
        partition_point(0..count, |at| self.key(at) < key)
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
