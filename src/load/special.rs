//! Lines that begin with `$`: what they say holds for more than one entry.

use super::{
    Options, ZoneHead,
    cursor::{Cursor, Wrong},
    name::{NameBuffer, unasked},
    report::Fault,
    value::Variables,
};
use crate::{
    wire::name::Name,
    zone::apex::{NameServers, SERVERS_MAX, Soa},
};

/// The longest TTL that there is (RFC 2181 section 8).
pub const TTL_MAX_S: u32 = i32::MAX as u32;

/// What holds for the entries of one dataset.
#[derive(Clone, Debug)]
pub(super) struct InForce {
    /// The last `$TTL`.
    pub(super) ttl_s: u32,
    /// `$0` to `$9` and `$=`.
    pub(super) variables: Variables,
    /// `$LIFETIME`, for the entries after it; 0 is none.
    pub(super) lifetime_s: u32,
}

impl InForce {
    pub(super) fn new(options: &Options) -> Self {
        Self { ttl_s: options.default_ttl_s, variables: Variables::default(), lifetime_s: 0 }
    }
}

/// What a line is, by its first octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineKind {
    /// Nothing, or a comment.
    Empty,
    /// `$...`, also behind one of `#`, `;` and `:`, where other programs do not see it.
    Special,
    /// Anything else.
    Entry,
}

impl LineKind {
    #[inline]
    pub(super) fn of(text: &[u8]) -> Self {
        match text {
            [b'$', ..] | [b'#' | b';' | b':', b'$', ..] => Self::Special,
            [] | [b'#' | b';', ..] => Self::Empty,
            _ => Self::Entry,
        }
    }
}

/// The words that may follow the `$`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Soa,
    Servers,
    Ttl,
    Lifetime,
    Timestamp,
    MaxRange4,
    Variable(u8),
    Base,
    Dataset,
}

/// Reads the keyword of a special line and goes to what follows it.
pub(super) fn keyword(cursor: &mut Cursor<'_>) -> Result<Keyword, Wrong> {
    const EXPECTED: &str =
        "$SOA, $NS, $TTL, $LIFETIME, $TIMESTAMP, $MAXRANGE4, $DATASET, $0 to $9 or $=, and what it is set to";
    let start = *cursor;
    if cursor.peek() != Some(b'$') {
        cursor.skip(1);
    }
    cursor.skip(1);
    let word = cursor.word();
    let keyword = match word {
        [digit @ b'0'..=b'9'] => Some(Keyword::Variable(digit - b'0')),
        b"=" => Some(Keyword::Base),
        _ => [
            ("SOA", Keyword::Soa),
            ("NS", Keyword::Servers),
            ("NAMESERVER", Keyword::Servers),
            ("TTL", Keyword::Ttl),
            ("LIFETIME", Keyword::Lifetime),
            ("TIMESTAMP", Keyword::Timestamp),
            ("MAXRANGE4", Keyword::MaxRange4),
            ("DATASET", Keyword::Dataset),
        ]
        .into_iter()
        .find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, keyword)| keyword),
    };
    let Some(keyword) = keyword else { return Err(start.wrong(Fault::Special, EXPECTED)) };
    cursor.skip_blanks();
    if cursor.is_at_end() { Err(cursor.wrong(Fault::Special, EXPECTED)) } else { Ok(keyword) }
}

/// Puts a special line into force. `remark` takes the faults that do not cost the line. If the line says that the data were made
/// in the future, in how many seconds: they must not be loaded.
pub(super) fn apply(
    keyword: Keyword,
    cursor: &mut Cursor<'_>,
    settings: &mut InForce,
    head: &mut ZoneHead,
    options: &Options,
    remark: &mut dyn FnMut(Wrong),
) -> Result<Option<u64>, Wrong> {
    match keyword {
        Keyword::Soa if head.soa.is_some() => {}
        Keyword::Soa => head.soa = Some(soa(cursor, settings.ttl_s, options, remark)?),
        Keyword::Servers if head.servers.is_some() => {}
        Keyword::Servers => head.servers = servers(cursor, settings.ttl_s, options, remark)?,
        Keyword::Ttl => settings.ttl_s = last(cursor, |cursor| ttl_s(cursor, options.default_ttl_s, options, remark))?,
        Keyword::Lifetime => {
            settings.lifetime_s = last(cursor, time_s).map_err(|wrong| without_end(wrong, settings))?;
        }
        Keyword::Timestamp => return timestamp(cursor, head, options),
        Keyword::MaxRange4 => max_range_4(cursor, head)?,
        Keyword::Variable(number) => settings.variables.set(usize::from(number), cursor.rest()),
        Keyword::Base => settings.variables.set_base(cursor.rest()),
        Keyword::Dataset => return Err(cursor.wrong(Fault::Special, "$DATASET in files of type combined only")),
    }
    Ok(None)
}

