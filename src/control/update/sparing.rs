//! What anybody can cause is said now and then, and counted meanwhile: that requests find no room, or have no key.

use std::sync::atomic::{AtomicU64, Ordering};

/// How often it is said at most.
const COMPLAIN_S: u64 = 60;

/// What is said once in [`COMPLAIN_S`] at most.
#[derive(Default)]
pub(super) struct Sparing {
    /// How often it happened since it was last said.
    count: AtomicU64,
    /// When it was last said.
    said_s: AtomicU64,
}

impl Sparing {
    /// Counts one more; how many are to be told of, if it is time for that.
    pub(super) fn add(&self, now_s: u64) -> Option<u64> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let said_s = self.said_s.load(Ordering::Relaxed);
        // A clock that was set back must not silence it.
        let is_time = now_s.abs_diff(said_s) >= COMPLAIN_S
            && self.said_s.compare_exchange(said_s, now_s, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        is_time.then(|| self.count.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_a_minute() {
        let dropped = Sparing::default();
        let said: Vec<_> = [1_000, 1_000, 1_059, 1_060, 1_061, 10].map(|now_s| dropped.add(now_s)).into();
        assert_eq!(said, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
