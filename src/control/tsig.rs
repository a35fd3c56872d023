//! Transaction signatures (RFC 8945): who sent a message, and that nobody changed it.
//!
//! A signature is the last record of a message. It covers the message before it, some of its own fields and, in a reply, the
//! signature of the request. Everything here is a function of octets and the time. `hickory-proto` has TSIG behind its
//! features for DNSSEC, with `ring` and all record types of the zone-signing world; one HMAC over octets that must be kept
//! as they came is less code than an adapter to that would be, so the hashes are `RustCrypto`'s `hmac` and `sha2`, and the
//! comparison, in constant time, is theirs too.
//!
//! What is not taken: MD5 and SHA-1 (RFC 8945 section 6 lets them go), GSS-TSIG, and signatures over several messages, which
//! only transfers have. A key of another algorithm is one that we do not know: BADKEY.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha384, Sha512};

use super::message::{Reader, Record, Unreadable, plain_name};
use crate::wire::{HEADER_LEN, Rcode, class, name::Name, query::Header, rr};

/// Seconds by which two clocks may differ (RFC 8945 section 10 recommends it).
pub const FUDGE_S: u16 = 300;

/// The hash functions that are taken (RFC 8945 section 6), as HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// The mandatory one.
    HmacSha256,
    /// SHA-384.
    HmacSha384,
    /// SHA-512.
    HmacSha512,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::HmacSha256, Self::HmacSha384, Self::HmacSha512];

    /// Its name, in files and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }

    /// Finds it by its name, in whatever case.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.strip_suffix('.').unwrap_or(name);
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// Octets of a whole signature.
    const fn mac_len(self) -> usize {
        match self {
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
            Self::HmacSha512 => 64,
        }
    }
}

/// A secret that two know.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: Name,
    /// What is done with it.
    pub algorithm: Algorithm,
    /// The secret itself.
    pub secret: Box<[u8]>,
}

impl fmt::Debug for Key {
    /// Shows no secret: keys stand in configurations, which are shown.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.algorithm.name(), self.name)
    }
}

impl Key {
    fn mac(&self, parts: &[&[u8]]) -> Vec<u8> {
        match self.algorithm {
            Algorithm::HmacSha256 => self.hmac::<Hmac<Sha256>>(parts).finalize().into_bytes().to_vec(),
            Algorithm::HmacSha384 => self.hmac::<Hmac<Sha384>>(parts).finalize().into_bytes().to_vec(),
            Algorithm::HmacSha512 => self.hmac::<Hmac<Sha512>>(parts).finalize().into_bytes().to_vec(),
        }
    }

    /// Whether `mac` is the signature, or the start of it; in constant time.
    fn is_mac(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        let verified = match self.algorithm {
            Algorithm::HmacSha256 => self.hmac::<Hmac<Sha256>>(parts).verify_truncated_left(mac),
            Algorithm::HmacSha384 => self.hmac::<Hmac<Sha384>>(parts).verify_truncated_left(mac),
            Algorithm::HmacSha512 => self.hmac::<Hmac<Sha512>>(parts).verify_truncated_left(mac),
        };
        verified.is_ok()
    }

    fn hmac<M: Mac + KeyInit>(&self, parts: &[&[u8]]) -> M {
        let mut mac = <M as KeyInit>::new_from_slice(&self.secret).expect("a key of any length (RFC 2104 section 3)");
        for part in parts {
            mac.update(part);
        }
        mac
    }
}

/// The signature of a message, read and not yet believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    /// Octets of the message before it.
    pub message_len: usize,
    /// Name of the key.
    pub key_name: Name,
    algorithm: Name,
    /// When it was signed, by its sender's clock.
    pub signed_s: u64,
    fudge_s: u16,
    mac: &'a [u8],
    /// The message's id when it was signed.
    pub original_id: u16,
    error: u16,
    other: &'a [u8],
}

impl<'a> Signature<'a> {
    /// Finds the signature of a message; `None` if it has none.
    ///
    /// # Errors
    /// The message cannot be read, or the signature is not where it belongs: last, once (RFC 8945 section 5.1).
    pub fn find(message: &'a [u8]) -> Result<Option<Self>, Unreadable> {
        let counts = Header::read(message).ok_or(Unreadable)?.counts;
        let mut reader = Reader::new(message);
        for _ in 0..counts[0] {
            reader.question()?;
        }
        let records: u32 = counts[1..].iter().map(|&count| u32::from(count)).sum();
        let mut found = None;
        for index in 0..records {
            let record = reader.record()?;
            if record.rtype == rr::TSIG {
                if index + 1 < records || counts[3] == 0 {
                    return Err(Unreadable);
                }
                found = Some(Self::read(&record)?);
            }
        }
        // No signature covers what stands behind it.
        if found.is_some() && reader.position() < message.len() {
            return Err(Unreadable);
        }
        Ok(found)
    }

