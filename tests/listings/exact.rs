//! Every name is answered as a naive model says, whatever is listed and excluded by command over whatever files.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use dnsbld::live::listings::{Key, Lifetime, Outcome, Rule, Rules, Verdict};
use ipnet::IpNet;
use proptest::{collection::vec, prelude::*};

use super::{
    support::message::reversed,
    world::{World, key, put},
};

const ZONE: &str = "exact.example";

/// One address of the small world, which is the last octet of one prefix of each family.
fn address(low: u8, is_v4: bool) -> IpAddr {
    if is_v4 {
        Ipv4Addr::new(192, 0, 2, low).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(low)).into()
    }
}

/// All names above this one, but for the zone.
fn above(name: &str) -> impl Iterator<Item = String> {
    std::iter::successors(Some(name), |name| Some(name.split_once('.')?.1)).skip(1).map(str::to_owned)
}

fn prefix(low: u8, length: u8, is_v4: bool) -> String {
    let above = if is_v4 { 24 } else { 120 };
    IpNet::new(address(low, is_v4), above + length).expect("a prefix").trunc().to_string()
}

/// Whether one key is a part of another.
fn is_within(key: &Key, other: &Key) -> bool {
    match (key, other) {
        (Key::Prefix(net), Key::Prefix(wider)) => wider.contains(net) && wider != net,
        (Key::Name { name, .. }, Key::Name { name: above, is_wildcard: true }) => {
            name != above && name.strip(above).is_some()
        }
        _ => false,
    }
}

/// Lists and excludes one after the other, and returns what is said last of each key that was not refused.
fn apply(world: &World, changes: &[(String, bool)]) -> Vec<(Key, bool)> {
    let mut said: Vec<(Key, bool)> = Vec::new();
    for (text, is_listed) in changes {
        // No listing undoes an exclusion, and whoever means it delists first.
        if *is_listed {
            world.delist(ZONE, text);
        }
        let key = key(text);
        said.retain(|(other, _)| *other != key);
        let around = said.iter().find(|(other, other_is_listed)| !other_is_listed && is_within(&key, other));
        let verdict = if *is_listed { Verdict::LISTED } else { Verdict::Excluded };
        let outcome = world.apply(vec![put(ZONE, text, verdict, Lifetime::Endless)]).remove(0);
        match outcome {
            Outcome::Listed { .. } => assert!(*is_listed && around.is_none(), "{text} in {around:?}"),
            Outcome::Refused { .. } => {
                assert!(*is_listed && around.is_some(), "{text}: {outcome:?}");
                continue;
            }
            Outcome::Excluded { still_listed, .. } => {
                let within = said.iter().filter(|(other, is_listed)| *is_listed && is_within(other, &key)).count();
                assert!(!is_listed && still_listed == within, "{text}: {still_listed} and {within}");
            }
            other => panic!("{text}: {other:?}"),
        }
        said.push((key, *is_listed));
    }
    said
}

/// The code of the answer, and whether it has any records.
fn answer(world: &World, name: &str) -> (String, bool) {
    let lines = world.ask(&format!("{name}.{ZONE}"), "A");
    (lines[0].clone(), lines.len() > 1)
}

