//! What others may know of reloads: metrics and the control socket read it, the reloader writes it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::zones::{DatasetSpec, ZoneSpec, absolute};
use crate::wire::name::Name;

/// What is the matter with a dataset whose newest files are not what is served, or with the zones folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The zones that use it; all of them for an access list that holds for all.
    pub zones: Vec<String>,
    /// Why, and what to do.
    pub text: String,
}

/// What is known.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Datasets whose newest files are not what is served, and the zones folder if it cannot be read.
    pub troubles: BTreeMap<String, Trouble>,
    /// Refused and failed loads so far, by zone and reason.
    pub failed_loads: BTreeMap<(String, &'static str), u64>,
    /// What is put together to zones now, and where its files are.
    pub specs: Vec<ZoneSpec>,
    /// When something of a zone last went live, in seconds since the epoch.
    pub loaded_s: BTreeMap<String, u64>,
    /// How long the files of a zone took to load, when they last were.
    pub load_took: BTreeMap<String, Duration>,
    /// Files of the zones folder that are not served although they may have been meant to be, and why.
    pub passed_over: Vec<(PathBuf, String)>,
    /// Entries of each zone that were given back, their lifetimes being over, since the start.
    pub expired_entries: BTreeMap<String, u64>,
}

impl Status {
    /// How many datasets of each zone are in trouble, of those with any that are.
    pub fn trouble_counts(&self) -> HashMap<&str, usize> {
        let mut counts = HashMap::new();
        for trouble in self.troubles.values() {
            // A zone may use a dataset twice.
            for zone in trouble.zones.iter().collect::<HashSet<_>>() {
                *counts.entry(zone.as_str()).or_default() += 1;
            }
        }
        counts
    }
}

/// The status, shared.
#[derive(Clone, Debug, Default)]
pub struct SharedStatus(Arc<Mutex<Status>>);

impl SharedStatus {
    /// The status as of now. Whoever holds it holds up the reloader, and nobody else.
    pub fn read(&self) -> MutexGuard<'_, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn trouble<'a>(&self, dataset: &DatasetSpec, zones: impl Iterator<Item = &'a Name>, text: &str) {
        let trouble = Trouble { zones: zones.map(Name::to_string).collect(), text: text.to_owned() };
        self.read().troubles.insert(dataset.to_string(), trouble);
    }

    pub(super) fn settle(&self, dataset: &DatasetSpec) {
        self.read().troubles.remove(&dataset.to_string());
    }

    /// Takes note that the zones folder cannot be read: nobody knows which files are the newest.
    pub(super) fn folder_trouble<'a>(&self, folder: &Path, zones: impl Iterator<Item = &'a Name>, text: String) {
        let trouble = Trouble { zones: zones.map(Name::to_string).collect(), text };
        self.read().troubles.insert(of_folder(folder), trouble);
    }

    pub(super) fn settle_folder(&self, folder: &Path) {
        self.read().troubles.remove(&of_folder(folder));
    }

    pub(super) fn count_failures<'a>(&self, zones: impl Iterator<Item = &'a Name>, reasons: &[&'static str]) {
        let mut status = self.read();
        // A load that breaks a rule twice has failed once.
        let reasons: BTreeSet<&'static str> = reasons.iter().copied().collect();
        for zone in zones {
            for &reason in &reasons {
                *status.failed_loads.entry((zone.to_string(), reason)).or_default() += 1;
            }
        }
    }

    /// Takes note of what zones are put together from.
    pub(super) fn serves(&self, specs: &[ZoneSpec]) {
        self.read().specs = specs.to_vec();
    }

    /// Takes note of what of the zones folder is passed over; returns what was before.
    pub(super) fn passes_over(&self, files: &[(PathBuf, String)]) -> Vec<(PathBuf, String)> {
        std::mem::replace(&mut self.read().passed_over, files.to_vec())
    }

    /// Forgets what is wrong with datasets that are none any more.
    pub(super) fn keep_troubles_of(&self, is_known: impl Fn(&str) -> bool) {
        self.read().troubles.retain(|dataset, _| is_known(dataset));
    }

    /// Forgets when zones went live that are in none of these, and how long that took: it would grow old for ever. What was
    /// counted of them stays.
    pub(super) fn keep_to(&self, specs: &[ZoneSpec]) {
        let zones: HashSet<String> = specs.iter().filter_map(|spec| spec.zone.as_ref()).map(Name::to_string).collect();
        let mut status = self.read();
        status.loaded_s.retain(|zone, _| zones.contains(zone));
        status.load_took.retain(|zone, _| zones.contains(zone));
    }

    /// Takes note of how long loading took, added up for each zone.
    pub(super) fn took<'a>(&self, durations: impl Iterator<Item = (&'a Name, Duration)>) {
        let mut status = self.read();
        for (zone, took) in durations {
            status.load_took.insert(zone.to_string(), took);
        }
    }

    pub(super) fn loaded<'a>(&self, zones: impl Iterator<Item = &'a Name>, now_s: u64) {
        self.read().loaded_s.extend(zones.map(|zone| (zone.to_string(), now_s)));
    }

    /// Counts entries of zones whose lifetimes are over, and whose memory is free.
    pub(super) fn gave_back<'a>(&self, zones: impl Iterator<Item = &'a Name>, expired: u64) {
        let mut status = self.read();
        for zone in zones {
            *status.expired_entries.entry(zone.to_string()).or_default() += expired;
        }
    }
}

/// What the zones folder is called among datasets in trouble.
fn of_folder(folder: &Path) -> String {
    format!("zones folder {}", absolute(folder).display())
}
