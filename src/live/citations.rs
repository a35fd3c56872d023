//! Which line of which file says something of a key: the files are read again for it, since no memory is spent on lines.
//!
//! Nothing here knows a format. Lines go through the loader in blocks, each behind the lines that set what holds for it
//! (`$...` and defaults), and where a block says something of the key it is halved until one line is left. So a line counts
//! here if and only if it counts where it is served, whatever it looks like, and a file takes as long as it takes to load.

use std::{
    collections::HashMap,
    io::{self, BufRead as _, BufReader},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{asked::AskedKey, clock, reading::open_file, zones::DatasetSpec};
use crate::{
    load::{self, Loaded, Options, Report, Source},
    wire::name::Name,
    zone::{
        addresses::Addresses,
        dataset::{Dataset, Entries, Kind},
        names::Names,
        ruling::{Claim, Context, FOREVER_S, KeyRule},
    },
};

/// Lines that go through the loader together.
const BLOCK_LINES: usize = 8_192;

/// Most lines that are cited of a dataset; the most specific of more may be among those left out.
const CITATIONS_MAX: usize = 1_000;

/// Longest part of a line that is shown, in characters.
const SHOWN_LEN: usize = 200;

/// What becomes of what a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It decides what is answered.
    Decides,
    /// A more specific line decides; were that one gone, this one might.
    Behind,
    /// It is not in force now: it is delayed, or only for clients with a key.
    NotInForce,
}

/// What a line says of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Citation {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The line itself, cut if it is very long.
    pub text: String,
    /// It excludes the key, and does not list it.
    pub excludes: bool,
    /// What becomes of it.
    pub effect: Effect,
    /// When it ends, in seconds since the epoch; none means not by itself.
    pub until_s: Option<u64>,
    /// The dataset, as it is called where it is served.
    #[serde(skip)]
    pub dataset: String,
    /// The subzones that it answers in; the root is the zone itself.
    #[serde(skip)]
    pub subzones: Vec<Name>,
    /// Higher for what is more specific.
    #[serde(skip)]
    rank: u32,
    #[serde(skip)]
    kind: Option<Kind>,
}

/// The lines of a dataset's files that say something of a key, most specific first. Lines whose time is over say nothing.
///
/// # Errors
/// When a file cannot be read.
pub fn cite(spec: &DatasetSpec, key: &AskedKey, options: &Options) -> io::Result<Vec<Citation>> {
    let mut search = Search { spec, key, options, found: Vec::new() };
    for file in &spec.files {
        search.file(file)?;
    }
    let mut found = search.found;
    found.sort_by_key(|citation| std::cmp::Reverse(citation.rank)); // stable: lines stay in order
    judge(&mut found);
    Ok(found)
}

/// Finds out which lines decide, for each dataset of the file by itself.
fn judge(found: &mut [Citation]) {
    let mut decided: HashMap<(String, Vec<Name>), u32> = HashMap::new();
    let place = |citation: &Citation| (citation.dataset.clone(), citation.subzones.clone());
    for citation in found.iter_mut().filter(|citation| citation.effect != Effect::NotInForce) {
        let deciding = *decided.entry(place(citation)).or_insert(citation.rank);
        citation.effect = if citation.rank == deciding { Effect::Decides } else { Effect::Behind };
    }
    let excluded: Vec<_> =
        found.iter().filter(|line| line.excludes && line.effect == Effect::Decides).map(place).collect();
    let mut first: HashMap<(String, Vec<Name>), u64> = HashMap::new();
    let mut last: HashMap<(String, Vec<Name>), u64> = HashMap::new();
    for citation in found.iter().filter(|citation| citation.effect == Effect::Decides) {
        first.entry(place(citation)).or_insert(citation.line);
        last.insert(place(citation), citation.line);
    }
    for citation in found.iter_mut().filter(|citation| citation.effect == Effect::Decides) {
        let here = place(citation);
        let counts = match citation.kind {
            // The longest prefix of the file that comes first, or the newest note.
            Some(Kind::Ip4Trie | Kind::Ip6Trie | Kind::Ip4TSet | Kind::Ip6TSet) => {
                first.get(&here) == Some(&citation.line)
            }
            Some(Kind::Ip4Seen) => last.get(&here) == Some(&citation.line),
            _ => citation.excludes || !excluded.contains(&here),
        };
        if !counts {
            citation.effect = Effect::Behind;
        }
    }
}

