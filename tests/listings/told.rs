//! What whoever lists, excludes or asks by command is told: what was done, what was not, and nothing that is taken for a listing.

use std::{fs, io::Write as _, process::Stdio};

use super::{
    process::{FILES, Site, addresses, told},
    support::daemon::await_true,
};

#[test]
fn what_is_no_listing_is_not_among_them() {
    let site = Site::new(&FILES, "");
    let listings = || {
        let output = site.command(&["listings", "virbl.tee.gr"]).output().expect("the program runs");
        [output.stdout, output.stderr].map(|said| String::from_utf8(said).expect("a text"))
    };
    assert_eq!(listings(), ["", "nothing is listed by command\n"]);
    let lines = addresses(1_200);
    assert!(site.run_with(&["list", "virbl.tee.gr", "-"], &lines).1);
    let [out, remark] = listings();
    assert!(out.lines().count() == 1_000 && out.lines().all(|line| line.starts_with("10.0.")), "{out}");
    assert!(remark.starts_with("and 200 more: dnsbld listings virbl.tee.gr --after '10.0.3.231'"), "{remark}");
}

/// It is listed, and nobody who asks is told.
#[test]
fn what_is_listed_where_nothing_is_answered_is_said_to_be() {
    let files = [
        ("over.example.ip4set", "$TIMESTAMP 2020:01:01 +1h\n127.0.0.2\n"),
        ("bad.example.ip4set", "127.0.0.2\n"),
        ("bad.example.acl", "192.0.2.1 :refuze\n"),
        FILES[0],
    ];
    let site = Site::new(&files, "");
    for (zone, is_answered) in [("over.example", false), ("bad.example", false), ("virbl.tee.gr", true)] {
        let (said, is_well) = site.run(&["list", zone, "192.0.2.1"]);
        assert!(is_well && said.starts_with("192.0.2.1: listed until "), "{said}");
        assert_eq!(
            said.contains("BUT ITS ZONE ANSWERS SERVFAIL: dnsbld status says why"),
            !is_answered,
            "{zone}: {said}"
        );
        let (said, _) = site.run(&["delist", zone, "192.0.2.2"]);
        assert!(!said.contains("SERVFAIL"), "nothing is done: {said}");
    }
}

/// A state folder that was named by mistake begins one as well.
#[test]
fn a_store_that_is_begun_is_told_of_once() {
    let mut site = Site::new(&[], "");
    assert_eq!(site.run(&["status"]), ("no zone is served\n".to_owned(), true));
    let is_told = |site: &Site| {
        let said = site.said();
        said.contains("began a new store of live listings") && said.contains("/state/listings.redb")
    };
    assert!(is_told(&site), "{}", site.said());
    site.kill();
    site.start();
    assert!(!is_told(&site), "{}", site.said());
}

/// They are in force again once it is back, which whoever looks for them, or leaves the server for another, must know.
#[test]
fn listings_of_a_zone_that_is_served_no_more_are_told_of() {
    let mut site = Site::new(&FILES, "");
    let words = "are kept, and nobody is told of them until their zones are served again: virbl.tee.gr (2) (";
    for words in [&["virbl.tee.gr", "192.0.2.1", "192.0.2.2"][..], &["rhsbl.tee.gr", "b.test"]] {
        assert!(site.run(&[&["list"], words].concat()).1);
    }
    let exported = site.run(&["listings", "export"]).0;
    assert_eq!(exported.lines().count(), 3, "{exported}");
    let sorted = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    let file = site.root.path().join("zones").join(FILES[0].0);
    fs::remove_file(&file).expect("removed");
    site.run(&["reload"]);
    let (said, _) = site.run(&["reload", "--accept", "virbl.tee.gr"]);
    assert!(said.contains("let go"), "{said}");
    await_true("it is warned of", || site.said().contains(words), || site.said());
    site.kill();
    site.start();
    await_true("it is warned of", || site.said().contains(words), || site.said());
    let (all, is_well) = site.run(&["listings", "export"]);
    assert!(is_well && sorted(&all) == sorted(&exported), "{all}");
    assert_eq!(site.run(&["listings", "export", "virbl.tee.gr"]).0.lines().count(), 2);
    let (said, is_well) = site.run(&["listings", "virbl.tee.gr"]);
    assert!(is_well && said.starts_with("192.0.2.1 "), "{said}");
    let (said, is_well) = site.run(&["listings", "nozone.tee.gr"]);
    assert!(!is_well && said.contains("no zone nozone.tee.gr is served here"), "{said}");
    fs::write(file, FILES[0].1).expect("written");
    site.run(&["reload"]);
    assert_eq!(site.ask("1.2.0.192.virbl.tee.gr", 1).len(), 2, "it is in force again");
    assert_eq!(site.said().matches("until their zones are served").count(), 1, "once: {}", site.said());
}

