//! Parts of a dataset that were read side by side, put together: what each says in words of its own becomes words of the first.
//!
//! A part numbers its values and links in the order in which it met them. Most parts of a file meet the same ones in the same
//! order, and then nothing is to be done; else lines are translated when they are read from their [runs](super::runs).

use super::{
    ruling::{Ruling, RulingsBuilder},
    values::ValueId,
};

/// What the rulings of a later part are in the first one.
#[derive(Debug)]
pub(super) struct Translation {
    values: Vec<ValueId>,
    links: Vec<Ruling>,
}

impl Translation {
    /// Takes over the rulings of a part, given what its values are here. `None`: all mean what they meant.
    pub(super) fn of(later: &RulingsBuilder, values: Vec<ValueId>, rulings: &mut RulingsBuilder) -> Option<Self> {
        let links = later.links().map(|link| {
            let mut claims = later.so_far().claims(link);
            for claim in &mut claims {
                claim.value = claim.value.map(|value| values[value.0 as usize]);
            }
            rulings.level(&claims)
        });
        let links: Vec<Ruling> = links.collect();
        let is_same =
            (0..).zip(&values).all(|(number, value)| value.0 == number) && later.links().eq(links.iter().copied());
        (!is_same).then_some(Self { values, links })
    }

    /// What a ruling of the later part is.
    #[inline]
    pub(super) fn ruling(&self, ruling: Ruling) -> Ruling {
        match (ruling.value(), ruling.link()) {
            (Some(value), _) => Ruling::listed(self.values[value.0 as usize]),
            (None, Some(link)) => self.links[link as usize],
            (None, None) => ruling,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::ruling::Claim;

    #[test]
    fn values_and_links_find_their_places() {
        let delayed = |value| Claim { from_s: 9, ..Claim::listed(ValueId(value)) };
        let mut first = RulingsBuilder::default();
        let here = [first.claim(delayed(0)), first.claim(delayed(1))];
        let mut later = RulingsBuilder::default();
        let there = [later.claim(delayed(1)), later.claim(delayed(0)), later.claim(delayed(2))];
        assert!(Translation::of(&RulingsBuilder::default(), vec![ValueId(0)], &mut first).is_none());
        let values = [ValueId(0), ValueId(1), ValueId(7)];
        let translation = Translation::of(&later, values.to_vec(), &mut first).expect("they differ");
        assert_eq!([translation.ruling(there[0]), translation.ruling(there[1])], [here[1], here[0]]);
        assert_eq!(first.so_far().claims(translation.ruling(there[2])), [delayed(7)]);
        assert_eq!(translation.ruling(Ruling::listed(ValueId(2))), Ruling::listed(ValueId(7)));
        for ruling in [Ruling::EXCLUDED, Ruling::ABSENT] {
            assert_eq!(translation.ruling(ruling), ruling);
        }
    }
}
