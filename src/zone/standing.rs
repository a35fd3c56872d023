//! What several lines say of one key, put into words of eight bytes.
//!
//! Most lists have no lifetimes at all. Those that do, have one on every entry, and nearly every one ends at a second of its
//! own; as links of [`Rulings`] they would cost two dozen bytes each. A [`Standing`] therefore keeps the end of the lifetime beside a
//! simple [`Ruling`], and the datasets keep it in four bytes at most, where there is one. Links remain for what is rare: delays,
//! access keys, several values.
//!
//! Here is also the one place that says which lines count, when several are about the same key: see [`Equals`].

use std::collections::HashMap;

use super::ruling::{Claim, Context, FOREVER_S, Finding, KeyRule, Level, Ruling, Rulings, RulingsBuilder, is_over};

/// So many values of one key count, and as many exclusions with conditions. More can hardly be told: a reply by UDP has room for
/// 72 addresses or a dozen texts, the longest one by TCP for this many texts of two hundred octets, and 127.0.0.0/24 has no more
/// codes. Each query about such a key goes over all of them, and each piece of the address space where others are beside it
/// keeps all of them, so that without a limit a small file could take any time and any memory.
pub const VALUES_MAX: usize = 256;

/// So few claims are compared one by one: to look them up would cost more.
const COMPARED_MAX: usize = 16;

/// A ruling and the end of its lifetime. A ruling with a link has its times there, and no end here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Standing {
    /// What is said.
    pub ruling: Ruling,
    /// In force before this second; [`FOREVER_S`] has no end.
    pub until_s: u32,
}

/// Which of several claims of one key and one specificity count. In every case, claims that differ in their lifetimes only
/// are one listing that was renewed: it ends with the last of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Equals {
    /// All of them, in the order of their lines; an exclusion in force excludes (rbldnsd's ip4set and dnset).
    All,
    /// The first line, unless a later one lives longer (rbldnsd's tries, which know no lifetimes).
    First,
    /// The last line, unless an earlier one lives longer.
    Last,
}

/// When a ruling lists, as far as it can be told without knowing the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// At no time.
    Never,
    /// At times before this second, for some, and never after it.
    Perhaps(u32),
    /// For everyone until this second.
    Until(u32),
    /// For everyone, without end.
    Always,
}

impl Standing {
    /// Nothing is said.
    pub const ABSENT: Self = Self { ruling: Ruling::ABSENT, until_s: FOREVER_S };

    /// The standing of one claim.
    pub fn of(claim: Claim, rulings: &mut RulingsBuilder) -> Self {
        if claim.depends_on_its_end_only() {
            let ruling = claim.value.map_or(Ruling::EXCLUDED, Ruling::listed);
            Self { ruling, until_s: claim.until_s }
        } else {
            Self { ruling: rulings.claim(claim), until_s: FOREVER_S }
        }
    }

    /// The standing of claims that count together.
    pub fn of_level(claims: &[Claim], rulings: &mut RulingsBuilder) -> Self {
        match claims {
            [only] => Self::of(*only, rulings),
            _ => Self { ruling: rulings.level(claims), until_s: FOREVER_S },
        }
    }

    /// Whether [`of_level`](Self::of_level) takes no more memory for these claims.
    pub(super) fn is_kept(claims: &[Claim], rulings: &RulingsBuilder) -> bool {
        matches!(claims, [only] if only.depends_on_its_end_only()) || rulings.is_kept(claims)
    }

    /// Whether it is one value or an exclusion that decides every query, so that nothing wider is ever asked.
    #[inline]
    pub fn is_unconditional(self) -> bool {
        self.until_s == FOREVER_S && (self.ruling == Ruling::EXCLUDED || self.ruling.value().is_some())
    }

    /// The same, told of those too that are not all said here.
    #[inline]
    pub(super) fn always_decides(self, rulings: &Rulings) -> bool {
        match self.ruling.link() {
            Some(link) => rulings.linked(link).iter().any(Claim::is_unconditional),
            None => self.is_unconditional(),
        }
    }

    /// Whether it always decides, and the same.
    #[inline]
    pub(super) fn never_changes(self, rulings: &Rulings) -> bool {
        match self.ruling.link() {
            Some(link) => rulings.linked(link).iter().all(Claim::is_unconditional),
            None => self.is_unconditional(),
        }
    }

    /// How many claims it has, if it is not absent.
    pub(super) fn claim_count(self, rulings: &Rulings) -> usize {
        self.ruling.link().map_or(1, |link| rulings.linked(link).len())
    }

