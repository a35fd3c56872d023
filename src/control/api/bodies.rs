//! The bodies of requests and replies; `openapi.json` describes the same, and a test holds both together.

use std::{fmt, net::Ipv4Addr, time::Duration};

use axum::http::StatusCode;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Visitor},
};

use super::problem::{Problem, plain};
use crate::live::{
    clock,
    listings::{Door, Event, Key, Lifetime, Op, Outcome, Record, Refusal, Verdict, What},
};

/// How to list or exclude; everything may be left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct PutBody {
    /// The return code.
    address: Option<Ipv4Addr>,
    /// The TXT template.
    text: Option<String>,
    /// Exclude instead of listing.
    #[serde(default)]
    excluded: bool,
    /// So long: seconds, as a number or a text, or a text as `1h 30m`.
    r#for: Option<Span>,
    /// Until then: seconds since 1970, or RFC 3339.
    until: Option<Moment>,
    /// Without an end.
    #[serde(default)]
    forever: bool,
    /// Why.
    pub(super) reason: Option<String>,
}

/// Seconds or a text; `SINCE` if it is a moment.
#[derive(Clone, Debug)]
enum Time<const SINCE: bool> {
    Seconds(u64),
    Text(String),
}

type Span = Time<false>;
type Moment = Time<true>;

impl<'de, const SINCE: bool> Deserialize<'de> for Time<SINCE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimeVisitor::<SINCE>)
    }
}

struct TimeVisitor<const SINCE: bool>;

impl<const SINCE: bool> Visitor<'_> for TimeVisitor<SINCE> {
    type Value = Time<SINCE>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if SINCE {
            "seconds since 1970 or a text as 2026-12-24T18:00:00Z (until)"
        } else {
            "seconds or a text as 90s, 35m or 1h (for)"
        })
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Self::Value, E> {
        Ok(Time::Seconds(seconds))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Time::Text(text.to_owned()))
    }
}

impl Span {
    fn read(self) -> Result<Duration, Problem> {
        let span = match self {
            Self::Seconds(seconds) => Duration::from_secs(seconds),
            Self::Text(text) => clock::parse_span(&text).ok_or_else(|| {
                let detail = format!("for {text:?} is not a time as 90s, 35m or 1h");
                Problem::new(StatusCode::BAD_REQUEST, detail)
            })?,
        };
        let is_any = span.as_secs() > 0;
        is_any.then_some(span).ok_or_else(|| Refusal::Time { fault: "less than a second (for)".to_owned() }.into())
    }
}

impl PutBody {
    /// Reads the fields of an object; an array of values would do as well where it is read at once.
    pub(super) fn read(fields: serde_json::Map<String, serde_json::Value>) -> Result<Self, String> {
        serde_json::from_value(fields.into()).map_err(|error| plain(&error))
    }

    /// What is asked for.
    pub(super) fn op(self) -> Result<Op, Problem> {
        let wrong = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, detail);
        let lifetime = match (self.r#for, self.until, self.forever) {
            (None, None, false) => Lifetime::Default,
            (Some(span), None, false) => Lifetime::For(span.read()?),
            (None, Some(Moment::Seconds(seconds)), false) => Lifetime::Until(seconds),
            (None, Some(Moment::Text(text)), false) => {
                let until_s = clock::parse_date(&text);
                let why = || wrong(&format!("until {text:?} is not a moment as 2026-12-24T18:00:00Z (RFC 3339)"));
                Lifetime::Until(until_s.ok_or_else(why)?)
            }
            (None, None, true) => Lifetime::Endless,
            _ => return Err(wrong("only one of for, until and forever can be")),
        };
        let verdict = match (self.excluded, self.address, self.text) {
            (false, address, text) => Verdict::Listed { address, text },
            (true, None, None) => Verdict::Excluded,
            (true, ..) => return Err(wrong("an exclusion has no address and no text")),
        };
        Ok(Op::Put { verdict, lifetime })
    }
}

