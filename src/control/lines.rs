//! Lines behind a request: they come as fast as a file is read, or one by one for hours.
//!
//! A line counts with its end. Whoever is killed in the middle of `10.0.0.124` has written `10.0.0.12`, and that is somebody
//! else; a file that is cut short is not reloaded for the same reason.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

/// Longest line, in octets.
const LINE_MAX_LEN: u64 = 16 * 1024;

/// Lines that come in, with their numbers.
pub(super) struct Lines<'r, R> {
    reader: &'r mut R,
    /// The line in hand.
    line: Vec<u8>,
    /// It was given out, and the next one takes its place.
    is_out: bool,
    number: usize,
}

impl<'r, R: AsyncBufRead + Unpin> Lines<'r, R> {
    pub(super) fn new(reader: &'r mut R) -> Self {
        Self { reader, line: Vec::new(), is_out: true, number: 0 }
    }

    /// The next line, or what is wrong with it. A wait that is broken off loses nothing: what came of the line is kept for the
    /// next call.
    pub(super) async fn next(&mut self) -> io::Result<Option<(usize, Result<&str, String>)>> {
        if std::mem::take(&mut self.is_out) {
            self.line.clear();
            self.number += 1;
        }
        let room = LINE_MAX_LEN - self.line.len() as u64;
        (&mut *self.reader).take(room).read_until(b'\n', &mut self.line).await?;
        self.is_out = true;
        if self.line.is_empty() {
            return Ok(None);
        }
        // As some editors begin a file.
        let is_first = self.number == 1;
        let unmarked = |line| if is_first { str::trim_start_matches(line, '\u{feff}') } else { line };
        let line = match self.line.last() {
            Some(b'\n') => std::str::from_utf8(&self.line).map(unmarked).map_err(|error| error.to_string()),
            _ if self.line.len() as u64 == LINE_MAX_LEN => {
                return Err(io::Error::other(format!("a line is longer than {LINE_MAX_LEN} octets")));
            }
            _ => {
                Err("the last line has no end, as if whoever wrote it was stopped in the middle: end it with a newline"
                    .into())
            }
        };
        Ok(Some((self.number, line)))
    }

    /// The number of the line in hand.
    pub(super) const fn number(&self) -> usize {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncWriteExt as _, BufReader, duplex};

    use super::*;

    #[tokio::test]
    async fn a_wait_that_is_broken_off_loses_nothing() {
        const WAIT: Duration = Duration::from_millis(5);
        let (mut client, server) = duplex(64);
        let mut reader = BufReader::new(server);
        let mut lines = Lines::new(&mut reader);
        for (octets, expected) in
            [("one\ntw", Some((1, "one\n"))), ("", None), ("o\n", Some((2, "two\n"))), ("en", None), ("d", None)]
        {
            client.write_all(octets.as_bytes()).await.expect("room");
            let next = tokio::time::timeout(WAIT, lines.next()).await;
            let next = next.ok().map(|line| line.expect("readable").expect("a line"));
            assert_eq!(next.map(|(number, line)| (number, line.expect("UTF-8"))), expected, "{octets:?}");
        }
        drop(client);
        let (number, line) = lines.next().await.expect("readable").expect("what is left");
        assert!(number == 3 && line.expect_err("nobody knows what was to follow").contains("has no end"));
        assert_eq!(lines.next().await.expect("readable"), None);
    }

    #[tokio::test]
    async fn a_mark_at_the_start_is_passed_over() {
        let mut octets = "\u{feff}one\n\u{feff}two\n".as_bytes();
        let mut lines = Lines::new(&mut octets);
        for expected in ["one\n", "\u{feff}two\n"] {
            let (_, line) = lines.next().await.expect("readable").expect("a line");
            assert_eq!(line.expect("UTF-8"), expected);
        }
    }

    #[tokio::test]
    async fn a_line_has_its_longest() {
        let long = vec![b'x'; LINE_MAX_LEN as usize];
        let error = Lines::new(&mut &*long).next().await.expect_err("too long");
        assert!(error.to_string().contains("longer than 16384 octets"), "{error}");
    }
}