    fn read(record: &Record<'a>) -> Result<Self, Unreadable> {
        fn field<const N: usize>(rest: &mut &[u8]) -> Result<u64, Unreadable> {
            let (octets, after) = rest.split_first_chunk::<N>().ok_or(Unreadable)?;
            *rest = after;
            Ok(octets.iter().fold(0, |value, &octet| value << 8 | u64::from(octet)))
        }
        fn data<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Unreadable> {
            let length = field::<2>(rest)? as usize;
            let (data, after) = rest.split_at_checked(length).ok_or(Unreadable)?;
            *rest = after;
            Ok(data)
        }
        if record.class != class::ANY || record.ttl_s != 0 {
            return Err(Unreadable);
        }
        let (algorithm, mut rest) = plain_name(record.data)?;
        let rest = &mut rest;
        let (signed_s, fudge_s, mac) = (field::<6>(rest)?, field::<2>(rest)? as u16, data(rest)?);
        let (original_id, error, other) = (field::<2>(rest)? as u16, field::<2>(rest)? as u16, data(rest)?);
        if !rest.is_empty() {
            return Err(Unreadable);
        }
        let key_name = record.owner.clone();
        Ok(Self { message_len: record.at, key_name, algorithm, signed_s, fudge_s, mac, original_id, error, other })
    }

    /// Whether the message was signed with one of these keys, around now. `message` is the whole of it.
    ///
    /// # Errors
    /// Why not, with how to reply.
    pub fn verify(&self, message: &[u8], keys: &[Key], now_s: u64) -> Result<Seal, Fault> {
        let fault = |seal| Err(Fault { rcode: Rcode::NotAuth, seal: Some(Box::new(seal)) });
        let mut seal = Seal {
            key: None,
            key_name: self.key_name.clone(),
            algorithm: self.algorithm.clone(),
            prior_mac: Vec::new(),
            signed_s: now_s,
            original_id: self.original_id,
            error: Error::None,
            now_s,
        };
        // RFC 8945 section 5.2.1: the key with its algorithm.
        let known = keys.iter().find(|key| key.name == self.key_name && self.is_of(key.algorithm));
        let Some(key) = known else {
            seal.error = Error::BadKey;
            return fault(seal);
        };
        // RFC 8945 section 5.2.2.1: not longer than the whole, and half of it at least (which is more than ten octets).
        let mac_len = key.algorithm.mac_len();
        if self.mac.len() > mac_len || self.mac.len() < mac_len / 2 {
            return Err(Fault { rcode: Rcode::FormErr, seal: None });
        }
        let header = unsigned_header(message, self.original_id);
        let variables = self.variables();
        if !key.is_mac(&[&header, &message[HEADER_LEN..self.message_len], &variables], self.mac) {
            seal.error = Error::BadSig;
            return fault(seal);
        }
        seal.key = Some(key.clone());
        seal.prior_mac = self.mac.to_vec();
        // RFC 8945 section 5.2.3: the reply has the client's time, or the client could not check it. No client may widen
        // the time in which its message could be sent again by others.
        if now_s.abs_diff(self.signed_s) > u64::from(self.fudge_s.min(FUDGE_S)) {
            return fault(seal.with_bad_time(self.signed_s));
        }
        Ok(seal)
    }

    fn is_of(&self, algorithm: Algorithm) -> bool {
        Name::parse(algorithm.name().as_bytes()).is_ok_and(|name| name == self.algorithm)
    }

    fn variables(&self) -> Vec<u8> {
        variables(&self.key_name, &self.algorithm, self.signed_s, self.fudge_s, self.error, self.other)
    }
}

/// Why a signature is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The code of the reply.
    pub rcode: Rcode,
    /// What the reply is sealed with; without one it has no TSIG record.
    pub seal: Option<Box<Seal>>,
}

/// Errors inside the TSIG record (RFC 8945 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is none.
    None = 0,
    /// The signature is another one.
    BadSig = 16,
    /// Nobody knows that key, or not with that algorithm.
    BadKey = 17,
    /// The clocks differ too much.
    BadTime = 18,
}

impl Error {
    /// As it is written (RFC 8945 section 3).
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NOERROR",
            Self::BadSig => "BADSIG",
            Self::BadKey => "BADKEY",
            Self::BadTime => "BADTIME",
        }
    }
}

