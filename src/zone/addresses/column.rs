//! What is said of each of a million keys, in as few bytes as it takes.
//!
//! Most lists say the same of every entry: no byte. Others have a few dozen values: a byte an entry, into a palette. Ends of
//! lifetimes take two bytes each or three, and only where [there are some](Annotations). What links to claims elsewhere
//! ([`Rulings`]) is kept so, too, once the palette is full of such.

use std::collections::HashMap;

use super::{annotations::Annotations, which::Which};
use crate::zone::{
    ruling::{Context, FOREVER_S, Finding, Ruling, Rulings},
    standing::Standing,
    tight::push_tight,
};

/// From so many codes on, the palette takes no more rulings with links.
const LINKS_MAX: usize = 128;

/// The standings of entries, by position.
#[derive(Debug)]
pub(super) struct Column {
    codes: Codes,
    palette: Box<[Ruling]>,
    ends: Option<Annotations>,
    /// Of entries that are absent by their code.
    links: Option<Annotations>,
}

#[derive(Debug)]
enum Codes {
    Same,
    Bytes(Vec<u8>),
    Pairs(Vec<u16>),
    /// No palette: the rulings themselves.
    Whole(Vec<Ruling>),
}

impl Column {
    /// Entries of which the same is said for ever.
    pub(super) fn alike(standing: Standing) -> Self {
        debug_assert!(standing.is_endless());
        Self { codes: Codes::Same, palette: Box::new([standing.ruling]), ends: None, links: None }
    }

    /// The standing of the entry at `position`.
    #[inline(always)]
    pub(super) fn standing(&self, position: usize) -> Standing {
        let ruling = match &self.codes {
            Codes::Same => self.palette[0],
            Codes::Bytes(codes) => self.palette[usize::from(codes[position])],
            Codes::Pairs(codes) => self.palette[usize::from(codes[position])],
            Codes::Whole(rulings) => rulings[position],
        };
        if ruling == Ruling::ABSENT
            && let Some(link) = self.links.as_ref().and_then(|links| links.get(position))
        {
            return Standing { ruling: Ruling::of_link(link), until_s: FOREVER_S };
        }
        let until_s = self.ends.as_ref().and_then(|ends| ends.get(position)).unwrap_or(FOREVER_S);
        Standing { ruling, until_s }
    }

    /// Decides the entry at `position` for one query.
    #[inline]
    pub(super) fn decide<'a>(&self, position: usize, rulings: &'a Rulings, context: &Context) -> Finding<'a> {
        self.standing(position).decide(rulings, context)
    }

    /// Whether any entry has an end of its own.
    pub(super) fn has_lifetimes(&self) -> bool {
        self.ends.is_some()
    }

    /// Which entries have an end of their own, if any does.
    pub(super) fn ending(&self) -> Option<&Which> {
        self.ends.as_ref().map(Annotations::which)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let codes = match &self.codes {
            Codes::Same => 0,
            Codes::Bytes(codes) => codes.capacity(),
            Codes::Pairs(codes) => codes.capacity() * 2,
            Codes::Whole(rulings) => rulings.capacity() * 4,
        };
        let ends = self.ends.as_ref().map_or(0, Annotations::memory_bytes);
        let links = self.links.as_ref().map_or(0, Annotations::memory_bytes);
        codes + size_of_val(&*self.palette) + ends + links
    }
}

/// What the newest entry says.
#[derive(Clone, Copy, Debug)]
struct Last {
    standing: Standing,
    /// The same by its code.
    ruling: Ruling,
    /// What is kept beside that.
    link: Option<u32>,
    code: u32,
    /// When it lists nothing any more.
    end_s: u32,
}

/// So many are remembered, each in the place that its ruling leads to: lists say a few dozen things in turn.
const RECENT: usize = 1_024;

/// Builds a [`Column`] from first to last.
#[derive(Debug)]
pub(super) struct ColumnBuilder {
    codes: Codes,
    palette: Vec<Ruling>,
    known: HashMap<Ruling, u32, foldhash::fast::RandomState>,
    last: Option<Last>,
    /// None until something else is said than at first.
    recent: Vec<Option<Last>>,
    ends: Option<Annotations>,
    links: Option<Annotations>,
    len: usize,
}

impl ColumnBuilder {
    pub(super) fn new() -> Self {
        Self {
            codes: Codes::Same,
            palette: Vec::new(),
            known: HashMap::default(),
            last: None,
            recent: Vec::new(),
            ends: None,
            links: None,
            len: 0,
        }
    }

    /// How many entries have an end of their own so far.
    pub(super) fn ending_count(&self) -> usize {
        self.ends.as_ref().map_or(0, |ends| ends.which().count())
    }

    /// The next entry. Returns the second from which it lists nothing.
    #[inline]
    pub(super) fn push(&mut self, standing: Standing, rulings: &Rulings) -> u32 {
        if self.last.is_none_or(|last| last.standing != standing) {
            let place = standing.ruling.0 as usize % RECENT;
            match self.recent.get(place) {
                Some(&Some(recent)) if recent.standing == standing => self.last = Some(recent),
                _ => self.change(standing, rulings),
            }
        }
        let Some(Last { standing, ruling, link, code, end_s }) = self.last else { return 0 };
        match &mut self.codes {
            Codes::Same => {}
            Codes::Bytes(codes) => push_tight(codes, code as u8),
            Codes::Pairs(codes) => push_tight(codes, code as u16),
            Codes::Whole(rulings) => push_tight(rulings, ruling),
        }
        if standing.until_s != FOREVER_S {
            self.ends.get_or_insert_default().push(self.len, standing.until_s);
        }
        if let Some(link) = link {
            self.links.get_or_insert_default().push(self.len, link);
        }
        self.len += 1;
        end_s
    }

