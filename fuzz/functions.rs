//! What the fuzz targets call, and the tests that replay their corpora: everything that takes octets from strangers.

#![allow(dead_code)] // each target uses a part of it

#[allow(clippy::duplicate_mod, reason = "tests of other kinds have it too")]
#[path = "../tests/support/both_ways.rs"]
pub(crate) mod both_ways;

use std::{net::IpAddr, sync::OnceLock};

use dnsbld::{
    answer::{self, Client, Outcome, Policy, Transport},
    control::{
        api, rspamd,
        tsig::{Algorithm, Key as Secret, Signature},
        update::{
            self,
            owner::Holds,
            plan::{Codes, Planner},
        },
    },
    live::listings::{Change, Door, Key, Origin, Record, Verdict},
    load::{self, Loaded, Options, Report, Source, ZoneData},
    wire::name::Name,
    zone::{
        apex::{ZoneServers, ZoneSoa},
        dataset::Kind,
        snapshot::{Content, Snapshot, Zone},
    },
};
use hickory_proto::op::Message;

/// 2026-11-22T12:00:00Z, the time of everything here.
pub(crate) const NOW_S: u64 = 1_795_348_800;

/// The zones of [`world`]: name, dataset type and file.
const ZONES: &[(&str, Kind, &str)] = &[
    (
        "bl.example",
        Kind::Ip4Set,
        "$SOA 3600 ns1.bl.example hostmaster.bl.example 1 600 300 86400 120\n\
         $NS 3600 ns1.bl.example ns2.elsewhere.test\n\
         $1 https://bl.example/?\n\
         :2:$ sent a virus, $1$\n\
         127.0.0.2\n192.0.2.0/24\n!192.0.2.128/25\n198.51.100.1 :3:first\n198.51.100.1 :4:second\n\
         203.0.113.1 soon gone @ until=1795348860\n203.0.113.2 gone @ until=1795348700\n\
         203.0.113.3 not yet @ ts=1795348800;delay=60\n203.0.113.4 held @ delay=5\n203.0.113.5 for keys @ key=require\n",
    ),
    ("bl.example", Kind::Ip6Trie, "2001:db8::/32 six $\n!2001:db8:1::/48\n::ffff:7f00:2\n"),
    ("bl.example", Kind::DnSet, "listed.example $ is listed\n*.wild.example\n.both.example\n!out.both.example\n"),
    (
        "bl.example",
        Kind::Generic,
        "@ A 192.0.2.80\n@ MX 10 mail.bl.example\nns1 A 192.0.2.53\na.b.c TXT \"deep\"\nwww A 192.0.2.80\nwww A 192.0.2.81\n",
    ),
    ("trie.example", Kind::Ip4Trie, "0/0 all\n10.0.0.0/8 :3:ten\n!10.1.0.0/16\n2001:db8::/32 six\n"),
    ("keyed.example", Kind::AclKey, ":refuse\nsecret :pass\nstale :ignore\n"),
    ("keyed.example", Kind::Ip4Set, "192.0.2.1 listed\n192.0.2.2 for keys @ key=require\n"),
    (
        "guarded.example",
        Kind::Acl,
        "192.0.2.66 :refuse\n192.0.2.67 :ignore\n192.0.2.68 :empty\n192.0.2.69 :9:everything, $\n2001:db8::66 :refuse\n",
    ),
    ("guarded.example", Kind::Ip4Set, "192.0.2.1 listed\n"),
    (
        "c.example",
        Kind::Combined,
        "$SOA 60 ns.c.example h.c.example 1 1 1 1 60\n$DATASET ip4set one.sub\n192.0.2.1\n$DATASET dnset names\n.listed.example\n\
         $DATASET generic @\n@ TXT \"c\"\n",
    ),
    ("old.example", Kind::Ip4Set, "$TIMESTAMP 2020:01:01 2020:02:01\n127.0.0.2\n"),
];

/// Zones of every kind, one that could not be loaded among them.
pub(crate) fn world() -> &'static (Snapshot, Policy) {
    static WORLD: OnceLock<(Snapshot, Policy)> = OnceLock::new();
    WORLD.get_or_init(|| {
        let mut zones: Vec<Zone> = Vec::new();
        let mut apexes: Vec<&str> = ZONES.iter().map(|(apex, ..)| *apex).collect();
        apexes.dedup();
        for apex in apexes {
            let (mut acl, mut keys, mut data) = (Vec::new(), Vec::new(), Vec::new());
            for (_, kind, text) in ZONES.iter().filter(|(of, ..)| *of == apex) {
                match read(*kind, text.as_bytes()).0 {
                    Some(Loaded::Data(more)) => data.push(more),
                    Some(Loaded::Acl(list)) => acl.push(list),
                    Some(Loaded::Keys(list)) => keys.push(list),
                    None => panic!("{apex}: {text}"),
                }
            }
            let apex = name(apex);
            let content = Some(content(&apex, &data));
            zones.push(Zone { apex, content, acl, keys, live_slot: 0 });
        }
        // Texts that do not fit into a datagram.
        let text = "t".repeat(300);
        let many = (1..=40).map(|n| format!("192.0.2.1 :127.0.0.{n}:{text}{n}\n")).collect::<Vec<_>>().concat();
        if let Some(Loaded::Data(data)) = read(Kind::Ip4Set, many.as_bytes()).0 {
            let apex = name("long.example");
            zones.push(Zone {
                content: Some(content(&apex, &[data])),
                apex,
                acl: Vec::new(),
                keys: Vec::new(),
                live_slot: 1,
            });
        }
        zones.push(Zone { apex: name("down.example"), content: None, acl: Vec::new(), keys: Vec::new(), live_slot: 2 });
        let policy = Policy {
            udp_payload_len: 1232,
            minimal: false,
            version: Some("dnsbld".into()),
            identity: Some("ns1.example".into()),
            cookie_secret: [7; 16],
            leaves_signed: false,
        };
        (Snapshot::new(zones, Vec::new(), Vec::new()), policy)
    })
}

