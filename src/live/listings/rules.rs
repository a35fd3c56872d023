//! What may be listed, and for how long: a rule for each zone.

use std::{collections::HashMap, sync::LazyLock};

use ipnet::IpNet;

use super::{Change, Key, Lifetime, Op, REASON_MAX_LEN, Record, Refusal, Verdict};
use crate::{
    live::clock,
    wire::name::{NAME_MAX, Name, QueryName},
    zone::{
        dataset::Entries,
        live::{Below, Live, LiveZone},
        reversed::Reversed,
        ruling::Context,
        snapshot::{Content, Snapshot, Zone},
        subject::Run,
    },
};

const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 60 * MINUTE_S;
const DAY_S: u64 = 24 * HOUR_S;

/// What no list may hold (RFC 5782 section 5): monitors take a list that does for one that lists the world.
static ALWAYS_FREE: LazyLock<Vec<Key>> =
    LazyLock::new(|| ["127.0.0.1", "invalid"].iter().filter_map(|text| text.parse().ok()).collect());

/// Times are kept in 32 bits where they are served, and all ones is for ever.
const LAST_S: u64 = u32::MAX as u64 - 1;

/// The rule of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How long a listing holds that does not say, in seconds.
    pub lifetime_s: u64,
    /// The longest that a listing may hold; `None` allows any time, and none.
    pub longest_s: Option<u64>,
    /// How long an exclusion holds that does not say.
    pub exclusion_s: u64,
    /// How long a listing holds at least that is the second, the third and so on of its key; the last of them holds for more.
    pub escalation_s: Vec<u64>,
    /// Times further back than this do not count.
    pub window_s: u64,
    /// Listed again sooner than this since it was listed last, it is the same time, and only extended.
    pub repeat_after_s: u64,
    /// What is never listed.
    pub never_list: Vec<Key>,
    /// Length of the widest IPv4 prefix that is listed at once.
    pub widest_v4: u8,
    /// The same of IPv6.
    pub widest_v6: u8,
    /// Labels of the widest name below which all is listed at once.
    pub widest_name: u8,
    /// Zones that win: what they list is not listed here. They are asked for what they serve, so changes that come together do
    /// not see each other here.
    pub yields_to: Vec<Name>,
    /// Most live listings.
    pub max_listings: usize,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            lifetime_s: HOUR_S,
            longest_s: None,
            exclusion_s: 7 * DAY_S,
            escalation_s: Vec::new(),
            window_s: 30 * DAY_S,
            repeat_after_s: 5 * MINUTE_S,
            never_list: Vec::new(),
            widest_v4: 8,
            widest_v6: 16,
            widest_name: 2,
            yields_to: Vec::new(),
            max_listings: 5_000_000,
        }
    }
}

/// The rules of all zones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// For zones that have none of their own.
    pub general: Rule,
    /// By zone.
    pub zones: HashMap<Name, Rule>,
}

impl Rules {
    /// The rule of a zone.
    pub fn of(&self, zone: &Name) -> &Rule {
        self.zones.get(zone).unwrap_or(&self.general)
    }
}

/// What decides besides a rule: everything that is served, without what is to be committed now, and the time.
#[derive(Clone, Copy)]
pub(super) struct Situation<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) live: &'a Live,
    pub(super) now_s: u64,
}

