//! Counting without slowing what is counted: each worker has cells of its own, which are summed when somebody looks.
//!
//! A query is counted once, in the cells of its zone or in those of what is in no zone. Five cells of three or four cache
//! lines take it, all of them the worker's own, by a load and a store each; everything else that is told follows from them:
//!
//! | cell | told as |
//! |---|---|
//! | by way (transport and family) and type | requests |
//! | by response code and result of the lookup | responses, lookups |
//! | by reason of silence, in place of the one above | dropped, with what no worker answers |
//! | by size of the reply | response sizes |
//! | octets in, octets out | rbldnsd's statistics, response sizes |
//!
//! So requests are always responses and dropped ones together, but for the one being counted while somebody looks.

pub mod family;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    answer::{Ignored, Outcome, Transport, Verdict},
    net::Counter,
    wire::{Rcode, rr},
};

/// Counts log lines that found no room, from whatever thread; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct LogDrops(Arc<AtomicU64>);

impl LogDrops {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A way on which requests come: transport and family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The transport.
    pub transport: Transport,
    /// The client has an IPv6 address.
    pub is_v6: bool,
}

impl Way {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 4] = [
        Self { transport: Transport::Udp, is_v6: false },
        Self { transport: Transport::Udp, is_v6: true },
        Self { transport: Transport::Tcp, is_v6: false },
        Self { transport: Transport::Tcp, is_v6: true },
    ];

    /// The word for the transport.
    pub const fn proto(self) -> &'static str {
        match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        }
    }

    /// The word for the family, as IANA numbers them.
    pub const fn family(self) -> &'static str {
        if self.is_v6 { "2" } else { "1" }
    }

    const fn index(self) -> usize {
        (self.transport as usize) << 1 | self.is_v6 as usize
    }
}

/// The types that are counted apart; all others are `other`, so that nobody can make series by asking.
pub const TYPES: [&str; COUNTED_TYPES.len() + 1] = ["A", "TXT", "AAAA", "ANY", "SOA", "NS", "MX", OTHER_TYPE];

/// The types that are not counted apart.
pub const OTHER_TYPE: &str = "other";

/// The types that are counted apart, in the order of [`TYPES`].
pub const COUNTED_TYPES: [u16; 7] = [rr::A, rr::TXT, rr::AAAA, rr::ANY, rr::SOA, rr::NS, rr::MX];

/// The place among [`TYPES`] of each type that one octet tells.
const TYPE_PLACES: [u8; 256] = {
    let mut places = [COUNTED_TYPES.len() as u8; 256];
    let mut place = 0;
    while place < COUNTED_TYPES.len() {
        places[COUNTED_TYPES[place] as usize] = place as u8;
        place += 1;
    }
    places
};

#[inline]
fn type_index(qtype: u16) -> usize {
    TYPE_PLACES.get(usize::from(qtype)).map_or(COUNTED_TYPES.len(), |&place| place.into())
}

/// The response codes, in the order in which they are counted.
pub const RCODES: [Rcode; 8] = [
    Rcode::NoError,
    Rcode::NxDomain,
    Rcode::Refused,
    Rcode::ServFail,
    Rcode::FormErr,
    Rcode::NotImp,
    Rcode::BadVers,
    Rcode::BadCookie,
];

/// The place of each code among [`RCODES`]. Those that only updates get are counted by the door that takes updates; here they
/// would be refusals.
const RCODE_PLACES: [u8; 32] = {
    let mut places = [REFUSED_PLACE; 32];
    let mut place = 0;
    while place < RCODES.len() {
        places[RCODES[place] as usize] = place as u8;
        place += 1;
    }
    places
};

const REFUSED_PLACE: u8 = 2;

#[inline]
fn rcode_index(rcode: Rcode) -> usize {
    RCODE_PLACES.get(rcode as usize).copied().unwrap_or(REFUSED_PLACE).into()
}

/// The results of lookups, in the order in which they are counted.
pub const RESULTS: [(Verdict, &str); 5] = [
    (Verdict::Listed, "listed"),
    (Verdict::Unlisted, "unlisted"),
    (Verdict::EmptyNonTerminal, "empty_non_terminal"),
    (Verdict::Malformed, "malformed"),
    (Verdict::Misuse, "misuse"),
];

/// The column of a verdict: that no lookup was made comes first, then all [`RESULTS`].
const fn verdict_index(verdict: Verdict) -> usize {
    verdict as usize
}

/// The reasons for silence, in the order in which they are counted.
pub const IGNORED: [(Ignored, &str); 2] = [(Ignored::Access, "acl"), (Ignored::Response, "response")];

/// The column of a reason: all [`IGNORED`] come first. What is left to the control side is counted by that, and has a column here
/// only because nothing shows the compiler that it never comes.
const fn ignored_index(ignored: Ignored) -> usize {
    ignored as usize
}

/// Largest replies of the classes by size, in octets; there is one more class for what is larger.
pub const SIZE_BOUNDS: [u16; 5] = [64, 128, 256, 512, 1232];

