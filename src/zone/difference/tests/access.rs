//! Differences of access lists: by hand, and of random ones, told by asking both sides for clients at every end of a prefix.

use std::net::IpAddr;

use ipnet::IpNet;
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::*;
use crate::zone::{
    access::{AccessList, Action, KeyList},
    scattered::{alike, rounds},
    values::Values,
};

/// A snapshot of one zone, with the access lists of all zones and of its own.
fn guarded(of_all: &[(Kind, &str)], own: &[(Kind, &str)], has_ended: bool) -> Snapshot {
    let mut lists = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
    for (level, texts) in [of_all, own].into_iter().enumerate() {
        for (kind, text) in texts {
            match read(*kind, text) {
                Loaded::Acl(list) => lists[level].0.push(list),
                Loaded::Keys(list) => lists[level].1.push(list),
                Loaded::Data(_) => panic!("no access list"),
            }
        }
    }
    let [of_all, own] = lists;
    let kind = if has_ended { Kind::Retired } else { Kind::Generic };
    let zones = snapshot(&[(kind, "www A 192.0.2.1\n")]).zones().to_vec();
    let zones = zones.into_iter().map(|zone| Zone { acl: own.0.clone(), keys: own.1.clone(), ..zone });
    Snapshot::new(zones.collect(), of_all.0, of_all.1)
}

fn zone_with(own: &[(Kind, &str)]) -> Snapshot {
    guarded(&[], own, false)
}

fn change(old: &Snapshot, new: &Snapshot) -> AccessChange {
    let mut found = difference(old, new, &CONTEXT, usize::MAX, |_| true);
    assert_eq!(found.len(), 1);
    let found = found.remove(0);
    assert_eq!(found.is_empty(), found.access.is_empty(), "nothing else changes");
    found.access
}

fn shown(change: &AccessChange) -> Vec<(Treatment, &[Item])> {
    change.clients.iter().map(|(treatment, clients)| (*treatment, &*clients.shown)).collect()
}

const ALL_V4: Item = Item::V4(0, u32::MAX);
const ALL_V6: Item = Item::V6(0, u128::MAX);

#[test]
fn who_is_dealt_with_otherwise_is_told() {
    let one_refused = zone_with(&[(Kind::Acl, "127.0.0.1 :refuse\n")]);
    let all_listed = zone_with(&[(Kind::Acl, "0/0 :9:everybody listed\n")]);
    let found = change(&one_refused, &all_listed);
    assert_eq!(shown(&found), [(Treatment::AllListed, &[ALL_V4][..])]);
    assert_eq!((found.amounts().v4, found.amounts().v6), (1 << 32, 0));
    assert!((found.share() - 1.0).abs() < 1e-9);
    // Those who were let in all the time are not told of.
    let back = change(&all_listed, &one_refused);
    let others = [Item::V4(0, 0x7f00_0000), Item::V4(0x7f00_0002, u32::MAX)];
    let refused = [Item::V4(0x7f00_0001, 0x7f00_0001)];
    assert_eq!(shown(&back), [(Treatment::Answered, &others[..]), (Treatment::Refused, &refused)]);
    let closed = zone_with(&[(Kind::Acl, "0/0 :refuse\n::/0 :refuse\n")]);
    assert_eq!(shown(&change(&zone_with(&[]), &closed)), [(Treatment::Refused, &[ALL_V4, ALL_V6][..])]);
    let found = change(&all_listed, &zone_with(&[(Kind::Acl, "0/0 :9:another text\n")]));
    assert_eq!(shown(&found), [(Treatment::AllListed, &[ALL_V4][..])]);
}

#[test]
fn what_is_said_otherwise_is_no_change() {
    let halves = "0/1 :refuse\n128/1 :refuse\n10.0.0.1 :pass\n";
    let whole = "0/0 :refuse\n10.0.0.1 :pass\n";
    let at_once = zone_with(&[(Kind::Acl, whole)]);
    for other in [
        zone_with(&[(Kind::Acl, halves)]),
        // `pass` of one list leaves what another says.
        guarded(&[(Kind::Acl, "10.0.0.0/31 :pass\n")], &[(Kind::Acl, whole)], false),
        guarded(&[(Kind::Acl, whole)], &[], false),
        // What is milder does not show.
        guarded(&[(Kind::Acl, "192.0.2.0/24 :5:x\n")], &[(Kind::Acl, whole)], false),
    ] {
        let found = change(&at_once, &other);
        assert!(found.is_empty(), "{found:?}");
    }
    // Who finds everything listed in a list that has ended finds nothing.
    let listed: &[_] = &[(Kind::Acl, "0/0 :9:x\n")];
    assert!(change(&guarded(&[], &[], true), &guarded(listed, &[], true)).is_empty());
    // In one that is not served any more nobody is let in.
    assert!(difference(&at_once, &Snapshot::default(), &CONTEXT, 1, |_| true)[0].access.is_empty());
    let new = &difference(&Snapshot::default(), &at_once, &CONTEXT, 1, |_| true)[0];
    assert_eq!(new.access.amounts().v4, u64::from(u32::MAX));
    assert_eq!(new.access.clients[&Treatment::Refused].shown, [Item::V4(0, 0x0a00_0000)]);
}