/// A line with its number.
type Line = (u64, Vec<u8>);

struct Search<'a> {
    spec: &'a DatasetSpec,
    key: &'a AskedKey,
    options: &'a Options,
    found: Vec<Citation>,
}

/// What lines read so far set for those after them.
#[derive(Default)]
struct Preamble {
    octets: Vec<u8>,
    /// Where the default that counts begins, if nothing was set after it.
    default_at: Option<usize>,
    kind: Option<Kind>,
}

impl Preamble {
    /// Takes note of a line if it sets something.
    fn note(&mut self, line: &[u8]) {
        let text = line.trim_ascii_start();
        let special = match text {
            [b'$', rest @ ..] | [b'#' | b';' | b':', b'$', rest @ ..] => Some(rest),
            _ => None,
        };
        if let Some(rest) = special {
            self.default_at = None;
            let mut words = rest.split(u8::is_ascii_whitespace);
            if words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"dataset")) {
                let word = words.find(|word| !word.is_empty()).unwrap_or_default();
                let kind = word.split(|&octet| octet == b':').next().unwrap_or_default();
                self.kind = str::from_utf8(kind).ok().and_then(|kind| kind.parse().ok());
            }
        } else if self.is_default(text) {
            match (self.default_at, self.kind) {
                // All entries of these share the first.
                (Some(_), Some(Kind::Ip4TSet | Kind::Ip6TSet)) => return,
                (Some(at), _) => self.octets.truncate(at),
                (None, _) => self.default_at = Some(self.octets.len()),
            }
        } else {
            return;
        }
        self.octets.extend_from_slice(line);
        self.octets.push(b'\n');
    }

    /// Whether a line gives a default value: a colon does, but for the `::` of an address.
    fn is_default(&self, text: &[u8]) -> bool {
        let takes_colons = matches!(self.kind, Some(Kind::Ip4Trie | Kind::Ip6Trie));
        text.starts_with(b":") && !(takes_colons && text.starts_with(b"::"))
    }
}

impl Search<'_> {
    fn file(&mut self, path: &Path) -> io::Result<()> {
        let file =
            open_file(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        let modified_s = file.metadata()?.modified().map_or(0, clock::seconds);
        let mut reader = BufReader::with_capacity(1 << 18, load::unpacked(Box::new(file))?);
        let mut preamble = Preamble { kind: Some(self.spec.kind), ..Preamble::default() };
        let mut number = 0;
        let place = Place { path, modified_s };
        loop {
            let mut block: Vec<Line> = Vec::new();
            let mut octets = Vec::new();
            while block.len() < BLOCK_LINES && reader.read_until(b'\n', &mut octets)? > 0 {
                number += 1;
                let line = octets.strip_suffix(b"\n").unwrap_or(&octets);
                let line = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| number == 1).unwrap_or(line);
                block.push((number, line.to_vec()));
                octets.clear();
            }
            if block.is_empty() || self.found.len() >= CITATIONS_MAX {
                return Ok(());
            }
            self.block(&place, &mut preamble, &block);
        }
    }

    fn block(&mut self, place: &Place<'_>, preamble: &mut Preamble, lines: &[Line]) {
        let said = self.said(place, preamble, lines);
        if said.is_empty() || self.found.len() >= CITATIONS_MAX {
            for (_, line) in lines {
                preamble.note(line);
            }
        } else if let [(number, line)] = lines {
            for Said { section, claim, rank } in said {
                let text = String::from_utf8_lossy(line);
                self.found.push(Citation {
                    file: place.path.display().to_string(),
                    line: *number,
                    text: text.trim().chars().take(SHOWN_LEN).collect(),
                    excludes: claim.value.is_none(),
                    effect: if is_in_force(&claim, self.options.now_s) { Effect::Behind } else { Effect::NotInForce },
                    until_s: (claim.until_s != FOREVER_S).then_some(u64::from(claim.until_s)),
                    dataset: section.dataset.label.to_string(),
                    subzones: section.subzones,
                    rank,
                    kind: Some(section.dataset.kind),
                });
            }
            preamble.note(line);
        } else {
            let (first, second) = lines.split_at(lines.len() / 2);
            self.block(place, preamble, first);
            self.block(place, preamble, second);
        }
    }

    /// What lines say of the key.
    fn said(&self, place: &Place<'_>, preamble: &Preamble, lines: &[Line]) -> Vec<Said> {
        let length = preamble.octets.len() + lines.iter().map(|(_, line)| line.len() + 1).sum::<usize>();
        let mut octets = Vec::with_capacity(length);
        octets.extend_from_slice(&preamble.octets);
        for (_, line) in lines {
            octets.extend_from_slice(line);
            octets.push(b'\n');
        }
        let reader: Box<dyn io::Read> = Box::new(io::Cursor::new(octets));
        let source = Source { name: String::new(), modified_s: place.modified_s, reader };
        let label = self.spec.to_string();
        let loaded = load::load(self.spec.kind, &label, [Ok(source)], self.options, &mut Report::default());
        let Ok(Loaded::Data(data)) = loaded else { return Vec::new() };
        let sections = data.sections.into_iter();
        sections
            .flat_map(|section| {
                claims(&section.dataset, self.key).into_iter().map(move |(claim, rank)| Said {
                    section: section.clone(),
                    claim,
                    rank,
                })
            })
            .collect()
    }
}

