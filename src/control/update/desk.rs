//! Where updates and signed queries are attended to: one thread, to which the workers give them away.
//!
//! The thread checks signatures and plans; it never waits for the disk. The writer of the listings calls back when an update
//! is durable, and the reply leaves from there, so any number of updates share a commit. What comes in while the queue is full
//! is met with silence, and counted: clients of UDP ask again, those of TCP go on.

use std::{
    cell::Cell as Flag,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
};

use tracing::{debug, error, info, warn};

use super::{
    Objection, Update,
    owner::Holds,
    plan::{Codes, Lookup, Planner},
    read, read_zone,
    recent::{Recent, Seen},
};
use crate::{
    answer::{self, Client, Policy, Transport, World},
    control::{
        message::Reader,
        permit::Scope,
        sparing::{Sparing, and_more},
        tally::{Tally, Upshot},
        tsig::{Key, Seal, Signature, unsigned_header},
    },
    live::{
        clock,
        listings::{Batch, Change, Door, Listings, Origin, Outcome, StoreError},
        printable::printable,
        served::{Cell, LiveCell},
    },
    net::{Late, TCP_REPLY_MAX_LEN, UDP_REPLY_MAX_LEN},
    wire::{
        self, HEADER_LEN, PLAIN_UDP_LEN, Rcode, class, cookie,
        name::Name,
        query::{FLAG_TC, Header, OPCODE_UPDATE, read_edns},
        reply::OptOptions,
    },
    zone::snapshot::Snapshot,
};

/// Requests that wait at most. At the rate of a slow disk, some seconds.
const QUEUE_LEN: usize = 2_048;

/// How often an update is planned anew because what it is about has changed meanwhile.
const TRIES_MAX: u32 = 8;

/// Octets that an OPT record of ours may take, and some more.
const OPT_ROOM_LEN: usize = 128;

/// A request that a worker gave away.
pub struct Job {
    /// Who sent it.
    pub client: SocketAddr,
    /// How.
    pub transport: Transport,
    /// The message.
    pub request: Box<[u8]>,
    /// The way back.
    pub late: Late,
}

/// A key, and what may be changed with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    /// The key.
    pub key: Key,
    /// The zones.
    pub scope: Scope,
}

/// All keys; no two have the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    keys: Vec<Key>,
    scopes: Vec<Scope>,
}

impl Keys {
    /// Puts them together.
    pub fn new(permits: impl IntoIterator<Item = Permit>) -> Self {
        let (keys, scopes) = permits.into_iter().map(|Permit { key, scope }| (key, scope)).unzip();
        Self { keys, scopes }
    }

    /// Whether there are none, and so no updates.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn may_change(&self, key: &Key, zone: &Name) -> bool {
        let place = self.keys.iter().position(|known| known.name == key.name);
        place.is_some_and(|place| self.scopes[place].admits(zone))
    }
}

/// What requests are met from.
pub struct Desk {
    /// Who may what.
    pub keys: Keys,
    /// What is served from files.
    pub cell: Cell,
    /// What is listed by command.
    pub live: LiveCell,
    /// How signed queries are answered; with `leaves_signed` off.
    pub policy: Policy,
    /// What is changed; `None` without a store.
    pub listings: Option<Listings>,
    /// Where it is counted.
    pub tally: Arc<Tally>,
    /// Who is told of signed queries.
    pub note: Note,
}

/// Is told of a query: who asked, what it was answered from, the request, and what became of it.
pub type Note = Box<dyn Fn(SocketAddr, &Snapshot, &[u8], answer::Outcome) + Send + Sync>;

/// Where workers leave requests. Clones lead to the same desk.
#[derive(Clone)]
pub struct Inbox {
    sender: SyncSender<Work>,
    tally: Arc<Tally>,
    dropped: Arc<Sparing>,
}

enum Work {
    New(Job),
    Again(Box<Attempt>),
}

impl Inbox {
    /// Leaves a request, without waiting; one too many is dropped.
    pub fn leave(&self, job: Job) {
        if self.sender.try_send(Work::New(job)).is_ok() {
            return;
        }
        self.tally.count(Door::DnsUpdate, Upshot::Failed);
        if let Some(count) = self.dropped.add(clock::now_s()) {
            warn!(
                "more updates and signed queries come in than can be met, and {count} were dropped until now; metrics count them all"
            );
        }
    }
}

