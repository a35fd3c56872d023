//! Ethernet frames with UDP in them: whom a request came from and where it stands, and the headers of the frame that answers it.
//!
//! Pure: octets in, octets out. What is read has passed the filter (`filter.rs`), so it is whole, unfragmented UDP to an address
//! at this station and of ours; what is still checked is what the kernel would check before it hands a datagram to a socket, as
//! far as a frame by itself tells: routes are not asked.
//!
//! A reply goes back to the station that the request came from, which knows the way to the client as well as we do.

#![forbid(unsafe_code)]

use std::net::IpAddr;
use std::ops::Range;

use crate::net::peer::Peer;

/// Octets of an Ethernet header: two addresses and what it carries.
pub(super) const ETHERNET_LEN: usize = 14;
/// Octets of an IPv4 header without options (RFC 791, section 3.1); those with are left to the kernel.
const V4_LEN: usize = 20;
/// Octets of an IPv6 header (RFC 8200, section 3); frames with further headers are left to the kernel.
const V6_LEN: usize = 40;
/// Octets of a UDP header (RFC 768).
const UDP_LEN: usize = 8;

/// What precedes a datagram's octets with IPv4.
pub(super) const V4_HEADERS_LEN: usize = ETHERNET_LEN + V4_LEN + UDP_LEN;
/// What precedes a datagram's octets with IPv6.
pub(super) const V6_HEADERS_LEN: usize = ETHERNET_LEN + V6_LEN + UDP_LEN;

/// Ethernet's number of IPv4.
pub(super) const ETHERTYPE_V4: [u8; 2] = [0x08, 0x00];
/// Ethernet's number of IPv6.
pub(super) const ETHERTYPE_V6: [u8; 2] = [0x86, 0xdd];
/// IP's number of UDP.
pub(super) const PROTOCOL_UDP: u8 = 17;
/// The first octet of an IPv4 header without options.
pub(super) const V4_PLAIN: u8 = 0x45;
/// The upper half of the first octet of an IPv6 header (RFC 8200, section 3); the traffic class has the lower.
pub(super) const V6_VERSION: u8 = 0x60;

/// Routers on the way of a reply at most (RFC 1122, section 3.2.1.7).
const HOP_LIMIT: u8 = 64;

/// Whom a request came from, and where in its frame it stands.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) client: Peer,
    pub(super) place: Range<usize>,
}

/// Octets before a reply to this frame.
#[inline]
pub(super) fn headers_len(request: &[u8]) -> usize {
    if request.get(12..14) == Some(&ETHERTYPE_V6) { V6_HEADERS_LEN } else { V4_HEADERS_LEN }
}

/// Reads a frame; `None` if the kernel would hand nobody what is in it: its lengths or its checksums do not fit, or it comes
/// from where no reply can go.
#[inline]
pub(super) fn read(frame: &[u8]) -> Option<Request> {
    let (client, udp, ip_end) = if headers_len(frame) == V4_HEADERS_LEN {
        let header: &[u8; V4_LEN] = frame.get(ETHERNET_LEN..)?.first_chunk()?;
        let [_, _, l1, l2, _, _, _, _, _, _, _, _, s1, s2, s3, s4, ..] = *header;
        let (source, udp) = ([s1, s2, s3, s4], ETHERNET_LEN + V4_LEN);
        // 0/8, 127/8, and 224/3: many, reserved, all (RFC 1122, section 3.2.1.3; RFC 6890).
        if s1 == 0 || s1 == 127 || s1 >= 224 || finished(sum(0, header)) != [0; 2] {
            return None;
        }
        let port = *frame.get(udp..)?.first_chunk()?;
        (Peer::from_v4(source, port), udp, ETHERNET_LEN + usize::from(u16::from_be_bytes([l1, l2])))
    } else {
        let header: &[u8; V6_LEN] = frame.get(ETHERNET_LEN..)?.first_chunk()?;
        let source = *header[8..].first_chunk::<16>()?;
        let udp = ETHERNET_LEN + V6_LEN;
        // ::/96 (nobody, the loopback, what once was IPv4), ::ffff:0:0/96, ff00::/8 (RFC 4291, section 2).
        let is_nobodys = source[..10] == [0; 10] && matches!(source[10..12], [0, 0] | [0xff, 0xff]);
        if is_nobodys || source[0] == 0xff || header[0] & 0xf0 != V6_VERSION {
            return None;
        }
        let port = *frame.get(udp..)?.first_chunk()?;
        (Peer::from_v6(source, port), udp, udp + usize::from(u16::from_be_bytes([header[4], header[5]])))
    };
    let [_, _, _, _, l1, l2, _, _] = *frame.get(udp..)?.first_chunk::<UDP_LEN>()?;
    let end = udp + usize::from(u16::from_be_bytes([l1, l2]));
    let start = udp + UDP_LEN;
    let is_whole = (start..=ip_end).contains(&end) && ip_end <= frame.len() && is_undamaged(frame.get(..end)?, udp);
    is_whole.then_some(Request { client, place: start..end })
}

