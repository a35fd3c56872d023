//! Which line of which file says something of a key: the files are read again for it, since no memory is spent on lines.
//!
//! Nothing here knows a format. Lines go through the loader in passages, each with what the lines before it have set, and where
//! a passage says something of the key it is halved until one line is left. So a line counts here if it counts where it is served,
//! whatever it looks like, and a file takes as long as it takes to load, and no more memory than a passage. Where a line makes
//! the whole dataset unusable, none is cited. Only what is wrong with all lines together (too many of one key, too much text) is not
//! seen here.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{asked::AskedKey, clock, loading::is_gone, reading::open_file, zones::DatasetSpec};
use crate::{
    load::{self, Lines, LoadError, Loaded, Loader, Options, Report, Source},
    wire::name::Name,
    zone::{
        addresses::Addresses,
        bits::Address,
        dataset::{Dataset, Entries, Kind},
        names::Names,
        ruling::{Claim, Context, FOREVER_S, KeyRule},
        standing::Equals,
    },
};

/// Lines that go through the loader together, and about how many octets of them: a line may be long.
const PASSAGE_LINES: usize = 8_192;
const PASSAGE_LEN: usize = 1 << 20;

/// Most lines that are cited of a dataset; the most specific of more may be among those left out.
pub const CITATIONS_MAX: usize = 1_000;

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
    /// Which one of the files it stands in.
    #[serde(skip)]
    section: usize,
    /// Higher for what is more specific.
    #[serde(skip)]
    rank: u32,
    #[serde(skip)]
    kind: Option<Kind>,
}

/// The lines of a dataset's files that say something of a key, most specific first, and the files that are gone: it may be served
/// without them, as was accepted, or as it was before. Lines whose time is over say nothing. Where there are
/// [as many lines as are cited](CITATIONS_MAX), there may be more.
///
/// # Errors
/// When a file that is there cannot be read or loaded: then nothing of the dataset is, where it is served.
pub fn cite<'a>(
    spec: &'a DatasetSpec,
    key: &AskedKey,
    options: &Options,
) -> io::Result<(Vec<Citation>, Vec<&'a Path>)> {
    let mut search = Search { key, options, found: Vec::new() };
    let mut loader = Loader::new(spec.kind, &spec.to_string(), options);
    let (gone, there) = spec.files.iter().map(PathBuf::as_path).partition::<Vec<_>, _>(|file| is_gone(file));
    for file in there {
        loader = search.file(file, loader)?;
    }
    let mut found = search.found;
    found.sort_by_key(|citation| std::cmp::Reverse(citation.rank)); // stable: lines stay in order
    judge(&mut found);
    Ok((found, gone))
}

/// Finds out which lines decide, for each section of the files by itself. Lines come the most specific first.
fn judge(found: &mut [Citation]) {
    let mut sections: BTreeMap<usize, Vec<&mut Citation>> = BTreeMap::new();
    for line in found {
        sections.entry(line.section).or_default().push(line);
    }
    for mut lines in sections.into_values() {
        let levels = lines.chunk_by_mut(|one, two| one.rank == two.rank);
        let in_force = levels.map(|level| counting(level).filter(|line| line.effect != Effect::NotInForce));
        let Some(deciding) = in_force.map(Iterator::collect::<Vec<_>>).find(|level| !level.is_empty()) else {
            continue;
        };
        let excludes = deciding.iter().any(|line| line.excludes);
        deciding.into_iter().filter(|line| line.excludes == excludes).for_each(|line| line.effect = Effect::Decides);
    }
}

/// The lines that count of those about one key that are equally specific.
fn counting<'l>(level: &'l mut [&mut Citation]) -> impl Iterator<Item = &'l mut Citation> {
    let equals = level[0].kind.map_or(Equals::All, Kind::equals);
    let end_s = |line: &Citation| line.until_s.map_or(FOREVER_S, |until_s| until_s as u32);
    let only = (1..level.len())
        .fold(0, |only, at| if equals.replaces(end_s(level[at]), end_s(level[only])) { at } else { only });
    let counts = move |at| equals == Equals::All || at == only;
    level.iter_mut().enumerate().filter(move |(at, _)| counts(*at)).map(|(_, line)| &mut **line)
}