fn code(exists: bool) -> String {
    if exists { "NOERROR" } else { "NXDOMAIN" }.to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn addresses(
        files in vec((any::<u8>(), 0..=8u8, any::<bool>(), any::<bool>()), 0..12),
        changes in vec((any::<u8>(), 0..=8u8, any::<bool>(), any::<bool>()), 1..14),
    ) {
        let line = |&(low, length, is_v4, is_listed)| {
            format!("{}{}\n", if is_listed { "" } else { "!" }, prefix(low, length, is_v4))
        };
        let lines = files.iter().map(line).collect::<Vec<_>>().concat();
        let world = World::new(&[("exact.example.ip4trie", &lines)]);
        let changes: Vec<(String, bool)> =
            changes.iter().map(|&(low, length, is_v4, is_listed)| (prefix(low, length, is_v4), is_listed)).collect();
        let said = apply(&world, &changes);
        let mut existing: HashSet<String> = HashSet::new();
        for (is_v4, low) in [true, false].into_iter().flat_map(|is_v4| (0..=255).map(move |low| (is_v4, low))) {
            let address = address(low, is_v4);
            let name = reversed(address);
            let closest = said
                .iter()
                .filter_map(|(key, is_listed)| match key {
                    Key::Prefix(net) if net.contains(&address) => Some((net.prefix_len(), *is_listed)),
                    _ => None,
                })
                .max_by_key(|(length, _)| *length);
            let in_files = world.ask_files(&format!("{name}.{ZONE}"), "A").len() > 1;
            let is_listed = closest.map_or(in_files, |(_, is_listed)| is_listed);
            prop_assert_eq!(answer(&world, &name), (code(is_listed), is_listed), "{}", name);
            if is_listed {
                existing.extend(above(&name));
                if is_v4 {
                    // It is also in 2002::/16 (6to4), which begins as the others do.
                    existing.extend(["2", "0.2", "0.0.2"].map(str::to_owned));
                }
            }
        }
        let mut partial: HashSet<String> = HashSet::new();
        for low in 0..=255 {
            for is_v4 in [true, false] {
                partial.extend(above(&reversed(address(low, is_v4))));
            }
        }
        for name in partial {
            prop_assert_eq!(answer(&world, &name), (code(existing.contains(&name)), false), "{}", name);
        }
    }

    #[test]
    fn names(
        files in vec((vec(0..2usize, 1..4), any::<bool>(), any::<bool>()), 0..8),
        changes in vec((vec(0..2usize, 1..4), any::<bool>(), any::<bool>()), 1..10),
    ) {
        const LABELS: [&str; 3] = ["a", "b", "z"]; // the last is in no list
        let text = |labels: &[usize], is_wildcard: bool| {
            let name = labels.iter().map(|&label| LABELS[label]).collect::<Vec<_>>().join(".");
            if is_wildcard { format!("*.{name}") } else { name }
        };
        let line = |(labels, is_wildcard, is_listed): &(Vec<usize>, bool, bool)| {
            format!("{}{}\n", if *is_listed { "" } else { "!" }, text(labels, *is_wildcard))
        };
        let lines = files.iter().map(line).collect::<Vec<_>>().concat();
        let general = Rule { widest_name: 0, ..Rule::default() };
        let rules = Rules { general, ..Rules::default() };
        let world = World::with_rules(&[("exact.example.dnset", &lines)], rules);
        let changes: Vec<(String, bool)> =
            changes.iter().map(|(labels, is_wildcard, is_listed)| (text(labels, *is_wildcard), *is_listed)).collect();
        let said = apply(&world, &changes);
        let verdict = |name: &str, is_wildcard: bool| {
            let wanted = key(&if is_wildcard { format!("*.{name}") } else { name.to_owned() });
            said.iter().find(|(key, _)| *key == wanted).map(|(_, is_listed)| *is_listed)
        };
        // All names of up to four labels.
        let mut all = vec![String::new()];
        let mut level = vec![String::new()];
        for _ in 0..4 {
            level = level
                .iter()
                .flat_map(|below| LABELS.map(|label| if below.is_empty() { label.to_owned() } else { format!("{label}.{below}") }))
                .collect();
            all.extend(level.clone());
        }
        let is_listed = |name: &str| {
            verdict(name, false)
                .or_else(|| {
                    let mut above = name;
                    while let Some((_, rest)) = above.split_once('.') {
                        above = rest;
                        if let Some(is_listed) = verdict(above, true) {
                            return Some(is_listed);
                        }
                    }
                    None
                })
                .unwrap_or_else(|| world.ask_files(&format!("{name}.{ZONE}"), "A").len() > 1)
        };
        let listed: HashSet<&String> = all[1..].iter().filter(|name| is_listed(name)).collect();
        for name in all[1..].iter().filter(|name| name.split('.').count() < 4) {
            let below = format!(".{name}");
            let exists = listed.contains(name) || listed.iter().any(|other| other.ends_with(&below));
            prop_assert_eq!(answer(&world, name), (code(exists), listed.contains(name)), "{}", name);
        }
    }
}

