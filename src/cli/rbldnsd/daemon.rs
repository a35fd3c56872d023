//! Becoming a daemon: the process that was started waits until the other one serves, so that its exit code is true.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::fd::OwnedFd,
    process::ExitCode,
};

use anyhow::Context as _;
use nix::unistd::{ForkResult, pipe, setsid};

use super::super::logging;

/// Which of the two processes this is.
pub(super) enum Fork {
    /// The one that was started: it ends with this code.
    Parent(ExitCode),
    /// The one that serves.
    Child(Parent),
}

/// The process that waits.
pub(super) struct Parent {
    /// How it is told, and what takes the place of the terminal, which is not there any more once the file system is one folder.
    ways: Option<(File, File)>,
    /// Somebody reads what is logged to standard output.
    keeps_output: bool,
}

impl Parent {
    /// Nobody waits: the server stays in the foreground.
    pub(super) fn none() -> Fork {
        Fork::Child(Self { ways: None, keeps_output: true })
    }

    /// Tells it that all went well, and lets go of its terminal, but for standard output where that is the query log.
    pub(super) fn release(self) -> anyhow::Result<()> {
        let Some((mut told, null)) = self.ways else { return Ok(()) };
        logging::go_to_background();
        nix::unistd::dup2_stdin(&null)?;
        if !self.keeps_output {
            nix::unistd::dup2_stdout(&null)?;
        }
        nix::unistd::dup2_stderr(&null)?;
        told.write_all(b"1").context("the process that started the daemon is gone")
    }
}

/// Splits into two processes, of which the one that serves may keep standard output. Must come before any thread is started.
#[allow(unsafe_code)]
pub(super) fn fork(keeps_output: bool) -> anyhow::Result<Fork> {
    const NULL: &str = "/dev/null";
    let null = OpenOptions::new().read(true).write(true).open(NULL).with_context(|| format!("cannot open {NULL}"))?;
    let (waiting, told): (OwnedFd, OwnedFd) = pipe().context("cannot make a pipe")?;
    // What is buffered would be written by both.
    io::stdout().flush()?;
    // SAFETY: the process has one thread, so no lock can be held by a thread that the child lacks.
    match unsafe { nix::unistd::fork() }.context("cannot fork")? {
        ForkResult::Parent { .. } => {
            drop(told);
            let mut word = [0];
            // Without a word the child has ended, and has said why.
            let is_served = File::from(waiting).read(&mut word)? == 1;
            Ok(Fork::Parent(if is_served { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
        }
        ForkResult::Child => {
            drop(waiting);
            setsid().context("cannot leave the terminal")?;
            Ok(Fork::Child(Parent { ways: Some((told.into(), null)), keeps_output }))
        }
    }
}
