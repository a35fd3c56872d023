//! Differences of a few lines, told by hand.

mod access;
mod wide;

use std::sync::Arc;

use super::*;
use crate::{
    load::{self, Loaded, Options, Report, Source},
    zone::{
        dataset::Kind,
        snapshot::{Snapshot, Zone},
    },
};

const CONTEXT: Context = Context { now_s: 1_000, keyed: false };

fn read(kind: Kind, text: &str) -> Loaded {
    let source = Source { name: "file".to_owned(), modified_s: 0, reader: Box::new(text.as_bytes()) };
    let mut report = Report::default();
    let options = Options { now_s: 1_000, ..Options::default() };
    let loaded = load::load(kind, "set", [Ok(source)], &options, &mut report).expect("loads");
    assert_eq!(report.warnings(), 0, "{text}: {:?}", report.remarks());
    loaded
}

fn dataset(kind: Kind, text: &str) -> Arc<Dataset> {
    let Loaded::Data(mut data) = read(kind, text) else { panic!("an access list") };
    data.sections.remove(0).dataset
}

fn snapshot(sets: &[(Kind, &str)]) -> Snapshot {
    snapshot_of(&sets.iter().map(|(kind, text)| dataset(*kind, text)).collect::<Vec<_>>())
}

fn snapshot_of(datasets: &[Arc<Dataset>]) -> Snapshot {
    let root = [Name::root()];
    let sections = datasets.iter().map(|dataset| [(&root[..], dataset)]);
    let content = Content::new(None, None, None, sections);
    let apex = Name::parse(b"bl.example").expect("a name");
    Snapshot::new(
        vec![Zone { apex, content: Some(content), acl: Vec::new(), keys: Vec::new(), live_slot: 0 }],
        Vec::new(),
        Vec::new(),
    )
}

fn compared(old: &[(Kind, &str)], new: &[(Kind, &str)]) -> Difference {
    let mut found = difference(&snapshot(old), &snapshot(new), &CONTEXT, 10, |_| true);
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn amounts(difference: &Difference) -> [Amounts; 3] {
    Change::ALL.map(|change| difference.amounts_of(change))
}

#[test]
fn what_is_written_otherwise_is_no_change() {
    let hosts: Vec<String> = (0..256).rev().map(|last| format!("192.0.2.{last}")).collect();
    let hosts = hosts.join("\n");
    let halves = "192.0.2.0/25\n192.0.2.128-192.0.2.255\n";
    let whole = "192.0.2.0/24\n";
    for (old, new) in [(whole, &*hosts), (&*hosts, halves), (halves, whole)] {
        assert!(compared(&[(Kind::Ip4Set, old)], &[(Kind::Ip4Set, new)]).is_empty(), "{new}");
        assert!(compared(&[(Kind::Ip4Set, old)], &[(Kind::Ip4Trie, whole)]).is_empty());
    }
    let two =
        compared(&[(Kind::Ip4Set, halves)], &[(Kind::Ip4Set, "192.0.2.0/25\n"), (Kind::Ip4Set, "192.0.2.128/25\n")]);
    assert!(two.is_empty(), "{two:?}");
    let names =
        compared(&[(Kind::DnSet, ".example\nwww.example\na.b\n")], &[(Kind::DnSet, "a.b\n*.example\nexample\n")]);
    assert!(names.is_empty(), "{names:?}");
    let renewed =
        compared(&[(Kind::Ip4Set, "192.0.2.1 @ until=2000\n")], &[(Kind::Ip4Set, "192.0.2.1 @ until=3000\n")]);
    assert!(renewed.is_empty());
}

#[test]
fn what_changes_is_counted_and_shown() {
    let old = ":2:old\n192.0.2.0/24\n198.51.100.7 :3:gone\n2001:db8::/64\n";
    let new = ":2:old\n192.0.2.0/24\n!192.0.2.128/25\n192.0.2.5 :2:other\n203.0.113.0/31\n2001:db8::/65\n";
    let found = compared(&[(Kind::Ip4Trie, old)], &[(Kind::Ip4Trie, new)]);
    let [listed, delisted, changed] = amounts(&found);
    assert_eq!((listed.v4, delisted.v4, changed.v4), (2, 129, 1));
    assert_eq!((listed.v6, delisted.v6, changed.v6), (0, 1 << 63, 0));
    assert_eq!((found.before.v4, found.before.v6), (257, 1 << 64));
    assert_eq!(found.shown[&Change::Changed], [Item::V4(0xc000_0205, 0xc000_0205)]);
    assert_eq!(found.shown[&Change::Listed], [Item::V4(0xcb00_7100, 0xcb00_7101)]);
    assert_eq!(found.shown[&Change::Delisted].len(), 3);
    assert!((delisted.greatest_share_of(&found.before) - 129.0 / 257.0).abs() < 1e-9);

    let found = compared(
        &[(Kind::DnSet, ":2:a\n.example\nspam.test\n"), (Kind::Generic, "www A 192.0.2.1\nmail A 192.0.2.2\n")],
        &[
            (Kind::DnSet, ":2:a\nexample\n!www.example\nspam.test :3:b\nnew.test\n"),
            (Kind::Generic, "www A 192.0.2.9\n"),
        ],
    );
    let [listed, delisted, changed] = amounts(&found);
    assert_eq!((listed.names, listed.wildcards, listed.records), (1, 0, 0));
    assert_eq!((delisted.names, delisted.wildcards, delisted.records), (1, 1, 1), "{found:?}");
    assert_eq!((changed.names, changed.wildcards, changed.records), (1, 0, 1));
}

#[test]
fn zones_that_come_and_go() {
    let (nothing, some) = (Snapshot::default(), snapshot(&[(Kind::Ip4Set, "192.0.2.0/30\n")]));
    let come = difference(&nothing, &some, &CONTEXT, 1, |_| true);
    assert_eq!((come.len(), come[0].amounts_of(Change::Listed).v4), (1, 4));
    assert_eq!(difference(&some, &nothing, &CONTEXT, 1, |_| true)[0].amounts_of(Change::Delisted).v4, 4);
    assert!(difference(&some, &nothing, &CONTEXT, 1, |_| false).is_empty());
}

#[test]
fn the_ends_of_the_address_space() {
    let found = compared(&[(Kind::Ip4Set, "0.0.0.0/1\n")], &[(Kind::Ip4Set, "128.0.0.0/1\n0.0.0.0\n")]);
    let [listed, delisted, changed] = amounts(&found);
    assert_eq!((listed.v4, delisted.v4, changed.v4), (1 << 31, (1 << 31) - 1, 0));
    let all = compared(&[(Kind::Ip6Trie, "::/0\n")], &[(Kind::Ip6Trie, ":3:\n::/0\n")]);
    assert_eq!(amounts(&all)[2].v6, u128::MAX);
}
