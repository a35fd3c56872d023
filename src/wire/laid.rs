//! Records laid out beforehand, to be copied into a reply as they stand.
//!
//! Nearly every answer carries its zone's SOA or name servers along. All that differs from one to the next is where the
//! apex stands in the question, and with it the pointers of name compression (RFC 1035 section 4.1.4).

use super::class;

/// What marks a pointer.
pub(super) const POINTER: u16 = 0xc000;

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

    /// The same for an apex that ends within the first [`NEAR_LEN`] octets: no more than the last octet of a pointer changes.
    #[inline]
    pub(super) fn copy_near(&self, room: &mut [u8], apex_at: u8) {
        room.copy_from_slice(&self.octets);
        for &at in &self.pointers {
            if let Some(octet) = room.get_mut(usize::from(at) + 1) {
                *octet = octet.wrapping_add(apex_at);
            }
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
    fn near_and_far_are_alike() {
        let mut laid = Laid::default();
        laid.record(2, 3_600, |data| {
            data.octets(b"\x03ns1");
            data.pointer(5);
        });
        for apex_at in 0..NEAR_LEN - 5 {
            let (mut near, mut far) = (vec![0; laid.len()], vec![0; laid.len()]);
            laid.copy_near(&mut near, apex_at as u8);
            laid.copy_to(&mut far, apex_at);
            assert_eq!(near, far);
            assert_eq!(near[near.len() - 2..], (POINTER | (5 + apex_at as u16)).to_be_bytes());
        }
    }
}
