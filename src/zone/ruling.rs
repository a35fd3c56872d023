//! What a dataset says of one key, as four bytes.
//!
//! Nearly every entry of every list is unconditional: it names one value and holds until the next drop. Those are encoded
//! in the [`Ruling`] itself, so that a million of them cost their keys and nothing else. The few that depend on the time, on
//! who asks, or that carry several values, point into [`Rulings`], where each distinct combination is kept once.
//!
//! ```text
//!  31 30 29                          0
//! +--+--+-----------------------------+
//! | 0| 0|          value id           |   listed with that value
//! | 0| 1|          value id           |   the same, and what the next wider entry says counts together with it
//! |      0x7fff_ffff                  |   excluded, likewise
//! | 1|          link index            |   a level of claims, which decides if one is in force, and a ruling behind it
//! |      0xffff_fffe                  |   excluded
//! |      0xffff_ffff                  |   absent: nothing is said here, a wider entry may decide
//! +-----------------------------------+
//! ```

use std::{fmt, hash::BuildHasher};

use hashbrown::HashTable;

use super::{runs::push_tight, values::ValueId};

/// The end of a lifetime that has none.
pub const FOREVER_S: u32 = u32::MAX;

/// What a lookup may depend on besides its key.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Seconds since the epoch. 64 bits, so that the clock of 2106 compares rightly with the 32-bit times of entries.
    pub now_s: u64,
    /// The client gave a valid access key.
    pub keyed: bool,
}

/// Whom an entry is for (the `key=` parameter of rspamd's fork).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyRule {
    /// Everyone.
    #[default]
    Anyone,
    /// Only queries with a valid access key see it.
    Required,
    /// Everyone, but keyed queries do not wait for `from_s` and are not held.
    SkipsDelay,
}

/// One line of a dataset, as far as it is not its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The value, or `None` for an exclusion.
    pub value: Option<ValueId>,
    /// In force from this second on (0: always has been).
    pub from_s: u32,
    /// In force before this second; [`FOREVER_S`] has no end.
    pub until_s: u32,
    /// Whom it is for.
    pub key: KeyRule,
    /// The answer is held back for so many seconds.
    pub hold_s: u16,
}

impl Claim {
    /// Listed with `value`, always and for everyone.
    pub const fn listed(value: ValueId) -> Self {
        Self { value: Some(value), from_s: 0, until_s: FOREVER_S, key: KeyRule::Anyone, hold_s: 0 }
    }

    /// Excluded, always and for everyone.
    pub const fn excluded() -> Self {
        Self { value: None, from_s: 0, until_s: FOREVER_S, key: KeyRule::Anyone, hold_s: 0 }
    }

    /// Whether the claim counts for this query.
    pub fn in_force(&self, context: &Context) -> bool {
        let skips_delay = self.key == KeyRule::SkipsDelay && context.keyed;
        (self.until_s == FOREVER_S || context.now_s < u64::from(self.until_s))
            && (context.now_s >= u64::from(self.from_s) || skips_delay)
            && (self.key != KeyRule::Required || context.keyed)
    }

    /// Seconds for which the answer to this query is held back.
    pub fn holds_s(&self, context: &Context) -> u16 {
        if self.key == KeyRule::SkipsDelay && context.keyed { 0 } else { self.hold_s }
    }

    /// Whether the claim is in force for everyone until the data are replaced.
    fn is_unconditional(&self) -> bool {
        self.until_s == FOREVER_S && self.depends_on_its_end_only()
    }

    /// Whether it is in force for everyone and from the start.
    pub(super) fn depends_on_its_end_only(&self) -> bool {
        self.from_s == 0 && self.key == KeyRule::Anyone && self.hold_s == 0
    }
}

/// What is said of one key; see the module for the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ruling(pub(crate) u32);

const CHAIN: u32 = 1 << 31;
const JOINED: u32 = 1 << 30;
const JOINED_EXCLUDED: u32 = CHAIN - 1;

