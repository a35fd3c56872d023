//! Sockets before anything runs on them: bound all at once, so that a server either has every address it was told to serve
//! or says which one it lacks and why, and so that privileges can be dropped before the first octet is read.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use socket2::{Domain, Protocol, Socket, Type};

use super::batch::{Batch, set_option};
use super::worker::{Carrier, RECEIVE_WAIT_MS, SEND_WAIT_MS, Worker};
use super::xdp::{self, Interface, Tapped};
use super::{Counters, Limits, Responder, Server, Stop, Transport, UdpCounters, tcp};
use crate::turns;

/// Connections that the kernel keeps ready until they are accepted.
const TCP_BACKLOG: i32 = 1024;

/// The kernel's buffers for one TCP connection. They bound what a thousand clients who do not read can make it keep, and
/// one full reply fits.
const TCP_BUFFER_BYTES: usize = 128 << 10;

/// Ports tried until one is free for both UDP and TCP, when port 0 leaves the choice to the kernel.
const PORT_ATTEMPTS: usize = 32;

/// How the sockets are made and served.
#[derive(Clone, Debug)]
pub struct Settings {
    /// UDP workers, and so threads and sockets, for each address. Default: one for each core.
    pub udp_workers: usize,
    /// Datagrams taken at once at most. Default 64: more no longer saves system calls worth having, and delays the first.
    pub udp_batch: usize,
    /// Bind the `n`-th worker of each address to the `n`-th core. Default off: it helps on a machine that does little else.
    pub pin_workers: bool,
    /// Octets of the kernel's queue of requests, for each UDP socket, as far as the system allows. Default 4 MiB: some
    /// 5,000 small datagrams, which is what arrives while a worker is kept from its core for some milliseconds.
    pub udp_receive_buffer_bytes: usize,
    /// Octets of the kernel's queue of replies, for each UDP socket, as far as the system allows. Default 1 MiB.
    pub udp_send_buffer_bytes: usize,
    /// TCP's limits, or `None` to serve UDP only. Default: on.
    pub tcp: Option<Limits>,
    /// Whether an address at which TCP cannot be had is a failure; else it is served by UDP alone, with a warning. Default: yes.
    pub needs_tcp: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            udp_workers: thread::available_parallelism().map_or(1, usize::from),
            udp_batch: 64,
            pin_workers: false,
            udp_receive_buffer_bytes: 4 << 20,
            udp_send_buffer_bytes: 1 << 20,
            tcp: Some(Limits::default()),
            needs_tcp: true,
        }
    }
}

/// An address that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("{address} ({}): {error}: {}", name(*.transport), advice(.error))]
pub struct BindError {
    /// The address as it was asked for.
    pub address: SocketAddr,
    /// The transport that failed.
    pub transport: Transport,
    /// What the kernel said; a part of the message, so not its source.
    pub error: io::Error,
}

fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
    }
}

/// What an operator can do about it.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need root or CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)"
        }
        io::ErrorKind::AddrInUse => {
            "another server has it (see `ss -lnup` and `ss -lntp`), or another address of this list covers it: stop that \
             server or choose another address or port"
        }
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has this address: see `ip address`",
        _ if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
            "this machine has this family of addresses switched off: leave the address out"
        }
        _ => "see the system's message",
    }
}

/// Bound sockets that no one serves yet.
#[derive(Debug)]
pub struct Listeners {
    udp: Vec<(SocketAddr, Vec<UdpSocket>)>,
    tcp: Vec<TcpListener>,
    interfaces: Vec<Interface>,
    /// Those from which nothing can be taken.
    untapped: Vec<Tapped>,
    settings: Settings,
}

