//! The query log's switch: which queries are logged, and for how long.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Which queries are logged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryRules {
    /// Only those in these zones; none means all.
    pub zones: Vec<String>,
    /// Only those from these networks; none means all.
    pub clients: Vec<IpNet>,
    /// Only those that found something listed.
    pub listed_only: bool,
    /// Of those, each worker logs one in so many; 1 is all.
    pub sample: u32,
    /// It ends by itself, in seconds since the epoch.
    pub until_s: Option<u64>,
}

/// What the query log does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryLogState {
    /// What is logged; none while it is off.
    pub rules: Option<QueryRules>,
    /// Queries logged since it was switched on.
    pub logged: u64,
    /// Queries that were to be logged, and found the log busy.
    pub dropped: u64,
}
