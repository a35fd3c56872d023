//! What becomes of each change: within the tables of one transaction, so that a change sees those before it of the same key, and
//! nothing counts until all of it is committed. What other zones list (`yields-to`) is what they serve: whoever was told that it
//! is listed there finds it so, and what comes in at the same time as that is as if it had come before.

use std::{
    cell::RefCell,
    cmp::Ordering,
    collections::{HashMap, HashSet},
};

use super::{
    Applied, Around, Change, Condition, Door, Event, Exported, Key, Lifetime, Op, Origin, Outcome, Record, Refusal,
    STILL_LISTED_MAX, StoreError, Verdict, What,
    rules::{Rule, Rules, Situation},
    serving::{Edit, Serving},
    store::{Known, StoreFault, Tables},
};
use crate::{
    wire::name::Name,
    zone::{
        live::{LiveZone, Place, ValueNumbers},
        ruling::FOREVER_S,
        snapshot::Snapshot,
    },
};

/// So many exclusions have places in a zone that is full: far more than anybody writes by hand, and what a script gone mad may take
/// of memory and disk is bounded.
const EXCLUSIONS_BEYOND: usize = 100_000;

/// And so many listings that are over and not thrown away yet: some minutes after the start that may be all that came since then,
/// and memory has a bound all the same.
const OVER_BEYOND: usize = 1_000_000;

/// What an order says of places that is not written down yet: the change that excludes them, and who asks, or none.
type Said<'o> = HashMap<(&'o Name, Place), Option<(&'o Change, &'o Origin)>>;

/// One thing to be done.
pub(super) struct Work {
    pub(super) change: Change,
    /// What was exported: it comes back as it was, but for its end, which the zone's rule may bring nearer, and what holds
    /// already put off.
    exported: Option<Box<Exported>>,
}

impl From<Change> for Work {
    fn from(change: Change) -> Self {
        Self { change, exported: None }
    }
}

impl From<Exported> for Work {
    fn from(exported: Exported) -> Self {
        let Record { zone, key, verdict, until_s, reason, .. } = exported.record.clone();
        let op = Op::Put { verdict, lifetime: until_s.map_or(Lifetime::Endless, Lifetime::AtLeastUntil) };
        Self { change: Change { zone, key, op, reason }, exported: Some(Box::new(exported)) }
    }
}

/// Things that are done together.
pub(super) struct Order {
    pub(super) work: Vec<Work>,
    pub(super) origin: Origin,
    pub(super) is_atomic: bool,
    pub(super) condition: Option<Condition>,
    pub(super) done: Box<dyn FnOnce(Applied) + Send>,
}

impl Order {
    /// Whether it lists nothing. When a list has gone mad, and has filled the disk perhaps, what takes back and excludes is the
    /// brake.
    pub(super) fn lists_nothing(&self) -> bool {
        self.work.iter().all(|work| match &work.change.op {
            Op::Put { verdict, .. } => *verdict == Verdict::Excluded,
            Op::Delist => true,
        })
    }
}

/// The event of a listing whose time is over.
pub(super) fn expired(record: &Record) -> Event {
    Event {
        at_s: record.until_s.unwrap_or(record.changed_s),
        zone: record.zone.clone(),
        key: record.key.clone(),
        what: What::Expired,
        until_s: record.until_s,
        times: record.times,
        reason: record.reason.clone(),
        origin: Origin { door: Door::Server, who: "dnsbld".into(), from: None },
    }
}

/// The changes of one commit.
pub(super) struct Group<'a, 't> {
    pub(super) tables: &'a mut Tables<'t>,
    pub(super) rules: &'a Rules,
    pub(super) serving: &'a Serving,
    pub(super) situation: Situation<'a>,
    /// Places that this commit adds to what is in force in each zone, at most.
    pub(super) added: HashMap<Name, HashSet<Place>>,
    /// How much is in force in each zone without that, where it had to be counted.
    pub(super) in_force: RefCell<HashMap<Name, usize>>,
    /// What this commit excludes in each zone, at most: it is not served yet.
    pub(super) excluded: HashMap<Name, LiveZone>,
    pub(super) edits: Vec<(Name, Edit)>,
}

