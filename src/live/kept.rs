//! The last good version of each dataset, kept in the state folder for the day when the files are broken at start.
//!
//! Copies, not links: whoever writes into a file in place would write into a link of it too. A version is complete or not
//! there: it is written aside and renamed, so that neither a crash nor a full disk leaves half of one.
//!
//! ```text
//! STATE/good/ip4set-9c3a52f10b7e4d21/manifest.json   which files these are, and how many entries they gave
//!                                   /0 /1 ...        the files
//!                                   /unused          since its time, no start found anything to serve of these files
//! ```

use std::{
    collections::HashSet,
    fs::{self, File},
    hash::Hasher as _,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use tracing::{info, warn};

use super::{
    clock,
    loading::{Files, is_gone, size},
    opened::{CHANGED_AGAIN, Fate, OpenFiles, Opened, Origin, Stamp},
    state::{make_again, remedy},
    zones::{DatasetSpec, absolute},
};

/// What is kept beside the files.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    dataset: String,
    files: Vec<String>,
    /// Which of the files it does without.
    #[serde(default)]
    absent: Vec<usize>,
    /// Of which files they are copies.
    #[serde(default)]
    origins: Vec<Option<Origin>>,
    entries: usize,
    /// By which time they were counted.
    saved: SystemTime,
    /// Whether they gave their zone its SOA.
    #[serde(default)]
    has_soa: bool,
}

impl Manifest {
    fn of(dataset: &DatasetSpec, loaded: &OpenFiles, Count { entries, has_soa, loaded_s }: Count) -> Self {
        let is_absent = |(index, file): (usize, &Option<Arc<Opened>>)| file.is_none().then_some(index);
        Self {
            dataset: identity(dataset),
            files: dataset.files.iter().map(|file| file.display().to_string()).collect(),
            absent: loaded.iter().enumerate().filter_map(is_absent).collect(),
            origins: loaded.iter().map(|file| file.as_ref()?.origin().ok()).collect(),
            entries,
            saved: clock::time(loaded_s),
            has_soa,
        }
    }
}

/// What is known of a version without reading it.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// How many entries it has.
    pub entries: usize,
    /// Whether it gives its zone the SOA.
    pub has_soa: bool,
    /// By which time the entries were counted, in seconds since the epoch: when it was loaded.
    pub loaded_s: u64,
}

/// A version that was good.
#[derive(Debug)]
pub struct KeptVersion {
    /// Its files, in the order of the dataset's own.
    pub(super) files: Files,
    /// Of which files those are copies, where that is known.
    origins: Vec<Option<Origin>>,
    /// What it has.
    pub count: Count,
}

/// The folder of last good versions.
#[derive(Clone, Debug)]
pub struct Kept {
    folder: PathBuf,
    /// Most octets of a dataset that is kept.
    max_bytes: u64,
}

/// The file in a version that says what it is.
const MANIFEST: &str = "manifest.json";

/// The file in a version that says since when nothing uses it.
const UNUSED: &str = "unused";

/// Most octets of a dataset that is kept, unless configured otherwise.
pub const DEFAULT_MAX_BYTES: u64 = 1 << 30;

