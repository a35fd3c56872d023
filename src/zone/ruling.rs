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
//! | 1|          link index            |   the claims there, which decide if one is in force
//! |      0xffff_fffe                  |   excluded
//! |      0xffff_ffff                  |   absent: nothing is said here, a wider entry may decide
//! +-----------------------------------+
//! ```

use std::{fmt, hash::BuildHasher};

use hashbrown::HashTable;

use super::{tight::push_tight, values::ValueId};

/// The end of a lifetime that has none.
pub const FOREVER_S: u32 = u32::MAX;

/// Whether a lifetime with that end is over; without an end it never is.
#[inline]
pub fn is_over(until_s: u32, now_s: u64) -> bool {
    until_s != FOREVER_S && now_s >= u64::from(until_s)
}

/// So many entries of one set are asked whether anything is listed in a range or below a name, where times, keys or exclusions
/// leave that open. Beyond that, the answer is that something is. Who asks label by label (RFC 9156) then asks a question too
/// many; but there is no listing that cannot be found, and nothing that takes as long as the set is large. A question may ask
/// each set of its zone, and where something was excluded by command, [piece by piece](super::live) of the range.
pub const ASKED_MAX: usize = 1_024;

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
        !is_over(self.until_s, context.now_s)
            && (context.now_s >= u64::from(self.from_s) || skips_delay)
            && (self.key != KeyRule::Required || context.keyed)
    }

    /// Seconds for which the answer to this query is held back.
    pub fn holds_s(&self, context: &Context) -> u16 {
        if self.key == KeyRule::SkipsDelay && context.keyed { 0 } else { self.hold_s }
    }

    /// Whether the claim is in force for everyone until the data are replaced.
    pub(super) fn is_unconditional(&self) -> bool {
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

const LINKED: u32 = 1 << 31;
const JOINED: u32 = 1 << 30;
const JOINED_EXCLUDED: u32 = LINKED - 1;

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
        self.0 & (LINKED | JOINED) == JOINED
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
        self.0 & LINKED == 0 || self.0 == Self::ABSENT.0 || self.0 == Self::EXCLUDED.0
    }

    /// The number of its link, if it has one.
    pub(super) const fn link(self) -> Option<u32> {
        if self.is_simple() { None } else { Some(self.0 & !LINKED) }
    }

    /// The ruling of the link with that number.
    pub(super) const fn of_link(link: u32) -> Self {
        Self(LINKED | link)
    }

    /// The value with which this alone lists unconditionally.
    pub const fn value(self) -> Option<ValueId> {
        if self.0 < JOINED { Some(ValueId(self.0)) } else { None }
    }
}

/// Claims of one specificity: any of them in force decides.
pub type Level = Vec<Claim>;

/// The rulings of a dataset that four bytes cannot hold: claims that count together.
#[derive(Debug, Default)]
pub struct Rulings {
    claims: Vec<Claim>,
    /// Where the claims of each link end; they start where those of the one before do.
    ends: Vec<u32>,
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
        let claims = self.linked(link);
        let mut listed = false;
        for claim in claims.iter().filter(|claim| claim.in_force(context)) {
            if claim.value.is_none() {
                return Finding::Excluded;
            }
            listed = true;
        }
        if listed { Finding::Many(claims) } else { Finding::Absent }
    }

    /// The claims of a link.
    pub(super) fn linked(&self, link: u32) -> &[Claim] {
        let end = |link: u32| self.ends[link as usize] as usize;
        &self.claims[link.checked_sub(1).map_or(0, end)..end(link)]
    }

    /// The claims of a ruling, without what counts together with it; none if it is absent.
    pub fn claims(&self, ruling: Ruling) -> Level {
        if let Some(link) = ruling.link() {
            return self.linked(link).to_vec();
        }
        match ruling.alone() {
            Ruling::ABSENT => Vec::new(),
            alone => vec![alone.value().map_or(Claim::excluded(), Claim::listed)],
        }
    }

    /// How many claims all links have.
    pub(super) fn claim_count(&self) -> usize {
        self.claims.len()
    }

    /// Whether everything is said without it.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.ends.capacity() * size_of::<u32>() + self.claims.capacity() * size_of::<Claim>()
    }
}

/// Builds [`Rulings`], equal claims once.
#[derive(Debug, Default)]
pub struct RulingsBuilder {
    rulings: Rulings,
    /// All links, by their claims.
    known: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
}

impl RulingsBuilder {
    /// The ruling for one claim.
    pub fn claim(&mut self, claim: Claim) -> Ruling {
        self.level(&[claim])
    }

    /// The ruling for different claims that count together, in the order of the records in an answer.
    pub fn level(&mut self, claims: &[Claim]) -> Ruling {
        Self::unlinked(claims).unwrap_or_else(|| self.link(claims))
    }

    /// The ruling for claims that need no link.
    fn unlinked(claims: &[Claim]) -> Option<Ruling> {
        if claims.iter().any(|claim| claim.value.is_none() && claim.is_unconditional()) {
            return Some(Ruling::EXCLUDED);
        }
        match claims {
            [] => Some(Ruling::ABSENT),
            [only] => only.value.filter(|_| only.is_unconditional()).map(Ruling::listed),
            _ => None,
        }
    }

    /// Whether [`level`](Self::level) takes no more memory for these claims.
    pub(super) fn is_kept(&self, claims: &[Claim]) -> bool {
        Self::unlinked(claims).is_some() || self.find(self.hasher.hash_one(claims), claims).is_some()
    }

