//! What was listed or excluded by command, in front of what the files say.
//!
//! A live listing adds its value to those of the files; a live exclusion silences all of them, in the zone and in its subzones,
//! into which no listing reaches. Which entry decides among live ones is for [`LiveZone`] to say. Whether a name that is not
//! listed has anything below it is exact here too, net of live exclusions; but for one that is excluded in another reading: as an
//! IPv6 address that stands for an IPv4 one that is listed, or as a name that is an address as well. It may be said to exist.

use std::{net::IpAddr, sync::Arc};

use super::{
    Asked,
    gate::Gate,
    listing::{Answers, Found, remaining_ttl_s},
    negative,
};
use crate::{
    wire::{name::RelativeName, rr},
    zone::{
        dataset::{Dataset, Entries, Shape},
        live::{Below, Entry, LiveZone},
        reversed::Reversed,
        ruling::Context,
        shown::Key,
        snapshot::{Content, Sought},
        subject::{Run, Subject},
        values::{ValueId, Values},
    },
};

impl<'a> Answers<'a, '_, '_> {
    /// Adds what was listed by command; true if the name was excluded instead, and the files have nothing to say of it.
    #[inline(never)]
    pub(super) fn ask_live(
        &mut self,
        live: &LiveZone,
        content: &'a Content,
        sought: &Sought<'a>,
        gate: &Gate<'a>,
    ) -> bool {
        // Such clients see nothing, or everything, whatever is listed.
        if gate.is_selective() {
            return false;
        }
        let now_s = self.asked.context.now_s;
        let mut is_excluded = false;
        for_each_entry(live, &sought.from_apex(), now_s, |entry, shape, key| match entry.value() {
            Some(_) if sought.is_in_subzone() => {} // such as a wildcard above the subzone
            Some(_) => self.add_live(live, content, entry, shape, key),
            None => is_excluded = true,
        });
        if sought.is_in_subzone() {
            for_each_entry(live, &sought.subject, now_s, |entry, _, _| is_excluded |= entry.value().is_none());
        }
        if is_excluded && !self.found.exists {
            let context = &self.asked.context;
            self.found.below |= sought.any(|dataset, subject| is_above_any(dataset, subject, context));
        }
        is_excluded
    }

    fn add_live(&mut self, live: &LiveZone, content: &'a Content, entry: Entry, shape: Shape, key: Key<'_>) {
        self.found.exists = true;
        self.least_until_s = self.least_until_s.min(entry.until_s);
        let now_s = self.asked.context.now_s;
        if let Some((values, value, ttl_s)) =
            value_of(live, content.model(shape).map(Arc::as_ref), entry, self.kind, now_s)
        {
            self.add_value(values, value, ttl_s, key);
        }
    }
}

/// Calls `visit` with what was said by command of each reading of a subject, with its shape and what of it is shown.
fn for_each_entry<'a>(
    live: &LiveZone,
    subject: &Subject<'a>,
    now_s: u64,
    mut visit: impl FnMut(Entry, Shape, Key<'a>),
) {
    let mut behind = [None; 2];
    if let Some(address) = subject.v6.and_then(Run::address) {
        behind = subject.v4_behind_nibbles();
        if let Some(entry) = live.find_v6(address, now_s) {
            visit(entry, Shape::V6, Key::Address(IpAddr::V6(address.into())));
        }
    }
    for address in subject.v4.into_iter().chain(behind.into_iter().flatten()).filter_map(Run::address) {
        if let Some(entry) = live.find_v4(address, now_s) {
            visit(entry, Shape::V4, Key::Address(IpAddr::V4(address.into())));
        }
    }
    if let Some((label_count, entry)) = live.find_name(subject.name, now_s) {
        visit(entry, Shape::Name, Key::Name(subject.name.last(label_count)));
    }
}

/// Whether a dataset lists names, or has plain records, below a name.
fn is_above_any(dataset: &Dataset, subject: &Subject<'_>, context: &Context) -> bool {
    match &dataset.entries {
        Entries::Addresses(_) => false,
        Entries::Names(names) => names.look_up(subject.name, context).listed_below,
        Entries::Records(records) => records.at(subject.name).is_some_and(<[_]>::is_empty),
    }
}

