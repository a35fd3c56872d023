//! A template, while it is put together from texts and places for the key.

use super::STRING_MAX;

/// A template while it is put together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Template {
    pub(super) octets: Vec<u8>,
    /// Where the length octet of the string being filled stands.
    open: Option<usize>,
    text_len: usize,
}

impl Template {
    /// Appends text.
    pub fn push_text(&mut self, mut text: &[u8]) {
        self.text_len += text.len();
        while !text.is_empty() {
            let open = match self.open {
                Some(open) if usize::from(self.octets[open]) < STRING_MAX => open,
                _ => {
                    self.octets.push(0);
                    self.octets.len() - 1
                }
            };
            self.open = Some(open);
            let room = STRING_MAX - usize::from(self.octets[open]);
            let (now, later) = text.split_at(room.min(text.len()));
            self.octets.extend_from_slice(now);
            self.octets[open] += now.len() as u8;
            text = later;
        }
    }

    /// Appends a place for the listed key.
    pub fn push_key(&mut self) {
        self.octets.push(0);
        self.open = None;
    }

    /// Whether nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// Octets of text, places not counted.
    pub fn text_len(&self) -> usize {
        self.text_len
    }

    /// Octets that it takes to keep it.
    pub fn stored_len(&self) -> usize {
        self.octets.len()
    }
}
