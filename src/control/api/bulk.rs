//! Many changes in one request: each is done or refused by itself, and one report tells what became of them.
//!
//! A body may have more than a million. So they are read on a thread of their own, and go to the writer block by block, between
//! which single changes of others come in.

use std::collections::{BTreeMap, VecDeque};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::{sync::oneshot, task::spawn_blocking};

use super::{
    Desk, InZone, Nothing,
    bodies::{PutBody, not_served},
    json, marked,
    problem::{Body, Problem, Query, parse, plain},
};
use crate::{
    control::{
        listings::{BLOCK_LEN, BLOCKS_ON_THEIR_WAY},
        tally::Upshot,
    },
    live::listings::{Applied, Batch, Change, Key, Op, Outcome, StoreError, none},
    load::counted,
    wire::name::Name,
};

/// Refusals that are told one by one; the rest is counted.
const TOLD_MAX: usize = 1_000;

/// Of what a change is, and whether it takes back; the rest is as with `PUT`.
#[derive(Deserialize)]
struct Head {
    key: Key,
    #[serde(default)]
    delist: bool,
}

/// What became of them all.
#[derive(Debug, Default, Serialize)]
struct BulkReply {
    /// How many of each outcome.
    outcomes: BTreeMap<&'static str, usize>,
    /// Of the excluded, how many have listings within them that stay listed.
    #[serde(skip_serializing_if = "none")]
    excluded_with_listings: usize,
    /// See [`not_served`].
    #[serde(skip_serializing_if = "Option::is_none")]
    served: Option<bool>,
    /// Which were refused, and why; at most [`TOLD_MAX`] of them.
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize)]
struct Refused {
    /// Place in the request, from 0.
    index: usize,
    detail: String,
}

impl BulkReply {
    fn count(&mut self, outcome: &'static str) {
        *self.outcomes.entry(outcome).or_default() += 1;
    }

    fn refuse(&mut self, index: usize, detail: String) {
        self.count("refused");
        if self.refused.len() < TOLD_MAX {
            self.refused.push(Refused { index, detail });
        }
    }

    /// How many changes are done.
    fn done(&self) -> usize {
        let is_done = |outcome: &str| !matches!(outcome, "refused" | "unchanged");
        self.outcomes.iter().filter(|(outcome, _)| is_done(outcome)).map(|(_, count)| count).sum()
    }

    /// What is told where the store did not take all; if it took none, that alone.
    fn stopped(&self, why: StoreError) -> Problem {
        let done = self.done();
        let mut problem = Problem::from(why);
        if done > 0 {
            let done = counted(done, "change is", "changes are");
            problem.detail = format!("{done} done; some others met this: {}", problem.detail);
        }
        problem
    }

    fn settle(&mut self, places: &[usize], outcomes: Vec<Outcome>) {
        for (index, outcome) in places.iter().zip(outcomes) {
            match outcome {
                Outcome::Refused { refusal } => self.refuse(*index, refusal.to_string()),
                done => {
                    self.excluded_with_listings += usize::from(done.leaves_listed());
                    self.count(done.word());
                }
            }
        }
    }
}

pub(super) async fn post(
    State(desk): State<Desk>,
    InZone { caller, zone }: InZone,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Problem> {
    let is_lines = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(is_of_lines);
    let (listings, origin) = (desk.listings()?.clone(), caller.origin());
    let order = move |changes| listings.order(Batch::each(changes, origin.clone()));
    let of_zone = zone.clone();
    let mut reply = spawn_blocking(move || apply(read_all(&of_zone, &body, is_lines)?, order)).await??;
    reply.served = not_served(reply.done() > 0, desk.is_unanswered(&zone));
    let upshot = if reply.refused.is_empty() { Upshot::Done } else { Upshot::Refused };
    Ok(marked(json(StatusCode::OK, &reply), upshot))
}

/// Whether a body of this type has a change on each line (RFC 9110 section 8.3.1: in whatever case, and perhaps with parameters).
fn is_of_lines(kind: &str) -> bool {
    let kind = kind.split_once(';').map_or(kind, |(kind, _)| kind).trim();
    ["application/x-ndjson", "application/jsonl"].iter().any(|of_lines| kind.eq_ignore_ascii_case(of_lines))
}

/// Has changes done, block by block. If the store does not take one, nothing more is asked of it, and those that are on their way
/// behind it, which may be done yet, are waited for.
fn apply(
    changes: impl Iterator<Item = Result<Change, String>>,
    order: impl Fn(Vec<Change>) -> oneshot::Receiver<Applied>,
) -> Result<BulkReply, Problem> {
    let mut changes = changes.enumerate();
    let (mut reply, mut on_their_way, mut failed) = (BulkReply::default(), VecDeque::new(), None);
    loop {
        let (mut places, mut block, mut is_end) = (Vec::new(), Vec::new(), true);
        for (index, change) in changes.by_ref().take(BLOCK_LEN) {
            is_end = false;
            match change {
                Ok(change) => {
                    places.push(index);
                    block.push(change);
                }
                Err(detail) => reply.refuse(index, detail),
            }
        }
        if !block.is_empty() {
            on_their_way.push_back((places, order(block)));
        }
        while on_their_way.len() > if is_end || failed.is_some() { 0 } else { BLOCKS_ON_THEIR_WAY } {
            let Some((places, block)) = on_their_way.pop_front() else { break };
            match block.blocking_recv().unwrap_or(Err(StoreError::Ending)) {
                Ok(outcomes) => reply.settle(&places, outcomes),
                Err(why) => _ = failed.get_or_insert(why),
            }
        }
        if let Some(why) = failed {
            return Err(reply.stopped(why));
        }
        if is_end {
            reply.refused.sort_by_key(|refused| refused.index);
            return Ok(reply);
        }
    }
}

/// Reads each change by itself.
pub(super) fn read_all(
    zone: &Name,
    body: &[u8],
    is_lines: bool,
) -> Result<impl Iterator<Item = Result<Change, String>>, Problem> {
    let texts = if is_lines { lines(body)? } else { array(body)? };
    Ok(texts.into_iter().map(move |text| read(zone, text)))
}

fn array(body: &[u8]) -> Result<Vec<&str>, Problem> {
    let texts = parse::<Vec<&RawValue>>(body).map_err(|mut problem| {
        problem.detail.push_str("; a change on each line is sent as `Content-Type: application/x-ndjson`");
        problem
    })?;
    Ok(texts.into_iter().map(RawValue::get).collect())
}

fn lines(body: &[u8]) -> Result<Vec<&str>, Problem> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the body is not UTF-8: {error}")))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).collect())
}

