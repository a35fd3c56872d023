//! Replies as hickory-proto reads them, reduced to what is compared.

use std::net::Ipv4Addr;

use hickory_proto::{
    op::{Message, MessageType},
    rr::{Name, RData, Record},
};

use super::names::Labels;

pub(crate) const NOERROR: u16 = 0;
pub(crate) const FORMERR: u16 = 1;
pub(crate) const SERVFAIL: u16 = 2;
pub(crate) const NXDOMAIN: u16 = 3;
pub(crate) const NOTIMP: u16 = 4;
pub(crate) const REFUSED: u16 = 5;
pub(crate) const BADVERS: u16 = 16;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Data {
    A(Ipv4Addr),
    Txt(Vec<Vec<u8>>),
    Mx(u16, Labels),
    Ns(Labels),
    Soa(Labels, Labels, [u32; 5]),
    Other(String),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rr {
    pub(crate) owner: Labels,
    pub(crate) class: u16,
    pub(crate) kind: u16,
    pub(crate) ttl_s: u32,
    pub(crate) data: Data,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // a header has as many
pub(crate) struct Reply {
    pub(crate) octets: Vec<u8>,
    pub(crate) rcode: u16,
    pub(crate) opcode: u8,
    pub(crate) authoritative: bool,
    pub(crate) truncated: bool,
    pub(crate) recursion_desired: bool,
    pub(crate) checking_disabled: bool,
    /// RA, Z or AD: nobody sets them here.
    pub(crate) stray_flags: bool,
    pub(crate) has_opt: bool,
    pub(crate) has_question: bool,
    pub(crate) answers: Vec<Rr>,
    pub(crate) authorities: Vec<Rr>,
    pub(crate) additionals: Vec<Rr>,
}

impl Reply {
    /// Reads a reply.
    pub(crate) fn read(octets: &[u8]) -> Result<Self, String> {
        let message = Message::from_vec(octets).map_err(|error| format!("unreadable: {error}"))?;
        if message.metadata.message_type != MessageType::Response {
            return Err("not a response".into());
        }
        Ok(Self {
            rcode: u16::from(message.metadata.response_code),
            opcode: octets[2] >> 3 & 0xf,
            authoritative: message.metadata.authoritative,
            truncated: message.metadata.truncation,
            recursion_desired: message.metadata.recursion_desired,
            checking_disabled: octets[3] & 0x10 != 0,
            stray_flags: octets[3] & 0xe0 != 0,
            has_opt: message.edns.is_some(),
            has_question: !message.queries.is_empty(),
            answers: records(&message.answers),
            authorities: records(&message.authorities),
            additionals: records(&message.additionals),
            octets: octets.to_vec(),
        })
    }

    /// Whether it carries no records.
    pub(crate) fn is_bare(&self) -> bool {
        self.answers.is_empty() && self.authorities.is_empty() && self.additionals.is_empty()
    }
}

fn records(records: &[Record]) -> Vec<Rr> {
    records.iter().map(record).collect()
}

fn record(record: &Record) -> Rr {
    let data = match &record.data {
        RData::A(address) => Data::A(address.0),
        RData::TXT(text) => Data::Txt(text.txt_data.iter().map(|string| string.to_vec()).collect()),
        RData::MX(mx) => Data::Mx(mx.preference, labels(&mx.exchange)),
        RData::NS(ns) => Data::Ns(labels(&ns.0)),
        RData::SOA(soa) => Data::Soa(
            labels(&soa.mname),
            labels(&soa.rname),
            [soa.serial, soa.refresh as u32, soa.retry as u32, soa.expire as u32, soa.minimum],
        ),
        other => Data::Other(format!("{other:?}")),
    };
    Rr {
        owner: labels(&record.name),
        class: u16::from(record.dns_class),
        kind: u16::from(record.record_type()),
        ttl_s: record.ttl,
        data,
    }
}

fn labels(name: &Name) -> Labels {
    name.iter().map(<[u8]>::to_vec).collect()
}
