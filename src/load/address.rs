//! Addresses, prefixes and ranges as rbldnsd writes them.

use std::net::Ipv4Addr;

use ipnet::Ipv4Subnets;

use super::{
    cursor::{Cursor, Wrong, is_blank, is_comment},
    report::Fault,
};

/// Which forms of IPv4 addresses a dataset takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forms4 {
    /// `1.2.3.4` only.
    Hosts,
    /// Prefixes: `1.2.3`, `1.2/16`, `0/0`.
    Prefixes,
    /// Prefixes but `/0`, and ranges: `1.2.3.4-9`, `1.2-1.5`.
    Ranges,
}

impl Forms4 {
    const fn expected(self) -> &'static str {
        match self {
            Self::Hosts => "an IPv4 address as 192.0.2.1",
            Self::Prefixes => "an IPv4 address or prefix as 192.0.2.1, 192.0.2 or 192.0.2.0/24",
            Self::Ranges => "an IPv4 address, prefix or range as 192.0.2.1, 192.0.2, 192.0.2.0/24 or 192.0.2.1-9",
        }
    }
}

const IPV6_EXPECTED: &str = "an IPv6 address or prefix as 2001:db8::1, 2001:db8:1:2 or 2001:db8::/32";
const HOST_BITS_EXPECTED: &str = "an address whose bits beyond the prefix are 0";

/// Addresses from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range4 {
    pub(super) first: u32,
    pub(super) last: u32,
}

impl Range4 {
    /// Number of addresses.
    pub(super) fn size(self) -> u64 {
        u64::from(self.last - self.first) + 1
    }

    /// The fewest prefixes that cover it.
    pub(super) fn prefixes(self) -> impl Iterator<Item = (u32, u8)> {
        Ipv4Subnets::new(Ipv4Addr::from_bits(self.first), Ipv4Addr::from_bits(self.last), 0)
            .map(|net| (net.network().to_bits(), net.prefix_len()))
    }
}

/// 1 to 4 octets, and their number.
#[inline]
fn octets(cursor: &mut Cursor<'_>) -> Option<(u32, u32)> {
    let rest = cursor.rest();
    let (mut address, mut count, mut at) = (0, 0, 0);
    loop {
        let start = at;
        let mut octet = 0;
        while let Some(digit @ b'0'..=b'9') = rest.get(at).copied() {
            octet = octet * 10 + u32::from(digit - b'0');
            if octet > 255 {
                return None;
            }
            at += 1;
        }
        if at == start {
            return None;
        }
        address = address << 8 | octet;
        count += 1;
        if count == 4 || rest.get(at) != Some(&b'.') {
            cursor.skip(at);
            return Some((address << (32 - 8 * count), count));
        }
        at += 1;
    }
}

/// The bits of an address beyond its first `count` octets.
fn beyond(count: u32) -> u32 {
    u32::MAX.checked_shr(8 * count).unwrap_or(0)
}

/// Whether an address may end here.
#[inline]
fn is_end(cursor: &Cursor<'_>) -> bool {
    cursor.peek().is_none_or(|octet| is_blank(octet) || is_comment(octet) || octet == b':')
}

/// Reads IPv4 addresses in one of the forms; `clears_host_bits` takes prefixes of addresses that go on beyond them.
#[inline]
pub(super) fn read_v4(cursor: &mut Cursor<'_>, forms: Forms4, clears_host_bits: bool) -> Result<Range4, Wrong> {
    let start = *cursor;
    let Some((first, count)) = octets(cursor) else { return Err(start.wrong(Fault::Address, forms.expected())) };
    if count == 4 && is_end(cursor) {
        return Ok(Range4 { first, last: first });
    }
    let wide = match cursor.peek() {
        Some(b'/') if forms != Forms4::Hosts => slash(cursor, forms).map(|length| {
            let host_bits = u32::MAX.checked_shr(length).unwrap_or(0);
            (Range4 { first: first & !host_bits, last: first | host_bits }, first & host_bits != 0)
        }),
        Some(b'-') if forms == Forms4::Ranges => {
            cursor.skip(1);
            range_end(cursor, first, count).map(|last| (Range4 { first, last }, false))
        }
        _ if forms != Forms4::Hosts && count > 1 => Some((Range4 { first, last: first | beyond(count) }, false)),
        _ => None,
    };
    match wide {
        Some((range, has_host_bits)) if is_end(cursor) => {
            if has_host_bits && !clears_host_bits {
                return Err(start.wrong(Fault::HostBits, HOST_BITS_EXPECTED));
            }
            Ok(range)
        }
        _ => Err(cursor.wrong(Fault::Address, forms.expected())),
    }
}

fn slash(cursor: &mut Cursor<'_>, forms: Forms4) -> Option<u32> {
    cursor.skip(1);
    cursor.number(32).filter(|&length| length > 0 || forms == Forms4::Prefixes)
}

/// The last address of a range whose first has `count` octets.
fn range_end(cursor: &mut Cursor<'_>, first: u32, count: u32) -> Option<u32> {
    let (end, end_count) = octets(cursor)?;
    let last = if end_count == count {
        end | beyond(count)
    } else if end_count == 1 {
        first & !beyond(count - 1) | end >> (8 * (count - 1)) | beyond(count)
    } else {
        return None;
    };
    (last >= first).then_some(last)
}

