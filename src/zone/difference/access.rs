//! Who may ask compared: both sides' lists are asked about each stretch of clients between two ends of any prefix of either.
//!
//! What counts is what the lists of the server and of the zone say together, as `answer` asks them: the sternest, and of those
//! that list everything the first. A zone that is new, or was not answered, is held against one with no list; of one that is not
//! answered any more nobody is let in or kept out.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use super::{Amounts, Item, addresses::Family, answers};
use crate::zone::{
    access::{AccessList, Action, KeyList},
    snapshot::{Snapshot, Zone},
    values::Values,
};

/// How a client is dealt with; the later, the sterner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Treatment {
    /// It gets the answers that everybody gets.
    Answered,
    /// It finds everything listed.
    AllListed,
    /// It finds nothing listed.
    NoneListed,
    /// It is refused.
    Refused,
    /// It gets no answer.
    Ignored,
}

/// Clients that are dealt with alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clients {
    /// How many.
    pub amounts: Amounts,
    /// The first of them.
    pub shown: Vec<Item>,
}

/// What changes of who may ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessChange {
    /// Clients without a key that are dealt with otherwise, by how they would be.
    pub clients: BTreeMap<Treatment, Clients>,
    /// Access keys that come, go, or stand for something else.
    pub keys: u64,
    /// Access keys there are before.
    pub keys_before: u64,
}

/// All clients there can be; of IPv6 they are one too many for a count.
const ALL_CLIENTS: Amounts = Amounts { v4: 1 << 32, v6: u128::MAX, names: 0, wildcards: 0, records: 0 };

impl AccessChange {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.keys == 0
    }

    /// How many clients are dealt with otherwise.
    pub fn amounts(&self) -> Amounts {
        let mut sum = Amounts::default();
        for Clients { amounts, .. } in self.clients.values() {
            sum.v4 += amounts.v4;
            sum.v6 = sum.v6.saturating_add(amounts.v6);
        }
        sum
    }

    /// The share that some clients have of all of their family.
    pub fn share_of_clients(amounts: &Amounts) -> f64 {
        amounts.greatest_share_of(&ALL_CLIENTS)
    }

    /// The greatest share: of a family's clients, or of the keys there are before; 1 where there is none.
    pub fn share(&self) -> f64 {
        let keys = match (self.keys, self.keys_before) {
            (0, _) => 0.0,
            (_, 0) => 1.0,
            (changed, before) => changed as f64 / before as f64,
        };
        keys.max(Self::share_of_clients(&self.amounts()))
    }
}

/// The lists of the server, or of a zone.
#[derive(Clone, Copy, Default)]
struct Level<'a> {
    clients: &'a [Arc<AccessList>],
    keys: &'a [Arc<KeyList>],
}

/// The lists that are asked about a zone: those of the server, and its own.
#[derive(Clone, Copy, Default)]
struct Lists<'a> {
    levels: [Level<'a>; 2],
    /// The list has ended, and lists nothing for anybody.
    is_retired: bool,
}

/// What lists say together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    treatment: Treatment,
    /// With what everything is listed.
    value: Option<(Ipv4Addr, Option<Vec<u8>>)>,
}

impl Said {
    const NOTHING: Self = Self { treatment: Treatment::Answered, value: None };

    fn hear(&mut self, action: Action, values: &Values) {
        let (treatment, value) = match action {
            Action::Pass => (Treatment::Answered, None),
            Action::Listed(value) => (Treatment::AllListed, Some(value)),
            Action::Empty => (Treatment::NoneListed, None),
            Action::Refuse => (Treatment::Refused, None),
            Action::Ignore => (Treatment::Ignored, None),
        };
        if treatment > self.treatment {
            *self = Self { treatment, value: value.map(|value| answers::told(values, value)) };
        }
    }
}

