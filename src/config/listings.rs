//! The rules of live listings, as the file describes them: one for all zones, and what differs in each.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::Context as _;
use serde::Deserialize;

use super::{Odd, duration, place::AtKey as _, set, within};
use crate::{
    live::listings::{DEFAULT_HISTORY_MAX_BYTES, DEFAULT_HISTORY_S, Key, Rule, Rules},
    load::of_no_host,
    wire::name::{Name, ends_in_number},
};

/// What is configured of live listings.
#[derive(Clone, Debug)]
pub struct ListingsConfig {
    /// What may be listed, and for how long.
    pub rules: Rules,
    /// History is kept for so many seconds.
    pub history_s: u64,
    /// And as much of it as fits these octets.
    pub history_max_bytes: u64,
}

impl Default for ListingsConfig {
    fn default() -> Self {
        Self { rules: Rules::default(), history_s: DEFAULT_HISTORY_S, history_max_bytes: DEFAULT_HISTORY_MAX_BYTES }
    }
}

/// What holds for all zones, or what differs in one: then the last three keys have no place.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ListingsSpec {
    lifetime: Option<String>,
    longest: Option<String>,
    exclusion: Option<String>,
    escalate: Option<Vec<String>>,
    window: Option<String>,
    repeat_after: Option<String>,
    never_list: Option<Vec<String>>,
    widest_v4: Option<u8>,
    widest_v6: Option<u8>,
    widest_name: Option<u8>,
    yields_to: Option<Vec<String>>,
    max_listings: Option<usize>,
    history_for: Option<String>,
    history_bytes: Option<u64>,
    zones: Option<BTreeMap<String, ListingsSpec>>,
}

impl ListingsSpec {
    /// The zones that rules are for, and those that win, with the keys that name them.
    pub(super) fn named_zones(&self) -> Vec<(Vec<String>, &String)> {
        let path = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        let general = self.yields_to.iter().flatten().map(|zone| (path(&["listings", "yields-to"]), zone));
        let special = self.zones.iter().flatten().flat_map(|(zone, rule)| {
            let winners = rule.yields_to.iter().flatten();
            let winners = winners.map(move |winner| (path(&["listings", "zones", zone, "yields-to"]), winner));
            std::iter::once((path(&["listings", "zones", zone]), zone)).chain(winners)
        });
        general.chain(special).collect()
    }

    /// Fills the configuration; returns what is odd about it.
    pub(super) fn apply(mut self, config: &mut ListingsConfig) -> anyhow::Result<Odd> {
        let says_history = (self.history_for.is_some(), self.history_bytes.is_some());
        set(&mut config.history_max_bytes, self.history_bytes);
        set(&mut config.history_s, seconds(self.history_for.take(), "history-for")?);
        let zones = self.zones.take().unwrap_or_default();
        let placed = |tables: &[&str], (key, text): (&str, String)| {
            (tables.iter().copied().chain([key]).map(str::to_owned).collect::<Vec<_>>(), text)
        };
        let mut oddities = Vec::new();
        let history = (config.history_s, config.history_max_bytes);
        let said = [
            ("history-bytes", says_history.1 && config.history_max_bytes == 0),
            ("history-for", says_history.0),
            ("window", self.window.is_some()),
            ("escalate", self.escalate.is_some()),
        ];
        let said_times = self.says_times();
        oddities.extend(self.fill(&mut config.rules.general)?.map(|oddity| placed(&["listings"], oddity)));
        let rule = &config.rules.general;
        let short = first_said(&said).zip(short_history(rule, history));
        let short = short.into_iter().chain(first_said(&said_times).zip(short_window(rule)));
        oddities.extend(short.map(|oddity| placed(&["listings"], oddity)));
        for (zone, spec) in zones {
            let name = Name::parse(zone.as_bytes()).at_key(&zone).at_key("zones")?;
            let is_one = (!is_asterisk(&zone)).then_some(());
            is_one
                .context("is no zone: what holds for all zones stands in [listings]")
                .at_key(&zone)
                .at_key("zones")?;
            spec.check_for_one_zone().at_key(&zone).at_key("zones")?;
            let mut rule = config.rules.general.clone();
            let said = [("window", spec.window.is_some()), ("escalate", spec.escalate.is_some())];
            let said_times = spec.says_times();
            let oddity = spec.fill(&mut rule).at_key(&zone).at_key("zones")?;
            let short = first_said(&said).zip(short_history(&rule, history));
            let short = short.into_iter().chain(first_said(&said_times).zip(short_window(&rule)));
            oddities.extend(short.map(|oddity| placed(&["listings", "zones", &zone], oddity)));
            oddities.extend(oddity.map(|oddity| placed(&["listings", "zones", &zone], oddity)));
            let is_new = config.rules.zones.insert(name, rule).is_none().then_some(());
            is_new.context("two tables are of this zone, in whatever case: keep one").at_key(&zone).at_key("zones")?;
        }
        Ok(oddities)
    }

