//! Numbers of as many bits as the longest of them has, one after another.

use super::marks::WORD;
use crate::zone::tight::push_tight;

/// The numbers.
#[derive(Debug, Default)]
pub(super) struct BitNumbers {
    /// Bits of each.
    width: u32,
    words: Vec<u64>,
    len: usize,
}

impl BitNumbers {
    /// None so far, of so many bits each.
    pub(super) fn new(width: u32) -> Self {
        Self { width, ..Self::default() }
    }

    /// Bits of each.
    pub(super) fn width(&self) -> u32 {
        self.width
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The bits that one may have.
    #[inline]
    pub(super) fn mask(&self) -> u32 {
        u32::MAX.checked_shr(u32::BITS - self.width).unwrap_or(0)
    }

    #[inline]
    pub(super) fn get(&self, at: usize) -> u32 {
        let first = at * self.width as usize;
        let (word, bit) = (first / WORD, first % WORD);
        // It may go on in the next word, if there is one.
        let [low, high] = [word, word + 1].map(|word| self.words.get(word).copied().unwrap_or(0));
        (low >> bit | high << 1 << (WORD - 1 - bit)) as u32 & self.mask()
    }

    /// Makes sure that numbers up to `most` have room; `whole` tells what one is in more bits than it has so far.
    #[inline]
    pub(super) fn reach(&mut self, most: u32, whole: impl Fn(u32) -> u32) {
        let width = u32::BITS - most.leading_zeros();
        if width > self.width {
            self.widen(width, whole);
        }
    }

    #[cold]
    fn widen(&mut self, width: u32, whole: impl Fn(u32) -> u32) {
        let mut wider = Self::new(width);
        (0..self.len).for_each(|at| wider.push(whole(self.get(at))));
        *self = wider;
    }

    /// Appends the lowest bits of a number.
    #[inline]
    pub(super) fn push(&mut self, number: u32) {
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

    pub(super) fn shrink_to_fit(&mut self) {
        self.words.shrink_to_fit();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.words.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_back() {
        let number = |at: u32| at.wrapping_mul(2_654_435_761);
        for width in 0..=u32::BITS {
            let mut packed = BitNumbers::new(width);
            (0..1_000).for_each(|at| packed.push(number(at)));
            packed.shrink_to_fit();
            assert!((0..1_000).all(|at| packed.get(at as usize) == number(at) & packed.mask()), "{width}");
            assert_eq!(packed.memory_bytes(), (1_000 * width as usize).div_ceil(WORD) * 8);
            assert_eq!((packed.mask().count_ones(), packed.len()), (width, 1_000));
        }
    }
}
