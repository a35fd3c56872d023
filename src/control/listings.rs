//! Listing and delisting over the control socket: the words of it, and what is done about them.
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

pub use super::{
    changed::Changed,
    typed::{parse_lifetime, read_keys},
};
use super::{
    changed::is_unanswered,
    lines::Lines,
    served_zone,
    typed::{parse_exported, parse_keys, parse_line},
    unmet::{Told, Unmet},
};
use crate::{
    live::{
        listings::{Applied, Batch, Change, Event, Key, Listings, Op, Origin, Outcome, Record, StoreError},
        served::Cell,
    },
    load::counted,
    wire::name::Name,
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
    /// Lines that were exported before that was said of their keys which holds here, and which stays.
    #[serde(default)]
    pub newer: usize,
    /// The first of those, by their numbers.
    #[serde(default)]
    pub newer_lines: Vec<usize>,
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

/// Lines that are not done, or left as they are, and are named one by one.
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
            Outcome::Newer => {
                self.newer += 1;
                self.newer_lines.extend((self.newer <= FAULTS_NAMED).then_some(line));
            }
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
                let restore = |lines| self.listings.restore(lines, self.origin.clone());
                bulk(reader, parse_exported, restore).await
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

    /// The same of a zone that something is known of: it may be served no more.
    fn known_zone(&self, text: &str) -> Result<Name, Unmet> {
        self.zone(text).or_else(|why| {
            let name = Name::parse(text.as_bytes()).ok();
            name.filter(|name| self.listings.unserved().contains(name)).ok_or(why)
        })
    }

    fn known_zones(&self, texts: &[String]) -> Result<Vec<Name>, Unmet> {
        if texts.is_empty() {
            let served = self.cell.load().snapshot.zones().iter().map(|zone| zone.apex.clone()).collect::<Vec<_>>();
            return Ok([served, self.listings.unserved()].concat());
        }
        texts.iter().map(|text| self.known_zone(text)).collect()
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
        let (listings, zone, limit) = (self.listings.clone(), self.known_zone(zone)?, limit.min(PAGE));
        let look = move || {
            let page = listings.of_zone(&zone, after.as_ref(), limit)?;
            let last = page.last().filter(|_| counts_more && page.len() == limit);
            let more = last.map_or(Ok(0), |last| listings.count_after(&zone, &last.key, COUNTED_MAX + 1))?;
            Ok(ListingsAnswer::Listings { listings: page, more })
        };
        look_aside(look).await
    }

    async fn history(&self, zones: &[String], key: &str, limit: usize) -> Told {
        let (listings, zones, limit) = (self.listings.clone(), self.known_zones(zones)?, limit.min(PAGE));
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
        let zones = match self.known_zones(zones) {
            Ok(zones) => zones,
            Err(why) => return Ok(Err(why)),
        };
        for zone in zones {
            let mut after: Option<Key> = None;
            loop {
                let (listings, of_zone, from) = (self.listings.clone(), zone.clone(), after.take());
                let page = match task::spawn_blocking(move || listings.exported(&of_zone, from.as_ref(), PAGE)).await? {
                    Ok(page) => page,
                    Err(why) => return Ok(Err(why.into())),
                };
                let mut text = Vec::new();
                for exported in &page {
                    serde_json::to_writer(&mut text, exported)?;
                    text.push(b'\n');
                }
                writer.write_all(&text).await?;
                after = page.last().map(|exported| exported.record.key.clone());
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
    fn a_server_of_before_is_understood() {
        let report = r#"{"listed":1,"extended":0,"excluded":2,"delisted":0,"unchanged":0,"faulty":0,"faults":[]}"#;
        let report: BulkReport = serde_json::from_str(report).expect("a report");
        assert_eq!((report.excluded, report.excluded_with_listings, report.newer), (2, 0, 0));
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
