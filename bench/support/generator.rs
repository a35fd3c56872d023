//! The load: queries from many source ports, in batches, and what became of them.
//!
//! A closed loop keeps so many queries under way and shows what a server can do. An open loop sends at the rate it was told,
//! whatever comes back, and counts each latency from the moment at which the query was due: a server that stops for a second
//! is charged with all that should have been answered in it.
//!
//! The load itself is also delayed, by whatever else its core has to do. How long the server alone took is told by the kernel,
//! which in an open loop notes when each answer arrived.

use std::{
    fmt, io,
    mem::zeroed,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    ptr::null_mut,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use nix::sys::socket::{setsockopt, sockopt};

/// Source ports.
const SOCKETS: usize = 32;
/// Datagrams that a system call carries at most.
const BATCH: usize = 32;
/// Queries of one socket that can be under way: beyond it the oldest is given up.
const SLOTS: usize = 1 << 14;
/// A query without an answer for so long is lost.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same in a closed loop, where a query that waits keeps another one from being sent. Answers take a few milliseconds.
const CLOSED_PATIENCE: Duration = Duration::from_millis(100);
const ANSWER_MAX: usize = 512;

/// A query, and what its answer should be.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) octets: Vec<u8>,
    pub(crate) listed: bool,
    /// What the address of a listed name is, the one or the other; without it any will do.
    pub(crate) values: Option<[Ipv4Addr; 2]>,
    /// When a listed name ceases to be so.
    pub(crate) until: Option<SystemTime>,
}

/// A value that an answer had, and when the answer arrived.
pub(crate) struct Told {
    pub(crate) arrived: SystemTime,
    pub(crate) value: Ipv4Addr,
}

/// How queries are paced.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// So many under way.
    Closed(usize),
    /// So many a second.
    Open(f64),
}

impl Question {
    /// Whether an answer that was given between these two moments must say that the name is listed, or must not; either is right
    /// if it ended meanwhile, or may have.
    fn is_listed(&self, sent: SystemTime, arrived: Option<SystemTime>) -> Option<bool> {
        match self.until {
            Some(until) if sent >= until => Some(false),
            Some(until) if arrived.is_none_or(|arrived| arrived >= until) => None,
            _ => Some(self.listed),
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(window) => write!(to, "closed {window}"),
            Self::Open(rate) => write!(to, "open {rate}"),
        }
    }
}

/// What became of the queries.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    /// Answers that said something else than they should.
    pub(crate) wrong: u64,
    /// Without an answer in time.
    pub(crate) lost: u64,
    pub(crate) took_s: f64,
    /// The values that were looked at and right, in no exact order.
    pub(crate) told: Vec<Told>,
    /// How far the load itself fell behind the moment at which a query was due: a longest latency near to it says little.
    pub(crate) late_us: u32,
    latencies_us: Vec<u32>,
    /// From when each query was sent until its answer arrived, whenever the load came to look at it; of an open loop.
    served_us: Vec<u32>,
}

impl Outcome {
    pub(crate) fn per_second(&self) -> f64 {
        self.answered as f64 / self.took_s
    }

    /// A latency in microseconds that so many of a thousand do not exceed.
    pub(crate) fn permille_us(&self, permille: usize) -> u32 {
        permille_of(&self.latencies_us, permille)
    }

    /// How many latencies exceed so many microseconds.
    pub(crate) fn beyond(&self, us: u32) -> usize {
        self.latencies_us.len() - self.latencies_us.partition_point(|&latency| latency <= us)
    }

    /// What so many of a thousand do not exceed of what the server alone took.
    pub(crate) fn served_permille_us(&self, permille: usize) -> u32 {
        permille_of(&self.served_us, permille)
    }
}

fn permille_of(sorted: &[u32], permille: usize) -> u32 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * permille / 1_000).copied().unwrap_or(0)
}

