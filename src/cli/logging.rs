//! Where messages go: lines with a time and a level, JSON, or what rbldnsd would print.

mod journal;
mod queue;
mod socket;

use std::{
    env::{self, VarError},
    fmt, io,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clap::ValueEnum;
use tracing::{Event, Level, Subscriber, field::Field};
use tracing_subscriber::{
    EnvFilter, Layer,
    fmt::writer::BoxMakeWriter,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use self::{
    journal::{Journal, JournalLayer},
    queue::Queue,
    socket::LogSocket,
};
use crate::metrics::LogDrops;

/// The form of messages.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LogFormat {
    /// One line for people
    Text,
    /// One JSON object
    Json,
    /// systemd's journal, each field by itself
    Journald,
}

/// What is logged, and what is to be said of that.
struct Choice {
    filter: EnvFilter,
    fault: Option<String>,
}

impl Choice {
    /// What `RUST_LOG` says, if it is there and can be understood.
    fn of_environment(default_level: &str) -> Self {
        let read = match env::var(EnvFilter::DEFAULT_ENV) {
            Ok(text) => EnvFilter::try_new(&text).map_err(|error| Some(format!("`{text}`: {error}"))),
            Err(VarError::NotPresent) => Err(None),
            Err(error) => Err(Some(error.to_string())),
        };
        match read {
            Ok(filter) => Self { filter, fault: None },
            Err(fault) => Self { filter: EnvFilter::new(default_level), fault },
        }
    }
}

/// Says once there is a log that what was to be logged cannot be understood.
fn mention(fault: Option<String>) {
    if let Some(fault) = fault {
        let levels = "error, warn, info, debug or trace, as in RUST_LOG=dnsbld=debug";
        tracing::warn!("RUST_LOG is not understood, and does nothing: {fault}: expected {levels}");
    }
}

/// The log of a server. What waits to be written is written when it is dropped, if somebody reads.
pub(super) struct ServerLog(Option<Queue>);

impl ServerLog {
    /// What was not written, since whoever reads did not keep up.
    pub(super) fn drops(&self) -> LogDrops {
        self.0.as_ref().map(Queue::drops).unwrap_or_default()
    }

    /// Has its thread give up what the server has just given up: that goes for each thread by itself.
    pub(super) fn confine(&self) {
        if let Some(queue) = &self.0 {
            queue.confine();
        }
    }

    /// Waits until what was said so far is written, for a moment if nobody reads.
    pub(super) fn flush(&self) {
        if let Some(queue) = &self.0 {
            queue.flush();
        }
    }
}

impl Drop for ServerLog {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The same as [`start`] for a server, which does not wait for whoever reads its log. Where there is no journal, messages go to
/// standard error, which says so.
pub(super) fn start_for_server(format: LogFormat, default_level: &str) -> ServerLog {
    if let LogFormat::Journald = format {
        return match Journal::open(Path::new(journal::SOCKET)).and_then(Queue::start_to) {
            Ok(queue) => to_journal(queue, default_level),
            Err(error) => {
                let log = start_for_server(LogFormat::Text, default_level);
                tracing::warn!("no journal: {error}; messages go to standard error");
                log
            }
        };
    }
    let queue = Queue::start().ok();
    let writer = queue.clone().map_or_else(|| BoxMakeWriter::new(io::stderr), BoxMakeWriter::new);
    to_stderr(format, default_level, writer);
    ServerLog(queue)
}

/// Sends messages to standard error, as lines for people. `RUST_LOG` chooses which, as in `RUST_LOG=dnsbld=debug`.
pub(super) fn start(default_level: &str) {
    to_stderr(LogFormat::Text, default_level, BoxMakeWriter::new(io::stderr));
}

fn to_stderr(format: LogFormat, default_level: &str, writer: BoxMakeWriter) {
    let Choice { filter, fault } = Choice::of_environment(default_level);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_target(false);
    // What cannot be written is dropped: to complain of it on standard error would be a panic where that is what failed.
    let builder = builder.log_internal_errors(false);
    let started = if let LogFormat::Json = format {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).try_init()
    };
    debug_assert!(started.is_ok(), "one command, one log");
    mention(fault);
}

fn to_journal(queue: Queue, default_level: &str) -> ServerLog {
    let layer = JournalLayer::new(queue.clone());
    let Choice { filter, fault } = Choice::of_environment(default_level);
    let started = tracing_subscriber::registry().with(filter).with(layer).try_init();
    debug_assert!(started.is_ok(), "one command, one log");
    mention(fault);
    ServerLog(Some(queue))
}

/// Prints messages as rbldnsd does: what it does on standard output, what is wrong on standard error, and once it is a
/// daemon all to the system's log.
pub(super) struct RbldnsdLog {
    program: String,
    quiet: bool,
    syslog: Option<Mutex<LogSocket>>,
    facility: u8,
}

/// Where the system's log listens.
const SYSLOG: &str = "/dev/log";

/// How long a line waits for the system's log.
const SYSLOG_WAIT: Duration = Duration::from_millis(100);

static IN_BACKGROUND: AtomicBool = AtomicBool::new(false);

/// From now on nobody reads standard output and error.
pub(super) fn go_to_background() {
    IN_BACKGROUND.store(true, Ordering::Relaxed);
}

/// The way to the system's log, whether or not it is there yet.
fn syslog_at(path: &Path) -> io::Result<LogSocket> {
    let socket = LogSocket::new(path)?;
    // A log that takes nothing any more is not waited for; one that is busy is, or a start with many faults loses some.
    socket.wait_at_most(SYSLOG_WAIT)?;
    // Before a chroot, or the socket would be out of reach. If nobody listens, it is looked for again with the first line.
    let _may_be_started_later = socket.connect();
    Ok(socket)
}

impl RbldnsdLog {
    /// Starts printing.
    pub(super) fn start(program: &str, quiet: bool, facility: u8, with_syslog: bool) {
        let syslog = with_syslog.then(|| syslog_at(Path::new(SYSLOG)).ok()).flatten().map(Mutex::new);
        let layer = Self { program: program.to_owned(), quiet, syslog, facility };
        let started = tracing_subscriber::registry().with(layer).try_init();
        debug_assert!(started.is_ok(), "one command, one log");
    }

    fn to_syslog(&self, level: Level, text: &str) {
        let severity = match level {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        let line = format!("<{}>{}[{}]: {text}", self.facility << 3 | severity, self.program, std::process::id());
        if let Some(socket) = &self.syslog {
            // One after the other: whoever connects anew must not do so between another's two steps.
            match socket.lock().unwrap_or_else(PoisonError::into_inner).send(line.as_bytes()) {
                Ok(_) | Err(_) => {} // a log that is away has nowhere to be complained about
            }
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for RbldnsdLog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        if level > Level::INFO || !event.metadata().target().starts_with("dnsbld") {
            return;
        }
        let mut text = MessageText::default();
        event.record(&mut text);
        let text = format!("{}{}", text.fields, text.message);
        self.to_syslog(level, &text);
        if IN_BACKGROUND.load(Ordering::Relaxed) {
            return;
        }
        let line = format!("{}: {text}\n", self.program);
        let written = if level == Level::INFO {
            if self.quiet { Ok(()) } else { io::Write::write_all(&mut io::stdout(), line.as_bytes()) }
        } else {
            io::Write::write_all(&mut io::stderr(), line.as_bytes())
        };
        match written {
            Ok(()) | Err(_) => {} // whoever closed the stream does not want it
        }
    }
}

/// An event as text: fields first, as the thing that is spoken of, then what is said.
#[derive(Default)]
struct MessageText {
    fields: String,
    message: String,
}

impl tracing::field::Visit for MessageText {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use fmt::Write as _;
        let written = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, "{} {value:?}: ", field.name())
        };
        debug_assert!(written.is_ok(), "a String takes everything");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn a_system_log_that_comes_later_or_anew_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let syslog = Some(Mutex::new(syslog_at(&path).expect("a socket")));
        let log = RbldnsdLog { program: "rbldnsd".to_owned(), quiet: true, syslog, facility: 3 };
        log.to_syslog(Level::INFO, "to nobody");
        for line in ["that came later", "that was started anew", "and once more"] {
            let listening = UnixDatagram::bind(&path).expect("a socket");
            listening.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
            log.to_syslog(Level::WARN, line);
            let mut told = [0; 100];
            let len = listening.recv(&mut told).unwrap_or_else(|error| panic!("{line}: {error}"));
            let told = String::from_utf8_lossy(&told[..len]);
            assert_eq!(told, format!("<28>rbldnsd[{}]: {line}", std::process::id()));
            drop(listening);
            std::fs::remove_file(&path).expect("removed");
            log.to_syslog(Level::INFO, "to nobody");
        }
    }
}
