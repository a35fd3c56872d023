//! One line of a dataset on its own, as an update brings it: its key, its value and its parameters, all as in a file.
//!
//! Here nothing is skipped with a remark: a line that would earn one is not taken, because who sent it can be told.

use std::net::Ipv4Addr;

use super::{
    address::{self, Either},
    addresses::takes_exclamation,
    cursor::{Cursor, Wrong},
    name::{NameBuffer, unasked},
    names::{ASTERISK_EXPECTED, not_ascii},
    params::{self, Params},
    report::Fault,
    value::{self, GivenValue},
};
use crate::{
    wire::name::{Name, ends_in_number},
    zone::{live::Place, reversed::reverse},
};

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SingleLine {
    /// Of what: one, or two if it is about a name and all below it (a leading `.`).
    pub places: Vec<Place>,
    /// It is excluded (`!`).
    pub is_exclusion: bool,
    /// The return code, if the line gives one.
    pub address: Option<Ipv4Addr>,
    /// The text, if the line gives one.
    pub text: Option<Vec<u8>>,
    /// When it was seen, in seconds since the epoch.
    pub seen_s: Option<u32>,
    /// For how long it holds from then on, in seconds; 0 is for ever.
    pub lifetime_s: Option<u32>,
    /// Until when it holds, in seconds since the epoch.
    pub until_s: Option<u32>,
}

/// Reads a line: of addresses as `ip4trie` has them, or of names as `dnset` has. Names that nobody asks for are not taken, but where
/// what was listed once is taken back.
///
/// # Errors
/// What is wrong with it, with the column.
pub fn read_line(line: &[u8], holds_addresses: bool, is_removal: bool) -> Result<SingleLine, String> {
    read(line, holds_addresses, is_removal)
        .map_err(|wrong| format!("column {}: expected {}", wrong.at + 1, wrong.expected))
}

fn read(line: &[u8], holds_addresses: bool, is_removal: bool) -> Result<SingleLine, Wrong> {
    let mut cursor = Cursor::new(line);
    let start = cursor;
    let is_default = cursor.peek() == Some(b':') && !(holds_addresses && cursor.rest().starts_with(b"::"));
    if cursor.is_done() || is_default || cursor.peek() == Some(b'$') {
        return Err(start.wrong(Fault::Address, "an entry: defaults and specials are for files"));
    }
    let is_exclusion = takes_exclamation(&mut cursor);
    let places = if holds_addresses { vec![prefix(&mut cursor)?] } else { names(&mut cursor, is_removal)? };
    cursor.skip_blanks();
    let (mut tail, params) = parameters(cursor)?;
    let given = if is_exclusion { GivenValue::default() } else { value::read(&mut tail)? };
    Ok(SingleLine {
        places,
        is_exclusion,
        address: given.address,
        text: given.text.filter(|text| !text.is_empty()).map(<[u8]>::to_vec),
        seen_s: params.seen_s,
        lifetime_s: params.lifetime_s,
        until_s: params.until_s,
    })
}

fn prefix(cursor: &mut Cursor<'_>) -> Result<Place, Wrong> {
    let start = *cursor;
    match address::read_either(cursor, false)? {
        Either::V4(range) => {
            let length = range.prefix_len().ok_or_else(|| start.wrong(Fault::Address, "one prefix"))?;
            Ok(Place::V4(range.first, length))
        }
        Either::V6(base, length) => Ok(Place::V6(base, length)),
    }
}

fn names(cursor: &mut Cursor<'_>, is_removal: bool) -> Result<Vec<Place>, Wrong> {
    let (skipped, wildcards): (_, &[bool]) = match cursor.rest() {
        [b'*', b'.', ..] => (2, &[true]),
        [b'.', ..] => (1, &[false, true]),
        _ => (0, &[false]),
    };
    cursor.skip(skipped);
    let (start, mut name) = (*cursor, NameBuffer::new());
    name.read_below_root(cursor)?;
    if !is_removal && !name.as_wire().is_ascii() {
        return Err(not_ascii(start));
    }
    if let Some(wrong) = unasked(start, *cursor, ASTERISK_EXPECTED).filter(|_| !is_removal) {
        return Err(wrong);
    }
    let text = &start.rest()[..cursor.at() - start.at()];
    if ends_in_number(text) {
        let text = String::from_utf8_lossy(text);
        let expected =
            format!("a domain, and none ends in a number (if `{text}` is a name all the same, it is `{text}.`)");
        return Err(start.wrong(Fault::Name, expected));
    }
    name.make_lowercase();
    let reversed = reverse(&Name::from_wire(name.as_wire()));
    Ok(wildcards.iter().map(|&is_wildcard| Place::Name { reversed: reversed.clone(), is_wildcard }).collect())
}

