//! Data that read well and must not go live all the same: the rules, and what they look at.
//!
//! A list that shrank to nothing opens the gates, one that lists everything closes them, and both have happened to large
//! lists. A reload that breaks a rule is refused, the data before it are served on, and the message says how to take it after
//! all. A first load has nothing better to fall back on, so there the rules only warn; but nothing is better than half an access
//! list.

#[cfg(test)]
mod tests;

use std::{fmt, mem::discriminant, net::IpAddr};

use ipnet::{IpNet, Ipv6Net};

use crate::{
    load::{Fault, Loaded, Report, counted},
    wire::name::{Name, QueryName},
    zone::{
        addresses::Addresses,
        dataset::{Entries, Kind},
        names::Names,
        nested::Standings,
        ruling::{Claim, Context, Level, is_over},
        subject::Run,
    },
};

/// When a reload is refused.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // rules that are in force or not, each by itself
pub struct ReloadRules {
    /// The new data have less than this share of the old entries; 0 switches the rule off. Default: a half.
    pub min_share: f64,
    /// ... and the old data had so many entries at least: small lists may drain, unless ten go at once and none is left. Default:
    /// 1,000.
    pub floor_entries: usize,
    /// More than this share of all IPv4 addresses, or of the IPv6 ones in use (`2000::/3`), is listed. Default: a quarter.
    pub max_address_share: f64,
    /// More than this share of the lines is bad, and ten at least; or one, and there is no entry. Default: a tenth.
    pub max_bad_share: f64,
    /// Prefixes of which nothing may be listed, those of IPv4 not as IPv4-mapped addresses either. 127.0.0.1 is always one of
    /// them, and the name `invalid` may not be listed either: clients take a list that has one of these for broken (RFC 5782
    /// section 5).
    pub never_list: Vec<IpNet>,
    /// Name servers of the zone itself are never listed either. Default: true; an allowlist may well list them.
    pub refuse_own_servers: bool,
    /// A last line without its end is the sign of a file that was cut short.
    pub refuse_cut_short: bool,
    /// What is served has `$SOA`, and the new data have none: the sign of a file that is another, or empty. Default: true.
    pub refuse_lost_soa: bool,
    /// No rule is in force, not even those that nothing else switches off, but for that of access lists.
    pub is_off: bool,
}

impl Default for ReloadRules {
    fn default() -> Self {
        Self {
            min_share: 0.5,
            floor_entries: 1_000,
            max_address_share: 0.25,
            max_bad_share: 0.1,
            never_list: Vec::new(),
            refuse_own_servers: true,
            refuse_cut_short: true,
            refuse_lost_soa: true,
            is_off: false,
        }
    }
}

impl ReloadRules {
    /// No rule for data, for those who are used to rbldnsd: whatever loads is served. An access list that breaks would open what
    /// it closes, so a reload of one keeps its rule.
    pub fn none() -> Self {
        Self {
            min_share: 0.0,
            floor_entries: usize::MAX,
            max_address_share: 1.0,
            max_bad_share: 1.0,
            never_list: Vec::new(),
            refuse_own_servers: false,
            refuse_cut_short: false,
            refuse_lost_soa: false,
            is_off: true,
        }
    }
}

/// A rule that new data break.
#[derive(Clone, Debug, PartialEq)]
pub enum Breach {
    /// Far fewer entries than before.
    Collapsed {
        /// Entries before.
        old: usize,
        /// Entries now.
        new: usize,
    },
    /// Too large a share of all addresses is listed.
    World {
        /// The share, 0 to 1.
        share: f64,
    },
    /// Addresses are listed that must not be.
    NeverListed {
        /// The prefix that they are in.
        prefix: IpNet,
        /// The type of what lists them.
        kind: Kind,
    },
    /// The name `invalid` is listed.
    NeverListedName,
    /// A name server of the zone itself is listed.
    OwnServer {
        /// Its address.
        address: IpAddr,
        /// The type of what lists it.
        kind: Kind,
    },
    /// A file ends in the middle of a line.
    CutShort {
        /// The file.
        file: String,
    },
    /// The `$SOA` that there was is gone.
    LostSoa,
    /// Too large a share of the lines is bad.
    BadLines {
        /// Bad lines.
        bad: u64,
        /// All lines.
        lines: u64,
    },
    /// The data had expired before they came.
    Expired,
    /// An access list has bad lines: what they would keep out is let in.
    AccessLines {
        /// Bad lines.
        bad: u64,
    },
    /// An access list says nothing any more.
    AccessEmpty {
        /// Entries before.
        old: usize,
    },
}

