//! `dnsbld explain`, `dnsbld reload` and `dnsbld status`: asking and telling a running server.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use super::{
    printable,
    zones_args::{Loaded, config_of},
};
use crate::{
    control::{self, Answer, Explanation, Ground, Request, Statistics, ask},
    live::{citations::Effect, clock},
    load::{Options, counted},
};

/// So many files that are passed over are shown: the folder may be another's.
const PASSED_OVER_SHOWN: usize = 20;

/// What the exit code of those says who ask how a server is.
pub(super) const EXIT_CODES: &str = "Exit code: 0 all is well; 1 a dataset or the store of live listings is in trouble, a zone \
    is not loaded, has expired or failed its last self-test (but for a test entry that is missing), an interface of `xdp` is not \
    used, or there is no server. The self-test is made once a minute, and when something new is served.";

/// Where the server is found.
#[derive(Debug, clap::Args)]
pub(super) struct StateArgument {
    /// The running server's state folder, or its zones folder [default: `$STATE_DIRECTORY`]
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ExplainArguments {
    /// An address or a domain name
    key: String,
    /// Only in these zones
    zones: Vec<String>,
    /// Ask no server: read this folder, file named ZONE.TYPE, specification ZONE:TYPE:FILE or configuration file; repeat for
    /// several files and specifications
    #[arg(long, value_name = "FOLDER|FILE|ZONE:TYPE:FILE|CONFIG.toml", conflicts_with = "state")]
    from: Vec<String>,
    #[command(flatten)]
    pub(super) state: StateArgument,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The configuration (serve --config) is read at a start only: after a change of it, `dnsbld check --config` it, and \
    restart the server.\n\nExit code: 0 all is well; 1 a dataset is in trouble, of whatever zone, or nobody could be asked."
)]
pub(super) struct ReloadArguments {
    /// Take what was refused of this zone after all, and let go of what is gone of it; `@` is the access lists for all, and
    /// several zones take several of these. What is told only now takes another time
    #[arg(long, value_name = "ZONE")]
    accept: Vec<String>,
    #[command(flatten)]
    pub(super) state: StateArgument,
}

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct StatusArguments {
    #[command(flatten)]
    pub(super) state: StateArgument,
}

pub(super) fn explain(arguments: &ExplainArguments) -> anyhow::Result<ExitCode> {
    if !arguments.from.is_empty() {
        let zones = explain_from_files(arguments)?;
        return arguments.state.print(&Answer::Explained { zones });
    }
    let request = Request::Explain { key: arguments.key.clone(), zones: arguments.zones.clone() };
    arguments.state.ask(&request)
}

/// Loads the files as the server would, and explains from those.
fn explain_from_files(arguments: &ExplainArguments) -> anyhow::Result<Vec<Explanation>> {
    let config = config_of(&arguments.from)?;
    let loaded = Loaded::new(&config)?;
    let options = Options { now_s: clock::now_s(), ..config.load };
    let specs = loaded.status.read().specs.clone();
    let served = loaded.cell.load();
    control::explain(&served.snapshot, &specs, &options, None, &arguments.key, &arguments.zones)
        .map_err(anyhow::Error::msg)
}

pub(super) fn reload(arguments: &ReloadArguments) -> anyhow::Result<ExitCode> {
    arguments.state.ask(&Request::Reload { accept: arguments.accept.clone() })
}

pub(super) fn status(arguments: &StatusArguments) -> anyhow::Result<ExitCode> {
    arguments.state.ask(&Request::Stats)
}

impl StateArgument {
    fn ask(&self, request: &Request) -> anyhow::Result<ExitCode> {
        self.print(&self.request(request)?)
    }

    /// What the server answers that is no error.
    pub(super) fn request(&self, request: &Request) -> anyhow::Result<Answer> {
        self.answer(|folder| ask(folder, request))
    }

    /// The same where there is more to it than a request.
    pub(super) fn answer(&self, ask: impl FnOnce(&Path) -> anyhow::Result<Answer>) -> anyhow::Result<Answer> {
        match ask(&self.folder()?)? {
            Answer::Error { text } => anyhow::bail!("{text}"),
            answer => Ok(answer),
        }
    }

