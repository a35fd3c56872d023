//! Query logs: one line a query, for an operator who wants to know who asks.
//!
//! No query waits for one. A worker copies what is to be logged into a bounded queue ([`QueryLog`]), from which a thread writes;
//! when the queue is full, the query is answered and not logged, and the thread says how many those were. A personality may have
//! a log of its own; another is switched on while the server runs ([`QueryTap`]), and while it is off, a worker sees that once a
//! batch. Its thread and its queue end when it is switched off.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use tracing::{info, warn};

use crate::{
    answer::{Outcome, Verdict},
    control::{QueryLogState, QueryRules},
    live::clock,
    metrics::{COUNTED_TYPES, RESULTS, TYPES},
    wire::{
        HEADER_LEN, Rcode,
        name::{Name, QueryName},
    },
};

/// The target of its lines, by which they are known among others.
pub const TARGET: &str = "dnsbld::query";

/// Queries that wait to be written.
const QUEUE_LEN: usize = 4_096;

/// How often it is said how many were not logged.
const COMPLAIN: Duration = Duration::from_secs(1);

/// A query that is to be logged.
#[derive(Debug)]
pub struct LoggedQuery {
    /// Seconds since the epoch.
    pub now_s: u64,
    /// Who asked.
    pub client: SocketAddr,
    /// The zone that it was in.
    pub zone: Option<Name>,
    /// The request as it came.
    pub request: Box<[u8]>,
    /// What became of it.
    pub outcome: Outcome,
}

/// Where workers leave queries that are to be logged.
#[derive(Clone, Debug)]
pub struct QueryLog {
    queue: SyncSender<LoggedQuery>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    logged: AtomicU64,
    dropped: AtomicU64,
}

/// Where the thread that writes finds them.
#[derive(Debug)]
pub struct LoggedQueries {
    waiting: Receiver<LoggedQuery>,
    counts: Arc<Counts>,
    /// What it has been said of that they were not logged, and when that was looked at.
    complained: u64,
    looked: Instant,
    /// What an operator can do about it.
    advice: &'static str,
}

impl QueryLog {
    /// A log in which so many queries can wait, and its other end. What more come are not logged, which is said with the advice.
    pub fn with_room(queue_len: usize, advice: &'static str) -> (Self, LoggedQueries) {
        let (queue, waiting) = sync_channel(queue_len);
        let counts = Arc::new(Counts::default());
        let log = Self { queue, counts: Arc::clone(&counts) };
        (log, LoggedQueries { waiting, counts, complained: 0, looked: Instant::now(), advice })
    }

