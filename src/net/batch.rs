//! A batch of datagrams: the memory they arrive in and leave from, and the system calls that move them. All
//! `unsafe` of the sockets is in this file.
//!
//! Everything is allocated once. A slot holds one datagram's way through the server: who sent it, to which of our addresses
//! (on wildcard sockets), the request, the reply. The kernel's headers for receiving point at the slots for good; those
//! for sending are filled with the slots that got a reply, name and control message as they came, so that an address is
//! never converted on its way back.
//!
//! Where datagrams come one by one, as they do to most servers most of the time, the calls that move many cost more than those
//! that move one: 3 % of a query's time at 20,000 a second, 7 % at 250,000. So after a batch of one the next few are received
//! by themselves, and then a batch is tried again: of a burst no more than those few are answered one by one. On wildcard
//! sockets all come in batches, for control messages come with no other call that is cheaper.
//!
//! Slots are reached through one raw pointer only, because the kernel's headers hold addresses into them for as long as the
//! batch lives: a `Box` or `Vec` beside those addresses would claim to be the only way in.
//!
//! All that is the same for every datagram is written once. The lengths that the kernel writes with each are set again before it
//! receives the next; a sender's address has the length that goes with the socket's family, or there is none.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;

use libc::{c_int, iovec, mmsghdr, socklen_t};

use super::peer::Peer;
use super::worker::{Carrier, Datagram, Sent};
use super::{Late, REQUEST_MAX_LEN, UDP_REPLY_MAX_LEN};

/// The kernel takes no more in one call: its `UIO_MAXIOV`.
const CAPACITY_MAX: usize = 1024;
/// After a batch of one, so many datagrams are received one by one: nearly all of what there is to gain, and too few to delay
/// a burst.
const SINGLES: u32 = 15;
/// Octets before a control message's data. The level and the type are the header's last two fields.
const CONTROL_HEADER_LEN: usize = size_of::<libc::cmsghdr>();
/// Octets of the larger of the two control messages, `in6_pktinfo`, padded as the kernel pads it.
const CONTROL_LEN: usize = CONTROL_HEADER_LEN + size_of::<libc::in6_pktinfo>().next_multiple_of(8);

/// A control message as the kernel lays it out.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_LEN]);

/// One datagram's way. Its size is an odd number of cache-line pairs, so that the heads of neighbouring requests, which are
/// all that is touched of most, do not compete for the same few sets of the first-level cache.
#[repr(C, align(64))]
struct Slot {
    peer: Peer,
    control: Control,
    request_place: iovec,
    reply_place: iovec,
    request: [u8; REQUEST_MAX_LEN],
    reply: [u8; UDP_REPLY_MAX_LEN],
}

const _: () = assert!(!(size_of::<Slot>() / 64).is_multiple_of(64), "slots would alias in the cache");

/// A worker's own socket, slots and the kernel's headers for them.
pub(super) struct Batch {
    socket: Arc<UdpSocket>,
    is_v6: bool,
    slots: NonNull<Slot>,
    /// Header `i` receives into slot `i`.
    incoming: Box<[mmsghdr]>,
    /// The first `queued` are to be sent, whichever slots they point at.
    outgoing: Box<[mmsghdr]>,
    queued: usize,
    /// Headers used by the last receive: the kernel wrote their lengths, and they must be set again.
    filled: usize,
    /// Octets of a sender's address.
    peer_len: socklen_t,
    /// Octets for control messages: none unless the socket is bound to a wildcard.
    control_len: usize,
    /// So many more datagrams are received one by one.
    singles: u32,
}