/// Columns of a row of cells: as many as fill a cache line.
const LINE: usize = 8;
const _: () = assert!(RESULTS.len() < LINE && TYPES.len() <= LINE && (Ignored::Elsewhere as usize) < LINE);

/// What one worker counted of one zone, or of what is in none. Tallies of different workers share no cache line; neighbours
/// are fetched in pairs on x86-64.
#[derive(Debug, Default)]
#[repr(C, align(128))]
struct Tally {
    bytes_in: Counter,
    bytes_out: Counter,
    sizes: [Counter; SIZE_BOUNDS.len() + 1],
    /// By code and, in each row, by result.
    responses: [[Counter; LINE]; RCODES.len()],
    /// By reason.
    ignored: [Counter; LINE],
    /// By way and, in each row, by type.
    requests: [[Counter; LINE]; Way::ALL.len()],
    truncated: Counter,
}

/// The tallies of all workers for one zone, or for what is in none.
#[derive(Debug)]
pub struct ZoneCounters {
    tallies: Box<[Tally]>,
}

impl ZoneCounters {
    /// Room for `worker_count` workers.
    pub fn new(worker_count: usize) -> Self {
        Self { tallies: (0..worker_count).map(|_| Tally::default()).collect() }
    }

    /// Counts a request and what became of it; `worker` is the caller's own number.
    #[inline]
    pub fn count(&self, worker: usize, way: Way, request_len: usize, outcome: &Outcome) {
        let Some(tally) = self.tallies.get(worker) else { return };
        tally.bytes_in.add(request_len as u64);
        tally.requests[way.index()][type_index(outcome.qtype)].add(1);
        let rcode = match outcome.fate {
            Ok(rcode) => rcode,
            Err(ignored) => return tally.ignored[ignored_index(ignored)].add(1),
        };
        tally.responses[rcode_index(rcode)][verdict_index(outcome.verdict)].add(1);
        tally.bytes_out.add(outcome.reply_len.into());
        tally.sizes[size_class(outcome.reply_len.into())].add(1);
        if outcome.truncated {
            tally.truncated.add(1);
        }
    }

    /// The sums over all workers.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for tally in &self.tallies {
            totals.add_tally(tally);
        }
        totals
    }
}

/// All [`SIZE_BOUNDS`] are multiples of this.
const SIZE_STEP: usize = 16;

/// The class of each length, in such steps.
const SIZE_CLASSES: [u8; SIZE_BOUNDS[4] as usize / SIZE_STEP + 1] = {
    let mut classes = [0; SIZE_BOUNDS[4] as usize / SIZE_STEP + 1];
    let mut step = 0;
    while step < classes.len() {
        while step * SIZE_STEP > SIZE_BOUNDS[classes[step] as usize] as usize {
            classes[step] += 1;
        }
        step += 1;
    }
    classes
};

#[inline]
fn size_class(len: usize) -> usize {
    SIZE_CLASSES.get(len.div_ceil(SIZE_STEP)).map_or(SIZE_BOUNDS.len(), |&class| class.into())
}

/// Sums over workers, and perhaps over zones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Octets of requests.
    pub bytes_in: u64,
    /// Octets of replies.
    pub bytes_out: u64,
    /// Replies that were truncated.
    pub truncated: u64,
    /// Replies by class of size; see [`SIZE_BOUNDS`].
    pub sizes: [u64; SIZE_BOUNDS.len() + 1],
    responses: [[u64; LINE]; RCODES.len()],
    ignored: [u64; LINE],
    requests: [[u64; LINE]; Way::ALL.len()],
}

impl Totals {
    /// Visits every number of these and of others together.
    fn combine(&mut self, other: &Self, combine: impl Fn(&mut u64, u64)) {
        let own = [&mut self.bytes_in, &mut self.bytes_out, &mut self.truncated]
            .into_iter()
            .chain(&mut self.sizes)
            .chain(self.responses.iter_mut().flatten())
            .chain(&mut self.ignored)
            .chain(self.requests.iter_mut().flatten());
        let others = [&other.bytes_in, &other.bytes_out, &other.truncated]
            .into_iter()
            .chain(&other.sizes)
            .chain(other.responses.iter().flatten())
            .chain(&other.ignored)
            .chain(other.requests.iter().flatten());
        for (own, other) in own.zip(others) {
            combine(own, *other);
        }
    }

    fn add_tally(&mut self, tally: &Tally) {
        let row = |cells: &[Counter; LINE]| std::array::from_fn(|index| cells[index].value());
        // What is counted first is read last: whoever looks meanwhile sees no response without its request.
        let ignored = row(&tally.ignored);
        let responses = std::array::from_fn(|index| row(&tally.responses[index]));
        let of_tally = Self {
            ignored,
            responses,
            requests: std::array::from_fn(|index| row(&tally.requests[index])),
            bytes_in: tally.bytes_in.value(),
            bytes_out: tally.bytes_out.value(),
            truncated: tally.truncated.value(),
            sizes: std::array::from_fn(|index| tally.sizes[index].value()),
        };
        *self += of_tally;
    }

