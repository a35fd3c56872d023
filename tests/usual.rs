//! The usual question is answered in one go; random zones and questions show that the long way says the same, octet by octet.
//!
//! Zones and questions are made of few octets, digits and labels, so that entries, what stands around them, and what is asked
//! meet often. Golden scripts, the model of live listings and the fuzz corpora hold both ways against each other as well.

#[path = "../fuzz/functions.rs"]
mod functions;

use std::{fmt::Write as _, net::Ipv6Addr};

use dnsbld::{
    answer::{Client, Outcome, Policy, Transport, Verdict, World},
    load::{Loaded, ZoneData},
    wire::name::Name,
    zone::{
        apex::{ZoneServers, ZoneSoa},
        dataset::Kind,
        live::Live,
        snapshot::{Content, Snapshot, Zone},
    },
};
use functions::{NOW_S, both_ways, read};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

const ROUNDS: u64 = 2_000;
const QUESTIONS: usize = 300;

const APEXES: [&str; 9] = [
    "bl.example",
    "1.bl.example",
    "BL.Test.example",
    "below.BL.Test.example",
    "www.a.bl.test.example",
    "names.test",
    "b",
    "c.b",
    "a-list-with-a-long-name.example.org",
];
const LABELS: [&str; 8] = ["a", "com", "example", "www", "1", "10", "mail-x_y", "a.b"];
const OCTETS: [u8; 4] = [1, 10, 100, 255];

fn octet(random: &mut SmallRng) -> u8 {
    *OCTETS.choose(random).expect("some")
}

fn v4(random: &mut SmallRng) -> String {
    let octets: [u8; 4] = std::array::from_fn(|_| octet(random));
    octets.map(|octet| octet.to_string()).join(".")
}

fn v6(random: &mut SmallRng) -> Ipv6Addr {
    let first = *[0x2001_0db8, 0x2002_c000, 0, 1].choose(random).expect("some");
    let last = *[0, 0xffff_0000_0000, 0xffff_0a00_0000].choose(random).expect("some");
    Ipv6Addr::from((first << 96 | last) + (random.random_range(0..3_u128) << 16) + u128::from(octet(random)))
}

fn domain(random: &mut SmallRng) -> String {
    let labels: Vec<&str> = (0..random.random_range(1..4)).map(|_| *LABELS.choose(random).expect("some")).collect();
    labels.join(".")
}

/// What follows a key: nothing, a value, a lifetime that is over, about to be, or not.
fn rest(random: &mut SmallRng) -> String {
    match random.random_range(0..8) {
        0 => " :3:$ is listed, see $1".into(),
        1 => " :4:".into(),
        2 => " a text of its own".into(),
        3 => format!(" @ until={}", NOW_S + random.random_range(0..3) - 1),
        4 => " held @ delay=5".into(),
        5 => format!(" {}", "long ".repeat(random.random_range(1..120))),
        _ => String::new(),
    }
}

fn file(kind: Kind, random: &mut SmallRng) -> String {
    let mut text = String::new();
    if random.random_ratio(4, 5) {
        text.push_str("$SOA 3600 ns1.bl.example hostmaster.elsewhere.test 1 600 300 86400 120\n");
    }
    if random.random_ratio(2, 3) {
        // So many that their records are no longer short, among others.
        let servers: Vec<_> = (1..=random.random_range(1..8)).map(|n| format!("ns{n}.{}", domain(random))).collect();
        writeln!(text, "$NS 3600 ns1.bl.example {}", servers.join(" ")).expect("in memory");
    }
    text.push_str("$1 https://bl.example/\n");
    if random.random_ratio(2, 3) {
        text.push_str(":2:Listed: $\n");
    }
    for _ in 0..random.random_range(0..60) {
        let not = if random.random_ratio(1, 5) { "!" } else { "" };
        let key = match kind {
            Kind::Ip6Trie => format!("{}/{}", v6(random), random.random_range(100..=128)),
            Kind::Ip4Trie | Kind::Ip4Set if random.random_ratio(1, 3) => {
                format!("{}/{}", v4(random), random.random_range(8..32))
            }
            Kind::Ip4Trie | Kind::Ip4Set => v4(random),
            _ => format!("{}{}", ["", ".", "*."].choose(random).expect("some"), domain(random)),
        };
        writeln!(text, "{not}{key}{}", rest(random)).expect("in memory");
    }
    text
}

fn name(text: &str) -> Name {
    Name::parse(text.as_bytes()).expect("a name")
}

