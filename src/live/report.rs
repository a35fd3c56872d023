//! What a reload did, for whoever asked for it.

use std::{collections::HashSet, time::Duration};

use super::zones::DatasetSpec;
use crate::load::Report;

/// What a load made of one dataset.
#[derive(Debug)]
pub struct DatasetReport {
    /// Type and files.
    pub dataset: DatasetSpec,
    /// The warnings.
    pub report: Report,
    /// The rules that it breaks, in words, though it went live: a reload would refuse it.
    pub broken_rules: Vec<String>,
    /// Why it did not go live, if it did not.
    pub failure: Option<String>,
    /// The last good version went live in its place.
    pub is_restored: bool,
    /// How long it took.
    pub took: Duration,
}

/// What a reload did.
#[derive(Debug, Default)]
pub struct ReloadReport {
    /// The datasets that were loaded or tried, each once: what became of it at last.
    pub datasets: Vec<DatasetReport>,
    /// So many of them were there when something of it was last published, and are told of.
    pub(super) told: usize,
}

impl ReloadReport {
    /// Forgets what became of these, which are tried again, as where one was refused and others have mended that.
    pub(super) fn forget(&mut self, again: &[DatasetSpec]) {
        let again: HashSet<&DatasetSpec> = again.iter().collect();
        let stays = |dataset: &DatasetReport| !again.contains(&dataset.dataset);
        self.told = self.datasets[..self.told].iter().filter(|dataset| stays(dataset)).count();
        self.datasets.retain(stays);
    }

    /// Whether any load failed.
    pub fn has_failures(&self) -> bool {
        self.datasets.iter().any(|dataset| dataset.failure.is_some())
    }

    /// Whether anything was tried, and nothing of it can be served.
    pub fn is_all_lost(&self) -> bool {
        let is_lost = |dataset: &DatasetReport| dataset.failure.is_some() && !dataset.is_restored;
        !self.datasets.is_empty() && self.datasets.iter().all(is_lost)
    }
}
