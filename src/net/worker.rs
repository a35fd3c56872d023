//! A worker: one thread, one carrier of datagrams, one batch in hand.
//!
//! Datagrams come by a socket (`batch.rs`) or straight from a network interface (`xdp/`); what is done with them is the same and
//! stands here once. Per batch: one system call to receive, one to send, the time and the snapshot once. Per datagram: a look
//! at who sent it, the responder, and a few stores that queue the reply. Held replies are rare (a dataset asks for the delay),
//! so they wait in a heap, each with its way back, and a batch pays one branch for there being none.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use std::{cmp, io};

use super::counters::Stopwatch;
use super::peer::Peer;
use super::{Late, Responder, Stop, Transport, UdpCounters};
use crate::wire::HEADER_LEN;

/// How long a receive waits at most, and so how soon a stop, a held reply and a new snapshot are seen where nothing arrives.
pub(super) const RECEIVE_WAIT_MS: u64 = 250;

/// How long sending waits for a full queue to drain before the rest of the batch is given up.
pub(super) const SEND_WAIT_MS: u64 = 250;

/// The most replies that wait at once in a worker. At some 200 octets each they take 2 MB, at most 32.
const HELD_MAX: usize = 8192;

/// A pause after an unexpected error of the carrier, lest the thread spins on it.
const ERROR_PAUSE_MS: u64 = 20;

/// What moves datagrams in batches. Those of a batch are looked at in order, and each is done with before the next.
pub(super) trait Carrier {
    /// Wait [`RECEIVE_WAIT_MS`] at most for a datagram, then take as many as are there. Returns how many.
    fn receive(&mut self) -> io::Result<usize>;

    /// Whether they come by IPv6, also where it cannot be told from whom.
    fn is_v6(&self) -> bool;

    /// The `i`-th datagram received.
    fn datagram(&mut self, i: usize) -> Datagram<'_>;

    /// Queue the first `len` octets of what was laid into the room for the `i`-th one's reply.
    fn queue(&mut self, i: usize, len: usize);

    /// The way back for a reply to the `i`-th one that comes later, or from another thread.
    fn way_back(&mut self, i: usize, client: SocketAddr) -> Late;

    /// Send all that is queued. One that fails does not stop those after it.
    fn send(&mut self) -> Sent;
}

/// A received datagram, with the room for its reply.
pub(super) struct Datagram<'a> {
    /// Who sent it, if that can be told.
    pub(super) client: Option<&'a Peer>,
    /// It was longer than the room for requests, and its end is lost.
    pub(super) truncated: bool,
    pub(super) request: &'a [u8],
    pub(super) reply: &'a mut [u8],
}

/// What became of the queued replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) sent: usize,
    pub(super) failed: usize,
}

/// What a worker's thread is given.
pub(super) struct Worker {
    /// Which of all it is, for its responder.
    pub(super) number: usize,
    pub(super) counters: Arc<UdpCounters>,
    pub(super) stop: Arc<Stop>,
}

impl Worker {
    /// Serve until stopped. A panic of the responder costs the batch in hand and what is held, not the worker: its carrier
    /// would go on receiving its share of the traffic with no one to read it.
    pub(super) fn run<R: Responder>(self, carrier: &mut impl Carrier, new_responder: &impl Fn(usize) -> R) {
        while !self.stop.is_set() {
            let serve = || Serving::new(&self, carrier, new_responder(self.number)).serve();
            if catch_unwind(AssertUnwindSafe(serve)).is_err() {
                self.counters.held.set(0);
                self.counters.panics.add(1);
                tracing::error!("a UDP worker panicked while answering and begins anew; please report this");
                thread::sleep(Duration::from_millis(ERROR_PAUSE_MS));
            }
        }
    }
}

/// What a worker works with.
struct Serving<'a, C, R> {
    carrier: &'a mut C,
    counters: &'a UdpCounters,
    stop: &'a Stop,
    responder: R,
    held: Held,
}

impl<'a, C: Carrier, R: Responder> Serving<'a, C, R> {
    fn new(worker: &'a Worker, carrier: &'a mut C, responder: R) -> Self {
        let Worker { counters, stop, .. } = worker;
        Self { carrier, counters, stop, responder, held: Held::default() }
    }

    fn serve(&mut self) {
        while !self.stop.is_set() {
            let received = self.receive();
            self.responder.begin_batch();
            if received > 0 {
                let begun = Stopwatch::start();
                self.answer(received);
                self.send();
                self.counters.durations.observe(received as u64, begun.elapsed_ns());
            }
            if !self.held.is_empty() {
                self.release();
            }
        }
    }