impl Listeners {
    /// Bind every address, for UDP and (unless switched off) TCP. An address given twice is bound once, and one of IPv4 that is
    /// mapped into IPv6 is that of IPv4. Port 0 takes a free port, the same for all of that address's sockets.
    ///
    /// # Errors
    ///
    /// The first address that cannot be bound.
    pub fn bind(addresses: &[SocketAddr], settings: Settings) -> Result<Self, BindError> {
        let mut seen = HashSet::new();
        let mut listeners =
            Self { udp: Vec::new(), tcp: Vec::new(), interfaces: Vec::new(), untapped: Vec::new(), settings };
        for address in addresses.iter().map(unmapped) {
            if seen.insert(address) {
                listeners.add(address)?;
            }
        }
        Ok(listeners)
    }

    fn add(&mut self, address: SocketAddr) -> Result<(), BindError> {
        let mut attempts = if address.port() == 0 { PORT_ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            match bind_address(address, &self.settings) {
                Ok((bound, udp, tcp)) => {
                    self.udp.push((bound, udp));
                    self.tcp.extend(tcp);
                    return Ok(());
                }
                // The port that was free for the one transport is taken for the other.
                Err(error) if attempts > 0 && error.error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) if error.transport == Transport::Tcp && !self.settings.needs_tcp => {
                    tracing::warn!(
                        "{error}; until a restart it is served by UDP alone, and long answers cannot be had"
                    );
                    let (bound, udp, _) = bind_address(address, &Settings { tcp: None, ..self.settings.clone() })?;
                    self.udp.push((bound, udp));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Take requests to the bound addresses straight from these interfaces, as far as that can be done: the sockets serve them in
    /// any case. Wildcards are left to the sockets, since an interface may pass on what is for other machines; so is the loopback.
    pub fn tap(&mut self, interfaces: &[String]) {
        let addresses: Vec<_> = self.addresses().filter(is_tapped).collect();
        let mut seen = HashSet::new();
        for name in interfaces.iter().filter(|name| seen.insert(*name)) {
            match Interface::open(name, &addresses) {
                Ok(interface) => self.interfaces.push(interface),
                Err(error) => {
                    tracing::error!("xdp: {error}");
                    self.untapped.push(Tapped::none(name, &error));
                }
            }
        }
    }

    /// Workers that will run: of sockets, of interfaces, and the one of TCP.
    pub fn worker_count(&self) -> usize {
        let sockets = self.udp.iter().map(|(_, sockets)| sockets.len()).sum::<usize>();
        sockets + self.interfaces.iter().map(Interface::queue_count).sum::<usize>() + 1
    }

    /// The bound addresses, with the ports that port 0 became.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.udp.iter().map(|&(address, _)| address)
    }

    /// Start the threads. Each calls `new_responder` with its number, below [`Self::worker_count`], for a responder of its own, and
    /// again with the same after a panic of that.
    ///
    /// # Errors
    ///
    /// The system gives no thread or no event queue.
    pub fn start<F, R>(self, new_responder: F) -> io::Result<Server>
    where
        F: Fn(usize) -> R + Send + Sync + 'static,
        R: Responder + 'static,
    {
        let new_responder = Arc::new(new_responder);
        let addresses = self.addresses().collect();
        let counters = Counters::default();
        // From here on a failure drops the server, which stops the threads already started.
        let mut server = Server { addresses, counters, stop: Arc::new(Stop::default()), threads: Vec::new() };
        let batch = self.settings.udp_batch;
        let cores = if self.settings.pin_workers { permitted_cores() } else { Vec::new() };
        let core = |n: usize| cores.get(n % cores.len().max(1)).copied();
        let mut ways = Vec::new();
        for (address, sockets) in self.udp {
            for (n, socket) in sockets.into_iter().enumerate() {
                let socket = Arc::new(socket);
                if n == 0 && is_tapped(&address) {
                    ways.push((address, Arc::clone(&socket)));
                }
                let carrier = move || Batch::new(socket, address, batch);
                server.spawn(Arc::default(), core(n), carrier, &new_responder)?;
            }
        }
        let ways = ways.into();
        server.counters.interfaces = self.untapped;
        let mut all_watched = Vec::new();
        for interface in self.interfaces {
            let (taps, tapped, watched) = interface.taps(batch, &ways);
            for (n, (tap, counters)) in taps.into_iter().enumerate() {
                server.spawn(counters, core(n), move || tap, &new_responder)?;
            }
            server.counters.interfaces.push(tapped);
            all_watched.push(watched);
        }
        if !all_watched.is_empty() {
            let stop = Arc::clone(&server.stop);
            let thread = thread::Builder::new().name("xdp".into());
            server.threads.push(thread.spawn(move || xdp::watch(&all_watched, &stop))?);
        }
        if let Some(limits) = self.settings.tcp
            && !self.tcp.is_empty()
        {
            let (counters, stop) = (Arc::clone(&server.counters.tcp), Arc::clone(&server.stop));
            let number = server.counters.udp.len();
            let service = tcp::Service::new(self.tcp, limits, counters, stop)?;
            let thread = thread::Builder::new().name("tcp".into());
            server.threads.push(thread.spawn(move || service.run(move || new_responder(number)))?);
        }
        Ok(server)
    }
}

impl Server {
    /// Start a worker, with a carrier that it makes itself.
    fn spawn<C: Carrier, R: Responder + 'static>(
        &mut self,
        counters: Arc<UdpCounters>,
        core: Option<usize>,
        new_carrier: impl FnOnce() -> C + Send + 'static,
        new_responder: &Arc<impl Fn(usize) -> R + Send + Sync + 'static>,
    ) -> io::Result<()> {
        let number = self.counters.udp.len();
        self.counters.udp.push(Arc::clone(&counters));
        let worker = Worker { number, counters, stop: Arc::clone(&self.stop) };
        let new_responder = Arc::clone(new_responder);
        let thread = thread::Builder::new().name(format!("udp-{}", self.threads.len()));
        self.threads.push(thread.spawn(move || {
            pin(core);
            turns::come_first();
            worker.run(&mut new_carrier(), &*new_responder);
        })?);
        Ok(())
    }
}

/// Why addresses could not be bound, whatever the port, and whoever has it now.
pub fn unbindable(addresses: &[SocketAddr]) -> impl Iterator<Item = BindError> {
    addresses.iter().filter_map(|address| {
        let mut at_any_port = unmapped(address);
        at_any_port.set_port(0);
        let bound = udp_socket(at_any_port, false, &Settings::default());
        bound.err().map(|error| BindError { address: *address, transport: Transport::Udp, error })
    })
}

/// The address of IPv4 that is written as one of IPv6 (RFC 4291, section 2.5.5.2): a socket of IPv6 alone does not take that.
fn unmapped(address: &SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => *address,
    }
}

