//! A disk that fails: what is listed stays, nothing new is taken, and all is well again once the disk is.

mod waiting;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use redb::{Database, StorageBackend, backends::FileBackend};

use super::*;
use crate::{
    live::{
        reloader::{self, Reloader},
        zones::ZoneSource,
    },
    load,
    zone::live::Place,
};

/// What is wrong with a disk, as the test says.
#[derive(Debug)]
struct Faults {
    /// Nothing can be written.
    is_full: AtomicBool,
    /// Only what is there can be written over, and no page is.
    has_no_new_pages: AtomicBool,
    /// All is written, and nobody can say whether it arrives.
    fails_syncs: AtomicBool,
    /// redb panics once all is written.
    panics: AtomicBool,
    /// Octets that are said to be free.
    free: AtomicU64,
}

/// A file on such a disk.
#[derive(Debug)]
struct Backend {
    file: FileBackend,
    faults: Arc<Faults>,
}

impl Backend {
    fn check(&self, is_faulty: bool) -> Result<(), std::io::Error> {
        if is_faulty || self.faults.is_full.load(Relaxed) {
            return Err(std::io::Error::from(std::io::ErrorKind::StorageFull));
        }
        Ok(())
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> Result<u64, std::io::Error> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.check(self.faults.has_no_new_pages.load(Relaxed))?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.check(self.faults.fails_syncs.load(Relaxed))?;
        assert!(!self.faults.panics.load(Relaxed), "as a bug of redb would");
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        const HEADER_LEN: u64 = 4_096;
        self.check(offset >= HEADER_LEN && self.faults.has_no_new_pages.load(Relaxed))?;
        self.file.write(offset, data)
    }

    fn close(&self) -> Result<(), std::io::Error> {
        self.file.close()
    }
}

#[derive(Default)]
struct Moved {
    now_s: AtomicU64,
    is_broken: AtomicBool,
    /// It is broken once, when it was looked at so often.
    breaks_after: AtomicU64,
}

impl Clock for Moved {
    fn now_s(&self) -> u64 {
        let left = self.breaks_after.load(Relaxed);
        self.breaks_after.store(left.saturating_sub(1), Relaxed);
        assert!(left != 1 && !self.is_broken.load(Relaxed), "as a bug of ours would");
        self.now_s.load(Relaxed)
    }

    fn running_s(&self) -> u64 {
        self.now_s()
    }
}

const LIST: Op = Op::Put { verdict: Verdict::LISTED, lifetime: Lifetime::Default };
const ENDLESS: Op = Op::Put { verdict: Verdict::LISTED, lifetime: Lifetime::Endless };
const EXCLUDE: Op = Op::Put { verdict: Verdict::Excluded, lifetime: Lifetime::Default };

const NOW_S: u64 = 1_795_341_600;

struct World {
    root: tempfile::TempDir,
    live: LiveCell,
    faults: Arc<Faults>,
    clock: Arc<Moved>,
    listings: Listings,
}

impl World {
    fn new(history_max_bytes: u64) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::write(root.path().join("bl.example.ip4set"), "127.0.0.2\n").expect("written");
        let faults = Arc::new(Faults {
            is_full: false.into(),
            has_no_new_pages: false.into(),
            fails_syncs: false.into(),
            panics: false.into(),
            free: (1 << 40).into(),
        });
        let clock = Arc::new(Moved { now_s: AtomicU64::new(NOW_S), ..Moved::default() });
        let (live, listings) = open(root.path(), &faults, &clock, history_max_bytes);
        Self { root, live, faults, clock, listings }
    }

    fn put(&self, number: u32) -> Applied {
        self.apply(number, LIST)
    }

    fn apply(&self, number: u32, op: Op) -> Applied {
        let key = Key::address(std::net::Ipv4Addr::from(0x0a00_0000 + number).into());
        let origin = Origin { door: Door::Command, who: "test".into(), from: None };
        self.listings.apply(vec![Change { zone: zone(), key, op, reason: None }], &origin)
    }

    fn reopen(&mut self) {
        self.listings.stop();
        (self.live, self.listings) = open(self.root.path(), &self.faults, &self.clock, 1 << 30);
    }

    fn is_served(&self, number: u32) -> bool {
        let live = self.live.load();
        let served = live.zone(0).and_then(|zone| zone.exactly(&Place::V4(0x0a00_0000 + number, 32)));
        served.is_some_and(|entry| entry.in_force(self.clock.now_s()))
    }
}

