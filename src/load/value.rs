//! What entries answer with: `:A:text`, `:A`, `text`, or nothing; and the variables that texts may use.
//!
//! Variables hold for a whole dataset, also for the lines before them, so texts are kept as written and made into templates
//! when the dataset is complete.

use std::{net::Ipv4Addr, sync::Arc};

use super::{
    cursor::{Cursor, Wrong, is_comment},
    report::Fault,
};
use crate::zone::values::{TEMPLATE_MAX, Template, ValueId, ValuesBuilder};

/// What rbldnsd answers where files say nothing.
pub(super) const BUILT_IN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

const A_EXPECTED: &str = "1 to 4 decimal numbers up to 255 with dots between, not all 0";

/// A value as a line gives it; what it leaves out comes from the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GivenValue<'a> {
    pub(super) address: Option<Ipv4Addr>,
    pub(super) text: Option<&'a [u8]>,
}

/// Reads the rest of a line as a value.
pub(super) fn read<'a>(cursor: &mut Cursor<'a>) -> Result<GivenValue<'a>, Wrong> {
    if cursor.is_done() {
        return Ok(GivenValue::default());
    }
    if !cursor.take(b':') {
        return Ok(GivenValue { address: None, text: Some(cursor.rest()) });
    }
    let address = Some(a_record(cursor, [127, 0, 0], false)?);
    let after = cursor.at();
    cursor.skip_blanks();
    if cursor.take(b':') {
        cursor.skip_blanks();
        return Ok(GivenValue { address, text: Some(cursor.rest()) });
    }
    let is_apart = cursor.at() > after;
    if cursor.is_at_end() || (is_apart && cursor.peek().is_some_and(is_comment)) {
        return Ok(GivenValue { address, text: None });
    }
    Err(cursor.wrong(Fault::Value, "`:` and a text, or nothing after the A record"))
}

/// Reads an address as `inet_aton` does, but decimal only: the last number given is the last octet, and of a single number the
/// others are `prefix`.
pub(super) fn a_record(cursor: &mut Cursor<'_>, prefix: [u8; 3], may_be_zero: bool) -> Result<Ipv4Addr, Wrong> {
    let start = *cursor;
    let mut numbers = [0; 4];
    let mut count = 0;
    loop {
        let Some(number) = cursor.number(255) else { return Err(cursor.wrong(Fault::ARecord, A_EXPECTED)) };
        numbers[count] = number as u8;
        count += 1;
        if count == 4 || !cursor.take(b'.') {
            break;
        }
    }
    let last = numbers[count - 1];
    let [first, second, third, _] = numbers;
    let is_zero = numbers == [0; 4];
    if is_zero && !may_be_zero {
        return Err(start.wrong(Fault::ARecord, A_EXPECTED));
    }
    Ok(match count {
        1 => Ipv4Addr::new(prefix[0], prefix[1], prefix[2], last),
        2 => Ipv4Addr::new(first, 0, 0, last),
        3 => Ipv4Addr::new(first, second, 0, last),
        _ => Ipv4Addr::new(first, second, third, last),
    })
}

/// The value of entries that give none, and the parts of values that give only the other.
#[derive(Clone, Debug)]
struct DefaultValue {
    address: Ipv4Addr,
    text: Vec<u8>,
    /// Once an entry had it.
    id: Option<ValueId>,
}

impl Default for DefaultValue {
    fn default() -> Self {
        Self { address: BUILT_IN, text: Vec::new(), id: None }
    }
}

/// The values of a dataset while it is read.
#[derive(Debug, Default)]
pub(super) struct ValueReader {
    builder: ValuesBuilder,
    default: DefaultValue,
    /// The first default that was set.
    first_default: Option<DefaultValue>,
    /// The value of the line before: neighbours often have the same.
    last_address: Option<Ipv4Addr>,
    last_text: Vec<u8>,
    last_id: Option<ValueId>,
}

impl ValueReader {
    /// Takes the built-in default again.
    pub(super) fn reset_default(&mut self) {
        self.default = DefaultValue::default();
    }

    /// Takes a default that is completed by the built-in one, or by the one before.
    pub(super) fn set_default(&mut self, given: GivenValue<'_>, keeps_parts: bool) {
        if !keeps_parts {
            self.reset_default();
        }
        self.default.id = None;
        if let Some(address) = given.address {
            self.default.address = address;
        }
        if let Some(text) = given.text {
            self.default.text.clear();
            self.default.text.extend_from_slice(text);
        }
        self.first_default.get_or_insert_with(|| self.default.clone());
    }

