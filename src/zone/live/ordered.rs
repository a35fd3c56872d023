//! An ordered map that is copied in pieces: what is published is never changed, and a change copies little.
//!
//! Up to a million listings change a few at a time, some hundred times a second, while workers read them without locks. So
//! the entries stand in chunks of at most [`CHUNK_MAX`], shared between one version and the next, under an array with the
//! first key of each. A change copies the array (eight octets and a key for each chunk, once a batch) and the chunks that it
//! touches. For each chunk the array also knows until when anything in it is listed, or excluded: a scan over a run of keys
//! reads only chunks that have something to say.

use std::{borrow::Borrow as _, sync::Arc};

use super::column::{CHUNK_MAX, Column};
use crate::zone::ruling::FOREVER_S;

/// The value of an exclusion.
pub(super) const EXCLUDED: u32 = u32::MAX;

/// A chunk that falls below this is joined with the next one, if both fit.
const SPARSE: usize = CHUNK_MAX / 4;
/// How full chunks are when a whole map is built, so that the first changes do not split them all.
const BUILT: usize = CHUNK_MAX * 3 / 4;

/// What is said of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// In force before this second; [`FOREVER_S`] has no end.
    pub until_s: u32,
    pub(super) value: u32,
}

impl Entry {
    /// Listed with a value of the zone's live listings.
    pub fn listed(value: super::LiveValueId, until_s: u32) -> Self {
        Self { until_s, value: value.0 }
    }

    /// Excluded.
    pub fn excluded(until_s: u32) -> Self {
        Self { until_s, value: EXCLUDED }
    }

    /// The value that it is listed with; `None` is an exclusion.
    #[inline]
    pub fn value(self) -> Option<super::LiveValueId> {
        (self.value != EXCLUDED).then_some(super::LiveValueId(self.value))
    }

    /// Whether it counts at this second.
    #[inline]
    pub fn in_force(self, now_s: u64) -> bool {
        is_before(now_s, self.until_s)
    }
}

#[inline]
fn is_before(now_s: u64, until_s: u32) -> bool {
    now_s < u64::from(until_s) || until_s == FOREVER_S
}

/// What a scan looks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Listed,
    Excluded,
}

/// Until when anything in a chunk is listed, or excluded; 0 if nothing is.
#[derive(Clone, Copy, Default)]
struct Ends {
    listed_s: u32,
    excluded_s: u32,
}

impl Ends {
    fn of(self, want: Want) -> u32 {
        match want {
            Want::Listed => self.listed_s,
            Want::Excluded => self.excluded_s,
        }
    }
}

#[derive(Clone)]
struct Chunk<C> {
    keys: C,
    until_s: [u32; CHUNK_MAX],
    values: [u32; CHUNK_MAX],
    count: usize,
}

impl<C: Column> Chunk<C> {
    fn empty() -> Self {
        Self { keys: C::empty(), until_s: [0; CHUNK_MAX], values: [0; CHUNK_MAX], count: 0 }
    }

    fn entry(&self, at: usize) -> Entry {
        Entry { until_s: self.until_s[at], value: self.values[at] }
    }

    #[inline]
    fn find(&self, key: &C::Key) -> Result<usize, usize> {
        let at = self.keys.rank(self.count, key);
        if at < self.count && self.keys.key(at) == key { Ok(at) } else { Err(at) }
    }

    fn set(&mut self, at: usize, entry: Entry) {
        (self.until_s[at], self.values[at]) = (entry.until_s, entry.value);
    }

    fn insert(&mut self, at: usize, key: &C::Key, entry: Entry) {
        self.keys.insert(self.count, at, key);
        self.until_s.copy_within(at..self.count, at + 1);
        self.values.copy_within(at..self.count, at + 1);
        self.count += 1;
        self.set(at, entry);
    }

    fn remove(&mut self, at: usize) {
        self.keys.remove(self.count, at);
        self.until_s.copy_within(at + 1..self.count, at);
        self.values.copy_within(at + 1..self.count, at);
        self.count -= 1;
    }

    fn split_off(&mut self, at: usize) -> Self {
        let mut rest = Self { keys: self.keys.split_off(self.count, at), ..Self::empty() };
        rest.count = self.count - at;
        rest.until_s[..rest.count].copy_from_slice(&self.until_s[at..self.count]);
        rest.values[..rest.count].copy_from_slice(&self.values[at..self.count]);
        self.count = at;
        rest
    }