fn zone() -> Name {
    Name::parse(b"bl.example").expect("a name")
}

fn open(root: &Path, faults: &Arc<Faults>, clock: &Arc<Moved>, history_max_bytes: u64) -> (LiveCell, Listings) {
    let (served, live) = (Cell::default(), LiveCell::default());
    let settings = reloader::Settings::new(ZoneSource::Folder(root.to_owned()), load::Options::default());
    let mut reloader = Reloader::new(settings, Arc::clone(&served));
    reloader.reload(NOW_S);
    let places = Places { served, live: Arc::clone(&live), slots: reloader.live_slots() };
    let (faults, of_disk) = (Arc::clone(faults), Arc::clone(faults));
    let opener = move |path: &Path| {
        let file = std::fs::File::options().create(true).truncate(false).read(true).write(true).open(path)?;
        let disk = Backend { file: FileBackend::new(file)?, faults: Arc::clone(&faults) };
        let mut builder = Database::builder();
        builder.set_cache_size(1 << 20).set_check_integrity_on_open(true).create_with_backend(disk)
    };
    let settings =
        Settings { clock: Arc::clone(clock) as Arc<dyn Clock>, history_max_bytes, ..Settings::new(root.to_owned()) };
    let disk = Disk { open: Box::new(opener), free: Box::new(move |_| Some(of_disk.free.load(Relaxed))) };
    (live, Listings::open_with(settings, places, disk).expect("opened"))
}

#[test]
fn a_full_disk_refuses_and_serves_on() {
    let mut world = World::new(1 << 30);
    assert!(world.put(1).is_ok());
    world.faults.is_full.store(true, Relaxed);
    for number in 2..5 {
        let refused = world.put(number).expect_err("the disk is full");
        let is_unsure = matches!(&refused, StoreError::Unsure(_));
        assert_eq!(is_unsure, refused.to_string().contains("tells whether this was done"), "{refused}");
        assert!(is_unsure || matches!(&refused, StoreError::Unwritable(_)), "{refused}");
        assert!(refused.to_string().contains("cannot be written"), "{refused}");
        assert!(refused.to_string().contains("listings.redb"), "{refused}");
        assert!(!world.is_served(number), "what is not durable is not served");
    }
    assert!(world.is_served(1), "what is listed stays listed");
    assert!(world.listings.alarm().is_some_and(|alarm| alarm.contains("cannot be written")));
    world.faults.is_full.store(false, Relaxed);
    assert!(world.put(5).is_ok(), "there is room again");
    assert_eq!(world.listings.alarm(), None);
    let counted: Vec<_> =
        world.listings.update_counts().into_iter().map(|row| (row.zone, row.result, row.count)).collect();
    assert_eq!(
        counted,
        [(Some(zone()), "failed", 3), (Some(zone()), "listed", 2)],
        "what the disk did not take is counted too"
    );
    assert!(world.is_served(1) && world.is_served(5) && !world.is_served(3));
    world.reopen();
    assert!(world.is_served(1) && world.is_served(5) && !world.is_served(3), "after a restart too");
}

#[test]
fn what_a_failed_commit_left_in_the_store_is_served() {
    let mut world = World::new(1 << 30);
    assert!(world.apply(1, ENDLESS).is_ok());
    let fail = |world: &World, number: u32, op: Op| {
        world.faults.fails_syncs.store(true, Relaxed);
        let failed = world.apply(number, op).expect_err("it may not be on the disk");
        assert!(matches!(&failed, StoreError::Unsure(_)), "{failed}");
        world.faults.fails_syncs.store(false, Relaxed);
        // The look that comes every half a minute, if it was not opened again before.
        world.listings.sweep();
        assert_eq!(world.listings.alarm(), None);
        let stored = world.listings.of_zone(&zone(), None, 100).expect("readable");
        let is_stored = |number| stored.iter().any(|record| record.key.place() == Place::V4(0x0a00_0000 + number, 32));
        for number in [1, 2] {
            assert_eq!(world.is_served(number), is_stored(number), "{number}");
        }
    };
    fail(&world, 1, Op::Delist);
    assert!(!world.is_served(1), "all of it was written, and counts");
    // Where the file has to grow, a commit fails before anything of it is there.
    for number in 10..20 {
        assert!(world.put(number).is_ok());
    }
    fail(&world, 2, ENDLESS);
    assert!(world.is_served(2));
    assert_eq!(world.apply(2, Op::Delist), Ok(vec![Outcome::Delisted]));
    world.reopen();
    assert!(!world.is_served(1) && !world.is_served(2));
}