/// Whether requests to an address can be taken from an interface.
fn is_tapped(address: &SocketAddr) -> bool {
    !address.ip().is_unspecified() && !address.ip().is_loopback()
}

/// The cores that this process may run on.
fn permitted_cores() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return Vec::new() };
    (0..CpuSet::count()).filter(|&core| set.is_set(core).unwrap_or(false)).collect()
}

/// Bind this thread to a core; when the system will not, it serves from any.
fn pin(core: Option<usize>) {
    let Some(core) = core else { return };
    let mut set = CpuSet::new();
    if let Err(error) = set.set(core).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set)) {
        tracing::warn!(core, %error, "worker not pinned");
    }
}

type Bound = (SocketAddr, Vec<UdpSocket>, Option<TcpListener>);

fn bind_address(asked: SocketAddr, settings: &Settings) -> Result<Bound, BindError> {
    let fault = |transport| move |error| BindError { address: asked, transport, error };
    // SO_REUSEPORT would let a second server of the same user in unnoticed, each with half of the queries. A first socket
    // without it finds out, and finds a free port for all.
    let probe = udp_socket(asked, false, settings).map_err(fault(Transport::Udp))?;
    let address = probe.local_addr().map_err(fault(Transport::Udp))?;
    let tcp = settings.tcp.is_some().then(|| tcp_socket(address)).transpose().map_err(fault(Transport::Tcp))?;
    let udp = if settings.udp_workers <= 1 {
        vec![probe]
    } else {
        drop(probe);
        let sockets = (0..settings.udp_workers).map(|_| udp_socket(address, true, settings));
        sockets.collect::<io::Result<_>>().map_err(fault(Transport::Udp))?
    };
    Ok((address, udp, tcp))
}

