//! Is the name listed, and with which values? Each dataset of the zone is asked in turn, and what they say adds up.

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
        dataset::{Dataset, Entries},
        records::Record,
        ruling::{FOREVER_S, Finding},
        snapshot::Sought,
        subject::{Run, ShownKey, Subject, show_v4, show_v6},
        values::{Part as TextPart, ValueId, Values},
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
pub(super) struct Answers<'r, 'b> {
    reply: &'r mut Reply<'b>,
    /// The type of the records that are wanted.
    pub(super) kind: u16,
    first_at: usize,
    least_ttl_s: u32,
    pushed_count: usize,
    pub(super) found: Found,
}

/// Asks all datasets of a part of the zone and writes the records of the type that is asked for.
#[inline]
pub(super) fn answer(asked: &Asked<'_>, sought: &Sought<'_>, gate: &Gate<'_>, reply: &mut Reply<'_>) -> Found {
    let qtype = asked.query.qtype;
    let kind = if qtype == rr::ANY { rr::A } else { qtype };
    let mut found = ask_all(asked, sought, gate, reply, kind);
    if qtype == rr::ANY && found.exists && reply.answer_count() == 0 {
        // RFC 8482 section 4.1: one RRset of those there are.
        for kind in [rr::TXT, rr::MX, rr::AAAA].into_iter().chain(first_kind_of_records(sought)) {
            found = ask_all(asked, sought, gate, reply, kind);
            if reply.answer_count() > 0 || reply.is_truncated() {
                break;
            }
        }
    }
    found
}

#[inline]
fn ask_all(asked: &Asked<'_>, sought: &Sought<'_>, gate: &Gate<'_>, reply: &mut Reply<'_>, kind: u16) -> Found {
    let first_at = reply.position();
    let mut answers =
        Answers { reply, kind, first_at, least_ttl_s: u32::MAX, pushed_count: 0, found: Found::default() };
    let is_excluded = asked.live.is_some_and(|live| answers.ask_live(asked, live, sought, gate));
    if is_excluded {
        sought.for_each(|dataset, subject| answers.ask_below(asked, dataset, subject));
    } else {
        sought.for_each(|dataset, subject| answers.ask_gated(asked, dataset, subject, gate));
    }
    answers.settle_ttl();
    answers.found
}

impl Answers<'_, '_> {
    /// Asks a dataset as far as the client may know.
    #[inline]
    fn ask_gated(&mut self, asked: &Asked<'_>, dataset: &Dataset, subject: &Subject<'_>, gate: &Gate<'_>) {
        if let Entries::Records(records) = &dataset.entries {
            match records.at(subject.name) {
                None => {}
                Some([]) => self.found.below = true,
                Some(records) => self.add_records(records, asked.query.header.id),
            }
        } else if gate.empty {
            // For this client nothing is listed.
        } else if let Some(everything) = &gate.listed {
            self.add_everything(asked, dataset, subject, everything);
        } else {
            self.ask(asked, dataset, subject);
        }
    }

    /// Asks a dataset of addresses or names, in each reading of the subject that it knows.
    #[inline]
    fn ask(&mut self, asked: &Asked<'_>, dataset: &Dataset, subject: &Subject<'_>) {
        let context = &asked.context;
        match &dataset.entries {
            Entries::Addresses(addresses) => {
                if let Some(address) = subject.v4.and_then(Run::address) {
                    let finding = addresses.find_v4(address, context);
                    self.add(asked, dataset, finding, |text| show_v4(address, text));
                }
                if let Some(address) = subject.v6.and_then(Run::address) {
                    self.add(asked, dataset, addresses.find_v6(address, context), |text| show_v6(address, text));
                    for behind in subject.v4_behind_nibbles().into_iter().flatten() {
                        let finding = addresses.find_v4(behind.first, context);
                        self.add(asked, dataset, finding, |text| show_v4(behind.first, text));
                    }
                }
            }
            Entries::Names(names) => {
                let found = names.look_up(subject.name, context);
                self.found.below |= found.listed_below;
                let entry = subject.name.last(found.entry_label_count);
                self.add(asked, dataset, found.finding, |text| text.show(format_args!("{entry}")));
            }
            Entries::Records(_) => {}
        }
    }

