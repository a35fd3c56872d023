//! Lines of a file, compressed or not.
//!
//! Files have millions of short lines, so they are taken from the reader in large blocks and lent out in place.

use std::{
    cell::Cell,
    io::{self, BufRead, BufReader, Read},
    rc::Rc,
};

use flate2::bufread::GzDecoder;

/// Octets taken from the reader at once.
const BLOCK_LEN: usize = 256 * 1024;

/// Longest line. Longer ones are cut, as rbldnsd cuts them.
pub const LINE_MAX: usize = 65_536;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// How the octets of a file are packed, by its first octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// There are none.
    Nothing,
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    fn of(start: &[u8]) -> Self {
        match start {
            [] => Self::Nothing,
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A frame, or one of the frames to be skipped that some tools put first (RFC 8878 section 3.1).
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// Whether the octets are to be unpacked.
    pub(super) fn is_packed(self) -> bool {
        matches!(self, Self::Gzip | Self::Zstd)
    }
}

/// Finds out how a file is packed; the reader returned starts at its first octet.
pub(super) fn packing<'a>(mut reader: Box<dyn Read + 'a>) -> io::Result<(Packing, Box<dyn Read + 'a>)> {
    let mut start = Vec::with_capacity(4);
    reader.by_ref().take(4).read_to_end(&mut start)?;
    let packing = Packing::of(&start);
    Ok((packing, Box::new(io::Cursor::new(start).chain(reader))))
}

/// Unpacks what is packed.
pub(super) fn unpack<'a>(packing: Packing, reader: Box<dyn Read + 'a>) -> io::Result<Box<dyn Read + 'a>> {
    if !packing.is_packed() {
        return Ok(reader);
    }
    let packed_len = Rc::new(Cell::new(0));
    let packed = Counted { reader, len: Rc::clone(&packed_len) };
    let unpacked: Box<dyn Read + 'a> = match packing {
        Packing::Gzip => Box::new(Members::First(BufReader::with_capacity(BLOCK_LEN, packed))),
        _ => Box::new(zstd::stream::read::Decoder::new(packed)?),
    };
    Ok(Box::new(Bounded { unpacked, len: 0, packed_len }))
}

/// Counts the octets that are read.
struct Counted<R> {
    reader: R,
    len: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(into)?;
        self.len.set(self.len.get() + read as u64);
        Ok(read)
    }
}

/// No list has so many octets for each that is packed: they are a bomb, some kilobytes of which would take minutes.
const UNPACKED_MAX: u64 = 1_000;
/// So many may be anything.
const UNPACKED_FREE_LEN: u64 = 64 << 20;

/// Ends with an error where far more is unpacked than is packed.
struct Bounded<R> {
    unpacked: R,
    len: u64,
    packed_len: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.unpacked.read(into)?;
        self.len += read as u64;
        if self.len > UNPACKED_FREE_LEN + self.packed_len.get() * UNPACKED_MAX {
            let why = format!("it holds more than {UNPACKED_MAX} times as much as it takes, as no list does");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(read)
    }
}

/// The members of a gzip file (RFC 1952 section 2.2), one after the other. Zeros and blanks may follow, as tapes and editors pad; all
/// else is a member that is damaged, or never was one, such as the message of a server that was asked for it.
enum Members<R: BufRead> {
    First(R),
    Inside(Box<GzDecoder<R>>),
    End,
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(self, Self::End) {
                Self::End => return Ok(0),
                Self::First(packed) => *self = Self::Inside(Box::new(GzDecoder::new(packed))),
                Self::Inside(mut member) => {
                    let read = member.read(into);
                    if !matches!(read, Ok(0)) || into.is_empty() {
                        *self = Self::Inside(member);
                        return read;
                    }
                    let mut packed = member.into_inner();
                    if packed.fill_buf()?.first() == Some(&0x1f) {
                        *self = Self::First(packed);
                    } else {
                        take_padding(packed)?;
                    }
                }
            }
        }
    }
}

/// Reads to the end, where nothing is said.
fn take_padding(mut rest: impl BufRead) -> io::Result<()> {
    loop {
        let octets = rest.fill_buf()?;
        if octets.is_empty() {
            return Ok(());
        }
        if octets.iter().any(|octet| *octet != 0 && !octet.is_ascii_whitespace()) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "something else follows what is packed"));
        }
        let taken = octets.len();
        rest.consume(taken);
    }
}

