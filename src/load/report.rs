//! What was wrong with the files: each fault with its place, the first of every sort in full and all of them counted.

use std::{borrow::Cow, fmt};

use super::cursor::Wrong;

/// Octets of a line that a remark shows.
const SHOWN_LEN: usize = 72;

/// Octets before the fault that a remark shows, where it cannot show the line from its start.
const SHOWN_BEFORE: usize = 24;

/// Remarks of one sort that are kept in full.
pub(super) const KEPT_DEFAULT: usize = 5;

/// How bad a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The line counts, and says something that is not needed, or of which the zone has more to say.
    Note,
    /// The line counts in part or not at all.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
        })
    }
}

macro_rules! faults {
    ($($(#[$about:meta])* $name:ident, $severity:ident, $words:literal;)*) => {
        /// The sorts of faults.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Fault { $($(#[$about])* $name,)* }

        impl Fault {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// Whether a line with it says less than was meant, so that many of them tell of a file that is broken.
            const fn spoils_line(self) -> bool {
                // What is said twice is said, as it was said first.
                let is_read_whole = matches!(
                    self,
                    Self::Asterisk
                        | Self::NotAscii
                        | Self::Duplicate
                        | Self::LongTtl
                        | Self::RaisedLimit
                        | Self::ManyServers
                        | Self::NoServer
                        | Self::LongSubzone
                        | Self::UnknownParameter // texts may look so
                );
                matches!(self.severity(), Severity::Warning) && !is_read_whole
            }

            /// What it is called; rbldnsd's words where it has some.
            pub const fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)* }
            }
        }
    };
}

faults! {
    /// Not an address, prefix or range that the dataset takes.
    Address, Warning, "invalid address";
    /// A prefix of an address with bits beyond it.
    HostBits, Warning, "invalid range (non-zero host part)";
    /// More addresses than `$MAXRANGE4` allows.
    LargeRange, Warning, "too large range";
    /// Not a domain name.
    Name, Warning, "invalid domain name";
    /// A name with an asterisk that is no wildcard: nobody asks for it.
    Asterisk, Warning, "asterisk that stands for itself";
    /// A name with a character that no host has, so that it may be no name at all.
    Character, Warning, "domain name with a character that no host has";
    /// A name that no query carries.
    NotAscii, Warning, "domain name not in ASCII";
    /// Not an A record.
    ARecord, Warning, "invalid A RR";
    /// Neither an A record nor a text nor both.
    Value, Warning, "unrecognized value for an entry";
    /// A text beyond the limit, which is cut.
    LongText, Warning, "TXT RR truncated";
    /// A parameter of an entry that cannot be read, and is left out.
    Parameter, Warning, "invalid entry parameter";
    /// What looks like parameters, and is text, since one of them is none.
    UnknownParameter, Warning, "unknown entry parameter";
    /// A time in the future, which is read as now.
    Future, Warning, "time in the future";
    /// Not a time.
    Time, Warning, "invalid time";
    /// An entry that was there already.
    Duplicate, Warning, "duplicated entry for";
    /// More values of one key than count, or than are kept for all keys that count together with it, or more records of one name.
    ManyValues, Warning, "too many values";
    /// A key that was there already; the later line counts.
    DuplicateKey, Note, "duplicate key";
    /// Not an access key.
    Key, Warning, "invalid access key";
    /// Not an action of an access list.
    Keyword, Warning, "invalid keyword";
    /// Not a plain record.
    Record, Warning, "invalid/unrecognized entry";
    /// A type of record that a list may not hold.
    RecordType, Warning, "record type not served";
    /// A `$` line that cannot be read.
    Special, Warning, "invalid or unrecognized special entry";
    /// A TTL beyond what DNS knows, which is cut.
    LongTtl, Warning, "TTL too large";
    /// A `$TIMESTAMP` whose end is over.
    PastEnd, Note, "data have expired";
    /// A `$MAXRANGE4` above an earlier one.
    RaisedLimit, Warning, "ignoring attempt to increase $MAXRANGE4";
    /// A name server that has no address, by its name.
    NoServer, Warning, "name server that cannot be";
    /// More than 32 name servers.
    ManyServers, Warning, "too many NS records specified";
    /// A `$DATASET` for no subzone.
    NoSubzone, Warning, "no subzone(s) specified for dataset, data will be ignored";
    /// A subzone that is too long together with the name of the zone.
    LongSubzone, Warning, "subzone that nobody can ask for";
    /// A `$DATASET` of a type that cannot be used there.
    SectionKind, Warning, "unknown dataset type";
    /// A line outside of all sections, or in one that is not read.
    Unread, Warning, "line outside of a dataset";
    /// A line beyond the limit, which is cut.
    LongLine, Warning, "long line (truncated)";
    /// A line with a NUL, which is cut there.
    Nul, Warning, "NUL in line (truncated)";
    /// Something that the dataset has no use for.
    Unused, Note, "ignored";
}

