//! Signed messages that nsupdate does not send, and whether their replies are as small, and as signed, as they should be.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{
    SECRET, Server, open,
    support::message::{Edns, Query},
};

/// What the secret of all keys stands for.
const SECRET_OCTETS: &[u8] = b"0123456789abcdef0123456789abcdef";
const KEY: &[u8] = b"\x07scanner\x00";
const ALGORITHM: &[u8] = b"\x0bhmac-sha256\x00";

/// Signs a message as the key `scanner` (RFC 8945 section 4).
fn signed(message: &[u8]) -> Vec<u8> {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let times = [&now_s.to_be_bytes()[2..], &[1, 44]].concat();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET_OCTETS).expect("a key of any length");
    for part in [message, KEY, &[0, 255, 0, 0, 0, 0], ALGORITHM, &times, &[0; 4]] {
        mac.update(part);
    }
    let id = &message[..2];
    let data = [ALGORITHM, &times, &[0, 32], &mac.finalize().into_bytes(), id, &[0; 4]].concat();
    let length = (data.len() as u16).to_be_bytes();
    let mut signed = [message, KEY, &[0, 250, 0, 255, 0, 0, 0, 0], &length, &data].concat();
    signed[11] += 1;
    signed
}

/// The code of a reply, with the higher bits that its OPT record has.
fn code(reply: &[u8]) -> u16 {
    let message = hickory_proto::op::Message::from_vec(reply).expect("a message");
    u16::from(message.metadata.response_code)
}

/// Whether the last record of a reply is a signature of that key.
fn is_signed(reply: &[u8]) -> bool {
    let owner: Vec<u8> = [KEY, &[0, 250, 0, 255]].concat();
    reply.windows(owner.len()).any(|octets| octets == owner) && reply.windows(2).any(|octets| octets == [0, 32])
}

#[test]
fn what_need_not_be_said_makes_room_for_the_signature() {
    // The answer, the signature and the question have 512 octets; the name servers and their addresses do not fit besides.
    let servers = [0, 1, 2, 3, 4, 5, 6, 7].map(|number| format!("server-number-{number}.bl.example")).join(" ");
    let head = format!("$SOA 3600 localhost hostmaster.bl.example 7 600 300 86400 120\n$NS 7200 {servers}\n");
    let text = format!("{head}:127.0.0.2:{}\n127.0.0.2\n", "x".repeat(200));
    let server = Server::with_config(
        &[("zones/bl.example.ip4set", &text)],
        &format!("[keys.scanner]\nsecret = \"{SECRET}\"\nzones = [\"*\"]\n"),
    );
    let query = Query::new("2.0.0.127.bl.example", 16).octets();
    let plain = server.ask_udp(None, &query, false).expect("an answer");
    assert_eq!((plain[2] & 2, plain[7], plain[9]), (0, 1, 8), "whole, with all servers");
    let reply = server.ask_udp(None, &signed(&query), false).expect("an answer");
    assert_eq!((reply[2] & 2, reply[7], reply[9], reply[11]), (0, 1, 0, 1), "whole, with a signature in place of servers");
    assert!(is_signed(&reply) && reply.len() <= 512);
}
