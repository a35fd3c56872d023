//! What a query costs as a list grows from 10,000 entries to 10,000,000: over sockets, and in the structure alone.
//!
//! A structure that is a thousand times as large does not fit the caches any more, so that a lookup waits for memory once or
//! twice. More than that must not be added.

use std::{
    hint::black_box,
    io,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use dnsbld::{
    wire::name::{Name, QueryName},
    zone::{
        addresses::{Addresses, AddressesBuilder, Specificity},
        names::{Names, NamesBuilder, Scope},
        ruling::{Claim, Context},
        values::{ValueId, ValuesBuilder},
    },
};
use rand::Rng;

use crate::{
    Bench, PAIRS, WINDOW, data,
    fixtures::{Fixture, LISTED_PERCENT},
    generator::Pace,
    plot::Series,
    report::median,
    servers::{OURS, Row, THEIRS, measure, of},
};

const RUN: Duration = Duration::from_millis(800);
const COUNTS: [usize; 4] = [10_000, 100_000, 1_000_000, 10_000_000];
const QUESTIONS: usize = 500_000;
/// The quickest of so many rounds counts: what else the machine does only adds.
const ROUNDS: usize = 5;
const NOW: Context = Context { now_s: 1_800_000_000, keyed: false };

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let (mut rows, mut table) = (Vec::new(), Vec::new());
    let mut curves: Vec<Series> = Vec::new();
    let mut alone: Vec<Series> = Vec::new();
    for kind in ["ip4set", "dnset"] {
        let (mut ours, mut theirs, mut structure) = (Vec::new(), Vec::new(), Vec::new());
        for count in COUNTS {
            let name = format!("{count} {kind}");
            let list =
                if kind == "dnset" { data::names(count, QUESTIONS, 4) } else { data::hosts(count, QUESTIONS, 1) };
            let alone_ns = if kind == "dnset" { names_ns(count) } else { addresses_ns(count) };
            let list = Fixture::write(&name, &list, LISTED_PERCENT, &bench.folder)?;
            let start = |server| bench.programs.start(server, &bench.folder, &[&list]);
            let servers = [start(OURS)?, start(THEIRS)?];
            for _ in 0..PAIRS {
                for server in &servers {
                    rows.push(measure(server, &name, &list.questions, Pace::Closed(WINDOW), RUN)?);
                }
            }
            let cost = |server, what: fn(&Row) -> f64| median(of(&rows, server, &name, what));
            let [our_cpu, their_cpu] = [OURS, THEIRS].map(|server| cost(server, Row::cpu_us));
            let [our_user, their_user] = [OURS, THEIRS].map(|server| cost(server, Row::user_us));
            let [our_start_s, their_start_s] = servers.each_ref().map(|server| server.start_s);
            table.push(format!(
                "{kind}\t{count}\t{our_cpu:.2}\t{their_cpu:.2}\t{our_user:.2}\t{their_user:.2}\t{alone_ns:.0}\t\
                 {our_start_s:.2}\t{their_start_s:.2}"
            ));
            ours.push((count as f64, our_cpu));
            theirs.push((count as f64, their_cpu));
            structure.push((count as f64, alone_ns));
        }
        curves.push((format!("{kind} {OURS}"), ours));
        curves.push((format!("{kind} {THEIRS}"), theirs));
        alone.push((kind.to_owned(), structure));
    }
    let lines: Vec<String> = rows.iter().map(Row::line).collect();
    bench.report.raw("growth.tsv", Row::COLUMNS, &lines)?;
    bench.report.lines("growth.svg", "microseconds of processor time a query", "entries", &curves)?;
    bench.report.lines("structures.svg", "nanoseconds of a lookup in the structure alone", "entries", &alone)?;
    let columns = "list\tentries\tour cpu µs\trbldnsd's\tof it user: ours\trbldnsd's\tour structure alone ns\tour start s\trbldnsd's";
    bench.report.table(
        "Growth",
        columns,
        &table,
        "Medians of the turns; the structure alone is asked for what is not listed.",
    )
}

fn value() -> ValueId {
    ValuesBuilder::default().intern(Ipv4Addr::new(127, 0, 0, 2), b"")
}

/// Nanoseconds that each of so many lookups takes.
fn quickest_ns(count: usize, mut look_up_all: impl FnMut() -> usize) -> f64 {
    let round = |_| {
        let start = Instant::now();
        black_box(look_up_all());
        start.elapsed().as_nanos() as f64 / count as f64
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

fn addresses_ns(count: usize) -> f64 {
    let (mut random, claim) = (data::random(1), Claim::listed(value()));
    // As in the file: the last bit tells what is listed from what is not.
    let mut host =
        |odd: u32| (random.random_range(0..4_000_u32) * 16) << 16 | u32::from(random.random::<u16>()) & !1 | odd;
    let mut builder = AddressesBuilder::new(Specificity::Octets);
    (0..count).for_each(|_| builder.add_v4(host(0), 32, claim));
    let set: Addresses = builder.build(|_, _, _| {});
    let asked: Vec<u32> = (0..QUESTIONS).map(|_| host(1)).collect();
    quickest_ns(QUESTIONS, || asked.iter().filter(|&&address| set.find_v4(address, &NOW).is_listed()).count())
}

fn names_ns(count: usize) -> f64 {
    let (mut random, claim) = (data::random(4), Claim::listed(value()));
    let mut name = |first: &str| {
        let label: String =
            (0..random.random_range(6..=15)).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect();
        Name::parse(format!("{first}{label}.example").as_bytes()).expect("a name")
    };
    let mut builder = NamesBuilder::default();
    (0..count).for_each(|_| builder.add(name("").as_wire(), Scope::Exact, claim));
    let set: Names = builder.build(|_| {});
    let asked: Vec<u8> = (0..QUESTIONS).flat_map(|_| name("www.0").as_wire().to_vec()).collect();
    let mut query = QueryName::new();
    quickest_ns(QUESTIONS, || {
        let (mut at, mut found) = (0, 0);
        while at < asked.len() {
            at += query.read(&asked[at..]).expect("a name");
            found += usize::from(set.look_up(query.relative(query.label_count()), &NOW).finding.is_listed());
        }
        found
    })
}
