//! An ordered map that is copied in pieces: what is published is never changed, and a change copies little.
//!
//! Up to a million listings change a few at a time, some hundred times a second, while workers read them without locks. So
//! the entries stand in chunks of at most [`CHUNK_MAX`], shared between one version and the next, under a directory. A change
//! copies the directory (64 octets for each chunk of IPv4 addresses, once a batch) and the chunks that it touches. For each
//! chunk the directory also knows until when anything in it is listed, or excluded: a scan over a run of keys reads only
//! chunks that have something to say.

use std::sync::Arc;

use super::keys::{CHUNK_MAX, ChunkKeys};
use crate::zone::ruling::is_over;

/// The value of an exclusion.
pub(super) const EXCLUDED: u32 = u32::MAX;

/// A chunk that falls below this is joined with the next one, if both fit.
const SPARSE: usize = CHUNK_MAX / 4;
/// How full chunks are when a whole map is built, so that the first changes do not split them all.
const BUILT: usize = CHUNK_MAX * 3 / 4;

/// What is said of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// In force before this second; [`FOREVER_S`](crate::zone::ruling::FOREVER_S) has no end.
    pub until_s: u32,
    pub(super) value: u32,
}

impl Entry {
    /// Listed with a value of the zone's live listings, or excluded.
    pub fn new(value: Option<super::LiveValueId>, until_s: u32) -> Self {
        Self { until_s, value: value.map_or(EXCLUDED, |id| id.0) }
    }

    /// The value that it is listed with; `None` is an exclusion.
    #[inline]
    pub fn value(self) -> Option<super::LiveValueId> {
        (self.value != EXCLUDED).then_some(super::LiveValueId(self.value))
    }

    /// Whether it counts at this second.
    #[inline]
    pub fn in_force(self, now_s: u64) -> bool {
        !is_over(self.until_s, now_s)
    }
}

/// What a scan looks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Listed,
    Excluded,
}

/// Until when anything in a chunk is listed, or excluded; 0 if nothing is.
#[derive(Clone, Copy, Default)]
struct ChunkEnds {
    listed_s: u32,
    excluded_s: u32,
}

impl ChunkEnds {
    fn extend(&mut self, entry: Entry) {
        let end = if entry.value == EXCLUDED { &mut self.excluded_s } else { &mut self.listed_s };
        *end = entry.until_s.max(*end);
    }

    fn of(self, want: Want) -> u32 {
        match want {
            Want::Listed => self.listed_s,
            Want::Excluded => self.excluded_s,
        }
    }
}

#[derive(Clone)]
struct Chunk<K> {
    keys: K,
    entries: [Entry; CHUNK_MAX],
    count: usize,
}

impl<K: ChunkKeys> Chunk<K> {
    const NO_ENTRY: Entry = Entry { until_s: 0, value: 0 };

    fn empty() -> Self {
        Self { keys: K::empty(), entries: [Self::NO_ENTRY; CHUNK_MAX], count: 0 }
    }

    #[inline]
    fn find(&self, heads: &K::Heads, key: &K::Key) -> Result<usize, usize> {
        let at = self.keys.rank(heads, self.count, key);
        if at < CHUNK_MAX && at < self.count && self.keys.key(at) == key { Ok(at) } else { Err(at) }
    }

    fn insert(&mut self, at: usize, key: &K::Key, entry: Entry) {
        self.keys.insert(self.count, at, key);
        self.entries.copy_within(at..self.count, at + 1);
        self.count += 1;
        self.entries[at] = entry;
    }

    fn remove(&mut self, at: usize) {
        self.keys.remove(self.count, at);
        self.entries.copy_within(at + 1..self.count, at);
        self.count -= 1;
    }

    fn split_off(&mut self, at: usize) -> Self {
        let mut rest = Self { keys: self.keys.split_off(self.count, at), ..Self::empty() };
        rest.count = self.count - at;
        rest.entries[..rest.count].copy_from_slice(&self.entries[at..self.count]);
        self.count = at;
        rest
    }

    fn append(&mut self, other: &Self) {
        self.keys.append(self.count, &other.keys, other.count);
        let end = self.count + other.count;
        self.entries[self.count..end].copy_from_slice(&other.entries[..other.count]);
        self.count = end;
    }

    fn ends(&self) -> ChunkEnds {
        let mut ends = ChunkEnds::default();
        self.entries[..self.count].iter().for_each(|entry| ends.extend(*entry));
        ends
    }
}

/// A chunk and what is known of it without reading it: all in one cache line for IPv4 addresses.
#[derive(Clone)]
#[repr(align(64))]
struct Shelf<K: ChunkKeys> {
    heads: K::Heads,
    chunk: Arc<Chunk<K>>,
    ends: ChunkEnds,
}

