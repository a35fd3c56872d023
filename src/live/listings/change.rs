//! What doors ask of the listings, and what they are told: changes, who asks, and what became of each.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::key::Key;
use crate::wire::name::Name;

/// What a live listing says of its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// It is listed, whatever the files say.
    Listed {
        /// The return code; `None` is the zone's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<Ipv4Addr>,
        /// The TXT template, in which `$` stands for the key (`$$` for a dollar); empty for no TXT record, `None` is the
        /// zone's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// It is not listed, whatever the files say.
    Excluded,
}

impl Verdict {
    /// Listed with the zone's own value.
    pub const LISTED: Self = Self::Listed { address: None, text: None };
}

/// How long a listing is to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifetime {
    /// As long as the zone's rule says.
    #[default]
    Default,
    /// So long from now on; an unfinished listing is never shortened by it.
    For(Duration),
    /// Until this second since the epoch, be that sooner or later than before.
    Until(u64),
    /// Until this second, unless it holds for longer already, or is to for the times that it was listed.
    AtLeastUntil(u64),
    /// For ever, or as long as the zone's rule allows.
    Endless,
}

/// What is to become of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// It is listed or excluded. Of the same key the newest replaces, but no listing an exclusion, nor comes one within it.
    Put {
        /// Which of the two, and with which value.
        verdict: Verdict,
        /// For how long.
        lifetime: Lifetime,
    },
    /// Nothing is said of it any more, neither that it is listed nor that it is excluded.
    Delist,
}

/// One thing to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// In which zone.
    pub zone: Name,
    /// Of what.
    pub key: Key,
    /// What.
    pub op: Op,
    /// Why, for the history; refused beyond [`REASON_MAX_LEN`] octets.
    pub reason: Option<String>,
}

/// Of what stays listed within an exclusion so much is counted.
pub const STILL_LISTED_MAX: usize = 1_000;

/// Longest reason and TXT template that are taken, in octets.
pub const REASON_MAX_LEN: usize = 1_000;

/// By which way a change came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Door {
    /// The control socket.
    Command,
    /// HTTP.
    Http,
    /// DNS UPDATE (RFC 2136).
    DnsUpdate,
    /// rspamd's datagrams.
    Rspamd,
    /// The server itself: what is over.
    Server,
}

impl Door {
    /// All of them, each at its number, which is on the disk: one that is added comes last.
    pub const ALL: [Self; 5] = [Self::Command, Self::Http, Self::DnsUpdate, Self::Rspamd, Self::Server];

    /// Its word in metrics, as in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Http => "http",
            Self::DnsUpdate => "dns-update",
            Self::Rspamd => "rspamd",
            Self::Server => "server",
        }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Http => "HTTP",
            Self::DnsUpdate => "DNS UPDATE",
            other => other.word(),
        })
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// By which way.
    pub door: Door,
    /// The name of a user, token or key.
    pub who: String,
    /// From where, if over a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    /// It is listed, and was not before.
    Listed {
        /// When it is over, in seconds since the epoch; none means not by itself.
        until_s: Option<u64>,
        /// How many times this was listed, now included, within the zone's window.
        times: u32,
    },
    /// It was listed already, and is so until then.
    Extended {
        /// When it is over.
        until_s: Option<u64>,
        /// How many times this was listed, within the zone's window.
        times: u32,
    },
    /// It is excluded until then.
    Excluded {
        /// When that is over.
        until_s: Option<u64>,
        /// It was listed by command: that is over, and does not come back by itself.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        was_listed: bool,
        /// So many listings within it, narrower than itself, stay listed; [`STILL_LISTED_MAX`] are that many at least.
        #[serde(default, skip_serializing_if = "none")]
        still_listed: usize,
    },
    /// Nothing is said of it any more.
    Delisted,
    /// Nothing was said of it: there is nothing to delist.
    Unchanged,
    /// It was exported before that was said which holds here, and which stays.
    Newer,
    /// It is not done.
    Refused {
        /// Why.
        refusal: Refusal,
    },
}

impl Outcome {
    /// Its word in metrics and replies.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Listed { .. } => "listed",
            Self::Extended { .. } => "extended",
            Self::Excluded { .. } => "excluded",
            Self::Delisted => "delisted",
            Self::Unchanged => "unchanged",
            Self::Newer => "newer",
            Self::Refused { .. } => "refused",
        }
    }

    /// Why it is refused, if that is not for another change of its batch.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal } => Some(refusal).filter(|refusal| **refusal != Refusal::NotAlone),
            _ => None,
        }
    }

    /// Whether something was changed.
    pub const fn is_done(&self) -> bool {
        !matches!(self, Self::Unchanged | Self::Newer | Self::Refused { .. })
    }

    /// Whether it is an exclusion within which something stays listed.
    pub const fn leaves_listed(&self) -> bool {
        matches!(self, Self::Excluded { still_listed: 1.., .. })
    }
}