/// What became of a change.
#[derive(Debug, Serialize)]
pub(super) struct ChangeReply {
    zone: String,
    key: Key,
    outcome: &'static str,
    until: Option<String>,
    times: Option<u32>,
    /// Of an exclusion, how many listings within it stay listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    still_listed: Option<usize>,
    /// See [`not_served`].
    #[serde(skip_serializing_if = "Option::is_none")]
    served: Option<bool>,
}

/// What is said of something that is done in a zone that answers SERVFAIL: that it is not served. It is kept, and will be. Nothing
/// is said of what is served.
pub(super) fn not_served(is_done: bool, is_unanswered: bool) -> Option<bool> {
    (is_done && is_unanswered).then_some(false)
}

impl ChangeReply {
    pub(super) fn new(zone: String, key: Key, outcome: &Outcome, is_unanswered: bool) -> Self {
        let (until_s, times) = match outcome {
            Outcome::Listed { until_s, times } | Outcome::Extended { until_s, times } => (*until_s, Some(*times)),
            Outcome::Excluded { until_s, .. } => (*until_s, None),
            Outcome::Delisted | Outcome::Unchanged | Outcome::Newer | Outcome::Refused { .. } => (None, None),
        };
        let still_listed = match outcome {
            Outcome::Excluded { still_listed, .. } => Some(*still_listed),
            _ => None,
        };
        let served = not_served(outcome.is_done(), is_unanswered);
        Self { zone, key, outcome: outcome.word(), until: until_s.map(clock::date), times, still_listed, served }
    }
}

/// Who did something.
#[derive(Debug, Serialize)]
pub(super) struct By {
    door: Door,
    who: String,
    from: Option<String>,
}

impl From<&crate::live::listings::Origin> for By {
    fn from(origin: &crate::live::listings::Origin) -> Self {
        Self { door: origin.door, who: origin.who.clone(), from: origin.from.map(|address| address.to_string()) }
    }
}

/// A listing.
#[derive(Debug, Serialize)]
pub(super) struct ListingBody {
    zone: String,
    key: Key,
    excluded: bool,
    address: Option<Ipv4Addr>,
    text: Option<String>,
    since: String,
    changed: String,
    until: Option<String>,
    times: u32,
    reason: Option<String>,
    by: By,
}

impl From<&Record> for ListingBody {
    fn from(record: &Record) -> Self {
        let (excluded, address, text) = match &record.verdict {
            Verdict::Listed { address, text } => (false, *address, text.clone()),
            Verdict::Excluded => (true, None, None),
        };
        Self {
            zone: record.zone.to_string(),
            key: record.key.clone(),
            excluded,
            address,
            text,
            since: clock::date(record.since_s),
            changed: clock::date(record.changed_s),
            until: record.until_s.map(clock::date),
            times: record.times,
            reason: record.reason.clone(),
            by: By::from(&record.origin),
        }
    }
}

/// Some listings of a zone.
#[derive(Debug, Serialize)]
pub(super) struct PageReply {
    pub(super) listings: Vec<ListingBody>,
    /// What to ask after for the next page; none if this was the last.
    pub(super) next: Option<Key>,
}

/// What happened to a key.
#[derive(Debug, Serialize)]
pub(super) struct HistoryReply {
    pub(super) events: Vec<EventBody>,
}

/// One thing that happened.
#[derive(Debug, Serialize)]
pub(super) struct EventBody {
    at: String,
    what: What,
    until: Option<String>,
    times: u32,
    reason: Option<String>,
    by: By,
}

impl From<&Event> for EventBody {
    fn from(event: &Event) -> Self {
        Self {
            at: clock::date(event.at_s),
            what: event.what,
            until: event.until_s.map(clock::date),
            times: event.times,
            reason: event.reason.clone(),
            by: By::from(&event.origin),
        }
    }
}
