//! Nested prefixes to hosts and flat pieces.
//!
//! Entries come [in order](super::gather), wider prefixes before the narrower ones that they begin with, and are swept once with
//! a stack of those that are open: where one opens or closes, a piece begins, and what it says follows from the stack. A piece
//! states what its innermost prefix says and leaves the others to [what is behind it](super::nesting). Of prefixes that begin at
//! one address all that may be asked have pieces there, all but the last without length, unless the one around the last goes on
//! right after it: then it is stated there, where it would be anyway. What ends by itself is
//! [joined](super::super::nested) to wider prefixes that count together with it. Hosts are rows of their own.

use super::{
    builder::Specificity,
    gather::{Gathered, HostsInOrder},
    key::Key,
    layers::{Hosts, HostsBuilder, Said, Segments, SegmentsBuilder},
    packing::Entry,
};
use crate::zone::{
    nested::TOGETHER_MAX,
    ruling::{Claim, FOREVER_S, Rulings, RulingsBuilder},
    standing::{Standing, VALUES_MAX},
};

/// Prefixes that count together with those around them may bring so many claims for each line: where each prefix has as many lines
/// as those around it, or more, that is enough. One with hundreds of lines around hundreds with one each would bring hundreds
/// for each of these, and a file of a megabyte become a hundred. What is kept already brings nothing.
///
/// Beyond that, a prefix counts without the values around it. What excludes those around excludes it still: always if
/// unconditionally, for that takes nothing; and if at times or for some, where there is room for that much.
const TOGETHER_A_LINE: usize = TOGETHER_MAX;

/// And so many for all lines together, since what is small may be dear.
const TOGETHER_FREE: usize = VALUES_MAX * VALUES_MAX;

/// Why not all that is said of a prefix counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowding {
    /// More is said of it, and of those around it that count together with it, than [can count](VALUES_MAX).
    Values,
    /// It says too much to be kept once more for each prefix within it or around it: some of those within count without what is
    /// said around them.
    Prefixes,
}

/// A prefix that is open while the sweep passes.
struct Open<K> {
    last: K,
    length: u8,
    level: u8,
    own: Standing,
    /// Which one it is.
    serial: u32,
    was_stated: bool,
    /// What it says together with all around it that count together with it, once that was asked.
    together: Option<Standing>,
    /// Whether it was told of it, or of one around it, that it is crowded.
    is_told: bool,
}

impl<K> Open<K> {
    /// Whether it may be asked where that one inside is found.
    fn is_needed_behind(&self, inner: &Self, rulings: &Rulings) -> bool {
        !inner.own.always_decides(rulings) || inner.level == self.level && !self.own.always_decides(rulings)
    }
}

/// What was said at one depth and is still in force: what will be found behind the pieces to come.
#[derive(Clone, Copy)]
struct Stated {
    /// The innermost open prefix of which it tells: its place in the stack, and which one it is.
    at: usize,
    serial: u32,
    standing: Standing,
    /// When it and all behind it list nothing any more.
    end_s: u32,
    /// It and all behind it, as a number.
    statement: u32,
}

/// The statement that was made last.
struct LastStatement {
    standing: Standing,
    /// The number of it and all behind it, and that of what is behind it.
    statement: u32,
    behind: u32,
}

/// The number of a statement that is yet to come.
const NEXT_STATEMENT: u32 = u32::MAX;

/// Flattens prefixes, and keeps hosts apart.
pub(super) struct Sweep<'r, K> {
    specificity: Specificity,
    /// Whether what any prefix says depends on the time or on who asks; if not, nothing is ever behind anything.
    has_conditions: bool,
    rulings: &'r mut RulingsBuilder,
    /// From the widest to the narrowest.
    open: Vec<Open<K>>,
    /// So many prefixes were opened.
    serial: u32,
    /// By depth.
    stated: Vec<Stated>,
    last_statement: LastStatement,
    /// What the piece before says; 0 is nothing.
    statement: u32,
    /// Where the next piece begins, if there turns out to be one.
    start: Option<K>,
    hosts: HostsBuilder<K>,
    segments: SegmentsBuilder<K>,
    /// So many claims may still be kept of prefixes that count together with those around them.
    together_left: usize,
    crowded: Vec<(K, u8, Crowding)>,
}