fn name(text: &str) -> Name {
    Name::parse(text.as_bytes()).expect("a name")
}

fn content(apex: &Name, data: &[ZoneData]) -> Content {
    let soa = data.iter().find_map(|data| data.soa.clone()).map(|soa| ZoneSoa::new(soa, apex, NOW_S));
    let servers = data.iter().find_map(|data| data.servers.as_ref()).map(|servers| ZoneServers::new(servers, apex));
    let expires_s = data.iter().filter_map(|data| data.expires_s).min();
    let specifications =
        data.iter().map(|data| data.sections.iter().map(|section| (section.subzones.as_slice(), &section.dataset)));
    Content::new(soa, servers, expires_s, specifications)
}

/// Reads a file of a type; also what was remarked.
pub(crate) fn read(kind: Kind, octets: &[u8]) -> (Option<Loaded>, Report) {
    let source = Source { name: "input".to_owned(), modified_s: NOW_S, reader: Box::new(octets) };
    let options = Options { now_s: NOW_S, ..Options::default() };
    let mut report = Report::default();
    (load::load(kind, "input", [Ok(source)], &options, &mut report).ok(), report)
}

/// Asks [`world`], and holds the reply against what must be true of every reply.
pub(crate) fn ask(address: IpAddr, transport: Transport, request: &[u8], buffer: &mut [u8]) -> Outcome {
    let (snapshot, policy) = world();
    let world = answer::World { snapshot, policy, now_s: NOW_S, live: dnsbld::zone::live::Live::NONE };
    let outcome = both_ways::answer(world, Client { address, transport }, request, buffer);
    check_reply(transport, request, &buffer[..usize::from(outcome.reply_len)]);
    outcome
}

/// What must be true of every reply: within its limit, readable, to this request, and silence only where it is due.
pub(crate) fn check_reply(transport: Transport, request: &[u8], reply: &[u8]) {
    if reply.is_empty() {
        return;
    }
    assert!(request.len() >= 12 && request[2] & 0x80 == 0, "an answer to what must not be answered");
    assert_eq!(reply[..2], request[..2], "the id");
    assert!(reply[2] & 0x80 != 0, "a response");
    let message = Message::from_vec(reply).unwrap_or_else(|error| panic!("{error}: {reply:02x?} to {request:02x?}"));
    if transport == Transport::Udp {
        let limit = if message.edns.is_some() { 1232 } else { 512 };
        assert!(reply.len() <= limit, "{} octets", reply.len());
    }
}

/// The target `answer`: the first octet chooses the client and the way, the rest is the request.
pub(crate) fn answer(input: &[u8]) {
    let Some((&choice, request)) = input.split_first() else { return };
    let clients =
        ["127.0.0.1", "192.0.2.66", "192.0.2.67", "192.0.2.68", "192.0.2.69", "2001:db8::1", "2001:db8::66", "::1"];
    let address: IpAddr = clients[usize::from(choice & 7)].parse().expect("an address");
    let transport = if choice & 8 == 0 { Transport::Udp } else { Transport::Tcp };
    let mut buffer = vec![0; if transport == Transport::Udp { 4_096 } else { 65_535 }];
    if request.len() > 4_000 && transport == Transport::Udp {
        return; // longer than a datagram that the transport takes
    }
    ask(address, transport, request, &mut buffer);
}

/// The dataset type that a target is named after.
pub(crate) fn kind_of_target(target: &str) -> Kind {
    target.strip_prefix("load_").and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{target}: unknown type"))
}

