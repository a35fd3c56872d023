//! From lines in any order to the tree.
//!
//! A million names are a million rows of 32 octets and one run of text, sorted once by their labels from right to left, so
//! that all of a node's children follow it. The rest is a few walks from end to end.

use std::collections::HashMap;

use super::{
    Names, Table,
    arena::{self, Arena, NO_PARENT, PALETTE_MAX},
};
use crate::{
    wire::name::LABELS_MAX,
    zone::{
        ruling::{Claim, Ruling, Rulings, RulingsBuilder},
        standing::{Equals, Outlook, Standing},
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

/// A line. The octets of its name, from the last label to the first and without the root's, stand in the builder's text.
#[derive(Debug)]
struct Row {
    /// The first octets of the name; they settle nearly every comparison.
    head: u128,
    /// Where the length of the name stands, and the name after it. Grows with the lines.
    at: u32,
    standing: Standing,
    scope: Scope,
}

/// A node while the tree is built.
struct Draft {
    parent: u32,
    /// Where its label's length stands in the text.
    label_at: u32,
    exact: Standing,
    wildcard: Standing,
    below: Outlook,
}

/// Builds [`Names`].
#[derive(Debug, Default)]
pub struct NamesBuilder {
    text: Vec<u8>,
    rows: Vec<Row>,
    rulings: RulingsBuilder,
}

impl NamesBuilder {
    /// The next line. `name` is relative to the apex, in wire format and lower case, the root's octet last.
    ///
    /// # Panics
    /// Beyond 4 GiB of names.
    pub fn add(&mut self, name: &[u8], scope: Scope, claim: Claim) {
        let at = u32::try_from(self.text.len()).expect("names of less than 4 GiB");
        let mut starts = [0_u8; LABELS_MAX];
        let (mut count, mut start) = (0, 0);
        while name[start] != 0 {
            starts[count] = start as u8;
            count += 1;
            start += 1 + usize::from(name[start]);
        }
        self.text.push(start as u8);
        for &start in starts[..count].iter().rev() {
            let start = usize::from(start);
            self.text.extend_from_slice(&name[start..=start + usize::from(name[start])]);
        }
        let mut head = [0; 16];
        let octets = octets_at(&self.text, at);
        let head_len = octets.len().min(head.len());
        head[..head_len].copy_from_slice(&octets[..head_len]);
        let standing = Standing::of(claim, &mut self.rulings);
        self.rows.push(Row { head: u128::from_be_bytes(head), at, standing, scope });
    }

    /// Number of lines so far.
    pub fn entries(&self) -> usize {
        self.rows.len()
    }

    /// Freezes the set.
    pub fn build(mut self) -> Names {
        let entries = self.rows.len();
        let Self { text, rows, .. } = &mut self;
        rows.sort_unstable_by(|one, two| {
            let octets = || octets_at(text, one.at).cmp(octets_at(text, two.at));
            one.head.cmp(&two.head).then_with(octets).then(one.at.cmp(&two.at))
        });
        let mut drafts = self.plant();
        let Self { text, rulings, .. } = self;
        let rulings = rulings.build();
        look_below(&mut drafts, &rulings);
        let arena = write(&drafts, &text);
        let table = fill(&arena, drafts.len());
        Names { arena, table, rulings, entries }
    }

    /// The nodes of the tree, each before its children.
    fn plant(&mut self) -> Vec<Draft> {
        let Self { text, rows, rulings } = self;
        let node = |parent, label_at| Draft {
            parent,
            label_at,
            exact: Standing::ABSENT,
            wildcard: Standing::ABSENT,
            below: Outlook::Never,
        };
        // The apex has no label; its place in the text is never read.
        let mut drafts = vec![node(NO_PARENT, 0)];
        // The way from the apex to the newest node: how many octets of the name each has, and its draft.
        let mut way = vec![(0, 0)];
        let mut previous: &[u8] = &[];
        for equal in rows.chunk_by(|one, two| octets_at(text, one.at) == octets_at(text, two.at)) {
            let octets = octets_at(text, equal[0].at);
            let common = octets.iter().zip(previous).take_while(|(one, two)| one == two).count();
            while way.pop_if(|(end, _)| *end > common).is_some() {}
            let (mut end, mut newest) = way[way.len() - 1];
            while end < octets.len() {
                drafts.push(node(newest, equal[0].at + 1 + end as u32));
                newest = drafts.len() as u32 - 1;
                end += 1 + usize::from(octets[end]);
                way.push((end, newest));
            }
            let said = |other| equal.iter().filter(move |row| row.scope != other).map(|row| row.standing);
            let draft = &mut drafts[newest as usize];
            draft.exact = EQUALS.standing(said(Scope::Below), rulings);
            draft.wildcard = EQUALS.standing(said(Scope::Exact), rulings);
            previous = octets;
        }
        drafts
    }
}

/// The octets of a name in the text.
fn octets_at(text: &[u8], at: u32) -> &[u8] {
    let (length, rest) = text[at as usize..].split_first().expect("a name has a length");
    &rest[..usize::from(*length)]
}

/// Tells each node whether anything below it lists.
fn look_below(drafts: &mut [Draft], rulings: &Rulings) {
    for index in (1..drafts.len()).rev() {
        let Draft { parent, exact, wildcard, below, .. } = drafts[index];
        let outlook = below.or(exact.outlook(rulings)).or(wildcard.outlook(rulings));
        let parent = &mut drafts[parent as usize];
        parent.below = parent.below.or(outlook);
    }
}

/// Lays the nodes into an arena.
fn write(drafts: &[Draft], text: &[u8]) -> Arena {
    let mut counts: HashMap<Ruling, u32, foldhash::fast::RandomState> = HashMap::default();
    for ruling in drafts.iter().flat_map(|draft| [draft.exact.ruling, draft.wildcard.ruling]) {
        if ruling != Ruling::ABSENT {
            *counts.entry(ruling).or_default() += 1;
        }
    }
    let mut palette: Vec<(Ruling, u32)> = counts.iter().map(|(ruling, count)| (*ruling, *count)).collect();
    palette.sort_unstable_by_key(|&(ruling, count)| (std::cmp::Reverse(count), ruling));
    palette.truncate(PALETTE_MAX);
    let mut codes: HashMap<Ruling, u8, foldhash::fast::RandomState> = HashMap::default();
    codes.extend(palette.iter().enumerate().map(|(code, (ruling, _))| (*ruling, code as u8)));
    let mut arena = Arena::new(palette.iter().map(|(ruling, _)| *ruling).collect());
    let mut places: Vec<u32> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let is_apex = draft.parent == NO_PARENT;
        let parent = if is_apex { NO_PARENT } else { places[draft.parent as usize] };
        let label = if is_apex { &[] } else { octets_at(text, draft.label_at) };
        let &Draft { exact, wildcard, below, .. } = draft;
        let node = arena::Node { parent, label, exact, wildcard, below };
        places.push(arena.push(node, |ruling| codes.get(&ruling).copied()));
    }
    arena.shrink_to_fit();
    arena
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
