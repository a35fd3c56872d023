//! The program that the kernel runs on each frame of an interface: requests to our addresses go to us, all else goes its way.
//!
//! A frame is ours if it is sent to this station and is UDP over IPv4 or IPv6 to an address and port that we listen on, in one
//! piece, without options, extension headers or VLAN tag, and no longer than the room for it. Whatever is otherwise takes the
//! kernel's way and, if it was for us, arrives at an ordinary socket: long requests, fragments, TCP, and all that comes to an
//! address that is not named. So do clients on the link itself (`fe80::/10`), whose replies need to say which link.
//!
//! The instructions are those of RFC 9669, written here one by one: thirty of them need no compiler.

#![forbid(unsafe_code)]
#![allow(clippy::cast_possible_wrap, reason = "they are offsets within a frame")]

use std::net::{IpAddr, SocketAddr};

use super::frame::{ETHERTYPE_V4, ETHERTYPE_V6, PROTOCOL_UDP, V4_HEADERS_LEN, V4_PLAIN, V6_HEADERS_LEN, V6_VERSION};

/// What the program ends with where a frame goes on its way (`XDP_PASS`).
const PASS: i32 = 2;
/// The kernel's function that hands a frame to the socket that a map has for it (`bpf_redirect_map`).
const REDIRECT_MAP: i32 = 51;
/// Says that an immediate value is the descriptor of a map (`BPF_PSEUDO_MAP_FD`).
const MAP_DESCRIPTOR: u8 = 1;

// Operations, as RFC 9669 lays them out: sections 3 to 5.
const LOAD_8: u8 = 0x71;
const LOAD_16: u8 = 0x69;
const LOAD_32: u8 = 0x61;
const LOAD_IMMEDIATE_64: u8 = 0x18;
const MOVE: u8 = 0xbf;
const MOVE_IMMEDIATE: u8 = 0xb7;
const ADD_IMMEDIATE: u8 = 0x07;
const AND_IMMEDIATE: u8 = 0x57;
const JUMP: u8 = 0x05;
const JUMP_IF_GREATER: u8 = 0x2d;
/// Of 32 bits, lest the value be taken for a negative one of 64.
const JUMP_UNLESS_EQUAL: u8 = 0x56;
const JUMP_IF_EQUAL: u8 = 0x16;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

// Registers: what a function returns, its first three arguments, and two that are its to spoil.
const RESULT: u8 = 0;
const FIRST: u8 = 1;
const DATA: u8 = 2;
const DATA_END: u8 = 3;
const QUEUE: u8 = 4;
const VALUE: u8 = 5;

/// A place in the program that is jumped to before it is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    /// Where a frame goes on its way.
    Pass,
    /// Where it is taken.
    Take,
    /// The IPv6 part.
    V6,
    /// The comparison with the address after this one.
    Next(usize),
    /// The same among those that nobody else sends from.
    NotFrom(usize),
}

/// One instruction, 8 octets as the kernel reads them.
pub(super) type Instruction = [u8; 8];

/// Instructions, jumps whose ends are not yet known, and places that are.
#[derive(Default)]
struct Assembler {
    instructions: Vec<Instruction>,
    jumps: Vec<(usize, Label)>,
    places: Vec<(Label, usize)>,
}

impl Assembler {
    fn put(&mut self, operation: u8, target: u8, source: u8, offset: i16, immediate: i32) {
        let registers = if cfg!(target_endian = "little") { source << 4 | target } else { target << 4 | source };
        let ([o1, o2], [i1, i2, i3, i4]) = (offset.to_ne_bytes(), immediate.to_ne_bytes());
        self.instructions.push([operation, registers, o1, o2, i1, i2, i3, i4]);
    }

    fn jump(&mut self, operation: u8, target: u8, source: u8, immediate: i32, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.put(operation, target, source, 0, immediate);
    }

    fn place(&mut self, label: Label) {
        self.places.push((label, self.instructions.len()));
    }

    /// Loads from the frame and passes it on unless the value is this one.
    fn require(&mut self, load: u8, at: usize, mask: Option<i32>, value: i32) {
        self.put(load, VALUE, DATA, at as i16, 0);
        if let Some(mask) = mask {
            self.put(AND_IMMEDIATE, VALUE, 0, 0, mask);
        }
        self.jump(JUMP_UNLESS_EQUAL, VALUE, 0, value, Label::Pass);
    }

    /// Passes on a frame of fewer octets.
    fn require_len(&mut self, len: usize) {
        self.put(MOVE, VALUE, DATA, 0, 0);
        self.put(ADD_IMMEDIATE, VALUE, 0, 0, len as i32);
        self.jump(JUMP_IF_GREATER, VALUE, DATA_END, 0, Label::Pass);
    }

