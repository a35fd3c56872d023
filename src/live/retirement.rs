//! What a list that has ended keeps of its other files: its SOA and name servers, which [`super::assembly`] finds, and the addresses
//! of these.
//!
//! Without an address whoever follows an NS record is lost, and finds no other zone of that server either. So what says that the
//! list has ended need not tell what was told before; where it tells the addresses of a server, these count alone.

use std::{net::IpAddr, sync::Arc};

use crate::{
    wire::name::{Name, QueryName},
    zone::{
        apex::ZoneServers,
        dataset::{Dataset, Entries, Kind},
        records::{Record, Records},
        snapshot::Content,
        values::Values,
    },
};

/// What the dataset is called that holds them.
const LABEL: &str = "addresses of name servers";

/// The addresses in `others` of those name servers in the zone that have none in `own`. None is a return code: a list that has
/// ended lists nothing (RFC 6471 section 3.3).
pub(super) fn kept_addresses(
    servers: &ZoneServers,
    apex: &Name,
    own: &Content,
    others: &Content,
) -> Option<Arc<Dataset>> {
    let mut records = Records::default();
    for (server, _) in &servers.servers {
        let mut name = QueryName::new();
        let Some(_) = server.name().strip(apex).and_then(|relative| name.read(relative.as_wire())) else { continue };
        let relative = name.relative(name.label_count());
        if !own.server_addresses(relative).is_empty() {
            continue;
        }
        let addresses = others.server_addresses(relative).into_iter();
        for (address, ttl_s) in addresses.filter(|(address, _)| !is_return_code(address)) {
            records.add(relative.octets(), Record::of_address(address, ttl_s));
        }
    }
    (!records.is_empty()).then(|| {
        Arc::new(Dataset {
            label: LABEL.into(),
            kind: Kind::Generic,
            ttl_s: 0,
            values: Values::default(),
            default_value: None,
            entries: Entries::Records(records),
        })
    })
}

fn is_return_code(address: &IpAddr) -> bool {
    address.to_canonical().is_loopback()
}
