//! When entries end, in three octets each.
//!
//! Ends are seconds since the epoch, but those of a list lie near each other: the lowest 24 bits tell them apart within 194
//! days. Where they lie further apart, each takes four octets. A bit for each entry tells whether it has an end, unless all
//! have one. An entry may have the number of a [link](crate::zone::ruling::Rulings) in place of an end; which of the two it is, its
//! ruling tells.

use crate::zone::runs::push_tight;

/// Entries to a word of marks.
const WORD: usize = u64::BITS as usize;

/// The bits that are kept of a link, and of ends if they are enough.
const NEAR: u32 = (1 << 24) - 1;

/// The ends of entries, by position.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// A bit for each entry that has one; no bits where all have one.
    marks: Vec<u64>,
    /// Marks before each word.
    ranks: Vec<u32>,
    numbers: Numbers,
}

/// What an entry has beside its ruling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// An end, in seconds since the epoch.
    End(u32),
    /// The number of a link, up to [`Self::LINK_MAX`].
    Link(u32),
}

impl Beside {
    /// The highest link that can be kept.
    pub(super) const LINK_MAX: u32 = NEAR;
}

/// What an entry has, before it is known which of the two it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number(u32);

impl Number {
    /// The second at which it ends.
    #[inline]
    pub(super) fn end_s(self) -> u32 {
        self.0
    }

    /// Its link.
    #[inline]
    pub(super) fn link(self) -> u32 {
        self.0 & NEAR
    }
}

impl Ends {
    /// What the entry at `position` has.
    #[inline]
    pub(super) fn get(&self, position: usize) -> Option<Number> {
        if self.marks.is_empty() {
            return Some(self.numbers.get(position));
        }
        let (word, bit) = (position / WORD, position % WORD);
        // Words end with the last mark.
        let marks = self.marks.get(word).filter(|marks| *marks >> bit & 1 == 1)?;
        let before = (marks & ((1 << bit) - 1)).count_ones();
        Some(self.numbers.get((self.ranks[word] + before) as usize))
    }

    /// The entry at `position`, above all before it, has that.
    pub(super) fn push(&mut self, position: usize, beside: Beside) {
        let (word, bit) = (position / WORD, position % WORD);
        while self.marks.len() <= word {
            push_tight(&mut self.marks, 0);
            push_tight(&mut self.ranks, u32::try_from(self.numbers.len()).expect("fewer than 2^32 entries"));
        }
        self.marks[word] |= 1 << bit;
        self.numbers.push(beside);
    }

    /// All are there, of so many entries.
    pub(super) fn finish(&mut self, entries: usize) {
        if self.numbers.len() == entries {
            self.marks.clear();
            self.ranks.clear();
        }
        self.marks.shrink_to_fit();
        self.ranks.shrink_to_fit();
        match &mut self.numbers {
            Numbers::Near { lows, .. } => lows.shrink_to_fit(),
            Numbers::Far(numbers) => numbers.shrink_to_fit(),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let numbers = match &self.numbers {
            Numbers::Near { lows, .. } => lows.capacity() * 3,
            Numbers::Far(numbers) => numbers.capacity() * 4,
        };
        self.marks.capacity() * 8 + self.ranks.capacity() * 4 + numbers
    }
}

/// Ends and links in their order.
#[derive(Debug)]
enum Numbers {
    /// Their lowest bits, and from when to when the ends are.
    Near {
        first_s: u32,
        last_s: u32,
        lows: Vec<[u8; 3]>,
    },
    Far(Vec<u32>),
}

impl Default for Numbers {
    fn default() -> Self {
        Self::Near { first_s: u32::MAX, last_s: 0, lows: Vec::new() }
    }
}

impl Numbers {
    fn len(&self) -> usize {
        match self {
            Self::Near { lows, .. } => lows.len(),
            Self::Far(numbers) => numbers.len(),
        }
    }

    #[inline]
    fn get(&self, at: usize) -> Number {
        Number(match self {
            Self::Near { first_s, lows, .. } => widen(lows[at], *first_s),
            Self::Far(numbers) => numbers[at],
        })
    }

    fn push(&mut self, beside: Beside) {
        let number = match beside {
            Beside::End(end_s) => {
                self.reach(end_s);
                end_s
            }
            Beside::Link(link) => link,
        };
        match self {
            Self::Near { lows, .. } => {
                let [low, middle, high, _] = number.to_le_bytes();
                push_tight(lows, [low, middle, high]);
            }
            Self::Far(numbers) => push_tight(numbers, number),
        }
    }

    /// Makes sure that this end can be told from the others.
    fn reach(&mut self, end_s: u32) {
        let Self::Near { first_s, last_s, lows } = self else { return };
        let (first, last) = (end_s.min(*first_s), end_s.max(*last_s));
        if last - first <= NEAR {
            (*first_s, *last_s) = (first, last);
        } else {
            *self = Self::Far(lows.iter().map(|low| widen(*low, *first_s)).collect());
        }
    }
}

/// The first number from `first` on with these lowest bits.
#[inline]
fn widen([low, middle, high]: [u8; 3], first: u32) -> u32 {
    first.wrapping_add(u32::from_le_bytes([low, middle, high, 0]).wrapping_sub(first) & NEAR)
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
    fn near_and_far() {
        let start = 1_800_000_000;
        for (spread, octets) in [(1, 3), (NEAR, 3), (NEAR + 1, 4), (start, 4), (u32::MAX - start - 1, 4)] {
            for late in [0, 500, 999] {
                let end_s = |position| if position == late { start + spread } else { start };
                let all: Vec<_> = (0..1_000).map(|position| Some(Beside::End(end_s(position)))).collect();
                assert_eq!(kept(&all).memory_bytes(), 1_000 * octets);
            }
        }
        let downwards: Vec<_> = (0..100).map(|position| Some(Beside::End(start - position * 167_772))).collect();
        assert_eq!(kept(&downwards).memory_bytes(), 300);
    }

    #[test]
    fn links_stay_what_they_are() {
        for far in [false, true] {
            let besides: Vec<_> = (0..3_000_u32)
                .map(|position| match position % 4 {
                    0 => Some(Beside::Link(if position == 2_000 { Beside::LINK_MAX } else { position })),
                    1 => Some(Beside::End(if far && position > 1_500 { 2 } else { 1_800_000_000 + position })),
                    _ => None,
                })
                .collect();
            assert!(matches!(kept(&besides).numbers, Numbers::Far(_)) == far);
        }
    }
}
