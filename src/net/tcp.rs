//! The TCP thread (RFC 7766): who is let in, who must leave, and the one place at which all connections are answered.
//!
//! A connection at rest is a socket, a small task and nothing else: its octets are read into one buffer and answered
//! there, and only what could not be finished (a query cut in two, answers that the client does not read) is kept with the
//! connection. So the limit on connections is a limit on file descriptors rather than on memory.
//!
//! When all seats are taken, the connection that has been without a query for longest is closed for the newcomer, rather
//! than the newcomer refused: a client with something to ask has just asked for a seat, and one who has been silent longest
//! will lose least. (RFC 7766, section 6.2.3 lets a server close idle connections at will; clients ask again.) One client
//! alone cannot drive the others out, because the limit per client is well below the total (unless somebody sets it otherwise, and
//! is warned).

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{AbortHandle, LocalSet, spawn_local, yield_now};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::connection::Connection;
use super::counters::Closed;
use super::{Peer, REQUEST_MAX_LEN, Reply, Responder, Stop, TCP_REPLY_MAX_LEN, TcpCounters, Transport};

/// How often a crowd is looked for, and how long the responder keeps an old snapshot when no one asks.
const TEND_MS: u64 = 250;

/// A pause after a failed accept that no connection of ours can be closed for.
const ACCEPT_PAUSE_MS: u64 = 50;

/// Octets read at once. Several pipelined queries, or the longest single one with its length.
const INPUT_LEN: usize = 16 << 10;

/// Replies are gathered up to so many octets before they are written; each may still be as long as there is.
pub(super) const GATHER_LEN: usize = 16 << 10;

const _: () = assert!(INPUT_LEN > 2 * (2 + REQUEST_MAX_LEN), "a query cut in two must leave room to read on");

/// What a client may do over TCP. The defaults serve resolvers and mail servers; every limit can be reached only by harm or
/// by great load.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once. Default 800, which with everything else stays within the customary 1,024 file descriptors.
    pub max_connections: usize,
    /// Connections at once from one IPv4 address or IPv6 /64. Default 80; the configuration has it bend to a lower total.
    pub max_connections_per_client: usize,
    /// Queries on one connection. Default 100,000.
    pub max_queries: u32,
    /// A connection is closed so long after its last whole query came and all answers have left. Default 10,000 (RFC 7766,
    /// section 6.2.3: seconds).
    pub idle_close_ms: u64,
    /// While more than three quarters of the connections are taken, those without a new query for so long are closed, the
    /// longest quiet first, until fewer are. Default 2,000.
    pub crowded_idle_close_ms: u64,
    /// Answers of which the client takes nothing for so long close the connection. Default 5,000.
    pub stall_close_ms: u64,
    /// A connection is closed after so long, however busy. Default 300,000.
    pub lifetime_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 800,
            max_connections_per_client: 80,
            max_queries: 100_000,
            idle_close_ms: 10_000,
            crowded_idle_close_ms: 2_000,
            stall_close_ms: 5_000,
            lifetime_ms: 300_000,
        }
    }
}

/// The TCP thread before it runs.
pub(super) struct Service {
    listeners: Vec<TcpListener>,
    limits: Limits,
    counters: Arc<TcpCounters>,
    stop: Arc<Stop>,
    runtime: Runtime,
}

impl Service {
    pub(super) fn new(
        listeners: Vec<TcpListener>,
        limits: Limits,
        counters: Arc<TcpCounters>,
        stop: Arc<Stop>,
    ) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        Ok(Self { listeners, limits, counters, stop, runtime })
    }

    /// Serve until stopped; then every connection is closed.
    pub(super) fn run<R: Responder + 'static>(self, new_responder: impl Fn() -> R + 'static) {
        let room = Rc::new(Room {
            answering: RefCell::new(Answering {
                responder: new_responder(),
                new_responder: Box::new(new_responder),
                input: vec![0; INPUT_LEN].into(),
                output: vec![0; GATHER_LEN + 2 + TCP_REPLY_MAX_LEN].into(),
            }),
            seats: RefCell::default(),
            limits: self.limits,
            counters: self.counters,
        });
        let tasks = LocalSet::new();
        tasks.block_on(&self.runtime, async move {
            for listener in self.listeners {
                // It fails only where the event queue takes no more sockets, and there is one for each address.
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => drop(spawn_local(Rc::clone(&room).accept(listener))),
                    Err(error) => tracing::error!(%error, "a TCP address is not served"),
                }
            }
            spawn_local(Rc::clone(&room).tend());
            self.stop.bell.notified().await;
        });
    }
}