impl Ruling {
    /// Nothing is said here.
    pub const ABSENT: Self = Self(u32::MAX);
    /// Not listed, whatever wider entries say.
    pub const EXCLUDED: Self = Self(u32::MAX - 1);

    /// Listed with `value`, unconditionally.
    pub const fn listed(value: ValueId) -> Self {
        debug_assert!(value.0 <= ValueId::MAX.0);
        Self(value.0)
    }

    /// What is said in these four bytes, together with what the next wider entry says.
    pub(super) const fn joined(self) -> Self {
        debug_assert!(self.is_simple() && self.0 != Self::ABSENT.0);
        Self(if self.0 == Self::EXCLUDED.0 { JOINED_EXCLUDED } else { JOINED | self.0 })
    }

    /// Whether what the next wider entry says counts together with it.
    #[inline]
    pub(super) const fn is_joined(self) -> bool {
        self.0 & (CHAIN | JOINED) == JOINED
    }

    /// The same without what counts together with it.
    #[inline]
    pub(super) const fn alone(self) -> Self {
        match self.0 {
            JOINED_EXCLUDED => Self::EXCLUDED,
            bits if self.is_joined() => Self(bits & !JOINED),
            _ => self,
        }
    }

    /// Whether it is all said in these four bytes, with no claims elsewhere.
    pub const fn is_simple(self) -> bool {
        self.0 & CHAIN == 0 || self.0 == Self::ABSENT.0 || self.0 == Self::EXCLUDED.0
    }

    /// The number of its link, if it has one.
    pub(super) const fn link(self) -> Option<u32> {
        if self.is_simple() { None } else { Some(self.0 & !CHAIN) }
    }

    /// The ruling of the link with that number.
    pub(super) const fn of_link(link: u32) -> Self {
        Self(CHAIN | link)
    }

    /// The value with which this alone lists unconditionally.
    pub const fn value(self) -> Option<ValueId> {
        if self.0 < JOINED { Some(ValueId(self.0)) } else { None }
    }
}

/// Claims of one specificity: any of them in force decides.
pub type Level = Box<[Claim]>;

/// The rulings of a dataset that four bytes cannot hold. Entries within the same wider entry share what comes after them.
#[derive(Debug, Default)]
pub struct Rulings {
    links: Vec<Link>,
    claims: Vec<Claim>,
}

/// A level of claims, and the ruling that decides where none of them is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Link {
    level: Said,
    wider: Ruling,
}

/// A level of claims in eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Said {
    /// The ruling of a claim that depends on nothing but its end; or where the claims start, with [`CHAIN`] set.
    ruling_or_start: u32,
    /// Its end; or where the claims end.
    end: u32,
}

impl Said {
    /// A claim that depends on nothing but its end.
    fn until(ruling: Ruling, until_s: u32) -> Self {
        debug_assert!(ruling.is_simple());
        Self { ruling_or_start: ruling.0, end: until_s }
    }

    /// The ruling of such a claim.
    fn simple(self) -> Option<Ruling> {
        Some(Ruling(self.ruling_or_start)).filter(|ruling| ruling.is_simple())
    }
}

/// What a lookup found.
#[derive(Clone, Copy, Debug)]
pub enum Finding<'a> {
    /// Nothing is said of the key.
    Absent,
    /// The key is excluded.
    Excluded,
    /// The key is listed with one value until then ([`FOREVER_S`]: no end).
    One(ValueId, u32),
    /// The key is listed with the values of those claims that are in force.
    Many(&'a [Claim]),
    /// The same of claims that are kept elsewhere, and where the first of them is.
    Together(&'a dyn Together, u32),
}

/// Claims that count together, each of which is kept with its own prefix.
pub trait Together {
    /// Calls `visit` with each value in force and its end, given where the first claim is.
    fn for_each_value(&self, first: u32, context: &Context, visit: &mut dyn FnMut(ValueId, u32));
}

impl fmt::Debug for dyn Together + '_ {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("what stands beside prefixes")
    }
}

