//! A random set of files and zones, and the queries for it.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    net::Ipv4Addr,
    path::Path,
    time::{Duration, SystemTime},
};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use super::{
    differences::Rule,
    lines::{Keys, Writer, relative_names},
    names::{Labels, is_askable, join, labels, lower, nibbles, octets},
    query::{A, AAAA, ANY, CH, CLASS_ANY, Damage, FLAG_AA, FLAG_CD, FLAG_RD, FLAG_TC, IN, NS, Opt, Query, SOA, TXT},
};
use crate::daemon::PASSED_CLIENT;

/// A file of a dataset.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) lines: Vec<Vec<u8>>,
    /// Written by gzip.
    pub(crate) is_packed: bool,
}

impl File {
    fn new(name: impl Into<String>, lines: Vec<Vec<u8>>) -> Self {
        Self { name: name.into(), lines, is_packed: false }
    }
}

/// A zone with the types of its datasets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Zone {
    pub(crate) name: Labels,
    pub(crate) kinds: BTreeSet<&'static str>,
}

impl Zone {
    /// Whether a dataset of IPv4 addresses is, or may be, in it.
    pub(crate) fn may_hold_v4(&self) -> bool {
        ["ip4set", "ip4trie", "ip4tset", "combined"].iter().any(|kind| self.kinds.contains(kind))
    }

    /// Whether a dataset of IPv6 addresses is, or may be, in it.
    pub(crate) fn may_hold_v6(&self) -> bool {
        ["ip6trie", "ip6tset", "combined"].iter().any(|kind| self.kinds.contains(kind))
    }
}

/// Everything that both servers are given, and asked.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) options: Vec<String>,
    pub(crate) specs: Vec<String>,
    pub(crate) files: Vec<File>,
    pub(crate) zones: Vec<Zone>,
    /// Names at the ends of what is listed.
    pub(crate) ends: BTreeSet<Labels>,
    pub(crate) queries: Vec<Query>,
}

/// TTLs as an option tells them: the usual one, the least and the greatest.
pub(crate) const TTLS: &str = "20m:10m:2h";
pub(crate) const LEAST_TTL_S: u32 = 600;

/// The file that cannot be read.
const BROKEN: &str = "broken";

const BOM: &[u8] = b"\xef\xbb\xbf";

const KINDS: [&str; 8] = ["ip4set", "ip4set", "ip4trie", "ip4tset", "ip6trie", "ip6tset", "dnset", "generic"];

impl Scenario {
    /// The scenario of a seed.
    pub(crate) fn new(seed: u64, query_count: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut scenario = Self {
            seed,
            options: Vec::new(),
            specs: Vec::new(),
            files: Vec::new(),
            zones: Vec::new(),
            ends: BTreeSet::new(),
            queries: Vec::new(),
        };
        scenario.write_files(&mut rng);
        scenario.choose_options(&mut rng);
        scenario.ask(&mut rng, query_count);
        scenario
    }

