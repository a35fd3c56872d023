//! Is the name listed, and with which values? Each dataset of the zone is asked in turn, and what they say adds up.

use std::{net::IpAddr, ops::Range};

use super::{
    Asked,
    gate::{Everything, Gate},
};
use crate::{
    wire::{
        HEADER_LEN,
        reply::{Full, Reply, Section},
        rr,
    },
    zone::{
        addresses::Addresses,
        dataset::{Dataset, Entries},
        names::Names,
        records::Records,
        ruling::{FOREVER_S, Finding, is_over},
        shown::Key,
        snapshot::{Content, Sought},
        subject::{Run, Subject},
        values::{TextPart, ValueId, Values},
    },
};

/// What the datasets said.
#[derive(Clone, Copy, Default)]
pub(super) struct Found {
    /// Something is at the name, of whatever type.
    pub(super) exists: bool,
    /// Something is below the name.
    pub(super) below: bool,
    /// Seconds for which the answer is held back.
    pub(super) hold_s: u16,
}

/// The answer section while it fills: records of one type, with one TTL.
pub(super) struct Answers<'a, 'r, 'b> {
    pub(super) asked: &'a Asked<'a>,
    reply: &'r mut Reply<'b>,
    /// The type of the records that are wanted.
    pub(super) kind: u16,
    first_at: usize,
    least_ttl_s: u32,
    /// When the first of what lists the name ends.
    pub(super) least_until_s: u32,
    pushed_count: usize,
    pub(super) found: Found,
}

/// Asks all datasets of a part of the zone and writes the records of the type that is asked for.
#[inline]
pub(super) fn answer<'a>(
    asked: &'a Asked<'a>,
    content: &'a Content,
    sought: &Sought<'a>,
    gate: &Gate<'a>,
    reply: &mut Reply<'_>,
) -> Found {
    let qtype = asked.query.qtype;
    let kind = if qtype == rr::ANY { rr::A } else { qtype };
    let mut found = ask_all(asked, content, sought, gate, reply, kind);
    if qtype == rr::ANY && found.exists && reply.answer_count() == 0 {
        // RFC 8482 section 4.1: one RRset of those there are.
        for kind in [rr::TXT, rr::MX, rr::AAAA].into_iter().chain(first_kind_of_records(sought)) {
            found = ask_all(asked, content, sought, gate, reply, kind);
            if reply.answer_count() > 0 || reply.is_truncated() {
                break;
            }
        }
    }
    found
}

#[inline]
fn ask_all<'a>(
    asked: &'a Asked<'a>,
    content: &'a Content,
    sought: &Sought<'a>,
    gate: &Gate<'a>,
    reply: &mut Reply<'_>,
    kind: u16,
) -> Found {
    let first_at = reply.position();
    let (least_ttl_s, least_until_s, found) = (u32::MAX, FOREVER_S, Found::default());
    let mut answers = Answers { asked, reply, kind, first_at, least_ttl_s, least_until_s, pushed_count: 0, found };
    if let Some(live) = asked.live
        && answers.ask_live(live, content, sought, gate)
    {
        answers.settle_ttl(content);
        return answers.found;
    }
    sought.for_each(|dataset, subject| match &dataset.entries {
        Entries::Records(records) => answers.add_records(records, subject),
        _ if gate.is_selective() => answers.ask_for_client(dataset, subject, gate),
        Entries::Addresses(addresses) => answers.ask_addresses(dataset, addresses, subject),
        Entries::Names(names) => answers.ask_names(dataset, names, subject),
    });
    answers.settle_ttl(content);
    answers.found
}

impl<'a> Answers<'a, '_, '_> {
    /// Asks a set of addresses, in each reading of the subject.
    #[inline]
    fn ask_addresses(&mut self, dataset: &'a Dataset, addresses: &'a Addresses, subject: &Subject<'a>) {
        if let Some(address) = subject.v4.and_then(Run::address) {
            let finding = addresses.find_v4(address, &self.asked.context);
            if finding.is_listed() {
                self.add(dataset, finding, Key::Address(IpAddr::V4(address.into())));
            }
        }
        if let Some(address) = subject.v6.and_then(Run::address) {
            self.ask_v6(dataset, addresses, address, subject);
        }
    }