#[test]
fn a_start_on_a_full_disk_serves_what_is_listed() {
    let mut world = World::new(1 << 30);
    assert!(world.put(1).is_ok());
    world.listings.stop();
    world.faults.has_no_new_pages.store(true, Relaxed);
    world.reopen();
    assert!(world.is_served(1));
    assert!(world.put(2).is_err());
    assert!(world.is_served(1) && !world.is_served(2));
    world.faults.has_no_new_pages.store(false, Relaxed);
    assert!(world.put(3).is_ok(), "there is room again");
    assert!(world.is_served(1) && world.is_served(3));
}

#[test]
fn the_alarm_stands_until_something_was_written() {
    let world = World::new(1 << 30);
    assert!(world.put(1).is_ok());
    let fail = |number: u32| {
        world.faults.has_no_new_pages.store(true, Relaxed);
        assert!(world.put(number).is_err());
        // Which writes nothing, and is told when the store is open again.
        assert_eq!(world.apply(99, Op::Delist), Ok(vec![Outcome::Unchanged]));
        assert!(world.listings.of_zone(&zone(), None, 10).is_ok(), "it can be read");
        assert!(world.listings.alarm().is_some(), "but not be written");
    };
    fail(2);
    world.listings.sweep();
    assert!(world.listings.alarm().is_some(), "while nothing may be thrown away");
    world.clock.now_s.fetch_add(trust::SETTLE_S, Relaxed);
    world.listings.sweep();
    assert!(world.listings.alarm().is_some(), "while there is nothing to throw away");
    world.faults.has_no_new_pages.store(false, Relaxed);
    world.listings.sweep();
    assert_eq!(world.listings.alarm(), None, "a look is enough");
    fail(3);
    world.faults.has_no_new_pages.store(false, Relaxed);
    assert!(world.put(4).is_ok());
    assert_eq!(world.listings.alarm(), None, "and so is a change");
}

#[test]
fn a_store_that_fails_again_is_opened_again() {
    let world = World::new(1 << 30);
    assert!(world.put(1).is_ok());
    // It is told after what the writer does by itself, and opens nothing: there is little room.
    let is_open = || {
        world.faults.free.store(1 << 20, Relaxed);
        assert!(world.put(9).is_err());
        world.faults.free.store(1 << 40, Relaxed);
        world.listings.of_zone(&zone(), None, 10).is_ok()
    };
    world.faults.is_full.store(true, Relaxed);
    assert!(world.put(2).is_err());
    assert!(!is_open(), "nor can it be opened");
    world.faults.has_no_new_pages.store(true, Relaxed);
    world.faults.is_full.store(false, Relaxed);
    assert!(world.put(3).is_err());
    assert!(is_open());
}

#[test]
fn what_may_be_in_the_store_is_not_said_to_be_undone() {
    let world = World::new(1 << 30);
    assert!(world.put(1).is_ok());
    world.faults.panics.store(true, Relaxed);
    let failed = world.put(2).expect_err("redb panicked");
    assert!(matches!(&failed, StoreError::Unsure(why) if why.contains("as a bug of redb would")), "{failed}");
    world.faults.panics.store(false, Relaxed);
    assert!(world.put(3).is_ok(), "it goes on");

    // Committed, but neither can it be served nor the store be read.
    let root = tempfile::tempdir().expect("a folder");
    let places = Places { served: Cell::default(), live: LiveCell::default(), slots: LiveSlots::default() };
    let (_sender, mut writer) = Listings::prepare(Settings::new(root.path().to_owned()), places, Disk::new());
    let failed = writer.publish(|_| panic!("as a bug of ours would")).expect_err("nothing can be served");
    assert!(matches!(&failed, StoreError::Unsure(_)), "{failed}");
}

