//! Which datasets a look loads again, and what the reloader waits for before it does.

use std::{collections::HashSet, time::Instant};

use super::{Occasion, Reloader, is_of};
use crate::{
    live::{
        held::GoodVersion,
        loading::{MISSING, REFUSED, Task, can_be_opened, stamps},
        opened::Leeway,
        zones::{DatasetSpec, ZoneSource, ZoneSpec},
    },
    wire::name::Name,
};

impl Reloader {
    /// The datasets that are to be loaded, each once.
    pub(super) fn stale(
        &mut self,
        at: Instant,
        occasion: Occasion<'_>,
        (is_first, is_clock_set): (bool, bool),
    ) -> Vec<DatasetSpec> {
        let now_s = self.settings.options.now_s;
        let is_folder = matches!(self.settings.source, ZoneSource::Folder(_));
        let (mut stale, mut known) = (Vec::new(), HashSet::new());
        self.has_unquiet = false;
        for ZoneSpec { zone, dataset } in self.specs.iter().filter(|spec| !self.busy.contains(&spec.dataset)) {
            // In a folder, each file is one of its own.
            if !is_folder && known.contains(dataset) {
                continue;
            }
            let now = stamps(dataset);
            let held = self.held.entry(dataset.clone()).or_default();
            let (is_changed, is_missing) = (held.tried != now, held.misses_any(&now));
            let is_accepted = matches!(occasion, Occasion::Command(accepted) if is_of(zone.as_ref(), accepted));
            let is_stale = if is_missing && is_folder && (held.good.is_some() || held.failure.is_some()) {
                // It was complained about when the folder was listed, and may come back any time.
                false
            } else if is_accepted && held.failure.is_some() {
                true
            } else if is_missing && held.good.is_some() && !is_changed {
                // It was complained about likewise.
                false
            } else if let Some(failure) = &held.failure {
                // What a rule refused stays refused until it changes or is accepted, the clock by which it was judged was set, or
                // it is given what it lacks; the rest is tried again now and then, and at once where a file may be opened now.
                let is_tried = || occasion != Occasion::Change || failure.word == MISSING && can_be_opened(dataset);
                is_changed || is_clock_set || failure.word != REFUSED && is_tried()
            } else {
                let depends_on_clock = |good: &GoodVersion| {
                    good.has_lifetimes && (is_clock_set || occasion == Occasion::Interval && good.is_to_be_swept(now_s))
                };
                is_changed || held.good.as_ref().is_some_and(depends_on_clock)
            };
            let is_quiet = matches!(occasion, Occasion::Command(_)) || held.is_quiet(&now, at);
            held.leeway = if is_first { Leeway::Longer } else { Leeway::Nothing };
            if !is_changed {
                held.note_unchanged();
            }
            let is_restless = is_stale && is_changed && held.is_restless(&now, is_quiet, at);
            if is_stale && is_changed && !is_quiet && !is_restless {
                self.has_unquiet = true;
            } else if is_stale {
                stale.push(dataset.clone());
                known.insert(dataset);
            }
        }
        stale
    }

    /// How a dataset is to be loaded, given the zones of which it is accepted.
    pub(super) fn task(&self, dataset: &DatasetSpec, accepted: &[Name]) -> Task {
        let files = self.files_of(dataset, self.is_accepted(dataset, accepted));
        let leeway = self.held.get(dataset).map(|held| held.leeway.clone()).unwrap_or_default();
        let zones = self.specs_of(dataset).filter_map(|spec| spec.zone.as_ref());
        let apex_len = zones.map(|zone| zone.as_wire().len()).max().unwrap_or(1);
        Task { leeway, apex_len, ..Task::new(dataset, files) }
    }
}
