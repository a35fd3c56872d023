//! Live listings: what is listed or excluded by command, for a time, beside what the files say.
//!
//! Changes come in by several doors (the control socket, HTTP, DNS UPDATE, rspamd's datagrams) and all end in
//! [`Listings::submit`]. One thread decides them in order, writes them to the store with one commit for all that came in
//! meanwhile, publishes what is served, and then tells each asker. So what is acknowledged is on disk and served.
//!
//! ```text
//! key.rs      what is listed: a prefix, a name, all names below one
//! change.rs   what is asked and answered, and what is kept of it
//! rules.rs    what may be listed, and for how long
//! writer.rs   the thread that changes anything; decide.rs, what becomes of each change
//! store.rs    tables on the disk; codec.rs, what stands in them; file.rs, the file they are in
//! history.rs  what happened to each key, and how often it was listed
//! serving.rs  from there to what workers read
//! counts.rs   what became of changes, counted
//! trust.rs    the time, and how far it is trusted
//! ```

mod change;
mod codec;
mod counts;
mod decide;
mod file;
mod history;
mod key;
mod rules;
mod serving;
mod store;
#[cfg(test)]
mod tests;
mod trust;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
};

use arc_swap::ArcSwapOption;
use tokio::sync::oneshot;

pub(crate) use change::none;
pub use change::{
    Around, Change, Door, Event, Exported, Lifetime, Op, Origin, Outcome, REASON_MAX_LEN, Record, Refusal,
    STILL_LISTED_MAX, StoreError, Verdict, What,
};
pub use counts::UpdateCount;
pub use key::{Key, no_domain};
pub use rules::{Rule, Rules};
pub use trust::{Clock, SystemClock};

use self::{
    counts::UpdateCounts,
    decide::{Order, Work},
    file::Disk,
    serving::Serving,
    trust::Confidence,
    writer::{Message, Shared, Writer},
};
use super::served::{Cell, LiveCell, LiveSlots};
use crate::wire::name::Name;

/// What a server does whose store cannot be had.
pub const WITHOUT_LISTINGS: &str =
    "zones are served as their files say, WITHOUT what was listed or excluded by command";

/// Whether a batch is to be done, asked by the writer just before: the argument tells what is said of a key at that moment.
pub type Condition = Box<dyn FnOnce(&dyn Fn(&Name, &Key) -> Option<Record>) -> bool + Send>;

/// What becomes of a batch, change by change.
pub type Applied = Result<Vec<Outcome>, StoreError>;

/// Changes that are done together: all become durable and served at once.
pub struct Batch {
    /// In this order.
    pub changes: Vec<Change>,
    /// Who asks.
    pub origin: Origin,
    /// If one is refused, none is done (RFC 2136 section 3).
    pub is_atomic: bool,
    /// Done only if this holds (the prerequisites of RFC 2136 section 2.4).
    pub condition: Option<Condition>,
}

impl Batch {
    /// Changes that are done or refused each by itself.
    pub fn each(changes: Vec<Change>, origin: Origin) -> Self {
        Self { changes, origin, is_atomic: false, condition: None }
    }
}

/// The live listings of a running server; clones are the same.
#[derive(Clone)]
pub struct Listings(Arc<Inner>);

