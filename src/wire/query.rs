//! Reading a request: the header, one question, and the OPT record if there is one.
//!
//! Every octet comes from a stranger. Reading either yields a [`Query`], or says how to refuse: with silence where an answer
//! could start a loop or nothing can be echoed, else with a response code.

use super::{HEADER_LEN, Rcode, name::QueryName, rr};

/// The header as it stands on the wire (RFC 1035 section 4.1.1).
///
/// ```text
///   0  1  2  3  4  5  6  7    8  9 10 11 12 13 14 15
/// |QR|   opcode  |AA|TC|RD| |RA| Z|AD|CD|   rcode   |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Message id.
    pub id: u16,
    /// The 16 bits of flags, opcode and rcode.
    pub flags: u16,
    /// Records of the four sections.
    pub counts: [u16; 4],
}

/// Recursion desired.
pub const FLAG_RD: u16 = 0x0100;
/// Truncated.
pub const FLAG_TC: u16 = 0x0200;
/// Authoritative answer.
pub const FLAG_AA: u16 = 0x0400;
/// Response.
pub const FLAG_QR: u16 = 0x8000;
/// Checking disabled (RFC 4035 section 3.1.6).
pub const FLAG_CD: u16 = 0x0010;

/// The operation.
pub const FLAGS_OPCODE: u16 = 0x7800;

/// What a reply has of its request: the opcode, RD and CD (RFC 1035 section 4.1.1, RFC 4035 section 3.1.6). AD, Z and RA stay
/// clear.
pub(super) const FLAGS_ECHOED: u16 = FLAGS_OPCODE | FLAG_RD | FLAG_CD;

/// Operation UPDATE (RFC 2136 section 1.3).
pub const OPCODE_UPDATE: u16 = 5;

impl Header {
    /// Reads it; `None` where it is cut short.
    #[inline]
    pub fn read(message: &[u8]) -> Option<Self> {
        let header = message.first_chunk::<HEADER_LEN>()?;
        let field = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        Some(Self { id: field(0), flags: field(2), counts: [field(4), field(6), field(8), field(10)] })
    }

    /// The operation that is asked for; 0 is a query.
    pub const fn opcode(self) -> u16 {
        self.flags >> 11 & 0xf
    }
}

/// The OPT record of a request (RFC 6891 section 6.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct Edns<'a> {
    /// Largest datagram that the client takes, as it says.
    pub payload_len: u16,
    /// DNSSEC OK (RFC 3225); echoed.
    pub dnssec_ok: bool,
    /// The client asks for our identity (RFC 5001).
    pub wants_nsid: bool,
    /// The COOKIE option's data, 8 or 16 to 40 octets (RFC 7873 section 4).
    pub cookie: Option<&'a [u8]>,
}

/// A request that can be answered.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Its header.
    pub header: Header,
    /// Length of the question's name on the wire; 0 without a question.
    pub qname_len: usize,
    /// The type that is asked for.
    pub qtype: u16,
    /// The class that is asked for.
    pub qclass: u16,
    /// Its OPT record.
    pub edns: Option<Edns<'a>>,
}

/// A request that cannot be answered.
#[derive(Clone, Copy, Debug)]
pub enum Unanswerable<'a> {
    /// Say nothing: it is itself a response, and answering would loop, or no message at all.
    Ignore,
    /// Say why not.
    Refuse(Refusal<'a>),
    /// Give it to whoever changes what is served: it is an update, or it is signed.
    Elsewhere,
}

/// What there is to refuse a request with.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// Its header.
    pub header: Header,
    /// Why not.
    pub rcode: Rcode,
    /// Length of the question, which is echoed; 0 if it could not be read.
    pub question_len: usize,
    /// The type that is asked for; 0 as well.
    pub qtype: u16,
    /// Its OPT record, if one was read.
    pub edns: Option<Edns<'a>>,
}

