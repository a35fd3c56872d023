//! Metrics over HTTP in Prometheus' text format.

use std::sync::Arc;

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use prometheus::{
    Encoder, TextEncoder,
    core::{Collector, Desc},
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};
use tracing::error;

use super::Running;
use crate::zone::snapshot::Zone;

/// Serves `/metrics` and `/healthz` until the runtime ends.
pub(super) async fn serve(listener: tokio::net::TcpListener, running: Running) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .with_state(Arc::new(Gatherer { running, descriptions: Vec::new() }));
    if let Err(error) = axum::serve(listener, router).await {
        error!("HTTP has ended: {error}");
    }
}

async fn metrics(State(gatherer): State<Arc<Gatherer>>) -> impl IntoResponse {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&gatherer.collect(), &mut text) {
        Ok(()) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (axum::http::StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Sums the workers' counters when somebody asks.
struct Gatherer {
    running: Running,
    descriptions: Vec<Desc>,
}

impl Collector for Gatherer {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let served = self.running.cell.load();
        let zones: Vec<_> = served.snapshot.zones().iter().zip(&served.counters).collect();
        let mut requests = Vec::new();
        let mut responses = Vec::new();
        let mut entries = Vec::new();
        let mut memory = Vec::new();
        let mut serials = Vec::new();
        for (zone, counters) in zones {
            let name = zone.apex.to_string();
            let totals = counters.totals();
            requests.push(counter(&[("zone", &name)], totals.answered + totals.ignored));
            for (rcode, count) in
                [("NOERROR", totals.noerror), ("NXDOMAIN", totals.nxdomain), ("other", totals.errors())]
            {
                responses.push(counter(&[("zone", &name), ("rcode", rcode)], count));
            }
            let Some(content) = &zone.content else { continue };
            for dataset in content.datasets() {
                entries.push(gauge(&[("zone", &name), ("dataset", &dataset.label)], dataset.len() as f64));
            }
            let bytes: usize = content.datasets().iter().map(|dataset| dataset.memory_bytes()).sum();
            memory.push(gauge(&[("zone", &name)], bytes as f64));
            if let Some(soa) = &content.soa {
                serials.push(gauge(&[("zone", &name)], f64::from(soa.soa.serial)));
            }
        }
        let mut families = self.reloads(served.snapshot.zones().iter().map(|zone| zone.apex.to_string()));
        families.extend(self.live_listings(served.snapshot.zones()));
        let totals = self.running.totals.totals();
        let dropped: u64 = self
            .running
            .transports
            .udp
            .iter()
            .map(|udp| udp.dropped_long.value() + udp.dropped_short.value() + udp.dropped_port_zero.value())
            .sum();
        families.extend([
            family("dnsbld_dns_requests_total", "Requests by zone.", MetricType::COUNTER, requests),
            family("dnsbld_dns_responses_total", "Responses by zone and code.", MetricType::COUNTER, responses),
            family(
                "dnsbld_dns_all_requests_total",
                "Requests of all kinds, whatever zone they were for.",
                MetricType::COUNTER,
                vec![counter(&[], totals.answered + totals.ignored)],
            ),
            family(
                "dnsbld_dns_truncated_total",
                "Responses that did not fit.",
                MetricType::COUNTER,
                vec![counter(&[], totals.truncated)],
            ),
            family(
                "dnsbld_dns_dropped_total",
                "Datagrams that were no requests.",
                MetricType::COUNTER,
                vec![counter(&[], dropped)],
            ),
            family("dnsbld_zone_entries", "Entries as they stand in the files.", MetricType::GAUGE, entries),
            family("dnsbld_zone_memory_bytes", "Memory of a zone's datasets.", MetricType::GAUGE, memory),
            family("dnsbld_zone_serial", "Serial of the SOA record.", MetricType::GAUGE, serials),
            family(
                "dnsbld_build_info",
                "Always 1; the version is a label.",
                MetricType::GAUGE,
                vec![gauge(&[("version", env!("CARGO_PKG_VERSION"))], 1.0)],
            ),
        ]);
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}

impl Gatherer {
    /// What is listed by command.
    fn live_listings(&self, zones: &[Zone]) -> Vec<MetricFamily> {
        let live = self.running.live.load();
        let (mut counts, mut memory) = (Vec::new(), Vec::new());
        for zone in zones {
            let Some(of_zone) = live.zone(zone.live_slot) else { continue };
            let name = zone.apex.to_string();
            let exclusion_count = of_zone.exclusion_count();
            counts.push(gauge(&[("zone", &name), ("kind", "listed")], (of_zone.len() - exclusion_count) as f64));
            counts.push(gauge(&[("zone", &name), ("kind", "excluded")], exclusion_count as f64));
            memory.push(gauge(&[("zone", &name)], of_zone.memory_bytes() as f64));
        }
        let store = self.running.listings.as_ref();
        let writable = store.map(|listings| gauge(&[], f64::from(u8::from(listings.alarm().is_none()))));
        let history = store.and_then(|listings| listings.history_bytes().ok());
        let history = history.map(|bytes| gauge(&[], bytes as f64));
        vec![
            family("dnsbld_live_listings", "Listings by command, until they are swept.", MetricType::GAUGE, counts),
            family("dnsbld_live_memory_bytes", "Memory of listings by command.", MetricType::GAUGE, memory),
            family(
                "dnsbld_live_store_writable",
                "Whether new listings by command are taken: 0 if the disk is full or failed.",
                MetricType::GAUGE,
                writable.into_iter().collect(),
            ),
            family(
                "dnsbld_live_history_bytes",
                "Octets of the history of listings by command.",
                MetricType::GAUGE,
                history.into_iter().collect(),
            ),
        ]
    }

    /// What is known of reloads.
    fn reloads(&self, zones: impl Iterator<Item = String>) -> Vec<MetricFamily> {
        let status = self.running.status.read();
        let failed = status.failed_loads.iter();
        let failed = failed.map(|((zone, reason), count)| counter(&[("zone", zone), ("reason", reason)], *count));
        let loaded = status.loaded_s.iter().map(|(zone, at_s)| gauge(&[("zone", zone)], *at_s as f64));
        let expired = status.expired_entries.iter().map(|(zone, count)| counter(&[("zone", zone)], *count));
        let troubles = zones.map(|zone| gauge(&[("zone", &zone)], status.trouble_count(&zone) as f64));
        vec![
            family(
                "dnsbld_zone_load_failed_total",
                "Loads that were refused or failed, by zone and reason.",
                MetricType::COUNTER,
                failed.collect(),
            ),
            family(
                "dnsbld_zone_troubles",
                "Datasets of a zone whose newest files are not what is served.",
                MetricType::GAUGE,
                troubles.collect(),
            ),
            family(
                "dnsbld_zone_loaded_timestamp_seconds",
                "When something of a zone last went live.",
                MetricType::GAUGE,
                loaded.collect(),
            ),
            family(
                "dnsbld_zone_expired_entries_total",
                "Entries given back between drops, their lifetimes being over.",
                MetricType::COUNTER,
                expired.collect(),
            ),
        ]
    }
}

fn labelled(labels: &[(&str, &str)]) -> Metric {
    let mut metric = Metric::default();
    let pairs = labels
        .iter()
        .map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        })
        .collect();
    metric.set_label(pairs);
    metric
}

fn counter(labels: &[(&str, &str)], count: u64) -> Metric {
    let mut metric = labelled(labels);
    let mut value = Counter::default();
    value.set_value(count as f64);
    metric.set_counter(value);
    metric
}

fn gauge(labels: &[(&str, &str)], level: f64) -> Metric {
    let mut metric = labelled(labels);
    let mut value = Gauge::default();
    value.set_value(level);
    metric.set_gauge(value);
    metric
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}