impl Rule {
    /// Why a change is not to be done, if so.
    pub(super) fn refuse(&self, change: &Change, situation: &Situation<'_>) -> Option<Refusal> {
        let zone_name = || change.zone.to_string();
        let Some(zone) = situation.snapshot.zone(&change.zone) else {
            let of = situation.snapshot.subzone(&change.zone);
            let subzone = |of: &Zone| Refusal::Subzone { zone: of.apex.to_string(), subzone: zone_name() };
            return Some(of.map_or_else(|| Refusal::NoZone { zone: zone_name() }, subzone));
        };
        if change.reason.as_ref().is_some_and(|reason| reason.len() > REASON_MAX_LEN) {
            // Doors without a word for a reason take the text for one.
            let is_text =
                matches!(&change.op, Op::Put { verdict: Verdict::Listed { text, .. }, .. } if *text == change.reason);
            let what = if is_text { "text" } else { "reason" };
            return Some(Refusal::TooLong { what: what.into(), max_len: REASON_MAX_LEN });
        }
        let Op::Put { verdict, lifetime } = &change.op else { return None };
        if let Lifetime::Until(until_s) | Lifetime::AtLeastUntil(until_s) = lifetime {
            if *until_s <= situation.now_s {
                return Some(Refusal::Time { fault: "over already".into() });
            }
            if *until_s > LAST_S {
                let last = clock::date(LAST_S);
                let fault = format!("beyond {last}, the last that can be kept: `forever` (--forever) has no end");
                return Some(Refusal::Time { fault });
            }
        }
        if let Key::Name { name, .. } = &change.key
            && name.as_wire().len() + change.zone.as_wire().len() - 1 > NAME_MAX
        {
            return Some(Refusal::TooLong { what: "name in its zone".into(), max_len: NAME_MAX });
        }
        if let Verdict::Listed { .. } = verdict
            && let Some(retirement) = zone.content.as_ref().and_then(Content::retirement)
        {
            return Some(Refusal::Retired { zone: zone_name(), by: retirement.label.to_string() });
        }
        if let Some(holds) = zone.content.as_ref().and_then(|content| other_shape(content, verdict, &change.key)) {
            return Some(Refusal::Shape { zone: zone_name(), holds: holds.to_owned() });
        }
        if let Key::Name { name, .. } = &change.key
            && let Some(other) =
                situation.snapshot.zone_of(name, &change.zone).filter(|other| other.apex != change.zone)
        {
            return Some(Refusal::OtherZone { zone: zone_name(), other: other.apex.to_string() });
        }
        if let Some(subzone) = subzone_of(zone, &change.key) {
            return Some(Refusal::Subzone { zone: zone_name(), subzone });
        }
        let Verdict::Listed { address, text } = verdict else { return None };
        if let Some(address) = address.filter(std::net::Ipv4Addr::is_unspecified) {
            return Some(Refusal::Value { address });
        }
        if text.as_ref().is_some_and(|text| text.len() > REASON_MAX_LEN) {
            return Some(Refusal::TooLong { what: "text".into(), max_len: REASON_MAX_LEN });
        }
        if let Some(never) = self.never_list.iter().chain(&*ALWAYS_FREE).find(|never| never.overlaps(&change.key)) {
            return Some(Refusal::NeverListed { zone: zone_name(), never: never.to_string() });
        }
        if let Some(refusal) = self.too_wide(change) {
            return Some(refusal);
        }
        // A rule for all zones is one for those that win as well, and none yields to itself.
        let wins = |winner: &&Name| {
            let winner = situation.snapshot.zone(winner).filter(|_| **winner != change.zone);
            winner.is_some_and(|winner| lists(winner, &change.key, situation))
        };
        self.yields_to.iter().find(wins).map(|winner| Refusal::Yields { zone: zone_name(), winner: winner.to_string() })
    }

    /// Whether it is more than is listed at once.
    fn too_wide(&self, change: &Change) -> Option<Refusal> {
        let zone = || change.zone.to_string();
        match &change.key {
            Key::Prefix(prefix) => {
                let (widest, setting) = match prefix {
                    IpNet::V4(_) => (self.widest_v4, "widest-v4"),
                    IpNet::V6(_) => (self.widest_v6, "widest-v6"),
                };
                (prefix.prefix_len() < widest).then(|| {
                    let (prefix, setting) = (prefix.to_string(), setting.to_owned());
                    Refusal::TooWide { zone: zone(), prefix, widest, setting }
                })
            }
            Key::Name { name, is_wildcard } => {
                let (widest, is_wide) = (self.widest_name, name.label_count() < usize::from(self.widest_name));
                (*is_wildcard && is_wide).then(|| Refusal::TooManyNames {
                    zone: zone(),
                    key: change.key.to_string(),
                    widest,
                })
            }
        }
    }

    /// Until when something holds that is put now; `before` is what was said of it, if that is in force and said the same, and
    /// `times` how often it was listed, now included. `None` is for ever.
    pub(super) fn until(
        &self,
        verdict: &Verdict,
        lifetime: Lifetime,
        before: Option<&Record>,
        times: u32,
        now_s: u64,
    ) -> Option<u64> {
        let is_listed = *verdict != Verdict::Excluded;
        let least_s = if is_listed { self.escalated_s(times) } else { 0 };
        let asked_s = match lifetime {
            Lifetime::Endless => None,
            Lifetime::Until(until_s) => Some(until_s),
            Lifetime::AtLeastUntil(until_s) => Some(until_s.max(now_s.saturating_add(least_s))),
            Lifetime::For(time) => Some(now_s.saturating_add(time.as_secs().max(1).max(least_s))),
            Lifetime::Default if is_listed => Some(now_s.saturating_add(self.lifetime_s.max(least_s))),
            Lifetime::Default => Some(now_s.saturating_add(self.exclusion_s)),
        };
        let allowed_s = match self.longest_s.filter(|_| is_listed).map(|longest_s| now_s.saturating_add(longest_s)) {
            None => asked_s,
            Some(last_s) => Some(asked_s.map_or(last_s, |asked_s| asked_s.min(last_s))),
        };
        // To say again what holds already never shortens it, unless an end is named.
        let extended_s = match (before, lifetime) {
            (None, _) | (_, Lifetime::Until(_)) => allowed_s,
            (Some(before), _) => allowed_s.zip(before.until_s).map(|(one_s, other_s)| one_s.max(other_s)),
        };
        extended_s.map(|until_s| until_s.min(LAST_S))
    }

