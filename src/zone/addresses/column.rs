//! What is said of each of a million keys, in as few bytes as it takes.
//!
//! Most lists say the same of every entry: no byte. Others have a few dozen values: a byte an entry, into a palette. Ends of
//! lifetimes take four bytes each and only where there are some; a bit for each entry tells where, unless all have one. What has
//! links of its own ([`Rulings`]) has no end, and keeps the number of its link in the place of that once the palette is full of
//! such.
//!
//! Whole blocks of entries may be over, long before the next drop comes. For each block of 64, the second at which its last
//! listing ends is kept (unless nothing ever ends), so that asking whether anything in a range is listed passes over the dead.

use std::{collections::HashMap, ops::Range};

use crate::zone::{
    ruling::{Context, FOREVER_S, Finding, Ruling, Rulings},
    runs::push_tight,
    standing::Standing,
};

/// Entries to a block: as many as a word of [`Lifetimes`] has bits.
const BLOCK: usize = 64;

/// From so many codes on, the palette takes no more rulings with links.
const LINKS_MAX: usize = 128;

/// The standings of entries, by position.
#[derive(Debug)]
pub(super) struct Column {
    codes: Codes,
    palette: Box<[Ruling]>,
    lifetimes: Option<Lifetimes>,
    /// For each block the second from which it lists nothing; empty where all of it lists forever.
    ends_s: Box<[u32]>,
}

#[derive(Debug)]
enum Codes {
    Same,
    Bytes(Vec<u8>),
    Pairs(Vec<u16>),
    /// No palette: the rulings themselves.
    Whole(Vec<Ruling>),
}

#[derive(Debug, Default)]
struct Lifetimes {
    /// A bit for each entry that has an end; no bits where all have one.
    marks: Vec<u64>,
    /// Marks before each word.
    ranks: Vec<u32>,
    untils_s: Vec<u32>,
}

impl Column {
    /// So many entries of which the same is said for ever.
    pub(super) fn alike(len: usize, standing: Standing, rulings: &Rulings) -> Self {
        debug_assert!(standing.is_endless());
        let end_s = standing.outlook(rulings).end_s();
        let blocks = if end_s == FOREVER_S { 0 } else { len.div_ceil(BLOCK) };
        Self {
            codes: Codes::Same,
            palette: Box::new([standing.ruling]),
            lifetimes: None,
            ends_s: vec![end_s; blocks].into(),
        }
    }

    /// The standing of the entry at `position`.
    #[inline]
    pub(super) fn standing(&self, position: usize) -> Standing {
        let ruling = match &self.codes {
            Codes::Same => self.palette[0],
            Codes::Bytes(codes) => self.palette[usize::from(codes[position])],
            Codes::Pairs(codes) => self.palette[usize::from(codes[position])],
            Codes::Whole(rulings) => rulings[position],
        };
        let until_s = self.lifetimes.as_ref().map_or(FOREVER_S, |lifetimes| lifetimes.until_s(position));
        if ruling == Ruling::ABSENT && until_s != FOREVER_S {
            return Standing { ruling: Ruling(until_s), until_s: FOREVER_S };
        }
        Standing { ruling, until_s }
    }

    /// Decides the entry at `position` for one query.
    #[inline]
    pub(super) fn decide<'a>(&self, position: usize, rulings: &'a Rulings, context: &Context) -> Finding<'a> {
        self.standing(position).decide(rulings, context)
    }

    /// The first of these positions that is listed now.
    pub(super) fn first_listed(&self, mut at: Range<usize>, rulings: &Rulings, context: &Context) -> Option<usize> {
        while at.start < at.end {
            let block = at.start / BLOCK;
            let end = at.end.min((block + 1) * BLOCK);
            let is_over =
                self.ends_s.get(block).is_some_and(|&end_s| end_s != FOREVER_S && context.now_s >= u64::from(end_s));
            if !is_over {
                let found = (at.start..end).find(|&position| self.decide(position, rulings, context).is_listed());
                if found.is_some() {
                    return found;
                }
            }
            at.start = end;
        }
        None
    }

    /// Whether any entry has an end of its own.
    pub(super) fn has_lifetimes(&self) -> bool {
        self.lifetimes.is_some()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let codes = match &self.codes {
            Codes::Same => 0,
            Codes::Bytes(codes) => codes.capacity(),
            Codes::Pairs(codes) => codes.capacity() * 2,
            Codes::Whole(rulings) => rulings.capacity() * 4,
        };
        let lifetimes = self.lifetimes.as_ref().map_or(0, |lifetimes| {
            lifetimes.marks.capacity() * 8 + (lifetimes.ranks.capacity() + lifetimes.untils_s.capacity()) * 4
        });
        codes + size_of_val(&*self.palette) + lifetimes + size_of_val(&*self.ends_s)
    }
}

impl Lifetimes {
    #[inline]
    fn until_s(&self, position: usize) -> u32 {
        if self.marks.is_empty() {
            return self.untils_s[position];
        }
        let (word, bit) = (position / BLOCK, position % BLOCK);
        // Words end with the last mark.
        match self.marks.get(word) {
            Some(marks) if marks >> bit & 1 == 1 => {
                let before = (marks & ((1 << bit) - 1)).count_ones();
                self.untils_s[(self.ranks[word] + before) as usize]
            }
            _ => FOREVER_S,
        }
    }

    fn push(&mut self, position: usize, until_s: u32) {
        let (word, bit) = (position / BLOCK, position % BLOCK);
        while self.marks.len() <= word {
            push_tight(&mut self.marks, 0);
            push_tight(&mut self.ranks, u32::try_from(self.untils_s.len()).expect("fewer than 2^32 entries"));
        }
        self.marks[word] |= 1 << bit;
        push_tight(&mut self.untils_s, until_s);
    }
}

