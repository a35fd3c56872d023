//! What a query's name may stand for: an address, the first part of one, or just a name.
//!
//! Whether `4.3.2.1` is an IPv4 address or the start of an IPv6 one depends on who is asked, so both readings are kept. Only
//! canonical octets count: `02` lists nothing, or one entry would exist under several names.

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
        // Hardly any name that is no address has labels of one octet only.
        let v6 = if name.has_single_octets() { read_nibbles(name) } else { None };
        Self { name, v4: read_octets(name), v6 }
    }

    /// The runs of IPv4 addresses that the nibbles stand for: `::ffff:0:0/96` (RFC 5782 section 2.4 asks for its test entries
    /// there) and, as in rbldnsd, 6to4 (RFC 3056), whose every address belongs to an IPv4 one.
    pub fn v4_behind_nibbles(&self) -> [Option<Run<u32>>; 2] {
        let Some(run) = self.v6 else { return [None, None] };
        [mapped(run), six_to_four(run)]
    }
}

/// Whether an IPv6 address stands for an IPv4 one too: see [`Subject::v4_behind_nibbles`].
#[inline]
pub fn is_behind_v4(address: u128) -> bool {
    address >> 32 == MAPPED_FIRST >> 32 || address >> 112 == SIX_TO_FOUR
}

