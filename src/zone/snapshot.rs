//! Everything served at one moment, and the way from a name to its zone.

mod servers;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroU32,
    sync::Arc,
};

use super::{
    access::{AccessList, KeyList},
    apex::{ZoneServers, ZoneSoa},
    catalog::Catalog,
    dataset::{Dataset, Entries, Kind, Shape},
    ruling::{Context, FOREVER_S},
    subject::Subject,
    usual::UsualZone,
};
use crate::wire::name::{Name, QueryName, RelativeName};

/// A zone, or as much of it as there is.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Its name.
    pub apex: Name,
    /// Its data; `None` while they could not be loaded.
    pub content: Option<Content>,
    /// Who may ask: what all of these say, of which the sternest counts.
    pub acl: Vec<Arc<AccessList>>,
    /// Which keys open it: those of all of these.
    pub keys: Vec<Arc<KeyList>>,
    /// Where its live listings are found (see [`super::live::Live`]).
    pub live_slot: u32,
}

/// The data of a zone.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// Its SOA record.
    pub soa: Option<ZoneSoa>,
    /// Its name servers.
    pub servers: Option<ZoneServers>,
    /// After this second the data are no longer to be served; `u64::MAX` has no end.
    pub expires_s: u64,
    /// Its parts, deepest first, the zone itself last.
    parts: Vec<Part>,
    /// Where each part stands, by its name in wire format without the root octet: a file may have thousands of subzones.
    places: HashMap<Box<[u8]>, u32, foldhash::fast::RandomState>,
    has_addresses: bool,
    has_names: bool,
    above_subzones: Ancestors,
    above_zones: Ancestors,
}

/// Names without data above others, in wire format without the root octet.
#[derive(Clone, Debug, Default)]
struct Ancestors(HashSet<Box<[u8]>, foldhash::fast::RandomState>);

impl Ancestors {
    /// Notes those of a name.
    fn add(&mut self, name: &Name) {
        let mut rest = &name.as_wire()[..name.as_wire().len() - 1];
        while let Some((&length, _)) = rest.split_first() {
            rest = &rest[1 + usize::from(length)..];
            if !self.0.contains(rest) {
                self.0.insert(rest.into());
            }
        }
    }
}

/// The datasets of one specification by the subzones that they answer in, as names in wire format; in the order in which they are
/// asked.
type Placed<'a> = HashMap<&'a [u8], Vec<&'a Arc<Dataset>>, foldhash::fast::RandomState>;

/// The datasets that answer at and below one name of a zone.
#[derive(Clone, Debug)]
pub struct Part {
    /// The name, relative to the zone; the root is the zone itself.
    pub name: Name,
    label_count: usize,
    /// What is asked, in this order.
    pub datasets: Vec<Arc<Dataset>>,
    /// What is asked besides, from farther up: each specification has subzones of its own, and those of one hide nothing
    /// of another.
    pub above: Vec<Above>,
    /// Whether any of these holds addresses, so that names are read as such.
    holds_addresses: bool,
}

/// A dataset that is asked in a part below its own place.
#[derive(Clone, Debug)]
pub struct Above {
    /// Labels of its own place, relative to the zone.
    pub label_count: usize,
    /// The dataset.
    pub dataset: Arc<Dataset>,
}

