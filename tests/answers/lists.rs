//! Random zones: what stands in their files, as a naive reader keeps it, and the same as the server has it.
//!
//! They are made of few octets, digits and labels, so that entries, what stands around them, and what is asked meet often.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use dnsbld::{
    load::{Loaded, ZoneData},
    wire::name::Name,
    zone::{
        access::{AccessList, KeyList},
        apex::{ZoneServers, ZoneSoa},
        dataset::Kind,
        live::{Live, LiveZone, OwnValue, Place, ValueNumbers},
        reversed::reverse,
        snapshot::{Content, Snapshot, Zone},
    },
};
use ipnet::{IpNet, Ipv4Net, Ipv4Subnets, Ipv6Net};
use rand::{Rng, rngs::SmallRng, seq::IndexedRandom};

use crate::functions::{NOW_S, read};

/// Labels from left to right.
pub(crate) type Labels = Vec<String>;

/// Never over.
pub(crate) const FOREVER_S: u64 = u64::MAX;

/// Which names an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Exact,
    Below,
    Both,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    V4(u32, u8),
    V6(u128, u8),
    Name(Labels, Scope),
}

/// Last octet of the A record, and the text as it is written.
pub(crate) type Value = (u8, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    Everyone,
    Keyed,
    /// Everyone, but who has a key does not wait.
    KeyedSooner,
}

/// What a line says of its key; without a value it is excluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) value: Option<Value>,
    pub(crate) from_s: u64,
    pub(crate) until_s: u64,
    pub(crate) whom: For,
    pub(crate) hold_s: u16,
}

/// A plain record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: u16,
    pub(crate) ttl_s: u32,
    pub(crate) data: Vec<u8>,
}

/// A dataset.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) kind: Kind,
    pub(crate) subzones: Vec<Labels>,
    pub(crate) ttl_s: u32,
    pub(crate) lines: Vec<(Key, Claim)>,
    pub(crate) records: Vec<(Labels, Record)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Pass,
    Ignore,
    Refuse,
    Empty,
    Listed(Value),
}

/// Who may ask: clients, or keys and what holds without one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    pub(crate) clients: Vec<(IpNet, Action)>,
    pub(crate) keys: Option<(Vec<(String, Action)>, Action)>,
}

/// TTL of what access lists answer.
pub(crate) const ACCESS_TTL_S: u32 = 77;

#[derive(Clone, Debug)]
pub(crate) struct ZoneLines {
    pub(crate) apex: Labels,
    /// It is as most zones are: of one sort, at one place, for everyone.
    is_plain: bool,
    /// What its datasets may be: without access lists and those that have several in one file.
    kinds: &'static [Kind],
    pub(crate) is_loaded: bool,
    pub(crate) expires_s: u64,
    /// TTL and minimum.
    pub(crate) soa: Option<(u32, u32)>,
    /// TTL and number.
    pub(crate) servers: Option<(u32, usize)>,
    /// The datasets of each specification.
    pub(crate) specifications: Vec<Vec<Section>>,
    pub(crate) access: Access,
    /// What is listed or excluded by command.
    pub(crate) live: Option<Section>,
    /// Its files, for whoever looks into a failure.
    pub(crate) text: String,
}

pub(crate) struct World {
    pub(crate) zones: Vec<ZoneLines>,
    /// The server's own lists.
    pub(crate) access: Access,
    pub(crate) snapshot: Snapshot,
    pub(crate) live: Live,
}

const APEXES: [&str; 11] = [
    "bl.example",
    "1.bl.example",
    "bl.test.example",
    "below.bl.test.example",
    "www.a.bl.test.example",
    "names.test",
    "b",
    "c.b",
    "a-list-with-a-long-name.example.org",
    "[list].example",
    "",
];
const LABELS: [&str; 9] = [
    "a",
    "com",
    "example",
    "www",
    "1",
    "10",
    "mail-x_y",
    "0",
    "a-label-that-is-so-long-that-a-few-of-it-fill-a-name-nearly-all",
];
const SUBZONES: [&str; 5] = ["sub", "a.sub", "10", "www", "b.example"];
/// What plain zones have: addresses or names.
const ADDRESSES: [Kind; 7] =
    [Kind::Ip4Set, Kind::Ip4Trie, Kind::Ip4TSet, Kind::Ip4Seen, Kind::Ip6Trie, Kind::Ip6TSet, Kind::Generic];
