//! What a naive reader of the files answers: every line is looked at for every question.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    rc::Rc,
};

use dnsbld::{wire::Rcode, zone::dataset::Kind};

use crate::lists::{
    ACCESS_TTL_S, Access, Action, Claim, FOREVER_S, For, Key, Labels, Scope, Section, Value, World, ZoneLines,
};

const A: u16 = 1;
const NS: u16 = 2;
const SOA: u16 = 6;
const MX: u16 = 15;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const ANY: u16 = 255;

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) rcode: Rcode,
    /// Type, TTL and RDATA of the answers; those of SOA and NS records are not told.
    pub(crate) answers: BTreeSet<(u16, u32, Vec<u8>)>,
    /// TTL of the SOA record in the authority section.
    pub(crate) soa_ttl_s: Option<u32>,
    /// How many NS records are there, where there is room.
    pub(crate) server_count: usize,
    pub(crate) hold_s: u16,
    /// Where nothing is left below a name, it may be said to exist all the same: what was excluded by command in one reading is
    /// not looked for in the others.
    pub(crate) may_exist: bool,
}

impl Expected {
    fn code(rcode: Rcode) -> Self {
        Self { rcode, answers: BTreeSet::new(), soa_ttl_s: None, server_count: 0, hold_s: 0, may_exist: false }
    }
}

/// Something that is at a name.
#[derive(Clone, Debug)]
struct Hit {
    kind: u16,
    ttl_s: u32,
    data: Vec<u8>,
    hold_s: u16,
    until_s: u64,
}

/// What becomes of a query whatever it asks, the mildest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Fate {
    #[default]
    Answered,
    Refused,
    Ignored,
}

/// What the access lists let a client see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Sight {
    fate: Fate,
    is_empty: bool,
    everything: Option<Value>,
    is_keyed: bool,
}

impl Sight {
    fn add(&mut self, action: &Action) {
        match action {
            Action::Pass => {}
            Action::Ignore => self.fate = Fate::Ignored,
            Action::Refuse => self.fate = self.fate.max(Fate::Refused),
            Action::Empty => self.is_empty = true,
            Action::Listed(value) => drop(self.everything.get_or_insert_with(|| value.clone())),
        }
    }

    fn add_client(&mut self, access: &Access, client: IpAddr) {
        let covering = access.clients.iter().filter(|(net, _)| net.contains(&client));
        if let Some((_, action)) = covering.max_by_key(|(net, _)| net.prefix_len()) {
            self.add(action);
        }
    }

    fn take_key(&mut self, access: &Access, relative: &mut Labels) {
        let Some((keys, fallback)) = &access.keys else { return };
        match keys.iter().find(|(key, _)| relative.last() == Some(key)) {
            Some((_, action)) => {
                self.add(action);
                self.is_keyed = true;
                relative.pop();
            }
            None => self.add(fallback),
        }
    }
}

/// A zone as one client sees it at one moment.
struct View<'a> {
    zone: &'a ZoneLines,
    sight: Sight,
    client: IpAddr,
    now_s: u64,
}

/// All names that exist for being above others.
type Above = Rc<HashSet<Labels>>;

/// The model, and what it need not find out twice.
pub(crate) struct Model<'a> {
    world: &'a World,
    is_minimal: bool,
    above: RefCell<HashMap<(usize, Sight, u64), Above>>,
}

impl<'a> Model<'a> {
    pub(crate) fn new(world: &'a World, is_minimal: bool) -> Self {
        Self { world, is_minimal, above: RefCell::default() }
    }

    /// What is answered to a question of class IN in lower case; `None` is silence.
    pub(crate) fn answer(&self, name: &[String], qtype: u16, client: IpAddr, now_s: u64) -> Option<Expected> {
        let mut sight = Sight::default();
        sight.add_client(&self.world.access, client);
        if sight.fate == Fate::Ignored {
            return None;
        }
        if (249..255).contains(&qtype) {
            return Some(Expected::code(Rcode::NotImp));
        }
        let Some(place) = self.zone_of(name) else { return Some(Expected::code(Rcode::Refused)) };
        let zone = &self.world.zones[place];
        let left = name.len() - zone.apex.len();
        let mut relative = name[..left].to_vec();
        sight.take_key(&self.world.access, &mut relative);
        sight.add_client(&zone.access, client);
        sight.take_key(&zone.access, &mut relative);
        if sight.fate == Fate::Ignored {
            return None;
        }
        if !zone.is_loaded || now_s > zone.expires_s {
            return Some(Expected::code(Rcode::ServFail));
        }
        if sight.fate == Fate::Refused {
            return Some(Expected::code(Rcode::Refused));
        }
        let view = View { zone, sight, client, now_s };
        if left == 0
            && let Some(expected) = view.at_apex(qtype, self.is_minimal)
        {
            return Some(expected);
        }
        // A key before the apex, and nothing before that, is no name of the zone.
        let hits = if relative.is_empty() && left > 0 { Vec::new() } else { view.hits(&relative) };
        let exists = relative.is_empty() || !hits.is_empty() || self.exists_above(place, &view, &relative);
        let mut expected = view.answer(&hits, qtype, exists, self.is_minimal);
        expected.may_exist = zone.live.as_ref().is_some_and(|live| {
            let excluded: Vec<_> = live.lines.iter().filter(|(_, claim)| claim.value.is_none()).collect();
            let excludes_names = excluded.iter().any(|(key, _)| matches!(key, Key::Name(..)));
            !excluded.is_empty() && begins_to_stand_for_v4(&relative)
                || excludes_names && nibbles_of(&relative).or(octets(&relative).map(|_| (0, 0))).is_some()
        });
        Some(expected)
    }