impl Content {
    /// Puts datasets at their places: those of each specification of the zone, in the order in which they are asked, with the
    /// subzones that they answer in.
    pub fn new<'a, S>(
        soa: Option<ZoneSoa>,
        servers: Option<ZoneServers>,
        expires_s: Option<u64>,
        specifications: impl IntoIterator<Item = S>,
    ) -> Self
    where
        S: IntoIterator<Item = (&'a [Name], &'a Arc<Dataset>)>,
    {
        let mut parts = vec![Part::new(Name::root())];
        let mut known = HashSet::from([Name::root()]);
        let mut placed = Vec::new();
        for sections in specifications {
            let mut datasets = Placed::default();
            for (subzones, dataset) in sections {
                for name in subzones {
                    datasets.entry(name.as_wire()).or_default().push(dataset);
                    if known.insert(name.clone()) {
                        parts.push(Part::new(name.clone()));
                    }
                }
            }
            placed.push(datasets);
        }
        for part in &mut parts {
            for datasets in &placed {
                part.take(datasets);
            }
        }
        parts.sort_by_key(|part| std::cmp::Reverse(part.label_count));
        let places = (0..).zip(&parts).map(|(place, part)| (part.octets().into(), place)).collect();
        let expires_s = expires_s.unwrap_or(u64::MAX);
        let has = |is_such: fn(&Entries) -> bool| {
            parts.iter().flat_map(|part| &part.datasets).any(|dataset| is_such(&dataset.entries))
        };
        let has_addresses = has(|entries| matches!(entries, Entries::Addresses(_)));
        let has_names = has(|entries| matches!(entries, Entries::Names(_)));
        let (mut above_subzones, above_zones) = (Ancestors::default(), Ancestors::default());
        for part in &parts {
            above_subzones.add(&part.name);
        }
        Self { soa, servers, expires_s, parts, places, has_addresses, has_names, above_subzones, above_zones }
    }

    /// Whether everything it holds is asked at its apex.
    pub(super) fn is_all_at_apex(&self) -> bool {
        matches!(&*self.parts, [Part { above, .. }] if above.is_empty())
    }

    /// The datasets of the zone itself, subzones apart.
    #[inline]
    pub fn own_datasets(&self) -> &[Arc<Dataset>] {
        self.parts.last().map_or(&[], |part| &part.datasets)
    }

    /// What says that the list has ended, if so: then this is all that the zone has.
    pub fn retirement(&self) -> Option<&Dataset> {
        self.own_datasets().iter().find(|dataset| dataset.kind == Kind::Retired).map(Arc::as_ref)
    }

    /// Whether the data may still be served.
    pub fn is_current(&self, context: &Context) -> bool {
        context.now_s <= self.expires_s
    }

    /// The end of all that is listed, as that of a lifetime: the first second in which the data may no longer be served.
    #[inline]
    pub fn until_s(&self) -> u32 {
        u32::try_from(self.expires_s.saturating_add(1)).unwrap_or(FOREVER_S)
    }

    /// The part that a relative name belongs to.
    #[inline]
    pub fn part(&self, name: RelativeName<'_>) -> &Part {
        if let [whole] = &*self.parts {
            return whole;
        }
        self.closest(name)
    }

    fn closest(&self, name: RelativeName<'_>) -> &Part {
        let deepest = self.parts.first().map_or(0, |part| part.label_count).min(name.label_count());
        let place = (0..=deepest).rev().find_map(|count| self.places.get(name.last(count).octets()));
        &self.parts[*place.expect("the zone itself is a part of every name") as usize]
    }

    /// All parts, deepest first, the zone itself last.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The dataset that supplies value and TTL for a live listing that has none of its own: the first that holds such keys, or
    /// at least addresses, if it is one.
    pub fn model(&self, shape: Shape) -> Option<&Arc<Dataset>> {
        let first = |is_like: &dyn Fn(&Dataset) -> bool| {
            let mut all = self.parts.iter().rev().flat_map(|part| &part.datasets);
            all.find(|dataset| dataset.default_value.is_some() && is_like(dataset))
        };
        let has_names = |dataset: &Dataset| matches!(dataset.entries, Entries::Names(_));
        match shape {
            Shape::V4 => first(&|dataset| dataset.kind.holds_v4()),
            Shape::V6 => first(&|dataset| dataset.kind.holds_v6()),
            Shape::Name => first(&has_names),
        }
        .or_else(|| first(&|dataset| has_names(dataset) == (shape == Shape::Name)))
    }

    /// The part of a name that is relative to the zone, for whoever has just that.
    pub fn part_of(&self, name: &Name) -> Option<&Part> {
        let mut query_name = QueryName::new();
        query_name.read(name.as_wire())?;
        Some(self.part(query_name.relative(query_name.label_count())))
    }

    /// Whether a dataset with its place at a part is asked for a name, relative to the zone, at or below that: in a subzone of its own
    /// specification it is not.
    pub fn is_asked(&self, dataset: &Arc<Dataset>, place: &Part, name: RelativeName<'_>) -> bool {
        let part = self.part(name);
        let is_it = |above: &Above| above.label_count == place.label_count && Arc::ptr_eq(&above.dataset, dataset);
        std::ptr::eq(part, place) || part.above.iter().any(is_it)
    }

    /// For each dataset with entries or records that are never asked for, since they are in a subzone of its own specification: how
    /// many names these are, and one of them, relative to the zone. Addresses are not looked at.
    pub fn hidden(&self) -> Vec<(&Arc<Dataset>, usize, Name)> {
        let mut hidden = Vec::new();
        let mut query_name = QueryName::new();
        for place in self.parts.iter().filter(|part| self.above_subzones.0.contains(part.octets())) {
            for dataset in &place.datasets {
                let (mut count, mut one) = (0, None);
                dataset.for_each_name(|name| {
                    let whole = [name, place.name.as_wire()].concat();
                    if query_name.read(&whole).is_none() {
                        return;
                    }
                    let name = query_name.relative(query_name.label_count());
                    if !self.is_asked(dataset, place, name) {
                        count += 1;
                        one.get_or_insert_with(|| Name::from_wire(&whole));
                    }
                });
                hidden.extend(one.map(|one| (dataset, count, one)));
            }
        }
        hidden
    }

    /// Whether any dataset, of subzones too, holds addresses, and whether any holds names.
    pub fn holds(&self) -> (bool, bool) {
        (self.has_addresses, self.has_names)
    }

    /// Whether a relative name stands above a subzone.
    #[inline]
    pub fn is_above_subzone(&self, name: RelativeName<'_>) -> bool {
        self.above_subzones.0.contains(name.octets())
    }

    /// Whether a relative name, access key and all, stands above another zone.
    #[inline]
    pub fn is_above_zone(&self, name: RelativeName<'_>) -> bool {
        self.above_zones.0.contains(name.octets())
    }

    /// Each dataset once, whatever its places.
    pub fn datasets(&self) -> Vec<&Arc<Dataset>> {
        let mut known = HashSet::new();
        let all = self.parts.iter().rev().flat_map(|part| &part.datasets);
        all.filter(|dataset| known.insert(Arc::as_ptr(dataset))).collect()
    }
}

