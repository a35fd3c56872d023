//! Names compared: all datasets of both sides are walked together in the order of the tree, with what holds below the names
//! on the way, so that a name counts by what it answers and not by which line says so.

use super::{
    Change, Difference, Item,
    answers::{Answers, Reader},
};
use crate::zone::{
    dataset::{Dataset, Entries},
    reversed::unreverse,
    ruling::{Context, Finding},
};

/// Nothing is said; what holds is said above.
const UNSAID: u32 = u32::MAX;

/// The names of one dataset, labels from right to left, in their order.
#[derive(Default)]
struct OrderedNames {
    octets: Vec<u8>,
    rows: Vec<Row>,
}

struct Row {
    end: usize,
    /// Answers of the name itself.
    exact: u32,
    /// Answers of all names below it.
    below: u32,
}

impl OrderedNames {
    fn new(dataset: &Dataset, context: &Context, answers: &mut Answers) -> Self {
        let mut own = Self::default();
        let Entries::Names(names) = &dataset.entries else { return own };
        let mut reader = Reader::new(dataset);
        names.for_each(|name, exact, wildcard| {
            let mut read = |finding: Finding<'_>| match finding {
                Finding::Absent => UNSAID,
                finding => reader.read(finding, context, answers),
            };
            let (exact, below) = (read(names.decide(exact, context)), read(names.decide(wildcard, context)));
            if exact == UNSAID && below == UNSAID {
                return;
            }
            own.octets.extend_from_slice(name.all());
            own.rows.push(Row { end: own.octets.len(), exact, below });
        });
        own
    }

    fn name(&self, row: usize) -> &[u8] {
        let start = row.checked_sub(1).map_or(0, |before| self.rows[before].end);
        &self.octets[start..self.rows[row].end]
    }
}

/// What holds below a name on the way.
struct Step {
    name: Vec<u8>,
    below: Vec<u32>,
}

/// Compares names.
pub(super) fn compare(
    old: &[&Dataset],
    new: &[&Dataset],
    context: &Context,
    answers: &mut Answers,
    difference: &mut Difference,
) {
    let datasets: Vec<OrderedNames> =
        old.iter().chain(new).map(|dataset| OrderedNames::new(dataset, context, answers)).collect();
    let mut at = vec![0; datasets.len()];
    let mut way: Vec<Step> = Vec::new();
    let (nothing, mut exact, mut below) = (vec![Answers::NONE; datasets.len()], Vec::new(), Vec::new());
    loop {
        let heads = datasets.iter().zip(&at).filter(|(dataset, at)| **at < dataset.rows.len());
        let Some(name) = heads.map(|(dataset, at)| dataset.name(*at)).min() else { return };
        while way.pop_if(|step| !name.starts_with(&step.name)).is_some() {}
        let above = way.last().map_or(&nothing, |step| &step.below);
        exact.clone_from(above);
        below.clone_from(above);
        let (mut says_exact, mut says_below) = (false, false);
        for (number, dataset) in datasets.iter().enumerate() {
            let Some(row) = dataset.rows.get(at[number]).filter(|_| dataset.name(at[number]) == name) else { continue };
            for (said, says, holds) in
                [(row.exact, &mut says_exact, &mut exact), (row.below, &mut says_below, &mut below)]
            {
                if said != UNSAID {
                    *says = true;
                    holds[number] = said;
                }
            }
            at[number] += 1;
        }
        let mut together = |sets: &[u32]| sets.iter().fold(Answers::NONE, |all, &set| answers.union(all, set));
        let (before, after) = exact.split_at(old.len());
        if says_exact {
            // What only a wildcard above says is counted there.
            let (before, after) = (together(before), together(after));
            difference.before.names += u64::from(before != Answers::NONE);
            if let Some(change) = Change::of(before, after) {
                difference.add(change, |amounts| amounts.names += 1, || Item::Name(unreverse(name)));
            }
        }
        let (before, after) = below.split_at(old.len());
        if says_below {
            let (before, after) = (together(before), together(after));
            difference.before.wildcards += u64::from(before != Answers::NONE);
            if let Some(change) = Change::of(before, after) {
                difference.add(change, |amounts| amounts.wildcards += 1, || Item::Wildcard(unreverse(name)));
            }
        }
        if says_below {
            way.push(Step { name: name.to_vec(), below: below.clone() });
        }
    }
}
