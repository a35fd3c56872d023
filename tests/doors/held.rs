//! HTTP connections that bring no request: they are closed, and take nothing from anybody else.

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::{open, run, support::message::Query};

/// More than are let in.
const HELD: usize = 100;

/// By when enough of those that were let in must be closed: ten seconds, and what a busy machine takes.
const PATIENCE: Duration = Duration::from_secs(25);

fn connect(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.write_all(text.as_bytes()).expect("written");
    stream
}

#[test]
fn half_open_connections_are_closed_and_harm_nobody() {
    let server = open();
    let address = server.http();
    // As many descriptors as it has now, those that HTTP may take, and a few: not enough for all that are held.
    let open_count = fs::read_dir(format!("/proc/{}/fd", server.id())).expect("a running process").count();
    let most = open_count + 64 + 16 + 16;
    let (is_well, said) = run("prlimit", &["--pid", &server.id().to_string(), &format!("--nofile={most}:{most}")], "");
    assert!(is_well, "{said}");
    let begun = Instant::now();
    let mut held: Vec<TcpStream> = (0..HELD).map(|_| connect(address, "GET /metrics HTTP/1.1\r\n")).collect();
    let mut health = connect(address, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    held.iter().chain([&health]).for_each(|stream| stream.set_nonblocking(true).expect("a mode"));
    let (question, mut reply, mut asked) = (Query::new("2.0.0.127.bl.example", 1).octets(), Vec::new(), 0);
    loop {
        let answer = server.ask_tcp(None, &question, false);
        assert!(answer.is_some(), "DNS over TCP after {:?} and {asked} answers: {}", begun.elapsed(), server.said());
        asked += 1;
        match health.read_to_end(&mut reply) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => break assert!(read.is_ok(), "{read:?}"),
        }
        assert!(begun.elapsed() < PATIENCE, "no HTTP: {}", server.said());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(reply.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&reply));
    let is_closed = |stream: &mut TcpStream| stream.read(&mut [0]).is_ok_and(|length| length == 0);
    let closed = held.iter_mut().map(is_closed).filter(|is_closed| *is_closed).count();
    assert!(closed > 0 && server.said().contains("64 HTTP connections are open"), "{closed}: {}", server.said());
}
