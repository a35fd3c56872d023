//! What is told to Prometheus: every family is declared here, and filled from the workers' counters, from what is served
//! and from what is known of reloads and self-tests, when somebody scrapes. Whoever scrapes pays; the workers do not notice.

use std::collections::BTreeMap;

use prometheus::{
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::Running;
use crate::{
    control::NO_ZONE,
    live::served::Served,
    metrics::{
        OTHER_TYPE, RCODES, RESULTS, SIZE_BOUNDS, Totals, Way,
        family::{Family, Samples},
    },
    net::{Counter, DURATION_BOUNDS_NS, UdpCounters},
    wire::Rcode,
    zone::{live::LiveZone, snapshot::Zone},
};

macro_rules! families {
    ($($kind:ident $constant:ident $name:literal $labels:tt $help:literal;)*) => {
        $(const $constant: Family = Family::$kind($name, &$labels, $help);)*

        /// Every family that the server itself tells.
        pub const FAMILIES: &[Family] = &[$($constant,)*];
    };
}

families! {
    counter REQUESTS "dnsbld_dns_requests_total" ["zone", "proto", "family", "type"]
        "Requests received; family is 1 for IPv4 and 2 for IPv6, zone is - where no zone of ours was asked, or none was looked for.";
    counter RESPONSES "dnsbld_dns_responses_total" ["zone", "rcode"] "Responses by response code.";
    histogram DURATION "dnsbld_dns_request_duration_seconds" []
        "From reception to the reply's leaving, measured once a batch: each request counts with the time of its whole batch.";
    histogram SIZE "dnsbld_dns_response_size_bytes" [] "Size of responses.";
    counter TRUNCATED "dnsbld_dns_truncated_total" [] "Responses that did not fit and have TC set.";
    counter DROPPED "dnsbld_dns_dropped_total" ["reason"]
        "Requests met with silence: acl, response (answering would loop), short, long, port_zero.";
    counter LOST "dnsbld_dns_responses_lost_total" ["reason"]
        "Responses that never left: send_error (the kernel refused), hold_full (too many replies held back).";
    counter LOOKUPS "dnsbld_lookups_total" ["zone", "result"]
        "Lookups by result: listed, unlisted, empty_non_terminal, malformed, misuse (a name asked of addresses, or the reverse).";
    gauge ENTRIES "dnsbld_zone_entries" ["zone", "dataset"]
        "Entries of the files, without what was over when they were read; what ends later counts until it is swept.";
    gauge MEMORY "dnsbld_zone_memory_bytes" ["zone"]
        "Memory of a zone's datasets; one that several zones share counts in each.";
    gauge SERIAL "dnsbld_zone_serial" ["zone"] "Serial of the SOA record.";
    gauge SERVED "dnsbld_zone_served" ["zone"] "1 if the zone is loaded and has not expired, else 0 (it answers SERVFAIL).";
    gauge RETIRED "dnsbld_zone_retired" ["zone"] "1 if the list has ended and lists nothing, else 0.";
    gauge LOADED "dnsbld_zone_loaded_timestamp_seconds" ["zone"] "When something of the zone last went live.";
    gauge LOAD_DURATION "dnsbld_zone_load_duration_seconds" ["zone"] "How long its files took to load, when they last were.";
    counter LOAD_FAILED "dnsbld_zone_load_failed_total" ["zone", "reason"] "Loads that were refused or failed.";
    gauge TROUBLES "dnsbld_zone_troubles" ["zone"] "Datasets of the zone whose newest files are not what is served, and the zones folder if it cannot be read.";
    counter EXPIRED "dnsbld_zone_expired_entries_total" ["zone"]
        "Entries given back between drops, their lifetimes being over.";
    gauge NEXT_EXPIRY "dnsbld_zone_next_expiry_timestamp_seconds" ["zone"]
        "When the next listing ends by itself, as of the last self-test.";
    gauge SELFTEST "dnsbld_selftest_ok" ["zone", "probe"]
        "1 if the zone answered as RFC 5782 and its own entries say, else 0; asked once a minute.";
    counter DOORS "dnsbld_door_requests_total" ["door", "result"]
        "Messages to the doors for live listings: done, answered (they only asked), refused (at least some of it), failed (SERVFAIL, 503, no room).";
    gauge BUILD "dnsbld_build_info" ["version"] "Always 1.";
    gauge TCP_OPEN "dnsbld_tcp_connections" [] "TCP connections open now.";
    counter TCP_ACCEPTED "dnsbld_tcp_connections_total" [] "TCP connections let in.";
    counter TCP_REFUSED "dnsbld_tcp_connections_refused_total" ["reason"]
        "TCP connections not let in: per_client (too many of one client), accept_error.";
    counter TCP_CLOSED "dnsbld_tcp_connections_closed_total" ["reason"] "TCP connections closed.";
    gauge HELD "dnsbld_dns_replies_held" [] "Replies that wait for their delay.";
    counter RECEIVE_ERRORS "dnsbld_udp_receive_errors_total" [] "Failed attempts to receive.";
    counter XDP_REQUESTS "dnsbld_xdp_requests_total" ["interface"]
        "Requests taken from an interface directly; they count in dnsbld_dns_requests_total, too.";
    counter XDP_DROPPED "dnsbld_xdp_dropped_total" ["interface", "reason"]
        "Requests by such an interface that went unseen: full (no room), damaged (or from where no reply can go).";
    gauge XDP_ACTIVE "dnsbld_xdp_active" ["interface"]
        "1 if requests are taken from the interface directly, 0 if they take the kernel's way although they should not.";
    counter PANICS "dnsbld_worker_panics_total" []
        "Batches, and connections by TCP, lost to a bug of ours; please report it.";
    gauge LIVE "dnsbld_live_listings" ["zone"] "Listings by command, until they are swept.";
    gauge LIVE_EXCLUSIONS "dnsbld_live_exclusions" ["zone"] "Exclusions by command, until they are swept.";
    gauge LIVE_MEMORY "dnsbld_live_memory_bytes" ["zone"] "Memory of listings by command.";
    gauge LIVE_WRITABLE "dnsbld_live_store_writable" []
        "1 if new listings by command are taken, 0 if the disk is nearly full or failed, or the store could not be opened or is another server's.";
    counter UPDATES "dnsbld_updates_total" ["zone", "door", "op", "result"]
        "Changes to listings by command, by their end: listed, extended, excluded, delisted, unchanged, newer, refused, failed.";
    gauge LIVE_HISTORY "dnsbld_live_history_bytes" [] "Octets of the history of listings by command.";
    counter LOG_DROPPED "dnsbld_log_lines_dropped_total" []
        "Log lines that were not written, since whoever reads the log did not take them.";
    gauge TROUBLED "dnsbld_troubled_datasets" [] "Datasets, access lists included, whose newest files are not what is served, and the zones folder if it cannot be read.";
}

/// Gathers all that the server knows.
pub(super) struct ServerCollector {
    running: Running,
    descriptions: Vec<Desc>,
}

impl ServerCollector {
    /// Prepares to gather from a running server.
    pub(super) fn new(running: Running) -> Self {
        Self { running, descriptions: FAMILIES.iter().filter_map(Family::description).collect() }
    }
}

impl Collector for ServerCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let served = self.running.cell.load();
        let mut families = self.traffic(&served);
        families.extend(self.transports());
        families.extend(self.interfaces());
        families.extend(zones(&served));
        families.extend(self.reloads(served.snapshot.zones()));
        families.extend(self.checkups());
        families.extend(self.live_listings(served.snapshot.zones()));
        let mut doors = DOORS.samples();
        for (door, fate, count) in self.running.doors.rows() {
            doors.add(&[door, fate], count as f64);
        }
        families.push(doors.finish());
        families.push(LOG_DROPPED.alone(self.running.log_drops.count() as f64));
        let mut build = BUILD.samples();
        build.add(&[env!("CARGO_PKG_VERSION")], 1.0);
        families.push(build.finish());
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}

