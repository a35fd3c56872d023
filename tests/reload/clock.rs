//! The reloader itself, with the time passed in: clocks that are set, entries that are over, what is kept, and who is asked for
//! the servers of a zone.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use dnsbld::{
    live::{
        kept::Kept,
        reloader::{Occasion, Reloader, Settings},
        served::Cell,
        zones::ZoneSource,
    },
    load::Options,
    zone::{dataset::Entries, ruling::Context},
};

use super::live::notes;

/// 2026-11-22T12:00:00Z.
const NOON: u64 = 1_795_348_800;
const HOUR: u64 = 3_600;

/// A reloader on a folder with a state folder beside it.
struct World {
    root: tempfile::TempDir,
    cell: Cell,
    reloader: Reloader,
    /// When that noon was, by the clock that cannot be set.
    noon: Instant,
}

impl World {
    fn new(file: &str, text: &str) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join("zones")).expect("a folder");
        write(&root.path().join("zones").join(file), text);
        let (cell, reloader) = start(root.path());
        Self { root, cell, reloader, noon: Instant::now() }
    }

    /// Keeps what went live.
    fn keep(&mut self) {
        while self.reloader.keep_next() {}
    }

    fn restart(&mut self) {
        self.keep();
        (self.cell, self.reloader) = start(self.root.path());
    }

    fn write(&self, file: &str, text: &str) {
        write(&self.root.path().join("zones").join(file), text);
    }

    /// Looks at a second after that noon, with a clock that runs as it should.
    fn look(&mut self, now_s: u64, occasion: Occasion<'_>) {
        let at = self.noon + Duration::from_secs(now_s - NOON);
        self.reloader.look_at((now_s, at), occasion);
    }

    fn reload(&mut self, now_s: u64) {
        self.look(now_s, Occasion::Command(None));
    }

    fn entries(&self) -> usize {
        let served = self.cell.load();
        let content = served.snapshot.zones()[0].content.as_ref().expect("loaded");
        content.datasets().iter().map(|dataset| dataset.len()).sum()
    }

    fn is_listed(&self, number: u32, now_s: u64) -> bool {
        let served = self.cell.load();
        let content = served.snapshot.zones()[0].content.as_ref().expect("loaded");
        content.datasets().iter().any(|dataset| match &dataset.entries {
            Entries::Addresses(addresses) => {
                addresses.find_v4(0x0a00_0001 + number, &Context { now_s, keyed: false }).is_listed()
            }
            _ => false,
        })
    }

    fn troubles(&self) -> Vec<String> {
        self.reloader.status().read().troubles.values().map(|trouble| trouble.text.clone()).collect()
    }
}

fn start(root: &Path) -> (Cell, Reloader) {
    let cell = Cell::default();
    let mut settings = Settings::new(ZoneSource::Folder(root.join("zones")), Options::default());
    settings.kept = Some(Kept::new(&root.join("state"), 1 << 20).expect("made"));
    let reloader = Reloader::new(settings, Arc::clone(&cell));
    (cell, reloader)
}

/// Writes a file as of that noon.
fn write(path: &Path, text: &str) {
    let aside = path.with_file_name(".aside");
    fs::write(&aside, text).expect("written");
    let file = fs::File::options().write(true).open(&aside).expect("opened");
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(NOON)).expect("set");
    fs::rename(aside, path).expect("renamed");
}

#[test]
fn a_clock_set_forward_and_back_delists_nothing() {
    let mut world = World::new("a.example.ip4seen", &format!("$LIFETIME 30m\n{}", notes(20_000, NOON)));
    world.reloader.reload(NOON, None);
    assert_eq!((world.entries(), world.is_listed(7, NOON + 60)), (20_000, true));
    // An hour ahead: all is over, is swept away even ...
    world.reloader.look(NOON + HOUR, Occasion::Interval);
    assert_eq!((world.entries(), world.is_listed(7, NOON + HOUR)), (0, false));
    // ... and is there again when the clock is right again, though no file has changed.
    world.reloader.look(NOON + 60, Occasion::Interval);
    assert_eq!((world.entries(), world.is_listed(7, NOON + 60)), (20_000, true));
    assert!(world.troubles().is_empty(), "{:?}", world.troubles());
}