impl Kept {
    /// Keeps versions in a state folder, which is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(state: &Path, max_bytes: u64) -> io::Result<Self> {
        let folder = state.join("good");
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, max_bytes })
    }

    /// Whether somebody removed it.
    pub(super) fn is_gone(&self) -> bool {
        is_gone(&self.folder)
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes it again, and the state folder that it is in.
    ///
    /// # Errors
    /// When it cannot be made, as where the folder above is gone as well.
    pub(super) fn make_again(&self) -> io::Result<()> {
        [self.folder.parent().unwrap_or(&self.folder), &self.folder].into_iter().try_for_each(make_again)
    }

    /// Whether a dataset is small enough.
    pub(super) fn has_room_for(&self, dataset: &DatasetSpec) -> bool {
        size(dataset) <= self.max_bytes
    }

    fn place(&self, dataset: &DatasetSpec) -> PathBuf {
        let mut hasher = SipHasher13::new();
        hasher.write(identity(dataset).as_bytes());
        self.folder.join(format!("{}-{:016x}", dataset.kind, hasher.finish()))
    }

    /// Keeps the files that were loaded, whatever has taken their place since, unless they are kept already.
    ///
    /// # Errors
    /// When they are too large, cannot be copied, or were written to; what was kept before stays.
    pub(super) fn save(&self, dataset: &DatasetSpec, loaded: &OpenFiles, count: Count) -> io::Result<()> {
        let place = self.place(dataset);
        // Of before they are copied: what is written to them after that is of another origin.
        let mut manifest = Manifest::of(dataset, loaded, count);
        if let Some(version) = self.find(dataset).filter(|version| version.is_of(loaded)) {
            // The clock was ahead then: more of them are not over. Or an earlier release kept it, which did not say so much.
            let knows_more = count.entries > version.count.entries || count.has_soa != version.count.has_soa;
            if !knows_more {
                (manifest.entries, manifest.saved) = (version.count.entries, clock::time(version.count.loaded_s));
            }
            // Files of another origin need not be read to see that they are the same, the next time.
            if (knows_more || manifest.origins != version.origins) && place.exists() {
                write_manifest(&place, &manifest)?;
            }
            return mark_used(&place);
        }
        let (aside, before) = (place.with_extension("new"), place.with_extension("old"));
        remove_if_there(&aside)?;
        let (total, max) = (loaded.iter().flatten().map(|file| file.stamp.size()).sum::<u64>(), self.max_bytes);
        if total > max {
            return Err(io::Error::other(format!("{total} octets are more than the {max} that are kept")));
        }
        self.make_again()?;
        make_again(&aside)?;
        let written = write_version(&aside, loaded, &manifest).and_then(|()| {
            let are_same = loaded.iter().flatten().all(|file| file.fate() == Fate::Same);
            if are_same { Ok(()) } else { Err(io::Error::other(CHANGED_AGAIN)) }
        });
        if written.is_err() {
            remove_if_there(&aside)?;
            return written;
        }
        // After an end between these renames only the one before is there, which is then the last good one until this has its place.
        if place.exists() {
            remove_if_there(&before)?;
            fs::rename(&place, &before)?;
        }
        fs::rename(&aside, &place)?;
        remove_if_there(&before)
    }

    /// Removes what is kept of datasets that were not among these for a long time: a mark says since when. The time of what is
    /// kept says nothing of that, for a list may stay as it is for years.
    pub(super) fn tidy(&self, datasets: &HashSet<&DatasetSpec>, now_s: u64) {
        let known: HashSet<PathBuf> = datasets.iter().map(|dataset| self.place(dataset)).collect();
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        // An empty folder may be one that is not mounted yet.
        if datasets.is_empty() {
            return;
        }
        let tidy = |path: PathBuf| {
            let is_used = known.contains(&path.with_extension(""));
            if is_used { mark_used(&path) } else { leave_unused(&path, now_s) }.err()
        };
        let errors: Vec<_> = entries.flatten().filter_map(|entry| tidy(entry.path())).collect();
        if let Some(error) = errors.first() {
            let remedy = remedy(&self.folder, error);
            let count = errors.len();
            warn!(folder = %self.folder.display(), "{count} of the last good versions cannot be tidied: {error}: {remedy}");
        }
    }

    /// Lets go of what is kept of a dataset.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(super) fn forget(&self, dataset: &DatasetSpec) -> io::Result<()> {
        let place = self.place(dataset);
        remove_if_there(&place.with_extension("old"))?;
        remove_if_there(&place)
    }

    /// The last good version, if there is one.
    pub fn find(&self, dataset: &DatasetSpec) -> Option<KeptVersion> {
        let place = self.place(dataset);
        // Between two renames only the one before is there.
        [place.clone(), place.with_extension("old")].into_iter().find_map(|place| {
            let manifest: Manifest = serde_json::from_slice(&fs::read(place.join(MANIFEST)).ok()?).ok()?;
            let copy = |index| (!manifest.absent.contains(&index)).then(|| place.join(index.to_string()));
            let files: Files = (0..manifest.files.len()).map(copy).collect();
            let is_whole = files.iter().flatten().all(|file| file.is_file()) && files.len() == dataset.files.len();
            (is_whole && manifest.dataset == identity(dataset)).then_some(KeptVersion {
                files,
                origins: manifest.origins,
                count: Count {
                    entries: manifest.entries,
                    has_soa: manifest.has_soa,
                    loaded_s: clock::seconds(manifest.saved),
                },
            })
        })
    }
}

impl KeptVersion {
    /// Whether it was made without all the files that are not there now.
    pub(super) fn does_without_all(&self, now: &[Option<Stamp>]) -> bool {
        self.files.len() == now.len()
            && self.files.iter().zip(now).all(|(copy, stamp)| stamp.is_some() || copy.is_none())
    }

