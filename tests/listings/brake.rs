//! The brake: nothing new is listed within what is excluded, by whichever way it comes, and whoever excludes is told what stays
//! listed there.

use std::sync::mpsc;

use dnsbld::live::listings::{Batch, Change, Condition, Lifetime, Op, Outcome, Refusal, Rule, Rules, Verdict, What};

use super::world::{HOUR, TEN, World, key, name, put, somebody};

const ZONE: &str = "virbl.tee.gr";

fn world() -> World {
    let rules = Rules { general: Rule { widest_name: 0, ..Rule::default() }, ..Rules::default() };
    World::with_rules(&[("virbl.tee.gr.ip4set", ""), ("rhsbl.tee.gr.dnset", "test\n")], rules)
}

fn list(text: &str) -> Change {
    put(ZONE, text, Verdict::LISTED, Lifetime::Endless)
}

fn exclude(text: &str) -> Change {
    put(ZONE, text, Verdict::Excluded, Lifetime::Endless)
}

fn delist(text: &str) -> Change {
    Change { zone: name(ZONE), key: key(text), op: Op::Delist, reason: None }
}

/// What excludes it, if that is why it is not listed.
fn barred_by(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Refused { refusal: Refusal::Excluded { key, .. } } => Some(key),
        _ => None,
    }
}

