//! From files to what is served: loads what changed, keeps what is good, publishes the whole.
//!
//! Loading happens on threads of its own while workers go on with what they have. A dataset is loaded again only when one of
//! its files has another time, size or inode than when it was last read. What then goes live:
//!
//! | the new data | a reload | the first load |
//! |---|---|---|
//! | load and break no rule | go live | go live |
//! | break a [rule](super::refusal) | are refused, until accepted | give way to the last good version, else go live with a warning |
//! | cannot be loaded | change nothing | give way to the last good version, else the zone answers SERVFAIL |
//! | are gone | change nothing, until accepted | the same |

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tracing::{debug, error, info, warn};

use super::{
    assembly::{Good, GoodData, announce, apexes, assemble},
    kept::Kept,
    loading::{Failure, Loading, Progress, Stamp, load_all, load_one, stamps},
    refusal::{Judged, Rules, entries},
    served::{Cell, Served, free_retired, publish},
    zones::{DatasetSpec, ZoneSource, ZoneSpec},
};
use crate::{
    load::{Loaded, Options, Report, Severity},
    metrics::ZoneCounters,
    wire::name::Name,
};

/// What a load made of one dataset.
#[derive(Debug)]
pub struct DatasetReport {
    /// Type and files.
    pub dataset: DatasetSpec,
    /// The warnings.
    pub report: Report,
    /// Why it did not go live, if it did not.
    pub failure: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// What a reload did.
#[derive(Debug, Default)]
pub struct ReloadReport {
    /// The datasets that were loaded or tried.
    pub datasets: Vec<DatasetReport>,
    /// Something new is served.
    pub published: bool,
}

impl ReloadReport {
    /// Whether any load failed.
    pub fn has_failures(&self) -> bool {
        self.datasets.iter().any(|dataset| dataset.failure.is_some())
    }
}

/// What others may know of reloads, shared with metrics and the control socket.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Datasets whose newest files are not what is served, and why.
    pub troubles: BTreeMap<String, String>,
    /// Refused and failed loads so far, by zone and reason.
    pub failed_loads: BTreeMap<(String, &'static str), u64>,
}

/// The status, shared.
pub type SharedStatus = Arc<Mutex<Status>>;

/// What a reloader is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is to be served.
    pub source: ZoneSource,
    /// What holds for all files.
    pub options: Options,
    /// When a reload is refused.
    pub rules: Rules,
    /// Where last good versions are kept.
    pub kept: Option<Kept>,
    /// How an operator accepts what was refused, for messages; ends before the zone's name.
    pub accept_command: String,
    /// How many workers will count.
    pub worker_count: usize,
}

impl Settings {
    /// The usual rules, nothing kept, and one who counts.
    pub fn new(source: ZoneSource, options: Options) -> Self {
        let rules = Rules::default();
        Self { source, options, rules, kept: None, accept_command: String::new(), worker_count: 1 }
    }
}

/// A dataset specification with what is known of it.
#[derive(Debug, Default)]
struct Held {
    /// Its files as they were when they were last tried.
    tried: Vec<Option<Stamp>>,
    /// The last try failed, and why: it is tried again, but not complained about again.
    failure: Option<Failure>,
    /// The last good data, the time of its newest file, and its number of entries.
    good: Option<(Good, u64, usize)>,
}

/// Loads and publishes.
#[derive(Debug)]
pub struct Reloader {
    settings: Settings,
    cell: Cell,
    progress: Arc<Progress>,
    status: SharedStatus,
    specs: Vec<ZoneSpec>,
    held: HashMap<DatasetSpec, Held>,
    counters: HashMap<Name, Arc<ZoneCounters>>,
    retired: Vec<Arc<Served>>,
    complained: HashSet<PathBuf>,
}

impl Reloader {
    /// Prepares to load into `cell`.
    pub fn new(settings: Settings, cell: Cell) -> Self {
        Self {
            settings,
            cell,
            progress: Arc::default(),
            status: Arc::default(),
            specs: Vec::new(),
            held: HashMap::new(),
            counters: HashMap::new(),
            retired: Vec::new(),
            complained: HashSet::new(),
        }
    }

