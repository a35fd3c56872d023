//! What was exported comes into a store in which something else was said since: what is newer there stays, and what is excluded
//! there stays so.

use dnsbld::live::listings::{Exported, Lifetime, Outcome, Record, Verdict};

use super::{
    process::Site,
    world::{HOUR, MINUTE, TEN, World, key, name, put, somebody},
};

const ZONE: &str = "virbl.tee.gr";
const FILES: [(&str, &str); 2] = [("virbl.tee.gr.ip4set", "127.0.0.2\n"), ("rhsbl.tee.gr.dnset", "test\n")];

fn exported(world: &World, zone: &str) -> Vec<Exported> {
    world.listings.exported(&name(zone), None, 100).expect("readable")
}

fn import(world: &World, lines: Vec<Exported>) -> Vec<Outcome> {
    world.listings.restore(lines, somebody()).blocking_recv().expect("told").expect("written")
}

fn get(world: &World, text: &str) -> Record {
    world.listings.get(&name(ZONE), &key(text)).expect("readable").expect("something is said of it")
}

fn exclude_for_an_hour(world: &World, text: &str) {
    let until_s = world.listings.now_s() + HOUR;
    world.apply(vec![put(ZONE, text, Verdict::Excluded, Lifetime::Until(until_s))]);
}

#[test]
fn what_is_newer_than_an_export_stays() {
    let world = World::new(&FILES);
    world.list(ZONE, "10.0.0.1", Lifetime::Default);
    exclude_for_an_hour(&world, "10.0.0.2");
    exclude_for_an_hour(&world, "10.0.0.3");
    world.list(ZONE, "10.0.0.4", Lifetime::Endless);
    let older = exported(&world, ZONE);
    // In the same second, and later.
    for now_s in [TEN, TEN + MINUTE] {
        world.at(now_s);
        world.list(ZONE, "10.0.0.1", Lifetime::Endless);
        world.exclude(ZONE, "10.0.0.2");
        world.delist(ZONE, "10.0.0.3");
        world.list(ZONE, "10.0.0.3", Lifetime::Default);
        let (here, events) = (exported(&world, ZONE), world.history(ZONE, "10.0.0.1").len());
        let said = import(&world, older.clone());
        assert!(now_s == TEN || said[..2] == [Outcome::Newer, Outcome::Newer], "{said:?}");
        let untouched = Outcome::Extended { until_s: None, times: 1 };
        assert_eq!(said[2..], [Outcome::Newer, untouched], "{now_s}");
        assert_eq!((exported(&world, ZONE), world.history(ZONE, "10.0.0.1").len()), (here, events));
    }
    // What was shortened since stays so, and what was delisted comes back.
    world.list(ZONE, "10.0.0.4", Lifetime::Until(TEN + HOUR));
    world.delist(ZONE, "10.0.0.1");
    let said = import(&world, older);
    assert_eq!(said[0], Outcome::Listed { until_s: Some(TEN + HOUR), times: 1 });
    assert_eq!((&said[3], get(&world, "10.0.0.4").until_s), (&Outcome::Newer, Some(TEN + HOUR)));
}

/// Two servers become one: of each key the newer says why, and nothing ends sooner.
#[test]
fn what_is_newer_in_an_export_counts_and_shortens_nothing() {
    let (here, there) = (World::new(&FILES), World::new(&FILES));
    here.list(ZONE, "10.0.0.1", Lifetime::Endless);
    here.list(ZONE, "10.0.0.2", Lifetime::Default);
    here.exclude(ZONE, "10.0.0.3");
    here.list(ZONE, "10.0.0.4", Lifetime::Endless);
    there.at(TEN + MINUTE);
    let of_there = |text: &str, verdict| {
        let mut change = put(ZONE, text, verdict, Lifetime::Default);
        change.reason = Some("there".into());
        there.apply(vec![change]);
    };
    of_there("10.0.0.1", Verdict::LISTED);
    of_there("10.0.0.2", Verdict::LISTED);
    of_there("10.0.0.3", Verdict::Excluded);
    of_there("10.0.0.4", Verdict::Excluded);
    here.at(TEN + 2 * MINUTE);
    for _ in 0..2 {
        let said = import(&here, exported(&there, ZONE));
        assert_eq!(said[0], Outcome::Extended { until_s: None, times: 1 });
        assert_eq!(said[1], Outcome::Extended { until_s: Some(TEN + MINUTE + HOUR), times: 1 });
        for (text, until_s) in [("10.0.0.1", None), ("10.0.0.2", Some(TEN + MINUTE + HOUR)), ("10.0.0.3", None)] {
            let record = get(&here, text);
            assert_eq!((record.until_s, record.reason.as_deref()), (until_s, Some("there")), "{text}");
            assert_eq!(record.since_s, TEN, "it was so here before");
            assert_eq!(here.history(ZONE, text).len(), 2, "once");
        }
        assert_eq!(get(&here, "10.0.0.4").verdict, Verdict::Excluded);
    }
}

