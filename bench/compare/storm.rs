//! Files replaced under load: does anything get lost, is every answer from the old or the new data, and how long does the
//! slowest take?
//!
//! A million addresses, a million names and 200,000 prefixes are replaced in turn, while 20,000 queries a second come. Before it
//! the same load with nothing replaced, to hold it against. Servers take turns, each started anew; every turn begins with the
//! same load to an echo, whose latest answers are the machine's doing and no server's, as is what the machine's own host took
//! of its cores meanwhile. The server, its loading threads included, has one core. Each list has two copies with a value of
//! their own, so answers show which of them they come from.

use std::{
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use rand::seq::SliceRandom;

use crate::{
    Bench, PAIRS, data,
    fixtures::Fixture,
    generator::{Question, Told},
    plot::Group,
    report::median,
    server::Server,
    servers::{ECHO_BATCH, FORKING, OURS, Row, SERVING, THEIRS, ZONES},
    throughput::{echoed, made_up},
    turn::{Together, Turn, beside, joined},
};

/// Replacements of each list in a turn, and the time between two. They are even in number, so that each turn begins with the
/// second copy in its place.
const REPLACEMENTS: usize = 2;
const REPLACE_EVERY: Duration = Duration::from_millis(1_250);
const SERVERS: [&str; 4] = [OURS, SERVING, THEIRS, FORKING];
/// Looking for processes takes the load's core most of a millisecond, which so seldom is a query in a thousand.
const LOOK_AT_MEMORY_EVERY: Duration = Duration::from_millis(500);
/// For `dnsbld serve`. The prefixes list a third of all addresses, more than a reload may by default.
const CONFIG: &str = "[reload]\nmax-address-share = 0.5\n";

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

pub(crate) fn no_head() -> io::Error {
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
    // As long as the storm: the longest of more answers is longer.
    let time = storm_time(&twins);
    let (mut turns, mut taken, echoed) = (Vec::new(), Vec::new(), echoed(&questions));
    for turn in 1..=PAIRS {
        let echo = bench.programs.start_echo(ECHO_BATCH)?;
        turns.push(in_quiet(&echo, &echoed, time)?);
        drop(echo);
        for name in SERVERS {
            let server = start(bench, name, &lists)?;
            turns.push(in_quiet(&server, &questions, time)?);
            let (mut storm, replaced) = under_storm(&server, &questions, &twins, time)?;
            let mut told = std::mem::take(&mut storm.row.outcome.told);
            told.sort_unstable_by_key(|told| told.arrived);
            let of = |number| Taken::new(turn, name, number, &twins, &told, &replaced);
            taken.extend((0..lists.len()).map(of));
            turns.push(storm);
        }
    }
    report(bench, &turns)?;
    report_taken(bench, &lists, &taken)
}

fn start(bench: &Bench, name: &'static str, lists: &[Fixture; 3]) -> io::Result<Server> {
    if name != SERVING {
        return bench.programs.start(name, &bench.folder.join(ZONES), &lists.each_ref());
    }
    bench.programs.start_serving(&bench.folder, CONFIG, "off", lists[0].zone)
}

fn in_quiet(server: &Server, questions: &[Question], time: Duration) -> io::Result<Turn> {
    let mut turn = Turn::measure(server, "all", "quiet", questions, time)?;
    turn.row.outcome.told.clear();
    Ok(turn)
}

fn report(bench: &mut Bench, turns: &[Turn]) -> io::Result<()> {
    let lines: Vec<String> = turns.iter().map(Turn::line).collect();
    bench.report.raw("storm.tsv", &format!("{}\t{}", Row::COLUMNS, Turn::COLUMNS), &lines)?;
    let (mut table, mut bars) = (Vec::new(), [const { Vec::new() }; 3]);
    let both = SERVERS.into_iter().flat_map(|name| [(name, "quiet"), (name, "storm")]);
    for (name, what) in [(ECHO_BATCH, "quiet")].into_iter().chain(both) {
        let these: Vec<&Turn> = turns.iter().filter(|turn| turn.row.server == name && turn.row.what == what).collect();
        let Together { lost, p99_us, longest_us, cells, .. } = Together::of(&these);
        table.push(format!("{name}\t{what}\t{cells}"));
        for (bars, value) in bars.iter_mut().zip([longest_us, p99_us, lost]) {
            bars.push((format!("{what} {name}"), value));
        }
    }
    let titles = [
        "longest answer while lists are replaced, and in quiet, microseconds",
        "99th percentile, microseconds",
        "queries lost",
    ];
    let groups: Vec<Group<'_>> = titles.into_iter().zip(&bars).map(|(title, bars)| (title, &**bars)).collect();
    bench.report.bars("reload.svg", &groups)?;
    let columns = format!("server\t\t{}", Together::COLUMNS);
    bench.report.table("Reloads under load", &columns, &table, NOTE)
}

const NOTE: &str = "Five turns, in each of them six replacements in 9 s at 20,000 queries a second, and as long without any. \
                    Percentiles are medians of the turns; what is longest, or the most, is so of all turns; the others are \
                    sums. `echo-recvmmsg` sends every query back and does nothing else. Without the load's part: from \
                    sending a query until its answer arrived, as the kernel noted it. `rbldnsd-f` forks for each reload, and \
                    its memory is that of both processes, pages that they share counted twice. `dnsbld-serve` is \
                    `dnsbld serve` on a folder: it takes files unasked, holds them against the rules, and keeps copies of \
                    them; the others are sent SIGHUP. Stolen is what the host of a virtual machine took of both cores.";

fn report_taken(bench: &mut Bench, lists: &[Fixture; 3], taken: &[Taken]) -> io::Result<()> {
    let line = |taken: &Taken| {
        format!(
            "{}\t{}\t{}\t{}",
            taken.turn,
            taken.server,
            lists[taken.number].name,
            cells(std::slice::from_ref(taken))
        )
    };
    let raw: Vec<String> = taken.iter().map(line).collect();
    bench.report.raw("replacements.tsv", &format!("turn\tserver\tlist\t{TAKEN_COLUMNS}"), &raw)?;
    let (mut table, mut unseen) = (Vec::new(), Vec::new());
    for name in SERVERS {
        for (number, list) in lists.iter().enumerate() {
            let these = taken.iter().filter(|taken| taken.server == name && taken.number == number);
            let these: Vec<Taken> = these.cloned().collect();
            table.push(format!("{name}\t{}\t{}", list.name, cells(&these)));
            if these.iter().any(|taken| taken.delays_ms.len() < REPLACEMENTS) {
                unseen.push(format!("{name}, {}", list.name));
            }
        }
    }
    let columns = format!("server\tlist\t{}", TAKEN_COLUMNS.replace('_', " "));
    bench.report.table("Answers under reloads", &columns, &table, ANSWERS_NOTE)?;
    if unseen.is_empty() {
        return Ok(());
    }
    Err(io::Error::other(format!("not every replacement was seen in answers: {}", unseen.join("; "))))
}

const ANSWERS_NOTE: &str = "During the storms. Each list's two copies have a value of their own; an answer with another one is \
                            wrong above. Back: answers from the old data after the first from the new. The time counts from \
                            the rename until the first answer from the new data arrived.";

fn storm_time(twins: &[Twins]) -> Duration {
    REPLACE_EVERY * (REPLACEMENTS * twins.len() + 1) as u32
}

/// What answers told of one list in a turn.
#[derive(Clone)]
struct Taken {
    turn: usize,
    server: &'static str,
    /// Of the list.
    number: usize,
    /// How many had the value of each copy.
    answers: [usize; 2],
    went_back: usize,
    /// From each replacement that was seen until then.
    delays_ms: Vec<f64>,
}

impl Taken {
    /// Out of all that was told, in the order in which it arrived, and the times at which the lists were replaced in turn.
    fn new(
        turn: usize,
        server: &'static str,
        number: usize,
        twins: &[Twins],
        told: &[Told],
        replaced: &[SystemTime],
    ) -> Self {
        let values = twins[number].values;
        let told: Vec<&Told> = told.iter().filter(|told| values.contains(&told.value)).collect();
        let answers = values.map(|value| told.iter().filter(|told| told.value == value).count());
        let mut taken = Self { turn, server, number, answers, went_back: 0, delays_ms: Vec::new() };
        let replaced: Vec<SystemTime> = replaced.iter().copied().skip(number).step_by(twins.len()).collect();
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

const TAKEN_COLUMNS: &str = "answers_from_one_copy\tfrom_the_other\treplacements_seen\tback\tms_until_seen\tlongest";

/// What several turns of one list came to together.
fn cells(taken: &[Taken]) -> String {
    let [one, other] = [0, 1].map(|copy| taken.iter().map(|taken| taken.answers[copy]).sum::<usize>());
    let back: usize = taken.iter().map(|taken| taken.went_back).sum();
    let delays_ms: Vec<f64> = taken.iter().flat_map(|taken| taken.delays_ms.iter().copied()).collect();
    let (seen, longest) = (delays_ms.len(), delays_ms.iter().copied().fold(0.0, f64::max));
    format!("{one}\t{other}\t{seen}\t{back}\t{:.0}\t{longest:.0}", median(delays_ms))
}

/// The turn, and when the lists were replaced in it.
fn under_storm(
    server: &Server,
    questions: &[Question],
    twins: &[Twins],
    time: Duration,
) -> io::Result<(Turn, Vec<SystemTime>)> {
    let count = REPLACEMENTS * twins.len();
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
        let mut most_mib = 0.0_f64;
        let look = || {
            most_mib = most_mib.max(server.memory_mib("VmRSS")?);
            Ok(())
        };
        let turn = beside(LOOK_AT_MEMORY_EVERY, look, || Turn::measure(server, "all", "storm", questions, time));
        let replaced = joined(replacing)?;
        // Looking now and then misses the peak; the kernel does not, but knows nothing of processes that are gone.
        let most_mib = most_mib.max(server.memory_mib("VmHWM")?);
        let mut turn = turn?;
        turn.most_mib = most_mib;
        Ok((turn, replaced))
    })
}
