//! The usual question, answered in one go: is this address, or this name, listed in a zone that is served to everyone?
//!
//! Nearly all queries are that, and find one value or nothing. They are answered here from the octets
//! of the request, with lookups that agree with those everywhere, and none of the bookkeeping for what they do not have: access lists,
//! keys, subzones, several values, options but a cookie, replies beyond 512 octets. Whatever has any of that is left to the long way in
//! [`super`], to which this adds nothing: where both answer, they answer alike.

use std::{net::IpAddr, sync::Arc};

use super::{Client, Outcome, Verdict, World, listing::remaining_ttl_s, live::value_of};
use crate::{
    wire::{
        HEADER_LEN, Rcode, cookie,
        name::{QueryName, RelativeName},
        plain::{PlainQuery, PlainReply, REPLY_MAX_LEN},
        rr,
    },
    zone::{
        addresses::Addresses,
        dataset::{Dataset, Entries, Shape},
        live::{Below, Entry, LiveZone},
        names::Glance,
        ruling::{Context, Finding},
        shown::Key,
        snapshot::ZonePlace,
        subject::{has_nibbles_on_wire, is_behind_v4, read_v4_on_wire, read_v6_on_wire},
        usual::{KeySort, ServerRecords, UsualZone},
        values::{TextPart, ValueId, Values},
    },
};

/// Where a reply goes.
type Room = [u8; REPLY_MAX_LEN];

/// The one thing that lists what was asked for.
#[derive(Clone, Copy)]
struct Hit<'a> {
    values: &'a Values,
    value: ValueId,
    ttl_s: u32,
}

impl<'a> Hit<'a> {
    #[inline]
    fn of(dataset: &'a Dataset, value: ValueId, until_s: u32, context: &Context) -> Self {
        let ttl_s = remaining_ttl_s(dataset.ttl_s, until_s, context.now_s);
        Self { values: &dataset.values, value, ttl_s }
    }
}

/// What was said of a key by command.
#[derive(Clone, Copy)]
enum ByCommand<'a> {
    Nothing,
    Excluded,
    Listed(Hit<'a>),
}

/// More was found than is usual.
struct Unusual;

/// What became of a request, as far as that differs, in one register.
#[derive(Clone, Copy)]
pub(super) struct UsualOutcome {
    zone: ZonePlace,
    reply_len: u16,
    qtype: u8,
    is_listed: bool,
}

impl From<UsualOutcome> for Outcome {
    #[inline]
    fn from(usual: UsualOutcome) -> Self {
        let UsualOutcome { zone, reply_len, qtype, is_listed } = usual;
        Self {
            reply_len,
            hold_s: 0,
            zone: Some(zone),
            qtype: qtype.into(),
            fate: Ok(if is_listed { Rcode::NoError } else { Rcode::NxDomain }),
            verdict: if is_listed { Verdict::Listed } else { Verdict::Unlisted },
            truncated: false,
            answer_count: is_listed.into(),
        }
    }
}

/// What an answer is made from besides the request.
#[derive(Clone, Copy)]
struct Setting<'a> {
    world: &'a World<'a>,
    client: &'a Client,
}

/// Answers a request, if it and its zone and what is found there are as usual.
#[inline]
pub(super) fn answer(
    name: &mut QueryName,
    world: &World<'_>,
    client: &Client,
    request: &[u8],
    room: &mut Room,
) -> Option<UsualOutcome> {
    let setting = Setting { world, client };
    let wire = request.get(HEADER_LEN..)?;
    // Four labels of one digit are an IPv4 address, or begin an IPv6 one.
    if has_nibbles_on_wire(wire) {
        return answer_v6(setting, request, room);
    }
    if wire.get(1)?.is_ascii_digit() {
        return answer_v4_or_name(name, setting, request, room);
    }
    answer_name(name, setting, request, room)
}

/// Some names begin with a digit as well.
#[inline(never)]
fn answer_v4_or_name(
    name: &mut QueryName,
    setting: Setting<'_>,
    request: &[u8],
    room: &mut Room,
) -> Option<UsualOutcome> {
    match read_v4_on_wire(request.get(HEADER_LEN..).unwrap_or_default()) {
        Some((address, apex_at)) => answer_v4(setting, address, apex_at, request, room),
        None => answer_name(name, setting, request, room),
    }
}

