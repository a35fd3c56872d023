//! What addresses are found by: 32, 64 or 128 bits.

use crate::zone::runs::{self, Octets};

/// Bits of a key's lower half.
pub(super) const HALF_BITS: u32 = 16;
/// Bits of a fraction.
pub(super) const FRACTION_BITS: u32 = 16;

/// An unsigned integer that stands for an address or for its leading bits.
pub(super) trait Key: Copy + Ord + 'static {
    /// Width.
    const BITS: u32;
    /// Length of a prefix that is a single address; none for leading bits.
    const HOST_LENGTH: Option<u8>;
    /// Whether hosts that come in order are kept at once where they stay. Wide keys are rare, and would not be given back while
    /// they are read.
    const MAY_COME_IN_ORDER: bool = Self::BITS <= u32::BITS && Self::HOST_LENGTH.is_some();
    /// Zero.
    const MIN: Self;
    /// All ones.
    const MAX: Self;
    /// The bits above the lowest `shift`, of which there are fewer than all, as an index; the highest index if they are more than
    /// one has.
    fn above(self, shift: u32) -> usize;
    /// The highest 16 of the lowest `shift` bits.
    fn fraction_below(self, shift: u32) -> usize;
    /// The lowest bits, with the others cleared.
    fn half(self) -> u16;
    /// The key of an index above [`HALF_BITS`] and a lower half.
    fn of_halves(upper: usize, lower: u16) -> Self;
    /// How many bits the number needs.
    fn bit_len(self) -> u32;
    /// The difference to a key that is not greater.
    fn since(self, first: Self) -> Self;
    /// The next key, if there is one.
    fn next(self) -> Option<Self>;
    /// The first and the last key of the prefix of `length` bits around this one.
    fn prefix(self, length: u8) -> (Self, Self);
    /// The key so far above this one.
    fn plus(self, distance: Self) -> Self;
    /// The octet at `at`, counted from the highest.
    fn octet(self, at: usize) -> u8;
    /// As the widest of keys.
    fn widen(self) -> u128;
    /// Writes the number in as many octets as it needs; at most twice [`NUMBER_MAX`](runs::NUMBER_MAX).
    fn pack(self, into: &mut Vec<u8>);
    /// Reads what was packed.
    fn unpack(octets: &mut Octets<'_>) -> Self;
}

macro_rules! keys {
    ($($key:ty: $host_length:expr),*) => {$(
        impl Key for $key {
            const BITS: u32 = <$key>::BITS;
            const HOST_LENGTH: Option<u8> = $host_length;
            const MIN: Self = 0;
            const MAX: Self = <$key>::MAX;

            #[inline]
            fn above(self, shift: u32) -> usize {
                usize::try_from(self.wrapping_shr(shift)).unwrap_or(usize::MAX)
            }

            #[inline]
            fn fraction_below(self, shift: u32) -> usize {
                (self.wrapping_shl(Self::BITS - shift) >> (Self::BITS - FRACTION_BITS)) as usize
            }

            #[inline]
            fn half(self) -> u16 {
                self as u16
            }

            fn of_halves(upper: usize, lower: u16) -> Self {
                (upper as Self) << HALF_BITS | Self::from(lower)
            }

            fn bit_len(self) -> u32 {
                Self::BITS - self.leading_zeros()
            }

            #[inline]
            fn since(self, first: Self) -> Self {
                self - first
            }

            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }

            fn prefix(self, length: u8) -> (Self, Self) {
                let host = Self::MAX.checked_shr(u32::from(length)).unwrap_or(0);
                (self & !host, self | host)
            }

            #[inline]
            fn plus(self, distance: Self) -> Self {
                self.wrapping_add(distance)
            }

            #[inline]
            fn octet(self, at: usize) -> u8 {
                self.to_be_bytes()[at]
            }

            fn widen(self) -> u128 {
                u128::from(self)
            }

            #[inline]
            fn pack(self, into: &mut Vec<u8>) {
                if Self::BITS == u128::BITS {
                    runs::push_number(into, (self.widen() >> 64) as u64);
                }
                runs::push_number(into, self as u64);
            }

            #[inline]
            fn unpack(octets: &mut Octets<'_>) -> Self {
                let upper = if Self::BITS == u128::BITS { octets.number() } else { 0 };
                (u128::from(upper) << 64 | u128::from(octets.number())) as Self
            }
        }
    )*};
}
keys!(u32: Some(32), u64: None, u128: Some(128));
