//! One queue of an interface: a socket, the frames it receives into and sends from, and which of them are where.
//!
//! The frames to receive into are the kernel's but for those of the batch in hand; they go back to it when the batch is done. The
//! frames to send are ours but for those on their way, which the kernel hands back. So a request stays where it arrived
//! while its reply is written into another frame, and nothing is copied here.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::kernel::{self, Mapping, Rings};
use crate::net::worker::{RECEIVE_WAIT_MS, Sent};

/// Octets of a frame: half a page, as every driver takes it.
pub(super) const FRAME_LEN: usize = 2048;
/// Octets that the kernel keeps free before what it receives (`XDP_PACKET_HEADROOM`).
const HEADROOM_LEN: usize = 256;
/// Octets that a received frame may have.
pub(super) const RECEIVED_MAX_LEN: usize = FRAME_LEN - HEADROOM_LEN;
/// Frames to receive into: some milliseconds of a million requests a second.
const RECEIVE_FRAMES: u32 = 4096;
/// Frames to send.
const SEND_FRAMES: u32 = 1024;
/// Where frames are copied, the kernel sends some 32 with each call (`TX_BATCH_SIZE`), and sometimes fewer.
const SENT_A_CALL_AT_LEAST: usize = 16;

/// A queue's socket, with its frames.
pub(super) struct Queue {
    socket: Arc<OwnedFd>,
    rings: Rings,
    frames: Mapping,
    is_zero_copy: bool,
    /// Frames of the batch in hand.
    taken: usize,
    /// Frames that are ours to send. Their number is that of a batch at least while there is one in hand.
    free: Vec<u64>,
    /// Of those put into the ring to be sent, how many it has not been told of.
    queued: usize,
}

impl Queue {
    /// Opens a socket on a queue of an interface.
    pub(super) fn open(interface: u32, queue: u32) -> io::Result<Self> {
        let socket = kernel::socket()?;
        let frames = Mapping::anonymous((RECEIVE_FRAMES + SEND_FRAMES) as usize * FRAME_LEN)?;
        kernel::register(socket.as_fd(), &frames, FRAME_LEN as u32)?;
        let mut rings = kernel::rings(socket.as_fd(), RECEIVE_FRAMES, SEND_FRAMES)?;
        let address = |number| u64::from(number) * FRAME_LEN as u64;
        (0..RECEIVE_FRAMES).map(address).for_each(|frame| rings.fill.put(frame));
        rings.fill.publish();
        kernel::bind(socket.as_fd(), interface, queue)?;
        let is_zero_copy = kernel::is_zero_copy(socket.as_fd());
        let free = (RECEIVE_FRAMES..RECEIVE_FRAMES + SEND_FRAMES).map(address).collect();
        let socket = Arc::new(socket);
        Ok(Self { socket, rings, frames, is_zero_copy, taken: 0, free, queued: 0 })
    }

    /// The socket, for whoever wants to know of it.
    pub(super) fn socket(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.socket)
    }

    pub(super) fn is_zero_copy(&self) -> bool {
        self.is_zero_copy
    }

    /// Wait for a frame, then take as many as are there, at most `most`. Returns how many.
    pub(super) fn receive(&mut self, most: usize) -> io::Result<usize> {
        self.give_back();
        self.reclaim();
        if self.free.is_empty() {
            // The interface takes no more for now, and what arrives waits.
            self.wait(PollFlags::POLLOUT)?;
            self.reclaim();
        } else if self.rings.received.ready() == 0 {
            self.wait(PollFlags::POLLIN)?;
        }
        self.taken = self.rings.received.ready().min(self.free.len()).min(most);
        Ok(self.taken)
    }

    /// The `i`-th frame received, and the frame that will be sent next.
    pub(super) fn exchange(&mut self, i: usize) -> (&[u8], &mut [u8]) {
        assert!(i < self.taken);
        let received = self.rings.received.peek(i);
        let (start, len) = (received.addr as usize, received.len as usize);
        let reply = self.free.last().map_or(0, |&frame| frame as usize);
        assert!(len <= FRAME_LEN && start + len <= RECEIVE_FRAMES as usize * FRAME_LEN && reply > start);
        let (request, reply) = (self.frames.at(start), self.frames.at(reply));
        // SAFETY: the one is of the batch in hand and the other is free, so the kernel touches neither; as asserted, the one is
        // among the frames to receive into, and the other, which begins a frame and comes later, among those to send. The borrow
        // of `self` keeps out every other access.
        unsafe {
            let request = std::slice::from_raw_parts(request.as_ptr(), len);
            (request, std::slice::from_raw_parts_mut(reply.as_ptr(), FRAME_LEN))
        }
    }

    /// Queue the frame that was lent last, of so many octets.
    pub(super) fn queue(&mut self, len: usize) {
        let Some(frame) = self.free.pop() else { return };
        self.rings.outgoing.put(libc::xdp_desc { addr: frame, len: len.min(FRAME_LEN) as u32, options: 0 });
        self.queued += 1;
    }

    /// Send what is queued, and let the batch in hand go.
    pub(super) fn send(&mut self) -> Sent {
        let mut outcome = Sent { sent: std::mem::take(&mut self.queued), failed: 0 };
        if outcome.sent > 0 {
            self.rings.outgoing.publish();
            let calls = if self.is_zero_copy { 1 } else { outcome.sent / SENT_A_CALL_AT_LEAST + 1 };
            for _ in 0..calls {
                if !self.rings.outgoing.needs_wakeup() || self.rings.outgoing.is_drained() {
                    break;
                }
                // Busy: it dropped one. Whatever else is the matter, the rest stays in the ring until the next call.
                if kernel::kick(self.socket.as_fd()).is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY)) {
                    outcome.sent -= 1;
                    outcome.failed += 1;
                }
            }
        }
        self.give_back();
        outcome
    }

    /// Let the batch in hand go.
    fn give_back(&mut self) {
        for i in 0..self.taken {
            let frame = self.rings.received.peek(i).addr & !(FRAME_LEN as u64 - 1);
            self.rings.fill.put(frame);
        }
        self.rings.received.release(self.taken);
        self.rings.fill.publish();
        self.taken = 0;
    }

    /// Take back the frames that were sent.
    fn reclaim(&mut self) {
        let ready = self.rings.sent.ready();
        let sent = &self.rings.sent;
        self.free.extend((0..ready).map(|i| sent.peek(i)));
        self.rings.sent.release(ready);
    }

    fn wait(&self, events: PollFlags) -> io::Result<()> {
        let timeout = PollTimeout::try_from(Duration::from_millis(RECEIVE_WAIT_MS)).unwrap_or(PollTimeout::ZERO);
        poll(&mut [PollFd::new(self.socket.as_fd(), events)], timeout)?;
        Ok(())
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