fn udp_socket(address: SocketAddr, shared: bool, settings: &Settings) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(shared)?;
    // Best effort: the system's maximum (net.core.rmem_max) may be less.
    let _ = socket.set_recv_buffer_size(settings.udp_receive_buffer_bytes);
    let _ = socket.set_send_buffer_size(settings.udp_send_buffer_bytes);
    socket.set_read_timeout(Some(Duration::from_millis(RECEIVE_WAIT_MS)))?;
    socket.set_write_timeout(Some(Duration::from_millis(SEND_WAIT_MS)))?;
    // OMIT ignores path MTUs learnt from ICMP, which anyone can forge to make us send fragments that he then replaces
    // (RFC 9715, section 3.1). Best effort: old kernels do not know it.
    let family = if address.is_ipv4() {
        let _ = set_option(socket.as_fd(), libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, &libc::IP_PMTUDISC_OMIT);
        (libc::IPPROTO_IP, libc::IP_PKTINFO)
    } else {
        socket.set_only_v6(true)?;
        let _ = set_option(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, &libc::IPV6_PMTUDISC_OMIT);
        (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
    };
    if address.ip().is_unspecified() {
        set_option(socket.as_fd(), family.0, family.1, &1)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn tcp_socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Lets a restarted server bind while connections of the old one are still in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Accepted sockets inherit both.
    let _ = socket.set_recv_buffer_size(TCP_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(TCP_BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(TCP_BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(udp_workers: usize) -> Settings {
        Settings { udp_workers, ..Settings::default() }
    }

    #[test]
    fn port_zero_is_one_port_for_all_sockets() {
        let any = "127.0.0.1:0".parse().expect("address");
        let listeners = Listeners::bind(&[any, any], settings(3)).expect("bind");
        let addresses: Vec<_> = listeners.addresses().collect();
        assert_eq!(addresses.len(), 1, "the same address twice is bound once");
        let port = addresses[0].port();
        assert_ne!(port, 0);
        let (_, udp) = &listeners.udp[0];
        assert_eq!(udp.len(), 3);
        assert!(udp.iter().all(|socket| socket.local_addr().is_ok_and(|address| address.port() == port)));
        assert_eq!(listeners.tcp[0].local_addr().expect("address").port(), port);
    }

    #[test]
    fn a_second_server_is_noticed_and_the_address_named() {
        let first = Listeners::bind(&["127.0.0.1:0".parse().expect("address")], settings(2)).expect("bind");
        let address = first.addresses().next().expect("one");
        let error = Listeners::bind(&[address], Settings { tcp: None, ..settings(2) }).expect_err("is taken");
        let words = error.to_string();
        assert!(words.starts_with(&format!("{address} (UDP): ")), "{words}");
        assert!(words.contains("another server has it"), "{words}");
    }

    #[test]
    fn an_address_of_another_machine_is_refused_with_advice() {
        let error = Listeners::bind(&["192.0.2.250:0".parse().expect("address")], settings(1)).expect_err("not ours");
        assert!(error.to_string().contains("no interface of this machine has this address"), "{error}");
    }

    #[test]
    fn advice_for_privileged_ports() {
        let error = io::Error::from(io::ErrorKind::PermissionDenied);
        let address = "127.0.0.1:53".parse().expect("address");
        let error = BindError { address, transport: Transport::Tcp, error };
        assert!(
            error.to_string().starts_with("127.0.0.1:53 (TCP): permission denied: ports below 1024 need root or CAP")
        );
    }
}
