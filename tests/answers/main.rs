//! Random zones and questions. What is answered is what a naive reader of the files says, fits whoever asks to the octet, and is the
//! same whether it was answered the short way or the long one.
//!
//! `ANSWERS_WORLDS=10000 cargo test --test answers` looks at more than the usual number of worlds, `ANSWERS_FIRST` begins with another
//! one. Golden scripts, the model of live listings and the fuzz corpora hold both ways against each other as well.

#[path = "../../fuzz/functions.rs"]
mod functions;
mod lists;
mod many;
mod model;

use std::{cell::Cell, collections::BTreeSet};

use dnsbld::{
    answer::{self, Client, Outcome, Policy, Transport, Verdict},
    wire::{Rcode, name::QueryName},
};
use functions::{NOW_S, both_ways};
use lists::{CLIENTS, Key, Labels, Section, World, domain, labels, one_of};
use model::{Model, nibbles, reversed_octets};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

const WORLDS: u64 = 24;
/// After so many seconds it is asked, as often as that.
const MOMENTS_S: [u64; 3] = [0, 2, 5];
const QUESTIONS: usize = 40;

fn from_environment(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// A name at, above, below or beside what may be listed, or one that is mangled.
fn asked_name(random: &mut SmallRng, world: &World) -> Labels {
    let zone = world.zones.choose(random).expect("some");
    let sections: Vec<&Section> = zone.specifications.iter().flatten().chain(&zone.live).collect();
    let section = sections.choose(random).expect("some");
    let mut name = match section.lines.choose(random).filter(|_| random.random_ratio(2, 3)).map(|(key, _)| key) {
        Some(Key::V4(first, _)) => reversed_octets(*first),
        Some(Key::V6(first, _)) => nibbles(*first),
        Some(Key::Name(name, _)) => name.clone(),
        None => match random.random_range(0..5) {
            0 | 1 => reversed_octets(lists::v4(random)),
            2 => nibbles(lists::v6(random)),
            _ => domain(random),
        },
    };
    for _ in 0..one_of(random, &[0, 0, 1, 1, 2]) {
        match random.random_range(0..9) {
            // Above, as resolvers ask on their way down.
            0..4 => drop(name.drain(..random.random_range(0..=name.len()))),
            4 => name.insert(0, one_of(random, &["x", "1", "0", "www"]).to_owned()),
            5 if !name.is_empty() => {
                let at = random.random_range(0..name.len());
                let label = one_of(random, &["01", "256", "00", "1.2", "a", "g", "3", "\u{1}", "1000"]);
                label.clone_into(&mut name[at]);
            }
            6 => name.truncate(random.random_range(0..=name.len())),
            // So many labels as hardly any name has.
            7 => drop(name.splice(0..0, vec!["1".to_owned(); random.random_range(1..110)])),
            _ => {}
        }
    }
    name.extend_from_slice(section.subzones.choose(random).expect("some"));
    if zone.access.keys.is_some() && random.random() {
        name.push(one_of(random, &["secret", "other", "wrong"]).to_owned());
    }
    name.extend_from_slice(&zone.apex);
    if random.random_ratio(1, 12) {
        labels(one_of(random, &["", "example", "a.b.c.b", "secret.b", "1.0.0.10.{list}.example"]))
    } else {
        name
    }
}

fn wire(name: &[String]) -> Vec<u8> {
    let labels = name.iter().flat_map(|label| [&[label.len() as u8][..], label.as_bytes()].concat());
    labels.chain([0]).collect()
}

/// A query as many programs send it, without what follows the question.
fn query(random: &mut SmallRng, name: &[String], qtype: u16, class: u16) -> Vec<u8> {
    let id = random.random::<[u8; 2]>();
    let flags = [one_of(random, &[0, 1, 3]), one_of(random, &[0, 0x10, 0x20])];
    let mut name = wire(name);
    if random.random_ratio(1, 3) {
        name.iter_mut().filter(|_| random.random()).for_each(u8::make_ascii_uppercase);
    }
    [&[id[0], id[1], flags[0], flags[1], 0, 1, 0, 0, 0, 0, 0, 0], &name[..], &qtype.to_be_bytes(), &class.to_be_bytes()]
        .concat()
}

/// Adds an OPT record; returns what of a reply by UDP it leaves to the other records.
fn add_opt(random: &mut SmallRng, query: &mut Vec<u8>, our_len: u16) -> usize {
    let payload_len: u16 = one_of(random, &[0, 512, 513, 700, 1_232, 65_535]);
    let [high, low] = payload_len.to_be_bytes();
    let cookie_len = one_of(random, &[0, 0, 8, 24]);
    let options: Vec<u8> = match cookie_len {
        0 => one_of(random, &[&[][..], &[0, 3, 0, 0], &[0xfd, 0xe9, 0, 1, 7]]).to_vec(),
        len => [0, 10, 0, len].into_iter().chain((0..len).map(|_| random.random())).collect(),
    };
    let flags = one_of(random, &[0, 0x80]);
    query.extend([0, 0, 41, high, low, 0, 0, flags, 0, 0, options.len() as u8]);
    query.extend(options);
    query[11] = 1;
    usize::from(payload_len.max(512).min(our_len)) - 11 - if cookie_len > 0 { 28 } else { 0 }
}

/// A record of a reply.
#[derive(Debug)]
struct Record {
    section: usize,
    kind: u16,
    ttl_s: u32,
    data: Vec<u8>,
    end: usize,
}

/// Where the name at that place ends.
fn name_end(reply: &[u8], mut at: usize) -> usize {
    loop {
        match reply[at] {
            0 => return at + 1,
            0xc0.. => return at + 2,
            len => at += 1 + usize::from(len),
        }
    }
}

/// All records of a reply to a question, which fill it.
fn records(reply: &[u8]) -> Vec<Record> {
    let number = |at: usize| u16::from_be_bytes([reply[at], reply[at + 1]]);
    let (mut records, mut at) = (Vec::new(), name_end(reply, 12) + 4);
    for section in 0..3 {
        for _ in 0..number(6 + 2 * section) {
            let fixed = name_end(reply, at);
            let ttl_s = u32::from(number(fixed + 4)) << 16 | u32::from(number(fixed + 6));
            at = fixed + 10 + usize::from(number(fixed + 8));
            let data = reply[fixed + 10..at].to_vec();
            records.push(Record { section, kind: number(fixed), ttl_s, data, end: at });
        }
    }
    assert_eq!(at, reply.len(), "{reply:02x?}");
    records
}

/// What a test asks with.
struct Setting<'a> {
    world: answer::World<'a>,
    model: &'a Model<'a>,
    /// How many questions were answered the short way.
    usual_count: &'a Cell<usize>,
}

