//! Servers as processes, each ended by its id when its test is over.
//!
//! Ours listens on port 0, and says itself where that is and when it serves: no two tests ever meet at one port, and nobody takes
//! another's server for his own. Programs that want to be told get an address that nobody else has.

use std::{
    fs::File,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    os::unix::fs::FileExt as _,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// How long anything may take that has no deadline of its own.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How long a start may take: large lists are loaded before, and loading gives way to all else that runs.
const START: Duration = Duration::from_secs(60);

/// The client that every access list of these tests lets pass: others' readiness is asked for from here.
pub(crate) const PASSED_CLIENT: Ipv4Addr = Ipv4Addr::new(127, 9, 9, 9);

/// Where a program of that name is, or what to install.
pub(crate) fn program(name: &str, package: &str) -> PathBuf {
    std::env::var_os("PATH")
        .iter()
        .flat_map(std::env::split_paths)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed: apt-get install {package}"))
}

/// Our own program.
pub(crate) fn dnsbld() -> Command {
    Command::new(env!("CARGO_BIN_EXE_dnsbld"))
}

/// An address that nobody else has: the host is that of this process in 127/8, and the port none that the kernel gives to whoever
/// asks for any.
pub(crate) fn free_address() -> SocketAddr {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let id = std::process::id();
    let [_, high, middle, low] = id.to_be_bytes();
    let host = Ipv4Addr::new(127, 64 | high, middle, low);
    let next = || {
        // Beside it some want the same port at ::1, which all share: so each process begins elsewhere.
        let number = id.wrapping_mul(101).wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
        SocketAddr::from((host, 20_000 + (number % 12_000) as u16))
    };
    let is_free = |address: &SocketAddr| UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok();
    std::iter::repeat_with(next).take(100).find(is_free).expect("one of a hundred ports is free")
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn await_true(what: &str, is_so: impl FnMut() -> bool, explain: impl Fn() -> String) {
    await_true_within(PATIENCE, what, is_so, explain);
}

/// The same, for what has its own deadline.
#[track_caller]
pub(crate) fn await_true_within(
    deadline: Duration,
    what: &str,
    mut is_so: impl FnMut() -> bool,
    explain: impl Fn() -> String,
) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < deadline, "not within {deadline:?}: {what}\n{}", explain());
        thread::sleep(Duration::from_millis(5));
    }
}

/// A running server, killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    addresses: Vec<SocketAddr>,
    /// All that it says, on standard output and error. It has no name, so that it stands in no folder's way.
    log: File,
}

impl Daemon {
    /// Starts our program, which listens on port 0, and waits until it serves.
    #[track_caller]
    pub(crate) fn start(command: Command) -> Self {
        Self::try_start(command).unwrap_or_else(|why| panic!("{why}"))
    }

    /// The same, where it may be that it does not.
    ///
    /// # Errors
    /// Says what it said if it ends before it serves, or takes too long.
    pub(crate) fn try_start(command: Command) -> Result<Self, String> {
        let mut daemon = Self::spawn(command, |said| {
            // The one is said by `serve`, the other by `rbldnsd`; by then commands and signals are taken too.
            said.lines().any(|line| line.contains("serving ") && line.contains(" zone") || line.contains(" started ("))
        })?;
        let address = |text: &str| {
            let (host, port) = text.split_once('/')?;
            Some(SocketAddr::new(host.parse().ok()?, port.parse().ok()?))
        };
        let said = daemon.said();
        daemon.addresses = behind(&said, "listening on ").filter_map(address).collect();
        assert!(!daemon.addresses.is_empty(), "where does it listen?\n{said}");
        Ok(daemon)
    }

    /// Starts a program that does not say when it is ready, and was told to listen at these addresses; waits until it answers at
    /// the first.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn start_at(addresses: &[SocketAddr], command: Command) -> Result<Self, String> {
        /// `ready.invalid. A`: in no zone, so any answer will do.
        const QUESTION: &[u8] = b"\x52\x44\0\0\0\x01\0\0\0\0\0\0\x05ready\x07invalid\0\0\x01\0\x01";
        let socket = UdpSocket::bind((PASSED_CLIENT, 0)).expect("a socket");
        socket.connect(addresses[0]).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        let is_answered = || socket.send(QUESTION).and_then(|_| socket.recv(&mut [0; 512])).is_ok();
        let mut daemon = Self::spawn(command, |_| is_answered())?;
        daemon.addresses = addresses.to_vec();
        Ok(daemon)
    }

    fn spawn(mut command: Command, is_up: impl Fn(&str) -> bool) -> Result<Self, String> {
        let log = tempfile::tempfile().expect("a log");
        let output = || log.try_clone().expect("a log");
        let child = command.stdin(Stdio::null()).stdout(output()).stderr(output()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut daemon = Self { child, addresses: Vec::new(), log };
        let begun = Instant::now();
        loop {
            let ended = daemon.child.try_wait().expect("a child");
            let said = daemon.said();
            let why = match ended {
                _ if is_up(&said) => return Ok(daemon),
                Some(status) => format!("it ended with {status}"),
                None if begun.elapsed() > START => format!("it is not up within {START:?}"),
                None => {
                    thread::sleep(Duration::from_millis(2));
                    continue;
                }
            };
            return Err(format!("{command:?}\n{why}; it said:\n{said}"));
        }
    }

    /// What it said so far, in whole lines.
    pub(crate) fn said(&self) -> String {
        let mut octets = vec![0; self.log.metadata().expect("a log").len() as usize];
        self.log.read_exact_at(&mut octets, 0).expect("a log");
        let mut text = String::from_utf8_lossy(&octets).into_owned();
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        text
    }

    /// Where it answers, the first of its addresses.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where it answers such a client.
    pub(crate) fn address_for(&self, client: IpAddr) -> Option<SocketAddr> {
        self.addresses.iter().copied().find(|address| address.is_ipv4() == client.is_ipv4())
    }

    /// Where our program has its metrics, by its own words.
    pub(crate) fn http(&self) -> SocketAddr {
        let said = self.said();
        let place = behind(&said, "metrics on http://").next().and_then(|text| text.strip_suffix("/metrics"));
        place.unwrap_or_else(|| panic!("no HTTP\n{said}")).parse().expect("an address")
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn send(&self, signal: Signal) {
        kill(Pid::from_raw(self.id().cast_signed()), signal).expect("a running process");
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub(crate) fn await_end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end\n{}", self.said());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What stands behind these words, each time to the end of the line, or of the string where lines are JSON.
fn behind<'t>(text: &'t str, words: &'t str) -> impl Iterator<Item = &'t str> {
    text.split(words).skip(1).map(|rest| rest.split(['\n', '"']).next().unwrap_or_default())
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