impl Breach {
    /// A word for it, for metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Collapsed { .. } => "collapsed",
            Self::World { .. } => "world",
            Self::NeverListed { .. } | Self::NeverListedName => "never_listed",
            Self::OwnServer { .. } => "own_server",
            Self::CutShort { .. } => "cut_short",
            Self::LostSoa => "lost_soa",
            Self::BadLines { .. } => "bad_lines",
            Self::Expired => "expired",
            Self::AccessLines { .. } | Self::AccessEmpty { .. } => "access",
        }
    }

    /// Whether it is of an access list, and to serve nothing is better.
    pub(super) const fn is_of_access(&self) -> bool {
        matches!(self, Self::AccessLines { .. } | Self::AccessEmpty { .. })
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collapsed { old, new } => write!(
                out,
                "{} where there were {old}: see whether the file is complete (`min-share` sets how far a list may shrink)",
                counted(*new, "entry", "entries")
            ),
            Self::World { share } => write!(
                out,
                "it lists {:.0} % of all addresses: look for a prefix that is too short (`max-address-share`)",
                share * 100.0
            ),
            Self::NeverListed { prefix, kind } => {
                let prefix = shown(prefix);
                write!(out, "it lists addresses of {prefix}, which must never be listed: take them out")?;
                if kind.has_exclusions() { write!(out, ", or exclude them with a line `!{prefix}`") } else { Ok(()) }
            }
            Self::NeverListedName => {
                let name = String::from_utf8_lossy(NEVER_LISTED_NAME);
                write!(
                    out,
                    "it lists the name {name}, which must never be listed: take it out, or exclude it with a line `!{name}`"
                )
            }
            Self::OwnServer { address, kind } => {
                write!(out, "it lists {address}, a name server of its own zone: ")?;
                if kind.has_exclusions() {
                    write!(out, "exclude it with a line `!{address}`")?;
                } else {
                    out.write_str("take it out")?;
                }
                out.write_str(" (`refuse-own-servers`)")
            }
            Self::CutShort { file } => write!(
                out,
                "{file} ends in the middle of a line, as a file does that is still being written: write to another name and \
                 rename it (`refuse-cut-short`)"
            ),
            Self::LostSoa => out.write_str(
                "no $SOA where there was one: see whether it is the file that was meant, and complete (`refuse-lost-soa`)",
            ),
            Self::BadLines { bad, lines } => {
                let lines = counted(*lines, "line", "lines");
                let are = if *bad == 1 { "is" } else { "are" };
                write!(out, "{bad} of {lines} {are} bad: see whether it is a file of that type (`max-bad-share`)")
            }
            Self::Expired => write!(out, "the data have expired already: see their $TIMESTAMP and who makes them"),
            Self::AccessLines { bad } => write!(
                out,
                "{bad} {} bad in this access list, and whom they would keep out would be let in: mend them",
                if *bad == 1 { "line is" } else { "lines are" }
            ),
            Self::AccessEmpty { old } => write!(
                out,
                "no entries where there were {old}, so that this access list would keep out nobody: see whether the file is complete"
            ),
        }
    }
}

/// What rules are broken, in words. One of a kind may be broken once for each address that is never listed, which would be a line
/// of the log without an end: some are named, and how many more there are.
pub(super) fn in_words(breaches: &[Breach]) -> Vec<String> {
    const NAMED_MAX: usize = 5;
    let mut kinds: Vec<Vec<&Breach>> = Vec::new();
    for breach in breaches {
        match kinds.iter_mut().find(|kind| discriminant(kind[0]) == discriminant(breach)) {
            Some(kind) => kind.push(breach),
            None => kinds.push(vec![breach]),
        }
    }
    let words = kinds.iter().flat_map(|kind| {
        let more = kind.len().saturating_sub(NAMED_MAX);
        let named = kind.iter().take(NAMED_MAX).map(ToString::to_string);
        named.chain((more > 0).then(|| format!("and {more} more of that kind")))
    });
    words.collect()
}

/// The name that no list may hold.
const NEVER_LISTED_NAME: &[u8] = b"invalid";