/// What the newest entry says.
#[derive(Clone, Copy, Debug)]
struct Last {
    standing: Standing,
    /// The same as it is kept.
    kept: Standing,
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
    lifetimes: Option<Lifetimes>,
    ends_s: Vec<u32>,
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
            lifetimes: None,
            ends_s: Vec::new(),
            len: 0,
        }
    }

    /// The next entry.
    #[inline]
    pub(super) fn push(&mut self, standing: Standing, rulings: &Rulings) {
        if self.last.is_none_or(|last| last.standing != standing) {
            let place = standing.ruling.0 as usize % RECENT;
            match self.recent.get(place) {
                Some(&Some(recent)) if recent.standing == standing => self.last = Some(recent),
                _ => self.change(standing, rulings),
            }
        }
        let Some(Last { kept, code, end_s, .. }) = self.last else { return };
        match &mut self.codes {
            Codes::Same => {}
            Codes::Bytes(codes) => push_tight(codes, code as u8),
            Codes::Pairs(codes) => push_tight(codes, code as u16),
            Codes::Whole(rulings) => push_tight(rulings, kept.ruling),
        }
        if kept.until_s != FOREVER_S {
            self.lifetimes.get_or_insert_default().push(self.len, kept.until_s);
        }
        if self.len.is_multiple_of(BLOCK) {
            push_tight(&mut self.ends_s, end_s);
        } else if let Some(latest_s) = self.ends_s.last_mut() {
            *latest_s = end_s.max(*latest_s);
        }
        self.len += 1;
    }

    /// Says something else than before.
    #[inline(never)]
    fn change(&mut self, standing: Standing, rulings: &Rulings) {
        let end_s = standing.outlook(rulings).end_s();
        let Standing { ruling, .. } = standing;
        let is_full = !ruling.is_simple() && self.palette.len() >= LINKS_MAX && !self.known.contains_key(&ruling);
        let kept = if is_full { Standing { ruling: Ruling::ABSENT, until_s: ruling.0 } } else { standing };
        let code = match self.last {
            Some(last) if last.kept.ruling == kept.ruling => last.code,
            _ => self.code(kept.ruling),
        };
        self.recent.resize(if self.last.is_some() { RECENT } else { 0 }, None);
        self.last = Some(Last { standing, kept, code, end_s });
        if let Some(place) = self.recent.get_mut(ruling.0 as usize % RECENT) {
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
        if let Some(lifetimes) = &mut self.lifetimes {
            if lifetimes.untils_s.len() == self.len {
                lifetimes.marks.clear();
                lifetimes.ranks.clear();
            }
            lifetimes.marks.shrink_to_fit();
            lifetimes.ranks.shrink_to_fit();
            lifetimes.untils_s.shrink_to_fit();
        }
        if self.ends_s.iter().all(|&end_s| end_s == FOREVER_S) {
            self.ends_s = Vec::new();
        }
        Column {
            codes: self.codes,
            palette: self.palette.into(),
            lifetimes: self.lifetimes,
            ends_s: self.ends_s.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::values::ValueId;

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
            let lifetimes = 4 * 100_000 / 3 + 12 * 100_000 / 64 + 24;
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
            (0..10_000).for_each(|position| builder.push(standing(position), &rulings));
            let column = builder.build();
            assert!((0..10_000).all(|position| column.standing(position) == standing(position)));
            let marked = 12 * 10_000_usize.div_ceil(BLOCK);
            let ends = 4 * 10_000 + 4 * 10_000_usize.div_ceil(BLOCK) + 4;
            assert_eq!(column.memory_bytes() <= ends, forever.is_none());
            assert!(column.memory_bytes() <= ends + marked + 64);
        }
    }

    #[test]
    fn links_take_the_place_of_ends() {
        let rulings = {
            let mut builder = crate::zone::ruling::RulingsBuilder::default();
            (0..1_000).for_each(|until_s| _ = builder.until(Ruling::EXCLUDED, until_s, Ruling(1)));
            builder.build()
        };
        let standing = |position: u32| match position % 3 {
            0 => Standing { ruling: Ruling(0x8000_0000 | (position % 1_000)), until_s: FOREVER_S },
            1 => Standing { ruling: Ruling::listed(ValueId(1)), until_s: position },
            _ => Standing::ABSENT,
        };
        let mut builder = ColumnBuilder::new();
        (0..9_000).for_each(|position| builder.push(standing(position), &rulings));
        let column = builder.build();
        assert!((0..9_000).all(|position| column.standing(position as usize) == standing(position)));
        assert!(matches!(column.codes, Codes::Bytes(_)));
    }

    #[test]
    fn what_is_over_is_passed_over() {
        let rulings = Rulings::default();
        let mut builder = ColumnBuilder::new();
        let listed = |until_s| Standing { ruling: Ruling::listed(ValueId(1)), until_s };
        for position in 0..1_000 {
            builder.push(listed(if position == 700 { 90 } else { 50 }), &rulings);
        }
        builder.push(Standing { ruling: Ruling::EXCLUDED, until_s: FOREVER_S }, &rulings);
        let column = builder.build();
        let first = |at, now_s| column.first_listed(at, &rulings, &Context { now_s, keyed: false });
        assert_eq!(first(3..1_001, 49), Some(3));
        assert_eq!(first(3..1_001, 50), Some(700));
        assert_eq!(first(3..700, 50), None);
        assert_eq!(first(701..1_001, 50), None);
        assert_eq!(first(1_000..1_001, 49), None);
        assert_eq!(first(5..5, 49), None);
    }
}
