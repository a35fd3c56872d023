//! What there is to be served: files that come, that go, and that are passed over.

use std::{collections::HashSet, io, path::PathBuf};

use tracing::{error, info, warn};

use super::{Reloader, is_of};
use crate::{
    live::{
        assembly::apexes,
        loading::{MISSING, stamps},
        printable::printable,
        start_file::StartFile,
        zones::{DatasetSpec, NamedZone, ZoneSource, absolute, take_lone_access_lists},
    },
    wire::name::Name,
};

impl Reloader {
    /// Looks up what is to be served; true if that changed.
    pub(super) fn list(&mut self, accepted: &[Name]) -> bool {
        let listing = match self.settings.source.list() {
            Ok(listing) => listing,
            Err(error) => {
                self.complain_of_folders(&error);
                return false;
            }
        };
        for folder in self.settings.source.folders() {
            if self.complained.remove(&folder) {
                self.status.settle_folder(&folder);
                info!(folder = %absolute(&folder).display(), "the zones folder can be read now");
            }
        }
        // Of what was served and is no file any more, more is to be said.
        let were_served: HashSet<&PathBuf> = self.specs.iter().flat_map(|spec| &spec.dataset.files).collect();
        let mut ignored: Vec<_> = listing.ignored.into_iter().filter(|(path, _)| !were_served.contains(path)).collect();
        let mut specs = listing.specs;
        let there: HashSet<DatasetSpec> = specs.iter().map(|spec| spec.dataset.clone()).collect();
        // What vanished is served on: it may be in the middle of being replaced, or gone by accident.
        let before = std::mem::take(&mut self.specs);
        for old in &before {
            if there.contains(&old.dataset) {
                continue;
            }
            let was_told = self.complained.contains(&old.dataset.files[0]);
            if was_told && is_of(old.zone.as_ref(), accepted) {
                self.let_go(&old.dataset);
                continue;
            }
            let has_good = self.held.get(&old.dataset).is_some_and(|held| held.good.is_some());
            if !has_good && self.busy.contains(&old.dataset) {
                specs.push(old.clone()); // it may be good yet
                continue;
            }
            // What was never good is mended by that, but for an access list: without it a zone is open to all.
            if !has_good && !old.dataset.kind.is_access() {
                info!(dataset = %old.dataset, "the file is gone, and nothing of it was served");
                self.status.settle(&old.dataset);
                continue;
            }
            if self.complained.insert(old.dataset.files[0].clone()) {
                let until = if has_good {
                    "its data are served on"
                } else {
                    "none of it was good, and its zones stay as they are"
                };
                let text = format!("the file is gone; {until} until it comes back");
                error!(dataset = %old.dataset, "{text}, or {}", self.how_to_accept(old.zone.as_ref()));
                // An access list without a zone is of all of them.
                let zones = old.zone.as_ref().map_or_else(|| apexes(&before), |zone| vec![zone]);
                self.status.trouble(&old.dataset, zones.iter().copied(), &text);
                self.status.count_failures(zones.into_iter(), &[MISSING]);
                // What was refused of it is told again should it come back; what was never good is waited for no longer.
                if let Some(held) = self.held.get_mut(&old.dataset).filter(|held| held.failure.is_some()) {
                    held.failure.take_if(|_| has_good);
                    held.tried.clear();
                }
            }
            specs.push(old.clone());
        }
        if matches!(self.settings.source, ZoneSource::Folder(_)) {
            // Only now, for a zone whose files vanished goes on and keeps its access list.
            let lone = take_lone_access_lists(&mut specs);
            ignored.extend(lone.into_iter().filter(|(path, _)| path.exists()));
            specs.sort_by(|a, b| a.dataset.files.cmp(&b.dataset.files));
        }
        self.pass_over(&ignored);
        for spec in &specs {
            for file in spec.dataset.files.iter().filter(|file| file.is_file()) {
                let was_missing = self.complained.remove(file);
                let held = self.held.get(&spec.dataset).filter(|held| held.failure.is_none());
                // The very file that was served has come back, so there is nothing to load.
                if was_missing && held.is_some_and(|held| held.tried == stamps(&spec.dataset)) {
                    info!(dataset = %spec.dataset, "the file is back");
                    self.status.settle(&spec.dataset);
                }
            }
        }
        let has_changed = specs != before;
        self.specs = specs;
        if has_changed {
            self.by_dataset.clear();
            for (at, spec) in self.specs.iter().enumerate() {
                self.by_dataset.entry(spec.dataset.clone()).or_default().push(at);
            }
            self.status.keep_to(&self.specs);
        }
        self.held.retain(|dataset, _| self.by_dataset.contains_key(dataset));
        let has_troubles = !self.status.read().troubles.is_empty();
        if has_troubles {
            let known: HashSet<String> = self.by_dataset.keys().map(ToString::to_string).collect();
            self.status.keep_troubles_of(|dataset| known.contains(dataset));
        }
        has_changed
    }

