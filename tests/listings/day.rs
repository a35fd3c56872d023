//! The day's story: a virus at ten, another at twenty to eleven, and an hour after that the address is free again.

use std::time::Duration;

use dnsbld::live::listings::{Lifetime, Outcome, Verdict, What};

use super::world::{HOUR, MINUTE, TEN, World, put, somebody};

const ZONE: &str = "virbl.tee.gr";

fn an_hour() -> Lifetime {
    Lifetime::For(Duration::from_secs(HOUR))
}

#[test]
fn from_ten_to_twenty_to_twelve() {
    let world = World::new(&[("virbl.tee.gr.ip4set", ":127.0.0.3:virus from $ seen\n127.0.0.2\n")]);
    let question = "55.2.0.192.virbl.tee.gr";
    assert_eq!(world.ask(question, "A"), ["NXDOMAIN"]);
    assert_eq!(world.list(ZONE, "192.0.2.55", an_hour()), Outcome::Listed { until_s: Some(TEN + HOUR), times: 1 });
    // It is served with the zone's own value, from the moment that it was acknowledged.
    assert_eq!(world.ask(question, "A"), ["NOERROR", "answer 55.2.0.192.virbl.tee.gr 2100 A 127.0.0.3"]);
    let text = "answer 55.2.0.192.virbl.tee.gr 2100 TXT \"virus from 192.0.2.55 seen\"";
    assert_eq!(world.ask(question, "TXT"), ["NOERROR", text]);
    // No answer outlives its listing.
    world.at(TEN + 35 * MINUTE);
    assert_eq!(world.ask(question, "A")[1], "answer 55.2.0.192.virbl.tee.gr 1500 A 127.0.0.3");
    world.at(TEN + 40 * MINUTE);
    let until_s = Some(TEN + 100 * MINUTE);
    assert_eq!(world.list(ZONE, "192.0.2.55", an_hour()), Outcome::Extended { until_s, times: 2 });
    world.at(TEN + 100 * MINUTE - 1);
    assert_eq!(world.ask(question, "A")[1], "answer 55.2.0.192.virbl.tee.gr 1 A 127.0.0.3");
    assert_eq!(world.ask("2.0.192.virbl.tee.gr", "A"), ["NOERROR"], "something is below");
    world.at(TEN + 100 * MINUTE);
    assert_eq!(world.ask(question, "A"), ["NXDOMAIN"], "to the second");
    assert_eq!(world.ask("2.0.192.virbl.tee.gr", "A"), ["NXDOMAIN"], "nothing is below");
    assert_eq!(world.listings.get(&super::world::name(ZONE), &super::world::key("192.0.2.55")), Ok(None));
    assert_eq!(world.listings.sweep(), 1);
    let history: Vec<_> = world
        .history(ZONE, "192.0.2.55")
        .into_iter()
        .map(|event| (event.at_s - TEN, event.what, event.until_s, event.times, event.reason, event.origin.who))
        .collect();
    let why = Some("Eicar".to_owned());
    assert_eq!(
        history,
        [
            (0, What::Listed, Some(TEN + HOUR), 1, why.clone(), "postmaster".to_owned()),
            (40 * MINUTE, What::Extended, until_s, 2, why.clone(), "postmaster".to_owned()),
            (100 * MINUTE, What::Expired, until_s, 2, why, "dnsbld".to_owned()),
        ]
    );
}

#[test]
fn a_delisting_outlives_the_next_drop() {
    let mut world = World::new(&[("virbl.tee.gr.ip4set", "192.0.2.1\n192.0.2.2\n")]);
    assert_eq!(
        world.exclude(ZONE, "192.0.2.1"),
        Outcome::Excluded { until_s: None, was_listed: false, still_listed: 0 }
    );
    assert_eq!(world.ask("1.2.0.192.virbl.tee.gr", "A"), ["NXDOMAIN"]);
    world.drop_file("virbl.tee.gr.ip4set", "192.0.2.1\n192.0.2.2\n192.0.2.3\n");
    assert_eq!(world.ask("1.2.0.192.virbl.tee.gr", "A"), ["NXDOMAIN"]);
    assert_eq!(world.ask("3.2.0.192.virbl.tee.gr", "A").len(), 2, "the drop is there");
    world.restart();
    assert_eq!(world.ask("1.2.0.192.virbl.tee.gr", "A"), ["NXDOMAIN"], "after a restart too");
    assert_eq!(world.delist(ZONE, "192.0.2.1"), Outcome::Delisted);
    assert_eq!(world.ask("1.2.0.192.virbl.tee.gr", "A").len(), 2, "the file speaks again");
    assert_eq!(world.delist(ZONE, "192.0.2.1"), Outcome::Unchanged);
}