impl Part {
    fn new(name: Name) -> Self {
        let label_count = name.label_count();
        Self { label_count, name, datasets: Vec::new(), above: Vec::new(), holds_addresses: false }
    }

    /// Its name in wire format without the root octet.
    pub fn octets(&self) -> &[u8] {
        let name = self.name.as_wire();
        &name[..name.len() - 1]
    }

    /// Takes the datasets of one specification that answer here: those of its closest subzone.
    fn take(&mut self, placed: &Placed<'_>) {
        let (mut name, mut label_count) = (self.name.as_wire(), self.label_count);
        let own = loop {
            if let Some(own) = placed.get(name) {
                break own;
            }
            if label_count == 0 {
                return;
            }
            name = &name[1 + usize::from(name[0])..];
            label_count -= 1;
        };
        for dataset in own {
            let dataset = Arc::clone(dataset);
            self.holds_addresses |= matches!(dataset.entries, Entries::Addresses(_));
            if label_count == self.label_count {
                self.datasets.push(dataset);
            } else {
                self.above.push(Above { label_count, dataset });
            }
        }
    }

    /// Number of labels of its name.
    pub fn label_count(&self) -> usize {
        self.label_count
    }

    /// A name relative to the zone, as it is seen from a place of so many labels.
    #[inline]
    pub fn subject<'a>(&self, relative: RelativeName<'a>, label_count: usize) -> Subject<'a> {
        let name = relative.without_last(label_count);
        if self.holds_addresses { Subject::new(name) } else { Subject { name, v4: None, v6: None } }
    }

    /// All that is asked in it, each with the number of labels of its own place.
    pub fn asked(&self) -> impl Iterator<Item = (&Arc<Dataset>, usize)> {
        let own = self.datasets.iter().map(|dataset| (dataset, self.label_count));
        own.chain(self.above.iter().map(|above| (&above.dataset, above.label_count)))
    }

    /// A name relative to the zone, as it is looked for in this part.
    #[inline]
    pub fn seek<'a>(&'a self, relative: RelativeName<'a>) -> Sought<'a> {
        Sought { part: self, relative, subject: self.subject(relative, self.label_count) }
    }
}