/// A lifetime that cannot be read, with what holds for the entries after it instead.
fn without_end(mut wrong: Wrong, settings: &InForce) -> Wrong {
    let instead = match settings.lifetime_s {
        0 => "the entries after it have no end".to_owned(),
        lifetime_s => format!("the entries after it end by the $LIFETIME before, {lifetime_s} s"),
    };
    wrong.expected = format!("{}; without it, {instead}", wrong.expected).into();
    wrong
}

/// Reads something that nothing but a comment may follow.
fn last<'a, T>(cursor: &mut Cursor<'a>, read: impl FnOnce(&mut Cursor<'a>) -> Result<T, Wrong>) -> Result<T, Wrong> {
    let value = read(cursor)?;
    if cursor.is_done() { Ok(value) } else { Err(cursor.wrong(Fault::Special, "nothing more on the line")) }
}

fn time_s(cursor: &mut Cursor<'_>) -> Result<u32, Wrong> {
    cursor.skip_blanks();
    cursor.time_s().ok_or_else(|| cursor.wrong(Fault::Special, "a time as 2100, 35m, 2h or 1d"))
}

/// Reads a TTL; 0 stands for `default_s`, and the limits of the options hold for others. One that caches would take for 0 is
/// cut (RFC 2181 section 8).
pub(super) fn ttl_s(
    cursor: &mut Cursor<'_>,
    default_s: u32,
    options: &Options,
    remark: &mut dyn FnMut(Wrong),
) -> Result<u32, Wrong> {
    cursor.skip_blanks();
    let start = *cursor;
    let ttl_s = match time_s(cursor)? {
        0 => default_s,
        ttl_s if options.max_ttl_s > 0 => ttl_s.max(options.min_ttl_s).min(options.max_ttl_s),
        ttl_s => ttl_s.max(options.min_ttl_s),
    };
    if ttl_s > TTL_MAX_S {
        remark(start.wrong(Fault::LongTtl, "at most 2147483647 seconds, which it is read as"));
    }
    Ok(ttl_s.min(TTL_MAX_S))
}

/// Reads `ttl origin person serial refresh retry expire minimum`.
fn soa(
    cursor: &mut Cursor<'_>,
    default_ttl_s: u32,
    options: &Options,
    remark: &mut dyn FnMut(Wrong),
) -> Result<Soa, Wrong> {
    let unraised = Options { min_ttl_s: 0, ..options.clone() };
    let given_ttl_s = ttl_s(&mut cursor.clone(), default_ttl_s, &unraised, &mut |_| {})?;
    let ttl_s = ttl_s(cursor, default_ttl_s, options, remark)?;
    let (origin, person) = (soa_name(cursor)?, soa_name(cursor)?);
    cursor.skip_blanks();
    let serial = cursor.whole_number().ok_or_else(|| cursor.wrong(Fault::Special, "a serial up to 4294967295"))?;
    let (refresh_s, retry_s, expire_s) = (time_s(cursor)?, time_s(cursor)?, time_s(cursor)?);
    let minimum_s = last(cursor, time_s)?;
    Ok(Soa { ttl_s, given_ttl_s, origin, person, serial, refresh_s, retry_s, expire_s, minimum_s })
}

fn soa_name(cursor: &mut Cursor<'_>) -> Result<Name, Wrong> {
    if cursor.is_done() {
        return Err(cursor.wrong(Fault::Special, "a domain name"));
    }
    let mut name = NameBuffer::new();
    name.read(cursor)?;
    Ok(name.to_name())
}

/// Reads `ttl name...`; a name with `-` before it is left out.
fn servers(
    cursor: &mut Cursor<'_>,
    default_ttl_s: u32,
    options: &Options,
    remark: &mut dyn FnMut(Wrong),
) -> Result<Option<NameServers>, Wrong> {
    let ttl_s = ttl_s(cursor, default_ttl_s, options, remark)?;
    if cursor.is_done() {
        return Err(cursor.wrong(Fault::Special, "the name of a name server"));
    }
    let mut names = Vec::new();
    let mut buffer = NameBuffer::new();
    while !cursor.is_done() {
        if cursor.peek() == Some(b'-') {
            cursor.word();
            continue;
        }
        let start = *cursor;
        if let Err(wrong) = buffer.read_below_root(cursor) {
            remark(wrong);
            continue;
        }
        if let Some(wrong) = no_host(start, *cursor) {
            remark(wrong);
        }
        let name = buffer.to_name();
        if names.iter().any(|known: &Name| known.as_wire().eq_ignore_ascii_case(name.as_wire())) {
            continue;
        }
        if names.len() == SERVERS_MAX {
            remark(start.wrong(Fault::ManyServers, "at most 32, the first of which are used"));
            break;
        }
        names.push(name);
    }
    Ok((!names.is_empty()).then_some(NameServers { ttl_s, names }))
}

