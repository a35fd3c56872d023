//! `dnsbld list`, `dnsbld delist`, `dnsbld listings` and `dnsbld history`: what a running server lists by command.

use std::{
    fs::File,
    io::{self, Write as _},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;

use super::{backup::backup, control::StateArgument, printable};
use crate::{
    control::{
        Answer, Request, ask_for_lines, ask_with_lines,
        listings::{
            BulkReport, COUNTED_MAX, Changed, ListingsAnswer, ListingsRequest, PAGE, parse_lifetime, read_keys,
        },
    },
    live::{
        asked::AskedKey,
        clock,
        listings::{Event, Key, Lifetime, Op, Outcome, Record, STILL_LISTED_MAX, Verdict},
    },
    load::counted,
};

#[derive(Debug, clap::Args)]
pub(super) struct ListArguments {
    /// The zone
    zone: String,
    /// Addresses, prefixes, names, *.names (all below) or .names (both); `-` reads lines of KEY [TIME [REASON]] from standard
    /// input, each with a newline at its end
    #[arg(required = true)]
    keys: Vec<String>,
    /// How long: 90s, 1h, 7d, or a number of seconds [default: what the zone's rule says]
    #[arg(long = "for", value_name = "TIME", allow_hyphen_values = true, conflicts_with_all = ["until", "forever"], value_parser = parse_lifetime)]
    for_time: Option<Lifetime>,
    /// Until when: 2026-11-23T10:00:00Z, or seconds since 1970; may shorten what holds already
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true, conflicts_with = "forever", value_parser = until_when)]
    until: Option<Lifetime>,
    /// Until it is delisted, or as long as the zone's rule allows
    #[arg(long)]
    forever: bool,
    /// Do not list it: exclude it, whatever the zone's files say, also those to come
    #[arg(long, conflicts_with_all = ["value", "text"])]
    exclude: bool,
    /// The A record [default: the zone's own]
    #[arg(long, value_name = "ADDRESS")]
    value: Option<Ipv4Addr>,
    /// The TXT record, with $ for the key, at most 1000 octets; empty for none [default: the zone's own]
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Why, for the history, in at most 1000 octets
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    pub(super) state: StateArgument,
}

