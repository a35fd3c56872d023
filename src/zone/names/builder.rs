//! From lines in any order to the tree.
//!
//! Lines come [in order](super::gather), every name before those below it, and each becomes a node of the arena at once. Only
//! the newest name waits for the next one, which tells whether anything is below it: how far both begin alike is all that has
//! to be found out about two neighbours. Nodes with something below them are told what that lists when the last of it was
//! seen.

use std::{collections::HashMap, sync::Arc};

use super::{
    Names,
    arena::{APEX, Arena, EndForm, Node, OpenNode, PALETTE_MAX},
    gather::Gathered,
    label::Label,
    table::Table,
    tops::{TOPS_MAX, Tops},
};
use crate::{
    wire::name::LABELS_MAX,
    zone::{
        reversed::unreverse,
        ruling::{Claim, FOREVER_S, Ruling, RulingsBuilder},
        runs::common_len,
        standing::{Equals, Outlook, Standing},
        translation::Translation,
        values::ValueId,
    },
};

/// All claims of one name and one scope count, as in rbldnsd's dnset.
const EQUALS: Equals = Equals::All;

/// Which names an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Its name (`x`).
    Exact,
    /// All names below it (`*.x`).
    Below,
    /// Its name and all below it (`.x`).
    Both,
}

/// Builds [`Names`].
#[derive(Debug, Default)]
pub struct NamesBuilder {
    lines: Gathered,
    tally: Tally,
    rulings: RulingsBuilder,
}

impl NamesBuilder {
    /// The next line. `name` is relative to the apex, in wire format and lower case, the root's octet last.
    pub fn add(&mut self, name: &[u8], scope: Scope, claim: Claim) {
        let standing = Standing::of(claim, &mut self.rulings);
        self.tally.count(standing);
        self.lines.push(name, scope, standing);
    }

    /// Takes over lines that follow and were added elsewhere, given what each of the values there is here.
    pub fn absorb(&mut self, later: Self, values: Vec<ValueId>) {
        let translation = Translation::of(&later.rulings, values, &mut self.rulings).map(Arc::new);
        self.lines.absorb(later.lines, translation.as_ref());
        self.tally.absorb(later.tally, translation.as_deref());
    }

    /// Number of lines so far.
    pub fn entries(&self) -> usize {
        self.lines.count()
    }

    /// Freezes the set, and tells the names of which more was said than [can count](crate::zone::standing::VALUES_MAX), in wire
    /// format.
    ///
    /// # Panics
    /// Beyond 4 GiB of names.
    pub fn build(self, mut tell: impl FnMut(&[u8])) -> Names {
        let entries = self.entries();
        let Self { lines, tally, mut rulings } = self;
        let ends = tally.ends(entries);
        let mut planter = Planter::new(Arena::new(tally.palette(), ends));
        let mut said = Said::default();
        let mut lines = lines.into_lines();
        while let Some(line) = lines.peek() {
            let name = line.name();
            let common = common_len(&planter.name, name);
            let is_same = common == name.len() && common == planter.name.len();
            if !is_same || said.is_empty() {
                let is_begun = common == planter.name.len();
                planter.plant(said.take(&mut rulings), is_begun, &rulings);
                said.tell_crowded(&planter.name, &mut tell);
                planter.begin(name, common);
            }
            said.push(line.scope, line.standing);
            lines.advance();
        }
        drop(lines);
        planter.plant(said.take(&mut rulings), false, &rulings);
        said.tell_crowded(&planter.name, &mut tell);
        let (arena, nodes, tops) = planter.finish();
        let (table, tops) = (fill(&arena, nodes), Tops::new(&arena, tops));
        Names { arena, table, tops, rulings: rulings.build(), entries }
    }
}

/// What the lines about one name say.
#[derive(Debug, Default)]
struct Said {
    exact: Vec<Standing>,
    wildcard: Vec<Standing>,
    /// There was more than can count.
    is_crowded: bool,
}

