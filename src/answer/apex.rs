//! The zone's own data: SOA and NS where they are asked for, and where other answers carry them along.

use super::{Asked, Decision, Verdict, refuse};
use crate::{
    wire::{
        ExtendedError, Rcode,
        reply::{Full, Reply, Section},
        rr,
    },
    zone::{
        apex::{ZoneServers, ZoneSoa},
        snapshot::Content,
    },
};

/// Answers a question for what stands only at the apex; `None` leaves it to the datasets.
pub(super) fn answer(asked: &Asked<'_>, content: &Content, apex_at: usize, reply: &mut Reply<'_>) -> Option<Decision> {
    let written = match asked.query.qtype {
        rr::SOA => match &content.soa {
            Some(soa) => add_soa(soa, soa.soa.ttl_s, Section::Answer, apex_at, reply),
            // Every zone has both (RFC 2181 section 6.1), but this one was not told: as rbldnsd, it declines to lie.
            None => return Some(refuse(reply, ExtendedError::NotReady)),
        },
        rr::NS => match &content.servers {
            Some(servers) => add_ns(asked, servers, Section::Answer, apex_at, reply),
            None => return Some(refuse(reply, ExtendedError::NotReady)),
        },
        // RFC 8482 section 4.1: one RRset is enough, and the SOA is the one that every zone has.
        rr::ANY => add_soa(content.soa.as_ref()?, content.soa.as_ref()?.soa.ttl_s, Section::Answer, apex_at, reply),
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

/// Adds the SOA that says how long a negative answer may be kept (RFC 2308 section 3).
#[inline]
pub(super) fn add_negative_soa(content: &Content, apex_at: usize, reply: &mut Reply<'_>) {
    if let Some(soa) = &content.soa
        && add_soa(soa, soa.negative_ttl_s(), Section::Authority, apex_at, reply).is_err()
    {
        reply.set_truncated();
    }
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

fn add_soa(soa: &ZoneSoa, ttl_s: u32, section: Section, apex_at: usize, reply: &mut Reply<'_>) -> Result<(), Full> {
    reply.record(section, apex_at, rr::SOA, ttl_s, |data| soa.write(data, apex_at))
}

/// Writes the NS records, starting with another one each time, and then their addresses as far as they fit.
fn add_ns(
    asked: &Asked<'_>,
    servers: &ZoneServers,
    section: Section,
    apex_at: usize,
    reply: &mut Reply<'_>,
) -> Result<(), Full> {
    const RDATA_OFFSET: usize = 12;
    /// As many as rbldnsd takes.
    const SERVERS_MAX: usize = 32;
    let count = servers.servers.len().min(SERVERS_MAX);
    // The id is as good as random, and needs no counter that all workers share.
    let turn = usize::from(asked.query.header.id) % count.max(1);
    let mut name_at = [0; SERVERS_MAX];
    for index in 0..count {
        let place = (index + turn) % count;
        name_at[place] = reply.position() + RDATA_OFFSET;
        let (name, _) = &servers.servers[place];
        reply.record(section, apex_at, rr::NS, servers.ttl_s, |data| name.write(data, apex_at))?;
    }
    if asked.world.policy.minimal {
        return Ok(());
    }
    for (place, (_, addresses)) in servers.servers.iter().take(count).enumerate() {
        for (address, ttl_s) in addresses {
            let data = address.octets();
            if reply.record(Section::Additional, name_at[place], rr::A, *ttl_s, |room| room.octets(&data)).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