    /// The id of the first default that was set, or of the built-in one.
    pub(super) fn first_default_id(&mut self) -> ValueId {
        let DefaultValue { address, text, .. } = self.first_default.take().unwrap_or_default();
        self.builder.intern(address, &text)
    }

    /// The id of the default.
    #[inline]
    pub(super) fn default_id(&mut self) -> ValueId {
        if let Some(id) = self.default.id {
            return id;
        }
        *self.default.id.insert(self.builder.intern(self.default.address, &self.default.text))
    }

    /// The id of a value.
    pub(super) fn id(&mut self, given: GivenValue<'_>) -> ValueId {
        if given == GivenValue::default() {
            return self.default_id();
        }
        let address = given.address.unwrap_or(self.default.address);
        let text = given.text.unwrap_or(&self.default.text);
        if let Some(id) = self.last_id
            && self.last_address == Some(address)
            && self.last_text == text
        {
            return id;
        }
        let id = self.builder.intern(address, text);
        self.last_address = Some(address);
        self.last_text.clear();
        self.last_text.extend_from_slice(text);
        self.last_id = Some(id);
        id
    }

    /// A reader for a part of the same file, with the same default.
    pub(super) fn fork(&self) -> Self {
        Self { default: DefaultValue { id: None, ..self.default.clone() }, ..Self::default() }
    }

    /// Takes over the values of a part that follows; returns which of these each of those is.
    pub(super) fn absorb(&mut self, later: Self) -> Vec<ValueId> {
        self.first_default = self.first_default.take().or(later.first_default);
        self.builder.absorb(later.builder)
    }

    /// Octets of text so far.
    pub(super) fn text_bytes(&self) -> usize {
        self.builder.text_bytes()
    }

    pub(super) fn into_builder(self) -> ValuesBuilder {
        self.builder
    }
}

/// Texts that other texts may use.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables {
    /// `$0` to `$9`.
    numbered: [Option<Arc<[u8]>>; 10],
    /// `$=`: the template for entries whose text does not start with `=`.
    base: Option<Arc<[u8]>>,
}

impl Variables {
    /// Sets `$0` to `$9`, unless it is set.
    pub(super) fn set(&mut self, number: usize, text: &[u8]) {
        self.numbered[number].get_or_insert_with(|| text.into());
    }

    /// Sets `$=`, unless it is set.
    pub(super) fn set_base(&mut self, text: &[u8]) {
        self.base.get_or_insert_with(|| text.into());
    }

