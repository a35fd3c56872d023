//! Zones are found by names in them, and subzones, and what stands between.

use super::*;
use crate::zone::{dataset::Kind, records::Records, values::Values};

fn zone(apex: &str) -> Zone {
    let apex = Name::parse(apex.as_bytes()).expect("a name");
    Zone { apex, content: Some(Content::new(None, None, None, [[]])), acl: None, keys: None, live_slot: 0 }
}

fn query_name(text: &str) -> QueryName {
    let mut name = QueryName::new();
    name.read(Name::parse(text.as_bytes()).expect("a name").as_wire()).expect("a name");
    name
}

#[test]
fn the_closest_zone_answers_whatever_the_order() {
    let snapshot = Snapshot::new(vec![zone("bl.example"), zone("a.b.bl.example"), zone("wl.test")], None, None);
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
    let below = below(&apexes, &Catalog::new(&apexes));
    let shown = below.iter().map(|names| names.iter().map(Name::to_string).collect::<Vec<_>>().join(" "));
    let shown: Vec<String> = shown.collect();
    assert_eq!(shown, ["a.b b xb", "", "a", "", "", "example a.b.example b.example a.b.test xb.example"]);
}

#[test]
fn the_closest_of_many_subzones_answers() {
    const SUBZONES: usize = 10_000;
    let dataset = Arc::new(Dataset {
        label: "some".into(),
        kind: Kind::Generic,
        ttl_s: 60,
        values: Values::default(),
        default_value: None,
        entries: Entries::Records(Records::default()),
    });
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
    assert!(content.is_non_terminal(x.relative(1)));
    assert!(!content.is_non_terminal(query_name("y").relative(1)));
}

#[test]
fn what_stands_above_a_zone_exists() {
    let snapshot = Snapshot::new(vec![zone("bl.example"), zone("a.b.bl.example")], None, None);
    let content = snapshot.zones()[0].content.as_ref().expect("content");
    let exists = |text: &str| content.is_non_terminal(query_name(text).relative(1));
    assert!(exists("b.bl.example"));
    assert!(!exists("c.bl.example"));
}
