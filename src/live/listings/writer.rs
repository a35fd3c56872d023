//! The one thread that changes live listings.
//!
//! It takes all that waits, decides it in order within one transaction of the store, commits (one `fsync` for all of it),
//! publishes what is served, and then tells each asker. While it waits for the disk, the next changes gather: the slower the
//! disk, the more of them share a commit. Between changes it throws away what is over.
//!
//! After a panic it begins anew: whatever was in hand is refused, the store is opened again, and what is served is read from
//! it before anything more is decided.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use redb::Database;
use tracing::{error, info};

use super::{
    Applied, Key, StoreError, WITHOUT_LISTINGS,
    counts::UpdateCounts,
    decide::{Group, Order, count_still_listed, expired},
    file::{self, Claim, Disk, FileId, Rival},
    rules::{Rules, Situation},
    serving::{Edit, Serving},
    store::{self, StoreFault, Tables, caught},
    trust::{Clock, Confidence},
};
use crate::{
    live::{opened::Stamp, served::Cell, state::make_again},
    load::counted,
    wire::name::Name,
};

/// Most changes of one commit: some tens of milliseconds of work, for which single ones may have to wait.
const GROUP_MAX: usize = 4_096;
/// How often what is over is thrown away.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// How soon it is tried again to open a store that another server has, or that the system does not let be opened.
const TRY_EVERY: Duration = Duration::from_secs(10);
/// How soon a version that was replaced is looked at again: a worker without queries lets go of it within a quarter of a second.
const RETIRED_EVERY: Duration = Duration::from_millis(250);

/// What the writer is told.
pub(super) enum Message {
    Order(Order),
    /// Throw away what is over, now; how many that were is told.
    Sweep(Box<dyn FnOnce(usize) + Send>),
    Stop,
}

/// What the writer shares with those who ask.
pub(super) struct Shared {
    /// The store; none while it cannot be opened.
    pub(super) database: ArcSwapOption<Database>,
    /// What is in it is served: not before it could be opened.
    pub(super) is_loaded: AtomicBool,
    /// Changes that wait.
    pub(super) waiting: AtomicUsize,
    /// Why nothing new is taken, if so.
    pub(super) alarm: ArcSwapOption<StoreError>,
    /// What became of changes.
    pub(super) counts: UpdateCounts,
    pub(super) path: PathBuf,
    pub(super) disk: Disk,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) history_s: u64,
    pub(super) history_max_bytes: u64,
}

impl Shared {
    pub(super) fn database(&self) -> Result<Arc<Database>, StoreError> {
        self.database.load_full().ok_or_else(|| match self.alarm.load().as_deref() {
            Some(StoreError::Unwritable(text) | StoreError::Unsure(text)) => StoreError::Unreadable(text.clone()),
            Some(why) => why.clone(),
            None => StoreError::Unreadable("it is being opened again".into()),
        })
    }

    /// Tells an asker what became of its order, and counts that. A panic there is the asker's: what was done is done.
    pub(super) fn tell(&self, order: Order, applied: Applied) {
        self.counts.count(&order, &applied);
        if catch_unwind(AssertUnwindSafe(|| (order.done)(applied))).is_err() {
            error!("a panic met whoever is told what became of a change of live listings; please report this");
        }
    }
}

/// What each asker is told, and what is to be served.
type Decided = (Vec<Applied>, Vec<(Name, Edit)>);

pub(super) struct Writer {
    pub(super) receiver: Receiver<Message>,
    pub(super) shared: Arc<Shared>,
    pub(super) serving: Serving,
    pub(super) served: Cell,
    pub(super) rules: Rules,
    pub(super) confidence: Confidence,
    /// The file that is open.
    pub(super) file: Option<FileId>,
    /// That it is ours, also while it is not open.
    pub(super) claim: Option<Claim>,
    /// Who has it while this server waits for it.
    pub(super) rival: Option<Rival>,
    /// The store that is damaged, if it is, and how.
    pub(super) damaged: Option<(Stamp, StoreError)>,
    /// It panicked, or the store failed: what is served may be other than what the store says.
    pub(super) is_doubtful: bool,
    /// Since then nothing was written: that the store can be opened again does not say that it can be.
    pub(super) is_unproven: bool,
    /// It failed in this turn.
    pub(super) is_to_reopen: bool,
}

