//! What became of a key that somebody wanted to list or delist.

use serde::{Deserialize, Serialize};

use crate::{
    live::{
        clock,
        listings::{Key, Listings, Outcome, Verdict},
    },
    wire::name::Name,
    zone::{ruling::Context, snapshot::Snapshot},
};

/// What became of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The zone.
    #[serde(default)]
    pub zone: String,
    /// The key as it was given.
    pub key: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Why it was refused, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What else lists it by command, where nothing was said of the key itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// What else excludes it by command, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded_by: Option<String>,
    /// Nobody is told of it, since its zone is not loaded or has expired, and answers SERVFAIL.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_unanswered: bool,
}

impl Changed {
    /// Looks what whoever delisted it in vain has to delist.
    pub(super) fn new(listings: &Listings, zone: &Name, key: &Key, outcome: Outcome, is_unanswered: bool) -> Self {
        let around = (outcome == Outcome::Unchanged).then(|| listings.around(zone, key).ok().flatten()).flatten();
        let is_excluded = around.as_ref().is_some_and(|record| record.verdict == Verdict::Excluded);
        let around = around.map(|record| record.key.to_string());
        let (within, excluded_by) = if is_excluded { (None, around) } else { (around, None) };
        let text = match &outcome {
            Outcome::Refused { refusal } => Some(refusal.to_string()),
            _ => None,
        };
        Self { zone: zone.to_string(), key: key.to_string(), outcome, text, within, excluded_by, is_unanswered }
    }
}

/// Whether a zone answers SERVFAIL, whatever is listed in it.
pub(super) fn is_unanswered(snapshot: &Snapshot, zone: &Name) -> bool {
    let context = Context { now_s: clock::now_s(), keyed: false };
    snapshot.zone(zone).is_some_and(|zone| !zone.is_served(&context))
}