    /// Takes a frame to one of these addresses, which stand in it before the UDP header; passes on any other.
    fn choose<'a>(&mut self, addresses: impl Iterator<Item = (usize, &'a SocketAddr)>, udp: usize) {
        for (number, address) in addresses {
            let octets = octets(&address.ip());
            let begin = udp - octets.len();
            for (at, word) in (begin..).step_by(4).zip(octets.as_chunks::<4>().0) {
                self.put(LOAD_32, VALUE, DATA, at as i16, 0);
                self.jump(JUMP_UNLESS_EQUAL, VALUE, 0, i32::from_ne_bytes(*word), Label::Next(number));
            }
            self.put(LOAD_16, VALUE, DATA, udp as i16 + 2, 0);
            self.jump(JUMP_IF_EQUAL, VALUE, 0, half(address.port().to_be_bytes()), Label::Take);
            self.place(Label::Next(number));
        }
        self.jump(JUMP, 0, 0, 0, Label::Pass);
    }

    /// Passes on a frame that claims to come from one of these addresses, which ends in it where that of its destination begins.
    fn leave<'a>(&mut self, sources: impl Iterator<Item = (usize, &'a IpAddr)>, end: usize) {
        for (number, address) in sources {
            let octets = octets(address);
            let begin = end - octets.len();
            let words = octets.as_chunks::<4>().0;
            for (at, word) in (begin..).step_by(4).zip(words).take(words.len() - 1) {
                self.put(LOAD_32, VALUE, DATA, at as i16, 0);
                self.jump(JUMP_UNLESS_EQUAL, VALUE, 0, i32::from_ne_bytes(*word), Label::NotFrom(number));
            }
            self.put(LOAD_32, VALUE, DATA, end as i16 - 4, 0);
            let last = words.last().copied().unwrap_or_default();
            self.jump(JUMP_IF_EQUAL, VALUE, 0, i32::from_ne_bytes(last), Label::Pass);
            self.place(Label::NotFrom(number));
        }
    }

    /// The finished program, or `None` if it is too long for a jump.
    fn finish(mut self) -> Option<Vec<Instruction>> {
        for (from, label) in self.jumps {
            let &(_, to) = self.places.iter().find(|(place, _)| *place == label)?;
            let offset = i16::try_from(to - from - 1).ok()?.to_ne_bytes();
            self.instructions[from][2..4].copy_from_slice(&offset);
        }
        Some(self.instructions)
    }
}

