//! Listing and delisting over the control socket: the words of it, and how they become changes.
//!
//! A few keys go in one request. Many go as lines behind it, until the client closes its side, and are answered with one report
//! at the end. What the server tells of many (an export) comes as lines behind its answer.

use std::{collections::VecDeque, io, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufRead, AsyncWrite, AsyncWriteExt as _},
    sync::oneshot,
    task,
    time::{Instant, timeout_at},
};

pub use super::changed::Changed;
use super::{
    changed::is_unanswered,
    lines::Lines,
    served_zone,
    unmet::{Told, Unmet},
};
use crate::{
    live::{
        clock,
        listings::{
            Applied, Batch, Change, Event, Key, Lifetime, Listings, Op, Origin, Outcome, Record, StoreError, Verdict,
            no_domain,
        },
        served::Cell,
    },
    load::counted,
    wire::name::{Name, ends_in_number},
};

/// What is asked, tagged as other requests are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "command")]
pub enum ListingsRequest {
    /// List or exclude keys, or delist them.
    Change {
        /// In this zone.
        zone: String,
        /// Addresses, prefixes, names.
        keys: Vec<String>,
        /// What becomes of them.
        op: Op,
        /// Why.
        reason: Option<String>,
    },
    /// The same with the keys in lines behind this one.
    Bulk {
        /// In this zone.
        zone: String,
        /// What becomes of them, as far as a line does not say otherwise.
        op: Op,
        /// Why, likewise.
        reason: Option<String>,
    },
    /// Records as they were exported are in lines behind this one.
    Import,
    /// The listings of a zone.
    Show {
        /// Of this zone.
        zone: String,
        /// From the one after this.
        after: Option<Key>,
        /// At most so many, and a [page](PAGE) of them.
        limit: usize,
        /// Those behind the last of them are counted, for which each is looked at.
        counts_more: bool,
    },
    /// What happened to a key.
    History {
        /// In these zones; none means all.
        zones: Vec<String>,
        /// An address, prefix or name.
        key: String,
        /// At most so many of each zone, and a [page](PAGE) of them.
        limit: usize,
    },
    /// The listings of zones, as lines behind the answer.
    Export {
        /// Of these zones; none means all.
        zones: Vec<String>,
    },
    /// Copy the store into a new file.
    Backup {
        /// The file, as the server sees it.
        path: PathBuf,
    },
}

/// What is answered, tagged as other answers are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum ListingsAnswer {
    /// What became of each key.
    Changed {
        /// In the order of the request.
        changes: Vec<Changed>,
    },
    /// What became of many.
    Report {
        /// Counts and faults.
        #[serde(flatten)]
        report: BulkReport,
    },
    /// Listings of a zone.
    Listings {
        /// In the order of the store.
        listings: Vec<Record>,
        /// So many are behind the last of these; more than [`COUNTED_MAX`] are not counted to their end.
        more: usize,
    },
    /// What happened to a key.
    History {
        /// Zone by zone, oldest first.
        events: Vec<Event>,
    },
    /// Lines follow, one for each listing.
    Exporting,
    /// The copy is there.
    BackedUp {
        /// Octets of it.
        bytes: u64,
    },
}

/// What became of many lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkReport {
    /// Keys that are listed and were not.
    pub listed: usize,
    /// Keys that were listed already.
    pub extended: usize,
    /// Keys that are excluded.
    pub excluded: usize,
    /// Of those, how many have listings within them that stay listed.
    #[serde(default)]
    pub excluded_with_listings: usize,
    /// Keys of which nothing is said any more.
    pub delisted: usize,
    /// Keys of which nothing was said.
    pub unchanged: usize,
    /// Lines that were not done.
    pub faulty: usize,
    /// The first of those.
    pub faults: Vec<LineFault>,
}

/// A line that was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineFault {
    /// Its number, from 1.
    pub line: usize,
    /// Why.
    pub text: String,
}

