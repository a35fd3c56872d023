//! What an update means for the listings: a pure function of the update and of what is listed now.
//!
//! It is asked twice: when an update comes in, and again by the writer of the listings just before it is done, with what is
//! listed at that moment. If both say the same, the update is done; so prerequisites and edits hold together, whatever
//! other doors do meanwhile.

use std::{net::Ipv4Addr, time::Duration};

use ipnet::IpNet;

use super::{
    Datum, Edit, Objection, Prerequisite, Update,
    owner::{self, Holds},
};
use crate::{
    live::listings::{Change, Key, Lifetime, Op, Record, Verdict},
    wire::{
        Rcode,
        name::{Name, QueryName},
        rr,
    },
    zone::{
        dataset::Shape,
        live::{BUILT_IN, expand},
        shown,
        snapshot::Content,
    },
};

/// What listings without a return code of their own are answered with, by the shape of their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codes {
    /// Of IPv4 addresses and prefixes.
    pub v4: Ipv4Addr,
    /// Of IPv6 ones.
    pub v6: Ipv4Addr,
    /// Of names.
    pub name: Ipv4Addr,
}

impl Default for Codes {
    fn default() -> Self {
        Self { v4: BUILT_IN, v6: BUILT_IN, name: BUILT_IN }
    }
}

impl Codes {
    /// Those of a zone.
    pub fn of(content: &Content) -> Self {
        let code = |shape| {
            let model = content.model(shape);
            model.and_then(|model| Some(model.values.address(model.default_value?))).unwrap_or(BUILT_IN)
        };
        Self { v4: code(Shape::V4), v6: code(Shape::V6), name: code(Shape::Name) }
    }

    fn of_key(&self, key: &Key) -> Ipv4Addr {
        match key {
            Key::Prefix(IpNet::V4(_)) => self.v4,
            Key::Prefix(IpNet::V6(_)) => self.v6,
            Key::Name { .. } => self.name,
        }
    }
}

const UNMET: &str = "a prerequisite does not hold";
const OTHER_TYPE: Objection =
    Objection::new(Rcode::Refused, "a record is neither A nor TXT, and the zone's own records come from its files");
const NO_KEY: Objection =
    Objection::new(Rcode::Refused, "a name stands for no address, prefix or domain that the zone takes");
const TWO_VALUES: Objection = Objection::new(Rcode::Refused, "a name has two records of one type");

/// What is said of a key at that moment.
pub type Lookup<'a> = &'a dyn Fn(&Name, &Key) -> Option<Record>;

/// The value of a listing, as far as it has one of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Value {
    address: Option<Ipv4Addr>,
    text: Option<String>,
}

impl Value {
    /// Whether that is a record of it, listed with that key; `code` is what it is answered with if it has no code of its own. A
    /// text may stand as it was given, or as it is answered, which is the data that RFC 2136 sections 2.4.2 and 3.4.2.4 mean.
    fn is(&self, datum: &Datum, key: &Key, code: Ipv4Addr) -> bool {
        match datum {
            Datum::A(address) => self.address.unwrap_or(code) == *address,
            Datum::Txt(text) => self.text.as_ref().is_some_and(|own| own == text || is_answered(own, key, text)),
            Datum::Other(_) => false,
        }
    }

    /// A listing has an A record always, and a TXT record that an update sees if it has a text of its own.
    fn has(&self, rtype: u16) -> bool {
        rtype == rr::A || rtype == rr::TXT && self.text.is_some()
    }
}

/// Whether a text of a key is answered so. That of a prefix is answered for its addresses only, each with its own.
fn is_answered(own: &str, key: &Key, text: &str) -> bool {
    let is_so = |shown: &[u8]| expand(own, shown) == text.as_bytes();
    match key {
        Key::Prefix(prefix) if prefix.prefix_len() == prefix.max_prefix_len() => {
            shown::Key::Address(prefix.addr()).show(is_so)
        }
        Key::Prefix(_) => false,
        Key::Name { name, .. } => {
            let mut query_name = QueryName::new();
            let is_read = query_name.read(name.as_wire()).is_some();
            is_read && shown::Key::Name(query_name.relative(query_name.label_count())).show(is_so)
        }
    }
}

