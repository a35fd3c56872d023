//! Real clients on the loopback interface: dig, kdig and drill, judged by what they print.
//!
//! They parse what we send with code that is not ours, and complain about what we would not think to test.

#![allow(missing_docs)]

#[allow(dead_code)] // part of it is for other tests
#[path = "support/daemon.rs"]
mod daemon;

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
};

use daemon::{Daemon, dnsbld, program};

/// A server with a zone of addresses and one of names, both small.
struct Served {
    daemon: Daemon,
    _folder: tempfile::TempDir,
}

const HEAD: &str =
    "$SOA 3600 ns.bl.example hostmaster.bl.example 7 600 300 86400 120\n$NS 7200 ns.bl.example\n$TTL 300\n";

fn served() -> Served {
    let folder = tempfile::tempdir().expect("a folder");
    let many: Vec<String> = (1..=60).map(|host| format!("192.0.2.2 :{host}:text number {host} of many\n")).collect();
    let hosts = format!("{HEAD}:2:listed, see http://bl.example/$\n127.0.0.2\n192.0.2.1 :4:another\n{}", many.concat());
    fs::write(folder.path().join("bl.example.ip4set"), hosts).expect("writes");
    let mut command = dnsbld();
    command.args(["serve", "--http", "off", "--listen", "127.0.0.1:0"]).arg(folder.path());
    Served { daemon: Daemon::start(command), _folder: folder }
}

impl Served {
    fn address(&self) -> SocketAddr {
        self.daemon.address()
    }

    /// Runs a client and returns all that it prints.
    fn ask(&self, client: &Client, words: &str) -> String {
        let address = self.address();
        let mut command = Command::new(client.path());
        if client.name == "drill" {
            command.args(["-p", &address.port().to_string()]);
            // Options come first, then the name, then the server.
            let (options, question): (Vec<&str>, Vec<&str>) =
                words.split_whitespace().partition(|word| word.starts_with('-'));
            command.args(options).args(question).arg(format!("@{}", address.ip()));
        } else {
            command
                .args([&format!("@{}", address.ip()), "-p", &address.port().to_string()])
                .args(words.split_whitespace());
            command.args(["+time=5", if client.name == "dig" { "+tries=1" } else { "+retry=0" }]);
        }
        let output = command.stdin(Stdio::null()).output().expect("the client runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        println!("--- {} {words}\n{text}", client.name);
        text
    }

    /// The same, where nothing may be wrong.
    fn ask_well(&self, client: &Client, words: &str) -> String {
        let text = self.ask(client, words);
        for complaint in
            ["WARNING", "Warning", "warning", "malformed", "FORMERR", "mismatch", "timed out", "Extra", "extra bytes"]
        {
            // That we do not recurse is no fault.
            let is_there = text.lines().any(|line| line.contains(complaint) && !line.contains("recursion requested"));
            assert!(!is_there, "{} {words}: {complaint}\n{text}", client.name);
        }
        text
    }
}

/// A program and the package that it comes in.
struct Client {
    name: &'static str,
    package: &'static str,
    found: OnceLock<PathBuf>,
}

impl Client {
    const fn new(name: &'static str, package: &'static str) -> Self {
        Self { name, package, found: OnceLock::new() }
    }

    fn path(&self) -> &PathBuf {
        self.found.get_or_init(|| program(self.name, self.package))
    }
}

static DIG: Client = Client::new("dig", "dnsutils");
static KDIG: Client = Client::new("kdig", "knot-dnsutils");
static DRILL: Client = Client::new("drill", "ldnsutils");

#[track_caller]
fn expect(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "expected {part:?} in\n{text}");
    }
}

#[track_caller]
fn expect_none(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(!text.contains(part), "unexpected {part:?} in\n{text}");
    }
}

#[test]
fn listed_and_not() {
    let served = served();
    for client in [&DIG, &KDIG, &DRILL] {
        let text = served.ask_well(client, "2.0.0.127.bl.example A");
        expect(&text, &["NOERROR", "127.0.0.2", "300", "ns.bl.example."]);
        let text = served.ask_well(client, "2.0.0.127.bl.example TXT");
        expect(&text, &["NOERROR", "\"listed, see http://bl.example/127.0.0.2\""]);
        let text = served.ask_well(client, "1.0.0.127.bl.example A");
        expect(&text, &["NXDOMAIN", "SOA", "hostmaster.bl.example.", "120"]);
        expect(&served.ask_well(client, "0.0.127.bl.example A"), &["NOERROR", "SOA"]);
        expect(&served.ask_well(client, "elsewhere.test A"), &["REFUSED"]);
        expect(&served.ask_well(client, "bl.example SOA"), &["7 600 300 86400 120", "7200"]);
        expect(&served.ask_well(client, "bl.example NS"), &["7200", "ns.bl.example."]);
        expect(&served.ask_well(client, "2.0.0.127.bl.example AAAA"), &["NOERROR", "SOA"]);
    }
}

#[test]
fn over_tcp() {
    let served = served();
    expect(&served.ask_well(&DIG, "+tcp 2.2.0.192.bl.example TXT"), &["ANSWER: 60", "(TCP)", "number 60 of many"]);
    expect(&served.ask_well(&KDIG, "+tcp 2.2.0.192.bl.example TXT"), &["ANSWER: 60", "(TCP)", "number 60 of many"]);
    expect(&served.ask_well(&DRILL, "-t 2.2.0.192.bl.example TXT"), &["ANSWER: 60", "number 60 of many"]);
    // Several on one connection.
    let text = served.ask_well(&DIG, "+tcp +keepopen 2.0.0.127.bl.example A 1.2.0.192.bl.example A +keepopen +tcp");
    expect(&text, &["127.0.0.2", "127.0.0.4"]);
}