impl Group<'_, '_> {
    /// Decides an order and writes it down; what its asker is told.
    pub(super) fn order(&mut self, order: &mut Order) -> Result<Applied, StoreFault> {
        if let Some(condition) = order.condition.take()
            && !self.holds(condition)?
        {
            return Ok(Err(StoreError::ConditionFailed));
        }
        if order.is_atomic
            && let Some(refused) = self.refuse_all(order)?
        {
            return Ok(Ok(refused));
        }
        // One by one: what is refused takes no room from what stands behind it.
        let outcomes = order.work.iter().map(|work| self.change(work, &order.origin));
        outcomes.collect::<Result<_, _>>().map(Ok)
    }

    /// What is told of an order that is done as a whole or not at all, if something of it is refused.
    fn refuse_all(&mut self, order: &Order) -> Result<Option<Vec<Outcome>>, StoreFault> {
        let (mut refusals, mut added, mut said) = (Vec::with_capacity(order.work.len()), Vec::new(), Said::new());
        for work in &order.work {
            let Change { zone, key, .. } = &work.change;
            let own = self.refuse_as_excluded(zone, key, &[], &said)?;
            let refusal = self.refuse(work, own, &said)?;
            if refusal.is_none() {
                added.extend(self.note_place(&work.change).then(|| (zone, key.place())));
                let is_exclusion = self.note_exclusion(&work.change);
                said.insert((zone, key.place()), is_exclusion.then_some((&work.change, &order.origin)));
            }
            refusals.push(refusal);
        }
        if refusals.iter().all(Option::is_none) {
            return Ok(None);
        }
        for (zone, place) in added {
            self.added.get_mut(zone).map(|added| added.remove(&place));
        }
        let refused = |refusal: Option<Refusal>| Outcome::Refused { refusal: refusal.unwrap_or(Refusal::NotAlone) };
        Ok(Some(refusals.into_iter().map(refused).collect()))
    }

    fn holds(&self, condition: Condition) -> Result<bool, StoreFault> {
        let fault = RefCell::new(None);
        let get = |zone: &Name, key: &Key| match self.tables.known(zone, key) {
            Ok(known) => known.record.filter(|record| record.in_force(self.situation.now_s)),
            Err(why) => {
                fault.replace(Some(why));
                None
            }
        };
        let holds = condition(&get);
        fault.into_inner().map_or(Ok(holds), Err)
    }

    /// Why something is not to be done: by the rule, as it is excluded or a part of what is, which no listing undoes, or for want
    /// of room. `own` is the refusal if exactly this is excluded, and `said` what its order says before and is not written down
    /// yet.
    fn refuse(&self, work: &Work, own: Option<Refusal>, said: &Said<'_>) -> Result<Option<Refusal>, StoreFault> {
        let change = &work.change;
        let refusal = self.rules.of(&change.zone).refuse(change, &self.situation);
        if refusal.is_some() {
            return Ok(refusal);
        }
        if let Op::Put { verdict: Verdict::Listed { .. }, .. } = &change.op {
            let refusal = own.map_or_else(|| self.refuse_within(work, said), |own| Ok(Some(own)))?;
            if refusal.is_some() {
                return Ok(refusal);
            }
        }
        Ok(self.refuse_as_full(change))
    }

    fn refuse_as_full(&self, change: &Change) -> Option<Refusal> {
        let Op::Put { verdict, .. } = &change.op else { return None };
        let (zone, max) = (&change.zone, self.rules.of(&change.zone).max_listings);
        // Exclusions have places in a full zone as well: they are the brake when a list has gone mad. The widest always do.
        let (is_exclusion, is_widest) = (*verdict == Verdict::Excluded, change.key.is_all_of_a_family());
        let beyond = if is_exclusion { EXCLUSIONS_BEYOND } else { 0 };
        let (most, added) = (max.saturating_add(beyond), self.added.get(zone).map_or(0, HashSet::len));
        let places = self.serving.len(zone) + added;
        if places < most || is_exclusion && is_widest || self.has(zone, &change.key.place()) {
            return None;
        }
        if places < most.saturating_add(OVER_BEYOND) && self.count_in_force(zone) + added < most {
            return None;
        }
        let zone = zone.to_string();
        Some(if is_exclusion {
            Refusal::FullOfExclusions { zone, max: most, beyond }
        } else {
            Refusal::Full { zone, max }
        })
    }

    /// How much is in force in a zone without what this commit adds. All of it is looked at, so once a commit.
    fn count_in_force(&self, zone: &Name) -> usize {
        let count = || {
            let (listed, excluded) =
                self.serving.zone(zone).map_or((0, 0), |zone| zone.counts_in_force(self.situation.now_s));
            listed + excluded
        };
        *self.in_force.borrow_mut().entry(zone.clone()).or_insert_with(count)
    }

