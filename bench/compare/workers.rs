//! Two workers beside one: a query must cost each of two as much as it costs one, for then they answer twice as much.
//!
//! The load takes one of this machine's two cores, so two workers cannot show their rate here. Their processor time can be
//! seen all the same: what workers fought over, they would pay for with it.

use std::{io, time::Duration};

use crate::{
    Bench, PAIRS, WINDOW, data,
    fixtures::{Fixture, LISTED_PERCENT, QUESTIONS},
    generator::Pace,
    report::{median, paired_ratio},
    servers::{OURS, Row, SERVER_CORE, measure},
};

const RUN: Duration = Duration::from_millis(1_500);
const BOTH_CORES: &str = "0,1";

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let list = data::hosts(1_000_000, QUESTIONS, 1);
    let list = Fixture::write("ip4set 1M", &list, LISTED_PERCENT, &bench.folder)?;
    let mut rows: [Vec<Row>; 2] = Default::default();
    for _ in 0..PAIRS {
        for (workers, rows) in (1..).zip(&mut rows) {
            let cores = if workers == 1 { SERVER_CORE } else { BOTH_CORES };
            let server = bench.programs.start_on(OURS, cores, workers, &bench.folder, &[&list])?;
            let mut row = measure(&server, &list.name, &list.questions, Pace::Closed(WINDOW), RUN)?;
            row.what = format!("{workers} workers");
            rows.push(row);
        }
    }
    let cpu = rows.each_ref().map(|rows| rows.iter().map(Row::cpu_us).collect::<Vec<_>>());
    let line = |(workers, cpu_us): (usize, &Vec<f64>)| {
        format!("{workers}\t{:.2}\t{:.2}", median(cpu_us.iter().copied()), 1.0 / paired_ratio(&cpu[0], cpu_us))
    };
    let table: Vec<String> = (1..).zip(&cpu).map(line).collect();
    let lines: Vec<String> = rows.iter().flatten().map(Row::line).collect();
    bench.report.raw("workers.tsv", Row::COLUMNS, &lines)?;
    bench.report.table("Workers", "workers\tcpu µs a query\tone worker = 1", &table, NOTE)
}

const NOTE: &str = "One worker has a core for itself, the second of two shares its core with the load, which also takes from \
                    the caches that both use.";
