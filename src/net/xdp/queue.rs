//! One queue of an interface: a socket, the frames it receives into and sends from, and which of them are where.
//!
//! The frames to receive into are the kernel's but for those of the batch in hand; they go back to it when the batch is done. The
//! frames to send are ours but for those on their way, which the kernel hands back. So a request stays where it arrived
//! while its reply is written into another frame, and nothing is copied here.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{SndBufForce, SocketError};
use nix::sys::socket::{getsockopt, setsockopt};

use super::kernel::{self, Mapping, Mode, Rings};
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
/// Where the frames to send begin.
const SEND_FROM: usize = RECEIVE_FRAMES as usize * FRAME_LEN;
/// Octets of copied frames under way.
const SEND_BUFFER_BYTES: usize = 4 << 20;
/// How long a queue that a server before has just left may be busy with that.
const BUSY_FOR: Duration = Duration::from_secs(3);
/// How soon it is tried again.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// How soon an interface that takes no more is tried again: nothing tells when it goes on.
const FULL_PAUSE: Duration = Duration::from_millis(1);

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
    /// Frames that the interface did not take, and that nobody was told of yet.
    dropped: usize,
}

impl Queue {
    /// Opens a socket on a queue of an interface. One that is left is let go a moment later, so that a server that starts right
    /// after another ended finds it busy.
    pub(super) fn open(interface: u32, queue: u32, mode: Mode) -> io::Result<Self> {
        let begun = Instant::now();
        loop {
            match Self::try_open(interface, queue, mode) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) && begun.elapsed() < BUSY_FOR => {
                    thread::sleep(BUSY_PAUSE);
                }
                outcome => return outcome,
            }
        }
    }

    fn try_open(interface: u32, queue: u32, mode: Mode) -> io::Result<Self> {
        let socket = kernel::socket()?;
        let frames = Mapping::anonymous((RECEIVE_FRAMES + SEND_FRAMES) as usize * FRAME_LEN)?;
        kernel::register(socket.as_fd(), &frames, FRAME_LEN as u32)?;
        let mut rings = kernel::rings(socket.as_fd(), RECEIVE_FRAMES, SEND_FRAMES)?;
        let address = |number| u64::from(number) * FRAME_LEN as u64;
        (0..RECEIVE_FRAMES).map(address).for_each(|frame| rings.fill.put(frame));
        rings.fill.publish();
        kernel::bind(socket.as_fd(), interface, queue, mode)?;
        // Frames that are copied count against it until they have left. Best effort: it takes privileges.
        let _ = setsockopt(&socket, SndBufForce, &SEND_BUFFER_BYTES);
        let is_zero_copy = kernel::is_zero_copy(socket.as_fd());
        let free = (RECEIVE_FRAMES..RECEIVE_FRAMES + SEND_FRAMES).map(address).collect();
        let socket = Arc::new(socket);
        Ok(Self { socket, rings, frames, is_zero_copy, taken: 0, free, queued: 0, dropped: 0 })
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
        // Something is queued only if a panic ended the batch before.
        for _ in 0..std::mem::take(&mut self.queued) {
            self.free.push(self.rings.outgoing.withdraw().addr);
        }
        self.give_back();
        self.push();
        self.reclaim();
        if self.free.is_empty() {
            self.wait(PollFlags::empty(), FULL_PAUSE)?;
        } else if self.rings.received.ready() == 0 {
            let is_full = self.rings.outgoing.backlog() > 0;
            self.wait(PollFlags::POLLIN, if is_full { FULL_PAUSE } else { Duration::from_millis(RECEIVE_WAIT_MS) })?;
        }
        self.taken = self.rings.received.ready().min(self.free.len()).min(most);
        Ok(self.taken)
    }

    /// The `i`-th frame received.
    pub(super) fn received(&self, i: usize) -> &[u8] {
        assert!(i < self.taken);
        let received = self.rings.received.peek(i);
        let (start, len) = (received.addr as usize, received.len as usize);
        assert!(start + len <= SEND_FROM);
        // SAFETY: it is of the batch in hand, so the kernel does not touch it, and, as asserted, among the frames to receive into,
        // of which nobody writes to any.
        unsafe { std::slice::from_raw_parts(self.frames.at(start).as_ptr(), len) }
    }

    /// The `i`-th frame received, and the frame that will be sent next.
    pub(super) fn exchange(&mut self, i: usize) -> (&[u8], &mut [u8]) {
        let reply = self.free.last().map_or(0, |&frame| frame as usize);
        assert!(reply >= SEND_FROM && reply.is_multiple_of(FRAME_LEN));
        let reply = self.frames.at(reply);
        // SAFETY: it is free, so the kernel does not touch it, and, as asserted, it begins one of the frames to send, which is not
        // among those received. The borrow of `self` keeps out every other access.
        let reply = unsafe { std::slice::from_raw_parts_mut(reply.as_ptr(), FRAME_LEN) };
        (self.received(i), reply)
    }

    /// Queue the frame that was lent last, of so many octets.
    pub(super) fn queue(&mut self, len: usize) {
        let Some(frame) = self.free.pop() else { return };
        self.rings.outgoing.put(libc::xdp_desc { addr: frame, len: len.min(FRAME_LEN) as u32, options: 0 });
        self.queued += 1;
    }

    /// Send what is queued, and let the batch in hand go.
    pub(super) fn send(&mut self) -> Sent {
        let queued = std::mem::take(&mut self.queued);
        self.rings.outgoing.publish();
        self.push();
        self.give_back();
        settle(queued, &mut self.dropped)
    }

    /// Have the kernel send what is in the ring. Where frames are copied it sends some with each call (`TX_BATCH_SIZE`, 32); what it
    /// cannot send now stays, and is tried again with the next batch, or soon.
    fn push(&mut self) {
        let mut backlog = self.rings.outgoing.backlog();
        while backlog > 0 && self.rings.outgoing.needs_wakeup() {
            let outcome = kernel::kick(self.socket.as_fd());
            self.dropped += usize::from(outcome.is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY)));
            let before = std::mem::replace(&mut backlog, self.rings.outgoing.backlog());
            if backlog == before {
                break;
            }
        }
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

    /// Wait until there is something to receive, or for so long.
    fn wait(&mut self, events: PollFlags, most: Duration) -> io::Result<()> {
        let timeout = PollTimeout::try_from(most).unwrap_or(PollTimeout::ZERO);
        if poll(&mut [PollFd::new(self.socket.as_fd(), events)], timeout)? == 0 {
            // That the interface is gone is not among the events.
            let error = getsockopt(&self.socket, SocketError)?;
            if error != 0 {
                return Err(io::Error::from_raw_os_error(error));
            }
        }
        self.push();
        self.reclaim();
        Ok(())
    }
}

/// What became of so many queued frames, where so many were dropped that nobody was told of yet. Those dropped between batches had
/// been told of as sent: they count among the next ones that are, lest the sum be more than was queued.
fn settle(queued: usize, dropped: &mut usize) -> Sent {
    let failed = queued.min(*dropped);
    *dropped -= failed;
    Sent { sent: queued - failed, failed }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_queued_is_sent_or_failed_once() {
        let mut dropped = 0;
        let (mut sent, mut failed, mut queued) = (0, 0, 0);
        // A frame is dropped after its batch was told of as sent, and nothing is queued for a while.
        for (more_queued, more_dropped) in [(64, 0), (0, 1), (0, 2), (1, 0), (10, 0), (0, 0)] {
            dropped += more_dropped;
            queued += more_queued;
            let now = settle(more_queued, &mut dropped);
            (sent, failed) = (sent + now.sent, failed + now.failed);
            assert_eq!(sent + failed, queued);
        }
        assert_eq!((failed, dropped), (3, 0), "all are told of in the end");
    }
}
