//! The links of entries that have no code of their own, in as few bits as the highest of them has.
//!
//! Where lists nest or repeat themselves, what an address gets is often made of several lines, and there are thousands of such
//! [combinations](crate::zone::ruling::Rulings). They would fill a palette that most entries need for a few dozen values.

use super::{packed::Packed, which::Which};

/// The numbers of links, by position.
#[derive(Debug, Default)]
pub(super) struct Links {
    which: Which,
    numbers: Packed,
}

impl Links {
    /// The link of the entry at `position`, if it has one.
    #[inline]
    pub(super) fn get(&self, position: usize) -> Option<u32> {
        self.which.rank(position).map(|at| self.numbers.get(at))
    }

    /// The entry at `position`, above all before it, has that link.
    pub(super) fn push(&mut self, position: usize, link: u32) {
        self.which.mark(position);
        self.numbers.reach(link, |link| link);
        self.numbers.push(link);
    }

    /// All are there, of so many entries.
    pub(super) fn finish(&mut self, entries: usize) {
        self.which.finish(entries);
        self.numbers.shrink_to_fit();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.which.memory_bytes() + self.numbers.memory_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own() {
        for (one_in, far) in [(1, 3), (2, 5_000), (7, 1 << 20), (900, (1 << 31) - 1)] {
            let link = |position: usize| position.is_multiple_of(one_in).then_some(position as u32 / 3 * 7 % (far - 1));
            let mut links = Links::default();
            let given: Vec<_> = (0..9_000).map(|at| if at == 6_300 { Some(far) } else { link(at) }).collect();
            for (position, link) in given.iter().enumerate() {
                if let Some(link) = link {
                    links.push(position, *link);
                }
            }
            links.finish(given.len());
            assert!(given.iter().enumerate().all(|(position, link)| links.get(position) == *link), "one in {one_in}");
        }
    }
}
