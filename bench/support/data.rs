//! Made-up lists with a fixed seed, as zone files, and the questions that go with them.
//!
//! Real lists are clustered (a few providers' networks hold most of the listed addresses) and their names are registered
//! domains, three in ten of them with all that is below.

#![allow(dead_code)] // each benchmark uses a part of it

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
};

use dnsbld::{wire::name::Name, zone::dataset::Kind};
use rand::{Rng, SeedableRng, rngs::SmallRng};

/// What every file begins with: two name servers and an answer with a text.
pub(crate) const HEAD: &str = "$SOA 3600 ns1.bl.example hostmaster.bl.example 1 600 300 86400 120\n\
                    $NS 3600 ns1.bl.example ns2.bl.example\n:2:Listed, see https://bl.example/lookup?key=$\n";

const TOP_LEVELS: [&str; 10] = ["com", "com", "com", "net", "org", "info", "xyz", "top", "de", "shop"];

/// A list and names that it lists, and does not.
pub(crate) struct List {
    pub(crate) kind: Kind,
    pub(crate) zone: &'static str,
    /// The zone file.
    pub(crate) text: String,
    pub(crate) lines: usize,
    /// Names relative to the zone.
    pub(crate) listed: Vec<String>,
    pub(crate) unlisted: Vec<String>,
    /// Names that a wildcard lists; empty for addresses.
    pub(crate) wild: Vec<String>,
}

impl List {
    pub(crate) fn new(kind: Kind, zone: &'static str, lines: usize) -> Self {
        let (listed, unlisted, wild) = (Vec::new(), Vec::new(), Vec::new());
        Self { kind, zone, text: HEAD.to_owned(), lines, listed, unlisted, wild }
    }

    pub(crate) fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.text.write_fmt(line).and_then(|()| self.text.write_char('\n')).expect("in memory");
    }
}

pub(crate) fn random(seed: u64) -> SmallRng {
    SmallRng::seed_from_u64(seed)
}

/// Every how many entries one is asked for.
fn stride(lines: usize, questions: usize) -> usize {
    (lines / questions).max(1)
}

/// Single addresses in 4,000 networks of /16, in random order.
pub(crate) fn hosts(lines: usize, questions: usize, seed: u64) -> List {
    let mut random = random(seed);
    let mut list = List::new(Kind::Ip4Set, "set.bl.example", lines);
    let mut host = |odd: u32| {
        Ipv4Addr::from((random.random_range(0..4_000_u32) * 16) << 16 | random.random::<u16>() as u32 & !1 | odd)
    };
    for index in 0..lines {
        let address = host(0);
        list.line(format_args!("{address}"));
        if index % stride(lines, questions) == 0 {
            list.listed.push(reversed_v4(address));
        }
    }
    list.unlisted = (0..questions).map(|_| reversed_v4(host(1))).collect();
    list
}

/// Prefixes from /14 to /32, half of them /24, all below 128.0.0.0; one in twenty, between 64.0.0.0 and there, excludes.
pub(crate) fn prefixes(lines: usize, questions: usize, seed: u64) -> List {
    const EXCLUDED_FROM: u32 = 64 << 24;
    let mut random = random(seed);
    let mut list = List::new(Kind::Ip4Trie, "trie.bl.example", lines);
    for index in 0..lines {
        let length = if random.random_ratio(1, 2) { 24 } else { random.random_range(14..=32) };
        let address = random.random::<u32>() >> 1 & u32::MAX << (32 - length);
        if random.random_ratio(1, 20) {
            list.line(format_args!("!{}/{length}", Ipv4Addr::from(address | EXCLUDED_FROM)));
            continue;
        }
        list.line(format_args!("{}/{length}", Ipv4Addr::from(address)));
        if index % stride(lines, 3 * questions) == 0 && address < EXCLUDED_FROM {
            list.listed.push(reversed_v4(address.into()));
        }
    }
    list.unlisted = (0..questions).map(|_| reversed_v4(Ipv4Addr::from(random.random::<u32>() | 1 << 31))).collect();
    list
}

