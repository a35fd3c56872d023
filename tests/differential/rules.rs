//! When a difference is allowed: the condition of each.
//!
//! Where rbldnsd can be asked a question whose answer proves the difference right, it is asked.

use std::{
    collections::{BTreeSet, HashMap},
    net::{Ipv4Addr, SocketAddr},
};

use super::{
    differences::Rule,
    names::{Labels, lower},
    query::{A, AAAA, ANY, CH, CLASS_ANY, Damage, FLAG_AA, FLAG_CD, FLAG_RD, FLAG_TC, IN, NS, Opt, Query, SOA, TXT},
    query::{ask_all, ask_on_stream},
    records::{check, dotted, is_subset, long_texts, quoted, raise_glue, same, small_letters, sorted, without_ttl},
    reply::{BADVERS, Data, FORMERR, NOERROR, NOTIMP, NXDOMAIN, REFUSED, Reply, Rr, SERVFAIL},
    scenario::{LEAST_TTL_S, Scenario, TTLS},
};
use crate::daemon::PASSED_CLIENT;

/// Both servers with the same files, ready to be asked more.
pub(crate) struct Judge<'s> {
    scenario: &'s Scenario,
    theirs: SocketAddr,
    ours: SocketAddr,
    /// The ends of what is listed, last label first.
    ends: BTreeSet<Labels>,
    /// What rbldnsd said about names below others.
    known: HashMap<(Ipv4Addr, Labels), bool>,
}

impl<'s> Judge<'s> {
    pub(crate) fn new(scenario: &'s Scenario, theirs: SocketAddr, ours: SocketAddr) -> Self {
        let ends = scenario.ends.iter().map(|name| name.iter().rev().cloned().collect()).collect();
        Self { scenario, theirs, ours, ends, known: HashMap::new() }
    }

    /// Asks rbldnsd once more, for a proof.
    fn ask_theirs(&self, query: &Query) -> Option<Reply> {
        let reply = ask_all(self.theirs, [query]).pop().flatten()?;
        Reply::read(&reply).ok()
    }

    /// Compares two replies to a query; returns the rules that were needed, or what differs.
    pub(crate) fn compare(
        &mut self,
        query: &Query,
        theirs: Option<&[u8]>,
        ours: Option<&[u8]>,
    ) -> Result<Vec<Rule>, String> {
        let ours = ours.map(|octets| Reply::read(octets).map_err(|why| format!("our reply is {why}"))).transpose()?;
        let theirs =
            theirs.map(|octets| Reply::read(octets).map_err(|why| format!("their reply is {why}"))).transpose()?;
        let (theirs, ours) = match (theirs, ours) {
            (None, None) => return Ok(Vec::new()),
            (Some(theirs), None) => return self.ignored(query, &theirs),
            (None, Some(ours)) if query.damage.is_some() => return damaged(query, &ours),
            (None, Some(ours)) => return self.unreadable(query, &ours),
            (Some(theirs), Some(ours)) => (theirs, ours),
        };
        if let Some(rule) = protocol(query, &theirs, &ours)? {
            return Ok(vec![rule]);
        }
        self.data(query, theirs, ours)
    }

    /// What may be met with silence by us alone: what rbldnsd denies without having looked who asks.
    fn ignored(&self, query: &Query, theirs: &Reply) -> Result<Vec<Rule>, String> {
        let mut used = Vec::new();
        let mut plain = Query { opt: None, ..query.clone() };
        if query.kind >= 256 {
            plain.kind = AAAA;
            used.push(Rule::UnknownTypes);
        }
        if query.flags & (FLAG_AA | FLAG_TC) != 0 {
            plain.flags &= !(FLAG_AA | FLAG_TC);
            used.push(Rule::StrayFlags);
        }
        check(theirs.rcode == NOTIMP && !used.is_empty() && self.ask_theirs(&plain).is_none(), "an answer of ours")?;
        Ok(used)
    }