/// Whether a datagram that ends with its frame has the checksum it says. IPv4 may do without (RFC 768), IPv6 may not (RFC 8200,
/// section 8.1). Between virtual interfaces only the part of the addresses is ever computed: what does not leave the machine is
/// not damaged on its way.
#[inline]
fn is_undamaged(frame: &[u8], udp: usize) -> bool {
    let Some(&[_, _, _, _, l1, l2, c1, c2]) = frame.get(udp..).and_then(|udp| udp.first_chunk()) else { return false };
    let is_v4 = udp == ETHERNET_LEN + V4_LEN;
    let addresses = if is_v4 { udp - 8 } else { udp - 32 };
    let pseudo = sum(0, &[0, PROTOCOL_UDP, l1, l2]);
    match [c1, c2] {
        [0, 0] => is_v4,
        said => {
            finished(sum(pseudo, &frame[addresses..])) == [0; 2]
                || finished(sum(pseudo, &frame[addresses..udp])) == said.map(|octet| !octet)
        }
    }
}

/// The address and port of ours that a frame was sent to.
pub(super) fn local(frame: &[u8]) -> Option<(IpAddr, u16)> {
    let udp = headers_len(frame) - UDP_LEN;
    let port = u16::from_be_bytes(*frame.get(udp + 2..)?.first_chunk()?);
    let address = if udp == ETHERNET_LEN + V4_LEN {
        IpAddr::from(*frame.get(udp - 4..)?.first_chunk::<4>()?)
    } else {
        IpAddr::from(*frame.get(udp - 16..)?.first_chunk::<16>()?)
    };
    Some((address, port))
}

