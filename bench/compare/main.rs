//! Ours beside rbldnsd: `bench/run compare [PART]...`. Same files, same command line, the server on one core and the load on
//! the other.
//!
//! Servers that are compared take turns, A B A B, so that whatever else the machine does meets both, and ratios are taken
//! turn by turn. What counts first is the processor time that a query takes, from `/proc`: it says what a server could do,
//! even where the load cannot fill it.
//!
//! ```text
//! fixtures    lists, as files and as questions      throughput    processor time and rate in a closed loop
//! servers     how each server is started            batches       datagrams that a system call takes
//! report      tables, raw numbers, plots            interface     throughput across a network interface
//! echo        what the machine allows               instructions  of a query, the whole process under callgrind
//! generator   the load                              latency       at fixed rates
//! chase       what a fetch from memory takes        loading       time to the first answer, and memory
//! turn        what turns at a fixed rate came to    storm         files replaced under load
//!                                                   sweep         entries that end under load
//!                                                   growth        from 10,000 entries to 10,000,000
//!                                                   workers       two workers beside one
//!                                                   others        NSD and Knot with the same zone
//!                                                   witness       dnsperf instead of the load here
//! ```

#[allow(unsafe_code, reason = "sendmmsg and recvmmsg")]
#[path = "../support/generator.rs"]
mod generator;

#[allow(unsafe_code, reason = "sendmmsg and recvmmsg")]
#[path = "../support/echo.rs"]
mod echo;

#[path = "../support/data.rs"]
mod data;

#[path = "../support/metrics.rs"]
mod metrics;

#[path = "../support/plot.rs"]
mod plot;

#[path = "../support/server.rs"]
mod server;

mod batches;
mod chase;
mod fixtures;
mod growth;
mod instructions;
mod interface;
mod latency;
mod loading;
mod others;
mod report;
mod servers;
mod storm;
mod sweep;
mod throughput;
mod turn;
mod witness;
mod workers;

use std::{fs, io, path::PathBuf, time::Instant};

use report::Report;
use servers::Programs;

/// Turns of servers that are compared.
const PAIRS: usize = 5;
/// Queries under way in a closed loop: as many as fit into rbldnsd's receive buffer. With more it loses some, has fewer under
/// way than the others, and so warmer caches.
const WINDOW: usize = 96;

/// What every part is given.
struct Bench {
    programs: Programs,
    /// Where lists are written. It is empty when a part begins.
    folder: PathBuf,
    /// Where real lists were unpacked.
    real: PathBuf,
    report: Report,
}

type Part = (&'static str, fn(&mut Bench) -> io::Result<()>);

const PARTS: [Part; 12] = [
    ("throughput", throughput::run),
    ("batches", batches::run),
    ("interface", interface::run),
    ("instructions", instructions::run),
    ("latency", latency::run),
    ("loading", loading::run),
    ("storm", storm::run),
    ("sweep", sweep::run),
    ("growth", growth::run),
    ("workers", workers::run),
    ("others", others::run),
    ("witness", witness::run),
];

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["echo", way, address] => echo::serve(way, address.parse().map_err(io::Error::other)?),
        [ours, theirs, results, real, wanted @ ..] => {
            if let Some(unknown) = wanted.iter().find(|wanted| PARTS.iter().all(|(name, _)| name != *wanted)) {
                let known = PARTS.map(|(name, _)| name).join(" ");
                return Err(io::Error::other(format!("no part is called {unknown}; there are: {known}")));
            }
            let wanted_by_name = !wanted.is_empty();
            let folder = std::env::temp_dir().join(format!("dnsbld-compare-{}", std::process::id()));
            let programs = Programs::new(ours, theirs)?;
            let mut bench = Bench { programs, folder, real: real.into(), report: Report::new(results.as_ref())? };
            let wanted = PARTS.into_iter().filter(|(name, _)| wanted.is_empty() || wanted.contains(name));
            run(&mut bench, wanted, wanted_by_name)
        }
        _ => {
            Err(io::Error::other("usage: compare DNSBLD RBLDNSD RESULTS REAL [PART]... (bench/run compare gives them)"))
        }
    }
}

/// Runs parts one after the other. One that fails does not keep the others from their turn.
fn run(bench: &mut Bench, parts: impl Iterator<Item = Part>, are_named: bool) -> io::Result<()> {
    let (mut took, mut failed) = (Vec::new(), Vec::new());
    for (name, part) in parts {
        // Whoever names that part is told by it.
        if !are_named && name == "interface" && !interface::may_run() {
            println!("{name} needs root: without it");
            continue;
        }
        let begun = Instant::now();
        fs::create_dir_all(&bench.folder)?;
        if let Err(error) = part(bench) {
            println!("{name} failed: {error}");
            failed.push(format!("{name}: {error}"));
        }
        fs::remove_dir_all(&bench.folder)?;
        took.push(format!("{name}\t{:.0}", begun.elapsed().as_secs_f64()));
        println!("({name} took {:.0} s)", begun.elapsed().as_secs_f64());
        bench.report.raw("took.tsv", "part\tseconds", &took)?;
    }
    if failed.is_empty() { Ok(()) } else { Err(io::Error::other(failed.join("; "))) }
}