impl Writer {
    /// Opens the store for the first time, and serves what is in it.
    pub(super) fn load(&mut self) -> Result<Arc<Database>, StoreError> {
        let path = &self.shared.path;
        // All of it would be read again.
        if let Some((damaged, why)) = &self.damaged
            && Stamp::read(path).as_ref() == Some(damaged)
        {
            return Err(why.clone());
        }
        let claim = Claim::on(path).inspect_err(|_| self.rival = Rival::at(path))?;
        let database = file::open(path, &self.shared.disk).inspect_err(|why| {
            let stamp = Stamp::read(path).filter(|_| matches!(why, StoreError::Unreadable(_)));
            self.damaged = stamp.map(|stamp| (stamp, why.clone()));
        })?;
        self.file =
            file::file_at(path).map_err(|error| StoreError::Unreadable(format!("{}: {error}", path.display())))?;
        self.serve_store(&database)?;
        (self.claim, self.rival) = (claim, None);
        self.shared.database.store(Some(Arc::clone(&database)));
        self.shared.is_loaded.store(true, Ordering::Relaxed);
        Ok(database)
    }

    fn is_loaded(&self) -> bool {
        self.shared.is_loaded.load(Ordering::Relaxed)
    }

    /// Works until it is told to stop, or nobody is left who could tell it anything.
    pub(super) fn run(mut self) {
        let mut swept = Instant::now();
        while self.guard(|writer| writer.turn(&mut swept)).unwrap_or(true) {
            if self.is_to_reopen {
                // Otherwise what is served, and questions about listings, would wait for the next change.
                let _said_if_not = self.guard(Self::ready_anyway);
                // Its own failure waits for the next turn.
                self.is_to_reopen = false;
            }
        }
        for message in self.receiver.try_iter() {
            if let Message::Order(order) = message {
                self.shared.tell(order, Err(StoreError::Ending));
            }
        }
    }

