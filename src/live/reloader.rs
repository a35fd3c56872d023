//! From files to what is served: loads what changed, keeps what is good, publishes the whole.
//!
//! Loading happens on threads of its own while workers go on with what they have. A dataset is loaded again only when one of
//! its files has another time, size or inode than when it was last read. A load that fails, and a file that is gone, leave
//! the dataset as it was: a list that breaks by accident must neither open the gates nor list the world.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tracing::{error, info, warn};

use super::{
    clock,
    served::{Cell, Served, free_retired, publish},
    zones::{DatasetSpec, ZoneSource, ZoneSpec},
};
use crate::{
    load::{self, LoadError, Loaded, Options, Report, Severity, Source, ZoneData},
    metrics::ZoneCounters,
    wire::name::Name,
    zone::{
        access::{AccessList, KeyList},
        apex::{ZoneServers, ZoneSoa},
        snapshot::{Content, Snapshot, Zone},
    },
};

/// What tells one version of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified_ns: i128,
    size: u64,
    inode: u64,
    device: u64,
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            modified_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
            size: metadata.size(),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }

    fn read(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self::of(&metadata))
    }
}

/// The good data of a dataset specification.
#[derive(Clone, Debug)]
enum Good {
    Data(Arc<ZoneData>),
    Acl(Arc<AccessList>),
    Keys(Arc<KeyList>),
}

/// A dataset specification with what is known of it.
#[derive(Debug, Default)]
struct Held {
    /// Its files as they were when they were last tried.
    tried: Vec<Option<Stamp>>,
    /// The last try failed.
    failed: bool,
    /// The last good data, and the time of its newest file.
    good: Option<(Good, u64)>,
}

