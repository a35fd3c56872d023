//! Text to zone data: rbldnsd's formats, line by line, into the structures of [`crate::zone`].
//!
//! Nothing here opens a file or reads a clock: the caller hands over readers and the time.
//!
//! Files have millions of lines, and nearly all of them are an address or a name with nothing behind it, or with what was
//! behind one before. Such *usual* lines are read straight from the block of octets that the file gives, and may be
//! left for no reason: every line that is not taken there is read again as the formats have it, with all that can be wrong
//! with it and its place.
//!
//! | file | |
//! |---|---|
//! | `lines.rs`, `parts.rs` | a file becomes lines, compressed or not; a large one parts that are read side by side |
//! | `usual.rs`, `words.rs` | the usual lines, read from the block |
//! | `cursor.rs` | a place within a line, and what can be read there |
//! | `special.rs`, `value.rs`, `params.rs` | `$` lines; values and their variables; ` @ key=value` |
//! | `address.rs`, `name.rs` | the grammar of keys |
//! | `addresses.rs`, `names.rs`, `generic.rs`, `acl.rs`, `combined.rs` | the lines of each kind |
//! | `dataset.rs` | a dataset while its files are read |
//! | `known.rs`, `crowd.rs`, `report.rs` | which prefixes come again, which keys too often; what was wrong, and where |
//! | `slips.rs` | words that are nearly what was meant |
//! | `single.rs` | one line by itself, as an update brings it |

#![forbid(unsafe_code)]

mod acl;
mod address;
mod addresses;
mod combined;
mod crowd;
mod cursor;
mod dataset;
mod generic;
mod known;
mod lines;
mod name;
mod names;
mod params;
mod parts;
mod report;
pub mod single;
mod slips;
mod special;
#[cfg(test)]
mod tests;
mod usual;
mod value;
mod words;

use std::{
    io::{self, Read},
    sync::Arc,
};

use self::{
    acl::{ClientLines, KeyLines},
    combined::Sections,
    cursor::{Cursor, Wrong},
    dataset::{Draft, Reading, Usual},
    lines::Packing,
    special::{InForce, Keyword, LineKind},
};
pub use self::{
    cursor::time_s,
    lines::{LINE_MAX, Lines, RawLine},
    name::{of_no_host, of_no_question},
    params::rfc3339_s,
    parts::{Part, parts},
    report::{Fault, Remark, Report, Severity, counted},
    slips::is_near,
    special::TTL_MAX_S,
};
use crate::{
    wire::name::Name,
    zone::{
        access::{AccessList, KeyList},
        apex::{NameServers, Soa},
        dataset::{Dataset, Kind},
    },
};

/// What the files of one dataset specification hold.
#[derive(Debug)]
pub enum Loaded {
    /// Entries, with what they say of their zone.
    Data(ZoneData),
    /// Client addresses and what is done with their queries.
    Acl(Arc<AccessList>),
    /// Access keys and what is done with their queries.
    Keys(Arc<KeyList>),
}

impl Loaded {
    /// Whether it says the SOA of its zone.
    pub fn has_soa(&self) -> bool {
        matches!(self, Self::Data(data) if data.soa.is_some())
    }

    /// How many entries there are.
    pub fn entries(&self) -> usize {
        match self {
            Self::Data(data) => data.sections.iter().map(|section| section.dataset.len()).sum(),
            Self::Acl(list) => list.len(),
            Self::Keys(list) => list.len(),
        }
    }
}

/// Entries, with what they say of their zone.
#[derive(Debug, Default)]
pub struct ZoneData {
    /// The first `$SOA`.
    pub soa: Option<Soa>,
    /// The first `$NS` with a name.
    pub servers: Option<NameServers>,
    /// When the data expire, in seconds since the epoch (`$TIMESTAMP`).
    pub expires_s: Option<u64>,
    /// The datasets with the subzones that they are for; all but `combined` have one for the root of the zone.
    pub sections: Vec<Section>,
}

