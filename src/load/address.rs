//! Addresses, prefixes and ranges as rbldnsd writes them.

use std::net::Ipv4Addr;

use ipnet::Ipv4Subnets;

use super::{
    cursor::{Cursor, Wrong, is_blank, is_comment},
    report::Fault,
};
use crate::zone::bits::Address;

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

    /// The length of the prefix that it is, if it is one.
    pub(super) fn prefix_len(self) -> Option<u8> {
        let bits = self.first ^ self.last;
        let is_prefix = bits & bits.wrapping_add(1) == 0 && self.first & bits == 0;
        is_prefix.then(|| bits.leading_zeros() as u8)
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
    0_u32.prefix(8 * count).last
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
            let prefix = first.prefix(length);
            (Range4 { first: prefix.first, last: prefix.last }, prefix.first != first)
        }),
        Some(b'-') if forms == Forms4::Ranges => {
            cursor.skip(1);
            let last = range_end(cursor, first, count).filter(|&last| last >= first);
            last.map(|last| (Range4 { first, last }, false))
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
        _ => Err(cursor.wrong(Fault::Address, expected(start, forms))),
    }
}

fn slash(cursor: &mut Cursor<'_>, forms: Forms4) -> Option<u32> {
    cursor.skip(1);
    cursor.number(32).filter(|&length| length > 0 || forms == Forms4::Prefixes)
}

/// The last address of a range whose first has `count` octets; it may lie before that.
#[inline]
fn range_end(cursor: &mut Cursor<'_>, first: u32, count: u32) -> Option<u32> {
    let (end, end_count) = octets(cursor)?;
    let last = if end_count == count {
        end | beyond(count)
    } else if end_count == 1 {
        first & !beyond(count - 1) | end >> (8 * (count - 1)) | beyond(count)
    } else {
        return None;
    };
    Some(last)
}

