//! How the reloader puts together what is served from what is good of each dataset, and swaps it in.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{Reloader, is_small};
use crate::{
    live::{
        assembly::{GoodData, announce, apexes, assemble},
        held::Held,
        loading::{Loading, stamps},
        report::ReloadReport,
        served::{Bygone, Served, free_retired, publish},
        zones::{DatasetSpec, ZoneSpec},
    },
    load::Loaded,
    metrics::ZoneCounters,
    wire::name::Name,
    zone::{
        dataset::Entries,
        snapshot::{Snapshot, Zone},
    },
};

impl Reloader {
    /// What would be served if all that was loaded went live; nothing if no name server of ours can be found listed by that.
    pub(super) fn prospect(&self, datasets: &[DatasetSpec], loadings: &[Loading]) -> Snapshot {
        let mut loaded = loadings.iter().filter_map(|loading| loading.result.as_ref().ok());
        let lists_addresses = loaded.any(|loaded| has_any(loaded, |entries| matches!(entries, Entries::Addresses(_))));
        if !lists_addresses || !self.settings.rules.refuse_own_servers {
            return Snapshot::default();
        }
        let mut good = self.good_data();
        let loaded = datasets.iter().zip(loadings);
        good.extend(loaded.filter_map(|(dataset, loading)| Some((dataset, (loading.result.as_ref().ok()?, 0)))));
        // The addresses of servers are records.
        if !good.values().any(|(loaded, _)| has_any(loaded, |entries| matches!(entries, Entries::Records(_)))) {
            return Snapshot::default();
        }
        let specs = self.specs.iter().filter(|spec| good.contains_key(&spec.dataset)).cloned();
        assemble(&specs.collect::<Vec<_>>(), &good, &self.live_slots)
    }

    /// Whether each zone of a dataset has its SOA from what is good of another one.
    pub(super) fn others_have_soa(&self, dataset: &DatasetSpec) -> bool {
        let has_soa = |other: &DatasetSpec| {
            let good = self.held.get(other).and_then(|held| held.good.as_ref());
            good.is_some_and(|good| good.data.has_soa())
        };
        let has_other = |apex: &Name| {
            let others = self.specs.iter().filter(|spec| spec.zone.as_ref() == Some(apex));
            others.map(|spec| &spec.dataset).any(|other| other != dataset && has_soa(other))
        };
        self.zones_of(dataset).all(has_other)
    }

    /// What was refused only since its zones would have lost their SOA, has not changed since, and may go without now.
    pub(super) fn given_soa(&self) -> Vec<DatasetSpec> {
        // A large one waits for what is being read, as always.
        let may_load =
            |dataset: &DatasetSpec| self.busy.is_empty() || !self.busy.contains(dataset) && is_small(dataset);
        let lacking = self.held.iter().filter(|(dataset, held)| held.lacks_only_soa && held.tried == stamps(dataset));
        let lacking = lacking.map(|(dataset, _)| dataset);
        let given = lacking.filter(|dataset| may_load(dataset) && self.others_have_soa(dataset));
        let mut given: Vec<_> = given.cloned().collect();
        given.sort_by(|a, b| a.files.cmp(&b.files));
        given
    }

