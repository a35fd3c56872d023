//! What a running server tells those who control it.

use std::collections::BTreeMap;

use super::Running;
use crate::{
    control::{NO_ZONE, Operator, QueryLogState, QueryRules, Statistics, ZoneStatistics, served_zone},
    live::clock,
    metrics::{RCODES, RESULTS, Totals},
    zone::ruling::Context,
};

impl Operator for Running {
    fn statistics(&self) -> Statistics {
        let troubles = self.troubles();
        let (served, live) = (self.cell.load(), self.live.load());
        let (status, checkups) = (self.status.read(), self.monitor.read());
        let context = Context { now_s: clock::now_s(), keyed: false };
        let mut all = self.outside.totals();
        let mut outside = counts(&all);
        outside.requests += self.transports.unread().as_flattened().iter().map(|(_, count)| count).sum::<u64>();
        all += served.bygone.totals();
        let mut zones = BTreeMap::from([(NO_ZONE.to_owned(), outside)]);
        for (zone, counters) in served.snapshot.zones().iter().zip(&served.counters) {
            let (name, totals) = (zone.apex.to_string(), counters.totals());
            all += totals;
            let mut told = counts(&totals);
            let datasets = zone.content.as_ref().map(|content| content.datasets());
            told.entries = datasets.map(|datasets| datasets.iter().map(|dataset| dataset.len() as u64).sum());
            told.is_retired = zone.content.as_ref().is_some_and(|content| content.retirement().is_some());
            let by_command = live.zone(zone.live_slot);
            let (listings, exclusions) = by_command.map_or((0, 0), |zone| zone.counts_in_force(context.now_s));
            (told.live_listings, told.live_exclusions) = (listings as u64, exclusions as u64);
            told.expired_s = zone.expired_s(&context);
            told.loaded_s = status.loaded_s.get(&name).copied();
            if let Some(checkup) = checkups.get(&name) {
                told.next_expiry_s = checkup.next_expiry_s.map(u64::from);
                let failed = checkup.probes.iter().filter(|(_, is_ok)| !**is_ok);
                told.failed_probes = failed.map(|(probe, _)| (*probe).to_owned()).collect();
            }
            zones.insert(name, told);
        }
        let interfaces = self.transports.interfaces.iter();
        let interfaces = interfaces.map(|tapped| (tapped.interface.clone(), tapped.why_inactive().map(str::to_owned)));
        let passed_over = status.passed_over.iter().map(|(file, why)| (file.display().to_string(), why.clone()));
        Statistics {
            uptime_ms: self.started.elapsed().as_millis() as u64,
            zones,
            dropped: self.dropped(&all).map(|(reason, count)| (reason.to_owned(), count)).collect(),
            troubles,
            interfaces: interfaces.collect(),
            passed_over: passed_over.collect(),
            tcp_connections: self.transports.tcp.open.value(),
        }
    }

    fn troubles(&self) -> Vec<(String, String)> {
        let alarm = match &self.listings {
            Ok(listings) => listings.alarm(),
            Err(_) if !self.has_state => None,
            Err(why) => Some(format!("{why}; none are served")),
        };
        let status = self.status.read();
        let troubles = status.troubles.iter().map(|(dataset, trouble)| (dataset.clone(), trouble.text.clone()));
        troubles.chain(alarm.map(|alarm| ("live listings".to_owned(), alarm))).collect()
    }

    fn switch_query_log(&self, rules: Option<QueryRules>) -> Result<(), String> {
        let served = self.cell.load();
        rules
            .iter()
            .flat_map(|rules| &rules.zones)
            .try_for_each(|zone| served_zone(&served.snapshot, zone).map(drop))?;
        self.query_tap.switch(rules)
    }

    fn query_log(&self) -> QueryLogState {
        self.query_tap.state()
    }
}

/// What was counted of a zone, without its state.
fn counts(totals: &Totals) -> ZoneStatistics {
    let responses = RCODES.iter().map(|rcode| (rcode.name().to_owned(), totals.with_rcode(*rcode)));
    let lookups = RESULTS.iter().map(|(verdict, word)| ((*word).to_owned(), totals.with_verdict(*verdict)));
    ZoneStatistics {
        requests: totals.requests(),
        responses: responses.filter(|(_, count)| *count > 0).collect(),
        lookups: lookups.collect(),
        ..ZoneStatistics::default()
    }
}
