//! Servers as processes: ours and rbldnsd, started on a free port of the loopback interface and ended by their id.

use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::Path,
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
    _folder: tempfile::TempDir,
}

impl Server {
    /// Our server: under rbldnsd's command line if that can say all options, else with a configuration file.
    pub(crate) fn dnsbld(files: &[File], specs: &[String], options: &Options) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dnsbld"));
        if !options.are_rbldnsds() {
            return Self::configured(command, files, specs, options);
        }
        command.arg("rbldnsd");
        Self::start(command, files, specs, options)
    }

    /// Debian's rbldnsd.
    pub(crate) fn rbldnsd(files: &[File], specs: &[String], options: &Options) -> Self {
        Self::start(Command::new(RBLDNSD), files, specs, options)
    }

    /// Our server on a folder of zones.
    pub(crate) fn on_folder(folder: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dnsbld"));
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--http", "off"]).arg(folder);
        Self::wait(command, port, false, tempfile::tempdir().expect("a folder"))
    }

    fn configured(mut command: Command, files: &[File], specs: &[String], options: &Options) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write_files(folder.path(), files);
        let port = free_port();
        let text = |value: &Option<String>| value.as_ref().map_or("false".to_owned(), |text| format!("{text:?}"));
        let config = format!(
            "listen = [\"127.0.0.1:{port}\"]\nhttp = false\nzones = {specs:?}\nminimal = {}\nudp-payload = {}\n\
             version = {}\nidentity = {}\n",
            options.minimal,
            options.payload_len.unwrap_or(1232),
            text(&options.version),
            text(&options.identity)
        );
        let path = folder.path().join("dnsbld.toml");
        fs::write(&path, config).expect("a configuration written");
        command.args(["serve", "--config"]).arg(path);
        Self::wait(command, port, false, folder)
    }

    fn start(mut command: Command, files: &[File], specs: &[String], options: &Options) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write_files(folder.path(), files);
        let port = free_port();
        let has_v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        command.args(["-n", "-q", "-b", &format!("127.0.0.1/{port}")]);
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
        command.arg("-w").arg(folder.path()).args(specs);
        Self::wait(command, port, has_v6, folder)
    }

    /// Starts the process and waits until it answers.
    fn wait(mut command: Command, port: u16, has_v6: bool, folder: tempfile::TempDir) -> Self {
        let log = fs::File::create(folder.path().join("test.log")).expect("a log");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let started = Instant::now();
        let probe = Query::new("is.it.up", 1).octets();
        let said = |folder: &Path| fs::read_to_string(folder.join("test.log")).unwrap_or_default();
        loop {
            if let Some(status) = child.try_wait().expect("a child") {
                panic!("{command:?} ended with {status}: {}", said(folder.path()));
            }
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
            socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
            let _ = socket.send_to(&probe, (Ipv4Addr::LOCALHOST, port));
            let mut reply = [0; 512];
            if socket.recv(&mut reply).is_ok_and(|length| length >= 12)
                // A list of clients may mean silence for everyone; then its own words must do.
                || said(folder.path()).contains("started (")
            {
                break;
            }
            if started.elapsed() > PATIENCE {
                let _ = child.kill();
                panic!("{command:?} does not answer: {}", said(folder.path()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { child, port, has_v6, _folder: folder }
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

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
        let path = folder.join(&file.name);
        fs::write(&path, &file.octets).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(file.modified_s);
        let opened = fs::File::options().write(true).open(&path).expect("the file just written");
        opened.set_modified(time).expect("a time set");
    }
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
