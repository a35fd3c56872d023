//! Sets of domain names, with wildcards.
//!
//! Most questions are about names that are not listed, `www.example.com` where neither `com` nor `example.com` is said
//! anything of. Whoever asks minimised (RFC 9156) asks for `com` first, and must not be told that nothing is below it. So the
//! set is a tree of labels, in which every name on the way to a listed one has a node, and a lookup walks down from the apex:
//! the top-level nodes are found by a short cut and always in the cache, and an unlisted name costs one miss, at the label
//! that is not there.
//!
//! A node has hundreds of thousands of children or none. One hash table for the whole tree, by parent and label, serves both:
//! places of four octets and tags of one, a seventh of them free, with the nodes themselves one after another in an arena. The
//! tags stand apart, so that what is not there is hardly ever looked up anywhere else. Labels and places in the tree are
//! compared, so nothing is listed by accident; the hash is seeded, so that no list can be written to make it slow. A name of
//! fourteen octets costs eighteen, a value of its own two more, its lifetime two to four; and no more is needed while a set is
//! built from its lines.
//!
//! | file | |
//! |---|---|
//! | `tops.rs`, `table.rs` | the way down: from a name to a node at the top, from a node and a label to the next one |
//! | `label.rs` | a label as it is hashed and compared |
//! | `arena.rs` with `arena/growing.rs` | the nodes, as they are read and as they are written |
//! | `gather.rs`, `builder.rs` | lines in any order become such a set: packed, sorted and merged; planted |

mod arena;
mod builder;
mod gather;
mod label;
mod table;
#[cfg(test)]
mod tests;
mod tops;

pub use self::builder::{NamesBuilder, Scope};
use self::{
    arena::{APEX, Arena, Leaf, Node, Parent},
    table::Table,
    tops::Tops,
};
use super::{
    lifetimes::Lifetimes,
    reversed::Reversed,
    ruling::{ASKED_MAX, Claim, Context, Finding, Level, Rulings, is_over},
    standing::{Outlook, Standing},
    values::ValueId,
};
use crate::wire::name::{NAME_MAX, Name, QueryName, RelativeName};

/// So many nodes are looked at, where delays, keys or exclusions with a lifetime leave open whether any name below is listed:
/// as many as of [all entries](ASKED_MAX).
const SCAN_MAX: usize = ASKED_MAX;

/// Labels, after their lengths, of which one stands for all below a wildcard: of some, something else may be said.
const STAND_INS: [&[u8]; 4] = [b"\x01x", b"\x02x1", b"\x02x2", b"\x02x3"];

/// An immutable set of names with what is said of them.
#[derive(Debug)]
pub struct Names {
    arena: Arena,
    table: Table,
    tops: Tops,
    rulings: Rulings,
    entries: usize,
}

/// What a lookup found.
#[derive(Clone, Copy, Debug)]
pub struct NameFinding<'a> {
    /// What is said of the name.
    pub finding: Finding<'a>,
    /// How many labels the entry has that says so, `*` not counted.
    pub entry_label_count: usize,
    /// Whether any name below is listed now, net of exclusions.
    pub listed_below: bool,
}

/// What a glance tells of a name.
#[derive(Clone, Copy, Debug)]
pub enum Glance {
    /// It is not listed, and nothing below it is.
    Nothing,
    /// It is listed with one value.
    One {
        /// The value.
        value: ValueId,
        /// The end of its lifetime ([`FOREVER_S`](super::ruling::FOREVER_S): none).
        until_s: u32,
        /// How many labels the entry has that says so, `*` not counted.
        entry_label_count: usize,
    },
    /// [`Names::look_up`] knows.
    Unclear,
}

impl Glance {
    /// Of a name whose last `count - left` labels are those of a leaf.
    #[inline(always)]
    fn of_leaf(leaf: Leaf, left: usize, count: usize, context: &Context) -> Self {
        let Leaf { said, of_name, of_wildcard } = leaf;
        match if left == 0 { (of_name, of_wildcard) } else { (of_wildcard, false) } {
            (true, _) if said.is_over(context) => Self::Nothing,
            (true, _) => Self::of_standing(said, count - left, context),
            (false, true) => Self::Unclear,
            (false, false) => Self::Nothing,
        }
    }