/// An exclusion of another server's, of the same key even, says nothing of what stood within one elsewhere.
#[test]
fn nothing_comes_into_an_exclusion_that_the_export_does_not_show() {
    let here = World::new(&FILES);
    here.list(ZONE, "10.0.0.1", Lifetime::Endless);
    here.list("rhsbl.tee.gr", "a.example.com", Lifetime::Endless);
    here.at(TEN + MINUTE);
    let before = [exported(&here, ZONE), exported(&here, "rhsbl.tee.gr")];
    here.exclude(ZONE, "10.0.0.0/8");
    here.exclude("rhsbl.tee.gr", "*.example.com");
    let shown = [exported(&here, ZONE), exported(&here, "rhsbl.tee.gr")];
    for (at_s, lines) in [(TEN - MINUTE, &shown), (TEN + 2 * MINUTE, &before), (TEN + 2 * MINUTE, &shown)] {
        let there = World::new(&FILES);
        there.at(at_s);
        there.exclude(ZONE, "10.0.0.0/8");
        there.exclude("rhsbl.tee.gr", "*.example.com");
        there.at(TEN + 3 * MINUTE);
        let refused = import(&there, lines.concat()).iter().filter(|outcome| outcome.refusal().is_some()).count();
        assert_eq!(refused, 2, "{at_s}");
        let is_listed = |question| there.ask(question, "A")[0] == "NOERROR";
        assert!(!is_listed("1.0.0.10.virbl.tee.gr") && !is_listed("a.example.com.rhsbl.tee.gr"), "{at_s}");
    }
    // What stood there side by side is back so, where it was taken away, and elsewhere; in whatever order.
    here.delist(ZONE, "10.0.0.1");
    here.delist("rhsbl.tee.gr", "a.example.com");
    let elsewhere = World::new(&FILES);
    elsewhere.at(TEN + MINUTE);
    let mut lines = shown.concat();
    for world in [&here, &elsewhere, &elsewhere] {
        lines.reverse();
        let said = import(world, lines.clone());
        assert!(said.iter().all(|outcome| outcome.refusal().is_none()), "{said:?}");
        assert_eq!([exported(world, ZONE), exported(world, "rhsbl.tee.gr")], shown);
    }
    // An older export without the exclusion is no way around it, also where it is listed yet.
    let said = import(&elsewhere, before.concat());
    assert!(said.iter().all(|outcome| matches!(outcome, Outcome::Extended { .. })), "as it is: {said:?}");
    elsewhere.delist(ZONE, "10.0.0.1");
    assert!(import(&elsewhere, before[0].clone())[0].refusal().is_some());
}

#[test]
fn who_imports_is_told_what_is_newer_and_what_is_excluded() {
    let (site, other) = (Site::new(&FILES, ""), Site::new(&FILES, ""));
    let done = |site: &Site, words: &[&str]| assert!(site.run(words).1, "{words:?}");
    done(&site, &["list", ZONE, "10.0.0.1", "--for", "1h"]);
    done(&site, &["list", ZONE, "10.0.0.2", "--exclude", "--for", "1h"]);
    done(&site, &["list", ZONE, "10.0.0.5", "--exclude", "--for", "1h"]);
    let exported = site.run(&["listings", "export"]).0;
    done(&site, &["list", ZONE, "10.0.0.1", "--forever", "--reason", "new"]);
    done(&site, &["list", ZONE, "10.0.0.2", "--exclude", "--for", "30d", "--reason", "new"]);
    done(&site, &["delist", ZONE, "10.0.0.5"]);
    done(&site, &["list", ZONE, "10.0.0.5", "--for", "30d"]);
    let newer = site.run(&["listings", "export"]).0;
    let (text, is_well) = site.run_with(&["listings", "import", "-"], &exported);
    assert!(
        is_well
            && text
                == "lines 1, 2, 3: older than what is said here of the same key, which stays\n3 left as newer here\n",
        "{text}"
    );
    assert_eq!(site.run(&["listings", "export"]).0, newer);

    done(&other, &["list", ZONE, "0.0.0.0/0", "--exclude"]);
    let (text, is_well) = other.run_with(&["listings", "import", "-"], &exported);
    assert!(!is_well && text.starts_with("line 1: 0.0.0.0/0 is excluded in zone virbl.tee.gr by command"), "{text}");
    assert!(text.ends_with("\n2 excluded, 1 NOT DONE\n"), "{text}");
}
