//! The newest lines, as they wait to be sorted: in as few octets as they can be sorted in.
//!
//! Lines that say the same of prefixes of one length are their starts. Most others say a few dozen things in turn: what a line
//! says is then a number of six bits beside its length and its place among the lines, so that a line of IPv4 takes eight octets.
//! Only where there is more to say does it stand with each line. Once sorted, lines are read from the lowest to the highest; the
//! last ones of a list are given back as they are read.

use super::{gather::Entry, sorted::Key};
use crate::zone::{ruling::Ruling, runs::push_tight, sorting::sort_in_place, standing::Standing};

/// The length, the place among the lines and what is said share 32 bits.
const LENGTH_SHIFT: u32 = 24;
const NUMBER_SHIFT: u32 = 6;
/// So many different things are said by number.
const CODES: usize = 1 << NUMBER_SHIFT;
/// So many lines can be told apart.
pub(super) const LINES_MAX: usize = 1 << (LENGTH_SHIFT - NUMBER_SHIFT);

/// The same where what is said stands with each.
const WHOLE_MAX: usize = 1 << LENGTH_SHIFT;

/// Octets that are given back at once.
const BLOCK_LEN: usize = 64 * 1024;

/// One of those that do not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line<K> {
    start: K,
    /// The length, then a number that grows with the lines, then the code of what is said, if that stands nowhere else.
    tail: u32,
}

impl<K> Line<K> {
    fn new(start: K, length: u8, number: usize) -> Self {
        Self { start, tail: u32::from(length) << LENGTH_SHIFT | number as u32 }
    }

    fn length(&self) -> u8 {
        (self.tail >> LENGTH_SHIFT) as u8
    }

    fn code(&self) -> usize {
        self.tail as usize % CODES
    }
}

/// The newest lines.
#[derive(Debug)]
pub(super) struct Newest<K> {
    /// Starts, as long as all else agrees.
    alike: Vec<K>,
    /// What they agree in.
    length: u8,
    standing: Standing,
    /// All of them, once they do not agree.
    lines: Vec<Line<K>>,
    /// So many of these are hosts.
    hosts: usize,
    /// What they say by code, each in the place that its ruling leads to; elsewhere that is nothing.
    said: [Standing; CODES],
    /// All of them with what they say, once two things belong in one place.
    whole: Vec<(Line<K>, Standing)>,
}

