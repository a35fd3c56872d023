//! Who asks a running server over its control socket: the program, when it is called by a command.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use anyhow::Context as _;

use super::{Answer, ListingsRequest, REQUEST_MAX_LEN, Request, socket_path};
use crate::load::counted;

/// Asks the server with that state folder.
///
/// # Errors
/// When there is none, or it does not answer.
pub fn ask(state: &Path, request: &Request) -> anyhow::Result<Answer> {
    let stream = send(state, request)?;
    read_answer(&mut BufReader::new(stream))
}

/// Asks, with lines behind the request.
///
/// # Errors
/// When there is no server, or it does not answer, or the lines cannot be read.
pub fn ask_with_lines(state: &Path, request: &Request, lines: &mut impl io::Read) -> anyhow::Result<Answer> {
    let mut stream = send(state, request)?;
    let mut passed_on = 0;
    match io::copy(&mut Counted { lines, count: &mut passed_on }, &mut stream) {
        // The server has said why it reads no further.
        Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {}
        copied => {
            copied.context("the lines cannot be passed on")?;
            stream.shutdown(Shutdown::Write)?;
        }
    }
    let answer = read_answer(&mut BufReader::new(stream));
    answer.with_context(|| {
        format!(
            "{} passed on, and what became of that is not known here: what the server did of it is kept, and `dnsbld listings` \
             shows it; all of it may be sent again",
            counted(passed_on, "line was", "lines were")
        )
    })
}

/// Lines that are counted on their way.
struct Counted<'a, R> {
    lines: &'a mut R,
    count: &'a mut usize,
}

impl<R: io::Read> io::Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.lines.read(buffer)?;
        *self.count += memchr::memchr_iter(b'\n', &buffer[..len]).count();
        Ok(len)
    }
}

/// Asks for lines, which are written to `out`; the answer is behind them.
///
/// # Errors
/// When there is no server, or it does not answer, or `out` cannot be written.
pub fn ask_for_lines(state: &Path, request: &Request, out: &mut impl io::Write) -> anyhow::Result<Answer> {
    let mut reader = BufReader::new(send(state, request)?);
    let (mut line, mut next) = (Vec::new(), Vec::new());
    loop {
        next.clear();
        reader.read_until(b'\n', &mut next).map_err(unanswered)?;
        if next.is_empty() {
            return read_answer(&mut &*line);
        }
        out.write_all(&line)?;
        std::mem::swap(&mut line, &mut next);
    }
}

fn send(state: &Path, request: &Request) -> anyhow::Result<UnixStream> {
    let path = socket_path(state);
    let mut stream = UnixStream::connect(&path).map_err(|error| anyhow::anyhow!(no_answer(&path, &error)))?;
    let patience = Some(patience(request));
    stream.set_read_timeout(patience)?;
    stream.set_write_timeout(patience)?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    let len = line.len();
    anyhow::ensure!(
        len as u64 <= REQUEST_MAX_LEN,
        "the request has {len} octets, more than the {REQUEST_MAX_LEN} that are read"
    );
    stream.write_all(&line).map_err(unanswered)?;
    Ok(stream)
}

/// How long a server may take for an answer: seldom a moment, but very large lists may be read for it, or all of the store.
fn patience(request: &Request) -> Duration {
    use ListingsRequest::{Backup, Bulk, Export, Import};
    let is_long = match request {
        Request::Listings { asked } => matches!(asked, Bulk { .. } | Import | Export { .. } | Backup { .. }),
        request => matches!(request, Request::Reload { .. } | Request::Explain { .. } | Request::Diff { .. }),
    };
    Duration::from_secs(if is_long { 600 } else { 30 })
}

/// What is told where an answer does not come.
fn unanswered(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => anyhow::anyhow!(
            "the server is there and has not answered in time: it hangs, is stopped or very busy, and what was asked may be done yet"
        ),
        _ => anyhow::Error::new(error).context("the server did not answer"),
    }
}

/// Why nobody could be asked, and what to do about it.
fn no_answer(path: &Path, error: &io::Error) -> String {
    let place = path.display();
    if error.kind() == io::ErrorKind::PermissionDenied {
        return format!(
            "you may not ask the server at {place}: run this as the server's user or as one of its group, whom the permissions of that folder let in: {error}"
        );
    }
    format!("no server answers at {place}: is it running, and is that its state folder (--state)?: {error}")
}

fn read_answer(reader: &mut impl io::BufRead) -> anyhow::Result<Answer> {
    let mut answer = String::new();
    reader.read_line(&mut answer).map_err(unanswered)?;
    anyhow::ensure!(!answer.is_empty(), "the server ended before it answered");
    serde_json::from_str(&answer).context("the server answered something else: is it of another version?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_cannot_be_read_says_why() {
        for (line, why) in [
            (r#"{"answer": "frobnicated"}"#, "unknown variant `frobnicated`"),
            (r#"{"answer": "reloaded", "loaded": 1, "let_go": []}"#, "missing field `troubles`"),
            (r#"{"answer": "changed", "changes": []}"#, "unknown variant `changed`"),
            (r#"{"answer": "listings", "told": {"answer": "listings", "listings": []}}"#, "missing field `more`"),
        ] {
            let said = format!("{:#}", read_answer(&mut line.as_bytes()).expect_err(line));
            assert!(said.contains("is it of another version?") && said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_server_that_hangs_is_told_of() {
        let (ours, _theirs) = UnixStream::pair().expect("two ends");
        ours.set_read_timeout(Some(Duration::from_millis(10))).expect("set");
        let said = read_answer(&mut BufReader::new(ours)).expect_err("nobody answers").to_string();
        assert!(said.starts_with("the server is there and has not answered in time: it hangs"), "{said}");
    }

    #[test]
    fn whoever_may_not_ask_is_told_so() {
        let said = |kind: io::ErrorKind| no_answer(Path::new("state/control"), &kind.into());
        assert!(
            said(io::ErrorKind::PermissionDenied)
                .starts_with("you may not ask the server at state/control: run this as")
        );
        assert!(said(io::ErrorKind::NotFound).starts_with("no server answers at state/control: is it running"));
    }
}
