//! The system calls of XDP: a map of sockets, a program on an interface, a socket with its rings.
//!
//! What is open closes by itself with the process, however that ends: the program leaves the interface with its last descriptor,
//! and all datagrams take the kernel's way again.

use std::ffi::{c_int, c_long, c_void};
use std::io;
use std::mem::{size_of, size_of_val, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{NonNull, null, null_mut};

use super::filter::Instruction;
use super::ring::{Parts, Ring};
use crate::net::batch::set_option;

// Commands of bpf(2).
const MAP_CREATE: c_int = 0;
const MAP_UPDATE_ELEM: c_int = 2;
const PROG_LOAD: c_int = 5;
const LINK_CREATE: c_int = 28;

/// A map from a queue's number to a socket (`BPF_MAP_TYPE_XSKMAP`).
const SOCKET_MAP: u32 = 17;
/// A program of this kind, attached as one (`BPF_PROG_TYPE_XDP`, `BPF_XDP`).
const PROGRAM_KIND: u32 = 6;
const ATTACH_KIND: u32 = 37;

/// How a program is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// By the interface's driver, before the kernel has made anything of a frame (`XDP_FLAGS_DRV_MODE`).
    Native = 1 << 2,
    /// By the kernel, for drivers that cannot (`XDP_FLAGS_SKB_MODE`).
    Generic = 1 << 1,
}

/// Calls bpf(2) with what the command takes.
///
/// # Safety
/// `attributes` must be what the command takes, from its first field on, with pointers that are valid.
unsafe fn bpf<T>(command: c_int, attributes: &mut T) -> io::Result<c_int> {
    // SAFETY: as the caller says; the kernel is told the size.
    let outcome = unsafe { libc::syscall(libc::SYS_bpf, c_long::from(command), &raw mut *attributes, size_of::<T>()) };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(outcome as c_int) }
}

fn owned(descriptor: c_int) -> OwnedFd {
    // SAFETY: the kernel has just given it to us, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// A map for the sockets of so many queues.
pub(super) fn create_map(queues: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        kind: u32,
        key_bytes: u32,
        value_bytes: u32,
        entries: u32,
    }
    let mut attributes = Attributes { kind: SOCKET_MAP, key_bytes: 4, value_bytes: 4, entries: queues };
    // SAFETY: these are the first fields of what BPF_MAP_CREATE takes.
    unsafe { bpf(MAP_CREATE, &mut attributes) }.map(owned)
}

/// Gives a queue's frames to a socket.
pub(super) fn set_socket(map: BorrowedFd<'_>, queue: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        map: u32,
        pad: u32,
        key: u64,
        value: u64,
        flags: u64,
    }
    let (key, value) = (queue, socket.as_raw_fd());
    let mut attributes = Attributes {
        map: map.as_raw_fd() as u32,
        pad: 0,
        key: (&raw const key).addr() as u64,
        value: (&raw const value).addr() as u64,
        flags: 0,
    };
    // SAFETY: these are the fields of BPF_MAP_UPDATE_ELEM; key and value are four octets each, as the map was made for.
    unsafe { bpf(MAP_UPDATE_ELEM, &mut attributes) }.map(drop)
}

/// Loads a program. The kernel verifies that it ends and reads nothing but the frame.
pub(super) fn load_program(instructions: &[Instruction]) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        kind: u32,
        instruction_count: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_bytes: u32,
        log: u64,
    }
    // `Instruction` is octets, and the kernel wants words.
    let words: Vec<u64> = instructions.iter().map(|&octets| u64::from_ne_bytes(octets)).collect();
    let mut attributes = Attributes {
        kind: PROGRAM_KIND,
        instruction_count: words.len() as u32,
        instructions: words.as_ptr().addr() as u64,
        license: c"MIT OR Apache-2.0".as_ptr().addr() as u64,
        log_level: 0,
        log_bytes: 0,
        log: 0,
    };
    // SAFETY: these are the first fields of what BPF_PROG_LOAD takes, with live instructions, their number and a text.
    unsafe { bpf(PROG_LOAD, &mut attributes) }.map(owned)
}

/// Has an interface run a program, for as long as the descriptor is open.
pub(super) fn attach(program: BorrowedFd<'_>, interface: u32, mode: Mode) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        program: u32,
        interface: u32,
        kind: u32,
        flags: u32,
    }
    let program = program.as_raw_fd() as u32;
    let mut attributes = Attributes { program, interface, kind: ATTACH_KIND, flags: mode as u32 };
    // SAFETY: these are the first fields of what BPF_LINK_CREATE takes.
    unsafe { bpf(LINK_CREATE, &mut attributes) }.map(owned)
}

/// Octets of memory shared with the kernel.
pub(super) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: it is memory, which is not bound to a thread.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Zeros of our own.
    pub(super) fn anonymous(len: usize) -> io::Result<Self> {
        Self::new(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE, -1, 0)
    }

    fn new(len: usize, flags: c_int, descriptor: c_int, offset: i64) -> io::Result<Self> {
        // SAFETY: a new mapping, wherever the kernel puts it, takes nothing that is in use.
        let start = unsafe {
            libc::mmap(null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, flags, descriptor, offset as libc::off_t)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(start.cast()).map(|start| Self { start, len }).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The address of an octet.
    pub(super) fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < self.len);
        // SAFETY: as asserted, it is within the mapping.
        unsafe { self.start.add(offset) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it is the mapping that `new` made; what points into it goes with its owner.
        unsafe { libc::munmap(self.start.as_ptr().cast::<c_void>(), self.len) };
    }
}

/// A new socket of the family.
pub(super) fn socket() -> io::Result<OwnedFd> {
    // SAFETY: it takes numbers only.
    let descriptor = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if descriptor < 0 { Err(io::Error::last_os_error()) } else { Ok(owned(descriptor)) }
}