/// One zone for each apex or for some, most with one file, some with several.
fn snapshot(random: &mut SmallRng) -> Snapshot {
    let mut zones = Vec::new();
    for apex in APEXES.iter().copied() {
        if random.random_ratio(1, 4) {
            continue;
        }
        let mut data: Vec<ZoneData> = Vec::new();
        for _ in 0..*[1, 1, 1, 2].choose(random).expect("some") {
            let kind = *[Kind::Ip4Set, Kind::Ip4Trie, Kind::Ip6Trie, Kind::DnSet].choose(random).expect("some");
            let text = file(kind, random);
            match read(kind, text.as_bytes()).0 {
                Some(Loaded::Data(more)) => data.push(more),
                _ => panic!("{text}"),
            }
        }
        if random.random_ratio(1, 4) {
            let servers = ["", "ns1 A 192.0.2.1\n", "ns1 AAAA 2001:db8::1\n"].choose(random).expect("some");
            let text = format!("@ A 192.0.2.80\n{servers}");
            if let Some(Loaded::Data(records)) = read(Kind::Generic, text.as_bytes()).0 {
                data.push(records);
            }
        }
        let apex = name(apex);
        let soa = data.iter().find_map(|data| data.soa.clone()).map(|soa| ZoneSoa::new(soa, &apex, NOW_S));
        let servers =
            data.iter().find_map(|data| data.servers.as_ref()).map(|servers| ZoneServers::new(servers, &apex));
        let specifications =
            data.iter().map(|data| data.sections.iter().map(|section| (section.subzones.as_slice(), &section.dataset)));
        let content = Some(Content::new(soa, servers, random.random_ratio(1, 9).then_some(NOW_S - 1), specifications));
        zones.push(Zone { apex, content, acl: None, keys: None, live_slot: 0 });
    }
    Snapshot::new(zones, None, None)
}

fn question(random: &mut SmallRng) -> Vec<u8> {
    let key = match random.random_range(0..5) {
        0 | 1 => v4(random).split('.').rev().collect::<Vec<_>>().join("."),
        2 => {
            let nibbles = v6(random).octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}")).collect::<Vec<_>>().join(".")
        }
        _ => domain(random),
    };
    let mut text = format!("{key}.{}", APEXES.choose(random).expect("some"));
    match random.random_range(0..12) {
        0 => text.make_ascii_uppercase(),
        1 => text = format!("0{text}"),
        2 => text = text.split_once('.').expect("labels").1.to_owned(),
        3 => text = format!("x.{text}"),
        _ => {}
    }
    let mut octets = functions::query(&text, *[1, 1, 1, 16, 16, 28, 15, 255, 6].choose(random).expect("some"));
    octets[..4].copy_from_slice(&random.random::<[u8; 4]>());
    octets[2] &= if random.random_ratio(9, 10) { 0x07 } else { 0xff };
    let opt = |len: u8| [0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, len];
    match random.random_range(0..8) {
        0 | 1 => octets.extend(opt(0)),
        2 => octets.extend(opt(12).into_iter().chain([0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8])),
        3 => octets.extend(opt(28).into_iter().chain([0, 10, 0, 24]).chain(random.random::<[u8; 24]>())),
        4 => octets.extend(opt(4).into_iter().chain([0, 3, 0, 0])),
        _ => return octets,
    }
    octets[11] = 1;
    if random.random_ratio(1, 10) {
        let at = random.random_range(4..octets.len());
        octets[at] ^= 1 << random.random_range(0..8);
    }
    octets
}

#[test]
fn the_short_way_says_what_the_long_way_says() {
    let mut verdicts = [0; 3];
    for round in 0..ROUNDS {
        let random = &mut SmallRng::seed_from_u64(round);
        let snapshot = snapshot(random);
        let policy = Policy {
            udp_payload_len: *[512, 1232].choose(random).expect("some"),
            minimal: random.random_ratio(1, 3),
            version: None,
            identity: Some("here".into()),
            cookie_secret: [7; 16],
            leaves_signed: random.random_ratio(1, 2),
        };
        let world = World { snapshot: &snapshot, policy: &policy, now_s: NOW_S, live: Live::NONE };
        for _ in 0..QUESTIONS {
            let transport = *[Transport::Udp, Transport::Tcp].choose(random).expect("some");
            let client = Client { address: [192, 0, 2, 7].into(), transport };
            let request = question(random);
            let mut buffer = vec![0xaa; *[512, 1232, 4_096].choose(random).expect("some")];
            let Outcome { verdict, .. } = both_ways::answer(world, client, &request, &mut buffer);
            match verdict {
                Verdict::Listed => verdicts[0] += 1,
                Verdict::Unlisted => verdicts[1] += 1,
                _ => verdicts[2] += 1,
            }
        }
    }
    assert!(verdicts.iter().all(|count| *count > 4_000), "{verdicts:?}");
}
