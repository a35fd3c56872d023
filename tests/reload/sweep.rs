//! What is over is given back while queries are answered, all of them and rightly, and so are those of a client that has been there
//! for longer.

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream, UdpSocket},
    sync::atomic::{AtomicU8, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    live::{Live, PATIENCE, Place, host_name, hosts, now_s},
    memory::{memory_kib, settled_kib},
    support::message::Query,
};

const FILE: &str = "bl.example.ip4set";
/// Entries that stay, and behind them those that end. Addresses behind all of these are not listed.
const STAYING: u32 = 30_000;
const ENDING: u32 = 200_000;

/// What the server is doing.
const BEFORE: u8 = 0;
const SWEEPING: u8 = 1;
const AFTER: u8 = 2;

fn list(until_s: u64) -> String {
    (STAYING..STAYING + ENDING).fold(hosts(STAYING, 2), |mut text, number| {
        let _ = writeln!(text, "{} @ until={until_s}", Ipv4Addr::from(0x0a00_0001 + number));
        text
    })
}

/// A server that has loaded all entries of a list before so many of them end, and when that is.
fn start(place: &Place, file: &str, count: u32, list: impl Fn(u64) -> String) -> (Live, u64) {
    let all = format!(".example: {count} entries");
    for lead_s in [4, 8, 16, 32] {
        let until_s = now_s() + lead_s;
        place.drop_file(file, list(until_s));
        let live = Live::start(place, &["--check", "1s"]);
        place.await_kept(file);
        if now_s() + 1 < until_s {
            assert!(live.status().contains(&all), "{}", live.status());
            return (live, until_s);
        }
    }
    panic!("this machine is too slow to load {count} entries before they end");
}

/// What was asked in one phase, and how long that took.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    count: u32,
    took: Duration,
    slowest: Duration,
}

impl Asked {
    fn add(&mut self, took: Duration) {
        (self.count, self.took, self.slowest) = (self.count + 1, self.took + took, self.slowest.max(took));
    }

    fn mean(&self) -> Duration {
        self.took / self.count.max(1)
    }
}

/// Asks one question after the other until a while after the sweep, and sees that each answer is right; what was asked in
/// each phase.
fn ask_on(live: &Live, until_s: u64, phase: &AtomicU8) -> [Asked; 3] {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.connect(live.address()).expect("connected");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let (mut asked, mut reply) = ([Asked::default(); 3], [0; 512]);
    for id in 0u32.. {
        let number = id.wrapping_mul(7_919) % (STAYING + ENDING + STAYING);
        let mut query = Query::new(&host_name(number, "bl.example"), 1);
        query.id = id as u16;
        let (octets, during) = (query.octets(), phase.load(Ordering::Relaxed));
        let (sent_s, sent) = (now_s(), Instant::now());
        socket.send(&octets).expect("sent");
        let length = socket.recv(&mut reply).expect("a query was lost");
        let (took, received_s) = (sent.elapsed(), now_s());
        assert_eq!(reply[..2], query.id.to_be_bytes(), "an answer to another question");
        let code = reply[3] & 0xf;
        let is_listed = code == 0;
        assert!(code == 3 || is_listed && reply[length - 1] == 2, "neither listed nor not: {:?}", &reply[..length]);
        let wanted: &[bool] = match number {
            ..STAYING => &[true],
            number if number >= STAYING + ENDING => &[false],
            _ if received_s < until_s => &[true],
            _ if sent_s >= until_s => &[false],
            _ => &[true, false],
        };
        assert!(wanted.contains(&is_listed), "{number} at {received_s} of {until_s}: {:?}", &reply[..length]);
        asked[usize::from(during)].add(took);
        if during == AFTER && asked[usize::from(AFTER)].count > 1_000 {
            break;
        }
    }
    asked
}