/// A query under way.
#[derive(Clone, Copy)]
struct Asked {
    due: Instant,
    /// By the clock that the kernel reads.
    sent: SystemTime,
    question: u32,
    id: u16,
}

struct Port {
    socket: UdpSocket,
    /// By id.
    waiting: Vec<Option<Asked>>,
    /// None under way has an older one.
    oldest_id: u16,
    next_id: u16,
    under_way: usize,
}

struct Load<'q> {
    questions: &'q [Question],
    next: usize,
    ports: Vec<Port>,
    room: Vec<[u8; ANSWER_MAX]>,
    outcome: Outcome,
}

/// Sends so many queries from each port, lets `answer` pass, and takes the answers: the load is at rest while the server works.
pub(crate) fn ask_at_once(
    server: SocketAddr,
    questions: &[Question],
    first: usize,
    each: usize,
    answer: impl FnOnce() -> io::Result<()>,
) -> io::Result<Outcome> {
    let mut load = Load::new(server, questions)?;
    load.next = first;
    let due = vec![Instant::now(); each];
    for port in 0..SOCKETS {
        for due in due.chunks(BATCH) {
            load.send(port, due);
        }
    }
    answer()?;
    let rested = Instant::now();
    while load.ports.iter().any(|port| port.under_way > 0) && rested.elapsed() < PATIENCE {
        (0..SOCKETS).for_each(|port| load.receive(port));
        thread::sleep(Duration::from_millis(1));
    }
    let mut outcome = load.outcome;
    outcome.lost = outcome.sent - outcome.answered;
    Ok(outcome)
}

/// Asks for `time`, and waits for what is then still under way. Calls `attend` about a thousand times a second.
pub(crate) fn ask(
    server: SocketAddr,
    questions: &[Question],
    pace: Pace,
    time: Duration,
    mut attend: impl FnMut(),
) -> io::Result<Outcome> {
    let mut load = Load::new(server, questions)?;
    if let Pace::Open(_) = pace {
        // The kernel notes when each datagram arrives.
        load.ports.iter().try_for_each(|port| setsockopt(&port.socket, sockopt::ReceiveTimestampns, &true))?;
    }
    let start = Instant::now();
    let mut attended = start;
    loop {
        let now = Instant::now();
        if now - start >= time {
            break;
        }
        if now - attended > Duration::from_millis(1) {
            attended = now;
            attend();
        }
        load.round(start, pace);
    }
    load.outcome.took_s = start.elapsed().as_secs_f64();
    let answered_in_time = load.outcome.answered;
    let end = Instant::now();
    while load.ports.iter().any(|port| port.under_way > 0) && end.elapsed() < PATIENCE {
        (0..SOCKETS).for_each(|port| load.receive(port));
    }
    let mut outcome = load.outcome;
    outcome.lost = outcome.sent - outcome.answered;
    if let Pace::Closed(_) = pace {
        outcome.answered = answered_in_time;
    }
    outcome.latencies_us.sort_unstable();
    outcome.served_us.sort_unstable();
    Ok(outcome)
}

impl Port {
    /// Drops what has waited for too long: a closed loop would wait for ever for what was lost.
    fn give_up(&mut self, now: Instant) {
        while self.oldest_id != self.next_id {
            let slot = &mut self.waiting[usize::from(self.oldest_id) % SLOTS];
            if let Some(asked) = slot {
                if now - asked.due < CLOSED_PATIENCE {
                    return;
                }
                *slot = None;
                self.under_way -= 1;
            }
            self.oldest_id = self.oldest_id.wrapping_add(1);
        }
    }

    /// Writes down that a query is sent now, under the id that is returned.
    fn note(&mut self, due: Instant, sent: SystemTime, question: u32) -> u16 {
        let id = self.next_id;
        if self.waiting[usize::from(id) % SLOTS].replace(Asked { due, sent, question, id }).is_none() {
            self.under_way += 1;
        }
        self.next_id = id.wrapping_add(1);
        id
    }