/// The IPv4 addresses that an IPv6 one stands for: see [`Subject::v4_behind_nibbles`].
pub fn v4_behind(address: u128) -> impl Iterator<Item = u32> {
    let run = Run { first: address, last: address };
    [mapped(run), six_to_four(run)].into_iter().flatten().map(|behind| behind.first)
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

/// The name under which an IPv4 address is asked for: its octets reversed (RFC 5782 section 2.1).
pub fn name_of_v4(address: u32) -> String {
    let [a, b, c, d] = address.to_be_bytes();
    format!("{d}.{c}.{b}.{a}")
}

/// The same of an IPv6 address: its nibbles reversed (RFC 5782 section 2.4).
pub fn name_of_v6(address: u128) -> String {
    let digits: Vec<String> = (0..32).map(|place| format!("{:x}", address >> (4 * place) & 0xf)).collect();
    digits.join(".")
}

/// The IPv4 address that a name on the wire begins with, as four labels of canonical decimal octets, the last one first, and
/// how many octets of the name that is. `None` also for the few names that are hardly longer.
#[inline]
pub fn read_v4_on_wire(wire: &[u8]) -> Option<(u32, usize)> {
    let wire: &[u8; 16] = wire.first_chunk()?;
    // Two labels take eight octets at most.
    let low = read_two_octets(u64::from_le_bytes(*wire.first_chunk()?));
    let high = read_two_octets(u64::from_le_bytes(*wire.get(low.len..)?.first_chunk()?));
    let address = low.number | high.number << 16;
    (low.faults | high.faults == 0).then_some((address, low.len + high.len))
}

/// Two labels as octets.
struct TwoOctets {
    number: u32,
    /// Octets on the wire.
    len: usize,
    /// Zero if both are canonical octets.
    faults: u32,
}

/// The two octets that a word begins with.
#[inline]
fn read_two_octets(word: u64) -> TwoOctets {
    let (first, first_faults) = read_octet(word as u32);
    let first_len = word as u32 & 0xff;
    let rest = word.wrapping_shr(8 * first_len + 8) as u32;
    let (second, second_faults) = read_octet(rest);
    TwoOctets {
        number: first | second << 8,
        len: (first_len + (rest & 0xff) + 2) as usize,
        faults: first_faults | second_faults,
    }
}

/// Whether a name on the wire begins with four labels of one octet each, as an IPv6 address does.
#[inline]
pub fn has_nibbles_on_wire(wire: &[u8]) -> bool {
    wire.first_chunk().is_some_and(|labels| are_single(u64::from_le_bytes(*labels)))
}

#[inline]
fn are_single(four_labels: u64) -> bool {
    four_labels & 0x00ff_00ff_00ff_00ff == 0x0001_0001_0001_0001
}

/// The IPv6 address that a name on the wire begins with, as 32 labels of one hexadecimal digit each, the last one first.
#[inline]
pub fn read_v6_on_wire(wire: &[u8]) -> Option<(u128, usize)> {
    const LEN: usize = 64;
    let (labels, _) = wire.first_chunk::<LEN>()?.as_chunks::<2>();
    let mut nibbles = [0; LEN / 2];
    // All are read before any is judged: that is done with a few vector instructions.
    let faults = nibbles.iter_mut().zip(labels).fold(0, |faults, (nibble, label)| {
        let (read, more) = read_nibble(lowered(u16::from_le_bytes(*label)));
        *nibble = read;
        faults | more
    });
    let halves = nibbles.as_chunks::<16>().0.iter().map(|half| {
        let (fours, _) = half.as_chunks::<4>();
        fours.iter().rev().fold(0, |half, four| half << 16 | joined(*four))
    });
    let address = halves.rev().fold(0, |address, half| address << 64 | u128::from(half));
    (faults == 0).then_some((address, LEN))
}

/// A label of one octet with its letter in lower case, given with its length in the lower octet.
#[inline]
fn lowered(label: u16) -> u16 {
    // What has bit 6 and is none of them becomes no letter by this.
    label | label >> 1 & 0x2000
}

/// Reads a label of one hexadecimal digit in lower case, given with its length in the lower octet; and bits that are zero if it is
/// one.
#[inline]
fn read_nibble(label: u16) -> (u16, u16) {
    let (length, character) = (label & 0xff, label >> 8);
    // In ASCII, letters have bit 6 and begin with 1.
    let nibble = (character & 0xf) + 9 * (character >> 6 & 1);
    let letters = if nibble > 9 { u16::from(b'a' - b'9' - 1) } else { 0 };
    (nibble, length ^ 1 | nibble & 0xf0 | (nibble + u16::from(b'0') + letters) ^ character)
}

/// Four nibbles as one number, the first one lowest.
#[inline]
fn joined([first, second, third, fourth]: [u16; 4]) -> u64 {
    let nibbles = u64::from(first) | u64::from(second) << 16 | u64::from(third) << 32 | u64::from(fourth) << 48;
    // What they are to become stands in the highest bits, and what stands below it reaches none of those.
    nibbles.wrapping_mul(1 << 48 | 1 << 36 | 1 << 24 | 1 << 12) >> 48
}

/// One to four labels of canonical decimal octets, the last one first.
#[inline]
fn read_octets(name: RelativeName<'_>) -> Option<Run<u32>> {
    let Some(labels) = name.four_label_starts() else { return read_few_octets(name) };
    let octets = labels.map(|start| read_octet(u32::from_le_bytes(start)));
    let faults = octets.iter().fold(0, |faults, (_, more)| faults | more);
    let address = octets[0].0 | octets[1].0 << 8 | octets[2].0 << 16 | octets[3].0 << 24;
    (faults == 0).then_some(Run { first: address, last: address })
}

fn read_few_octets(name: RelativeName<'_>) -> Option<Run<u32>> {
    let count = name.label_count();
    if !(1..4).contains(&count) {
        return None;
    }
    let free_bits = 32 - 8 * count as u32;
    let mut first = 0;
    for index in 0..count {
        let (octet, faults) = read_octet(u32::from_le_bytes(name.label_start(index)));
        if faults != 0 {
            return None;
        }
        first |= octet << (free_bits + 8 * index as u32);
    }
    Some(Run { first, last: first | ((1 << free_bits) - 1) })
}

/// What a label of so many digits is read with, from its length octet and the three octets after that as one word.
struct Digits {
    /// Keeps what is the label's own.
    own: [u32; 4],
    /// Weighs each digit, so that the sum comes to stand in the highest octet, and the length so that it takes away what makes
    /// digits ASCII characters. That is `0x30` for each, as often as it is weighed; what is carried over from the octet below is
    /// the same whatever the digits: 3 if there are three, else nothing.
    weights: [u32; 4],
}

const DIGITS: Digits = Digits {
    own: [0xff, 0xff_ff, 0xff_ff_ff, 0xff_ff_ff_ff],
    weights: [0, 208 << 24 | 1 << 16, 120 << 24 | 10 << 16 | 1 << 8, 15 << 24 | 100 << 16 | 10 << 8 | 1],
};

/// The label of each octet, as a word.
const LABELS: [u32; 256] = {
    let mut labels = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let (hundreds, tens, ones) = (octet / 100, octet / 10 % 10, octet % 10);
        labels[octet as usize] = match octet {
            100.. => (hundreds | tens << 8 | ones << 16) << 8 | 0x30_30_30_03,
            10.. => (tens | ones << 8) << 8 | 0x30_30_02,
            _ => ones << 8 | 0x30_01,
        };
        octet += 1;
    }
    labels
};

