//! What would be listed, delisted or answered otherwise, if one set of data took the place of another.
//!
//! Compared is what is answered, not how it is written: a /24 that became its 256 addresses is no change, nor is a name that
//! a wildcard covers with the same value, nor an entry that moved to another file. A value is its A record and its text; when
//! a listing ends, and for how long it may be cached, is not compared, since lists with lifetimes renew them with every drop.
//! Neither are SOA and name servers: the serial number is another one with every drop, and `check` warns where there are none.
//!
//! | of | each side becomes | compared by |
//! |---|---|---|
//! | addresses | ranges in order, neighbours with the same answers joined | one sweep over both |
//! | names | names in the order of the tree, with what holds at and below each | one walk over both |
//! | plain records | a table | names |
//! | access lists | what all of them say of a client, and of a key | one sweep over all ends of their prefixes |
//!
//! Answers are sets of values, each distinct set known by a number: ten million entries are compared as numbers.

mod access;
mod addresses;
mod answers;
mod names;
mod records;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

pub use self::access::{AccessChange, Clients, Treatment};
use self::answers::Answers;
use super::{
    dataset::Dataset,
    ruling::Context,
    snapshot::{Content, Snapshot},
};
use crate::wire::name::Name;

/// What becomes of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Listed, and was not.
    Listed,
    /// Not listed any more.
    Delisted,
    /// Listed with other values.
    Changed,
}

impl Change {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Listed, Self::Delisted, Self::Changed];

    /// What the change from one set of answers to another is.
    fn of(old: u32, new: u32) -> Option<Self> {
        match (old, new) {
            (old, new) if old == new => None,
            (Answers::NONE, _) => Some(Self::Listed),
            (_, Answers::NONE) => Some(Self::Delisted),
            _ => Some(Self::Changed),
        }
    }
}

/// How much of each sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// IPv4 addresses.
    pub v4: u64,
    /// IPv6 addresses.
    pub v6: u128,
    /// Names.
    pub names: u64,
    /// Wildcards: all names below a name.
    pub wildcards: u64,
    /// Names with plain records.
    pub records: u64,
}

impl Amounts {
    /// Whether there is nothing of any sort.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The greatest share that any sort has of what there is of that sort; 1 where there is nothing.
    pub fn greatest_share_of(&self, all: &Self) -> f64 {
        let shares = [
            (u128::from(self.v4), u128::from(all.v4)),
            (self.v6, all.v6),
            (u128::from(self.names), u128::from(all.names)),
            (u128::from(self.wildcards), u128::from(all.wildcards)),
            (u128::from(self.records), u128::from(all.records)),
        ];
        let share = |(part, all): (u128, u128)| match (part, all) {
            (0, _) => 0.0,
            (_, 0) => 1.0,
            (part, all) => part as f64 / all as f64,
        };
        shares.into_iter().map(share).fold(0.0, f64::max)
    }
}

/// Something that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A range of IPv4 addresses.
    V4(u32, u32),
    /// A range of IPv6 addresses.
    V6(u128, u128),
    /// A name.
    Name(Name),
    /// All names below a name.
    Wildcard(Name),
    /// Plain records at a name.
    Records(Name),
}

/// What changes in one zone, or in one subzone.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The zone or subzone.
    pub zone: Name,
    /// What there is before.
    pub before: Amounts,
    /// How much changes, by what becomes of it.
    pub amounts: BTreeMap<Change, Amounts>,
    /// The first of what changes, by what becomes of it.
    pub shown: BTreeMap<Change, Vec<Item>>,
    /// So many are shown of each.
    pub shown_max: usize,
    /// What changes of who may ask; of a subzone nothing, as its zone's tells it.
    pub access: AccessChange,
}

impl Difference {
    fn new(zone: Name, shown_max: usize) -> Self {
        let (amounts, shown, access) = (BTreeMap::new(), BTreeMap::new(), AccessChange::default());
        Self { zone, before: Amounts::default(), amounts, shown, shown_max, access }
    }

    /// How much has become of that sort.
    pub fn amounts_of(&self, change: Change) -> Amounts {
        self.amounts.get(&change).copied().unwrap_or_default()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.amounts.values().all(Amounts::is_empty) && self.access.is_empty()
    }

    /// Takes note of a change; `count` adds to the amounts.
    fn add(&mut self, change: Change, count: impl FnOnce(&mut Amounts), item: impl FnOnce() -> Item) {
        count(self.amounts.entry(change).or_default());
        let shown = self.shown.entry(change).or_default();
        if shown.len() < self.shown_max {
            shown.push(item());
        }
    }
}

/// What changes between two states, for each zone and subzone that `is_wanted` (of its apex), at one moment; so many changes
/// of each kind are kept to be shown.
pub fn difference(
    old: &Snapshot,
    new: &Snapshot,
    context: &Context,
    shown_max: usize,
    is_wanted: impl Fn(&Name) -> bool,
) -> Vec<Difference> {
    let mut apexes: Vec<&Name> = old.zones().iter().chain(new.zones()).map(|zone| &zone.apex).collect();
    apexes.sort_by_cached_key(ToString::to_string);
    apexes.dedup();
    let mut differences = Vec::new();
    for apex in apexes.into_iter().filter(|apex| is_wanted(apex)) {
        let sides = [old, new].map(|snapshot| (snapshot, snapshot.zone(apex)));
        let [old, new] = sides.map(|(_, zone)| datasets(zone.and_then(|zone| zone.content.as_ref())));
        let mut parts: Vec<&Name> = old.keys().chain(new.keys()).copied().collect();
        parts.sort_by_cached_key(|name| (name.label_count(), name.to_string()));
        parts.dedup();
        for part in parts {
            let Ok(zone) = part.below(apex) else { continue };
            let [old, new] = [&old, &new].map(|datasets| datasets.get(part).map_or(&[][..], Vec::as_slice));
            let mut found = compare(old, new, context, Difference::new(zone, shown_max));
            if part.is_root() {
                let [old, new] = sides;
                found.access = access::compare(old, new, shown_max);
            }
            differences.push(found);
        }
    }
    differences
}

/// The datasets that have their place at a name, by that name.
fn datasets(content: Option<&Content>) -> HashMap<&Name, Vec<&Dataset>> {
    let parts = content.into_iter().flat_map(Content::parts);
    parts.map(|part| (&part.name, part.datasets.iter().map(|dataset| &**dataset).collect())).collect()
}

/// Compares what datasets answer together.
fn compare(old: &[&Dataset], new: &[&Dataset], context: &Context, mut difference: Difference) -> Difference {
    let mut answers = Answers::default();
    addresses::compare::<u32>(old, new, context, &mut answers, &mut difference);
    addresses::compare::<u128>(old, new, context, &mut answers, &mut difference);
    names::compare(old, new, context, &mut answers, &mut difference);
    records::compare(old, new, &mut difference);
    difference
}
