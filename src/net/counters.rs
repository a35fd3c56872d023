//! What only the transport knows, counted. Each struct has one writing thread, so that counting is a load and a store in
//! that thread's own cache lines, and any number of readers, who may see the fields of one moment a few datagrams apart.
//!
//! Sums that hold when nothing is under way, and nothing was lost to a panic:
//!
//! - UDP: `received` = `replied` + `late` + `unanswered` + all that is `unread`, and `replied` = `sent` + `send_errors` +
//!   `dropped_hold_full` + replies still held.
//! - TCP: `accepted` = `open` + all that is `closed`. (`refused_per_client` were never let in.)
//!
//! Times are taken twice a batch and not for each query, which would cost more than many an answer: every request of a batch
//! counts with the time from when the whole batch was received to when the last of its replies was handed to the kernel.
//! That is what the last of them waited, and more than the others did.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::time::{ClockId, clock_gettime};

use super::xdp::Tapped;

/// A number with one writing thread.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Add, from the one thread that writes. A second writer would lose counts, nothing worse.
    pub fn add(&self, more: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    /// Set a gauge, from the one thread that writes.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the classes of durations, in nanoseconds; there is one more class for what takes longer.
pub const DURATION_BOUNDS_NS: [u64; 12] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
];

/// Since when, by the clock that never steps. It is read twice a batch, which of a batch of one is much, and in nanoseconds that
/// takes fewer instructions than as an `Instant`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch(i64);

impl Stopwatch {
    /// From now on.
    #[inline]
    pub(super) fn start() -> Self {
        Self(now_ns())
    }

    /// Nanoseconds since then.
    #[inline]
    pub(super) fn elapsed_ns(self) -> u64 {
        now_ns().wrapping_sub(self.0) as u64
    }
}

#[inline]
#[allow(clippy::unnecessary_cast, reason = "the C libraries differ in the types")]
fn now_ns() -> i64 {
    // Where there is no such clock, nothing takes any time.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| now.tv_sec() as i64 * 1_000_000_000 + now.tv_nsec() as i64)
}

/// How long requests took, by class, from the one thread that writes.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Durations {
    classes: [Counter; DURATION_BOUNDS_NS.len() + 1],
    sum_ns: Counter,
}

impl Durations {
    /// So many requests took so long each.
    pub fn observe(&self, count: u64, took_ns: u64) {
        let class = DURATION_BOUNDS_NS.partition_point(|&bound_ns| bound_ns < took_ns);
        self.classes[class].add(count);
        self.sum_ns.add(took_ns.saturating_mul(count));
    }

    /// Requests of each class, and the time that all took together, in nanoseconds.
    pub fn value(&self) -> ([u64; DURATION_BOUNDS_NS.len() + 1], u64) {
        (std::array::from_fn(|class| self.classes[class].value()), self.sum_ns.value())
    }
}

/// Datagrams of one family that could not be answered, by reason.
#[derive(Debug, Default)]
pub struct Unread {
    /// Without even a header.
    pub short: Counter,
    /// Beyond the longest taken.
    pub long: Counter,
    /// From port 0, or from nobody that the kernel tells of, to whom no reply can be sent.
    pub port_zero: Counter,
}

/// One UDP worker's counts.
// Two cache lines apart: neighbours are fetched in pairs on x86-64.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct UdpCounters {
    /// Datagrams received.
    pub received: Counter,
    /// Requests that the responder answered.
    pub replied: Counter,
    /// Requests handed over to be answered by another thread.
    pub late: Counter,
    /// Requests that it chose not to answer.
    pub unanswered: Counter,
    /// Datagrams handed to the kernel, held replies included.
    pub sent: Counter,
    /// Replies that the kernel refused (no route, full queue, filtered).
    pub send_errors: Counter,
    /// Datagrams that the responder never saw, of clients by IPv4 and by IPv6.
    pub unread: [Unread; 2],
    /// Replies to be held that found the waiting room full.
    pub dropped_hold_full: Counter,
    /// Replies waiting now (a gauge).
    pub held: Counter,
    /// Failed attempts to receive.
    pub receive_errors: Counter,
    /// Batches lost to a panic in the responder: a bug of ours.
    pub panics: Counter,
    /// How long requests took.
    pub durations: Durations,
}

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// By the client, all answers delivered: the usual end.
    Ended,
    /// No query came for too long.
    Idle,
    /// Its time was over.
    Lifetime,
    /// After its last permitted query.
    QueryLimit,
    /// A length field was too small or too large.
    BadLength,
    /// The client did not read its answers.
    Stalled,
    /// To make room for a newcomer.
    Evicted,
    /// By an error of the network.
    Failed,
    /// The server stopped, or by a bug of ours.
    Aborted,
}

impl Closed {
    /// What they are called, in their order.
    const NAMES: [&str; 9] =
        ["ended", "idle", "lifetime", "query_limit", "bad_length", "stalled", "evicted", "failed", "aborted"];
}

const _: () = assert!(Closed::Aborted as usize + 1 == Closed::NAMES.len(), "the last reason has the last name");

/// The TCP thread's counts.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct TcpCounters {
    /// Connections let in.
    pub accepted: Counter,
    /// Connections open now (a gauge).
    pub open: Counter,
    /// Connections turned away because their client has too many.
    pub refused_per_client: Counter,
    /// Failed attempts to accept, lack of file descriptors among them.
    pub accept_errors: Counter,
    /// Queries read.
    pub received: Counter,
    /// Replies made.
    pub replied: Counter,
    /// Connections closed, by reason.
    closed: [Counter; Closed::NAMES.len()],
    /// Connections lost to a panic in the responder: a bug of ours.
    pub panics: Counter,
    /// How long requests took.
    pub durations: Durations,
}

impl TcpCounters {
    /// Connections closed for a reason.
    pub fn closed_for(&self, reason: Closed) -> &Counter {
        &self.closed[reason as usize]
    }

    /// Ends of connections by their reason.
    pub fn closed(&self) -> [(&'static str, u64); Closed::NAMES.len()] {
        std::array::from_fn(|reason| (Closed::NAMES[reason], self.closed[reason].value()))
    }
}

/// All counters of a running server.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// One for each UDP worker, at a socket or at an interface.
    pub udp: Vec<Arc<UdpCounters>>,
    /// The interfaces that requests are to be taken from.
    pub interfaces: Vec<Tapped>,
    /// The TCP thread's; all zero when TCP is off.
    pub tcp: Arc<TcpCounters>,
}

impl Counters {
    /// Datagrams that no responder saw, of clients by IPv4 and by IPv6, by reason.
    pub fn unread(&self) -> [[(&'static str, u64); 3]; 2] {
        [0, 1].map(|family: usize| {
            let sum = |of: fn(&Unread) -> &Counter| -> u64 {
                self.udp.iter().map(|worker| of(&worker.unread[family]).value()).sum()
            };
            [
                ("short", sum(|unread| &unread.short)),
                ("long", sum(|unread| &unread.long)),
                ("port_zero", sum(|unread| &unread.port_zero)),
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_their_classes() {
        let durations = Durations::default();
        durations.observe(3, 10_000);
        durations.observe(2, 10_001);
        durations.observe(1, 7_000_000_000);
        let (classes, sum_ns) = durations.value();
        assert_eq!((classes[0], classes[1], classes[12]), (3, 2, 1));
        assert_eq!(sum_ns, 30_000 + 20_002 + 7_000_000_000);
    }
}