impl<'a> Lists<'a> {
    /// Those of a zone that is answered.
    fn of(snapshot: &'a Snapshot, zone: &'a Zone) -> Option<Self> {
        let is_retired = zone.content.as_ref()?.retirement().is_some();
        let of_server = Level { clients: &snapshot.acl, keys: &snapshot.keys };
        Some(Self { levels: [of_server, Level { clients: &zone.acl, keys: &zone.keys }], is_retired })
    }

    /// What they say of a client that gives no key.
    fn of_client(&self, client: IpAddr) -> Said {
        let mut said = Said::NOTHING;
        for Level { clients, keys } in self.levels {
            for list in clients {
                self.hear(&mut said, list.action(client), &list.values);
            }
            for list in keys {
                self.hear(&mut said, list.verdict(None).action, &list.values);
            }
        }
        said
    }

    fn hear(&self, said: &mut Said, action: Action, values: &Values) {
        if !(self.is_retired && matches!(action, Action::Listed(_))) {
            said.hear(action, values);
        }
    }

    /// Where it may be that other clients begin.
    fn starts<A: Family>(&self) -> BTreeSet<A> {
        let lists = self.levels.iter().flat_map(|level| level.clients);
        let ranges = lists.flat_map(|list| list.prefixes()).filter_map(A::range);
        ranges.flat_map(|(first, last)| [Some(first), last.next()]).flatten().collect()
    }

    /// What the keys of the server's lists and of the zone's say, each by its level.
    fn keys(&self) -> BTreeMap<(usize, &'a [u8]), Said> {
        let mut said = BTreeMap::new();
        for (level, of_level) in self.levels.into_iter().enumerate() {
            for list in of_level.keys {
                for (key, action) in list.keys() {
                    self.hear(said.entry((level, key)).or_insert(Said::NOTHING), action, &list.values);
                }
            }
        }
        said
    }
}

/// Takes note of the clients of a family that are dealt with otherwise.
fn compare_clients<A: Family>(old: &Lists<'_>, new: &Lists<'_>, shown_max: usize, change: &mut AccessChange) {
    let mut add = |(treatment, first, last): (Treatment, A, A)| {
        let clients = change.clients.entry(treatment).or_default();
        A::count(first, last, &mut clients.amounts);
        if clients.shown.len() < shown_max {
            clients.shown.push(A::item(first, last));
        }
    };
    let starts = &(&old.starts() | &new.starts()) | &BTreeSet::from([A::MAX.prefix(0_u32).first]);
    let mut starts = starts.into_iter().peekable();
    let mut open: Option<(Treatment, A, A)> = None;
    while let Some(first) = starts.next() {
        let last = starts.peek().map_or(A::MAX, |next| next.before());
        let (before, after) = (old.of_client(first.ip()), new.of_client(first.ip()));
        if before == after {
            continue;
        }
        match &mut open {
            Some((known, _, end)) if *known == after.treatment && end.next() == Some(first) => *end = last,
            _ => open.replace((after.treatment, first, last)).into_iter().for_each(&mut add),
        }
    }
    open.into_iter().for_each(add);
}

/// Compares who may ask for a zone.
pub(super) fn compare(
    (old, old_zone): (&Snapshot, Option<&Zone>),
    (new, new_zone): (&Snapshot, Option<&Zone>),
    shown_max: usize,
) -> AccessChange {
    let mut change = AccessChange::default();
    let Some(new) = new_zone.and_then(|zone| Lists::of(new, zone)) else { return change };
    let old = old_zone.and_then(|zone| Lists::of(old, zone)).unwrap_or_default();
    compare_clients::<u32>(&old, &new, shown_max, &mut change);
    compare_clients::<u128>(&old, &new, shown_max, &mut change);
    let (old, new) = (old.keys(), new.keys());
    let come_or_other = new.iter().filter(|(key, said)| old.get(key) != Some(said)).count();
    let gone = old.keys().filter(|key| !new.contains_key(key)).count();
    change.keys = (come_or_other + gone) as u64;
    change.keys_before = old.len() as u64;
    change
}