/// Why a change is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "refused")]
pub enum Refusal {
    /// No such zone.
    #[error("no zone {zone} is served here")]
    NoZone {
        /// The zone.
        zone: String,
    },
    /// The zone holds no keys of this shape.
    #[error("zone {zone} holds {holds}")]
    Shape {
        /// The zone.
        zone: String,
        /// What it holds.
        holds: String,
    },
    /// The name is in a zone of its own, so nobody would ask this one.
    #[error(
        "this name is in zone {other}, which is served here too, and nobody asks zone {zone} for it: list it there"
    )]
    OtherZone {
        /// The zone.
        zone: String,
        /// The zone that is asked.
        other: String,
    },
    /// The list has ended.
    #[error("zone {zone} is retired and lists nothing ({by}): nothing can be listed there")]
    Retired {
        /// The zone.
        zone: String,
        /// The dataset that says so.
        by: String,
    },
    /// It is in a subzone of a combined dataset, or is one.
    #[error(
        "{subzone} is a subzone of zone {zone}, and what it lists comes from files; what is excluded in {zone} is excluded there, too"
    )]
    Subzone {
        /// The zone.
        zone: String,
        /// The subzone, in full.
        subzone: String,
    },
    /// The rule says that this is never listed.
    #[error("{never} is never listed in zone {zone} (never-list)")]
    NeverListed {
        /// The zone.
        zone: String,
        /// The entry of the rule.
        never: String,
    },
    /// It is more than is listed at once.
    #[error("{prefix} is wider than the widest prefix that zone {zone} takes, /{widest} ({setting})")]
    TooWide {
        /// The zone.
        zone: String,
        /// The prefix.
        prefix: String,
        /// The length of the widest.
        widest: u8,
        /// The setting that says so.
        setting: String,
    },
    /// It is more names than are listed at once.
    #[error(
        "{key} is wider than the widest that zone {zone} takes, all names below one of {widest} labels (widest-name)"
    )]
    TooManyNames {
        /// The zone.
        zone: String,
        /// What was to be listed.
        key: String,
        /// Labels of the widest name below which all is listed.
        widest: u8,
    },
    /// It is excluded by command, or a part of what is, which no listing undoes.
    #[error(
        "{key} is excluded in zone {zone} by command ({by}): who means to list it, or a part of it, delists {key} first"
    )]
    Excluded {
        /// The zone.
        zone: String,
        /// What is excluded: the key itself, or a wider one.
        key: String,
        /// By whom, and why.
        by: String,
    },
    /// It is listed in a zone that wins.
    #[error("zone {winner} lists it, and wins over zone {zone} (yields-to)")]
    Yields {
        /// The zone.
        zone: String,
        /// The zone that wins.
        winner: String,
    },
    /// The time is over already, or beyond what can be kept.
    #[error("the time is {fault}")]
    Time {
        /// What it is.
        fault: String,
    },
    /// No list answers so: rbldnsd takes it for none (as files do).
    #[error("{address} is no value of a listing: 127.0.0.2 is the usual one")]
    Value {
        /// The value.
        address: Ipv4Addr,
    },
    /// The reason or text is too long.
    #[error("the {what} is longer than {max_len} octets")]
    TooLong {
        /// Which.
        what: String,
        /// What is allowed.
        max_len: usize,
    },
    /// The zone has as many live listings as it may have.
    #[error("zone {zone} has {max} live listings, exclusions counted, as many as it may (max-listings)")]
    Full {
        /// The zone.
        zone: String,
        /// The limit.
        max: usize,
    },
    /// The zone has so many exclusions as well, beyond that limit.
    #[error(
        "zone {zone} has {max} live listings and exclusions, {beyond} more than max-listings, and takes no more exclusions but \
         0.0.0.0/0 and ::/0: delist some, or exclude a wider prefix or *.name in their place"
    )]
    FullOfExclusions {
        /// The zone.
        zone: String,
        /// The limit.
        max: usize,
        /// By so much it is more than that of listings.
        beyond: usize,
    },
    /// Another change of the batch was refused, and all were to be done or none.
    #[error("another change was refused, and all were to be done or none")]
    NotAlone,
}

