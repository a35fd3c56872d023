//! Why is this listed, until when, and what would be if it were not?

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use serde::{Deserialize, Serialize};

use ipnet::IpNet;

use super::{
    by_command::ByCommand,
    served_zone,
    update::owner::{self, Holds},
};
use crate::{
    live::{
        asked::AskedKey,
        citations::{CITATIONS_MAX, Citation, Effect, cite},
        clock,
        listings::{Key, Record},
        zones::ZoneSpec,
    },
    load::Options,
    wire::name::{Name, QueryName},
    zone::{
        dataset::{Dataset, Entries},
        ruling::{Context, FOREVER_S, Finding},
        snapshot::{Content, Part, Snapshot, Zone},
    },
};

/// What one zone, or one subzone of it, says of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The zone or subzone.
    pub zone: String,
    /// It has no data, and answers SERVFAIL.
    pub is_unloaded: bool,
    /// The last second for which its data were good, if that is over: then it answers SERVFAIL, and what follows is what it
    /// would say with data that are current.
    pub expired_s: Option<u64>,
    /// What it answers with; nothing means not listed.
    pub listings: Vec<Listing>,
    /// What excludes the key.
    pub excluded_by: Vec<Ground>,
    /// The lines that say something of the key, those that decide first, then what stands behind them.
    pub lines: Vec<Citation>,
    /// Files that are gone or cannot be read again, and why, and datasets that say too much: lines of theirs are missing here.
    pub unread: Vec<String>,
    /// Datasets of the zone whose files were refused or cannot be loaded, and why: what is answered is of versions before, and the
    /// lines are those of the files as they are now.
    pub troubles: Vec<(String, String)>,
}

/// What says something of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ground {
    /// A dataset.
    Dataset(String),
    /// Somebody by command.
    Command {
        /// What was listed or excluded: the key, or what it is in.
        key: Key,
        /// By whom, and why; none if the store cannot tell.
        record: Option<Box<Record>>,
    },
}

impl fmt::Display for Ground {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, record) = match self {
            Self::Dataset(label) => return out.write_str(label),
            Self::Command { key, record } => (key, record),
        };
        write!(out, "command: {key}")?;
        let Some(Record { origin, reason, .. }) = record.as_deref() else { return Ok(()) };
        write!(out, " by {} ({})", origin.who, origin.door)?;
        reason.iter().try_for_each(|reason| write!(out, ": {reason}"))
    }
}

/// One value that a key is listed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The A record.
    pub address: String,
    /// The TXT record.
    pub text: Option<String>,
    /// The TTL of both, in seconds.
    pub ttl_s: u32,
    /// What says so.
    #[serde(flatten)]
    pub ground: Ground,
    /// When it is delisted, in seconds since the epoch; none means not by itself.
    pub until_s: Option<u64>,
    /// The same as a date and time.
    pub until: Option<String>,
    /// The same as seconds from now.
    pub remaining_s: Option<u64>,
}

impl Listing {
    /// The value that somebody gives, with a TTL in seconds, listed until a second.
    pub(super) fn new(
        address: Ipv4Addr,
        text: Option<Vec<u8>>,
        (ground, ttl_s): (Ground, u32),
        until_s: u32,
        now_s: u64,
    ) -> Self {
        let until_s = (until_s != FOREVER_S).then_some(u64::from(until_s));
        let remaining_s = until_s.map(|until_s| until_s.saturating_sub(now_s));
        Self {
            address: address.to_string(),
            text: text.map(|text| String::from_utf8_lossy(&text).into_owned()),
            ttl_s: remaining_s.map_or(ttl_s, |left_s| u64::from(ttl_s).min(left_s.max(1)) as u32),
            ground,
            until_s,
            until: until_s.map(clock::date),
            remaining_s,
        }
    }
}

