//! Descriptors: TCP connections may take many, and whatever else the server opens must still find some, or lists could not be
//! renewed while clients are many.
//!
//! What the system permits at first, 1,024 by old custom, is often less than what it permits on demand. So as many are asked for
//! as are needed at most; and where there are fewer, fewer connections are let in.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::warn;

use super::http;
use crate::net::Limits;

/// What is open at once, at most, besides the sockets that queries come by: connections by HTTP; and files that are read and
/// kept, the store, commands, the log and the like.
const OTHERS: usize = http::PLACES + 128;

/// Asks for as many descriptors as TCP's connections need, with so many sockets that queries come by; where there are fewer, sets
/// narrower limits.
pub(super) fn make_room(tcp: &mut Limits, sockets: usize) {
    let (others, connections) = (OTHERS + sockets, tcp.max_connections);
    let wanted = connections.saturating_add(others) as u64;
    let Ok((mut permitted, most)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let more = wanted.min(most);
    if permitted < more && setrlimit(Resource::RLIMIT_NOFILE, more, most).is_ok() {
        permitted = more;
    }
    narrow(tcp, others, permitted);
    if tcp.max_connections < connections {
        warn!(
            "{permitted} file descriptors are permitted, so {} TCP connections are let in at once and not {connections}: permit \
             {wanted} (systemd: LimitNOFILE=), or set max-connections",
            tcp.max_connections
        );
    }
}

/// Lets in as many connections as there is room for. The others are seldom there all at once, so a quarter of what is permitted is
/// for connections in any case. One client's share of them stays what it was, lest one alone drives out all others.
fn narrow(tcp: &mut Limits, others: usize, permitted: u64) {
    let permitted = usize::try_from(permitted).unwrap_or(usize::MAX);
    let connections = tcp.max_connections;
    let room = permitted.saturating_sub(others).max(permitted / 4).max(1);
    if room < connections {
        let share = tcp.max_connections_per_client as f64 / connections as f64;
        tcp.max_connections = room;
        tcp.max_connections_per_client = ((share * room as f64) as usize).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_have_what_others_do_not_need() {
        let narrowed = |permitted: u64| {
            let mut tcp = Limits::default();
            narrow(&mut tcp, 300, permitted);
            (tcp.max_connections, tcp.max_connections_per_client)
        };
        assert_eq!([u64::MAX, 1_100, 1_000, 501].map(narrowed), [(800, 80), (800, 80), (700, 70), (201, 20)]);
        assert_eq!([400, 100, 7, 0].map(narrowed), [(100, 10), (25, 2), (1, 1), (1, 1)], "not all are there at once");
    }
}