impl<K: ChunkKeys> Shelf<K> {
    /// For a chunk that is not empty.
    fn new(chunk: Chunk<K>) -> Self {
        Self { heads: chunk.keys.heads(), ends: chunk.ends(), chunk: Arc::new(chunk) }
    }

    #[inline]
    fn first(&self) -> &K::Key {
        K::first(&self.heads)
    }

    #[inline]
    fn find(&self, key: &K::Key) -> Result<usize, usize> {
        self.chunk.find(&self.heads, key)
    }

    /// Changes the chunk, of which something is left, and brings what is known of it up to date.
    fn change<T>(&mut self, change: impl FnOnce(&mut Chunk<K>) -> T) -> T {
        let chunk = Arc::make_mut(&mut self.chunk);
        let changed = change(chunk);
        chunk.keys.update_heads(&mut self.heads);
        self.ends = chunk.ends();
        changed
    }
}

/// Keys in order, each with what is said of it.
#[derive(Clone)]
pub(super) struct Ordered<K: ChunkKeys> {
    shelves: Vec<Shelf<K>>,
    /// Leads to the shelf of a key. None while shelves come and go; see [`Ordered::settle`].
    index: Option<K::Index>,
    is_settled: bool,
    entries: usize,
    exclusions: usize,
}

impl<K: ChunkKeys> Default for Ordered<K> {
    fn default() -> Self {
        Self { shelves: Vec::new(), index: None, is_settled: true, entries: 0, exclusions: 0 }
    }
}

impl<K: ChunkKeys> Ordered<K> {
    /// The place of the shelf on which a key is, or would be.
    #[inline]
    fn place(&self, key: &K::Key) -> usize {
        let among = self.index.as_ref().map_or(0..self.shelves.len(), |index| K::candidates(index, key));
        let start = among.start;
        (start + self.shelves[among].partition_point(|shelf| shelf.first() <= key)).saturating_sub(1)
    }

    /// What is said of a key, in force or not.
    #[inline]
    pub(super) fn find(&self, key: &K::Key) -> Option<Entry> {
        let shelf = self.shelves.get(self.place(key))?;
        shelf.find(key).ok().map(|at| shelf.chunk.entries[at])
    }

    /// Makes lookups quick again after changes.
    pub(super) fn settle(&mut self) {
        if !self.is_settled {
            self.index = K::index(self.shelves.iter().map(|shelf| &shelf.heads));
            self.is_settled = true;
        }
    }

    /// Whether lookups are as quick as they can be.
    pub(super) fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// Shelves are not where they were, or do not begin as they did.
    fn unsettle(&mut self) {
        (self.index, self.is_settled) = (None, false);
    }

    /// Says something of a key, and returns what was said before.
    pub(super) fn put(&mut self, key: &K::Key, entry: Entry) -> Option<Entry> {
        if self.shelves.is_empty() {
            self.push(key, entry);
            return None;
        }
        let mut place = self.place(key);
        let mut found = self.shelves[place].find(key);
        if found.is_err() && self.shelves[place].chunk.count == CHUNK_MAX {
            self.split(place);
            place = self.place(key);
            found = self.shelves[place].find(key);
        }
        if found == Err(0) {
            self.unsettle();
        }
        let before = self.shelves[place].change(|chunk| match found {
            Ok(at) => Some(std::mem::replace(&mut chunk.entries[at], entry)),
            Err(at) => {
                chunk.insert(at, key, entry);
                None
            }
        });
        self.count(before, Some(entry));
        before
    }

    /// Says nothing of a key any more, and returns what was said.
    pub(super) fn remove(&mut self, key: &K::Key) -> Option<Entry> {
        let place = self.place(key);
        let shelf = self.shelves.get_mut(place)?;
        let at = shelf.find(key).ok()?;
        let before = shelf.chunk.entries[at];
        if shelf.chunk.count == 1 {
            self.drop_shelf(place);
        } else {
            shelf.change(|chunk| chunk.remove(at));
            if at == 0 {
                self.unsettle();
            }
            self.join(place);
        }
        self.count(Some(before), None);
        Some(before)
    }

    fn count(&mut self, before: Option<Entry>, after: Option<Entry>) {
        let exclusions = |entry: Option<Entry>| usize::from(entry.is_some_and(|entry| entry.value == EXCLUDED));
        self.entries = self.entries + usize::from(after.is_some()) - usize::from(before.is_some());
        self.exclusions = self.exclusions + exclusions(after) - exclusions(before);
    }

    fn split(&mut self, place: usize) {
        let rest = self.shelves[place].change(|chunk| chunk.split_off(CHUNK_MAX / 2));
        self.shelves.insert(place + 1, Shelf::new(rest));
        self.unsettle();
    }