    /// Whether this may be a copy of files with these stamps.
    pub(super) fn may_be_of(&self, stamps: &[Option<Stamp>]) -> bool {
        let may_be_copy = |(copy, stamp): (&Option<PathBuf>, &Option<Stamp>)| match (copy, stamp) {
            (Some(copy), Some(stamp)) => Stamp::read(copy).is_some_and(|copy| copy.may_be_copy_of(stamp)),
            (copy, stamp) => copy.is_none() && stamp.is_none(),
        };
        self.files.len() == stamps.len() && self.files.iter().zip(stamps).all(may_be_copy)
    }

    /// Whether this is a copy of these files.
    pub(super) fn is_of(&self, files: &OpenFiles) -> bool {
        let is_copy = |(index, (copy, file)): (usize, (&Option<PathBuf>, &Option<Arc<Opened>>))| match (copy, file) {
            (Some(copy), Some(file)) => {
                let origin = self.origins.get(index).copied().flatten();
                file.is_copied_in(copy, origin).unwrap_or(false)
            }
            (copy, file) => copy.is_none() && file.is_none(),
        };
        self.files.len() == files.len() && self.files.iter().zip(files).enumerate().all(is_copy)
    }
}

fn write_version(aside: &Path, loaded: &OpenFiles, manifest: &Manifest) -> io::Result<()> {
    for (index, file) in loaded.iter().enumerate() {
        let Some(file) = file else { continue };
        // Whoever may read the file, the copy is ours: a file that may not be written to is kept too.
        let copy = File::options().write(true).create_new(true).mode(0o600).open(aside.join(index.to_string()))?;
        file.copy_to(&copy)?;
        copy.sync_all()?;
    }
    write_manifest(aside, manifest)
}

fn write_manifest(version: &Path, manifest: &Manifest) -> io::Result<()> {
    let (place, aside) = (version.join(MANIFEST), version.join("manifest.new"));
    let mut file = File::create(&aside)?;
    file.write_all(&serde_json::to_vec_pretty(manifest)?)?;
    file.sync_all()?;
    fs::rename(aside, place)
}

/// By what a dataset is known again, from whatever folder the server was started and however its folder was spelled. Links are not
/// followed: a release that they are switched to is the same dataset.
fn identity(dataset: &DatasetSpec) -> String {
    let files = dataset.files.iter().map(|file| absolute(file)).collect();
    DatasetSpec { kind: dataset.kind, files }.to_string()
}