/// What is wrong with the name of a server that was read from `start` to `end`, if no host has such a name: resolvers look for its
/// address in vain.
fn no_host(start: Cursor<'_>, end: Cursor<'_>) -> Option<Wrong> {
    let word = &start.rest()[..end.at() - start.at()];
    let is_number = |label: &[u8]| label.iter().all(u8::is_ascii_digit);
    // No top-level domain is a number (RFC 1123 section 2.1): that is an address.
    let is_address = word
        .trim_ascii_end()
        .strip_suffix(b".")
        .unwrap_or(word)
        .rsplit(|&octet| octet == b'.')
        .next()
        .is_some_and(is_number);
    let has_none = is_address || unasked(start, end, "").is_some() || memchr::memchr(b'@', word).is_some();
    has_none.then(|| {
        start.wrong(Fault::NoServer, "the name of a host, not an address or a URL: resolvers look up its address")
    })
}

/// Reads a number of addresses, or `/` and the length of a prefix.
fn max_range_4(cursor: &mut Cursor<'_>, head: &mut ZoneHead) -> Result<(), Wrong> {
    const EXPECTED: &str = "a number of addresses, or a prefix length from /1 to /32";
    let start = *cursor;
    let size = if cursor.take(b'/') {
        cursor.number(32).filter(|&length| length > 0).map(|length| 1u64 << (32 - length))
    } else {
        cursor.number(u32::MAX).filter(|&size| size > 0).map(u64::from)
    };
    let Some(size) = size.filter(|_| cursor.is_at_word_end() && cursor.is_done()) else {
        return Err(start.wrong(Fault::Special, EXPECTED));
    };
    if head.max_range_4 > 0 && size > head.max_range_4 {
        return Err(start.wrong(Fault::RaisedLimit, format!("at most {}, as set before", head.max_range_4)));
    }
    head.max_range_4 = size;
    Ok(())
}

const STAMP_EXPECTED: &str = "a time as 2026-12-24, 20261224 or 2026:12:24:18:00:00";

const PAST_END_EXPECTED: &str = "an end that is still to come, since the zone answers SERVFAIL after it: fetch newer data, ask who makes them, or correct the line (it is in UTC)";

/// Reads when the data were made, and perhaps when they expire.
fn timestamp(cursor: &mut Cursor<'_>, head: &mut ZoneHead, options: &Options) -> Result<Option<u64>, Wrong> {
    let start = *cursor;
    let made_s = stamp_s(cursor)?;
    cursor.skip_blanks();
    let expires_s = if cursor.is_done() {
        None
    } else if cursor.take(b'+') {
        let Some(time) = cursor.time_s().filter(|&time| time > 0) else {
            return Err(cursor.wrong(Fault::Special, "a time as +2d"));
        };
        let Some(made_s) = made_s else { return Err(cursor.wrong(Fault::Special, "a time to add it to")) };
        Some(made_s + u64::from(time))
    } else {
        stamp_s(cursor)?
    };
    if !cursor.is_done() {
        return Err(cursor.wrong(Fault::Special, "nothing more on the line"));
    }
    if let Some(made_s) = made_s.filter(|&made_s| made_s > options.now_s) {
        return Ok(Some(made_s - options.now_s));
    }
    if let Some(expires_s) = expires_s {
        head.expires_s = Some(head.expires_s.map_or(expires_s, |earlier| earlier.min(expires_s)));
        if expires_s < options.now_s {
            return Err(start.wrong(Fault::PastEnd, PAST_END_EXPECTED));
        }
    }
    Ok(None)
}

/// Reads a year, month, day and perhaps a time of day in UTC, with or without `-` or `:` between, one of which may stand
/// behind it too. A lone `0`, `-` or `:` stands for no time.
fn stamp_s(cursor: &mut Cursor<'_>) -> Result<Option<u64>, Wrong> {
    let start = *cursor;
    let word = cursor.word();
    if matches!(word, b"0" | b"-" | b":") {
        return Ok(None);
    }
    let mut fields = [0i16; 6];
    let mut count = 0;
    let mut rest = word;
    while !rest.is_empty() && count < fields.len() {
        let width = if count == 0 { 4 } else { 2 };
        let digits = rest.iter().take(width).take_while(|octet| octet.is_ascii_digit()).count();
        if digits == 0 {
            break;
        }
        fields[count] = rest[..digits].iter().fold(0, |sum, digit| sum * 10 + i16::from(digit - b'0'));
        count += 1;
        rest = &rest[digits..];
        if let [b'-' | b':', after @ ..] = rest {
            rest = after;
        }
    }
    let [year, month, day, hour, minute, second] = fields;
    let date = || {
        let [month, day, hour, minute, second] = [month, day, hour, minute, second].map(|field| field as i8);
        jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()
    };
    let is_read = rest.is_empty() && count >= 3 && (1970..=2038).contains(&year);
    let moment = is_read.then(date).flatten().and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok());
    match moment {
        Some(moment) => Ok(Some(moment.timestamp().as_second() as u64)),
        None => Err(start.wrong(Fault::Special, STAMP_EXPECTED)),
    }
}