/// A prefix as files may hold it, which know no dots in IPv6.
fn shown(prefix: &IpNet) -> String {
    let IpNet::V6(net) = prefix else { return prefix.to_string() };
    let Some(address) = net.network().to_ipv4_mapped() else { return prefix.to_string() };
    let number = u32::from(address);
    format!("::ffff:{:x}:{:x}/{}", number >> 16, number & 0xffff, net.prefix_len())
}

/// The same addresses of IPv4 as addresses of IPv6.
fn mapped(prefix: IpNet) -> Option<IpNet> {
    const MAPPED_LEN: u8 = 96;
    let IpNet::V4(net) = prefix else { return None };
    let mapped = Ipv6Net::new(net.network().to_ipv6_mapped(), MAPPED_LEN + net.prefix_len());
    Some(mapped.expect("at most 128 bits").into())
}

/// What the rules look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged<'a> {
    /// The new data.
    pub(super) loaded: &'a Loaded,
    /// What was wrong with their lines.
    pub(super) report: &'a Report,
    /// How many entries the data before had.
    pub(super) old_entries: Option<usize>,
    /// The data before had a `$SOA`, the new ones have none, and nothing else of their zone has.
    pub(super) loses_soa: bool,
    /// Addresses of the name servers of the zones that use the data.
    pub(super) servers: &'a [IpAddr],
    /// Seconds since the epoch.
    pub(super) now_s: u64,
}

impl ReloadRules {
    /// The rules that new data break.
    pub(super) fn judge(&self, judged: &Judged<'_>) -> Vec<Breach> {
        let mut breaches = Vec::new();
        if !matches!(judged.loaded, Loaded::Data(_)) {
            judge_access(judged, &mut breaches);
        }
        if self.is_off {
            return breaches;
        }
        self.judge_amounts(judged, &mut breaches);
        if let Some(file) = judged.report.cut_short.as_ref().filter(|_| self.refuse_cut_short) {
            breaches.push(Breach::CutShort { file: file.clone() });
        }
        if judged.loses_soa && self.refuse_lost_soa {
            breaches.push(Breach::LostSoa);
        }
        if let Loaded::Data(data) = judged.loaded {
            if data.expires_s.is_some_and(|expires_s| expires_s < judged.now_s) {
                breaches.push(Breach::Expired);
            }
            let context = Context { now_s: judged.now_s, keyed: false };
            for section in &data.sections {
                match &section.dataset.entries {
                    Entries::Addresses(addresses) => {
                        let watched = self.watched(section.dataset.kind, judged.servers);
                        self.judge_addresses(addresses, watched, &context, &mut breaches);
                    }
                    Entries::Names(names) => breaches.extend(judge_names(names, &context)),
                    Entries::Records(_) => {}
                }
            }
        }
        breaches
    }

    fn judge_amounts(&self, judged: &Judged<'_>, breaches: &mut Vec<Breach>) {
        let new = judged.loaded.entries();
        // Where most names are such as no host has, it is a page of something, and the others are words of it. Entries that are over
        // were written all the same.
        let doubtful = judged.report.count(Fault::Character);
        let has_entries = new > 0 && new as u64 >= 2 * doubtful || judged.report.expired > 0;
        let floor = if has_entries { self.floor_entries } else { self.floor_entries.min(EMPTIED_MIN) };
        if let Some(old) = judged.old_entries
            && old >= floor
            && (new as f64) < old as f64 * self.min_share
        {
            breaches.push(Breach::Collapsed { old, new });
        }
        let (bad, lines) = (judged.report.bad_lines, judged.report.lines);
        // A handful of bad lines in a short file is a handful of mistakes, unless there is nothing else.
        let bad_min = if has_entries { 10 } else { 1 };
        let is_data = matches!(judged.loaded, Loaded::Data(_)); // access lists have a sterner rule
        if is_data && bad >= bad_min && bad as f64 > lines as f64 * self.max_bad_share {
            breaches.push(Breach::BadLines { bad, lines });
        }
    }

