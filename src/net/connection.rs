//! One TCP connection: messages behind their lengths (RFC 1035, section 4.2.2), many to a connection and many at once
//! (RFC 7766, sections 6.2.1 and 7), answered in order.
//!
//! It goes round in turns. A turn reads once, answers every whole query read, and writes the answers together, each with
//! its length (RFC 7766, section 8); in between nothing is kept but what could not be finished. A client who does not read its answers is not read from either, so it
//! slows itself down before the deadlines end it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::counters::Stopwatch;
use super::tcp::{Desk, GATHER_LEN, Room, Seat};
use super::{HEADER_LEN, Late, Peer, REQUEST_MAX_LEN, Responder, TCP_REPLY_MAX_LEN, TcpCounters, Transport};

/// How long, and for how many octets, a client that we part from is still listened to. Closing with its octets unread would
/// send a reset, which takes back answers still on their way.
const PARTING_MS: u64 = 500;
const PARTING_LEN: usize = 64 << 10;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    Ended,
    Idle,
    Lifetime,
    QueryLimit,
    BadLength,
    Stalled,
    Failed,
    Aborted,
}

impl Closed {
    pub(super) fn count(self, counters: &TcpCounters) {
        let counter = match self {
            Self::Ended => &counters.closed_ended,
            Self::Idle => &counters.closed_idle,
            Self::Lifetime => &counters.closed_lifetime,
            Self::QueryLimit => &counters.closed_query_limit,
            Self::BadLength => &counters.closed_bad_length,
            Self::Stalled => &counters.closed_stalled,
            Self::Failed => &counters.closed_failed,
            Self::Aborted => &counters.closed_aborted,
        };
        counter.add(1);
    }
}

/// A connection and what it could not finish.
pub(super) struct Connection {
    stream: TcpStream,
    client: Peer,
    /// Octets read and not answered: part of a query, or, while `more` is set, queries that wait for answers to leave.
    backlog: Vec<u8>,
    /// The backlog is to be looked at before anything is read.
    more: bool,
    /// The client has sent all that it will. What it asked is still answered: it may have shut down its side only.
    ended: bool,
    /// Answers that the kernel did not take yet.
    unsent: Vec<u8>,
    /// An answer to be sent only from that moment on. Those behind it wait with it, for the order's sake.
    held: Option<(Instant, Vec<u8>)>,
    /// An answer that another thread makes. What the client asks behind it waits, for the order's sake.
    late: Option<oneshot::Receiver<Vec<u8>>>,
    /// Set when no further query is taken: what is unsent is sent, then the connection is closed for this reason.
    parting: Option<Closed>,
    queries: u32,
    closes_at: Instant,
}

