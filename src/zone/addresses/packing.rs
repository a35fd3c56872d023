//! Prefixes in order as octets: an entry says how far it is from the one before it, and what it does not have in common with all
//! of its run.

use std::sync::Arc;

use super::{
    key::Key,
    sorted::{IntoKeys, SortedBuilder},
};
use crate::zone::{
    ruling::{FOREVER_S, Ruling},
    runs::{NUMBER_MAX, Octets, Tape, push_number, unzigzag, zigzag},
    standing::Standing,
    translation::Translation,
};

/// Most octets of a packed entry: its distance, length, ruling and end.
const ENTRY_MAX: usize = 4 * NUMBER_MAX + 1;

/// A prefix and what is said of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<K> {
    pub(super) start: K,
    /// Of the prefix. An octet would do, but what has no gaps is copied at once.
    pub(super) length: u32,
    pub(super) standing: Standing,
}

impl<K: Key> Entry<K> {
    /// What entries are in the order of.
    #[inline]
    pub(super) fn key(&self) -> (K, u32) {
        (self.start, self.length)
    }
}

/// What all entries of a run have in common, and is therefore not packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Common {
    length: Option<u32>,
    ruling: Option<Ruling>,
    until_s: Option<u32>,
}

impl Common {
    /// That of entries that say the same.
    pub(super) fn alike(length: u32, standing: Standing) -> Self {
        Self { length: Some(length), ruling: Some(standing.ruling), until_s: Some(standing.until_s) }
    }

    /// What both have in common.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            length: self.length.filter(|_| self.length == other.length),
            ruling: self.ruling.filter(|_| self.ruling == other.ruling),
            until_s: self.until_s.filter(|_| self.until_s == other.until_s),
        }
    }
}

/// A run while it is written.
#[derive(Debug)]
pub(super) struct Packing<K> {
    pub(super) common: Common,
    tape: Tape,
    count: usize,
    /// How often its entries were merged.
    pub(super) merged: u32,
    /// What its rulings are, if not what they seem; what all have in common is.
    translation: Option<Arc<Translation>>,
    /// The newest entry; its end is that of the newest that has one.
    last: Entry<K>,
}

impl<K: Key> Packing<K> {
    pub(super) fn new(common: Common, merged: u32) -> Self {
        Self { common, tape: Tape::default(), count: 0, merged, translation: None, last: nothing() }
    }

    /// The next entry.
    #[inline]
    pub(super) fn push(&mut self, entry: Entry<K>) {
        let Self { common, last, .. } = self;
        let Standing { ruling, until_s } = entry.standing;
        self.tape.append(ENTRY_MAX, |into| {
            entry.start.since(last.start).pack(into);
            if common.length.is_none() {
                into.push(entry.length as u8);
            }
            if common.ruling.is_none() {
                // Values are small numbers, an exclusion and what is absent are the highest.
                push_number(into, u64::from(ruling.0.wrapping_add(2)));
            }
            if common.until_s.is_none() {
                push_number(into, if until_s == FOREVER_S { 0 } else { 1 + zigzag(until_s, last.standing.until_s) });
            }
        });
        let until_s = if until_s == FOREVER_S { last.standing.until_s } else { until_s };
        *last = Entry { standing: Standing { ruling, until_s }, ..entry };
        self.count += 1;
    }

    /// Whether entries that have that in common, of which that one is the first, can be pushed.
    pub(super) fn is_followed_by(&self, common: Common, first: (K, u32)) -> bool {
        self.common == common && self.translation.is_none() && self.last.key() <= first
    }

    /// Each entry says what it is translated to.
    pub(super) fn translate(&mut self, translation: &Arc<Translation>) {
        self.common.ruling = self.common.ruling.map(|ruling| translation.ruling(ruling));
        self.translation = Some(translation.clone());
    }

    /// Octets written.
    pub(super) fn len(&self) -> usize {
        self.tape.len()
    }

    /// Gives back what was taken for octets that were not written.
    pub(super) fn shrink_to_fit(&mut self) {
        self.tape.shrink_to_fit();
    }

    pub(super) fn read(mut self) -> Reading<K> {
        self.tape.turn();
        let Self { common, tape, count, translation, .. } = self;
        let translation = translation.filter(|_| common.ruling.is_none());
        Reading { common, source: Source::Tape(tape), left: count, newest: nothing(), translation }
    }
}

/// What a run begins from.
const fn nothing<K: Key>() -> Entry<K> {
    Entry { start: K::MIN, length: 0, standing: Standing { ruling: Ruling::ABSENT, until_s: 0 } }
}

/// Where the entries of a run come from.
#[derive(Debug)]
enum Source<K> {
    Tape(Tape),
    /// Keys of which the same is said.
    Keys(IntoKeys<K>),
}

/// A run while it is read.
#[derive(Debug)]
pub(super) struct Reading<K> {
    common: Common,
    source: Source<K>,
    left: usize,
    /// The newest entry; its end is that of the newest that has one.
    newest: Entry<K>,
    translation: Option<Arc<Translation>>,
}

impl<K: Key> Reading<K> {
    /// Prefixes of one length of which the same is said.
    pub(super) fn alike(keys: SortedBuilder<K>, length: u32, standing: Standing) -> Self {
        let newest = Entry { start: K::MIN, length, standing };
        let (common, left) = (Common::alike(length, standing), keys.len());
        Self { common, source: Source::Keys(keys.into_keys()), left, newest, translation: None }
    }

    /// How many it has not given yet.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Gives the entries that follow, one after the other, as long as `is_more_wanted` says so.
    #[inline]
    pub(super) fn give(&mut self, mut is_more_wanted: impl FnMut(Entry<K>) -> bool) {
        let Self { common, source, left, newest, translation } = self;
        while *left > 0 {
            *left -= 1;
            let mut entry = match source {
                Source::Tape(tape) => tape.take(|octets| read(octets, *common, newest)),
                Source::Keys(keys) => Entry { start: keys.next().unwrap_or(K::MAX), ..*newest },
            };
            if let Some(translation) = translation {
                entry.standing.ruling = translation.ruling(entry.standing.ruling);
            }
            if !is_more_wanted(entry) {
                return;
            }
        }
    }
}

/// Reads an entry, given the one before it.
#[inline(always)]
fn read<K: Key>(octets: &mut Octets<'_>, common: Common, newest: &mut Entry<K>) -> Entry<K> {
    newest.start = newest.start.plus(K::unpack(octets));
    let length = common.length.unwrap_or_else(|| octets.octet().into());
    let ruling = common.ruling.unwrap_or_else(|| Ruling((octets.number() as u32).wrapping_sub(2)));
    let until_s = common.until_s.unwrap_or_else(|| match octets.number() {
        0 => FOREVER_S,
        number => {
            newest.standing.until_s = unzigzag(number - 1, newest.standing.until_s);
            newest.standing.until_s
        }
    });
    Entry { start: newest.start, length, standing: Standing { ruling, until_s } }
}
