//! What is met without a socket: replies as long as they may be, a store that cannot be read, and a queue that is full.

use super::*;
use crate::{
    control::update::Edit,
    live::{
        listings::{Places, Settings},
        served::LiveSlots,
    },
};

#[test]
fn what_is_cut_has_a_question_and_no_code() {
    let question = b"\x02bl\x07example\x00\x00\x10\x00\x01";
    let header = [0x12, 0x34, 0x85, 0x13, 0, 1, 0, 0, 0, 1, 0, 1];
    let mut reply = [&header[..], question, b"\xc0\x0c\x00\x06 and more"].concat();
    cut(&mut reply, HEADER_LEN + question.len());
    assert_eq!(reply, [&[0x12, 0x34, 0x87, 0x10, 0, 1, 0, 0, 0, 0, 0, 0], &question[..]].concat());
    cut(&mut reply, HEADER_LEN + question.len() - 1);
    assert_eq!(reply, [0x12, 0x34, 0x87, 0x10, 0, 0, 0, 0, 0, 0, 0, 0], "there is no room for it");
}

const POLICY: Policy = Policy {
    udp_payload_len: 1232,
    minimal: false,
    version: None,
    identity: None,
    cookie_secret: [0; 16],
    leaves_signed: false,
};

fn attendant(cell: Cell, live: LiveCell, listings: Option<Listings>) -> Arc<Attendant> {
    let tally: Arc<Tally> = Arc::default();
    let inbox = Inbox { sender: sync_channel(1).0, tally: Arc::clone(&tally), dropped: Arc::new(Sparing::once()) };
    let note: Note = Box::new(|_, _, _, _| ());
    let desk = Desk { keys: Keys::default(), cell, live, policy: POLICY, listings, tally, note };
    Arc::new(Attendant::new(desk, inbox))
}

/// The longest name.
fn long() -> Vec<u8> {
    [&[63; 64][..], &[63; 64], &[63; 64], &[61; 62], &[0]].concat()
}

const SHORT: &[u8] = b"\x02bl\x07example\0";
const HMAC: &[u8] = b"\x0bhmac-sha256\0";

/// A message about the SOA record of a name, with a signature that nobody has made.
fn signed(opcode: u16, name: &[u8], key_name: &[u8], algorithm: &[u8]) -> Vec<u8> {
    let data = [algorithm, &[0; 6], &[1, 44], &[0, 0], &[0, 1], &[0, 0], &[0, 0]].concat();
    let message = [
        &[0, 1, (opcode << 3) as u8, 0, 0, 1, 0, 0, 0, 0, 0, 1][..],
        &[name, &[0, 6, 0, 1]].concat(),
        &[key_name, &[0, 250, 0, 255, 0, 0, 0, 0], &(data.len() as u16).to_be_bytes()].concat(),
        &data,
    ];
    message.concat()
}

/// Octets of such a signature in a reply.
fn seal_len(key_name: &[u8], algorithm: &[u8]) -> usize {
    key_name.len() + 10 + algorithm.len() + 16
}

/// The length of a reply, its questions or zones and additional records, and whether it is cut short.
fn outline(reply: &[u8]) -> (usize, u8, u8, bool) {
    (reply.len(), reply[5], reply[11], u16::from(reply[2]) << 8 & FLAG_TC != 0)
}

/// A client without EDNS takes 512 octets, and names are as long as whoever sends them likes.
#[test]
fn replies_fit_what_the_client_takes() {
    let long: &[u8] = &long();
    let attendant = attendant(Cell::default(), LiveCell::default(), None);
    let reply = |transport, zone: &[u8], key_name: &[u8], algorithm: &[u8]| {
        let (late, mut replies) = Late::tcp();
        let client = ([192, 0, 2, 9], 53).into();
        let request = signed(OPCODE_UPDATE, zone, key_name, algorithm).into();
        attendant.take(Job { client, transport, request, late }, 1_800_000_000);
        let reply = replies.try_recv().expect("a reply");
        assert_eq!(reply[3] & 0xf, Rcode::NotAuth as u8);
        outline(&reply)
    };
    let whole_len = HEADER_LEN + long.len() + 4 + seal_len(long, HMAC);
    assert_eq!(reply(Transport::Tcp, long, long, HMAC), (whole_len, 1, 1, false));
    assert_eq!(reply(Transport::Udp, SHORT, SHORT, HMAC).1, 1, "the zone comes back where it fits");
    let without_zone = (HEADER_LEN + seal_len(long, HMAC), 0, 1, false);
    assert!(whole_len > 512);
    assert_eq!(reply(Transport::Udp, long, long, HMAC), without_zone);
    assert_eq!(reply(Transport::Udp, SHORT, long, long), (HEADER_LEN, 0, 0, true), "nobody's key");
}

