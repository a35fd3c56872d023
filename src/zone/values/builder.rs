//! Each value and text once, while lines are read; then templates.
//!
//! Lists have a handful of texts, or one for each line. Where there are many, tables that know them all would take half as much
//! as what is kept, while the list before is still served: so only texts that were met not long ago are known, and one that comes
//! again after very many others is kept twice. No table finds the value of a text: whatever text is new has a new value, and
//! the others are few.

use std::{hash::BuildHasher, net::Ipv4Addr};

use hashbrown::HashTable;

use super::{Template, TextId, TextPart, Value, ValueId, Values, parts};
use crate::zone::tight::{LARGE_LEN, push_tight};

/// Most octets of texts while values are built, and of templates: their places are kept in 32 bits, and count a block as full that
/// has room for less than one more. Of texts beyond that only the sum is kept, and nothing can be built.
pub const TEXTS_MAX: usize = 3 << 30;

/// Octets of texts in a block: each goes back to the system by itself.
const BLOCK_LEN: usize = 4 * LARGE_LEN;

/// Texts as written. No text is in two blocks, and places count as if each block were full.
#[derive(Debug, Default)]
struct Texts {
    blocks: Vec<Vec<u8>>,
    starts: Vec<u32>,
}

impl Texts {
    fn get(&self, number: u32) -> &[u8] {
        let (block, start) = place(self.starts[number as usize]);
        let next = self.starts.get(number as usize + 1).map(|&next| place(next));
        let text = &self.blocks[block][start..];
        next.filter(|next| next.0 == block).map_or(text, |(_, end)| &text[..end - start])
    }

    fn push(&mut self, text: &[u8]) -> u32 {
        let Self { blocks, starts } = self;
        let number = u32::try_from(starts.len()).expect("fewer texts than lines");
        // Not even an empty text begins where a block is full, for that is the next one's place.
        if blocks.last().is_none_or(|block| block.len() + text.len() >= BLOCK_LEN) {
            blocks.push(Vec::new());
        }
        let before = (blocks.len() - 1) * BLOCK_LEN;
        let block = blocks.last_mut().expect("there is one now");
        push_tight(starts, u32::try_from(before + block.len()).expect("less than 4 GiB of text"));
        block.extend_from_slice(text);
        number
    }
}

/// The block in which a text begins, and where in that.
fn place(start: u32) -> (usize, usize) {
    (start as usize / BLOCK_LEN, start as usize % BLOCK_LEN)
}

/// Texts that are needed once more: each block is given back when the next one is begun.
struct UsedUp {
    texts: Texts,
    /// How many were used.
    used: u32,
}

impl UsedUp {
    /// The next text, if it is that one.
    fn next_if(&mut self, number: u32) -> Option<&[u8]> {
        let texts = &mut self.texts;
        let start = *texts.starts.get(self.used as usize).filter(|_| number == self.used)?;
        if let Some(before) = place(start).0.checked_sub(1) {
            texts.blocks[before] = Vec::new();
        }
        self.used += 1;
        Some(texts.get(number))
    }

    /// Keeps something else instead of where the text began that was just used.
    fn keep(&mut self, instead: u32) {
        self.texts.starts[self.used as usize - 1] = instead;
    }
}

/// So many texts are known at least, if they were met: as many as fit a table of 2^17 slots, which is 640 KiB.
const KNOWN_MIN: usize = (1 << 17) / 8 * 7;

/// The numbers of texts that were met not long ago, by what they are.
#[derive(Debug, Default)]
struct Known {
    lately: HashTable<u32>,
    before: HashTable<u32>,
}

impl Known {
    /// The number of a text, given its hash and how it is told from others and hashed itself.
    fn find(&mut self, hash: u64, is_it: impl Fn(u32) -> bool, hash_of: impl Fn(u32) -> u64) -> Option<u32> {
        if let Some(&number) = self.lately.find(hash, |&number| is_it(number)) {
            return Some(number);
        }
        let number = *self.before.find(hash, |&number| is_it(number))?;
        self.insert(hash, number, hash_of);
        Some(number)
    }

    fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        if self.lately.len() == KNOWN_MIN {
            std::mem::swap(&mut self.lately, &mut self.before);
            self.lately.clear();
        }
        self.lately.insert_unique(hash, number, |&number| hash_of(number));
    }
}