    /// Joins a sparse chunk with the next one, if both together leave room for more.
    fn join(&mut self, place: usize) {
        let Some(next) = self.shelves.get(place + 1).map(|shelf| Arc::clone(&shelf.chunk)) else { return };
        let count = self.shelves[place].chunk.count;
        if count > SPARSE || count + next.count > BUILT {
            return;
        }
        self.shelves[place].change(|chunk| chunk.append(&next));
        self.drop_shelf(place + 1);
    }

    fn drop_shelf(&mut self, place: usize) {
        self.shelves.remove(place);
        self.unsettle();
    }

    /// Appends to a map that is built in the order of its keys.
    pub(super) fn push(&mut self, key: &K::Key, entry: Entry) {
        match self.shelves.last_mut() {
            Some(shelf) if shelf.chunk.count < BUILT => {
                let chunk = Arc::make_mut(&mut shelf.chunk);
                debug_assert!(chunk.keys.key(chunk.count - 1) < key);
                chunk.insert(chunk.count, key, entry);
                chunk.keys.update_heads(&mut shelf.heads);
                shelf.ends.extend(entry);
            }
            _ => {
                let mut chunk = Chunk::empty();
                chunk.insert(0, key, entry);
                self.shelves.push(Shelf::new(chunk));
                self.unsettle();
            }
        }
        self.count(None, Some(entry));
    }

    /// Whether anything of that sort is in force from `first` on, as far as `is_within` holds, which must do so for a run.
    pub(super) fn any_in_force(
        &self,
        want: Want,
        first: &K::Key,
        is_within: impl Fn(&K::Key) -> bool,
        now_s: u64,
    ) -> bool {
        self.count_in_force(want, first, is_within, now_s, 1) > 0
    }

    /// How much of that is in force, counted up to `most`.
    pub(super) fn count_in_force(
        &self,
        want: Want,
        first: &K::Key,
        is_within: impl Fn(&K::Key) -> bool,
        now_s: u64,
        most: usize,
    ) -> usize {
        let mut count = 0;
        let wanted = if want == Want::Excluded { self.exclusions } else { self.entries - self.exclusions };
        if wanted == 0 || most == 0 {
            return count;
        }
        let start = self.place(first);
        for (place, shelf) in self.shelves.iter().enumerate().skip(start) {
            if place > start && !is_within(shelf.first()) {
                return count;
            }
            if is_over(shelf.ends.of(want), now_s) {
                continue;
            }
            let chunk = &shelf.chunk;
            let from = if place == start { chunk.keys.rank(&shelf.heads, chunk.count, first) } else { 0 };
            for at in from..chunk.count {
                if !is_within(chunk.keys.key(at)) {
                    return count;
                }
                let entry = chunk.entries[at];
                if (entry.value == EXCLUDED) == (want == Want::Excluded) && entry.in_force(now_s) {
                    count += 1;
                    if count == most {
                        return count;
                    }
                }
            }
        }
        count
    }

    fn chunks(&self) -> impl Iterator<Item = &Chunk<K>> {
        self.shelves.iter().map(|shelf| &*shelf.chunk)
    }

    /// Calls `visit` with all of it in order.
    pub(super) fn for_each(&self, mut visit: impl FnMut(&K::Key, Entry)) {
        for chunk in self.chunks() {
            for at in 0..chunk.count {
                visit(chunk.keys.key(at), chunk.entries[at]);
            }
        }
    }

    /// The keys whose entries are over.
    pub(super) fn over(&self, now_s: u64) -> impl Iterator<Item = &K::Key> {
        self.chunks().flat_map(move |chunk| {
            let is_over = move |at: &usize| !chunk.entries[*at].in_force(now_s);
            (0..chunk.count).filter(is_over).map(|at| chunk.keys.key(at))
        })
    }

    pub(super) fn len(&self) -> usize {
        self.entries
    }