impl Setting<'_> {
    fn ask(&self, address: &str, transport: Transport, request: &[u8], room: usize) -> (Outcome, Vec<u8>) {
        let mut buffer = vec![0xaa; room];
        let client = Client { address: address.parse().expect("an address"), transport };
        let usual = answer::answer_if_usual(&mut QueryName::new(), &self.world, &client, request, &mut buffer);
        self.usual_count.set(self.usual_count.get() + usize::from(usual.is_some()));
        let outcome = both_ways::answer(self.world, client, request, &mut buffer);
        buffer.truncate(outcome.reply_len.into());
        functions::check_reply(transport, request, &buffer);
        (outcome, buffer)
    }

    /// Asks by TCP, where everything fits, and holds the answer against the model's; then by UDP, and holds that against this.
    fn check(&self, random: &mut SmallRng, name: &[String]) -> Verdict {
        let qtype = one_of(random, &[1, 1, 1, 1, 16, 16, 16, 28, 15, 255, 255, 6, 2, 252]);
        let address = one_of(random, &CLIENTS);
        let class = one_of(random, &[1, 1, 1, 1, 1, 1, 255]);
        let mut request = query(random, name, qtype, class);
        let our_len = self.world.policy.udp_payload_len;
        let rest_len = if random.random() { 512 } else { add_opt(random, &mut request, our_len) };
        let (outcome, reply) = self.ask(address, Transport::Tcp, &request, 65_535);
        let expected = self.model.answer(name, qtype, address.parse().expect("an address"), self.world.now_s);
        let Some(expected) = expected else {
            assert!(reply.is_empty(), "no silence");
            return outcome.verdict;
        };
        let is_said_to_exist = expected.may_exist && outcome.fate == Ok(Rcode::NoError);
        assert!(is_said_to_exist || outcome.fate == Ok(expected.rcode), "{:?}, not {:?}", outcome.fate, expected.rcode);
        assert_eq!((outcome.hold_s, outcome.truncated), (expected.hold_s, false));
        let is_own = matches!(reply[3] & 0xf, 0 | 3) && class == 1;
        assert_eq!(reply[2] & 4 != 0, is_own, "AA");
        let all = records(&reply);
        let in_section = |section| all.iter().filter(move |record| record.section == section);
        let answers: BTreeSet<_> = in_section(0)
            .map(|record| {
                let data = if matches!(record.kind, 2 | 6) { Vec::new() } else { record.data.clone() };
                (record.kind, record.ttl_s, data)
            })
            .collect();
        assert_eq!(answers, expected.answers);
        assert!(matches!(qtype, 2 | 6) || in_section(0).count() == answers.len(), "no duplicates");
        let soa_ttl_s = in_section(1).find(|record| record.kind == 6).map(|record| record.ttl_s);
        assert_eq!(soa_ttl_s, expected.soa_ttl_s);
        assert_eq!(in_section(1).filter(|record| record.kind == 2).count(), expected.server_count);
        self.check_datagram(address, &request, rest_len, &reply, &all);
        outcome.verdict
    }

    /// By UDP, sections are as by TCP as far as they fit: answers and a SOA are needed, name servers are not.
    fn check_datagram(&self, address: &str, request: &[u8], rest_len: usize, whole: &[u8], all: &[Record]) {
        let (outcome, reply) = self.ask(address, Transport::Udp, request, 4_096);
        let end = |sections: usize| all.iter().rfind(|record| record.section < sections).map(|record| record.end);
        let has_soa = all.iter().any(|record| record.section == 1 && record.kind == 6);
        let needed = end(if has_soa { 2 } else { 1 }).unwrap_or(0);
        assert_eq!(outcome.truncated, needed > rest_len, "{needed} octets for {rest_len}");
        assert_eq!(outcome.truncated, reply[2] & 2 != 0);
        let own = records(&reply);
        let count = |records: &[Record], section| records.iter().filter(|record| record.section == section).count();
        if outcome.truncated {
            assert!(count(&own, 0) <= count(all, 0));
            return;
        }
        let fits = end(2).is_none_or(|end| end <= rest_len);
        assert_eq!(count(&own, 0), count(all, 0));
        assert_eq!(count(&own, 1), if fits { count(all, 1) } else { 0 });
        assert!(count(&own, 2) <= count(all, 2));
        assert_eq!(reply[12..needed.max(12)], whole[12..needed.max(12)]);
    }

    /// Asks what no program should, which both ways answer alike, and with something that can be read.
    fn check_mangled(&self, random: &mut SmallRng, name: &[String]) {
        let qtype = one_of(random, &[1, 16, 255]);
        let mut request = query(random, name, qtype, 1);
        if random.random() {
            add_opt(random, &mut request, 1_232);
        }
        for _ in 0..random.random_range(1..3) {
            if request.len() < 16 {
                break;
            }
            let at = random.random_range(0..request.len());
            match random.random_range(0..8) {
                0 => request[at] ^= 1 << random.random_range(0..8),
                1 => request.extend((0..random.random_range(1..20)).map(|_| random.random::<u8>())),
                2 => request.truncate(at),
                3 => request[5] = one_of(random, &[0, 2]),
                4 => request[2] ^= one_of(random, &[0x80, 0x08, 0x10, 0x20, 0x28]),
                5 => request.splice(12..14, [0xc0, 0x0c]).for_each(drop),
                6 => request.extend([0, 0, 41, 4, 208, 0, 1, 0, 0, 0, 0]),
                _ => request[one_of(random, &[7, 9, 11])] ^= 1,
            }
        }
        let transport = one_of(random, &[Transport::Udp, Transport::Tcp]);
        let (outcome, reply) =
            self.ask(one_of(random, &CLIENTS), transport, &request, one_of(random, &[512, 1_232, 4_096]));
        assert_eq!(outcome.fate.is_ok(), !reply.is_empty());
    }
}