/// Long before the memory of what is over is given back.
#[test]
fn what_is_over_is_counted_no_more() {
    let site = Site::new(&FILES, "");
    for words in [&["192.0.2.1", "--for", "1s"][..], &["192.0.2.2"], &["192.0.2.3", "--exclude", "--for", "1s"]] {
        let (said, is_well) = site.run(&[&["list", "virbl.tee.gr"], words].concat());
        assert!(is_well, "{said}");
    }
    let status = || site.run(&["status"]).0;
    await_true("over", || status().contains(", 1 listing by command\n"), status);
}

#[test]
fn what_was_done_and_what_was_not_is_said() {
    let mut site = Site::new(&FILES, "");
    let (said, is_well) = site.run(&["list", "virbl.tee.gr", "10.0.0.1", "bad..x", "10.0.0.2"]);
    assert!(!is_well && said.contains("`bad..x` is neither"), "{said}");
    assert!(said.contains("NOTHING IS DONE of the 3 keys that came together"), "{said}");
    assert_eq!(site.run(&["listings", "virbl.tee.gr"]).0, "nothing is listed by command\n");
    // More than go in one request.
    let many = addresses(5_000);
    let keys: Vec<&str> = ["list", "virbl.tee.gr"].into_iter().chain(many.lines()).chain(["bad..x"]).collect();
    let (said, is_well) = site.run(&keys);
    assert!(!is_well && said.contains("NOTHING IS DONE of the 5001 keys that came together"), "{said}");
    assert_eq!(site.run(&["listings", "virbl.tee.gr"]).0, "nothing is listed by command\n");
    for (key, why) in [("1.2.3", "no domain ends in a number"), (" ", "has a space"), ("a.test -", "has a space")] {
        let (said, is_well) = site.run(&["list", "rhsbl.tee.gr", key]);
        assert!(!is_well && said.contains(why), "{said}");
    }
    let (said, is_well) = site.run(&["list", "virbl.tee.gr", "!10.0.0.4"]);
    assert!(!is_well && said.contains("it is dnsbld list --exclude ZONE 10.0.0.4"), "{said}");
    for time in ["1x", "-"] {
        let (said, is_well) = site.run(&["list", "virbl.tee.gr", "10.0.0.1", "--for", time]);
        assert!(
            !is_well && said.contains(&format!("`{time}` is not a time such as 90s, 1h or 7d, nor forever\n")),
            "{said}"
        );
    }

    let full = fs::File::options().write(true).open("/dev/full").expect("a device");
    let output = site.command(&["list", "virbl.tee.gr", "10.0.0.1"]).stdout(full).output().expect("the program runs");
    let (said, is_well) = told(output);
    assert!(!is_well && said.starts_with("dnsbld: what was not refused is done, but cannot be told: "), "{said}");
    assert!(said.contains("standard output cannot be written: No space left"), "{said}");
    assert_eq!(site.ask("1.0.0.10.virbl.tee.gr", 1).len(), 2, "it is done");

    let mut command = site.command(&["list", "virbl.tee.gr", "-"]);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("the program runs");
    child.stdin.as_mut().expect("piped").write_all(b"10.0.0.8\n10.0.0.9\n").expect("read");
    await_true("they are listed", || site.ask("9.0.0.10.virbl.tee.gr", 1).len() == 2, || site.said());
    site.kill();
    drop(child.stdin.take());
    let (said, is_well) = told(child.wait_with_output().expect("it ends"));
    assert!(!is_well && said.starts_with("dnsbld: 2 lines were passed on"), "{said}");
    assert!(said.contains("the server ended before it answered"), "{said}");
}

#[test]
fn whoever_excludes_is_told_what_stays_listed() {
    let site = Site::new(&FILES, "");
    let lines = addresses(1_200);
    assert!(site.run_with(&["list", "virbl.tee.gr", "-"], &lines).1);
    let exclude = |key: &str| site.run(&["list", "virbl.tee.gr", "--exclude", "--forever", key]).0;
    let advice = "by command: delist what is not to be (dnsbld listings ZONE shows it)\n";
    for (key, said) in [
        ("10.0.0.0/31", "2 listings within it STAY LISTED"),
        ("10.0.0.0/8", "at least 1000 listings within it STAY LISTED"),
        ("10.0.0.7", ""),
    ] {
        let expected = match said {
            "" => format!("{key}: excluded until it is delisted; that it was listed by command is over for good\n"),
            said => format!("{key}: excluded until it is delisted; {said} {advice}"),
        };
        assert_eq!(exclude(key), expected);
    }
    let (said, is_well) = site.run_with(&["list", "virbl.tee.gr", "-"], "10.0.0.1\n!10.0.4.0/24\n!10.9.0.0/16\n");
    let lines: Vec<&str> = said.lines().collect();
    assert!(!is_well && lines[0].starts_with("line 1: 10.0.0.0/31 is excluded in zone virbl.tee.gr by"), "{said}");
    assert!(lines[1].starts_with("within 1 of the excluded, what was listed by command STAYS LISTED: "), "{said}");
    assert_eq!(lines[2], "2 excluded, 1 NOT DONE");
    let (said, _) = site.run(&["list", "virbl.tee.gr", "--exclude", "10.0.0.0/30", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(told["changes"][0]["still_listed"], 4, "{said}");
}
