//! Which line of which file says something of a key: the files are read again for it, since no memory is spent on lines.
//!
//! Nothing here knows a format. Lines go through the loader in passages, each with what the lines before it have set, and where
//! a passage says something of the key it is halved until one line is left. So a line counts here if it counts where it is served,
//! whatever it looks like, and a file takes as long as it takes to load, and no more memory than a passage. Where a line makes
//! the whole dataset unusable, none is cited. Only what is wrong with all lines together (too many of one key, too much text) is not
//! seen here.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{asked::AskedKey, clock, loading::is_gone, opened::open_file, zones::DatasetSpec};
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
    /// In which section of the files it stands.
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
