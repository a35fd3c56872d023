//! Keys of which more is said than counts, and where that began.
//!
//! What counts of a key is found when all its lines are together: sorted, and without their places. Mostly they stand one after
//! the other, and such rows are watched here, so that the remark has a place; where they do not, it names the key alone.

use std::borrow::Borrow;

use super::{
    cursor::{Cursor, Wrong},
    dataset::Reading,
    report::{Fault, Report},
};
use crate::zone::standing::VALUES_MAX;

/// So much of a line is kept for a remark.
const TEXT_LEN: usize = 400;

/// So many rows are kept, or as many as may be told if these are more: keys are told in another order than that of the file.
const KEPT: usize = 1_000;

/// Lines in a row that are about one key.
#[derive(Debug, Default)]
pub(super) struct Rows<K> {
    key: K,
    lines: usize,
    /// The first of them: what is kept of each is long, and whoever tells looks through all.
    crowded: Vec<Crowded<K>>,
}

/// Where a row began to be longer than can count.
#[derive(Debug)]
struct Crowded<K> {
    key: K,
    file: String,
    line: u64,
    at: usize,
    text: Vec<u8>,
    is_told: bool,
}

impl<K: Clone> Rows<K> {
    /// The next line that was read in full, whose key begins at `start`.
    #[inline]
    pub(super) fn note<Q>(&mut self, key: &Q, start: &Cursor<'_>, reading: &Reading<'_>)
    where
        Q: ?Sized + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        if self.key.borrow() != key {
            key.clone_into(&mut self.key);
            self.lines = 0;
        }
        self.lines += 1;
        if self.lines == VALUES_MAX + 1 {
            self.keep(start, reading);
        }
    }

    #[cold]
    fn keep(&mut self, start: &Cursor<'_>, reading: &Reading<'_>) {
        if self.crowded.len() >= reading.options.told_max.max(KEPT) {
            return;
        }
        let text = start.line();
        self.crowded.push(Crowded {
            key: self.key.clone(),
            file: reading.file.to_owned(),
            line: reading.line,
            at: start.at(),
            text: text[..text.len().min(TEXT_LEN)].to_vec(),
            is_told: false,
        });
    }

    /// Takes over rows that follow.
    pub(super) fn absorb(&mut self, later: Self) {
        self.crowded.extend(later.crowded);
    }

    /// Tells of a key of which more was said than counts: at the row that is about it, once, or else by what it is called.
    /// `width` says how wide the keys are that it may be told at, of which the narrowest is taken.
    pub(super) fn tell(&mut self, width: impl Fn(&K) -> Option<u32>, called: &str, label: &str, report: &mut Report) {
        let rows = self.crowded.iter_mut().filter_map(|row| Some((width(&row.key)?, row)));
        match rows.min_by_key(|(width, _)| *width).map(|(_, row)| row) {
            None => report.add(label, 0, called.as_bytes(), too_many(VALUES_MAX, 0)),
            Some(row) if row.is_told => {}
            Some(row) => {
                row.is_told = true;
                report.add(&row.file, row.line, &row.text, too_many(VALUES_MAX, row.at));
            }
        }
    }
}

/// More values of one key than count, or more records of one name.
pub(super) fn too_many(most: usize, at: usize) -> Wrong {
    let expected = format!("at most {most} of one key; those after them do not count");
    Wrong { fault: Fault::ManyValues, at, expected: expected.into() }
}

/// More values of a prefix than are kept once more for each that counts together with it.
pub(super) fn too_many_together() -> Wrong {
    const EXPECTED: &str = "fewer of a prefix that has others within it or around it; they would have to be kept for each of \
                            these, and some of those within count without the values around them";
    Wrong { fault: Fault::ManyValues, at: 0, expected: EXPECTED.into() }
}

#[cfg(test)]
mod tests {
    use super::{super::Options, *};

    /// The report of rows about that many keys, of which three are told, those last that come first; and how many were kept.
    fn told(keys: u32) -> (Report, usize) {
        let options = Options { told_max: 3, ..Options::default() };
        let mut report = Report::keeping(options.told_max);
        let mut reading = Reading { options: &options, report: &mut report, file: "file", line: 0, modified_s: 0 };
        let mut rows = Rows::default();
        for key in 0..keys {
            for _ in 0..=VALUES_MAX {
                reading.line += 1;
                rows.note(&key, &Cursor::new(b"key value"), &reading);
            }
        }
        for key in (0..keys).rev() {
            rows.tell(|row| (*row == key).then_some(0), &key.to_string(), "label", &mut report);
        }
        (report, rows.crowded.len())
    }

    #[test]
    fn rows_are_told_at_their_places() {
        let (report, kept) = told(10);
        assert_eq!((report.count(Fault::ManyValues), kept), (10, 10));
        let told: Vec<u64> = report.remarks().iter().map(|remark| remark.line).collect();
        assert_eq!(told, [10, 9, 8].map(|row| row * (VALUES_MAX as u64 + 1)));
    }

    /// A file may have any number of them, and each takes room, and time whenever one is told.
    #[test]
    fn no_more_are_kept_than_can_be_looked_through() {
        let (report, kept) = told(KEPT as u32 + 50);
        assert_eq!((report.count(Fault::ManyValues), kept), (KEPT as u64 + 50, KEPT));
    }
}