impl Batch {
    /// Room for `capacity` datagrams at once of a socket that is bound to `local`; with room for control messages, which say which
    /// address was asked, when that is a wildcard.
    pub(super) fn new(socket: Arc<UdpSocket>, local: SocketAddr, capacity: usize) -> Self {
        let capacity = capacity.clamp(1, CAPACITY_MAX);
        // SAFETY: a slot is integers, byte arrays and iovecs, for all of which zero is a value.
        let slots: Box<[Slot]> = (0..capacity).map(|_| unsafe { zeroed() }).collect();
        let slots = NonNull::from(Box::leak(slots)).cast::<Slot>();
        // SAFETY: headers are integers and pointers, for all of which zero is a value, and to the kernel it means absent.
        let header = || (0..capacity).map(|_| unsafe { zeroed() }).collect::<Box<[mmsghdr]>>();
        let control_len = if local.ip().is_unspecified() { CONTROL_LEN } else { 0 };
        let peer_len = Peer::len_with(&local);
        let mut batch = Self {
            socket,
            is_v6: local.is_ipv6(),
            slots,
            incoming: header(),
            outgoing: header(),
            queued: 0,
            filled: capacity,
            peer_len,
            control_len,
            singles: 0,
        };
        for i in 0..capacity {
            let slot = batch.slot(i);
            // SAFETY: `slot` is within the allocation, and nothing else refers to it. Only addresses are taken of its parts.
            unsafe {
                (*slot).request_place = iovec { iov_base: (&raw mut (*slot).request).cast(), iov_len: REQUEST_MAX_LEN };
                (*slot).reply_place = iovec { iov_base: (&raw mut (*slot).reply).cast(), iov_len: 0 };
                let header = &mut batch.incoming[i].msg_hdr;
                header.msg_name = (&raw mut (*slot).peer).cast();
                header.msg_iov = &raw mut (*slot).request_place;
                header.msg_control = if control_len > 0 { (&raw mut (*slot).control).cast() } else { null_mut() };
            }
        }
        for header in &mut batch.outgoing {
            header.msg_hdr.msg_namelen = peer_len;
        }
        for header in batch.incoming.iter_mut().chain(&mut batch.outgoing) {
            header.msg_hdr.msg_iovlen = 1;
        }
        batch
    }

    /// The `i`-th slot's address.
    fn slot(&self, i: usize) -> *mut Slot {
        assert!(i < self.incoming.len());
        // SAFETY: as asserted, it is within the allocation made in `new`, which lives as long as `self`.
        unsafe { self.slots.as_ptr().add(i) }
    }

    fn receive_many(&mut self) -> io::Result<usize> {
        // SAFETY: each header points at its own slot's name, control message and request, with their true sizes, all of
        // which live as long as `self`; no reference into a slot is alive, because `self` is borrowed mutably.
        let received = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                self.incoming.as_mut_ptr(),
                self.incoming.len() as _,
                libc::MSG_WAITFORONE as _,
                null_mut(),
            )
        };
        usize::try_from(received).map_err(|_| io::Error::last_os_error())
    }

    fn receive_one(&mut self) -> io::Result<usize> {
        let slot = self.slot(0);
        let header = &mut self.incoming[0];
        // SAFETY: name and request are the slot's own, with their true sizes, and live as long as `self`; no reference into
        // the slot is alive, because `self` is borrowed mutably.
        let len = unsafe {
            libc::recvfrom(
                self.socket.as_raw_fd(),
                (&raw mut (*slot).request).cast(),
                REQUEST_MAX_LEN,
                libc::MSG_TRUNC, // its true length, however long it is
                (&raw mut (*slot).peer).cast(),
                &raw mut header.msg_hdr.msg_namelen,
            )
        };
        header.msg_len = u32::try_from(len).map_err(|_| io::Error::last_os_error())?;
        header.msg_hdr.msg_flags = if header.msg_len as usize > REQUEST_MAX_LEN { libc::MSG_TRUNC } else { 0 };
        Ok(1)
    }

    /// Turn slot `i`'s control message round; its length as it is to be sent.
    fn turn_control_round(&mut self, i: usize) -> usize {
        let received = received_control_len(&self.incoming[i].msg_hdr);
        // SAFETY: no reference into the slot is alive, because `self` is borrowed mutably.
        unsafe { (*self.slot(i)).control.turn_round(received) }
    }

    /// The control message that makes a later reply to datagram `i` leave from the address that was asked; empty if any will do.
    fn control(&self, i: usize) -> Box<[u8]> {
        // SAFETY: nothing writes to the slot while `self` is borrowed.
        let mut control = unsafe { (*self.slot(i)).control };
        let len = control.turn_round(received_control_len(&self.incoming[i].msg_hdr));
        control.0[..len].into()
    }
}

