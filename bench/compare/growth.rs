//! What a query costs as a list grows from 10,000 entries to 10,000,000: over sockets, and in the structure alone.
//!
//! A structure that is a thousand times as large does not fit the caches any more, so that a lookup waits for memory once or
//! twice. More than that must not be added: what such waiting takes on this machine stands beside it.

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
    Bench, PAIRS, WINDOW,
    chase::load_ns,
    data,
    fixtures::{Fixture, LISTED_PERCENT},
    generator::Pace,
    plot::Series,
    report::median,
    servers::{OURS, Row, THEIRS, measure, of},
};

const RUN: Duration = Duration::from_millis(800);
const NAMES: &str = "dnset";
const KINDS: [&str; 2] = ["ip4set", NAMES];
const COUNTS: [usize; 4] = [10_000, 100_000, 1_000_000, 10_000_000];
const QUESTIONS: usize = 500_000;
/// The quickest of so many rounds counts: what else the machine does only adds.
const ROUNDS: usize = 5;
const NOW: Context = Context { now_s: 1_800_000_000, keyed: false };

/// Addresses to a cell of the index, octets of a cell, and the most cells, as the head of the sorted keys says.
const CELL_KEYS: usize = 8;
const CELL_BYTES: usize = 4;
const CELLS_MAX: usize = 1 << 20;
/// Bits a name of what is looked at first, as the head of the names' table says.
const NAME_BITS: usize = 11;

/// What a list of so many entries costs.
struct Point {
    kind: &'static str,
    count: usize,
    our_start_s: f64,
    their_start_s: f64,
    /// Processor time of a query in microseconds, ours and rbldnsd's.
    cpu_us: [f64; 2],
    user_us: [f64; 2],
    alone: Alone,
    /// What each of the loads takes that what is not listed must wait for.
    loads_ns: Vec<f64>,
}

/// The structure by itself, asked for what is not listed.
struct Alone {
    bytes: usize,
    in_a_row_ns: f64,
    /// Each begun when the one before is over, as far as memory goes.
    one_by_one_ns: f64,
}

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let (mut rows, mut points) = (Vec::new(), Vec::new());
    for kind in KINDS {
        for count in COUNTS {
            points.push(point(bench, kind, count, &mut rows)?);
        }
    }
    let lines: Vec<String> = rows.iter().map(Row::line).collect();
    bench.report.raw("growth.tsv", Row::COLUMNS, &lines)?;
    bench.report.raw("growth-alone.tsv", Point::COLUMNS, &points.iter().map(Point::line).collect::<Vec<_>>())?;
    plots(bench, &points)?;
    let table: Vec<String> = points.iter().map(Point::cells).collect();
    let columns = "list\tentries\tour cpu µs\trbldnsd's\tof it user: ours\trbldnsd's\tour structure alone ns\tour start s\trbldnsd's";
    let note = "Medians of the turns; the structure alone is asked for what is not listed. Starts are one each.";
    bench.report.table("Growth", columns, &table, note)?;
    let first = |point: &Point| points.iter().find(|first| first.kind == point.kind).unwrap_or(&points[0]);
    let table: Vec<String> = points.iter().map(|point| point.cells_beside(first(point))).collect();
    let columns = "list\tentries\tMiB\tloads\tns they take\tour structure alone, one by one ns\t\
                   since 10,000 entries ns: the loads\tour structure alone\tour cpu\tour user\trbldnsd's cpu";
    bench.report.table("Growth beside the cache", columns, &table, CACHE_NOTE)
}

const CACHE_NOTE: &str = "Loads are those that what is not listed must wait for, each of which is where the one before says: an \
                          address's cell of the index and the keys that it leads to; a name's word of tags. What is listed \
                          takes a few more, and so do one in five names that are not. Each takes what one of a chain of loads \
                          takes among as many bytes as there are cells, keys or words. One by one: a lookup is begun when the \
                          one before has all that it loaded; in a row they overlap, as do those of a batch of queries. \
                          Processor time comes in ticks of 10 ms, 20 ns of a query here, and what of it is user time is \
                          sampled: turns differ by some tens of ns.";

fn point(bench: &Bench, kind: &'static str, count: usize, rows: &mut Vec<Row>) -> io::Result<Point> {
    let name = format!("{count} {kind}");
    let (list, alone) = if kind == NAMES {
        (data::names(count, QUESTIONS, 4), names_alone(count))
    } else {
        (data::hosts(count, QUESTIONS, 1), addresses_alone(count))
    };
    let list = Fixture::write(&name, &list, LISTED_PERCENT, &bench.folder)?;
    let start = |server| bench.programs.start(server, &bench.folder, &[&list]);
    let servers = [start(OURS)?, start(THEIRS)?];
    for _ in 0..PAIRS {
        for server in &servers {
            rows.push(measure(server, &name, &list.questions, Pace::Closed(WINDOW), RUN)?);
        }
    }
    let both = |what: fn(&Row) -> f64| [OURS, THEIRS].map(|server| median(of(rows, server, &name, what)));
    let [our_start_s, their_start_s] = servers.each_ref().map(|server| server.start_s);
    let (cpu_us, user_us) = (both(Row::cpu_us), both(Row::user_us));
    let loads_ns = loads(kind, count, alone.bytes).into_iter().map(load_ns).collect();
    Ok(Point { kind, count, our_start_s, their_start_s, cpu_us, user_us, alone, loads_ns })
}

/// Among how many bytes each of the loads is that a lookup of what is not listed must wait for, of a structure of so many.
fn loads(kind: &str, count: usize, bytes: usize) -> Vec<usize> {
    if kind == NAMES {
        return vec![count * NAME_BITS / 8];
    }
    let cells = (1 << (count / CELL_KEYS).ilog2()).min(CELLS_MAX) * CELL_BYTES;
    vec![cells, bytes.saturating_sub(cells)]
}

