//! The transport against real sockets of the loopback interface, with a responder that knows no DNS: it sends the request
//! back with its id inverted, and does as the octets after the header say.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use dnsbld::net::{Counter, Limits, Listeners, Peer, Reply, Responder, Server, Settings, Transport, UdpCounters};

const PATIENCE: Duration = Duration::from_secs(5);

/// The octet after the header.
const ECHO: u8 = 0;
const HOLD_ONE_SECOND: u8 = 1;
const SAY_NOTHING: u8 = 2;
const SAY_MUCH: u8 = 3;
const PANIC: u8 = 4;
const SAY_YOUR_NUMBER: u8 = 5;

/// What `SAY_MUCH` brings over TCP.
const MUCH_LEN: usize = 60_000;

struct Echo {
    number: usize,
    batches: usize,
}

fn echo(number: usize) -> Echo {
    Echo { number, batches: 0 }
}

impl Responder for Echo {
    fn begin_batch(&mut self) {
        self.batches += 1;
    }

    fn respond(&mut self, client: &Peer, transport: Transport, request: &[u8], reply: &mut [u8]) -> Reply {
        assert!(self.batches > 0, "a batch was begun");
        assert_ne!(client.port(), 0);
        let order = request.get(12).copied().unwrap_or(ECHO);
        reply[..request.len()].copy_from_slice(request);
        reply[0] = !request[0];
        reply[1] = !request[1];
        match order {
            HOLD_ONE_SECOND => Reply { len: request.len(), hold_s: 1, is_late: false },
            SAY_NOTHING => Reply::NONE,
            SAY_MUCH if transport == Transport::Tcp => Reply::now(MUCH_LEN),
            PANIC => panic!("as ordered"),
            SAY_YOUR_NUMBER => {
                reply[13] = self.number as u8;
                Reply::now(request.len())
            }
            _ => Reply::now(request.len()),
        }
    }
}

fn query(id: u16, order: u8) -> Vec<u8> {
    let mut query = vec![0; 40];
    query[..2].copy_from_slice(&id.to_be_bytes());
    query[12] = order;
    query
}

fn serve(addresses: &[&str], settings: Settings) -> Server {
    let addresses: Vec<_> = addresses.iter().map(|address| address.parse().expect("address")).collect();
    let listeners = Listeners::bind(&addresses, settings).expect("bind");
    listeners.start(echo).expect("start")
}

/// The loopback addresses of this machine, which may have IPv6 switched off.
fn loopbacks() -> Vec<&'static str> {
    ["127.0.0.1:0", "[::1]:0"].into_iter().filter(|address| UdpSocket::bind(address).is_ok()).collect()
}

fn two_workers() -> Settings {
    Settings { udp_workers: 2, ..Settings::default() }
}

fn with_limits(limits: Limits) -> Settings {
    Settings { udp_workers: 1, tcp: Some(limits), ..Settings::default() }
}

fn end(server: Server) {
    let begun = Instant::now();
    server.stop();
    server.join().expect("threads end well");
    assert!(begun.elapsed() < Duration::from_secs(1), "stopping took {:?}", begun.elapsed());
}

/// Wait for something that another thread does soon.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

// UDP

fn udp_client(from: &str, to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(from).expect("bind");
    socket.connect(to).expect("connect");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    socket
}

fn udp_id(socket: &UdpSocket) -> u16 {
    let mut buffer = [0; 5000];
    let len = socket.recv(&mut buffer).expect("an answer");
    assert_eq!(len, 40);
    !u16::from_be_bytes([buffer[0], buffer[1]])
}

fn sum_of(server: &Server, of: fn(&UdpCounters) -> &Counter) -> u64 {
    server.counters().udp.iter().map(|worker| of(worker).value()).sum()
}

