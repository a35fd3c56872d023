//! The file of the store: opened and verified, known again, and the room that is left for it.

use std::{
    fs::{self, TryLockError},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{Database, DatabaseError, RepairSession, backends::FileBackend};
use tracing::{error, info, warn};

use super::{
    StoreError,
    store::{StoreFault, caught, make_tables},
};
use crate::live::state::{is_nothing, remedy};

/// Name of the file in the state folder.
const FILE_NAME: &str = "listings.redb";

/// Memory for pages. What is served is in memory anyway; this is for the writer and for questions about history.
const CACHE_BYTES: usize = 64 << 20;

/// With less free on the disk, no new listing is taken: what is left is for taking back and for exclusions, and a store that
/// finds the disk full in the middle of a commit has to be opened again, which takes a look at all of it.
const FREE_MIN_BYTES: u64 = 16 << 20;

/// Opens a file, and makes it if it is not there.
type Opener = dyn Fn(&Path) -> Result<Database, DatabaseError> + Send + Sync;
/// Octets that are free in a folder, if that is known.
type Free = dyn Fn(&Path) -> Option<u64> + Send + Sync;

/// What the store asks of its disk; tests have others.
pub(super) struct Disk {
    pub(super) open: Box<Opener>,
    pub(super) free: Box<Free>,
}

impl Disk {
    /// The real one.
    pub(super) fn new() -> Self {
        Self { open: Box::new(open_file), free: Box::new(free) }
    }

    /// Whether there is room for more.
    pub(super) fn check_room(&self, path: &Path) -> Result<(), StoreError> {
        let Some((folder, free)) = path.parent().and_then(|folder| Some((folder, (self.free)(folder)?))) else {
            return Ok(());
        };
        if free < FREE_MIN_BYTES {
            return Err(StoreError::Unwritable(format!(
                "{} has {} MB left, and new listings need {}: make room there (delisting and excluding go on as long as there is \
                 any room)",
                folder.display(),
                free >> 20,
                FREE_MIN_BYTES >> 20
            )));
        }
        Ok(())
    }
}

fn free(folder: &Path) -> Option<u64> {
    let disk = nix::sys::statvfs::statvfs(folder).ok()?;
    Some(disk.blocks_available() * disk.fragment_size())
}

/// The file of a state folder.
pub(super) fn path_in(state: &Path) -> PathBuf {
    state.join(FILE_NAME)
}

/// Opens the file, verifies every page of it, and makes it if it is not there; readable to its owner and group only.
pub(super) fn open_file(path: &Path) -> Result<Database, DatabaseError> {
    let file = open_regular(path)?;
    let mut builder = Database::builder();
    // A file that was closed well would be believed otherwise, and what the disk made of it since be served, or met by a panic.
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true).set_repair_callback(tell_repair);
    builder.create_with_backend(FileBackend::new(file)?)
}

/// Opens what is there if it is a file. Whatever else has that name must not hold up the start, as a pipe does that nobody
/// writes to, nor be filled.
fn open_regular(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::File::options();
    // redb would make the file with the rights that everyone has.
    options.create(true).truncate(false).read(true).write(true).mode(0o640);
    let file = options.custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

/// Says if a commit is taken back: of redb's three looks at a file the first was not passed, so that the second, at the commit
/// before, begins.
fn tell_repair(session: &mut RepairSession) {
    if (0.1..0.5).contains(&session.progress()) {
        warn!(
            "the last commit to the store of live listings is not whole, as after a crash in the middle of it, and the one before \
             it counts; unless the disk has damaged what was written, nothing of it was acknowledged"
        );
    }
}

/// The lock of another server that has the store. It tells whether that server has ended, also when its file was removed.
#[derive(Debug)]
pub(super) struct Rival {
    lock: fs::File,
}

impl Rival {
    /// Whoever has the store at a path, where a claim to it just failed.
    pub(super) fn at(path: &Path) -> Option<Self> {
        let lock = fs::File::options().write(true).custom_flags(libc::O_NONBLOCK).open(lock_of(path)).ok()?;
        Some(Self { lock })
    }

    /// Whether it has let go of the store.
    pub(super) fn has_ended(&self) -> bool {
        self.lock.try_lock().is_ok_and(|()| self.lock.unlock().is_ok())
    }
}

/// The claim of a server to a store, held until it is dropped. A store that failed is closed until it can be opened again, and
/// whoever waits for it must not take it meanwhile. It is a lock on a file beside the store, which stays there, and which
/// others can neither write nor read: a lock on the folder is had by whoever may look into it.
#[derive(Debug)]
pub(super) struct Claim {
    lock: fs::File,
}

impl Claim {
    /// Claims the store at a path. None where the file system has no such locks, or the file beside it cannot be opened:
    /// the lock of the store itself must do there.
    ///
    /// # Errors
    /// When another server has it.
    pub(super) fn on(path: &Path) -> Result<Option<Self>, StoreError> {
        let mut options = fs::File::options();
        options.create(true).truncate(false).write(true).mode(0o640).custom_flags(libc::O_NONBLOCK);
        let Ok(lock) = options.open(lock_of(path)) else { return Ok(None) };
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { lock })),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.display().to_string())),
            Err(TryLockError::Error(_)) => Ok(None),
        }
    }

    /// Whether it keeps others off that path: not if its file was removed, as with the folder.
    pub(super) fn is_on(&self, path: &Path) -> bool {
        let held = self.lock.metadata().map(|file| FileId::of(&file)).ok();
        held.is_some_and(|held| file_at(&lock_of(path)).is_ok_and(|there| there == Some(held)))
    }
}