impl Finding<'_> {
    /// Whether the key is listed.
    pub fn is_listed(&self) -> bool {
        matches!(self, Self::One(..) | Self::Many(_) | Self::Together(..))
    }

    /// Whether wider entries are to be asked.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Calls `visit` with each value, the end of its lifetime and the seconds for which the answer is held.
    pub fn for_each_value(&self, context: &Context, mut visit: impl FnMut(ValueId, u32, u16)) {
        match *self {
            Self::Absent | Self::Excluded => {}
            Self::One(value, until_s) => visit(value, until_s, 0),
            Self::Together(claims, first) => {
                claims.for_each_value(first, context, &mut |value, until_s| visit(value, until_s, 0));
            }
            Self::Many(claims) => {
                for claim in claims.iter().filter(|claim| claim.in_force(context)) {
                    if let Some(value) = claim.value {
                        visit(value, claim.until_s, claim.holds_s(context));
                    }
                }
            }
        }
    }
}

impl Rulings {
    /// Decides a ruling for one query, without what counts together with it.
    pub fn decide(&self, ruling: Ruling, context: &Context) -> Finding<'_> {
        match ruling {
            Ruling::ABSENT => Finding::Absent,
            Ruling::EXCLUDED => Finding::Excluded,
            Ruling(bits) if bits < JOINED => Finding::One(ValueId(bits), FOREVER_S),
            _ => self.decide_rare(ruling, context),
        }
    }

    #[cold]
    fn decide_rare(&self, ruling: Ruling, context: &Context) -> Finding<'_> {
        let Some(link) = ruling.link() else { return self.decide(ruling.alone(), context) };
        let Link { level: said, wider } = self.links[link as usize];
        if let Some(ruling) = said.simple() {
            let in_force = said.end == FOREVER_S || context.now_s < u64::from(said.end);
            return match ruling.value().filter(|_| in_force) {
                Some(value) => Finding::One(value, said.end),
                None if in_force => Finding::Excluded,
                None => self.decide(wider, context),
            };
        }
        let level = self.claims_of(said);
        let mut listed = false;
        for claim in level.iter().filter(|claim| claim.in_force(context)) {
            if claim.value.is_none() {
                return Finding::Excluded;
            }
            listed = true;
        }
        if listed { Finding::Many(level) } else { self.decide(wider, context) }
    }

    fn claims_of(&self, said: Said) -> &[Claim] {
        &self.claims[(said.ruling_or_start & !CHAIN) as usize..said.end as usize]
    }

    fn level(&self, said: Said) -> Level {
        match said.simple() {
            Some(ruling) => {
                let claim = ruling.value().map_or(Claim::excluded(), Claim::listed);
                Box::new([Claim { until_s: said.end, ..claim }])
            }
            None => self.claims_of(said).into(),
        }
    }

    /// The levels of a ruling, most specific first, without what counts together with it; empty for one that is absent.
    pub fn levels(&self, mut ruling: Ruling) -> Vec<Level> {
        let mut levels: Vec<Level> = Vec::new();
        loop {
            match ruling.alone() {
                Ruling::ABSENT => return levels,
                Ruling::EXCLUDED => {
                    levels.push(Box::new([Claim::excluded()]));
                    return levels;
                }
                Ruling(bits) if bits & CHAIN == 0 => {
                    levels.push(Box::new([Claim::listed(ValueId(bits))]));
                    return levels;
                }
                Ruling(bits) => {
                    let link = self.links[(bits & !CHAIN) as usize];
                    levels.push(self.level(link.level));
                    ruling = link.wider;
                }
            }
        }
    }

    /// Whether a ruling decides every query, so that nothing wider is ever asked.
    pub(super) fn always_decides(&self, ruling: Ruling) -> bool {
        ruling != Ruling::ABSENT
            && ruling.link().is_none_or(|link| {
                let Link { level, wider } = self.links[link as usize];
                let claims = if level.simple().is_none() { self.claims_of(level) } else { &[] };
                claims.iter().any(Claim::is_unconditional) || self.always_decides(wider)
            })
    }

    /// Whether everything is said without it.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.links.capacity() * size_of::<Link>() + self.claims.capacity() * size_of::<Claim>()
    }
}

