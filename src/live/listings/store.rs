//! Where live listings and their history are kept: one redb file in the state folder.
//!
//! redb is a B-tree store in Rust, steadily kept (releases every few weeks, crash images and fuzzers among its own tests) and
//! of one idea: a commit writes new pages beside the old ones, with checksums, and one `fsync` later they count. After a crash
//! the last complete commit is there. It has one writer, readers that never wait for it, and a lock on its file against a
//! second process. The checksums are held against all pages when the file is opened (half a second for a million
//! listings and their history, where reading them takes longer), so damage is an error and never another list. LMDB does as
//! much in C; SQL would do, but nothing here needs a query; a log of our own would be one more file format to get wrong.
//!
//! | table | key | value |
//! |---|---|---|
//! | `listings` | zone and key, see [`codec`](super::codec) | a listing, and the number of its last event |
//! | `delisted` | the same, of what is listed no more | the number of its last event |
//! | `history` | number of the event | the event, and the numbers of the one before it of the same key, and of the one that may count |
//! | `numbers` | a word | next event number, octets of history |
//!
//! Listings come in random order, and each touches a page of its own, which is written with the commit. History is
//! therefore a log: events go to its end and leave at its start, and those of one key are a chain through it.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase as _, ReadableTable, Table, TableDefinition, TableError,
    WriteTransaction,
};
use tracing::error;

use super::{
    Event, Key, Record, StoreError,
    codec::{
        Undecodable, decode_end, decode_event, decode_key, decode_record, decode_served, encode_key, encode_record,
    },
    file::{Claim, open_file, sync_folder},
};
use crate::{
    live::state::make_again,
    wire::name::Name,
    zone::live::{OwnValue, Place},
};

type Octets = &'static [u8];
const LISTINGS: TableDefinition<'_, Octets, Octets> = TableDefinition::new("listings");
const DELISTED: TableDefinition<'_, Octets, u64> = TableDefinition::new("delisted");
const HISTORY: TableDefinition<'_, u64, Octets> = TableDefinition::new("history");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

const NEXT_EVENT: &str = "next-event";
const HISTORY_BYTES: &str = "history-bytes";

/// Something that redb, or what it gave back, did not like.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreFault {
    #[error(transparent)]
    Redb(#[from] redb::Error),
    #[error(transparent)]
    Undecodable(#[from] Undecodable),
    #[error("redb panicked, which it does on damaged pages ({0})")]
    Panicked(String),
    /// Of a commit, which may count all the same.
    #[error("{0}")]
    OfCommit(Box<Self>),
    /// Of a copy that is made, while the store itself may be well.
    #[error("{0}")]
    OfCopy(redb::Error),
}

macro_rules! faults {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreFault {
            fn from(error: $error) -> Self {
                Self::Redb(error.into())
            }
        }
    )*};
}

faults!(redb::StorageError, TableError, redb::TransactionError, redb::CommitError, DatabaseError);

impl From<StoreFault> for StoreError {
    fn from(fault: StoreFault) -> Self {
        Self::Unreadable(fault.to_string())
    }
}

/// Works on a store, and tells of a panic as of any other fault: redb verifies a page when it opens a file, and believes it
/// from then on, so that one which the disk damages later is met by an assertion somewhere in it, on whichever thread reads.
/// The hook has printed where that is.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T, StoreFault>) -> Result<T, StoreFault> {
    // Nothing of ours is left half done: what was read is thrown away, and redb gives up a transaction that unwinds.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let said = payload.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no word");
        Err(StoreFault::Panicked(said.to_owned()))
    })
}

/// Reads a running server's store. Its asker is told what goes wrong, and the log of a panic, lest nobody looks.
fn reading<T>(
    database: &Database,
    read: impl FnOnce(&ReadTransaction) -> Result<T, StoreFault>,
) -> Result<T, StoreFault> {
    caught(|| read(&database.begin_read()?)).inspect_err(|fault| {
        if let StoreFault::Panicked(_) = fault {
            error!("the store of live listings cannot be read: {fault}; what is served is not touched by that");
        }
    })
}

/// What the store knows of a key.
pub(super) struct Known {
    /// Its listing, which may be over.
    pub(super) record: Option<Record>,
    pub(super) last_event: Option<u64>,
    /// It has a row among the delisted.
    is_delisted: bool,
}

