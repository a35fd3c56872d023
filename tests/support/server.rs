//! Servers with zones in a folder of their own, ours and rbldnsd, and the ways to ask them.

use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    ops::Deref,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use socket2::{Domain, Protocol, Socket, Type};

use super::{
    daemon::{Daemon, dnsbld, free_address, program},
    script::{File, Options},
};

/// How long a reply may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long silence is listened to.
const SILENCE: Duration = Duration::from_millis(150);

/// A server process with its zones in a folder of its own.
pub(crate) struct Server {
    daemon: Daemon,
    folder: tempfile::TempDir,
}

impl Server {
    /// Our server: under rbldnsd's command line if that can say all options, else with a configuration file.
    pub(crate) fn dnsbld(files: &[File], specs: &[String], options: &Options) -> Self {
        let folder = folder_with(files);
        let mut command = dnsbld();
        if options.are_rbldnsds() {
            command.arg("rbldnsd");
            let addresses = with_ipv6((Ipv4Addr::LOCALHOST, 0).into());
            say_in_rbldnsds_words(&mut command, &addresses, folder.path(), specs, options);
        } else {
            let text = |value: &Option<String>| value.as_ref().map_or("false".to_owned(), |text| format!("{text:?}"));
            let config = format!(
                "listen = [\"127.0.0.1:0\"]\nhttp = false\nzones = {specs:?}\nminimal = {}\nudp-payload = {}\n\
                 version = {}\nidentity = {}\n",
                options.minimal,
                options.payload_len.unwrap_or(1232),
                text(&options.version),
                text(&options.identity)
            );
            command.args(["serve", "--config"]).arg(write_config(folder.path(), &config));
        }
        Self { daemon: Daemon::start(command), folder }
    }

    /// Debian's rbldnsd.
    pub(crate) fn rbldnsd(files: &[File], specs: &[String], options: &Options) -> Self {
        let folder = folder_with(files);
        let addresses = with_ipv6(free_address());
        let mut command = Command::new(program("rbldnsd", "rbldnsd"));
        say_in_rbldnsds_words(&mut command, &addresses, folder.path(), specs, options);
        let daemon = Daemon::start_at(&addresses, command).unwrap_or_else(|why| panic!("{why}"));
        Self { daemon, folder }
    }

    /// Our server on a copy of a folder of zones: it keeps what is good of them in the same place.
    pub(crate) fn on_folder(zones: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let copy = folder.path().join("zones");
        fs::create_dir(&copy).expect("a folder");
        for file in files_of(zones) {
            fs::copy(&file, copy.join(file.file_name().expect("a name"))).expect("a zone copied");
        }
        let mut command = dnsbld();
        command.args(["serve", "--listen", "127.0.0.1:0", "--http", "off"]).arg(&copy);
        Self { daemon: Daemon::start(command), folder }
    }

    /// Our server with these files, and a configuration that needs only its addresses.
    pub(crate) fn with_config(files: &[(&str, &str)], config: &str) -> Self {
        Self::with_state("state", files, config)
    }

    /// The same, where the system permits so many descriptors: `AT_FIRST:ON_DEMAND`.
    pub(crate) fn with_descriptors(limits: &str, files: &[(&str, &str)], config: &str) -> Self {
        let mut command = Command::new(program("prlimit", "util-linux"));
        command.arg(format!("--nofile={limits}")).arg(dnsbld().get_program());
        Self::started_by(command, "state", files, config)
    }

    /// The same with another state folder.
    pub(crate) fn with_state(state: &str, files: &[(&str, &str)], config: &str) -> Self {
        Self::started_by(dnsbld(), state, files, config)
    }

    fn started_by(mut command: Command, state: &str, files: &[(&str, &str)], config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("zones")).expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("a file written");
        }
        let addresses = "listen = [\"127.0.0.1:0\"]\nhttp = \"127.0.0.1:0\"\n";
        let config = format!("{addresses}folder = \"zones\"\nstate = {state:?}\n{config}");
        command.args(["serve", "--config"]).arg(write_config(folder.path(), &config));
        Self { daemon: Daemon::start(command), folder }
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Bytes of memory resident.
    pub(crate) fn resident_bytes(&self) -> usize {
        let text = fs::read_to_string(format!("/proc/{}/statm", self.id())).expect("a running process");
        let pages: usize = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
        pages * 4096
    }

    /// Whether it listens at the family of this client.
    pub(crate) fn reaches(&self, client: IpAddr) -> bool {
        self.address_for(client).is_some()
    }

    fn reached_by(&self, client: IpAddr) -> SocketAddr {
        self.address_for(client).expect("it listens at this family")
    }

    /// Asks in a datagram; `None` is silence.
    pub(crate) fn ask_udp(&self, from: Option<IpAddr>, request: &[u8], expect_silence: bool) -> Option<Vec<u8>> {
        let client = from.unwrap_or(Ipv4Addr::LOCALHOST.into());
        let socket = UdpSocket::bind((client, 0)).expect("a socket");
        socket.set_read_timeout(Some(if expect_silence { SILENCE } else { PATIENCE })).expect("a timeout");
        socket.send_to(request, self.reached_by(client)).expect("a datagram sent");
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
        socket.connect_timeout(&self.reached_by(client).into(), PATIENCE).expect("a connection");
        socket.into()
    }
}

impl Deref for Server {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.daemon
    }
}

/// The address, and one of IPv6 with the same port where the machine has that.
fn with_ipv6(address: SocketAddr) -> Vec<SocketAddr> {
    let other = SocketAddr::from((Ipv6Addr::LOCALHOST, address.port()));
    [address].into_iter().chain(UdpSocket::bind((other.ip(), 0)).is_ok().then_some(other)).collect()
}

/// What a script says, as rbldnsd wants to be told.
fn say_in_rbldnsds_words(
    command: &mut Command,
    addresses: &[SocketAddr],
    folder: &Path,
    specs: &[String],
    options: &Options,
) {
    command.arg("-n");
    for address in addresses {
        command.args(["-b", &format!("{}/{}", address.ip(), address.port())]);
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
}

fn write_config(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("dnsbld.toml");
    fs::write(&path, text).expect("a configuration written");
    path
}

fn folder_with(files: &[File]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write_files(folder.path(), files);
    folder
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
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("a folder of ours");
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
