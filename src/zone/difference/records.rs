//! Plain records compared: a name is changed if it has other records.

use std::collections::BTreeMap;

use super::{Change, Difference, Item};
use crate::{
    wire::name::Name,
    zone::dataset::{Dataset, Entries},
};

/// The records of datasets by name: type and data, in order.
fn table<'a>(datasets: &[&'a Dataset]) -> BTreeMap<&'a [u8], Vec<(u16, &'a [u8])>> {
    let mut table: BTreeMap<&[u8], Vec<(u16, &[u8])>> = BTreeMap::new();
    for dataset in datasets {
        let Entries::Records(records) = &dataset.entries else { continue };
        for (name, records) in records.iter() {
            table.entry(name).or_default().extend(records.iter().map(|record| (record.kind, &*record.data)));
        }
    }
    for records in table.values_mut() {
        records.sort_unstable();
        records.dedup();
    }
    table
}

/// Compares plain records.
pub(super) fn compare(old: &[&Dataset], new: &[&Dataset], difference: &mut Difference) {
    let (old, new) = (table(old), table(new));
    difference.before.records = old.len() as u64;
    let mut add = |change, name: &[u8]| {
        let item = || Item::Records(Name::from_wire(&[name, &[0]].concat()));
        difference.add(change, |amounts| amounts.records += 1, item);
    };
    for (name, records) in &old {
        match new.get(name) {
            None => add(Change::Delisted, name),
            Some(others) if others != records => add(Change::Changed, name),
            Some(_) => {}
        }
    }
    for name in new.keys().filter(|name| !old.contains_key(*name)) {
        add(Change::Listed, name);
    }
}
