//! Records of two replies side by side: what is the same, and what only looks different.

use std::net::Ipv6Addr;

use super::{
    differences::Rule,
    names::lower,
    query::Query,
    reply::{Data, Rr},
};

/// Takes strings in quotes apart as we do.
pub(super) fn quoted(theirs: &mut [Rr], ours: &[Rr], used: &mut Vec<Rule>) {
    for rr in theirs.iter_mut().filter(|rr| !ours.contains(rr)) {
        let Data::Txt(strings) = &rr.data else { continue };
        let whole = strings.concat();
        let ours = ours.iter().find(
            |our| matches!(&our.data, Data::Txt(strings) if strings.len() > 1 && strings.join(&b"\" \""[..]) == whole),
        );
        if let Some(ours) = ours {
            rr.data = ours.data.clone();
            used.push(Rule::QuotedStrings);
        }
    }
}

/// Writes mapped addresses as we do.
pub(super) fn dotted(query: &Query, theirs: &mut [Rr], ours: &[Rr], used: &mut Vec<Rule>) {
    let nibbles = query.name.iter().take(32).flatten().rev().map(|digit| char::from(*digit)).collect::<String>();
    let Ok(address) = u128::from_str_radix(&nibbles, 16).map(Ipv6Addr::from) else { return };
    let Some(v4) = address.to_ipv4_mapped() else { return };
    let [.., high, low] = address.segments();
    let (theirs_form, our_form) = (format!("::ffff:{high:x}:{low:x}"), format!("::ffff:{v4}"));
    for rr in theirs.iter_mut().filter(|rr| !ours.contains(rr)) {
        let Data::Txt(strings) = &mut rr.data else { continue };
        for string in strings {
            let text: String = string.iter().copied().map(char::from).collect();
            if text.contains(&theirs_form) {
                *string = text.replace(&theirs_form, &our_form).chars().map(|octet| octet as u8).collect();
                used.push(Rule::MappedAsDotted);
            }
        }
    }
}

/// Replaces cut texts by ours that they are the beginning of.
pub(super) fn long_texts(theirs: &mut [Rr], ours: &[Rr], used: &mut Vec<Rule>) {
    for rr in theirs.iter_mut().filter(|rr| !ours.contains(rr)) {
        let Data::Txt(strings) = &rr.data else { continue };
        let cut = strings.concat();
        let whole = ours.iter().find(|our| {
            let Data::Txt(strings) = &our.data else { return false };
            let is_filled = strings.iter().rev().skip(1).all(|string| string.len() == 255);
            let text = strings.concat();
            is_filled && our.ttl_s == rr.ttl_s && text.len() > cut.len() && text.starts_with(&cut)
        });
        if let (254..=255, Some(whole)) = (cut.len(), whole) {
            rr.data = whole.data.clone();
            used.push(Rule::LongText);
        }
    }
}

/// Compares two sections.
pub(super) fn same(section: &str, theirs: &[Rr], ours: &[Rr], order: Rule, used: &mut Vec<Rule>) -> Result<(), String> {
    if theirs == ours {
        return Ok(());
    }
    if sorted(theirs) == sorted(ours) {
        used.push(order);
        return Ok(());
    }
    Err(format!("another {section} section"))
}

/// All addresses of servers have the least of their TTLs in rbldnsd's reply: gives each the one that it has in ours.
pub(super) fn raise_glue(theirs: &mut [Rr], ours: &[Rr]) -> bool {
    let Some(least_s) = ours.iter().map(|rr| rr.ttl_s).min() else { return false };
    let mut is_lowered = false;
    for rr in theirs.iter_mut().filter(|rr| rr.ttl_s == least_s) {
        let is_its_own = |own: &&Rr| {
            own.ttl_s > least_s && small_letters(&Rr { ttl_s: least_s, ..(*own).clone() }) == small_letters(rr)
        };
        if let Some(own) = ours.iter().find(is_its_own) {
            rr.ttl_s = own.ttl_s;
            is_lowered = true;
        }
    }
    is_lowered
}

pub(super) fn small_letters(rr: &Rr) -> Rr {
    let data = match &rr.data {
        Data::Ns(name) => Data::Ns(lower(name)),
        Data::Soa(server, person, numbers) => Data::Soa(lower(server), lower(person), *numbers),
        other => other.clone(),
    };
    Rr { owner: lower(&rr.owner), data, ..rr.clone() }
}

pub(super) fn without_ttl(records: &[Rr]) -> Vec<Rr> {
    records.iter().map(|rr| Rr { ttl_s: 0, ..rr.clone() }).collect()
}

pub(super) fn is_subset(some: &[Rr], all: &[Rr]) -> bool {
    some.iter().all(|rr| all.contains(rr))
}

pub(super) fn sorted(records: &[Rr]) -> Vec<Rr> {
    let mut records = records.to_vec();
    records.sort();
    records
}

pub(super) fn check(holds: bool, expected: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("expected {expected}")) }
}
