//! Lines in any order to prefixes in order: narrow ones after the wide ones that they begin with.
//!
//! Most files say the same of every line, and all lines are hosts; then a run of them is nothing but the distances from one to
//! the next, about two octets each. What differs within a run takes an octet or two more: lengths, values, ends of lifetimes.

use std::cmp::Ordering;

use super::sorted::Key;
use crate::zone::{
    ruling::{FOREVER_S, Ruling},
    runs::{Merge, NUMBER_MAX, Octets, Packed, Run, push_number, unzigzag, zigzag},
    standing::Standing,
};

/// Lines are collected up to so many octets, or a quarter of what is packed already.
const COLLECTED_MIN: usize = 1 << 20;
const COLLECTED_SHARE: usize = 4;

/// Most octets of a packed entry: its distance, length, ruling and end.
const ENTRY_MAX: usize = 4 * NUMBER_MAX + 1;

/// A prefix and what is said of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<K> {
    pub(super) start: K,
    pub(super) length: u8,
    pub(super) standing: Standing,
}

/// An entry that is collected.
#[derive(Clone, Copy, Debug)]
struct Line<K> {
    start: K,
    /// The length in the highest octet, and below it a number that grows with the lines.
    tail: u32,
    standing: Standing,
}

const LINE_BITS: u32 = 24;

impl<K> Line<K> {
    fn length(&self) -> u8 {
        (self.tail >> LINE_BITS) as u8
    }
}

/// Lines while they are gathered.
#[derive(Debug)]
pub(super) struct Gathered<K> {
    /// The starts of the newest lines, as long as these agree in all else.
    alike: Vec<K>,
    /// What they agree in.
    length: u8,
    standing: Standing,
    /// The newest lines once they do not agree.
    unlike: Vec<Line<K>>,
    /// At so many newest lines they are looked at.
    limit: usize,
    runs: Vec<Packing<K>>,
    packed_bytes: usize,
    count: usize,
}

impl<K: Key> Gathered<K> {
    pub(super) fn new() -> Self {
        Self {
            alike: Vec::new(),
            length: 0,
            standing: Standing::ABSENT,
            unlike: Vec::new(),
            limit: COLLECTED_MIN / size_of::<Line<K>>(),
            runs: Vec::new(),
            packed_bytes: 0,
            count: 0,
        }
    }

    /// The next line. Bits of `start` beyond `length` are zero.
    #[inline]
    pub(super) fn push(&mut self, start: K, length: u8, standing: Standing) {
        if self.unlike.is_empty() {
            if self.alike.is_empty() {
                (self.length, self.standing) = (length, standing);
            }
            if (self.length, self.standing) == (length, standing) {
                self.alike.push(start);
                if self.alike.len() >= self.limit {
                    self.make_room();
                }
                return;
            }
            self.tell_apart();
        }
        let tail = u32::from(length) << LINE_BITS | self.unlike.len() as u32;
        self.unlike.push(Line { start, tail, standing });
        if self.unlike.len() >= self.limit {
            self.make_room();
        }
    }

    /// Number of lines so far.
    pub(super) fn count(&self) -> usize {
        self.count + self.alike.len() + self.unlike.len()
    }

    /// Gives each of the newest lines a length and a standing of its own.
    #[cold]
    fn tell_apart(&mut self) {
        let Self { alike, length, standing, unlike, .. } = self;
        let tail = u32::from(*length) << LINE_BITS;
        unlike.reserve(alike.len() + 1);
        unlike.extend(alike.drain(..).zip(tail..).map(|(start, tail)| Line { start, tail, standing: *standing }));
    }

    /// Packs the newest lines if they are in order, or if there are too many to wait for more.
    #[cold]
    fn make_room(&mut self) {
        let unlike_in_order = self.unlike.is_sorted_by_key(|line| (line.start, line.tail));
        let line_bytes = if self.unlike.is_empty() { size_of::<K>() } else { size_of::<Line<K>>() };
        let enough = (self.packed_bytes / COLLECTED_SHARE).max(COLLECTED_MIN) / line_bytes;
        let enough = enough.min(1 << LINE_BITS);
        if self.limit < enough && !(self.alike.is_sorted() && unlike_in_order) {
            self.limit = enough;
        } else {
            self.pack();
            self.limit = COLLECTED_MIN / size_of::<Line<K>>();
        }
    }

