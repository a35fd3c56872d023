//! The questions of RFC 5782 section 5, by which a client can tell that a list works and does not list the world.
//!
//! They go through the real answering code, as a client's would. So do questions for some of a zone's own entries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    answer::{self, Client, Policy, Transport, World},
    wire::{
        HEADER_LEN, class,
        name::{Name, QueryName},
        rr,
    },
    zone::{
        dataset::{Dataset, Entries},
        live::Live,
        ruling::Context,
        snapshot::{Content, Part, Snapshot, Zone},
        subject::{name_of_v4, name_of_v6},
    },
};

/// A question and what came of it.
#[derive(Clone, Debug)]
pub struct Probe {
    /// A word for metrics.
    pub name: &'static str,
    /// The address or name that is looked up.
    pub question: &'static str,
    /// What the RFC wants.
    pub should_be_listed: bool,
    /// The A records that came.
    pub found: Vec<Ipv4Addr>,
}

impl Probe {
    /// Whether it came as the RFC wants it.
    pub fn is_ok(&self) -> bool {
        self.found.is_empty() != self.should_be_listed
    }
}

const V4: [(&str, &str, &str, bool); 2] =
    [("v4_test_entry", "127.0.0.2", "2.0.0.127", true), ("v4_never_listed", "127.0.0.1", "1.0.0.127", false)];
const NAMES: [(&str, &str, &str, bool); 2] =
    [("name_test_entry", "TEST", "test", true), ("name_never_listed", "INVALID", "invalid", false)];
const V6: [(&str, &str, u128, bool); 2] = [
    ("v6_test_entry", "::FFFF:7F00:2", 0xffff_7f00_0002, true),
    ("v6_never_listed", "::FFFF:7F00:1", 0xffff_7f00_0001, false),
];

/// The same zones, open to everyone: what they say is tested, not to whom.
pub fn without_access_lists(snapshot: &Snapshot) -> Snapshot {
    let zones = snapshot.zones().iter().map(|zone| Zone { acl: Vec::new(), keys: Vec::new(), ..zone.clone() });
    Snapshot::new(zones.collect(), Vec::new(), Vec::new())
}

/// The same zones, good for ever: what ends in them ends by its own lifetime, and not with the data.
pub fn without_expiry(snapshot: &Snapshot) -> Snapshot {
    let lasting = |zone: &Zone| {
        let mut zone = zone.clone();
        if let Some(content) = &mut zone.content {
            content.expires_s = u64::MAX;
        }
        zone
    };
    let zones = snapshot.zones().iter().map(lasting);
    Snapshot::new(zones.collect(), Vec::new(), Vec::new())
}

/// Asks a zone the questions that its datasets are for. What is listed by command answers as well.
pub fn probes(snapshot: &Snapshot, live: &Live, zone: &Zone, now_s: u64) -> Vec<Probe> {
    let Some(content) = &zone.content else { return Vec::new() };
    let base = content.parts().last().map(|part| part.datasets.as_slice()).unwrap_or_default();
    let holds_v4 = base.iter().any(|dataset| dataset.kind.holds_v4());
    let holds_v6 = base.iter().any(|dataset| dataset.kind.holds_v6());
    let holds_names = base.iter().any(|dataset| matches!(dataset.entries, Entries::Names(_)));
    let mut probes = Vec::new();
    let mut ask = |name, question, relative: &str, should_be_listed| {
        let found = look_up(snapshot, live, zone, relative, now_s);
        probes.push(Probe { name, question, should_be_listed, found });
    };
    for (name, question, relative, listed) in V4.into_iter().filter(|_| holds_v4) {
        ask(name, question, relative, listed);
    }
    for (name, question, address, listed) in V6.into_iter().filter(|_| holds_v4 || holds_v6) {
        ask(name, question, &name_of_v6(address), listed);
    }
    for (name, question, relative, listed) in NAMES.into_iter().filter(|_| holds_names) {
        ask(name, question, relative, listed);
    }
    probes
}

