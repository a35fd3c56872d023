//! `dnsbld querylog`: which queries a running server logs, switched while it runs.

use std::{net::IpAddr, process::ExitCode, time::Duration};

use clap::ValueEnum;
use ipnet::IpNet;

use super::control::{StateArgument, tell_error};
use crate::{
    control::{QueryLogState, QueryRules, Request},
    live::{clock, listings::Key},
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Lines go where all messages of the server go (serve --log), one for each query. What the log cannot keep up with \
    is answered, not logged, and counted."
)]
pub(super) struct Arguments {
    /// What to do with it
    #[arg(value_enum, default_value_t = Action::Status)]
    action: Action,
    /// Log queries in this zone only; repeat for several
    #[arg(long, value_name = "ZONE")]
    zone: Vec<String>,
    /// Log queries from this address or network only; repeat for several
    #[arg(long, value_name = "ADDRESS[/LENGTH]", value_parser = network)]
    client: Vec<IpNet>,
    /// Log queries only that found something listed
    #[arg(long)]
    listed: bool,
    /// Of those, log one in so many
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    sample: u32,
    /// End by itself after this time, such as 10m
    #[arg(long = "for", value_name = "TIME", allow_hyphen_values = true, value_parser = super::some_time)]
    duration: Option<Duration>,
    #[command(flatten)]
    pub(super) state: StateArgument,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Action {
    /// Log queries from now on
    On,
    /// Log none
    Off,
    /// Say what it does
    Status,
}

fn network(text: &str) -> Result<IpNet, String> {
    let is_any = text.parse::<IpAddr>().is_ok() || text.parse::<IpNet>().is_ok();
    // As a key it has no bits beyond its length, and no IPv6 clothes around IPv4.
    match text.parse::<Key>() {
        Ok(Key::Prefix(network)) if is_any => Ok(network),
        Err(why) if is_any => Err(why),
        _ => Err("expected an address or a network such as 192.0.2.0/24".to_owned()),
    }
}

impl Arguments {
    /// Whether anything is said of which queries are logged, or for how long.
    fn has_rules(&self) -> bool {
        let Self { zone, client, listed, sample, duration, .. } = self;
        !zone.is_empty() || !client.is_empty() || *listed || *sample != 1 || duration.is_some()
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.action != Action::On && arguments.has_rules() {
        let text =
            "--zone, --client, --listed, --sample and --for say what is logged from now on: dnsbld querylog on ...";
        if arguments.state.is_json() {
            tell_error(text)?;
        }
        return Ok(super::fail_with(2, &anyhow::anyhow!(text)));
    }
    let request = match arguments.action {
        Action::Status => Request::QueryLog,
        Action::Off => Request::SwitchQueryLog { rules: None },
        Action::On => Request::SwitchQueryLog {
            rules: Some(QueryRules {
                zones: arguments.zone.clone(),
                clients: arguments.client.clone(),
                listed_only: arguments.listed,
                sample: arguments.sample,
                until_s: arguments.duration.map(|duration| clock::now_s().saturating_add(duration.as_secs())),
            }),
        },
    };
    arguments.state.print(&arguments.state.request(&request)?)
}

/// What the log does, in one line.
pub(super) fn show(state: &QueryLogState) -> String {
    let Some(rules) = &state.rules else { return "the query log is off".to_owned() };
    let mut words = vec!["the query log is on".to_owned()];
    if !rules.zones.is_empty() {
        words.push(format!("for {}", rules.zones.join(", ")));
    }
    if !rules.clients.is_empty() {
        let clients: Vec<String> = rules.clients.iter().map(ToString::to_string).collect();
        words.push(format!("from {}", clients.join(", ")));
    }
    if rules.listed_only {
        words.push("listed only".to_owned());
    }
    if rules.sample > 1 {
        words.push(format!("one in {}", rules.sample));
    }
    if let Some(until_s) = rules.until_s {
        words.push(format!("until {}", clock::date(until_s)));
    }
    format!("{}: {} logged, {} not logged for lack of room", words.join(", "), state.logged, state.dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients of IPv4 are logged, and so looked for, without IPv6 clothes.
    #[test]
    fn networks() {
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1/32"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("::ffff:192.0.2.1", "192.0.2.1/32"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
            ("2001:db8::/32", "2001:db8::/32"),
        ] {
            assert_eq!(network(text).map(|network| network.to_string()), Ok(expected.to_owned()), "{text}");
        }
        for text in ["192.0.2.1/24", "example.org", "192.0.2.0/33", ""] {
            assert!(network(text).is_err(), "{text}");
        }
    }
}