    /// The query under way that has this id.
    fn answered(&mut self, id: u16) -> Option<Asked> {
        let asked = self.waiting[usize::from(id) % SLOTS].take_if(|asked| asked.id == id)?;
        self.under_way -= 1;
        Some(asked)
    }
}

impl<'q> Load<'q> {
    fn new(server: SocketAddr, questions: &'q [Question]) -> io::Result<Self> {
        let port = |_| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            socket.connect(server)?;
            socket.set_nonblocking(true)?;
            Ok(Port { socket, waiting: vec![None; SLOTS], oldest_id: 0, next_id: 0, under_way: 0 })
        };
        let ports = (0..SOCKETS).map(port).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { questions, next: 0, ports, room: vec![[0; ANSWER_MAX]; BATCH], outcome: Outcome::default() })
    }

    /// Sends what is due and takes what is there, port by port.
    fn round(&mut self, start: Instant, pace: Pace) {
        for port in 0..SOCKETS {
            self.receive(port);
            let now = Instant::now();
            match pace {
                Pace::Closed(window) => {
                    self.ports[port].give_up(now);
                    let free = (window / SOCKETS).saturating_sub(self.ports[port].under_way).min(BATCH);
                    // Half a batch at least, or each system call would carry one.
                    if free >= (window / SOCKETS).div_ceil(2) {
                        self.send(port, &vec![now; free]);
                    }
                }
                Pace::Open(rate) => {
                    let due = ((now - start).as_secs_f64() * rate) as u64;
                    let count = due.saturating_sub(self.outcome.sent).min(BATCH as u64);
                    let first = self.outcome.sent;
                    let when = |index| start + Duration::from_secs_f64((first + index) as f64 / rate);
                    self.send(port, &(0..count).map(when).collect::<Vec<_>>());
                }
            }
        }
    }

    fn send(&mut self, port: usize, due: &[Instant]) {
        if due.is_empty() {
            return;
        }
        let port = &mut self.ports[port];
        let mut octets: Vec<Vec<u8>> = Vec::with_capacity(due.len());
        let now = SystemTime::now();
        for &due in due {
            let index = self.next % self.questions.len();
            self.next += 1;
            let mut query = self.questions[index].octets.clone();
            query[..2].copy_from_slice(&port.note(due, now, index as u32).to_be_bytes());
            octets.push(query);
        }
        let late_us = u32::try_from(due[0].elapsed().as_micros()).unwrap_or(u32::MAX);
        self.outcome.late_us = self.outcome.late_us.max(late_us);
        self.outcome.sent += octets.len() as u64;
        let mut parts: Vec<libc::iovec> = octets
            .iter_mut()
            .map(|query| libc::iovec { iov_base: query.as_mut_ptr().cast(), iov_len: query.len() })
            .collect();
        let mut sent = 0;
        let mut headers = headers(&mut parts);
        while sent < headers.len() {
            let rest = &mut headers[sent..];
            // SAFETY: each header points at one part, and each part at a query that lives until the end of this function.
            let count = unsafe { libc::sendmmsg(port.socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as _, 0) };
            // A full queue or a refusal: of one query, which counts as lost.
            sent += usize::try_from(count).unwrap_or(1).max(1);
        }
    }

    fn receive(&mut self, port: usize) {
        loop {
            let room = &mut self.room;
            let mut parts: Vec<libc::iovec> = room
                .iter_mut()
                .map(|one| libc::iovec { iov_base: one.as_mut_ptr().cast(), iov_len: ANSWER_MAX })
                .collect();
            let mut headers = headers(&mut parts);
            let mut arrivals = [[0_u64; ARRIVAL_WORDS]; BATCH];
            for (header, arrival) in headers.iter_mut().zip(&mut arrivals) {
                header.msg_hdr.msg_control = arrival.as_mut_ptr().cast();
                header.msg_hdr.msg_controllen = size_of_val(arrival) as _;
            }
            let socket = self.ports[port].socket.as_raw_fd();
            // SAFETY: each header points at one part, and each part at its own room, which lives as long as `self`; and at its
            // own words of `arrivals`, which live until the end of this round.
            let count = unsafe {
                libc::recvmmsg(socket, headers.as_mut_ptr(), headers.len() as _, libc::MSG_DONTWAIT as _, null_mut())
            };
            let count = usize::try_from(count).unwrap_or(0);
            let now = Instant::now();
            for (index, header) in headers[..count].iter().enumerate() {
                let arrived = (header.msg_hdr.msg_controllen > 0).then(|| arrival(&arrivals[index])).flatten();
                self.take(port, index, header.msg_len as usize, now, arrived);
            }
            if count < BATCH {
                return;
            }
        }
    }

    /// Counts an answer.
    fn take(&mut self, port: usize, room: usize, len: usize, now: Instant, arrived: Option<SystemTime>) {
        let (port, answer) = (&mut self.ports[port], &self.room[room][..len.min(ANSWER_MAX)]);
        if answer.len() < 12 {
            self.outcome.wrong += 1;
            return;
        }
        let id = u16::from_be_bytes([answer[0], answer[1]]);
        let Some(asked) = port.answered(id) else { return };
        self.outcome.answered += 1;
        self.outcome.latencies_us.push(u32::try_from((now - asked.due).as_micros()).unwrap_or(u32::MAX));
        // A clock that is set back meanwhile makes one that says nothing.
        if let Some(served) = arrived.and_then(|arrived| arrived.duration_since(asked.sent).ok()) {
            self.outcome.served_us.push(u32::try_from(served.as_micros()).unwrap_or(u32::MAX));
        }
        let question = &self.questions[asked.question as usize];
        let (rcode, answers) = (answer[3] & 15, u16::from_be_bytes([answer[6], answer[7]]));
        let (as_listed, as_unlisted) = (rcode == 0 && answers > 0, rcode == 3 && answers == 0);
        let mut is_right = match question.is_listed(asked.sent, arrived) {
            Some(true) => as_listed,
            Some(false) => as_unlisted,
            None => as_listed || as_unlisted,
        };
        let end = question.octets.len().min(answer.len());
        is_right &= answer[12..end] == question.octets[12..end];
        if let Some(values) = question.values.filter(|_| as_listed) {
            let value = only_address(answers, &answer[end..]).filter(|value| is_right && values.contains(value));
            let arrived = arrived.unwrap_or_else(SystemTime::now);
            self.outcome.told.extend(value.map(|value| Told { arrived, value }));
            is_right = value.is_some();
        }
        self.outcome.wrong += u64::from(!is_right);
    }
}

