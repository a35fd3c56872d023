//! Binary search among what has numbers and stands in no slice, as [`slice::partition_point`] does it where there is one.

use std::ops::Range;

/// The first of these numbers for which `holds` is not so, or their end; it is so for those up to some place, and for none after.
#[inline]
pub(super) fn partition_point(mut numbers: Range<usize>, holds: impl Fn(usize) -> bool) -> usize {
    while !numbers.is_empty() {
        let middle = usize::midpoint(numbers.start, numbers.end);
        if holds(middle) {
            numbers.start = middle + 1;
        } else {
            numbers.end = middle;
        }
    }
    numbers.start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_one_of_slices() {
        let numbers: Vec<usize> = (0..40).collect();
        for start in 0..12 {
            for end in start..12 {
                for place in 0..14 {
                    let expected = start + numbers[start..end].partition_point(|number| *number < place);
                    assert_eq!(partition_point(start..end, |number| number < place), expected);
                }
            }
        }
    }
}
