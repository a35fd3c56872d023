//! The self-test: once a minute, and when something new is served, each zone is asked the questions of RFC 5782 and some of
//! its own entries, through the code that answers clients. What is wrong is logged once, and a metric until it is mended. A zone
//! that expires is not asked any more; that it does is logged once too, in the second after it.
//!
//! Access lists are left out of it: it is about what the zones say, not to whom.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::probe;
use crate::{
    control::show_expired,
    live::{
        clock,
        listings::Listings,
        served::{Cell, LiveCell, Served},
    },
    turns,
    wire::name::Name,
    zone::{
        lifetimes::Lifetimes,
        live::Live,
        ruling::Context,
        snapshot::{Snapshot, Zone},
    },
};

/// How often all zones are tested.
const INTERVAL: Duration = Duration::from_secs(60);

/// How often it is looked whether something new is served.
const LOOK: Duration = Duration::from_secs(1);

/// The word for the probe of a zone's own entries.
const OWN_ENTRIES: &str = "own_entries";

/// What is known of a zone since it was last tested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkup {
    /// Each probe, and whether all is well.
    pub probes: BTreeMap<&'static str, bool>,
    /// When the next of its listings ends, in seconds since the epoch.
    pub next_expiry_s: Option<u32>,
}

/// What is known of all zones, shared.
#[derive(Clone, Debug, Default)]
pub struct Monitor(Arc<Mutex<BTreeMap<String, Checkup>>>);

impl Monitor {
    /// What is known.
    pub fn read(&self) -> MutexGuard<'_, BTreeMap<String, Checkup>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tests all zones, and says what has changed.
    pub fn test(&self, snapshot: &Snapshot, live: &Live, now_s: u64) {
        let open = probe::without_access_lists(snapshot);
        let mut checkups = BTreeMap::new();
        for zone in open.zones().iter().filter(|zone| zone.is_served(&Context { now_s, keyed: false })) {
            let name = zone.apex.to_string();
            let (checkup, faults) = check_up(&open, live, zone, now_s);
            let before = self.read().get(&name).cloned().unwrap_or_default();
            for (probe, is_ok) in &checkup.probes {
                let was_ok = before.probes.get(probe).copied();
                let fault = faults.get(probe).map(String::as_str).unwrap_or_default();
                match (was_ok, is_ok) {
                    (Some(true) | None, false) => warn!(zone = %name, probe, "self-test failed: {fault}"),
                    (Some(false), true) => info!(zone = %name, probe, "self-test passed"),
                    _ => {}
                }
            }
            checkups.insert(name, checkup);
        }
        *self.read() = checkups;
    }

    /// Tests until the runtime ends, and says which zones expire meanwhile, or are gone while something is listed in them.
    pub(super) async fn run(self, cell: Cell, live: LiveCell, listings: Option<Listings>) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut tested: Option<Tested> = None;
        let (mut expired, mut unserved) = (HashSet::new(), HashSet::new());
        loop {
            ticks.tick().await;
            if let Some(listings) = &listings {
                super::listings::tell_unserved(listings, &mut unserved);
            }
            tell_expired(&cell.load().snapshot, clock::now_s(), &mut expired);
            let served = Arc::downgrade(&cell.load());
            if tested.as_ref().is_some_and(|tested| tested.is_current(&served)) {
                continue;
            }
            let (monitor, cell, live) = (self.clone(), Arc::clone(&cell), Arc::clone(&live));
            let (done, mut is_done) = oneshot::channel();
            // It reads a whole list for what ends next, which may take a while and can wait.
            let test = thread::Builder::new().name("self-test".to_owned()).spawn(move || {
                turns::stand_aside();
                monitor.test(&cell.load_full().snapshot, &live.load_full(), clock::now_s());
                done.send(())
            });
            let started = Instant::now();
            let end = async {
                loop {
                    match tokio::time::timeout(LOOK, &mut is_done).await {
                        Ok(end) => break end,
                        Err(_) => turns::insist_if_starved(started),
                    }
                }
            };
            match test {
                Ok(_) if end.await.is_err() => warn!("the self-test panicked; please report this"),
                Ok(_) => {}
                Err(error) => warn!("no self-test, for want of a thread: {error}"),
            }
            tested = Some(Tested { served, at: tokio::time::Instant::now() });
        }
    }
}

/// What was tested, and when.
struct Tested {
    /// While this is kept, nothing else can be where that was.
    served: Weak<Served>,
    at: tokio::time::Instant,
}

impl Tested {
    /// Whether what is served now need not be tested yet.
    fn is_current(&self, served: &Weak<Served>) -> bool {
        self.served.ptr_eq(served) && self.at.elapsed() < INTERVAL
    }
}

/// Says which zones have expired since it was last looked, and which of those that had are current again.
fn tell_expired(snapshot: &Snapshot, now_s: u64, known: &mut HashSet<Name>) {
    let context = Context { now_s, keyed: false };
    for zone in snapshot.zones() {
        match zone.expired_s(&context) {
            Some(ended_s) if !known.contains(&zone.apex) => {
                error!(zone = %zone.apex, "{}", show_expired(ended_s));
                known.insert(zone.apex.clone());
            }
            None if known.remove(&zone.apex) && zone.content.is_some() => {
                info!(zone = %zone.apex, "its data are current again");
            }
            _ => {}
        }
    }
    known.retain(|apex| snapshot.zone(apex).is_some());
}

/// Tests a zone; what is wrong is said by probe.
fn check_up(snapshot: &Snapshot, live: &Live, zone: &Zone, now_s: u64) -> (Checkup, BTreeMap<&'static str, String>) {
    let (mut checkup, mut faults) = (Checkup::default(), BTreeMap::new());
    for probe in probe::probes(snapshot, live, zone, now_s) {
        checkup.probes.insert(probe.name, probe.is_ok());
        if !probe.is_ok() {
            let listed =
                if probe.should_be_listed { "is not listed, and should be" } else { "is listed, and must not be" };
            faults.insert(probe.name, format!("{} {listed} (RFC 5782 section 5)", probe.question));
        }
    }
    let (asked, missing) = probe::own_entries(snapshot, zone, now_s);
    if asked > 0 {
        checkup.probes.insert(OWN_ENTRIES, missing.is_empty());
    }
    if let Some(first) = missing.first() {
        faults
            .insert(OWN_ENTRIES, format!("{} of {asked} entries are not answered, {first} among them", missing.len()));
    }
    let datasets = zone.content.iter().flat_map(|content| content.datasets());
    let lifetimes = datasets.map(|dataset| dataset.lifetimes(now_s)).fold(Lifetimes::default(), Lifetimes::and);
    let by_command = live.zone(zone.live_slot).and_then(|listings| listings.next_end_s(now_s));
    checkup.next_expiry_s = lifetimes.next_s.into_iter().chain(by_command).min();
    (checkup, faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_the_place_of_what_was_tested_is_tested_at_once() {
        for _ in 0..100 {
            let first = Arc::new(Served::default());
            let tested = Tested { served: Arc::downgrade(&first), at: tokio::time::Instant::now() };
            assert!(tested.is_current(&Arc::downgrade(&first)));
            drop(first);
            assert!(!tested.is_current(&Arc::downgrade(&Arc::new(Served::default()))));
        }
    }
}