/// What prefixes come to.
pub(super) struct Swept<K> {
    pub(super) hosts: Hosts<K>,
    pub(super) segments: Segments<K>,
    /// Prefixes of which not all that was said counts, or not everywhere.
    pub(super) crowded: Vec<(K, u8, Crowding)>,
}

impl<'r, K: Key> Sweep<'r, K> {
    pub(super) fn new(specificity: Specificity, has_conditions: bool, rulings: &'r mut RulingsBuilder) -> Self {
        Self {
            specificity,
            has_conditions,
            rulings,
            open: Vec::new(),
            serial: 0,
            stated: Vec::new(),
            last_statement: LastStatement { standing: Standing::ABSENT, statement: 0, behind: 0 },
            statement: 0,
            start: None,
            hosts: HostsBuilder::new(),
            segments: SegmentsBuilder::new(),
            together_left: TOGETHER_FREE,
            crowded: Vec::new(),
        }
    }

    pub(super) fn run(mut self, mut gathered: Gathered<K>) -> Swept<K> {
        if let Some(HostsInOrder { keys, standing, .. }) = gathered.take_ordered() {
            let hosts = Hosts::alike(keys, standing, self.rulings.so_far());
            return Swept { hosts, segments: self.segments.build(), crowded: self.crowded };
        }
        let mut stretches = gathered.into_entries();
        while let Some(entries) = stretches.take() {
            for equal in entries.chunk_by(|one, two| one.key() == two.key()) {
                self.together_left += TOGETHER_A_LINE * equal.len();
                let (own, is_told) = if let [only] = equal { (only.standing, false) } else { self.settle(equal) };
                self.entry(Entry { standing: own, ..equal[0] }, is_told);
            }
        }
        drop(stretches);
        self.close(None);
        self.piece(None);
        Swept { hosts: self.hosts.build(), segments: self.segments.build(), crowded: self.crowded }
    }

    /// What lines about one prefix come to, and whether it was told that they are too many.
    #[inline(never)]
    fn settle(&mut self, equal: &[Entry<K>]) -> (Standing, bool) {
        let standings = equal.iter().map(|entry| entry.standing);
        let (own, is_crowded) = self.specificity.equals().standing(standings, self.rulings);
        self.crowded.extend(is_crowded.then_some((equal[0].start, equal[0].length as u8, Crowding::Values)));
        (own, is_crowded)
    }

    #[inline]
    fn entry(&mut self, entry: Entry<K>, is_told: bool) {
        let (start, length, own) = (entry.start, entry.length as u8, entry.standing);
        self.close(Some(start));
        let level = self.specificity.level(length);
        // A host counts together with the other prefixes of its level: where there are any, it is a segment.
        let is_host = K::HOST_LENGTH == Some(length) && self.open.last().is_none_or(|open| open.level != level);
        if is_host {
            self.hosts.push(start, own, self.rulings.so_far());
            return;
        }
        self.cut(start, Some(start));
        self.serial += 1;
        let last = start.prefix(length).1;
        self.open.push(Open {
            last,
            length,
            level,
            own,
            serial: self.serial,
            was_stated: false,
            together: None,
            is_told,
        });
    }

    /// Closes the innermost prefixes that are over before the next entry, or all if there is none.
    #[inline]
    fn close(&mut self, next: Option<K>) {
        let is_over = |last: &K| next.is_none_or(|next| *last < next);
        while let Some(last) = self.open.last().map(|open| open.last).filter(is_over) {
            match last.next() {
                Some(after) => self.cut(after, next),
                None => self.piece(next),
            }
            self.open.pop();
        }
    }

    /// What is open changes at `start`; the next entry begins there or behind it.
    #[inline]
    fn cut(&mut self, start: K, next: Option<K>) {
        if self.start != Some(start) {
            self.piece(next);
            self.start = Some(start);
        }
    }

    /// Makes the piece that is to begin, if it says something else than the one before it.
    fn piece(&mut self, next: Option<K>) {
        let Some(start) = self.start.take() else { return };
        let innermost = self.open.len().checked_sub(1);
        if self.has_conditions {
            return self.nested_piece(start, innermost, next);
        }
        let standing = innermost.map_or(Standing::ABSENT, |innermost| self.standing_inside(innermost));
        if standing != self.last_statement.standing {
            self.last_statement.standing = standing;
            self.segments.push(start, Said::alone(standing), self.rulings.so_far());
        }
    }