impl ServerCollector {
    /// What is listed by command.
    fn live_listings(&self, zones: &[Zone]) -> Vec<MetricFamily> {
        let live = self.running.live.load();
        let (mut counts, mut exclusions) = (LIVE.samples(), LIVE_EXCLUSIONS.samples());
        let mut memory = LIVE_MEMORY.samples();
        for zone in zones.iter().filter(|_| self.running.has_state) {
            let of_zone = live.zone(zone.live_slot);
            let (name, excluded) = (zone.apex.to_string(), of_zone.map_or(0, LiveZone::exclusion_count));
            counts.add(&[&name], of_zone.map_or(0, LiveZone::listing_count) as f64);
            exclusions.add(&[&name], excluded as f64);
            memory.add(&[&name], of_zone.map_or(0, LiveZone::memory_bytes) as f64);
        }
        let mut families = vec![counts.finish(), exclusions.finish(), memory.finish()];
        let listings = self.running.listings.as_ref().ok();
        if self.running.has_state {
            let is_writable = listings.is_some_and(|listings| listings.alarm().is_none());
            families.push(LIVE_WRITABLE.alone(f64::from(u8::from(is_writable))));
        }
        let mut updates = UPDATES.samples();
        for row in listings.iter().flat_map(|listings| listings.update_counts()) {
            let zone = row.zone.map_or_else(|| NO_ZONE.to_owned(), |zone| zone.to_string());
            updates.add(&[&zone, row.door, row.op, row.result], row.count as f64);
        }
        families.push(updates.finish());
        families.extend(
            listings.and_then(|listings| listings.history_bytes().ok()).map(|bytes| LIVE_HISTORY.alone(bytes as f64)),
        );
        families
    }