    /// Waits for something to do, and does it; false to end.
    fn turn(&mut self, swept: &mut Instant) -> bool {
        let sweep_every = if self.is_loaded() { SWEEP_EVERY } else { TRY_EVERY };
        let until_sweep = sweep_every.saturating_sub(swept.elapsed());
        let patience = if self.serving.has_retired() { RETIRED_EVERY.min(until_sweep) } else { until_sweep };
        let message = match self.receiver.recv_timeout(patience) {
            Ok(Message::Order(order)) => self.gather(order),
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => {
                self.serving.free_retired();
                None
            }
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        if message.is_some_and(|message| !self.attend(message)) {
            return false;
        }
        if swept.elapsed() >= sweep_every {
            // First of all, lest a sweep that panics is tried again at once.
            let before = std::mem::replace(swept, Instant::now());
            // A full sweep leaves more to be swept, but what waits goes first.
            if self.sweep() >= GROUP_MAX {
                *swept = before;
            }
        }
        true
    }

    /// Does something that may panic. Then nothing of it is trusted but the store, see [`Self::ready`].
    fn guard<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Result<T, StoreError> {
        let panicked = "its writer panicked, and begins anew; please report this";
        catch_unwind(AssertUnwindSafe(|| work(self))).map_err(|_| self.fail(&panicked))
    }

    /// Attends to what is no change; false to end.
    fn attend(&mut self, message: Message) -> bool {
        match message {
            Message::Order(order) => self.commit(vec![order]),
            Message::Sweep(done) => {
                let mut total = 0;
                loop {
                    let swept = self.sweep();
                    total += swept;
                    if swept < GROUP_MAX {
                        break;
                    }
                }
                done(total);
            }
            Message::Stop => {
                // What was removed since the last look is written anew, or nothing is left at the next start.
                if self.is_loaded() {
                    let _said_if_not = self.guard(Self::ready_anyway);
                }
                return false;
            }
        }
        true
    }

    /// Commits all changes that wait, and returns what waits behind them.
    fn gather(&mut self, first: Order) -> Option<Message> {
        let mut count = first.work.len();
        let mut orders = vec![first];
        let mut next = None;
        while count < GROUP_MAX {
            match self.receiver.try_recv() {
                Ok(Message::Order(order)) => {
                    count += order.work.len();
                    orders.push(order);
                }
                Ok(message) => {
                    next = Some(message);
                    break;
                }
                Err(_) => break,
            }
        }
        self.commit(orders);
        next
    }

    /// Commits changes; with little room, only those that list nothing: they are what makes a mad list harmless.
    fn commit(&mut self, orders: Vec<Order>) {
        let room = self.shared.disk.check_room(&self.shared.path);
        let why = match &room {
            Err(why) if self.is_loaded() => why,
            _ => return self.commit_all(orders, &room),
        };
        let (orders, refused): (Vec<_>, Vec<_>) = orders.into_iter().partition(Order::lists_nothing);
        if orders.is_empty() {
            self.alarm(why);
        }
        for order in refused {
            self.shared.waiting.fetch_sub(order.work.len(), Ordering::Relaxed);
            self.shared.tell(order, Err(why.clone()));
        }
        if !orders.is_empty() {
            self.commit_all(orders, &room);
        }
    }

    fn commit_all(&mut self, mut orders: Vec<Order>, room: &Result<(), StoreError>) {
        let count = orders.iter().map(|order| order.work.len()).sum();
        let written = self.guard(|writer| writer.write(&mut orders, room)).flatten();
        self.shared.waiting.fetch_sub(count, Ordering::Relaxed);
        let served = written.and_then(|(answers, edits)| self.serve(&edits).map(|()| answers));
        let mut answers = served.unwrap_or_else(|why| vec![Err(why); orders.len()]);
        // Without a count, if need be: what was done is told.
        let _said_if_not = self.guard(|writer| {
            let (snapshot, now_s) = (&writer.served.load().snapshot, writer.shared.clock.now_s());
            count_still_listed(&orders, &mut answers, &writer.serving, snapshot, now_s);
        });
        for (order, answer) in orders.into_iter().zip(answers) {
            self.shared.tell(order, answer);
        }
    }

    /// Serves what was committed.
    fn serve(&mut self, edits: &[(Name, Edit)]) -> Result<(), StoreError> {
        if edits.is_empty() {
            return Ok(());
        }
        let publish = |writer: &mut Self| {
            for (zone, edit) in edits {
                writer.serving.edit(zone, edit);
            }
            let touched: HashSet<&Name> = edits.iter().map(|(zone, _)| zone).collect();
            writer.serving.publish(touched.into_iter());
        };
        self.publish(publish)
    }

    /// Publishes what is in the store, from which all is served when that is opened again; it is done even if neither can be.
    pub(super) fn publish(&mut self, publish: impl FnOnce(&mut Self)) -> Result<(), StoreError> {
        self.guard(publish).or_else(|_| self.guard(Self::ready_anyway).flatten().map(drop)).map_err(|why| match why {
            StoreError::Unwritable(text) => StoreError::Unsure(text),
            why => StoreError::Unsure(why.to_string()),
        })
    }

    /// Decides and writes; what is to be served of it, and what each asker is told.
    fn write(&mut self, orders: &mut [Order], room: &Result<(), StoreError>) -> Result<Decided, StoreError> {
        let database = self.ready(room)?;
        let written = self.write_to(&database, orders);
        drop(database);
        let (answers, edits) = written.map_err(|fault| match self.fail(&fault) {
            StoreError::Unwritable(text) if matches!(fault, StoreFault::OfCommit(_)) => StoreError::Unsure(text),
            why => why,
        })?;
        if !edits.is_empty() {
            self.is_unproven = false;
            self.relieve(room);
        }
        Ok((answers, edits))
    }

    fn write_to(&mut self, database: &Database, orders: &mut [Order]) -> Result<Decided, StoreFault> {
        let transaction = database.begin_write()?;
        let mut tables = Tables::open(&transaction)?;
        let (answers, edits) = self.decide(&mut tables, orders)?;
        if edits.is_empty() {
            drop(tables);
            transaction.abort()?;
        } else {
            tables.close()?;
            caught(|| Ok(transaction.commit()?)).map_err(|fault| StoreFault::OfCommit(fault.into()))?;
        }
        Ok((answers, edits))
    }

    /// Decides order by order, within the tables of one transaction.
    fn decide(&self, tables: &mut Tables<'_>, orders: &mut [Order]) -> Result<Decided, StoreFault> {
        let served = self.served.load();
        let now_s = self.shared.clock.now_s();
        let mut group = Group {
            tables,
            rules: &self.rules,
            serving: &self.serving,
            situation: Situation { snapshot: &served.snapshot, live: self.serving.live(), now_s },
            added: HashMap::new(),
            in_force: RefCell::default(),
            excluded: HashMap::new(),
            edits: Vec::new(),
        };
        let answers = orders.iter_mut().map(|order| group.order(order)).collect::<Result<_, _>>()?;
        Ok((answers, group.edits))
    }

    /// Throws away some of what is over, and of the history that is too old or too much; returns how much that was.
    fn sweep(&mut self) -> usize {
        self.serving.free_retired();
        let clock = Arc::clone(&self.shared.clock);
        let past_s = self.confidence.past_s(&*clock);
        // Also while nothing may be thrown away: an alarm ends with its cause.
        let Ok(database) = self.ready_with_room() else { return 0 };
        let swept = match past_s {
            Some(past_s) => self.sweep_in(&database, past_s),
            None => Ok((0, Vec::new())),
        };
        let swept = swept.and_then(|swept| self.prove(&database, swept.0 > 0).map(|()| swept));
        drop(database); // a store that is opened again must not be held here
        match swept {
            Ok((count, edits)) => {
                self.relieve(&Ok(()));
                let _said_if_not = self.serve(&edits);
                count
            }
            Err(fault) => {
                self.fail(&fault);
                0
            }
        }
    }

    fn sweep_in(&mut self, database: &Database, past_s: u64) -> Result<(usize, Vec<(Name, Edit)>), StoreFault> {
        let over = self.serving.over(past_s, GROUP_MAX);
        let transaction = database.begin_write()?;
        let mut tables = Tables::open(&transaction)?;
        let mut edits = Vec::with_capacity(over.len());
        for (zone, place) in over {
            let key = Key::of(&place);
            let mut known = tables.known(&zone, &key)?;
            if let Some(record) = known.record.take() {
                if record.in_force(past_s) {
                    continue;
                }
                tables.note(&expired(&record), false, &mut known)?;
                tables.remove(&zone, &key, &known)?;
            }
            edits.push((zone, Edit::Remove { place }));
        }
        let oldest_s = past_s.saturating_sub(self.shared.history_s);
        let trimmed = tables.trim(oldest_s, self.shared.history_max_bytes, GROUP_MAX)?;
        let count = edits.len().max(trimmed);
        if count == 0 {
            drop(tables);
            transaction.abort()?;
        } else {
            tables.close()?;
            transaction.commit()?;
        }
        Ok((count, edits))
    }

    /// Writes to a store that had failed, lest it is taken for well only because it can be read. A commit has shown as much.
    fn prove(&mut self, database: &Database, was_written: bool) -> Result<(), StoreFault> {
        if self.is_unproven && !was_written {
            let transaction = database.begin_write()?;
            Tables::open(&transaction)?.close()?;
            transaction.commit()?;
        }
        self.is_unproven = false;
        Ok(())
    }

    /// The store, if there is room in it for anything.
    fn ready_with_room(&mut self) -> Result<Arc<Database>, StoreError> {
        let room = self.shared.disk.check_room(&self.shared.path);
        let database = self.ready(&room)?;
        // To serve what is there takes none.
        if self.is_loaded() { room.map(|()| database) } else { Ok(database) }
    }

    /// The store, also if there is little room in it.
    fn ready_anyway(&mut self) -> Result<Arc<Database>, StoreError> {
        let room = self.shared.disk.check_room(&self.shared.path);
        self.ready(&room)
    }

    /// The store; opened again if it had failed, and served anew if that may be needed.
    fn ready(&mut self, room: &Result<(), StoreError>) -> Result<Arc<Database>, StoreError> {
        let opened = self.in_place().and_then(|database| self.trust(&database).map(|()| database));
        match opened {
            Ok(database) => {
                if self.shared.database.load().is_none() {
                    // Where it cannot be written it is opened with each change, and fails again.
                    if !self.is_unproven {
                        info!(store = %self.shared.path.display(), "the store of live listings is open again");
                    }
                    self.shared.database.store(Some(Arc::clone(&database)));
                }
                self.relieve(room);
                Ok(database)
            }
            Err(why) => {
                let why = match why {
                    StoreError::Unreadable(text) | StoreError::Closed(text) if self.is_loaded() => {
                        StoreError::Unwritable(text)
                    }
                    why => why,
                };
                self.alarm(&why);
                Err(why)
            }
        }
    }

    /// Serves what the store says, if what is served may be something else.
    fn trust(&mut self, database: &Database) -> Result<(), StoreError> {
        if self.is_doubtful { self.serve_store(database) } else { Ok(()) }
    }

    /// Serves all that is in the store, and nothing else.
    fn serve_store(&mut self, database: &Database) -> Result<(), StoreError> {
        let mut serving = self.serving.anew();
        store::for_each_served(database, |zone, place, own, until_s| serving.take(zone, place, own, until_s))?;
        serving.publish_all();
        self.serving = serving;
        self.is_doubtful = false;
        Ok(())
    }

    /// The store in the file at its place. One that was removed while it was open is written anew, with all that is in it;
    /// otherwise what is acknowledged would be gone with the next restart.
    fn in_place(&mut self) -> Result<Arc<Database>, StoreError> {
        if !self.is_loaded() {
            return self.take_over();
        }
        let (database, path) = (self.shared.database.load_full(), &self.shared.path);
        let unwritable = |why: &dyn fmt::Display| StoreError::Unwritable(format!("{} {why}", path.display()));
        let there = file::file_at(path).map_err(|error| unwritable(&error))?;
        match (database, there) {
            (_, there) if there == self.file && file::is_empty(path) => Err(unwritable(
                &"was emptied under the running server: remove it and restart the server, which begins with nothing then, or \
                  put a backup in its place while the server is stopped",
            )),
            (Some(database), there) if there == self.file => Ok(database),
            (None, there) if there == self.file => file::open(path, &self.shared.disk).map_err(|why| match why {
                StoreError::InUse(_) => unwritable(
                    &"is still read by a backup or a question that had begun before it failed, or another program has taken it; \
                      it is tried again",
                ),
                why => why,
            }),
            (_, Some(_)) => Err(unwritable(
                &"is another file than the one that is served from: restart the server to serve what is in it, or move it away, \
                  and what is served now is written there",
            )),
            (None, None) => Err(unwritable(
                &"was removed after it had failed: put a backup there, and restart the server, or it begins with nothing",
            )),
            (Some(database), None) => {
                store::write_anew(&database, path, &mut self.claim)?;
                drop(database);
                self.shared.database.store(None);
                self.file = file::file_at(path).map_err(|error| unwritable(&error))?;
                error!(
                    store = %path.display(),
                    "the store of live listings was removed under the running server, and is written anew with all that was in \
                     it; whatever copies folders must leave it alone (rsync --delete --exclude=.dnsbld), or the state folder \
                     must be elsewhere (`state` or --state)"
                );
                file::open(path, &self.shared.disk)
            }
        }
    }

    /// The store that could not be opened before.
    fn take_over(&mut self) -> Result<Arc<Database>, StoreError> {
        let path = &self.shared.path;
        // A link that leads nowhere may lead to a disk that is not mounted yet.
        let is_gone = file::file_at(path).is_ok_and(|there| there.is_none()) && !path.is_symlink();
        if is_gone {
            let closed = |why: &str| StoreError::Closed(format!("{} is not there: {why}", path.display()));
            match &self.rival {
                Some(rival) if rival.has_ended() => {
                    path.parent().map_or(Ok(()), make_again).map_err(|error| closed(&error.to_string()))?;
                }
                // Made here, an empty one would be in the way.
                Some(_) => return Err(closed("the server that has it writes it anew")),
                None => {
                    return Err(closed("put it back, or restart the server, which begins with nothing then"));
                }
            }
        }
        let database = self.load()?;
        if is_gone {
            error!(
                store = %self.shared.path.display(),
                "the store of live listings was removed, and the server that had it has ended: a new one is begun, WITHOUT what was \
                 listed or excluded by command and its history; if there is a backup, stop the server, and put that in its place"
            );
        } else {
            let (count, _) = self.serving.live().counts();
            let served = if count == 1 { "is served" } else { "are served" };
            let listings = counted(count, "live listing", "live listings");
            info!("the store of live listings can be opened now, and its {listings} {served}");
        }
        Ok(database)
    }

    /// After a fault redb must be opened again: it does not know what is on the disk. Nor is it known here: where only the last
    /// `fsync` of a commit failed, the whole commit may be there, and count.
    fn fail(&mut self, fault: &dyn fmt::Display) -> StoreError {
        self.shared.database.store(None);
        self.is_doubtful = true;
        self.is_unproven = true;
        self.is_to_reopen = true;
        let why = StoreError::Unwritable(format!("{}: {fault}", self.shared.path.display()));
        self.alarm(&why);
        why
    }

    fn alarm(&self, why: &StoreError) {
        if self.shared.alarm.load().as_deref() != Some(why) {
            if self.is_loaded() {
                error!("{why}");
            } else {
                error!("{why}; {WITHOUT_LISTINGS}");
            }
            self.shared.alarm.store(Some(Arc::new(why.clone())));
        }
    }

    /// Ends the alarm, unless it is of a failure and nothing shows that this is over; or says that there is little room.
    fn relieve(&self, room: &Result<(), StoreError>) {
        match room {
            _ if self.is_unproven => {}
            Ok(()) => self.settle(),
            Err(why) => self.alarm(why),
        }
    }

    fn settle(&self) {
        if self.shared.alarm.load().is_some() {
            info!("live listings are taken again");
            self.shared.alarm.store(None);
        }
    }
}