#[test]
fn a_clock_that_was_behind_at_the_start_delists_nothing() {
    let mut world = World::new("a.example.ip4seen", &format!("$LIFETIME 1h\n{}", notes(10, NOON - 60)));
    // As a machine without a battery: its times are all in the future, and are taken for now.
    world.reloader.reload(86_400, None);
    assert!(world.is_listed(7, 86_400) && !world.is_listed(7, NOON));
    world.reloader.look(NOON, Occasion::Interval);
    assert!(world.is_listed(7, NOON) && !world.is_listed(7, NOON - 60 + HOUR));
}

#[test]
fn lists_without_lifetimes_do_not_care_for_the_clock() {
    let mut world = World::new("a.example.ip4set", "10.0.0.8\n");
    world.reloader.reload(NOON, None);
    for now_s in [NOON + HOUR, NOON - HOUR, 5_000_000_000] {
        let report = world.reloader.look(now_s, Occasion::Interval);
        assert!(report.datasets.is_empty() && !report.published);
        assert!(world.is_listed(7, now_s));
    }
}

#[test]
fn only_what_is_worth_it_is_swept() {
    let stays = "192.0.2.1 1795348800 @ lifetime=0\n".to_owned();
    let mut world = World::new("a.example.ip4seen", &format!("$LIFETIME 30s\n{stays}{}", notes(5_000, NOON)));
    world.reload(NOON);
    world.look(NOON + 45, Occasion::Interval);
    assert_eq!(world.entries(), 5_001, "a few thousand may lie about");
    world.write("a.example.ip4seen", &format!("$LIFETIME 30s\n{stays}{}", notes(15_000, NOON + 20)));
    world.reload(NOON + 45);
    assert_eq!(world.entries(), 15_001);
    world.look(NOON + 52, Occasion::Change);
    assert_eq!(world.entries(), 15_001, "only at intervals");
    world.look(NOON + 52, Occasion::Interval);
    assert_eq!(world.entries(), 1);
    assert!(world.troubles().is_empty(), "{:?}", world.troubles());
}

#[test]
fn what_is_over_is_not_missed() {
    let old = notes(4_000, NOON);
    let mut world = World::new("a.example.ip4seen", &format!("$LIFETIME 40s\n{old}"));
    world.reload(NOON);
    // A dump that leaves out what is over: a fortieth of the entries, and no collapse.
    world.write("a.example.ip4seen", &format!("$LIFETIME 40s\n{}", notes(100, NOON + 30)));
    world.reload(NOON + 50);
    assert_eq!((world.entries(), world.troubles().len()), (100, 0), "{:?}", world.troubles());
    // The same after a restart, from what is kept.
    world.write("a.example.ip4seen", &format!("$LIFETIME 40s\n{}", notes(4_000, NOON + 50)));
    world.reload(NOON + 50);
    world.restart();
    world.write("a.example.ip4seen", &format!("$LIFETIME 40s\n{}", notes(100, NOON + 95)));
    world.reload(NOON + 100);
    assert_eq!((world.entries(), world.troubles().len()), (100, 0), "{:?}", world.troubles());
    // But a list that is alive and shrinks to nothing is refused as ever.
    world.write("a.example.ip4seen", &format!("$LIFETIME 40s\n{}", notes(4_000, NOON + 100)));
    world.reload(NOON + 100);
    world.write("a.example.ip4seen", &format!("$LIFETIME 40s\n{}", notes(100, NOON + 100)));
    world.reload(NOON + 100);
    assert_eq!(world.entries(), 4_000);
    assert!(world.troubles()[0].contains("100 entries where there were 4000"), "{:?}", world.troubles());
}

