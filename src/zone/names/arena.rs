//! The nodes of the tree, one after another in bytes.
//!
//! Nearly every node is a leaf with a label of about ten octets that says what most nodes of its set say: six octets, and the
//! label. What is rarer follows the label, and the header tells of it:
//!
//! ```text
//! parent            offset of its node, 4 octets
//! header            2 octets, from the lowest bit
//!   length          6 bits: octets of the label
//!   name            2 bits: nothing; the most frequent ruling; one octet, into the palette; the ruling itself in 4 octets
//!   name ends       1 bit:  and then 4 octets with the end of its lifetime
//!   wildcard        2 bits: the same about the wildcard below
//!   wildcard ends   1 bit
//!   both            1 bit:  the wildcard says what the name says, and takes no room
//!   below           2 bits: Outlook of all that is below; if it has an end, that follows in 4 octets
//! label
//! ```
//!
//! Nodes stand in the order of a walk of the tree, each before its children. All below a node therefore follows it without
//! gap, and the first node whose parent lies before it is the end.

use crate::zone::{
    ruling::{FOREVER_S, Ruling},
    standing::{Outlook, Standing},
};

const LABEL_AT: usize = 6;
const LENGTH_MASK: u16 = 0x3f;
const NAME_SHIFT: u32 = 6;
const WILDCARD_SHIFT: u32 = 9;
const BOTH: u16 = 1 << 12;
const BELOW_SHIFT: u32 = 13;

const COMMON: u16 = 1;
const SHORT: u16 = 2;
const LONG: u16 = 3;
const ENDS: u16 = 1 << 2;

/// Rulings that an octet can tell apart.
pub(super) const PALETTE_MAX: usize = 256;
/// The parent of the apex.
pub(super) const NO_PARENT: u32 = u32::MAX;
/// Where the apex is.
pub(super) const APEX: u32 = 0;

/// The nodes.
#[derive(Debug)]
pub(super) struct Arena {
    octets: Vec<u8>,
    /// The most frequent rulings, the most frequent one first.
    palette: Box<[Ruling]>,
}

/// What a node says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    pub(super) parent: u32,
    pub(super) label: &'a [u8],
    /// Of its name.
    pub(super) exact: Standing,
    /// Of all names below it.
    pub(super) wildcard: Standing,
    /// Whether any node below it lists.
    pub(super) below: Outlook,
}

impl Arena {
    /// An empty arena, and the rulings that will be most frequent in it.
    pub(super) fn new(palette: Box<[Ruling]>) -> Self {
        debug_assert!(palette.len() <= PALETTE_MAX);
        Self { octets: Vec::new(), palette }
    }

    pub(super) fn len(&self) -> usize {
        self.octets.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.octets.capacity() + size_of_val(&*self.palette)
    }

    pub(super) fn shrink_to_fit(&mut self) {
        self.octets.shrink_to_fit();
    }

    /// Whether the node at `at` is the child of `parent` with that label.
    #[inline]
    pub(super) fn is_child(&self, at: u32, parent: u32, label: &[u8]) -> bool {
        let Some((head, rest)) = self.octets[at as usize..].split_first_chunk::<LABEL_AT>() else { return false };
        let header = u16::from_le_bytes([head[4], head[5]]);
        u32_at(head, 0) == parent && usize::from(header & LENGTH_MASK) == label.len() && rest.starts_with(label)
    }

    /// What the node at `at` says of all names below it. Most say nothing, and that takes one look.
    #[inline]
    pub(super) fn wildcard(&self, at: u32) -> Standing {
        const KIND: u16 = 3;
        let header = self.octets[at as usize..].get(4..6).map_or(0, |two| u16::from_le_bytes([two[0], two[1]]));
        let shift = if header & BOTH == 0 { WILDCARD_SHIFT } else { NAME_SHIFT };
        if header >> shift & KIND == 0 { Standing::ABSENT } else { self.read(at).0.wildcard }
    }

    /// The node at `at`, and where the next one is.
    #[inline]
    pub(super) fn read(&self, at: u32) -> (Node<'_>, u32) {
        let octets = &self.octets[at as usize..];
        let header = u16::from_le_bytes([octets[4], octets[5]]);
        let mut end = LABEL_AT + usize::from(header & LENGTH_MASK);
        let label = &octets[LABEL_AT..end];
        let exact = self.read_standing(header >> NAME_SHIFT, octets, &mut end);
        let wildcard =
            if header & BOTH != 0 { exact } else { self.read_standing(header >> WILDCARD_SHIFT, octets, &mut end) };
        let below = match header >> BELOW_SHIFT & 3 {
            0 => Outlook::Never,
            1 => Outlook::Always,
            kind => {
                let until_s = u32_at(octets, end);
                end += 4;
                if kind == 2 { Outlook::Until(until_s) } else { Outlook::Perhaps(until_s) }
            }
        };
        (Node { parent: u32_at(octets, 0), label, exact, wildcard, below }, at + end as u32)
    }