    fn zone_of(&self, name: &[String]) -> Option<usize> {
        let ends = self.world.zones.iter().enumerate().filter(|(_, zone)| name.ends_with(&zone.apex));
        ends.max_by_key(|(_, zone)| zone.apex.len()).map(|(place, _)| place)
    }

    /// Whether a name exists that is not listed.
    fn exists_above(&self, place: usize, view: &View<'_>, relative: &[String]) -> bool {
        let subzones = view.zone.specifications.iter().flatten().flat_map(|section| &section.subzones);
        let apexes = self.world.zones.iter().map(|zone| &zone.apex);
        let below = apexes.filter(|apex| apex.ends_with(&view.zone.apex) && apex.len() > view.zone.apex.len());
        let below: Vec<&[String]> = below.map(|apex| &apex[..apex.len() - view.zone.apex.len()]).collect();
        let stands_above = |name: &[String]| name.ends_with(relative) && name.len() > relative.len();
        if subzones.clone().any(|name| name.as_slice() == relative)
            || subzones.map(Vec::as_slice).chain(below.iter().copied()).any(stands_above)
        {
            return true;
        }
        let key = (place, view.sight.clone(), view.now_s);
        let known = self.above.borrow().get(&key).cloned();
        let above = known.unwrap_or_else(|| {
            // With a key before the apex, no name is in another zone.
            let is_here = |name: &Labels| view.sight.is_keyed || !below.iter().any(|apex| name.ends_with(apex));
            let candidates: HashSet<Labels> = view.candidates().into_iter().collect();
            let listed = candidates.into_iter().filter(|name| is_here(name) && !view.hits(name).is_empty());
            let above = listed.flat_map(|name| (1..name.len()).map(move |start| name[start..].to_vec()));
            let above = Rc::new(above.collect::<HashSet<_>>());
            self.above.borrow_mut().insert(key, Rc::clone(&above));
            above
        });
        above.contains(relative) || view.first_below(relative).iter().any(|name| !view.hits(name).is_empty())
    }
}

