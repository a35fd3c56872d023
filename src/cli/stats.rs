//! `dnsbld stats`: what a running server does now, in rates, and how its zones are.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _, Write},
    process::ExitCode,
    thread,
    time::Duration,
};

use super::{
    control::{EXIT_CODES, StateArgument},
    printable,
};
use crate::{
    control::{Answer, NO_ZONE, Request, Statistics, ZoneStatistics},
    live::clock,
    load::counted,
};

/// What is counted to make a rate, unless told otherwise.
const INTERVAL: Duration = Duration::from_secs(1);

type Counts = BTreeMap<String, u64>;

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Arguments {
    /// Go on, and draw it again after each interval
    #[arg(long, short)]
    watch: bool,
    /// The interval that rates are of [default: 1s]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = super::some_time)]
    every: Option<Duration>,
    /// How many zones are shown, those with most queries first; besides, those that something is wrong with
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    #[command(flatten)]
    pub(super) state: StateArgument,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let every = arguments.every.unwrap_or(INTERVAL);
    let ask = || match arguments.state.request(&Request::Stats)? {
        Answer::Stats { statistics } => Ok(statistics),
        _ => anyhow::bail!("the server answered something else: is it of another version?"),
    };
    let mut before = ask()?;
    loop {
        thread::sleep(every);
        let now = ask()?;
        let mut text = Vec::new();
        if arguments.state.is_json() {
            let rates = rates(&before, &now);
            serde_json::to_writer(&mut text, &serde_json::json!({ "statistics": now, "per_second": rates }))?;
            text.push(b'\n');
        } else {
            if arguments.watch && io::stdout().is_terminal() {
                text.extend_from_slice(b"\x1b[H\x1b[2J"); // to the corner, and all that is there away
            }
            show(&before, &now, arguments.top, &mut text)?;
        }
        let out = &mut io::stdout().lock();
        out.write_all(&text)?;
        out.flush()?;
        if !arguments.watch {
            return Ok(if now.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        before = now;
    }
}

/// Requests a second, by zone.
fn rates(before: &Statistics, now: &Statistics) -> serde_json::Value {
    let seconds = seconds_between(before, now);
    let rate = |name: &String, zone: &ZoneStatistics| {
        let old = before.zones.get(name).map_or(0, |zone| zone.requests);
        (name.clone(), serde_json::json!(per_second(old, zone.requests, seconds)))
    };
    now.zones.iter().map(|(name, zone)| rate(name, zone)).collect::<serde_json::Map<_, _>>().into()
}

fn seconds_between(before: &Statistics, now: &Statistics) -> f64 {
    (now.uptime_ms.saturating_sub(before.uptime_ms) as f64 / 1e3).max(1e-3)
}

fn per_second(old: u64, new: u64, seconds: f64) -> f64 {
    new.saturating_sub(old) as f64 / seconds
}

fn show(before: &Statistics, now: &Statistics, top: usize, out: &mut impl Write) -> io::Result<()> {
    let seconds = seconds_between(before, now);
    let old = |name: &str| before.zones.get(name).cloned().unwrap_or_default();
    let rate_of = |(name, zone): (&String, &ZoneStatistics)| per_second(old(name).requests, zone.requests, seconds);
    let uptime = humantime::format_duration(Duration::from_secs(now.uptime_ms / 1_000));
    let rate: f64 = now.zones.iter().map(rate_of).sum();
    writeln!(out, "up {uptime}, {rate:.0} queries/s, {} TCP connections", now.tcp_connections)?;
    writeln!(out, "codes   /s: {}", rates_of(&grown_in_zones(before, now, |zone| &zone.responses), seconds))?;
    writeln!(out, "results /s: {}", rates_of(&grown_in_zones(before, now, |zone| &zone.lookups), seconds))?;
    let mut dropped = Counts::new();
    add_grown(&mut dropped, Some(&before.dropped), &now.dropped);
    writeln!(out, "dropped /s: {}", rates_of(&dropped, seconds))?;
    writeln!(out, "\n{:<32} {:>10} {:>8} {:>12}  state", "zone", "queries/s", "hits", "entries")?;
    let mut zones: Vec<(&String, &ZoneStatistics, f64)> =
        now.zones.iter().map(|(name, zone)| (name, zone, rate_of((name, zone)))).collect();
    zones.sort_by(|one, two| two.2.total_cmp(&one.2));
    // The exit code looks at all.
    let is_shown = |(at, (name, zone, _)): &(usize, (&String, &ZoneStatistics, f64))| {
        *at < top || *name != NO_ZONE && !zone.is_well()
    };
    for (_, (name, zone, rate)) in zones.into_iter().enumerate().filter(is_shown) {
        let entries = zone.entries.map_or_else(|| "-".to_owned(), |entries| entries.to_string());
        let state = if name == NO_ZONE { String::new() } else { state(zone) };
        writeln!(out, "{name:<32} {rate:>10.0} {:>8} {entries:>12}  {state}", hits(&old(name), zone))?;
    }
    for (dataset, trouble) in &now.troubles {
        writeln!(out, "{}", printable(&format!("{dataset}: {trouble}")))?;
    }
    for (name, fault) in &now.interfaces {
        writeln!(out, "{}", printable(&interface(name, fault.as_deref())))?;
    }
    Ok(())
}

/// What grew of some counts, of all zones that there are: what one that is gone had counted is no loss of theirs.
fn grown_in_zones(before: &Statistics, now: &Statistics, counts: fn(&ZoneStatistics) -> &Counts) -> Counts {
    let mut grown = Counts::new();
    for (name, zone) in &now.zones {
        add_grown(&mut grown, before.zones.get(name).map(counts), counts(zone));
    }
    grown
}

/// Adds what grew of some counts.
fn add_grown(grown: &mut Counts, before: Option<&Counts>, now: &Counts) {
    for (word, count) in now {
        let old = before.and_then(|before| before.get(word)).copied().unwrap_or_default();
        *grown.entry(word.clone()).or_default() += count.saturating_sub(old);
    }
}

/// What grew, as `word rate`, the greatest first.
fn rates_of(grown: &Counts, seconds: f64) -> String {
    let mut grown: Vec<_> = grown.iter().filter(|(_, count)| **count > 0).collect();
    grown.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let words: Vec<String> =
        grown.into_iter().map(|(word, count)| format!("{word} {:.0}", *count as f64 / seconds)).collect();
    if words.is_empty() { "-".to_owned() } else { words.join("  ") }
}

/// The share of lookups that found something listed since then; since the start, if there were none.
fn hits(before: &ZoneStatistics, now: &ZoneStatistics) -> String {
    let share = |before: &ZoneStatistics| {
        let grown = |word: &str| {
            let count = |zone: &ZoneStatistics| zone.lookups.get(word).copied().unwrap_or_default();
            count(now).saturating_sub(count(before))
        };
        let all: u64 = now.lookups.keys().map(|word| grown(word)).sum();
        (all > 0).then(|| grown("listed") as f64 / all as f64)
    };
    let share = share(before).or_else(|| share(&ZoneStatistics::default()));
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1}%", share * 100.0))
}

/// How much of a zone is listed and excluded by command, if anything is.
pub(super) fn by_command(zone: &ZoneStatistics) -> Option<String> {
    let sorts = [(zone.live_listings, "listing", "listings"), (zone.live_exclusions, "exclusion", "exclusions")];
    let sorts = sorts.into_iter().filter(|(count, ..)| *count > 0);
    let words: Vec<_> = sorts.map(|(count, one, many)| counted(count, one, many)).collect();
    (!words.is_empty()).then(|| format!("{} by command", words.join(" and ")))
}

/// Whether an interface is used, and why not.
pub(super) fn interface(name: &str, fault: Option<&str>) -> String {
    match fault {
        None => format!("interface {name}: requests are taken straight from it"),
        Some(fault) => format!("interface {name}: its requests take the kernel's way: {fault}"),
    }
}

/// How a zone is, in words.
fn state(zone: &ZoneStatistics) -> String {
    let mut words = Vec::new();
    if zone.entries.is_none() {
        words.push("NOT LOADED, answers SERVFAIL".to_owned());
    }
    if let Some(ended_s) = zone.expired_s {
        words.push(format!("EXPIRED at {}, answers SERVFAIL", clock::date(ended_s)));
    }
    if let Some(loaded_s) = zone.loaded_s {
        let age_s = clock::now_s().saturating_sub(loaded_s);
        words.push(format!("loaded {} ago", humantime::format_duration(Duration::from_secs(age_s))));
    }
    words.extend(zone.is_retired.then(|| "retired, lists nothing".to_owned()));
    words.extend(by_command(zone));
    if let Some(next_s) = zone.next_expiry_s {
        words.push(format!("next listing ends {}", clock::date(next_s)));
    }
    if let probes @ [_, ..] = &*zone.alarming_probes().collect::<Vec<_>>() {
        words.push(format!("SELF-TEST FAILS: {}", probes.join(", ")));
    }
    if let probes @ [_, ..] = &*zone.missing_test_entries().collect::<Vec<_>>() {
        words.push(format!("lacks {}", probes.join(", ")));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_by_command_is_counted() {
        for (live_listings, live_exclusions, words) in [
            (0, 0, None),
            (1, 0, Some("1 listing by command")),
            (0, 1, Some("1 exclusion by command")),
            (15, 1, Some("15 listings and 1 exclusion by command")),
            (1, 2, Some("1 listing and 2 exclusions by command")),
        ] {
            let zone = ZoneStatistics { live_listings, live_exclusions, ..ZoneStatistics::default() };
            assert_eq!(by_command(&zone).as_deref(), words);
        }
    }

    #[test]
    fn what_is_wrong_is_shown_whatever_asks_for_more() {
        let zone = |requests: u64, failed: &[&str]| {
            let failed_probes = failed.iter().map(|probe| (*probe).to_owned()).collect();
            ZoneStatistics { requests, entries: Some(1), failed_probes, ..ZoneStatistics::default() }
        };
        let zones = [
            ("busy.example", zone(9, &["v4_test_entry"])),
            ("calm.example", zone(2, &[])),
            ("lacking.example", zone(1, &["v4_test_entry"])),
            ("wrong.example", zone(0, &["v4_never_listed", "v4_test_entry"])),
            (NO_ZONE, ZoneStatistics::default()),
        ];
        let zones = zones.map(|(name, zone)| (name.to_owned(), zone)).into();
        let (before, now) = (Statistics::default(), Statistics { zones, uptime_ms: 1_000, ..Statistics::default() });
        let mut said = Vec::new();
        show(&before, &now, 1, &mut said).expect("written");
        let said = String::from_utf8(said).expect("text");
        let lines: Vec<&str> = said.lines().skip_while(|line| !line.starts_with("zone ")).skip(1).collect();
        assert_eq!(lines.len(), 2, "{said}");
        assert!(lines[0].starts_with("busy.example ") && lines[0].ends_with("  lacks v4_test_entry"), "{said}");
        assert!(lines[1].starts_with("wrong.example "), "{said}");
        assert!(lines[1].ends_with("  SELF-TEST FAILS: v4_never_listed, lacks v4_test_entry"), "{said}");
    }

    #[test]
    fn a_zone_that_is_gone_takes_nothing_from_the_rates() {
        let count = |word: &str, count: u64| Counts::from([(word.to_owned(), count)]);
        let zone = |requests: u64| {
            let (responses, lookups) = (count("NOERROR", requests), count("listed", requests));
            ZoneStatistics { requests, responses, lookups, entries: Some(1), ..ZoneStatistics::default() }
        };
        let at = |uptime_ms: u64, zones: &[(&str, u64)], dropped| {
            let zones = zones.iter().map(|(name, requests)| ((*name).to_owned(), zone(*requests))).collect();
            Statistics { uptime_ms, zones, dropped: count("acl", dropped), ..Statistics::default() }
        };
        let before = at(1_000, &[("gone.example", 500), ("kept.example", 100), (NO_ZONE, 7)], 5);
        let now = at(3_000, &[("kept.example", 140), (NO_ZONE, 9)], 9);
        let mut said = Vec::new();
        show(&before, &now, 20, &mut said).expect("written");
        let said = String::from_utf8(said).expect("text");
        assert!(said.starts_with("up 3s, 21 queries/s,"), "{said}");
        let rates = "codes   /s: NOERROR 21\nresults /s: listed 21\ndropped /s: acl 2\n";
        assert!(said.contains(rates), "{said}");
    }
}
