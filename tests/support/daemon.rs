//! A daemon that does not outlive its test, for tests that choose its whole command line.

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The client that every access list of these tests lets pass: readiness is asked for from here.
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

/// An address whose UDP and TCP ports were free a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    for _ in 0..100 {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a UDP port");
        let address = udp.local_addr().expect("an address");
        if std::net::TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free for both UDP and TCP");
}

/// A running server, killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    /// Where it answers.
    pub(crate) address: SocketAddr,
    log: PathBuf,
}

impl Daemon {
    /// Starts a server that shall answer at `address`, and waits until it does.
    ///
    /// # Errors
    /// Says what it printed if it ends before it answers, or does not answer within 20 seconds.
    pub(crate) fn start(mut command: Command, address: SocketAddr, log: &Path) -> Result<Self, String> {
        let output = File::create(log).expect("a log file");
        let error = output.try_clone().expect("a log file");
        let child = command.stdin(Stdio::null()).stdout(output).stderr(error).spawn().expect("the program starts");
        let mut daemon = Self { child, address, log: log.to_owned() };
        match daemon.wait() {
            Ok(()) => Ok(daemon),
            Err(why) => Err(format!("{command:?}\n{why}; it said:\n{}", daemon.said())),
        }
    }

    /// What it printed so far.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its process.
    #[allow(dead_code)] // not all who start one send it signals
    pub(crate) fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(self.child.id().cast_signed())
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn wait(&mut self) -> Result<(), String> {
        const PATIENCE: Duration = Duration::from_secs(20);
        /// `ready.invalid. A`: in no zone, so any answer will do.
        const QUESTION: &[u8] = b"\x52\x44\0\0\0\x01\0\0\0\0\0\0\x05ready\x07invalid\0\0\x01\0\x01";
        let socket = UdpSocket::bind((PASSED_CLIENT, 0)).expect("a socket");
        socket.connect(self.address).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("it ended with {status}"));
            }
            let asked = socket.send(QUESTION).and_then(|_| socket.recv(&mut [0; 512]));
            match asked {
                Ok(_) => return Ok(()),
                // Nobody listens yet: the refusal comes at once.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(_) => {}
            }
        }
        Err(format!("no answer within {PATIENCE:?}"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