impl View<'_> {
    fn at_apex(&self, qtype: u16, is_minimal: bool) -> Option<Expected> {
        let mut expected = Expected::code(Rcode::NoError);
        let server_count = self.zone.servers.map_or(0, |(_, count)| count);
        match qtype {
            SOA | ANY => {
                let Some((ttl_s, _)) = self.zone.soa else {
                    return (qtype == SOA).then(|| Expected::code(Rcode::Refused));
                };
                expected.answers.insert((SOA, ttl_s, Vec::new()));
                expected.server_count = if is_minimal { 0 } else { server_count };
            }
            NS => {
                let Some((ttl_s, _)) = self.zone.servers else { return Some(Expected::code(Rcode::Refused)) };
                expected.answers.insert((NS, ttl_s, Vec::new()));
            }
            _ => return None,
        }
        Some(expected)
    }

    fn answer(&self, hits: &[Hit], qtype: u16, exists: bool, is_minimal: bool) -> Expected {
        let kinds = [A, TXT, MX, AAAA];
        let kind = if qtype == ANY {
            kinds.into_iter().find(|kind| hits.iter().any(|hit| hit.kind == *kind)).unwrap_or(A)
        } else {
            qtype
        };
        let of_kind = || hits.iter().filter(|hit| hit.kind == kind);
        // RFC 2181 section 5.2: one TTL, and no answer may outlive what it tells or its zone, nor may one that is held back.
        let hold_s = hits.iter().map(|hit| hit.hold_s).max().unwrap_or(0);
        let listed_until_s = hits.iter().map(|hit| hit.until_s).min().filter(|_| hold_s > 0).unwrap_or(FOREVER_S);
        let until_s = listed_until_s.min(self.zone.expires_s.saturating_add(1));
        let left_s = until_s.saturating_sub(self.now_s + u64::from(hold_s));
        let ttl_s = of_kind().map(|hit| hit.ttl_s).min().unwrap_or(0).min(u32::try_from(left_s).unwrap_or(u32::MAX));
        let mut expected = Expected::code(if exists { Rcode::NoError } else { Rcode::NxDomain });
        expected.answers = of_kind().map(|hit| (kind, ttl_s, hit.data.clone())).collect();
        expected.hold_s = hold_s;
        if expected.answers.is_empty() {
            expected.soa_ttl_s = self.zone.soa.map(|(ttl_s, minimum_s)| ttl_s.min(minimum_s));
        } else if !is_minimal {
            expected.server_count = self.zone.servers.map_or(0, |(_, count)| count);
        }
        expected
    }

    /// What is at a name.
    fn hits(&self, relative: &[String]) -> Vec<Hit> {
        let mut hits = Vec::new();
        let sees_all = !self.sight.is_empty && self.sight.everything.is_none();
        let is_excluded = sees_all && self.ask_live(relative, &mut hits);
        for sections in self.zone.specifications.iter().filter(|_| !is_excluded) {
            let subzones = sections.iter().flat_map(|section| &section.subzones);
            let Some(closest) =
                subzones.filter(|subzone| relative.ends_with(subzone)).max_by_key(|subzone| subzone.len())
            else {
                continue;
            };
            let name = &relative[..relative.len() - closest.len()];
            for section in sections.iter().filter(|section| section.subzones.contains(closest)) {
                self.ask(section, name, sees_all, &mut hits);
            }
        }
        hits
    }

    fn ask(&self, section: &Section, name: &[String], sees_all: bool, hits: &mut Vec<Hit>) {
        let here = section.records.iter().filter(|(owner, _)| owner == name);
        hits.extend(here.map(|(_, record)| Hit {
            kind: record.kind,
            ttl_s: record.ttl_s,
            data: record.data.clone(),
            hold_s: 0,
            until_s: FOREVER_S,
        }));
        if section.kind == Kind::Generic || self.sight.is_empty {
            return;
        }
        let addresses = addresses(name);
        if !sees_all {
            let could_list = match section.kind {
                Kind::DnSet | Kind::DnHash => !name.is_empty(),
                kind => {
                    addresses.iter().any(|address| if address.is_ipv4() { kind.holds_v4() } else { kind.holds_v6() })
                }
            };
            if let (true, Some(value)) = (could_list, &self.sight.everything) {
                push(value, &self.client.to_string(), ACCESS_TTL_S, (0, FOREVER_S), hits);
            }
            return;
        }
        if matches!(section.kind, Kind::DnSet | Kind::DnHash) {
            let (claims, entry_label_count) = self.of_name(section, name);
            self.add(section, &claims, &name[name.len() - entry_label_count..].join("."), hits);
            return;
        }
        for address in addresses {
            self.add(section, &self.of_address(section, address), &address.to_string(), hits);
        }
    }

    fn add(&self, section: &Section, claims: &[Claim], shown: &str, hits: &mut Vec<Hit>) {
        if claims.iter().any(|claim| claim.value.is_none()) {
            return;
        }
        for claim in claims {
            let left_s = claim.until_s.saturating_sub(self.now_s);
            let ttl_s = section.ttl_s.min(u32::try_from(left_s).unwrap_or(u32::MAX));
            let hold_s = if self.sight.is_keyed && claim.whom == For::KeyedSooner { 0 } else { claim.hold_s };
            push(claim.value.as_ref().expect("listed"), shown, ttl_s, (hold_s, claim.until_s), hits);
        }
    }

    fn in_force(&self, claim: &Claim) -> bool {
        let is_keyed = self.sight.is_keyed;
        self.now_s < claim.until_s
            && (self.now_s >= claim.from_s || is_keyed && claim.whom == For::KeyedSooner)
            && (is_keyed || claim.whom != For::Keyed)
    }

    /// Equal claims but for their ends are one, which holds until the last of those.
    fn all_of<'c>(&self, claims: impl Iterator<Item = &'c Claim>) -> Vec<Claim> {
        let mut kept: Vec<Claim> = Vec::new();
        for claim in claims {
            match kept.iter_mut().find(|other| Claim { until_s: claim.until_s, ..(*other).clone() } == *claim) {
                Some(other) => other.until_s = other.until_s.max(claim.until_s),
                None => kept.push(claim.clone()),
            }
        }
        kept.retain(|claim| self.in_force(claim));
        kept
    }

    /// What the most specific lines say that say anything now.
    fn of_address(&self, section: &Section, address: IpAddr) -> Vec<Claim> {
        let covering = |key: &Key| match (key, address) {
            (Key::V4(first, length), IpAddr::V4(address)) => {
                (address.to_bits() ^ first).checked_shr(32 - u32::from(*length)).unwrap_or(0) == 0
            }
            (Key::V6(first, length), IpAddr::V6(address)) => {
                (address.to_bits() ^ first).checked_shr(128 - u32::from(*length)).unwrap_or(0) == 0
            }
            _ => false,
        };
        let has_octets = section.kind == Kind::Ip4Set;
        let level = |key: &Key| match key {
            Key::V4(_, length) if has_octets => length.div_ceil(8).max(1),
            Key::V4(_, length) | Key::V6(_, length) => *length,
            Key::Name(..) => 0,
        };
        let lines: Vec<_> = section.lines.iter().filter(|(key, _)| covering(key)).collect();
        let levels: BTreeSet<u8> = lines.iter().map(|(key, _)| level(key)).collect();
        for wanted in levels.into_iter().rev() {
            let claims = lines.iter().filter(|(key, _)| level(key) == wanted).map(|(_, claim)| claim);
            let said = if has_octets {
                self.all_of(claims)
            } else {
                // Of equal prefixes the first counts, or one that holds longer.
                let first = claims.reduce(|first, next| if next.until_s > first.until_s { next } else { first });
                first.filter(|claim| self.in_force(claim)).into_iter().cloned().collect()
            };
            if !said.is_empty() {
                return said;
            }
        }
        Vec::new()
    }

    /// The same of a name, and how many labels the entry has.
    fn of_name(&self, section: &Section, name: &[String]) -> (Vec<Claim>, usize) {
        let of = |labels: &[String], other_scope: Scope| {
            let is_it = |key: &Key| matches!(key, Key::Name(own, scope) if own == labels && *scope != other_scope);
            self.all_of(section.lines.iter().filter(|(key, _)| is_it(key)).map(|(_, claim)| claim))
        };
        let exact = of(name, Scope::Below);
        if !exact.is_empty() {
            return (exact, name.len());
        }
        let above = (1..=name.len()).map(|start| (of(&name[start..], Scope::Exact), name.len() - start));
        above.into_iter().find(|(said, _)| !said.is_empty()).unwrap_or_default()
    }

    /// Adds what is listed by command; whether the name is excluded so.
    fn ask_live(&self, relative: &[String], hits: &mut Vec<Hit>) -> bool {
        let Some(section) = &self.zone.live else { return false };
        let mut is_excluded = false;
        let mut add = |claims: &[Claim], shown: &str| {
            is_excluded |= claims.iter().any(|claim| claim.value.is_none());
            self.add(section, claims, shown, hits);
        };
        for address in addresses(relative) {
            add(&self.of_address(section, address), &address.to_string());
        }
        let (claims, count) = self.of_name(section, relative);
        add(&claims, &relative[relative.len() - count..].join("."));
        is_excluded
    }

    /// Names of which some are listed if anything is: where what is said of addresses begins and changes, names that are listed
    /// themselves, and one below each.
    fn candidates(&self) -> Vec<Labels> {
        let mut names = Vec::new();
        let mut add = |key: &Key, subzone: &Labels| match key {
            Key::V4(first, length) => {
                let after = first.wrapping_add(1_u32.checked_shl(32 - u32::from(*length)).unwrap_or(0));
                for address in [*first, after] {
                    names.extend(all_names_of(address).map(|name| [name, subzone.clone()].concat()));
                }
            }
            Key::V6(first, length) => {
                let after = first.wrapping_add(1_u128.checked_shl(128 - u32::from(*length)).unwrap_or(0));
                names.extend([*first, after].map(|address| [nibbles(address), subzone.clone()].concat()));
            }
            Key::Name(labels, _) => {
                let name = [labels.clone(), subzone.clone()].concat();
                names.extend([[vec![FRESH.to_owned()], name.clone()].concat(), name]);
            }
        };
        for section in self.zone.specifications.iter().flatten().chain(&self.zone.live) {
            for subzone in &section.subzones {
                section.lines.iter().for_each(|(key, _)| add(key, subzone));
                section.records.iter().for_each(|(owner, _)| add(&Key::Name(owner.clone(), Scope::Exact), subzone));
            }
        }
        names
    }

    /// The first names below one, in each of its readings.
    fn first_below(&self, relative: &[String]) -> Vec<Labels> {
        let mut names = vec![[vec![FRESH.to_owned()], relative.to_vec()].concat()];
        let subzones = self.zone.specifications.iter().flatten().flat_map(|section| &section.subzones);
        let root = Vec::new();
        for subzone in subzones.chain([&root]).filter(|subzone| relative.ends_with(subzone)) {
            let name = &relative[..relative.len() - subzone.len()];
            if let Some(octets) = octets(name).filter(|octets| octets.len() < 4) {
                let address =
                    octets.iter().zip([24, 16, 8]).fold(0, |sum, (octet, bits)| sum | u32::from(*octet) << bits);
                names.extend(all_names_of(address).map(|name| [name, subzone.clone()].concat()));
            }
            if let Some((first, count)) = nibbles_of(name).filter(|(_, count)| *count < 32) {
                let last = first | u128::MAX >> (4 * count);
                for address in [first, first.max(0xffff_0000_0000), first.max(0x2002 << 112)] {
                    if address <= last {
                        names.push([nibbles(address), subzone.clone()].concat());
                    }
                }
            }
        }
        names.retain(|name| name.len() > relative.len() && name.ends_with(relative));
        names
    }
}

