//! Datagrams by a socket, many with each system call.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;

use super::Late;
use super::batch::Batch;
use super::worker::{Carrier, Datagram, Sent};

/// A socket of one worker's own, and the memory for a batch of its datagrams.
pub(super) struct Udp {
    socket: Arc<UdpSocket>,
    batch: Batch,
    is_v6: bool,
}

impl Udp {
    /// Batches of up to `capacity` datagrams, of a socket that is bound to `local`. With 0.0.0.0 or :: each says which address
    /// was asked.
    pub(super) fn new(socket: Arc<UdpSocket>, local: SocketAddr, capacity: usize) -> Self {
        Self { socket, batch: Batch::new(capacity, local), is_v6: local.is_ipv6() }
    }
}

impl Carrier for Udp {
    fn is_v6(&self) -> bool {
        self.is_v6
    }

    #[inline]
    fn receive(&mut self) -> io::Result<usize> {
        self.batch.receive(self.socket.as_fd())
    }

    #[inline]
    fn datagram(&mut self, i: usize) -> Datagram<'_> {
        self.batch.datagram(i)
    }

    #[inline]
    fn queue(&mut self, i: usize, len: usize) {
        self.batch.queue(i, len);
    }

    fn way_back(&mut self, i: usize, client: SocketAddr) -> Late {
        Late::udp(Arc::clone(&self.socket), client, self.batch.control(i))
    }

    #[inline]
    fn send(&mut self) -> Sent {
        self.batch.send(self.socket.as_fd())
    }
}
