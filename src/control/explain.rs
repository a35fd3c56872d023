//! Why is this listed, until when, and what would be if it were not?

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use serde::{Deserialize, Serialize};

use super::{by_command::ByCommand, served_zone};
use crate::{
    live::{
        asked::AskedKey,
        citations::{CITATIONS_MAX, Citation, Effect, cite},
        clock,
        listings::{Key, Record},
        zones::ZoneSpec,
    },
    load::Options,
    wire::name::{Name, QueryName, RelativeName},
    zone::{
        dataset::{Dataset, Entries},
        ruling::{Context, FOREVER_S, Finding},
        snapshot::{Content, Part, Snapshot, Zone},
        subject::{Run, Subject, name_of_v4, name_of_v6},
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
    /// The last second for which they are good, if that is to come: then it answers SERVFAIL, unless there are newer ones.
    pub ends_s: Option<u64>,
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

impl Explanation {
    /// No answer outlives the zone's data.
    fn limit_ttls(&mut self, content: &Content, context: &Context) {
        if content.is_current(context) && content.until_s() != FOREVER_S {
            let left_s = u64::from(content.until_s()).saturating_sub(context.now_s);
            for listing in &mut self.listings {
                listing.ttl_s = u64::from(listing.ttl_s).min(left_s) as u32;
            }
        }
    }
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
    let mut explanations = Vec::new();
    for zone in
        snapshot.zones().iter().filter(|zone| wanted.is_empty() || wanted.iter().any(|(apex, _)| *apex == zone.apex))
    {
        let Some(content) = &zone.content else {
            let zone = zone.apex.to_string();
            explanations.push(Explanation { zone, is_unloaded: true, ..Explanation::default() });
            continue;
        };
        let queried = queried.as_ref().filter(|(apex, _)| *apex == zone.apex).map(|(_, relative)| relative);
        let asked = Asked { snapshot, zone, content, key: &asked, queried };
        explanations.extend(asked.explain(specs, options, by_command));
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

/// The zone that a name is asked of and what stands left of its apex, if it is the name of a query: `2.0.0.127.bl.example`.
fn queried(snapshot: &Snapshot, asked: &AskedKey) -> Option<(Name, Name)> {
    let AskedKey::Name(name) = asked else { return None };
    let zone = snapshot.zone_of(name, &Name::root())?;
    let relative = name.strip(&zone.apex).filter(|relative| !relative.is_root())?;
    Some((zone.apex.clone(), relative))
}

/// The name under which a key is asked for.
fn owner(key: &AskedKey) -> Name {
    let text = match key {
        AskedKey::V4(address) => name_of_v4(*address),
        AskedKey::V6(address) => name_of_v6(*address),
        AskedKey::Name(name) => return name.clone(),
    };
    Name::parse(text.as_bytes()).expect("digits between dots are a name")
}

/// The addresses that a name stands for where it is asked, as in answers.
fn addresses(subject: &Subject<'_>) -> Vec<AskedKey> {
    let v4 = subject.v4.and_then(Run::address).map(AskedKey::V4);
    let v6 = subject.v6.and_then(Run::address).map(AskedKey::V6);
    v6.into_iter().chain(v4).flat_map(AskedKey::readings).collect()
}

/// All that it stands for: these, and itself.
fn readings(subject: &Subject<'_>) -> Vec<AskedKey> {
    [addresses(subject), vec![AskedKey::Name(name_of(subject.name))]].concat()
}

fn query_name(name: &Name) -> Option<Box<QueryName>> {
    let mut query_name = Box::new(QueryName::new());
    query_name.read(name.as_wire()).map(|_| query_name)
}

fn name_of(name: RelativeName<'_>) -> Name {
    Name::from_wire(&[name.octets(), &[0]].concat())
}

/// A key that is asked about in a zone.
struct Asked<'a> {
    snapshot: &'a Snapshot,
    zone: &'a Zone,
    content: &'a Content,
    key: &'a AskedKey,
    /// The name of the query that the key is, too, relative to the zone.
    queried: Option<&'a Name>,
}

impl Asked<'_> {
    /// What the zone and each of its subzones say.
    fn explain(&self, specs: &[ZoneSpec], options: &Options, by_command: Option<&ByCommand>) -> Vec<Explanation> {
        let context = Context { now_s: options.now_s, keyed: false };
        let mut cited = Cited::new(&self.zone.apex, specs, options);
        let of_query = self.queried.map(|name| self.seen_in_its_part(name)).unwrap_or_default();
        for key in self.key.clone().readings().iter().chain(&of_query) {
            cited.read(key);
        }
        let mut explanations = Vec::new();
        for part in self.content.parts().iter().rev() {
            let Ok(name) = part.name.below(&self.zone.apex) else { continue };
            let mut explanation = Explanation {
                zone: name.to_string(),
                expired_s: self.zone.expired_s(&context),
                ends_s: Some(self.content.expires_s).filter(|&ends_s| (context.now_s..u64::MAX).contains(&ends_s)),
                ..Explanation::default()
            };
            let retirement = self.content.retirement();
            explanation.excluded_by.extend(retirement.map(|dataset| Ground::Dataset(dataset.label.to_string())));
            for name in self.names_in(part) {
                self.explain_name(&name, &context, by_command, &mut cited, &mut explanation);
            }
            explanation.lines.sort_by_key(|line| line.effect as u8);
            explanation.limit_ttls(self.content, &context);
            explanations.push(explanation);
        }
        for explanation in &mut explanations {
            explanation.unread.clone_from(&cited.unread);
        }
        explanations
    }

    /// What a name, relative to the zone, is in the part that it belongs to: an address, if that has any.
    fn seen_in_its_part(&self, name: &Name) -> Vec<AskedKey> {
        let Some(name) = query_name(name) else { return Vec::new() };
        let relative = name.relative(name.label_count());
        let subject = self.content.part(relative).seek(relative).subject;
        Some(addresses(&subject)).filter(|found| !found.is_empty()).unwrap_or_else(|| readings(&subject))
    }

    /// The names, relative to the zone, that are asked for to learn what a part of it says: that of the key there, and that of the
    /// query that it is.
    fn names_in(&self, part: &Part) -> Vec<Name> {
        let own = owner(self.key).below(&part.name).ok().filter(|name| {
            // Another zone may answer there.
            let answering = self.snapshot.zone_of(name, &self.zone.apex);
            answering.is_some_and(|answering| answering.apex == self.zone.apex)
        });
        let is_here = |name: &&Name| self.content.part_of(name).is_some_and(|closest| closest.name == part.name);
        own.into_iter().chain(self.queried.filter(is_here).cloned()).collect()
    }

    /// What is answered for a name, relative to the zone, and why.
    fn explain_name(
        &self,
        name: &Name,
        context: &Context,
        by_command: Option<&ByCommand>,
        cited: &mut Cited<'_>,
        explanation: &mut Explanation,
    ) {
        let Some(name) = query_name(name) else { return };
        let relative = name.relative(name.label_count());
        let part = self.content.part(relative);
        let sought = part.seek(relative);
        let mut is_silenced = self.content.retirement().is_some();
        if let Some(listed) = by_command {
            let in_subzone = sought.is_in_subzone().then_some(sought.subject);
            for key in [sought.from_apex()].iter().chain(&in_subzone).flat_map(readings) {
                is_silenced |= listed.explain((self.zone, sought.is_in_subzone()), &key, context, explanation);
            }
        }
        let mut lines = Vec::new();
        for (dataset, label_count) in part.asked() {
            let place = name_of(relative.last(label_count));
            for key in readings(&part.subject(relative, label_count)) {
                if !is_silenced && explain_dataset(dataset, &key, context, explanation) {
                    cited.read(&key);
                }
                let speaks = |line: &&Citation| line.dataset == *dataset.label && line.subzones.contains(&place);
                lines.extend(cited.lines(&key).iter().filter(speaks).cloned());
            }
        }
        // Datasets that are not served now, or not as they are in their files, have lines as well.
        for key in readings(&Subject::new(relative.without_last(part.label_count()))) {
            let speaks = |line: &&Citation| line.subzones.contains(&part.name);
            lines.extend(cited.lines(&key).iter().filter(speaks).cloned());
        }
        for mut line in lines {
            if is_silenced && line.effect == Effect::Decides {
                line.effect = Effect::Behind;
            }
            if !explanation.lines.contains(&line) {
                explanation.lines.push(line);
            }
        }
    }
}

/// The lines of a zone's files that say something of keys: each is looked for once.
struct Cited<'a> {
    specs: Vec<&'a ZoneSpec>,
    options: &'a Options,
    read: Vec<(AskedKey, Vec<Citation>)>,
    /// Files that are gone or cannot be read, and datasets that say too much.
    unread: Vec<String>,
}

impl<'a> Cited<'a> {
    fn new(apex: &Name, specs: &'a [ZoneSpec], options: &'a Options) -> Self {
        let of_zone = |spec: &&ZoneSpec| spec.zone.as_ref() == Some(apex) && !spec.dataset.kind.is_access();
        Self { specs: specs.iter().filter(of_zone).collect(), options, read: Vec::new(), unread: Vec::new() }
    }

    /// The lines about a key, as far as it was looked for.
    fn lines(&self, key: &AskedKey) -> &[Citation] {
        self.read.iter().find(|(read, _)| read == key).map_or(&[], |(_, lines)| lines)
    }

    /// Looks for a key.
    fn read(&mut self, key: &AskedKey) {
        if self.read.iter().any(|(read, _)| read == key) {
            return;
        }
        let mut lines = Vec::new();
        for ZoneSpec { dataset, .. } in &self.specs {
            match cite(dataset, key, self.options) {
                Ok((found, gone)) => {
                    if found.len() >= CITATIONS_MAX {
                        let text = "lines about it are shown, and there may be more";
                        note(&mut self.unread, format!("{dataset}: its first {CITATIONS_MAX} {text}"));
                    }
                    lines.extend(found);
                    for file in gone {
                        note(&mut self.unread, format!("{}: the file is gone", file.display()));
                    }
                }
                Err(error) => {
                    note(&mut self.unread, format!("{error}; whoever asks a running server sees what that may read"));
                }
            }
        }
        self.read.push((key.clone(), lines));
    }
}

fn note(notes: &mut Vec<String>, text: String) {
    if !notes.contains(&text) {
        notes.push(text);
    }
}

/// Adds what a dataset answers; true if it says anything of the key.
fn explain_dataset(dataset: &Dataset, key: &AskedKey, context: &Context, explanation: &mut Explanation) -> bool {
    let query_name;
    let (finding, shown) = match (&dataset.entries, key) {
        (Entries::Addresses(addresses), AskedKey::V4(address)) => {
            (addresses.find_v4(*address, context), Ipv4Addr::from(*address).to_string())
        }
        (Entries::Addresses(addresses), AskedKey::V6(address)) => {
            (addresses.find_v6(*address, context), Ipv6Addr::from(*address).to_string())
        }
        (Entries::Names(names), AskedKey::Name(name)) => {
            query_name = self::query_name(name);
            let Some(query_name) = &query_name else { return false };
            let relative = query_name.relative(query_name.label_count());
            let found = names.look_up(relative, context);
            (found.finding, relative.last(found.entry_label_count).to_string())
        }
        _ => return false,
    };
    let is_said = !finding.is_absent();
    let ground = Ground::Dataset(dataset.label.to_string());
    if matches!(finding, Finding::Excluded) && !explanation.excluded_by.contains(&ground) {
        explanation.excluded_by.push(ground.clone());
    }
    finding.for_each_value(context, |value, until_s, _| {
        let values = &dataset.values;
        let text = values.text(value).map(|text| values.expand(text, shown.as_bytes()));
        let about = (ground.clone(), dataset.ttl_s);
        explanation.listings.push(Listing::new(values.address(value), text, about, until_s, context.now_s));
    });
    is_said
}
