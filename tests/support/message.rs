//! Messages: queries built from words, replies shown as text.
//!
//! Replies are read by `hickory-proto`, which shares no code with the server's writer.

use std::{fmt::Write as _, net::IpAddr};

use dnsbld::wire::name::Name;
use hickory_proto::{
    op::{Message, MessageType},
    rr::{RData, Record, rdata::opt::EdnsOption},
};

/// What a query asks for the extension mechanism with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edns {
    pub(crate) payload_len: u16,
    pub(crate) version: u8,
    /// The 16 bits of flags; DO is the first.
    pub(crate) flags: u16,
    /// Code and data of each option.
    pub(crate) options: Vec<(u16, Vec<u8>)>,
}

/// A query.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) id: u16,
    pub(crate) flags: u16,
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u16,
    pub(crate) class: u16,
    pub(crate) edns: Option<Edns>,
}

impl Query {
    /// A plain query for a name in presentation format.
    pub(crate) fn new(name: &str, kind: u16) -> Self {
        Self { id: 0x2a2a, flags: 0, name: wire_name(name), kind, class: 1, edns: None }
    }

    /// The query's octets.
    pub(crate) fn octets(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        for field in [self.id, self.flags, 1, 0, 0, u16::from(self.edns.is_some())] {
            octets.extend(field.to_be_bytes());
        }
        octets.extend(&self.name);
        octets.extend(self.kind.to_be_bytes());
        octets.extend(self.class.to_be_bytes());
        if let Some(edns) = &self.edns {
            octets.extend([0, 0, 41]);
            octets.extend(edns.payload_len.to_be_bytes());
            octets.extend([0, edns.version]);
            octets.extend(edns.flags.to_be_bytes());
            let data: Vec<u8> = edns
                .options
                .iter()
                .flat_map(|(code, data)| [&code.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat())
                .collect();
            octets.extend((data.len() as u16).to_be_bytes());
            octets.extend(data);
        }
        octets
    }
}

/// A name in wire format, in the case it was written in.
pub(crate) fn wire_name(text: &str) -> Vec<u8> {
    Name::parse_keeping_case(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}")).as_wire().to_vec()
}

/// The labels under which a list has an address: its octets or nibbles, the last one first.
pub(crate) fn reversed(address: impl Into<IpAddr>) -> String {
    let labels: Vec<String> = match address.into() {
        IpAddr::V4(address) => address.octets().iter().rev().map(u8::to_string).collect(),
        IpAddr::V6(address) => (0..32).map(|place| format!("{:x}", u128::from(address) >> (4 * place) & 0xf)).collect(),
    };
    labels.join(".")
}

/// The number of a record type.
pub(crate) fn kind_number(word: &str) -> Option<u16> {
    let known = [("A", 1), ("NS", 2), ("CNAME", 5), ("SOA", 6), ("PTR", 12), ("MX", 15), ("TXT", 16), ("AAAA", 28)];
    let meta = [("OPT", 41), ("SRV", 33), ("DS", 43), ("IXFR", 251), ("AXFR", 252), ("MAILB", 253), ("ANY", 255)];
    let number = known.iter().chain(&meta).find(|(name, _)| *name == word).map(|&(_, number)| number);
    number.or_else(|| word.strip_prefix("TYPE")?.parse().ok())
}

/// A reply as lines of text: the code with the flags, then each record, sorted within its section, then the OPT record.
///
/// # Errors
/// Says what cannot be read.
pub(crate) fn show_reply(octets: &[u8]) -> Result<Vec<String>, String> {
    let message = Message::from_vec(octets).map_err(|error| format!("unreadable reply: {error}: {octets:02x?}"))?;
    let about = &message.metadata;
    if about.message_type != MessageType::Response {
        return Err("not a response".to_owned());
    }
    let mut head = rcode_name(u16::from(about.response_code));
    let opcode = octets[2] >> 3 & 0xf;
    let flags = [
        (about.authoritative, "aa"),
        (about.truncation, "tc"),
        (about.recursion_desired, "rd"),
        (about.recursion_available, "ra"),
        (octets[3] & 0x40 != 0, "z"),
        (about.authentic_data, "ad"),
        (about.checking_disabled, "cd"),
    ];
    for (_, word) in flags.iter().filter(|(set, _)| *set) {
        let _ = write!(head, " {word}");
    }
    if opcode != 0 {
        let _ = write!(head, " opcode={opcode}");
    }
    let mut lines = vec![head];
    let sections =
        [("answer", &message.answers), ("authority", &message.authorities), ("additional", &message.additionals)];
    for (section, records) in sections {
        let mut shown: Vec<String> =
            records.iter().map(|record| format!("{section} {}", show_record(record))).collect();
        shown.sort();
        lines.extend(shown);
    }
    if let Some(edns) = &message.edns {
        let mut line = format!("edns {}", edns.max_payload());
        if edns.version() != 0 {
            let _ = write!(line, " version={}", edns.version());
        }
        if edns.flags().dnssec_ok {
            line.push_str(" do");
        }
        if edns.flags().z != 0 {
            let _ = write!(line, " z={:x}", edns.flags().z);
        }
        for (code, option) in edns.options().as_ref() {
            let EdnsOption::Unknown(_, data) = option else {
                if let EdnsOption::NSID(identity) = option {
                    let _ = write!(line, " nsid={}", String::from_utf8_lossy(identity.as_ref()));
                }
                continue;
            };
            let _ = match u16::from(*code) {
                10 => write!(line, " cookie={}", hex(data)),
                15 if data.len() >= 2 => {
                    let text = String::from_utf8_lossy(&data[2..]).into_owned();
                    write!(line, " ede={}{text}", u16::from_be_bytes([data[0], data[1]]))
                }
                code => write!(line, " option={code}:{}", hex(data)),
            };
        }
        lines.push(line);
    }
    Ok(lines)
}

/// The octets of a reply's question section.
pub(crate) fn question(octets: &[u8]) -> &[u8] {
    if octets.len() < 12 || octets[4..6] == [0, 0] {
        return &[];
    }
    let mut end = 12;
    while let Some(&length @ 1..=63) = octets.get(end) {
        end += 1 + usize::from(length);
    }
    octets.get(12..end + 5).unwrap_or_default()
}

fn show_record(record: &Record) -> String {
    let mut owner = record.name.to_ascii().to_ascii_lowercase();
    if owner.len() > 1 {
        owner.truncate(owner.trim_end_matches('.').len());
    }
    let class = match u16::from(record.dns_class) {
        1 => String::new(),
        3 => "CH ".to_owned(),
        class => format!("CLASS{class} "),
    };
    let data = match &record.data {
        RData::TXT(text) => {
            let strings: Vec<String> = text.txt_data.iter().map(|string| show_string(string)).collect();
            strings.join(" ")
        }
        RData::SOA(soa) => format!(
            "{} {} {} {} {} {} {}",
            soa.mname.to_ascii().trim_end_matches('.'),
            soa.rname.to_ascii().trim_end_matches('.'),
            soa.serial,
            soa.refresh,
            soa.retry,
            soa.expire,
            soa.minimum
        ),
        other => other.to_string().trim_end_matches('.').to_owned(),
    };
    format!("{owner} {} {class}{} {data}", record.ttl, record.record_type())
}

fn show_string(string: &[u8]) -> String {
    let mut shown = String::from('"');
    for &octet in string {
        let _ = match octet {
            b'"' | b'\\' => write!(shown, "\\{}", octet as char),
            b' '..=b'~' => write!(shown, "{}", octet as char),
            _ => write!(shown, "\\{octet:03}"),
        };
    }
    shown.push('"');
    shown
}

fn rcode_name(code: u16) -> String {
    match code {
        0 => "NOERROR".to_owned(),
        1 => "FORMERR".to_owned(),
        2 => "SERVFAIL".to_owned(),
        3 => "NXDOMAIN".to_owned(),
        4 => "NOTIMP".to_owned(),
        5 => "REFUSED".to_owned(),
        16 => "BADVERS".to_owned(),
        23 => "BADCOOKIE".to_owned(),
        code => format!("RCODE{code}"),
    }
}

/// Octets as hexadecimal digits.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// Hexadecimal digits as octets.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}
