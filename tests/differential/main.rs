//! Random files and queries, to rbldnsd and to us: every reply is the same, or differs by a rule that has a name and a reason.
//!
//! A round has a seed of its own. It writes files of every kind of dataset with every form of line, valid and not, starts
//! both servers on them, and asks both the same questions. To see one round again, or many:
//!
//! ```text
//! DNSBLD_DIFFERENTIAL_SEED=17 DNSBLD_DIFFERENTIAL_ROUNDS=1 cargo test --test differential
//! DNSBLD_DIFFERENTIAL_SEED=1000 DNSBLD_DIFFERENTIAL_ROUNDS=2000 cargo test --release --test differential
//! ```
//!
//! A difference without a rule is reduced to the lines that it takes, and printed with them.

#![allow(missing_docs)]
// A generator of text is made of many small texts, and addresses of many small letters.
#![allow(clippy::format_push_string, clippy::many_single_char_names, clippy::single_match_else, clippy::too_many_lines)]

#[allow(dead_code)] // part of it is for other tests
#[path = "../support/daemon.rs"]
mod daemon;

mod differences;
mod lines;
mod names;
mod query;
mod records;
mod reply;
mod rules;
mod scenario;

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use daemon::{Daemon, dnsbld, free_address, program};
use differences::{Rule, Uses};
use query::{Query, ask_again, ask_all};
use reply::Reply;
use rules::Judge;
use scenario::Scenario;

const ROUNDS: u64 = 60;
const QUERIES_PER_ROUND: usize = 700;
/// Differences that are reduced and printed; more than these are only counted.
const SHOWN_MAX: usize = 6;

/// A difference without a rule.
struct Difference {
    scenario: Scenario,
    query: Query,
    why: String,
}

/// What the comparison came by.
#[derive(Default)]
struct Tally {
    uses: Uses,
    /// How rbldnsd answered; none is silence.
    rcodes: BTreeMap<Option<u8>, usize>,
}

/// Both servers on the same files.
struct Pair {
    theirs: Daemon,
    ours: Daemon,
    /// What rbldnsd's files are without.
    rules: Vec<Rule>,
    _folder: tempfile::TempDir,
}

impl Pair {
    fn start(scenario: &Scenario) -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a folder");
        // rbldnsd gives up its rights before it reads.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        let (for_theirs, for_ours) = (folder.path().join("rbldnsd"), folder.path().join("dnsbld"));
        for folder in [&for_theirs, &for_ours] {
            fs::create_dir(folder).expect("a folder");
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("permissions");
        }
        let (plain, rules) = scenario.for_rbldnsd();
        plain.write(&for_theirs);
        scenario.write(&for_ours);
        let mut rbldnsd = Command::new(program("rbldnsd", "rbldnsd"));
        if nix::unistd::Uid::effective().is_root() {
            rbldnsd.args(["-u", "nobody"]);
        }
        let address = free_address();
        let theirs = Self::serving(rbldnsd, scenario, &for_theirs, address);
        let theirs = Daemon::start_at(&[address], theirs)?;
        let mut dnsbld = dnsbld();
        dnsbld.arg("rbldnsd");
        let ours = Daemon::try_start(Self::serving(dnsbld, scenario, &for_ours, (Ipv4Addr::LOCALHOST, 0).into()))?;
        Ok(Self { theirs, ours, rules, _folder: folder })
    }

    fn serving(mut command: Command, scenario: &Scenario, folder: &Path, address: SocketAddr) -> Command {
        command.args(["-n", "-b", &format!("{}/{}", address.ip(), address.port()), "-w"]).arg(folder);
        command.args(&scenario.options).args(&scenario.specs);
        command
    }

    /// Asks both and compares.
    fn compare(&mut self, scenario: &Scenario, queries: &[Query], tally: &mut Tally) -> Vec<(Query, String)> {
        let (theirs_at, ours_at) = (self.theirs.address(), self.ours.address());
        let (theirs, ours) = std::thread::scope(|scope| {
            let ours = scope.spawn(|| ask_all(ours_at, queries));
            (ask_all(theirs_at, queries), ours.join().expect("asks"))
        });
        let mut judge = Judge::new(scenario, theirs_at, ours_at);
        judge.prepare(queries, &theirs);
        let mut differences = Vec::new();
        for ((query, mut theirs), mut ours) in queries.iter().zip(theirs).zip(ours) {
            *tally.rcodes.entry(theirs.as_ref().map(|octets| octets[3] & 0xf)).or_default() += 1;
            let mut result = judge.compare(query, theirs.as_deref(), ours.as_deref());
            if result.is_err() && theirs.is_some() != ours.is_some() {
                // A datagram may be lost. Then again it may not.
                theirs = theirs.or_else(|| ask_again(theirs_at, query));
                ours = ours.or_else(|| ask_again(ours_at, query));
                result = judge.compare(query, theirs.as_deref(), ours.as_deref());
            }
            match result {
                Ok(rules) => {
                    for rule in rules {
                        *tally.uses.entry(rule).or_default() += 1;
                    }
                }
                Err(why) => {
                    let shown = |reply: Option<Vec<u8>>| reply.map_or("silence".into(), |octets| shown(&octets));
                    let why = format!("{why}\n  rbldnsd: {}\n  dnsbld:  {}", shown(theirs), shown(ours));
                    differences.push((query.clone(), why));
                }
            }
        }
        for (daemon, name) in [(&mut self.theirs, "rbldnsd"), (&mut self.ours, "dnsbld")] {
            assert!(daemon.is_running(), "seed {}: {name} ended:\n{}", scenario.seed, daemon.said());
        }
        differences
    }
}