    /// Requests, responses and lookups.
    fn traffic(&self, served: &Served) -> Vec<MetricFamily> {
        let mut requests = REQUESTS.samples();
        let mut responses = RESPONSES.samples();
        let mut lookups = LOOKUPS.samples();
        let mut all = served.bygone.totals();
        for (zone, counters) in served.snapshot.zones().iter().zip(&served.counters) {
            let (name, totals) = (zone.apex.to_string(), counters.totals());
            add_traffic(&name, &totals, [0; 2], &mut requests, &mut responses);
            for (verdict, word) in RESULTS {
                lookups.add(&[&name, word], totals.with_verdict(verdict) as f64);
            }
            all += totals;
        }
        let outside = self.running.outside.totals();
        let unread = self.running.transports.unread().map(|reasons| reasons.iter().map(|(_, count)| count).sum());
        add_traffic(NO_ZONE, &outside, unread, &mut requests, &mut responses);
        all += outside;
        let mut dropped = DROPPED.samples();
        for (reason, count) in self.running.dropped(&all) {
            dropped.add(&[reason], count as f64);
        }
        let mut size = SIZE.samples();
        let [classes @ .., beyond] = all.sizes;
        let bounds = SIZE_BOUNDS.iter().map(|&bound| f64::from(bound));
        size.add_histogram(&[], bounds.zip(classes), beyond, all.bytes_out as f64);
        vec![
            requests.finish(),
            responses.finish(),
            lookups.finish(),
            dropped.finish(),
            size.finish(),
            TRUNCATED.alone(all.truncated as f64),
        ]
    }

    /// What only the transports know.
    fn transports(&self) -> Vec<MetricFamily> {
        let (udp, tcp) = (&self.running.transports.udp, &self.running.transports.tcp);
        let sum =
            |of: fn(&UdpCounters) -> &Counter| -> f64 { udp.iter().map(|worker| of(worker).value() as f64).sum() };
        let mut lost = LOST.samples();
        lost.add(&["send_error"], sum(|udp| &udp.send_errors));
        lost.add(&["hold_full"], sum(|udp| &udp.dropped_hold_full));
        let mut refused = TCP_REFUSED.samples();
        refused.add(&["per_client"], tcp.refused_per_client.value() as f64);
        refused.add(&["accept_error"], tcp.accept_errors.value() as f64);
        let mut closed = TCP_CLOSED.samples();
        for (reason, count) in tcp.closed() {
            closed.add(&[reason], count as f64);
        }
        let (mut classes, mut sum_ns) = ([0; DURATION_BOUNDS_NS.len() + 1], 0.0);
        for durations in udp.iter().map(|counters| &counters.durations).chain([&tcp.durations]) {
            let (own, own_ns) = durations.value();
            classes.iter_mut().zip(own).for_each(|(class, own)| *class += own);
            sum_ns += own_ns as f64;
        }
        let [classes @ .., beyond] = classes;
        let bounds = DURATION_BOUNDS_NS.iter().map(|&bound_ns| bound_ns as f64 / 1e9);
        let mut duration = DURATION.samples();
        duration.add_histogram(&[], bounds.zip(classes), beyond, sum_ns / 1e9);
        vec![
            duration.finish(),
            lost.finish(),
            refused.finish(),
            closed.finish(),
            TCP_OPEN.alone(tcp.open.value() as f64),
            TCP_ACCEPTED.alone(tcp.accepted.value() as f64),
            HELD.alone(sum(|udp| &udp.held)),
            RECEIVE_ERRORS.alone(sum(|udp| &udp.receive_errors)),
            PANICS.alone(sum(|udp| &udp.panics) + tcp.panics.value() as f64),
        ]
    }

    /// What is taken from interfaces directly.
    fn interfaces(&self) -> Vec<MetricFamily> {
        let (mut active, mut requests, mut dropped) =
            (XDP_ACTIVE.samples(), XDP_REQUESTS.samples(), XDP_DROPPED.samples());
        for tapped in &self.running.transports.interfaces {
            active.add(&[&tapped.interface], f64::from(u8::from(tapped.is_active())));
            requests.add(&[&tapped.interface], tapped.received() as f64);
            dropped.add(&[&tapped.interface, "full"], tapped.dropped() as f64);
            dropped.add(&[&tapped.interface, "damaged"], tapped.damaged() as f64);
        }
        vec![active.finish(), requests.finish(), dropped.finish()]
    }

