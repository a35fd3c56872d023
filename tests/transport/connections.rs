//! Connections: however queries are cut, whoever is silent, slow, in a hurry or one of too many.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use dnsbld::net::{Closed, Limits, Settings};

use super::{
    ECHO, HOLD_ONE_SECOND, MUCH_LEN, PATIENCE, SAY_MUCH, ask, end, eventually, expect_balance, expect_close, framed,
    loopbacks, query, serve, tcp_client, tcp_id, tcp_message, two_workers, with_limits,
};

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
    for id in (1..60).filter(|id| *id != 2) {
        assert_eq!(tcp_id(&mut stream), id);
    }
    assert_eq!(tcp_id(&mut stream), 2);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(stream.read(&mut [0]).expect("a clean end"), 0);
    eventually("it is counted", || server.counters().tcp.closed_for(Closed::Ended).value() == 1);
    expect_balance(&server);
    end(server);
}

/// RFC 7766 section 6.2.1.1: as many queries as one client may ask at once do not wait for each other.
#[test]
fn held_answers_delay_no_others_as_long_as_there_is_room() {
    const MANY: u16 = 1_000;
    // Of those that are held, with the octets that they take.
    let room = (16 << 10) / (query(0, ECHO).len() as u16 + 2) + 1;
    let server = serve(&["127.0.0.1:0"], with_limits(Limits { idle_close_ms: 300, ..Limits::default() }));
    let mut stream = tcp_client(server.addresses()[0]);
    let begun = Instant::now();
    stream.write_all(&framed(&query(1, HOLD_ONE_SECOND))).expect("write");
    ask(&mut stream, 2);
    // The silence until then is not the client's, whatever else was answered.
    thread::sleep(Duration::from_millis(500));
    ask(&mut stream, 3);
    assert!(begun.elapsed() < Duration::from_millis(900), "what is behind a held reply does not wait");
    assert_eq!(tcp_id(&mut stream), 1);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let begun = Instant::now();
    let held = (0..MANY).flat_map(|id| framed(&query(id, HOLD_ONE_SECOND)));
    stream.write_all(&held.chain(framed(&query(MANY, ECHO))).collect::<Vec<_>>()).expect("write");
    // One after the other as there is room for them: some a second later, some two, some three.
    let mut next = 0;
    while next < MANY {
        let (id, waited_s) = (tcp_id(&mut stream), begun.elapsed().as_secs());
        if id == MANY {
            assert!(waited_s >= 1, "there was no room for all ahead of it");
            continue;
        }
        assert_eq!(id, next);
        assert!(waited_s > u64::from(id / room), "{id} after {waited_s} s");
        next += 1;
    }
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
    eventually("both are counted", || server.counters().tcp.closed_for(Closed::Idle).value() == 2);
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
    eventually("all are counted", || server.counters().tcp.closed_for(Closed::BadLength).value() == 4);
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
    eventually("it is counted", || server.counters().tcp.closed_for(Closed::Lifetime).value() == 1);
    assert_eq!(server.counters().tcp.closed_for(Closed::QueryLimit).value(), 1);
    end(server);
}

#[test]
fn what_is_held_longer_than_its_connection_is_not_to_be_had_earlier() {
    let limits = Limits { lifetime_ms: 400, stall_close_ms: 60_000, ..Limits::default() };
    let server = serve(&["127.0.0.1:0"], with_limits(limits));
    let mut stream = tcp_client(server.addresses()[0]);
    stream.write_all(&framed(&query(1, HOLD_ONE_SECOND))).expect("write");
    assert_eq!(stream.read(&mut [0]).expect("a clean end"), 0);
    eventually("it is counted", || server.counters().tcp.closed_for(Closed::Lifetime).value() == 1);
    // Nor is a client stalled that has not read for longer than that.
    let mut deaf = tcp_client(server.addresses()[0]);
    deaf.set_write_timeout(Some(Duration::from_millis(50))).expect("timeout");
    let all: Vec<_> = (0..1000).flat_map(|id| framed(&query(id, SAY_MUCH))).collect();
    let _ = deaf.write(&all);
    eventually("it is counted", || server.counters().tcp.closed_for(Closed::Lifetime).value() == 2);
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
    assert_eq!(server.counters().tcp.closed_for(Closed::Evicted).value(), 1);
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
    eventually("two have gone", || server.counters().tcp.closed_for(Closed::Idle).value() == 2);
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
    eventually("it is closed", || server.counters().tcp.closed_for(Closed::Stalled).value() == 1);
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
    let silent = server.counters().tcp.closed_for(Closed::Idle).value() as usize;
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
