//! Messages for systemd's journal, in its native protocol: a datagram for each, its fields as `NAME`, length and value.
//!
//! They go the way of all lines: into the [queue], whose thread sends them, for a journal that stops reading would otherwise stop
//! whoever says something.
//!
//! [queue]: super::queue

use std::{
    fmt,
    io::{self, Write},
    path::Path,
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, fmt::writer::MakeWriter as _, layer::Context};

use super::{queue::Queue, socket::LogSocket};

/// Where the journal listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// The longest message, in octets; values are cut to it. A datagram takes three times that, unless the system is set otherwise.
const MESSAGE_MAX_LEN: usize = 64 << 10;

/// The way to the journal: whatever is written at once is one message.
pub(super) struct Journal(LogSocket);

impl Journal {
    /// Opens it, before a chroot puts it out of reach.
    ///
    /// # Errors
    /// When nobody listens there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let socket = LogSocket::new(path)?;
        socket.connect()?;
        Ok(Self(socket))
    }
}

impl Write for Journal {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        self.0.send(message)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lays each event into the queue as the journal takes it.
pub(super) struct JournalLayer {
    queue: Queue,
    program: String,
}

impl JournalLayer {
    /// Messages are said to be of the program by the name that it was called.
    pub(super) fn new(queue: Queue) -> Self {
        let program = std::env::args_os().next().unwrap_or_default();
        let program = Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { queue, program }
    }
}

impl<S: Subscriber> Layer<S> for JournalLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        let priority = match *about.level() {
            Level::ERROR => "3",
            Level::WARN => "4",
            Level::INFO => "5",
            Level::DEBUG => "6",
            Level::TRACE => "7",
        };
        let mut message = Message::default();
        message.put("PRIORITY", priority);
        message.put("SYSLOG_IDENTIFIER", &self.program);
        message.put("TARGET", about.target());
        if let (Some(file), Some(line)) = (about.file(), about.line()) {
            message.put("CODE_FILE", file);
            message.put("CODE_LINE", &line.to_string());
        }
        event.record(&mut message);
        match self.queue.make_writer_for(about).write(&message.0) {
            Ok(_) | Err(_) => {} // the queue counts what it drops
        }
    }
}

