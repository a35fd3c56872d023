//! Datasets into zones: what was loaded, at its place, under its apex.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use tracing::{error, info};

use super::{
    retirement::kept_addresses,
    served::LiveSlots,
    zones::{DatasetSpec, ZoneSpec},
};
use crate::{
    load::{Loaded, ZoneData, counted},
    wire::name::Name,
    zone::{
        access::{AccessList, KeyList},
        apex::{ZoneServers, ZoneSoa},
        dataset::{Dataset, Kind},
        snapshot::{Content, Snapshot, Zone},
    },
};

/// The good data of each dataset, with the time of its newest file.
pub(super) type GoodData<'a> = HashMap<&'a DatasetSpec, (&'a Loaded, u64)>;

/// The zones that specifications name, in order.
pub(super) fn apexes(specs: &[ZoneSpec]) -> Vec<&Name> {
    let mut known = HashSet::new();
    specs.iter().filter_map(|spec| spec.zone.as_ref()).filter(|zone| known.insert(*zone)).collect()
}

/// Puts all zones together.
pub(super) fn assemble(specs: &[ZoneSpec], good: &GoodData<'_>, slots: &LiveSlots) -> Snapshot {
    let mut by_zone: HashMap<Option<&Name>, Vec<&ZoneSpec>> = HashMap::new();
    for spec in specs {
        by_zone.entry(spec.zone.as_ref()).or_default().push(spec);
    }
    let own = |zone| by_zone.get(&zone).map_or(&[][..], Vec::as_slice);
    let (acl, keys, is_complete) = access(own(None), good);
    let zones = apexes(specs).into_iter().map(|apex| zone(apex, own(Some(apex)), good, is_complete, slots)).collect();
    Snapshot::new(zones, acl, keys)
}

/// The access lists among what is of a zone or of all, and whether all that are named are loaded.
fn access(specs: &[&ZoneSpec], good: &GoodData<'_>) -> (Vec<Arc<AccessList>>, Vec<Arc<KeyList>>, bool) {
    let (mut acl, mut keys, mut is_complete) = (Vec::new(), Vec::new(), true);
    for spec in specs.iter().filter(|spec| spec.dataset.kind.is_access()) {
        match good.get(&spec.dataset) {
            Some((Loaded::Acl(list), _)) => acl.push(Arc::clone(list)),
            Some((Loaded::Keys(list), _)) => keys.push(Arc::clone(list)),
            _ => is_complete = false,
        }
    }
    (acl, keys, is_complete)
}

/// Puts a zone together from what is of it; without content unless everything that belongs to it is there: half a list may lack
/// just the exclusions, and a zone without its access list is open to all. A list that has ended consists of what says so alone,
/// whatever else is there, in files or by command: it must list nothing, and nobody's world.
fn zone(
    apex: &Name,
    specs: &[&ZoneSpec],
    good: &GoodData<'_>,
    is_global_access_complete: bool,
    slots: &LiveSlots,
) -> Zone {
    let is_retirement = |spec: &ZoneSpec| spec.dataset.kind == Kind::Retired;
    let of_entries = || specs.iter().filter(|spec| !spec.dataset.kind.is_access());
    let is_retired = of_entries().any(|spec| is_retirement(spec) && good.contains_key(&spec.dataset));
    let has_list = of_entries().any(|spec| !is_retirement(spec));
    let live_slot = if is_retired { LiveSlots::NONE } else { slots.slot(apex) };
    let (acl, keys, is_access_complete) = if is_retired { (Vec::new(), Vec::new(), true) } else { access(specs, good) };
    let mut zone = Zone { apex: apex.clone(), content: None, acl, keys, live_slot };
    // What says that the list has ended may leave SOA and name servers to the other files.
    let (mut parts, mut others, mut newest_s) = (Vec::new(), Vec::new(), 0);
    for spec in of_entries() {
        match good.get(&spec.dataset) {
            Some((Loaded::Data(data), modified_s)) => {
                newest_s = newest_s.max(*modified_s);
                if is_retired == is_retirement(spec) { &mut parts } else { &mut others }.push(data);
            }
            // What is no good end of a list leaves it as it is.
            _ if is_retired || has_list && is_retirement(spec) => {}
            _ => return zone,
        }
    }
    if !is_access_complete || !is_global_access_complete {
        return zone;
    }
    let heads = || parts.iter().chain(&others);
    let soa = heads().find_map(|data| data.soa.clone()).map(|soa| ZoneSoa::new(soa, apex, newest_s));
    let servers = heads().find_map(|data| data.servers.as_ref()).map(|servers| ZoneServers::new(servers, apex));
    let expires_s = parts.iter().filter_map(|data| data.expires_s).min().filter(|_| !is_retired);
    let kept = servers.as_ref().filter(|_| is_retired).and_then(|servers| {
        let [own, others] =
            [&parts, &others].map(|all| Content::new(None, None, None, all.iter().map(|data| places(data))));
        kept_addresses(servers, apex, &own, &others)
    });
    let (root, parts) = ([Name::root()], parts.iter().map(|data| places(data).collect()));
    let kept = kept.iter().map(|dataset| vec![(&root[..], dataset)]);
    zone.content = Some(Content::new(soa, servers, expires_s, parts.chain(kept).collect::<Vec<Vec<_>>>()));
    zone
}

/// The datasets of some files, each with the subzones that it is for.
fn places(data: &ZoneData) -> impl Iterator<Item = (&[Name], &Arc<Dataset>)> {
    data.sections.iter().map(|section| (section.subzones.as_slice(), &section.dataset))
}

/// The addresses of the name servers of zones, as far as their names are in zones of ours.
pub(super) fn server_addresses<'a>(snapshot: &Snapshot, zones: impl Iterator<Item = &'a Name>) -> Vec<IpAddr> {
    let servers = zones.filter_map(|apex| snapshot.zone(apex)?.content.as_ref()?.servers.as_ref());
    let names = servers.flat_map(|servers| &servers.servers).map(|(server, _)| server.name());
    let mut addresses: Vec<IpAddr> = names.flat_map(|name| snapshot.addresses_of(name)).collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

/// So many datasets of a zone are told of by their names: a file may have thousands of sections.
const LABELS_MAX: usize = 50;

/// Says in one line what a zone consists of now that something of it was loaded.
pub(super) fn announce(snapshot: &Snapshot, zone: &Zone, took: Duration) {
    let Some(content) = &zone.content else {
        error!(zone = %zone.apex, "not all of its datasets are loaded, zone will not be serviced: it answers SERVFAIL");
        return;
    };
    let datasets = content.datasets();
    let mut labels: Vec<&str> = datasets.iter().take(LABELS_MAX).map(|dataset| &*dataset.label).collect();
    let more = format!("and {} more", datasets.len() - labels.len());
    labels.extend((datasets.len() > LABELS_MAX).then_some(&*more));
    let labels = if labels.is_empty() { "no dataset".to_owned() } else { labels.join(" ") };
    let entries: usize = datasets.iter().map(|dataset| dataset.len()).sum();
    let bytes: usize = datasets.iter().map(|dataset| dataset.memory_bytes()).sum();
    let soa = if content.soa.is_some() { "" } else { "; no $SOA: negative answers cannot be cached" };
    let retired = if content.retirement().is_some() { "; retired, it lists nothing" } else { "" };
    let lost =
        snapshot.servers_without_address(zone).map(|server| format!("; its name server {server} has no address here"));
    let lost: String = lost.collect();
    info!(
        "zone {}: {} in {}, {:.1} MB, {:.2} s{soa}{lost}{retired}",
        zone.apex,
        counted(entries, "entry", "entries"),
        labels,
        bytes as f64 / 1e6,
        took.as_secs_f64()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where each zone is compared with each other, so many take minutes.
    #[test]
    fn thousands_of_zones_are_put_together_at_once() {
        const COUNT: usize = 20_000;
        let spec = |number| ZoneSpec::parse(&format!("z{number}.bl.example:ip4set:hosts{number}")).expect("one");
        let specs: Vec<ZoneSpec> = (0..COUNT).map(spec).chain(ZoneSpec::parse("bl.example:ip4set:hosts")).collect();
        let data = Loaded::Data(ZoneData::default());
        let good = specs.iter().map(|spec| (&spec.dataset, (&data, 0))).collect();
        let snapshot = assemble(&specs, &good, &LiveSlots::default());
        for spec in &specs {
            let apex = spec.zone.as_ref().expect("a zone");
            assert!(snapshot.zone(apex).is_some_and(|zone| zone.apex == *apex && zone.content.is_some()));
        }
        assert_eq!(snapshot.zones().len(), COUNT + 1);
    }
}