/// Makes the tables that are not there yet. Where all are, nothing is written: on a full disk that would fail, and what is listed
/// could not even be served.
pub(super) fn make_tables(database: &Database) -> Result<(), StoreFault> {
    match find_tables(&database.begin_read()?) {
        Err(TableError::TableDoesNotExist(_)) => {}
        found => return Ok(found?),
    }
    let transaction = database.begin_write()?;
    transaction.open_table(LISTINGS)?;
    transaction.open_table(DELISTED)?;
    transaction.open_table(HISTORY)?;
    transaction.open_table(NUMBERS)?;
    Ok(transaction.commit()?)
}

fn find_tables(transaction: &ReadTransaction) -> Result<(), TableError> {
    transaction.open_table(LISTINGS)?;
    transaction.open_table(DELISTED)?;
    transaction.open_table(HISTORY)?;
    transaction.open_table(NUMBERS)?;
    Ok(())
}

/// The tables, open for one transaction's changes.
pub(super) struct Tables<'t> {
    listings: Table<'t, Octets, Octets>,
    pub(super) delisted: Table<'t, Octets, u64>,
    pub(super) history: Table<'t, u64, Octets>,
    numbers: Table<'t, &'static str, u64>,
    pub(super) next_event: u64,
    pub(super) history_bytes: u64,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, StoreFault> {
        let numbers = transaction.open_table(NUMBERS)?;
        let number = |word| Ok::<u64, StoreFault>(numbers.get(word)?.map_or(0, |number| number.value()));
        let (next_event, history_bytes) = (number(NEXT_EVENT)?, number(HISTORY_BYTES)?);
        Ok(Self {
            listings: transaction.open_table(LISTINGS)?,
            delisted: transaction.open_table(DELISTED)?,
            history: transaction.open_table(HISTORY)?,
            numbers,
            next_event,
            history_bytes,
        })
    }

    /// Notes the numbers; the last thing before a commit.
    pub(super) fn close(mut self) -> Result<(), StoreFault> {
        self.numbers.insert(NEXT_EVENT, self.next_event)?;
        self.numbers.insert(HISTORY_BYTES, self.history_bytes)?;
        Ok(())
    }

    /// What is known of a key.
    pub(super) fn known(&self, zone: &Name, key: &Key) -> Result<Known, StoreFault> {
        known(&self.listings, &self.delisted, zone, key)
    }

    /// Writes down a listing whose last event is noted.
    pub(super) fn put(&mut self, record: &Record, known: &Known) -> Result<(), StoreFault> {
        let key = encode_key(&record.zone, &record.key.place());
        self.listings.insert(&*key, &*encode_record(record, known.last_event))?;
        if known.is_delisted {
            self.delisted.remove(&*key)?;
        }
        Ok(())
    }

    /// Throws a listing away; its last event is noted.
    pub(super) fn remove(&mut self, zone: &Name, key: &Key, known: &Known) -> Result<(), StoreFault> {
        let key = encode_key(zone, &key.place());
        self.listings.remove(&*key)?;
        if let Some(last_event) = known.last_event {
            self.delisted.insert(&*key, last_event)?;
        }
        Ok(())
    }
}

fn known(
    listings: &impl ReadableTable<Octets, Octets>,
    delisted: &impl ReadableTable<Octets, u64>,
    zone: &Name,
    key: &Key,
) -> Result<Known, StoreFault> {
    let encoded = encode_key(zone, &key.place());
    if let Some(octets) = listings.get(&*encoded)? {
        let (record, last_event) = decode_record(zone, key, octets.value())?;
        return Ok(Known { record: Some(record), last_event, is_delisted: false });
    }
    let last_event = delisted.get(&*encoded)?.map(|last| last.value());
    Ok(Known { record: None, last_event, is_delisted: last_event.is_some() })
}

/// Calls `visit` with what is to be served of each listing, in the order of the store: its zone, its place, its value (none is
/// an exclusion), and its end.
pub(super) fn for_each_served(
    database: &Database,
    mut visit: impl FnMut(&Name, &Place, Option<&OwnValue>, Option<u64>),
) -> Result<(), StoreFault> {
    reading(database, |transaction| {
        for entry in transaction.open_table(LISTINGS)?.iter()? {
            let (key, octets) = entry?;
            let (zone, place) = decode_key(key.value())?;
            let (own, until_s) = decode_served(octets.value())?;
            visit(&zone, &place, own.as_ref(), until_s);
        }
        Ok(())
    })
}

