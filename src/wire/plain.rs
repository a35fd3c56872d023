//! The usual query, read and answered with a few loads and stores.
//!
//! Nearly every query has nothing but its one question of class IN and, if it comes from a resolver, an OPT record, empty or
//! with a cookie: where its question ends is then known from its length. All others are for [`super::query`] and [`super::reply`],
//! which know every case; what is read and written here is what they would read and write, octet by octet.

use super::{
    HEADER_LEN, PLAIN_UDP_LEN, Rcode, class, cookie,
    laid::{Block, Laid, NEAR_LEN},
    query::{FLAG_AA, FLAG_QR, FLAGS_ECHOED, FLAGS_OPCODE, OPTION_COOKIE},
    reply::{Full, OPT_FIXED_LEN, opt_record},
    rr,
};

/// The longest such reply, in octets: what every client takes.
pub const REPLY_MAX_LEN: usize = PLAIN_UDP_LEN as usize;

/// A query with one question of class IN, and perhaps an OPT record with nothing in it but a cookie.
#[derive(Clone, Copy)]
pub struct PlainQuery<'a> {
    /// Header and question.
    asked: &'a [u8],
    /// The type that is asked for.
    pub qtype: u16,
    /// What there is in the OPT record.
    pub opt: Option<PlainOpt<'a>>,
}

/// An OPT record with nothing in it but a cookie at most.
#[derive(Clone, Copy)]
pub struct PlainOpt<'a> {
    /// DNSSEC OK (RFC 3225).
    dnssec_ok: bool,
    /// The client's cookie, alone or with ours (RFC 7873 section 4).
    pub cookie: Option<&'a [u8]>,
}

/// Octets of a question behind its name: type and class.
const QUESTION_END_LEN: usize = 4;

/// Octets of a cookie option before its data.
const OPTION_HEAD_LEN: usize = 4;

impl<'a> PlainQuery<'a> {
    /// Reads a request, if it is such a query.
    #[inline(always)]
    pub fn read(request: &'a [u8]) -> Option<Self> {
        /// QR and the opcode.
        const KIND: u16 = FLAG_QR | FLAGS_OPCODE;
        const ONE_QUESTION: u64 = (1_u64 << 48).to_be();
        const ONE_ADDITIONAL: u64 = 1_u64.to_be();
        let [_, _, kind @ .., c1, c2, c3, c4, c5, c6, c7, c8] = request.first_chunk::<HEADER_LEN>()?;
        if u16::from_ne_bytes(*kind) & KIND.to_be() != 0 {
            return None;
        }
        let counts = u64::from_ne_bytes([*c1, *c2, *c3, *c4, *c5, *c6, *c7, *c8]);
        let (asked, opt) = match counts ^ ONE_QUESTION {
            0 => (request, None),
            ONE_ADDITIONAL => {
                let (asked, opt) = read_opt(request)?;
                (asked, Some(opt))
            }
            _ => return None,
        };
        let end = u32::from_be_bytes(*asked.last_chunk::<QUESTION_END_LEN>()?);
        let has_name = asked.len() > HEADER_LEN + QUESTION_END_LEN;
        (end as u16 == class::IN && has_name).then_some(Self { asked, qtype: (end >> 16) as u16, opt })
    }

    /// What stands where the question's name is; whoever finds an apex at its end knows that it is one.
    #[inline]
    pub fn name(&self) -> &'a [u8] {
        self.asked.get(HEADER_LEN..self.asked.len() - QUESTION_END_LEN).unwrap_or_default()
    }

    /// Message id.
    #[inline]
    pub fn id(&self) -> u16 {
        u16::from_be_bytes([self.asked[0], self.asked[1]])
    }
}

/// Takes an OPT record of version 0 off the end of a request (RFC 6891 section 6.1.2).
#[inline(always)]
fn read_opt(request: &[u8]) -> Option<(&[u8], PlainOpt<'_>)> {
    let (asked, record) = request.split_last_chunk::<OPT_FIXED_LEN>()?;
    match read_opt_head(record, 0) {
        Some(dnssec_ok) => Some((asked, PlainOpt { dnssec_ok, cookie: None })),
        None => read_opt_with_cookie(request),
    }
}

