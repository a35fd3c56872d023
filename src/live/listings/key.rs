//! What a live listing is about: a prefix of addresses, a name, or all names below one.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    wire::name::{Name, ends_in_number},
    zone::{
        live::Place,
        reversed::{reverse, unreverse},
    },
};

/// What is listed or excluded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// An address or a prefix; of an address the prefix is all of it. Its host bits are zero.
    Prefix(IpNet),
    /// A name relative to the zone, as in `dnset` files.
    Name {
        /// The name, in lower case.
        name: Name,
        /// All names below it (`*.example.com`), and not itself.
        is_wildcard: bool,
    },
}

impl Key {
    /// The key of a single address. IPv4 addresses in IPv6 clothes (`::ffff:192.0.2.1`) are IPv4 addresses.
    pub fn address(address: IpAddr) -> Self {
        Self::Prefix(IpNet::from(address.to_canonical()))
    }

    /// The key of a prefix. IPv4 ones in IPv6 clothes are IPv4 prefixes.
    pub fn prefix(net: IpNet) -> Self {
        let behind = |net: &IpNet| match net {
            IpNet::V6(net) => {
                let length = net.prefix_len().checked_sub(96)?;
                Ipv4Net::new(net.addr().to_ipv4_mapped()?, length).ok()
            }
            IpNet::V4(_) => None,
        };
        Self::Prefix(behind(&net).map_or(net, IpNet::V4))
    }

    /// Whether it is every address of IPv4, or of IPv6.
    pub(super) fn is_all_of_a_family(&self) -> bool {
        matches!(self, Self::Prefix(net) if net.prefix_len() == 0)
    }

    /// Where it is found in what is served.
    pub(super) fn place(&self) -> Place {
        match self {
            Self::Prefix(IpNet::V4(net)) => Place::V4(net.network().into(), net.prefix_len()),
            Self::Prefix(IpNet::V6(net)) => Place::V6(net.network().into(), net.prefix_len()),
            Self::Name { name, is_wildcard } => Place::Name { reversed: reverse(name), is_wildcard: *is_wildcard },
        }
    }

    /// The key of a place.
    pub fn of(place: &Place) -> Self {
        // Lengths come from prefixes, so they are within their family.
        match place {
            Place::V4(first, length) => Self::Prefix(IpNet::V4(Ipv4Net::new_assert((*first).into(), *length))),
            Place::V6(first, length) => Self::Prefix(IpNet::V6(Ipv6Net::new_assert((*first).into(), *length))),
            Place::Name { reversed, is_wildcard } => {
                Self::Name { name: unreverse(reversed), is_wildcard: *is_wildcard }
            }
        }
    }

    /// Whether the two have an address or a name in common. Prefixes of IPv6 have those of IPv4 in them, in IPv6 clothes.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let is_below = |name: &Name, above: &Name| name != above && name.strip(above).is_some();
        match (self, other) {
            (Self::Prefix(one), Self::Prefix(other)) => {
                let (one, other) = (in_ipv6_clothes(one), in_ipv6_clothes(other));
                one.contains(&other) || other.contains(&one)
            }
            (Self::Name { name, is_wildcard }, Self::Name { name: other, is_wildcard: other_is_wildcard }) => {
                is_wildcard == other_is_wildcard && name == other
                    || *is_wildcard && is_below(other, name)
                    || *other_is_wildcard && is_below(name, other)
            }
            _ => false,
        }
    }

    /// The keys that this one is a part of, the narrowest first.
    pub(super) fn wider(&self) -> impl Iterator<Item = Self> + use<> {
        std::iter::successors(self.next_wider(), Self::next_wider)
    }

    fn next_wider(&self) -> Option<Self> {
        match self {
            Self::Prefix(net) => net.supernet().map(Self::Prefix),
            Self::Name { name, .. } => {
                let wire = name.as_wire();
                let above = Name::from_wire(&wire[1 + usize::from(wire[0])..]);
                (!above.is_root()).then_some(Self::Name { name: above, is_wildcard: true })
            }
        }
    }

    /// The key of a name, or of all names below it.
    pub fn name(name: Name, is_wildcard: bool) -> Self {
        Self::Name { name, is_wildcard }
    }
}

