//! What people ask about: an address or a domain name.

use std::net::IpAddr;

use crate::{
    wire::name::{Name, ends_in_number},
    zone::subject::v4_behind,
};

/// An address or a domain name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskedKey {
    /// An IPv4 address.
    V4(u32),
    /// An IPv6 address.
    V6(u128),
    /// A domain name.
    Name(Name),
}

impl AskedKey {
    /// All that is looked up for it: of an IPv6 address that stands for an IPv4 one, such as `::ffff:192.0.2.1`, both, as in
    /// answers.
    pub fn readings(self) -> Vec<Self> {
        let behind = if let Self::V6(address) = self { v4_behind(address).map(Self::V4).collect() } else { Vec::new() };
        [vec![self], behind].concat()
    }

    /// Reads one as people write it.
    ///
    /// # Errors
    /// When it is neither, in words for whoever wrote it.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => Ok(Self::V4(address.into())),
            Ok(IpAddr::V6(address)) => Ok(Self::V6(address.into())),
            Err(_) => {
                let is_name = !text.contains(['/', ':']) && !ends_in_number(text.as_bytes());
                let name = Name::parse(text.as_bytes()).ok().filter(|name| is_name && !name.is_root());
                name.map(Self::Name).ok_or_else(|| {
                    format!("{text}: neither an address such as 192.0.2.1 or 2001:db8::1, nor a domain name such as example.com")
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_names_and_neither() {
        assert_eq!(AskedKey::parse("192.0.2.1"), Ok(AskedKey::V4(0xc000_0201)));
        let mapped = AskedKey::V6(0xffff_c000_0201);
        assert_eq!(AskedKey::parse("::ffff:192.0.2.1"), Ok(mapped.clone()));
        assert_eq!(mapped.clone().readings(), [mapped, AskedKey::V4(0xc000_0201)]);
        assert!(matches!(AskedKey::parse("2001:db8::1"), Ok(AskedKey::V6(_))));
        assert!(matches!(AskedKey::parse("Example.COM"), Ok(AskedKey::Name(_))));
        for name in ["example.com.", "1.2.0.192."] {
            assert_eq!(AskedKey::parse(name), Ok(AskedKey::Name(Name::parse(name.as_bytes()).expect("a name"))));
        }
        for wrong in ["", ".", "192.0.2.0/24", "192.0.2", "300.0.0.1", "2001:db8::x", "a..b"] {
            assert!(AskedKey::parse(wrong).is_err(), "{wrong}");
        }
    }
}