    /// Packs the newest lines, at the end of the newest run if they follow it.
    fn pack(&mut self) {
        let Self { alike, length, standing, unlike, runs, .. } = self;
        alike.sort_unstable();
        unlike.sort_unstable_by_key(|line| (line.start, line.tail));
        let (length, standing) = (*length, *standing);
        let first = alike.first().map(|&start| (start, length));
        let Some(first) = first.or(unlike.first().map(|line| (line.start, line.length()))) else { return };
        let shape = if unlike.is_empty() { Shape::alike(length, standing) } else { Shape::of(unlike) };
        self.count += alike.len() + unlike.len();
        let follows = |run: &Packing<K>| run.shape == shape && (run.last.start, run.last.length) <= first;
        if !runs.last().is_some_and(follows) {
            runs.last_mut().into_iter().for_each(|run| run.packed.shrink_to_fit());
            runs.push(Packing::new(shape));
        }
        let run = runs.last_mut().expect("there is one that they follow");
        self.packed_bytes -= run.packed.len();
        alike.drain(..).for_each(|start| run.push(Entry { start, length, standing }));
        for line in unlike.drain(..) {
            run.push(Entry { start: line.start, length: line.length(), standing: line.standing });
        }
        self.packed_bytes += run.packed.len();
    }

    /// All entries in order; equal prefixes in the order of their lines.
    pub(super) fn into_entries(mut self) -> Merge<Reading<K>> {
        self.pack();
        Merge::new(self.runs.into_iter().map(Packing::read).collect())
    }
}

/// What all entries of a run have in common, and is therefore not packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    length: Option<u8>,
    ruling: Option<Ruling>,
    until_s: Option<u32>,
}

impl Shape {
    fn alike(length: u8, standing: Standing) -> Self {
        Self { length: Some(length), ruling: Some(standing.ruling), until_s: Some(standing.until_s) }
    }

    fn of<K>(lines: &[Line<K>]) -> Self {
        let first = &lines[0];
        let mut shape = Self::alike(first.length(), first.standing);
        for line in lines {
            shape.length = shape.length.filter(|&length| length == line.length());
            shape.ruling = shape.ruling.filter(|&ruling| ruling == line.standing.ruling);
            shape.until_s = shape.until_s.filter(|&until_s| until_s == line.standing.until_s);
        }
        shape
    }
}

/// A run while it is written.
#[derive(Debug)]
struct Packing<K> {
    shape: Shape,
    packed: Packed,
    count: usize,
    /// The newest entry; its end is that of the newest that has one.
    last: Entry<K>,
}

impl<K: Key> Packing<K> {
    fn new(shape: Shape) -> Self {
        Self { shape, packed: Packed::default(), count: 0, last: nothing(K::MIN) }
    }

    #[inline]
    fn push(&mut self, entry: Entry<K>) {
        let Self { shape, last, .. } = self;
        let Standing { ruling, until_s } = entry.standing;
        self.packed.append(ENTRY_MAX, |into| {
            entry.start.since(last.start).pack(into);
            if shape.length.is_none() {
                into.push(entry.length);
            }
            if shape.ruling.is_none() {
                // Values are small numbers, an exclusion and what is absent are the highest.
                push_number(into, u64::from(ruling.0.wrapping_add(2)));
            }
            if shape.until_s.is_none() {
                push_number(into, if until_s == FOREVER_S { 0 } else { 1 + zigzag(until_s, last.standing.until_s) });
            }
        });
        let until_s = if until_s == FOREVER_S { last.standing.until_s } else { until_s };
        *last = Entry { standing: Standing { ruling, until_s }, ..entry };
        self.count += 1;
    }

    fn read(mut self) -> Reading<K> {
        self.packed.turn();
        let Self { shape, packed, count, .. } = self;
        Reading { shape, packed, left: count, at_hand: nothing(K::MIN), end_s: 0 }
    }
}

/// What a run begins from.
const fn nothing<K>(start: K) -> Entry<K> {
    Entry { start, length: 0, standing: Standing { ruling: Ruling::ABSENT, until_s: 0 } }
}

