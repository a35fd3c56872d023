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
    wire::{
        HEADER_LEN, Rcode, class,
        name::{Name, QueryName},
        query::Header,
    },
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

/// Splits `[+]FILE` into whether each line is written at once, and the file.
fn parts(text: &str) -> (bool, &str) {
    text.strip_prefix('+').map_or((false, text), |path| (true, path))
}

/// Whether the log of `[+]FILE` goes to standard output.
pub(super) fn is_output(text: &str) -> bool {
    parts(text).1 == "-"
}

impl QueryLogFile {
    /// Opens `[+]FILE`, where `-` is standard output; an empty name is no log. One that cannot be opened is tried again when it is
    /// to be reopened, as by rbldnsd.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(text: &str) -> anyhow::Result<Option<Self>> {
        let (is_unbuffered, path) = parts(text);
        if path.is_empty() {
            return Ok(None);
        }
        let path = (!is_output(text)).then(|| PathBuf::from(path));
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
            let flushed = target.flush();
            result = open(path).map(|new| target = new).and(flushed);
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

/// What rbldnsd calls the types from 0 on.
#[rustfmt::skip]
const LOW_TYPES: [&str; 42] = [
    "INVALID", "A", "NS", "MD", "MF", "CNAME", "SOA", "MB", "MG", "MR", "NULL", "WKS", "PTR", "HINFO", "MINFO", "MX", "TXT",
    "RP", "AFSDB", "X25", "ISDN", "RT", "NSAP", "NSAP_PTR", "SIG", "KEY", "PX", "GPOS", "AAAA", "LOC", "NXT", "EID", "NIMLOC",
    "SRV", "ATMA", "NAPTR", "KX", "CERT", "A6", "DNAME", "SINK", "OPT",
];

/// And those from [`HIGH_START`] on.
const HIGH_TYPES: [&str; 7] = ["TSIG", "IXFR", "AXFR", "MAILB", "MAILA", "ANY", "ZXFR"];
const HIGH_START: usize = 250;

fn write_line(out: &mut impl Write, query: &LoggedQuery) -> io::Result<()> {
    let (Ok(rcode), Some((name, qtype, qclass))) = (query.outcome.fate, question(&query.request)) else {
        return Ok(());
    };
    write!(out, "{} {} {name}", query.now_s, query.client.ip())?;
    let number = usize::from(qtype);
    match LOW_TYPES.get(number).or_else(|| HIGH_TYPES.get(number.checked_sub(HIGH_START)?)) {
        Some(word) => write!(out, " {word}"),
        None => write!(out, " type{qtype}"),
    }?;
    match qclass {
        0 => write!(out, " INVALID"),
        class::IN => write!(out, " IN"),
        class::CH => write!(out, " CH"),
        4 => write!(out, " HS"),
        class::ANY => write!(out, " ANY"),
        other => write!(out, " class{other}"),
    }?;
    let code = if rcode == Rcode::NotImp { "NOTIMPL" } else { rcode.name() };
    writeln!(out, ": {code}/{}/{}", query.outcome.answer_count, query.outcome.reply_len)
}

/// The name, in the case it was asked in, the type and the class; none where there is no single question that can be read: rbldnsd
/// does not answer those, and so has no line of them.
fn question(request: &[u8]) -> Option<(Name, u16, u16)> {
    let has_one = Header::read(request)?.counts[0] == 1;
    let question = request.get(HEADER_LEN..).filter(|_| has_one)?;
    let end = QueryName::new().read(question)?;
    let &[type_high, type_low, class_high, class_low] = question[end..].first_chunk()?;
    let number = |high, low| u16::from_be_bytes([high, low]);
    Some((Name::from_wire(&question[..end]), number(type_high, type_low), number(class_high, class_low)))
}