#[test]
fn every_datagram_is_answered_once_to_its_sender() {
    const CLIENTS: u16 = 16;
    const ROUNDS: u16 = 20;
    const WINDOW: u16 = 50;
    let server = serve(&loopbacks(), two_workers());
    for &address in server.addresses() {
        let home = if address.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let clients: Vec<_> = (0..CLIENTS).map(|_| udp_client(home, address)).collect();
        for round in 0..ROUNDS {
            // The ids tell the clients apart, so a wrong peer would be noticed.
            let ids = |client: u16| (0..WINDOW).map(move |n| (client << 12) | (round * WINDOW + n));
            for (client, socket) in (0..).zip(&clients) {
                ids(client).for_each(|id| assert_eq!(socket.send(&query(id, ECHO)).expect("send"), 40));
            }
            for (client, socket) in (0..).zip(&clients) {
                let seen: HashSet<_> = (0..WINDOW).map(|_| udp_id(socket)).collect();
                assert_eq!(seen, ids(client).collect());
            }
        }
        for socket in clients {
            socket.set_nonblocking(true).expect("option");
            assert_eq!(socket.recv(&mut [0; 99]).expect_err("no second answer").kind(), ErrorKind::WouldBlock);
        }
    }
    let total = u64::from(CLIENTS * ROUNDS) * u64::from(WINDOW) * server.addresses().len() as u64;
    eventually("all are counted", || sum_of(&server, |udp| &udp.sent) == total);
    assert_eq!(sum_of(&server, |udp| &udp.received), total);
    assert_eq!(sum_of(&server, |udp| &udp.replied), total);
    assert_eq!(sum_of(&server, |udp| &udp.send_errors), 0);
    end(server);
}

#[test]
fn a_wildcard_socket_answers_from_the_address_asked() {
    let server = serve(&["0.0.0.0:0"], two_workers());
    let v4 = server.addresses()[0].port();
    // Both clients are connected: the kernel drops what comes from any other address.
    for asked in ["127.0.0.1", "127.0.0.2", "127.9.9.9"] {
        let socket = udp_client("127.0.0.1:0", format!("{asked}:{v4}").parse().expect("address"));
        for id in 0..100 {
            socket.send(&query(id, ECHO)).expect("send");
            assert_eq!(udp_id(&socket), id);
        }
    }
    // A held reply keeps the address too.
    let socket = udp_client("127.0.0.1:0", format!("127.0.0.2:{v4}").parse().expect("address"));
    socket.send(&query(7, HOLD_ONE_SECOND)).expect("send");
    assert_eq!(udp_id(&socket), 7);
    end(server);
}

#[test]
fn both_wildcards_share_a_port() {
    if loopbacks().len() < 2 {
        return;
    }
    // What else runs here may hold the port at an address of IPv4, so the pair is tried with a few.
    let (server, beside) = (0..20)
        .find_map(|_| {
            let server = serve(&["[::]:0"], two_workers());
            let beside = SocketAddr::from(([0, 0, 0, 0], server.addresses()[0].port()));
            match Listeners::bind(&[beside], two_workers()) {
                Ok(listeners) => Some((server, listeners)),
                Err(error) if error.error.kind() == ErrorKind::AddrInUse => {
                    end(server);
                    None
                }
                Err(error) => panic!("{error}"),
            }
        })
        .expect("one of twenty ports is free at both");
    let port = server.addresses()[0].port();
    end(beside.start(echo).expect("start"));
    let socket = udp_client("[::1]:0", format!("[::1]:{port}").parse().expect("address"));
    socket.send(&query(1, ECHO)).expect("send");
    assert_eq!(udp_id(&socket), 1);
    end(server);
}

#[test]
fn held_replies_come_late_and_delay_no_one() {
    let server = serve(&["127.0.0.1:0"], Settings { udp_workers: 1, udp_batch: 8, ..Settings::default() });
    let socket = udp_client("127.0.0.1:0", server.addresses()[0]);
    let begun = Instant::now();
    for id in 0..20 {
        socket.send(&query(id, HOLD_ONE_SECOND)).expect("send");
        socket.send(&query(100 + id, ECHO)).expect("send");
    }
    for id in 0..20 {
        assert_eq!(udp_id(&socket), 100 + id);
    }
    assert!(begun.elapsed() < Duration::from_millis(900), "those behind were not delayed");
    eventually("20 wait", || sum_of(&server, |udp| &udp.held) == 20);
    // More of them than a batch holds, in order, on a socket that is idle by now.
    for id in 0..20 {
        assert_eq!(udp_id(&socket), id);
    }
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_millis(1900), "{waited:?}");
    eventually("none waits", || sum_of(&server, |udp| &udp.held) == 0);
    assert_eq!((sum_of(&server, |udp| &udp.replied), sum_of(&server, |udp| &udp.sent)), (40, 40));
    end(server);
}

