//! A server on a folder of its own, ended by its id when the test is over.

use std::{
    fs::{self, DirEntry, File},
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant, SystemTime},
};

use nix::sys::signal::Signal;

pub(crate) use super::support::daemon::{PATIENCE, await_true};
use super::support::{
    daemon::{Daemon, dnsbld},
    message::{Query, reversed, show_reply},
};

/// What a drop of a small file may take: two seconds are promised (deploy/reload.md), and here is room for a busy machine.
pub(crate) const PROMPT: Duration = Duration::from_secs(8);

/// A folder with zones in it, and a state folder beside them.
pub(crate) struct Place {
    root: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self { root: tempfile::tempdir().expect("a folder") };
        fs::create_dir(place.zones()).expect("a folder");
        place
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn zones(&self) -> PathBuf {
        self.at("zones")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.at("state")
    }

    /// Where the last good versions are kept.
    pub(crate) fn good(&self) -> PathBuf {
        self.state().join("good")
    }

    /// The path of a zone's file.
    pub(crate) fn zone(&self, file: &str) -> PathBuf {
        self.zones().join(file)
    }

    /// Waits until the file is kept for the next start as it is.
    pub(crate) fn await_kept(&self, file: &str) {
        let wanted = fs::read(self.zone(file)).expect("a file");
        await_true("kept for the next start", || is_kept(&self.good(), &wanted), String::new);
    }

    /// Whether a copy of a file has been begun and is not complete: it gets its name then.
    pub(crate) fn is_keeping(&self) -> bool {
        let Ok(entries) = fs::read_dir(self.good()) else { return false };
        entries.flatten().any(|entry| entry.path().extension().is_some_and(|word| word == "new"))
    }

    /// Drops a file as one should: written aside, then renamed.
    pub(crate) fn drop_file(&self, file: &str, octets: impl AsRef<[u8]>) {
        let aside = self.zones().join(".being-written");
        fs::write(&aside, octets).expect("written");
        fs::rename(aside, self.zone(file)).expect("renamed");
    }
}

/// Whether a version with this first file is kept there.
pub(crate) fn is_kept(good: &Path, wanted: &[u8]) -> bool {
    kept_files(good).any(|file| fs::read(file).is_ok_and(|kept| kept == wanted))
}

/// The first file of each version that is kept there.
pub(crate) fn kept_files(good: &Path) -> impl Iterator<Item = PathBuf> {
    let versions = fs::read_dir(good).into_iter().flatten().flatten().map(|version| version.path());
    versions.filter(|path| path.extension().is_none()).map(|path| path.join("0"))
}

/// Seconds since the epoch.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("later").as_secs()
}

/// A running server.
pub(crate) struct Live {
    daemon: Daemon,
    state: PathBuf,
}