/// Faults that are named one by one.
const FAULTS_NAMED: usize = 50;
/// Of many changes so many go to the writer together, and so many such blocks may be on their way: while one is on its way to the
/// disk, the next ones are read, and what others ask for comes in between.
pub(super) const BLOCK_LEN: usize = 1_000;
pub(super) const BLOCKS_ON_THEIR_WAY: usize = 4;
/// After its first line a block waits for more of them this long at most: whoever writes them one by one wants each listed.
const BLOCK_WAIT: Duration = Duration::from_millis(100);
/// Listings that are read from the store at once, and told in one answer; so with the events of a key.
pub const PAGE: usize = 1_000;
/// What is behind a page is counted so far, which takes some hundredths of a second: whoever pages has it counted each time.
pub const COUNTED_MAX: usize = 100_000;

impl BulkReport {
    /// Changes that were made.
    const fn done(&self) -> usize {
        self.listed + self.extended + self.excluded + self.delisted
    }

    fn count(&mut self, line: usize, outcome: &Outcome) {
        self.excluded_with_listings += usize::from(outcome.leaves_listed());
        match outcome {
            Outcome::Listed { .. } => self.listed += 1,
            Outcome::Extended { .. } => self.extended += 1,
            Outcome::Excluded { .. } => self.excluded += 1,
            Outcome::Delisted => self.delisted += 1,
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Refused { refusal } => self.fault(line, refusal.to_string()),
        }
    }

    /// Lines that cannot be read are met before those that are refused: they are told in order all the same.
    fn fault(&mut self, line: usize, text: String) {
        self.faulty += 1;
        let at = self.faults.partition_point(|fault| fault.line <= line);
        self.faults.insert(at, LineFault { line, text });
        self.faults.truncate(FAULTS_NAMED);
    }
}

/// Reads a time: `1h`, `90s`, seconds without a unit, or `forever`.
///
/// # Errors
/// When it is none of these.
pub fn parse_lifetime(text: &str) -> Result<Lifetime, String> {
    if text == "forever" {
        return Ok(Lifetime::Endless);
    }
    let time = clock::parse_span(text).filter(|time| time.as_secs() > 0);
    time.map(Lifetime::For).ok_or_else(|| format!("`{text}` is not a time such as 90s, 1h or 7d, nor forever"))
}

/// Reads a key as an operator writes it: `.example.com` is the name and all below it, as in rbldnsd's files.
fn parse_keys(text: &str) -> Result<Vec<Key>, String> {
    Ok(match text.strip_prefix('.').filter(|name| !name.is_empty()) {
        Some(name) if ends_in_number(name.as_bytes()) => return Err(no_domain(text)),
        Some(name) => vec![name.parse()?, format!("*.{name}").parse()?],
        None => vec![text.parse()?],
    })
}

/// Reads a key that stands behind a command, where it can be meant as in a line.
fn parse_argument(text: &str) -> Result<Vec<Key>, String> {
    if let Some(key) = text.strip_prefix('!').filter(|key| matches!(key.parse(), Ok(Key::Prefix(_)))) {
        return Err(format!(
            "`{text}`: `!` excludes in lines; behind a command, it is dnsbld list --exclude ZONE {key}"
        ));
    }
    parse_keys(text)
}

/// Reads keys that are for one command: one that cannot be read is noticed before anything is done.
///
/// # Errors
/// When one is no key, in words for whoever wrote it.
pub fn read_keys(texts: &[String]) -> Result<Vec<Key>, String> {
    let mut keys = Vec::with_capacity(texts.len());
    for text in texts {
        keys.extend(parse_argument(text).map_err(|why| match texts.len() {
            1 => why,
            count => format!("{why}; NOTHING IS DONE of the {count} keys that came together"),
        })?);
    }
    Ok(keys)
}

