//! One TCP connection: messages behind their lengths (RFC 1035, section 4.2.2), many to a connection and many at once
//! (RFC 7766, sections 6.2.1 and 7), answered in order, but for answers that are held: those behind them go ahead (section 6.2.1.1).
//!
//! It goes round in turns. A turn reads once, answers every whole query read, and writes the answers together, each with its
//! length (RFC 7766, section 8); in between nothing is kept but what could not be finished, and what is held, as far as there is
//! room. A client who does not read its answers is not read from either, so it slows itself down before the deadlines end it.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::counters::{Closed, Stopwatch};
use super::tcp::{Answering, GATHER_LEN, Room, Seat};
use super::{Late, Peer, REQUEST_MAX_LEN, Reply, Responder, TCP_REPLY_MAX_LEN, TcpCounters, Transport};
use crate::wire::HEADER_LEN;

/// How long, and for how many octets, a client that we part from is still listened to. Closing with its octets unread would
/// send a reset, which takes back answers still on their way.
const PARTING_MS: u64 = 500;
const PARTING_LEN: usize = 64 << 10;

/// When answers held come to so many octets, no query is taken until one has left.
const HELD_LEN: usize = 16 << 10;

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
    /// Answers that are not to leave yet.
    held: Held,
    /// An answer that another thread makes. What the client asks behind it waits: it may ask for what it has changed.
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
    late: Option<oneshot::Receiver<Vec<u8>>>,
}

/// Answers with their lengths, each to be sent only from its moment on: few, so that looking through them will do.
#[derive(Default)]
struct Held {
    answers: Vec<(Instant, Vec<u8>)>,
    octets: usize,
}

impl Held {
    fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    fn is_full(&self) -> bool {
        self.octets >= HELD_LEN
    }

    fn push(&mut self, due: Instant, answer: Vec<u8>) {
        self.octets += answer.len();
        self.answers.push((due, answer));
    }

    /// When the first of them is due.
    fn first_due(&self) -> Option<Instant> {
        self.answers.iter().map(|(due, _)| *due).min()
    }

    /// When the last of them is due.
    fn last_due(&self) -> Option<Instant> {
        self.answers.iter().map(|(due, _)| *due).max()
    }