/// A label that is in no file.
const FRESH: &str = "fresh";

/// The A and TXT records of a value.
fn push((last, text): &Value, shown: &str, ttl_s: u32, (hold_s, until_s): (u16, u64), hits: &mut Vec<Hit>) {
    hits.push(Hit { kind: A, ttl_s, data: vec![127, 0, 0, *last], hold_s, until_s });
    let text = text.replace('$', shown);
    if !text.is_empty() {
        let strings = text.as_bytes().chunks(255).flat_map(|string| [&[string.len() as u8][..], string].concat());
        hits.push(Hit { kind: TXT, ttl_s, data: strings.collect(), hold_s, until_s });
    }
}

/// Octets of an address, the first one first, as far as a name gives them.
fn octets(name: &[String]) -> Option<Vec<u8>> {
    let octet = |label: &String| label.parse::<u8>().ok().filter(|octet| octet.to_string() == *label);
    if (1..=4).contains(&name.len()) { name.iter().rev().map(octet).collect() } else { None }
}

/// The first address with the nibbles that a name gives, and how many those are.
fn nibbles_of(name: &[String]) -> Option<(u128, u32)> {
    let nibble = |label: &String| u128::from_str_radix(label, 16).ok().filter(|_| label.len() == 1 && label != "+");
    let nibbles = name.iter().rev().map(nibble).collect::<Option<Vec<_>>>()?;
    let places = (0..32).rev();
    (1..=32).contains(&name.len()).then(|| {
        (nibbles.iter().zip(places).fold(0, |sum, (nibble, place)| sum | nibble << (4 * place)), nibbles.len() as u32)
    })
}

