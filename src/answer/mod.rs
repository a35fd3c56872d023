//! One pure function: a request, who sent it, the time and everything served go in; a reply and what it was come out.
//!
//! [`answer`] reads like the way of a query: read or refuse, find the zone, ask who may ask, then the apex or the lists, then
//! the proof that nothing is there. It opens nothing, reads no clock, allocates nothing and takes no lock, so the same code
//! answers a datagram, a query on a stream, a self-test and a fuzzer.
//!
//! | question | answered in |
//! |---|---|
//! | may this client ask, with this key? | `gate.rs` |
//! | SOA, NS and ANY at the apex; SOA and NS in the authority section | `apex.rs` |
//! | is the name listed, with which values? | `listing.rs` |
//! | and by command? | `live.rs` |
//! | what is said of a name that is not listed? | `negative.rs` |
//! | was the wrong zone asked? | `misuse.rs` |
//! | what server is this? | `chaos.rs` |
//! | and all of that at once, for nearly every query? | `usual.rs` |

#![forbid(unsafe_code)]

mod apex;
mod chaos;
mod gate;
mod listing;
mod live;
mod misuse;
mod negative;
mod usual;

use std::net::IpAddr;

use self::gate::Gate;
use crate::{
    wire::{
        ExtendedError, HEADER_LEN, PLAIN_UDP_LEN, Rcode, class, cookie,
        name::{QueryName, RelativeName},
        query::{Edns, Header, Query, Unanswerable},
        reply::{OptOptions, Reply},
        rr,
    },
    zone::{
        live::{Live, LiveZone},
        ruling::Context,
        snapshot::{Content, Snapshot, ZonePlace},
    },
};

/// Largest reply over UDP unless configured otherwise: what fits every path unfragmented (DNS flag day 2020).
pub const DEFAULT_UDP_PAYLOAD_LEN: u16 = 1232;

/// How the server presents itself, and what it leaves out.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Largest reply over UDP, in octets.
    pub udp_payload_len: u16,
    /// Leave the name servers out of answers that do not ask for them (BIND's minimal-responses).
    pub minimal: bool,
    /// What `version.bind` is told; `None` refuses.
    pub version: Option<Box<str>>,
    /// What `id.server` and NSID are told; `None` refuses.
    pub identity: Option<Box<str>>,
    /// The secret of our cookies.
    pub cookie_secret: cookie::Secret,
    /// Updates and signed queries are left to the control side ([`Ignored::Elsewhere`]); else there are no updates, and a
    /// signature is a record like any other.
    pub leaves_signed: bool,
}

/// How a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// As a datagram.
    Udp,
    /// On a stream.
    Tcp,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// How it asks.
    pub transport: Transport,
}

/// What a lookup came to. Counters have a column for each, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// No lookup was made.
    None,
    /// Something is at the name.
    Listed,
    /// Nothing is at the name or below it.
    Unlisted,
    /// Something is below the name (RFC 9499 section 7), or it is the apex.
    EmptyNonTerminal,
    /// Nothing is there, and the name is neither an address nor a domain, in a zone that lists addresses only.
    Malformed,
    /// Nothing is there, and could not be: a domain asked of a zone of addresses, or an address asked of one of names.
    Misuse,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Octets of the reply; 0 is silence.
    pub reply_len: u16,
    /// Seconds for which the reply is to be held back (the `delay` parameter of rspamd's fork).
    pub hold_s: u16,
    /// The zone, by its place in the snapshot.
    pub zone: Option<ZonePlace>,
    /// The type that was asked for; 0 if that cannot be told.
    pub qtype: u16,
    /// The response code, or why there is silence.
    pub fate: Result<Rcode, Ignored>,
    /// What the lookup came to.
    pub verdict: Verdict,
    /// Something did not fit.
    pub truncated: bool,
    /// Records in the answer section.
    pub answer_count: u16,
}

/// Why a request is met with silence. Counters have a column for each, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// An access list says so.
    Access,
    /// A response: answering would loop. So is what has no whole header, which no transport hands on.
    Response,
    /// It changes what is served, or it is signed: it is for the control side.
    Elsewhere,
}