/// Starts the desk's thread, which ends with the process.
///
/// # Errors
/// When the system gives no thread.
pub fn serve(desk: Desk) -> std::io::Result<Inbox> {
    let (sender, receiver) = sync_channel(QUEUE_LEN);
    let inbox = Inbox { sender, tally: Arc::clone(&desk.tally), dropped: Arc::new(Sparing::once()) };
    let desk = Arc::new(Attendant::new(desk, inbox.clone()));
    std::thread::Builder::new().name("updates".to_owned()).spawn(move || desk.attend(&receiver))?;
    Ok(inbox)
}

const UNKNOWN_ZONE: Objection = Objection { rcode: Rcode::NotAuth, why: "its zone is not served here" };
const OTHER_KEY: Objection =
    Objection { rcode: Rcode::Refused, why: "its key is not for this zone (`keys` says for which)" };
const NOT_LOADED: Objection = Objection { rcode: Rcode::ServFail, why: "its zone is not loaded" };
const BELOW_OTHER: Objection =
    Objection { rcode: Rcode::NotZone, why: "a name lies in another zone of ours, below this one" };

/// To plan on would be to say that nothing is listed: deletions would be done, and prerequisites fail.
const UNREAD: Objection = Objection { rcode: Rcode::ServFail, why: "what is listed cannot be read" };

struct Attendant {
    desk: Desk,
    inbox: Inbox,
    recent: Mutex<Recent>,
    /// Requests without a key of ours.
    strangers: Sparing,
    /// What is refused to those who have one.
    refusals: Sparing,
}

/// An update on its way to be done.
struct Attempt {
    reply: Answerer,
    update: Arc<Update>,
    holds: Holds,
    codes: Codes,
    origin: Origin,
    now_s: u64,
    tries: u32,
}

/// What a reply is made of besides its code.
struct Answerer {
    request: Box<[u8]>,
    late: Late,
    seal: Option<Seal>,
    client: SocketAddr,
    transport: Transport,
    attendant: Arc<Attendant>,
    /// How it is answered is remembered: it is an update that was not here before.
    is_remembered: bool,
}

impl Attendant {
    fn new(desk: Desk, inbox: Inbox) -> Self {
        let (strangers, refusals) = (Sparing::once(), Sparing::of_refusals());
        Self { desk, inbox, recent: Mutex::default(), strangers, refusals }
    }

    fn attend(self: &Arc<Self>, work: &Receiver<Work>) {
        while let Ok(work) = work.recv() {
            let attend = || match work {
                Work::New(job) => self.take(job, clock::now_s()),
                Work::Again(attempt) => self.attempt(*attempt),
            };
            if catch_unwind(AssertUnwindSafe(attend)).is_err() {
                self.desk.tally.count(Door::DnsUpdate, Upshot::Failed);
                error!("a panic met an update or a signed query, which goes unanswered; please report this");
            }
        }
    }

