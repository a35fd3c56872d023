//! HTTP with JSON: live listings for programs that speak neither DNS nor our socket.
//!
//! | request | what it does |
//! |---|---|
//! | `PUT /v1/zones/{zone}/listings/{key}` | lists or excludes, and says until when |
//! | `GET` and `DELETE` of the same | what is listed; delists |
//! | `GET /v1/zones/{zone}/listings` | all of a zone, page by page, in the order of the store |
//! | `POST /v1/zones/{zone}/listings` | many changes at once, as an array or line by line |
//! | `GET /v1/zones/{zone}/history/{key}` | what happened to a key |
//! | `GET /v1/openapi.json` | all that, for machines |
//!
//! Without a token nothing of this is there. A change is answered when it is durable and served, or with `"served": false` where
//! its zone answers SERVFAIL. Errors are problem details (RFC 9457), also where there is no store. Who asks is the token's name.

mod bodies;
mod bulk;
mod problem;

use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc};

use axum::{
    Router,
    extract::{ConnectInfo, DefaultBodyLimit, FromRequestParts, RawPathParams, Request, State},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};

use self::{
    bodies::{ChangeReply, EventBody, HistoryReply, ListingBody, PageReply, PutBody},
    problem::{Body, Path, Problem, Query},
};
use super::{
    changed::is_unanswered,
    permit::{Scope, Tokens},
    tally::{Tally, Upshot},
    typed,
};
use crate::{
    live::{
        listings::{Applied, Batch, Change, Door, Key, Listings, Op, Origin, Outcome, StoreError},
        served::Cell,
    },
    wire::name::Name,
};

/// The description that programs read.
const OPENAPI: &str = include_str!("openapi.json");

/// Longest body, in octets: more than a million of the shortest changes.
const BODY_MAX_LEN: usize = 32 << 20;

/// Listings and events of one reply, unless fewer are asked for.
const PAGE_MAX: usize = 1_000;

/// What requests are met from.
#[derive(Clone)]
pub struct Desk(Arc<Shared>);

struct Shared {
    tokens: Tokens,
    cell: Cell,
    /// The store, or why there is none.
    listings: Result<Listings, StoreError>,
    tally: Arc<Tally>,
}

impl Desk {
    /// For these tokens, of which there is one at least.
    pub fn new(tokens: Tokens, cell: Cell, listings: Result<Listings, StoreError>, tally: Arc<Tally>) -> Self {
        Self(Arc::new(Shared { tokens, cell, listings, tally }))
    }

    /// The routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/v1/openapi.json", get(async || ([(header::CONTENT_TYPE, "application/json")], OPENAPI)))
            .route("/v1/zones/{zone}/listings", get(page).post(bulk::post))
            .route("/v1/zones/{zone}/listings/{*key}", get(read).put(put).delete(delist))
            .route("/v1/zones/{zone}/history/{*key}", get(history))
            .fallback(async || Problem::new(StatusCode::NOT_FOUND, "nothing is here: see /v1/openapi.json"))
            .method_not_allowed_fallback(async || {
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "see /v1/openapi.json for what can be done here")
            })
            .layer(DefaultBodyLimit::max(BODY_MAX_LEN))
            .layer(middleware::from_fn_with_state(self.clone(), count))
            .with_state(self)
    }

    /// Has changes done, and waits until they are durable and served.
    async fn apply(&self, changes: Vec<Change>, origin: Origin) -> Applied {
        self.listings()?.order(Batch::each(changes, origin)).await.unwrap_or(Err(StoreError::Ending))
    }

    fn listings(&self) -> Result<&Listings, StoreError> {
        self.0.listings.as_ref().map_err(Clone::clone)
    }

    /// Whether a zone answers SERVFAIL, whatever is listed in it.
    fn is_unanswered(&self, zone: &Name) -> bool {
        is_unanswered(&self.0.cell.load().snapshot, zone)
    }

    /// Reads the store on a thread that may wait for the disk.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Listings) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let listings = self.listings()?.clone();
        Ok(tokio::task::spawn_blocking(move || look(&listings)).await??)
    }

    /// A zone that is served, and that this caller may change.
    fn zone(&self, caller: &Caller, zone: &str) -> Result<Name, Problem> {
        let name = Name::parse(zone.as_bytes())
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("zone {zone}: {error}")))?;
        if !caller.scope.admits(&name) {
            let detail = format!("token {} is not for zone {name}", caller.name);
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        if self.0.cell.load().snapshot.zone(&name).is_none() {
            return Err(Problem::new(StatusCode::NOT_FOUND, format!("no zone {name} is served here")));
        }
        Ok(name)
    }
}

/// Counts what became of a request: what its reply is marked with, or else what the status says.
async fn count(State(desk): State<Desk>, request: Request, next: Next) -> Response {
    let asks_only = matches!(*request.method(), Method::GET | Method::HEAD);
    let response = next.run(request).await;
    let upshot = response.extensions().get().copied().unwrap_or(match response.status() {
        StatusCode::OK if asks_only => Upshot::Answered,
        StatusCode::OK => Upshot::Done,
        status if status.is_server_error() => Upshot::Failed,
        _ => Upshot::Refused,
    });
    desk.0.tally.count(Door::Http, upshot);
    response
}

/// A reply whose status does not say what became of the request.
fn marked(mut response: Response, upshot: Upshot) -> Response {
    response.extensions_mut().insert(upshot);
    response
}

/// Who asks: the holder of a token.
struct Caller {
    name: String,
    scope: Scope,
    from: Option<SocketAddr>,
}

impl Caller {
    fn origin(&self) -> Origin {
        let from = self.from.map(|address| address.ip().to_canonical());
        Origin { door: Door::Http, who: self.name.clone(), from }
    }
}

