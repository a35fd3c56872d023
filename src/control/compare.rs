//! Differences in the form in which they are told: to a socket, as JSON, and to people.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use serde::{Deserialize, Serialize};

use crate::{
    live::zones::DatasetSpec,
    load::{Report, Severity, counted},
    zone::difference::{AccessChange, Amounts, Change, Clients, Difference, Item, Treatment},
};

/// How much of each sort.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldAmounts {
    /// IPv4 addresses.
    pub v4: u64,
    /// IPv6 addresses; in JSON as a decimal text, as there may be more than its numbers can say.
    #[serde(with = "text")]
    pub v6: u128,
    /// Names.
    pub names: u64,
    /// Wildcards.
    pub wildcards: u64,
    /// Names with plain records.
    pub records: u64,
}

impl From<Amounts> for ToldAmounts {
    fn from(amounts: Amounts) -> Self {
        let Amounts { v4, v6, names, wildcards, records } = amounts;
        Self { v4, v6, names, wildcards, records }
    }
}

/// Numbers as texts.
mod text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl ToldAmounts {
    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.v4 += other.v4;
        self.v6 = self.v6.saturating_add(other.v6);
        self.names += other.names;
        self.wildcards += other.wildcards;
        self.records += other.records;
    }

    /// All sorts together.
    pub fn count(&self) -> u128 {
        let others = self.v4 + self.names + self.wildcards + self.records;
        self.v6.saturating_add(u128::from(others))
    }
}

impl fmt::Display for ToldAmounts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: u128, one: &str, many: &str| (count > 0).then(|| counted(count, one, many));
        let sorts = [
            plural(self.v4.into(), "IPv4 address", "IPv4 addresses"),
            plural(self.v6, "IPv6 address", "IPv6 addresses"),
            plural(self.names.into(), "name", "names"),
            plural(self.wildcards.into(), "wildcard", "wildcards"),
            plural(self.records.into(), "name with records", "names with records"),
        ];
        let sorts: Vec<String> = sorts.into_iter().flatten().collect();
        if sorts.is_empty() { out.write_str("nothing") } else { out.write_str(&sorts.join(", ")) }
    }
}

/// One kind of change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ToldChange {
    /// How much.
    pub amounts: ToldAmounts,
    /// The greatest share that this is of what there was, over the sorts; 1 of nothing.
    pub share: f64,
    /// The first of it: prefixes, ranges, names, `*.` names.
    pub shown: Vec<String>,
}

/// What changes of who may ask: clients that give no key, by how they would be dealt with and were not, and keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ToldAccess {
    /// Those that would find everything listed, or with another value.
    pub all_listed: ToldChange,
    /// Those that would find nothing listed.
    pub none_listed: ToldChange,
    /// Those that would be refused.
    pub refused: ToldChange,
    /// Those that would get no answer.
    pub ignored: ToldChange,
    /// Those that would get the answers that everybody gets.
    pub answered: ToldChange,
    /// Access keys that come, go, or stand for something else: how many, as they are secrets.
    pub keys: u64,
    /// The greatest share that this is of all clients of a family, or of the keys there were; 1 of nothing.
    pub share: f64,
}

impl ToldAccess {
    /// All clients together.
    pub fn clients(&self) -> ToldAmounts {
        let mut sum = ToldAmounts::default();
        for clients in [&self.all_listed, &self.none_listed, &self.refused, &self.ignored, &self.answered] {
            sum.add(&clients.amounts);
        }
        sum
    }

    /// All clients and keys together.
    pub fn count(&self) -> u128 {
        self.clients().count().saturating_add(self.keys.into())
    }
}

impl fmt::Display for ToldAccess {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clients = self.clients();
        let clients = (clients.count() > 0).then(|| format!("clients at {clients}"));
        let keys = (self.keys > 0).then(|| counted(self.keys, "access key", "access keys"));
        let told: Vec<String> = [clients, keys].into_iter().flatten().collect();
        if told.is_empty() { out.write_str("nothing") } else { out.write_str(&told.join(", ")) }
    }
}

impl From<&AccessChange> for ToldAccess {
    fn from(change: &AccessChange) -> Self {
        let told = |treatment: Treatment| {
            let Some(Clients { amounts, shown }) = change.clients.get(&treatment) else { return ToldChange::default() };
            let share = AccessChange::share_of_clients(amounts);
            ToldChange { amounts: (*amounts).into(), share, shown: shown.iter().map(show).collect() }
        };
        Self {
            all_listed: told(Treatment::AllListed),
            none_listed: told(Treatment::NoneListed),
            refused: told(Treatment::Refused),
            ignored: told(Treatment::Ignored),
            answered: told(Treatment::Answered),
            keys: change.keys,
            share: change.share(),
        }
    }
}