/// A message that is being laid out.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    /// Puts a field in the form that may have any value; of one that is too long, the beginning.
    fn put(&mut self, name: &str, value: &str) {
        let around = name.len() + "\n".len() + size_of::<u64>() + "\n".len();
        let Some(room) = MESSAGE_MAX_LEN.checked_sub(self.0.len() + around) else { return };
        let mut len = value.len().min(room);
        while !value.is_char_boundary(len) {
            len -= 1;
        }
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'\n');
        self.0.extend_from_slice(&(len as u64).to_le_bytes());
        self.0.extend_from_slice(&value.as_bytes()[..len]);
        self.0.push(b'\n');
    }
}

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            return self.put("MESSAGE", value);
        }
        // Names are of letters, digits and underscores.
        let name = field.name().replace(|character: char| !character.is_ascii_alphanumeric(), "_");
        self.put(&format!("DNSBLD_{}", name.to_ascii_uppercase()), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::net::UnixDatagram,
        time::{Duration, Instant},
    };

    use tracing::{info, warn};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// The fields of a message, in order.
    fn fields(mut message: &[u8]) -> Vec<(String, String)> {
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).expect("UTF-8");
        let mut fields = Vec::new();
        while let Some(end) = message.iter().position(|&octet| octet == b'\n') {
            let (name, rest) = (text(&message[..end]), &message[end + 1..]);
            let (len, rest) = rest.split_first_chunk().expect("a length");
            let (value, rest) = rest.split_at(u64::from_le_bytes(*len) as usize);
            fields.push((name, text(value)));
            message = rest.strip_prefix(b"\n").expect("the end of a field");
        }
        assert!(message.is_empty());
        fields
    }

    /// A journal in a folder, and a queue that leads to it.
    fn journal(folder: &Path) -> (UnixDatagram, Queue) {
        let path = folder.join("socket");
        let journal = UnixDatagram::bind(&path).expect("a socket");
        journal.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        let queue = Queue::start_to(Journal::open(&path).expect("somebody listens")).expect("a thread");
        (journal, queue)
    }

    fn log_to(queue: &Queue, say: impl FnOnce()) {
        let log = tracing_subscriber::registry().with(JournalLayer::new(queue.clone()));
        tracing::subscriber::with_default(log, say);
    }

    fn receive(journal: &UnixDatagram) -> Vec<(String, String)> {
        let mut message = vec![0; 2 * MESSAGE_MAX_LEN];
        let len = journal.recv(&mut message).expect("a message");
        fields(&message[..len])
    }

    fn value<'f>(fields: &'f [(String, String)], name: &str) -> &'f str {
        fields.iter().find(|field| field.0 == name).map_or("", |field| &field.1)
    }

    #[test]
    fn each_field_is_by_itself_and_takes_any_value() {
        let folder = tempfile::tempdir().expect("a folder");
        let (journal, queue) = journal(folder.path());
        log_to(
            &queue,
            || warn!(zone = "bl.example", lines = 3, why.not = %"one\nPRIORITY=0", empty = "", "two\nlines"),
        );
        let told = receive(&journal);
        for (name, expected) in [
            ("PRIORITY", "4"),
            ("TARGET", module_path!()),
            ("CODE_FILE", file!()),
            ("MESSAGE", "two\nlines"),
            ("DNSBLD_ZONE", "bl.example"),
            ("DNSBLD_LINES", "3"),
            ("DNSBLD_WHY_NOT", "one\nPRIORITY=0"),
        ] {
            assert_eq!(value(&told, name), expected, "{name}");
        }
        assert!(told.contains(&("DNSBLD_EMPTY".to_owned(), String::new())));
        assert!(!value(&told, "SYSLOG_IDENTIFIER").is_empty());
    }

    #[test]
    fn what_is_longer_than_a_datagram_takes_is_cut() {
        let folder = tempfile::tempdir().expect("a folder");
        let (journal, queue) = journal(folder.path());
        log_to(&queue, || info!(after = "it", "{}", "\u{e4}".repeat(MESSAGE_MAX_LEN)));
        let told = receive(&journal);
        let len = value(&told, "MESSAGE").len();
        assert!((MESSAGE_MAX_LEN - 1_000..MESSAGE_MAX_LEN).contains(&len), "{len}");
        assert_eq!(value(&told, "DNSBLD_AFTER"), "", "there was no room left for it");
        log_to(&queue, || info!("the next"));
        assert_eq!(value(&receive(&journal), "MESSAGE"), "the next");
        assert_eq!(queue.drops().count(), 0);
    }

    #[test]
    fn a_journal_that_stalls_holds_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let (journal, queue) = journal(folder.path());
        let begun = Instant::now();
        log_to(&queue, || (0..8_000).for_each(|number| info!(number, "{}", "x".repeat(999))));
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        let dropped = queue.drops().count();
        assert!((1..8_000).contains(&dropped), "{dropped}");
        let told = (dropped..8_000).map(|_| value(&receive(&journal), "DNSBLD_NUMBER").parse().expect("a number"));
        assert!(told.collect::<Vec<u32>>().is_sorted(), "what was taken arrives");
    }

    #[test]
    fn a_journal_that_is_started_anew_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, queue) = journal(folder.path());
        drop(first);
        let path = folder.path().join("socket");
        std::fs::remove_file(&path).expect("removed");
        log_to(&queue, || info!("to nobody"));
        queue.flush();
        let second = UnixDatagram::bind(&path).expect("a socket");
        second.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        log_to(&queue, || info!("to the second"));
        assert_eq!(value(&receive(&second), "MESSAGE"), "to the second");
    }
}
