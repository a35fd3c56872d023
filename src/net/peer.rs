//! Who sent a request: a socket address as the kernel lays it out, read where it stands.
//!
//! Most that is asked of it is asked of each datagram and takes a load or two; what takes more is for the few who want to know
//! more. On its way back it goes as it came.

use std::fmt;
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use libc::{c_int, socklen_t};

/// Octets of the larger of the two socket addresses, `sockaddr_in6`.
const PEER_LEN: usize = size_of::<libc::sockaddr_in6>();

/// A socket address in the layout of `sockaddr_in` or `sockaddr_in6`: family, port, then address, or flow, address and scope.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct Peer([u8; PEER_LEN]);

impl Peer {
    /// The address.
    #[inline]
    pub fn ip(&self) -> IpAddr {
        if self.is_v6() { self.v6().into() } else { self.v4().into() }
    }

    /// The port.
    #[inline]
    pub fn port(&self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }

    /// Whether its address is an IPv6 address.
    #[inline]
    pub fn is_v6(&self) -> bool {
        self.family() == libc::AF_INET6
    }

    /// Address and port, and the scope of a link-local address.
    pub fn socket_addr(&self) -> SocketAddr {
        if !self.is_v6() {
            return SocketAddrV4::new(self.v4(), self.port()).into();
        }
        let [.., s1, s2, s3, s4] = self.0;
        SocketAddrV6::new(self.v6(), self.port(), 0, u32::from_ne_bytes([s1, s2, s3, s4])).into()
    }

    /// Whether it is of a family that is ours, and has a port to which a reply can go.
    #[inline]
    pub(super) fn takes_replies(&self) -> bool {
        matches!(self.family(), libc::AF_INET | libc::AF_INET6) && self.0[2..4] != [0; 2]
    }

    /// Octets, as the kernel counts them, of whoever sends to a socket with that address.
    pub(super) const fn len_with(local: &SocketAddr) -> socklen_t {
        let len = if local.is_ipv6() { PEER_LEN } else { size_of::<libc::sockaddr_in>() };
        len as socklen_t
    }

    /// An IPv4 address and a port, in network order.
    #[inline]
    pub(super) fn from_v4(address: [u8; 4], port: [u8; 2]) -> Self {
        let mut peer = Self::new(libc::AF_INET, port);
        peer.0[4..8].copy_from_slice(&address);
        peer
    }

    /// An IPv6 address and a port, in network order.
    #[inline]
    pub(super) fn from_v6(address: [u8; 16], port: [u8; 2]) -> Self {
        let mut peer = Self::new(libc::AF_INET6, port);
        peer.0[8..24].copy_from_slice(&address);
        peer
    }

    #[inline]
    fn new(family: c_int, port: [u8; 2]) -> Self {
        let mut octets = [0; PEER_LEN];
        octets[..2].copy_from_slice(&(family as u16).to_ne_bytes());
        octets[2..4].copy_from_slice(&port);
        Self(octets)
    }

    #[inline]
    fn family(&self) -> c_int {
        u16::from_ne_bytes([self.0[0], self.0[1]]).into()
    }

    #[inline]
    fn v4(&self) -> Ipv4Addr {
        let [_, _, _, _, a1, a2, a3, a4, ..] = self.0;
        Ipv4Addr::new(a1, a2, a3, a4)
    }

    #[inline]
    fn v6(&self) -> Ipv6Addr {
        self.0[8..].first_chunk::<16>().copied().unwrap_or_default().into()
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket_addr().fmt(formatter)
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        let port = address.port().to_be_bytes();
        match address {
            SocketAddr::V4(address) => Self::from_v4(address.ip().octets(), port),
            SocketAddr::V6(address) => {
                let mut peer = Self::from_v6(address.ip().octets(), port);
                peer.0[24..].copy_from_slice(&address.scope_id().to_ne_bytes());
                peer
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        for (text, is_v6) in [("192.0.2.7:4321", false), ("[2001:db8::7]:53", true), ("[fe80::1%3]:65535", true)] {
            let address: SocketAddr = text.parse().expect("an address");
            let peer = Peer::from(address);
            assert_eq!((peer.socket_addr(), peer.ip(), peer.port()), (address, address.ip(), address.port()));
            assert_eq!((peer.is_v6(), peer.takes_replies()), (is_v6, true));
        }
    }

    #[test]
    fn port_zero_and_other_families_take_no_replies() {
        assert!(!Peer::from(SocketAddr::from(([192, 0, 2, 7], 0))).takes_replies());
        let mut octets = [0xff; PEER_LEN];
        octets[..2].copy_from_slice(&(libc::AF_UNIX as u16).to_ne_bytes());
        assert!(!Peer(octets).takes_replies());
    }
}
