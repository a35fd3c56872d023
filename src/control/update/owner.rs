//! Owner names and what they list: `2.0.0.127.bl.example` is an address, `0.0.127.bl.example` a prefix, `*.example.com.bl.example`
//! all names below one. It depends on what the zone holds.

use ipnet::{Ipv4Net, Ipv6Net};

use crate::{
    live::listings::Key,
    wire::name::{Name, QueryName},
    zone::{dataset::Entries, snapshot::Content, subject::Subject},
};

/// Which keys a zone takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// IPv4 addresses and prefixes; a zone that takes those takes IPv6 ones as well.
    pub v4: bool,
    /// IPv6 addresses and prefixes.
    pub v6: bool,
    /// Names and wildcards.
    pub names: bool,
}

impl Holds {
    /// What a zone holds, by its datasets, those of subzones apart: one of IPv4 addresses takes IPv6 ones besides, one without any
    /// takes everything.
    pub fn of(content: &Content) -> Self {
        let datasets = content.own_datasets();
        let v4 = datasets.iter().any(|dataset| dataset.kind.holds_v4());
        let v6 = v4 || datasets.iter().any(|dataset| dataset.kind.holds_v6());
        let names = datasets.iter().any(|dataset| matches!(dataset.entries, Entries::Names(_)));
        if v6 || names { Self { v4, v6, names } } else { Self { v4: true, v6: true, names: true } }
    }
}

/// The key that an owner name, relative to its zone, stands for; `None` for the apex and for what the zone does not hold.
pub fn key(owner: &Name, holds: Holds) -> Option<Key> {
    let wire = owner.as_wire();
    let (name, is_wildcard) = wire.strip_prefix(b"\x01*").map_or((wire, false), |rest| (rest, true));
    let mut query_name = QueryName::new();
    query_name.read(name)?;
    let count = query_name.label_count();
    if count == 0 {
        return None;
    }
    let subject = Subject::new(query_name.relative(count));
    // Nothing is below an IPv4 address, and its octets as nibbles would be an IPv6 prefix as wide as may be.
    let is_below_v4 = holds.v4 && is_wildcard && count == 4 && subject.v4.is_some();
    if holds.v4
        && let Some(run) = subject.v4
        && !is_below_v4
    {
        return Ipv4Net::new(run.first.into(), 8 * count as u8).ok().map(|net| Key::Prefix(net.into()));
    }
    if holds.v6
        && let Some(run) = subject.v6
        && !is_below_v4
        && !(is_wildcard && count == 32)
    {
        // RFC 5782 section 2.4: the test entries of IPv4 lists are asked for as nibbles, too.
        return Ipv6Net::new(run.first.into(), 4 * count as u8).ok().map(|net| Key::prefix(net.into()));
    }
    holds.names.then(|| Key::name(Name::from_wire(name), is_wildcard))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Holds = Holds { v4: true, v6: true, names: true };
    const NAMES: Holds = Holds { v4: false, v6: false, names: true };
    const V6: Holds = Holds { v4: false, v6: true, names: false };

    fn read(owner: &str, holds: Holds) -> Option<String> {
        key(&Name::parse(owner.as_bytes()).expect("a name"), holds).map(|key| key.to_string())
    }

    #[test]
    fn octets_are_addresses_and_prefixes() {
        let is = |owner, text: &str| assert_eq!(read(owner, ALL).as_deref(), Some(text), "{owner}");
        is("1.2.0.192", "192.0.2.1");
        is("2.0.192", "192.0.2.0/24");
        is("*.2.0.192", "192.0.2.0/24");
        is("10", "10.0.0.0/8");
        is("example.com", "example.com");
        is("*.example.com", "*.example.com");
        is("02.0.0.127", "02.0.0.127."); // no address, so a name
        assert_eq!(read("02.0.0.127", Holds { names: false, ..ALL }), None);
        assert_eq!(read("*.1.2.0.192", Holds { names: false, ..ALL }), None);
        assert_eq!(read("*.1.0.0.2", Holds { names: false, ..ALL }), None, "not 2001::/16");
        assert_eq!(read(".", ALL), None);
        assert_eq!(read("*", ALL), None);
    }

    #[test]
    fn nibbles_are_addresses_and_prefixes() {
        let whole = format!("1{}.8.b.d.0.1.0.0.2", ".0".repeat(23));
        assert_eq!(read(&whole, ALL).as_deref(), Some("2001:db8::1"));
        assert_eq!(read("8.b.d.0.1.0.0.2", V6).as_deref(), Some("2001:db8::/32"));
        assert_eq!(read("*.8.b.d.0.1.0.0.2", V6).as_deref(), Some("2001:db8::/32"));
        assert_eq!(read("1.0.0.2", V6).as_deref(), Some("2001::/16"));
        assert_eq!(read("1.0.0.2", ALL).as_deref(), Some("2.0.0.1"));
        let mapped = format!("2.0.0.0.0.0.f.7.f.f.f.f{}", ".0".repeat(20));
        assert_eq!(read(&mapped, ALL).as_deref(), Some("127.0.0.2"));
        assert_eq!(read(&whole, NAMES), Some(format!("{whole}.")));
    }

    #[test]
    fn zones_of_names_hold_whatever_looks_like_an_address() {
        assert_eq!(read("1.2.0.192", NAMES).as_deref(), Some("1.2.0.192."), "a name, as its dot says");
        assert_eq!(read("example.com", V6), None);
    }
}
