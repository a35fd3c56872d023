//! Entry parameters: ` @ key=value;key=value` at the end of a line.
//!
//! rspamd's fork of rbldnsd introduced them. A text may well hold an `@`, so only a tail made of known parameters counts.

use super::{
    cursor::{Cursor, Wrong, is_blank, is_comment, time_s},
    report::Fault,
    slips::is_near,
};

/// What parameters say, as they say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Params {
    /// When the entry was seen.
    pub(super) seen_s: Option<u32>,
    pub(super) delay_s: Option<u32>,
    /// 0: for ever.
    pub(super) lifetime_s: Option<u32>,
    pub(super) until_s: Option<u32>,
    pub(super) needs_key: bool,
    pub(super) key_skips_delay: bool,
    /// What looks like parameters is text, since one of its words is not known.
    pub(super) has_unknown: bool,
}

const NAMES: [&[u8]; 5] = [b"delay", b"ts", b"key", b"lifetime", b"until"];

/// Those of them that say that something ends.
const ENDS: [&[u8]; 2] = [b"lifetime", b"until"];

const UNKNOWN_EXPECTED: &str =
    "delay, ts, key, lifetime or until; as it is, all from the `@` on is no parameter, and none of it is in force";

const LOOSE_EXPECTED: &str = "`=` right behind the name of a parameter; as it is, all from the `@` on is no parameter, and none of it \
                              is in force";

const DEFAULT_EXPECTED: &str =
    "no parameters of a default, where they are text: write them behind each entry, or $LIFETIME above";

const ACCESS_KEYWORD_EXPECTED: &str = "no parameters in an access list, whose lines hold until they are taken out; as it is, all from \
                                       the `@` on is passed over";

const ACCESS_TEXT_EXPECTED: &str = "no parameters in an access list, whose lines hold until they are taken out; as it is, all from the \
                                    `@` on is text";

const MOMENT_EXPECTED: &str = "seconds since 1970, or a time as 2026-12-24T18:00:00Z";

/// Whether a parameter starts here: a known name and `=`.
fn starts_param(text: &[u8]) -> bool {
    let text = &text[text.iter().take_while(|&&octet| is_blank(octet)).count()..];
    NAMES.iter().any(|name| text.strip_prefix(*name).is_some_and(|after| after.first() == Some(&b'=')))
}

/// Offset of the `@` that parameters follow, if the text ends in parameters: the first that is followed by nothing else. What
/// follows an octet is known where the text is looked through from its end, and so each octet is looked at once.
pub(super) fn find(text: &[u8]) -> Option<usize> {
    memchr::memchr(b'@', text)?;
    let mut found = None;
    // What follows: a part that ends here, and then parts of which all or any are parameters.
    let (mut end, mut all, mut any) = (text.len(), true, false);
    for (at, &octet) in text.iter().enumerate().rev() {
        let is_apart = at == 0 || is_blank(text[at - 1]);
        let part = &text[at + 1..end];
        match octet {
            b'@' if is_apart && all && (starts_param(part) || part.iter().all(|&octet| is_blank(octet))) => {
                found = (any || starts_param(part)).then_some(at);
            }
            b';' | b':' if starts_param(part) => (end, any) = (at, true),
            b';' | b'#' if is_apart => (end, all, any) = (at, true, false),
            b';' => (end, all) = (at, all && part.iter().all(|&octet| is_blank(octet))),
            _ => {}
        }
    }
    found
}

/// Whether a part would be a parameter with `=` right behind its name: blanks, `:`, or both stand there, and then one word. With
/// blanks only, that word must be a value, since texts have such names in them.
fn is_loose(pair: &[u8]) -> bool {
    let after_name = |name: &&[u8]| {
        let (start, after) = pair.split_at_checked(name.len())?;
        start.eq_ignore_ascii_case(name).then_some(after)
    };
    let Some(after) = NAMES.iter().find_map(after_name) else { return false };
    let rest = after.trim_ascii_start();
    let (is_joined, value) = match rest {
        [b'=' | b':', value @ ..] => (true, value.trim_ascii_start()),
        value => (false, value),
    };
    let is_value = value.first().is_some_and(u8::is_ascii_digit) || matches!(value, b"require" | b"nodelay");
    let is_word = !value.is_empty() && !value.iter().any(|&octet| is_blank(octet));
    is_word && (is_joined || (rest.len() < after.len() && is_value))
}

