//! When entries end, in as few bits as tell the ends apart.
//!
//! Ends are seconds since the epoch, but those of a list lie near each other: of each, as many of the lowest bits are kept as
//! they lie apart. Where all end within a day, that is 17 bits; within half a year, 24; where all end at once, none. Which
//! entries have an end is told by a bit for each entry, by a few bits for each end where few have one, and by nothing where all
//! have one. An entry may have the number of a [link](crate::zone::ruling::Rulings) in place of an end; which of the two it
//! is, its ruling tells.

use super::{marks::Marks, packed::Packed, sparse::Sparse};
use crate::zone::runs::push_tight;

/// Where no more than one in so many entries has an end, it takes less to tell where those are than to mark them.
const FEW: usize = 4;

/// The ends of entries, by position.
#[derive(Debug, Default)]
pub(super) struct Ends {
    which: Which,
    numbers: Numbers,
    /// While there are more to come: which numbers are links.
    links: Vec<u32>,
}

/// The entries that have one.
#[derive(Debug)]
enum Which {
    Marked(Marks),
    Few(Sparse),
}

impl Default for Which {
    fn default() -> Self {
        Self::Marked(Marks::default())
    }
}

/// What an entry has beside its ruling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// An end, in seconds since the epoch.
    End(u32),
    /// The number of a link.
    Link(u32),
}

/// What an entry has, before it is known which of the two it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    bits: u32,
    mask: u32,
    first_s: u32,
}

impl Number {
    /// The second at which it ends: the first one from `first_s` on with these lowest bits.
    #[inline]
    pub(super) fn end_s(self) -> u32 {
        self.first_s.wrapping_add(self.bits.wrapping_sub(self.first_s) & self.mask)
    }

    /// Its link.
    #[inline]
    pub(super) fn link(self) -> u32 {
        self.bits
    }
}

impl Ends {
    /// What the entry at `position` has.
    #[inline]
    pub(super) fn get(&self, position: usize) -> Option<Number> {
        let at = match &self.which {
            Which::Marked(marks) => marks.rank(position),
            Which::Few(few) => few.rank(position),
        };
        at.map(|at| self.numbers.get(at))
    }

    /// The entry at `position`, above all before it, has that.
    pub(super) fn push(&mut self, position: usize, beside: Beside) {
        let number = self.numbers.packed.len() as u32;
        if let Which::Marked(marks) = &mut self.which {
            marks.mark(position);
        }
        match beside {
            Beside::End(end_s) => self.numbers.push_end(end_s, &self.links),
            Beside::Link(link) => {
                self.numbers.push_link(link, &self.links);
                push_tight(&mut self.links, number);
            }
        }
    }

    /// All are there, of so many entries.
    pub(super) fn finish(&mut self, entries: usize) {
        let count = self.numbers.packed.len();
        if let Which::Marked(marks) = &self.which
            && count * FEW <= entries
        {
            self.which = Which::Few(Sparse::new(marks.positions(entries), count, entries));
        }
        self.finish_marked(entries);
    }

    /// The same without caring for a bit an entry.
    pub(super) fn finish_marked(&mut self, entries: usize) {
        if let Which::Marked(marks) = &mut self.which {
            marks.finish(entries);
        }
        self.numbers.packed.shrink_to_fit();
        self.links = Vec::new();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let Self { which, numbers, links } = self;
        let which = match which {
            Which::Marked(marks) => marks.memory_bytes(),
            Which::Few(few) => few.memory_bytes(),
        };
        which + numbers.packed.memory_bytes() + links.capacity() * 4
    }
}

/// Ends and links in their order.
#[derive(Debug)]
struct Numbers {
    /// From when to when the ends are.
    first_s: u32,
    last_s: u32,
    /// Their lowest bits.
    packed: Packed,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { first_s: u32::MAX, last_s: 0, packed: Packed::default() }
    }
}

impl Numbers {
    #[inline]
    fn get(&self, at: usize) -> Number {
        Number { bits: self.packed.get(at), mask: self.packed.mask(), first_s: self.first_s }
    }

