//! The newest lines, until there are enough of them to be sorted and [packed](super::packing).
//!
//! The smaller a line is, the more of them wait for the same memory, and the fewer runs there are in the end. Where all say the
//! same, a line is its start. Where they say a few hundred things in turn, it is its start and four octets more, which name what
//! it says. Only where nearly each line says something of its own, as those do whose lifetimes end, it stands with all it says.

use std::cmp::Ordering;

use super::{
    key::Key,
    packing::{Common, Entry},
};
use crate::zone::{runs::BLOCK_LEN, sorting::sort_in_place, standing::Standing, tight::push_tight};

/// So many things that are said have a number. Most of the places in which they are looked for stay empty.
const SAYINGS_BITS: u32 = 11;
const SAYINGS_MAX: usize = 1 << SAYINGS_BITS;
const PLACES_BITS: u32 = SAYINGS_BITS + 2;
const PLACES: usize = 1 << PLACES_BITS;
const EMPTY: u16 = u16::MAX;

/// What is not found in so many places has no number. Of those that are spread by chance hardly one in a million is that far off.
const LOOKS_MAX: usize = 32;

/// So many lines are numbered beside them.
const LINES_MAX: usize = 1 << (u32::BITS - SAYINGS_BITS);

/// A line that says what has a number.
#[derive(Clone, Copy, Debug)]
struct Numbered<K> {
    start: K,
    /// The number of the line, and in the lowest bits that of what it says.
    tail: u32,
}

/// A line with what it says.
#[derive(Clone, Copy, Debug)]
struct Line<K> {
    start: K,
    /// The length in the highest octet, and below it a number that grows with the lines.
    tail: u32,
    standing: Standing,
}

const LENGTH_SHIFT: u32 = 24;

impl<K> Line<K> {
    fn length(&self) -> u32 {
        self.tail >> LENGTH_SHIFT
    }
}

/// What a line says of a start: the length of its prefix, and what is said of that.
type Saying = (u32, Standing);

/// Sayings with numbers.
#[derive(Debug, Default)]
struct Sayings {
    all: Vec<Saying>,
    /// The number of each, or [`EMPTY`], at its [`home`] or the next place that was empty.
    places: Vec<u16>,
    /// What they have in common.
    common: Option<Common>,
}