    /// What became of a command, where an error is an answer as well if JSON is to be printed.
    pub(super) fn tell<T>(&self, outcome: anyhow::Result<T>) -> anyhow::Result<T> {
        if let (Err(error), true) = (&outcome, self.json) {
            tell_error(&format!("{error:#}"))?;
        }
        outcome
    }

    /// Whether JSON is to be printed.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// The state folder of the server that is meant.
    pub(super) fn folder(&self) -> anyhow::Result<PathBuf> {
        let named = self.state.clone().or_else(crate::config::state_directory);
        let Some(named) = named else {
            anyhow::bail!("which server? Give its state or zones folder: --state FOLDER");
        };
        let beside = named.join(crate::config::STATE_IN_ZONES);
        Ok(if beside.is_dir() { beside } else { named })
    }

    /// Prints an answer in the form that is asked for, and decides the exit code.
    pub(super) fn print(&self, answer: &Answer) -> anyhow::Result<ExitCode> {
        let (text, is_well) = show(answer)?;
        if self.json {
            print_json(answer)?;
        } else {
            super::tell_reader(text.as_bytes())?;
        }
        Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Prints what went wrong as an answer.
pub(super) fn tell_error(text: &str) -> anyhow::Result<()> {
    // In one line, as it may follow other lines.
    let text = serde_json::to_string(&Answer::Error { text: text.to_owned() })? + "\n";
    Ok(super::tell_reader(text.as_bytes())?)
}

fn print_json(answer: &Answer) -> anyhow::Result<()> {
    let mut text = match answer {
        Answer::Listings { told } => serde_json::to_vec_pretty(told)?,
        answer => serde_json::to_vec_pretty(answer)?,
    };
    text.push(b'\n');
    Ok(super::tell_reader(&text)?)
}

/// An answer for people, and whether all is well by it.
fn show(answer: &Answer) -> anyhow::Result<(String, bool)> {
    let (mut text, mut is_well) = (String::new(), true);
    let mut line = |words: &str| {
        text.push_str(&printable(words));
        text.push('\n');
    };
    match answer {
        Answer::Error { text } => anyhow::bail!("{text}"),
        Answer::Listings { told } => {
            for words in super::listings::lines(told, clock::now_s()) {
                line(&words);
            }
            is_well = super::listings::is_well(told);
        }
        Answer::Reloaded { loaded, let_go, troubles } => {
            line(&format!("{} read", counted(*loaded, "dataset", "datasets")));
            for dataset in let_go {
                line(&format!("{dataset}: let go, and served no more"));
            }
            for (dataset, trouble) in troubles {
                line(&format!("{dataset}: {trouble}"));
            }
            let is_for_them = |text: &str| text.starts_with("refused: ") || text.starts_with("the file is gone");
            if troubles.iter().any(|(_, trouble)| is_for_them(trouble)) {
                line(
                    "if that is as it should be: dnsbld reload --accept ZONE takes what is refused, and lets go of what is gone",
                );
            }
            is_well = troubles.is_empty();
        }
        Answer::Explained { zones } => zones.iter().for_each(|zone| explain_zone(zone, &mut line)),
        Answer::QueryLog { state } => line(&super::querylog::show(state)),
        Answer::Stats { statistics } => {
            show_status(statistics, &mut line);
            is_well = statistics.is_well();
        }
        Answer::Difference { zones, .. } => {
            let mut told = Vec::new();
            super::diff::show(zones, &mut told)?;
            String::from_utf8_lossy(&told).lines().for_each(&mut line);
        }
    }
    Ok((text, is_well))
}

/// Says what is served and what is wrong.
fn show_status(statistics: &Statistics, line: &mut impl FnMut(&str)) {
    if statistics.each_zone().next().is_none() {
        line("no zone is served");
    }
    for (name, zone) in statistics.each_zone() {
        let Some(entries) = zone.entries else {
            line(&format!("{name}: not loaded, answers SERVFAIL"));
            continue;
        };
        let mut text = format!("{name}: {}", counted(entries, "entry", "entries"));
        if zone.is_retired {
            text += ", retired: it lists nothing";
        }
        if let Some(words) = super::stats::by_command(zone) {
            text = format!("{text}, {words}");
        }
        if let Some(ended_s) = zone.expired_s {
            text = format!("{text}, but {}", control::show_expired(ended_s));
        }
        line(&text);
        if let probes @ [_, ..] = &*zone.alarming_probes().collect::<Vec<_>>() {
            line(&format!("{name}: SELF-TEST FAILS: {}", probes.join(", ")));
        }
    }
    for (dataset, trouble) in &statistics.troubles {
        line(&format!("{dataset}: {trouble}"));
    }
    for (interface, fault) in &statistics.interfaces {
        line(&super::stats::interface(interface, fault.as_deref()));
    }
    for (file, reason) in statistics.passed_over.iter().take(PASSED_OVER_SHOWN) {
        line(&format!("{file}: not served: {reason}"));
    }
    match statistics.passed_over.len().saturating_sub(PASSED_OVER_SHOWN) {
        0 => {}
        1 => line("1 more file is not served (--json names it)"),
        more => line(&format!("{more} more files are not served (--json names them)")),
    }
}

fn explain_zone(zone: &Explanation, line: &mut impl FnMut(&str)) {
    if zone.is_unloaded {
        return line(&format!("{}: not loaded, answers SERVFAIL (dnsbld status says why)", zone.zone));
    }
    let would_be = if zone.expired_s.is_some() { "would be " } else { "" };
    if let Some(ended_s) = zone.expired_s {
        line(&format!("{}: {}", zone.zone, control::show_expired(ended_s)));
    }
    if zone.listings.is_empty() {
        let by = zone.excluded_by.iter().map(|ground| format!(", excluded by {ground}")).collect::<Vec<_>>();
        line(&format!("{}: {would_be}not listed{}", zone.zone, by.concat()));
    }
    for listing in &zone.listings {
        let until = match (&listing.until, listing.remaining_s) {
            (Some(until), Some(left_s)) => {
                format!("until {until}, {} from now", humantime::format_duration(Duration::from_secs(left_s)))
            }
            _ => match &listing.ground {
                Ground::Command { .. } => "until it is delisted".to_owned(),
                Ground::Dataset(label) if zone.troubles.iter().any(|(dataset, _)| dataset == label) => {
                    "until a newer version of its file is taken".to_owned()
                }
                Ground::Dataset(_) => "until it is taken out of its file".to_owned(),
            },
        };
        line(&format!(
            "{}: {would_be}listed as {} by {}, {until} (TTL {})",
            zone.zone, listing.address, listing.ground, listing.ttl_s
        ));
        if let Some(text) = &listing.text {
            line(&format!("    {text}"));
        }
    }
    let ends_before = |ends_s: &u64| {
        let mut ends = zone.listings.iter().map(|listing| listing.until_s);
        ends.any(|until_s| until_s.is_none_or(|until_s| until_s > ends_s + 1))
    };
    if let Some(ends_s) = zone.ends_s.filter(ends_before) {
        line(&format!(
            "    but the zone's data end first, at {}, by their $TIMESTAMP: from then on it answers SERVFAIL",
            clock::date(ends_s)
        ));
    }
    for cited in &zone.lines {
        let what = match (cited.effect, cited.excludes) {
            (Effect::Decides, false) => "lists it",
            (Effect::Decides, true) => "excludes it",
            (Effect::Behind, false) => "behind that, would list it",
            (Effect::Behind, true) => "behind that, would exclude it",
            (Effect::NotInForce, _) => "is not in force now",
        };
        let until = cited.until_s.map(|until_s| format!(" until {}", clock::date(until_s))).unwrap_or_default();
        line(&format!("    {}:{}: {what}{until}: {}", cited.file, cited.line, cited.text));
    }
    for note in &zone.unread {
        line(&format!("    {note}"));
    }
    for (dataset, trouble) in &zone.troubles {
        line(&format!(
            "    {dataset}: {trouble}; answers are of the last good version, lines of the file as it is now, if any"
        ));
    }
}
