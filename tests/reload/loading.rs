//! How files are loaded: side by side, beside those who answer, and with less right to the processor than these.

use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use nix::sys::signal::Signal;

use super::{
    live::{Live, PATIENCE, Place, await_true, host_name, hosts},
    support::message::Query,
};

const NAME: &str = "1.0.0.10.bl.example";
const FILE: &str = "bl.example.ip4set";
/// A file may be read before anybody sees that it is open.
const TRIES: u8 = 20;
/// `SCHED_OTHER`.
const USUAL_POLICY: u32 = 0;
const IDLE_POLICY: u32 = 5;

fn is_one_core() -> bool {
    let is_one = thread::available_parallelism().is_ok_and(|cores| cores.get() == 1);
    if is_one {
        println!("skipped: there is one core, so all is loaded one after the other");
    }
    is_one
}

#[test]
fn datasets_are_loaded_side_by_side() {
    const COUNT: u32 = 200_000;
    if is_one_core() {
        return;
    }
    let place = Place::new();
    let files = ["one.example.ip4set", "two.example.ip4set"];
    for file in files {
        place.drop_file(file, hosts(3, 1));
    }
    let live = Live::start(&place, &["--check", "1d"]);
    for file in files {
        place.await_kept(file);
    }
    for value in 2..2 + TRIES {
        let text = hosts(COUNT, value);
        for file in files {
            fs::write(place.at(file), &text).expect("written");
        }
        for file in files {
            fs::rename(place.at(file), place.zone(file)).expect("renamed");
        }
        // One file is copied at a time, so neither of two is.
        let are_open = || files.iter().all(|file| live.has_open(&place.zone(file)));
        let is_live = || live.ask("1.0.0.10.two.example") == value.to_string();
        if live.stop_when(are_open, is_live) {
            live.send(Signal::SIGCONT);
            live.await_answer("1.0.0.10.one.example", &value.to_string(), PATIENCE);
            live.await_answer("1.0.0.10.two.example", &value.to_string(), PATIENCE);
            return;
        }
    }
    panic!("not once in {TRIES} tries were both files open\n{}", live.log());
}

/// There is a thread for each part then, besides those that wait for them.
#[test]
fn parts_of_a_large_file_are_loaded_side_by_side_and_give_way() {
    if is_one_core() {
        return;
    }
    // There are as many parts as cores if each is long enough.
    let count = 150_000 * thread::available_parallelism().map_or(2, |cores| cores.get() as u32);
    let place = Place::new();
    place.drop_file(FILE, hosts(3, 1));
    let live = Live::start(&place, &["--check", "1d"]);
    place.await_kept(FILE);
    for value in 2..2 + TRIES {
        place.drop_file(FILE, hosts(count, value));
        // Nor is it copied meanwhile.
        let are_open = || {
            let loaders = live.threads().iter().filter(|thread| thread.0.contains("reload")).count();
            loaders >= 4 && live.has_open(&place.zone(FILE)) && !place.is_keeping()
        };
        let is_live = || live.ask(NAME) == value.to_string();
        if live.stop_when(are_open, is_live) {
            assert_priorities(&live, 4);
            live.send(Signal::SIGCONT);
            live.await_answer(&host_name(count - 1, "bl.example"), &value.to_string(), PATIENCE);
            return;
        }
        place.await_kept(FILE);
    }
    panic!("not once in {TRIES} tries were two parts open\n{}", live.log());
}

/// The threads that load give way to those that answer, also when nothing is to be loaded.
#[test]
fn threads_that_load_have_a_low_priority() {
    let place = Place::new();
    place.drop_file(FILE, hosts(3, 2));
    let live = Live::start(&place, &[]);
    // Threads take their names when they first run, and give way then.
    let is_there = |(word, nice)| live.threads().iter().any(|thread| thread.0.contains(word) && thread.1 == nice);
    let all_are_there = || [("reload", 19), ("udp", 0)].into_iter().all(is_there);
    await_true("they run", all_are_there, || format!("{:?}", live.threads()));
    assert_priorities(&live, 1);
}

