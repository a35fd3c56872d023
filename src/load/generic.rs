//! Lines of plain records: `name [ttl] [IN] type data`.
//!
//! A, TXT and MX are read as rbldnsd reads them; what other types look like is known to hickory-proto.

mod service;

use std::{collections::HashSet, str::FromStr};

use hickory_proto::{
    rr::{RData, RecordType, rdata::HTTPS},
    serialize::binary::{BinEncodable, BinEncoder, NameEncoding},
};

use super::{
    crowd::too_many,
    cursor::{Cursor, Wrong},
    dataset::Reading,
    name::{NameBuffer, unasked},
    report::{Fault, Report},
    special::{InForce, ttl_s},
    value,
};
use crate::{
    wire::{name::Name, rr},
    zone::{
        dataset::Kind,
        records::{RECORDS_MAX, Record, Records},
        values::{STRING_MAX, TEMPLATE_MAX},
    },
};

/// Types that a list cannot serve, and why.
const REFUSED: &[(&[&str], &str)] = &[
    (&["NS"], "another type: name servers of the zone come from $NS, and delegations are not served"),
    (&["SOA"], "another type: the zone has one SOA, from $SOA"),
    (&["CNAME", "DNAME"], "another type: a list answers itself and follows no aliases"),
    (
        &["DS", "DNSKEY", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "CDS", "CDNSKEY", "KEY", "SIG"],
        "another type: the zone is not signed here",
    ),
    (&["OPT", "TSIG", "TKEY", "ANY", "AXFR", "IXFR", "NULL"], "another type: this one is never stored in a zone"),
];

const TYPE_EXPECTED: &str = "a type of record as A, AAAA, TXT, MX, SRV, CAA or PTR";

const ASTERISK_EXPECTED: &str =
    "a name without: records have no wildcards, and only an asterisk finds this one (`\\042` if that is meant)";

/// What a list that has ended must not say: clients that find 127.0.0.2 listed take it for one that works (RFC 6471 section 3.3).
const RETIRED_EXPECTED: &str = "no address of 127.0.0.0/8, since a list that is retired lists nothing";

/// The same of who finds any address at all.
const RETIRED_OWNER_EXPECTED: &str =
    "@ or one label, as www: a list that is retired lists nothing, and has addresses of its own hosts only";

/// Octets of a reply by TCP that are there for records whatever is asked, beside header, question, OPT record and cookie.
const REPLY_ROOM: usize = 65_200;

const TOO_LARGE: &str = "at most 65200 octets of one name and type, 12 for each record and its data: more fit into no reply, and whoever asks gets a part";

/// Records of a dataset while its files are read.
#[derive(Default)]
pub(super) struct RecordLines {
    /// They are all that their zone has.
    is_retired: bool,
    records: Records,
    /// Names that have more than count, in wire format.
    crowded: HashSet<Box<[u8]>>,
}

impl RecordLines {
    /// Of a kind that holds records.
    pub(super) fn new(kind: Kind) -> Self {
        Self { is_retired: kind == Kind::Retired, ..Self::default() }
    }

    /// For records that follow, with nothing in it yet.
    pub(super) fn fork(&self) -> Self {
        Self { is_retired: self.is_retired, ..Self::default() }
    }

