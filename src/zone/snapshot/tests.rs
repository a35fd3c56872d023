//! Zones are found by names in them, and subzones, and what stands between.

use std::collections::BTreeSet;

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::*;
use crate::zone::{
    dataset::Kind,
    records::Records,
    scattered::{rounds, to_wire},
    values::Values,
};

fn zone(apex: &str) -> Zone {
    let apex = Name::parse(apex.as_bytes()).expect("a name");
    Zone { apex, content: Some(Content::new(None, None, None, [[]])), acl: Vec::new(), keys: Vec::new(), live_slot: 0 }
}

fn query_name(text: &str) -> QueryName {
    let mut name = QueryName::new();
    name.read(Name::parse(text.as_bytes()).expect("a name").as_wire()).expect("a name");
    name
}

#[test]
fn the_closest_zone_answers_whatever_the_order() {
    let snapshot =
        Snapshot::new(vec![zone("bl.example"), zone("a.b.bl.example"), zone("wl.test")], Vec::new(), Vec::new());
    let find = |text: &str| snapshot.find(&query_name(text));
    assert_eq!(find("2.0.0.127.bl.example"), Some((0, 4)));
    assert_eq!(find("x.a.b.bl.example"), Some((1, 1)));
    assert_eq!(find("BL.Example"), Some((0, 0)));
    assert_eq!(find("example"), None);
    assert_eq!(find("xbl.example"), None);
    assert_eq!(find("."), None);
}

#[test]
fn a_zone_is_below_all_that_its_name_ends_in() {
    let apexes = ["example", "a.b.example", "b.example", "a.b.test", "xb.example", "."];
    let apexes = apexes.map(|text| Name::parse(text.as_bytes()).expect("a name"));
    let below = below(&apexes, &Catalog::new(apexes.iter().zip(0..)));
    let shown = below.iter().map(|names| names.iter().map(Name::to_string).collect::<Vec<_>>().join(" "));
    let shown: Vec<String> = shown.collect();
    assert_eq!(shown, ["a.b b xb", "", "a", "", "", "example a.b.example b.example a.b.test xb.example"]);
}

fn dataset(label: &str) -> Arc<Dataset> {
    Arc::new(Dataset {
        label: label.into(),
        kind: Kind::Generic,
        ttl_s: 60,
        values: Values::default(),
        default_value: None,
        entries: Entries::Records(Records::default()),
    })
}

/// Specifications with subzones of their own, held against a look through all of them.
#[test]
fn of_each_specification_the_closest_subzone_answers() {
    for seed in 0..rounds(100) {
        let random = &mut SmallRng::seed_from_u64(seed);
        let path = |random: &mut SmallRng| -> Vec<Vec<u8>> {
            (0..random.random_range(0..4))
                .map(|_| [&b"a"[..], b"b", b"a-b"].choose(random).expect("some").to_vec())
                .collect()
        };
        let name = |path: &[Vec<u8>]| Name::from_wire(&to_wire(path));
        // Of each specification, its sections with their subzones.
        let mut specifications: Vec<Vec<(Vec<Name>, Arc<Dataset>)>> = Vec::new();
        for number in 0..random.random_range(1..4) {
            let section = |at: usize| {
                let names: BTreeSet<Name> = (0..random.random_range(1..4)).map(|_| name(&path(random))).collect();
                (names.into_iter().collect(), dataset(&format!("{number} {at}")))
            };
            specifications.push((0..3).map(section).collect());
        }
        let sections = specifications.iter().map(|own| own.iter().map(|(names, dataset)| (&names[..], dataset)));
        let content = Content::new(None, None, None, sections);
        for _ in 0..60 {
            let asked = path(random);
            let above = |count: usize| name(&asked[..count]);
            let mut expected: Vec<(usize, &str)> = Vec::new();
            for own in &specifications {
                let at = |count: &usize| own.iter().any(|(names, _)| names.contains(&above(*count)));
                let Some(closest) = (0..=asked.len()).rev().find(at) else { continue };
                let there = own.iter().filter(|(names, _)| names.contains(&above(closest)));
                expected.extend(there.map(|(_, dataset)| (asked.len() - closest, &*dataset.label)));
            }
            let asked_name = query_name(&name(&asked).to_string());
            let relative = asked_name.relative(asked.len());
            let mut found: Vec<(usize, &str)> = Vec::new();
            content.part(relative).seek(relative).for_each(|dataset, subject| {
                found.push((subject.name.label_count(), &dataset.label));
            });
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{seed}");
            let mut subzones = specifications.iter().flatten().flat_map(|(names, _)| names);
            let is_above =
                subzones.any(|subzone| *subzone != above(asked.len()) && subzone.strip(&above(asked.len())).is_some());
            assert_eq!(content.is_above_subzone(relative), is_above, "{seed}");
        }
    }
}

#[test]
fn the_closest_of_many_subzones_answers() {
    const SUBZONES: usize = 10_000;
    let dataset = dataset("some");
    let name = |number: usize| Name::parse(format!("s{number}.x").as_bytes()).expect("a name");
    let names: Vec<Name> = (0..SUBZONES).map(name).chain([Name::root()]).collect();
    // All of one section, and each of one of its own.
    let specifications = [vec![(&names[..], &dataset)], names.chunks(1).map(|name| (name, &dataset)).collect()];
    let content = Content::new(None, None, None, specifications);
    assert_eq!((content.parts().len(), content.datasets().len()), (SUBZONES + 1, 1));
    assert!(content.parts().iter().all(|part| part.datasets.len() == 2 && part.above.is_empty()));
    for (asked, closest) in [("a.s7.x", "s7.x"), ("s9999.x", "s9999.x"), ("s10000.x", "."), ("x", "."), (".", ".")] {
        let asked = query_name(asked);
        let relative = asked.relative(asked.label_count());
        assert_eq!(content.part(relative).name.to_string(), closest);
    }
    let x = query_name("x");
    assert!(content.is_above_subzone(x.relative(1)));
    assert!(!content.is_above_subzone(query_name("y").relative(1)));
}

#[test]
fn what_stands_above_a_zone_exists() {
    let snapshot = Snapshot::new(vec![zone("bl.example"), zone("a.b.bl.example")], Vec::new(), Vec::new());
    let content = snapshot.zones()[0].content.as_ref().expect("content");
    let exists = |text: &str| content.is_above_zone(query_name(text).relative(1));
    assert!(exists("b.bl.example"));
    assert!(!exists("c.bl.example"));
}
