//! How listings and events stand in the store.
//!
//! ```text
//! key of a listing    zone in wire format · 4 or 6 · prefix length · first address
//!                     zone in wire format · n or w (all names below) · labels from right to left · 0
//! value               1 (the format) · the fields (postcard)
//! event               2 (the format) · the fields · where the count goes on; 1 is the same without that
//! ```
//!
//! So the listings of a zone stand together, and those of a prefix length in the order of their addresses. An event stands
//! under its number and names the one before it of the same key; a listing names the last. A scanner that repeats itself leaves
//! thousands of events between two that count as a time, so each event also names the next one back that may count.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use super::{Door, Event, Key, Origin, Record, Verdict, What};
use crate::{
    wire::name::Name,
    zone::live::{OwnValue, Place},
};

const FORMAT: u8 = 1;
/// Of events that say where the count goes on.
const COUNTED_FORMAT: u8 = 2;

const V4: u8 = 4;
const V6: u8 = 6;
const NAME: u8 = b'n';
const WILDCARD: u8 = b'w';

/// What is wrong with a store's contents.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("an entry is damaged, or from a newer version of dnsbld")]
pub(super) struct Undecodable;

/// The key of a listing.
pub(super) fn encode_key(zone: &Name, place: &Place) -> Vec<u8> {
    let mut key = zone.as_wire().to_vec();
    match place {
        Place::V4(first, length) => {
            key.extend_from_slice(&[V4, *length]);
            key.extend_from_slice(&first.to_be_bytes());
        }
        Place::V6(first, length) => {
            key.extend_from_slice(&[V6, *length]);
            key.extend_from_slice(&first.to_be_bytes());
        }
        Place::Name { reversed, is_wildcard } => {
            key.push(if *is_wildcard { WILDCARD } else { NAME });
            key.extend_from_slice(reversed);
            key.push(0);
        }
    }
    key
}

/// The zone and the place of a key.
pub(super) fn decode_key(key: &[u8]) -> Result<(Name, Place), Undecodable> {
    let zone_len = zone_len(key).ok_or(Undecodable)?;
    let (zone, rest) = key.split_at(zone_len);
    let place = match rest {
        [V4, length, first @ ..] if *length <= 32 => {
            Place::V4(u32::from_be_bytes(first.try_into().map_err(|_| Undecodable)?), *length)
        }
        [V6, length, first @ ..] if *length <= 128 => {
            Place::V6(u128::from_be_bytes(first.try_into().map_err(|_| Undecodable)?), *length)
        }
        [tag @ (NAME | WILDCARD), reversed @ .., 0] => {
            Place::Name { reversed: reversed.into(), is_wildcard: *tag == WILDCARD }
        }
        _ => return Err(Undecodable),
    };
    Ok((Name::from_wire(zone), place))
}

/// Octets of the zone at the start of a key.
fn zone_len(key: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let length = usize::from(*key.get(at)?);
        at += 1 + length;
        if length == 0 {
            return Some(at);
        }
    }
}

/// The fields of a listing that are not its key, up to its end.
#[derive(Serialize, Deserialize)]
struct StoredStart<'a> {
    last_event: Option<u64>,
    is_listed: bool,
    address: Option<u32>,
    text: Option<&'a str>,
    since_s: u64,
    changed_s: u64,
    until_s: Option<u64>,
}

/// All of them: postcard writes what is nested as if it were not.
#[derive(Serialize, Deserialize)]
struct StoredRecord<'a> {
    #[serde(borrow)]
    start: StoredStart<'a>,
    times: u32,
    counted_s: u64,
    reason: Option<&'a str>,
    door: u8,
    who: &'a str,
    from: Option<IpAddr>,
}

/// The fields of an event.
#[derive(Serialize, Deserialize)]
struct StoredEvent<'a> {
    /// The one before it of the same key.
    before: Option<u64>,
    /// As it stands before a listing.
    key: &'a [u8],
    at_s: u64,
    what: u8,
    until_s: Option<u64>,
    times: u32,
    /// It counts as one of the times that its key was listed.
    counts: bool,
    reason: Option<&'a str>,
    door: u8,
    who: &'a str,
    from: Option<IpAddr>,
}

fn encode(format: u8, fields: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(fields, vec![format]).expect("only types that cannot tell their length fail, and none is here")
}

fn fields<'a, T: Deserialize<'a>>(octets: &'a [u8]) -> Result<T, Undecodable> {
    let octets = octets.strip_prefix(&[FORMAT]).ok_or(Undecodable)?;
    postcard::from_bytes(octets).map_err(|_| Undecodable)
}