    fn write_files(&mut self, rng: &mut StdRng) {
        let mut zone_names: Vec<&str> = vec![
            "bl.example",
            "sub.bl.example",
            "x.y.bl.example",
            "list.test",
            "a.list.test",
            "Mixed.Case.test",
            "1.bl.example",
        ];
        while zone_names.len() > rng.random_range(2..6) {
            zone_names.remove(rng.random_range(0..zone_names.len()));
        }
        self.zones = zone_names.iter().map(|name| Zone { name: lower(&labels(name)), ..Zone::default() }).collect();

        let mut datasets: Vec<(&'static str, String, Keys)> = Vec::new();
        let mut writer = Writer::new(rng);
        writer.servers.extend(zone_names.iter().map(|zone| format!("ns.{zone}")));
        for number in 0..writer.rng.random_range(3..8) {
            let kind =
                if number == 0 || writer.chance(12) { "combined" } else { KINDS.choose(writer.rng).expect("kinds") };
            let mut names = Vec::new();
            let count = if writer.chance(25) { 2 } else { 1 };
            for part in 0..count {
                let name = format!("{kind}-{number}-{part}");
                let mut lines = writer.file(kind, part == 0);
                if writer.chance(3) {
                    lines[0].splice(..0, BOM.iter().copied());
                }
                let is_packed = writer.chance(8);
                self.files.push(File { name: name.clone(), lines, is_packed });
                names.push(name);
            }
            let separator = if writer.chance(80) { "," } else { ":" };
            let keys = std::mem::take(&mut writer.keys);
            datasets.push((kind, format!("{kind}:{}", names.join(separator)), keys));
        }
        // One set that has passed its time: the zones that use it are not served.
        if writer.chance(10) {
            self.files.push(File::new("old", vec![b"$TIMESTAMP 2001:1:1 2002:1:1".to_vec()]));
            datasets.push(("ip4set", "ip4set:old".into(), Keys::default()));
        }
        // One that cannot be read: likewise, and only a quick start gets over it.
        if writer.chance(10) {
            self.options.push("-q".into());
            let (kind, line): (&'static str, &str) = *[
                ("ip4set", "$TIMESTAMP 2038:1:1"),
                ("combined", "192.0.2.1 outside"),
                ("combined", "$DATASET ip9set @"),
                ("combined", "$DATASET acl @"),
                // No file at all.
                ("dnset", ""),
            ]
            .choose(writer.rng)
            .expect("faults");
            if !line.is_empty() {
                self.files.push(File::new(BROKEN, vec![line.into()]));
            }
            datasets.push((kind, format!("{kind}:{BROKEN}"), Keys::default()));
        }
        let access = [writer.chance(15), writer.chance(20), writer.chance(20)];
        for (number, _) in access.iter().enumerate().filter(|(_, wanted)| **wanted) {
            let mut lines = vec![format!("{PASSED_CLIENT} :pass").into_bytes()];
            lines.extend(writer.file("acl", true));
            self.files.push(File::new(format!("acl-{number}"), lines));
        }

        // Every dataset is in a zone, and every zone has a dataset.
        let mut uses: Vec<(usize, usize)> = Vec::new();
        for dataset in 0..datasets.len() {
            uses.push((rng.random_range(0..self.zones.len()), dataset));
        }
        for zone in 0..self.zones.len() {
            uses.push((zone, rng.random_range(0..datasets.len())));
        }
        for _ in 0..rng.random_range(0..3) {
            uses.push((rng.random_range(0..self.zones.len()), rng.random_range(0..datasets.len())));
        }
        for index in (1..uses.len()).rev() {
            uses.swap(index, rng.random_range(0..=index));
        }
        for (zone, dataset) in uses {
            let (kind, spec, keys) = &datasets[dataset];
            self.specs.push(format!("{}:{spec}", zone_names[zone]));
            let zone = &mut self.zones[zone];
            zone.kinds.insert(kind);
            for name in relative_names(keys) {
                let name = lower(&join(&name, &zone.name));
                if is_askable(&name) {
                    self.ends.insert(name);
                }
            }
        }
        if access[0] {
            self.specs.push(":acl:acl-0".into());
        }
        for number in 1..access.len() {
            // Each zone has one such list at most.
            if access[number] && number <= zone_names.len() {
                let place = rng.random_range(0..=self.specs.len());
                self.specs.insert(place, format!("{}:acl:acl-{number}", zone_names[number - 1]));
            }
        }
    }

    fn choose_options(&mut self, rng: &mut StdRng) {
        let mut add = |percent: u32, words: &[&str]| {
            if rng.random_range(0..100) < percent {
                self.options.extend(words.iter().map(|&word| word.to_owned()));
            }
        };
        add(25, &["-e"]);
        add(15, &["-a"]);
        add(8, &["-A"]);
        add(15, &["-t", "30m"]);
        add(15, &["-t", TTLS]);
        add(10, &["-v"]);
        add(5, &["-vv"]);
        if !self.files.iter().any(|file| file.is_packed) && rng.random_range(0..100) < 10 {
            self.options.push("-C".into());
        }
    }

    /// The most specific zone that a name is in.
    pub(crate) fn zone_of(&self, name: &[Vec<u8>]) -> Option<&Zone> {
        let name = lower(name);
        self.zones.iter().filter(|zone| name.ends_with(&zone.name)).max_by_key(|zone| zone.name.len())
    }

    fn ask(&mut self, rng: &mut StdRng, count: usize) {
        let ends: Vec<&Labels> = self.ends.iter().collect();
        let mut queries = Vec::with_capacity(count);
        while queries.len() < count {
            let zone = self.zones.choose(rng).expect("zones");
            let name = name(rng, zone, &ends);
            if !is_askable(&name) {
                continue;
            }
            queries.push(query(rng, name));
        }
        self.queries = queries;
    }

    /// Writes the files, and gives each a time of its own: serials come from there.
    pub(crate) fn write(&self, folder: &Path) {
        for (age, file) in self.files.iter().enumerate() {
            let mut text = file.lines.join(&b'\n');
            text.push(b'\n');
            let path = folder.join(&file.name);
            if file.is_packed {
                let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                packer.write_all(&text).expect("packs");
                text = packer.finish().expect("packs");
            }
            fs::write(&path, text).expect("writes");
            let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000 + age as u64 * 1000);
            fs::File::options().append(true).open(&path).and_then(|file| file.set_modified(changed)).expect("a time");
        }
    }

