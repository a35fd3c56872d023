//! Servers as processes: ours and rbldnsd, started on a free port of the loopback interface and ended by their id.

use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use socket2::{Domain, Protocol, Socket, Type};

use super::{
    message::Query,
    script::{File, Options},
};

/// Where Debian puts rbldnsd.
pub(crate) const RBLDNSD: &str = "/usr/sbin/rbldnsd";

/// How long a reply may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long silence is listened to.
const SILENCE: Duration = Duration::from_millis(150);

/// A server process with its zones in a folder of its own.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    has_v6: bool,
    folder: tempfile::TempDir,
}

impl Server {
    /// Our server: under rbldnsd's command line if that can say all options, else with a configuration file.
    pub(crate) fn dnsbld(files: &[File], specs: &[String], options: &Options) -> Self {
        if options.are_rbldnsds() {
            Self::with_rbldnsds_words(&["dnsbld", "rbldnsd"], files, specs, options)
        } else {
            Self::configured(files, specs, options)
        }
    }

    /// Debian's rbldnsd.
    pub(crate) fn rbldnsd(files: &[File], specs: &[String], options: &Options) -> Self {
        Self::with_rbldnsds_words(&[RBLDNSD], files, specs, options)
    }

    /// Our server on a copy of a folder of zones: it keeps what is good of them in the same place.
    pub(crate) fn on_folder(zones: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let copy = folder.path().join("zones");
        fs::create_dir(&copy).expect("a folder");
        for file in files_of(zones) {
            fs::copy(&file, copy.join(file.file_name().expect("a name"))).expect("a zone copied");
        }
        Self::start(folder, false, |port, _| {
            let mut command = program("dnsbld");
            command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--http", "off"]).arg(&copy);
            command
        })
    }

    /// Our server with these files, and a configuration that needs only its addresses. HTTP takes any free port.
    pub(crate) fn with_config(files: &[(&str, &str)], config: &str) -> Self {
        Self::with_state("state", files, config)
    }