    /// What may be met with silence by rbldnsd alone: what a client that is ignored asks in a way that we do not understand.
    fn unreadable(&self, query: &Query, ours: &Reply) -> Result<Vec<Rule>, String> {
        check(matches!(ours.rcode, FORMERR | BADVERS | NOTIMP) && ours.is_bare(), "silence")?;
        let rule = protocol(query, ours, ours)?.ok_or("expected silence")?;
        let plain = Query { opt: None, kind: A, ..query.clone() };
        check(ask_all(self.ours, [&plain]) == [None], "silence for the readable part")?;
        Ok(vec![rule, Rule::IgnoredLater])
    }

    /// Compares replies of which both are meant as answers to the question.
    fn data(&mut self, query: &Query, mut theirs: Reply, mut ours: Reply) -> Result<Vec<Rule>, String> {
        let mut used = Vec::new();
        header(query, &ours, &mut used)?;
        if query.flags & (FLAG_AA | FLAG_TC) != 0 {
            check(theirs.rcode == NOTIMP, "NOTIMP for stray flags")?;
            used.push(Rule::StrayFlags);
            let cleared = Query { flags: query.flags & !(FLAG_AA | FLAG_TC), ..query.clone() };
            theirs = self.ask_theirs(&cleared).ok_or("rbldnsd is silent without the flags")?;
        }
        if query.kind >= 256 && matches!(query.class, IN | CLASS_ANY) {
            check(theirs.rcode == NOTIMP, "NOTIMP for an unknown type")?;
            used.push(Rule::UnknownTypes);
            let known = Query { kind: AAAA, flags: query.flags & FLAG_RD, ..query.clone() };
            theirs = self.ask_theirs(&known).ok_or("rbldnsd is silent without the type")?;
        }
        if query.class == CH {
            return chaos(query, &theirs, &ours).map(|rules| [used, rules].concat());
        }
        if theirs.has_opt != ours.has_opt {
            used.push(Rule::OptEcho);
        }
        if ours.truncated {
            used.push(Rule::Truncation);
            let octets = ask_on_stream(self.ours, query).map_err(|error| format!("TC, and TCP fails: {error}"))?;
            ours =
                Reply { octets: ours.octets, ..Reply::read(&octets).map_err(|why| format!("our TCP reply is {why}"))? };
            check(!ours.truncated, "no TC over TCP")?;
        }
        let mut theirs_is_cut = false;
        if theirs.rcode == NOERROR && !theirs.authoritative && query.class == IN {
            used.push(Rule::Truncation);
            let opt = Opt { payload_len: 4096, version: 0, dnssec_ok: false, options: Vec::new() };
            let roomy = Query { opt: Some(opt), flags: query.flags & FLAG_RD, ..query.clone() };
            theirs = self.ask_theirs(&roomy).ok_or("rbldnsd is silent when given more room")?;
            theirs_is_cut = !theirs.authoritative;
            theirs.authoritative = true;
        }
        if self.is_other_spelling(query, &theirs, &ours) {
            return Ok([used, vec![Rule::LeadingZeros]].concat());
        }
        if let Some(rule) = self.any_at_apex(query, &theirs, &ours)? {
            return Ok([used, vec![rule]].concat());
        }
        if theirs.rcode == NXDOMAIN && self.is_listed_below(query) {
            if ours.rcode == NXDOMAIN && query.name.iter().any(is_padded) {
                // What rbldnsd lists there has another name.
                return Ok([used, vec![Rule::LeadingZeros]].concat());
            }
            check(ours.rcode == NOERROR, "NOERROR, since something is listed below")?;
            theirs.rcode = NOERROR;
            used.push(Rule::EmptyNonTerminal);
        }
        if theirs.rcode == NXDOMAIN && ours.rcode == NOERROR && self.is_listed_ip4trie(query) {
            return Ok([used, vec![Rule::Ip4TrieOfBoth]].concat());
        }
        if self.is_mapped(query) && ours.rcode == NOERROR {
            let kind = ours.answers.first().map(|rr| rr.kind);
            let wanted: Vec<Rr> = theirs.answers.iter().filter(|rr| Some(rr.kind) == kind).cloned().collect();
            let is_more = theirs.rcode == NXDOMAIN || sorted(&wanted) != sorted(&ours.answers);
            let (mut wanted, given) = (without_ttl(&wanted), without_ttl(&ours.answers));
            dotted(query, &mut wanted, &given, &mut Vec::new());
            long_texts(&mut wanted, &given, &mut Vec::new());
            if is_more && is_subset(&wanted, &given) {
                return Ok([used, vec![Rule::MappedInV6Sets]].concat());
            }
        }
        if self.keeps_records(query, &theirs, &ours) {
            return Ok([used, vec![Rule::AclEmptyKeepsGeneric]].concat());
        }
        check(theirs.rcode == ours.rcode, "the same rcode")?;
        check(theirs.authoritative == ours.authoritative, "the same AA")?;

        if query.kind == ANY && !theirs.answers.is_empty() {
            let kind = ours.answers.first().ok_or("expected some of the records")?.kind;
            check(ours.answers.iter().all(|rr| rr.kind == kind), "one RRset")?;
            if theirs.answers.iter().any(|rr| rr.kind != kind) {
                theirs.answers.retain(|rr| rr.kind == kind);
                used.push(Rule::MinimalAny);
            }
        }
        if query.kind == NS
            && ours.authorities.is_empty()
            && !theirs.answers.is_empty()
            && !theirs.authorities.is_empty()
        {
            check(sorted(&theirs.answers) == sorted(&theirs.authorities), "the same servers twice")?;
            theirs.authorities.clear();
            used.push(Rule::NsOnlyInAnswer);
        }
        self.negative_ttl(query, &mut theirs, &ours, &mut used)?;
        quoted(&mut theirs.answers, &ours.answers, &mut used);
        dotted(query, &mut theirs.answers, &ours.answers, &mut used);
        long_texts(&mut theirs.answers, &ours.answers, &mut used);
        let mut seen = BTreeSet::new();
        if !theirs.answers.iter().all(|rr| seen.insert(rr.clone())) {
            theirs.answers = seen.into_iter().collect();
            used.push(Rule::Duplicates);
        }
        if theirs_is_cut {
            let all: BTreeSet<&Rr> = ours.answers.iter().collect();
            check(theirs.answers.iter().all(|rr| all.contains(rr)), "all of what is left of their answer")?;
        } else {
            same("answer", &theirs.answers, &ours.answers, Rule::AnswerOrder, &mut used)?;
        }
        if raise_glue(&mut theirs.additionals, &ours.additionals) {
            used.push(Rule::Glue);
        }
        if self.has_more_glue(&theirs, &ours) {
            ours.additionals
                .retain(|rr| theirs.additionals.iter().any(|known| small_letters(known) == small_letters(rr)));
            used.push(Rule::Glue);
        }
        let count = theirs.additionals.len();
        theirs.additionals.retain(|rr| {
            let reply = || self.ask_theirs(&Query::new(PASSED_CLIENT, rr.owner.clone(), A));
            ours.additionals.contains(rr) || reply().is_none_or(|reply| reply.rcode != SERVFAIL)
        });
        if theirs.additionals.len() < count {
            used.push(Rule::GlueOfUnserved);
        }
        let servers = same("authority", &theirs.authorities, &ours.authorities, Rule::ServerOrder, &mut used)
            .and_then(|()| same("additional", &theirs.additionals, &ours.additionals, Rule::ServerOrder, &mut used));
        if servers.is_err() && is_tight(query, &theirs, &ours) {
            used.push(Rule::RoomForServers);
            return Ok(used);
        }
        servers?;
        Ok(used)
    }

