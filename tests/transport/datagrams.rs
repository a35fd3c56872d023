//! Datagrams: in batches, from the address that was asked, held for a while, or dropped.

use std::{
    collections::HashSet,
    io::ErrorKind,
    net::SocketAddr,
    time::{Duration, Instant},
};

use dnsbld::net::{Listeners, Settings};

use super::{
    ECHO, HOLD_ONE_SECOND, SAY_NOTHING, echo, end, eventually, loopbacks, query, serve, sum_of, two_workers,
    udp_client, udp_id,
};

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
