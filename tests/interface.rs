//! Queries straight from a network interface, by deploy/xdp.md: two namespaces joined by a pair of virtual interfaces, the server in
//! the one and this test in the other. Needs root, and asks sudo for it.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream, UdpSocket},
    path::Path,
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sched::{CloneFlags, setns},
    sys::signal::Signal,
};
use support::{
    daemon::{Daemon, await_true},
    message::{Edns, Query},
    server::read_message,
};

mod support;

const PATIENCE: Duration = Duration::from_secs(10);
/// The server's addresses, and the client's in the same networks.
const HOMES: [&str; 2] = ["198.18.0.1:53", "[2001:db8:18::1]:53"];
const CLIENTS: [&str; 2] = ["198.18.0.2", "2001:db8:18::2"];
/// Where metrics are asked for, on the client's way to the server.
const HTTP: &str = "198.18.0.1:9153";
const A: u16 = 1;
const TXT: u16 = 16;
const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Runs this test once more as root, unless this is root already; whether all is done by that.
fn done_as_root(test: &str) -> bool {
    if nix::unistd::geteuid().is_root() {
        return false;
    }
    let program = std::env::current_exe().expect("this program");
    let status = Command::new("sudo").arg("-n").arg(program).args([test, "--exact", "--nocapture"]).status();
    assert!(status.is_ok_and(|status| status.success()), "{test} needs root, or sudo without a password");
    true
}

fn run(words: &str) -> Output {
    let mut parts = words.split(' ');
    let mut command = Command::new(parts.next().expect("a command"));
    command.args(parts).output().unwrap_or_else(|error| panic!("{words}: {error} (iproute2 has `ip`)"))
}

fn must(words: &str) -> String {
    let output = run(words);
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Two hosts and the wire between them. The thread that made it is at home in the client's.
struct Wire {
    server: String,
    client: String,
    folder: tempfile::TempDir,
}

impl Wire {
    fn new(number: u8) -> Self {
        Self::with_queues(number, "")
    }

    fn with_queues(number: u8, queues: &str) -> Self {
        let name = |side: &str| format!("dnsbld-{side}{number}-{}", std::process::id());
        let wire =
            Self { server: name("server"), client: name("client"), folder: tempfile::tempdir().expect("a folder") };
        let (server, client) = (&wire.server, &wire.client);
        for namespace in [server, client] {
            must(&format!("ip netns add {namespace}"));
            must(&format!("ip -n {namespace} link set lo up"));
        }
        must(&format!("ip link add xdp0 netns {server} {queues}type veth peer name eth0 netns {client}"));
        for (namespace, interface, v4, v6) in
            [(server, "xdp0", HOMES[0], "2001:db8:18::1"), (client, "eth0", CLIENTS[0], CLIENTS[1])]
        {
            let v4 = v4.trim_end_matches(":53");
            must(&format!("ip -n {namespace} addr add {v4}/24 dev {interface}"));
            must(&format!("ip -n {namespace} addr add {v6}/64 dev {interface} nodad"));
            must(&format!("ip -n {namespace} link set {interface} up"));
        }
        let path = format!("/run/netns/{client}");
        let namespace = fs::File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("this thread in the client's namespace");
        wire
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Whether the server's interface runs a program.
    fn is_tapped(&self) -> bool {
        must(&format!("ip -n {} link show xdp0", self.server)).contains("prog/xdp")
    }

    /// What a server says that serves all the same, with these words before its name and behind it.
    fn complaint(&self, with: &[&str], words: &str) -> String {
        let mut command = self.dnsbld(with);
        command.arg("serve").args(words.split(' '));
        command.args(["--http", "off", "--state", "off", &self.zones("zones")]);
        Daemon::start(command).said()
    }

    /// Our program at the server's end, with these words before its name.
    fn dnsbld(&self, with: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.server]).args(with).arg(env!("CARGO_BIN_EXE_dnsbld"));
        command
    }

    /// A folder of zones.
    fn zones(&self, name: &str) -> String {
        const HEAD: &str = "$SOA 3600 ns.bl.example h.bl.example 7 1h 1h 1h 5m\n$NS 3600 ns.bl.example\n";
        let folder = self.path(name);
        fs::create_dir_all(&folder).expect("a folder");
        let much: Vec<String> =
            (0..40).map(|n| format!("192.0.2.99 :127.0.0.3:{}\n", format!("{n:02}").repeat(60))).collect();
        let much = much.concat();
        let hosts = format!("{HEAD}127.0.0.2 :127.0.0.2:Listed: $\n192.0.2.0/25 :127.0.0.4:\n!192.0.2.7\n{much}");
        fs::write(Path::new(&folder).join("bl.example.ip4set"), hosts).expect("a file written");
        let names = format!("{HEAD}.listed.example :127.0.0.5:a name\n");
        fs::write(Path::new(&folder).join("names.example.dnset"), names).expect("a file written");
        let held = format!("{HEAD}192.0.2.1/32 :127.0.0.6: @ delay=1s\n");
        fs::write(Path::new(&folder).join("held.example.ip4trie"), held).expect("a file written");
        folder
    }

    fn serve(&self, with: &[&str], config: &str) -> Served {
        let zones = self.zones("zones");
        let text = format!(
            "listen = {HOMES:?}\nhttp = {HTTP:?}\nudp-payload = 4096\ncookie-secret = \"{}\"\nfolder = {zones:?}\nstate = {:?}\n\
             {config}\n[keys.scanner]\nsecret = \"{SECRET}\"\nzones = [\"*\"]\n",
            "00".repeat(16),
            self.path("state")
        );
        let path = self.path("dnsbld.toml");
        fs::write(&path, text).expect("a configuration written");
        let mut command = self.dnsbld(with);
        command.args(["serve", "--config", &path]);
        let served = Served(Daemon::start(command));
        // The wire may be down for a moment when its end is taken.
        await_true("the wire is up", || metric("dnsbld_build_info").is_some(), || served.said());
        served
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for namespace in [&self.server, &self.client] {
            run(&format!("ip netns delete {namespace}"));
        }
    }
}