const NAMES: [Kind; 5] = [Kind::DnSet, Kind::DnSet, Kind::DnHash, Kind::DnHash, Kind::Generic];
pub(crate) fn one_of<T: Clone>(random: &mut SmallRng, of: &[T]) -> T {
    of.choose(random).expect("some").clone()
}

pub(crate) fn labels(text: &str) -> Labels {
    text.split('.').filter(|label| !label.is_empty()).map(str::to_owned).collect()
}

pub(crate) fn v4(random: &mut SmallRng) -> u32 {
    let octets = [one_of(random, &[1, 10, 127]), one_of(random, &[0, 1]), one_of(random, &[0, 10, 255])];
    u32::from_be_bytes([octets[0], octets[1], octets[2], one_of(random, &[0, 1, 2, 10, 100, 255])])
}

pub(crate) fn v6(random: &mut SmallRng) -> u128 {
    let first = match random.random_range(0..5) {
        0 => 0xffff_0000_0000 | u128::from(v4(random)),
        1 => 0x2002 << 112 | u128::from(v4(random)) << 80,
        2 => 1 << 96,
        _ => 0x2001_0db8 << 96,
    };
    let nibble = random.random_range(0..32);
    first ^ u128::from(random.random_range(0..3_u8)) << (4 * nibble) ^ u128::from(random.random_range(0..3_u8)) << 64
}

pub(crate) fn domain(random: &mut SmallRng) -> Labels {
    (0..random.random_range(1..4)).map(|_| one_of(random, &LABELS).to_owned()).collect()
}

fn prefix_v4(random: &mut SmallRng, least: u8) -> Key {
    let length = one_of(random, &[8, 14, 16, 19, 24, 25, 31, 32, 32, 32]).max(least);
    let net = Ipv4Net::new(v4(random).into(), length).expect("a prefix").trunc();
    Key::V4(net.addr().into(), length)
}

fn prefix_v6(random: &mut SmallRng, lengths: &[u8]) -> Key {
    let length = one_of(random, lengths);
    let net = Ipv6Net::new(v6(random).into(), length).expect("a prefix").trunc();
    Key::V6(net.addr().into(), length)
}

fn key(random: &mut SmallRng, kind: Kind, is_exclusion: bool) -> Key {
    const LENGTHS: [u8; 10] = [3, 16, 30, 32, 48, 64, 65, 100, 127, 128];
    match kind {
        Kind::Ip4TSet | Kind::Ip4Seen => prefix_v4(random, 32),
        Kind::Ip4Trie if random.random_ratio(1, 3) => prefix_v6(random, &LENGTHS),
        Kind::Ip4Trie if random.random_ratio(1, 20) => Key::V4(0, 0),
        Kind::Ip4Set | Kind::Ip4Trie => prefix_v4(random, 0),
        Kind::Ip6Trie => prefix_v6(random, &LENGTHS),
        Kind::Ip6TSet => prefix_v6(random, if is_exclusion { &[128] } else { &[64] }),
        _ => Key::Name(domain(random), one_of(random, &[Scope::Exact, Scope::Exact, Scope::Below, Scope::Both])),
    }
}

fn value(random: &mut SmallRng) -> Value {
    let text = match random.random_range(0..9) {
        0 => String::new(),
        1 => "$".to_owned(),
        2 => "x".repeat(random.random_range(200..700)),
        3 => format!("$ {} $", "y".repeat(random.random_range(200..270))),
        _ => one_of(random, &["listed: $", "a text", "see https://bl.example/?$"]).to_owned(),
    };
    (random.random_range(2..6), text)
}

