//! The parts of a query's way and of a line's, each by itself: `cargo bench --bench parts`.
//!
//! Reading a query, laying a reply, looking up in each structure, the whole answer from each kind of list, and loading each
//! kind, as lines a second. They are for whoever works on one of them; regressions are caught by `instructions`, which is not
//! moved by what else runs.

#[path = "support/data.rs"]
mod data;

use data::{Extras, List};
use divan::{Bencher, counter::ItemsCount};
use dnsbld::{
    answer::{self, Client, Policy, Transport, World},
    load::{self, Loaded, Options, Report, Source, ZoneData},
    wire::{
        name::{Name, QueryName},
        query::Query,
        reply::{OptOptions, Reply, Section},
        rr,
    },
    zone::{
        addresses::{AddressesBuilder, Specificity},
        apex::{ZoneServers, ZoneSoa},
        live::Live,
        names::{NamesBuilder, Scope},
        ruling::{Claim, Context},
        snapshot::{Content, Snapshot, Zone},
        values::ValuesBuilder,
    },
};
use rand::Rng as _;

const NOW_S: u64 = 1_800_000_000;
const LINES: usize = 100_000;
/// Distinct queries, so that branches are not learnt by heart.
const QUERIES: usize = 2_000;
const PAYLOAD_LEN: u16 = 1_232;
/// Of a set whose structure is asked, and how many times it is asked.
const ENTRIES: usize = 1_000_000;
const LOOKUPS: usize = 100_000;
const UNLISTED: &str = "unlisted";
const ASKED: [&str; 2] = ["listed", UNLISTED];
const NOW: Context = Context { now_s: NOW_S, keyed: false };
const KINDS: [&str; 4] = ["ip4set", "ip4trie", "ip6trie", "dnset"];

fn main() {
    divan::main();
}

fn list(kind: &str) -> List {
    match kind {
        "ip4set" => data::hosts(LINES, QUERIES, 1),
        "ip4trie" => data::prefixes(LINES, QUERIES, 2),
        "ip6trie" => data::prefixes_v6(LINES, QUERIES, 3),
        _ => data::names(LINES, QUERIES, 4),
    }
}

fn requests(list: &List, names: &[String], kind: u16) -> Vec<Vec<u8>> {
    let edns = Extras { edns: true, cookie: false };
    names.iter().map(|name| data::query(7, &format!("{name}.{}", list.zone), kind, edns)).collect()
}

fn load(list: &List) -> ZoneData {
    let source = Source { name: list.zone.to_owned(), modified_s: NOW_S, reader: Box::new(list.text.as_bytes()) };
    let options = Options { now_s: NOW_S, ..Options::default() };
    match load::load(list.kind, list.zone, [Ok(source)], &options, &mut Report::default()) {
        Ok(Loaded::Data(data)) => data,
        other => panic!("{}: {other:?}", list.zone),
    }
}

fn snapshot(list: &List) -> Snapshot {
    let data = load(list);
    let apex = Name::parse(list.zone.as_bytes()).expect("a name");
    let soa = data.soa.clone().map(|soa| ZoneSoa::new(soa, &apex, NOW_S));
    let servers = data.servers.as_ref().map(|servers| ZoneServers::new(servers, &apex));
    let sections = data.sections.iter().map(|section| (section.subzones.as_slice(), &section.dataset));
    let content = Some(Content::new(soa, servers, None, [sections]));
    Snapshot::new(vec![Zone { content, apex, acl: Vec::new(), keys: Vec::new(), live_slot: 0 }], Vec::new(), Vec::new())
}

/// Reading queries with EDNS.
#[divan::bench]
fn read(bencher: Bencher<'_, '_>) {
    let list = list("ip4set");
    let requests = requests(&list, &list.unlisted, rr::A);
    let mut name = QueryName::new();
    bencher
        .counter(ItemsCount::new(requests.len()))
        .bench_local(|| requests.iter().filter(|request| Query::read(request, &mut name, false).is_ok()).count());
}

/// Laying replies of an address and a text, with EDNS.
#[divan::bench]
fn write(bencher: Bencher<'_, '_>) {
    let list = list("ip4set");
    let requests = requests(&list, &list.listed, rr::A);
    let (mut name, mut buffer) = (QueryName::new(), [0; PAYLOAD_LEN as usize]);
    let query = Query::read(&requests[0], &mut name, false).unwrap_or_else(|_| panic!("a query"));
    let options = OptOptions::default();
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let limit = buffer.len();
        let question_len = query.question_len();
        let mut reply = Reply::new(&mut buffer, limit, &requests[0], query.header, question_len, query.edns.as_ref());
        let address = reply.record(Section::Answer, 12, rr::A, 300, |data| data.octets(&[127, 0, 0, 2]));
        let text = reply.record(Section::Answer, 12, rr::TXT, 300, |data| data.strings([&b"Listed"[..]].into_iter()));
        assert!(address.is_ok() && text.is_ok(), "there is room");
        reply.finish(PAYLOAD_LEN, &options)
    });
}