    /// Leaves a query, if there is room for it.
    pub(super) fn leave(&self, query: LoggedQuery) {
        let count = match self.queue.try_send(query) {
            Ok(()) => &self.counts.logged,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => &self.counts.dropped,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl LoggedQueries {
    /// Waits for the next, for so long at most, and says now and then how many there was no room for.
    ///
    /// # Errors
    /// When none came, or nobody is left who could leave one.
    pub fn next(&mut self, most: Duration) -> Result<LoggedQuery, RecvTimeoutError> {
        let next = self.waiting.recv_timeout(most);
        if self.looked.elapsed() >= COMPLAIN || next.is_err() {
            self.looked = Instant::now();
            let dropped = self.counts.dropped.load(Ordering::Relaxed);
            if dropped > self.complained {
                warn!(queries = dropped - self.complained, "not logged: the log cannot keep up{}", self.advice);
                self.complained = dropped;
            }
        }
        next
    }
}

/// A log that is switched on.
#[derive(Debug)]
pub(super) struct Session {
    rules: QueryRules,
    zones: Vec<Name>,
    log: QueryLog,
}

/// The switch, shared by whoever controls it and all workers.
#[derive(Debug, Default)]
pub struct QueryTap {
    /// Changes with every switch, so that workers see one number a batch.
    switched: AtomicU32,
    session: ArcSwapOption<Session>,
    control: Mutex<()>,
}

impl QueryTap {
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
        let (log, queries) = QueryLog::with_room(QUEUE_LEN, "; see --sample");
        let (tap, until_s) = (Arc::clone(self), rules.until_s);
        let end = move || {
            if tap.state().rules.is_some_and(|rules| rules.until_s == until_s) && tap.switch(None).is_err() {
                warn!("the query log cannot be switched off");
            }
        };
        let write = move || write_all(queries, until_s, end);
        thread::Builder::new().name("query log".to_owned()).spawn(write).map_err(|error| error.to_string())?;
        Ok(Arc::new(Session { rules, zones, log }))
    }

    /// What it does now.
    pub fn state(&self) -> QueryLogState {
        let Some(session) = self.session.load_full() else { return QueryLogState::default() };
        let Counts { logged, dropped } = &*session.log.counts;
        QueryLogState {
            rules: Some(session.rules.clone()),
            logged: logged.load(Ordering::Relaxed),
            dropped: dropped.load(Ordering::Relaxed),
        }
    }
}

/// A worker's view of the switch.
pub(super) struct Listener {
    tap: Arc<QueryTap>,
    switched: u32,
    session: Option<Arc<Session>>,
    /// Queries that the rules are for, so that one in so many is taken.
    seen: u32,
}

impl Listener {
    pub(super) fn new(tap: Arc<QueryTap>) -> Self {
        Self { tap, switched: 0, session: None, seen: 0 }
    }

    /// Looks at the switch, once a batch; whether [`Self::log_for`] is to be asked of queries.
    #[inline]
    pub(super) fn look(&mut self) -> bool {
        let switched = self.tap.switched.load(Ordering::Acquire);
        if switched != self.switched {
            self.switched = switched;
            self.session = self.tap.session.load_full();
        }
        self.session.is_some()
    }

    /// Where a query is to be logged, if the rules say so.
    #[cold]
    pub(super) fn log_for(
        &mut self,
        client: SocketAddr,
        zone: Option<&Name>,
        outcome: &Outcome,
        now_s: u64,
    ) -> Option<&QueryLog> {
        let session = self.session.as_deref().filter(|session| session.is_for(client, zone, outcome, now_s))?;
        self.seen = self.seen.wrapping_add(1);
        self.seen.is_multiple_of(session.rules.sample.max(1)).then_some(&session.log)
    }
}

impl Session {
    fn is_for(&self, client: SocketAddr, zone: Option<&Name>, outcome: &Outcome, now_s: u64) -> bool {
        let QueryRules { until_s, listed_only, clients, .. } = &self.rules;
        until_s.is_none_or(|until_s| now_s < until_s)
            && (!listed_only || outcome.verdict == Verdict::Listed)
            && (self.zones.is_empty() || zone.is_some_and(|zone| self.zones.contains(zone)))
            && (clients.is_empty() || clients.iter().any(|network| network.contains(&client.ip())))
    }
}

/// Writes until nobody can note anything any more.
fn write_all(mut queries: LoggedQueries, until_s: Option<u64>, end: impl Fn()) {
    loop {
        let next = queries.next(COMPLAIN);
        if until_s.is_some_and(|until_s| clock::now_s() >= until_s) {
            end();
        }
        match next {
            Ok(query) => write(&query),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn write(query: &LoggedQuery) {
    let outcome = &query.outcome;
    let result = RESULTS.iter().find(|(verdict, _)| *verdict == outcome.verdict).map_or("-", |(_, word)| word);
    info!(
        target: TARGET,
        client = %query.client.ip(),
        zone = query.zone.as_ref().map_or_else(|| "-".to_owned(), Name::to_string),
        name = %name_of(&query.request).unwrap_or_else(|| "-".to_owned()),
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
    use std::io;

    use super::*;
    use crate::wire::rr;

    fn listener(rules: QueryRules, room: usize) -> (Listener, LoggedQueries) {
        let (log, queries) = QueryLog::with_room(room, "; ask less");
        let session = Session { rules, zones: Vec::new(), log };
        let tap = Arc::new(QueryTap::default());
        tap.session.store(Some(Arc::new(session)));
        tap.switched.fetch_add(1, Ordering::Release);
        (Listener::new(tap), queries)
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
        if let Some(log) = listener.log_for(client, None, &outcome, now_s) {
            log.leave(LoggedQuery { now_s, client, zone: None, request: [0; 12].into(), outcome });
        }
    }

    /// Where a log goes that a test reads.
    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Said {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_log_holds_nobody_up() {
        let (mut listener, mut queries) = listener(QueryRules { sample: 1, ..QueryRules::default() }, 2);
        assert!(listener.look());
        for _ in 0..5 {
            note(&mut listener, "192.0.2.1", Verdict::Listed, 0);
        }
        let state = listener.tap.state();
        assert_eq!((state.logged, state.dropped), (2, 3));
        let said = Said::default();
        let of_log = said.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || of_log.clone()).finish();
        let heard =
            tracing::subscriber::with_default(log, || (0..5).filter(|_| queries.next(Duration::ZERO).is_ok()).count());
        assert_eq!(heard, 2);
        let said = String::from_utf8(said.0.lock().expect("the log").clone()).expect("text");
        let words = "not logged: the log cannot keep up; ask less queries=3";
        assert!(said.lines().count() == 1 && said.contains(words), "{said}");
    }

    #[test]
    fn only_what_the_rules_are_for() {
        let clients = vec!["192.0.2.0/24".parse().expect("a network")];
        let rules = QueryRules { clients, listed_only: true, sample: 3, until_s: Some(100), ..QueryRules::default() };
        let (mut listener, queries) = listener(rules, 100);
        assert!(listener.look());
        for _ in 0..6 {
            note(&mut listener, "192.0.2.1", Verdict::Listed, 99);
            note(&mut listener, "192.0.2.1", Verdict::Unlisted, 99);
            note(&mut listener, "198.51.100.1", Verdict::Listed, 99);
            note(&mut listener, "192.0.2.1", Verdict::Listed, 100);
        }
        assert_eq!(queries.waiting.try_iter().count(), 2, "one in three of six");
        listener.tap.session.store(None);
        listener.tap.switched.fetch_add(1, Ordering::Release);
        assert!(!listener.look());
    }
}