pub(super) fn get(database: &Database, zone: &Name, key: &Key) -> Result<Option<Record>, StoreFault> {
    reading(database, |transaction| Ok(known_in(transaction, zone, key)?.record))
}

fn known_in(transaction: &ReadTransaction, zone: &Name, key: &Key) -> Result<Known, StoreFault> {
    known(&transaction.open_table(LISTINGS)?, &transaction.open_table(DELISTED)?, zone, key)
}

/// The listings of a zone after a key, at most `limit`.
pub(super) fn of_zone(
    database: &Database,
    zone: &Name,
    after: Option<&Key>,
    limit: usize,
) -> Result<Vec<Record>, StoreFault> {
    let mut first = after.map_or_else(|| zone.as_wire().to_vec(), |key| encode_key(zone, &key.place()));
    if after.is_some() {
        first.push(0); // the first key beyond
    }
    reading(database, |transaction| {
        let mut records = Vec::new();
        for entry in transaction.open_table(LISTINGS)?.range::<&[u8]>(&*first..)? {
            let (key, octets) = entry?;
            if records.len() == limit || !key.value().starts_with(zone.as_wire()) {
                break;
            }
            let (_, place) = decode_key(key.value())?;
            records.push(decode_record(zone, &Key::of(&place), octets.value())?.0);
        }
        Ok(records)
    })
}

/// How many listings of a zone after a key are in force, counted up to `most`.
pub(super) fn count_after(
    database: &Database,
    zone: &Name,
    after: &Key,
    now_s: u64,
    most: usize,
) -> Result<usize, StoreFault> {
    let mut first = encode_key(zone, &after.place());
    first.push(0); // the first key beyond
    reading(database, |transaction| {
        let mut count = 0;
        for entry in transaction.open_table(LISTINGS)?.range::<&[u8]>(&*first..)? {
            let (key, octets) = entry?;
            if count == most || !key.value().starts_with(zone.as_wire()) {
                break;
            }
            count += usize::from(decode_end(octets.value())?.is_none_or(|until_s| now_s < until_s));
        }
        Ok(count)
    })
}

/// The last events of a key, oldest first.
pub(super) fn history(database: &Database, zone: &Name, key: &Key, limit: usize) -> Result<Vec<Event>, StoreFault> {
    reading(database, |transaction| {
        let table = transaction.open_table(HISTORY)?;
        let mut next = known_in(transaction, zone, key)?.last_event;
        let mut events = Vec::new();
        while let Some(number) = next.filter(|_| events.len() < limit) {
            let Some(octets) = table.get(number)? else { break };
            let (event, before) = decode_event(zone, key, octets.value())?;
            events.push(event);
            next = before;
        }
        events.reverse();
        Ok(events)
    })
}

/// Octets of history.
pub(super) fn history_bytes(database: &Database) -> Result<u64, StoreFault> {
    reading(database, |transaction| {
        Ok(transaction.open_table(NUMBERS)?.get(HISTORY_BYTES)?.map_or(0, |number| number.value()))
    })
}

/// Copies everything, as it is at one moment, into a new file.
pub(super) fn copy(database: &Database, to: &Path) -> Result<(), StoreError> {
    let unwritable = |error: &dyn std::fmt::Display| StoreError::NotCopied(format!("{}: {error}", to.display()));
    if to.exists() {
        return Err(unwritable(&"there is such a file already"));
    }
    let aside = begin_aside(to).map_err(|error| unwritable(&error))?;
    let copied = copy_tables(database, &aside).map_err(|fault| match fault {
        StoreFault::OfCopy(error) => unwritable(&error),
        of_source => of_source.into(),
    });
    let renamed = copied.and_then(|()| fs::rename(&aside, to).map_err(|error| unwritable(&error)));
    if renamed.is_err() {
        // What there is of it may fill the disk that the store itself is on.
        let _as_well_as_may_be = fs::remove_file(&aside);
    }
    renamed.and_then(|()| sync_folder(to).map_err(|error| unwritable(&error)))
}