    /// Finds out who asks, and for what.
    fn take(self: &Arc<Self>, job: Job, now_s: u64) {
        let Job { client, transport, request, late } = job;
        let attendant = Arc::clone(self);
        let mut reply = Answerer { request, late, seal: None, client, transport, attendant, is_remembered: false };
        let signature = match Signature::find(&reply.request) {
            Ok(Some(signature)) => signature,
            // Only an update comes here unsigned: no key, no update.
            Ok(None) => {
                self.tell_of_stranger(client, "it is not signed", now_s);
                return reply.send(Rcode::Refused);
            }
            Err(_) => return reply.send(Rcode::FormErr),
        };
        let seal = match signature.verify(&reply.request, &self.desk.keys.keys, now_s) {
            Ok(seal) => seal,
            Err(fault) => {
                let error = fault.seal.as_ref().map_or("unreadable", |seal| seal.error.name());
                let why = format!("{error}, by a key that is called {}", signature.key_name);
                self.tell_of_stranger(client, &why, now_s);
                reply.seal = fault.seal.map(|seal| *seal);
                return reply.send(fault.rcode);
            }
        };
        let header = unsigned_header(&reply.request, signature.original_id);
        let message = [&header, &reply.request[HEADER_LEN..signature.message_len]].concat();
        let is_update = Header::read(&message).is_some_and(|header| header.opcode() == OPCODE_UPDATE);
        if !is_update {
            return self.answer(reply, &seal, &message, now_s);
        }
        let mac_start = seal.mac_start();
        match self.recent().take(mac_start, signature.signed_s, now_s) {
            Seen::Never => reply.is_remembered = true,
            // The reply to the first one goes to where this one came from, too: it is the same client, or somebody else.
            Seen::Pending => return,
            Seen::Answered(rcode) => {
                debug!(%client, key = %signature.key_name, "an update that is done comes again");
                reply.seal = Some(seal);
                return reply.reply(rcode, Upshot::Answered);
            }
            Seen::TooOld => {
                reply.seal = Some(seal.with_bad_time(signature.signed_s));
                return reply.send(Rcode::NotAuth);
            }
        }
        let permitted = self.permit(&message, &seal);
        let who = signature.key_name.to_string();
        reply.seal = Some(seal);
        match permitted {
            Ok((update, holds, codes)) => {
                let origin = Origin { door: Door::DnsUpdate, who, from: Some(client.ip().to_canonical()) };
                // The time as the listings see it.
                let now_s = self.desk.listings.as_ref().map_or(now_s, Listings::now_s);
                self.attempt(Attempt { reply, update: Arc::new(update), holds, codes, origin, now_s, tries: 0 });
            }
            Err(objection) => reply.object(&objection, &who),
        }
    }

    /// Says now and then that somebody who has no key of ours, or not the right time, is not heard.
    fn tell_of_stranger(&self, client: SocketAddr, why: &str, now_s: u64) {
        if let Some(count) = self.strangers.add(now_s) {
            info!(%client, "an update or signed query is refused: {why}; {count} like it came since this was last said, at most once a minute");
        }
    }

    /// Reads an update, if its sender may change its zone (RFC 2136 sections 3.1 and 3.3).
    fn permit(&self, message: &[u8], seal: &Seal) -> Result<(Update, Holds, Codes), Objection> {
        read_edns(message).map_err(|(rcode, _)| Objection { rcode, why: "its OPT record is wrong" })?;
        let zone = read_zone(message)?;
        let served = self.desk.cell.load();
        let found = served.snapshot.zone(&zone.name).filter(|_| zone.class == class::IN).ok_or(UNKNOWN_ZONE)?;
        if seal.key.as_ref().is_none_or(|key| !self.desk.keys.may_change(key, &zone.name)) {
            return Err(OTHER_KEY);
        }
        let content = found.content.as_ref().ok_or(NOT_LOADED)?;
        let update = read(message)?;
        // RFC 2136 sections 3.2.1 and 3.4.1: a name below another zone of ours is not in this one.
        let is_in_zone =
            |owner| served.snapshot.zone_of(owner, &zone.name).is_some_and(|other| other.apex == zone.name);
        if !update.owners().all(is_in_zone) {
            return Err(BELOW_OTHER);
        }
        Ok((update, Holds::of(content), Codes::of(content)))
    }

