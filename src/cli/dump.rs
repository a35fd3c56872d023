//! `dnsbld dump`: zones as BIND zone files, for other name servers and for reading.
//!
//! A wildcard of DNS gives way to every name that exists near it (RFC 4592 section 2.2.1), an entry of a list does not. So
//! blocks of addresses are cut where another begins, and below each name that exists the wildcards that still hold are
//! repeated. What cannot be said is a text with the listed address in a wildcard: it names the first address, as rbldnsd's does;
//! and a name that begins with an asterisk of its own, which is a wildcard everywhere else: it stands there as a comment.

use std::{
    collections::BTreeSet,
    io::{self, BufWriter, Write},
    net::{Ipv4Addr, Ipv6Addr},
    process::ExitCode,
};

use tracing::warn;

use super::{
    logging,
    zones_args::{Loaded, ZonesArguments},
};
use crate::{
    config::Config,
    live::clock,
    wire::{
        name::{Name, QueryName},
        rr,
    },
    zone::{
        apex::{ZoneServers, ZoneSoa},
        dataset::{Dataset, Entries},
        records::Record,
        ruling::{Context, FOREVER_S, Finding},
        snapshot::{Content, Part, Zone},
    },
};

/// TTL of the aliases that stand for exclusions.
const EXCLUDED_TTL_S: u32 = 300;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    zones: ZonesArguments,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    logging::start("warn");
    print(&arguments.zones.config()?, &mut io::stdout().lock())
}

