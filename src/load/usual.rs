//! Whole addresses and prefixes written in the usual way, which nearly all are: read from the block that the file gives, with
//! nothing said of what else there may be.

use crate::zone::bits::Address;

/// The longest whole IPv4 prefix, and what it ends at.
const USUAL_MAX: usize = "255.255.255.255/32:".len();

/// Reads a whole IPv4 address, and the length of a prefix if one follows, written in the usual way: address, length, and
/// how many octets they take. `None`: something else, perhaps the same in other words.
#[inline]
pub(super) fn v4(text: &[u8]) -> Option<(u32, u8, usize)> {
    read_v4::<true>(text)
}

/// The same of an address only.
#[inline]
pub(super) fn v4_host(text: &[u8]) -> Option<(u32, u8, usize)> {
    read_v4::<false>(text)
}

#[inline]
fn read_v4<const TAKES_LENGTH: bool>(text: &[u8]) -> Option<(u32, u8, usize)> {
    let text: &[u8; USUAL_MAX] = text.first_chunk()?;
    let mut at = 0;
    let mut address = octet(text, &mut at)?;
    for _ in 1..4 {
        if text.get(at) != Some(&b'.') {
            return None;
        }
        at += 1;
        address = address << 8 | octet(text, &mut at)?;
    }
    if !TAKES_LENGTH || text.get(at) != Some(&b'/') {
        return Some((address, 32, at));
    }
    at += 1;
    let length = octet(text, &mut at)?;
    let has_host_bits = address.prefix(length).first != address;
    (matches!(length, 1..=32) && !has_host_bits).then_some((address, length as u8, at))
}

/// Reads a number up to 255 of one to three digits.
#[inline]
fn octet(text: &[u8; USUAL_MAX], at: &mut usize) -> Option<u32> {
    let digit = |at: usize| text.get(at).map_or(u32::MAX, |octet| u32::from(octet.wrapping_sub(b'0')));
    let first = digit(*at);
    if first > 9 {
        return None;
    }
    let second = digit(*at + 1);
    if second > 9 {
        *at += 1;
        return Some(first);
    }
    let two = first * 10 + second;
    let third = digit(*at + 2);
    if third > 9 {
        *at += 2;
        return Some(two);
    }
    *at += 3;
    Some(two * 10 + third).filter(|&octet| octet <= 255)
}

/// The longest whole IPv6 prefix, and what it ends at.
const USUAL_MAX_6: usize = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128:".len();

