//! Live listings: what is listed or excluded by command, for a time, beside what the files say.
//!
//! Changes come in by several doors (the control socket, HTTP, DNS UPDATE, rspamd's datagrams) and all end in
//! [`Listings::submit`]. One thread decides them in order, writes them to the store with one commit for all that came in
//! meanwhile, publishes what is served, and then tells each asker. So what is acknowledged is on disk and served.

mod change;
mod key;

use std::path::Path;

pub use change::{
    Change, Door, Event, Lifetime, Op, Origin, Outcome, REASON_MAX_LEN, Record, Refusal, StoreError, Verdict, What,
};
pub use key::{Key, KeyError};

use crate::wire::name::Name;

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

/// The live listings of a running server; clones are the same.
#[derive(Clone)]
pub struct Listings {}

impl Listings {
    /// Does what is asked, and returns when it is durable and served. Blocks for some milliseconds.
    ///
    /// # Errors
    /// When nothing could be done; see [`StoreError`].
    pub fn apply(&self, changes: Vec<Change>, origin: &Origin) -> Applied {
        let _ = (changes, origin);
        Err(StoreError::Ending)
    }

    /// Has a batch done, and calls `done` on the writer's thread when it is durable and served. Does not block.
    pub fn submit(&self, batch: Batch, done: impl FnOnce(Applied) + Send + 'static) {
        let _ = batch;
        done(Err(StoreError::Ending));
    }

    /// What is said of a key, if it is in force or was not swept yet.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    pub fn get(&self, zone: &Name, key: &Key) -> Result<Option<Record>, StoreError> {
        let _ = (zone, key);
        Err(StoreError::Ending)
    }

    /// The listings of a zone in the order of their keys, from the one after `after`, at most `limit` of them.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    pub fn of_zone(&self, zone: &Name, after: Option<&Key>, limit: usize) -> Result<Vec<Record>, StoreError> {
        let _ = (zone, after, limit);
        Err(StoreError::Ending)
    }

    /// What happened to a key in a zone, oldest first, at most the last `limit` events.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    pub fn history(&self, zone: &Name, key: &Key, limit: usize) -> Result<Vec<Event>, StoreError> {
        let _ = (zone, key, limit);
        Err(StoreError::Ending)
    }

    /// Copies the store as it is at one moment into a new file, while all goes on.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let _ = to;
        Err(StoreError::Ending)
    }
}
