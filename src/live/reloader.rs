//! From files to what is served: loads what changed, keeps what is good, publishes the whole.
//!
//! Loading happens on threads of its own while workers go on with what they have. A dataset is loaded again only when one of
//! its files has another time, size or inode than when it was last read. What then goes live:
//!
//! | the new data | a reload | the first load |
//! |---|---|---|
//! | load and break no rule | go live | go live |
//! | break a [rule](super::refusal) | are refused, until accepted as they are | give way to the last good version, else go live, with a warning |
//! | are an access list with bad lines | are refused, likewise | give way to the last good version, else the zone answers SERVFAIL |
//! | cannot be loaded | change nothing | give way to the last good version, else the zone answers SERVFAIL |
//! | are gone | change nothing, until accepted | give way to the last good version, else the zone answers SERVFAIL |

mod keeping;
mod listing;
mod publishing;
mod stale;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::Instant,
};

use keeping::is_what_is_kept;
use tracing::{debug, error, info, warn};

pub use super::report::{DatasetReport, ReloadReport};
use super::{
    assembly::{apexes, server_addresses},
    clock::SetClock,
    held::{GoodVersion, Held, Keeping},
    kept::Kept,
    loading::{CHANGED, Failure, Loading, MISSING, Progress, REFUSED, load_all, size},
    memory,
    refusal::{Breach, Judged, ReloadRules, in_words},
    served::{Bygone, Cell, LiveSlots, Served, free_retired},
    start_file::StartFile,
    status::SharedStatus,
    watched_folders::{WatchedFolders, watched_folders},
    zones::{DatasetSpec, NamedZone, ZoneSource, ZoneSpec},
};
use crate::{
    load::{Loaded, Options, counted},
    metrics::ZoneCounters,
    wire::name::Name,
    zone::{dataset::Kind, snapshot::Snapshot},
};

/// Why files are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion<'a> {
    /// Something happened to a file. It may not be over.
    Change,
    /// Some time has passed.
    Interval,
    /// Somebody says that all is ready, and may accept what was refused of these zones.
    Command(&'a [Name]),
}

/// What a reloader is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is to be served.
    pub source: ZoneSource,
    /// What holds for all files.
    pub options: Options,
    /// When a reload is refused.
    pub rules: ReloadRules,
    /// Where last good versions are kept.
    pub kept: Option<Kept>,
    /// How an operator accepts what was refused, for messages; ends before the zone's name.
    pub accept_command: String,
    /// How many workers will count.
    pub worker_count: usize,
    /// Whether nothing is served unless all can be loaded at first: then there is no word of what is answered meanwhile.
    pub is_all_or_none: bool,
    /// Zones that ought to be served, since the configuration says something of them.
    pub named_zones: Vec<NamedZone>,
    /// The configuration, of which whoever asks for a reload is told if it was changed.
    pub configuration: Option<StartFile>,
}

impl Settings {
    /// The usual rules, nothing kept, and one who counts.
    pub fn new(source: ZoneSource, options: Options) -> Self {
        let rules = ReloadRules::default();
        let (accept_command, named_zones) = (String::new(), Vec::new());
        let (kept, configuration, is_all_or_none) = (None, None, false);
        let worker_count = 1;
        Self { source, options, rules, kept, accept_command, worker_count, is_all_or_none, named_zones, configuration }
    }
}

