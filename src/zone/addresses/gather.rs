//! Lines in any order to prefixes in order: narrow ones after the wide ones that they begin with.
//!
//! Most files say the same of every line, and all lines are hosts. As long as these come in order, they are put at once where
//! they stay; when one does not, a run of them is nothing but the distances from one to the next, about two octets each. What
//! differs within a run takes an octet or two more: lengths, values, ends of lifetimes. Runs are read [side by
//! side](super::stretches).

use std::{ops::Range, sync::Arc};

use super::{
    key::Key,
    newest::Newest,
    packing::{Common, Packing, Reading},
    sorted::SortedBuilder,
    stretches::Stretches,
};
use crate::zone::{standing::Standing, translation::Translation};

/// Lines are collected up to an eighth of what is packed already, within these limits of octets.
const COLLECTED_SHARE: usize = 8;
const COLLECTED_MIN: usize = 1 << 19;
const COLLECTED_MAX: usize = 1 << 24;
/// So many runs that were merged equally often become one: distances in it are shorter, and few are open in the end.
const MERGED_RUNS: usize = 10;

/// Hosts from the first line on, of which all say the same for ever, and each is above the one before it.
#[derive(Debug)]
pub(super) struct HostsInOrder<K> {
    pub(super) keys: SortedBuilder<K>,
    pub(super) standing: Standing,
    length: u8,
    highest: K,
    /// Lines, equal ones included.
    count: usize,
    /// A line came that is not like that.
    is_over: bool,
}

impl<K: Key> HostsInOrder<K> {
    fn new() -> Self {
        let is_over = !K::MAY_COME_IN_ORDER;
        Self { keys: SortedBuilder::new(), standing: Standing::ABSENT, length: 0, highest: K::MIN, count: 0, is_over }
    }

    /// Takes a line, if it is as it should be.
    #[inline]
    fn takes(&mut self, start: K, length: u8, standing: Standing) -> bool {
        if self.is_over {
            return false;
        }
        if start > self.highest && standing == self.standing && length == self.length && self.count > 0 {
            self.highest = start;
            self.count += 1;
            self.keys.push(start);
            return true;
        }
        self.takes_first_or_equal(start, length, standing)
    }

    #[cold]
    fn takes_first_or_equal(&mut self, start: K, length: u8, standing: Standing) -> bool {
        if self.count == 0 && K::HOST_LENGTH == Some(length) && standing.is_endless() {
            (self.highest, self.length, self.standing, self.count) = (start, length, standing, 1);
            self.keys.push(start);
            return true;
        }
        if self.count > 0 && (start, length, standing) == (self.highest, self.length, self.standing) {
            self.count += 1;
            return true;
        }
        self.is_over = true;
        false
    }
}

/// Lines while they are gathered.
#[derive(Debug)]
pub(super) struct Gathered<K> {
    ordered: HostsInOrder<K>,
    newest: Newest<K>,
    /// Octets of newest lines that are enough.
    enough: usize,
    runs: Vec<Packing<K>>,
    /// Lines in runs, equal ones included.
    count: usize,
}

impl<K: Key> Gathered<K> {
    pub(super) fn new() -> Self {
        Self { ordered: HostsInOrder::new(), newest: Newest::new(), enough: COLLECTED_MIN, runs: Vec::new(), count: 0 }
    }

    /// The next line. Bits of `start` beyond `length` are zero.
    #[inline]
    pub(super) fn push(&mut self, start: K, length: u8, standing: Standing) {
        if !self.ordered.takes(start, length, standing) {
            self.collect(start, length, standing);
        }
    }

    #[inline]
    fn collect(&mut self, start: K, length: u8, standing: Standing) {
        if self.newest.push(start, length, standing) >= self.enough {
            self.pack();
        }
    }

    /// Number of lines so far.
    pub(super) fn count(&self) -> usize {
        self.ordered.count + self.count + self.newest.len()
    }

    /// Takes over lines that follow, of which each says what it is translated to.
    pub(super) fn absorb(&mut self, mut later: Self, translation: Option<&Arc<Translation>>) {
        later.pack();
        let Self { ordered, runs, count, .. } = later;
        let translated = |ruling| translation.map_or(ruling, |translation| translation.ruling(ruling));
        let standing = Standing { ruling: translated(ordered.standing.ruling), ..ordered.standing };
        // Equal lines are counted, and not kept.
        self.count += count + ordered.count - ordered.keys.len();
        for start in ordered.keys.into_keys() {
            self.push(start, ordered.length, standing);
        }
        self.pack();
        // What follows these is not to come before them.
        self.ordered.is_over |= !runs.is_empty();
        for mut run in runs {
            if let Some(translation) = translation {
                run.translate(translation);
            }
            self.runs.push(run);
        }
    }

