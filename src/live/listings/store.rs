//! Where live listings and their history are kept: one redb file in the state folder.
//!
//! redb is a B-tree store in Rust, steadily kept (releases every few weeks, crash images and fuzzers among its own tests) and
//! of one idea: a commit writes new pages beside the old ones, with checksums, and one `fsync` later they count. After a crash
//! the last complete commit is there. It has one writer, readers that never wait for it, and a lock on its file against a
//! second process. LMDB does as much in C; SQL would do, but nothing here needs a query; a log of our own
//! would be one more file format to get wrong.
//!
//! | table | key | value |
//! |---|---|---|
//! | `listings` | zone and key, see [`codec`](super::codec) | a listing |
//! | `history` | the same, and the number of the event | an event |
//! | `order` | number of the event | its second, and its key: what is oldest goes first |
//! | `numbers` | a word | next event number, octets of history |

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::{
    Event, Key, Record, StoreError,
    codec::{
        Undecodable, decode_count, decode_event, decode_key, decode_record, decode_served, encode_event, encode_key,
        encode_record,
    },
};
use crate::{
    wire::name::Name,
    zone::live::{OwnValue, Place},
};

/// Name of the file in the state folder.
const FILE_NAME: &str = "listings.redb";

/// Memory for pages. What is served is in memory anyway; this is for the writer and for questions about history.
const CACHE_BYTES: usize = 64 << 20;

/// With less free on the disk, nothing new is taken: a store that finds the disk full in the middle of a commit has to be
/// opened again, which takes a look at all of it.
const FREE_MIN_BYTES: u64 = 16 << 20;

type Octets = &'static [u8];
const LISTINGS: TableDefinition<'_, Octets, Octets> = TableDefinition::new("listings");
const HISTORY: TableDefinition<'_, Octets, Octets> = TableDefinition::new("history");
const ORDER: TableDefinition<'_, u64, Octets> = TableDefinition::new("order");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

const NEXT_EVENT: &str = "next-event";
const HISTORY_BYTES: &str = "history-bytes";

/// Octets that the tables need for an event beside its own, about.
const EVENT_OVERHEAD: u64 = 24;

/// Something that redb, or what it gave back, did not like.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Redb(#[from] redb::Error),
    #[error(transparent)]
    Undecodable(#[from] Undecodable),
}

macro_rules! faults {
    ($($error:ty),*) => {$(
        impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                Self::Redb(error.into())
            }
        }
    )*};
}

faults!(redb::StorageError, redb::TableError, redb::TransactionError, redb::CommitError, DatabaseError);

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        Self::Unreadable(fault.to_string())
    }
}

/// How the file is opened; tests put a failing disk there.
pub(super) type Opener = dyn Fn(&Path) -> Result<Database, DatabaseError> + Send + Sync;

/// The file of a state folder.
pub(super) fn path_in(state: &Path) -> PathBuf {
    state.join(FILE_NAME)
}

/// Opens the file, and makes it if it is not there; readable to its owner and group only.
pub(super) fn open_file(path: &Path) -> Result<Database, DatabaseError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    // redb makes the file with the rights that everyone has.
    fs::File::options().create(true).append(true).mode(0o640).open(path)?;
    Database::builder().set_cache_size(CACHE_BYTES).create(path)
}

/// Opens a store, and makes its tables.
pub(super) fn open(path: &Path, opener: &Opener) -> Result<Arc<Database>, StoreError> {
    let database = opener(path).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.display().to_string()),
        error => StoreError::Unreadable(format!("{}: {error}", path.display())),
    })?;
    let make = || -> Result<(), Fault> {
        let transaction = database.begin_write()?;
        transaction.open_table(LISTINGS)?;
        transaction.open_table(HISTORY)?;
        transaction.open_table(ORDER)?;
        transaction.open_table(NUMBERS)?;
        Ok(transaction.commit()?)
    };
    make().map_err(|fault| StoreError::Unwritable(format!("{}: {fault}", path.display())))?;
    Ok(Arc::new(database))
}

/// Whether there is room for more.
pub(super) fn check_room(path: &Path) -> Result<(), StoreError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    let Ok(disk) = nix::sys::statvfs::statvfs(folder) else { return Ok(()) };
    let free = disk.blocks_available() * disk.fragment_size();
    if free < FREE_MIN_BYTES {
        return Err(StoreError::Unwritable(format!(
            "{} has {} MB left, and needs {}: make room there",
            folder.display(),
            free >> 20,
            FREE_MIN_BYTES >> 20
        )));
    }
    Ok(())
}