impl Point {
    const COLUMNS: &str = "list\tentries\tour_start_s\ttheir_start_s\tstructure_bytes\tin_a_row_ns\tone_by_one_ns\t\
                           loads_ns";

    fn line(&self) -> String {
        let Self { kind, count, our_start_s, their_start_s, alone, loads_ns, .. } = self;
        let Alone { bytes, in_a_row_ns, one_by_one_ns } = alone;
        format!(
            "{kind}\t{count}\t{our_start_s:.3}\t{their_start_s:.3}\t{bytes}\t{in_a_row_ns:.1}\t{one_by_one_ns:.1}\t{}",
            loads_ns.iter().map(|ns| format!("{ns:.1}")).collect::<Vec<_>>().join(" ")
        )
    }

    fn must_ns(&self) -> f64 {
        self.loads_ns.iter().sum()
    }

    fn cells(&self) -> String {
        let Self { kind, count, our_start_s, their_start_s, cpu_us, user_us, alone, .. } = self;
        let ([our_cpu, their_cpu], [our_user, their_user]) = (cpu_us, user_us);
        format!(
            "{kind}\t{count}\t{our_cpu:.2}\t{their_cpu:.2}\t{our_user:.2}\t{their_user:.2}\t{:.0}\t{our_start_s:.2}\t\
             {their_start_s:.2}",
            alone.in_a_row_ns
        )
    }

    /// What has grown since `first`, beside the loads.
    fn cells_beside(&self, first: &Self) -> String {
        let since = |of: &dyn Fn(&Self) -> f64| of(self) - of(first);
        format!(
            "{}\t{}\t{:.1}\t{}\t{:.0}\t{:.0}\t{:+.0}\t{:+.0}\t{:+.0}\t{:+.0}\t{:+.0}",
            self.kind,
            self.count,
            self.alone.bytes as f64 / 1_048_576.0,
            self.loads_ns.len(),
            self.must_ns(),
            self.alone.one_by_one_ns,
            since(&Self::must_ns),
            since(&|point| point.alone.one_by_one_ns),
            since(&|point| point.cpu_us[0] * 1e3),
            since(&|point| point.user_us[0] * 1e3),
            since(&|point| point.cpu_us[1] * 1e3),
        )
    }
}

fn plots(bench: &Bench, points: &[Point]) -> io::Result<()> {
    let series = |kind: &str, name: &str, of: &dyn Fn(&Point) -> f64| -> Series {
        let these = points.iter().filter(|point| point.kind == kind);
        (format!("{kind} {name}").trim_end().to_owned(), these.map(|point| (point.count as f64, of(point))).collect())
    };
    let (mut curves, mut alone) = (Vec::new(), Vec::new());
    for kind in KINDS {
        curves.push(series(kind, OURS, &|point| point.cpu_us[0]));
        curves.push(series(kind, THEIRS, &|point| point.cpu_us[1]));
        alone.push(series(kind, "", &|point| point.alone.in_a_row_ns));
        alone.push(series(kind, "one by one", &|point| point.alone.one_by_one_ns));
        alone.push(series(kind, "its loads", &Point::must_ns));
    }
    bench.report.lines("growth.svg", "microseconds of processor time a query", "entries", &curves)?;
    let title = "nanoseconds of a lookup in the structure alone, and of the loads that it must wait for";
    bench.report.lines("structures.svg", title, "entries", &alone)
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

/// Lets nothing be loaded before all is there that was to be loaded.
#[cfg(target_arch = "x86_64")]
#[allow(
    unsafe_code,
    reason = "a fence of the language orders what others see, and a processor loads ahead of it all the same"
)]
fn wait_for_loads() {
    // SAFETY: all processors of this kind have the instruction.
    unsafe { std::arch::x86_64::_mm_lfence() };
}

#[cfg(not(target_arch = "x86_64"))]
fn wait_for_loads() {
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

fn addresses_alone(count: usize) -> Alone {
    let (mut random, claim) = (data::random(1), Claim::listed(value()));
    // As in the file: the last bit tells what is listed from what is not.
    let mut host =
        |odd: u32| (random.random_range(0..4_000_u32) * 16) << 16 | u32::from(random.random::<u16>()) & !1 | odd;
    let mut builder = AddressesBuilder::new(Specificity::Octets);
    (0..count).for_each(|_| builder.add_v4(host(0), 32, claim));
    let set: Addresses = builder.build(|_, _, _| {});
    let asked: Vec<u32> = (0..QUESTIONS).map(|_| host(1)).collect();
    let find = |&&address: &&u32| set.find_v4(address, &NOW).is_listed();
    let in_a_row_ns = quickest_ns(QUESTIONS, || asked.iter().filter(find).count());
    let one_by_one_ns = quickest_ns(QUESTIONS, || asked.iter().inspect(|_| wait_for_loads()).filter(find).count());
    Alone { bytes: set.memory_bytes(), in_a_row_ns, one_by_one_ns }
}

fn names_alone(count: usize) -> Alone {
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
    let mut all = |wait: fn()| {
        let (mut at, mut found) = (0, 0);
        while at < asked.len() {
            at += query.read(&asked[at..]).expect("a name");
            wait();
            found += usize::from(set.look_up(query.relative(query.label_count()), &NOW).finding.is_listed());
        }
        found
    };
    let in_a_row_ns = quickest_ns(QUESTIONS, || all(|| ()));
    let one_by_one_ns = quickest_ns(QUESTIONS, || all(wait_for_loads));
    Alone { bytes: set.memory_bytes(), in_a_row_ns, one_by_one_ns }
}