/// A prefix as one of IPv6 (RFC 4291 section 2.5.5.2).
fn in_ipv6_clothes(net: &IpNet) -> Ipv6Net {
    match net {
        IpNet::V4(net) => Ipv6Net::new_assert(net.network().to_ipv6_mapped(), 96 + net.prefix_len()),
        IpNet::V6(net) => *net,
    }
}

impl FromStr for Key {
    /// Why a text is no key, for whoever wrote it.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let empty = || "an empty key".to_owned();
        if text.is_empty() || text == "." {
            return Err(empty());
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::address(address));
        }
        if !text.is_ascii() {
            let meant = match idna::domain_to_ascii(text) {
                _ if text.contains('@') => "a mail address in ASCII".to_owned(),
                Ok(name) => format!("`{name}`"),
                Err(_) => "the form `xn--...`".to_owned(),
            };
            return Err(format!(
                "`{text}` is not in ASCII, and nobody asks for it as it is: take {meant}, as queries have it"
            ));
        }
        if let Some(octet) = text.bytes().find(|octet| *octet == b' ' || octet.is_ascii_control()) {
            let what = if octet == b' ' { "a space" } else { "a control character" };
            return Err(format!(
                "`{text}` is neither an address nor a prefix nor a name: it has {what} in it, which in a name is `\\{octet:03}`"
            ));
        }
        if is_of_several(text) {
            return Err(format!("`{text}` is more than one key: give each by itself"));
        }
        // A dot at the end makes anything a name.
        if text.contains('/') && !text.ends_with('.') {
            let net: IpNet = text.parse().map_err(|_| no_prefix(text))?;
            let meant = net.trunc();
            if meant != net {
                return Err(format!("`{text}` has bits set beyond its prefix: did you mean {meant}?"));
            }
            return Ok(Self::prefix(net));
        }
        if text == "*" {
            return Err(
                "`*` would be all names there are: name a domain, as in `*.example.com` (an asterisk that stands for itself \
                 is `\\042`)"
                    .to_owned(),
            );
        }
        if let Some(name) = text.strip_prefix('.')
            && Name::parse(name.as_bytes()).is_ok()
        {
            return Err(format!("`.{name}` is two keys: take `{name}`, the name, and `*.{name}`, all below it"));
        }
        if ends_in_number(text.as_bytes()) {
            return Err(no_domain(text));
        }
        if let Some((first, last)) = text.split_once('-')
            && first.parse::<IpAddr>().is_ok()
            && (last.parse::<u8>().is_ok() || last.parse::<IpAddr>().is_ok())
        {
            return Err(format!("`{text}` is a range: take its addresses, or the prefixes in it, as 192.0.2.4/30"));
        }
        let (name, is_wildcard) = text.strip_prefix("*.").map_or((text, false), |name| (name, true));
        match Name::parse(name.as_bytes()) {
            Ok(name) if name.is_root() => Err(empty()),
            Ok(name) => Ok(Self::Name { name, is_wildcard }),
            Err(error) => Err(format!("`{text}` is neither an address nor a prefix nor a name: {error}")),
        }
    }
}

/// Whether a text has commas and an address or a prefix between them; a dot at its end makes it a name all the same.
fn is_of_several(text: &str) -> bool {
    let is_one = |part: &str| part.parse::<IpAddr>().is_ok() || part.parse::<IpNet>().is_ok();
    text.contains(',') && !text.ends_with('.') && text.split(',').any(is_one)
}

/// What is said of a text with a slash in it.
fn no_prefix(text: &str) -> String {
    if text.contains("://") {
        return format!("`{text}` is neither an address nor a prefix nor a name: of a URL take the host alone");
    }
    format!("`{text}` is not a prefix: expected ADDRESS/LENGTH, with a length of at most 32 for IPv4 and 128 for IPv6")
}

/// What is said of a text that ends in a number: a half-typed address would be a name as well.
pub fn no_domain(text: &str) -> String {
    format!("`{text}` is no address, and no domain ends in a number: if it is a name all the same, it is `{text}.`")
}