    /// Plans an update and has it done if its plan still holds by then.
    fn attempt(self: &Arc<Self>, attempt: Attempt) {
        let Some(listings) = &self.desk.listings else { return attempt.reply.send(Rcode::ServFail) };
        let is_unread = Flag::new(false);
        let lookup: Lookup<'_> =
            &|zone, key| listings.get(zone, key).inspect_err(|_| is_unread.set(true)).ok().flatten();
        let planned = attempt.plan(lookup);
        if is_unread.get() {
            return attempt.object(&UNREAD);
        }
        let changes = match planned {
            Ok(changes) if changes.is_empty() => return attempt.reply.send(Rcode::NoError),
            Ok(changes) => changes,
            Err(objection) => return attempt.object(&objection),
        };
        let stale = Arc::new(Mutex::new(None));
        let (update, holds, codes, now_s) = (Arc::clone(&attempt.update), attempt.holds, attempt.codes, attempt.now_s);
        let (expected, found) = (changes.clone(), Arc::clone(&stale));
        let condition = move |lookup: Lookup<'_>| {
            let planned = Planner { update: &update, holds, codes, now_s }.plan(lookup);
            let holds = planned.as_ref() == Ok(&expected);
            *found.lock().unwrap_or_else(PoisonError::into_inner) = planned.err();
            holds
        };
        let origin = attempt.origin.clone();
        let batch = Batch { changes, origin, is_atomic: true, condition: Some(Box::new(condition)) };
        let attendant = Arc::clone(self);
        listings.submit(batch, move |applied| {
            let rcode = match applied {
                Ok(outcomes) => attempt.rcode_of(&outcomes),
                Err(StoreError::ConditionFailed) => {
                    let found = stale.lock().unwrap_or_else(PoisonError::into_inner).take();
                    return match found {
                        Some(objection) => attempt.object(&objection),
                        None => attendant.again(attempt),
                    };
                }
                Err(error) => {
                    debug!("an update failed: {error}");
                    Rcode::ServFail
                }
            };
            attempt.reply.send(rcode);
        });
    }

    /// Has an update planned anew, on the desk's own thread.
    fn again(&self, mut attempt: Attempt) {
        attempt.tries += 1;
        if attempt.tries >= TRIES_MAX {
            return attempt.reply.send(Rcode::ServFail);
        }
        if let Err(TrySendError::Full(Work::Again(attempt)) | TrySendError::Disconnected(Work::Again(attempt))) =
            self.inbox.sender.try_send(Work::Again(Box::new(attempt)))
        {
            attempt.reply.send(Rcode::ServFail);
        }
    }

    /// Answers a signed query as any other, and signs.
    fn answer(&self, reply: Answerer, seal: &Seal, message: &[u8], now_s: u64) {
        let (served, live) = (self.desk.cell.load(), self.desk.live.load());
        let world = World { snapshot: &served.snapshot, policy: &self.desk.policy, now_s, live: &live };
        let client = Client { address: reply.client.ip(), transport: reply.transport };
        let limit = self.limit(message, reply.transport);
        // What is kept for the signature is first taken from what need not be said (RFC 2181 section 9), and the question and
        // an OPT record fit in any case.
        let mut octets = vec![0; limit.saturating_sub(seal.wire_len()).max(message.len() + OPT_ROOM_LEN)];
        let outcome = answer::answer(world, client, message, &mut octets);
        let note = |reply_len| {
            let outcome = answer::Outcome { reply_len, ..outcome };
            (self.desk.note)(reply.client, &served.snapshot, message, outcome);
        };
        if outcome.reply_len == 0 {
            return note(0);
        }
        octets.truncate(outcome.reply_len.into());
        if outcome.truncated || octets.len() + seal.wire_len() > limit {
            cut(&mut octets, limit.saturating_sub(seal.wire_len()));
        }
        octets[..2].copy_from_slice(&reply.request[..2]);
        seal.sign(&mut octets);
        self.desk.tally.count(Door::DnsUpdate, Upshot::Answered);
        note(octets.len() as u16);
        send(reply.late, octets, reply.client);
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a reply may be.
    fn limit(&self, message: &[u8], transport: Transport) -> usize {
        if transport == Transport::Tcp {
            return TCP_REPLY_MAX_LEN;
        }
        let edns = read_edns(message).unwrap_or_else(|(_, edns)| edns);
        let announced = edns.map_or(0, |edns| edns.payload_len).min(self.desk.policy.udp_payload_len);
        usize::from(announced.max(PLAIN_UDP_LEN)).min(UDP_REPLY_MAX_LEN)
    }
}

impl Attempt {
    fn plan(&self, lookup: Lookup<'_>) -> Result<Vec<Change>, Objection> {
        let Self { holds, codes, now_s, .. } = *self;
        Planner { update: &self.update, holds, codes, now_s }.plan(lookup)
    }

    fn object(self, objection: &Objection) {
        let Self { reply, origin, .. } = self;
        reply.object(objection, &origin.who);
    }

    /// What is done is done as a whole, so one refusal tells it all.
    fn rcode_of(&self, outcomes: &[Outcome]) -> Rcode {
        let mut rcode = Rcode::NoError;
        for refusal in outcomes.iter().filter_map(Outcome::refusal) {
            rcode = Rcode::Refused;
            let Some(count) = self.reply.attendant.refusals.add(self.now_s) else { continue };
            let (refusal, more) = (refusal.to_string(), and_more(count));
            info!(client = %self.reply.client, key = %self.origin.who, "an update is refused: {}{more}", printable(&refusal));
        }
        rcode
    }
}

