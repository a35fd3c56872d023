//! A query of a script, the words it is written in, and what must come of it.

use std::{net::IpAddr, sync::Arc};

use super::message::{Edns, Query, hex, kind_number, question, show_reply, unhex, wire_name};
use dnsbld::answer::Transport;

/// A query with what it must get.
#[derive(Clone, Debug, Default)]
pub(crate) struct Question {
    request: Vec<u8>,
    /// The name that is asked for, as records at it are shown.
    name: String,
    /// The flags of its OPT record, if it has one.
    edns_flags: Option<u16>,
    wants_last_cookie: bool,
    pub(crate) transport: Option<Transport>,
    pub(crate) not_rbldnsd: bool,
    pub(crate) from: Option<IpAddr>,
    pub(crate) expected: Expected,
}

/// What a query must get.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    pub(crate) silence: bool,
    lines: Vec<String>,
    /// Sections whose records do not matter.
    any: Vec<String>,
    pub(crate) held_s: u16,
    most_octets: Option<usize>,
}

impl Question {
    /// `NAME TYPE WORD...`
    pub(crate) fn ask(rest: &str) -> Result<Self, String> {
        let mut words = rest.split(' ').filter(|word| !word.is_empty());
        let name = words.next().ok_or("a name")?;
        let kind = words.next().and_then(kind_number).ok_or("a type")?;
        let mut query = Query::new(name, kind);
        let mut asked = Self { name: name.to_ascii_lowercase(), ..Self::default() };
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let decimal = || value.parse::<u16>().map_err(|error| format!("{word}: {error}"));
            let octets = || unhex(value).ok_or_else(|| format!("{word}: hexadecimal digits"));
            let edns = |query: &mut Query, change: &dyn Fn(&mut Edns)| {
                change(query.edns.get_or_insert_with(|| Edns { payload_len: 1232, ..Edns::default() }));
            };
            match key {
                "udp" => asked.transport = Some(Transport::Udp),
                "tcp" => asked.transport = Some(Transport::Tcp),
                "!rbldnsd" => asked.not_rbldnsd = true,
                "id" => query.id = decimal()?,
                "rd" => query.flags |= 0x0100,
                "tc" => query.flags |= 0x0200,
                "aa" => query.flags |= 0x0400,
                "cd" => query.flags |= 0x0010,
                "ad" => query.flags |= 0x0020,
                "z" => query.flags |= 0x0040,
                "opcode" => query.flags |= decimal()? << 11,
                "class" => {
                    query.class = match value {
                        "CH" => 3,
                        "HS" => 4,
                        "NONE" => 254,
                        "ANY" => 255,
                        _ => decimal()?,
                    }
                }
                "edns" => {
                    let payload_len = decimal()?;
                    edns(&mut query, &|edns| edns.payload_len = payload_len);
                }
                "do" => edns(&mut query, &|edns| edns.flags |= 0x8000),
                "ednsflags" => {
                    let flags = u16::from_str_radix(value, 16).map_err(|error| format!("{word}: {error}"))?;
                    edns(&mut query, &|edns| edns.flags |= flags);
                }
                "version" => {
                    let version = decimal()? as u8;
                    edns(&mut query, &|edns| edns.version = version);
                }
                "nsid" => edns(&mut query, &|edns| edns.options.push((3, Vec::new()))),
                "cookie" if value == "last" => {
                    asked.wants_last_cookie = true;
                    edns(&mut query, &|edns| edns.options.push((10, vec![0; 24])));
                }
                "cookie" => {
                    let octets = octets()?;
                    edns(&mut query, &|edns| edns.options.push((10, octets.clone())));
                }
                "option" => {
                    let (code, data) = value.split_once(':').ok_or("option=CODE:DATA")?;
                    let code = code.parse().map_err(|error| format!("{word}: {error}"))?;
                    let data = unhex(data).ok_or_else(|| format!("{word}: hexadecimal digits"))?;
                    edns(&mut query, &|edns| edns.options.push((code, data.clone())));
                }
                _ => return Err(format!("unknown word {word}")),
            }
        }
        asked.edns_flags = query.edns.as_ref().map(|edns| edns.flags);
        asked.request = query.octets();
        Ok(asked)
    }

    /// `raw` and hexadecimal digits, with names in quotes.
    pub(crate) fn raw(rest: &str) -> Result<Self, String> {
        let mut asked = Self::default();
        for word in rest.split(' ').filter(|word| !word.is_empty()) {
            let name = word.strip_prefix('"').and_then(|word| word.strip_suffix('"'));
            match (word, name) {
                ("udp", _) => asked.transport = Some(Transport::Udp),
                ("tcp", _) => asked.transport = Some(Transport::Tcp),
                ("!rbldnsd", _) => asked.not_rbldnsd = true,
                (_, Some(name)) => asked.request.extend(wire_name(name)),
                (word, None) => {
                    asked.request.extend(unhex(word).ok_or_else(|| format!("{word}: hexadecimal digits"))?);
                }
            }
        }
        Ok(asked)
    }

    /// A line of what must come.
    pub(crate) fn expect(&mut self, line: &str) -> Result<(), String> {
        let expected = &mut self.expected;
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "silence" => expected.silence = true,
            "held" => expected.held_s = rest.parse().map_err(|error| format!("{error}"))?,
            "octets" => expected.most_octets = Some(rest.parse().map_err(|error| format!("{error}"))?),
            "answer" | "authority" | "additional" if rest == "*" => expected.any.push(word.to_owned()),
            "answer" | "authority" | "additional" => {
                // A record that starts with its TTL is at the name that was asked for.
                let starts_with_ttl = rest.starts_with(|first: char| first.is_ascii_digit())
                    && !rest.split(' ').next().unwrap_or_default().contains('.');
                let name = if starts_with_ttl { format!("{} ", self.name) } else { String::new() };
                expected.lines.push(format!("{word} {name}{rest}"));
            }
            "edns" => expected.lines.push(line.to_owned()),
            code if code.bytes().all(|octet| octet.is_ascii_uppercase() || octet.is_ascii_digit()) => {
                expected.lines.insert(0, line.to_owned());
            }
            _ => return Err("unknown expectation".to_owned()),
        }
        Ok(())
    }

    /// Adds what goes without saying, by a server that takes datagrams of that length.
    pub(crate) fn complete(&mut self, payload_len: u16) {
        let expected = &mut self.expected;
        let says_so = expected.silence || expected.lines.iter().any(|line| line.starts_with("edns"));
        if let Some(flags) = self.edns_flags.filter(|_| !says_so) {
            let dnssec_ok = if flags & 0x8000 == 0 { "" } else { " do" };
            expected.lines.push(format!("edns {payload_len}{dnssec_ok}"));
        }
        expected.lines.retain(|line| line != "edns none");
    }

    /// The request, with the last cookie in its place if it wants that.
    pub(crate) fn request(&self, last_cookie: Option<&Vec<u8>>) -> Arc<[u8]> {
        let mut request = self.request.clone();
        if let Some(cookie) = last_cookie.filter(|_| self.wants_last_cookie) {
            let at = request.len() - cookie.len();
            request[at..].copy_from_slice(cookie);
        }
        request.into()
    }
}