    /// The same without what only we understand, and the rules that this is for.
    pub(crate) fn for_rbldnsd(&self) -> (Self, Vec<Rule>) {
        let mut plain = self.clone();
        let mut used = Vec::new();
        for file in &mut plain.files {
            if file.name == BROKEN && !file.lines.iter().any(|line| line.starts_with(b"$TIMESTAMP")) {
                file.lines.clear();
                used.push(Rule::LenientCombined);
            }
            for (index, line) in file.lines.iter_mut().enumerate() {
                let whole_len = line.len();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                if index == 0 && line.starts_with(BOM) {
                    line.drain(..BOM.len());
                }
                if line.len() < whole_len {
                    used.push(Rule::DosText);
                }
                if let Some(length) = line.trim_ascii_end().strip_suffix(b":2 # c").map(|start| start.len() + 2) {
                    line.truncate(length);
                    used.push(Rule::ValueComments);
                }
                if let Some(length) = uncommented_len(line) {
                    line.truncate(length);
                    used.push(Rule::SpecialComments);
                }
            }
        }
        (plain, used)
    }

    /// The files as text, for messages.
    pub(crate) fn shown(&self) -> String {
        let mut text = format!("{} {}\n", self.options.join(" "), self.specs.join(" "));
        for file in self.files.iter().filter(|file| !file.lines.is_empty()) {
            text += &format!("--- {}\n", file.name);
            for line in &file.lines {
                text += &format!("{}\n", line.escape_ascii());
            }
        }
        text
    }
}

/// How long a special line is without the comment that it has.
fn uncommented_len(line: &[u8]) -> Option<usize> {
    let lead_len = line.iter().take_while(|octet| octet.is_ascii_whitespace()).count();
    let start = lead_len + usize::from(matches!(line.get(lead_len), Some(b'#' | b';' | b':')));
    let word = line[start..].strip_prefix(b"$")?.split(u8::is_ascii_whitespace).next()?.to_ascii_uppercase();
    let words: [&[u8]; 6] = [b"SOA", b"NS", b"NAMESERVER", b"TTL", b"TIMESTAMP", b"MAXRANGE4"];
    let comment = start + line[start..].windows(2).position(|pair| matches!(pair, [b' ' | b'\t', b'#' | b';']))?;
    words.contains(&&word[..]).then_some(comment)
}

