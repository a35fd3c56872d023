//! Words that are written with a slip, so that whoever made it can be told.

/// Whether a word is another one in whatever case, but for one slip at most: an octet that is missing, too much or wrong, or two
/// that are swapped.
pub fn is_near(word: &[u8], known: &[u8]) -> bool {
    let is_same = |(one, two): &(&u8, &u8)| one.eq_ignore_ascii_case(two);
    let start = word.iter().zip(known).take_while(is_same).count();
    let (word, known) = (&word[start..], &known[start..]);
    let end = word.iter().rev().zip(known.iter().rev()).take_while(is_same).count();
    match (&word[..word.len() - end], &known[..known.len() - end]) {
        ([] | [_], [] | [_]) => true,
        ([first, second], [third, fourth]) => is_same(&(first, fourth)) && is_same(&(second, third)),
        _ => false,
    }
}
