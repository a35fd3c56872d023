//! What each worker does with a request: answer it, count it, and if asked to, note it.

use std::{net::SocketAddr, sync::Arc};

use super::query_log::{Listener, LoggedQuery, QueryLog, QueryTap};
use crate::{
    answer::{self, Client, Ignored, Outcome, Policy, World},
    control::update::{Inbox, Job},
    live::{
        clock,
        served::{Cell, LiveCell, Served, View},
    },
    metrics::{Way, ZoneCounters},
    net::{Late, Peer, Reply, Responder, Transport},
    wire::name::QueryName,
    zone::live::Live,
};

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
    /// Makes the responder of the worker with a number, under which it counts. One that begins anew goes on with the counts that it left.
    pub(super) fn into_factory(self) -> impl Fn(usize) -> ZoneResponder + Send + Sync + 'static {
        move |number| ZoneResponder::new(number, self.clone())
    }
}

/// Answers from the zones: a worker's own things.
pub(super) struct ZoneResponder {
    number: usize,
    shared: Shared,
    served: View<Served>,
    live: View<Live>,
    now_s: u64,
    listener: Listener,
    /// One of the logs wants to hear of queries.
    is_noting: bool,
    name: QueryName,
}

impl ZoneResponder {
    fn new(number: usize, shared: Shared) -> Self {
        let (served, live) = (View::new(Arc::clone(&shared.cell)), View::new(Arc::clone(&shared.live_cell)));
        let listener = Listener::new(Arc::clone(&shared.tap));
        let (now_s, name) = (clock::now_s(), QueryName::new());
        Self { number, shared, served, live, now_s, listener, is_noting: false, name }
    }

    /// Responds to what is not as usual.
    #[inline(never)]
    fn respond_in_full(&mut self, client: &Peer, transport: Transport, request: &[u8], reply: &mut [u8]) -> Reply {
        let world = world(&self.served, &self.live, &self.shared.policy, self.now_s);
        let asker = Client { address: client.ip(), transport };
        let outcome = answer::answer_in_full(&mut self.name, &world, &asker, request, reply);
        if outcome.fate == Err(Ignored::Elsewhere) {
            // Whoever takes updates answers and counts them.
            return Reply::LATE;
        }
        self.settle(client, transport, request, &outcome)
    }

    /// Counts what became of a request, and notes it if asked to.
    #[inline(always)]
    fn settle(&mut self, client: &Peer, transport: Transport, request: &[u8], outcome: &Outcome) -> Reply {
        let way = Way { transport, is_v6: client.is_v6() };
        let counters = match outcome.zone {
            Some(zone) => &self.served.counters[zone.index()],
            None => &self.shared.outside,
        };
        counters.count(self.number, way, request.len(), outcome);
        if self.is_noting {
            self.note(client.socket_addr(), request, *outcome);
        }
        Reply { len: outcome.reply_len.into(), hold_s: outcome.hold_s, is_late: false }
    }

    #[cold]
    #[inline(never)]
    fn note(&mut self, client: SocketAddr, request: &[u8], outcome: Outcome) {
        let zone = outcome.zone.and_then(|place| self.served.snapshot.zones().get(place.index()));
        let (zone, now_s) = (zone.map(|zone| &zone.apex), self.now_s);
        let switched_on = self.listener.log_for(client, zone, &outcome, now_s);
        for log in self.shared.log.iter().chain(switched_on) {
            log.leave(self.number, |with_zone| {
                let zone = zone.filter(|_| with_zone).cloned();
                LoggedQuery { now_s, client, zone, request: request.into(), outcome }
            });
        }
    }
}

/// What answers are made from now.
#[inline(always)]
fn world<'a>(served: &'a Served, live: &'a Live, policy: &'a Policy, now_s: u64) -> World<'a> {
    World { snapshot: &served.snapshot, policy, now_s, live }
}

impl Responder for ZoneResponder {
    fn begin_batch(&mut self) {
        self.now_s = clock::now_s();
        self.served.look();
        self.live.look();
        self.is_noting = self.listener.look() || self.shared.log.is_some();
    }

    #[inline(always)]
    fn respond(&mut self, client: &Peer, transport: Transport, request: &[u8], reply: &mut [u8]) -> Reply {
        let world = world(&self.served, &self.live, &self.shared.policy, self.now_s);
        let asker = Client { address: client.ip(), transport };
        match answer::answer_if_usual(&mut self.name, &world, &asker, request, reply) {
            Some(outcome) => self.settle(client, transport, request, &outcome),
            None => self.respond_in_full(client, transport, request, reply),
        }
    }

    fn take_over(&mut self, client: SocketAddr, transport: Transport, request: Box<[u8]>, late: Late) {
        if let Some(updates) = &self.shared.updates {
            updates.leave(Job { client, transport, request, late });
        }
    }
}