/// The same of what a signed query is answered.
#[test]
fn answers_fit_what_the_client_takes() {
    let long: &[u8] = &long();
    let attendant = attendant(Cell::default(), LiveCell::default(), None);
    let answer = |transport, name: &[u8], key_name: &[u8]| {
        let request = signed(0, name, key_name, HMAC);
        let signature = Signature::find(&request).expect("readable").expect("a signature");
        let fault = signature.verify(&request, &[], 1_800_000_000).expect_err("nobody's key");
        let header = unsigned_header(&request, signature.original_id);
        let message = [&header, &request[HEADER_LEN..signature.message_len]].concat();
        let (late, mut replies) = Late::tcp();
        let reply = Answerer {
            request: request.clone().into(),
            late,
            seal: None,
            client: ([192, 0, 2, 9], 53).into(),
            transport,
            attendant: Arc::clone(&attendant),
            is_remembered: false,
        };
        attendant.answer(reply, &fault.seal.expect("a seal"), &message, 1_800_000_000);
        outline(&replies.try_recv().expect("a reply"))
    };
    let len = |name: &[u8], key_name: &[u8]| HEADER_LEN + name.len() + 4 + seal_len(key_name, HMAC);
    assert_eq!(answer(Transport::Tcp, long, long), (len(long, long), 1, 1, false));
    assert_eq!(answer(Transport::Udp, SHORT, long), (len(SHORT, long), 1, 1, false));
    assert!(len(long, long) > 512);
    assert_eq!(answer(Transport::Udp, long, long), (HEADER_LEN + seal_len(long, HMAC), 0, 1, true), "no question");
}

#[test]
fn what_cannot_be_read_is_not_taken_for_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cell, live) = (Cell::default(), LiveCell::default());
    let zone = Name::parse(b"bl.example").expect("a name");
    let places = Places { served: Arc::clone(&cell), live: Arc::clone(&live), slots: LiveSlots::default() };
    let listings = Listings::open(Settings::new(folder.path().to_owned()), places).expect("a store");
    let attendant = attendant(cell, live, Some(listings.clone()));
    let owner = Name::parse(b"1.2.0.192").expect("a name");
    let update = Arc::new(Update { zone, prerequisites: Vec::new(), edits: vec![Edit::DeleteName { owner }] });
    let rcode = || {
        let (late, mut replies) = Late::tcp();
        let request = Box::from([0, 1, (OPCODE_UPDATE << 3) as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let client = ([192, 0, 2, 9], 53).into();
        let reply = Answerer {
            request,
            late,
            seal: None,
            client,
            transport: Transport::Udp,
            attendant: Arc::clone(&attendant),
            is_remembered: false,
        };
        let holds = Holds { v4: true, v6: true, names: false };
        let origin = Origin { door: Door::DnsUpdate, who: "test".to_owned(), from: None };
        let (update, codes) = (Arc::clone(&update), Codes::default());
        attendant.attempt(Attempt { reply, update, holds, codes, origin, now_s: 1_800_000_000, tries: 0 });
        replies.try_recv().expect("a reply")[3] & 0xf
    };
    assert_eq!(rcode(), Rcode::NoError as u8, "there is nothing to delete");
    listings.stop();
    assert_eq!(rcode(), Rcode::ServFail as u8);
}

fn failed(tally: &Tally) -> u64 {
    tally.rows().filter(|(door, upshot, _)| (*door, *upshot) == ("dns-update", "failed")).map(|row| row.2).sum()
}

#[test]
fn what_finds_no_room_is_counted() {
    let (sender, receiver) = sync_channel(1);
    let inbox = Inbox { sender, tally: Arc::default(), dropped: Arc::new(Sparing::once()) };
    let job = || {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let client = socket.local_addr().expect("an address");
        let late = Late::tcp().0;
        Job { client, transport: Transport::Udp, request: Box::default(), late }
    };
    inbox.tally.open(Door::DnsUpdate);
    inbox.leave(job());
    assert_eq!(failed(&inbox.tally), 0, "there is room for one");
    inbox.leave(job());
    inbox.leave(job());
    assert_eq!(failed(&inbox.tally), 2);
    drop(receiver);
    inbox.leave(job());
    assert_eq!(failed(&inbox.tally), 3, "nor is there anybody");
}
