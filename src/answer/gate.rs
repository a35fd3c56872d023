//! Who may ask: what the access lists of the server and of the zone say together.
//!
//! Several lists may speak of one query: the server's and the zone's, of addresses and of keys, and of each what several files say. They
//! add up, and the sternest counts: ignore, refuse, empty, listed (rbldnsd(8), "acl Dataset"). `pass` has no effect on what other lists
//! say. Only the keys of several files are as those of one: who has one of them needs none of the others.

use std::{net::IpAddr, sync::Arc};

use super::Asked;
use crate::{
    wire::name::RelativeName,
    zone::{
        access::{AccessList, Action, KeyList},
        snapshot::{Snapshot, Zone},
        values::{ValueId, Values},
    },
};

/// What all lists together say of a query.
#[derive(Clone, Copy)]
pub(super) struct Gate<'a> {
    pub(super) ignored: bool,
    pub(super) refused: bool,
    /// Nothing is listed.
    pub(super) empty: bool,
    /// Everything is listed, with this value.
    pub(super) listed: Option<Everything<'a>>,
}

/// The value with which everything is listed for a client.
#[derive(Clone, Copy)]
pub(super) struct Everything<'a> {
    pub(super) values: &'a Values,
    pub(super) value: ValueId,
    pub(super) ttl_s: u32,
}

impl<'a> Gate<'a> {
    /// No list says anything.
    const OPEN: Self = Self { ignored: false, refused: false, empty: false, listed: None };

    /// Whether this client sees other listings than everybody.
    #[inline]
    pub(super) fn is_selective(&self) -> bool {
        self.empty || self.listed.is_some()
    }

    fn add_client(&mut self, list: &'a AccessList, client: IpAddr) {
        self.add(list.action(client), &list.values, list.ttl_s);
    }

    fn add(&mut self, action: Action, values: &'a Values, ttl_s: u32) {
        match action {
            Action::Pass => {}
            Action::Ignore => self.ignored = true,
            Action::Refuse => self.refused = true,
            Action::Empty => self.empty = true,
            // Of two such lists the server's was asked first, and counts.
            Action::Listed(value) => {
                self.listed.get_or_insert(Everything { values, value, ttl_s });
            }
        }
    }
}

/// What the server's list says of a client, whatever that asks.
#[inline]
pub(super) fn of_server(snapshot: &Snapshot, client: IpAddr) -> Gate<'_> {
    let mut gate = Gate::OPEN;
    for list in &snapshot.acl {
        gate.add_client(list, client);
    }
    gate
}

/// What the lists of keys and the zone's say besides, and the name without its access key. Notes in `asked` that a key was given.
pub(super) fn of_zone<'a, 'n>(
    asked: &mut Asked<'a>,
    zone: &'a Zone,
    mut relative: RelativeName<'n>,
    mut gate: Gate<'a>,
) -> (Gate<'a>, RelativeName<'n>) {
    relative = use_key(asked, &asked.world.snapshot.keys, relative, &mut gate);
    for list in &zone.acl {
        gate.add_client(list, asked.client.address);
    }
    relative = use_key(asked, &zone.keys, relative, &mut gate);
    if gate.listed.is_some() && zone.content.as_ref().is_some_and(|content| content.retirement().is_some()) {
        gate.listed = None; // a list that has ended lists nothing, and for nobody
    }
    (gate, relative)
}

/// Takes the key off a name. `KEY.ZONE` itself is a key with nothing left of it, not a name of the zone: a resolver that
/// asks label by label (RFC 9156) comes by, and must learn that something is below.
fn use_key<'a, 'n>(
    asked: &mut Asked<'a>,
    lists: &'a [Arc<KeyList>],
    relative: RelativeName<'n>,
    gate: &mut Gate<'a>,
) -> RelativeName<'n> {
    let label = relative.label_count().checked_sub(1).map(|last| relative.label(last));
    let is_key = lists.iter().any(|keys| keys.verdict(label).is_key);
    for keys in lists {
        let verdict = keys.verdict(label);
        if verdict.is_key == is_key {
            gate.add(verdict.action, &keys.values, keys.ttl_s);
        }
    }
    if is_key {
        asked.context.keyed = true;
        relative.without_last(1)
    } else {
        relative
    }
}