    /// What is good of each dataset.
    fn good_data<'a>(&'a self) -> GoodData<'a> {
        let good = |held: &'a Held| held.good.as_ref().map(|good| (&good.data, good.newest_s));
        self.held.iter().filter_map(|(dataset, held)| Some((dataset, good(held)?))).collect()
    }

    pub(super) fn publish_if(&mut self, has_changed: bool, report: &mut ReloadReport) {
        if has_changed {
            self.publish(report);
        }
    }

    /// Assembles all zones and swaps them in.
    fn publish(&mut self, report: &mut ReloadReport) {
        let specs = self.ripe_specs();
        let snapshot = assemble(&specs, &self.good_data(), &self.live_slots);
        let mut took: HashMap<&Name, Duration> = HashMap::new();
        let (mut tried, mut news): (HashSet<&Name>, HashSet<&Name>) = Default::default();
        for (index, read) in report.datasets.iter().enumerate() {
            let went_live = read.failure.is_none() || read.is_restored;
            for apex in self.zones_of(&read.dataset) {
                tried.extend((index >= report.told).then_some(apex));
                if went_live {
                    *took.entry(apex).or_default() += read.took;
                    news.extend((index >= report.told).then_some(apex));
                }
            }
        }
        report.told = report.datasets.len();
        // What did not go live is no news of a zone that is served.
        let is_news = |zone: &Zone| if zone.content.is_some() { &news } else { &tried }.contains(&zone.apex);
        for zone in snapshot.zones().iter().filter(|zone| is_news(zone)) {
            announce(&snapshot, zone, took.get(&zone.apex).copied().unwrap_or_default());
        }
        self.status.serves(&specs);
        self.status.took(took.iter().map(|(apex, took)| (*apex, *took)));
        let (counters, bygone) = self.counters_of(&apexes(&specs));
        publish(&self.cell, Served { snapshot, counters, bygone }, &mut self.retired);
    }

    /// The counters of these zones, in their order, and what was counted of others before.
    fn counters_of(&mut self, apexes: &[&Name]) -> (Vec<Arc<ZoneCounters>>, Bygone) {
        free_retired(&mut self.retired);
        if self.retired.is_empty() {
            // All workers have seen what is served now, and the counters of these zones are not in it.
            self.bygone.settle();
        }
        let named: HashSet<&Name> = self.specs.iter().filter_map(|spec| spec.zone.as_ref()).collect();
        let bygone = &mut self.bygone;
        self.counters.retain(|apex, of_zone| {
            let is_named = named.contains(apex);
            bygone.counters.extend((!is_named).then(|| Arc::clone(of_zone)));
            is_named
        });
        let worker_count = self.settings.worker_count;
        let new = || Arc::new(ZoneCounters::new(worker_count));
        let counters = apexes.iter().map(|&apex| Arc::clone(self.counters.entry(apex.clone()).or_insert_with(new)));
        let counters = counters.collect();
        let served: HashSet<&Name> = apexes.iter().copied().collect();
        // Some are named and not served for the moment.
        let waiting = self.counters.iter().filter(|(apex, _)| !served.contains(apex));
        let mut bygone = self.bygone.clone();
        bygone.counters.extend(waiting.map(|(_, of_zone)| Arc::clone(of_zone)));
        (counters, bygone)
    }

    /// The specifications that zones are put together from. A new file that cannot be loaded must not take down a zone that
    /// is served without it, and a new zone waits until all of its files were tried.
    pub(super) fn ripe_specs(&self) -> Vec<ZoneSpec> {
        let served = self.cell.load();
        let is_served = |apex: &Name| served.snapshot.zone(apex).is_some_and(|zone| zone.content.is_some());
        let was_tried = |spec: &ZoneSpec| {
            self.held.get(&spec.dataset).is_some_and(|held| held.good.is_some() || held.failure.is_some())
        };
        let unripe: HashSet<&Name> =
            self.specs.iter().filter(|spec| !was_tried(spec)).filter_map(|spec| spec.zone.as_ref()).collect();
        let is_ripe = |spec: &ZoneSpec| {
            let has_good = || self.held.get(&spec.dataset).is_some_and(|held| held.good.is_some());
            match &spec.zone {
                None => has_good() || !served.snapshot.zones().iter().any(|zone| zone.content.is_some()),
                Some(apex) if is_served(apex) => has_good(),
                Some(apex) => !unripe.contains(apex),
            }
        };
        self.specs.iter().filter(|spec| is_ripe(spec)).cloned().collect()
    }

    /// Whether zones are to be put together from other specifications than those that are served.
    pub(super) fn has_other_specs(&self) -> bool {
        self.ripe_specs() != self.status.read().specs
    }

    /// Whether all zones of a dataset are in what is served.
    pub(super) fn all_known(&self, dataset: &DatasetSpec) -> bool {
        let served = self.cell.load();
        self.zones_of(dataset).all(|apex| served.snapshot.zone(apex).is_some())
    }
}

/// Whether anything in a dataset is of a sort.
fn has_any(loaded: &Loaded, is_such: impl Fn(&Entries) -> bool) -> bool {
    matches!(loaded, Loaded::Data(data) if data.sections.iter().any(|section| is_such(&section.dataset.entries)))
}