fn octets(address: &IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Two octets of a frame, as a load of 16 bits has them.
fn half(octets: [u8; 2]) -> i32 {
    u16::from_ne_bytes(octets).into()
}

/// The program for these addresses at a station, whose sockets are in a map by the number of the interface's queue. Nobody else
/// sends from `sources`: the machine's own addresses, and those of whole networks. `None` if the addresses are too many.
pub(super) fn program(
    station: [u8; 6],
    addresses: &[SocketAddr],
    sources: &[IpAddr],
    map: i32,
    frame_max_len: usize,
) -> Option<Vec<Instruction>> {
    let mut code = Assembler::default();
    // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index.
    code.put(LOAD_32, QUEUE, FIRST, 16, 0);
    code.put(LOAD_32, DATA, FIRST, 0, 0);
    code.put(LOAD_32, DATA_END, FIRST, 4, 0);
    code.put(MOVE, VALUE, DATA, 0, 0);
    code.put(ADD_IMMEDIATE, VALUE, 0, 0, frame_max_len as i32);
    code.jump(JUMP_IF_GREATER, DATA_END, VALUE, 0, Label::Pass);
    code.require_len(V4_HEADERS_LEN);
    // Others' frames arrive where an interface listens to all, or a switch does not know where they are.
    let [s1, s2, s3, s4, s5, s6] = station;
    code.require(LOAD_32, 0, None, i32::from_ne_bytes([s1, s2, s3, s4]));
    code.require(LOAD_16, 4, None, half([s5, s6]));
    code.put(LOAD_16, VALUE, DATA, 12, 0);
    code.jump(JUMP_IF_EQUAL, VALUE, 0, half(ETHERTYPE_V6), Label::V6);
    code.jump(JUMP_UNLESS_EQUAL, VALUE, 0, half(ETHERTYPE_V4), Label::Pass);

    code.require(LOAD_8, 14, None, V4_PLAIN.into());
    // Neither a fragment's offset nor that more follow (RFC 791, section 3.1).
    code.require(LOAD_16, 20, Some(half([0x3f, 0xff])), 0);
    code.require(LOAD_8, 23, None, PROTOCOL_UDP.into());
    code.leave(sources.iter().enumerate().filter(|(_, address)| address.is_ipv4()), V4_HEADERS_LEN - 12);
    code.choose(addresses.iter().enumerate().filter(|(_, address)| address.is_ipv4()), V4_HEADERS_LEN - 8);

    code.place(Label::V6);
    code.require_len(V6_HEADERS_LEN);
    code.require(LOAD_8, 14, Some(0xf0), V6_VERSION.into());
    code.require(LOAD_8, 20, None, PROTOCOL_UDP.into());
    code.put(LOAD_16, VALUE, DATA, 22, 0);
    code.put(AND_IMMEDIATE, VALUE, 0, 0, half([0xff, 0xc0]));
    code.jump(JUMP_IF_EQUAL, VALUE, 0, half([0xfe, 0x80]), Label::Pass);
    code.leave(sources.iter().enumerate().filter(|(_, address)| address.is_ipv6()), V6_HEADERS_LEN - 24);
    code.choose(addresses.iter().enumerate().filter(|(_, address)| address.is_ipv6()), V6_HEADERS_LEN - 8);

    code.place(Label::Take);
    code.put(LOAD_IMMEDIATE_64, FIRST, MAP_DESCRIPTOR, 0, map);
    code.put(0, 0, 0, 0, 0);
    code.put(MOVE, 2, QUEUE, 0, 0);
    // A queue without a socket of ours: the frame goes its way.
    code.put(MOVE_IMMEDIATE, 3, 0, 0, PASS);
    code.put(CALL, 0, 0, 0, REDIRECT_MAP);
    code.put(EXIT, 0, 0, 0, 0);
    code.place(Label::Pass);
    code.put(MOVE_IMMEDIATE, RESULT, 0, 0, PASS);
    code.put(EXIT, 0, 0, 0, 0);
    code.finish()
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::frame;
    use super::*;

    const MAP: i32 = 77;
    /// Nobody else's.
    const SOURCES: [&str; 4] = ["198.51.100.1", "192.0.2.255", "2001:db8:1::1", "2001:db8:1::2"];
    const STATION: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const FRAME_MAX_LEN: usize = 400;

    /// Runs a program as RFC 9669 has it, as far as it is used here; whether it takes the frame. Octets beyond the frame's end are
    /// not there to be read, as for the kernel's verifier.
    fn takes(program: &[Instruction], frame: &[u8]) -> bool {
        const DATA_AT: u64 = 0x10_0000;
        let mut registers = [0_u64; 11];
        registers[usize::from(FIRST)] = 1;
        let mut at = 0;
        for _ in 0..10_000 {
            let [operation, both, o1, o2, i1, i2, i3, i4] = program[at];
            let (target, source) = (usize::from(both & 15), usize::from(both >> 4));
            let (offset, immediate) = (i16::from_ne_bytes([o1, o2]), i32::from_ne_bytes([i1, i2, i3, i4]));
            let from_context = registers[source] == 1;
            let load = |len: usize| -> u64 {
                if from_context {
                    return match offset {
                        0 => DATA_AT,
                        4 => DATA_AT + frame.len() as u64,
                        16 => 3,
                        _ => panic!("context at {offset}"),
                    };
                }
                let begin = (registers[source] - DATA_AT) as usize + offset as usize;
                let mut octets = [0; 8];
                octets[..len].copy_from_slice(&frame[begin..begin + len]);
                u64::from_le_bytes(octets)
            };
            let mut jumps = false;
            match operation {
                LOAD_8 => registers[target] = load(1),
                LOAD_16 => registers[target] = load(2),
                LOAD_32 => registers[target] = load(4),
                LOAD_IMMEDIATE_64 => {
                    assert_eq!((immediate, both >> 4), (MAP, MAP_DESCRIPTOR));
                    registers[target] = 0xdead_beef;
                    at += 1;
                }
                MOVE => registers[target] = registers[source],
                MOVE_IMMEDIATE => registers[target] = immediate as u64,
                ADD_IMMEDIATE => registers[target] += immediate as u64,
                AND_IMMEDIATE => registers[target] &= immediate as u64,
                JUMP => jumps = true,
                JUMP_IF_GREATER => jumps = registers[target] > registers[source],
                JUMP_UNLESS_EQUAL => jumps = registers[target] as u32 != immediate as u32,
                JUMP_IF_EQUAL => jumps = registers[target] as u32 == immediate as u32,
                CALL => {
                    assert_eq!(
                        (immediate, registers[1], registers[2], registers[3]),
                        (REDIRECT_MAP, 0xdead_beef, 3, 2)
                    );
                    registers[0] = 4;
                }
                EXIT => return registers[0] == 4,
                _ => panic!("operation {operation:#x}"),
            }
            at += 1;
            if jumps {
                assert!(offset >= 0, "no loops");
                at += offset as usize;
            }
        }
        panic!("no end");
    }

    fn filter(addresses: &[&str]) -> Vec<Instruction> {
        let addresses: Vec<SocketAddr> = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        program(STATION, &addresses, &SOURCES.map(|text| text.parse().expect("an address")), MAP, FRAME_MAX_LEN)
            .expect("a program")
    }

    const HOMES: [&str; 5] =
        ["198.51.100.1:53", "198.51.100.200:5300", "[2001:db8:1::1]:53", "203.0.113.255:53", "[2001:db8:1::ffff]:5300"];

    #[test]
    fn requests_to_our_addresses_are_taken_and_no_others() {
        let program = filter(&HOMES);
        for home in HOMES {
            let address: SocketAddr = home.parse().expect("an address");
            let from = if address.is_ipv4() { "192.0.2.7:4321" } else { "[2001:db8::7]:4321" };
            let whole = frame(from, home, &[0; 12]);
            assert!(takes(&program, &whole), "{home}");
            assert!(takes(&filter(&[home]), &whole), "{home} alone");
            assert!(!takes(&filter(&[]), &whole), "{home} of none");
            // Another station, another port, an address that differs in any octet.
            let udp = whole.len() - 20;
            let length = if address.is_ipv4() { 4 } else { 16 };
            for at in (0..6).chain(udp - length..udp).chain(udp + 2..udp + 4) {
                let mut other = whole.clone();
                other[at] ^= 0x55;
                assert!(!takes(&program, &other), "{home} {at}");
            }
            for len in 0..whole.len() - 12 {
                assert!(!takes(&program, &whole[..len]), "{home} cut to {len}");
            }
            let fill = FRAME_MAX_LEN - whole.len() + 12;
            assert!(takes(&program, &frame(from, home, &vec![0; fill])));
            assert!(!takes(&program, &frame(from, home, &vec![0; fill + 1])), "no room");
        }
    }

    #[test]
    fn what_is_not_plain_udp_goes_its_way() {
        let program = filter(&HOMES);
        let v4 = frame("192.0.2.7:4321", HOMES[0], &[0; 12]);
        let v6 = frame("[2001:db8::7]:4321", HOMES[2], &[0; 12]);
        let changed = |whole: &[u8], at: usize, octet: u8| {
            let mut other = whole.to_vec();
            other[at] = octet;
            takes(&program, &other)
        };
        for (at, octet, what) in [
            (12, 0x81, "a VLAN tag"),
            (14, 0x46, "options"),
            (20, 0x20, "more fragments"),
            (20, 0x1f, "a fragment"),
            (21, 1, "the second fragment"),
            (23, 6, "TCP"),
        ] {
            assert!(!changed(&v4, at, octet), "{what}");
        }
        assert!(changed(&v4, 20, 0x40), "not to be fragmented");
        for (next, what) in [(6, "TCP"), (44, "a fragment"), (0, "hop-by-hop options"), (60, "destination options")] {
            assert!(!changed(&v6, 20, next), "{what}");
        }
        for version in [0, 0x40, 0x70, 0xe0] {
            assert!(!changed(&v6, 14, version), "version {version:#x} in a frame of IPv6");
        }
        assert!(changed(&v6, 14, 0x6f), "a traffic class");
        for own in ["198.51.100.1:9", "192.0.2.255:9"] {
            assert!(!takes(&program, &frame(own, HOMES[1], &[0; 12])), "{own}");
        }
        for own in ["[2001:db8:1::1]:9", "[2001:db8:1::2]:9"] {
            assert!(!takes(&program, &frame(own, HOMES[4], &[0; 12])), "{own}");
        }
        for other in ["198.51.100.2:9", "192.0.3.255:9"] {
            assert!(takes(&program, &frame(other, HOMES[1], &[0; 12])), "{other}");
        }
        assert!(takes(&program, &frame("[2001:db8:2::1]:9", HOMES[4], &[0; 12])));
        for link_local in ["[fe80::1]:4321", "[febf::1]:4321"] {
            assert!(!takes(&program, &frame(link_local, HOMES[2], &[0; 12])), "{link_local}");
        }
        assert!(takes(&program, &frame("[fec0::1]:4321", HOMES[2], &[0; 12])));
    }

    #[test]
    fn too_many_addresses_are_told() {
        let all: Vec<SocketAddr> = (0..30_000).map(|port| ([192, 0, 2, 1], port).into()).collect();
        assert!(program(STATION, &all, &[], MAP, FRAME_MAX_LEN).is_none());
        assert!(program(STATION, &all[..256], &[], MAP, FRAME_MAX_LEN).is_some());
    }
}