/// A name to ask about: mostly one that is listed or nearly so.
fn name(rng: &mut StdRng, zone: &Zone, ends: &[&Labels]) -> Labels {
    let listed = ends.choose(rng).map(|end| (*end).clone()).unwrap_or_default();
    let mut writer = Writer::new(rng);
    let mut name = match writer.rng.random_range(0..100) {
        0..=39 => listed,
        40..=57 => {
            // A part of it: octets, nibbles or labels, as a resolver asks that minimises.
            let drop = writer.rng.random_range(0..=listed.len());
            listed[drop..].to_vec()
        }
        58..=63 => {
            let mut name = listed;
            for _ in 0..writer.rng.random_range(1..4) {
                name.insert(0, writer.label());
            }
            name
        }
        64..=73 => {
            let mut name = listed;
            if !name.is_empty() {
                let place = writer.rng.random_range(0..name.len().min(4));
                let label = match writer.rng.random_range(0..4) {
                    0 => writer.label(),
                    1 => [b"0", &name[place][..]].concat(),
                    2 => format!("{:x}", writer.rng.random_range(0..16)).into(),
                    _ => writer.rng.random_range(0..300).to_string().into(),
                };
                name[place] = label;
            }
            name
        }
        74..=79 => join(&octets(writer.v4()), &zone.name),
        80..=81 => join(&nibbles(0xffff_0000_0000 | u128::from(writer.v4())), &zone.name),
        82..=83 => {
            let host: u64 = writer.rng.random();
            join(&nibbles(0x2002 << 112 | u128::from(writer.v4()) << 80 | u128::from(host)), &zone.name)
        }
        84..=85 => join(&nibbles(writer.rng.random()), &zone.name),
        86..=89 => join(&writer.name(), &zone.name),
        90..=93 => zone.name.clone(),
        94 => {
            let sub = writer.pick(&["a", "b", "x.a", "a.x.a", "deep.er", "er", "1", "cap", "ns", "y"]);
            join(&labels(sub), &zone.name)
        }
        95 => zone.name[1..].to_vec(),
        96 => labels(writer.pick(&[
            "version.bind",
            "VERSION.bind",
            "version.server",
            "id.server",
            "hostname.bind",
            "authors.bind",
        ])),
        97 => labels(writer.pick(&["", "example", "outside.test", "com", "bl.example.outside"])),
        _ => join(&[vec![b'q'; 63], vec![b'q'; 63], vec![b'q'; 60]], &zone.name),
    };
    // 0x20
    if rng.random_range(0..100) < 30 {
        for octet in name.iter_mut().flatten() {
            if rng.random() {
                octet.make_ascii_uppercase();
            }
        }
    }
    name
}

fn query(rng: &mut StdRng, name: Labels) -> Query {
    let client = match rng.random_range(0..10) {
        0..=4 => 1,
        _ => rng.random_range(1..9),
    };
    let kind = match rng.random_range(0..100) {
        0..=37 => A,
        38..=67 => TXT,
        68..=75 => ANY,
        76..=81 => 15,
        82..=85 => AAAA,
        86..=88 => NS,
        89..=91 => SOA,
        _ => *[0, 5, 12, 41, 33, 43, 64, 99, 248, 249, 250, 251, 252, 253, 254, 256, 257, 32768, 65535]
            .choose(rng)
            .expect("types"),
    };
    let mut query = Query::new(Ipv4Addr::new(127, 0, 0, client), name, kind);
    if rng.random_range(0..2) == 0 {
        query.flags |= FLAG_RD;
    }
    let chaotic = query.name.last().is_some_and(|label| label.eq_ignore_ascii_case(b"bind") || label == b"server");
    match rng.random_range(0..100) {
        0..=2 => query.class = CLASS_ANY,
        3 => query.class = *[0, 2, CH, 4, 254, 77].choose(rng).expect("classes"),
        _ if chaotic => query.class = CH,
        _ => query.class = IN,
    }
    if chaotic && rng.random_range(0..4) > 0 {
        query.kind = TXT;
    }
    match rng.random_range(0..100) {
        0 => query.flags |= FLAG_AA,
        1 => query.flags |= FLAG_TC,
        2 => query.flags |= FLAG_CD,
        3 => query.flags |= 0x0020,
        4 => query.flags |= rng.random_range(1..16) << 11,
        5 => query.flags |= 0x0080 | rng.random_range(0..16),
        _ => {}
    }
    if rng.random_range(0..100) < 40 {
        query.opt = Some(Opt {
            payload_len: *[0, 512, 523, 524, 700, 1232, 1400, 4096, 65535].choose(rng).expect("sizes"),
            version: if rng.random_range(0..20) == 0 { rng.random_range(1..3) } else { 0 },
            dnssec_ok: rng.random(),
            options: match rng.random_range(0..20) {
                0 => b"\x00\x03\x00\x00".to_vec(),
                1 => b"\x00\x0a\x00\x0812345678".to_vec(),
                2 => b"\xfd\xe9\x00\x02xy".to_vec(),
                3 => b"\x00\x0a\x00\x041234".to_vec(),
                4 => b"\x00\x0c\x00\x10".to_vec(),
                _ => Vec::new(),
            },
        });
    }
    if rng.random_range(0..100) < 3 {
        let whole = query.question().len() + 12;
        query.damage = Some(match rng.random_range(0..8) {
            0 | 1 => Damage::Cut(rng.random_range(0..whole)),
            2 => Damage::TwoQuestions,
            3 => Damage::NoQuestion,
            4 => Damage::Pointer,
            5 => Damage::LongLabel,
            6 => Damage::LongName,
            _ => Damage::Response,
        });
    }
    query
}
