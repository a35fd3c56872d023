//! Numbers that only some entries have, in as few bits as tell them apart: ends of lifetimes, and links.
//!
//! Ends are seconds since the epoch, but those of a list lie near each other: of each, as many of the lowest bits are kept as
//! they lie apart. Where all end within a day, that is 17 bits; within half a year, 24; where all end at once, none. Links are
//! numbered from zero. Where lists nest or repeat themselves, what an address gets is often made of several lines, and there are
//! thousands of such [combinations](crate::zone::ruling::Rulings): they would fill a palette that most entries need for a few
//! dozen values. [Which entries](super::which) have a number is told apart from what it is.

use super::{bit_numbers::BitNumbers, which::Which};

/// The numbers of entries, by position.
#[derive(Debug)]
pub(super) struct Annotations {
    which: Which,
    /// The least of them and the greatest.
    least: u32,
    greatest: u32,
    /// Their lowest bits.
    bits: BitNumbers,
}

impl Default for Annotations {
    fn default() -> Self {
        Self { which: Which::default(), least: u32::MAX, greatest: 0, bits: BitNumbers::default() }
    }
}

impl Annotations {
    /// The number of the entry at `position`, if it has one.
    #[inline]
    pub(super) fn get(&self, position: usize) -> Option<u32> {
        let at = self.which.rank(position)?;
        Some(whole(self.bits.get(at), self.bits.mask(), self.least))
    }

    /// Which entries have one.
    pub(super) fn which(&self) -> &Which {
        &self.which
    }

    /// The entry at `position`, above all before it, has that number.
    pub(super) fn push(&mut self, position: usize, number: u32) {
        self.which.mark(position);
        let (least, greatest) = (number.min(self.least), number.max(self.greatest));
        let (mask, old_least) = (self.bits.mask(), self.least);
        self.bits.reach(greatest - least, |bits| whole(bits, mask, old_least));
        (self.least, self.greatest) = (least, greatest);
        self.bits.push(number);
    }

    /// All are there, of so many entries.
    pub(super) fn finish(&mut self, entries: usize) {
        self.which.finish(entries);
        self.bits.shrink_to_fit();
    }

    /// The same without caring for a bit an entry.
    pub(super) fn finish_marked(&mut self, entries: usize) {
        self.which.finish_marked(entries);
        self.bits.shrink_to_fit();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.which.memory_bytes() + self.bits.memory_bytes()
    }
}

/// The number with these lowest bits: the first one from `least` on.
#[inline]
fn whole(bits: u32, mask: u32, least: u32) -> u32 {
    least.wrapping_add(bits.wrapping_sub(least) & mask)
}

#[cfg(test)]
mod tests {
    use super::{super::marks::WORD, *};

    fn kept(all: &[Option<u32>]) -> Annotations {
        let mut annotations = Annotations::default();
        for (position, number) in all.iter().enumerate() {
            if let Some(number) = number {
                annotations.push(position, *number);
            }
        }
        annotations.finish(all.len());
        assert!(all.iter().enumerate().all(|(position, number)| annotations.get(position) == *number));
        annotations
    }

    #[test]
    fn each_has_its_own() {
        for (one_in, far) in [(1, 3), (2, 5_000), (7, 1 << 20), (900, (1 << 31) - 1)] {
            let link = |position: usize| position.is_multiple_of(one_in).then_some(position as u32 / 3 * 7 % (far - 1));
            let links: Vec<_> = (0..9_000).map(|at| if at == 6_300 { Some(far) } else { link(at) }).collect();
            kept(&links);
        }
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
                let all: Vec<_> = (0..1_000).map(|position| Some(end_s(position))).collect();
                assert_eq!(kept(&all).memory_bytes(), 8 * (1_000_usize * bits).div_ceil(WORD), "{apart}");
            }
        }
        for step in [1, 7, 86_400] {
            let upwards: Vec<_> = (0..1_000).map(|position| Some(start + position * step)).collect();
            let downwards: Vec<_> = upwards.iter().rev().copied().collect();
            assert_eq!(kept(&upwards).memory_bytes(), kept(&downwards).memory_bytes());
        }
    }

    #[test]
    fn few_among_many() {
        let start = 1_800_000_000;
        for (one_in, bits) in [(4, 5), (10, 6), (64, 9), (1_000, 13)] {
            let end = |position: u32| (position % one_in == 1).then_some(start + position);
            let all: Vec<_> = (0..200_000).map(end).collect();
            let ends = all.iter().flatten().count();
            assert!(kept(&all).memory_bytes() * 8 <= ends * (18 + bits) + 256, "one in {one_in}");
        }
    }
}
