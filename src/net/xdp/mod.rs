//! Datagrams straight from a network interface, past most of the kernel's way (`AF_XDP`).
//!
//! Some three quarters of what a query costs is the kernel's: routes, filters, queues and copies, for each datagram, twice. An
//! interface that is named for it runs a small program on what arrives (`filter.rs`) that hands us requests to our addresses as
//! they came, in memory that we share with the kernel (`queue.rs`, on `ring.rs` and `kernel.rs`); a reply is written into another
//! frame there, headers and all (`frame.rs`), and goes back to the station that the request came from. All else takes the
//! kernel's way to the ordinary sockets, which stay open: what is taken here is only ever a shortcut.
//!
//! ```text
//! Interface::open    the program is on the interface, each of its queues has a socket; needs privileges
//!          .taps     a carrier for each queue, and so a worker
//! Tap                receive, datagram, queue, send: as a socket's batches
//! ```
//!
//! `unsafe` is in `kernel.rs` and `ring.rs`, which are the kernel's own structures, and in one function of `queue.rs`.

mod filter;
mod frame;
#[allow(unsafe_code)] // the kernel's own structures
mod kernel;
#[allow(unsafe_code)] // the frames that are shared with it
mod queue;
#[allow(unsafe_code)] // memory that is shared with it
mod ring;

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::{fmt, fs, io};

use nix::net::if_::if_nametoindex;

use self::frame::Request;
use self::kernel::Mode;
use self::queue::{FRAME_LEN, Queue, RECEIVED_MAX_LEN};
use super::worker::{Carrier, Datagram, Sent};
use super::{Late, UdpCounters};

/// The ordinary sockets of the addresses that requests are taken to.
type Ways = Arc<[(SocketAddr, Arc<UdpSocket>)]>;

/// Linux's number of Ethernet among the kinds of interfaces (`ARPHRD_ETHER`).
const ETHERNET: &str = "1";

/// An interface from which no requests can be taken.
#[derive(Debug, thiserror::Error)]
#[error("{interface}: {what}: {error}: {}", advice(.error))]
pub struct XdpError {
    /// The interface's name.
    interface: String,
    /// What was tried.
    what: &'static str,
    /// What the kernel said; a part of the message, so not its source.
    error: io::Error,
}

/// What an operator can do about it.
fn advice(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::AddrNotAvailable {
        return "have it listen on addresses of this machine, by name; wildcards and the loopback are left to the sockets";
    }
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "that needs root, or CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF (systemd: AmbientCapabilities=)"
        }
        Some(libc::ENODEV | libc::ENXIO | libc::ENOENT) => "see `ip link` for the interfaces there are",
        Some(libc::EBUSY | libc::EEXIST) => {
            "another program has it (see `ip link show` and `ss --xdp`): end that, or leave the interface out"
        }
        Some(libc::ENOBUFS | libc::ENOMEM) => {
            "each queue of the interface takes 10 MB of locked memory: raise the limit (systemd: LimitMEMLOCK=infinity)"
        }
        Some(libc::EAFNOSUPPORT | libc::ENOSYS) => "this kernel has no AF_XDP: leave the interface out",
        _ => "leave the interface out, and the kernel's usual way serves it",
    }
}

/// An interface whose requests to our addresses are ours.
pub(super) struct Interface {
    name: String,
    queues: Vec<Queue>,
    link: Arc<OwnedFd>,
    /// Octets that a frame may have on its way out.
    frame_max_len: usize,
}

impl Interface {
    /// Takes over requests to these addresses, none of them a wildcard.
    pub(super) fn open(name: &str, addresses: &[SocketAddr]) -> Result<Self, XdpError> {
        let fault = |what| move |error: io::Error| XdpError { interface: name.to_owned(), what, error };
        if addresses.is_empty() {
            let error = io::ErrorKind::AddrNotAvailable.into();
            return Err(fault("no address to take requests to")(error));
        }
        let index = if_nametoindex(name).map_err(|error| fault("no such interface")(error.into()))?;
        let mtu = ethernet_mtu(name).map_err(fault("not to be used"))?;
        let queue_count = queue_count(name).map_err(fault("its queues cannot be counted"))?;
        let map = kernel::create_map(queue_count).map_err(fault("no map of sockets"))?;
        let too_many = || fault("no program")(io::Error::other("too many addresses to listen on"));
        let program = filter::program(addresses, map.as_raw_fd(), RECEIVED_MAX_LEN).ok_or_else(too_many)?;
        let program = kernel::load_program(&program).map_err(fault("the kernel does not take the program"))?;
        let (link, mode) = match kernel::attach(program.as_fd(), index, Mode::Native) {
            Ok(link) => (link, Mode::Native),
            Err(error) => {
                tracing::info!("{name}: its driver does not run programs ({error}), so the kernel does");
                let link = kernel::attach(program.as_fd(), index, Mode::Generic);
                (link.map_err(fault("it does not take the program"))?, Mode::Generic)
            }
        };
        let mut queues = Vec::new();
        for number in 0..queue_count {
            let queue = Queue::open(index, number).map_err(fault("no socket for a queue"))?;
            kernel::set_socket(map.as_fd(), number, queue.as_fd()).map_err(fault("no place for a socket"))?;
            queues.push(queue);
        }
        let by = if mode == Mode::Native { "by its driver" } else { "by the kernel" };
        let how = if queues.iter().all(Queue::is_zero_copy) { "in memory that both share" } else { "copied" };
        let queues_word = if queue_count == 1 { "queue" } else { "queues" };
        tracing::info!("{name}: requests are taken off {queue_count} {queues_word}, {by}, {how}");
        let frame_max_len = (mtu + ETHERNET_HEADER_LEN).min(FRAME_LEN);
        Ok(Self { name: name.to_owned(), queues, link: Arc::new(link), frame_max_len })
    }