    /// Which of the keys are said that decide which times count.
    const fn says_times(&self) -> [(&'static str, bool); 3] {
        [
            ("window", self.window.is_some()),
            ("repeat-after", self.repeat_after.is_some()),
            ("escalate", self.escalate.is_some()),
        ]
    }

    /// The history is one for all zones, and no zone has others within.
    fn check_for_one_zone(&self) -> anyhow::Result<()> {
        for (is_said, key) in [
            (self.history_for.is_some(), "history-for"),
            (self.history_bytes.is_some(), "history-bytes"),
            (self.zones.is_some(), "zones"),
        ] {
            (!is_said).then_some(()).context("is for all zones: move it to [listings]").at_key(key)?;
        }
        Ok(())
    }

    /// Fills the rule; returns what is odd about it, with its key.
    fn fill(self, rule: &mut Rule) -> anyhow::Result<Option<(&'static str, String)>> {
        let says_lifetime = self.lifetime.is_some();
        // What holds for all zones is told there, unless this zone makes it odd.
        let said = [("escalate", self.escalate.is_some()), ("longest", self.longest.is_some())];
        set(&mut rule.lifetime_s, seconds(self.lifetime, "lifetime")?);
        let is_any = (rule.lifetime_s > 0).then_some(());
        is_any.context("must not be 0: a listing that says nothing would be none").at_key("lifetime")?;
        if let Some(longest_s) = seconds(self.longest, "longest")? {
            rule.longest_s = (longest_s > 0).then_some(longest_s);
        }
        // A lifetime that is the default, or that of all zones, is shortened to the longest that is said here.
        if let Some(longest_s) = rule.longest_s.filter(|longest_s| says_lifetime && *longest_s < rule.lifetime_s) {
            let text = format!("{} seconds are more than `longest`, {longest_s}", rule.lifetime_s);
            return Err(anyhow::Error::msg(text)).at_key("lifetime");
        }
        set(&mut rule.exclusion_s, seconds(self.exclusion, "exclusion")?);
        (rule.exclusion_s > 0).then_some(()).context("must not be 0").at_key("exclusion")?;
        if let Some(escalate) = self.escalate {
            let steps = escalate.into_iter().map(|text| Ok(duration(&text).at_key("escalate")?.as_secs()));
            rule.escalation_s = steps.collect::<anyhow::Result<_>>()?;
        }
        set(&mut rule.window_s, seconds(self.window, "window")?);
        set(&mut rule.repeat_after_s, seconds(self.repeat_after, "repeat-after")?);
        if let Some(never_list) = self.never_list {
            let keys = never_list.iter().map(|text| never_listed(text).map_err(anyhow::Error::msg));
            rule.never_list = keys.collect::<Result<_, _>>().at_key("never-list")?;
        }
        set(&mut rule.widest_v4, self.widest_v4);
        within(rule.widest_v4, &(0..=32), "").at_key("widest-v4")?;
        set(&mut rule.widest_v6, self.widest_v6);
        within(rule.widest_v6, &(0..=128), "").at_key("widest-v6")?;
        set(&mut rule.widest_name, self.widest_name);
        within(rule.widest_name, &(0..=127), " labels").at_key("widest-name")?;
        if let Some(yields_to) = self.yields_to {
            let is_each = (!yields_to.iter().any(|zone| is_asterisk(zone))).then_some(());
            is_each.context("\"*\" is no zone: name each zone that wins").at_key("yields-to")?;
            let zones = yields_to.iter().map(|text| Name::parse(text.as_bytes()));
            rule.yields_to = zones.collect::<Result<_, _>>().at_key("yields-to")?;
        }
        set(&mut rule.max_listings, self.max_listings);
        let key = first_said(&said);
        let falls = said[0].1.then(|| falling_step(rule)).flatten();
        Ok(key.zip(cut_step(rule)).or(falls.map(|text| ("escalate", text))))
    }
}

/// Whether every zone is meant, as it may be where a door says what it opens. Here it would be a zone of that name.
fn is_asterisk(zone: &str) -> bool {
    matches!(zone, "*" | "*.")
}

/// Reads what is never to be listed. What was meant for addresses must not protect a name that nobody asks for.
fn never_listed(text: &str) -> Result<Key, String> {
    let why = "is neither an address as 192.0.2.1, a prefix as 192.0.2.0/24, nor a name";
    if ends_in_number(text.as_bytes()) && text.parse::<IpAddr>().is_err() {
        return Err(format!("`{text}` {why}"));
    }
    let key: Key = text.parse()?;
    let Key::Name { name, .. } = &key else { return Ok(key) };
    let labels: Vec<_> = name.labels().collect();
    let is_number = |label: &&[u8]| label.iter().all(u8::is_ascii_digit);
    let is_of_address = |octet: &u8| octet.is_ascii_digit() || b"*- ".contains(octet);
    let is_address = labels.last().is_some_and(|top| top.iter().all(is_of_address));
    if is_address || of_no_host(text.as_bytes()).is_some() {
        return Err(format!("`{text}` {why}"));
    }
    // Names may be so, and then a dot at their end says it.
    if labels.len() == 4 && labels[..3].iter().all(is_number) && !text.ends_with('.') {
        return Err(format!("`{text}` {why} (`{text}.` if it is one)"));
    }
    Ok(key)
}

/// The first of some keys that is said.
fn first_said(said: &[(&'static str, bool)]) -> Option<&'static str> {
    said.iter().find_map(|&(key, is_said)| is_said.then_some(key))
}

/// What becomes of an escalation whose times are kept for less than they count; of the history, seconds and octets.
fn short_history(rule: &Rule, (history_s, max_bytes): (u64, u64)) -> Option<String> {
    if rule.escalation_s.is_empty() {
        return None;
    }
    if max_bytes == 0 {
        return Some("`history-bytes` is 0, so no history is kept, and `escalate` counts times by it".to_owned());
    }
    (history_s < rule.window_s).then(|| {
        format!(
            "history is kept for {history_s} seconds (`history-for`), and `escalate` counts those of {} (`window`): what is \
             older is forgotten before",
            rule.window_s
        )
    })
}

/// What becomes of an escalation where a time counts no more by when the next one is told from it.
fn short_window(rule: &Rule) -> Option<String> {
    let Rule { window_s, repeat_after_s, .. } = rule;
    (!rule.escalation_s.is_empty() && window_s <= repeat_after_s).then(|| {
        format!(
            "`window` ({window_s} seconds) is not longer than `repeat-after` ({repeat_after_s} seconds), so no time counts any \
             more when the next one does, and `escalate` does nothing"
        )
    })
}

/// What becomes of a step of the escalation that is longer than any listing may be.
fn cut_step(rule: &Rule) -> Option<String> {
    let longest_s = rule.longest_s?;
    let step_s = rule.escalation_s.iter().find(|step_s| **step_s > longest_s)?;
    Some(format!(
        "a step of `escalate`, {step_s} seconds, is more than `longest`, and such a listing holds for {longest_s} seconds only"
    ))
}

/// What becomes of a step of the escalation that is shorter than the one before it.
fn falling_step(rule: &Rule) -> Option<String> {
    let mut steps = rule.escalation_s.iter().zip(rule.escalation_s.iter().skip(1));
    let (before_s, step_s) = steps.find(|(before_s, step_s)| step_s < before_s)?;
    Some(format!(
        "a step of {step_s} seconds follows one of {before_s}, and whoever is listed once more is listed for a shorter time"
    ))
}

fn seconds(text: Option<String>, key: &str) -> anyhow::Result<Option<u64>> {
    let seconds = text.map(|text| duration(&text).at_key(key)).transpose()?;
    Ok(seconds.map(|time| time.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<ListingsConfig> {
        let mut config = ListingsConfig::default();
        toml::from_str::<ListingsSpec>(text)?.apply(&mut config)?;
        Ok(config)
    }

    #[test]
    fn steps_that_are_cut_are_told_where_they_are_said() {
        let odd = |text: &str| {
            let oddities = toml::from_str::<ListingsSpec>(text).expect(text).apply(&mut ListingsConfig::default());
            oddities.expect(text).into_iter().map(|(keys, _)| keys.join(".")).collect::<Vec<_>>()
        };
        let none: [&str; 0] = [];
        assert_eq!(odd("escalate = ['1d', '7d']\nlongest = '7d'"), none);
        assert_eq!(odd("escalate = ['1d', '7d']"), none);
        assert_eq!(odd("escalate = ['1d', '1d']"), none);
        assert_eq!(odd("escalate = ['7d', '1d']\n[zones.'a.b']\nwindow = '9d'"), ["listings.escalate"]);
        assert_eq!(odd("escalate = ['1d', '7d']\nlongest = '6d'"), ["listings.escalate"]);
        assert_eq!(odd("escalate = ['7d']\nlongest = '6d'\n[zones.'a.b']\nwindow = '9d'"), ["listings.escalate"]);
        assert_eq!(odd("escalate = ['7d']\n[zones.'a.b']\nlongest = '6d'"), ["listings.zones.a.b.longest"]);
        assert_eq!(odd("longest = '6d'\n[zones.'a.b']\nescalate = ['7d']"), ["listings.zones.a.b.escalate"]);
        // Times that are forgotten before they count no more.
        assert_eq!(odd("escalate = ['1d']\nhistory-for = '30d'"), none);
        assert_eq!(odd("history-for = '1d'\n[zones.'a.b']\nlongest = '1d'"), none);
        assert_eq!(odd("escalate = ['1d']\nhistory-for = '29d'"), ["listings.history-for"]);
        assert_eq!(odd("escalate = ['1d']\nhistory-bytes = 0\nhistory-for = '90d'"), ["listings.history-bytes"]);
        assert_eq!(odd("escalate = ['1d']\nwindow = '91d'"), ["listings.window"]);
        assert_eq!(odd("escalate = ['1d']\n[zones.'a.b']\nwindow = '91d'"), ["listings.zones.a.b.window"]);
        // Times that count no more when the next one may.
        assert_eq!(odd("escalate = ['1d']\nwindow = '5m'"), ["listings.window"]);
        assert_eq!(odd("escalate = ['1d']\nwindow = '301s'"), none);
        assert_eq!(odd("window = '5m'"), none, "nothing counts them");
        assert_eq!(odd("escalate = ['1d']\nrepeat-after = '30d'"), ["listings.repeat-after"]);
        assert_eq!(odd("escalate = ['1d']\nwindow = '1h'\nrepeat-after = '2h'"), ["listings.window"]);
        assert_eq!(odd("escalate = ['1d']\n[zones.'a.b']\nrepeat-after = '40d'"), ["listings.zones.a.b.repeat-after"]);
        assert_eq!(odd("window = '1m'\n[zones.'a.b']\nescalate = ['1d']"), ["listings.zones.a.b.escalate"]);
        assert_eq!(odd("escalate = ['1d']\nwindow = '1m'\n[zones.'a.b']\nlifetime = '1m'"), ["listings.window"]);
        let both = ["listings.zones.a.b.escalate", "listings.zones.a.b.escalate"];
        assert_eq!(odd("longest = '6d'\nhistory-for = '1d'\n[zones.'a.b']\nescalate = ['7d']"), both);
    }

    #[test]
    fn a_zone_differs_in_what_it_says() {
        let text = r#"
            longest = "30d"
            never-list = ["192.0.2.0/24", "tee.gr"]
            [zones."virbl.tee.gr"]
            escalate = ["1d", "7d"]
            yields-to = ["grwhitelist.tee.gr"]
            lifetime = "2h"
            [zones."other.tee.gr"]
            longest = "0"
            never-list = []
            widest-name = 1
        "#;
        let config = read(text).expect("valid");
        let virbl = config.rules.of(&Name::parse(b"virbl.tee.gr").expect("a name"));
        assert_eq!((virbl.lifetime_s, virbl.longest_s), (7_200, Some(30 * 86_400)));
        assert_eq!((&*virbl.escalation_s, virbl.never_list.len()), (&[86_400, 7 * 86_400][..], 2));
        assert_eq!(virbl.yields_to[0].to_string(), "grwhitelist.tee.gr");
        let other = config.rules.of(&Name::parse(b"other.tee.gr").expect("a name"));
        assert_eq!((other.longest_s, other.never_list.len()), (None, 0));
        assert_eq!((other.widest_name, virbl.widest_name), (1, 2));
        assert_eq!(config.rules.general.lifetime_s, 3_600);
        assert!(read("longest = '30m'").is_ok(), "the default lifetime is shortened");
        assert!(read("lifetime = '2h'\n[zones.'a.b']\nlongest = '1h'").is_ok(), "that of all zones is");
    }

    #[test]
    fn mistakes_are_named() {
        let message = |text: &str| format!("{:#}", read(text).expect_err("a mistake"));
        assert!(message("lifetime = '0'").contains("`lifetime`: must not be 0"));
        assert!(message("never-list = ['192.0.2.1/24']").contains("did you mean 192.0.2.0/24?"));
        for slip in [
            "192.0.2",
            "10.0.0.300",
            "203.0.113.*",
            "*.113",
            "10",
            "8.8.8.8 ",
            "192.0.2.1:25",
            "192.0.2.1;",
            "10.0.0.x",
            "2001:db8",
            "[2001:db8::1]",
            "fe80::1%eth0",
            "https:tee.gr",
            "tee.gr,example.com",
        ] {
            let said = message(&format!("never-list = ['tee.gr', '{slip}']"));
            assert!(said.starts_with(&format!("`never-list`: `{slip}` is neither an address")), "{said}");
        }
        assert!(
            message("never-list = ['198.51.100.0-255']").contains("is a range: take its addresses, or the prefixes")
        );
        assert!(read("never-list = ['10.tee.gr', '*.4u', 'xn--4', '192.0.2.1', '*.1a']").is_ok());
        assert!(
            read(r"never-list = ['john.doe@tee.gr', 'a\044b.tee.gr', '_dmarc.tee.gr', '1.2.3.4.tee.gr', '1.2.3.gr.']")
                .is_ok()
        );
        let said = message("never-list = ['1.2.3.gr']");
        assert!(said.contains("`1.2.3.gr.`"), "{said}");
        assert!(message("[zones.'a.b']\nescalate = ['soon']").contains("soon"));
        assert!(message("widest-v4 = 33").contains("`widest-v4`: 33 must be 0 to 32"));
        assert!(message("widest-name = 128").contains("`widest-name`: 128 must be 0 to 127 labels"));
        assert!(message("[zones.'a..b']").contains("a..b"));
        let said = message("[zones.'*']\nlifetime = '1d'");
        assert!(said.contains("`zones.\"*\"`: is no zone: what holds for all zones stands in [listings]"), "{said}");
        for text in ["yields-to = ['*']", "[zones.'a.b']\nyields-to = ['c.d', '*.']"] {
            assert!(message(text).contains("yields-to`: \"*\" is no zone: name each zone that wins"), "{text}");
        }
        for [first, second] in [["A.B", "a.b"], ["a.b", "a.b."]] {
            let said = message(&format!("[zones.'{first}']\nlifetime = '1d'\n[zones.'{second}']\nlongest = '2d'"));
            let words = format!("`zones.\"{second}\"`: two tables are of this zone, in whatever case: keep one");
            assert!(said.contains(&words), "{said}");
        }
        for line in ["history-for = '1d'", "history-bytes = 1", "zones = {}"] {
            let said = message(&format!("[zones.'a.b']\n{line}"));
            let key = line.split(' ').next().expect("a key");
            assert!(said.contains(&format!("`zones.\"a.b\".{key}`: is for all zones")), "{said}");
        }
    }
}