/// The tables, open for one transaction's changes.
pub(super) struct Tables<'t> {
    listings: Table<'t, Octets, Octets>,
    history: Table<'t, Octets, Octets>,
    order: Table<'t, u64, Octets>,
    numbers: Table<'t, &'static str, u64>,
    next_event: u64,
    history_bytes: u64,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, Fault> {
        let numbers = transaction.open_table(NUMBERS)?;
        let number = |word| Ok::<u64, Fault>(numbers.get(word)?.map_or(0, |number| number.value()));
        let (next_event, history_bytes) = (number(NEXT_EVENT)?, number(HISTORY_BYTES)?);
        Ok(Self {
            listings: transaction.open_table(LISTINGS)?,
            history: transaction.open_table(HISTORY)?,
            order: transaction.open_table(ORDER)?,
            numbers,
            next_event,
            history_bytes,
        })
    }

    /// Notes the numbers; the last thing before a commit.
    pub(super) fn close(mut self) -> Result<(), Fault> {
        self.numbers.insert(NEXT_EVENT, self.next_event)?;
        self.numbers.insert(HISTORY_BYTES, self.history_bytes)?;
        Ok(())
    }

    pub(super) fn get(&self, zone: &Name, key: &Key) -> Result<Option<Record>, Fault> {
        let found = self.listings.get(&*encode_key(zone, &key.place()))?;
        Ok(found.map(|octets| decode_record(zone, key, octets.value())).transpose()?)
    }

    pub(super) fn put(&mut self, record: &Record) -> Result<(), Fault> {
        self.listings.insert(&*encode_key(&record.zone, &record.key.place()), &*encode_record(record))?;
        Ok(())
    }

    pub(super) fn remove(&mut self, zone: &Name, key: &Key) -> Result<(), Fault> {
        self.listings.remove(&*encode_key(zone, &key.place()))?;
        Ok(())
    }

    /// How often a key was listed since a second, as far as the history goes, and when last.
    pub(super) fn times_since(&self, zone: &Name, key: &Key, since_s: u64) -> Result<u32, Fault> {
        let (first, last) = event_keys(zone, key);
        let mut times = 0;
        for entry in self.history.range::<&[u8]>(&*first..=&*last)? {
            let (at_s, counts) = decode_count(entry?.1.value())?;
            times += u32::from(counts && at_s >= since_s);
        }
        Ok(times)
    }

    /// Adds an event; `counts` if it is one of the times that its key was listed.
    pub(super) fn note(&mut self, event: &Event, counts: bool) -> Result<(), Fault> {
        let number = self.next_event;
        self.next_event += 1;
        let mut key = encode_key(&event.zone, &event.key.place());
        key.extend_from_slice(&number.to_be_bytes());
        let octets = encode_event(event, counts);
        let mut in_order = event.at_s.to_be_bytes().to_vec();
        in_order.extend_from_slice(&key);
        self.history.insert(&*key, &*octets)?;
        self.order.insert(number, &*in_order)?;
        self.history_bytes += event_bytes(&key, &octets);
        Ok(())
    }

    /// Throws away events of before a second, and the oldest of those that are too many; at most `limit` at a time. Returns how
    /// many that were.
    pub(super) fn trim(&mut self, before_s: u64, max_bytes: u64, limit: usize) -> Result<usize, Fault> {
        let mut trimmed = 0;
        while trimmed < limit {
            let Some((number, key)) = self.oldest(before_s, self.history_bytes > max_bytes)? else { break };
            let octets = self.history.remove(&*key)?.map_or(0, |octets| event_bytes(&key, octets.value()));
            self.history_bytes = self.history_bytes.saturating_sub(octets);
            self.order.remove(number)?;
            trimmed += 1;
        }
        Ok(trimmed)
    }

    fn oldest(&self, before_s: u64, is_too_much: bool) -> Result<Option<(u64, Vec<u8>)>, Fault> {
        let Some((number, octets)) = self.order.first()? else { return Ok(None) };
        let (at_s, key) = octets.value().split_at_checked(size_of::<u64>()).ok_or(Undecodable)?;
        let at_s = u64::from_be_bytes(at_s.try_into().map_err(|_| Undecodable)?);
        Ok((is_too_much || at_s < before_s).then(|| (number.value(), key.to_vec())))
    }
}

fn event_bytes(key: &[u8], octets: &[u8]) -> u64 {
    (2 * key.len() + octets.len()) as u64 + EVENT_OVERHEAD
}

