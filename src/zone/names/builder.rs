//! From lines in any order to the tree.
//!
//! Lines come [in order](super::gather), every name before those below it, and each becomes a node of the arena at once. Only
//! the newest name waits for the next one, which tells whether anything is below it; and nodes with something below them
//! are told what that lists when the last of it was seen.

use std::collections::HashMap;

use super::{
    Names, Table,
    arena::{self, Arena, NO_PARENT, Node, PALETTE_MAX},
    gather::{Gathered, Reading},
};
use crate::zone::{
    ruling::{Claim, FOREVER_S, Ruling, RulingsBuilder},
    runs::common_len,
    standing::{Equals, Outlook, Standing},
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
    /// Whether what a line says depends on the time or on who asks.
    has_conditions: bool,
    rulings: RulingsBuilder,
}

impl NamesBuilder {
    /// The next line. `name` is relative to the apex, in wire format and lower case, the root's octet last.
    pub fn add(&mut self, name: &[u8], scope: Scope, claim: Claim) {
        let standing = Standing::of(claim, &mut self.rulings);
        self.tally.count(standing);
        self.has_conditions |= standing.until_s != FOREVER_S || !standing.ruling.is_simple();
        self.lines.push(name, scope, standing);
    }

    /// Number of lines so far.
    pub fn entries(&self) -> usize {
        self.lines.count()
    }

    /// Freezes the set.
    ///
    /// # Panics
    /// Beyond 4 GiB of names.
    pub fn build(self) -> Names {
        let entries = self.entries();
        let Self { lines, tally, has_conditions, mut rulings } = self;
        let short_ends = tally.ending > entries / 2;
        let mut planter = Planter::new(Arena::new(tally.palette(), short_ends), has_conditions);
        let mut lines = lines.into_lines();
        let mut name = Vec::new();
        let (mut exact, mut wildcard) = (Vec::new(), Vec::new());
        while let Some(first) = lines.peek() {
            name.clear();
            name.extend_from_slice(first.name());
            exact.clear();
            wildcard.clear();
            while let Some(Reading { scope, standing, .. }) = lines.peek().filter(|line| line.name() == name) {
                if *scope != Scope::Below {
                    exact.push(*standing);
                }
                if *scope != Scope::Exact {
                    wildcard.push(*standing);
                }
                lines.advance();
            }
            let mut said = |standings: &[Standing]| match standings {
                [] => Standing::ABSENT,
                [only] => *only,
                _ => EQUALS.standing(standings.iter().copied(), &mut rulings),
            };
            let said = (said(&exact), said(&wildcard));
            planter.plant(&name, said, &rulings);
        }
        let (arena, nodes) = planter.finish(&rulings);
        let table = fill(&arena, nodes);
        Names { arena, table, rulings: rulings.build(), entries }
    }
}

/// How often each ruling was said.
#[derive(Debug, Default)]
struct Tally {
    counts: HashMap<Ruling, u32, foldhash::fast::RandomState>,
    /// The newest one, and how often it was said in a row.
    newest: Option<Ruling>,
    newest_count: u32,
    /// Lines with an end.
    ending: usize,
}

impl Tally {
    #[inline]
    fn count(&mut self, standing: Standing) {
        self.ending += usize::from(standing.until_s != FOREVER_S);
        if self.newest != Some(standing.ruling) {
            self.count_newest();
            self.newest = Some(standing.ruling);
        }
        self.newest_count += 1;
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
    place: arena::Place,
    /// Whether it lists itself, and whether anything below does.
    own: Outlook,
    below: Outlook,
}

/// A name that waits for the next one.
#[derive(Default)]
struct Waiting {
    name: Vec<u8>,
    said: Option<(Standing, Standing)>,
}

/// Grows the tree.
struct Planter {
    arena: Arena,
    nodes: usize,
    has_conditions: bool,
    /// From the apex down to what may still get something below it.
    way: Vec<Step>,
    newest: Waiting,
    /// The name of the newest node.
    planted: Vec<u8>,
}

impl Planter {
    fn new(arena: Arena, has_conditions: bool) -> Self {
        Self { arena, nodes: 0, has_conditions, way: Vec::new(), newest: Waiting::default(), planted: Vec::new() }
    }