    /// Says something else than before.
    #[inline(never)]
    fn change(&mut self, standing: Standing, rulings: &Rulings) {
        let end_s = standing.outlook(rulings).end_s();
        let is_full = self.palette.len() >= LINKS_MAX && !self.known.contains_key(&standing.ruling);
        let link = standing.ruling.link().filter(|_| is_full);
        let ruling = if link.is_some() { Ruling::ABSENT } else { standing.ruling };
        let code = match self.last {
            Some(last) if last.ruling == ruling => last.code,
            _ => self.code(ruling),
        };
        self.recent.resize(if self.last.is_some() { RECENT } else { 0 }, None);
        self.last = Some(Last { standing, ruling, link, code, end_s });
        if let Some(place) = self.recent.get_mut(standing.ruling.0 as usize % RECENT) {
            *place = self.last;
        }
    }

    fn code(&mut self, ruling: Ruling) -> u32 {
        if matches!(self.codes, Codes::Whole(_)) {
            return 0;
        }
        let next = self.palette.len() as u32;
        let code = *self.known.entry(ruling).or_insert(next);
        if code == next {
            self.palette.push(ruling);
            self.widen_codes();
        }
        code
    }

    /// Makes room for the newest code.
    fn widen_codes(&mut self) {
        let codes = std::mem::replace(&mut self.codes, Codes::Same);
        self.codes = match (self.palette.len(), codes) {
            (2, Codes::Same) => Codes::Bytes(vec![0; self.len]),
            (257, Codes::Bytes(codes)) => Codes::Pairs(codes.into_iter().map(u16::from).collect()),
            (65_537, Codes::Pairs(codes)) => {
                let palette = std::mem::take(&mut self.palette);
                self.known = HashMap::default();
                Codes::Whole(codes.into_iter().map(|code| palette[usize::from(code)]).collect())
            }
            (_, codes) => codes,
        };
    }

    pub(super) fn build(mut self) -> Column {
        match &mut self.codes {
            Codes::Same => {}
            Codes::Bytes(codes) => codes.shrink_to_fit(),
            Codes::Pairs(codes) => codes.shrink_to_fit(),
            Codes::Whole(rulings) => rulings.shrink_to_fit(),
        }
        if let Some(ends) = &mut self.ends {
            ends.finish(self.len);
        }
        if let Some(links) = &mut self.links {
            links.finish(self.len);
        }
        Column { codes: self.codes, palette: self.palette.into(), ends: self.ends, links: self.links }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::{ruling::Claim, values::ValueId};

    #[test]
    fn codes_grow_with_the_palette() {
        let rulings = Rulings::default();
        for (distinct, bytes) in [(1, 0), (200, 1), (300, 2), (70_000, 4)] {
            let standing = |position: usize| Standing {
                ruling: Ruling::listed(ValueId((position % distinct) as u32)),
                until_s: if position % 3 == 1 { position as u32 } else { FOREVER_S },
            };
            let mut builder = ColumnBuilder::new();
            for position in 0..100_000 {
                builder.push(standing(position), &rulings);
            }
            let column = builder.build();
            assert!((0..100_000).all(|position| column.standing(position) == standing(position)));
            let lifetimes = 17 * 100_000 / 3 / 8 + 12 * 100_000 / 64 + 24;
            assert!(column.memory_bytes() <= 100_000 * bytes + 4 * distinct + lifetimes);
        }
    }

    #[test]
    fn where_all_end_none_is_marked() {
        let rulings = Rulings::default();
        for forever in [None, Some(9_999), Some(0)] {
            let standing = |position: usize| Standing {
                ruling: Ruling::listed(ValueId(1)),
                until_s: if forever == Some(position) { FOREVER_S } else { 1_000 + position as u32 % 77 },
            };
            let mut builder = ColumnBuilder::new();
            (0..10_000).for_each(|position| _ = builder.push(standing(position), &rulings));
            let column = builder.build();
            assert!((0..10_000).all(|position| column.standing(position) == standing(position)));
            let marked = 12 * 10_000_usize.div_ceil(64);
            let ends = 7 * 10_000 / 8 + 8;
            assert_eq!(column.memory_bytes() <= ends, forever.is_none());
            assert!(column.memory_bytes() <= ends + marked + 32);
        }
    }

    #[test]
    fn links_beside_ends() {
        let rulings = {
            let mut builder = crate::zone::ruling::RulingsBuilder::default();
            (0..1_000).for_each(|until_s| _ = builder.claim(Claim { from_s: 1, until_s, ..Claim::excluded() }));
            builder.build()
        };
        let standing = |position: u32| match position % 3 {
            0 => Standing { ruling: Ruling(0x8000_0000 | (position % 1_000)), until_s: FOREVER_S },
            1 => Standing { ruling: Ruling::listed(ValueId(1)), until_s: position },
            _ => Standing::ABSENT,
        };
        let mut builder = ColumnBuilder::new();
        (0..9_000).for_each(|position| _ = builder.push(standing(position), &rulings));
        let column = builder.build();
        assert!((0..9_000).all(|position| column.standing(position as usize) == standing(position)));
        assert!(matches!(column.codes, Codes::Bytes(_)));
    }
}