    /// Whether a place is taken already, by what is in force or in this commit.
    fn has(&self, zone: &Name, place: &Place) -> bool {
        let served = self.serving.zone(zone).and_then(|zone| zone.exactly(place));
        served.is_some_and(|entry| entry.in_force(self.situation.now_s))
            || self.added.get(zone).is_some_and(|added| added.contains(place))
    }

    /// Notes the place that a change takes; whether it adds one.
    fn note_place(&mut self, change: &Change) -> bool {
        let (zone, place) = (&change.zone, change.key.place());
        let adds = change.op != Op::Delist && !self.has(zone, &place);
        if adds {
            self.added.entry(zone.clone()).or_default().insert(place);
        }
        adds
    }

    /// The refusal of what is narrower than what is excluded. Exclusions are looked for where they are served, as those are few
    /// look-ups however much is listed, and what the store says of them counts.
    fn refuse_within(&self, work: &Work, said: &Said<'_>) -> Result<Option<Refusal>, StoreFault> {
        let (zone, own) = (&work.change.zone, work.change.key.place());
        // What was listed before the exclusion came stays listed within it, also where both are moved to.
        let shown = work.exported.as_ref().map_or(&[][..], |exported| &exported.within);
        let known = self.serving.zone(zone).into_iter().chain(self.excluded.get(zone));
        for place in known.flat_map(|live| live.exclusions_around(&own)) {
            let refusal = self.refuse_as_excluded(zone, &Key::of(&place), shown, said)?;
            if refusal.is_some() {
                return Ok(refusal);
            }
        }
        Ok(None)
    }

    /// The refusal of a listing if exactly this is excluded, and not by one of those that the listing is shown within.
    fn refuse_as_excluded(
        &self,
        zone: &Name,
        key: &Key,
        shown: &[Around],
        said: &Said<'_>,
    ) -> Result<Option<Refusal>, StoreFault> {
        if let Some(said) = said.get(&(zone, key.place())) {
            return Ok(said.map(|(change, origin)| Refusal::excluded(zone, key, origin, change.reason.as_ref())));
        }
        let now_s = self.situation.now_s;
        let is_shown = |record: &Record| shown.iter().any(|one| one.key == *key && one.since_s == record.since_s);
        let stands = |record: &Record| record.in_force(now_s) && !is_shown(record);
        Ok(self.tables.known(zone, key)?.record.filter(stands).as_ref().and_then(refusal_by))
    }

    /// Remembers what this commit excludes; whether that is an exclusion.
    fn note_exclusion(&mut self, change: &Change) -> bool {
        let is_exclusion = matches!(&change.op, Op::Put { verdict: Verdict::Excluded, .. });
        if is_exclusion {
            let live = self.excluded.entry(change.zone.clone()).or_default();
            live.put(&change.key.place(), None, FOREVER_S, &mut ValueNumbers::default());
        }
        is_exclusion
    }

    fn change(&mut self, work: &Work, origin: &Origin) -> Result<Outcome, StoreFault> {
        let (change, now_s) = (&work.change, self.situation.now_s);
        let mut known = self.tables.known(&change.zone, &change.key)?;
        // It was not swept yet.
        let over = known.record.take_if(|record| !record.in_force(now_s));
        if let (Some(exported), Some(before)) = (&work.exported, &known.record)
            && let Some(outcome) = self.stays(&exported.record, before)
        {
            return Ok(outcome);
        }
        let own = known.record.as_ref().and_then(refusal_by);
        if let Some(refusal) = self.refuse(work, own, &Said::new())? {
            return Ok(Outcome::Refused { refusal });
        }
        self.note_place(change);
        if let Some(over) = over {
            // Its history comes before what happens now.
            self.tables.note(&expired(&over), false, &mut known)?;
            if change.op == Op::Delist {
                self.remove(change, &known)?;
            }
        }
        match &change.op {
            Op::Delist => {
                let Some(before) = known.record.take() else { return Ok(Outcome::Unchanged) };
                let event = event(change, What::Delisted, before.until_s, before.times, now_s, origin);
                self.tables.note(&event, false, &mut known)?;
                self.remove(change, &known)?;
                Ok(Outcome::Delisted)
            }
            Op::Put { verdict, lifetime } => self.put(work, verdict, *lifetime, known, origin),
        }
    }

    fn remove(&mut self, change: &Change, known: &Known) -> Result<(), StoreFault> {
        self.tables.remove(&change.zone, &change.key, known)?;
        self.edits.push((change.zone.clone(), Edit::Remove { place: change.key.place() }));
        Ok(())
    }