/// The addresses that a name stands for.
fn addresses(name: &[String]) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    if let Some(octets) = octets(name).and_then(|octets| <[u8; 4]>::try_from(octets).ok()) {
        addresses.push(octets.into());
    }
    if let Some((address, 32)) = nibbles_of(name) {
        addresses.push(Ipv6Addr::from_bits(address).into());
        if address >> 32 == 0xffff {
            addresses.push(Ipv4Addr::from_bits(address as u32).into());
        }
        if address >> 112 == 0x2002 {
            addresses.push(Ipv4Addr::from_bits((address >> 80) as u32).into());
        }
    }
    addresses
}

/// Whether a name begins to spell IPv6 addresses that stand for IPv4 ones.
fn begins_to_stand_for_v4(name: &[String]) -> bool {
    nibbles_of(name).is_some_and(|(first, count)| {
        let reaches = |from: u128, to: u128| count < 32 && first <= to && first | u128::MAX >> (4 * count) >= from;
        reaches(0xffff << 32, (0x1_0000 << 32) - 1) || reaches(0x2002 << 112, (0x2003 << 112) - 1)
    })
}

pub(crate) fn nibbles(address: u128) -> Labels {
    (0..32).map(|place| format!("{:x}", address >> (4 * place) & 0xf)).collect()
}

pub(crate) fn reversed_octets(address: u32) -> Labels {
    address.to_le_bytes().iter().map(u8::to_string).collect()
}

/// An IPv4 address under each of the names that it is asked for by: its own, and those of IPv6 addresses that stand for it.
fn all_names_of(address: u32) -> impl Iterator<Item = Labels> {
    let wide = u128::from(address);
    [reversed_octets(address), nibbles(0xffff << 32 | wide), nibbles(0x2002 << 112 | wide << 80)].into_iter()
}
