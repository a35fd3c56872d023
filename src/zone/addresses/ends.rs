//! When entries end, in as few bits as tell the ends apart.
//!
//! Ends are seconds since the epoch, but those of a list lie near each other: of each, as many of the lowest bits are kept as
//! they lie apart. Where all end within a day, that is 17 bits; within half a year, 24; where all end at once, none. [Which
//! entries](super::which) have one is told apart from when.

use super::{packed::Packed, which::Which};

/// The ends of entries, by position.
#[derive(Debug)]
pub(super) struct Ends {
    which: Which,
    /// From when to when they are, in seconds since the epoch.
    first_s: u32,
    last_s: u32,
    /// Their lowest bits.
    packed: Packed,
}

impl Default for Ends {
    fn default() -> Self {
        Self { which: Which::default(), first_s: u32::MAX, last_s: 0, packed: Packed::default() }
    }
}

impl Ends {
    /// The second at which the entry at `position` ends, if it does.
    #[inline]
    pub(super) fn get(&self, position: usize) -> Option<u32> {
        let at = self.which.rank(position)?;
        Some(whole(self.packed.get(at), self.packed.mask(), self.first_s))
    }

    /// The entry at `position`, above all before it, ends at that second.
    pub(super) fn push(&mut self, position: usize, end_s: u32) {
        self.which.mark(position);
        let (first_s, last_s) = (end_s.min(self.first_s), end_s.max(self.last_s));
        let (mask, old_first_s) = (self.packed.mask(), self.first_s);
        self.packed.reach(last_s - first_s, |bits| whole(bits, mask, old_first_s));
        (self.first_s, self.last_s) = (first_s, last_s);
        self.packed.push(end_s);
    }

    /// All are there, of so many entries.
    pub(super) fn finish(&mut self, entries: usize) {
        self.which.finish(entries);
        self.packed.shrink_to_fit();
    }

    /// The same without caring for a bit an entry.
    pub(super) fn finish_marked(&mut self, entries: usize) {
        self.which.finish_marked(entries);
        self.packed.shrink_to_fit();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.which.memory_bytes() + self.packed.memory_bytes()
    }
}

/// The end with these lowest bits: the first one from `first_s` on.
#[inline]
fn whole(bits: u32, mask: u32, first_s: u32) -> u32 {
    first_s.wrapping_add(bits.wrapping_sub(first_s) & mask)
}

#[cfg(test)]
mod tests {
    use super::{super::marks::WORD, *};

    fn kept(all: &[Option<u32>]) -> Ends {
        let mut ends = Ends::default();
        for (position, end_s) in all.iter().enumerate() {
            if let Some(end_s) = end_s {
                ends.push(position, *end_s);
            }
        }
        ends.finish(all.len());
        assert!(all.iter().enumerate().all(|(position, end_s)| ends.get(position) == *end_s));
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
