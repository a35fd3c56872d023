//! From lines in any order to sorted hosts and flat segments.
//!
//! Ten million hosts that all say the same are one sort of four bytes each, and nothing at all where the file was sorted.
//! Prefixes are sorted by their start, wider ones first, and swept once with a stack of those that are open: where one opens
//! or closes, a segment begins, and what it says follows from the stack.

use super::{
    Addresses,
    layers::{Hosts, Rows, Segments},
    sorted::Key,
};
use crate::zone::{
    ruling::{Claim, Ruling, RulingsBuilder},
    standing::{Equals, Standing},
};

/// Which of the entries around an address decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Specificity {
    /// Entries of /25 to /32 before those of /17 to /24, /9 to /16 and /0 to /8; all entries of the first of these levels
    /// that has one in force count (rbldnsd's ip4set). IPv6 has [`Self::Prefix`] with [`Equals::First`].
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

/// A prefix and what a line says of it.
#[derive(Clone, Copy, Debug)]
struct Entry<K> {
    start: K,
    /// Grows with the lines.
    order: u64,
    standing: Standing,
    length: u8,
}

/// IPv4 hosts in the order of their lines. The columns after the first are empty as long as all hosts say the same.
#[derive(Debug, Default)]
struct HostLines {
    keys: Vec<u32>,
    rulings: Vec<Ruling>,
    untils_s: Vec<u32>,
    first: Option<Standing>,
}

impl HostLines {
    #[inline]
    fn push(&mut self, key: u32, standing: Standing) {
        let first = *self.first.get_or_insert(standing);
        if !self.rulings.is_empty() || standing.ruling != first.ruling {
            self.rulings.resize(self.keys.len(), first.ruling);
            self.rulings.push(standing.ruling);
        }
        if !self.untils_s.is_empty() || standing.until_s != first.until_s {
            self.untils_s.resize(self.keys.len(), first.until_s);
            self.untils_s.push(standing.until_s);
        }
        self.keys.push(key);
    }

    fn standing(&self, line: usize) -> Standing {
        let first = self.first.unwrap_or(Standing::ABSENT);
        Standing {
            ruling: self.rulings.get(line).copied().unwrap_or(first.ruling),
            until_s: self.untils_s.get(line).copied().unwrap_or(first.until_s),
        }
    }

    /// Freezes the hosts. Those within the ranges of `shared`, which are sorted, go into `deferred` instead.
    fn build(
        self,
        equals: Equals,
        rulings: &mut RulingsBuilder,
        shared: &[(u32, u32)],
        deferred: &mut Vec<Entry<u32>>,
    ) -> Hosts<u32> {
        let mut rows = Rows::new();
        if self.rulings.is_empty() && self.untils_s.is_empty() && shared.is_empty() {
            let standing = self.standing(0);
            let mut keys = self.keys;
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                rows.push(key, standing, rulings.so_far());
            }
            return rows.into_hosts();
        }
        // The line below the key keeps equal keys in the order of their lines.
        let mut lines: Vec<u64> =
            self.keys.iter().enumerate().map(|(line, &key)| u64::from(key) << 32 | line as u64).collect();
        lines.sort_unstable();
        let mut ranges = shared.iter().peekable();
        for equal in lines.chunk_by(|one, two| one >> 32 == two >> 32) {
            let key = (equal[0] >> 32) as u32;
            // Of nested ranges, those within the one that is at hand are passed once it ends.
            while ranges.next_if(|range| range.1 < key).is_some() {}
            let standings = equal.iter().map(|line| self.standing(*line as u32 as usize));
            if ranges.peek().is_some_and(|range| range.0 <= key) {
                deferred.extend(standings.zip(equal).map(|(standing, line)| Entry {
                    start: key,
                    order: host_order(*line as u32),
                    standing,
                    length: 32,
                }));
            } else {
                let standing = equals.standing(standings, rulings);
                rows.push(key, standing, rulings.so_far());
            }
        }
        rows.into_hosts()
    }
}

/// The place among all lines of the host with that number; [`AddressesBuilder::add_v4`] gives prefixes theirs.
fn host_order(host: u32) -> u64 {
    u64::from(host) << 32 | u64::from(u32::MAX)
}

/// Builds [`Addresses`].
#[derive(Debug)]
pub struct AddressesBuilder {
    specificity: Specificity,
    v4_hosts: HostLines,
    v4: Vec<Entry<u32>>,
    v6_hosts: Vec<Entry<u128>>,
    v6_deep: Vec<Entry<u128>>,
    v6_wide: Vec<Entry<u64>>,
    rulings: RulingsBuilder,
}

impl AddressesBuilder {
    /// An empty set.
    pub fn new(specificity: Specificity) -> Self {
        Self {
            specificity,
            v4_hosts: HostLines::default(),
            v4: Vec::new(),
            v6_hosts: Vec::new(),
            v6_deep: Vec::new(),
            v6_wide: Vec::new(),
            rulings: RulingsBuilder::default(),
        }
    }

    /// The next line: the IPv4 prefix of `length` bits around `address`.
    #[inline]
    pub fn add_v4(&mut self, address: u32, length: u8, claim: Claim) {
        debug_assert!(length <= 32);
        let standing = Standing::of(claim, &mut self.rulings);
        if length == 32 {
            self.v4_hosts.push(address, standing);
        } else {
            let order = (self.v4_hosts.keys.len() as u64) << 32 | self.v4.len() as u64;
            self.v4.push(Entry { start: address.prefix(length).0, order, standing, length });
        }
    }