    /// What is known of reloads.
    fn reloads(&self, zones: &[Zone]) -> Vec<MetricFamily> {
        let status = self.running.status.read();
        let mut failed = LOAD_FAILED.samples();
        for ((zone, reason), count) in &status.failed_loads {
            failed.add(&[zone, reason], *count as f64);
        }
        let mut loaded = LOADED.samples();
        for (zone, at_s) in &status.loaded_s {
            loaded.add(&[zone], *at_s as f64);
        }
        let mut durations = LOAD_DURATION.samples();
        for (zone, took) in &status.load_took {
            durations.add(&[zone], took.as_secs_f64());
        }
        let mut expired = EXPIRED.samples();
        for (zone, count) in &status.expired_entries {
            expired.add(&[zone], *count as f64);
        }
        let (mut troubles, counts) = (TROUBLES.samples(), status.trouble_counts());
        for zone in zones.iter().map(|zone| zone.apex.to_string()) {
            troubles.add(&[&zone], counts.get(&*zone).copied().unwrap_or_default() as f64);
        }
        let all = TROUBLED.alone(status.troubles.len() as f64);
        vec![failed.finish(), loaded.finish(), durations.finish(), expired.finish(), troubles.finish(), all]
    }

    /// What the last self-test found.
    fn checkups(&self) -> Vec<MetricFamily> {
        let (mut tests, mut next) = (SELFTEST.samples(), NEXT_EXPIRY.samples());
        for (zone, checkup) in &*self.running.monitor.read() {
            for (probe, is_ok) in &checkup.probes {
                tests.add(&[zone, probe], f64::from(u8::from(*is_ok)));
            }
            if let Some(next_s) = checkup.next_expiry_s {
                next.add(&[zone], f64::from(next_s));
            }
        }
        vec![tests.finish(), next.finish()]
    }
}

/// Adds the requests and responses of a zone, with datagrams that could not be read by family. What was never asked for gets
/// no series, but for the usual.
fn add_traffic(
    zone: &str,
    totals: &Totals,
    unread_by_family: [u64; 2],
    requests: &mut Samples,
    responses: &mut Samples,
) {
    for way in Way::ALL {
        let unread = if way.proto() == "udp" { unread_by_family[usize::from(way.is_v6)] } else { 0 };
        for (qtype, count) in totals.requests_by(way) {
            let count = count + if qtype == OTHER_TYPE { unread } else { 0 };
            if count > 0 || way == Way::ALL[0] && qtype == "A" {
                requests.add(&[zone, way.proto(), way.family(), qtype], count as f64);
            }
        }
    }
    for rcode in RCODES {
        let count = totals.with_rcode(rcode);
        if count > 0 || matches!(rcode, Rcode::NoError | Rcode::NxDomain) {
            responses.add(&[zone, rcode.name()], count as f64);
        }
    }
}

/// What is served.
fn zones(served: &Served) -> Vec<MetricFamily> {
    let now_s = crate::live::clock::now_s();
    let (mut entries, mut memory) = (ENTRIES.samples(), MEMORY.samples());
    let (mut serials, mut states, mut retired) = (SERIAL.samples(), SERVED.samples(), RETIRED.samples());
    for zone in served.snapshot.zones() {
        let name = zone.apex.to_string();
        let is_served = zone.is_served(&crate::zone::ruling::Context { now_s, keyed: false });
        states.add(&[&name], f64::from(u8::from(is_served)));
        let has_ended = zone.content.as_ref().is_some_and(|content| content.retirement().is_some());
        retired.add(&[&name], f64::from(u8::from(has_ended)));
        let Some(content) = &zone.content else { continue };
        let datasets = content.datasets();
        // A file may hold several datasets that are called the same; a series has one value.
        let mut by_label: BTreeMap<&str, usize> = BTreeMap::new();
        for dataset in &datasets {
            *by_label.entry(&dataset.label).or_default() += dataset.len();
        }
        for (label, count) in by_label {
            entries.add(&[&name, label], count as f64);
        }
        memory.add(&[&name], datasets.iter().map(|dataset| dataset.memory_bytes()).sum::<usize>() as f64);
        if let Some(soa) = &content.soa {
            serials.add(&[&name], f64::from(soa.soa.serial));
        }
    }
    vec![entries.finish(), memory.finish(), serials.finish(), states.finish(), retired.finish()]
}