/// Loads and publishes.
#[derive(Debug)]
pub struct Reloader {
    settings: Settings,
    cell: Cell,
    progress: Arc<Progress>,
    status: SharedStatus,
    specs: Vec<ZoneSpec>,
    /// Where among those each dataset is.
    by_dataset: HashMap<DatasetSpec, Vec<usize>>,
    held: HashMap<DatasetSpec, Held>,
    counters: HashMap<Name, Arc<ZoneCounters>>,
    /// Of zones that are let go.
    bygone: Bygone,
    retired: Vec<Arc<Served>>,
    /// Folders that could not be read, and files that are gone: what is the matter with them was told.
    complained: HashSet<PathBuf>,
    /// Zones that the configuration names, and that were not served when that was last looked at.
    unserved: HashSet<Name>,
    has_unquiet: bool,
    /// A large file waits for those that are being read.
    has_left_large: bool,
    /// What is being loaded, or next.
    busy: HashSet<DatasetSpec>,
    /// What went live and is not kept yet.
    unkept: VecDeque<DatasetSpec>,
    /// When it first looked.
    began: Option<Instant>,
    clock: SetClock,
    /// Somebody set the clock while files were read, which the next look is to deal with.
    was_set_meanwhile: bool,
    live_slots: LiveSlots,
}

impl Reloader {
    /// Prepares to load into `cell`.
    pub fn new(settings: Settings, cell: Cell) -> Self {
        Self {
            settings,
            cell,
            progress: Arc::default(),
            status: SharedStatus::default(),
            specs: Vec::new(),
            by_dataset: HashMap::new(),
            held: HashMap::new(),
            counters: HashMap::new(),
            bygone: Bygone::default(),
            retired: Vec::new(),
            complained: HashSet::new(),
            unserved: HashSet::new(),
            has_unquiet: false,
            has_left_large: false,
            busy: HashSet::new(),
            unkept: VecDeque::new(),
            began: None,
            clock: SetClock::default(),
            was_set_meanwhile: false,
            live_slots: LiveSlots::default(),
        }
    }

    /// How far loading has come.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// What others may know.
    pub fn status(&self) -> SharedStatus {
        self.status.clone()
    }

    /// Where the live listings of each zone go.
    pub fn live_slots(&self) -> LiveSlots {
        self.live_slots.clone()
    }

    /// Where files are to be watched.
    pub(super) fn watched_folders(&self) -> WatchedFolders {
        let folders = self.settings.source.folders();
        let files = self.specs.iter().flat_map(|spec| &spec.dataset.files);
        watched_folders(folders.iter().chain(files).map(PathBuf::as_path))
    }

    /// Whether a file is being changed, or has waited for others, so that it must be looked at again soon.
    pub fn has_unquiet(&self) -> bool {
        self.has_unquiet || self.has_left_large && self.busy.is_empty()
    }

    /// Whether an old snapshot still waits for workers to let go of it.
    pub fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// Forgets what was being loaded, which a panic broke off: the next look loads it.
    pub(super) fn begin_anew(&mut self) {
        self.busy.clear();
    }

    /// Frees old snapshots that no worker reads any more.
    pub fn free_retired(&mut self) {
        let before = self.retired.len();
        free_retired(&mut self.retired);
        if self.retired.len() < before {
            memory::give_back();
        }
    }

    /// Loads what changed and publishes it, at once.
    pub fn reload(&mut self, now_s: u64) -> ReloadReport {
        self.look_at((now_s, Instant::now()), Occasion::Command(&[]), &mut |_| {})
    }

    /// Loads what changed and is quiet, and publishes it, at a moment by both clocks: the one that may be set, and the one that only
    /// runs. Calls `meanwhile` every now and then while files are read. What changes then may be loaded beside them: see
    /// [`Self::look_beside`].
    pub fn look_at(
        &mut self,
        (now_s, at): (u64, Instant),
        occasion: Occasion<'_>,
        meanwhile: &mut dyn FnMut(&mut Self),
    ) -> ReloadReport {
        let accepted = if let Occasion::Command(accepted) = occasion { accepted } else { &[] };
        let is_first = self.began.is_none();
        self.has_left_large = false;
        self.settings.options.now_s = now_s;
        let has_changed = self.list(accepted) && self.has_other_specs();
        let is_clock_set = self.was_clock_set(now_s, at) | std::mem::take(&mut self.was_set_meanwhile);
        if is_clock_set {
            warn!("the clock was set: datasets with lifetimes, and what was refused, are loaded again");
        }
        let stale = self.stale(at, occasion, (is_first, is_clock_set));
        let mut report = ReloadReport::default();
        let groups = if is_first { VecDeque::from([stale]) } else { small_first(stale) };
        self.load_in_turn(groups, (accepted, has_changed), &mut report, meanwhile);
        if is_clock_set || occasion == Occasion::Interval {
            self.load_kept(is_clock_set, &mut report, meanwhile);
        }
        let is_asked = matches!(occasion, Occasion::Command(_));
        self.mention_unserved(is_asked);
        if is_asked && !is_first {
            self.mention_configuration();
        }
        self.keep_what_was_removed();
        if is_first && let Some(kept) = &self.settings.kept {
            kept.tidy(&self.specs.iter().map(|spec| &spec.dataset).collect(), now_s);
        }
        self.free_retired();
        give_back_refused(&report);
        report
    }

