//! DNS UPDATE by nsupdate, over UDP and TCP; and what nsupdate would not send.

use std::{
    io::Write as _,
    net::{Ipv4Addr, UdpSocket},
    time::Duration,
};

use super::{SECRET, Server, ask, is_listed, open, run};
use crate::support::{daemon::await_true, message::Query, server::read_message};

const TXT: u16 = 16;

/// Runs nsupdate with these lines; `server` and `send` stand around them.
fn nsupdate(server: &Server, arguments: &[&str], lines: &str) -> (bool, String) {
    let script = format!("server 127.0.0.1 {}\n{lines}\nsend\n", server.address().port());
    let arguments = [&["-t", "10"][..], arguments].concat();
    run("nsupdate", &arguments, &script)
}

fn key(name: &str, algorithm: &str) -> String {
    format!("{algorithm}:{name}:{SECRET}")
}

/// Has it done with the usual key.
pub(crate) fn update(server: &Server, lines: &str) {
    let (is_well, said) = nsupdate(server, &["-y", &key("scanner", "hmac-sha256")], lines);
    assert!(is_well, "{lines}\n{said}\n{}", server.said());
}

/// What nsupdate says of it.
pub(crate) fn refusal(server: &Server, lines: &str) -> String {
    let (is_well, said) = nsupdate(server, &["-y", &key("scanner", "hmac-sha256")], lines);
    assert!(!is_well, "{lines}: done");
    said
}

#[test]
fn each_algorithm_over_udp_and_tcp() {
    let server = open();
    for (index, bits) in ["256", "384", "512"].into_iter().enumerate() {
        for (offset, way) in [(0, &[][..]), (10, &["-v"])] {
            let key = key(&format!("scanner-sha{bits}"), &format!("hmac-sha{bits}"));
            let arguments = [way, &["-y", &key]].concat();
            let name = format!("{}.2.0.192.bl.example", 1 + index + offset);
            let (is_well, said) = nsupdate(&server, &arguments, &format!("update add {name} 60 A 127.0.0.3"));
            assert!(is_well, "{said}");
            assert_eq!(ask(&server, &name, 1), "No Error 127.0.0.3");
            let (is_well, said) = nsupdate(&server, &arguments, &format!("update delete {name} A"));
            assert!(is_well, "{said}");
            assert_eq!(ask(&server, &name, 1), "Non-Existent Domain");
        }
    }
}

#[test]
fn keys_may_come_in_files() {
    let server = open();
    let path = server.folder().join("scanner.key");
    let text = format!("key \"scanner\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{SECRET}\";\n}};\n");
    std::fs::write(&path, text).expect("written");
    let path = path.to_string_lossy();
    let (is_well, said) = nsupdate(&server, &["-k", &path], "update add 1.2.0.192.bl.example 60 A 127.0.0.3");
    assert!(is_well && is_listed(&server, "1.2.0.192.bl.example"), "{said}");
}