/// Builds [`Rulings`], each distinct link once.
#[derive(Debug, Default)]
pub struct RulingsBuilder {
    rulings: Rulings,
    /// All links, by what they say.
    known: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
}

impl RulingsBuilder {
    /// The ruling for one claim.
    pub fn claim(&mut self, claim: Claim) -> Ruling {
        self.link(&[claim], Ruling::ABSENT)
    }

    /// The ruling for levels of claims, most specific first. Equal claims of a level count once, what cannot be reached
    /// below an unconditional level is dropped, and so are exclusions with nothing under them that they would hide.
    pub fn levels(&mut self, levels: impl IntoIterator<Item = Vec<Claim>>) -> Ruling {
        let mut chain: Vec<Level> = Vec::new();
        for mut level in levels {
            // The order of lines stays: it is the order of the records in an answer.
            let mut seen = 0;
            while seen < level.len() {
                if level[..seen].contains(&level[seen]) {
                    level.remove(seen);
                } else {
                    seen += 1;
                }
            }
            if level.is_empty() {
                continue;
            }
            if level.iter().any(|claim| claim.value.is_none() && claim.is_unconditional()) {
                chain.push(Box::new([Claim::excluded()]));
                break;
            }
            let decides_always = level.iter().any(Claim::is_unconditional);
            chain.push(level.into());
            if decides_always {
                break;
            }
        }
        chain.into_iter().rev().fold(Ruling::ABSENT, |wider, level| self.link(&level, wider))
    }

    /// The ruling of a claim that depends on nothing but its end, with `wider` behind it.
    pub fn until(&mut self, ruling: Ruling, until_s: u32, wider: Ruling) -> Ruling {
        if until_s == FOREVER_S || ruling == Ruling::ABSENT {
            return if until_s == FOREVER_S { ruling } else { wider };
        }
        let link = Link { level: Said::until(ruling, until_s), wider };
        let Self { rulings, known, hasher } = self;
        let hash = hasher.hash_one(link);
        Self::known_or_new(rulings, known, hasher, hash, |_, other| *other == link, |_| link)
    }

    /// The ruling of a level with `wider` behind it.
    fn link(&mut self, level: &[Claim], wider: Ruling) -> Ruling {
        if let [only] = level
            && only.depends_on_its_end_only()
        {
            return self.until(only.value.map_or(Ruling::EXCLUDED, Ruling::listed), only.until_s, wider);
        }
        let Self { rulings, known, hasher } = self;
        let hash = hasher.hash_one((level, wider));
        let is_same = |rulings: &Rulings, other: &Link| {
            other.wider == wider && other.level.simple().is_none() && rulings.claims_of(other.level) == level
        };
        Self::known_or_new(rulings, known, hasher, hash, is_same, |rulings| {
            let start = rulings.claims.len() as u32;
            for claim in level {
                push_tight(&mut rulings.claims, *claim);
            }
            // The last two rulings with this bit have meanings of their own, and claims reach any limit before links do.
            let end = u32::try_from(rulings.claims.len()).ok().filter(|end| *end < CHAIN - 2);
            let end = end.expect("fewer claims than lines, and those are below 2^30");
            Link { level: Said { ruling_or_start: CHAIN | start, end }, wider }
        })
    }