/// What a live listing says to a question of that type, and for how long: its own value, as far as it has one, else that of the
/// zone, which `model` has, else the built-in one. `None` for an exclusion.
pub(super) fn value_of<'v>(
    live: &'v LiveZone,
    model: Option<&'v Dataset>,
    entry: Entry,
    kind: u16,
    now_s: u64,
) -> Option<(&'v Values, ValueId, u32)> {
    let own = live.value(entry.value()?)?;
    let ttl_s = remaining_ttl_s(model.map_or(live.ttl_s, |model| model.ttl_s), entry.until_s, now_s);
    let is_own = if kind == rr::A { own.has_address } else { own.has_text };
    let of_zone = model.and_then(|model| Some((&model.values, model.default_value?))).filter(|_| !is_own);
    let (values, value) = of_zone.unwrap_or((&own.values, own.id));
    Some((values, value, ttl_s))
}

/// Whether anything is listed below a name that is not listed itself: by command, or by the files net of what was excluded by
/// command. Looks at a bounded number of pieces; where that does not settle it, something is.
pub(super) fn anything_below(
    asked: &Asked<'_>,
    live: &LiveZone,
    sought: &Sought<'_>,
    gate: &Gate<'_>,
    found: Found,
) -> bool {
    let context = &asked.context;
    if gate.is_selective() {
        return found.below || negative::anything_below(context, sought, gate);
    }
    let subject = sought.from_apex();
    let is_below = match live.below(subject.name, context.now_s) {
        Below::Listed if !sought.is_in_subzone() => true,
        Below::Listed | Below::Nothing => found.below,
        Below::AllExcluded => false,
        Below::SomeExcluded => found.below && any_name_left(context, live, sought, subject.name),
    };
    is_below || any_address_left(context, live, sought, &subject)
}

/// Whether the files list any name below this one that is not excluded by command. Plain records are not looked through.
#[cold]
fn any_name_left(context: &Context, live: &LiveZone, sought: &Sought<'_>, name: RelativeName<'_>) -> bool {
    let is_left_out = |name: &Reversed, is_wildcard| live.leaves_out(name, is_wildcard, context.now_s);
    sought.any(|dataset, subject| match &dataset.entries {
        // In a subzone a name may seem to have something below it that is all excluded: then there is no data instead of no name.
        Entries::Names(names) if subject.name.label_count() == name.label_count() => {
            names.any_below_but(name, context, is_left_out)
        }
        _ => is_above_any(dataset, subject, context),
    })
}

/// Whether any address that begins with what the name gives is listed.
fn any_address_left(context: &Context, live: &LiveZone, sought: &Sought<'_>, subject: &Subject<'_>) -> bool {
    let now_s = context.now_s;
    let own_label_count = subject.name.label_count();
    // Datasets that see the address as the live listings do, and are silenced by them.
    let in_files = |ask: &dyn Fn(&Dataset) -> bool| {
        sought.any(|dataset, subject| subject.name.label_count() == own_label_count && ask(dataset))
    };
    let v4 = |run: Run<u32>| {
        live.any_listed_v4(run, now_s, |run| {
            in_files(&|dataset| match &dataset.entries {
                Entries::Addresses(addresses) => addresses.any_listed_v4(run.first, run.last, context),
                _ => false,
            })
        })
    };
    let v6 = |run: Run<u128>| {
        live.any_listed_v6(run, now_s, |run| {
            in_files(&|dataset| match &dataset.entries {
                Entries::Addresses(addresses) => addresses.any_listed_v6(run.first, run.last, context),
                _ => false,
            })
        })
    };
    let partial_v6 = subject.v6.filter(|run| run.address().is_none());
    subject.v4.is_some_and(|run| run.address().is_none() && v4(run))
        || partial_v6.is_some_and(|run| v6(run) || subject.v4_behind_nibbles().into_iter().flatten().any(v4))
        || sought.any(|dataset, subject| {
            subject.name.label_count() != own_label_count && negative::anything_of_addresses(dataset, context, subject)
        })
}
