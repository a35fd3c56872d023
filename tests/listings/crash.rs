//! Nothing acknowledged is lost: the server is killed in the middle of its work, again and again, on the same store.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use dnsbld::{
    control::{
        Answer, Request, ask,
        listings::{ListingsAnswer, ListingsRequest},
    },
    live::listings::{Lifetime, Op, Outcome, Record, Verdict},
};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{process::Site, support::message::reversed};

const ZONE: &str = "virbl.tee.gr";
const ASKERS: u8 = 4;
const KEYS: u8 = 200;

/// What an asker knows of a key of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    /// Acknowledged: listed until then, or not listed.
    Surely(Option<u64>),
    /// It was asked, and the server died before it answered: the one or the other.
    Either(Option<u64>, Ask),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ask {
    ListUntil(u64),
    Delist,
}

type Book = Arc<Mutex<HashMap<String, Known>>>;

/// Lists and delists keys until the server dies.
fn pester(state: &std::path::Path, asker: u8, seed: u64, book: &Book, is_over: &AtomicBool) {
    let mut random = SmallRng::seed_from_u64(seed);
    while !is_over.load(Relaxed) {
        let key = format!("10.0.{asker}.{}", random.random_range(0..KEYS));
        let known = book.lock().expect("whole").get(&key).copied().unwrap_or(Known::Surely(None));
        let Known::Surely(before) = known else { continue };
        // Ends differ, so that an older one would be seen.
        let asked = if random.random_ratio(1, 3) {
            Ask::Delist
        } else {
            Ask::ListUntil(random.random_range(2_000_000_000..4_000_000_000))
        };
        book.lock().expect("whole").insert(key.clone(), Known::Either(before, asked));
        let op = match asked {
            Ask::ListUntil(until_s) => Op::Put { verdict: Verdict::LISTED, lifetime: Lifetime::Until(until_s) },
            Ask::Delist => Op::Delist,
        };
        let request = ListingsRequest::Change { zone: ZONE.into(), keys: vec![key.clone()], op, reason: None };
        let answer = ask(state, &Request::Listings { asked: request });
        let Ok(Answer::Listings { told: ListingsAnswer::Changed { changes } }) = answer else { return };
        let now = match &changes[0].outcome {
            Outcome::Listed { until_s, .. } | Outcome::Extended { until_s, .. } => *until_s,
            Outcome::Delisted | Outcome::Unchanged => None,
            other => panic!("{other:?}"),
        };
        book.lock().expect("whole").insert(key, Known::Surely(now));
    }
}

/// Kills and restarts, and holds what is there against what was acknowledged.
fn rounds(count: u64) {
    let mut site = Site::new(&[("virbl.tee.gr.ip4set", "192.0.2.77\n")], "");
    let book = Book::default();
    let mut random = SmallRng::seed_from_u64(count);
    let mut acknowledged_at_most = 0;
    for round in 0..count {
        let is_over = AtomicBool::new(false);
        let state = site.state();
        thread::scope(|scope| {
            for asker in 0..ASKERS {
                let (state, book, is_over) = (&state, &book, &is_over);
                scope.spawn(move || pester(state, asker, round << 8 | u64::from(asker), book, is_over));
            }
            let wait = Duration::from_micros(random.random_range(1_000..150_000));
            let started = Instant::now();
            while started.elapsed() < wait {
                thread::sleep(Duration::from_micros(500));
            }
            site.kill();
            is_over.store(true, Relaxed);
        });
        site.start();
        let (exported, is_well) = site.run(&["listings", "export", ZONE]);
        assert!(is_well, "{exported}");
        let mut there: HashMap<String, Option<u64>> = HashMap::new();
        for line in exported.lines() {
            let record: Record = serde_json::from_str(line).expect("a record");
            there.insert(record.key.to_string(), record.until_s);
        }
        let mut book = book.lock().expect("whole");
        acknowledged_at_most = acknowledged_at_most.max(there.len());
        for (key, known) in book.iter_mut() {
            let now = there.remove(key).flatten();
            let is_right = match *known {
                Known::Surely(until_s) => now == until_s,
                Known::Either(before, Ask::ListUntil(until_s)) => now == before || now == Some(until_s),
                Known::Either(before, Ask::Delist) => now == before || now.is_none(),
            };
            assert!(is_right, "round {round}: {key} is {now:?}, and should be {known:?}");
            *known = Known::Surely(now);
        }
        assert!(there.is_empty(), "round {round}: nobody asked for {there:?}");
        // And what is stored is served.
        let (key, until_s) = book
            .iter()
            .find_map(|(key, known)| match known {
                Known::Surely(Some(until_s)) => Some((key.clone(), *until_s)),
                _ => None,
            })
            .unwrap_or_default();
        if until_s > 0 {
            let name = reversed(key.parse::<Ipv4Addr>().expect("an address"));
            assert_eq!(site.ask(&format!("{name}.{ZONE}"), 1).len(), 2, "{key}");
        }
    }
    assert!(acknowledged_at_most > 50, "too little happened: {acknowledged_at_most}");
}

#[test]
fn killed_at_random() {
    rounds(10);
}

#[test]
#[ignore = "takes minutes: cargo test --release --test listings -- --ignored killed_two_hundred_times"]
fn killed_two_hundred_times() {
    rounds(200);
}
