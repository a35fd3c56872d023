//! DNS UPDATE (RFC 2136): records added and deleted by message are listings made and ended.
//!
//! ```text
//! message -> read     what it says, and whether it says it well (this file)
//!         -> plan     what that means for the listings, given what is listed now (plan.rs); owner.rs, what a name lists
//!         -> desk     who may; done when durable; the reply, signed (desk.rs); not twice (recent.rs)
//! ```
//!
//! An added A record is a listing with that return code, an added TXT record one with that text (`$` stands for the key, as in
//! files); both of one owner are one listing. The TTL is the lifetime; 0 leaves that to the zone's rule. Whatever deletes
//! a record that is listed, delists. The zone's own records (SOA, NS and what files say) are not changed by messages:
//! prerequisites do not see them, and an update that names them is refused.

mod desk;
pub mod owner;
pub mod plan;
mod recent;

pub use desk::{Desk, Inbox, Job, Keys, Note, Permit, serve};

use std::net::Ipv4Addr;

use super::message::{Question, Reader, Record, Unreadable};
use crate::wire::{
    Rcode, class,
    name::Name,
    query::{Header, OPCODE_UPDATE},
    rr,
};

/// Class NONE (RFC 2136 section 1.1).
const CLASS_NONE: u16 = 254;

/// An update as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The zone.
    pub zone: Name,
    /// What must hold, or nothing is done.
    pub prerequisites: Vec<Prerequisite>,
    /// What is to be done, in this order.
    pub edits: Vec<Edit>,
}

impl Update {
    /// The names that it is about, relative to the zone.
    pub fn owners(&self) -> impl Iterator<Item = &Name> {
        let of_prerequisites = self.prerequisites.iter().map(|prerequisite| match prerequisite {
            Prerequisite::Name { owner, .. }
            | Prerequisite::Rrset { owner, .. }
            | Prerequisite::Value { owner, .. } => owner,
        });
        let of_edits = self.edits.iter().map(|edit| match edit {
            Edit::Add { owner, .. }
            | Edit::DeleteName { owner }
            | Edit::DeleteRrset { owner, .. }
            | Edit::DeleteOne { owner, .. } => owner,
        });
        of_prerequisites.chain(of_edits)
    }
}

/// What an update may ask for first (RFC 2136 section 2.4); owners are relative to the zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prerequisite {
    /// Something is at the name, or nothing.
    Name {
        /// The name.
        owner: Name,
        /// Which of the two.
        in_use: bool,
    },
    /// Records of a type are there, or none.
    Rrset {
        /// Their owner.
        owner: Name,
        /// Their type.
        rtype: u16,
        /// Which of the two.
        exists: bool,
    },
    /// A record is there with this value. Several of one owner and type are all that there is.
    Value {
        /// Its owner.
        owner: Name,
        /// What it says.
        datum: Datum,
    },
}

/// What an update may do (RFC 2136 section 2.5); owners are relative to the zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Add a record.
    Add {
        /// Its owner.
        owner: Name,
        /// What it says.
        datum: Datum,
        /// For how long.
        ttl_s: u32,
    },
    /// Delete all records of a name.
    DeleteName {
        /// The name.
        owner: Name,
    },
    /// Delete all records of a type.
    DeleteRrset {
        /// Their owner.
        owner: Name,
        /// Their type.
        rtype: u16,
    },
    /// Delete one record.
    DeleteOne {
        /// Its owner.
        owner: Name,
        /// What it says.
        datum: Datum,
    },
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datum {
    /// A return code.
    A(Ipv4Addr),
    /// A text, its strings joined.
    Txt(String),
    /// Something that a listing does not have.
    Other(u16),
}

impl Datum {
    /// The record's type.
    pub const fn rtype(&self) -> u16 {
        match self {
            Self::A(_) => rr::A,
            Self::Txt(_) => rr::TXT,
            Self::Other(rtype) => *rtype,
        }
    }

    fn read(rtype: u16, data: &[u8]) -> Result<Self, Objection> {
        match rtype {
            rr::A => {
                let octets: [u8; 4] = data.try_into().map_err(|_| NO_SUCH_RECORD)?;
                Ok(Self::A(octets.into()))
            }
            // RFC 1035 section 3.3.14: one string at least.
            rr::TXT if data.is_empty() => Err(NO_SUCH_RECORD),
            rr::TXT => {
                let (mut rest, mut text) = (data, Vec::new());
                while let Some((&length, after)) = rest.split_first() {
                    let (string, after) = after.split_at_checked(length.into()).ok_or(NO_SUCH_RECORD)?;
                    text.extend_from_slice(string);
                    rest = after;
                }
                // Listings keep their texts as UTF-8.
                let not_utf8 = Objection::new(Rcode::Refused, "a text is not UTF-8");
                String::from_utf8(text).map(Self::Txt).map_err(|_| not_utf8)
            }
            rtype => Ok(Self::Other(rtype)),
        }
    }
}

