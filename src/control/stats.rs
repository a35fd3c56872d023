//! What a running server counts, for people who watch it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What stands for the zone where a request is in none of ours.
pub const NO_ZONE: &str = "-";

/// How the names of probes end that ask for a test entry.
const TEST_ENTRY: &str = "_test_entry";

/// Counts since the start, and the state of what is served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Milliseconds since the server started.
    pub uptime_ms: u64,
    /// Each zone, and [`NO_ZONE`] for what was in none.
    pub zones: BTreeMap<String, ZoneStatistics>,
    /// Requests met with silence, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Datasets whose newest files are not what is served, and why; and what is wrong with live listings.
    pub troubles: Vec<(String, String)>,
    /// Interfaces that requests are to be taken from, and why that is not done where it is not.
    pub interfaces: Vec<(String, Option<String>)>,
    /// Files of the zones folder that are not served although they may have been meant to be, and why.
    pub passed_over: Vec<(String, String)>,
    /// TCP connections open now.
    pub tcp_connections: u64,
}

impl Statistics {
    /// Each zone, without what was in none.
    pub fn each_zone(&self) -> impl Iterator<Item = (&String, &ZoneStatistics)> {
        self.zones.iter().filter(|(name, _)| *name != NO_ZONE)
    }

    /// Whether nothing is wrong. What is odd and harms nobody does not count: a file that is passed over may be no list, and a
    /// list without the test entries of RFC 5782 answers all the same.
    pub fn is_well(&self) -> bool {
        let is_used = |(_, fault): &(String, Option<String>)| fault.is_none();
        self.troubles.is_empty()
            && self.interfaces.iter().all(is_used)
            && self.each_zone().all(|(_, zone)| zone.is_well())
    }
}

impl ZoneStatistics {
    /// Probes that failed and should worry somebody.
    pub fn alarming_probes(&self) -> impl Iterator<Item = &str> {
        self.failed_probes.iter().map(String::as_str).filter(|probe| !probe.ends_with(TEST_ENTRY))
    }

    /// Test entries that are missing, by the probes that asked for them.
    pub fn missing_test_entries(&self) -> impl Iterator<Item = &str> {
        self.failed_probes.iter().map(String::as_str).filter(|probe| probe.ends_with(TEST_ENTRY))
    }

    /// Whether nothing is wrong with it.
    pub fn is_well(&self) -> bool {
        self.entries.is_some() && self.expired_s.is_none() && self.alarming_probes().next().is_none()
    }
}

/// Counts of one zone, and its state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneStatistics {
    /// Requests.
    pub requests: u64,
    /// Responses by code.
    pub responses: BTreeMap<String, u64>,
    /// Lookups by result.
    pub lookups: BTreeMap<String, u64>,
    /// Entries as they stand in the files; none while it is not loaded.
    pub entries: Option<u64>,
    /// The list has ended, and lists nothing.
    #[serde(default)]
    pub is_retired: bool,
    /// Listings by command that are in force.
    pub live_listings: u64,
    /// Exclusions by command that are in force.
    #[serde(default)]
    pub live_exclusions: u64,
    /// The last second for which its data were good, if that is over: then it answers SERVFAIL.
    pub expired_s: Option<u64>,
    /// When something of it last went live, in seconds since the epoch.
    pub loaded_s: Option<u64>,
    /// When its next listing ends, in seconds since the epoch.
    pub next_expiry_s: Option<u64>,
    /// Probes of the self-test that failed.
    pub failed_probes: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_so_for_whoever_looks() {
        let well = || {
            let failed_probes = vec!["v4_test_entry".to_owned()];
            let zone = ZoneStatistics { entries: Some(1), failed_probes, ..ZoneStatistics::default() };
            let zones = [(NO_ZONE.to_owned(), ZoneStatistics::default()), ("bl.example".to_owned(), zone)];
            let interfaces = vec![("eth0".to_owned(), None)];
            let passed_over = vec![("README".to_owned(), "it is named after no zone".to_owned())];
            Statistics { zones: zones.into(), interfaces, passed_over, ..Statistics::default() }
        };
        assert!(well().is_well());
        let spoils: [fn(&mut Statistics, &mut ZoneStatistics); 5] = [
            |all, _| all.troubles.push(("live listings".to_owned(), "the disk is full".to_owned())),
            |all, _| all.interfaces.push(("eth1".to_owned(), Some("there is none".to_owned()))),
            |_, zone| zone.entries = None,
            |_, zone| zone.expired_s = Some(1),
            |_, zone| zone.failed_probes.push("v4_never_listed".to_owned()),
        ];
        for spoil in spoils {
            let (mut all, mut zone) = (well(), well().zones["bl.example"].clone());
            spoil(&mut all, &mut zone);
            all.zones.insert("bl.example".to_owned(), zone);
            assert!(!all.is_well(), "{all:?}");
        }
    }
}
