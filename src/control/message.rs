//! DNS messages off the query path: whole names, pointers followed, and records one after the other.
//!
//! An UPDATE comes some hundred times a second where queries come by the hundred thousand, so reading may allocate; what it
//! must not do is trust. Offsets stay those of the message, because a signature covers octets and not what they mean.

use crate::wire::{
    HEADER_LEN,
    name::{NAME_MAX, Name},
};

/// The message cannot be read: FORMERR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message cannot be read")]
pub struct Unreadable;

/// The question of a query, or the zone of an update: a name, a type and a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// In lower case.
    pub name: Name,
    /// Its type.
    pub rtype: u16,
    /// Its class.
    pub class: u16,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it starts in the message.
    pub at: usize,
    /// Its owner, in lower case.
    pub owner: Name,
    /// Its type.
    pub rtype: u16,
    /// Its class.
    pub class: u16,
    /// Its TTL.
    pub ttl_s: u32,
    /// Its data as they stand; names in them may be pointers.
    pub data: &'a [u8],
}

/// Reads a message from front to end.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// At the first octet after the header.
    pub const fn new(message: &'a [u8]) -> Self {
        Self { message, at: HEADER_LEN }
    }

    /// Where it stands.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Reads a question.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn question(&mut self) -> Result<Question, Unreadable> {
        let name = self.name()?;
        let [t1, t2, c1, c2] = *self.take::<4>()?;
        Ok(Question { name, rtype: u16::from_be_bytes([t1, t2]), class: u16::from_be_bytes([c1, c2]) })
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn record(&mut self) -> Result<Record<'a>, Unreadable> {
        let at = self.at;
        let owner = self.name()?;
        let [t1, t2, c1, c2, s1, s2, s3, s4, l1, l2] = *self.take::<10>()?;
        let length = usize::from(u16::from_be_bytes([l1, l2]));
        let data = self.message.get(self.at..self.at + length).ok_or(Unreadable)?;
        self.at += length;
        Ok(Record {
            at,
            owner,
            rtype: u16::from_be_bytes([t1, t2]),
            class: u16::from_be_bytes([c1, c2]),
            ttl_s: u32::from_be_bytes([s1, s2, s3, s4]),
            data,
        })
    }

    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], Unreadable> {
        let octets = self.message.get(self.at..).and_then(|rest| rest.first_chunk()).ok_or(Unreadable)?;
        self.at += N;
        Ok(octets)
    }

    /// Reads a name, following pointers. Each must lead to an earlier octet than the one before, so that there is an end.
    fn name(&mut self) -> Result<Name, Unreadable> {
        let (mut octets, mut len) = ([0; NAME_MAX], 0);
        let (mut at, mut end, mut lowest) = (self.at, None, self.at);
        loop {
            let length = *self.message.get(at).ok_or(Unreadable)?;
            match length {
                0 => break,
                1..=63 => {
                    let label = self.message.get(at..=at + usize::from(length)).ok_or(Unreadable)?;
                    // One octet stays free for the root.
                    let place = octets[..NAME_MAX - 1].get_mut(len..len + label.len()).ok_or(Unreadable)?;
                    place.copy_from_slice(label);
                    len += label.len();
                    at += label.len();
                }
                0xc0.. => {
                    let low = *self.message.get(at + 1).ok_or(Unreadable)?;
                    end.get_or_insert(at + 2);
                    at = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                    if at >= lowest || at < HEADER_LEN {
                        return Err(Unreadable);
                    }
                    lowest = at;
                }
                _ => return Err(Unreadable),
            }
        }
        self.at = end.unwrap_or(at + 1);
        // Lengths are below 64, and no letters.
        octets[..len].make_ascii_lowercase();
        Ok(Name::from_wire(&octets[..=len]))
    }
}

/// Reads a name that is not compressed at the start of `octets`; returns what follows it.
///
/// # Errors
/// [`Unreadable`].
pub fn plain_name(octets: &[u8]) -> Result<(Name, &[u8]), Unreadable> {
    let mut end = 0;
    while let Some(&length) = octets.get(end) {
        end += 1 + usize::from(length);
        if length > 63 || end > NAME_MAX || end > octets.len() {
            return Err(Unreadable);
        }
        if length == 0 {
            let (name, rest) = octets.split_at(end);
            return Ok((Name::from_wire(&name.to_ascii_lowercase()), rest));
        }
    }
    Err(Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_header(rest: &[u8]) -> Vec<u8> {
        [&[0; HEADER_LEN][..], rest].concat()
    }

    #[test]
    fn names_follow_pointers_back_only() {
        let message =
            with_header(b"\x02BL\x07example\x00\x00\x06\x00\x01\x012\xc0\x0c\x00\x01\x00\x01\x00\x00\x0e\x10\x00\x00");
        let mut reader = Reader::new(&message);
        let zone = reader.question().expect("a question");
        assert_eq!((zone.name.to_string(), zone.rtype, zone.class), ("bl.example".to_owned(), 6, 1));
        let record = reader.record().expect("a record");
        assert_eq!((record.owner.to_string(), record.ttl_s, record.data.len()), ("2.bl.example".to_owned(), 3_600, 0));
        assert_eq!(reader.position(), message.len());
        for loops in [&b"\xc0\x0c\x00\x01\x00\x01"[..], b"\x01a\xc0\x0e\x00\x01\x00\x01", b"\xc0\x00\x00\x01\x00\x01"] {
            assert_eq!(Reader::new(&with_header(loops)).question(), Err(Unreadable), "{loops:?}");
        }
    }

    #[test]
    fn every_shortening_is_unreadable() {
        let message = with_header(b"\x01a\x00\x00\x10\x00\x01\x00\x00\x00\x3c\x00\x03\x02hi");
        assert!(Reader::new(&message).record().is_ok());
        for length in HEADER_LEN..message.len() {
            assert_eq!(Reader::new(&message[..length]).record().err(), Some(Unreadable), "{length}");
        }
    }

    #[test]
    fn long_names() {
        let label = [&[63; 1][..], &[b'a'; 63]].concat();
        let longest = [&label[..], &label, &label, &[61], &[b'a'; 61], &[0]].concat();
        assert_eq!(longest.len(), NAME_MAX);
        let question = |name: &[u8]| Reader::new(&with_header(&[name, &[0, 1, 0, 1]].concat())).question();
        assert!(question(&longest).is_ok());
        assert!(plain_name(&longest).is_ok());
        let longer = [&label[..], &label, &label, &[62], &[b'a'; 62], &[0]].concat();
        assert_eq!(question(&longer), Err(Unreadable));
        assert_eq!(plain_name(&longer).err(), Some(Unreadable));
        assert_eq!(plain_name(b"\x01a").err(), Some(Unreadable));
    }
}