    /// While files are read in [`Self::look_at`], or copied: loads what changed besides, and publishes it. While others are read,
    /// a large one waits for them, or the next small one would wait for it.
    pub fn look_beside(&mut self, now_s: u64, occasion: Occasion<'_>) -> ReloadReport {
        self.settings.options.now_s = now_s;
        let at = Instant::now();
        // What is loaded here is judged by this clock. If it is right again by the next look, that one would not notice.
        self.was_set_meanwhile |= self.was_clock_set(now_s, at);
        let has_changed = self.list(&[]) && self.has_other_specs();
        let mut stale = self.stale(at, occasion, (false, false));
        if !self.busy.is_empty() {
            let all = stale.len();
            stale.retain(is_small);
            self.has_left_large |= stale.len() < all;
        }
        let mut report = ReloadReport::default();
        self.load_in_turn(small_first(stale), (&[], has_changed), &mut report, &mut |_| {});
        give_back_refused(&report);
        report
    }

    /// Loads one group after the other, then what these have mended, and publishes what each changes, or what has changed already.
    fn load_in_turn(
        &mut self,
        mut groups: VecDeque<Vec<DatasetSpec>>,
        (accepted, mut has_changed): (&[Name], bool),
        report: &mut ReloadReport,
        meanwhile: &mut dyn FnMut(&mut Self),
    ) {
        self.busy.extend(groups.iter().flatten().cloned());
        loop {
            if groups.is_empty() {
                groups = small_first(self.given_soa());
                self.busy.extend(groups.iter().flatten().cloned());
            }
            let Some(stale) = groups.pop_front() else { break };
            has_changed |= self.load(stale, accepted, report, meanwhile);
            self.publish_if(std::mem::take(&mut has_changed), report);
        }
        self.publish_if(has_changed, report);
    }

    /// Loads these, and decides what of them goes live; true if that changes what is served.
    fn load(
        &mut self,
        stale: Vec<DatasetSpec>,
        accepted: &[Name],
        report: &mut ReloadReport,
        meanwhile: &mut dyn FnMut(&mut Self),
    ) -> bool {
        let mut tasks: Vec<_> = stale.iter().map(|dataset| self.task(dataset, accepted)).collect();
        self.leave_open(&mut tasks);
        let (options, progress) = (self.settings.options.clone(), Arc::clone(&self.progress));
        let loadings = load_all(&tasks, &options, &progress, &mut || meanwhile(self));
        for dataset in &stale {
            self.busy.remove(dataset);
        }
        let prospect = self.prospect(&stale, &loadings);
        report.forget(&stale);
        let (mut has_changed, mut fresh) = (false, Vec::new());
        // What brings an SOA comes first: then others of its zone may go without.
        let mut loaded: Vec<_> = stale.into_iter().zip(loadings).collect();
        loaded.sort_by_key(|(_, loading)| !loading.result.as_ref().is_ok_and(Loaded::has_soa));
        for (dataset, loading) in loaded {
            let is_accepted = self.is_accepted(&dataset, accepted);
            loading.log(&dataset);
            let (remarks, took) = (loading.report.clone(), loading.took);
            let (mut failure, mut is_restored, mut broken_rules) = (None, false, Vec::new());
            match self.take(&dataset, loading, is_accepted, &prospect) {
                Ok(broken) => {
                    broken_rules = broken;
                    fresh.push(dataset.clone());
                }
                Err(why) => {
                    is_restored = self.complain(&dataset, &why);
                    // A new zone is waited for no longer: it is there, and cannot be served.
                    has_changed |= !self.all_known(&dataset);
                    failure = Some(why.text);
                }
            }
            has_changed |= failure.is_none() || is_restored;
            report.datasets.push(DatasetReport { dataset, report: remarks, broken_rules, failure, is_restored, took });
        }
        let again: HashSet<&DatasetSpec> = fresh.iter().collect();
        self.unkept.retain(|other| !again.contains(other));
        self.unkept.extend(fresh);
        has_changed
    }

