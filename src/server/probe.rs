//! The questions of RFC 5782 section 5, by which a client can tell that a list works and does not list the world.
//!
//! They go through the real answering code, as a client's would.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    answer::{self, Client, Policy, Transport, World},
    wire::{HEADER_LEN, class, name::Name, rr},
    zone::{
        dataset::Entries,
        snapshot::{Snapshot, Zone},
    },
};

/// A question and what came of it.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The address or name that is looked up.
    pub question: &'static str,
    /// What the RFC wants.
    pub should_be_listed: bool,
    /// The A records that came.
    pub found: Vec<Ipv4Addr>,
}

const V4: [(&str, &str, bool); 2] = [("127.0.0.2", "2.0.0.127", true), ("127.0.0.1", "1.0.0.127", false)];
const NAMES: [(&str, &str, bool); 2] = [("TEST", "test", true), ("INVALID", "invalid", false)];
const V6: [(&str, u128, bool); 2] =
    [("::FFFF:7F00:2", 0xffff_7f00_0002, true), ("::FFFF:7F00:1", 0xffff_7f00_0001, false)];

/// Asks a zone the questions that its datasets are for.
pub fn probes(snapshot: &Snapshot, zone: &Zone, now_s: u64) -> Vec<Probe> {
    let Some(content) = &zone.content else { return Vec::new() };
    let base = content.parts().last().map(|part| part.datasets.as_slice()).unwrap_or_default();
    let holds_v4 = base.iter().any(|dataset| dataset.kind.holds_v4());
    let holds_v6 = base.iter().any(|dataset| dataset.kind.holds_v6());
    let holds_names = base.iter().any(|dataset| matches!(dataset.entries, Entries::Names(_)));
    let mut probes = Vec::new();
    let mut ask = |question, name: &str, should_be_listed| {
        let found = look_up(snapshot, zone, name, now_s);
        probes.push(Probe { question, should_be_listed, found });
    };
    for (question, name, listed) in V4.into_iter().filter(|_| holds_v4) {
        ask(question, name, listed);
    }
    for (question, address, listed) in V6.into_iter().filter(|_| holds_v4 || holds_v6) {
        ask(question, &nibbles(address), listed);
    }
    for (question, name, listed) in NAMES.into_iter().filter(|_| holds_names) {
        ask(question, name, listed);
    }
    probes
}

/// The reversed nibbles of an address (RFC 5782 section 2.4).
fn nibbles(address: u128) -> String {
    let digits: Vec<String> = (0..32).map(|place| format!("{:x}", address >> (4 * place) & 0xf)).collect();
    digits.join(".")
}

/// Octets of an A record with a pointer as its owner.
const RECORD_LEN: usize = 16;

/// The A records of a name relative to a zone.
fn look_up(snapshot: &Snapshot, zone: &Zone, relative: &str, now_s: u64) -> Vec<Ipv4Addr> {
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
    let world = World { snapshot, policy: &policy, now_s, live: crate::zone::live::Live::NONE };
    let client = Client { address: IpAddr::V6(Ipv6Addr::LOCALHOST), transport: Transport::Tcp };
    let mut buffer = vec![0; usize::from(u16::MAX)];
    let outcome = answer::answer(world, client, &request, &mut buffer);
    // Every record is an A record whose owner is a pointer.
    let answers =
        &buffer[HEADER_LEN + name.as_wire().len() + 4..outcome.reply_len.max(HEADER_LEN + name.as_wire().len() + 4)];
    answers
        .chunks_exact(RECORD_LEN)
        .take(usize::from(outcome.answer_count))
        .filter_map(|record| record.last_chunk::<4>().map(|octets| Ipv4Addr::from(*octets)))
        .collect()
}
