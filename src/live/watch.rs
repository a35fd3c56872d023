//! When to look again: the kernel says that a folder changed, an operator asks, or some time has passed.
//!
//! The kernel's word is quick and not to be relied upon alone (network file systems are silent, queues overflow, folders
//! appear later), so the clock is the net below it. Changes come in bursts; a moment of quiet is waited for, so that a copy
//! in progress is read once and whole; and each file must have been quiet for a moment of its own before it is loaded, unless
//! an operator says that it is ready.

use std::{
    collections::{HashSet, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::sync::oneshot;
use tracing::{debug, error, warn};

use super::{
    clock,
    held::QUIET,
    reloader::{Occasion, ReloadReport, Reloader},
    watched_folders::WatchedFolders,
    zones::DatasetSpec,
};
use crate::{turns, wire::name::Name};

/// A burst is looked at after so long even if it goes on.
const SETTLE_MAX: Duration = Duration::from_secs(1);
/// How often old snapshots are looked after while workers may still read them.
const RETIRE: Duration = Duration::from_millis(300);
/// After a panic, so that the log says no more than once a second what it was.
const PANIC_PAUSE: Duration = Duration::from_secs(1);
/// After so long at the end no other dataset is kept: whoever waits for the end need not wait for gigabytes, and what is not kept
/// is judged anew at the next start, as after a crash.
const KEEP_AT_END: Duration = Duration::from_secs(5);

/// What the reloading thread is told.
#[derive(Debug)]
pub enum Trigger {
    /// Something happened to a file.
    Changed,
    /// Look now.
    Now {
        /// Take what was refused of these zones after all.
        accept: Vec<Name>,
        /// Whom to tell how many datasets were read.
        done: Option<oneshot::Sender<usize>>,
    },
    /// End.
    Stop,
}

/// The reloading thread.
#[derive(Debug)]
pub struct Watch {
    sender: Sender<Trigger>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts the thread that reloads from now on; every `interval` it looks by itself.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(reloader: Reloader, interval: Option<Duration>) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let watcher = interval.is_some().then(|| FolderWatcher::start(&sender)).flatten();
        let thread = thread::Builder::new().name("reloader".to_owned()).spawn(move || {
            turns::give_way();
            let mut looker = Looker { reloader, watcher, beside: Beside::default(), looked: Instant::now() };
            while catch_unwind(AssertUnwindSafe(|| looker.run(&receiver, interval))).is_err() {
                error!("the reloader panicked and begins anew; please report this");
                looker.reloader.begin_anew();
                match receiver.recv_timeout(PANIC_PAUSE) {
                    Ok(Trigger::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                    Ok(trigger) => looker.beside.left.push_back(trigger),
                    Err(RecvTimeoutError::Timeout) => {}
                }
            }
            looker.end();
        })?;
        Ok(Self { sender, thread: Some(thread) })
    }

    /// A way to tell the thread something.
    pub fn sender(&self) -> Sender<Trigger> {
        self.sender.clone()
    }

    /// Tells the thread to end after the reload in hand, and after a few seconds in which what went live is kept.
    pub fn tell_end(&self) {
        let told = self.sender.send(Trigger::Stop);
        debug_assert!(told.is_ok() || self.has_ended());
    }

    /// Whether the thread has ended.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until it has.
    pub fn stop(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        self.tell_end();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            warn!("the reloading thread had panicked");
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Who looks, and who says where to be told.
struct Looker {
    reloader: Reloader,
    watcher: Option<FolderWatcher>,
    beside: Beside,
    /// When it last looked.
    looked: Instant,
}

/// What came while a large file was read.
#[derive(Default)]
struct Beside {
    /// It is still to be done, for what was being read was left out.
    left: VecDeque<Trigger>,
    /// Datasets that were loaded by command.
    loaded: HashSet<DatasetSpec>,
}

impl Looker {
    fn run(&mut self, triggers: &Receiver<Trigger>, interval: Option<Duration>) {
        const NEVER: Duration = Duration::from_secs(3600);
        if self.follow() {
            // Something may have happened since the files were loaded.
            self.look(Occasion::Change, triggers);
        }
        let mut next_look = Instant::now() + interval.unwrap_or(NEVER);
        let mut was_due = false;
        loop {
            let mut wait = next_look.saturating_duration_since(Instant::now());
            // Not twice in a row: what is kept between takes longer than the interval where much is, and nothing that is asked
            // would be done until all of it was.
            let is_due = wait.is_zero() && !was_due && !self.beside.is_to_end();
            was_due = is_due;
            if self.reloader.has_unquiet() {
                wait = wait.min(QUIET);
            } else if self.reloader.has_retired() {
                wait = wait.min(RETIRE);
            }
            if self.reloader.has_unkept() {
                wait = Duration::ZERO;
            }
            // Where something happens all the time, what is due comes first.
            let trigger = if is_due {
                Err(RecvTimeoutError::Timeout)
            } else {
                self.beside.left.pop_front().map_or_else(|| triggers.recv_timeout(wait), Ok)
            };
            match trigger {
                Ok(Trigger::Changed) => match settle(triggers) {
                    Some(Trigger::Stop) => break,
                    Some(Trigger::Now { accept, done }) => self.obey(&accept, done, triggers),
                    Some(Trigger::Changed) | None => self.look(Occasion::Change, triggers),
                },
                Ok(Trigger::Now { accept, done }) => self.obey(&accept, done, triggers),
                Ok(Trigger::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    self.reloader.free_retired();
                    if is_due {
                        if interval.is_some() {
                            self.look(Occasion::Interval, triggers);
                        }
                        next_look = Instant::now() + interval.unwrap_or(NEVER);
                    } else if self.has_become_quiet() || self.reloader.has_unquiet() && !self.reloader.has_unkept() {
                        self.look(Occasion::Change, triggers);
                    }
                }
            }
            // One each time: a first start keeps thousands, and neither do changes wait for that, nor is it put off for ever where
            // there are always some.
            let Self { reloader, beside, .. } = self;
            reloader.keep_next(&mut |reloader| beside.look(reloader, triggers));
        }
    }

    /// Keeps what is not kept yet, as far as the time allows.
    fn end(&mut self) {
        let ends_at = Instant::now() + KEEP_AT_END;
        while Instant::now() < ends_at && self.reloader.keep_next(&mut |_| {}) {}
        if self.reloader.has_unkept() {
            warn!("some of what went live is not kept for the next start, for want of time");
        }
    }

    fn obey(&mut self, accept: &[Name], done: Option<oneshot::Sender<usize>>, triggers: &Receiver<Trigger>) {
        let report = self.look_once(Occasion::Command(accept), triggers);
        // Whoever is told nothing, as after a signal, leaves nothing to be told to the next.
        let mut loaded = std::mem::take(&mut self.beside.loaded);
        loaded.extend(report.datasets.into_iter().map(|report| report.dataset));
        if let Some(done) = done {
            let _may_be_gone = done.send(loaded.len());
        }
        if self.follow() {
            self.look(Occasion::Change, triggers);
        }
    }

    fn look(&mut self, occasion: Occasion<'_>, triggers: &Receiver<Trigger>) {
        /// Whoever switches links faster than that is seen at the next interval.
        const MOVES_MAX: usize = 4;
        self.look_once(occasion, triggers);
        for _ in 0..MOVES_MAX {
            if !self.follow() {
                return;
            }
            self.look_once(Occasion::Change, triggers);
        }
    }

    fn look_once(&mut self, occasion: Occasion<'_>, triggers: &Receiver<Trigger>) -> ReloadReport {
        let Self { reloader, beside, .. } = self;
        let moment = (clock::now_s(), Instant::now());
        let report = reloader.look_at(moment, occasion, &mut |reloader| beside.look(reloader, triggers));
        self.looked = Instant::now();
        report
    }

    /// Whether files that were not quiet may be so by now.
    fn has_become_quiet(&self) -> bool {
        self.reloader.has_unquiet() && self.looked.elapsed() >= QUIET
    }

    /// Watches where the files are now; true if that is elsewhere than before: what happened there before it was watched,
    /// nobody told.
    fn follow(&mut self) -> bool {
        let folders = self.reloader.watched_folders();
        self.watcher.as_mut().is_some_and(|watcher| watcher.follow(folders))
    }
}

impl Beside {
    /// Looks what came while a large file is read or copied, and has others that changed loaded beside it.
    fn look(&mut self, reloader: &mut Reloader, triggers: &Receiver<Trigger>) {
        let mut occasion = reloader.has_unquiet().then_some(Occasion::Change);
        while !self.is_to_end() {
            let Ok(trigger) = triggers.try_recv() else { break };
            if matches!(trigger, Trigger::Stop) {
                // Who waits for what is left is told by that it is dropped.
                self.left.clear();
                self.left.push_back(trigger);
                break;
            }
            let is_change = matches!(trigger, Trigger::Changed);
            if let Trigger::Now { .. } = trigger {
                occasion = Some(Occasion::Command(&[]));
            } else if is_change {
                occasion = occasion.or(Some(Occasion::Change));
            }
            if !is_change || !self.left.iter().any(|other| matches!(other, Trigger::Changed)) {
                self.left.push_back(trigger);
            }
        }
        if let Some(occasion) = occasion.filter(|_| !self.is_to_end()) {
            let report = reloader.look_beside(clock::now_s(), occasion);
            if matches!(occasion, Occasion::Command(_)) {
                self.loaded.extend(report.datasets.into_iter().map(|report| report.dataset));
            }
        }
    }

    /// Whether nothing else is to be begun.
    fn is_to_end(&self) -> bool {
        matches!(self.left.front(), Some(Trigger::Stop))
    }
}

/// Waits for quiet; what ends the wait otherwise is to be done instead.
fn settle(triggers: &Receiver<Trigger>) -> Option<Trigger> {
    let deadline = Instant::now() + SETTLE_MAX;
    while Instant::now() < deadline {
        match triggers.recv_timeout(QUIET) {
            Ok(Trigger::Changed) => {}
            Ok(trigger) => return Some(trigger),
            Err(RecvTimeoutError::Disconnected) => return Some(Trigger::Stop),
            Err(RecvTimeoutError::Timeout) => return None,
        }
    }
    None
}

/// The kernel's word that something changed in a folder.
struct FolderWatcher {
    watcher: RecommendedWatcher,
    folders: WatchedFolders,
}

impl FolderWatcher {
    /// Has the kernel tell of changes; without that the clock must do.
    fn start(sender: &Sender<Trigger>) -> Option<Self> {
        let sender = sender.clone();
        let handler = move |event: notify::Result<notify::Event>| {
            let is_change = match &event {
                // Opening and reading are no changes, and we do both ourselves.
                Ok(event) => {
                    !matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write))
                }
                Err(_) => true,
            };
            if is_change && sender.send(Trigger::Changed).is_err() {
                debug!("a change after the reloader has ended");
            }
        };
        match notify::recommended_watcher(handler) {
            Ok(watcher) => Some(Self { watcher, folders: WatchedFolders::new() }),
            Err(error) => {
                warn!("cannot watch files: {error}; they are looked at every check interval only");
                None
            }
        }
    }

    /// Watches these folders and no others; true if they are not those of before.
    fn follow(&mut self, folders: WatchedFolders) -> bool {
        if folders == self.folders {
            return false;
        }
        for (gone, id) in &self.folders {
            if folders.get(gone) != Some(id)
                && let Err(error) = self.watcher.unwatch(gone)
            {
                // The kernel lets go by itself of a folder that is removed.
                debug!(folder = %gone.display(), "not watched any more: {error}");
            }
        }
        for (folder, id) in &folders {
            if self.folders.get(folder) != Some(id)
                && let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive)
            {
                warn!(folder = %folder.display(), "cannot watch: {error}; it is looked at every check interval only");
            }
        }
        self.folders = folders;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        live::{
            kept::Kept,
            reloader::Settings,
            served::Cell,
            zones::{ZoneSource, ZoneSpec},
        },
        load::Options,
    };

    fn looker(settings: Settings) -> Looker {
        let reloader = Reloader::new(settings, Cell::default());
        Looker { reloader, watcher: None, beside: Beside::default(), looked: Instant::now() }
    }

    #[test]
    fn what_is_loaded_is_told_once_and_to_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("hosts");
        std::fs::write(&file, "127.0.0.2\n").expect("written");
        let spec = ZoneSpec::parse(&format!("bl.example:ip4set:{}", file.display())).expect("a specification");
        let dataset = spec.dataset.clone();
        let mut looker = looker(Settings::new(ZoneSource::Specs(vec![spec]), Options::default()));
        let (_sender, triggers) = mpsc::channel();
        // What a signal had loaded.
        looker.beside.loaded.insert(dataset.clone());
        looker.obey(&[], None, &triggers);
        // It is loaded beside another, and then again.
        std::fs::write(&file, "127.0.0.2\n127.0.0.3\n").expect("written");
        looker.beside.loaded.insert(dataset);
        for count in [1, 0] {
            let (done, mut told) = oneshot::channel();
            looker.obey(&[], Some(done), &triggers);
            assert_eq!(told.try_recv(), Ok(count));
        }
    }

    #[test]
    fn what_is_asked_is_done_though_a_look_is_always_due() {
        let mut looker = looker(Settings::new(ZoneSource::Specs(Vec::new()), Options::default()));
        let (sender, triggers) = mpsc::channel();
        sender.send(Trigger::Stop).expect("awaited");
        let (ended, has_ended) = mpsc::channel();
        thread::spawn(move || {
            // As where each copy that is kept takes longer than the interval.
            looker.run(&triggers, Some(Duration::ZERO));
            ended.send(()).expect("awaited");
        });
        has_ended.recv_timeout(Duration::from_secs(60)).expect("it is told to end, and does");
    }

    #[test]
    fn where_something_happens_all_the_time_the_rest_is_done_as_well() {
        let folder = tempfile::tempdir().expect("a folder");
        let spec = |zone: &str, file: &str, octets: &[u8]| {
            let file = folder.path().join(file);
            std::fs::write(&file, octets).expect("written");
            ZoneSpec::parse(&format!("{zone}:ip4set:{}", file.display())).expect("a specification")
        };
        let specs = vec![spec("bl.example", "hosts", b"127.0.0.2\n"), spec("no.example", "packed.gz", b"\x1f\x8b")];
        let kept = Some(Kept::new(folder.path(), 100).expect("made"));
        let mut looker = looker(Settings { kept, ..Settings::new(ZoneSource::Specs(specs), Options::default()) });
        let failed = |looker: &Looker| looker.reloader.status().read().failed_loads.values().sum::<u64>();
        looker.reloader.reload(clock::now_s());
        assert!(looker.reloader.has_unkept() && failed(&looker) == 1);
        let (_sender, triggers) = mpsc::channel();
        // As many as there always are.
        looker.beside.left.extend([Trigger::Changed, Trigger::Changed, Trigger::Stop]);
        looker.run(&triggers, Some(Duration::from_millis(1)));
        assert!(!looker.reloader.has_unkept(), "what went live is kept");
        // Only the interval has it tried again.
        assert!(failed(&looker) > 1);
    }
}
