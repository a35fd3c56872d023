//! Sets that small files make, and that would take any time or any memory if there were no limits.

use super::*;

/// Where too many have to be asked, something is taken to be listed: also where all that is listed is excluded piece by piece.
#[test]
fn no_question_goes_over_all_that_is_excluded() {
    let any_v4 = |lines: Vec<Line>| {
        let set = build_v4(&lines, Specificity::Prefix(Equals::First));
        set.any_listed_v4(0, u32::MAX, &NOW)
    };
    let excluded = |host| (host, 32, Claim::excluded());
    let pairs = |count: u128| {
        let pair = |first| [(first, 31, Claim::listed(ValueId(1))), excluded(first), excluded(first + 1)];
        (0..count).flat_map(|number| pair(4 * number)).collect()
    };
    assert!(!any_v4(pairs(200)) && any_v4(pairs(10_000)));
    let all_of = |length| {
        let hosts = (0..1_u128 << (32 - length)).map(excluded);
        hosts.chain([(0, length, Claim::listed(ValueId(1)))]).collect()
    };
    assert!(!any_v4(all_of(24)) && any_v4(all_of(16)));
    let any_v6 = |halvings: u8| {
        let until = |number| Claim { until_s: 2_000 + number as u32, ..Claim::excluded() };
        let deep = (0..1 << halvings).map(|number| (number << (64 - halvings), 64 + halvings, until(number)));
        let lines: Vec<Line> = deep.chain([(0, 64, Claim::listed(ValueId(1)))]).collect();
        build_v6(&lines).any_listed_v6(0, u128::MAX, &NOW)
    };
    assert!(!any_v6(9) && any_v6(12));
}

const GROUPS: u32 = 40;

fn value(id: u32) -> Claim {
    Claim::listed(ValueId(id))
}

/// A set where there is no more room for what counts together: groups of a /25 of hundreds of lines and hosts within it.
fn without_room() -> AddressesBuilder {
    let mut builder = AddressesBuilder::new(Specificity::Octets);
    for group in 0..GROUPS {
        (0..255).for_each(|id| builder.add_v4(group << 8, 25, value(id)));
        (0..128).for_each(|host| builder.add_v4(group << 8 | host, 32, value(1_000 + 128 * group + host)));
    }
    builder
}

fn build(builder: AddressesBuilder) -> (Addresses, Vec<(u32, u8, Crowding)>) {
    let mut crowded = Vec::new();
    let set = builder.build(|start, length, crowding| crowded.push((start, length, crowding)));
    (set, crowded)
}

fn count(set: &Addresses, address: u32) -> usize {
    answer(set.find_v4(address, &NOW), &NOW).map_or(0, |values| values.len())
}

/// Hundreds of lines about one prefix, and hundreds within it: what it says is not kept again with each of these.
#[test]
fn what_counts_together_is_kept_in_proportion() {
    let mut builder = without_room();
    // Wide prefixes and narrow ones of one line each, as many as can be around each other, are kept together after all that.
    for length in 25..=32 {
        builder.add_v4(0xf000_0000, length, value(u32::from(length)));
    }
    let (set, crowded) = build(builder);
    let count = |address| count(&set, address);
    assert_eq!((count(0), count(1), count(128)), (256, 256, 0), "what is small may be dear");
    assert_eq!(count(0xf000_0000), 8);
    let last = (GROUPS - 1) << 8;
    assert!((0..128).filter(|host| count(last | host) == 1).count() > 100);
    assert_eq!(crowded.last(), Some(&(last, 25, Crowding::Prefixes)));
    assert!(crowded.len() < GROUPS as usize, "each is told of once");
    assert!(set.memory_bytes() < 250 * set.entries() + 20 * (1 << 16), "{}", set.memory_bytes());
}

#[test]
fn what_is_kept_already_needs_no_room() {
    let mut builder = without_room();
    let again = 0x1000_0000;
    (0..255).for_each(|id| builder.add_v4(again, 25, value(id)));
    (0..128).for_each(|host| builder.add_v4(again | host, 32, value(1_000 + host)));
    let (set, crowded) = build(builder);
    assert!((0..128).all(|host| count(&set, again | host) == 256));
    assert!(crowded.iter().all(|(start, _, _)| *start < again), "{crowded:?}");
}

#[test]
fn exclusions_count_where_there_is_no_room_for_values() {
    let mut builder = without_room();
    let (for_some_time, for_ever) = (0x1000_0000, 0x1000_0100);
    for (start, until_s) in [(for_some_time, 2_000), (for_ever, FOREVER_S)] {
        builder.add_v4(start, 25, Claim { until_s, ..Claim::excluded() });
        (0..255).for_each(|id| builder.add_v4(start, 26, value(id)));
        (0..64).for_each(|host| builder.add_v4(start | host, 32, value(500_000 + start + host)));
    }
    let (set, _) = build(builder);
    let later = Context { now_s: 2_000, keyed: false };
    let values = |address, context: &Context| answer(set.find_v4(address, context), context).unwrap_or_default().len();
    assert!((0..64).all(|host| values(for_some_time | host, &NOW) == 0 && values(for_ever | host, &later) == 0));
    assert!((0..64).all(|host| values(for_some_time | host, &later) > 0));
    assert_eq!(values(for_some_time | 63, &later), 1, "there was no room");
}

/// It is told of the prefix that says too much, not of one around it or within it, and once.
#[test]
fn the_prefix_that_says_most_is_told() {
    let mut builder = without_room();
    let (few_around, too_many) = (0x1000_0000, 0x1000_0100);
    builder.add_v4(few_around, 25, value(300));
    (0..200).for_each(|id| builder.add_v4(few_around, 26, value(id)));
    (0..300).for_each(|id| builder.add_v4(too_many, 26, value(id)));
    for start in [few_around, too_many] {
        (0..64).for_each(|host| builder.add_v4(start | host, 32, value(500_000 + start + host)));
    }
    let (_, mut crowded) = build(builder);
    crowded.retain(|(start, ..)| *start >= few_around);
    assert_eq!(crowded, [(few_around, 26, Crowding::Prefixes), (too_many, 26, Crowding::Values)]);
}
