//! Sorting in place by octets of the keys.
//!
//! Lines of a list that is not sorted are sorted a few hundred thousand at a time. Comparing them two by two takes some twenty
//! comparisons each, half of them guessed wrong by the processor. Handing them out by one octet of their keys after the other
//! (an American flag sort) takes a dozen instructions an octet, needs no second place to stand in, and after two or three
//! octets next to nothing is left to compare.

use std::{cmp::Ordering, ops::Range};

/// So few are compared: handing them out would cost more.
const COMPARED_MAX: usize = 16;

/// So many values to an item are too many to go over: what is left is compared, too.
const SPARSE: usize = 4;

/// Octets have so many values.
const VALUES: usize = 256;

/// Sorts by `compare`, of which it must hold that the `digits` of the items, in their order, decide first. Equal items may
/// change places.
pub(super) fn sort_in_place<T: Copy>(
    items: &mut [T],
    mut digits: Range<usize>,
    digit: &impl Fn(&T, usize) -> u8,
    compare: &impl Fn(&T, &T) -> Ordering,
) {
    let Some(Counts { of_value, values, at }) = count(items, &mut digits, digit) else {
        items.sort_unstable_by(compare);
        return;
    };
    let mut ends = [0; VALUES];
    let mut nexts = [0; VALUES];
    let mut sum = 0;
    for value in values.clone() {
        nexts[value] = sum;
        sum += of_value[value];
        ends[value] = sum;
    }
    for value in values.clone() {
        while nexts[value] < ends[value] {
            // Each step brings an item home and does not wait for the one before it: what comes in its place has its turn later.
            for here in nexts[value]..ends[value] {
                let home = usize::from(digit(&items[here as usize], at));
                items.swap(here as usize, nexts[home] as usize);
                nexts[home] += 1;
            }
        }
    }
    let mut rest = items;
    for value in values {
        let (own, others) = rest.split_at_mut(of_value[value] as usize);
        rest = others;
        if own.len() > 1 {
            sort_in_place(own, digits.clone(), digit, compare);
        }
    }
}

/// How many items have each value of a digit.
struct Counts {
    of_value: [u32; VALUES],
    /// The values that occur, and those between them: letters and digits are few.
    values: Range<usize>,
    at: usize,
}

/// Counts the first digit in which some differ, which is taken from `digits`. `None`: too few are left of either, or
/// they are too far apart.
fn count<T>(items: &[T], digits: &mut Range<usize>, digit: &impl Fn(&T, usize) -> u8) -> Option<Counts> {
    if items.len() <= COMPARED_MAX {
        return None;
    }
    loop {
        let at = digits.next()?;
        let mut of_value = [0; VALUES];
        let (mut lowest, mut highest) = (u8::MAX, 0);
        for item in items {
            let value = digit(item, at);
            of_value[usize::from(value)] += 1;
            lowest = lowest.min(value);
            highest = highest.max(value);
        }
        if usize::from(highest - lowest) > SPARSE * items.len() {
            return None;
        }
        if lowest < highest {
            return Some(Counts { of_value, values: usize::from(lowest)..usize::from(highest) + 1, at });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holds(mut items: Vec<(u32, u16)>) {
        let mut expected = items.clone();
        expected.sort_unstable();
        sort_in_place(&mut items, 0..4, &|item, at| item.0.to_be_bytes()[at], &|one, two| one.cmp(two));
        assert!(items == expected);
    }

    proptest! {
        #[test]
        fn scattered_and_close(keys in proptest::collection::vec(any::<u32>(), 0..3_000), mask in any::<u32>()) {
            holds(keys.into_iter().zip(0..).map(|(key, line)| (key & mask, u16::MAX - line)).collect());
        }
    }

    #[test]
    fn all_the_same_and_many() {
        holds((0..9_000).map(|line| (7, line * 7)).collect());
        holds((0..90_000_u32).map(|line| (line.wrapping_mul(2_654_435_761), line as u16)).collect());
        holds((0..90_000_u32).map(|line| (line, 0)).collect());
    }
}
