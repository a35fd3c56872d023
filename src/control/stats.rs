//! What a running server counts, for people who watch it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Counts since the start, and the state of what is served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Milliseconds since the server started.
    pub uptime_ms: u64,
    /// Each zone, and `-` for what was in none.
    pub zones: BTreeMap<String, ZoneStatistics>,
    /// Requests met with silence, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Datasets whose newest files are not what is served, and why.
    pub troubles: Vec<(String, String)>,
    /// TCP connections open now.
    pub tcp_connections: u64,
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
    /// Listings by command, until they are swept.
    #[serde(default)]
    pub live_listings: u64,
    /// The last second for which its data were good, if that is over: then it answers SERVFAIL.
    #[serde(default)]
    pub expired_s: Option<u64>,
    /// When something of it last went live, in seconds since the epoch.
    pub loaded_s: Option<u64>,
    /// When its next listing ends, in seconds since the epoch.
    pub next_expiry_s: Option<u64>,
    /// Probes of the self-test that failed.
    pub failed_probes: Vec<String>,
}