/// Whether a claim counts for everyone now.
fn is_in_force(claim: &Claim, now_s: u64) -> bool {
    claim.key != KeyRule::Required && claim.in_force(&Context { now_s, keyed: false })
}

struct Place<'a> {
    path: &'a Path,
    modified_s: u64,
}

/// What is said of the key.
struct Said {
    section: load::Section,
    claim: Claim,
    /// Higher for what is more specific.
    rank: u32,
}

/// Everything that a dataset claims of a key, with how specific that is.
fn claims(dataset: &Dataset, key: &AskedKey) -> Vec<(Claim, u32)> {
    match (&dataset.entries, key) {
        (Entries::Addresses(addresses), AskedKey::V4(address)) => claims_v4(addresses, dataset.kind, *address),
        (Entries::Addresses(addresses), AskedKey::V6(address)) => claims_v6(addresses, *address),
        (Entries::Names(names), AskedKey::Name(name)) => claims_on_name(names, name),
        _ => Vec::new(),
    }
}

fn claims_v4(addresses: &Addresses, kind: Kind, address: u32) -> Vec<(Claim, u32)> {
    let mut found = Vec::new();
    addresses.for_each_v4(|first, last, standings| {
        if (first..=last).contains(&address) {
            let length = prefix_len(u128::from(first), u128::from(last), u128::from(address), 32);
            // Whole octets count together there (rbldnsd's ip4set).
            let rank = if kind == Kind::Ip4Set { length.div_ceil(8).max(1) } else { length };
            let levels = addresses.levels(standings);
            found.extend(levels.into_iter().flatten().map(|claim| (claim, rank)));
        }
    });
    found
}

fn claims_v6(addresses: &Addresses, address: u128) -> Vec<(Claim, u32)> {
    let mut found = Vec::new();
    addresses.for_each_v6(|first, last, standings| {
        if (first..=last).contains(&address) {
            let rank = prefix_len(first, last, address, 128);
            let levels = addresses.levels(standings);
            found.extend(levels.into_iter().flatten().map(|claim| (claim, rank)));
        }
    });
    found
}

/// The length of the widest prefix around an address that lies within a range.
fn prefix_len(first: u128, last: u128, address: u128, bits: u32) -> u32 {
    let fits = |length: &u32| {
        let free = bits - length;
        let mask = if free == 128 { u128::MAX } else { (1 << free) - 1 };
        (address & !mask) >= first && (address | mask) <= last
    };
    (0..=bits).find(fits).unwrap_or(bits)
}

