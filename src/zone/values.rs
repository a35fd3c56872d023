//! What listed keys answer with: an A record and perhaps a TXT template.
//!
//! A list of millions of entries has a handful of values, so entries carry a four-byte [`ValueId`] and the values are kept
//! once. Lists whose every line has a text of its own exist too, so a text costs its bytes and twelve more.
//!
//! A template is stored as DNS character-strings (RFC 1035 section 3.3.14), so that one without a place for the listed key,
//! the common case, is copied to the wire as it stands. A zero length octet, which no stored string has otherwise, marks the
//! place where the key goes:
//!
//! ```text
//! "See http://bl.example/$ now"  =  23 See http://bl.example/   0   4 ' now'
//! ```

use std::{hash::BuildHasher, net::Ipv4Addr, ops::Range};

use hashbrown::HashTable;

use super::tight::{LARGE_LEN, push_tight};

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

/// A template of one dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TextId(u32);

#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    end: u32,
    has_places: bool,
}

impl Span {
    /// The block of [`Texts`] that it lies in.
    fn block(self) -> usize {
        self.start as usize / BLOCK_LEN
    }

    /// Where in that.
    fn in_block(self) -> Range<usize> {
        let before = self.block() * BLOCK_LEN;
        self.start as usize - before..self.end as usize - before
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
    spans: Vec<Span>,
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

    /// The RDATA of a template that has no place for the key, ready for the wire.
    pub fn ready_text(&self, text: TextId) -> Option<&[u8]> {
        let span = self.spans[text.0 as usize];
        (!span.has_places).then(|| &self.octets[span.start as usize..span.end as usize])
    }

    /// The parts of a template in order.
    pub fn parts(&self, text: TextId) -> impl Iterator<Item = TextPart<'_>> {
        let span = self.spans[text.0 as usize];
        let mut rest = &self.octets[span.start as usize..span.end as usize];
        std::iter::from_fn(move || {
            let (&length, after) = rest.split_first()?;
            let (literal, after) = after.split_at(length as usize);
            rest = after;
            Some(if length == 0 { TextPart::Key } else { TextPart::Literal(literal) })
        })
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
        self.values.capacity() * size_of::<Value>() + self.spans.capacity() * size_of::<Span>() + self.octets.capacity()
    }
}

/// A template while it is put together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Template {
    octets: Vec<u8>,
    /// Where the length octet of the string being filled stands.
    open: Option<usize>,
    has_places: bool,
    text_len: usize,
}

impl Template {
    /// Appends text.
    pub fn push_text(&mut self, mut text: &[u8]) {
        self.text_len += text.len();
        while !text.is_empty() {
            let open = match self.open {
                Some(open) if usize::from(self.octets[open]) < STRING_MAX => open,
                _ => {
                    self.octets.push(0);
                    self.octets.len() - 1
                }
            };
            self.open = Some(open);
            let room = STRING_MAX - usize::from(self.octets[open]);
            let (now, later) = text.split_at(room.min(text.len()));
            self.octets.extend_from_slice(now);
            self.octets[open] += now.len() as u8;
            text = later;
        }
    }

    /// Appends a place for the listed key.
    pub fn push_key(&mut self) {
        self.octets.push(0);
        self.open = None;
        self.has_places = true;
    }

    /// Whether nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// Octets of text, places not counted.
    pub fn text_len(&self) -> usize {
        self.text_len
    }

    /// Octets that it takes to keep it.
    pub fn stored_len(&self) -> usize {
        self.octets.len()
    }
}

/// Most octets of texts while values are built, and of templates: their places are kept in 32 bits, and count a block as full that
/// has room for less than one more. Of texts beyond that only the sum is kept, and nothing can be built.
pub const TEXTS_MAX: usize = 3 << 30;

/// Octets of texts in a block: each goes back to the system by itself.
const BLOCK_LEN: usize = 4 * LARGE_LEN;

/// Texts as written. No text is in two blocks, and spans count as if each block were full.
#[derive(Debug, Default)]
struct Texts {
    blocks: Vec<Vec<u8>>,
    spans: Vec<Span>,
}

impl Texts {
    fn get(&self, text: TextId) -> &[u8] {
        let span = self.spans[text.0 as usize];
        &self.blocks[span.block()][span.in_block()]
    }

    fn push(&mut self, text: &[u8]) -> TextId {
        let Self { blocks, spans } = self;
        let id = u32::try_from(spans.len()).expect("fewer texts than lines");
        // Not even an empty text begins where a block is full, for that is the next one's place.
        if blocks.last().is_none_or(|block| block.len() + text.len() >= BLOCK_LEN) {
            blocks.push(Vec::new());
        }
        let before = (blocks.len() - 1) * BLOCK_LEN;
        let block = blocks.last_mut().expect("there is one now");
        let start = u32::try_from(before + block.len()).expect("less than 4 GiB of text");
        block.extend_from_slice(text);
        let end = u32::try_from(before + block.len()).expect("less than 4 GiB of text");
        push_tight(spans, Span { start, end, has_places: false });
        TextId(id)
    }