    fn judge_addresses(
        &self,
        addresses: &Addresses,
        watched: impl Iterator<Item = (IpNet, Breach)>,
        context: &Context,
        breaches: &mut Vec<Breach>,
    ) {
        // Few lists say anything of so much that it has to be told how much of it they list: of each of millions of hosts.
        if share(addresses.extent_v4(), addresses.extent_v6()) > self.max_address_share {
            let share = listed_share(addresses, context);
            breaches.extend((share > self.max_address_share).then_some(Breach::World { share }));
        }
        breaches.extend(watched.filter(|(net, _)| lists_any_of(addresses, net, context)).map(|(_, breach)| breach));
    }

    /// What must not be listed.
    fn watched(&self, kind: Kind, servers: &[IpAddr]) -> impl Iterator<Item = (IpNet, Breach)> {
        let localhost = IpNet::from(IpAddr::from([127, 0, 0, 1]));
        let never = std::iter::once(localhost).chain(self.never_list.iter().copied());
        let never = never.flat_map(|prefix| std::iter::once(prefix).chain(mapped(prefix)));
        let servers = servers.iter().filter(|_| self.refuse_own_servers);
        let never = never.map(move |prefix| (prefix, Breach::NeverListed { prefix, kind }));
        let own = servers.map(move |&address| (address.into(), Breach::OwnServer { address, kind }));
        never.chain(own)
    }
}

/// A list that had so many entries has not lost all of them by itself, however few a list may have that drains.
const EMPTIED_MIN: usize = 10;

/// An access list is a door: half of one is open.
fn judge_access(judged: &Judged<'_>, breaches: &mut Vec<Breach>) {
    let bad = judged.report.bad_lines;
    if bad > 0 {
        breaches.push(Breach::AccessLines { bad });
    }
    if let Some(old) = judged.old_entries.filter(|&old| old > 0 && judged.loaded.entries() == 0) {
        breaches.push(Breach::AccessEmpty { old });
    }
}

/// The share of so many addresses, 0 to 1: of all of IPv4, or of those of IPv6 that are in use (`2000::/3`).
fn share(v4: f64, v6: f64) -> f64 {
    (v4 / 2f64.powi(32)).max((v6 / 2f64.powi(125)).min(1.0))
}

/// The share of the addresses that may be listed.
fn listed_share(addresses: &Addresses, context: &Context) -> f64 {
    let (mut v4, mut v6) = (0.0, 0.0);
    addresses.for_each_v4(|first, last, said| {
        if may_list(addresses, said, context) {
            v4 += f64::from(last - first) + 1.0;
        }
    });
    addresses.for_each_v6(|first, last, said| {
        if may_list(addresses, said, context) {
            v6 += (last - first) as f64 + 1.0;
        }
    });
    share(v4, v6)
}

/// Whether any address of that prefix may be listed.
fn lists_any_of(addresses: &Addresses, net: &IpNet, context: &Context) -> bool {
    let mut is_listed = false;
    match net {
        IpNet::V4(net) => {
            let range = Run { first: net.network().into(), last: net.broadcast().into() };
            addresses.for_each_v4_of(range, |_, _, said| is_listed |= may_list(addresses, said, context));
        }
        IpNet::V6(net) => {
            let range = Run { first: net.network().into(), last: net.broadcast().into() };
            addresses.for_each_v6_of(range, |_, _, said| is_listed |= may_list(addresses, said, context));
        }
    }
    is_listed
}

/// Whether addresses are listed, now or at a later time, for anyone: an exclusion may end before what is behind it, a listing may
/// begin, and some may need a key.
fn may_list(addresses: &Addresses, said: &Standings, context: &Context) -> bool {
    if addresses.decide(said, context).is_listed() {
        return true;
    }
    may_decide_to_list(&addresses.levels(said), context)
}

/// The rules that names break.
fn judge_names(names: &Names, context: &Context) -> Option<Breach> {
    let invalid = Name::parse(NEVER_LISTED_NAME).expect("a name");
    let mut name = QueryName::new();
    name.read(invalid.as_wire()).expect("a name");
    let levels = names.levels(name.relative(name.label_count()));
    may_decide_to_list(&levels, context).then_some(Breach::NeverListedName)
}

/// The same, given what is said by whatever may decide, which is asked in this order.
fn may_decide_to_list(levels: &[Level], context: &Context) -> bool {
    for level in levels {
        if level.contains(&Claim::excluded()) {
            return false;
        }
        if level.iter().any(|claim| claim.value.is_some() && !is_over(claim.until_s, context.now_s)) {
            return true;
        }
    }
    false
}
