//! Names that were listed or excluded by command, and wildcards.
//!
//! A name is kept [from right to left](crate::zone::reversed): then all names below one follow it without gap.

use std::sync::Arc;

use super::{
    keys::Texts,
    ordered::{Entry, Ordered, Want},
};
use crate::{wire::name::NAME_MAX, zone::reversed::Reversed};

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
            return Some((name.label_count(), entry));
        }
        self.closest_wildcard(name, name.label_count().checked_sub(1)?, now_s)
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
        let covering = self.closest_wildcard(name, name.label_count(), now_s).map(|(_, entry)| entry.value().is_some());
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
        count_listed_below(&self.exact, top, now_s, 1) > 0
    }

    /// How many entries list names below this one, and not itself, counted up to `most`.
    pub(super) fn count_listed_below(&self, top: &[u8], now_s: u64, most: usize) -> usize {
        let exact = count_listed_below(&self.exact, top, now_s, most);
        exact + count_listed_below(&self.wildcards, top, now_s, most - exact)
    }

    /// The names above this one, its labels from right to left, of which all below is excluded, the longest first, in force or
    /// not.
    pub(super) fn exclusions_around<'n>(&self, name: &'n [u8]) -> Vec<&'n [u8]> {
        let (mut excluded, mut end) = (Vec::new(), 0);
        while self.wildcards.exclusion_count() > 0 && end < name.len() {
            if self.wildcards.find(&name[..end]).is_some_and(|entry| entry.value().is_none()) {
                excluded.push(&name[..end]);
            }
            end += 1 + usize::from(name[end]);
        }
        excluded.reverse();
        excluded
    }

    /// Whether a name, or all names below it, are excluded.
    pub(super) fn leaves_out(&self, name: &Reversed, is_wildcard: bool, now_s: u64) -> bool {
        let said =
            if is_wildcard { self.closest_wildcard(name, name.label_count(), now_s) } else { self.find(name, now_s) };
        said.is_some_and(|(_, entry)| entry.value().is_none())
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.exact.memory_bytes() + self.wildcards.memory_bytes()
    }
}

fn count_listed_below(names: &Ordered<Texts>, top: &[u8], now_s: u64, most: usize) -> usize {
    // The labels of names below follow, and every label has at least one octet.
    let mut first = [0; NAME_MAX + 1];
    first[..top.len()].copy_from_slice(top);
    first[top.len()] = 1;
    names.count_in_force(Want::Listed, &first[..=top.len()], |key| key.starts_with(top), now_s, most)
}
