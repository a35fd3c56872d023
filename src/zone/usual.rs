//! Zones that are as usual, and all that the usual question needs of one, together.
//!
//! A zone that is served to everyone, has no subzones and no zones below it that a key could lead to, and holds addresses, or names,
//! and plain records at its apex at most: nearly all are that. Whoever asks such a zone for a key needs little of it, and finds
//! that here in a few cache lines beside each other.

use std::sync::Arc;

use super::{
    apex::{ZoneServers, ZoneSoa, of_turn},
    dataset::{Dataset, Entries, Shape},
    snapshot::{Content, Zone, ZonePlace},
};
use crate::wire::{
    laid::{Block, Laid},
    name::Name,
};

/// What a zone lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySort {
    /// Addresses.
    Addresses,
    /// Names.
    Names,
}

/// A zone that is as usual.
#[derive(Debug)]
pub struct UsualZone {
    /// Its place among the zones.
    pub place: ZonePlace,
    /// What it lists.
    pub keys: KeySort,
    /// After this second its data are no longer to be served.
    pub expires_s: u64,
    /// The end of all that it lists, as that of a lifetime.
    pub until_s: u32,
    /// Where its live listings are found.
    pub live_slot: u32,
    /// What is asked, in this order.
    pub datasets: Box<[Arc<Dataset>]>,
    /// The datasets that supply value and TTL for a live listing that has none of its own, for IPv4, IPv6 and names.
    models: [Option<Arc<Dataset>>; 3],
    /// The authority section of a negative answer; `None` if it is long.
    pub denial: Option<Block>,
    /// The records of its name servers, beginning with each of them once.
    servers: Servers,
}

/// The name servers of a usual zone.
#[derive(Debug)]
enum Servers {
    /// None, or so few that their records are short.
    Few(Box<[Block]>),
    /// More than those.
    Many(ZoneServers),
    /// Their addresses go with them.
    WithAddresses,
}

/// The records of a usual zone's name servers, for one answer.
#[derive(Clone, Copy, Debug)]
pub enum ServerRecords<'a> {
    /// Short ones.
    Block(&'a Block),
    /// Others.
    Laid(&'a Laid),
}

impl Servers {
    fn new(servers: &ZoneServers) -> Self {
        if servers.have_addresses() {
            return Self::WithAddresses;
        }
        let blocks = servers.turns().iter().map(|turn| turn.laid.block()).collect::<Option<_>>();
        blocks.map_or_else(|| Self::Many(servers.clone()), Self::Few)
    }
}

impl UsualZone {
    /// The dataset that supplies value and TTL for a live listing that has none of its own (see [`Content::model`]).
    pub fn model(&self, shape: Shape) -> Option<&Dataset> {
        self.models[shape as usize].as_deref()
    }

    /// The records of its name servers, in an order that varies with the id of the query: nothing if it has none, `None` if their
    /// addresses go with them.
    #[inline]
    pub fn servers(&self, id: u16) -> Option<Option<ServerRecords<'_>>> {
        match &self.servers {
            Servers::Few(blocks) => Some(of_turn(blocks, id).map(ServerRecords::Block)),
            Servers::Many(servers) => Some(servers.turn(id).map(|turn| ServerRecords::Laid(&turn.laid))),
            Servers::WithAddresses => None,
        }
    }

    /// The zone at that place, if it is one; that it is open to everyone, the caller knows. `below` are the zones below it,
    /// relative to it.
    pub(super) fn new(place: usize, zone: &Zone, below: &[Name]) -> Option<Self> {
        let content = zone.content.as_ref()?;
        let keys = keys(content)?;
        // A name may lead anywhere; an address only where a label could be one of its own.
        let is_apart = match keys {
            KeySort::Addresses => !below.iter().filter_map(|below| below.labels().last()).any(may_be_of_address),
            KeySort::Names => below.is_empty(),
        };
        if !is_apart {
            return None;
        }
        Some(Self {
            place: ZonePlace::new(place),
            keys,
            expires_s: content.expires_s,
            until_s: content.until_s(),
            live_slot: zone.live_slot,
            datasets: content
                .own_datasets()
                .iter()
                .filter(|dataset| keys_of(&dataset.entries).is_some())
                .cloned()
                .collect(),
            models: [Shape::V4, Shape::V6, Shape::Name].map(|shape| content.model(shape).cloned()),
            denial: content.soa.as_ref().map_or(Some(Block::EMPTY), |soa| ZoneSoa::negative(soa).block()),
            servers: content.servers.as_ref().map_or(Servers::Few(Box::default()), Servers::new),
        })
    }
}

/// Whether an address has such a label: a decimal octet, or a hexadecimal digit.
fn may_be_of_address(label: &[u8]) -> bool {
    label.len() <= 3 && label.iter().all(u8::is_ascii_digit) || label.len() == 1 && label[0].is_ascii_hexdigit()
}

/// What a zone lists, if that is of one kind and all in one place.
fn keys(content: &Content) -> Option<KeySort> {
    if !content.is_all_at_apex() {
        return None;
    }
    let mut keys = None;
    for dataset in content.own_datasets() {
        match &dataset.entries {
            Entries::Records(records) if records.are_at_apex() => {}
            entries => {
                let own = keys_of(entries)?;
                if *keys.get_or_insert(own) != own {
                    return None;
                }
            }
        }
    }
    keys
}

fn keys_of(entries: &Entries) -> Option<KeySort> {
    match entries {
        Entries::Addresses(_) => Some(KeySort::Addresses),
        Entries::Names(_) => Some(KeySort::Names),
        Entries::Records(_) => None,
    }
}