/// A dataset and where in the zone it is asked.
#[derive(Clone, Debug)]
pub struct Section {
    /// Which one of those in its files it is, from 1; 0 where they have none.
    pub number: usize,
    /// Relative names; the root is the zone itself.
    pub subzones: Vec<Name>,
    /// The entries.
    pub dataset: Arc<Dataset>,
}

/// One file to be read.
pub struct Source<'a> {
    /// Its path, for messages.
    pub name: String,
    /// When it was modified, in seconds since the epoch: an entry's own time where it gives none.
    pub modified_s: u64,
    /// Its octets, compressed or not.
    pub reader: Box<dyn Read + 'a>,
}

/// What holds for all files.
#[derive(Clone, Debug)]
pub struct Options {
    /// TTL where a file gives none, in seconds (rbldnsd's `-t`).
    pub default_ttl_s: u32,
    /// Least TTL that a file may give; 0 is no limit.
    pub min_ttl_s: u32,
    /// Greatest TTL that a file may give; 0 is no limit.
    pub max_ttl_s: u32,
    /// Take prefixes whose address has bits beyond their length, and clear those (rbldnsd's `-e`).
    pub allow_host_bits: bool,
    /// Read compressed files (rbldnsd's `-C` turns it off).
    pub decompress: bool,
    /// So many prefixes are remembered, to tell which of them come again: each takes up to 32 octets while it is loaded.
    pub remembered_max: usize,
    /// So many faults of one sort are told one by one, and the rest in number.
    pub told_max: usize,
    /// Read whatever can be opened, and wait for what it gives: for who is handed a pipe and does nothing else meanwhile.
    pub pipes: bool,
    /// Octets of the longest name on the wire among the zones that the files are of: the names of subzones come before it.
    pub apex_len: usize,
    /// The time, in seconds since the epoch.
    pub now_s: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            default_ttl_s: 2_100,
            min_ttl_s: 0,
            max_ttl_s: 0,
            allow_host_bits: false,
            decompress: true,
            remembered_max: 1 << 16,
            told_max: report::KEPT_DEFAULT,
            pipes: false,
            apex_len: 1,
            now_s: 0,
        }
    }
}

/// Why a dataset cannot be loaded at all. What is wrong with single lines is in the [`Report`].
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be opened.
    #[error("cannot open {file}: {error}; check its name and its permissions")]
    Open {
        /// Which file.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// The file cannot be read to its end.
    #[error("cannot read {file}: {error}")]
    Read {
        /// Which file.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// The file is compressed and damaged.
    #[error("{file} is compressed and cannot be unpacked: {error}; it may be cut off: fetch or pack it again")]
    Unpack {
        /// Which file.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// The file is compressed and is not to be unpacked.
    #[error("{file} is compressed and decompression is disabled; unpack it, or leave out -C")]
    Compressed {
        /// Which file.
        file: String,
    },
    /// The data say that they were made in the future.
    #[error(
        "{file}:{line}: data timestamp is {ahead_s} s in the future; set the clock of this or of the maker's machine right, or correct $TIMESTAMP (it is in UTC)"
    )]
    FromFuture {
        /// Which file.
        file: String,
        /// Which line.
        line: u64,
        /// By how many seconds.
        ahead_s: u64,
    },
    /// The texts do not fit.
    #[error(
        "{label} has more than 3 GiB of text; use variables ($0 to $9) or $= for what repeats, or several datasets"
    )]
    TooMuchText {
        /// Which dataset.
        label: String,
    },
}

/// What the lines of a dataset specification say of the whole.
#[derive(Clone, Debug, Default)]
struct ZoneHead {
    soa: Option<Soa>,
    servers: Option<NameServers>,
    expires_s: Option<u64>,
    /// Most addresses of a range; 0 is no limit.
    max_range_4: u64,
}

