//! Files replaced under load: does anything get lost, is every answer from the old or the new data, and how long does the
//! slowest take?
//!
//! A million addresses, a million names and 200,000 prefixes are replaced ten times each in turn, while 20,000 queries a
//! second come. Before it the same load with nothing replaced, to hold it against; and first of all the same load to an echo,
//! whose latest answers are the machine's doing and no server's. The server, its loading threads included, has one core. Each
//! list has two copies with a value of their own, so answers show which of them they come from.

use std::{
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, SystemTime},
};

use rand::seq::SliceRandom;

use crate::{
    Bench, data,
    fixtures::Fixture,
    generator::{Pace, Question, Told},
    report::median,
    server::Server,
    servers::{ECHO_BATCH, FORKING, OURS, Row, SERVING, THEIRS, measure},
    throughput::{echoed, made_up},
};

const RATE: f64 = 20_000.0;
/// Replacements of each list, and the time between two.
const REPLACEMENTS: usize = 10;
const REPLACE_EVERY: Duration = Duration::from_millis(1_500);
/// An answer that takes longer is late.
const LATE_US: u32 = 5_000;
/// Looking for processes takes the load's core most of a millisecond, which so seldom is a query in a thousand.
const LOOK_AT_MEMORY_EVERY: Duration = Duration::from_millis(500);
/// The folder of the files that are served.
const ZONES: &str = "zones";
/// For `dnsbld serve`. The prefixes list a third of all addresses, more than a reload may by default.
const CONFIG: &str = "folder = \"zones\"\nstate = \"state\"\n[reload]\nmax-address-share = 0.5\n";

/// Two copies of a list that take turns in its file's place, so that replacing it costs the load's core next to nothing.
struct Twins {
    copies: [PathBuf; 2],
    /// What each copy has for a value.
    values: [Ipv4Addr; 2],
    file: PathBuf,
}

impl Twins {
    /// Makes the copies of list `number`, puts the second in its place, and tells the questions which values to expect.
    fn new(folder: &Path, list: &mut Fixture, number: u8) -> io::Result<Self> {
        /// rbldnsd looks at the time alone.
        const APART: Duration = Duration::from_secs(10);
        let made = folder.join(&list.file);
        let text = fs::read_to_string(&made)?;
        let (before, reason) = data::HEAD.rsplit_once(":2:").ok_or_else(no_head)?;
        let entries = text.strip_prefix(data::HEAD).ok_or_else(no_head)?;
        let lasts = [2 + 2 * number, 3 + 2 * number];
        let copies = ["one", "two"].map(|name| folder.join(format!("{}.{name}", list.file)));
        for ((copy, last), age) in copies.iter().zip(lasts).zip([APART, 2 * APART]) {
            // A reload may not list this address.
            let end = if list.kind == "ip4trie" { "!127.0.0.1\n" } else { "" };
            fs::write(copy, format!("{before}:{last}:{reason}{entries}{end}"))?;
            fs::File::options().write(true).open(copy)?.set_modified(SystemTime::now() - age)?;
        }
        fs::remove_file(made)?;
        list.file = format!("{}.{}", list.zone, list.kind);
        let values = lasts.map(|last| Ipv4Addr::new(127, 0, 0, last));
        list.questions.iter_mut().for_each(|question| question.values = Some(values));
        let twins = Self { copies, values, file: folder.join(ZONES).join(&list.file) };
        twins.replace(1)?;
        Ok(twins)
    }

    fn replace(&self, turn: usize) -> io::Result<()> {
        // A name that is no zone.
        let aside = self.file.with_file_name(".being-replaced");
        fs::hard_link(&self.copies[turn % 2], &aside)?;
        fs::rename(aside, &self.file)
    }
}