/// A server in its namespace.
struct Served(Daemon);

impl Served {
    fn said(&self) -> String {
        self.0.said()
    }

    /// Waits until it has let the interface go, with these words.
    fn lets_go(&self, words: &str) {
        let is_such = |line: &str| line.contains("until a new start") && line.contains(words);
        await_true(words, || self.said().lines().any(is_such), || self.said());
    }
}

/// A metric's sum over its labels, as the server at the other end of the wire tells it.
fn metric(name: &str) -> Option<u64> {
    let mut stream = TcpStream::connect_timeout(&HTTP.parse().expect("an address"), PATIENCE).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let is_meant = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
    let values: Vec<u64> =
        text.lines().filter(is_meant).filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// How many requests came by the interface.
fn tapped() -> u64 {
    metric("dnsbld_xdp_requests_total").unwrap_or_default()
}

impl Drop for Served {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the server: running: {}\n{}", self.0.is_running(), self.said());
        }
    }
}

fn client(family: usize) -> UdpSocket {
    let socket = UdpSocket::bind((CLIENTS[family], 0)).expect("a socket");
    socket.connect(HOMES[family]).expect("an address");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

/// Receives; a wait that is broken off is begun again.
fn receive(socket: &UdpSocket, reply: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.recv(reply) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

fn ask(family: usize, request: &[u8]) -> Vec<u8> {
    let socket = client(family);
    socket.send(request).expect("sent");
    let mut reply = vec![0; 5000];
    let len = receive(&socket, &mut reply).unwrap_or_else(|error| panic!("{}: {error}", HOMES[family]));
    reply.truncate(len);
    reply
}

fn with_payload(name: &str, payload_len: u16) -> Query {
    let edns = Edns { payload_len, version: 0, flags: 0, options: Vec::new() };
    Query { edns: Some(edns), ..Query::new(name, TXT) }
}

/// Questions of many kinds, whose answers fit into a frame.
fn questions() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for name in ["2.0.0.127", "7.2.0.192", "8.2.0.192", "1.2.0.192", "2.0.192", "x.y", ""] {
        let name = format!("{name}.bl.example");
        let name = name.trim_start_matches('.');
        all.extend([A, TXT, 2, 6, 255].map(|kind| Query::new(name, kind).octets()));
        all.push(with_payload(name, 1232).octets());
    }
    for name in ["www.LISTED.example.names.example", "unlisted.example.names.example", "elsewhere.example"] {
        all.extend([A, TXT].map(|kind| Query::new(name, kind).octets()));
    }
    all.push(with_payload("99.2.0.192.bl.example", 1400).octets());
    let cookie = Edns { payload_len: 1232, version: 0, flags: 0x8000, options: vec![(3, vec![]), (12, vec![0; 300])] };
    all.push(Query { edns: Some(cookie), ..Query::new("2.0.0.127.bl.example", A) }.octets());
    let mut cut = Query::new("2.0.0.127.bl.example", A).octets();
    cut.truncate(20);
    all.extend([cut, vec![0; 12]]);
    all
}

#[test]
fn answers_are_those_of_the_sockets() {
    if done_as_root("answers_are_those_of_the_sockets") {
        return;
    }
    let wire = Wire::new(1);
    let questions = questions();
    let answers = || -> Vec<Vec<u8>> {
        (0..2).flat_map(|family| questions.iter().map(move |question| ask(family, question))).collect()
    };
    let by_sockets = {
        let _served = wire.serve(&[], "");
        assert!(!wire.is_tapped());
        let answers = answers();
        assert_eq!(metric("dnsbld_xdp_requests_total"), None);
        answers
    };
    let served = wire.serve(&[], "xdp = [\"xdp0\"]");
    assert!(wire.is_tapped(), "{}", served.said());
    for (index, (answer, expected)) in answers().iter().zip(&by_sockets).enumerate() {
        assert_eq!(answer, expected, "question {} of {}", index, questions.len());
    }
    assert_eq!(tapped(), 2 * questions.len() as u64, "all came by the interface");
    assert_eq!(metric("dnsbld_xdp_dropped_total"), Some(0));
    // A burst: what fits into the ring is not lost.
    let socket = client(0);
    socket2::SockRef::from(&socket).set_recv_buffer_size(8 << 20).expect("a buffer");
    let mut question = Query::new("8.2.0.192.bl.example", A).octets();
    for id in 0..2000_u16 {
        question[..2].copy_from_slice(&id.to_be_bytes());
        socket.send(&question).expect("sent");
    }
    let mut reply = [0; 600];
    for id in 0..2000_u16 {
        receive(&socket, &mut reply).expect("an answer");
        assert_eq!(reply[..2], id.to_be_bytes());
    }
}

#[test]
fn what_is_out_of_the_ordinary_arrives_as_well() {
    if done_as_root("what_is_out_of_the_ordinary_arrives_as_well") {
        return;
    }
    let wire = Wire::new(2);
    let _served = wire.serve(&[], "xdp = [\"xdp0\"]");
    for (family, home) in HOMES.iter().enumerate() {
        let before = tapped();
        // Longer than a frame: what fits, and the rest over TCP, which is not ours to take.
        let question = with_payload("99.2.0.192.bl.example", 4096).octets();
        let reply = ask(family, &question);
        assert!(reply[2] & 2 == 2 && reply.len() < 1500, "truncated: {} octets", reply.len());
        let address: SocketAddr = home.parse().expect("an address");
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).expect("a connection");
        stream.write_all(&[&(question.len() as u16).to_be_bytes()[..], &question].concat()).expect("sent");
        assert!(read_message(&mut stream).is_some_and(|reply| reply[2] & 2 == 0 && reply.len() > 4000));
        assert_eq!(tapped() - before, 1);
        // A request in fragments goes by the socket.
        let padding = Edns { payload_len: 1232, version: 0, flags: 0, options: vec![(12, vec![0; 2500])] };
        let padded = Query { edns: Some(padding), ..Query::new("2.0.0.127.bl.example", A) }.octets();
        assert_eq!(ask(family, &padded)[6..8], [0, 1]);
        assert_eq!(tapped() - before, 1);
        // A reply that is held leaves later, by the socket.
        let begun = Instant::now();
        assert_eq!(ask(family, &Query::new("1.2.0.192.held.example", A).octets())[6..8], [0, 1]);
        assert!(begun.elapsed() > Duration::from_millis(900), "{:?}", begun.elapsed());
        // So does one that waits for the disk.
        let server = address.ip();
        let script = format!("server {server} 53\nupdate add {family}.100.51.198.bl.example 60 A 127.0.0.3\nsend\n");
        let path = wire.path("script");
        fs::write(&path, script).expect("written");
        let key = format!("hmac-sha256:scanner:{SECRET}");
        must(&format!("ip netns exec {} nsupdate -y {key} {path}", wire.client));
        assert_eq!(ask(family, &Query::new(&format!("{family}.100.51.198.bl.example"), A).octets())[6..8], [0, 1]);
        assert_eq!(tapped() - before, 5, "nsupdate asks for the zone first");
    }
}

