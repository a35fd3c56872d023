//! Does anything exist below a name that is not listed itself?
//!
//! If so the name is an empty non-terminal and the answer is NOERROR without data, else it is NXDOMAIN, and a resolver may
//! conclude that nothing is below it either (RFC 8020). Resolvers that ask label by label (RFC 9156) see every such name.

use super::gate::Gate;
use crate::zone::{
    dataset::{Dataset, Entries},
    ruling::Context,
    snapshot::Sought,
    subject::{Run, Subject},
};

/// Whether a dataset of addresses lists anything in the run of addresses that a name begins to spell. Names and records
/// know what is below them from their own lookup.
#[inline]
pub(super) fn anything_below(context: &Context, sought: &Sought<'_>, gate: &Gate<'_>) -> bool {
    let subject = &sought.subject;
    // Below an address there is nothing, and nearly all that is asked for is one.
    let is_whole = subject.v4.is_some_and(|run| run.address().is_some()) && subject.v6.is_none();
    if gate.empty || is_whole && sought.is_seen_alike() {
        return false;
    }
    sought.any(|dataset, subject| anything_of(dataset, context, subject, gate))
}

#[inline]
fn anything_of(dataset: &Dataset, context: &Context, subject: &Subject<'_>, gate: &Gate<'_>) -> bool {
    if subject.v4.is_none() && subject.v6.is_none() {
        return false;
    }
    if gate.listed.is_some() {
        return anything_could_be_below(dataset, subject);
    }
    anything_of_addresses(dataset, context, subject)
}

/// Whether a dataset of addresses lists anything in a run that is not a single address.
#[inline]
pub(super) fn anything_of_addresses(dataset: &Dataset, context: &Context, subject: &Subject<'_>) -> bool {
    let Entries::Addresses(addresses) = &dataset.entries else { return false };
    let v4 = |run: Run<u32>| addresses.any_listed_v4(run.first, run.last, context);
    subject.v4.is_some_and(|run| run.address().is_none() && v4(run))
        || subject.v6.is_some_and(|run| {
            run.address().is_none()
                && (addresses.any_listed_v6(run.first, run.last, context)
                    || subject.v4_behind_nibbles().into_iter().flatten().any(v4))
        })
}

/// The same for a client for whom everything is listed.
fn anything_could_be_below(dataset: &Dataset, subject: &Subject<'_>) -> bool {
    let partial_v4 = subject.v4.is_some_and(|run| run.address().is_none());
    let partial_v6 = subject.v6.is_some_and(|run| run.address().is_none());
    (dataset.kind.holds_v4() && (partial_v4 || partial_v6 && subject.v4_behind_nibbles().iter().any(Option::is_some)))
        || (dataset.kind.holds_v6() && partial_v6)
}
