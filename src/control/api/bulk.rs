//! Many changes in one request: each is done or refused by itself, and one report tells what became of them.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Caller, Desk,
    bodies::PutBody,
    json, marked,
    problem::{Body, Path, Problem, parse, plain},
};
use crate::{
    control::tally::Upshot,
    live::listings::{Change, Key, Op, Outcome},
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
#[derive(Serialize)]
struct BulkReply {
    /// How many of each outcome.
    outcomes: BTreeMap<&'static str, usize>,
    /// Which were refused, and why; at most [`TOLD_MAX`] of them.
    refused: Vec<Refused>,
}

#[derive(Serialize)]
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
}

pub(super) async fn post(
    State(desk): State<Desk>,
    caller: Caller,
    Path(zone): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Problem> {
    let zone = desk.zone(&caller, &zone)?;
    let is_lines = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/x-ndjson") || kind.starts_with("application/jsonl"));
    let mut reply = BulkReply { outcomes: BTreeMap::new(), refused: Vec::new() };
    let (mut places, mut changes) = (Vec::new(), Vec::new());
    for (index, change) in read_all(&zone, &body, is_lines)?.enumerate() {
        match change {
            Ok(change) => {
                places.push(index);
                changes.push(change);
            }
            Err(detail) => reply.refuse(index, detail),
        }
    }
    if !changes.is_empty() {
        for (index, outcome) in places.into_iter().zip(desk.apply(changes, caller.origin()).await?) {
            match outcome {
                Outcome::Refused { refusal } => reply.refuse(index, refusal.to_string()),
                done => reply.count(done.word()),
            }
        }
    }
    reply.refused.sort_by_key(|refused| refused.index);
    let upshot = if reply.refused.is_empty() { Upshot::Done } else { Upshot::Refused };
    Ok(marked(json(StatusCode::OK, &reply), upshot))
}

/// Reads each change by itself.
pub(super) fn read_all(
    zone: &Name,
    body: &[u8],
    is_lines: bool,
) -> Result<impl Iterator<Item = Result<Change, String>>, Problem> {
    let texts =
        if is_lines { lines(body)? } else { parse::<Vec<&RawValue>>(body)?.into_iter().map(RawValue::get).collect() };
    Ok(texts.into_iter().map(move |text| read(zone, text)))
}

fn lines(body: &[u8]) -> Result<Vec<&str>, Problem> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the body is not UTF-8: {error}")))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).collect())
}

fn read(zone: &Name, text: &str) -> Result<Change, String> {
    let mut fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| plain(&error))?;
    let mut head = serde_json::Map::new();
    for name in ["key", "delist"] {
        head.extend(fields.remove_entry(name));
    }
    let head: Head = serde_json::from_value(head.into()).map_err(|error| error.to_string())?;
    let body = PutBody::read(fields)?;
    let reason = body.reason.clone();
    let op = if head.delist { Op::Delist } else { body.op().map_err(|problem| problem.detail)? };
    Ok(Change { zone: zone.clone(), key: head.key, op, reason })
}
