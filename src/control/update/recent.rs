//! Signed updates of the last minutes, so that none is done twice.
//!
//! A signature holds for some minutes around its time, and whoever saw the message on its way could send it again until then:
//! list anew what was delisted since, or delist what was listed. RFC 8945 section 5.2.3 leaves it to the server to remember
//! when each key signed last, and to refuse what was signed before. Where several machines share a key, that would refuse
//! those whose clocks are slow. So the signatures themselves are remembered, and how each was answered: a client that sends a
//! message again, for the reply was lost, is told the same again, and whoever else does has changed nothing.

use std::collections::{HashMap, VecDeque, hash_map::Entry};

use crate::{control::tsig::FUDGE_S, wire::Rcode};

/// Updates that are remembered at most: 430 a second, for as long as they have to be. Some ten megabytes when full.
const REMEMBERED_MAX: usize = 1 << 18;

/// From the moment at which a message is first believed, its signature may hold for so long (twice the fudge: its sender's
/// clock may be fast).
const REMEMBERED_S: u64 = 2 * FUDGE_S as u64;

/// What is to be done with an update whose signature holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is new.
    Never,
    /// The same message is being attended to, and will be answered.
    Pending,
    /// The same message was answered with this.
    Answered(Rcode),
    /// Signed before others that are forgotten already: nobody can tell.
    TooOld,
}

struct Memory {
    mac_start: u64,
    signed_s: u64,
    taken_s: u64,
}

/// What is remembered.
pub(super) struct Recent {
    limit: usize,
    /// In the order in which they came.
    memories: VecDeque<Memory>,
    /// The first octets of a signature tell it from all others; `None` is not answered yet.
    answers: HashMap<u64, Option<Rcode>, foldhash::fast::RandomState>,
    /// When the youngest was signed of those that are forgotten: nearly always so long ago that nobody would believe it.
    forgotten_s: Option<u64>,
}

impl Default for Recent {
    fn default() -> Self {
        Self::with_limit(REMEMBERED_MAX)
    }
}

impl Recent {
    fn with_limit(limit: usize) -> Self {
        Self { limit, memories: VecDeque::new(), answers: HashMap::default(), forgotten_s: None }
    }

    /// Whether it was here before; if not, it is now.
    pub(super) fn take(&mut self, mac_start: u64, signed_s: u64, now_s: u64) -> Seen {
        let believed_s = now_s + u64::from(FUDGE_S);
        while let Some(memory) = self.memories.front() {
            let is_over = memory.taken_s + REMEMBERED_S < now_s;
            if !is_over && self.memories.len() < self.limit {
                break;
            }
            // Where the clock is set back, it is as good as new. One that the clock was ahead for is not believed now.
            if memory.signed_s <= believed_s {
                self.forgotten_s = self.forgotten_s.max(Some(memory.signed_s));
            }
            self.answers.remove(&memory.mac_start);
            self.memories.pop_front();
        }
        match self.answers.entry(mac_start) {
            Entry::Occupied(entry) => entry.get().map_or(Seen::Pending, Seen::Answered),
            Entry::Vacant(_)
                if self.forgotten_s.is_some_and(|forgotten_s| (signed_s..=believed_s).contains(&forgotten_s)) =>
            {
                Seen::TooOld
            }
            Entry::Vacant(entry) => {
                entry.insert(None);
                self.memories.push_back(Memory { mac_start, signed_s, taken_s: now_s });
                Seen::Never
            }
        }
    }

    /// How it was answered. What failed for a reason of ours may not have been done, and may be tried again.
    pub(super) fn settle(&mut self, mac_start: u64, rcode: Rcode) {
        if rcode == Rcode::ServFail {
            self.answers.remove(&mac_start);
        } else if let Some(answer) = self.answers.get_mut(&mac_start) {
            *answer = Some(rcode);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 1_800_000_000;

    #[test]
    fn a_message_is_done_once_and_answered_alike() {
        let mut recent = Recent::default();
        assert_eq!(recent.take(1, NOW_S, NOW_S), Seen::Never);
        assert_eq!(recent.take(1, NOW_S, NOW_S), Seen::Pending);
        assert_eq!(recent.take(2, NOW_S, NOW_S), Seen::Never);
        recent.settle(1, Rcode::YxRrset);
        for later_s in [0, 1, u64::from(FUDGE_S), REMEMBERED_S] {
            assert_eq!(recent.take(1, NOW_S, NOW_S + later_s), Seen::Answered(Rcode::YxRrset), "{later_s}");
        }
        // By now its signature does not hold.
        let later_s = NOW_S + REMEMBERED_S + 1;
        assert_eq!(recent.take(3, later_s, later_s), Seen::Never);
        assert_eq!((recent.answers.len(), recent.memories.len()), (1, 1), "and it is forgotten");
    }

    #[test]
    fn what_failed_may_be_tried_again() {
        let mut recent = Recent::default();
        assert_eq!(recent.take(1, NOW_S, NOW_S), Seen::Never);
        recent.settle(1, Rcode::ServFail);
        assert_eq!(recent.take(1, NOW_S, NOW_S + 5), Seen::Never);
        recent.settle(1, Rcode::NoError);
        assert_eq!(recent.take(1, NOW_S, NOW_S + 9), Seen::Answered(Rcode::NoError));
    }

    #[test]
    fn a_clock_that_was_ahead_shuts_no_door_and_opens_none() {
        const MONTH_S: u64 = 30 * 86_400;
        let mut recent = Recent::with_limit(4);
        assert_eq!(recent.take(100, NOW_S + MONTH_S, NOW_S + MONTH_S), Seen::Never);
        for number in 0..20 {
            assert_eq!(recent.take(number, NOW_S + 200 * number, NOW_S + 200 * number), Seen::Never, "{number}");
        }
        let mut recent = Recent::default();
        assert_eq!(recent.take(1, NOW_S, NOW_S), Seen::Never);
        let ahead_s = NOW_S + REMEMBERED_S + 100;
        assert_eq!(recent.take(2, ahead_s, ahead_s), Seen::Never);
        assert_eq!(recent.take(1, NOW_S, NOW_S + 9), Seen::TooOld, "it may not be done again once the clock is right");
        assert_eq!(recent.take(3, NOW_S + 9, NOW_S + 9), Seen::Never);
    }

    #[test]
    fn what_is_forgotten_too_soon_is_not_believed() {
        let mut recent = Recent::with_limit(4);
        for number in 0..6 {
            assert_eq!(recent.take(number, NOW_S + number, NOW_S + number), Seen::Never, "{number}");
        }
        assert!(recent.answers.len() <= 4 && recent.memories.len() <= 4);
        assert_eq!(recent.take(0, NOW_S, NOW_S + 6), Seen::TooOld);
        assert_eq!(recent.take(99, NOW_S + 1, NOW_S + 6), Seen::TooOld, "no worse than a clock that is slow");
        assert_eq!(recent.take(99, NOW_S + 6, NOW_S + 6), Seen::Never);
    }
}
