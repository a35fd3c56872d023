//! Hostile input: queries that were mangled in every way at hand, streams of garbage, streams that say nothing.
//!
//! In process every reply is read by another DNS library and held against its limits; over the network the server must go on
//! answering, and its memory must stay where it was. The mangling is seeded, so a failure comes back.

mod support;

#[path = "../fuzz/functions.rs"]
mod functions;

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, TcpStream, UdpSocket},
    process::Command,
    time::Duration,
};

use dnsbld::answer::Transport;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng, seq::IndexedRandom as _};
use support::{
    daemon::await_true,
    script::{File, NOON, Options, seconds},
    server::{Server, read_message},
};

/// Well-formed queries to start from: the corpus of the fuzz target, without its first octet, which chooses the client.
fn seeds() -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/answer");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("a corpus").map(|entry| entry.expect("an input").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("an input")[1..].to_vec()).collect()
}

/// Mangles a query once to four times.
fn mangle(random: &mut SmallRng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut octets = seeds.choose(random).expect("seeds").clone();
    for _ in 0..random.random_range(1..=4) {
        if octets.is_empty() {
            break;
        }
        let at = random.random_range(0..octets.len());
        match random.random_range(0..9) {
            // A bit, an octet, an octet that means something.
            0 => octets[at] ^= 1 << random.random_range(0..8),
            1 => octets[at] = random.random(),
            2 => octets[at] = *[0, 1, 0x3f, 0x40, 0x80, 0xc0, 0xff].choose(random).expect("octets"),
            // Cut off, or with something behind it.
            3 => octets.truncate(at),
            4 => octets.extend((0..random.random_range(1..40)).map(|_| random.random::<u8>())),
            // The head of one with the tail of another.
            5 => {
                let other = seeds.choose(random).expect("seeds");
                let from = random.random_range(0..=other.len());
                octets.truncate(at);
                octets.extend_from_slice(&other[from..]);
            }
            // Counts of the sections, and the length of a label.
            6 if octets.len() >= 12 => {
                let count = 4 + 2 * random.random_range(0..4);
                octets[count] = *[0, 0, 0, 0xff].choose(random).expect("octets");
                octets[count + 1] = random.random_range(0..4);
            }
            7 if octets.len() > 12 => octets[12] = random.random(),
            // An OPT record of garbage at the end.
            _ => {
                octets.extend([0, 0, 41]);
                octets.extend((0..random.random_range(0..24)).map(|_| random.random::<u8>()));
                if let Some(additionals) = octets.get_mut(11) {
                    *additionals = 1;
                }
            }
        }
    }
    octets.truncate(4_000);
    octets
}

#[test]
fn a_hundred_thousand_mangled_queries_in_process() {
    let seeds = seeds();
    let mut random = SmallRng::seed_from_u64(5782);
    let clients = ["127.0.0.1", "192.0.2.66", "192.0.2.69", "2001:db8::1"];
    let clients: Vec<IpAddr> = clients.iter().map(|client| client.parse().expect("an address")).collect();
    let mut buffer = vec![0; 65_535];
    let (mut replies, mut silences, mut codes) = (0, 0, std::collections::BTreeMap::new());
    for _ in 0..100_000 {
        let request = mangle(&mut random, &seeds);
        let client = *clients.choose(&mut random).expect("clients");
        let transport = if random.random() { Transport::Udp } else { Transport::Tcp };
        // Reads the reply, and holds it against what is true of all.
        let outcome = functions::ask(client, transport, &request, &mut buffer);
        assert_eq!(outcome.fate.is_ok(), outcome.reply_len >= 12);
        if let Ok(rcode) = outcome.fate {
            *codes.entry(rcode.name()).or_insert(0) += 1;
            replies += 1;
        } else {
            assert_eq!(outcome.reply_len, 0);
            silences += 1;
        }
    }
    println!("{replies} replies, {silences} silences: {codes:?}");
    // The mangling must leave queries that reach every part, or it shows nothing.
    for code in ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "BADVERS"] {
        assert!(codes.get(code).is_some_and(|&count| count > 100), "{code}: {codes:?}");
    }
}

const LISTED: &str = "2.0.0.127.bl.example";

fn server() -> Server {
    let text = "t".repeat(300);
    let hosts = (1..=40).map(|n| format!("192.0.2.1 :127.0.0.{n}:{text}{n}\n")).collect::<Vec<_>>().concat();
    let file = |name: &str, text: &str| File {
        name: name.to_owned(),
        modified_s: seconds(NOON).expect("noon"),
        octets: text.as_bytes().to_vec(),
        cut_len: 0,
    };
    let head =
        "$SOA 3600 ns.bl.example hostmaster.bl.example 1 600 300 86400 120\n$NS 1h ns.bl.example\n127.0.0.2 test $\n";
    let files = [
        file("hosts", &format!("{head}{hosts}")),
        file("names", ".listed.example $\n"),
        file("keys", ":pass\nsecret :pass\n"),
    ];
    let specs = [
        "bl.example:ip4set:hosts",
        "bl.example:dnset:names",
        "keyed.example:ip4set:hosts",
        "keyed.example:aclkey:keys",
    ];
    Server::dnsbld(&files, &specs.map(str::to_owned), &Options::default())
}

/// The server answers, in both ways.
fn assert_alive(server: &Server) {
    let request = functions::query(LISTED, 1);
    for reply in [server.ask_udp(None, &request, false), server.ask_tcp(None, &request, false)] {
        let reply = reply.expect("an answer");
        assert_eq!(reply[3] & 0xf, 0, "NOERROR");
        assert_eq!(reply[6..8], [0, 1], "one A record");
    }
}

