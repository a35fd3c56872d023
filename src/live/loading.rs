//! Reading the files of datasets, several datasets side by side.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{clock, zones::DatasetSpec};
use crate::load::{self, LoadError, Loaded, Options, Report, Source};

/// What tells one version of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    modified_ns: i128,
    size: u64,
    inode: u64,
    device: u64,
}

impl Stamp {
    pub(super) fn read(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            modified_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
            size: metadata.size(),
            inode: metadata.ino(),
            device: metadata.dev(),
        })
    }

    /// Whether the file is a copy that kept its time.
    pub(super) fn is_copy_of(&self, other: &Self) -> bool {
        (self.modified_ns, self.size) == (other.modified_ns, other.size)
    }

    fn modified_s(&self) -> u64 {
        (self.modified_ns / 1_000_000_000).max(0) as u64
    }
}

/// The stamps of a dataset's files; `None` where there is no file.
pub(super) fn stamps(dataset: &DatasetSpec) -> Vec<Option<Stamp>> {
    dataset.files.iter().map(|file| Stamp::read(file)).collect()
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
    pub(super) took: Duration,
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

/// Loads datasets side by side, as many as there are cores.
pub(super) fn load_all(datasets: &[DatasetSpec], options: &Options, progress: &Arc<Progress>) -> Vec<Loading> {
    let sizes = datasets.iter().flat_map(stamps).flatten().map(|stamp| stamp.size);
    progress.read_bytes.store(0, Ordering::Relaxed);
    progress.total_bytes.store(sizes.sum(), Ordering::Relaxed);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let next = Mutex::new(0..datasets.len());
    let done: Mutex<Vec<(usize, Loading)>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..cores.min(datasets.len()) {
            scope.spawn(|| {
                lower_priority();
                loop {
                    let Some(index) = next.lock().unwrap_or_else(PoisonError::into_inner).next() else { break };
                    let loading = load_one(&datasets[index], &datasets[index].files, options, progress);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((index, loading));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, loading)| loading).collect()
}

/// Lets the workers have the processor first. A system that refuses has its reasons, and all goes on as it is.
#[allow(unsafe_code)]
pub(super) fn lower_priority() {
    const NICE: libc::c_int = 10;
    // SAFETY: the call takes numbers only; on Linux, "process" 0 is the calling thread.
    let refused = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) } != 0;
    if refused {
        tracing::debug!("loading runs at the workers' priority");
    }
}

/// Loads one dataset from files that may stand elsewhere than its own.
pub(super) fn load_one(
    dataset: &DatasetSpec,
    files: &[PathBuf],
    options: &Options,
    progress: &Arc<Progress>,
) -> Loading {
    let started = Instant::now();
    let mut report = Report::default();
    let look = || files.iter().map(|file| Stamp::read(file)).collect::<Vec<_>>();
    let stamps = look();
    let newest_s = stamps.iter().flatten().map(Stamp::modified_s).max().unwrap_or(0);
    let sources = files.iter().map(|file| open(file, progress));
    let mut result =
        load::load(dataset.kind, &dataset.to_string(), sources, options, &mut report).map_err(|error| Failure {
            word: match &error {
                LoadError::FromFuture { .. } => "future",
                LoadError::Unpack { .. } => "unpack",
                LoadError::Open { .. } => "missing",
                _ => "unreadable",
            },
            text: error.to_string(),
        });
    // Whatever came of it: it is neither the old data nor the new.
    if look() != stamps && stamps.iter().all(Option::is_some) {
        let text = "a file changed while it was read; write to another name and rename it when complete".to_owned();
        result = Err(Failure { word: CHANGED, text });
    }
    Loading { stamps, newest_s, report, result, took: started.elapsed() }
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