/// What follows a key besides its value, and the same as a claim.
fn claim(random: &mut SmallRng, is_plain: bool, value: Option<Value>, lifetime_s: u64) -> (String, Claim) {
    let mut claim = Claim { value, from_s: 0, until_s: FOREVER_S, whom: For::Everyone, hold_s: 0 };
    let soon_s = NOW_S + random.random_range(0..6);
    let text = match random.random_range(0..14) {
        choice if is_plain && choice > 1 => String::new(),
        0 | 1 => {
            claim.until_s = soon_s;
            format!(" @ until={soon_s}")
        }
        2 => {
            claim.from_s = soon_s;
            format!(" @ ts={};delay=3", soon_s - 3)
        }
        3 => {
            claim.whom = For::Keyed;
            " @ key=require".to_owned()
        }
        4 => {
            (claim.whom, claim.from_s) = (For::KeyedSooner, soon_s);
            format!(" @ key=nodelay;ts={soon_s};delay=0")
        }
        5 => {
            claim.hold_s = 5;
            " @ delay=5".to_owned()
        }
        6 => {
            claim.until_s = soon_s;
            format!(" @ ts={};lifetime=10", soon_s - 10)
        }
        8 => {
            (claim.hold_s, claim.until_s) = (3, soon_s);
            format!(" @ delay=3;until={soon_s}")
        }
        7 => {
            (claim.from_s, claim.until_s) = (NOW_S + 2, soon_s);
            format!(" @ ts={NOW_S};delay=2;until={soon_s}")
        }
        _ => String::new(),
    };
    if lifetime_s > 0 && claim.until_s == FOREVER_S {
        let seen_s = if text.contains("ts=") && claim.from_s > 0 {
            if claim.whom == For::KeyedSooner { claim.from_s } else { claim.from_s - 3 }
        } else {
            NOW_S
        };
        claim.until_s = seen_s + lifetime_s;
    }
    (text, claim)
}

fn show_key(random: &mut SmallRng, kind: Kind, key: &Key) -> String {
    match key {
        Key::V4(first, length) => {
            let address = Ipv4Addr::from_bits(*first);
            match (kind, length) {
                (_, 32) => address.to_string(),
                (Kind::Ip4Set, 16 | 24) if random.random() => {
                    address.octets()[..usize::from(*length / 8)].iter().map(u8::to_string).collect::<Vec<_>>().join(".")
                }
                _ => format!("{address}/{length}"),
            }
        }
        Key::V6(first, length) => {
            let words = Ipv6Addr::from_bits(*first).segments().map(|word| format!("{word:x}"));
            match (kind, length) {
                (Kind::Ip6TSet, 64) => words[..4].join(":"),
                (_, 128) => words.join(":"),
                _ => format!("{}/{length}", words.join(":")),
            }
        }
        Key::Name(labels, scope) => {
            let mark = match scope {
                Scope::Exact => "",
                Scope::Below => "*.",
                Scope::Both => ".",
            };
            format!("{mark}{}", labels.join("."))
        }
    }
}

/// A dataset's lines, behind what `text` begins with.
fn section(
    random: &mut SmallRng,
    (kind, is_plain): (Kind, bool),
    subzones: Vec<Labels>,
    ttl_s: u32,
    text: &mut String,
) -> Section {
    writeln!(text, "$TTL {ttl_s}").expect("in memory");
    let mut section = Section { kind, subzones, ttl_s, lines: Vec::new(), records: Vec::new() };
    let count = random.random_range(0..25);
    if kind == Kind::Generic {
        (0..count.min(6)).for_each(|_| record(random, is_plain, &mut section, text));
        return section;
    }
    let has_one_value = matches!(kind, Kind::Ip4TSet | Kind::Ip6TSet);
    let common = value(random);
    writeln!(text, ":{}:{}", common.0, common.1).expect("in memory");
    let lifetime_s = if random.random_ratio(1, 6) { 4 } else { 0 };
    writeln!(text, "$LIFETIME {lifetime_s}").expect("in memory");
    if kind == Kind::Ip4Seen {
        (0..count).for_each(|_| seen(random, &mut section, &common, text));
        return section;
    }
    for _ in 0..count {
        let is_exclusion = kind.has_exclusions() && random.random_ratio(1, 5);
        let key = key(random, kind, is_exclusion);
        let own = if has_one_value || random.random_ratio(1, 3) { None } else { Some(value(random)) };
        let said = (!is_exclusion).then(|| own.clone().unwrap_or_else(|| common.clone()));
        let (end, claim) = claim(random, is_plain, said, lifetime_s);
        let mark = if is_exclusion { "!" } else { "" };
        let range = Ipv4Addr::from_bits(v4(random));
        let is_range = kind == Kind::Ip4Set && random.random_ratio(1, 8);
        let range_end = Ipv4Addr::from_bits(range.to_bits() + random.random_range(1..700));
        let shown = if is_range { format!("{range}-{range_end}") } else { show_key(random, kind, &key) };
        let own = own.filter(|_| !is_exclusion).map_or(String::new(), |(last, text)| format!(" :{last}:{text}"));
        writeln!(text, "{mark}{shown}{own}{end}").expect("in memory");
        // What is over when it is read is not kept.
        if claim.until_s <= NOW_S {
            continue;
        }
        if is_range {
            let nets = Ipv4Subnets::new(range, range_end, 0);
            section.lines.extend(nets.map(|net| (Key::V4(net.addr().into(), net.prefix_len()), claim.clone())));
        } else {
            section.lines.push((key, claim));
        }
    }
    section
}