/// What an update needs to be planned.
pub struct Planner<'a> {
    /// The update.
    pub update: &'a Update,
    /// Which keys its zone takes.
    pub holds: Holds,
    /// What it answers where a listing leaves that to it.
    pub codes: Codes,
    /// Seconds since the epoch.
    pub now_s: u64,
}

impl Planner<'_> {
    /// The changes that do what the update says; none if all is as it should be.
    ///
    /// # Errors
    /// A prerequisite that does not hold, or something that is not for updates.
    pub fn plan(&self, lookup: Lookup<'_>) -> Result<Vec<Change>, Objection> {
        self.check_prerequisites(lookup)?;
        let mut targets: Vec<Target> = Vec::new();
        for edit in &self.update.edits {
            let Some(key) = self.key_of(edit)? else { continue };
            let known = targets.iter().position(|target| target.key == key);
            let index = known.unwrap_or_else(|| {
                targets.push(Target::new(key.clone(), self.listed(&key, lookup)));
                targets.len() - 1
            });
            targets[index].take(edit, self.codes.of_key(&key))?;
        }
        Ok(targets.into_iter().filter_map(|target| target.change(&self.update.zone, self.now_s)).collect())
    }

    /// What an edit is about; `None` if there is nothing to be done: what is not there need not be deleted.
    fn key_of(&self, edit: &Edit) -> Result<Option<Key>, Objection> {
        match edit {
            Edit::Add { owner, datum, .. } => match datum {
                // The zone's own records come from its files.
                Datum::Other(_) => Err(OTHER_TYPE),
                Datum::A(_) | Datum::Txt(_) => owner::key(owner, self.holds).map(Some).ok_or(NO_KEY),
            },
            Edit::DeleteName { owner } | Edit::DeleteRrset { owner, .. } | Edit::DeleteOne { owner, .. } => {
                Ok(owner::key(owner, self.holds))
            }
        }
    }

    /// RFC 2136 section 3.2.
    fn check_prerequisites(&self, lookup: Lookup<'_>) -> Result<(), Objection> {
        let value_at = |owner: &Name| {
            let key = owner::key(owner, self.holds)?;
            self.listed(&key, lookup).map(|value| (value, key))
        };
        let holds = |has: bool, wanted: bool, missing, existing| match (has, wanted) {
            (true, false) => Err(Objection::new(existing, UNMET)),
            (false, true) => Err(Objection::new(missing, UNMET)),
            _ => Ok(()),
        };
        for prerequisite in &self.update.prerequisites {
            match prerequisite {
                Prerequisite::Name { owner, in_use } => {
                    // A zone has its SOA record, at least.
                    let is_used = owner.is_root() || value_at(owner).is_some();
                    holds(is_used, *in_use, Rcode::NxDomain, Rcode::YxDomain)?;
                }
                Prerequisite::Rrset { owner, rtype, exists } => {
                    let is_own = owner.is_root() && matches!(*rtype, rr::SOA | rr::NS);
                    let has = is_own || value_at(owner).is_some_and(|(value, _)| value.has(*rtype));
                    holds(has, *exists, Rcode::NxRrset, Rcode::YxRrset)?;
                }
                Prerequisite::Value { owner, datum } => {
                    let has =
                        value_at(owner).is_some_and(|(value, key)| value.is(datum, &key, self.codes.of_key(&key)));
                    holds(has, true, Rcode::NxRrset, Rcode::NxRrset)?;
                }
            }
        }
        Ok(())
    }

    /// What a key is listed with now. What is excluded has no records to an update; that none undoes it, the listings see to.
    fn listed(&self, key: &Key, lookup: Lookup<'_>) -> Option<Value> {
        let record = lookup(&self.update.zone, key).filter(|record| record.in_force(self.now_s))?;
        match record.verdict {
            Verdict::Excluded => None,
            Verdict::Listed { address, text } => Some(Value { address, text: text.filter(|text| !text.is_empty()) }),
        }
    }
}