    /// The next name, and what is said of it and of all below it.
    fn plant(&mut self, name: &[u8], said: (Standing, Standing), rulings: &RulingsBuilder) {
        self.settle(Some(name), rulings);
        self.newest.name.clear();
        self.newest.name.extend_from_slice(name);
        self.newest.said = Some(said);
    }

    /// Appends the name that waits, now that the next one is known.
    fn settle(&mut self, next: Option<&[u8]>, rulings: &RulingsBuilder) {
        let Some((exact, wildcard)) = self.newest.said.take() else { return };
        let name = std::mem::take(&mut self.newest.name);
        let outlook = exact.outlook(rulings.so_far()).or(wildcard.outlook(rulings.so_far()));
        if name.is_empty() {
            self.push(0, &[], exact, wildcard, outlook);
        }
        self.plant_apex();
        self.go_up(common_len(&name, &self.planted));
        let mut end = self.way.last().map_or(0, |step| step.end);
        while end < name.len() {
            let label = &name[end + 1..=end + usize::from(name[end])];
            end += 1 + label.len();
            if end < name.len() {
                self.push(end, label, Standing::ABSENT, Standing::ABSENT, Outlook::Never);
            } else if next.is_some_and(|next| next.starts_with(&name)) {
                self.push(end, label, exact, wildcard, outlook);
            } else {
                let parent = self.parent();
                self.arena.push(Node { parent, label, exact, wildcard, below: Outlook::Never });
                self.nodes += 1;
                self.tell_parent(outlook);
            }
        }
        self.planted.clear();
        self.planted.extend_from_slice(&name);
        self.newest.name = name;
    }

    /// Begins with the apex, if nothing is said of it.
    fn plant_apex(&mut self) {
        if self.way.is_empty() {
            self.push(0, &[], Standing::ABSENT, Standing::ABSENT, Outlook::Never);
        }
    }

    fn parent(&self) -> u32 {
        self.way.last().map_or(NO_PARENT, |step| step.place.at)
    }

    fn tell_parent(&mut self, outlook: Outlook) {
        if let Some(step) = self.way.last_mut() {
            step.below = step.below.or(outlook);
        }
    }

    /// Appends a node with something below it.
    fn push(&mut self, end: usize, label: &[u8], exact: Standing, wildcard: Standing, own: Outlook) {
        let node = Node { parent: self.parent(), label, exact, wildcard, below: Outlook::Never };
        let place = self.arena.push_inner(node, self.has_conditions);
        self.nodes += 1;
        self.way.push(Step { end, place, own, below: Outlook::Never });
    }

    /// Leaves all nodes on the way that have more than `common` octets.
    fn go_up(&mut self, common: usize) {
        while let Some(Step { place, own, below, .. }) = self.way.pop_if(|step| step.end > common) {
            self.arena.set_below(place, below);
            self.tell_parent(own.or(below));
        }
    }

    /// The arena and the number of its nodes.
    fn finish(mut self, rulings: &RulingsBuilder) -> (Arena, usize) {
        self.settle(None, rulings);
        self.plant_apex();
        self.go_up(0);
        if let Some(apex) = self.way.pop() {
            self.arena.set_below(apex.place, apex.below);
        }
        self.arena.shrink_to_fit();
        (self.arena, self.nodes)
    }
}

/// Hashes all nodes of an arena but the apex.
fn fill(arena: &Arena, nodes: usize) -> Table {
    let mut table = Table::new(nodes - 1, arena.len());
    let (_, mut at) = arena.read(arena::APEX);
    while (at as usize) < arena.len() {
        let (node, next) = arena.read(at);
        let hash = table.hash(node.parent, node.label);
        table.insert(hash, at);
        at = next;
    }
    table
}