/// Why a zone answers SERVFAIL whose data were good until a second that is over, and what to do.
pub fn show_expired(ended_s: u64) -> String {
    format!(
        "its data expired at {} by their $TIMESTAMP, and it answers SERVFAIL: fetch newer data, or ask who makes them",
        clock::date(ended_s)
    )
}

/// What the zones say of a key, with the lines of the files that `specs` name: these are read again, which may take a while.
///
/// # Errors
/// When the key is neither an address nor a name, or a zone is not served.
pub fn explain(
    snapshot: &Snapshot,
    specs: &[ZoneSpec],
    options: &Options,
    by_command: Option<&ByCommand>,
    key: &str,
    wanted: &[String],
) -> Result<Vec<Explanation>, String> {
    let wanted = wanted.iter().map(|text| wanted_zone(snapshot, text)).collect::<Result<Vec<_>, _>>()?;
    let asked = AskedKey::parse(key)?;
    let queried = queried(snapshot, &asked);
    let asked = asked.readings();
    let mut explanations = Vec::new();
    for zone in
        snapshot.zones().iter().filter(|zone| wanted.is_empty() || wanted.iter().any(|(apex, _)| *apex == zone.apex))
    {
        if zone.content.is_none() {
            let zone = zone.apex.to_string();
            explanations.push(Explanation { zone, is_unloaded: true, ..Explanation::default() });
            continue;
        }
        let own = queried.iter().filter(|(apex, _)| *apex == zone.apex).flat_map(|(_, key)| key.clone().readings());
        let asked: Vec<AskedKey> = asked.iter().cloned().chain(own).collect();
        explain_zone(zone, specs, options, by_command, &asked, &mut explanations);
    }
    let is_wanted = |explained: &Explanation| {
        let is_it = |(apex, subzone): &(Name, Option<String>)| match subzone {
            Some(subzone) => *subzone == explained.zone,
            None => Name::parse(explained.zone.as_bytes()).is_ok_and(|name| name.strip(apex).is_some()),
        };
        wanted.is_empty() || wanted.iter().any(is_it)
    };
    explanations.retain(is_wanted);
    Ok(explanations)
}

/// A zone that somebody asks about, by its apex, and the subzone if it is one.
fn wanted_zone(snapshot: &Snapshot, text: &str) -> Result<(Name, Option<String>), String> {
    let subzone = Name::parse(text.as_bytes()).ok().and_then(|name| Some((snapshot.subzone(&name)?, name.to_string())));
    match subzone {
        Some((zone, subzone)) => Ok((zone.apex.clone(), Some(subzone))),
        None => Ok((served_zone(snapshot, text)?, None)),
    }
}

/// The zone that a name is asked of and what it stands for there, if it is the name of a query: `2.0.0.127.bl.example`.
fn queried(snapshot: &Snapshot, asked: &AskedKey) -> Option<(Name, AskedKey)> {
    let AskedKey::Name(name) = asked else { return None };
    let zone = snapshot.zone_of(name, &Name::root())?;
    let (relative, content) = (name.strip(&zone.apex)?, zone.content.as_ref()?);
    let part = content.part_of(&relative)?;
    let key = match owner::key(&relative.strip(&part.name)?, Holds::of_datasets(&part.datasets))? {
        Key::Prefix(IpNet::V4(net)) if net.prefix_len() == net.max_prefix_len() => AskedKey::V4(net.network().into()),
        Key::Prefix(IpNet::V6(net)) if net.prefix_len() == net.max_prefix_len() => AskedKey::V6(net.network().into()),
        Key::Name { name, is_wildcard: false } => AskedKey::Name(name),
        _ => return None,
    };
    Some((zone.apex.clone(), key))
}

