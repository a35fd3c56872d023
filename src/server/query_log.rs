//! Query logs: one line a query, for an operator who wants to know who asks.
//!
//! No query waits for one. A worker copies what is to be logged into a bounded queue ([`QueryLog`]), from which a thread writes;
//! when the queue is full, the query is answered and not logged, and the thread says how many those were. A personality may have
//! a log of its own; another is switched on while the server runs ([`QueryTap`]), and while it is off, a worker sees that once a
//! batch. Its thread and its queue end when it is switched off.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use tracing::{info, warn};

use crate::{
    answer::{Outcome, Verdict},
    control::{QueryLogState, QueryRules, update::Note},
    live::clock,
    metrics::{COUNTED_TYPES, RESULTS, TYPES},
    net::Counter,
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
    /// The zone that it was in, unless the log [leaves that out](QueryLog::without_zones).
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
    queue_len: usize,
    wants_zones: bool,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// By worker; nothing before it is known how many there are.
    left: OnceLock<Box<[Left]>>,
    /// Queries that the thread that writes has taken from the queue.
    taken: Counter,
}

/// What one worker counts of its own. Those of different workers share no cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Left {
    logged: Counter,
    dropped: Counter,
}

impl Counts {
    fn sum(&self, of: fn(&Left) -> &Counter) -> u64 {
        self.left.get().into_iter().flatten().map(|left| of(left).value()).sum()
    }

    fn logged(&self) -> u64 {
        self.sum(|left| &left.logged)
    }

    fn dropped(&self) -> u64 {
        self.sum(|left| &left.dropped)
    }
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
        let log = Self { queue, queue_len, wants_zones: true, counts: Arc::clone(&counts) };
        (log, LoggedQueries { waiting, counts, complained: 0, looked: Instant::now(), advice })
    }

    /// The same for one that says nothing of zones, whose names need not be copied for it.
    #[must_use]
    pub fn without_zones(self) -> Self {
        Self { wants_zones: false, ..self }
    }

    /// The same with room for what so many workers count, once.
    pub(super) fn of_workers(self, worker_count: usize) -> Self {
        self.counts.left.get_or_init(|| (0..worker_count).map(|_| Left::default()).collect());
        self
    }

    /// Leaves a query, if there is room for it, which is copied only then; with its zone if that is wanted. `worker` is the caller's
    /// own number.
    pub(super) fn leave(&self, worker: usize, query: impl FnOnce(bool) -> LoggedQuery) {
        let Some(count) = self.counts.left.get().and_then(|left| left.get(worker)) else { return };
        // Others come and go meanwhile, so it may be full all the same.
        let is_full = self.counts.logged().saturating_sub(self.counts.taken.value()) >= self.queue_len as u64;
        if is_full {
            return count.dropped.add(1);
        }
        match self.queue.try_send(query(self.wants_zones)) {
            Ok(()) => count.logged.add(1),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => count.dropped.add(1),
        }
    }
}

impl LoggedQueries {
    /// Waits for the next, for so long at most, and says now and then how many there was no room for.
    ///
    /// # Errors
    /// When none came, or nobody is left who could leave one.
    pub fn next(&mut self, most: Duration) -> Result<LoggedQuery, RecvTimeoutError> {
        let next = self.waiting.recv_timeout(most);
        self.counts.taken.add(u64::from(next.is_ok()));
        if self.looked.elapsed() >= COMPLAIN || next.is_err() {
            self.looked = Instant::now();
            let dropped = self.counts.dropped();
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
        Self { switched: AtomicU32::new(0), session: ArcSwapOption::empty(), worker_count, control: Mutex::default() }
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
        let (log, queries) = QueryLog::with_room(QUEUE_LEN, "; see --sample");
        let log = log.of_workers(self.worker_count);
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
        let counts = &session.log.counts;
        QueryLogState { rules: Some(session.rules.clone()), logged: counts.logged(), dropped: counts.dropped() }
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

/// Notes the queries that others answer than the workers, under a number that is none of theirs: one thread at a time.
pub(super) fn noter(tap: Arc<QueryTap>, number: usize) -> Note {
    let listener = Mutex::new(Listener::new(tap));
    Box::new(move |client, snapshot, request, outcome| {
        let mut listener = listener.lock().unwrap_or_else(PoisonError::into_inner);
        if !listener.look() {
            return;
        }
        let (now_s, zone) = (clock::now_s(), outcome.zone.and_then(|place| snapshot.zones().get(place.index())));
        let zone = zone.map(|zone| &zone.apex);
        if let Some(log) = listener.log_for(client, zone, &outcome, now_s) {
            let zone = zone.cloned();
            log.leave(number, |_| LoggedQuery { now_s, client, zone, request: request.into(), outcome });
        }
    })
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
        let looked = queries.looked;
        let next = queries.next(COMPLAIN);
        // Once a second is often enough.
        if queries.looked != looked && until_s.is_some_and(|until_s| clock::now_s() >= until_s) {
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
        let session = Session { rules, zones: Vec::new(), log: log.of_workers(1) };
        let tap = Arc::new(QueryTap::new(1));
        tap.session.store(Some(Arc::new(session)));
        tap.switched.fetch_add(1, Ordering::Release);
        (Listener::new(tap), queries)
    }

    const OUTCOME: Outcome = Outcome {
        reply_len: 50,
        hold_s: 0,
        zone: None,
        qtype: rr::A,
        fate: Ok(Rcode::NoError),
        verdict: Verdict::Listed,
        truncated: false,
        answer_count: 1,
    };

    fn note(listener: &mut Listener, client: &str, verdict: Verdict, now_s: u64) {
        let outcome = Outcome { verdict, ..OUTCOME };
        let client = SocketAddr::new(client.parse().expect("an address"), 53);
        if let Some(log) = listener.log_for(client, None, &outcome, now_s) {
            log.leave(0, |_| LoggedQuery { now_s, client, zone: None, request: [0; 12].into(), outcome });
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
        // There is room again, for two.
        (0..3).for_each(|_| note(&mut listener, "192.0.2.1", Verdict::Listed, 0));
        let state = listener.tap.state();
        assert_eq!((state.logged, state.dropped), (4, 4));
    }

    #[test]
    fn nothing_is_copied_that_finds_no_room_and_no_zone_that_is_not_wanted() {
        let (log, mut queries) = QueryLog::with_room(2, "");
        let log = log.without_zones().of_workers(2);
        let query = |with_zone: bool| {
            assert!(!with_zone);
            let (client, outcome) = (SocketAddr::from(([192, 0, 2, 1], 53)), OUTCOME);
            LoggedQuery { now_s: 0, client, zone: None, request: [0; 12].into(), outcome }
        };
        (0..2).for_each(|worker| log.leave(worker, query));
        (0..2).for_each(|worker| log.leave(worker, |_| unreachable!("it is full")));
        let left = log.counts.left.get().expect("two workers");
        let counted = [0, 1].map(|worker: usize| (left[worker].logged.value(), left[worker].dropped.value()));
        assert_eq!(counted, [(1, 1); 2], "each by its own");
        assert!(queries.next(Duration::ZERO).is_ok());
        log.leave(0, query);
        assert_eq!((log.counts.logged(), log.counts.dropped()), (3, 2));
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
