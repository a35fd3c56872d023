//! Loading datasets, several of them side by side, or one with all cores that are free.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use tracing::{debug, warn};

use super::{
    held::QUIET,
    opened::{Fate, Leeway, OpenFiles, Stamp, open_file},
    reading::{self, Manner},
    zones::DatasetSpec,
};
use crate::{
    load::{LoadError, Loaded, Options, Report, Severity},
    turns,
};

/// The stamps of a dataset's files; `None` where there is no file.
pub(super) fn stamps(dataset: &DatasetSpec) -> Vec<Option<Stamp>> {
    dataset.files.iter().map(|file| Stamp::read(file)).collect()
}

/// Whether there is no file, rather than one that cannot be seen.
pub(super) fn is_gone(path: &Path) -> bool {
    std::fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Whether all files of a dataset can be opened.
pub(super) fn can_be_opened(dataset: &DatasetSpec) -> bool {
    dataset.files.iter().all(|file| open_file(file).is_ok())
}

/// Octets of all files of a dataset.
pub(super) fn size(dataset: &DatasetSpec) -> u64 {
    octets(&dataset.files)
}

/// Octets of files that are there.
pub(super) fn octets<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> u64 {
    files.into_iter().filter_map(|file| Stamp::read(file)).map(|stamp| stamp.size()).sum()
}

/// How far loading has come, for a progress bar.
#[derive(Debug, Default)]
pub struct Progress {
    /// Octets of the files that are to be read.
    pub total_bytes: AtomicU64,
    /// Octets read so far, as they stand on disk.
    pub read_bytes: AtomicU64,
}

/// A dataset after it was tried.
#[derive(Debug)]
pub(super) struct Loading {
    /// Its files as they were when they were read.
    pub(super) stamps: Vec<Option<Stamp>>,
    /// The time of the newest of them.
    pub(super) newest_s: u64,
    pub(super) report: Report,
    pub(super) result: Result<Loaded, Failure>,
    /// The files, where they are to stay open.
    pub(super) open: Option<OpenFiles>,
    pub(super) took: Duration,
}

impl Loading {
    /// The files that it did without.
    pub(super) fn lacks<'a>(&self, dataset: &'a DatasetSpec) -> impl Iterator<Item = &'a Path> {
        let files = dataset.files.iter().zip(&self.stamps);
        files.filter(|(_, stamp)| stamp.is_none()).map(|(file, _)| file.as_path())
    }

    /// Logs what is wrong with the lines: the first faults of each sort, and how many there are.
    pub(super) fn log(&self, dataset: &DatasetSpec) {
        let report = &self.report;
        for remark in report.remarks().iter().filter(|remark| remark.fault.severity() == Severity::Warning) {
            warn!("{remark}");
        }
        if report.warnings() > 0 {
            warn!(dataset = %dataset, "{report}; `dnsbld check` shows them");
        }
    }
}

/// Why nothing was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// A word for metrics.
    pub(super) word: &'static str,
    /// What to do.
    pub(super) text: String,
}

/// The word of a failure that passes by itself.
pub(super) const CHANGED: &str = "changed";

/// The word of a failure that a file is not there or may not be opened.
pub(super) const MISSING: &str = "missing";

/// The word of failures that an operator may overrule.
pub(super) const REFUSED: &str = "refused";

/// The files that a dataset is read from, in the order of its own; `None` is one that it does without.
pub(super) type Files = Vec<Option<PathBuf>>;

/// What is to be loaded.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) dataset: DatasetSpec,
    pub(super) files: Files,
    pub(super) leeway: Leeway,
    /// Whether the files are left open, to be kept as they were loaded.
    pub(super) stays_open: bool,
    /// See [`Options::apex_len`].
    pub(super) apex_len: usize,
}

impl Task {
    /// Files that are as they are to be, which may stand elsewhere than the dataset's own.
    pub(super) fn new(dataset: &DatasetSpec, files: Files) -> Self {
        Self { dataset: dataset.clone(), files, leeway: Leeway::Nothing, stays_open: false, apex_len: 1 }
    }
}