    /// How far loading has come.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// What others may know.
    pub fn status(&self) -> SharedStatus {
        Arc::clone(&self.status)
    }

    /// Where files are to be watched.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.settings.source.folders()
    }

    /// Whether an old snapshot still waits for workers to let go of it.
    pub fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// Frees old snapshots that no worker reads any more.
    pub fn free_retired(&mut self) {
        free_retired(&mut self.retired);
    }

    /// Loads what changed and publishes it. What belongs to the zone `accepted` is taken whatever the rules say, and what of
    /// it is gone is let go.
    pub fn reload(&mut self, now_s: u64, accepted: Option<&Name>) -> ReloadReport {
        self.settings.options.now_s = now_s;
        let mut has_changed = self.list(accepted);
        let stale = self.stale(accepted);
        let loadings = load_all(&stale, &self.settings.options, &self.progress);
        let mut report = ReloadReport::default();
        for (dataset, loading) in stale.into_iter().zip(loadings) {
            let is_accepted = accepted.is_some() && self.zones_of(&dataset).any(|zone| Some(zone) == accepted);
            log_remarks(&dataset, &loading.report);
            let (remarks, took) = (loading.report.clone(), loading.took);
            let failure = match self.take(&dataset, loading, is_accepted) {
                Ok(()) => {
                    has_changed = true;
                    None
                }
                Err(failure) => {
                    has_changed |= self.complain(&dataset, &failure);
                    Some(failure.text)
                }
            };
            report.datasets.push(DatasetReport { dataset, report: remarks, failure, took });
        }
        if has_changed {
            self.publish(&report);
            report.published = true;
        }
        self.free_retired();
        report
    }

    /// Looks up what is to be served; true if that changed.
    fn list(&mut self, accepted: Option<&Name>) -> bool {
        let listing = match self.settings.source.list() {
            Ok(listing) => listing,
            Err(error) => {
                for folder in self.folders() {
                    error!(folder = %folder.display(), "cannot read the zones folder: {error}; what was loaded is served on");
                }
                return false;
            }
        };
        self.mention(listing.ignored);
        let mut specs = listing.specs;
        // What vanished is served on: it may be in the middle of being replaced, or gone by accident.
        let before = std::mem::take(&mut self.specs);
        for old in &before {
            if specs.contains(old) {
                continue;
            }
            if old.zone.as_ref() == accepted && accepted.is_some() {
                info!(dataset = %old.dataset, "let go");
                self.settle(&old.dataset);
                self.held.remove(&old.dataset);
                continue;
            }
            if self.complained.insert(old.dataset.files[0].clone()) {
                let text = "the file is gone; its data are served on until it comes back".to_owned();
                error!(dataset = %old.dataset, "{text}, or {}", self.how_to_accept(old.zone.as_ref()));
                self.trouble(&old.dataset, &Failure { word: "missing", text });
            }
            specs.push(old.clone());
        }
        if matches!(self.settings.source, ZoneSource::Folder(_)) {
            specs.sort_by(|a, b| a.dataset.files.cmp(&b.dataset.files));
        }
        for spec in &specs {
            for file in spec.dataset.files.iter().filter(|file| file.exists()) {
                self.complained.remove(file);
            }
        }
        self.held.retain(|dataset, _| specs.iter().any(|spec| spec.dataset == *dataset));
        self.specs = specs;
        self.specs != before
    }

    /// Says which files of the folder are passed over, once each, and not all of a folder that is another's.
    fn mention(&mut self, ignored: Vec<(PathBuf, &'static str)>) {
        const MENTIONED: usize = 5;
        let mut news = 0;
        for (path, reason) in ignored {
            if self.complained.insert(path.clone()) {
                news += 1;
                if news <= MENTIONED {
                    warn!(file = %path.display(), "not served: {reason}");
                }
            }
        }
        if news > MENTIONED {
            warn!("{} more files are not served", news - MENTIONED);
        }
    }

    /// The datasets that are to be loaded, each once.
    fn stale(&self, accepted: Option<&Name>) -> Vec<DatasetSpec> {
        let mut stale: Vec<DatasetSpec> = Vec::new();
        for ZoneSpec { zone, dataset } in &self.specs {
            let now = stamps(dataset);
            let is_stale = self.held.get(dataset).is_none_or(|held| {
                let is_in_trouble = held.failure.is_some() || held.tried != now;
                // A file that is gone was complained about (in a folder, when it was listed), and may come back any time.
                let is_known_gone = matches!(self.settings.source, ZoneSource::Folder(_)) || held.tried == now;
                let is_waiting = held.good.is_some() && now.contains(&None) && is_known_gone;
                // What a rule refused stays refused until it changes or is accepted.
                let is_refused = held.failure.as_ref().is_some_and(|failure| failure.word == REFUSED);
                (is_in_trouble && !is_waiting && !(is_refused && held.tried == now))
                    || (accepted.is_some() && accepted == zone.as_ref() && held.failure.is_some())
            });
            if is_stale && !stale.contains(dataset) {
                stale.push(dataset.clone());
            }
        }
        stale
    }

    /// Decides whether new data go live.
    fn take(&mut self, dataset: &DatasetSpec, loading: Loading, is_accepted: bool) -> Result<(), Failure> {
        let servers = self.server_addresses(dataset);
        let kept = self.settings.kept.as_ref().and_then(|kept| kept.find(dataset));
        let held = self.held.entry(dataset.clone()).or_default();
        held.tried = loading.stamps;
        let loaded = loading.result?;
        let old_entries = held.good.as_ref().map(|(_, _, entries)| *entries).or(kept.as_ref().map(|kept| kept.entries));
        let refusals = self.settings.rules.judge(&Judged {
            loaded: &loaded,
            report: &loading.report,
            old_entries,
            servers: &servers,
            now_s: self.settings.options.now_s,
        });
        if !refusals.is_empty() && !is_accepted {
            let text = refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            if old_entries.is_some() {
                let words: Vec<&'static str> = refusals.iter().map(super::refusal::Refusal::word).collect();
                self.count_failures(dataset, &words);
                return Err(Failure { word: REFUSED, text: format!("refused: {text}") });
            }
            warn!(dataset = %dataset, "served, since there is nothing better, but a reload would refuse it: {text}");
        }
        let entry_count = entries(&loaded);
        held.good = Some((good(loaded), loading.newest_s, entry_count));
        held.failure = None;
        self.settle(dataset);
        if let Some(kept) = &self.settings.kept
            && let Err(error) = kept.save(dataset, entry_count)
        {
            warn!(dataset = %dataset, "its files are not kept for the next start: {error}");
        }
        Ok(())
    }

    /// Deals with data that do not go live; true if the last good version does instead.
    fn complain(&mut self, dataset: &DatasetSpec, failure: &Failure) -> bool {
        let accept = self.how_to_accept(self.zones_of(dataset).next());
        let held = self.held.entry(dataset.clone()).or_default();
        let is_news = held.failure.as_ref() != Some(failure);
        held.failure = Some(failure.clone());
        let (has_good, text) = (held.good.is_some(), &failure.text);
        self.trouble(dataset, failure);
        if failure.word != REFUSED {
            self.count_failures(dataset, &[failure.word]);
        }
        if !is_news {
            debug!(dataset = %dataset, "still: {text}");
            return false;
        }
        if has_good {
            let accept = if failure.word == REFUSED { format!(", or {accept}") } else { String::new() };
            error!(dataset = %dataset, "{text}; the data loaded before are served on until it is mended{accept}");
            return false;
        }
        if self.restore(dataset) {
            return true;
        }
        error!(dataset = %dataset, "{text}; its zones answer SERVFAIL until it loads");
        false
    }

    /// Serves the last good version of a dataset that cannot be served from its files.
    fn restore(&mut self, dataset: &DatasetSpec) -> bool {
        let Some(version) = self.settings.kept.as_ref().and_then(|kept| kept.find(dataset)) else { return false };
        let loading = load_one(dataset, &version.files, &self.settings.options, &self.progress);
        let Ok(loaded) = loading.result else { return false };
        let held = self.held.entry(dataset.clone()).or_default();
        let text = held.failure.as_ref().map(|failure| failure.text.as_str()).unwrap_or_default();
        error!(
            dataset = %dataset,
            "{text}; the last good version is served instead, kept at {} with {} entries",
            humantime::format_rfc3339_seconds(version.saved),
            version.entries
        );
        let entry_count = entries(&loaded);
        held.good = Some((good(loaded), loading.newest_s, entry_count));
        true
    }

    /// Assembles all zones and swaps them in.
    fn publish(&mut self, report: &ReloadReport) {
        let good: GoodData<'_> = self
            .held
            .iter()
            .filter_map(|(dataset, held)| held.good.as_ref().map(|(good, newest_s, _)| (dataset, (good, *newest_s))))
            .collect();
        let snapshot = assemble(&self.specs, &good);
        for zone in snapshot.zones() {
            let own = report.datasets.iter().filter(|read| self.zones_of(&read.dataset).any(|apex| *apex == zone.apex));
            announce(zone, own.map(|read| read.took).sum());
        }
        let worker_count = self.settings.worker_count;
        let mut counters = Vec::new();
        for apex in apexes(&self.specs) {
            let of_zone =
                self.counters.entry(apex.clone()).or_insert_with(|| Arc::new(ZoneCounters::new(worker_count)));
            counters.push(Arc::clone(of_zone));
        }
        publish(&self.cell, Served { snapshot, counters }, &mut self.retired);
    }

    fn zones_of<'a>(&'a self, dataset: &DatasetSpec) -> impl Iterator<Item = &'a Name> + use<'a> {
        let dataset = dataset.clone();
        self.specs.iter().filter(move |spec| spec.dataset == dataset).filter_map(|spec| spec.zone.as_ref())
    }

    /// The addresses of the name servers of the zones that use a dataset, as far as we serve them.
    fn server_addresses(&self, dataset: &DatasetSpec) -> Vec<IpAddr> {
        let served = self.cell.load();
        let contents = self
            .zones_of(dataset)
            .filter_map(|apex| served.snapshot.zone(apex))
            .filter_map(|zone| zone.content.as_ref());
        contents
            .filter_map(|content| content.servers.as_ref())
            .flat_map(|servers| &servers.servers)
            .flat_map(|(_, addresses)| addresses)
            .map(|(address, _)| IpAddr::V4(*address))
            .collect()
    }

    fn how_to_accept(&self, zone: Option<&Name>) -> String {
        let command = &self.settings.accept_command;
        match zone {
            Some(zone) if !command.is_empty() => format!("until you accept it: {command} {zone}"),
            _ => "until the server restarts".to_owned(),
        }
    }

    fn trouble(&self, dataset: &DatasetSpec, failure: &Failure) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.troubles.insert(dataset.to_string(), failure.text.clone());
    }

    fn settle(&self, dataset: &DatasetSpec) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.troubles.remove(&dataset.to_string());
    }

    fn count_failures(&self, dataset: &DatasetSpec, words: &[&'static str]) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        for zone in self.zones_of(dataset) {
            for word in words {
                *status.failed_loads.entry((zone.to_string(), word)).or_default() += 1;
            }
        }
    }
}

/// The word of failures that an operator may overrule.
const REFUSED: &str = "refused";

fn good(loaded: Loaded) -> Good {
    match loaded {
        Loaded::Data(data) => Good::Data(Arc::new(data)),
        Loaded::Acl(list) => Good::Acl(Arc::new(list)),
        Loaded::Keys(list) => Good::Keys(Arc::new(list)),
    }
}

/// Logs what is wrong with a dataset: the first faults of each sort, and how many there are.
fn log_remarks(dataset: &DatasetSpec, report: &Report) {
    for remark in report.remarks() {
        if remark.fault.severity() == Severity::Warning {
            warn!("{remark}");
        }
    }
    if report.warnings() > 0 {
        warn!(dataset = %dataset, "{report}; `dnsbld check` shows them");
    }
}