    /// A name whose octets have zeros in front, which rbldnsd takes for the name without them.
    fn is_other_spelling(&self, query: &Query, theirs: &Reply, ours: &Reply) -> bool {
        let Some(zone) = self.scenario.zone_of(&query.name) else { return false };
        if theirs.rcode != NOERROR
            || !zone.may_hold_v4()
            || !query.name.iter().any(is_padded)
            || ours.rcode == NOERROR && sorted(&ours.answers) == sorted(&theirs.answers)
        {
            return false;
        }
        let mut plain = Query::new(query.client, query.name.clone(), A);
        for label in plain.name.iter_mut().filter(|label| is_padded(label)) {
            let zeros = label.iter().take(label.len() - 1).take_while(|&&octet| octet == b'0').count();
            label.drain(..zeros);
        }
        let is_same = self.ask_theirs(&plain).is_some_and(|plain| plain.rcode == NOERROR);
        // What we list for other reasons, rbldnsd gives the least TTL of all.
        let is_theirs = |own: &Rr| {
            theirs.answers.iter().any(|rr| rr.ttl_s <= own.ttl_s && *own == Rr { ttl_s: own.ttl_s, ..rr.clone() })
        };
        is_same && matches!(ours.rcode, NOERROR | NXDOMAIN) && ours.answers.iter().all(is_theirs)
    }

