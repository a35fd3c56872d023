//! Single requests by each door for live listings: how many a second, every one acknowledged when it is on disk and served.
//!
//! A closed loop: so many clients at once, each with one request under way, because commits are shared by what comes in
//! meanwhile. `cargo bench --bench doors -- [SECONDS] [CLIENTS]`; a last query asks whether what was acknowledged is served.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant, SystemTime},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";
const SECRET_BASE64: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const TOKEN: &str = "0123456789abcdef-token";
const PATIENCE: Duration = Duration::from_secs(10);
const HEAD: &str = "$SOA 3600 localhost hostmaster.bl.example 7 600 300 86400 120\n$NS 7200 localhost\n127.0.0.2\n";

/// Sends one request for an address of 10/8 and waits for its acknowledgement.
type Ask = Box<dyn FnMut(u32) + Send>;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let (seconds, clients) = (numbers.next().unwrap_or(5), numbers.next().unwrap_or(32) as usize);
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    println!("{clients} clients, {seconds} s each; store in {}", folder.path().display());
    println!("{:<22} {:>12} {:>9} {:>9} {:>9}", "door", "requests/s", "p50 ms", "p99 ms", "max ms");
    let next = AtomicUsize::new(0);
    let doors: [(&str, &dyn Fn(usize) -> Ask); 4] = [
        ("DNS UPDATE over UDP", &|_| update_udp(server.dns)),
        ("DNS UPDATE over TCP", &|_| update_tcp(server.dns)),
        ("HTTP", &|_| http(server.http)),
        ("datagram to a path", &|client| datagram(folder.path(), client)),
    ];
    for (name, connect) in doors {
        run(name, connect, clients, Duration::from_secs(seconds), &next);
    }
    let last = next.load(Ordering::Relaxed) as u32 - 1;
    assert!(is_listed(server.dns, last), "what was acknowledged is served");
    println!("{} listings; the last one acknowledged is served", last + 1);
}

