//! What may be listed, and for how long.

use std::{collections::HashMap, time::Duration};

use dnsbld::live::listings::{Exported, Lifetime, Origin, Outcome, Record, Refusal, Rule, Rules, Verdict, What};

use super::world::{HOUR, MINUTE, TEN, World, key, name, put, somebody};

const DAY: u64 = 24 * HOUR;

fn rules(rule: Rule) -> Rules {
    Rules { general: Rule::default(), zones: HashMap::from([(name("virbl.tee.gr"), rule)]) }
}

fn refusal(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Refused { refusal } => refusal.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn repeats_escalate_within_the_window() {
    let rule = Rule { escalation_s: vec![DAY, 7 * DAY], longest_s: Some(30 * DAY), ..Rule::default() };
    let world = World::with_rules(&[("virbl.tee.gr.ip4set", "127.0.0.2\n")], rules(rule));
    let list = |lifetime| world.list("virbl.tee.gr", "192.0.2.55", lifetime);
    assert_eq!(list(Lifetime::Default), Outcome::Listed { until_s: Some(TEN + HOUR), times: 1 });
    world.at(TEN + 4 * MINUTE);
    let same = Outcome::Extended { until_s: Some(TEN + 4 * MINUTE + HOUR), times: 1 };
    assert_eq!(list(Lifetime::Default), same, "the same outbreak");
    world.at(TEN + 2 * HOUR);
    assert_eq!(list(Lifetime::Default), Outcome::Listed { until_s: Some(TEN + 2 * HOUR + DAY), times: 2 });
    world.at(TEN + 3 * HOUR);
    let third = Outcome::Extended { until_s: Some(TEN + 3 * HOUR + 7 * DAY), times: 3 };
    assert_eq!(list(Lifetime::For(Duration::from_secs(HOUR))), third, "also while it is listed");
    assert_eq!(world.delist("virbl.tee.gr", "192.0.2.55"), Outcome::Delisted);
    world.at(TEN + 31 * DAY);
    let until_s = Some(TEN + 31 * DAY + HOUR);
    assert_eq!(list(Lifetime::Default), Outcome::Listed { until_s, times: 1 }, "all that is long ago");
    let what: Vec<What> = world.history("virbl.tee.gr", "192.0.2.55").iter().map(|event| event.what).collect();
    let listed =
        [What::Listed, What::Extended, What::Expired, What::Listed, What::Extended, What::Delisted, What::Listed];
    assert_eq!(what, listed);
}

/// Whoever delists in between has made no second outbreak of one.
#[test]
fn what_is_listed_again_soon_after_it_ended_is_the_same_time() {
    let rule = Rule { escalation_s: vec![DAY, 7 * DAY], repeat_after_s: 10 * MINUTE, ..Rule::default() };
    let world = World::with_rules(&[("virbl.tee.gr.ip4set", "127.0.0.2\n")], rules(rule));
    let list = |lifetime| world.list("virbl.tee.gr", "192.0.2.55", lifetime);
    let get = || {
        let record = world.listings.get(&name("virbl.tee.gr"), &key("192.0.2.55")).expect("readable").expect("listed");
        (record.since_s, record.counted_s, record.times)
    };
    assert_eq!(list(Lifetime::Default), Outcome::Listed { until_s: Some(TEN + HOUR), times: 1 });
    for minutes in [0, 1, 9] {
        let now_s = TEN + minutes * MINUTE;
        world.at(now_s);
        assert_eq!(world.delist("virbl.tee.gr", "192.0.2.55"), Outcome::Delisted);
        assert_eq!(list(Lifetime::Default), Outcome::Listed { until_s: Some(now_s + HOUR), times: 1 }, "{minutes}");
        assert_eq!(get(), (now_s, TEN, 1), "counted when it was");
    }
    // Ten minutes after the last report it is the second time; which ends soon, and then is that time again.
    let second_s = TEN + 19 * MINUTE;
    world.at(second_s);
    assert_eq!(world.delist("virbl.tee.gr", "192.0.2.55"), Outcome::Delisted);
    assert_eq!(list(Lifetime::Until(second_s + 2)), Outcome::Listed { until_s: Some(second_s + 2), times: 2 });
    world.at(second_s + 3);
    assert_eq!(list(Lifetime::Default), Outcome::Listed { until_s: Some(second_s + 3 + DAY), times: 2 });
    // A clock that is set back a little makes no third time.
    assert_eq!(world.delist("virbl.tee.gr", "192.0.2.55"), Outcome::Delisted);
    world.at(second_s - 5);
    assert_eq!(list(Lifetime::Default), Outcome::Listed { until_s: Some(second_s - 5 + DAY), times: 2 });
    world.at(second_s + 10 * MINUTE);
    let third_s = second_s + 10 * MINUTE;
    assert_eq!(list(Lifetime::Default), Outcome::Extended { until_s: Some(third_s + 7 * DAY), times: 3 });
}

/// A trap is hit every minute for hours: that is one outbreak, and whoever comes back after it has made a second one.
#[test]
fn an_outbreak_is_one_time_however_long_it_goes_on() {
    let rule = Rule { escalation_s: vec![DAY, 7 * DAY], window_s: 2 * DAY, ..Rule::default() };
    let world = World::with_rules(&[("virbl.tee.gr.ip4set", "127.0.0.2\n")], rules(rule));
    let times_at = |minute| {
        world.at(TEN + minute * MINUTE);
        match world.list("virbl.tee.gr", "192.0.2.55", Lifetime::Default) {
            Outcome::Listed { times, .. } | Outcome::Extended { times, .. } => times,
            other => panic!("{other:?}"),
        }
    };
    assert!((0..300).all(|minute| times_at(minute) == 1));
    assert_eq!(world.delist("virbl.tee.gr", "192.0.2.55"), Outcome::Delisted);
    assert_eq!([303, 308, 312, 316].map(times_at), [1, 2, 2, 2], "from report to report");
    // One that outlasts the window, so that its beginning counts no more, is no first time when it is over.
    let begun = 10 * 24 * 60;
    assert!((0..49 * 60 / 4).all(|count| times_at(begun + 4 * count) == 1));
    assert_eq!(times_at(begun + 50 * 60), 2);
}

/// Events stand in the order in which they came.
#[test]
fn a_report_while_the_clock_is_behind_forgets_nothing() {
    let rule = Rule { escalation_s: vec![DAY, 7 * DAY], ..Rule::default() };
    let world = World::with_rules(&[("virbl.tee.gr.ip4set", "127.0.0.2\n")], rules(rule));
    let times_at = |now_s| {
        world.at(now_s);
        match world.list("virbl.tee.gr", "192.0.2.55", Lifetime::Default) {
            Outcome::Listed { times, .. } | Outcome::Extended { times, .. } => times,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([TEN, TEN + HOUR, TEN + 2 * HOUR].map(times_at), [1, 2, 3]);
    times_at(TEN - 40 * DAY);
    assert_eq!(times_at(TEN + 3 * HOUR), 4, "that one was long ago, and the three were not");
    times_at(TEN - 40 * DAY);
    assert_eq!(world.delist("virbl.tee.gr", "192.0.2.55"), Outcome::Delisted);
    assert_eq!(times_at(TEN + 3 * HOUR + MINUTE), 4, "the same time, though it was delisted");
}

#[test]
fn what_was_exported_counts_once_and_ends_as_the_rules_say() {
    let rule = Rule { escalation_s: vec![DAY, 7 * DAY], longest_s: Some(30 * DAY), ..Rule::default() };
    let world = World::with_rules(&[("virbl.tee.gr.ip4set", "127.0.0.2\n")], rules(rule));
    let get = |text: &str| world.listings.get(&name("virbl.tee.gr"), &key(text)).expect("readable").expect("listed");
    let importer = Origin { who: "mover".into(), ..somebody() };
    let import = |record: &Record| {
        let line = Exported { record: record.clone(), within: Vec::new() };
        let applied = world.listings.restore(vec![line], importer.clone()).blocking_recv().expect("told");
        applied.expect("written").remove(0)
    };
    let list = |text: &str| world.list("virbl.tee.gr", text, Lifetime::Default);
    list("192.0.2.55");
    let exported = get("192.0.2.55");
    world.at(TEN + MINUTE);
    for _ in 0..2 {
        assert_eq!(import(&exported), Outcome::Extended { until_s: Some(TEN + HOUR), times: 1 });
        assert_eq!(get("192.0.2.55"), exported, "as it was");
    }
    assert_eq!(world.delist("virbl.tee.gr", "192.0.2.55"), Outcome::Delisted);
    assert_eq!(import(&exported), Outcome::Listed { until_s: Some(TEN + HOUR), times: 1 });
    world.at(TEN + 2 * HOUR);
    assert_eq!(list("192.0.2.55"), Outcome::Listed { until_s: Some(TEN + 2 * HOUR + DAY), times: 2 });
    let events = world.history("virbl.tee.gr", "192.0.2.55");
    let who: Vec<(What, &str)> = events.iter().map(|event| (event.what, &*event.origin.who)).collect();
    let expected = [
        (What::Listed, "postmaster"),
        (What::Delisted, "postmaster"),
        (What::Listed, "mover"),
        (What::Expired, "dnsbld"),
        (What::Listed, "postmaster"),
    ];
    assert_eq!(who, expected);

    // From another server, whose rule allows more: an end as far as this one's does, one time, and an old one none.
    for (number, days, times, is_again) in [(56, 1, 2, false), (57, 31, 1, false), (59, 1, 2, true)] {
        let text = format!("192.0.2.{number}");
        let (counted_s, now_s) = (TEN + 2 * HOUR - days * DAY, TEN + 2 * HOUR);
        let elsewhere = Record { key: key(&text), until_s: None, times: 5, counted_s, since_s: 7, ..exported.clone() };
        world.at(now_s);
        assert_eq!(import(&elsewhere), Outcome::Listed { until_s: Some(now_s + 30 * DAY), times: 5 });
        assert_eq!(get(&text), Record { until_s: Some(now_s + 30 * DAY), ..elsewhere.clone() });
        // Where it ends sooner here, that is no later for being brought again.
        world.at(now_s + MINUTE);
        let back = Outcome::Extended { until_s: Some(now_s + 30 * DAY), times: 5 };
        assert_eq!((import(&elsewhere), world.history("virbl.tee.gr", &text).len()), (back, 1));
        world.at(now_s);
        if is_again {
            assert_eq!(world.delist("virbl.tee.gr", &text), Outcome::Delisted);
            assert_eq!(import(&elsewhere), Outcome::Listed { until_s: Some(now_s + 30 * DAY), times: 5 });
        }
        world.at(now_s + HOUR);
        let again = Outcome::Extended { until_s: Some(now_s + 30 * DAY), times };
        assert_eq!(list(&text), again);
    }
    let excluded = Record {
        key: key("192.0.2.58"),
        verdict: Verdict::Excluded,
        until_s: None,
        times: 0,
        counted_s: 0,
        ..exported
    };
    for _ in 0..2 {
        import(&excluded);
    }
    assert_eq!(world.history("virbl.tee.gr", "192.0.2.58").len(), 1, "what is there already is no event");
    assert_eq!(
        import(&excluded),
        Outcome::Excluded { until_s: None, was_listed: false, still_listed: 0 },
        "an exclusion may be endless"
    );
}

#[test]
fn half_the_world_is_not_listed_by_a_slip() {
    let rule = Rule { max_listings: 10, ..Rule::default() };
    let world = World::with_rules(&[("virbl.tee.gr.ip4set", "127.0.0.2\n")], rules(rule.clone()));
    let list = |world: &World, text: &str| refusal(&world.list("virbl.tee.gr", text, Lifetime::Default));
    let wide = "128.0.0.0/1 is wider than the widest prefix that zone virbl.tee.gr takes, /8 (widest-v4)";
    assert_eq!(list(&world, "128.0.0.0/1"), wide);
    assert!(list(&world, "198.0.0.0/7").contains("widest-v4"));
    assert!(list(&world, "198.0.0.0/8").starts_with("Listed"));
    assert!(list(&world, "2000::/3").contains("/16 (widest-v6)"));
    assert!(list(&world, "2002::/16").starts_with("Listed"));
    assert!(matches!(world.exclude("virbl.tee.gr", "128.0.0.0/1"), Outcome::Excluded { .. }), "nobody is hurt");
    let any = World::with_rules(&[("virbl.tee.gr.ip4set", "127.0.0.2\n")], rules(Rule { widest_v4: 0, ..rule }));
    assert!(list(&any, "128.0.0.0/1").starts_with("Listed"));
}

#[test]
fn a_whole_top_level_domain_is_not_listed_by_a_slip() {
    let lists = [("virbl.tee.gr.dnset", "test\n"), ("other.example.dnset", "test\n")];
    let world = World::with_rules(&lists, rules(Rule { widest_name: 1, ..Rule::default() }));
    let list = |zone: &str, text: &str| refusal(&world.list(zone, text, Lifetime::Default));
    let wide =
        "*.com is wider than the widest that zone other.example takes, all names below one of 2 labels (widest-name)";
    assert_eq!(list("other.example", "*.com"), wide);
    for fine in ["com", "*.example.com", "*.a.example.com"] {
        assert!(list("other.example", fine).starts_with("Listed"), "{fine}");
    }
    assert!(matches!(world.exclude("other.example", "*.org"), Outcome::Excluded { .. }), "nobody is hurt");
    assert!(list("virbl.tee.gr", "*.com").starts_with("Listed"), "its rule allows it");
}

#[test]
fn what_must_not_be_listed_is_refused() {
    let rule = Rule {
        never_list: vec![key("192.0.2.0/24"), key("2001:db8::/32")],
        yields_to: vec![name("grwhitelist.tee.gr"), name("gone.example")],
        max_listings: 3,
        ..Rule::default()
    };
    let files = [
        ("virbl.tee.gr.ip4set", "127.0.0.2\n"),
        ("grwhitelist.tee.gr.ip4set", "198.51.100.0/24\n!198.51.100.7\n"),
        ("rhsbl.tee.gr.dnset", "a.test\n"),
        ("own.rhsbl.tee.gr.dnset", "a.test\n"),
    ];
    let world = World::with_rules(&files, rules(rule));
    let list = |zone: &str, text: &str| refusal(&world.list(zone, text, Lifetime::Default));
    assert_eq!(list("virbl.tee.gr", "192.0.2.9"), "192.0.2.0/24 is never listed in zone virbl.tee.gr (never-list)");
    assert!(list("virbl.tee.gr", "192.0.0.0/16").contains("never-list"), "it would list all of it");
    assert!(list("virbl.tee.gr", "198.51.100.9").contains("grwhitelist.tee.gr lists it, and wins"));
    assert!(list("virbl.tee.gr", "198.51.0.0/16").contains("wins"), "some of it is on the whitelist");
    assert!(list("virbl.tee.gr", "198.51.100.7").starts_with("Listed"), "that one is not on it");
    assert_eq!(list("nowhere.example", "203.0.113.9"), "no zone nowhere.example is served here");
    assert_eq!(list("virbl.tee.gr", "a.test"), "zone virbl.tee.gr holds addresses, and this is not one");
    assert_eq!(list("rhsbl.tee.gr", "203.0.113.9"), "zone rhsbl.tee.gr holds names, and this is an address");
    assert_eq!(
        list("rhsbl.tee.gr", "b.own"),
        "this name is in zone own.rhsbl.tee.gr, which is served here too, and nobody asks zone rhsbl.tee.gr for it: list it there"
    );
    assert!(matches!(world.exclude("virbl.tee.gr", "192.0.2.9"), Outcome::Excluded { .. }), "may always be excluded");
    let until = |until_s| refusal(&world.list("virbl.tee.gr", "203.0.113.9", Lifetime::Until(until_s)));
    assert_eq!(until(TEN), "the time is over already");
    assert_eq!(
        until(u64::from(u32::MAX)),
        "the time is beyond 2106-02-07T06:28:14Z, the last that can be kept: `forever` (--forever) has no end"
    );
    assert!(until(TEN + 1).starts_with("Listed"));
    assert!(list("virbl.tee.gr", "203.0.113.10").contains("as many as it may (max-listings)"));
    // What is whitelisted by command wins as well.
    let mut changes = vec![put("grwhitelist.tee.gr", "203.0.113.0/28", Verdict::LISTED, Lifetime::Default)];
    changes.push(put("virbl.tee.gr", "203.0.113.9", Verdict::LISTED, Lifetime::Default));
    world.apply(changes.drain(..1).collect());
    assert!(refusal(&world.apply(changes)[0]).contains("wins"));
    let long = "x".repeat(2_000);
    let mut change = put("virbl.tee.gr", "203.0.113.9", Verdict::LISTED, Lifetime::Default);
    change.reason = Some(long.clone());
    assert_eq!(refusal(&world.apply(vec![change])[0]), "the reason is longer than 1000 octets");
    let verdict = Verdict::Listed { address: None, text: Some(long.clone()) };
    let mut change = put("virbl.tee.gr", "203.0.113.9", verdict, Lifetime::Default);
    change.reason = Some(long.clone());
    assert_eq!(refusal(&world.apply(vec![change])[0]), "the text is longer than 1000 octets");
    let label = "x".repeat(60);
    let name = [&*label; 4].join(".");
    assert!(list("rhsbl.tee.gr", &name).contains("name in its zone is longer"));
}

#[test]
fn a_list_that_has_ended_takes_no_listings() {
    let mut world = World::new(&[("virbl.tee.gr.ip4set", "127.0.0.2\n")]);
    world.list("virbl.tee.gr", "192.0.2.1", Lifetime::Endless);
    let listed = ["NOERROR", "answer 1.2.0.192.virbl.tee.gr 2100 A 127.0.0.2"];
    assert_eq!(world.ask("1.2.0.192.virbl.tee.gr", "A"), listed);
    world.drop_file("virbl.tee.gr.retired", "@ TXT \"ended\"\n");
    let ended = |world: &World| {
        for question in ["1.2.0.192", "2.0.192", "2.0.0.127"] {
            assert_eq!(world.ask(&format!("{question}.virbl.tee.gr"), "A"), ["NXDOMAIN"], "{question}");
        }
        let refused = refusal(&world.list("virbl.tee.gr", "192.0.2.2", Lifetime::Default));
        assert!(refused.starts_with("zone virbl.tee.gr is retired and lists nothing (retired:"), "{refused}");
    };
    ended(&world);
    world.restart();
    ended(&world);
    assert!(matches!(world.exclude("virbl.tee.gr", "192.0.2.3"), Outcome::Excluded { .. }), "nobody is hurt");
    assert_eq!(world.delist("virbl.tee.gr", "192.0.2.3"), Outcome::Delisted);
    // Whoever takes the end back has what was listed before, as long as that holds.
    std::fs::remove_file(world.root.path().join("zones/virbl.tee.gr.retired")).expect("removed");
    world.restart();
    assert_eq!(world.ask("1.2.0.192.virbl.tee.gr", "A"), listed);
}

#[test]
fn no_zone_yields_to_itself() {
    let files = [("virbl.tee.gr.ip4set", "127.0.0.2\n"), ("grwhitelist.tee.gr.ip4set", "198.51.100.0/24\n")];
    let rule = Rule { yields_to: vec![name("grwhitelist.tee.gr")], ..Rule::default() };
    let world = World::with_rules(&files, rules(rule));
    for _ in 0..2 {
        let answer = refusal(&world.list("grwhitelist.tee.gr", "203.0.113.9", Lifetime::Default));
        assert!(!answer.contains("wins"), "{answer}");
    }
    assert!(refusal(&world.list("virbl.tee.gr", "203.0.113.9", Lifetime::Default)).contains("wins"));
}

/// The writer does for nobody else what it counts.
#[test]
fn a_key_that_is_listed_all_the_time_is_counted_up_to_a_thousand() {
    let rule = Rule { repeat_after_s: 0, ..Rule::default() };
    let world = World::with_rules(&[("virbl.tee.gr.ip4set", "127.0.0.2\n")], rules(rule));
    let changes = |count| (0..count).map(|_| put("virbl.tee.gr", "203.0.113.9", Verdict::LISTED, Lifetime::Default));
    let times = |count: usize| {
        let outcomes = world.apply(changes(count).collect());
        match outcomes.last() {
            Some(Outcome::Listed { times, .. } | Outcome::Extended { times, .. }) => *times,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(times(7), 7);
    assert_eq!(times(1_100), 1_001);
}

#[test]
fn a_zone_yields_to_all_that_the_other_lists() {
    let files = [("rhsbl.tee.gr.dnset", "a.test\n"), ("wins.example.dnset", "*.wild.test\nmail.file.test\n")];
    let rule = Rule { yields_to: vec![name("wins.example")], ..Rule::default() };
    let yields = Rules { general: Rule::default(), zones: HashMap::from([(name("rhsbl.tee.gr"), rule)]) };
    let world = World::with_rules(&files, yields);
    let wins = |text: &str| world.list("wins.example", text, Lifetime::Default);
    let is_taken = |text: &str| match world.list("rhsbl.tee.gr", text, Lifetime::Default) {
        Outcome::Listed { .. } => world.delist("rhsbl.tee.gr", text) == Outcome::Delisted,
        other => !refusal(&other).contains("wins.example lists it, and wins"),
    };
    wins("*.example.com");
    wins("mail.spam.org");
    for listed in ["*.example.com", "*.a.example.com", "x.example.com", "*.spam.org", "mail.spam.org"] {
        assert!(!is_taken(listed), "{listed} by command");
    }
    for listed in ["*.wild.test", "*.a.wild.test", "x.wild.test", "*.file.test", "mail.file.test"] {
        assert!(!is_taken(listed), "{listed} by file");
    }
    for free in ["example.com", "spam.org", "*.mail.spam.org", "wild.test", "*.mail.file.test", "*.other.test"] {
        assert!(is_taken(free), "{free}");
    }
    // What is excluded there is not listed there, though its file says so.
    wins("x.wild.test");
    world.exclude("wins.example", "mail.file.test");
    world.exclude("wins.example", "*.wild.test");
    for free in ["mail.file.test", "*.file.test", "y.wild.test"] {
        assert!(is_taken(free), "{free}");
    }
    assert!(
        !is_taken("*.wild.test") && !is_taken("x.wild.test") && is_taken("*.y.wild.test"),
        "the narrower one decides"
    );
}

#[test]
fn all_or_none_and_only_if() {
    use dnsbld::live::listings::{Batch, Change, Op, StoreError};
    let world = World::new(&[("virbl.tee.gr.ip4set", "127.0.0.2\n")]);
    let submit = |changes, is_atomic, condition| {
        let (sender, receiver) = std::sync::mpsc::channel();
        let batch = Batch { changes, origin: somebody(), is_atomic, condition };
        world.listings.submit(batch, move |applied| sender.send(applied).expect("awaited"));
        receiver.recv().expect("told")
    };
    let good = put("virbl.tee.gr", "192.0.2.1", Verdict::LISTED, Lifetime::Default);
    let bad = put("nowhere.example", "192.0.2.2", Verdict::LISTED, Lifetime::Default);
    let outcomes = submit(vec![good.clone(), bad.clone()], true, None).expect("decided");
    assert_eq!(outcomes[0], Outcome::Refused { refusal: Refusal::NotAlone });
    assert_eq!(world.ask("1.2.0.192.virbl.tee.gr", "A"), ["NXDOMAIN"]);
    let outcomes = submit(vec![good.clone(), bad], false, None).expect("decided");
    assert!(matches!(outcomes[0], Outcome::Listed { .. }) && matches!(outcomes[1], Outcome::Refused { .. }));
    // Only if it is not there yet: the condition is asked by the writer itself.
    let is_absent = || -> dnsbld::live::listings::Condition {
        Box::new(|get| get(&name("virbl.tee.gr"), &key("192.0.2.1")).is_none())
    };
    assert_eq!(submit(vec![good.clone()], true, Some(is_absent())), Err(StoreError::ConditionFailed));
    let delist = Change { op: Op::Delist, ..good.clone() };
    assert_eq!(submit(vec![delist.clone()], true, None), Ok(vec![Outcome::Delisted]));
    assert!(submit(vec![good], true, Some(is_absent())).is_ok());
    // What is over is not there, though nobody swept it.
    world.at(TEN + HOUR);
    assert_eq!(submit(vec![delist], true, Some(is_absent())), Ok(vec![Outcome::Unchanged]));
}

#[test]
fn a_full_zone_still_takes_exclusions_and_what_it_has() {
    let rule = Rule { max_listings: 2, ..Rule::default() };
    let world = World::with_rules(&[("virbl.tee.gr.ip4set", "127.0.0.2\n")], rules(rule));
    let plain = |text: &str| put("virbl.tee.gr", text, Verdict::LISTED, Lifetime::Default);
    let said = world.apply(["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"].map(plain).to_vec());
    assert!(matches!(said[1], Outcome::Extended { .. }), "{said:?}");
    assert!(matches!(said[2], Outcome::Listed { .. }), "one key is one listing: {said:?}");
    assert!(refusal(&said[3]).contains("as many as it may (max-listings)"));
    world.at(TEN + HOUR / 2);
    let extended = world.list("virbl.tee.gr", "192.0.2.1", Lifetime::Default);
    assert_eq!(extended, Outcome::Extended { until_s: Some(TEN + HOUR / 2 + HOUR), times: 2 });
    assert!(matches!(world.exclude("virbl.tee.gr", "0.0.0.0/0"), Outcome::Excluded { .. }), "the brake");
    assert_eq!(world.ask("2.0.0.127.virbl.tee.gr", "A"), ["NXDOMAIN"], "it holds");
    assert!(refusal(&world.list("virbl.tee.gr", "2001:db8::3", Lifetime::Default)).contains("max-listings"));
}

/// For some minutes after the start nothing is thrown away.
#[test]
fn what_is_over_takes_no_room() {
    let rule = Rule { max_listings: 3, ..Rule::default() };
    let world = World::with_rules(&[("virbl.tee.gr.ip4set", "127.0.0.2\n")], rules(rule));
    let minute = Lifetime::For(Duration::from_secs(MINUTE));
    let list = |host: u8| world.list("virbl.tee.gr", &format!("192.0.2.{host}"), minute);
    let is_listed = |host| matches!(list(host), Outcome::Listed { .. });
    assert!((1..=3).all(is_listed) && refusal(&list(4)).contains("max-listings"));
    world.at(TEN + 2 * MINUTE);
    assert!(is_listed(4) && is_listed(1), "all three are over");
    let plain = |text: &str| put("virbl.tee.gr", text, Verdict::LISTED, minute);
    let said = world.apply(["192.0.2.2", "192.0.2.2", "192.0.2.3"].map(plain).to_vec());
    assert!(matches!(said[..2], [Outcome::Listed { .. }, Outcome::Extended { .. }]), "{said:?}");
    assert!(refusal(&said[2]).contains("as many as it may"), "what was listed before has no place either: {said:?}");
    let held = world.listings.of_zone(&name("virbl.tee.gr"), None, 10).expect("readable");
    assert_eq!(held.len(), 3);
}

#[test]
fn what_was_refused_as_a_whole_takes_no_room() {
    use dnsbld::live::listings::{Batch, Condition};
    let rule = Rule { max_listings: 1, ..Rule::default() };
    let world = World::with_rules(&[("virbl.tee.gr.ip4set", "127.0.0.2\n")], rules(rule));
    let (sender, receiver) = std::sync::mpsc::channel();
    let submit = |changes, condition: Option<Condition>| {
        let sender = sender.clone();
        let batch = Batch { changes, origin: somebody(), is_atomic: true, condition };
        world.listings.submit(batch, move |applied| sender.send(applied).expect("awaited"));
    };
    let listed = |zone: &str, text: &str| put(zone, text, Verdict::LISTED, Lifetime::Default);
    // While the writer waits for the first one, the others gather for one commit.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    submit(vec![], Some(Box::new(move |_| wait.recv().is_ok())));
    submit(vec![listed("virbl.tee.gr", "192.0.2.1"), listed("nowhere.example", "192.0.2.1")], None);
    submit(vec![listed("virbl.tee.gr", "192.0.2.2")], None);
    go.send(()).expect("it waits");
    let outcomes: Vec<_> = receiver.iter().take(3).map(|applied| applied.expect("decided")).collect();
    assert_eq!(outcomes[1][0], Outcome::Refused { refusal: Refusal::NotAlone });
    assert!(matches!(outcomes[2][0], Outcome::Listed { .. }), "{outcomes:?}");
}

#[test]
fn one_server_for_one_store() {
    use dnsbld::live::listings::StoreError;
    let world = World::new(&[("virbl.tee.gr.ip4set", "127.0.0.2\n")]);
    world.list("virbl.tee.gr", "192.0.2.1", Lifetime::Endless);
    let second = world.second().expect("it waits");
    let change = || vec![put("virbl.tee.gr", "192.0.2.2", Verdict::LISTED, Lifetime::Endless)];
    assert!(matches!(second.apply(change(), &somebody()), Err(StoreError::InUse(_))), "the second is kept out");
    assert!(second.waits() && second.alarm().is_some_and(|alarm| alarm.contains("another server uses the store")));
    assert!(second.of_zone(&name("virbl.tee.gr"), None, 10).is_err(), "it does not know");
    std::fs::remove_file(world.root.path().join("state/listings.redb")).expect("removed");
    second.sweep();
    assert!(second.waits(), "and takes no advantage");
    world.listings.sweep();
    assert_eq!(world.listings.alarm(), None, "the first one writes it anew");
    world.listings.stop();
    second.sweep();
    assert!(!second.waits() && second.alarm().is_none(), "{:?}", second.alarm());
    assert!(second.apply(change(), &somebody()).is_ok());
    let served = second.of_zone(&name("virbl.tee.gr"), None, 10).expect("readable");
    assert_eq!(served.len(), 2, "what the first one listed is there");
    assert_eq!(
        world.listings.apply(vec![put("virbl.tee.gr", "192.0.2.1", Verdict::LISTED, Lifetime::Default)], &somebody()),
        Err(StoreError::Ending)
    );
}
