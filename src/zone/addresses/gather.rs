//! Lines in any order to prefixes in order: narrow ones after the wide ones that they begin with.
//!
//! Most files say the same of every line, and all lines are hosts. As long as these come in order, they are put at once where
//! they stay; when one does not, a run of them is nothing but the distances from one to the next, about two octets each. What
//! differs within a run takes an octet or two more: lengths, values, ends of lifetimes.

use std::{cmp::Ordering, sync::Arc};

use super::sorted::{IntoKeys, Key, SortedBuilder};
use crate::zone::{
    ruling::{FOREVER_S, Ruling},
    runs::{Merge, NUMBER_MAX, Octets, Packed, Run, push_number, push_tight, unzigzag, zigzag},
    sorting::sort_in_place,
    standing::Standing,
    translation::Translation,
};

/// Lines are collected up to an eighth of what is packed already, within these limits of octets.
const COLLECTED_SHARE: usize = 8;
const COLLECTED_MIN: usize = 1 << 19;
const COLLECTED_MAX: usize = 1 << 24;
/// So many runs that were merged equally often become one: distances in it are shorter, and few are open in the end.
const MERGED_RUNS: usize = 12;

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

/// Hosts from the first line on, of which all say the same for ever, and each is above the one before it.
#[derive(Debug)]
pub(super) struct Ordered<K> {
    pub(super) keys: SortedBuilder<K>,
    pub(super) standing: Standing,
    highest: K,
    /// Lines, equal ones included.
    count: usize,
    /// A line came that is not like that.
    is_over: bool,
}

impl<K: Key> Ordered<K> {
    fn new() -> Self {
        // Wide keys are rare, and would not be given back while they are read.
        let is_over = K::BITS > u32::BITS;
        Self { keys: SortedBuilder::new(), standing: Standing::ABSENT, highest: K::MIN, count: 0, is_over }
    }

    /// Takes a line, if it is as it should be.
    #[inline]
    fn takes(&mut self, start: K, length: u8, standing: Standing) -> bool {
        if self.is_over {
            return false;
        }
        if start > self.highest && standing == self.standing && K::HOST_LENGTH == Some(length) && self.count > 0 {
            self.highest = start;
            self.count += 1;
            self.keys.push(start);
            return true;
        }
        self.takes_first_or_equal(start, length, standing)
    }

    #[cold]
    fn takes_first_or_equal(&mut self, start: K, length: u8, standing: Standing) -> bool {
        if self.count == 0 && K::HOST_LENGTH == Some(length) && standing.is_endless() {
            (self.highest, self.standing, self.count) = (start, standing, 1);
            self.keys.push(start);
            return true;
        }
        let is_equal = self.count > 0 && (start, standing) == (self.highest, self.standing);
        if is_equal && K::HOST_LENGTH == Some(length) {
            self.count += 1;
            return true;
        }
        self.is_over = true;
        false
    }
}

/// Lines while they are gathered.
#[derive(Debug)]
pub(super) struct Gathered<K> {
    ordered: Ordered<K>,
    /// The starts of the newest lines, as long as these agree in all else.
    alike: Vec<K>,
    /// What they agree in.
    length: u8,
    standing: Standing,
    /// The newest lines once they do not agree.
    unlike: Vec<Line<K>>,
    /// Octets of newest lines that are enough.
    enough: usize,
    runs: Vec<Packing<K>>,
    count: usize,
}

impl<K: Key> Gathered<K> {
    pub(super) fn new() -> Self {
        Self {
            ordered: Ordered::new(),
            alike: Vec::new(),
            length: 0,
            standing: Standing::ABSENT,
            unlike: Vec::new(),
            enough: COLLECTED_MIN,
            runs: Vec::new(),
            count: 0,
        }
    }

    /// The next line. Bits of `start` beyond `length` are zero.
    #[inline]
    pub(super) fn push(&mut self, start: K, length: u8, standing: Standing) {
        if !self.ordered.takes(start, length, standing) {
            self.collect(start, length, standing);
        }
    }

    #[inline]
    fn collect(&mut self, start: K, length: u8, standing: Standing) {
        if self.unlike.is_empty() {
            if self.alike.is_empty() {
                (self.length, self.standing) = (length, standing);
            }
            if (self.length, self.standing) == (length, standing) {
                push_tight(&mut self.alike, start);
                if self.alike.len() * size_of::<K>() >= self.enough {
                    self.pack();
                }
                return;
            }
            self.tell_apart();
        }
        let tail = u32::from(length) << LINE_BITS | self.unlike.len() as u32;
        push_tight(&mut self.unlike, Line { start, tail, standing });
        if self.unlike.len() * size_of::<Line<K>>() >= self.enough {
            self.pack();
        }
    }

    /// Number of lines so far.
    pub(super) fn count(&self) -> usize {
        self.ordered.count + self.count + self.alike.len() + self.unlike.len()
    }

