//! A log that nobody reads any more: whoever reads it stops nobody but the log.

use std::{fs, net::UdpSocket, process::Command, time::Duration};

use nix::sys::{signal::Signal, stat::Mode};

use super::{
    explain,
    live::{PROMPT, Place},
    support::{
        daemon::{Daemon, await_true_within, free_address},
        message::Query,
    },
};

fn is_listed(socket: &UdpSocket, name: &str) -> bool {
    let mut reply = [0; 512];
    socket.send(&Query::new(name, 1).octets()).expect("sent");
    let length = socket.recv(&mut reply).expect("an answer");
    assert!(length > 12);
    let code = reply[3] & 15;
    code == 0
}

#[test]
fn queries_reloads_and_the_end_do_not_wait_for_the_log() {
    let place = Place::new();
    place.drop_file("bl.example.ip4set", "127.0.0.2\n");
    let (log, address) = (place.at("log"), free_address());
    nix::unistd::mkfifo(&log, Mode::S_IRWXU).expect("a pipe");
    let _reader = fs::File::options().read(true).write(true).open(&log).expect("somebody who does not read");
    let mut command = Command::new("sh");
    command.args(["-c", "log=$1; shift; exec \"$@\" 2>\"$log\"", "sh"]).arg(&log);
    command.args([env!("CARGO_BIN_EXE_dnsbld"), "serve", "--http", "off", "--listen", &address.to_string(), "--state"]);
    command.arg(place.state()).arg(place.zones());
    let mut server = Daemon::start_at(&[address], command).unwrap_or_else(|why| panic!("{why}"));
    let state = place.state();
    let tell = |words: &[&str]| explain::dnsbld(&[words, &["--state", state.to_str().expect("a path")]].concat());
    let await_prompt = |what: &str, is_so: &dyn Fn() -> bool| await_true_within(PROMPT, what, is_so, String::new);
    // It answers queries a moment before it takes commands.
    await_prompt("the query log is switched on", &|| tell(&["querylog", "on"]).2 == 0);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(address).expect("a way");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
    for _ in 0..8_000 {
        assert!(is_listed(&socket, "2.0.0.127.bl.example"));
    }
    place.drop_file("bl.example.ip4set", "127.0.0.2\n127.0.0.3\n");
    await_prompt("the drop is live", &|| is_listed(&socket, "3.0.0.127.bl.example"));
    // What is wrong with a file is logged by whoever loads it.
    place.drop_file("bl.example.ip4set", format!("127.0.0.2\n127.0.0.4\n{}", "what is this?\n".repeat(9)));
    let mut reload = Command::new("timeout");
    reload.args(["10", env!("CARGO_BIN_EXE_dnsbld"), "reload", "--state"]).arg(&state);
    assert!(reload.status().expect("it runs").success(), "no reload within ten seconds");
    assert!(is_listed(&socket, "4.0.0.127.bl.example"));
    let (said, _, _) = tell(&["querylog", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert!(told["state"]["dropped"].as_u64().is_some_and(|dropped| dropped > 0), "it is told of: {said}");

    server.send(Signal::SIGTERM);
    assert!(server.await_end().success());
}