#[test]
fn a_sweep_neither_stops_nor_slows_answers() {
    let place = Place::new();
    let (live, until_s) = start(&place, FILE, STAYING + ENDING, list);
    let phase = AtomicU8::new(BEFORE);
    let (asked, swept) = thread::scope(|scope| {
        let asking = scope.spawn(|| ask_on(&live, until_s, &phase));
        let begun = await_sweep(&live, &phase, || live.has_open(&place.zone(FILE)));
        phase.store(SWEEPING, Ordering::Relaxed);
        let (words, left) =
            (format!("{ENDING} entries that were over are given back"), format!("example: {STAYING} entries"));
        await_sweep(&live, &phase, || live.log().contains(&words) && live.status().contains(&left));
        let swept = begun.elapsed();
        phase.store(AFTER, Ordering::Relaxed);
        (asking.join().expect("every answer is right"), swept)
    });
    let [before, during, after] = asked;
    println!("a sweep of {swept:?}: {before:?} before, {during:?} meanwhile, {after:?} after");
    let counted = format!("dnsbld_zone_expired_entries_total{{zone=\"bl.example\"}} {ENDING}\n");
    assert!(live.metrics().contains(&counted), "{}", live.metrics());
    // Two cores load and answer and ask, so there is less of them for each; but nobody waits for the sweep.
    assert!(before.count > 1_000 && during.count > 100, "{before:?} {during:?}");
    assert!(during.mean() < before.mean() * 5 + Duration::from_millis(1), "{before:?} {during:?}");
    let longest = (swept / 2).max(Duration::from_millis(250)) + before.slowest;
    assert!(during.slowest < longest, "it stood still: {before:?} {during:?} in {swept:?}");
}

#[test]
fn a_sweep_gives_memory_of_names_back() {
    expect_memory_back("names.example.dnset", |number| format!("name{number}.test"));
}

#[test]
fn a_sweep_gives_memory_of_addresses_back() {
    expect_memory_back("hosts.example.ip6trie", |number| {
        format!("2001:db8:{:x}:{:x}::1", number >> 16, number & 0xffff)
    });
}

/// Lists many keys that all end, and sees their memory go when they are swept.
fn expect_memory_back(file: &str, key: impl Fn(u32) -> String) {
    const KEYS: u32 = 300_000;
    /// Of each name 19 bytes are seen to go, of each address 16.
    const GIVEN_BACK_KIB: u64 = 12 * KEYS as u64 / 1_024;
    let place = Place::new();
    let (live, _) = start(&place, file, KEYS, |until_s| {
        (0..KEYS).fold(String::new(), |mut text, number| {
            let _ = writeln!(text, "{} @ until={until_s}", key(number));
            text
        })
    });
    let full_kib = memory_kib(&live, "VmRSS");
    let words = format!("{KEYS} entries that were over are given back");
    await_sweep(&live, &AtomicU8::new(SWEEPING), || live.log().contains(&words));
    let left_kib = settled_kib(&live);
    println!("{file}: {full_kib} KiB with {KEYS} entries, {left_kib} KiB without");
    assert!(left_kib + GIVEN_BACK_KIB < full_kib, "{file}: {full_kib} KiB with {KEYS} entries, {left_kib} KiB without");
}

/// Each answer is right by the second in which it was asked for, and not by that in which the client came.
#[test]
fn a_connection_that_stays_open_sees_listings_end() {
    let place = Place::new();
    let (live, until_s) = start(&place, FILE, 2, |until_s| format!("10.0.0.1 @ until={until_s}\n10.0.0.2\n"));
    let mut stream = TcpStream::connect(live.address()).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let mut seen = Vec::new();
    while now_s() < until_s + 2 {
        let sent_s = now_s();
        let (ending, staying) = (ask_on_stream(&mut stream, 0), ask_on_stream(&mut stream, 1));
        assert_eq!(staying, 0, "its connection is as good as ever");
        if now_s() < until_s || sent_s >= until_s {
            assert_eq!(ending, if sent_s < until_s { 0 } else { 3 }, "at {sent_s} of {until_s}");
            seen.push(ending);
        }
        thread::sleep(Duration::from_millis(1));
    }
    assert!(seen.contains(&0) && seen.contains(&3), "{seen:?}");
}

/// The code of the answer to whether that address is listed, on a connection.
fn ask_on_stream(stream: &mut TcpStream, number: u32) -> u8 {
    let octets = Query::new(&host_name(number, "bl.example"), 1).octets();
    stream.write_all(&[&(octets.len() as u16).to_be_bytes()[..], &octets].concat()).expect("sent");
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("an answer");
    let mut reply = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut reply).expect("an answer");
    reply[3] & 0xf
}

/// Waits without a pause that would miss it; says when it was. Lets the other thread go if it does not come.
fn await_sweep(live: &Live, phase: &AtomicU8, is_so: impl Fn() -> bool) -> Instant {
    let begun = Instant::now();
    while !is_so() {
        if begun.elapsed() > PATIENCE * 3 {
            phase.store(AFTER, Ordering::Relaxed);
            panic!("no sweep\n{}", live.log());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Instant::now()
}