/// Where one is looked for first. Values are numbered one after the other, and ends are as regular: multiplied by numbers that are
/// like chance, neighbours are far apart, and do not fill stretches of places that all that leads there has to pass.
#[inline]
fn home((length, standing): Saying) -> usize {
    let said = u64::from(standing.ruling.0) << 32 | u64::from(standing.until_s);
    let once = said.wrapping_add(u64::from(length) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let twice = (once ^ once >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (twice >> (u64::BITS - PLACES_BITS)) as usize
}

impl Sayings {
    /// The number of one. None: there are too many, or too many are looked for in the same places.
    #[inline]
    fn number(&mut self, saying: Saying) -> Option<u32> {
        let home = home(saying);
        for place in (home..home + LOOKS_MAX).map(|place| place % PLACES) {
            let number = *self.places.get(place).unwrap_or(&EMPTY);
            match self.all.get(usize::from(number)) {
                Some(known) if *known == saying => return Some(number.into()),
                Some(_) => {}
                None => return self.add(saying, place),
            }
        }
        None
    }

    #[cold]
    fn add(&mut self, saying: Saying, place: usize) -> Option<u32> {
        if self.all.len() == SAYINGS_MAX {
            return None;
        }
        self.places.resize(PLACES, EMPTY);
        self.places[place] = self.all.len() as u16;
        self.all.push(saying);
        let common = Common::alike(saying.0, saying.1);
        self.common = Some(self.common.map_or(common, |all| all.and(common)));
        Some(self.all.len() as u32 - 1)
    }

    /// What a line says.
    fn of<K>(&self, line: &Numbered<K>) -> Saying {
        self.all[line.tail as usize % SAYINGS_MAX]
    }
}

/// The newest lines. Those of one kind are there, and none of the others.
#[derive(Debug)]
pub(super) struct Newest<K> {
    /// The starts of lines that say the same.
    alike: Vec<K>,
    /// What that is.
    saying: Saying,
    numbered: Vec<Numbered<K>>,
    sayings: Sayings,
    apart: Vec<Line<K>>,
    /// Not all sayings had a number: there were too many, or too many that lead to the same places.
    are_apart: bool,
}

impl<K: Key> Newest<K> {
    pub(super) fn new() -> Self {
        Self {
            alike: Vec::new(),
            saying: (0, Standing::ABSENT),
            numbered: Vec::new(),
            sayings: Sayings::default(),
            apart: Vec::new(),
            are_apart: false,
        }
    }

    /// The next line. Returns how many octets all take, or more than there are if there can be no more lines.
    #[inline]
    pub(super) fn push(&mut self, start: K, length: u8, standing: Standing) -> usize {
        let length = u32::from(length);
        let saying = (length, standing);
        if self.numbered.is_empty() && self.apart.is_empty() {
            if self.alike.is_empty() {
                self.saying = saying;
            }
            if self.saying == saying {
                return push_tight_within(&mut self.alike, start);
            }
            self.tell_apart();
        }
        if !self.are_apart {
            if let Some(number) = self.sayings.number(saying) {
                let tail = (self.numbered.len() as u32) << SAYINGS_BITS | number;
                return push_tight_within(&mut self.numbered, Numbered { start, tail });
            }
            self.set_apart();
        }
        let tail = length << LENGTH_SHIFT | self.apart.len() as u32;
        push_tight_within(&mut self.apart, Line { start, tail, standing })
    }

    /// Lets each line say by itself what all of them say.
    #[cold]
    fn tell_apart(&mut self) {
        let Some(number) = self.sayings.number(self.saying).filter(|_| !self.are_apart) else {
            return self.set_apart();
        };
        let Self { alike, numbered, .. } = self;
        numbered.reserve(alike.len() + 1);
        let lines = alike.drain(..).zip(0_u32..);
        numbered.extend(lines.map(|(start, line)| Numbered { start, tail: line << SAYINGS_BITS | number }));
    }

    /// Has each line stand with what it says, from now on.
    #[cold]
    fn set_apart(&mut self) {
        self.are_apart = true;
        let Self { alike, saying, numbered, sayings, apart, .. } = self;
        let alike = alike.drain(..).map(|start| (start, *saying));
        let lines = alike.chain(std::mem::take(numbered).into_iter().map(|line| (line.start, sayings.of(&line))));
        apart.extend(lines.zip(0_u32..).map(|((start, (length, standing)), line)| Line {
            start,
            tail: length << LENGTH_SHIFT | line,
            standing,
        }));
        *sayings = Sayings::default();
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.alike.len() + self.numbered.len() + self.apart.len()
    }

    /// Sorts them by their prefixes, and equal ones by their lines. Returns what they have in common, and the first.
    pub(super) fn sort(&mut self) -> Option<(Common, (K, u32))> {
        let Self { alike, saying: (length, standing), numbered, sayings, apart, .. } = self;
        if !alike.is_empty() {
            sort(alike, |line| *line, Ord::cmp);
            return Some((Common::alike(*length, *standing), (alike[0], *length)));
        }
        if !numbered.is_empty() {
            let key = |line: &Numbered<K>| (sayings.of(line).0, line.tail);
            sort(
                numbered,
                |line| line.start,
                |one, two| one.start.cmp(&two.start).then_with(|| key(one).cmp(&key(two))),
            );
            return Some((sayings.common?, (numbered[0].start, sayings.of(&numbered[0]).0)));
        }
        let key = |line: &Line<K>| (line.start, line.tail);
        sort(apart, |line| line.start, |one, two| key(one).cmp(&key(two)));
        let each = apart.iter().map(|line| Common::alike(line.length(), line.standing));
        Some((each.reduce(Common::and)?, (apart[0].start, apart[0].length())))
    }

    /// Gives back what was taken for lines that are no longer there, but for a block in which others can begin.
    pub(super) fn give_back(&mut self) {
        let Self { alike, numbered, apart, .. } = self;
        alike.shrink_to(BLOCK_LEN / size_of::<K>());
        numbered.shrink_to(BLOCK_LEN / size_of::<Numbered<K>>());
        apart.shrink_to(BLOCK_LEN / size_of::<Line<K>>());
    }

    /// Gives all of them, in order if they were sorted.
    pub(super) fn take(&mut self, mut give: impl FnMut(Entry<K>)) {
        let Self { alike, saying: (length, standing), numbered, sayings, apart, .. } = self;
        alike.drain(..).for_each(|start| give(Entry { start, length: *length, standing: *standing }));
        for line in numbered.drain(..) {
            let (length, standing) = sayings.of(&line);
            give(Entry { start: line.start, length, standing });
        }
        for line in apart.drain(..) {
            give(Entry { start: line.start, length: line.length(), standing: line.standing });
        }
    }
}

/// Sorts by `compare`, which compares starts first, unless that is done.
fn sort<T: Copy, K: Key>(lines: &mut [T], start: impl Fn(&T) -> K, compare: impl Fn(&T, &T) -> Ordering) {
    if !lines.is_sorted_by(|one, two| compare(one, two).is_le()) {
        let octets = 0..(K::BITS / u8::BITS) as usize;
        sort_in_place(lines, octets, &|line, at| start(line).octet(at), &compare);
    }
}

/// Appends an item, and returns how many octets all take.
#[inline]
fn push_tight_within<T>(into: &mut Vec<T>, item: T) -> usize {
    push_tight(into, item);
    if into.len() < LINES_MAX { into.len() * size_of::<T>() } else { usize::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::{ruling::Ruling, values::ValueId};

    fn listed(value: u32, until_s: u32) -> Saying {
        (32, Standing { ruling: Ruling::listed(ValueId(value)), until_s })
    }

    /// As files have them: values in the order of their numbers, and ends second by second, hour by hour or day by day.
    #[test]
    fn what_is_said_is_near_the_place_where_it_is_looked_for() {
        for (values, ends, step_s) in [(30, 60, 1), (2, 1_000, 1), (45, 45, 60), (1, 2_000, 3_600), (1, 2_000, 86_400)]
        {
            let mut sayings = Sayings::default();
            let each = (0..values * ends).map(|each| listed(each / ends, 1_700_000_000 + each % ends * step_s));
            let numbered = each.filter(|saying| sayings.number(*saying).is_some()).count();
            assert_eq!(numbered, (values * ends) as usize, "each has a number");
            let taken =
                (0..PLACES).filter_map(|place| Some((place, sayings.all.get(usize::from(sayings.places[place]))?)));
            let looks = taken.map(|(place, saying)| 1 + (PLACES + place - home(*saying)) % PLACES);
            let (most, all) = looks.fold((0, 0), |(most, all), looks| (looks.max(most), all + looks));
            assert!(most < LOOKS_MAX && all < 2 * numbered, "{values} values, {ends} ends: {most} of {all} looks");
        }
    }

    /// Even where all that is said leads to one place, no line has to look at many others.
    #[test]
    fn what_would_be_looked_for_too_long_has_no_number() {
        let place = home(listed(0, 0));
        let crowd: Vec<Saying> = (0..)
            .map(|until_s| listed(0, until_s))
            .filter(|saying| home(*saying) == place)
            .take(LOOKS_MAX + 1)
            .collect();
        let mut newest = Newest::new();
        for (start, (length, standing)) in (0_u32..).zip(&crowd) {
            newest.push(start, *length as u8, *standing);
        }
        assert_eq!((newest.numbered.len(), newest.apart.len()), (0, crowd.len()));
        let mut given = Vec::new();
        newest.take(|entry| given.push((entry.length, entry.standing)));
        assert_eq!(given, crowd);
    }
}
