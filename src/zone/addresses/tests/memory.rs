//! What a set takes: where nothing ends its keys, and no room for ends; and what a lifetime takes besides.

use super::*;

const COUNT: u32 = 50_000;

/// Bytes an entry where all say the same for ever, given how the entry of a line is added.
fn bytes_each(add: &dyn Fn(&mut AddressesBuilder, u32, Claim)) -> f64 {
    let mut builder = AddressesBuilder::new(Specificity::Octets);
    (0..COUNT).for_each(|line| add(&mut builder, line, Claim::listed(ValueId(0))));
    builder.build(|_, _, _| {}).memory_bytes() as f64 / f64::from(COUNT)
}

/// A bit more for each would be more than any of these.
#[test]
fn entries_without_an_end_are_their_keys() {
    let of_v6 = |length: u8| {
        bytes_each(&|set, line, claim| {
            set.add_v6(0x2000 << 112 | (u128::from(line) * 40_001) << 80, length, claim);
        })
    };
    for (what, each, most) in [
        ("IPv4 hosts", bytes_each(&add_host), 4.35),
        ("IPv4 prefixes", bytes_each(&add_lone_prefix), 9.05),
        ("IPv4 prefixes in others", bytes_each(&add_nested), 4.7),
        ("IPv6 hosts", of_v6(128), 16.35),
        ("IPv6 prefixes of /48", of_v6(48), 17.05),
        ("IPv6 prefixes of /64", of_v6(64), 17.05),
        ("IPv6 prefixes of /112", of_v6(112), 33.05),
        ("IPv6 prefixes in others", bytes_each(&add_nested_v6), 16.65),
    ] {
        assert!(each <= most, "{what}: {each}");
    }
}

#[test]
fn a_small_list_costs_its_entries() {
    let mut builder = AddressesBuilder::new(Specificity::Octets);
    for host in 0..100 {
        builder.add_v4(host * 40_000_001, 32, Claim::listed(ValueId(0)));
    }
    let set = builder.build(|_, _, _| {});
    assert!(set.memory_bytes() < 600, "{}", set.memory_bytes());
}

#[test]
fn entries_without_an_end_pay_nothing_for_it() {
    const COUNT: u32 = 100_000;
    const START_S: u32 = 1_800_000_000;
    let bytes = |until_s: &dyn Fn(u32) -> u32| {
        let mut builder = AddressesBuilder::new(Specificity::Octets);
        for host in 0..COUNT {
            builder.add_v4(host * 40_001, 32, Claim { until_s: until_s(host), ..Claim::listed(ValueId(0)) });
        }
        builder.build(|_, _, _| {}).memory_bytes()
    };
    let endless = bytes(&|_| FOREVER_S);
    let each_its_own = bytes(&|host| START_S + host);
    let one = bytes(&|host| if host == 7 { 1 } else { FOREVER_S });
    // 65,536 cells of an index, and the low halves of the hosts: no room for ends among them.
    assert!(endless < 8 * 65_536 + 2 * COUNT as usize, "{endless}");
    assert!(endless < one && one < each_its_own, "{endless} {one} {each_its_own}");
}

const DAY_S: u32 = 86_400;

/// Whether and when a line ends, of a list in which one in so many does, their ends spread over so many seconds.
fn end_of(line: u32, one_in: u32, within_s: u32) -> u32 {
    let spread = line.wrapping_mul(2_654_435_761);
    if (spread / 7).is_multiple_of(one_in) { 1_800_000_000 + spread % within_s } else { FOREVER_S }
}

/// Bytes that a lifetime takes in a set of so many entries, given how the entry of a line is added with what is said of it.
fn lifetime_bytes(
    specificity: Specificity,
    (one_in, within_s): (u32, u32),
    add: &dyn Fn(&mut AddressesBuilder, u32, Claim),
) -> f64 {
    let bytes = |end_of: &dyn Fn(u32) -> u32| {
        let mut builder = AddressesBuilder::new(specificity);
        for line in 0..COUNT {
            add(&mut builder, line, Claim { until_s: end_of(line), ..Claim::listed(ValueId(line % 30)) });
        }
        builder.build(|_, _, _| {}).memory_bytes() as f64
    };
    (bytes(&|line| end_of(line, one_in, within_s)) - bytes(&|_| FOREVER_S)) * f64::from(one_in) / f64::from(COUNT)
}

fn add_host(set: &mut AddressesBuilder, line: u32, claim: Claim) {
    set.add_v4(line.wrapping_mul(40_503), 32, claim);
}

fn add_lone_prefix(set: &mut AddressesBuilder, line: u32, claim: Claim) {
    set.add_v4(line.wrapping_mul(80_021), 24, claim);
}

/// Half of these within others, up to three deep.
fn add_nested(set: &mut AddressesBuilder, line: u32, claim: Claim) {
    let (address, length) = match line % 4 {
        0 => (line * 40_001, 20),
        1 => ((line - 1) * 40_001 + 0x110, 25),
        2 => ((line - 2) * 40_001 + 0x180, 29),
        _ => (line * 70_001, 24),
    };
    set.add_v4(address, length, claim);
}

/// Hosts, and prefixes of both tables, none within another.
fn add_v6(set: &mut AddressesBuilder, line: u32, claim: Claim) {
    let length = [128, 48, 64, 112][line as usize % 4];
    set.add_v6(0x2000 << 112 | (u128::from(line) * 40_001) << 80, length, claim);
}

