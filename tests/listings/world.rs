//! Zones and live listings in process, with a clock of their own.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use dnsbld::{
    answer::{self, Client, DEFAULT_UDP_PAYLOAD_LEN, Policy, Transport},
    live::{
        listings::{
            Change, Clock, Door, Event, Key, Lifetime, Listings, Op, Origin, Outcome, Places, Rules, Settings,
            StoreError, Verdict,
        },
        reloader::{self, Reloader},
        served::{Cell, LiveCell},
        zones::ZoneSource,
    },
    load,
    wire::name::Name,
    zone::live::Live,
};

use super::support::{
    both_ways,
    message::{Query, kind_number, show_reply},
};

/// 2026-11-22T10:00:00Z.
pub(crate) const TEN: u64 = 1_795_341_600;
pub(crate) const MINUTE: u64 = 60;
pub(crate) const HOUR: u64 = 3_600;

/// A clock that the test moves; it runs and is never set.
pub(crate) struct Moved(AtomicU64);

impl Clock for Moved {
    fn now_s(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn running_s(&self) -> u64 {
        self.now_s()
    }
}

/// A server's inside.
pub(crate) struct World {
    pub(crate) root: tempfile::TempDir,
    pub(crate) clock: Arc<Moved>,
    pub(crate) rules: Rules,
    cell: Cell,
    live: LiveCell,
    reloader: Reloader,
    pub(crate) listings: Listings,
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text.as_bytes()).expect(text)
}

pub(crate) fn key(text: &str) -> Key {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

impl World {
    /// At ten o'clock.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        Self::with_rules(files, Rules::default())
    }

    pub(crate) fn with_rules(files: &[(&str, &str)], rules: Rules) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        for folder in ["zones", "state"] {
            fs::create_dir(root.path().join(folder)).expect("a folder");
        }
        for (file, text) in files {
            fs::write(root.path().join("zones").join(file), text).expect("written");
        }
        let clock = Arc::new(Moved(AtomicU64::new(TEN)));
        let (cell, live, reloader, listings) = start(root.path(), &clock, &rules);
        Self { root, clock, rules, cell, live, reloader, listings: listings.expect("opened") }
    }

    /// Ends and starts again, on the same folders.
    pub(crate) fn restart(&mut self) {
        // Where a test beside this one starts a program, that has what we hold open, and our claim with it, until it runs.
        for _ in 0..100 {
            self.listings.stop();
            let (cell, live, reloader, listings) = start(self.root.path(), &self.clock, &self.rules);
            (self.cell, self.live, self.reloader, self.listings) = (cell, live, reloader, listings.expect("opened"));
            if !self.listings.waits() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("another server has the store");
    }

    /// Another server on the same folders.
    pub(crate) fn second(&self) -> Result<Listings, StoreError> {
        start(self.root.path(), &self.clock, &self.rules).3
    }

    pub(crate) fn at(&self, now_s: u64) {
        self.clock.0.store(now_s, Relaxed);
    }

    pub(crate) fn drop_file(&mut self, file: &str, text: &str) {
        fs::write(self.root.path().join("zones").join(file), text).expect("written");
        self.reloader.reload(self.clock.now_s());
    }

    pub(crate) fn apply(&self, changes: Vec<Change>) -> Vec<Outcome> {
        self.listings.apply(changes, &somebody()).expect("written")
    }

    pub(crate) fn list(&self, zone: &str, text: &str, lifetime: Lifetime) -> Outcome {
        self.apply(vec![put(zone, text, Verdict::LISTED, lifetime)]).remove(0)
    }

    pub(crate) fn exclude(&self, zone: &str, text: &str) -> Outcome {
        self.apply(vec![put(zone, text, Verdict::Excluded, Lifetime::Endless)]).remove(0)
    }

    pub(crate) fn delist(&self, zone: &str, text: &str) -> Outcome {
        self.apply(vec![Change { zone: name(zone), key: key(text), op: Op::Delist, reason: None }]).remove(0)
    }

    pub(crate) fn history(&self, zone: &str, text: &str) -> Vec<Event> {
        self.listings.history(&name(zone), &key(text), 100).expect("readable")
    }

    /// What a query is answered: the code, then the records of the answer section with their TTL.
    pub(crate) fn ask(&self, question: &str, kind: &str) -> Vec<String> {
        self.ask_with(&self.live.load(), question, kind)
    }

    /// The same as if nothing was listed by command.
    pub(crate) fn ask_files(&self, question: &str, kind: &str) -> Vec<String> {
        self.ask_with(Live::NONE, question, kind)
    }

    fn ask_with(&self, live: &Live, question: &str, kind: &str) -> Vec<String> {
        let served = self.cell.load();
        let policy = Policy {
            udp_payload_len: DEFAULT_UDP_PAYLOAD_LEN,
            minimal: true,
            version: None,
            identity: None,
            cookie_secret: *b"a listed secret!",
            leaves_signed: false,
        };
        let world = answer::World { snapshot: &served.snapshot, policy: &policy, now_s: self.clock.now_s(), live };
        let client = Client { address: [127, 0, 0, 1].into(), transport: Transport::Udp };
        let request = Query::new(question, kind_number(kind).expect(kind)).octets();
        let mut buffer = vec![0; 65_535];
        let outcome = both_ways::answer(world, client, &request, &mut buffer);
        let lines = show_reply(&buffer[..usize::from(outcome.reply_len)]).unwrap_or_else(|error| panic!("{error}"));
        let code = lines[0].split(' ').next().expect("a code").to_owned();
        let answers = lines[1..].iter().filter(|line| line.starts_with("answer")).cloned();
        std::iter::once(code).chain(answers).collect()
    }
}

pub(crate) fn put(zone: &str, text: &str, verdict: Verdict, lifetime: Lifetime) -> Change {
    Change { zone: name(zone), key: key(text), op: Op::Put { verdict, lifetime }, reason: Some("Eicar".into()) }
}

pub(crate) fn somebody() -> Origin {
    Origin { door: Door::Command, who: "postmaster".into(), from: None }
}

fn start(root: &Path, clock: &Arc<Moved>, rules: &Rules) -> (Cell, LiveCell, Reloader, Result<Listings, StoreError>) {
    let (cell, live) = (Cell::default(), LiveCell::default());
    let source = ZoneSource::Folder(root.join("zones"));
    let settings = reloader::Settings::new(source, load::Options::default());
    let mut reloader = Reloader::new(settings, Arc::clone(&cell));
    reloader.reload(clock.now_s());
    let places = Places { served: Arc::clone(&cell), live: Arc::clone(&live), slots: reloader.live_slots() };
    let settings = Settings {
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        rules: rules.clone(),
        ..Settings::new(root.join("state"))
    };
    let listings = Listings::open(settings, places);
    (cell, live, reloader, listings)
}