/// A key that is edited, edit by edit.
struct Target {
    key: Key,
    was_listed: bool,
    /// What is listed, by now.
    value: Option<Value>,
    /// A record that was there is deleted.
    is_deleted: bool,
    /// The longest lifetime of what is added.
    added: Option<u32>,
    /// What is added, for each type, and its lifetime.
    data: Vec<(Datum, u32)>,
}

/// The longest lifetime of some records.
fn longest(data: &[(Datum, u32)]) -> Option<u32> {
    data.iter().map(|(_, ttl_s)| *ttl_s).max()
}

impl Target {
    fn new(key: Key, value: Option<Value>) -> Self {
        Self { key, was_listed: value.is_some(), value, is_deleted: false, added: None, data: Vec::new() }
    }

    fn take(&mut self, edit: &Edit, code: Ipv4Addr) -> Result<(), Objection> {
        match edit {
            // A listing has one record of a type: to lose one of two in silence would be a lie.
            Edit::Add { datum, .. }
                if self.data.iter().any(|(added, _)| added.rtype() == datum.rtype() && added != datum) =>
            {
                return Err(TWO_VALUES);
            }
            Edit::Add { datum, ttl_s, .. } => {
                self.data.push((datum.clone(), *ttl_s));
                let value = self.value.get_or_insert_default();
                match datum {
                    Datum::A(address) => value.address = Some(*address),
                    Datum::Txt(text) => value.text = Some(text.clone()),
                    Datum::Other(_) => return Err(OTHER_TYPE),
                }
                self.added = longest(&self.data);
            }
            Edit::DeleteName { .. } => {
                self.is_deleted |= self.was_listed;
                (self.value, self.added) = (None, None);
                self.data.clear();
            }
            Edit::DeleteRrset { rtype, .. } => self.delete(*rtype),
            Edit::DeleteOne { datum, .. } => {
                if self.value.as_ref().is_some_and(|value| value.is(datum, &self.key, code)) {
                    self.delete(datum.rtype());
                }
            }
        }
        Ok(())
    }

    /// Deletes the records of a type. What an update adds after it makes one listing with what is left, and so does an A record
    /// that it added before; a text that it added to a listing of which the A record goes lists nothing.
    fn delete(&mut self, rtype: u16) {
        let is_there = self.was_listed || self.data.iter().any(|(added, _)| added.rtype() == rtype);
        let Some(value) = self.value.as_mut().filter(|value| is_there && value.has(rtype)) else { return };
        self.is_deleted |= self.was_listed;
        self.data.retain(|(added, _)| added.rtype() != rtype);
        if rtype == rr::A {
            (value.address, self.added) = (None, None);
        } else {
            (value.text, self.added) = (None, longest(&self.data));
        }
    }

    fn change(self, zone: &Name, now_s: u64) -> Option<Change> {
        let Self { key, value, is_deleted, added, .. } = self;
        let change = |op, reason| Some(Change { zone: zone.clone(), key, op, reason });
        let (Some(Value { address, text }), Some(ttl_s)) = (value, added) else {
            return is_deleted.then(|| change(Op::Delist, None)).flatten();
        };
        let lifetime = match ttl_s {
            0 => Lifetime::Default,
            // Who deletes first means to begin anew, and to end sooner if the new TTL is shorter.
            _ if is_deleted => Lifetime::Until(now_s + u64::from(ttl_s)),
            _ => Lifetime::For(Duration::from_secs(ttl_s.into())),
        };
        // What is said to those who ask is why it is listed.
        let reason = text.clone();
        change(Op::Put { verdict: Verdict::Listed { address, text }, lifetime }, reason)
    }
}