    /// Whether we give addresses of servers that rbldnsd leaves out, and that are what it answers when asked for them.
    fn has_more_glue(&self, theirs: &Reply, ours: &Reply) -> bool {
        let small = |records: &[Rr]| records.iter().map(small_letters).collect::<BTreeSet<_>>();
        let (theirs, ours) = (small(&theirs.additionals), small(&ours.additionals));
        let is_repeated = |rr: &Rr| theirs.iter().any(|known| known.data == rr.data);
        let is_true = |rr: &Rr| {
            let reply = self.ask_theirs(&Query::new(PASSED_CLIENT, rr.owner.clone(), A));
            reply.is_some_and(|reply| reply.answers.contains(rr))
        };
        theirs.len() < ours.len()
            && theirs.is_subset(&ours)
            && ours.difference(&theirs).all(|rr| is_repeated(rr) || is_true(rr))
    }

    /// Whether the name spells, or begins to spell, an IPv6 address in a zone with an ip4trie and for a client for whom all is
    /// listed: then rbldnsd lists any IPv4 address there.
    fn is_listed_ip4trie(&self, query: &Query) -> bool {
        let Some(zone) = self.scenario.zone_of(&query.name) else { return false };
        let nibbles = query.name.iter().take_while(|label| label.len() == 1 && label[0].is_ascii_hexdigit()).count();
        let has_trie = self.scenario.files.iter().any(|file| {
            file.name.starts_with("ip4trie")
                || file.lines.iter().any(|line| line.windows(7).any(|word| word == b"ip4trie"))
        });
        let may = (zone.kinds.contains("ip4trie") || zone.kinds.contains("combined")) && has_trie && nibbles > 0;
        // Nobody lists these two together.
        let relative_len = query.name.len() - zone.name.len();
        // A subzone may be called like a nibble: any label may be the first of its name.
        let is_listed = |place: &[Vec<u8>]| {
            // Nobody lists these two together.
            [[198, 51, 100, 9], [203, 0, 113, 77]].into_iter().all(|address| {
                let name = super::names::join(&super::names::octets(u32::from_be_bytes(address)), place);
                let reply = self.ask_theirs(&Query::new(query.client, name, A));
                reply.is_some_and(|reply| reply.rcode == NOERROR)
            })
        };
        may && (0..=relative_len).any(|start| is_listed(&query.name[start..]))
    }

    /// Whether the name spells, or begins to spell, an IPv4-mapped address, in a zone of both families.
    fn is_mapped(&self, query: &Query) -> bool {
        let mut top = vec![b'f'; 4];
        top.extend([b'0'; 20]);
        let zone = self.scenario.zone_of(&query.name);
        let Some(zone) = zone.filter(|zone| zone.may_hold_v4() && zone.may_hold_v6()) else { return false };
        let relative = lower(&query.name[..query.name.len() - zone.name.len()]);
        let nibbles: Vec<u8> = relative
            .iter()
            .take_while(|label| label.len() == 1 && label[0].is_ascii_hexdigit())
            .map(|label| label[0])
            .collect();
        // A subzone may be called like a nibble.
        (nibbles.len().saturating_sub(2)..=nibbles.len()).any(|count| {
            let given = &nibbles[..count];
            let known = given.len().min(top.len());
            known > 0 && given[given.len() - known..] == top[top.len() - known..]
        })
    }