#[test]
fn what_does_not_fit_comes_over_tcp() {
    let served = served();
    // The clients' own fallback.
    expect(&served.ask(&DIG, "2.2.0.192.bl.example TXT"), &["Truncated, retrying in TCP mode", "ANSWER: 60"]);
    expect(&served.ask(&KDIG, "2.2.0.192.bl.example TXT"), &["truncated reply", "retrying", "ANSWER: 60"]);
    expect(&served.ask(&DRILL, "-a 2.2.0.192.bl.example TXT"), &["ANSWER: 60"]);
    for client in [&DIG, &KDIG] {
        let text = served.ask(client, "+ignore +bufsize=100 2.2.0.192.bl.example TXT");
        expect(&text, &["NOERROR", " tc"]);
        expect(&served.ask_well(client, "+bufsize=100 2.0.0.127.bl.example A"), &["NOERROR", "127.0.0.2"]);
    }
    expect(&served.ask(&DIG, "+ignore +noedns 2.2.0.192.bl.example TXT"), &["NOERROR", " tc"]);
}

#[test]
fn extensions() {
    let served = served();
    let host = nix::unistd::gethostname().expect("a name").into_string().expect("letters");
    for client in [&DIG, &KDIG] {
        let text = served.ask_well(client, "+nsid 2.0.0.127.bl.example A");
        expect(&text, &["NSID", "127.0.0.2", &host]);
        let text = served.ask_well(client, "+cookie=0102030405060708 2.0.0.127.bl.example A");
        expect(&text, &["COOKIE: 0102030405060708", "127.0.0.2"]);
        let text = served.ask_well(client, "+ednsopt=65001:abcd 2.0.0.127.bl.example A");
        expect(&text, &["NOERROR", "127.0.0.2"]);
        expect_none(&text, &["OPT=65001", "Unknown option", "ab cd"]);
        expect(&served.ask_well(client, "+dnssec 2.0.0.127.bl.example A"), &["NOERROR", "127.0.0.2", "1232"]);
        expect_none(&served.ask_well(client, "+noedns 2.0.0.127.bl.example A"), &["EDNS"]);
    }
    // dig checks the cookie it gets, and says so.
    expect(&served.ask_well(&DIG, "+cookie 2.0.0.127.bl.example A"), &["(good)"]);
    expect(&served.ask_well(&DRILL, "-D 2.0.0.127.bl.example A"), &["NOERROR", "EDNS: version 0", "127.0.0.2"]);
    // Of a later version only the code is told, and dig then asks again in our version.
    expect(&served.ask(&DIG, "+edns=1 +noednsneg 2.0.0.127.bl.example A"), &["BADVERS", "EDNS: version: 0"]);
    expect(&served.ask(&DIG, "+edns=1 +ednsneg 2.0.0.127.bl.example A"), &["BADVERS", "NOERROR", "127.0.0.2"]);
    expect(&served.ask(&KDIG, "+edns=1 2.0.0.127.bl.example A"), &["BADVERS"]);
    // What is wrong is told in words too.
    expect(&served.ask_well(&DIG, "elsewhere.test A"), &["REFUSED", "EDE: 20 (Not Authoritative)"]);
}

#[test]
fn operations_that_are_not_offered() {
    let served = served();
    for operation in ["notify", "update", "status", "15"] {
        let text = served.ask(&DIG, &format!("+opcode={operation} bl.example SOA"));
        expect(&text, &["status: NOTIMP"]);
        expect_none(&text, &["mismatch", "malformed"]);
    }
    expect(&served.ask(&DIG, "+opcode=notify bl.example SOA"), &["opcode: NOTIFY"]);
    expect(&served.ask(&DIG, "bl.example AXFR"), &["Transfer failed"]);
    expect(&served.ask(&KDIG, "bl.example AXFR"), &["NOTIMPL"]);
    expect(&served.ask(&DIG, "bl.example IXFR=1"), &["Transfer failed"]);
}

#[test]
fn who_are_you() {
    let served = served();
    let host = nix::unistd::gethostname().expect("a name").into_string().expect("letters");
    expect(&served.ask_well(&DIG, "version.bind CH TXT"), &["NOERROR", "CH", "dnsbld"]);
    expect(&served.ask_well(&KDIG, "version.server CH TXT"), &["NOERROR", "CH", "dnsbld"]);
    expect(&served.ask_well(&DRILL, "version.bind CH TXT"), &["NOERROR", "CH", "dnsbld"]);
    expect(&served.ask_well(&DIG, "id.server CH TXT"), &["NOERROR", &host]);
    expect(&served.ask_well(&DIG, "hostname.bind CH TXT"), &["NOERROR", &host]);
    expect(&served.ask_well(&DIG, "authors.bind CH TXT"), &["REFUSED"]);
}

#[test]
fn names_keep_their_letters() {
    let served = served();
    expect(&served.ask_well(&DIG, "2.0.0.127.bL.eXaMpLe A"), &["2.0.0.127.bL.eXaMpLe.", "127.0.0.2"]);
    // kdig makes letters small before it asks.
    expect(&served.ask_well(&KDIG, "2.0.0.127.bL.eXaMpLe A"), &["2.0.0.127.bl.example.", "127.0.0.2"]);
    expect(&served.ask_well(&DRILL, "2.0.0.127.bL.eXaMpLe A"), &["2.0.0.127.bL.eXaMpLe.", "127.0.0.2"]);
    expect(&served.ask_well(&DIG, "2.0.0.127.bl.example ANY"), &["ANSWER: 1"]);
}
