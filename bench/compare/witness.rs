//! Another load than ours as a witness: dnsperf, with the same questions, the same window and as many source ports.

use std::{fmt::Write as _, fs, io, process::Command};

use crate::{
    Bench, PAIRS, WINDOW,
    report::{median, paired_ratio},
    server::Server,
    servers::{OURS, THEIRS},
    throughput::made_up,
};

const RUN_S: &str = "2";
const PORTS: &str = "32";

/// What dnsperf says of a run, and what the run cost the server.
struct Witnessed {
    per_s: f64,
    lost: f64,
    cpu_us: f64,
}

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    if Command::new("dnsperf").arg("-h").output().is_err() {
        println!("dnsperf is not installed: no witness");
        return Ok(());
    }
    let (mut raw, mut table) = (Vec::new(), Vec::new());
    for list in made_up(bench)? {
        let mut lines = String::new();
        for question in &list.questions {
            writeln!(lines, "{} A", name(&question.octets[12..])).expect("in memory");
        }
        let questions = bench.folder.join("questions");
        fs::write(&questions, lines)?;
        let start = |name| bench.programs.start(name, &bench.folder, &[&list]);
        let servers = [start(OURS)?, start(THEIRS)?];
        let mut runs: [Vec<Witnessed>; 2] = Default::default();
        for _ in 0..PAIRS {
            for (server, runs) in servers.iter().zip(&mut runs) {
                let seen = witness(server, &questions)?;
                let Witnessed { per_s, lost, cpu_us } = seen;
                raw.push(format!("{}\t{}\t{per_s:.0}\t{lost}\t{cpu_us:.3}", list.name, server.name));
                println!("dnsperf\t{}", raw[raw.len() - 1]);
                runs.push(seen);
            }
        }
        let cpu = runs.each_ref().map(|runs| runs.iter().map(|run| run.cpu_us).collect::<Vec<_>>());
        for ((server, runs), cpu_us) in servers.iter().zip(&runs).zip(&cpu) {
            let of = |what: fn(&Witnessed) -> f64| median(runs.iter().map(what));
            let ratio = paired_ratio(&cpu[1], cpu_us);
            let lost: f64 = runs.iter().map(|run| run.lost).sum();
            let (per_s, cost) = (of(|run| run.per_s), of(|run| run.cpu_us));
            table.push(format!("{}\t{}\t{per_s:.0}\t{cost:.2}\t{ratio:.2}\t{lost}", list.name, server.name));
        }
    }
    bench.report.raw("witness.tsv", "list\tserver\tper_s\tlost\tcpu_us", &raw)?;
    let columns = "list\tserver\tqueries/s\tcpu µs\tqueries per cpu second, rbldnsd = 1\tlost";
    bench.report.table("The witness: dnsperf", columns, &table, "Medians of the turns.")
}

/// A name of letters, digits and hyphens, out of its labels.
fn name(mut wire: &[u8]) -> String {
    let mut name = String::new();
    while let [len, rest @ ..] = wire
        && *len > 0
    {
        let (label, rest) = rest.split_at(usize::from(*len));
        name.extend(label.iter().copied().map(char::from));
        name.push('.');
        wire = rest;
    }
    name
}

fn witness(server: &Server, questions: &std::path::Path) -> io::Result<Witnessed> {
    let before = server.cpu()?;
    let run = Command::new("dnsperf")
        .args(["-s", "127.0.0.1", "-p", &server.address.port().to_string(), "-d"])
        .arg(questions)
        .args(["-l", RUN_S, "-c", PORTS, "-q", &WINDOW.to_string(), "-T", "1", "-t", "1"])
        .output()?;
    let text = String::from_utf8_lossy(&run.stdout);
    let number = |what: &str| -> io::Result<f64> {
        let rest = text.split(what).nth(1).and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        rest.ok_or_else(|| io::Error::other(format!("dnsperf says nothing of {what}: {text}")))
    };
    let completed = number("Queries completed:")?;
    let cost = server.cpu()?.each_us(before, completed as u64);
    Ok(Witnessed { per_s: number("Queries per second:")?, lost: number("Queries lost:")?, cpu_us: cost.iter().sum() })
}
