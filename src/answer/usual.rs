//! The usual question, answered in one go: is this address, or this name, listed in a zone that is served to everyone?
//!
//! Nineteen in twenty queries are that, and nearly all of them find one value or nothing. They are answered here from the octets
//! of the request, with the same lookups as everywhere and none of the bookkeeping for what they do not have: access lists,
//! keys, subzones, several values, options but a cookie, replies beyond 512 octets. Whatever has any of that is left to the long way in
//! [`super`], to which this adds nothing: where both answer, they answer alike.

use super::{Client, Outcome, Verdict, World, listing::remaining_ttl_s};
use crate::{
    wire::{
        Rcode, cookie,
        name::{QueryName, RelativeName},
        plain::{PlainQuery, PlainReply},
        reply::Full,
        rr,
    },
    zone::{
        dataset::{Dataset, Entries},
        live::{Below, LiveZone},
        ruling::{Context, Finding},
        shown::Key,
        snapshot::{Content, Usual},
        subject::{has_nibbles_on_wire, is_behind_v4, read_v4_on_wire, read_v6_on_wire},
        values::{Part, ValueId, Values},
    },
};

/// Octets of four labels of one digit.
const FOUR_DIGITS_LEN: usize = 8;

/// Who asks what.
#[derive(Clone, Copy)]
struct Asked<'a> {
    world: &'a World<'a>,
    client: &'a Client,
    query: PlainQuery<'a>,
}

/// A zone that is as usual.
#[derive(Clone, Copy)]
struct Zone<'a> {
    place: usize,
    content: &'a Content,
    live: Option<&'a LiveZone>,
    context: Context,
    /// Where in the question's name it begins.
    apex_at: usize,
}

/// The one thing that lists what was asked for.
#[derive(Clone, Copy)]
struct Hit<'a> {
    dataset: &'a Dataset,
    value: ValueId,
    until_s: u32,
}

/// More was found than is usual.
struct Unusual;

/// Answers a request, if it and its zone and what is found there are as usual.
#[inline]
pub(super) fn answer(
    name: &mut QueryName,
    world: &World<'_>,
    client: &Client,
    request: &[u8],
    buffer: &mut [u8],
) -> Option<Outcome> {
    let query = PlainQuery::read(request)?;
    if !matches!(query.qtype, rr::A | rr::TXT | rr::AAAA) {
        return None;
    }
    let asked = &Asked { world, client, query };
    // Four labels of one digit begin an IPv6 address as well.
    if let Some((address, apex_at)) = read_v4_on_wire(query.name)
        && apex_at != FOUR_DIGITS_LEN
        && let Some(place) = query.name.get(apex_at..).and_then(|apex| world.snapshot.at(apex))
    {
        return answer_v4(asked, address, place, apex_at, buffer);
    }
    if has_nibbles_on_wire(query.name) {
        return answer_v6(asked, buffer);
    }
    answer_name(name, asked, buffer)
}

#[inline]
fn answer_v4(asked: &Asked<'_>, address: u32, place: usize, apex_at: usize, buffer: &mut [u8]) -> Option<Outcome> {
    let zone = Zone::at(asked.world, place, apex_at, Usual::Addresses)?;
    match zone.find_v4(address).ok()? {
        None => deny(asked, zone.place, zone.content, apex_at, buffer),
        Some(hit) => confirm(asked, zone, hit, Key::V4(address), buffer),
    }
}

#[inline(never)]
fn answer_v6(asked: &Asked<'_>, buffer: &mut [u8]) -> Option<Outcome> {
    let Asked { world, query, .. } = *asked;
    let (address, apex_at) = read_v6_on_wire(query.name)?;
    let zone = Zone::at(world, world.snapshot.at(query.name.get(apex_at..)?)?, apex_at, Usual::Addresses)?;
    match zone.find_v6(address).ok()? {
        None => deny(asked, zone.place, zone.content, zone.apex_at, buffer),
        Some(hit) => confirm(asked, zone, hit, Key::V6(address), buffer),
    }
}

#[inline(never)]
fn answer_name(name: &mut QueryName, asked: &Asked<'_>, buffer: &mut [u8]) -> Option<Outcome> {
    let Asked { world, query, .. } = *asked;
    let place = name.read_above(query.name, |left| world.snapshot.at(left))?;
    let relative = name.relative(name.label_count());
    let zone = Zone::at(world, place, relative.octets().len(), Usual::Names)?;
    match zone.find_name(relative).ok()? {
        (None, _) => deny(asked, zone.place, zone.content, zone.apex_at, buffer),
        (Some(hit), entry) => confirm(asked, zone, hit, Key::Name(entry), buffer),
    }
}

impl<'a> Zone<'a> {
    #[inline]
    fn at(world: &World<'a>, place: usize, apex_at: usize, kind: Usual) -> Option<Self> {
        let context = Context { now_s: world.now_s, keyed: false };
        let content = world.snapshot.usual(place, kind, &context)?;
        let live = world.live.zone(world.snapshot.zones()[place].live_slot);
        Some(Self { place, content, live, context, apex_at })
    }

