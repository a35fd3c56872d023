//! A reply that takes longer than a batch: it is made on another thread, or held for a while, and leaves by the socket that was
//! asked.
//!
//! Only messages that change something take so long, because they wait for a disk, and few are held. So this may allocate, and a
//! datagram's reply is sent by itself; what it must not do is keep a worker waiting.

use std::io::{self, IoSlice};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use socket2::{MsgHdr, SockAddr, SockRef};
use tokio::sync::oneshot;

/// The way back to a client. Without a reply, a datagram is met with silence and a stream goes on to its next query.
pub struct Late(Route);

enum Route {
    /// The control message, if there is one, makes the reply leave from the address that was asked.
    Udp {
        socket: Arc<UdpSocket>,
        client: SocketAddr,
        control: Box<[u8]>,
    },
    Tcp(oneshot::Sender<Vec<u8>>),
}

impl Late {
    pub(super) fn udp(socket: Arc<UdpSocket>, client: SocketAddr, control: Box<[u8]>) -> Self {
        Self(Route::Udp { socket, client, control })
    }

    pub(crate) fn tcp() -> (Self, oneshot::Receiver<Vec<u8>>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Route::Tcp(sender)), receiver)
    }

    /// Sends the reply, from whatever thread. A client that is gone by then is not missed.
    ///
    /// # Errors
    /// When the kernel takes no datagram, as a worker's own sending may find.
    pub fn send(self, reply: Vec<u8>) -> io::Result<()> {
        match self.0 {
            Route::Udp { socket, client, control } => {
                let client = SockAddr::from(client);
                let octets = [IoSlice::new(&reply)];
                let message = MsgHdr::new().with_addr(&client).with_buffers(&octets);
                match &*control {
                    [] => SockRef::from(&*socket).sendmsg(&message, 0)?,
                    control => SockRef::from(&*socket).sendmsg(&message.with_control(control), 0)?,
                };
            }
            Route::Tcp(sender) => drop(sender.send(reply)),
        }
        Ok(())
    }
}