/// Whether a part is a word with a value, joined by `=`.
fn is_like_one(pair: &[u8]) -> bool {
    let (name, after) = pair.split_at(name_len(pair));
    let value = after.strip_prefix(b"=");
    !name.is_empty() && value.is_some_and(|value| !value.is_empty() && !value.iter().any(|&octet| is_blank(octet)))
}

/// Octets of the word that a part begins with.
fn name_len(pair: &[u8]) -> usize {
    pair.iter().take_while(|octet| octet.is_ascii_alphabetic() || matches!(octet, b'-' | b'_')).count()
}

/// Offset of the last `@`, if nothing but words with values stands behind it, whatever the words.
fn find_alike(text: &[u8]) -> Option<usize> {
    let at = memchr::memrchr(b'@', text).filter(|&at| at == 0 || is_blank(text[at - 1]))?;
    pairs(&text[at + 1..]).all(|(_, pair)| is_like_one(pair) || is_loose(pair)).then_some(at)
}

/// What is wrong with a text that is not parameters, and looks like those all the same: behind its last `@` stands nothing but words
/// with values, of which one is not known, or not joined to its value by `=` alone. What it was to say is not in force.
pub(super) fn misspelt(mut cursor: Cursor<'_>) -> Option<Wrong> {
    let text = cursor.rest();
    let at = find_alike(text)?;
    let (offset, pair) = pairs(&text[at + 1..]).find(|(_, pair)| !starts_param(pair))?;
    cursor.skip(at + 1 + offset);
    let expected = if is_like_one(pair) { UNKNOWN_EXPECTED } else { LOOSE_EXPECTED };
    Some(cursor.wrong(Fault::UnknownParameter, expected))
}

/// What is wrong with the text of a default that ends in what are parameters behind a key, or look like those.
pub(super) fn of_default(mut cursor: Cursor<'_>) -> Option<Wrong> {
    let wrong = match find(cursor.rest()) {
        Some(at) => {
            cursor.skip(at);
            cursor.wrong(Fault::UnknownParameter, DEFAULT_EXPECTED)
        }
        None => misspelt(cursor)?,
    };
    Some(Wrong { expected: DEFAULT_EXPECTED.into(), ..wrong })
}

/// What is wrong with what stands behind a keyword of an access list, where anything may stand, up to a comment.
pub(super) fn behind_keyword(cursor: Cursor<'_>) -> Option<Wrong> {
    let text = cursor.rest();
    let begins_comment = |&at: &usize| is_comment(text[at]) && (at == 0 || is_blank(text[at - 1]));
    let end = (0..text.len()).find(begins_comment).unwrap_or(text.len());
    of_access(cursor.cut(end), true, ACCESS_KEYWORD_EXPECTED)
}

/// What is wrong with a text of an access list.
pub(super) fn of_access_text(cursor: Cursor<'_>) -> Option<Wrong> {
    of_access(cursor, false, ACCESS_TEXT_EXPECTED)
}

/// What is wrong with words of an access list that are parameters or look like those. If they ask for an end the line is a bad one,
/// in a text without a slip only. Of other parameters it is told, and of other words nothing: rbldnsd's lists may have them.
fn of_access(mut cursor: Cursor<'_>, may_be_misspelt: bool, expected: &'static str) -> Option<Wrong> {
    let text = cursor.rest();
    let known = find(text);
    let at = known.or_else(|| find_alike(text))?;
    let parts = || pairs(&text[at + 1..]);
    let end = parts().find(|(_, pair)| asks_for_end(pair));
    let (offset, _) = end.or_else(|| parts().find(|(_, pair)| starts_param(pair)))?;
    cursor.skip(at + 1 + offset);
    let is_sure = end.is_some() && (may_be_misspelt || known.is_some());
    Some(cursor.wrong(if is_sure { Fault::Parameter } else { Fault::UnknownParameter }, expected))
}

/// Whether the name of a parameter says that something ends, or would without a slip.
fn asks_for_end(pair: &[u8]) -> bool {
    let name = &pair[..name_len(pair)];
    ENDS.iter().any(|end| is_near(name, end))
}

