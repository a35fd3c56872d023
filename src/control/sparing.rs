//! What others can cause is said now and then, and counted meanwhile: that requests find no room, have no key, or are refused.

use std::sync::atomic::{AtomicU64, Ordering};

/// After so many seconds more is said.
const MINUTE_S: u64 = 60;

/// So many refusals a minute are told of one by one: a program that goes round in circles must not fill the disk.
const REFUSALS_TOLD: u64 = 20;

/// What is said so often a minute at most.
pub(super) struct Sparing {
    most: u64,
    /// How often it happened since it was last said.
    count: AtomicU64,
    /// When a minute began, and how often it was said since.
    began_s: AtomicU64,
    said: AtomicU64,
}

impl Sparing {
    /// Of what is said once a minute at most.
    pub(super) const fn once() -> Self {
        Self::new(1)
    }

    /// Of what is refused to those who may ask.
    pub(super) const fn of_refusals() -> Self {
        Self::new(REFUSALS_TOLD)
    }

    const fn new(most: u64) -> Self {
        Self { most, count: AtomicU64::new(0), began_s: AtomicU64::new(0), said: AtomicU64::new(0) }
    }

    /// Counts one more; how many are to be told of, if it may be said.
    pub(super) fn add(&self, now_s: u64) -> Option<u64> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let began_s = self.began_s.load(Ordering::Relaxed);
        // A clock that was set back must not silence it.
        let is_new = now_s.abs_diff(began_s) >= MINUTE_S
            && self.began_s.compare_exchange(began_s, now_s, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_new {
            self.said.store(0, Ordering::Relaxed);
        }
        (self.said.fetch_add(1, Ordering::Relaxed) < self.most).then(|| self.count.swap(0, Ordering::Relaxed))
    }
}

/// What stands behind what is said, if it stands for more than one.
pub(super) fn and_more(count: u64) -> String {
    if count > 1 { format!(" ({count} were refused since this was last said)") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(most: u64, at_s: &[u64]) -> Vec<Option<u64>> {
        let sparing = Sparing::new(most);
        at_s.iter().map(|now_s| sparing.add(*now_s)).collect()
    }

    #[test]
    fn it_is_said_so_often_a_minute() {
        let once = said(1, &[1_000, 1_000, 1_059, 1_060, 1_061, 10]);
        assert_eq!(once, [Some(1), None, None, Some(3), None, Some(2)]);
        let twice = said(2, &[1_000, 1_001, 1_002, 1_059, 1_060, 1_061, 1_062]);
        assert_eq!(twice, [Some(1), Some(1), None, None, Some(3), Some(1), None]);
    }
}
