//! DNS cookies in the form that servers of different makes can share (RFC 7873, RFC 9018 section 4).
//!
//! ```text
//! | version 1 | reserved 3 | timestamp 4 | hash 8 |   after the client's 8 octets
//! ```
//!
//! The hash is SipHash-2-4 over the client's cookie, the first 8 octets above and the client's address. We issue cookies and
//! never insist on one: a list server's answers are small, and MTAs behind old resolvers must not be turned away.

use std::net::IpAddr;

use siphasher::sip::SipHasher24;

/// The server's secret; servers behind one address must share it.
pub type Secret = [u8; 16];

/// A client's cookie.
pub const CLIENT_LEN: usize = 8;

/// Client and server cookie together.
pub const COOKIE_LEN: usize = 24;

/// Octets of a cookie that are hashed: those before the hash.
const HASHED_LEN: usize = 16;

/// A cookie that is older is replaced (RFC 9018 section 4.3).
const RENEW_AFTER_S: u32 = 1_800;
/// A cookie that is older is no longer valid.
const VALID_FOR_S: u32 = 3_600;
/// How far in the future a cookie of a server with another clock may lie.
const CLOCK_SKEW_S: u32 = 300;

/// The cookie to send back: the one that came if it is valid and young, else a new one.
///
/// `presented` is the COOKIE option's data, at least 8 octets; `now_s` are the epoch's seconds, of which 32 bits count.
pub fn answer(secret: &Secret, presented: &[u8], client: IpAddr, now_s: u64) -> [u8; COOKIE_LEN] {
    let mut cookie = [0; COOKIE_LEN];
    if let Some(presented) = presented.first_chunk::<COOKIE_LEN>()
        && presented.len() == COOKIE_LEN
        && age_s(secret, presented, client, now_s).is_some_and(|age_s| age_s < RENEW_AFTER_S)
    {
        return *presented;
    }
    let length = presented.len().min(CLIENT_LEN);
    cookie[..length].copy_from_slice(&presented[..length]);
    cookie[8] = 1;
    cookie[12..16].copy_from_slice(&(now_s as u32).to_be_bytes());
    let hash = hash(secret, &cookie, client);
    cookie[16..].copy_from_slice(&hash);
    cookie
}

/// Whether a whole cookie was made by this secret for this client, and is not too old.
pub fn is_valid(secret: &Secret, presented: &[u8], client: IpAddr, now_s: u64) -> bool {
    <&[u8; COOKIE_LEN]>::try_from(presented).is_ok_and(|cookie| age_s(secret, cookie, client, now_s).is_some())
}

/// Age of a valid cookie, in serial arithmetic (RFC 1982) so that 2106 passes unnoticed; 0 where it lies a little ahead.
fn age_s(secret: &Secret, cookie: &[u8; COOKIE_LEN], client: IpAddr, now_s: u64) -> Option<u32> {
    if cookie[8] != 1 || cookie[16..] != hash(secret, cookie, client) {
        return None;
    }
    let made_s = u32::from_be_bytes([cookie[12], cookie[13], cookie[14], cookie[15]]);
    let age_s = (now_s as u32).wrapping_sub(made_s);
    if age_s.wrapping_neg() <= CLOCK_SKEW_S { Some(0) } else { (age_s <= VALID_FOR_S).then_some(age_s) }
}

fn hash(secret: &Secret, cookie: &[u8; COOKIE_LEN], client: IpAddr) -> [u8; 8] {
    let hasher = SipHasher24::new_with_key(secret);
    let hash = match client {
        IpAddr::V4(address) => hasher.hash(&hashed::<{ HASHED_LEN + 4 }>(cookie, &address.octets())),
        IpAddr::V6(address) => hasher.hash(&hashed::<{ HASHED_LEN + 16 }>(cookie, &address.octets())),
    };
    hash.to_le_bytes()
}

/// What is hashed of a cookie, and an address behind it.
fn hashed<const LEN: usize>(cookie: &[u8; COOKIE_LEN], address: &[u8]) -> [u8; LEN] {
    let mut octets = [0; LEN];
    let (head, tail) = octets.split_at_mut(HASHED_LEN);
    head.copy_from_slice(&cookie[..HASHED_LEN]);
    tail.copy_from_slice(address);
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
    }

    /// RFC 9018 appendix A.1: learning a new server cookie.
    #[test]
    fn the_rfcs_first_example() {
        let secret = octets("e5e973e5a6b2a43f48e7dc849e37bfcf").try_into().expect("16 octets");
        let client = "198.51.100.100".parse().expect("an address");
        let cookie = answer(&secret, &octets("2464c4abcf10c957"), client, 1_559_731_985);
        assert_eq!(cookie[..], octets("2464c4abcf10c957010000005cf79f111f8130c3eee29480"));
    }

    /// RFC 9018 appendix A.2: the same client is given a fresh cookie after half an hour.
    #[test]
    fn the_rfcs_second_example() {
        let secret = octets("e5e973e5a6b2a43f48e7dc849e37bfcf").try_into().expect("16 octets");
        let client = "198.51.100.100".parse().expect("an address");
        let presented = octets("2464c4abcf10c957010000005cf79f111f8130c3eee29480");
        assert_eq!(answer(&secret, &presented, client, 1_559_731_985 + 60)[..], presented);
        let renewed = answer(&secret, &presented, client, 1_559_734_385);
        assert_eq!(renewed[..], octets("2464c4abcf10c957010000005cf7a871d4a564a1442aca77"));
    }

    /// RFC 9018 appendix A.4: over IPv6, with a new secret.
    #[test]
    fn the_rfcs_fourth_example() {
        let secret = octets("445536bcd2513298075a5d379663c962").try_into().expect("16 octets");
        let client = "2001:db8:220:1:59de:d0f4:8769:82b8".parse().expect("an address");
        let renewed = answer(&secret, &octets("22681ab97d52c298"), client, 1_559_741_961);
        assert_eq!(renewed[..], octets("22681ab97d52c298010000005cf7c609a6bb79d16625507a"));
    }

    #[test]
    fn validity() {
        let secret = [7; 16];
        let client = "192.0.2.1".parse().expect("an address");
        let now_s = u64::from(u32::MAX) - 10;
        let cookie = answer(&secret, b"12345678", client, now_s);
        assert!(is_valid(&secret, &cookie, client, now_s + 100), "over the end of 32 bits");
        assert!(is_valid(&secret, &cookie, client, now_s - 100));
        assert!(!is_valid(&secret, &cookie, client, now_s + 4_000));
        assert!(!is_valid(&secret, &cookie, "192.0.2.2".parse().expect("an address"), now_s));
        assert!(!is_valid(&[8; 16], &cookie, client, now_s));
    }
}