struct Inner {
    sender: mpsc::Sender<Message>,
    shared: Arc<Shared>,
    places: Places,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Most changes that wait; more are refused, so that a flood does not take all memory.
const WAITING_MAX: usize = 200_000;

/// What the listings of a server are made of.
pub struct Settings {
    /// The state folder, in which the store is.
    pub state: PathBuf,
    /// What may be listed, and for how long.
    pub rules: Rules,
    /// TTL of answers where a zone gives none, in seconds.
    pub ttl_s: u32,
    /// History is kept for so many seconds.
    pub history_s: u64,
    /// And as much of it as fits these octets.
    pub history_max_bytes: u64,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Settings {
    /// The defaults, in that state folder.
    pub fn new(state: PathBuf) -> Self {
        Self {
            state,
            rules: Rules::default(),
            ttl_s: 2_100,
            history_s: DEFAULT_HISTORY_S,
            history_max_bytes: DEFAULT_HISTORY_MAX_BYTES,
            clock: Arc::new(SystemClock::default()),
        }
    }
}

/// How long history is kept unless told otherwise: a quarter of a year.
pub const DEFAULT_HISTORY_S: u64 = 90 * 86_400;
/// As much history is kept unless told otherwise: some four million events.
pub const DEFAULT_HISTORY_MAX_BYTES: u64 = 1 << 30;

/// Where the listings find what is served, and put what they serve.
#[derive(Clone)]
pub struct Places {
    /// The zones and their files, which decide what may be listed.
    pub served: Cell,
    /// Where the listings are published.
    pub live: LiveCell,
    /// Which zone's are where.
    pub slots: LiveSlots,
}

impl Listings {
    /// Opens the store, serves what is in it, and begins to take changes. If another server has it, or the system does not let
    /// it be opened, that comes to pass once it can be, and until then nothing is taken and [`Self::waits`].
    ///
    /// # Errors
    /// When the store is damaged, or there is none and it cannot be made.
    pub fn open(settings: Settings, places: Places) -> Result<Self, StoreError> {
        Self::open_with(settings, places, Disk::new())
    }

    fn open_with(settings: Settings, places: Places, disk: Disk) -> Result<Self, StoreError> {
        let (sender, mut writer) = Self::prepare(settings, places.clone(), disk);
        let shared = Arc::clone(&writer.shared);
        let may_hold_listings = file::may_hold_listings(&shared.path);
        match writer.load() {
            Ok(_) => {}
            // Nothing is missing from what is served.
            Err(why @ StoreError::Closed(_)) if !may_hold_listings => return Err(why),
            Err(why @ (StoreError::InUse(_) | StoreError::Closed(_))) => {
                shared.alarm.store(Some(Arc::new(why)));
            }
            Err(why) => return Err(why),
        }
        let thread = thread::Builder::new().name("listings".into()).spawn(move || writer.run());
        let thread = thread.map_err(|error| StoreError::Unwritable(format!("the system gives no thread: {error}")))?;
        Ok(Self(Arc::new(Inner { sender, shared, places, thread: Mutex::new(Some(thread)) })))
    }

    /// A writer that has not opened its store yet, and how it is told something.
    fn prepare(settings: Settings, places: Places, disk: Disk) -> (mpsc::Sender<Message>, Writer) {
        let shared = Arc::new(Shared {
            database: ArcSwapOption::empty(),
            is_loaded: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            alarm: ArcSwapOption::empty(),
            counts: UpdateCounts::new(Arc::clone(&places.served)),
            path: file::path_in(&settings.state),
            disk,
            clock: settings.clock,
            history_s: settings.history_s,
            history_max_bytes: settings.history_max_bytes,
        });
        let (sender, receiver) = mpsc::channel();
        let writer = Writer {
            receiver,
            serving: Serving::new(places.live, places.slots, settings.ttl_s),
            served: places.served,
            rules: settings.rules,
            confidence: Confidence::new(&*shared.clock),
            shared,
            file: None,
            claim: None,
            rival: None,
            damaged: None,
            is_doubtful: false,
            is_unproven: false,
            is_to_reopen: false,
        };
        (sender, writer)
    }

    /// Does what is asked, and returns when it is durable and served. Blocks for some milliseconds.
    ///
    /// # Errors
    /// When nothing could be done; see [`StoreError`].
    pub fn apply(&self, changes: Vec<Change>, origin: &Origin) -> Applied {
        self.order(Batch::each(changes, origin.clone())).blocking_recv().unwrap_or(Err(StoreError::Ending))
    }

