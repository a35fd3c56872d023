//! Instructions per query and per line: `bench/run instructions`, or with `--check` against the committed table, which must have
//! a row for each scenario and no others.
//!
//! Wall time on a shared machine is noise; the number of instructions is not. The program runs itself under valgrind's
//! callgrind, where each scenario is a function of its own, and reads how many instructions were spent in it. Queries go
//! through [`answer::answer`], the whole way from the bytes of a request to those of its reply, and the replies are held
//! against what must come out.

#[path = "support/data.rs"]
mod data;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use data::{Extras, List, query};
use dnsbld::{
    answer::{self, Client, Outcome, Policy, Transport, Verdict, World},
    load::{self, Loaded, Options, Report, Source, ZoneData},
    wire::{
        name::{Name, QueryName},
        rr,
    },
    zone::{
        apex::{ZoneServers, ZoneSoa},
        live::{Live, LiveZone, OwnValue, Place, ValueNumbers},
        snapshot::{Content, Snapshot, Zone},
    },
};

const NOW_S: u64 = 1_800_000_000;
const HOSTS: usize = 1_000_000;
const PREFIXES: usize = 200_000;
const NAMES: usize = 1_000_000;
/// Lines of a list before its first entry.
const HEAD_LINES: usize = 3;
/// Distinct queries of each scenario, so that lookups differ as they do in service.
const QUERIES: usize = 2_000;
/// A count that grows by more is a regression; hash seeds, which differ from run to run, move it by less than one.
const GROWTH_MAX_PERCENT: f64 = 5.0;
const TABLE: &str = "bench/instructions.txt";

/// Where the time of a query or a line goes is of no interest here: what is inside must not be spread over its callers.
macro_rules! functions {
    ($($list:ident.$names:ident $kind:ident $extras:ident: $function:ident => $verdict:ident,)*) => {
        $(#[inline(never)]
        fn $function(world: World<'_>, requests: &[Vec<u8>], reply: &mut [u8]) -> bool {
            black_box(stringify!($function)); // functions that are the same would be merged
            let mut name = QueryName::new();
            requests.iter().all(|request| respond(&world, &mut name, request, reply).verdict == Verdict::$verdict)
        })*

        const SCENARIOS: &[Scenario] = &[$(Scenario {
            name: stringify!($function),
            function: $function,
            names: |lists| (lists.$list.zone, &lists.$list.$names),
            kind: rr::$kind,
            extras: $extras,
        },)*];
    };
}

