//! The socket of a log of the system's, which may be started anew, or after us: it is looked for again when nobody takes a line.

use std::{
    io,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    time::Duration,
};

/// The way to a log that takes datagrams.
pub(super) struct LogSocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl LogSocket {
    /// One to whoever listens there when a line is sent.
    ///
    /// # Errors
    /// When the system has no socket left.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        Ok(Self { socket: UnixDatagram::unbound()?, path: path.to_owned() })
    }

    /// Looks for it. What is connected stays so in a chroot that puts the path out of reach.
    ///
    /// # Errors
    /// When nobody listens there.
    pub(super) fn connect(&self) -> io::Result<()> {
        self.socket.connect(&self.path)
    }

    /// A line that is not taken within that time is lost.
    ///
    /// # Errors
    /// When the system does not set it.
    pub(super) fn wait_at_most(&self, wait: Duration) -> io::Result<()> {
        self.socket.set_write_timeout(Some(wait))
    }

    /// Sends a line.
    ///
    /// # Errors
    /// When it is not taken.
    pub(super) fn send(&self, line: &[u8]) -> io::Result<usize> {
        let sent = self.socket.send(line);
        // One that was started anew may listen at another socket of that name; and nobody may have done when it was tried before.
        let is_gone = |kind| {
            use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotConnected};
            matches!(kind, ConnectionRefused | ConnectionReset | NotConnected | BrokenPipe)
        };
        if sent.as_ref().is_err_and(|error| is_gone(error.kind())) {
            self.connect()?;
            return self.socket.send(line);
        }
        sent
    }
}
