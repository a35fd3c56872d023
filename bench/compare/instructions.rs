//! What a query takes of a server's own instructions: all of its process under callgrind, the kernel's work apart.
//!
//! Each server is started once more and asked nothing for as long, and what that takes is taken off. So reading the list, what a
//! server does by itself, and ending do not count, and all that lies between the two system calls does.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Bench, WINDOW, data,
    fixtures::{Fixture, LISTED_PERCENT, QUESTIONS},
    generator::{Pace, ask},
    servers::{OURS, THEIRS},
};

const RUN: Duration = Duration::from_secs(3);
/// A second. Each comes by itself.
const RATE: f64 = 10_000.0;
/// How long a server may take to end and write down what was counted.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let lists =
        [("ip4set 1M", data::hosts(1_000_000, QUESTIONS, 1)), ("dnset 200k", data::names(200_000, QUESTIONS, 4))];
    let (mut lines, mut table) = (Vec::new(), Vec::new());
    for (name, list) in &lists {
        let list = Fixture::write(name, list, LISTED_PERCENT, &bench.folder)?;
        let mut of_theirs = [0.0; 2];
        for server in [THEIRS, OURS] {
            let (without, _) = count(bench, server, &list, None)?;
            let paces = [("together", Pace::Closed(WINDOW)), ("one by one", Pace::Open(RATE))];
            for ((come, pace), theirs) in paces.into_iter().zip(&mut of_theirs) {
                let (with, answered) = count(bench, server, &list, Some(pace))?;
                let each = with.saturating_sub(without) as f64 / answered.max(1) as f64;
                lines.push(format!("{name}\t{server}\t{come}\t{without}\t{with}\t{answered}\t{each:.1}"));
                println!("{}", lines[lines.len() - 1]);
                if server == THEIRS {
                    *theirs = each;
                }
                table.push(format!("{name}\t{server}\t{come}\t{each:.0}\t{:.2}", each / *theirs));
            }
        }
    }
    let columns = "list\tserver\tcome\twithout\twith\tanswered\teach";
    bench.report.raw("instructions.tsv", columns, &lines)?;
    let columns = "list\tserver\tqueries come\tinstructions a query\trbldnsd = 1";
    bench.report.table(
        "Instructions",
        columns,
        &table,
        "Of the whole process, under callgrind; the kernel's are not among them.",
    )
}

/// What a server took in all, and how many questions it answered.
fn count(bench: &Bench, name: &'static str, list: &Fixture, pace: Option<Pace>) -> io::Result<(u64, u64)> {
    let profile = bench.folder.join("profile");
    // Servers give up root's rights, and their counts are written after that.
    fs::write(&profile, "")?;
    fs::set_permissions(&profile, fs::Permissions::from_mode(0o666))?;
    let server = bench.programs.start_counted(name, &bench.folder, list, &profile)?;
    let answered = if let Some(pace) = pace {
        ask(server.address, &list.questions, pace, RUN, || {})?.answered
    } else {
        thread::sleep(RUN);
        0
    };
    server.signal(libc::SIGTERM)?;
    let asked = Instant::now();
    loop {
        if let Some(total) = total(&profile) {
            return Ok((total, answered));
        }
        if asked.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("{name} does not say what was counted")));
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// The total of a profile that is complete.
fn total(profile: &Path) -> Option<u64> {
    let text = fs::read_to_string(profile).ok()?;
    text.lines().rev().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok())
}