/// How far one turn came in its input and its output.
#[derive(Default)]
struct Progress {
    consumed: usize,
    written: usize,
    /// The last answer begins here and is to be held until then.
    held: Option<(usize, Instant)>,
    /// The last query was given away, and its answer comes from here.
    late: Option<oneshot::Receiver<Vec<u8>>>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, client: SocketAddr, closes_at: Instant) -> Self {
        Self {
            stream,
            client: client.into(),
            backlog: Vec::new(),
            more: false,
            ended: false,
            unsent: Vec::new(),
            held: None,
            late: None,
            parting: None,
            queries: 0,
            closes_at,
        }
    }

    /// Serve to the end, and tell why it ended.
    pub(super) async fn serve<R: Responder>(mut self, room: &Room<R>, seat: &Seat) -> Closed {
        let reason = match self.take_turns(room, seat).await {
            Ok(reason) | Err(reason) => reason,
        };
        if matches!(reason, Closed::Lifetime | Closed::QueryLimit | Closed::BadLength) {
            self.part(room).await;
        }
        reason
    }

    async fn take_turns<R: Responder>(&mut self, room: &Room<R>, seat: &Seat) -> Result<Closed, Closed> {
        loop {
            self.write_unsent(Duration::from_millis(room.limits.stall_close_ms)).await?;
            if let Some((due, answer)) = self.held.take() {
                // Until then the silence is ours, not the client's.
                seat.quiet_since.set(due.min(self.closes_at));
                if due > self.closes_at {
                    // What is held is not to be had earlier by that.
                    sleep_until(self.closes_at).await;
                    return Ok(Closed::Lifetime);
                }
                sleep_until(due).await;
                self.unsent = answer;
                continue;
            }
            if let Some(late) = self.late.take() {
                seat.quiet_since.set(Instant::now());
                // Nobody answers if the sender is dropped; then the next query has its turn.
                if let Ok(answer) = timeout_at(self.closes_at, late).await.map_err(|_| Closed::Lifetime)? {
                    let len = answer.len().min(TCP_REPLY_MAX_LEN);
                    self.unsent = [&(len as u16).to_be_bytes()[..], &answer[..len]].concat();
                    room.counters.replied.add(1);
                }
                seat.quiet_since.set(Instant::now());
                continue;
            }
            if let Some(reason) = self.parting {
                return Ok(reason);
            }
            if Instant::now() >= self.closes_at {
                return Ok(Closed::Lifetime);
            }
            if !self.more {
                if self.ended {
                    return Ok(Closed::Ended);
                }
                self.wait_for_input(seat.quiet_since.get() + Duration::from_millis(room.limits.idle_close_ms)).await?;
            }
            let before = self.queries;
            self.turn(&mut room.desk.borrow_mut(), room.limits.max_queries, &room.counters)?;
            if self.queries != before {
                seat.quiet_since.set(Instant::now());
                // A client that always has more to ask must not keep the thread from the others.
                yield_now().await;
            }
        }
    }

    /// Wait until there is something to read. Parts of a query do not move the deadline: only a whole one counts.
    async fn wait_for_input(&self, idle_at: Instant) -> Result<(), Closed> {
        match timeout_at(idle_at.min(self.closes_at), self.stream.readable()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Closed::Failed),
            Err(_) if idle_at < self.closes_at => Err(Closed::Idle),
            Err(_) => Err(Closed::Lifetime),
        }
    }

    /// Read once, answer what is whole, write the answers together.
    fn turn<R: Responder>(
        &mut self,
        desk: &mut Desk<R>,
        max_queries: u32,
        counters: &TcpCounters,
    ) -> Result<(), Closed> {
        let mut filled = self.backlog.len();
        desk.input[..filled].copy_from_slice(&self.backlog);
        if !self.more {
            // Without `more` the backlog is less than one query, so there is room to read.
            match self.stream.try_read(&mut desk.input[filled..]) {
                Ok(0) => self.ended = true,
                Ok(read) => filled += read,
                Err(error) if is_passing(&error) => return Ok(()),
                Err(_) => return Err(Closed::Failed),
            }
        }
        let progress = self.answer(desk, filled, max_queries, counters);
        self.backlog = desk.input[progress.consumed..filled].to_vec();
        let at_once = progress.held.map_or(progress.written, |(start, _)| start);
        if at_once > 0 {
            let taken = match self.stream.try_write(&desk.output[..at_once]) {
                Ok(taken) => taken,
                Err(error) if is_passing(&error) => 0,
                Err(_) => return Err(Closed::Failed),
            };
            self.unsent = desk.output[taken..at_once].to_vec();
        }
        self.late = progress.late;
        self.held = progress.held.map(|(start, due)| (due, desk.output[start..progress.written].to_vec()));
        Ok(())
    }

    /// Answer the whole queries among the first `filled` octets of input, as far as the output has room.
    fn answer<R: Responder>(
        &mut self,
        desk: &mut Desk<R>,
        filled: usize,
        max_queries: u32,
        counters: &TcpCounters,
    ) -> Progress {
        let mut progress = Progress::default();
        let mut begun = false;
        self.more = false;
        while self.parting.is_none()
            && let Some((&[high, low], rest)) = desk.input[progress.consumed..filled].split_first_chunk()
        {
            let len = usize::from(u16::from_be_bytes([high, low]));
            if !(HEADER_LEN..=REQUEST_MAX_LEN).contains(&len) {
                self.parting = Some(Closed::BadLength);
                break;
            }
            if rest.len() < len {
                break;
            }
            if progress.written >= GATHER_LEN || progress.held.is_some() || progress.late.is_some() {
                self.more = true;
                break;
            }
            if !begun {
                desk.responder.begin_batch();
                begun = true;
            }
            let (started, start) = (Stopwatch::start(), progress.consumed + 2);
            let request = start..start + len;
            let Some(reply) = desk.respond(&self.client, request.clone(), progress.written + 2) else {
                counters.panics.add(1);
                tracing::error!("a TCP query was lost to a panic, and its connection with it; please report this");
                self.parting = Some(Closed::Aborted);
                break;
            };
            counters.durations.observe(1, started.elapsed_ns());
            self.queries += 1;
            counters.received.add(1);
            progress.consumed += 2 + len;
            if self.queries >= max_queries {
                self.parting = Some(Closed::QueryLimit);
            }
            if reply.is_late {
                let (late, answer) = Late::tcp();
                let request = desk.input[request].into();
                desk.responder.take_over(self.client.socket_addr(), Transport::Tcp, request, late);
                progress.late = Some(answer);
                continue;
            }
            let reply_len = reply.len.min(TCP_REPLY_MAX_LEN);
            if reply_len == 0 {
                continue;
            }
            counters.replied.add(1);
            let place = progress.written..progress.written + 2;
            desk.output[place].copy_from_slice(&(reply_len as u16).to_be_bytes());
            if reply.hold_s > 0 {
                progress.held = Some((progress.written, Instant::now() + Duration::from_secs(reply.hold_s.into())));
            }
            progress.written += 2 + reply_len;
        }
        progress
    }

    /// Write what the kernel did not take at once. Each time that it takes some, the client has `stall` once more.
    async fn write_unsent(&mut self, stall: Duration) -> Result<(), Closed> {
        let mut sent = 0;
        let mut stalled_at = Instant::now() + stall;
        while sent < self.unsent.len() {
            match self.stream.try_write(&self.unsent[sent..]) {
                Ok(taken) => {
                    sent += taken;
                    stalled_at = Instant::now() + stall;
                }
                Err(error) if is_passing(&error) => {
                    match timeout_at(stalled_at.min(self.closes_at), self.stream.writable()).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return Err(Closed::Failed),
                        Err(_) if stalled_at < self.closes_at => return Err(Closed::Stalled),
                        Err(_) => return Err(Closed::Lifetime),
                    }
                }
                Err(_) => return Err(Closed::Failed),
            }
        }
        self.unsent = Vec::new();
        Ok(())
    }

    /// Say that nothing more will be said, and let the client finish its sentence.
    async fn part<R>(&mut self, room: &Room<R>) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let until = Instant::now() + Duration::from_millis(PARTING_MS);
        let mut heard = 0;
        while heard < PARTING_LEN {
            let Ok(Ok(())) = timeout_at(until, self.stream.readable()).await else { return };
            match self.stream.try_read(&mut room.desk.borrow_mut().input) {
                Ok(0) => return,
                Ok(read) => heard += read,
                Err(error) if is_passing(&error) => {}
                Err(_) => return,
            }
        }
    }
}

/// Not yet, rather than never.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