/// Everything an answer is made from besides the request.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// What is served.
    pub snapshot: &'a Snapshot,
    /// How the server presents itself.
    pub policy: &'a Policy,
    /// Seconds since the epoch.
    pub now_s: u64,
    /// What was listed by command.
    pub live: &'a Live,
}

/// A query on its way: what the phases below share.
struct Asked<'a> {
    world: &'a World<'a>,
    client: &'a Client,
    query: &'a Query<'a>,
    name: &'a QueryName,
    context: Context,
    /// What was listed by command in the zone, once that is known.
    live: Option<&'a LiveZone>,
}

/// What a phase decided: the code, more about it, and what the lookup came to.
struct Decision {
    rcode: Rcode,
    extended_error: Option<ExtendedError>,
    verdict: Verdict,
    zone: Option<ZonePlace>,
    hold_s: u16,
}

impl Decision {
    const fn new(rcode: Rcode, extended_error: Option<ExtendedError>) -> Self {
        Self { rcode, extended_error, verdict: Verdict::None, zone: None, hold_s: 0 }
    }
}

/// Answers one request into `buffer`, which must hold the request's header and question and an OPT record of ours; what a
/// client takes and the buffer does not hold is left out or cut as what the client does not take.
///
/// # Panics
/// With a shorter buffer; the transports lend longer ones.
pub fn answer(world: World<'_>, client: Client, request: &[u8], buffer: &mut [u8]) -> Outcome {
    let mut name = QueryName::new();
    answer_if_usual(&mut name, &world, &client, request, buffer)
        .unwrap_or_else(|| answer_in_full(&mut name, &world, &client, request, buffer))
}

/// The same the short way, if request and zone are as usual, with a lent place for the question's name: who answers a million
/// needs one. After `None`, `name` and `buffer` hold remains, and [`answer_in_full`] answers.
#[inline(always)]
pub fn answer_if_usual(
    name: &mut QueryName,
    world: &World<'_>,
    client: &Client,
    request: &[u8],
    buffer: &mut [u8],
) -> Option<Outcome> {
    usual::answer(name, world, client, request, buffer.first_chunk_mut()?).map(Outcome::from)
}

/// The same the long way, which knows every case: where [`answer_if_usual`] answers, this says the same, and takes longer.
///
/// # Panics
/// With a buffer that is too short for [`answer`].
#[inline(never)]
pub fn answer_in_full(
    name: &mut QueryName,
    world: &World<'_>,
    client: &Client,
    request: &[u8],
    buffer: &mut [u8],
) -> Outcome {
    let gate = gate::of_server(world.snapshot, client.address);
    if gate.ignored {
        return silence(Ignored::Access, None, 0);
    }
    let query = match Query::read(request, name, world.policy.leaves_signed) {
        Ok(query) => query,
        Err(unanswerable) => return decline(world, client, request, &unanswerable, buffer),
    };
    let (question_len, edns) = (query.question_len(), query.edns.as_ref());
    let mut reply = start(world.policy, client, request, query.header, question_len, edns, buffer);
    let context = Context { now_s: world.now_s, keyed: false };
    let mut asked = Asked { world, client, query: &query, name, context, live: None };
    let decision = match decide(&mut asked, gate, &mut reply) {
        Ok(decision) => decision,
        Err(zone) => return silence(Ignored::Access, zone, query.qtype),
    };
    // Errors are nobody's, and what is said of any class is not the zone's alone (RFC 1035 section 3.2.5).
    if query.qclass == class::IN && matches!(decision.rcode, Rcode::NoError | Rcode::NxDomain) {
        reply.set_authoritative();
    }
    finish(world, client, edns, reply, &decision, query.qtype)
}

/// What was listed by command in the zone at that place, if anything was.
#[inline]
fn live_in<'a>(asked: &Asked<'a>, place: usize) -> Option<&'a LiveZone> {
    let World { snapshot, live, .. } = asked.world;
    live.zone(snapshot.zones()[place].live_slot)
}