fn run(name: &str, connect: &dyn Fn(usize) -> Ask, clients: usize, time: Duration, next: &AtomicUsize) {
    let asks: Vec<Ask> = (0..clients).map(connect).collect();
    let start = Instant::now();
    let mut latencies: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = asks
            .into_iter()
            .map(|mut ask| {
                scope.spawn(move || {
                    let mut latencies = Vec::new();
                    while start.elapsed() < time {
                        let asked = Instant::now();
                        ask(next.fetch_add(1, Ordering::Relaxed) as u32);
                        latencies.push(asked.elapsed());
                    }
                    latencies
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a client")).collect()
    });
    let elapsed = start.elapsed();
    latencies.sort_unstable();
    let ms = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let rate = latencies.len() as f64 / elapsed.as_secs_f64();
    println!("{name:<22} {rate:>12.0} {:>9.2} {:>9.2} {:>9.2}", ms(0.5), ms(0.99), ms(1.0));
}

/// The program, with all doors open.
struct Server {
    child: Child,
    dns: SocketAddr,
    http: SocketAddr,
}

impl Server {
    fn start(folder: &Path) -> Self {
        fs::create_dir(folder.join("zones")).expect("a folder");
        fs::write(folder.join("zones/bl.example.ip4set"), HEAD).expect("written");
        fs::write(folder.join("token"), TOKEN).expect("written");
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("an address");
        let (dns, http) = (free(), free());
        let config = format!(
            "listen = [\"{dns}\"]\nhttp = \"{http}\"\nfolder = \"zones\"\nstate = \"state\"\n\
             [keys.bench]\nsecret = \"{SECRET_BASE64}\"\nzones = [\"*\"]\n\
             [tokens.bench]\nfile = \"token\"\nzones = [\"*\"]\n[datagrams]\nlisten = \"./updates.sock\"\nzones = [\"*\"]\n"
        );
        fs::write(folder.join("dnsbld.toml"), config).expect("written");
        let child = Command::new(env!("CARGO_BIN_EXE_dnsbld"))
            .args(["serve", "--config"])
            .arg(folder.join("dnsbld.toml"))
            .stdin(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).expect("a log"))
            .spawn()
            .expect("the program");
        let server = Self { child, dns, http };
        let start = Instant::now();
        while TcpStream::connect(http).is_err() || TcpStream::connect(dns).is_err() {
            assert!(start.elapsed() < PATIENCE, "{}", fs::read_to_string(folder.join("log")).unwrap_or_default());
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn owner(host: u32) -> Vec<u8> {
    let mut wire = Vec::new();
    let octets = (0x0a00_0000 | host & 0xff_ffff).to_be_bytes();
    for label in octets.iter().rev().map(u8::to_string).chain(["bl".to_owned(), "example".to_owned()]) {
        wire.push(label.len() as u8);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// An update that adds an A record, signed now (RFC 8945 section 4.3).
fn update(id: u16, host: u32) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend_from_slice(&[0x28, 0, 0, 1, 0, 0, 0, 1, 0, 0]);
    message.extend_from_slice(b"\x02bl\x07example\x00\x00\x06\x00\x01");
    message.extend_from_slice(&owner(host));
    message.extend_from_slice(&[0, 1, 0, 1, 0, 0, 0x0e, 0x10, 0, 4, 127, 0, 0, 2]);
    let now_s = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs().to_be_bytes();
    let (key, algorithm, fudge) = (b"\x05bench\x00", b"\x0bhmac-sha256\x00", [1, 0x2c]);
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("a key");
    for part in [&message[..], key, &[0, 255, 0, 0, 0, 0], algorithm, &now_s[2..], &fudge, &[0; 4]] {
        mac.update(part);
    }
    let mac = mac.finalize().into_bytes();
    message[11] = 1;
    message.extend_from_slice(key);
    message.extend_from_slice(&[0, 250, 0, 255, 0, 0, 0, 0, 0, 61]);
    for part in [&algorithm[..], &now_s[2..], &fudge, &[0, 32], &mac, &id.to_be_bytes(), &[0; 4]] {
        message.extend_from_slice(part);
    }
    message
}

fn check(reply: &[u8], id: u16) {
    assert!(reply.len() > 12 && reply[..2] == id.to_be_bytes() && reply[3].trailing_zeros() >= 4, "{reply:?}");
}

fn update_udp(server: SocketAddr) -> Ask {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(server).expect("connected");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut reply = [0; 4096];
    Box::new(move |host| {
        socket.send(&update(host as u16, host)).expect("sent");
        let length = socket.recv(&mut reply).expect("a reply");
        check(&reply[..length], host as u16);
    })
}

fn update_tcp(server: SocketAddr) -> Ask {
    let mut stream = TcpStream::connect(server).expect("a connection");
    stream.set_nodelay(true).expect("set");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    Box::new(move |host| {
        let message = update(host as u16, host);
        stream.write_all(&[&(message.len() as u16).to_be_bytes()[..], &message].concat()).expect("written");
        let mut length = [0; 2];
        stream.read_exact(&mut length).expect("a reply");
        let mut reply = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut reply).expect("a reply");
        check(&reply, host as u16);
    })
}

fn http(server: SocketAddr) -> Ask {
    let mut stream = TcpStream::connect(server).expect("a connection");
    stream.set_nodelay(true).expect("set");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut reply = [0; 4096];
    Box::new(move |host| {
        let address = std::net::Ipv4Addr::from(0x0a00_0000 | host & 0xff_ffff);
        let body = r#"{"for":3600,"reason":"bench"}"#;
        let text = format!(
            "PUT /v1/zones/bl.example/listings/{address} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(text.as_bytes()).expect("written");
        let length = stream.read(&mut reply).expect("a reply"); // small enough to come in one piece
        assert!(reply[..length].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&reply[..length]));
    })
}

fn datagram(folder: &Path, client: usize) -> Ask {
    let socket = UnixDatagram::bind(folder.join(format!("client-{client}.sock"))).expect("a socket");
    socket.connect(folder.join("updates.sock")).expect("connected");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut reply = [0; 16];
    Box::new(move |host| {
        let address = std::net::Ipv4Addr::from(0x0a00_0000 | host & 0xff_ffff);
        socket.send(format!("bl.example\0{address} :2:bench @ lifetime=1h").as_bytes()).expect("sent");
        let length = socket.recv(&mut reply).expect("a reply");
        assert_eq!(&reply[..length], b"OK");
    })
}

fn is_listed(server: SocketAddr, host: u32) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut query = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend_from_slice(&owner(host));
    query.extend_from_slice(&[0, 1, 0, 1]);
    socket.send_to(&query, server).expect("sent");
    let mut reply = [0; 512];
    let length = socket.recv(&mut reply).expect("a reply");
    length > 12 && reply[7] == 1
}