/// What all connections share. One thread: each borrow ends before the next await.
pub(super) struct Room<R> {
    pub(super) answering: RefCell<Answering<R>>,
    seats: RefCell<Seats>,
    pub(super) limits: Limits,
    pub(super) counters: Arc<TcpCounters>,
}

/// Where queries are answered, one connection at a time.
pub(super) struct Answering<R> {
    pub(super) responder: R,
    new_responder: Box<dyn Fn() -> R>,
    pub(super) input: Box<[u8]>,
    pub(super) output: Box<[u8]>,
}

impl<R: Responder> Answering<R> {
    /// Answer a request into the output from `start` on; nothing if the responder panics, in whose place another one comes.
    pub(super) fn respond(&mut self, client: &Peer, request: Range<usize>, start: usize) -> Option<Reply> {
        let output = &mut self.output[start..start + TCP_REPLY_MAX_LEN];
        let (responder, request) = (&mut self.responder, &self.input[request]);
        let respond = || responder.respond(client, Transport::Tcp, request, output);
        let reply = catch_unwind(AssertUnwindSafe(respond)).ok();
        if reply.is_none() {
            self.responder = (self.new_responder)();
        }
        reply
    }
}

impl<R: Responder + 'static> Room<R> {
    async fn accept(self: Rc<Self>, listener: tokio::net::TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, client)) => self.admit(stream, client),
                // The client gave up before we came.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    self.counters.accept_errors.add(1);
                    tracing::debug!(%error, "accept failed");
                    let code = error.raw_os_error();
                    let has_room = matches!(code, Some(libc::EMFILE | libc::ENFILE)) && self.evict();
                    // As where all seats are taken: newcomers in a line, with a pause before each, would wait for long. But where all
                    // of the system is short, somebody else may take what is free.
                    if has_room && code == Some(libc::EMFILE) {
                        yield_now().await; // the task that is told to end does so, and its descriptor is free
                    } else {
                        sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                    }
                }
            }
        }
    }

    fn admit(self: &Rc<Self>, stream: TcpStream, client: SocketAddr) {
        let network = network_of(client.ip());
        if self.seats.borrow().count_of(network) >= self.limits.max_connections_per_client {
            self.counters.refused_per_client.add(1);
            return;
        }
        if self.seats.borrow().taken.len() >= self.limits.max_connections {
            self.evict();
        }
        // Answers are written when they are complete; waiting for more to send with them would only delay them.
        let _ = stream.set_nodelay(true);
        let now = Instant::now();
        let seat = self.seats.borrow_mut().take(network, now);
        self.counters.accepted.add(1);
        self.count_open();
        let guest = Guest { room: Rc::clone(self), seat: Rc::clone(&seat), reason: Cell::new(Closed::Aborted) };
        let connection = Connection::new(stream, client, now + Duration::from_millis(self.limits.lifetime_ms));
        let task = spawn_local(async move {
            let reason = connection.serve(&guest.room, &guest.seat).await;
            guest.reason.set(reason);
        });
        // Nothing has set it before: the seat is new.
        let _ = seat.task.set(task.abort_handle());
    }

    async fn tend(self: Rc<Self>) {
        let mut ticks = interval(Duration::from_millis(TEND_MS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.answering.borrow_mut().responder.begin_batch();
            self.thin_out();
        }
    }
}

impl<R> Room<R> {
    /// Close the connection that has been without a query for longest, if there is one.
    fn evict(&self) -> bool {
        let has_closed = self.close_longest_quiet(Duration::ZERO);
        self.counters.closed_for(Closed::Evicted).add(has_closed.into());
        has_closed
    }

    /// Close idle connections while the room is crowded.
    fn thin_out(&self) {
        let least = Duration::from_millis(self.limits.crowded_idle_close_ms);
        while self.is_crowded() && self.close_longest_quiet(least) {
            self.counters.closed_for(Closed::Idle).add(1);
        }
    }

