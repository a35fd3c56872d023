//! The way from a query's name to its zone: the longest apex that it ends in.
//!
//! Apexes have few different numbers of labels, and only ends of a name with as many are looked up. A lookup reads the end in
//! words of eight octets, and compares one apex: nothing that a stranger sends makes it longer.

use crate::wire::name::{Name, QueryName};

/// The apexes of all zones.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    /// The label counts that apexes have, greatest first.
    label_counts: Vec<usize>,
    /// By hash, open addressing: the place of an apex. At least every other slot is free.
    slots: Vec<Option<u32>>,
    apexes: Vec<Name>,
}

impl Catalog {
    /// Takes distinct names, which will be known by their places.
    pub(super) fn new(apexes: &[Name]) -> Self {
        let mut label_counts: Vec<usize> = apexes.iter().map(Name::label_count).collect();
        label_counts.sort_unstable_by(|a, b| b.cmp(a));
        label_counts.dedup();
        let slots = vec![None; (2 * apexes.len() + 1).next_power_of_two()];
        let mut catalog = Self { label_counts, slots, apexes: apexes.to_vec() };
        for (place, apex) in (0..).zip(apexes) {
            let mut name = QueryName::new();
            if name.read(apex.as_wire()).is_none() {
                continue; // never: a name is one
            }
            let mut slot = catalog.home(&name, name.label_count());
            while catalog.slots[slot].is_some() {
                slot = catalog.after(slot);
            }
            catalog.slots[slot] = Some(place);
        }
        catalog
    }

    /// The closest apex at or above a name, by its place, and how many labels of the name stand left of it.
    #[inline]
    pub(super) fn find(&self, name: &QueryName) -> Option<(usize, usize)> {
        let label_count = name.label_count();
        for &count in self.label_counts.iter().filter(|&&count| count <= label_count) {
            let mut slot = self.home(name, count);
            while let Some(Some(place)) = self.slots.get(slot) {
                if self.apexes[*place as usize].as_wire() == name.suffix(count) {
                    return Some((*place as usize, label_count - count));
                }
                slot = self.after(slot);
            }
        }
        None
    }

    #[inline]
    fn home(&self, name: &QueryName, count: usize) -> usize {
        (name.suffix_hash(count) >> 32) as usize & (self.slots.len() - 1)
    }

    #[inline]
    fn after(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }
}
