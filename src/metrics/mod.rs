//! Counting without slowing what is counted: each worker has cells of its own, which are summed when somebody looks.

use crate::{net::Counter, wire::Rcode};

/// What one worker counted of one zone, or of everything. Cells of different workers share no cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Tally {
    /// Requests that were answered.
    pub answered: Counter,
    /// Of these, NOERROR.
    pub noerror: Counter,
    /// Of these, NXDOMAIN.
    pub nxdomain: Counter,
    /// Requests met with silence.
    pub ignored: Counter,
    /// Names that were listed.
    pub listed: Counter,
    /// Replies that were truncated.
    pub truncated: Counter,
    /// Octets of requests.
    pub bytes_in: Counter,
    /// Octets of replies.
    pub bytes_out: Counter,
}

/// Sums over workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests that were answered.
    pub answered: u64,
    /// Of these, NOERROR.
    pub noerror: u64,
    /// Of these, NXDOMAIN.
    pub nxdomain: u64,
    /// Requests met with silence.
    pub ignored: u64,
    /// Names that were listed.
    pub listed: u64,
    /// Replies that were truncated.
    pub truncated: u64,
    /// Octets of requests.
    pub bytes_in: u64,
    /// Octets of replies.
    pub bytes_out: u64,
}

impl Totals {
    /// Answers that were neither NOERROR nor NXDOMAIN.
    pub fn errors(&self) -> u64 {
        self.answered.saturating_sub(self.noerror + self.nxdomain)
    }

    /// What was counted since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            answered: self.answered.wrapping_sub(earlier.answered),
            noerror: self.noerror.wrapping_sub(earlier.noerror),
            nxdomain: self.nxdomain.wrapping_sub(earlier.nxdomain),
            ignored: self.ignored.wrapping_sub(earlier.ignored),
            listed: self.listed.wrapping_sub(earlier.listed),
            truncated: self.truncated.wrapping_sub(earlier.truncated),
            bytes_in: self.bytes_in.wrapping_sub(earlier.bytes_in),
            bytes_out: self.bytes_out.wrapping_sub(earlier.bytes_out),
        }
    }
}

/// The tallies of all workers for one zone, or for everything.
#[derive(Debug)]
pub struct ZoneCounters {
    tallies: Box<[Tally]>,
}

/// What there is to count of one request.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// The code of the answer; `None` for silence.
    pub rcode: Option<Rcode>,
    /// The name was listed.
    pub listed: bool,
    /// The reply was truncated.
    pub truncated: bool,
    /// Octets of the request.
    pub request_len: usize,
    /// Octets of the reply.
    pub reply_len: usize,
}

impl ZoneCounters {
    /// Room for `worker_count` workers.
    pub fn new(worker_count: usize) -> Self {
        Self { tallies: (0..worker_count).map(|_| Tally::default()).collect() }
    }

    /// Counts a request; `worker` is the caller's own number.
    #[inline]
    pub fn count(&self, worker: usize, event: &Event) {
        let Some(tally) = self.tallies.get(worker) else { return };
        tally.bytes_in.add(event.request_len as u64);
        match event.rcode {
            None => {
                tally.ignored.add(1);
                return;
            }
            Some(Rcode::NoError) => tally.noerror.add(1),
            Some(Rcode::NxDomain) => tally.nxdomain.add(1),
            Some(_) => {}
        }
        tally.answered.add(1);
        tally.bytes_out.add(event.reply_len as u64);
        tally.listed.add(u64::from(event.listed));
        tally.truncated.add(u64::from(event.truncated));
    }

    /// The sums over all workers.
    pub fn totals(&self) -> Totals {
        let sum = |of: fn(&Tally) -> &Counter| self.tallies.iter().map(|tally| of(tally).value()).sum();
        Totals {
            answered: sum(|tally| &tally.answered),
            noerror: sum(|tally| &tally.noerror),
            nxdomain: sum(|tally| &tally.nxdomain),
            ignored: sum(|tally| &tally.ignored),
            listed: sum(|tally| &tally.listed),
            truncated: sum(|tally| &tally.truncated),
            bytes_in: sum(|tally| &tally.bytes_in),
            bytes_out: sum(|tally| &tally.bytes_out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_hold() {
        let counters = ZoneCounters::new(2);
        let event = |rcode| Event { rcode, listed: false, truncated: false, request_len: 30, reply_len: 50 };
        counters.count(0, &event(Some(Rcode::NoError)));
        counters.count(1, &event(Some(Rcode::NxDomain)));
        counters.count(1, &event(Some(Rcode::Refused)));
        counters.count(1, &event(None));
        let totals = counters.totals();
        assert_eq!(
            (totals.answered, totals.noerror, totals.nxdomain, totals.errors(), totals.ignored),
            (3, 1, 1, 1, 1)
        );
        assert_eq!((totals.bytes_in, totals.bytes_out), (120, 150));
        assert_eq!(totals.since(&totals), Totals::default());
    }
}