    /// ANY at an apex that lacks SOA or NS.
    fn any_at_apex(&self, query: &Query, theirs: &Reply, ours: &Reply) -> Result<Option<Rule>, String> {
        let is_apex = self.scenario.zone_of(&query.name).is_some_and(|zone| zone.name.len() == query.name.len());
        if query.kind != ANY || !is_apex || theirs.rcode != REFUSED {
            return Ok(None);
        }
        let ask = |kind| self.ask_theirs(&Query { kind, opt: None, flags: 0, ..query.clone() });
        if ask(A).is_none_or(|reply| reply.rcode != NOERROR) {
            return Ok(None); // the client, not the question, is refused
        }
        let soa = ask(SOA).filter(|reply| reply.rcode == NOERROR);
        check(ours.rcode == NOERROR, "NOERROR for what there is")?;
        if let Some(soa) = soa {
            same("answer", &soa.answers, &ours.answers, Rule::AnswerOrder, &mut Vec::new())?;
        } else if let Some(kind) = ours.answers.first().map(|rr| rr.kind) {
            let mut set = ask(kind).ok_or("rbldnsd is silent")?;
            quoted(&mut set.answers, &ours.answers, &mut Vec::new());
            long_texts(&mut set.answers, &ours.answers, &mut Vec::new());
            same("answer", &set.answers, &ours.answers, Rule::AnswerOrder, &mut Vec::new())?;
        }
        Ok(Some(Rule::AnyAtApex))
    }

    /// Plain records for a client that an access list tells that nothing, or everything, is listed.
    fn keeps_records(&self, query: &Query, theirs: &Reply, ours: &Reply) -> bool {
        let Some(zone) = self.scenario.zone_of(&query.name) else { return false };
        let has_access_list = self.scenario.specs.iter().any(|spec| spec.contains(":acl:"));
        let has_records = zone.kinds.contains("generic") || zone.kinds.contains("combined");
        if !has_access_list
            || !has_records
            || ours.answers.is_empty()
            || theirs.rcode != NOERROR
            || ours.rcode != NOERROR
        {
            return false;
        }
        if is_subset(&ours.answers, &theirs.answers) {
            return false;
        }
        let roomy = Opt { payload_len: 4096, version: 0, dnssec_ok: false, options: Vec::new() };
        let as_passed = Query { client: PASSED_CLIENT, opt: Some(roomy), flags: 0, ..query.clone() };
        let Some(passed) = self.ask_theirs(&as_passed) else { return false };
        let mut all = [&theirs.answers[..], &passed.answers].concat();
        long_texts(&mut all, &ours.answers, &mut Vec::new());
        quoted(&mut all, &ours.answers, &mut Vec::new());
        is_subset(&without_ttl(&ours.answers), &without_ttl(&all))
    }

    /// RFC 2308 section 3, with the SOA's own TTL as rbldnsd tells it. Where that is the least one for all records, the file may give
    /// any shorter one.
    fn negative_ttl(
        &self,
        query: &Query,
        theirs: &mut Reply,
        ours: &Reply,
        used: &mut Vec<Rule>,
    ) -> Result<(), String> {
        let ([soa], [our_soa]) = (&mut theirs.authorities[..], &ours.authorities[..]) else { return Ok(()) };
        let Data::Soa(_, _, [.., minimum_s]) = soa.data else { return Ok(()) };
        if soa.ttl_s == our_soa.ttl_s {
            return Ok(());
        }
        check(soa.ttl_s == minimum_s, "their negative TTL to be the minimum")?;
        let apex = Query { name: soa.owner.clone(), kind: SOA, opt: None, flags: 0, class: IN, ..query.clone() };
        let whole = self.ask_theirs(&apex).ok_or("rbldnsd is silent about its SOA")?;
        let ttl_s = whole.answers.first().ok_or("rbldnsd has no SOA")?.ttl_s;
        let is_raised = self.scenario.options.iter().any(|option| option == TTLS) && ttl_s == LEAST_TTL_S;
        let is_right = our_soa.ttl_s == ttl_s.min(minimum_s) || is_raised && our_soa.ttl_s < ttl_s;
        check(is_right, "the lesser of TTL and minimum")?;
        soa.ttl_s = our_soa.ttl_s;
        used.push(Rule::NegativeTtl);
        Ok(())
    }

