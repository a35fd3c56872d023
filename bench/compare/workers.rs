//! Two workers beside one: a query must cost each of two as much as it costs one, for then they answer twice as much.
//!
//! This machine has two cores, so a load that runs would take one from the two workers. Here it rests while they work: the
//! server is stopped, thousands of queries are laid into its sockets, it goes on, and only later are its answers taken. What
//! workers fought over, they would pay for with processor time.

use std::{io, thread, time::Duration};

use crate::{
    Bench, PAIRS, data,
    fixtures::{Fixture, LISTED_PERCENT, QUESTIONS},
    generator::ask_at_once,
    report::{median, paired_ratio},
    server::Server,
    servers::{BOTH_CORES, OURS, SERVER_CORE},
};

/// Rounds of a turn, so that ticks of the clock of processor time do not count.
const ROUNDS: usize = 40;
/// Queries of each source port: their answers fit into its receive buffer.
const EACH: usize = 200;
/// One worker needs half of it.
const WORK: Duration = Duration::from_millis(80);

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let list = data::hosts(1_000_000, QUESTIONS, 1);
    let list = Fixture::write("ip4set 1M", &list, LISTED_PERCENT, &bench.folder)?;
    let mut costs: [Vec<f64>; 2] = Default::default();
    let (mut lines, mut lost) = (Vec::new(), [0; 2]);
    for _ in 0..PAIRS {
        for workers in [1, 2] {
            let cores = if workers == 1 { SERVER_CORE } else { BOTH_CORES };
            let server = bench.programs.start_on(OURS, cores, workers, &bench.folder, &[&list])?;
            let [user_us, system_us, lost_now] = turn(&server, &list)?;
            lines.push(format!("{workers}\t{user_us:.3}\t{system_us:.3}\t{lost_now}"));
            println!("{workers} workers\t{user_us:.3}\t{system_us:.3}\t{lost_now}");
            costs[workers - 1].push(user_us + system_us);
            lost[workers - 1] += lost_now as u64;
        }
    }
    let line = |(workers, cpu_us): (usize, &Vec<f64>)| {
        let (cost, ratio) = (median(cpu_us.iter().copied()), 1.0 / paired_ratio(&costs[0], cpu_us));
        format!("{workers}\t{cost:.2}\t{ratio:.2}\t{}", lost[workers - 1])
    };
    let table: Vec<String> = (1..).zip(&costs).map(line).collect();
    bench.report.raw("workers.tsv", "workers\tuser_us\tsystem_us\tlost", &lines)?;
    bench.report.table("Workers", "workers\tcpu µs a query\tone worker = 1\tlost", &table, "Medians of the turns.")
}

/// Processor time of a query, user and system, and how many were lost.
fn turn(server: &Server, list: &Fixture) -> io::Result<[f64; 3]> {
    let before = server.cpu()?;
    let (mut answered, mut lost, mut first) = (0, 0, 0);
    for _ in 0..ROUNDS {
        server.signal(libc::SIGSTOP)?;
        let work = || {
            server.signal(libc::SIGCONT)?;
            thread::sleep(WORK);
            Ok(())
        };
        let outcome = ask_at_once(server.address, &list.questions, first, EACH, work)?;
        first += outcome.sent as usize;
        answered += outcome.answered;
        lost += outcome.lost;
    }
    let [user_us, system_us] = server.cpu()?.each_us(before, answered);
    Ok([user_us, system_us, lost as f64])
}