#[test]
fn keys_are_counted_and_clients_without_one_are_told_of() {
    let keys = |text| zone_with(&[(Kind::AclKey, text)]);
    let found = change(&zone_with(&[]), &keys("one :pass\n"));
    assert_eq!((found.keys, found.keys_before, shown(&found).len()), (1, 0, 1));
    assert_eq!(shown(&found), [(Treatment::Ignored, &[ALL_V4, ALL_V6][..])]);
    let found = change(&keys("one :pass\ntwo :pass\n"), &keys("ONE :pass\ntwo :refuse\nthree :pass\n"));
    assert_eq!((found.keys, found.keys_before, found.clients.len()), (2, 2, 0));
    assert_eq!(change(&keys("one :pass\ntwo :pass\n"), &keys("two :pass\n")).keys, 1);
    // Those of several lists are as those of one.
    let two = zone_with(&[(Kind::AclKey, "one :pass\n"), (Kind::AclKey, "two :pass\n")]);
    assert!(change(&two, &keys("one :pass\ntwo :pass\n")).is_empty());
}

fn client(bits: u8, number: u128) -> IpAddr {
    if bits == 32 { IpAddr::V4((number as u32).into()) } else { IpAddr::V6(number.into()) }
}

/// Some lists, and the ends of what they name.
fn lists(random: &mut SmallRng, ends: &mut Vec<(u8, u128)>) -> (Vec<Arc<AccessList>>, Vec<Arc<KeyList>>) {
    let actions = [Action::Pass, Action::Ignore, Action::Refuse, Action::Empty];
    let acl = (0..random.random_range(0..3)).map(|_| {
        let entries: Vec<_> = (0..random.random_range(0..8))
            .map(|_| {
                let (bits, near) = *ends.choose(random).expect("the ends");
                let prefix = IpNet::new(client(bits, alike(random, bits, near)), random.random_range(0..=bits));
                let prefix = prefix.expect("a length within its family").trunc();
                ends.extend(match prefix {
                    IpNet::V4(net) => [net.network(), net.broadcast()].map(|end| (32, u32::from(end).into())),
                    IpNet::V6(net) => [net.network(), net.broadcast()].map(|end| (128, end.into())),
                });
                (prefix, *actions.choose(random).expect("one"))
            })
            .collect();
        Arc::new(AccessList::new("acl", 60, Values::default(), entries))
    });
    let acl = acl.collect();
    let fallback = *actions.choose(random).expect("one");
    let keys = KeyList::new("keys", 60, Values::default(), [(Box::from(*b"key"), Action::Pass)], fallback);
    (acl, if random.random_range(0..4) == 0 { vec![Arc::new(keys)] } else { Vec::new() })
}

/// What all lists that are asked about the one zone say of a client.
fn sternest(snapshot: &Snapshot, client: IpAddr) -> Treatment {
    let zone = &snapshot.zones()[0];
    let of_clients = snapshot.acl.iter().chain(&zone.acl).map(|list| list.action(client));
    let of_keys = snapshot.keys.iter().chain(&zone.keys).map(|list| list.verdict(None).action);
    let all: Vec<Action> = of_clients.chain(of_keys).collect();
    let says = |action| all.contains(&action);
    match () {
        () if says(Action::Ignore) => Treatment::Ignored,
        () if says(Action::Refuse) => Treatment::Refused,
        () if says(Action::Empty) => Treatment::NoneListed,
        () => Treatment::Answered,
    }
}

#[test]
fn random_lists() {
    for seed in 0..rounds(200) {
        let random = &mut SmallRng::seed_from_u64(seed);
        let mut ends = vec![(32, 0), (32, u128::from(u32::MAX)), (128, 0), (128, u128::MAX)];
        let [old, new] = [(); 2].map(|()| {
            let [of_all, own] = [(); 2].map(|()| lists(random, &mut ends));
            let zone = Zone { acl: own.0, keys: own.1, ..snapshot(&[]).zones()[0].clone() };
            Snapshot::new(vec![zone], of_all.0, of_all.1)
        });
        let found = change(&old, &new);
        let mut counted = Amounts::default();
        for item in found.clients.values().flat_map(|clients| &clients.shown) {
            match *item {
                Item::V4(first, last) => counted.v4 += u64::from(last - first) + 1,
                Item::V6(first, last) => counted.v6 = counted.v6.saturating_add((last - first).saturating_add(1)),
                _ => panic!("{item:?} is no client"),
            }
        }
        assert_eq!(counted, found.amounts(), "{seed}");
        for (bits, end) in ends {
            let highest = if bits == 32 { u128::from(u32::MAX) } else { u128::MAX };
            for number in [end, end.saturating_sub(1), end.saturating_add(1).min(highest)] {
                let is_in = |item: &&Item| match **item {
                    Item::V4(first, last) => bits == 32 && (first..=last).contains(&(number as u32)),
                    Item::V6(first, last) => bits == 128 && (first..=last).contains(&number),
                    _ => false,
                };
                let told: Vec<Treatment> = found
                    .clients
                    .iter()
                    .flat_map(|(treatment, clients)| clients.shown.iter().filter(is_in).map(|_| *treatment))
                    .collect();
                let [before, after] = [&old, &new].map(|snapshot| sternest(snapshot, client(bits, number)));
                let expected = (before != after).then_some(after);
                assert_eq!(told, Vec::from_iter(expected), "{seed}: {}", client(bits, number));
            }
        }
    }
}