    /// The same where what a prefix says may be over, or not for everyone, and others are behind it.
    #[inline(never)]
    fn nested_piece(&mut self, start: K, innermost: Option<usize>, next: Option<K>) {
        let Self { open, stated, .. } = self;
        let is_open = |stated: &Stated| open.get(stated.at).is_some_and(|open| open.serial == stated.serial);
        while stated.pop_if(|stated| !is_open(stated)).is_some() {}
        let Some(innermost) = innermost else { return self.push(start, Said::NOTHING, 0) };
        if let Some(stated) = self.stated.last().filter(|stated| stated.at == innermost) {
            let (said, statement) = self.go_on(*stated);
            return self.push(start, said, statement);
        }
        // What began here too, or was hidden so far, is stated in pieces without length.
        let first = self.first_to_state(innermost);
        let put_off = (first..innermost).rev().take_while(|at| self.is_stated_next(*at, next)).count();
        for at in (first..innermost - put_off).chain([innermost]) {
            let (said, statement) = self.state(at, at == innermost && put_off > 0);
            self.push(start, said, statement);
        }
    }

    /// Whether the open prefix at `at` goes on right after the one within it, which is over before the next entry and ends, so
    /// that it can be told of it that what is behind it comes next.
    fn is_stated_next(&self, at: usize, next: Option<K>) -> bool {
        let (wider, narrow) = (&self.open[at], &self.open[at + 1]);
        let goes_on = |after: K| after <= wider.last && next.is_none_or(|next| after < next);
        narrow.last.next().is_some_and(goes_on) && narrow.level != wider.level && narrow.own.until_s != FOREVER_S
    }

    fn push(&mut self, start: K, said: Said, statement: u32) {
        if statement != self.statement {
            self.statement = statement;
            self.segments.push(start, said, self.rulings.so_far());
        }
    }

    /// The widest prefix of those that are not stated and may be asked, one behind the other, where the innermost is found.
    fn first_to_state(&self, innermost: usize) -> usize {
        let stated = self.stated.last().map_or(0, |stated| stated.at + 1);
        let rulings = self.rulings.so_far();
        let is_asked = |at: &usize| self.open[at - 1].is_needed_behind(&self.open[*at], rulings);
        let hidden = (stated + 1..=innermost).rev().take_while(is_asked).count();
        innermost - hidden
    }

    /// A piece of which the same is said as before the last one that was within it.
    fn go_on(&self, stated: Stated) -> (Said, u32) {
        let Stated { standing, end_s, statement, .. } = stated;
        let depth = self.stated.len();
        // What never ends is said again, for that is quickly found and takes little.
        let is_again = standing.is_endless();
        let (standing, behind) = if is_again { (standing, depth - 1) } else { (Standing::ABSENT, depth) };
        (Said { standing, behind, is_before_behind: false, behind_end_s: end_s, is_again }, statement)
    }

    /// A piece that says what the open prefix at `at` does, where nothing before it that is still in force did; and what is behind
    /// it may come next.
    fn state(&mut self, at: usize, is_before_behind: bool) -> (Said, u32) {
        let standing = self.standing_inside(at);
        let is_base = |standing: Standing| standing.never_changes(self.rulings.so_far());
        if is_base(standing) && self.stated.iter().all(|stated| is_base(stated.standing)) {
            // Nothing needs what is behind, and it can be stated again, for nothing of it ends: what does would count again.
            self.stated.clear();
        }
        let (behind_end_s, behind_statement) = match self.stated.last() {
            _ if is_before_behind => (self.end_s(at), NEXT_STATEMENT),
            Some(behind) => (behind.end_s, behind.statement),
            None => (0, 0),
        };
        let last_statement = &self.last_statement;
        let is_newest = last_statement.statement == self.statement
            && last_statement.standing == standing
            && last_statement.behind == behind_statement;
        let statement = last_statement.statement + u32::from(!is_newest);
        let end_s = standing.outlook(self.rulings.so_far()).end_s().max(behind_end_s);
        self.last_statement = LastStatement { standing, statement, behind: behind_statement };
        let is_again = std::mem::replace(&mut self.open[at].was_stated, true);
        let said = Said { standing, behind: self.stated.len(), is_before_behind, behind_end_s, is_again };
        self.stated.push(Stated { at, serial: self.open[at].serial, standing, end_s, statement });
        (said, statement)
    }