/// Reads the files of one dataset specification.
///
/// A line that cannot be read costs itself only, and is in the report.
///
/// # Errors
/// [`LoadError`]: nothing of the dataset can be used.
pub fn load<'a>(
    kind: Kind,
    label: &str,
    sources: impl IntoIterator<Item = Result<Source<'a>, LoadError>>,
    options: &Options,
    report: &mut Report,
) -> Result<Loaded, LoadError> {
    let mut loader = Loader::new(kind, label, options);
    for source in sources {
        loader.file(source?, report)?;
    }
    loader.build(report)
}

/// The lines of a file as they are read, whether it is compressed or not.
///
/// # Errors
/// When it cannot be read, or is damaged where it begins.
pub fn lines<'a>(reader: Box<dyn Read + 'a>) -> io::Result<Lines<Box<dyn Read + 'a>>> {
    let (packing, reader) = lines::packing(reader)?;
    lines::unpack(packing, reader).and_then(Lines::new)
}

/// Whether a file is compressed, by its first octets.
///
/// # Errors
/// When it cannot be read.
pub fn is_packed(reader: &mut dyn Read) -> io::Result<bool> {
    lines::packing(Box::new(reader)).map(|(packing, _)| packing.is_packed())
}

/// What names of compressed files end in.
pub const PACKED: [&str; 2] = [".gz", ".zst"];

/// What lines of the kinds go into.
enum Body {
    Entries(Box<Draft>),
    Sections(Box<Sections>),
    Clients(ClientLines),
    Keys(KeyLines),
}

impl Body {
    fn new(kind: Kind, label: &str, options: &Options) -> Self {
        match kind {
            Kind::Acl => Self::Clients(ClientLines::new(options)),
            Kind::AclKey => Self::Keys(KeyLines::new(options)),
            Kind::Combined => Self::Sections(Box::new(Sections::new(label.to_owned(), options))),
            _ => Self::Entries(Box::new(Draft::new(
                kind,
                label.to_owned(),
                InForce::new(options),
                options.remembered_max,
            ))),
        }
    }

    fn start_file(&mut self) {
        match self {
            Self::Entries(draft) => draft.start_file(),
            Self::Sections(sections) => sections.start_file(),
            Self::Clients(lines) => lines.start_file(),
            Self::Keys(lines) => lines.start_file(),
        }
    }

    /// The settings that a special line changes or goes by: those outside all sections for what is the zone's, wherever that stands.
    fn settings_for(&mut self, keyword: Keyword) -> &mut InForce {
        let is_of_zone = matches!(keyword, Keyword::Soa | Keyword::Servers);
        match self {
            Self::Entries(draft) => &mut draft.shared.settings,
            Self::Sections(sections) => {
                if is_of_zone {
                    sections.zone_settings()
                } else {
                    sections.settings()
                }
            }
            Self::Clients(lines) => &mut lines.settings,
            Self::Keys(lines) => &mut lines.settings,
        }
    }

    /// Takes lines that need no second look from the start of `text`.
    fn usual_lines(&mut self, text: &[u8], head: &ZoneHead) -> Usual {
        match self {
            Self::Entries(draft) => draft.usual_lines(text, head),
            Self::Sections(sections) => sections.usual_lines(text, head),
            Self::Clients(_) | Self::Keys(_) => Usual::default(),
        }
    }

    #[inline]
    fn line(&mut self, cursor: Cursor<'_>, head: &ZoneHead, reading: &mut Reading<'_>) -> Result<(), Wrong> {
        match self {
            Self::Entries(draft) => draft.line(cursor, head, reading),
            Self::Sections(sections) => sections.line(cursor, head, reading),
            Self::Clients(lines) => lines.line(cursor, head, reading),
            Self::Keys(lines) => lines.line(cursor, reading),
        }
    }
}

/// Reads the files of one dataset specification, one after the other or in [parts](fn@parts) side by side.
pub struct Loader<'o> {
    kind: Kind,
    label: String,
    head: ZoneHead,
    body: Body,
    options: &'o Options,
}

impl<'o> Loader<'o> {
    /// Prepares to read.
    pub fn new(kind: Kind, label: &str, options: &'o Options) -> Self {
        let body = Body::new(kind, label, options);
        Self { kind, label: label.to_owned(), head: ZoneHead::default(), body, options }
    }