    fn receive(&mut self) -> usize {
        match self.carrier.receive() {
            Ok(received) => received,
            // Nothing came in time (EAGAIN), or a signal did (EINTR).
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => 0,
            Err(error) => {
                self.counters.receive_errors.add(1);
                tracing::debug!(%error, "receive failed");
                thread::sleep(Duration::from_millis(ERROR_PAUSE_MS));
                0
            }
        }
    }

    fn answer(&mut self, received: usize) {
        let (mut replied, mut late, mut unread) = (0, 0, 0);
        let is_v6 = self.carrier.is_v6();
        for i in 0..received {
            let datagram = self.carrier.datagram(i);
            let is_whole = !datagram.truncated && datagram.request.len() >= HEADER_LEN;
            let Some(client) = datagram.client.filter(|client| is_whole && client.takes_replies()) else {
                unread += 1;
                count_unread(self.counters, &datagram, is_v6);
                continue;
            };
            let reply = self.responder.respond(client, Transport::Udp, datagram.request, datagram.reply);
            if reply.len == 0 {
                if reply.is_late {
                    late += 1;
                    let (client, request) = (client.socket_addr(), datagram.request.into());
                    self.hand_over(i, client, request);
                }
                continue;
            }
            replied += 1;
            if reply.hold_s == 0 {
                self.carrier.queue(i, reply.len);
            } else {
                let (client, held) = (client.socket_addr(), datagram.reply[..reply.len].to_vec());
                self.hold(i, client, held, reply.hold_s);
            }
        }
        let received = received as u64;
        self.counters.received.add(received);
        self.counters.replied.add(replied);
        self.counters.unanswered.add(received - replied - late - unread);
        if late > 0 {
            self.counters.late.add(late);
        }
    }

    /// Give a request away, with the way back to its client.
    #[cold]
    fn hand_over(&mut self, i: usize, client: SocketAddr, request: Box<[u8]>) {
        let late = self.carrier.way_back(i, client);
        self.responder.take_over(client, Transport::Udp, request, late);
    }

    /// Keep a reply, with the way back to its client.
    #[cold]
    fn hold(&mut self, i: usize, client: SocketAddr, reply: Vec<u8>, hold_s: u16) {
        if self.held.is_full() {
            self.counters.dropped_hold_full.add(1);
            return;
        }
        let due = Instant::now() + Duration::from_secs(hold_s.into());
        self.held.push(due, self.carrier.way_back(i, client), reply);
        self.counters.held.set(self.held.len() as u64);
    }

    /// Send the held replies that are due, after the batch in hand was sent, for as long as the kernel takes them.
    fn release(&mut self) {
        let now = Instant::now();
        while let Some((late, reply)) = self.held.pop_due(now) {
            let Err(error) = late.send(reply) else {
                self.counters.sent.add(1);
                continue;
            };
            self.counters.send_errors.add(1);
            // The queue did not drain within SO_SNDTIMEO, and each further one would wait as long again: they stay held.
            if error.kind() == io::ErrorKind::WouldBlock {
                break;
            }
        }
        self.counters.held.set(self.held.len() as u64);
    }

    fn send(&mut self) {
        let outcome = self.carrier.send();
        self.counters.sent.add(outcome.sent as u64);
        if outcome.failed > 0 {
            self.counters.send_errors.add(outcome.failed as u64);
        }
    }
}

/// Counts a datagram that is not for the responder, by whose it is, or by what it came, and why.
#[cold]
fn count_unread(counters: &UdpCounters, datagram: &Datagram<'_>, is_v6: bool) {
    let unread = &counters.unread[usize::from(datagram.client.map_or(is_v6, Peer::is_v6))];
    let reason = if datagram.truncated {
        &unread.long
    } else if datagram.request.len() < HEADER_LEN {
        &unread.short
    } else {
        &unread.port_zero
    };
    reason.add(1);
}

/// Replies that wait, the earliest due first, and those due at the same moment in order of arrival.
#[derive(Default)]
struct Held {
    heap: BinaryHeap<Reverse<Waiting>>,
    arrivals: u64,
}

struct Waiting {
    due: Instant,
    arrival: u64,
    late: Late,
    reply: Vec<u8>,
}

impl Held {
    fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    fn is_full(&self) -> bool {
        self.heap.len() >= HELD_MAX
    }

    fn len(&self) -> usize {
        self.heap.len()
    }

    fn push(&mut self, due: Instant, late: Late, reply: Vec<u8>) {
        self.arrivals += 1;
        self.heap.push(Reverse(Waiting { due, arrival: self.arrivals, late, reply }));
    }

    fn pop_due(&mut self, now: Instant) -> Option<(Late, Vec<u8>)> {
        let Reverse(first) = self.heap.peek()?;
        if first.due > now {
            return None;
        }
        self.heap.pop().map(|Reverse(waiting)| (waiting.late, waiting.reply))
    }
}

