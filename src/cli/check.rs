//! `dnsbld check`: loads zones as the server would, and says what is wrong with them.

use std::{
    fmt,
    io::{self, Write},
    net::Ipv4Addr,
    process::ExitCode,
    str::FromStr,
    time::{Duration, UNIX_EPOCH},
};

use super::{
    control::StateArgument,
    diff, logging,
    zones_args::{ZonesArguments, reloader_settings},
};
use crate::{
    config::Config,
    control::ToldChange,
    live::{clock, reloader::Reloader, served::Served},
    server::{
        probe::{Probe, probes},
        progress::Bar,
    },
    zone::lifetimes::Lifetimes,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    zones: ZonesArguments,
    /// Fail on warnings too
    #[arg(long)]
    strict: bool,
    /// Say besides what would change against this, and fail with 3 if that is too much: `running`, or another folder or file
    #[arg(long, value_name = "running|FOLDER|FILE")]
    against: Option<String>,
    /// Most that may become listed: a number, or a share of what there is such as 20% [default: 100%]
    #[arg(long, value_name = "N|P%", requires = "against", default_value = "100%")]
    max_listed: Limit,
    /// Most that may be delisted [default: 50%]
    #[arg(long, value_name = "N|P%", requires = "against", default_value = "50%")]
    max_delisted: Limit,
    /// Most that may change its values [default: 100%]
    #[arg(long, value_name = "N|P%", requires = "against", default_value = "100%")]
    max_changed: Limit,
    #[command(flatten)]
    state: StateArgument,
}

/// The exit code for more changes than are allowed.
const TOO_MUCH: u8 = 3;

/// How much may change.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    Count(u128),
    Share(f64),
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is neither a number such as 1000 nor a share such as 20%");
        match text.strip_suffix('%') {
            Some(share) => match share.parse::<f64>() {
                Ok(share) if share >= 0.0 => Ok(Self::Share(share / 100.0)),
                _ => Err(wrong()),
            },
            None => text.parse().map(Self::Count).map_err(|_| wrong()),
        }
    }
}

