//! What stands at a zone's apex: its SOA and its name servers, ready for the wire.
//!
//! Names in their RDATA are kept as the part that is not the zone's, and a pointer into the apex of the question for the
//! rest: the usual `ns1.bl.example` in `bl.example` takes six octets in an answer.

use std::net::IpAddr;

use crate::wire::{
    laid::{FIXED_LEN, Laid},
    name::{Name, labels},
    rr,
};

/// A name in RDATA, compressed against the apex of its zone where they share labels (RFC 1035 section 4.1.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RdataName {
    name: Name,
    /// Octets before what is shared, or the whole name.
    own_len: usize,
    /// Where in the apex's wire format the shared labels start.
    shared_at: Option<usize>,
}

impl RdataName {
    /// Compresses `name` against `apex`.
    pub fn new(name: Name, apex: &Name) -> Self {
        let (own_len, shared_at) = share(name.as_wire(), apex);
        Self { name, own_len, shared_at }
    }

    /// The name itself.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Lays the name out.
    fn lay(&self, laid: &mut Laid) {
        laid.octets(&self.name.as_wire()[..self.own_len]);
        if let Some(at) = self.shared_at {
            laid.pointer(at as u16);
        }
    }
}

/// How many octets of `wire` are its own, and where in `apex` the rest stands.
fn share(wire: &[u8], apex: &Name) -> (usize, Option<usize>) {
    let mut own_len = 0;
    for label in labels(wire) {
        let rest = &wire[own_len..];
        if let Some(at) = apex.as_wire().len().checked_sub(rest.len())
            && apex.as_wire()[at..].eq_ignore_ascii_case(rest)
            && starts_label(apex, at)
        {
            return (own_len, Some(at));
        }
        own_len += 1 + label.len();
    }
    (wire.len(), None)
}

/// Whether offset `at` of a name is the length octet of a label.
fn starts_label(name: &Name, at: usize) -> bool {
    let mut start = 0;
    labels(name.as_wire()).any(|label| {
        let here = start;
        start += 1 + label.len();
        here == at
    })
}

/// Start of authority (RFC 1035 section 3.3.13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soa {
    /// TTL of the record where it is asked for.
    pub ttl_s: u32,
    /// The same as it was given, where a least one for all records raised it: nobody meant "not listed" to be kept for longer.
    pub given_ttl_s: u32,
    /// The primary name server, in the case it was written in.
    pub origin: Name,
    /// The mailbox of the person in charge.
    pub person: Name,
    /// Version of the zone; 0 stands for the time of the newest file.
    pub serial: u32,
    /// Seconds between refreshes.
    pub refresh_s: u32,
    /// Seconds between retries.
    pub retry_s: u32,
    /// Seconds until secondaries stop answering.
    pub expire_s: u32,
    /// TTL of negative answers (RFC 2308 section 4).
    pub minimum_s: u32,
}

/// A SOA record in its zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneSoa {
    /// The record with its final serial.
    pub soa: Soa,
    answer: Laid,
    negative: Laid,
}

impl ZoneSoa {
    /// Places the record; `newest_s`, the time of the newest file, stands in for a serial of 0.
    pub fn new(mut soa: Soa, apex: &Name, newest_s: u64) -> Self {
        if soa.serial == 0 {
            soa.serial = newest_s as u32; // serial arithmetic (RFC 1982) is fine with what is cut off in 2106
        }
        let origin = RdataName::new(soa.origin.clone(), apex);
        let person = RdataName::new(soa.person.clone(), apex);
        let lay = |ttl_s| {
            let mut laid = Laid::default();
            laid.record(rr::SOA, ttl_s, |data| {
                origin.lay(data);
                person.lay(data);
                for number in [soa.serial, soa.refresh_s, soa.retry_s, soa.expire_s, soa.minimum_s] {
                    data.octets(&number.to_be_bytes());
                }
            });
            laid
        };
        // RFC 2308 section 5: a negative answer is kept no longer than either says.
        let (answer, negative) = (lay(soa.ttl_s), lay(soa.given_ttl_s.min(soa.minimum_s)));
        Self { soa, answer, negative }
    }

