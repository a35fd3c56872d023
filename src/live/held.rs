//! What the reloader knows of one dataset: its files as they were, the data that are good, and whether to load again.

use std::time::{Duration, Instant};

use super::{
    loading::{Failure, Loading},
    opened::{Leeway, OpenFiles, Stamp},
};
use crate::{load::Loaded, zone::lifetimes::Lifetimes};

/// A file that changed is loaded once it has stayed the same for so long: it may still be written.
pub(super) const QUIET: Duration = Duration::from_millis(150);

/// One that is never quiet is loaded as it is after so long, ...
const RESTLESS: Duration = Duration::from_secs(3);
/// ... or so many times what the last load took, if that is longer: there will be another one soon.
const RESTLESS_LOADS: u32 = 10;
/// After so long, it is told of if it could not be loaded.
const RESTLESS_TOLD: Duration = Duration::from_secs(60);

/// So many entries must be over before a dataset is loaded again for their memory alone ...
const SWEEP_ENTRIES: usize = 10_000;
/// ... and one in so many.
const SWEEP_SHARE: usize = 10;

/// Data that are served.
#[derive(Debug)]
pub(super) struct GoodVersion {
    pub(super) data: Loaded,
    /// The files that they were read from.
    pub(super) stamps: Vec<Option<Stamp>>,
    /// The time of the newest file.
    pub(super) newest_s: u64,
    /// Entries at the time of loading, and that, in seconds since the epoch.
    pub(super) entries: usize,
    pub(super) loaded_s: u64,
    /// Some entries end, or had ended before they were loaded: what is in here depends on the clock.
    pub(super) has_lifetimes: bool,
    pub(super) keeping: Keeping,
    /// Why what is kept of it could not be loaded, which was told.
    pub(super) kept_failure: Option<Failure>,
}

/// Whether a version is kept for the next start.
#[derive(Debug)]
pub(super) enum Keeping {
    /// Not yet; its files, if they are open still.
    Due(Option<OpenFiles>),
    /// It is.
    Done,
    /// Why it cannot be.
    Failed(String),
}

/// What is known of one dataset.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Its files as they were when they were last tried.
    pub(super) tried: Vec<Option<Stamp>>,
    /// Its files as they were at the last look, and since when they are so.
    seen: Option<(Vec<Option<Stamp>>, Instant)>,
    /// The last try failed, and why: it is tried again, but not complained about again.
    pub(super) failure: Option<Failure>,
    /// Nothing was wrong then but that its zones would have lost their SOA.
    pub(super) lacks_only_soa: bool,
    /// The last good data.
    pub(super) good: Option<GoodVersion>,
    /// Since when it has not been quiet, or could not be loaded since it was not; and since when as it is.
    unquiet: Option<(Instant, Instant)>,
    /// A file was another one at some look since it was last loaded, or was shorter than then.
    was_rewritten: bool,
    /// What the last load took.
    took: Duration,
    /// What may happen to its files in the load that is next.
    pub(super) leeway: Leeway,
}

impl GoodVersion {
    /// What was loaded now, with what can be told of it.
    ///
    /// # Errors
    /// Why nothing was.
    pub(super) fn new(loading: Loading, now_s: u64) -> Result<Self, Failure> {
        let Loading { stamps, newest_s, report, result, open, .. } = loading;
        let data = result?;
        let mut version = Self {
            entries: data.entries(),
            data,
            stamps,
            newest_s,
            loaded_s: now_s,
            has_lifetimes: false,
            keeping: Keeping::Due(open),
            kept_failure: None,
        };
        version.has_lifetimes = report.expired > 0 || version.lifetimes(now_s).some_end();
        Ok(version)
    }

    fn lifetimes(&self, now_s: u64) -> Lifetimes {
        let Loaded::Data(data) = &self.data else { return Lifetimes::default() };
        let sections = data.sections.iter().map(|section| section.dataset.lifetimes(now_s));
        sections.fold(Lifetimes::default(), Lifetimes::and)
    }

    /// Entries that are not over now.
    pub(super) fn live_entries(&self, now_s: u64) -> usize {
        if self.has_lifetimes { self.lifetimes(now_s).live_of(self.entries) } else { self.entries }
    }

    /// Whether it is worth the effort to load it again without what is over.
    pub(super) fn is_to_be_swept(&self, now_s: u64) -> bool {
        let over = self.entries - self.live_entries(now_s);
        over > SWEEP_ENTRIES && over > self.entries / SWEEP_SHARE
    }
}

impl Held {
    /// Whether a file is gone, given which are there now, that what is served was read from.
    pub(super) fn misses_any(&self, now: &[Option<Stamp>]) -> bool {
        let is_needed =
            |at: usize| self.good.as_ref().is_none_or(|good| good.stamps.get(at).is_some_and(Option::is_some));
        now.iter().enumerate().any(|(at, stamp)| stamp.is_none() && is_needed(at))
    }

    /// Whether the last try failed for one of these reasons, with these files.
    pub(super) fn was_told(&self, reasons: &[&str], files: &[Option<Stamp>]) -> bool {
        self.failure.as_ref().is_some_and(|failure| reasons.contains(&failure.word)) && self.tried == files
    }

