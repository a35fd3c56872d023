//! Where the nodes are, by parent and label.
//!
//! A search begins at the slot that a hash leads to and ends at the first free one. Most searches are for what is not there, so they
//! are told apart sixteen slots at a time: if none of them has the bits of the hash that are kept, and one is free, that is all.

use std::hash::{BuildHasher, Hasher};

use super::arena::Arena;

/// So many slots are looked at together.
const AT_ONCE: usize = 16;

/// Open addressing with linear probing.
#[derive(Debug)]
pub(super) struct Table {
    /// Zero is free: the apex is in no slot. Else the place of a node, and above it bits of its hash.
    slots: Box<[u32]>,
    /// Bits of a slot that tell the place.
    place_mask: u32,
    hasher: foldhash::fast::RandomState,
}

impl Table {
    /// For so many nodes in an arena of so many octets.
    pub(super) fn new(nodes: usize, arena_len: usize) -> Self {
        // One in five stays free, so that a search for what is not there sees some dozen slots, a cache line.
        let slots = vec![0; nodes + nodes / 4 + 1].into();
        let place_mask = u32::MAX.checked_shr((arena_len as u32).leading_zeros()).unwrap_or(0);
        Self { slots, place_mask, hasher: foldhash::fast::RandomState::default() }
    }

    #[inline]
    pub(super) fn hash(&self, parent: u32, label: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u32(parent);
        hasher.write(label);
        hasher.finish()
    }

    /// The slot at which a search begins: the hash scaled down to the number of slots.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.slots.len() as u128) >> 64) as usize
    }

    /// The child of the node at `parent` with that label, the last of `depth` labels.
    #[inline]
    pub(super) fn find(&self, arena: &Arena, parent: u32, depth: usize, label: &[u8]) -> Option<u32> {
        let hash = self.hash(parent, label);
        let tag = hash as u32 & !self.place_mask;
        let is_alike = |slot: u32| slot & !self.place_mask == tag;
        let mut start = self.home(hash);
        // Most searches are for what is not there, and most of those end with a few vector instructions.
        while let Some(slots) = self.slots.get(start..).and_then(|slots| slots.first_chunk::<AT_ONCE>()) {
            if any(slots, is_alike) {
                break;
            }
            if any(slots, |slot| slot == 0) {
                return None;
            }
            start += AT_ONCE;
        }
        let (before, from_start) = self.slots.split_at_checked(start)?;
        for slots in [from_start, before] {
            for &slot in slots {
                if slot == 0 {
                    return None;
                }
                if is_alike(slot) {
                    let place = slot & self.place_mask;
                    if arena.is_child(place, parent, depth, label) {
                        return Some(place);
                    }
                }
            }
        }
        None // never: some slots are free
    }

    pub(super) fn insert(&mut self, hash: u64, place: u32) {
        let mut index = self.home(hash);
        while self.slots[index] != 0 {
            index = (index + 1) % self.slots.len();
        }
        self.slots[index] = place | hash as u32 & !self.place_mask;
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }
}

/// Whether `test` holds for any of these slots; all are looked at.
#[inline]
fn any(slots: &[u32; AT_ONCE], test: impl Fn(u32) -> bool) -> bool {
    slots.iter().fold(0, |found, slot| found | u32::from(test(*slot))) != 0
}