fn no_head() -> io::Error {
    io::Error::other("a list does not begin as lists do")
}

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    fs::create_dir(bench.folder.join(ZONES))?;
    let mut lists = made_up(bench)?;
    let twins = lists
        .iter_mut()
        .zip(0..)
        .map(|(list, number)| Twins::new(&bench.folder, list, number))
        .collect::<io::Result<Vec<_>>>()?;
    let mut questions: Vec<Question> = lists.iter_mut().flat_map(|list| std::mem::take(&mut list.questions)).collect();
    questions.shuffle(&mut data::random(10));
    let (mut lines, mut table, mut replacements) = (Vec::new(), Vec::new(), Vec::new());
    let mut unseen = Vec::new();
    // As long as the storm: the longest of more answers is longer.
    let time = storm_time(&twins);
    let echo = bench.programs.start_echo(ECHO_BATCH)?;
    let mut least = measure(&echo, "all", &echoed(&questions), Pace::Open(RATE), time)?;
    least.what = "quiet".into();
    table.push(cells(&least, echo.memory_mib("VmRSS")?));
    lines.push(least.line());
    drop(echo);
    for name in [OURS, SERVING, THEIRS, FORKING] {
        let server = start(bench, name, &lists)?;
        let steady_mib = server.memory_mib("VmRSS")?;
        let mut quiet = measure(&server, "all", &questions, Pace::Open(RATE), time)?;
        quiet.what = "quiet".into();
        let mut storm = under_storm(&server, &questions, &twins, time)?;
        storm.row.what = "storm".into();
        for (row, mib) in [(&quiet, steady_mib), (&storm.row, storm.most_mib)] {
            table.push(cells(row, mib));
            lines.push(row.line());
        }
        for (number, list) in lists.iter().enumerate() {
            let taken = storm.taken(number, &twins);
            replacements.push(format!("{name}\t{}\t{}", list.name, taken.cells()));
            if taken.delays_ms.len() < REPLACEMENTS {
                unseen.push(format!("{name}, {}", list.name));
            }
        }
    }
    bench.report.raw("storm.tsv", Row::COLUMNS, &lines)?;
    bench.report.raw("replacements.tsv", &format!("server\tlist\t{}", Taken::COLUMNS), &replacements)?;
    let columns = "server\t\tqueries\tlost\twrong\tp50 µs\tp99 µs\tp99.9 µs\tlongest µs\tover 5 ms\t\
         the load's own delay µs\tp99 µs without the load's part\tlongest\tMiB at most";
    bench.report.table("Reloads under load", columns, &table, NOTE)?;
    let columns = format!("server\tlist\t{}", Taken::COLUMNS.replace('_', " "));
    bench.report.table("Answers under reloads", &columns, &replacements, ANSWERS_NOTE)?;
    if unseen.is_empty() {
        return Ok(());
    }
    Err(io::Error::other(format!("not every replacement was seen in answers: {}", unseen.join("; "))))
}

fn start(bench: &Bench, name: &'static str, lists: &[Fixture; 3]) -> io::Result<Server> {
    if name != SERVING {
        return bench.programs.start(name, &bench.folder.join(ZONES), &lists.each_ref());
    }
    let config = bench.folder.join("dnsbld.toml");
    fs::write(&config, CONFIG)?;
    bench.programs.start_serving(&config, lists[0].zone)
}

/// A line of the table.
fn cells(row: &Row, most_mib: f64) -> String {
    let outcome = &row.outcome;
    let [p50, p99, p999, longest] = [500, 990, 999, 1_000].map(|permille| outcome.permille_us(permille));
    let [own_p99, own_longest] = [990, 1_000].map(|permille| outcome.served_permille_us(permille));
    let (name, what, sent) = (row.server, &row.what, outcome.sent);
    let (lost, wrong, own_late) = (outcome.lost, outcome.wrong, outcome.late_us);
    let late = outcome.beyond(LATE_US);
    format!(
        "{name}\t{what}\t{sent}\t{lost}\t{wrong}\t{p50}\t{p99}\t{p999}\t{longest}\t{late}\t\
         {own_late}\t{own_p99}\t{own_longest}\t{most_mib:.0}"
    )
}

const NOTE: &str = "30 replacements in 48 s at 20,000 queries a second. `echo-recvmmsg` sends every query back and does nothing \
                    else. Without the load's part: from sending a query until its answer arrived, as the kernel noted \
                    it. `rbldnsd-f` forks for each reload, and its memory is that of both processes, pages that they \
                    share counted twice. `dnsbld-serve` is `dnsbld serve` on a folder: it takes files unasked, holds them \
                    against the rules, and keeps copies of them; the others are sent SIGHUP.";
