//! What a query's name may stand for: an address, the first part of one, or just a name.
//!
//! Whether `4.3.2.1` is an IPv4 address or the start of an IPv6 one depends on who is asked, so both readings are kept. Only
//! canonical octets count: `02` lists nothing, or one entry would exist under several names.

use std::net::Ipv6Addr;

use crate::wire::name::RelativeName;

/// A run of addresses that share the octets or nibbles that a name gives; a single one if it gives all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<A> {
    /// The lowest.
    pub first: A,
    /// The highest.
    pub last: A,
}

impl<A: PartialEq + Copy> Run<A> {
    /// The address, if the name gives all of it.
    pub fn address(self) -> Option<A> {
        (self.first == self.last).then_some(self.first)
    }
}

/// A query's name relative to its zone, in all its readings.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The name itself.
    pub name: RelativeName<'a>,
    /// As reversed decimal octets (RFC 5782 section 2.1).
    pub v4: Option<Run<u32>>,
    /// As reversed nibbles (RFC 5782 section 2.4).
    pub v6: Option<Run<u128>>,
}

impl<'a> Subject<'a> {
    /// Reads a name in all its ways.
    #[inline]
    pub fn new(name: RelativeName<'a>) -> Self {
        let v4 = read_octets(name);
        // A whole IPv4 address is far more common than the start of an IPv6 one that looks like it.
        let v6 = read_nibbles(name);
        Self { name, v4, v6 }
    }

    /// The runs of IPv4 addresses that the nibbles stand for: `::ffff:0:0/96` (RFC 5782 section 2.4 asks for its test entries
    /// there) and, as in rbldnsd, 6to4 (RFC 3056), whose every address belongs to an IPv4 one.
    pub fn v4_behind_nibbles(&self) -> [Option<Run<u32>>; 2] {
        let Some(run) = self.v6 else { return [None, None] };
        [mapped(run), six_to_four(run)]
    }
}

const MAPPED_FIRST: u128 = 0xffff_0000_0000;
const MAPPED_LAST: u128 = 0xffff_ffff_ffff;
const SIX_TO_FOUR: u128 = 0x2002;

fn mapped(run: Run<u128>) -> Option<Run<u32>> {
    let (first, last) = (run.first.max(MAPPED_FIRST), run.last.min(MAPPED_LAST));
    (first <= last).then_some(Run { first: first as u32, last: last as u32 })
}

fn six_to_four(run: Run<u128>) -> Option<Run<u32>> {
    let first = run.first.max(SIX_TO_FOUR << 112);
    let last = run.last.min(((SIX_TO_FOUR + 1) << 112) - 1);
    (first <= last).then_some(Run { first: (first >> 80) as u32, last: (last >> 80) as u32 })
}

/// One to four labels of canonical decimal octets, the last one first.
#[inline]
fn read_octets(name: RelativeName<'_>) -> Option<Run<u32>> {
    let count = name.label_count();
    if !(1..=4).contains(&count) {
        return None;
    }
    let free_bits = 32 - 8 * count as u32;
    let (mut first, mut shift) = (0, free_bits);
    for index in 0..count {
        first |= read_octet(name.label_start(index))? << shift;
        shift += 8;
    }
    Some(Run { first, last: first | 1u32.checked_shl(free_bits).map_or(u32::MAX, |bit| bit - 1) })
}

/// A canonical decimal octet, from the length of a label and three octets from there on, not all of them its own.
#[inline]
fn read_octet(start: [u8; 4]) -> Option<u32> {
    const THREE: u32 = 0xff_ffff;
    let length = u32::from(start[0]);
    if length.wrapping_sub(1) > 2 || start[1] == b'0' && length > 1 {
        return None;
    }
    // The last digit goes where the third stands; what is not the label's falls out above, and zeros come in below.
    let missing_bits = 24 - 8 * length;
    let digits = ((u32::from_le_bytes(start) >> 8) ^ 0x30_3030) << missing_bits & THREE;
    let octet = (digits & 0xff) * 100 + (digits >> 8 & 0xff) * 10 + (digits >> 16);
    // What is 10 or more, and no digit, reaches the highest bit of its octet with 118, or has it already.
    (((digits + 0x76_7676) | digits) & 0x80_8080 == 0 && octet < 256).then_some(octet)
}

