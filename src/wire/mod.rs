//! DNS messages as bytes: what can be read from a datagram without allocating, and what is written into a lent buffer.
//!
//! Here is only what a list server needs, thousands of times a second. Updates are read where it may allocate, in
//! [`crate::control::message`]. `hickory-proto`, which knows every type, reads records in files, and tests hold it against this.

#![forbid(unsafe_code)]

pub mod cookie;
pub mod laid;
pub mod name;
pub mod plain;
pub mod query;
pub mod reply;

/// Octets of a message's header (RFC 1035 section 4.1.1).
pub const HEADER_LEN: usize = 12;

/// What a client without EDNS takes over UDP, and every client at least (RFC 1035 section 4.2.1, RFC 6891 section 6.2.3).
pub const PLAIN_UDP_LEN: u16 = 512;

/// Types of records and questions that mean something to a list server (RFC 1035 section 3.2.2 and the named).
pub mod rr {
    /// Address.
    pub const A: u16 = 1;
    /// Name server.
    pub const NS: u16 = 2;
    /// Start of authority.
    pub const SOA: u16 = 6;
    /// Pointer.
    pub const PTR: u16 = 12;
    /// Mail exchange.
    pub const MX: u16 = 15;
    /// Text.
    pub const TXT: u16 = 16;
    /// IPv6 address (RFC 3596).
    pub const AAAA: u16 = 28;
    /// EDNS pseudo-record (RFC 6891).
    pub const OPT: u16 = 41;
    /// Transaction signature (RFC 8945).
    pub const TSIG: u16 = 250;
    /// Incremental transfer (RFC 1995).
    pub const IXFR: u16 = 251;
    /// Whole transfer (RFC 5936).
    pub const AXFR: u16 = 252;
    /// Any type (RFC 8482).
    pub const ANY: u16 = 255;
}

/// Classes.
pub mod class {
    /// The internet.
    pub const IN: u16 = 1;
    /// CHAOS, where servers are asked about themselves (RFC 4892).
    pub const CH: u16 = 3;
    /// Any class (RFC 1035 section 3.2.5).
    pub const ANY: u16 = 255;
}

/// Response codes (RFC 1035 section 4.1.1, RFC 2136, RFC 6891, RFC 7873). Those beyond 15 need an OPT record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Rcode {
    /// Answered, perhaps with nothing of the type that was asked for.
    NoError = 0,
    /// The request cannot be read.
    FormErr = 1,
    /// The zone is ours and cannot be served now.
    ServFail = 2,
    /// Nothing exists at the name, or below it (RFC 8020).
    NxDomain = 3,
    /// An operation that is not offered.
    NotImp = 4,
    /// Not our zone, or not for this client.
    Refused = 5,
    /// A name is in use that must not be (RFC 2136 section 2.2, and the next four).
    YxDomain = 6,
    /// Records exist that must not.
    YxRrset = 7,
    /// Records do not exist that must.
    NxRrset = 8,
    /// Not our zone, or not with this signature (RFC 8945 section 5.2).
    NotAuth = 9,
    /// A name outside of the zone.
    NotZone = 10,
    /// A version of EDNS beyond 0.
    BadVers = 16,
    /// A server's cookie that is not ours, where nothing but a cookie is asked for (RFC 7873 section 5.4).
    BadCookie = 23,
}

impl Rcode {
    /// The name in the registry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoError => "NOERROR",
            Self::FormErr => "FORMERR",
            Self::ServFail => "SERVFAIL",
            Self::NxDomain => "NXDOMAIN",
            Self::NotImp => "NOTIMP",
            Self::Refused => "REFUSED",
            Self::YxDomain => "YXDOMAIN",
            Self::YxRrset => "YXRRSET",
            Self::NxRrset => "NXRRSET",
            Self::NotAuth => "NOTAUTH",
            Self::NotZone => "NOTZONE",
            Self::BadVers => "BADVERS",
            Self::BadCookie => "BADCOOKIE",
        }
    }
}

/// Extended errors that we give (RFC 8914 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum ExtendedError {
    /// The zone's data are not loaded.
    NotReady = 14,
    /// The client may not ask.
    Prohibited = 18,
    /// The zone is not served here.
    NotAuthoritative = 20,
    /// The operation or type is not offered.
    NotSupported = 21,
    /// The zone's data have expired.
    InvalidData = 24,
}
