//! Plain records beside the lists (rbldnsd's `generic`): a web site's A, an MX, a TXT that explains the zone.
//!
//! A zone has a handful of them, so a hash table of whole names will do. Ancestors of names that have records are in the
//! table too, without any: that is what an empty non-terminal is (RFC 9499 section 7).

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use crate::wire::{laid::FIXED_LEN, name::RelativeName, rr};

/// So many records of one name count. A reply by UDP has room for 72 addresses, and one by TCP for four times as many as these;
/// but each query about the name goes over all of them, and each line that adds one compares it with all of them.
pub const RECORDS_MAX: usize = 1_024;

/// One record, its RDATA ready for the wire and uncompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its type.
    pub kind: u16,
    /// Its time to live.
    pub ttl_s: u32,
    /// Its RDATA.
    pub data: Box<[u8]>,
}

impl Record {
    /// The record of an address.
    pub fn of_address(address: IpAddr, ttl_s: u32) -> Self {
        match address {
            IpAddr::V4(address) => Self { kind: rr::A, ttl_s, data: address.octets().into() },
            IpAddr::V6(address) => Self { kind: rr::AAAA, ttl_s, data: address.octets().into() },
        }
    }

    /// The address that it is about, if it is an A or AAAA record.
    pub fn address(&self) -> Option<IpAddr> {
        match self.kind {
            rr::A => <[u8; 4]>::try_from(&*self.data).ok().map(IpAddr::from),
            rr::AAAA => <[u8; 16]>::try_from(&*self.data).ok().map(IpAddr::from),
            _ => None,
        }
    }
}

/// The records of one dataset by relative name, the root octet left out.
#[derive(Debug, Default)]
pub struct Records {
    nodes: HashMap<Box<[u8]>, Vec<Record>, foldhash::fast::RandomState>,
    record_count: usize,
}

impl Records {
    /// Adds a record at a relative name (wire format, lower case, without the root octet). Those with the same type and data
    /// count once, with the least of their TTLs (RFC 2181 sections 5 and 5.2): whoever answers need not compare them. Returns
    /// `false` if there are as many as [can count](RECORDS_MAX), and this is another one.
    pub fn add(&mut self, name: &[u8], record: Record) -> bool {
        let mut parent = name;
        while let Some((&length, _)) = parent.split_first() {
            parent = &parent[1 + usize::from(length)..];
            self.nodes.entry(parent.into()).or_default();
        }
        let node = self.nodes.entry(name.into()).or_default();
        if let Some(same) = node.iter_mut().find(|other| other.kind == record.kind && other.data == record.data) {
            same.ttl_s = same.ttl_s.min(record.ttl_s);
            return true;
        }
        if node.len() == RECORDS_MAX {
            return false;
        }
        node.push(record);
        self.record_count += 1;
        true
    }

    /// The records at a name. `Some` of nothing: an empty non-terminal; `None`: the name does not exist.
    pub fn at(&self, name: RelativeName<'_>) -> Option<&[Record]> {
        self.nodes.get(name.octets()).map(Vec::as_slice)
    }

    /// Whether no other name has any but the apex.
    pub fn are_at_apex(&self) -> bool {
        self.nodes.keys().all(|name| name.is_empty())
    }

    /// All names that have records, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[Record])> {
        self.nodes.iter().filter(|(_, records)| !records.is_empty()).map(|(name, records)| (&**name, &**records))
    }

    /// The names and types whose records take more octets in a reply, in the order of their names.
    pub fn sets_beyond(&self, octets: usize) -> Vec<(&[u8], u16)> {
        let len = |record: &Record| FIXED_LEN + record.data.len();
        let mut beyond = BTreeSet::new();
        for (name, records) in self.iter().filter(|(_, records)| records.iter().map(len).sum::<usize>() > octets) {
            let of_kind = |kind| records.iter().filter(move |record| record.kind == kind);
            let kinds = records.iter().map(|record| record.kind);
            beyond
                .extend(kinds.filter(|kind| of_kind(*kind).map(len).sum::<usize>() > octets).map(|kind| (name, kind)));
        }
        beyond.into_iter().collect()
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.record_count
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// Bytes of memory held, near enough.
    pub fn memory_bytes(&self) -> usize {
        self.nodes.capacity() * (size_of::<(Box<[u8]>, Vec<Record>)>() + 1)
            + self
                .nodes
                .iter()
                .map(|(name, records)| {
                    name.len()
                        + records.capacity() * size_of::<Record>()
                        + records.iter().map(|record| record.data.len()).sum::<usize>()
                })
                .sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::wire::{
        name::{Name, QueryName},
        rr,
    };

    #[test]
    fn ancestors_exist_and_are_empty() {
        let mut records = Records::default();
        let record = Record { kind: rr::A, ttl_s: 60, data: [127, 0, 0, 1].into() };
        records.add(b"\x03www\x01a\x01b", record.clone());
        records.add(b"\x03www\x01a\x01b", record.clone());
        let count_at = |text: &[u8]| {
            let mut name = QueryName::new();
            name.read(Name::parse(text).expect("a name").as_wire()).expect("a name");
            records.at(name.relative(name.label_count())).map(<[Record]>::len)
        };
        assert_eq!(count_at(b"www.a.b"), Some(1));
        assert_eq!((count_at(b"a.b"), count_at(b"b"), count_at(b".")), (Some(0), Some(0), Some(0)));
        assert_eq!((count_at(b"x.a.b"), count_at(b"c")), (None, None));
        assert_eq!(records.len(), 1);
    }

    proptest! {
        /// Against a scan of all records: those at the name, and whether any is at or below it.
        #[test]
        fn as_a_scan_would_find(names in vec(vec(0..3u8, 0..4), 0..20), asked in vec(vec(0..3u8, 0..4), 1..20)) {
            let wire = |labels: &[u8]| labels.iter().flat_map(|&label| [1, b'a' + label]).collect::<Vec<u8>>();
            let mut records = Records::default();
            for (number, labels) in (0u32..).zip(&names) {
                records.add(&wire(labels), Record { kind: rr::A, ttl_s: 60, data: number.to_be_bytes().into() });
            }
            for labels in &asked {
                let mut name = QueryName::new();
                name.read(&[wire(labels), vec![0]].concat()).expect("a name");
                let found = records.at(name.relative(name.label_count()));
                let at: Vec<[u8; 4]> = (0u32..)
                    .zip(&names)
                    .filter(|(_, other)| *other == labels)
                    .map(|(number, _)| number.to_be_bytes())
                    .collect();
                prop_assert_eq!(found.is_some(), names.iter().any(|other| other.ends_with(labels)));
                let found: Vec<&[u8]> = found.unwrap_or_default().iter().map(|record| &*record.data).collect();
                prop_assert_eq!(found, at.iter().map(|data| &data[..]).collect::<Vec<_>>());
            }
        }
    }
}
