//! rbldnsd's statistics file (`-s`), a line an interval, and its counters in the log (SIGUSR1, SIGUSR2).
//!
//! `timestamp zone:qtot:qok:qnxd:bin:bout ... *:qtot:qok:qnxd:bin:bout`, and a bare timestamp where counting starts anew.

use std::{
    fmt::Write as _,
    fs::OpenOptions,
    io::{self, Write as _},
    path::PathBuf,
};

use tracing::{info, warn};

use crate::{live::clock, metrics::Totals, server::Running, wire::Rcode};

/// The statistics file.
pub(super) struct StatsFile {
    path: PathBuf,
    /// Write what came since the last line, and not since the start.
    is_relative: bool,
    /// The counts that lines are relative to.
    base: Vec<(String, Totals)>,
    since_s: u64,
}

impl StatsFile {
    /// Reads `[+]FILE`; an empty name is no file.
    pub(super) fn new(text: &str) -> Option<Self> {
        let (is_relative, path) = text.strip_prefix('+').map_or((false, text), |path| (true, path));
        (!path.is_empty()).then(|| Self { path: path.into(), is_relative, base: Vec::new(), since_s: clock::now_s() })
    }

    /// When counting began.
    pub(super) fn since_s(&self) -> u64 {
        self.since_s
    }

    /// Begins counting. Workers may have counted already: nothing of it is left out.
    pub(super) fn begin(&mut self) {
        self.since_s = clock::now_s();
        self.append(&format!("{}\n", self.since_s));
    }

    /// Begins counting anew.
    pub(super) fn restart(&mut self, running: &Running) {
        self.since_s = clock::now_s();
        self.base = counts(running);
        self.append(&format!("{}\n", self.since_s));
    }

    /// Marks the end of counting.
    pub(super) fn end(&mut self) {
        self.append(&format!("{}\n", clock::now_s()));
    }

    /// Writes a line.
    pub(super) fn write(&mut self, running: &Running) {
        let now = counts(running);
        let mut line = clock::now_s().to_string();
        for (name, totals) in &now {
            let base = self.base.iter().find(|(known, _)| known == name).map(|(_, base)| *base).unwrap_or_default();
            let of = totals.since(&base);
            let written = write!(
                line,
                " {name}:{}:{}:{}:{}:{}",
                of.answered(),
                of.with_rcode(Rcode::NoError),
                of.with_rcode(Rcode::NxDomain),
                of.bytes_in,
                of.bytes_out
            );
            debug_assert!(written.is_ok(), "a String takes everything");
        }
        line.push('\n');
        self.append(&line);
        if self.is_relative {
            self.base = now;
        }
    }

    fn append(&self, line: &str) {
        let file = OpenOptions::new().append(true).create(true).open(&self.path);
        if let Err(error) =
            file.and_then(|mut file: std::fs::File| -> io::Result<()> { file.write_all(line.as_bytes()) })
        {
            warn!(file = %self.path.display(), "cannot write statistics: {error}");
        }
    }
}

/// The counts of each zone, and of everything as `*`.
fn counts(running: &Running) -> Vec<(String, Totals)> {
    let served = running.cell.load();
    let zones = served.snapshot.zones().iter().zip(&served.counters);
    zones
        .map(|(zone, counters)| (zone.apex.to_string(), counters.totals()))
        .chain(std::iter::once(("*".to_owned(), running.totals())))
        .collect()
}

/// Logs the counts.
pub(super) fn log(running: &Running, since_s: u64) {
    let seconds = clock::now_s().saturating_sub(since_s);
    for (name, totals) in counts(running) {
        let zone = if name == "*" { String::new() } else { format!(" zone {name}") };
        info!(
            "stats for {seconds}secs{zone}: tot={} ok={} nxd={} err={} in={} out={}",
            totals.answered(),
            totals.with_rcode(Rcode::NoError),
            totals.with_rcode(Rcode::NxDomain),
            totals.errors(),
            totals.bytes_in,
            totals.bytes_out
        );
    }
}