#[test]
fn the_network_at_its_worst() {
    let server = server();
    assert_alive(&server);
    let before = server.resident_bytes();

    mangled_datagrams(&server, 5_000);
    assert_alive(&server);
    garbage_on_streams(&server);
    assert_alive(&server);
    idle_streams(&server, 1_000);
    assert_alive(&server);

    let after = server.resident_bytes();
    println!("resident: {before} octets before, {after} after");
    assert!(after < before + 48 * 1024 * 1024, "{before} octets before, {after} after");
}

const FILES: [(&str, &str); 1] = [("zones/bl.example.ip4set", "127.0.0.2\n")];

/// Connections that say nothing, from more clients than one.
fn silent_streams(server: &Server, count: u32) -> Vec<TcpStream> {
    (0..count).map(|number| server.connect(Ipv4Addr::new(127, 0, 1, (number % 20) as u8 + 1).into())).collect()
}

/// They take all descriptors that there are.
#[test]
fn where_descriptors_are_short_newcomers_are_let_in_at_once() {
    let server = Server::with_config(&FILES, "");
    assert_alive(&server);
    let open_count = std::fs::read_dir(format!("/proc/{}/fd", server.id())).expect("a running process").count();
    let most = open_count + 20;
    let mut limit = Command::new("prlimit");
    limit.args(["--pid", &server.id().to_string(), &format!("--nofile={most}:{most}")]);
    assert!(limit.status().is_ok_and(|status| status.success()), "{limit:?}");
    let _silent = silent_streams(&server, 200);
    // The newcomer comes behind them, and its patience is five seconds.
    assert_alive(&server);
}

/// They leave enough of those that the system permits for files, commands and all else.
#[test]
fn connections_leave_descriptors_for_all_else() {
    let server = Server::with_descriptors("400:400", &FILES, "");
    assert!(server.said().contains("400 file descriptors are permitted"), "{}", server.said());
    let _silent = silent_streams(&server, 500);
    assert_alive(&server);
    std::fs::write(server.folder().join("zones/new.example.ip4set"), "192.0.2.1\n").expect("written");
    let request = functions::query("1.2.0.192.new.example", 1);
    let is_listed = || server.ask_udp(None, &request, false).is_some_and(|reply| reply[7] == 1);
    await_true("the file is live", is_listed, || server.said());
    assert!(!server.said().contains("open files"), "{}", server.said());
}

#[test]
fn as_many_descriptors_are_asked_for_as_are_needed() {
    let server = Server::with_descriptors("64:4096", &FILES, "");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id())).expect("a running process");
    let soft =
        limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok());
    assert!(soft.is_some_and(|soft| (900..4096).contains(&soft)), "{limits}");
    assert!(!server.said().contains("descriptors"), "{}", server.said());
}

fn mangled_datagrams(server: &Server, count: usize) {
    let seeds = seeds();
    let mut random = SmallRng::seed_from_u64(6471);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.set_nonblocking(true).expect("a socket of ours");
    let mut reply = [0; 4_096];
    let mut replies = 0;
    for number in 0..count {
        let mut request = mangle(&mut random, &seeds);
        if request.len() > 2 {
            request[..2].copy_from_slice(&(number as u16).to_be_bytes());
        }
        let _ = socket.send_to(&request, server.address());
        if number % 16 == 15 {
            std::thread::sleep(Duration::from_millis(1));
        }
        while let Ok(length) = socket.recv(&mut reply) {
            assert!((12..=1_232).contains(&length), "{length} octets");
            hickory_proto::op::Message::from_vec(&reply[..length]).expect("a reply that can be read");
            replies += 1;
        }
    }
    assert!(replies > count / 2, "{replies} replies to {count} datagrams");
}

fn garbage_on_streams(server: &Server) {
    let seeds = seeds();
    let mut random = SmallRng::seed_from_u64(8020);
    for round in 0..300 {
        let mut stream = server.connect(Ipv4Addr::LOCALHOST.into());
        stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        let noise: Vec<u8> = (0..random.random_range(1..2_000)).map(|_| random.random()).collect();
        let query = mangle(&mut random, &seeds);
        let octets = match round % 6 {
            0 => noise,
            // A length of nothing, of less than a header, of more than what comes.
            1 => vec![0; 64],
            2 => [&[0, 5][..], b"short"].concat(),
            3 => [&[0xff, 0xff][..], &query].concat(),
            // Many mangled queries in one go, and one whose length comes alone.
            4 => (0..50).flat_map(|_| framed(&mangle(&mut random, &seeds))).collect(),
            _ => framed(&query)[..1].to_vec(),
        };
        let _ = stream.write_all(&octets);
        let mut replies = [0; 4_096];
        let _ = stream.read(&mut replies);
        // Half of them go without a word, the others say goodbye.
        if round % 2 == 0 {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

/// Connections that say nothing, from several addresses; those beyond a limit may be closed at once, the rest stay while
/// others are served.
fn idle_streams(server: &Server, count: u32) {
    let mut idle = Vec::new();
    for number in 0..count {
        let client = Ipv4Addr::new(127, 0, 1, (number % 20) as u8 + 1);
        idle.push(server.connect(client.into()));
    }
    // One of few from its address, it is served in the midst of them.
    let mut stream = server.connect(Ipv4Addr::new(127, 0, 2, 1).into());
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let mut answered = stream.write_all(&framed(&functions::query(LISTED, 1))).is_ok();
    answered &= read_message(&mut stream).is_some();
    assert!(answered, "nobody else is served while {count} say nothing");
    drop(idle);
}
