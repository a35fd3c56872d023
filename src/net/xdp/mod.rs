//! Datagrams straight from a network interface, past most of the kernel's way (`AF_XDP`).
//!
//! Some three quarters of what a query costs is the kernel's: routes, filters, queues and copies, for each datagram, twice. An
//! interface that is named for it runs a small program on what arrives (`filter.rs`) that hands us requests to our addresses as
//! they came, in memory that we share with the kernel (`queue.rs`, on `ring.rs` and `kernel.rs`); a reply is written into another
//! frame there, headers and all (`frame.rs`), and goes back to the station that the request came from. All else takes the
//! kernel's way to the ordinary sockets, which stay open: what is taken here is only ever a shortcut.
//!
//! Not every interface will do (`card.rs`), and one is let go when what the program was made for no longer holds (`machine.rs`).
//!
//! ```text
//! Interface::open    the program is on the interface, each of its queues has a socket; needs privileges
//!          .taps     a carrier for each queue, and so a worker
//! Tap                receive, datagram, queue, send: as a socket's batches
//! ```
//!
//! `unsafe` is in `kernel.rs` and `ring.rs`, which are the kernel's own structures, and in the two functions of `queue.rs` that lend
//! frames.

mod card;
mod filter;
mod frame;
#[allow(unsafe_code)] // the kernel's own structures
mod kernel;
mod machine;
#[allow(unsafe_code)] // the frames that are shared with it
mod queue;
#[allow(unsafe_code)] // memory that is shared with it
mod ring;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::{fmt, io};

use self::card::Card;
pub use self::card::has_interface;
use self::frame::{ETHERNET_LEN, Request};
use self::kernel::Mode;
use self::machine::{Hold, Machine};
pub(super) use self::machine::{Watched, watch};
use self::queue::{FRAME_LEN, Queue, RECEIVED_MAX_LEN};
use super::worker::{Carrier, Datagram, Sent};
use super::{Counter, Late, UdpCounters};

/// The ordinary sockets of the addresses that requests are taken to.
type Ways = Arc<[(SocketAddr, Arc<UdpSocket>)]>;

/// An interface from which no requests can be taken.
#[derive(Debug, thiserror::Error)]
#[error("{interface}: {what}: {error}: {}", advice(.error))]
pub(super) struct XdpError {
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
            "another program has it (see `ip link show`): end that, or leave the interface out"
        }
        Some(libc::ENOBUFS | libc::ENOMEM) => {
            "each queue of the interface takes 11 MB of locked memory: raise the limit (systemd: LimitMEMLOCK=infinity)"
        }
        Some(libc::EAFNOSUPPORT | libc::ENOSYS) => "this kernel has no AF_XDP: leave the interface out",
        _ => "leave the interface out, and the kernel's usual way serves it",
    }
}

/// An interface whose requests to our addresses are ours.
pub(super) struct Interface {
    queues: Vec<Queue>,
    watched: Watched,
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
        let machine = Machine::now().map_err(fault("the machine's addresses are not told"))?;
        let map = kernel::create_map(card.queues).map_err(fault("no map of sockets"))?;
        let sources: Vec<IpAddr> = machine.addresses.union(&machine.broadcasts).copied().collect();
        let program = filter::program(card.station, addresses, &sources, map.as_raw_fd(), RECEIVED_MAX_LEN)
            .ok_or_else(|| fault("no program")(io::Error::other("too many addresses to listen on")))?;
        let program = kernel::load_program(&program).map_err(fault("the kernel does not take the program"))?;
        let (link, mode) = attach(name, &program, card.index).map_err(fault("it does not take the program"))?;
        let mut queues = Vec::new();
        for number in 0..card.queues {
            let queue = Queue::open(card.index, number, mode).map_err(fault("no socket for a queue"))?;
            kernel::set_socket(map.as_fd(), number, queue.as_fd()).map_err(fault("no place for a socket"))?;
            queues.push(queue);
        }
        tell(name, &card, mode, &queues);
        // Some drivers have other queues while they run a program.
        let card = Card { station: card.station, ..Card::numbered(card.index).map_err(fault("not to be used"))? };
        let hold = Arc::new(Hold::new(name.to_owned(), link));
        let addresses = addresses.iter().map(SocketAddr::ip).collect();
        let frame_max_len = (card.mtu + ETHERNET_LEN).min(FRAME_LEN);
        let watched = Watched { hold, card, addresses };
        Ok(Self { queues, watched, frame_max_len })
    }

    pub(super) fn queue_count(&self) -> usize {
        self.queues.len()
    }

    /// A tap for each queue, with the counters of its worker; what a scraper sees of all of them; and what is to be watched. What
    /// does not leave at once leaves by the ordinary socket of the address that was asked; there is one at least.
    pub(super) fn taps(self, batch: usize, sockets: &Ways) -> (Vec<(Tap, Arc<UdpCounters>)>, Tapped, Watched) {
        let Self { queues, watched, frame_max_len } = self;
        let hold = &watched.hold;
        let mut tapped = Tapped { interface: hold.name().to_owned(), hold: Ok(Arc::clone(hold)), queues: Vec::new() };
        let mut taps = Vec::new();
        for queue in queues {
            let (counters, damaged) = (Arc::default(), Arc::default());
            tapped.queues.push((Arc::clone(&counters), Arc::clone(&damaged), queue.socket()));
            let (sockets, hold) = (Arc::clone(sockets), Arc::clone(hold));
            let requests = Vec::with_capacity(batch);
            taps.push((Tap { queue, batch, frame_max_len, sockets, requests, unsealed: 0, damaged, hold }, counters));
        }
        (taps, tapped, watched)
    }
}