impl<'a> Query<'a> {
    /// Length of the question; 0 without one.
    pub fn question_len(&self) -> usize {
        if self.qname_len == 0 { 0 } else { self.qname_len + 4 }
    }

    /// Reads a request, its question's name into `name`. Without `heeds_signature` a signature is taken for any other record, as
    /// where it was checked already or nobody can, and an update is an operation that is not offered.
    ///
    /// # Errors
    /// Says how to refuse.
    #[inline]
    pub fn read(request: &'a [u8], name: &mut QueryName, heeds_signature: bool) -> Result<Self, Unanswerable<'a>> {
        let header = Header::read(request).filter(|header| header.flags & FLAG_QR == 0).ok_or(Unanswerable::Ignore)?;
        let [questions, answers, authorities, additionals] = header.counts;
        // RFC 9619: a query has one question at most
        let question = match questions {
            0 => Some((0, 0, 0)),
            1 => read_question(request, name),
            _ => None,
        };
        let question_len = question.filter(|(len, ..)| *len > 0).map_or(0, |(len, ..)| len + 4);
        let asked = question.map_or(0, |(_, qtype, _)| qtype);
        let refuse = |rcode, edns| Unanswerable::Refuse(Refusal { header, rcode, question_len, qtype: asked, edns });
        let (at, before) = (HEADER_LEN + question_len, u32::from(answers) + u32::from(authorities));
        if header.opcode() != 0 {
            if heeds_signature && header.opcode() == OPCODE_UPDATE {
                return Err(Unanswerable::Elsewhere);
            }
            // RFC 6891 section 6.1.1: an OPT record for an OPT record, if one can be found in such a message.
            let records =
                question.map_or(Ok(None), |_| read_records(request, at, before, additionals, heeds_signature));
            return Err(match records {
                Err(Fault::Signed) => Unanswerable::Elsewhere,
                Err(Fault::Unreadable) => refuse(Rcode::NotImp, None),
                Err(Fault::Refused(_, edns)) => refuse(Rcode::NotImp, Some(edns)),
                Ok(edns) => refuse(Rcode::NotImp, edns),
            });
        }
        let form_err = || refuse(Rcode::FormErr, None);
        let (qname_len, qtype, qclass) = question.ok_or_else(form_err)?;
        let mut edns = None;
        if before + u32::from(additionals) != 0 {
            edns = read_records(request, at, before, additionals, heeds_signature).map_err(|fault| match fault {
                Fault::Unreadable => form_err(),
                Fault::Signed => Unanswerable::Elsewhere,
                Fault::Refused(rcode, edns) => refuse(rcode, Some(edns)),
            })?;
        }
        // RFC 7873 section 5.4: without a question, only a cookie can be asked for.
        if questions == 0 && edns.is_none_or(|edns| edns.cookie.is_none()) {
            return Err(refuse(Rcode::FormErr, edns));
        }
        Ok(Self { header, qname_len, qtype, qclass, edns })
    }
}

/// Reads the one question: the length of its name, its type and its class.
#[inline]
fn read_question(request: &[u8], name: &mut QueryName) -> Option<(usize, u16, u16)> {
    let name_len = name.read(&request[HEADER_LEN..])?;
    let [t1, t2, c1, c2] = *request.get(HEADER_LEN + name_len..).and_then(|rest| rest.first_chunk())?;
    Some((name_len, u16::from_be_bytes([t1, t2]), u16::from_be_bytes([c1, c2])))
}

enum Fault<'a> {
    Unreadable,
    Signed,
    /// There is an OPT record, which is refused with this code.
    Refused(Rcode, Edns<'a>),
}

/// Reads the OPT record of a request of any kind, whatever else it says.
///
/// # Errors
/// The code to refuse it with, and the OPT record if there is one to be answered.
pub fn read_edns(request: &[u8]) -> Result<Option<Edns<'_>>, (Rcode, Option<Edns<'_>>)> {
    let form_err = (Rcode::FormErr, None);
    let [questions, answers, authorities, additionals] = Header::read(request).ok_or(form_err)?.counts;
    let mut at = HEADER_LEN;
    for _ in 0..questions {
        at += skip_name(request, at).ok_or(form_err)? + 4;
    }
    let before = u32::from(answers) + u32::from(authorities);
    read_records(request, at, before, additionals, false).map_err(|fault| match fault {
        Fault::Unreadable | Fault::Signed => form_err,
        Fault::Refused(rcode, edns) => (rcode, Some(edns)),
    })
}