#[test]
fn the_interface_is_let_go_however_the_server_ends() {
    if done_as_root("the_interface_is_let_go_however_the_server_ends") {
        return;
    }
    let wire = Wire::new(3);
    let question = Query::new("2.0.0.127.bl.example", A).octets();
    for _ in 0..2 {
        let served = wire.serve(&[], "xdp = [\"xdp0\"]");
        ask(0, &question);
        assert_eq!(tapped(), 1);
        let busy = wire.complaint(&[], "--listen 198.18.0.1:5353 --xdp xdp0");
        assert!(busy.contains("xdp0") && busy.contains("another program has it"), "{busy}");
        drop(served); // which kills it
        assert!(!wire.is_tapped());
    }
    // At once, as a service manager starts it anew.
    for _ in 0..5 {
        let mut served = wire.serve(&[], "xdp = [\"xdp0\"]");
        served.0.send(Signal::SIGTERM);
        assert!(served.0.await_end().success(), "{}", served.said());
        assert!(!wire.is_tapped());
    }
}

/// What an interface takes in and passes on is more than what is for it.
#[test]
fn frames_for_others_are_left_alone() {
    if done_as_root("frames_for_others_are_left_alone") {
        return;
    }
    let wire = Wire::new(6);
    let served = wire.serve(&[], "xdp = [\"xdp0\"]");
    let question = Query::new("2.0.0.127.bl.example", A).octets();
    ask(0, &question);
    assert_eq!(tapped(), 1);
    must(&format!("ip -n {} link set xdp0 promisc on", wire.server));
    must(&format!("ip -n {} neigh replace 198.18.0.1 lladdr 02:00:00:00:00:99 dev eth0", wire.client));
    let socket = client(0);
    socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    socket.send(&question).expect("sent");
    assert!(receive(&socket, &mut [0; 512]).is_err(), "another station was asked");
    must(&format!("ip -n {} neigh del 198.18.0.1 dev eth0", wire.client));
    assert_eq!(metric("dnsbld_xdp_requests_total"), Some(1));
    // Another hardware address, while it runs: the kernel's way serves it.
    must(&format!("ip -n {} link set xdp0 address 02:00:00:00:00:77", wire.server));
    must(&format!("ip -n {} neigh flush dev eth0", wire.client));
    ask(0, &question);
    assert_eq!(tapped(), 1);
    served.lets_go("xdp0: it is gone, or has another hardware address");
    assert_eq!(metric("dnsbld_xdp_active"), Some(0));
    assert_eq!(metric("dnsbld_dns_responses_lost_total"), Some(0));
}