/// One to 32 labels of one hexadecimal digit, the last one first.
#[inline]
fn read_nibbles(name: RelativeName<'_>) -> Option<Run<u128>> {
    let (count, octets) = (name.label_count(), name.octets());
    // Labels of one octet each: hardly any name that is not an address gets beyond this.
    if !(1..=32).contains(&count) || octets.len() != 2 * count {
        return None;
    }
    let (mut first, mut shift) = (0, 128 - 4 * count as u32);
    let free_bits = shift;
    let (fours, rest) = octets.as_chunks::<8>();
    for four in fours {
        first |= u128::from(four_nibbles(*four)?) << shift;
        shift += 16;
    }
    for label in rest.as_chunks::<2>().0 {
        let nibble = match label[1] {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        first |= u128::from(nibble) << shift;
        shift += 4;
    }
    Some(Run { first, last: first | ((1u128 << free_bits) - 1) })
}

/// Four labels of one hexadecimal digit at once, each in 16 bits of a word: its length, and the digit above it.
#[inline]
fn four_nibbles(labels: [u8; 8]) -> Option<u16> {
    /// The same in each of the four.
    const fn each(of_one: u16) -> u64 {
        of_one as u64 * 0x0001_0001_0001_0001
    }
    let digits = u64::from_le_bytes(labels) >> 8 & each(0xff);
    // In ASCII, letters have bit 6 and begin with 1.
    let nibbles = (digits & each(0xf)) + (digits >> 6 & each(1)) * 9;
    let are_letters = (nibbles + each(6)) >> 4 & each(1);
    // What was no digit is too large, or does not come back.
    if nibbles & each(0xf0) != 0 || nibbles + each(b'0' as u16) + are_letters * (b'a' - b'9' - 1) as u64 != digits {
        return None;
    }
    let pairs = nibbles | nibbles >> 12;
    Some((pairs & 0xff | pairs >> 24 & 0xff00) as u16)
}

/// Writes an address as templates show it, and returns the length.
pub fn show_v4(address: u32, text: &mut ShownKey) {
    text.len = 0;
    for (index, octet) in address.to_be_bytes().into_iter().enumerate() {
        if index > 0 {
            text.push(b'.');
        }
        if octet >= 100 {
            text.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            text.push(b'0' + octet / 10 % 10);
        }
        text.push(b'0' + octet % 10);
    }
}

/// Writes an address as templates show it (RFC 5952).
pub fn show_v6(address: u128, text: &mut ShownKey) {
    text.show(format_args!("{}", Ipv6Addr::from(address)));
}

/// The listed key as templates show it: long enough for a name whose every octet is escaped.
pub struct ShownKey {
    octets: [u8; 4 * crate::wire::name::NAME_MAX],
    len: usize,
}

impl ShownKey {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { octets: [0; 4 * crate::wire::name::NAME_MAX], len: 0 }
    }

    /// Replaces what is shown.
    pub fn show(&mut self, text: std::fmt::Arguments<'_>) {
        self.len = 0;
        // What does not fit would be cut, and no name in escaped form is longer than the room.
        let written = std::fmt::Write::write_fmt(self, text);
        debug_assert!(written.is_ok());
    }

    fn push(&mut self, octet: u8) {
        if let Some(place) = self.octets.get_mut(self.len) {
            *place = octet;
            self.len += 1;
        }
    }

    /// What is shown.
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

impl Default for ShownKey {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Write for ShownKey {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.len + text.len();
        self.octets.get_mut(self.len..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::wire::name::{Name, QueryName};

    fn with_subject<T>(text: &str, ask: impl FnOnce(Subject<'_>) -> T) -> T {
        let mut name = QueryName::new();
        name.read(Name::parse(text.as_bytes()).expect("a name").as_wire()).expect("a name");
        ask(Subject::new(name.relative(name.label_count())))
    }

    fn v4(text: &str) -> Option<(String, String)> {
        with_subject(text, |subject| {
            subject.v4.map(|run| (Ipv4Addr::from(run.first).to_string(), Ipv4Addr::from(run.last).to_string()))
        })
    }

    #[test]
    fn octets() {
        let run = |first: &str, last: &str| Some((first.to_owned(), last.to_owned()));
        assert_eq!(v4("2.0.0.127"), run("127.0.0.2", "127.0.0.2"));
        assert_eq!(v4("0.0.127"), run("127.0.0.0", "127.0.0.255"));
        assert_eq!(v4("127"), run("127.0.0.0", "127.255.255.255"));
        assert_eq!(v4("255.255.255.255"), run("255.255.255.255", "255.255.255.255"));
        for not_canonical in ["02.0.0.127", "256.0.0.1", "1.2.3.4.5", "a.0.0.1", "0001.2.3.4", "300", "00"] {
            assert_eq!(v4(not_canonical), None, "{not_canonical}");
        }
    }

    #[test]
    fn nibbles() {
        let nibbles = |text: &str| with_subject(text, |subject| subject.v6);
        let test_entry = format!("2.0.0.0.0.0.f.7.f.f.f.f{}", ".0".repeat(20));
        let address = u128::from("::ffff:7f00:2".parse::<Ipv6Addr>().expect("an address"));
        assert_eq!(nibbles(&test_entry), Some(Run { first: address, last: address }));
        assert_eq!(nibbles("8.b.d.0.1.0.0.2").map(|run| run.first), Some(0x2001_0db8 << 96));
        assert_eq!(nibbles("F").map(|run| run.last), Some(u128::MAX));
        assert_eq!(nibbles("g.1"), None);
        assert_eq!(nibbles(&format!("0{}", ".0".repeat(32))), None);
        with_subject(&test_entry, |subject| {
            assert_eq!(subject.v4_behind_nibbles(), [Some(Run { first: 0x7f00_0002, last: 0x7f00_0002 }), None]);
        });
        with_subject("0", |subject| {
            assert_eq!(subject.v4_behind_nibbles()[0], Some(Run { first: 0, last: u32::MAX }));
        });
        with_subject("1.0.0.0.0.0.f.7.2.0.0.2", |subject| {
            assert_eq!(subject.v4_behind_nibbles()[1], Some(Run { first: 0x7f00_0001, last: 0x7f00_0001 }));
        });
    }

    #[test]
    fn octets_are_canonical() {
        for length in 0..=4 {
            for (a, b, c) in (0..1 << 18).map(|bits| (bits >> 12, bits >> 6 & 63, bits & 63)) {
                // The digits, and what stands around them in ASCII; what follows a label is its neighbour's.
                let text = [a, b, c].map(|octet: u32| (octet + 16) as u8);
                let label = &text[..usize::from(length).min(3)];
                let digits =
                    std::str::from_utf8(label).ok().filter(|text| text.bytes().all(|one| one.is_ascii_digit()));
                let octet = digits.and_then(|text| text.parse::<u8>().ok());
                let expected = octet.filter(|octet| octet.to_string().as_bytes() == label && length < 4);
                assert_eq!(read_octet([length, text[0], text[1], text[2]]), expected.map(u32::from), "{label:?}");
            }
        }
        assert_eq!(read_octet([3, b'1', 0x80 | b'2', b'3']), None);
    }

    #[test]
    fn four_nibbles_at_once() {
        for octet in 0..=u8::MAX {
            for place in 0..4 {
                let mut labels = *b"\x010\x019\x01a\x01f";
                labels[2 * place + 1] = octet;
                let digits = [7, 5, 3, 1].map(|at| char::from(labels[at]));
                let is_lower_hex = octet.is_ascii_digit() || (b'a'..=b'f').contains(&octet);
                let expected = is_lower_hex.then(|| digits.iter().collect::<String>());
                assert_eq!(four_nibbles(labels), expected.map(|hex| u16::from_str_radix(&hex, 16).expect("hex")));
            }
        }
    }

    #[test]
    fn addresses_are_shown_as_everywhere() {
        let mut text = ShownKey::new();
        for octet in 0..=255 {
            let address = Ipv4Addr::new(octet, 255 - octet, 0, octet);
            show_v4(address.into(), &mut text);
            assert_eq!(text.as_bytes(), address.to_string().as_bytes());
        }
    }

    #[test]
    fn one_name_two_readings() {
        with_subject("4.3.2.1", |subject| {
            assert_eq!(subject.v4.and_then(Run::address), Some(0x0102_0304));
            assert_eq!(subject.v6.map(|run| run.first >> 112), Some(0x1234));
        });
    }
}
