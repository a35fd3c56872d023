//! The brake: nothing new is listed within what is excluded, by whichever way it comes, and whoever excludes is told what stays
//! listed there.

use std::sync::mpsc;

use dnsbld::live::listings::{Batch, Change, Condition, Lifetime, Op, Outcome, Refusal, Rule, Rules, Verdict};

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
}