/// A name that is looked for in the datasets of its part.
#[derive(Clone, Copy)]
pub struct Sought<'a> {
    part: &'a Part,
    relative: RelativeName<'a>,
    /// The name as it is seen from the part.
    pub subject: Subject<'a>,
}

impl<'a> Sought<'a> {
    /// Whether the name is that of the part itself.
    pub fn is_at_apex(&self) -> bool {
        self.relative.label_count() == self.part.label_count
    }

    /// Whether `ask` holds for any of the datasets, each with the name as it is seen from the dataset's own place.
    #[inline]
    pub fn any(&self, mut ask: impl FnMut(&'a Dataset, &Subject<'a>) -> bool) -> bool {
        self.part.datasets.iter().any(|dataset| ask(dataset, &self.subject))
            || !self.part.above.is_empty() && self.any_above(ask)
    }

    #[cold]
    #[inline(never)]
    fn any_above(&self, mut ask: impl FnMut(&'a Dataset, &Subject<'a>) -> bool) -> bool {
        let Part { above, .. } = self.part;
        above.iter().any(|above| ask(&above.dataset, &self.part.subject(self.relative, above.label_count)))
    }

    /// Visits all of the datasets in the same way.
    #[inline]
    pub fn for_each(&self, mut visit: impl FnMut(&'a Dataset, &Subject<'a>)) {
        self.any(|dataset, subject| {
            visit(dataset, subject);
            false
        });
    }

    /// Whether the part is a subzone.
    #[inline]
    pub fn is_in_subzone(&self) -> bool {
        self.part.label_count > 0
    }

    /// The name as it is seen from the zone's apex.
    #[inline]
    pub fn from_apex(&self) -> Subject<'a> {
        if self.part.label_count == 0 && self.part.holds_addresses { self.subject } else { Subject::new(self.relative) }
    }

    /// Whether all datasets see the name alike.
    #[inline]
    pub fn is_seen_alike(&self) -> bool {
        self.part.above.is_empty()
    }
}

/// A zone's place among those of a snapshot; that there may be none takes no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ZonePlace(NonZeroU32);

impl ZonePlace {
    /// The place of that index, of which a snapshot has fewer than 2^32.
    #[inline]
    pub fn new(index: usize) -> Self {
        Self(NonZeroU32::MIN.saturating_add(index as u32))
    }

    /// The index in [`Snapshot::zones`].
    #[inline]
    pub fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Everything that is served at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    zones: Vec<Zone>,
    /// Their places.
    by_apex: Catalog<u32>,
    /// Those of them that are as usual.
    usual: Catalog<Box<UsualZone>>,
    /// Who may ask for any zone.
    pub acl: Vec<Arc<AccessList>>,
    /// Which keys open any zone.
    pub keys: Vec<Arc<KeyList>>,
}