    /// Packs the newest lines, at the end of the newest run if they follow it.
    #[cold]
    fn pack(&mut self) {
        let Self { newest, runs, .. } = self;
        self.count += newest.len();
        let Some((common, first)) = newest.sort() else { return };
        let is_followed = runs.last().is_some_and(|run| run.is_followed_by(common, first));
        if !is_followed {
            runs.last_mut().into_iter().for_each(Packing::shrink_to_fit);
            runs.push(Packing::new(common, 0));
        }
        let run = runs.last_mut().expect("there is one that they follow");
        newest.take(|entry| run.push(entry));
        if !is_followed && runs_to_merge(runs).is_some() {
            newest.give_back();
            merge(runs);
        }
        let packed: usize = runs.iter().map(Packing::len).sum();
        self.enough = (packed / COLLECTED_SHARE).clamp(COLLECTED_MIN, COLLECTED_MAX);
    }

    /// All lines, if they are hosts in order.
    pub(super) fn take_ordered(&mut self) -> Option<HostsInOrder<K>> {
        let is_all = self.ordered.count > 0 && self.count() == self.ordered.count;
        is_all.then(|| std::mem::replace(&mut self.ordered, HostsInOrder::new()))
    }

    /// All entries in order; equal prefixes in the order of their lines.
    pub(super) fn into_entries(mut self) -> Stretches<K> {
        self.pack();
        let Self { ordered: HostsInOrder { keys, length, standing, .. }, runs, .. } = self;
        let ordered = (keys.len() > 0).then(|| Reading::alike(keys, length.into(), standing));
        Stretches::new(ordered.into_iter().chain(runs.into_iter().map(Packing::read)))
    }
}

/// The runs before the newest, if there are enough that were merged equally often.
fn runs_to_merge<K: Key>(runs: &[Packing<K>]) -> Option<Range<usize>> {
    let end = runs.len().checked_sub(1)?;
    let range = end.checked_sub(MERGED_RUNS)?..end;
    runs[range.clone()].iter().all(|run| run.merged == runs[range.start].merged).then_some(range)
}