/// A line of an address and when it was seen.
fn seen(random: &mut SmallRng, section: &mut Section, value: &Value, text: &mut String) {
    const LIFETIME_S: u64 = 10;
    let (address, seen_s) = (v4(random), NOW_S - random.random_range(4..12));
    writeln!(text, "$LIFETIME {LIFETIME_S}\n{} {seen_s}", Ipv4Addr::from_bits(address)).expect("in memory");
    let until_s = seen_s + LIFETIME_S;
    if until_s > NOW_S {
        let claim = Claim { value: Some(value.clone()), from_s: 0, until_s, whom: For::Everyone, hold_s: 0 };
        section.lines.push((Key::V4(address, 32), claim));
    }
}

fn record(random: &mut SmallRng, is_at_apex: bool, section: &mut Section, text: &mut String) {
    let owner = match random.random_range(0..4) {
        choice if is_at_apex || choice == 0 => Vec::new(),
        1 => labels("ns1"),
        _ => domain(random),
    };
    let ttl_s = one_of(random, &[3, 50]);
    let (shown, kind, data) = match random.random_range(0..4) {
        0 => ("TXT \"a record\"", 16, b"\x08a record".to_vec()),
        1 => ("MX 10 mail.test", 15, b"\x00\x0a\x04mail\x04test\x00".to_vec()),
        2 => ("A 127.0.0.3", 1, vec![127, 0, 0, 3]),
        _ => ("A 192.0.2.80", 1, vec![192, 0, 2, 80]),
    };
    let name = if owner.is_empty() { "@".to_owned() } else { owner.join(".") };
    writeln!(text, "{name} {ttl_s} {shown}").expect("in memory");
    let record = (owner, Record { kind, ttl_s, data });
    if !section.records.contains(&record) {
        section.records.push(record);
    }
}

fn action(random: &mut SmallRng, text: &mut String) -> Action {
    let (shown, action) = match random.random_range(0..8) {
        0 => (":ignore".to_owned(), Action::Ignore),
        1 => (":refuse".to_owned(), Action::Refuse),
        2 | 3 => (":empty".to_owned(), Action::Empty),
        4 | 5 => (":9:everything, $".to_owned(), Action::Listed((9, "everything, $".to_owned()))),
        _ => (":pass".to_owned(), Action::Pass),
    };
    text.push_str(&shown);
    text.push('\n');
    action
}

/// Client addresses that lists speak of and that ask.
pub(crate) const CLIENTS: [&str; 5] = ["192.0.2.1", "192.0.2.2", "192.0.2.77", "2001:db8::1", "2001:db8:1::1"];

type Lists = (Access, Vec<Arc<AccessList>>, Vec<Arc<KeyList>>);

fn access(random: &mut SmallRng) -> Lists {
    let mut access = Access::default();
    let (mut acl, mut keys) = (Vec::new(), Vec::new());
    if random.random_ratio(1, 2) {
        let mut text = format!("$TTL {ACCESS_TTL_S}\n");
        for _ in 0..random.random_range(1..4) {
            let client: IpAddr = one_of(random, &CLIENTS).parse().expect("an address");
            let length = if client.is_ipv4() { one_of(random, &[24, 30, 32]) } else { one_of(random, &[32, 48, 128]) };
            let net = IpNet::new(client, length).expect("a prefix").trunc();
            write!(text, "{net} ").expect("in memory");
            let action = action(random, &mut text);
            if !access.clients.iter().any(|(known, _)| *known == net) {
                access.clients.push((net, action));
            }
        }
        if let Some(Loaded::Acl(list)) = read(Kind::Acl, text.as_bytes()).0 {
            acl.push(list);
        }
    }
    if random.random_ratio(1, 2) {
        let mut text = format!("$TTL {ACCESS_TTL_S}\n");
        let fallback = action(random, &mut text);
        let keys_of = ["secret", "other"].map(|key| {
            write!(text, "{key} ").expect("in memory");
            (key.to_owned(), action(random, &mut text))
        });
        access.keys = Some((keys_of.into(), fallback));
        if let Some(Loaded::Keys(list)) = read(Kind::AclKey, text.as_bytes()).0 {
            keys.push(list);
        }
    }
    assert_eq!((acl.len(), keys.len()), (usize::from(!access.clients.is_empty()), usize::from(access.keys.is_some())));
    (access, acl, keys)
}

