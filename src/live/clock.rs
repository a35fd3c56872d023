//! The one place that reads the wall clock, tells when somebody has set it, and writes times as people read them; everything else
//! is given the time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};

use crate::load::rfc3339_s;

/// Seconds since the epoch. A clock before it reads as 0: nothing has expired yet then.
#[inline]
pub fn now_s() -> u64 {
    // Every system has this clock.
    clock_gettime(ClockId::CLOCK_REALTIME).map_or(0, |now| now.tv_sec().max(0) as u64)
}

/// Tells when somebody has set the clock, by another that only runs.
#[derive(Debug, Default)]
pub(super) struct SetClock {
    /// Both, as they were last read.
    before: Option<(u64, u64)>,
}

impl SetClock {
    /// More than two readings differ by rounding, or a clock that is slewed gains between them.
    const TOLERANCE_S: u64 = 3;

    /// Whether the clock was set since the last reading of both, of which this is the next.
    pub(super) fn was_set(&mut self, now_s: u64, running_s: u64) -> bool {
        let before = self.before.replace((now_s, running_s));
        before.is_some_and(|(before_s, before_running_s)| {
            now_s.abs_diff(before_s + (running_s - before_running_s)) > Self::TOLERANCE_S
        })
    }
}

/// A time, in seconds since the epoch, as RFC 3339 writes it; the bare seconds beyond the year 9999, which it cannot write.
pub fn date(at_s: u64) -> String {
    let moment = i64::try_from(at_s).ok().and_then(|at_s| Timestamp::from_second(at_s).ok());
    moment.map_or_else(|| at_s.to_string(), |moment| moment.to_string())
}

/// Seconds since the epoch from a time of RFC 3339, or from such seconds. What was before the epoch is its first second.
pub fn parse_date(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| rfc3339_s(text))
}

/// A time such as `90s`, `35m` or `1h 30m`; a bare number is seconds. `30M` is none: to some that is months, and to files minutes.
pub fn parse_span(text: &str) -> Option<Duration> {
    let in_units = || humantime::parse_duration(text).ok().filter(|_| !text.contains('M'));
    text.parse().map(Duration::from_secs).ok().or_else(in_units)
}

/// A file's time from seconds since the epoch.
pub fn time(at_s: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(at_s)
}

/// Seconds since the epoch of a file's time.
pub fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_runs_and_who_is_set() {
        let mut clock = SetClock::default();
        let readings =
            [(1_000, 0, false), (1_603, 600, false), (1_600, 600, false), (1_604, 600, true), (900, 660, true)];
        for (now_s, running_s, was_set) in readings {
            assert_eq!(clock.was_set(now_s, running_s), was_set, "{now_s} {running_s}");
        }
    }

    #[test]
    fn dates_and_back() {
        for (at_s, text) in
            [(0, "1970-01-01T00:00:00Z"), (1_798_135_200, "2026-12-24T18:00:00Z"), (1 << 40, "1099511627776")]
        {
            assert_eq!(date(at_s), text);
            assert_eq!(parse_date(text), Some(at_s));
        }
        assert_eq!(date(u64::MAX), u64::MAX.to_string());
        assert_eq!(parse_date("2026-12-24T20:00:00+02:00"), Some(1_798_135_200));
        assert_eq!(parse_date("1969-12-31T23:59:59Z"), Some(0));
        assert_eq!(parse_date("9999-12-31T23:59:59Z"), Some(253_402_300_799));
        for text in ["", "tomorrow", "2026-12-24", "2026-12-24T18:00:00", "-5", "2026-12-24T18:00:00-25:00"] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn spans() {
        for (text, seconds) in
            [("0", 0), ("90", 90), ("90s", 90), ("1h 30m", 5_400), ("18446744073709551615", u64::MAX)]
        {
            assert_eq!(parse_span(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "soon", "-5", "1.5", "5 6", "18446744073709551616", "30M", "1h 1M"] {
            assert_eq!(parse_span(text), None, "{text}");
        }
    }
}