    /// The second from which the open prefix at `at` and all around it list nothing.
    fn end_s(&self, at: usize) -> u32 {
        let rulings = self.rulings.so_far();
        self.open[..=at].iter().map(|open| open.own.outlook(rulings).end_s()).max().unwrap_or(0)
    }

    /// What the open prefix at `at` says, where no other within it does. All that may be asked where it says nothing is stated.
    #[inline]
    fn standing_inside(&mut self, at: usize) -> Standing {
        let Open { level, own, .. } = self.open[at];
        if at == 0 || self.open[at - 1].level != level {
            return own;
        }
        self.standing_of_level(at)
    }

    /// The same where those around it count together with it.
    #[inline(never)]
    fn standing_of_level(&mut self, at: usize) -> Standing {
        let Open { own, .. } = self.open[at];
        if self.can_join(at) {
            return Standing { ruling: own.ruling.joined(), ..own };
        }
        self.level_inside(at)
    }

    /// Whether that prefix can have only its own said, and what counts together with it is found behind. That spares what ends by
    /// itself a [link](crate::zone::ruling::Rulings) of its own; what never ends can share one.
    fn can_join(&self, at: usize) -> bool {
        let Open { level, own, .. } = self.open[at];
        let around = self.stated.iter().rev().take_while(|stated| self.open[stated.at].level == level);
        let mut standings = around.map(|stated| stated.standing).chain([own]);
        self.stated.last().is_some_and(|stated| stated.at + 1 == at)
            && standings.clone().all(|standing| standing.ruling.is_simple())
            && !standings.all(Standing::is_endless)
    }

    /// The same together with all prefixes around it that count together with it, unless these say [too much](TOGETHER_A_LINE).
    /// What it is inside of may say hundreds of things, and is not put together again for each piece.
    #[inline(never)]
    fn level_inside(&mut self, at: usize) -> Standing {
        let Open { last, length, level, together, .. } = self.open[at];
        if let Some(together) = together {
            return together;
        }
        let around = self.open[..at].iter().rev().take_while(|open| open.level == level);
        let known = around.clone().position(|open| open.together.is_some());
        let wider = at - known.map_or(around.count(), |known| known + 1);
        let all = &self.open[wider..=at];
        let standings = all.iter().map(|open| open.together.unwrap_or(open.own));
        let settled = self.specificity.equals().settle(standings, self.rulings.so_far());
        // Of all that is within a prefix of which that was told, it is not told again.
        let was_told = all.iter().any(|open| open.is_told);
        let together = if let Some(together) = self.keep(&settled.claims) {
            let is_news = settled.is_crowded && !was_told;
            self.crowded.extend(is_news.then_some((last.prefix(length).0, length, Crowding::Values)));
            self.open[at].is_told = was_told || settled.is_crowded;
            together
        } else {
            self.tell_largest(at);
            self.open[at].is_told = true;
            self.set_apart(at, settled.claims)
        };
        self.open[at].together = Some(together);
        together
    }

    /// What claims come to that count together, if there is room for them or none is needed.
    fn keep(&mut self, claims: &[Claim]) -> Option<Standing> {
        if claims.len() > self.together_left && !Standing::is_kept(claims, self.rulings) {
            return None;
        }
        let before = self.rulings.so_far().claim_count();
        let together = Standing::of_level(claims, self.rulings);
        self.together_left -= self.rulings.so_far().claim_count() - before;
        Some(together)
    }

    /// What the open prefix at `at` says where there is no room for `all` that count together: that and what excludes, or if
    /// even that is too much, that.
    #[cold]
    fn set_apart(&mut self, at: usize, mut all: Vec<Claim>) -> Standing {
        let own = self.open[at].own;
        all.retain(|claim| claim.value.is_none());
        all.extend(own.claims(self.rulings.so_far()).into_iter().filter(|claim| claim.value.is_some()));
        self.keep(&all).unwrap_or(own)
    }

    /// Tells, once, which of the prefixes that count together with the open one at `at` says most.
    #[cold]
    fn tell_largest(&mut self, at: usize) {
        let (level, rulings) = (self.open[at].level, self.rulings.so_far());
        let together = self.open[..=at].iter_mut().rev().take_while(|open| open.level == level);
        let Some(largest) = together.max_by_key(|open| open.own.claim_count(rulings)) else { return };
        if !std::mem::replace(&mut largest.is_told, true) {
            self.crowded.push((largest.last.prefix(largest.length).0, largest.length, Crowding::Prefixes));
        }
    }
}