fn claims_on_name(names: &Names, name: &Name) -> Vec<(Claim, u32)> {
    let mut found = Vec::new();
    names.for_each(|entry, exact, wildcard| {
        let entry = entry.to_name();
        let Some(before) = name.strip(&entry) else { return };
        let (standing, is_exact) = if before.is_root() { (exact, true) } else { (wildcard, false) };
        let rank = 2 * entry.label_count() as u32 + u32::from(is_exact);
        found.extend(names.claims(standing).into_iter().map(|claim| (claim, rank)));
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_prefix_within_a_range() {
        assert_eq!(prefix_len(0, u128::from(u32::MAX), 7, 32), 0);
        assert_eq!(prefix_len(0x0a00_0001, 0x0a00_0006, 0x0a00_0004, 32), 31);
        assert_eq!(prefix_len(0x0a00_0001, 0x0a00_0006, 0x0a00_0001, 32), 32);
        assert_eq!(prefix_len(0, u128::MAX, 7, 128), 0);
    }

    fn lines(kind: Kind, text: &str, key: &str) -> Vec<(u64, bool, Effect)> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, text).expect("written");
        let spec = DatasetSpec { kind, files: vec![path] };
        let options = Options { now_s: 1_000_000, ..Options::default() };
        let found = cite(&spec, &AskedKey::parse(key).expect("a key"), &options).expect("readable");
        found.into_iter().map(|line| (line.line, line.excludes, line.effect)).collect()
    }

    #[test]
    fn the_line_and_what_stands_behind_it() {
        use Effect::{Behind, Decides, NotInForce};
        let text = "# list\n:2:x\n192.0.2.0/24\n!192.0.2.7\n:3:\n192.0.0.0/16 :4:y\n192.0.2.5 :5:\n192.0.2.5 :6:\n";
        assert_eq!(lines(Kind::Ip4Set, text, "192.0.2.9"), [(3, false, Decides), (6, false, Behind)]);
        let excluded = lines(Kind::Ip4Set, text, "192.0.2.7");
        assert!(excluded.contains(&(4, true, Decides)) && excluded.contains(&(3, false, Behind)), "{excluded:?}");
        assert_eq!(lines(Kind::Ip4Set, text, "192.0.2.5")[..2], [(7, false, Decides), (8, false, Decides)]);
        assert_eq!(lines(Kind::Ip4Trie, text, "192.0.2.5")[..2], [(7, false, Decides), (8, false, Behind)]);
        assert_eq!(lines(Kind::Ip4Set, text, "10.0.0.1"), []);
        let keyed = lines(Kind::Ip4Set, "192.0.2.7 @ key=require\n192.0.2.0/24\n", "192.0.2.7");
        assert_eq!(keyed, [(1, false, NotInForce), (2, false, Decides)]);
        let names = "spam.example\n.example\n!good.spam.example\n*.spam.example\n";
        assert_eq!(lines(Kind::DnSet, names, "spam.example"), [(1, false, Decides), (2, false, Behind)]);
        assert_eq!(lines(Kind::DnSet, names, "x.spam.example"), [(4, false, Decides), (2, false, Behind)]);
        let good = lines(Kind::DnSet, names, "good.spam.example");
        assert_eq!(good, [(3, true, Decides), (4, false, Behind), (2, false, Behind)]);
        assert_eq!(lines(Kind::Ip6Trie, "::/0 :2:a\n:3:b\n2001:db8::/32\n", "2001:db8::1").len(), 2);
        let notes = "192.0.2.1 999000\n192.0.2.1 999500\n";
        assert_eq!(lines(Kind::Ip4Seen, notes, "192.0.2.1"), [(1, false, Behind), (2, false, Decides)]);
    }

    #[test]
    fn lines_far_down_are_found_with_their_number() {
        use std::fmt::Write as _;
        let mut text = String::from("$LIFETIME 0\n");
        for number in 0..30_000_u32 {
            let _ = writeln!(text, "{}", std::net::Ipv4Addr::from(0x0a00_0000 + number));
        }
        text.push_str("10.0.0.0/8\n");
        let found = lines(Kind::Ip4Set, &text, "10.0.97.13");
        assert_eq!(found, [(2 + 97 * 256 + 13, false, Effect::Decides), (30_002, false, Effect::Behind)]);
    }

    #[test]
    fn each_subzone_of_a_combined_file_for_itself() {
        let text = "$DATASET ip4set one\n:2:\n192.0.2.1\n$DATASET ip4trie two three\n:3:\n192.0.2.0/24\n";
        let found = lines(Kind::Combined, text, "192.0.2.1");
        assert_eq!(found, [(6, false, Effect::Decides), (3, false, Effect::Decides)]);
    }
}