    /// Says what is wrong with the zones folder, once; it is in trouble as long as that lasts.
    fn complain_of_folders(&mut self, error: &io::Error) {
        for folder in self.settings.source.folders() {
            let meanwhile =
                if self.specs.is_empty() { "there is nothing to serve" } else { "what was loaded is served on" };
            let text = format!("cannot be read: {error}; {meanwhile} until it can");
            self.status.folder_trouble(&folder, apexes(&self.specs).into_iter(), text);
            if !self.complained.insert(folder.clone()) {
                continue;
            }
            let shown = absolute(&folder);
            let shown = shown.display();
            if !self.specs.is_empty() {
                error!(folder = %shown, "cannot read the zones folder: {error}; what was loaded is served on");
            } else if error.kind() == io::ErrorKind::NotFound {
                warn!(
                    folder = %shown,
                    "the zones folder does not exist, so there is nothing to serve until it does: make it, or correct its name"
                );
            } else {
                error!(folder = %shown, "cannot read the zones folder: {error}; there is nothing to serve until it can be read");
            }
        }
    }

    /// Takes note of the files of the folder that are passed over, and says which they are, once for as long as they are there,
    /// and not all of a folder that is another's.
    fn pass_over(&self, ignored: &[(PathBuf, String)]) {
        const MENTIONED: usize = 5;
        let before = self.status.passes_over(ignored);
        let told: HashSet<&PathBuf> = before.iter().map(|(path, _)| path).collect();
        let news: Vec<_> = ignored.iter().filter(|(path, _)| !told.contains(path)).collect();
        for (path, reason) in news.iter().take(MENTIONED) {
            warn!(file = %printable(&path.to_string_lossy()), "not served: {}", printable(reason));
        }
        match news.len().saturating_sub(MENTIONED) {
            0 => {}
            1 => warn!("1 more file is not served: `dnsbld status --json` names it"),
            more => warn!("{more} more files are not served: `dnsbld status --json` names them"),
        }
    }

    /// Says which zones are named in the configuration and not served, when that is news and whenever somebody asks for a look.
    pub(super) fn mention_unserved(&mut self, is_asked: bool) {
        let served = self.cell.load();
        let mut unserved = HashSet::new();
        for NamedZone { place, zone } in &self.settings.named_zones {
            if served.snapshot.zone(zone).is_some() {
                continue;
            }
            if is_asked || !self.unserved.contains(zone) {
                warn!("{place}: zone {zone} is not served, so this does nothing until it is");
            }
            unserved.insert(zone.clone());
        }
        self.unserved = unserved;
    }

    /// Says that the configuration was changed, and that this does nothing.
    pub(super) fn mention_configuration(&mut self) {
        if let Some(news) = self.settings.configuration.as_mut().and_then(StartFile::news) {
            warn!("{news}");
        }
    }

    /// Lets go of a dataset whose files are gone, as the operator says.
    fn let_go(&mut self, dataset: &DatasetSpec) {
        info!(dataset = %dataset, "let go");
        self.status.settle(dataset);
        self.held.remove(dataset);
        self.complained.remove(&dataset.files[0]);
        if let Some(kept) = &self.settings.kept
            && let Err(error) = kept.forget(dataset)
        {
            warn!(dataset = %dataset, "its last good version cannot be removed: {error}");
        }
    }
}