/// Loads zones and prints them.
pub(super) fn print(config: &Config, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let loaded = Loaded::new(config)?;
    let datasets = loaded.datasets.iter().map(|loaded| &loaded.dataset);
    for dataset in datasets.filter(|dataset| dataset.kind.is_access()) {
        warn!(dataset = %dataset, "not dumped: a zone file has no place for who may ask, and whoever serves it answers everyone");
    }
    let context = Context { now_s: clock::now_s(), keyed: false };
    let mut out = BufWriter::new(out);
    for zone in loaded.cell.load().snapshot.zones() {
        print_zone(zone, &context, &mut out)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn print_zone(zone: &Zone, context: &Context, out: &mut impl Write) -> io::Result<()> {
    let Some(content) = &zone.content else { return Ok(()) };
    writeln!(out, "; zone {}, dumped by dnsbld {}", zone.apex, env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "$ORIGIN\t{}", absolute(&zone.apex))?;
    match &content.soa {
        Some(soa) => print_soa(soa, out)?,
        None => writeln!(out, "; the zone has no $SOA, without which no name server will load it")?,
    }
    if let Some(servers) = &content.servers {
        print_servers(servers, out)?;
    }
    for part in content.parts().iter().rev() {
        let origin = part.name.below(&zone.apex).map_err(io::Error::other)?;
        writeln!(out, "$ORIGIN\t{}", absolute(&origin))?;
        PartDump { part, content, context, out }.print()?;
    }
    Ok(())
}

fn print_soa(soa: &ZoneSoa, out: &mut impl Write) -> io::Result<()> {
    let soa = &soa.soa;
    writeln!(
        out,
        "@\t{}\tSOA\t{}\t{}\t({} {} {} {} {})",
        soa.ttl_s,
        absolute(&soa.origin),
        absolute(&soa.person),
        soa.serial,
        soa.refresh_s,
        soa.retry_s,
        soa.expire_s,
        soa.minimum_s
    )
}

fn print_servers(servers: &ZoneServers, out: &mut impl Write) -> io::Result<()> {
    for (server, _) in &servers.servers {
        writeln!(out, "@\t{}\tNS\t{}", servers.ttl_s, absolute(server.name()))?;
    }
    Ok(())
}

fn absolute(name: &Name) -> String {
    show(name) + "."
}

/// A name for a zone file. Some name servers refuse a punctuation mark that others take as it is, and all take every octet by its
/// number (RFC 1035 section 5.1).
fn show(name: &Name) -> String {
    let show_octet = |&octet: &u8| match octet {
        b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => (octet as char).to_string(),
        _ => format!("\\{octet:03}"),
    };
    let labels = name.labels().map(|label| label.iter().map(show_octet).collect::<String>());
    labels.collect::<Vec<_>>().join(".")
}

/// One part of a zone on its way out.
struct PartDump<'a, W> {
    part: &'a Part,
    content: &'a Content,
    context: &'a Context,
    out: &'a mut W,
}

impl<W: Write> PartDump<'_, W> {
    fn print(mut self) -> io::Result<()> {
        self.print_v4()?;
        self.print_v6()?;
        self.print_names()
    }

    /// Every run of addresses of which all datasets say the same, cut into whole octets.
    fn print_v4(&mut self) -> io::Result<()> {
        let mut starts = BTreeSet::new();
        for dataset in &self.part.datasets {
            if let Entries::Addresses(addresses) = &dataset.entries {
                addresses.for_each_v4(|first, last, _| {
                    starts.insert(u64::from(first));
                    starts.insert(u64::from(last) + 1);
                });
            }
        }
        let starts: Vec<u64> = starts.into_iter().collect();
        for run in starts.windows(2) {
            let (mut first, last) = (run[0], run[1] - 1);
            while first <= last {
                let bits = [24u32, 16, 8, 0]
                    .into_iter()
                    .find(|&bits| first.is_multiple_of(1 << bits) && first + (1 << bits) - 1 <= last)
                    .unwrap_or(0);
                self.print_v4_block(first as u32, bits)?;
                first += 1 << bits;
            }
        }
        Ok(())
    }

    fn print_v4_block(&mut self, first: u32, bits: u32) -> io::Result<()> {
        let octets = first.to_be_bytes();
        let given = 4 - bits as usize / 8;
        let mut owner = if bits > 0 { "*".to_owned() } else { String::new() };
        for octet in octets[..given].iter().rev() {
            owner = if owner.is_empty() { octet.to_string() } else { format!("{owner}.{octet}") };
        }
        let key = Ipv4Addr::from(first).to_string();
        self.print_listed(&owner, &key, |dataset| match &dataset.entries {
            Entries::Addresses(addresses) => addresses.find_v4(first, self.context),
            _ => Finding::Absent,
        })
    }

    fn print_v6(&mut self) -> io::Result<()> {
        let mut starts = BTreeSet::new();
        let mut reaches_end = false;
        for dataset in &self.part.datasets {
            if let Entries::Addresses(addresses) = &dataset.entries {
                addresses.for_each_v6(|first, last, _| {
                    starts.insert(first);
                    match last.checked_add(1) {
                        Some(next) => {
                            starts.insert(next);
                        }
                        None => reaches_end = true,
                    }
                });
            }
        }
        let starts: Vec<u128> = starts.into_iter().collect();
        for (index, &start) in starts.iter().enumerate() {
            let last = match starts.get(index + 1) {
                Some(next) => next - 1,
                None if reaches_end => u128::MAX,
                None => break,
            };
            let mut first = start;
            loop {
                let bits = (0..32u32)
                    .rev()
                    .map(|nibble| 4 * nibble)
                    .find(|&bits| first & ((1 << bits) - 1) == 0 && last - first >= (1 << bits) - 1)
                    .unwrap_or(0);
                self.print_v6_block(first, bits)?;
                match first.checked_add(1 << bits) {
                    Some(next) if next <= last => first = next,
                    _ => break,
                }
            }
        }
        Ok(())
    }

    fn print_v6_block(&mut self, first: u128, bits: u32) -> io::Result<()> {
        let mut digits: Vec<String> = (bits / 4..32).map(|place| format!("{:x}", first >> (4 * place) & 0xf)).collect();
        if bits > 0 {
            digits.insert(0, "*".to_owned());
        }
        let key = Ipv6Addr::from(first).to_string();
        self.print_listed(&digits.join("."), &key, |dataset| match &dataset.entries {
            Entries::Addresses(addresses) => addresses.find_v6(first, self.context),
            _ => Finding::Absent,
        })
    }

    /// Every name that has data or stands above one that has.
    fn print_names(&mut self) -> io::Result<()> {
        let mut nodes: BTreeSet<Vec<u8>> = BTreeSet::from([Vec::new()]);
        let mut add = |name: &[u8]| {
            let mut rest = name;
            loop {
                nodes.insert(rest.to_vec());
                let Some((&length, _)) = rest.split_first() else { break };
                rest = &rest[1 + usize::from(length)..];
            }
        };
        let mut has_names = false;
        for dataset in &self.part.datasets {
            match &dataset.entries {
                Entries::Names(names) => {
                    has_names = true;
                    names.for_each(|name, _, _| {
                        let name = name.to_name();
                        add(&name.as_wire()[..name.as_wire().len() - 1]);
                    });
                }
                Entries::Records(records) => records.iter().for_each(|(name, _)| add(name)),
                Entries::Addresses(_) => {}
            }
        }
        for node in &nodes {
            self.print_name(node, has_names)?;
        }
        Ok(())
    }

    fn print_name(&mut self, node: &[u8], has_names: bool) -> io::Result<()> {
        let shown = show(&Name::from_wire(&[node, &[0]].concat()));
        let below = if node.is_empty() { "*".to_owned() } else { format!("*.{shown}") };
        let mut owner = if node.is_empty() { "@".to_owned() } else { shown };
        let begins_with_asterisk = self.begins_with_asterisk(node);
        if begins_with_asterisk {
            owner.insert_str(0, "; left out, as elsewhere the asterisk of this name would be a wildcard: ");
        }
        let mut is_written = self.print_records(node, &owner)?;
        if !has_names {
            return Ok(());
        }
        // What wildcards say of it is said where they stand.
        let is_said = !begins_with_asterisk || self.is_entry(node);
        let own_is_listed = !node.is_empty() && is_said && self.print_name_entries(node, &owner)?;
        is_written |= own_is_listed;
        is_written |= self.print_name_entries(&unlisted_child(node), &below)?;
        let has_to_exist = begins_with_asterisk || !is_written;
        if has_to_exist && is_said && self.is_excluded(node) && self.is_below_wildcard(node) {
            // The name must exist, or the wildcard above would list it: a dangling alias, as rbldnsd has it.
            writeln!(self.out, "{owner}\t{EXCLUDED_TTL_S}\tCNAME\texcluded")?;
        }
        Ok(())
    }

    /// Whether a name would be a wildcard in a zone file (RFC 4592 section 2.1.1). Here that label is one as any other.
    fn begins_with_asterisk(&self, node: &[u8]) -> bool {
        const ASTERISK: &[u8] = b"\x01*";
        node.starts_with(ASTERISK) || node.is_empty() && self.part.name.as_wire().starts_with(ASTERISK)
    }

    /// Whether an entry is about just this name.
    fn is_entry(&self, wire: &[u8]) -> bool {
        let Some(name) = query_name(wire) else { return false };
        self.part.datasets.iter().any(|dataset| match &dataset.entries {
            Entries::Names(names) => {
                let found = names.look_up(name.relative(name.label_count()), self.context);
                found.entry_label_count == name.label_count()
            }
            _ => false,
        })
    }

    fn print_records(&mut self, node: &[u8], owner: &str) -> io::Result<bool> {
        let Some(name) = query_name(node) else { return Ok(false) };
        let mut is_written = false;
        for dataset in &self.part.datasets {
            let Entries::Records(records) = &dataset.entries else { continue };
            for record in records.at(name.relative(name.label_count())).unwrap_or_default() {
                writeln!(self.out, "{owner}\t{}\t{}", record.ttl_s, show_record(record))?;
                is_written = true;
            }
        }
        Ok(is_written)
    }

    fn print_name_entries(&mut self, wire: &[u8], owner: &str) -> io::Result<bool> {
        let Some(name) = query_name(wire) else { return Ok(false) };
        let relative = name.relative(name.label_count());
        let mut is_written = false;
        for dataset in &self.part.datasets {
            let Entries::Names(names) = &dataset.entries else { continue };
            let found = names.look_up(relative, self.context);
            let key = relative.last(found.entry_label_count).to_string();
            is_written |= print_finding(dataset, found.finding, owner, &key, self.context, self.out)?;
        }
        Ok(is_written)
    }

    /// Whether a wildcard lists what is beside a name.
    fn is_below_wildcard(&self, node: &[u8]) -> bool {
        let Some((&length, _)) = node.split_first() else { return false };
        self.finds(&unlisted_child(&node[1 + usize::from(length)..]), Finding::is_listed)
    }

    fn is_excluded(&self, wire: &[u8]) -> bool {
        let Some(name) = query_name(wire) else { return false };
        self.finds(wire, |finding| matches!(finding, Finding::Excluded))
            && !self.content.is_above_subzone(name.relative(name.label_count()))
            && !self.content.is_above_zone(name.relative(name.label_count()))
    }

    /// Whether any dataset of names finds such a thing.
    fn finds<'f>(&'f self, wire: &[u8], is_such: impl Fn(&Finding<'f>) -> bool) -> bool {
        let Some(name) = query_name(wire) else { return false };
        self.part.datasets.iter().any(|dataset| match &dataset.entries {
            Entries::Names(names) => is_such(&names.look_up(name.relative(name.label_count()), self.context).finding),
            _ => false,
        })
    }

    fn print_listed<'f>(&mut self, owner: &str, key: &str, find: impl Fn(&'f Dataset) -> Finding<'f>) -> io::Result<()>
    where
        Self: 'f,
    {
        for dataset in &self.part.datasets {
            print_finding(dataset, find(dataset), owner, key, self.context, self.out)?;
        }
        Ok(())
    }
}