    /// Whether it is all said here, but for what counts together with it, and holds for ever.
    pub fn is_endless(self) -> bool {
        self.until_s == FOREVER_S && self.ruling.is_simple()
    }

    /// Whether its lifetime has ended.
    #[inline]
    pub fn is_over(self, context: &Context) -> bool {
        is_over(self.until_s, context.now_s)
    }

    /// Decides for one query, without what counts together with it.
    #[inline]
    pub fn decide<'a>(self, rulings: &'a Rulings, context: &Context) -> Finding<'a> {
        if self.is_over(context) {
            return Finding::Absent;
        }
        match rulings.decide(self.ruling, context) {
            Finding::One(value, until_s) => Finding::One(value, until_s.min(self.until_s)),
            finding => finding,
        }
    }

    /// Its claims, without what counts together with it; none of one that is absent.
    pub fn claims(self, rulings: &Rulings) -> Level {
        let mut claims = rulings.claims(self.ruling);
        if self.until_s != FOREVER_S {
            for claim in &mut claims {
                claim.until_s = self.until_s;
            }
        }
        claims
    }

    /// When it lists, if not together with others.
    #[inline]
    pub fn outlook(self, rulings: &Rulings) -> Outlook {
        if self.ruling == Ruling::ABSENT || self.ruling == Ruling::EXCLUDED {
            return Outlook::Never;
        }
        if self.ruling.value().is_some() {
            return if self.until_s == FOREVER_S { Outlook::Always } else { Outlook::Until(self.until_s) };
        }
        self.outlook_of_links(rulings)
    }

    #[inline(never)]
    fn outlook_of_links(self, rulings: &Rulings) -> Outlook {
        let claims = self.claims(rulings);
        let is_plain = |claim: &Claim| claim.value.is_some() && claim.from_s == 0 && claim.key != KeyRule::Required;
        let plain = claims.iter().all(is_plain);
        match claims.iter().filter(|claim| claim.value.is_some()).map(|claim| claim.until_s).max() {
            None => Outlook::Never,
            Some(FOREVER_S) if plain => Outlook::Always,
            Some(until_s) if plain => Outlook::Until(until_s),
            Some(until_s) => Outlook::Perhaps(until_s),
        }
    }
}

impl Equals {
    /// Whether a line counts instead of one before it that ends at another time, where only one counts.
    pub fn replaces(self, later_s: u32, earlier_s: u32) -> bool {
        match self {
            Self::All => false,
            Self::First => later_s > earlier_s,
            Self::Last => later_s >= earlier_s,
        }
    }

    /// What counts of the claims of one key and one specificity, given in the order of their lines; and whether there were
    /// more than [can count](VALUES_MAX).
    pub fn standing(
        self,
        standings: impl IntoIterator<Item = Standing>,
        rulings: &mut RulingsBuilder,
    ) -> (Standing, bool) {
        let mut standings = standings.into_iter();
        match (standings.next(), standings.next()) {
            (None, _) => (Standing::ABSENT, false),
            (Some(only), None) => (only, false),
            (Some(first), Some(second)) => {
                let all = [first, second].into_iter().chain(standings);
                let Kept { claims, is_crowded, .. } = self.settle(all, rulings.so_far());
                (Standing::of_level(&claims, rulings), is_crowded)
            }
        }
    }

    /// The claims that count of those of one key and one specificity, given in the order of their lines.
    pub(super) fn settle(self, standings: impl IntoIterator<Item = Standing>, rulings: &Rulings) -> Kept {
        let mut kept = Kept::default();
        for claim in standings.into_iter().flat_map(|standing| standing.claims(rulings)) {
            match (self, kept.claims.first_mut()) {
                (Self::All, _) => kept.add_or_renew(claim),
                (Self::First | Self::Last, None) => kept.claims.push(claim),
                (_, Some(other)) if self.replaces(claim.until_s, other.until_s) => *other = claim,
                (Self::First | Self::Last, Some(_)) => {}
            }
        }
        kept
    }
}

/// Claims that count, in the order of their lines.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) claims: Level,
    /// There were more than can count.
    pub(super) is_crowded: bool,
    /// So many of them are exclusions.
    exclusions: usize,
    /// Once they are many: where each stands, by all but its end.
    places: HashMap<Claim, usize, foldhash::fast::RandomState>,
}

impl Kept {
    /// The next claim. One that differs from another in its end only is the same listing, renewed: it ends with the last.
    fn add_or_renew(&mut self, claim: Claim) {
        match self.find(claim) {
            Some(at) => self.claims[at].until_s = self.claims[at].until_s.max(claim.until_s),
            None => self.add(claim),
        }
    }