/// Why an update is not done: the code for the reply, and what the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The code.
    pub rcode: Rcode,
    /// The reason, for whoever looks after the server.
    pub why: &'static str,
}

impl Objection {
    const fn new(rcode: Rcode, why: &'static str) -> Self {
        Self { rcode, why }
    }
}

impl From<Unreadable> for Objection {
    fn from(_: Unreadable) -> Self {
        Self::new(Rcode::FormErr, "it ends too soon, or has a name that cannot be read")
    }
}

const NO_SUCH_RECORD: Objection =
    Objection::new(Rcode::FormErr, "a record has a class, type, TTL or data that none may have");
const OTHER_ZONE: Objection = Objection::new(Rcode::NotZone, "a name is not in the zone");

/// The zone that an update is for (RFC 2136 section 3.1.1).
///
/// # Errors
/// FORMERR.
pub fn read_zone(message: &[u8]) -> Result<Question, Objection> {
    const NO_ZONE: Objection = Objection::new(Rcode::FormErr, "it does not name one zone");
    let header = Header::read(message).ok_or(Unreadable)?;
    if header.opcode() != OPCODE_UPDATE || header.counts[0] != 1 {
        return Err(NO_ZONE);
    }
    let zone = Reader::new(message).question()?;
    if zone.rtype == rr::SOA { Ok(zone) } else { Err(NO_ZONE) }
}

/// Reads an update whose zone is served.
///
/// # Errors
/// What is wrong with it.
pub fn read(message: &[u8]) -> Result<Update, Objection> {
    let zone = read_zone(message)?;
    let counts = Header::read(message).ok_or(Unreadable)?.counts;
    let mut reader = Reader::new(message);
    reader.question()?;
    let (mut prerequisites, mut edits) = (Vec::new(), Vec::new());
    for _ in 0..counts[1] {
        prerequisites.push(prerequisite(&reader.record()?, &zone)?);
    }
    for _ in 0..counts[2] {
        edits.push(edit(&reader.record()?, &zone)?);
    }
    // RFC 2136 section 2.6: additional data may be ignored, though not what cannot be read.
    for _ in 0..counts[3] {
        reader.record()?;
    }
    if reader.position() != message.len() {
        return Err(Objection::new(Rcode::FormErr, "more follows than it counts"));
    }
    Ok(Update { zone: zone.name, prerequisites, edits })
}

/// RFC 2136 section 3.2.5.
fn prerequisite(record: &Record<'_>, zone: &Question) -> Result<Prerequisite, Objection> {
    if record.ttl_s != 0 {
        return Err(NO_SUCH_RECORD);
    }
    let owner = record.owner.strip(&zone.name).ok_or(OTHER_ZONE)?;
    let is_valueless = record.class == class::ANY || record.class == CLASS_NONE;
    if is_valueless && !record.data.is_empty() {
        return Err(NO_SUCH_RECORD);
    }
    let exists = record.class == class::ANY;
    match record.rtype {
        rr::ANY if is_valueless => Ok(Prerequisite::Name { owner, in_use: exists }),
        rtype if is_meta(rtype) => Err(NO_SUCH_RECORD),
        rtype if is_valueless => Ok(Prerequisite::Rrset { owner, rtype, exists }),
        rtype if record.class == zone.class => {
            Ok(Prerequisite::Value { owner, datum: Datum::read(rtype, record.data)? })
        }
        _ => Err(NO_SUCH_RECORD),
    }
}

/// RFC 2136 section 3.4.1.3.
fn edit(record: &Record<'_>, zone: &Question) -> Result<Edit, Objection> {
    let owner = record.owner.strip(&zone.name).ok_or(OTHER_ZONE)?;
    let is_bare = record.ttl_s == 0 && record.data.is_empty();
    match (record.class, record.rtype) {
        (class::ANY, rr::ANY) if is_bare => Ok(Edit::DeleteName { owner }),
        (_, rtype) if is_meta(rtype) => Err(NO_SUCH_RECORD),
        (class::ANY, rtype) if is_bare => Ok(Edit::DeleteRrset { owner, rtype }),
        (CLASS_NONE, rtype) if record.ttl_s == 0 => {
            Ok(Edit::DeleteOne { owner, datum: Datum::read(rtype, record.data)? })
        }
        (class, rtype) if class == zone.class => {
            // RFC 2181 section 8: a TTL with the highest bit set is 0.
            let ttl_s = if record.ttl_s > i32::MAX as u32 { 0 } else { record.ttl_s };
            Ok(Edit::Add { owner, datum: Datum::read(rtype, record.data)?, ttl_s })
        }
        _ => Err(NO_SUCH_RECORD),
    }
}

/// Types of questions and of messages, which no zone holds (RFC 6895 section 3.1).
const fn is_meta(rtype: u16) -> bool {
    rtype == rr::OPT || rtype >= 128 && rtype <= 255
}

#[cfg(test)]
mod tests;