/// Which values are of a text that another one brought: for each of them, in order, how many texts there were before it.
#[derive(Debug, Default)]
struct Others(Vec<u32>);

impl Others {
    /// The value that came with a text: each text before it brought one, and some had others.
    fn first_with(&self, number: u32) -> ValueId {
        ValueId(number + self.0.partition_point(|&texts_before| texts_before <= number) as u32)
    }
}

/// A value as lines give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Given {
    address: Ipv4Addr,
    /// The number of its text.
    text: u32,
}

/// Builds [`Values`].
///
/// Lines are interned with their text as written, and templates are made of those at the end: a `$1` may be defined after
/// the lines that use it (rbldnsd reads its variables when it answers).
#[derive(Debug, Default)]
pub struct ValuesBuilder {
    values: Vec<Given>,
    texts: Texts,
    text_bytes: usize,
    known_texts: Known,
    others: Others,
    /// The values that came later than their text, by what they are.
    known_others: HashTable<ValueId>,
    hasher: foldhash::fast::RandomState,
}

impl ValuesBuilder {
    /// The id for an A record and a text as written. What an empty text stands for is up to the template made of it: nothing,
    /// or the base template (`$=`), which may be defined later.
    ///
    /// # Panics
    /// With 2^30 or more distinct values; the loader's limits are far below.
    pub fn intern(&mut self, address: Ipv4Addr, text: &[u8]) -> ValueId {
        let Self { texts, text_bytes, known_texts, hasher, .. } = self;
        if *text_bytes > TEXTS_MAX {
            *text_bytes += text.len();
            return ValueId(0);
        }
        let hash = hasher.hash_one(text);
        let hash_of = |texts: &Texts, number| hasher.hash_one(texts.get(number));
        let is_it = |number| texts.get(number) == text;
        if let Some(number) = known_texts.find(hash, is_it, |number| hash_of(texts, number)) {
            return self.with_text(address, number);
        }
        let number = texts.push(text);
        known_texts.insert(hash, number, |number| hash_of(texts, number));
        *text_bytes += text.len();
        self.push(Given { address, text: number })
    }

    fn push(&mut self, value: Given) -> ValueId {
        let id = u32::try_from(self.values.len()).map(ValueId).ok().filter(|id| *id <= ValueId::MAX);
        push_tight(&mut self.values, value);
        id.expect("fewer values than lines")
    }

    /// The id for an A record and a text that is known.
    fn with_text(&mut self, address: Ipv4Addr, text: u32) -> ValueId {
        let first = self.others.first_with(text);
        if self.values[first.0 as usize].address == address {
            return first;
        }
        let value = Given { address, text };
        let hash = self.hasher.hash_one(value);
        if let Some(&id) = self.known_others.find(hash, |id| self.values[id.0 as usize] == value) {
            return id;
        }
        let id = self.push(value);
        self.others.0.push(self.texts.starts.len() as u32);
        let Self { values, known_others, hasher, .. } = self;
        known_others.insert_unique(hash, id, |id| hasher.hash_one(values[id.0 as usize]));
        id
    }

    /// Octets of text so far.
    pub fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// Takes over the values of a part that was read beside this one; returns which of these each of those is.
    pub fn absorb(&mut self, later: Self) -> Vec<ValueId> {
        let Self { values, texts, known_texts, others, known_others, .. } = later;
        drop((known_texts, known_others));
        let mut ids: Vec<ValueId> = Vec::with_capacity(values.len());
        let mut texts = UsedUp { texts, used: 0 };
        for Given { address, text: number } in values {
            let id = if let Some(text) = texts.next_if(number) {
                self.intern(address, text)
            } else {
                let first = ids[others.first_with(number).0 as usize];
                self.with_text(address, self.values[first.0 as usize].text)
            };
            ids.push(id);
        }
        ids
    }