    /// The ruling of the link with that hash, which is made if there is none.
    fn known_or_new(
        rulings: &mut Rulings,
        known: &mut HashTable<u32>,
        hasher: &foldhash::fast::RandomState,
        hash: u64,
        is_same: impl Fn(&Rulings, &Link) -> bool,
        make: impl FnOnce(&mut Rulings) -> Link,
    ) -> Ruling {
        if let Some(&index) = known.find(hash, |&index| is_same(rulings, &rulings.links[index as usize])) {
            return Ruling::of_link(index);
        }
        let link = make(rulings);
        let index = rulings.links.len() as u32;
        push_tight(&mut rulings.links, link);
        known.insert_unique(hash, index, |&index| {
            let link = rulings.links[index as usize];
            match link.level.simple() {
                Some(_) => hasher.hash_one(link),
                None => hasher.hash_one((rulings.claims_of(link.level), link.wider)),
            }
        });
        Ruling::of_link(index)
    }

    /// All rulings with links so far, the wider ones before those that they stand behind.
    pub(super) fn links(&self) -> impl Iterator<Item = Ruling> + use<> {
        (0..self.rulings.links.len() as u32).map(Ruling::of_link)
    }

    /// The rulings so far, to look levels up while building.
    pub fn so_far(&self) -> &Rulings {
        &self.rulings
    }

    /// Freezes what was built.
    pub fn build(mut self) -> Rulings {
        self.rulings.links.shrink_to_fit();
        self.rulings.claims.shrink_to_fit();
        self.rulings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Context = Context { now_s: 1_000, keyed: false };
    const KEYED: Context = Context { now_s: 1_000, keyed: true };

    #[test]
    fn unconditional_claims_need_no_chain() {
        let mut builder = RulingsBuilder::default();
        assert_eq!(builder.claim(Claim::listed(ValueId(7))), Ruling(7));
        assert_eq!(builder.claim(Claim::excluded()), Ruling::EXCLUDED);
        assert_eq!(builder.build().memory_bytes(), 0);
    }

    #[test]
    fn an_expired_level_gives_way_to_the_next() {
        let mut builder = RulingsBuilder::default();
        let narrow = Claim { until_s: 1_000, ..Claim::listed(ValueId(1)) };
        let ruling = builder.levels([vec![narrow], vec![Claim::listed(ValueId(2))]]);
        let rulings = builder.build();
        let value_at = |now_s| {
            let mut found = Vec::new();
            let context = Context { now_s, keyed: false };
            rulings.decide(ruling, &context).for_each_value(&context, |value, _, _| found.push(value.0));
            found
        };
        assert_eq!(value_at(999), [1]);
        assert_eq!(value_at(1_000), [2], "delisted to the second");
        assert_eq!(value_at(u64::from(u32::MAX) + 5), [2], "the clock may pass 2106");
    }

    #[test]
    fn an_expired_exclusion_no_longer_excludes() {
        let mut builder = RulingsBuilder::default();
        let gone = Claim { until_s: 900, ..Claim::excluded() };
        let ruling = builder.levels([vec![gone], vec![Claim::listed(ValueId(2))]]);
        assert!(builder.build().decide(ruling, &NOBODY).is_listed());
    }

    #[test]
    fn keys_open_what_requires_them_and_skip_delays() {
        let required = Claim { key: KeyRule::Required, ..Claim::listed(ValueId(1)) };
        assert!(!required.in_force(&NOBODY) && required.in_force(&KEYED));
        let waiting = Claim { key: KeyRule::SkipsDelay, from_s: 2_000, ..Claim::listed(ValueId(1)) };
        assert!(!waiting.in_force(&NOBODY) && waiting.in_force(&KEYED));
        let held = Claim { key: KeyRule::SkipsDelay, hold_s: 3, ..Claim::listed(ValueId(1)) };
        assert_eq!((held.holds_s(&NOBODY), held.holds_s(&KEYED)), (3, 0));
    }

    #[test]
    fn an_exclusion_decides_its_level() {
        let mut builder = RulingsBuilder::default();
        let ruling =
            builder.levels([vec![Claim::listed(ValueId(1)), Claim::excluded()], vec![Claim::listed(ValueId(2))]]);
        assert_eq!(ruling, Ruling::EXCLUDED);
    }
}