/// The address of an answer's only record, which stands behind the question and points at its name.
fn only_address(answers: u16, records: &[u8]) -> Option<Ipv4Addr> {
    match *records {
        [0xc0, 12, 0, 1, 0, 1, _, _, _, _, 0, 4, a, b, c, d, ..] if answers == 1 => Some(Ipv4Addr::new(a, b, c, d)),
        _ => None,
    }
}

/// Words of a control message with a `timespec`: length, level and type, seconds, nanoseconds.
const ARRIVAL_WORDS: usize = 4;

/// What the kernel noted.
fn arrival(words: &[u64; ARRIVAL_WORDS]) -> Option<SystemTime> {
    let [_, kind, seconds, nanoseconds] = *words;
    let is_arrival = kind >> 32 == libc::SCM_TIMESTAMPNS as u64;
    is_arrival.then(|| UNIX_EPOCH + Duration::new(seconds, nanoseconds as u32))
}

fn headers(parts: &mut [libc::iovec]) -> Vec<libc::mmsghdr> {
    let header = |part: &mut libc::iovec| {
        // SAFETY: a header is integers and pointers, for all of which zero is a value.
        let mut header: libc::mmsghdr = unsafe { zeroed() };
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        header
    };
    parts.iter_mut().map(header).collect()
}