    /// What lists an IPv4 address, if anything does.
    #[inline]
    fn find_v4(&self, address: u32) -> Result<Option<Hit<'a>>, Unusual> {
        if let Some(live) = self.live
            && (live.has_names() || live.find_v4(address, self.context.now_s).is_some())
        {
            return Err(Unusual);
        }
        self.ask(|entries| match entries {
            Entries::Addresses(addresses) => addresses.find_v4(address, &self.context),
            _ => Finding::Absent,
        })
    }

    /// What lists an IPv6 address, if anything does.
    #[inline]
    fn find_v6(&self, address: u128) -> Result<Option<Hit<'a>>, Unusual> {
        if is_behind_v4(address) {
            return Err(Unusual);
        }
        if let Some(live) = self.live
            && (live.has_names() || live.find_v6(address, self.context.now_s).is_some())
        {
            return Err(Unusual);
        }
        self.ask(|entries| match entries {
            Entries::Addresses(addresses) => addresses.find_v6(address, &self.context),
            _ => Finding::Absent,
        })
    }

    /// What lists a name, if anything does, and under which entry. A name above others is unusual, and so is one that may be an
    /// address.
    #[inline]
    fn find_name<'n>(&self, name: RelativeName<'n>) -> Result<(Option<Hit<'a>>, RelativeName<'n>), Unusual> {
        let top_level = name.label_count().checked_sub(1).map_or([0; 4], |last| name.label_start(last));
        if top_level[0] < 2 || top_level[1].is_ascii_digit() {
            return Err(Unusual);
        }
        if let Some(live) = self.live
            && (live.find_name(name, self.context.now_s).is_some()
                || live.below(name, self.context.now_s) != Below::Nothing)
        {
            return Err(Unusual);
        }
        let (mut entry_label_count, mut is_above) = (0, false);
        let hit = self.ask(|entries| match entries {
            Entries::Names(names) => {
                let found = names.look_up(name, &self.context);
                is_above |= found.listed_below;
                if found.finding.is_listed() {
                    entry_label_count = found.entry_label_count;
                }
                found.finding
            }
            _ => Finding::Absent,
        })?;
        if hit.is_none() && is_above {
            return Err(Unusual);
        }
        Ok((hit, name.last(entry_label_count)))
    }

    /// Asks all datasets.
    #[inline]
    fn ask(&self, mut find: impl FnMut(&'a Entries) -> Finding<'a>) -> Result<Option<Hit<'a>>, Unusual> {
        let mut hit = None;
        for dataset in self.content.own_datasets() {
            match find(&dataset.entries) {
                Finding::Absent | Finding::Excluded => {}
                Finding::One(value, until_s) if hit.is_none() => hit = Some(Hit { dataset, value, until_s }),
                Finding::One(..) | Finding::Many(_) => return Err(Unusual),
            }
        }
        Ok(hit)
    }
}

/// Says that nothing is listed.
#[inline(never)]
fn deny(asked: &Asked<'_>, place: usize, content: &Content, apex_at: usize, buffer: &mut [u8]) -> Option<Outcome> {
    let mut reply = PlainReply::new(&asked.query, buffer).ok()?;
    if let Some(soa) = &content.soa {
        reply.authority(soa.negative(), apex_at).ok()?;
    }
    finish(asked, place, reply, Verdict::Unlisted)
}

/// Says what is listed.
#[inline(never)]
fn confirm(asked: &Asked<'_>, zone: Zone<'_>, hit: Hit<'_>, key: Key<'_>, buffer: &mut [u8]) -> Option<Outcome> {
    let mut reply = PlainReply::new(&asked.query, buffer).ok()?;
    add_record(asked.query.qtype, zone, hit, key, &mut reply)?;
    add_servers(asked, zone, &mut reply)?;
    finish(asked, zone.place, reply, Verdict::Listed)
}

#[inline(always)]
#[allow(clippy::inline_always, reason = "its two callers are all there is to an answer")]
fn finish(asked: &Asked<'_>, place: usize, reply: PlainReply<'_>, verdict: Verdict) -> Option<Outcome> {
    let Asked { world, client, query } = asked;
    let policy = world.policy;
    let cookie =
        query.cookie().map(|presented| cookie::answer(&policy.cookie_secret, presented, client.address, world.now_s));
    let is_listed = verdict == Verdict::Listed;
    let rcode = if is_listed { Rcode::NoError } else { Rcode::NxDomain };
    Some(Outcome {
        reply_len: reply.finish(query, rcode, policy.udp_payload_len, cookie).ok()?,
        hold_s: 0,
        zone: Some(place),
        qtype: query.qtype,
        rcode: Some(rcode),
        verdict,
        truncated: false,
        has_edns: query.has_edns(),
        answer_count: u16::from(is_listed),
        ignored: None,
    })
}

/// Adds the record of the type that is asked for, if the value has one.
#[inline]
fn add_record(qtype: u16, zone: Zone<'_>, hit: Hit<'_>, key: Key<'_>, reply: &mut PlainReply<'_>) -> Option<()> {
    let (values, value) = (&hit.dataset.values, hit.value);
    let ttl_s = remaining_ttl_s(hit.dataset.ttl_s, hit.until_s, zone.context.now_s);
    match qtype {
        rr::A => reply.address(ttl_s, values.address(value).octets()).ok(),
        rr::TXT => reply.text(ttl_s, |reply| add_text(values, value, key, reply)).ok(),
        _ => None,
    }
}

#[inline(never)]
fn add_text(values: &Values, value: ValueId, key: Key<'_>, reply: &mut PlainReply<'_>) -> Result<(), Full> {
    let text = values.text(value).ok_or(Full)?;
    if let Some(ready) = values.ready_text(text) {
        return reply.append(ready);
    }
    key.show(|shown| {
        reply.string(values.parts(text).map(|part| match part {
            Part::Literal(literal) => literal,
            Part::Key => shown,
        }))
    })
}

/// Adds the zone's name servers, unless their addresses would go with them.
#[inline]
fn add_servers(asked: &Asked<'_>, zone: Zone<'_>, reply: &mut PlainReply<'_>) -> Option<()> {
    let Some(servers) = zone.content.servers.as_ref().filter(|_| !asked.world.policy.minimal) else { return Some(()) };
    if servers.have_addresses() {
        return None;
    }
    servers.turn(asked.query.id()).map_or(Some(()), |turn| reply.authority(&turn.laid, zone.apex_at).ok())
}