    /// Takes out those that are due, in the order in which they were asked for.
    fn take_due(&mut self, now: Instant) -> Vec<u8> {
        if self.is_empty() {
            return Vec::new();
        }
        let taken: Vec<u8> =
            self.answers.extract_if(.., |(due, _)| *due <= now).flat_map(|(_, answer)| answer).collect();
        self.octets -= taken.len();
        taken
    }
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
            held: Held::default(),
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
            if !self.unsent.is_empty() {
                self.write_unsent(Duration::from_millis(room.limits.stall_close_ms)).await?;
                // A client that takes its answers in slowly is busy with that, and may ask on.
                self.is_busy(seat);
            }
            if let Some(late) = self.late.take() {
                self.unsent = self.wait_for_answer(late, room, seat).await?;
                continue;
            }
            // What is held is not to be had earlier because the connection's time is over.
            let now = Instant::now();
            self.unsent = self.held.take_due(now.min(self.closes_at));
            if !self.unsent.is_empty() {
                continue;
            }
            if now >= self.closes_at && (self.parting.is_none() || !self.held.is_empty()) {
                return Ok(Closed::Lifetime);
            }
            let is_waiting = self.parting.is_some() || self.held.is_full() || self.ended && !self.more;
            if let Some(due) = self.held.first_due().filter(|_| is_waiting) {
                sleep_until(due.min(self.closes_at)).await;
                continue;
            }
            if let Some(reason) = self.parting {
                return Ok(reason);
            }
            if !self.more {
                if self.ended {
                    return Ok(Closed::Ended);
                }
                let idle_at = seat.quiet_since.get() + Duration::from_millis(room.limits.idle_close_ms);
                if !self.wait_for_input(idle_at).await? {
                    continue;
                }
            }
            let before = self.queries;
            self.turn(&mut room.answering.borrow_mut(), room.limits.max_queries, &room.counters)?;
            if self.queries != before {
                self.is_busy(seat);
                // A client that always has more to ask must not keep the thread from the others.
                yield_now().await;
            }
        }
    }

    /// Note that the client is not silent. The silence until all that is held has left is ours as well.
    fn is_busy(&self, seat: &Seat) {
        let now = Instant::now();
        seat.quiet_since.set(self.held.last_due().map_or(now, |due| due.min(self.closes_at).max(now)));
    }

    /// Wait for an answer, with its length; it may be none. The silence until then is ours, not the client's.
    async fn wait_for_answer<R>(
        &self,
        answer: oneshot::Receiver<Vec<u8>>,
        room: &Room<R>,
        seat: &Seat,
    ) -> Result<Vec<u8>, Closed> {
        self.is_busy(seat);
        let answer = timeout_at(self.closes_at, answer).await.map_err(|_| Closed::Lifetime)?;
        self.is_busy(seat);
        // Nobody answers if the sender is dropped; then the next query has its turn.
        let Ok(answer) = answer else { return Ok(Vec::new()) };
        room.counters.replied.add(1);
        let len = answer.len().min(TCP_REPLY_MAX_LEN);
        Ok([&(len as u16).to_be_bytes()[..], &answer[..len]].concat())
    }

    /// Wait until there is something to read, or an answer held is due; says whether it may be the former. Parts of a query do not
    /// move the deadline: only a whole one counts.
    async fn wait_for_input(&self, idle_at: Instant) -> Result<bool, Closed> {
        let closes_at = idle_at.min(self.closes_at);
        let due = self.held.first_due().filter(|due| *due <= closes_at);
        match timeout_at(due.unwrap_or(closes_at), self.stream.readable()).await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(_)) => Err(Closed::Failed),
            Err(_) if due.is_some() => Ok(false),
            Err(_) if idle_at < self.closes_at => Err(Closed::Idle),
            Err(_) => Err(Closed::Lifetime),
        }
    }

    /// Read once, answer what is whole, write the answers together.
    fn turn<R: Responder>(
        &mut self,
        answering: &mut Answering<R>,
        max_queries: u32,
        counters: &TcpCounters,
    ) -> Result<(), Closed> {
        let mut filled = self.backlog.len();
        answering.input[..filled].copy_from_slice(&self.backlog);
        if !self.more {
            // Without `more` the backlog is less than one query, so there is room to read.
            match self.stream.try_read(&mut answering.input[filled..]) {
                Ok(0) => self.ended = true,
                Ok(read) => filled += read,
                Err(error) if is_passing(&error) => return Ok(()),
                Err(_) => return Err(Closed::Failed),
            }
        }
        let progress = self.answer(answering, filled, max_queries, counters);
        self.backlog = answering.input[progress.consumed..filled].to_vec();
        if progress.written > 0 {
            let taken = match self.stream.try_write(&answering.output[..progress.written]) {
                Ok(taken) => taken,
                Err(error) if is_passing(&error) => 0,
                Err(_) => return Err(Closed::Failed),
            };
            self.unsent = answering.output[taken..progress.written].to_vec();
        }
        self.late = progress.late;
        Ok(())
    }

    /// Answer the whole queries among the first `filled` octets of input, as far as the output has room.
    fn answer<R: Responder>(
        &mut self,
        answering: &mut Answering<R>,
        filled: usize,
        max_queries: u32,
        counters: &TcpCounters,
    ) -> Progress {
        let mut progress = Progress::default();
        let mut begun = false;
        self.more = false;
        while self.parting.is_none()
            && let Some(request) = self.whole_query(&answering.input[..filled], progress.consumed)
        {
            if progress.written >= GATHER_LEN || progress.late.is_some() || self.held.is_full() {
                self.more = true;
                break;
            }
            if !begun {
                answering.responder.begin_batch();
                begun = true;
            }
            let started = Stopwatch::start();
            let Some(reply) = answering.respond(&self.client, request.clone(), progress.written + 2) else {
                counters.panics.add(1);
                tracing::error!("a TCP query was lost to a panic, and its connection with it; please report this");
                self.parting = Some(Closed::Aborted);
                break;
            };
            counters.durations.observe(1, started.elapsed_ns());
            self.queries += 1;
            counters.received.add(1);
            progress.consumed = request.end;
            if self.queries >= max_queries {
                self.parting = Some(Closed::QueryLimit);
            }
            if reply.is_late {
                let (late, answer) = Late::tcp();
                let request = answering.input[request].into();
                answering.responder.take_over(self.client.socket_addr(), Transport::Tcp, request, late);
                progress.late = Some(answer);
            } else if reply.len > 0 {
                counters.replied.add(1);
                progress.written += self.put(reply, &mut answering.output[progress.written..]);
            }
        }
        progress
    }

    /// Put the length before a reply that was laid into the output behind the room for it. Returns how much of it is to be sent now.
    fn put(&mut self, reply: Reply, output: &mut [u8]) -> usize {
        let len = reply.len.min(TCP_REPLY_MAX_LEN);
        let message = &mut output[..2 + len];
        message[..2].copy_from_slice(&(len as u16).to_be_bytes());
        if reply.hold_s == 0 {
            return message.len();
        }
        self.held.push(Instant::now() + Duration::from_secs(reply.hold_s.into()), message.to_vec());
        0
    }

    /// Where the query is whose length stands at `start`, if it is there as a whole. One that cannot be a query is the last.
    fn whole_query(&mut self, input: &[u8], start: usize) -> Option<Range<usize>> {
        let (&[high, low], rest) = input[start..].split_first_chunk()?;
        let len = usize::from(u16::from_be_bytes([high, low]));
        if !(HEADER_LEN..=REQUEST_MAX_LEN).contains(&len) {
            self.parting = Some(Closed::BadLength);
            return None;
        }
        (rest.len() >= len).then_some(start + 2..start + 2 + len)
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
            match self.stream.try_read(&mut room.answering.borrow_mut().input) {
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
