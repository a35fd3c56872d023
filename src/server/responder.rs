//! What each worker does with a request: answer it, count it, and if asked to, note it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{SyncSender, TrySendError},
    },
};

use super::query_log::{Listener, QueryTap};
use crate::{
    answer::{self, Client, Ignored, Outcome, Policy, World},
    control::update::{Inbox, Job},
    live::{
        clock,
        served::{Cell, LiveCell, Served},
    },
    metrics::{Way, ZoneCounters},
    net::{Late, Reply, Responder, Transport},
    wire::name::QueryName,
    zone::live::Live,
};

/// One query for the log.
#[derive(Debug)]
pub struct LoggedQuery {
    /// Seconds since the epoch.
    pub now_s: u64,
    /// Who asked.
    pub client: SocketAddr,
    /// The request as it came.
    pub request: Box<[u8]>,
    /// What became of it.
    pub outcome: Outcome,
}

/// Where queries are logged: a bounded queue to a thread that writes. When it is full, queries go unlogged and not unanswered.
pub type QueryLog = SyncSender<LoggedQuery>;

/// What all workers share.
#[derive(Clone)]
pub(super) struct Shared {
    /// What is served from files.
    pub(super) cell: Cell,
    /// What is served by command.
    pub(super) live_cell: LiveCell,
    /// How the server presents itself.
    pub(super) policy: Arc<Policy>,
    /// Counts of what is in no zone.
    pub(super) outside: Arc<ZoneCounters>,
    /// The personality's log.
    pub(super) log: Option<QueryLog>,
    /// The query log that can be switched.
    pub(super) tap: Arc<QueryTap>,
    /// Where updates are left.
    pub(super) updates: Option<Inbox>,
}

impl Shared {
    /// Makes one worker after the other, each with a number of its own.
    pub(super) fn into_factory(self) -> impl Fn() -> Worker + Send + Sync + 'static {
        let next = AtomicUsize::new(0);
        move || Worker::new(next.fetch_add(1, Ordering::Relaxed), self.clone())
    }
}

/// A worker's own things.
pub(super) struct Worker {
    number: usize,
    shared: Shared,
    served: Arc<Served>,
    live: Arc<Live>,
    now_s: u64,
    listener: Listener,
    /// One of the logs wants to hear of queries.
    is_noting: bool,
    name: QueryName,
}

impl Worker {
    fn new(number: usize, shared: Shared) -> Self {
        let (served, live) = (shared.cell.load_full(), shared.live_cell.load_full());
        let listener = Listener::new(Arc::clone(&shared.tap), number);
        let (now_s, name) = (clock::now_s(), QueryName::new());
        Self { number, shared, served, live, now_s, listener, is_noting: false, name }
    }

    #[cold]
    fn note(&mut self, client: SocketAddr, request: &[u8], outcome: Outcome) {
        if let Some(log) = &self.shared.log {
            let query = LoggedQuery { now_s: self.now_s, client, request: request.into(), outcome };
            match log.try_send(query) {
                Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
            }
        }
        self.listener.note(client, request, &outcome, &self.served.snapshot, self.now_s);
    }
}

impl Responder for Worker {
    fn begin_batch(&mut self) {
        self.now_s = clock::now_s();
        let served = self.shared.cell.load();
        if !Arc::ptr_eq(&served, &self.served) {
            // The publisher keeps the old one until this has happened, so nothing is freed here.
            self.served = Arc::clone(&served);
        }
        let live = self.shared.live_cell.load();
        if !Arc::ptr_eq(&live, &self.live) {
            self.live = Arc::clone(&live);
        }
        self.is_noting = self.listener.look() || self.shared.log.is_some();
    }

    #[inline]
    fn respond(&mut self, client: SocketAddr, transport: Transport, request: &[u8], reply: &mut [u8]) -> Reply {
        let (snapshot, live) = (&self.served.snapshot, &*self.live);
        let world = World { snapshot, policy: &self.shared.policy, now_s: self.now_s, live };
        let asker = Client { address: client.ip(), transport };
        let outcome = answer::answer_with(&mut self.name, &world, &asker, request, reply);
        if outcome.ignored == Some(Ignored::Elsewhere) {
            // Whoever takes updates answers and counts them.
            return Reply { len: 0, hold_s: 0, is_late: true };
        }
        let way = Way { transport, is_v6: client.is_ipv6() };
        let counters = match outcome.zone {
            Some(zone) => &self.served.counters[zone.index()],
            None => &self.shared.outside,
        };
        counters.count(self.number, way, request.len(), &outcome);
        if self.is_noting {
            self.note(client, request, outcome);
        }
        Reply { len: outcome.reply_len.into(), hold_s: outcome.hold_s, is_late: false }
    }

    fn take_over(&mut self, client: SocketAddr, transport: Transport, request: Box<[u8]>, late: Late) {
        if let Some(updates) = &self.shared.updates {
            updates.leave(Job { client, transport, request, late });
        }
    }
}