/// Lines that are looked through together.
#[derive(Default)]
struct Passage {
    octets: Vec<u8>,
    lines: Vec<Line>,
}

/// Where a line stands in its passage, with its end, and its number.
struct Line {
    at: Range<usize>,
    number: u64,
}

impl Passage {
    /// Takes the next lines, of which so many come before.
    fn read(lines: &mut Lines<impl Read>, lines_before: u64) -> io::Result<Self> {
        let mut passage = Self::default();
        while passage.lines.len() < PASSAGE_LINES
            && passage.octets.len() < PASSAGE_LEN
            && let Some(line) = lines.next_line()?
        {
            let start = passage.octets.len();
            passage.octets.extend_from_slice(line.text);
            // One is taken off with the end of the line, and was so before.
            passage.octets.extend_from_slice(if line.text.ends_with(b"\r") { b"\r\n" } else { b"\n" });
            let number = lines_before + passage.lines.len() as u64 + 1;
            passage.lines.push(Line { at: start..passage.octets.len(), number });
        }
        Ok(passage)
    }

    /// What stands on these lines of it.
    fn text(&self, lines: &[Line]) -> &[u8] {
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return &[] };
        &self.octets[first.at.start..last.at.end]
    }
}

struct Search<'a> {
    key: &'a AskedKey,
    options: &'a Options,
    found: Vec<Citation>,
}

/// Where lines come from.
struct CitedFile<'a> {
    path: &'a Path,
    modified_s: u64,
}

impl<'a> Search<'a> {
    /// Looks through a file. `loader` stands before it, and what is returned behind it.
    fn file(&mut self, path: &Path, mut loader: Loader<'a>) -> io::Result<Loader<'a>> {
        let unreadable = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = open_file(path).map_err(unreadable)?;
        let modified_s = file.metadata().and_then(|file| file.modified()).map_or(0, clock::seconds);
        let mut lines = load::lines(Box::new(file)).map_err(unreadable)?;
        let file = CitedFile { path, modified_s };
        let mut lines_before = 0;
        loader.start_file();
        loop {
            let passage = Passage::read(&mut lines, lines_before).map_err(unreadable)?;
            if passage.lines.is_empty() || self.found.len() >= CITATIONS_MAX {
                return Ok(loader);
            }
            loader = self.passage(&file, &loader, &passage, &passage.lines).map_err(io::Error::other)?;
            lines_before += passage.lines.len() as u64;
        }
    }

    /// Looks through lines of a passage. `loader` stands before them, and what is returned behind them.
    fn passage(
        &mut self,
        file: &CitedFile<'_>,
        loader: &Loader<'a>,
        passage: &Passage,
        lines: &[Line],
    ) -> Result<Loader<'a>, LoadError> {
        let fork = |loader: &Loader<'a>| loader.fork().expect("access lists say nothing of a key");
        let mut reading = fork(loader);
        let reader = Box::new(passage.text(lines));
        let source = Source { name: file.path.display().to_string(), modified_s: file.modified_s, reader };
        reading.part(source, lines[0].number - 1, &mut Report::default())?;
        let behind = fork(&reading);
        let said = self.said(reading)?;
        if said.is_empty() || self.found.len() >= CITATIONS_MAX {
            return Ok(behind);
        }
        if let [line] = lines {
            let text = String::from_utf8_lossy(passage.text(lines));
            let citation = |said| self.citation(file, line.number, &text, said);
            let cited: Vec<_> = said.into_iter().map(citation).collect();
            self.found.extend(cited);
            return Ok(behind);
        }
        let (first, second) = lines.split_at(lines.len() / 2);
        let between = self.passage(file, loader, passage, first)?;
        self.passage(file, &between, passage, second)
    }

    fn citation(&self, file: &CitedFile<'_>, line: u64, text: &str, said: Said) -> Citation {
        let Said { section, claim, rank } = said;
        Citation {
            file: file.path.display().to_string(),
            line,
            text: text.trim().chars().take(SHOWN_LEN).collect(),
            excludes: claim.value.is_none(),
            effect: if is_in_force(&claim, self.options.now_s) { Effect::Behind } else { Effect::NotInForce },
            until_s: (claim.until_s != FOREVER_S).then_some(u64::from(claim.until_s)),
            dataset: section.dataset.label.to_string(),
            subzones: section.subzones,
            section: section.number,
            rank,
            kind: Some(section.dataset.kind),
        }
    }

