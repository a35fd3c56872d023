//! Sets of values, each known by a number, so that answers are compared by comparing numbers.

use std::{collections::HashMap, net::Ipv4Addr};

use crate::zone::{
    dataset::Dataset,
    ruling::{Context, Finding},
    values::{ValueId, Values},
};

/// Stands for the listed key in texts.
const KEY: &[u8] = b"\0key\0";

/// A value as it is told: its A record, and its text.
pub(super) fn told(values: &Values, value: ValueId) -> (Ipv4Addr, Option<Vec<u8>>) {
    (values.address(value), values.text(value).map(|text| values.expand(text, KEY)))
}

type Table<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// The sets that were met so far; both sides share them.
#[derive(Debug)]
pub(super) struct Answers {
    values: Table<(Ipv4Addr, Option<Vec<u8>>), u32>,
    /// Values in order.
    sets: Vec<Box<[u32]>>,
    known: Table<Box<[u32]>, u32>,
    unions: Table<(u32, u32), u32>,
}

impl Default for Answers {
    fn default() -> Self {
        let mut known = Table::default();
        known.insert(Box::from([]), Self::NONE);
        Self { values: Table::default(), sets: vec![Box::from([])], known, unions: Table::default() }
    }
}

impl Answers {
    /// No answer: not listed.
    pub(super) const NONE: u32 = 0;

    fn value(&mut self, dataset: &Dataset, value: ValueId) -> u32 {
        let next = self.values.len() as u32;
        *self.values.entry(told(&dataset.values, value)).or_insert(next)
    }

    fn set(&mut self, mut values: Vec<u32>) -> u32 {
        values.sort_unstable();
        values.dedup();
        let values: Box<[u32]> = values.into();
        *self.known.entry(values).or_insert_with_key(|values| {
            self.sets.push(values.clone());
            self.sets.len() as u32 - 1
        })
    }

    /// The answers of either together.
    pub(super) fn union(&mut self, one: u32, two: u32) -> u32 {
        match (one, two) {
            (one, two) if one == two => one,
            (Self::NONE, only) | (only, Self::NONE) => only,
            (one, two) => {
                if let Some(&known) = self.unions.get(&(one, two)) {
                    return known;
                }
                let both = [&*self.sets[one as usize], &*self.sets[two as usize]].concat();
                let union = self.set(both);
                self.unions.insert((one, two), union);
                union
            }
        }
    }
}

/// The answers of one dataset, with those that were met before at hand.
pub(super) struct Reader<'a> {
    dataset: &'a Dataset,
    /// By value; `u32::MAX` was not met yet.
    of_values: Vec<u32>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(dataset: &'a Dataset) -> Self {
        Self { dataset, of_values: vec![u32::MAX; dataset.values.len()] }
    }

    /// The answers of a finding; of one that says nothing, or excludes, there are none.
    pub(super) fn read(&mut self, finding: Finding<'_>, context: &Context, answers: &mut Answers) -> u32 {
        match finding {
            Finding::Absent | Finding::Excluded => Answers::NONE,
            Finding::One(value, _) => {
                let known = self.of_values[value.0 as usize];
                if known != u32::MAX {
                    return known;
                }
                let value_number = answers.value(self.dataset, value);
                let set = answers.set(vec![value_number]);
                self.of_values[value.0 as usize] = set;
                set
            }
            Finding::Many(_) | Finding::Together(..) => {
                let mut values = Vec::new();
                finding.for_each_value(context, |value, _, _| values.push(answers.value(self.dataset, value)));
                answers.set(values)
            }
        }
    }
}