    fn append(&mut self, other: &Self) {
        self.keys.append(self.count, &other.keys, other.count);
        let end = self.count + other.count;
        self.until_s[self.count..end].copy_from_slice(&other.until_s[..other.count]);
        self.values[self.count..end].copy_from_slice(&other.values[..other.count]);
        self.count = end;
    }

    fn ends(&self) -> Ends {
        let mut ends = Ends::default();
        for (&until_s, &value) in self.until_s.iter().zip(&self.values).take(self.count) {
            let end = if value == EXCLUDED { &mut ends.excluded_s } else { &mut ends.listed_s };
            *end = until_s.max(*end);
        }
        ends
    }
}

/// Keys in order, each with what is said of it.
#[derive(Clone)]
pub(super) struct Ordered<C: Column> {
    firsts: Vec<C::Owned>,
    chunks: Vec<Arc<Chunk<C>>>,
    ends: Vec<Ends>,
    entries: usize,
    exclusions: usize,
}

impl<C: Column> Default for Ordered<C> {
    fn default() -> Self {
        Self { firsts: Vec::new(), chunks: Vec::new(), ends: Vec::new(), entries: 0, exclusions: 0 }
    }
}

impl<C: Column> Ordered<C> {
    /// The chunk in which a key is, or would be.
    #[inline]
    fn place(&self, key: &C::Key) -> usize {
        C::rank_first(&self.firsts, key).saturating_sub(1)
    }

    /// What is said of a key, in force or not.
    #[inline]
    pub(super) fn find(&self, key: &C::Key) -> Option<Entry> {
        let chunk = self.chunks.get(self.place(key))?;
        chunk.find(key).ok().map(|at| chunk.entry(at))
    }

    /// Says something of a key, and returns what was said before.
    pub(super) fn put(&mut self, key: &C::Key, entry: Entry) -> Option<Entry> {
        if self.chunks.is_empty() {
            self.firsts.push(C::own(key));
            self.chunks.push(Arc::new(Chunk::empty()));
            self.ends.push(Ends::default());
        }
        let mut place = self.place(key);
        let mut found = self.chunks[place].find(key);
        if found.is_err() && self.chunks[place].count == CHUNK_MAX {
            self.split(place);
            place = self.place(key);
            found = self.chunks[place].find(key);
        }
        let chunk = Arc::make_mut(&mut self.chunks[place]);
        let before = match found {
            Ok(at) => {
                let before = chunk.entry(at);
                chunk.set(at, entry);
                Some(before)
            }
            Err(at) => {
                chunk.insert(at, key, entry);
                if at == 0 {
                    self.firsts[place] = C::own(key);
                }
                None
            }
        };
        self.ends[place] = chunk.ends();
        self.count(before, Some(entry));
        before
    }

