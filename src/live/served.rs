//! What is served now: a snapshot and the counters of its zones, replaced as a whole by one pointer swap. What zones have counted that
//! were served before goes with it, so that whoever looks finds all of it, once.
//!
//! Workers look at the pointer once a batch, which costs one atomic load while nothing changed. The last
//! reference to an old snapshot is dropped by whoever publishes the next, never by a worker: freeing a zone takes long.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::{ArcSwap, Cache};

use crate::{
    metrics::{Totals, ZoneCounters},
    wire::name::Name,
    zone::{live::Live, snapshot::Snapshot},
};

/// Everything that one batch of queries is answered from.
#[derive(Debug, Default)]
pub struct Served {
    /// The zones.
    pub snapshot: Snapshot,
    /// The counters of each, in the same order.
    pub counters: Vec<Arc<ZoneCounters>>,
    /// What was counted of others before.
    pub bygone: Bygone,
}

impl Served {
    /// Counts of all zones together, which never fall.
    pub fn totals(&self) -> Totals {
        let mut totals = self.bygone.totals();
        self.counters.iter().for_each(|counters| totals += counters.totals());
        totals
    }
}

/// What was counted of zones that are not served any more, or not for the moment.
#[derive(Clone, Debug, Default)]
pub struct Bygone {
    /// Of those in which nobody counts any more.
    pub settled: Totals,
    /// Of the others: a worker that has not looked since may be counting yet.
    pub counters: Vec<Arc<ZoneCounters>>,
}

impl Bygone {
    /// Adds up what is counted in no more.
    pub(super) fn settle(&mut self) {
        self.counters.drain(..).for_each(|counters| self.settled += counters.totals());
    }

    /// All of it.
    pub fn totals(&self) -> Totals {
        let mut totals = self.settled;
        self.counters.iter().for_each(|counters| totals += counters.totals());
        totals
    }
}

/// Where it is found.
pub type Cell = Arc<ArcSwap<Served>>;

/// Where live listings are found: beside the rest, since they change far more often.
pub type LiveCell = Arc<ArcSwap<Live>>;

/// What a worker sees of a cell: what was there when it last looked.
#[derive(Debug)]
pub struct View<T> {
    cache: Cache<Arc<ArcSwap<T>>, Arc<T>>,
    /// The same as in the cache, which lends it only to whoever looks again.
    seen: Arc<T>,
}

impl<T> View<T> {
    /// Of what is there now.
    pub fn new(cell: Arc<ArcSwap<T>>) -> Self {
        Self { seen: cell.load_full(), cache: Cache::new(cell) }
    }

    /// Looks again. The publisher keeps what was there before until all have looked, so nothing is freed here.
    #[inline]
    pub fn look(&mut self) {
        let now = self.cache.load();
        if !Arc::ptr_eq(now, &self.seen) {
            self.seen = Arc::clone(now);
        }
    }
}

impl<T> std::ops::Deref for View<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.seen
    }
}

/// Which zone's live listings are where. A name keeps its slot, so neither of the two cells has to wait for the other.
#[derive(Clone, Debug, Default)]
pub struct LiveSlots(Arc<Mutex<HashMap<Name, u32>>>);

impl LiveSlots {
    /// Where no zone has anything.
    pub const NONE: u32 = u32::MAX;

    /// The slot of a zone, whether or not it is served now.
    pub fn slot(&self, zone: &Name) -> u32 {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = slots.len() as u32;
        *slots.entry(zone.clone()).or_insert(next)
    }

    /// Zones that are not served and have live listings all the same, which wait for them to be served again.
    pub fn unserved(&self, snapshot: &Snapshot, live: &Live) -> Vec<Name> {
        let slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_any = |slot: u32| live.zone(slot).is_some_and(|zone| !zone.is_empty());
        let unserved = slots.iter().filter(|(zone, slot)| is_any(**slot) && snapshot.zone(zone).is_none());
        unserved.map(|(zone, _)| zone.clone()).collect()
    }
}

/// Publishes what is to be served next, and frees what was, here.
pub fn publish<T>(cell: &ArcSwap<T>, next: T, retired: &mut Vec<Arc<T>>) {
    retired.push(cell.swap(Arc::new(next)));
    free_retired(retired);
}

/// Frees what no worker reads any more. A worker lets go of an old version with its next batch, at the latest a quarter of
/// a second later; until then it is kept here.
pub fn free_retired<T>(retired: &mut Vec<Arc<T>>) {
    retired.retain(|old| Arc::strong_count(old) > 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_served_is_freed_by_its_publisher_once_all_have_looked() {
        let cell: Cell = Arc::default();
        let first = Arc::downgrade(&cell.load_full());
        let mut views = [View::new(Arc::clone(&cell)), View::new(Arc::clone(&cell))];
        let mut retired = Vec::new();
        publish(&cell, Served { counters: vec![Arc::new(ZoneCounters::new(1))], ..Served::default() }, &mut retired);
        for view in &mut views {
            assert!(first.strong_count() > 0);
            assert_eq!(view.counters.len(), 0, "it has not looked");
            view.look();
            assert_eq!(view.counters.len(), 1);
            assert!(first.strong_count() > 0, "no view frees it");
            free_retired(&mut retired);
        }
        assert_eq!((first.strong_count(), retired.len()), (0, 0));
    }
}