impl Snapshot {
    /// Joins zones, each with a name of its own, finds what stands between them, and the addresses of their servers.
    pub fn new(mut zones: Vec<Zone>, acl: Vec<Arc<AccessList>>, keys: Vec<Arc<KeyList>>) -> Self {
        let apexes: Vec<Name> = zones.iter().map(|zone| zone.apex.clone()).collect();
        let by_apex = Catalog::new(apexes.iter().zip(0..));
        let below = below(&apexes, &by_apex);
        for (zone, below) in zones.iter_mut().zip(&below) {
            let Some(content) = &mut zone.content else { continue };
            for name in below {
                content.above_zones.add(name);
            }
        }
        let is_open = acl.is_empty() && keys.is_empty();
        let mut snapshot = Self { zones, by_apex, usual: Catalog::default(), acl, keys };
        snapshot.find_server_addresses();
        let usual = |(place, zone): (usize, &Zone)| {
            let is_open = is_open && zone.acl.is_empty() && zone.keys.is_empty();
            UsualZone::new(place, zone, &below[place]).filter(|_| is_open).map(Box::new)
        };
        let usual = snapshot.zones.iter().enumerate().map(usual).zip(&apexes);
        snapshot.usual = Catalog::new(usual.filter_map(|(zone, apex)| Some((apex, zone?))));
        snapshot
    }

    /// The zones, in the order they were given in.
    pub fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// The closest zone at or above a name, by its place among the zones, and how many labels of the name stand left of it.
    #[inline]
    pub fn find(&self, name: &QueryName) -> Option<(usize, usize)> {
        self.by_apex.find(name).map(|(place, left)| (*place as usize, left))
    }

    /// Whether [`Self::usual_at`] may find a zone by a name of so many octets.
    #[inline]
    pub fn may_be_usual(&self, len: usize) -> bool {
        self.usual.has_any_of(len)
    }

    /// The zone whose apex is this whole name, in whatever case, if it is as usual and its data may be served.
    #[inline(always)]
    pub fn usual_at(&self, name: &[u8], now_s: u64) -> Option<&UsualZone> {
        self.usual.at(name).map(|zone| &**zone).filter(|zone| now_s <= zone.expires_s)
    }

    /// The zone of that name.
    pub fn zone(&self, apex: &Name) -> Option<&Zone> {
        self.by_apex.at(apex.as_wire()).map(|place| &self.zones[*place as usize])
    }

    /// The zone that has a subzone of that name.
    pub fn subzone(&self, name: &Name) -> Option<&Zone> {
        let zone = self.zone_of(name, &Name::root())?;
        let relative = name.strip(&zone.apex)?;
        (zone.content.as_ref()?.part_of(&relative)?.name == relative).then_some(zone).filter(|_| !relative.is_root())
    }

    /// The zone in which a name is asked for that is told relative to another: that one, or one of its own below.
    pub fn zone_of(&self, owner: &Name, apex: &Name) -> Option<&Zone> {
        let mut name = QueryName::new();
        name.read(owner.below(apex).ok()?.as_wire())?;
        self.find(&name).map(|(place, _)| &self.zones[place])
    }
}

impl Zone {
    /// Whether the zone can be served at this moment.
    pub fn is_served(&self, context: &Context) -> bool {
        self.content.as_ref().is_some_and(|content| content.is_current(context))
    }

    /// The last second for which its data were good, if that is over: the zone answers SERVFAIL.
    pub fn expired_s(&self, context: &Context) -> Option<u64> {
        self.content.as_ref().filter(|content| !content.is_current(context)).map(|content| content.expires_s)
    }
}

/// The names, relative to each apex, of the others that stand below it.
fn below(apexes: &[Name], by_apex: &Catalog<u32>) -> Vec<Vec<Name>> {
    let mut below = vec![Vec::new(); apexes.len()];
    for apex in apexes {
        let mut rest = apex.as_wire();
        while let Some(length @ 1..) = rest.first() {
            rest = &rest[1 + usize::from(*length)..];
            if let Some(above) = by_apex.at(rest) {
                below[*above as usize].extend(apex.strip(&apexes[*above as usize]));
            }
        }
    }
    below
}
