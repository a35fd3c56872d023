//! From lines in any order to sorted hosts and flat segments.
//!
//! Entries come [in order](super::gather), wider prefixes before the narrower ones that they begin with, and are swept once with
//! a stack of those that are open: where one opens or closes, a segment begins, and what it says follows from the stack. Hosts
//! are rows of their own.

use std::sync::Arc;

use super::{
    Addresses,
    gather::{Entry, Gathered, Ordered, Reading},
    layers::{Hosts, Rows, Segments},
    sorted::Key,
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
    fn level(self, length: u8) -> u8 {
        match self {
            Self::Octets => length.div_ceil(8).max(1),
            Self::Prefix(_) => length,
        }
    }

    fn equals(self) -> Equals {
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
            rulings: RulingsBuilder::default(),
        }
    }

    /// The next line: the IPv4 prefix of `length` bits around `address`.
    #[inline]
    pub fn add_v4(&mut self, address: u32, length: u8, claim: Claim) {
        debug_assert!(length <= 32);
        let standing = Standing::of(claim, &mut self.rulings);
        self.v4.push(address.prefix(length).0, length, standing);
    }

    /// The next line: the IPv6 prefix of `length` bits around `address`.
    #[inline]
    pub fn add_v6(&mut self, address: u128, length: u8, claim: Claim) {
        debug_assert!(length <= 128);
        let standing = Standing::of(claim, &mut self.rulings);
        let start = address.prefix(length).0;
        if length <= 64 {
            self.v6_wide.push((start >> 64) as u64, length, standing);
        } else {
            self.v6_deep.push(start, length, standing);
        }
    }

    /// Takes over lines that follow and were added elsewhere, given what each of the values there is here.
    pub fn absorb(&mut self, later: Self, values: &[ValueId]) {
        let Self { v4, v6_deep, v6_wide, rulings, .. } = later;
        let translation = Translation::of(&rulings, values, &mut self.rulings).map(Arc::new);
        self.v4.absorb(v4, translation.as_ref());
        self.v6_deep.absorb(v6_deep, translation.as_ref());
        self.v6_wide.absorb(v6_wide, translation.as_ref());
    }

    /// Number of lines so far.
    pub fn entries(&self) -> usize {
        self.v4.count() + self.v6_deep.count() + self.v6_wide.count()
    }

    /// Freezes the set.
    pub fn build(self) -> Addresses {
        let entries = self.entries();
        let Self { specificity, v4, v6_deep, v6_wide, mut rulings } = self;
        let (v4_hosts, v4_segments) = Sweep::new(specificity, &mut rulings).run(v4);
        let specificity = specificity.for_v6();
        let (v6_hosts, v6_deep) = Sweep::new(specificity, &mut rulings).run(v6_deep);
        let (_, v6_wide) = Sweep::new(specificity, &mut rulings).run(v6_wide);
        Addresses { v4_hosts, v4_segments, v6_hosts, v6_deep, v6_wide, rulings: rulings.build(), entries }
    }
}

/// A prefix that is open while the sweep passes.
struct Open<K> {
    last: K,
    level: u8,
    /// What its own lines say.
    own: Standing,
    /// What holds inside, that of the prefixes around it included.
    standing: Standing,
}

/// Flattens prefixes, and keeps hosts apart.
struct Sweep<'r, K> {
    specificity: Specificity,
    rulings: &'r mut RulingsBuilder,
    open: Vec<Open<K>>,
    hosts: Rows<K>,
    segments: Rows<K>,
    /// The newest segment may still turn out to have no length.
    newest: Option<(K, Standing)>,
    /// What the one before it says.
    before: Standing,
}

impl<'r, K: Key> Sweep<'r, K> {
    fn new(specificity: Specificity, rulings: &'r mut RulingsBuilder) -> Self {
        Self {
            specificity,
            rulings,
            open: Vec::new(),
            hosts: Rows::new(),
            segments: Rows::new(),
            newest: None,
            before: Standing::ABSENT,
        }
    }

    fn run(mut self, mut gathered: Gathered<K>) -> (Hosts<K>, Segments<K>) {
        if let Some(Ordered { keys, standing, .. }) = gathered.take_ordered() {
            return (Hosts::alike(keys, standing, self.rulings.so_far()), self.segments.into_segments());
        }
        let mut entries = gathered.into_entries();
        while let Some(Entry { start, length, standing }) = entries.peek().map(Reading::entry) {
            entries.advance();
            let is_equal =
                |entry: &Reading<K>| Some(entry.entry()).filter(|next| (next.start, next.length) == (start, length));
            let mut own = standing;
            if let Some(second) = entries.peek().and_then(is_equal) {
                let mut equal = vec![standing, second.standing];
                entries.advance();
                while let Some(next) = entries.peek().and_then(is_equal) {
                    equal.push(next.standing);
                    entries.advance();
                }
                own = self.specificity.equals().standing(equal, self.rulings);
            }
            self.entry(Entry { start, length, standing: own });
        }
        drop(entries);
        self.close(|_| true);
        if let Some((start, standing)) = self.newest {
            self.segments.push(start, standing, self.rulings.so_far());
        }
        (self.hosts.into_hosts(), self.segments.into_segments())
    }

    #[inline]
    fn entry(&mut self, entry: Entry<K>) {
        let Entry { start, length, standing: own } = entry;
        self.close(|last| last < start);
        let level = self.specificity.level(length);
        // A host counts together with the other prefixes of its level: where there are any, it is a segment.
        let is_host = K::HOST_LENGTH == Some(length) && self.open.last().is_none_or(|open| open.level != level);
        if is_host {
            self.hosts.push(start, own, self.rulings.so_far());
            return;
        }
        self.open.push(Open { last: start.prefix(length).1, level, own, standing: own });
        let standing = self.standing_inside();
        if let Some(innermost) = self.open.last_mut() {
            innermost.standing = standing;
        }
        self.cut(start, standing);
    }

    /// Closes the innermost prefixes, as long as `is_over` holds for their last keys.
    #[inline]
    fn close(&mut self, is_over: impl Fn(K) -> bool) {
        while let Some(closed) = self.open.pop_if(|open| is_over(open.last)) {
            if let Some(after) = closed.last.next() {
                self.cut(after, self.open.last().map_or(Standing::ABSENT, |around| around.standing));
            }
        }
    }

    /// Lets `standing` hold from `start` on.
    fn cut(&mut self, start: K, standing: Standing) {
        if let Some(newest) = self.newest.take_if(|newest| newest.0 != start) {
            self.segments.push(newest.0, newest.1, self.rulings.so_far());
            self.before = newest.1;
        }
        self.newest = (standing != self.before).then_some((start, standing));
    }

    /// What holds inside the innermost prefix.
    fn standing_inside(&mut self) -> Standing {
        // Nearly always one line decides, and no list of claims has to be made.
        if let [around @ .., innermost] = &*self.open {
            let is_alone = around.last().is_none_or(|around| around.level != innermost.level);
            if is_alone && (around.is_empty() || innermost.own.is_unconditional()) {
                return innermost.own;
            }
            if let (true, Some(around)) = (is_alone, around.last())
                && let Some(standing) = innermost.own.within(around.standing, self.rulings)
            {
                return standing;
            }
        }
        let (equals, rulings) = (self.specificity.equals(), &mut *self.rulings);
        let levels = self.open.chunk_by(|one, two| one.level == two.level).rev();
        let levels = levels.map(|level| equals.settle(level.iter().map(|open| open.own), rulings.so_far())).collect();
        Standing::of_levels(levels, rulings)
    }
}
