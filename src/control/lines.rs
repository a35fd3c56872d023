//! Lines behind a request: they come as fast as a file is read, or one by one for hours.

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

    /// The next line. A wait that is broken off loses nothing: what came of the line is kept for the next call.
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
        if self.line.len() as u64 == LINE_MAX_LEN && self.line.last() != Some(&b'\n') {
            return Err(io::Error::other(format!("line {} is longer than {LINE_MAX_LEN} octets", self.number)));
        }
        Ok(Some((self.number, std::str::from_utf8(&self.line).map_err(|error| error.to_string()))))
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
            [("one\ntw", Some((1, "one\n"))), ("", None), ("o\n", Some((2, "two\n"))), ("end", None), ("", None)]
        {
            client.write_all(octets.as_bytes()).await.expect("room");
            let next = tokio::time::timeout(WAIT, lines.next()).await;
            let next = next.ok().map(|line| line.expect("readable").expect("a line"));
            assert_eq!(next.map(|(number, line)| (number, line.expect("UTF-8"))), expected, "{octets:?}");
        }
        drop(client);
        assert_eq!(lines.next().await.expect("readable"), Some((3, Ok("end"))), "the last line needs no end");
        assert_eq!(lines.next().await.expect("readable"), None);
    }

    #[tokio::test]
    async fn a_line_has_its_longest() {
        let long = vec![b'x'; LINE_MAX_LEN as usize];
        let error = Lines::new(&mut &*long).next().await.expect_err("too long");
        assert!(error.to_string().contains("line 1 is longer than 16384 octets"), "{error}");
    }
}
