//! Random lines of dataset files: every form that rbldnsd knows, and the near misses.
//!
//! The generator keeps what it wrote about as keys. Lists are made of runs of addresses, with runs taken out of them, so the
//! ends of all runs and their neighbours are enough to find something listed in any part of the address space, if there is
//! something: that is how a claim that something exists below a name is checked.

mod addresses;

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

use super::names::Labels;

/// What lines spoke about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    pub(crate) v4: Vec<u32>,
    pub(crate) v6: Vec<u128>,
    pub(crate) names: Vec<Labels>,
}

/// Writes lines. What it wrote before comes back with small changes, so that entries meet.
pub(crate) struct Writer<'r> {
    pub(crate) rng: &'r mut StdRng,
    pub(crate) keys: Keys,
    seen_v4: Vec<u32>,
    seen_v6: Vec<u128>,
    seen_names: Vec<Labels>,
    /// Names of servers that the zones may have addresses for.
    pub(crate) servers: Vec<String>,
    in_combined: bool,
}

impl<'r> Writer<'r> {
    pub(crate) fn new(rng: &'r mut StdRng) -> Self {
        Self {
            rng,
            keys: Keys::default(),
            seen_v4: Vec::new(),
            seen_v6: Vec::new(),
            seen_names: Vec::new(),
            servers: vec!["ns.elsewhere.test".into()],
            in_combined: false,
        }
    }

    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    pub(crate) fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words.choose(self.rng).expect("words")
    }

    /// The lines of one file of a dataset.
    pub(crate) fn file(&mut self, kind: &str, at_start: bool) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        if at_start {
            self.head(kind, &mut lines);
        }
        if kind == "combined" {
            self.in_combined = true;
            self.combined(at_start, &mut lines);
            self.in_combined = false;
        } else {
            self.body(kind, &mut lines);
        }
        lines
    }

    fn head(&mut self, kind: &str, lines: &mut Vec<Vec<u8>>) {
        let parts = [("soa", 70), ("ns", 60), ("ttl", 50), ("var", 40), ("max", 12)];
        for (part, percent) in parts {
            if self.chance(percent) {
                let line = self.special(part, kind);
                lines.push(line.into());
            }
        }
    }

    fn body(&mut self, kind: &str, lines: &mut Vec<Vec<u8>>) {
        let count = self.rng.random_range(3..28);
        // After a default line with a keyword rbldnsd crashes on entries without a whole value.
        let mut keyword_default = true;
        for _ in 0..count {
            let line = match self.rng.random_range(0..100) {
                0..=5 => {
                    let part = self.pick(&["soa", "ns", "ttl", "var", "var", "base", "max", "stamp", "bad"]);
                    self.special(part, kind).into_bytes()
                }
                6..=8 => self.pick(&["", "   ", "# a comment", "; another", "\t# $TTL 1", "#"]).into(),
                9 => self.pick(&["!", "! ", "..", "*", "-", "=", "a b c d", "1.2.3.4,", "\u{1}", "@"]).into(),
                10..=17 if kind != "generic" && kind != "acl" => self.default_line(),
                _ => match kind {
                    "ip4set" | "ip4trie" | "ip4tset" => self.v4_line(kind),
                    "ip6trie" | "ip6tset" => self.v6_line(kind),
                    "dnset" => self.name_line(),
                    "generic" => self.record_line().into_bytes(),
                    "acl" => self.acl_line(&mut keyword_default),
                    _ => unreachable!("{kind}"),
                },
            };
            lines.push(self.framed(line));
        }
    }

    /// Blanks around a line, now and then.
    fn framed(&mut self, mut line: Vec<u8>) -> Vec<u8> {
        if self.chance(5) {
            line.insert(0, b' ');
        }
        if self.chance(5) {
            line.extend_from_slice(b" \t");
        }
        line
    }

    fn combined(&mut self, at_start: bool, lines: &mut Vec<Vec<u8>>) {
        if !at_start {
            // A line before any section is the end of the dataset.
            lines.push(b"# more".to_vec());
        }
        for _ in 0..self.rng.random_range(1..6) {
            let kind = self.pick(&["ip4set", "ip4trie", "ip4tset", "ip6trie", "ip6tset", "dnset", "generic"]);
            let mut subs: Vec<&str> = Vec::new();
            for _ in 0..self.rng.random_range(1..3) {
                subs.push(self.pick(&["@", ".", "a", "b", "x.a", "deep.er", "1", "Cap", "mail.x.a"]));
            }
            let word = self.pick(&["$DATASET", "$dataset", "#$DATASET", ":$DATASET"]);
            let name = self.pick(&["", "", ":some"]);
            let tail = self.pick(&["", "", " # comment", " ; other"]);
            lines.push(format!("{word} {kind}{name} {}{tail}", subs.join(" ")).into());
            let before = std::mem::take(&mut self.keys);
            self.body(kind, lines);
            let section = std::mem::replace(&mut self.keys, before);
            for sub in subs {
                let sub = if matches!(sub, "@" | ".") { Vec::new() } else { super::names::labels(sub) };
                let mut names = relative_names(&section);
                for name in &mut names {
                    name.extend(sub.iter().cloned());
                }
                self.keys.names.extend(names);
                self.keys.names.push(sub);
            }
        }
    }

    fn special(&mut self, part: &str, kind: &str) -> String {
        let lead = self.pick(&["$", "$", "$", "$", "#$", ";$", ":$"]);
        let time = |writer: &mut Self| {
            writer.pick(&["60", "1h", "0", "5m", "2D", "1w", "3600", "300s", "10", "86400", "7200"]).to_owned()
        };
        let rest = match part {
            "soa" => {
                let server = self.server();
                let mut text = format!("SOA {} {server} Host.Master.test {}", time(self), self.pick(&["0", "1", "77"]));
                for _ in 0..4 {
                    text += " ";
                    text += &time(self);
                }
                if self.chance(6) {
                    text += self.pick(&[" 5", " # no", ".", "x"]);
                }
                text
            }
            "ns" => {
                let mut text = format!("NS {}", time(self));
                for _ in 0..self.rng.random_range(1..5) {
                    let server = self.server();
                    text += &format!(" {}{server}", self.pick(&["", "", "", "-"]));
                }
                if self.chance(5) { text.replace("NS ", "NAMESERVER ") } else { text }
            }
            "ttl" => format!("TTL {}{}", time(self), self.pick(&["", "", "", " # why", " x"])),
            "var" => {
                format!(
                    "{} {}",
                    self.rng.random_range(0..4),
                    self.pick(&["see http://x.test/$", "[$1]", "$$", "v # w"])
                )
            }
            "base" => format!("= {}", self.pick(&["base $= $", "$=", "[$1 $=]", "$2 $", "only"])),
            "max" if kind != "acl" => {
                format!("MAXRANGE4 {}", self.pick(&["/24", "/16", "/8", "256", "65536", "/32", "/0", "0", "/33"]))
            }
            "stamp" => format!(
                "TIMESTAMP {}",
                self.pick(&[
                    "20050102",
                    "2005:1:2",
                    "2005-01-02-03-04-05 2037:1:1",
                    "2005:1:2: 2037-1-1-",
                    "0 20370101",
                    "2005.01.02",
                    "0 +5"
                ])
            ),
            // There, an unknown type of dataset ends the reading.
            _ if !self.in_combined && self.chance(10) => "DATASET a b".to_owned(),
            _ => self
                .pick(&[
                    "TTL",
                    "TTL x",
                    "TTL 1h30m",
                    "NS",
                    "NS 60",
                    "NS ns.x",
                    "SOA 1 2",
                    "1",
                    "=",
                    "=x",
                    "FOO 1",
                    " TTL 5",
                ])
                .to_owned(),
        };
        let rest = if self.chance(10) { rest.replacen("SOA", "soa", 1).replacen("TTL", "Ttl", 1) } else { rest };
        format!("{lead}{rest}")
    }

    fn server(&mut self) -> String {
        let servers = self.servers.clone();
        let server = servers.choose(self.rng).expect("a server").clone();
        if self.chance(30) { format!("ns{}.Example.test", self.rng.random_range(1..5)) } else { server }
    }

    /// A value, or what looks like one.
    fn value(&mut self) -> Vec<u8> {
        let word = self.pick(&[
            "",
            "",
            "",
            "",
            ":2:text",
            ":127.0.0.3:",
            ":4",
            "text",
            "listed, see $",
            "=own $ $= $1",
            "$",
            "$$",
            "$1 and $2",
            "$=",
            ":5:at $",
            ":1.2:x",
            ":1.2.3:y",
            ":2 :spaced",
            ":6:",
            ":127.0.0.0:zero",
            ":0.0.0.1:one",
            "a # b",
            "# comment",
            "; comment",
            ":2:# text",
            "\"quoted\"",
            "back\\slash",
            "$a$",
            "$0$3",
            "=",
            "==",
            ":7:=own",
            "x @ y",
            "a@b",
            ":008:z",
            ":255:z",
            "text\r",
            ":2:  trimmed",
        ]);
        match self.rng.random_range(0..100) {
            0..=4 => self
                .pick(&[": 2 :x", ":2x", ":0:x", ":256", "::x", ":2 # c", ":127.0.0.3.", ":2.:", ":1.2.3.4.5:x", ":x"])
                .into(),
            5..=7 => {
                let length = self.rng.random_range(240..420);
                let mut text: Vec<u8> = self.pick(&["", ":9:", "="]).into();
                let first = self.rng.random_range(0..26);
                text.extend((0..length).map(|place| b'a' + ((first + place) % 26) as u8));
                text
            }
            8 => b"octets \x80\xff\x01 of any kind".to_vec(),
            _ => word.into(),
        }
    }

    /// A key and a value, with something between them.
    fn entry(&mut self, key: &str) -> Vec<u8> {
        let value = self.value();
        // What a colon means on an IPv6 address, no two programs agree on.
        let may_glue = if key.contains(':') { b"#;".as_slice() } else { b":#;" };
        let glued = value.first().is_some_and(|octet| may_glue.contains(octet)) && self.chance(15);
        let between = if glued { "" } else { self.pick(&[" ", " ", "\t", "   "]) };
        [key.as_bytes(), between.as_bytes(), &value].concat()
    }

    fn default_line(&mut self) -> Vec<u8> {
        let value = self.value();
        if value.starts_with(b":") { value } else { [b":3:", &value[..]].concat() }
    }

    pub(crate) fn label(&mut self) -> Vec<u8> {
        let word = self.pick(&[
            "a",
            "b",
            "c",
            "x",
            "mail",
            "ns",
            "example",
            "com",
            "Org",
            "1",
            "10",
            "a-b",
            "_dmarc",
            "xn--bcher-kva",
            "2",
            "127",
            "0",
        ]);
        match self.rng.random_range(0..60) {
            0 => b"a.b".to_vec(),
            1 => b"\x01\xffz".to_vec(),
            2 => b"d$@;".to_vec(),
            3 => vec![b'l'; 63],
            4 => b"*".to_vec(),
            5 => b" \\\"".to_vec(),
            _ => word.into(),
        }
    }

    /// A name near an earlier one, or a new one.
    pub(crate) fn name(&mut self) -> Labels {
        let near = self.seen_names.choose(self.rng).cloned().filter(|_| self.rng.random_range(0..100) < 65);
        let name = match near {
            Some(mut seen) => match self.rng.random_range(0..4) {
                0 => seen,
                1 => {
                    seen.insert(0, self.label());
                    seen
                }
                2 if seen.len() > 1 => seen.split_off(1),
                _ => {
                    seen[0] = self.label();
                    seen
                }
            },
            None => (0..self.rng.random_range(1..4)).map(|_| self.label()).collect(),
        };
        self.seen_names.push(name.clone());
        name
    }

    /// A name as it is written in a file, with escapes where they must be and sometimes where not.
    fn written(&mut self, name: &[Vec<u8>]) -> String {
        let mut labels = Vec::new();
        for label in name {
            let mut text = String::new();
            for &octet in label {
                let must = matches!(octet, b'.' | b'\\' | ..=b' ' | 0x7f..);
                if matches!(octet, b'.' | b'\\') && self.chance(50) {
                    text.push('\\');
                    text.push(char::from(octet));
                } else if must || self.chance(2) {
                    text += &format!("\\{octet:03}");
                } else {
                    text.push(char::from(octet));
                }
            }
            labels.push(text);
        }
        let mut text = labels.join(".");
        if self.chance(8) {
            text.push('.');
        }
        if self.chance(3) {
            text = text.replacen('.', "..", 1);
        }
        text
    }

    fn name_line(&mut self) -> Vec<u8> {
        let name = self.name();
        self.keys.names.push(name.clone());
        self.keys.names.push(super::names::join(&[b"w".to_vec()], &name));
        let written = self.written(&name);
        let lead = self.exclamation();
        let wild = self.pick(&["", "", "*.", "*.", "."]);
        if self.chance(3) {
            return self.pick(&["*", "*.", ".", "!", "*x a", "a#b x", "a:2:b", "a,b"]).into();
        }
        if self.chance(1) {
            return [b"l".repeat(64), b".x".to_vec()].concat();
        }
        // A value must not be glued to a name.
        let value = self.value();
        [format!("{lead}{wild}{written}").as_bytes(), b" ", &value].concat()
    }

    fn record_line(&mut self) -> String {
        let name = self.name();
        self.keys.names.push(name.clone());
        let owner = match self.rng.random_range(0..10) {
            0 => "@".to_owned(),
            1 if self.servers.len() > 1 => "ns".to_owned(),
            _ => self.written(&name),
        };
        let ttl = self.pick(&["", "", "", " 60", " 1h", " 0", " 3600"]);
        let class = self.pick(&["", "", " IN", " in"]);
        let data = match self.rng.random_range(0..12) {
            0..=4 => format!(
                "A {}",
                self.pick(&["127.0.0.2", "127.0.0.3", "1.2", "5", "0", "192.0.2.77", "1.2.3.4x", "1.2.3.4 # c"])
            ),
            5..=7 => format!(
                "TXT {}",
                self.pick(&[
                    "text",
                    "\"quoted text\"",
                    "\"q1\" \"q2\"",
                    "$ is not special",
                    "a # b",
                    "\"",
                    "\"\"",
                    "b\\c"
                ])
            ),
            8 => format!("TXT {}", self.pick(&["t", "u", "v", "w"]).repeat(self.rng.random_range(250..270))),
            9..=10 => format!(
                "MX {} {}",
                self.pick(&["10", "0", "65535", "010"]),
                self.pick(&["mx.Example.test", "mx2.example.test.", "."])
            ),
            _ => self
                .pick(&[
                    "MX 70000 a.b",
                    "NS a.b",
                    "CNAME x",
                    "CH A 1",
                    "AAA ::1",
                    "A",
                    "A 1.2.3.256",
                    "mx 10 x.y",
                    "txt lower",
                ])
                .to_owned(),
        };
        format!("{owner}{ttl}{class} {data}")
    }

    fn acl_line(&mut self, keyword_default: &mut bool) -> Vec<u8> {
        const KEYWORDS: [&str; 12] =
            ["ignore", "blackhole", "refuse", "empty", "pass", "REFUSE", "Empty", "r", "Ref", "black", "emp", "pas"];
        let keyword = self.pick(&KEYWORDS);
        if self.chance(8) {
            if self.chance(50) {
                *keyword_default = true;
                return format!("{}{keyword}", self.pick(&["=", ":"])).into();
            }
            let whole_only = std::mem::take(keyword_default);
            return self.pick(if whole_only { &[":5:always $", ":127.0.0.9:$1"] } else { &[":6", ":7:seven"] }).into();
        }
        let client = self.rng.random_range(1..8);
        let address = match self.rng.random_range(0..12) {
            0..=5 => format!("127.0.0.{client}"),
            6 => format!("127.0.0.{}/30", client & !3),
            7 => "127.0.0/24".into(),
            8 => "127/8".into(),
            9 => "::1".into(),
            10 => "10.0/16".into(),
            _ => self.pick(&["127.0.0.1/8", "127.0.0.9-12", "!127.0.0.2", "x", "0::1", "127.0.0.1/33"]).into(),
        };
        let value = match self.rng.random_range(0..10) {
            0 => String::new(),
            1..=5 => format!("{}{keyword}{}", self.pick(&[":", "="]), self.pick(&["", "", " more", ":x", "#c"])),
            6..=7 => self.pick(&[":5:$ may not", ":127.0.0.8:", ":9:=own $ $1"]).to_owned(),
            8 if !*keyword_default => self.pick(&["just text", ":7", "refuse"]).to_owned(),
            _ => self.pick(&["=bad", ":bad", "# comment"]).to_owned(),
        };
        format!("{address} {value}").into()
    }
}

/// The names under which keys are asked about.
pub(crate) fn relative_names(keys: &Keys) -> Vec<Labels> {
    use super::names::{nibbles, octets};
    let mut names = keys.names.clone();
    for &address in &keys.v4 {
        names.push(octets(address));
        names.push(nibbles(0xffff_0000_0000 | u128::from(address)));
        names.push(nibbles(0x2002 << 112 | u128::from(address) << 80));
    }
    names.extend(keys.v6.iter().map(|&address| nibbles(address)));
    names
}