impl fmt::Display for Key {
    /// As it may be read again: a name that looks like an address, or a part of one, has a dot at its end, and an asterisk that
    /// stands for itself is escaped.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(net) if net.prefix_len() == net.max_prefix_len() => net.addr().fmt(out),
            Self::Prefix(net) => net.fmt(out),
            Self::Name { name, is_wildcard } => {
                let name = name.to_string();
                let shown = match name.strip_prefix('*').filter(|rest| rest.is_empty() || rest.starts_with('.')) {
                    _ if *is_wildcard => format!("*.{name}"),
                    Some(rest) => format!("\\042{rest}"),
                    None => name,
                };
                let needs_dot = shown.contains('/')
                    || is_of_several(&shown)
                    || ends_in_number(shown.as_bytes())
                    || shown.parse::<IpAddr>().is_ok();
                write!(out, "{shown}{}", if needs_dot { "." } else { "" })
            }
        }
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_again() {
        let name = |text: &str, is_wildcard| Key::name(Name::parse(text.as_bytes()).expect("a name"), is_wildcard);
        let prefix = |text: &str| Key::Prefix(text.parse().expect("a prefix"));
        for (key, shown) in [
            (name("a.example", false), "a.example"),
            (name("a.example", true), "*.a.example"),
            (name("1.2.0.192", false), "1.2.0.192."),
            (name("1.2.0.192", true), "*.1.2.0.192."),
            (name("2.0.192", false), "2.0.192."),
            (name("b8::", false), "b8::."),
            (name(r"a\032b.example", false), r"a\032b.example"),
            (name("a/b.example", false), "a/b.example."),
            (name("192.0.2.1,", false), "192.0.2.1,."),
            (name("a,b.example", false), "a,b.example"),
            (name(r"\042.example", false), r"\042.example"),
            (name(r"\042.example", true), "*.*.example"),
            (prefix("192.0.2.1/32"), "192.0.2.1"),
            (prefix("2001:db8::/32"), "2001:db8::/32"),
        ] {
            assert_eq!(key.to_string(), shown);
            assert_eq!(shown.parse(), Ok(key), "{shown}");
        }
        for mapped in ["::ffff:192.0.2.1", "::ffff:192.0.2.1/128", "192.0.2.1/32"] {
            assert_eq!(mapped.parse(), Ok(prefix("192.0.2.1/32")), "{mapped}");
        }
        assert_eq!("::ffff:192.0.2.0/120".parse(), Ok(prefix("192.0.2.0/24")));
        for (text, why) in [
            (".a.example", "take `a.example`, the name, and `*.a.example`, all below it"),
            ("*.b\u{fc}cher.de", "take `*.xn--bcher-kva.de`"),
            ("m\u{fc}ller@example.com", "take a mail address in ASCII"),
            ("*", "(an asterisk that stands for itself is `\\042`)"),
            ("*.", "an empty key"),
            (" ", "has a space in it"),
            ("a.example -", "has a space in it, which in a name is `\\032`"),
            ("a\tb.example", "has a control character in it, which in a name is `\\009`"),
            ("a.example\u{7f}", "has a control character in it, which in a name is `\\127`"),
            ("192.0.2.0/33", "is not a prefix"),
            ("192.0.2", "no domain ends in a number: if it is a name all the same, it is `192.0.2.`"),
            ("*.2.0.192", "it is `*.2.0.192.`"),
            ("10.0.0.5,10.0.0.6", "is more than one key: give each by itself"),
            ("192.0.2.0/24,", "is more than one key"),
            ("192.0.2.8-15", "is a range: take its addresses, or the prefixes in it"),
            ("2001:db8::-2001:db8::ff", "is a range"),
            ("http://a.example/path", "of a URL take the host alone"),
            ("::ffff:0:0/95", "did you mean ::fffe:0:0/95?"),
        ] {
            let refused = text.parse::<Key>().expect_err(text);
            assert!(refused.contains(why), "{refused}");
        }
        let escaped: Key = r"b\195\188cher.de".parse().expect("whatever was listed before can be named");
        assert_eq!(escaped.to_string(), r"b\195\188cher.de");
    }
}
