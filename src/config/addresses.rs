//! Addresses to listen on: what a wildcard stands for, and which are in each other's way.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Config, DatagramSocket, Odd};

/// Addresses to answer on as they are bound. A wildcard of IPv6 is one of IPv4 too, as where one socket takes both; ours are two. Where
/// an address of IPv4 with the same port stands beside it, that is what is to be had of IPv4.
pub fn with_ipv4(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let has_ipv4 = |port| addresses.iter().any(|address| address.is_ipv4() && address.port() == port);
    let is_both = |address: &SocketAddr| address.ip() == Ipv6Addr::UNSPECIFIED && !has_ipv4(address.port());
    let of_both = |address: SocketAddr| {
        let other = is_both(&address).then(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())));
        [address].into_iter().chain(other)
    };
    addresses.iter().copied().flat_map(of_both).collect()
}

/// Whether two sockets cannot be bound to these at once. Port 0 is another one each time.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (one == other || one.is_ipv4() == other.is_ipv4() && is_any)
}

/// Which address of `listen` is in the way of a socket that takes IPv4 as well where it is one of IPv6.
fn taken_by(listen: &[SocketAddr], address: SocketAddr) -> Option<SocketAddr> {
    let mapped = SocketAddr::new(address.ip().to_canonical(), address.port());
    let wildcard = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
    let is_both = address.ip() == Ipv6Addr::UNSPECIFIED;
    listen.iter().copied().find(|&own| collide(own, mapped) || is_both && collide(own, wildcard))
}

/// Addresses that cannot all be bound, with the keys that name them.
pub(super) fn collisions(config: &Config) -> Odd {
    let listen = &config.listen;
    let covered = |address: &SocketAddr| {
        let is_covered = |other: &&SocketAddr| *other != address && collide(**other, *address);
        let other = listen.iter().filter(|other| other.ip().is_unspecified()).find(is_covered)?;
        Some(format!("{address}: another address of this list covers it: {other}: leave one of them out"))
    };
    let mut collisions: Odd = listen.iter().filter_map(covered).map(|text| (vec!["listen".to_owned()], text)).collect();
    collisions.dedup();
    if let Some(http) = config.http
        && let Some(own) = taken_by(listen, http)
    {
        let text =
            format!("cannot listen for HTTP on {http}: `listen` has it, as {own}: choose another address, or false");
        collisions.push((vec!["http".to_owned()], text));
    }
    if let Some(DatagramSocket::Udp(address)) = config.doors.datagrams.as_ref().map(|datagrams| &datagrams.socket)
        && let Some(own) = taken_by(listen, *address)
    {
        let why = format!("`listen` of the server has it, as {own}: choose another address");
        let keys = ["datagrams", "listen"].map(str::to_owned).into();
        collisions.push((keys, format!("cannot take datagrams at {address}: {why}")));
    }
    collisions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_of_ipv6_has_one_of_ipv4_beside_it() {
        for (listen, expected) in [
            ("[::]:53", "[::]:53 0.0.0.0:53"),
            ("0.0.0.0:53 [::]:53", "0.0.0.0:53 [::]:53"),
            ("[::]:53 0.0.0.0:53", "[::]:53 0.0.0.0:53"),
            ("[::]:53 192.0.2.1:53", "[::]:53 192.0.2.1:53"),
            ("[::]:53 192.0.2.1:54", "[::]:53 0.0.0.0:53 192.0.2.1:54"),
            ("[::]:53 [::]:54", "[::]:53 0.0.0.0:53 [::]:54 0.0.0.0:54"),
            ("[::1]:53 127.0.0.1:53", "[::1]:53 127.0.0.1:53"),
        ] {
            let listen: Vec<_> = listen.split(' ').map(|text| text.parse().expect("an address")).collect();
            let listen: Vec<_> = with_ipv4(&listen).iter().map(ToString::to_string).collect();
            assert_eq!(listen.join(" "), expected);
        }
    }

    #[test]
    fn sockets_are_in_each_others_way() {
        for (listen, other, expected) in [
            ("127.0.0.1:53", "127.0.0.1:53", true),
            ("127.0.0.1:53", "127.0.0.1:54", false),
            ("127.0.0.1:53", "127.0.0.2:53", false),
            ("0.0.0.0:53", "127.0.0.1:53", true),
            ("127.0.0.1:53", "0.0.0.0:53", true),
            ("127.0.0.1:53", "[::]:53", true),
            ("127.0.0.1:53", "[::ffff:127.0.0.1]:53", true),
            ("[::]:53", "127.0.0.1:53", false),
            ("[::]:53", "[::1]:53", true),
            ("[::1]:53", "[::]:53", true),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            let [own, address] = [listen, other].map(|text| text.parse().expect("an address"));
            assert_eq!(taken_by(&[own], address).is_some(), expected, "{listen} {other}");
        }
    }
}
