//! Where the nodes are, by parent and label.
//!
//! Seven places stand together in a group, and eight bits of the hash of each in one word apart. A search begins at the group that
//! the hash leads to. What found that full is further on, and left a mark in its word; where there is no such mark, a search ends.
//! Most searches are for what is not there, and four in five of those see no more than one word: there are eleven bits of such
//! words for a name, so that they stay in a cache where the places would not.

use super::{
    arena::{Arena, Parent},
    label::Label,
};

/// Places in a group.
const GROUP: usize = 7;
/// So many of them are used on average: with five, nine in ten searches would end with the first word, for 1.2 octets more a name.
const USED: usize = 6;
/// Bits of the hash that are kept.
const TAG_BITS: usize = 8;
/// Bits of a word above the tags.
const MARKS: u64 = 8;
const MARKS_AT: u64 = (GROUP * TAG_BITS) as u64;
const LOWEST_BITS: u64 = u64::MAX / 0xff;
const HIGHEST_BITS: u64 = LOWEST_BITS << (TAG_BITS - 1);
/// The same of tags alone.
const TAGS: u64 = (1 << MARKS_AT) - 1;

/// Open addressing with linear probing, group by group.
#[derive(Debug)]
pub(super) struct Table {
    /// Of each group, the tags of its places in the order in which they came, the first one lowest, zero where one is free; and
    /// above them the marks of those for which there was no room.
    words: Box<[u64]>,
    places: Box<[[u32; GROUP]]>,
    hasher: foldhash::fast::RandomState,
}

impl Table {
    /// For so many nodes.
    pub(super) fn new(nodes: usize) -> Self {
        let groups = nodes / USED + 1;
        let (words, places) = (vec![0; groups].into(), vec![[0; GROUP]; groups].into());
        Self { words, places, hasher: foldhash::fast::RandomState::default() }
    }

    #[inline]
    pub(super) fn hash(&self, parent: u32, label: Label<'_>) -> u64 {
        label.hash(parent, &self.hasher)
    }

    /// The group at which a search begins: the hash scaled down to the number of groups.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.words.len() as u128) >> u64::BITS) as usize
    }

    #[inline]
    fn after(&self, group: usize) -> usize {
        if group + 1 < self.words.len() { group + 1 } else { 0 }
    }

    /// The child of a node with that label, the last of `depth` labels.
    #[inline(always)]
    pub(super) fn find(&self, arena: &Arena, parent: Parent, depth: u32, label: &[u8]) -> Option<u32> {
        let label = Label::new(label);
        let hash = self.hash(parent.at, label);
        let group = self.home(hash);
        let word = *self.words.get(group)?;
        let alike = alike(word, hash);
        if alike == 0 {
            let next = self.after(group);
            return if is_marked(word, hash) {
                self.search(hash, next, arena, parent, depth, label.octets())
            } else {
                None
            };
        }
        let place = self.places.get(group)?[first(alike)];
        if arena.is_child(place, parent, depth, label) {
            return Some(place);
        }
        self.search(hash, group, arena, parent, depth, label.octets())
    }

    /// The same from a group on, without the short cut.
    #[inline(never)]
    fn search(
        &self,
        hash: u64,
        mut group: usize,
        arena: &Arena,
        parent: Parent,
        depth: u32,
        label: &[u8],
    ) -> Option<u32> {
        loop {
            let word = self.words[group];
            let mut alike = alike(word, hash);
            while alike != 0 {
                let place = self.places[group][first(alike)];
                if is_child(arena, place, parent, depth, label) {
                    return Some(place);
                }
                alike &= alike - 1;
            }
            if !is_marked(word, hash) {
                return None;
            }
            group = self.after(group);
        }
    }

    pub(super) fn insert(&mut self, hash: u64, place: u32) {
        let mut group = self.home(hash);
        let mut used = used(self.words[group]);
        while used == GROUP {
            self.words[group] |= 1 << mark_at(hash);
            group = self.after(group);
            used = self::used(self.words[group]);
        }
        self.words[group] |= tag(hash) << (used * TAG_BITS);
        self.places[group][used] = place;
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.words) + size_of_val(&*self.places)
    }
}

#[inline(never)]
fn is_child(arena: &Arena, at: u32, parent: Parent, depth: u32, label: &[u8]) -> bool {
    arena.is_child(at, parent, depth, Label::new(label))
}

/// The bits of a hash that are kept: the lowest ones, since the highest ones tell the group. None is zero.
#[inline]
fn tag(hash: u64) -> u64 {
    (hash & 0xff).max(1)
}

/// The highest bit of each tag in a word that is that of a hash, and perhaps of some above such a one.
#[inline]
fn alike(word: u64, hash: u64) -> u64 {
    let other = word ^ (tag(hash) * LOWEST_BITS);
    other.wrapping_sub(LOWEST_BITS) & !other & HIGHEST_BITS & TAGS
}

/// The place of the first of these.
#[inline]
fn first(alike: u64) -> usize {
    alike.trailing_zeros() as usize / TAG_BITS
}

/// How many places of a group are used: they are from the lowest on.
#[inline]
fn used(word: u64) -> usize {
    (u64::BITS - (word & TAGS).leading_zeros()).div_ceil(TAG_BITS as u32) as usize
}

/// The bit of a word that is the mark of a hash.
#[inline]
fn mark_at(hash: u64) -> u64 {
    MARKS_AT + (hash >> TAG_BITS) % MARKS
}

/// Whether something may be further on that has this hash.
#[inline]
fn is_marked(word: u64, hash: u64) -> bool {
    word >> mark_at(hash) & 1 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_are_alike() {
        let word = u64::from_le_bytes([1, 2, 0x80, 0xff, 0x7f, 2, 0, 3]);
        for (hash, place) in [(1, 0), (0, 0), (0x702, 1), (0x80, 2), (0xff, 3), (0x7f, 4)] {
            assert_eq!(first(alike(word, hash)), place);
        }
        assert!(alike(word, 2) & 0x80 << 40 != 0);
        assert!([3, 0x81, 0xfe, 0x7e].iter().all(|hash| alike(word, *hash) == 0));
    }

    #[test]
    fn places_in_use_and_marks() {
        for count in 0..=GROUP {
            let tags = (0..count).fold(0, |tags, place| tags | tag(count as u64 & 1) << (place * TAG_BITS));
            for marks in [0, 1, 0xff] {
                assert_eq!(used(tags | marks << MARKS_AT), count);
            }
        }
        for mark in 0..MARKS {
            let word = 1 << (MARKS_AT + mark) | TAGS;
            assert!((0..1 << 12).all(|hash| is_marked(word, hash) == (hash >> TAG_BITS & 7 == mark)));
        }
    }
}