/// Whether a type asks for more than records: transfers, and the obsolete mail types.
#[inline]
fn is_of_zones(qtype: u16) -> bool {
    (rr::TSIG - 1..rr::ANY).contains(&qtype)
}

/// Says why a request cannot be answered, or nothing.
#[cold]
#[inline(never)]
fn decline(
    world: &World<'_>,
    client: &Client,
    request: &[u8],
    unanswerable: &Unanswerable<'_>,
    buffer: &mut [u8],
) -> Outcome {
    match unanswerable {
        Unanswerable::Ignore => silence(Ignored::Response, None, 0),
        Unanswerable::Elsewhere => silence(Ignored::Elsewhere, None, 0),
        Unanswerable::Refuse(refusal) => {
            let edns = refusal.edns.as_ref();
            let reply = start(world.policy, client, request, refusal.header, refusal.question_len, edns, buffer);
            finish(world, client, edns, reply, &Decision::new(refusal.rcode, None), refusal.qtype)
        }
    }
}

/// Decides what to say and writes the records; `Err` with the zone's place is silence.
fn decide<'a>(asked: &mut Asked<'a>, gate: Gate<'a>, reply: &mut Reply<'_>) -> Result<Decision, Option<ZonePlace>> {
    let Query { qname_len, qtype, qclass, .. } = *asked.query;
    if qclass != class::IN
        && let Some(decision) = of_other_class(asked, qname_len, qclass, reply)
    {
        return Ok(decision);
    }
    if is_of_zones(qtype) {
        return Ok(Decision::new(Rcode::NotImp, Some(ExtendedError::NotSupported)));
    }
    let snapshot = asked.world.snapshot;
    let Some((place, left)) = snapshot.find(asked.name) else {
        return Ok(refuse(ExtendedError::NotAuthoritative));
    };
    let zone = &snapshot.zones()[place];
    asked.live = live_in(asked, place);
    let (gate, relative) = gate::of_zone(asked, zone, asked.name.relative(left), gate);
    if gate.ignored {
        return Err(Some(ZonePlace::new(place)));
    }
    let mut decision = match &zone.content {
        Some(content) if content.is_current(&asked.context) && !gate.refused => {
            in_zone(asked, content, relative, left, &gate, reply)
        }
        content => unserved(content.as_ref(), &asked.context),
    };
    decision.zone = Some(ZonePlace::new(place));
    Ok(decision)
}

/// What questions of other classes than IN get, unless it is that of any class.
#[cold]
fn of_other_class(asked: &Asked<'_>, qname_len: usize, qclass: u16, reply: &mut Reply<'_>) -> Option<Decision> {
    if qname_len == 0 {
        return Some(Decision::new(of_cookie_alone(asked), None));
    }
    match qclass {
        // RFC 1035 section 3.2.5: any class will do.
        class::ANY => None,
        class::CH => Some(chaos::answer(asked, reply)),
        _ => Some(refuse(ExtendedError::NotAuthoritative)),
    }
}

/// The code of the answer where nothing but a cookie is asked for (RFC 7873 section 5.4): there, an old one or that of another
/// server is an error, and the reply has a new one all the same.
fn of_cookie_alone(asked: &Asked<'_>) -> Rcode {
    let World { policy, now_s, .. } = *asked.world;
    let presented = asked.query.edns.and_then(|edns| edns.cookie).filter(|cookie| cookie.len() > cookie::CLIENT_LEN);
    let is_bad = |cookie| !cookie::is_valid(&policy.cookie_secret, cookie, asked.client.address, now_s);
    if presented.is_some_and(is_bad) { Rcode::BadCookie } else { Rcode::NoError }
}