#[inline(always)]
fn answer_v4(
    setting: Setting<'_>,
    address: u32,
    apex_at: usize,
    request: &[u8],
    room: &mut Room,
) -> Option<UsualOutcome> {
    let query = read(request)?;
    let zone = zone_at(setting.world, query.name().get(apex_at..)?, KeySort::Addresses)?;
    match find_address(zone, setting.world, address, query.qtype).ok()? {
        None => deny(setting, query, zone, apex_at, room),
        Some(hit) => confirm(setting, request, zone, apex_at, hit, Key::Address(IpAddr::V4(address.into())), room),
    }
}

#[inline(never)]
fn answer_v6(setting: Setting<'_>, request: &[u8], room: &mut Room) -> Option<UsualOutcome> {
    let query = read(request)?;
    let (address, apex_at) = read_v6_on_wire(query.name()).filter(|(address, _)| !is_behind_v4(*address))?;
    let zone = zone_at(setting.world, query.name().get(apex_at..)?, KeySort::Addresses)?;
    match find_address(zone, setting.world, address, query.qtype).ok()? {
        None => deny(setting, query, zone, apex_at, room),
        Some(hit) => confirm(setting, request, zone, apex_at, hit, Key::Address(IpAddr::V6(address.into())), room),
    }
}

#[inline(never)]
fn answer_name(name: &mut QueryName, setting: Setting<'_>, request: &[u8], room: &mut Room) -> Option<UsualOutcome> {
    let query = read(request)?;
    let snapshot = setting.world.snapshot;
    let (zone, apex_at) = name.read_above(
        query.name(),
        |len| snapshot.may_be_usual(len),
        |left| zone_at(setting.world, left, KeySort::Names),
    )?;
    let relative = name.relative(name.label_count());
    match find_name(zone, setting.world, relative, query.qtype).ok()? {
        (None, _) => deny(setting, query, zone, apex_at, room),
        (Some(hit), entry) => confirm(setting, request, zone, apex_at, hit, Key::Name(entry), room),
    }
}

/// The usual zone of that name, if it lists such keys.
#[inline(always)]
fn zone_at<'a>(world: &World<'a>, apex: &[u8], keys: KeySort) -> Option<&'a UsualZone> {
    world.snapshot.usual_at(apex, world.now_s).filter(|zone| zone.keys == keys)
}

/// Reads a request for records of a usual type, or one as old.
#[inline(always)]
fn read(request: &[u8]) -> Option<PlainQuery<'_>> {
    PlainQuery::read(request).filter(|query| query.qtype <= rr::AAAA)
}

/// What lists an address, if anything does.
#[inline(always)]
fn find_address<'a>(
    zone: &'a UsualZone,
    world: &World<'a>,
    address: impl AddressKey,
    qtype: u16,
) -> Result<Option<Hit<'a>>, Unusual> {
    match world.live.zone(zone.live_slot) {
        Some(live) => find_beside_live(live, zone, world, address, qtype),
        None => find_in_files(zone, world, address),
    }
}

/// The same in a zone that has live listings.
#[inline(never)]
fn find_beside_live<'a>(
    live: &'a LiveZone,
    zone: &'a UsualZone,
    world: &World<'a>,
    address: impl AddressKey,
    qtype: u16,
) -> Result<Option<Hit<'a>>, Unusual> {
    let (shape, entry) = address.find_live(live, world.now_s);
    let listed = match by_command(live, zone, entry, shape, (qtype, world.now_s))? {
        ByCommand::Excluded => return Ok(None),
        ByCommand::Nothing => return find_in_files(zone, world, address),
        ByCommand::Listed(hit) => hit,
    };
    match find_in_files(zone, world, address)? {
        None => Ok(Some(listed)),
        Some(_) => Err(Unusual),
    }
}

/// An address that is looked for.
trait AddressKey: Copy {
    /// What was said of it by command.
    fn find_live(self, live: &LiveZone, now_s: u64) -> (Shape, Option<Entry>);

    /// What a set says of it.
    fn find<'a>(self, addresses: &'a Addresses, context: &Context) -> Finding<'a>;
}

impl AddressKey for u32 {
    #[inline]
    fn find_live(self, live: &LiveZone, now_s: u64) -> (Shape, Option<Entry>) {
        (Shape::V4, live.find_v4(self, now_s))
    }

    #[inline(always)]
    fn find<'a>(self, addresses: &'a Addresses, context: &Context) -> Finding<'a> {
        addresses.find_v4(self, context)
    }
}