/// The line up to its parameters, and these. A live listing knows no delays and no keys, so a line that asks for them is not
/// taken: what it means would be lost.
fn parameters(cursor: Cursor<'_>) -> Result<(Cursor<'_>, Params), Wrong> {
    let Some(at) = params::find(cursor.rest()) else {
        return params::misspelt(cursor).map_or(Ok((cursor, Params::default())), Err);
    };
    let mut there = cursor;
    there.skip(at + 1);
    let mut wrong = None;
    let params = params::read(there, |fault| wrong = Some(fault));
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    if params.delay_s.is_some() || params.needs_key || params.key_skips_delay {
        return Err(there.wrong(Fault::Parameter, "ts, lifetime or until: live listings have no delay and no key"));
    }
    let value = cursor.cut(at);
    let value_len = value.rest().trim_ascii_end().len();
    Ok((value.cut(value_len), params))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, holds_addresses: bool) -> SingleLine {
        read_line(text.as_bytes(), holds_addresses, false).unwrap_or_else(|wrong| panic!("{text}: {wrong}"))
    }

    #[test]
    fn entries_of_addresses() {
        let read = line("192.0.2.1 :127.0.0.3:Seen at $ @ ts=100;lifetime=1h", true);
        assert_eq!(read.places, [Place::V4(0xc000_0201, 32)]);
        assert_eq!((read.is_exclusion, read.address), (false, Some(Ipv4Addr::new(127, 0, 0, 3))));
        assert_eq!(read.text.as_deref(), Some(&b"Seen at $"[..]));
        assert_eq!((read.seen_s, read.lifetime_s, read.until_s), (Some(100), Some(3_600), None));
        assert_eq!(line("192.0.2.0/24", true).places, [Place::V4(0xc000_0200, 24)]);
        assert_eq!(line("2001:db8::/32 :4", true).places, [Place::V6(0x2001_0db8 << 96, 32)]);
        assert_eq!(line("::1", true).places, [Place::V6(1, 128)], "which is no default");
        let excluded = line("!192.0.2.1 @ until=1970-01-01T00:01:00Z", true);
        assert_eq!((excluded.is_exclusion, excluded.until_s), (true, Some(60)));
        let plain = line("192.0.2.1", true);
        assert_eq!((plain.address, plain.text, plain.lifetime_s), (None, None, None));
    }

    #[test]
    fn entries_of_names() {
        let of = |text| line(text, false).places;
        let [itself, below] =
            [false, true].map(|is_wildcard| Place::Name { reversed: (*b"\x07example\x04spam").into(), is_wildcard });
        assert_eq!(of("Spam.Example :2:x"), std::slice::from_ref(&itself));
        assert_eq!(of("*.spam.example"), std::slice::from_ref(&below));
        assert_eq!(of(".spam.example"), [itself, below]);
    }

    #[test]
    fn what_is_no_entry() {
        let wrong = |text: &str| read_line(text.as_bytes(), true, false).expect_err(text);
        for text in ["", "# remark", ":127.0.0.2:default", "$TTL 60", "spam.example", "192.0.2.1/24", "192.0.2.1 :x:"] {
            wrong(text);
        }
        for name in ["*", "spam.*.example", "spam.example/path", "<p>", "caf\u{e9}.example", r"caf\233.example"] {
            read_line(name.as_bytes(), false, false).expect_err(name);
            read_line(name.as_bytes(), false, true).expect("what was listed before can be taken back");
        }
        for text in ["1.2.3", "*.1.2.3", ".1.2.3", "10.0.0.256 :2:x"] {
            for is_removal in [false, true] {
                let why = read_line(text.as_bytes(), false, is_removal).expect_err(text);
                assert!(why.contains("none ends in a number"), "{why}");
            }
        }
        assert_eq!(read_line(b"1.2.3. :2:x", false, false).map(|line| line.places.len()), Ok(1), "its dot says it");
        assert_eq!(read_line(br"\042.example", false, false).map(|line| line.places.len()), Ok(1));
        assert!(wrong("192.0.2.1 :2:x @ delay=60s").contains("no delay"));
        assert!(wrong("192.0.2.1 @ key=require").contains("no key"));
        assert!(
            wrong("192.0.2.1 :2:x @ lifetme=60s").starts_with("column 18: expected delay, ts, key, lifetime or until")
        );
        assert!(wrong("192.0.2.1 @ ts=x").starts_with("column 13"));
    }
}