impl Limit {
    fn is_exceeded_by(self, change: &ToldChange) -> bool {
        match self {
            Self::Count(most) => change.amounts.count() > most,
            Self::Share(most) => change.share > most,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(most) => write!(out, "{most}"),
            Self::Share(most) => write!(out, "{}%", most * 100.0),
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    logging::start(logging::LogFormat::Text, "error");
    let code = load_and_report(&arguments.zones.config()?, arguments.strict)?;
    match &arguments.against {
        Some(against) if code == ExitCode::SUCCESS => hold_against(against, arguments),
        _ => Ok(code),
    }
}

/// Compares with what there is, and holds the changes against the limits.
fn hold_against(against: &str, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut zones = Vec::new();
    for word in arguments.zones.words()? {
        zones.extend(diff::compare(against, &word, SHOWN, &arguments.state)?);
    }
    let out = &mut io::stdout().lock();
    diff::show(&zones, out)?;
    let mut code = ExitCode::SUCCESS;
    for zone in &zones {
        for (word, change, limit) in [
            ("listed", &zone.listed, arguments.max_listed),
            ("delisted", &zone.delisted, arguments.max_delisted),
            ("changed", &zone.changed, arguments.max_changed),
        ] {
            if limit.is_exceeded_by(change) {
                code = ExitCode::from(TOO_MUCH);
                let (zone, amounts, share) = (&zone.zone, &change.amounts, change.share * 100.0);
                writeln!(
                    out,
                    "{zone}: too much: {amounts} ({share:.1}%) {word}, at most {limit} allowed (--max-{word})"
                )?;
            }
        }
    }
    Ok(code)
}

/// Changes of each kind that are shown.
const SHOWN: usize = 5;

/// Loads everything, prints all faults and what each zone keeps of RFC 5782; fails on errors, and on warnings if `strict`.
pub(super) fn load_and_report(config: &Config, strict: bool) -> anyhow::Result<ExitCode> {
    let cell = crate::live::served::Cell::default();
    let mut reloader = Reloader::new(reloader_settings(config), cell.clone());
    let bar = Bar::start(reloader.progress());
    let report = reloader.reload(clock::now_s(), None);
    bar.finish();
    let out = &mut io::stdout().lock();
    let (mut errors, mut warnings) = (0, 0);
    for dataset in &report.datasets {
        for remark in dataset.report.remarks() {
            writeln!(out, "{remark}")?;
        }
        warnings += dataset.report.warnings();
        match &dataset.failure {
            Some(failure) => {
                errors += 1;
                writeln!(out, "{}: error: {failure}", dataset.dataset)?;
            }
            None => writeln!(out, "{}: {}", dataset.dataset, dataset.report)?,
        }
    }
    let served = cell.load();
    warnings += report_zones(&served, out)?;
    if report.datasets.is_empty() {
        errors += 1;
        writeln!(out, "error: nothing to serve: no file is named ZONE.TYPE, as in bl.example.org.ip4set")?;
    }
    let count = |number: u64, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
    let zones = count(served.snapshot.zones().len() as u64, "zone");
    writeln!(out, "{zones}, {}, {}", count(errors, "error"), count(warnings, "warning"))?;
    Ok(if errors > 0 || strict && warnings > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Says of each zone what it holds, and what it keeps of the conventions; returns the number of warnings.
fn report_zones(served: &Served, out: &mut impl Write) -> io::Result<u64> {
    let mut warnings = 0;
    let now_s = clock::now_s();
    for zone in served.snapshot.zones() {
        let Some(content) = &zone.content else {
            writeln!(out, "zone {}: error: not all of its datasets are loaded", zone.apex)?;
            continue;
        };
        let datasets = content.datasets();
        let entries: usize = datasets.iter().map(|dataset| dataset.len()).sum();
        let bytes: usize = datasets.iter().map(|dataset| dataset.memory_bytes()).sum();
        writeln!(out, "zone {}: {entries} entries in {} datasets, {bytes} bytes", zone.apex, datasets.len())?;
        let lifetimes =
            datasets.iter().map(|dataset| dataset.lifetimes(now_s)).fold(Lifetimes::default(), Lifetimes::and);
        if let Some(next_s) = lifetimes.next_s.map(u64::from) {
            let ending = lifetimes.ending - lifetimes.over;
            writeln!(
                out,
                "zone {}: {ending} listings or exclusions end by themselves, the next at {}, {} from now",
                zone.apex,
                humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(next_s)),
                humantime::format_duration(Duration::from_secs(next_s - now_s))
            )?;
        }
        let mut warn = |text: &str| {
            warnings += 1;
            writeln!(out, "zone {}: warning: {text}", zone.apex)
        };
        if content.soa.is_none() {
            warn(
                "no $SOA: negative answers cannot be cached, and every unlisted address is asked for again and again",
            )?;
        }
        if content.servers.is_none() {
            warn("no $NS: resolvers that check a delegation find nothing")?;
        }
        for Probe { question, should_be_listed, found, .. } in probes(&served.snapshot, zone, now_s) {
            match (should_be_listed, found.as_slice()) {
                (true, []) => {
                    warn(&format!("{question} is not listed: RFC 5782 section 5 wants it as a test entry"))?;
                }
                (false, [_, ..]) => {
                    warn(&format!(
                        "{question} is listed: RFC 5782 section 5 forbids it, and clients take the list for broken"
                    ))?;
                }
                (true, addresses) => {
                    for address in addresses.iter().filter(|address| !is_usual(**address)) {
                        warn(&format!(
                            "{question} answers {address}: RFC 5782 section 2.1 wants 127.0.0.0/8, not 127.0.0.1"
                        ))?;
                    }
                }
                (false, []) => {}
            }
        }
    }
    Ok(warnings)
}

fn is_usual(address: Ipv4Addr) -> bool {
    address.is_loopback() && address != Ipv4Addr::LOCALHOST
}
