//! Our reader and writer of messages against hickory-proto's: whatever one of them writes, the other must read alike.

use dnsbld::wire::{
    ExtendedError, HEADER_LEN, Rcode,
    name::{Name, QueryName},
    query::{Query, Unanswerable},
    reply::{OptOptions, Reply, Section},
    rr,
};
use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query as Question},
    rr::{DNSClass, Name as TheirName, RData, RecordType, rdata::opt::EdnsOption},
    serialize::binary::BinDecodable as _,
};
use proptest::{collection::vec, prelude::*};

fn label() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => vec(any::<u8>(), 1..12), 1 => vec(any::<u8>(), 60..=63)]
}

fn labels() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(label(), 0..20)
        .prop_filter("255 octets at most", |labels| labels.iter().map(|label| label.len() + 1).sum::<usize>() < 255)
}

fn wire(labels: &[Vec<u8>]) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in labels {
        octets.push(label.len() as u8);
        octets.extend_from_slice(label);
    }
    octets.push(0);
    octets
}

/// A query as hickory-proto writes it.
fn their_query(labels: &[Vec<u8>], kind: u16, id: u16, edns: Option<(u16, bool, Vec<u8>)>) -> Vec<u8> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    let name = TheirName::from_bytes(&wire(labels)).expect("a name");
    let mut question = Question::query(name, RecordType::from(kind));
    question.set_query_class(DNSClass::IN);
    message.add_query(question);
    if let Some((payload, dnssec_ok, option)) = edns {
        let mut opt = Edns::new();
        opt.set_max_payload(payload);
        opt.set_dnssec_ok(dnssec_ok);
        opt.options_mut().insert(EdnsOption::Unknown(65_001, option));
        message.set_edns(opt);
    }
    message.to_vec().expect("a message")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_they_write_we_read(
        labels in labels(),
        kind in any::<u16>(),
        id in any::<u16>(),
        edns in proptest::option::of((any::<u16>(), any::<bool>(), vec(any::<u8>(), 0..40))),
    ) {
        let octets = their_query(&labels, kind, id, edns.clone());
        let mut name = QueryName::new();
        let query = Query::read(&octets, &mut name, true).expect("readable");
        prop_assert_eq!(query.header.id, id);
        prop_assert_eq!((query.qtype, query.qclass), (kind, 1));
        prop_assert_eq!(name.label_count(), labels.len());
        prop_assert_eq!(name.as_wire(), wire(&labels).to_ascii_lowercase());
        match (query.edns, edns) {
            (None, None) => {}
            // hickory-proto writes no less than 512, as section 6.2.3 of RFC 6891 has it.
            (Some(ours), Some((payload, dnssec_ok, _))) => {
                prop_assert_eq!((ours.payload_len.max(512), ours.dnssec_ok), (payload.max(512), dnssec_ok));
            }
            (ours, theirs) => prop_assert!(false, "{ours:?} {theirs:?}"),
        }
    }

    #[test]
    fn what_we_write_they_read(
        labels in labels(),
        id in any::<u16>(),
        addresses in vec((any::<[u8; 4]>(), any::<u32>()), 0..8),
        texts in vec(vec(any::<u8>(), 0..600), 0..3),
        limit in 512usize..4096,
        with_edns in any::<bool>(),
    ) {
        let request = their_query(&labels, rr::A, id, with_edns.then(|| (1232, true, Vec::new())));
        let mut name = QueryName::new();
        let query = Query::read(&request, &mut name, true).expect("readable");
        let mut buffer = vec![0xaa; 4096];
        let mut reply = Reply::new(&mut buffer, limit, &request, query.header, query.qname_len + 4, query.edns.as_ref());
        reply.set_authoritative();
        reply.set_rcode(Rcode::NxDomain);
        let (mut written, mut texts_written) = (Vec::new(), Vec::new());
        for (octets, ttl) in &addresses {
            if reply.record(Section::Answer, HEADER_LEN, rr::A, *ttl, |data| data.octets(octets)).is_ok() {
                written.push((*octets, *ttl));
            }
        }
        for text in &texts {
            let halves = text.split_at(text.len() / 2);
            let parts = [halves.0, halves.1].into_iter();
            if reply.record(Section::Authority, HEADER_LEN, rr::TXT, 7, |data| data.strings(parts)).is_ok() {
                texts_written.push(text.clone());
            }
        }
        let options = OptOptions { extended_error: Some(ExtendedError::NotReady), ..OptOptions::default() };
        let length = reply.finish(1232, &options);
        prop_assert!(length <= limit.max(HEADER_LEN + query.qname_len + 4));
        let message = Message::from_bytes(&buffer[..length]).expect("readable");
        prop_assert_eq!(message.metadata.id, id);
        prop_assert!(message.metadata.authoritative && !message.metadata.recursion_available);
        prop_assert_eq!(message.edns.is_some(), with_edns);
        let read: Vec<([u8; 4], u32)> = message.answers.iter().map(|record| match &record.data {
            RData::A(address) => (address.0.octets(), record.ttl),
            other => panic!("{other:?}"),
        }).collect();
        prop_assert_eq!(read, written);
        let texts_read: Vec<Vec<u8>> = message.authorities.iter().map(|record| match &record.data {
            RData::TXT(text) => text.txt_data.concat(),
            other => panic!("{other:?}"),
        }).collect();
        prop_assert_eq!(texts_read, texts_written);
    }

    #[test]
    fn names_in_presentation_format(labels in labels()) {
        let ours = Name::from_wire(&wire(&labels).to_ascii_lowercase());
        prop_assert_eq!(Name::parse(ours.to_string().as_bytes()).expect("our own words"), ours);
    }

    #[test]
    fn arbitrary_octets_are_read_or_refused(octets in vec(any::<u8>(), 0..200)) {
        let mut name = QueryName::new();
        match Query::read(&octets, &mut name, true) {
            Ok(query) => prop_assert!(HEADER_LEN + query.qname_len <= octets.len()),
            Err(Unanswerable::Ignore) => prop_assert!(octets.len() < HEADER_LEN || octets[2] & 0x80 != 0),
            Err(Unanswerable::Refuse(refusal)) => prop_assert!(HEADER_LEN + refusal.question_len <= octets.len()),
            Err(Unanswerable::Elsewhere) => {
                let unheeded = Query::read(&octets, &mut name, false);
                prop_assert!(!matches!(unheeded, Err(Unanswerable::Elsewhere | Unanswerable::Ignore)));
            }
        }
    }
}