    /// Requests, whatever became of them.
    pub fn requests(&self) -> u64 {
        self.requests.iter().flatten().sum()
    }

    /// Requests by way and, in the order of [`TYPES`], by type.
    pub fn requests_by(&self, way: Way) -> impl Iterator<Item = (&'static str, u64)> {
        TYPES.into_iter().zip(self.requests[way.index()])
    }

    /// Requests that were answered.
    pub fn answered(&self) -> u64 {
        self.responses.iter().flatten().sum()
    }

    /// Answers with this code.
    pub fn with_rcode(&self, rcode: Rcode) -> u64 {
        self.responses[rcode_index(rcode)].iter().sum()
    }

    /// Lookups that came to this.
    pub fn with_verdict(&self, verdict: Verdict) -> u64 {
        self.responses.iter().map(|row| row[verdict_index(verdict)]).sum()
    }

    /// Requests met with silence for this reason.
    pub fn ignored_for(&self, ignored: Ignored) -> u64 {
        self.ignored[ignored_index(ignored)]
    }

    /// What was counted since `earlier`.
    #[must_use]
    pub fn since(mut self, earlier: &Self) -> Self {
        self.combine(earlier, |own, other| *own = own.wrapping_sub(other));
        self
    }
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.combine(&other, |own, other| *own += other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(fate: Result<Rcode, Ignored>, verdict: Verdict, qtype: u16) -> Outcome {
        let reply_len = if fate.is_ok() { 50 } else { 0 };
        Outcome { reply_len, hold_s: 0, zone: None, qtype, fate, verdict, truncated: false, answer_count: 0 }
    }

    #[test]
    fn sums_hold() {
        let counters = ZoneCounters::new(2);
        let [udp, _, _, tcp] = Way::ALL;
        counters.count(0, udp, 30, &outcome(Ok(Rcode::NoError), Verdict::Listed, rr::A));
        counters.count(1, udp, 30, &outcome(Ok(Rcode::NxDomain), Verdict::Unlisted, rr::TXT));
        counters.count(1, tcp, 30, &outcome(Ok(Rcode::Refused), Verdict::None, 999));
        counters.count(1, tcp, 30, &outcome(Err(Ignored::Response), Verdict::None, 0));
        counters.count(2, tcp, 30, &outcome(Err(Ignored::Response), Verdict::None, 0));
        let totals = counters.totals();
        assert_eq!((totals.requests(), totals.answered(), totals.ignored_for(Ignored::Response)), (4, 3, 1));
        assert_eq!((totals.with_rcode(Rcode::NoError), totals.with_rcode(Rcode::NxDomain)), (1, 1));
        assert_eq!((totals.with_verdict(Verdict::Listed), totals.with_verdict(Verdict::Unlisted)), (1, 1));
        assert_eq!((totals.bytes_in, totals.bytes_out, totals.sizes), (120, 150, [3, 0, 0, 0, 0, 0]));
        assert_eq!(totals.requests_by(udp).filter(|row| row.1 > 0).collect::<Vec<_>>(), [("A", 1), ("TXT", 1)]);
        assert_eq!(totals.requests_by(tcp).filter(|row| row.1 > 0).collect::<Vec<_>>(), [(OTHER_TYPE, 2)]);
        let mut twice = totals;
        twice += totals;
        assert_eq!(twice.since(&totals), totals);
    }

    #[test]
    fn sizes_fall_into_their_classes() {
        assert_eq!([12, 64, 65, 512, 1232, 1233, 65_535].map(size_class), [0, 0, 1, 3, 4, 5, 5]);
        for len in 0..2_000 {
            assert_eq!(size_class(len), SIZE_BOUNDS.iter().filter(|&&bound| len > usize::from(bound)).count(), "{len}");
        }
    }

    #[test]
    fn every_index_is_its_own() {
        for (index, way) in Way::ALL.into_iter().enumerate() {
            assert_eq!(way.index(), index);
        }
        for (index, rcode) in RCODES.into_iter().enumerate() {
            assert_eq!(rcode_index(rcode), index);
        }
        assert_eq!(verdict_index(Verdict::None), 0);
        for (index, (verdict, _)) in RESULTS.into_iter().enumerate() {
            assert_eq!(verdict_index(verdict), index + 1);
        }
        for (index, qtype) in COUNTED_TYPES.into_iter().enumerate() {
            assert_eq!(type_index(qtype), index);
        }
        for qtype in [0, 254, 256, u16::MAX] {
            assert_eq!(TYPES[type_index(qtype)], OTHER_TYPE);
        }
        for rcode in [Rcode::YxDomain, Rcode::NotZone] {
            assert_eq!(rcode_index(rcode), rcode_index(Rcode::Refused));
        }
        for (index, (ignored, _)) in IGNORED.into_iter().enumerate() {
            assert_eq!(ignored_index(ignored), index);
        }
    }

    #[test]
    fn a_tally_is_made_of_whole_lines() {
        assert_eq!(std::mem::offset_of!(Tally, responses) % 64, 0);
        assert_eq!(std::mem::offset_of!(Tally, requests) % 64, 0);
    }
}