    /// Whether forks may read parts of one list, and be [absorbed](Self::absorb). Others are read in one go: of prefixes, equal
    /// ones are looked for among all, and of records, sections and clients there are few.
    pub fn can_be_parted(&self) -> bool {
        matches!(self.body, Body::Entries(_))
            && !matches!(self.kind, Kind::Ip4Trie | Kind::Ip6Trie | Kind::Generic | Kind::Retired)
    }

    /// Prepares to read lines that follow, with everything that is set now, and no entries: for a part of the list where it [can be
    /// parted](Self::can_be_parted), and else to see what these lines say by themselves. `None`: it is an access list.
    pub fn fork(&self) -> Option<Self> {
        let body = match &self.body {
            Body::Entries(draft) => Body::Entries(Box::new(draft.fork())),
            Body::Sections(sections) => Body::Sections(Box::new(sections.fork())),
            Body::Clients(_) | Body::Keys(_) => return None,
        };
        Some(Self { kind: self.kind, label: self.label.clone(), head: self.head.clone(), body, options: self.options })
    }

    /// Begins another file, whose lines come in [parts](Self::part): default values do not outlive theirs.
    pub fn start_file(&mut self) {
        self.body.start_file();
    }

    /// Takes over what a fork has read, whose lines follow those read here.
    ///
    /// # Panics
    /// If the list cannot [be parted](Self::can_be_parted): lines would be lost.
    pub fn absorb(&mut self, later: Self) {
        assert!(self.can_be_parted(), "{} is not read in parts", self.kind);
        self.head = later.head;
        match (&mut self.body, later.body) {
            (Body::Entries(draft), Body::Entries(later)) => draft.absorb(*later),
            _ => unreachable!("only lists of entries can be parted, and a fork is of the same kind"),
        }
    }

    /// Freezes what was read.
    ///
    /// # Errors
    /// [`LoadError`]: nothing of the dataset can be used.
    pub fn build(self, report: &mut Report) -> Result<Loaded, LoadError> {
        let Self { head, body, label, .. } = self;
        let sections = match body {
            Body::Clients(lines) => return Ok(Loaded::Acl(lines.build(&label, report)?.into())),
            Body::Keys(lines) => return Ok(Loaded::Keys(lines.build(&label, report)?.into())),
            Body::Entries(draft) => {
                vec![Section { number: 0, subzones: vec![Name::root()], dataset: draft.build(report)?.into() }]
            }
            Body::Sections(sections) => sections.build(report)?,
        };
        Ok(Loaded::Data(ZoneData { soa: head.soa, servers: head.servers, expires_s: head.expires_s, sections }))
    }

    /// Reads a file from its start.
    ///
    /// # Errors
    /// [`LoadError`]: nothing of the dataset can be used.
    pub fn file(&mut self, source: Source<'_>, report: &mut Report) -> Result<(), LoadError> {
        let Source { name: file, modified_s, reader } = source;
        let (packing, reader) =
            lines::packing(reader).map_err(|error| LoadError::Read { file: file.clone(), error })?;
        if packing.is_packed() && !self.options.decompress {
            return Err(LoadError::Compressed { file });
        }
        // Compressed, nothing is something.
        if packing == Packing::Nothing && PACKED.iter().any(|end| file.ends_with(end)) {
            let error = io::Error::new(io::ErrorKind::UnexpectedEof, "it is empty");
            return Err(LoadError::Unpack { file, error });
        }
        let broken = |error| match packing {
            Packing::Nothing | Packing::Plain => LoadError::Read { file: file.clone(), error },
            Packing::Gzip | Packing::Zstd => LoadError::Unpack { file: file.clone(), error },
        };
        let lines = lines::unpack(packing, reader).and_then(Lines::new).map_err(broken)?;
        self.start_file();
        self.lines(lines, Reading { options: self.options, report, file: &file, line: 0, modified_s }, broken)
    }

