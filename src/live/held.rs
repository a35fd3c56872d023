//! What the reloader knows of one dataset: its files as they were, the data that are good, and whether to load again.

use std::time::{Duration, Instant};

use super::loading::{Failure, Loading, Stamp};
use crate::{load::Loaded, zone::lifetimes::Lifetimes};

/// A file that changed is loaded once it has stayed the same for so long: it may still be written.
pub(super) const QUIET: Duration = Duration::from_millis(150);

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
    /// Why what is kept of it could not be loaded, which was told.
    pub(super) kept_failure: Option<Failure>,
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
}

impl GoodVersion {
    /// What was loaded now, with what can be told of it.
    ///
    /// # Errors
    /// Why nothing was.
    pub(super) fn new(loading: Loading, now_s: u64) -> Result<Self, Failure> {
        let Loading { stamps, newest_s, report, result, .. } = loading;
        let data = result?;
        let entries = data.entries();
        let mut version =
            Self { data, stamps, newest_s, entries, loaded_s: now_s, has_lifetimes: false, kept_failure: None };
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
