//! Who may ask: lists of client addresses (`acl`) and lists of access keys (`aclkey` of rspamd's fork).
//!
//! Lists of clients are small and asked once a query, which is what a trie of prefixes is good at (`iptrie`, built once and
//! never changed). A key is the label between the data and the zone: `2.0.0.127.KEY.zone`.

use std::{collections::HashMap, fmt, net::IpAddr};

use ipnet::IpNet;
use iptrie::{IpLCTrieMap, IpRTrieMap};

use super::values::{ValueId, Values};

/// What is done with a client's queries (rbldnsd(8), "acl Dataset").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// As if no list spoke of the client.
    Pass,
    /// No answer at all.
    Ignore,
    /// REFUSED.
    Refuse,
    /// Nothing is listed; records and the zone's own data are answered.
    Empty,
    /// Everything is listed, with this value of the access list.
    Listed(ValueId),
}

/// Actions by client address; of several prefixes the longest counts.
pub struct AccessList {
    /// For messages.
    pub label: Box<str>,
    /// TTL of answers that an action makes.
    pub ttl_s: u32,
    /// The values that actions name.
    pub values: Values,
    clients: IpLCTrieMap<Option<Action>>,
    entry_count: usize,
}

impl AccessList {
    /// Builds a list; of equal prefixes the first counts.
    pub fn new(label: &str, ttl_s: u32, values: Values, entries: impl IntoIterator<Item = (IpNet, Action)>) -> Self {
        let mut clients = IpRTrieMap::with_roots(None, None);
        let mut entry_count = 0;
        for (client, action) in entries {
            let client = client.trunc();
            if clients.get(&client).copied().flatten().is_none() {
                clients.insert(client, Some(action));
                entry_count += 1;
            }
        }
        Self { label: label.into(), ttl_s, values, clients: clients.compress(), entry_count }
    }

    /// What is done with this client's queries.
    pub fn action(&self, client: IpAddr) -> Action {
        self.clients.lookup(&IpNet::from(client)).1.unwrap_or(Action::Pass)
    }

    /// The prefixes of which it says something.
    pub fn prefixes(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.clients.iter().filter(|(_, action)| action.is_some()).map(|(client, _)| client)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entry_count
    }

    /// Whether the list says nothing.
    pub fn is_empty(&self) -> bool {
        self.entry_count == 0
    }
}

impl fmt::Debug for AccessList {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("AccessList").field("label", &self.label).finish_non_exhaustive()
    }
}

/// Actions by access key.
#[derive(Debug)]
pub struct KeyList {
    /// For messages.
    pub label: Box<str>,
    /// TTL of answers that an action makes.
    pub ttl_s: u32,
    /// The values that actions name.
    pub values: Values,
    keys: HashMap<Box<[u8]>, Action, foldhash::fast::RandomState>,
    /// What is done with queries that have no known key.
    fallback: Action,
}

/// What a key list says of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyVerdict {
    /// The last label is a key and is to be taken off.
    pub is_key: bool,
    /// What is done.
    pub action: Action,
}

impl KeyList {
    /// Builds a list; keys compare without regard to case, as all labels do (RFC 4343), and of equal ones the first counts.
    pub fn new(
        label: &str,
        ttl_s: u32,
        values: Values,
        entries: impl IntoIterator<Item = (Box<[u8]>, Action)>,
        fallback: Action,
    ) -> Self {
        let mut keys = HashMap::default();
        for (mut key, action) in entries {
            key.make_ascii_lowercase();
            keys.entry(key).or_insert(action);
        }
        Self { label: label.into(), ttl_s, values, keys, fallback }
    }

    /// What the list says of a query whose last label before the zone is `label` (lower case), or that has none.
    pub fn verdict(&self, label: Option<&[u8]>) -> KeyVerdict {
        match label.and_then(|label| self.keys.get(label)) {
            Some(&action) => KeyVerdict { is_key: true, action },
            None => KeyVerdict { is_key: false, action: self.fallback },
        }
    }

