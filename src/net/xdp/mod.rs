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

mod card;
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
use std::{fmt, io};

use self::card::Card;
use self::frame::Request;
use self::kernel::Mode;
use self::queue::{FRAME_LEN, Queue, RECEIVED_MAX_LEN};
use super::worker::{Carrier, Datagram, Sent};
use super::{Late, UdpCounters};

/// The ordinary sockets of the addresses that requests are taken to.
type Ways = Arc<[(SocketAddr, Arc<UdpSocket>)]>;

/// Octets before what an Ethernet frame carries.
const ETHERNET_HEADER_LEN: usize = 14;

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
            "that needs root, or CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_PERFMON (systemd: AmbientCapabilities=)"
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
        let card = Card::of(name).map_err(fault("not to be used"))?;
        let map = kernel::create_map(card.queues).map_err(fault("no map of sockets"))?;
        let program = filter::program(card.station, addresses, map.as_raw_fd(), RECEIVED_MAX_LEN)
            .ok_or_else(|| fault("no program")(io::Error::other("too many addresses to listen on")))?;
        let program = kernel::load_program(&program).map_err(fault("the kernel does not take the program"))?;
        let (link, mode) = attach(name, &program, card.index).map_err(fault("it does not take the program"))?;
        let mut queues = Vec::new();
        for number in 0..card.queues {
            let queue = Queue::open(card.index, number, mode).map_err(fault("no socket for a queue"))?;
            kernel::set_socket(map.as_fd(), number, queue.as_fd()).map_err(fault("no place for a socket"))?;
            queues.push(queue);
        }
        let by = if mode == Mode::Native { "by its driver" } else { "by the kernel" };
        let how = if queues.iter().all(Queue::is_zero_copy) { "in memory that both share" } else { "copied" };
        let queues_word = if card.queues == 1 { "queue" } else { "queues" };
        tracing::info!("{name}: requests are taken off {} {queues_word}, {by}, {how}", card.queues);
        if card.one_way > 0 {
            tracing::warn!("{name}: {} queues only receive, and what they do takes the kernel's way", card.one_way);
        }
        let frame_max_len = (card.mtu + ETHERNET_HEADER_LEN).min(FRAME_LEN);
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
            let name = name.clone();
            (Tap { name, queue, batch, frame_max_len, sockets, request: None, unsealed: 0, _link: link }, tapped)
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

/// Has the interface's driver run a program, or the kernel for it.
fn attach(name: &str, program: &OwnedFd, interface: u32) -> io::Result<(OwnedFd, Mode)> {
    match kernel::attach(program.as_fd(), interface, Mode::Native) {
        Ok(link) => Ok((link, Mode::Native)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EBUSY | libc::EEXIST)) => Err(error),
        Err(error) => {
            tracing::info!("{name}: its driver does not run the program ({error}), so the kernel does");
            Ok((kernel::attach(program.as_fd(), interface, Mode::Generic)?, Mode::Generic))
        }
    }
}

/// Datagrams of one queue.
pub(super) struct Tap {
    name: String,
    queue: Queue,
    batch: usize,
    frame_max_len: usize,
    sockets: Ways,
    /// Of the frame that was looked at last.
    request: Option<Request>,
    /// Replies of the batch in hand for which a frame has no room.
    unsealed: usize,
    /// The program stays on the interface for as long as any of its queues is served.
    _link: Arc<OwnedFd>,
}

impl Carrier for Tap {
    fn receive(&mut self) -> io::Result<usize> {
        self.unsealed = 0;
        self.queue.receive(self.batch).inspect_err(|error| {
            if error.raw_os_error() == Some(libc::ENETDOWN) {
                tracing::warn!("{}: it is gone, and its requests take the kernel's way until a new start", self.name);
            }
        })
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
        } else {
            self.unsealed += 1;
        }
    }

    fn way_back(&mut self, i: usize, client: SocketAddr) -> Late {
        let asked = frame::local(self.queue.exchange(i).0);
        let asked = self
            .sockets
            .iter()
            .position(|(address, _)| Some((address.ip(), address.port())) == asked)
            .unwrap_or_default();
        Late::udp(Arc::clone(&self.sockets[asked].1), client, Box::default())
    }

    fn send(&mut self) -> Sent {
        let Sent { sent, failed } = self.queue.send();
        Sent { sent, failed: failed + self.unsealed }
    }
}