pub(crate) fn name(labels: &[String]) -> Name {
    if labels.is_empty() { Name::root() } else { Name::parse(labels.join(".").as_bytes()).expect("a name") }
}

/// What a file begins with: sometimes a SOA, sometimes name servers.
fn head(random: &mut SmallRng, zone: &mut ZoneLines) -> String {
    let mut text = String::new();
    if random.random_ratio(3, 4) {
        let soa = (one_of(random, &[60, 3_600]), one_of(random, &[0, 30, 120]));
        writeln!(text, "$SOA {} ns1.bl.example hostmaster.elsewhere.test 1 600 300 86400 {}", soa.0, soa.1)
            .expect("in memory");
        zone.soa.get_or_insert(soa);
    }
    if random.random_ratio(1, 2) {
        // So many that their records are no longer short, among others.
        let servers: Vec<_> = (1..=random.random_range(1..8)).map(|n| format!("ns{n}.bl.example")).collect();
        writeln!(text, "$NS 1800 {}", servers.join(" ")).expect("in memory");
        zone.servers.get_or_insert((1_800, servers.len()));
    }
    text
}

/// One specification: a file with one dataset, or with several.
fn specification(
    random: &mut SmallRng,
    ttl_s: &mut impl FnMut(&mut SmallRng) -> u32,
    zone: &mut ZoneLines,
) -> ZoneData {
    let mut text = head(random, zone);
    let mut sections = Vec::new();
    let is_plain = zone.is_plain;
    let kind = if !is_plain && random.random_ratio(1, 3) {
        for _ in 0..random.random_range(1..4) {
            let kind = one_of(random, zone.kinds);
            let mut subzones: Vec<&str> = (0..2).map(|_| one_of(random, &SUBZONES)).collect();
            if random.random() {
                subzones[0] = "@";
            }
            subzones.dedup();
            writeln!(text, "$DATASET {kind} {}", subzones.join(" ")).expect("in memory");
            let subzones = subzones.iter().map(|name| labels(name.trim_start_matches('@'))).collect();
            let ttl_s = ttl_s(random);
            sections.push(section(random, (kind, is_plain), subzones, ttl_s, &mut text));
        }
        Kind::Combined
    } else {
        let kind = one_of(random, zone.kinds);
        let ttl_s = ttl_s(random);
        sections.push(section(random, (kind, is_plain), vec![Vec::new()], ttl_s, &mut text));
        kind
    };
    let (loaded, report) = read(kind, text.as_bytes());
    let Some(Loaded::Data(data)) = loaded else { panic!("{kind}\n{text}\n{report:?}") };
    writeln!(zone.text, "# {kind}\n{text}").expect("in memory");
    zone.specifications.push(sections);
    data
}

