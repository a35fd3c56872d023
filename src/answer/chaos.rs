//! What server is this? The two questions of class CHAOS that operators ask (RFC 4892 and the custom before it).

use super::{Asked, Decision, refuse};
use crate::wire::{
    ExtendedError, HEADER_LEN, Rcode, class,
    reply::{Reply, Section},
    rr,
};

/// Answers `version.bind`, `version.server`, `id.server` and `hostname.bind`, as far as the policy tells.
pub(super) fn answer(asked: &Asked<'_>, reply: &mut Reply<'_>) -> Decision {
    let policy = asked.world.policy;
    let text = match asked.name.as_wire() {
        b"\x07version\x04bind\x00" | b"\x07version\x06server\x00" => policy.version.as_deref(),
        b"\x02id\x06server\x00" | b"\x08hostname\x04bind\x00" => policy.identity.as_deref(),
        _ => None,
    };
    let Some(text) = text.filter(|_| matches!(asked.query.qtype, rr::TXT | rr::ANY)) else {
        return refuse(ExtendedError::NotAuthoritative);
    };
    reply.set_class(class::CH);
    let texts = std::iter::once(text.as_bytes());
    if reply.record(Section::Answer, HEADER_LEN, rr::TXT, 0, |data| data.strings(texts)).is_err() {
        reply.set_truncated();
    }
    Decision::new(Rcode::NoError, None)
}
