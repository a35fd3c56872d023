//! Golden scripts: zones, time, what happens, queries and the replies they must get. The format is described in
//! `golden/README.md`, and read in `reader.rs`.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    happening::{Action, Aftermath},
    question::Question,
    reader,
};

/// The time of a script that tells none.
pub(crate) const NOON: &str = "2026-11-22T12:00:00Z";

/// A file of a script's zones.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) modified_s: u64,
    /// What is in it, not packed.
    pub(crate) octets: Vec<u8>,
    /// So many octets at its end are missing.
    pub(crate) cut_len: usize,
}

impl File {
    /// As it lies on the disk: packed, if its name says so.
    pub(crate) fn on_disk(&self) -> Vec<u8> {
        let mut octets = match self.name.rsplit('.').next() {
            Some("gz") => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&self.octets).expect("packed");
                encoder.finish().expect("packed")
            }
            Some("zst") => zstd::encode_all(&self.octets[..], 3).expect("packed"),
            _ => self.octets.clone(),
        };
        octets.truncate(octets.len().saturating_sub(self.cut_len));
        octets
    }
}

/// How the server is to be set up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) minimal: bool,
    /// Start though not all is loaded (rbldnsd's `-q`).
    pub(crate) quickstart: bool,
    pub(crate) payload_len: Option<u16>,
    pub(crate) identity: Option<String>,
    pub(crate) version: Option<String>,
    /// `KEY = VALUE` of the configuration's `[reload]`.
    pub(crate) reload: Vec<String>,
}

impl Options {
    /// Whether rbldnsd's command line can say all of them.
    pub(crate) fn are_rbldnsds(&self) -> bool {
        self.payload_len.is_none() && self.identity.is_none() && self.version.is_none()
    }
}

/// A moment by both clocks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment {
    /// Since the epoch, by the clock that may be set.
    pub(crate) clock: Duration,
    /// Since the script began, by the one that only runs.
    pub(crate) passed: Duration,
}

impl Moment {
    pub(crate) fn now_s(self) -> u64 {
        self.clock.as_secs()
    }
}

/// What a step is.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// A query.
    Ask(Question),
    /// A file that comes, whole and at once, as by a rename.
    Drop(File),
    /// A file that goes.
    Remove(String),
    /// Something that has the server look at its files, and what must have come of it.
    Act(Action, Aftermath),
}

/// One thing after the other.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) line: usize,
    /// The step as it stands in the script.
    pub(crate) text: String,
    pub(crate) at: Moment,
    pub(crate) deed: Deed,
}

/// A script.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) name: String,
    pub(crate) options: Options,
    /// The files that are there from the beginning.
    pub(crate) files: Vec<File>,
    /// What is served; where nothing is said, the files are a folder of zones.
    pub(crate) specs: Vec<String>,
    pub(crate) steps: Vec<Step>,
    /// The clock is set, so that only a run in process will do.
    pub(crate) sets_clock: bool,
    /// True of rbldnsd too.
    pub(crate) is_rbldnsds: bool,
}

impl Script {
    /// All scripts of the folder.
    pub(crate) fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let wanted = std::env::var("GOLDEN").unwrap_or_default();
        let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.expect("a readable folder").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "test"))
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(&wanted)))
            .collect();
        paths.sort();
        paths.iter().map(|path| reader::read(path)).collect()
    }

    /// The queries, each with its step.
    pub(crate) fn questions(&self) -> impl Iterator<Item = (&Step, &Question)> {
        self.steps.iter().filter_map(|step| if let Deed::Ask(asked) = &step.deed { Some((step, asked)) } else { None })
    }

    /// Whether anything happens but queries: then it says itself when the server starts.
    pub(crate) fn has_events(&self) -> bool {
        self.questions().count() < self.steps.len()
    }

    /// Where the script cannot run over the network, the reason.
    pub(crate) fn in_process_only(&self) -> Option<&'static str> {
        let is_elsewhere = |asked: &Question| asked.from.is_some_and(|address| !address.is_loopback());
        if self.sets_clock || self.has_events() {
            Some("time passes, or something happens")
        } else if self.questions().any(|(_, asked)| is_elsewhere(asked)) {
            Some("its clients are not on this host")
        } else {
            None
        }
    }
}

/// The time since the epoch of an RFC 3339 time.
pub(crate) fn since_epoch(text: &str) -> Result<Duration, String> {
    let time: jiff::Timestamp = text.parse().map_err(|error| format!("{error}"))?;
    let millis = u64::try_from(time.as_millisecond()).map_err(|error| error.to_string())?;
    Ok(Duration::from_millis(millis))
}

/// Seconds since the epoch of an RFC 3339 time.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    since_epoch(text).map(|time| time.as_secs())
}
