//! The `dnsbld` program: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    dnsbld::cli::run(std::env::args_os())
}