    fn put(
        &mut self,
        work: &Work,
        verdict: &Verdict,
        lifetime: Lifetime,
        mut known: Known,
        origin: &Origin,
    ) -> Result<Outcome, StoreFault> {
        let (change, now_s) = (&work.change, self.situation.now_s);
        let is_listed = *verdict != Verdict::Excluded;
        let before = known.record.take();
        self.note_exclusion(change);
        let same = before.as_ref().filter(|before| (before.verdict != Verdict::Excluded) == is_listed);
        let (record, is_new_time) = match &work.exported {
            Some(exported) => {
                let exported = &exported.record;
                // How often it was listed before is in its own end.
                let until_s = self.rules.of(&change.zone).until(verdict, lifetime, same, 0, now_s);
                let since_s = same.map_or(exported.since_s, |same| same.since_s);
                let is_new_time = is_listed && self.is_uncounted(exported, same, &known)?;
                (Record { since_s, until_s, ..exported.clone() }, is_new_time)
            }
            None => self.listed_anew(change, verdict, lifetime, same, &known, origin)?,
        };
        let (until_s, times) = (record.until_s, record.times);
        let (what, outcome) = match (is_listed, same) {
            (false, _) => {
                let was_listed = before.is_some() && same.is_none();
                // What stays listed within it is counted once all of the commit is served.
                (What::Excluded, Outcome::Excluded { until_s, was_listed, still_listed: 0 })
            }
            (true, None) => (What::Listed, Outcome::Listed { until_s, times }),
            (true, Some(_)) => (What::Extended, Outcome::Extended { until_s, times }),
        };
        // A record that comes back keeps who listed it; that it came back is the doing of whoever brought it.
        self.tables.note(&event(change, what, until_s, times, now_s, origin), is_new_time, &mut known)?;
        self.tables.put(&record, &known)?;
        self.edits.push((record.zone.clone(), Edit::of(&record)));
        Ok(outcome)
    }

    /// What is told of what was exported, if what is said of its key here stays: as that is the same, or newer. Of one second,
    /// what is here is taken for the newer, unless it says the same for a shorter time.
    fn stays(&self, exported: &Record, before: &Record) -> Option<Outcome> {
        let (is_listed, was_listed) = (exported.verdict != Verdict::Excluded, before.verdict != Verdict::Excluded);
        let holds_as_long =
            before.until_s.is_none_or(|before_s| exported.until_s.is_some_and(|end_s| end_s <= before_s));
        let is_same = *before == (Record { since_s: before.since_s, until_s: before.until_s, ..exported.clone() });
        if is_same && (holds_as_long || self.is_cut(exported)) {
            let Record { until_s, times, .. } = *before;
            return Some(if is_listed {
                Outcome::Extended { until_s, times }
            } else {
                Outcome::Excluded { until_s, was_listed: false, still_listed: 0 }
            });
        }
        let is_newer = match before.changed_s.cmp(&exported.changed_s) {
            Ordering::Less => false,
            Ordering::Equal => holds_as_long || is_listed != was_listed,
            Ordering::Greater => true,
        };
        // That it is excluded here is told as of any other listing.
        let is_barred = is_listed && !was_listed;
        (is_newer && !is_barred).then_some(Outcome::Newer)
    }

    /// Whether the rule brings the end of what was exported nearer. That would be later each time, and what came of it the first
    /// time holds.
    fn is_cut(&self, exported: &Record) -> bool {
        let Record { zone, verdict, until_s, .. } = exported;
        let lifetime = until_s.map_or(Lifetime::Endless, Lifetime::AtLeastUntil);
        self.rules.of(zone).until(verdict, lifetime, None, 0, self.situation.now_s) != *until_s
    }

