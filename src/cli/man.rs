//! `dnsbld man`: manual pages for a packager, a page for each command, made from what the commands say of themselves.

use std::{
    env, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use crate::live::clock;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where to; it is made if it is not there
    folder: PathBuf,
}

/// What every command ends with, unless it says otherwise.
const EXIT_CODES: [(&str, &str); 4] = [
    ("0", "All is well."),
    ("1", "It could not be done, or something is wrong with what was looked at. diff: something changes."),
    ("2", "The arguments cannot be understood. diff: trouble."),
    ("3", "check --against: more would change than the limits allow."),
];

const FILES: [(&str, &str); 3] = [
    (
        "/etc/dnsbld/dnsbld.toml",
        "The usual place of the configuration; deploy/dnsbld.toml is a sample that explains every key.",
    ),
    (
        "FOLDER/.dnsbld",
        "The state of a server of that zones folder: control socket, live listings and last good versions.",
    ),
    ("$STATE_DIRECTORY", "The same, where systemd gives one; of several, the first."),
];

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let folder = &arguments.folder;
    let date = date()?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut command = without_help(super::Arguments::command());
    command.build();
    let count = write_all(&command, folder, &date)?;
    writeln!(io::stdout(), "{count} pages in {}", folder.display())?;
    Ok(ExitCode::SUCCESS)
}

/// A command and those below it without the one that prints their help: it has no page that others could refer to.
fn without_help(command: Command) -> Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}

/// Writes the page of a command and those of the commands below it, and returns how many.
fn write_all(command: &Command, folder: &Path, date: &str) -> anyhow::Result<usize> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).replace(' ', "-");
    let path = folder.join(format!("{name}.1"));
    fs::write(&path, page(command, &name, date)?).with_context(|| format!("cannot write {}", path.display()))?;
    let mut count = 1;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        count += write_all(below, folder, date)?;
    }
    Ok(count)
}

fn page(command: &Command, name: &str, date: &str) -> io::Result<String> {
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .date(date)
        .manual("dnsbld")
        .source(concat!("dnsbld ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render(&mut page)?;
    for (title, rows) in [("EXIT STATUS", &EXIT_CODES[..]), ("FILES", &FILES)] {
        let mut section = Roff::new();
        section.control("SH", [title]);
        for (word, text) in rows {
            section.control("TP", []);
            section.text([bold(*word)]);
            section.text([roman(*text)]);
        }
        section.to_writer(&mut page)?;
    }
    // Two line breaks around an empty line are meant to be a paragraph.
    Ok(String::from_utf8(page).map_err(io::Error::other)?.replace(".br\n\n.br\n", ".sp\n"))
}

/// The day that stands on the pages: today, or what a packager wants there so that the same source makes the same package
/// (reproducible-builds.org, `SOURCE_DATE_EPOCH`).
fn date() -> anyhow::Result<String> {
    let now_s = match env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text.parse().with_context(|| format!("SOURCE_DATE_EPOCH: `{text}` is not a count of seconds"))?,
        Err(_) => clock::now_s(),
    };
    Ok(clock::date(now_s).split('T').next().unwrap_or_default().to_owned())
}
