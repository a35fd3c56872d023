//! From lines in any order to sorted hosts and flat segments: lines are [gathered](super::gather) in order, and
//! [swept](super::sweep).

use std::sync::Arc;

use super::{
    Addresses,
    gather::Gathered,
    key::Key,
    sweep::{Crowding, Sweep},
    v6::V6,
};
use crate::zone::{
    ruling::{Claim, RulingsBuilder},
    standing::{Equals, Standing},
    translation::Translation,
    values::ValueId,
};

/// Which of the entries around an address decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Specificity {
    /// Entries of /25 to /32 before those of /17 to /24, /9 to /16 and /0 to /8; all entries of the first of these levels
    /// that has one in force count (rbldnsd's ip4set), wide ones before narrow ones. IPv6 has [`Self::Prefix`] with [`Equals::First`].
    Octets,
    /// Each prefix length is a level of its own, so the longest prefix in force decides; and which of equal ones (rbldnsd's
    /// tries).
    Prefix(Equals),
}

impl Specificity {
    /// A number that is higher for what is more specific, and equal for what counts together.
    pub(super) fn level(self, length: u8) -> u8 {
        match self {
            Self::Octets => length.div_ceil(8).max(1),
            Self::Prefix(_) => length,
        }
    }

    pub(super) fn equals(self) -> Equals {
        match self {
            Self::Octets => Equals::All,
            Self::Prefix(equals) => equals,
        }
    }

    /// What holds for IPv6.
    fn for_v6(self) -> Self {
        match self {
            Self::Octets => Self::Prefix(Equals::First),
            Self::Prefix(_) => self,
        }
    }
}

/// Builds [`Addresses`].
#[derive(Debug)]
pub struct AddressesBuilder {
    specificity: Specificity,
    v4: Gathered<u32>,
    /// Beyond /64.
    v6_deep: Gathered<u128>,
    v6_wide: Gathered<u64>,
    /// Whether what any line says depends on the time or on who asks.
    has_conditions: bool,
    rulings: RulingsBuilder,
}

impl AddressesBuilder {
    /// An empty set.
    pub fn new(specificity: Specificity) -> Self {
        Self {
            specificity,
            v4: Gathered::new(),
            v6_deep: Gathered::new(),
            v6_wide: Gathered::new(),
            has_conditions: false,
            rulings: RulingsBuilder::default(),
        }
    }

    /// The next line: the IPv4 prefix of `length` bits around `address`.
    #[inline]
    pub fn add_v4(&mut self, address: u32, length: u8, claim: Claim) {
        debug_assert!(length <= 32);
        let standing = self.standing(claim);
        self.v4.push(address.prefix(length).0, length, standing);
    }

    /// The next line: the IPv6 prefix of `length` bits around `address`.
    #[inline]
    pub fn add_v6(&mut self, address: u128, length: u8, claim: Claim) {
        debug_assert!(length <= 128);
        let standing = self.standing(claim);
        let start = address.prefix(length).0;
        if length <= 64 {
            self.v6_wide.push((start >> 64) as u64, length, standing);
        } else {
            self.v6_deep.push(start, length, standing);
        }
    }

    #[inline]
    fn standing(&mut self, claim: Claim) -> Standing {
        let standing = Standing::of(claim, &mut self.rulings);
        self.has_conditions |= !standing.is_unconditional();
        standing
    }

    /// Takes over lines that follow and were added elsewhere, given what each of the values there is here.
    pub fn absorb(&mut self, later: Self, values: Vec<ValueId>) {
        let Self { v4, v6_deep, v6_wide, has_conditions, rulings, .. } = later;
        self.has_conditions |= has_conditions;
        let translation = Translation::of(&rulings, values, &mut self.rulings).map(Arc::new);
        self.v4.absorb(v4, translation.as_ref());
        self.v6_deep.absorb(v6_deep, translation.as_ref());
        self.v6_wide.absorb(v6_wide, translation.as_ref());
    }

    /// Number of lines so far.
    pub fn entries(&self) -> usize {
        self.v4.count() + self.v6_deep.count() + self.v6_wide.count()
    }

    /// Freezes the set, and tells the IPv4 prefixes of which not all that was said counts, and why; of one of IPv6, one line
    /// counts.
    pub fn build(self, mut tell: impl FnMut(u32, u8, Crowding)) -> Addresses {
        let entries = self.entries();
        let Self { specificity, v4, v6_deep, v6_wide, has_conditions, mut rulings } = self;
        let v4 = Sweep::new(specificity, has_conditions, &mut rulings).run(v4);
        let specificity = specificity.for_v6();
        let v6_deep = Sweep::new(specificity, has_conditions, &mut rulings).run(v6_deep);
        let v6_wide = Sweep::new(specificity, has_conditions, &mut rulings).run(v6_wide);
        v4.crowded.into_iter().for_each(|(start, length, crowding)| tell(start, length, crowding));
        Addresses {
            v4_hosts: v4.hosts,
            v4_segments: v4.segments,
            v6: V6::of(v6_deep, v6_wide),
            rulings: rulings.build(),
            entries,
        }
    }
}