/// Reads a line of many: `[!]KEY [TIME [REASON]]`; `!` excludes, and a line may be empty or a `#` comment.
fn parse_line(line: &str, zone: &Name, op: &Op, reason: Option<&String>) -> Result<Vec<Change>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(Vec::new());
    }
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let (time, why) = rest.trim_start().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
    let (is_excluded, word) = word.strip_prefix('!').map_or((false, word), |word| (true, word));
    let own_reason = Some(why.trim()).filter(|why| !why.is_empty()).map(str::to_owned);
    let keys = parse_keys(word)?;
    let op = match op {
        Op::Delist if is_excluded || !rest.trim().is_empty() => {
            return Err("to delist, a line has a key and nothing else".to_owned());
        }
        Op::Delist => Op::Delist,
        Op::Put { verdict, lifetime } => {
            let verdict = if is_excluded { Verdict::Excluded } else { verdict.clone() };
            let lifetime = match own_lifetime(time, why)? {
                Lifetime::Default => *lifetime,
                own => own,
            };
            Op::Put { verdict, lifetime }
        }
    };
    let reason = own_reason.or_else(|| reason.cloned());
    Ok(keys.into_iter().map(|key| Change { zone: zone.clone(), key, op: op.clone(), reason: reason.clone() }).collect())
}

/// The time of a line, if it has one; `why` is what follows it.
fn own_lifetime(time: &str, why: &str) -> Result<Lifetime, String> {
    if matches!(time, "" | "-") {
        return Ok(Lifetime::Default);
    }
    let next = why.split_whitespace().next().unwrap_or_default();
    let is_span = |text: &str| humantime::parse_duration(text).is_ok();
    let is_in_two = match time.parse::<u64>() {
        Ok(_) => !next.is_empty() && is_span(&format!("{time}{next}")),
        // As humantime has it, `0` is a time without a unit.
        Err(_) => is_span(time) && is_span(next) && next.parse::<u64>().is_err(),
    };
    if is_in_two {
        return Err(format!(
            "`{time} {next}` is a time in two words: write {time}{next}, or another word before `{next}` if that is of the reason"
        ));
    }
    parse_lifetime(time).map_err(|why| format!("{why}, nor - for the default"))
}

/// Reads a line of what was exported.
fn parse_record(line: &str) -> Result<Vec<Record>, String> {
    if !line.trim_start().starts_with('{') {
        return Err(
            "not what `dnsbld listings export` writes; keys that are to be listed go to `dnsbld list ZONE -`".into()
        );
    }
    serde_json::from_str(line).map(|record| vec![record]).map_err(|error| error.to_string())
}

impl ListingsRequest {
    /// Whether it changes nothing.
    pub(super) fn asks_only(&self) -> bool {
        matches!(self, Self::Show { .. } | Self::History { .. } | Self::Export { .. } | Self::Backup { .. })
    }
}

/// Who asks, and of what.
pub(super) struct Clerk<'a> {
    pub(super) listings: &'a Listings,
    /// What is served, looked at for the names of zones and not held on to: lines may come in for hours.
    pub(super) cell: &'a Cell,
    pub(super) origin: Origin,
}

