//! Writing a response into a lent buffer.
//!
//! The question is echoed as it came, so that resolvers that mix the case of its letters find them again. Owner names are
//! pointers into it: every owner that we answer with is the question's name, or the end of it, but for the name servers whose
//! addresses come last. A record that does not fit is taken back whole and the caller is told; nothing is dropped in silence.

use std::ops::Range;

use super::{
    ExtendedError, HEADER_LEN, Rcode, class,
    laid::{FIXED_LEN, Laid, POINTED_MAX, POINTER},
    query::{Edns, FLAG_AA, FLAG_QR, FLAG_TC, FLAGS_ECHOED, Header, OPTION_COOKIE, OPTION_EXTENDED_ERROR, OPTION_NSID},
    rr,
};

/// A record does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The sections that records are written to, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// The zone's name servers, or its SOA where there is no answer.
    Authority,
    /// Addresses of the name servers.
    Additional,
}

/// A point of a reply to come back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    len: usize,
    counts: [u16; 3],
}

/// Options of our OPT record, besides its fixed part.
#[derive(Clone, Copy, Debug, Default)]
pub struct OptOptions<'a> {
    /// The cookie to send back.
    pub cookie: Option<[u8; super::cookie::COOKIE_LEN]>,
    /// Our identity, if asked for (RFC 5001).
    pub nsid: Option<&'a [u8]>,
    /// More about an error (RFC 8914).
    pub extended_error: Option<ExtendedError>,
}

/// Octets of an OPT record without options.
pub(super) const OPT_FIXED_LEN: usize = 11;
/// Octets of the option that a cookie goes back in.
const COOKIE_OPTION_LEN: usize = 4 + super::cookie::COOKIE_LEN;

/// Room that is kept for our OPT record until the end: what the request makes us say. More about an error comes without records,
/// and so with room; our identity goes where it fits.
fn opt_reserve(edns: &Edns<'_>) -> usize {
    OPT_FIXED_LEN + edns.cookie.map_or(0, |_| COOKIE_OPTION_LEN)
}

/// A response while it is written.
pub struct Reply<'a> {
    buffer: &'a mut [u8],
    len: usize,
    /// End of the room for records: the OPT record's place is kept free.
    limit: usize,
    whole_limit: usize,
    counts: [u16; 3],
    flags: u16,
    rcode: Rcode,
    class: u16,
    has_edns: bool,
    dnssec_ok: bool,
}

impl<'a> Reply<'a> {
    /// Starts a response of at most `limit` octets that echoes the question, `question_len` octets after the header.
    ///
    /// # Panics
    /// If the buffer is shorter than the request's header and question, which [`crate::net`] sees to.
    #[inline]
    pub fn new(
        buffer: &'a mut [u8],
        limit: usize,
        request: &[u8],
        header: Header,
        question_len: usize,
        edns: Option<&Edns<'_>>,
    ) -> Self {
        let len = HEADER_LEN + question_len;
        buffer[..len].copy_from_slice(&request[..len]);
        // What is not echoed must not be counted.
        buffer[4..6].copy_from_slice(&u16::from(question_len > 0).to_be_bytes());
        let whole_limit = limit.min(buffer.len());
        let reserve = edns.map_or(0, opt_reserve);
        Self {
            buffer,
            len,
            limit: whole_limit.saturating_sub(reserve),
            whole_limit,
            counts: [0; 3],
            flags: FLAG_QR | header.flags & FLAGS_ECHOED,
            rcode: Rcode::NoError,
            class: class::IN,
            has_edns: edns.is_some(),
            dnssec_ok: edns.is_some_and(|edns| edns.dnssec_ok),
        }
    }

    /// Sets the response code.
    pub fn set_rcode(&mut self, rcode: Rcode) {
        self.rcode = rcode;
    }

    /// Says that the answer is the zone's own.
    pub fn set_authoritative(&mut self) {
        self.flags |= FLAG_AA;
    }

    /// Sets the class of the records to come.
    pub fn set_class(&mut self, class: u16) {
        self.class = class;
    }

    /// Says that something did not fit.
    pub fn set_truncated(&mut self) {
        self.flags |= FLAG_TC;
    }

    /// Whether something did not fit.
    pub fn is_truncated(&self) -> bool {
        self.flags & FLAG_TC != 0
    }

    /// Number of records in the answer section.
    pub fn answer_count(&self) -> u16 {
        self.counts[0]
    }