/// Makes a file beside another one, with a name that nothing has yet: what lies there may be of use to somebody.
fn begin_aside(path: &Path) -> io::Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let mut aside = PathBuf::from(&name);
    for number in 2_u32.. {
        match fs::File::options().write(true).create_new(true).mode(0o640).open(&aside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|_| aside),
        }
        let mut name = name.clone();
        name.push(format!(".{number}"));
        aside = PathBuf::from(name);
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Writes all of a store whose file was removed to the place where that was, which is claimed first if the claim went with it:
/// another server may have come meanwhile.
pub(super) fn write_anew(database: &Database, path: &Path, claim: &mut Option<Claim>) -> Result<(), StoreError> {
    let failed = |why: &dyn std::fmt::Display| {
        StoreError::Unwritable(format!("{} was removed, and cannot be written anew: {why}", path.display()))
    };
    path.parent().map_or(Ok(()), make_again).map_err(|error| failed(&error))?;
    if !claim.as_ref().is_some_and(|claim| claim.is_on(path)) {
        *claim = Claim::on(path)?;
    }
    copy(database, path).map_err(|why| match why {
        StoreError::NotCopied(why) => failed(&why),
        why => failed(&why),
    })
}

fn copy_tables(database: &Database, to: &Path) -> Result<(), StoreFault> {
    reading(database, |from| {
        let to = open_file(to).map_err(of_copy)?;
        let transaction = to.begin_write().map_err(of_copy)?;
        copy_table(from, &transaction, LISTINGS)?;
        copy_table(from, &transaction, DELISTED)?;
        copy_table(from, &transaction, HISTORY)?;
        copy_table(from, &transaction, NUMBERS)?;
        transaction.commit().map_err(of_copy)
    })
}

fn of_copy(error: impl Into<redb::Error>) -> StoreFault {
    StoreFault::OfCopy(error.into())
}

