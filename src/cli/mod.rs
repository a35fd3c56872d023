//! The command line: a file for each command, or for several that are alike. Called by the name `rbldnsd`, the program is rbldnsd.

mod backup;
mod check;
mod completions;
mod control;
mod diff;
mod dump;
mod listings;
pub(crate) mod logging;
mod man;
mod querylog;
mod rbldnsd;
mod serve;
mod stats;
mod zones_args;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};
use tracing::warn;

use crate::{
    config::{self, Config, Oddity},
    live::printable::{printable, printable_lines},
};

/// Authoritative server for DNS blocklists and allowlists.
#[derive(Debug, Parser)]
#[command(
    name = "dnsbld",
    version,
    about = "Authoritative server for DNS blocklists and allowlists",
    after_help = "Try it:  dnsbld serve zones/   and then   dig @127.0.0.1 -p 5300 2.0.0.127.virbl.tee.gr TXT\n\
                  From rbldnsd:  dnsbld rbldnsd takes rbldnsd's command line unchanged."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve zones over UDP and TCP, and reload their files when they change
    Serve(Box<serve::Arguments>),
    /// Load zones, report what is wrong with them, and serve nothing
    Check(check::Arguments),
    /// Print zones as BIND zone files
    Dump(dump::Arguments),
    /// Say why, and for how long, something is listed by a running server
    Explain(control::ExplainArguments),
    /// Say what would be listed, delisted and changed by other files, in addresses and not in lines
    Diff(diff::Arguments),
    /// Have a running server look at its files now
    Reload(control::ReloadArguments),
    /// Say what a running server serves, what is wrong, and which files and interfaces it does not use
    Status(control::StatusArguments),
    /// List addresses or names now, for a time
    List(listings::ListArguments),
    /// Delist what was listed or excluded by `list`
    Delist(listings::DelistArguments),
    /// Show what is listed and excluded by command; export, import, back up
    Listings(listings::ListingsArguments),
    /// Say what happened to an address or name: who listed it, when, why, until when
    History(listings::HistoryArguments),
    /// Show what a running server does: queries by zone, result and code, hit rates, reloads, next expiries
    Stats(stats::Arguments),
    /// Switch the query log of a running server on or off, or say what it does
    Querylog(querylog::Arguments),
    /// Be rbldnsd: its options, files and signals, unchanged
    #[command(disable_help_flag = true)]
    Rbldnsd(Box<rbldnsd::Arguments>),
    /// Print completions for a shell
    Completions(completions::Arguments),
    /// Write a manual page for each command into a folder
    Man(man::Arguments),
}

/// Runs the command that the arguments name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let called = arguments.first().map(|name| Path::new(name).file_name().unwrap_or_default().to_owned());
    if called.as_deref().is_some_and(|name| name == "rbldnsd") {
        return rbldnsd::run_from(arguments);
    }
    if arguments.get(1).is_some_and(|command| command == "rbldnsd") {
        return rbldnsd::run_from(arguments.into_iter().skip(1));
    }
    let is_json = arguments.iter().take_while(|word| *word != "--").any(|word| word == "--json");
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(error) => return misused(&error, is_json).unwrap_or_else(|error| fail_with(2, &error)),
    };
    let result = match parsed.command {
        Command::Serve(arguments) => serve::run(*arguments),
        Command::Check(arguments) => arguments.state.tell(check::run(&arguments)),
        Command::Dump(arguments) => dump::run(&arguments),
        Command::Explain(arguments) => arguments.state.tell(control::explain(&arguments)),
        Command::Diff(arguments) => return diff::run(&arguments),
        Command::Reload(arguments) => arguments.state.tell(control::reload(&arguments)),
        Command::Status(arguments) => arguments.state.tell(control::status(&arguments)),
        Command::List(arguments) => arguments.state.tell(listings::list(&arguments)),
        Command::Delist(arguments) => arguments.state.tell(listings::delist(&arguments)),
        Command::Listings(arguments) => arguments.state().tell(listings::listings(&arguments)),
        Command::History(arguments) => arguments.state.tell(listings::history(&arguments)),
        Command::Stats(arguments) => arguments.state.tell(stats::run(&arguments)),
        Command::Querylog(arguments) => arguments.state.tell(querylog::run(&arguments)),
        Command::Rbldnsd(arguments) => rbldnsd::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
    };
    result.unwrap_or_else(|error| fail("dnsbld", &error))
}

/// Says what is wrong with the arguments, or the help that they ask for. A program that reads JSON is told as of every error.
fn misused(error: &clap::Error, is_json: bool) -> anyhow::Result<ExitCode> {
    if !error.use_stderr() {
        error.print()?;
        return Ok(ExitCode::SUCCESS);
    }
    if is_json {
        let told = error.to_string();
        let (text, _usage) = told.split_once("\n\nUsage:").unwrap_or((&told, ""));
        control::tell_error(text.trim().trim_start_matches("error: "))?;
    }
    error.print()?;
    Ok(ExitCode::from(2))
}

/// Reads a time of an argument that means nothing without any.
fn some_time(text: &str) -> anyhow::Result<Duration> {
    let time = config::duration(text)?;
    anyhow::ensure!(!time.is_zero(), "must not be 0");
    Ok(time)
}

/// Warns of what is odd about a configuration, for a command that only serves.
fn warn_of_oddities(config: &Config) {
    for Oddity { place, text } in &config.oddities {
        warn!("{place}: {text}");
    }
}

/// Says why the program ends, with another code than usual.
fn fail_with(code: u8, error: &anyhow::Error) -> ExitCode {
    fail("dnsbld", error);
    ExitCode::from(code)
}

/// Writes to standard output. Whoever reads it may go away before its end, which is no failure: what was found is so, and the exit
/// code says it.
fn tell_reader(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => {
            written.map_err(|error| io::Error::new(error.kind(), format!("standard output cannot be written: {error}")))
        }
    }
}

/// Says why the program ends. A reader that has gone away is no failure worth words.
fn fail(program: &str, error: &anyhow::Error) -> ExitCode {
    let is_closed_pipe =
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
    if is_closed_pipe {
        return ExitCode::SUCCESS;
    }
    match writeln!(io::stderr(), "{program}: {}", printable_lines(&format!("{error:#}"))) {
        Ok(()) | Err(_) => ExitCode::FAILURE, // with standard error gone there is nobody left to tell
    }
}