/// Looking up an address in a set of a million, by itself.
#[divan::bench(args = ASKED)]
fn find_host(bencher: Bencher<'_, '_>, asked: &str) {
    find_v4(bencher, 32, asked);
}

/// The same in a set of /24.
#[divan::bench(args = ASKED)]
fn find_prefix(bencher: Bencher<'_, '_>, asked: &str) {
    find_v4(bencher, 24, asked);
}

fn find_v4(bencher: Bencher<'_, '_>, length: u8, asked: &str) {
    // The prefix's last bit tells what is listed from what is not.
    let (mut random, last_bit) = (data::random(1), 1_u32 << (32 - length));
    let keys: Vec<u32> = (0..ENTRIES).map(|_| random.random::<u32>() & !last_bit).collect();
    let mut builder = AddressesBuilder::new(Specificity::Octets);
    let claim = claim();
    for key in &keys {
        builder.add_v4(key & last_bit.wrapping_neg(), length, claim);
    }
    let set = builder.build(|_, _, _| {});
    let other = if asked == UNLISTED { last_bit } else { 0 };
    let asked: Vec<u32> = (0..LOOKUPS).map(|_| keys[random.random_range(0..ENTRIES)] | other).collect();
    let find = |&&address: &&u32| set.find_v4(address, &NOW).is_listed();
    bencher.counter(ItemsCount::new(LOOKUPS)).bench_local(|| asked.iter().filter(find).count());
}

/// Looking up a name in a set of a million, reading it from the wire included.
#[divan::bench(args = ASKED)]
fn find_name(bencher: Bencher<'_, '_>, asked: &str) {
    let name =
        |number: u32, other: &str| Name::parse(format!("d{number:x}{other}.example").as_bytes()).expect("a name");
    let mut random = data::random(4);
    let numbers: Vec<u32> = (0..ENTRIES).map(|_| random.random()).collect();
    let (mut builder, claim) = (NamesBuilder::default(), claim());
    for number in &numbers {
        builder.add(name(*number, "").as_wire(), Scope::Exact, claim);
    }
    let set = builder.build(|_| {});
    let other = if asked == UNLISTED { "-other" } else { "" };
    let one = |_| name(numbers[random.random_range(0..ENTRIES)], other).as_wire().to_vec();
    let asked: Vec<u8> = (0..LOOKUPS).flat_map(one).collect();
    let mut query = QueryName::new();
    bencher.counter(ItemsCount::new(LOOKUPS)).bench_local(|| {
        let (mut at, mut found) = (0, 0);
        while at < asked.len() {
            at += query.read(&asked[at..]).expect("a name");
            found += usize::from(set.look_up(query.relative(query.label_count()), &NOW).finding.is_listed());
        }
        found
    });
}

fn claim() -> Claim {
    Claim::listed(ValuesBuilder::default().intern([127, 0, 0, 2].into(), b""))
}

fn answer(bencher: Bencher<'_, '_>, list: &List, names: &[String], kind: u16) {
    let (requests, snapshot) = (requests(list, names, kind), snapshot(list));
    let policy = Policy {
        udp_payload_len: PAYLOAD_LEN,
        minimal: false,
        version: None,
        identity: None,
        cookie_secret: [7; 16],
        leaves_signed: false,
    };
    let world = World { snapshot: &snapshot, policy: &policy, now_s: NOW_S, live: Live::NONE };
    let client = Client { address: [192, 0, 2, 1].into(), transport: Transport::Udp };
    let (mut name, mut reply) = (QueryName::new(), [0; PAYLOAD_LEN as usize]);
    bencher.counter(ItemsCount::new(requests.len())).bench_local(|| {
        let answer = |request: &Vec<u8>| {
            let outcome = answer::answer_if_usual(&mut name, &world, &client, request, &mut reply)
                .unwrap_or_else(|| answer::answer_in_full(&mut name, &world, &client, request, &mut reply));
            usize::from(outcome.reply_len)
        };
        requests.iter().map(answer).sum::<usize>()
    });
}

/// The whole way from request to reply, for what is not listed.
#[divan::bench(args = KINDS)]
fn answer_unlisted(bencher: Bencher<'_, '_>, kind: &str) {
    let list = list(kind);
    answer(bencher, &list, &list.unlisted, rr::A);
}

/// The same for what is listed, with its text.
#[divan::bench(args = KINDS)]
fn answer_listed(bencher: Bencher<'_, '_>, kind: &str) {
    let list = list(kind);
    answer(bencher, &list, &list.listed, rr::TXT);
}

/// From text to what is served.
#[divan::bench(args = KINDS, sample_count = 20)]
fn lines(bencher: Bencher<'_, '_>, kind: &str) {
    let list = list(kind);
    bencher.counter(ItemsCount::new(list.lines)).bench_local(|| load(&list));
}