/// What a reply is signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The key; without one the reply names it and has no signature (RFC 8945 section 5.3.2).
    pub key: Option<Key>,
    key_name: Name,
    algorithm: Name,
    prior_mac: Vec<u8>,
    signed_s: u64,
    original_id: u16,
    /// What is wrong.
    pub error: Error,
    now_s: u64,
}

impl Seal {
    /// Octets that the record takes.
    pub fn wire_len(&self) -> usize {
        let mac_len = self.key.as_ref().map_or(0, |key| key.algorithm.mac_len());
        self.key_name.as_wire().len() + 10 + self.algorithm.as_wire().len() + 16 + mac_len + self.other().len()
    }

    /// The first octets of the request's signature, which all that are taken have: no two requests share them.
    pub fn mac_start(&self) -> u64 {
        self.prior_mac.iter().take(8).fold(0, |start, &octet| start << 8 | u64::from(octet))
    }

    /// The same, for a request that was signed at a time that is not taken.
    #[must_use]
    pub fn with_bad_time(mut self, signed_s: u64) -> Self {
        (self.error, self.signed_s) = (Error::BadTime, signed_s);
        self
    }

    /// The server's time, for a client whose own is wrong (RFC 8945 section 5.2.3).
    fn other(&self) -> Vec<u8> {
        if self.error == Error::BadTime { self.now_s.to_be_bytes()[2..].to_vec() } else { Vec::new() }
    }

    /// Signs a reply: the request's signature, the reply, the record's own fields (RFC 8945 section 5.3). What is signed has the
    /// id that the record tells, whatever a forwarder made of it since (section 4.3.2).
    pub fn sign(&self, reply: &mut Vec<u8>) {
        let other = self.other();
        let variables = variables(&self.key_name, &self.algorithm, self.signed_s, FUDGE_S, self.error as u16, &other);
        let mac = self.key.as_ref().map_or_else(Vec::new, |key| {
            let prior_len = (self.prior_mac.len() as u16).to_be_bytes();
            key.mac(&[&prior_len, &self.prior_mac, &self.original_id.to_be_bytes(), &reply[2..], &variables])
        });
        let mut data = self.algorithm.as_wire().to_vec();
        data.extend_from_slice(&self.signed_s.to_be_bytes()[2..]);
        data.extend_from_slice(&FUDGE_S.to_be_bytes());
        push_sized(&mut data, &mac);
        data.extend_from_slice(&self.original_id.to_be_bytes());
        data.extend_from_slice(&(self.error as u16).to_be_bytes());
        push_sized(&mut data, &other);
        reply.extend_from_slice(self.key_name.as_wire());
        reply.extend_from_slice(&rr::TSIG.to_be_bytes());
        reply.extend_from_slice(&class::ANY.to_be_bytes());
        reply.extend_from_slice(&[0; 4]);
        push_sized(reply, &data);
        let additionals = u16::from_be_bytes([reply[10], reply[11]]) + 1;
        reply[10..12].copy_from_slice(&additionals.to_be_bytes());
    }
}

fn push_sized(octets: &mut Vec<u8>, data: &[u8]) {
    octets.extend_from_slice(&(data.len() as u16).to_be_bytes());
    octets.extend_from_slice(data);
}

/// The header as it was before the signature: its own id, one additional record less (RFC 8945 section 4.3.2).
pub fn unsigned_header(message: &[u8], original_id: u16) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header.copy_from_slice(&message[..HEADER_LEN]);
    header[..2].copy_from_slice(&original_id.to_be_bytes());
    let additionals = u16::from_be_bytes([header[10], header[11]]).saturating_sub(1);
    header[10..].copy_from_slice(&additionals.to_be_bytes());
    header
}

/// What of the record itself is signed (RFC 8945 section 4.3.3).
fn variables(key: &Name, algorithm: &Name, signed_s: u64, fudge_s: u16, error: u16, other: &[u8]) -> Vec<u8> {
    let mut octets = key.as_wire().to_vec();
    octets.extend_from_slice(&class::ANY.to_be_bytes());
    octets.extend_from_slice(&[0; 4]);
    octets.extend_from_slice(algorithm.as_wire());
    octets.extend_from_slice(&signed_s.to_be_bytes()[2..]);
    octets.extend_from_slice(&fudge_s.to_be_bytes());
    octets.extend_from_slice(&error.to_be_bytes());
    push_sized(&mut octets, other);
    octets
}

#[cfg(test)]
mod tests;