/// One fault with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Which fault.
    pub fault: Fault,
    /// The file.
    pub file: String,
    /// The line, from 1; 0 where it is not one line's fault.
    pub line: u64,
    /// The octet of the line, from 1; 0 where it is not one line's fault.
    pub column: usize,
    /// The line or a part of it around the column, all but printable ASCII escaped.
    pub text: String,
    /// What should have stood there.
    pub expected: Cow<'static, str>,
}

impl fmt::Display for Remark {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:", self.file)?;
        if self.line > 0 {
            write!(out, "{}:{}:", self.line, self.column)?;
        }
        let Self { fault, text, expected, .. } = self;
        write!(out, " {}: {} `{text}`: expected {expected}", fault.severity(), fault.words())
    }
}

/// The faults found while datasets were read.
#[derive(Clone, Debug)]
pub struct Report {
    remarks: Vec<Remark>,
    counts: Vec<u64>,
    kept_per_fault: usize,
    /// Lines read.
    pub lines: u64,
    /// Lines that warnings are about, however many of each.
    pub bad_lines: u64,
    /// The file and the number of the last of these.
    last_bad: (String, u64),
    /// Entries that were over before they were read, and left out.
    pub expired: u64,
    /// A file that ends in the middle of a line.
    pub cut_short: Option<String>,
}

impl Default for Report {
    fn default() -> Self {
        Self::keeping(KEPT_DEFAULT)
    }
}

impl Report {
    /// An empty report, which is to keep the first `count` remarks of every sort.
    pub fn keeping(count: usize) -> Self {
        Self {
            remarks: Vec::new(),
            counts: vec![0; Fault::ALL.len()],
            kept_per_fault: count,
            lines: 0,
            bad_lines: 0,
            last_bad: (String::new(), 0),
            expired: 0,
            cut_short: None,
        }
    }

    /// The first remarks of every sort, in the order of the files.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// How often a fault was found.
    pub fn count(&self, fault: Fault) -> u64 {
        self.counts[fault as usize]
    }

    /// How many warnings there are, kept or not.
    pub fn warnings(&self) -> u64 {
        self.total(Severity::Warning)
    }

    /// How many notes there are, kept or not.
    pub fn notes(&self) -> u64 {
        self.total(Severity::Note)
    }

    fn total(&self, severity: Severity) -> u64 {
        Fault::ALL.iter().filter(|fault| fault.severity() == severity).map(|&fault| self.count(fault)).sum()
    }

    /// Takes over what was found in lines that follow.
    pub fn absorb(&mut self, later: Self) {
        let mut counts = self.counts.clone();
        for remark in later.remarks {
            let count = &mut counts[remark.fault as usize];
            *count += 1;
            if *count <= self.kept_per_fault as u64 {
                self.remarks.push(remark);
            }
        }
        self.counts.iter_mut().zip(later.counts).for_each(|(count, more)| *count += more);
        self.lines += later.lines;
        self.bad_lines += later.bad_lines;
        self.last_bad = later.last_bad;
        self.expired += later.expired;
        self.cut_short = later.cut_short.or(self.cut_short.take());
    }

    /// Takes note of a fault in a line.
    #[cold]
    pub(super) fn add(&mut self, file: &str, line: u64, text: &[u8], wrong: Wrong) {
        let Wrong { fault, at, expected } = wrong;
        if line > 0 && fault.spoils_line() && (line != self.last_bad.1 || file != self.last_bad.0) {
            self.bad_lines += 1;
            self.last_bad = (file.to_owned(), line);
        }
        let count = &mut self.counts[fault as usize];
        *count += 1;
        if *count <= self.kept_per_fault as u64 {
            let column = if line > 0 { at + 1 } else { 0 };
            self.remarks.push(Remark { fault, file: file.to_owned(), line, column, text: show(text, at), expected });
        }
    }
}

