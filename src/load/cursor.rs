//! A place within a line, and what can be read there. Columns in warnings are places.

use std::borrow::Cow;

use super::report::Fault;

/// What is wrong with a line, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) fault: Fault,
    /// Offset within the line.
    pub(super) at: usize,
    /// What should have stood there.
    pub(super) expected: Cow<'static, str>,
}

/// Octets that separate words: rbldnsd knows no others.
pub(super) const fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

/// Octets that begin a comment.
pub(super) const fn is_comment(octet: u8) -> bool {
    matches!(octet, b'#' | b';')
}

/// Seconds in a unit of time.
fn unit_s(letter: u8) -> Option<u32> {
    Some(match letter.to_ascii_lowercase() {
        b's' => 1,
        b'm' => 60,
        b'h' => 3_600,
        b'd' => 86_400,
        b'w' => 604_800,
        _ => return None,
    })
}

/// Seconds, or a number and one of the units `s`, `m`, `h`, `d` and `w`, where nothing else stands.
pub fn time_s(text: &[u8]) -> Option<u32> {
    let mut cursor = Cursor::new(text);
    cursor.time_s().filter(|_| cursor.is_at_end())
}

/// A line and a place in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The first octet of a line that is not blank; blanks at its end are left out.
    pub(super) fn new(line: &'a [u8]) -> Self {
        let mut end = line.len();
        while end > 0 && is_blank(line[end - 1]) {
            end -= 1;
        }
        let mut cursor = Self { line: &line[..end], at: 0 };
        cursor.skip_blanks();
        cursor
    }

    /// The whole line.
    pub(super) fn line(&self) -> &'a [u8] {
        self.line
    }

    /// Offset within the line.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What stands from here on.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.line[self.at..]
    }

    /// The octet here, if the line goes on.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    /// Goes on by `count` octets.
    #[inline]
    pub(super) fn skip(&mut self, count: usize) {
        self.at += count;
    }

    /// The same place in a line that ends `count` octets after it.
    pub(super) fn cut(&self, count: usize) -> Self {
        Self { line: &self.line[..self.at + count], at: self.at }
    }

    /// Goes over an octet if it stands here.
    #[inline]
    pub(super) fn take(&mut self, octet: u8) -> bool {
        let here = self.peek() == Some(octet);
        self.at += usize::from(here);
        here
    }

    /// Goes to the next octet that is not blank.
    #[inline]
    pub(super) fn skip_blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    /// Whether nothing more stands on the line.
    #[inline]
    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.line.len()
    }

    /// Whether a word ends here.
    pub(super) fn is_at_word_end(&self) -> bool {
        self.peek().is_none_or(is_blank)
    }

    /// Whether nothing more than a comment stands on the line; blanks before it are skipped.
    pub(super) fn is_done(&mut self) -> bool {
        self.skip_blanks();
        self.peek().is_none_or(is_comment)
    }

    /// The octets up to the next blank or the end.
    pub(super) fn word(&mut self) -> &'a [u8] {
        let rest = self.rest();
        let word = &rest[..rest.iter().position(|&octet| is_blank(octet)).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    /// A fault at this place.
    #[cold]
    pub(super) fn wrong(&self, fault: Fault, expected: impl Into<Cow<'static, str>>) -> Wrong {
        Wrong { fault, at: self.at, expected: expected.into() }
    }

    /// Decimal digits of a number up to `max`; the place is after them, or unchanged.
    pub(super) fn number(&mut self, max: u32) -> Option<u32> {
        let mut number: u64 = 0;
        let mut at = self.at;
        while let Some(digit @ b'0'..=b'9') = self.line.get(at).copied() {
            number = number * 10 + u64::from(digit - b'0');
            if number > u64::from(max) {
                return None;
            }
            at += 1;
        }
        if at == self.at {
            return None;
        }
        self.at = at;
        Some(number as u32)
    }

    /// A number that is a word of its own.
    pub(super) fn whole_number(&mut self) -> Option<u32> {
        let start = self.at;
        let number = self.number(u32::MAX).filter(|_| self.is_at_word_end());
        if number.is_none() {
            self.at = start;
        }
        number
    }

    /// Seconds, or a number and one of the units `s`, `m`, `h`, `d` and `w`; as a word, or before a colon.
    pub(super) fn time_s(&mut self) -> Option<u32> {
        let start = self.at;
        let time = self.number(u32::MAX).and_then(|number| match self.peek().and_then(unit_s) {
            Some(unit) => {
                self.at += 1;
                number.checked_mul(unit)
            }
            None => Some(number),
        });
        let time = time.filter(|_| self.is_at_word_end() || self.peek() == Some(b':'));
        if time.is_none() {
            self.at = start;
        }
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, expected) in [
            ("0", Some(0)),
            ("35m", Some(2_100)),
            ("1H", Some(3_600)),
            ("2d x", Some(172_800)),
            ("1w:", Some(604_800)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("5000000d", None),
            ("1h30m", None),
            ("5x", None),
            ("h", None),
            ("", None),
            ("-1", None),
        ] {
            let mut cursor = Cursor::new(text.as_bytes());
            assert_eq!(cursor.time_s(), expected, "{text}");
            assert_eq!(cursor.at() == 0, expected.is_none(), "{text}: the place of a fault is where the time starts");
            assert_eq!(time_s(text.as_bytes()), expected.filter(|_| cursor.is_at_end()), "{text}");
        }
    }

    #[test]
    fn blanks_around_a_line_are_not_part_of_it() {
        let mut cursor = Cursor::new(b" \t1.2.3.4  text \t");
        assert_eq!((cursor.at(), cursor.word()), (2, &b"1.2.3.4"[..]));
        cursor.skip_blanks();
        assert_eq!(cursor.rest(), b"text");
        assert!(Cursor::new(b" \t ").is_at_end());
    }
}