/// Whoever takes an address away wants it silent; one that is moved is answered where it is now.
#[test]
fn an_address_that_is_taken_away_is_not_answered() {
    if done_as_root("an_address_that_is_taken_away_is_not_answered") {
        return;
    }
    let wire = Wire::new(8);
    let question = Query::new("2.0.0.127.bl.example", A).octets();
    {
        let served = wire.serve(&[], "xdp = [\"xdp0\", \"none0\"]");
        ask(1, &question);
        assert_eq!((tapped(), metric("dnsbld_xdp_active")), (1, Some(1)), "one of two");
        must(&format!("ip -n {} addr del 2001:db8:18::1/64 dev xdp0", wire.server));
        served.lets_go("2001:db8:18::1 is no address of this machine any more");
        assert!(!wire.is_tapped());
        let socket = client(1);
        socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
        socket.send(&question).expect("sent");
        assert!(receive(&socket, &mut [0; 512]).is_err(), "it is gone");
        ask(0, &question);
    }
    must(&format!("ip -n {} addr add 2001:db8:18::1/64 dev xdp0 nodad", wire.server));
    // An interface that is gone for a moment, and comes back with its old number: what was on it is not.
    let served = wire.serve(&[], "xdp = [\"xdp0\"]");
    let aside = format!("{}x", wire.server);
    must(&format!("ip netns add {aside}"));
    must(&format!("ip -n {} link set xdp0 netns {aside}", wire.server));
    must(&format!("ip -n {aside} link set xdp0 netns {}", wire.server));
    must(&format!("ip netns delete {aside}"));
    must(&format!("ip -n {} addr add 198.18.0.1/24 dev xdp0", wire.server));
    must(&format!("ip -n {} link set xdp0 up", wire.server));
    served.lets_go("xdp0: ");
    assert!(!wire.is_tapped());
    ask(0, &question);
}

/// Replies would leave below what was put above it, or in frames that it carries no more.
#[test]
fn an_interface_that_is_no_longer_by_itself_is_let_go() {
    if done_as_root("an_interface_that_is_no_longer_by_itself_is_let_go") {
        return;
    }
    let wire = Wire::new(9);
    let question = Query::new("2.0.0.127.bl.example", A).octets();
    for (change, words, undo) in [
        ("add link xdp0 name above0 type macvlan", "xdp0: it is not by itself: above0 is above", "del above0"),
        ("set xdp0 mtu 1400", "xdp0: it has another MTU", "set xdp0 mtu 1500"),
    ] {
        let served = wire.serve(&[], "xdp = [\"xdp0\"]");
        thread::sleep(Duration::from_millis(1500));
        ask(0, &question);
        assert_eq!((tapped(), metric("dnsbld_xdp_active")), (1, Some(1)), "{}", served.said());
        must(&format!("ip -n {} link {change}", wire.server));
        served.lets_go(words);
        assert!(!wire.is_tapped());
        ask(0, &question);
        assert_eq!(tapped(), 1);
        must(&format!("ip -n {} link {undo}", wire.server));
    }
}