    /// Gives away each text in turn, with its span to be changed, and frees each block when the next one is begun.
    fn use_up(self, mut each: impl FnMut(&[u8], &mut Span)) -> Vec<Span> {
        let Self { mut blocks, mut spans } = self;
        let mut first = 0;
        for span in &mut spans {
            let (block, place) = (span.block(), span.in_block());
            blocks[first..block].iter_mut().for_each(|used| *used = Vec::new());
            first = block;
            each(&blocks[block][place], span);
        }
        spans
    }
}

/// Builds [`Values`], each distinct value and template once.
///
/// Lines are interned with their text as written, and templates are made of those at the end: a `$1` may be defined after
/// the lines that use it (rbldnsd reads its variables when it answers).
#[derive(Debug, Default)]
pub struct ValuesBuilder {
    values: Vec<Value>,
    texts: Texts,
    text_bytes: usize,
    /// The numbers of all values and texts, by what they are.
    known_values: HashTable<u32>,
    known_texts: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
}

impl ValuesBuilder {
    /// The id for an A record and a text as written. What an empty text stands for is up to the template made of it: nothing,
    /// or the base template (`$=`), which may be defined later.
    ///
    /// # Panics
    /// With 2^30 or more distinct values; the loader's limits are far below.
    pub fn intern(&mut self, address: Ipv4Addr, text: &[u8]) -> ValueId {
        let text = self.text(text);
        self.value(Value { address, text: Some(text) })
    }

    fn value(&mut self, value: Value) -> ValueId {
        let Self { values, known_values, hasher, .. } = self;
        let hash = hasher.hash_one(value);
        if let Some(&id) = known_values.find(hash, |&id| values[id as usize] == value) {
            return ValueId(id);
        }
        let id = u32::try_from(values.len()).ok().filter(|id| *id <= ValueId::MAX.0).expect("fewer values than lines");
        values.push(value);
        known_values.insert_unique(hash, id, |&id| hasher.hash_one(values[id as usize]));
        ValueId(id)
    }

    /// Bytes of text so far.
    pub fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    fn text(&mut self, text: &[u8]) -> TextId {
        let Self { texts, text_bytes, known_texts, hasher, .. } = self;
        if *text_bytes > TEXTS_MAX {
            *text_bytes += text.len();
            return TextId(0);
        }
        let hash = hasher.hash_one(text);
        if let Some(&id) = known_texts.find(hash, |&id| texts.get(TextId(id)) == text) {
            return TextId(id);
        }
        let id = texts.push(text);
        known_texts.insert_unique(hash, id.0, |&id| hasher.hash_one(texts.get(TextId(id))));
        *text_bytes += text.len();
        id
    }

    /// Takes over the values of a part that was read beside this one; returns which of these each of those is.
    pub fn absorb(&mut self, later: Self) -> Vec<ValueId> {
        let Self { values, texts, known_values, known_texts, .. } = later;
        drop((known_values, known_texts));
        let mut ids = Vec::with_capacity(texts.spans.len());
        texts.use_up(|text, _| ids.push(self.text(text)));
        let here = |value: Value| Value { text: value.text.map(|text| ids[text.0 as usize]), ..value };
        values.into_iter().map(|value| self.value(here(value))).collect()
    }

