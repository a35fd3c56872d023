//! The zone's own data: SOA and NS where they are asked for, and where other answers carry them along.

use std::net::IpAddr;

use super::{Asked, Decision, Verdict, refuse};
use crate::{
    wire::{
        ExtendedError, Rcode,
        reply::{Full, Reply, Section},
        rr,
    },
    zone::{apex::ZoneServers, snapshot::Content},
};

/// Answers a question for what stands only at the apex; `None` leaves it to the datasets.
pub(super) fn answer(asked: &Asked<'_>, content: &Content, apex_at: usize, reply: &mut Reply<'_>) -> Option<Decision> {
    let written = match asked.query.qtype {
        rr::SOA => match &content.soa {
            Some(soa) => reply.lay(Section::Answer, soa.answer(), apex_at),
            // Every zone has both (RFC 2181 section 6.1), but this one was not told: as rbldnsd, it declines to lie.
            None => return Some(refuse(ExtendedError::NotReady)),
        },
        rr::NS => match &content.servers {
            Some(servers) => add_ns(asked, servers, Section::Answer, apex_at, reply),
            None => return Some(refuse(ExtendedError::NotReady)),
        },
        // RFC 8482 section 4.1: one RRset is enough, and the SOA is the one that every zone has.
        rr::ANY => reply.lay(Section::Answer, content.soa.as_ref()?.answer(), apex_at),
        _ => return None,
    };
    if written.is_err() {
        reply.set_truncated();
    } else if asked.query.qtype != rr::NS {
        add_servers(asked, content, apex_at, reply);
    }
    let mut decision = Decision::new(Rcode::NoError, None);
    decision.verdict = Verdict::EmptyNonTerminal;
    Some(decision)
}

/// Adds the zone's name servers to an answer, where there is room: they are a courtesy (RFC 2181 section 9).
#[inline]
pub(super) fn add_servers(asked: &Asked<'_>, content: &Content, apex_at: usize, reply: &mut Reply<'_>) {
    if asked.world.policy.minimal || reply.is_truncated() {
        return;
    }
    if let Some(servers) = &content.servers {
        let before = reply.mark();
        if add_ns(asked, servers, Section::Authority, apex_at, reply).is_err() {
            reply.take_back(before);
        }
    }
}

/// Writes the NS records, starting with another one each time, and then their addresses as far as they fit.
#[inline]
fn add_ns(
    asked: &Asked<'_>,
    servers: &ZoneServers,
    section: Section,
    apex_at: usize,
    reply: &mut Reply<'_>,
) -> Result<(), Full> {
    // The id is as good as random, and needs no counter that all workers share.
    let Some(turn) = servers.turn(asked.query.header.id) else { return Ok(()) };
    let start = reply.position();
    reply.lay(section, &turn.laid, apex_at)?;
    if asked.world.policy.minimal {
        return Ok(());
    }
    for ((_, addresses), name_at) in servers.servers.iter().zip(&turn.names_at) {
        for rrset in addresses.chunk_by(|(one, _), (next, _)| one.is_ipv4() == next.is_ipv4()) {
            let before = reply.mark();
            if add_addresses(rrset, start + name_at, reply).is_err() {
                // RFC 2181 section 9: part of an RRset is worse than none
                reply.take_back(before);
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Writes the address records of a name that stands at `owner_at`.
fn add_addresses(addresses: &[(IpAddr, u32)], owner_at: usize, reply: &mut Reply<'_>) -> Result<(), Full> {
    for (address, ttl_s) in addresses {
        match address {
            IpAddr::V4(address) => {
                reply.record(Section::Additional, owner_at, rr::A, *ttl_s, |room| room.octets(&address.octets()))?;
            }
            IpAddr::V6(address) => {
                reply.record(Section::Additional, owner_at, rr::AAAA, *ttl_s, |room| room.octets(&address.octets()))?;
            }
        }
    }
    Ok(())
}
