//! The nodes of the tree, one after another in bytes.
//!
//! Nearly every node is a leaf with a label of about ten octets that says what most nodes of its set say: two octets, and the
//! label, and the end of its lifetime if it has one. The others have an octet more, which tells what follows, and four more
//! if they are inner ones:
//!
//! ```text
//! depth             7 bits: labels from the apex
//! inner             1 bit:  others may be below it; of a short one, that it has an end where most have none, or none where most do
//! length            6 bits: octets of the label
//! short             2 bits: the name says the most frequent ruling, the wildcard below does; nothing else but its end follows
//! end               4 octets if it is inner: where the nodes below it are over
//! label
//! flags             1 octet unless it is short, from the lowest bit
//!   name            2 bits: nothing; the most frequent ruling; one octet, into the palette; the ruling itself in 4 octets
//!   name ends       1 bit:  and then the end of its lifetime, by how much it is after the first end of all,
//!                           in 2 octets if within 4 hours of that, 3 within 48 days, else 4; or of all in 4, if any is
//!                           beyond 68 years
//!   wildcard        2 bits: the same about the wildcard below
//!   wildcard ends   1 bit:  of nothing: the wildcard says what the name says, and takes no room
//!   below           2 bits: what is below lists nothing; lists for ever; has to be looked at; ends as its summary says
//! ```
//!
//! Nodes stand in the order of a walk of the tree, each before its children. All below a node therefore follows it without
//! gap, up to its end; and of these its children are one label deeper. So none has to say what its parent is. Where many nodes
//! are below one, their [`Outlook`] is summed up in five octets behind the last of them: an octet like that of the apex, with
//! which no other node begins, and the end.

mod growing;

use super::label::Label;
use crate::{
    wire::name::LABEL_MAX,
    zone::{
        ruling::{FOREVER_S, Ruling},
        standing::{Outlook, Standing},
    },
};

const LENGTH_AT: usize = 1;
const HEAD_LEN: usize = 2;
/// Octets of where the nodes below are over.
const END_LEN: usize = 4;
const DEPTH_MASK: u8 = 0x7f;
const INNER: u8 = 0x80;
const LENGTH_MASK: u8 = 0x3f;
/// Of both octets of the head: inner ones have [`INNER`] and are not short.
const INNER_MASK: u16 = u16::from_le_bytes([INNER, !LENGTH_MASK]);
/// What a child is told by.
const CHILD_MASK: u16 = u16::from_le_bytes([DEPTH_MASK, LENGTH_MASK]);
const SHORT_SHIFT: u32 = 6;
const SHORT_NAME: u8 = 1;
const SHORT_WILDCARD: u8 = 2;

const FLAGS_LEN: usize = 1;
const NAME_MASK: u8 = 7;
const WILDCARD_SHIFT: u32 = 3;
const WILDCARD_MASK: u8 = NAME_MASK << WILDCARD_SHIFT;
const BELOW_SHIFT: u32 = 6;

const KIND_MASK: u8 = 3;
const COMMON: u8 = 1;
const OCTET: u8 = 2;
const WHOLE: u8 = 3;
const ENDS: u8 = 1 << 2;
/// The wildcard is nothing that ends: it is what the name is.
const BOTH: u8 = ENDS << WILDCARD_SHIFT;

/// Octets of the end of a lifetime, how many bits of the first one tell so, and what they are.
const LIFETIME_FORMS: [(usize, u32, u8); 3] = [(2, 2, 0), (3, 2, 0b10), (LIFETIME_MAX, 1, 1)];
const LIFETIME_MAX: usize = 4;

/// What is below: how that is told.
const BELOW_NEVER: u8 = 0;
const BELOW_ALWAYS: u8 = 1;
const BELOW_FEW: u8 = 2;
const BELOW_SUMMED: u8 = 3;
/// From so many nodes on, what is below is summed up.
const SUMMED_FROM: usize = 64;
/// Octets of that: [`CERTAIN`] or not, and the end.
const SUMMARY_LEN: usize = 5;
/// Something is listed until the end; else, perhaps.
const CERTAIN: u8 = INNER;

/// Most octets of a node.
const NODE_MAX: usize = HEAD_LEN + END_LEN + LABEL_MAX + FLAGS_LEN + 2 * (4 + LIFETIME_MAX);

/// Rulings that an octet can tell apart.
pub(super) const PALETTE_MAX: usize = 256;
/// Where the apex is.
pub(super) const APEX: u32 = 0;

