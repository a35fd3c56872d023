//! Live listings: `bench/run live`. How soon they are served, how many are taken, and what a million of them costs.
//!
//! `million` runs in process, since it compares lookups; the rest asks a server process over its sockets, as operators and
//! mail servers do. The store is on the disk of the results' folder, and each commit waits for it.

#[allow(unsafe_code, reason = "sendmmsg and recvmmsg")]
#[allow(dead_code, reason = "no closed loop here")]
#[path = "support/generator.rs"]
mod generator;

#[path = "support/data.rs"]
mod data;

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use dnsbld::{
    answer::{self, Client, DEFAULT_UDP_PAYLOAD_LEN, Policy, Transport},
    control::{
        Answer, Request, ask, ask_with_lines,
        listings::{ListingsAnswer, ListingsRequest},
    },
    live::{
        clock,
        listings::{Change, Door, Key, Lifetime, Listings, Op, Origin, Places, Settings, Verdict},
        reloader::{self, Reloader},
        served::{Cell, LiveCell},
        zones::ZoneSource,
    },
    load,
    wire::name::{Name, QueryName},
    zone::live::Live,
};
use generator::{Pace, Question};
use rand::{Rng, seq::SliceRandom};

const MILLION: usize = 1_000_000;
const QUESTIONS: usize = 500_000;
/// The quickest of so many rounds counts: what else the machine does only adds.
const RUNS: usize = 15;
const RATE: f64 = 50_000.0;
const ZONE: &str = "set.bl.example";

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (Some(program), Some(results)) = (arguments.next(), arguments.next()) else {
        return Err(io::Error::other("usage: live DNSBLD FOLDER [PART] (bench/run live gives them)"));
    };
    let part = arguments.next();
    let wants = |name: &str| part.as_deref().is_none_or(|part| part == name);
    let folder = PathBuf::from(results).join(format!("live-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    println!("what\tfigure\tunit");
    if wants("disk") {
        disk(&folder)?;
    }
    if wants("million") {
        million(&folder.join("million"))?;
    }
    if wants("sockets") {
        sockets(&program, &folder.join("sockets"))?;
    }
    if wants("served") {
        served(&program, &folder.join("served"))?;
    }
    if wants("taken") {
        taken(&program, &folder.join("taken"))?;
    }
    fs::remove_dir_all(&folder)
}

fn say(what: &str, figure: f64, unit: &str) {
    println!("{what}\t{figure:.3}\t{unit}");
}

/// What one `fsync` of four kilobytes takes here: no store can acknowledge sooner.
fn disk(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    const TIMES: usize = 200;
    let file = fs::File::create(folder.join("disk"))?;
    let started = Instant::now();
    for time in 0..TIMES as u64 {
        file.write_all_at(&[1; 4096], time % 8 * 4096)?;
        file.sync_data()?;
    }
    say("disk: one fsync", started.elapsed().as_secs_f64() * 1e3 / TIMES as f64, "ms");
    Ok(())
}

/// Zones and listings in process.
struct Inside {
    cell: Cell,
    live: LiveCell,
    listings: Listings,
    open_s: f64,
}

impl Inside {
    fn start(folder: &Path) -> io::Result<Self> {
        let (cell, live) = (Cell::default(), LiveCell::default());
        let settings = reloader::Settings::new(ZoneSource::Folder(folder.join("zones")), load::Options::default());
        let mut reloader = Reloader::new(settings, Arc::clone(&cell));
        reloader.reload(clock::now_s());
        let places = Places { served: Arc::clone(&cell), live: Arc::clone(&live), slots: reloader.live_slots() };
        let started = Instant::now();
        let listings = Listings::open(Settings::new(folder.join("state")), places).map_err(io::Error::other)?;
        Ok(Self { cell, live, listings, open_s: started.elapsed().as_secs_f64() })
    }

    /// Nanoseconds of a query, from its octets to those of the answer.
    fn query_ns(&self, live: &Live, questions: &[Vec<u8>], listed: bool) -> f64 {
        let served = self.cell.load();
        let policy = Policy {
            udp_payload_len: DEFAULT_UDP_PAYLOAD_LEN,
            minimal: false,
            version: None,
            identity: None,
            cookie_secret: [7; 16],
            leaves_signed: false,
        };
        let world = answer::World { snapshot: &served.snapshot, policy: &policy, now_s: clock::now_s(), live };
        let client = Client { address: Ipv4Addr::LOCALHOST.into(), transport: Transport::Udp };
        let (mut name, mut buffer) = (QueryName::new(), [0; 1232]);
        let started = Instant::now();
        let mut answered = 0;
        for question in questions {
            let outcome = answer::answer_if_usual(&mut name, &world, &client, question, &mut buffer)
                .unwrap_or_else(|| answer::answer_in_full(&mut name, &world, &client, question, &mut buffer));
            answered += usize::from(outcome.answer_count > 0);
        }
        assert_eq!(answered, if listed { questions.len() } else { 0 }, "wrong answers");
        started.elapsed().as_secs_f64() * 1e9 / questions.len() as f64
    }
}

fn resident_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0) / 1024.0
}

