//! What the reloader keeps of what went live, and how it falls back on that: at a start with files that are broken or gone, and
//! after a clock that was wrong.

use std::{collections::HashSet, sync::Arc};

use tracing::{error, warn};

use super::{ReloadReport, Reloader, SMALL_MAX, Settings};
use crate::{
    live::{
        clock,
        held::{GoodVersion, Held, Keeping},
        kept::{Count, KeptVersion},
        loading::{
            Failure, Files, Loading, MISSING, REFUSED, Task, is_gone, load_all, load_one, octets, stamps, wait_for,
        },
        memory,
        opened::{Stamp, open_again},
        zones::{DatasetSpec, ZoneSource},
    },
    load::{Options, counted},
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

    /// How many entries of what is kept are not over, as far as that matters for so many new ones.
    pub(super) fn live_kept(&self, dataset: &DatasetSpec, kept: &KeptVersion, new: usize) -> usize {
        let Settings { rules, options, .. } = &self.settings;
        // As long as the clock runs on they can only become fewer, so where that many are not missed, fewer are not.
        let Count { entries, loaded_s, .. } = kept.count;
        let are_at_most_those = loaded_s <= options.now_s;
        let are_few = entries < rules.floor_entries;
        if are_at_most_those && new > 0 && (are_few || new as f64 >= entries as f64 * rules.min_share) {
            return entries;
        }
        let loading = load_one(&Task::new(dataset, kept.files.clone()), options, &self.progress);
        loading.result.map_or(entries, |loaded| loaded.entries())
    }

    /// Has all of what is good kept anew if somebody removed what was, once there is a place for it.
    pub(super) fn keep_what_was_removed(&mut self) {
        let Some(kept) = &self.settings.kept else { return };
        if !kept.is_gone() {
            self.complained.remove(kept.folder());
            return;
        }
        let good = self.held.iter().filter(|(_, held)| held.good.is_some()).map(|(dataset, _)| dataset);
        let unkept: HashSet<&DatasetSpec> = self.unkept.iter().collect();
        // What is too large was not there before, and would be tried, and told of, at every look.
        let may_be = |dataset: &&DatasetSpec| !unkept.contains(dataset) && kept.has_room_for(dataset);
        let lost: Vec<_> = good.filter(may_be).cloned().collect();
        if lost.is_empty() {
            return;
        }
        let what = "the last good versions were removed from the state folder, and are";
        match kept.make_again() {
            Ok(()) => {
                warn!(datasets = lost.len(), "{what} kept anew");
                self.unkept.extend(lost);
            }
            Err(error) if self.complained.insert(kept.folder().to_owned()) => {
                warn!(datasets = lost.len(), "{what} not kept until there is one again: {error}");
            }
            Err(_) => {}
        }
    }

    /// Keeps one of the datasets that went live, for the next start; false if there is none left. Copying takes a while, so the
    /// others are left for the next time; `meanwhile` is called every now and then while a large one is copied.
    pub fn keep_next(&mut self, meanwhile: &mut dyn FnMut(&mut Self)) -> bool {
        let Some(dataset) = self.unkept.pop_front() else { return false };
        let Some(held) = self.held.get(&dataset) else { return true };
        let (Some(kept), Some(good)) = (self.settings.kept.clone(), held.good.as_ref()) else { return true };
        // What is never quiet is not copied every time: once it is quiet, it is loaded and kept, and what does not go live after it
        // has it kept too.
        if held.leeway.is_restless() && held.failure.is_none() && stamps(&dataset) != good.stamps {
            return true;
        }
        let (stamps, options) = (good.stamps.clone(), self.settings.options.clone());
        let (open, was_kept) = match &good.keeping {
            Keeping::Due(open) => (open.clone(), false),
            keeping => (None, matches!(keeping, Keeping::Done)),
        };
        // The clock may have been set since then.
        let count = Count { entries: good.entries, has_soa: good.data.has_soa(), loaded_s: good.loaded_s };
        let size: u64 = stamps.iter().flatten().map(Stamp::size).sum();
        let save = || {
            let files = open.map_or_else(|| open_again(&dataset.files, &stamps, &options), Ok)?;
            kept.save(&dataset, &files, count)
        };
        let saved = if size <= SMALL_MAX { save() } else { wait_for(save, &mut || meanwhile(self)) };
        let keeping = match saved {
            Ok(()) => Keeping::Done,
            // Only whether anything more is to be told of it cannot be seen any more.
            Err(_) if was_kept && kept.find(&dataset).is_some_and(|kept| kept.may_be_of(&stamps)) => Keeping::Done,
            Err(error) => {
                warn!(dataset = %dataset, "its files are not kept for the next start: {error}");
                Keeping::Failed(error.to_string())
            }
        };
        self.note_keeping(&dataset, &stamps, keeping);
        true
    }

    /// Takes note of what became of keeping a version, unless another one is served by now.
    fn note_keeping(&mut self, dataset: &DatasetSpec, stamps: &[Option<Stamp>], keeping: Keeping) {
        let Some(held) = self.held.get_mut(dataset) else { return };
        let Some(good) = held.good.as_mut().filter(|good| good.stamps == stamps) else { return };
        good.keeping = keeping;
        // What did not go live meanwhile is all that a start would find.
        if let Some(failure) = held.failure.clone() {
            self.status.trouble(dataset, self.affected(dataset), &self.trouble_text(dataset, &failure));
        }
    }

    /// Has what is served of a dataset kept if that was put off, since what came after it does not go live.
    pub(super) fn keep_after_all(&mut self, dataset: &DatasetSpec) {
        let good = self.held.get(dataset).and_then(|held| held.good.as_ref());
        let is_due = good.is_some_and(|good| matches!(good.keeping, Keeping::Due(_)));
        if is_due && !self.unkept.contains(dataset) {
            self.unkept.push_back(dataset.clone());
        }
    }

    /// Has files left open until they are kept, so that those are kept that were loaded, whatever has taken their place by then; but
    /// not too many at a time.
    pub(super) fn leave_open(&self, tasks: &mut [Task]) {
        /// Among the descriptors that the server leaves free for such.
        const OPEN_MAX: usize = 64;
        if self.settings.kept.is_none() {
            return;
        }
        let keeping = self.held.values().filter_map(|held| held.good.as_ref()).map(|good| &good.keeping);
        let open = |keeping: &Keeping| if let Keeping::Due(Some(files)) = keeping { files.len() } else { 0 };
        let mut room = OPEN_MAX.saturating_sub(keeping.map(open).sum());
        for task in tasks {
            task.stays_open = task.files.len() <= room;
            room -= if task.stays_open { task.files.len() } else { 0 };
        }
    }

    /// Whether something is to be kept.
    pub fn has_unkept(&self) -> bool {
        !self.unkept.is_empty()
    }

    /// Serves the last good version of a dataset that cannot be served from its files.
    pub(super) fn restore(&mut self, dataset: &DatasetSpec, or_accept: &str) -> bool {
        let Some(kept) = self.settings.kept.as_ref().and_then(|kept| kept.find(dataset)) else { return false };
        let loading = load_one(&Task::new(dataset, kept.files.clone()), &self.settings.options, &self.progress);
        if self.take_kept(dataset, loading).is_err() {
            return false;
        }
        let failure = self.held.get(dataset).and_then(|held| held.failure.as_ref());
        error!(
            dataset = %dataset,
            "{}; the last good version is served instead, kept at {} with {}, until it is mended{or_accept}",
            failure.map_or("", |failure| &failure.text),
            clock::date(kept.count.loaded_s),
            counted(kept.count.entries, "entry", "entries")
        );
        true
    }

    /// Loads from what is kept what is served and is due by the clock, where its files are gone or others that are not good have taken
    /// their place, and publishes it. What changes meanwhile is loaded beside it.
    pub(super) fn load_kept(
        &mut self,
        is_clock_set: bool,
        report: &mut ReloadReport,
        meanwhile: &mut dyn FnMut(&mut Self),
    ) {
        let due = self.due_kept(is_clock_set);
        self.busy.extend(due.iter().map(|task| task.dataset.clone()));
        let is_small = |task: &Task| octets(task.files.iter().flatten()) <= SMALL_MAX;
        let (small, large) = due.into_iter().partition::<Vec<_>, _>(is_small);
        for group in [small, large].into_iter().filter(|group| !group.is_empty()) {
            let (options, progress) = (self.settings.options.clone(), Arc::clone(&self.progress));
            let loadings = load_all(&group, &options, &progress, &mut || meanwhile(self));
            let mut has_changed = false;
            for (Task { dataset, .. }, loading) in group.iter().zip(loadings) {
                self.busy.remove(dataset);
                match self.take_kept(dataset, loading) {
                    Ok(()) => has_changed = true,
                    Err(failure) => self.complain_of_kept(dataset, failure),
                }
            }
            self.publish_if(has_changed, report);
        }
    }

    /// What is to be loaded from what is kept of it.
    fn due_kept(&self, is_clock_set: bool) -> Vec<Task> {
        let Some(store) = &self.settings.kept else { return Vec::new() };
        // What cannot be opened costs nothing to try; the rest may be read to its end each time.
        let may_load = |good: &GoodVersion| good.kept_failure.as_ref().is_none_or(|failure| failure.word == MISSING);
        let is_due =
            |good: &GoodVersion| is_clock_set || may_load(good) && good.is_to_be_swept(self.settings.options.now_s);
        let due = |(dataset, held): (&DatasetSpec, &Held)| {
            let is_replaced = || held.failure.is_some() || held.misses_any(&stamps(dataset));
            let good = held.good.as_ref().filter(|good| good.has_lifetimes && is_replaced() && is_due(good))?;
            let is_kept = matches!(good.keeping, Keeping::Done);
            let kept = store.find(dataset).filter(|kept| is_kept && kept.may_be_of(&good.stamps))?;
            Some(Task::new(dataset, kept.files))
        };
        self.held.iter().filter_map(due).collect()
    }

    /// Takes what was loaded from what is kept for the data of a dataset.
    fn take_kept(&mut self, dataset: &DatasetSpec, loading: Loading) -> Result<(), Failure> {
        let mut version = GoodVersion::new(loading, self.settings.options.now_s)?;
        version.keeping = Keeping::Done;
        let entries = version.entries;
        let before = self.held.entry(dataset.clone()).or_default().good.replace(version);
        self.give_back(dataset, before.map_or(0, |before| before.entries.saturating_sub(entries)));
        Ok(())
    }

    /// Says once why what is kept cannot be loaded.
    fn complain_of_kept(&mut self, dataset: &DatasetSpec, failure: Failure) {
        let Some(good) = self.held.get_mut(dataset).and_then(|held| held.good.as_mut()) else { return };
        if good.kept_failure.as_ref() != Some(&failure) {
            warn!(dataset = %dataset, "what is kept of it cannot be loaded, so it is served as it was: {}", failure.text);
            memory::give_back();
        }
        good.kept_failure = Some(failure);
    }
}