/// A child that surely has no entry of its own: it shows what the wildcards say below a name.
fn unlisted_child(node: &[u8]) -> Vec<u8> {
    [b"\x0bdnsbld-dump", node].concat()
}

/// Prints the values of a finding; true if there were any.
fn print_finding(
    dataset: &Dataset,
    finding: Finding<'_>,
    owner: &str,
    key: &str,
    context: &Context,
    out: &mut impl Write,
) -> io::Result<bool> {
    let mut result = Ok(());
    let mut is_written = false;
    finding.for_each_value(context, |value, until_s, _| {
        if result.is_err() {
            return;
        }
        let left_s = if until_s == FOREVER_S { u64::MAX } else { u64::from(until_s).saturating_sub(context.now_s) };
        let ttl_s = u64::from(dataset.ttl_s).min(left_s);
        is_written = true;
        result = writeln!(out, "{owner}\t{ttl_s}\tA\t{}", dataset.values.address(value));
        if let (Ok(()), Some(text)) = (&result, dataset.values.text(value)) {
            let text = dataset.values.expand(text, key.as_bytes());
            result = writeln!(out, "{owner}\t{ttl_s}\tTXT\t{}", show_strings(text.chunks(255)));
        }
    });
    result.map(|()| is_written)
}

fn query_name(wire: &[u8]) -> Option<QueryName> {
    let mut name = QueryName::new();
    name.read(&[wire, &[0]].concat()).map(|_| name)
}