struct Scenario {
    name: &'static str,
    function: fn(World<'_>, &[Vec<u8>], &mut [u8]) -> bool,
    names: fn(&Lists) -> (&'static str, &[String]),
    kind: u16,
    extras: Extras,
}

const PLAIN: Extras = Extras { edns: false, cookie: false };
const EDNS: Extras = Extras { edns: true, cookie: false };
const COOKIE: Extras = Extras { edns: true, cookie: true };

functions! {
    hosts.unlisted A PLAIN: ask_ip4set_unlisted_a => Unlisted,
    hosts.unlisted A EDNS: ask_ip4set_unlisted_a_edns => Unlisted,
    hosts.unlisted A COOKIE: ask_ip4set_unlisted_a_cookie => Unlisted,
    hosts.listed A PLAIN: ask_ip4set_listed_a => Listed,
    hosts.listed A EDNS: ask_ip4set_listed_a_edns => Listed,
    hosts.listed TXT PLAIN: ask_ip4set_listed_txt => Listed,
    hosts.listed TXT EDNS: ask_ip4set_listed_txt_edns => Listed,
    prefixes.unlisted A PLAIN: ask_ip4trie_unlisted_a => Unlisted,
    prefixes.unlisted A EDNS: ask_ip4trie_unlisted_a_edns => Unlisted,
    prefixes.listed A PLAIN: ask_ip4trie_listed_a => Listed,
    prefixes_v6.unlisted A PLAIN: ask_ip6trie_unlisted_a => Unlisted,
    prefixes_v6.listed A PLAIN: ask_ip6trie_listed_a => Listed,
    prefixes_v6.listed TXT PLAIN: ask_ip6trie_listed_txt => Listed,
    names.unlisted A PLAIN: ask_dnset_unlisted_a => Unlisted,
    names.unlisted A EDNS: ask_dnset_unlisted_a_edns => Unlisted,
    names.listed A PLAIN: ask_dnset_listed_a => Listed,
    names.wild A PLAIN: ask_dnset_wildcard_a => Listed,
    names.listed TXT PLAIN: ask_dnset_listed_txt => Listed,
    host_names.listed A PLAIN: ask_dnset_host_listed_a => Listed,
    host_names.unlisted A PLAIN: ask_dnset_host_unlisted_a => Unlisted,
    foreign.unlisted A PLAIN: ask_foreign_zone => None,
    live.listed A PLAIN: ask_live_listed_a => Listed,
    live.unlisted A PLAIN: ask_live_unlisted_a => Unlisted,
    live.listed TXT PLAIN: ask_live_listed_txt => Listed,
    beside.listed A PLAIN: ask_live_few_listed_a => Listed,
    beside.unlisted A PLAIN: ask_live_few_unlisted_a => Unlisted,
}

const CLIENT: Client = Client { address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), transport: Transport::Udp };

/// What a worker does with a request, its counters apart; inlined as there.
#[inline(always)]
fn respond(world: &World<'_>, name: &mut QueryName, request: &[u8], reply: &mut [u8]) -> Outcome {
    match answer::answer_if_usual(name, world, &CLIENT, request, reply) {
        Some(outcome) => outcome,
        None => answer::answer_in_full(name, world, &CLIENT, request, reply),
    }
}

macro_rules! loads {
    ($($list:ident: $function:ident,)*) => {
        $(#[inline(never)]
        fn $function(list: &List) -> ZoneData {
            black_box(stringify!($function));
            read(list)
        })*

        const LOADS: &[Load] = &[$(Load {
            name: stringify!($function),
            function: $function,
            list: |lists| &lists.$list,
        },)*];
    };
}

struct Load {
    name: &'static str,
    function: fn(&List) -> ZoneData,
    list: fn(&Lists) -> &List,
}

loads! {
    hosts: load_ip4set,
    prefixes: load_ip4trie,
    prefixes_v6: load_ip6trie,
    names: load_dnset,
}

fn read(list: &List) -> ZoneData {
    let source = Source { name: list.zone.to_owned(), modified_s: NOW_S, reader: Box::new(list.text.as_bytes()) };
    let options = Options { now_s: NOW_S, ..Options::default() };
    let mut report = Report::default();
    match load::load(list.kind, list.zone, [Ok(source)], &options, &mut report) {
        Ok(Loaded::Data(data)) => data,
        other => panic!("{}: {other:?}", list.zone),
    }
}

struct Lists {
    hosts: List,
    prefixes: List,
    prefixes_v6: List,
    names: List,
    /// Names three labels deep, of several values.
    host_names: List,
    /// Asked for in a zone that is not served.
    foreign: List,
    /// Listed by command, in a zone whose file has next to nothing.
    live: List,
    /// In a file, in a zone that has a few live listings besides.
    beside: List,
}

impl Lists {
    fn new() -> Self {
        let foreign = List { zone: "elsewhere.test", ..data::hosts(0, QUERIES, 5) };
        Self {
            hosts: data::hosts(HOSTS, QUERIES, 1),
            prefixes: data::prefixes(PREFIXES, QUERIES, 2),
            prefixes_v6: data::prefixes_v6(PREFIXES, QUERIES, 3),
            names: data::names(NAMES, 2 * QUERIES, 4),
            host_names: data::host_names(NAMES / 10, QUERIES, 8),
            foreign,
            live: List { zone: "live.bl.example", ..data::hosts(HOSTS, QUERIES, 6) },
            beside: List { zone: "beside.bl.example", ..data::hosts(HOSTS / 10, QUERIES, 7) },
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    if has("--run") {
        run();
        return ExitCode::SUCCESS;
    }
    let (counts, before) = (count(), known());
    // A function that is part of another, or goes by another name, is in no profile.
    let uncounted: Vec<&str> = scenarios().filter(|name| !counts.contains_key(*name)).collect();
    for name in &uncounted {
        println!("{name:32} is not counted: there is no such function in the profile");
    }
    let mut table = String::from("# Instructions: scenario, per query or line. bench/run instructions writes it.\n");
    for (name, count) in &counts {
        println!("{name:32} {count:7.0}  ({})", beside(*count, before.get(name).copied()));
        writeln!(table, "{name:32} {count:7.0}").expect("in memory");
    }
    if has("--check") {
        return if uncounted.is_empty() && check(&counts, &before) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if !uncounted.is_empty() {
        return ExitCode::FAILURE;
    }
    std::fs::write(table_path(), table).expect("the table can be written");
    ExitCode::SUCCESS
}

/// What a count is called beside the table's.
fn beside(count: f64, old: Option<f64>) -> String {
    let Some(old) = old else { return "new".to_owned() };
    let percent = growth_percent(count, old);
    let grows = if percent > GROWTH_MAX_PERCENT { format!(", grows by {percent:.1} %") } else { String::new() };
    format!("was {old:.0}{grows}")
}

fn growth_percent(count: f64, old: f64) -> f64 {
    (count / old - 1.0) * 100.0
}

/// Whether the table has all that was counted, and nothing else, and nothing has grown too much. Says what is wrong.
fn check(counts: &BTreeMap<String, f64>, table: &BTreeMap<String, f64>) -> bool {
    let mut faults = Vec::new();
    if table.is_empty() {
        faults.push(format!("{TABLE} has no rows, or is not there: `bench/run instructions` writes it"));
    }
    for (name, count) in counts {
        match table.get(name) {
            None => faults.push(format!("{name} is not in {TABLE}")),
            Some(old) if growth_percent(*count, *old) > GROWTH_MAX_PERCENT => {
                faults.push(format!("{name} has grown by more than {GROWTH_MAX_PERCENT} %"));
            }
            Some(_) => {}
        }
    }
    let gone = table.keys().filter(|name| !counts.contains_key(*name));
    faults.extend(gone.map(|name| format!("{name} is in {TABLE} and was not counted")));
    for fault in &faults {
        eprintln!("{fault}");
    }
    faults.is_empty()
}

fn table_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE)
}

fn known() -> BTreeMap<String, f64> {
    let table = std::fs::read_to_string(table_path()).unwrap_or_default();
    let row = |line: &str| {
        let (name, count) = line.split_once(' ')?;
        Some((name.to_owned(), count.trim().parse().ok()?))
    };
    table.lines().filter_map(row).collect()
}

/// Loads everything and answers everything once: what is counted.
fn run() {
    let lists = Lists::new();
    let served = |load: &Load| {
        let list = (load.list)(&lists);
        zone(list.zone, &(load.function)(list))
    };
    let mut zones: Vec<Zone> = LOADS.iter().map(served).collect();
    let head: String = lists.live.text.lines().take(HEAD_LINES).flat_map(|line| [line, "\n"]).collect();
    let nearly_empty = List { text: head, zone: lists.live.zone, ..data::hosts(0, 0, 6) };
    zones.push(Zone { live_slot: 1, ..zone(lists.live.zone, &read(&nearly_empty)) });
    zones.push(Zone { live_slot: 2, ..zone(lists.beside.zone, &read(&lists.beside)) });
    zones.push(zone(lists.host_names.zone, &read(&lists.host_names)));
    let mut live = Live::default();
    live.set(1, Some(listed_live(lists.live.text.lines().skip(HEAD_LINES)).into()));
    live.set(2, Some(listed_live(["203.0.113.1", "203.0.113.2", "203.0.113.3"].into_iter()).into()));
    let snapshot = Snapshot::new(zones, Vec::new(), Vec::new());
    let policy = Policy {
        udp_payload_len: 1232,
        minimal: false,
        version: None,
        identity: None,
        cookie_secret: [7; 16],
        leaves_signed: false,
    };
    let world = World { snapshot: &snapshot, policy: &policy, now_s: NOW_S, live: &live };
    let mut reply = vec![0; 4_096];
    for scenario in SCENARIOS {
        let requests = scenario.requests(&lists);
        assert!((scenario.function)(world, &requests, &mut reply), "{}: another answer", scenario.name);
    }
}

/// Lists addresses for an hour.
fn listed_live<'a>(addresses: impl Iterator<Item = &'a str>) -> LiveZone {
    let (mut zone, mut numbers) = (LiveZone::new(3_600), ValueNumbers::default());
    for address in addresses {
        let address: Ipv4Addr = address.parse().expect("an address");
        zone.put(&Place::V4(address.into(), 32), Some(&OwnValue::default()), NOW_S as u32 + 3_600, &mut numbers);
    }
    zone.settle();
    zone
}

impl Scenario {
    fn requests(&self, lists: &Lists) -> Vec<Vec<u8>> {
        let (zone, names) = (self.names)(lists);
        let request = |(id, name)| query(id, &format!("{name}.{zone}"), self.kind, self.extras);
        (0..=u16::MAX).zip(names.iter().take(QUERIES)).map(request).collect()
    }
}

fn zone(apex: &str, data: &ZoneData) -> Zone {
    let apex = Name::parse(apex.as_bytes()).expect("a name");
    let soa = data.soa.clone().map(|soa| ZoneSoa::new(soa, &apex, NOW_S));
    let servers = data.servers.as_ref().map(|servers| ZoneServers::new(servers, &apex));
    let sections = data.sections.iter().map(|section| (section.subzones.as_slice(), &section.dataset));
    Zone {
        content: Some(Content::new(soa, servers, None, [sections])),
        apex,
        acl: Vec::new(),
        keys: Vec::new(),
        live_slot: 0,
    }
}

/// What is to be counted.
fn scenarios() -> impl Iterator<Item = &'static str> {
    SCENARIOS.iter().map(|scenario| scenario.name).chain(LOADS.iter().map(|load| load.name))
}

