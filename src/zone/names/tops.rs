//! A short cut to the nodes at the top.
//!
//! Nearly every name that is asked ends in one of a few hundred top-level labels, below which something is listed and of which
//! nothing is said themselves. Their nodes are found here with a look at one cache line, the whole label in a word. Whatever is not
//! found here is looked for in the tree: labels beyond seven octets, those that found no room, and all if the apex says
//! something of what is below it.

use foldhash::fast::RandomState;
use std::hash::BuildHasher;

/// Octets of a label and its length that a word has room for.
const WORD_LEN: usize = 8;

/// So many slots for each label, so that nearly all find room.
const SLOTS_PER_LABEL: usize = 4;

/// Labels beyond so many are not the top level of the domain name system, and find no room.
pub(super) const LABELS_MAX: usize = 4_096;

/// The nodes below the apex that have others below them and say nothing.
#[derive(Debug, Default)]
pub(super) struct Tops {
    /// A power of two of them, or none.
    slots: Box<[Slot]>,
    /// Bits of a hash that are not the number of a slot.
    shift: u32,
    /// Odd, and not known to who writes lists.
    spread: u64,
}

/// A label and the place of its node; no label is zero.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    label: u64,
    place: u32,
}

/// A label with its length before it, in a word; `None` if it is longer, or has no octets.
#[inline]
pub(super) fn word(octets: [u8; WORD_LEN]) -> Option<u64> {
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
    /// Of nodes with these labels and places.
    pub(super) fn new(nodes: &[(&[u8], u32)]) -> Self {
        if nodes.is_empty() || nodes.len() > LABELS_MAX {
            return Self::default();
        }
        let slots = vec![Slot::default(); (SLOTS_PER_LABEL * nodes.len()).next_power_of_two()];
        let shift = u64::BITS - slots.len().ilog2();
        let mut tops = Self { slots: slots.into(), shift, spread: RandomState::default().hash_one(0) | 1 };
        for &(label, place) in nodes {
            if let Some(label) = word_of(label) {
                let home = tops.home(label);
                let free = [home, home ^ 1].into_iter().find(|at| tops.slots[*at].label == 0);
                if let Some(at) = free {
                    tops.slots[at] = Slot { label, place };
                }
            }
        }
        tops
    }

    /// The place of the node with that label, given as the octets that begin with its length.
    #[inline]
    pub(super) fn find(&self, octets: [u8; WORD_LEN]) -> Option<u32> {
        let label = word(octets)?;
        let home = self.home(label);
        [home, home ^ 1]
            .into_iter()
            .find_map(|at| self.slots.get(at).filter(|slot| slot.label == label))
            .map(|slot| slot.place)
    }

    #[inline]
    fn home(&self, label: u64) -> usize {
        (label.wrapping_mul(self.spread) >> self.shift) as usize
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(text: &str) -> [u8; WORD_LEN] {
        let mut octets = *b"\0zzzzzzz";
        octets[0] = text.len() as u8;
        octets[1..].iter_mut().zip(text.bytes()).for_each(|(octet, other)| *octet = other);
        octets
    }

    #[test]
    fn found_or_not_here() {
        let labels: Vec<String> = (0..1_500).map(|number| format!("t{number}")).chain(["long-labels".into()]).collect();
        let nodes: Vec<(&[u8], u32)> = labels.iter().zip(5..).map(|(label, place)| (label.as_bytes(), place)).collect();
        let tops = Tops::new(&nodes);
        let found = |label: &String| tops.find(octets(label));
        assert!(labels[..1_500].iter().zip(5..).all(|(label, place)| found(label).is_none_or(|at| at == place)));
        assert!(labels.iter().filter(|label| found(label).is_some()).count() > 1_350);
        assert_eq!(tops.find(octets("long-labels")), None);
        assert_eq!(tops.find(octets("t")), None);
        assert_eq!(tops.find(octets("t1500")), None);
        assert_eq!(tops.find([0; WORD_LEN]), None);
    }

    #[test]
    fn none_are_found_among_none() {
        assert_eq!(Tops::new(&[]).find(octets("com")), None);
        assert_eq!(Tops::default().memory_bytes(), 0);
    }
}