    /// Freezes what was built; `template` makes a template of a text as written.
    ///
    /// # Panics
    /// With 4 GiB of text or more; the loader's limits are far below.
    pub fn build(self, mut template: impl FnMut(&[u8]) -> Template) -> Values {
        let Self { values, texts, text_bytes, known_texts, others, known_others, .. } = self;
        drop((known_texts, others, known_others));
        let mut octets = Vec::with_capacity(text_bytes + texts.starts.len());
        let mut texts = UsedUp { texts, used: 0 };
        let here = |octets: &Vec<u8>| u32::try_from(octets.len()).expect("less than 4 GiB of text");
        while let Some(text) = texts.next_if(texts.used) {
            let template = template(text);
            texts.keep(here(&octets));
            octets.extend_from_slice(&template.octets);
        }
        let mut starts = texts.texts.starts;
        push_tight(&mut starts, here(&octets));
        octets.shrink_to_fit();
        starts.shrink_to_fit();
        // A text may turn out empty once its variables are known.
        let text = |number: u32| {
            let stored = &octets[starts[number as usize] as usize..starts[number as usize + 1] as usize];
            let has_places = parts(stored).any(|part| part == TextPart::Key);
            (!stored.is_empty()).then(|| TextId::new(number, has_places))
        };
        // It is as large, and stays where it is.
        let mut values: Vec<Value> =
            values.into_iter().map(|Given { address, text: number }| Value { address, text: text(number) }).collect();
        values.shrink_to_fit();
        Values { values, starts, octets }
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
    fn texts_of_late_are_kept_once() {
        let mut builder = ValuesBuilder::default();
        let mut of = |number: usize| builder.intern(Ipv4Addr::LOCALHOST, number.to_string().as_bytes());
        for number in 0..KNOWN_MIN {
            assert_eq!(of(number), ValueId(number as u32));
        }
        // One of those is needed again and again.
        for number in KNOWN_MIN..4 * KNOWN_MIN {
            assert_eq!((of(number), of(7)), (ValueId(number as u32), ValueId(7)));
        }
        assert_eq!(of(3 * KNOWN_MIN), ValueId(3 * KNOWN_MIN as u32));
        assert_eq!(of(8), ValueId(4 * KNOWN_MIN as u32), "it is new");
        let values = builder.build(with_places);
        let shown = |id| values.expand(values.text(ValueId(id)).expect("has a text"), b"");
        assert_eq!((shown(8), shown(4 * KNOWN_MIN as u32)), (b"8".to_vec(), b"8".to_vec()));
    }

    #[test]
    fn addresses_of_one_text() {
        let address = |number: u8| Ipv4Addr::new(127, 0, 0, number);
        let fill = |texts: &[&str]| {
            let mut builder = ValuesBuilder::default();
            let ids = [1, 2, 1, 2].map(|number| {
                texts.iter().map(|text| builder.intern(address(number), text.as_bytes())).collect::<Vec<_>>()
            });
            assert_eq!([&ids[0], &ids[1]], [&ids[2], &ids[3]]);
            (builder, ids[0].iter().zip(&ids[1]).map(|(one, two)| (*one, *two)).collect::<Vec<_>>())
        };
        let (mut first, ids) = fill(&["a", "b"]);
        assert_eq!(ids, [0, 1].map(|text| (ValueId(text), ValueId(text + 2))));
        let new = [first.intern(address(9), b"c"), first.intern(address(8), b"c"), first.intern(address(9), b"a")];
        assert_eq!(new, [4, 5, 6].map(ValueId));
        let (later, _) = fill(&["x", "a", "c"]);
        // x, a and c with 127.0.0.1, then with 127.0.0.2.
        assert_eq!(first.absorb(later), [7, 0, 8, 9, 2, 10].map(ValueId));
        let values = first.build(with_places);
        let shown = |id| {
            let text = values.text(ValueId(id)).map(|text| values.expand(text, b"")).unwrap_or_default();
            (values.address(ValueId(id)).octets()[3], String::from_utf8(text).expect("texts of the test"))
        };
        let expected =
            [(1, "a"), (1, "b"), (2, "a"), (2, "b"), (9, "c"), (8, "c"), (9, "a"), (1, "x"), (1, "c"), (2, "x")];
        assert_eq!((0..10).map(shown).collect::<Vec<_>>(), expected.map(|(last, text)| (last, text.to_owned())));
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
        assert_eq!((values.len(), values.starts.len()), (252, 251));
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