#[test]
fn a_panic_of_the_writer_ends_nothing() {
    let mut world = World::new(1 << 30);
    let submit = |world: &World, number: u32, condition: Option<Condition>, fails: bool| {
        let key = Key::address(std::net::Ipv4Addr::from(0x0a00_0000 + number).into());
        let op = Op::Put { verdict: Verdict::LISTED, lifetime: Lifetime::Endless };
        let changes = vec![Change { zone: zone(), key, op, reason: None }];
        let origin = Origin { door: Door::Command, who: "test".into(), from: None };
        let (sender, receiver) = mpsc::channel();
        world.listings.submit(Batch { changes, origin, is_atomic: true, condition }, move |applied| {
            sender.send(applied).expect("awaited");
            assert!(!fails, "as a bug of ours would");
        });
        receiver
    };
    assert!(world.put(1).is_ok());
    // While the writer waits for the first one, the others gather for one commit.
    let ((begun, has_begun), (go, wait)) = (mpsc::channel(), mpsc::channel::<()>());
    let waits: Condition = Box::new(move |_| begun.send(()).is_ok() && wait.recv().is_ok());
    let first = submit(&world, 2, Some(waits), false);
    has_begun.recv().expect("it is decided");
    let panics: Condition = Box::new(|_| panic!("as a bug of ours would"));
    let together = [submit(&world, 3, Some(panics), false), submit(&world, 4, None, false)];
    go.send(()).expect("it waits");
    assert!(first.recv().expect("told").is_ok());
    for receiver in together {
        let refused = receiver.recv().expect("told").expect_err("nothing of that commit is done");
        assert!(matches!(&refused, StoreError::Unwritable(why) if why.contains("panicked")), "{refused}");
    }
    assert!(world.put(5).is_ok(), "it goes on");
    assert_eq!(world.listings.alarm(), None);
    let served = |world: &World| [1, 2, 3, 4, 5, 6, 7].map(|number| world.is_served(number));
    assert_eq!(served(&world), [true, true, false, false, true, false, false]);

    // An asker's fault is nobody else's, and a sweep's fault is over with the next one.
    assert!(submit(&world, 6, None, true).recv().expect("told").is_ok());
    assert_eq!(world.apply(99, Op::Delist), Ok(vec![Outcome::Unchanged]), "which writes nothing");
    assert_eq!(world.listings.alarm(), None, "all that was asked for is done");
    world.clock.is_broken.store(true, Relaxed);
    assert_eq!(world.listings.sweep(), 0);
    world.clock.is_broken.store(false, Relaxed);
    assert!(world.put(7).is_ok());
    assert_eq!(served(&world), [true, true, false, false, true, true, true]);
    world.reopen();
    assert_eq!(served(&world), [true, true, false, false, true, true, true], "after a restart too");
}

#[test]
fn what_is_done_is_told_although_nobody_can_count_within_it() {
    let world = World::new(1 << 30);
    world.put(1).expect("written");
    // Once to decide, and once to count.
    world.clock.breaks_after.store(2, Relaxed);
    let outcomes = world.apply(2, EXCLUDE).expect("written");
    assert_eq!(world.clock.breaks_after.load(Relaxed), 0, "it broke");
    assert!(matches!(outcomes[..], [Outcome::Excluded { still_listed: 0, .. }]), "{outcomes:?}");
    assert!(matches!(world.put(3).expect("written")[..], [Outcome::Listed { .. }]), "it begins anew");
}