    fn ask_v6(&mut self, dataset: &'a Dataset, addresses: &'a Addresses, address: u128, subject: &Subject<'a>) {
        let finding = addresses.find_v6(address, &self.asked.context);
        if finding.is_listed() {
            self.add(dataset, finding, Key::Address(IpAddr::V6(address.into())));
        }
        for behind in subject.v4_behind_nibbles().into_iter().flatten() {
            let finding = addresses.find_v4(behind.first, &self.asked.context);
            if finding.is_listed() {
                self.add(dataset, finding, Key::Address(IpAddr::V4(behind.first.into())));
            }
        }
    }

    /// Asks a set of names.
    #[inline]
    fn ask_names(&mut self, dataset: &'a Dataset, names: &'a Names, subject: &Subject<'a>) {
        let found = names.look_up(subject.name, &self.asked.context);
        self.found.below |= found.listed_below;
        if found.finding.is_listed() {
            self.add(dataset, found.finding, Key::Name(subject.name.last(found.entry_label_count)));
        }
    }

    /// Asks a dataset for a client for whom nothing is listed, or everything.
    #[cold]
    #[inline(never)]
    fn ask_for_client(&mut self, dataset: &'a Dataset, subject: &Subject<'a>, gate: &Gate<'a>) {
        if let Some(everything) = gate.listed.filter(|_| !gate.empty) {
            self.add_everything(dataset, subject, &everything);
        }
    }

    /// Adds the values of a finding that lists.
    #[inline(never)]
    fn add(&mut self, dataset: &'a Dataset, finding: Finding<'a>, key: Key<'a>) {
        self.found.exists = true;
        let context = self.asked.context;
        finding.for_each_value(&context, |value, until_s, hold_s| {
            self.found.hold_s = self.found.hold_s.max(hold_s);
            self.least_until_s = self.least_until_s.min(until_s);
            let ttl_s = remaining_ttl_s(dataset.ttl_s, until_s, context.now_s);
            self.add_value(&dataset.values, value, ttl_s, key);
        });
    }

    /// Adds one value's record of the type that is wanted.
    #[inline]
    pub(super) fn add_value(&mut self, values: &Values, value: ValueId, ttl_s: u32, key: Key<'_>) {
        match self.kind {
            rr::A => {
                let octets = values.address(value).octets();
                self.push(ttl_s, |reply| {
                    reply.record(Section::Answer, HEADER_LEN, rr::A, ttl_s, |data| data.octets(&octets))
                });
            }
            rr::TXT => self.add_text(values, value, ttl_s, key),
            _ => {}
        }
    }

    fn add_text(&mut self, values: &Values, value: ValueId, ttl_s: u32, key: Key<'_>) {
        let Some(text) = values.text(value) else { return };
        if let Some(ready) = values.ready_text(text) {
            self.push(ttl_s, |reply| {
                reply.record(Section::Answer, HEADER_LEN, rr::TXT, ttl_s, |data| data.octets(ready))
            });
            return;
        }
        key.show(|shown| {
            self.push(ttl_s, |reply| {
                reply.record(Section::Answer, HEADER_LEN, rr::TXT, ttl_s, |data| {
                    data.strings(values.parts(text).map(|part| match part {
                        TextPart::Literal(literal) => literal,
                        TextPart::Key => shown,
                    }))
                })
            });
        });
    }

    /// Adds plain records, starting with another one each time.
    fn add_records(&mut self, records: &Records, subject: &Subject<'_>) {
        let records = match records.at(subject.name) {
            None => return,
            Some([]) => {
                self.found.below = true;
                return;
            }
            Some(records) => records,
        };
        self.found.exists = true;
        let id = self.asked.query.header.id;
        let kind = self.kind;
        let of_kind = || records.iter().filter(move |record| record.kind == kind);
        let turn = usize::from(id) % of_kind().count().max(1);
        // They are no duplicates of each other, which a thousand would take long to find out.
        let earlier = self.first_at..self.reply.position();
        for record in of_kind().skip(turn).chain(of_kind().take(turn)) {
            self.push_new(record.ttl_s, earlier.clone(), |reply| {
                reply.record(Section::Answer, HEADER_LEN, record.kind, record.ttl_s, |data| data.octets(&record.data))
            });
        }
    }

