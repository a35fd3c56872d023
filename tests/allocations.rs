//! Nothing is allocated on a datagram's way: an allocator that counts, for the worker's thread only, while many pass.

#![allow(unsafe_code)] // an allocator is

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dnsbld::net::{Listeners, Peer, Reply, Responder, Settings, Transport};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Set on the thread that is watched.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if WATCHED.try_with(Cell::get).unwrap_or(false) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Echo;

impl Responder for Echo {
    fn begin_batch(&mut self) {
        // The first batch is behind the worker's start.
        WATCHED.set(true);
    }

    fn respond(&mut self, _: &Peer, transport: Transport, request: &[u8], reply: &mut [u8]) -> Reply {
        assert_eq!(transport, Transport::Udp);
        reply[..request.len()].copy_from_slice(request);
        Reply::now(request.len())
    }
}

#[test]
fn datagrams_pass_without_allocation() {
    let addresses = ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0"];
    for address in addresses.into_iter().filter(|address| UdpSocket::bind(address).is_ok()) {
        let address: SocketAddr = address.parse().expect("address");
        let settings = Settings { udp_workers: 1, tcp: None, ..Settings::default() };
        let listeners = Listeners::bind(&[address], settings).expect("bind");
        let server = listeners.start(|_| Echo).expect("start");
        let home = if address.is_ipv4() { "127.0.0.1" } else { "::1" };
        let client = UdpSocket::bind((home, 0)).expect("bind");
        client.connect((home, server.addresses()[0].port())).expect("connect");
        client.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
        for _ in 0..50 {
            for _ in 0..40 {
                client.send(&[1; 60]).expect("send");
            }
            for _ in 0..40 {
                assert_eq!(client.recv(&mut [0; 99]).expect("an answer"), 60);
            }
        }
        assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), 0, "at {address}");
        server.stop();
        server.join().expect("ends well");
        // A thread's end may allocate; it is not on the way.
        ALLOCATIONS.store(0, Ordering::Relaxed);
    }
}