/// The parts of a list of parameters with their offsets: `;` separates them, and `:` where another one follows it. A comment
/// ends the list.
fn pairs(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at <= text.len() {
            let start = at;
            let mut end = start;
            let mut is_last = true;
            while let Some(&octet) = text.get(end) {
                let separates = matches!(octet, b';' | b':') && starts_param(&text[end + 1..]);
                let comments = is_comment(octet) && end > 0 && is_blank(text[end - 1]);
                if separates || comments || octet == b';' {
                    is_last = comments && !separates;
                    break;
                }
                end += 1;
            }
            at = if is_last { text.len() + 1 } else { end + 1 };
            let pair = &text[start..end];
            let blanks = pair.iter().take_while(|&&octet| is_blank(octet)).count();
            if blanks < pair.len() {
                return Some((start + blanks, pair[blanks..].trim_ascii_end()));
            }
        }
        None
    })
}

/// Reads the parameters that follow the place; those that cannot be read are handed to `remark` and left out.
pub(super) fn read(cursor: Cursor<'_>, mut remark: impl FnMut(Wrong)) -> Params {
    let mut params = Params::default();
    for (offset, pair) in pairs(cursor.rest()) {
        let (name, value) = pair.split_at(memchr::memchr(b'=', pair).unwrap_or(pair.len()));
        let value = value.strip_prefix(b"=").unwrap_or_default().trim_ascii_start();
        if let Err(expected) = read_one(&mut params, name, value) {
            let mut there = cursor;
            there.skip(offset);
            let joined = if is_joined_otherwise(value) { ", and `;` before the next parameter" } else { "" };
            remark(there.wrong(Fault::Parameter, format!("{expected}{joined}")));
        }
    }
    params
}

/// Whether another parameter follows within a value, and something else than `;` was taken for what joins them.
fn is_joined_otherwise(value: &[u8]) -> bool {
    let joins = |octet: u8| is_blank(octet) || matches!(octet, b',' | b'&');
    // Of blanks, the last one tells.
    let is_last = |next: Option<&u8>| next.is_some_and(|&octet| !is_blank(octet));
    let may_join = |(at, octet): &(usize, &u8)| joins(**octet) && is_last(value.get(at + 1));
    value.iter().enumerate().filter(may_join).any(|(at, _)| starts_param(&value[at + 1..]))
}

fn read_one(params: &mut Params, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
    let time = || time_s(value).ok_or("a time as 90, 5m or 2h");
    match name {
        b"delay" => params.delay_s = Some(time()?),
        b"lifetime" => params.lifetime_s = Some(time()?),
        b"ts" => params.seen_s = Some(unix_s(value).ok_or("seconds since 1970")?),
        b"until" => params.until_s = Some(moment_s(value).ok_or(MOMENT_EXPECTED)?),
        _ => match value {
            b"require" => params.needs_key = true,
            b"nodelay" => params.key_skips_delay = true,
            _ => return Err("key=require or key=nodelay"),
        },
    }
    Ok(())
}

/// Seconds since 1970; those beyond 32 bits, in 2106, are as good as for ever.
pub(super) fn unix_s(text: &[u8]) -> Option<u32> {
    let is_number = !text.is_empty() && text.len() < 20 && text.iter().all(u8::is_ascii_digit);
    is_number
        .then(|| text.iter().fold(0u32, |sum, digit| sum.saturating_mul(10).saturating_add(u32::from(digit - b'0'))))
}

/// Seconds since 1970, or a time of RFC 3339.
fn moment_s(text: &[u8]) -> Option<u32> {
    let date_s = || rfc3339_s(std::str::from_utf8(text).ok()?);
    unix_s(text).or_else(|| Some(u32::try_from(date_s()?).unwrap_or(u32::MAX)))
}

