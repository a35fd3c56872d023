//! What words behind a key say, remembered: lines often say the same in the same words, one after the other or in turn.
//!
//! Reading a value takes hundreds of instructions: parameters are looked for, an address is read, and value and text are
//! looked up among all others. Looking the words themselves up takes a few dozen.

use crate::zone::ruling::Claim;

/// Words of up to so many octets are kept: one behind each other address is not what this is for.
const WORDS_LEN_MAX: usize = 255;

/// So many are kept, each in the place that its octets lead to: some hundred different ones hardly ever meet.
const PLACES: usize = 1 << PLACES_LOG2;
const PLACES_LOG2: u32 = 12;

/// Claims by the words that say them.
pub(super) struct Words {
    places: Vec<Remembered>,
    /// What was kept in an earlier time does not count.
    time: u64,
}

struct Remembered {
    words: Vec<u8>,
    /// The `$LIFETIME` in force.
    lifetime_s: u32,
    time: u64,
    claim: Claim,
}

impl Default for Words {
    fn default() -> Self {
        Self { places: Vec::new(), time: 1 }
    }
}

impl Words {
    /// Forgets everything.
    pub(super) fn forget(&mut self) {
        self.time += 1;
    }

    /// Where they are kept.
    #[cfg(test)]
    pub(super) fn room(&self) -> Option<*const ()> {
        self.places.first().map(|place| std::ptr::from_ref(place).cast())
    }

    /// What the words say.
    #[inline]
    pub(super) fn claim(&self, words: &[u8], lifetime_s: u32) -> Option<Claim> {
        let found = self.places.get(place(words))?;
        let is_same = found.time == self.time && found.lifetime_s == lifetime_s && found.words == words;
        is_same.then_some(found.claim)
    }

    /// Remembers what the words say. A carriage return at their end is a part of them only where another one followed it: what is
    /// looked up may go on to the end of its line, and then it is none.
    pub(super) fn keep(&mut self, words: &[u8], lifetime_s: u32, claim: Claim) {
        if words.len() > WORDS_LEN_MAX || words.ends_with(b"\r") {
            return;
        }
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || Remembered { words: Vec::new(), lifetime_s: 0, time: 0, claim });
        }
        let remembered = &mut self.places[place(words)];
        remembered.words.clear();
        remembered.words.extend_from_slice(words);
        (remembered.lifetime_s, remembered.time, remembered.claim) = (lifetime_s, self.time, claim);
    }
}

/// The words from here to the end of the line, if it ends soon enough for them to be kept.
#[inline]
pub(super) fn on_line(text: &[u8]) -> Option<&[u8]> {
    let near = &text[..text.len().min(WORDS_LEN_MAX + 1)];
    memchr::memchr(b'\n', near).map(|end| &near[..end])
}

/// Where words are kept. Nothing depends on it but how often they are found.
#[inline]
fn place(words: &[u8]) -> usize {
    /// Odd, with bits everywhere: the golden ratio of 2^64.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash.rotate_left(29) ^ word).wrapping_mul(SPREAD);
    let (whole, rest) = words.as_chunks();
    let hash = whole.iter().fold(words.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    // The last octets are taken twice rather than one by one.
    let last = words.last_chunk().map_or_else(
        || rest.iter().fold(0, |word, &octet| word << 8 | u64::from(octet)),
        |last| u64::from_le_bytes(*last),
    );
    (mix(hash, last) >> (u64::BITS - PLACES_LOG2)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::values::ValueId;

    #[test]
    fn words_are_kept_until_forgotten_or_pushed_out() {
        let mut words = Words::default();
        let texts: Vec<String> = (0..2_000).map(|number| format!(" :2:text number {number}")).collect();
        assert!(words.claim(b"", 0).is_none());
        let claim = |number: usize| Claim::listed(ValueId(number as u32));
        for (number, text) in texts.iter().enumerate() {
            words.keep(text.as_bytes(), 60, claim(number));
            assert_eq!(words.claim(text.as_bytes(), 60), Some(claim(number)));
            assert_eq!(words.claim(text.as_bytes(), 61), None);
        }
        let found = |words: &Words| {
            let found = texts.iter().enumerate().filter(|(number, text)| match words.claim(text.as_bytes(), 60) {
                Some(kept) => {
                    assert_eq!(kept, claim(*number));
                    true
                }
                None => false,
            });
            found.count()
        };
        assert!(found(&words) > texts.len() / 2);
        words.forget();
        assert_eq!(found(&words), 0);
        words.keep(&[b'x'; WORDS_LEN_MAX + 1], 0, claim(1));
        assert_eq!(words.claim(&[b'x'; WORDS_LEN_MAX + 1], 0), None);
    }
}
