//! Addresses compared: each side as ranges with their answers, in order, and one sweep over both.

use super::{
    Change, Difference, Item,
    answers::{Answers, Reader},
};
use crate::zone::{
    dataset::{Dataset, Entries},
    ruling::Context,
};

/// Addresses that answer alike, and are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run<A> {
    first: A,
    last: A,
    set: u32,
}

/// An address of either family.
trait Address: Copy + Ord {
    /// The one after it, if there is one.
    fn next(self) -> Option<Self>;
    /// The one before it, which there is.
    fn before(self) -> Self;
}

impl Address for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn before(self) -> Self {
        self - 1
    }
}

impl Address for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn before(self) -> Self {
        self - 1
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
fn runs_of<A: Address>(
    dataset: &Dataset,
    context: &Context,
    answers: &mut Answers,
    walk: impl Fn(&Dataset, &mut dyn FnMut(A, A, u32), &mut Reader<'_>, &Context, &mut Answers),
) -> Vec<Run<A>> {
    let mut runs = Vec::new();
    let mut reader = Reader::new(dataset);
    walk(dataset, &mut |first, last, set| push(&mut runs, first, last, set), &mut reader, context, answers);
    runs
}

/// The ranges of several datasets together.
fn runs_of_all<A: Address>(
    datasets: &[&Dataset],
    context: &Context,
    answers: &mut Answers,
    walk: impl Fn(&Dataset, &mut dyn FnMut(A, A, u32), &mut Reader<'_>, &Context, &mut Answers),
) -> Vec<Run<A>> {
    let mut all: Vec<Run<A>> = Vec::new();
    for dataset in datasets {
        let own = runs_of(dataset, context, answers, &walk);
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

fn walk_v4(
    dataset: &Dataset,
    push: &mut dyn FnMut(u32, u32, u32),
    reader: &mut Reader<'_>,
    context: &Context,
    answers: &mut Answers,
) {
    let Entries::Addresses(addresses) = &dataset.entries else { return };
    addresses.for_each_v4(|first, last, standings| {
        push(first, last, reader.read(addresses.decide(standings, context), context, answers));
    });
}

fn walk_v6(
    dataset: &Dataset,
    push: &mut dyn FnMut(u128, u128, u32),
    reader: &mut Reader<'_>,
    context: &Context,
    answers: &mut Answers,
) {
    let Entries::Addresses(addresses) = &dataset.entries else { return };
    addresses.for_each_v6(|first, last, standings| {
        push(first, last, reader.read(addresses.decide(standings, context), context, answers));
    });
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

/// Compares IPv4 addresses.
pub(super) fn compare_v4(
    old: &[&Dataset],
    new: &[&Dataset],
    context: &Context,
    answers: &mut Answers,
    difference: &mut Difference,
) {
    let old = runs_of_all(old, context, answers, walk_v4);
    let new = runs_of_all(new, context, answers, walk_v4);
    let count = |first: u32, last: u32| u64::from(last - first) + 1;
    difference.before.v4 = old.iter().map(|run| count(run.first, run.last)).sum();
    changes(&old, &new, |change, first, last| {
        difference.add(change, |amounts| amounts.v4 += count(first, last), || Item::V4(first, last));
    });
}

/// Compares IPv6 addresses. All of them together are one too many for a count, which then stays one short.
pub(super) fn compare_v6(
    old: &[&Dataset],
    new: &[&Dataset],
    context: &Context,
    answers: &mut Answers,
    difference: &mut Difference,
) {
    let old = runs_of_all(old, context, answers, walk_v6);
    let new = runs_of_all(new, context, answers, walk_v6);
    let count = |first: u128, last: u128| (last - first).saturating_add(1);
    difference.before.v6 = old.iter().fold(0, |sum, run| sum.saturating_add(count(run.first, run.last)));
    changes(&old, &new, |change, first, last| {
        let add = |amounts: &mut super::Amounts| amounts.v6 = amounts.v6.saturating_add(count(first, last));
        difference.add(change, add, || Item::V6(first, last));
    });
}
