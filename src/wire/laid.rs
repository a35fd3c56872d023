//! Records laid out beforehand, to be copied into a reply as they stand.
//!
//! Nearly every answer carries its zone's SOA or name servers along. All that differs from one to the next is where the
//! apex stands in the question, and with it the pointers of name compression (RFC 1035 section 4.1.4).

use super::class;

/// What marks a pointer.
pub(super) const POINTER: u16 = 0xc000;

/// The last offset that a pointer leads to.
pub(super) const POINTED_MAX: usize = !POINTER as usize;

/// Records in wire format. Their pointers lead into the apex, as if it stood at offset 0 of the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Laid {
    octets: Vec<u8>,
    /// Offsets of the pointers.
    pointers: Vec<u16>,
    record_count: u16,
}

impl Laid {
    /// Appends a record of the apex. `write` appends its RDATA.
    ///
    /// # Panics
    /// Beyond 65,535 octets, which names and numbers of one record do not reach.
    pub fn record(&mut self, kind: u16, ttl_s: u32, write: impl FnOnce(&mut Self)) {
        self.pointer(0);
        self.octets.extend(kind.to_be_bytes());
        self.octets.extend(class::IN.to_be_bytes());
        self.octets.extend(ttl_s.to_be_bytes());
        let data_at = self.octets.len() + 2;
        self.octets.extend([0; 2]);
        write(self);
        let data_len = u16::try_from(self.octets.len() - data_at).expect("names and numbers are shorter");
        self.octets[data_at - 2..data_at].copy_from_slice(&data_len.to_be_bytes());
        self.record_count += 1;
    }

    /// Appends octets.
    pub fn octets(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// Appends a pointer to the labels of the apex from offset `at` on.
    ///
    /// # Panics
    /// Beyond 65,535 octets, which name servers that fit an answer do not reach.
    pub fn pointer(&mut self, at: u16) {
        self.pointers.push(u16::try_from(self.octets.len()).expect("what is laid fits a message"));
        self.octets.extend((POINTER | at).to_be_bytes());
    }

    /// Octets so far.
    pub fn len(&self) -> usize {
        self.octets.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// Number of records.
    pub(super) fn record_count(&self) -> u16 {
        self.record_count
    }

    /// Copies the records to where they go in a message whose apex stands at offset `apex_at`.
    #[inline]
    pub(super) fn copy_to(&self, room: &mut [u8], apex_at: usize) {
        room.copy_from_slice(&self.octets);
        for &at in &self.pointers {
            if let Some(pointer) = room[usize::from(at)..].first_chunk_mut() {
                // An apex ends before the 256th octet after the header, so nothing is carried into the mark.
                *pointer = (u16::from_be_bytes(*pointer) + apex_at as u16).to_be_bytes();
            }
        }
    }

    /// The same records as a block, if they are short enough.
    pub fn block(&self) -> Option<Block> {
        let mut block = Block { len: self.octets.len(), record_count: self.record_count, ..Block::EMPTY };
        if self.octets.len() > Block::LEN_MAX || self.pointers.len() > block.changes.len() {
            return None;
        }
        block.octets[..self.octets.len()].copy_from_slice(&self.octets);
        for (change, at) in block.changes.iter_mut().zip(&self.pointers) {
            *change = *at as u8 + 1;
        }
        Some(block)
    }
}

/// Records laid out beforehand that are short, as a SOA is, or two name servers: all of a block is copied or one half of it, which
/// takes no more than a few instructions. What stands behind the records afterwards is written over or not sent.
#[derive(Clone, Debug)]
pub struct Block {
    octets: [u8; BLOCK_LEN],
    /// Offsets of the octets that change with the place of the apex; where there are fewer, the last octet, which is never sent.
    changes: [u8; 4],
    len: usize,
    record_count: u16,
}

/// Octets that are there for a block. Half of them are all that a SOA with short names takes.
pub(super) const BLOCK_LEN: usize = 2 * PART_LEN;
const PART_LEN: usize = 64;

impl Block {
    /// No records.
    pub const EMPTY: Self = Self { octets: [0; BLOCK_LEN], changes: [BLOCK_LEN as u8 - 1; 4], len: 0, record_count: 0 };
    const LEN_MAX: usize = BLOCK_LEN - 1;

    /// Octets of the records.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Number of records.
    #[inline]
    pub(super) fn record_count(&self) -> u16 {
        self.record_count
    }

    /// Copies the records to where they go in a message whose apex stands at offset `apex_at` and ends within [`NEAR_LEN`]: no more
    /// than the last octet of a pointer changes.
    #[inline(always)]
    pub(super) fn copy_near(&self, room: &mut [u8; BLOCK_LEN], apex_at: u8) {
        let (room_parts, parts) = (room.as_chunks_mut::<PART_LEN>().0, self.octets.as_chunks::<PART_LEN>().0);
        room_parts[0] = parts[0];
        if self.len > PART_LEN {
            room_parts[1] = parts[1];
        }
        for at in self.changes {
            let octet = &mut room[usize::from(at) % BLOCK_LEN];
            *octet = octet.wrapping_add(apex_at);
        }
    }
}

/// Octets of a record of the apex before its RDATA: pointer, type, class, TTL and length.
pub const FIXED_LEN: usize = 12;

/// Offsets within so many octets are told by one.
pub(super) const NEAR_LEN: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_no_block() {
        let with = |octets: usize, pointers: usize| {
            let mut laid = Laid::default();
            laid.octets(&vec![1; octets]);
            (0..pointers).for_each(|_| laid.pointer(0));
            laid.block().map(|block| block.len())
        };
        assert_eq!(with(119, 4), Some(127));
        assert_eq!(with(120, 4), None);
        assert_eq!(with(0, 5), None);
        assert_eq!(with(0, 0), Some(0));
    }

    #[test]
    fn near_and_far_are_alike() {
        for octets in [4, 46, 47, 48, 49, 50, 51, 111] {
            let mut laid = Laid::default();
            laid.record(2, 3_600, |data| {
                data.octets(&vec![b'n'; octets]);
                data.pointer(5);
            });
            assert_near_is_far(&laid);
        }
    }

    fn assert_near_is_far(laid: &Laid) {
        for apex_at in 0..NEAR_LEN - 5 {
            let mut far = vec![0; laid.len()];
            laid.copy_to(&mut far, apex_at);
            let block = laid.block().expect("it is short");
            let mut room = [0xff; BLOCK_LEN];
            block.copy_near(&mut room, apex_at as u8);
            assert_eq!(room[..block.len()], far);
            assert_eq!(block.record_count(), 1);
            assert_eq!(far[far.len() - 2..], (POINTER | (5 + apex_at as u16)).to_be_bytes());
        }
    }
}