#[test]
fn records_are_listings() {
    let server = open();
    update(
        &server,
        "update add 1.2.0.192.bl.example 60 A 127.0.0.4\nupdate add 1.2.0.192.bl.example 60 TXT \"virus from $\"\n\
         update add 2.2.0.192.bl.example 60 TXT \"banned\"\nupdate add 3.2.0.192.bl.example 60 A 127.0.0.5\n\
         update add 100.51.198.bl.example 60 A 127.0.0.2",
    );
    assert_eq!(ask(&server, "1.2.0.192.bl.example", 1), "No Error 127.0.0.4");
    assert_eq!(ask(&server, "1.2.0.192.bl.example", TXT), "No Error virus from 192.0.2.1");
    assert_eq!(ask(&server, "2.2.0.192.bl.example", 1), "No Error 127.0.0.2", "the zone's own code");
    assert_eq!(ask(&server, "2.2.0.192.bl.example", TXT), "No Error banned");
    assert_eq!(ask(&server, "3.2.0.192.bl.example", TXT), "No Error listed 192.0.2.3", "the zone's own text");
    assert!(is_listed(&server, "77.100.51.198.bl.example"), "a prefix");
    update(&server, "update delete 1.2.0.192.bl.example\nupdate delete 3.2.0.192.bl.example A 127.0.0.9");
    assert!(!is_listed(&server, "1.2.0.192.bl.example"));
    assert!(is_listed(&server, "3.2.0.192.bl.example"), "another value");
    update(&server, "update delete 100.51.198.bl.example\nupdate delete 3.2.0.192.bl.example A 127.0.0.5");
    assert!(!is_listed(&server, "77.100.51.198.bl.example") && !is_listed(&server, "3.2.0.192.bl.example"));
    // What is answered is a record that may be asked for and deleted.
    let (name, text) = ("4.2.0.192.bl.example", "\"virus from 192.0.2.4\"");
    update(&server, &format!("update add {name} 60 TXT \"virus from $\""));
    update(&server, &format!("prereq yxrrset {name} TXT {text}\nupdate delete {name} TXT {text}"));
    assert!(!is_listed(&server, name));
}

#[test]
fn names_wildcards_and_ipv6() {
    let server = open();
    update(
        &server,
        "update add spam.example.org.names.example 60 A 127.0.0.2\nupdate add *.spam.example.net.names.example 60 A 127.0.0.2",
    );
    assert!(is_listed(&server, "spam.example.org.names.example"));
    assert!(!is_listed(&server, "www.spam.example.org.names.example"));
    assert!(is_listed(&server, "www.spam.example.net.names.example"));
    assert!(!is_listed(&server, "spam.example.net.names.example"));
    let nibbles = format!("1{}.8.b.d.0.1.0.0.2.bl.example", ".0".repeat(23));
    update(&server, &format!("update add {nibbles} 60 A 127.0.0.2"));
    assert!(is_listed(&server, &nibbles));
    update(&server, &format!("update delete {nibbles}"));
    update(&server, "update delete *.spam.example.net.names.example TXT");
    assert!(!is_listed(&server, &nibbles));
    assert!(is_listed(&server, "www.spam.example.net.names.example"), "it had no text of its own to delete");
}

#[test]
fn prerequisites_hold_or_nothing_is_done() {
    let server = open();
    let owner = "1.2.0.192.bl.example";
    // As fail2ban asks.
    let ban = format!("prereq nxrrset {owner} TXT\nupdate add {owner} 60 TXT \"banned\"");
    update(&server, &ban);
    assert!(refusal(&server, &ban).contains("YXRRSET"));
    for (prerequisite, code) in [
        (format!("nxdomain {owner}"), "YXDOMAIN"),
        ("yxdomain 9.2.0.192.bl.example".to_owned(), "NXDOMAIN"),
        ("yxrrset 9.2.0.192.bl.example A".to_owned(), "NXRRSET"),
        (format!("yxrrset {owner} A 127.0.0.9"), "NXRRSET"),
    ] {
        let lines = format!("prereq {prerequisite}\nupdate add 8.2.0.192.bl.example 60 A 127.0.0.2");
        assert!(refusal(&server, &lines).contains(code), "{prerequisite}");
        assert!(!is_listed(&server, "8.2.0.192.bl.example"));
    }
    let all =
        format!("prereq yxdomain {owner}\nprereq yxrrset {owner} TXT \"banned\"\nprereq yxrrset {owner} A 127.0.0.2");
    update(&server, &format!("{all}\nupdate delete {owner}"));
    assert!(!is_listed(&server, owner));
}

