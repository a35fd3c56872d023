//! Signatures held against what BIND's nsupdate (9.18) sent, and each kind of fault.

use super::*;

/// When the updates were signed.
const SIGNED_S: u64 = 0x6b03_6555;

/// The same update of `bl.example`, signed by `nsupdate -y ALGORITHM:scanner:SECRET`.
const CAPTURED: [(Algorithm, &str); 3] = [
    (
        Algorithm::HmacSha256,
        "75fe2800000100010001000102626c076578616d706c6500000600010131013201300331393202626c076578616d706c6500001000fe \
     000000000000c01c001000010000003c001817596f757220495020686173206265656e2062616e6e6564077363616e6e65720000fa00 \
     ff00000000003d0b686d61632d7368613235360000006b036555012c00201d7e4f8ff258f655da2bb17ec5ed04394626b47b17422c46 \
     1a9df350a98b23ef75fe00000000",
    ),
    (
        Algorithm::HmacSha384,
        "264e2800000100010001000102626c076578616d706c6500000600010131013201300331393202626c076578616d706c6500001000fe \
     000000000000c01c001000010000003c001817596f757220495020686173206265656e2062616e6e6564077363616e6e65720000fa00 \
     ff00000000004d0b686d61632d7368613338340000006b036555012c00308d03f33fd68b928539b12c6684ed7a685d824e93f3ff6768 \
     bf59d30c30be157fcc116a7ff24817037996e7d57a1e4a75264e00000000",
    ),
    (
        Algorithm::HmacSha512,
        "437a2800000100010001000102626c076578616d706c6500000600010131013201300331393202626c076578616d706c6500001000fe \
     000000000000c01c001000010000003c001817596f757220495020686173206265656e2062616e6e6564077363616e6e65720000fa00 \
     ff00000000005d0b686d61632d7368613531320000006b036555012c004039843e82f47aafb8b91d2d1c6fe7d345af091b38de2bfd60 \
     82d1051f5381e98b9d82a89969a1b6c11a346d1a1804ace5426bb1e2a06147b6280739c23f7fffd4437a00000000",
    ),
];

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.bytes().filter_map(|digit| char::from(digit).to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn key(algorithm: Algorithm) -> Key {
    let name = Name::parse(b"Scanner").expect("a name");
    Key { name, algorithm, secret: (*b"0123456789abcdef0123456789abcdef").into() }
}

fn verify(message: &[u8], keys: &[Key], now_s: u64) -> Result<Seal, Fault> {
    Signature::find(message).expect("readable").expect("signed").verify(message, keys, now_s)
}

#[test]
fn nsupdate_is_believed_with_each_algorithm() {
    let keys = Algorithm::ALL.map(key);
    for (algorithm, hex) in CAPTURED {
        let message = octets(hex);
        let seal = verify(&message, &keys, SIGNED_S).expect("believed");
        assert_eq!(seal.key.as_ref().map(|key| key.algorithm), Some(algorithm));
        let mut forwarded = message.clone();
        forwarded[0] ^= 0xff;
        assert!(verify(&forwarded, &keys, SIGNED_S).is_ok(), "a forwarder may change the id (RFC 8945 section 4.2)");
    }
}

#[test]
fn every_changed_octet_is_noticed() {
    let keys = [key(Algorithm::HmacSha256)];
    let message = octets(CAPTURED[0].1);
    for at in 2..message.len() {
        let mut changed = message.clone();
        changed[at] ^= 1;
        let verified =
            Signature::find(&changed).map(|found| found.map(|found| found.verify(&changed, &keys, SIGNED_S).is_ok()));
        // The letter case of names is not part of them, and the id stands in the record as it was.
        let is_case = message[at].is_ascii_alphabetic() && (message[at] ^ 1).eq_ignore_ascii_case(&message[at]);
        assert!(is_case || verified != Ok(Some(true)), "octet {at}");
    }
}

#[test]
fn nothing_stands_behind_a_signature() {
    let mut message = octets(CAPTURED[0].1);
    assert!(matches!(Signature::find(&message), Ok(Some(_))));
    message.push(0);
    assert!(Signature::find(&message).is_err(), "nobody signed that");
}

#[test]
fn faults_have_their_codes() {
    let message = octets(CAPTURED[0].1);
    let right = [key(Algorithm::HmacSha256)];
    let fault = |keys: &[Key], now_s| {
        let fault = verify(&message, keys, now_s).expect_err("a fault");
        let seal = fault.seal.expect("a seal");
        (fault.rcode, seal.error, seal.key.is_some())
    };
    assert_eq!(fault(&[], SIGNED_S), (Rcode::NotAuth, Error::BadKey, false));
    assert_eq!(fault(&[key(Algorithm::HmacSha384)], SIGNED_S), (Rcode::NotAuth, Error::BadKey, false));
    let mut wrong = right.clone();
    wrong[0].secret[0] ^= 1;
    assert_eq!(fault(&wrong, SIGNED_S), (Rcode::NotAuth, Error::BadSig, false));
    assert_eq!(fault(&right, SIGNED_S + 301), (Rcode::NotAuth, Error::BadTime, true));
    assert_eq!(fault(&right, SIGNED_S - 301), (Rcode::NotAuth, Error::BadTime, true));
    assert!(verify(&message, &right, SIGNED_S + 300).is_ok());
}

/// Shortens the signature of a captured message to `mac_len` octets, and mends the lengths around it.
fn with_mac_of(mac_len: usize) -> Vec<u8> {
    let message = octets(CAPTURED[0].1);
    let mac_at = message.len() - 6 - 32;
    let data_len_at = message.len() - 0x3d - 2;
    let mut mac = message[mac_at..mac_at + 32].to_vec();
    mac.resize(mac_len, 0);
    let mut shortened = message[..mac_at - 2].to_vec();
    push_sized(&mut shortened, &mac);
    shortened.extend_from_slice(&message[mac_at + 32..]);
    shortened[data_len_at + 1] = (0x3d + mac_len - 32) as u8;
    shortened
}

#[test]
fn signatures_may_be_cut_to_half() {
    let keys = [key(Algorithm::HmacSha256)];
    assert!(verify(&with_mac_of(32), &keys, SIGNED_S).is_ok());
    assert!(verify(&with_mac_of(16), &keys, SIGNED_S).is_ok());
    for wrong in [0, 15, 33] {
        let shortened = with_mac_of(wrong);
        let fault = verify(&shortened, &keys, SIGNED_S).expect_err("a fault");
        assert_eq!((fault.rcode, fault.seal), (Rcode::FormErr, None), "{wrong}");
    }
}

#[test]
fn replies_are_signed_over_the_request() {
    let keys = [key(Algorithm::HmacSha256)];
    let request = octets(CAPTURED[0].1);
    let seal = verify(&request, &keys, SIGNED_S + 1).expect("believed");
    let header = [&request[..2], &[0xa8, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
    let mut reply = header.clone();
    seal.sign(&mut reply);
    assert_eq!(reply.len(), header.len() + seal.wire_len());
    let signature = Signature::find(&reply).expect("readable").expect("signed");
    assert_eq!((signature.signed_s, signature.error, signature.message_len), (SIGNED_S + 1, 0, 12));
    let request_mac = &request[request.len() - 38..request.len() - 6];
    let parts = [&[0, 32][..], request_mac, &header, &signature.variables()];
    assert!(keys[0].is_mac(&parts, signature.mac), "with the request's signature before it");
    assert!(!keys[0].is_mac(&parts[2..], signature.mac), "and not without");
}

#[test]
fn a_reply_by_way_of_a_forwarder_is_signed_with_the_id_of_its_client() {
    let keys = [key(Algorithm::HmacSha256)];
    let mut request = octets(CAPTURED[0].1);
    let original_id = [request[0], request[1]];
    request[0] ^= 0xff;
    let seal = verify(&request, &keys, SIGNED_S).expect("believed");
    let mut reply = [&request[..2], &[0xa8, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
    let signed = [&original_id, &reply[2..]].concat();
    seal.sign(&mut reply);
    assert_eq!(reply[..2], request[..2], "what is sent has the forwarder's");
    let signature = Signature::find(&reply).expect("readable").expect("signed");
    let request_mac = &request[request.len() - 38..request.len() - 6];
    assert!(keys[0].is_mac(&[&[0, 32], request_mac, &signed, &signature.variables()], signature.mac));
}

#[test]
fn a_wrong_clock_is_told_the_time_in_terms_it_can_check() {
    let keys = [key(Algorithm::HmacSha256)];
    let request = octets(CAPTURED[0].1);
    let now_s = SIGNED_S + 4_000;
    let seal = verify(&request, &keys, now_s).expect_err("late").seal.expect("a seal");
    let mut reply = vec![0; HEADER_LEN];
    seal.sign(&mut reply);
    let signature = Signature::find(&reply).expect("readable").expect("signed");
    assert_eq!((signature.signed_s, signature.error), (SIGNED_S, 18));
    assert_eq!(signature.other, &now_s.to_be_bytes()[2..]);
    assert_eq!(signature.mac.len(), 32);
}

#[test]
fn unbelieved_signatures_are_answered_without_one() {
    let request = octets(CAPTURED[0].1);
    let seal = verify(&request, &[], SIGNED_S).expect_err("no key").seal.expect("a seal");
    let mut reply = vec![0; HEADER_LEN];
    seal.sign(&mut reply);
    let signature = Signature::find(&reply).expect("readable").expect("a record");
    assert_eq!((signature.mac.len(), signature.error), (0, 17));
    assert_eq!(signature.key_name.to_string(), "scanner");
}

#[test]
fn the_record_stands_last_and_once() {
    let message = octets(CAPTURED[0].1);
    let at = Signature::find(&message).expect("readable").expect("signed").message_len;
    let mut twice = [&message[..], &message[at..]].concat();
    twice[11] += 1;
    assert_eq!(Signature::find(&twice), Err(Unreadable));
    let mut elsewhere = message.clone();
    (elsewhere[9], elsewhere[11]) = (2, 0);
    assert_eq!(Signature::find(&elsewhere), Err(Unreadable), "in the update section");
    let mut unsigned = message[..at].to_vec();
    unsigned[11] = 0;
    assert_eq!(Signature::find(&unsigned), Ok(None));
    for length in 12..message.len() {
        assert_eq!(Signature::find(&message[..length]), Err(Unreadable), "{length}");
    }
}

#[test]
fn secrets_are_not_shown() {
    assert_eq!(format!("{:?}", key(Algorithm::HmacSha512)), "hmac-sha512:scanner");
    assert_eq!(Algorithm::named("HMAC-SHA256."), Some(Algorithm::HmacSha256));
    assert_eq!(Algorithm::named("hmac-md5"), None);
}