/// Instructions per query or line of every scenario, by name.
fn count() -> BTreeMap<String, f64> {
    let folder = std::env::temp_dir().join(format!("dnsbld-instructions-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the profile");
    let profile = std::env::var_os("DNSBLD_PROFILE").map_or_else(|| folder.join("profile"), PathBuf::from);
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet", "--compress-strings=no", "--compress-pos=no"]);
    command.arg(format!("--callgrind-out-file={}", profile.display()));
    let status = command.arg(std::env::current_exe().expect("this program")).arg("--run").status();
    assert!(status.expect("valgrind is installed").success(), "the program failed under valgrind");
    let text = std::fs::read_to_string(&profile).expect("a profile");
    std::fs::remove_dir_all(&folder).expect("the folder of the profile");
    let lists = Lists::new();
    let times = |name: &str| {
        let lines = LOADS.iter().find(|load| load.name == name).map(|load| (load.list)(&lists).lines);
        let requests = || SCENARIOS.iter().find(|scenario| scenario.name == name).map(|one| one.requests(&lists).len());
        lines.or_else(requests)
    };
    let inclusive = inclusive_counts(&text);
    inclusive
        .into_iter()
        .filter_map(|(name, cost)| Some((times(&name)? as f64, name, cost)))
        .map(|(times, name, cost)| (name, cost as f64 / times))
        .collect()
}

/// What calls of each function cost, by the function's name without its path.
fn inclusive_counts(profile: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let mut lines = profile.lines();
    while let Some(line) = lines.next() {
        let Some(function) = line.strip_prefix("cfn=") else { continue };
        // Next are `calls=` and the line with the cost, which ends in it.
        let cost = lines.by_ref().find(|line| !line.starts_with("calls=") && !line.starts_with("cfi="));
        let cost: u64 = cost.and_then(|cost| cost.rsplit(' ').next()?.parse().ok()).unwrap_or(0);
        let name = function.rsplit("::").next().unwrap_or(function);
        *counts.entry(name.to_owned()).or_default() += cost;
    }
    counts
}
