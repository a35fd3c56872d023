//! Domain names as rbldnsd reads them, which is more lenient than RFC 1035 section 5.1: dots without a label between or after
//! them are dropped, and an escape may have one to three digits.

use super::{
    cursor::{Cursor, Wrong, is_blank},
    report::Fault,
};
use crate::wire::name::{LABEL_MAX, NAME_MAX, Name};

/// Octets of names written in the usual way in lower case; 0 for others.
const LOWERED: [u8; 256] = {
    let mut lowered = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let own = octet as u8;
        if own.is_ascii_alphanumeric() || own == b'-' || own == b'_' {
            lowered[octet] = own.to_ascii_lowercase();
        }
        octet += 1;
    }
    lowered
};

const EXPECTED: &str = "a domain name: labels of 1 to 63 octets with dots between, 253 characters in all";

/// A name in wire format, the root's octet last.
pub(super) struct NameBuffer {
    octets: [u8; NAME_MAX],
    length: usize,
}

impl Default for NameBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl NameBuffer {
    pub(super) const fn new() -> Self {
        Self { octets: [0; NAME_MAX], length: 1 }
    }

    pub(super) fn as_wire(&self) -> &[u8] {
        &self.octets[..self.length]
    }

    pub(super) fn is_root(&self) -> bool {
        self.length == 1
    }

    /// Lowers all letters; length octets are below them.
    pub(super) fn make_lowercase(&mut self) {
        self.octets[..self.length].make_ascii_lowercase();
    }

    /// Reads a word; the root is a name here.
    pub(super) fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Wrong> {
        let start = *cursor;
        self.read_text(cursor.word()).ok_or_else(|| start.wrong(Fault::Name, EXPECTED))
    }