/// A million single addresses: memory, start, and lookups beside a file of the same.
fn million(folder: &Path) -> io::Result<()> {
    for part in ["zones", "state"] {
        fs::create_dir_all(folder.join(part))?;
    }
    let list = data::hosts(MILLION, QUESTIONS, 1);
    // The same value for both: what a file begins with.
    let head: String = list.text.lines().take(3).flat_map(|line| [line, "\n"]).collect();
    let entries: Vec<Key> = list.text.lines().skip(3).map(|line| line.parse().expect("an address")).collect();
    let zone_file = folder.join("zones").join(format!("{ZONE}.ip4set"));
    let mut questions: [Vec<Vec<u8>>; 2] = [&list.listed, &list.unlisted].map(|names| {
        names.iter().map(|name| data::query(7, &format!("{name}.{ZONE}"), 1, data::Extras::default())).collect()
    });
    for questions in &mut questions {
        questions.shuffle(&mut data::random(9));
    }

    fs::write(&zone_file, &head)?;
    let inside = Inside::start(folder)?;
    let origin = Origin { door: Door::Command, who: "bench".into(), from: None };
    let zone = Name::parse(ZONE.as_bytes()).expect("a name");
    let lifetime = Lifetime::For(Duration::from_secs(86_400));
    let started = Instant::now();
    for block in entries.chunks(4_096) {
        let change = |key: &Key| Change {
            zone: zone.clone(),
            key: key.clone(),
            op: Op::Put { verdict: Verdict::LISTED, lifetime },
            reason: Some("Eicar".into()),
        };
        inside.listings.apply(block.iter().map(change).collect(), &origin).map_err(io::Error::other)?;
    }
    say("million: taken in process, durable", entries.len() as f64 / started.elapsed().as_secs_f64(), "listings/s");
    let bytes = |live: &Live| live.zone(0).map_or((0, 0), |zone| (zone.memory_bytes(), zone.len()));
    let (memory, count) = bytes(&inside.live.load());
    say("million: different addresses", count as f64, "");
    say("million: memory of each, as they came", memory as f64 / count as f64, "bytes");
    inside.listings.stop();
    drop(inside);

    let before = resident_mib();
    let inside = Inside::start(folder)?;
    let (memory, count) = bytes(&inside.live.load());
    say("million: start", inside.open_s, "s");
    say("million: resident after start, with the store's cache", resident_mib() - before, "MiB");
    say("million: memory of each, after a start", memory as f64 / count as f64, "bytes");

    // Turn and turn about, so that whatever else the machine does meets both.
    let beside = folder.join("beside");
    fs::create_dir_all(beside.join("zones"))?;
    fs::create_dir_all(beside.join("state"))?;
    fs::write(beside.join("zones").join(format!("{ZONE}.ip4set")), &list.text)?;
    let of_file = Inside::start(&beside)?;
    let (mut live_ns, mut file_ns) = ([f64::MAX; 2], [f64::MAX; 2]);
    for index in (0..RUNS).flat_map(|_| [0, 1]) {
        let is_listed = index == 0;
        file_ns[index] = file_ns[index].min(of_file.query_ns(Live::NONE, &questions[index], is_listed));
        live_ns[index] = live_ns[index].min(inside.query_ns(&inside.live.load(), &questions[index], is_listed));
    }
    inside.listings.stop();
    of_file.listings.stop();
    for (index, what) in ["listed", "not listed"].into_iter().enumerate() {
        say(&format!("million: query, {what}, from a file"), file_ns[index], "ns");
        say(&format!("million: query, {what}, live"), live_ns[index], "ns");
        say(&format!("million: query, {what}, live to file"), live_ns[index] / file_ns[index], "times");
    }
    Ok(())
}

/// A server process.
struct Server {
    child: Child,
    address: SocketAddr,
    state: PathBuf,
}

impl Server {
    /// Serves a file, and waits until it answers that `name` is listed.
    fn start(program: &str, folder: &Path, file: &str, name: &str) -> io::Result<Self> {
        let zones = folder.join("zones");
        fs::create_dir_all(&zones)?;
        fs::write(zones.join(format!("{ZONE}.ip4set")), file)?;
        let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let state = folder.join("state");
        let child = Command::new(program)
            .args(["serve", "--http", "off", "--workers", "1", "--listen", &address.to_string(), "--state"])
            .arg(&state)
            .arg(&zones)
            .stdin(Stdio::null())
            .stderr(fs::File::create(folder.join("log"))?)
            .spawn()?;
        let server = Self { child, address, state };
        let probe = server.socket()?;
        for _ in 0..10_000 {
            if is_listed(&probe, name).unwrap_or(false) {
                return Ok(server);
            }
            thread::sleep(Duration::from_millis(1));
        }
        Err(io::Error::other("the server does not answer"))
    }