    /// Whether a dataset is of a zone whose data are accepted.
    fn is_accepted(&self, dataset: &DatasetSpec, accepted: &[Name]) -> bool {
        self.specs_of(dataset).any(|spec| is_of(spec.zone.as_ref(), accepted))
    }

    /// What is to be served from a dataset.
    fn specs_of<'a>(&'a self, dataset: &DatasetSpec) -> impl Iterator<Item = &'a ZoneSpec> + use<'a> {
        self.by_dataset.get(dataset).into_iter().flatten().map(|&at| &self.specs[at])
    }

    /// Whether somebody set the clock since it was last read here: then what was left out as over may not be over, and times
    /// that were taken for the future may be past.
    fn was_clock_set(&mut self, now_s: u64, at: Instant) -> bool {
        let began = *self.began.get_or_insert(at);
        self.clock.was_set(now_s, at.duration_since(began).as_secs())
    }

    /// Decides whether new data go live; returns the rules that they break though they do, in words.
    fn take(
        &mut self,
        dataset: &DatasetSpec,
        loading: Loading,
        is_accepted: bool,
        prospect: &Snapshot,
    ) -> Result<Vec<String>, Failure> {
        let now_s = self.settings.options.now_s;
        let servers = server_addresses(prospect, self.zones_of(dataset));
        let held = self.held.entry(dataset.clone()).or_default();
        let is_unchanged = held.good.is_some() && held.failure.is_none() && held.tried == loading.stamps;
        let store = self.settings.kept.as_ref().filter(|_| held.good.is_none());
        let kept = store.and_then(|store| store.find(dataset));
        // What was good, or was accepted, before the server restarted is so again.
        let is_kept =
            kept.as_ref().is_some_and(|kept| is_what_is_kept(kept, dataset, &loading, &self.settings.options));
        // Who accepts means what was told, not what came in its place since.
        let was_told = held.was_told(&[REFUSED], &loading.stamps);
        held.tried.clone_from(&loading.stamps);
        held.lacks_only_soa = false;
        let loaded = loading.result.as_ref().map_err(Clone::clone)?;
        let new_entries = loaded.entries();
        // Entries that are over are not missed.
        let held_entries = held.good.as_ref().map(|good| good.live_entries(now_s));
        let had_soa = held.good.as_ref().is_some_and(|good| good.data.has_soa())
            || kept.as_ref().is_some_and(|kept| kept.count.has_soa);
        let loses_soa = had_soa && !loaded.has_soa() && !self.others_have_soa(dataset);
        let old_entries = match &kept {
            None => held_entries,
            Some(_) if is_kept => Some(new_entries),
            Some(kept) => Some(self.live_kept(dataset, kept, new_entries)),
        };
        let breaches = self.settings.rules.judge(&Judged {
            loaded,
            report: &loading.report,
            old_entries,
            loses_soa,
            servers: &servers,
            now_s,
        });
        let is_taken = is_unchanged || is_accepted && was_told;
        let broken = if is_taken { Vec::new() } else { in_words(&breaches) };
        if !broken.is_empty() {
            let text = broken.join("; ");
            // An access list that is half read opens what it closes, and what is no good end of a list must not end it. Who comes from
            // rbldnsd knows it so.
            let is_closed = !self.settings.rules.is_off
                && (breaches.iter().any(Breach::is_of_access) || dataset.kind == Kind::Retired);
            if (old_entries.is_some() || is_closed) && !is_kept {
                let words: Vec<&'static str> = breaches.iter().map(Breach::word).collect();
                self.status.count_failures(self.affected(dataset), &words);
                self.held.entry(dataset.clone()).or_default().lacks_only_soa = breaches == [Breach::LostSoa];
                return Err(Failure { word: REFUSED, text: format!("refused: {text}") });
            }
            let reason = if is_kept { "as before the restart" } else { "since there is nothing better" };
            warn!(dataset = %dataset, "served, {reason}, but a reload would refuse it: {text}");
        }
        for file in loading.lacks(dataset) {
            warn!(dataset = %dataset, "served without {}, which is gone, as was accepted", file.display());
        }
        let took = loading.took;
        let mut version = GoodVersion::new(loading, now_s)?;
        if is_kept {
            version.keeping = Keeping::Done;
        }
        let entry_count = version.entries;
        let held = self.held.entry(dataset.clone()).or_default();
        held.settle(took);
        let before = held.good.replace(version);
        held.failure = None;
        let given_back = before.filter(|_| is_unchanged).map_or(0, |before| before.entries.saturating_sub(entry_count));
        self.status.settle(dataset);
        self.status.loaded(self.zones_of(dataset), now_s);
        self.give_back(dataset, given_back);
        Ok(broken)
    }

    /// Says of how many entries that were over the memory is free, and counts them.
    fn give_back(&self, dataset: &DatasetSpec, count: usize) {
        if count > 0 {
            let entries = counted(count, "entry", "entries");
            let were = if count == 1 { "was over is" } else { "were over are" };
            info!(dataset = %dataset, "{entries} that {were} given back");
        }
        self.status.gave_back(self.zones_of(dataset), count as u64);
    }

    /// Deals with data that do not go live; true if the last good version does instead.
    fn complain(&mut self, dataset: &DatasetSpec, failure: &Failure) -> bool {
        let accept = self.how_to_accept(self.zones_of(dataset).next());
        let held = self.held.entry(dataset.clone()).or_default();
        if failure.word == CHANGED {
            // It will be quiet soon.
            held.note_changed();
            self.has_unquiet = true;
            if held.good.is_some() && !held.is_restless_for_long() {
                debug!(dataset = %dataset, "{}", failure.text);
                return false;
            }
        }
        let is_news = held.failure.as_ref() != Some(failure);
        held.failure = Some(failure.clone());
        let has_good = held.good.is_some();
        let is_gone = failure.word == MISSING && held.tried.contains(&None) && !dataset.kind.is_access();
        self.keep_after_all(dataset);
        let text = self.trouble_text(dataset, failure);
        self.status.trouble(dataset, self.affected(dataset), &text);
        if failure.word != REFUSED {
            self.status.count_failures(self.affected(dataset), &[failure.word]);
        }
        if !is_news {
            debug!(dataset = %dataset, "still: {text}");
            return false;
        }
        let may_be_accepted = failure.word == REFUSED || is_gone && self.zones_of(dataset).next().is_some();
        let accept = if may_be_accepted { format!(", or {accept}") } else { String::new() };
        if has_good {
            error!(dataset = %dataset, "{text}; the data loaded before are served on until it is mended{accept}");
            return false;
        }
        if self.restore(dataset, &accept) {
            return true;
        }
        if self.settings.is_all_or_none {
            error!(dataset = %dataset, "{text}");
            return false;
        }
        let meanwhile = match self.is_dispensable(dataset) {
            _ if dataset.kind == Kind::Retired => "its zones are served as if it was not there",
            false => "its zones answer SERVFAIL",
            true if text != failure.text => "so it stays",
            true if dataset.kind.is_access() => "its zones are served as before, and it is not in force,",
            true => "its zones are served without it",
        };
        error!(dataset = %dataset, "{text}; {meanwhile} until it loads{accept}");
        false
    }

    /// Why what is new of a dataset does not go live, and what that leads to at the next start if it is not mended.
    fn trouble_text(&self, dataset: &DatasetSpec, failure: &Failure) -> String {
        let text = &failure.text;
        if self.will_close(dataset, failure) {
            return format!("{text}; it is not in force, and after a restart its zones would answer SERVFAIL");
        }
        match self.held.get(dataset).and_then(|held| held.good.as_ref()).map(|good| &good.keeping) {
            Some(Keeping::Failed(why)) => format!("{text}; what is served is not kept for the next start: {why}"),
            _ => text.clone(),
        }
    }

    /// Whether a new access list that cannot be taken is not in force beside zones that are served, which will be closed by it when
    /// the server starts anew.
    fn will_close(&self, dataset: &DatasetSpec, failure: &Failure) -> bool {
        let is_taken_then = self.settings.rules.is_off && failure.word == REFUSED;
        let has_good = || self.held.get(dataset).is_some_and(|held| held.good.is_some());
        let is_kept = || self.settings.kept.as_ref().is_some_and(|kept| kept.find(dataset).is_some());
        dataset.kind.is_access() && !is_taken_then && !has_good() && !is_kept() && self.is_dispensable(dataset)
    }

    /// Whether all zones of a dataset are served, with it or without.
    fn is_dispensable(&self, dataset: &DatasetSpec) -> bool {
        let served = self.cell.load();
        self.affected(dataset).all(|apex| served.snapshot.zone(apex).is_some_and(|zone| zone.content.is_some()))
    }

    fn zones_of<'a>(&'a self, dataset: &DatasetSpec) -> impl Iterator<Item = &'a Name> + use<'a> {
        self.specs_of(dataset).filter_map(|spec| spec.zone.as_ref())
    }

    /// The zones that are not as their files say without a dataset; an access list for all zones is of each.
    fn affected(&self, dataset: &DatasetSpec) -> impl Iterator<Item = &Name> {
        let is_for_all = self.specs_of(dataset).any(|spec| spec.zone.is_none());
        let all = if is_for_all { apexes(&self.specs) } else { Vec::new() };
        self.zones_of(dataset).chain(all)
    }

    fn how_to_accept(&self, zone: Option<&Name>) -> String {
        let command = &self.settings.accept_command;
        if command.is_empty() {
            return "until the server restarts".to_owned();
        }
        let zone = zone.map_or_else(|| ALL_ZONES.to_owned(), Name::to_string);
        format!("until you accept it: {command} {zone}")
    }
}

/// Gives back the memory of what was loaded and does not go live: no old snapshot is freed after that.
fn give_back_refused(report: &ReloadReport) {
    if report.has_failures() {
        memory::give_back();
    }
}

/// Whether what is of a zone, or of all, is accepted.
fn is_of(zone: Option<&Name>, accepted: &[Name]) -> bool {
    accepted.iter().any(|accepted| zone.map_or(accepted.is_root(), |zone| zone == accepted))
}

/// In two groups, if there are both: a small file does not wait for a large one.
fn small_first(datasets: Vec<DatasetSpec>) -> VecDeque<Vec<DatasetSpec>> {
    let (small, large) = datasets.into_iter().partition::<Vec<_>, _>(is_small);
    [small, large].into_iter().filter(|group| !group.is_empty()).collect()
}

fn is_small(dataset: &DatasetSpec) -> bool {
    size(dataset) <= SMALL_MAX
}

/// What access lists for all zones are called, in names of files and where they are accepted; to the reloader they are of the root.
pub const ALL_ZONES: &str = "@";

/// Datasets of more octets than that are loaded after all others.
const SMALL_MAX: u64 = 1 << 20;
