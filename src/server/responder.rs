//! What each worker does with a request: answer it, count it, and if asked to, note it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        mpsc::{SyncSender, TrySendError},
    },
};

use arc_swap::ArcSwap;

use super::query_log::{Listener, QueryTap};
use crate::{
    answer::{self, Client, Ignored, Outcome, Policy, World},
    control::update::{Inbox, Job},
    live::{
        clock,
        served::{LiveCell, Served},
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

/// A worker's own things.
pub(super) struct Worker {
    number: usize,
    cell: Arc<ArcSwap<Served>>,
    served: Arc<Served>,
    live_cell: LiveCell,
    live: Arc<Live>,
    now_s: u64,
    policy: Arc<Policy>,
    /// Counts of what is in no zone.
    outside: Arc<ZoneCounters>,
    log: Option<QueryLog>,
    listener: Listener,
    /// One of the logs wants to hear of queries.
    is_noting: bool,
    name: QueryName,
    updates: Option<Inbox>,
}

impl Worker {
    pub(super) fn new(
        number: usize,
        cell: Arc<ArcSwap<Served>>,
        live_cell: LiveCell,
        policy: Arc<Policy>,
        outside: Arc<ZoneCounters>,
        (log, tap): (Option<QueryLog>, Arc<QueryTap>),
        updates: Option<Inbox>,
    ) -> Self {
        let (served, live) = (cell.load_full(), live_cell.load_full());
        let (now_s, name, listener) = (clock::now_s(), QueryName::new(), Listener::new(tap, number));
        let is_noting = false;
        Self { number, cell, served, live_cell, live, now_s, policy, outside, log, listener, is_noting, name, updates }
    }

    #[cold]
    fn note(&mut self, client: SocketAddr, request: &[u8], outcome: Outcome) {
        if let Some(log) = &self.log {
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
        let served = self.cell.load();
        if !Arc::ptr_eq(&served, &self.served) {
            // The publisher keeps the old one until this has happened, so nothing is freed here.
            self.served = Arc::clone(&served);
        }
        let live = self.live_cell.load();
        if !Arc::ptr_eq(&live, &self.live) {
            self.live = Arc::clone(&live);
        }
        self.is_noting = self.listener.look() || self.log.is_some();
    }

    #[inline]
    fn respond(&mut self, client: SocketAddr, transport: Transport, request: &[u8], reply: &mut [u8]) -> Reply {
        let (snapshot, live) = (&self.served.snapshot, &*self.live);
        let world = World { snapshot, policy: &self.policy, now_s: self.now_s, live };
        let asker = Client { address: client.ip(), transport };
        let outcome = answer::answer_with(&mut self.name, &world, asker, request, reply);
        if outcome.ignored == Some(Ignored::Elsewhere) {
            // Whoever takes updates answers and counts them.
            return Reply { len: 0, hold_s: 0, is_late: true };
        }
        let way = Way { transport, is_v6: client.is_ipv6() };
        let counters = match outcome.zone {
            Some(zone) => &self.served.counters[zone],
            None => &self.outside,
        };
        counters.count(self.number, way, request.len(), &outcome);
        if self.is_noting {
            self.note(client, request, outcome);
        }
        Reply { len: outcome.reply_len, hold_s: outcome.hold_s, is_late: false }
    }

    fn take_over(&mut self, client: SocketAddr, transport: Transport, request: Box<[u8]>, late: Late) {
        if let Some(updates) = &self.updates {
            updates.leave(Job { client, transport, request, late });
        }
    }
}