    /// Of a name of which an entry with so many labels says that, if that is one value and holds.
    #[inline(always)]
    fn of_standing(said: Standing, entry_label_count: usize, context: &Context) -> Self {
        match said.ruling.value() {
            Some(value) if !said.is_over(context) => Self::One { value, until_s: said.until_s, entry_label_count },
            _ => Self::Unclear,
        }
    }
}

impl Names {
    /// What is said of a name, at a glance: nearly all names are not there, or are or are below a leaf under a node that the short
    /// cut leads to. Exclusions, links and wildcards with something below them are left to [`Self::look_up`].
    #[inline(always)]
    pub fn glance(&self, name: RelativeName<'_>, context: &Context) -> Glance {
        let count = name.label_count();
        // Nothing is said of what is below a node at the top, nor of what is above it, and nearly all below it is a leaf.
        let Some(left) = count.checked_sub(2) else { return Glance::Unclear };
        let Some(top) = self.tops.find(name.label_start(left + 1)) else { return Glance::Unclear };
        let Some(child) = self.table.find(&self.arena, top, 2, name.label(left)) else { return Glance::Nothing };
        match self.arena.leaf(child) {
            Some(leaf) => Glance::of_leaf(leaf, left, count, context),
            // Passed on as it is, it would lie in memory for the others too.
            None => match self.glance_from(child, left, name, context) {
                Glance::Nothing => Glance::Nothing,
                Glance::One { value, until_s, entry_label_count } => Glance::One { value, until_s, entry_label_count },
                Glance::Unclear => Glance::Unclear,
            },
        }
    }

    /// The same from a node on that is no short leaf, with `left` labels of the name before its own, where wildcards above it say
    /// nothing.
    #[inline(never)]
    fn glance_from(&self, mut at: u32, mut left: usize, name: RelativeName<'_>, context: &Context) -> Glance {
        let count = name.label_count();
        loop {
            if left == 0 {
                return Glance::of_standing(self.arena.read(at).0.exact, count, context);
            }
            let parent = self.arena.parent(at);
            let is_inner = parent.end > at;
            if !self.arena.wildcard_is_silent(at) {
                let said = if is_inner { Standing::ABSENT } else { self.arena.read(at).0.wildcard };
                return Glance::of_standing(said, count - left, context);
            }
            if !is_inner {
                return Glance::Nothing;
            }
            left -= 1;
            let depth = (count - left) as u32;
            let Some(child) = self.table.find(&self.arena, parent, depth, name.label(left)) else {
                return Glance::Nothing;
            };
            if let Some(leaf) = self.arena.leaf(child) {
                return Glance::of_leaf(leaf, left, count, context);
            }
            at = child;
        }
    }

    /// What is said of a name, and whether anything below it is listed: its own entry if there is one in force, else the
    /// wildcard in force that is closest above it.
    #[inline(never)]
    pub fn look_up(&self, name: RelativeName<'_>, context: &Context) -> NameFinding<'_> {
        let decide = |standing: Standing| standing.decide(&self.rulings, context);
        let count = name.label_count();
        let top = count.checked_sub(1).and_then(|last| self.tops.find(name.label_start(last)));
        // Nothing is said of what is below a node at the top, nor above it.
        let (mut node, mut depth) = top.map_or_else(|| (self.arena.parent(APEX), 0), |top| (top, 1));
        let mut above = (Finding::Absent, 0);
        let mut covering = (decide(self.arena.wildcard(node.at)), depth);
        while depth < count {
            depth += 1;
            let Some(child) = self.child(node, depth, name.label(count - depth)) else {
                let (finding, entry_label_count) = covering;
                return NameFinding { finding, entry_label_count, listed_below: finding.is_listed() };
            };
            node = child;
            above = covering;
            let wildcard = self.arena.wildcard(node.at);
            if wildcard != Standing::ABSENT {
                let own = decide(wildcard);
                if !own.is_absent() {
                    covering = (own, depth);
                }
            }
        }
        self.arrive(node.at, name, above, covering.0, context)
    }

    /// The child of a node with that label, the last of `depth` labels.
    #[inline(never)]
    fn child(&self, parent: Parent, depth: usize, label: &[u8]) -> Option<Parent> {
        self.table.find(&self.arena, parent, depth as u32, label).map(|child| self.arena.parent(child))
    }

    /// What is said of a name whose node is at `at`, given what a wildcard above it says and under how many labels, and what the
    /// closest one says of what is below it.
    #[inline]
    fn arrive<'a>(
        &'a self,
        at: u32,
        name: RelativeName<'_>,
        above: (Finding<'a>, usize),
        covering: Finding<'a>,
        context: &Context,
    ) -> NameFinding<'a> {
        let node = self.arena.read(at).0;
        let (finding, entry_label_count) = match node.exact.decide(&self.rulings, context) {
            Finding::Absent => above,
            own => (own, name.label_count()),
        };
        let listed_below = covering.is_listed() || self.any_below(at, node.below, context);
        NameFinding { finding, entry_label_count, listed_below }
    }

