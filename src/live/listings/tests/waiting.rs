//! A store that another server has, that the system does not let be opened, or that is gone: whose it is, and how that ends.

use super::*;

#[test]
fn a_store_that_was_removed_is_claimed_before_it_is_written_anew() {
    let world = World::new(1 << 30);
    assert!(world.put(1).is_ok());
    let store = file::path_in(world.root.path());
    std::fs::remove_file(&store).expect("removed");
    std::fs::remove_file(store.with_extension("lock")).expect("removed");
    // Another server has begun.
    let other = file::Claim::on(&store).expect("free").expect("there are locks");
    let refused = world.put(2).expect_err("it is the other's");
    assert!(matches!(&refused, StoreError::InUse(_)), "{refused}");
    assert!(!store.exists() && world.listings.alarm().is_some());
    drop(other);
    assert!(world.put(3).is_ok());
    assert!(store.exists());
    assert!(matches!(file::Claim::on(&store), Err(StoreError::InUse(_))), "it is claimed again");
    std::fs::remove_file(&store).expect("removed");
    assert!(world.put(4).is_ok(), "what is still claimed is no other's");
}

/// Another server on the same folder, which finds the disk well.
fn another(world: &World) -> Listings {
    let places = Places { served: Cell::default(), live: LiveCell::default(), slots: LiveSlots::default() };
    Listings::open(Settings::new(world.root.path().to_owned()), places).expect("it waits")
}

#[test]
fn a_store_that_failed_is_nobody_elses() {
    let world = World::new(1 << 30);
    assert!(world.put(1).is_ok());
    world.faults.is_full.store(true, Relaxed);
    assert!(world.put(2).is_err());
    let other = another(&world);
    assert!(other.waits() && other.alarm().is_some_and(|alarm| alarm.contains("another server uses the store")));
    world.faults.is_full.store(false, Relaxed);
    assert!(world.put(3).is_ok());
    world.listings.stop();
    other.sweep();
    assert!(!other.waits() && other.alarm().is_none(), "{:?}", other.alarm());
    other.stop();
}

#[test]
fn whoever_waits_for_a_store_that_is_gone_begins_anew() {
    let world = World::new(1 << 30);
    let other = another(&world);
    let remove = || {
        for name in ["listings.redb", "listings.lock"] {
            std::fs::remove_file(world.root.path().join(name)).expect("removed");
        }
    };
    remove();
    other.sweep();
    assert!(other.waits(), "the one that has it still runs");
    assert!(world.put(1).is_ok(), "and writes it anew");
    other.sweep();
    assert!(other.alarm().is_some_and(|alarm| alarm.contains("another server uses the store")), "{:?}", other.alarm());
    world.listings.stop();
    remove();
    other.sweep();
    assert!(!other.waits() && other.alarm().is_none(), "{:?}", other.alarm());
    other.stop();
}

#[test]
fn a_store_that_is_damaged_is_not_waited_for() {
    let backup = World::new(1 << 30);
    assert!(backup.put(1).is_ok());
    backup.listings.stop();
    let (root, is_barred, looks) =
        (tempfile::tempdir().expect("a folder"), Arc::new(AtomicBool::new(true)), Arc::default());
    let store = file::path_in(root.path());
    std::fs::write(&store, "no database").expect("written");
    let (bar, count): (_, Arc<AtomicU64>) = (Arc::clone(&is_barred), Arc::clone(&looks));
    let opener = move |path: &Path| {
        if bar.load(Relaxed) {
            return Err(std::io::Error::from_raw_os_error(libc::EACCES).into());
        }
        count.fetch_add(1, Relaxed);
        file::open_file(path)
    };
    let places = Places { served: Cell::default(), live: LiveCell::default(), slots: LiveSlots::default() };
    let disk = Disk { open: Box::new(opener), ..Disk::new() };
    let listings = Listings::open_with(Settings::new(root.path().to_owned()), places, disk).expect("it waits");
    let why_unread = || listings.history_bytes().expect_err("it is not open").to_string();
    assert!(listings.waits());
    assert!(why_unread().starts_with("the store of live listings cannot be opened: /"), "{}", why_unread());
    is_barred.store(false, Relaxed);
    for _ in 0..2 {
        listings.sweep();
        assert!(!listings.waits(), "that does not end by itself");
        assert!(why_unread().contains("put a backup in its place"), "{}", why_unread());
        assert_eq!(looks.load(Relaxed), 1, "and all of it is not read again");
    }
    std::fs::copy(file::path_in(backup.root.path()), &store).expect("copied");
    listings.sweep();
    assert!(listings.alarm().is_none() && listings.history_bytes().is_ok(), "{:?}", listings.alarm());
    listings.stop();
}

#[test]
fn a_store_that_is_still_read_is_no_other_servers() {
    let world = World::new(1 << 30);
    assert!(world.put(1).is_ok());
    world.listings.stop();
    let places = Places { served: Cell::default(), live: LiveCell::default(), slots: LiveSlots::default() };
    let listings = Listings::open(Settings::new(world.root.path().to_owned()), places).expect("opened");
    // As a backup holds it, while the writer closes it for a fault.
    let reader = listings.0.shared.database().expect("open");
    listings.0.shared.database.store(None);
    listings.sweep();
    let alarm = listings.alarm().expect("it cannot be opened");
    assert!(alarm.contains("is still read by a backup") && alarm.contains("another program"), "{alarm}");
    drop(reader);
    listings.sweep();
    assert_eq!(listings.alarm(), None);
    listings.stop();
}