impl Carrier for Batch {
    fn receive(&mut self) -> io::Result<usize> {
        for header in &mut self.incoming[..self.filled] {
            header.msg_hdr.msg_namelen = self.peer_len;
            header.msg_hdr.msg_controllen = self.control_len as _;
        }
        self.filled = 0;
        self.queued = 0;
        let received = if self.singles > 0 { self.receive_one()? } else { self.receive_many()? };
        self.filled = received;
        self.singles = match received {
            1 if self.control_len == 0 => self.singles.checked_sub(1).unwrap_or(SINGLES),
            _ => 0,
        };
        Ok(received)
    }

    fn is_v6(&self) -> bool {
        self.is_v6
    }

    fn datagram(&mut self, i: usize) -> Datagram<'_> {
        let slot = self.slot(i);
        let header = &self.incoming[i];
        let len = (header.msg_len as usize).min(REQUEST_MAX_LEN);
        let truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        // SAFETY: the slot lives as long as `self`, the kernel writes only within `receive`, and the borrow of `self` keeps
        // that and every other access out while the datagram is in use. Request and reply do not overlap.
        let (peer, request, reply) = unsafe { (&(*slot).peer, &(&(*slot).request)[..len], &mut (*slot).reply) };
        let client = (header.msg_hdr.msg_namelen == self.peer_len).then_some(peer);
        Datagram { client, truncated, request, reply }
    }

    fn queue(&mut self, i: usize, len: usize) {
        let control_len = if self.control_len == 0 { 0 } else { self.turn_control_round(i) };
        let slot = self.slot(i);
        let header = &mut self.outgoing[self.queued].msg_hdr;
        // SAFETY: no reference into the slot is alive, because `self` is borrowed mutably; only addresses are taken.
        unsafe {
            (*slot).reply_place.iov_len = len.min(UDP_REPLY_MAX_LEN);
            header.msg_name = (&raw mut (*slot).peer).cast();
            header.msg_iov = &raw mut (*slot).reply_place;
            if self.control_len > 0 {
                header.msg_control = if control_len == 0 { null_mut() } else { (&raw mut (*slot).control).cast() };
                header.msg_controllen = control_len as _;
            }
        }
        self.queued += 1;
    }

    fn way_back(&mut self, i: usize, client: SocketAddr) -> Late {
        Late::udp(Arc::clone(&self.socket), client, self.control(i))
    }

    fn send(&mut self) -> Sent {
        let mut outcome = Sent::default();
        let mut next = 0;
        while next < self.queued {
            let rest = &mut self.outgoing[next..self.queued];
            let sent = match rest {
                // SAFETY: the header was filled by `new` and `queue`: it points at a slot's name and at the one place of its
                // reply, with their true sizes, and the slot lives as long as `self`.
                [only] if only.msg_hdr.msg_controllen == 0 => unsafe { send_one(&self.socket, &only.msg_hdr) },
                // SAFETY: each header in `rest` was filled by `new` and `queue` and points at a slot's name, reply and control
                // message with their true sizes; the slots live as long as `self`, and the kernel only reads them.
                _ => unsafe { libc::sendmmsg(self.socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as _, 0) },
            };
            if let Ok(sent) = usize::try_from(sent) {
                outcome.sent += sent;
                next += sent;
                continue;
            }
            match io::Error::last_os_error().kind() {
                io::ErrorKind::Interrupted => {}
                // The queue did not drain within SO_SNDTIMEO: each further one would wait as long again.
                io::ErrorKind::WouldBlock => {
                    outcome.failed += self.queued - next;
                    break;
                }
                // Its route, its size, a filter, or a full queue (ENOBUFS): of this datagram alone.
                _ => {
                    outcome.failed += 1;
                    next += 1;
                }
            }
        }
        self.queued = 0;
        outcome
    }
}