/// Makes one run of those before the newest, as long as there are enough.
fn merge<K: Key>(runs: &mut Vec<Packing<K>>) {
    while let Some(range) = runs_to_merge(runs) {
        let common = runs[range.clone()].iter().map(|run| run.common).reduce(Common::and).expect("some runs");
        let mut merged = Packing::new(common, runs[range.start].merged + 1);
        let mut stretches = Stretches::new(runs.drain(range.clone()).map(Packing::read));
        while let Some(entries) = stretches.take() {
            for entry in entries {
                merged.push(*entry);
            }
        }
        merged.shrink_to_fit();
        runs.insert(range.start, merged);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::zone::{
        ruling::{FOREVER_S, Ruling},
        values::ValueId,
    };

    fn all<K: Key>(lines: &[(K, u8, Standing)]) -> Vec<(K, u8, Standing)> {
        let mut gathered = Gathered::new();
        for &(start, length, standing) in lines {
            gathered.push(start, length, standing);
        }
        assert_eq!(gathered.count(), lines.len());
        taken(gathered)
    }

    fn taken<K: Key>(gathered: Gathered<K>) -> Vec<(K, u8, Standing)> {
        let mut stretches = gathered.into_entries();
        let mut all = Vec::new();
        while let Some(entries) = stretches.take() {
            all.extend(entries.iter().map(|entry| (entry.start, entry.length as u8, entry.standing)));
        }
        all
    }

    fn holds<K: Key + std::fmt::Debug>(mut lines: Vec<(K, u8, Standing)>) {
        let gathered = all(&lines);
        let parts = [2, 3].map(|parts| from_parts(&lines, parts));
        lines.sort_by_key(|line| (line.0, line.1));
        assert!(gathered == lines);
        assert!(parts.iter().all(|gathered| *gathered == lines));
    }

    /// The same of lines that were gathered side by side; of hosts in order, those that are equal are kept once.
    fn from_parts<K: Key>(lines: &[(K, u8, Standing)], parts: usize) -> Vec<(K, u8, Standing)> {
        let mut gathered = Gathered::new();
        for part in lines.chunks(lines.len().div_ceil(parts).max(1)) {
            let mut later = Gathered::new();
            for &(start, length, standing) in part {
                later.push(start, length, standing);
            }
            gathered.absorb(later, None);
        }
        assert_eq!(gathered.count(), lines.len());
        taken(gathered)
    }

    fn standings() -> impl Strategy<Value = Standing> {
        let ruling = prop_oneof![
            (0_u32..300).prop_map(|value| Ruling::listed(ValueId(value))),
            Just(Ruling::EXCLUDED),
            Just(Ruling(0x8000_0001)),
        ];
        let until_s = prop_oneof![Just(FOREVER_S), any::<u32>(), 1_800_000_000_u32..1_800_003_600];
        (ruling, until_s).prop_map(|(ruling, until_s)| Standing { ruling, until_s })
    }

    proptest! {
        #[test]
        fn few_come_in_order(lines in proptest::collection::vec((0_u64..99, 0_u8..4, standings()), 0..99)) {
            holds(lines);
        }

        #[test]
        fn wide_keys_come_back(lines in proptest::collection::vec((any::<u128>(), any::<u8>(), standings()), 0..99)) {
            holds(lines);
        }
    }

    #[test]
    fn parts_stay_in_order() {
        let [one, two] = [1, 2].map(|value| Standing { ruling: Ruling::listed(ValueId(value)), until_s: FOREVER_S });
        // Each half begins with hosts in order; what the second begins with was said in the first, otherwise.
        holds::<u32>(vec![(3, 32, one), (9, 32, two), (9, 32, one), (7, 32, two)]);
    }

    #[test]
    fn many_come_in_order() {
        let one = Standing { ruling: Ruling::listed(ValueId(1)), until_s: FOREVER_S };
        let scattered = |index: u32| index.wrapping_mul(2_654_435_761);
        let numbers = 0..900_000_u32;
        holds(numbers.clone().map(|index| (index, 32, one)).collect());
        holds(numbers.clone().map(|index| (scattered(index), 32, one)).collect());
        let mixed = |index: u32| Standing { ruling: Ruling::listed(ValueId(index % 30)), until_s: scattered(index) };
        holds(numbers.clone().map(|index| (scattered(index), (index % 3) as u8, mixed(index))).collect());
        holds(numbers.clone().map(|index| (index % 1_000, 32, mixed(index))).collect());
        let few = |index: u32| Standing { ruling: Ruling::listed(ValueId(index % 300)), until_s: FOREVER_S };
        holds(numbers.clone().map(|index| (scattered(index) & 0xffff_ff00, (index % 5) as u8, few(index))).collect());
        let turns = |index: u32| if index < 500_000 { few(index % 7) } else { mixed(index) };
        holds(numbers.clone().map(|index| (scattered(index), 32, turns(index / 9))).collect());
        holds((0..4_000_000).map(|index| (scattered(index), 32, one)).collect());
    }

    #[test]
    fn sorted_lines_make_one_run() {
        let mut gathered = Gathered::new();
        let one = Standing { ruling: Ruling::listed(ValueId(1)), until_s: FOREVER_S };
        (0..900_000_u32).for_each(|index| gathered.collect(index * 100, 32, one));
        gathered.pack();
        assert_eq!((gathered.runs.len(), gathered.runs[0].len()), (1, 900_000));
    }

    #[test]
    fn hosts_in_order_stay_where_they_are() {
        let one = Standing { ruling: Ruling::listed(ValueId(1)), until_s: FOREVER_S };
        let hosts = |gathered: &mut Gathered<u32>| (0..300_000).for_each(|index| gathered.push(index / 2 * 3, 32, one));
        let mut gathered = Gathered::new();
        hosts(&mut gathered);
        assert_eq!(gathered.count(), 300_000);
        let ordered = gathered.take_ordered().expect("hosts in order");
        assert!(ordered.keys.into_keys().eq((0..150_000).map(|index| index * 3)));
        for (start, length, standing) in
            [(7, 32, one), (0xffff_0000, 16, one), (900_000, 32, Standing { ruling: Ruling::EXCLUDED, ..one })]
        {
            let mut gathered = Gathered::new();
            hosts(&mut gathered);
            gathered.push(start, length, standing);
            hosts(&mut gathered);
            assert_eq!(gathered.count(), 600_001);
            assert!(gathered.take_ordered().is_none());
            let all = taken(gathered);
            let first = (0..150_000).map(|index| (index * 3, 32, one));
            let again = (0..300_000).map(|index| (index / 2 * 3, 32, one));
            let mut expected: Vec<_> = first.chain([(start, length, standing)]).chain(again).collect();
            expected.sort_by_key(|entry| (entry.0, entry.1));
            assert!(all == expected);
        }
    }
}