    fn find(&self, hash: u64, claims: &[Claim]) -> Option<u32> {
        self.known.find(hash, |&link| self.rulings.linked(link) == claims).copied()
    }

    /// The ruling that links to these claims.
    fn link(&mut self, claims: &[Claim]) -> Ruling {
        let hash = self.hasher.hash_one(claims);
        if let Some(link) = self.find(hash, claims) {
            return Ruling::of_link(link);
        }
        let Self { rulings, known, hasher } = self;
        let link = rulings.ends.len() as u32;
        for claim in claims {
            push_tight(&mut rulings.claims, *claim);
        }
        // The last two rulings with this bit have meanings of their own, and claims reach any limit before links do. A line brings
        // one, another where its key has several, and nine where prefixes count together: see `sweep.rs`.
        let end = u32::try_from(rulings.claims.len()).ok().filter(|end| *end < LINKED - 2);
        push_tight(&mut rulings.ends, end.expect("fewer than 190 million lines, whose claims would take 43 GB"));
        known.insert_unique(hash, link, |&link| hasher.hash_one(rulings.linked(link)));
        Ruling::of_link(link)
    }

    /// All rulings with links so far.
    pub(super) fn links(&self) -> impl Iterator<Item = Ruling> + use<> {
        (0..self.rulings.ends.len() as u32).map(Ruling::of_link)
    }

    /// The rulings so far, to look claims up while building.
    pub fn so_far(&self) -> &Rulings {
        &self.rulings
    }

    /// Freezes what was built.
    pub fn build(mut self) -> Rulings {
        self.rulings.ends.shrink_to_fit();
        self.rulings.claims.shrink_to_fit();
        self.rulings
    }
}

#[cfg(test)]
impl Claim {
    /// Anything that a line may say with so many values: one in `exclusions` excludes, and times are there unless it is `endless`.
    pub(super) fn random(random: &mut rand::rngs::SmallRng, exclusions: u32, values: u32, endless: bool) -> Self {
        use rand::Rng as _;
        let is_exclusion = random.random_ratio(1, exclusions);
        let value = if is_exclusion { None } else { Some(ValueId(random.random_range(0..values))) };
        let (from_s, until_s) = match random.random_range(0..80) {
            _ if endless => (0, FOREVER_S),
            0..40 => (0, FOREVER_S),
            40..65 => (0, random.random_range(1..6)),
            65..68 => (0, random.random()),
            68..70 => (0, FOREVER_S - random.random_range(0..3)),
            70..79 => (random.random_range(1..6), random.random_range(1..6)),
            _ => (random.random(), random.random()),
        };
        let key = if random.random_ratio(1, 20) { KeyRule::Required } else { KeyRule::Anyone };
        Self { value, from_s, until_s, key, hold_s: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Context = Context { now_s: 1_000, keyed: false };
    const KEYED: Context = Context { now_s: 1_000, keyed: true };

    #[test]
    fn unconditional_claims_need_no_link() {
        let mut builder = RulingsBuilder::default();
        assert_eq!(builder.claim(Claim::listed(ValueId(7))), Ruling(7));
        assert_eq!(builder.claim(Claim::excluded()), Ruling::EXCLUDED);
        assert_eq!(builder.level(&[]), Ruling::ABSENT);
        assert_eq!(builder.build().memory_bytes(), 0);
    }

    #[test]
    fn what_has_expired_says_nothing() {
        let mut builder = RulingsBuilder::default();
        let until = |claim, until_s| Claim { until_s, ..claim };
        let (one, two) = (Claim::listed(ValueId(1)), Claim::listed(ValueId(2)));
        let several = builder.level(&[until(one, 1_000), until(two, 900)]);
        let excluded = builder.level(&[until(one, 1_000), until(Claim::excluded(), 900)]);
        let rulings = builder.build();
        let values_at = |ruling, now_s| {
            let mut found = Vec::new();
            let context = Context { now_s, keyed: false };
            rulings.decide(ruling, &context).for_each_value(&context, |value, _, _| found.push(value.0));
            found
        };
        assert_eq!(values_at(several, 899), [1, 2]);
        assert_eq!(values_at(several, 999), [1], "delisted to the second");
        assert!(rulings.decide(several, &NOBODY).is_absent());
        assert!(values_at(several, u64::from(u32::MAX) + 5).is_empty(), "the clock may pass 2106");
        assert!(matches!(rulings.decide(excluded, &Context { now_s: 899, keyed: false }), Finding::Excluded));
        assert_eq!(values_at(excluded, 900), [1], "what has expired no longer excludes");
    }

    #[test]
    fn equal_claims_are_kept_once() {
        let mut builder = RulingsBuilder::default();
        let claims = |value| vec![Claim::listed(ValueId(value)), Claim::listed(ValueId(9))];
        let rulings: Vec<Ruling> = (0..2_000).map(|line| builder.level(&claims(line % 5))).collect();
        assert!(builder.links().eq(rulings[..5].iter().copied()));
        let built = builder.build();
        for (line, ruling) in (0..).zip(rulings) {
            assert_eq!(built.claims(ruling), claims(line % 5));
        }
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
        let ruling = builder.level(&[Claim::listed(ValueId(1)), Claim::excluded()]);
        assert_eq!(ruling, Ruling::EXCLUDED);
    }
}
