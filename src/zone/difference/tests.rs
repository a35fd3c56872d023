//! Differences against a naive model: every address and every name of a small world, asked on both sides.

use std::{collections::BTreeSet, sync::Arc};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    load::{self, Loaded, Options, Report, Source},
    wire::name::QueryName,
    zone::{
        dataset::{Entries, Kind},
        ruling::Finding,
        snapshot::{Snapshot, Zone},
    },
};

const CONTEXT: Context = Context { now_s: 1_000, keyed: false };

fn dataset(kind: Kind, text: &str) -> Arc<Dataset> {
    let source = Source { name: "file".to_owned(), modified_s: 0, reader: Box::new(text.as_bytes()) };
    let mut report = Report::default();
    let options = Options { now_s: 1_000, ..Options::default() };
    let loaded = load::load(kind, "set", [Ok(source)], &options, &mut report).expect("loads");
    assert_eq!(report.warnings(), 0, "{text}: {:?}", report.remarks());
    let Loaded::Data(mut data) = loaded else { panic!("an access list") };
    data.sections.remove(0).dataset
}

fn snapshot(sets: &[(Kind, &str)]) -> Snapshot {
    let datasets: Vec<_> = sets.iter().map(|(kind, text)| dataset(*kind, text)).collect();
    let root = [Name::root()];
    let sections = datasets.iter().map(|dataset| [(&root[..], dataset)]);
    let content = Content::new(None, None, None, sections);
    let apex = Name::parse(b"bl.example").expect("a name");
    Snapshot::new(vec![Zone { apex, content: Some(content), acl: None, keys: None, live_slot: 0 }], None, None)
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

/// The values that some datasets answer an address or a name with.
fn asked(snapshot: &Snapshot, ask: impl for<'a> Fn(&'a Dataset) -> Finding<'a>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for dataset in snapshot.zones()[0].content.iter().flat_map(Content::datasets) {
        ask(dataset).for_each_value(&CONTEXT, |value, _, _| {
            found.insert(format!(
                "{} {:?}",
                dataset.values.address(value),
                dataset.values.text(value).map(|text| dataset.values.expand(text, b"$"))
            ));
        });
    }
    found
}

fn change(old: &BTreeSet<String>, new: &BTreeSet<String>) -> Option<Change> {
    match (old.is_empty(), new.is_empty()) {
        _ if old == new => None,
        (true, _) => Some(Change::Listed),
        (_, true) => Some(Change::Delisted),
        _ => Some(Change::Changed),
    }
}

prop_compose! {
    fn address_lines()(lines in vec((any::<bool>(), 0..64u8, 26..=32u8, 2..4u8), 0..12)) -> String {
        let show = |(excludes, last, length, value): (bool, u8, u8, u8)| {
            let base = u32::from(last) & (u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0));
            if excludes { format!("!192.0.2.{base}/{length}\n") } else { format!("192.0.2.{base}/{length} :{value}:x\n") }
        };
        lines.into_iter().map(show).collect()
    }
}

prop_compose! {
    fn name_lines()(lines in vec((any::<bool>(), 0..3_usize, vec(0..2u8, 1..4), 2..4u8), 0..10)) -> String {
        let show = |(excludes, scope, labels, value): (bool, usize, Vec<u8>, u8)| {
            let name = labels.iter().map(|label| ["a", "b"][usize::from(*label)]).collect::<Vec<_>>().join(".");
            let scope = ["", ".", "*."][scope];
            if excludes { format!("!{scope}{name}\n") } else { format!("{scope}{name} :{value}:x\n") }
        };
        lines.into_iter().map(show).collect()
    }
}

proptest! {
    #[test]
    fn addresses_as_asking_for_each_would_find(old in vec(address_lines(), 1..3), new in vec(address_lines(), 1..3)) {
        let side = |texts: &[String]| {
            let sets: Vec<_> = texts.iter().map(|text| (Kind::Ip4Set, text.as_str())).collect();
            snapshot(&sets)
        };
        let (old, new) = (side(&old), side(&new));
        let mut expected = [0; 3];
        for address in 0xc000_0200..0xc000_0240_u32 {
            let ask = |snapshot| asked(snapshot, |dataset| match &dataset.entries {
                Entries::Addresses(addresses) => addresses.find_v4(address, &CONTEXT),
                _ => Finding::Absent,
            });
            if let Some(change) = change(&ask(&old), &ask(&new)) {
                expected[change as usize] += 1;
            }
        }
        let found = difference(&old, &new, &CONTEXT, 10, |_| true).remove(0);
        prop_assert_eq!(amounts(&found).map(|amounts| amounts.v4), expected);
    }

    /// Names and wildcards are counted where something is said of them; whatever a client can ask for changes if and only if
    /// something is counted.
    #[test]
    fn names_change_if_any_answer_does(old in vec(name_lines(), 1..3), new in vec(name_lines(), 1..3)) {
        let side = |texts: &[String]| {
            let sets: Vec<_> = texts.iter().map(|text| (Kind::DnSet, text.as_str())).collect();
            snapshot(&sets)
        };
        let (old, new) = (side(&old), side(&new));
        let mut names = vec![String::new()];
        for _ in 0..4 {
            let longer = names.iter().flat_map(|name| ["a", "b", "c"].map(|label| format!("{label}.{name}"))).collect::<Vec<_>>();
            names.extend(longer);
            names.sort();
            names.dedup();
        }
        let mut any_changes = false;
        for name in names.iter().filter(|name| !name.is_empty()) {
            let mut query = QueryName::new();
            query.read(Name::parse(name.trim_end_matches('.').as_bytes()).expect("a name").as_wire()).expect("a name");
            let ask = |snapshot| asked(snapshot, |dataset| match &dataset.entries {
                Entries::Names(names) => names.look_up(query.relative(query.label_count()), &CONTEXT).finding,
                _ => Finding::Absent,
            });
            any_changes |= change(&ask(&old), &ask(&new)).is_some();
        }
        let found = difference(&old, &new, &CONTEXT, 10, |_| true).remove(0);
        prop_assert_eq!(!found.is_empty(), any_changes, "{:?}", found);
    }
}
