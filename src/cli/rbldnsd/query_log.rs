//! rbldnsd's query log (`-l`): a line a reply, written by a thread of its own so that no query waits for a disk.
//!
//! `EPOCH CLIENT NAME TYPE CLASS: RCODE/ANSWERS/LENGTH`

use std::{
    fs::OpenOptions,
    io::{self, BufWriter, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::RecvTimeoutError,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tracing::warn;

use crate::{
    server::{LoggedQueries, LoggedQuery, QueryLog},
    wire::{HEADER_LEN, Rcode, class, name::labels, rr},
};

/// Queries that wait to be written; more are not logged, which is said.
const QUEUE_LEN: usize = 65_536;
/// How often a quiet log is written out.
const FLUSH: Duration = Duration::from_millis(500);

/// The log while it is open.
pub(super) struct QueryLogFile {
    log: QueryLog,
    reopen: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl QueryLogFile {
    /// Opens `[+]FILE`, where `-` is standard output; an empty name is no log. One that cannot be opened is tried again when it is
    /// to be reopened, as by rbldnsd.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(text: &str) -> anyhow::Result<Option<Self>> {
        let (is_unbuffered, path) = text.strip_prefix('+').map_or((false, text), |path| (true, path));
        if path.is_empty() {
            return Ok(None);
        }
        let path = (path != "-").then(|| PathBuf::from(path));
        let target = open(path.as_ref()).unwrap_or_else(|error| {
            warn!("unable to open logfile {text}: {error}; nothing is logged there until SIGHUP");
            BufWriter::new(Box::new(io::sink()))
        });
        let (log, queries) = QueryLog::with_room(QUEUE_LEN, "");
        let log = log.without_zones();
        let (reopen, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let flags = (Arc::clone(&reopen), Arc::clone(&ended));
        let thread = thread::Builder::new()
            .name("query log".to_owned())
            .spawn(move || write_all(target, path.as_ref(), is_unbuffered, queries, &flags.0, &flags.1))?;
        Ok(Some(Self { log, reopen, ended, thread }))
    }

    pub(super) fn sender(&self) -> QueryLog {
        self.log.clone()
    }

    /// Opens the file anew before the next line: it may have been rotated.
    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::Relaxed);
    }

    /// Writes what waits, and ends.
    pub(super) fn finish(self) {
        self.ended.store(true, Ordering::Relaxed);
        drop(self.log);
        if self.thread.join().is_err() {
            warn!("the query log panicked");
        }
    }
}

type Target = BufWriter<Box<dyn Write + Send>>;

fn open(path: Option<&PathBuf>) -> io::Result<Target> {
    Ok(BufWriter::new(match path {
        None => Box::new(io::stdout()) as Box<dyn Write + Send>,
        Some(path) => Box::new(OpenOptions::new().append(true).create(true).open(path)?) as Box<dyn Write + Send>,
    }))
}

fn write_all(
    mut target: Target,
    path: Option<&PathBuf>,
    is_unbuffered: bool,
    mut queries: LoggedQueries,
    reopen: &AtomicBool,
    ended: &AtomicBool,
) {
    let mut is_complaining = true;
    loop {
        let received = queries.next(FLUSH);
        let mut result = Ok(());
        // Before the line that comes now: whoever rotates looks for it in the new file.
        if reopen.swap(false, Ordering::Relaxed) {
            result = target.flush().and_then(|()| {
                target = open(path)?;
                Ok(())
            });
        }
        result = result.and(match received {
            Ok(query) => write_line(&mut target, &query),
            Err(RecvTimeoutError::Timeout) if !ended.load(Ordering::Relaxed) => target.flush(),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                if let Err(error) = target.flush() {
                    warn!("cannot write the query log: {error}");
                }
                return;
            }
        });
        if is_unbuffered {
            result = result.and_then(|()| target.flush());
        }
        match result {
            Ok(()) => is_complaining = true,
            Err(error) if is_complaining => {
                warn!("cannot write the query log: {error}");
                is_complaining = false;
            }
            Err(_) => {}
        }
    }
}

fn write_line(out: &mut impl Write, query: &LoggedQuery) -> io::Result<()> {
    let Ok(rcode) = query.outcome.fate else { return Ok(()) };
    let question = query.request.get(HEADER_LEN..).unwrap_or_default();
    let Some(end) = name_end(question) else { return Ok(()) };
    write!(out, "{} {} ", query.now_s, query.client.ip())?;
    write_name(out, &question[..end])?;
    let field =
        |at: usize| question.get(end + at..end + at + 2).map_or(0, |octets| u16::from_be_bytes([octets[0], octets[1]]));
    match field(0) {
        rr::A => write!(out, " A"),
        rr::NS => write!(out, " NS"),
        rr::SOA => write!(out, " SOA"),
        rr::PTR => write!(out, " PTR"),
        rr::MX => write!(out, " MX"),
        rr::TXT => write!(out, " TXT"),
        rr::AAAA => write!(out, " AAAA"),
        rr::AXFR => write!(out, " AXFR"),
        rr::IXFR => write!(out, " IXFR"),
        rr::ANY => write!(out, " ANY"),
        other => write!(out, " type{other}"),
    }?;
    match field(2) {
        class::IN => write!(out, " IN"),
        class::CH => write!(out, " CH"),
        class::ANY => write!(out, " ANY"),
        4 => write!(out, " HS"),
        other => write!(out, " class{other}"),
    }?;
    let code = if rcode == Rcode::NotImp { "NOTIMPL" } else { rcode.name() };
    writeln!(out, ": {code}/{}/{}", query.outcome.answer_count, query.outcome.reply_len)
}

/// Length of the name at the start of a question, its root octet included.
fn name_end(question: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let length = usize::from(*question.get(at)?);
        at += 1 + length;
        if length == 0 {
            return (at <= question.len()).then_some(at);
        }
    }
}

/// The name in the case it was asked in.
fn write_name(out: &mut impl Write, wire: &[u8]) -> io::Result<()> {
    if wire.len() <= 1 {
        return write!(out, ".");
    }
    for (index, label) in labels(wire).enumerate() {
        if index > 0 {
            write!(out, ".")?;
        }
        for &octet in label {
            match octet {
                b'.' | b'\\' => write!(out, "\\{}", octet as char)?,
                b'!'..=b'~' => out.write_all(&[octet])?,
                _ => write!(out, "\\{octet:03}")?,
            }
        }
    }
    Ok(())
}
