//! What of a key is listed by command, by whom and why.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use super::explain::{Explanation, Ground, Listing};
use crate::{
    live::{
        asked::AskedKey,
        listings::{Key as ListedKey, Listings},
    },
    wire::name::Name,
    zone::{
        bits::Address,
        dataset::Shape,
        live::{Live, Place},
        reversed::{reverse, unreverse},
        ruling::Context,
        snapshot::Zone,
    },
};

/// What is listed by command, and the store that knows by whom.
pub struct ByCommand {
    /// What is listed.
    pub live: Arc<Live>,
    /// By whom and why.
    pub listings: Option<Listings>,
}

impl ByCommand {
    /// Adds what was listed by command; true if the key was excluded, and the files have nothing to say. Listings are in the zone
    /// itself, exclusions hold in its subzones, too.
    pub(super) fn explain(
        &self,
        (zone, is_subzone): (&Zone, bool),
        key: &AskedKey,
        context: &Context,
        explanation: &mut Explanation,
    ) -> bool {
        let (Some(live), Some(content)) = (self.live.zone(zone.live_slot), &zone.content) else { return false };
        let in_force = |place: &Place| live.exactly(place).filter(|entry| entry.in_force(context.now_s));
        let found = places(key).into_iter().find_map(|place| in_force(&place).map(|entry| (place, entry)));
        let Some((place, entry)) = found else { return false };
        let listed = ListedKey::of(&place);
        let record = self.listings.as_ref().and_then(|listings| listings.get(&zone.apex, &listed).ok().flatten());
        let ground = Ground::Command { key: listed, record: record.map(Box::new) };
        let Some(own) = entry.value().and_then(|id| live.value(id)) else {
            explanation.excluded_by.push(ground);
            return true;
        };
        if is_subzone {
            return false;
        }
        let shape = match place {
            Place::V4(..) => Shape::V4,
            Place::V6(..) => Shape::V6,
            Place::Name { .. } => Shape::Name,
        };
        let model = content.model(shape);
        let zones_own = model.and_then(|model| Some((&model.values, model.default_value?)));
        let value = |is_own: bool| zones_own.filter(|_| !is_own).unwrap_or((&own.values, own.id));
        let ((addresses, address), (texts, text)) = (value(own.has_address), value(own.has_text));
        let shown = shown_as(key, &place);
        let text = texts.text(text).map(|text| texts.expand(text, shown.as_bytes()));
        let about = (ground, model.map_or(live.ttl_s, |model| model.ttl_s));
        let address = addresses.address(address);
        explanation.listings.push(Listing::new(address, text, about, entry.until_s, context.now_s));
        false
    }
}

/// Where a key may be listed by command, the most specific place first.
fn places(key: &AskedKey) -> Vec<Place> {
    match key {
        AskedKey::V4(address) => {
            (0..=32_u8).rev().map(|length| Place::V4(address.prefix(length).first, length)).collect()
        }
        AskedKey::V6(address) => {
            (0..=128_u8).rev().map(|length| Place::V6(address.prefix(length).first, length)).collect()
        }
        AskedKey::Name(name) => {
            let (wire, mut start) = (name.as_wire(), 0);
            let mut places = Vec::new();
            loop {
                let reversed = reverse(&Name::from_wire(&wire[start..]));
                places.push(Place::Name { reversed, is_wildcard: start > 0 });
                if wire[start] == 0 {
                    return places;
                }
                start += 1 + usize::from(wire[start]);
            }
        }
    }
}

/// A key as templates show it, where that entry lists it.
fn shown_as(key: &AskedKey, place: &Place) -> String {
    match (key, place) {
        (AskedKey::V4(address), _) => Ipv4Addr::from(*address).to_string(),
        (AskedKey::V6(address), _) => Ipv6Addr::from(*address).to_string(),
        (AskedKey::Name(_), Place::Name { reversed, .. }) => unreverse(reversed).to_string(),
        (AskedKey::Name(name), _) => name.to_string(),
    }
}