    /// Whether any name below this one is listed that `is_left_out` does not hold for; it is told a name, and whether all names
    /// below that are meant.
    pub fn any_below_but(
        &self,
        name: RelativeName<'_>,
        context: &Context,
        mut is_left_out: impl FnMut(&Reversed, bool) -> bool,
    ) -> bool {
        let lists = |standing: Standing| standing.decide(&self.rulings, context);
        let mut way = Reversed::apex();
        let mut node = self.arena.parent(APEX);
        let mut covering = lists(self.arena.read(node.at).0.wildcard);
        for (depth, label) in (1..).zip(name.labels_down()) {
            let Some(child) = self.child(node, depth, label) else { return covering.is_listed() };
            node = child;
            way.push(label);
            let own = lists(self.arena.read(node.at).0.wildcard);
            covering = if own.is_absent() { covering } else { own };
        }
        if covering.is_listed() {
            return true; // whatever names are left out, there are others
        }
        self.scan(node.at, |node| {
            way.return_to(node.depth - 1);
            way.push(node.label);
            let is_left = |standing, is_wildcard, is_left_out: &mut dyn FnMut(&Reversed, bool) -> bool| {
                lists(standing).is_listed() && !is_left_out(&way, is_wildcard)
            };
            is_left(node.exact, false, &mut is_left_out) || is_left(node.wildcard, true, &mut is_left_out)
        })
    }

    /// Whether a node below that at `at` lists.
    #[inline]
    fn any_below(&self, at: u32, below: Outlook, context: &Context) -> bool {
        match below {
            Outlook::Never => false,
            Outlook::Always => true,
            _ if is_over(below.end_s(), context.now_s) => false,
            Outlook::Until(_) => true,
            Outlook::Perhaps(_) => self.scan_below(at, context),
        }
    }

    #[inline(never)]
    fn scan_below(&self, at: u32, context: &Context) -> bool {
        let lists = |standing: Standing| standing.decide(&self.rulings, context).is_listed();
        self.scan(at, |node| lists(node.exact) || lists(node.wildcard))
    }