    /// The same with another state folder.
    pub(crate) fn with_state(state: &str, files: &[(&str, &str)], config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("zones")).expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("a file written");
        }
        Self::start(folder, false, |port, folder| {
            let text = format!(
                "listen = [\"127.0.0.1:{port}\"]\nhttp = \"127.0.0.1:0\"\nfolder = \"zones\"\nstate = {state:?}\n{config}"
            );
            let path = folder.join("dnsbld.toml");
            fs::write(&path, text).expect("a configuration written");
            let mut command = program("dnsbld");
            command.args(["serve", "--config"]).arg(path);
            command
        })
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has said.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("test.log")).unwrap_or_default()
    }

    /// Where it serves HTTP, by its own words.
    pub(crate) fn http(&self) -> String {
        let said = self.said();
        let at = said.split("metrics on http://").nth(1).and_then(|rest| rest.split('/').next());
        at.unwrap_or_else(|| panic!("no HTTP: {said}")).to_owned()
    }

    fn configured(files: &[File], specs: &[String], options: &Options) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write_files(folder.path(), files);
        let text = |value: &Option<String>| value.as_ref().map_or("false".to_owned(), |text| format!("{text:?}"));
        Self::start(folder, false, |port, folder| {
            let config = format!(
                "listen = [\"127.0.0.1:{port}\"]\nhttp = false\nzones = {specs:?}\nminimal = {}\nudp-payload = {}\n\
                 version = {}\nidentity = {}\n",
                options.minimal,
                options.payload_len.unwrap_or(1232),
                text(&options.version),
                text(&options.identity)
            );
            let path = folder.join("dnsbld.toml");
            fs::write(&path, config).expect("a configuration written");
            let mut command = program("dnsbld");
            command.args(["serve", "--config"]).arg(path);
            command
        })
    }

    fn with_rbldnsds_words(words: &[&str], files: &[File], specs: &[String], options: &Options) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write_files(folder.path(), files);
        let has_v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        let server = Self::start(folder, has_v6, |port, folder| {
            let mut command = program(words[0]);
            command.args(&words[1..]).args(["-n", "-b", &format!("127.0.0.1/{port}")]);
            if has_v6 {
                command.args(["-b", &format!("::1/{port}")]);
            }
            if nix::unistd::geteuid().is_root() {
                // rbldnsd does not run as root, and its own user may not be there.
                command.args(["-u", "nobody"]);
            }
            if options.minimal {
                command.arg("-a");
            }
            if options.quickstart {
                command.arg("-q");
            }
            command.arg("-w").arg(folder).args(specs);
            command
        });
        if options.quickstart {
            // It answers before it has loaded.
            std::thread::sleep(Duration::from_millis(300));
        }
        server
    }

    /// Starts the process that `command` describes and waits until it answers. A port that was free may be taken by the time
    /// it is bound, by a client's socket of another test: then another one is tried.
    fn start(folder: tempfile::TempDir, has_v6: bool, command: impl Fn(u16, &Path) -> Command) -> Self {
        const TRIES: usize = 5;
        let said = || fs::read_to_string(folder.path().join("test.log")).unwrap_or_default();
        for _ in 0..TRIES {
            let port = free_port();
            let mut command = command(port, folder.path());
            let log = fs::File::create(folder.path().join("test.log")).expect("a log");
            command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
            let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
            if answers(&mut child, port, said) {
                return Self { child, port, has_v6, folder };
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("the server does not start: {}", said());
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Bytes of memory resident.
    pub(crate) fn resident_bytes(&self) -> usize {
        let text = fs::read_to_string(format!("/proc/{}/statm", self.id())).expect("a running process");
        let pages: usize = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
        pages * 4096
    }

    /// Whether it listens at the family of this client.
    pub(crate) fn reaches(&self, client: IpAddr) -> bool {
        client.is_ipv4() || self.has_v6
    }

    fn address(&self, client: IpAddr) -> SocketAddr {
        match client {
            IpAddr::V4(_) => (Ipv4Addr::LOCALHOST, self.port).into(),
            IpAddr::V6(_) => (Ipv6Addr::LOCALHOST, self.port).into(),
        }
    }

    /// Asks in a datagram; `None` is silence.
    pub(crate) fn ask_udp(&self, from: Option<IpAddr>, request: &[u8], expect_silence: bool) -> Option<Vec<u8>> {
        let client = from.unwrap_or(Ipv4Addr::LOCALHOST.into());
        let socket = UdpSocket::bind((client, 0)).expect("a socket");
        socket.set_read_timeout(Some(if expect_silence { SILENCE } else { PATIENCE })).expect("a timeout");
        socket.send_to(request, self.address(client)).expect("a datagram sent");
        let mut reply = vec![0; 65_535];
        let length = socket.recv(&mut reply).ok()?;
        reply.truncate(length);
        Some(reply)
    }

    /// Asks on a stream; `None` is silence.
    pub(crate) fn ask_tcp(&self, from: Option<IpAddr>, request: &[u8], expect_silence: bool) -> Option<Vec<u8>> {
        let client = from.unwrap_or(Ipv4Addr::LOCALHOST.into());
        let mut stream = self.connect(client);
        stream.set_read_timeout(Some(if expect_silence { SILENCE } else { PATIENCE })).expect("a timeout");
        let framed = [&(request.len() as u16).to_be_bytes()[..], request].concat();
        stream.write_all(&framed).expect("a message sent");
        read_message(&mut stream)
    }

    /// A stream to the server from an address of this host.
    pub(crate) fn connect(&self, client: IpAddr) -> TcpStream {
        let domain = if client.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).expect("a socket");
        socket.bind(&SocketAddr::from((client, 0)).into()).expect("an address of this host");
        socket.connect_timeout(&self.address(client).into(), PATIENCE).expect("a connection");
        socket.into()
    }
}

/// The program of ours, or one of the system's.
fn program(name: &str) -> Command {
    Command::new(if name == "dnsbld" { env!("CARGO_BIN_EXE_dnsbld") } else { name })
}

/// Waits until a new process answers; false if it ends, or takes too long.
fn answers(child: &mut Child, port: u16, said: impl Fn() -> String) -> bool {
    let started = Instant::now();
    let probe = Query::new("is.it.up", 1).octets();
    while started.elapsed() < PATIENCE && child.try_wait().expect("a child").is_none() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        let _ = socket.send_to(&probe, (Ipv4Addr::LOCALHOST, port));
        let mut reply = [0; 512];
        // A list of clients may mean silence for everyone; then its own words must do.
        if socket.recv(&mut reply).is_ok_and(|length| length >= 12) || said().contains("started (") {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The files of a folder, in order.
pub(crate) fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    files
}

/// Reads one message from a stream.
pub(crate) fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply).ok()?;
    Some(reply)
}

/// Writes the files of a script, each with its own time; an empty folder is readable by a server that drops its rights.
pub(crate) fn write_files(folder: &Path, files: &[File]) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("a folder of ours");
    }
    for file in files {
        write_file(folder, file);
    }
}

/// Writes a file with its own time, and renames it when it is complete.
pub(crate) fn write_file(folder: &Path, file: &File) {
    let (aside, path) = (folder.join(".aside"), folder.join(&file.name));
    fs::write(&aside, file.on_disk()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(file.modified_s);
    let opened = fs::File::options().write(true).open(&aside).expect("the file just written");
    opened.set_modified(time).expect("a time set");
    fs::rename(aside, &path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// A port that is free for both transports and both families now.
fn free_port() -> u16 {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let port = udp.local_addr().expect("an address").port();
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err()
            || (UdpSocket::bind((Ipv6Addr::LOCALHOST, port)).is_ok()
                && TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok());
        if tcp && v6 {
            return port;
        }
    }
}