/// Send a reply without a control message, and say how many were sent: 1, or -1 for none.
///
/// # Safety
/// The header must point at a name and one piece of octets with their true sizes.
unsafe fn send_one(socket: &UdpSocket, header: &libc::msghdr) -> c_int {
    // SAFETY: as the caller says; the kernel only reads both.
    let sent = unsafe {
        let iovec { iov_base, iov_len } = *header.msg_iov;
        libc::sendto(socket.as_raw_fd(), iov_base, iov_len, 0, header.msg_name.cast(), header.msg_namelen)
    };
    if sent < 0 { -1 } else { 1 }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let slots = std::ptr::slice_from_raw_parts_mut(self.slots.as_ptr(), self.incoming.len());
        // SAFETY: it is the box that `new` leaked, with its length; the headers that point into it go with `self`.
        drop(unsafe { Box::from_raw(slots) });
    }
}

impl Control {
    /// Make a received control message of `len` octets into one for the reply: the address that was asked stays, as the
    /// source; the interface is forgotten, so that the route decides, but for an address that is nothing without it (`fe80::/10`, RFC 4291
    /// section 2.5.6). Returns the length to send.
    fn turn_round(&mut self, len: usize) -> usize {
        const V4_END: usize = CONTROL_HEADER_LEN + size_of::<libc::in_pktinfo>();
        const V6_END: usize = CONTROL_HEADER_LEN + size_of::<libc::in6_pktinfo>();
        if len < V4_END {
            return 0;
        }
        let field = |at: usize| c_int::from_ne_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]]);
        let index = match (field(CONTROL_HEADER_LEN - 8), field(CONTROL_HEADER_LEN - 4)) {
            // struct in_pktinfo begins with its index, struct in6_pktinfo ends with it.
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => CONTROL_HEADER_LEN,
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if len >= V6_END => V6_END - 4,
            _ => return 0,
        };
        let is_link_local = index != CONTROL_HEADER_LEN
            && matches!(self.0[CONTROL_HEADER_LEN..CONTROL_HEADER_LEN + 2], [0xfe, 0x80..=0xbf]);
        if !is_link_local {
            self.0[index..index + 4].fill(0);
        }
        len.min(CONTROL_LEN)
    }
}

/// The length of a received control message.
#[allow(clippy::unnecessary_cast, reason = "the C libraries differ in its type")]
fn received_control_len(header: &libc::msghdr) -> usize {
    header.msg_controllen as usize
}