fn check_world(seed: u64, verdicts: &mut [usize; 3], usual_count: &Cell<usize>) {
    let random = &mut SmallRng::seed_from_u64(seed);
    let world = World::new(random);
    let policy = Policy {
        udp_payload_len: one_of(random, &[512, 1_232]),
        minimal: random.random_ratio(1, 3),
        version: None,
        identity: Some("here".into()),
        cookie_secret: [7; 16],
        leaves_signed: random.random(),
    };
    let model = Model::new(&world, policy.minimal);
    for now_s in MOMENTS_S.map(|moment_s| NOW_S + moment_s) {
        let World { snapshot, live, .. } = &world;
        let own = answer::World { snapshot, policy: &policy, now_s, live };
        let setting = Setting { world: own, model: &model, usual_count };
        for _ in 0..QUESTIONS {
            let name = asked_name(random, &world);
            if wire(&name).len() > 255 {
                continue;
            }
            let _told = Told { seed, name: &name, world: &world, now_s };
            let verdict = setting.check(random, &name);
            setting.check_mangled(random, &name);
            match verdict {
                Verdict::Listed => verdicts[0] += 1,
                Verdict::Unlisted => verdicts[1] += 1,
                _ => verdicts[2] += 1,
            }
        }
    }
}

/// What is told of a question when its test fails.
struct Told<'a> {
    seed: u64,
    name: &'a [String],
    world: &'a World,
    now_s: u64,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let Self { seed, name, world, now_s } = *self;
        eprintln!("ANSWERS_FIRST={seed} ANSWERS_WORLDS=1, {} s later, {}", now_s - NOW_S, name.join("."));
        eprintln!("the server's lists: {:?}", world.access);
        for zone in world.zones.iter().filter(|zone| name.ends_with(&zone.apex)) {
            eprintln!("## {} {:?} {:?}\n{}", zone.apex.join("."), zone.access, zone.live, zone.text);
        }
    }
}

#[test]
fn answers_are_those_of_a_naive_reader() {
    let first = from_environment("ANSWERS_FIRST", 0);
    let worlds = from_environment("ANSWERS_WORLDS", WORLDS);
    let (mut verdicts, usual_count) = ([0; 3], Cell::new(0));
    for seed in first..first + worlds {
        check_world(seed, &mut verdicts, &usual_count);
    }
    println!("listed, unlisted, other: {verdicts:?}; {} the short way", usual_count.get());
    let has_many = verdicts.into_iter().chain([usual_count.get()]).all(|count| count > 200);
    assert!(worlds < WORLDS || has_many, "{verdicts:?} {usual_count:?}");
}
