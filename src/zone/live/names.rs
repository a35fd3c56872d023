//! Names that were listed or excluded by command, and wildcards.
//!
//! A name is kept as its labels from right to left, each after its length: then all names below one follow it without gap.

use std::sync::Arc;

use super::{
    column::Texts,
    ordered::{Entry, Ordered, Want},
};
use crate::wire::name::{LABELS_MAX, NAME_MAX, Name, RelativeName, labels};

/// A name as it is kept, on the stack.
pub(super) struct Reversed {
    octets: [u8; NAME_MAX],
    /// Where each label ends, the one next to the apex first.
    ends: [u8; LABELS_MAX],
    label_count: usize,
}

impl Reversed {
    #[inline]
    pub(super) fn new(name: RelativeName<'_>) -> Self {
        let mut reversed = Self { octets: [0; NAME_MAX], ends: [0; LABELS_MAX], label_count: 0 };
        let mut end = 0;
        for label in name.labels_down() {
            reversed.octets[end] = label.len() as u8;
            reversed.octets[end + 1..=end + label.len()].copy_from_slice(label);
            end += 1 + label.len();
            reversed.ends[reversed.label_count] = end as u8;
            reversed.label_count += 1;
        }
        reversed
    }

    /// The part of it with so many labels, from the apex.
    #[inline]
    fn top(&self, label_count: usize) -> &[u8] {
        let end = label_count.checked_sub(1).map_or(0, |last| usize::from(self.ends[last]));
        &self.octets[..end]
    }

    #[inline]
    pub(super) fn all(&self) -> &[u8] {
        self.top(self.label_count)
    }
}

/// A name's labels from right to left.
pub fn reverse(name: &Name) -> Box<[u8]> {
    let mut labels: Vec<&[u8]> = name.labels().collect();
    labels.reverse();
    let octets = labels.iter().flat_map(|label| std::iter::once(label.len() as u8).chain(label.iter().copied()));
    octets.collect()
}

/// The name of labels from right to left.
pub fn unreverse(reversed: &[u8]) -> Name {
    let mut labels: Vec<&[u8]> = labels(reversed).collect();
    labels.reverse();
    let octets = labels.iter().flat_map(|label| std::iter::once(label.len() as u8).chain(label.iter().copied()));
    let wire: Vec<u8> = octets.chain(std::iter::once(0)).collect();
    Name::from_wire(&wire)
}

/// What is said of the names below one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Below {
    /// Some are listed.
    Listed,
    /// Nothing.
    Nothing,
    /// Some are excluded; [`super::LiveZone::leaves_out`] tells which.
    SomeExcluded,
    /// All are excluded.
    AllExcluded,
}

/// A set of names.
#[derive(Clone, Default)]
pub(super) struct LiveNames {
    pub(super) exact: Arc<Ordered<Texts>>,
    /// What is said of all names below one.
    pub(super) wildcards: Arc<Ordered<Texts>>,
}

impl LiveNames {
    /// What is said of a name: by its own entry if that is in force, else by the closest wildcard above it that is. With it
    /// comes the number of labels of that entry.
    #[inline]
    pub(super) fn find(&self, name: &Reversed, now_s: u64) -> Option<(usize, Entry)> {
        if let Some(entry) = self.exact.find(name.all()).filter(|entry| entry.in_force(now_s)) {
            return Some((name.label_count, entry));
        }
        self.closest_wildcard(name, name.label_count.checked_sub(1)?, now_s)
    }

    /// The closest wildcard in force whose name has at most so many labels.
    #[inline]
    fn closest_wildcard(&self, name: &Reversed, most: usize, now_s: u64) -> Option<(usize, Entry)> {
        if self.wildcards.len() == 0 {
            return None;
        }
        (0..=most).rev().find_map(|count| {
            let entry = self.wildcards.find(name.top(count))?;
            entry.in_force(now_s).then_some((count, entry))
        })
    }

    /// What is said of the names below one.
    pub(super) fn below(&self, name: &Reversed, now_s: u64) -> Below {
        if self.exact.len() + self.wildcards.len() == 0 {
            return Below::Nothing;
        }
        let top = name.all();
        let is_below = |key: &[u8]| key.starts_with(top);
        let any = |map: &Ordered<Texts>, want| map.any_in_force(want, top, is_below, now_s);
        let covering = self.closest_wildcard(name, name.label_count, now_s).map(|(_, entry)| entry.value().is_some());
        let is_listed =
            covering == Some(true) || any(&self.wildcards, Want::Listed) || self.any_exact_below(top, now_s);
        if is_listed {
            Below::Listed
        } else if covering == Some(false) {
            Below::AllExcluded
        } else if any(&self.wildcards, Want::Excluded) || any(&self.exact, Want::Excluded) {
            Below::SomeExcluded
        } else {
            Below::Nothing
        }
    }

    /// Whether a name below this one, and not itself, has an entry of its own that lists it.
    fn any_exact_below(&self, top: &[u8], now_s: u64) -> bool {
        // The labels of names below follow, and every label has at least one octet.
        let mut first = [0; NAME_MAX + 1];
        first[..top.len()].copy_from_slice(top);
        first[top.len()] = 1;
        self.exact.any_in_force(Want::Listed, &first[..=top.len()], |key| key.starts_with(top), now_s)
    }

    /// Whether a name, or all names below it, are excluded.
    pub(super) fn leaves_out(&self, reversed: &[u8], is_wildcard: bool, now_s: u64) -> bool {
        let in_force = |map: &Ordered<Texts>, key: &[u8]| map.find(key).filter(|entry| entry.in_force(now_s));
        if !is_wildcard && let Some(entry) = in_force(&self.exact, reversed) {
            return entry.value().is_none();
        }
        let mut starts = [0; LABELS_MAX + 1];
        let (mut end, mut count) = (0, 0);
        for label in labels(reversed) {
            starts[count] = end;
            count += 1;
            end += 1 + label.len();
        }
        starts[count] = end;
        let most = if is_wildcard { count } else { count.saturating_sub(1) };
        let closest = (0..=most).rev().find_map(|count| in_force(&self.wildcards, &reversed[..starts[count]]));
        closest.is_some_and(|entry| entry.value().is_none())
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.exact.memory_bytes() + self.wildcards.memory_bytes()
    }
}