/// One line without its end.
pub struct RawLine<'a> {
    /// What stands on it; of one that is too long, its start.
    pub text: &'a [u8],
    /// It went on beyond [`LINE_MAX`].
    pub(super) is_cut: bool,
    /// The block it comes from has a NUL, perhaps in this line.
    pub(super) may_have_nul: bool,
}

/// The lines of a reader, none of which takes more memory than the longest line that counts.
#[allow(clippy::struct_excessive_bools)] // where it stands, in independent ways
pub struct Lines<R> {
    reader: R,
    block: Vec<u8>,
    /// Octets of the block that are lines still to be lent.
    start: usize,
    end: usize,
    is_at_end: bool,
    has_nul: bool,
    /// The rest of a cut line is to be skipped.
    skips: bool,
    /// The last line has no end.
    ends_open: bool,
}

impl<R: Read> Lines<R> {
    /// The lines of a file from its start.
    pub(super) fn new(reader: R) -> io::Result<Self> {
        let mut lines = Self::within(reader)?;
        if lines.block[..lines.end].starts_with(BOM) {
            lines.start = BOM.len();
        }
        Ok(lines)
    }

    /// The lines of a file from somewhere within.
    pub(super) fn within(reader: R) -> io::Result<Self> {
        let block = vec![0; BLOCK_LEN];
        let mut lines =
            Self { reader, block, start: 0, end: 0, is_at_end: false, has_nul: false, skips: false, ends_open: false };
        lines.fill()?;
        Ok(lines)
    }

    /// Whether the last line had no end: usual with editors of other systems, and the mark of a file that was cut short.
    pub(super) fn ends_open(&self) -> bool {
        self.ends_open
    }

    /// Octets from the start of the next line on, as many as are at hand: perhaps none, perhaps many lines.
    #[inline]
    pub(super) fn at_hand(&self) -> &[u8] {
        if self.skips { &[] } else { &self.block[self.start..self.end] }
    }

    /// Goes on to the line that begins so many octets further.
    #[inline]
    pub(super) fn pass(&mut self, count: usize) {
        self.start += count;
    }

