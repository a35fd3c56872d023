//! What a set takes in which nothing ends: its keys, and no room for ends.

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