    pub(super) fn line(
        &mut self,
        mut cursor: Cursor<'_>,
        settings: &InForce,
        reading: &mut Reading<'_>,
    ) -> Result<(), Wrong> {
        let owner_start = cursor;
        let name = owner(&mut cursor)?;
        let is_apex = name.is_root();
        // Owners of classless delegation have a slash (RFC 2317 section 4), and what has a type and data behind it is a record.
        let is_told = |wrong: &Wrong| !is_apex && owner_start.line()[wrong.at] != b'/';
        let unasked = unasked(owner_start, cursor, ASTERISK_EXPECTED).filter(is_told);
        cursor.skip_blanks();
        let ttl_s = if cursor.peek().is_some_and(|octet| octet.is_ascii_digit()) {
            let (options, line) = (reading.options, cursor.line());
            let mut remark = |wrong| reading.remark(line, wrong);
            ttl_s(&mut cursor, settings.ttl_s, options, &mut remark).map_err(|wrong| Wrong {
                fault: Fault::Record,
                expected: "a TTL as 60 or 1h, or a type".into(),
                ..wrong
            })?
        } else {
            settings.ttl_s
        };
        cursor.skip_blanks();
        let mut start = cursor;
        let mut word = cursor.word();
        if word.eq_ignore_ascii_case(b"IN") {
            cursor.skip_blanks();
            start = cursor;
            word = cursor.word();
        }
        cursor.skip_blanks();
        let (kind, data) = match word.to_ascii_uppercase().as_slice() {
            b"A" if self.is_retired && may_be_listed(&name) => {
                return Err(owner_start.wrong(Fault::Record, RETIRED_OWNER_EXPECTED));
            }
            b"A" => (rr::A, self.address(cursor, reading)?),
            b"TXT" if cursor.is_at_end() => return Err(cursor.wrong(Fault::Record, "a text, or \"\" for an empty one")),
            b"TXT" => (rr::TXT, text(cursor, reading)),
            b"MX" => (rr::MX, mail_exchange(&mut cursor)?),
            word => other(word, start, cursor)?,
        };
        if let Some(wrong) = unasked {
            reading.remark(owner_start.line(), wrong);
        }
        let name = name.as_wire();
        let is_taken = self.records.add(&name[..name.len() - 1], Record { kind, ttl_s, data: data.into() });
        if !is_taken && self.crowded.insert(name.into()) {
            reading.remark(owner_start.line(), too_many(RECORDS_MAX, owner_start.at()));
        }
        Ok(())
    }

    /// Reads an address; rbldnsd lets anything follow it.
    fn address(&self, mut cursor: Cursor<'_>, reading: &mut Reading<'_>) -> Result<Vec<u8>, Wrong> {
        let start = cursor;
        let address = value::a_record(&mut cursor, [0; 3], true)?;
        if self.is_retired && address.is_loopback() {
            return Err(start.wrong(Fault::Record, RETIRED_EXPECTED));
        }
        if !cursor.is_done() {
            reading.remark(cursor.line(), cursor.wrong(Fault::Unused, "nothing behind the address"));
        }
        Ok(address.octets().to_vec())
    }

    /// Freezes the records. Those of a type that no reply holds together are told of: nobody gets them all.
    pub(super) fn build(self, label: &str, report: &mut Report) -> Records {
        for (name, kind) in self.records.sets_beyond(REPLY_ROOM) {
            let called = format!("{} {}", Name::from_wire(&[name, &[0]].concat()), RecordType::from(kind));
            report.add(
                label,
                0,
                called.as_bytes(),
                Wrong { fault: Fault::ManyValues, at: 0, expected: TOO_LARGE.into() },
            );
        }
        self.records
    }
}

/// Whether a name is one that lists are asked for: a reversed address, a domain, or a test entry (RFC 5782 section 5).
fn may_be_listed(name: &NameBuffer) -> bool {
    let name = name.as_wire();
    let Some((&length, rest)) = name.split_first() else { return false };
    let (label, rest) = rest.split_at(usize::from(length).min(rest.len()));
    let is_digits = label.iter().all(u8::is_ascii_digit) || label.len() == 1 && label[0].is_ascii_hexdigit();
    length > 0 && (rest != [0] || is_digits || label == b"test" || label == b"invalid")
}

/// Reads the name that a record is at; `@` is the apex.
fn owner(cursor: &mut Cursor<'_>) -> Result<NameBuffer, Wrong> {
    let mut name = NameBuffer::new();
    let start = *cursor;
    if cursor.word() != b"@" {
        *cursor = start;
        name.read_below_root(cursor)?;
        name.make_lowercase();
    }
    Ok(name)
}