/// Walks the records after the question, and reads the OPT record among the additional ones.
fn read_records(
    request: &[u8],
    mut at: usize,
    before: u32,
    additionals: u16,
    heeds_signature: bool,
) -> Result<Option<Edns<'_>>, Fault<'_>> {
    let (mut found, mut rcode) = (None, Rcode::NoError);
    for index in 0..before + u32::from(additionals) {
        let owner_len = skip_name(request, at).ok_or(Fault::Unreadable)?;
        let fixed: &[u8; 10] =
            request.get(at + owner_len..).and_then(|rest| rest.first_chunk()).ok_or(Fault::Unreadable)?;
        let data_at = at + owner_len + fixed.len();
        let data_len = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let data = request.get(data_at..data_at + data_len).ok_or(Fault::Unreadable)?;
        at = data_at + data_len;
        let rtype = u16::from_be_bytes([fixed[0], fixed[1]]);
        if rtype != rr::OPT {
            if rtype == rr::TSIG && heeds_signature {
                return Err(Fault::Signed);
            }
            continue;
        }
        let plain = Edns {
            payload_len: u16::from_be_bytes([fixed[2], fixed[3]]),
            dnssec_ok: fixed[6] & 0x80 != 0,
            ..Edns::default()
        };
        // RFC 6891 section 7: whoever sent an OPT record has one in the reply, though no more of it can be heeded.
        let form_err = || Fault::Refused(Rcode::FormErr, plain);
        // RFC 6891 section 6.1.1: one OPT at most, in the additional section, at the root.
        if found.is_some() || index < before || owner_len != 1 {
            return Err(form_err());
        }
        let mut edns = plain;
        rcode = match fixed[5] {
            0 => read_options(data, &mut edns).ok_or_else(form_err)?,
            // RFC 6891 section 6.1.3
            _ => Rcode::BadVers,
        };
        found = Some(edns);
    }
    match found {
        Some(edns) if rcode != Rcode::NoError => Err(Fault::Refused(rcode, edns)),
        found => Ok(found),
    }
}

/// Length of the name at `at`, which may end in a pointer: it is not followed, since only its end matters here.
fn skip_name(request: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    loop {
        let length = *request.get(end)?;
        match length {
            0 => return Some(end + 1 - at),
            1..=63 => end += 1 + usize::from(length),
            0xc0.. => return Some(end + 2 - at),
            _ => return None,
        }
        if end - at > 255 {
            return None;
        }
    }
}

pub(super) const OPTION_NSID: u16 = 3;
pub(super) const OPTION_COOKIE: u16 = 10;
/// RFC 8914 section 2.
pub(super) const OPTION_EXTENDED_ERROR: u16 = 15;