fn show_strings<'a>(strings: impl Iterator<Item = &'a [u8]>) -> String {
    let show_octet = |&octet: &u8| match octet {
        b'"' | b'\\' => format!("\\{}", octet as char),
        b' '..=b'~' => (octet as char).to_string(),
        _ => format!("\\{octet:03}"),
    };
    let show = |string: &[u8]| format!("\"{}\"", string.iter().map(show_octet).collect::<Vec<_>>().concat());
    strings.map(show).collect::<Vec<_>>().join(" ")
}

/// A plain record's type and data: by name where it is common, else in the form for unknown types (RFC 3597 section 5).
fn show_record(record: &Record) -> String {
    let data = &*record.data;
    match (record.kind, data) {
        (rr::A, &[a, b, c, d]) => format!("A\t{}", Ipv4Addr::new(a, b, c, d)),
        (rr::MX, [high, low, exchange @ ..]) => {
            format!("MX\t{}\t{}", u16::from_be_bytes([*high, *low]), absolute(&Name::from_wire(exchange)))
        }
        (rr::TXT, data) => format!("TXT\t{}", show_strings(strings(data))),
        (kind, data) => {
            let hex: Vec<String> = data.iter().map(|octet| format!("{octet:02x}")).collect();
            format!("TYPE{kind}\t\\# {} {}", data.len(), hex.concat())
        }
    }
}

/// The character-strings of an RDATA, of which some may be empty.
fn strings(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&length, after) = rest.split_first()?;
        let (string, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        Some(string)
    })
}