    /// All keys, in lower case and no order, with what is done with queries that have them.
    pub fn keys(&self) -> impl Iterator<Item = (&[u8], Action)> {
        self.keys.iter().map(|(key, action)| (&**key, *action))
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

    use super::*;
    use crate::zone::scattered::{alike, rounds};

    #[test]
    fn the_longest_prefix_counts_and_of_equals_the_first() {
        let net = |text: &str| text.parse::<IpNet>().expect("a prefix");
        let list = AccessList::new(
            "acl",
            60,
            Values::default(),
            [
                (net("10.0.0.0/8"), Action::Refuse),
                (net("10.1.0.0/16"), Action::Pass),
                (net("10.1.0.0/16"), Action::Ignore),
                (net("2001:db8::/32"), Action::Empty),
                (net("192.0.2.1/32"), Action::Ignore),
            ],
        );
        let action = |text: &str| list.action(text.parse().expect("an address"));
        assert_eq!(action("10.2.3.4"), Action::Refuse);
        assert_eq!(action("10.1.3.4"), Action::Pass);
        assert_eq!(action("11.1.3.4"), Action::Pass);
        assert_eq!(action("2001:db8::1"), Action::Empty);
        assert_eq!(action("192.0.2.1"), Action::Ignore);
        assert_eq!(action("192.0.2.2"), Action::Pass);
        assert_eq!(list.len(), 4);
    }

    #[test]
    fn keys_compare_without_case() {
        let keys = [(Box::from(*b"SeCret"), Action::Pass)];
        let list = KeyList::new("keys", 60, Values::default(), keys, Action::Refuse);
        assert_eq!(list.verdict(Some(b"secret")), KeyVerdict { is_key: true, action: Action::Pass });
        assert_eq!(list.verdict(Some(b"other")), KeyVerdict { is_key: false, action: Action::Refuse });
        assert_eq!(list.verdict(None), KeyVerdict { is_key: false, action: Action::Refuse });
    }

    /// A list of prefixes from all over, against a table of them.
    fn check(seed: u64, count: u32) {
        let random = &mut SmallRng::seed_from_u64(seed);
        let hosts_in_ten = random.random_range(0..=10);
        let address = |bits: u8, address: u128| match bits {
            32 => IpAddr::V4((address as u32).into()),
            _ => IpAddr::V6(address.into()),
        };
        let mut near = vec![(32, 0), (32, u128::from(u32::MAX)), (128, 0), (128, u128::MAX), (128, 0xffff_7f00_0001)];
        let mut first_of: HashMap<IpNet, Action> = HashMap::new();
        let mut entries = Vec::new();
        for number in 0..count {
            let (bits, other) = *near.choose(random).expect("the ends");
            // All over, or one after another.
            let own = if random.random() { alike(random, bits, other) } else { other ^ u128::from(number) };
            let length = if random.random_range(0..10) < hosts_in_ten { bits } else { random.random_range(0..=bits) };
            let action = Action::Listed(ValueId(number));
            let client = IpNet::new(address(bits, own), length).expect("a length within its family");
            first_of.entry(client.trunc()).or_insert(action);
            entries.push((client, action));
            near.push((bits, own));
        }
        let list = AccessList::new("acl", 60, Values::default(), entries);
        assert_eq!(list.len(), first_of.len());
        for _ in 0..300 {
            let (bits, other) = *near.choose(random).expect("the ends");
            let client = address(bits, if random.random() { other } else { alike(random, bits, other) });
            let prefix = |length| IpNet::new(client, length).expect("a length within its family").trunc();
            let expected = (0..=bits).rev().find_map(|length| first_of.get(&prefix(length)).copied());
            assert_eq!(list.action(client), expected.unwrap_or(Action::Pass), "{seed} {count}: {client}");
        }
    }

    #[test]
    fn prefixes_from_all_over() {
        for seed in 0..rounds(20) {
            for count in [1, 5, 40, 1_000] {
                check(seed, count);
            }
        }
    }
}
