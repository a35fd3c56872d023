//! The key of a listing as people read it, where a template's `$` stands: written on the stack, since answers wait for it.

use std::{
    fmt::{self, Write as _},
    net::{IpAddr, Ipv6Addr},
    ops::Range,
};

use crate::wire::name::{NAME_MAX, RelativeName};

/// The key of a listing.
#[derive(Clone, Copy)]
pub enum Key<'a> {
    /// An address; of who asks, where everything is listed for that.
    Address(IpAddr),
    /// A name.
    Name(RelativeName<'a>),
}

impl Key<'_> {
    /// Calls `take` with the key as templates show it; IPv6 addresses as in RFC 5952.
    #[inline]
    pub fn show<T>(self, take: impl FnOnce(&[u8]) -> T) -> T {
        let address = match self {
            Self::Address(address) => address,
            Self::Name(name) => {
                let mut plain = [PLAIN; PLAIN_ROOM];
                if let Some(text) = show_plain(name, &mut plain) {
                    return take(text);
                }
                let mut shown = Shown::<SHOWN_NAME_MAX>::new();
                // What does not fit would be cut, and there is room for a name whose every octet is escaped.
                let written = write!(shown, "{name}");
                debug_assert!(written.is_ok());
                return take(shown.as_bytes());
            }
        };
        let mut shown = Shown::<SHOWN_ADDRESS_MAX>::new();
        match address {
            IpAddr::V4(address) => shown.octets(address.octets()),
            IpAddr::V6(address) => shown.groups(address),
        }
        take(shown.as_bytes())
    }
}

/// Room for a name that needs no escapes, in whole blocks.
const PLAIN_ROOM: usize = 256;
/// So many octets are judged at once.
const JUDGED_AT_ONCE: usize = 16;
/// Needs no escape.
const PLAIN: u8 = b'-';

/// Shows a name that needs no escapes, as nearly all. All the room for it is [`PLAIN`] before.
#[inline]
fn show_plain<'t>(name: RelativeName<'_>, room: &'t mut [u8; PLAIN_ROOM]) -> Option<&'t [u8]> {
    // Each length octet makes room for a dot, and the first for none.
    let (&first, octets) = name.octets().split_first()?;
    let text = room.get_mut(..octets.len())?;
    text.copy_from_slice(octets);
    put_between_labels(text, first, octets, PLAIN);
    let blocks = &room.as_chunks::<JUDGED_AT_ONCE>().0[..octets.len().div_ceil(JUDGED_AT_ONCE)];
    if !blocks.iter().all(|block| block.iter().fold(true, |all, octet| all & is_plain(*octet))) {
        return None;
    }
    let text = &mut room[..octets.len()];
    put_between_labels(text, first, octets, b'.');
    Some(text)
}

/// Puts an octet between the labels of a text, given the name's octets and its first one apart from the others.
#[inline]
fn put_between_labels(text: &mut [u8], first: u8, others: &[u8], octet: u8) {
    let mut at = usize::from(first);
    while let (Some(place), Some(length)) = (text.get_mut(at), others.get(at)) {
        *place = octet;
        at += 1 + usize::from(*length);
    }
}

/// Whether an octet is shown as it is, told without a branch.
#[inline]
fn is_plain(octet: u8) -> bool {
    let is_letter = (octet | 0x20).wrapping_sub(b'a') < 26;
    let is_digit = octet.wrapping_sub(b'0') < 10;
    [is_letter, is_digit, octet == b'-', octet == b'_'].into_iter().fold(false, |any, one| any | one)
}

/// A name in presentation format at its longest.
const SHOWN_NAME_MAX: usize = 4 * NAME_MAX;
/// An IPv6 address is shown in 39 characters or less; they are written eight at a time.
const SHOWN_ADDRESS_MAX: usize = 48;

/// Text as it is put together.
struct Shown<const MAX: usize> {
    text: [u8; MAX],
    len: usize,
}

impl<const MAX: usize> Shown<MAX> {
    const fn new() -> Self {
        Self { text: [0; MAX], len: 0 }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.text[..self.len]
    }

    /// The first `len` of eight characters.
    #[inline]
    fn push(&mut self, characters: [u8; 8], len: usize) {
        if let Some(room) = self.text[self.len..].first_chunk_mut() {
            *room = characters;
            self.len += len;
        }
    }

    /// Decimal octets between dots.
    #[inline]
    fn octets(&mut self, octets: [u8; 4]) {
        let mut end = self.len;
        for octet in octets {
            let Decimal { characters, len } = DECIMAL[usize::from(octet)];
            if let Some(room) = self.text.get_mut(end..).and_then(|text| text.first_chunk_mut()) {
                *room = characters;
                end += usize::from(len);
            }
        }
        self.len = end - 1;
    }