#[test]
fn what_cannot_be_a_query_is_dropped_and_counted() {
    let server = serve(&["127.0.0.1:0"], two_workers());
    let socket = udp_client("127.0.0.1:0", server.addresses()[0]);
    for len in [0, 1, 11, 4097, 60_000] {
        socket.send(&vec![0; len]).expect("send");
    }
    socket.send(&query(1, SAY_NOTHING)).expect("send");
    socket.send(&query(2, ECHO)).expect("send");
    assert_eq!(udp_id(&socket), 2);
    eventually("all are counted", || sum_of(&server, |udp| &udp.received) == 7);
    assert_eq!(
        server.counters().unread(),
        [[("short", 3), ("long", 2), ("port_zero", 0)], [("short", 0), ("long", 0), ("port_zero", 0)]]
    );
    assert_eq!(sum_of(&server, |udp| &udp.unanswered), 1);
    assert_eq!(sum_of(&server, |udp| &udp.replied), 1);
    end(server);
}

#[test]
fn a_bug_in_the_responder_costs_a_batch_or_a_connection_not_a_worker() {
    let server = serve(&["127.0.0.1:0"], Settings { udp_workers: 1, ..Settings::default() });
    let socket = udp_client("127.0.0.1:0", server.addresses()[0]);
    socket.send(&query(1, HOLD_ONE_SECOND)).expect("send");
    eventually("it waits", || sum_of(&server, |udp| &udp.held) == 1);
    socket.send(&query(1, PANIC)).expect("send");
    eventually("it is counted", || sum_of(&server, |udp| &udp.panics) == 1);
    assert_eq!(sum_of(&server, |udp| &udp.held), 0, "what was held is lost with it");
    socket.send(&query(2, ECHO)).expect("send");
    assert_eq!(udp_id(&socket), 2);
    let mut stream = tcp_client(server.addresses()[0]);
    stream.write_all(&framed(&query(1, PANIC))).expect("write");
    expect_close(&mut stream);
    ask(&mut tcp_client(server.addresses()[0]), 3);
    eventually("it is counted", || server.counters().tcp.closed_aborted.value() == 1);
    assert_eq!(server.counters().tcp.panics.value(), 1);
    end(server);
}

#[test]
fn whoever_begins_anew_keeps_its_number() {
    let server = serve(&["127.0.0.1:0", "127.0.0.2:0"], Settings { udp_workers: 1, ..Settings::default() });
    let number = |address: &SocketAddr| {
        let socket = udp_client("127.0.0.1:0", *address);
        socket.send(&query(1, SAY_YOUR_NUMBER)).expect("send");
        let mut reply = [0; 40];
        socket.recv(&mut reply).expect("an answer");
        reply[13]
    };
    for (place, address) in server.addresses().iter().enumerate() {
        for panics in 0..3 {
            assert_eq!(usize::from(number(address)), place);
            udp_client("127.0.0.1:0", *address).send(&query(1, PANIC)).expect("send");
            eventually("it is counted", || server.counters().udp[place].panics.value() == panics + 1);
        }
    }
    let mut stream = tcp_client(server.addresses()[0]);
    stream.write_all(&framed(&query(1, SAY_YOUR_NUMBER))).expect("write");
    assert_eq!(tcp_message(&mut stream)[13], 2, "the TCP thread comes last");
    end(server);
}

// TCP

fn tcp_client(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream.set_nodelay(true).expect("option");
    stream
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

fn tcp_message(stream: &mut TcpStream) -> Vec<u8> {
    let mut len = [0; 2];
    stream.read_exact(&mut len).expect("a length");
    let mut message = vec![0; u16::from_be_bytes(len).into()];
    stream.read_exact(&mut message).expect("a message");
    message
}

fn tcp_id(stream: &mut TcpStream) -> u16 {
    let message = tcp_message(stream);
    !u16::from_be_bytes([message[0], message[1]])
}

fn ask(stream: &mut TcpStream, id: u16) {
    stream.write_all(&framed(&query(id, ECHO))).expect("write");
    assert_eq!(tcp_id(stream), id);
}

/// The server closes, with or without a reset.
fn expect_close(stream: &mut TcpStream) {
    match stream.read(&mut [0]) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("not closed: {other:?}"),
    }
}

/// The sum that must hold when nothing is under way.
fn expect_balance(server: &Server) {
    eventually("accepted = open + closed", || {
        let tcp = server.counters().tcp;
        let closed: u64 = tcp.closed().iter().map(|(_, count)| count).sum();
        tcp.accepted.value() == tcp.open.value() + closed
    });
}

