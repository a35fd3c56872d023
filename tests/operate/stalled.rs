//! A log that nobody reads any more: whoever reads it stops nobody but the log.

use std::{
    fs,
    net::UdpSocket,
    process::Command,
    time::{Duration, Instant},
};

use nix::sys::{signal::Signal, stat::Mode};

use super::{
    daemon::{Daemon, dnsbld, free_address},
    explain,
    live::{PROMPT, Place},
    support::message::Query,
};

fn is_listed(socket: &UdpSocket, name: &str) -> bool {
    let mut reply = [0; 512];
    socket.send(&Query::new(name, 1).octets()).expect("sent");
    let length = socket.recv(&mut reply).expect("an answer");
    assert!(length > 12);
    let code = reply[3] & 15;
    code == 0
}

fn await_listed(socket: &UdpSocket, name: &str) {
    let begun = Instant::now();
    while !is_listed(socket, name) {
        assert!(begun.elapsed() < PROMPT, "{name} is not live");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn queries_reloads_and_the_end_do_not_wait_for_the_log() {
    let place = Place::new();
    place.drop_file("bl.example.ip4set", "127.0.0.2\n");
    let (log, address) = (place.at("log"), free_address());
    nix::unistd::mkfifo(&log, Mode::S_IRWXU).expect("a pipe");
    let _reader = fs::File::options().read(true).write(true).open(&log).expect("somebody who does not read");
    let mut command = dnsbld();
    command.args(["serve", "--http", "off", "--listen", &address.to_string(), "--state"]);
    command.arg(place.state()).arg(place.zones());
    let mut server = Daemon::start(command, address, &log).unwrap_or_else(|why| panic!("{why}"));
    let state = place.state();
    let tell = |words: &[&str]| explain::dnsbld(&[words, &["--state", state.to_str().expect("a path")]].concat());
    let begun = Instant::now();
    while tell(&["querylog", "on"]).2 != 0 {
        assert!(begun.elapsed() < PROMPT, "the query log cannot be switched on");
    }
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(address).expect("a way");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
    for _ in 0..8_000 {
        assert!(is_listed(&socket, "2.0.0.127.bl.example"));
    }
    place.drop_file("bl.example.ip4set", "127.0.0.2\n127.0.0.3\n");
    await_listed(&socket, "3.0.0.127.bl.example");
    // What is wrong with a file is logged by whoever loads it.
    place.drop_file("bl.example.ip4set", format!("127.0.0.2\n127.0.0.4\n{}", "what is this?\n".repeat(9)));
    let mut reload = Command::new("timeout");
    reload.args(["10", env!("CARGO_BIN_EXE_dnsbld"), "reload", "--state"]).arg(&state);
    assert!(reload.status().expect("it runs").success(), "no reload within ten seconds");
    assert!(is_listed(&socket, "4.0.0.127.bl.example"));
    let (said, _, _) = tell(&["querylog", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert!(told["state"]["dropped"].as_u64().is_some_and(|dropped| dropped > 0), "it is told of: {said}");

    nix::sys::signal::kill(server.pid(), Signal::SIGTERM).expect("sent");
    let begun = Instant::now();
    while server.is_running() {
        assert!(begun.elapsed() < Duration::from_secs(5), "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}