    /// Groups of hexadecimal digits between colons, the longest run of zeros as two of them (RFC 5952 section 4).
    fn groups(&mut self, address: Ipv6Addr) {
        let groups = address.segments();
        if let Some(mapped) = address.to_ipv4_mapped() {
            self.push(*b"::ffff: ", 7);
            self.octets(mapped.octets());
            return;
        }
        let zeros = longest_zeros(&groups);
        let mut index = 0;
        while index < groups.len() {
            if index == zeros.start && zeros.len() > 1 {
                self.push(*b"::      ", if index == 0 { 2 } else { 1 });
                index = zeros.end;
                continue;
            }
            let group = groups[index];
            let len = 4 - (group | 1).leading_zeros() / 4;
            let [high, low] = group.to_be_bytes().map(|octet| HEXADECIMAL[usize::from(octet)]);
            let digits = u32::from_le_bytes([high[0], high[1], low[0], low[1]]) >> (8 * (4 - len));
            let has_colon = index + 1 < groups.len();
            let with_colon = u64::from(digits) | u64::from(b':') << (8 * len);
            self.push(with_colon.to_le_bytes(), len as usize + usize::from(has_colon));
            index += 1;
        }
    }
}

impl<const MAX: usize> fmt::Write for Shown<MAX> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.text.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// The longest run of zeros, the first of those.
fn longest_zeros(groups: &[u16; 8]) -> Range<usize> {
    let (mut longest, mut start) = (0..0, 0);
    for (index, group) in groups.iter().enumerate() {
        if *group != 0 {
            start = index + 1;
        } else if index + 1 - start > longest.len() {
            longest = start..index + 1;
        }
    }
    longest
}

/// An octet in digits, and a dot behind them.
#[derive(Clone, Copy)]
struct Decimal {
    characters: [u8; 4],
    len: u8,
}

static DECIMAL: [Decimal; 256] = {
    let mut table = [Decimal { characters: *b"0.  ", len: 2 }; 256];
    let mut octet = 0;
    while octet < 256 {
        let [hundreds, tens, ones] =
            [b'0' + (octet / 100) as u8, b'0' + (octet / 10 % 10) as u8, b'0' + (octet % 10) as u8];
        table[octet] = match octet {
            0..10 => Decimal { characters: [ones, b'.', b' ', b' '], len: 2 },
            10..100 => Decimal { characters: [tens, ones, b'.', b' '], len: 3 },
            _ => Decimal { characters: [hundreds, tens, ones, b'.'], len: 4 },
        };
        octet += 1;
    }
    table
};

/// An octet in hexadecimal digits.
static HEXADECIMAL: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut octet = 0;
    while octet < 256 {
        table[octet] = [digits[octet >> 4], digits[octet & 0xf]];
        octet += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::wire::name::QueryName;

    #[test]
    fn addresses_are_shown_as_everywhere() {
        let shown = |key: Key<'_>| key.show(|text| String::from_utf8_lossy(text).into_owned());
        for octet in 0..=255 {
            let address = Ipv4Addr::new(octet, 255 - octet, 0, octet);
            assert_eq!(shown(Key::Address(address.into())), address.to_string());
        }
        // Every pattern of zeros among the groups, with groups of every length.
        for pattern in 0..=255_u128 {
            for (group, step) in [(1, 0), (0xfe80, 0), (0x0a, 0x111), (0xffff, 0)] {
                let group_at = |index: u128| if pattern >> index & 1 == 0 { 0 } else { group + step * index };
                let address = Ipv6Addr::from((0..8).map(|index| group_at(index) << (16 * index)).sum::<u128>());
                assert_eq!(shown(Key::Address(address.into())), address.to_string());
            }
        }
        assert_eq!(shown(Key::Address(Ipv6Addr::from(0xffff_7f00_0002).into())), "::ffff:127.0.0.2");
    }

    #[test]
    fn names_are_shown_as_everywhere() {
        let mut query = QueryName::new();
        let mut is_shown_as_everywhere = |wire: &[u8]| {
            assert_eq!(query.read(wire), Some(wire.len()));
            let name = query.relative(query.label_count());
            Key::Name(name).show(|text| assert_eq!(String::from_utf8_lossy(text), name.to_string()));
        };
        for octet in 0..=255 {
            for at in 1..=20 {
                let mut wire = [&[20], [b'a'; 20].as_slice(), b"\x02-_\x019\0"].concat();
                wire[at] = octet;
                is_shown_as_everywhere(&wire);
            }
        }
        // Lengths that look like what needs no escape are among these.
        for len in 1..=63 {
            let label = [&[len], vec![b'x'; usize::from(len)].as_slice()].concat();
            let shorter = [&[63 - len / 2], vec![b'y'; usize::from(63 - len / 2)].as_slice()].concat();
            is_shown_as_everywhere(&[label.as_slice(), &shorter, &label, &[0]].concat());
            is_shown_as_everywhere(&[label.as_slice(), &[0]].concat());
        }
    }
}
