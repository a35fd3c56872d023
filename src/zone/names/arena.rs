//! The nodes of the tree, one after another in bytes.
//!
//! Nearly every node is a leaf with a label of about ten octets that says what most nodes of its set say: two octets, and the
//! label, and the end of its lifetime if most have one. The others have an octet more, which tells what follows, and
//! four more if they are inner ones:
//!
//! ```text
//! depth             7 bits: labels from the apex
//! inner             1 bit:  others may be below it
//! length            6 bits: octets of the label
//! short             2 bits: the name says the most frequent ruling, the wildcard below does; nothing else but its end follows
//! end               4 octets if it is inner: where the nodes below it are over
//! label
//! flags             1 octet unless it is short, from the lowest bit
//!   name            2 bits: nothing; the most frequent ruling; one octet, into the palette; the ruling itself in 4 octets
//!   name ends       1 bit:  and then the end of its lifetime, by how much it is after the first end of all,
//!                           in 2 octets if within 2 hours of that, 3 within 48 days, 4 within 68 years, or 5
//!   wildcard        2 bits: the same about the wildcard below
//!   wildcard ends   1 bit:  of nothing: the wildcard says what the name says, and takes no room
//!   below           2 bits: Outlook of all that is below; if it has an end, that follows in 4 octets
//! ```
//!
//! Nodes stand in the order of a walk of the tree, each before its children. All below a node therefore follows it without
//! gap, up to its end; and of these its children are one label deeper. So none has to say what its parent is.

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
const SHORT_SHIFT: u32 = 6;
const SHORT_NAME: u8 = 1;
const SHORT_WILDCARD: u8 = 2;

const FLAGS_LEN: usize = 1;
const NAME_MASK: u8 = 7;
const WILDCARD_SHIFT: u32 = 3;
const WILDCARD_MASK: u8 = NAME_MASK << WILDCARD_SHIFT;
const BELOW_SHIFT: u32 = 6;
const BELOW_MASK: u8 = 3 << BELOW_SHIFT;

const KIND_MASK: u8 = 3;
const COMMON: u8 = 1;
const OCTET: u8 = 2;
const WHOLE: u8 = 3;
const ENDS: u8 = 1 << 2;
/// The wildcard is nothing that ends: it is what the name is.
const BOTH: u8 = ENDS << WILDCARD_SHIFT;

/// Octets of the end of a lifetime, how many bits of the first one tell so, and what they are.
const LIFETIME_FORMS: [(usize, u32, u8); 4] = [(2, 3, 0b100), (3, 2, 0b10), (4, 1, 0b1), (LIFETIME_MAX, 3, 0)];
const LIFETIME_MAX: usize = 5;

/// Most octets of a node.
const NODE_MAX: usize = HEAD_LEN + END_LEN + LABEL_MAX + FLAGS_LEN + 2 * (4 + LIFETIME_MAX) + 4;

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
    ends: Ends,
}

/// How ends of nodes are said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    /// The first end of all, in seconds since the epoch.
    pub(super) first_s: u32,
    /// Whether most nodes have an end: short ones do then, and else do not.
    pub(super) of_most: bool,
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

/// Where a node with others below it is, and what is still to be said of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) at: u32,
    flags_at: u32,
    /// Room for when what is below it ends.
    until_at: Option<u32>,
}

