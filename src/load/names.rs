//! Lines of the kinds whose keys are domain names.

use super::{
    addresses::{claim, takes_exclamation},
    crowd::Rows,
    cursor::{Cursor, Wrong},
    dataset::{Reading, Shared, Usual},
    name::{NameBuffer, unasked},
    report::{Fault, Report},
};
use crate::{
    wire::name::Name,
    zone::{
        names::{Names, NamesBuilder, Scope},
        values::ValueId,
    },
};

pub(super) const ASTERISK_EXPECTED: &str = "`*.` at the start, for all names below the rest; any other finds nobody but an asterisk \
                                 (`\\042` if that is meant)";

/// Entries of a dataset of names while its files are read.
#[derive(Default)]
pub(super) struct NameLines {
    builder: NamesBuilder,
    name: NameBuffer,
    /// Names in wire format.
    rows: Rows<Vec<u8>>,
}

impl NameLines {
    /// Takes over entries that follow.
    pub(super) fn absorb(&mut self, later: Self, values: Vec<ValueId>) {
        self.builder.absorb(later.builder, values);
        self.rows.absorb(later.rows);
    }

    /// Takes lines that need no second look from the start of `text`: names with words behind them that were read before, or
    /// with none.
    pub(super) fn usual_lines(&mut self, text: &[u8], shared: &Shared) -> Usual {
        let mut usual = Usual::default();
        let wordless = shared.recall(b"");
        loop {
            let line = &text[usual.octets..];
            let (scope, mark_len) = scope(line);
            let Some(name_len) = self.name.read_usual(&line[mark_len..]) else { break };
            let rest = &line[mark_len + name_len..];
            let Some((claim, words_len)) = shared.recall_line(rest, wordless) else { break };
            self.builder.add(self.name.as_wire(), scope, claim);
            usual.add(mark_len + name_len + words_len + 1);
        }
        usual
    }

    pub(super) fn line(
        &mut self,
        mut cursor: Cursor<'_>,
        shared: &mut Shared,
        reading: &mut Reading<'_>,
    ) -> Result<(), Wrong> {
        if cursor.peek() == Some(b':') {
            return shared.default_line(cursor, reading);
        }
        let is_exclusion = takes_exclamation(&mut cursor);
        let (scope, mark_len) = scope(cursor.rest());
        cursor.skip(mark_len);
        let start = cursor;
        self.name.read_below_root(&mut cursor)?;
        if !self.name.as_wire().is_ascii() {
            reading.remark(start.line(), not_ascii(start));
        }
        self.name.make_lowercase();
        let unasked = unasked(start, cursor, ASTERISK_EXPECTED);
        if let Some(claim) = claim(cursor, is_exclusion, shared, reading)? {
            if let Some(wrong) = unasked {
                reading.remark(start.line(), wrong);
            }
            self.rows.note(self.name.as_wire(), &start, reading);
            self.builder.add(self.name.as_wire(), scope, claim);
        }
        Ok(())
    }

    /// Freezes the entries.
    pub(super) fn build(self, label: &str, report: &mut Report) -> Names {
        let Self { builder, mut rows, .. } = self;
        builder.build(|name| {
            rows.tell(|row| (row == name).then_some(0), &Name::from_wire(name).to_string(), label, report);
        })
    }
}

/// What is wrong with the name at a place that is not in ASCII.
#[cold]
pub(super) fn not_ascii(mut place: Cursor<'_>) -> Wrong {
    let start = place;
    let word = place.word();
    let name = std::str::from_utf8(word).ok().filter(|name| !name.is_ascii());
    let ascii = name.and_then(|name| idna::domain_to_ascii(name).ok());
    let meant = match ascii {
        _ if word.contains(&b'@') => "a mail address in ASCII".to_owned(),
        Some(name) => format!("`{name}`"),
        None => "its labels in the form `xn--...`".to_owned(),
    };
    start.wrong(Fault::NotAscii, format!("{meant}, as queries have it: as it is, nobody asks for it"))
}

/// Which names an entry is about, and how many octets say so before its name.
#[inline]
fn scope(text: &[u8]) -> (Scope, usize) {
    match text {
        [b'*', b'.', ..] => (Scope::Below, 2),
        [b'.', ..] => (Scope::Both, 1),
        _ => (Scope::Exact, 0),
    }
}