/// Which file that is, by device and inode: a file that another one was put in the place of is open still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

impl FileId {
    fn of(file: &fs::Metadata) -> Self {
        Self(file.dev(), file.ino())
    }
}

/// Which file is there; none if there is none.
pub(super) fn file_at(path: &Path) -> io::Result<Option<FileId>> {
    match fs::metadata(path) {
        Ok(file) => Ok(Some(FileId::of(&file))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether there is a file with nothing in it.
pub(super) fn is_empty(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == 0)
}

/// Whether there is something at a path that may hold listings, or it cannot be told that there is not.
pub(super) fn may_hold_listings(path: &Path) -> bool {
    // A link may lead to a disk that is not mounted yet.
    match fs::metadata(path).or_else(|_| fs::symlink_metadata(path)) {
        Ok(file) => file.is_symlink() || file.is_file() && file.len() > 0,
        Err(error) => !is_nothing(&error),
    }
}

/// Whether it is the system that does not let a store be opened, and not what lies there instead of one.
fn is_of_system(path: &Path, error: &io::Error) -> bool {
    error.raw_os_error().is_some() && (path.is_file() || !path.exists())
}

/// What it means that the system does not let a store be opened.
fn barred(path: &Path, error: &io::Error, may_hold_listings: bool) -> StoreError {
    let remedy = remedy(folder_of(path), error);
    let then = if may_hold_listings { "it is tried again by itself" } else { "restart the server then" };
    StoreError::Closed(format!("{}: {error}: {remedy}; {then}", path.display()))
}

/// Opens a store, and makes its tables if they are not there.
///
/// # Errors
/// [`StoreError::Closed`] where the system is the reason: as soon as that is over, what is in it can be had.
pub(super) fn open(path: &Path, disk: &Disk) -> Result<Arc<Database>, StoreError> {
    if is_empty(path) {
        error!(
            store = %path.display(),
            "the store of live listings is an empty file, and a new one is begun, WITHOUT what was listed or excluded by command \
             and its history; if there is a backup, stop the server, and put that in its place"
        );
    }
    let is_new = file_at(path).is_ok_and(|there| there.is_none());
    let may_hold_listings = may_hold_listings(path);
    let database = caught(|| Ok((disk.open)(path)?)).map_err(|fault| match fault {
        StoreFault::Redb(redb::Error::DatabaseAlreadyOpen) => StoreError::InUse(path.display().to_string()),
        StoreFault::Redb(redb::Error::Io(error)) if is_of_system(path, &error) => barred(path, &error, may_hold_listings),
        fault => StoreError::Unreadable(format!(
            "{} is damaged or no store ({fault}): stop the server, and put a backup in its place, or move it away, and a new one \
             is begun with nothing",
            path.display()
        )),
    })?;
    caught(|| make_tables(&database))
        .map_err(|fault| StoreError::Unwritable(format!("{}: {fault}", path.display())))?;
    sync_folder(path).map_err(|error| barred(path, &error, may_hold_listings))?;
    if is_new {
        // Where the state folder was named by mistake, nothing else would tell.
        info!(store = %path.display(), "began a new store of live listings");
    }
    Ok(Arc::new(database))
}

/// A file that is new is safe once its folder is on the disk as well.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    fs::File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn lock_of(path: &Path) -> PathBuf {
    path.with_extension("lock")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::{
        super::{
            Door, Key, Origin, Record, Verdict,
            store::{Tables, of_zone},
        },
        *,
    };
    use crate::wire::name::Name;

    fn zone() -> Name {
        Name::parse(b"bl.example").expect("a name")
    }

    /// Lists so many addresses from a number on, with one commit.
    fn list(database: &Database, from: u32, count: u32) {
        let transaction = database.begin_write().expect("writable");
        let mut tables = Tables::open(&transaction).expect("tables");
        for number in from..from + count {
            // In no order, as they come.
            let key = Key::address(Ipv4Addr::from(number.wrapping_mul(0x9e37_79b1)).into());
            let known = tables.known(&zone(), &key).expect("readable");
            let origin = Origin { door: Door::Command, who: "scan".into(), from: None };
            let record = Record {
                zone: zone(),
                key,
                verdict: Verdict::LISTED,
                since_s: 1_000,
                changed_s: 1_000,
                until_s: Some(5_000),
                times: 1,
                counted_s: 1_000,
                reason: None,
                origin,
            };
            tables.put(&record, &known).expect("writable");
        }
        tables.close().expect("writable");
        transaction.commit().expect("written");
    }

    /// A store of two commits, closed well.
    fn closed(path: &Path) -> Vec<Record> {
        let database = open(path, &Disk::new()).expect("made");
        list(&database, 0, 1_500);
        list(&database, 1_500, 500);
        of_zone(&database, &zone(), None, usize::MAX).expect("readable")
    }

    fn listed(path: &Path) -> Result<Vec<Record>, StoreError> {
        let database = open(path, &Disk::new())?;
        Ok(of_zone(&database, &zone(), None, usize::MAX)?)
    }

    #[test]
    fn damage_is_noticed_and_never_served() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = path_in(folder.path());
        let all = closed(&path);
        let image = fs::read(&path).expect("readable");
        let mut damaged_count = 0;
        for (turn, offset) in (0..320).step_by(5).chain((320..image.len()).step_by(4_093)).enumerate() {
            let mut damaged = image.clone();
            damaged[offset] ^= if turn % 3 == 0 { 0xff } else { 1 << (turn % 8) };
            fs::write(&path, &damaged).expect("written");
            for start in ["the first", "the second"] {
                match listed(&path) {
                    Ok(records) => assert!(records == all, "octet {offset} at {start} start"),
                    Err(why) => {
                        assert!(matches!(&why, StoreError::Unreadable(_)), "octet {offset} at {start} start: {why}");
                        damaged_count += u32::from(why.to_string().contains("put a backup in its place"));
                    }
                }
            }
        }
        assert!(damaged_count > 50, "damage in pages that count: {damaged_count}");
    }

    #[test]
    fn who_may_only_read_holds_no_store() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = path_in(folder.path());
        let reader = fs::File::open(folder.path()).expect("open to all");
        reader.try_lock().expect("locked");
        let claim = Claim::on(&path).expect("nobody else has it").expect("there are locks");
        let mode = fs::metadata(lock_of(&path)).expect("there").permissions().mode();
        assert_eq!(mode & 0o137, 0, "{mode:o}: it is not for others");
        assert!(claim.is_on(&path));
        assert!(matches!(Claim::on(&path), Err(StoreError::InUse(_))), "one at a time");
        fs::remove_file(lock_of(&path)).expect("removed");
        assert!(!claim.is_on(&path));
        let other = Claim::on(&path).expect("nobody has this one").expect("there are locks");
        assert!(other.is_on(&path) && !claim.is_on(&path));
        drop(other);
        fs::remove_file(lock_of(&path)).expect("removed");
        nix::unistd::mkfifo(&lock_of(&path), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        assert!(Claim::on(&path).expect("no claim is no fault").is_none());
    }

    #[test]
    fn what_a_crash_leaves_is_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = path_in(folder.path());
        let database = open(&path, &Disk::new()).expect("made");
        list(&database, 0, 100);
        let crashed = folder.path().join("crashed");
        fs::copy(&path, &crashed).expect("copied");
        assert_eq!(listed(&crashed).expect("opened").len(), 100);
    }

    #[test]
    fn a_panic_is_a_fault_like_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Disk { open: Box::new(|path| panic!("at page {}", path.is_absolute())), ..Disk::new() };
        let why = open(&path_in(folder.path()), &disk).expect_err("it panicked");
        assert!(matches!(&why, StoreError::Unreadable(text) if text.contains("redb panicked")), "{why}");
        assert!(why.to_string().contains("at page true"), "{why}");
    }

    #[test]
    fn what_the_system_bars_is_not_damaged() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = path_in(folder.path());
        let barred = |error: i32| {
            let opener = move |_: &Path| Err(io::Error::from_raw_os_error(error).into());
            match open(&path, &Disk { open: Box::new(opener), ..Disk::new() }) {
                Err(StoreError::Closed(why)) => why,
                other => panic!("{:?}", other.map(drop)),
            }
        };
        let why = barred(libc::EROFS);
        assert!(why.contains("Read-only file system") && why.ends_with("restart the server then"), "{why}");
        closed(&path);
        for (error, remedy) in [
            (libc::EROFS, "so that it can be written"),
            (libc::EACCES, "and what is in it writable for the user"),
            (libc::EIO, "see what the system says of that disk"),
        ] {
            let why = barred(error);
            assert!(why.contains(remedy) && why.ends_with("; it is tried again by itself"), "{why}");
        }
        std::os::unix::fs::symlink("nowhere", folder.path().join("link")).expect("a link");
        assert!(may_hold_listings(&folder.path().join("link")), "to a disk that is not mounted, perhaps");
        assert!(!may_hold_listings(&folder.path().join("none")) && !may_hold_listings(folder.path()));
    }

    #[test]
    fn only_a_file_is_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = path_in(folder.path());
        let refuse = || {
            let why = open(&path, &Disk::new()).expect_err("it is no file");
            assert!(matches!(&why, StoreError::Unreadable(text) if text.contains("not a regular file")), "{why}");
            fs::remove_file(&path).expect("removed");
        };
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        refuse();
        std::os::unix::fs::symlink("/dev/zero", &path).expect("a link");
        refuse();
        closed(&folder.path().join("elsewhere"));
        std::os::unix::fs::symlink("elsewhere", &path).expect("a link");
        assert_eq!(listed(&path).expect("a link to a file is as good").len(), 2_000);
    }
}
