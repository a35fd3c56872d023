//! The history in the store: what happened to each key, how often it was listed, and what of that is thrown away.
//!
//! Events are numbered, and each knows the one before it of the same key that counts, so that whoever counts passes over the
//! others.

use std::ops::ControlFlow;

use redb::ReadableTable as _;

use super::{
    Event,
    codec::{decode_link, encode_event},
    store::{Known, StoreFault, Tables},
};

/// Octets that the tables need for an event beside its own, about.
const EVENT_OVERHEAD: u64 = 24;

/// So many times are counted at most: no step of an escalation is that far up, and whoever is listed with each report of an
/// outbreak would keep the writer from all others.
const COUNTED_MAX: u32 = 1_000;

/// So many events that are too old are passed over at most. Those of a key stand in the order of their numbers, and what came while
/// the clock was behind is older than what stands before it.
const PASSED_MAX: u32 = 100;

/// How often a key was listed since a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// As far as the history goes, and up to [`COUNTED_MAX`].
    pub(super) count: u32,
    /// It goes that far: nothing of it was thrown away.
    pub(super) is_whole: bool,
}

impl Tables<'_> {
    /// How often a key was listed since a second.
    pub(super) fn times_since(&self, known: &Known, since_s: u64) -> Result<Times, StoreFault> {
        let mut count = 0;
        let is_whole = self.each_time(known, since_s, |_| {
            count += 1;
            if count < COUNTED_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(Times { count, is_whole })
    }

    /// When a key was listed last since a second, so that it counts.
    pub(super) fn last_time(&self, known: &Known, since_s: u64) -> Result<Option<u64>, StoreFault> {
        let mut last_s = None;
        self.each_time(known, since_s, |at_s| {
            last_s = Some(at_s);
            ControlFlow::Break(())
        })?;
        Ok(last_s)
    }

    /// When a key was listed last since a second, counted or not.
    pub(super) fn last_report(&self, known: &Known, since_s: u64) -> Result<Option<u64>, StoreFault> {
        let mut next = known.last_event;
        for _ in 0..PASSED_MAX {
            let Some(number) = next else { break };
            let Some(octets) = self.history.get(number)? else { break };
            let link = decode_link(octets.value())?;
            if link.is_report && link.at_s >= since_s {
                return Ok(Some(link.at_s));
            }
            next = link.before;
        }
        Ok(None)
    }

    /// Calls `visit` with each time since a second that a key was listed, the last first, until it has seen enough. False where
    /// the history ends before, so that there may have been more.
    fn each_time(
        &self,
        known: &Known,
        since_s: u64,
        mut visit: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<bool, StoreFault> {
        let (mut next, mut older) = (known.last_event, 0);
        while let Some(number) = next {
            let Some(octets) = self.history.get(number)? else { return Ok(older > 0) };
            let link = decode_link(octets.value())?;
            let is_enough = if link.at_s < since_s {
                older += 1;
                older > PASSED_MAX
            } else {
                link.counts && visit(link.at_s).is_break()
            };
            if is_enough {
                break;
            }
            next = link.before_counts;
        }
        Ok(true)
    }

    /// Adds an event; `counts` if it is one of the times that its key was listed.
    pub(super) fn note(&mut self, event: &Event, counts: bool, known: &mut Known) -> Result<(), StoreFault> {
        let number = self.next_event;
        self.next_event += 1;
        let before = known.last_event.replace(number);
        let octets = encode_event(event, counts, before, self.may_count(before)?);
        self.history.insert(number, &*octets)?;
        self.history_bytes += event_bytes(&octets);
        Ok(())
    }

    /// Where the count goes on behind an event whose predecessor is this one: there, or further back if it does not count. One that
    /// was thrown away is named all the same, so that whoever counts knows that there was one.
    fn may_count(&self, before: Option<u64>) -> Result<Option<u64>, StoreFault> {
        let Some(number) = before else { return Ok(None) };
        let Some(octets) = self.history.get(number)? else { return Ok(before) };
        let link = decode_link(octets.value())?;
        Ok(if link.counts { before } else { link.before_counts })
    }

    /// Throws away events of before a second, and the oldest of those that are too many; at most `limit` at a time. Returns how
    /// many that were.
    pub(super) fn trim(&mut self, before_s: u64, max_bytes: u64, limit: usize) -> Result<usize, StoreFault> {
        let mut trimmed = 0;
        while trimmed < limit {
            let Some((number, octets)) =
                self.history.first()?.map(|(number, octets)| (number.value(), octets.value().to_vec()))
            else {
                break;
            };
            let link = decode_link(&octets)?;
            if self.history_bytes <= max_bytes && link.at_s >= before_s {
                break;
            }
            self.history.remove(number)?;
            self.history_bytes = self.history_bytes.saturating_sub(event_bytes(&octets));
            // Of what is listed no more, nothing is left with its last event.
            if self.delisted.get(link.key)?.is_some_and(|last| last.value() == number) {
                self.delisted.remove(link.key)?;
            }
            trimmed += 1;
        }
        Ok(trimmed)
    }
}

fn event_bytes(octets: &[u8]) -> u64 {
    octets.len() as u64 + EVENT_OVERHEAD
}
