//! What only the transport knows, counted. Each struct has one writing thread, so that counting is a load and a store in
//! that thread's own cache lines, and any number of readers, who may see the fields of one moment a few datagrams apart.
//!
//! Sums that hold when nothing is under way:
//!
//! - UDP: `received` = `replied` + `late` + `unanswered` + `dropped_long` + `dropped_short` + `dropped_port_zero`, and
//!   `replied` = `sent` + `send_errors` + `dropped_hold_full` + replies still held.
//! - TCP: `accepted` = `open` + all `closed_*`. (`refused_per_client` were never let in.)
//!
//! Times are taken twice a batch and not for each query, which would cost more than many an answer: every request of a batch
//! counts with the time from when the whole batch was received to when the last of its replies was handed to the kernel.
//! That is what the last of them waited, and more than the others did.

use std::net::SocketAddr;
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

/// Declare a struct of counters whose names a scraper can walk.
macro_rules! counters {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $field:ident,)* }) => {
        $(#[$about])*
        // Two cache lines apart: neighbours are fetched in pairs on x86-64.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct $name {
            $($(#[$doc])* pub $field: Counter,)*
            /// How long requests took.
            pub durations: Durations,
        }

        impl $name {
            /// Every counter with its name, in order of declaration.
            pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field.value()),)*].into_iter()
            }
        }
    };
}

counters! {
    /// One UDP worker's counts.
    UdpCounters {
        /// Datagrams received.
        received,
        /// Batches received; `received / batches` says how well the load fills them.
        batches,
        /// Requests that the responder answered.
        replied,
        /// Requests handed over to be answered by another thread.
        late,
        /// Requests that it chose not to answer.
        unanswered,
        /// Datagrams handed to the kernel, held replies included.
        sent,
        /// Replies that the kernel refused (no route, full queue, filtered).
        send_errors,
        /// Requests beyond the longest taken.
        dropped_long,
        /// Requests without even a header.
        dropped_short,
        /// Requests from port 0, or from nobody that the kernel tells of, to whom no reply can be sent.
        dropped_port_zero,
        /// Replies to be held that found the waiting room full.
        dropped_hold_full,
        /// Replies waiting now (a gauge).
        held,
        /// Failed attempts to receive.
        receive_errors,
        /// Batches lost to a panic in the responder: a bug of ours.
        panics,
    }
}

counters! {
    /// The TCP thread's counts.
    TcpCounters {
        /// Connections let in.
        accepted,
        /// Connections open now (a gauge).
        open,
        /// Connections turned away because their client has too many.
        refused_per_client,
        /// Failed attempts to accept, lack of file descriptors among them.
        accept_errors,
        /// Queries read.
        received,
        /// Replies made.
        replied,
        /// Closed by the client, all answers delivered: the usual end.
        closed_ended,
        /// Closed because no query came for too long.
        closed_idle,
        /// Closed because its time was over.
        closed_lifetime,
        /// Closed after its last permitted query.
        closed_query_limit,
        /// Closed because a length field was too small or too large.
        closed_bad_length,
        /// Closed because the client did not read its answers.
        closed_stalled,
        /// Closed to make room for a newcomer.
        closed_evicted,
        /// Closed by an error of the network.
        closed_failed,
        /// Closed because the server stopped, or by a bug of ours.
        closed_aborted,
        /// Connections lost to a panic in the responder: a bug of ours.
        panics,
    }
}

/// All counters of a running server.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// One for each UDP worker, at a socket or at an interface.
    pub udp: Vec<Arc<UdpCounters>>,
    /// The addresses that these listen on, in the same order; of one at an interface, the first of them.
    pub udp_addresses: Vec<SocketAddr>,
    /// The interfaces that requests are to be taken from.
    pub interfaces: Vec<Tapped>,
    /// The TCP thread's; all zero when TCP is off.
    pub tcp: Arc<TcpCounters>,
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