    /// The next line: the IPv6 prefix of `length` bits around `address`.
    pub fn add_v6(&mut self, address: u128, length: u8, claim: Claim) {
        debug_assert!(length <= 128);
        let standing = Standing::of(claim, &mut self.rulings);
        let start = address.prefix(length).0;
        if length <= 64 {
            let order = self.v6_wide.len() as u64;
            self.v6_wide.push(Entry { start: (start >> 64) as u64, order, standing, length });
        } else {
            let entries = if length == 128 { &mut self.v6_hosts } else { &mut self.v6_deep };
            entries.push(Entry { start, order: entries.len() as u64, standing, length });
        }
    }

    /// Number of lines so far.
    pub fn entries(&self) -> usize {
        self.v4_hosts.keys.len() + self.v4.len() + self.v6_hosts.len() + self.v6_deep.len() + self.v6_wide.len()
    }

    /// Freezes the set.
    pub fn build(self) -> Addresses {
        let entries = self.entries();
        let Self { specificity, v4_hosts, mut v4, v6_hosts, v6_deep, v6_wide, mut rulings } = self;
        // A host counts together with the other prefixes of its level: where there are any, the sweep takes it.
        let mut shared: Vec<(u32, u32)> = Vec::new();
        if specificity == Specificity::Octets {
            shared.extend(v4.iter().filter(|entry| entry.length > 24).map(|entry| entry.start.prefix(entry.length)));
            shared.sort_unstable();
        }
        let v4_hosts = v4_hosts.build(specificity.equals(), &mut rulings, &shared, &mut v4);
        let v4_segments = sweep(v4, specificity, &mut rulings);
        let specificity = specificity.for_v6();
        Addresses {
            v4_hosts,
            v4_segments,
            v6_hosts: build_v6_hosts(v6_hosts, specificity.equals(), &mut rulings),
            v6_deep: sweep(v6_deep, specificity, &mut rulings),
            v6_wide: sweep(v6_wide, specificity, &mut rulings),
            rulings: rulings.build(),
            entries,
        }
    }
}

fn build_v6_hosts(mut entries: Vec<Entry<u128>>, equals: Equals, rulings: &mut RulingsBuilder) -> Hosts<u128> {
    entries.sort_unstable_by_key(|entry| (entry.start, entry.order));
    let mut rows = Rows::new();
    for equal in entries.chunk_by(|one, two| one.start == two.start) {
        let standing = equals.standing(equal.iter().map(|entry| entry.standing), rulings);
        rows.push(equal[0].start, standing, rulings.so_far());
    }
    rows.into_hosts()
}

/// A prefix that is open while the sweep passes.
struct Open<'a, K> {
    last: K,
    level: u8,
    entries: &'a [Entry<K>],
    /// What holds inside, that of the prefixes around it included.
    standing: Standing,
}

/// Flattens prefixes.
fn sweep<K: Key>(mut entries: Vec<Entry<K>>, specificity: Specificity, rulings: &mut RulingsBuilder) -> Segments<K> {
    entries.sort_unstable_by_key(|entry| (entry.start, entry.length, entry.order));
    let mut cuts: Vec<(K, Standing)> = Vec::new();
    let mut open: Vec<Open<'_, K>> = Vec::new();
    for equal in entries.chunk_by(|one, two| (one.start, one.length) == (two.start, two.length)) {
        let Entry { start, length, standing, .. } = equal[0];
        close(&mut open, &mut cuts, |last| last < start);
        let level = specificity.level(length);
        open.push(Open { last: start.prefix(length).1, level, entries: equal, standing });
        let standing = standing_inside(&open, specificity.equals(), rulings);
        if let Some(newest) = open.last_mut() {
            newest.standing = standing;
        }
        cut(&mut cuts, start, standing);
    }
    close(&mut open, &mut cuts, |_| true);
    let mut rows = Rows::new();
    for (start, standing) in cuts {
        rows.push(start, standing, rulings.so_far());
    }
    rows.into_segments()
}

/// Closes the innermost prefixes, as long as `is_over` holds for their last keys.
fn close<K: Key>(open: &mut Vec<Open<'_, K>>, cuts: &mut Vec<(K, Standing)>, is_over: impl Fn(K) -> bool) {
    while let Some(closed) = open.pop_if(|open| is_over(open.last)) {
        if let Some(after) = closed.last.next() {
            cut(cuts, after, open.last().map_or(Standing::ABSENT, |around| around.standing));
        }
    }
}

/// Lets `standing` hold from `start` on.
fn cut<K: Key>(cuts: &mut Vec<(K, Standing)>, start: K, standing: Standing) {
    cuts.pop_if(|newest| newest.0 == start);
    if cuts.last().map_or(Standing::ABSENT, |newest| newest.1) != standing {
        cuts.push((start, standing));
    }
}

/// What holds inside the innermost prefix.
fn standing_inside<K: Key>(open: &[Open<'_, K>], equals: Equals, rulings: &mut RulingsBuilder) -> Standing {
    let mut levels = Vec::new();
    // Nearly always one line decides, and no list of claims has to be made.
    if let [around @ .., innermost] = open {
        let is_alone = around.last().is_none_or(|around| around.level != innermost.level);
        let decides = around.is_empty() || innermost.standing.is_unconditional();
        if let (true, [only]) = (is_alone && decides, innermost.entries) {
            return only.standing;
        }
    }
    for level in open.chunk_by(|one, two| one.level == two.level).rev() {
        let mut entries: Vec<&Entry<K>> = level.iter().flat_map(|open| open.entries).collect();
        entries.sort_unstable_by_key(|entry| entry.order);
        levels.push(equals.settle(entries.into_iter().map(|entry| entry.standing), rulings.so_far()));
    }
    Standing::of_levels(levels, rulings)
}