#[test]
fn the_brake_works_on_a_disk_that_is_nearly_full() {
    let mut world = World::new(1 << 30);
    for number in 1..4 {
        assert!(world.put(number).is_ok());
    }
    world.faults.free.store(1 << 20, Relaxed);
    let refused = world.put(4).expect_err("there is little room");
    assert!(refused.to_string().contains("has 1 MB left, and new listings need 16"), "{refused}");
    assert!(refused.to_string().contains("go on as long as there is any room)"), "{refused}");
    assert_eq!(world.apply(1, Op::Delist), Ok(vec![Outcome::Delisted]));
    assert!(matches!(world.apply(2, EXCLUDE).as_deref(), Ok([Outcome::Excluded { .. }])));
    assert!(world.listings.alarm().is_some_and(|alarm| alarm.contains("1 MB left")), "nothing new is taken");
    // A batch that lists something as well is refused as a whole, whatever waits beside it.
    let change = |number: u8, op| {
        let key = Key::address(std::net::Ipv4Addr::new(10, 0, 0, number).into());
        Change { zone: zone(), key, op, reason: None }
    };
    let origin = Origin { door: Door::Command, who: "test".into(), from: None };
    let mixed = world.listings.apply(vec![change(3, Op::Delist), change(5, LIST)], &origin);
    assert!(matches!(mixed, Err(StoreError::Unwritable(_))), "{mixed:?}");
    assert!(world.is_served(3) && !world.is_served(5));

    // Without any room the commit fails, and all is as it was.
    world.faults.is_full.store(true, Relaxed);
    let failed = world.apply(3, Op::Delist);
    assert!(matches!(&failed, Err(StoreError::Unwritable(_) | StoreError::Unsure(_))), "{failed:?}");
    assert!(world.apply(3, EXCLUDE).is_err());
    assert!(world.is_served(3), "what is listed stays listed");
    world.faults.is_full.store(false, Relaxed);
    world.listings.sweep();
    assert!(world.listings.of_zone(&zone(), None, 10).is_ok(), "it can be read though there is little room");
    assert_eq!(world.apply(3, Op::Delist), Ok(vec![Outcome::Delisted]), "as soon as there is some");
    world.faults.free.store(1 << 40, Relaxed);
    assert!(world.put(6).is_ok());
    assert_eq!(world.listings.alarm(), None);
    world.reopen();
    let records = world.listings.of_zone(&zone(), None, 10).expect("readable");
    let kept: Vec<_> = records.iter().map(|record| (record.key.to_string(), record.verdict.clone())).collect();
    assert_eq!(kept, [("10.0.0.2".to_owned(), Verdict::Excluded), ("10.0.0.6".to_owned(), Verdict::LISTED)]);
}

#[test]
fn what_follows_is_counted_as_far_as_that_is_wanted() {
    let world = World::new(1 << 30);
    for number in 1..6 {
        assert!(world.put(number).is_ok());
    }
    let first = "10.0.0.1".parse().expect("a key");
    let count = |most| world.listings.count_after(&zone(), &first, most).expect("readable");
    assert_eq!([0, 3, 4, 9].map(count), [0, 3, 4, 4]);
}

#[test]
fn an_alarm_ends_when_there_is_room_again() {
    let world = World::new(1 << 30);
    // As it is said when the disk is nearly full: the store stays open.
    let alarm = || world.listings.0.shared.alarm.store(Some(Arc::new(StoreError::Unwritable("no room".to_owned()))));
    alarm();
    world.listings.sweep();
    assert_eq!(world.listings.alarm(), None, "though no change came, and nothing may be thrown away yet");
    world.clock.now_s.fetch_add(trust::SETTLE_S, Relaxed);
    alarm();
    world.listings.sweep();
    assert_eq!(world.listings.alarm(), None);
}

#[test]
fn all_of_a_batch_is_counted_or_nothing_was_decided() {
    let world = World::new(1 << 30);
    let submit = |holds: bool| {
        let change = |zone: &[u8]| {
            let op = Op::Put { verdict: Verdict::Excluded, lifetime: Lifetime::Default };
            let key = "192.0.2.1".parse().expect("a key");
            Change { zone: Name::parse(zone).expect("a name"), key, op, reason: None }
        };
        let changes = vec![change(b"bl.example"), change(b"one.test"), change(b"two.test"), change(b"bl.example")];
        let origin = Origin { door: Door::DnsUpdate, who: "test".into(), from: None };
        let batch = Batch { changes, origin, is_atomic: true, condition: Some(Box::new(move |_| holds)) };
        let (sender, receiver) = mpsc::channel();
        world.listings.submit(batch, move |applied| sender.send(applied).expect("awaited"));
        receiver.recv().expect("told")
    };
    assert_eq!(submit(false), Err(StoreError::ConditionFailed));
    assert_eq!(world.listings.update_counts(), []);
    assert!(submit(true).is_ok());
    let row = |zone, count| UpdateCount { zone, door: "dns-update", op: "exclude", result: "refused", count };
    assert_eq!(world.listings.update_counts(), [row(None, 2), row(Some(zone()), 2)]);
}

