//! What is written down: every run raw, and of each part a table and plots.
//!
//! A part writes its files when it is over, so that one that fails later takes nothing along.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use crate::plot::{self, Group, Series, Stack};

/// The folder of a run.
pub(crate) struct Report {
    folder: PathBuf,
    text: String,
}

impl Report {
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), text: String::new() })
    }

    /// A file of raw numbers.
    pub(crate) fn raw(&self, file: &str, columns: &str, rows: &[String]) -> io::Result<()> {
        let lines: String = rows.iter().fold(format!("{columns}\n"), |lines, row| lines + row + "\n");
        fs::write(self.folder.join(file), lines)
    }

    /// A table of `report.md`, its cells parted by tabs, with a sentence below.
    pub(crate) fn table(&mut self, title: &str, columns: &str, rows: &[String], note: &str) -> io::Result<()> {
        let line = |cells: &str| format!("| {} |\n", cells.replace('\t', " | "));
        let under = format!("|{}\n", "---|".repeat(columns.split('\t').count()));
        let mut text = format!("## {title}\n\n{}{under}", line(columns));
        text.extend(rows.iter().map(|row| line(row)));
        if !note.is_empty() {
            writeln!(text, "\n{note}").expect("in memory");
        }
        println!("\n{text}");
        self.text += &(text + "\n");
        fs::write(self.folder.join("report.md"), &self.text)
    }

    pub(crate) fn bars(&self, file: &str, groups: &[Group<'_>]) -> io::Result<()> {
        fs::write(self.folder.join(file), plot::bars(groups))
    }

    pub(crate) fn stacked(&self, file: &str, bars: Stack<'_>) -> io::Result<()> {
        fs::write(self.folder.join(file), plot::stacked(bars))
    }

    pub(crate) fn lines(&self, file: &str, title: &str, across: &str, series: &[Series]) -> io::Result<()> {
        fs::write(self.folder.join(file), plot::lines(title, across, series))
    }
}

/// The middle one; of none, 0.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The median of what each run of `ours` is to the run of `theirs` in the same turn: a machine's moods meet both.
pub(crate) fn paired_ratio(theirs: &[f64], ours: &[f64]) -> f64 {
    median(theirs.iter().zip(ours).map(|(theirs, ours)| theirs / ours))
}
