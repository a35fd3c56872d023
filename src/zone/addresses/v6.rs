//! What is said of IPv6: hosts, and prefixes by whether they divide a network of /64.
//!
//! Prefixes up to /64 are all that most lists have, and the upper half of an address tells them apart: a table of these has half
//! the keys' octets. Lists of IPv4 have none of all this, and no room for it.

use super::{
    layers::{Hosts, Piece, Segments},
    sweep::Swept,
};
use crate::zone::{
    lifetimes::Lifetimes,
    ruling::{Context, Finding, Rulings},
    subject::Run,
};

/// The addresses and prefixes of IPv6.
#[derive(Debug)]
pub(super) struct V6 {
    hosts: Hosts<u128>,
    /// Prefixes of /65 to /127.
    deep: Segments<u128>,
    /// Prefixes up to /64, by the upper halves of their addresses.
    wide: Segments<u64>,
}

impl V6 {
    /// From what was swept of both sorts; nothing if nothing is said there.
    pub(super) fn of(deep: Swept<u128>, wide: Swept<u64>) -> Option<Box<Self>> {
        let all = Self { hosts: deep.hosts, deep: deep.segments, wide: wide.segments };
        let is_any = all.hosts.len() > 0 || !all.deep.is_empty() || !all.wide.is_empty();
        is_any.then(|| Box::new(all))
    }

    /// What is said of an address.
    #[inline]
    pub(super) fn find<'a>(&'a self, address: u128, rulings: &'a Rulings, context: &Context) -> Finding<'a> {
        let host = self.hosts.find(address, rulings, context);
        if !host.is_absent() {
            return host;
        }
        match self.deep.find(address, rulings, context) {
            Finding::Absent => self.wide.find((address >> 64) as u64, rulings, context),
            finding => finding,
        }
    }

    /// Whether any address of a range is listed now, or too many had to be asked.
    pub(super) fn any_listed(
        &self,
        range: Run<u128>,
        rulings: &Rulings,
        context: &Context,
        asks_left: &mut usize,
    ) -> bool {
        let no_host = |piece, asks_left: &mut _| self.hosts.leave_any(piece, rulings, context, asks_left);
        self.hosts.any_listed(range, rulings, context, asks_left)
            || self.deep.any_listed(range, rulings, context, asks_left, no_host)
            || self.wide.any_listed(upper_halves(range), rulings, context, asks_left, |wide, asks_left| {
                let (first, last) = (range.first.max(first_below(wide.first)), range.last.min(last_below(wide.last)));
                self.deep.any_left(Run { first, last }, rulings, context, asks_left, no_host)
            })
    }

    /// What has something to say in a range, the most specific first.
    pub(super) fn layers(&self, range: Run<u128>) -> Vec<Box<dyn Iterator<Item = Piece> + '_>> {
        let wide = self.wide.iter(upper_halves(range)).map(|piece| piece.map(first_below, last_below));
        vec![Box::new(self.hosts.iter(range)), Box::new(self.deep.iter(range)), Box::new(wide)]
    }

    /// Something is said of so many addresses at most.
    pub(super) fn extent(&self) -> f64 {
        self.hosts.len() as f64 + self.deep.extent() + self.wide.extent() * 2f64.powi(64)
    }

    /// Addresses of which something is said, from all over, some more than `count` if there are so many.
    pub(super) fn spread(&self, count: usize) -> impl Iterator<Item = u128> {
        let wide = self.wide.spread(count).map(first_below);
        self.hosts.spread(count).chain(self.deep.spread(count)).chain(wide)
    }

    /// Whether anything has an end of its own.
    pub(super) fn has_lifetimes(&self) -> bool {
        self.hosts.has_lifetimes() || self.deep.has_lifetimes() || self.wide.has_lifetimes()
    }

    /// How much of it ends, and when.
    pub(super) fn lifetimes(&self, rulings: &Rulings, now_s: u64) -> Lifetimes {
        let prefixes = self.deep.lifetimes(rulings, now_s).and(self.wide.lifetimes(rulings, now_s));
        prefixes.and(self.hosts.lifetimes(rulings, now_s))
    }

    /// Bytes of memory held.
    pub(super) fn memory_bytes(&self) -> usize {
        self.hosts.memory_bytes() + self.deep.memory_bytes() + self.wide.memory_bytes()
    }
}

/// The leading 64 bits of a range's ends.
fn upper_halves(range: Run<u128>) -> Run<u64> {
    Run { first: (range.first >> 64) as u64, last: (range.last >> 64) as u64 }
}

/// The lowest address with these leading 64 bits.
fn first_below(upper: u64) -> u128 {
    u128::from(upper) << 64
}

/// The highest address with these leading 64 bits.
fn last_below(upper: u64) -> u128 {
    first_below(upper) | u128::from(u64::MAX)
}
