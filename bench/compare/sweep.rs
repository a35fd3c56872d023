//! Entries that end all at once under load: is any answer wrong, does any get lost, and does the sweep that gives their memory
//! back slow any?
//!
//! Two in five of a million addresses end in one second, as they do where whoever writes a list has died. `dnsbld serve` with a
//! short `check` gives them back at the next look at its files, for which it loads the list again; it has one core for all. It
//! is asked at the storm's rate in seconds in which nothing ends, and again from before the end until the sweep is long over.
//! Answers must tell the end to the second. rbldnsd knows no ends: the quiet is what the sweep is held against.

use std::{
    collections::HashSet,
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    Bench, PAIRS,
    data::{self, Extras, HEAD, List},
    fixtures::{Fixture, LISTED_PERCENT, QUESTIONS},
    generator::{Outcome, Question},
    metrics::scrape,
    report::median,
    server::Server,
    servers::{Row, ZONES},
    storm::no_head,
    turn::{Together, Turn, beside},
};

/// From the file's own time, and so nearly from the start, until entries end: a list is loaded, kept and asked about in it.
const LIFETIME: Duration = Duration::from_secs(10);
/// Of quiet, and of the seconds around the end.
const TIME: Duration = Duration::from_secs(3);
/// From when the load begins until entries end. Until the next look at the files a second may pass.
const BEFORE_END: Duration = Duration::from_millis(500);
/// Between the two loads.
const BETWEEN: Duration = Duration::from_millis(500);
const CONFIG: &str = "check = \"1s\"\n";
const HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5907);
/// A scrape takes each side a fraction of a millisecond: too seldom to be seen in percentiles.
const SCRAPE_EVERY: Duration = Duration::from_millis(100);
const NAME: &str = "ip4set 1M";
const QUIET: &str = "quiet";
const SWEEP: &str = "sweep";

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let zones = bench.folder.join(ZONES);
    fs::create_dir(&zones)?;
    let mut list = data::hosts(1_000_000, QUESTIONS, 1);
    let ending = end_some(&mut list)?;
    let mut fixture = Fixture::write(&format!("{}.{}", list.zone, list.kind.word()), &list, LISTED_PERCENT, &zones)?;
    let query = |name: &String| data::query(0, &format!("{name}.{}", list.zone), 1, Extras::default());
    let that_end: HashSet<Vec<u8>> = list.listed.iter().filter(|name| ends(name)).map(query).collect();
    let mut windows = Vec::new();
    for turn in 1..=PAIRS {
        let end = made_now(&zones.join(&fixture.file))? + LIFETIME;
        for question in fixture.questions.iter_mut().filter(|question| that_end.contains(&question.octets)) {
            question.until = Some(end);
        }
        let server = bench.programs.start_serving(&bench.folder, CONFIG, &HTTP.to_string(), list.zone)?;
        for (what, begin) in [(QUIET, end - BEFORE_END - BETWEEN - TIME), (SWEEP, end - BEFORE_END)] {
            windows.push(Window::measure(turn, &server, what, list.zone, &fixture.questions, begin)?);
        }
    }
    report(bench, &windows)?;
    let faults: Vec<String> = windows.iter().filter_map(|window| window.fault(ending)).collect();
    if faults.is_empty() { Ok(()) } else { Err(io::Error::other(faults.join("; "))) }
}

/// Puts a lifetime before some of a list's entries, and these behind the others; returns how many there are.
fn end_some(list: &mut List) -> io::Result<u64> {
    let entries = list.text.strip_prefix(HEAD).ok_or_else(no_head)?;
    let (ending, staying): (Vec<&str>, Vec<&str>) = entries.lines().partition(|line| ends(line));
    let text = format!("{HEAD}{}\n$LIFETIME {}\n{}\n", staying.join("\n"), LIFETIME.as_secs(), ending.join("\n"));
    let count = ending.len() as u64;
    list.text = text;
    Ok(count)
}

/// Whether an address is one of those that end, about two in five; it may be written either way round.
fn ends(address: &str) -> bool {
    let digits = address.bytes().filter(u8::is_ascii_digit).map(|digit| u32::from(digit - b'0'));
    digits.sum::<u32>() % 5 < 2
}

/// Has a file be of this second, which is returned.
fn made_now(file: &Path) -> io::Result<SystemTime> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    let second = UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs());
    fs::File::options().write(true).open(file)?.set_modified(second)?;
    Ok(second)
}

/// Some seconds of load.
struct Window {
    /// Of the turns.
    number: usize,
    turn: Turn,
    mib_before: f64,
    mib_after: f64,
    /// Entries that were given back in it.
    given_back: u64,
    /// From their end until a scrape told of it.
    seen_after: Option<Duration>,
    /// How long the files took to load when they last were.
    load_ms: f64,
}

impl Window {
    const COLUMNS: &str = "mib_before\tmib_after\tgiven_back\tms_until_seen\tload_ms";

