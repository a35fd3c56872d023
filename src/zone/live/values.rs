//! What live listings answer with, where they do not leave it to their zone.
//!
//! Nearly all say nothing of their own. Some bring a return code, some a text; each different pair is kept once, for as long as
//! a listing has it, in blocks that one version shares with the next.

use std::{collections::HashMap, net::Ipv4Addr, sync::Arc};

use crate::zone::values::{Template, ValueId, Values, ValuesBuilder};

/// A value of one zone's live listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LiveValueId(pub(super) u32);

impl LiveValueId {
    /// The zone's own value.
    pub const DEFAULT: Self = Self(0);
}

/// What a listing brings of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OwnValue {
    /// The return code.
    pub address: Option<Ipv4Addr>,
    /// The TXT template, with `$` for the key; empty is no TXT record.
    pub text: Option<Box<str>>,
}

/// A value ready for the wire.
pub struct LiveValue {
    /// Holds just this one.
    pub values: Values,
    /// The one.
    pub id: ValueId,
    /// The return code is its own, not the zone's.
    pub has_address: bool,
    /// The text, or that there is none, is its own.
    pub has_text: bool,
}

/// What lists where neither the listing nor the zone says how (RFC 5782 section 2.1).
pub const BUILT_IN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

impl LiveValue {
    fn new(own: &OwnValue) -> Self {
        let mut builder = ValuesBuilder::default();
        let text = own.text.as_deref().unwrap_or_default();
        let id = builder.intern(own.address.unwrap_or(BUILT_IN), text.as_bytes());
        let values = builder.build(template);
        Self { values, id, has_address: own.address.is_some(), has_text: own.text.is_some() }
    }
}

/// A text as whoever asks reads it, with the key in its places.
pub fn expand(text: &str, key: &[u8]) -> Vec<u8> {
    let LiveValue { values, id, .. } = LiveValue::new(&OwnValue { address: None, text: Some(text.into()) });
    values.text(id).map_or_else(Vec::new, |text| values.expand(text, key))
}

/// The template of a text: `$` is the key, `$$` a dollar.
fn template(text: &[u8]) -> Template {
    let mut template = Template::default();
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'$', rest) {
        template.push_text(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(b"$") {
            template.push_text(b"$");
            rest = after;
        } else {
            template.push_key();
        }
    }
    template.push_text(rest);
    template
}

const BLOCK: usize = 128;

/// The values of a zone's live listings, as they are published.
#[derive(Clone)]
pub(super) struct LiveValues {
    blocks: Vec<Arc<Vec<Option<Arc<LiveValue>>>>>,
}

impl Default for LiveValues {
    fn default() -> Self {
        let zones_own = LiveValue::new(&OwnValue::default());
        Self { blocks: vec![Arc::new(vec![Some(Arc::new(zones_own))])] }
    }
}

impl LiveValues {
    #[inline]
    pub(super) fn get(&self, id: LiveValueId) -> Option<&LiveValue> {
        let at = id.0 as usize;
        self.blocks.get(at / BLOCK)?.get(at % BLOCK)?.as_deref()
    }

    fn set(&mut self, id: LiveValueId, value: Option<LiveValue>) {
        let at = id.0 as usize;
        if at / BLOCK == self.blocks.len() {
            self.blocks.push(Arc::default());
        }
        let block = Arc::make_mut(&mut self.blocks[at / BLOCK]);
        if at % BLOCK == block.len() {
            block.push(None);
        }
        block[at % BLOCK] = value.map(Arc::new);
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let values = self.blocks.iter().flat_map(|block| block.iter()).flatten();
        values.map(|value| size_of::<LiveValue>() + value.values.memory_bytes()).sum::<usize>()
            + self.blocks.iter().map(|block| block.capacity() * size_of::<usize>()).sum::<usize>()
    }
}

/// Gives each different value a number while any listing has it. Only whoever changes the zone needs this.
#[derive(Debug, Default)]
pub struct ValueNumbers {
    known: HashMap<OwnValue, LiveValueId, foldhash::fast::RandomState>,
    /// By number less one, since the zone's own value needs no counting.
    used: Vec<(OwnValue, usize)>,
    free: Vec<LiveValueId>,
}

impl ValueNumbers {
    /// The number of a value, for one more listing.
    pub(super) fn take(&mut self, own: &OwnValue, values: &mut LiveValues) -> LiveValueId {
        if *own == OwnValue::default() {
            return LiveValueId::DEFAULT;
        }
        if let Some(&id) = self.known.get(own) {
            self.used[id.0 as usize - 1].1 += 1;
            return id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.used.push((OwnValue::default(), 0));
            LiveValueId(self.used.len() as u32)
        });
        self.used[id.0 as usize - 1] = (own.clone(), 1);
        self.known.insert(own.clone(), id);
        values.set(id, Some(LiveValue::new(own)));
        id
    }

    /// One listing less has this value.
    pub(super) fn give_back(&mut self, id: LiveValueId, values: &mut LiveValues) {
        let Some((own, count)) = (id.0 as usize).checked_sub(1).and_then(|at| self.used.get_mut(at)) else { return };
        *count -= 1;
        if *count == 0 {
            self.known.remove(own);
            *own = OwnValue::default();
            values.set(id, None);
            self.free.push(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_kept_once_and_while_it_is_used() {
        let (mut numbers, mut values) = (ValueNumbers::default(), LiveValues::default());
        let own = |text: &str| OwnValue { address: None, text: Some(text.into()) };
        assert_eq!(numbers.take(&OwnValue::default(), &mut values), LiveValueId::DEFAULT);
        let first = numbers.take(&own("costs $$5: $"), &mut values);
        assert_eq!(numbers.take(&own("costs $$5: $"), &mut values), first);
        let ready = values.get(first).expect("a value");
        let text = ready.values.text(ready.id).expect("a text");
        assert_eq!(ready.values.expand(text, b"192.0.2.1"), b"costs $5: 192.0.2.1");
        assert!(ready.has_text && !ready.has_address);
        for number in 0..1_000 {
            numbers.take(&own(&number.to_string()), &mut values);
        }
        numbers.give_back(first, &mut values);
        assert!(values.get(first).is_some());
        numbers.give_back(first, &mut values);
        assert!(values.get(first).is_none());
        assert_eq!(numbers.take(&own("new"), &mut values), first, "its number is free");
        let none = numbers.take(&own(""), &mut values);
        let ready = values.get(none).expect("a value");
        assert_eq!((ready.values.text(ready.id), ready.has_text), (None, true));
    }
}