    /// What is kept of a key that is put now, and whether that is one more time; `same` is what was said of it if that said the
    /// same.
    fn listed_anew(
        &self,
        change: &Change,
        verdict: &Verdict,
        lifetime: Lifetime,
        same: Option<&Record>,
        known: &Known,
        origin: &Origin,
    ) -> Result<(Record, bool), StoreFault> {
        let (rule, now_s) = (self.rules.of(&change.zone), self.situation.now_s);
        let is_listed = *verdict != Verdict::Excluded;
        let since_s = now_s.saturating_sub(rule.window_s);
        let counted_s = if is_listed { self.counted_s(rule, same, known)? } else { None };
        let is_new_time = is_listed && counted_s.is_none();
        let times = match same {
            _ if !is_listed => 0,
            _ if is_new_time => {
                let times = self.tables.times_since(known, since_s)?;
                // What was thrown away of the history, the listing still knows as it was then.
                let same = same.filter(|same| !times.is_whole && same.counted_s >= since_s);
                let count = times.count.max(same.map_or(0, |same| same.times.saturating_sub(1).max(1)));
                1 + count
            }
            Some(same) => same.times,
            None => self.tables.times_since(known, since_s)?.count.max(1),
        };
        let record = Record {
            zone: change.zone.clone(),
            key: change.key.clone(),
            verdict: verdict.clone(),
            since_s: same.map_or(now_s, |same| same.since_s),
            changed_s: now_s,
            until_s: rule.until(verdict, lifetime, same, times, now_s),
            times,
            counted_s: counted_s.unwrap_or(if is_listed { now_s } else { 0 }),
            reason: change.reason.clone(),
            origin: origin.clone(),
        };
        Ok((record, is_new_time))
    }

    /// When the time was counted that a report belongs to; none if it is a new one. Reports of one outbreak are one time, however
    /// long that goes on, also where it was delisted or over in between. Only beyond the window, where that time counts no more,
    /// is it one again: whoever comes back later is no stranger.
    fn counted_s(&self, rule: &Rule, same: Option<&Record>, known: &Known) -> Result<Option<u64>, StoreFault> {
        let now_s = self.situation.now_s;
        let last_s = match same {
            Some(same) => Some(same.changed_s),
            None => self.tables.last_report(known, now_s.saturating_sub(rule.repeat_after_s))?,
        };
        if last_s.is_none_or(|last_s| last_s.abs_diff(now_s) >= rule.repeat_after_s) {
            return Ok(None);
        }
        let since_s = now_s.saturating_sub(rule.window_s.max(rule.repeat_after_s));
        match same {
            Some(same) => Ok(Some(same.counted_s).filter(|counted_s| *counted_s >= since_s)),
            None => self.tables.last_time(known, since_s),
        }
    }

    /// Whether the last time of a listing that comes back counts yet and is not counted here: unless it is long ago, or the key
    /// is listed with that time, or its history has one since then, which may be this one as it was imported.
    fn is_uncounted(&self, exported: &Record, same: Option<&Record>, known: &Known) -> Result<bool, StoreFault> {
        let (counted_s, window_s) = (exported.counted_s, self.rules.of(&exported.zone).window_s);
        if counted_s < self.situation.now_s.saturating_sub(window_s)
            || same.is_some_and(|same| same.counted_s == counted_s)
        {
            return Ok(false);
        }
        Ok(self.tables.times_since(known, counted_s)?.count == 0)
    }
}

/// The refusal of a listing by what is in force, if that is an exclusion.
fn refusal_by(record: &Record) -> Option<Refusal> {
    let Record { zone, key, origin, reason, .. } = record;
    (record.verdict == Verdict::Excluded).then(|| Refusal::excluded(zone, key, origin, reason.as_ref()))
}

/// Counts what stays listed within what was excluded, and is served so by now: the more specific decides, and whoever pulls the
/// brake has to know. In a zone that has ended nothing is served.
pub(super) fn count_still_listed(
    orders: &[Order],
    answers: &mut [Applied],
    serving: &Serving,
    snapshot: &Snapshot,
    now_s: u64,
) {
    let has_ended = |zone: &Name| {
        let content = snapshot.zone(zone).and_then(|zone| zone.content.as_ref());
        content.is_some_and(|content| content.retirement().is_some())
    };
    for (order, answer) in orders.iter().zip(answers) {
        let outcomes = answer.iter_mut().flatten();
        for (Work { change, .. }, outcome) in order.work.iter().zip(outcomes) {
            if let (Outcome::Excluded { still_listed, .. }, Some(live)) = (outcome, serving.zone(&change.zone))
                && !has_ended(&change.zone)
            {
                *still_listed = live.count_listed_within(&change.key.place(), now_s, STILL_LISTED_MAX);
            }
        }
    }
}

fn event(change: &Change, what: What, until_s: Option<u64>, times: u32, at_s: u64, origin: &Origin) -> Event {
    Event {
        at_s,
        zone: change.zone.clone(),
        key: change.key.clone(),
        what,
        until_s,
        times,
        reason: change.reason.clone(),
        origin: origin.clone(),
    }
}