/// The nodes.
#[derive(Debug)]
pub(super) struct Arena {
    octets: Vec<u8>,
    /// The most frequent rulings, the most frequent one first.
    palette: Vec<Ruling>,
    ends: EndForm,
}

/// How ends of nodes are said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EndForm {
    /// The first end of all, in seconds since the epoch.
    pub(super) first_s: u32,
    /// Whether most nodes have one.
    pub(super) of_most: bool,
    /// Whether they are so far apart that all take four octets.
    pub(super) are_far: bool,
}

impl EndForm {
    /// How ends are said that are between these, given whether most nodes have one.
    pub(super) fn between(first_s: u32, last_s: u32, of_most: bool) -> Self {
        Self { first_s, of_most, are_far: last_s - first_s > u32::MAX >> 1 }
    }
}

/// What a node says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    /// How many labels it has; none is the apex.
    pub(super) depth: usize,
    pub(super) label: &'a [u8],
    /// Of its name.
    pub(super) exact: Standing,
    /// Of all names below it.
    pub(super) wildcard: Standing,
    /// Whether any node below it lists.
    pub(super) below: Outlook,
}

/// A node that others may be below, as a way down sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parent {
    pub(super) at: u32,
    /// Where the nodes below it are over; if there are none, where it begins itself.
    pub(super) end: u32,
}

/// What a node says that has nothing below it: once, of its name, of all names below it, or of both.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf {
    pub(super) said: Standing,
    pub(super) of_name: bool,
    pub(super) of_wildcard: bool,
}

/// Where a node with others below it is, and what is still to be said of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenNode {
    pub(super) at: u32,
    flags_at: u32,
}

impl Arena {
    /// An empty arena, the rulings that will be most frequent in it, and how their ends are said.
    pub(super) fn new(palette: Vec<Ruling>, ends: EndForm) -> Self {
        debug_assert!(palette.len() <= PALETTE_MAX);
        Self { octets: Vec::new(), palette, ends }
    }

    /// Where the next node begins.
    fn end(&self) -> u32 {
        u32::try_from(self.octets.len()).expect("names of less than 4 GiB")
    }

    pub(super) fn len(&self) -> usize {
        self.octets.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.octets.capacity() + self.palette.capacity() * size_of::<Ruling>()
    }

    pub(super) fn shrink_to_fit(&mut self) {
        self.octets.shrink_to_fit();
        self.palette.shrink_to_fit();
    }

    /// A node on a way down.
    #[inline]
    pub(super) fn parent(&self, at: u32) -> Parent {
        Parent { at, end: self.end_below(at) }
    }

    /// Whether the node at `at` is a child of that one and has that label, the last of `depth` labels.
    #[inline(always)]
    pub(super) fn is_child(&self, at: u32, parent: Parent, depth: u32, label: Label<'_>) -> bool {
        let octets = &self.octets[at as usize..];
        let head = u16::from_le_bytes([octets[0], octets[LENGTH_AT]]);
        if head & CHILD_MASK != depth as u16 | (label.len() as u16) << u8::BITS {
            return false;
        }
        let label_at = Self::label_at(octets);
        label.is(&octets[label_at..label_at + label.len()]) && (parent.at..parent.end).contains(&at)
    }

    /// Where the nodes below that at `at` are over; if there are none, where it begins itself.
    #[inline]
    pub(super) fn end_below(&self, at: u32) -> u32 {
        let octets = &self.octets[at as usize..];
        if Self::is_inner(octets) { u32_at(octets, HEAD_LEN) } else { at }
    }

    /// Whether others may be below the node with these octets.
    #[inline]
    fn is_inner(octets: &[u8]) -> bool {
        u16::from_le_bytes([octets[0], octets[LENGTH_AT]]) & INNER_MASK == u16::from(INNER)
    }

    /// Where the label begins of the node with these octets.
    #[inline]
    fn label_at(octets: &[u8]) -> usize {
        HEAD_LEN + usize::from(Self::is_inner(octets)) * END_LEN
    }

