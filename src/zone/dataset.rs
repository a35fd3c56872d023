//! One typed set of entries, read from one or more files.

use std::{fmt, str::FromStr};

use super::{
    addresses::Addresses,
    lifetimes::Lifetimes,
    names::Names,
    records::Records,
    standing::Equals,
    values::{ValueId, Values},
};

/// The formats of dataset files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// IPv4 addresses and ranges, in levels of whole octets.
    Ip4Set,
    /// IPv4 addresses that share one value.
    Ip4TSet,
    /// IPv4 prefixes (and IPv6 ones, as in rspamd's fork); the longest counts.
    Ip4Trie,
    /// IPv6 prefixes; the longest counts.
    Ip6Trie,
    /// IPv6 /64 prefixes that share one value, with addresses excluded from them.
    Ip6TSet,
    /// Lines of an IPv4 address and the second it was last seen, as `makemap -u` prints them.
    Ip4Seen,
    /// Domain names, with wildcards.
    DnSet,
    /// The same, as rspamd's fork calls it.
    DnHash,
    /// Plain records.
    Generic,
    /// Several datasets in one file, each in subzones of its own.
    Combined,
    /// Client addresses and what is done with their queries.
    Acl,
    /// Access keys and what is done with their queries.
    AclKey,
    /// Plain records of a list that has ended: they are all that its zone has.
    Retired,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Ip4Set,
        Self::Ip4TSet,
        Self::Ip4Trie,
        Self::Ip6Trie,
        Self::Ip6TSet,
        Self::Ip4Seen,
        Self::DnSet,
        Self::DnHash,
        Self::Generic,
        Self::Combined,
        Self::Acl,
        Self::AclKey,
        Self::Retired,
    ];

    /// The word for it in zone specifications and file names.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ip4Set => "ip4set",
            Self::Ip4TSet => "ip4tset",
            Self::Ip4Trie => "ip4trie",
            Self::Ip6Trie => "ip6trie",
            Self::Ip6TSet => "ip6tset",
            Self::Ip4Seen => "ip4seen",
            Self::DnSet => "dnset",
            Self::DnHash => "dnhash",
            Self::Generic => "generic",
            Self::Combined => "combined",
            Self::Acl => "acl",
            Self::AclKey => "aclkey",
            Self::Retired => "retired",
        }
    }

    /// Whether its entries may be IPv4 addresses.
    pub const fn holds_v4(self) -> bool {
        matches!(self, Self::Ip4Set | Self::Ip4TSet | Self::Ip4Trie | Self::Ip4Seen)
    }

    /// Whether its entries may be IPv6 addresses.
    pub const fn holds_v6(self) -> bool {
        matches!(self, Self::Ip6Trie | Self::Ip6TSet | Self::Ip4Trie)
    }

    /// Whether a line may exclude an address from it.
    pub const fn has_exclusions(self) -> bool {
        !matches!(self, Self::Ip4TSet | Self::Ip4Seen)
    }

    /// Which of the entries about one prefix or one name count.
    pub const fn equals(self) -> Equals {
        match self {
            Self::Ip4TSet | Self::Ip4Trie | Self::Ip6Trie | Self::Ip6TSet => Equals::First,
            // Of an address that was seen several times, the last time counts.
            Self::Ip4Seen => Equals::Last,
            _ => Equals::All,
        }
    }

    /// Whether it says who may ask, and holds no entries.
    pub const fn is_access(self) -> bool {
        matches!(self, Self::Acl | Self::AclKey)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

/// A word that names no dataset type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown dataset type `{0}`: expected ip4set, ip4tset, ip4trie, ip6trie, ip6tset, ip4seen, dnset, dnhash, generic, combined, acl, aclkey or retired"
)]
pub struct UnknownKind(pub String);

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(word: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.word() == word).ok_or_else(|| UnknownKind(word.to_owned()))
    }
}

/// What a key may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// An IPv4 address or prefix.
    V4,
    /// An IPv6 address or prefix.
    V6,
    /// A name.
    Name,
}

/// The entries of a dataset, by the shape of their keys.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // there are a few, and one indirection less on every query
pub enum Entries {
    /// Addresses and prefixes of both families.
    Addresses(Addresses),
    /// Domain names and wildcards.
    Names(Names),
    /// Plain records.
    Records(Records),
}

/// One typed set of entries with its values.
#[derive(Debug)]
pub struct Dataset {
    /// Type and files, for messages: `ip4set:hosts,relays`.
    pub label: Box<str>,
    /// Its type.
    pub kind: Kind,
    /// TTL of its A and TXT records, in seconds; plain records have their own.
    pub ttl_s: u32,
    /// What its keys answer with.
    pub values: Values,
    /// The value of entries that give none, as its first file begins; plain records have no such thing.
    pub default_value: Option<ValueId>,
    /// Its keys.
    pub entries: Entries,
}

impl Dataset {
    /// Number of entries as they stand in the files.
    pub fn len(&self) -> usize {
        match &self.entries {
            Entries::Addresses(addresses) => addresses.entries(),
            Entries::Names(names) => names.entries(),
            Entries::Records(records) => records.len(),
        }
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `visit` with each name that it has an entry or records for, in wire format without the root octet.
    pub fn for_each_name(&self, mut visit: impl FnMut(&[u8])) {
        match &self.entries {
            Entries::Addresses(_) => {}
            Entries::Names(names) => names.for_each(|name, _, _| {
                let name = name.to_name();
                visit(&name.as_wire()[..name.as_wire().len() - 1]);
            }),
            Entries::Records(records) => records.iter().for_each(|(name, _)| visit(name)),
        }
    }

    /// How much of it ends, and when. Walks over all of it.
    pub fn lifetimes(&self, now_s: u64) -> Lifetimes {
        match &self.entries {
            Entries::Addresses(addresses) => addresses.lifetimes(now_s),
            Entries::Names(names) => names.lifetimes(now_s),
            Entries::Records(records) => Lifetimes::endless(records.len()),
        }
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.values.memory_bytes()
            + match &self.entries {
                Entries::Addresses(addresses) => addresses.memory_bytes(),
                Entries::Names(names) => names.memory_bytes(),
                Entries::Records(records) => records.memory_bytes(),
            }
    }
}
