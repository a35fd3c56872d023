//! From what is stored to what is served: the live listings of each zone in memory, and their publication.

use std::{collections::HashMap, sync::Arc};

use super::{Record, Verdict};
use crate::{
    live::served::{LiveCell, LiveSlots, free_retired, publish},
    wire::name::Name,
    zone::{
        live::{Live, LiveZone, OwnValue, Place, ValueNumbers},
        ruling::FOREVER_S,
    },
};

/// The listings of a zone, with what it takes to change them.
struct ServedZone {
    slot: u32,
    zone: Arc<LiveZone>,
    numbers: ValueNumbers,
}

/// All of them. Only the writer has this.
pub(super) struct Serving {
    cell: LiveCell,
    slots: LiveSlots,
    /// TTL of answers where a zone gives none.
    ttl_s: u32,
    zones: HashMap<Name, ServedZone>,
    /// What is published next.
    live: Live,
    retired: Vec<Arc<Live>>,
}

/// One change of what is served.
pub(super) enum Edit {
    Put { place: Place, own: Option<OwnValue>, until_s: u32 },
    Remove { place: Place },
}

impl Edit {
    /// Serve what a record says.
    pub(super) fn of(record: &Record) -> Self {
        let own = match &record.verdict {
            Verdict::Listed { address, text } => {
                Some(OwnValue { address: *address, text: text.as_deref().map(Into::into) })
            }
            Verdict::Excluded => None,
        };
        Self::Put { place: record.key.place(), own, until_s: end(record.until_s) }
    }
}

/// An end as it is served.
pub(super) fn end(until_s: Option<u64>) -> u32 {
    until_s.map_or(FOREVER_S, |until_s| until_s.min(u64::from(FOREVER_S) - 1) as u32)
}

impl Serving {
    pub(super) fn new(cell: LiveCell, slots: LiveSlots, ttl_s: u32) -> Self {
        Self { cell, slots, ttl_s, zones: HashMap::new(), live: Live::default(), retired: Vec::new() }
    }

    /// For the same places, with nothing taken yet. Versions that workers may read still come along.
    pub(super) fn anew(&mut self) -> Self {
        let anew = Self::new(Arc::clone(&self.cell), self.slots.clone(), self.ttl_s);
        Self { retired: std::mem::take(&mut self.retired), ..anew }
    }

    fn served_zone(&mut self, zone: &Name) -> &mut ServedZone {
        // A lookup by reference first: the name is cloned once a zone, not once a change.
        if !self.zones.contains_key(zone) {
            let live = LiveZone::new(self.ttl_s);
            let served =
                ServedZone { slot: self.slots.slot(zone), zone: Arc::new(live), numbers: ValueNumbers::default() };
            self.zones.insert(zone.clone(), served);
        }
        self.zones.get_mut(zone).expect("it was just put there")
    }

    /// Takes what is stored at the start, in the order of the store.
    pub(super) fn take(&mut self, zone: &Name, place: &Place, own: Option<&OwnValue>, until_s: Option<u64>) {
        let served = self.served_zone(zone);
        Arc::make_mut(&mut served.zone).push(place, own, end(until_s), &mut served.numbers);
    }

    /// Changes what will be served.
    pub(super) fn edit(&mut self, zone: &Name, edit: &Edit) {
        let served = self.served_zone(zone);
        let live = Arc::make_mut(&mut served.zone);
        match edit {
            Edit::Put { place, own, until_s } => live.put(place, own.as_ref(), *until_s, &mut served.numbers),
            Edit::Remove { place } => live.remove(place, &mut served.numbers),
        }
    }

    /// Serves it from now on.
    pub(super) fn publish<'a>(&mut self, zones: impl Iterator<Item = &'a Name>) {
        for zone in zones {
            if let Some(served) = self.zones.get_mut(zone) {
                Arc::make_mut(&mut served.zone).settle();
                self.live.set(served.slot, (!served.zone.is_empty()).then(|| Arc::clone(&served.zone)));
            }
        }
        publish(&self.cell, self.live.clone(), &mut self.retired);
    }

    /// Serves all that was taken.
    pub(super) fn publish_all(&mut self) {
        let zones: Vec<Name> = self.zones.keys().cloned().collect();
        self.publish(zones.iter());
    }

    /// Frees versions that no worker reads any more, here and not on a worker.
    pub(super) fn free_retired(&mut self) {
        free_retired(&mut self.retired);
    }

    pub(super) fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// What will be served.
    pub(super) fn live(&self) -> &Live {
        &self.live
    }

    /// What is known of a zone.
    pub(super) fn zone(&self, zone: &Name) -> Option<&LiveZone> {
        self.zones.get(zone).map(|served| &*served.zone)
    }

    /// How many listings a zone has, in force or not.
    pub(super) fn len(&self, zone: &Name) -> usize {
        self.zones.get(zone).map_or(0, |served| served.zone.len())
    }

    /// Some of what is over at this second.
    pub(super) fn over(&self, now_s: u64, limit: usize) -> Vec<(Name, Place)> {
        let mut over = Vec::new();
        for (name, served) in &self.zones {
            let places = served.zone.over(now_s, limit - over.len());
            over.extend(places.into_iter().map(|place| (name.clone(), place)));
            if over.len() >= limit {
                break;
            }
        }
        over
    }
}
