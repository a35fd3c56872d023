//! `dnsbld check`: loads zones as the server would, and says what is wrong with them.

use std::{
    fmt,
    io::{self, Write},
    net::Ipv4Addr,
    process::ExitCode,
    str::FromStr,
    time::Duration,
};

use serde::Serialize;

use super::{
    control::StateArgument,
    diff, logging, printable,
    zones_args::{ZonesArguments, none_named, reloader_settings},
};
use crate::{
    config::{Config, Oddity},
    control::{Comparison, ToldChange, show_expired},
    live::{
        clock,
        reloader::{DatasetReport, Reloader, Settings},
        zones::NamedZone,
    },
    load::counted,
    net,
    server::{
        probe::{Probe, probes, without_access_lists, without_expiry},
        progress::Bar,
    },
    zone::{
        lifetimes::Lifetimes,
        live::Live,
        ruling::{Context, FOREVER_S},
        snapshot::{Content, Snapshot, Zone},
    },
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code: 0 all is well, or worth a warning; 1 something cannot be loaded, has expired, or keeps the server from \
    starting, or with --strict there is a warning, as of what a reload would refuse, a file that is passed over, or a setting that \
    does nothing; 2 the arguments cannot be understood; 3 with --against, more would change than the limits allow."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    zones: ZonesArguments,
    /// Fail on warnings too, as of what a reload would refuse, files that are passed over, and settings that do nothing
    #[arg(long)]
    strict: bool,
    /// Say besides what would change against this, and fail with 3 if that is too much: `running`, or another folder or file
    #[arg(long, value_name = "running|FOLDER|FILE")]
    against: Option<String>,
    /// Most that may become listed: a number, or a share of what there is such as 20%
    #[arg(long, value_name = "N|P%", requires = "against", default_value = "100%")]
    max_listed: Limit,
    /// Most that may be delisted
    #[arg(long, value_name = "N|P%", requires = "against", default_value = "50%")]
    max_delisted: Limit,
    /// Most that may change its values
    #[arg(long, value_name = "N|P%", requires = "against", default_value = "100%")]
    max_changed: Limit,
    /// Most clients and access keys that access lists may deal with otherwise: a number, or a share of all clients, or of the
    /// keys there are
    #[arg(long, value_name = "N|P%", requires = "against", default_value = "0")]
    max_access: Limit,
    #[command(flatten)]
    pub(super) state: StateArgument,
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
    fn is_exceeded_by(self, count: u128, share: f64) -> bool {
        match self {
            Self::Count(most) => count > most,
            Self::Share(most) => share > most,
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
    // All of it is in the report; what the log of a server says beside that is not so here.
    logging::start("off");
    let (mut text, is_json) = (Vec::new(), arguments.state.is_json());
    let config = arguments.zones.config()?;
    let mut checked = load_and_report(&config, reloader_settings(&config), &mut text)?;
    checked.sum_up(&mut text)?;
    let mut code = checked.code(arguments.strict);
    let mut failure = None;
    if let Some(against) = &arguments.against {
        if !is_json {
            // To compare may take long, and may fail: what was found is told before.
            super::tell_reader(&std::mem::take(&mut text))?;
        }
        if code != 0 {
            let why = format!("not compared with {against}: mend what is wrong here first");
            writeln!(text, "{why}")?;
            checked.not_compared = Some(why);
        } else if let Err(error) = hold_against(against, arguments, &mut checked, &mut text) {
            let error = error.context(format!("not compared with {against}"));
            checked.not_compared = Some(format!("{error:#}"));
            (code, failure) = (1, Some(error));
        } else if !checked.too_much.is_empty() {
            code = TOO_MUCH;
        }
    }
    if is_json {
        text = serde_json::to_vec_pretty(&checked)?;
        text.push(b'\n');
    }
    super::tell_reader(&text)?;
    if let Some(error) = failure {
        super::fail("dnsbld", &error);
    }
    Ok(ExitCode::from(code))
}

/// Checks what a server that is to start would load, and prints what was found, these faults of its start first; fails on errors.
pub(super) fn run_for(config: &Config, faults: &[String]) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    for fault in faults {
        writeln!(text, "error: {fault}")?;
    }
    let mut settings = reloader_settings(config);
    settings.options.pipes = config.load.pipes;
    let mut checked = load_and_report(config, settings, &mut text)?;
    checked.errors += faults.len() as u64;
    checked.sum_up(&mut text)?;
    super::tell_reader(&text)?;
    Ok(ExitCode::from(checked.code(false)))
}

/// What was found, in numbers.
#[derive(Debug, Default, Serialize)]
struct Checked {
    errors: u64,
    warnings: u64,
    /// The first faults of each sort.
    faults: Vec<FoundFault>,
    /// How many more there are.
    faults_left_out: u64,
    /// Files of the zones folder that are not served, and why.
    passed_over: Vec<(String, String)>,
    /// What of the configuration keeps a server from starting.
    hindrances: Vec<String>,
    /// What is odd about the configuration.
    oddities: Vec<String>,
    /// Datasets that a reload would refuse, and why.
    refusals: Vec<(String, String)>,
    /// Datasets that cannot be loaded, and why.
    failures: Vec<(String, String)>,
    zones: Vec<CheckedZone>,
    /// What would change, if that was asked for.
    difference: Option<Vec<Comparison>>,
    /// Why that is not known, although it was asked for.
    not_compared: Option<String>,
    /// Limits that are exceeded, in words.
    too_much: Vec<String>,
}

/// A fault with its place.
#[derive(Debug, Serialize)]
struct FoundFault {
    severity: String,
    file: String,
    line: u64,
    column: usize,
    text: String,
}

/// What a zone holds, and what it lacks.
#[derive(Debug, Serialize)]
struct CheckedZone {
    zone: String,
    /// None if not all of its datasets are loaded.
    entries: Option<usize>,
    bytes: usize,
    /// The last second for which its data were good, if that is over: the zone would answer SERVFAIL.
    expired_s: Option<u64>,
    /// When the next listing ends, in seconds since the epoch.
    next_expiry_s: Option<u32>,
    warnings: Vec<String>,
}

impl Checked {
    fn code(&self, strict: bool) -> u8 {
        u8::from(self.errors > 0 || strict && self.warnings > 0)
    }

    fn sum_up(&self, out: &mut impl Write) -> io::Result<()> {
        let zones = counted(self.zones.len(), "zone", "zones");
        let errors = counted(self.errors, "error", "errors");
        writeln!(out, "{zones}, {errors}, {}", counted(self.warnings, "warning", "warnings"))
    }
}

/// Compares with what there is, and holds the changes against the limits.
fn hold_against(
    against: &str,
    arguments: &Arguments,
    checked: &mut Checked,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let old = (against != diff::RUNNING).then(|| arguments.zones.other_side(against)).transpose()?;
    // Faults of what is checked were told.
    let zones = diff::compare(old.as_ref(), &arguments.zones.side()?, SHOWN, &arguments.state, &mut |_| ())?;
    diff::show(&zones, out)?;
    for zone in &zones {
        let of = |change: &ToldChange| (change.amounts.count(), change.share, change.amounts.to_string());
        let access = &zone.access;
        for ((count, share, amounts), word, option, limit) in [
            (of(&zone.listed), "listed", "listed", arguments.max_listed),
            (of(&zone.delisted), "delisted", "delisted", arguments.max_delisted),
            (of(&zone.changed), "changed", "changed", arguments.max_changed),
            (
                (access.count(), access.share, access.to_string()),
                "dealt with otherwise by access lists",
                "access",
                arguments.max_access,
            ),
        ] {
            if limit.is_exceeded_by(count, share) {
                let (zone, share) = (&zone.zone, share * 100.0);
                let allowed = format!("at most {limit} allowed (--max-{option})");
                let text = format!("{zone}: too much: {amounts} ({share:.1}%) {word}, {allowed}");
                writeln!(out, "{text}")?;
                checked.too_much.push(text);
            }
        }
    }
    checked.difference = Some(zones);
    Ok(())
}

/// Changes of each kind that are shown.
const SHOWN: usize = 5;

/// Faults of one sort and dataset that are told one by one. A list may have millions, and who mends them begins with these.
const TOLD_MAX: usize = 10_000;

/// Loads everything, and prints all faults and what each zone keeps of RFC 5782.
fn load_and_report(config: &Config, mut settings: Settings, out: &mut impl Write) -> anyhow::Result<Checked> {
    let cell = crate::live::served::Cell::default();
    // Nothing else is served meanwhile, and every fault is to be told.
    settings.options.remembered_max = usize::MAX;
    settings.options.told_max = TOLD_MAX;
    let mut reloader = Reloader::new(settings, cell.clone());
    let bar = Bar::start(reloader.progress());
    let report = reloader.reload(clock::now_s());
    bar.finish();
    let mut checked = Checked::default();
    report_setup(config, &reloader, &cell.load().snapshot, &mut checked, out)?;
    for dataset in &report.datasets {
        report_dataset(dataset, &mut checked, out)?;
    }
    let snapshot = without_access_lists(&cell.load().snapshot);
    let lasting = without_expiry(&snapshot);
    let now_s = clock::now_s();
    for zone in snapshot.zones() {
        let zone = report_zone(&snapshot, &lasting, zone, now_s, out)?;
        checked.errors += u64::from(zone.expired_s.is_some());
        checked.warnings += zone.warnings.len() as u64;
        checked.zones.push(zone);
    }
    if report.datasets.is_empty() {
        checked.errors += 1;
        match config.zones.list_or_say() {
            Err(fault) => writeln!(out, "error: {fault}; check its name and its permissions")?,
            Ok(_) => writeln!(out, "error: nothing to serve: {}", none_named(&config.zones))?,
        }
    }
    Ok(checked)
}

/// Says what is in the zones folder or in the configuration and does nothing, or keeps a server from starting.
fn report_setup(
    config: &Config,
    reloader: &Reloader,
    snapshot: &Snapshot,
    checked: &mut Checked,
    out: &mut impl Write,
) -> io::Result<()> {
    for (file, reason) in &reloader.status().read().passed_over {
        // Whoever drops a file chooses its name.
        let (file, reason) = (printable(&file.to_string_lossy()).into_owned(), printable(reason).into_owned());
        writeln!(out, "{file}: warning: not served: {reason}")?;
        checked.passed_over.push((file, reason));
    }
    for NamedZone { place, zone } in config.named_zones.iter().filter(|named| snapshot.zone(&named.zone).is_none()) {
        let text = format!("zone {zone} is not served, so this does nothing until it is");
        writeln!(out, "{place}: warning: {text}")?;
        checked.oddities.push(format!("{place}: {text}"));
    }
    for Oddity { place, text } in &config.hindrances {
        writeln!(out, "{place}: error: {text}")?;
        checked.hindrances.push(format!("{place}: {text}"));
    }
    checked.errors += checked.hindrances.len() as u64;
    for Oddity { place, text } in config.oddities.iter().chain(&config.shut_doors).chain(&config.doubts) {
        writeln!(out, "{place}: warning: {text}")?;
        checked.oddities.push(format!("{place}: {text}"));
    }
    for Oddity { place, text } in &config.absent_secrets {
        let text = format!("not looked at: {text}; the server does not start without it");
        writeln!(out, "{place}: warning: {text}")?;
        checked.oddities.push(format!("{place}: {text}"));
    }
    checked.warnings += (checked.passed_over.len() + checked.oddities.len()) as u64;
    // No warning: the configuration may be for another machine.
    for interface in config.xdp.iter().filter(|name| !net::has_interface(name)) {
        let text = format!("this machine has no interface {interface} (`ip link` shows those it has)");
        writeln!(out, "xdp: note: {text}")?;
        checked.oddities.push(format!("xdp: {text}"));
    }
    Ok(())
}

/// Says what is wrong with a dataset.
fn report_dataset(dataset: &DatasetReport, checked: &mut Checked, out: &mut impl Write) -> io::Result<()> {
    for remark in dataset.report.remarks() {
        writeln!(out, "{remark}")?;
        checked.faults.push(FoundFault {
            severity: remark.fault.severity().to_string(),
            file: remark.file.clone(),
            line: remark.line,
            column: remark.column,
            text: remark.to_string(),
        });
    }
    let all = dataset.report.warnings() + dataset.report.notes();
    if let left_out @ 1.. = all - dataset.report.remarks().len() as u64 {
        checked.faults_left_out += left_out;
        writeln!(out, "{}: {left_out} more of these", dataset.dataset)?;
    }
    checked.warnings += dataset.report.warnings();
    for rule in &dataset.broken_rules {
        checked.warnings += 1;
        writeln!(out, "{}: warning: a reload would refuse this: {rule}", dataset.dataset)?;
        checked.refusals.push((dataset.dataset.to_string(), rule.clone()));
    }
    match &dataset.failure {
        Some(failure) => {
            checked.errors += 1;
            writeln!(out, "{}: error: {failure}", dataset.dataset)?;
            checked.failures.push((dataset.dataset.to_string(), failure.clone()));
        }
        // Nothing is wrong with the lines, and something was warned of.
        None if !dataset.broken_rules.is_empty() && all == 0 && dataset.report.expired == 0 => {}
        None => writeln!(out, "{}: {}", dataset.dataset, dataset.report)?,
    }
    Ok(())
}

/// Says what a zone holds, and what it keeps of the conventions.
fn report_zone(
    snapshot: &Snapshot,
    lasting: &Snapshot,
    zone: &Zone,
    now_s: u64,
    out: &mut impl Write,
) -> io::Result<CheckedZone> {
    let mut told = CheckedZone {
        zone: zone.apex.to_string(),
        entries: None,
        bytes: 0,
        expired_s: zone.expired_s(&Context { now_s, keyed: false }),
        next_expiry_s: None,
        warnings: Vec::new(),
    };
    let Some(content) = &zone.content else {
        writeln!(out, "zone {}: error: not all of its datasets are loaded", zone.apex)?;
        return Ok(told);
    };
    let datasets = content.datasets();
    let entries: usize = datasets.iter().map(|dataset| dataset.len()).sum();
    told.entries = Some(entries);
    told.bytes = datasets.iter().map(|dataset| dataset.memory_bytes()).sum();
    let shown = counted(entries, "entry", "entries");
    let of = counted(datasets.len(), "dataset", "datasets");
    let retired = if content.retirement().is_some() { "; retired, it lists nothing" } else { "" };
    writeln!(out, "zone {}: {shown} in {of}, {} bytes{retired}", zone.apex, told.bytes)?;
    let lifetimes = datasets.iter().map(|dataset| dataset.lifetimes(now_s)).fold(Lifetimes::default(), Lifetimes::and);
    told.next_expiry_s = lifetimes.next_s;
    if let Some(next_s) = lifetimes.next_s.map(u64::from) {
        let ending = lifetimes.ending - lifetimes.over;
        let ending = counted(ending, "listing or exclusion ends by itself", "listings or exclusions end by themselves");
        writeln!(
            out,
            "zone {}: {ending}, the next at {}, {} from now",
            zone.apex,
            clock::date(next_s),
            humantime::format_duration(Duration::from_secs(next_s - now_s))
        )?;
    }
    if let Some(ended_s) = told.expired_s {
        writeln!(out, "zone {}: error: {}", zone.apex, show_expired(ended_s))?;
    }
    let mut warnings = zone_warnings(snapshot, zone, now_s);
    warnings.extend(ending_test_entries(snapshot, lasting, zone, now_s));
    for warning in warnings {
        writeln!(out, "zone {}: warning: {warning}", zone.apex)?;
        told.warnings.push(warning);
    }
    Ok(told)
}

/// What a zone lacks of what others rely on.
fn zone_warnings(snapshot: &Snapshot, zone: &Zone, now_s: u64) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |text: &str| warnings.push(text.to_owned());
    if zone.content.as_ref().is_some_and(|content| content.soa.is_none()) {
        warn("no $SOA: negative answers cannot be cached, and every unlisted address is asked for again and again");
    }
    if zone.content.as_ref().is_some_and(|content| content.servers.is_none()) {
        warn("no $NS: resolvers that check a delegation find nothing");
    }
    for (dataset, count, name) in zone.content.iter().flat_map(Content::hidden) {
        let names = counted(count, "name is", "names are");
        warn(&format!(
            "{}: {names} never answered, such as {name}: it is in a subzone of the same file, where only what is said in that answers",
            dataset.label
        ));
    }
    for server in snapshot.servers_without_address(zone) {
        warn(&format!(
            "its name server {server} has no address: resolvers ask here for it, and lose the zone; give it an A or AAAA record, as \
             a file of type generic has them"
        ));
    }
    if zone.expired_s(&Context { now_s, keyed: false }).is_some() {
        return warnings; // it answers nothing that could be wrong
    }
    for Probe { question, should_be_listed, found, .. } in probes(snapshot, Live::NONE, zone, now_s) {
        match (should_be_listed, found.as_slice()) {
            (true, []) => warn(&format!("{question} is not listed: RFC 5782 section 5 wants it as a test entry")),
            (false, [_, ..]) => {
                warn(&format!(
                    "{question} is listed: RFC 5782 section 5 forbids it, and clients take the list for broken"
                ));
            }
            (true, addresses) => {
                for address in addresses.iter().filter(|address| !is_usual(**address)) {
                    warn(&format!(
                        "{question} answers {address}: RFC 5782 section 2.1 wants 127.0.0.0/8, not 127.0.0.1"
                    ));
                }
            }
            (false, []) => {}
        }
    }
    warnings
}

/// Test entries that are listed for a while only, as they are where they stand below a `$LIFETIME`: no client misses them before
/// the file is as old as that.
fn ending_test_entries(snapshot: &Snapshot, lasting: &Snapshot, zone: &Zone, now_s: u64) -> Option<String> {
    let listed_at = |snapshot, now_s| {
        let listed = probes(snapshot, Live::NONE, zone, now_s).into_iter().filter(|probe| probe.should_be_listed);
        listed.map(|probe| (probe.question, !probe.found.is_empty()))
    };
    let after_all_ends = listed_at(lasting, u64::from(FOREVER_S));
    let ending = listed_at(snapshot, now_s).zip(after_all_ends).filter(|((_, now), (_, then))| *now && !then);
    let ending = ending.map(|((question, _), _)| question).collect::<Vec<_>>().join(", ");
    let what = "ends by itself: RFC 5782 section 5 wants the test entry listed at any time";
    let remedy = "write it above $LIFETIME, or with ` @ lifetime=0` at the line's end";
    (!ending.is_empty()).then(|| format!("{ending} {what}; {remedy}"))
}

fn is_usual(address: Ipv4Addr) -> bool {
    address.is_loopback() && address != Ipv4Addr::LOCALHOST
}