impl<K: Key> Newest<K> {
    pub(super) fn new() -> Self {
        Self {
            alike: Vec::new(),
            length: 0,
            standing: Standing::ABSENT,
            lines: Vec::new(),
            hosts: 0,
            said: [Standing::ABSENT; CODES],
            whole: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.alike.len() + self.lines.len() + self.whole.len()
    }

    /// Whether there are as many as are sorted at once: so many lines, or so many octets that will not be given back one by one
    /// for about as many of what becomes of them; of those that are [whole](Self::are_whole) half as many.
    #[inline]
    pub(super) fn is_full(&self, lines: usize, octets: usize) -> bool {
        if !self.alike.is_empty() {
            return size_of_val(&*self.alike) >= octets;
        }
        self.lines.len() >= lines
            || self.hosts * size_of::<Line<K>>() >= octets
            || self.whole.len() == WHOLE_MAX
            || 2 * size_of_val(&*self.whole) >= octets
    }

    /// Whether what they say stands with each of them, so that they are large.
    pub(super) fn are_whole(&self) -> bool {
        !self.whole.is_empty()
    }

    /// The next line; false if it does not agree with those before it, and they are too many to be told apart: they must be
    /// taken first.
    #[inline]
    pub(super) fn push(&mut self, start: K, length: u8, standing: Standing) -> bool {
        if self.lines.is_empty() {
            if !self.whole.is_empty() {
                self.push_whole(start, length, standing);
                return true;
            }
            if self.alike.is_empty() {
                (self.length, self.standing) = (length, standing);
            }
            if (self.length, self.standing) == (length, standing) {
                push_tight(&mut self.alike, start);
                return true;
            }
            if self.alike.len() >= LINES_MAX {
                return false;
            }
            self.tell_apart();
        }
        let code = standing.ruling.0 as usize % CODES;
        if self.said[code] != standing {
            if self.said[code] != Standing::ABSENT {
                self.make_whole();
                self.push_whole(start, length, standing);
                return true;
            }
            self.said[code] = standing;
        }
        let line = Line::new(start, length, self.lines.len() << NUMBER_SHIFT | code);
        push_tight(&mut self.lines, line);
        self.hosts += usize::from(K::HOST_LENGTH == Some(length));
        true
    }

    #[inline(never)]
    fn push_whole(&mut self, start: K, length: u8, standing: Standing) {
        let line = Line::new(start, length, self.whole.len());
        push_tight(&mut self.whole, (line, standing));
    }

    /// Gives each line a length and a code of its own.
    #[cold]
    fn tell_apart(&mut self) {
        let Self { alike, length, standing, lines, said, .. } = self;
        let code = standing.ruling.0 as usize % CODES;
        said[code] = *standing;
        self.hosts = if K::HOST_LENGTH == Some(*length) { alike.len() } else { 0 };
        lines.reserve_exact(alike.len() + 1);
        let numbered = std::mem::take(alike).into_iter().enumerate();
        lines.extend(numbered.map(|(number, start)| Line::new(start, *length, number << NUMBER_SHIFT | code)));
    }

    /// Has each line say what it says.
    #[cold]
    fn make_whole(&mut self) {
        let Self { lines, said, whole, .. } = self;
        whole.reserve_exact(lines.len() + 1);
        let numbered = std::mem::take(lines).into_iter().enumerate();
        whole.extend(numbered.map(|(number, line)| (Line::new(line.start, line.length(), number), said[line.code()])));
        self.hosts = 0;
    }

    /// What all of them have in common: the length and what is said.
    pub(super) fn in_common(&self) -> (Option<u8>, Option<Ruling>, Option<u32>) {
        let Self { length, standing, lines, said, whole, .. } = self;
        if let Some((first, _)) = whole.first() {
            let length = Some(first.length()).filter(|length| whole.iter().all(|(line, _)| line.length() == *length));
            let (ruling, until_s) = common(&whole.iter().map(|(_, standing)| standing));
            return (length, ruling, until_s);
        }
        let Some(first) = lines.first() else {
            return (Some(*length), Some(standing.ruling), Some(standing.until_s));
        };
        let length = Some(first.length()).filter(|length| lines.iter().all(|line| line.length() == *length));
        let (ruling, until_s) = common(&said.iter().filter(|standing| **standing != Standing::ABSENT));
        (length, ruling, until_s)
    }

    /// Puts them in order, equal prefixes in the order of their lines.
    pub(super) fn sort(&mut self) {
        let Self { alike, lines, whole, .. } = self;
        let digits = 0..(K::BITS / u8::BITS) as usize;
        if !alike.is_sorted() {
            sort_in_place(alike, digits.clone(), &|start, at| start.octet(at), &Ord::cmp);
        }
        if !lines.is_sorted() {
            sort_in_place(lines, digits.clone(), &|line, at| line.start.octet(at), &Ord::cmp);
        }
        if !whole.is_sorted_by_key(|(line, _)| *line) {
            sort_in_place(whole, digits, &|(line, _), at| line.start.octet(at), &|one, two| one.0.cmp(&two.0));
        }
    }

    /// The start and the length of the first one, once they are sorted.
    pub(super) fn first(&self) -> Option<(K, u8)> {
        let alike = self.alike.first().map(|&start| (start, self.length));
        let line = self.lines.first().or(self.whole.first().map(|(line, _)| line));
        alike.or(line.map(|line| (line.start, line.length())))
    }

    /// Takes all, once they are sorted. The room for them is kept, for what follows; that may say other things.
    pub(super) fn take_all(&mut self, mut take: impl FnMut(Entry<K>)) {
        let Self { alike, length, standing, lines, said, whole, .. } = self;
        alike.drain(..).for_each(|start| take(Entry { start, length: *length, standing: *standing }));
        for line in lines.drain(..) {
            take(Entry { start: line.start, length: line.length(), standing: said[line.code()] });
        }
        for (line, standing) in whole.drain(..) {
            take(Entry { start: line.start, length: line.length(), standing });
        }
        said.fill(Standing::ABSENT);
    }

    /// Gives back the room for more lines than that, where they do not agree: short lists have the most.
    pub(super) fn keep_room(&mut self, lines: usize) {
        self.lines.shrink_to(lines);
    }

    /// Turns them round, once they are sorted: they are taken one by one from the end.
    pub(super) fn turn(&mut self) {
        self.alike.reverse();
        self.lines.reverse();
    }

    /// Takes the next one, once they are turned, and gives back what it took. None of them is [whole](Self::are_whole).
    #[inline]
    pub(super) fn take(&mut self) -> Option<Entry<K>> {
        if let Some(line) = self.lines.pop() {
            give_back(&mut self.lines);
            return Some(Entry { start: line.start, length: line.length(), standing: self.said[line.code()] });
        }
        let start = self.alike.pop()?;
        give_back(&mut self.alike);
        Some(Entry { start, length: self.length, standing: self.standing })
    }
}

/// What all agree in.
fn common<'a>(standings: &(impl Iterator<Item = &'a Standing> + Clone)) -> (Option<Ruling>, Option<u32>) {
    let Some(&Standing { ruling, until_s }) = standings.clone().next() else { return (None, None) };
    let ruling = Some(ruling).filter(|ruling| standings.clone().all(|other| other.ruling == *ruling));
    (ruling, Some(until_s).filter(|until_s| standings.clone().all(|other| other.until_s == *until_s)))
}

