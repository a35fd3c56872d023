//! The time, as listings are told it, so that tests can move it.

use std::time::Instant;

use crate::live::clock::{self, SetClock};

/// Two clocks: one that may be set, and one that only runs.
pub trait Clock: Send + Sync {
    /// Seconds since the epoch.
    fn now_s(&self) -> u64;
    /// Seconds since some moment before, by a clock that nobody can set.
    fn running_s(&self) -> u64;
}

/// The system's clocks.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now_s(&self) -> u64 {
        clock::now_s()
    }

    fn running_s(&self) -> u64 {
        self.0.elapsed().as_secs()
    }
}

/// Says when what is over may be thrown away. An end is a time of day, so a lookup goes by the clock as it is; but what is
/// thrown away does not come back when a wrong clock is put right. So nothing is thrown away for some minutes after the start
/// (a machine may boot with any time) and after the clock was set.
#[derive(Debug)]
pub(super) struct Confidence {
    clock: SetClock,
    sure_from_s: u64,
}

/// Time for a clock to be put right.
pub(super) const SETTLE_S: u64 = 600;

impl Confidence {
    pub(super) fn new(clock: &dyn Clock) -> Self {
        Self { clock: SetClock::default(), sure_from_s: clock.running_s() + SETTLE_S }
    }

    /// The second of which it is sure that it is past, if any.
    pub(super) fn past_s(&mut self, clock: &dyn Clock) -> Option<u64> {
        let (now_s, running_s) = (clock.now_s(), clock.running_s());
        if self.clock.was_set(now_s, running_s) {
            tracing::warn!(
                "the clock was set: live listings that are over are kept for {SETTLE_S} s, in case it was by mistake"
            );
            self.sure_from_s = running_s + SETTLE_S;
        }
        (running_s >= self.sure_from_s).then_some(now_s)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;

    struct Both(AtomicU64, AtomicU64);

    impl Clock for Both {
        fn now_s(&self) -> u64 {
            self.0.load(Relaxed)
        }

        fn running_s(&self) -> u64 {
            self.1.load(Relaxed)
        }
    }

    #[test]
    fn a_clock_that_was_set_is_not_trusted_at_once() {
        let clock = Both(AtomicU64::new(1_000_000), AtomicU64::new(0));
        let run = |seconds| {
            clock.0.fetch_add(seconds, Relaxed);
            clock.1.fetch_add(seconds, Relaxed);
        };
        let mut confidence = Confidence::new(&clock);
        assert_eq!(confidence.past_s(&clock), None, "just started");
        run(SETTLE_S);
        assert_eq!(confidence.past_s(&clock), Some(1_000_600));
        clock.0.fetch_add(86_400, Relaxed);
        assert_eq!(confidence.past_s(&clock), None, "set forward");
        run(SETTLE_S - 1);
        assert_eq!(confidence.past_s(&clock), None);
        clock.0.fetch_sub(86_400, Relaxed);
        run(1);
        assert_eq!(confidence.past_s(&clock), None, "and back");
        run(SETTLE_S);
        assert!(confidence.past_s(&clock).is_some());
    }
}
