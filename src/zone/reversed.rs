//! Names as trees and ordered maps have them: their labels from right to left, each after its length.
//!
//! So a name begins with the one that it is below, and in the order of octets all names below one follow it without gap. There is
//! no octet for the root, which all have in common.

use crate::wire::name::{LABELS_MAX, NAME_MAX, Name, RelativeName};

/// Such a name on the stack, as a way down from the apex on which every name above is at hand.
pub struct Reversed {
    octets: [u8; NAME_MAX],
    /// Where each label ends, the one next to the apex first; before that, where the apex does.
    ends: [u8; LABELS_MAX + 1],
    count: usize,
}

impl Reversed {
    /// The apex.
    #[inline]
    pub const fn apex() -> Self {
        Self { octets: [0; NAME_MAX], ends: [0; LABELS_MAX + 1], count: 0 }
    }

    /// A name that is asked about.
    #[inline]
    pub fn of(name: RelativeName<'_>) -> Self {
        let mut reversed = Self::apex();
        for label in name.labels_down() {
            reversed.push(label);
        }
        reversed
    }

    /// Goes down by a label, with which the name must not become too long.
    #[inline]
    pub fn push(&mut self, label: &[u8]) {
        let start = self.all().len();
        let end = start + 1 + label.len();
        self.octets[start] = label.len() as u8;
        self.octets[start + 1..end].copy_from_slice(label);
        self.count += 1;
        self.ends[self.count] = end as u8;
    }

    /// Goes back up to so many labels.
    pub fn return_to(&mut self, count: usize) {
        debug_assert!(count <= self.count);
        self.count = count;
    }

    /// Number of labels.
    #[inline]
    pub fn label_count(&self) -> usize {
        self.count
    }

    /// The part of it with so many labels, from the apex.
    #[inline]
    pub fn top(&self, count: usize) -> &[u8] {
        &self.octets[..usize::from(self.ends[count])]
    }

    /// All of it.
    #[inline]
    pub fn all(&self) -> &[u8] {
        self.top(self.count)
    }

    /// The name as others have it.
    pub fn to_name(&self) -> Name {
        unreverse(self.all())
    }
}

/// A name's labels from right to left.
pub fn reverse(name: &Name) -> Box<[u8]> {
    let mut reversed = Vec::with_capacity(name.as_wire().len());
    turn(name.as_wire(), &mut reversed);
    reversed.into()
}

/// The name of labels from right to left.
pub fn unreverse(reversed: &[u8]) -> Name {
    let mut wire = Vec::with_capacity(reversed.len() + 1);
    turn(reversed, &mut wire);
    wire.push(0);
    Name::from_wire(&wire)
}

/// Appends labels, each with its length, in the opposite order and without the root's.
#[inline]
pub(super) fn turn(labels: &[u8], into: &mut Vec<u8>) {
    let mut starts = [0_u8; LABELS_MAX];
    let (mut count, mut start) = (0, 0);
    while let Some(&length @ 1..) = labels.get(start) {
        starts[count] = start as u8;
        count += 1;
        start += 1 + usize::from(length);
    }
    for &start in starts[..count].iter().rev() {
        let start = usize::from(start);
        into.extend_from_slice(&labels[start..=start + usize::from(labels[start])]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::name::QueryName;

    #[test]
    fn names_there_and_back() {
        let longest = format!("{0}.{0}.{0}.{1}", "x".repeat(63), "y".repeat(61));
        let most_labels = ["z"; LABELS_MAX].join(".");
        for text in [".", "example", "www.example.com", "a\\000b.\\001.c", &longest, &most_labels] {
            let name = Name::parse(text.as_bytes()).expect("a name");
            let reversed = reverse(&name);
            assert_eq!(unreverse(&reversed), name, "{text}");
            let mut query = QueryName::new();
            query.read(name.as_wire()).expect("a name");
            let asked = Reversed::of(query.relative(query.label_count()));
            assert_eq!((asked.all(), asked.label_count()), (&*reversed, name.label_count()), "{text}");
            assert_eq!(asked.to_name(), name);
        }
        assert_eq!(&*reverse(&Name::parse(b"www.example").expect("a name")), b"\x07example\x03www");
    }

    #[test]
    fn down_and_up_again() {
        let mut way = Reversed::apex();
        assert_eq!(way.all(), b"");
        for label in [&b"test"[..], b"a", b"www"] {
            way.push(label);
        }
        assert_eq!(
            (way.top(0), way.top(2), way.all()),
            (&b""[..], &b"\x04test\x01a"[..], &b"\x04test\x01a\x03www"[..])
        );
        way.return_to(1);
        way.push(b"bc");
        assert_eq!(way.to_name(), Name::parse(b"bc.test").expect("a name"));
        way.return_to(0);
        assert_eq!((way.all(), way.to_name()), (&b""[..], Name::root()));
    }
}