/// What was expected where there is a fault. It reads all of it again, so that nobody has to who finds none.
#[cold]
fn expected(mut cursor: Cursor<'_>, forms: Forms4) -> &'static str {
    let Some((first, count)) = octets(&mut cursor) else { return forms.expected() };
    let mark = cursor.peek();
    cursor.skip(usize::from(mark.is_some()));
    match mark {
        Some(b'/') if forms != Forms4::Hosts => {
            let digits = cursor.rest().iter().take_while(|octet| octet.is_ascii_digit()).count();
            cursor.skip(digits);
            match forms {
                _ if digits == 0 || !is_end(&cursor) => forms.expected(),
                Forms4::Ranges => "a prefix length of 1 to 32",
                _ => "a prefix length of 0 to 32",
            }
        }
        Some(b'-') if forms == Forms4::Ranges => match range_end(&mut cursor, first, count) {
            Some(last) if last < first && is_end(&cursor) => "a range whose end is not before its start",
            _ => forms.expected(),
        },
        _ => forms.expected(),
    }
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
    /// A colon after them begins a value: no further word could follow.
    is_complete: bool,
}

/// Reads hexadecimal words; the line goes on after them in any way.
fn words(cursor: &mut Cursor<'_>) -> Option<Words6> {
    let mut words = [0u16; 8];
    let mut count = 0;
    // Number of words before `::`.
    let mut head = None;
    if cursor.rest().starts_with(b"::") {
        cursor.skip(2);
        head = Some(0);
    }
    let goes_on = |cursor: &Cursor<'_>| cursor.peek().is_some_and(|octet| octet.is_ascii_hexdigit());
    while head != Some(count) || goes_on(cursor) {
        *words.get_mut(count)? = word(cursor)?;
        count += 1;
        if cursor.peek() != Some(b':') || (count == 8 && head.is_none()) {
            break;
        }
        if head.is_none() && cursor.rest().starts_with(b"::") {
            cursor.skip(2);
            head = Some(count);
        } else {
            cursor.skip(1);
            // A colon may stand behind the last word after `::`.
            if head.is_some() && !goes_on(cursor) && cursor.peek() != Some(b':') {
                break;
            }
        }
    }
    let is_complete = if head.is_some() { head == Some(count) } else { count == 8 };
    if let Some(head) = head {
        if count > 7 {
            return None;
        }
        words.copy_within(head..count, 8 - (count - head));
        words[head..8 - (count - head)].fill(0);
        count = 8;
    }
    let address = words.into_iter().fold(0, |address, word| address << 16 | u128::from(word));
    Some(Words6 { address, count: count as u8, is_complete })
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

/// Whether an IPv6 address may end after its words.
fn is_end_6(cursor: &Cursor<'_>, words: Words6) -> bool {
    is_end(cursor) && (cursor.peek() != Some(b':') || words.is_complete)
}

/// Reads an IPv6 address or prefix.
pub(super) fn read_v6(cursor: &mut Cursor<'_>, clears_host_bits: bool) -> Result<(u128, u8), Wrong> {
    let start = *cursor;
    let Some(words) = words(cursor) else { return Err(cursor.wrong(Fault::Address, IPV6_EXPECTED)) };
    prefix_6(start, cursor, words, clears_host_bits)
}

/// Reads what follows the words of an IPv6 address that starts there.
fn prefix_6(
    start: Cursor<'_>,
    cursor: &mut Cursor<'_>,
    words: Words6,
    clears_host_bits: bool,
) -> Result<(u128, u8), Wrong> {
    let length = if cursor.peek() == Some(b'/') {
        cursor.skip(1);
        cursor.number(128).filter(|_| is_end(cursor))
    } else {
        (words.count > 1 && is_end_6(cursor, words)).then(|| 16 * u32::from(words.count))
    };
    let Some(length) = length else {
        return Err(cursor.wrong(Fault::Address, IPV6_EXPECTED));
    };
    let first = words.address.prefix(length).first;
    if first != words.address && !clears_host_bits {
        return Err(start.wrong(Fault::HostBits, HOST_BITS_EXPECTED));
    }
    Ok((first, length as u8))
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

impl Either {
    /// What clients of IPv4 show themselves as, if it is `::ffff:0:0/96` or a part of that.
    pub(super) fn unmapped(self) -> Self {
        match self {
            Self::V6(base, length @ 96..) if base >> 32 == 0xffff => {
                let prefix = (base as u32).prefix(u32::from(length) - 96);
                Self::V4(Range4 { first: prefix.first, last: prefix.last })
            }
            either => either,
        }
    }
}

/// Reads a prefix of either family, IPv4 first. One of IPv6 has a colon: without one, `2001/16` is an IPv4 prefix with a slip.
pub(super) fn read_either(cursor: &mut Cursor<'_>, clears_host_bits: bool) -> Result<Either, Wrong> {
    let start = *cursor;
    match read_words_too(cursor, clears_host_bits)? {
        Either::V6(..) if !start.rest()[..cursor.at() - start.at()].contains(&b':') => {
            Err(start.wrong(Fault::Address, Forms4::Prefixes.expected()))
        }
        either => Ok(either),
    }
}

/// The same in an access list: of IPv4 also as systems show it to sockets of IPv6, `::ffff:192.0.2.1` (RFC 4291 section 2.5.5.2).
pub(super) fn read_client(cursor: &mut Cursor<'_>, clears_host_bits: bool) -> Result<Either, Wrong> {
    const MAPPED: &[u8] = b"::ffff:";
    let start = *cursor;
    if cursor.rest().get(..MAPPED.len()).is_some_and(|text| text.eq_ignore_ascii_case(MAPPED)) {
        cursor.skip(MAPPED.len());
        if let Some((address, 4)) = octets(cursor) {
            let words = Words6 { address: 0xffff << 32 | u128::from(address), count: 8, is_complete: true };
            return prefix_6(start, cursor, words, clears_host_bits).map(|(base, length)| Either::V6(base, length));
        }
        *cursor = start;
    }
    read_words_too(cursor, clears_host_bits)
}

/// The same without that, and words without a colon are taken, as rbldnsd takes them in access lists.
fn read_words_too(cursor: &mut Cursor<'_>, clears_host_bits: bool) -> Result<Either, Wrong> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v4(text: &str, forms: Forms4) -> Result<String, (Fault, usize)> {
        let mut cursor = Cursor::new(text.as_bytes());
        let range = read_v4(&mut cursor, forms, false).map_err(|wrong| (wrong.fault, wrong.at))?;
        let [first, last] = [range.first, range.last].map(Ipv4Addr::from_bits);
        Ok(format!("{first}-{last}{}", String::from_utf8_lossy(cursor.rest())))
    }

    #[test]
    fn forms_of_ipv4() {
        use Forms4::{Hosts, Prefixes, Ranges};
        let all = &[Hosts, Prefixes, Ranges][..];
        let (wide, prefixes, ranges) = (&all[1..], &all[1..2], &all[2..]);
        for (text, takers, expected) in [
            ("1.2.3.4", all, "1.2.3.4-1.2.3.4"),
            ("001.002.3.4 x", all, "1.2.3.4-1.2.3.4 x"),
            ("1.2.3.4:7:x", all, "1.2.3.4-1.2.3.4:7:x"),
            ("1.2.3.4#c", all, "1.2.3.4-1.2.3.4#c"),
            ("1.2", wide, "1.2.0.0-1.2.255.255"),
            ("1.2.3;c", wide, "1.2.3.0-1.2.3.255;c"),
            ("12/8", wide, "12.0.0.0-12.255.255.255"),
            ("10.1/016", wide, "10.1.0.0-10.1.255.255"),
            ("1.2.3.4/32", wide, "1.2.3.4-1.2.3.4"),
            ("127/24", wide, "127.0.0.0-127.0.0.255"),
            ("0/0", prefixes, "0.0.0.0-255.255.255.255"),
            ("0/1", wide, "0.0.0.0-127.255.255.255"),
            ("1.2.3.4-1.2.3.9", ranges, "1.2.3.4-1.2.3.9"),
            ("1.2.3.4-9", ranges, "1.2.3.4-1.2.3.9"),
            ("1.2-1.5", ranges, "1.2.0.0-1.5.255.255"),
            ("127.16-31 x", ranges, "127.16.0.0-127.31.255.255 x"),
            ("25-26", ranges, "25.0.0.0-26.255.255.255"),
            ("0-255", ranges, "0.0.0.0-255.255.255.255"),
            ("21.0.0.1 - 21.0.0.3", all, "21.0.0.1-21.0.0.1 - 21.0.0.3"),
        ] {
            for &forms in all {
                let read = v4(text, forms);
                assert_eq!(
                    read.clone().ok().as_deref(),
                    takers.contains(&forms).then_some(expected),
                    "{text} {forms:?} {read:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_ipv4() {
        for (text, fault, at) in [
            ("12", Fault::Address, 2),
            ("1.2.3.4.", Fault::Address, 7),
            ("1.2.3.4\r", Fault::Address, 7),
            ("1.2.3.4,x", Fault::Address, 7),
            ("1.2.3.4/33", Fault::Address, 8),
            ("1.2.3.4/", Fault::Address, 8),
            ("1.2.3.256", Fault::Address, 0),
            ("1.2-1.2.3", Fault::Address, 9),
            ("1.1.1.1-1.1.1.1/32", Fault::Address, 15),
            ("41/8-42", Fault::Address, 4),
            ("1.2.3.9-4", Fault::Address, 9),
            ("2001:db8::1", Fault::Address, 0),
            ("", Fault::Address, 0),
            ("x", Fault::Address, 0),
            ("1.2.3.4/24", Fault::HostBits, 0),
            ("28.1.2/8", Fault::HostBits, 0),
        ] {
            assert_eq!(v4(text, Forms4::Ranges), Err((fault, at)), "{text}");
        }
        let cleared = read_v4(&mut Cursor::new(b"1.2.3.4/24"), Forms4::Ranges, true).expect("is cleared");
        assert_eq!((cleared.first, cleared.size()), (0x0102_0300, 256));
    }

    #[test]
    fn what_is_expected_instead() {
        use Forms4::{Hosts, Prefixes, Ranges};
        for (text, forms, expected) in [
            ("1.1.1.9-1.1.1.1", Ranges, "a range whose end is not before its start"),
            ("1.2.3.9-4 :2:x", Ranges, "a range whose end is not before its start"),
            ("1.1.1.9-1.1.1.1", Prefixes, Prefixes.expected()),
            ("1.1.1.9-1.1.1.1x", Ranges, Ranges.expected()),
            ("1.1.1.9-1.1.1", Ranges, Ranges.expected()),
            ("1.2.3.4/33", Ranges, "a prefix length of 1 to 32"),
            ("0/0", Ranges, "a prefix length of 1 to 32"),
            ("1.2.3.4/99999999999", Prefixes, "a prefix length of 0 to 32"),
            ("1.2.3.4/33", Hosts, Hosts.expected()),
            ("1.2.3.4/x", Prefixes, Prefixes.expected()),
            ("1.2.3.4/24x", Prefixes, Prefixes.expected()),
            ("1.2.3.256/24", Prefixes, Prefixes.expected()),
        ] {
            let wrong = read_v4(&mut Cursor::new(text.as_bytes()), forms, false).expect_err(text);
            assert_eq!(wrong.expected, expected, "{text}");
        }
    }

    fn v6(text: &str) -> Result<String, Fault> {
        let mut cursor = Cursor::new(text.as_bytes());
        let (address, length) = read_v6(&mut cursor, false).map_err(|wrong| wrong.fault)?;
        Ok(format!("{}/{length}{}", std::net::Ipv6Addr::from_bits(address), String::from_utf8_lossy(cursor.rest())))
    }

    #[test]
    fn forms_of_ipv6() {
        for (text, expected) in [
            ("2001:DB8::1", "2001:db8::1/128"),
            ("1::", "1::/128"),
            ("::", "::/128"),
            ("::/0 x", "::/0 x"),
            ("::1#c", "::1/128#c"),
            ("2001:db8:1", "2001:db8:1::/48"),
            ("02001:db8", "2001:db8::/32"),
            ("2001/16", "2001::/16"),
            ("2001:db8:1:2/64", "2001:db8:1:2::/64"),
            ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8/128"),
            ("1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8/128:9"),
            ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0/128"),
            ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8/128"),
            ("1::8/128", "1::8/128"),
            ("2001/16:7:x", "2001::/16:7:x"),
            ("1:::7:x", "1::/128:7:x"),
            (":::7", "::/128:7"),
            ("2001:db8::1:", "2001:db8::1/128"),
            ("2001:db8::1: x", "2001:db8::1/128 x"),
            ("2001:db8::1:#c", "2001:db8::1/128#c"),
            ("::1:/128:7:x", "::1/128:7:x"),
            ("2001:db8::1:0:/112", "2001:db8::1:0/112"),
            ("1::3:4:5:6:7:8: x", "1:0:3:4:5:6:7:8/128 x"),
        ] {
            assert_eq!(v6(text).as_deref(), Ok(expected), "{text}");
        }
        for (text, fault) in [
            ("2001", Fault::Address),
            ("1:2:", Fault::Address),
            (":1", Fault::Address),
            ("1:2:3:4:5:6:7::8", Fault::Address),
            ("::1:2:3:4:5:6:7:8", Fault::Address),
            ("1::2::3", Fault::Address),
            ("1::2:::7", Fault::Address),
            ("1::2:x", Fault::Address),
            ("1::2:-3", Fault::Address),
            ("2001:db8:0:0: x", Fault::Address),
            ("2001:db8:/32", Fault::Address),
            ("1::3:4:5:6:7:8:9: x", Fault::Address),
            ("1:10000::", Fault::Address),
            ("::ffff:1.2.3.4", Fault::Address),
            ("fe80::1%eth0", Fault::Address),
            ("2001:db8::/129", Fault::Address),
            ("1.2.3.4", Fault::Address),
            ("2001:db8::1/64", Fault::HostBits),
        ] {
            assert_eq!(v6(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn halves_of_ipv6() {
        let half = |text: &str, is_exclusion| read_v6_half(&mut Cursor::new(text.as_bytes()), is_exclusion).ok();
        assert_eq!(half("2001:db8:1:2 x", false), Some((0x2001_0db8_0001_0002 << 64, 64)));
        assert_eq!(half("::1", true), Some((1, 128)));
        assert_eq!(half("::1: x", true), Some((1, 128)));
        for text in ["2001:db8:1:2/64", "2001:db8:1", "2001:db8::", "1:2:3:4:5"] {
            assert_eq!(half(text, false), None, "{text}");
        }
        assert_eq!(half("2001:db8:1:2", true), None);
    }

    #[test]
    fn either_family() {
        for (text, is_v4) in [("10/8", true), ("1.2:5:x", true), ("0/0", true), ("12:34::/32", false), ("::1", false)] {
            let either = read_either(&mut Cursor::new(text.as_bytes()), false).expect(text);
            assert_eq!(matches!(either, Either::V4(_)), is_v4, "{text}");
        }
        let wrong = |text: &str| read_either(&mut Cursor::new(text.as_bytes()), false).expect_err(text);
        assert!(wrong("1.2.3.x").expected.contains("IPv4"));
        assert!(wrong("2001:db8::x").expected.contains("IPv6"));
        assert_eq!(wrong("10.1.0.0/8").fault, Fault::HostBits);
        for slip in ["2001/16", "fe80/10", "2001/16:2:x"] {
            assert!(wrong(slip).at == 0 && wrong(slip).expected.contains("IPv4"), "{slip}");
            let client = read_client(&mut Cursor::new(slip.as_bytes()), false);
            assert!(matches!(client, Ok(Either::V6(..))), "{slip}");
        }
    }

    proptest! {
        #[test]
        fn addresses_come_back(v4: Ipv4Addr, v6: std::net::Ipv6Addr) {
            let text = v4.to_string();
            let range = read_v4(&mut Cursor::new(text.as_bytes()), Forms4::Hosts, false).expect("an address");
            prop_assert_eq!(range, Range4 { first: v4.to_bits(), last: v4.to_bits() });
            if v6.to_ipv4_mapped().is_none() {
                let text = v6.to_string();
                prop_assert_eq!(read_v6(&mut Cursor::new(text.as_bytes()), false).ok(), Some((v6.to_bits(), 128)));
            }
        }

        #[test]
        fn prefixes_cover_a_range(one: u32, two: u32) {
            let range = Range4 { first: one.min(two), last: one.max(two) };
            let mut next = u64::from(range.first);
            for (base, length) in range.prefixes() {
                prop_assert_eq!(u64::from(base), next);
                next += 1 << (32 - length);
                let prefix = Range4 { first: base, last: (next - 1) as u32 };
                prop_assert_eq!(prefix.prefix_len(), Some(length));
            }
            prop_assert_eq!(range.prefix_len().is_some(), range.prefixes().count() == 1);
            prop_assert_eq!(next, u64::from(range.last) + 1);
        }
    }
}