impl Said {
    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty()
    }

    #[inline]
    fn push(&mut self, scope: Scope, standing: Standing) {
        if scope != Scope::Below {
            self.exact.push(standing);
        }
        if scope != Scope::Exact {
            self.wildcard.push(standing);
        }
    }

    /// What counts of it for the name and for all below it, if anything was said.
    fn take(&mut self, rulings: &mut RulingsBuilder) -> Option<(Standing, Standing)> {
        let is_empty = self.is_empty();
        let Self { exact, wildcard, is_crowded } = self;
        let mut take = |standings: &mut Vec<Standing>| {
            let said = match standings.as_slice() {
                [] => Standing::ABSENT,
                [only] => *only,
                _ => {
                    let (said, more) = EQUALS.standing(standings.iter().copied(), rulings);
                    *is_crowded |= more;
                    said
                }
            };
            standings.clear();
            said
        };
        let both = (take(exact), take(wildcard));
        (!is_empty).then_some(both)
    }

    /// Tells the name, given as its labels from right to left, if more was taken of it than can count.
    #[inline]
    fn tell_crowded(&mut self, labels: &[u8], tell: &mut impl FnMut(&[u8])) {
        if std::mem::take(&mut self.is_crowded) {
            tell(unreverse(labels).as_wire());
        }
    }
}

/// How often each ruling was said, and when it ends.
#[derive(Debug, Default)]
struct Tally {
    counts: HashMap<Ruling, u32, foldhash::fast::RandomState>,
    /// The newest one, and how often it was said in a row.
    newest: Option<Ruling>,
    newest_count: u32,
    /// Lines with an end, and the first and the last of their ends.
    ending: usize,
    ends_s: Option<(u32, u32)>,
}

impl Tally {
    #[inline]
    fn count(&mut self, standing: Standing) {
        if standing.until_s != FOREVER_S {
            self.ending += 1;
            self.reach(standing.until_s, standing.until_s);
        }
        if self.newest != Some(standing.ruling) {
            self.count_newest();
            self.newest = Some(standing.ruling);
        }
        self.newest_count += 1;
    }

    /// Takes over what was counted elsewhere.
    fn absorb(&mut self, mut later: Self, translation: Option<&Translation>) {
        later.count_newest();
        for (ruling, count) in later.counts {
            let ruling = translation.map_or(ruling, |translation| translation.ruling(ruling));
            *self.counts.entry(ruling).or_default() += count;
        }
        self.ending += later.ending;
        later.ends_s.into_iter().for_each(|(first_s, last_s)| self.reach(first_s, last_s));
    }

    fn reach(&mut self, first_s: u32, last_s: u32) {
        let (known_first_s, known_last_s) = self.ends_s.unwrap_or((first_s, last_s));
        self.ends_s = Some((first_s.min(known_first_s), last_s.max(known_last_s)));
    }

    /// How the ends of so many lines are said.
    fn ends(&self, entries: usize) -> EndForm {
        let (first_s, last_s) = self.ends_s.unwrap_or_default();
        EndForm::between(first_s, last_s, self.ending > entries / 2)
    }

    fn count_newest(&mut self) {
        if let Some(ruling) = self.newest.take() {
            *self.counts.entry(ruling).or_default() += std::mem::take(&mut self.newest_count);
        }
    }

    /// The most frequent ones, the most frequent first.
    fn palette(mut self) -> Vec<Ruling> {
        self.count_newest();
        let mut palette: Vec<(Ruling, u32)> = self.counts.into_iter().collect();
        palette.sort_unstable_by_key(|&(ruling, count)| (std::cmp::Reverse(count), ruling));
        palette.truncate(PALETTE_MAX);
        palette.into_iter().map(|(ruling, _)| ruling).collect()
    }
}

/// A node on the way to the newest one.
struct Step {
    /// How many octets of the name it has.
    end: usize,
    place: OpenNode,
    /// So many nodes there were with it.
    nodes: usize,
    /// Whether it lists itself, and whether anything below does.
    own: Outlook,
    below: Outlook,
}

/// Grows the tree.
struct Planter {
    arena: Arena,
    nodes: usize,
    /// From the apex down to what may still get something below it.
    way: Vec<Step>,
    /// Nodes just below the apex that have others below them.
    tops: Vec<u32>,
    /// The newest name, which waits for the next one.
    name: Vec<u8>,
    /// How many octets it has in common with the name before it.
    common: usize,
}