/// Gives back what was taken of the end, now and then.
#[inline]
fn give_back<T>(from: &mut Vec<T>) {
    if from.len().is_multiple_of(BLOCK_LEN / size_of::<T>()) {
        from.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::{ruling::FOREVER_S, values::ValueId};

    fn said(value: u32, until_s: u32) -> Standing {
        Standing { ruling: Ruling::listed(ValueId(value)), until_s }
    }

    /// Whether what they say had to stand with each.
    fn holds(lines: &[(u64, u8, Standing)]) -> bool {
        let mut newest = Newest::new();
        for &(start, length, standing) in lines {
            assert!(newest.push(start, length, standing));
        }
        assert_eq!(newest.len(), lines.len());
        let (length, ruling, until_s) = newest.in_common();
        let one = lines[0];
        assert_eq!(length, Some(one.1).filter(|_| lines.iter().all(|line| line.1 == one.1)));
        assert_eq!(ruling, Some(one.2.ruling).filter(|_| lines.iter().all(|line| line.2.ruling == one.2.ruling)));
        assert_eq!(until_s, Some(one.2.until_s).filter(|_| lines.iter().all(|line| line.2.until_s == one.2.until_s)));
        let are_whole = newest.are_whole();
        newest.sort();
        let mut expected = lines.to_vec();
        expected.sort_by_key(|line| (line.0, line.1));
        assert_eq!(newest.first(), Some((expected[0].0, expected[0].1)));
        let mut taken = Vec::new();
        if are_whole {
            newest.take_all(|entry| taken.push(entry));
        } else {
            newest.turn();
            while let Some(entry) = newest.take() {
                taken.push(entry);
                assert!(newest.lines.capacity() - newest.lines.len() <= lines.len() / 16 + BLOCK_LEN / 16);
            }
        }
        assert!(taken.iter().map(|entry| (entry.start, entry.length, entry.standing)).eq(expected));
        assert_eq!(newest.len(), 0);
        are_whole
    }

    #[test]
    fn lines_come_in_order_whatever_they_say() {
        let scattered = |index: u64| index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let lines = |say: &dyn Fn(u32) -> Standing, lengths: u64| -> Vec<_> {
            (0..99_000).map(|index| (scattered(index) % 50_000, (index % lengths) as u8, say(index as u32))).collect()
        };
        for lengths in [1, 3] {
            assert!(!holds(&lines(&|_| said(1, FOREVER_S), lengths)));
            assert!(!holds(&lines(&|index| said(index % 62, 9), lengths)));
            assert!(!holds(&lines(
                &|index| if index % 20 == 7 { Standing { ruling: Ruling::EXCLUDED, until_s: 9 } } else { said(1, 9) },
                lengths
            )));
            assert!(holds(&lines(&|index| said(index % 65, 9), lengths)));
            assert!(holds(&lines(&|index| said(1, index / 90_000), lengths)));
        }
    }

    #[test]
    fn there_are_enough() {
        let push = |count: u32, length: u8, say: &dyn Fn(u32) -> Standing| {
            let mut newest = Newest::new();
            assert!(newest.push(1_u32, 31, said(0, FOREVER_S)));
            assert!((1..count).all(|index| newest.push(index * 2, length, say(index))));
            newest.is_full(LINES_MAX, 1 << 19)
        };
        let (hosts, prefixes, held) = ((1 << 16) + 1, 1 << 18, 1 << 14);
        let (same, other) = (|_| said(1, FOREVER_S), |index| said(1, index));
        assert!(push(hosts, 32, &same) && !push(hosts - 1, 32, &same));
        assert!(push(prefixes, 30, &same) && !push(prefixes - 1, 30, &same));
        assert!(push(held, 30, &other) && !push(held - 1, 30, &other));
    }

    #[test]
    fn too_many_that_agree_are_not_told_apart() {
        for (count, expected) in [(LINES_MAX - 1, true), (LINES_MAX, false)] {
            let mut newest = Newest::new();
            assert!((0..count as u32).all(|index| newest.push(index, 32, said(0, FOREVER_S))));
            assert_eq!(newest.push(7_u32, 31, said(0, FOREVER_S)), expected);
            assert_eq!(newest.len(), count + usize::from(expected));
        }
    }
}