    /// Asks from that moment on.
    fn measure(
        number: usize,
        server: &Server,
        what: &str,
        zone: &str,
        questions: &[Question],
        begin: SystemTime,
    ) -> io::Result<Self> {
        let wait = begin.duration_since(SystemTime::now());
        thread::sleep(wait.map_err(|_| io::Error::other("the server was not started, or asked, in time"))?);
        let given_back = || told("expired_entries_total", zone).map(|count| count as u64);
        let (given_before, mib_before) = (given_back()?, server.memory_mib("VmRSS")?);
        // The kernel begins anew with the peak.
        fs::write(format!("/proc/{}/clear_refs", server.id()), "5")?;
        let mut seen = None;
        let look = || {
            let is_over = given_back()? > given_before;
            seen = seen.or_else(|| is_over.then(SystemTime::now));
            Ok(())
        };
        let load = || Turn::measure(server, NAME, what, questions, TIME);
        let mut turn = beside(SCRAPE_EVERY, look, load)?;
        turn.most_mib = server.memory_mib("VmHWM")?;
        let mib_after = server.memory_mib("VmRSS")?;
        let given_back = given_back()? - given_before;
        let seen = (given_back > 0).then(|| seen.unwrap_or_else(SystemTime::now));
        let seen_after = seen.map(|seen| seen.duration_since(begin + BEFORE_END).unwrap_or_default());
        let load_ms = told("load_duration_seconds", zone)? * 1e3;
        Ok(Self { number, turn, mib_before, mib_after, given_back, seen_after, load_ms })
    }

    fn line(&self) -> String {
        let Self { number, turn, mib_before, mib_after, given_back, load_ms, .. } = self;
        let seen_ms = self.seen_after.map_or_else(String::new, |after| after.as_millis().to_string());
        let line = turn.line();
        format!("{number}\t{line}\t{mib_before:.1}\t{mib_after:.1}\t{given_back}\t{seen_ms}\t{load_ms:.0}")
    }

    /// What is not as it should be.
    fn fault(&self, ending: u64) -> Option<String> {
        let Outcome { lost, wrong, .. } = self.turn.row.outcome;
        let what = &self.turn.row.what;
        let due = if what == SWEEP { ending } else { 0 };
        let is_right = lost == 0 && wrong == 0 && self.given_back == due;
        (!is_right).then(|| {
            let Self { number, given_back, .. } = self;
            format!("turn {number}, {what}: {lost} lost, {wrong} wrong, {given_back} of {due} entries given back")
        })
    }
}

/// A metric of a zone. What did not happen yet may have no series.
fn told(name: &str, zone: &str) -> io::Result<f64> {
    let (text, series) = (scrape(HTTP)?, format!("dnsbld_zone_{name}{{zone=\"{zone}\"}} "));
    let value = text.lines().find_map(|line| line.strip_prefix(&series));
    value.map_or(Ok(0.0), |value| value.parse().map_err(io::Error::other))
}

fn report(bench: &mut Bench, windows: &[Window]) -> io::Result<()> {
    let lines: Vec<String> = windows.iter().map(Window::line).collect();
    let columns = format!("turn\t{}\t{}\t{}", Row::COLUMNS, Turn::COLUMNS, Window::COLUMNS);
    bench.report.raw("sweep.tsv", &columns, &lines)?;
    let row = |what: &str| {
        let these: Vec<&Window> = windows.iter().filter(|window| window.turn.row.what == what).collect();
        let turns: Vec<&Turn> = these.iter().map(|window| &window.turn).collect();
        let middle = |of: fn(&Window) -> f64| median(these.iter().map(|window| of(window)));
        let (before, after) = (middle(|window| window.mib_before), middle(|window| window.mib_after));
        let latest = these.iter().filter_map(|window| window.seen_after).max();
        let (given_back, load_ms) = (middle(|window| window.given_back as f64), middle(|window| window.load_ms));
        let swept =
            latest.map_or_else(|| "0\t\t".into(), |at| format!("{given_back}\t{}\t{load_ms:.0}", at.as_millis()));
        format!("{what}\t{}\t{before:.1}\t{after:.1}\t{swept}", Together::of(&turns).cells)
    };
    let columns =
        format!("\t{}\tMiB before\tafter\tentries given back\tms until seen, at most\tms to load", Together::COLUMNS);
    bench.report.table("Entries that end under load", &columns, &[QUIET, SWEEP].map(row), NOTE)
}

const NOTE: &str = "`dnsbld serve`, in each of five turns started anew and asked at 20,000 queries a second: for 3 s in which \
                    nothing ends, and for 3 s in which two in five of its million entries end at once, half a second after the \
                    first query. An answer is wrong if it lists an entry after its end, or does not before it. Percentiles, \
                    memory before and after, entries and loading are medians of the turns; what is longest, or the most, is so \
                    of all turns; the others are sums. Seen: from the end until a scrape of the metrics told of it; there are \
                    ten a second, in the quiet as well. The rest is as in the table of reloads.";