    /// Puts one that is too many in the place of the one that is over first, if that is so before it is.
    #[cold]
    fn replace_shortest(&mut self, claim: Claim) {
        let alike = self.claims.iter().enumerate().filter(|(_, other)| other.value.is_none() == claim.value.is_none());
        let Some((at, shortest)) = alike.min_by_key(|(_, other)| rank(other)) else { return };
        if rank(shortest) < rank(&claim) {
            self.places.remove(&endless(*shortest));
            self.places.insert(endless(claim), at);
            self.claims[at] = claim;
        }
    }

    fn find(&self, claim: Claim) -> Option<usize> {
        if self.claims.len() > COMPARED_MAX {
            return self.places.get(&endless(claim)).copied();
        }
        self.claims.iter().position(|other| claim == Claim { until_s: claim.until_s, ..*other })
    }

    fn add(&mut self, claim: Claim) {
        let is_exclusion = claim.value.is_none();
        let count = if is_exclusion { self.exclusions } else { self.claims.len() - self.exclusions };
        // Whatever else is said, one that always holds decides.
        let may_pass = is_exclusion && claim.is_unconditional();
        if count >= VALUES_MAX && !may_pass {
            self.is_crowded = true;
            self.replace_shortest(claim);
            return;
        }
        self.exclusions += usize::from(is_exclusion);
        self.claims.push(claim);
        if self.claims.len() > COMPARED_MAX {
            let claims = self.claims.iter().enumerate().skip(self.places.len());
            self.places.extend(claims.map(|(at, claim)| (endless(*claim), at)));
        }
    }
}

/// What of claims that are too many goes on to count: those for everybody, and of these the ones that end last.
fn rank(claim: &Claim) -> (bool, u32) {
    (claim.key != KeyRule::Required, claim.until_s)
}

/// The same without an end.
fn endless(claim: Claim) -> Claim {
    Claim { until_s: FOREVER_S, ..claim }
}