    /// What the node at `at` says, if it is short, as nearly all are below which there is nothing.
    #[inline]
    pub(super) fn leaf(&self, at: u32) -> Option<Leaf> {
        let octets = &self.octets[at as usize..];
        let short = octets[LENGTH_AT] >> SHORT_SHIFT;
        if short == 0 {
            return None;
        }
        let said = if self.short_has_end(octets) {
            self.read_short(octets, &mut (HEAD_LEN + usize::from(octets[LENGTH_AT] & LENGTH_MASK)))
        } else {
            Standing { ruling: self.palette[0], until_s: FOREVER_S }
        };
        Some(Leaf { said, of_name: short & SHORT_NAME != 0, of_wildcard: short & SHORT_WILDCARD != 0 })
    }

    /// Whether the short node with these octets has an end.
    #[inline]
    fn short_has_end(&self, octets: &[u8]) -> bool {
        self.ends.of_most != (octets[0] & INNER != 0)
    }

    /// What the short node with these octets says, whose label is over at `end`.
    fn read_short(&self, octets: &[u8], end: &mut usize) -> Standing {
        let ends = if self.short_has_end(octets) { ENDS } else { 0 };
        self.read_standing(COMMON | ends, octets, end)
    }

    /// Whether the node at `at` says nothing of the names below it. Most do, and that takes one look or two.
    #[inline]
    pub(super) fn wildcard_is_silent(&self, at: u32) -> bool {
        let octets = &self.octets[at as usize..];
        let length = octets[LENGTH_AT];
        if length >> SHORT_SHIFT != 0 {
            return length >> SHORT_SHIFT & SHORT_WILDCARD == 0;
        }
        let flags = octets[Self::label_at(octets) + usize::from(length & LENGTH_MASK)];
        flags >> (if flags & WILDCARD_MASK == BOTH { 0 } else { WILDCARD_SHIFT }) & KIND_MASK == 0
    }

    /// What it says of them.
    #[inline]
    pub(super) fn wildcard(&self, at: u32) -> Standing {
        if self.wildcard_is_silent(at) { Standing::ABSENT } else { self.read(at).0.wildcard }
    }

    /// The node at `at`, and where the next one is.
    #[inline]
    pub(super) fn read(&self, at: u32) -> (Node<'_>, u32) {
        let octets = &self.octets[at as usize..];
        let depth = usize::from(octets[0] & DEPTH_MASK);
        let label_at = Self::label_at(octets);
        let mut end = label_at + usize::from(octets[LENGTH_AT] & LENGTH_MASK);
        let label = &octets[label_at..end];
        let short = octets[LENGTH_AT] >> SHORT_SHIFT;
        if short != 0 {
            let said = self.read_short(octets, &mut end);
            let exact = if short & SHORT_NAME != 0 { said } else { Standing::ABSENT };
            let wildcard = if short & SHORT_WILDCARD != 0 { said } else { Standing::ABSENT };
            return (Node { depth, label, exact, wildcard, below: Outlook::Never }, at + end as u32);
        }
        let flags = octets[end];
        end += FLAGS_LEN;
        let exact = self.read_standing(flags, octets, &mut end);
        let wildcard = if flags & WILDCARD_MASK == BOTH {
            exact
        } else {
            self.read_standing(flags >> WILDCARD_SHIFT, octets, &mut end)
        };
        let below = match flags >> BELOW_SHIFT {
            BELOW_NEVER => Outlook::Never,
            BELOW_ALWAYS => Outlook::Always,
            BELOW_FEW => Outlook::Perhaps(FOREVER_S),
            _ => self.read_summary(at),
        };
        (Node { depth, label, exact, wildcard, below }, at + end as u32)
    }

    fn read_summary(&self, at: u32) -> Outlook {
        let octets = &self.octets[self.end_below(at) as usize - SUMMARY_LEN..];
        let until_s = u32_at(octets, 1);
        if octets[0] & CERTAIN == 0 { Outlook::Perhaps(until_s) } else { Outlook::Until(until_s) }
    }

