//! Bytes in, bytes out: the sockets, and the threads that serve them. Nothing here knows a zone.
//!
//! Nearly all traffic is UDP: one small datagram in, one out, hundreds of thousands a second, and no two of them related.
//! So each UDP worker is a plain thread with a socket of its own (`SO_REUSEPORT`), a [`Responder`] of its own and buffers
//! allocated once; it shares nothing that is written, and a system call carries a whole batch (`worker.rs`, `batch.rs`). TCP is
//! rare for blocklists (a truncated answer asked again, a monitor, a zone-checking script), and what it needs is many
//! connections that cost nearly nothing while they say nothing: one thread serves them all (`tcp.rs`, `connection.rs`), which
//! keeps every limit exact and every counter in one hand without a lock.
//!
//! ```text
//! Listeners::bind    sockets bound; privileges may be dropped after it
//!          .start    threads run; each makes its own Responder, and has a number for it
//! Server::counters   read at any time by a scraper
//!       ::stop       flag and wake-up;   join waits for the threads
//! ```
//!
//! Where an interface is named for it, requests come to us straight from there, by the same kind of worker (`worker.rs`, `xdp/`).
//!
//! `unsafe` is confined to `batch.rs` and to `xdp/`, which wrap the few system calls that no crate wraps as they are needed here.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use tokio::sync::Notify;

#[allow(unsafe_code)] // the kernel's own structures
mod batch;
mod bind;
mod connection;
mod counters;
mod late;
mod peer;
mod tcp;
mod worker;
mod xdp;

pub use crate::answer::Transport;
pub use bind::{BindError, Listeners, Settings, unbindable};
pub use counters::{Closed, Counter, Counters, DURATION_BOUNDS_NS, Durations, TcpCounters, UdpCounters};
pub use late::Late;
pub use peer::Peer;
pub use tcp::Limits;
pub use xdp::{Tapped, has_interface};

/// The longest request taken, in octets. Queries have some 60, an UPDATE with TSIG some hundreds; what is longer means harm.
pub const REQUEST_MAX_LEN: usize = 4096;

/// The room lent for a reply over UDP, in octets. The most that anyone announces in EDNS and still hopes to see arrive.
pub const UDP_REPLY_MAX_LEN: usize = 4096;

/// The room lent for a reply over TCP, in octets: all that the length field can say (RFC 1035, section 4.2.2).
pub const TCP_REPLY_MAX_LEN: usize = 65_535;

/// What a [`Responder`] has laid into the lent buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The reply's length in octets; 0 means that none is sent.
    pub len: usize,
    /// It is sent only after so many seconds.
    pub hold_s: u16,
    /// Nothing is sent now; the request is to be [taken over](Responder::take_over).
    pub is_late: bool,
}

impl Reply {
    /// No reply at all.
    pub const NONE: Self = Self { len: 0, hold_s: 0, is_late: false };

    /// A reply that will be sent by another thread.
    pub const LATE: Self = Self { len: 0, hold_s: 0, is_late: true };

    /// A reply of `len` octets, sent at once.
    pub const fn now(len: usize) -> Self {
        Self { len, hold_s: 0, is_late: false }
    }
}

/// The answering function, with what it keeps between calls. Each thread makes one of its own and never shares it, and another
/// one should it panic.
pub trait Responder {
    /// Take the clock and the snapshot, once for all requests that follow. It is also called some four times a second
    /// without any, so that a thread without traffic does not hold on to an old snapshot.
    fn begin_batch(&mut self);

    /// Answer one request into `reply`, which has room for [`UDP_REPLY_MAX_LEN`] or [`TCP_REPLY_MAX_LEN`] octets, or for what
    /// an interface takes in one piece, and holds remains of earlier ones. The request has 12 octets at least, a whole header.
    fn respond(&mut self, client: &Peer, transport: Transport, request: &[u8], reply: &mut [u8]) -> Reply;

    /// Take over a request to which the answer was [`Reply::LATE`], with the way back to its client. It must not block.
    fn take_over(&mut self, client: SocketAddr, transport: Transport, request: Box<[u8]>, late: Late) {
        let _ = (client, transport, request, late);
    }
}

/// How the threads are told to end: the flag for UDP workers, which look after each batch, the bell for the TCP thread.
#[derive(Debug, Default)]
struct Stop {
    flag: AtomicBool,
    bell: Notify,
}

impl Stop {
    fn is_set(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }
}

/// The running threads.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    counters: Counters,
    stop: Arc<Stop>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// The addresses served, with the ports that port 0 became.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What the threads have counted so far. The clone shares the counters, so a scraper may keep it.
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Tell all threads to end. UDP workers finish the batch in hand and see the flag within a quarter of a second; replies
    /// still held are dropped. TCP connections are closed at once.
    pub fn stop(&self) {
        self.stop.flag.store(true, Ordering::Relaxed);
        self.stop.bell.notify_one();
    }

    /// Wait until all threads have ended. Without [`Server::stop`] they never do.
    ///
    /// # Errors
    ///
    /// A thread ended by a panic, which would be a bug of ours.
    pub fn join(mut self) -> io::Result<()> {
        let failures = self.threads.drain(..).map(JoinHandle::join).filter(Result::is_err).count();
        if failures == 0 { Ok(()) } else { Err(io::Error::other(format!("{failures} network threads panicked"))) }
    }
}

impl Drop for Server {
    /// A server that is let go ends its threads; it does not wait for them.
    fn drop(&mut self) {
        self.stop();
    }
}