    /// Gives each of the newest lines a length and a standing of its own.
    #[cold]
    fn tell_apart(&mut self) {
        let Self { alike, length, standing, unlike, .. } = self;
        let tail = u32::from(*length) << LINE_BITS;
        unlike.reserve(alike.len() + 1);
        unlike.extend(alike.drain(..).zip(tail..).map(|(start, tail)| Line { start, tail, standing: *standing }));
    }

    /// Takes over lines that follow, of which each says what it is translated to.
    pub(super) fn absorb(&mut self, mut later: Self, translation: Option<&Arc<Translation>>) {
        later.pack();
        let Self { ordered, runs, count, .. } = later;
        let translated = |ruling| translation.map_or(ruling, |translation| translation.ruling(ruling));
        let standing = Standing { ruling: translated(ordered.standing.ruling), ..ordered.standing };
        // Equal lines are counted, and not kept.
        self.count += count + ordered.count - ordered.keys.len();
        for start in ordered.keys.into_keys() {
            self.push(start, K::HOST_LENGTH.unwrap_or_default(), standing);
        }
        self.pack();
        self.runs.extend(runs.into_iter().map(|run| {
            let ruling = run.shape.ruling.map(translated);
            Packing { shape: Shape { ruling, ..run.shape }, translation: translation.cloned(), ..run }
        }));
    }

    /// Packs the newest lines, at the end of the newest run if they follow it.
    #[cold]
    fn pack(&mut self) {
        let Self { alike, length, standing, unlike, runs, .. } = self;
        let digits = 0..(K::BITS / u8::BITS) as usize;
        if !alike.is_sorted() {
            sort_in_place(alike, digits.clone(), &|start, at| start.octet(at), &Ord::cmp);
        }
        let key = |line: &Line<K>| (line.start, line.tail);
        if !unlike.is_sorted_by_key(key) {
            sort_in_place(unlike, digits, &|line, at| line.start.octet(at), &|one, two| key(one).cmp(&key(two)));
        }
        let (length, standing) = (*length, *standing);
        let first = alike.first().map(|&start| (start, length));
        let Some(first) = first.or(unlike.first().map(|line| (line.start, line.length()))) else { return };
        let shape = if unlike.is_empty() { Shape::alike(length, standing) } else { Shape::of(unlike) };
        self.count += alike.len() + unlike.len();
        let follows = |run: &Packing<K>| {
            run.shape == shape && run.translation.is_none() && (run.last.start, run.last.length) <= first
        };
        if !runs.last().is_some_and(follows) {
            merge_newest(runs);
            runs.push(Packing::new(shape));
        }
        let run = runs.last_mut().expect("there is one that they follow");
        alike.drain(..).for_each(|start| run.push(Entry { start, length, standing }));
        for line in unlike.drain(..) {
            run.push(Entry { start: line.start, length: line.length(), standing: line.standing });
        }
        let packed: usize = runs.iter().map(|run| run.packed.len()).sum();
        self.enough = (packed / COLLECTED_SHARE).clamp(COLLECTED_MIN, COLLECTED_MAX);
    }

    /// All lines, if they are hosts in order.
    pub(super) fn take_ordered(&mut self) -> Option<Ordered<K>> {
        let is_all = self.ordered.count > 0 && self.count() == self.ordered.count;
        is_all.then(|| std::mem::replace(&mut self.ordered, Ordered::new()))
    }

    /// All entries in order; equal prefixes in the order of their lines.
    pub(super) fn into_entries(mut self) -> Merge<Reading<K>> {
        self.pack();
        let Self { ordered, runs, .. } = self;
        let ordered = (ordered.count > 0).then(|| Reading::ordered(ordered));
        Merge::new(ordered.into_iter().chain(runs.into_iter().map(Packing::read)).collect())
    }
}

/// Makes one run of the newest ones, if there are enough that were merged equally often.
fn merge_newest<K: Key>(runs: &mut Vec<Packing<K>>) {
    runs.last_mut().into_iter().for_each(|run| run.packed.shrink_to_fit());
    while let Some(from) = runs.len().checked_sub(MERGED_RUNS)
        && runs[from..].iter().all(|run| run.merged == runs[from].merged)
    {
        let mut merged = Packing::new(runs[from..].iter().map(|run| run.shape).reduce(Shape::and).expect("some runs"));
        merged.merged = runs[from].merged + 1;
        let mut entries = Merge::new(runs.drain(from..).map(Packing::read).collect());
        while let Some(entry) = entries.peek().map(Reading::entry) {
            merged.push(entry);
            entries.advance();
        }
        merged.packed.shrink_to_fit();
        runs.push(merged);
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
        let Line { standing: Standing { ruling, until_s }, .. } = lines[0];
        let length = lines[0].length();
        Self {
            length: lines.iter().all(|line| line.length() == length).then_some(length),
            ruling: lines.iter().all(|line| line.standing.ruling == ruling).then_some(ruling),
            until_s: lines.iter().all(|line| line.standing.until_s == until_s).then_some(until_s),
        }
    }

    /// What both have in common.
    fn and(self, other: Self) -> Self {
        Self {
            length: self.length.filter(|_| self.length == other.length),
            ruling: self.ruling.filter(|_| self.ruling == other.ruling),
            until_s: self.until_s.filter(|_| self.until_s == other.until_s),
        }
    }
}