impl fmt::Display for Report {
    /// One line: `5 warnings (3 invalid address, 2 invalid A RR), 1 note (1 ignored), 7 entries already over`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for severity in [Severity::Warning, Severity::Note] {
            let total = self.total(severity);
            if total == 0 {
                continue;
            }
            write!(out, "{separator}{total} {severity}{} (", if total == 1 { "" } else { "s" })?;
            let found = Fault::ALL.iter().filter(|&&fault| fault.severity() == severity && self.count(fault) > 0);
            for (index, &fault) in found.enumerate() {
                write!(out, "{}{} {}", if index == 0 { "" } else { ", " }, self.count(fault), fault.words())?;
            }
            out.write_str(")")?;
            separator = ", ";
        }
        if self.expired > 0 {
            write!(out, "{separator}{} already over", self.expired)?;
            separator = ", ";
        }
        if separator.is_empty() { out.write_str("no warnings") } else { Ok(()) }
    }
}

/// So many of something, in words for people.
pub fn counted<N: Copy + fmt::Display + PartialEq + From<u8>>(count: N, one: &str, many: &str) -> String {
    format!("{count} {}", if count == N::from(1) { one } else { many })
}

/// The part of a line around `at` that fits a message.
fn show(line: &[u8], at: usize) -> String {
    let start = if at < SHOWN_LEN * 2 / 3 { 0 } else { (at - SHOWN_BEFORE).min(line.len()) };
    let end = line.len().min(start + SHOWN_LEN);
    let cut = |is_cut: bool| if is_cut { "..." } else { "" };
    format!("{}{}{}", cut(start > 0), line[start..end].escape_ascii(), cut(end < line.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(fault: Fault, at: usize) -> Wrong {
        Wrong { fault, at, expected: "an address".into() }
    }

    #[test]
    fn the_first_are_kept_and_all_are_counted() {
        let mut report = Report::keeping(2);
        for line in 1..=4 {
            report.add("bl", line, b"1.2.3.x", wrong(Fault::Address, 6));
        }
        report.add("bl", 9, b"x", wrong(Fault::Unused, 0));
        assert_eq!(report.remarks().len(), 3);
        assert_eq!((report.warnings(), report.notes(), report.count(Fault::Address)), (4, 1, 4));
        assert_eq!(report.remarks()[0].to_string(), "bl:1:7: warning: invalid address `1.2.3.x`: expected an address");
        let mut other = Report { lines: 20, ..report.clone() };
        other.absorb(report.clone());
        assert_eq!((other.warnings(), other.notes(), other.lines), (8, 2, 20));
        assert_eq!(other.remarks().len(), 4, "two of one sort, and one and another of the other");
        report.expired = 7;
        assert_eq!(report.to_string(), "4 warnings (4 invalid address), 1 note (1 ignored), 7 already over");
        assert_eq!(Report::default().to_string(), "no warnings");
    }

    #[test]
    fn a_line_is_bad_once() {
        let mut report = Report::default();
        for (file, line, fault) in [
            ("bl", 1, Fault::Parameter),
            ("bl", 1, Fault::Parameter),
            ("other", 1, Fault::Address),
            ("other", 2, Fault::Unused),
            ("other", 0, Fault::LongText),
        ] {
            report.add(file, line, b"x", wrong(fault, 0));
        }
        assert_eq!((report.warnings(), report.bad_lines), (4, 2));
        report.absorb(report.clone());
        assert_eq!(report.bad_lines, 4);
    }

    #[test]
    fn long_and_strange_lines_are_shown_in_part() {
        assert_eq!(show(b"a\r\xff", 0), "a\\r\\xff");
        let shown = show(&[b'x'; 500], 300);
        assert_eq!(shown.len(), SHOWN_LEN + 6);
        assert!(shown.starts_with("...x") && shown.ends_with("x..."));
        assert_eq!(show(b"", 400), "");
    }
}