    fn escalated_s(&self, times: u32) -> u64 {
        let Some(step) = times.checked_sub(2) else { return 0 };
        let step = self.escalation_s.get(step as usize).or(self.escalation_s.last());
        step.copied().unwrap_or(0)
    }
}

/// The subzone that a name is in: there nobody asks for it, but for what stands left of the subzone.
fn subzone_of(zone: &Zone, key: &Key) -> Option<String> {
    let (Key::Name { name, .. }, Some(content)) = (key, &zone.content) else { return None };
    let subzone = content.part_of(name).map(|part| &part.name).filter(|part| !part.is_root())?;
    Some(subzone.below(&zone.apex).map_or_else(|_| subzone.to_string(), |subzone| subzone.to_string()))
}

/// What a zone holds, if that is not of the key's shape. A zone of plain records, or of nothing yet, takes any. What is listed is
/// so in the zone itself, what is excluded in its subzones, too.
fn other_shape(content: &Content, verdict: &Verdict, key: &Key) -> Option<&'static str> {
    let own = |is_such: fn(&Entries) -> bool| content.own_datasets().iter().any(|dataset| is_such(&dataset.entries));
    let (has_addresses, has_names) = match verdict {
        Verdict::Excluded => content.holds(),
        Verdict::Listed { .. } => (
            own(|entries| matches!(entries, Entries::Addresses(_))),
            own(|entries| matches!(entries, Entries::Names(_))),
        ),
    };
    match key {
        Key::Prefix(_) if has_names && !has_addresses => Some("names, and this is an address"),
        Key::Name { .. } if has_addresses && !has_names => Some("addresses, and this is not one"),
        _ => None,
    }
}