/// IPv6 prefixes of 32, 48, 56 and 64 bits.
pub(crate) fn prefixes_v6(lines: usize, questions: usize, seed: u64) -> List {
    let mut random = random(seed);
    let mut list = List::new(Kind::Ip6Trie, "six.bl.example", lines);
    for index in 0..lines {
        let network = u128::from(0x2001_0000 + random.random_range(0..0x0a0f_0000_u32)) << 96;
        let length = [32, 48, 56, 64][random.random_range(0..4)];
        let address = Ipv6Addr::from((network | random.random::<u128>() >> 32) & u128::MAX << (128 - length));
        list.line(format_args!("{address}/{length}"));
        if index % stride(lines, questions) == 0 {
            list.listed.push(reversed_v6(address));
        }
    }
    list.unlisted =
        (0..questions).map(|_| reversed_v6(Ipv6Addr::from(0x3 << 124 | random.random::<u128>() >> 4))).collect();
    list
}

/// Registered domains; those with a wildcard have an `x` in front.
pub(crate) fn names(lines: usize, questions: usize, seed: u64) -> List {
    let mut random = random(seed);
    let mut list = List::new(Kind::DnSet, "names.bl.example", lines);
    let label = |random: &mut SmallRng| -> String {
        (0..random.random_range(6..=15)).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect()
    };
    let top_level = |random: &mut SmallRng| TOP_LEVELS[random.random_range(0..TOP_LEVELS.len())];
    for index in 0..lines {
        let (label, top_level) = (label(&mut random), top_level(&mut random));
        let is_wild = random.random_ratio(3, 10);
        list.line(format_args!("{}{label}.{top_level}", if is_wild { ".x" } else { "" }));
        if index % stride(lines, questions) == 0 {
            let name = format!("{label}.{top_level}");
            if is_wild { list.wild.push(format!("mail.x{name}")) } else { list.listed.push(name) }
        }
    }
    list.unlisted = (0..questions).map(|_| format!("www.{}0.{}", label(&mut random), top_level(&mut random))).collect();
    list
}

/// Hosts of domains that are not listed themselves, one in four of them with a value of its own; asked are other hosts of
/// those domains as well.
pub(crate) fn host_names(lines: usize, questions: usize, seed: u64) -> List {
    let mut random = random(seed);
    let mut list = List::new(Kind::DnSet, "below.bl.example", lines);
    for index in 0..lines {
        let value = if random.random_ratio(1, 4) { " :3:" } else { "" };
        let domain = format!("d{:x}.{}", random.random::<u32>(), TOP_LEVELS[random.random_range(0..TOP_LEVELS.len())]);
        list.line(format_args!("login{index}.{domain}{value}"));
        if index % stride(lines, questions) == 0 {
            list.listed.push(format!("login{index}.{domain}"));
            list.unlisted.push(format!("www.{domain}"));
        }
    }
    list
}

pub(crate) fn reversed_v4(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("{d}.{c}.{b}.{a}")
}

fn reversed_v6(address: Ipv6Addr) -> String {
    let digits: Vec<String> =
        address.octets().iter().rev().map(|octet| format!("{:x}.{:x}", octet & 15, octet >> 4)).collect();
    digits.join(".")
}

/// What a query asks for besides its name.
#[derive(Clone, Copy, Default)]
pub(crate) struct Extras {
    /// With an OPT record that announces 1232 octets.
    pub(crate) edns: bool,
    /// With a client cookie in it.
    pub(crate) cookie: bool,
}

/// A query as a resolver sends it.
pub(crate) fn query(id: u16, name: &str, kind: u16, extras: Extras) -> Vec<u8> {
    let mut octets = id.to_be_bytes().to_vec();
    octets.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(extras.edns)]);
    octets.extend_from_slice(Name::parse_keeping_case(name.as_bytes()).expect("a name").as_wire());
    octets.extend(kind.to_be_bytes());
    octets.extend([0, 1]);
    if extras.edns {
        octets.extend(b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00");
        octets.extend(if extras.cookie { &b"\x00\x0c\x00\x0a\x00\x08cookie!!"[..] } else { &b"\x00\x00"[..] });
    }
    octets
}