/// Entries that are asked for, of each dataset and family.
const OWN_ENTRIES: usize = 4;

/// Asks a zone for some of its own entries, and returns how many it was asked for, and those that did not come. An entry may be
/// excluded by command with good reason, so what there is by command is left aside.
pub fn own_entries(snapshot: &Snapshot, zone: &Zone, now_s: u64) -> (usize, Vec<String>) {
    let (mut count, mut missing) = (0, Vec::new());
    let context = Context { now_s, keyed: false };
    for part in zone.content.iter().flat_map(Content::parts) {
        for relative in part.datasets.iter().flat_map(|dataset| some_names(dataset, &context)) {
            let Ok(relative) = relative.below(&part.name) else { continue };
            if !is_answered_from(snapshot, zone, part, &relative) {
                continue;
            }
            count += 1;
            if look_up(snapshot, Live::NONE, zone, &relative.to_string(), now_s).is_empty() {
                missing.push(relative.to_string());
            }
        }
    }
    (count, missing)
}

/// Names, relative to its place, that a dataset lists now.
fn some_names(dataset: &Dataset, context: &Context) -> Vec<Name> {
    let parse = |text: String| Name::parse(text.as_bytes()).ok();
    match &dataset.entries {
        Entries::Addresses(addresses) => {
            let v4 = addresses.some_listed_v4(OWN_ENTRIES, context).into_iter().map(name_of_v4);
            let v6 = addresses.some_listed_v6(OWN_ENTRIES, context).into_iter().map(name_of_v6);
            v4.chain(v6).filter_map(parse).collect()
        }
        Entries::Names(names) => names.some_listed(OWN_ENTRIES, context),
        Entries::Records(_) => Vec::new(),
    }
}

/// Whether nothing deeper answers for a name: neither another zone nor another part of this one.
fn is_answered_from(snapshot: &Snapshot, zone: &Zone, part: &Part, relative: &Name) -> bool {
    let mut name = QueryName::new();
    let whole = relative.below(&zone.apex).ok();
    let Some(_) = whole.as_ref().and_then(|whole| name.read(whole.as_wire())) else { return false };
    let Some((place, left)) = snapshot.find(&name) else { return false };
    let answering = &snapshot.zones()[place];
    let content = answering.content.as_ref().filter(|_| answering.apex == zone.apex);
    content.is_some_and(|content| content.part(name.relative(left)).name == part.name)
}

/// Octets of an A record with a pointer as its owner.
const RECORD_LEN: usize = 16;

/// The A records of a name relative to a zone.
fn look_up(snapshot: &Snapshot, live: &Live, zone: &Zone, relative: &str, now_s: u64) -> Vec<Ipv4Addr> {
    let Some(name) = Name::parse(relative.as_bytes()).ok().and_then(|name| name.below(&zone.apex).ok()) else {
        return Vec::new();
    };
    let mut request = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    request.extend_from_slice(name.as_wire());
    request.extend_from_slice(&rr::A.to_be_bytes());
    request.extend_from_slice(&class::IN.to_be_bytes());
    let policy = Policy {
        udp_payload_len: 512,
        minimal: true,
        version: None,
        identity: None,
        cookie_secret: [0; 16],
        leaves_signed: false,
    };
    let world = World { snapshot, policy: &policy, now_s, live };
    let client = Client { address: IpAddr::V6(Ipv6Addr::LOCALHOST), transport: Transport::Tcp };
    let mut buffer = vec![0; usize::from(u16::MAX)];
    let outcome = answer::answer(world, client, &request, &mut buffer);
    // Every record is an A record whose owner is a pointer.
    let answers = &buffer[HEADER_LEN + name.as_wire().len() + 4
        ..usize::from(outcome.reply_len).max(HEADER_LEN + name.as_wire().len() + 4)];
    answers
        .chunks_exact(RECORD_LEN)
        .take(usize::from(outcome.answer_count))
        .filter_map(|record| record.last_chunk::<4>().map(|octets| Ipv4Addr::from(*octets)))
        .collect()
}
