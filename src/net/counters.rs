//! What only the transport knows, counted. Each struct has one writing thread, so that counting is a load and a store in
//! that thread's own cache lines, and any number of readers, who may see the fields of one moment a few datagrams apart.
//!
//! Sums that hold when nothing is under way:
//!
//! - UDP: `received` = `replied` + `late` + `unanswered` + `dropped_long` + `dropped_short` + `dropped_port_zero`, and
//!   `replied` = `sent` + `send_errors` + `dropped_hold_full` + replies still held.
//! - TCP: `accepted` = `open` + all `closed_*`. (`refused_per_client` were never let in.)

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// Declare a struct of counters whose names a scraper can walk.
macro_rules! counters {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $field:ident,)* }) => {
        $(#[$about])*
        // Two cache lines apart: neighbours are fetched in pairs on x86-64.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct $name { $($(#[$doc])* pub $field: Counter,)* }

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
        /// Requests from port 0, to which no reply can be sent.
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
    }
}

/// All counters of a running server.
#[derive(Clone, Debug)]
pub struct Counters {
    /// One for each UDP worker.
    pub udp: Vec<Arc<UdpCounters>>,
    /// The TCP thread's; all zero when TCP is off.
    pub tcp: Arc<TcpCounters>,
}