    /// The record where it is asked for.
    pub fn answer(&self) -> &Laid {
        &self.answer
    }

    /// The record in negative answers.
    pub fn negative(&self) -> &Laid {
        &self.negative
    }
}

/// The name servers as a dataset gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServers {
    /// TTL of the records.
    pub ttl_s: u32,
    /// Their names, each once, in the case they were written in.
    pub names: Vec<Name>,
}

/// The name servers of a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneServers {
    /// TTL of the records.
    pub ttl_s: u32,
    /// Each with its addresses, where those are in a zone of ours, and their TTL: those of IPv4, then those of IPv6.
    pub servers: Vec<(RdataName, Vec<(IpAddr, u32)>)>,
    /// The records, beginning with each of the servers once.
    turns: Vec<Turn>,
}

/// The NS records of a zone in one of their orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// The records.
    pub laid: Laid,
    /// Where in them the name of each server stands.
    pub names_at: Vec<usize>,
}

/// As many servers as rbldnsd takes.
pub const SERVERS_MAX: usize = 32;

impl ZoneServers {
    /// Places the first [`SERVERS_MAX`] servers; their addresses are found once all zones are known.
    pub fn new(servers: &NameServers, apex: &Name) -> Self {
        let names = servers.names.iter().take(SERVERS_MAX);
        let names: Vec<RdataName> = names.map(|name| RdataName::new(name.clone(), apex)).collect();
        let count = names.len();
        let turn = |first: usize| {
            let mut turn = Turn { laid: Laid::default(), names_at: vec![0; count] };
            for place in (first..count).chain(0..first) {
                turn.names_at[place] = turn.laid.len() + FIXED_LEN;
                turn.laid.record(rr::NS, servers.ttl_s, |data| names[place].lay(data));
            }
            turn
        };
        let turns = (0..count).map(turn).collect();
        Self { ttl_s: servers.ttl_s, servers: names.into_iter().map(|name| (name, Vec::new())).collect(), turns }
    }

    /// Whether the address of any server goes with the records.
    #[inline]
    pub fn have_addresses(&self) -> bool {
        self.servers.iter().any(|(_, addresses)| !addresses.is_empty())
    }

    /// The records, beginning with another server for each of as many ids as there are servers; `None` without any.
    #[inline]
    pub fn turn(&self, id: u16) -> Option<&Turn> {
        of_turn(&self.turns, id)
    }

    /// The same of all servers.
    pub(super) fn turns(&self) -> &[Turn] {
        &self.turns
    }
}

/// The one of several whose turn it is with this id.
#[inline]
pub(super) fn of_turn<T>(turns: &[T], id: u16) -> Option<&T> {
    // A remainder, without a division: the upper half of a product is as evenly spread.
    turns.get((usize::from(id) * turns.len()) >> u16::BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_share_the_end_of_the_apex() {
        let name = |text: &str| Name::parse_keeping_case(text.as_bytes()).expect("a name");
        let apex = name("bl.example.org");
        let compressed = |text| {
            let name = RdataName::new(name(text), &apex);
            (name.own_len, name.shared_at)
        };
        assert_eq!(compressed("ns1.bl.example.org"), (4, Some(0)));
        assert_eq!(compressed("Ns1.Example.ORG"), (4, Some(3)));
        assert_eq!(compressed("bl.example.org"), (0, Some(0)));
        assert_eq!(compressed("ns.example.com"), (16, None));
        assert_eq!(compressed("."), (1, None));
    }

    #[test]
    fn each_server_has_a_record() {
        let name = |text: &str| Name::parse(text.as_bytes()).expect("a name");
        let names = (0..=SERVERS_MAX).map(|number| name(&format!("ns{number}.example"))).collect();
        let servers = ZoneServers::new(&NameServers { ttl_s: 60, names }, &name("bl.example"));
        let counts = servers.turns().iter().map(|turn| turn.names_at.len());
        assert!(counts.chain([servers.servers.len()]).all(|count| count == SERVERS_MAX));
    }
}