const ANSWERS_NOTE: &str = "During the storm. Each list's two copies have a value of their own; an answer with another one is \
                            wrong above. Back: answers from the old data after the first from the new. The time counts from \
                            the rename until the first answer from the new data arrived.";

fn storm_time(twins: &[Twins]) -> Duration {
    REPLACE_EVERY * (REPLACEMENTS * twins.len() + 2) as u32
}

/// What a storm came to.
struct Storm {
    row: Row,
    most_mib: f64,
    /// When the lists were replaced, in turn.
    replaced: Vec<SystemTime>,
}

/// What answers told of one list.
struct Taken {
    /// How many had the value of each copy.
    answers: [usize; 2],
    went_back: usize,
    /// From each replacement that was seen until then.
    delays_ms: Vec<f64>,
}

impl Storm {
    /// What answers told of that list.
    fn taken(&mut self, number: usize, twins: &[Twins]) -> Taken {
        let values = twins[number].values;
        let told = &mut self.row.outcome.told;
        told.sort_unstable_by_key(|told| told.arrived);
        let told: Vec<&Told> = told.iter().filter(|told| values.contains(&told.value)).collect();
        let answers = values.map(|value| told.iter().filter(|told| told.value == value).count());
        let mut taken = Taken { answers, went_back: 0, delays_ms: Vec::new() };
        let replaced: Vec<SystemTime> = self.replaced.iter().copied().skip(number).step_by(twins.len()).collect();
        for (turn, &at) in replaced.iter().enumerate() {
            let until = |end: &SystemTime| told.partition_point(|told| told.arrived < *end);
            let these = &told[until(&at)..replaced.get(turn + 1).map_or(told.len(), until)];
            let Some(first) = these.iter().position(|told| told.value == values[turn % 2]) else { continue };
            let delay = these[first].arrived.duration_since(at).unwrap_or_default();
            taken.delays_ms.push(delay.as_secs_f64() * 1e3);
            taken.went_back += these[first..].iter().filter(|told| told.value != values[turn % 2]).count();
        }
        taken
    }
}

impl Taken {
    const COLUMNS: &str = "answers_from_one_copy\tfrom_the_other\treplacements_seen\tback\tms_until_seen\tlongest";

    fn cells(&self) -> String {
        let ([one, other], back, seen) = (self.answers, self.went_back, self.delays_ms.len());
        let longest = self.delays_ms.iter().copied().fold(0.0, f64::max);
        format!("{one}\t{other}\t{seen}\t{back}\t{:.0}\t{longest:.0}", median(self.delays_ms.iter().copied()))
    }
}

fn under_storm(server: &Server, questions: &[Question], twins: &[Twins], time: Duration) -> io::Result<Storm> {
    let count = REPLACEMENTS * twins.len();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let replacing = scope.spawn(|| {
            let replace = |turn: usize| {
                thread::sleep(REPLACE_EVERY);
                let at = SystemTime::now();
                twins[turn % twins.len()].replace(turn / twins.len())?;
                if server.name != SERVING {
                    server.signal(libc::SIGHUP)?;
                }
                Ok(at)
            };
            (0..count).map(replace).collect::<io::Result<Vec<_>>>()
        });
        let watching = scope.spawn(|| {
            let mut most_mib = 0.0_f64;
            while !is_over.load(Ordering::Relaxed) {
                most_mib = most_mib.max(server.memory_mib("VmRSS")?);
                thread::sleep(LOOK_AT_MEMORY_EVERY);
            }
            Ok::<_, io::Error>(most_mib)
        });
        let row = measure(server, "all", questions, Pace::Open(RATE), time);
        is_over.store(true, Ordering::Relaxed);
        let panicked = || io::Error::other("a thread beside the load panicked");
        let replaced = replacing.join().unwrap_or_else(|_| Err(panicked()))?;
        let most_mib = watching.join().unwrap_or_else(|_| Err(panicked()))?;
        // Looking now and then misses the peak; the kernel does not, but knows nothing of processes that are gone.
        Ok(Storm { row: row?, most_mib: most_mib.max(server.memory_mib("VmHWM")?), replaced })
    })
}
