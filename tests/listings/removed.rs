//! The state folder is removed under the running server, by a copy of folders that deletes what it does not know: nothing that was
//! acknowledged is lost.

use std::{fs, os::unix::net::UnixStream};

use dnsbld::live::listings::{Lifetime, StoreError, Verdict};

use super::{
    process::Site,
    support::daemon::await_true,
    world::{World, name, put, somebody},
};

const ZONE: &str = "virbl.tee.gr";
const FILES: [(&str, &str); 1] = [("virbl.tee.gr.ip4set", "127.0.0.2\n")];

fn list(world: &World, key: &str) {
    world.list(ZONE, key, Lifetime::Endless);
}

fn listed(world: &World) -> Vec<String> {
    let records = world.listings.of_zone(&name(ZONE), None, usize::MAX).expect("readable");
    records.iter().map(|record| record.key.to_string()).collect()
}

#[test]
fn the_next_change_writes_all_of_it_anew() {
    let mut world = World::new(&FILES);
    let state = world.root.path().join("state");
    list(&world, "192.0.2.1");
    world.delist(ZONE, "192.0.2.1");
    list(&world, "192.0.2.2");
    fs::remove_dir_all(&state).expect("removed");
    list(&world, "192.0.2.3");
    assert_eq!(listed(&world), ["192.0.2.2", "192.0.2.3"]);
    assert_eq!(world.listings.alarm(), None);
    world.restart();
    assert_eq!(listed(&world), ["192.0.2.2", "192.0.2.3"]);
    assert_eq!(world.history(ZONE, "192.0.2.1").len(), 2, "with its history");

    // So does the look that comes every half a minute, and the end.
    fs::remove_dir_all(&state).expect("removed");
    world.listings.sweep();
    assert!(state.join("listings.redb").is_file());
    fs::remove_file(state.join("listings.redb")).expect("removed");
    world.restart();
    assert_eq!(listed(&world), ["192.0.2.2", "192.0.2.3"]);
}

#[test]
fn another_file_in_its_place_is_refused() {
    let mut world = World::new(&FILES);
    let file = world.root.path().join("state/listings.redb");
    list(&world, "192.0.2.1");
    world.listings.backup(&file.with_extension("other")).expect("written");
    fs::rename(file.with_extension("other"), &file).expect("renamed");
    let change = || vec![put(ZONE, "192.0.2.2", Verdict::LISTED, Lifetime::Endless)];
    let refused = world.listings.apply(change(), &somebody()).expect_err("it would be lost");
    assert!(matches!(&refused, StoreError::Unwritable(why) if why.contains("is another file")), "{refused}");
    assert!(world.listings.alarm().is_some_and(|alarm| alarm.contains("restart the server")));
    assert_eq!(listed(&world), ["192.0.2.1"], "what is listed stays listed");
    fs::remove_file(&file).expect("removed");
    world.listings.apply(change(), &somebody()).expect("written anew");
    assert_eq!(world.listings.alarm(), None);
    world.restart();
    assert_eq!(listed(&world), ["192.0.2.1", "192.0.2.2"]);
}

#[test]
fn a_store_that_is_emptied_delists_nothing() {
    let world = World::new(&FILES);
    let file = world.root.path().join("state/listings.redb");
    list(&world, "192.0.2.1");
    fs::write(&file, "").expect("cut off");
    let change = || vec![put(ZONE, "192.0.2.2", Verdict::LISTED, Lifetime::Endless)];
    for _ in 0..2 {
        let refused = world.listings.apply(change(), &somebody()).expect_err("it would be lost");
        assert!(matches!(&refused, StoreError::Unwritable(why) if why.contains("was emptied")), "{refused}");
        assert_eq!(world.ask("1.2.0.192.bl.example", "A").len(), 1, "what is listed stays listed");
        world.listings.sweep();
    }
    assert!(world.listings.alarm().is_some_and(|alarm| alarm.contains("put a backup in its place")));
}

#[test]
fn commands_find_the_server_again() {
    let mut site = Site::new(&FILES, "");
    assert!(site.run(&["list", ZONE, "192.0.2.1"]).1);
    fs::remove_dir_all(site.state()).expect("removed");
    // A socket is there a moment before anybody listens.
    let is_heard = || UnixStream::connect(site.state().join("control")).is_ok();
    await_true("a control socket", is_heard, || site.said());
    let (said, is_well) = site.run(&["list", ZONE, "192.0.2.2"]);
    assert!(is_well, "{said}");
    for words in ["ERROR", "--exclude=.dnsbld", "the control socket was removed under the running server"] {
        await_true(words, || site.said().contains(words), || site.said());
    }
    site.kill();
    site.start();
    let (said, _) = site.run(&["listings", ZONE]);
    assert!(said.contains("192.0.2.1 listed") && said.contains("192.0.2.2 listed"), "{said}");
    assert_eq!(site.run(&["history", "192.0.2.1"]).0.lines().count(), 1);
}

#[test]
fn an_empty_store_is_told_of() {
    let mut site = Site::new(&FILES, "");
    assert!(site.run(&["list", ZONE, "192.0.2.1"]).1);
    site.kill();
    fs::write(site.state().join("listings.redb"), "").expect("cut off");
    site.start();
    let said = site.said();
    assert!(said.contains("ERROR") && said.contains("is an empty file") && said.contains("backup"), "{said}");
    assert!(site.run(&["list", ZONE, "192.0.2.1"]).1);
}