    /// Takes note that its files changed while they were read.
    pub(super) fn note_changed(&mut self) {
        self.tried.clear();
        let now = Instant::now();
        self.unquiet.get_or_insert((now, now));
    }

    /// Takes note that its files, which are these now, are as they were when they were last tried.
    pub(super) fn note_unchanged(&mut self) {
        self.unquiet = None;
    }

    /// Whether its files, which are these now and are to be loaded, have not been quiet for so long that they are loaded as they are;
    /// decides what may happen to them then.
    pub(super) fn is_restless(&mut self, now: &[Option<Stamp>], is_quiet: bool, at: Instant) -> bool {
        if is_quiet && self.unquiet.is_none() {
            return false;
        }
        let good = self.good.as_ref().map(|good| good.stamps.as_slice()).unwrap_or_default();
        let is_grown = |(now, good): (&Option<Stamp>, &Option<Stamp>)| match (now, good) {
            (Some(now), Some(good)) => now.is_grown_from(good),
            (now, good) => now == good,
        };
        self.was_rewritten |= good.len() != now.len() || !now.iter().zip(good).all(is_grown);
        let (began, waits_since) = *self.unquiet.get_or_insert((at, at));
        // Nobody misses what was never served, and it may take a while to be written.
        let patience = if good.is_empty() { RESTLESS_TOLD } else { RESTLESS.max(self.took * RESTLESS_LOADS) };
        if at.duration_since(waits_since) < patience {
            return false;
        }
        self.leeway = Leeway::Restless(if self.was_rewritten { Vec::new() } else { good.to_vec() });
        self.unquiet = Some((began, at));
        true
    }

    /// Whether it has not been quiet for so long that somebody should know.
    pub(super) fn is_restless_for_long(&self) -> bool {
        self.unquiet.is_some_and(|(began, last)| last.duration_since(began) >= RESTLESS_TOLD)
    }

    /// Takes note of a load that went live.
    pub(super) fn settle(&mut self, took: Duration) {
        (self.unquiet, self.was_rewritten, self.took) = (None, false, took);
    }

    /// Takes note of its files as they are now; true once they have been so for a while.
    pub(super) fn is_quiet(&mut self, now: &[Option<Stamp>], at: Instant) -> bool {
        match &self.seen {
            Some((seen, since)) if seen == now => at.duration_since(*since) >= QUIET,
            _ => {
                self.seen = Some((now.to_vec(), at));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::load::{Report, ZoneData};

    fn stamp(path: &Path, text: &str) -> Vec<Option<Stamp>> {
        fs::write(path, text).expect("written");
        vec![Stamp::read(path)]
    }

    fn loaded(stamps: &[Option<Stamp>]) -> Held {
        let loading = Loading {
            stamps: stamps.to_vec(),
            newest_s: 0,
            report: Report::default(),
            result: Ok(Loaded::Data(ZoneData::default())),
            open: None,
            took: Duration::ZERO,
        };
        let good = GoodVersion::new(loading, 0).expect("it is good");
        let mut held = Held { good: Some(good), ..Held::default() };
        held.settle(Duration::from_millis(500));
        held
    }

    #[test]
    fn what_is_never_quiet_is_loaded_all_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("list");
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let before = stamp(&path, "one\n");
        let longer = stamp(&path, "one\ntwo\n");
        let mut held = loaded(&before);
        assert!(!held.is_restless(&longer, true, start), "it is quiet");
        // Ten times what the last load took.
        for (after_s, is_restless) in [(10, false), (14, false), (15, true), (16, false), (19, false), (20, true)] {
            assert_eq!(held.is_restless(&longer, false, start + after_s * second), is_restless, "{after_s}");
        }
        assert_eq!(held.leeway, Leeway::Restless(before.clone()));
        // Quiet for a moment, it changed again while it was read.
        assert!(held.is_restless(&longer, true, start + 25 * second));
        assert!(!held.is_restless_for_long());
        assert!(held.is_restless(&longer, false, start + 70 * second) && held.is_restless_for_long());
        held.settle(Duration::ZERO);
        assert!(!held.is_restless(&longer, false, start + 80 * second) && !held.is_restless_for_long());
        // What was shorter at any look was not written to but written anew.
        assert!(!held.is_restless(&stamp(&path, "on"), false, start + 81 * second));
        assert!(held.is_restless(&longer, false, start + 84 * second));
        assert_eq!(held.leeway, Leeway::Restless(Vec::new()));
    }

    #[test]
    fn what_was_never_served_may_take_a_while_to_be_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let now = stamp(&folder.path().join("list"), "one\n");
        let (mut held, start) = (Held::default(), Instant::now());
        for (after_s, is_restless) in [(0, false), (59, false), (60, true)] {
            assert_eq!(held.is_restless(&now, false, start + Duration::from_secs(after_s)), is_restless, "{after_s}");
        }
        assert_eq!(held.leeway, Leeway::Restless(Vec::new()));
        held.note_unchanged();
        assert!(!held.is_restless(&now, false, start + Duration::from_secs(70)));
    }
}
