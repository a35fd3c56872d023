//! Files replaced under load: does anything get lost, and how long does the slowest answer take?
//!
//! A million addresses, a million names and 200,000 prefixes are replaced ten times each in turn, while 20,000 queries a
//! second come. Before it the same load with nothing replaced, to hold it against. The server, its loading threads included,
//! has one core.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, SystemTime},
};

use rand::seq::SliceRandom;

use crate::{
    Bench, data,
    fixtures::Fixture,
    generator::{Pace, Question},
    server::Server,
    servers::{FORKING, OURS, Row, THEIRS, measure},
    throughput::made_up,
};

const RATE: f64 = 20_000.0;
/// Replacements of each list, and the time between two.
const REPLACEMENTS: usize = 10;
const REPLACE_EVERY: Duration = Duration::from_millis(1_500);
/// Looking for processes takes the load's core most of a millisecond, which so seldom is a query in a thousand.
const LOOK_AT_MEMORY_EVERY: Duration = Duration::from_millis(500);

/// Two copies of a file that take turns in its place, so that replacing it costs the load's core next to nothing.
struct Twins {
    copies: [PathBuf; 2],
    file: PathBuf,
}

impl Twins {
    fn new(folder: &Path, list: &Fixture) -> io::Result<Self> {
        /// rbldnsd looks at the time alone.
        const APART: Duration = Duration::from_secs(10);
        let file = folder.join(&list.file);
        let copies = ["one", "two"].map(|name| folder.join(format!("{}.{name}", list.file)));
        for (copy, age) in copies.iter().zip([APART, 2 * APART]) {
            fs::copy(&file, copy)?;
            fs::File::options().write(true).open(copy)?.set_modified(SystemTime::now() - age)?;
        }
        Ok(Self { copies, file })
    }

    fn replace(&self, turn: usize) -> io::Result<()> {
        let new = self.file.with_extension("new");
        fs::hard_link(&self.copies[turn % 2], &new)?;
        fs::rename(new, &self.file)
    }
}

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let lists = made_up(bench)?;
    let mut questions: Vec<Question> = lists.iter().flat_map(|list| list.questions.iter().cloned()).collect();
    questions.shuffle(&mut data::random(10));
    let twins = lists.iter().map(|list| Twins::new(&bench.folder, list)).collect::<io::Result<Vec<_>>>()?;
    let (mut lines, mut table) = (Vec::new(), Vec::new());
    for name in [OURS, THEIRS, FORKING] {
        let server = bench.programs.start(name, &bench.folder, &lists.each_ref())?;
        let steady_mib = server.memory_mib("VmRSS")?;
        // As long as the storm: the longest of more answers is longer.
        let time = storm_time(&twins);
        let mut quiet = measure(&server, "all", &questions, Pace::Open(RATE), time)?;
        let (mut storm, most_mib) = under_storm(&server, &questions, &twins, time)?;
        quiet.what = "quiet".into();
        storm.what = "storm".into();
        for row in [&quiet, &storm] {
            let outcome = &row.outcome;
            let [p50, p99, p999, longest] = [500, 990, 999, 1_000].map(|permille| outcome.permille_us(permille));
            let [own_p99, own_longest] = [990, 1_000].map(|permille| outcome.served_permille_us(permille));
            let (what, lost, wrong) = (&row.what, outcome.lost, outcome.wrong);
            let memory = if what == "storm" { most_mib } else { steady_mib };
            let late = outcome.late_us;
            table.push(format!(
                "{name}\t{what}\t{}\t{lost}\t{wrong}\t{p50}\t{p99}\t{p999}\t{longest}\t{late}\t{own_p99}\t{own_longest}\t{memory:.0}",
                outcome.sent
            ));
            lines.push(row.line());
        }
    }
    bench.report.raw("storm.tsv", Row::COLUMNS, &lines)?;
    let columns = "server\t\tqueries\tlost\twrong\tp50 µs\tp99 µs\tp99.9 µs\tlongest µs\tthe load's own delay µs\t\
         p99 µs without the load's part\tlongest\tMiB at most";
    bench.report.table("Reloads under load", columns, &table, NOTE)
}

const NOTE: &str = "30 replacements in 48 s at 20,000 queries a second. Without the load's part: from sending a query until its \
                    answer arrived, as the kernel noted it. `rbldnsd-f` forks for each reload, and its memory is that \
                    of both processes, pages that they share counted twice.";

fn storm_time(twins: &[Twins]) -> Duration {
    REPLACE_EVERY * (REPLACEMENTS * twins.len() + 2) as u32
}

fn under_storm(server: &Server, questions: &[Question], twins: &[Twins], time: Duration) -> io::Result<(Row, f64)> {
    let count = REPLACEMENTS * twins.len();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let replacing = scope.spawn(|| {
            (0..count).try_for_each(|turn| {
                thread::sleep(REPLACE_EVERY);
                twins[turn % twins.len()].replace(turn / twins.len())?;
                server.signal(libc::SIGHUP)
            })
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
        let panicked = |_| Err(io::Error::other("a thread beside the load panicked"));
        replacing.join().unwrap_or_else(panicked)?;
        let most_mib =
            watching.join().unwrap_or_else(|_| Err(io::Error::other("a thread beside the load panicked")))?;
        // Looking now and then misses the peak; the kernel does not, but knows nothing of processes that are gone.
        Ok((row?, most_mib.max(server.memory_mib("VmHWM")?)))
    })
}
