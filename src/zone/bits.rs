//! Addresses of both families as numbers of so many bits: prefixes of them, neighbours, distances.

use super::subject::Run;

/// An IPv4 or IPv6 address as a number.
pub trait Address: Copy + Ord + 'static {
    /// Width.
    const BITS: u8;
    /// The highest.
    const MAX: Self;
    /// The prefix of this length around it.
    fn prefix(self, length: impl Into<u32>) -> Run<Self>;
    /// The length of the longest prefix that has both in it.
    fn common_length(self, other: Self) -> u8;
    /// The one after it, if there is one.
    fn next(self) -> Option<Self>;
    /// The one before it, which there must be.
    #[must_use]
    fn before(self) -> Self;
    /// How many bits it takes to tell how far it is above another, which must not be above it.
    fn bits_above(self, base: Self) -> u32;
    /// How many whole steps of 2^`shift` it is above another; as many as can be told if those are more, none if it is below.
    fn steps_above(self, base: Self, shift: u32) -> usize;
}

macro_rules! addresses {
    ($($number:ty),*) => {$(
        impl Address for $number {
            const BITS: u8 = <$number>::BITS as u8;
            const MAX: Self = <$number>::MAX;

            #[inline]
            fn prefix(self, length: impl Into<u32>) -> Run<Self> {
                let host = <$number>::MAX.checked_shr(length.into()).unwrap_or(0);
                Run { first: self & !host, last: self | host }
            }

            #[inline]
            fn common_length(self, other: Self) -> u8 {
                (self ^ other).leading_zeros() as u8
            }

            #[inline]
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }

            #[inline]
            fn before(self) -> Self {
                self - 1
            }

            fn bits_above(self, base: Self) -> u32 {
                <$number>::BITS - (self - base).leading_zeros()
            }

            #[inline]
            fn steps_above(self, base: Self, shift: u32) -> usize {
                usize::try_from(self.saturating_sub(base) >> shift).unwrap_or(usize::MAX)
            }
        }
    )*};
}

addresses!(u32, u128);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_from_all_to_one() {
        let address = 0xc000_0201_u32;
        assert_eq!(address.prefix(0_u8), Run { first: 0, last: u32::MAX });
        assert_eq!(address.prefix(24_u8), Run { first: 0xc000_0200, last: 0xc000_02ff });
        assert_eq!(address.prefix(32_u32), Run { first: address, last: address });
        assert_eq!(u128::MAX.prefix(1_u8), Run { first: 1 << 127, last: u128::MAX });
        for length in 0..=32_u8 {
            let run = address.prefix(length);
            assert_eq!(run.first.common_length(run.last), length);
        }
    }

    #[test]
    fn neighbours_and_steps() {
        assert_eq!((7_u32.next(), u32::MAX.next(), 7_u128.before()), (Some(8), None, 6));
        assert_eq!((70_u32.steps_above(6, 5), 6_u32.steps_above(70, 5)), (2, 0));
        assert_eq!(u128::MAX.steps_above(1, 0), usize::MAX);
        assert_eq!([7, 8, 15, 16].map(|address: u32| address.bits_above(8 - 1)), [0, 1, 4, 4]);
    }
}