/// What is said by command, of a zone without subzones and plain records.
fn live(random: &mut SmallRng, ttl_s: u32) -> (Section, LiveZone) {
    let (mut live, mut numbers) = (LiveZone::new(ttl_s), ValueNumbers::default());
    let subzones = vec![Vec::new()];
    let mut section = Section { kind: Kind::Ip4Trie, subzones, ttl_s, lines: Vec::new(), records: Vec::new() };
    for _ in 0..random.random_range(1..8) {
        let kind = one_of(random, &[Kind::Ip4Set, Kind::Ip4Trie, Kind::Ip6Trie, Kind::DnSet]);
        let mut key = key(random, kind, false);
        if let Key::Name(_, scope @ Scope::Both) = &mut key {
            *scope = Scope::Below;
        }
        let place = match &key {
            Key::V4(first, length) => Place::V4(*first, *length),
            Key::V6(first, length) => Place::V6(*first, *length),
            Key::Name(labels, scope) => {
                Place::Name { reversed: reverse(&name(labels)), is_wildcard: *scope == Scope::Below }
            }
        };
        let value = random.random_ratio(2, 3).then(|| value(random));
        let until_s = one_of(random, &[FOREVER_S, FOREVER_S, NOW_S, NOW_S + 2, NOW_S + 5]);
        let own = value.as_ref().map(|(last, text)| OwnValue {
            address: Some([127, 0, 0, *last].into()),
            text: Some(text.as_str().into()),
        });
        live.put(&place, own.as_ref(), u32::try_from(until_s).unwrap_or(u32::MAX), &mut numbers);
        section.lines.retain(|(other, _)| *other != key);
        section.lines.push((key, Claim { value, from_s: 0, until_s, whom: For::Everyone, hold_s: 0 }));
    }
    live.settle();
    (section, live)
}

fn zone(random: &mut SmallRng, apex: &str, live_slot: u32) -> (ZoneLines, Zone, Option<LiveZone>) {
    let is_plain = random.random_ratio(3, 4);
    let mut lines = ZoneLines {
        apex: labels(apex),
        is_plain,
        kinds: if is_plain { one_of(random, &[&ADDRESSES[..], &NAMES]) } else { &Kind::ALL[..9] },
        is_loaded: random.random_ratio(19, 20),
        expires_s: one_of(random, &[FOREVER_S, FOREVER_S, FOREVER_S, FOREVER_S, NOW_S + 2]),
        soa: None,
        servers: None,
        specifications: Vec::new(),
        access: Access::default(),
        live: None,
        text: String::new(),
    };
    let (has_live, common_ttl_s) = (random.random_ratio(1, 4), one_of(random, &[5, 300]));
    let mut ttl_s = |random: &mut SmallRng| if has_live { common_ttl_s } else { one_of(random, &[1, 5, 300, 3_600]) };
    let data: Vec<ZoneData> =
        (0..one_of(random, &[1, 1, 1, 2, 3])).map(|_| specification(random, &mut ttl_s, &mut lines)).collect();
    let (mut acl, mut keys) = (Vec::new(), Vec::new());
    if !is_plain && random.random_ratio(2, 3) {
        (lines.access, acl, keys) = access(random);
    }
    let mut sections = lines.specifications.iter().flatten();
    let may_have_live =
        sections.all(|section| section.kind != Kind::Generic && section.subzones.iter().all(Vec::is_empty));
    let live = (has_live && may_have_live).then(|| live(random, common_ttl_s));
    let (own, live) = live.unzip();
    lines.live = own;
    let apex = name(&lines.apex);
    let soa = data.iter().find_map(|data| data.soa.clone()).map(|soa| ZoneSoa::new(soa, &apex, NOW_S));
    let servers = data.iter().find_map(|data| data.servers.as_ref()).map(|servers| ZoneServers::new(servers, &apex));
    let specifications =
        data.iter().map(|data| data.sections.iter().map(|section| (section.subzones.as_slice(), &section.dataset)));
    let expires_s = Some(lines.expires_s).filter(|expires_s| *expires_s != FOREVER_S);
    let content = lines.is_loaded.then(|| Content::new(soa, servers, expires_s, specifications));
    let zone = Zone { apex, content, acl, keys, live_slot };
    (lines, zone, live)
}

impl World {
    pub(crate) fn new(random: &mut SmallRng) -> Self {
        let (mut lines, mut zones, mut live) = (Vec::new(), Vec::new(), Live::default());
        for apex in APEXES {
            if zones.is_empty() || random.random_ratio(1, if apex.is_empty() { 8 } else { 2 }) {
                let slot = zones.len() as u32;
                let (own, zone, own_live) = zone(random, apex, slot);
                lines.push(own);
                zones.push(zone);
                live.set(slot, own_live.map(Arc::new));
            }
        }
        let is_open = random.random_ratio(5, 6);
        let (access, acl, keys) = if is_open { Lists::default() } else { access(random) };
        Self { zones: lines, access, snapshot: Snapshot::new(zones, acl, keys), live }
    }
}