/// Writes the headers before a reply of `len` octets that stands behind the room for them, in answer to a frame that
/// [`read`] took. Returns the octets of the frame; `None` if there is no room, or the reply is too long for UDP.
#[inline]
pub(super) fn seal(request: &[u8], reply: &mut [u8], len: usize) -> Option<usize> {
    let headers_len = headers_len(request);
    let (asked, end) = (request.first_chunk::<V4_HEADERS_LEN>()?, headers_len + len);
    let reply = reply.get_mut(..end)?;
    let udp_len = u16::try_from(UDP_LEN + len).ok()?.to_be_bytes();
    reply[..6].copy_from_slice(&asked[6..12]);
    reply[6..12].copy_from_slice(&asked[..6]);
    reply[12..14].copy_from_slice(&asked[12..14]);
    let udp = headers_len - UDP_LEN;
    let addresses = if headers_len == V4_HEADERS_LEN {
        let total_len = u16::try_from(V4_LEN + UDP_LEN + len).ok()?.to_be_bytes();
        // Not to be taken apart on its way (RFC 9715, section 3.1), so that it needs no number (RFC 6864, section 4.1).
        let header = [V4_PLAIN, 0, total_len[0], total_len[1], 0, 0, 0x40, 0, HOP_LIMIT, PROTOCOL_UDP, 0, 0];
        reply[14..26].copy_from_slice(&header);
        reply[26..30].copy_from_slice(&asked[30..34]);
        reply[30..34].copy_from_slice(&asked[26..30]);
        let checksum = finished(sum(0, &reply[14..34]));
        reply[24..26].copy_from_slice(&checksum);
        26
    } else {
        let asked = request.first_chunk::<V6_HEADERS_LEN>()?;
        let header = [V6_VERSION, 0, 0, 0, udp_len[0], udp_len[1], PROTOCOL_UDP, HOP_LIMIT];
        reply[14..22].copy_from_slice(&header);
        reply[22..38].copy_from_slice(&asked[38..54]);
        reply[38..54].copy_from_slice(&asked[22..38]);
        22
    };
    reply[udp..udp + 2].copy_from_slice(&request[udp + 2..udp + 4]);
    reply[udp + 2..udp + 4].copy_from_slice(&request[udp..udp + 2]);
    reply[udp + 4..udp + 6].copy_from_slice(&udp_len);
    reply[udp + 6..udp + 8].copy_from_slice(&[0; 2]);
    // RFC 768: addresses, protocol and length once more, then the datagram; 0 would mean that there is none.
    let pseudo = sum(0, &[0, PROTOCOL_UDP, udp_len[0], udp_len[1]]);
    let checksum = match finished(sum(pseudo, &reply[addresses..])) {
        [0, 0] => [0xff; 2],
        checksum => checksum,
    };
    reply[udp + 6..udp + 8].copy_from_slice(&checksum);
    Some(end)
}

/// Adds octets to a sum as of RFC 1071, in this machine's order of octets, which its section 2 (B) shows not to matter.
#[inline]
fn sum(before: u64, octets: &[u8]) -> u64 {
    let (words, rest) = octets.as_chunks::<4>();
    let all = words.iter().map(|&word| u64::from(u32::from_ne_bytes(word))).sum::<u64>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    before + all + u64::from(u32::from_ne_bytes(last))
}

