//! How many datagrams each system call takes, as `perf` counts calls at the kernel's side: the server itself counts nothing.
//!
//! Full batches are what spares the kernel's work of entering and leaving, and the server's own of each batch. In a closed loop
//! with 96 queries under way the server is never idle; at fixed rates it waits, and a batch is what arrives while it works.

use std::{
    fs, io,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::{
    Bench, WINDOW, data,
    fixtures::{Fixture, LISTED_PERCENT, QUESTIONS},
    generator::{Pace, ask},
    server::{Server, kill},
    servers::{ECHO_BATCH, OURS},
    throughput::echoed,
};

const RUN: Duration = Duration::from_secs(2);
/// Until `perf` counts, and between the last call and its end.
const PERF_STARTS: Duration = Duration::from_millis(500);
/// As many as fit into ours, though not into rbldnsd's receive buffer.
const DEEP_WINDOW: usize = 512;
/// rbldnsd takes one a call.
const SERVERS: [&str; 2] = [OURS, ECHO_BATCH];
/// Calls that brought something: one datagram each, one of several that there might have been, and more.
const CALLS: [(&str, &str); 3] = [
    ("syscalls:sys_exit_recvfrom", "ret > 0"),
    ("syscalls:sys_exit_recvmmsg", "ret == 1"),
    ("syscalls:sys_exit_recvmmsg", "ret > 1"),
];

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let list = data::hosts(1_000_000, QUESTIONS, 1);
    let list = Fixture::write("ip4set 1M", &list, LISTED_PERCENT, &bench.folder)?;
    let echoed = echoed(&list.questions);
    let paces = [
        Pace::Closed(WINDOW),
        Pace::Closed(DEEP_WINDOW),
        Pace::Open(20_000.0),
        Pace::Open(50_000.0),
        Pace::Open(100_000.0),
        Pace::Open(200_000.0),
    ];
    let (mut lines, mut table) = (Vec::new(), Vec::new());
    for name in SERVERS {
        let is_echo = name == ECHO_BATCH;
        let server = if is_echo {
            bench.programs.start_echo(name)?
        } else {
            bench.programs.start(name, &bench.folder, &[&list])?
        };
        for pace in paces {
            let Some(counting) = Counting::begin(&server, bench)? else {
                println!("perf cannot count system calls here: without batches");
                return Ok(());
            };
            let questions = if is_echo { &echoed } else { &list.questions };
            let outcome = ask(server.address, questions, pace, RUN, || {})?;
            let [alone, single, several] = counting.end()?;
            let (taken, calls) = (outcome.sent - outcome.lost, alone + single + several);
            let each = taken as f64 / calls.max(1) as f64;
            let most = taken.saturating_sub(alone + single) as f64 / several.max(1) as f64;
            lines.push(format!("{name}\t{pace}\t{taken}\t{alone}\t{single}\t{several}\t{each:.2}"));
            println!("{}", lines[lines.len() - 1]);
            let share = several as f64 * most / taken.max(1) as f64 * 100.0;
            table.push(format!("{name}\t{pace}\t{taken}\t{calls}\t{each:.1}\t{most:.1}\t{share:.0}"));
        }
    }
    let columns = "server\tpace\tdatagrams\trecvfrom_calls\trecvmmsg_calls_of_one\trecvmmsg_calls_of_more\teach";
    bench.report.raw("batches.tsv", columns, &lines)?;
    let columns = "server\tpace\tdatagrams\tcalls that took any\tdatagrams a call\tdatagrams a call that took several\t\
                   % of datagrams by such";
    bench.report.table("Batches", columns, &table, NOTE)
}

const NOTE: &str = "One run each, of the 1M addresses. `open` is at so many queries a second, `closed` with so many under way. \
                    rbldnsd takes one a call, and so does ours for a while after one came alone.";

/// `perf`, while it counts a server's calls.
struct Counting {
    perf: Child,
    written: std::path::PathBuf,
}

impl Counting {
    /// None where it cannot: it is not installed, may not, or does not know the calls.
    fn begin(server: &Server, bench: &Bench) -> io::Result<Option<Self>> {
        let written = bench.folder.join("calls");
        let mut perf = Command::new("perf");
        perf.args(["stat", "-x", ",", "-p", &server.id().to_string(), "-o"]).arg(&written);
        for (event, filter) in CALLS {
            perf.args(["-e", event, "--filter", filter]);
        }
        let Ok(mut perf) = perf.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
            return Ok(None);
        };
        thread::sleep(PERF_STARTS);
        Ok(perf.try_wait()?.is_none().then_some(Self { perf, written }))
    }

    /// How many there were of each.
    fn end(mut self) -> io::Result<[u64; CALLS.len()]> {
        thread::sleep(PERF_STARTS);
        kill(self.perf.id(), libc::SIGINT)?;
        self.perf.wait()?;
        let text = fs::read_to_string(&self.written)?;
        // Each line begins with the number; the file's own head with a `#`.
        let counts: Vec<u64> = text.lines().filter_map(|line| line.split(',').next()?.parse().ok()).collect();
        counts.try_into().map_err(|_| io::Error::other(format!("perf says something else: {text}")))
    }
}