/// A run while it is written.
#[derive(Debug)]
struct Packing<K> {
    shape: Shape,
    packed: Packed,
    count: usize,
    /// How often its entries were merged.
    merged: u32,
    /// What its rulings are, if not what they seem; those of its shape are.
    translation: Option<Arc<Translation>>,
    /// The newest entry; its end is that of the newest that has one.
    last: Entry<K>,
}

impl<K: Key> Packing<K> {
    fn new(shape: Shape) -> Self {
        Self { shape, packed: Packed::default(), count: 0, merged: 0, translation: None, last: nothing(K::MIN) }
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
        let Self { shape, packed, count, translation, .. } = self;
        let translation = translation.filter(|_| shape.ruling.is_none());
        Reading { shape, source: Source::Packed(packed), left: count, at_hand: nothing(K::MIN), end_s: 0, translation }
    }
}

/// What a run begins from.
const fn nothing<K>(start: K) -> Entry<K> {
    Entry { start, length: 0, standing: Standing { ruling: Ruling::ABSENT, until_s: 0 } }
}

/// Where the entries of a run come from.
#[derive(Debug)]
enum Source<K> {
    Packed(Packed),
    Ordered(IntoKeys<K>),
}

/// A run while it is read.
#[derive(Debug)]
pub(super) struct Reading<K> {
    shape: Shape,
    source: Source<K>,
    left: usize,
    at_hand: Entry<K>,
    /// The newest end.
    end_s: u32,
    translation: Option<Arc<Translation>>,
}

impl<K: Key> Reading<K> {
    fn ordered(ordered: Ordered<K>) -> Self {
        let Ordered { keys, standing, highest, .. } = ordered;
        let length = K::HOST_LENGTH.unwrap_or_default();
        let (left, at_hand) = (keys.len(), Entry { start: highest, length, standing });
        let (shape, source) = (Shape::alike(length, standing), Source::Ordered(keys.into_keys()));
        Self { shape, source, left, at_hand, end_s: 0, translation: None }
    }

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
        let Self { shape, source, at_hand, end_s, translation, .. } = self;
        let packed = match source {
            Source::Packed(packed) => packed,
            Source::Ordered(keys) => {
                at_hand.start = keys.next().unwrap_or(K::MAX);
                return true;
            }
        };
        packed.take(|octets| {
            at_hand.start = at_hand.start.plus(K::unpack(octets));
            at_hand.length = shape.length.unwrap_or_else(|| octets.octet());
            let ruling = shape.ruling.unwrap_or_else(|| Ruling((octets.number() as u32).wrapping_sub(2)));
            let until_s = shape.until_s.unwrap_or_else(|| read_end(octets, end_s));
            at_hand.standing = Standing { ruling, until_s };
        });
        if let Some(translation) = translation {
            at_hand.standing.ruling = translation.ruling(at_hand.standing.ruling);
        }
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
        holds((0..4_000_000).map(|index| (scattered(index), 32, one)).collect());
    }

    #[test]
    fn sorted_lines_make_one_run() {
        let mut gathered = Gathered::new();
        let one = Standing { ruling: Ruling::listed(ValueId(1)), until_s: FOREVER_S };
        (0..900_000_u32).for_each(|index| gathered.collect(index * 100, 32, one));
        gathered.pack();
        assert_eq!((gathered.runs.len(), gathered.runs[0].packed.len()), (1, 900_000));
    }

    #[test]
    fn hosts_in_order_stay_where_they_are() {
        let one = Standing { ruling: Ruling::listed(ValueId(1)), until_s: FOREVER_S };
        let hosts = |gathered: &mut Gathered<u32>| (0..300_000).for_each(|index| gathered.push(index / 2 * 3, 32, one));
        let mut gathered = Gathered::new();
        hosts(&mut gathered);
        assert_eq!(gathered.count(), 300_000);
        let ordered = gathered.take_ordered().expect("hosts in order");
        assert!(ordered.keys.into_keys().eq((0..150_000).map(|index| index * 3)));
        for (start, length, standing) in
            [(7, 32, one), (0xffff_0000, 16, one), (900_000, 32, Standing { ruling: Ruling::EXCLUDED, ..one })]
        {
            let mut gathered = Gathered::new();
            hosts(&mut gathered);
            gathered.push(start, length, standing);
            hosts(&mut gathered);
            assert_eq!(gathered.count(), 600_001);
            assert!(gathered.take_ordered().is_none());
            let mut entries = gathered.into_entries();
            let mut all = Vec::new();
            while let Some(entry) = entries.peek().map(Reading::entry) {
                all.push((entry.start, entry.length, entry.standing));
                entries.advance();
            }
            let first = (0..150_000).map(|index| (index * 3, 32, one));
            let again = (0..300_000).map(|index| (index / 2 * 3, 32, one));
            let mut expected: Vec<_> = first.chain([(start, length, standing)]).chain(again).collect();
            expected.sort_by_key(|entry| (entry.0, entry.1));
            assert!(all == expected);
        }
    }
}
