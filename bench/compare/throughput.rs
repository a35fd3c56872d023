//! How many queries a second, and what each costs: a closed loop that keeps the server busy, with both echoes as the floor.

use std::{io, time::Duration};

use crate::{
    Bench, PAIRS, WINDOW, data,
    fixtures::{self, Fixture, LISTED_PERCENT, QUESTIONS},
    generator::{Pace, Question},
    report::{median, paired_ratio},
    server::Server,
    servers::{ECHO_BATCH, ECHO_ONE, OURS, Row, THEIRS, measure, of},
};

const RUN: Duration = Duration::from_millis(1_500);
const SERVERS: [&str; 4] = [OURS, THEIRS, ECHO_ONE, ECHO_BATCH];

/// The lists of a million, and of prefixes, that most parts ask about.
pub(crate) fn made_up(bench: &Bench) -> io::Result<[Fixture; 3]> {
    let write = |name, list| Fixture::write(name, &list, LISTED_PERCENT, &bench.folder);
    Ok([
        write("ip4set 1M", data::hosts(1_000_000, QUESTIONS, 1))?,
        write("dnset 1M", data::names(1_000_000, QUESTIONS, 4))?,
        write("ip4trie 200k", data::prefixes(200_000, QUESTIONS, 2))?,
    ])
}

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let mut lists = Vec::from(made_up(bench)?);
    lists.extend(fixtures::countries(&bench.real, &bench.folder)?);
    lists.extend(fixtures::domains(&bench.real, &bench.folder)?);
    let mut trivial = lists[0].as_kind("ip4tset");
    trivial.questions.clone_from(&lists[0].questions);
    lists.insert(1, trivial);
    let mut rows = Vec::new();
    for list in &lists {
        turns(bench, list, &mut rows)?;
    }
    report(bench, &lists, &rows)
}

fn turns(bench: &Bench, list: &Fixture, rows: &mut Vec<Row>) -> io::Result<()> {
    let start = |name| bench.programs.start(name, &bench.folder, &[list]);
    let servers =
        [start(OURS)?, start(THEIRS)?, bench.programs.start_echo(ECHO_ONE)?, bench.programs.start_echo(ECHO_BATCH)?];
    take_turns(&servers, list, rows)
}

/// Asks each server in turn, from this thread's network.
pub(crate) fn take_turns(servers: &[Server], list: &Fixture, rows: &mut Vec<Row>) -> io::Result<()> {
    let echoed = echoed(&list.questions);
    for _ in 0..PAIRS {
        for server in servers {
            let questions = if server.name.starts_with("echo") { &echoed } else { &list.questions };
            rows.push(measure(server, &list.name, questions, Pace::Closed(WINDOW), RUN)?);
        }
    }
    Ok(())
}

/// The questions as an echo answers them: that there is no such name.
pub(crate) fn echoed(questions: &[Question]) -> Vec<Question> {
    questions.iter().map(|question| Question { listed: false, ..question.clone() }).collect()
}

fn report(bench: &mut Bench, lists: &[Fixture], rows: &[Row]) -> io::Result<()> {
    let of = |(list, server): (&Fixture, &str), what: fn(&Row) -> f64| median(of(rows, server, &list.name, what));
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for bar in lists.iter().flat_map(|list| SERVERS.map(|server| (list, server))) {
        let label = format!("{} {}", bar.0.name, bar.1);
        rates.push((label.clone(), of(bar, |row| row.outcome.per_second())));
        costs.push((label, [of(bar, Row::user_us), of(bar, Row::system_us)]));
    }
    let lines: Vec<String> = rows.iter().map(Row::line).collect();
    bench.report.raw("throughput.tsv", Row::COLUMNS, &lines)?;
    bench.report.bars("throughput.svg", &[("queries answered a second, one core, closed loop", &rates)])?;
    bench.report.stacked("cpu.svg", ("microseconds of processor time a query: user + system", &costs))?;
    let table = table(lists, &SERVERS, ECHO_ONE, rows);
    bench.report.table("Throughput and processor time", &columns(ECHO_ONE), &table, NOTE)
}

/// The columns of [`table`].
pub(crate) fn columns(floor: &str) -> String {
    format!(
        "list\tserver\tqueries/s\tuser µs\tsystem µs\tcpu µs\tcpu, {floor} = 1\tqueries per cpu second, rbldnsd = 1\t\
         lost\twrong"
    )
}

/// A line for each list and server, beside the server that is the floor and beside rbldnsd.
pub(crate) fn table(lists: &[Fixture], servers: &[&str], floor: &str, rows: &[Row]) -> Vec<String> {
    let mut table = Vec::new();
    for list in lists {
        let cpu = |server: &str| of(rows, server, &list.name, Row::cpu_us);
        for server in servers {
            let all = |what: fn(&Row) -> f64| of(rows, server, &list.name, what);
            let lost: f64 = all(|row| row.outcome.lost as f64).iter().sum();
            let wrong: f64 = all(|row| row.outcome.wrong as f64).iter().sum();
            table.push(format!(
                "{}\t{server}\t{:.0}\t{:.2}\t{:.2}\t{:.2}\t{:.2}\t{:.2}\t{lost}\t{wrong}",
                list.name,
                median(all(|row| row.outcome.per_second())),
                median(all(Row::user_us)),
                median(all(Row::system_us)),
                median(cpu(server)),
                paired_ratio(&cpu(server), &cpu(floor)),
                paired_ratio(&cpu(THEIRS), &cpu(server)),
            ));
        }
    }
    table
}

const NOTE: &str = "Medians of the turns; the two ratios are medians of the ratios of each turn. The echoes send every query \
                    back: what remains to a server beside them is its own.";
