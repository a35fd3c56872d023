//! Telling systemd that the service is up (`sd_notify(3)`).

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

use tracing::warn;

/// The way to systemd, opened while its socket is still in reach: a chroot may follow.
pub(super) struct Notifier {
    socket: Option<UnixDatagram>,
}

impl Notifier {
    /// Opens it, where systemd wants to know.
    pub(super) fn new() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|path| match connect(&path) {
            Ok(socket) => Some(socket),
            Err(error) => {
                warn!("cannot reach systemd at {}: {error}", path.display());
                None
            }
        });
        Self { socket }
    }

    /// Says that queries are answered.
    pub(super) fn ready(&self) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(b"READY=1")
        {
            warn!("cannot tell systemd that the service is up: {error}");
        }
    }
}

fn connect(path: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(path)?,
    };
    socket.connect_addr(&address)?;
    Ok(socket)
}
