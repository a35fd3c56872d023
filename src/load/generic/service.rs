//! Records of services, SVCB and HTTPS (RFC 9460). Their parameters have rules of their own, and a client that finds one broken
//! rejects the whole RRset (section 2.2), or the whole reply.

use hickory_proto::rr::rdata::{SVCB, svcb::SvcParamValue};

use crate::wire::name::labels;

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;

/// Brings the parameters, and those that are mandatory among them, into the order of the wire (sections 2.2 and 8): lines may have
/// them in any.
pub(super) fn sort(service: &mut SVCB) {
    service.svc_params.sort_by_key(|(key, _)| *key);
    for (_, value) in &mut service.svc_params {
        if let SvcParamValue::Mandatory(mandatory) = value {
            mandatory.0.sort();
        }
    }
}

/// Looks at RDATA whose parameters stand in order, each once: a line may give any of them in octets, by its number.
///
/// # Errors
/// What a client would not take.
pub(super) fn check(rdata: &[u8]) -> Result<(), &'static str> {
    let parameters = parameters(rdata).ok_or("a priority, a target and parameters")?;
    let has = |key: u16| parameters.iter().any(|(other, _)| *other == key);
    for (key, value) in &parameters {
        match (*key, *value) {
            (MANDATORY, keys) if !is_mandatory(keys, has) => {
                return Err("what is mandatory is to be there as well, once, and is not `mandatory` itself");
            }
            (ALPN, ids) if !is_alpn(ids) => return Err("alpn has one protocol at least, and none is empty"),
            (2, value) if !value.is_empty() || !has(ALPN) => {
                return Err("no-default-alpn has no value, and alpn beside it");
            }
            (3, value) if value.len() != 2 => return Err("port is a number up to 65535"),
            (4, value) if value.is_empty() || value.len() % 4 > 0 => return Err("ipv4hint has one address at least"),
            (5, []) => return Err("ech has a value"),
            (6, value) if value.is_empty() || value.len() % 16 > 0 => return Err("ipv6hint has one address at least"),
            (7, value) if !is_dohpath(value) => return Err("key7, dohpath, is a path such as /dns-query{?dns}"),
            (8, value) if !value.is_empty() => return Err("key8, ohttp, has no value"),
            _ => {}
        }
    }
    Ok(())
}

/// The parameters behind priority and target: numbers and values.
fn parameters(rdata: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let target = rdata.get(2..)?;
    let target_len: usize = labels(target).map(|label| 1 + label.len()).sum();
    let mut rest = target.get(target_len + 1..)?;
    let mut parameters = Vec::new();
    while let Some(([k1, k2, l1, l2], after)) = rest.split_first_chunk() {
        let (value, after) = after.split_at_checked(usize::from(u16::from_be_bytes([*l1, *l2])))?;
        parameters.push((u16::from_be_bytes([*k1, *k2]), value));
        rest = after;
    }
    Some(parameters)
}

/// Section 8: one key at least, each once and in order, and all of them there.
fn is_mandatory(keys: &[u8], has: impl Fn(u16) -> bool) -> bool {
    let (keys, rest) = keys.as_chunks();
    let numbers = || keys.iter().map(|key| u16::from_be_bytes(*key));
    rest.is_empty()
        && !keys.is_empty()
        && keys.is_sorted_by(|one, next| one < next)
        && numbers().all(|key| key > 0 && has(key))
}

/// Section 7.1.1: protocols behind their lengths.
fn is_alpn(mut ids: &[u8]) -> bool {
    let has_any = !ids.is_empty();
    while let Some((&length @ 1.., after)) = ids.split_first() {
        let Some(rest) = after.get(usize::from(length)..) else { return false };
        ids = rest;
    }
    has_any && ids.is_empty()
}

/// RFC 9461 section 5: a relative URI template with a variable `dns`.
fn is_dohpath(path: &[u8]) -> bool {
    let Ok(path) = str::from_utf8(path) else { return false };
    let mut expressions = path.split('{').skip(1).filter_map(|after| after.split_once('}')).map(|(inside, _)| inside);
    path.starts_with('/')
        && expressions.any(|inside| inside.trim_start_matches(['?', '&']).split(',').any(|name| name == "dns"))
}