    /// Appends a record whose owner is the name at offset `owner_at`; `data` writes its RDATA.
    ///
    /// # Errors
    /// [`Full`] if it does not fit, or no pointer reaches its owner; then nothing was written.
    #[inline]
    pub fn record(
        &mut self,
        section: Section,
        owner_at: usize,
        kind: u16,
        ttl_s: u32,
        data: impl FnOnce(&mut Data<'_>) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let start = self.len;
        let data_start = start + FIXED_LEN;
        // RFC 1035 section 4.1.4: a name server behind a long answer may stand where no pointer leads.
        if data_start > self.limit || owner_at > POINTED_MAX {
            return Err(Full);
        }
        let mut rdata = Data { room: &mut self.buffer[..self.limit], len: data_start };
        data(&mut rdata)?;
        let end = rdata.len;
        let fixed: &mut [u8; FIXED_LEN] =
            self.buffer[start..].first_chunk_mut().expect("the limit is within the buffer");
        fixed[..2].copy_from_slice(&(POINTER | owner_at as u16).to_be_bytes());
        fixed[2..4].copy_from_slice(&kind.to_be_bytes());
        fixed[4..6].copy_from_slice(&self.class.to_be_bytes());
        fixed[6..10].copy_from_slice(&ttl_s.to_be_bytes());
        fixed[10..].copy_from_slice(&((end - data_start) as u16).to_be_bytes());
        self.len = end;
        self.counts[section as usize] += 1;
        Ok(())
    }

    /// Appends records that were laid out beforehand; the apex stands at offset `apex_at` of the message.
    ///
    /// # Errors
    /// [`Full`] if they do not all fit; then nothing was written.
    #[inline]
    pub fn lay(&mut self, section: Section, laid: &Laid, apex_at: usize) -> Result<(), Full> {
        let end = self.len + laid.len();
        let room = self.buffer[..self.limit].get_mut(self.len..end).ok_or(Full)?;
        laid.copy_to(room, apex_at);
        self.len = end;
        self.counts[section as usize] += laid.record_count();
        Ok(())
    }

    /// Appends the record of the answer section that `write` writes, unless one of those in `earlier` has its type and RDATA:
    /// an RRset has no duplicates (RFC 2181 section 5). What is there already needs no room, so a record is laid into the
    /// buffer beyond the limit first, and only a new one must be within it.
    ///
    /// Each is compared with all of these, so they are to be no more than could be its like.
    ///
    /// # Errors
    /// [`Full`] if it is new and does not fit; then nothing was written.
    #[inline]
    pub fn unless_duplicate(
        &mut self,
        earlier: Range<usize>,
        write: impl FnOnce(&mut Self) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let before = self.mark();
        let limit = std::mem::replace(&mut self.limit, self.buffer.len());
        let written = write(self);
        self.limit = limit;
        written?;
        if !earlier.is_empty() {
            self.drop_duplicate(before.len, earlier);
        }
        if self.len > limit {
            self.take_back(before);
            return Err(Full);
        }
        Ok(())
    }

    /// Takes back the last record if an earlier one has its type and RDATA.
    fn drop_duplicate(&mut self, last_start: usize, earlier: Range<usize>) {
        let mut at = earlier.start;
        while at < earlier.end {
            let end = self.record_end(at);
            if self.buffer[at + 10..end] == self.buffer[last_start + 10..self.len]
                && self.buffer[at + 2..at + 4] == self.buffer[last_start + 2..last_start + 4]
            {
                self.len = last_start;
                self.counts[Section::Answer as usize] -= 1;
                return;
            }
            at = end;
        }
    }

    /// Gives all records from `first_start` on the same TTL: those of an RRset must agree (RFC 2181 section 5.2).
    pub fn set_ttl(&mut self, first_start: usize, ttl_s: u32) {
        let mut at = first_start;
        while at < self.len {
            self.buffer[at + 6..at + 10].copy_from_slice(&ttl_s.to_be_bytes());
            at = self.record_end(at);
        }
    }

    fn record_end(&self, start: usize) -> usize {
        start + FIXED_LEN + usize::from(u16::from_be_bytes([self.buffer[start + 10], self.buffer[start + 11]]))
    }

    /// The point reached.
    pub fn mark(&self) -> Mark {
        Mark { len: self.len, counts: self.counts }
    }

    /// Takes back all records since a point.
    pub fn take_back(&mut self, mark: Mark) {
        self.len = mark.len;
        self.counts = mark.counts;
    }

    /// Where the next record starts.
    pub fn position(&self) -> usize {
        self.len
    }

    /// Writes the OPT record and the header, and returns the length.
    #[inline]
    pub fn finish(mut self, our_payload_len: u16, options: &OptOptions<'_>) -> usize {
        if self.has_edns {
            self.write_opt(our_payload_len, options);
        }
        let flags = self.flags | self.rcode as u16 & 0xf;
        self.buffer[2..4].copy_from_slice(&flags.to_be_bytes());
        for (index, count) in self.counts.iter().enumerate() {
            self.buffer[6 + 2 * index..8 + 2 * index].copy_from_slice(&count.to_be_bytes());
        }
        self.len
    }

    fn write_opt(&mut self, our_payload_len: u16, options: &OptOptions<'_>) {
        let error = options.extended_error.map(|error| (error as u16).to_be_bytes());
        let mut options = [
            (OPTION_COOKIE, options.cookie.as_ref().map(|cookie| &cookie[..])),
            (OPTION_NSID, options.nsid),
            (OPTION_EXTENDED_ERROR, error.as_ref().map(|error| &error[..])),
        ];
        let wire_len = |options: &[(u16, Option<&[u8]>)]| -> usize {
            options.iter().filter_map(|(_, data)| *data).map(|data| 4 + data.len()).sum()
        };
        // No room is kept for what is only told besides (RFC 8914 section 3 and RFC 5001): it goes where it fits.
        for at in 1..options.len() {
            if self.len + OPT_FIXED_LEN + wire_len(&options) > self.whole_limit {
                options[at].1 = None;
            }
        }
        let options_len = wire_len(&options) as u16;
        let mut data = Data { room: &mut self.buffer[..], len: self.len };
        let fixed = opt_record(our_payload_len, (self.rcode as u16 >> 4) as u8, self.dnssec_ok, options_len);
        let written = data.octets(&fixed).and_then(|()| {
            options.iter().filter_map(|(code, data)| Some((*code, (*data)?))).try_for_each(|(code, octets)| {
                data.u16(code)?;
                data.u16(octets.len() as u16)?;
                data.octets(octets)
            })
        });
        debug_assert!(written.is_ok() && data.len <= self.whole_limit, "room was kept");
        if written.is_ok() {
            self.len = data.len;
            self.counts[2] += 1;
        }
    }
}

/// An OPT record up to its options (RFC 6891 section 6.1.2): root, type, payload length, extended code, version, flags, length
/// of the options.
#[inline]
pub fn opt_record(our_payload_len: u16, extended_rcode: u8, dnssec_ok: bool, options_len: u16) -> [u8; OPT_FIXED_LEN] {
    let [payload_1, payload_2] = our_payload_len.to_be_bytes();
    let [len_1, len_2] = options_len.to_be_bytes();
    let flags = if dnssec_ok { 0x80 } else { 0 };
    [0, 0, rr::OPT as u8, payload_1, payload_2, extended_rcode, 0, flags, 0, len_1, len_2]
}

/// The RDATA of one record while it is written.
pub struct Data<'a> {
    room: &'a mut [u8],
    len: usize,
}

