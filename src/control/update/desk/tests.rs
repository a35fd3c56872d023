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
    cut(&mut reply);
    assert_eq!(reply, [&[0x12, 0x34, 0x87, 0x10, 0, 1, 0, 0, 0, 0, 0, 0], &question[..]].concat());
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
    let inbox = Inbox { sender: sync_channel(1).0, tally: Arc::clone(&tally), dropped: Arc::default() };
    let desk = Desk { keys: Keys::default(), cell, live, policy: POLICY, listings, tally };
    Arc::new(Attendant { desk, inbox, recent: Mutex::default(), strangers: Sparing::default() })
}

/// A client without EDNS takes 512 octets, and names are as long as whoever sends them likes.
#[test]
fn replies_fit_what_the_client_takes() {
    let long: &[u8] = &[&[63; 64][..], &[63; 64], &[63; 64], &[61; 62], &[0]].concat();
    let short: &[u8] = b"\x02bl\x07example\0";
    let attendant = attendant(Cell::default(), LiveCell::default(), None);
    let reply = |transport, zone: &[u8], key_name: &[u8], algorithm: &[u8]| {
        let data = [algorithm, &[0; 6], &[1, 44], &[0, 0], &[0, 1], &[0, 0], &[0, 0]].concat();
        let request = [
            &[0, 1, (OPCODE_UPDATE << 3) as u8, 0, 0, 1, 0, 0, 0, 0, 0, 1][..],
            &[zone, &[0, 6, 0, 1]].concat(),
            &[key_name, &[0, 250, 0, 255, 0, 0, 0, 0], &(data.len() as u16).to_be_bytes()].concat(),
            &data,
        ];
        let (late, mut replies) = Late::tcp();
        let client = ([192, 0, 2, 9], 53).into();
        attendant.take(Job { client, transport, request: request.concat().into(), late }, 1_800_000_000);
        let reply = replies.try_recv().expect("a reply");
        assert_eq!(reply[3] & 0xf, Rcode::NotAuth as u8);
        // Its length, zones and additional records, and whether it is cut short.
        (reply.len(), reply[5], reply[11], u16::from(reply[2]) << 8 & FLAG_TC != 0)
    };
    let hmac: &[u8] = b"\x0bhmac-sha256\0";
    let seal_len = |key_name: &[u8], algorithm: &[u8]| key_name.len() + 10 + algorithm.len() + 16;
    let whole_len = HEADER_LEN + long.len() + 4 + seal_len(long, hmac);
    assert_eq!(reply(Transport::Tcp, long, long, hmac), (whole_len, 1, 1, false));
    assert_eq!(reply(Transport::Udp, short, short, hmac).1, 1, "the zone comes back where it fits");
    let without_zone = (HEADER_LEN + seal_len(long, hmac), 0, 1, false);
    assert!(whole_len > 512);
    assert_eq!(reply(Transport::Udp, long, long, hmac), without_zone);
    assert_eq!(reply(Transport::Udp, short, long, long), (HEADER_LEN, 0, 0, true), "nobody's key");
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
    let inbox = Inbox { sender, tally: Arc::default(), dropped: Arc::default() };
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