    /// Freezes what was built; `template` makes a template of a text as written.
    ///
    /// # Panics
    /// With 4 GiB of text or more; the loader's limits are far below.
    pub fn build(self, mut template: impl FnMut(&[u8]) -> Template) -> Values {
        let Self { mut values, texts, text_bytes, known_values, known_texts, .. } = self;
        drop((known_values, known_texts));
        let mut octets = Vec::with_capacity(text_bytes + texts.spans.len());
        let mut spans = texts.use_up(|text, span| {
            let template = template(text);
            let start = u32::try_from(octets.len()).expect("less than 4 GiB of text");
            octets.extend_from_slice(&template.octets);
            let end = u32::try_from(octets.len()).expect("less than 4 GiB of text");
            *span = Span { start, end, has_places: template.has_places };
        });
        spans.shrink_to_fit();
        octets.shrink_to_fit();
        values.shrink_to_fit();
        // A text may turn out empty once its variables are known.
        for value in &mut values {
            value.text = value.text.filter(|text| {
                let span: Span = spans[text.0 as usize];
                span.start < span.end
            });
        }
        Values { values, spans, octets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The listed key goes where a `$` stands.
    fn with_places(text: &[u8]) -> Template {
        let mut template = Template::default();
        for (index, literal) in text.split(|&octet| octet == b'$').enumerate() {
            if index > 0 {
                template.push_key();
            }
            template.push_text(literal);
        }
        template
    }

    #[test]
    fn a_long_text_becomes_several_strings() {
        let mut builder = ValuesBuilder::default();
        let id = builder.intern(Ipv4Addr::new(127, 0, 0, 2), &[b'x'; 400]);
        let values = builder.build(with_places);
        let ready = values.ready_text(values.text(id).expect("has a text")).expect("has no places");
        assert_eq!((ready.len(), ready[0], ready[256]), (402, 255, 145));
    }

    #[test]
    fn equal_values_are_kept_once() {
        let mut builder = ValuesBuilder::default();
        let first = builder.intern(Ipv4Addr::LOCALHOST, b"listed: $");
        assert_eq!(first, builder.intern(Ipv4Addr::LOCALHOST, b"listed: $"));
        let values = builder.build(with_places);
        assert_eq!(values.len(), 1);
        let text = values.text(first).expect("has a text");
        assert_eq!(values.ready_text(text), None);
        assert_eq!(values.expand(text, b"192.0.2.1"), b"listed: 192.0.2.1");
    }

    #[test]
    fn parts_become_one() {
        let (mut first, mut later) = (ValuesBuilder::default(), ValuesBuilder::default());
        let one = first.intern(Ipv4Addr::LOCALHOST, b"one");
        later.intern(Ipv4Addr::LOCALHOST, b"two");
        later.intern(Ipv4Addr::LOCALHOST, b"one");
        assert_eq!(first.absorb(later), [ValueId(1), one]);
        let values = first.build(with_places);
        assert_eq!(values.len(), 2);
        assert_eq!(values.expand(values.text(ValueId(1)).expect("has a text"), b""), b"two");
    }

    #[test]
    fn long_and_short_texts_of_many_blocks_stay_what_they_are() {
        let text = |number: usize| format!("{number}{}", "x".repeat([0, 70, 40_000][number % 3])).into_bytes();
        let [mut first, mut later] = [0, 100].map(|from| {
            let mut builder = ValuesBuilder::default();
            for number in from..from + 150 {
                builder.intern(Ipv4Addr::LOCALHOST, &text(number));
            }
            builder
        });
        assert!(first.texts.blocks.len() > 5);
        // A text may have two values.
        let address = Ipv4Addr::new(127, 0, 0, 9);
        let (one, other) = (first.intern(address, &text(2)), later.intern(address, &text(101)));
        let ids = first.absorb(later);
        assert_eq!((ids[0], ids[49]), (ValueId(100), ValueId(149)));
        assert_eq!((one, ids[other.0 as usize]), (ValueId(150), ValueId(251)));
        let values = first.build(with_places);
        assert_eq!((values.len(), values.spans.len()), (252, 250));
        for number in 0..250 {
            let id = if number < 150 { ValueId(number as u32) } else { ids[number - 100] };
            assert_eq!(values.expand(values.text(id).expect("has a text"), b""), text(number));
        }
    }

    #[test]
    fn an_empty_text_behind_a_full_block() {
        let [mut first, mut later] = [0, 1].map(|len| {
            let mut builder = ValuesBuilder::default();
            builder.intern(Ipv4Addr::LOCALHOST, &vec![b'x'; BLOCK_LEN + len]);
            builder.intern(Ipv4Addr::LOCALHOST, b"");
            builder
        });
        first.intern(Ipv4Addr::LOCALHOST, &vec![b'y'; BLOCK_LEN]);
        later.intern(Ipv4Addr::LOCALHOST, &vec![b'z'; BLOCK_LEN - 1]);
        assert_eq!(first.absorb(later), [3, 1, 4].map(ValueId));
        let values = first.build(with_places);
        let len = |id| values.text(ValueId(id)).map_or(0, |text| values.expand(text, b"").len());
        assert_eq!([0, 1, 2, 3, 4].map(len), [BLOCK_LEN, 0, BLOCK_LEN, BLOCK_LEN + 1, BLOCK_LEN - 1]);
    }

    #[test]
    fn an_empty_text_is_none() {
        let mut builder = ValuesBuilder::default();
        let none = builder.intern(Ipv4Addr::LOCALHOST, b"");
        let emptied = builder.intern(Ipv4Addr::LOCALHOST, b"x");
        let values = builder.build(|_| Template::default());
        assert_eq!((values.text(none), values.text(emptied)), (None, None));
    }
}