#[test]
fn no_listing_undoes_an_exclusion() {
    let mut world = World::new(&[("virbl.tee.gr.ip4set", "")]);
    world.list(ZONE, "192.0.2.1", Lifetime::Endless);
    let excluded = |was_listed| Outcome::Excluded { until_s: None, was_listed, still_listed: 0 };
    assert_eq!(world.exclude(ZONE, "192.0.2.1"), excluded(true));
    assert_eq!(world.exclude(ZONE, "192.0.2.1"), excluded(false));
    world.apply(vec![put(ZONE, "192.0.2.2", Verdict::Excluded, Lifetime::Until(TEN + HOUR))]);
    world.restart();
    for (address, name) in [("192.0.2.1", "1.2.0.192.virbl.tee.gr"), ("192.0.2.2", "2.2.0.192.virbl.tee.gr")] {
        let Outcome::Refused { refusal } = world.list(ZONE, address, Lifetime::Endless) else { panic!("not refused") };
        assert!(refusal.to_string().contains("excluded in zone virbl.tee.gr by command (postmaster: "), "{refusal}");
        assert_eq!(world.ask(name, "A"), ["NXDOMAIN"]);
    }
    assert_eq!(world.delist(ZONE, "192.0.2.1"), Outcome::Delisted);
    assert!(matches!(world.list(ZONE, "192.0.2.1", Lifetime::Endless), Outcome::Listed { .. }));
    world.at(TEN + HOUR);
    assert!(matches!(world.list(ZONE, "192.0.2.2", Lifetime::Endless), Outcome::Listed { .. }), "that is over");
}

#[test]
fn a_value_of_its_own() {
    let files =
        [("mixed.example.ip4set", "!192.0.2.9\n192.0.2.7 :4:from the file\n"), ("mixed.example.dnset", "a.test\n")];
    let world = World::new(&files);
    let own = |address: Option<[u8; 4]>, text: Option<&str>| Verdict::Listed {
        address: address.map(Into::into),
        text: text.map(str::to_owned),
    };
    world.apply(vec![
        put("mixed.example", "192.0.2.9", own(Some([127, 0, 0, 9]), Some("$ costs $$5")), Lifetime::Endless),
        put("mixed.example", "192.0.2.7", own(Some([127, 0, 0, 7]), Some("")), Lifetime::For(Duration::from_secs(9))),
        put("mixed.example", "2001:db8::/32", own(None, Some("$")), Lifetime::Endless),
        put("mixed.example", "*.b.test", own(None, Some("below $")), Lifetime::Endless),
    ]);
    let a = |question: &str| world.ask(&format!("{question}.mixed.example"), "A")[1..].to_vec();
    let txt = |question: &str| world.ask(&format!("{question}.mixed.example"), "TXT")[1..].to_vec();
    assert_eq!(a("9.2.0.192"), ["answer 9.2.0.192.mixed.example 2100 A 127.0.0.9"], "the file excludes it");
    assert_eq!(txt("9.2.0.192"), ["answer 9.2.0.192.mixed.example 2100 TXT \"192.0.2.9 costs $5\""]);
    // What the file says stands beside it, with one TTL for the set.
    let both = ["answer 7.2.0.192.mixed.example 9 A 127.0.0.4", "answer 7.2.0.192.mixed.example 9 A 127.0.0.7"];
    assert_eq!(a("7.2.0.192"), both);
    assert_eq!(
        txt("7.2.0.192"),
        ["answer 7.2.0.192.mixed.example 2100 TXT \"from the file\""],
        "and no text of its own"
    );
    let nibbles = format!("1{}.8.b.d.0.1.0.0.2", ".0".repeat(23));
    assert_eq!(a(&nibbles).len(), 1);
    assert!(txt(&nibbles)[0].ends_with("\"2001:db8::1\""));
    assert_eq!(txt("x.b.test"), ["answer x.b.test.mixed.example 2100 TXT \"below b.test\""]);
    assert_eq!(a("b.test"), [""; 0], "a wildcard is not its own name");
    assert_eq!(world.ask("test.mixed.example", "A"), ["NOERROR"]);
}

#[test]
fn a_restart_forgets_nothing() {
    let mut world = World::new(&[("mixed.example.ip4trie", "127.0.0.2\n"), ("mixed.example.dnset", "a.test\n")]);
    let keys: Vec<String> = (0..300)
        .map(|number| format!("198.51.{}.{}", number / 200, number % 200))
        .chain((0..300).map(|number| format!("2001:db8::{number:x}")))
        .chain((0..300).map(|number| format!("n{number}.example.net")))
        .chain(["203.0.113.0/24", "2001:db8:1::/48", "*.example.org"].map(str::to_owned))
        .collect();
    let changes = keys.iter().map(|key| put("mixed.example", key, Verdict::LISTED, Lifetime::Default)).collect();
    world.apply(changes);
    for key in keys.iter().step_by(7) {
        world.delist("mixed.example", key);
    }
    world.restart();
    let zone = super::world::name("mixed.example");
    for (number, key) in keys.iter().enumerate() {
        let record = world.listings.get(&zone, &super::world::key(key)).expect("readable");
        assert_eq!(record.is_some(), number % 7 != 0, "{key}");
        assert!(record.is_none_or(|record| record.until_s == Some(TEN + HOUR) && record.origin == somebody()));
    }
    for question in ["78.0.51.198", "9.113.0.203", "n8.example.net", "x.example.org"] {
        assert_eq!(world.ask(&format!("{question}.mixed.example"), "A").len(), 2, "{question}");
    }
    let mut paged = Vec::new();
    while let page = world.listings.of_zone(&zone, paged.last(), 100).expect("readable")
        && !page.is_empty()
    {
        assert!(page.len() <= 100);
        paged.extend(page.into_iter().map(|record| record.key));
    }
    assert_eq!(paged.len(), keys.len() - keys.len().div_ceil(7));
    // What is over is no longer there, and gives its memory back.
    world.at(TEN + 2 * HOUR);
    assert_eq!(world.listings.sweep(), paged.len());
    assert_eq!(world.listings.of_zone(&zone, None, 10).expect("readable"), []);
}
