//! What the machine allows: servers that send every query back as the answer that no such name exists, and do nothing else.
//!
//! One takes datagrams one by one, as rbldnsd does, the other in batches, as ours does. A server takes at least the processor
//! time that its echo takes, so the difference is what its own work costs.

use std::{
    io,
    mem::zeroed,
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    ptr::null_mut,
};

use socket2::SockRef;

/// As many as ours takes at once.
const BATCH: usize = 64;
const ROOM: usize = 512;
const BUFFER_BYTES: usize = 4 << 20;

/// Sends back what comes to that address, until it is killed.
pub(crate) fn serve(way: &str, address: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind(address)?;
    SockRef::from(&socket).set_recv_buffer_size(BUFFER_BYTES)?;
    match way {
        "one" => one_by_one(&socket),
        "batch" => in_batches(&socket),
        _ => Err(io::Error::other(format!("no such echo: {way}"))),
    }
}

/// Makes an answer of a query: QR and AA, and the code.
fn answer(octets: &mut [u8]) {
    if let [_, _, flags, code, ..] = octets {
        *flags |= 0x84;
        *code = 3;
    }
}

fn one_by_one(socket: &UdpSocket) -> io::Result<()> {
    let mut room = [0; ROOM];
    loop {
        let (len, client) = socket.recv_from(&mut room)?;
        answer(&mut room[..len]);
        socket.send_to(&room[..len], client)?;
    }
}

fn in_batches(socket: &UdpSocket) -> io::Result<()> {
    let mut rooms = vec![[0_u8; ROOM]; BATCH];
    // SAFETY: addresses, parts and headers are integers and pointers, for all of which zero is a value.
    let (mut clients, mut parts, mut headers): (
        [libc::sockaddr_in; BATCH],
        [libc::iovec; BATCH],
        [libc::mmsghdr; BATCH],
    ) = unsafe { (zeroed(), zeroed(), zeroed()) };
    loop {
        for (((room, client), part), header) in rooms.iter_mut().zip(&mut clients).zip(&mut parts).zip(&mut headers) {
            *part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: ROOM };
            header.msg_hdr.msg_name = (&raw mut *client).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as _;
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
        }
        let fd = socket.as_raw_fd();
        // SAFETY: each header points at its own client and part, and each part at its own room, with their true sizes; all
        // live as long as this function.
        let received =
            unsafe { libc::recvmmsg(fd, headers.as_mut_ptr(), BATCH as _, libc::MSG_WAITFORONE as _, null_mut()) };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        for ((room, part), header) in rooms.iter_mut().zip(&mut parts).zip(&headers[..received]) {
            part.iov_len = (header.msg_len as usize).min(ROOM);
            answer(&mut room[..part.iov_len]);
        }
        let mut sent = 0;
        while sent < received {
            let rest = &mut headers[sent..received];
            // SAFETY: as above, and each part is as long as what was received.
            let count = unsafe { libc::sendmmsg(fd, rest.as_mut_ptr(), rest.len() as _, 0) };
            sent += usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        }
    }
}
