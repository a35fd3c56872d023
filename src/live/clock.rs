//! The one place that reads the wall clock; everything else is given the time.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// Seconds since the epoch. A clock before it reads as 0: nothing has expired yet then.
#[inline]
pub fn now_s() -> u64 {
    // Every system has this clock.
    clock_gettime(ClockId::CLOCK_REALTIME).map_or(0, |now| now.tv_sec().max(0) as u64)
}

/// Seconds since the epoch of a file's time.
pub fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