fn copy_table<K: redb::Key + 'static, V: redb::Value + 'static>(
    from: &ReadTransaction,
    to: &WriteTransaction,
    definition: TableDefinition<'_, K, V>,
) -> Result<(), StoreFault> {
    let mut table = to.open_table(definition).map_err(of_copy)?;
    for entry in from.open_table(definition)?.iter()? {
        let (key, value) = entry?;
        table.insert(key.value(), value.value()).map_err(of_copy)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use redb::{ReadableTableMetadata as _, backends::InMemoryBackend};

    use super::*;
    use crate::live::listings::{Door, Origin, Verdict, What, history::Times};

    const ZONE: &[u8] = b"virbl.tee.gr";

    fn event(key: &Key, what: What, at_s: u64) -> Event {
        let origin = Origin { door: Door::Command, who: "scan".into(), from: None };
        let zone = Name::parse(ZONE).expect("a name");
        Event { at_s, zone, key: key.clone(), what, until_s: None, times: 0, reason: None, origin }
    }

    fn record(of: &Event) -> Record {
        Record {
            zone: of.zone.clone(),
            key: of.key.clone(),
            verdict: Verdict::LISTED,
            since_s: of.at_s,
            changed_s: of.at_s,
            until_s: None,
            times: 1,
            counted_s: of.at_s,
            reason: None,
            origin: of.origin.clone(),
        }
    }

    /// Lists and delists two keys in turn, once a second each, and the first one at last.
    fn eventful(database: &Database, keys: &[Key; 2]) {
        let transaction = database.begin_write().expect("in memory");
        let mut tables = Tables::open(&transaction).expect("tables");
        for (at_s, key) in (0..6).zip(keys.iter().cycle()).chain([(6, &keys[0])]) {
            let listed = event(key, What::Listed, at_s);
            let mut known = tables.known(&listed.zone, key).expect("readable");
            tables.note(&listed, true, &mut known).expect("writable");
            tables.put(&record(&listed), &known).expect("writable");
            if at_s < 6 {
                let mut known = tables.known(&listed.zone, key).expect("readable");
                assert!(known.record.take().is_some());
                tables.note(&event(key, What::Delisted, at_s), false, &mut known).expect("writable");
                tables.remove(&listed.zone, key, &known).expect("writable");
            }
        }
        tables.close().expect("writable");
        transaction.commit().expect("in memory");
    }

    fn seconds(database: &Database, key: &Key, limit: usize) -> Vec<u64> {
        let zone = Name::parse(ZONE).expect("a name");
        history(database, &zone, key, limit).expect("readable").iter().map(|event| event.at_s).collect()
    }

    #[test]
    fn a_keys_events_are_a_chain_that_ends_where_history_does() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).expect("in memory");
        let keys = ["192.0.2.55", "192.0.2.56"].map(|text| text.parse::<Key>().expect("a key"));
        eventful(&database, &keys);
        assert_eq!(seconds(&database, &keys[0], 100), [0, 0, 2, 2, 4, 4, 6]);
        assert_eq!(seconds(&database, &keys[0], 3), [4, 4, 6], "the last ones");
        assert_eq!(seconds(&database, &keys[1], 100), [1, 1, 3, 3, 5, 5]);

        let transaction = database.begin_write().expect("in memory");
        let mut tables = Tables::open(&transaction).expect("tables");
        let known =
            |tables: &Tables<'_>, key| tables.known(&Name::parse(ZONE).expect("a name"), key).expect("readable");
        let times = |tables: &Tables<'_>, since_s| {
            keys.each_ref().map(|key| tables.times_since(&known(tables, key), since_s).expect("readable").count)
        };
        assert_eq!([times(&tables, 0), times(&tables, 3)], [[4, 3], [2, 2]]);
        assert_eq!(tables.trim(3, u64::MAX, 100).expect("writable"), 6, "what is older than three seconds");
        assert_eq!(times(&tables, 0), [2, 2]);
        assert_eq!(tables.delisted.len().expect("readable"), 1, "the second one");
        assert_eq!(tables.trim(0, tables.history_bytes - 1, 1).expect("writable"), 1, "the oldest");
        assert_eq!(tables.trim(0, 0, 100).expect("writable"), 6);
        assert_eq!((tables.history.len().expect("readable"), tables.history_bytes), (0, 0));
        assert!(tables.delisted.is_empty().expect("readable"), "nothing is left of what is listed no more");
        assert!(known(&tables, &keys[0]).record.is_some(), "what is listed stays");
        tables.close().expect("writable");
        transaction.commit().expect("in memory");
        assert!(seconds(&database, &keys[0], 100).is_empty());
    }

    #[test]
    fn a_panic_takes_no_reader_with_it() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).expect("in memory");
        let fault =
            reading(&database, |_| -> Result<(), StoreFault> { panic!("a page is damaged") }).expect_err("it panicked");
        assert!(
            fault.to_string().contains("redb panicked") && fault.to_string().contains("a page is damaged"),
            "{fault}"
        );
    }

    #[test]
    fn a_fault_of_the_store_is_none_of_its_copy() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).expect("in memory");
        let folder = tempfile::tempdir().expect("a folder");
        let copy_to = |name: &str| copy(&database, &folder.path().join(name)).expect_err("it cannot be copied");
        let why = copy_to("copy");
        assert!(matches!(why, StoreError::Unreadable(_)), "it lacks its tables: {why}");
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0, "what was begun is taken away");
        make_tables(&database).expect("made");
        let why = copy_to("nowhere/copy");
        assert!(matches!(why, StoreError::NotCopied(_)), "{why}");
        let (lost, link) = (folder.path().join("copy.new"), folder.path().join("copy.new.2"));
        fs::write(&lost, "somebody's").expect("written");
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &link).expect("made");
        copy(&database, &folder.path().join("copy")).expect("all is well");
        assert_eq!(fs::read_to_string(&lost).expect("it is left as it was"), "somebody's");
        assert!(
            link.is_symlink() && fs::read_dir(folder.path()).expect("readable").count() == 3,
            "and nothing beside it"
        );
    }

    #[test]
    fn what_does_not_count_is_passed_over() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).expect("in memory");
        let key = "192.0.2.55".parse::<Key>().expect("a key");
        let transaction = database.begin_write().expect("in memory");
        let mut tables = Tables::open(&transaction).expect("tables");
        let mut known = Known { record: None, last_event: None, is_delisted: false };
        for at_s in 0..1_000 {
            let counts = at_s % 300 == 0;
            tables.note(&event(&key, What::Extended, at_s), counts, &mut known).expect("writable");
        }
        // Whoever looked at the others would miss them.
        for number in (0..999_u64).filter(|number| number % 300 != 0) {
            tables.history.remove(number).expect("writable");
        }
        let times = |since_s| tables.times_since(&known, since_s).expect("readable").count;
        assert_eq!([times(0), times(1), times(300), times(900), times(901)], [4, 3, 3, 1, 0]);
        tables.history.remove(300).expect("writable");
        let cut = Times { count: 2, is_whole: false };
        assert_eq!(tables.times_since(&known, 0).expect("readable"), cut, "as far as the history goes");
        assert!(tables.times_since(&known, 700).expect("readable").is_whole);
    }
}