impl Answerer {
    /// Says why not. That a prerequisite does not hold is what whoever sets one wants to know, and no trouble.
    fn object(self, objection: &Objection, key: &str) {
        let Objection { rcode, why } = *objection;
        match rcode {
            Rcode::NxDomain | Rcode::YxDomain | Rcode::NxRrset | Rcode::YxRrset => {
                debug!(client = %self.client, key, "an update is answered {}: {why}", rcode.name());
            }
            _ => {
                if let Some(count) = self.attendant.refusals.add(clock::now_s()) {
                    let (name, more) = (rcode.name(), and_more(count));
                    info!(client = %self.client, key, "an update is answered {name}: {why}{more}");
                }
            }
        }
        self.send(rcode);
    }

    /// Replies with a code, and remembers it.
    fn send(self, rcode: Rcode) {
        let upshot = match rcode {
            Rcode::NoError => Upshot::Done,
            Rcode::ServFail => Upshot::Failed,
            _ => Upshot::Refused,
        };
        if let Some(seal) = self.seal.as_ref().filter(|_| self.is_remembered) {
            self.attendant.recent().settle(seal.mac_start(), rcode);
        }
        self.reply(rcode, upshot);
    }

    /// The header, the zone, an OPT record for an OPT record (RFC 6891 section 6.1.1), the signature.
    fn reply(self, rcode: Rcode, upshot: Upshot) {
        self.attendant.desk.tally.count(Door::DnsUpdate, upshot);
        let Some(header) = Header::read(&self.request) else { return };
        let zone_end = (header.counts[0] == 1)
            .then(|| {
                let mut reader = Reader::new(&self.request);
                reader.question().map(|_| reader.position())
            })
            .and_then(Result::ok)
            .unwrap_or(HEADER_LEN);
        let (limit, seal_len) =
            (self.attendant.limit(&self.request, self.transport), self.seal.as_ref().map_or(0, Seal::wire_len));
        let mut octets = self.unsigned(header, zone_end, rcode);
        if octets.len() + seal_len > limit {
            // RFC 2136 section 3.8: the zone need not come back.
            octets = self.unsigned(header, HEADER_LEN, rcode);
        }
        match &self.seal {
            Some(seal) if octets.len() + seal_len <= limit => seal.sign(&mut octets),
            // Nobody's key and algorithm, with names as long as they can be.
            Some(_) => octets[2] |= (FLAG_TC >> 8) as u8,
            None => {}
        }
        send(self.late, octets, self.client);
    }

    /// The reply up to the signature, with what of the request ends there.
    fn unsigned(&self, header: Header, end: usize, rcode: Rcode) -> Vec<u8> {
        let policy = &self.attendant.desk.policy;
        let edns = read_edns(&self.request).unwrap_or_else(|(_, edns)| edns);
        let mut octets = vec![0; end + OPT_ROOM_LEN];
        let limit = octets.len();
        let mut reply =
            wire::reply::Reply::new(&mut octets, limit, &self.request, header, end - HEADER_LEN, edns.as_ref());
        reply.set_rcode(rcode);
        let (client, now_s) = (self.client.ip(), clock::now_s());
        let cookie = edns.and_then(|edns| edns.cookie);
        let cookie = cookie.map(|presented| cookie::answer(&policy.cookie_secret, presented, client, now_s));
        let len = reply.finish(policy.udp_payload_len, &OptOptions { cookie, ..OptOptions::default() });
        octets.truncate(len);
        octets
    }
}

fn send(late: Late, octets: Vec<u8>, client: SocketAddr) {
    if let Err(error) = late.send(octets) {
        debug!(%client, "a reply cannot be sent: {error}");
    }
}

/// Leaves the header, without its code, and the question if there is room for it, and says that more was to be said (RFC 8945
/// section 5.3).
fn cut(reply: &mut Vec<u8>, room: usize) {
    let mut reader = Reader::new(reply);
    let question_end = reader.question().ok().map(|_| reader.position()).filter(|end| *end <= room);
    reply.truncate(question_end.unwrap_or(HEADER_LEN));
    reply[5] = u8::from(question_end.is_some());
    reply[6..HEADER_LEN].fill(0);
    reply[2] |= (FLAG_TC >> 8) as u8;
    reply[3] &= 0xf0;
}

#[cfg(test)]
mod tests;