impl FromRequestParts<Desk> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Self, Problem> {
        let secret = bearer(&parts.headers)
            .ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "a token is needed (Authorization: Bearer TOKEN)"))?;
        let (name, scope) = desk
            .0
            .tokens
            .holder(secret)
            .ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "nobody here knows that token"))?;
        let from = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
        Ok(Self { name: name.to_owned(), scope: scope.clone(), from })
    }
}

/// Who asks, and a zone that is served and that they may change; known before the body is read.
struct InZone {
    caller: Caller,
    zone: Name,
}

impl FromRequestParts<Desk> for InZone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, desk).await?;
        let told = RawPathParams::from_request_parts(parts, desk).await;
        let told = told.map_err(|error| Problem::new(error.status(), error.body_text()))?;
        let zone = told.iter().find_map(|(name, text)| (name == "zone").then_some(text)).unwrap_or_default();
        let zone = desk.zone(&caller, zone)?;
        Ok(Self { caller, zone })
    }
}

/// The token of a request (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn parse_key(text: &str) -> Result<Key, Problem> {
    text.parse().map_err(no_key)
}

/// Why a text is no key, as a reply.
fn no_key(why: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, why)
}

/// A reply with a body.
fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(octets) => (status, [(header::CONTENT_TYPE, "application/json")], octets).into_response(),
        Err(error) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn put(
    State(desk): State<Desk>,
    InZone { caller, zone }: InZone,
    Path((_, key)): Path<(String, String)>,
    Query(Nothing {}): Query<Nothing>,
    Body(body): Body,
) -> Result<Response, Problem> {
    let key = typed::parse_key(&key).map_err(no_key)?;
    let asked: PutBody = if body.is_empty() { PutBody::default() } else { read_put(&body)? };
    let reason = asked.reason.clone();
    let op = asked.op()?;
    change(&desk, &caller, Change { zone, key, op, reason }).await
}

fn read_put(body: &[u8]) -> Result<PutBody, Problem> {
    let read = PutBody::read(problem::parse(body)?);
    read.map_err(|why| Problem::new(StatusCode::BAD_REQUEST, format!("the body cannot be read: {why}")))
}

/// What may stand behind the question mark where all is told by path and body: a wish there would not be met.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// What a `DELETE` may say besides.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DelistQuery {
    reason: Option<String>,
}

async fn delist(
    State(desk): State<Desk>,
    InZone { caller, zone }: InZone,
    Path((_, key)): Path<(String, String)>,
    Query(DelistQuery { reason }): Query<DelistQuery>,
    Body(body): Body,
) -> Result<Response, Problem> {
    if !body.is_empty() {
        let detail = "to delist, there is no body: a reason stands behind the question mark, as ?reason=ours";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let key = parse_key(&key)?;
    change(&desk, &caller, Change { zone, key, op: Op::Delist, reason }).await
}

async fn change(desk: &Desk, caller: &Caller, change: Change) -> Result<Response, Problem> {
    let (zone, key) = (change.zone.clone(), change.key.clone());
    let outcomes = desk.apply(vec![change], caller.origin()).await?;
    let is_unanswered = desk.is_unanswered(&zone);
    match outcomes.into_iter().next() {
        Some(Outcome::Refused { refusal }) => Err(Problem::from(refusal)),
        Some(outcome) => Ok(json(StatusCode::OK, &ChangeReply::new(zone.to_string(), key, &outcome, is_unanswered))),
        None => Err(Problem::from(StoreError::Ending)),
    }
}

async fn read(
    State(desk): State<Desk>,
    InZone { zone, .. }: InZone,
    Path((_, key)): Path<(String, String)>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Response, Problem> {
    let key = parse_key(&key)?;
    let missing = format!("nothing is said of {key} in zone {zone}");
    let found = desk.look(move |listings| listings.get(&zone, &key)).await?;
    Ok(match found {
        Some(record) => json(StatusCode::OK, &ListingBody::from(&record)),
        None => marked(Problem::new(StatusCode::NOT_FOUND, missing).into_response(), Upshot::Answered),
    })
}

/// Where a page begins, and how long it may be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageQuery {
    after: Option<String>,
    limit: Option<NonZeroUsize>,
}

/// How long a history may be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    limit: Option<NonZeroUsize>,
}

fn at_most(limit: Option<NonZeroUsize>) -> usize {
    limit.map_or(PAGE_MAX, |limit| limit.get().min(PAGE_MAX))
}

async fn page(
    State(desk): State<Desk>,
    InZone { zone, .. }: InZone,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    let limit = at_most(query.limit);
    let after = query.after.as_deref().map(parse_key).transpose()?;
    let records = desk.look(move |listings| listings.of_zone(&zone, after.as_ref(), limit)).await?;
    let next = (records.len() == limit).then(|| records.last().map(|record| record.key.clone())).flatten();
    let listings = records.iter().map(ListingBody::from).collect();
    Ok(json(StatusCode::OK, &PageReply { listings, next }))
}

async fn history(
    State(desk): State<Desk>,
    InZone { zone, .. }: InZone,
    Path((_, key)): Path<(String, String)>,
    Query(HistoryQuery { limit }): Query<HistoryQuery>,
) -> Result<Response, Problem> {
    let key = parse_key(&key)?;
    let limit = at_most(limit);
    let events = desk.look(move |listings| listings.history(&zone, &key, limit)).await?;
    Ok(json(StatusCode::OK, &HistoryReply { events: events.iter().map(EventBody::from).collect() }))
}

/// The changes that the body of a bulk request asks for: an array, or a change on each line. `None`: it is neither.
pub fn read_changes(zone: &Name, body: &[u8], is_lines: bool) -> Option<Vec<Result<Change, String>>> {
    bulk::read_all(zone, body, is_lines).ok().map(Iterator::collect)
}
