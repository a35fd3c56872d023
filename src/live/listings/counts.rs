//! What became of every change, counted for Prometheus when its asker is told, whatever the door and whether or not the store
//! took it. No more than some ten thousand changes a second come in, so one lock for all will do.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::{Applied, Op, Outcome, StoreError, Verdict, decide::Order};
use crate::{live::served::Cell, wire::name::Name};

/// Door, operation and result: few words each, so that nobody can make series by asking.
type Series = (&'static str, &'static str, &'static str);

/// How many changes came in by one door and came to the same end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateCount {
    /// In which zone; none stands for all that are not served.
    pub zone: Option<Name>,
    /// By which way: `command`, `http`, `dns-update` or `rspamd`.
    pub door: &'static str,
    /// What was asked for: `list`, `exclude` or `delist`.
    pub op: &'static str,
    /// What became of it: `listed`, `extended`, `excluded`, `delisted`, `unchanged`, `newer`, `refused` or `failed`.
    pub result: &'static str,
    /// How many, since the start.
    pub count: u64,
}

/// The counts since the start.
pub(super) struct UpdateCounts {
    served: Cell,
    zones: Mutex<BTreeMap<Option<Name>, BTreeMap<Series, u64>>>,
}

impl UpdateCounts {
    /// Nothing counted yet. Zones are told apart that are served when a change is counted.
    pub(super) fn new(served: Cell) -> Self {
        Self { served, zones: Mutex::default() }
    }

    /// Counts each change of an order with what its asker is told of it. Where a condition does not hold, nothing was decided,
    /// and the asker may come again with the same changes.
    pub(super) fn count(&self, order: &Order, applied: &Applied) {
        if *applied == Err(StoreError::ConditionFailed) {
            return;
        }
        let served = self.served.load();
        let door = order.origin.door.word();
        let mut index = 0;
        let mut zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        for run in order.work.chunk_by(|one, next| one.change.zone == next.change.zone) {
            let zone = run.first().map(|work| &work.change.zone).filter(|zone| served.snapshot.zone(zone).is_some());
            let counts = zones.entry(zone.cloned()).or_default();
            for work in run {
                let result =
                    applied.as_ref().ok().and_then(|outcomes| outcomes.get(index)).map_or("failed", Outcome::word);
                *counts.entry((door, word(&work.change.op), result)).or_default() += 1;
                index += 1;
            }
        }
    }

    /// All that came in so far; what never did has no row.
    pub(super) fn rows(&self) -> Vec<UpdateCount> {
        let zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        let of_zone = |(zone, counts): (&Option<Name>, &BTreeMap<Series, u64>)| {
            let row = |(&(door, op, result), &count)| UpdateCount { zone: zone.clone(), door, op, result, count };
            counts.iter().map(row).collect::<Vec<_>>()
        };
        zones.iter().flat_map(of_zone).collect()
    }
}

fn word(op: &Op) -> &'static str {
    match op {
        Op::Delist => "delist",
        Op::Put { verdict: Verdict::Excluded, .. } => "exclude",
        Op::Put { verdict: Verdict::Listed { .. }, .. } => "list",
    }
}