/// The fields of an event, and where the count goes on: with the event before it if it does not say.
fn event_fields(octets: &[u8]) -> Result<(StoredEvent<'_>, Option<u64>), Undecodable> {
    if let Some(octets) = octets.strip_prefix(&[COUNTED_FORMAT]) {
        return postcard::from_bytes(octets).map_err(|_| Undecodable);
    }
    let stored: StoredEvent<'_> = fields(octets)?;
    let before = stored.before;
    Ok((stored, before))
}

/// A listing, and the number of the last event of its key.
pub(super) fn encode_record(record: &Record, last_event: Option<u64>) -> Vec<u8> {
    let (address, text) = match &record.verdict {
        Verdict::Listed { address, text } => (address.map(u32::from), text.as_deref()),
        Verdict::Excluded => (None, None),
    };
    let start = StoredStart {
        last_event,
        is_listed: record.verdict != Verdict::Excluded,
        address,
        text,
        since_s: record.since_s,
        changed_s: record.changed_s,
        until_s: record.until_s,
    };
    let stored = StoredRecord {
        start,
        times: record.times,
        counted_s: record.counted_s,
        reason: record.reason.as_deref(),
        door: record.origin.door as u8,
        who: &record.origin.who,
        from: record.origin.from,
    };
    encode(FORMAT, &stored)
}

pub(super) fn decode_record(zone: &Name, key: &Key, octets: &[u8]) -> Result<(Record, Option<u64>), Undecodable> {
    let stored: StoredRecord<'_> = fields(octets)?;
    let start = &stored.start;
    let listed = || Verdict::Listed { address: start.address.map(Ipv4Addr::from), text: start.text.map(str::to_owned) };
    let record = Record {
        zone: zone.clone(),
        key: key.clone(),
        verdict: if start.is_listed { listed() } else { Verdict::Excluded },
        since_s: start.since_s,
        changed_s: start.changed_s,
        until_s: start.until_s,
        times: stored.times,
        counted_s: stored.counted_s,
        reason: stored.reason.map(str::to_owned),
        origin: origin(stored.door, stored.who, stored.from)?,
    };
    Ok((record, start.last_event))
}

/// Only what is served of a listing: its value, or that it is excluded, and its end.
pub(super) fn decode_served(octets: &[u8]) -> Result<(Option<OwnValue>, Option<u64>), Undecodable> {
    let StoredRecord { start, .. } = fields(octets)?;
    let own = OwnValue { address: start.address.map(Ipv4Addr::from), text: start.text.map(Into::into) };
    Ok((start.is_listed.then_some(own), start.until_s))
}

/// Only the end of a listing. Millions may be counted by it, so that what stands behind is not looked at.
pub(super) fn decode_end(octets: &[u8]) -> Result<Option<u64>, Undecodable> {
    let octets = octets.strip_prefix(&[FORMAT]).ok_or(Undecodable)?;
    let (start, _) = postcard::take_from_bytes::<StoredStart<'_>>(octets).map_err(|_| Undecodable)?;
    Ok(start.until_s)
}

fn origin(door: u8, who: &str, from: Option<IpAddr>) -> Result<Origin, Undecodable> {
    let door = *Door::ALL.get(usize::from(door)).ok_or(Undecodable)?;
    Ok(Origin { door, who: who.to_owned(), from })
}

/// An event, whether it counts as one of the times that its key was listed, which event was before it, and which one is the next
/// back that may count.
pub(super) fn encode_event(event: &Event, counts: bool, before: Option<u64>, before_counts: Option<u64>) -> Vec<u8> {
    let stored = StoredEvent {
        before,
        key: &encode_key(&event.zone, &event.key.place()),
        at_s: event.at_s,
        what: event.what as u8,
        until_s: event.until_s,
        times: event.times,
        counts,
        reason: event.reason.as_deref(),
        door: event.origin.door as u8,
        who: &event.origin.who,
        from: event.origin.from,
    };
    encode(COUNTED_FORMAT, &(stored, before_counts))
}

/// An event of a key, and the number of the one before it.
pub(super) fn decode_event(zone: &Name, key: &Key, octets: &[u8]) -> Result<(Event, Option<u64>), Undecodable> {
    let (stored, _) = event_fields(octets)?;
    let event = Event {
        at_s: stored.at_s,
        zone: zone.clone(),
        key: key.clone(),
        what: *What::ALL.get(usize::from(stored.what)).ok_or(Undecodable)?,
        until_s: stored.until_s,
        times: stored.times,
        reason: stored.reason.map(str::to_owned),
        origin: origin(stored.door, stored.who, stored.from)?,
    };
    Ok((event, stored.before))
}

