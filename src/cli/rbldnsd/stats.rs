//! rbldnsd's statistics file (`-s`), a line an interval, and its counters in the log (SIGUSR1, SIGUSR2).
//!
//! `timestamp zone:qtot:qok:qnxd:bin:bout ... *:qtot:qok:qnxd:bin:bout`, and a bare timestamp where counting starts anew. What gets
//! no answer counts in the total of everything, as an error, and not in that of a zone: so rbldnsd has it.

use std::{
    fmt::Write as _,
    fs::OpenOptions,
    io::{self, Write as _},
    path::PathBuf,
};

use tracing::{info, warn};

use crate::{live::clock, metrics::Totals, server::Running, wire::Rcode};

/// The counts of each zone, and of everything as `*`.
type Counts = Vec<(String, Totals)>;

/// The name of what is counted of everything.
const EVERYTHING: &str = "*";

/// What is counted since the start or the last SIGUSR2, and the file that it is written to.
pub(super) struct Statistics {
    file: Option<StatsFile>,
    /// What had been counted when counting began.
    base: Counts,
    since_s: u64,
}

/// The statistics file.
struct StatsFile {
    path: PathBuf,
    /// What lines are relative to, if not to when counting began: what was counted up to the line before.
    line_base: Option<Counts>,
}

impl Statistics {
    /// Reads `[+]FILE`: with the plus, a line tells what came since the one before. An empty name is no file.
    pub(super) fn new(text: &str) -> Self {
        let (line_base, path) = text.strip_prefix('+').map_or((None, text), |path| (Some(Vec::new()), path));
        let file = (!path.is_empty()).then(|| StatsFile { path: path.into(), line_base });
        Self { file, base: Vec::new(), since_s: clock::now_s() }
    }

    /// Begins counting. Workers may have counted already: nothing of it is left out.
    pub(super) fn begin(&mut self) {
        self.since_s = clock::now_s();
        self.mark(self.since_s);
    }

    /// Begins counting anew.
    pub(super) fn restart(&mut self, running: &Running) {
        self.base = counts(running);
        if let Some(line_base) = self.file.as_mut().and_then(|file| file.line_base.as_mut()) {
            line_base.clone_from(&self.base);
        }
        self.begin();
    }

    /// Marks the end of counting.
    pub(super) fn end(&self) {
        self.mark(clock::now_s());
    }

    fn mark(&self, at_s: u64) {
        if let Some(file) = &self.file {
            file.append(&format!("{at_s}\n"));
        }
    }

    /// Writes a line, if there is a file.
    pub(super) fn write(&mut self, running: &Running) {
        let Some(file) = &mut self.file else { return };
        let now = counts(running);
        let mut line = clock::now_s().to_string();
        for (name, of) in since(&now, file.line_base.as_ref().unwrap_or(&self.base)) {
            let written = write!(
                line,
                " {name}:{}:{}:{}:{}:{}",
                total(name, &of),
                of.with_rcode(Rcode::NoError),
                of.with_rcode(Rcode::NxDomain),
                of.bytes_in,
                of.bytes_out
            );
            debug_assert!(written.is_ok(), "a String takes everything");
        }
        line.push('\n');
        file.append(&line);
        if let Some(line_base) = &mut file.line_base {
            *line_base = now;
        }
    }

    /// Logs what was counted.
    pub(super) fn log(&self, running: &Running) {
        let seconds = clock::now_s().saturating_sub(self.since_s);
        for (name, of) in since(&counts(running), &self.base) {
            // Its very words: of the total it says `sec`.
            let of_what = if name == EVERYTHING { "sec".to_owned() } else { format!("secs zone {name}") };
            let (total, ok, nxd) = (total(name, &of), of.with_rcode(Rcode::NoError), of.with_rcode(Rcode::NxDomain));
            info!(
                "stats for {seconds}{of_what}: tot={total} ok={ok} nxd={nxd} err={} in={} out={}",
                total - ok - nxd,
                of.bytes_in,
                of.bytes_out
            );
        }
    }
}

impl StatsFile {
    fn append(&self, line: &str) {
        let file = OpenOptions::new().append(true).create(true).open(&self.path);
        if let Err(error) =
            file.and_then(|mut file: std::fs::File| -> io::Result<()> { file.write_all(line.as_bytes()) })
        {
            warn!(file = %self.path.display(), "cannot write statistics: {error}");
        }
    }
}

/// What was counted after `base`.
fn since<'a>(now: &'a Counts, base: &Counts) -> impl Iterator<Item = (&'a str, Totals)> {
    now.iter().map(|(name, totals)| {
        let base = base.iter().find(|(known, _)| known == name).map(|(_, base)| *base).unwrap_or_default();
        (name.as_str(), totals.since(&base))
    })
}

/// How many queries came.
fn total(name: &str, of: &Totals) -> u64 {
    if name == EVERYTHING { of.requests() } else { of.answered() }
}

fn counts(running: &Running) -> Counts {
    let served = running.cell.load();
    let zones = served.snapshot.zones().iter().zip(&served.counters);
    zones
        .map(|(zone, counters)| (zone.apex.to_string(), counters.totals()))
        .chain(std::iter::once((EVERYTHING.to_owned(), running.totals())))
        .collect()
}