impl AddressKey for u128 {
    #[inline]
    fn find_live(self, live: &LiveZone, now_s: u64) -> (Shape, Option<Entry>) {
        (Shape::V6, live.find_v6(self, now_s))
    }

    #[inline]
    fn find<'a>(self, addresses: &'a Addresses, context: &Context) -> Finding<'a> {
        addresses.find_v6(self, context)
    }
}

/// What lists an address in the datasets of a zone, of which it mostly has one.
#[inline(always)]
fn find_in_files<'a>(
    zone: &'a UsualZone,
    world: &World<'_>,
    address: impl AddressKey,
) -> Result<Option<Hit<'a>>, Unusual> {
    match &*zone.datasets {
        [only] => find_in(only, address, &for_all(world)),
        several => find_in_several(several, address, &for_all(world)),
    }
}

#[inline(always)]
fn find_in<'a>(dataset: &'a Dataset, address: impl AddressKey, context: &Context) -> Result<Option<Hit<'a>>, Unusual> {
    let Entries::Addresses(addresses) = &dataset.entries else { return Ok(None) };
    match address.find(addresses, context) {
        Finding::Absent | Finding::Excluded => Ok(None),
        Finding::One(value, until_s) => Ok(Some(Hit::of(dataset, value, until_s, context))),
        Finding::Many(_) | Finding::Together(..) => Err(Unusual),
    }
}

#[inline(never)]
fn find_in_several<'a>(
    datasets: &'a [Arc<Dataset>],
    address: impl AddressKey,
    context: &Context,
) -> Result<Option<Hit<'a>>, Unusual> {
    let mut hit = None;
    for dataset in datasets {
        if let Some(own) = find_in(dataset, address, context)?
            && hit.replace(own).is_some()
        {
            return Err(Unusual);
        }
    }
    Ok(hit)
}

/// What an entry of the live listings of a zone says.
#[inline]
fn by_command<'a>(
    live: &'a LiveZone,
    zone: &'a UsualZone,
    entry: Option<Entry>,
    shape: Shape,
    (qtype, now_s): (u16, u64),
) -> Result<ByCommand<'a>, Unusual> {
    // Such a zone is asked for addresses as for names.
    if shape != Shape::Name && live.has_names() {
        return Err(Unusual);
    }
    let Some(entry) = entry else { return Ok(ByCommand::Nothing) };
    if entry.value().is_none() {
        return Ok(ByCommand::Excluded);
    }
    let (values, value, ttl_s) = value_of(live, zone.model(shape), entry, qtype, now_s).ok_or(Unusual)?;
    Ok(ByCommand::Listed(Hit { values, value, ttl_s }))
}

/// What lists a name, if anything does, and under which entry. A name above others is unusual, and so is one that may be an
/// address.
#[inline]
fn find_name<'a, 'n>(
    zone: &'a UsualZone,
    world: &World<'a>,
    name: RelativeName<'n>,
    qtype: u16,
) -> Result<(Option<Hit<'a>>, RelativeName<'n>), Unusual> {
    let top_level = name.label_count().checked_sub(1).map_or([0; 2], |last| name.label_start(last));
    if top_level[0] < 2 || top_level[1].is_ascii_digit() {
        return Err(Unusual);
    }
    let (mut hit, mut entry_label_count, mut is_above) = (None, 0, false);
    if let Some(live) = world.live.zone(zone.live_slot) {
        let (label_count, entry) = live.find_name(name, world.now_s).unzip();
        match by_command(live, zone, entry, Shape::Name, (qtype, world.now_s))? {
            ByCommand::Nothing if live.below(name, world.now_s) == Below::Nothing => {}
            ByCommand::Nothing | ByCommand::Excluded => return Err(Unusual),
            ByCommand::Listed(live) => (hit, entry_label_count) = (Some(live), label_count.unwrap_or(0)),
        }
    }
    let context = for_all(world);
    for dataset in &zone.datasets {
        let Entries::Names(names) = &dataset.entries else { continue };
        let (value, until_s, label_count) = match names.glance(name, &context) {
            Glance::Nothing => continue,
            Glance::One { value, until_s, entry_label_count } => (value, until_s, entry_label_count),
            Glance::Unclear => {
                let found = names.look_up(name, &context);
                is_above |= found.listed_below;
                match found.finding {
                    Finding::Absent | Finding::Excluded => continue,
                    Finding::One(value, until_s) => (value, until_s, found.entry_label_count),
                    Finding::Many(_) | Finding::Together(..) => return Err(Unusual),
                }
            }
        };
        if hit.is_some() {
            return Err(Unusual);
        }
        (hit, entry_label_count) = (Some(Hit::of(dataset, value, until_s, &context)), label_count);
    }
    if hit.is_none() && is_above {
        return Err(Unusual);
    }
    Ok((hit, name.last(entry_label_count)))
}