    fn is_crowded(&self) -> bool {
        self.seats.borrow().taken.len() * 4 > self.limits.max_connections * 3
    }

    /// Close the longest quiet connection if it has been so for `least` at least. Its end is counted by the caller.
    fn close_longest_quiet(&self, least: Duration) -> bool {
        let Some(seat) = self.seats.borrow_mut().remove_longest_quiet(Instant::now(), least) else { return false };
        if let Some(task) = seat.task.get() {
            task.abort();
        }
        self.count_open();
        true
    }

    fn count_open(&self) {
        self.counters.open.set(self.seats.borrow().taken.len() as u64);
    }
}

/// A connection's presence in the room, which ends with its task, however that ends.
struct Guest<R> {
    room: Rc<Room<R>>,
    seat: Rc<Seat>,
    reason: Cell<Closed>,
}

impl<R> Drop for Guest<R> {
    fn drop(&mut self) {
        // Whoever was evicted has lost the seat already and was counted.
        if self.room.seats.borrow_mut().remove(self.seat.id).is_some() {
            self.room.counters.closed_for(self.reason.get()).add(1);
            self.room.count_open();
        }
    }
}

/// One connection as the others see it.
pub(super) struct Seat {
    id: u64,
    network: IpAddr,
    /// When it last had a query answered, its answers out, or came in. In the future while an answer is held.
    pub(super) quiet_since: Cell<Instant>,
    task: OnceCell<AbortHandle>,
}

/// Who sits where. At most some hundreds, and only a full room is searched, so a search from end to end will do.
#[derive(Default)]
struct Seats {
    taken: HashMap<u64, Rc<Seat>>,
    clients: HashMap<IpAddr, usize>,
    next_id: u64,
}

impl Seats {
    fn count_of(&self, network: IpAddr) -> usize {
        self.clients.get(&network).copied().unwrap_or(0)
    }

    fn take(&mut self, network: IpAddr, now: Instant) -> Rc<Seat> {
        self.next_id += 1;
        let seat = Rc::new(Seat { id: self.next_id, network, quiet_since: Cell::new(now), task: OnceCell::new() });
        self.taken.insert(seat.id, Rc::clone(&seat));
        *self.clients.entry(network).or_default() += 1;
        seat
    }

    fn remove(&mut self, id: u64) -> Option<Rc<Seat>> {
        let seat = self.taken.remove(&id)?;
        if let Some(count) = self.clients.get_mut(&seat.network) {
            *count -= 1;
            if *count == 0 {
                self.clients.remove(&seat.network);
            }
        }
        Some(seat)
    }

    fn remove_longest_quiet(&mut self, now: Instant, least: Duration) -> Option<Rc<Seat>> {
        let longest = self.taken.values().min_by_key(|seat| (seat.quiet_since.get(), seat.id))?;
        // It is zero for a moment in the future, so that a room full of held answers can still be entered.
        let quiet = now.saturating_duration_since(longest.quiet_since.get());
        let id = longest.id;
        if quiet >= least { self.remove(id) } else { None }
    }
}

/// What counts as one client: an IPv4 address, or the /64 that one IPv6 host commonly has to itself.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_address_or_a_slash_64() {
        let network = |text: &str| network_of(text.parse().expect("address"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
    }

    #[test]
    fn the_longest_quiet_leaves_first_and_counts_stay_exact() {
        let (a, b) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let mut seats = Seats::default();
        let now = Instant::now();
        let first = seats.take(a, now);
        let second = seats.take(a, now);
        let third = seats.take(b, now);
        let while_s = Duration::from_secs(1);
        first.quiet_since.set(now + while_s);
        assert_eq!(seats.count_of(a), 2);
        assert!(seats.remove_longest_quiet(now, while_s).is_none(), "none is quiet for so long");
        let mut leave = || seats.remove_longest_quiet(now, Duration::ZERO).map(|seat| seat.id);
        assert_eq!([leave(), leave(), leave(), leave()], [Some(second.id), Some(third.id), Some(first.id), None]);
        assert!(seats.remove(second.id).is_none(), "a seat is left once");
        assert_eq!((seats.count_of(a), seats.count_of(b)), (0, 0));
        assert!(seats.clients.is_empty());
    }
}
