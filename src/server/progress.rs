//! A bar for loads that take long enough to wonder.

use std::{
    io::IsTerminal as _,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::live::loading::Progress;

/// Loads that are shorter are over before anyone could read.
const PATIENCE: Duration = Duration::from_secs(1);
const REDRAW: Duration = Duration::from_millis(100);

/// The bar, from the start of a load to its end.
pub(crate) struct Bar {
    finished: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Bar {
    /// Follows a load, if standard error is a terminal.
    pub(crate) fn start(progress: Arc<Progress>) -> Self {
        let (finished, waiting) = mpsc::channel();
        let draw = move || {
            if waiting.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = ProgressBar::new(progress.total_bytes.load(Ordering::Relaxed));
            if let Ok(style) = ProgressStyle::with_template("{msg} {bar:40} {percent}% of {total_bytes}") {
                bar.set_style(style);
            }
            while waiting.recv_timeout(REDRAW) == Err(RecvTimeoutError::Timeout) {
                let (read, total) = (&progress.read_bytes, &progress.total_bytes);
                let (read, total) = (read.load(Ordering::Relaxed), total.load(Ordering::Relaxed));
                bar.set_message(if read < total { "reading" } else { "sorting" });
                bar.set_position(read);
            }
            bar.finish_and_clear();
        };
        // Without a thread there is no bar, and the load goes on.
        let thread = std::io::stderr().is_terminal().then(|| thread::Builder::new().spawn(draw).ok()).flatten();
        Self { finished, thread }
    }

    /// The load is over.
    pub(crate) fn finish(self) {
        drop(self.finished);
        if let Some(thread) = self.thread
            && thread.join().is_err()
        {
            tracing::warn!("the progress bar panicked");
        }
    }
}