/// What lookups depend on for whoever has no key.
#[inline]
fn for_all(world: &World<'_>) -> Context {
    Context { now_s: world.now_s, keyed: false }
}

/// Says that nothing is listed.
#[inline(always)]
fn deny(
    setting: Setting<'_>,
    query: PlainQuery<'_>,
    zone: &UsualZone,
    apex_at: usize,
    room: &mut Room,
) -> Option<UsualOutcome> {
    let mut reply = PlainReply::new(&query, room).ok()?;
    reply.authority_block(zone.denial.as_ref()?, apex_at).ok()?;
    finish(setting, &query, zone, reply, Rcode::NxDomain)
}

/// Says what is listed.
#[inline(never)]
fn confirm(
    setting: Setting<'_>,
    request: &[u8],
    zone: &UsualZone,
    apex_at: usize,
    hit: Hit<'_>,
    key: Key<'_>,
    room: &mut Room,
) -> Option<UsualOutcome> {
    // Reading it again takes less than keeping it at hand for the few that are listed.
    let query = read(request)?;
    let mut reply = PlainReply::new(&query, room).ok()?;
    let ttl_s = remaining_ttl_s(hit.ttl_s, zone.until_s, setting.world.now_s);
    add_record(query.qtype, Hit { ttl_s, ..hit }, key, &mut reply)?;
    if !setting.world.policy.minimal
        && let Some(servers) = zone.servers(query.id())?
    {
        match servers {
            ServerRecords::Block(block) => reply.authority_block(block, apex_at).ok()?,
            ServerRecords::Laid(laid) => reply.authority(laid, apex_at).ok()?,
        }
    }
    finish(setting, &query, zone, reply, Rcode::NoError)
}

#[inline(always)]
fn finish(
    setting: Setting<'_>,
    query: &PlainQuery<'_>,
    zone: &UsualZone,
    mut reply: PlainReply<'_>,
    rcode: Rcode,
) -> Option<UsualOutcome> {
    if let Some(opt) = &query.opt {
        let Setting { world: World { policy, now_s, .. }, client } = setting;
        let answer = |presented| cookie::answer(&policy.cookie_secret, presented, client.address, *now_s);
        reply.opt(opt, policy.udp_payload_len, opt.cookie.map(answer)).ok()?;
    }
    Some(UsualOutcome {
        zone: zone.place,
        reply_len: reply.finish(rcode),
        qtype: query.qtype as u8,
        is_listed: rcode == Rcode::NoError,
    })
}

/// Adds the record of the type that is asked for, if the value has one.
#[inline]
fn add_record(qtype: u16, hit: Hit<'_>, key: Key<'_>, reply: &mut PlainReply<'_>) -> Option<()> {
    let Hit { values, value, ttl_s } = hit;
    match qtype {
        rr::A => reply.address(ttl_s, values.address(value).octets()).ok(),
        rr::TXT => reply.text(ttl_s, |room| write_text(values, value, key, room)).ok(),
        _ => None,
    }
}

/// Writes the text of a value as character-strings, with the key in one such string. `None` also where that takes several.
#[inline(never)]
fn write_text(values: &Values, value: ValueId, key: Key<'_>, room: &mut [u8]) -> Option<usize> {
    let text = values.text(value)?;
    if let Some(ready) = values.ready_text(text) {
        room.get_mut(..ready.len())?.copy_from_slice(ready);
        return Some(ready.len());
    }
    key.show(|shown| {
        let mut end = 1;
        for part in values.parts(text) {
            let octets = match part {
                TextPart::Literal(literal) => literal,
                TextPart::Key => shown,
            };
            room.get_mut(end..)?.get_mut(..octets.len())?.copy_from_slice(octets);
            end += octets.len();
        }
        *room.first_mut()? = u8::try_from(end - 1).ok()?;
        Some(end)
    })
}