    /// Reads a part of a plain file, of which so many lines come before it.
    ///
    /// # Errors
    /// [`LoadError`]: nothing of the dataset can be used.
    pub fn part(&mut self, source: Source<'_>, lines_before: u64, report: &mut Report) -> Result<(), LoadError> {
        let Source { name: file, modified_s, reader } = source;
        let broken = |error| LoadError::Read { file: file.clone(), error };
        let lines = Lines::within(reader).map_err(broken)?;
        self.lines(
            lines,
            Reading { options: self.options, report, file: &file, line: lines_before, modified_s },
            broken,
        )
    }

    fn lines(
        &mut self,
        mut lines: Lines<impl Read>,
        mut reading: Reading<'_>,
        broken: impl Fn(io::Error) -> LoadError,
    ) -> Result<(), LoadError> {
        let lines_before = reading.line;
        loop {
            let usual = self.body.usual_lines(lines.at_hand(), &self.head);
            lines.pass(usual.octets);
            reading.line += usual.lines;
            let Some(line) = lines.next_line().map_err(&broken)? else { break };
            reading.line += 1;
            self.line(&line, &mut reading)?;
        }
        reading.report.lines += reading.line - lines_before;
        if lines.ends_open() {
            reading.report.cut_short = Some(reading.file.to_owned());
        }
        Ok(())
    }

    #[inline]
    fn line(&mut self, line: &RawLine<'_>, reading: &mut Reading<'_>) -> Result<(), LoadError> {
        let text = if line.is_cut || line.may_have_nul { cut(line, reading) } else { line.text };
        let cursor = Cursor::new(text);
        let result = match LineKind::of(cursor.rest()) {
            LineKind::Empty => return Ok(()),
            LineKind::Entry => self.body.line(cursor, &self.head, reading),
            LineKind::Special => match self.special(cursor, reading) {
                Ok(None) => Ok(()),
                Ok(Some(ahead_s)) => {
                    return Err(LoadError::FromFuture { file: reading.file.to_owned(), line: reading.line, ahead_s });
                }
                Err(wrong) => Err(wrong),
            },
        };
        if let Err(wrong) = result {
            reading.remark(text, wrong);
        }
        Ok(())
    }

    /// Puts a special line into force: see [`special::apply`].
    fn special(&mut self, mut cursor: Cursor<'_>, reading: &mut Reading<'_>) -> Result<Option<u64>, Wrong> {
        let start = cursor;
        let keyword = special::keyword(&mut cursor)?;
        if self.kind.is_access() && matches!(keyword, Keyword::Soa | Keyword::Servers) {
            reading.remark(
                start.line(),
                start.wrong(Fault::Unused, "no $SOA and no $NS, since an access list is no zone"),
            );
            return Ok(None);
        }
        if self.kind.is_access() && keyword == Keyword::Lifetime {
            return Err(start
                .wrong(Fault::Special, "no $LIFETIME in an access list, whose lines hold until they are taken out"));
        }
        if keyword == Keyword::Dataset
            && let Body::Sections(sections) = &mut self.body
        {
            return sections.start(cursor, reading).map(|()| None);
        }
        let (settings, options) = (self.body.settings_for(keyword), self.options);
        let mut remark = |wrong| reading.remark(start.line(), wrong);
        special::apply(keyword, &mut cursor, settings, &mut self.head, options, &mut remark)
    }
}

/// The part of a line that counts, where something is wrong with the line as such.
#[cold]
fn cut<'a>(line: &RawLine<'a>, reading: &mut Reading<'_>) -> &'a [u8] {
    let text = line.text;
    if line.is_cut {
        let expected = format!("a line of at most {LINE_MAX} octets").into();
        reading.remark(text, Wrong { fault: Fault::LongLine, at: text.len(), expected });
    }
    let Some(nul) = memchr::memchr(0, text) else { return text };
    reading.remark(text, Wrong { fault: Fault::Nul, at: nul, expected: "text; the line ends there".into() });
    &text[..nul]
}