/// The loader's targets: the input is a file. What was loaded is asked, too.
pub(crate) fn load(kind: Kind, input: &[u8]) {
    let (loaded, _) = read(kind, input);
    let apex = name("x");
    let mut zone = Zone { apex: apex.clone(), content: None, acl: Vec::new(), keys: Vec::new(), live_slot: 0 };
    match loaded {
        None => return,
        Some(Loaded::Data(data)) => zone.content = Some(content(&apex, &[data])),
        Some(Loaded::Acl(list)) => zone.acl.push(list),
        Some(Loaded::Keys(list)) => zone.keys.push(list),
    }
    for dataset in zone.content.iter().flat_map(Content::datasets) {
        assert!(dataset.len() <= 20_000_000, "more entries than octets");
        let _ = dataset.memory_bytes();
    }
    let (_, policy) = world();
    let snapshot = Snapshot::new(vec![zone], Vec::new(), Vec::new());
    let world = answer::World { snapshot: &snapshot, policy, now_s: NOW_S, live: dnsbld::zone::live::Live::NONE };
    let mut buffer = vec![0; 65_535];
    let six = format!("{}8.b.d.0.1.0.0.2.x", "0.".repeat(24));
    for name in ["x", "1.2.0.192.x", "2.0.0.127.x", "127.x", "a.b.x", "test.x", "8.b.d.0.1.0.0.2.x", &six] {
        for kind in [1, 16, 255] {
            let request = query(name, kind);
            for (address, transport) in [("127.0.0.1", Transport::Udp), ("2001:db8::1", Transport::Tcp)] {
                let client = Client { address: address.parse().expect("an address"), transport };
                let outcome = both_ways::answer(world, client, &request, &mut buffer);
                check_reply(transport, &request, &buffer[..usize::from(outcome.reply_len)]);
            }
        }
    }
}

/// The target `update`: an UPDATE message, signed or not. What it means is planned for zones that hold this and that, where
/// some of what it may be about is listed.
pub(crate) fn update(input: &[u8]) {
    let secrets = Algorithm::ALL.map(|algorithm| {
        let secret = (*b"0123456789abcdef0123456789abcdef").into();
        Secret { name: name("scanner"), algorithm, secret }
    });
    if let Ok(Some(signature)) = Signature::find(input) {
        assert!(signature.message_len < input.len(), "it is the last record");
        for now_s in [NOW_S, signature.signed_s] {
            let seal = match signature.verify(input, &secrets, now_s) {
                Ok(seal) => Some(Box::new(seal)),
                Err(fault) => fault.seal,
            };
            if let Some(seal) = seal {
                let mut reply = query("bl.example", 6);
                let length = reply.len();
                seal.sign(&mut reply);
                assert_eq!(reply.len(), length + seal.wire_len());
                assert!(Signature::find(&reply).is_ok_and(|signature| signature.is_some()), "a readable signature");
            }
        }
    }
    let Ok(update) = update::read(input) else { return };
    for holds in all_holds() {
        let lookup = |zone: &Name, key: &Key| key.to_string().len().is_multiple_of(2).then(|| listing(zone, key));
        if let Ok(changes) = (Planner { update: &update, holds, codes: Codes::default(), now_s: NOW_S }).plan(&lookup) {
            assert!(changes.len() <= update.edits.len(), "more changes than edits");
            check_changes(&update.zone, &changes);
        }
    }
}

/// The target `datagram`: one of rspamd's.
pub(crate) fn datagram(input: &[u8]) {
    for holds in all_holds() {
        if let Ok(changes) = rspamd::read(input, |_| Ok(holds), NOW_S) {
            assert!((1..=2).contains(&changes.len()), "a key, or a name and all below it");
            check_changes(&changes[0].zone.clone(), &changes);
        }
    }
}

/// The target `body`: what an HTTP client sends.
pub(crate) fn body(input: &[u8]) {
    let zone = name("bl.example");
    for is_lines in [false, true] {
        let Some(changes) = api::read_changes(&zone, input, is_lines) else { continue };
        let changes: Vec<Change> = changes.into_iter().filter_map(Result::ok).collect();
        check_changes(&zone, &changes);
    }
}

fn all_holds() -> impl Iterator<Item = Holds> {
    let all = (0..8).map(|bits| Holds { v4: bits & 1 != 0, v6: bits & 2 != 0, names: bits & 4 != 0 });
    all.filter(|holds| holds.v6 || !holds.v4)
}

fn listing(zone: &Name, key: &Key) -> Record {
    Record {
        zone: zone.clone(),
        key: key.clone(),
        verdict: Verdict::Listed { address: Some([127, 0, 0, 2].into()), text: Some("bad".to_owned()) },
        since_s: NOW_S - 60,
        changed_s: NOW_S - 60,
        until_s: Some(NOW_S + 60),
        times: 1,
        counted_s: NOW_S - 60,
        reason: None,
        origin: Origin { door: Door::Command, who: "tester".to_owned(), from: None },
    }
}

/// What is true of all changes that a message asks for: they are of its zone, and their keys are as people would write them.
fn check_changes(zone: &Name, changes: &[Change]) {
    for change in changes {
        assert_eq!(&change.zone, zone);
        let shown = change.key.to_string();
        assert_eq!(shown.parse::<Key>().as_ref(), Ok(&change.key), "{shown}");
    }
}

/// A plain query.
pub(crate) fn query(text: &str, kind: u16) -> Vec<u8> {
    let mut octets = vec![0x2a, 0x2a, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    octets.extend_from_slice(Name::parse_keeping_case(text.as_bytes()).expect("a name").as_wire());
    octets.extend_from_slice(&kind.to_be_bytes());
    octets.extend_from_slice(&[0, 1]);
    octets
}
