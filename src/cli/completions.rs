//! `dnsbld completions`: completions for a shell.

use std::{io, process::ExitCode};

use clap::CommandFactory as _;
use clap_complete::Shell;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The shell
    shell: Shell,
}

#[allow(clippy::unnecessary_wraps)] // as all commands
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "dnsbld", &mut io::stdout());
    Ok(ExitCode::SUCCESS)
}