#[test]
fn a_record_is_what_is_served() {
    let files = [(
        "zones/bl.example.ip4set",
        "$SOA 3600 localhost hostmaster.bl.example 7 600 300 86400 120\n:127.0.0.9:def $\n",
    )];
    let server = Server::with_config(&files, &format!("[keys.scanner]\nsecret = \"{SECRET}\"\nzones = [\"*\"]\n"));
    let owner = "1.2.0.192.bl.example";
    update(&server, &format!("update add {owner} 60 TXT \"hi\""));
    assert_eq!(ask(&server, owner, 1), "No Error 127.0.0.9");
    assert!(
        refusal(&server, &format!("prereq yxrrset {owner} A 127.0.0.2\nupdate delete {owner}")).contains("NXRRSET")
    );
    update(&server, &format!("update delete {owner} A 127.0.0.2"));
    assert!(is_listed(&server, owner), "there is no such record");
    update(&server, &format!("prereq yxrrset {owner} A 127.0.0.9\nupdate delete {owner} A 127.0.0.9"));
    assert!(!is_listed(&server, owner));
}

#[test]
fn a_name_in_a_zone_of_its_own_is_not_in_the_one_above() {
    let files =
        ["dn.example", "a.b.dn.example"].map(|zone| (format!("zones/{zone}.dnset"), format!("{}test\n", super::HEAD)));
    let files = files.each_ref().map(|(name, text)| (&**name, &**text));
    let server = Server::with_config(&files, &format!("[keys.scanner]\nsecret = \"{SECRET}\"\nzones = [\"*\"]\n"));
    let zone = "zone dn.example\nupdate";
    for owner in ["foo.a.b.dn.example", "*.a.b.dn.example", "a.b.dn.example"] {
        assert!(refusal(&server, &format!("{zone} add {owner} 60 A 127.0.0.2")).contains("NOTZONE"), "{owner}");
    }
    assert!(refusal(&server, &format!("{zone} delete foo.a.b.dn.example")).contains("NOTZONE"));
    update(&server, &format!("{zone} add foo.b.dn.example 60 A 127.0.0.2"));
    assert!(is_listed(&server, "foo.b.dn.example"));
}