/// Whether what was loaded is what is kept.
pub(super) fn is_what_is_kept(kept: &KeptVersion, dataset: &DatasetSpec, loading: &Loading, options: &Options) -> bool {
    let open_again = || open_again(&dataset.files, &loading.stamps, options).ok();
    let files = || loading.open.clone().or_else(open_again);
    loading.result.is_ok() && kept.may_be_of(&loading.stamps) && files().is_some_and(|files| kept.is_of(&files))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        net::Ipv4Addr,
        os::unix::fs::PermissionsExt as _,
        path::{Path, PathBuf},
        sync::atomic::Ordering,
        time::Instant,
    };

    use super::*;
    use crate::live::{kept::Kept, reloader::Occasion, served::Cell, zones::ZoneSpec};

    const NOW_S: u64 = 1_800_000_000;

    /// So many lines of addresses, with something behind each.
    fn lines(count: u32, behind: &str) -> String {
        let line = |number| format!("{}{behind}\n", Ipv4Addr::from(0x0a00_0001 + number));
        (0..count).map(line).collect()
    }

    /// Starts with a file, and keeps what there is to be kept. Returns how many octets were read, and whether the file is served.
    fn start(folder: &Path, text: &str, now_s: u64) -> (usize, bool) {
        start_and_set(folder, text, now_s, now_s)
    }

    /// The same where the clock is set before it is kept.
    fn start_and_set(folder: &Path, text: &str, now_s: u64, set_s: u64) -> (usize, bool) {
        let (mut reloader, is_served) = running(folder, text, now_s);
        let read = reloader.progress().read_bytes.load(Ordering::Relaxed);
        reloader.settings.options.now_s = set_s;
        while reloader.keep_next(&mut |_| {}) {}
        (read as usize, is_served)
    }

    /// A server that has just started with a file, and whether that is served.
    fn running(folder: &Path, text: &str, now_s: u64) -> (Reloader, bool) {
        let file = folder.join("hosts");
        if fs::read_to_string(&file).ok().as_deref() != Some(text) {
            fs::write(&file, text).expect("written");
        }
        let spec = ZoneSpec::parse(&format!("bl.example:ip4set:{}", file.display())).expect("a specification");
        let kept = Kept::new(folder, u64::MAX).expect("a state folder");
        let settings = Settings::new(ZoneSource::Specs(vec![spec]), Options::default());
        let mut reloader = Reloader::new(Settings { kept: Some(kept), ..settings }, Cell::default());
        let report = reloader.reload(now_s);
        (reloader, !report.has_failures())
    }

    #[test]
    fn what_is_kept_is_read_only_where_that_decides() {
        let folder = tempfile::tempdir().expect("a folder");
        let start = |text: &str, now_s| start(folder.path(), text, now_s);
        let (whole, changed) = (lines(4_000, ""), lines(2_000, " :3:"));
        assert_eq!(start(&whole, NOW_S), (whole.len(), true), "nothing is kept");
        assert_eq!(start(&whole, NOW_S), (whole.len(), true), "the file is what is kept");
        assert_eq!(start(&changed, NOW_S), (changed.len(), true), "enough is left");
        let little = lines(999, "");
        let (read, is_served) = start(&little, NOW_S);
        assert!(!is_served && read > little.len() + changed.len(), "{read}");
    }

    /// What is over when it is kept may not be over any more when the clock is right again.
    #[test]
    fn what_was_over_by_a_clock_that_was_ahead_is_missed() {
        let folder = tempfile::tempdir().expect("a folder");
        let start = |text: &str, now_s| start(folder.path(), text, now_s);
        let whole = lines(2_000, &format!(" @ until={}", NOW_S + 60)) + &lines(1, "");
        assert!(start(&whole, NOW_S + 3_600).1, "one is left");
        assert!(!start(&lines(10, ""), NOW_S).1, "2,000 are missed");
        assert!(start(&lines(10, ""), NOW_S + 3_600).1, "only one is missed");
    }

    #[test]
    fn what_is_too_large_is_not_missed_when_what_is_kept_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let spec = |file: &str, count: u32| {
            let path = folder.path().join(file);
            fs::write(&path, lines(count, "")).expect("written");
            ZoneSpec::parse(&format!("{file}.example:ip4set:{}", path.display())).expect("a specification")
        };
        let specs = vec![spec("small", 1), spec("large", 100)];
        let kept = Some(Kept::new(folder.path(), 100).expect("a state folder"));
        let settings = Settings::new(ZoneSource::Specs(specs), Options::default());
        let mut reloader = Reloader::new(Settings { kept, ..settings }, Cell::default());
        reloader.reload(NOW_S);
        while reloader.keep_next(&mut |_| {}) {}
        fs::remove_dir_all(folder.path().join("good")).expect("removed");
        reloader.reload(NOW_S);
        let unkept: Vec<_> = reloader.unkept.iter().map(|dataset| &dataset.files[0]).collect();
        assert_eq!(unkept, [&folder.path().join("small")]);
    }

    /// A server whose file is gone, of which all is kept and nearly all is over a second later; and the copy.
    fn with_file_gone(folder: &Path, count: u32) -> (Reloader, PathBuf) {
        let whole = lines(count, &format!(" @ until={}", NOW_S + 1)) + &lines(1, "");
        let (mut reloader, _) = running(folder, &whole, NOW_S);
        while reloader.keep_next(&mut |_| {}) {}
        fs::remove_file(folder.join("hosts")).expect("removed");
        let kept = reloader.settings.kept.as_ref().and_then(|kept| kept.find(&reloader.specs[0].dataset));
        let copy = kept.expect("a version").files[0].clone().expect("a file");
        (reloader, copy)
    }

    /// How many entries are served, after a look at an interval that is over at that second.
    fn entries_at(reloader: &mut Reloader, at_s: u64) -> usize {
        reloader.look_at((at_s, Instant::now()), Occasion::Interval, &mut |_| {});
        entries(reloader)
    }

    fn entries(reloader: &Reloader) -> usize {
        let served = reloader.cell.load();
        let contents = served.snapshot.zones().iter().filter_map(|zone| zone.content.as_ref());
        contents.flat_map(|content| content.datasets()).map(|dataset| dataset.len()).sum()
    }

    /// What is over stays in memory then, and what is not over is served on.
    #[test]
    fn what_cannot_be_swept_is_served_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut reloader, copy) = with_file_gone(folder.path(), 12_000);
        let aside = copy.with_extension("gone");
        fs::rename(&copy, &aside).expect("renamed");
        assert_eq!(entries_at(&mut reloader, NOW_S + 1), 12_001);
        fs::rename(&aside, &copy).expect("renamed");
        assert_eq!(entries_at(&mut reloader, NOW_S + 2), 1);
    }

    #[test]
    fn what_is_kept_and_cannot_be_read_is_tried_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut reloader, copy) = with_file_gone(folder.path(), 12_000);
        let (whole, modified) = (fs::read(&copy), fs::metadata(&copy).and_then(|copy| copy.modified()));
        let (whole, modified) = (whole.expect("readable"), modified.expect("a time"));
        let write = |octets: &[u8]| {
            fs::write(&copy, octets).expect("written");
            fs::File::open(&copy).and_then(|copy| copy.set_modified(modified)).expect("set");
        };
        let mut read_at = |at_s| {
            reloader.progress.read_bytes.store(0, Ordering::Relaxed);
            let entries = entries_at(&mut reloader, at_s);
            (entries, reloader.progress.read_bytes.load(Ordering::Relaxed) as usize)
        };
        // As if it was compressed, by the first octets.
        write(&[b"\x1f\x8b", &whole[2..]].concat());
        let (entries, read) = read_at(NOW_S + 1);
        assert!(entries == 12_001 && read > 0, "{entries} {read}");
        assert_eq!(read_at(NOW_S + 2), (12_001, 0));
        write(&whole);
        assert_eq!(read_at(NOW_S + 86_400), (1, whole.len()), "the clock was set");
    }

    #[test]
    fn what_is_kept_and_may_be_opened_again_is_swept() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("it is ours");
        // Root may open any file, and is somebody else on this thread.
        nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65_534));
        let (mut reloader, copy) = with_file_gone(folder.path(), 12_000);
        for (mode, left, at_s) in [(0, 12_001, NOW_S + 1), (0o600, 1, NOW_S + 2)] {
            fs::set_permissions(&copy, Permissions::from_mode(mode)).expect("it is ours");
            assert_eq!(entries_at(&mut reloader, at_s), left);
        }
    }

    /// Writes a file anew under its name, with the time that all have.
    fn replace(file: &Path, text: &str) {
        let aside = file.with_extension("aside");
        fs::write(&aside, text).expect("written");
        let opened = fs::File::options().write(true).open(&aside).expect("a file");
        opened.set_modified(clock::time(NOW_S - 1)).expect("set");
        fs::rename(aside, file).expect("renamed");
    }

    #[test]
    fn what_is_swept_is_what_was_served_last() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("hosts");
        let list = |value: u8| format!(":{value}:\n") + &lines(12_000, &format!(" @ until={}", NOW_S + 1));
        replace(&file, &(list(2) + "192.0.2.1\n"));
        let (mut reloader, _) = running(folder.path(), &(list(2) + "192.0.2.1\n"), NOW_S);
        while reloader.keep_next(&mut |_| {}) {}
        replace(&file, &(list(3) + "192.0.2.9\n"));
        reloader.reload(NOW_S);
        while reloader.keep_next(&mut |_| {}) {}
        fs::remove_file(&file).expect("removed");
        assert_eq!(entries_at(&mut reloader, NOW_S + 1), 1);
        let kept = reloader.settings.kept.as_ref().and_then(|kept| kept.find(&reloader.specs[0].dataset));
        let copy = kept.expect("a version").files[0].clone().expect("a file");
        assert!(fs::read_to_string(copy).expect("readable").ends_with("192.0.2.9\n"));
    }

    /// Written to in place, it is nowhere any more.
    #[test]
    fn what_is_served_and_cannot_be_kept_is_told_with_what_is_in_trouble() {
        for is_tried_first in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let (mut reloader, _) = running(folder.path(), &lines(10, ""), NOW_S);
            fs::write(folder.path().join("hosts"), "127.0.0.1\n").expect("written");
            let keep = |reloader: &mut Reloader| while reloader.keep_next(&mut |_| {}) {};
            if is_tried_first {
                keep(&mut reloader);
            }
            assert!(reloader.reload(NOW_S).has_failures());
            keep(&mut reloader);
            let troubles = reloader.status().read().troubles.clone();
            let text = &troubles.values().next().expect("it is refused").text;
            assert!(
                text.ends_with("; what is served is not kept for the next start: they have changed again"),
                "{text}"
            );
            fs::write(folder.path().join("hosts"), lines(11, "")).expect("written");
            reloader.reload(NOW_S);
            keep(&mut reloader);
            assert!(reloader.status().read().troubles.is_empty());
        }
    }

    /// Whatever else is to become of the dataset itself waits until that is read.
    #[test]
    fn while_what_is_kept_is_read_a_small_file_goes_live() {
        // Nobody is told what happens meanwhile if they are read in no time.
        for count in [100_000, 1_000_000] {
            let folder = tempfile::tempdir().expect("a folder");
            let write = |file: &str, count| fs::write(folder.path().join(file), lines(count, "")).expect("written");
            let (mut reloader, _) = with_file_gone(folder.path(), count);
            write("small", 1);
            let small = format!("z.example:ip4set:{}", folder.path().join("small").display());
            let ZoneSource::Specs(specs) = &mut reloader.settings.source else { panic!("it is told its files") };
            specs.push(ZoneSpec::parse(&small).expect("a specification"));
            reloader.reload(NOW_S);
            assert_eq!(entries(&reloader), count as usize + 1 + 1);
            let mut beside = None;
            reloader.look_at((NOW_S + 1, Instant::now()), Occasion::Interval, &mut |reloader| {
                if beside.is_none() {
                    write("small", 2);
                    write("hosts", 3);
                    let loaded = reloader.look_beside(NOW_S + 1, Occasion::Command(&[])).datasets.len();
                    beside = Some((loaded, entries(reloader)));
                }
            });
            if let Some(beside) = beside {
                assert_eq!(beside, (1, count as usize + 1 + 2));
                assert_eq!(entries(&reloader), 1 + 2);
                reloader.reload(NOW_S + 2);
                assert_eq!(entries(&reloader), 3 + 2);
                return;
            }
        }
        panic!("they are read in no time");
    }

    /// By the clock of the moment in which it is kept they would not be over.
    #[test]
    fn what_is_kept_says_by_which_clock_it_was_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let whole = lines(2_000, &format!(" @ until={}", NOW_S + 60)) + &lines(1, "");
        assert!(start_and_set(folder.path(), &whole, NOW_S + 3_600, NOW_S).1, "one is left");
        assert!(!start(folder.path(), &lines(10, ""), NOW_S + 1).1, "2,000 are missed");
    }
}
