//! Log lines on their way to standard error or to the journal: a bounded queue, from which one thread writes.
//!
//! Whoever reads the log may stop reading, and then a write does not return. Only that one thread waits for it: queries, reloads
//! and the end go on. What finds no room is dropped and counted. Warnings and errors have room of their own, so that many lines of
//! less weight do not push them out; lines of queries, which come from a thread that does nothing else, wait for room.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Write},
    os::fd::AsFd as _,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing::{Level, Metadata, warn};
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    metrics::LogDrops,
    server::{give_up_capabilities, query_log::TARGET},
};

/// Octets that wait, by the weight of the line that comes: some thousand lines, and as many warnings more.
const QUERY_ROOM: usize = 512 << 10;
const ROOM: usize = 1 << 20;
const GRAVE_ROOM: usize = 2 << 20;

/// How long the end waits for whoever reads.
const FLUSH: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    octets: usize,
    /// Lines that were taken, and of those the ones that are written.
    taken: u64,
    written: u64,
    /// The thread is to give up its capabilities, which nobody else can do for it.
    is_to_be_confined: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Something waits, or there is room again.
    changed: Condvar,
    drops: LogDrops,
}

/// Where lines are put; clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<Shared>);

/// A line, until it is put.
pub(super) struct Line<'q> {
    shared: &'q Shared,
    room: usize,
    may_wait: bool,
}

impl Queue {
    /// Starts the thread that writes to standard error.
    pub(super) fn start() -> io::Result<Self> {
        // Past the lock that the standard library has for it: nobody else is to wait for that.
        Self::start_to(File::from(io::stderr().as_fd().try_clone_to_owned()?))
    }

    /// Starts the thread that writes to something else, each line at once.
    pub(super) fn start_to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_writer = Arc::clone(&shared);
        thread::Builder::new().name("log".to_owned()).spawn(move || of_writer.write_all(out))?;
        Ok(Self(shared))
    }

    /// What found no room.
    pub(super) fn drops(&self) -> LogDrops {
        self.0.drops.clone()
    }

    /// Has the thread give up its capabilities, before it writes anything more.
    pub(super) fn confine(&self) {
        self.0.waiting().is_to_be_confined = true;
        self.0.changed.notify_all();
    }

    /// Waits until what is there now is written and done, for a moment.
    pub(super) fn flush(&self) {
        let waiting = self.0.waiting();
        let taken = waiting.taken;
        let is_under_way = |waiting: &mut Waiting| waiting.written < taken || waiting.is_to_be_confined;
        let _or_not = self.0.changed.wait_timeout_while(waiting, FLUSH, is_under_way);
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self, mut out: impl Write) {
        let mut complained = 0;
        loop {
            let waiting = self.waiting();
            let is_idle = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.is_to_be_confined;
            let idle = self.changed.wait_while(waiting, is_idle);
            let mut waiting = idle.unwrap_or_else(PoisonError::into_inner);
            if waiting.is_to_be_confined {
                let outcome = give_up_capabilities();
                waiting.is_to_be_confined = false;
                drop(waiting);
                self.changed.notify_all();
                if let Err(error) = outcome {
                    warn!("the log's thread is unable to give up capabilities: {error}");
                }
                continue;
            }
            let Some(line) = waiting.lines.pop_front() else { continue };
            drop(waiting);
            let is_written = out.write_all(&line).is_ok();
            if !is_written {
                self.drops.add(); // whoever closed the stream does not want it, and a full disk may have room again
            }
            let mut waiting = self.waiting();
            waiting.octets -= line.len();
            waiting.written += 1;
            let is_room = waiting.octets < QUERY_ROOM;
            drop(waiting);
            self.changed.notify_all();
            let dropped = self.drops.count();
            // To complain where nothing can be written would be one more line that cannot be, and so on.
            if is_written && is_room && dropped > complained {
                warn!(lines = dropped - complained, "not logged: whoever reads the log did not take them");
                complained = dropped;
            }
        }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut waiting = self.shared.waiting();
        if self.may_wait {
            let room = self.shared.changed.wait_while(waiting, |waiting| waiting.octets >= self.room);
            waiting = room.unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.octets >= self.room {
            self.shared.drops.add();
        } else {
            waiting.octets += text.len();
            waiting.taken += 1;
            waiting.lines.push_back(text.to_owned());
            drop(waiting);
            self.shared.changed.notify_all();
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'q> MakeWriter<'q> for Queue {
    type Writer = Line<'q>;

    fn make_writer(&'q self) -> Line<'q> {
        Line { shared: &self.0, room: ROOM, may_wait: false }
    }

    fn make_writer_for(&'q self, about: &Metadata<'_>) -> Line<'q> {
        let may_wait = about.target() == TARGET;
        let room = match *about.level() {
            _ if may_wait => QUERY_ROOM,
            Level::ERROR | Level::WARN => GRAVE_ROOM,
            _ => ROOM,
        };
        Line { shared: &self.0, room, may_wait }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, os::unix::net::UnixStream, time::Instant};

    use super::*;

    #[test]
    fn a_stream_that_is_closed_is_not_told_of_it() {
        let (reader, writer) = UnixStream::pair().expect("a pair");
        drop(reader);
        let queue = Queue::start_to(writer).expect("a thread");
        let log = tracing_subscriber::fmt().with_writer(queue.clone()).finish();
        tracing::subscriber::with_default(log, || warn!("to nobody"));
        queue.flush();
        thread::sleep(Duration::from_millis(50));
        queue.flush();
        assert_eq!(queue.drops().count(), 1);
    }

    #[test]
    fn a_reader_that_stalls_holds_nobody() {
        let (mut reader, writer) = UnixStream::pair().expect("a pair");
        let queue = Queue::start_to(writer).expect("a thread");
        let put = |room, text: &str| {
            let line = &mut Line { shared: &queue.0, room, may_wait: false };
            line.write_all(text.as_bytes()).expect("taken or dropped");
        };
        let begun = Instant::now();
        let line = format!("{}\n", "x".repeat(999));
        for _ in 0..3_000 {
            put(ROOM, &line);
        }
        let dropped = queue.drops().count();
        assert!((1..3_000).contains(&dropped), "{dropped}");
        put(GRAVE_ROOM, "an error\n");
        assert_eq!(queue.drops().count(), dropped, "what is grave has room");
        queue.flush();
        assert!(begun.elapsed() < FLUSH * 4, "{:?}", begun.elapsed());

        let mut told = vec![0; (3_000 - dropped as usize) * line.len() + "an error\n".len()];
        reader.read_exact(&mut told).expect("all that was taken");
        assert!(told.ends_with(b"x\nan error\n"));
        let begun = Instant::now();
        queue.flush();
        assert!(begun.elapsed() < FLUSH, "nothing is left to wait for");
        put(ROOM, "again\n");
        let mut told = [0; 6];
        reader.read_exact(&mut told).expect("there is room again");
        assert_eq!(&told, b"again\n");
    }
}