impl Outlook {
    /// The outlook of two things together: whether either lists.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Always, _) | (_, Self::Always) => Self::Always,
            (Self::Never, only) | (only, Self::Never) => only,
            (Self::Until(one), Self::Until(two)) => Self::Until(one.max(two)),
            (Self::Until(one) | Self::Perhaps(one), Self::Until(two) | Self::Perhaps(two)) => {
                Self::Perhaps(one.max(two))
            }
        }
    }

    /// The second from which nothing is listed any more: 0 if nothing ever is, [`FOREVER_S`] if there is no such second.
    pub fn end_s(self) -> u32 {
        match self {
            Self::Never => 0,
            Self::Perhaps(until_s) | Self::Until(until_s) => until_s,
            Self::Always => FOREVER_S,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};
    use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

    use super::*;
    use crate::zone::{lifetimes::Lifetimes, scattered::rounds, values::ValueId};

    fn settled(equals: Equals, claims: &[Claim]) -> Vec<Claim> {
        let mut rulings = RulingsBuilder::default();
        let standings: Vec<_> = claims.iter().map(|claim| Standing::of(*claim, &mut rulings)).collect();
        equals.settle(standings, rulings.so_far()).claims
    }

    proptest! {
        #[test]
        fn many_as_if_compared_one_by_one(lines in vec((option::of(0..40_u32), 0..3_u32, 1..9_u32), 0..200)) {
            let claim = |(value, from_s, until_s): (Option<u32>, u32, u32)| {
                Claim { value: value.map(ValueId), from_s, until_s, ..Claim::excluded() }
            };
            let claims: Vec<Claim> = lines.into_iter().map(claim).collect();
            let mut expected: Vec<Claim> = Vec::new();
            for claim in &claims {
                match expected.iter_mut().find(|other| *claim == Claim { until_s: claim.until_s, ..**other }) {
                    Some(other) => other.until_s = other.until_s.max(claim.until_s),
                    None => expected.push(*claim),
                }
            }
            prop_assert_eq!(settled(Equals::All, &claims), expected);
        }
    }

    /// Seconds from the first to the last that there are.
    const TIMES: [u32; 10] = [0, 1, 2, 5, 9, 1 << 31, u32::MAX - 3, u32::MAX - 2, u32::MAX - 1, u32::MAX];

    fn any_claim(random: &mut SmallRng) -> Claim {
        let mut time_or = |usual| if random.random() { usual } else { *TIMES.choose(random).expect("times") };
        let (from_s, until_s) = (time_or(0), time_or(FOREVER_S));
        let value = [None, Some(ValueId(0)), Some(ValueId(1)), Some(ValueId::MAX)].choose(random).copied().flatten();
        let key = match random.random_range(0..6) {
            0 => KeyRule::Required,
            1 => KeyRule::SkipsDelay,
            _ => KeyRule::Anyone,
        };
        let hold_s = if random.random_ratio(1, 6) { u16::MAX } else { 0 };
        Claim { value, from_s, until_s, key, hold_s }
    }

    /// Values with their ends and for how long they are held; `None` of an exclusion.
    type Answer = Option<Vec<(ValueId, u32, u16)>>;

    fn every_context() -> impl Iterator<Item = Context> {
        let times = TIMES.into_iter().map(u64::from).chain([1 << 32, 1 << 40]);
        times.flat_map(|now_s| [false, true].map(|keyed| Context { now_s, keyed }))
    }

    fn is_listed(answer: &Answer) -> bool {
        answer.as_ref().is_some_and(|values| !values.is_empty())
    }

    /// That an outlook holds for what is answered at these times.
    fn check_outlook(outlook: Outlook, answers: &[(Context, bool)]) {
        for (context, is_listed) in answers {
            let expected = match outlook {
                Outlook::Never => Some(false),
                Outlook::Always => Some(true),
                Outlook::Until(until_s) => Some(context.now_s < until_s.into()),
                Outlook::Perhaps(until_s) => is_over(until_s, context.now_s).then_some(false),
            };
            assert!(expected.is_none_or(|expected| expected == *is_listed), "{outlook:?} {context:?}");
        }
    }

    fn check_claims(random: &mut SmallRng) -> (Outlook, Vec<(Context, bool)>) {
        let lines: Vec<Claim> = (0..random.random_range(0..6)).map(|_| any_claim(random)).collect();
        let mut kept: Vec<Claim> = Vec::new();
        for line in &lines {
            match kept.iter_mut().find(|other| endless(**other) == endless(*line)) {
                Some(other) => other.until_s = other.until_s.max(line.until_s),
                None => kept.push(*line),
            }
        }
        let mut builder = RulingsBuilder::default();
        let standings: Vec<Standing> = lines.iter().map(|line| Standing::of(*line, &mut builder)).collect();
        let standing = Equals::All.standing(standings, &mut builder).0;
        let rulings = builder.build();
        let expected = |context: &Context| -> Answer {
            let in_force = kept.iter().filter(|claim| claim.in_force(context));
            in_force.map(|claim| Some((claim.value?, claim.until_s, claim.holds_s(context)))).collect()
        };
        let answer = |context: &Context| -> Answer {
            let finding = standing.decide(&rulings, context);
            let mut values = Vec::new();
            finding.for_each_value(context, |value, until_s, hold_s| values.push((value, until_s, hold_s)));
            (!matches!(finding, Finding::Excluded)).then_some(values)
        };
        for context in every_context() {
            assert_eq!(answer(&context), expected(&context), "{kept:?} {context:?}");
            let (all, is_absent) = (Some(Vec::new()), standing.decide(&rulings, &context).is_absent());
            assert_eq!(is_absent, expected(&context) == all, "{kept:?} {context:?}");
            assert!(!(standing.always_decides(&rulings) && is_absent), "{kept:?}");
            let lifetimes = Lifetimes::of([standing].into_iter().filter(|_| !kept.is_empty()), &rulings, context.now_s);
            let claims = standing.claims(&rulings);
            let ends = || claims.iter().map(|claim| claim.until_s).filter(|until_s| *until_s != FOREVER_S);
            let next_s = ends().filter(|until_s| context.now_s < u64::from(*until_s)).min();
            let over = ends().filter(|until_s| context.now_s >= u64::from(*until_s)).count();
            assert_eq!(lifetimes, Lifetimes { all: claims.len(), ending: ends().count(), over, next_s });
        }
        let answers: Vec<(Context, Answer)> = every_context().map(|context| (context, answer(&context))).collect();
        assert!(!standing.never_changes(&rulings) || answers.iter().all(|(_, answer)| *answer == answers[0].1));
        let listed: Vec<_> = answers.into_iter().map(|(context, answer)| (context, is_listed(&answer))).collect();
        let outlook = standing.outlook(&rulings);
        check_outlook(outlook, &listed);
        (outlook, listed)
    }

    #[test]
    fn at_every_time_and_for_everyone() {
        let random = &mut SmallRng::seed_from_u64(1);
        for _ in 0..rounds(1_000) {
            let ((one, listed), (two, also)) = (check_claims(random), check_claims(random));
            let either = listed.iter().zip(&also).map(|(one, two)| (one.0, one.1 || two.1));
            check_outlook(one.or(two), &either.collect::<Vec<_>>());
        }
    }

    #[test]
    fn so_many_values_count_and_no_more() {
        let listed = |value| Claim { until_s: 5, ..Claim::listed(ValueId(value)) };
        let all: Vec<Claim> = (0..20_000).map(listed).collect();
        let first = &all[..VALUES_MAX];
        assert_eq!(settled(Equals::All, &all), first);
        assert_eq!(settled(Equals::All, first), first);
        // Renewed are those that count; an exclusion counts wherever it stands.
        let renewed = [&all[..], &[Claim { until_s: 9, ..all[7] }, Claim { until_s: 9, ..all[999] }]].concat();
        let kept = settled(Equals::All, &renewed);
        assert_eq!((kept.len(), kept[7].until_s), (VALUES_MAX, 9));
        let exclusions: Vec<Claim> = (1..1_000).map(|from_s| Claim { from_s, ..Claim::excluded() }).collect();
        let kept = settled(Equals::All, &[&all, &*exclusions, &[Claim::excluded()]].concat());
        assert_eq!(kept.len(), 2 * VALUES_MAX + 1);
        assert_eq!(kept.last(), Some(&Claim::excluded()));
        assert_eq!(settled(Equals::Last, &all), all[19_999..]);
        // Those that end last count, wherever they stand, and one for everybody does before those with a key.
        let ending = |at: u32| Claim { until_s: 1 + at * 7 % 1_000, ..listed(at) };
        let kept = settled(Equals::All, &(0..1_000).map(ending).collect::<Vec<_>>());
        assert!(kept.len() == VALUES_MAX && kept.iter().all(|claim| claim.until_s > 1_000 - VALUES_MAX as u32));
        let for_keys = (0..1_000).map(|value| Claim { key: KeyRule::Required, ..Claim::listed(ValueId(value)) });
        let plain = Claim::listed(ValueId(5_000));
        assert!(settled(Equals::All, &for_keys.chain([plain]).collect::<Vec<_>>()).contains(&plain));
        let short = (0..1_000).map(|from_s| Claim { from_s, until_s: 5, ..Claim::excluded() });
        let long = Claim { until_s: 9, ..Claim::excluded() };
        assert!(settled(Equals::All, &short.chain([long]).collect::<Vec<_>>()).iter().any(|claim| claim.until_s == 9));
    }

    #[test]
    fn a_lifetime_needs_no_link() {
        let mut rulings = RulingsBuilder::default();
        let standing = Standing::of(Claim { until_s: 50, ..Claim::listed(ValueId(3)) }, &mut rulings);
        let rulings = rulings.build();
        assert_eq!(rulings.memory_bytes(), 0);
        let at = |now_s| standing.decide(&rulings, &Context { now_s, keyed: false });
        assert!(matches!(at(49), Finding::One(ValueId(3), 50)));
        assert!(at(50).is_absent());
    }

    #[test]
    fn renewed_listings_end_with_the_last() {
        let (one, two) = (Claim::listed(ValueId(1)), Claim::listed(ValueId(2)));
        let until = |claim, until_s| Claim { until_s, ..claim };
        let lines = [until(one, 5), until(two, 4), until(one, 9), until(one, 7)];
        assert_eq!(settled(Equals::All, &lines), [until(one, 9), until(two, 4)]);
        assert_eq!(settled(Equals::First, &lines), [until(one, 9)]);
        assert_eq!(settled(Equals::First, &[two, one]), [two]);
        assert_eq!(settled(Equals::Last, &[two, one]), [one]);
        assert_eq!(settled(Equals::Last, &[two, until(one, 9)]), [two]);
    }

    #[test]
    fn outlooks() {
        let mut builder = RulingsBuilder::default();
        let (one, two) = (Claim::listed(ValueId(1)), Claim::listed(ValueId(2)));
        let mut outlook = |claims: Level| {
            let standing = Standing::of_level(&claims, &mut builder);
            standing.outlook(builder.so_far())
        };
        let short = Claim { until_s: 9, ..one };
        let gone = Claim { until_s: 5, ..Claim::excluded() };
        assert_eq!(outlook(vec![]), Outlook::Never);
        assert_eq!(outlook(vec![one, two]), Outlook::Always);
        assert_eq!(outlook(vec![short]), Outlook::Until(9));
        assert_eq!(outlook(vec![short, two]), Outlook::Always);
        assert_eq!(outlook(vec![short, gone]), Outlook::Perhaps(9));
        assert_eq!(outlook(vec![Claim { key: KeyRule::Required, ..short }]), Outlook::Perhaps(9));
        assert_eq!(Outlook::Until(3).or(Outlook::Perhaps(7)), Outlook::Perhaps(7));
    }
}