/// A great many exclusions below a name do not make its answer slow: then it is said to exist.
#[test]
fn a_bounded_look() {
    let world = World::new(&[("exact.example.ip4trie", "10.0.0.0/8\n")]);
    let changes = (0..3_000u32).map(|number| {
        let address = Ipv4Addr::from(0x0a00_0000 | number << 10);
        put(ZONE, &address.to_string(), Verdict::Excluded, Lifetime::Endless)
    });
    world.apply(changes.collect());
    assert_eq!(answer(&world, "10"), (code(true), false));
    world.apply(vec![put(ZONE, "10.0.0.0/8", Verdict::Excluded, Lifetime::Endless)]);
    assert_eq!(answer(&world, "10"), (code(false), false));
    assert_eq!(answer(&world, "1.2.3.10"), (code(false), false));
}

/// A feed of several lists in one file: what is excluded by command is so in all of them, what is listed is in the zone itself.
#[test]
fn subzones() {
    let combined = "$DATASET ip4set sbl @\n:2:sbl\n127.0.0.2\n192.0.2.0/24\n$DATASET ip4trie xbl\n:4:xbl\n127.0.0.2\n\
        $DATASET ip6trie xbl\n:6:six\n2001:db8::/32\n$DATASET dnset dbl\n:5:dbl\n.spam.example\n";
    let world = World::new(&[("zen.example.combined", combined)]);
    let codes = |name: &str| world.ask(&format!("{name}.zen.example"), "A")[1..].to_vec();
    let address = reversed(address(1, false));
    for name in ["2.0.0.127", "2.0.0.127.sbl", "2.0.0.127.xbl", "www.spam.example.dbl", &format!("{address}.xbl")] {
        assert_eq!(codes(name).len(), 1, "{name}");
    }
    for key in ["127.0.0.2", "2001:db8::/32", "*.spam.example"] {
        let outcome = world.exclude("zen.example", key);
        assert!(matches!(outcome, Outcome::Excluded { .. }), "{key}: {outcome:?}");
    }
    for name in ["2.0.0.127", "2.0.0.127.sbl", "2.0.0.127.xbl", "www.spam.example.dbl", &format!("{address}.xbl")] {
        assert_eq!(codes(name).len(), 0, "{name}");
    }
    assert_eq!(codes("spam.example.dbl").len(), 1, "only what is below it was excluded");
    assert_eq!(codes("1.2.0.192.sbl").len(), 1);
    world.list("zen.example", "198.51.100.1", Lifetime::Endless);
    assert_eq!((codes("1.100.51.198").len(), codes("1.100.51.198.sbl").len()), (1, 0));
    // A wildcard above a subzone lists nothing in it.
    let deep = World::new(&[(
        "deep.example.combined",
        "$DATASET dnset a @\n:2:a\nx.example\n$DATASET ip4set b a.b.c\n:3:b\n127.0.0.2\n",
    )]);
    deep.list("deep.example", "*.b.c", Lifetime::Endless);
    assert_eq!(deep.ask("9.9.9.9.a.b.c.deep.example", "A")[0], "NXDOMAIN");
    assert_eq!(deep.ask("z.b.c.deep.example", "A").len(), 2);
    world.exclude("zen.example", "0.0.0.0/0");
    assert_eq!((codes("1.2.0.192").len(), codes("1.2.0.192.sbl").len(), codes("1.100.51.198").len()), (0, 0, 1));
    for (zone, key) in [
        ("zen.example", "spam.example"),
        ("zen.example", "2.0.0.127.xbl."),
        ("zen.example", "bad.example.dbl"),
        ("xbl.zen.example", "192.0.2.1"),
    ] {
        let outcome = world.list(zone, key, Lifetime::Endless);
        assert!(matches!(outcome, Outcome::Refused { .. }), "{zone} {key}: {outcome:?}");
    }
    let Outcome::Refused { refusal } = world.exclude("zen.example", "bad.example.dbl") else { panic!("not refused") };
    assert!(refusal.to_string().starts_with("dbl.zen.example is a subzone of zone zen.example"), "{refusal}");
}