    /// The template that a text stands for, and whether it had to be cut.
    pub(super) fn template(&self, text: &[u8]) -> (Template, bool) {
        let (pattern, own, empty_is_key) = match (text.strip_prefix(b"="), &self.base) {
            (Some(pattern), _) => (pattern, pattern, false),
            (None, Some(base)) => (&**base, text, true),
            (None, None) => (text, text, false),
        };
        let mut template = Template::default();
        let mut is_cut = false;
        let mut push = |template: &mut Template, text: &[u8]| {
            let room = TEMPLATE_MAX - template.text_len();
            is_cut |= text.len() > room;
            template.push_text(&text[..text.len().min(room)]);
        };
        let mut rest = pattern;
        while let Some(dollar) = memchr::memchr(b'$', rest) {
            push(&mut template, &rest[..dollar]);
            let after = rest.get(dollar + 1).copied();
            let taken = match after {
                Some(b'$') => {
                    push(&mut template, b"$");
                    2
                }
                Some(digit @ b'0'..=b'9') => {
                    let variable = self.numbered[usize::from(digit - b'0')].as_deref();
                    push(&mut template, variable.unwrap_or(&[b'$', digit]));
                    2
                }
                Some(b'=') if own.is_empty() && empty_is_key => {
                    template.push_key();
                    2
                }
                Some(b'=') => {
                    push(&mut template, own);
                    2
                }
                _ => {
                    template.push_key();
                    1
                }
            };
            rest = &rest[dollar + taken..];
        }
        push(&mut template, rest);
        (template, is_cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::values::Values;

    #[test]
    fn values_that_are_read() {
        for (line, address, text) in [
            ("", None, None),
            ("# comment", None, None),
            ("; comment", None, None),
            (":2:text", Some([127, 0, 0, 2]), Some("text")),
            (":2 :  text", Some([127, 0, 0, 2]), Some("text")),
            (":2:", Some([127, 0, 0, 2]), Some("")),
            (":2", Some([127, 0, 0, 2]), None),
            (":2 # c", Some([127, 0, 0, 2]), None),
            (":2:# c", Some([127, 0, 0, 2]), Some("# c")),
            (":1.2", Some([1, 0, 0, 2]), None),
            (":1.2.3:x", Some([1, 2, 0, 3]), Some("x")),
            (":127.0.0.004:x", Some([127, 0, 0, 4]), Some("x")),
            (":127.0.0.0:x", Some([127, 0, 0, 0]), Some("x")),
            (":0.0.0.1:x", Some([0, 0, 0, 1]), Some("x")),
            ("foo # bar", None, Some("foo # bar")),
            ("\"quoted\"", None, Some("\"quoted\"")),
        ] {
            let given = read(&mut Cursor::new(line.as_bytes())).expect(line);
            assert_eq!(
                given,
                GivenValue { address: address.map(Ipv4Addr::from), text: text.map(str::as_bytes) },
                "{line}"
            );
        }
    }

    #[test]
    fn values_that_are_refused() {
        for (line, fault, at) in [
            (": 2 :", Fault::ARecord, 1),
            ("::x", Fault::ARecord, 1),
            (":0:x", Fault::ARecord, 1),
            (":0.0.0.0:x", Fault::ARecord, 1),
            (":256:x", Fault::ARecord, 1),
            (":2.:", Fault::ARecord, 3),
            (":2x", Fault::Value, 2),
            (":2#x", Fault::Value, 2),
            (":127.0.0.3.", Fault::Value, 10),
            (":2 text", Fault::Value, 3),
        ] {
            let wrong = read(&mut Cursor::new(line.as_bytes())).expect_err(line);
            assert_eq!((wrong.fault, wrong.at), (fault, at), "{line}");
        }
    }

    #[test]
    fn defaults_complete_values() {
        let mut reader = ValueReader::default();
        let given = |line: &'static str| read(&mut Cursor::new(line.as_bytes())).expect(line);
        reader.set_default(given(":5:five"), false);
        let ids = [reader.id(given("")), reader.id(given(":6")), reader.id(given("six"))];
        reader.set_default(given(":7"), false);
        let later = reader.id(given(""));
        let values = reader.into_builder().build(|text| Variables::default().template(text).0);
        let shown = |id| format!("{} {}", values.address(id), text_of(&values, id));
        assert_eq!(ids.map(shown), ["127.0.0.5 five", "127.0.0.6 five", "127.0.0.5 six"]);
        assert_eq!(shown(later), "127.0.0.7 ");
    }

    fn text_of(values: &Values, id: ValueId) -> String {
        values
            .text(id)
            .map_or_else(String::new, |text| String::from_utf8(values.expand(text, b"KEY")).expect("texts of tests"))
    }

    #[test]
    fn substitution() {
        for (base, text, expected) in [
            ("", "plain", "plain"),
            ("", "a $ b", "a KEY b"),
            ("", "$1/$9/$$/$a/$", "one $/$9/$/KEYa/KEY"),
            ("", "x $= y", "x x $= y y"),
            ("", "", ""),
            ("[$=]", "five $ $1", "[five $ $1]"),
            ("[$=]", "", "[KEY]"),
            ("[$=]", "=own $=", "own own $="),
            ("[$=]", "=", ""),
            ("$1 $ $$", "ignored", "one $ KEY $"),
        ] {
            let mut variables = Variables::default();
            variables.set(1, b"one $");
            variables.set(1, b"too late");
            if !base.is_empty() {
                variables.set_base(base.as_bytes());
            }
            let mut builder = ValuesBuilder::default();
            let id = builder.intern(BUILT_IN, text.as_bytes());
            let values = builder.build(|text| variables.template(text).0);
            assert_eq!(text_of(&values, id), expected, "base {base}, text {text}");
        }
    }

    #[test]
    fn a_template_has_a_limit() {
        let mut variables = Variables::default();
        variables.set(0, &vec![b'x'; 30_000]);
        let (template, is_cut) = variables.template(b"$0$0");
        assert_eq!((template.text_len(), is_cut), (60_000, false));
        let (template, is_cut) = variables.template(b"$0$0$0 $");
        assert_eq!((template.text_len(), is_cut), (60_000, true));
    }
}