    /// All nodes in order, each with its place.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (u32, Node<'_>)> {
        self.nodes_between(APEX, self.end())
    }

    /// The nodes below that one.
    pub(super) fn nodes_below(&self, at: u32) -> impl Iterator<Item = (u32, Node<'_>)> {
        self.nodes_between(self.read(at).1, self.end_below(at))
    }

    fn nodes_between(&self, mut at: u32, end: u32) -> impl Iterator<Item = (u32, Node<'_>)> {
        std::iter::from_fn(move || {
            while at < end && self.octets[at as usize] & DEPTH_MASK == 0 && at != APEX {
                at += SUMMARY_LEN as u32;
            }
            let (node, next) = (at < end).then(|| self.read(at))?;
            Some((std::mem::replace(&mut at, next), node))
        })
    }

    #[inline]
    fn read_standing(&self, bits: u8, octets: &[u8], end: &mut usize) -> Standing {
        let ruling = match bits & 3 {
            COMMON => self.palette[0],
            OCTET => {
                *end += 1;
                self.palette[usize::from(octets[*end - 1])]
            }
            WHOLE => {
                *end += 4;
                Ruling(u32_at(octets, *end - 4))
            }
            _ => return Standing::ABSENT,
        };
        let mut until_s = FOREVER_S;
        if bits & ENDS != 0 {
            until_s = self.read_until(octets, end);
        }
        Standing { ruling, until_s }
    }

    #[inline(never)]
    fn read_until(&self, octets: &[u8], end: &mut usize) -> u32 {
        let (len, tag_bits, _) = match octets[*end].trailing_zeros() {
            _ if self.ends.are_far => (LIFETIME_MAX, 0, 0),
            0 => LIFETIME_FORMS[2],
            1 => LIFETIME_FORMS[1],
            _ => LIFETIME_FORMS[0],
        };
        let mut number = [0; LIFETIME_MAX];
        number[..len].copy_from_slice(&octets[*end..*end + len]);
        *end += len;
        self.ends.first_s + (u32::from_le_bytes(number) >> tag_bits)
    }
}