/// Says how an interface is served.
fn tell(name: &str, card: &Card, mode: Mode, queues: &[Queue]) {
    let by = if mode == Mode::Native { "by its driver" } else { "by the kernel" };
    let how = if queues.iter().all(Queue::is_zero_copy) { "in memory that both share" } else { "copied" };
    let queues_word = if card.queues == 1 { "queue" } else { "queues" };
    tracing::info!("{name}: requests are taken off {} {queues_word}, {by}, {how}", card.queues);
    if card.one_way > 0 {
        tracing::warn!("{name}: {} queues only receive, and what they do takes the kernel's way", card.one_way);
    }
}

impl fmt::Debug for Interface {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Interface").field("name", &self.watched.hold.name()).finish_non_exhaustive()
    }
}

/// What a scraper sees of an interface.
#[derive(Clone)]
pub struct Tapped {
    /// Its name.
    pub interface: String,
    /// Or why its requests could not be taken.
    hold: Result<Arc<Hold>, String>,
    /// What is counted of each queue: by its worker, of damaged frames, by the kernel.
    queues: Vec<(Arc<UdpCounters>, Arc<Counter>, Arc<OwnedFd>)>,
}

impl Tapped {
    /// An interface from which nothing is taken, and why.
    pub(super) fn none(interface: &str, error: &XdpError) -> Self {
        Self { interface: interface.to_owned(), hold: Err(error.to_string()), queues: Vec::new() }
    }

    /// Whether requests are taken from it.
    pub fn is_active(&self) -> bool {
        self.why_inactive().is_none()
    }

    /// Why no requests are taken from it, if so.
    pub fn why_inactive(&self) -> Option<&str> {
        self.hold.as_ref().map_or_else(|error| Some(error.as_str()), |hold| hold.why_let_go())
    }

    /// Requests taken from it.
    pub fn received(&self) -> u64 {
        self.queues.iter().map(|(counters, ..)| counters.received.value()).sum()
    }

    /// Frames for us that were none of anybody's requests: damaged, or from where no reply can go.
    pub fn damaged(&self) -> u64 {
        self.queues.iter().map(|(_, damaged, _)| damaged.value()).sum()
    }

    /// Frames for us that found no room, or no frame to be received into, as far as the kernel knows.
    pub fn dropped(&self) -> u64 {
        self.queues.iter().map(|(.., socket)| kernel::dropped(socket.as_fd())).sum()
    }
}

impl fmt::Debug for Tapped {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Tapped").field("interface", &self.interface).finish_non_exhaustive()
    }
}

/// Has the interface's driver run a program, or the kernel for it.
fn attach(name: &str, program: &OwnedFd, interface: u32) -> io::Result<(OwnedFd, Mode)> {
    match kernel::attach(program.as_fd(), interface, Mode::Native) {
        Ok(link) => Ok((link, Mode::Native)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EBUSY | libc::EEXIST)) => Err(error),
        Err(error) => {
            let why = match error.raw_os_error() {
                Some(libc::ERANGE) => ": its MTU is too large for that",
                Some(libc::ENOSPC) => ": it has too few queues for that",
                _ => "",
            };
            tracing::warn!(
                "{name}: its driver does not run the program ({error}{why}), so the kernel does, which saves less"
            );
            Ok((kernel::attach(program.as_fd(), interface, Mode::Generic)?, Mode::Generic))
        }
    }
}

/// Datagrams of one queue.
pub(super) struct Tap {
    queue: Queue,
    batch: usize,
    frame_max_len: usize,
    sockets: Ways,
    /// Requests of the batch in hand, each with the number of its frame.
    requests: Vec<(usize, Request)>,
    /// Replies of the batch in hand for which a frame has no room.
    unsealed: usize,
    damaged: Arc<Counter>,
    hold: Arc<Hold>,
}

impl Carrier for Tap {
    /// Both come by it, and each says from whom.
    fn is_v6(&self) -> bool {
        false
    }

    fn receive(&mut self) -> io::Result<usize> {
        self.unsealed = 0;
        self.requests.clear();
        let received = self.queue.receive(self.batch).inspect_err(|error| {
            if error.raw_os_error() == Some(libc::ENETDOWN) {
                self.hold.let_go("it is gone");
            }
        })?;
        let frames = (0..received).filter_map(|i| Some((i, frame::read(self.queue.received(i))?)));
        self.requests.extend(frames);
        if self.requests.len() < received {
            self.damaged.add((received - self.requests.len()) as u64);
        }
        Ok(self.requests.len())
    }

    #[inline]
    fn datagram(&mut self, i: usize) -> Datagram<'_> {
        let (number, Request { client, place }) = &self.requests[i];
        let (frame, reply) = self.queue.exchange(*number);
        let reply = reply.get_mut(frame::headers_len(frame)..self.frame_max_len).unwrap_or_default();
        Datagram { client: Some(client), truncated: false, request: &frame[place.clone()], reply }
    }

    #[inline]
    fn queue(&mut self, i: usize, len: usize) {
        let (frame, reply) = self.queue.exchange(self.requests[i].0);
        if let Some(len) = frame::seal(frame, reply, len) {
            self.queue.queue(len);
        } else {
            self.unsealed += 1;
        }
    }

    fn way_back(&mut self, i: usize, client: SocketAddr) -> Late {
        let asked = frame::local(self.queue.received(self.requests[i].0));
        let is_asked = |(address, _): &(SocketAddr, _)| Some((address.ip(), address.port())) == asked;
        let asked = self.sockets.iter().position(is_asked).unwrap_or_default();
        Late::udp(Arc::clone(&self.sockets[asked].1), client, Box::default())
    }

    fn send(&mut self) -> Sent {
        let Sent { sent, failed } = self.queue.send();
        Sent { sent, failed: failed + self.unsealed }
    }
}