/// A decimal octet and zero if it is the canonical one, from the length of a label and the three octets from there on, not all of
/// them its own. `02` is none, or one entry would exist under several names.
#[inline]
fn read_octet(start: u32) -> (u32, u32) {
    let digits = (start & 3) as usize;
    let label = start & DIGITS.own[digits];
    let octet = label.wrapping_mul(DIGITS.weights[digits]) >> 24;
    (octet, label ^ LABELS[octet as usize])
}

/// One to 32 labels of one hexadecimal digit, the last one first; of names whose labels have one octet each.
#[inline(never)]
fn read_nibbles(name: RelativeName<'_>) -> Option<Run<u128>> {
    let (count, octets) = (name.label_count(), name.octets());
    if count > 32 {
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
        let (nibble, faults) = read_nibble(u16::from_le_bytes(*label));
        if faults != 0 {
            return None;
        }
        first |= u128::from(nibble) << shift;
        shift += 4;
    }
    Some(Run { first, last: first | ((1u128 << free_bits) - 1) })
}

/// Four labels of one hexadecimal digit, the first one lowest.
#[inline]
fn four_nibbles(labels: [u8; 8]) -> Option<u16> {
    let (labels, _) = labels.as_chunks::<2>();
    let [first, second, third, fourth] = [0, 1, 2, 3].map(|index| read_nibble(u16::from_le_bytes(labels[index])));
    let faults = first.1 | second.1 | third.1 | fourth.1;
    (faults == 0).then_some(joined([first.0, second.0, third.0, fourth.0]) as u16)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

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
                let (read, faults) = read_octet(u32::from_le_bytes([length, text[0], text[1], text[2]]));
                assert_eq!((faults == 0).then_some(read), expected.map(u32::from), "{label:?}");
            }
        }
        assert_ne!(read_octet(u32::from_le_bytes([3, b'1', 0x80 | b'2', b'3'])).1, 0);
        assert_ne!(read_octet(u32::from_le_bytes([5, b'1', b'2', b'3'])).1, 0);
    }

    #[test]
    fn a_nibble_in_any_case() {
        for length in 0..=u8::MAX {
            for octet in 0..=u8::MAX {
                let (nibble, faults) = read_nibble(lowered(u16::from_le_bytes([length, octet])));
                let expected = char::from(octet).to_digit(16).filter(|_| length == 1);
                assert_eq!((faults == 0).then_some(u32::from(nibble)), expected, "{length} {octet}");
            }
        }
        assert_eq!(joined([1, 2, 3, 15]), 0xf321);
        let wire: Vec<u8> = (0..32).flat_map(|index| [1, b"0123456789abcdefABCDEF"[index % 22]]).collect();
        assert_eq!(read_v6_on_wire(&wire), Some((0x9876_5432_10fe_dcba_fedc_ba98_7654_3210, 64)));
        assert_eq!(read_v6_on_wire(&wire[..63]), None);
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
    fn one_name_two_readings() {
        with_subject("4.3.2.1", |subject| {
            assert_eq!(subject.v4.and_then(Run::address), Some(0x0102_0304));
            assert_eq!(subject.v6.map(|run| run.first >> 112), Some(0x1234));
        });
    }
}