#[inline(never)]
fn read_opt_with_cookie(request: &[u8]) -> Option<(&[u8], PlainOpt<'_>)> {
    [cookie::CLIENT_LEN, cookie::COOKIE_LEN].into_iter().find_map(|len| {
        let options_len = OPTION_HEAD_LEN + len;
        let (asked, record) = request.split_at_checked(request.len().checked_sub(OPT_FIXED_LEN + options_len)?)?;
        let (head, option) = record.split_first_chunk()?;
        let (option_head, cookie) = option.split_first_chunk()?;
        let is_cookie = *option_head == [0, OPTION_COOKIE as u8, 0, len as u8];
        let dnssec_ok = read_opt_head(head, options_len).filter(|_| is_cookie)?;
        Some((asked, PlainOpt { dnssec_ok, cookie: Some(cookie) }))
    })
}

/// The DNSSEC OK of an OPT record of version 0 with so many octets of options.
#[inline]
fn read_opt_head(record: &[u8; OPT_FIXED_LEN], options_len: usize) -> Option<bool> {
    let [root, type_1, type_2, _, _, _, version, flags, _, len_1, len_2] = *record;
    let is_it = [root, type_1, type_2, version, len_1, len_2] == [0, 0, rr::OPT as u8, 0, 0, options_len as u8];
    is_it.then_some(flags & 0x80 != 0)
}

/// An authoritative reply to a plain query, while it is written. It fits every client and every way, or is none.
pub struct PlainReply<'b> {
    buffer: &'b mut [u8; REPLY_MAX_LEN],
    len: usize,
    answer_count: u16,
    authority_count: u16,
}

impl<'b> PlainReply<'b> {
    /// Starts with the question as it came.
    ///
    /// # Errors
    /// [`Full`] if the question is too long for near pointers.
    #[inline(always)]
    pub fn new(query: &PlainQuery<'_>, buffer: &'b mut [u8; REPLY_MAX_LEN]) -> Result<Self, Full> {
        let len = query.asked.len();
        if len > NEAR_LEN {
            return Err(Full);
        }
        copy(query.asked, &mut buffer[..len]);
        Ok(Self { buffer, len, answer_count: 0, authority_count: 0 })
    }

    /// Appends an A record of the question's name.
    ///
    /// # Errors
    /// [`Full`].
    #[inline]
    pub fn address(&mut self, ttl_s: u32, address: [u8; 4]) -> Result<(), Full> {
        let [t1, t2, t3, t4] = ttl_s.to_be_bytes();
        let [a1, a2, a3, a4] = address;
        let record = [0xc0, HEADER_LEN as u8, 0, rr::A as u8, 0, class::IN as u8, t1, t2, t3, t4, 0, 4, a1, a2, a3, a4];
        self.append(&record)?;
        self.answer_count += 1;
        Ok(())
    }