impl Arena {
    /// An empty arena, the rulings that will be most frequent in it, and how their ends are said.
    pub(super) fn new(palette: Vec<Ruling>, ends: Ends) -> Self {
        debug_assert!(palette.len() <= PALETTE_MAX);
        Self { octets: Vec::new(), palette, ends }
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

    /// Whether the node at `at` is the child of that at `parent` with that label, the last of `depth` labels.
    #[inline]
    pub(super) fn is_child(&self, at: u32, parent: u32, depth: usize, label: &[u8]) -> bool {
        let octets = &self.octets[at as usize..];
        usize::from(octets[0] & DEPTH_MASK) == depth
            && usize::from(octets[LENGTH_AT] & LENGTH_MASK) == label.len()
            && octets[Self::label_at(octets)..].starts_with(label)
            && (parent..self.end_below(parent)).contains(&at)
    }

    /// Where the nodes below that at `at` are over; if there are none, where it begins itself.
    #[inline]
    pub(super) fn end_below(&self, at: u32) -> u32 {
        let octets = &self.octets[at as usize..];
        if octets[0] & INNER == 0 { at } else { u32_at(octets, HEAD_LEN) }
    }

    /// Where the label begins of the node with these octets.
    #[inline]
    fn label_at(octets: &[u8]) -> usize {
        HEAD_LEN + usize::from(octets[0] / INNER) * END_LEN
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
            let ends = if self.ends.of_most { ENDS } else { 0 };
            let said = self.read_standing(COMMON | ends, octets, &mut end);
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
        let below = match (flags & BELOW_MASK) >> BELOW_SHIFT {
            0 => Outlook::Never,
            1 => Outlook::Always,
            kind => {
                let until_s = u32_at(octets, end);
                end += 4;
                if kind == 2 { Outlook::Until(until_s) } else { Outlook::Perhaps(until_s) }
            }
        };
        (Node { depth, label, exact, wildcard, below }, at + end as u32)
    }

    /// All nodes in order, each with its place.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (u32, Node<'_>)> {
        let mut next = APEX;
        std::iter::from_fn(move || {
            let at = next;
            let (node, after) = ((at as usize) < self.len()).then(|| self.read(at))?;
            next = after;
            Some((at, node))
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
        let form = match octets[*end].trailing_zeros() {
            0 => 2,
            1 => 1,
            2 => 0,
            _ => 3,
        };
        let (len, tag_bits, _) = LIFETIME_FORMS[form];
        let mut number = [0; 8];
        number[..len].copy_from_slice(&octets[*end..*end + len]);
        *end += len;
        self.ends.first_s + (u64::from_le_bytes(number) >> tag_bits) as u32
    }

    /// Appends a node with nothing below it.
    pub(super) fn push(&mut self, node: Node<'_>) {
        let Node { exact, wildcard, .. } = node;
        let is_common = |standing: Standing| {
            self.palette.first() == Some(&standing.ruling) && self.ends.of_most == (standing.until_s != FOREVER_S)
        };
        let short = match (exact, wildcard) {
            (said, Standing::ABSENT) if is_common(said) => SHORT_NAME,
            (Standing::ABSENT, said) if is_common(said) => SHORT_WILDCARD,
            (one, two) if one == two && is_common(one) => SHORT_NAME | SHORT_WILDCARD,
            _ => 0,
        };
        self.push_label(node, false, short);
        if short == 0 {
            self.push_flags(node);
        } else if self.ends.of_most {
            self.push_until(exact.until_s.min(wildcard.until_s));
        }
    }

    /// Appends a node with others below it. What those list is told by [`Self::close`]; `has_room` leaves room for an end.
    pub(super) fn push_inner(&mut self, node: Node<'_>, has_room: bool) -> Place {
        let at = self.push_label(node, true, 0);
        let flags_at = self.push_flags(node);
        let until_at = has_room.then(|| {
            self.octets.extend_from_slice(&[0; 4]);
            self.octets.len() as u32 - 4
        });
        Place { at, flags_at, until_at }
    }

    /// All nodes below that one are there, and this is what they list. Without room for an end, that is nothing at all or something
    /// for ever.
    pub(super) fn close(&mut self, place: Place, below: Outlook) {
        let end_at = place.at as usize + HEAD_LEN;
        let end = self.end();
        self.octets[end_at..end_at + END_LEN].copy_from_slice(&end.to_le_bytes());
        let (kind, until) = match (below, place.until_at) {
            (Outlook::Never, None) => (0, None),
            (_, None) => {
                debug_assert_eq!(below, Outlook::Always);
                (1, None)
            }
            (Outlook::Perhaps(until_s), Some(at)) => (3, Some((at, until_s))),
            // Never is until 1970, and always until there is no end.
            (_, Some(at)) => (2, Some((at, below.end_s()))),
        };
        if let Some((at, until_s)) = until {
            self.octets[at as usize..at as usize + 4].copy_from_slice(&until_s.to_le_bytes());
        }
        self.octets[place.flags_at as usize] |= kind << BELOW_SHIFT;
    }

    /// Where the next node begins.
    fn end(&self) -> u32 {
        u32::try_from(self.octets.len()).expect("names of less than 4 GiB")
    }

    /// Begins a node.
    fn push_label(&mut self, node: Node<'_>, is_inner: bool, short: u8) -> u32 {
        let Node { depth, label, .. } = node;
        let at = self.end();
        if self.octets.capacity() - self.octets.len() < NODE_MAX {
            self.octets.reserve_exact((self.octets.len() / 16).max(NODE_MAX));
        }
        self.octets.push(if is_inner { depth as u8 | INNER } else { depth as u8 });
        self.octets.push(short << SHORT_SHIFT | label.len() as u8);
        if is_inner {
            self.octets.extend_from_slice(&[0; END_LEN]);
        }
        self.octets.extend_from_slice(label);
        at
    }

    /// Appends what a node says that is not short. Returns where its flags are.
    fn push_flags(&mut self, node: Node<'_>) -> u32 {
        let flags_at = self.octets.len();
        self.octets.push(0);
        let mut flags = self.push_standing(node.exact);
        if node.wildcard == node.exact {
            flags |= BOTH;
        } else {
            flags |= self.push_standing(node.wildcard) << WILDCARD_SHIFT;
        }
        self.octets[flags_at] = flags;
        flags_at as u32
    }

    fn push_standing(&mut self, standing: Standing) -> u8 {
        let Standing { ruling, until_s } = standing;
        if ruling == Ruling::ABSENT {
            return 0;
        }
        let kind = match self.code(ruling) {
            Some(0) => COMMON,
            Some(code) => {
                self.octets.push(code);
                OCTET
            }
            None => {
                self.octets.extend_from_slice(&ruling.0.to_le_bytes());
                WHOLE
            }
        };
        if until_s == FOREVER_S {
            return kind;
        }
        self.push_until(until_s);
        kind | ENDS
    }

    fn push_until(&mut self, until_s: u32) {
        let after_s = u64::from(until_s - self.ends.first_s);
        let fits = |&(len, tag_bits, _): &(usize, u32, u8)| after_s >> (8 * len as u32 - tag_bits) == 0;
        let (len, tag_bits, tag) = LIFETIME_FORMS.into_iter().find(fits).expect("five octets hold every second");
        let number = after_s << tag_bits | u64::from(tag);
        self.octets.extend_from_slice(&number.to_le_bytes()[..len]);
    }

    /// The place of a ruling in the palette, which is made as long as there are places.
    fn code(&mut self, ruling: Ruling) -> Option<u8> {
        let known = self.palette.iter().position(|other| *other == ruling);
        if known.is_none() && self.palette.len() < PALETTE_MAX {
            self.palette.push(ruling);
            return Some((self.palette.len() - 1) as u8);
        }
        known.map(|code| code as u8)
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
        for (palette_len, of_most) in [(0, false), (2, true), (PALETTE_MAX, false)] {
            let ends = Ends { first_s: 4, of_most };
            let others = (100..).map(|value| Ruling::listed(ValueId(value)));
            let palette: Vec<Ruling> = rulings[..2].iter().copied().chain(others).take(palette_len).collect();
            let mut arena = Arena::new(palette, ends);
            let mut expected = Vec::new();
            for node in &nodes {
                expected.push((arena.len() as u32, *node));
                match node.below {
                    Outlook::Never => arena.push(*node),
                    below => {
                        let has_room = below != Outlook::Always;
                        let place = arena.push_inner(*node, has_room);
                        arena.close(place, below);
                    }
                }
            }
            let mut next = APEX;
            for (at, node) in expected {
                assert_eq!(at, next);
                let (read, end) = arena.read(at);
                assert_eq!(format!("{read:?}"), format!("{node:?}"));
                assert_eq!(arena.end_below(at), if node.below == Outlook::Never { at } else { end });
                next = end;
            }
            assert_eq!(next as usize, arena.len());
        }
    }

    #[test]
    fn ends_take_as_many_octets_as_they_need() {
        let first_s = 1_800_000_000;
        let after_s =
            [0, (1 << 13) - 1, 1 << 13, (1 << 22) - 1, 1 << 22, (1 << 31) - 1, 1 << 31, FOREVER_S - 1 - first_s];
        for (after_s, octets) in after_s.into_iter().zip([2, 2, 3, 3, 4, 4, 5, 5]) {
            let mut arena = Arena::new(vec![Ruling::EXCLUDED], Ends { first_s, of_most: true });
            let exact = Standing { ruling: Ruling::EXCLUDED, until_s: first_s + after_s };
            let wildcard = Standing::ABSENT;
            arena.push(Node { depth: 1, label: b"label", exact, wildcard, below: Outlook::Never });
            assert_eq!(arena.len(), HEAD_LEN + 5 + octets, "{after_s}");
            assert_eq!(arena.read(APEX).0.exact, exact);
        }
    }

    #[test]
    fn with_room_never_and_always_have_an_end() {
        for (below, read) in [(Outlook::Never, 0), (Outlook::Always, FOREVER_S)] {
            let mut arena = Arena::new(Vec::new(), Ends::default());
            let place = arena.push_inner(silent(1, b"label"), true);
            arena.close(place, below);
            assert_eq!(arena.read(place.at).0.below, Outlook::Until(read));
        }
    }

    fn silent(depth: usize, label: &[u8]) -> Node<'_> {
        Node { depth, label, exact: Standing::ABSENT, wildcard: Standing::ABSENT, below: Outlook::Never }
    }

    #[test]
    fn children_of_their_parents_only() {
        let mut arena = Arena::new(Vec::new(), Ends::default());
        let apex = arena.push_inner(silent(0, b""), false);
        let mut places = vec![(apex.at, APEX, 0, &b""[..])];
        // Two tops with the same labels below them, and one of these with the same again.
        for top in [b"a", b"b"] {
            let top_place = arena.push_inner(silent(1, top), false);
            places.push((top_place.at, APEX, 1, top));
            let inner = arena.push_inner(silent(2, b"x"), false);
            places.push((inner.at, top_place.at, 2, b"x"));
            for label in [b"x", b"y"] {
                places.push((arena.len() as u32, inner.at, 3, label));
                arena.push(silent(3, label));
            }
            arena.close(inner, Outlook::Always);
            places.push((arena.len() as u32, top_place.at, 2, b"y"));
            arena.push(silent(2, b"y"));
            arena.close(top_place, Outlook::Always);
        }
        arena.close(apex, Outlook::Always);
        for &(at, own_parent, own_depth, own_label) in &places[1..] {
            for &(parent, _, parent_depth, _) in &places {
                for label in [&b"a"[..], b"b", b"x", b"y", b"xy", b""] {
                    let expected = parent == own_parent && label == own_label;
                    assert_eq!(arena.is_child(at, parent, parent_depth + 1, label), expected);
                    assert!(!arena.is_child(at, parent, own_depth + 1, label));
                }
            }
        }
    }
}