/// Whether a zone lists any of a key, by its files or by command.
fn lists(zone: &Zone, key: &Key, situation: &Situation<'_>) -> bool {
    let context = Context { now_s: situation.now_s, keyed: false };
    let none = LiveZone::default();
    let live = situation.live.zone(zone.live_slot).unwrap_or(&none);
    let datasets: Vec<_> = zone.content.iter().flat_map(Content::datasets).collect();
    let addresses = || {
        datasets.iter().filter_map(|dataset| match &dataset.entries {
            Entries::Addresses(addresses) => Some(addresses),
            _ => None,
        })
    };
    match key {
        Key::Prefix(IpNet::V4(net)) => {
            let run = Run { first: net.network().into(), last: net.broadcast().into() };
            live.any_listed_v4(run, situation.now_s, |run| {
                addresses().any(|set| set.any_listed_v4(run.first, run.last, &context))
            })
        }
        Key::Prefix(IpNet::V6(net)) => {
            let run = Run { first: net.network().into(), last: net.broadcast().into() };
            live.any_listed_v6(run, situation.now_s, |run| {
                addresses().any(|set| set.any_listed_v6(run.first, run.last, &context))
            })
        }
        Key::Name { name, is_wildcard } => {
            let mut query_name = QueryName::new();
            if query_name.read(name.as_wire()).is_none() {
                return false;
            }
            let relative = query_name.relative(query_name.label_count());
            let mut names = datasets.iter().filter_map(|dataset| match &dataset.entries {
                Entries::Names(names) => Some(names),
                _ => None,
            });
            if !*is_wildcard {
                return match live.find_name(relative, situation.now_s) {
                    Some((_, entry)) => entry.value().is_some(),
                    None => names.any(|names| names.look_up(relative, &context).finding.is_listed()),
                };
            }
            let is_left_out = |name: &Reversed, is_wildcard| live.leaves_out(name, is_wildcard, situation.now_s);
            match live.below(relative, situation.now_s) {
                Below::Listed => true,
                Below::AllExcluded => false,
                Below::Nothing => names.any(|names| names.look_up(relative, &context).listed_below),
                Below::SomeExcluded => names.any(|names| names.any_below_but(relative, &context, is_left_out)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::live::listings::{Door, Origin};

    fn before(until_s: Option<u64>) -> Record {
        Record {
            zone: Name::root(),
            key: "192.0.2.1".parse().expect("a key"),
            verdict: Verdict::LISTED,
            since_s: 0,
            changed_s: 0,
            until_s,
            times: 1,
            counted_s: 0,
            reason: None,
            origin: Origin { door: Door::Command, who: String::new(), from: None },
        }
    }

    #[test]
    fn how_long() {
        let rule = Rule { longest_s: Some(10 * DAY_S), escalation_s: vec![DAY_S, 7 * DAY_S], ..Rule::default() };
        let until =
            |lifetime, before: Option<&Record>, times| rule.until(&Verdict::LISTED, lifetime, before, times, 1_000);
        let hours = |count| Lifetime::For(Duration::from_secs(count * HOUR_S));
        assert_eq!(until(Lifetime::Default, None, 1), Some(1_000 + HOUR_S));
        assert_eq!(until(hours(2), None, 1), Some(1_000 + 2 * HOUR_S));
        assert_eq!(until(hours(2), None, 2), Some(1_000 + DAY_S), "the second time");
        assert_eq!(until(Lifetime::Default, None, 3), Some(1_000 + 7 * DAY_S), "the third");
        assert_eq!(until(Lifetime::Default, None, 9), Some(1_000 + 7 * DAY_S));
        assert_eq!(until(hours(1_000), None, 1), Some(1_000 + 10 * DAY_S), "the longest");
        assert_eq!(until(Lifetime::Endless, None, 1), Some(1_000 + 10 * DAY_S));
        assert_eq!(until(hours(1), Some(&before(Some(9_000))), 1), Some(9_000), "never shorter");
        assert_eq!(until(hours(1), Some(&before(None)), 1), None);
        // As where `longest` was made less since then.
        assert_eq!(until(Lifetime::Endless, Some(&before(None)), 1), None, "nor by an endless one");
        let far_s = Some(1_000 + 30 * DAY_S);
        assert_eq!(until(Lifetime::Endless, Some(&before(far_s)), 1), far_s);
        assert_eq!(until(Lifetime::Until(2_000), Some(&before(None)), 1), Some(2_000), "but by name");
        let late = Lifetime::AtLeastUntil(2_000);
        assert_eq!([until(late, None, 1), until(late, Some(&before(Some(1_500))), 1)], [Some(2_000); 2]);
        assert_eq!(until(late, Some(&before(Some(9_000))), 1), Some(9_000), "by a report that comes late");
        assert_eq!(until(late, Some(&before(None)), 1), None);
        assert_eq!(until(late, None, 2), Some(1_000 + DAY_S), "the second time");
        assert_eq!(until(Lifetime::AtLeastUntil(1_000 + 20 * DAY_S), None, 1), Some(1_000 + 10 * DAY_S));
        let free = Rule::default();
        assert_eq!(free.until(&Verdict::LISTED, Lifetime::Endless, None, 1, 5), None);
        assert_eq!(free.until(&Verdict::Excluded, Lifetime::Default, None, 1, 5), Some(5 + 7 * DAY_S));
        assert_eq!(free.until(&Verdict::LISTED, Lifetime::For(Duration::MAX), None, 1, 5), Some(LAST_S));
    }

    #[test]
    fn what_no_list_may_hold() {
        assert_eq!(ALWAYS_FREE.len(), 2);
        let key = |text: &str| text.parse::<Key>().expect(text);
        let is_free = |text: &str| ALWAYS_FREE.iter().any(|never| never.overlaps(&key(text)));
        assert!(is_free("127.0.0.1") && is_free("127.0.0.0/8") && is_free("0.0.0.0/0") && is_free("invalid"));
        assert!(is_free("::ffff:127.0.0.1") && is_free("::/0") && is_free("::/80"));
        assert!(!is_free("127.0.0.2") && !is_free("test") && !is_free("x.invalid") && !is_free("2000::/3"));
    }

    #[test]
    fn what_is_never_listed() {
        let key = |text: &str| text.parse::<Key>().expect(text);
        for (never, listed, overlaps) in [
            ("192.0.2.0/24", "192.0.2.1", true),
            ("192.0.2.0/24", "192.0.0.0/16", true),
            ("192.0.2.0/24", "192.0.3.0/24", false),
            ("192.0.2.0/24", "2001:db8::1", false),
            ("192.0.2.0/24", "::/0", true),
            ("192.0.2.0/24", "::ffff:c000:200/119", true),
            ("::/16", "192.0.2.1", true),
            ("2000::/3", "192.0.2.1", false),
            ("tee.gr", "tee.gr", true),
            ("tee.gr", "*.gr", true),
            ("tee.gr", "*.tee.gr", false),
            ("*.tee.gr", "mail.tee.gr", true),
            ("*.tee.gr", "*.mail.tee.gr", true),
            ("*.tee.gr", "*.tee.gr", true),
            ("*.tee.gr", "tee.gr", false),
            ("*.tee.gr", "xtee.gr", false),
        ] {
            assert_eq!(key(never).overlaps(&key(listed)), overlaps, "{never} and {listed}");
        }
    }
}