/// Set an option of a socket.
pub(super) fn set_option<T>(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    let len = size_of::<T>() as socklen_t;
    // SAFETY: the kernel reads a live value, and is told its size.
    let outcome = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const *value).cast(), len) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::time::Duration;

    use super::*;

    fn socket(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).expect("bind");
        socket.set_read_timeout(Some(Duration::from_secs(2))).expect("timeout");
        socket
    }

    /// A batch of a socket of its own, and the address of that.
    fn batch(home: &str, capacity: usize) -> (Batch, SocketAddr) {
        let socket = socket(home);
        let local = socket.local_addr().expect("address");
        (Batch::new(socket.into(), local, capacity), local)
    }

    #[test]
    fn datagrams_go_round_with_their_addresses() {
        for home in ["127.0.0.1:0", "[::1]:0"].into_iter().filter(|home| UdpSocket::bind(home).is_ok()) {
            let ((mut batch, server), client) = (batch(home, 4), socket(home));
            for round in 0..3_u8 {
                for n in 0..4_u8 {
                    client.send_to(&[round, n], server).expect("send");
                }
                let received = batch.receive().expect("receive");
                assert_eq!(received, 4, "all were waiting");
                for i in 0..received {
                    let datagram = batch.datagram(i);
                    assert_eq!(datagram.client.map(Peer::socket_addr), client.local_addr().ok());
                    assert_eq!(datagram.request, [round, i as u8]);
                    assert!(!datagram.truncated);
                    datagram.reply[..2].copy_from_slice(&[i as u8, 7]);
                    if i != 1 {
                        batch.queue(i, 2);
                    }
                }
                assert_eq!(batch.send(), Sent { sent: 3, failed: 0 });
                let mut buffer = [0; 9];
                for expected in [0, 2, 3] {
                    assert_eq!(client.recv(&mut buffer).expect("answer"), 2);
                    assert_eq!(buffer[..2], [expected, 7]);
                }
            }
        }
    }

    #[test]
    fn after_a_batch_of_one_a_few_come_one_by_one() {
        for home in ["127.0.0.1:0", "[::1]:0"].into_iter().filter(|home| UdpSocket::bind(home).is_ok()) {
            let ((mut batch, home), client) = (batch(home, 64), socket(home));
            let mut buffer = [0; 9];
            let mut turn = |sent: usize, len: usize, expected: usize| {
                for number in 0..sent {
                    client.send_to(&vec![number as u8; len], home).expect("send");
                }
                assert_eq!(batch.receive().expect("receive"), expected, "{sent} of {len}");
                for i in 0..expected {
                    let datagram = batch.datagram(i);
                    assert_eq!(datagram.client.map(Peer::socket_addr), client.local_addr().ok());
                    assert_eq!(datagram.truncated, len > REQUEST_MAX_LEN);
                    assert_eq!(datagram.request.len(), len.min(REQUEST_MAX_LEN));
                    datagram.reply[..2].copy_from_slice(&[datagram.request[0], len as u8]);
                    batch.queue(i, 2);
                }
                assert_eq!(batch.send(), Sent { sent: expected, failed: 0 });
                for _ in 0..expected {
                    assert_eq!(client.recv(&mut buffer).expect("answer"), 2);
                    assert_eq!(buffer[1], len as u8);
                }
                buffer[0]
            };
            assert_eq!(turn(3, 40, 3), 2);
            turn(1, 41, 1);
            for more in 1..SINGLES as usize {
                turn(1, REQUEST_MAX_LEN - 7 + more, 1);
            }
            assert_eq!(turn(4, 42, 1), 0, "the last one by itself");
            assert_eq!(turn(0, 42, 3), 3, "then all that wait");
            assert_eq!(turn(2, 43, 2), 1);
        }
    }

    #[test]
    fn on_a_wildcard_replies_leave_from_the_address_that_was_asked() {
        let kinds = [
            ("0.0.0.0:0", ["127.0.0.1", "127.0.0.2"], libc::IPPROTO_IP, libc::IP_PKTINFO),
            ("[::]:0", ["::1", "::1"], libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        ];
        for (home, asked, level, option) in kinds.into_iter().filter(|kind| UdpSocket::bind((kind.1[0], 0)).is_ok()) {
            let client = socket(&home.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]"));
            let (mut batch, local) = batch(home, 4);
            batch.socket.set_read_timeout(Some(Duration::from_millis(50))).expect("timeout");
            set_option(batch.socket.as_fd(), level, option, &1).expect("packet information");
            let mut buffer = [0; 9];
            // One and four, and nothing between them: what a receive used is used again.
            for count in [1, 4, 0, 2] {
                for n in 0..count {
                    client.send_to(&[n as u8], (asked[n % 2], local.port())).expect("send");
                }
                let received = batch.receive().unwrap_or(0);
                assert_eq!(received, count);
                let from = client.local_addr().expect("address");
                let later = (0..received).filter(|i| i % 3 == 1);
                let later: Vec<_> = later.map(|i| (i as u8, batch.way_back(i, from))).collect();
                for i in (0..received).filter(|i| i % 3 != 1) {
                    batch.datagram(i).reply[0] = i as u8;
                    batch.queue(i, 1);
                }
                assert_eq!(batch.send().failed, 0);
                for (i, late) in later {
                    late.send(vec![i]).expect("sent");
                }
                for _ in 0..received {
                    let (len, from) = client.recv_from(&mut buffer).expect("answer");
                    assert_eq!((len, from.ip().to_string().as_str()), (1, asked[usize::from(buffer[0]) % 2]));
                }
            }
        }
    }

    #[test]
    fn a_failed_datagram_does_not_stop_those_after_it() {
        let ((mut batch, server), client) = (batch("127.0.0.1:0", 3), socket("127.0.0.1:0"));
        for n in 0..3 {
            client.send_to(&[n], server).expect("send");
        }
        let received = batch.receive().expect("receive");
        assert_eq!(received, 3);
        for i in 0..3 {
            if i == 1 {
                // 255.255.255.255 without SO_BROADCAST: EACCES.
                let nobody = SocketAddr::from(([255; 4], server.port())).into();
                // SAFETY: no reference into the slot is alive.
                unsafe { (*batch.slot(i)).peer = nobody };
            }
            batch.queue(i, 1 + i);
        }
        assert_eq!(batch.send(), Sent { sent: 2, failed: 1 });
        let mut buffer = [0; 9];
        assert_eq!(client.recv(&mut buffer).expect("first"), 1);
        assert_eq!(client.recv(&mut buffer).expect("third"), 3);
    }

    #[test]
    fn long_and_empty_datagrams_are_told_apart() {
        let ((mut batch, server), client) = (batch("127.0.0.1:0", 8), socket("127.0.0.1:0"));
        for len in [0, REQUEST_MAX_LEN, REQUEST_MAX_LEN + 1] {
            client.send_to(&vec![1; len], server).expect("send");
        }
        assert_eq!(batch.receive().expect("receive"), 3);
        for (i, expected) in [(0, false), (REQUEST_MAX_LEN, false), (REQUEST_MAX_LEN, true)].into_iter().enumerate() {
            let datagram = batch.datagram(i);
            assert_eq!((datagram.request.len(), datagram.truncated), expected);
        }
    }

    #[test]
    fn a_reply_keeps_the_address_asked_and_forgets_the_interface() {
        // Behind the header: index, local address, address asked; or address asked, index.
        let kinds =
            [(libc::IPPROTO_IP, libc::IP_PKTINFO, 12, 0..4), (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, 20, 16..20)];
        for (level, kind, len, index) in kinds {
            let mut control = Control([9; CONTROL_LEN]);
            control.0[CONTROL_HEADER_LEN - 8..CONTROL_HEADER_LEN - 4].copy_from_slice(&level.to_ne_bytes());
            control.0[CONTROL_HEADER_LEN - 4..CONTROL_HEADER_LEN].copy_from_slice(&kind.to_ne_bytes());
            assert_eq!(control.turn_round(CONTROL_HEADER_LEN + len), CONTROL_HEADER_LEN + len);
            for (at, &octet) in control.0[CONTROL_HEADER_LEN..].iter().enumerate() {
                assert_eq!(octet, if index.contains(&at) { 0 } else { 9 });
            }
            assert_eq!(control.turn_round(CONTROL_HEADER_LEN + len - 1), 0, "cut short");
        }
    }

    #[test]
    fn an_address_of_a_link_keeps_its_interface() {
        for (start, kept) in [([0xfe, 0x80], 9), ([0xfe, 0xbf], 9), ([0xfe, 0xc0], 0), ([0xfd, 0x80], 0)] {
            let mut control = Control([9; CONTROL_LEN]);
            control.0[CONTROL_HEADER_LEN - 8..CONTROL_HEADER_LEN - 4]
                .copy_from_slice(&libc::IPPROTO_IPV6.to_ne_bytes());
            control.0[CONTROL_HEADER_LEN - 4..CONTROL_HEADER_LEN].copy_from_slice(&libc::IPV6_PKTINFO.to_ne_bytes());
            control.0[CONTROL_HEADER_LEN..CONTROL_HEADER_LEN + 2].copy_from_slice(&start);
            control.turn_round(CONTROL_LEN);
            assert_eq!(control.0[CONTROL_HEADER_LEN + 16..CONTROL_HEADER_LEN + 20], [kept; 4], "{start:02x?}");
        }
    }

    #[test]
    fn a_strange_control_message_is_not_sent_back() {
        let mut control = Control([9; CONTROL_LEN]);
        assert_eq!(control.turn_round(CONTROL_LEN), 0);
        assert_eq!(control.turn_round(0), 0);
    }
}
