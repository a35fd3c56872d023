//! The answer to a name that is not listed. Does anything exist below it?
//!
//! If so the name is an empty non-terminal and the answer is NOERROR without data, else it is NXDOMAIN, and a resolver may
//! conclude that nothing is below it either (RFC 8020). Resolvers that ask label by label (RFC 9156) see every such name. The short
//! way of [`super::usual`] says the same of a name with nothing below it.

use super::{Asked, Verdict, gate::Gate, listing::Found, live, misuse};
use crate::{
    wire::{
        Rcode,
        name::RelativeName,
        reply::{Reply, Section},
    },
    zone::{
        dataset::{Dataset, Entries},
        ruling::Context,
        snapshot::{Content, Sought},
        subject::{Run, Subject},
    },
};

/// The code of the answer, and what is counted. `whole` is the relative name with its access key, which leads into no other zone.
#[inline]
pub(super) fn judge(
    asked: &Asked<'_>,
    content: &Content,
    (relative, whole): (RelativeName<'_>, RelativeName<'_>),
    sought: &Sought<'_>,
    gate: &Gate<'_>,
    found: Found,
) -> (Rcode, Verdict) {
    let exists = sought.is_at_apex()
        || match asked.live {
            Some(live) => live::anything_below(asked, live, sought, gate, found),
            None => found.below || anything_below(&asked.context, sought, gate),
        }
        || content.is_above_subzone(relative)
        || content.is_above_zone(whole);
    if exists { (Rcode::NoError, Verdict::EmptyNonTerminal) } else { (Rcode::NxDomain, misuse::verdict(sought)) }
}

/// Adds the SOA that says how long a negative answer may be kept (RFC 2308 section 3).
#[inline]
pub(super) fn add_soa(content: &Content, apex_at: usize, reply: &mut Reply<'_>) {
    if let Some(soa) = &content.soa
        && reply.lay(Section::Authority, soa.negative(), apex_at).is_err()
    {
        reply.set_truncated();
    }
}

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
