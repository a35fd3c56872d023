//! One label, in the few words by which it is found.
//!
//! Every label that is asked for is hashed and compared, and nearly all have no more octets than two words: the first ones and the
//! last ones, some of them in both. Only what is longer is walked along.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

use crate::wire::name::outer_words;

/// Octets of two words.
const SHORT_MAX: usize = 16;

/// A label without its length octet.
#[derive(Clone, Copy)]
pub(super) struct Label<'a> {
    octets: &'a [u8],
    first: u64,
    last: u64,
}

impl<'a> Label<'a> {
    #[inline]
    pub(super) fn new(octets: &'a [u8]) -> Self {
        let (first, last) = outer_words(octets);
        Self { octets, first, last }
    }

    #[inline]
    pub(super) fn octets(self) -> &'a [u8] {
        self.octets
    }

    /// Number of octets.
    #[inline]
    pub(super) fn len(self) -> usize {
        self.octets.len()
    }

    /// Whether it is that one, which has as many octets.
    #[inline]
    pub(super) fn is(self, other: &[u8]) -> bool {
        debug_assert_eq!(self.len(), other.len());
        outer_words(other) == (self.first, self.last) && (self.len() <= SHORT_MAX || self.octets == other)
    }

    /// Hashes it together with a number.
    #[inline]
    pub(super) fn hash(self, number: u32, seed: &RandomState) -> u64 {
        let mut hasher = seed.build_hasher();
        hasher.write_u64(self.first);
        hasher.write_u64(self.last);
        hasher.write_u64(u64::from(number) << 8 | self.len() as u64);
        if self.len() > SHORT_MAX {
            return hash_long(hasher, self.octets);
        }
        hasher.finish()
    }
}

#[inline(never)]
fn hash_long(mut hasher: impl Hasher, octets: &[u8]) -> u64 {
    hasher.write(octets);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_counts() {
        let seed = RandomState::default();
        let octets: Vec<u8> = (1..=63).collect();
        for len in 0..=octets.len() {
            let label = Label::new(&octets[..len]);
            assert!(label.is(&octets[..len]));
            let hash = label.hash(7, &seed);
            assert_eq!(hash, Label::new(&octets.clone()[..len]).hash(7, &seed));
            assert_ne!(hash, label.hash(8, &seed));
            for at in 0..len {
                let mut other = octets[..len].to_vec();
                other[at] ^= 0x80;
                assert!(!label.is(&other), "{at} of {len}");
                assert_ne!(hash, Label::new(&other).hash(7, &seed), "{at} of {len}");
            }
        }
        // Longer ones that differ in nothing but their length.
        let same = [b'a'; 63];
        let hashes: std::collections::BTreeSet<u64> =
            (0..=same.len()).map(|len| Label::new(&same[..len]).hash(7, &seed)).collect();
        assert_eq!(hashes.len(), 64);
    }
}