impl Expected {
    /// Whether nothing is expected, not even silence.
    pub(crate) fn is_empty(&self) -> bool {
        !self.silence && self.lines.is_empty()
    }

    /// Holds a reply against what is expected; `without_edns` leaves the OPT record out.
    ///
    /// # Errors
    /// Both as text.
    pub(crate) fn check(&self, request: &[u8], reply: Option<&[u8]>, without_edns: bool) -> Result<(), String> {
        let Some(reply) = reply else {
            return if self.silence { Ok(()) } else { Err(self.difference(&["silence".to_owned()])) };
        };
        let mut actual = show_reply(reply)?;
        if self.silence {
            return Err(self.difference(&actual));
        }
        if request.get(..2) != reply.get(..2) {
            return Err(format!("the id was {} and came back as {}", hex(&request[..2]), hex(&reply[..2])));
        }
        let echoed = question(reply);
        if !echoed.is_empty() && !request[12..].starts_with(echoed) {
            return Err(format!("the question came back as {}", hex(echoed)));
        }
        if let Some(most) = self.most_octets.filter(|&most| reply.len() > most) {
            return Err(format!("{} octets, beyond {most}\n{}", reply.len(), actual.join("\n")));
        }
        let section_matters =
            |line: &String| !self.any.iter().any(|section| line.split(' ').next() == Some(section.as_str()));
        actual.retain(section_matters);
        let mut expected = self.lines.clone();
        if let Some(cookie) = actual.iter().find_map(|line| word_with(line, "cookie=")) {
            for line in &mut expected {
                let Some(start) = word_with(line, "cookie=").filter(|word| word.ends_with('+')).map(str::to_owned)
                else {
                    continue;
                };
                if cookie.starts_with(start.trim_end_matches('+')) && cookie.len() == "cookie=".len() + 48 {
                    *line = line.replace(&start, cookie);
                }
            }
        }
        if without_edns {
            expected.retain(|line| !line.starts_with("edns"));
            actual.retain(|line| !line.starts_with("edns"));
        }
        // A name that is compressed against the question has the case of its letters there; texts are as they are.
        let comparable = |lines: &[String]| {
            let without_case =
                |line: &String| if line.contains('"') { line.clone() } else { line.to_ascii_lowercase() };
            let mut lines: Vec<String> = lines.iter().map(without_case).collect();
            lines.sort();
            lines
        };
        if comparable(&expected) == comparable(&actual) { Ok(()) } else { Err(self.difference(&actual)) }
    }

    fn difference(&self, actual: &[String]) -> String {
        let mark =
            |line: &String, there: &[String]| format!("  {} {line}", if there.contains(line) { ' ' } else { '*' });
        let mut expected = self.lines.clone();
        if self.silence {
            expected.push("silence".to_owned());
        }
        let list = |lines: &[String], others: &[String]| {
            let marked: Vec<String> = lines.iter().map(|line| mark(line, others)).collect();
            marked.join("\n")
        };
        format!("expected\n{}\ngot\n{}", list(&expected, actual), list(actual, &expected))
    }
}

fn word_with<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.split(' ').find(|word| word.starts_with(start))
}

/// The server's part of a cookie that came back, as `cookie=last` takes it up.
pub(crate) fn cookie_of(reply: &[u8]) -> Option<Vec<u8>> {
    let lines = show_reply(reply).ok()?;
    let word = lines.iter().find_map(|line| word_with(line, "cookie="))?;
    unhex(word.strip_prefix("cookie=")?)
}
