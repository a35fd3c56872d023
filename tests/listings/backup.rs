//! A backup made while listings are taken is what there was at one moment: all that was acknowledged before it, and no half of
//! what was asked together.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixListener,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    thread,
};

use dnsbld::live::listings::{Lifetime, Verdict};

use super::{
    process::told,
    support::daemon::dnsbld,
    world::{World, key, name, put, somebody},
};

const ZONE: &str = "virbl.tee.gr";
const FILES: [(&str, &str); 1] = [("virbl.tee.gr.ip4set", "127.0.0.2\n")];
const PAIRS_MAX: u32 = 10_000;
const BACKUPS: u32 = 5;

fn pair(number: u32) -> [String; 2] {
    let [_, a, b, c] = number.to_be_bytes();
    ["10", "11"].map(|first| format!("{first}.{a}.{b}.{c}"))
}

#[test]
fn made_while_listings_are_taken() {
    let world = World::new(&FILES);
    let (acknowledged, is_over) = (AtomicU32::new(0), AtomicBool::new(false));
    let mut known = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..PAIRS_MAX {
                if is_over.load(SeqCst) {
                    break;
                }
                let change = |text: &String| put(ZONE, text, Verdict::LISTED, Lifetime::Endless);
                world.listings.apply(pair(number).iter().map(change).collect(), &somebody()).expect("written");
                acknowledged.store(number + 1, SeqCst);
            }
        });
        for number in 0..BACKUPS {
            let enough = (number + 1) * 20;
            while acknowledged.load(SeqCst) < enough {
                thread::yield_now();
            }
            let before = acknowledged.load(SeqCst);
            let file = world.root.path().join(format!("backup-{number}"));
            world.listings.backup(&file).expect("made");
            known.push((before, acknowledged.load(SeqCst) + 1, file));
        }
        is_over.store(true, SeqCst);
    });
    for (at_least, at_most, file) in known {
        let mut restored = World::new(&FILES);
        restored.listings.stop();
        fs::copy(&file, restored.root.path().join("state/listings.redb")).expect("copied");
        restored.restart();
        let there = restored.listings.of_zone(&name(ZONE), None, usize::MAX).expect("readable");
        let count = there.len() as u32 / 2;
        assert!((at_least..=at_most).contains(&count), "{count} pairs, of {at_least} to {at_most}");
        let mut expected: Vec<String> = (0..count).flat_map(pair).collect();
        expected.sort_unstable_by_key(|text| text.parse::<std::net::Ipv4Addr>().expect("an address"));
        assert_eq!(there.iter().map(|record| record.key.to_string()).collect::<Vec<_>>(), expected);
        for text in pair(count - 1) {
            assert_eq!(restored.history(ZONE, &text).len(), 1, "its history is there");
            assert!(restored.listings.get(&name(ZONE), &key(&text)).expect("readable").is_some());
        }
    }
}

/// As with a unit that has a /tmp of its own, or a chroot: the server does as it says, and nobody else finds the file. What sees
/// other folders here stands in for such a server, which only root could start.
#[test]
fn one_that_is_not_where_it_was_asked_for_is_looked_for() {
    let root = tempfile::tempdir().expect("a folder");
    let (state, outside) = (root.path().join("locked/state"), root.path().join("outside"));
    fs::create_dir_all(&state).expect("a folder");
    fs::create_dir(&outside).expect("a folder");
    let door = UnixListener::bind(state.join("control")).expect("a socket");
    let back_up = |file: PathBuf, written: Option<PathBuf>| {
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = door.accept().expect("a client");
                BufReader::new(&stream).read_line(&mut String::new()).expect("a request");
                if let Some(written) = written {
                    fs::write(written, "all of it").expect("written");
                }
                let answer = r#"{"answer":"listings","told":{"answer":"backed-up","bytes":9}}"#;
                writeln!(stream, "{answer}").expect("answered");
            });
            let mut command = dnsbld();
            command.args(["listings", "backup"]).arg(file).arg("--state").arg(&state);
            told(command.output().expect("the program runs"))
        })
    };
    let there = outside.join("copy.redb");
    let (said, is_well) = back_up(there.clone(), Some(there.clone()));
    assert!(is_well && said == "backed up, 0.0 MB\n", "{said}");
    for asked in [outside.join("other.redb"), there] {
        let (said, is_well) = back_up(asked, None);
        assert!(!is_well && said.contains(" is not there: the server sees other folders"), "{said}");
    }
    let (said, is_well) = back_up("/state/copy.redb".into(), Some(state.join("copy.redb")));
    assert!(is_well && said.contains(&format!("chroot: {}/copy.redb\n", state.display())), "{said}");
}