/// Seconds since the epoch of a time as RFC 3339 writes it. What was before the epoch is its first second.
pub fn rfc3339_s(text: &str) -> Option<u64> {
    const YEAR_S: u64 = 365 * 86_400;
    let moment_s = |text: &str| {
        let moment: jiff::Timestamp = text.parse().ok()?;
        // RFC 3339 section 5.6: an offset has the hours of a day.
        let offset_hours =
            text.len().checked_sub("+00:00".len()).and_then(|at| text.get(at..)?.strip_prefix(['+', '-']));
        if offset_hours.is_some_and(|offset| offset > "23:59") {
            return None;
        }
        Some(u64::try_from(moment.as_second()).unwrap_or(0))
    };
    // The last day that can be written, which databases mean for ever by, is beyond what a timestamp reaches; a year before it is not.
    let last_year_s = || Some(moment_s(&format!("9998-{}", text.strip_prefix("9999-")?))? + YEAR_S);
    moment_s(text).or_else(last_year_s)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn params(text: &str) -> Option<(&str, Params, Vec<usize>)> {
        let at = find(text.as_bytes())?;
        let mut cursor = Cursor::new(text.as_bytes());
        cursor.skip(at + 1);
        let mut faults = Vec::new();
        let params = read(cursor, |wrong| faults.push(wrong.at));
        Some((text[..at].trim_end(), params, faults))
    }

    #[test]
    fn tails_that_are_parameters() {
        let some =
            |seen_s, delay_s, lifetime_s, until_s| Params { seen_s, delay_s, lifetime_s, until_s, ..Params::default() };
        for (text, before, expected) in [
            ("@ ts=100", "", some(Some(100), None, None, None)),
            ("text @ ts=100;delay=60s", "text", some(Some(100), Some(60), None, None)),
            ("text @ts=100:delay=1m", "text", some(Some(100), Some(60), None, None)),
            ("a @ b @ lifetime=1h", "a @ b", some(None, None, Some(3_600), None)),
            (":2:x @ until=1970-01-01T00:01:00Z;ts=1", ":2:x", some(Some(1), None, None, Some(60))),
            ("x @ until=99999999999", "x", some(None, None, None, Some(u32::MAX))),
            ("x @ until=9999-12-31T23:59:59Z", "x", some(None, None, None, Some(u32::MAX))),
            ("x @ until=9999-12-31T00:00:00-05:00", "x", some(None, None, None, Some(u32::MAX))),
            ("x @#c @ ts=1", "x @#c", some(Some(1), None, None, None)),
            ("x @; @ ts=1", "x @;", some(Some(1), None, None, None)),
            ("x @ ts=5 # seen", "x", some(Some(5), None, None, None)),
            ("x @ ts=5 ; delay=3 ;; ", "x", some(Some(5), Some(3), None, None)),
            ("x @ ts=5 ;note", "x", some(Some(5), None, None, None)),
        ] {
            assert_eq!(params(text), Some((before, expected, vec![])), "{text}");
        }
        let (_, both, _) = params("x @ key=require;key=nodelay").expect("parameters");
        assert!(both.needs_key && both.key_skips_delay);
    }

    proptest! {
        #[test]
        fn tails_are_found_as_if_each_was_read(
            words in prop::collection::vec(prop::sample::select(vec![
                " @", "@", " ", ";", ":", "#", "ts=1", "key=require", "x", ";ts=2", " ; ", " ;until=3", " # ",
            ]), 0..14),
        ) {
            let text = words.concat().into_bytes();
            let is_tail = |at: &usize| {
                let is_apart = *at == 0 || is_blank(text[*at - 1]);
                is_apart && pairs(&text[at + 1..]).all(|(_, pair)| starts_param(pair))
            };
            let first = memchr::memchr_iter(b'@', &text).find(is_tail);
            let expected = first.filter(|at| pairs(&text[at + 1..]).next().is_some());
            prop_assert_eq!(find(&text), expected, "{}", text.escape_ascii());
        }
    }

    /// Each of these would take seconds where what follows an `@` or a blank is looked through once for each of them.
    #[test]
    fn long_lines_are_looked_through_once() {
        for text in [
            format!("x{};x", " @ts=1".repeat(10_000)),
            format!("x{};x", " @ x".repeat(16_000)),
            format!("x @ ts=x{}y", " ".repeat(65_000)),
        ] {
            let begun = std::time::Instant::now();
            params(&text);
            assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
        }
    }

    #[test]
    fn tails_that_are_text() {
        for text in
            ["", "a@ts=1", "mail me @ home", "x @", "x @ ts", "x @ ts=1;foo=2", "x @ # c", "x @ TS=1", "x @ts =1"]
        {
            assert_eq!(params(text), None, "{text}");
        }
    }

    #[test]
    fn words_that_are_no_parameters() {
        let found = |text: &str| {
            assert_eq!(params(text), None, "{text}");
            misspelt(Cursor::new(text.as_bytes())).map(|wrong| wrong.at)
        };
        for (text, at) in [
            ("x @ lifetme=5s", 4),
            ("@ lifetme=5s", 2),
            ("x @ ts=1;foo=2", 9),
            ("x @ ts=1;Lifetime=5m # so", 9),
            ("x @ TS=1", 4),
            ("a @ b @ life-time=5s", 8),
            (":2:x @ lifetime = 5s", 7),
            ("@ lifetime =5s", 2),
            ("@ lifetime 5s", 2),
            ("x @Lifetime\t5s # so", 3),
            ("x @ ts=1;lifetime 5s", 9),
            ("@ lifetime: 5s", 2),
            ("x @ until:2026-12-24T18:00:00Z", 4),
            ("x @ key require", 4),
            ("x @ Key : nodelay", 4),
        ] {
            assert_eq!(found(text), Some(at), "{text}");
        }
        for text in [
            "",
            "mail me @ home",
            "x @ home=the best of places",
            "x @ a=b, or c",
            "a@lifetme=5s",
            "x @",
            "x @ =5",
            "x @ a=",
            "x @ ts",
            "x @ lifetime:",
            "x @ key West",
            "seen @ delay counter",
            "x @ delay 5 minutes",
            "x @ until: the end of days",
            "x @ lifetimes 5s",
            "x @ home: here",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
        assert_eq!(misspelt(Cursor::new(b"x @ ts=1;until=2")), None);
    }

    #[test]
    fn ends_that_access_lists_ask_for() {
        let said = |wrong: Option<Wrong>| wrong.map(|wrong| (wrong.fault, wrong.at));
        let (bad, told) = (Fault::Parameter, Fault::UnknownParameter);
        for (text, behind_a_keyword, in_a_text) in [
            ("@ until=5", Some((bad, 2)), Some((bad, 2))),
            ("a@b @ ts=1;lifetime=5m", Some((bad, 11)), Some((bad, 11))),
            ("@ until=5 # so", Some((bad, 2)), Some((bad, 2))),
            ("x @ ref=4711;until=5", Some((bad, 13)), Some((told, 13))),
            ("@ Lifetime 5s", Some((bad, 2)), Some((told, 2))),
            ("@ life-time=5s", Some((bad, 2)), Some((told, 2))),
            ("@ untill=5", Some((bad, 2)), Some((told, 2))),
            ("@ utnil=5", Some((bad, 2)), Some((told, 2))),
            ("@ unit=5", None, None),
            ("x @ key=4711", Some((told, 4)), Some((told, 4))),
            ("x @ ref=4711;ts=5", Some((told, 13)), Some((told, 13))),
            ("x @ ref=4711", None, None),
            ("x @ home", None, None),
            ("a@b # x @ until=5", None, Some((bad, 10))),
            ("# x @ until=5", None, Some((bad, 6))),
            (";x @ until=5", None, Some((bad, 5))),
        ] {
            let cursor = Cursor::new(text.as_bytes());
            assert_eq!(said(behind_keyword(cursor)), behind_a_keyword, "{text}");
            assert_eq!(said(of_access_text(cursor)), in_a_text, "{text}");
        }
    }

    #[test]
    fn what_joins_parameters_is_told_where_something_else_stands() {
        for (value, is_told) in
            [("5 lifetime=7d", true), ("5, lifetime=7d", true), ("5&ts=6", true), ("5 days", false), ("x", false)]
        {
            let mut said = String::new();
            read(Cursor::new(format!("ts={value}").as_bytes()), |wrong| said += &wrong.expected);
            assert_eq!(said.contains("`;` before the next"), is_told, "{value}: {said}");
        }
    }

    #[test]
    fn parameters_that_cannot_be_read_are_left_out() {
        for (text, at) in [("x @ delay=5x", 4), ("x @ ts=1;key=maybe", 9), ("x @ ts=-1", 4), ("x @ until=soon", 4)] {
            let (_, _, faults) = params(text).expect(text);
            assert_eq!(faults, [at], "{text}");
        }
    }
}
