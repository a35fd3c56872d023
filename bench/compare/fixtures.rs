//! Lists as files for the servers, and as questions for the load. Made-up ones have a fixed seed; real ones come from two npm
//! packages that `bench/run` fetches.

use std::{
    fs,
    io::{self, BufWriter, Write as _},
    net::Ipv4Addr,
    path::Path,
};

use dnsbld::zone::dataset::Kind;
use rand::{Rng, seq::SliceRandom};

use crate::{
    data::{self, Extras, HEAD, List, random, reversed_v4},
    generator::Question,
};

/// Enough that what is looked up is not in the caches already.
pub(crate) const QUESTIONS: usize = 500_000;
/// Blocklists are asked mostly about what they do not list.
pub(crate) const LISTED_PERCENT: u32 = 10;
const COUNTRIES: &str = "geo-whois-asn-country/geo-whois-asn-country-ipv4.csv";
const DOMAINS: &str = "disposable-email-domains/index.json";

/// A list that is on disk.
pub(crate) struct Fixture {
    /// As it is called in tables.
    pub(crate) name: String,
    pub(crate) zone: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) file: String,
    pub(crate) lines: usize,
    pub(crate) questions: Vec<Question>,
}

impl Fixture {
    /// Writes a list, and makes questions of its names, so many of a hundred about what it lists.
    pub(crate) fn write(name: &str, list: &List, listed_percent: u32, folder: &Path) -> io::Result<Self> {
        let file = name.replace(' ', "-");
        fs::write(folder.join(&file), &list.text)?;
        let questions = questions(list, listed_percent);
        Ok(Self { name: name.into(), zone: list.zone, kind: list.kind.word(), file, lines: list.lines, questions })
    }

    /// As servers are told of it.
    pub(crate) fn spec(&self) -> String {
        format!("{}:{}:{}", self.zone, self.kind, self.file)
    }

    /// The same file as a dataset of another kind.
    pub(crate) fn as_kind(&self, kind: &'static str) -> Self {
        let name = format!("{} as {kind}", self.name);
        Self { name, zone: self.zone, kind, file: self.file.clone(), lines: self.lines, questions: Vec::new() }
    }
}

fn questions(list: &List, listed_percent: u32) -> Vec<Question> {
    let mut random = random(9);
    let listed = || list.listed.iter().chain(&list.wild);
    let mut names: Vec<(&String, bool)> = Vec::new();
    for (name, other) in list.unlisted.iter().zip(listed().cycle()) {
        let is_listed = random.random_ratio(listed_percent, 100);
        names.push((if is_listed { other } else { name }, is_listed));
    }
    names.shuffle(&mut random);
    let ask = |(name, listed): (&String, bool)| Question {
        octets: data::query(0, &format!("{name}.{}", list.zone), 1, Extras::default()),
        listed,
        values: None,
        until: None,
    };
    names.into_iter().map(ask).collect()
}

/// How the addresses of a large file lie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    Sorted,
    Shuffled,
    /// In random order, over all of IPv4.
    Spread,
}

/// A file of single addresses without questions, in 4,000 networks of /16 unless spread; each with one of so many values.
pub(crate) fn addresses(name: &str, lines: usize, lie: Lie, values: usize, folder: &Path) -> io::Result<Fixture> {
    let mut random = random(1);
    let mut address = || match lie {
        Lie::Spread => random.random(),
        Lie::Sorted | Lie::Shuffled => {
            (random.random_range(0..4_000_u32) * 16) << 16 | u32::from(random.random::<u16>())
        }
    };
    let mut addresses: Vec<u32> = (0..lines).map(|_| address()).collect();
    if lie == Lie::Sorted {
        addresses.sort_unstable();
    }
    let file = name.replace(' ', "-");
    let mut text = BufWriter::new(fs::File::create(folder.join(&file))?);
    text.write_all(HEAD.as_bytes())?;
    for (line, address) in addresses.into_iter().enumerate() {
        let address = Ipv4Addr::from(address);
        match (line * 7).checked_rem(values) {
            None => writeln!(text, "{address}")?,
            Some(value) => writeln!(text, "{address} :127.0.{}.{}:Reason {value}", value / 250, 2 + value % 250)?,
        }
    }
    text.flush()?;
    let (zone, kind) = ("set.bl.example", Kind::Ip4Set.word());
    Ok(Fixture { name: name.into(), zone, kind, file, lines, questions: Vec::new() })
}

/// Countries of IPv4 addresses, as prefixes with the country for a text; nearly everything asked is listed.
pub(crate) fn countries(real: &Path, folder: &Path) -> io::Result<Option<Fixture>> {
    let Some(table) = read_real(&real.join(COUNTRIES))? else { return Ok(None) };
    let bad = |line: &str| io::Error::other(format!("{COUNTRIES}: {line}"));
    let mut ranges = Vec::new();
    for line in table.lines() {
        let mut fields = line.split(',');
        let mut address = || fields.next()?.parse::<Ipv4Addr>().ok().map(u32::from);
        let (Some(first), Some(last)) = (address(), address()) else { return Err(bad(line)) };
        ranges.push((first, last, fields.next().ok_or_else(|| bad(line))?));
    }
    ranges.sort_unstable();
    let mut list = List::new(Kind::Ip4Trie, "countries.bl.example", 0);
    for &(first, last, country) in &ranges {
        for (address, length) in prefixes_between(first, last) {
            list.line(format_args!("{}/{length} :2:{country}", Ipv4Addr::from(address)));
            list.lines += 1;
        }
    }
    let mut random = random(5);
    while list.unlisted.len() < QUESTIONS {
        let address: u32 = random.random();
        let before = ranges.partition_point(|range| range.0 <= address);
        let is_listed = before > 0 && address <= ranges[before - 1].1;
        if is_listed { &mut list.listed } else { &mut list.unlisted }.push(reversed_v4(address.into()));
    }
    Fixture::write("countries ip4trie", &list, 100 - LISTED_PERCENT, folder).map(Some)
}

/// The prefixes that make up a range: at each step the largest that begins where the last one ended.
fn prefixes_between(first: u32, last: u32) -> Vec<(u32, u32)> {
    let (mut next, end, mut prefixes) = (u64::from(first), u64::from(last) + 1, Vec::new());
    while next < end {
        let host_bits = next.trailing_zeros().min(32).min((end - next).ilog2());
        prefixes.push((next as u32, 32 - host_bits));
        next += 1 << host_bits;
    }
    prefixes
}

/// Domains of throw-away mailboxes.
pub(crate) fn domains(real: &Path, folder: &Path) -> io::Result<Option<Fixture>> {
    let Some(text) = read_real(&real.join(DOMAINS))? else { return Ok(None) };
    let domains: Vec<String> = serde_json::from_str(&text)?;
    // Names that are not there, like those that mail comes from.
    let unlisted = data::names(0, QUESTIONS, 6).unlisted;
    let mut list = List::new(Kind::DnSet, "domains.bl.example", domains.len());
    for domain in &domains {
        list.line(format_args!("{domain}"));
    }
    list.listed = domains;
    list.unlisted = unlisted;
    Fixture::write("domains dnset", &list, LISTED_PERCENT, folder).map(Some)
}

fn read_real(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!("{} is not there: without it", path.display());
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