    /// Has a batch done; what becomes of it is received when it is durable and served.
    pub fn order(&self, batch: Batch) -> oneshot::Receiver<Applied> {
        let (sender, receiver) = oneshot::channel();
        self.submit(batch, move |applied| drop(sender.send(applied)));
        receiver
    }

    /// Has a batch done, and calls `done` on the writer's thread when it is durable and served. Does not block.
    pub fn submit(&self, batch: Batch, done: impl FnOnce(Applied) + Send + 'static) {
        let Batch { changes, origin, is_atomic, condition } = batch;
        let work = changes.into_iter().map(Work::from).collect();
        self.send(Order { work, origin, is_atomic, condition, done: Box::new(done) });
    }

    /// Takes back what was exported, with its times and who listed it. What the rules refuse is not taken, nor what is older than
    /// what is said of its key here, nor a listing within an exclusion that it did not stand within before; what the rules allow
    /// no longer ends sooner, and what holds longer here does not. Of the history, the last time that each was listed counts,
    /// unless it is counted already, and that somebody brought it is noted. What becomes of it is received when it is durable and
    /// served.
    pub fn restore(&self, lines: Vec<Exported>, origin: Origin) -> oneshot::Receiver<Applied> {
        let (sender, receiver) = oneshot::channel();
        let work = lines.into_iter().map(Work::from).collect();
        let done = Box::new(move |applied| drop(sender.send(applied)));
        self.send(Order { work, origin, is_atomic: false, condition: None, done });
        receiver
    }

    fn send(&self, order: Order) {
        let count = order.work.len();
        let waiting = self.0.shared.waiting.fetch_add(count, Ordering::Relaxed);
        if waiting > 0 && waiting + count > WAITING_MAX {
            self.0.shared.waiting.fetch_sub(count, Ordering::Relaxed);
            return self.0.shared.tell(order, Err(StoreError::Busy));
        }
        if let Err(mpsc::SendError(Message::Order(order))) = self.0.sender.send(Message::Order(order)) {
            self.0.shared.tell(order, Err(StoreError::Ending));
        }
    }

    /// What is said of exactly this key, if it is in force.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    pub fn get(&self, zone: &Name, key: &Key) -> Result<Option<Record>, StoreError> {
        let record = store::get(&*self.0.shared.database()?, zone, key)?;
        Ok(record.filter(|record| record.in_force(self.now_s())))
    }

    /// The listings of a zone that are in force, in the order of the store, from the one after `after`, at most `limit` of them.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    pub fn of_zone(&self, zone: &Name, after: Option<&Key>, limit: usize) -> Result<Vec<Record>, StoreError> {
        let database = self.0.shared.database()?;
        let now_s = self.now_s();
        let (mut records, mut after) = (Vec::new(), after.cloned());
        while records.len() < limit {
            let wanted = limit - records.len();
            let page = store::of_zone(&database, zone, after.as_ref(), wanted)?;
            let is_last = page.len() < wanted;
            after = page.last().map(|record| record.key.clone());
            records.extend(page.into_iter().filter(|record| record.in_force(now_s)));
            if is_last {
                break;
            }
        }
        Ok(records)
    }