#[test]
fn who_may_not_is_told_so() {
    let server = open();
    let add = "update add 1.2.0.192.bl.example 60 A 127.0.0.2";
    let of = |arguments: &[&str], lines: &str| {
        let (is_well, said) = nsupdate(&server, arguments, lines);
        assert!(!is_well, "{arguments:?}: done");
        said
    };
    let with_zone = format!("zone bl.example\n{add}");
    assert!(of(&[], &with_zone).contains("REFUSED"), "no key, no update");
    assert!(of(&["-y", &key("stranger", "hmac-sha256")], &with_zone).contains("BADKEY"));
    assert!(of(&["-y", &key("scanner", "hmac-sha512")], &with_zone).contains("BADKEY"), "another algorithm");
    assert!(of(&["-y", &key("scanner", "hmac-sha1")], &with_zone).contains("BADKEY"), "not taken");
    let wrong = "hmac-sha256:scanner:YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=";
    assert!(of(&["-y", wrong], &with_zone).contains("BADSIG"));
    let in_zone = |zone: &str| refusal(&server, &format!("zone {zone}\nupdate add 1.2.0.192.{zone} 60 A 127.0.0.2"));
    assert!(in_zone("elsewhere.example").contains("NOTAUTH"), "not our zone");
    assert!(in_zone("other.example").contains("REFUSED"), "not with this key");
    let outside = "zone bl.example\nupdate add 1.2.0.192.names.example 60 A 127.0.0.2";
    assert!(refusal(&server, outside).contains("NOTZONE"));
    assert!(refusal(&server, "update add bl.example 60 NS ns.example").contains("REFUSED"));
    assert!(refusal(&server, "update add www.bl.example 60 A 127.0.0.2").contains("REFUSED"), "not an address");
    assert!(!is_listed(&server, "1.2.0.192.bl.example"));
    // And whoever looks after the server reads why.
    let why = [
        "it is not signed; 1 like it",
        "REFUSED: its key is not for this zone",
        "NOTAUTH: its zone is not served here",
        "NOTZONE: a name is not in the zone",
        "REFUSED: a record is neither A nor TXT",
        "REFUSED: a name stands for no address, prefix or domain",
    ];
    for why in why {
        await_true(why, || server.said().contains(why), || server.said());
    }
}

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.bytes().filter_map(|digit| char::from(digit).to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// An update of key `scanner`, signed in November 2026.
const SIGNED_LONG_AGO: &str = "75fe2800000100010001000102626c076578616d706c65000006000101310132013003313932\
     02626c076578616d706c6500001000fe000000000000c01c001000010000003c001817596f757220495020686173206265656e20\
     62616e6e6564077363616e6e65720000fa00ff00000000003d0b686d61632d7368613235360000006b036555012c00201d7e4f8f\
     f258f655da2bb17ec5ed04394626b47b17422c461a9df350a98b23ef75fe00000000";

#[test]
fn a_wrong_clock_is_told_the_time() {
    let server = open();
    let request = octets(SIGNED_LONG_AGO);
    // Ten minutes are enough to be wrong; when this runs within five of the capture, there is nothing to see.
    for reply in [server.ask_udp(None, &request, false), server.ask_tcp(None, &request, false)] {
        let reply = reply.expect("an answer");
        assert_eq!((reply[3] & 0xf, reply[2] >> 3), (9, 0x15), "NOTAUTH to an update");
        let [e1, e2, l1, l2, time @ ..] = &reply[reply.len() - 10..] else { panic!("short") };
        assert_eq!(([*e1, *e2], [*l1, *l2]), ([0, 18], [0, 6]), "BADTIME, and six octets more");
        let told_s = time.iter().fold(0, |value, &octet| value << 8 | u64::from(octet));
        let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
        assert!(told_s.abs_diff(now_s) < 10, "{told_s}");
    }
    assert!(!is_listed(&server, "1.2.0.192.bl.example"));
}

/// What nsupdate sends for these lines, and whether it is answered that it is done.
fn captured(server: &Server, lines: &str) -> (Vec<u8>, bool) {
    let between = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    between.set_read_timeout(Some(Duration::from_secs(10))).expect("a limit");
    let port = between.local_addr().expect("bound").port();
    std::thread::scope(|scope| {
        let listener = scope.spawn(|| {
            let mut room = [0; 4_096];
            let (length, client) = between.recv_from(&mut room).expect("an update");
            let request = room[..length].to_vec();
            let reply = server.ask_udp(None, &request, false).expect("an answer");
            between.send_to(&reply, client).expect("sent");
            request
        });
        let script = format!("server 127.0.0.1 {port}\nzone bl.example\n{lines}\nsend\n");
        let (is_done, _) = run("nsupdate", &["-t", "10", "-y", &key("scanner", "hmac-sha256")], &script);
        (listener.join().expect("captured"), is_done)
    })
}

#[test]
fn a_message_that_is_sent_again_changes_nothing() {
    let server = open();
    let owner = "1.2.0.192.bl.example";
    let (add, is_done) = captured(&server, &format!("update add {owner} 600 A 127.0.0.2"));
    assert!(is_done && is_listed(&server, owner));
    update(&server, &format!("update delete {owner}"));
    assert!(!is_listed(&server, owner));
    let metric = |result: &str| {
        let name = format!("dnsbld_door_requests_total{{door=\"dns-update\",result=\"{result}\"}}");
        super::http::metric(&server, &name).expect("a counter")
    };
    // nsupdate asks for the zone first, signed.
    let (done, answered) = (metric("done"), metric("answered"));
    // With another id, as a forwarder may give it, and by another way, it is the same message.
    let mut forwarded = add.clone();
    forwarded[0] ^= 0xff;
    let again =
        [server.ask_udp(None, &add, false), server.ask_udp(None, &forwarded, false), server.ask_tcp(None, &add, false)];
    for reply in again {
        let reply = reply.expect("a client whose reply was lost gets it again");
        assert_eq!((reply[3] & 0xf, reply[11]), (0, 1), "NOERROR, signed");
    }
    assert!(!is_listed(&server, owner), "listed by whoever saw the message");
    assert_eq!((metric("done"), metric("answered")), (done, answered + 3.0), "counted as what it is");
    update(&server, &format!("update add {owner} 600 A 127.0.0.2"));
    assert!(is_listed(&server, owner), "a new message of the same words is another one");
}

#[test]
fn what_did_not_hold_is_not_done_later() {
    let server = open();
    let (owner, other) = ("1.2.0.192.bl.example", "2.2.0.192.bl.example");
    update(&server, &format!("update add {other} 600 A 127.0.0.2"));
    let (request, is_done) = captured(&server, &format!("prereq nxdomain {other}\nupdate add {owner} 600 A 127.0.0.2"));
    assert!(!is_done);
    update(&server, &format!("update delete {other}"));
    let reply = server.ask_udp(None, &request, false).expect("an answer");
    assert_eq!(reply[3] & 0xf, 6, "YXDOMAIN, as the client was told");
    assert!(!is_listed(&server, owner));
}

#[test]
fn one_refusal_refuses_all() {
    let server = open();
    super::http::put(&server, "bl.example", "192.0.2.9", "{\"excluded\":true}");
    let lines = "update add 8.2.0.192.bl.example 60 A 127.0.0.2\nupdate add 9.2.0.192.bl.example 60 A 127.0.0.2";
    assert!(refusal(&server, lines).contains("REFUSED"), "what a person excluded, no program lists");
    assert!(!is_listed(&server, "8.2.0.192.bl.example"));
}

#[test]
fn a_stream_keeps_its_order() {
    let server = open();
    let mut stream = server.connect(Ipv4Addr::LOCALHOST.into());
    let query = |name: &str| Query::new(name, 1).octets();
    let messages = [query("2.0.0.127.bl.example"), octets(SIGNED_LONG_AGO), query("1.2.0.192.bl.example")];
    let framed: Vec<u8> =
        messages.iter().flat_map(|octets| [&(octets.len() as u16).to_be_bytes()[..], octets].concat()).collect();
    stream.write_all(&framed).expect("written");
    let opcodes: Vec<u8> = (0..3).map(|_| read_message(&mut stream).expect("an answer")[2] >> 3 & 0xf).collect();
    assert_eq!(opcodes, [0, 5, 0]);
}

#[test]
fn what_clients_add_at_once_is_all_listed() {
    let server = open();
    std::thread::scope(|scope| {
        for client in 0..8 {
            let server = &server;
            scope.spawn(move || {
                for host in 0..5 {
                    update(server, &format!("update add {host}.{client}.0.10.bl.example 60 A 127.0.0.2"));
                    assert!(is_listed(server, &format!("{host}.{client}.0.10.bl.example")));
                }
            });
        }
    });
}

#[test]
fn without_keys_there_are_no_updates() {
    let file = format!("{}127.0.0.2\n", super::HEAD);
    let server = Server::with_config(&[("zones/bl.example.ip4set", &file)], "");
    let add = "zone bl.example\nupdate add 1.2.0.192.bl.example 60 A 127.0.0.2";
    for way in [&[][..], &["-v"]] {
        let (is_well, said) = nsupdate(&server, way, add);
        assert!(!is_well && said.contains("NOTIMP"), "{said}");
    }
    assert!(!is_listed(&server, "1.2.0.192.bl.example"));
}

#[test]
fn without_a_store_updates_fail() {
    let file = format!("{}127.0.0.2\n", super::HEAD);
    let config = format!("[keys.scanner]\nsecret = \"{SECRET}\"\nzones = [\"*\"]\n");
    let server = Server::with_state("zones/bl.example.ip4set/no", &[("zones/bl.example.ip4set", &file)], &config);
    assert!(refusal(&server, "update add 1.2.0.192.bl.example 60 A 127.0.0.2").contains("SERVFAIL"));
    assert!(is_listed(&server, "2.0.0.127.bl.example"), "and queries do not care");
    assert_eq!(super::http::metric(&server, "dnsbld_live_store_writable"), Some(0.0), "but alerts do");
}
