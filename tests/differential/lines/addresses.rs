//! Addresses, prefixes and ranges of both families, in every way that rbldnsd writes them.

use std::net::Ipv6Addr;

use rand::{Rng, seq::IndexedRandom};

use super::Writer;

impl Writer<'_> {
    /// An address near an earlier one, or a new one.
    pub(crate) fn v4(&mut self) -> u32 {
        let near = self.seen_v4.choose(self.rng).copied().filter(|_| self.rng.random_range(0..100) < 60);
        let address = match near {
            Some(seen) => match self.rng.random_range(0..6) {
                0 => seen,
                1 => seen ^ 1,
                2 => seen & !0xff | self.rng.random_range(0..256),
                3 => seen & !0xffff | self.rng.random_range(0..65536),
                4 => seen.wrapping_add(1),
                _ => seen & !0xff,
            },
            None => {
                let base = *[0x0a00_0000, 0xc000_0200, 0x7f00_0000, 0x0102_0300, 0, 0xffff_ff00, 0x1400_0000]
                    .choose(self.rng)
                    .expect("bases");
                if self.chance(15) { self.rng.random() } else { base | self.rng.random_range(0..1024u32) }
            }
        };
        self.seen_v4.push(address);
        address
    }

    pub(super) fn exclamation(&mut self) -> &'static str {
        if self.chance(18) { self.pick(&["!", "!", "! "]) } else { "" }
    }

    pub(super) fn v4_line(&mut self, kind: &str) -> Vec<u8> {
        let plain_only = kind == "ip4tset" && self.chance(80);
        let (text, first, last) = self.v4_text(plain_only, kind == "ip4set", kind != "ip4trie");
        self.keys.v4.extend([first, last, first.wrapping_sub(1), last.wrapping_add(1)]);
        let lead = if kind == "ip4tset" && self.chance(90) { "" } else { self.exclamation() };
        self.entry(&format!("{lead}{text}"))
    }

    /// An address, a prefix or a range, and its first and last address.
    pub(super) fn v4_text(&mut self, plain_only: bool, ranges: bool, other_family: bool) -> (String, u32, u32) {
        let address = self.v4();
        self.keys.v4.extend([address, address.wrapping_sub(1), address.wrapping_add(1)]);
        let [a, b, c, d] = address.to_be_bytes();
        let form = if plain_only { 0 } else { self.rng.random_range(0..100) };
        let prefix = |bits: u32| {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            (address & mask, address | !mask)
        };
        match form {
            0..=39 => (format!("{a}.{b}.{c}.{d}"), address, address),
            40..=46 => (format!("{a}.{b}.{c}"), prefix(24).0, prefix(24).1),
            47..=49 => (format!("{a}.{b}"), prefix(16).0, prefix(16).1),
            50..=64 => {
                let bits = if self.chance(80) { self.rng.random_range(20..33) } else { self.rng.random_range(4..20) };
                let (first, last) = prefix(bits);
                let [a, b, c, d] = first.to_be_bytes();
                let text = match bits {
                    ..=8 if self.chance(50) => format!("{a}/{bits}"),
                    ..=16 if self.chance(50) => format!("{a}.{b}/{bits}"),
                    ..=24 if self.chance(50) => format!("{a}.{b}.{c}/0{bits}"),
                    _ => format!("{a}.{b}.{c}.{d}/{bits}"),
                };
                (text, first, last)
            }
            65..=79 if ranges => {
                let last = match self.rng.random_range(0..3) {
                    0 => address | 0xff,
                    1 => address.saturating_add(self.rng.random_range(0..70_000)),
                    _ => address.saturating_add(self.rng.random_range(0..20)),
                };
                let [e, f, g, h] = last.to_be_bytes();
                match self.rng.random_range(0..4) {
                    0 if last | 0xff == address | 0xff => (format!("{a}.{b}.{c}.{d}-{h}"), address, last),
                    1 => (format!("{a}.{b}.{c}-{e}.{f}.{g}"), prefix(24).0, last | 0xff),
                    2 => (format!("{a}.{b}-{e}.{f}"), prefix(16).0, last | 0xffff),
                    _ => (format!("{a}.{b}.{c}.{d}-{e}.{f}.{g}.{h}"), address, last),
                }
            }
            80..=84 => (format!("00{a}.{b}.0{c}.{d}"), address, address),
            85..=87 => (format!("{a}.{b}.{c}.{d}/24"), prefix(24).0, prefix(24).1),
            _ => {
                let forms = [
                    format!("{a}"),
                    format!("{a}.{b}.{c}.{d}."),
                    format!("{a}.{b}.{c}.{d}/33"),
                    format!("{a}.{b}.{c}/"),
                    format!("{a}.{b}.{c}.256"),
                    format!("{a}.{b}.{c}.{d} - {a}.{b}.{c}.255"),
                    format!("{a}.{b}.{c}.9-{a}.{b}.{c}.8"),
                    format!("{a}.{b}-{a}.{b}.{c}"),
                    format!("{a}.{b}.{c}.{d}-{a}.{b}.{c}.255/32"),
                    format!("{a}.{b}.{c}.{d}\r"),
                    format!("{a}.{b}..{d}"),
                    format!("{a}.{b}.{c}.{d}.1"),
                    format!("{a}/8-{a}"),
                    format!("{a}-{a}"),
                    format!("{a}.{b}.{c}.{d}-"),
                    format!("0x{a:x}.{b}.{c}.{d}"),
                    "0/0".into(),
                    "0/1".into(),
                    "2001:db8::1".into(),
                    "::1".into(),
                ];
                // Our ip4trie takes IPv6 prefixes too, as that of rspamd's fork.
                let count = forms.len() - if other_family { 0 } else { 2 };
                let bad = forms[..count].choose(self.rng).expect("forms");
                (bad.clone(), prefix(24).0, prefix(24).1)
            }
        }
    }

    pub(super) fn v6(&mut self) -> u128 {
        let near = self.seen_v6.choose(self.rng).copied().filter(|_| self.rng.random_range(0..100) < 60);
        let address = match near {
            Some(seen) => match self.rng.random_range(0..6) {
                0 => seen,
                1 => seen ^ 1,
                2 => seen ^ 1 << 64,
                3 => seen & !0xffff | self.rng.random_range(0..65536),
                4 => seen ^ 1 << self.rng.random_range(0..128),
                _ => seen.wrapping_add(1),
            },
            None => {
                let v4 = u128::from(self.v4());
                match self.rng.random_range(0..8) {
                    0 => 0xffff_0000_0000 | v4,
                    1 => 0x2002 << 112 | v4 << 80,
                    2 => 1,
                    3 => self.rng.random(),
                    4 => 0xfe80 << 112 | self.rng.random_range(0..99u128),
                    _ => {
                        0x2001_0db8 << 96 | self.rng.random_range(0..4u128) << 64 | self.rng.random_range(0..70_000u128)
                    }
                }
            }
        };
        self.seen_v6.push(address);
        address
    }

    pub(super) fn v6_line(&mut self, kind: &str) -> Vec<u8> {
        let address = self.v6();
        if kind == "ip6tset" {
            return self.v6_host_line(address);
        }
        let (text, first, last) = self.v6_text(address);
        self.keys.v6.extend([address, address.wrapping_sub(1), address.wrapping_add(1)]);
        self.keys.v6.extend([first, last, first.wrapping_sub(1), last.wrapping_add(1)]);
        let lead = self.exclamation();
        self.entry(&format!("{lead}{text}"))
    }

    pub(super) fn v6_host_line(&mut self, address: u128) -> Vec<u8> {
        let words = words(address);
        let first = address & !u128::from(u64::MAX);
        let last = address | u128::from(u64::MAX);
        self.keys.v6.extend([first, last, first.wrapping_sub(1), last.wrapping_add(1), address, address ^ 1]);
        let text = match self.rng.random_range(0..100) {
            0..=69 => words[..4].join(":"),
            70..=87 => format!("!{}", compressed(address)),
            88..=89 => format!("!{}:", compressed(address)),
            90..=91 => format!("!{}", words.join(":")),
            _ => {
                let bad = [
                    words[..3].join(":"),
                    words[..5].join(":"),
                    format!("{}::", words[..3].join(":")),
                    format!("{}/64", words[..4].join(":")),
                    format!("!{}", words[..4].join(":")),
                    "1.2.3.4".into(),
                    format!("{}:", words[..4].join(":")),
                ];
                bad.choose(self.rng).expect("forms").clone()
            }
        };
        self.entry(&text)
    }

    pub(super) fn v6_text(&mut self, address: u128) -> (String, u128, u128) {
        let prefix = |bits: u32| {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            (address & mask, address | !mask)
        };
        let all = words(address);
        match self.rng.random_range(0..100) {
            0..=24 => (compressed(address), address, address),
            25..=34 => (all.join(":"), address, address),
            35..=49 => {
                let count = self.rng.random_range(2..8);
                let (first, last) = prefix(16 * count as u32);
                (all[..count].join(":"), first, last)
            }
            50..=84 => {
                let bits = match self.rng.random_range(0..4) {
                    0 => self.rng.random_range(0..129),
                    1 => *[32, 48, 64, 128].choose(self.rng).expect("bits"),
                    _ => self.rng.random_range(100..129),
                };
                let (first, last) = prefix(bits);
                (format!("{}/{bits}", compressed(first)), first, last)
            }
            85..=88 => (compressed(address).to_uppercase(), address, address),
            89..=91 => (format!("{}/64", compressed(address)), prefix(64).0, prefix(64).1),
            _ => {
                let bad = [
                    all[0].clone(),
                    format!("{}:", all[..3].join(":")),
                    format!("{}:", compressed(address)),
                    format!("{}/129", all.join(":")),
                    format!("{}::1", all.join(":")),
                    format!("0{}", all.join(":")),
                    format!("{}:9", all.join(":")),
                    "::ffff:1.2.3.4".into(),
                    "1.2.3.4".into(),
                    "12345::".into(),
                    "g::1".into(),
                    "fe80::1%eth0".into(),
                    "::/0".into(),
                ];
                (bad.choose(self.rng).expect("forms").clone(), prefix(112).0, prefix(112).1)
            }
        }
    }
}

fn words(address: u128) -> Vec<String> {
    Ipv6Addr::from(address).segments().iter().map(|word| format!("{word:x}")).collect()
}

/// With `::` for the longest run of zeros, and never with dotted octets: rbldnsd does not read those.
fn compressed(address: u128) -> String {
    let text = Ipv6Addr::from(address).to_string();
    if text.contains('.') { words(address).join(":") } else { text }
}