/// Reads the options that we know; others are ignored (RFC 6891 section 6.1.2). Says how the request is to be refused for them
/// if it is.
fn read_options<'a>(mut data: &'a [u8], edns: &mut Edns<'a>) -> Option<Rcode> {
    let (mut rcode, mut has_cookie) = (Rcode::NoError, false);
    while !data.is_empty() {
        let (head, rest) = data.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = rest.get(..length)?;
        data = &rest[length..];
        match u16::from_be_bytes([head[0], head[1]]) {
            OPTION_NSID => edns.wants_nsid = true,
            // RFC 7873 section 5.2: of several cookies only the first is looked at.
            OPTION_COOKIE if !std::mem::replace(&mut has_cookie, true) => match length {
                8 | 16..=40 => edns.cookie = Some(value),
                // RFC 7873 section 5.2.2
                _ => rcode = Rcode::FormErr,
            },
            _ => {}
        }
    }
    Some(rcode)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A query for `a.` A with what follows the question, and the counts of the other sections.
    fn request(counts: [u8; 4], after: &[u8]) -> Vec<u8> {
        let mut octets = vec![0x12, 0x34, 0x01, 0x00];
        octets.extend(counts.iter().flat_map(|&count| [0, count]));
        if counts[0] > 0 {
            octets.extend_from_slice(b"\x01a\x00\x00\x01\x00\x01");
        }
        octets.extend_from_slice(after);
        octets
    }

    fn refusal(octets: &[u8]) -> Option<Refusal<'_>> {
        match Query::read(octets, &mut QueryName::new(), true) {
            Err(Unanswerable::Refuse(refusal)) => Some(refusal),
            Err(Unanswerable::Ignore) => panic!("ignored"),
            Err(Unanswerable::Elsewhere) => panic!("given away"),
            Ok(_) => None,
        }
    }

    fn rcode(octets: &[u8]) -> Option<Rcode> {
        refusal(octets).map(|refusal| refusal.rcode)
    }

    const OPT: &[u8] = b"\x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x00";

    #[test]
    fn a_plain_query() {
        let octets = request([1, 0, 0, 0], b"");
        let query = Query::read(&octets, &mut QueryName::new(), true).expect("a query");
        assert_eq!((query.header.id, query.qname_len, query.qtype, query.qclass), (0x1234, 3, rr::A, 1));
        assert!(query.edns.is_none());
    }

    #[test]
    fn silence_to_responses_and_fragments() {
        let mut octets = request([1, 0, 0, 0], b"");
        octets[2] |= 0x80;
        for silent in [&octets[..], &octets[..11], &[]] {
            assert!(matches!(Query::read(silent, &mut QueryName::new(), true), Err(Unanswerable::Ignore)));
        }
    }

    #[test]
    fn every_shortening_of_a_full_query_is_a_form_error() {
        let octets = request([1, 0, 0, 1], b"\x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x0c\x00\x0a\x00\x0812345678");
        assert_eq!(rcode(&octets), None);
        for length in HEADER_LEN..octets.len() {
            assert_eq!(rcode(&octets[..length]), Some(Rcode::FormErr), "{length}");
        }
    }

    #[test]
    fn edns_is_read_and_unknown_options_are_ignored() {
        let octets =
            request([1, 0, 0, 1], b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x0a\xfd\xe9\x00\x02xy\x00\x03\x00\x00");
        let edns = Query::read(&octets, &mut QueryName::new(), true).expect("a query").edns.expect("an OPT");
        assert_eq!((edns.payload_len, edns.dnssec_ok, edns.wants_nsid), (1232, true, true));
    }

    #[test]
    fn what_is_wrong_with_edns() {
        assert_eq!(rcode(&request([1, 0, 0, 2], &[OPT, OPT].concat())), Some(Rcode::FormErr), "two");
        assert_eq!(rcode(&request([1, 1, 0, 0], OPT)), Some(Rcode::FormErr), "among the answers");
        assert_eq!(rcode(&request([1, 0, 0, 1], &[b"\x01b", OPT].concat())), Some(Rcode::FormErr), "not at the root");
        let mut version_1 = request([1, 0, 0, 1], OPT);
        version_1[19 + 6] = 1;
        assert_eq!(rcode(&version_1), Some(Rcode::BadVers));
        let has_opt = |octets: &[u8]| refusal(octets).is_some_and(|refusal| refusal.edns.is_some());
        assert!(has_opt(&request([1, 0, 0, 2], &[OPT, OPT].concat())) && has_opt(&request([1, 1, 0, 0], OPT)));
        let half_option = b"\x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x0f\x00\x0a\x00\x0812345678\x00\x03\x00";
        let half_option = request([1, 0, 0, 1], half_option);
        let refused = refusal(&half_option).expect("refused").edns.expect("an OPT");
        assert_eq!((refused.payload_len, refused.dnssec_ok, refused.cookie), (4_096, true, None), "its fixed part");
        let short_cookie = b"\x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x08\x00\x0a\x00\x041234";
        assert_eq!(rcode(&request([1, 0, 0, 1], short_cookie)), Some(Rcode::FormErr));
    }

    #[test]
    fn edns_of_any_request() {
        let mut update = request([1, 1, 0, 1], &[b"\xc0\x0c\x00\xff\x00\xff\x00\x00\x00\x00\x00\x00", OPT].concat());
        update[2] = 0x28;
        let payload_len = read_edns(&update).expect("readable").map(|edns| edns.payload_len);
        assert_eq!(payload_len, Some(0x1000));
        let version_at = update.len() - 5;
        update[version_at] = 1;
        let refused = read_edns(&update).expect_err("another version");
        assert_eq!((refused.0, refused.1.is_some()), (Rcode::BadVers, true));
        for length in 0..update.len() {
            let refused = read_edns(&update[..length]).expect_err("cut short");
            assert_eq!((refused.0, refused.1.is_some()), (Rcode::FormErr, false), "{length}");
        }
        assert!(read_edns(&request([1, 0, 0, 0], b"")).expect("readable").is_none());
    }

    #[test]
    fn a_refusal_echoes_the_question_if_it_could_be_read() {
        let question = |octets: &[u8]| refusal(octets).map(|refusal| (refusal.question_len, refusal.qtype));
        let mut notify = request([1, 0, 0, 0], b"");
        notify[2] = 0x20;
        assert_eq!(question(&notify), Some((7, rr::A)));
        assert_eq!(question(&notify[..notify.len() - 1]), Some((0, 0)));
        assert_eq!(question(&request([1, 1, 0, 0], OPT)), Some((7, rr::A)));
        assert_eq!(question(&request([0, 1, 0, 0], OPT)), Some((0, 0)));
        assert_eq!(question(&request([2, 0, 0, 0], b"\x01b\x00\x00\x01\x00\x01")), Some((0, 0)));
    }

    #[test]
    fn signatures_are_heeded_or_records_like_others() {
        let signature = b"\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x00";
        let signed = request([1, 0, 0, 2], &[OPT, signature].concat());
        let mut update = request([1, 0, 0, 0], b"");
        update[2] = 0x28;
        for elsewhere in [&signed, &update] {
            let read = Query::read(elsewhere, &mut QueryName::new(), true);
            assert!(matches!(read, Err(Unanswerable::Elsewhere)), "{read:?}");
        }
        let query = Query::read(&signed, &mut QueryName::new(), false).expect("a query");
        assert_eq!((query.qname_len, query.edns.is_some()), (3, true));
        let read = Query::read(&update, &mut QueryName::new(), false);
        assert!(matches!(read, Err(Unanswerable::Refuse(Refusal { rcode: Rcode::NotImp, .. }))), "{read:?}");
    }

    #[test]
    fn operations_and_questions() {
        let mut notify = request([1, 0, 0, 0], b"");
        notify[2] = 0x20;
        assert_eq!(rcode(&notify), Some(Rcode::NotImp));
        assert_eq!(rcode(&request([0, 0, 0, 0], b"")), Some(Rcode::FormErr));
        assert_eq!(rcode(&request([2, 0, 0, 0], b"\x01b\x00\x00\x01\x00\x01")), Some(Rcode::FormErr));
        let cookie_only = b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x0c\x00\x0a\x00\x0812345678";
        assert_eq!(rcode(&request([0, 0, 0, 1], cookie_only)), None);
    }
}
