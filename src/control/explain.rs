//! Why is this listed, and until when?

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::{
    live::listings::{Key as ListedKey, Listings},
    wire::name::{Name, QueryName},
    zone::{
        dataset::{Dataset, Entries, Shape},
        live::{Live, Place, reverse, unreverse},
        ruling::{Context, FOREVER_S, Finding},
        snapshot::{Content, Snapshot, Zone},
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
pub(super) fn explain(
    snapshot: &Snapshot,
    by_command: &ByCommand<'_>,
    key: &str,
    wanted: &[Name],
    now_s: u64,
) -> Result<Vec<Explanation>, String> {
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
            let is_silenced =
                part.label_count() == 0 && by_command.explain(zone, content, &parsed, &context, &mut explanation);
            for dataset in part.datasets.iter().filter(|_| !is_silenced) {
                explain_dataset(dataset, &parsed, key, &context, &mut explanation);
            }
            explanations.push(explanation);
        }
    }
    Ok(explanations)
}

/// What is listed by command, and the store that knows by whom.
pub(super) struct ByCommand<'a> {
    pub(super) live: &'a Live,
    pub(super) listings: Option<&'a Listings>,
}

impl ByCommand<'_> {
    /// Adds what was listed by command; true if the key was excluded, and the files have nothing to say.
    fn explain(
        &self,
        zone: &Zone,
        content: &Content,
        key: &Key,
        context: &Context,
        explanation: &mut Explanation,
    ) -> bool {
        let Some(live) = self.live.zone(zone.live_slot) else { return false };
        let in_force = |place: &Place| live.exactly(place).filter(|entry| entry.in_force(context.now_s));
        let found = key.places().into_iter().find_map(|place| in_force(&place).map(|entry| (place, entry)));
        let Some((place, entry)) = found else { return false };
        let listed = ListedKey::of(&place);
        let record = self.listings.and_then(|listings| listings.get(&zone.apex, &listed).ok().flatten());
        let why = record.map_or(String::new(), |record| {
            let reason = record.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            format!(" by {} ({}){reason}", record.origin.who, record.origin.door)
        });
        let Some(own) = entry.value().and_then(|id| live.value(id)) else {
            explanation.excluded_by.push(format!("command: {listed}{why}"));
            return true;
        };
        let shape = match place {
            Place::V4(..) => Shape::V4,
            Place::V6(..) => Shape::V6,
            Place::Name { .. } => Shape::Name,
        };
        let zones_own = content.model(shape).and_then(|model| Some((&model.values, model.default_value?)));
        let value = |is_own: bool| zones_own.filter(|_| !is_own).unwrap_or((&own.values, own.id));
        let ((addresses, address), (texts, text)) = (value(own.has_address), value(own.has_text));
        let shown = key.shown(&place);
        let text = texts.text(text).map(|text| texts.expand(text, shown.as_bytes()));
        let dataset = format!("command: {listed}{why}");
        explanation.listings.push(Listing::new(
            addresses.address(address),
            text,
            dataset,
            entry.until_s,
            context.now_s,
        ));
        false
    }
}

impl Key {
    /// Where it may be listed by command, the most specific first.
    fn places(&self) -> Vec<Place> {
        match self {
            Self::Address(IpAddr::V4(address)) => {
                let number = u32::from(*address);
                (0..=32)
                    .rev()
                    .map(|length| Place::V4(number & !u32::MAX.checked_shr(length.into()).unwrap_or(0), length))
                    .collect()
            }
            Self::Address(IpAddr::V6(address)) => {
                let number = u128::from(*address);
                (0..=128)
                    .rev()
                    .map(|length| Place::V6(number & !u128::MAX.checked_shr(length.into()).unwrap_or(0), length))
                    .collect()
            }
            Self::Name(name) => {
                let ends = (0..=name.label_count()).rev();
                let reversed = |count| reverse(&Name::from_wire(name.suffix(count)));
                ends.map(|count| Place::Name { reversed: reversed(count), is_wildcard: count < name.label_count() })
                    .collect()
            }
        }
    }

    /// As templates show it, where that entry lists it.
    fn shown(&self, place: &Place) -> String {
        match (self, place) {
            (Self::Address(address), _) => address.to_string(),
            (Self::Name(_), Place::Name { reversed, .. }) => unreverse(reversed).to_string(),
            (Self::Name(name), _) => name.relative(name.label_count()).to_string(),
        }
    }
}

impl Listing {
    fn new(address: Ipv4Addr, text: Option<Vec<u8>>, dataset: String, until_s: u32, now_s: u64) -> Self {
        let until_s = (until_s != FOREVER_S).then_some(u64::from(until_s));
        Self {
            address: address.to_string(),
            text: text.map(|text| String::from_utf8_lossy(&text).into_owned()),
            dataset,
            until_s,
            until: until_s.map(|until_s| {
                let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(until_s);
                humantime::format_rfc3339_seconds(time).to_string()
            }),
            remaining_s: until_s.map(|until_s| until_s.saturating_sub(now_s)),
        }
    }
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
        let text = dataset.values.text(value).map(|text| dataset.values.expand(text, shown.as_bytes()));
        let address = dataset.values.address(value);
        explanation.listings.push(Listing::new(address, text, dataset.label.to_string(), until_s, context.now_s));
    });
}