    /// Adds the values of a finding.
    #[inline]
    fn add(&mut self, asked: &Asked<'_>, dataset: &Dataset, finding: Finding<'_>, show: impl Fn(&mut ShownKey)) {
        if !finding.is_listed() {
            return;
        }
        self.found.exists = true;
        finding.for_each_value(&asked.context, |value, until_s, hold_s| {
            self.found.hold_s = self.found.hold_s.max(hold_s);
            let ttl_s = remaining_ttl_s(dataset.ttl_s, until_s, asked.context.now_s);
            self.add_value(&dataset.values, value, ttl_s, &show);
        });
    }

    /// Adds one value's record of the type that is wanted.
    #[inline]
    pub(super) fn add_value(&mut self, values: &Values, value: ValueId, ttl_s: u32, show: impl Fn(&mut ShownKey)) {
        match self.kind {
            rr::A => {
                let octets = values.address(value).octets();
                self.push(ttl_s, |reply| {
                    reply.record(Section::Answer, HEADER_LEN, rr::A, ttl_s, |data| data.octets(&octets))
                });
            }
            rr::TXT => self.add_text(values, value, ttl_s, show),
            _ => {}
        }
    }

    fn add_text(&mut self, values: &Values, value: ValueId, ttl_s: u32, show: impl Fn(&mut ShownKey)) {
        let Some(text) = values.text(value) else { return };
        if let Some(ready) = values.ready_text(text) {
            self.push(ttl_s, |reply| {
                reply.record(Section::Answer, HEADER_LEN, rr::TXT, ttl_s, |data| data.octets(ready))
            });
            return;
        }
        let mut key = ShownKey::new();
        show(&mut key);
        let key = key.as_bytes();
        self.push(ttl_s, |reply| {
            reply.record(Section::Answer, HEADER_LEN, rr::TXT, ttl_s, |data| {
                data.strings(values.parts(text).map(|part| match part {
                    TextPart::Literal(literal) => literal,
                    TextPart::Key => key,
                }))
            })
        });
    }

    /// Adds plain records, starting with another one each time.
    fn add_records(&mut self, records: &[Record], id: u16) {
        self.found.exists = true;
        let wanted = || records.iter().filter(|record| record.kind == self.kind);
        let turn = usize::from(id) % wanted().count().max(1);
        let kind = self.kind;
        let of_kind = move || records.iter().filter(move |record| record.kind == kind);
        for record in of_kind().skip(turn).chain(of_kind().take(turn)) {
            self.push(record.ttl_s, |reply| {
                reply.record(Section::Answer, HEADER_LEN, record.kind, record.ttl_s, |data| data.octets(&record.data))
            });
        }
    }

    /// Lists whatever the dataset could list, with the value of an access list; `$` is then the client's address.
    fn add_everything(&mut self, asked: &Asked<'_>, dataset: &Dataset, subject: &Subject<'_>, all: &Everything<'_>) {
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
            let client = asked.client.address;
            self.add_value(all.values, all.value, all.ttl_s, |text| text.show(format_args!("{client}")));
        }
    }

    /// Writes a record unless it is there already; what does not fit is told to the client.
    #[inline]
    fn push(&mut self, ttl_s: u32, write: impl FnOnce(&mut Reply<'_>) -> Result<(), Full>) {
        if self.reply.is_truncated() {
            return;
        }
        if self.reply.unless_duplicate(self.first_at, write).is_err() {
            self.reply.set_truncated();
            return;
        }
        self.least_ttl_s = self.least_ttl_s.min(ttl_s);
        self.pushed_count += 1;
    }

    /// RFC 2181 section 5.2: the records of a set have one TTL, and none may outlive its listing.
    fn settle_ttl(&mut self) {
        if self.pushed_count > 1 {
            self.reply.set_ttl(self.first_at, self.least_ttl_s);
        }
    }
}

/// The TTL of a listing: no answer may outlive it, and none that is listed now has 0.
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