/// Answers from a zone that is served, to a client that may ask. `left` labels of the name stand left of the apex, `relative`
/// are those without an access key.
#[inline]
fn in_zone(
    asked: &Asked<'_>,
    content: &Content,
    relative: RelativeName<'_>,
    left: usize,
    gate: &Gate<'_>,
    reply: &mut Reply<'_>,
) -> Decision {
    let (apex_at, is_apex) = (HEADER_LEN + asked.name.start(left), left == 0);
    if is_apex && let Some(decision) = apex::answer(asked, content, apex_at, reply) {
        return decision;
    }
    if relative.label_count() == 0 && !is_apex {
        // `KEY.ZONE`: a resolver on its way down must learn that something is below.
        let mut decision = Decision::new(Rcode::NoError, None);
        decision.verdict = Verdict::EmptyNonTerminal;
        negative::add_soa(content, apex_at, reply);
        return decision;
    }
    let sought = content.part(relative).seek(relative);
    let found = listing::answer(asked, content, &sought, gate, reply);
    let mut decision = Decision::new(Rcode::NoError, None);
    decision.hold_s = found.hold_s;
    (decision.rcode, decision.verdict) = if found.exists {
        (Rcode::NoError, Verdict::Listed)
    } else {
        negative::judge(asked, content, (relative, asked.name.relative(left)), &sought, gate, found)
    };
    if reply.answer_count() > 0 {
        apex::add_servers(asked, content, apex_at, reply);
    } else if !reply.is_truncated() {
        negative::add_soa(content, apex_at, reply);
    }
    decision
}

/// Why a zone is not served now: it has no data, or they are too old, or it is not for this client.
#[cold]
fn unserved(content: Option<&Content>, context: &Context) -> Decision {
    match content {
        None => Decision::new(Rcode::ServFail, Some(ExtendedError::NotReady)),
        Some(content) if !content.is_current(context) => {
            Decision::new(Rcode::ServFail, Some(ExtendedError::InvalidData))
        }
        Some(_) => refuse(ExtendedError::Prohibited),
    }
}

fn refuse(error: ExtendedError) -> Decision {
    Decision::new(Rcode::Refused, Some(error))
}

/// Starts a reply of the size that the client and the way to it allow.
#[inline]
fn start<'b>(
    policy: &Policy,
    client: &Client,
    request: &[u8],
    header: Header,
    question_len: usize,
    edns: Option<&Edns<'_>>,
    buffer: &'b mut [u8],
) -> Reply<'b> {
    let limit = match (client.transport, edns) {
        (Transport::Tcp, _) => u16::MAX,
        (Transport::Udp, None) => PLAIN_UDP_LEN,
        // RFC 6891 section 6.2.3: less than 512 is 512.
        (Transport::Udp, Some(edns)) => {
            edns.payload_len.max(PLAIN_UDP_LEN).min(policy.udp_payload_len.max(PLAIN_UDP_LEN))
        }
    };
    Reply::new(buffer, usize::from(limit), request, header, question_len, edns)
}

#[inline]
fn finish(
    world: &World<'_>,
    client: &Client,
    edns: Option<&Edns<'_>>,
    mut reply: Reply<'_>,
    decision: &Decision,
    qtype: u16,
) -> Outcome {
    reply.set_rcode(decision.rcode);
    let (truncated, answer_count) = (reply.is_truncated(), reply.answer_count());
    let mut options = OptOptions { extended_error: decision.extended_error, ..OptOptions::default() };
    if let Some(edns) = edns {
        let policy = world.policy;
        options.cookie =
            edns.cookie.map(|presented| cookie::answer(&policy.cookie_secret, presented, client.address, world.now_s));
        options.nsid = policy.identity.as_deref().map(str::as_bytes).filter(|_| edns.wants_nsid);
    }
    Outcome {
        reply_len: reply.finish(world.policy.udp_payload_len, &options) as u16,
        hold_s: decision.hold_s,
        zone: decision.zone,
        qtype,
        fate: Ok(decision.rcode),
        verdict: decision.verdict,
        truncated,
        answer_count,
    }
}

fn silence(reason: Ignored, zone: Option<ZonePlace>, qtype: u16) -> Outcome {
    Outcome {
        reply_len: 0,
        hold_s: 0,
        zone,
        qtype,
        fate: Err(reason),
        verdict: Verdict::None,
        truncated: false,
        answer_count: 0,
    }
}