/// The values of hexadecimal digits; of other octets more than 15.
const HEX: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        values[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// The same of IPv6, where words may be left out for `::`, and at the end before a length.
#[inline]
pub(super) fn v6(text: &[u8]) -> Option<(u128, u8, usize)> {
    let text: &[u8; USUAL_MAX_6] = text.first_chunk()?;
    let (mut words, mut count, mut at) = (0_u128, 0_u32, 0);
    // Number of words before `::`.
    let mut head = None;
    loop {
        words = words << 16 | u128::from(word(text, &mut at)?);
        count += 1;
        if text.get(at) != Some(&b':') || count == 8 {
            break;
        }
        at += 1;
        if text.get(at) == Some(&b':') {
            if head.is_some() {
                return None;
            }
            head = Some(count);
            at += 1;
            if hex(text, at) > 15 {
                break;
            }
        }
    }
    if head.is_some() && count > 7 {
        return None;
    }
    let behind = count - head.unwrap_or(count);
    let address = words >> (16 * behind) << (16 * (8 - count + behind)) | words & ((1 << (16 * behind)) - 1);
    match text.get(at)? {
        b'/' => at += 1,
        b':' => return None, // of a value, or wrong
        _ => return (head.is_some() || count == 8).then_some((address, 128, at)),
    }
    let mut length = 0;
    let start = at;
    while let Some(digit @ b'0'..=b'9') = text.get(at).filter(|_| at < start + 3) {
        length = length * 10 + u32::from(digit - b'0');
        at += 1;
    }
    let has_host_bits = address.prefix(length).first != address;
    (at > start && length <= 128 && !has_host_bits).then_some((address, length as u8, at))
}

#[inline]
fn hex(text: &[u8; USUAL_MAX_6], at: usize) -> u8 {
    text.get(at).map_or(u8::MAX, |&octet| HEX[usize::from(octet)])
}

/// Reads one to four hexadecimal digits, with none behind them.
#[inline]
fn word(text: &[u8; USUAL_MAX_6], at: &mut usize) -> Option<u32> {
    let mut word = u32::from(hex(text, *at));
    if word > 15 {
        return None;
    }
    for digits in 1..5 {
        let digit = hex(text, *at + digits);
        if digit > 15 {
            *at += digits;
            return Some(word);
        }
        word = word << 4 | u32::from(digit);
    }
    None
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::{
        super::{
            address::{Forms4, read_v4, read_v6},
            cursor::Cursor,
        },
        *,
    };

    /// The rest of a block, so that none is too short.
    fn block(text: &str) -> Vec<u8> {
        format!("{text}\n{}", "192.0.2.1\n".repeat(9)).into_bytes()
    }

    /// What is read in the usual way is the same as read in any way.
    fn is_usual_v4(text: &str) -> bool {
        let Some((base, length, at)) = v4(&block(text)) else { return false };
        let mut cursor = Cursor::new(&text.as_bytes()[..at]);
        let range = read_v4(&mut cursor, Forms4::Prefixes, false).expect("an address");
        assert_eq!((range.first, range.prefix_len(), cursor.at()), (base, Some(length), at), "{text}");
        assert_eq!(v4_host(&block(text)).is_some_and(|host| host.2 == at), !text[..at].contains('/'));
        true
    }

    fn is_usual_v6(text: &str) -> bool {
        let Some((base, length, at)) = v6(&block(text)) else { return false };
        let mut cursor = Cursor::new(&text.as_bytes()[..at]);
        assert_eq!(read_v6(&mut cursor, false), Ok((base, length)), "{text}");
        assert_eq!(cursor.at(), at, "{text}");
        true
    }

    #[test]
    fn usual_forms() {
        for text in ["1.2.3.4", "255.255.255.255/32", "10.0.0.0/8", "192.0.2.0/24 :2:x", "010.1.1.1", "1.2.3.4:x"] {
            assert!(is_usual_v4(text), "{text}");
        }
        for text in ["1.2.3", "1.2.3/24", "256.1.1.1", "1.260.1.1", "1.2.3.4/33", "1.2.3.1/24", "0.0.0.0/0"] {
            assert!(!is_usual_v4(text), "{text}");
        }
        for text in [
            "2001:db8::/32",
            "2001:DB8::1",
            "2001:db8/32 x",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7::",
            "1::8/128",
            "1::2:3:4:5:6:0/112",
            "2001:db8:1:2::/64#",
        ] {
            assert!(is_usual_v6(text), "{text}");
        }
        for text in
            ["::1", "2001:db8:1:2", "1::2::3", "1:2:3:4:5:6:7::8", "1::/129", "1::1/64", "1:::7:x", "12345::", "1:"]
        {
            assert!(!is_usual_v6(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_usual_is_read_like_all_else(text in "[0-9./]{1,20}", v6_text in "[0-9a-fA-F]{0,4}(:[0-9a-f]{0,4}){0,8}(/[0-9]{0,4})?") {
            is_usual_v4(&text);
            is_usual_v6(&v6_text);
        }

        #[test]
        fn prefixes_are_usual(four: u32, six: u128, length in 1..=128_u32, is_host: bool) {
            let short = length.min(32);
            let cut = four & u32::MAX << (32 - short);
            let text = format!("{}/{short}", Ipv4Addr::from(cut));
            prop_assert!(is_usual_v4(&text), "{}", text);
            let six = (six | 1 << 127) & u128::MAX << (128 - length);
            let address = Ipv6Addr::from(six);
            let text = if is_host { address.to_string() } else { format!("{address}/{length}") };
            prop_assert!(is_usual_v6(&text), "{}", text);
        }
    }
}