/// # Safety
/// `T` must be the structure of the option, integers only.
unsafe fn get<T>(socket: BorrowedFd<'_>, option: c_int) -> io::Result<T> {
    // SAFETY: as the caller says, it is integers, for all of which zero is a value.
    let mut value: T = unsafe { zeroed() };
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes to a live value, of which it is told the size.
    let outcome =
        unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_XDP, option, (&raw mut value).cast(), &raw mut len) };
    if outcome == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

/// Registers memory for frames of so many octets each.
pub(super) fn register(socket: BorrowedFd<'_>, memory: &Mapping, frame_len: u32) -> io::Result<()> {
    // SAFETY: it is integers, for all of which zero is a value; fields of later kernels among them.
    let mut frames: libc::xdp_umem_reg = unsafe { zeroed() };
    frames.addr = memory.at(0).as_ptr().addr() as u64;
    frames.len = memory.len() as u64;
    frames.chunk_size = frame_len;
    set_option(socket, libc::SOL_XDP, libc::XDP_UMEM_REG, &frames)
}

/// A socket's four rings, with the memory they are in.
pub(super) struct Rings {
    /// Frames given to the kernel to receive into.
    pub(super) fill: Ring<u64>,
    /// Frames received.
    pub(super) received: Ring<libc::xdp_desc>,
    /// Frames to send.
    pub(super) outgoing: Ring<libc::xdp_desc>,
    /// Frames sent.
    pub(super) sent: Ring<u64>,
    _memory: [Mapping; 4],
}

/// Makes a socket's rings, with room for so many frames to receive and to send; both are powers of two.
pub(super) fn rings(socket: BorrowedFd<'_>, receive: u32, send: u32) -> io::Result<Rings> {
    for (option, size) in [
        (libc::XDP_UMEM_FILL_RING, receive),
        (libc::XDP_UMEM_COMPLETION_RING, send),
        (libc::XDP_RX_RING, receive),
        (libc::XDP_TX_RING, send),
    ] {
        set_option(socket, libc::SOL_XDP, option, &size)?;
    }
    // SAFETY: it is the option's structure, and integers.
    let offsets: libc::xdp_mmap_offsets = unsafe { get(socket, libc::XDP_MMAP_OFFSETS)? };
    let (fill, memory_1) = ring(socket, &offsets.fr, libc::XDP_UMEM_PGOFF_FILL_RING.cast_signed(), receive)?;
    let (received, memory_2) = ring(socket, &offsets.rx, libc::XDP_PGOFF_RX_RING, receive)?;
    let (outgoing, memory_3) = ring(socket, &offsets.tx, libc::XDP_PGOFF_TX_RING, send)?;
    let (sent, memory_4) = ring(socket, &offsets.cr, libc::XDP_UMEM_PGOFF_COMPLETION_RING.cast_signed(), send)?;
    Ok(Rings { fill, received, outgoing, sent, _memory: [memory_1, memory_2, memory_3, memory_4] })
}

fn ring<T: Copy>(
    socket: BorrowedFd<'_>,
    offsets: &libc::xdp_ring_offset,
    page: i64,
    size: u32,
) -> io::Result<(Ring<T>, Mapping)> {
    let len = offsets.desc as usize + size as usize * size_of::<T>();
    let memory = Mapping::new(len, libc::MAP_SHARED | libc::MAP_POPULATE, socket.as_raw_fd(), page)?;
    let parts = Parts {
        producer: memory.at(offsets.producer as usize).cast(),
        consumer: memory.at(offsets.consumer as usize).cast(),
        flags: memory.at(offsets.flags as usize).cast(),
        entries: memory.at(offsets.desc as usize).cast(),
        size,
    };
    // SAFETY: the kernel told where the parts are in the memory it shares, with room for `size` entries, and keeps to the
    // protocol; the memory goes with the ring.
    Ok((unsafe { Ring::new(parts) }, memory))
}

/// Binds a socket to a queue of an interface. The kernel shares the memory with the driver if that can, and copies if not; it
/// would try that as well where the driver does not run the program, and nothing would ever arrive.
pub(super) fn bind(socket: BorrowedFd<'_>, interface: u32, queue: u32, mode: Mode) -> io::Result<()> {
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: libc::XDP_USE_NEED_WAKEUP | if mode == Mode::Generic { libc::XDP_COPY } else { 0 },
        sxdp_ifindex: interface,
        sxdp_queue_id: queue,
        sxdp_shared_umem_fd: 0,
    };
    let len = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the kernel reads a live address, and is told its size.
    let outcome = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether a bound socket shares the interface's own memory, so that frames are never copied.
pub(super) fn is_zero_copy(socket: BorrowedFd<'_>) -> bool {
    // SAFETY: it is the option's structure, and integers.
    let options = unsafe { get::<libc::xdp_options>(socket, libc::XDP_OPTIONS) };
    options.is_ok_and(|options| options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0)
}

/// Frames for the socket that found no room in its ring, or no frame to be received into, as far as the kernel knows: where memory
/// is shared with the driver, the card drops them.
pub(super) fn dropped(socket: BorrowedFd<'_>) -> u64 {
    // SAFETY: it is the option's structure, and integers.
    let statistics = unsafe { get::<libc::xdp_statistics>(socket, libc::XDP_STATISTICS) };
    statistics.map_or(0, |statistics| statistics.rx_dropped + statistics.rx_ring_full)
}

/// Tells the kernel that there are frames to send. It does not wait.
pub(super) fn kick(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: there is neither a message nor an address, and both lengths say so.
    let outcome = unsafe { libc::sendto(socket.as_raw_fd(), null(), 0, libc::MSG_DONTWAIT, null(), 0) };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