    /// The next line, if there is one.
    ///
    /// # Errors
    /// When the reader cannot be read, or what is packed is damaged.
    pub fn next_line(&mut self) -> io::Result<Option<RawLine<'_>>> {
        loop {
            let waiting = &self.block[self.start..self.end];
            let newline = memchr::memchr(b'\n', &waiting[..waiting.len().min(LINE_MAX + 1)]);
            let (length, after) = match newline {
                Some(length) => (length, length + 1),
                None if waiting.len() > LINE_MAX => (LINE_MAX, LINE_MAX),
                None if !self.is_at_end => {
                    self.fill()?;
                    continue;
                }
                None if waiting.is_empty() => return Ok(None),
                None => {
                    self.ends_open = true;
                    (waiting.len(), waiting.len())
                }
            };
            let from = self.start;
            self.start += after;
            let is_cut = newline.is_none() && length == LINE_MAX && !(self.is_at_end && self.start == self.end);
            if std::mem::replace(&mut self.skips, is_cut) {
                continue;
            }
            let text = &self.block[from..from + length];
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            return Ok(Some(RawLine { text, is_cut, may_have_nul: self.has_nul }));
        }
    }

    /// Moves what is left to the front of the block and reads on until the block is full or the file ends.
    fn fill(&mut self) -> io::Result<()> {
        self.block.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.end < self.block.len() {
            match self.reader.read(&mut self.block[self.end..]) {
                Ok(0) => {
                    self.is_at_end = true;
                    break;
                }
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.has_nul = memchr::memchr(0, &self.block[..self.end]).is_some();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lines(octets: &[u8]) -> Vec<(Vec<u8>, bool)> {
        let (packing, reader) = packing(Box::new(octets)).expect("readable");
        let mut lines = Lines::new(unpack(packing, reader).expect("unpacks")).expect("readable");
        let mut all = Vec::new();
        while let Some(line) = lines.next_line().expect("readable") {
            all.push((line.text.to_vec(), line.is_cut));
        }
        all
    }

    fn texts(octets: &[u8]) -> Vec<Vec<u8>> {
        lines(octets).into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn ends_of_lines() {
        assert_eq!(texts(b""), Vec::<Vec<u8>>::new());
        assert_eq!(texts(b"\xef\xbb\xbfa\r\n\nb"), [&b"a"[..], b"", b"b"]);
        assert_eq!(texts(b"a\rb\r\r\n"), [b"a\rb\r"]);
        assert_eq!(texts(b"ab"), [b"ab"]);
        assert_eq!(texts(b"\xef\xbb"), [b"\xef\xbb"]);
    }

    /// Reads what is packed to its end.
    fn unpacked(packed: &[u8]) -> io::Result<u64> {
        let (packing, reader) = packing(Box::new(packed)).expect("readable");
        io::copy(&mut unpack(packing, reader)?, &mut io::sink())
    }

    #[test]
    fn bombs_are_not_unpacked() {
        const LEN: usize = 70 << 20;
        let zstd = |octets: &[u8]| zstd::encode_all(octets, 1).expect("packed");
        let bomb = zstd(&vec![b'\n'; LEN]);
        assert!(bomb.len() < LEN / 2_000, "{}", bomb.len());
        let refused = unpacked(&bomb).expect_err("a bomb");
        assert!(refused.to_string().contains("more than 1000 times as much as it takes"), "{refused}");
        // Not a list of the same line, nor anything that is small.
        let all = zstd(&b"192.0.2.1 :127.0.0.2:listed\n".repeat(10_000));
        assert_eq!(unpacked(&all).expect("small"), 280_000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&b"192.0.2.1 listed\n".repeat(LEN / 17)).expect("packed");
        assert_eq!(unpacked(&gzip.finish().expect("packed")).expect("a list"), (LEN / 17 * 17) as u64);
    }

    #[test]
    fn long_lines_are_cut() {
        for (length, is_cut) in [(LINE_MAX - 1, false), (LINE_MAX, false), (LINE_MAX + 1, true), (600_000, true)] {
            for end in ["", "\nnext\n"] {
                let text = format!("first\n{}{end}", "x".repeat(length));
                let lines = lines(text.as_bytes());
                assert_eq!(lines[1], (vec![b'x'; length.min(LINE_MAX)], is_cut), "{length}");
                assert_eq!(lines.get(2).map(|line| &line.0[..]), (!end.is_empty()).then_some(&b"next"[..]), "{length}");
            }
        }
    }

    #[test]
    fn lines_cross_blocks() {
        let all: Vec<String> = (0..100_000).map(|number| format!("line {number}")).collect();
        let read = texts(all.join("\n").as_bytes());
        assert!(read.iter().map(Vec::as_slice).eq(all.iter().map(String::as_bytes)));
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).expect("in memory");
        encoder.finish().expect("in memory")
    }

    #[test]
    fn packed_files() {
        let two = [gzip(b"a\nb"), gzip(b"c\n")].concat();
        assert_eq!(texts(&two), [&b"a"[..], b"bc"]);
        assert_eq!(texts(&[&two[..], &[0; 512], b"\r\n"].concat()), [&b"a"[..], b"bc"]);
        let packed = zstd::encode_all(&b"a\nb"[..], 1).expect("in memory");
        assert_eq!(texts(&[packed, zstd::encode_all(&b"c\n"[..], 1).expect("in memory")].concat()), [&b"a"[..], b"bc"]);
    }

    #[test]
    fn broken_packing_is_an_error() {
        let mut broken = gzip(b"1.2.3.4\n");
        broken.truncate(broken.len() - 5);
        let member = gzip(b"a\n");
        let page = [&member[..], b"<html>404"].concat();
        let gap = [&member[..], &[0; 9], &member[..]].concat();
        for octets in [&broken[..], b"\x1f\x8b", b"\x28\xb5\x2f\xfd", &page, &gap, &[&member[..], b"\x1f"].concat()] {
            let (packing, reader) = packing(Box::new(octets)).expect("readable");
            let lines = unpack(packing, reader).and_then(Lines::new);
            assert!(lines.is_err(), "{packing:?}");
        }
    }
}
