//! Signed messages that nsupdate does not send, and whether their replies are as small, and as signed, as they should be.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{
    SECRET, Server, open,
    support::{
        daemon::await_true,
        message::{Edns, Query},
    },
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

/// The code of a reply to an update of `bl.example`, with the higher bits that its OPT record has.
fn code(reply: &[u8]) -> u16 {
    let higher = if reply[11] == 2 { u16::from(reply[12 + 16 + 5]) } else { 0 };
    higher << 4 | u16::from(reply[3] & 0xf)
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
    assert_eq!(
        (reply[2] & 2, reply[7], reply[9], reply[11]),
        (0, 1, 0, 1),
        "whole, with a signature in place of servers"
    );
    assert!(is_signed(&reply) && reply.len() <= 512);
}

/// An update that adds one record, with these octets behind it as so many additional records.
fn update(additional: &[u8], count: u8) -> Vec<u8> {
    let header = [0x12, 0x34, 0x28, 0, 0, 1, 0, 0, 0, 1, 0, count];
    let zone = b"\x02bl\x07example\x00\x00\x06\x00\x01";
    let record = b"\x011\x012\x010\x03192\xc0\x0c\x00\x01\x00\x01\x00\x00\x02\x58\x00\x04\x7f\x00\x00\x02";
    [&header[..], zone, record, additional].concat()
}

/// An OPT record with DO.
fn opt(version: u8, options: &[u8]) -> Vec<u8> {
    [&[0, 0, 41, 0x10, 0, 0, version, 0x80, 0, 0, options.len() as u8], options].concat()
}

#[test]
fn an_update_has_an_opt_record_as_a_query_has() {
    let server = open();
    let cookie = b"\x00\x0a\x00\x0812345678";
    let ask =
        |additional: &[u8], count| server.ask_udp(None, &signed(&update(additional, count)), false).expect("an answer");
    let twice = [opt(0, b""), opt(0, b"")].concat();
    for (additional, count, expected) in [
        (opt(1, b""), 1, 16),
        (twice, 2, 1),
        (opt(0, b"\x00\x0a\x00\x041234"), 1, 1),
        (opt(0, b"\x00\x0a\x00\x09123"), 1, 1),
        (opt(0, cookie), 1, 0),
    ] {
        let reply = ask(&additional, count);
        assert_eq!((code(&reply), reply[11]), (expected, 2), "{additional:x?}");
        assert!(is_signed(&reply));
        assert_eq!(super::is_listed(&server, "1.2.0.192.bl.example"), expected == 0, "{additional:x?}");
    }
    let reply = ask(&opt(0, cookie), 1);
    let at = 12 + 16;
    assert_eq!(reply[at..at + 9], [0, 0, 41, 4, 0xd0, 0, 0, 0x80, 0], "1232 octets, version 0, DO");
    assert_eq!(reply[at + 9..at + 23], [&[0, 28, 0, 10, 0, 24][..], b"12345678"].concat());
}

/// Who asks is told of signed queries as of others; an update is no query.
#[test]
fn signed_queries_are_in_the_query_log() {
    let server = open();
    let state = server.folder().join("state");
    let switch = |words: &[&str]| {
        let words = [&["querylog"], words, &["--state", state.to_str().expect("a path")]].concat();
        let (is_well, said) = super::run(env!("CARGO_BIN_EXE_dnsbld"), &words, "");
        assert!(is_well, "{said}");
        said
    };
    let ask = |message: &[u8]| server.ask_udp(None, &signed(message), false).expect("an answer");
    let query = Query::new("2.0.0.127.bl.example", 16).octets();
    ask(&query);
    switch(&["on", "--zone", "bl.example", "--listed", "--client", "127.0.0.1"]);
    let reply = ask(&query);
    ask(&Query::new("3.0.0.127.bl.example", 16).octets());
    ask(&update(&[], 0));
    let lines = || -> Vec<String> {
        server.said().lines().filter(|line| line.contains(" query client=")).map(str::to_owned).collect()
    };
    await_true("a line", || !lines().is_empty(), || server.said());
    switch(&["off"]);
    ask(&query);
    assert!(switch(&[]).contains("is off"));
    let [line] = &*lines() else { panic!("{}", server.said()) };
    for word in [
        "client=127.0.0.1",
        "zone=\"bl.example\"",
        "name=2.0.0.127.bl.example",
        "type=TXT",
        "rcode=\"NOERROR\"",
        "result=\"listed\"",
        &format!("octets={}", reply.len()),
    ] {
        assert!(line.contains(word), "{word}: {line}");
    }
}

#[test]
fn what_is_signed_and_not_for_us_is_answered_signed() {
    let server = open();
    let notify = Query { flags: 0x2110, ..Query::new("bl.example", 6) }.octets();
    let reply = server.ask_udp(None, &signed(&notify), false).expect("an answer");
    assert_eq!((reply[2], reply[3] & 0x1f, is_signed(&reply)), (0xa1, 0x14, true), "NOTIMP, with RD and CD");
    let mut wrong =
        signed(&Query { flags: 0x0110, edns: Some(Edns::default()), ..Query::new("bl.example", 6) }.octets());
    let mac_end = wrong.len() - 6;
    wrong[mac_end - 1] ^= 1;
    let reply = server.ask_udp(None, &wrong, false).expect("an answer");
    assert_eq!((reply[2], reply[3] & 0x1f), (0x81, 0x19), "NOTAUTH, with RD and CD");
}
