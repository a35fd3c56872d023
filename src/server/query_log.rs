//! The query log that is switched on while the server runs: one line a query, for an operator who wants to know who asks.
//!
//! No query waits for it. While it is off, a worker sees that once a batch. While it is on, a worker copies what is to be
//! logged into a bounded queue, from which a thread writes; when the queue is full, the query is answered and not logged, and
//! the log says how many those were. The thread and the queue end when it is switched off.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwapOption;
use ipnet::IpNet;
use tracing::{info, warn};

use crate::{
    answer::{Outcome, Verdict},
    control::{QueryLogState, QueryRules},
    live::clock,
    metrics::{COUNTED_TYPES, RESULTS, TYPES},
    net::Counter,
    wire::{
        HEADER_LEN, Rcode,
        name::{Name, QueryName},
    },
    zone::snapshot::Snapshot,
};

/// The target of its lines, by which they are known among others.
pub const TARGET: &str = "dnsbld::query";

/// Queries that wait to be written.
const QUEUE_LEN: usize = 4_096;

/// How often it is said how many were not logged.
const COMPLAIN: Duration = Duration::from_secs(1);

/// A query that is to be logged.
#[derive(Debug)]
struct Noted {
    client: SocketAddr,
    zone: Option<String>,
    request: Box<[u8]>,
    outcome: Outcome,
}

/// What one worker counts of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counts {
    logged: Counter,
    dropped: Counter,
}

/// A log that is switched on.
#[derive(Debug)]
pub(super) struct Session {
    rules: QueryRules,
    zones: Vec<Name>,
    clients: Vec<IpNet>,
    queue: SyncSender<Noted>,
    /// By worker.
    counts: Arc<[Counts]>,
}

/// The switch, shared by whoever controls it and all workers.
#[derive(Debug)]
pub struct QueryTap {
    /// Changes with every switch, so that workers see one number a batch.
    switched: AtomicU32,
    session: ArcSwapOption<Session>,
    worker_count: usize,
    control: Mutex<()>,
}

impl QueryTap {
    /// Switched off.
    pub fn new(worker_count: usize) -> Self {
        Self { switched: AtomicU32::new(0), session: ArcSwapOption::empty(), worker_count, control: Mutex::new(()) }
    }

    /// Switches it on by these rules, or off.
    ///
    /// # Errors
    /// When a zone's name is none, or the system gives no thread.
    pub fn switch(self: &Arc<Self>, rules: Option<QueryRules>) -> Result<(), String> {
        let _one_at_a_time = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let session = rules.map(|rules| self.open(rules)).transpose()?;
        let was_on = self.session.swap(session.clone()).is_some();
        self.switched.fetch_add(1, Ordering::Release);
        if session.is_some() {
            info!("query log switched on");
        } else if was_on {
            info!("query log switched off");
        }
        Ok(())
    }

    fn open(self: &Arc<Self>, rules: QueryRules) -> Result<Arc<Session>, String> {
        let read = |zone: &String| Name::parse(zone.as_bytes()).map_err(|error| format!("{zone}: {error}"));
        let zones = rules.zones.iter().map(read).collect::<Result<_, _>>()?;
        let (queue, waiting) = sync_channel(QUEUE_LEN);
        let counts: Arc<[Counts]> = (0..self.worker_count).map(|_| Counts::default()).collect();
        let (of_writer, tap, until_s) = (Arc::clone(&counts), Arc::clone(self), rules.until_s);
        let end = move || {
            if tap.state().rules.is_some_and(|rules| rules.until_s == until_s) && tap.switch(None).is_err() {
                warn!("the query log cannot be switched off");
            }
        };
        let write = move || write_all(&waiting, &of_writer, until_s, end);
        thread::Builder::new().name("query log".to_owned()).spawn(write).map_err(|error| error.to_string())?;
        let clients = rules.clients.clone();
        Ok(Arc::new(Session { rules, zones, clients, queue, counts }))
    }

    /// What it does now.
    pub fn state(&self) -> QueryLogState {
        let Some(session) = self.session.load_full() else { return QueryLogState::default() };
        let sum = |of: fn(&Counts) -> &Counter| session.counts.iter().map(|counts| of(counts).value()).sum();
        QueryLogState {
            rules: Some(session.rules.clone()),
            logged: sum(|counts| &counts.logged),
            dropped: sum(|counts| &counts.dropped),
        }
    }
}

/// A worker's view of the switch.
pub(super) struct Listener {
    tap: Arc<QueryTap>,
    switched: u32,
    session: Option<Arc<Session>>,
    number: usize,
    /// Queries that the rules are for, so that one in so many is taken.
    seen: u32,
}

impl Listener {
    pub(super) fn new(tap: Arc<QueryTap>, number: usize) -> Self {
        Self { tap, switched: 0, session: None, number, seen: 0 }
    }

    /// Looks at the switch, once a batch; whether queries are to be shown to [`Self::note`].
    #[inline]
    pub(super) fn look(&mut self) -> bool {
        let switched = self.tap.switched.load(Ordering::Acquire);
        if switched != self.switched {
            self.switched = switched;
            self.session = self.tap.session.load_full();
        }
        self.session.is_some()
    }