/// The keys of the first and the last event that a listing can have.
fn event_keys(zone: &Name, key: &Key) -> (Vec<u8>, Vec<u8>) {
    let first = encode_key(zone, &key.place());
    let mut last = first.clone();
    last.extend_from_slice(&u64::MAX.to_be_bytes());
    (first, last)
}

/// Calls `visit` with what is to be served of each listing, in the order of the store: its zone, its place, its value (none is
/// an exclusion), and its end.
pub(super) fn for_each_served(
    database: &Database,
    mut visit: impl FnMut(&Name, &Place, Option<&OwnValue>, Option<u64>),
) -> Result<(), Fault> {
    let transaction = database.begin_read()?;
    for entry in transaction.open_table(LISTINGS)?.iter()? {
        let (key, octets) = entry?;
        let (zone, place) = decode_key(key.value())?;
        let (own, until_s) = decode_served(octets.value())?;
        visit(&zone, &place, own.as_ref(), until_s);
    }
    Ok(())
}

pub(super) fn get(database: &Database, zone: &Name, key: &Key) -> Result<Option<Record>, Fault> {
    let table = database.begin_read()?.open_table(LISTINGS)?;
    let found = table.get(&*encode_key(zone, &key.place()))?;
    Ok(found.map(|octets| decode_record(zone, key, octets.value())).transpose()?)
}

/// The listings of a zone after a key, at most `limit`.
pub(super) fn of_zone(
    database: &Database,
    zone: &Name,
    after: Option<&Key>,
    limit: usize,
) -> Result<Vec<Record>, Fault> {
    let table = database.begin_read()?.open_table(LISTINGS)?;
    let mut first = after.map_or_else(|| zone.as_wire().to_vec(), |key| encode_key(zone, &key.place()));
    if after.is_some() {
        first.push(0); // the first key beyond
    }
    let mut records = Vec::new();
    for entry in table.range::<&[u8]>(&*first..)? {
        let (key, octets) = entry?;
        if records.len() == limit || !key.value().starts_with(zone.as_wire()) {
            break;
        }
        let (_, place) = decode_key(key.value())?;
        records.push(decode_record(zone, &Key::of(&place), octets.value())?);
    }
    Ok(records)
}

/// The last events of a key, oldest first.
pub(super) fn history(database: &Database, zone: &Name, key: &Key, limit: usize) -> Result<Vec<Event>, Fault> {
    let table = database.begin_read()?.open_table(HISTORY)?;
    let (first, last) = event_keys(zone, key);
    let mut events = Vec::new();
    for entry in table.range::<&[u8]>(&*first..=&*last)?.rev().take(limit) {
        events.push(decode_event(zone, key, entry?.1.value())?);
    }
    events.reverse();
    Ok(events)
}

/// Octets of history.
pub(super) fn history_bytes(database: &Database) -> Result<u64, Fault> {
    let table = database.begin_read()?.open_table(NUMBERS)?;
    Ok(table.get(HISTORY_BYTES)?.map_or(0, |number| number.value()))
}

/// Copies everything, as it is at one moment, into a new file.
pub(super) fn copy(database: &Database, to: &Path) -> Result<(), StoreError> {
    let unwritable = |error: &dyn std::fmt::Display| StoreError::Unwritable(format!("{}: {error}", to.display()));
    if to.exists() {
        return Err(unwritable(&"there is such a file already"));
    }
    let mut aside = to.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unwritable(&error)),
        _ => {}
    }
    copy_tables(database, &aside).map_err(|fault| unwritable(&fault))?;
    fs::rename(&aside, to).map_err(|error| unwritable(&error))
}

fn copy_tables(database: &Database, to: &Path) -> Result<(), Fault> {
    let from = database.begin_read()?;
    let to = open_file(to)?;
    let transaction = to.begin_write()?;
    for definition in [LISTINGS, HISTORY] {
        let mut table = transaction.open_table(definition)?;
        for entry in from.open_table(definition)?.iter()? {
            let (key, value) = entry?;
            table.insert(key.value(), value.value())?;
        }
    }
    let mut order = transaction.open_table(ORDER)?;
    for entry in from.open_table(ORDER)?.iter()? {
        let (key, value) = entry?;
        order.insert(key.value(), value.value())?;
    }
    drop(order);
    let mut numbers = transaction.open_table(NUMBERS)?;
    for entry in from.open_table(NUMBERS)?.iter()? {
        let (key, value) = entry?;
        numbers.insert(key.value(), value.value())?;
    }
    drop(numbers);
    Ok(transaction.commit()?)
}
