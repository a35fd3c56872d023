//! The addresses of name servers whose names are in zones of ours: they go with NS records, and whoever asks for them is answered
//! here, so there must be some.

use std::net::IpAddr;

use super::{Content, Snapshot, Zone};
use crate::{
    wire::name::{Name, QueryName, RelativeName},
    zone::{
        dataset::{Dataset, Entries},
        records::Record,
    },
};

impl Content {
    /// The addresses that a name server has in the zone, with their TTL: those of IPv4, then those of IPv6 (RFC 3596 section 3).
    /// If it is a listed name, its A record is that of the listing. They are found once for all answers, so a name says nothing here
    /// that does not hold for ever and for everyone.
    pub fn server_addresses(&self, relative: RelativeName<'_>) -> Vec<(IpAddr, u32)> {
        let mut addresses: Vec<(IpAddr, u32)> = Vec::new();
        self.for_each_dataset_of(relative, |dataset, name| match &dataset.entries {
            Entries::Records(records) => {
                let records = records.at(name).unwrap_or_default();
                addresses.extend(records.iter().filter_map(|record| Some((record.address()?, record.ttl_s))));
            }
            Entries::Names(names) => {
                let values = names.lasting_values(name).into_iter();
                addresses.extend(values.map(|value| (dataset.values.address(value).into(), dataset.ttl_s)));
            }
            Entries::Addresses(_) => {}
        });
        addresses.sort_by_key(|(address, _)| address.is_ipv6());
        // RFC 2181 section 5: those of a type are one RRset, of one TTL and without duplicates.
        for rrset in addresses.chunk_by_mut(|(one, _), (next, _)| one.is_ipv4() == next.is_ipv4()) {
            let least_ttl_s = rrset.iter().map(|(_, ttl_s)| *ttl_s).min().unwrap_or_default();
            for (_, ttl_s) in rrset {
                *ttl_s = least_ttl_s;
            }
        }
        let mut seen = Vec::new();
        addresses.retain(|(address, _)| {
            let is_new = !seen.contains(address);
            seen.push(*address);
            is_new
        });
        addresses
    }

    /// The datasets that are asked about a name, each with the name as it is seen from its place.
    fn for_each_dataset_of(&self, relative: RelativeName<'_>, mut visit: impl FnMut(&Dataset, RelativeName<'_>)) {
        self.part(relative).seek(relative).for_each(|dataset, subject| visit(dataset, subject.name));
    }
}

impl Snapshot {
    /// Fills in the addresses of name servers whose names are in zones of ours, from the records and the listed names there.
    pub(super) fn find_server_addresses(&mut self) {
        let contents = self.zones.iter().filter_map(|zone| zone.content.as_ref());
        let servers = contents.filter_map(|content| content.servers.as_ref()).flat_map(|servers| &servers.servers);
        let addresses = |server| self.ask(server, Content::server_addresses).unwrap_or_default();
        let found: Vec<Vec<_>> = servers.map(|(server, _)| addresses(server.name())).collect();
        let contents = self.zones.iter_mut().filter_map(|zone| zone.content.as_mut());
        let servers = contents.filter_map(|content| content.servers.as_mut()).flat_map(|servers| &mut servers.servers);
        servers.zip(found).for_each(|((_, addresses), found)| *addresses = found);
    }

    /// The addresses of a name in the zones, by its A and AAAA records. That of a listed name may be a return code.
    pub fn addresses_of(&self, name: &Name) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        self.ask(name, |content, relative| {
            content.for_each_dataset_of(relative, |dataset, name| {
                if let Entries::Records(records) = &dataset.entries {
                    addresses.extend(records.at(name).unwrap_or_default().iter().filter_map(Record::address));
                }
            });
        });
        addresses
    }

    /// Name servers of a zone of which a resolver hears from us that they have no address: their names are in zones of ours that
    /// are loaded, and none is there. It then has no way to the zone.
    pub fn servers_without_address<'a>(&'a self, zone: &'a Zone) -> impl Iterator<Item = &'a Name> {
        let servers = zone.content.iter().filter_map(|content| content.servers.as_ref());
        let lost = servers.flat_map(|servers| &servers.servers).filter(|(_, addresses)| addresses.is_empty());
        lost.map(|(server, _)| server.name()).filter(|server| self.ask(server, |_, _| ()).is_some())
    }

    /// Asks the zone of ours that a name is in, with the name relative to it; `None` if there is none, or it is not loaded.
    fn ask<T>(&self, owner: &Name, ask: impl FnOnce(&Content, RelativeName<'_>) -> T) -> Option<T> {
        let mut name = QueryName::new();
        name.read(owner.as_wire())?;
        let (zone, left) = self.find(&name)?;
        Some(ask(self.zones[zone].content.as_ref()?, name.relative(left)))
    }
}