#[test]
fn history_is_bounded_by_time_and_size() {
    let world = World::new(4_000);
    let key = |number: u32| Key::address(std::net::Ipv4Addr::from(0x0a00_0000 + number).into());
    let events = |number| world.listings.history(&zone(), &key(number), 10).expect("readable").len();
    for number in 0..100 {
        assert!(world.put(number).is_ok());
    }
    assert!(world.listings.history_bytes().expect("readable") > 4_000);
    world.clock.now_s.fetch_add(trust::SETTLE_S, Relaxed);
    assert!(world.listings.sweep() > 10);
    assert!(world.listings.history_bytes().expect("readable") <= 4_000);
    assert_eq!((events(0), events(99)), (0, 1), "the oldest goes first");
    assert!(world.is_served(0), "and takes no listing with it");
    world.clock.now_s.fetch_add(DEFAULT_HISTORY_S + 4_000, Relaxed);
    world.listings.sweep();
    assert_eq!(events(99), 0);
    assert!(world.live.load().zone(0).is_none(), "what is over is swept, and gives its memory back");
}

/// No listing falls back to its first time since what was before is forgotten.
#[test]
fn a_listing_knows_its_times_when_its_history_is_gone() {
    let world = World::new(0);
    let times_at = |minutes: u64| {
        world.clock.now_s.store(NOW_S + minutes * 60, Relaxed);
        match world.apply(1, ENDLESS).expect("written").remove(0) {
            Outcome::Listed { times, .. } | Outcome::Extended { times, .. } => times,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([0, 10, 20].map(times_at), [1, 2, 3]);
    assert!(world.listings.sweep() > 0, "all of it is thrown away");
    assert_eq!([30, 40, 50, 60].map(times_at), [3, 3, 3, 4], "three at least, whatever else there was");
    world.listings.sweep();
    assert_eq!(times_at(40 * 24 * 60), 1, "the window is over");
}

#[test]
fn a_clock_that_is_set_by_mistake_delists_nothing_for_good() {
    struct Set(AtomicU64, AtomicU64);
    impl Clock for Set {
        fn now_s(&self) -> u64 {
            self.0.load(Relaxed)
        }
        fn running_s(&self) -> u64 {
            self.1.load(Relaxed)
        }
    }
    let mut world = World::new(1 << 30);
    world.listings.stop();
    let clock = Arc::new(Set(AtomicU64::new(NOW_S), AtomicU64::new(0)));
    let served = Cell::default();
    let settings = reloader::Settings::new(ZoneSource::Folder(world.root.path().to_owned()), load::Options::default());
    let mut reloader = Reloader::new(settings, Arc::clone(&served));
    reloader.reload(NOW_S);
    let places = Places { served, live: Arc::clone(&world.live), slots: reloader.live_slots() };
    let settings =
        Settings { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Settings::new(world.root.path().to_owned()) };
    world.listings = Listings::open(settings, places).expect("opened");
    assert!(world.put(1).is_ok());
    let run = |seconds| {
        clock.0.fetch_add(seconds, Relaxed);
        clock.1.fetch_add(seconds, Relaxed);
    };
    run(trust::SETTLE_S);
    assert_eq!(world.listings.sweep(), 0);
    // Somebody sets it a day ahead, and notices.
    clock.0.fetch_add(86_400, Relaxed);
    let found = || world.listings.get(&zone(), &"10.0.0.1".parse().expect("a key")).expect("readable");
    assert_eq!(found(), None, "a lookup goes by the clock as it is");
    assert_eq!(world.listings.sweep(), 0, "but nothing is thrown away");
    clock.0.fetch_sub(86_400, Relaxed);
    assert!(found().is_some(), "so it is there when the clock is right again");
    // Set back, nothing comes back that was over and swept.
    run(4 * 3_600);
    world.listings.sweep();
    run(trust::SETTLE_S);
    assert_eq!(world.listings.sweep(), 1);
    clock.0.fetch_sub(86_400, Relaxed);
    assert_eq!(found(), None);
}