impl Refusal {
    /// That of a listing by an exclusion: whose that is, and why it is.
    pub(super) fn excluded(zone: &Name, key: &Key, origin: &Origin, reason: Option<&String>) -> Self {
        let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        Self::Excluded { zone: zone.to_string(), key: key.to_string(), by: format!("{}{why}", origin.who) }
    }
}

/// Why nothing was done at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be written. What is served is served on.
    #[error("the store of live listings cannot be written: {0}; nothing was changed, what is listed stays listed")]
    Unwritable(String),
    /// The store failed in the middle of a commit, which may count all the same.
    #[error(
        "the store of live listings cannot be written: {0}; once it can, `dnsbld history` tells whether this was done"
    )]
    Unsure(String),
    /// A copy cannot be written.
    #[error("the copy cannot be written: {0}; the store itself is well")]
    NotCopied(String),
    /// The store cannot be opened or read.
    #[error("the store of live listings cannot be read: {0}")]
    Unreadable(String),
    /// More changes wait than are taken.
    #[error("too many changes are waiting to be written: try again in a moment")]
    Busy,
    /// A second server uses it.
    #[error("another server uses the store of live listings at {0}")]
    InUse(String),
    /// The system does not let it be opened, or there is no place for it. What it holds is not served.
    #[error("the store of live listings cannot be opened: {0}")]
    Closed(String),
    /// The batch's condition did not hold.
    #[error("the condition does not hold")]
    ConditionFailed,
    /// The server is ending.
    #[error("the server is ending")]
    Ending,
}

/// A live listing as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// In which zone.
    #[serde(with = "name_text")]
    pub zone: Name,
    /// Of what.
    pub key: Key,
    /// What is said.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Since when, in seconds since the epoch.
    pub since_s: u64,
    /// When it was last put.
    pub changed_s: u64,
    /// When it is over; none means not by itself.
    pub until_s: Option<u64>,
    /// How many times it was listed within the zone's window.
    pub times: u32,
    /// When the last of these times was.
    pub counted_s: u64,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// By whom last.
    #[serde(flatten)]
    pub origin: Origin,
}

impl Record {
    /// Whether it counts at this second.
    pub fn in_force(&self, now_s: u64) -> bool {
        self.until_s.is_none_or(|until_s| now_s < until_s)
    }
}

/// A live listing as it is exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// What is kept of it.
    #[serde(flatten)]
    pub record: Record,
    /// The exclusions that it stood within, as it was listed before they came; it may stand within the same ones again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<Around>,
}

/// An exclusion that something is listed within.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Around {
    /// Of what.
    pub key: Key,
    /// Since when. Another one of the same key is of another second.
    pub since_s: u64,
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It was listed.
    Listed,
    /// It was listed again while it was listed.
    Extended,
    /// It was excluded.
    Excluded,
    /// Somebody said that nothing is said of it any more.
    Delisted,
    /// Its time was over.
    Expired,
}

impl What {
    /// All of them, each at its number, which is on the disk: one that is added comes last.
    pub const ALL: [Self; 5] = [Self::Listed, Self::Extended, Self::Excluded, Self::Delisted, Self::Expired];
}

impl fmt::Display for What {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Listed => "listed",
            // Its end may have come nearer. Programs read `extended`, in JSON and metrics.
            Self::Extended => "listed again",
            Self::Excluded => "excluded",
            Self::Delisted => "delisted",
            Self::Expired => "expired",
        })
    }
}

/// An event of a key's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in seconds since the epoch.
    pub at_s: u64,
    /// In which zone.
    #[serde(with = "name_text")]
    pub zone: Name,
    /// Of what.
    pub key: Key,
    /// What.
    pub what: What,
    /// Until when it was to hold; none means not by itself.
    pub until_s: Option<u64>,
    /// How many times it was listed by then, within the zone's window.
    pub times: u32,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// By whom.
    #[serde(flatten)]
    pub origin: Origin,
}

/// Whether there are none of what is counted, which is not told then.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(crate) fn none(count: &usize) -> bool {
    *count == 0
}

/// Names in JSON, as they are written.
mod name_text {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::wire::name::Name;

    pub(super) fn serialize<S: Serializer>(name: &Name, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(name)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        let text = String::deserialize(deserializer)?;
        Name::parse(text.as_bytes()).map_err(serde::de::Error::custom)
    }
}
