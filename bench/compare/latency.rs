//! How long an answer takes at fixed rates: an open loop, each latency counted from the moment at which the query was due.

use std::{io, time::Duration};

use crate::{
    Bench, PAIRS,
    generator::Pace,
    report::median,
    servers::{OURS, Row, THEIRS, measure},
    throughput::made_up,
};

const RUN: Duration = Duration::from_millis(1_500);
const RATES: [f64; 3] = [20_000.0, 50_000.0, 100_000.0];

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let (mut rows, mut table, mut bars) = (Vec::new(), Vec::new(), Vec::new());
    let [addresses, names, _] = made_up(bench)?;
    for list in [addresses, names] {
        let start = |name| bench.programs.start(name, &bench.folder, &[&list]);
        let servers = [start(OURS)?, start(THEIRS)?];
        for rate in RATES {
            for _ in 0..PAIRS {
                for server in &servers {
                    rows.push(measure(server, &list.name, &list.questions, Pace::Open(rate), RUN)?);
                }
            }
            let turns = &rows[rows.len() - PAIRS * servers.len()..];
            for server in [OURS, THEIRS] {
                let of = |what: &dyn Fn(&Row) -> f64| -> Vec<f64> {
                    turns.iter().filter(|row| row.server == server).map(what).collect()
                };
                let [p50, p99, p999, longest] = [500, 990, 999, 1_000]
                    .map(|permille| median(of(&|row| f64::from(row.outcome.permille_us(permille)))));
                let lost: f64 = of(&|row| row.outcome.lost as f64).iter().sum();
                let cost = median(of(&Row::cpu_us));
                table.push(format!(
                    "{}\t{rate}\t{server}\t{p50}\t{p99}\t{p999}\t{longest}\t{lost}\t{cost:.2}",
                    list.name
                ));
                bars.push((format!("{} {}k/s {server}", list.name, rate / 1e3), p99));
            }
        }
    }
    let lines: Vec<String> = rows.iter().map(Row::line).collect();
    bench.report.raw("latency.tsv", Row::COLUMNS, &lines)?;
    bench.report.bars("latency.svg", &[("99th percentile of the latency at fixed rates, microseconds", &bars)])?;
    let columns = "list\tqueries/s\tserver\tp50 µs\tp99 µs\tp99.9 µs\tlongest µs\tlost\tcpu µs";
    bench.report.table(
        "Latency at fixed rates",
        columns,
        &table,
        "Medians of the turns. What is lost has no latency: a server that drops what waits is quick with the rest.",
    )
}