    /// Whether rbldnsd itself lists something below a name, found at the ends of what the files speak of.
    fn is_listed_below(&mut self, query: &Query) -> bool {
        let name = lower(&query.name);
        if self.scenario.zones.iter().any(|zone| zone.name.len() > name.len() && zone.name.ends_with(&name)) {
            return true; // a zone of its own, whoever may ask there
        }
        let below = self.worth_asking_below(&query.name);
        if below.iter().any(|name| self.known.get(&(query.client, name.clone())) == Some(&true)) {
            return true;
        }
        self.learn(below.into_iter().map(|name| (query.client, name)));
        let below = self.worth_asking_below(&query.name);
        below.into_iter().any(|name| self.known[&(query.client, name)])
    }

    /// Asks rbldnsd beforehand, all at once, what lies below the names that it denies.
    pub(crate) fn prepare(&mut self, queries: &[Query], theirs: &[Option<Vec<u8>>]) {
        let denied =
            |reply: &Option<Vec<u8>>| reply.as_ref().is_some_and(|octets| u16::from(octets[3] & 0xf) == NXDOMAIN);
        let mut below = BTreeSet::new();
        for (query, _) in queries.iter().zip(theirs).filter(|(_, reply)| denied(reply)) {
            // A few are mostly enough to find one.
            let names = self.worth_asking_below(&query.name);
            below.extend(names.into_iter().take(40).map(|name| (query.client, name)));
        }
        self.learn(below);
    }

    fn learn(&mut self, names: impl IntoIterator<Item = (Ipv4Addr, Labels)>) {
        let queries: Vec<Query> = names
            .into_iter()
            .filter(|key| !self.known.contains_key(key))
            .map(|(client, name)| Query::new(client, name, A))
            .collect();
        let replies = ask_all(self.theirs, &queries);
        for (query, reply) in queries.into_iter().zip(replies) {
            let is_listed = reply.is_some_and(|reply| u16::from(reply[3] & 0xf) == NOERROR);
            self.known.insert((query.client, query.name), is_listed);
        }
    }

    fn worth_asking_below(&self, name: &[Vec<u8>]) -> Vec<Labels> {
        let name = lower(name);
        let reversed: Labels = name.iter().rev().cloned().collect();
        let ends = self.ends.range(reversed.clone()..).take_while(|end| end.starts_with(&reversed));
        let ends = ends.filter(|end| end.len() > reversed.len()).map(|end| end.iter().rev().cloned().collect());
        fills(&name).into_iter().chain(ends).filter(|name| super::names::is_askable(name)).collect()
    }
}

/// Whether a label is an octet with zeros in front.
#[allow(clippy::ptr_arg)] // as iterators hand it out
fn is_padded(label: &Vec<u8>) -> bool {
    label.len() > 1 && label[0] == b'0' && label.iter().all(u8::is_ascii_digit)
}

/// Names below a name that are worth asking about whatever the files say: the ends of the run of addresses that it begins.
fn fills(name: &[Vec<u8>]) -> Vec<Labels> {
    let fill = |label: &str, count: usize| {
        std::iter::repeat_n(label.as_bytes().to_vec(), count).chain(name.iter().cloned()).collect::<Labels>()
    };
    let mut names = vec![fill("zz9", 1)];
    for count in 1..4 {
        names.push(fill("0", count));
        names.push(fill("255", count));
    }
    let nibbles = name.iter().take_while(|label| label.len() == 1 && label[0].is_ascii_hexdigit()).count();
    for given in nibbles.saturating_sub(2)..=nibbles {
        if given > 0 && given < 32 {
            names.push(fill("0", 32 - given));
            names.push(fill("f", 32 - given));
        }
    }
    names
}

/// What we say where rbldnsd is silent.
fn damaged(query: &Query, ours: &Reply) -> Result<Vec<Rule>, String> {
    let wants_cookie = query.opt.as_ref().is_some_and(|opt| opt.options.starts_with(b"\x00\x0a\x00\x08"));
    match query.damage {
        None | Some(Damage::Response) => Err("expected silence".into()),
        Some(Damage::NoQuestion) if ours.rcode == NOERROR && wants_cookie && ours.is_bare() && ours.has_opt => {
            Ok(vec![Rule::CookieOnly])
        }
        Some(_) => {
            let expected: &[u16] = if query.opcode() == 0 { &[FORMERR, BADVERS] } else { &[NOTIMP] };
            check(expected.contains(&ours.rcode) && ours.is_bare(), "FORMERR")?;
            Ok(vec![Rule::NoFormerr])
        }
    }
}