    #[inline]
    fn read_standing(&self, bits: u16, octets: &[u8], end: &mut usize) -> Standing {
        let ruling = match bits & 3 {
            COMMON => self.palette[0],
            SHORT => {
                *end += 1;
                self.palette[usize::from(octets[*end - 1])]
            }
            LONG => {
                *end += 4;
                Ruling(u32_at(octets, *end - 4))
            }
            _ => return Standing::ABSENT,
        };
        let mut until_s = FOREVER_S;
        if bits & ENDS != 0 {
            until_s = u32_at(octets, *end);
            *end += 4;
        }
        Standing { ruling, until_s }
    }

    /// Appends a node, and returns where it is. `code` gives the place of a ruling in the palette.
    pub(super) fn push(&mut self, node: Node<'_>, code: impl Fn(Ruling) -> Option<u8>) -> u32 {
        let at = u32::try_from(self.octets.len()).expect("names of less than 4 GiB");
        self.octets.extend_from_slice(&node.parent.to_le_bytes());
        self.octets.extend_from_slice(&[0; 2]);
        self.octets.extend_from_slice(node.label);
        let mut header = node.label.len() as u16;
        header |= self.push_standing(node.exact, &code) << NAME_SHIFT;
        if node.wildcard == node.exact {
            header |= BOTH;
        } else {
            header |= self.push_standing(node.wildcard, &code) << WILDCARD_SHIFT;
        }
        let (kind, end_s) = match node.below {
            Outlook::Never => (0, None),
            Outlook::Always => (1, None),
            Outlook::Until(end_s) => (2, Some(end_s)),
            Outlook::Perhaps(end_s) => (3, Some(end_s)),
        };
        header |= kind << BELOW_SHIFT;
        self.octets.extend(end_s.into_iter().flat_map(u32::to_le_bytes));
        self.octets[at as usize + 4..at as usize + LABEL_AT].copy_from_slice(&header.to_le_bytes());
        at
    }

    fn push_standing(&mut self, standing: Standing, code: impl Fn(Ruling) -> Option<u8>) -> u16 {
        let kind = match code(standing.ruling) {
            _ if standing.ruling == Ruling::ABSENT => return 0,
            Some(0) => COMMON,
            Some(short) => {
                self.octets.push(short);
                SHORT
            }
            None => {
                self.octets.extend_from_slice(&standing.ruling.0.to_le_bytes());
                LONG
            }
        };
        if standing.until_s == FOREVER_S {
            return kind;
        }
        self.octets.extend_from_slice(&standing.until_s.to_le_bytes());
        kind | ENDS
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
        let mut arena = Arena::new(rulings[..2].into());
        let code = |ruling| rulings[..2].iter().position(|known| *known == ruling).map(|code| code as u8);
        let standings = [rulings[0], rulings[1], rulings[2], Ruling::EXCLUDED]
            .into_iter()
            .flat_map(|ruling| [FOREVER_S, 5].map(|until_s| Standing { ruling, until_s }))
            .chain([Standing::ABSENT]);
        let outlooks = [Outlook::Never, Outlook::Perhaps(9), Outlook::Until(8), Outlook::Always];
        let mut nodes = Vec::new();
        for exact in standings.clone() {
            for wildcard in standings.clone() {
                for below in outlooks {
                    nodes.push(Node { parent: 77, label: &b"a label"[..nodes.len() % 7], exact, wildcard, below });
                }
            }
        }
        let places: Vec<u32> = nodes.iter().map(|node| arena.push(*node, code)).collect();
        let mut next = APEX;
        for (at, node) in places.into_iter().zip(nodes) {
            assert_eq!(at, next);
            let (read, end) = arena.read(at);
            assert_eq!(format!("{read:?}"), format!("{node:?}"));
            assert!(arena.is_child(at, 77, node.label) && !arena.is_child(at, 76, node.label));
            assert!(!arena.is_child(at, 77, b"a labex"));
            next = end;
        }
        assert_eq!(next as usize, arena.len());
    }
}