/// Refuses ranges above the limit that `$MAXRANGE4` sets; 0 is none.
pub(super) fn check_size(start: &Cursor<'_>, range: Range4, max_size: u64) -> Result<(), Wrong> {
    if max_size == 0 || range.size() <= max_size {
        return Ok(());
    }
    let expected = format!("at most {max_size} addresses ($MAXRANGE4), not {}", range.size());
    Err(start.wrong(Fault::LargeRange, expected))
}

/// IPv6 words as they stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Words6 {
    pub(super) address: u128,
    /// Number of words, or 8 where some are left out for `::`.
    pub(super) count: u8,
    /// Some are left out for `::`.
    pub(super) is_short: bool,
}

/// Reads hexadecimal words; the line goes on after them in any way.
fn words(cursor: &mut Cursor<'_>) -> Option<Words6> {
    let (mut head, mut head_count, mut tail, mut tail_count) = (0u128, 0u32, 0u128, 0u32);
    let mut is_short = false;
    if cursor.rest().starts_with(b"::") {
        cursor.skip(2);
        is_short = true;
        if !cursor.peek().is_some_and(|octet| octet.is_ascii_hexdigit()) {
            return Some(Words6 { address: 0, count: 8, is_short });
        }
    }
    loop {
        let word = u128::from(word(cursor)?);
        if is_short {
            tail = tail << 16 | word;
            tail_count += 1;
        } else {
            head = head << 16 | word;
            head_count += 1;
        }
        let is_full = head_count + tail_count == 8;
        if cursor.peek() != Some(b':') || (is_full && !is_short) {
            break;
        }
        if !is_short && cursor.rest().starts_with(b"::") {
            cursor.skip(2);
            is_short = true;
            if !cursor.peek().is_some_and(|octet| octet.is_ascii_hexdigit()) {
                break;
            }
        } else {
            cursor.skip(1);
        }
        if is_full {
            return None;
        }
    }
    if is_short && head_count + tail_count > 7 {
        return None;
    }
    let head = head.checked_shl(128 - 16 * head_count).unwrap_or(0);
    let count = if is_short { 8 } else { head_count as u8 };
    Some(Words6 { address: head | tail, count, is_short })
}

fn word(cursor: &mut Cursor<'_>) -> Option<u16> {
    let mut word: u32 = 0;
    let start = cursor.at();
    while let Some(digit) = cursor.peek().and_then(|octet| char::from(octet).to_digit(16)) {
        word = word << 4 | digit;
        if word > 0xffff {
            return None;
        }
        cursor.skip(1);
    }
    (cursor.at() > start).then_some(word as u16)
}

/// Whether an IPv6 address may end here: a colon begins a value only after eight words, since it is read as part of the
/// address before that.
fn is_end_6(cursor: &Cursor<'_>, words: Words6) -> bool {
    is_end(cursor) && (cursor.peek() != Some(b':') || (words.count == 8 && !words.is_short))
}

/// Reads an IPv6 address or prefix.
pub(super) fn read_v6(cursor: &mut Cursor<'_>, clears_host_bits: bool) -> Result<(u128, u8), Wrong> {
    let start = *cursor;
    let Some(words) = words(cursor) else { return Err(cursor.wrong(Fault::Address, IPV6_EXPECTED)) };
    let length = if cursor.peek() == Some(b'/') {
        cursor.skip(1);
        cursor.number(128)
    } else {
        (words.count > 1).then(|| 16 * u32::from(words.count))
    };
    let Some(length) = length.filter(|_| is_end_6(cursor, words)) else {
        return Err(cursor.wrong(Fault::Address, IPV6_EXPECTED));
    };
    let host_bits = u128::MAX.checked_shr(length).unwrap_or(0);
    if words.address & host_bits != 0 && !clears_host_bits {
        return Err(start.wrong(Fault::HostBits, HOST_BITS_EXPECTED));
    }
    Ok((words.address & !host_bits, length as u8))
}

/// Reads the four words of a /64, or the whole address that is to be excluded from one.
pub(super) fn read_v6_half(cursor: &mut Cursor<'_>, is_exclusion: bool) -> Result<(u128, u8), Wrong> {
    let expected = if is_exclusion { "a whole IPv6 address" } else { "four words of an IPv6 address as 2001:db8:1:2" };
    let start = *cursor;
    let Some(words) = words(cursor).filter(|&words| is_end_6(cursor, words)) else {
        return Err(cursor.wrong(Fault::Address, expected));
    };
    let is_right = if is_exclusion { words.count == 8 } else { words.count == 4 };
    if is_right { Ok((words.address, 16 * words.count)) } else { Err(start.wrong(Fault::Address, expected)) }
}

/// A prefix of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Either {
    V4(Range4),
    V6(u128, u8),
}

/// Reads a prefix of either family, IPv4 first.
pub(super) fn read_either(cursor: &mut Cursor<'_>, clears_host_bits: bool) -> Result<Either, Wrong> {
    let start = *cursor;
    let wrong_v4 = match read_v4(cursor, Forms4::Prefixes, clears_host_bits) {
        Ok(range) => return Ok(Either::V4(range)),
        Err(wrong) => wrong,
    };
    let word = start.clone().word();
    *cursor = start;
    match read_v6(cursor, clears_host_bits) {
        Ok((address, length)) => Ok(Either::V6(address, length)),
        Err(wrong) if wrong_v4.fault == Fault::Address && word.contains(&b':') => Err(wrong),
        Err(_) => Err(wrong_v4),
    }
}