#[test]
fn a_file_is_loaded_when_it_is_quiet() {
    let mut world = World::new("a.example.ip4set", "10.0.0.1\n");
    world.reload(NOON);
    let quiet = Duration::from_millis(200);
    let mut at = world.noon;
    for number in 2..6 {
        world.write("a.example.ip4set", &format!("10.0.0.1\n10.0.0.{number}\n10.0.0.{number}\n"));
        at += quiet;
        world.reloader.look_at((NOON, at), Occasion::Change);
        assert!(world.reloader.has_unquiet());
        at += quiet / 4;
        world.reloader.look_at((NOON, at), Occasion::Change);
        assert!(world.reloader.has_unquiet() && world.entries() == 1, "it changed a moment ago");
    }
    world.reloader.look_at((NOON, at + quiet), Occasion::Change);
    assert!(!world.reloader.has_unquiet() && world.entries() > 1);
    // An operator says that it is ready.
    world.write("a.example.ip4set", "10.0.0.9\n");
    world.reload(NOON);
    assert!(world.is_listed(8, NOON) && !world.reloader.has_unquiet());
}

#[test]
fn what_a_wrong_clock_refused_is_taken_when_it_is_right() {
    let mut world = World::new("a.example.ip4set", "10.0.0.1\n");
    world.reload(NOON);
    let good = "$TIMESTAMP 2026-11-22:11:00:00 2026-11-22:13:00:00\n10.0.0.1\n10.0.0.2\n";
    world.write("a.example.ip4set", good);
    world.reload(NOON + 2 * HOUR);
    assert!(!world.is_listed(1, NOON));
    assert!(world.troubles()[0].contains("expired"), "{:?}", world.troubles());
    world.look(NOON + 60, Occasion::Interval);
    assert!(world.is_listed(1, NOON) && world.troubles().is_empty(), "{:?}", world.troubles());
}

#[test]
fn what_a_wrong_clock_swept_comes_back_without_its_file() {
    for newer in [None, Some("192.0.2.1 1795348800\n192.0.2")] {
        let mut world = World::new("a.example.ip4seen", &format!("$LIFETIME 30m\n{}", notes(20_000, NOON)));
        world.reload(NOON);
        world.keep();
        world.look(NOON + HOUR, Occasion::Interval);
        assert_eq!(world.entries(), 0, "an hour ahead");
        match newer {
            None => fs::remove_file(world.root.path().join("zones/a.example.ip4seen")).expect("removed"),
            Some(text) => world.write("a.example.ip4seen", text),
        }
        world.reload(NOON + HOUR);
        // What is refused now must not take the place of what is kept.
        world.keep();
        assert_eq!((world.entries(), world.troubles().len()), (0, 1), "{:?}", world.troubles());
        world.look(NOON + 60, Occasion::Interval);
        assert_eq!((world.entries(), world.is_listed(7, NOON + 60)), (20_000, true));
        assert_eq!(world.troubles().len(), 1, "{:?}", world.troubles());
    }
}

#[test]
fn only_what_went_live_is_kept() {
    let mut world = World::new("a.example.ip4set", "10.0.0.1\n");
    world.reload(NOON);
    world.keep();
    world.write("a.example.ip4set", "10.0.0.1\n10.0.0.2\n");
    world.reload(NOON);
    // Before that is kept, another comes that is refused.
    world.write("a.example.ip4set", "10.0.0.1\n127.0.0.1\n10.0.0.3\n");
    world.reload(NOON);
    world.restart();
    world.reload(NOON);
    assert!(!world.is_listed(2, NOON), "{:?}", world.troubles());
}

#[test]
fn a_zone_does_not_list_its_own_servers_from_the_start() {
    let good = "$NS 1h ns.a.example\n10.0.0.1\n";
    let mut world = World::new("a.example.ip4set", good);
    world.write("a.example.generic", "ns A 10.0.0.9\n");
    world.reload(NOON);
    world.keep();
    world.write("a.example.ip4set", &format!("{good}10.0.0.9\n"));
    world.restart();
    // Nothing is served yet from which the servers could be known, but all is there that tells of them.
    world.reload(NOON);
    assert!(world.is_listed(0, NOON) && !world.is_listed(8, NOON));
    assert!(world.troubles()[0].contains("10.0.0.9, a name server of its own zone"), "{:?}", world.troubles());
    // Where nothing better is there, it is served.
    world.write("a.example.generic", "ns A 10.0.0.8\n");
    fs::remove_dir_all(world.root.path().join("state")).expect("removed");
    world.restart();
    world.reload(NOON);
    assert!(world.is_listed(8, NOON) && world.troubles().is_empty(), "{:?}", world.troubles());
}