    /// Reads a word; the root is an error.
    pub(super) fn read_below_root(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Wrong> {
        let start = *cursor;
        self.read(cursor)?;
        if self.is_root() { Err(start.wrong(Fault::Name, EXPECTED)) } else { Ok(()) }
    }

    /// Reads a name that is written in the usual way, of letters, digits, hyphens, low lines and single dots, and lowers it.
    /// Returns how many octets of the text it takes. `None`: something else, perhaps the same in other words.
    #[inline]
    pub(super) fn read_usual(&mut self, text: &[u8]) -> Option<usize> {
        let (mut label_at, mut end) = (0, 1);
        for (at, &octet) in text.iter().enumerate() {
            let lower = LOWERED[usize::from(octet)];
            if lower != 0 && end < NAME_MAX - 1 {
                self.octets[end] = lower;
                end += 1;
                continue;
            }
            let length = end - label_at - 1;
            if !(1..=LABEL_MAX).contains(&length) {
                return None;
            }
            self.octets[label_at] = length as u8;
            if octet == b'.' && end < NAME_MAX - 1 {
                label_at = end;
                end += 1;
                continue;
            }
            self.octets[end] = 0;
            self.length = end + 1;
            return (octet == b'\n' || is_blank(octet)).then_some(at);
        }
        None
    }

    fn read_text(&mut self, text: &[u8]) -> Option<()> {
        self.length = 1;
        let (mut label_at, mut end, mut at) = (0, 1, 0);
        while let Some(&first) = text.get(at) {
            at += 1;
            if first == b'.' {
                if end > label_at + 1 {
                    self.octets[label_at] = (end - label_at - 1) as u8;
                    label_at = end;
                    end += 1;
                }
                continue;
            }
            let octet = if first == b'\\' {
                match unescape(&text[at..])? {
                    (_, 0) => break,
                    (octet, taken) => {
                        at += taken;
                        octet
                    }
                }
            } else {
                first
            };
            if end - label_at > LABEL_MAX || end + 1 >= NAME_MAX {
                return None;
            }
            self.octets[end] = octet;
            end += 1;
        }
        if end > label_at + 1 {
            self.octets[label_at] = (end - label_at - 1) as u8;
            label_at = end;
        }
        *self.octets.get_mut(label_at)? = 0;
        self.length = label_at + 1;
        Some(())
    }

    pub(super) fn to_name(&self) -> Name {
        Name::from_wire(self.as_wire())
    }
}

/// What is wrong with a name that was read from `start` to `end`, if nobody asks for one like it: it has a character that no host
/// has, or an asterisk, with no backslash before it.
pub(super) fn unasked(mut start: Cursor<'_>, end: Cursor<'_>, asterisk_expected: &'static str) -> Option<Wrong> {
    let word = &start.rest()[..end.at() - start.at()];
    let Some(at) = of_no_host(word) else {
        start.skip(bare(word, |octet| octet == b'*')?);
        return Some(start.wrong(Fault::Asterisk, asterisk_expected));
    };
    start.skip(at);
    let octet = start.peek().unwrap_or_default();
    let expected =
        format!("letters, digits, hyphens, low lines and dots, as hosts have (`\\{octet:03}` if that is meant)");
    Some(start.wrong(Fault::Character, expected))
}

/// Where a name as it is written has a character that no host has, with no backslash before it; mail addresses have none.
pub fn of_no_host(word: &[u8]) -> Option<usize> {
    bare(word, is_of_no_host).filter(|_| !is_mail_address(word))
}

/// Where a name as it is written has what nobody asks for: such a character, or an asterisk, with no backslash before it.
pub fn of_no_question(word: &[u8]) -> Option<usize> {
    of_no_host(word).or_else(|| bare(word, |octet| octet == b'*'))
}

/// Whether neither a host nor a mail domain has an octet in its name. Those beyond ASCII and the asterisk are told otherwise.
fn is_of_no_host(octet: u8) -> bool {
    octet.is_ascii() && LOWERED[usize::from(octet)] == 0 && !matches!(octet, b'.' | b'*' | b'\\')
}

/// Whether a word is a mail address as it is written mostly: mail filters ask lists for these too, as they are
/// (rspamd by `emails`, `SpamAssassin` by `HashBL` with `raw`).
fn is_mail_address(word: &[u8]) -> bool {
    // RFC 5322 section 3.2.3, and RFC 6532 section 3.2 beyond ASCII, which is told otherwise.
    let is_atom =
        |octet: u8| octet.is_ascii_alphanumeric() || !octet.is_ascii() || b"!#$%&'*+-/=?^_`{|}~.\\".contains(&octet);
    let Some(at) = memchr::memrchr(b'@', word) else { return false };
    let (local, domain) = (&word[..at], &word[at + 1..]);
    let is_said = !local.is_empty() && !domain.is_empty();
    is_said && bare(local, |octet| !is_atom(octet)).is_none() && !domain.iter().any(|&octet| is_of_no_host(octet))
}

/// The first octet of that sort in a name as it is written that has no backslash before it.
fn bare(word: &[u8], is_such: impl Fn(u8) -> bool) -> Option<usize> {
    let mut is_escaped = false;
    word.iter().position(|&octet| {
        let is_bare = is_such(octet) && !is_escaped;
        is_escaped = octet == b'\\' && !is_escaped;
        is_bare
    })
}

/// What a backslash before `text` stands for, and of how many octets: 1 to 3 digits, or one octet, or nothing at the end.
fn unescape(text: &[u8]) -> Option<(u8, usize)> {
    let digits = text.iter().take(3).take_while(|octet| octet.is_ascii_digit()).count();
    if digits == 0 {
        return Some(text.first().map_or((0, 0), |&octet| (octet, 1)));
    }
    let value = text[..digits].iter().fold(0, |value: u16, digit| value * 10 + u16::from(digit - b'0'));
    u8::try_from(value).ok().map(|octet| (octet, digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<u8>> {
        let mut name = NameBuffer::new();
        name.read(&mut Cursor::new(text.as_bytes())).ok().map(|()| name.as_wire().to_vec())
    }

    #[test]
    fn names_that_are_read() {
        for (text, wire) in [
            ("a.bc", &b"\x01a\x02bc\0"[..]),
            ("a..b.", b"\x01a\x01b\0"),
            ("..a", b"\x01a\0"),
            (".", b"\0"),
            ("a\\.b", b"\x03a.b\0"),
            ("a\\65x\\0011", b"\x05aAx\x011\0"),
            ("a\\", b"\x01a\0"),
            ("a#x next", b"\x03a#x\0"),
            ("*.a", b"\x01*\x01a\0"),
        ] {
            assert_eq!(read(text).as_deref(), Some(wire), "{text}");
        }
    }

    #[test]
    fn usual_names_are_names() {
        let (label, long) = ("x".repeat(63), format!("{0}.{0}.{0}.{1}", "x".repeat(63), "y".repeat(61)));
        let (longer, long_label) = (format!("{long}y"), format!("{label}x.example"));
        for (text, is_usual) in [
            ("a.Bc-1", true),
            ("_dmarc.XN--P1AI", true),
            ("single", true),
            (label.as_str(), true),
            (&long, true),
            (&longer, false),
            (&long_label, false),
            ("a..b", false),
            ("a.", false),
            (".a", false),
            ("a\\.b", false),
            ("*.a", false),
            ("a:b", false),
            ("\u{e9}.fr", false),
            ("", false),
        ] {
            for end in ["\n", " :2:x\n", "\t\n"] {
                let line = format!("{text}{end}");
                let mut name = NameBuffer::new();
                let taken = name.read_usual(line.as_bytes());
                assert_eq!(taken, is_usual.then_some(text.len()), "{line}");
                if is_usual {
                    let mut same = NameBuffer::new();
                    same.read(&mut Cursor::new(text.as_bytes())).expect(text);
                    same.make_lowercase();
                    assert_eq!(name.as_wire(), same.as_wire());
                }
            }
            assert_eq!(NameBuffer::new().read_usual(text.as_bytes()), None, "{text}: the line may go on");
        }
    }

    #[test]
    fn asterisks_that_are_meant() {
        for (word, at) in [("a.b", None), ("*", Some(0)), ("a.*b", Some(2)), (r"\*.\042", None), (r"a\\*", Some(3))] {
            assert_eq!(bare(word.as_bytes(), |octet| octet == b'*'), at, "{word}");
        }
    }

    #[test]
    fn what_no_host_is_called() {
        let found = |word: &str| {
            let (start, mut end) = (Cursor::new(word.as_bytes()), Cursor::new(word.as_bytes()));
            end.word();
            unasked(start, end, "").map(|wrong| (wrong.fault, wrong.at))
        };
        for octet in (0x21..0x7f).map(char::from).filter(|octet| !octet.is_ascii_alphanumeric()) {
            let expected = match octet {
                '-' | '_' | '.' | '\\' => None,
                '*' => Some((Fault::Asterisk, 1)),
                _ => Some((Fault::Character, 1)),
            };
            assert_eq!(found(&format!("a{octet}b.example")), expected.filter(|_| octet != '@'), "{octet}");
        }
        for (word, at) in [
            ("<html>", 0),
            ("</body>", 0),
            ("evil.example/path", 12),
            ("a,b", 1),
            ("host:8080", 4),
            ("*<b>", 1),
            ("@x", 0),
            ("user@", 4),
            ("<user@example.com>", 0),
            ("user@example.com,", 4),
            ("a\u{7f}b", 1),
            (r"a\\,b@example.com", 3),
            (r"a\\<", 3),
        ] {
            assert_eq!(found(word), Some((Fault::Character, at)), "{word}");
        }
        for word in [
            "_dmarc.a-.example",
            "-a_.example",
            "caf\u{e9}.fr",
            r"a\<b\044c",
            "user+tag@mail.example",
            "SRS0=a=b=c=d@e.f",
            r"john\.doe@example.com",
            r"a\<b\044c@example.com",
            "m\u{fc}ller@example.com",
        ] {
            assert_eq!(found(word), None, "{word}");
        }
    }

    #[test]
    fn names_have_limits() {
        let (label, long) = ("x".repeat(63), format!("{0}.{0}.{0}.{1}", "x".repeat(63), "y".repeat(61)));
        assert!(read(&label).is_some() && read(&format!("{label}x")).is_none());
        assert_eq!(read(&long).map(|wire| wire.len()), Some(NAME_MAX));
        assert!(read(&format!("{long}.")).is_some());
        assert!(read(&format!("{long}y")).is_none() && read(&format!("{long}.y")).is_none());
        assert!(read("a\\256").is_none());
    }
}