#[test]
fn a_hundred_queries_in_one_segment_are_answered_in_order() {
    let server = serve(&loopbacks(), two_workers());
    for &address in server.addresses() {
        let mut stream = tcp_client(address);
        for order in [ECHO, SAY_MUCH] {
            let all: Vec<_> = (0..100).flat_map(|id| framed(&query(id, order))).collect();
            stream.write_all(&all).expect("write");
            for id in 0..100 {
                let message = tcp_message(&mut stream);
                assert_eq!(message.len(), if order == SAY_MUCH { MUCH_LEN } else { 40 });
                assert_eq!(!u16::from_be_bytes([message[0], message[1]]), id);
            }
        }
    }
    assert_eq!(server.counters().tcp.replied.value(), 200 * server.addresses().len() as u64);
    expect_balance(&server);
    end(server);
}

#[test]
fn queries_may_come_octet_by_octet() {
    let server = serve(&["127.0.0.1:0"], two_workers());
    let mut stream = tcp_client(server.addresses()[0]);
    for id in 0..3 {
        for octet in framed(&query(id, ECHO)) {
            stream.write_all(&[octet]).expect("write");
            thread::sleep(Duration::from_micros(300));
        }
        assert_eq!(tcp_id(&mut stream), id);
    }
    end(server);
}

#[test]
fn queries_may_be_cut_anywhere() {
    let server = serve(&["127.0.0.1:0"], two_workers());
    let mut stream = tcp_client(server.addresses()[0]);
    let mut random = SmallRng::seed_from_u64(7766);
    for round in 0..20 {
        let mut all = Vec::new();
        for id in 0..100 {
            let mut query = query(id, ECHO);
            query.resize(random.random_range(13..=if round % 2 == 0 { 60 } else { 4096 }), round);
            all.extend(framed(&query));
        }
        let mut reader = stream.try_clone().expect("clone");
        let answers = thread::spawn(move || (0..100).for_each(|id| assert_eq!(tcp_id(&mut reader), id)));
        let mut rest = &all[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(random.random_range(1..=rest.len().min(9000)));
            stream.write_all(piece).expect("write");
            rest = after;
        }
        answers.join().expect("all in order");
    }
    assert_eq!(server.counters().tcp.replied.value(), 2000);
    end(server);
}

#[test]
fn a_client_that_has_said_all_still_gets_its_answers() {
    let server = serve(&["127.0.0.1:0"], two_workers());
    let mut stream = tcp_client(server.addresses()[0]);
    let mut all = framed(&query(1, ECHO));
    all.extend(framed(&query(2, HOLD_ONE_SECOND)));
    all.extend((3..60).flat_map(|id| framed(&query(id, SAY_MUCH))));
    let begun = Instant::now();
    stream.write_all(&all).expect("write");
    stream.shutdown(Shutdown::Write).expect("shutdown");
    assert_eq!(tcp_id(&mut stream), 1);
    assert!(begun.elapsed() < Duration::from_millis(900), "what is ahead of a held reply does not wait");
    assert_eq!(tcp_id(&mut stream), 2);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    for id in 3..60 {
        assert_eq!(tcp_id(&mut stream), id);
    }
    assert_eq!(stream.read(&mut [0]).expect("a clean end"), 0);
    eventually("it is counted", || server.counters().tcp.closed_ended.value() == 1);
    expect_balance(&server);
    end(server);
}

#[test]
fn a_silent_client_is_closed_and_half_a_query_is_silence() {
    let server = serve(&["127.0.0.1:0"], with_limits(Limits { idle_close_ms: 200, ..Limits::default() }));
    let (mut silent, mut slow) = (tcp_client(server.addresses()[0]), tcp_client(server.addresses()[0]));
    let begun = Instant::now();
    let sender = thread::spawn(move || {
        // It would take two seconds at this pace; the first write after the reset fails.
        framed(&query(1, ECHO)).iter().all(|octet| {
            thread::sleep(Duration::from_millis(50));
            slow.write_all(&[*octet]).is_ok()
        })
    });
    ask(&mut silent, 1);
    expect_close(&mut silent);
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert!(!sender.join().expect("ends"), "the slow sender was cut off");
    assert!(begun.elapsed() < Duration::from_millis(1500));
    eventually("both are counted", || server.counters().tcp.closed_idle.value() == 2);
    end(server);
}

#[test]
fn impossible_lengths_close_after_what_was_asked_before() {
    let server = serve(&["127.0.0.1:0"], two_workers());
    for len in [0_u16, 11, 4097, 65_535] {
        let mut stream = tcp_client(server.addresses()[0]);
        let mut all: Vec<_> = (0..10).flat_map(|id| framed(&query(id, ECHO))).collect();
        all.extend(len.to_be_bytes());
        all.extend([0; 100]);
        stream.write_all(&all).expect("write");
        for id in 0..10 {
            assert_eq!(tcp_id(&mut stream), id);
        }
        assert_eq!(stream.read(&mut [0]).expect("a clean end"), 0);
    }
    eventually("all are counted", || server.counters().tcp.closed_bad_length.value() == 4);
    end(server);
}

