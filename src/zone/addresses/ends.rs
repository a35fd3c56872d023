//! When entries end, in as few bits as tell the ends apart.
//!
//! Ends are seconds since the epoch, but those of a list lie near each other: of each, as many of the lowest bits are kept as
//! they lie apart. Where all end within a day, that is 17 bits; within half a year, 24; where all end at once, none. A bit for
//! each entry tells whether it has an end, unless all have one. An entry may have the number of a
//! [link](crate::zone::ruling::Rulings) in place of an end; which of the two it is, its ruling tells.

use super::marks::{Marks, WORD};
use crate::zone::runs::push_tight;

/// The ends of entries, by position.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// The entries that have one.
    marks: Marks,
    numbers: Numbers,
    /// While there are more to come: which numbers are links.
    links: Vec<u32>,
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
        self.marks.rank(position).map(|at| self.numbers.get(at))
    }

    /// The entry at `position`, above all before it, has that.
    pub(super) fn push(&mut self, position: usize, beside: Beside) {
        let number = self.marks.count();
        self.marks.mark(position);
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
        self.marks.finish(entries);
        self.numbers.words.shrink_to_fit();
        self.links = Vec::new();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let Self { marks, numbers, links } = self;
        marks.memory_bytes() + numbers.words.capacity() * 8 + links.capacity() * 4
    }
}

/// Ends and links in their order.
#[derive(Debug)]
struct Numbers {
    /// From when to when the ends are.
    first_s: u32,
    last_s: u32,
    /// So many bits are kept of each, one after another.
    width: u32,
    words: Vec<u64>,
    len: usize,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { first_s: u32::MAX, last_s: 0, width: 0, words: Vec::new(), len: 0 }
    }
}

impl Numbers {
    fn mask(&self) -> u32 {
        u32::MAX.checked_shr(u32::BITS - self.width).unwrap_or(0)
    }

    #[inline]
    fn get(&self, at: usize) -> Number {
        let first = at * self.width as usize;
        let (word, bit) = (first / WORD, first % WORD);
        // It may go on in the next word, if there is one.
        let [low, high] = [word, word + 1].map(|word| self.words.get(word).copied().unwrap_or(0));
        let mask = self.mask();
        Number { bits: (low >> bit | high << 1 << (WORD - 1 - bit)) as u32 & mask, mask, first_s: self.first_s }
    }

    /// The next one is an end; those so far are ends, but for these `links`.
    fn push_end(&mut self, end_s: u32, links: &[u32]) {
        let (first_s, last_s) = (end_s.min(self.first_s), end_s.max(self.last_s));
        self.reach(last_s - first_s, links);
        (self.first_s, self.last_s) = (first_s, last_s);
        self.append(end_s);
    }

    /// The next one is a link.
    fn push_link(&mut self, link: u32, links: &[u32]) {
        self.reach(link, links);
        self.append(link);
    }

    /// Makes sure that numbers so far apart can be told from each other.
    #[inline]
    fn reach(&mut self, most: u32, links: &[u32]) {
        let width = u32::BITS - most.leading_zeros();
        if width > self.width {
            self.widen(width, links);
        }
    }

    #[cold]
    fn widen(&mut self, width: u32, mut links: &[u32]) {
        let mut wider = Self { width, ..Self::default() };
        for at in 0..self.len {
            let number = self.get(at);
            let is_link = links.split_first().is_some_and(|(link, _)| *link as usize == at);
            links = &links[usize::from(is_link)..];
            wider.append(if is_link { number.link() } else { number.end_s() });
        }
        (self.width, self.words) = (width, wider.words);
    }

    /// Appends the lowest bits of a number.
    #[inline]
    fn append(&mut self, number: u32) {
        let bits = u64::from(number & self.mask());
        let first = self.len * self.width as usize;
        let (word, bit) = (first / WORD, first % WORD);
        while self.words.len() * WORD < first + self.width as usize {
            push_tight(&mut self.words, 0);
        }
        if self.width > 0 {
            self.words[word] |= bits << bit;
            if bit + self.width as usize > WORD {
                self.words[word + 1] = bits >> (WORD - bit);
            }
        }
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