impl Planter {
    fn new(arena: Arena) -> Self {
        Self { arena, nodes: 0, way: Vec::new(), tops: Vec::new(), name: Vec::new(), common: 0 }
    }

    /// The next name, of which so many octets are those of the one before.
    fn begin(&mut self, name: &[u8], common: usize) {
        self.name.truncate(common);
        self.name.extend_from_slice(&name[common..]);
        self.common = common;
    }

    /// Appends the name that waits, of which this is said, now that it is known whether the next one is below it.
    fn plant(&mut self, said: Option<(Standing, Standing)>, is_begun: bool, rulings: &RulingsBuilder) {
        let Some((exact, wildcard)) = said else { return };
        let name = std::mem::take(&mut self.name);
        let outlook = exact.outlook(rulings.so_far()).or(wildcard.outlook(rulings.so_far()));
        if name.is_empty() {
            self.push(0, &[], exact, wildcard, outlook);
        }
        self.plant_apex();
        self.go_up(self.common);
        let mut end = self.way.last().map_or(0, |step| step.end);
        while end < name.len() {
            let label = &name[end + 1..=end + usize::from(name[end])];
            end += 1 + label.len();
            if end < name.len() {
                self.push(end, label, Standing::ABSENT, Standing::ABSENT, Outlook::Never);
            } else if is_begun {
                self.push(end, label, exact, wildcard, outlook);
            } else {
                let depth = self.way.len();
                self.arena.push(Node { depth, label, exact, wildcard, below: Outlook::Never });
                self.nodes += 1;
                self.tell_parent(outlook);
            }
        }
        self.name = name;
    }

    /// Begins with the apex, if nothing is said of it.
    fn plant_apex(&mut self) {
        if self.way.is_empty() {
            self.push(0, &[], Standing::ABSENT, Standing::ABSENT, Outlook::Never);
        }
    }

    fn tell_parent(&mut self, outlook: Outlook) {
        if let Some(step) = self.way.last_mut() {
            step.below = step.below.or(outlook);
        }
    }

    /// Appends a node with something below it.
    fn push(&mut self, end: usize, label: &[u8], exact: Standing, wildcard: Standing, own: Outlook) {
        let node = Node { depth: self.way.len(), label, exact, wildcard, below: Outlook::Never };
        let place = self.arena.push_inner(node);
        self.nodes += 1;
        self.way.push(Step { end, place, nodes: self.nodes, own, below: Outlook::Never });
    }

    /// Leaves all nodes on the way that have more than `common` octets.
    fn go_up(&mut self, common: usize) {
        while let Some(step) = self.way.pop_if(|step| step.end > common) {
            self.close(&step);
            let Step { place, own, below, .. } = step;
            self.tell_parent(own.or(below));
            if self.way.len() == 1 && self.tops.len() < TOPS_MAX {
                self.tops.push(place.at);
            }
        }
    }

    fn close(&mut self, step: &Step) {
        self.arena.close(step.place, step.below, self.nodes - step.nodes);
    }

    /// The arena, the number of its nodes, and those at the top.
    fn finish(mut self) -> (Arena, usize, Vec<u32>) {
        self.plant_apex();
        self.go_up(0);
        if let Some(apex) = self.way.pop() {
            self.close(&apex);
        }
        self.arena.shrink_to_fit();
        (self.arena, self.nodes, self.tops)
    }
}

/// So many nodes are hashed before they are put into their places. Those are all over memory, and the processor waits for several of
/// them at a time if nothing else stands between.
const HASHED: usize = 32;

/// Hashes all nodes of an arena but the apex.
fn fill(arena: &Arena, nodes: usize) -> Table {
    let mut table = Table::new(nodes - 1);
    let mut nodes = arena.nodes().skip(1).peekable();
    let mut hashed = [(0, 0); HASHED];
    // The newest node of each depth.
    let mut way = [APEX; LABELS_MAX + 1];
    while nodes.peek().is_some() {
        let mut count = 0;
        for (slot, (at, node)) in hashed.iter_mut().zip(nodes.by_ref()) {
            *slot = (table.hash(way[node.depth - 1], Label::new(node.label)), at);
            way[node.depth] = at;
            count += 1;
        }
        for &(hash, at) in &hashed[..count] {
            table.insert(hash, at);
        }
    }
    table
}
