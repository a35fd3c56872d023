//! Why is this listed, and until when?

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{
    wire::name::{Name, QueryName},
    zone::{
        dataset::{Dataset, Entries},
        ruling::{Context, FOREVER_S, Finding},
        snapshot::Snapshot,
    },
};

/// What one zone, or one subzone of it, says of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The zone or subzone.
    pub zone: String,
    /// What it answers with; nothing means not listed.
    pub listings: Vec<Listing>,
    /// Datasets that exclude the key.
    pub excluded_by: Vec<String>,
}

/// One value that a key is listed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The A record.
    pub address: String,
    /// The TXT record.
    pub text: Option<String>,
    /// The dataset that says so.
    pub dataset: String,
    /// When it is delisted, in seconds since the epoch; none means not by itself.
    pub until_s: Option<u64>,
    /// The same as a date and time.
    pub until: Option<String>,
    /// The same as seconds from now.
    pub remaining_s: Option<u64>,
}

/// A key in the form that datasets are asked for it.
enum Key {
    Address(IpAddr),
    Name(Box<QueryName>),
}

impl Key {
    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        let name = Name::parse(text.as_bytes()).map_err(|error| format!("{text}: not an address, and {error}"))?;
        let mut query_name = Box::new(QueryName::new());
        query_name.read(name.as_wire()).ok_or_else(|| format!("{text}: not a name"))?;
        Ok(Self::Name(query_name))
    }
}

/// What the zones say of a key.
///
/// # Errors
/// When the key is neither an address nor a name, or a zone is not served.
pub(super) fn explain(snapshot: &Snapshot, key: &str, wanted: &[Name], now_s: u64) -> Result<Vec<Explanation>, String> {
    if let Some(stranger) = wanted.iter().find(|zone| snapshot.zone(zone).is_none()) {
        return Err(format!("no zone {stranger} is served here"));
    }
    let parsed = Key::parse(key)?;
    let context = Context { now_s, keyed: false };
    let mut explanations = Vec::new();
    for zone in snapshot.zones().iter().filter(|zone| wanted.is_empty() || wanted.contains(&zone.apex)) {
        let Some(content) = &zone.content else { return Err(format!("zone {} is not loaded", zone.apex)) };
        for part in content.parts().iter().rev() {
            let name = part.name.below(&zone.apex).map_err(|error| error.to_string())?;
            let mut explanation = Explanation { zone: name.to_string(), listings: Vec::new(), excluded_by: Vec::new() };
            for dataset in &part.datasets {
                explain_dataset(dataset, &parsed, key, &context, &mut explanation);
            }
            explanations.push(explanation);
        }
    }
    Ok(explanations)
}

fn explain_dataset(dataset: &Dataset, key: &Key, shown: &str, context: &Context, explanation: &mut Explanation) {
    let (finding, shown) = match (&dataset.entries, key) {
        (Entries::Addresses(addresses), Key::Address(IpAddr::V4(address))) => {
            (addresses.find_v4((*address).into(), context), shown.to_owned())
        }
        (Entries::Addresses(addresses), Key::Address(IpAddr::V6(address))) => {
            (addresses.find_v6((*address).into(), context), shown.to_owned())
        }
        (Entries::Names(names), Key::Name(name)) => {
            let relative = name.relative(name.label_count());
            let found = names.look_up(relative, context);
            (found.finding, relative.last(found.entry_label_count).to_string())
        }
        _ => return,
    };
    if matches!(finding, Finding::Excluded) {
        explanation.excluded_by.push(dataset.label.to_string());
    }
    finding.for_each_value(context, |value, until_s, _| {
        let until_s = (until_s != FOREVER_S).then_some(u64::from(until_s));
        let text = dataset.values.text(value).map(|text| dataset.values.expand(text, shown.as_bytes()));
        explanation.listings.push(Listing {
            address: dataset.values.address(value).to_string(),
            text: text.map(|text| String::from_utf8_lossy(&text).into_owned()),
            dataset: dataset.label.to_string(),
            until_s,
            until: until_s.map(|until_s| {
                let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(until_s);
                humantime::format_rfc3339_seconds(time).to_string()
            }),
            remaining_s: until_s.map(|until_s| until_s.saturating_sub(context.now_s)),
        });
    });
}