impl Clerk<'_> {
    /// Meets a request; many lines are read from `reader`, and written to `writer` behind the answer.
    pub(super) async fn meet(
        &self,
        request: ListingsRequest,
        reader: &mut (impl AsyncBufRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<Told> {
        Ok(match request {
            ListingsRequest::Change { zone, keys, op, reason } => self.change(&zone, &keys, &op, reason.as_ref()).await,
            ListingsRequest::Bulk { zone, op, reason } => match self.zone(&zone) {
                Ok(zone) => {
                    let parse = |line: &str| parse_line(line, &zone, &op, reason.as_ref());
                    bulk(reader, parse, |changes| self.order(changes)).await
                }
                Err(why) => Err(why),
            },
            ListingsRequest::Import => {
                let restore = |records| self.listings.restore(records, self.origin.clone());
                bulk(reader, parse_record, restore).await
            }
            ListingsRequest::Show { zone, after, limit, counts_more } => {
                self.show(&zone, after, limit, counts_more).await
            }
            ListingsRequest::History { zones, key, limit } => self.history(&zones, &key, limit).await,
            ListingsRequest::Export { zones } => self.export(&zones, writer).await?,
            ListingsRequest::Backup { path } => self.backup(path).await,
        })
    }

    fn zone(&self, text: &str) -> Result<Name, Unmet> {
        served_zone(&self.cell.load().snapshot, text).map_err(Unmet::Wrong)
    }

    fn zones(&self, texts: &[String]) -> Result<Vec<Name>, Unmet> {
        if texts.is_empty() {
            return Ok(self.cell.load().snapshot.zones().iter().map(|zone| zone.apex.clone()).collect());
        }
        texts.iter().map(|text| self.zone(text)).collect()
    }

    async fn change(&self, zone: &str, texts: &[String], op: &Op, reason: Option<&String>) -> Told {
        let zone = self.zone(zone)?;
        let keys = read_keys(texts).map_err(Unmet::Wrong)?;
        let change =
            |key: &Key| Change { zone: zone.clone(), key: key.clone(), op: op.clone(), reason: reason.cloned() };
        let changes = keys.iter().map(change).collect();
        let outcomes = self.order(changes).await.unwrap_or(Err(StoreError::Ending))?;
        let listings = self.listings.clone();
        let is_unanswered = is_unanswered(&self.cell.load().snapshot, &zone);
        let tell = move |(key, outcome): (Key, Outcome)| Changed::new(&listings, &zone, &key, outcome, is_unanswered);
        let changes = task::spawn_blocking(move || keys.into_iter().zip(outcomes).map(tell).collect()).await?;
        Ok(ListingsAnswer::Changed { changes })
    }

    fn order(&self, changes: Vec<Change>) -> oneshot::Receiver<Applied> {
        self.listings.order(Batch::each(changes, self.origin.clone()))
    }

    async fn show(&self, zone: &str, after: Option<Key>, limit: usize, counts_more: bool) -> Told {
        let (listings, zone, limit) = (self.listings.clone(), self.zone(zone)?, limit.min(PAGE));
        let look = move || {
            let page = listings.of_zone(&zone, after.as_ref(), limit)?;
            let last = page.last().filter(|_| counts_more && page.len() == limit);
            let more = last.map_or(Ok(0), |last| listings.count_after(&zone, &last.key, COUNTED_MAX + 1))?;
            Ok(ListingsAnswer::Listings { listings: page, more })
        };
        look_aside(look).await
    }

    async fn history(&self, zones: &[String], key: &str, limit: usize) -> Told {
        let (listings, zones, limit) = (self.listings.clone(), self.zones(zones)?, limit.min(PAGE));
        let keys = parse_keys(key).map_err(Unmet::Wrong)?;
        let look = move || {
            let mut events = Vec::new();
            for (zone, key) in zones.iter().flat_map(|zone| keys.iter().map(move |key| (zone, key))) {
                events.extend(listings.history(zone, key, limit)?);
            }
            Ok(ListingsAnswer::History { events })
        };
        look_aside(look).await
    }

    /// Writes the answer and the lines behind it; what is returned is the last line.
    async fn export(&self, zones: &[String], writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<Told> {
        let zones = match self.zones(zones) {
            Ok(zones) => zones,
            Err(why) => return Ok(Err(why)),
        };
        for zone in zones {
            let mut after: Option<Key> = None;
            loop {
                let (listings, of_zone, from) = (self.listings.clone(), zone.clone(), after.take());
                let page = match task::spawn_blocking(move || listings.of_zone(&of_zone, from.as_ref(), PAGE)).await? {
                    Ok(page) => page,
                    Err(why) => return Ok(Err(why.into())),
                };
                let mut text = Vec::new();
                for record in &page {
                    serde_json::to_writer(&mut text, record)?;
                    text.push(b'\n');
                }
                writer.write_all(&text).await?;
                after = page.last().map(|record| record.key.clone());
                if page.len() < PAGE {
                    break;
                }
            }
        }
        Ok(Ok(ListingsAnswer::Exporting))
    }

    async fn backup(&self, path: PathBuf) -> Told {
        let listings = self.listings.clone();
        let copy = move || {
            listings.backup(&path)?;
            Ok(ListingsAnswer::BackedUp { bytes: std::fs::metadata(&path).map_or(0, |file| file.len()) })
        };
        look_aside(copy).await
    }
}

/// Reads the store, so not on the thread that attends to everyone.
async fn look_aside(look: impl FnOnce() -> Result<ListingsAnswer, StoreError> + Send + 'static) -> Told {
    Ok(task::spawn_blocking(look).await??)
}

/// Has what many lines mean done, block by block, and reports. Where a block cannot be done, no more are read, and those that are
/// on their way behind it, which may be done yet, are waited for: what is told is how it is then.
async fn bulk<T>(
    reader: &mut (impl AsyncBufRead + Unpin),
    parse: impl Fn(&str) -> Result<Vec<T>, String>,
    order: impl Fn(Vec<T>) -> oneshot::Receiver<Applied>,
) -> Told {
    let mut report = BulkReport::default();
    let mut on_their_way = VecDeque::new();
    let (mut block, mut lines) = (Vec::new(), Vec::new());
    let (mut reading, mut due) = (Lines::new(reader), Instant::now());
    let mut failed = None;
    loop {
        let next = if lines.is_empty() { Ok(reading.next().await) } else { timeout_at(due, reading.next()).await };
        let is_due = next.is_err();
        let (line, fault) = apart(next.unwrap_or(Ok(None)));
        let is_end = line.is_none() && !is_due;
        if let Some((number, line)) = line {
            match line.and_then(&parse) {
                Ok(parsed) => {
                    if lines.is_empty() {
                        due = Instant::now() + BLOCK_WAIT;
                    }
                    lines.resize(lines.len() + parsed.len(), number);
                    block.extend(parsed);
                }
                Err(why) => report.fault(number, why),
            }
        }
        if block.len() >= BLOCK_LEN || (is_due || is_end) && !block.is_empty() {
            on_their_way.push_back((std::mem::take(&mut lines), order(std::mem::take(&mut block))));
        }
        while on_their_way.len() > if is_end || failed.is_some() { 0 } else { BLOCKS_ON_THEIR_WAY } {
            let Some((lines, block)) = on_their_way.pop_front() else { break };
            match block.await.unwrap_or(Err(StoreError::Ending)) {
                Ok(outcomes) => lines.iter().zip(&outcomes).for_each(|(line, outcome)| report.count(*line, outcome)),
                Err(why) => _ = failed.get_or_insert((why, lines.first().copied().unwrap_or_default())),
            }
        }
        if let Some((why, line)) = failed {
            let done = counted(report.done(), "change is", "changes are");
            return Err(Unmet::Failed(format!("{done} done; of those from line {line} on, some met this: {why}")));
        }
        if is_end {
            return ended(fault, reading.number(), report);
        }
    }
}

/// What was read, and why nothing follows, if that is not the end.
fn apart<T>(read: io::Result<Option<T>>) -> (Option<T>, Option<io::Error>) {
    read.map_or_else(|why| (None, Some(why)), |read| (read, None))
}

/// The answer when all that could be read is done.
fn ended(fault: Option<io::Error>, line: usize, report: BulkReport) -> Told {
    match fault {
        Some(why) => {
            let done = counted(report.done(), "change", "changes");
            Err(Unmet::Wrong(format!("{why}; stopped at line {line}, after {done}")))
        }
        None => Ok(ListingsAnswer::Report { report }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_many() {
        let zone = Name::parse(b"virbl.tee.gr").expect("a name");
        let lifetime = Lifetime::For(Duration::from_secs(60));
        let (op, reason) = (Op::Put { verdict: Verdict::LISTED, lifetime }, "bulk".to_owned());
        let read = |line: &str| parse_line(line, &zone, &op, Some(&reason));
        let one = |line: &str| read(line).expect(line).remove(0);
        let put = |change: &Change| match &change.op {
            Op::Put { verdict, lifetime } => (verdict.clone(), *lifetime),
            Op::Delist => panic!("{change:?}"),
        };
        assert_eq!(read("  # a comment\n"), Ok(vec![]));
        let plain = one("192.0.2.1\n");
        assert_eq!(put(&plain), (Verdict::LISTED, Lifetime::For(Duration::from_secs(60))));
        assert_eq!(plain.reason.as_deref(), Some("bulk"));
        let own = one("192.0.2.0/24  2h  seen by   trap 7\r\n");
        assert_eq!(put(&own).1, Lifetime::For(Duration::from_secs(7_200)));
        assert_eq!(own.reason.as_deref(), Some("seen by   trap 7"));
        assert_eq!(put(&one("!192.0.2.1 forever")), (Verdict::Excluded, Lifetime::Endless));
        assert_eq!(put(&one("192.0.2.1 - why")).1, Lifetime::For(Duration::from_secs(60)));
        let both: Vec<String> =
            read(".example.com").expect("two").iter().map(|change| change.key.to_string()).collect();
        assert_eq!(both, ["example.com", "*.example.com"]);
        assert!(read("192.0.2.1 virus").expect_err("no time").contains("`virus` is not a time"));
        assert!(read("192.0.2.1/24").expect_err("host bits").contains("did you mean 192.0.2.0/24?"));
        assert!(read("192.0.2.1 0").is_err());
        assert!(read("192.0.2.1 0").expect_err("no time").starts_with("`0` is not a time such as 90s"));
        for (line, whole) in [("5 years", "5years"), ("1h 30m", "1h30m"), ("1h 30m in all", "1h30m")] {
            let why = read(&format!("192.0.2.1 {line}")).expect_err(line);
            let next = line.split(' ').nth(1).expect("two words");
            let advice = format!("write {whole}, or another word before `{next}` if that is of the reason");
            assert!(why.contains("is a time in two words") && why.ends_with(&advice), "{why}");
        }
        assert_eq!(one("192.0.2.1 1h 5 mails").reason.as_deref(), Some("5 mails"));
        for text in ["1.2.3", "*.1.2.3", ".1.2.3", ".1.2.3.4", "10.0.0.256"] {
            let why = read(text).expect_err(text);
            assert!(why.contains("no domain ends in a number") && why.ends_with(&format!("it is `{text}.`")), "{why}");
            assert!(read(&format!("{text}.")).is_ok(), "{text}");
        }
        assert_eq!(put(&one("192.0.2.1 5 mails")).1, Lifetime::For(Duration::from_secs(5)));
        let delist = |line: &str| parse_line(line, &zone, &Op::Delist, Some(&reason));
        let delisting = delist("192.0.2.1").expect("a delisting").remove(0);
        assert_eq!((delisting.op, delisting.reason.as_deref()), (Op::Delist, Some("bulk")));
        assert!(delist("!192.0.2.1").is_err() && delist("192.0.2.1 1h").is_err());
    }

    #[test]
    fn a_server_of_before_is_understood() {
        let report = r#"{"listed":1,"extended":0,"excluded":2,"delisted":0,"unchanged":0,"faulty":0,"faults":[]}"#;
        let report: BulkReport = serde_json::from_str(report).expect("a report");
        assert_eq!((report.excluded, report.excluded_with_listings), (2, 0));
    }

    #[test]
    fn faults_are_told_in_the_order_of_their_lines() {
        let mut report = BulkReport::default();
        // A block is settled when lines behind it were read.
        for line in (101..=160).chain(1..=100) {
            report.fault(line, String::new());
        }
        let lines: Vec<usize> = report.faults.iter().map(|fault| fault.line).collect();
        assert_eq!((report.faulty, lines), (160, (1..=FAULTS_NAMED).collect()));
    }

    /// What lists finds no room on the disk, and what excludes behind it does.
    #[tokio::test]
    async fn what_is_on_its_way_behind_a_block_that_fails_is_told() {
        let ordered = std::cell::Cell::new(0);
        let order = |block: Vec<String>| {
            assert!(block.len() <= BLOCK_LEN);
            ordered.set(ordered.get() + 1);
            let (sender, receiver) = oneshot::channel();
            let applied = match ordered.get() {
                2 => Err(StoreError::Unwritable("no room".to_owned())),
                _ => Ok(vec![Outcome::Excluded { until_s: None, was_listed: false, still_listed: 0 }; block.len()]),
            };
            sender.send(applied).expect("awaited");
            receiver
        };
        let lines = "!192.0.2.1\n".repeat(20 * BLOCK_LEN);
        let told = bulk(&mut lines.as_bytes(), |line| Ok(vec![line.to_owned()]), order).await;
        // The second failed when the sixth was on its way.
        assert_eq!(ordered.get(), 6, "and no more are read");
        let Err(Unmet::Failed(why)) = told else { panic!("{told:?}") };
        assert!(
            why.starts_with("5000 changes are done; of those from line 1001 on, some met this: the store"),
            "{why}"
        );
    }
}
