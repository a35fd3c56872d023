//! The doors by which programs change live listings, proven on the program with the clients that people have: BIND's nsupdate,
//! fail2ban, curl, rspamd's datagrams, and the virus notes of a mail scanner.
//!
//! Nothing here sleeps and hopes: what is acknowledged is served, so it is asked for at once.

#[path = "../support/mod.rs"]
mod support;

mod counted;
mod datagrams;
mod held;
mod http;
mod real;
mod signed;
mod updates;

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use support::{message::Query, server::Server};

const HEAD: &str = "$SOA 3600 localhost hostmaster.bl.example 7 600 300 86400 120\n$NS 7200 localhost\n:2:listed $\n";

/// The secret of all keys, as captured messages have it, and the token of all tests.
const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const TOKEN: &str = "0123456789abcdef-token";

/// A server with a zone of addresses, one of names, and one that nobody here may change; all doors are open.
fn open() -> Server {
    let (addresses, names) = (format!("{HEAD}127.0.0.2\n"), format!("{HEAD}test\n"));
    let files = [
        ("zones/bl.example.ip4set", &*addresses),
        ("zones/names.example.dnset", &*names),
        ("zones/other.example.ip4set", &*addresses),
        ("token", TOKEN),
    ];
    let keys: Vec<String> = ["hmac-sha256", "hmac-sha384", "hmac-sha512"]
        .iter()
        .map(|algorithm| {
            let name = algorithm.replace("hmac-", "scanner-");
            format!("[keys.{name}]\nsecret = \"{SECRET}\"\nalgorithm = \"{algorithm}\"\nzones = [\"bl.example\", \"names.example\"]\n")
        })
        .collect();
    let config = format!(
        "{}[keys.scanner]\nsecret = \"{SECRET}\"\nzones = [\"bl.example\", \"names.example\"]\n\
         [tokens.tester]\nfile = \"token\"\nzones = [\"bl.example\", \"names.example\"]\n\
         [datagrams]\nlisten = \"./updates.sock\"\nzones = [\"bl.example\", \"names.example\"]\n",
        keys.concat()
    );
    Server::with_config(&files, &config)
}

/// What a name is answered: the code, and the values of A and TXT records.
fn ask(server: &Server, name: &str, kind: u16) -> String {
    let reply = server.ask_udp(None, &Query::new(name, kind).octets(), false).expect("an answer");
    let message = hickory_proto::op::Message::from_vec(&reply).expect("a message");
    let mut shown = message.metadata.response_code.to_string();
    for record in &message.answers {
        shown = format!("{shown} {}", record.data);
    }
    shown
}

/// Whether a name is listed.
fn is_listed(server: &Server, name: &str) -> bool {
    ask(server, name, 1).contains("127.0.")
}

/// Runs a client with these lines to read, and returns whether it is content, and all that it says.
fn run(program: &str, arguments: &[&str], lines: &str) -> (bool, String) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    child.stdin.take().expect("piped").write_all(lines.as_bytes()).expect("read");
    let output = child.wait_with_output().expect("ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}
