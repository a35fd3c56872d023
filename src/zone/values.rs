//! What listed keys answer with: an A record and perhaps a TXT template.
//!
//! A list of millions of entries has a handful of values, so entries carry a four-byte [`ValueId`] and the values are kept
//! once. Lists whose every line has a text of its own exist too, so a text costs its octets and thirteen more: one for the length of
//! its string, four for where it begins, eight for the value that has it.
//!
//! A template is stored as DNS character-strings (RFC 1035 section 3.3.14), so that one without a place for the listed key,
//! the common case, is copied to the wire as it stands. A zero length octet, which no stored string has otherwise, marks the
//! place where the key goes:
//!
//! ```text
//! "See http://bl.example/$ now"  =  23 See http://bl.example/   0   4 ' now'
//! ```

mod builder;
mod template;

use std::{net::Ipv4Addr, num::NonZeroU32};

pub use self::{
    builder::{TEXTS_MAX, ValuesBuilder},
    template::Template,
};

/// Longest character-string (RFC 1035 section 3.3).
pub const STRING_MAX: usize = 255;

/// Longest template: an RDATA is at most 65,535 octets (RFC 1035 section 3.2.1), the substituted key included.
pub const TEMPLATE_MAX: usize = 60_000;

/// A value of one dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub(crate) u32);

impl ValueId {
    /// The highest: a [`Ruling`](super::ruling::Ruling) has two bits for more than a value, and one number beside those of values.
    pub(super) const MAX: Self = Self((1 << 30) - 2);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Value {
    address: Ipv4Addr,
    text: Option<TextId>,
}

/// A template of one dataset: its number, counted from one, above the bit that says whether it has a place for the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TextId(NonZeroU32);

impl TextId {
    /// Of the text with that number, no higher than [`ValueId::MAX`] since each text has a value.
    fn new(number: u32, has_places: bool) -> Self {
        Self(NonZeroU32::new((number + 1) << 1 | u32::from(has_places)).expect("it counts from one"))
    }

    #[inline]
    fn number(self) -> usize {
        (self.0.get() >> 1) as usize - 1
    }

    #[inline]
    fn has_places(self) -> bool {
        self.0.get() & 1 != 0
    }
}

/// One part of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextPart<'a> {
    /// Text as it stands, 1 to 255 octets.
    Literal(&'a [u8]),
    /// The listed key goes here.
    Key,
}

/// The values of one dataset.
#[derive(Debug, Default)]
#[allow(clippy::struct_field_names)] // values are what it holds
pub struct Values {
    values: Vec<Value>,
    /// Where in `octets` each template begins, and then where the last one ends.
    starts: Vec<u32>,
    octets: Vec<u8>,
}

impl Values {
    /// The A record of a value.
    pub fn address(&self, value: ValueId) -> Ipv4Addr {
        self.values[value.0 as usize].address
    }

    /// The TXT template of a value, if it has one.
    pub fn text(&self, value: ValueId) -> Option<TextId> {
        self.values[value.0 as usize].text
    }

    /// A template as it is stored.
    #[inline]
    fn stored(&self, text: TextId) -> &[u8] {
        let [start, end] = [0, 1].map(|more| self.starts[text.number() + more] as usize);
        &self.octets[start..end]
    }

    /// The RDATA of a template that has no place for the key, ready for the wire.
    pub fn ready_text(&self, text: TextId) -> Option<&[u8]> {
        (!text.has_places()).then(|| self.stored(text))
    }

    /// The parts of a template in order.
    pub fn parts(&self, text: TextId) -> impl Iterator<Item = TextPart<'_>> {
        parts(self.stored(text))
    }

    /// A template with `key` in its places, as one run of text.
    pub fn expand(&self, text: TextId, key: &[u8]) -> Vec<u8> {
        let mut expanded = Vec::new();
        for part in self.parts(text) {
            expanded.extend_from_slice(match part {
                TextPart::Literal(literal) => literal,
                TextPart::Key => key,
            });
        }
        expanded
    }

    /// Number of distinct values.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.values.capacity() * size_of::<Value>() + self.starts.capacity() * size_of::<u32>() + self.octets.capacity()
    }
}

/// The parts of a template from how it is stored.
fn parts(mut stored: &[u8]) -> impl Iterator<Item = TextPart<'_>> {
    std::iter::from_fn(move || {
        let (&length, after) = stored.split_first()?;
        let (literal, after) = after.split_at(length as usize);
        stored = after;
        Some(if length == 0 { TextPart::Key } else { TextPart::Literal(literal) })
    })
}