    /// Appends a TXT record of the question's name, with the character-strings that `write` writes into the room it is lent; it
    /// returns how many octets those are, or `None` if they do not fit.
    ///
    /// # Errors
    /// [`Full`].
    #[inline]
    pub fn text(&mut self, ttl_s: u32, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Result<(), Full> {
        let [t1, t2, t3, t4] = ttl_s.to_be_bytes();
        self.append(&[0xc0, HEADER_LEN as u8, 0, rr::TXT as u8, 0, class::IN as u8, t1, t2, t3, t4, 0, 0])?;
        let start = self.len;
        let data_len = write(&mut self.buffer[start..]).filter(|len| *len <= REPLY_MAX_LEN - start).ok_or(Full)?;
        self.buffer[start - 2..start].copy_from_slice(&(data_len as u16).to_be_bytes());
        self.len += data_len;
        self.answer_count += 1;
        Ok(())
    }

    #[inline]
    fn append(&mut self, octets: &[u8]) -> Result<(), Full> {
        let end = self.len + octets.len();
        self.buffer.get_mut(self.len..end).ok_or(Full)?.copy_from_slice(octets);
        self.len = end;
        Ok(())
    }

    /// Appends records to the authority section; the apex is the end of the question's name from offset `apex_at` on.
    ///
    /// # Errors
    /// [`Full`].
    #[inline(always)]
    pub fn authority(&mut self, laid: &Laid, apex_at: usize) -> Result<(), Full> {
        let end = self.len + laid.len();
        laid.copy_to(self.buffer.get_mut(self.len..end).ok_or(Full)?, HEADER_LEN + apex_at);
        self.len = end;
        self.authority_count += laid.record_count();
        Ok(())
    }

    /// The same from a block.
    ///
    /// # Errors
    /// [`Full`], also if the records would fit and not all of the block.
    #[inline(always)]
    pub fn authority_block(&mut self, block: &Block, apex_at: usize) -> Result<(), Full> {
        let room = self.buffer.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut).ok_or(Full)?;
        block.copy_near(room, (HEADER_LEN + apex_at) as u8);
        self.len += block.len();
        self.authority_count += block.record_count();
        Ok(())
    }

    /// Appends the OPT record that answers one, with a cookie if that had one. It is the last record.
    ///
    /// # Errors
    /// [`Full`].
    #[inline(always)]
    pub fn opt(
        &mut self,
        asked: &PlainOpt<'_>,
        our_payload_len: u16,
        cookie: Option<[u8; cookie::COOKIE_LEN]>,
    ) -> Result<(), Full> {
        let options_len = cookie.map_or(0, |cookie| OPTION_HEAD_LEN + cookie.len());
        self.append(&opt_record(our_payload_len, 0, asked.dnssec_ok, options_len as u16))?;
        if let Some(cookie) = cookie {
            self.len = append_cookie(self.buffer, self.len, cookie)?;
        }
        Ok(())
    }

    /// Writes the header, and returns the length.
    #[inline(always)]
    pub fn finish(self, rcode: Rcode) -> u16 {
        let echoed = u16::from_ne_bytes([self.buffer[2], self.buffer[3]]) & FLAGS_ECHOED.to_be();
        let flags = (FLAG_QR | FLAG_AA | rcode as u16).to_be() | echoed;
        self.buffer[2..4].copy_from_slice(&flags.to_ne_bytes());
        // One question as before, and the one additional record is the OPT record as before.
        let counts = u32::from(self.answer_count) << 16 | u32::from(self.authority_count);
        self.buffer[6..10].copy_from_slice(&counts.to_be_bytes());
        self.len as u16
    }
}

/// Appends a cookie option to so many octets, and returns how many those are then.
#[inline(never)]
fn append_cookie(
    buffer: &mut [u8; REPLY_MAX_LEN],
    len: usize,
    cookie: [u8; cookie::COOKIE_LEN],
) -> Result<usize, Full> {
    let head = [0, OPTION_COOKIE as u8, 0, cookie.len() as u8];
    let (head_room, room) = buffer.get_mut(len..).and_then(<[u8]>::split_first_chunk_mut).ok_or(Full)?;
    *head_room = head;
    *room.first_chunk_mut().ok_or(Full)? = cookie;
    Ok(len + head.len() + cookie.len())
}

/// Copies octets. Most questions have as many as four moves take, two from each end.
#[inline(always)]
fn copy(from: &[u8], to: &mut [u8]) {
    const HALF: usize = 32;
    if from.len() <= 2 * HALF
        && let (Some(first), Some(last)) = (from.first_chunk::<HALF>(), from.last_chunk::<HALF>())
    {
        let (first, last) = (*first, *last);
        if let Some(start) = to.first_chunk_mut() {
            *start = first;
        }
        if let Some(end) = to.last_chunk_mut() {
            *end = last;
        }
    } else {
        to.copy_from_slice(from);
    }
}