#[derive(Debug, clap::Args)]
pub(super) struct DelistArguments {
    /// The zone
    zone: String,
    /// Addresses, prefixes and names as they were listed; `-` reads them from standard input, one a line, each with a newline at
    /// its end
    #[arg(required = true)]
    keys: Vec<String>,
    /// Why, for the history, in at most 1000 octets
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    pub(super) state: StateArgument,
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct ListingsArguments {
    #[command(subcommand)]
    command: Option<ListingsCommand>,
    /// The zone
    #[arg(required = true)]
    zone: Option<String>,
    /// Most listings that are shown
    #[arg(long, value_name = "N", default_value = "1000", value_parser = at_least_one)]
    limit: usize,
    /// From the one after this key on
    #[arg(long, value_name = "KEY")]
    after: Option<Key>,
    #[command(flatten)]
    state: StateArgument,
}

#[derive(Debug, clap::Subcommand)]
enum ListingsCommand {
    /// Write all listings to standard output, a line of JSON each; those of zones that are not served as well
    Export {
        /// Only of these zones
        zones: Vec<String>,
        #[command(flatten)]
        state: StateArgument,
    },
    /// Take listings as they were exported, with their times; what is newer here stays
    Import {
        /// The file, or `-` for standard input
        file: PathBuf,
        #[command(flatten)]
        state: StateArgument,
    },
    /// Have the server copy its store, history and all, into a new file
    Backup {
        /// The file; the server writes it, so it is one that the server sees, as in its state folder
        file: PathBuf,
        #[command(flatten)]
        state: StateArgument,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct HistoryArguments {
    /// An address, prefix or name as it was listed
    key: String,
    /// Only in these zones
    zones: Vec<String>,
    /// Most events of each zone, the last ones; more than 1000 are not told
    #[arg(long, value_name = "N", default_value = "100", value_parser = at_least_one)]
    limit: usize,
    #[command(flatten)]
    pub(super) state: StateArgument,
}

pub(super) fn list(arguments: &ListArguments) -> anyhow::Result<ExitCode> {
    let endless = arguments.forever.then_some(Lifetime::Endless);
    let lifetime = arguments.for_time.or(arguments.until).or(endless).unwrap_or_default();
    let verdict = if arguments.exclude {
        Verdict::Excluded
    } else {
        Verdict::Listed { address: arguments.value, text: arguments.text.clone() }
    };
    let op = Op::Put { verdict, lifetime };
    change(&arguments.zone, &arguments.keys, &op, arguments.reason.as_ref(), &arguments.state)
}

pub(super) fn delist(arguments: &DelistArguments) -> anyhow::Result<ExitCode> {
    change(&arguments.zone, &arguments.keys, &Op::Delist, arguments.reason.as_ref(), &arguments.state)
}

/// What holds when the answer cannot be printed.
const DONE: &str = "what was not refused is done, but cannot be told";

fn change(
    zone: &str,
    keys: &[String],
    op: &Op,
    reason: Option<&String>,
    state: &StateArgument,
) -> anyhow::Result<ExitCode> {
    let said = || (zone.to_owned(), op.clone(), reason.cloned());
    if keys == ["-"] {
        let (zone, op, reason) = said();
        let request = Request::Listings { asked: ListingsRequest::Bulk { zone, op, reason } };
        let ask = |folder: &Path| ask_with_lines(folder, &request, &mut io::stdin().lock());
        return state.print(&state.answer(ask)?).context(DONE);
    }
    let changed = |changes| Answer::Listings { told: ListingsAnswer::Changed { changes } };
    // All of them, before the first piece is done.
    read_keys(keys).map_err(anyhow::Error::msg)?;
    let (mut all, mut rest) = (Vec::new(), keys);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(piece_len(rest));
        let (zone, op, reason) = said();
        let request = ListingsRequest::Change { zone, keys: piece.to_vec(), op, reason };
        let answer = state.request(&Request::Listings { asked: request });
        let Ok(Answer::Listings { told: ListingsAnswer::Changed { changes } }) = answer else {
            if all.is_empty() {
                return state.print(&answer?);
            }
            // What was done before is done, and is told first.
            state.print(&changed(all)).context(DONE)?;
            let met = || {
                let (before, left) = (counted(keys.len() - rest.len(), "key", "keys"), rest.len());
                format!("what became of {before} is told above; the {left} from {} on met this", rest[0])
            };
            return state.print(&answer.with_context(met)?);
        };
        all.extend(changes);
        rest = after;
    }
    state.print(&changed(all)).context(DONE)
}

/// How many of these keys go in one request, which has its longest: a shell passes on more.
fn piece_len(keys: &[String]) -> usize {
    /// A request takes far more; but each is done at once, and what others ask for comes in between.
    const PIECE_MAX_LEN: usize = 32 * 1024;
    let mut len = 0;
    let fits = |key: &&String| {
        len += key.len() + "\"\",".len();
        len <= PIECE_MAX_LEN
    };
    keys.iter().take_while(fits).count().max(1)
}

impl ListingsArguments {
    /// Where the server is found, which may be said behind a command of its own.
    pub(super) fn state(&self) -> &StateArgument {
        use ListingsCommand::{Backup, Export, Import};
        match &self.command {
            None => &self.state,
            Some(Export { state, .. } | Import { state, .. } | Backup { state, .. }) => state,
        }
    }
}

pub(super) fn listings(arguments: &ListingsArguments) -> anyhow::Result<ExitCode> {
    let state = arguments.state();
    let answer = match &arguments.command {
        None => {
            let answer = listings_of_zone(arguments)?;
            let code = state.print(&answer)?;
            if let (Answer::Listings { told: ListingsAnswer::Listings { listings, more } }, false) =
                (&answer, state.is_json())
            {
                remark_on_page(listings, *more, arguments.after.as_ref())?;
            }
            return Ok(code);
        }
        Some(ListingsCommand::Export { zones, .. }) => {
            let export = Request::Listings { asked: ListingsRequest::Export { zones: zones.clone() } };
            let mut out = io::BufWriter::new(io::stdout().lock());
            state.answer(|folder| ask_for_lines(folder, &export, &mut out))?;
            out.flush()?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(ListingsCommand::Import { file, .. }) => {
            let import = Request::Listings { asked: ListingsRequest::Import };
            state.answer(|folder| {
                if file == Path::new("-") {
                    return ask_with_lines(folder, &import, &mut io::stdin().lock());
                }
                let mut file = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
                ask_with_lines(folder, &import, &mut file)
            })?
        }
        Some(ListingsCommand::Backup { file, .. }) => return backup(file, state),
    };
    state.print(&answer)
}

/// Says what the lines do not, where it is no line for whatever reads them.
fn remark_on_page(listings: &[Record], more: usize, after: Option<&Key>) -> io::Result<()> {
    let remark = match (listings.last(), after) {
        (Some(last), _) if more > 0 => show_more(last, more),
        (Some(_), _) => return Ok(()),
        (None, Some(after)) => format!("nothing more is listed by command after {after}"),
        (None, None) => "nothing is listed by command".to_owned(),
    };
    writeln!(io::stderr(), "{}", printable(&remark))
}

/// As many listings as are wanted, page by page: the server holds one of them at a time.
fn listings_of_zone(arguments: &ListingsArguments) -> anyhow::Result<Answer> {
    let zone = arguments.zone.clone().unwrap_or_default();
    let mut after = arguments.after.clone();
    let mut all = Vec::new();
    loop {
        let left = arguments.limit.saturating_sub(all.len());
        let limit = left.min(PAGE);
        let request = ListingsRequest::Show { zone: zone.clone(), after, limit, counts_more: left == limit };
        let answer = arguments.state.request(&Request::Listings { asked: request })?;
        let Answer::Listings { told: ListingsAnswer::Listings { listings: page, more } } = answer else {
            return Ok(answer);
        };
        let is_last = left == limit || page.len() < limit;
        all.extend(page);
        if is_last {
            return Ok(Answer::Listings { told: ListingsAnswer::Listings { listings: all, more } });
        }
        after = all.last().map(|record| record.key.clone());
    }
}

pub(super) fn history(arguments: &HistoryArguments) -> anyhow::Result<ExitCode> {
    let HistoryArguments { key, zones, limit, state } = arguments;
    let request = ListingsRequest::History { zones: zones.clone(), key: key.clone(), limit: *limit };
    state.print(&state.request(&Request::Listings { asked: request })?)
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| "expected a whole number from 1".to_owned())
}

fn until_when(text: &str) -> Result<Lifetime, String> {
    let until_s = clock::parse_date(text).map(Lifetime::Until);
    until_s.ok_or_else(|| "expected a time such as 2026-11-23T10:00:00Z, or seconds since 1970".to_owned())
}

/// Whether all is done: a key that was refused is a failure.
pub(super) fn is_well(told: &ListingsAnswer) -> bool {
    let is_refused = |change: &Changed| matches!(change.outcome, Outcome::Refused { .. });
    match told {
        ListingsAnswer::Changed { changes } => !changes.iter().any(is_refused),
        ListingsAnswer::Report { report } => report.faulty == 0,
        _ => true,
    }
}

/// An answer for people.
pub(super) fn lines(told: &ListingsAnswer, now_s: u64) -> Vec<String> {
    match told {
        ListingsAnswer::Changed { changes } => changes.iter().map(|change| show_change(change, now_s)).collect(),
        ListingsAnswer::Report { report } => show_report(report),
        ListingsAnswer::Listings { listings, .. } => listings.iter().map(|record| show_record(record, now_s)).collect(),
        ListingsAnswer::History { events } if events.is_empty() => vec!["nothing is known of it".to_owned()],
        ListingsAnswer::History { events } => events.iter().map(show_event).collect(),
        ListingsAnswer::Exporting => Vec::new(),
        ListingsAnswer::BackedUp { bytes } => vec![format!("backed up, {:.1} MB", *bytes as f64 / 1e6)],
    }
}

fn show_change(change: &Changed, now_s: u64) -> String {
    let said = show_outcome(change, now_s);
    let is_unserved = change.is_unanswered && change.outcome.is_done();
    let but = if is_unserved { "; BUT ITS ZONE ANSWERS SERVFAIL: dnsbld status says why" } else { "" };
    said + but
}

fn show_outcome(change: &Changed, now_s: u64) -> String {
    let key = &change.key;
    match &change.outcome {
        Outcome::Listed { until_s, times } => format!("{key}: listed {}{}", until(*until_s, now_s), nth(*times)),
        Outcome::Extended { until_s, times } => {
            format!("{key}: was listed already, now {}{}", until(*until_s, now_s), nth(*times))
        }
        Outcome::Excluded { until_s, was_listed, still_listed } => {
            let over = if *was_listed { "; that it was listed by command is over for good" } else { "" };
            format!("{key}: excluded {}{over}{}", until(*until_s, now_s), show_still_listed(*still_listed))
        }
        Outcome::Delisted => format!("{key}: delisted"),
        Outcome::Unchanged => show_unchanged(change),
        Outcome::Newer => format!("{key}: what is said of it here is newer, and stays"),
        Outcome::Refused { refusal } => format!("{key}: REFUSED: {refusal}"),
    }
}

fn show_still_listed(count: usize) -> String {
    let stay = match count {
        0 => return String::new(),
        1 => "1 listing within it STAYS LISTED".to_owned(),
        STILL_LISTED_MAX.. => format!("at least {STILL_LISTED_MAX} listings within it STAY LISTED"),
        count => format!("{count} listings within it STAY LISTED"),
    };
    format!("; {stay} by command: delist what is not to be (dnsbld listings ZONE shows it)")
}

fn show_unchanged(change: &Changed) -> String {
    let Changed { zone, key, within, excluded_by, .. } = change;
    let typed = quoted(key);
    if let Some(excluded_by) = excluded_by {
        return format!(
            "{key}: was not listed by command, and is hidden already: {excluded_by} is excluded by command"
        );
    }
    if let Some(within) = within {
        return format!(
            "{key}: was not listed by itself, but {within} is, by command: delist that, or except this one: dnsbld list \
             --exclude {zone} {typed}"
        );
    }
    // explain takes neither prefixes nor wildcards.
    let is_explained = AskedKey::parse(key).is_ok();
    let says = if is_explained { format!(" (dnsbld explain {typed} says)") } else { String::new() };
    format!("{key}: was not listed by command; if files list it{says}, hide it: dnsbld list --exclude {zone} {typed}")
}

/// A key as a shell takes it: an asterisk, a backslash and what else a name may have in it mean something to one.
fn quoted(key: &str) -> String {
    let is_plain = key.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-_:/".contains(&octet));
    if is_plain { key.to_owned() } else { format!("'{}'", key.replace('\'', r"'\''")) }
}

fn nth(times: u32) -> String {
    if times > 1 { format!(", for the {times}{} time", ordinal(times)) } else { String::new() }
}

fn ordinal(number: u32) -> &'static str {
    match (number % 10, number % 100 / 10) {
        (_, 1) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    }
}

fn show_report(report: &BulkReport) -> Vec<String> {
    let counts = [
        (report.listed, "listed"),
        (report.extended, "listed already"),
        (report.excluded, "excluded"),
        (report.delisted, "delisted"),
        (report.unchanged, "not listed by command"),
        (report.newer, "left as newer here"),
        (report.faulty, "NOT DONE"),
    ];
    let mut words: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if words.is_empty() {
        words.push("no lines".to_owned());
    }
    let mut lines: Vec<String> =
        report.faults.iter().map(|fault| format!("line {}: {}", fault.line, fault.text)).collect();
    if report.faulty > report.faults.len() {
        lines.push(format!("and {} more", counted(report.faulty - report.faults.len(), "line", "lines")));
    }
    if let [first, rest @ ..] = &*report.newer_lines {
        let word = if rest.is_empty() { "line" } else { "lines" };
        let numbers = rest.iter().fold(first.to_string(), |said, number| format!("{said}, {number}"));
        let more = report.newer - report.newer_lines.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        lines.push(format!("{word} {numbers}{more}: older than what is said here of the same key, which stays"));
    }
    if report.excluded_with_listings > 0 {
        lines.push(format!(
            "within {} of the excluded, what was listed by command STAYS LISTED: delist what is not to be (dnsbld listings ZONE \
             shows it)",
            report.excluded_with_listings
        ));
    }
    lines.push(words.join(", "));
    lines
}

fn show_record(record: &Record, now_s: u64) -> String {
    let what = match &record.verdict {
        Verdict::Excluded => "excluded".to_owned(),
        Verdict::Listed { address: Some(address), .. } => format!("listed as {address}"),
        Verdict::Listed { .. } => "listed".to_owned(),
    };
    let reason = record.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let (since, until) = (clock::date(record.since_s), until(record.until_s, now_s));
    format!("{} {what} since {since} {until}, by {} ({}){reason}", record.key, record.origin.who, record.origin.door)
}

fn show_more(last: &Record, more: usize) -> String {
    let Record { zone, key, .. } = last;
    let more = if more > COUNTED_MAX { format!("more than {COUNTED_MAX}") } else { format!("{more} more") };
    format!("and {more}: dnsbld listings {zone} --after '{key}' shows what follows, --limit N shows more at a time")
}

fn show_event(event: &Event) -> String {
    let reason = event.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let from = event.origin.from.map(|from| format!(" from {from}")).unwrap_or_default();
    let until = match event.until_s {
        _ if matches!(event.what, crate::live::listings::What::Delisted | crate::live::listings::What::Expired) => {
            String::new()
        }
        Some(until_s) => format!(" until {}", clock::date(until_s)),
        None => " with no end".to_owned(),
    };
    let (at, origin) = (clock::date(event.at_s), &event.origin);
    format!(
        "{at} {} {} in {}{until}{}, by {} ({}{from}){reason}",
        event.key,
        event.what,
        event.zone,
        nth(event.times),
        origin.who,
        origin.door
    )
}

fn until(until_s: Option<u64>, now_s: u64) -> String {
    match until_s {
        None => "until it is delisted".to_owned(),
        Some(until_s) => {
            let left = humantime::format_duration(Duration::from_secs(until_s.saturating_sub(now_s)));
            format!("until {}, {left} from now", clock::date(until_s))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_shown_is_counted_so_far() {
        let last: Record = serde_json::from_str(
            r#"{"zone":"bl.example","key":"192.0.2.1","verdict":"excluded","since_s":1,"changed_s":1,"until_s":null,"times":0,
                "counted_s":0,"door":"http","who":"x"}"#,
        )
        .expect("a record");
        for (more, said) in [(7, "and 7 more: "), (100_000, "and 100000 more: "), (100_001, "and more than 100000: ")] {
            assert!(
                show_more(&last, more).starts_with(&format!("{said}dnsbld listings bl.example --after '192.0.2.1'"))
            );
        }
    }
}