    /// Lists whatever the dataset could list, with the value of an access list; `$` is then the client's address.
    fn add_everything(&mut self, dataset: &Dataset, subject: &Subject<'_>, all: &Everything<'_>) {
        let v4 = subject.v4.and_then(Run::address).is_some();
        let v6 = subject.v6.and_then(Run::address).is_some();
        let behind = v6 && subject.v4_behind_nibbles().iter().any(Option::is_some);
        let kind = dataset.kind;
        let could_list = match &dataset.entries {
            Entries::Addresses(_) => kind.holds_v4() && (v4 || behind) || kind.holds_v6() && v6,
            Entries::Names(_) => subject.name.label_count() > 0,
            Entries::Records(_) => false,
        };
        if could_list {
            self.found.exists = true;
            self.add_value(all.values, all.value, all.ttl_s, Key::Address(self.asked.client.address));
        }
    }

    /// Writes a record unless it is there already; what does not fit is told to the client.
    #[inline]
    fn push(&mut self, ttl_s: u32, write: impl FnOnce(&mut Reply<'_>) -> Result<(), Full>) {
        self.push_new(ttl_s, self.first_at..self.reply.position(), write);
    }

    /// Writes a record unless it is one of those in `earlier`.
    #[inline]
    fn push_new(&mut self, ttl_s: u32, earlier: Range<usize>, write: impl FnOnce(&mut Reply<'_>) -> Result<(), Full>) {
        if self.reply.is_truncated() {
            return;
        }
        if self.reply.unless_duplicate(earlier, write).is_err() {
            self.reply.set_truncated();
            return;
        }
        self.least_ttl_s = self.least_ttl_s.min(ttl_s);
        self.pushed_count += 1;
    }

    /// RFC 2181 section 5.2: the records of a set have one TTL, and none may outlive its listing, nor the zone's data.
    #[inline]
    fn settle_ttl(&mut self, content: &Content) {
        let until_s = content.until_s();
        if self.found.hold_s > 0 {
            self.settle_ttl_of_held(until_s);
            return;
        }
        let ttl_s = remaining_ttl_s(self.least_ttl_s, until_s, self.asked.context.now_s);
        if self.pushed_count > 1 || ttl_s < self.least_ttl_s {
            self.reply.set_ttl(self.first_at, ttl_s);
        }
    }

    /// What is held back leaves later, and may be kept for as much less: not at all if it is over by then. The answers to signed
    /// queries, which are not held, have the same TTL.
    #[cold]
    #[inline(never)]
    fn settle_ttl_of_held(&mut self, until_s: u32) {
        let until_s = until_s.min(self.least_until_s);
        let leaves_s = self.asked.context.now_s + u64::from(self.found.hold_s);
        let is_over = is_over(until_s, leaves_s);
        let left_s = remaining_ttl_s(self.least_ttl_s, until_s, leaves_s);
        self.reply.set_ttl(self.first_at, if is_over { 0 } else { left_s });
    }
}

/// The TTL of a listing: no answer may outlive it, but for the second that has begun, and none that is listed now has 0.
#[inline]
pub(super) fn remaining_ttl_s(ttl_s: u32, until_s: u32, now_s: u64) -> u32 {
    if until_s == FOREVER_S {
        return ttl_s;
    }
    let left_s = u64::from(until_s).saturating_sub(now_s).max(1);
    ttl_s.min(u32::try_from(left_s).unwrap_or(u32::MAX))
}

/// The type of the first plain record at a name, if there is one.
fn first_kind_of_records(sought: &Sought<'_>) -> Option<u16> {
    let mut kind = None;
    sought.any(|dataset, subject| {
        if let Entries::Records(records) = &dataset.entries {
            kind = records.at(subject.name).and_then(|records| records.first()).map(|record| record.kind);
        }
        kind.is_some()
    });
    kind
}