    fn socket(&self) -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(self.address)?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        Ok(socket)
    }

    /// Lists each line's key, and says how many were listed.
    fn list_many(&self, lines: &str) -> io::Result<usize> {
        let op = Op::Put { verdict: Verdict::LISTED, lifetime: Lifetime::For(Duration::from_secs(86_400)) };
        let request = ListingsRequest::Bulk { zone: ZONE.into(), op, reason: Some("trap".into()) };
        match ask_with_lines(&self.state, &Request::Listings { asked: request }, &mut lines.as_bytes()) {
            Ok(Answer::Listings { told: ListingsAnswer::Report { report } }) => Ok(report.listed),
            other => Err(io::Error::other(format!("{other:?}"))),
        }
    }

    /// Nanoseconds that its threads have been running.
    fn cpu_ns(&self) -> io::Result<u64> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id()))?;
        tasks
            .map(|task| {
                let times = fs::read_to_string(task?.path().join("schedstat"))?;
                times
                    .split(' ')
                    .next()
                    .and_then(|running| running.parse::<u64>().ok())
                    .ok_or(io::ErrorKind::InvalidData.into())
            })
            .sum::<io::Result<u64>>()
    }

    fn list(&self, key: String) -> io::Result<()> {
        let op = Op::Put { verdict: Verdict::LISTED, lifetime: Lifetime::For(Duration::from_secs(3_600)) };
        let reason = Some("Eicar".into());
        let request = ListingsRequest::Change { zone: ZONE.into(), keys: vec![key], op, reason };
        match ask(&self.state, &Request::Listings { asked: request }).map_err(io::Error::other)? {
            Answer::Listings { told: ListingsAnswer::Changed { .. } } => Ok(()),
            other => Err(io::Error::other(format!("{other:?}"))),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a name of the zone has an answer.
fn is_listed(socket: &UdpSocket, name: &str) -> io::Result<bool> {
    let query = data::query(1, &format!("{name}.{ZONE}"), 1, data::Extras::default());
    let mut reply = [0; 1232];
    socket.send(&query)?;
    let length = socket.recv(&mut reply)?;
    Ok(length > 12 && u16::from_be_bytes([reply[6], reply[7]]) > 0)
}

fn questions(names: &[String], listed: bool) -> Vec<Question> {
    let octets = |name: &String| data::query(0, &format!("{name}.{ZONE}"), 1, data::Extras::default());
    let mut questions: Vec<Question> =
        names.iter().map(|name| Question { octets: octets(name), listed, values: None, until: None }).collect();
    questions.shuffle(&mut data::random(5));
    questions
}

/// What a query costs a server with a million live listings beside one with a file of the same, turn and turn about; and how
/// soon the former answers after it was killed.
fn sockets(program: &str, folder: &Path) -> io::Result<()> {
    const TURNS: usize = 5;
    const TURN: Duration = Duration::from_secs(2);
    let list = data::hosts(MILLION, QUESTIONS, 1);
    let head: String = list.text.lines().take(3).flat_map(|line| [line, "\n"]).collect();
    let (folder_live, name) = (folder.join("live"), &list.listed[0]);
    let of_file = Server::start(program, &folder.join("file"), &list.text, name)?;
    let live = Server::start(program, &folder_live, &format!("{head}127.0.0.2\n"), "2.0.0.127")?;
    let keys: String = list.text.lines().skip(3).flat_map(|line| [line, "\n"]).collect();
    let started = Instant::now();
    let listed = live.list_many(&keys)?;
    say("sockets: taken in bulk, durable", listed as f64 / started.elapsed().as_secs_f64(), "listings/s");
    drop(live); // by kill -9
    let started = Instant::now();
    let live = Server::start(program, &folder_live, &format!("{head}127.0.0.2\n"), name)?;
    say("sockets: start to first answer, after kill -9", started.elapsed().as_secs_f64(), "s");

    for (what, names, is_listed) in [("listed", &list.listed, true), ("not listed", &list.unlisted, false)] {
        let questions = questions(names, is_listed);
        let (mut cpu_ns, mut answered) = ([0, 0], [0, 0]);
        for index in (0..TURNS).flat_map(|_| [0, 1]) {
            let server = [&of_file, &live][index];
            let before_ns = server.cpu_ns()?;
            let outcome = generator::ask(server.address, &questions, Pace::Open(RATE), TURN, || ())?;
            cpu_ns[index] += server.cpu_ns()? - before_ns;
            answered[index] += outcome.answered;
            assert_eq!(outcome.wrong, 0, "wrong answers");
        }
        let each_ns = [0, 1].map(|index| cpu_ns[index] as f64 / answered[index] as f64);
        for (from, ns) in ["from a file", "live"].into_iter().zip(each_ns) {
            say(&format!("sockets: CPU of a query, {what}, {from}"), ns, "ns");
        }
        say(&format!("sockets: CPU of a query, {what}, live to file"), each_ns[1] / each_ns[0], "times");
    }
    Ok(())
}

/// From the acknowledgement to the first answer that lists, while 50,000 queries a second are answered.
fn served(program: &str, folder: &Path) -> io::Result<()> {
    const LISTINGS: usize = 2_000;
    let names = data::hosts(100_000, 100_000, 1);
    let server = Server::start(program, folder, &names.text, &names.listed[0])?;
    let mut questions = questions(&names.listed, true);
    questions.extend(self::questions(&names.unlisted, false));
    questions.shuffle(&mut data::random(5));
    let address = server.address;
    let load =
        thread::spawn(move || generator::ask(address, &questions, Pace::Open(RATE), Duration::from_secs(12), || ()));
    thread::sleep(Duration::from_millis(500));
    let socket = server.socket()?;
    let (mut served_us, mut acknowledged_us) = (Vec::new(), Vec::new());
    let mut random = data::random(6);
    for number in 0..LISTINGS {
        if load.is_finished() {
            break;
        }
        let [a, b] = (number as u16).to_be_bytes();
        let asked = Instant::now();
        server.list(format!("172.17.{a}.{b}"))?;
        let acknowledged = Instant::now();
        acknowledged_us.push((acknowledged - asked).as_micros() as u64);
        // A lost datagram is asked again.
        while !is_listed(&socket, &format!("{b}.{a}.17.172")).unwrap_or(false) {}
        served_us.push(acknowledged.elapsed().as_micros() as u64);
        thread::sleep(Duration::from_micros(random.random_range(0..2_000)));
    }
    let outcome = load.join().map_err(|_| io::Error::other("the load failed"))??;
    say("served: queries answered meanwhile", outcome.per_second(), "queries/s");
    say("served: queries lost or answered wrong", (outcome.lost + outcome.wrong) as f64, "");
    say("served: latency of queries, p99", f64::from(outcome.permille_us(990)) / 1e3, "ms");
    for (what, times) in [("acknowledged to served", &mut served_us), ("asked to acknowledged", &mut acknowledged_us)] {
        times.sort_unstable();
        let permille = |permille: usize| times[(times.len() - 1) * permille / 1_000] as f64 / 1e3;
        say(&format!("served: {what}, p50 of {}", times.len()), permille(500), "ms");
        say(&format!("served: {what}, p99"), permille(990), "ms");
        say(&format!("served: {what}, most"), permille(1_000), "ms");
    }
    Ok(())
}

/// How many are taken: in bulk, and one by one by several askers.
fn taken(program: &str, folder: &Path) -> io::Result<()> {
    const BULK: u32 = 400_000;
    const ASKERS: u32 = 32;
    const EACH: u32 = 500;
    let list = data::hosts(100_000, 1, 1);
    let server = Server::start(program, folder, &list.text, &list.listed[0])?;
    // In random order, as spam comes: each touches a page of the store by itself.
    let line = |number| format!("{} 1h\n", Ipv4Addr::from(0x0a00_0000 + number * 37));
    let mut lines: Vec<String> = (0..BULK).map(line).collect();
    lines.shuffle(&mut data::random(7));
    let lines = lines.concat();
    let started = Instant::now();
    let listed = server.list_many(&lines)?;
    assert_eq!(listed, BULK as usize, "not all were listed");
    say("taken: in bulk", f64::from(BULK) / started.elapsed().as_secs_f64(), "listings/s");
    let started = Instant::now();
    let server = &server;
    thread::scope(|scope| {
        let askers: Vec<_> = (0..ASKERS)
            .map(|asker| {
                scope.spawn(move || {
                    (0..EACH).try_for_each(|number| {
                        server.list(Ipv4Addr::from(0xac10_0000 + asker * EACH + number).to_string())
                    })
                })
            })
            .collect();
        askers.into_iter().try_for_each(|asker| asker.join().map_err(|_| io::Error::other("an asker failed"))?)
    })?;
    let rate = f64::from(ASKERS * EACH) / started.elapsed().as_secs_f64();
    say(&format!("taken: one by one, {ASKERS} askers at a time"), rate, "listings/s");
    Ok(())
}
