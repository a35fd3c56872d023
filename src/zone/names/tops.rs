//! A short cut to the nodes at the top.
//!
//! Nearly every name that is asked ends in one of a few hundred top-level labels, below which something is listed and of which
//! nothing is said themselves. Their nodes are found here with a look at one cache line, the whole label in a word. Whatever is not
//! found here is looked for in the tree: labels beyond seven octets, those that found no room, and all if the apex says
//! something of what is below it.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use super::arena::{APEX, Arena, Parent};

/// Octets of a label and its length that a word has room for.
const WORD_LEN: usize = 8;

/// So many slots are looked at together.
const PAIR: usize = 2;

/// So many pairs of slots for each label, so that nearly all find room.
const PAIRS_PER_LABEL: usize = 2;

/// So many ways to spread them are tried.
const SPREADS: usize = 8;

/// So many are not the top level of the domain name system, and find no room.
pub(super) const TOPS_MAX: usize = 8_192;

/// The nodes below the apex that have others below them and say nothing.
#[derive(Debug, Default)]
pub(super) struct Tops {
    /// A power of two of them, or none.
    pairs: Box<[Pair]>,
    /// Bits of a hash that are not the number of a pair.
    shift: u32,
    /// Odd, and not known to who writes lists.
    spread: u64,
}

/// Slots in half a cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(32))]
struct Pair([Slot; PAIR]);

/// A label, where its node is and where the nodes below that are over; no label is zero.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    label: u64,
    at: u32,
    end: u32,
}

/// A label with its length before it, in a word; `None` if it is longer, or has no octets.
#[inline]
fn word(octets: [u8; WORD_LEN]) -> Option<u64> {
    let length = usize::from(octets[0]);
    (1..WORD_LEN).contains(&length).then(|| u64::from_le_bytes(octets) & u64::MAX >> (8 * (WORD_LEN - 1 - length)))
}

/// The same of a label alone.
fn word_of(label: &[u8]) -> Option<u64> {
    let mut octets = [0; WORD_LEN];
    octets[0] = u8::try_from(label.len()).ok()?;
    octets.get_mut(1..=label.len())?.copy_from_slice(label);
    word(octets)
}

impl Tops {
    /// Those of these nodes that say nothing of what is below them. Where there is no room for all, those find it that have most
    /// below them.
    pub(super) fn new(arena: &Arena, mut nodes: Vec<u32>) -> Self {
        if nodes.len() == TOPS_MAX || !arena.wildcard_is_silent(APEX) {
            return Self::default();
        }
        nodes.sort_unstable_by_key(|&at| std::cmp::Reverse(arena.end_below(at) - at));
        let is_silent = |at: &u32| arena.wildcard_is_silent(*at);
        let labelled = |at| Some(Slot { label: word_of(arena.read(at).0.label)?, at, end: arena.end_below(at) });
        let entries: Vec<Slot> = nodes.into_iter().filter(is_silent).filter_map(labelled).collect();
        if entries.is_empty() {
            return Self::default();
        }
        // Labels are much alike, and some of the numbers that may spread them do that badly.
        let tries = (0..SPREADS).map(|_| Self::with(&entries, RandomState::default().hash_one(0) | 1));
        tries.max_by_key(|(found, _)| *found).map(|(_, tops)| tops).unwrap_or_default()
    }

    /// Finds room for these, the first ones first, and tells for how many.
    fn with(entries: &[Slot], spread: u64) -> (usize, Self) {
        let pairs = vec![Pair::default(); (PAIRS_PER_LABEL * entries.len()).next_power_of_two()];
        let shift = u64::BITS - pairs.len().ilog2();
        let mut tops = Self { pairs: pairs.into(), shift, spread };
        let mut found = 0;
        for entry in entries {
            let home = tops.home(entry.label);
            if let Some(slot) = tops.pairs[home].0.iter_mut().find(|slot| slot.label == 0) {
                *slot = *entry;
                found += 1;
            }
        }
        (found, tops)
    }

    /// The node with that label, given as the octets that begin with its length.
    #[inline]
    pub(super) fn find(&self, octets: [u8; WORD_LEN]) -> Option<Parent> {
        let label = word(octets)?;
        let slot = self.pairs.get(self.home(label))?.0.iter().find(|slot| slot.label == label)?;
        Some(Parent { at: slot.at, end: slot.end })
    }

    #[inline]
    fn home(&self, label: u64) -> usize {
        (label.wrapping_mul(self.spread) >> self.shift) as usize
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::arena::{EndForm, Node},
        *,
    };
    use crate::zone::{
        ruling::Ruling,
        standing::{Outlook, Standing},
    };

    fn octets(text: &str) -> [u8; WORD_LEN] {
        let mut octets = *b"\0zzzzzzz";
        octets[0] = text.len() as u8;
        octets[1..].iter_mut().zip(text.bytes()).for_each(|(octet, other)| *octet = other);
        octets
    }

    /// Nodes with these labels, one below each, the last one the largest.
    fn tops_of(labels: &[String], below_apex: Standing, below_tops: Standing) -> Tops {
        let mut arena = Arena::new(Vec::new(), EndForm::default());
        let inner =
            |depth, label, wildcard| Node { depth, label, exact: Standing::ABSENT, wildcard, below: Outlook::Never };
        arena.push_inner(inner(0, b"", below_apex));
        let nodes = labels.iter().enumerate().map(|(number, label)| {
            let top = arena.push_inner(inner(1, label.as_bytes(), below_tops));
            (0..number).for_each(|_| arena.push(inner(2, b"", Standing::ABSENT)));
            arena.close(top, Outlook::Always, number);
            top.at
        });
        let nodes = nodes.collect();
        Tops::new(&arena, nodes)
    }

    fn many() -> Vec<String> {
        ["long-label".to_owned()].into_iter().chain((0..1_500).map(|number| format!("t{number}"))).collect()
    }

    #[test]
    fn found_or_not_here() {
        let tops = tops_of(&many(), Standing::ABSENT, Standing::ABSENT);
        let found: Vec<_> = many().iter().map(|label| tops.find(octets(label))).collect();
        assert!(found.iter().flatten().is_sorted_by(|one, two| one.end <= two.at));
        assert!(found.iter().flatten().count() > 1_350);
        assert!(found[0].is_none() && found[1_500].is_some());
        for other in ["t", "t1500", "long-la", ""] {
            assert!(tops.find(octets(other)).is_none(), "{other}");
        }
    }

    #[test]
    fn not_where_a_wildcard_may_answer() {
        let said = Standing { ruling: Ruling::EXCLUDED, until_s: 5 };
        for tops in [
            tops_of(&many(), said, Standing::ABSENT),
            tops_of(&many(), Standing::ABSENT, said),
            tops_of(&[], Standing::ABSENT, Standing::ABSENT),
        ] {
            assert!(many().iter().all(|label| tops.find(octets(label)).is_none()));
        }
        assert_eq!(tops_of(&many(), said, Standing::ABSENT).memory_bytes(), 0);
    }
}