/// What a load made of one dataset.
#[derive(Debug)]
pub struct DatasetReport {
    /// Type and files.
    pub dataset: DatasetSpec,
    /// The warnings.
    pub report: Report,
    /// Why it failed, if it did.
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

/// How far loading has come, for a progress bar.
#[derive(Debug, Default)]
pub struct Progress {
    /// Octets of the files that are to be read.
    pub total_bytes: AtomicU64,
    /// Octets read so far, as they stand on disk.
    pub read_bytes: AtomicU64,
}

/// Loads and publishes.
#[derive(Debug)]
pub struct Reloader {
    source: ZoneSource,
    options: Options,
    cell: Cell,
    worker_count: usize,
    progress: Arc<Progress>,
    specs: Vec<ZoneSpec>,
    held: HashMap<DatasetSpec, Held>,
    counters: HashMap<Name, Arc<ZoneCounters>>,
    retired: Vec<Arc<Served>>,
    complained: HashSet<PathBuf>,
}

impl Reloader {
    /// Prepares to load what `source` names into `cell`; `worker_count` workers will count.
    pub fn new(source: ZoneSource, options: Options, cell: Cell, worker_count: usize) -> Self {
        Self {
            source,
            options,
            cell,
            worker_count,
            progress: Arc::default(),
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

    /// Where files are to be watched.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.source.folders()
    }

    /// Whether an old snapshot still waits for workers to let go of it.
    pub fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// Frees old snapshots that no worker reads any more.
    pub fn free_retired(&mut self) {
        free_retired(&mut self.retired);
    }

    /// Loads what changed and publishes it.
    pub fn reload(&mut self, now_s: u64) -> ReloadReport {
        self.options.now_s = now_s;
        let specs_changed = self.list();
        let stale = self.stale();
        let results = load_all(&stale, &self.options, &self.progress);
        let mut report = ReloadReport::default();
        let mut changed = specs_changed;
        for (dataset, loading) in stale.into_iter().zip(results) {
            let held = self.held.entry(dataset.clone()).or_default();
            held.tried = loading.stamps;
            held.failed = loading.result.is_err();
            let failure = match loading.result {
                Ok(loaded) => {
                    let good = match loaded {
                        Loaded::Data(data) => Good::Data(Arc::new(data)),
                        Loaded::Acl(list) => Good::Acl(Arc::new(list)),
                        Loaded::Keys(list) => Good::Keys(Arc::new(list)),
                    };
                    held.good = Some((good, loading.newest_s));
                    changed = true;
                    None
                }
                Err(failure) => {
                    if held.good.is_some() {
                        error!(dataset = %dataset, "{failure}; the data loaded before are kept and served");
                    } else {
                        error!(dataset = %dataset, "{failure}; its zones answer SERVFAIL until it loads");
                    }
                    Some(failure)
                }
            };
            log_remarks(&dataset, &loading.report);
            report.datasets.push(DatasetReport { dataset, report: loading.report, failure, took: loading.took });
        }
        if changed {
            self.publish(&report);
            report.published = true;
        }
        self.free_retired();
        report
    }

    /// Looks up what is to be served; true if that changed.
    fn list(&mut self) -> bool {
        let listing = match self.source.list() {
            Ok(listing) => listing,
            Err(error) => {
                for folder in self.source.folders() {
                    error!(folder = %folder.display(), "cannot read the zones folder: {error}; what was loaded is served on");
                }
                return false;
            }
        };
        for (path, reason) in listing.ignored {
            if self.complained.insert(path.clone()) {
                warn!(file = %path.display(), "not served: {reason}");
            }
        }
        let mut specs = listing.specs;
        // What vanished is served on: it may be in the middle of being replaced, or gone by accident.
        for old in &self.specs {
            if !specs.contains(old) {
                if self.complained.insert(old.dataset.files[0].clone()) {
                    error!(
                        dataset = %old.dataset,
                        "the file is gone; its data are served on until it comes back or the server restarts"
                    );
                }
                specs.push(old.clone());
            }
        }
        specs.sort_by(|a, b| match self.source {
            ZoneSource::Folder(_) => a.dataset.files.cmp(&b.dataset.files),
            ZoneSource::Specs(_) => std::cmp::Ordering::Equal,
        });
        for spec in &specs {
            if spec.dataset.files.iter().all(|file| file.exists()) {
                for file in &spec.dataset.files {
                    self.complained.remove(file);
                }
            }
        }
        let changed = specs != self.specs;
        self.specs = specs;
        changed
    }

    /// The datasets that are to be loaded, each once.
    fn stale(&self) -> Vec<DatasetSpec> {
        let mut stale: Vec<DatasetSpec> = Vec::new();
        for spec in &self.specs {
            if stale.contains(&spec.dataset) {
                continue;
            }
            let stamps: Vec<Option<Stamp>> = spec.dataset.files.iter().map(|file| Stamp::read(file)).collect();
            let is_stale = match self.held.get(&spec.dataset) {
                None => true,
                // A vanished file was complained about when it was listed.
                Some(held) if held.good.is_some() && stamps.contains(&None) => held.tried != stamps && !held.failed,
                Some(held) => held.failed || held.tried != stamps,
            };
            if is_stale {
                stale.push(spec.dataset.clone());
            }
        }
        stale
    }

    /// Assembles all zones and swaps them in.
    fn publish(&mut self, report: &ReloadReport) {
        let mut apexes: Vec<&Name> = Vec::new();
        for zone in self.specs.iter().filter_map(|spec| spec.zone.as_ref()) {
            if !apexes.contains(&zone) {
                apexes.push(zone);
            }
        }
        let mut zones = Vec::new();
        let mut counters = Vec::new();
        for apex in apexes {
            let zone = self.assemble(apex);
            announce(&zone, &self.specs, report);
            let worker_count = self.worker_count;
            let of_zone =
                self.counters.entry(apex.clone()).or_insert_with(|| Arc::new(ZoneCounters::new(worker_count)));
            counters.push(Arc::clone(of_zone));
            zones.push(zone);
        }
        let (acl, keys, _) = self.access(None);
        let snapshot = Snapshot::new(zones, acl, keys);
        publish(&self.cell, Served { snapshot, counters }, &mut self.retired);
    }

    /// The access lists of a zone or of all, and whether all that are named are loaded.
    fn access(&self, zone: Option<&Name>) -> (Option<Arc<AccessList>>, Option<Arc<KeyList>>, bool) {
        let (mut acl, mut keys, mut complete) = (None, None, true);
        for spec in self.specs.iter().filter(|spec| spec.zone.as_ref() == zone && spec.dataset.kind.is_access()) {
            match self.held.get(&spec.dataset).and_then(|held| held.good.as_ref()) {
                Some((Good::Acl(list), _)) => acl = Some(Arc::clone(list)),
                Some((Good::Keys(list), _)) => keys = Some(Arc::clone(list)),
                _ => complete = false,
            }
        }
        (acl, keys, complete)
    }

    /// Puts a zone together; without content unless everything that belongs to it is there: half a list may lack just the
    /// exclusions, and a zone without its access list is open to all.
    fn assemble(&self, apex: &Name) -> Zone {
        let (acl, keys, is_access_complete) = self.access(Some(apex));
        let mut zone = Zone { apex: apex.clone(), content: None, acl, keys };
        let mut parts: Vec<&ZoneData> = Vec::new();
        let mut newest_s = 0;
        for spec in self.specs.iter().filter(|spec| spec.zone.as_ref() == Some(apex) && !spec.dataset.kind.is_access())
        {
            match self.held.get(&spec.dataset).and_then(|held| held.good.as_ref()) {
                Some((Good::Data(data), modified_s)) => {
                    parts.push(data);
                    newest_s = newest_s.max(*modified_s);
                }
                _ => return zone,
            }
        }
        let (_, _, is_global_access_complete) = self.access(None);
        if !is_access_complete || !is_global_access_complete {
            return zone;
        }
        let soa = parts.iter().find_map(|data| data.soa.clone()).map(|soa| ZoneSoa::new(soa, apex, newest_s));
        let servers =
            parts.iter().find_map(|data| data.servers.as_ref()).map(|servers| ZoneServers::new(servers, apex));
        let expires_s = parts.iter().filter_map(|data| data.expires_s).min();
        let specifications = parts
            .iter()
            .map(|data| data.sections.iter().map(|section| (section.subzones.as_slice(), &section.dataset)));
        zone.content = Some(Content::new(soa, servers, expires_s, specifications));
        zone
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

/// Says in one line what a zone consists of now, if something of it was loaded.
fn announce(zone: &Zone, specs: &[ZoneSpec], report: &ReloadReport) {
    let own = |dataset: &DatasetSpec| {
        specs.iter().any(|spec| spec.zone.as_ref() == Some(&zone.apex) && spec.dataset == *dataset)
    };
    let took: Duration =
        report.datasets.iter().filter(|dataset| own(&dataset.dataset)).map(|dataset| dataset.took).sum();
    if took.is_zero() {
        return;
    }
    let Some(content) = &zone.content else {
        error!(zone = %zone.apex, "not all of its datasets are loaded: it answers SERVFAIL");
        return;
    };
    let datasets = content.datasets();
    let labels: Vec<&str> = datasets.iter().map(|dataset| &*dataset.label).collect();
    let entries: usize = datasets.iter().map(|dataset| dataset.len()).sum();
    let bytes: usize = datasets.iter().map(|dataset| dataset.memory_bytes()).sum();
    let soa = if content.soa.is_some() { "" } else { "; no $SOA: negative answers cannot be cached" };
    info!(
        "zone {}: {} entries in {}, {:.1} MB, {:.2} s{soa}",
        zone.apex,
        entries,
        labels.join(" "),
        bytes as f64 / 1e6,
        took.as_secs_f64()
    );
}

/// A dataset after it was tried.
struct Loading {
    stamps: Vec<Option<Stamp>>,
    newest_s: u64,
    report: Report,
    result: Result<Loaded, String>,
    took: Duration,
}

/// Loads datasets side by side, as many as there are cores.
fn load_all(datasets: &[DatasetSpec], options: &Options, progress: &Arc<Progress>) -> Vec<Loading> {
    let sizes = datasets.iter().flat_map(|dataset| &dataset.files).filter_map(|file| Stamp::read(file));
    progress.read_bytes.store(0, Ordering::Relaxed);
    progress.total_bytes.store(sizes.map(|stamp| stamp.size).sum(), Ordering::Relaxed);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let next = Mutex::new(0..datasets.len());
    let done: Mutex<Vec<(usize, Loading)>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..cores.min(datasets.len()) {
            scope.spawn(|| {
                loop {
                    let Some(index) = next.lock().unwrap_or_else(PoisonError::into_inner).next() else { break };
                    let loading = load_one(&datasets[index], options, progress);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((index, loading));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, loading)| loading).collect()
}

/// Loads one dataset from its files.
fn load_one(dataset: &DatasetSpec, options: &Options, progress: &Arc<Progress>) -> Loading {
    let started = Instant::now();
    let mut report = Report::default();
    let stamps: Vec<Option<Stamp>> = dataset.files.iter().map(|file| Stamp::read(file)).collect();
    let newest_s = stamps.iter().flatten().map(|stamp| (stamp.modified_ns / 1_000_000_000).max(0) as u64).max();
    let sources = dataset.files.iter().map(|file| open(file, progress));
    let mut result = load::load(dataset.kind, &dataset.to_string(), sources, options, &mut report)
        .map_err(|error| error.to_string());
    let after: Vec<Option<Stamp>> = dataset.files.iter().map(|file| Stamp::read(file)).collect();
    if result.is_ok() && after != stamps {
        result = Err("a file changed while it was read; write to another name and rename it when complete".to_owned());
    }
    Loading { stamps, newest_s: newest_s.unwrap_or(0), report, result, took: started.elapsed() }
}

fn open(path: &Path, progress: &Arc<Progress>) -> Result<Source<'static>, LoadError> {
    let file = File::open(path).map_err(|error| LoadError::Open { file: path.display().to_string(), error })?;
    let modified_s = file.metadata().and_then(|metadata| metadata.modified()).map_or(0, clock::seconds);
    let reader = CountedReader { file, progress: Arc::clone(progress) };
    Ok(Source { name: path.display().to_string(), modified_s, reader: Box::new(reader) })
}

/// A file that says how far it was read.
struct CountedReader {
    file: File,
    progress: Arc<Progress>,
}

impl Read for CountedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.progress.read_bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