/// Reads the rest of a line as text: one or more quoted strings, or everything as it stands.
fn text(cursor: Cursor<'_>, reading: &mut Reading<'_>) -> Vec<u8> {
    let mut data = Vec::new();
    let mut is_cut = false;
    let mut push = |string: &[u8]| {
        // An empty string is a string; a long one becomes several.
        let chunks = string.chunks(STRING_MAX).chain(string.is_empty().then_some(&[][..]));
        for chunk in chunks {
            // Even an empty string takes an octet, which says so.
            let Some(free) = TEMPLATE_MAX.checked_sub(data.len() + 1) else {
                is_cut = true;
                continue;
            };
            let room = free.min(chunk.len());
            is_cut |= room < chunk.len();
            if room > 0 || chunk.is_empty() {
                data.push(room as u8);
                data.extend_from_slice(&chunk[..room]);
            }
        }
    };
    let rest = cursor.rest();
    if let Some(strings) = quoted(rest) {
        strings.into_iter().for_each(&mut push);
    } else {
        let unquoted = rest.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        push(unquoted.unwrap_or(rest));
    }
    if is_cut {
        reading.remark(cursor.line(), cursor.wrong(Fault::LongText, "at most 60000 octets"));
    }
    data
}

/// Strings in quotes with blanks between, if the text is that and nothing else. There are no escapes, as in rbldnsd.
fn quoted(text: &[u8]) -> Option<Vec<&[u8]>> {
    let mut strings = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let inside = rest.strip_prefix(b"\"")?;
        let length = memchr::memchr(b'"', inside)?;
        strings.push(&inside[..length]);
        let after = &inside[length + 1..];
        rest = after.trim_ascii_start();
        if rest.len() == after.len() && !after.is_empty() {
            return None;
        }
    }
    (!strings.is_empty()).then_some(strings)
}

/// Reads a preference and an absolute name.
fn mail_exchange(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, Wrong> {
    let preference = cursor.number(0xffff).filter(|_| cursor.is_at_word_end());
    let Some(preference) = preference else {
        return Err(cursor.wrong(Fault::Record, "a preference up to 65535"));
    };
    let mut name = NameBuffer::new();
    if cursor.is_done() {
        return Err(cursor.wrong(Fault::Record, "the name of a mail exchange"));
    }
    name.read(cursor)?;
    if !cursor.is_done() {
        return Err(cursor.wrong(Fault::Record, "nothing behind the name of the mail exchange"));
    }
    Ok([&(preference as u16).to_be_bytes(), name.as_wire()].concat())
}

/// Reads a record of any other type.
fn other(word: &[u8], start: Cursor<'_>, cursor: Cursor<'_>) -> Result<(u16, Vec<u8>), Wrong> {
    let word = str::from_utf8(word).map_err(|_| start.wrong(Fault::Record, TYPE_EXPECTED))?;
    if let Some((_, expected)) = REFUSED.iter().find(|(names, _)| names.contains(&word)) {
        return Err(start.wrong(Fault::RecordType, *expected));
    }
    let kind = RecordType::from_str(word).map_err(|_| start.wrong(Fault::Record, TYPE_EXPECTED))?;
    let expected =
        |why: &dyn std::fmt::Display| cursor.wrong(Fault::Record, format!("data of a record of type {word} ({why})"));
    let text = str::from_utf8(cursor.rest()).map_err(|_| expected(&"not UTF-8"))?;
    let mut data = RData::try_from_str(kind, text).map_err(|error| expected(&error))?;
    if let RData::SVCB(service) | RData::HTTPS(HTTPS(service)) = &mut data {
        service::sort(service);
    }
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    data.emit(&mut encoder).map_err(|error| expected(&error))?;
    if matches!(data, RData::SVCB(_) | RData::HTTPS(_)) {
        service::check(&octets).map_err(|why| expected(&why))?;
    }
    Ok((u16::from(kind), octets))
}
