//! What the reloader keeps of what went live, and how it falls back on that: at a start with files that are broken or gone, and
//! after a clock that was wrong.

use std::collections::HashSet;

use tracing::{error, warn};

use super::{Reloader, SMALL_MAX};
use crate::live::{
    clock,
    held::{GoodVersion, Held},
    kept::{Kept, KeptVersion},
    loading::{Files, MISSING, REFUSED, Stamp, is_gone, load_one, size, stamps, wait_for},
    zones::{DatasetSpec, ZoneSource},
};

impl Reloader {
    /// The files that a dataset is to be read from. It does without those that are gone if that was told and is accepted now, or
    /// was accepted before. An access list is never done without: who means that has an empty one.
    pub(super) fn files_of(&self, dataset: &DatasetSpec, is_accepted: bool) -> Files {
        let now = stamps(dataset);
        // A folder has no file that is not there.
        let is_named = !matches!(self.settings.source, ZoneSource::Folder(_)) && !dataset.kind.is_access();
        let may_lack = is_named && now.contains(&None) && self.may_lack(dataset, &now, is_accepted);
        let files = dataset.files.iter().zip(now);
        files.map(|(file, stamp)| (stamp.is_some() || !may_lack || !is_gone(file)).then(|| file.clone())).collect()
    }

    fn may_lack(&self, dataset: &DatasetSpec, now: &[Option<Stamp>], is_accepted: bool) -> bool {
        let Some(held) = self.held.get(dataset) else { return false };
        // What is left may have been refused since: it was read because the loss was accepted.
        let was_told = held.was_told(&[MISSING, REFUSED], now);
        let was_accepted = || {
            if held.good.is_some() {
                return !held.misses_any(now);
            }
            let kept = self.settings.kept.as_ref().and_then(|kept| kept.find(dataset));
            kept.is_some_and(|kept| kept.does_without_all(now))
        };
        is_accepted && was_told || was_accepted()
    }

    /// How many entries of what is kept are not over, where it matters: a list with few entries may have any number but none.
    pub(super) fn live_kept(&self, dataset: &DatasetSpec, kept: &KeptVersion, new: usize) -> usize {
        if kept.entries < self.settings.rules.floor_entries && new > 0 {
            return kept.entries;
        }
        let loading = load_one(dataset, &kept.files, &self.settings.options, &self.progress);
        loading.result.map_or(kept.entries, |loaded| loaded.entries())
    }

    /// Has all of what is good kept anew if somebody removed what was.
    pub(super) fn keep_what_was_removed(&mut self) {
        if !self.settings.kept.as_ref().is_some_and(Kept::is_gone) {
            return;
        }
        let good = self.held.iter().filter(|(_, held)| held.good.is_some()).map(|(dataset, _)| dataset);
        let unkept: HashSet<&DatasetSpec> = self.unkept.iter().collect();
        let lost: Vec<_> = good.filter(|dataset| !unkept.contains(dataset)).cloned().collect();
        if !lost.is_empty() {
            warn!(
                datasets = lost.len(),
                "the last good versions were removed from the state folder, and are kept anew"
            );
            self.unkept.extend(lost);
        }
    }

    /// Keeps one of the datasets that went live, for the next start; false if there is none left. Copying takes a while, so it
    /// is done when nothing else is to be done; `meanwhile` is called every now and then while a large one is copied.
    pub fn keep_next(&mut self, meanwhile: &mut dyn FnMut(&mut Self)) -> bool {
        let Some(dataset) = self.unkept.pop_front() else { return false };
        let good = self.held.get(&dataset).and_then(|held| held.good.as_ref());
        let (Some(kept), Some(good)) = (self.settings.kept.clone(), good) else { return true };
        let (stamps, entries) = (good.stamps.clone(), good.entries);
        let save = || kept.save(&dataset, &stamps, entries);
        let saved = if size(&dataset) <= SMALL_MAX { save() } else { wait_for(save, || meanwhile(self)) };
        if let Err(error) = saved {
            warn!(dataset = %dataset, "its files are not kept for the next start: {error}");
        }
        true
    }

    /// Whether something is to be kept.
    pub fn has_unkept(&self) -> bool {
        !self.unkept.is_empty()
    }

    /// Serves the last good version of a dataset that cannot be served from its files.
    pub(super) fn restore(&mut self, dataset: &DatasetSpec, or_accept: &str) -> bool {
        let Some(kept) = self.settings.kept.as_ref().and_then(|kept| kept.find(dataset)) else { return false };
        if !self.serve_kept(dataset, &kept) {
            return false;
        }
        let failure = self.held.get(dataset).and_then(|held| held.failure.as_ref());
        error!(
            dataset = %dataset,
            "{}; the last good version is served instead, kept at {} with {} entries, until it is mended{or_accept}",
            failure.map_or("", |failure| &failure.text),
            clock::date(clock::seconds(kept.saved)),
            kept.entries
        );
        true
    }

    /// Takes what is kept for the data of a dataset, if it can be loaded.
    fn serve_kept(&mut self, dataset: &DatasetSpec, kept: &KeptVersion) -> bool {
        let loading = load_one(dataset, &kept.files, &self.settings.options, &self.progress);
        let Ok(version) = GoodVersion::new(loading, self.settings.options.now_s) else { return false };
        self.held.entry(dataset.clone()).or_default().good = Some(version);
        true
    }

    /// Now that the clock was set, loads what is served and depends on it from what is kept of it, where its files are gone or
    /// others that are not good have taken their place. True if there was any.
    pub(super) fn recover(&mut self) -> bool {
        let Some(store) = &self.settings.kept else { return false };
        let left = |(dataset, held): (&DatasetSpec, &Held)| {
            let good = held.good.as_ref().filter(|good| good.has_lifetimes)?;
            let is_replaced = held.failure.is_some() || held.misses_any(&stamps(dataset));
            let kept = store.find(dataset).filter(|kept| is_replaced && kept.is_of(&good.stamps))?;
            Some((dataset.clone(), kept))
        };
        let left: Vec<_> = self.held.iter().filter_map(left).collect();
        left.into_iter().fold(false, |any, (dataset, kept)| self.serve_kept(&dataset, &kept) || any)
    }
}