fn still_listed(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Excluded { still_listed, .. } => *still_listed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_listed_within_an_exclusion() {
    let mut world = world();
    let listed = |world: &World, text: &str| world.list(ZONE, text, Lifetime::Endless);
    assert!(matches!(listed(&world, "2.2.2.2"), Outcome::Listed { .. }));
    assert!(matches!(listed(&world, "2001:db8::2"), Outcome::Listed { .. }));
    assert_eq!(still_listed(&world.exclude(ZONE, "0.0.0.0/0")), 1, "whoever pulls it is told");
    assert_eq!(world.ask("2.2.2.2.virbl.tee.gr", "A").len(), 2, "what is listed stays");
    world.restart();
    for text in ["3.3.3.3", "2.2.2.2", "10.0.0.0/8"] {
        let outcome = listed(&world, text);
        assert_eq!(barred_by(&outcome), Some("0.0.0.0/0"), "{text}: {outcome:?}");
    }
    let Outcome::Refused { refusal } = listed(&world, "3.3.3.3") else { panic!("not refused") };
    assert_eq!(
        refusal.to_string(),
        "0.0.0.0/0 is excluded in zone virbl.tee.gr by command (postmaster: Eicar): who means to list it, or a part of it, \
         delists 0.0.0.0/0 first"
    );
    assert!(matches!(listed(&world, "2001:db8::3"), Outcome::Listed { .. }), "of the other family");
    assert_eq!(world.delist(ZONE, "2.2.2.2"), Outcome::Delisted);
    assert_eq!(barred_by(&listed(&world, "2.2.2.2")), Some("0.0.0.0/0"), "it is gone now");
    assert_eq!(still_listed(&world.exclude(ZONE, "::/0")), 2);
    assert_eq!(still_listed(&world.exclude(ZONE, "2001:db8::2/127")), 2);
    assert_eq!(barred_by(&listed(&world, "2001:db8::3")), Some("2001:db8::2/127"), "the narrower one");
    // One that is over is none.
    world.apply(vec![delist("0.0.0.0/0"), put(ZONE, "10.0.0.0/8", Verdict::Excluded, Lifetime::Until(TEN + HOUR))]);
    assert_eq!(barred_by(&listed(&world, "10.1.1.1")), Some("10.0.0.0/8"));
    assert!(matches!(listed(&world, "11.1.1.1"), Outcome::Listed { .. }));
    world.at(TEN + HOUR);
    assert!(matches!(listed(&world, "10.1.1.1"), Outcome::Listed { .. }));
}

#[test]
fn nothing_is_listed_below_an_excluded_name() {
    let world = world();
    let listed = |text: &str| world.list("rhsbl.tee.gr", text, Lifetime::Endless);
    for text in ["example.com", "a.example.com", "*.a.example.com", "b.example.org", "xample.com"] {
        assert!(matches!(listed(text), Outcome::Listed { .. }), "{text}");
    }
    assert_eq!(still_listed(&world.exclude("rhsbl.tee.gr", "*.example.com")), 2, "not itself");
    assert_eq!(still_listed(&world.exclude("rhsbl.tee.gr", "example.org")), 0, "a name is only itself");
    for text in ["b.example.com", "x.y.example.com", "*.b.example.com", "a.example.com", "*.a.example.com"] {
        assert_eq!(barred_by(&listed(text)), Some("*.example.com"), "{text}");
    }
    for text in ["*.org", "b.example.org", "b.xample.com", "example.com", "*.com"] {
        assert!(matches!(listed(text), Outcome::Listed { .. } | Outcome::Extended { .. }), "{text}");
    }
}

#[test]
fn what_comes_together_is_seen_in_its_order() {
    let world = world();
    let said = world.apply(vec![list("10.1.1.1"), exclude("10.0.0.0/8"), list("10.1.1.2"), list("11.1.1.1")]);
    assert!(still_listed(&said[1]) == 1 && matches!(said[3], Outcome::Listed { .. }), "{said:?}");
    assert_eq!(barred_by(&said[2]), Some("10.0.0.0/8"));
    let said = world.apply(vec![delist("10.0.0.0/8"), list("10.1.1.2")]);
    assert!(matches!(said[1], Outcome::Listed { .. }), "{said:?}");

    let submit = |changes| {
        let (sender, receiver) = mpsc::channel();
        let batch = Batch { changes, origin: somebody(), is_atomic: true, condition: None };
        world.listings.submit(batch, move |applied| sender.send(applied).expect("awaited"));
        receiver.recv().expect("told").expect("decided")
    };
    let not_alone = Outcome::Refused { refusal: Refusal::NotAlone };
    for (wide, narrow) in [("12.0.0.0/8", "12.1.1.1"), ("12.1.1.1", "12.1.1.1")] {
        let said = submit(vec![list("13.1.1.1"), exclude(wide), list(narrow)]);
        assert_eq!((&said[..2], barred_by(&said[2])), (&[not_alone.clone(), not_alone.clone()][..], Some(wide)));
        assert!(matches!(world.list(ZONE, narrow, Lifetime::Endless), Outcome::Listed { .. }), "nothing was done");
        assert_eq!(world.delist(ZONE, narrow), Outcome::Delisted);
    }
    world.exclude(ZONE, "12.0.0.0/8");
    let said = submit(vec![list("13.1.1.1"), list("12.1.1.1")]);
    assert_eq!((&said[0], barred_by(&said[1])), (&not_alone, Some("12.0.0.0/8")));
    let said = submit(vec![delist("12.0.0.0/8"), list("12.1.1.1"), exclude("12.0.0.0/8")]);
    assert!(matches!(said[1], Outcome::Listed { .. }) && still_listed(&said[2]) == 1, "{said:?}");
}

#[test]
fn what_is_refused_takes_no_room() {
    let rules = Rules { general: Rule { max_listings: 2, ..Rule::default() }, ..Rules::default() };
    let world = World::with_rules(&[("virbl.tee.gr.ip4set", "")], rules);
    world.exclude(ZONE, "10.0.0.0/8");
    let (sender, receiver) = mpsc::channel();
    let submit = |changes, condition: Option<Condition>| {
        let sender = sender.clone();
        let batch = Batch { changes, origin: somebody(), is_atomic: false, condition };
        world.listings.submit(batch, move |applied| sender.send(applied).expect("awaited"));
    };
    // While the writer waits for the first one, the others gather for one commit.
    let (go, wait) = mpsc::channel::<()>();
    submit(vec![], Some(Box::new(move |_| wait.recv().is_ok())));
    submit(vec![list("10.1.1.1")], None);
    submit(vec![list("11.1.1.1")], None);
    go.send(()).expect("it waits");
    let said: Vec<_> = receiver.iter().take(3).map(|applied| applied.expect("decided")).collect();
    assert!(barred_by(&said[1][0]).is_some() && matches!(said[2][0], Outcome::Listed { .. }), "{said:?}");
    // Nor does it within one batch.
    world.delist(ZONE, "11.1.1.1");
    let said = world.apply(vec![list("10.1.1.1"), list("10.1.1.2"), list("11.1.1.1"), list("11.1.1.2")]);
    assert!(barred_by(&said[0]).is_some() && barred_by(&said[1]).is_some(), "{said:?}");
    assert!(matches!(said[2], Outcome::Listed { .. }), "{said:?}");
    assert!(matches!(said[3], Outcome::Refused { refusal: Refusal::Full { .. } }), "{said:?}");
    // Where all is done or nothing, what is full is said of what found no room alone.
    world.delist(ZONE, "11.1.1.1");
    let (sender, receiver) = mpsc::channel();
    let changes = vec![list("10.1.1.1"), list("11.1.1.1")];
    let batch = Batch { changes, origin: somebody(), is_atomic: true, condition: None };
    world.listings.submit(batch, move |applied| sender.send(applied).expect("awaited"));
    let said = receiver.recv().expect("told").expect("decided");
    assert!(barred_by(&said[0]).is_some(), "{said:?}");
    assert_eq!(said[1], Outcome::Refused { refusal: Refusal::NotAlone });
    assert!(
        matches!(world.list(ZONE, "11.1.1.1", Lifetime::Endless), Outcome::Listed { .. }),
        "its room is free again"
    );
}

/// A script that excludes whatever it sees does not take all memory, and the brake is there all the same.
#[test]
fn exclusions_have_their_bound_and_the_widest_is_taken_beyond() {
    let rules = Rules { general: Rule { max_listings: 1, ..Rule::default() }, ..Rules::default() };
    let world = World::with_rules(&[("virbl.tee.gr.ip4set", "")], rules);
    let some = (0..100_001_u32).map(|number| exclude(&std::net::Ipv4Addr::from(0x0a00_0000 + number).to_string()));
    let said = world.apply(some.collect());
    assert!(said.iter().all(|outcome| matches!(outcome, Outcome::Excluded { .. })), "{:?}", said.last());
    let said = world.apply(vec![exclude("11.0.0.1"), list("11.0.0.2"), exclude("0.0.0.0/0"), exclude("10.0.0.1")]);
    let Some(refusal) = said[0].refusal() else { panic!("{said:?}") };
    assert!(refusal.to_string().starts_with(
        "zone virbl.tee.gr has 100001 live listings and exclusions, 100000 more than max-listings, and takes no more exclusions"
    ));
    assert!(matches!(said[1].refusal(), Some(Refusal::Full { max: 1, .. })), "{said:?}");
    assert!(said[2..].iter().all(|outcome| matches!(outcome, Outcome::Excluded { .. })), "{said:?}");
}

#[test]
fn what_stays_listed_within_an_exclusion_moves_house() {
    let files = [("virbl.tee.gr.ip4set", ""), ("rhsbl.tee.gr.dnset", "test\n")];
    let zones = [
        (ZONE, ["10.1.1.1", "10.1.0.0/16"], ["10.0.0.0/8", "0.0.0.0/0"], "10.2.2.2"),
        (ZONE, ["2001:db8::1", "2001:db8::/64"], ["2001:db8::/32", "::/0"], "2001:db8:7::1"),
        ("rhsbl.tee.gr", ["a.example.com", "*.b.example.com"], ["*.example.com", "*.com"], "c.example.com"),
    ];
    let here = World::new(&files);
    for (zone, within, around, _) in &zones {
        for text in within {
            assert!(matches!(here.list(zone, text, Lifetime::Endless), Outcome::Listed { .. }), "{text}");
        }
        here.at(here.listings.now_s() + HOUR);
        for text in around {
            here.exclude(zone, text);
        }
    }
    let records = |world: &World| {
        [ZONE, "rhsbl.tee.gr"].map(|zone| world.listings.exported(&name(zone), None, 100).expect("readable")).concat()
    };
    let exported = records(&here);
    for order in [exported.clone(), exported.iter().rev().cloned().collect()] {
        let there = World::new(&files);
        there.at(here.listings.now_s());
        for _ in 0..2 {
            let said = there.listings.restore(order.clone(), somebody()).blocking_recv().expect("told");
            let said = said.expect("written");
            assert!(said.iter().all(|outcome| !matches!(outcome, Outcome::Refused { .. })), "{said:?}");
        }
        assert_eq!(records(&there), exported);
        // What was listed later than the exclusion came is barred.
        let elsewhere = World::new(&files);
        elsewhere.at(here.listings.now_s() + HOUR);
        for (zone, _, _, narrow) in &zones {
            elsewhere.list(zone, narrow, Lifetime::Endless);
        }
        let said = there.listings.restore(records(&elsewhere), somebody()).blocking_recv().expect("told");
        let barred: Vec<_> =
            said.expect("written").iter().map(|outcome| barred_by(outcome).map(str::to_owned)).collect();
        assert_eq!(barred, zones.map(|(_, _, around, _)| Some(around[0].to_owned())));
    }
}

#[test]
fn what_is_over_is_so_once_however_often_it_is_refused() {
    let world = world();
    world.list(ZONE, "10.1.1.1", Lifetime::Until(TEN + HOUR));
    world.exclude(ZONE, "10.0.0.0/8");
    world.at(TEN + HOUR);
    let bytes = || world.listings.history_bytes().expect("readable");
    let before = bytes();
    // Something has to be written for what was noted beside it to count.
    let said = world.apply([vec![list("10.1.1.1"); 10], vec![list("11.1.1.1")]].concat());
    assert!(said[..10].iter().all(|outcome| barred_by(outcome) == Some("10.0.0.0/8")), "{said:?}");
    assert!(bytes() - before < before, "the one that was listed, where there were two events");
    world.delist(ZONE, "10.1.1.1");
    let what: Vec<What> = world.history(ZONE, "10.1.1.1").iter().map(|event| event.what).collect();
    assert_eq!(what, [What::Listed, What::Expired]);
}

#[test]
fn nothing_stays_listed_in_a_list_that_has_ended() {
    let mut world = world();
    world.list(ZONE, "10.1.1.1", Lifetime::Endless);
    world.drop_file("virbl.tee.gr.retired", "@ TXT \"ended\"\n");
    assert_eq!(still_listed(&world.exclude(ZONE, "10.0.0.0/8")), 0);
}
