//! `dnsbld dump`: zones as BIND zone files, for other name servers and for reading.
//!
//! A wildcard of DNS gives way to every name that exists near it (RFC 4592 section 2.2.1), an entry of a list does not. So
//! blocks of addresses are cut where another begins, and below each name that exists the wildcards that still hold are
//! repeated. What cannot be said is a text with the listed address in a wildcard: it names the first address, as rbldnsd's does;
//! and a name that begins with an asterisk of its own, which is a wildcard everywhere else: it stands there as a comment.
//!
//! Of each name that is told what its part of the zone says, all datasets that are asked there together.

use std::{
    collections::{BTreeSet, HashMap},
    io::{self, BufWriter, Write},
    net::{Ipv4Addr, Ipv6Addr},
    process::ExitCode,
    sync::Arc,
};

use tracing::warn;

use super::{
    logging,
    zones_args::{Loaded, ZonesArguments},
};
use crate::{
    config::Config,
    control::show_expired,
    live::clock,
    wire::{
        name::{NAME_MAX, Name, QueryName},
        rr,
    },
    zone::{
        apex::{ZoneServers, ZoneSoa},
        dataset::{Dataset, Entries},
        records::Record,
        ruling::{Context, FOREVER_S, Finding},
        snapshot::{Content, Part, Zone},
        subject::Subject,
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
    if let Some(ended_s) = zone.expired_s(context) {
        warn!(zone = %zone.apex, "dumped as if they were good: {}", show_expired(ended_s));
    }
    let ends_s = if content.is_current(context) { content.until_s() } else { FOREVER_S };
    let nodes = nodes(content);
    let mut left_out = 0;
    for part in content.parts().iter().rev() {
        let Ok(origin) = part.name.below(&zone.apex) else {
            warn!(zone = %zone.apex, subzone = %part.name, "subzone passed over: with the zone's name it is longer than a name may be");
            continue;
        };
        writeln!(out, "$ORIGIN\t{}", absolute(&origin))?;
        let room = NAME_MAX - origin.as_wire().len();
        let mut dump = PartDump { part, content, term: Term { context, ends_s }, room, left_out: 0, out };
        dump.print(&nodes[&part.name])?;
        left_out += dump.left_out;
    }
    if left_out > 0 {
        warn!(zone = %zone.apex, "{left_out} of its names left out: with the zone's name they are longer than a name may be");
    }
    Ok(())
}

/// Names relative to a part, in wire format without the root octet.
type Nodes = BTreeSet<Vec<u8>>;

/// Every name that has data or stands above one that has, by the part that answers for it.
fn nodes(content: &Content) -> HashMap<&Name, Nodes> {
    let mut nodes = HashMap::<&Name, Nodes>::new();
    let mut add = |place: &Part, name: &[u8], dataset: Option<&Arc<Dataset>>| {
        let Some(name) = query_name(&[name, place.octets()].concat()) else { return };
        let name = name.relative(name.label_count());
        if dataset.is_some_and(|dataset| !content.is_asked(dataset, place, name)) {
            return;
        }
        for count in (0..=name.label_count()).rev() {
            let above = name.last(count);
            let part = content.part(above);
            let node = above.without_last(part.label_count()).octets();
            if !nodes.entry(&part.name).or_default().insert(node.to_vec()) {
                break;
            }
        }
    };
    for part in content.parts() {
        add(part, &[], None);
        for dataset in &part.datasets {
            dataset.for_each_name(|name| add(part, name, Some(dataset)));
        }
    }
    nodes
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
    term: Term<'a>,
    /// So many octets an owner may have before the part's own name.
    room: usize,
    /// Names that have more.
    left_out: usize,
    out: &'a mut W,
}

/// When it is, and when the zone's data end.
#[derive(Clone, Copy)]
struct Term<'a> {
    context: &'a Context,
    ends_s: u32,
}

impl Term<'_> {
    /// The TTL of what ends at a second, and with the zone's data.
    fn ttl_s(self, ttl_s: u32, until_s: u32) -> u32 {
        let until_s = until_s.min(self.ends_s);
        let left_s =
            if until_s == FOREVER_S { u64::MAX } else { u64::from(until_s).saturating_sub(self.context.now_s) };
        u64::from(ttl_s).min(left_s) as u32
    }
}

