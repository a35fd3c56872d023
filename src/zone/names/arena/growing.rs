//! Growing the arena: nodes are appended as they come, and told what is below them when that is all there.

use super::{
    Arena, BELOW_ALWAYS, BELOW_FEW, BELOW_NEVER, BELOW_SHIFT, BELOW_SUMMED, BOTH, CERTAIN, COMMON, END_LEN, ENDS,
    FOREVER_S, HEAD_LEN, INNER, LIFETIME_FORMS, LIFETIME_MAX, NODE_MAX, Node, OCTET, OpenNode, Outlook, PALETTE_MAX,
    Ruling, SHORT_NAME, SHORT_SHIFT, SHORT_WILDCARD, SUMMARY_LEN, SUMMED_FROM, Standing, WHOLE, WILDCARD_SHIFT,
};
use crate::zone::tight::reserve_tight;

impl Arena {
    /// Appends a node with nothing below it.
    pub(in super::super) fn push(&mut self, node: Node<'_>) {
        let Node { exact, wildcard, .. } = node;
        let is_common = |standing: Standing| self.palette.first() == Some(&standing.ruling);
        let short = match (exact, wildcard) {
            (said, Standing::ABSENT) if is_common(said) => SHORT_NAME,
            (Standing::ABSENT, said) if is_common(said) => SHORT_WILDCARD,
            (one, two) if one == two && is_common(one) => SHORT_NAME | SHORT_WILDCARD,
            _ => 0,
        };
        if short == 0 {
            self.push_label(node, 0, 0);
            self.push_flags(node);
            return;
        }
        // What is absent has none.
        let until_s = exact.until_s.min(wildcard.until_s);
        let has_end = until_s != FOREVER_S;
        self.push_label(node, if has_end == self.ends.of_most { 0 } else { INNER }, short);
        if has_end {
            self.push_until(until_s);
        }
    }

    /// Appends a node with others below it. What those list is told by [`Self::close`].
    pub(in super::super) fn push_inner(&mut self, node: Node<'_>) -> OpenNode {
        let at = self.push_label(node, INNER, 0);
        let flags_at = self.push_flags(node);
        OpenNode { at, flags_at }
    }

    /// All nodes below that one are there, so many, and this is what they list.
    pub(in super::super) fn close(&mut self, place: OpenNode, below: Outlook, nodes: usize) {
        let kind = match below {
            Outlook::Never => BELOW_NEVER,
            Outlook::Always => BELOW_ALWAYS,
            Outlook::Perhaps(_) | Outlook::Until(_) if nodes < SUMMED_FROM => BELOW_FEW,
            Outlook::Perhaps(until_s) => self.sum_up(0, until_s),
            Outlook::Until(until_s) => self.sum_up(CERTAIN, until_s),
        };
        self.octets[place.flags_at as usize] |= kind << BELOW_SHIFT;
        let end_at = place.at as usize + HEAD_LEN;
        let end = self.end();
        self.octets[end_at..end_at + END_LEN].copy_from_slice(&end.to_le_bytes());
    }

    fn sum_up(&mut self, certainty: u8, until_s: u32) -> u8 {
        reserve_tight(&mut self.octets, SUMMARY_LEN, usize::MAX);
        self.octets.push(certainty);
        self.octets.extend_from_slice(&until_s.to_le_bytes());
        BELOW_SUMMED
    }

    /// Begins a node; `mark` is [`INNER`] or nothing.
    fn push_label(&mut self, node: Node<'_>, mark: u8, short: u8) -> u32 {
        let Node { depth, label, .. } = node;
        let at = self.end();
        reserve_tight(&mut self.octets, NODE_MAX, usize::MAX);
        self.octets.push(depth as u8 | mark);
        self.octets.push(short << SHORT_SHIFT | label.len() as u8);
        if Self::is_inner(&self.octets[at as usize..]) {
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
        let after_s = until_s - self.ends.first_s;
        let fits = |&(len, tag_bits, _): &(usize, u32, u8)| after_s >> (8 * len as u32 - tag_bits) == 0;
        let form = if self.ends.are_far { None } else { LIFETIME_FORMS.into_iter().find(fits) };
        let (len, tag_bits, tag) = form.unwrap_or((LIFETIME_MAX, 0, 0));
        let number = after_s << tag_bits | u32::from(tag);
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