/// Takes away the mark that nothing uses a version.
fn mark_used(version: &Path) -> io::Result<()> {
    match fs::remove_file(version.join(UNUSED)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Marks a version that nothing uses, and removes it once it has been marked for long.
fn leave_unused(version: &Path, now_s: u64) -> io::Result<()> {
    const LONG_S: u64 = 30 * 86_400;
    let mark = version.join(UNUSED);
    let Ok(marked) = fs::metadata(&mark).and_then(|mark| mark.modified()) else {
        return File::create(mark).map(drop);
    };
    if now_s.saturating_sub(clock::seconds(marked)) > LONG_S {
        remove_if_there(version)?;
        info!(folder = %version.display(), "removed: nothing has used it for a month");
    }
    Ok(())
}

fn remove_if_there(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::{
        live::{loading::stamps, opened::open_again},
        load::Options,
        zone::dataset::Kind,
    };

    const NOW_S: u64 = 1_800_000_000;

    fn count(entries: usize, loaded_s: u64) -> Count {
        Count { entries, has_soa: false, loaded_s }
    }

    fn dataset(folder: &Path) -> DatasetSpec {
        DatasetSpec { kind: Kind::Ip4Set, files: vec![folder.join("hosts")] }
    }

    /// The files as they are now.
    fn open(dataset: &DatasetSpec) -> OpenFiles {
        open_again(&dataset.files, &stamps(dataset), &Options::default()).expect("they can be opened")
    }

    fn the_file(version: &KeptVersion) -> &Path {
        version.files[0].as_deref().expect("a file")
    }

    /// A folder with a dataset of one file, and room for what is kept of it.
    fn one_file() -> (tempfile::TempDir, Kept, DatasetSpec) {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = Kept::new(folder.path(), 100).expect("made");
        let dataset = dataset(folder.path());
        fs::write(folder.path().join("hosts"), "192.0.2.1\n").expect("written");
        (folder, kept, dataset)
    }

    #[test]
    fn the_last_good_version_comes_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = Kept::new(folder.path(), 100).expect("made");
        let dataset = dataset(folder.path());
        assert!(kept.find(&dataset).is_none());
        fs::write(folder.path().join("hosts"), "192.0.2.1\n").expect("written");
        kept.save(&dataset, &open(&dataset), count(1, NOW_S)).expect("kept");
        fs::write(folder.path().join("hosts"), "broken").expect("written");
        let version = kept.find(&dataset).expect("there");
        assert_eq!(fs::read_to_string(the_file(&version)).expect("readable"), "192.0.2.1\n");
        assert_eq!((version.count.entries, version.count.loaded_s), (1, NOW_S));
        let spelled_otherwise = self::dataset(&folder.path().join("."));
        assert!(kept.find(&spelled_otherwise).is_some());
    }

    #[test]
    fn what_turns_out_to_be_more_is_told_of_what_is_kept_already() {
        let (_folder, kept, dataset) = one_file();
        for (entries, loaded_s, told) in
            [(1, NOW_S + 60, (1, NOW_S + 60)), (2, NOW_S, (2, NOW_S)), (1, NOW_S + 1, (2, NOW_S))]
        {
            kept.save(&dataset, &open(&dataset), count(entries, loaded_s)).expect("kept");
            let version = kept.find(&dataset).expect("there");
            assert_eq!((version.count.entries, version.count.loaded_s), told);
        }
    }

    #[test]
    fn a_version_may_do_without_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = Kept::new(folder.path(), 100).expect("made");
        let files = ["one", "two"].map(|name| folder.path().join(name)).into();
        let dataset = DatasetSpec { kind: Kind::Ip4Set, files };
        fs::write(&dataset.files[1], "192.0.2.2\n").expect("written");
        let without = open(&dataset);
        kept.save(&dataset, &without, count(1, NOW_S)).expect("kept");
        let version = kept.find(&dataset).expect("there");
        assert!(version.files[0].is_none() && version.is_of(&without));
        fs::write(&dataset.files[0], "192.0.2.1\n").expect("written");
        assert!(!version.is_of(&open(&dataset)));
        kept.save(&dataset, &open(&dataset), count(2, NOW_S)).expect("kept");
        assert!(!kept.find(&dataset).expect("there").is_of(&without));
    }

    #[test]
    fn half_a_version_is_none() {
        let (_folder, kept, dataset) = one_file();
        kept.save(&dataset, &open(&dataset), count(1, NOW_S)).expect("kept");
        let place = kept.place(&dataset);
        // As a crash would leave it between the two renames: only the version before is there.
        fs::rename(&place, place.with_extension("old")).expect("renamed");
        fs::create_dir(place.with_extension("new")).expect("made");
        assert!(kept.find(&dataset).is_some());
        fs::remove_file(place.with_extension("old").join("0")).expect("removed");
        assert!(kept.find(&dataset).is_none(), "its file is gone");
        kept.save(&dataset, &open(&dataset), count(1, NOW_S)).expect("kept again");
        assert!(kept.find(&dataset).is_some());
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_costs_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = Kept::new(folder.path(), 20).expect("made");
        let dataset = dataset(folder.path());
        fs::write(folder.path().join("hosts"), "192.0.2.1\n").expect("written");
        kept.save(&dataset, &open(&dataset), count(1, NOW_S)).expect("kept");
        fs::write(folder.path().join("hosts"), "x".repeat(21)).expect("written");
        assert!(kept.save(&dataset, &open(&dataset), count(1, NOW_S)).is_err());
        assert_eq!(kept.find(&dataset).expect("there").count.entries, 1);
    }

    #[test]
    fn what_nobody_uses_is_removed_after_a_month() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = Kept::new(folder.path(), 100).expect("made");
        let datasets = ["used", "idle", "recent"].map(|name| {
            fs::write(folder.path().join(name), "192.0.2.1\n").expect("written");
            DatasetSpec { kind: Kind::Ip4Set, files: vec![folder.path().join(name)] }
        });
        for dataset in &datasets {
            kept.save(dataset, &open(dataset), count(1, NOW_S)).expect("kept");
        }
        let [used, idle, recent] = &datasets;
        // However old what is kept is, its month begins when it is missed.
        let place = File::open(kept.place(idle)).expect("a folder");
        place.set_modified(SystemTime::UNIX_EPOCH).expect("set");
        kept.tidy(&HashSet::from([recent]), NOW_S);
        assert!(kept.find(used).is_some() && kept.find(idle).is_some());
        for dataset in [used, idle] {
            let mark = File::options().write(true).open(kept.place(dataset).join(UNUSED)).expect("a mark");
            mark.set_modified(SystemTime::UNIX_EPOCH).expect("set");
        }
        kept.tidy(&HashSet::new(), NOW_S);
        assert!(kept.find(idle).is_some(), "nothing is known of what is used");
        // It came back while the server ran.
        kept.save(used, &open(used), count(1, NOW_S)).expect("kept already");
        kept.tidy(&HashSet::from([recent]), NOW_S);
        assert!(kept.find(used).is_some() && kept.find(recent).is_some() && kept.find(idle).is_none());
        // It is there again at a start.
        kept.tidy(&HashSet::from([used, recent]), NOW_S);
        assert!(!kept.place(used).join(UNUSED).exists());
    }

    #[test]
    fn what_may_not_be_written_to_is_kept() {
        let (folder, kept, dataset) = one_file();
        fs::set_permissions(folder.path().join("hosts"), fs::Permissions::from_mode(0o444)).expect("set");
        kept.save(&dataset, &open(&dataset), count(1, NOW_S)).expect("kept");
        let version = kept.find(&dataset).expect("there");
        assert!(version.is_of(&open(&dataset)));
        // Whoever is root may write into it whatever its mode.
        let mode = fs::metadata(the_file(&version)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn another_version_of_the_same_time_and_size_is_told_apart() {
        let (folder, kept, dataset) = one_file();
        let (file, aside) = (folder.path().join("hosts"), folder.path().join("aside"));
        let set_time = |file: &Path| {
            let file = File::options().write(true).open(file).expect("a file");
            file.set_modified(SystemTime::UNIX_EPOCH).expect("set");
        };
        set_time(&file);
        kept.save(&dataset, &open(&dataset), count(1, NOW_S)).expect("kept");
        // As unpacked again, or restored with all that is kept.
        fs::write(&aside, "192.0.2.1\n").expect("written");
        set_time(&aside);
        fs::rename(&aside, &file).expect("renamed");
        let is_kept = || kept.find(&dataset).expect("there").is_of(&open(&dataset));
        assert!(is_kept());
        // In place, and as another file.
        for (name, octets) in [(&file, "192.0.2.2\n"), (&aside, "192.0.2.3\n")] {
            fs::write(name, octets).expect("written");
            set_time(name);
            fs::rename(name, &file).expect("renamed");
            assert!(kept.find(&dataset).expect("there").may_be_of(&stamps(&dataset)) && !is_kept());
            kept.save(&dataset, &open(&dataset), count(1, NOW_S)).expect("kept");
            let version = kept.find(&dataset).expect("there");
            assert_eq!(fs::read_to_string(the_file(&version)).expect("readable"), octets);
        }
    }

    #[test]
    fn only_what_was_loaded_is_kept() {
        let (folder, kept, dataset) = one_file();
        let loaded = open(&dataset);
        kept.save(&dataset, &loaded, count(1, NOW_S)).expect("kept");
        assert!(kept.find(&dataset).expect("there").is_of(&loaded));
        fs::write(folder.path().join("hosts"), "192.0.2.1\n192.0.2").expect("written");
        assert!(!kept.find(&dataset).expect("there").is_of(&open(&dataset)));
        fs::write(folder.path().join("hosts"), "192.0.2.1\n192.0.2.2\n").expect("written");
        let loaded = open(&dataset);
        fs::write(folder.path().join("hosts"), "192.0").expect("written");
        assert!(kept.save(&dataset, &loaded, count(2, NOW_S)).is_err(), "what is there now was never loaded");
        let version = kept.find(&dataset).expect("there");
        assert_eq!(fs::read_to_string(the_file(&version)).expect("readable"), "192.0.2.1\n");
        let loaded = open(&dataset);
        fs::rename(folder.path().join("hosts"), folder.path().join("aside")).expect("renamed");
        fs::write(folder.path().join("hosts"), "192.0.2.3\n").expect("written");
        kept.save(&dataset, &loaded, count(1, NOW_S)).expect("it is open");
        let version = kept.find(&dataset).expect("there");
        assert_eq!(fs::read_to_string(the_file(&version)).expect("readable"), "192.0");
        kept.forget(&dataset).expect("removed");
        assert!(kept.find(&dataset).is_none());
    }
}