fn explain_zone(
    zone: &Zone,
    specs: &[ZoneSpec],
    options: &Options,
    by_command: Option<&ByCommand>,
    asked: &[AskedKey],
    explanations: &mut Vec<Explanation>,
) {
    let retirement = zone.content.as_ref().and_then(Content::retirement);
    let (mut lines, mut unread) = (Vec::new(), Vec::new());
    let of_zone = |spec: &&ZoneSpec| spec.zone.as_ref() == Some(&zone.apex) && !spec.dataset.kind.is_access();
    let of_zone = specs.iter().filter(of_zone).flat_map(|spec| asked.iter().map(move |key| (spec, key)));
    let mut note = |text: String| {
        if !unread.contains(&text) {
            unread.push(text);
        }
    };
    for (spec, key) in of_zone {
        match cite(&spec.dataset, key, options) {
            Ok((found, gone)) => {
                if found.len() >= CITATIONS_MAX {
                    note(format!(
                        "{}: its first {CITATIONS_MAX} lines about it are shown, and there may be more",
                        spec.dataset
                    ));
                }
                lines.extend(found);
                for file in gone {
                    note(format!("{}: the file is gone", file.display()));
                }
            }
            Err(error) => note(format!("{error}; whoever asks a running server sees what that may read")),
        }
    }
    for part in zone.content.iter().flat_map(|content| content.parts().iter().rev()) {
        let Ok(name) = part.name.below(&zone.apex) else { continue };
        let context = Context { now_s: options.now_s, keyed: false };
        let mut explanation = Explanation {
            zone: name.to_string(),
            expired_s: zone.expired_s(&context),
            lines: lines_of(part, &lines),
            unread: unread.clone(),
            ..Explanation::default()
        };
        let mut is_silenced = retirement.is_some();
        explanation.excluded_by.extend(retirement.map(|dataset| Ground::Dataset(dataset.label.to_string())));
        for key in asked {
            is_silenced |= by_command
                .is_some_and(|listed| listed.explain((zone, !part.name.is_root()), key, &context, &mut explanation));
        }
        for line in explanation.lines.iter_mut().filter(|line| is_silenced && line.effect == Effect::Decides) {
            line.effect = Effect::Behind;
        }
        for dataset in part.datasets.iter().filter(|_| !is_silenced) {
            for key in asked {
                explain_dataset(dataset, key, &context, &mut explanation);
            }
        }
        explanations.push(explanation);
    }
}

/// The lines that speak in a part of the zone.
fn lines_of(part: &Part, lines: &[Citation]) -> Vec<Citation> {
    let speaks = |line: &&Citation| line.subzones.contains(&part.name);
    let mut own: Vec<Citation> = lines.iter().filter(speaks).cloned().collect();
    own.sort_by_key(|line| line.effect as u8);
    own
}

fn explain_dataset(dataset: &Dataset, key: &AskedKey, context: &Context, explanation: &mut Explanation) {
    let mut query_name = Box::new(QueryName::new());
    let (finding, shown) = match (&dataset.entries, key) {
        (Entries::Addresses(addresses), AskedKey::V4(address)) => {
            (addresses.find_v4(*address, context), Ipv4Addr::from(*address).to_string())
        }
        (Entries::Addresses(addresses), AskedKey::V6(address)) => {
            (addresses.find_v6(*address, context), Ipv6Addr::from(*address).to_string())
        }
        (Entries::Names(names), AskedKey::Name(name)) => {
            if query_name.read(name.as_wire()).is_none() {
                return;
            }
            let relative = query_name.relative(query_name.label_count());
            let found = names.look_up(relative, context);
            (found.finding, relative.last(found.entry_label_count).to_string())
        }
        _ => return,
    };
    if matches!(finding, Finding::Excluded) {
        explanation.excluded_by.push(Ground::Dataset(dataset.label.to_string()));
    }
    finding.for_each_value(context, |value, until_s, _| {
        let values = &dataset.values;
        let text = values.text(value).map(|text| values.expand(text, shown.as_bytes()));
        let about = (Ground::Dataset(dataset.label.to_string()), dataset.ttl_s);
        explanation.listings.push(Listing::new(values.address(value), text, about, until_s, context.now_s));
    });
}