/// Loads datasets side by side, as many as there are cores.
///
/// Every now and then while it waits for them, it calls `meanwhile`.
pub(super) fn load_all(
    tasks: &[Task],
    options: &Options,
    progress: &Arc<Progress>,
    meanwhile: &mut dyn FnMut(),
) -> Vec<Loading> {
    let sizes = tasks.iter().map(|task| octets(task.files.iter().flatten()));
    progress.read_bytes.store(0, Ordering::Relaxed);
    progress.total_bytes.store(sizes.sum(), Ordering::Relaxed);
    let cores = cores();
    let left = AtomicUsize::new(tasks.len());
    let load = |task: &Task| {
        let threads = cores / left.load(Ordering::Relaxed).max(1);
        let loading = load(task, options, progress, threads);
        left.fetch_sub(1, Ordering::Relaxed);
        loading
    };
    side_by_side(tasks, cores, load, meanwhile)
}

/// Does the same with all of these, on up to so many threads, and returns what comes of it in their order. Every now and then
/// until all is done, it calls `meanwhile`. A panic on one of the threads is a panic here, once the others have ended. Where the
/// system gives no thread, all is done on this one, and only then others are heard.
pub(super) fn side_by_side<T: Send, R: Send>(
    items: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator + Send>,
    threads: usize,
    work: impl Fn(T) -> R + Sync,
    meanwhile: &mut dyn FnMut(),
) -> Vec<R> {
    const WAIT: Duration = Duration::from_millis(50);
    let items = items.into_iter();
    let count = items.len();
    let next = Mutex::new(items.enumerate());
    let (sender, receiver) = mpsc::channel();
    let (started, mut done) = (Instant::now(), Vec::with_capacity(count));
    let work_off = |sender: &Sender<(usize, R)>| {
        loop {
            let Some((index, item)) = next.lock().unwrap_or_else(PoisonError::into_inner).next() else { break };
            sender.send((index, work(item))).expect("somebody waits");
        }
    };
    thread::scope(|scope| {
        let mut has_any = false;
        for _ in 0..threads.max(1).min(count) {
            let (sender, work_off) = (sender.clone(), &work_off);
            let thread = thread::Builder::new().spawn_scoped(scope, move || {
                turns::stand_aside();
                work_off(&sender);
            });
            has_any |= thread.is_ok();
        }
        if !has_any {
            work_off(&sender);
        }
        drop(sender);
        loop {
            match receiver.recv_timeout(WAIT) {
                Ok(one) => done.push(one),
                Err(RecvTimeoutError::Timeout) => {
                    turns::insist_if_starved(started);
                    meanwhile();
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Does something on a thread of its own, and calls `meanwhile` every now and then until it is done.
pub(super) fn wait_for<R: Send>(work: impl FnOnce() -> R + Send, meanwhile: &mut dyn FnMut()) -> R {
    side_by_side([work], 1, |work| work(), meanwhile).pop().expect("done, or it panicked")
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Loads one dataset.
pub(super) fn load_one(task: &Task, options: &Options, progress: &Arc<Progress>) -> Loading {
    load(task, options, progress, cores())
}

fn load(task: &Task, options: &Options, progress: &Arc<Progress>, threads: usize) -> Loading {
    let Task { dataset, files, leeway, stays_open, apex_len } = task;
    let options = &Options { apex_len: *apex_len, ..options.clone() };
    let started = Instant::now();
    let mut report = Report::keeping(options.told_max);
    let look = || files.iter().map(|file| Stamp::read(file.as_deref()?)).collect::<Vec<_>>();
    let mut stamps = look();
    let there: Vec<PathBuf> = files.iter().flatten().cloned().collect();
    let (label, mut opened) = (dataset.to_string(), Vec::new());
    let manner = Manner { options, progress, leeway, threads };
    let result = outcome(|| reading::read((dataset.kind, &label), &there, manner, &mut report, &mut opened));
    let were_all_there = stamps.iter().flatten().count() == there.len();
    let mut is_other = files.len() > 1 && look() != stamps;
    let to_open = stamps.iter_mut().zip(files).filter(|(_, file)| file.is_some());
    for ((stamp, _), file) in to_open.zip(&opened) {
        is_other |= stamp.replace(file.stamp) != Some(file.stamp);
    }
    if leeway.is_restless() {
        // Whoever writes to a file that took the place of another has had time to show it.
        thread::sleep(QUIET.saturating_sub(started.elapsed()));
    }
    let fates: Vec<Fate> = opened.iter().map(|file| file.fate()).collect();
    let has_grown = fates.contains(&Fate::Longer);
    // Whatever came of it: it is neither the old data nor the new. A file that was not there may have come meanwhile.
    let is_changed = fates.contains(&Fate::Changed) || has_grown && result.is_err();
    let is_other = is_other && *leeway == Leeway::Nothing && (result.is_ok() || were_all_there);
    let result = if is_changed || is_other {
        let text = "a file changed while it was read; write to another name and rename it when complete".to_owned();
        Err(Failure { word: CHANGED, text })
    } else {
        result
    };
    if has_grown && result.is_ok() {
        let so_far = "it is written to, and loaded as far as it was written when it was opened";
        if *leeway == Leeway::Longer {
            warn!(dataset = %dataset, "{so_far}");
        } else {
            debug!(dataset = %dataset, "{so_far}");
        }
    }
    let newest_s = opened.iter().map(|file| file.modified_s()).max().unwrap_or(0);
    let mut opened = opened.into_iter();
    let is_left_open = *stays_open && result.is_ok();
    let open = is_left_open.then(|| files.iter().map(|file| file.as_ref().and_then(|_| opened.next())).collect());
    Loading { stamps, newest_s, report, result, open, took: started.elapsed() }
}

/// What comes of reading files. A panic is a bug of ours and costs that dataset its new data, not the others theirs.
fn outcome(read: impl FnOnce() -> Result<Loaded, LoadError>) -> Result<Loaded, Failure> {
    let Ok(read) = catch_unwind(AssertUnwindSafe(read)) else {
        let text = "reading it panicked, whatever it holds; please report this".to_owned();
        return Err(Failure { word: "panic", text });
    };
    read.map_err(|error| Failure {
        word: match &error {
            LoadError::FromFuture { .. } => "future",
            LoadError::Unpack { .. } => "unpack",
            LoadError::Open { .. } => MISSING,
            _ => "unreadable",
        },
        text: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of two files, the first of them a pipe that is written to, and the second perhaps made, while they are read.
    fn read_beside(makes_second: bool) -> Result<Loaded, Failure> {
        let folder = tempfile::tempdir().expect("a folder");
        let [pipe, second] = ["pipe", "second"].map(|name| folder.path().join(name));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        if !makes_second {
            std::fs::write(&second, "192.0.2.2\n").expect("a file");
        }
        let dataset = DatasetSpec { kind: crate::zone::dataset::Kind::Ip4Set, files: vec![pipe, second] };
        let files: Files = dataset.files.iter().cloned().map(Some).collect();
        let options = Options { pipes: true, ..Options::default() };
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut writer = std::fs::File::options().write(true).open(&dataset.files[0]).expect("somebody reads");
                thread::sleep(Duration::from_millis(20));
                io::Write::write_all(&mut writer, b"192.0.2.1\n").expect("written");
                if makes_second {
                    std::fs::write(&dataset.files[1], "192.0.2.2\n").expect("a file");
                }
            });
            let task = Task::new(&dataset, files);
            load(&task, &options, &Arc::default(), 2).result
        })
    }

    #[test]
    fn a_pipe_is_read_whenever_it_is_written_to() {
        assert_eq!(read_beside(false).map(|loaded| loaded.entries()), Ok(2));
    }

    #[test]
    fn a_file_that_comes_while_others_are_read_is_read_again() {
        assert_eq!(read_beside(true).expect_err("half of it may be there").word, CHANGED);
    }

    #[test]
    fn a_panic_costs_one_dataset_its_new_data() {
        let failure = outcome(|| panic!("as a bug of ours would")).expect_err("nothing was read");
        assert_eq!(failure.word, "panic");
        // So does one on a thread that reads a part.
        let failure = outcome(|| {
            thread::scope(|scope| drop(scope.spawn(|| panic!("as a bug of ours would"))));
            Err(LoadError::Compressed { file: String::new() })
        });
        assert_eq!(failure.expect_err("not all was read").word, "panic");
    }
}
