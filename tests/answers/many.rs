//! What a name with very many records costs: whoever waits behind its answer is not to notice.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dnsbld::{
    answer::{self, Client, Policy, Transport},
    wire::name::Name,
    zone::{
        dataset::{Dataset, Entries, Kind},
        live::Live,
        records::{RECORDS_MAX, Record, Records},
        snapshot::{Content, Snapshot, Zone},
        values::Values,
    },
};

use super::functions::NOW_S;

/// A zone whose name `a` has so many addresses.
fn snapshot(count: usize) -> Snapshot {
    let mut records = Records::default();
    for number in 0..count as u32 {
        assert!(records.add(b"\x01a", Record::of_address(std::net::Ipv4Addr::from_bits(number).into(), 60)));
    }
    let dataset = Arc::new(Dataset {
        label: "generic:many".into(),
        kind: Kind::Generic,
        ttl_s: 60,
        values: Values::default(),
        default_value: None,
        entries: Entries::Records(records),
    });
    let content = Content::new(None, None, None, [[(&[Name::root()][..], &dataset)]]);
    let apex = Name::parse(b"bl.example").expect("a name");
    let zone = Zone { apex, content: Some(content), acl: Vec::new(), keys: Vec::new(), live_slot: 0 };
    Snapshot::new(vec![zone], Vec::new(), Vec::new())
}

/// The shortest time of some answers with so many records.
fn shortest(count: usize) -> Duration {
    let snapshot = snapshot(count);
    let policy = Policy {
        udp_payload_len: 1_232,
        minimal: true,
        version: None,
        identity: None,
        cookie_secret: [0; 16],
        leaves_signed: false,
    };
    let world = answer::World { snapshot: &snapshot, policy: &policy, now_s: NOW_S, live: Live::NONE };
    let client = Client { address: [127, 0, 0, 1].into(), transport: Transport::Tcp };
    let request = b"\0\0\0\0\0\x01\0\0\0\0\0\0\x01a\x02bl\x07example\0\0\x01\0\x01";
    let mut reply = vec![0; usize::from(u16::MAX)];
    let took = |_| {
        let start = Instant::now();
        let outcome = answer::answer(world, client, request, &mut reply);
        let took = start.elapsed();
        assert_eq!(usize::from(outcome.answer_count), count);
        took
    };
    (0..20).map(took).min().expect("some")
}

/// Eight times as many take some eight times as long, and not 64 times as they would where each is held against all others.
#[test]
fn an_answer_takes_no_longer_than_its_records() {
    let (few, many) = (shortest(RECORDS_MAX / 8), shortest(RECORDS_MAX));
    println!("{few:?} and {many:?}");
    assert!(many < 24 * few, "{few:?} and {many:?}");
}