    /// The next one is an end; those so far are ends, but for these `links`.
    fn push_end(&mut self, end_s: u32, links: &[u32]) {
        let (first_s, last_s) = (end_s.min(self.first_s), end_s.max(self.last_s));
        self.reach(last_s - first_s, links);
        (self.first_s, self.last_s) = (first_s, last_s);
        self.packed.push(end_s);
    }

    /// The next one is a link.
    fn push_link(&mut self, link: u32, links: &[u32]) {
        self.reach(link, links);
        self.packed.push(link);
    }

    /// Makes sure that numbers so far apart can be told from each other.
    #[inline]
    fn reach(&mut self, most: u32, links: &[u32]) {
        let width = u32::BITS - most.leading_zeros();
        if width > self.packed.width() {
            self.widen(width, links);
        }
    }

    #[cold]
    fn widen(&mut self, width: u32, mut links: &[u32]) {
        let mut wider = Packed::new(width);
        for at in 0..self.packed.len() {
            let number = self.get(at);
            let is_link = links.split_first().is_some_and(|(link, _)| *link as usize == at);
            links = &links[usize::from(is_link)..];
            wider.push(if is_link { number.link() } else { number.end_s() });
        }
        self.packed = wider;
    }
}

#[cfg(test)]
mod tests {
    use super::{super::marks::WORD, *};

    fn kept(besides: &[Option<Beside>]) -> Ends {
        let mut ends = Ends::default();
        for (position, beside) in besides.iter().enumerate() {
            if let Some(beside) = beside {
                ends.push(position, *beside);
            }
        }
        ends.finish(besides.len());
        for (position, beside) in besides.iter().enumerate() {
            let number = ends.get(position);
            assert_eq!(number.is_some(), beside.is_some());
            match (beside, number) {
                (Some(Beside::End(end_s)), Some(number)) => assert_eq!(number.end_s(), *end_s),
                (Some(Beside::Link(link)), Some(number)) => assert_eq!(number.link(), *link),
                _ => {}
            }
        }
        ends
    }

    #[test]
    fn as_many_bits_as_they_lie_apart() {
        let start = 1_800_000_000;
        let day = (86_399, 17);
        for (apart, bits) in
            [(0, 0), (1, 1), day, ((1 << 24) - 1, 24), (1 << 24, 25), (start, 31), (u32::MAX - start - 1, 32)]
        {
            for late in [0, 500, 999] {
                let end_s = |position| if position == late { start + apart } else { start };
                let all: Vec<_> = (0..1_000).map(|position| Some(Beside::End(end_s(position)))).collect();
                assert_eq!(kept(&all).memory_bytes(), 8 * (1_000_usize * bits).div_ceil(WORD), "{apart}");
            }
        }
        for step in [1, 7, 86_400] {
            let upwards: Vec<_> = (0..1_000).map(|position| Some(Beside::End(start + position * step))).collect();
            let downwards: Vec<_> = upwards.iter().rev().copied().collect();
            assert_eq!(kept(&upwards).memory_bytes(), kept(&downwards).memory_bytes());
        }
    }

    #[test]
    fn few_among_many() {
        let start = 1_800_000_000;
        for (one_in, bits) in [(4, 5), (10, 6), (64, 9), (1_000, 13)] {
            let end = |position: u32| (position % one_in == 1).then_some(Beside::End(start + position));
            let all: Vec<_> = (0..200_000).map(end).collect();
            let ends = all.iter().flatten().count();
            assert!(kept(&all).memory_bytes() * 8 <= ends * (18 + bits) + 256, "one in {one_in}");
        }
    }

    #[test]
    fn links_stay_what_they_are() {
        for far in [false, true] {
            let besides: Vec<_> = (0..3_000_u32)
                .map(|position| match position % 4 {
                    0 => Some(Beside::Link(if position == 2_000 { (1 << 31) - 1 } else { position })),
                    1 => Some(Beside::End(if far && position > 1_500 { 2 } else { 1_800_000_000 + position })),
                    _ => None,
                })
                .collect();
            kept(&besides);
            kept(&besides[..1_500]);
            kept(&besides[1..]);
        }
    }
}