#[inline]
fn u32_at(octets: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&octets[at..at + 4]);
    u32::from_le_bytes(four)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::values::ValueId;

    #[test]
    fn nodes_and_back() {
        let rulings = [ValueId(7), ValueId(8), ValueId(70_000)].map(Ruling::listed);
        let standings = [rulings[0], rulings[1], rulings[2], Ruling::EXCLUDED]
            .into_iter()
            .flat_map(|ruling| [FOREVER_S, 5].map(|until_s| Standing { ruling, until_s }))
            .chain([Standing::ABSENT]);
        let outlooks = [Outlook::Never, Outlook::Perhaps(9), Outlook::Until(8), Outlook::Always];
        let mut nodes = Vec::new();
        for exact in standings.clone() {
            for wildcard in standings.clone() {
                for below in outlooks {
                    nodes.push(Node { depth: 7, label: &b"a label"[..nodes.len() % 7], exact, wildcard, below });
                }
            }
        }
        for (palette_len, of_most) in [(0, false), (2, true), (2, false), (PALETTE_MAX, false)] {
            let ends = EndForm { first_s: 4, of_most, are_far: false };
            let others = (100..).map(|value| Ruling::listed(ValueId(value)));
            let palette: Vec<Ruling> = rulings[..2].iter().copied().chain(others).take(palette_len).collect();
            let mut arena = Arena::new(palette, ends);
            let mut expected = Vec::new();
            for node in &nodes {
                expected.push((arena.len() as u32, *node));
                match node.below {
                    Outlook::Never => arena.push(*node),
                    below => {
                        let place = arena.push_inner(*node);
                        arena.close(place, below, if place.at % 2 == 1 { SUMMED_FROM - 1 } else { SUMMED_FROM });
                    }
                }
            }
            let mut nodes = arena.nodes();
            for (at, node) in expected {
                let Some((found_at, read)) = nodes.next() else { panic!("{node:?} is missing") };
                assert_eq!(at, found_at);
                // What few nodes list is not summed up.
                let below = match node.below {
                    Outlook::Perhaps(_) | Outlook::Until(_) if at % 2 == 1 => Outlook::Perhaps(FOREVER_S),
                    below => below,
                };
                assert_eq!(format!("{read:?}"), format!("{:?}", Node { below, ..node }));
                assert_eq!(arena.end_below(at) > at, node.below != Outlook::Never);
            }
            assert!(nodes.next().is_none());
        }
    }

    #[test]
    fn ends_take_as_many_octets_as_they_need() {
        let first_s = 1_800_000_000;
        let far_s = FOREVER_S - 1;
        let cases = [
            (0, 2),
            ((1 << 14) - 1, 2),
            (1 << 14, 3),
            ((1 << 22) - 1, 3),
            (1 << 22, 4),
            ((1 << 31) - 1, 4),
            (1 << 31, 4),
            (far_s - first_s, 4),
        ];
        for (after_s, octets) in cases {
            for (of_most, has_end) in [(true, true), (true, false), (false, true), (false, false)] {
                let ends = EndForm::between(first_s, first_s + after_s, of_most);
                let mut arena = Arena::new(vec![Ruling::EXCLUDED], ends);
                let until_s = if has_end { first_s + after_s } else { FOREVER_S };
                let exact = Standing { ruling: Ruling::EXCLUDED, until_s };
                let wildcard = Standing::ABSENT;
                arena.push(Node { depth: 1, label: b"label", exact, wildcard, below: Outlook::Never });
                assert_eq!(arena.len(), HEAD_LEN + 5 + if has_end { octets } else { 0 }, "{after_s}");
                assert_eq!(arena.read(APEX).0.exact, exact);
                assert_eq!(arena.end_below(APEX), APEX);
            }
        }
        let mut arena = Arena::new(vec![Ruling::EXCLUDED], EndForm::between(1, far_s, true));
        for until_s in [1, 2, far_s] {
            let at = arena.end();
            let exact = Standing { ruling: Ruling::EXCLUDED, until_s };
            arena.push(Node { exact, ..silent(1, b"label") });
            assert_eq!(arena.read(at).0.exact, exact);
        }
    }

    #[test]
    fn many_are_summed_up_behind_the_last() {
        let mut arena = Arena::new(Vec::new(), EndForm::default());
        let apex = arena.push_inner(silent(0, b""));
        let mut expected = vec![(0, &b""[..])];
        let inner: Vec<OpenNode> = [(1, b"a"), (2, b"b")]
            .map(|(depth, label)| {
                expected.push((depth, label));
                arena.push_inner(silent(depth, label))
            })
            .into();
        arena.push(silent(3, b"c"));
        arena.close(inner[1], Outlook::Until(7), SUMMED_FROM);
        arena.close(inner[0], Outlook::Perhaps(8), SUMMED_FROM + 1);
        arena.push(silent(1, b"d"));
        arena.close(apex, Outlook::Until(9), SUMMED_FROM + 3);
        expected.extend([(3, &b"c"[..]), (1, b"d")]);
        let nodes: Vec<_> = arena.nodes().map(|(_, node)| (node.depth, node.label)).collect();
        assert_eq!(nodes, expected);
        let below = |at| arena.read(at).0.below;
        let summed = [APEX, inner[0].at, inner[1].at].map(below);
        assert_eq!(summed, [Outlook::Until(9), Outlook::Perhaps(8), Outlook::Until(7)]);
        let count = |at| arena.nodes_below(at).count();
        assert_eq!([APEX, inner[0].at, inner[1].at].map(count), [4, 2, 1]);
    }

    fn silent(depth: usize, label: &[u8]) -> Node<'_> {
        Node { depth, label, exact: Standing::ABSENT, wildcard: Standing::ABSENT, below: Outlook::Never }
    }

    #[test]
    fn children_of_their_parents_only() {
        let mut arena = Arena::new(Vec::new(), EndForm::default());
        let apex = arena.push_inner(silent(0, b""));
        let mut places = vec![(apex.at, APEX, 0, &b""[..])];
        // Two tops with the same labels below them, and one of these with the same again.
        for top in [b"a", b"b"] {
            let top_place = arena.push_inner(silent(1, top));
            places.push((top_place.at, APEX, 1, top));
            let inner = arena.push_inner(silent(2, b"x"));
            places.push((inner.at, top_place.at, 2, b"x"));
            for label in [b"x", b"y"] {
                places.push((arena.len() as u32, inner.at, 3, label));
                arena.push(silent(3, label));
            }
            arena.close(inner, Outlook::Always, 2);
            places.push((arena.len() as u32, top_place.at, 2, b"y"));
            arena.push(silent(2, b"y"));
            arena.close(top_place, Outlook::Always, 4);
        }
        arena.close(apex, Outlook::Always, 10);
        for &(at, own_parent, own_depth, own_label) in &places[1..] {
            for &(parent, _, parent_depth, _) in &places {
                for label in [&b"a"[..], b"b", b"x", b"y", b"xy", b""] {
                    let expected = parent == own_parent && label == own_label;
                    let is_child = |depth| arena.is_child(at, arena.parent(parent), depth, Label::new(label));
                    assert_eq!(is_child(parent_depth + 1), expected);
                    assert!(!is_child(own_depth + 1));
                }
            }
        }
    }
}
