//! What is wrong with a question that found nothing: a domain name asked of a list of addresses, an address asked of a list
//! of names, or neither one nor the other. The answer is NXDOMAIN all the same; this is for whoever reads the metrics.

use super::Verdict;
use crate::{
    wire::name::RelativeName,
    zone::{
        dataset::Entries,
        snapshot::Sought,
        subject::{Run, Subject},
    },
};

/// What the lookup of an unlisted name came to. For the usual question (a whole address in a list of addresses)
/// this is one or two branches.
#[inline]
pub(super) fn verdict(sought: &Sought<'_>) -> Verdict {
    let mut subject = sought.subject;
    if subject.v4.is_none() && subject.v6.is_none() {
        // Where only names are listed, nobody has looked yet whether it is an address.
        subject = Subject::new(subject.name);
    }
    let is_address = subject.v4.and_then(Run::address).is_some() || subject.v6.and_then(Run::address).is_some();
    let holds_its_like = |entries: &Entries| match entries {
        Entries::Addresses(_) => is_address,
        Entries::Names(_) => !is_address,
        Entries::Records(_) => false,
    };
    if sought.any(|dataset, _| holds_its_like(&dataset.entries)) {
        return Verdict::Unlisted;
    }
    let is_partial = subject.v4.is_some() || subject.v6.is_some();
    let lists = |entries: &Entries| !matches!(entries, Entries::Records(_));
    // A resolver on its way down asks for the first octets of an address (RFC 9156); plain records have names of all sorts.
    if is_partial && !is_address || !sought.any(|dataset, _| lists(&dataset.entries)) {
        return Verdict::Unlisted;
    }
    if is_address || is_like_a_domain(subject.name) { Verdict::Misuse } else { Verdict::Malformed }
}

/// Whether the label that would be a top-level domain looks like one and not like a part of an address.
#[cold]
fn is_like_a_domain(name: RelativeName<'_>) -> bool {
    let last = name.last(1).octets();
    last.len() > 2 && last[1..].iter().all(|octet| octet.is_ascii_alphabetic() || *octet == b'-')
        || last[1..].starts_with(b"xn--")
}
