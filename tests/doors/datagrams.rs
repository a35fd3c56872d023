//! rspamd's update datagrams, to a path and over UDP.

use std::{
    io::IoSlice,
    net::UdpSocket,
    os::{
        fd::AsRawFd as _,
        unix::{fs::PermissionsExt as _, net::UnixDatagram},
    },
    time::Duration,
};

use dnsbld::live::clock;
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};

use super::{
    HEAD, Server, TOKEN, ask,
    http::metric,
    is_listed, open,
    support::daemon::{await_true, free_address},
};

const PATIENCE: Duration = Duration::from_secs(5);

/// Sends from a path and returns the answer.
pub(crate) fn send(server: &Server, datagram: &[u8]) -> String {
    send_with(server, datagram, &[])
}

/// The same with control messages.
fn send_with(server: &Server, datagram: &[u8], messages: &[ControlMessage<'_>]) -> String {
    let own = server.folder().join("client.sock");
    let _ = std::fs::remove_file(&own);
    let socket = UnixDatagram::bind(&own).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let address = UnixAddr::new(&server.folder().join("updates.sock")).expect("a path");
    let flags = MsgFlags::empty();
    sendmsg(socket.as_raw_fd(), &[IoSlice::new(datagram)], messages, flags, Some(&address)).expect("sent");
    let mut answer = [0; 64];
    let length = socket.recv(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[test]
fn lines_are_listings_and_fail_means_it() {
    let server = open();
    assert_eq!(send(&server, b"bl.example\x00192.0.2.1 :127.0.0.3:seen at $ @ lifetime=1h"), "OK");
    assert_eq!(ask(&server, "1.2.0.192.bl.example", 1), "No Error 127.0.0.3");
    assert_eq!(ask(&server, "1.2.0.192.bl.example", 16), "No Error seen at 192.0.2.1");
    assert_eq!(send(&server, b"names.example\x00*.spam.example"), "OK");
    assert!(is_listed(&server, "www.spam.example.names.example"));
    for wrong in [
        &b"bl.example 192.0.2.2"[..],
        b"elsewhere.example\x00192.0.2.2",
        b"other.example\x00192.0.2.2",
        b"bl.example\x00not an address",
        b"bl.example\x00192.0.2.2/24",
        b"names.example\x0010.0.1",
        b"names.example\x00-10.0.1",
        b"bl.example\x00192.0.2.2 @ delay=60s",
        b"bl.example\x00192.0.2.2 @ until=1000000000",
        b"",
    ] {
        assert_eq!(send(&server, wrong), "FAIL", "{:?}", String::from_utf8_lossy(wrong));
    }
    assert!(!is_listed(&server, "2.2.0.192.bl.example") && !is_listed(&server, "2.2.0.192.other.example"));
}

/// Scanners report again, and datagrams overtake each other.
#[test]
fn a_report_with_its_time_shortens_nothing_and_counts() {
    let config = concat!(
        "[datagrams]\nlisten = \"./updates.sock\"\nzones = [\"*\"]\n",
        "[tokens.tester]\nfile = \"token\"\nzones = [\"*\"]\n",
        "[listings]\nescalate = [\"1d\"]\nrepeat-after = \"0s\"\n"
    );
    let files = [("zones/bl.example.ip4set", &*format!("{HEAD}127.0.0.2\n")), ("token", TOKEN)];
    let server = Server::with_config(&files, config);
    let now_s = clock::now_s();
    let until = |key: &str| super::http::get(&server, &format!("/v1/zones/bl.example/listings/{key}"))["until"].clone();
    let send_line = |line: &str| assert_eq!(send(&server, format!("bl.example\0{line}").as_bytes()), "OK", "{line}");
    for key in ["192.0.2.1", "!192.0.2.2"] {
        let bare = key.trim_start_matches('!');
        send_line(&format!("{key} @ lifetime=0"));
        send_line(&format!("{key} @ ts={};lifetime=1h", now_s - 3_000));
        assert_eq!(until(bare), serde_json::Value::Null, "{key}");
        let end_s = now_s + 3_000;
        send_line(&format!("{key} @ until={end_s}"));
        assert_eq!(until(bare), clock::date(end_s), "{key}: an end that is named is taken by its word");
    }
    send_line(&format!("192.0.2.3 @ ts={now_s};lifetime=1h"));
    assert_eq!(until("192.0.2.3"), clock::date(now_s + 3_600));
    send_line(&format!("192.0.2.3 @ ts={now_s};lifetime=1h"));
    let second_s = until("192.0.2.3").as_str().and_then(clock::parse_date).expect("a time");
    assert!(second_s >= now_s + 86_400, "the second time: {second_s}");
}

#[test]
fn exclusions_win_over_files_and_lines_can_be_taken_back() {
    let server = open();
    assert!(is_listed(&server, "2.0.0.127.bl.example"));
    assert_eq!(send(&server, b"bl.example\x00!127.0.0.2 @ lifetime=7d\n"), "OK");
    assert!(!is_listed(&server, "2.0.0.127.bl.example"));
    assert_eq!(send(&server, b"bl.example\x00127.0.0.2"), "FAIL", "no listing undoes it");
    assert!(!is_listed(&server, "2.0.0.127.bl.example"));
    assert_eq!(send(&server, b"bl.example\x00-127.0.0.2"), "OK");
    assert!(is_listed(&server, "2.0.0.127.bl.example"));
}

#[test]
fn an_exclusion_is_the_brake_for_all_within_it() {
    let server = open();
    assert_eq!(send(&server, b"bl.example\x00!203.0.113.0/24"), "OK");
    assert_eq!(send(&server, b"bl.example\x00203.0.113.7 :2:x @ lifetime=1h"), "FAIL");
    assert!(!is_listed(&server, "7.113.0.203.bl.example"));
    let says = |words: &str| await_true(words, || server.said().contains(words), || server.said());
    says("203.0.113.0/24 is excluded in zone bl.example");
    assert_eq!(send(&server, b"bl.example\x00198.51.100.7"), "OK");
    assert_eq!(send(&server, b"bl.example\x00!198.51.100.0/24"), "OK");
    says("what was listed by command stays listed: 1 listing; dnsbld listings bl.example shows it");
    says("key=198.51.100.0/24");
    assert_eq!(send(&server, b"names.example\x00!*.spam.example"), "OK");
    assert_eq!(send(&server, b"names.example\x00a.b.spam.example"), "FAIL");
    assert_eq!(send(&server, b"names.example\x00spam.example"), "OK", "which is not below itself");
}

/// A name with all below it is two places, and no sender is told FAIL of half of it.
#[test]
fn all_of_a_datagram_is_done_or_nothing() {
    let server = open();
    assert_eq!(send(&server, b"names.example\x00!*.half.example"), "OK");
    assert_eq!(send(&server, b"names.example\x00.half.example"), "FAIL");
    let why = "*.half.example is excluded in zone names.example";
    await_true(why, || server.said().contains(why), || server.said());
    assert!(!is_listed(&server, "half.example.names.example") && !is_listed(&server, "x.half.example.names.example"));
    assert_eq!(send(&server, b"names.example\x00half.example"), "OK");
    assert!(is_listed(&server, "half.example.names.example"));
}

/// As most programs that only send: their socket has no name.
#[test]
fn a_sender_without_a_name_is_heard_and_not_answered() {
    let server = open();
    let socket = UnixDatagram::unbound().expect("a socket");
    socket.connect(server.folder().join("updates.sock")).expect("a path");
    for datagram in [&b"bl.example\0no address"[..], b"bl.example\x00192.0.2.1", b"bl.example\x00192.0.2.2"] {
        socket.send(datagram).expect("somebody listens");
    }
    // What comes behind those is done behind those.
    assert_eq!(send(&server, b"bl.example\x00192.0.2.3"), "OK");
    for number in 1..=3 {
        assert!(is_listed(&server, &format!("{number}.2.0.192.bl.example")), "{number}");
    }
    let counted =
        |result| metric(&server, &format!("dnsbld_door_requests_total{{door=\"rspamd\",result=\"{result}\"}}"));
    assert_eq!([counted("done"), counted("refused"), counted("failed")], [Some(3.0), Some(1.0), Some(0.0)]);
    assert!(!server.said().contains("panic"), "{}", server.said());
}

#[test]
fn permissions_decide_and_the_sender_is_known() {
    let server = open();
    let mode = std::fs::metadata(server.folder().join("updates.sock")).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    assert_eq!(send(&server, b"bl.example\x00192.0.2.1"), "OK");
    let said = super::http::get(&server, "/v1/zones/bl.example/listings/192.0.2.1");
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
    let who = user.map_or_else(|| format!("uid {}", nix::unistd::geteuid()), |user| user.name);
    assert_eq!(said["by"], serde_json::json!({ "door": "rspamd", "who": who, "from": null }), "{said}");
}

#[test]
fn descriptors_are_not_let_in_and_shut_no_door() {
    let server = open();
    let file = std::fs::File::open("/dev/null").expect("a file");
    for number in 1..=3 {
        let datagram = format!("bl.example\x00192.0.2.{number}");
        let descriptors = [file.as_raw_fd(); 3];
        assert_eq!(send_with(&server, datagram.as_bytes(), &[ControlMessage::ScmRights(&descriptors)]), "FAIL");
        assert!(!is_listed(&server, &format!("{number}.2.0.192.bl.example")), "nobody is known to have said so");
    }
    assert_eq!(send(&server, b"bl.example\x00192.0.2.1"), "OK");
    assert!(is_listed(&server, "1.2.0.192.bl.example"));
}

#[test]
fn a_path_that_is_removed_is_made_again() {
    let server = open();
    let path = server.folder().join("updates.sock");
    std::fs::remove_file(&path).expect("removed");
    // It is bound first, and then gets its permissions.
    let is_there = || std::fs::metadata(&path).is_ok_and(|file| file.permissions().mode() & 0o777 == 0o660);
    await_true("a socket", is_there, || server.said());
    assert_eq!(send(&server, b"bl.example\x00192.0.2.1"), "OK");
    assert!(is_listed(&server, "1.2.0.192.bl.example"));
}

#[test]
fn a_zone_without_data_is_a_failure_of_ours() {
    let config = "[datagrams]\nlisten = \"./updates.sock\"\nzones = [\"*\"]\n";
    let from_future = format!("{HEAD}$TIMESTAMP 2037-12-24\n127.0.0.2\n");
    let files = [("zones/bl.example.ip4set", &*from_future), ("zones/other.example.ip4set", "127.0.0.2\n")];
    let server = Server::with_config(&files, config);
    assert_eq!(send(&server, b"bl.example\x00192.0.2.1"), "FAIL");
    assert_eq!(send(&server, b"elsewhere.example\x00192.0.2.1"), "FAIL");
    let counted =
        |result| metric(&server, &format!("dnsbld_door_requests_total{{door=\"rspamd\",result=\"{result}\"}}"));
    assert_eq!([counted("failed"), counted("refused")], [Some(1.0); 2]);
}

#[test]
fn over_udp_on_loopback() {
    let file = format!("{HEAD}127.0.0.2\n");
    let place = free_address();
    let config = format!("[datagrams]\nlisten = \"{place}\"\nzones = [\"*\"]\n");
    let server = Server::with_config(&[("zones/bl.example.ip4set", &file)], &config);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut answer = [0; 64];
    for (line, expected) in [(&b"bl.example\x00192.0.2.1"[..], &b"OK"[..]), (b"bl.example\x00no", b"FAIL")] {
        socket.send_to(line, place).expect("sent");
        let length = socket.recv(&mut answer).expect("an answer");
        assert_eq!(&answer[..length], expected);
    }
    assert!(is_listed(&server, "1.2.0.192.bl.example"));
}
