//! The limits of TCP, as the file describes them.

use anyhow::Context as _;
use serde::Deserialize;

use super::{Odd, duration, place::AtKey as _, set};
use crate::net::Limits;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct TcpSpec {
    max_connections: Option<usize>,
    max_connections_per_client: Option<usize>,
    max_queries: Option<u32>,
    idle_close: Option<String>,
    lifetime: Option<String>,
}

impl TcpSpec {
    /// Sets the limits, and returns what is odd about them.
    pub(super) fn apply(self, limits: &mut Limits) -> anyhow::Result<Odd> {
        let some = |number: usize| (number > 0).then_some(()).context("must not be 0: no query would be answered");
        some(self.max_connections.unwrap_or(1)).at_key("max-connections")?;
        some(self.max_connections_per_client.unwrap_or(1)).at_key("max-connections-per-client")?;
        some(self.max_queries.unwrap_or(1) as usize).at_key("max-queries")?;
        set(&mut limits.max_connections, self.max_connections);
        let odd = share(limits, self.max_connections_per_client);
        set(&mut limits.max_queries, self.max_queries);
        for (field, text, key) in [
            (&mut limits.idle_close_ms, self.idle_close, "idle-close"),
            (&mut limits.lifetime_ms, self.lifetime, "lifetime"),
        ] {
            if let Some(text) = text {
                *field = duration(&text).at_key(key)?.as_millis() as u64;
                some(*field as usize).at_key(key)?;
            }
        }
        Ok(odd)
    }
}

/// How many clients must come together to have all connections, unless told otherwise.
const CLIENTS_FOR_ALL: usize = 10;

/// Sets how many of all connections one client may have. What was not said bends to the total, so that one alone cannot drive out all
/// others; what was said is odd where he can.
fn share(limits: &mut Limits, per_client: Option<usize>) -> Odd {
    let all = limits.max_connections;
    let usual = limits.max_connections_per_client.min(all / CLIENTS_FOR_ALL).max(1);
    limits.max_connections_per_client = per_client.unwrap_or(usual);
    if limits.max_connections_per_client <= (all / 2).max(1) {
        return Odd::new();
    }
    let key = ["tcp", "max-connections-per-client"].map(str::to_owned);
    let text = format!(
        "more than half of `max-connections`, {all}: one client alone may drive out all others; {usual} will do"
    );
    vec![(key.into(), text)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Limits, Odd) {
        let mut limits = Limits::default();
        let odd = toml::from_str::<TcpSpec>(text).expect(text).apply(&mut limits).expect(text);
        (limits, odd)
    }

    /// One client alone must not drive out all others.
    #[test]
    fn the_limit_of_one_client_bends_to_that_of_all() {
        for (text, expected) in [
            ("", (800, 80)),
            ("max-connections = 8000", (8000, 80)),
            ("max-connections = 60", (60, 6)),
            ("max-connections = 4", (4, 1)),
            ("max-connections-per-client = 20", (800, 20)),
            ("max-connections = 60\nmax-connections-per-client = 30", (60, 30)),
        ] {
            let (limits, odd) = read(text);
            assert_eq!((limits.max_connections, limits.max_connections_per_client), expected, "{text}");
            assert_eq!(odd, [], "{text}");
        }
        for (text, most) in [
            ("max-connections = 60\nmax-connections-per-client = 80", 80),
            ("max-connections = 60\nmax-connections-per-client = 31", 31),
            ("max-connections-per-client = 800", 800),
        ] {
            let (limits, odd) = read(text);
            let [(keys, why)] = &*odd else { panic!("{text}: {odd:?}") };
            assert_eq!(
                (&**keys, limits.max_connections_per_client),
                (&["tcp", "max-connections-per-client"].map(String::from)[..], most)
            );
            assert!(why.contains("one client alone"), "{why}");
        }
    }
}