impl Live {
    /// Serves the zones of a place, with a state folder and these arguments besides.
    pub(crate) fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut command = dnsbld();
        command.arg("serve").arg(place.zones()).arg("--state").arg(place.state()).args(arguments);
        Self::spawn(command, place)
    }

    /// Serves what a configuration says, which is written into a place.
    pub(crate) fn configured(place: &Place, config: &str) -> Self {
        fs::write(place.at("dnsbld.toml"), config).expect("written");
        let mut command = dnsbld();
        command.env_remove("STATE_DIRECTORY").args(["serve", "--config"]).arg(place.at("dnsbld.toml"));
        Self::spawn(command, place)
    }

    /// Starts a server by a command that is complete but for its addresses.
    pub(crate) fn spawn(mut command: Command, place: &Place) -> Self {
        command.args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--workers", "1"]);
        Self { daemon: Daemon::start(command), state: place.state() }
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        self.daemon.said()
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.daemon.id()
    }

    /// Whether it has that very file open: it is being loaded, or copied.
    pub(crate) fn has_open(&self, file: &Path) -> bool {
        !self.positions_in(file).is_empty()
    }

    /// How far it has come in each opening of that very file.
    pub(crate) fn positions_in(&self, file: &Path) -> Vec<u64> {
        let file = fs::canonicalize(file).expect("a file");
        let process = PathBuf::from(format!("/proc/{}", self.id()));
        let position = |entry: DirEntry| {
            fs::read_link(entry.path()).ok().filter(|path| *path == file)?;
            let info = fs::read_to_string(process.join("fdinfo").join(entry.file_name())).ok()?;
            info.strip_prefix("pos:")?.lines().next()?.trim().parse().ok()
        };
        let open = fs::read_dir(process.join("fd")).expect("its files").flatten();
        open.filter_map(position).collect()
    }

    /// The names of its threads, as long as they are, with their niceness and policy.
    pub(crate) fn threads(&self) -> Vec<(String, i32, u32)> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id())).expect("threads").flatten();
        let stats = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
        let thread = |stat: String| {
            let (name, fields) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).expect("a name");
            let fields: Vec<&str> = fields.split_whitespace().collect();
            let number = |index: usize| fields[index].parse::<i32>().expect("a number");
            (name.to_owned(), number(16), number(38).cast_unsigned())
        };
        stats.map(thread).collect()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.daemon.address()
    }

    /// The last number of the A records that a name answers with; a word for everything else.
    pub(crate) fn ask(&self, name: &str) -> String {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        socket.send_to(&Query::new(name, 1).octets(), self.address()).expect("sent");
        let mut reply = [0; 4096];
        let length = socket.recv(&mut reply).unwrap_or_else(|error| panic!("{name}: {error}\n{}", self.log()));
        let lines = show_reply(&reply[..length]).expect("a reply");
        let values: Vec<&str> = lines
            .iter()
            .filter(|line| line.starts_with("answer "))
            .filter_map(|line| line.rsplit_once("A 127.0.0.").map(|(_, number)| number))
            .collect();
        if values.is_empty() { lines[0].trim_end_matches(" aa").to_owned() } else { values.join(" ") }
    }

    /// Asks until the answer is that; returns how long it took.
    pub(crate) fn await_answer(&self, name: &str, expected: &str, within: Duration) -> Duration {
        let begun = Instant::now();
        loop {
            let found = self.ask(name);
            if found == expected {
                return begun.elapsed();
            }
            assert!(
                begun.elapsed() < within,
                "{name} answers {found}, not {expected}, after {within:?}\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until it logged these words.
    pub(crate) fn await_words(&self, words: &str) {
        await_true(words, || self.log().contains(words), || self.log());
    }

    /// `dnsbld WORDS... --state ...`
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = dnsbld();
        command.args(words).arg("--state").arg(&self.state);
        command
    }

    /// What such a command prints; whether all is well.
    pub(crate) fn tell(&self, words: &[&str]) -> (bool, String) {
        let output = self.command(words).output().expect("the program starts");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// What it is in trouble with.
    pub(crate) fn status(&self) -> String {
        self.tell(&["status"]).1
    }

    /// Where metrics are.
    pub(crate) fn http(&self) -> SocketAddr {
        self.daemon.http()
    }

    pub(crate) fn metrics(&self) -> String {
        self.get("/metrics")
    }

    /// What HTTP replies to this path.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.http()).expect("a connection");
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).expect("sent");
        io::read_to_string(stream).expect("a reply")
    }

    pub(crate) fn send(&self, signal: Signal) {
        self.daemon.send(signal);
    }

    /// Stops the process as soon as something is so, and leaves it standing still; false if that is over by then, or was over
    /// before it was seen, and the process goes on.
    pub(crate) fn stop_when(&self, is_so: impl Fn() -> bool, is_over: impl Fn() -> bool) -> bool {
        let begun = Instant::now();
        while !is_so() {
            if is_over() {
                return false;
            }
            assert!(begun.elapsed() < PATIENCE, "neither so nor over\n{}", self.log());
            thread::sleep(Duration::from_micros(100));
        }
        self.send(Signal::SIGSTOP);
        await_true("it stands still", || self.is_stopped(), || self.log());
        let is_caught = is_so();
        if !is_caught {
            self.send(Signal::SIGCONT);
        }
        is_caught
    }

    /// Whether every thread stands still.
    fn is_stopped(&self) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id())).expect("threads").flatten();
        let mut states = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
        states.all(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
    }

    /// Kills it without a word, and waits until it is gone.
    pub(crate) fn kill(self) {
        drop(self.daemon);
    }

    /// Waits until it has ended by itself; whether it says that all was well.
    pub(crate) fn await_end(&mut self) -> bool {
        self.daemon.await_end().success()
    }
}

/// A list of so many addresses of 10/8, all with one value.
pub(crate) fn hosts(count: u32, value: u8) -> String {
    use std::fmt::Write as _;
    let mut text = format!(":{value}:\n");
    for number in 0..count {
        let _ = writeln!(text, "{}", Ipv4Addr::from(0x0a00_0001 + number));
    }
    text
}

/// Notes of the same addresses, all seen at one second.
pub(crate) fn notes(count: u32, seen_s: u64) -> String {
    use std::fmt::Write as _;
    (0..count).fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "{} {seen_s}", Ipv4Addr::from(0x0a00_0001 + number));
        text
    })
}

/// The name under which address `number` of [`hosts`] is asked for.
pub(crate) fn host_name(number: u32, zone: &str) -> String {
    format!("{}.{zone}", reversed(Ipv4Addr::from(0x0a00_0001 + number)))
}

/// Octets packed by gzip.
pub(crate) fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).expect("packed");
    encoder.finish().expect("packed")
}

/// Appends to a file in place.
pub(crate) fn append(path: &Path, text: &str) {
    let mut file = File::options().append(true).create(true).open(path).expect("opened");
    file.write_all(text.as_bytes()).expect("written");
}

/// A list that takes seconds to read: so many gigabytes of comments, and these entries, packed.
pub(crate) fn long_list(gigabytes: usize, entries: &str) -> Vec<u8> {
    let comments = format!("# {}\n", "never mind ".repeat(90)).repeat(1_000);
    let mut packed = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
    for _ in 0..1_000 * gigabytes {
        packed.write_all(comments.as_bytes()).expect("packed");
    }
    packed.write_all(entries.as_bytes()).expect("packed");
    packed.finish().expect("packed")
}