    pub(super) fn exclusion_count(&self) -> usize {
        self.exclusions
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.shelves.capacity() * size_of::<Shelf<K>>()
            + self.index.as_ref().map_or(0, K::index_bytes)
            + self.chunks().map(|chunk| size_of::<Chunk<K>>() + 16 + chunk.keys.heap_bytes()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use std::{borrow::Borrow, collections::BTreeMap};

    use proptest::{collection::vec, prelude::*};

    use super::{
        super::keys::{Numbers, Texts},
        *,
    };

    /// Any changes, held against a map of the standard library; every published version stays as it was.
    fn as_a_map<K: ChunkKeys>(keys: &[impl Borrow<K::Key>], changes: &[(usize, Option<(u32, bool)>)]) {
        let mut ordered = Ordered::<K>::default();
        let mut model: BTreeMap<usize, Entry> = BTreeMap::new();
        let mut published: Vec<(Ordered<K>, BTreeMap<usize, Entry>)> = Vec::new();
        for (step, (key, change)) in changes.iter().enumerate() {
            let key = key % keys.len();
            match change {
                Some((until_s, is_excluded)) => {
                    let entry = Entry { until_s: *until_s, value: if *is_excluded { EXCLUDED } else { 7 } };
                    assert_eq!(ordered.put(keys[key].borrow(), entry), model.insert(key, entry));
                }
                None => assert_eq!(ordered.remove(keys[key].borrow()), model.remove(&key)),
            }
            if step % 64 == 0 {
                ordered.settle();
                published.push((ordered.clone(), model.clone()));
            }
        }
        published.push((ordered, model));
        for (ordered, model) in &published {
            assert_eq!(ordered.len(), model.len());
            assert_eq!(ordered.exclusion_count(), model.values().filter(|entry| entry.value().is_none()).count());
            for (place, key) in keys.iter().enumerate() {
                assert_eq!(ordered.find(key.borrow()), model.get(&place).copied());
            }
            let mut all = Vec::new();
            ordered.for_each(|_, entry| all.push(entry));
            assert_eq!(all, model.values().copied().collect::<Vec<_>>(), "in the order of the keys");
            for (first, last) in [(0, keys.len() - 1), (3, 5), (keys.len() / 2, keys.len() - 2)] {
                for (now_s, want) in [(0, Want::Listed), (40, Want::Listed), (40, Want::Excluded), (99, Want::Excluded)]
                {
                    let in_force = model.range(first..=last).filter(|(_, entry)| entry.in_force(now_s));
                    let is_wanted = |entry: &Entry| entry.value().is_none() == (want == Want::Excluded);
                    let expected = in_force.filter(|(_, entry)| is_wanted(entry)).count();
                    let is_within = |key: &K::Key| key <= keys[last].borrow();
                    let key = keys[first].borrow();
                    assert_eq!(ordered.any_in_force(want, key, is_within, now_s), expected > 0);
                    for most in [0, 3, 1_000] {
                        let counted = ordered.count_in_force(want, key, is_within, now_s, most);
                        assert_eq!(counted, expected.min(most));
                    }
                }
            }
            let mut rebuilt = Ordered::<K>::default();
            for (place, entry) in model {
                rebuilt.push(keys[*place].borrow(), *entry);
            }
            for (place, key) in keys.iter().enumerate() {
                assert_eq!(rebuilt.find(key.borrow()), model.get(&place).copied());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn numbers_and_names_are_as_a_map(
            changes in vec((any::<usize>(), proptest::option::weighted(0.7, (0..100u32, any::<bool>()))), 0..1500),
        ) {
            let numbers: Vec<u32> = (0..600).map(|number| number * 7).collect();
            as_a_map::<Numbers<u32>>(&numbers, &changes);
            let wide: Vec<u128> = numbers.iter().map(|&number| u128::from(number) << 90).collect();
            as_a_map::<Numbers<u128>>(&wide, &changes);
            let names: Vec<Arc<[u8]>> = (0..600).map(|number| Arc::from(format!("{number:04}{}", "x".repeat(number % 40)).as_bytes())).collect();
            as_a_map::<Texts>(&names, &changes);
        }
    }

    #[test]
    fn every_key_of_many_chunks_is_found() {
        let mut ordered = Ordered::<Numbers<u32>>::default();
        for key in 0..100_000 {
            ordered.push(&(key * 2), Entry { until_s: key, value: 0 });
        }
        assert!(ordered.shelves.len() > 2 * CHUNK_MAX);
        for is_settled in [false, true] {
            for key in 0..200_001 {
                let expected = (key % 2 == 0 && key < 200_000).then_some(key / 2);
                assert_eq!(ordered.find(&key).map(|entry| entry.until_s), expected, "{key}");
            }
            assert_eq!(ordered.is_settled(), is_settled);
            ordered.settle();
        }
    }

    #[test]
    fn what_is_removed_gives_its_memory_back() {
        let mut ordered = Ordered::<Numbers<u32>>::default();
        for key in 0..10_000 {
            ordered.put(&key, Entry { until_s: 1, value: 0 });
        }
        let full = ordered.memory_bytes();
        for key in (0..10_000).filter(|key| key % 50 != 0) {
            ordered.remove(&key);
        }
        assert!(ordered.shelves.len() < 20 && ordered.len() == 200, "{}", ordered.shelves.len());
        assert!(ordered.memory_bytes() < full / 2);
    }
}