    pub(super) fn queue_count(&self) -> usize {
        self.queues.len()
    }

    /// A tap for each queue, and what a scraper sees of it. What does not leave at once leaves by the ordinary socket of the
    /// address that was asked; there is one at least.
    pub(super) fn taps(self, batch: usize, sockets: &Ways) -> impl Iterator<Item = (Tap, Tapped)> {
        let Self { name, queues, link, frame_max_len } = self;
        queues.into_iter().map(move |queue| {
            let tapped = Tapped { interface: name.clone(), socket: queue.socket(), counters: Arc::default() };
            let (sockets, link) = (Arc::clone(sockets), Arc::clone(&link));
            (Tap { queue, batch, frame_max_len, sockets, request: None, _link: link }, tapped)
        })
    }
}

impl fmt::Debug for Interface {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Interface").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a scraper sees of one queue's tap.
#[derive(Clone, Debug)]
pub struct Tapped {
    /// The interface's name.
    pub interface: String,
    /// What its worker counts.
    pub counters: Arc<UdpCounters>,
    socket: Arc<OwnedFd>,
}

impl Tapped {
    /// Requests that found no room, or no frame to be received into, and so went unseen.
    pub fn dropped(&self) -> u64 {
        kernel::dropped(self.socket.as_fd())
    }
}

/// Octets before what an Ethernet frame carries.
const ETHERNET_HEADER_LEN: usize = 14;

fn ethernet_mtu(name: &str) -> io::Result<usize> {
    let read = |what| fs::read_to_string(format!("/sys/class/net/{name}/{what}"));
    if read("type")?.trim() != ETHERNET {
        return Err(io::Error::other("it is no Ethernet interface"));
    }
    read("mtu")?.trim().parse().map_err(io::Error::other)
}

/// How many queues the interface receives with.
fn queue_count(name: &str) -> io::Result<u32> {
    let mut count = 0;
    for entry in fs::read_dir(format!("/sys/class/net/{name}/queues"))? {
        count += u32::from(entry?.file_name().as_encoded_bytes().starts_with(b"rx-"));
    }
    Ok(count)
}

/// Datagrams of one queue.
pub(super) struct Tap {
    queue: Queue,
    batch: usize,
    frame_max_len: usize,
    sockets: Ways,
    /// Of the frame that was looked at last.
    request: Option<Request>,
    /// The program stays on the interface for as long as any of its queues is served.
    _link: Arc<OwnedFd>,
}

impl Carrier for Tap {
    fn receive(&mut self) -> io::Result<usize> {
        self.queue.receive(self.batch)
    }

    #[inline]
    fn datagram(&mut self, i: usize) -> Datagram<'_> {
        let (frame, reply) = self.queue.exchange(i);
        self.request = frame::read(frame);
        let reply = reply.get_mut(frame::headers_len(frame)..self.frame_max_len).unwrap_or_default();
        match &self.request {
            Some(Request { client, place }) => {
                Datagram { client: Some(client), truncated: false, request: &frame[place.clone()], reply }
            }
            // A datagram of nobody's.
            None => Datagram { client: None, truncated: false, request: frame, reply },
        }
    }

    #[inline]
    fn queue(&mut self, i: usize, len: usize) {
        let (frame, reply) = self.queue.exchange(i);
        if let Some(len) = frame::seal(frame, reply, len) {
            self.queue.queue(len);
        }
    }

    fn way_back(&mut self, i: usize, client: SocketAddr) -> Late {
        let asked = frame::local(self.queue.exchange(i).0);
        let asked = self.sockets.iter().position(|&(address, _)| Some(address) == asked).unwrap_or_default();
        Late::udp(Arc::clone(&self.sockets[asked].1), client, Box::default())
    }

    fn send(&mut self) -> Sent {
        self.queue.send()
    }
}