/// Requests that we answer before looking at the question.
fn protocol(query: &Query, theirs: &Reply, ours: &Reply) -> Result<Option<Rule>, String> {
    if query.opcode() != 0 {
        check(theirs.rcode == NOTIMP && ours.rcode == NOTIMP && ours.is_bare(), "NOTIMP")?;
        check(u16::from(ours.opcode) == query.opcode(), "the same opcode")?;
        return Ok(Some(Rule::OpcodeEchoed));
    }
    if let Some(opt) = &query.opt {
        if opt.version > 0 {
            check(ours.rcode == BADVERS && ours.is_bare() && ours.has_opt, "BADVERS")?;
            return Ok(Some(Rule::EdnsVersion));
        }
        if opt.options.starts_with(b"\x00\x0a\x00\x04") || opt.options.starts_with(b"\x00\x0c\x00\x10") {
            check(ours.rcode == FORMERR && ours.is_bare(), "FORMERR")?;
            return Ok(Some(Rule::StrictEdns));
        }
    }
    if query.kind == 249 && matches!(query.class, IN | CLASS_ANY) {
        check(ours.rcode == NOTIMP && ours.is_bare(), "NOTIMP")?;
        return Ok(Some(Rule::MetaTypes));
    }
    Ok(None)
}

/// What must hold for every answer of ours.
fn header(query: &Query, ours: &Reply, used: &mut Vec<Rule>) -> Result<(), String> {
    check(!ours.stray_flags, "RA, Z and AD clear")?;
    check(ours.opcode == 0, "the opcode of a query")?;
    check(ours.recursion_desired == (query.flags & FLAG_RD != 0), "RD copied")?;
    check(ours.checking_disabled == (query.flags & FLAG_CD != 0), "CD copied")?;
    if ours.checking_disabled {
        used.push(Rule::CheckingDisabled);
    }
    let question = query.question();
    check(
        ours.has_question && ours.octets.get(12..12 + question.len()) == Some(&question),
        "the question, letter by letter",
    )?;
    check(ours.has_opt == query.opt.is_some(), "OPT to be given if asked for")?;
    check(ours.octets.len() <= limit(query), "no more than the client takes")
}

/// How large a datagram of ours may be.
fn limit(query: &Query) -> usize {
    query.opt.as_ref().map_or(512, |opt| usize::from(opt.payload_len).clamp(512, 1232))
}

/// Whether room was an issue for either.
fn is_tight(query: &Query, theirs: &Reply, ours: &Reply) -> bool {
    /// An OPT record with a cookie, and one more server with its address.
    const SLACK: usize = 90;
    !ours.answers.is_empty() && theirs.octets.len().max(ours.octets.len()) + SLACK > limit(query)
}

fn chaos(query: &Query, theirs: &Reply, ours: &Reply) -> Result<Vec<Rule>, String> {
    let mut used = Vec::new();
    if theirs.has_opt != ours.has_opt {
        used.push(Rule::OptEcho);
    }
    if theirs.rcode == REFUSED && theirs.answers.is_empty() && ours.rcode == NOERROR {
        let first = query.name.first().map(|label| label.to_ascii_lowercase()).unwrap_or_default();
        check(
            query.kind == ANY || query.kind == TXT && matches!(&first[..], b"id" | b"hostname"),
            "only identity to be told where rbldnsd refuses",
        )?;
        return Ok([used, vec![Rule::ChaosIdentity]].concat());
    }
    if theirs.rcode != ours.rcode && theirs.rcode == query.flags & 0xf {
        used.push(Rule::StrayFlags);
    } else {
        check(theirs.rcode == ours.rcode, "the same rcode")?;
    }
    check(theirs.authoritative == ours.authoritative, "the same AA")?;
    if theirs.answers != ours.answers {
        let shape = |answers: &[Rr]| answers.iter().map(|rr| (rr.class, rr.kind, rr.ttl_s)).collect::<Vec<_>>();
        check(shape(&theirs.answers) == shape(&ours.answers), "a version")?;
        used.push(Rule::ChaosVersion);
    }
    Ok(used)
}