impl Data<'_> {
    /// Appends octets.
    ///
    /// # Errors
    /// [`Full`].
    #[inline]
    pub fn octets(&mut self, octets: &[u8]) -> Result<(), Full> {
        let end = self.len + octets.len();
        self.room.get_mut(self.len..end).ok_or(Full)?.copy_from_slice(octets);
        self.len = end;
        Ok(())
    }

    /// Appends a 16-bit number.
    ///
    /// # Errors
    /// [`Full`].
    pub fn u16(&mut self, number: u16) -> Result<(), Full> {
        self.octets(&number.to_be_bytes())
    }

    /// Appends text as character-strings that are filled one after the other.
    ///
    /// # Errors
    /// [`Full`].
    pub fn strings<'t>(&mut self, texts: impl Iterator<Item = &'t [u8]>) -> Result<(), Full> {
        let mut open = self.len;
        self.octets(&[0])?;
        for mut text in texts {
            while !text.is_empty() {
                if self.room[open] == u8::MAX {
                    open = self.len;
                    self.octets(&[0])?;
                }
                let room = usize::from(u8::MAX - self.room[open]);
                let (now, later) = text.split_at(room.min(text.len()));
                self.octets(now)?;
                self.room[open] += now.len() as u8;
                text = later;
            }
        }
        Ok(())
    }
}