    /// Whether `test` holds for a node below that at `at`. It is taken to hold where too many would have to be looked at.
    fn scan(&self, at: u32, mut test: impl FnMut(&Node<'_>) -> bool) -> bool {
        let mut nodes = self.arena.nodes_below(at);
        nodes.by_ref().take(SCAN_MAX).any(|(_, node)| test(&node)) || nodes.next().is_some()
    }

    /// Calls `visit` with each name of which something is said, what is said of it, and what of all names below it. Names come
    /// in the order of their labels from right to left, shorter labels first.
    pub fn for_each(&self, mut visit: impl FnMut(&Reversed, Standing, Standing)) {
        self.walk(|_, name, Node { exact, wildcard, .. }| {
            if exact != Standing::ABSENT || wildcard != Standing::ABSENT {
                visit(name, exact, wildcard);
            }
            true
        });
    }

    /// Calls `visit` with each node, its place and its name, as long as that returns `true`.
    fn walk(&self, mut visit: impl FnMut(u32, &Reversed, Node<'_>) -> bool) {
        let mut way = Reversed::apex();
        for (at, node) in self.arena.nodes() {
            if let Some(above) = node.depth.checked_sub(1) {
                way.return_to(above);
                way.push(node.label);
            }
            if !visit(at, &way, node) {
                return;
            }
        }
    }

    /// Up to so many names that are listed now, from all over the set: entries themselves, and a name below each wildcard.
    pub fn some_listed(&self, count: usize, context: &Context) -> Vec<Name> {
        let lists = |standing: Standing| standing.decide(&self.rulings, context).is_listed();
        let part = |at: u32| at as usize * count / self.arena.len();
        let mut some = Vec::new();
        let mut wanted = 0;
        // The first one of each part.
        self.walk(|at, name, node| {
            if part(at) < wanted {
                return true;
            }
            let listed = match wanted < count {
                true if lists(node.exact) => Some(name.to_name()),
                true if lists(node.wildcard) => self.listed_below(name, context),
                _ => None,
            };
            if let Some(listed) = listed {
                wanted = part(at) + 1;
                some.push(listed);
            }
            wanted < count
        });
        some
    }

    /// A name that is listed below one whose wildcard is in force, if one of [a few](STAND_INS) is.
    fn listed_below(&self, name: &Reversed, context: &Context) -> Option<Name> {
        let has_room = |label: &&&[u8]| name.all().len() + label.len() < NAME_MAX;
        let mut below = STAND_INS.iter().filter(has_room).map(|label| [label, name.to_name().as_wire()].concat());
        let mut query_name = Box::new(QueryName::new());
        let mut is_listed = |below: &[u8]| {
            query_name.read(below).is_some()
                && self.look_up(query_name.relative(query_name.label_count()), context).finding.is_listed()
        };
        below.find(|below| is_listed(below)).map(|below| Name::from_wire(&below))
    }

    /// Decides what [`Self::for_each`] visits.
    pub fn decide(&self, standing: Standing, context: &Context) -> Finding<'_> {
        standing.decide(&self.rulings, context)
    }

    /// The claims behind what [`Self::for_each`] visits.
    pub fn claims(&self, standing: Standing) -> Level {
        standing.claims(&self.rulings)
    }

    /// What is said of a name, by whatever may decide at some time: its own claims, then those of the wildcards above it, the
    /// closest first.
    pub fn levels(&self, name: RelativeName<'_>) -> Vec<Level> {
        let mut node = self.arena.parent(APEX);
        let mut labels = name.labels_down();
        let mut levels = Vec::new();
        loop {
            let label = labels.next();
            let said = if label.is_none() { self.arena.read(node.at).0.exact } else { self.arena.wildcard(node.at) };
            levels.push(self.claims(said));
            let Some(child) = label.and_then(|label| self.child(node, levels.len(), label)) else { break };
            node = child;
        }
        levels.reverse();
        levels
    }

    /// The values that a name is listed with, if that holds for everyone and for as long as the set does: none if anything that is
    /// said of it depends on the time, or on who asks.
    pub fn lasting_values(&self, name: RelativeName<'_>) -> Vec<ValueId> {
        let Some(level) = self.levels(name).into_iter().find(|level| !level.is_empty()) else { return Vec::new() };
        let lasting = |claim: &Claim| claim.value.filter(|_| claim.is_unconditional());
        level.iter().map(lasting).collect::<Option<_>>().unwrap_or_default()
    }

    /// How much of it ends, and when. A name and all below it, of which the same is said, count once, as they are one entry.
    pub fn lifetimes(&self, now_s: u64) -> Lifetimes {
        let below = |node: &Node<'_>| if node.wildcard == node.exact { Standing::ABSENT } else { node.wildcard };
        let standings = self.arena.nodes().flat_map(|(_, node)| [node.exact, below(&node)]);
        Lifetimes::of(standings.filter(|standing| *standing != Standing::ABSENT), &self.rulings, now_s)
    }

    /// Number of entries, as many as were added.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.arena.memory_bytes() + self.table.memory_bytes() + self.tops.memory_bytes() + self.rulings.memory_bytes()
    }
}