fn shown(octets: &[u8]) -> String {
    let reply = match Reply::read(octets) {
        Ok(reply) => reply,
        Err(why) => return format!("{why}: {octets:02x?}"),
    };
    let mut text = format!(
        "rcode {} aa {} tc {} opt {} length {}",
        reply.rcode,
        u8::from(reply.authoritative),
        u8::from(reply.truncated),
        u8::from(reply.has_opt),
        octets.len()
    );
    for (section, records) in
        [("answer", &reply.answers), ("authority", &reply.authorities), ("additional", &reply.additionals)]
    {
        for rr in records {
            let data = match &rr.data {
                reply::Data::Txt(strings) => {
                    strings.iter().map(|string| format!("\"{}\" ", string.escape_ascii())).collect::<Vec<_>>().concat()
                }
                reply::Data::Ns(name) => names::show(name),
                reply::Data::Mx(preference, name) => format!("{preference} {}", names::show(name)),
                reply::Data::Soa(server, person, numbers) => {
                    format!("{} {} {numbers:?}", names::show(server), names::show(person))
                }
                other => format!("{other:?}"),
            };
            text += &format!("\n    {section}: {} {} TYPE{} {data}", names::show(&rr.owner), rr.ttl_s, rr.kind);
        }
    }
    text
}

impl Difference {
    /// Whether the servers still differ with these files, in the same way.
    fn persists(scenario: &Scenario, query: &Query, headline: &str) -> Option<String> {
        let mut pair = Pair::start(scenario).ok()?;
        let differences = pair.compare(scenario, std::slice::from_ref(query), &mut Tally::default());
        differences.into_iter().map(|(_, why)| why).find(|why| why.starts_with(headline))
    }

    /// Takes away zones, options and lines for as long as the difference stays.
    fn reduced(mut self, deadline: Instant) -> Self {
        let headline = self.why.lines().next().unwrap_or_default().to_owned();
        let attempt = |this: &mut Self, smaller: Scenario| {
            if Instant::now() > deadline {
                return false;
            }
            match Self::persists(&smaller, &this.query, &headline) {
                Some(why) => {
                    (this.scenario, this.why) = (smaller, why);
                    true
                }
                None => false,
            }
        };
        for index in (0..self.scenario.specs.len()).rev() {
            let mut smaller = self.scenario.clone();
            smaller.specs.remove(index);
            attempt(&mut self, smaller);
        }
        for index in (0..self.scenario.files.len()).rev() {
            let is_used = self.scenario.specs.iter().any(|spec| spec.contains(&self.scenario.files[index].name));
            if !is_used {
                self.scenario.files[index].lines.clear();
                continue;
            }
            let mut size = self.scenario.files[index].lines.len().next_power_of_two();
            while size > 0 {
                let mut start = 0;
                while start < self.scenario.files[index].lines.len() {
                    let mut smaller = self.scenario.clone();
                    let end = (start + size).min(smaller.files[index].lines.len());
                    smaller.files[index].lines.drain(start..end);
                    if !attempt(&mut self, smaller) {
                        start += size;
                    }
                }
                size /= 2;
            }
        }
        let mut smaller = self.scenario.clone();
        smaller.options.clear();
        attempt(&mut self, smaller);
        self
    }
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text:?}")),
        Err(_) => default,
    }
}

#[test]
fn same_answers_as_rbldnsd() {
    let first_seed = number("DNSBLD_DIFFERENTIAL_SEED", 1);
    let round_count = number("DNSBLD_DIFFERENTIAL_ROUNDS", ROUNDS);
    let begun = Instant::now();
    let mut tally = Tally::default();
    let mut query_count = 0;
    let mut differences = Vec::new();
    for seed in first_seed..first_seed + round_count {
        let scenario = Scenario::new(seed, QUERIES_PER_ROUND);
        let mut pair = match Pair::start(&scenario) {
            Ok(pair) => pair,
            Err(why) => panic!("seed {seed}: {why}\n{}", scenario.shown()),
        };
        for (query, why) in pair.compare(&scenario, &scenario.queries, &mut tally) {
            differences.push(Difference { scenario: scenario.clone(), query, why });
        }
        for rule in &pair.rules {
            *tally.uses.entry(*rule).or_default() += 1;
        }
        query_count += scenario.queries.len();
    }
    println!("{query_count} queries, {} unexplained, {:.1} s", differences.len(), begun.elapsed().as_secs_f64());
    println!("rcodes of rbldnsd: {:?}", tally.rcodes);
    for (rule, reason) in Rule::ALL {
        println!("{:>7}  {:<22} {reason}", tally.uses.get(rule).unwrap_or(&0), format!("{rule:?}"));
    }
    if differences.is_empty() {
        return;
    }
    let count = differences.len();
    let deadline = Instant::now() + Duration::from_secs(60);
    // One of each sort: by what is said about them.
    let mut kinds: BTreeMap<String, Difference> = BTreeMap::new();
    for difference in differences {
        let headline = difference.why.lines().next().unwrap_or_default().to_owned();
        let shape = match difference.query.kind {
            query::A | query::TXT | query::ANY => format!("TYPE{}", difference.query.kind),
            _ => "another type".into(),
        };
        kinds.entry(headline + &shape).or_insert(difference);
    }
    let mut text = String::new();
    for difference in kinds.into_values().take(SHOWN_MAX) {
        let Difference { scenario, query, why } = difference.reduced(deadline);
        text += &format!("\nseed {}: {}\n{why}\n{}", scenario.seed, query.shown(), scenario.shown());
    }
    panic!("{count} differences that no rule explains, of {query_count} queries\n{text}");
}
