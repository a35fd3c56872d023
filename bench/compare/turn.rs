//! What a server's turn at the storms' rate came to, with what the machine and its host did meanwhile, and what several turns came
//! to together.

use std::{
    fs, io,
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, ScopedJoinHandle},
    time::Duration,
};

use crate::{
    generator::{Outcome, Pace, Question},
    report::median,
    server::Server,
    servers::{Row, measure},
};

const RATE: f64 = 20_000.0;
/// An answer that takes longer is late.
const LATE_US: u32 = 5_000;

pub(crate) struct Turn {
    pub(crate) row: Row,
    pub(crate) most_mib: f64,
    stolen_ms: f64,
}

impl Turn {
    pub(crate) const COLUMNS: &str = "over_5_ms\tp99_us_without_load\tlongest_us_without_load\tmost_mib\tstolen_ms";

    /// Asks a server for so long about these lists while `what` happens.
    pub(crate) fn measure(
        server: &Server,
        list: &str,
        what: &str,
        questions: &[Question],
        time: Duration,
    ) -> io::Result<Self> {
        let (most_mib, before_ms) = (server.memory_mib("VmRSS")?, stolen_ms()?);
        let mut row = measure(server, list, questions, Pace::Open(RATE), time)?;
        row.what = what.into();
        Ok(Self { row, most_mib, stolen_ms: stolen_ms()? - before_ms })
    }

    pub(crate) fn line(&self) -> String {
        let Self { row, most_mib, stolen_ms } = self;
        let [own_p99, own_longest] = [990, 1_000].map(|permille| row.outcome.served_permille_us(permille));
        let late = row.outcome.beyond(LATE_US);
        format!("{}\t{late}\t{own_p99}\t{own_longest}\t{most_mib:.1}\t{stolen_ms:.0}", row.line())
    }
}

/// Calls `look` that often on a thread of its own while `load` runs.
pub(crate) fn beside<T>(
    every: Duration,
    mut look: impl FnMut() -> io::Result<()> + Send,
    load: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                look()?;
                thread::sleep(every);
            }
            Ok(())
        });
        let loaded = load();
        is_over.store(true, Ordering::Relaxed);
        joined(watching)?;
        loaded
    })
}

/// What a thread beside the load came to.
pub(crate) fn joined<T>(thread: ScopedJoinHandle<'_, io::Result<T>>) -> io::Result<T> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread beside the load panicked")))
}

/// What the machine's host has taken of all its cores so far, in milliseconds; nothing where no kernel says it.
fn stolen_ms() -> io::Result<f64> {
    /// Of the line's words, after user, nice, system, idle, iowait, irq and softirq.
    const STEAL: usize = 8;
    const MS_PER_TICK: f64 = 10.0;
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks = stat.lines().next().and_then(|line| line.split_whitespace().nth(STEAL)?.parse::<f64>().ok());
    Ok(ticks.unwrap_or(0.0) * MS_PER_TICK)
}

/// Several turns of one server: percentiles are medians of them, what is longest or the most is so of all.
pub(crate) struct Together {
    pub(crate) lost: f64,
    pub(crate) p99_us: f64,
    pub(crate) longest_us: f64,
    /// Of a table.
    pub(crate) cells: String,
}

impl Together {
    pub(crate) const COLUMNS: &str = "queries\tlost\twrong\tp50 µs\tp99 µs\tp99.9 µs\tlongest µs\tover 5 ms\t\
         the load's own delay µs\tp99 µs without the load's part\tlongest\tMiB at most\tstolen from the machine ms";

    pub(crate) fn of(turns: &[&Turn]) -> Self {
        let sum = |of: fn(&Turn) -> f64| turns.iter().map(|turn| of(turn)).sum::<f64>();
        let most = |of: fn(&Turn) -> f64| turns.iter().map(|turn| of(turn)).fold(0.0, f64::max);
        let middle = |of: &dyn Fn(&Outcome) -> u32| median(turns.iter().map(|turn| f64::from(of(&turn.row.outcome))));
        let [p50, p99_us, p999] = [500, 990, 999].map(|permille| middle(&|outcome| outcome.permille_us(permille)));
        let own_p99 = middle(&|outcome| outcome.served_permille_us(990));
        let longest_us = most(|turn| f64::from(turn.row.outcome.permille_us(1_000)));
        let own_longest = most(|turn| f64::from(turn.row.outcome.served_permille_us(1_000)));
        let lost = sum(|turn| turn.row.outcome.lost as f64);
        let cells = format!(
            "{}\t{lost}\t{}\t{p50}\t{p99_us}\t{p999}\t{longest_us}\t{}\t{}\t{own_p99}\t{own_longest}\t{:.0}\t{:.0}",
            sum(|turn| turn.row.outcome.sent as f64),
            sum(|turn| turn.row.outcome.wrong as f64),
            sum(|turn| turn.row.outcome.beyond(LATE_US) as f64),
            most(|turn| f64::from(turn.row.outcome.late_us)),
            most(|turn| turn.most_mib),
            sum(|turn| turn.stolen_ms),
        );
        Self { lost, p99_us, longest_us, cells }
    }
}