    /// Says nothing of a key any more, and returns what was said.
    pub(super) fn remove(&mut self, key: &C::Key) -> Option<Entry> {
        let place = self.place(key);
        let at = self.chunks.get(place)?.find(key).ok()?;
        let chunk = Arc::make_mut(&mut self.chunks[place]);
        let before = chunk.entry(at);
        chunk.remove(at);
        if chunk.count > 0 {
            self.firsts[place] = C::own(chunk.keys.key(0));
            self.ends[place] = chunk.ends();
            self.join(place);
        } else {
            self.drop_chunk(place);
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
        let chunk = Arc::make_mut(&mut self.chunks[place]);
        let rest = chunk.split_off(CHUNK_MAX / 2);
        self.ends[place] = chunk.ends();
        self.firsts.insert(place + 1, C::own(rest.keys.key(0)));
        self.ends.insert(place + 1, rest.ends());
        self.chunks.insert(place + 1, Arc::new(rest));
    }

    /// Joins a sparse chunk with the next one, if both together leave room for more.
    fn join(&mut self, place: usize) {
        let Some(next) = self.chunks.get(place + 1).map(Arc::clone) else { return };
        if self.chunks[place].count > SPARSE || self.chunks[place].count + next.count > BUILT {
            return;
        }
        let chunk = Arc::make_mut(&mut self.chunks[place]);
        chunk.append(&next);
        self.ends[place] = chunk.ends();
        self.drop_chunk(place + 1);
    }

    fn drop_chunk(&mut self, place: usize) {
        self.firsts.remove(place);
        self.chunks.remove(place);
        self.ends.remove(place);
    }

    /// Appends to a map that is built in the order of its keys.
    pub(super) fn push(&mut self, key: &C::Key, entry: Entry) {
        if self.chunks.last().is_none_or(|chunk| chunk.count >= BUILT) {
            self.firsts.push(C::own(key));
            self.chunks.push(Arc::new(Chunk::empty()));
            self.ends.push(Ends::default());
        }
        let (Some(chunk), Some(ends)) = (self.chunks.last_mut(), self.ends.last_mut()) else { return };
        let chunk = Arc::make_mut(chunk);
        debug_assert!(chunk.count == 0 || chunk.keys.key(chunk.count - 1) < key);
        chunk.insert(chunk.count, key, entry);
        let end = if entry.value == EXCLUDED { &mut ends.excluded_s } else { &mut ends.listed_s };
        *end = entry.until_s.max(*end);
        self.count(None, Some(entry));
    }

    /// Whether anything of that sort is in force from `first` on, as far as `is_within` holds, which must do so for a run.
    pub(super) fn any_in_force(
        &self,
        want: Want,
        first: &C::Key,
        is_within: impl Fn(&C::Key) -> bool,
        now_s: u64,
    ) -> bool {
        let wanted = if want == Want::Excluded { self.exclusions } else { self.entries - self.exclusions };
        if wanted == 0 {
            return false;
        }
        let start = self.place(first);
        for place in start..self.chunks.len() {
            if place > start && !is_within(self.firsts[place].borrow()) {
                return false;
            }
            if !is_before(now_s, self.ends[place].of(want)) {
                continue;
            }
            let chunk = &self.chunks[place];
            let from = if place == start { chunk.keys.rank(chunk.count, first) } else { 0 };
            for at in from..chunk.count {
                if !is_within(chunk.keys.key(at)) {
                    return false;
                }
                let entry = chunk.entry(at);
                if (entry.value == EXCLUDED) == (want == Want::Excluded) && entry.in_force(now_s) {
                    return true;
                }
            }
        }
        false
    }

    /// Calls `visit` with all of it in order.
    pub(super) fn for_each(&self, mut visit: impl FnMut(&C::Key, Entry)) {
        for chunk in &self.chunks {
            for at in 0..chunk.count {
                visit(chunk.keys.key(at), chunk.entry(at));
            }
        }
    }

    /// Calls `visit` with each key whose entry is over, until it has enough.
    pub(super) fn for_each_over(&self, now_s: u64, visit: &mut dyn FnMut(&C::Key) -> bool) {
        for chunk in &self.chunks {
            for (at, &until_s) in chunk.until_s[..chunk.count].iter().enumerate() {
                if !is_before(now_s, until_s) && !visit(chunk.keys.key(at)) {
                    return;
                }
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries
    }

    pub(super) fn exclusion_count(&self) -> usize {
        self.exclusions
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.firsts.capacity() * size_of::<C::Owned>()
            + self.chunks.capacity() * size_of::<Arc<Chunk<C>>>()
            + self.ends.capacity() * size_of::<Ends>()
            + self.chunks.iter().map(|chunk| size_of::<Chunk<C>>() + 16 + chunk.keys.heap_bytes()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*};

    use super::{
        super::column::{Numbers, Texts},
        *,
    };

    /// Any changes, held against a map of the standard library; every published version stays as it was.
    fn as_a_map<C: Column>(keys: &[C::Owned], changes: &[(usize, Option<(u32, bool)>)])
    where
        C::Key: ToOwned,
    {
        let mut ordered = Ordered::<C>::default();
        let mut model: BTreeMap<usize, Entry> = BTreeMap::new();
        let mut published: Vec<(Ordered<C>, BTreeMap<usize, Entry>)> = Vec::new();
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
                    let expected = model
                        .range(first..=last)
                        .any(|(_, entry)| entry.in_force(now_s) && entry.value().is_none() == (want == Want::Excluded));
                    let is_within = |key: &C::Key| key <= keys[last].borrow();
                    assert_eq!(ordered.any_in_force(want, keys[first].borrow(), is_within, now_s), expected);
                }
            }
            let mut rebuilt = Ordered::<C>::default();
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
        assert!(ordered.chunks.len() > 2 * CHUNK_MAX);
        for key in 0..200_001 {
            let expected = (key % 2 == 0 && key < 200_000).then_some(key / 2);
            assert_eq!(ordered.find(&key).map(|entry| entry.until_s), expected, "{key}");
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
        assert!(ordered.chunks.len() < 20 && ordered.len() == 200, "{}", ordered.chunks.len());
        assert!(ordered.memory_bytes() < full / 2);
    }
}