/// The same within one another: a host in a /112 in a /64 in a /48.
fn add_nested_v6(set: &mut AddressesBuilder, line: u32, claim: Claim) {
    let length = [128, 48, 64, 112][line as usize % 4];
    set.add_v6(0x2000 << 112 | (u128::from(line / 4) * 40_001) << 80, length, claim);
}

const SPECIFICITIES: [Specificity; 2] = [Specificity::Octets, Specificity::Prefix(Equals::First)];

/// Among 50,000 that do not.
#[test]
fn one_entry_that_ends_costs_itself() {
    for add in [add_host, add_lone_prefix, add_nested, add_v6, add_nested_v6] {
        let bytes = |ending: Option<u32>| {
            let mut builder = AddressesBuilder::new(Specificity::Octets);
            for line in 0..COUNT {
                let until_s = if Some(line) == ending { 1_800_000_000 } else { FOREVER_S };
                add(&mut builder, line, Claim { until_s, ..Claim::listed(ValueId(line % 30)) });
            }
            builder.build(|_, _, _| {}).memory_bytes()
        };
        let endless = bytes(None);
        for line in 7_000..7_004 {
            let one = bytes(Some(line));
            assert!(one <= endless + 72, "line {line}: {one} and not {endless}");
        }
    }
}

#[test]
fn a_lifetime_costs_at_most_four_bytes() {
    for specificity in SPECIFICITIES {
        for add in [add_host, add_lone_prefix, add_nested, add_v6] {
            let each = lifetime_bytes(specificity, (1, 365 * DAY_S), &add);
            assert!(each <= 4.0, "{specificity:?}: {each}");
        }
    }
}

/// Which entries end takes some bits for each that does. The fewer they are and the farther apart they end, the nearer they come to
/// four bytes, which is less than that takes at least for one in a hundred that end within a year.
#[test]
fn nor_where_others_do_not_end() {
    for specificity in SPECIFICITIES {
        for add in [add_host, add_lone_prefix, add_v6] {
            for (one_in, days) in [(2, 365), (5, 365), (10, 365), (60, 30), (500, 1)] {
                let each = lifetime_bytes(specificity, (one_in, days * DAY_S), &add);
                assert!(each <= 4.0, "1/{one_in}, {days} days: {each}");
            }
        }
    }
}

/// What is behind a prefix that ends takes about half a byte more than its end, with others that do not end hardly more. The fewer
/// they are, the more counts what is there once.
#[test]
fn nested_prefixes_among_others_that_do_not_end() {
    const SHARES: [(u32, u32); 7] = [(1, 365), (2, 365), (5, 365), (10, 365), (60, 30), (100, 365), (500, 1)];
    for specificity in SPECIFICITIES {
        // Those of IPv6 begin where the ones around them do, which are stated after them.
        for (add, most) in [
            (add_nested as fn(&mut _, _, _), [3.3, 4.0, 4.1, 4.2, 4.3, 4.85, 4.85]),
            (add_nested_v6, [3.3, 3.65, 3.85, 4.0, 4.0, 4.45, 4.2]),
        ] {
            for ((one_in, days), most) in SHARES.into_iter().zip(most) {
                let each = lifetime_bytes(specificity, (one_in, days * DAY_S), &add);
                assert!(each <= most, "{specificity:?} 1/{one_in}, {days} days: {each} and not {most}");
            }
        }
    }
}

/// A prefix that begins where several around it do costs no more than where it does not.
#[test]
fn prefixes_that_begin_at_one_address() {
    let add = |set: &mut AddressesBuilder, line: u32, claim| {
        let length = [32, 48, 64, 128][line as usize % 4];
        set.add_v6(0x2000 << 112 | (u128::from(line) / 4 * 40_001) << 96, length, claim);
    };
    for specificity in SPECIFICITIES {
        for (one_in, most) in [(1, 3.4), (2, 3.9), (10, 4.1)] {
            let each = lifetime_bytes(specificity, (one_in, 365 * DAY_S), &add);
            assert!(each <= most, "{specificity:?} 1/{one_in}: {each}");
        }
    }
}

/// Where prefixes of one octet overlap, what they say together is kept once for all of them: that some end does not make the
/// others' dearer.
#[test]
fn few_that_end_among_many_that_count_together() {
    let bytes = |one_in: u32| {
        let mut random = SmallRng::seed_from_u64(1);
        let mut builder = AddressesBuilder::new(Specificity::Octets);
        for line in 0..100_000 {
            let length = random.random_range(16..=24);
            let until_s =
                if line % one_in == 1 { 1_800_000_000 + random.random_range(0..365 * DAY_S) } else { FOREVER_S };
            let claim = Claim { until_s, ..Claim::listed(ValueId(line % 30)) };
            builder.add_v4(random.random(), length, claim);
        }
        builder.build(|_, _, _| {}).memory_bytes()
    };
    let (endless, ending) = (bytes(u32::MAX), bytes(100));
    let each = (ending as f64 - endless as f64) / 1_000.0;
    assert!(each <= 12.0, "{each}");
}

/// A server may have thousands of lists with a line or two.
#[test]
fn a_list_of_ipv4_has_no_room_for_ipv6() {
    assert!(size_of::<Addresses>() <= 1_400, "{}", size_of::<Addresses>());
    let mut builder = AddressesBuilder::new(Specificity::Octets);
    builder.add_v4(1, 32, Claim::listed(ValueId(0)));
    assert!(builder.build(|_, _, _| {}).v6.is_none());
}
