//! Answering allocates nothing, whatever is asked: an allocator that counts says so.
//!
//! It takes no lock either, which no test can show but the types do: `answer` is given shared references to a snapshot that
//! is immutable once built, and there is no `Mutex`, `RwLock`, cell or atomic in `wire`, `zone` or `answer` that it could
//! wait for (`architecture.rs` reads the sources for them). Without locks and without the allocator, no query waits for
//! another.

#![allow(unsafe_code)] // an allocator is unsafe by its nature

#[path = "../fuzz/functions.rs"]
mod functions;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    net::IpAddr,
    sync::Arc,
};

use dnsbld::{
    answer::{self, Client, Transport, Verdict},
    wire::name::Name,
    zone::{
        live::{Live, LiveZone, OwnValue, Place, ValueNumbers},
        reversed::reverse,
    },
};

thread_local! {
    /// Allocations of this thread: the test's own others do not matter.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

impl Counting {
    fn count() {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
    }
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        Self::count();
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count();
        // SAFETY: the caller's promises are the same.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Names with what asking for them comes to; each is asked for several types.
const NAMES: &[(&str, Verdict)] = &[
    ("2.0.0.127.bl.example", Verdict::Listed),
    ("1.0.0.127.bl.example", Verdict::Unlisted),
    ("127.bl.example", Verdict::EmptyNonTerminal),
    ("200.2.0.192.bl.example", Verdict::Unlisted),
    ("1.100.51.198.bl.example", Verdict::Listed),
    ("1.113.0.203.bl.example", Verdict::Listed),
    ("2.113.0.203.bl.example", Verdict::Unlisted),
    ("3.113.0.203.bl.example", Verdict::Unlisted),
    ("4.113.0.203.bl.example", Verdict::Listed),
    ("113.0.203.bl.example", Verdict::EmptyNonTerminal),
    ("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.8.b.d.0.1.0.0.2.bl.example", Verdict::Listed),
    ("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.example", Verdict::Unlisted),
    ("d.0.1.0.0.2.bl.example", Verdict::EmptyNonTerminal),
    ("2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.example", Verdict::Listed),
    ("LISTED.example.bl.example", Verdict::Listed),
    ("a.b.wild.example.bl.example", Verdict::Listed),
    ("out.both.example.bl.example", Verdict::EmptyNonTerminal),
    ("example.bl.example", Verdict::EmptyNonTerminal),
    ("nothing.bl.example", Verdict::Unlisted),
    ("www.bl.example", Verdict::Listed),
    ("b.c.bl.example", Verdict::EmptyNonTerminal),
    ("2.0.1.10.trie.example", Verdict::Unlisted),
    ("2.0.2.10.trie.example", Verdict::Listed),
    ("1.2.0.192.secret.keyed.example", Verdict::Listed),
    ("2.2.0.192.secret.keyed.example", Verdict::Listed),
    ("secret.keyed.example", Verdict::EmptyNonTerminal),
    ("1.2.0.192.keyed.example", Verdict::None),
    ("1.2.0.192.stale.keyed.example", Verdict::None),
    ("1.2.0.192.one.sub.c.example", Verdict::Listed),
    ("sub.c.example", Verdict::EmptyNonTerminal),
    ("x.listed.example.names.c.example", Verdict::Listed),
    ("1.2.0.192.long.example", Verdict::Listed),
    ("2.0.0.127.old.example", Verdict::None),
    ("2.0.0.127.down.example", Verdict::None),
    ("nowhere.test", Verdict::None),
];

/// Listings and exclusions of every shape, in front of all zones.
fn listed_by_command() -> Live {
    let name = |text: &[u8], is_wildcard| {
        let reversed = reverse(&Name::parse(text).expect("a name"));
        Place::Name { reversed, is_wildcard }
    };
    let own = OwnValue { address: Some([127, 0, 0, 9].into()), text: Some("live: $".into()) };
    let (mut zone, mut numbers) = (LiveZone::new(60), ValueNumbers::default());
    for (place, value, until_s) in [
        (Place::V4(0xc000_02c8, 32), Some(&own), u32::MAX),
        (Place::V4(0xcb00_7100, 30), Some(&OwnValue::default()), functions::NOW_S as u32 + 9),
        (Place::V4(0xcb00_7104, 32), None, u32::MAX),
        (Place::V4(0x0a01_0000, 24), Some(&own), functions::NOW_S as u32 - 1),
        (Place::V6(0x2001_0db8 << 96, 48), Some(&own), u32::MAX),
        (Place::V6(0x2001_0db8_0001 << 80, 48), None, u32::MAX),
        (name(b"nothing", false), Some(&own), u32::MAX),
        (name(b"example", true), None, u32::MAX),
        (name(b"b.wild.example", true), Some(&own), u32::MAX),
        (name(b"www", false), None, u32::MAX),
    ] {
        zone.put(&place, value, until_s, &mut numbers);
    }
    let (mut live, zone) = (Live::default(), Arc::new(zone));
    for slot in 0..3 {
        live.set(slot, Some(Arc::clone(&zone)));
    }
    live
}

#[test]
fn nothing_is_allocated_for_any_kind_of_query() {
    let (snapshot, policy) = functions::world();
    let live = listed_by_command();
    let world = answer::World { snapshot, policy, now_s: functions::NOW_S, live: Live::NONE };
    let mut requests: Vec<(Vec<u8>, Option<Verdict>)> = Vec::new();
    for &(name, verdict) in NAMES {
        for kind in [1, 16, 255, 2, 6, 28, 252, 65_280] {
            let request = functions::query(name, kind);
            let mut with_edns = request.clone();
            with_edns[11] = 1;
            with_edns.extend(b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x10\x00\x0a\x00\x0812345678\x00\x03\x00\x00");
            let verdict = (kind == 1).then_some(verdict);
            requests.extend([(request, verdict), (with_edns, verdict)]);
        }
    }
    for name in ["bl.example", "c.example", "guarded.example", "1.2.0.192.guarded.example", "9.9.9.9.guarded.example"] {
        requests.extend([1, 2, 6, 15, 16, 255].map(|kind| (functions::query(name, kind), None)));
    }
    // Class CHAOS, another operation, a response, half a query, nothing.
    let mut version = functions::query("version.bind", 16);
    *version.last_mut().expect("a class") = 3;
    let (mut notify, mut response) = (functions::query("bl.example", 6), functions::query("bl.example", 6));
    (notify[2], response[2]) = (0x20, 0x80);
    let half = notify[..20].to_vec();
    requests.extend([version, notify, response, half, vec![0; 12], Vec::new()].map(|request| (request, None)));

    let clients = ["127.0.0.1", "192.0.2.66", "192.0.2.67", "192.0.2.68", "192.0.2.69", "2001:db8::1"];
    let clients = clients.map(|address| address.parse::<IpAddr>().expect("an address"));
    let mut buffer = vec![0; 65_535];
    let (mut asked, mut truncated) = (0, 0);
    for (request, verdict) in &requests {
        for address in clients {
            for transport in [Transport::Udp, Transport::Tcp] {
                let before = COUNT.get();
                let outcome = answer::answer(world, Client { address, transport }, request, &mut buffer);
                let count = COUNT.get() - before;
                assert_eq!(count, 0, "allocations for {request:02x?} from {address}");
                functions::check_reply(transport, request, &buffer[..usize::from(outcome.reply_len)]);
                if let Some(verdict) = verdict {
                    assert_eq!(outcome.verdict, *verdict, "{request:02x?}");
                }
                let before = COUNT.get();
                let world = answer::World { live: &live, ..world };
                let outcome = answer::answer(world, Client { address, transport }, request, &mut buffer);
                assert_eq!(COUNT.get() - before, 0, "allocations for {request:02x?} with live listings");
                functions::check_reply(transport, request, &buffer[..usize::from(outcome.reply_len)]);
                asked += 1;
                truncated += usize::from(outcome.truncated);
            }
        }
    }
    assert!(asked > 5_000 && truncated > 10, "{asked} asked, {truncated} truncated");
}

#[test]
fn the_counter_counts() {
    let before = COUNT.get();
    drop(std::hint::black_box(vec![1u8; 100]));
    assert_eq!(COUNT.get() - before, 2);
}