impl Waiting {
    fn rank(&self) -> (Instant, u64) {
        (self.due, self.arrival)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
    use std::os::fd::OwnedFd;

    use super::*;
    use crate::net::Reply;

    struct Silent;

    impl Responder for Silent {
        fn begin_batch(&mut self) {}

        fn respond(&mut self, _: &Peer, _: Transport, _: &[u8], _: &mut [u8]) -> Reply {
            Reply::NONE
        }
    }

    /// Datagrams that no responder is to see, all by IPv6 or by IPv4: the octets of each, and whose it is.
    struct Unreadable(bool, Vec<(usize, Option<Peer>)>);

    impl Carrier for Unreadable {
        fn is_v6(&self) -> bool {
            self.0
        }

        fn receive(&mut self) -> io::Result<usize> {
            Ok(self.1.len())
        }

        fn datagram(&mut self, i: usize) -> Datagram<'_> {
            static OCTETS: [u8; 100] = [0; 100];
            let (len, client) = &self.1[i];
            let (truncated, request) = (*len > OCTETS.len(), &OCTETS[..OCTETS.len().min(*len)]);
            Datagram { client: client.as_ref(), truncated, request, reply: &mut [] }
        }

        fn queue(&mut self, _: usize, _: usize) {}

        fn way_back(&mut self, _: usize, _: SocketAddr) -> Late {
            unreachable!("nothing is answered")
        }

        fn send(&mut self) -> Sent {
            Sent::default()
        }
    }

    #[test]
    fn what_is_unread_counts_by_its_clients_family_and_why() {
        let peer = |text: &str| Some(Peer::from(text.parse::<SocketAddr>().expect("an address")));
        let (v4, v6) = (peer("192.0.2.1:53"), peer("[2001:db8::1]:53"));
        let (v4_nowhere, v6_nowhere) = (peer("192.0.2.1:0"), peer("[2001:db8::1]:0"));
        let of_v4 = [(11, v4), (12, v4_nowhere), (12, None)];
        let of_v6 = [(0, v6), (11, v6), (101, v6), (11, v6_nowhere), (12, v6_nowhere), (12, None)];
        let worker = Worker { number: 0, counters: Arc::default(), stop: Arc::default() };
        for (is_v6, all) in [(false, &of_v4[..]), (true, &of_v6)] {
            Serving::new(&worker, &mut Unreadable(is_v6, all.to_vec()), Silent).answer(all.len());
        }
        let counters = crate::net::Counters { udp: vec![Arc::clone(&worker.counters)], ..Default::default() };
        let of_v4 = [("short", 1), ("long", 0), ("port_zero", 2)];
        assert_eq!(counters.unread(), [of_v4, [("short", 3), ("long", 1), ("port_zero", 2)]]);
        assert_eq!((worker.counters.received.value(), worker.counters.unanswered.value()), (9, 0));
    }

    /// The one end of a stream whose other end does not read, which takes nothing any more. To a datagram's way back it is a
    /// socket like others, and the only one whose queue can be filled where nothing leaves the machine.
    fn stalled_stream(wait: Duration) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("a stream");
        let (reader, _) = listener.accept().expect("a stream");
        stream.set_write_timeout(Some(wait)).expect("set");
        while io::Write::write(&mut &stream, &[0; 16 << 10]).is_ok() {}
        (stream, reader)
    }

    #[test]
    fn held_replies_wait_once_a_round_for_a_queue_that_is_full() {
        const WAIT: Duration = Duration::from_millis(50);
        let (stream, mut reader) = stalled_stream(WAIT);
        let socket = Arc::new(UdpSocket::from(OwnedFd::from(stream)));
        let client = (Ipv4Addr::LOCALHOST, 53).into();
        let worker = Worker { number: 0, counters: Arc::default(), stop: Arc::default() };
        let mut carrier = Unreadable(false, Vec::new());
        let mut serving = Serving::new(&worker, &mut carrier, Silent);
        for _ in 0..100 {
            serving.held.push(Instant::now(), Late::udp(Arc::clone(&socket), client, Box::default()), vec![1; 40]);
        }
        let begun = Instant::now();
        serving.release();
        let waited = begun.elapsed();
        assert!(waited < WAIT * 50, "{waited:?}");
        let counters = &worker.counters;
        assert_eq!((counters.sent.value(), counters.send_errors.value(), counters.held.value()), (0, 1, 99));

        let drained = thread::spawn(move || while reader.read(&mut [0; 16 << 10]).is_ok_and(|read| read > 0) {});
        let begun = Instant::now();
        while !serving.held.is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(5), "they stay held");
            serving.release();
        }
        assert_eq!(counters.sent.value() + counters.send_errors.value(), 100, "each is told of");
        assert!(counters.sent.value() > 50 && counters.held.value() == 0);
        drop((serving, socket));
        drained.join().expect("the reader ends");
    }
}