    /// Logs a query if the rules say so.
    #[cold]
    pub(super) fn note(
        &mut self,
        client: SocketAddr,
        request: &[u8],
        outcome: &Outcome,
        snapshot: &Snapshot,
        now_s: u64,
    ) {
        let Some(session) = &self.session else { return };
        let zone = outcome.zone.and_then(|place| snapshot.zones().get(place.index())).map(|zone| &zone.apex);
        if !session.is_for(client, zone, outcome, now_s) {
            return;
        }
        self.seen = self.seen.wrapping_add(1);
        if !self.seen.is_multiple_of(session.rules.sample.max(1)) {
            return;
        }
        let noted = Noted { client, zone: zone.map(Name::to_string), request: request.into(), outcome: *outcome };
        let Some(counts) = session.counts.get(self.number) else { return };
        match session.queue.try_send(noted) {
            Ok(()) => counts.logged.add(1),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => counts.dropped.add(1),
        }
    }
}

impl Session {
    fn is_for(&self, client: SocketAddr, zone: Option<&Name>, outcome: &Outcome, now_s: u64) -> bool {
        self.rules.until_s.is_none_or(|until_s| now_s < until_s)
            && (!self.rules.listed_only || outcome.verdict == Verdict::Listed)
            && (self.zones.is_empty() || zone.is_some_and(|zone| self.zones.contains(zone)))
            && (self.clients.is_empty() || self.clients.iter().any(|network| network.contains(&client.ip())))
    }
}

/// Writes until nobody can note anything any more.
fn write_all(waiting: &Receiver<Noted>, counts: &[Counts], until_s: Option<u64>, end: impl Fn()) {
    let mut complained = 0;
    let mut told = std::time::Instant::now();
    loop {
        let next = waiting.recv_timeout(COMPLAIN);
        if told.elapsed() >= COMPLAIN || next.is_err() {
            told = std::time::Instant::now();
            let dropped: u64 = counts.iter().map(|counts| counts.dropped.value()).sum();
            if dropped > complained {
                warn!(queries = dropped - complained, "not logged: the log cannot keep up; see --sample");
                complained = dropped;
            }
            if until_s.is_some_and(|until_s| clock::now_s() >= until_s) {
                end();
            }
        }
        match next {
            Ok(noted) => write(&noted),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn write(noted: &Noted) {
    let outcome = &noted.outcome;
    let result = RESULTS.iter().find(|(verdict, _)| *verdict == outcome.verdict).map_or("-", |(_, word)| word);
    info!(
        target: TARGET,
        client = %noted.client.ip(),
        zone = noted.zone.as_deref().unwrap_or("-"),
        name = %name_of(&noted.request).unwrap_or_else(|| "-".to_owned()),
        type = %type_name(outcome.qtype),
        rcode = outcome.fate.map_or("-", Rcode::name),
        result,
        octets = outcome.reply_len,
        "query"
    );
}

/// The name that was asked for.
fn name_of(request: &[u8]) -> Option<String> {
    let question = request.get(HEADER_LEN..)?;
    let mut name = QueryName::new();
    name.read(question)?;
    Some(Name::from_wire(&[name.relative(name.label_count()).octets(), &[0]].concat()).to_string())
}

fn type_name(qtype: u16) -> String {
    let place = COUNTED_TYPES.iter().position(|known| *known == qtype);
    place.map_or_else(|| format!("TYPE{qtype}"), |place| TYPES[place].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rr;

    fn listener(rules: QueryRules, room: usize) -> (Listener, Receiver<Noted>) {
        let (queue, waiting) = sync_channel(room);
        let clients = rules.clients.clone();
        let session = Session { rules, zones: Vec::new(), clients, queue, counts: [Counts::default()].into() };
        let tap = Arc::new(QueryTap::new(1));
        tap.session.store(Some(Arc::new(session)));
        tap.switched.fetch_add(1, Ordering::Release);
        (Listener::new(tap, 0), waiting)
    }

    fn note(listener: &mut Listener, client: &str, verdict: Verdict, now_s: u64) {
        let outcome = Outcome {
            reply_len: 50,
            hold_s: 0,
            zone: None,
            qtype: rr::A,
            fate: Ok(Rcode::NoError),
            verdict,
            truncated: false,
            answer_count: 1,
        };
        let client = SocketAddr::new(client.parse().expect("an address"), 53);
        listener.note(client, &[0; 12], &outcome, &Snapshot::default(), now_s);
    }

    #[test]
    fn a_full_log_holds_nobody_up() {
        let (mut listener, waiting) = listener(QueryRules { sample: 1, ..QueryRules::default() }, 2);
        assert!(listener.look());
        for _ in 0..5 {
            note(&mut listener, "192.0.2.1", Verdict::Listed, 0);
        }
        let state = listener.tap.state();
        assert_eq!((state.logged, state.dropped, waiting.try_iter().count()), (2, 3, 2));
    }

    #[test]
    fn only_what_the_rules_are_for() {
        let clients = vec!["192.0.2.0/24".parse().expect("a network")];
        let rules = QueryRules { clients, listed_only: true, sample: 3, until_s: Some(100), ..QueryRules::default() };
        let (mut listener, waiting) = listener(rules, 100);
        assert!(listener.look());
        for _ in 0..6 {
            note(&mut listener, "192.0.2.1", Verdict::Listed, 99);
            note(&mut listener, "192.0.2.1", Verdict::Unlisted, 99);
            note(&mut listener, "198.51.100.1", Verdict::Listed, 99);
            note(&mut listener, "192.0.2.1", Verdict::Listed, 100);
        }
        assert_eq!(waiting.try_iter().count(), 2, "one in three of six");
        listener.tap.session.store(None);
        listener.tap.switched.fetch_add(1, Ordering::Release);
        assert!(!listener.look());
    }
}
