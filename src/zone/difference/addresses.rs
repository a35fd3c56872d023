//! Addresses compared: each side as ranges with their answers, in order, and one sweep over both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{
    Amounts, Change, Difference, Item,
    answers::{Answers, Reader},
};
use crate::zone::{
    addresses::Addresses,
    bits::Address,
    dataset::{Dataset, Entries},
    nested::Standings,
    ruling::Context,
};

/// Addresses that answer alike, and are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run<A> {
    first: A,
    last: A,
    set: u32,
}

/// A family of addresses.
pub(super) trait Family: Address {
    /// Calls `visit` with each range of this family of which the same is said.
    fn for_each(addresses: &Addresses, visit: impl FnMut(Self, Self, &Standings));
    /// Adds a range to what is counted.
    fn count(first: Self, last: Self, amounts: &mut Amounts);
    /// A range as it is shown.
    fn item(first: Self, last: Self) -> Item;
    /// The range that a prefix is, if it is of this family.
    fn range(prefix: IpNet) -> Option<(Self, Self)>;
    /// The address that this number is.
    fn ip(self) -> IpAddr;
}

impl Family for u32 {
    fn for_each(addresses: &Addresses, visit: impl FnMut(Self, Self, &Standings)) {
        addresses.for_each_v4(visit);
    }

    fn count(first: Self, last: Self, amounts: &mut Amounts) {
        amounts.v4 += u64::from(last - first) + 1;
    }

    fn item(first: Self, last: Self) -> Item {
        Item::V4(first, last)
    }

    fn range(prefix: IpNet) -> Option<(Self, Self)> {
        let IpNet::V4(prefix) = prefix else { return None };
        Some((prefix.network().into(), prefix.broadcast().into()))
    }

    fn ip(self) -> IpAddr {
        Ipv4Addr::from(self).into()
    }
}

impl Family for u128 {
    fn for_each(addresses: &Addresses, visit: impl FnMut(Self, Self, &Standings)) {
        addresses.for_each_v6(visit);
    }

    /// All of them together are one too many for a count, which then stays one short.
    fn count(first: Self, last: Self, amounts: &mut Amounts) {
        amounts.v6 = amounts.v6.saturating_add((last - first).saturating_add(1));
    }

    fn item(first: Self, last: Self) -> Item {
        Item::V6(first, last)
    }

    fn range(prefix: IpNet) -> Option<(Self, Self)> {
        let IpNet::V6(prefix) = prefix else { return None };
        Some((prefix.network().into(), prefix.broadcast().into()))
    }

    fn ip(self) -> IpAddr {
        Ipv6Addr::from(self).into()
    }
}

/// Appends a range that comes after all before it.
fn push<A: Address>(runs: &mut Vec<Run<A>>, first: A, last: A, set: u32) {
    if set == Answers::NONE {
        return;
    }
    match runs.last_mut() {
        Some(before) if before.set == set && before.last.next() == Some(first) => before.last = last,
        _ => runs.push(Run { first, last, set }),
    }
}

/// Calls `visit` with each piece of which either says something, and what either says.
fn sweep<A: Address>(one: &[Run<A>], two: &[Run<A>], mut visit: impl FnMut(A, A, u32, u32)) {
    let (mut one, mut two) = (one.iter().peekable(), two.iter().peekable());
    // All before it is done.
    let mut at: Option<A> = None;
    loop {
        let rest =
            |run: Option<&&Run<A>>| run.map(|run| (at.map_or(run.first, |at| run.first.max(at)), run.last, run.set));
        let (first_one, first_two) = (rest(one.peek()), rest(two.peek()));
        let Some(first) = [first_one, first_two].into_iter().flatten().map(|(first, ..)| first).min() else { return };
        let mut last = None;
        let mut set_at = |run: Option<(A, A, u32)>| {
            let Some((run_first, run_last, set)) = run else { return Answers::NONE };
            let (end, set) = if run_first <= first { (run_last, set) } else { (run_first.before(), Answers::NONE) };
            last = Some(last.map_or(end, |last: A| last.min(end)));
            set
        };
        let (set_one, set_two) = (set_at(first_one), set_at(first_two));
        let Some(last) = last else { return };
        visit(first, last, set_one, set_two);
        let Some(next) = last.next() else { return };
        at = Some(next);
        one.next_if(|run| run.last < next);
        two.next_if(|run| run.last < next);
    }
}

/// The ranges of one dataset.
fn runs_of<A: Family>(dataset: &Dataset, context: &Context, answers: &mut Answers) -> Vec<Run<A>> {
    let mut runs = Vec::new();
    let Entries::Addresses(addresses) = &dataset.entries else { return runs };
    let mut reader = Reader::new(dataset);
    A::for_each(addresses, |first, last, standings| {
        push(&mut runs, first, last, reader.read(addresses.decide(standings, context), context, answers));
    });
    runs
}

/// The ranges of several datasets together.
fn runs_of_all<A: Family>(datasets: &[&Dataset], context: &Context, answers: &mut Answers) -> Vec<Run<A>> {
    let mut all: Vec<Run<A>> = Vec::new();
    for dataset in datasets {
        let own = runs_of(dataset, context, answers);
        if all.is_empty() {
            all = own;
        } else if !own.is_empty() {
            let mut both = Vec::with_capacity(all.len() + own.len());
            sweep(&all, &own, |first, last, one, two| push(&mut both, first, last, answers.union(one, two)));
            all = both;
        }
    }
    all
}

/// Visits each range that changes, neighbours with the same change joined.
fn changes<A: Address>(old: &[Run<A>], new: &[Run<A>], mut visit: impl FnMut(Change, A, A)) {
    let mut open: Option<(Change, A, A)> = None;
    sweep(old, new, |first, last, old, new| {
        let Some(change) = Change::of(old, new) else { return };
        match &mut open {
            Some((known, _, end)) if *known == change && end.next() == Some(first) => *end = last,
            _ => {
                if let Some((change, first, last)) = open.replace((change, first, last)) {
                    visit(change, first, last);
                }
            }
        }
    });
    if let Some((change, first, last)) = open {
        visit(change, first, last);
    }
}

/// Compares the addresses of a family.
pub(super) fn compare<A: Family>(
    old: &[&Dataset],
    new: &[&Dataset],
    context: &Context,
    answers: &mut Answers,
    difference: &mut Difference,
) {
    let [old, new] = [old, new].map(|datasets| runs_of_all::<A>(datasets, context, answers));
    for run in &old {
        A::count(run.first, run.last, &mut difference.before);
    }
    changes(&old, &new, |change, first, last| {
        difference.add(change, |amounts| A::count(first, last, amounts), || A::item(first, last));
    });
}