impl<W: Write> PartDump<'_, W> {
    fn print(&mut self, nodes: &Nodes) -> io::Result<()> {
        let mut is_written = self.print_v4()?;
        is_written |= self.print_v6()?;
        for node in nodes {
            is_written |= self.print_node(node)?;
        }
        // The subzone is there even if nothing is in it, and hides what is above.
        if !is_written && !self.part.name.is_root() && self.is_below_wildcard(&[]) {
            self.print_excluded("@")?;
        }
        Ok(())
    }

    /// Whether there is room for a name of so many octets.
    fn fits(&mut self, len: usize) -> bool {
        let fits = len <= self.room;
        self.left_out += usize::from(!fits);
        fits
    }

    /// Every run of addresses of which all datasets say the same, cut into whole octets.
    fn print_v4(&mut self) -> io::Result<bool> {
        let mut is_written = false;
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
                is_written |= self.print_v4_block(first as u32, bits)?;
                first += 1 << bits;
            }
        }
        Ok(is_written)
    }

    fn print_v4_block(&mut self, first: u32, bits: u32) -> io::Result<bool> {
        let octets = first.to_be_bytes();
        let given = 4 - bits as usize / 8;
        let mut owner = if bits > 0 { "*".to_owned() } else { String::new() };
        for octet in octets[..given].iter().rev() {
            owner = if owner.is_empty() { octet.to_string() } else { format!("{owner}.{octet}") };
        }
        let key = Ipv4Addr::from(first).to_string();
        let context = self.term.context;
        self.print_listed(&owner, &key, |dataset| match &dataset.entries {
            Entries::Addresses(addresses) => addresses.find_v4(first, context),
            _ => Finding::Absent,
        })
    }

    fn print_v6(&mut self) -> io::Result<bool> {
        let mut is_written = false;
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
                is_written |= self.print_v6_block(first, bits)?;
                match first.checked_add(1 << bits) {
                    Some(next) if next <= last => first = next,
                    _ => break,
                }
            }
        }
        Ok(is_written)
    }

    fn print_v6_block(&mut self, first: u128, bits: u32) -> io::Result<bool> {
        let mut digits: Vec<String> = (bits / 4..32).map(|place| format!("{:x}", first >> (4 * place) & 0xf)).collect();
        if bits > 0 {
            digits.insert(0, "*".to_owned());
        }
        let key = Ipv6Addr::from(first).to_string();
        let context = self.term.context;
        self.print_listed(&digits.join("."), &key, |dataset| match &dataset.entries {
            Entries::Addresses(addresses) => addresses.find_v6(first, context),
            _ => Finding::Absent,
        })
    }

    /// What is said of a name, and of those below it; true if anything is written.
    fn print_node(&mut self, node: &[u8]) -> io::Result<bool> {
        let shown = show(&Name::from_wire(&[node, &[0]].concat()));
        let below = if node.is_empty() { "*".to_owned() } else { format!("*.{shown}") };
        let mut owner = if node.is_empty() { "@".to_owned() } else { shown };
        if !self.fits(node.len()) {
            return Ok(false);
        }
        let begins_with_asterisk = self.begins_with_asterisk(node);
        if begins_with_asterisk {
            owner.insert_str(0, "; left out, as elsewhere the asterisk of this name would be a wildcard: ");
        }
        let mut is_written = self.print_records(node, &owner)?;
        let (_, has_names) = self.content.holds();
        if !has_names {
            return Ok(is_written);
        }
        // What wildcards say of it is said where they stand.
        let is_said = !begins_with_asterisk || self.is_entry(node);
        let is_apex = node.is_empty() && self.part.name.is_root();
        is_written |= !is_apex && is_said && self.print_name_entries(node, &owner)?;
        // As many octets as a label of one.
        if node.len() + 2 <= self.room {
            is_written |= self.print_name_entries(&unlisted_child(node), &below)?;
        }
        let has_to_exist = begins_with_asterisk || !is_written;
        if has_to_exist && is_said && self.is_excluded(node) && self.is_below_wildcard(node) {
            self.print_excluded(&owner)?;
            is_written = true;
        }
        Ok(is_written)
    }

    /// Makes a name exist, or the wildcard above would list it: a dangling alias, as rbldnsd has it.
    fn print_excluded(&mut self, owner: &str) -> io::Result<()> {
        writeln!(self.out, "{owner}\t{EXCLUDED_TTL_S}\tCNAME\texcluded")
    }

    /// Whether a name would be a wildcard in a zone file (RFC 4592 section 2.1.1). Here that label is one as any other.
    fn begins_with_asterisk(&self, node: &[u8]) -> bool {
        const ASTERISK: &[u8] = b"\x01*";
        node.starts_with(ASTERISK) || node.is_empty() && self.part.name.as_wire().starts_with(ASTERISK)
    }

    /// Calls `visit` with all datasets that are asked for a name, relative to the part, and what it is to them.
    fn visit(&self, node: &[u8], visit: impl FnMut(&Dataset, &Subject<'_>)) {
        self.visit_in_zone(&[node, self.part.octets()].concat(), visit);
    }

    /// The same with a name that is relative to the zone.
    fn visit_in_zone(&self, name: &[u8], mut visit: impl FnMut(&Dataset, &Subject<'_>)) {
        let Some(name) = query_name(name) else { return };
        let name = name.relative(name.label_count());
        self.content.part(name).seek(name).for_each(|dataset, subject| visit(dataset, subject));
    }

    /// Whether an entry is about just this name.
    fn is_entry(&self, node: &[u8]) -> bool {
        let mut is_entry = false;
        self.visit(node, |dataset, subject| {
            if let Entries::Names(names) = &dataset.entries {
                let found = names.look_up(subject.name, self.term.context);
                is_entry |= found.entry_label_count == subject.name.label_count();
            }
        });
        is_entry
    }

    fn print_records(&mut self, node: &[u8], owner: &str) -> io::Result<bool> {
        let mut lines = String::new();
        self.visit(node, |dataset, subject| {
            let Entries::Records(records) = &dataset.entries else { return };
            for record in records.at(subject.name).unwrap_or_default() {
                let ttl_s = self.term.ttl_s(record.ttl_s, FOREVER_S);
                lines.extend([format!("{owner}\t{ttl_s}\t{}\n", show_record(record))]);
            }
        });
        self.out.write_all(lines.as_bytes())?;
        Ok(!lines.is_empty())
    }

    fn print_name_entries(&mut self, node: &[u8], owner: &str) -> io::Result<bool> {
        let mut lines = String::new();
        self.visit(node, |dataset, subject| {
            if let Entries::Names(names) = &dataset.entries {
                let found = names.look_up(subject.name, self.term.context);
                let key = subject.name.last(found.entry_label_count).to_string();
                lines += &show_finding(dataset, found.finding, owner, &key, self.term);
            }
        });
        self.out.write_all(lines.as_bytes())?;
        Ok(!lines.is_empty())
    }

    /// Whether a wildcard lists what is beside a name.
    fn is_below_wildcard(&self, node: &[u8]) -> bool {
        let name = [node, self.part.octets()].concat();
        let Some((&length, _)) = name.split_first() else { return false };
        let mut is_listed = false;
        self.visit_in_zone(&unlisted_child(&name[1 + usize::from(length)..]), |dataset, subject| {
            if let Entries::Names(names) = &dataset.entries {
                is_listed |= names.look_up(subject.name, self.term.context).finding.is_listed();
            }
        });
        is_listed
    }

    /// Whether a name is excluded, and does not exist for what is below it.
    fn is_excluded(&self, node: &[u8]) -> bool {
        let mut is_excluded = false;
        self.visit(node, |dataset, subject| {
            if let Entries::Names(names) = &dataset.entries {
                let found = names.look_up(subject.name, self.term.context);
                is_excluded |= matches!(found.finding, Finding::Excluded);
            }
        });
        let name = query_name(&[node, self.part.octets()].concat());
        is_excluded
            && name.is_some_and(|name| {
                let name = name.relative(name.label_count());
                !self.content.is_above_subzone(name) && !self.content.is_above_zone(name)
            })
    }

    /// Prints what the datasets of the part that are asked for these addresses say of them; true if that is anything.
    fn print_listed<'f>(
        &mut self,
        owner: &str,
        key: &str,
        find: impl Fn(&'f Dataset) -> Finding<'f>,
    ) -> io::Result<bool>
    where
        Self: 'f,
    {
        if !self.fits(owner.len() + 1) {
            return Ok(false);
        }
        let has_subzones = self.content.parts().len() > 1;
        let mut name = None;
        if has_subzones {
            let own = Name::parse(owner.trim_start_matches("*.").as_bytes()).map_err(io::Error::other)?;
            name = query_name(&[&own.as_wire()[..own.as_wire().len() - 1], self.part.octets()].concat());
        }
        let mut is_written = false;
        for dataset in &self.part.datasets {
            let is_asked =
                |name: &QueryName| self.content.is_asked(dataset, self.part, name.relative(name.label_count()));
            if !has_subzones || name.as_ref().is_some_and(is_asked) {
                let lines = show_finding(dataset, find(dataset), owner, key, self.term);
                self.out.write_all(lines.as_bytes())?;
                is_written |= !lines.is_empty();
            }
        }
        Ok(is_written)
    }
}

/// A child that surely has no entry of its own: it shows what the wildcards say below a name.
fn unlisted_child(node: &[u8]) -> Vec<u8> {
    [b"\x0bdnsbld-dump", node].concat()
}

/// The values of a finding, a line for each record; empty if there are none.
fn show_finding(dataset: &Dataset, finding: Finding<'_>, owner: &str, key: &str, term: Term<'_>) -> String {
    let mut lines = String::new();
    finding.for_each_value(term.context, |value, until_s, _| {
        let ttl_s = term.ttl_s(dataset.ttl_s, until_s);
        lines.extend([format!("{owner}\t{ttl_s}\tA\t{}\n", dataset.values.address(value))]);
        if let Some(text) = dataset.values.text(value) {
            let text = dataset.values.expand(text, key.as_bytes());
            lines.extend([format!("{owner}\t{ttl_s}\tTXT\t{}\n", show_strings(text.chunks(255)))]);
        }
    });
    lines
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