/// A run while it is read.
#[derive(Debug)]
pub(super) struct Reading<K> {
    shape: Shape,
    packed: Packed,
    left: usize,
    at_hand: Entry<K>,
    /// The newest end.
    end_s: u32,
}

impl<K: Key> Reading<K> {
    /// The entry at hand.
    #[inline]
    pub(super) fn entry(&self) -> Entry<K> {
        self.at_hand
    }
}

impl<K: Key> Run for Reading<K> {
    #[inline]
    fn advance(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        let Self { shape, packed, at_hand, end_s, .. } = self;
        packed.take(|octets| {
            at_hand.start = at_hand.start.plus(K::unpack(octets));
            at_hand.length = shape.length.unwrap_or_else(|| octets.octet());
            let ruling = shape.ruling.unwrap_or_else(|| Ruling((octets.number() as u32).wrapping_sub(2)));
            let until_s = shape.until_s.unwrap_or_else(|| read_end(octets, end_s));
            at_hand.standing = Standing { ruling, until_s };
        });
        true
    }

    #[inline]
    fn compare(&self, other: &Self) -> Ordering {
        let key = |run: &Self| (run.at_hand.start, run.at_hand.length);
        key(self).cmp(&key(other))
    }
}

fn read_end(octets: &mut Octets<'_>, end_s: &mut u32) -> u32 {
    match octets.number() {
        0 => FOREVER_S,
        number => {
            *end_s = unzigzag(number - 1, *end_s);
            *end_s
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::zone::values::ValueId;

    fn all<K: Key>(lines: &[(K, u8, Standing)]) -> Vec<(K, u8, Standing)> {
        let mut gathered = Gathered::new();
        for &(start, length, standing) in lines {
            gathered.push(start, length, standing);
        }
        assert_eq!(gathered.count(), lines.len());
        let mut merge = gathered.into_entries();
        let mut all = Vec::new();
        while let Some(entry) = merge.peek().map(Reading::entry) {
            all.push((entry.start, entry.length, entry.standing));
            merge.advance();
        }
        all
    }

    fn holds<K: Key + std::fmt::Debug>(mut lines: Vec<(K, u8, Standing)>) {
        let gathered = all(&lines);
        lines.sort_by_key(|line| (line.0, line.1));
        assert!(gathered == lines);
    }

    fn standings() -> impl Strategy<Value = Standing> {
        let ruling = prop_oneof![
            (0_u32..300).prop_map(|value| Ruling::listed(ValueId(value))),
            Just(Ruling::EXCLUDED),
            Just(Ruling(0x8000_0001)),
        ];
        let until_s = prop_oneof![Just(FOREVER_S), any::<u32>(), 1_800_000_000_u32..1_800_003_600];
        (ruling, until_s).prop_map(|(ruling, until_s)| Standing { ruling, until_s })
    }

    proptest! {
        #[test]
        fn few_come_in_order(lines in proptest::collection::vec((0_u64..99, 0_u8..4, standings()), 0..99)) {
            holds(lines);
        }

        #[test]
        fn wide_keys_come_back(lines in proptest::collection::vec((any::<u128>(), any::<u8>(), standings()), 0..99)) {
            holds(lines);
        }
    }

    #[test]
    fn many_come_in_order() {
        let one = Standing { ruling: Ruling::listed(ValueId(1)), until_s: FOREVER_S };
        let scattered = |index: u32| index.wrapping_mul(2_654_435_761);
        let numbers = 0..900_000_u32;
        holds(numbers.clone().map(|index| (index, 32, one)).collect());
        holds(numbers.clone().map(|index| (scattered(index), 32, one)).collect());
        let mixed = |index: u32| Standing { ruling: Ruling::listed(ValueId(index % 30)), until_s: scattered(index) };
        holds(numbers.clone().map(|index| (scattered(index), (index % 3) as u8, mixed(index))).collect());
        holds(numbers.clone().map(|index| (index % 1_000, 32, mixed(index))).collect());
    }

    #[test]
    fn sorted_lines_make_one_run() {
        let mut gathered = Gathered::new();
        let one = Standing { ruling: Ruling::listed(ValueId(1)), until_s: FOREVER_S };
        (0..900_000_u32).for_each(|index| gathered.push(index * 100, 32, one));
        gathered.pack();
        assert_eq!((gathered.runs.len(), gathered.packed_bytes), (1, 900_000));
    }
}
