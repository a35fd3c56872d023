//! Where a large file may be parted, so that its parts are read side by side.
//!
//! A line means what it means by itself, but for what lines before it set: `$...`, and `:...` with a default value. Nearly all
//! files have those at their start, if at all. So a file is looked through once for the last such line, which is a small part of
//! the work of reading it, and what follows may be cut at any end of a line.

use std::io::{self, Read};

use super::{
    cursor::{is_blank, is_comment},
    lines::LINE_MAX,
};

/// Octets looked through at once. Files are cut between such blocks only.
const BLOCK_LEN: usize = 256 * 1024;

/// A part of less is not worth a thread of its own.
const PART_MIN: u64 = 1 << 20;

/// A part of a file, from the start of a line to the end of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Offset of its first octet.
    pub start: u64,
    /// Offset of the octet after its last one.
    pub end: u64,
    /// Lines before it.
    pub lines_before: u64,
}

/// Finds the parts of a plain file of `len` octets: one with all lines that change what others mean, then up to `count` of about
/// equal sizes. A file that is not to be parted has one, all of it.
///
/// # Errors
/// When the file cannot be read.
pub fn parts(mut reader: impl Read, len: u64, count: usize) -> io::Result<Vec<Part>> {
    let whole = Part { start: 0, end: len, lines_before: 0 };
    if len < PART_MIN * count as u64 {
        return Ok(vec![whole]);
    }
    let mut block = vec![0; BLOCK_LEN];
    let (mut waiting, mut is_at_end) = (0, false);
    // Where cuts are possible: ends of blocks from the last one on in which a line changes something, or from the first.
    let mut cuts = Vec::new();
    let (mut offset, mut lines) = (0, 0);
    while !is_at_end {
        let taken = match reader.read(&mut block[waiting..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            taken => taken?,
        };
        is_at_end = taken == 0;
        waiting += taken;
        let text = &block[..waiting];
        let lines_end = memchr::memrchr(b'\n', text).map_or(0, |newline| newline + 1);
        let (text, rest) = text.split_at(lines_end);
        if rest.len() > LINE_MAX {
            return Ok(vec![whole]); // such a line is no line of a list
        }
        if is_at_end && changes_others(rest) {
            return Ok(vec![whole]); // files may follow, for which it holds
        }
        if text.is_empty() || text.len() < BLOCK_LEN / 2 && !is_at_end {
            continue;
        }
        offset += text.len() as u64;
        lines += memchr::memchr_iter(b'\n', text).count() as u64;
        if changes_others(text) {
            cuts.clear();
        }
        cuts.push(Part { start: offset, end: len, lines_before: lines });
        block.copy_within(lines_end..waiting, 0);
        waiting -= lines_end;
    }
    Ok(choose(&cuts, whole, count))
}

/// Cuts at the first place that is possible, and then as evenly as it goes.
fn choose(cuts: &[Part], whole: Part, count: usize) -> Vec<Part> {
    let Some(head_end) = cuts.first().map(|cut| cut.start) else { return vec![whole] };
    // Of a file that grew meanwhile, the last line that changes something may stand behind its end as it was.
    let share = whole.end.saturating_sub(head_end) / count as u64;
    if share < PART_MIN {
        return vec![whole];
    }
    let mut starts = vec![whole];
    for number in 0..count as u64 {
        let wanted = head_end + number * share;
        let next = cuts.iter().find(|cut| cut.start >= wanted && cut.start < whole.end);
        starts.extend(next.filter(|next| starts.last().is_some_and(|last| last.start < next.start)));
    }
    let ends = starts.iter().skip(1).map(|next| next.start).chain([whole.end]).collect::<Vec<_>>();
    starts.into_iter().zip(ends).map(|(part, end)| Part { end, ..part }).collect()
}

/// Whether any of these whole lines may change what others mean.
fn changes_others(text: &[u8]) -> bool {
    memchr::memchr2_iter(b'$', b':', text).any(|at| {
        let mut before = text[..at].iter().rev().copied().skip_while(|&octet| is_blank(octet)).peekable();
        if at > 0 && is_comment(text[at - 1]) {
            before.next();
        }
        before.find(|&octet| !is_blank(octet)).is_none_or(|octet| octet == b'\n')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that gives little at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = into.len().min(70_001).min(self.0.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn parts_of(text: &str, count: usize) -> Vec<Part> {
        let found = parts(Slow(text.as_bytes()), text.len() as u64, count).expect("readable");
        let mut end = 0;
        for part in &found {
            assert_eq!(part.start, end);
            let before = &text.as_bytes()[..part.start as usize];
            assert!(before.is_empty() || before.ends_with(b"\n"));
            assert_eq!(part.lines_before, memchr::memchr_iter(b'\n', before).count() as u64);
            end = part.end;
        }
        assert_eq!(end, text.len() as u64);
        found
    }

    #[test]
    fn lines_that_change_others_are_in_the_first_part() {
        let entries = "192.0.2.1 :2:a text of $\n".repeat(400_000);
        let found = parts_of(&entries, 3);
        assert_eq!(found.len(), 4);
        assert!(found[0].end <= BLOCK_LEN as u64);
        assert!(found[1..].iter().all(|part| part.end - part.start > 3_000_000));
        let found = parts_of(&format!("{entries}1.2.3.4"), 2);
        assert_eq!(found.len(), 3);
        for line in [":2:x", "$TTL 60", "#$TTL 60", ":$TTL 60", " \t;$LIFETIME 1h", " :3:y"] {
            let found = parts_of(&format!("{}{line}\n{entries}", &entries[..entries.len() / 4]), 2);
            assert_eq!(found.len(), 3, "{line}");
            assert!(found[0].end > entries.len() as u64 / 4, "{line}");
            assert_eq!(parts_of(&format!("{entries}{line}\n"), 2).len(), 1, "{line}");
            assert_eq!(parts_of(&format!("{entries}{line}"), 2).len(), 1, "{line}: another file may come after it");
        }
    }

    #[test]
    fn what_is_not_parted() {
        assert_eq!(parts_of("", 2).len(), 1);
        assert_eq!(parts_of(&"192.0.2.1\n".repeat(100_000), 2).len(), 1);
        assert_eq!(parts_of(&"x".repeat(9 << 20), 2).len(), 1);
        let late = format!("{}$TTL 60\n192.0.2.1\n", "192.0.2.1\n".repeat(1_000_000));
        assert_eq!(parts_of(&late, 2).len(), 1);
        let len_before = late.len() as u64 / 2;
        let grown = parts(Slow(late.as_bytes()), len_before, 2).expect("readable");
        assert_eq!(grown, [Part { start: 0, end: len_before, lines_before: 0 }]);
    }

    #[test]
    fn comments_and_values_change_nothing() {
        for line in ["# a: b $1", "; $", "1.2.3.4:2:$", "x \\# $", "a.example # :"] {
            assert!(!changes_others(format!("{line}\n{line}\n").as_bytes()), "{line}");
        }
    }
}