/// Threads are named as those that began them: at least so many of them load, and give way, and those that answer do not.
fn assert_priorities(live: &Live, loading: usize) {
    let threads = live.threads();
    let named = |word: &str| threads.iter().filter(|thread| thread.0.contains(word)).collect::<Vec<_>>();
    let loaders = named("reload");
    assert!(loaders.len() >= loading, "{threads:?}");
    // What is left over, or a share where that is too little; else the lowest priority.
    let ways = [(19, IDLE_POLICY), (10, USUAL_POLICY), (19, USUAL_POLICY)];
    assert!(loaders.iter().all(|(_, nice, policy)| ways.contains(&(*nice, *policy))), "{threads:?}");
    assert!([named("udp"), named("tcp")].iter().flatten().all(|(_, nice, _)| *nice == 0), "{threads:?}");
}

#[test]
fn no_query_is_lost_while_files_are_replaced() {
    const COUNT: u32 = 100_000;
    let place = Place::new();
    place.drop_file(FILE, hosts(COUNT, 2));
    let live = Live::start(&place, &[]);
    let (is_over, asked, address) = (AtomicBool::new(false), AtomicU64::new(0), live.address());
    thread::scope(|scope| {
        scope.spawn(|| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
            socket.connect(address).expect("connected");
            socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
            let mut reply = [0; 512];
            for number in 0u32.. {
                let mut query = Query::new(&host_name(number.wrapping_mul(7_919) % COUNT, "bl.example"), 1);
                query.id = number as u16;
                socket.send(&query.octets()).expect("sent");
                let length = socket.recv(&mut reply).expect("a query was lost");
                let (value, wanted_id) = (reply[length - 1], (number as u16).to_be_bytes());
                assert_eq!(reply[..2], wanted_id, "an answer to another question");
                assert_eq!(reply[3] & 0xf, 0, "listed before and after, and not between");
                assert!(matches!(value, 2 | 3), "neither the old nor the new: {value}");
                asked.fetch_add(1, Ordering::Relaxed);
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        for round in 0..6u8 {
            let value = 3 - round % 2;
            place.drop_file(FILE, hosts(COUNT, value));
            live.await_answer(&host_name(COUNT - 1, "bl.example"), &value.to_string(), PATIENCE);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    println!("{} queries answered", asked.load(Ordering::Relaxed));
    assert!(asked.load(Ordering::Relaxed) > 1_000);
}

/// Whether it waits is told by which of them the log names first: had it waited, that would be the large one, also if both went
/// live at once. Where others have the processor, the large one may be done before the small one is noticed, but not each time.
#[test]
fn a_small_file_does_not_wait_for_a_large_one() {
    const LARGE: &str = "a-large.example.dnset";
    const TRIES: u8 = 5;
    let names = |value: u8| {
        let lines = (0..800_000_u32)
            .fold(String::new(), |lines, number| lines + &format!("name{number}.{}.test\n", number % 977));
        format!(":{value}:\n{lines}")
    };
    let place = Place::new();
    place.drop_file(LARGE, names(2));
    place.drop_file(FILE, hosts(3, 2));
    let live = Live::start(&place, &["--check", "1d"]);
    let is_large = |value: u8| live.ask("name7.7.test.a-large.example") == value.to_string();
    assert!(is_large(2) && live.ask(NAME) == "2");
    let is_small_first = |value: u8| {
        live.await_answer(NAME, &value.to_string(), PATIENCE);
        await_true("the large one is live", || is_large(value), || live.log());
        let log = live.log();
        let [small, large] = ["bl.example", "a-large.example"].map(|zone| log.rfind(&format!("zone {zone}: ")));
        small < large
    };
    let while_it_is_read = |value: u8| {
        place.drop_file(LARGE, names(value));
        let is_caught = live.stop_when(|| live.has_open(&place.zone(LARGE)), || is_large(value));
        place.drop_file(FILE, hosts(3, value));
        if is_caught {
            live.send(Signal::SIGCONT);
        }
        is_small_first(value)
    };
    assert!((3..3 + TRIES).any(while_it_is_read), "{}", live.log());
    // What comes while that is copied to the state folder does not wait either, nor does one that comes together with it.
    let together = |value: u8| {
        let large = names(value);
        place.drop_file(FILE, hosts(3, value));
        place.drop_file(LARGE, large);
        is_small_first(value)
    };
    assert!((10..10 + TRIES).any(together), "{}", live.log());
    assert!(live.tell(&["status"]).0, "{}", live.status());
}