    /// The same as it is exported.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    pub fn exported(&self, zone: &Name, after: Option<&Key>, limit: usize) -> Result<Vec<Exported>, StoreError> {
        let records = self.of_zone(zone, after, limit)?.into_iter();
        records.map(|record| Ok(Exported { within: self.exclusions_around(&record)?, record })).collect()
    }

    /// The exclusions in force that a listing stands within. They are looked for where they are served, see [`decide`].
    fn exclusions_around(&self, record: &Record) -> Result<Vec<Around>, StoreError> {
        let Places { live, slots, .. } = &self.0.places;
        let places = match live.load().zone(slots.slot(&record.zone)) {
            Some(zone) if record.verdict != Verdict::Excluded => zone.exclusions_around(&record.key.place()),
            _ => Vec::new(),
        };
        let mut within = Vec::new();
        for key in places.iter().map(Key::of) {
            let around = self.get(&record.zone, &key)?.filter(|around| around.verdict == Verdict::Excluded);
            within.extend(around.map(|around| Around { key, since_s: around.since_s }));
        }
        Ok(within)
    }

    /// How many listings of a zone after this key are in force, counted up to `most`.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    pub fn count_after(&self, zone: &Name, after: &Key, most: usize) -> Result<usize, StoreError> {
        Ok(store::count_after(&*self.0.shared.database()?, zone, after, self.now_s(), most)?)
    }

    /// The narrowest listing or exclusion in force that this key is a part of, but for its own.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    pub fn around(&self, zone: &Name, key: &Key) -> Result<Option<Record>, StoreError> {
        key.wider().map(|wider| self.get(zone, &wider)).find(|found| !matches!(found, Ok(None))).unwrap_or(Ok(None))
    }

    /// What happened to a key in a zone, oldest first, at most the last `limit` events.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    pub fn history(&self, zone: &Name, key: &Key, limit: usize) -> Result<Vec<Event>, StoreError> {
        Ok(store::history(&*self.0.shared.database()?, zone, key, limit)?)
    }

    /// Zones that are not served and have listings or exclusions all the same, in the order of their names.
    pub fn unserved(&self) -> Vec<Name> {
        let Places { served, live, slots } = &self.0.places;
        let mut zones = slots.unserved(&served.load().snapshot, &live.load());
        zones.sort_unstable();
        zones
    }

    /// How many listings and exclusions of a zone are in force, of which each is looked at.
    pub fn count_in_force(&self, zone: &Name) -> usize {
        let Places { live, slots, .. } = &self.0.places;
        let live = live.load();
        let (listed, excluded) = live.zone(slots.slot(zone)).map_or((0, 0), |zone| zone.counts_in_force(self.now_s()));
        listed + excluded
    }

    /// Copies the store as it is at one moment into a new file, while all goes on.
    ///
    /// # Errors
    /// When it cannot be read, or the file cannot be written or is there already.
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        store::copy(&*self.0.shared.database()?, to)
    }

    /// Throws away what is over, now, and returns how many listings or events that were. The writer does so every half a minute
    /// by itself.
    pub fn sweep(&self) -> usize {
        let (sender, receiver) = mpsc::channel();
        let done = Box::new(move |count| {
            let _nobody_waits = sender.send(count);
        });
        if self.0.sender.send(Message::Sweep(done)).is_err() {
            return 0;
        }
        receiver.recv().unwrap_or(0)
    }

    /// Whether the store cannot be opened yet, for another server that has it or for the system, so that nothing of it is served.
    /// One that is damaged is not waited for: that does not end by itself.
    pub fn waits(&self) -> bool {
        let is_damaged = matches!(self.0.shared.alarm.load().as_deref(), Some(StoreError::Unreadable(_)));
        !is_damaged && !self.0.shared.is_loaded.load(Ordering::Relaxed)
    }

    /// Why nothing new is taken, if so.
    pub fn alarm(&self) -> Option<String> {
        self.0.shared.alarm.load().as_deref().map(StoreError::to_string)
    }

    /// What became of changes since the start, by zone, door, operation and result.
    pub fn update_counts(&self) -> Vec<UpdateCount> {
        self.0.shared.counts.rows()
    }

    /// Octets of history that are kept.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    pub fn history_bytes(&self) -> Result<u64, StoreError> {
        Ok(store::history_bytes(&*self.0.shared.database()?)?)
    }

    /// The time, as the listings see it.
    pub fn now_s(&self) -> u64 {
        self.0.shared.clock.now_s()
    }

    /// Does what waits, and ends; the store is closed then.
    pub fn stop(&self) {
        let _has_ended = self.0.sender.send(Message::Stop);
        let thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer of live listings panicked");
        }
        self.0.shared.database.store(None);
    }
}