/// What changes in one zone or subzone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The zone or subzone.
    pub zone: String,
    /// What there is before.
    pub before: ToldAmounts,
    /// What would be listed and was not.
    pub listed: ToldChange,
    /// What would not be listed any more.
    pub delisted: ToldChange,
    /// What would be listed with other values.
    pub changed: ToldChange,
    /// Who may ask, and could not, or the other way round; of a subzone its zone tells it.
    pub access: ToldAccess,
}

/// What is wrong with the lines of a dataset that is compared, as the log says it: those that cannot be read list nothing.
pub fn faults(dataset: &DatasetSpec, report: &Report) -> Option<String> {
    if report.warnings() == 0 {
        return None;
    }
    let told = report.remarks().iter().filter(|remark| remark.fault.severity() == Severity::Warning);
    let sum = format!("{dataset}: {report}; `dnsbld check` shows them");
    Some(told.map(ToString::to_string).chain([sum]).collect::<Vec<_>>().join("\n"))
}

impl From<&Difference> for Comparison {
    fn from(difference: &Difference) -> Self {
        let told = |change: Change| {
            let amounts = difference.amounts_of(change);
            let shown = difference.shown.get(&change).into_iter().flatten().map(show).collect();
            ToldChange { amounts: amounts.into(), share: amounts.greatest_share_of(&difference.before), shown }
        };
        Self {
            zone: difference.zone.to_string(),
            before: difference.before.into(),
            listed: told(Change::Listed),
            delisted: told(Change::Delisted),
            changed: told(Change::Changed),
            access: (&difference.access).into(),
        }
    }
}

/// An item as people write it.
fn show(item: &Item) -> String {
    match item {
        Item::V4(first, last) => show_range(
            Ipv4Addr::from(*first),
            Ipv4Addr::from(*last),
            prefix_len((*first).into(), (*last).into(), 32),
            32,
        ),
        Item::V6(first, last) => {
            show_range(Ipv6Addr::from(*first), Ipv6Addr::from(*last), prefix_len(*first, *last, 128), 128)
        }
        Item::Name(name) => name.to_string(),
        Item::Wildcard(name) if name.is_root() => "*".to_owned(),
        Item::Wildcard(name) => format!("*.{name}"),
        Item::Records(name) if name.is_root() => "@ (records)".to_owned(),
        Item::Records(name) => format!("{name} (records)"),
    }
}

fn show_range(first: impl fmt::Display, last: impl fmt::Display, length: Option<u32>, bits: u32) -> String {
    match length {
        Some(length) if length == bits => first.to_string(),
        Some(length) => format!("{first}/{length}"),
        None => format!("{first}-{last}"),
    }
}

/// The length of the prefix that a range is, if it is one.
fn prefix_len(first: u128, last: u128, bits: u32) -> Option<u32> {
    let differing = first ^ last;
    let free = 128 - differing.leading_zeros();
    let mask = if free == 128 { u128::MAX } else { (1 << free) - 1 };
    (differing == mask && first & mask == 0).then(|| bits - free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_shown_as_prefixes_where_they_are() {
        let v4 = |first: &str, last: &str| {
            let parse = |text: &str| text.parse::<Ipv4Addr>().expect("an address").into();
            show(&Item::V4(parse(first), parse(last)))
        };
        assert_eq!(v4("192.0.2.0", "192.0.2.255"), "192.0.2.0/24");
        assert_eq!(v4("192.0.2.7", "192.0.2.7"), "192.0.2.7");
        assert_eq!(v4("192.0.2.1", "192.0.2.2"), "192.0.2.1-192.0.2.2");
        assert_eq!(v4("0.0.0.0", "255.255.255.255"), "0.0.0.0/0");
        assert_eq!(show(&Item::V6(0, u128::MAX)), "::/0");
    }

    #[test]
    fn amounts_are_told_in_words() {
        let amounts = ToldAmounts { v4: 1, names: 2, ..ToldAmounts::default() };
        assert_eq!(amounts.to_string(), "1 IPv4 address, 2 names");
        assert_eq!(ToldAmounts::default().to_string(), "nothing");
    }

    #[test]
    fn more_than_numbers_can_say_is_told_as_text() {
        let mut amounts = ToldAmounts { v6: u128::MAX, ..ToldAmounts::default() };
        let told = serde_json::to_string(&amounts).expect("JSON");
        assert!(told.contains(r#""v6":"340282366920938463463374607431768211455""#), "{told}");
        assert_eq!(serde_json::from_str::<ToldAmounts>(&told).expect("read"), amounts);
        amounts.add(&ToldAmounts { v4: 1, v6: 1, ..ToldAmounts::default() });
        assert_eq!((amounts.v6, amounts.count()), (u128::MAX, u128::MAX));
    }
}