fn read(zone: &Name, text: &str) -> Result<Change, String> {
    // Here a change says of what it is, too.
    let whole = |error: String| {
        error
            .replace("{\"for\": \"1h\"}", "{\"key\": \"192.0.2.1\"}")
            .replace("expected one of ", "expected one of `key`, `delist`, ")
    };
    let mut fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| whole(plain(&error)))?;
    let mut head = serde_json::Map::new();
    for name in ["key", "delist"] {
        head.extend(fields.remove_entry(name));
    }
    let head: Head = serde_json::from_value(head.into()).map_err(|error| error.to_string())?;
    let fields_said = fields.len();
    let body = PutBody::read(fields).map_err(whole)?;
    let reason = body.reason.clone();
    let says_more = fields_said > usize::from(reason.is_some());
    let op = match head.delist {
        true if says_more => {
            return Err("to delist, a change has `key`, `delist` and `reason` and nothing else".to_owned());
        }
        true => Op::Delist,
        false => body.op().map_err(|problem| problem.detail)?,
    };
    Ok(Change { zone: zone.clone(), key: head.key, op, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies as many delistings, of which every tenth cannot be read, and the second block cannot be done if that `fails`;
    /// returns how many went to the writer at once, too.
    fn apply_many(count: usize, fails: bool) -> (Result<BulkReply, Problem>, Vec<usize>) {
        let blocks = std::cell::RefCell::new(Vec::new());
        let key: Key = "192.0.2.1".parse().expect("a key");
        let change = |number: usize| {
            let change = Change { zone: Name::root(), key: key.clone(), op: Op::Delist, reason: None };
            if number % 10 == 9 { Err("no key".to_owned()) } else { Ok(change) }
        };
        let reply = apply((0..count).map(change), |block| {
            blocks.borrow_mut().push(block.len());
            let (sender, receiver) = oneshot::channel();
            let is_bad = fails && blocks.borrow().len() == 2;
            let applied = if is_bad { Err(StoreError::Busy) } else { Ok(vec![Outcome::Delisted; block.len()]) };
            sender.send(applied).expect("awaited");
            receiver
        });
        (reply, blocks.into_inner())
    }

    #[test]
    fn types_of_bodies() {
        for kind in ["application/x-ndjson", "APPLICATION/X-NDJSON", "application/jsonl ; charset=utf-8"] {
            assert!(is_of_lines(kind), "{kind}");
        }
        for kind in ["application/x-ndjsonfoo", "application/json", "", "; application/jsonl"] {
            assert!(!is_of_lines(kind), "{kind}");
        }
    }

    #[test]
    fn many_go_to_the_writer_block_by_block() {
        let (reply, blocks) = apply_many(300_005, false);
        let reply = reply.expect("done");
        assert_eq!(reply.outcomes, BTreeMap::from([("delisted", 270_005), ("refused", 30_000)]));
        assert_eq!((reply.refused.len(), reply.refused[0].index, reply.refused[999].index), (TOLD_MAX, 9, 9_999));
        assert_eq!((blocks.len(), blocks[0], blocks[300]), (301, BLOCK_LEN * 9 / 10, 5));
        assert!(apply_many(0, false).0.is_ok_and(|reply| reply.outcomes.is_empty()));
    }

    #[test]
    fn a_store_that_fails_stops_them_and_what_is_done_is_told() {
        let (reply, blocks) = apply_many(300_000, true);
        assert_eq!(blocks.len(), 6, "the second failed when the sixth was on its way");
        let told = reply.expect_err("not all is done").detail;
        assert_eq!(told, format!("4500 changes are done; some others met this: {}", StoreError::Busy));
        let (reply, _) = apply_many(1_500, true);
        assert!(reply.expect_err("not all is done").detail.starts_with("900 changes are done"));
    }
}