#[test]
fn a_connection_has_so_many_queries_and_so_long() {
    let limits = Limits { max_queries: 50, lifetime_ms: 400, ..Limits::default() };
    let server = serve(&["127.0.0.1:0"], with_limits(limits));
    let mut stream = tcp_client(server.addresses()[0]);
    let all: Vec<_> = (0..100).flat_map(|id| framed(&query(id, ECHO))).collect();
    stream.write_all(&all).expect("write");
    for id in 0..50 {
        assert_eq!(tcp_id(&mut stream), id);
    }
    assert_eq!(stream.read(&mut [0]).expect("a clean end"), 0);
    drop(stream);
    let mut stream = tcp_client(server.addresses()[0]);
    let begun = Instant::now();
    let mut asked = 0;
    while begun.elapsed() < PATIENCE && stream.write_all(&framed(&query(9, ECHO))).is_ok() {
        match stream.read(&mut [0; 99]) {
            Ok(0) | Err(_) => break,
            Ok(_) => asked += 1,
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert!(asked < 50 && begun.elapsed() >= Duration::from_millis(350) && begun.elapsed() < Duration::from_secs(2));
    eventually("it is counted", || server.counters().tcp.closed_lifetime.value() == 1);
    assert_eq!(server.counters().tcp.closed_query_limit.value(), 1);
    end(server);
}

#[test]
fn what_is_held_longer_than_its_connection_is_not_to_be_had_earlier() {
    let limits = Limits { lifetime_ms: 400, stall_close_ms: 60_000, ..Limits::default() };
    let server = serve(&["127.0.0.1:0"], with_limits(limits));
    let mut stream = tcp_client(server.addresses()[0]);
    stream.write_all(&framed(&query(1, HOLD_ONE_SECOND))).expect("write");
    assert_eq!(stream.read(&mut [0]).expect("a clean end"), 0);
    eventually("it is counted", || server.counters().tcp.closed_lifetime.value() == 1);
    // Nor is a client stalled that has not read for longer than that.
    let mut deaf = tcp_client(server.addresses()[0]);
    deaf.set_write_timeout(Some(Duration::from_millis(50))).expect("timeout");
    let all: Vec<_> = (0..1000).flat_map(|id| framed(&query(id, SAY_MUCH))).collect();
    let _ = deaf.write(&all);
    eventually("it is counted", || server.counters().tcp.closed_lifetime.value() == 2);
    end(server);
}

#[test]
fn one_client_has_so_many_connections() {
    let limits = Limits { max_connections_per_client: 3, ..Limits::default() };
    let server = serve(&["127.0.0.1:0"], with_limits(limits));
    let mut streams: Vec<_> = (0..3).map(|_| tcp_client(server.addresses()[0])).collect();
    for stream in &mut streams {
        ask(stream, 1);
    }
    expect_close(&mut tcp_client(server.addresses()[0]));
    assert_eq!(server.counters().tcp.refused_per_client.value(), 1);
    for stream in &mut streams {
        ask(stream, 2);
    }
    // A seat that is left can be taken again.
    streams.pop();
    eventually("it has left", || server.counters().tcp.open.value() == 2);
    ask(&mut tcp_client(server.addresses()[0]), 3);
    expect_balance(&server);
    end(server);
}

#[test]
fn a_thousand_idle_connections_starve_no_one() {
    const IDLE: usize = 1000;
    let limits = Limits {
        max_connections: IDLE,
        max_connections_per_client: 2 * IDLE,
        idle_close_ms: 60_000,
        ..Limits::default()
    };
    let limits = Limits { crowded_idle_close_ms: 60_000, ..limits };
    let server = serve(&["127.0.0.1:0"], with_limits(limits));
    let mut idle: Vec<_> = (0..IDLE).map(|_| tcp_client(server.addresses()[0])).collect();
    eventually("all are in", || server.counters().tcp.open.value() == IDLE as u64);
    ask(&mut idle[0], 1);
    let begun = Instant::now();
    let mut newcomer = tcp_client(server.addresses()[0]);
    for id in 0..100 {
        ask(&mut newcomer, id);
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    // The longest quiet made room: not the first, who has asked since, but the second.
    expect_close(&mut idle[1]);
    ask(&mut idle[0], 2);
    ask(&mut idle[2], 3);
    assert_eq!(server.counters().tcp.closed_evicted.value(), 1);
    assert_eq!(server.counters().tcp.open.value(), IDLE as u64);
    expect_balance(&server);
    end(server);
}

#[test]
fn in_a_crowd_silence_ends_sooner() {
    let limits = Limits { max_connections: 8, crowded_idle_close_ms: 100, ..Limits::default() };
    let server = serve(&["127.0.0.1:0"], with_limits(limits));
    let mut streams: Vec<_> = (0..8).map(|_| tcp_client(server.addresses()[0])).collect();
    // An answer held is not the client's silence.
    streams[0].write_all(&framed(&query(1, HOLD_ONE_SECOND))).expect("write");
    // Three quarters may stay.
    eventually("two have gone", || server.counters().tcp.closed_idle.value() == 2);
    expect_close(&mut streams[1]);
    expect_close(&mut streams[2]);
    for stream in &mut streams[3..] {
        ask(stream, 2);
    }
    assert_eq!(tcp_id(&mut streams[0]), 1);
    assert_eq!(server.counters().tcp.open.value(), 6);
    end(server);
}

#[test]
fn a_client_that_does_not_read_is_closed_and_delays_no_one() {
    let server = serve(&["127.0.0.1:0"], with_limits(Limits { stall_close_ms: 300, ..Limits::default() }));
    let mut deaf = tcp_client(server.addresses()[0]);
    deaf.set_write_timeout(Some(Duration::from_millis(50))).expect("timeout");
    let all: Vec<_> = (0..1000).flat_map(|id| framed(&query(id, SAY_MUCH))).collect();
    // How much of it is taken is the kernel's affair.
    let _ = deaf.write(&all);
    let mut other = tcp_client(server.addresses()[0]);
    let begun = Instant::now();
    for id in 0..100 {
        ask(&mut other, id);
    }
    assert!(begun.elapsed() < Duration::from_secs(1));
    eventually("it is closed", || server.counters().tcp.closed_stalled.value() == 1);
    assert!(server.counters().tcp.replied.value() < 500, "it was not answered without end");
    expect_balance(&server);
    end(server);
}

/// How much the kernel takes at once is its affair. So each client asks for more than the one before, and none reads: those whose
/// answers have all left are silent and closed, the others are still being answered, one of them its last query.
#[test]
fn a_client_that_reads_slowly_may_ask_on() {
    const CLIENTS: usize = 16;
    const IDLE_MS: u64 = 800;
    let server = serve(&["127.0.0.1:0"], with_limits(Limits { idle_close_ms: IDLE_MS, ..Limits::default() }));
    let mut clients: Vec<_> = (1..=CLIENTS).map(|count| (tcp_client(server.addresses()[0]), count)).collect();
    for (stream, count) in &mut clients {
        let all: Vec<_> = (0..*count).flat_map(|id| framed(&query(id as u16, SAY_MUCH))).collect();
        stream.write_all(&all).expect("write");
    }
    thread::sleep(Duration::from_millis(IDLE_MS * 3 / 2)); // what does not happen for so long cannot be waited for
    let silent = server.counters().tcp.closed_idle.value() as usize;
    assert!(silent < CLIENTS, "the kernel took everything");
    let asked_on = clients.iter_mut().filter_map(|(stream, count)| {
        (0..*count).for_each(|id| assert_eq!(tcp_id(stream), id as u16));
        stream.write_all(&framed(&query(9, ECHO))).ok()?;
        stream.read_exact(&mut [0; 42]).ok()
    });
    assert_eq!(asked_on.count(), CLIENTS - silent);
    end(server);
}

#[test]
fn stopping_ends_open_connections() {
    // At an address that the clients of other tests do not have, so that none of them takes the port.
    let server = serve(&["127.9.0.1:0"], two_workers());
    let mut stream = tcp_client(server.addresses()[0]);
    ask(&mut stream, 1);
    let address = server.addresses()[0];
    end(server);
    expect_close(&mut stream);
    // The address is free again at once.
    end(serve(&[&address.to_string()], two_workers()));
}

#[test]
fn without_tcp_there_is_none() {
    let server = serve(&["127.0.0.1:0"], Settings { tcp: None, ..two_workers() });
    assert!(TcpStream::connect(server.addresses()[0]).is_err());
    end(server);
}