/// The checksum of what was added up.
#[inline]
fn finished(mut sum: u64) -> [u8; 2] {
    // Of at most 2^16 words of 32 bits: two rounds leave 33 bits, then 17, and the last has no carry.
    sum = (sum >> 32) + (sum & 0xffff_ffff);
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    (!(sum as u16)).to_ne_bytes()
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::SocketAddr;

    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    /// A frame with a datagram, as a client sends it.
    pub(in super::super) fn frame(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().expect("from"), to.parse().expect("to"));
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        let udp_len = (UDP_LEN + payload.len()) as u16;
        match (from, to) {
            (SocketAddr::V4(from), SocketAddr::V4(to)) => {
                frame.extend(ETHERTYPE_V4);
                frame.extend([V4_PLAIN, 0]);
                frame.extend((V4_LEN as u16 + udp_len).to_be_bytes());
                frame.extend([0x12, 0x34, 0, 0, 7, PROTOCOL_UDP, 0, 0]);
                frame.extend(from.ip().octets());
                frame.extend(to.ip().octets());
            }
            (SocketAddr::V6(from), SocketAddr::V6(to)) => {
                frame.extend(ETHERTYPE_V6);
                frame.extend([V6_VERSION, 0, 0, 0]);
                frame.extend(udp_len.to_be_bytes());
                frame.extend([PROTOCOL_UDP, 7]);
                frame.extend(from.ip().octets());
                frame.extend(to.ip().octets());
            }
            _ => panic!("two families"),
        }
        frame.extend(from.port().to_be_bytes());
        frame.extend(to.port().to_be_bytes());
        frame.extend(udp_len.to_be_bytes());
        frame.extend([0; 2]);
        frame.extend(payload);
        add_checksums(&mut frame);
        frame
    }

    /// Makes a frame's checksums right, in other words than the code's.
    fn add_checksums(frame: &mut [u8]) {
        let udp = headers_len(frame) - UDP_LEN;
        let is_v4 = udp == ETHERNET_LEN + V4_LEN;
        if is_v4 {
            frame[24..26].fill(0);
            let checksum = !added_up(&frame[14..34]);
            frame[24..26].copy_from_slice(&checksum.to_be_bytes());
        }
        frame[udp + 6..udp + 8].fill(0);
        let checksum = !added_up(&checked(frame));
        let checksum = if checksum == 0 { 0xffff } else { checksum };
        frame[udp + 6..udp + 8].copy_from_slice(&checksum.to_be_bytes());
    }

    /// What a datagram's checksum is of.
    fn checked(frame: &[u8]) -> Vec<u8> {
        let udp = headers_len(frame) - UDP_LEN;
        let addresses = if udp == ETHERNET_LEN + V4_LEN { udp - 8 } else { udp - 32 };
        [&[0, PROTOCOL_UDP], &frame[udp + 4..udp + 6], &frame[addresses..]].concat()
    }

    const PAIRS: [(&str, &str); 2] =
        [("192.0.2.7:4321", "198.51.100.1:53"), ("[2001:db8::7]:4321", "[2001:db8:1::1]:53")];

    /// The sum that a receiver makes: right if all ones.
    fn added_up(octets: &[u8]) -> u16 {
        let words = octets.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
        let all = words.sum::<u32>();
        let once = (all >> 16) + (all & 0xffff);
        ((once >> 16) + (once & 0xffff)) as u16
    }

    #[test]
    fn a_request_is_found_and_its_reply_goes_back() {
        for (from, to) in PAIRS {
            for len in [0, 12, 13, 14, 15, 300] {
                let asked: Vec<u8> = (0..len).map(|n| n as u8).collect();
                let mut frame = frame(from, to, &asked);
                frame.extend([0xee; 6]); // as short frames are padded
                let request = read(&frame).expect("a request");
                assert_eq!(request.client.socket_addr(), from.parse().expect("an address"));
                assert_eq!(frame[request.place], asked);
                assert_eq!(local(&frame).map(SocketAddr::from), to.parse().ok());
                let mut reply = vec![0xaa; 2048];
                let headers = headers_len(&frame);
                reply[headers..headers + asked.len()].copy_from_slice(&asked);
                let end = seal(&frame, &mut reply, asked.len()).expect("room");
                let reply = &reply[..end];
                assert_eq!((&reply[..6], &reply[6..12]), (&frame[6..12], &frame[..6]));
                let back = read(reply).expect("a datagram");
                assert_eq!(back.client.socket_addr(), to.parse().expect("an address"));
                assert_eq!(local(reply).map(SocketAddr::from), from.parse().ok());
                assert_eq!(reply[back.place], asked);
                if headers == V4_HEADERS_LEN {
                    assert_eq!(added_up(&reply[14..34]), 0xffff);
                }
                assert_eq!(added_up(&checked(reply)), 0xffff, "{to} {len}");
            }
        }
    }

    #[test]
    fn a_checksum_of_zero_is_sent_as_all_ones() {
        for (from, to) in PAIRS {
            let frame = frame(from, to, &[0; 12]);
            let zeros = (0..=u16::MAX).filter(|&number| {
                let mut reply = [0; 100];
                let headers = headers_len(&frame);
                reply[headers..headers + 2].copy_from_slice(&number.to_be_bytes());
                seal(&frame, &mut reply, 2).expect("room");
                assert_ne!(reply[headers - 2..headers], [0; 2]);
                reply[headers - 2..headers] == [0xff; 2]
            });
            assert_eq!(zeros.count(), 1);
        }
    }

    #[test]
    fn what_no_socket_would_get_is_no_request() {
        let nowhere = ["0.0.0.1:53", "127.0.0.1:53", "224.0.0.1:53", "255.255.255.255:53"];
        for from in nowhere {
            assert!(read(&frame(from, PAIRS[0].1, &[0; 12])).is_none(), "{from}");
        }
        for from in ["[::]:53", "[::1]:53", "[::192.0.2.1]:53", "[ff02::1]:53", "[::ffff:192.0.2.1]:53"] {
            assert!(read(&frame(from, PAIRS[1].1, &[0; 12])).is_none(), "{from}");
        }
        for (from, to) in PAIRS {
            let whole = frame(from, to, &[0; 12]);
            for len in 0..whole.len() {
                assert!(read(&whole[..len]).is_none(), "cut to {len}");
            }
            // Lengths that claim more or less than there is.
            let at = headers_len(&whole) - 4;
            for udp_len in [0, 7, 21, 0xffff_u16] {
                let mut wrong = whole.clone();
                wrong[at..at + 2].copy_from_slice(&udp_len.to_be_bytes());
                wrong[at + 2..at + 4].fill(0);
                assert!(read(&wrong).is_none(), "{udp_len}");
            }
        }
    }

    #[test]
    fn what_was_damaged_on_its_way_is_no_request() {
        for (from, to) in PAIRS {
            let whole = frame(from, to, &[1; 13]);
            let checksum = headers_len(&whole) - 2;
            for at in ETHERNET_LEN..whole.len() {
                // Class, flow and hop limit of IPv6 have no checksum; the next header is the filter's.
                if headers_len(&whole) == V6_HEADERS_LEN && (15..22).contains(&at) {
                    continue;
                }
                let mut damaged = whole.clone();
                damaged[at] ^= 0x10;
                assert!(read(&damaged).is_none(), "{to} octet {at}");
            }
            let mut without = whole.clone();
            without[checksum..checksum + 2].fill(0);
            assert_eq!(read(&without).is_some(), headers_len(&whole) == V4_HEADERS_LEN);
            // Of the addresses alone, as between virtual interfaces.
            let mut partial = whole.clone();
            let end = partial.len();
            let sum = added_up(&checked(&whole)[..checked(&whole).len() - (end - checksum + 6)]);
            partial[checksum..checksum + 2].copy_from_slice(&sum.to_be_bytes());
            assert!(read(&partial).is_some(), "{to}");
        }
    }

    #[test]
    fn whatever_arrives_is_read_or_not() {
        let mut random = SmallRng::seed_from_u64(7);
        let mut read_count = 0;
        for round in 0..200_000 {
            let (from, to) = PAIRS[round % 2];
            let mut octets = frame(from, to, &[3; 40]);
            for _ in 0..random.random_range(0..4) {
                let at = random.random_range(0..octets.len());
                octets[at] = random.random();
            }
            octets.truncate(random.random_range(0..=octets.len() * 2).min(octets.len()));
            let mut reply = [0; 200];
            if let Some(request) = read(&octets) {
                read_count += 1;
                assert!(octets.get(request.place).is_some());
                assert!(seal(&octets, &mut reply, 40).is_some());
            }
            let _ = (local(&octets), seal(&octets, &mut reply, 40));
        }
        assert!(read_count > 10_000, "{read_count} were requests");
    }

    #[test]
    fn a_reply_without_room_is_none() {
        for (from, to) in PAIRS {
            let frame = frame(from, to, &[0; 12]);
            let headers = headers_len(&frame);
            assert!(seal(&frame, &mut vec![0; headers + 11], 12).is_none());
            assert_eq!(seal(&frame, &mut vec![0; headers + 12], 12), Some(headers + 12));
            assert!(seal(&frame, &mut vec![0; 1 << 17], 65_536 - 8).is_none());
        }
    }
}