/// What the store itself wants to know of an event.
pub(super) struct Link<'a> {
    /// The one before it of its key.
    pub(super) before: Option<u64>,
    /// The next one back of its key that may count: none between them does.
    pub(super) before_counts: Option<u64>,
    pub(super) key: &'a [u8],
    pub(super) at_s: u64,
    /// Its key was listed by it, or was listed already.
    pub(super) is_report: bool,
    /// It counts as one of the times that its key was listed.
    pub(super) counts: bool,
}

pub(super) fn decode_link(octets: &[u8]) -> Result<Link<'_>, Undecodable> {
    let (StoredEvent { before, key, at_s, what, counts, .. }, before_counts) = event_fields(octets)?;
    let is_report = matches!(What::ALL.get(usize::from(what)), Some(What::Listed | What::Extended));
    Ok(Link { before, before_counts, key, at_s, is_report, counts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_in_order() {
        let zone = Name::parse(b"virbl.tee.gr").expect("a name");
        let keys = [
            "192.0.2.0/24",
            "192.0.2.55",
            "192.0.2.56",
            "2001:db8::/32",
            "2001:db8::1",
            "a.example",
            "b.a.example",
            "*.example",
        ];
        let mut encoded = Vec::new();
        for text in keys {
            let key: Key = text.parse().expect(text);
            let octets = encode_key(&zone, &key.place());
            let (back, place) = decode_key(&octets).expect("decodable");
            assert_eq!((back, Key::of(&place)), (zone.clone(), key));
            encoded.push(octets);
        }
        assert!(encoded.is_sorted());
        for broken in [&[][..], b"\x02ab", b"\x00", b"\x00\x04\x21\x00\x00\x00\x00", b"\x00n\x01a", b"\x00\x04\x20\x00"]
        {
            assert!(decode_key(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn records_and_events_come_back() {
        let zone = Name::parse(b"virbl.tee.gr").expect("a name");
        let key: Key = "192.0.2.55".parse().expect("a key");
        let origin = Origin { door: Door::DnsUpdate, who: "fail2ban".into(), from: Some(Ipv4Addr::LOCALHOST.into()) };
        for verdict in [
            Verdict::LISTED,
            Verdict::Excluded,
            Verdict::Listed { address: Some(Ipv4Addr::new(127, 0, 0, 4)), text: Some("virus: $".into()) },
        ] {
            let record = Record {
                zone: zone.clone(),
                key: key.clone(),
                verdict,
                since_s: 1,
                changed_s: 2,
                until_s: Some(u64::from(u32::MAX) + 5),
                times: 3,
                counted_s: 4,
                reason: Some("Eicar".into()),
                origin: origin.clone(),
            };
            let octets = encode_record(&record, Some(300));
            assert_eq!(decode_record(&zone, &key, &octets).expect("decodable"), (record.clone(), Some(300)));
            assert_eq!(decode_served(&octets).expect("decodable").1, record.until_s);
            assert_eq!(decode_end(&octets).expect("decodable"), record.until_s);
            let line = serde_json::to_string(&record).expect("JSON");
            assert_eq!(serde_json::from_str::<Record>(&line).expect("JSON"), record, "{line}");
            assert!(decode_record(&zone, &key, &octets[..octets.len() - 1]).is_err());
            assert!(decode_record(&zone, &key, &[2, 0, 0]).is_err(), "a format to come");
            assert!(decode_end(&[2, 0, 0]).is_err() && decode_end(&[FORMAT, 0, 0]).is_err());
        }
        let event = Event {
            at_s: 1,
            zone: zone.clone(),
            key: key.clone(),
            what: What::Expired,
            until_s: None,
            times: 2,
            reason: None,
            origin,
        };
        let octets = encode_event(&event, true, Some(299), Some(7));
        assert_eq!(decode_event(&zone, &key, &octets).expect("decodable"), (event.clone(), Some(299)));
        let link = decode_link(&octets).expect("decodable");
        assert_eq!((link.before_counts, link.at_s, link.counts), (Some(7), 1, true));
        assert_eq!(link.key, encode_key(&zone, &key.place()));
        // The format before: the same without what comes last.
        let older = [&[FORMAT], &octets[1..octets.len() - 2]].concat();
        assert_eq!(decode_event(&zone, &key, &older).expect("decodable"), (event, Some(299)));
        assert_eq!(decode_link(&older).expect("decodable").before_counts, Some(299), "one by one");
    }
}
