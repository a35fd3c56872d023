//! The transport against real sockets of the loopback interface, with a responder that knows no DNS: it sends the request
//! back with its id inverted, and does as the octets after the header say.

mod connections;
mod datagrams;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use dnsbld::net::{
    Closed, Counter, Limits, Listeners, Peer, Reply, Responder, Server, Settings, Transport, UdpCounters,
};

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
    eventually("it is counted", || server.counters().tcp.closed_for(Closed::Aborted).value() == 1);
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