/// A queue that cannot send must not receive: its replies would be lost without a word.
#[test]
fn queues_that_only_receive_are_left_to_the_kernel() {
    if done_as_root("queues_that_only_receive_are_left_to_the_kernel") {
        return;
    }
    let wire = Wire::with_queues(7, "numrxqueues 2 numtxqueues 1 ");
    let served = wire.serve(&[], "xdp = [\"xdp0\"]");
    assert!(served.said().contains("xdp0: 1 queues only receive"), "{}", served.said());
    for _ in 0..60 {
        ask(0, &Query::new("2.0.0.127.bl.example", A).octets());
    }
}

/// The capabilities of deploy/xdp.md suffice, and none is left once the server runs.
#[test]
fn privileges_go_when_the_sockets_are_open() {
    if done_as_root("privileges_go_when_the_sockets_are_open") {
        return;
    }
    let wire = Wire::new(4);
    let manual = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/xdp.md")).expect("the manual");
    let line = manual.lines().find_map(|line| line.strip_prefix("AmbientCapabilities=")).expect("the capabilities");
    let wanted = line.to_lowercase().replace("cap_", "+").replace(' ', ",");
    // The last instead of LimitMEMLOCK=, which not every root may raise.
    let wanted = format!("-all,+net_bind_service,{wanted},+ipc_lock");
    let folder = wire.folder.path();
    std::os::unix::fs::chown(folder, Some(65_534), Some(65_534)).expect("a folder of nobody's");
    must(&format!("chmod -R a+rwX {}", folder.display()));
    let user = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--inh-caps",
        &wanted,
        "--ambient-caps",
        &wanted,
    ];
    let with = [&user[..], &["--bounding-set", &wanted]].concat();
    let served = wire.serve(&with, "xdp = [\"xdp0\"]");
    ask(0, &Query::new("2.0.0.127.bl.example", A).octets());
    assert_eq!(tapped(), 1);
    // Each thread has its own.
    let threads = fs::read_dir(format!("/proc/{}/task", served.0.id())).expect("a process");
    let statuses: Vec<String> =
        threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("status")).ok()).collect();
    assert!(statuses.iter().any(|status| status.starts_with("Name:\tlog\n")), "{statuses:?}");
    for status in statuses {
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            let line = status.lines().find(|line| line.starts_with(set)).expect("a line");
            assert!(line.ends_with("\t0000000000000000"), "{line} of {status}");
        }
    }
    drop(served);
    let nobody = ["setpriv", "--reuid=65534", "--clear-groups"];
    let said = wire.complaint(&nobody, "--listen 198.18.0.1:5353 --xdp xdp0");
    assert!(said.contains("CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_PERFMON"), "{said}");
}

#[test]
fn mistakes_are_told_and_cost_nothing() {
    if done_as_root("mistakes_are_told_and_cost_nothing") {
        return;
    }
    let wire = Wire::new(5);
    for (words, part) in [
        ("--listen 198.18.0.1:53 --xdp lo", "it is no Ethernet interface"),
        ("--listen 198.18.0.1:53 --xdp eth7", "see `ip link`"),
        ("--listen 0.0.0.0:53 --xdp xdp0", "wildcards and the loopback are left to the sockets"),
        ("--xdp xdp0", "wildcards and the loopback are left to the sockets"),
    ] {
        let said = wire.complaint(&[], words);
        assert!(said.contains("ERROR xdp: ") && said.contains(part), "{words}: {said}");
    }
    must(&format!("ip -n {} link add link xdp0 name above0 type macvlan", wire.server));
    let said = wire.complaint(&[], "--listen 198.18.0.1:53 --xdp xdp0");
    assert!(said.contains("it is not by itself: above0 is above or below it"), "{said}");
    must(&format!("ip -n {} link del above0", wire.server));
    must(&format!("ip -n {} link set xdp0 mtu 500", wire.server));
    let said = wire.complaint(&[], "--listen 198.18.0.1:53 --xdp xdp0");
    assert!(said.contains("its MTU is 500, and replies need 576"), "{said}");
}
