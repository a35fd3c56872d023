//! Standings one behind the other: what several prefixes around one address say of it, the narrowest first.
//!
//! The first that says something decides, unless its ruling is joined to the next wider one's: then both count, as all
//! prefixes of one octet do in rbldnsd's ip4set. Where the standings are kept is not told here, so that a finding can point to
//! several of them without a copy.

use super::{
    ruling::{Context, Finding, Level, Rulings, Together},
    standing::{Equals, Standing},
    values::ValueId,
};

/// So many standings may count together: those of prefixes of as many lengths as one octet has, and that of all addresses.
pub(super) const TOGETHER_MAX: usize = 9;

/// Standings by position.
pub(super) trait Nested {
    /// The one at `position`.
    fn standing(&self, position: usize) -> Standing;

    /// Where the next wider one is.
    fn behind(&self, position: usize) -> Option<usize>;
}

/// The standings of one range, the narrowest first.
#[derive(Clone, Debug)]
pub struct Standings(pub(super) Vec<Standing>);

impl Nested for Standings {
    fn standing(&self, position: usize) -> Standing {
        self.0[position]
    }

    fn behind(&self, position: usize) -> Option<usize> {
        Some(position + 1).filter(|behind| *behind < self.0.len())
    }
}

impl Standings {
    /// The levels of claims, most specific first.
    pub(super) fn levels(&self, rulings: &Rulings) -> Vec<Level> {
        let levels = self.0.chunk_by(|narrow, _| narrow.ruling.is_joined());
        let levels = levels.map(|level| match level {
            [standing] => standing.claims(rulings),
            _ => Equals::All.settle(level.iter().rev().copied(), rulings).claims,
        });
        levels.collect()
    }
}

/// Decides for one query what the standing at `position` says and those behind it.
#[inline(never)]
pub(super) fn decide<'a>(
    nested: &'a impl Nested,
    mut position: usize,
    rulings: &'a Rulings,
    context: &Context,
) -> Finding<'a> {
    loop {
        let standing = nested.standing(position);
        match standing.decide(rulings, context) {
            Finding::One(..) if standing.ruling.is_joined() => {
                return match ValuesTogether::of(nested, position, context) {
                    None => Finding::Excluded,
                    Some(ValuesTogether { listed: [(value, until_s), ..], count: 1 }) => Finding::One(value, until_s),
                    Some(_) => Finding::Together(nested, position as u32),
                };
            }
            Finding::Absent => {}
            finding => return finding,
        }
        match nested.behind(position) {
            Some(behind) => position = behind,
            None => return Finding::Absent,
        }
    }
}

impl<N: Nested> Together for N {
    fn for_each_value(&self, first: u32, context: &Context, visit: &mut dyn FnMut(ValueId, u32)) {
        let Some(ValuesTogether { listed, count }) = ValuesTogether::of(self, first as usize, context) else { return };
        listed[..count].iter().rev().for_each(|&(value, until_s)| visit(value, until_s));
    }
}

/// A few values, each until then.
struct ValuesTogether {
    /// In reverse order.
    listed: [(ValueId, u32); TOGETHER_MAX],
    count: usize,
}

impl ValuesTogether {
    /// The values in force that count together from `position` on; none of an exclusion.
    fn of(nested: &impl Nested, mut position: usize, context: &Context) -> Option<Self> {
        // Nothing that counts together has a link.
        let rulings = Rulings::default();
        let mut few = Self { listed: [(ValueId(0), 0); TOGETHER_MAX], count: 0 };
        loop {
            let standing = nested.standing(position);
            match (standing.decide(&rulings, context), standing.ruling.alone().value()) {
                (Finding::One(value, until_s), _) => few.add_first(value, until_s),
                // What is over still says which of several values comes first, where it was renewed.
                (Finding::Absent, Some(value)) => few.move_first(value),
                (Finding::Excluded, _) => return None,
                _ => {}
            }
            match nested.behind(position) {
                Some(behind) if standing.ruling.is_joined() => position = behind,
                _ => return Some(few),
            }
        }
    }

    /// Another value comes before all others. If it is one of them, that listing was renewed: it ends with the last.
    fn add_first(&mut self, value: ValueId, until_s: u32) {
        self.move_first(value);
        match self.listed[..self.count].last_mut() {
            Some((first, renewed_s)) if *first == value => *renewed_s = until_s.max(*renewed_s),
            _ => {
                self.listed[self.count] = (value, until_s);
                self.count += 1;
            }
        }
    }

    /// A value comes before all others, if it is one of them.
    fn move_first(&mut self, value: ValueId) {
        let listed = &mut self.listed[..self.count];
        if let Some(known) = listed.iter().position(|(other, _)| *other == value) {
            listed[known..].rotate_left(1);
        }
    }
}