    /// What was read says of the key.
    fn said(&self, read: Loader<'_>) -> Result<Vec<Said>, LoadError> {
        let Loaded::Data(data) = read.build(&mut Report::default())? else { return Ok(Vec::new()) };
        let sections = data.sections.into_iter();
        let said = sections
            .flat_map(|section| {
                claims(&section.dataset, self.key).into_iter().map(move |(claim, rank)| Said {
                    section: section.clone(),
                    claim,
                    rank,
                })
            })
            .collect();
        Ok(said)
    }
}

/// Whether a claim counts for everyone now.
fn is_in_force(claim: &Claim, now_s: u64) -> bool {
    claim.key != KeyRule::Required && claim.in_force(&Context { now_s, keyed: false })
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
            let length = prefix_len(first, last, address);
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
            let rank = prefix_len(first, last, address);
            let levels = addresses.levels(standings);
            found.extend(levels.into_iter().flatten().map(|claim| (claim, rank)));
        }
    });
    found
}

/// The length of the widest prefix around an address that lies within a range.
fn prefix_len<A: Address>(first: A, last: A, address: A) -> u32 {
    let fits = |length: &u32| {
        let prefix = address.prefix(*length);
        first <= prefix.first && prefix.last <= last
    };
    let bits = u32::from(A::BITS);
    (0..bits).find(fits).unwrap_or(bits)
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
    use std::{
        fs::File,
        time::{Duration, SystemTime},
    };

    use proptest::prelude::*;

    use super::*;
    use crate::{wire::name::QueryName, zone::ruling::Finding};

    #[test]
    fn the_widest_prefix_within_a_range() {
        assert_eq!(prefix_len(0, u32::MAX, 7), 0);
        assert_eq!(prefix_len(0x0a00_0001_u32, 0x0a00_0006, 0x0a00_0004), 31);
        assert_eq!(prefix_len(0x0a00_0001_u32, 0x0a00_0006, 0x0a00_0001), 32);
        assert_eq!(prefix_len(0, u128::MAX, 7), 0);
    }

    /// What files of these texts, modified at second 999,900, say of a key a hundred seconds later.
    fn cited(kind: Kind, texts: &[&str], key: &str) -> Vec<Citation> {
        try_to_cite(kind, texts, key).expect("readable")
    }

    fn try_to_cite(kind: Kind, texts: &[&str], key: &str) -> io::Result<Vec<Citation>> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |(index, text): (usize, &&str)| {
            let path = folder.path().join(index.to_string());
            std::fs::write(&path, text).expect("written");
            let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(999_900);
            File::options().append(true).open(&path).and_then(|file| file.set_modified(modified)).expect("set");
            path
        };
        let spec = DatasetSpec { kind, files: texts.iter().enumerate().map(file).collect() };
        let options = Options { now_s: 1_000_000, ..Options::default() };
        cite(&spec, &AskedKey::parse(key).expect("a key"), &options).map(|(found, _)| found)
    }

    #[test]
    fn a_file_that_is_gone_hides_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let files: Vec<_> = ["one", "gone", "two"].iter().map(|name| folder.path().join(name)).collect();
        for file in [&files[0], &files[2]] {
            std::fs::write(file, "192.0.2.1\n").expect("written");
        }
        let spec = DatasetSpec { kind: Kind::Ip4Set, files };
        let key = AskedKey::parse("192.0.2.1").expect("a key");
        let (found, gone) = cite(&spec, &key, &Options::default()).expect("the others are readable");
        assert_eq!((found.len(), gone), (2, vec![&*spec.files[1]]));
    }

    fn lines(kind: Kind, text: &str, key: &str) -> Vec<(u64, bool, Effect)> {
        let found = cited(kind, &[text], key);
        found.into_iter().map(|line| (line.line, line.excludes, line.effect)).collect()
    }

    #[test]
    fn a_passage_is_no_longer_than_lines_may_be() {
        let passage = |text: &mut dyn Read| {
            Passage::read(&mut load::lines(Box::new(text)).expect("readable"), 0).expect("readable")
        };
        let endless = passage(&mut io::repeat(b'x').take(64 << 20));
        assert_eq!(endless.lines.len(), 1);
        assert!(endless.octets.capacity() < 1 << 20, "{}", endless.octets.capacity());
        let long = [b"x".repeat(60_000), b"\n".to_vec()].concat().repeat(100);
        let many = passage(&mut &*long);
        assert_eq!(many.lines.len(), PASSAGE_LEN / 60_001 + 1, "the next passage has the others");
        assert_eq!(many.text(&many.lines), &long[..many.octets.len()]);
    }

    #[test]
    fn lines_count_as_where_they_are_served() {
        let long = format!("192.0.2.1 {}\n192.0.2.1\n", "x".repeat(200_000));
        let found = cited(Kind::Ip4Set, &[&long], "192.0.2.1");
        assert_eq!(found.iter().map(|line| line.line).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(found[0].text.len(), SHOWN_LEN);
        // Only the start of a file has a mark of its encoding, and only one octet before the end of a line goes with that.
        let marked = "\u{feff}192.0.2.1\r\n\u{feff}192.0.2.1\n192.0.2.1\r\r\n192.0.2.1\r\n";
        assert_eq!(
            cited(Kind::Ip4Set, &[marked], "192.0.2.1").iter().map(|line| line.line).collect::<Vec<_>>(),
            [1, 4]
        );
    }

    #[test]
    fn what_a_file_sets_holds_for_the_next() {
        let texts = ["$LIFETIME 1h\n192.0.2.1\n", "192.0.2.1\n"];
        let found = cited(Kind::Ip4Set, &texts, "192.0.2.1");
        assert_eq!(found.iter().map(|line| line.until_s).collect::<Vec<_>>(), [Some(1_003_500); 2]);
    }

    /// A line that costs the whole dataset where it is served does so here, wherever it stands.
    #[test]
    fn nothing_is_cited_of_what_cannot_be_loaded() {
        let far = format!("192.0.2.1\n{}$TIMESTAMP 1971-01-01\n192.0.2.1\n", "10.0.0.1\n".repeat(2 * PASSAGE_LINES));
        for (text, line) in [("192.0.2.1\n$TIMESTAMP 1971-01-01\n192.0.2.1\n", 2), (&far, 2 + 2 * PASSAGE_LINES)] {
            let error =
                try_to_cite(Kind::Ip4Set, &["192.0.2.1\n", text, "192.0.2.1\n"], "192.0.2.1").expect_err("none");
            let error = error.to_string();
            assert!(error.contains(&format!("1:{line}: data timestamp is 30536000 s in the future")), "{error}");
        }
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
    fn each_section_of_a_combined_file_for_itself() {
        for subzones in ["two three", "one"] {
            let text = format!("$DATASET ip4set one\n:2:\n192.0.2.1\n$DATASET ip4set {subzones}\n:3:\n192.0.2.0/24\n");
            let found = lines(Kind::Combined, &text, "192.0.2.1");
            assert_eq!(found, [(3, false, Effect::Decides), (6, false, Effect::Decides)], "{subzones}");
        }
    }

    /// A line about one of a few keys, with a text that tells its number where it may have one.
    fn any_line(kind: Kind, number: usize, (key, mark, limit): (usize, usize, usize)) -> String {
        let limit =
            ["", "", " @ until=1000300", " @ until=1000200", " @ key=require", " @ delay=5", " @ ts=999950;delay=1h"]
                [limit];
        let (low, wide) = (key % 4, key / 4 == 1);
        let key = match kind {
            Kind::Ip4Set if wide && low == 0 => "192.0.1.7-192.0.2.3".to_owned(),
            Kind::Ip4Set | Kind::Ip4Trie if wide => format!("192.0.2.0/{}", [24, 28, 30, 31][low]),
            Kind::Ip6Trie if wide => format!("2001:db8::/{}", [32, 64, 126, 127][low]),
            Kind::DnSet => ["x.example", "*.example", ".example", ".x.example"][low].to_owned(),
            Kind::Ip6TSet if mark == 0 => format!("!2001:db8::{low}"),
            Kind::Ip6TSet => "2001:db8:0:0".to_owned(),
            Kind::Ip6Trie => format!("2001:db8::{low}"),
            Kind::Ip4Seen => format!("192.0.2.{low} {}", 999_000 + key),
            _ => format!("192.0.2.{low}"),
        };
        let has_text = !matches!(kind, Kind::Ip4TSet | Kind::Ip6TSet);
        match mark {
            0 if kind.has_exclusions() => format!("{}{key}{limit}", if kind == Kind::Ip6TSet { "" } else { "!" }),
            _ if has_text => format!("{key} line {number}{limit}"),
            _ => format!("{key}{limit}"),
        }
    }

    /// The texts of what is listed, or that it is excluded.
    fn served(kind: Kind, texts: &[&str], key: &AskedKey) -> Vec<String> {
        let options = Options { now_s: 1_000_000, ..Options::default() };
        let sources = texts
            .iter()
            .map(|text| Ok(Source { name: String::new(), modified_s: 999_900, reader: Box::new(text.as_bytes()) }));
        let loaded = load::load(kind, "", sources, &options, &mut Report::default());
        let Ok(Loaded::Data(data)) = loaded else { panic!("{loaded:?}") };
        let context = Context { now_s: 1_000_000, keyed: false };
        let dataset = &data.sections[0].dataset;
        let mut name = QueryName::new();
        let finding = match (&dataset.entries, key) {
            (Entries::Addresses(addresses), AskedKey::V4(address)) => addresses.find_v4(*address, &context),
            (Entries::Addresses(addresses), AskedKey::V6(address)) => addresses.find_v6(*address, &context),
            (Entries::Names(names), AskedKey::Name(asked)) => {
                name.read(asked.as_wire()).expect("a name");
                names.look_up(name.relative(name.label_count()), &context).finding
            }
            _ => panic!("{key:?}"),
        };
        if matches!(finding, Finding::Excluded) {
            return vec!["excluded".to_owned()];
        }
        let mut listed = Vec::new();
        finding.for_each_value(&context, |value, _, _| {
            let text = dataset.values.text(value).map(|text| dataset.values.expand(text, b""));
            listed.push(String::from_utf8(text.unwrap_or_default()).expect("text"));
        });
        listed.sort();
        listed
    }

    proptest! {
        #[test]
        fn what_decides_is_what_is_served(
            kind in prop::sample::select(vec![
                Kind::Ip4Set, Kind::Ip4TSet, Kind::Ip4Trie, Kind::Ip6Trie, Kind::Ip6TSet, Kind::Ip4Seen, Kind::DnSet,
            ]),
            lines in prop::collection::vec((0..8_usize, 0..4_usize, 0..7_usize), 1..12),
            cut in any::<prop::sample::Index>(),
        ) {
            let lines: Vec<String> =
                lines.into_iter().enumerate().map(|(number, line)| any_line(kind, number, line) + "\n").collect();
            let (one, two) = lines.split_at(cut.index(lines.len()));
            let texts = [&*one.concat(), &*two.concat()];
            let keys: &[&str] = match kind {
                Kind::DnSet => &["x.example", "y.x.example", "y.example", "example"],
                Kind::Ip6Trie | Kind::Ip6TSet => &["2001:db8::", "2001:db8::1", "2001:db8::3", "2001:db8::9"],
                _ => &["192.0.2.0", "192.0.2.1", "192.0.2.3", "192.0.2.9"],
            };
            for key in keys {
                let served = served(kind, &texts, &AskedKey::parse(key).expect("a key"));
                let cited = cited(kind, &texts, key);
                let text = |line: &Citation| match line.excludes {
                    true => "excluded".to_owned(),
                    false if line.text.contains("line") => {
                        let from = &line.text[line.text.find("line").unwrap_or_default()..];
                        from.split(" @").next().unwrap_or_default().to_owned()
                    }
                    false => String::new(),
                };
                let mut decides: Vec<String> =
                    cited.iter().filter(|line| line.effect == Effect::Decides).map(text).collect();
                decides.sort();
                if served == ["excluded"] {
                    decides.dedup();
                }
                prop_assert_eq!(&decides, &served, "{} {} {:?}", kind, key, cited);
            }
        }
    }
}
