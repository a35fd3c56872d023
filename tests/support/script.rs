//! Golden scripts: zones, time, queries and the replies they must get, as text. The format is described in `golden/README.md`.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::message::{Edns, Query, hex, kind_number, show_reply, unhex, wire_name};
use dnsbld::answer::Transport;

/// The time of a script that tells none, and of files that have none of their own.
pub(crate) const NOON: &str = "2026-11-22T12:00:00Z";

/// A file of a script's zones.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) modified_s: u64,
    pub(crate) octets: Vec<u8>,
}

/// How the server is to be set up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) minimal: bool,
    /// Start though not all is loaded (rbldnsd's `-q`).
    pub(crate) quickstart: bool,
    pub(crate) payload_len: Option<u16>,
    pub(crate) identity: Option<String>,
    pub(crate) version: Option<String>,
}

impl Options {
    /// Whether rbldnsd's command line can say all of them.
    pub(crate) fn are_rbldnsds(&self) -> bool {
        self.payload_len.is_none() && self.identity.is_none() && self.version.is_none()
    }
}

/// One query with what it must get.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) line: usize,
    /// The step as it stands in the script.
    pub(crate) text: String,
    pub(crate) request: Vec<u8>,
    pub(crate) has_edns: bool,
    pub(crate) wants_last_cookie: bool,
    pub(crate) transport: Option<Transport>,
    pub(crate) not_rbldnsd: bool,
    pub(crate) from: Option<IpAddr>,
    pub(crate) now_s: u64,
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
    pub(crate) most_octets: Option<usize>,
}

/// A script.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) name: String,
    pub(crate) options: Options,
    pub(crate) files: Vec<File>,
    pub(crate) specs: Vec<String>,
    pub(crate) steps: Vec<Step>,
    /// The clock is set, so that only a run in process will do.
    pub(crate) sets_clock: bool,
    /// True of rbldnsd too.
    pub(crate) is_rbldnsds: bool,
}

impl Script {
    /// All scripts of the folder.
    pub(crate) fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let wanted = std::env::var("GOLDEN").unwrap_or_default();
        let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.expect("a readable folder").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "test"))
            .filter(|path| path.to_string_lossy().contains(&wanted))
            .collect();
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// Reads a script.
    ///
    /// # Panics
    /// If it is not one: the message names the line.
    pub(crate) fn read(path: &Path) -> Self {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut reader = Reader {
            script: Self { name: name.clone(), ..Self::default() },
            definitions: Vec::new(),
            now_s: seconds(NOON).expect("noon"),
            from: None,
        };
        for (index, line) in text.lines().enumerate() {
            if let Err(error) = reader.line(index + 1, line) {
                panic!("{name}:{}: {error}: {line}", index + 1);
            }
        }
        let mut script = reader.script;
        for step in &mut script.steps {
            if step.has_edns
                && !step.expected.silence
                && !step.expected.lines.iter().any(|line| line.starts_with("edns"))
            {
                let dnssec_ok = if step.text.split(' ').any(|word| word == "do") { " do" } else { "" };
                let payload_len = script.options.payload_len.unwrap_or(1232);
                step.expected.lines.push(format!("edns {payload_len}{dnssec_ok}"));
            }
            step.expected.lines.retain(|line| line != "edns none");
            assert!(step.expected.silence || !step.expected.lines.is_empty(), "{name}:{}: expects nothing", step.line);
        }
        script
    }

    /// Where the script cannot run over the network, the reason.
    pub(crate) fn in_process_only(&self) -> Option<&'static str> {
        let elsewhere = |step: &Step| step.from.is_some_and(|address| !address.is_loopback());
        match self {
            Self { sets_clock: true, .. } => Some("it sets the clock"),
            Self { steps, .. } if steps.iter().any(elsewhere) => Some("its clients are not on this host"),
            _ => None,
        }
    }
}

/// Seconds since the epoch of an RFC 3339 time.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let time: jiff::Timestamp = text.parse().map_err(|error| format!("{error}"))?;
    u64::try_from(time.as_second()).map_err(|error| error.to_string())
}

struct Reader {
    script: Script,
    definitions: Vec<(String, String)>,
    now_s: u64,
    from: Option<IpAddr>,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<(), String> {
        if let Some(content) = line.strip_prefix('|') {
            let file = self.script.files.last_mut().ok_or("no file to add to")?;
            file.octets.extend(repeat(content.strip_prefix(' ').unwrap_or(content)).bytes());
            file.octets.push(b'\n');
            return Ok(());
        }
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            return Ok(());
        }
        if line.starts_with(' ') {
            return self.expectation(&repeat(line.trim()));
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "also" if rest == "rbldnsd" => self.script.is_rbldnsds = true,
            "option" => self.option(rest)?,
            "file" => self.file(rest)?,
            "times" => self.times(rest)?,
            "serve" => self.script.specs.push(rest.to_owned()),
            "let" => {
                let (name, value) = rest.split_once(" = ").ok_or("let NAME = VALUE")?;
                self.definitions.push((format!("${name}"), value.to_owned()));
            }
            "time" => {
                self.now_s = seconds(rest)?;
                self.script.sets_clock = true;
            }
            "from" => self.from = Some(rest.parse().map_err(|error| format!("{error}"))?),
            "ask" | "raw" => {
                let rest = &repeat(rest);
                let step = if word == "ask" { self.ask(number, rest)? } else { self.raw(number, rest)? };
                self.script.steps.push(Step { text: format!("{word} {rest}"), ..step });
            }
            _ => return Err("unknown word".to_owned()),
        }
        Ok(())
    }

    fn option(&mut self, rest: &str) -> Result<(), String> {
        let options = &mut self.script.options;
        match rest.split_once(' ').unwrap_or((rest, "")) {
            ("minimal", "") => options.minimal = true,
            ("quickstart", "") => options.quickstart = true,
            ("payload", length) => options.payload_len = Some(length.parse().map_err(|error| format!("{error}"))?),
            ("identity", text) => options.identity = Some(text.to_owned()),
            ("version", text) => options.version = Some(text.to_owned()),
            _ => return Err("unknown option".to_owned()),
        }
        Ok(())
    }

    /// `file NAME [TIME] [= PATH]`
    fn file(&mut self, rest: &str) -> Result<(), String> {
        let (rest, path) = rest.split_once(" = ").map_or((rest, None), |(rest, path)| (rest, Some(path)));
        let (name, time) = rest.split_once(' ').unwrap_or((rest, NOON));
        let octets = match path {
            Some(path) => {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
                std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?
            }
            None => Vec::new(),
        };
        self.script.files.push(File { name: name.to_owned(), modified_s: seconds(time)?, octets });
        Ok(())
    }

    /// `times FIRST LAST LINE`: the line once for each number, which stands for `{}`.
    fn times(&mut self, rest: &str) -> Result<(), String> {
        let mut words = rest.splitn(3, ' ');
        let mut number = || words.next()?.parse::<u32>().ok();
        let (first, last) = (number().ok_or("a number")?, number().ok_or("a number")?);
        let line = words.next().ok_or("a line")?;
        let file = self.script.files.last_mut().ok_or("no file to add to")?;
        for number in first..=last {
            file.octets.extend(repeat(&line.replace("{}", &number.to_string())).bytes());
            file.octets.push(b'\n');
        }
        Ok(())
    }

    /// `ask NAME TYPE WORD...`
    fn ask(&self, number: usize, rest: &str) -> Result<Step, String> {
        let mut words = rest.split(' ').filter(|word| !word.is_empty());
        let name = words.next().ok_or("a name")?;
        let kind = words.next().and_then(kind_number).ok_or("a type")?;
        let mut query = Query::new(name, kind);
        let mut step = self.step(number);
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let decimal = || value.parse::<u16>().map_err(|error| format!("{word}: {error}"));
            let octets = || unhex(value).ok_or_else(|| format!("{word}: hexadecimal digits"));
            let edns = |query: &mut Query, change: &dyn Fn(&mut Edns)| {
                change(query.edns.get_or_insert_with(|| Edns { payload_len: 1232, ..Edns::default() }));
            };
            match key {
                "udp" => step.transport = Some(Transport::Udp),
                "tcp" => step.transport = Some(Transport::Tcp),
                "!rbldnsd" => step.not_rbldnsd = true,
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
                    step.wants_last_cookie = true;
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
        step.has_edns = query.edns.is_some();
        step.request = query.octets();
        Ok(step)
    }

    /// `raw` and hexadecimal digits, with names in quotes.
    fn raw(&self, number: usize, rest: &str) -> Result<Step, String> {
        let mut step = self.step(number);
        for word in rest.split(' ').filter(|word| !word.is_empty()) {
            let name = word.strip_prefix('"').and_then(|word| word.strip_suffix('"'));
            match (word, name) {
                ("udp", _) => step.transport = Some(Transport::Udp),
                ("tcp", _) => step.transport = Some(Transport::Tcp),
                ("!rbldnsd", _) => step.not_rbldnsd = true,
                (_, Some(name)) => step.request.extend(wire_name(name)),
                (word, None) => {
                    step.request.extend(unhex(word).ok_or_else(|| format!("{word}: hexadecimal digits"))?);
                }
            }
        }
        Ok(step)
    }

    fn step(&self, line: usize) -> Step {
        Step {
            line,
            text: String::new(),
            request: Vec::new(),
            has_edns: false,
            wants_last_cookie: false,
            transport: None,
            not_rbldnsd: false,
            from: self.from,
            now_s: self.now_s,
            expected: Expected::default(),
        }
    }

    fn expectation(&mut self, line: &str) -> Result<(), String> {
        let definitions = &self.definitions;
        let step = self.script.steps.last_mut().ok_or("nothing was asked")?;
        let mut line = line.to_owned();
        if let Some((name, value)) =
            definitions.iter().rev().find(|(name, _)| line.split(' ').any(|word| word == name.as_str()))
        {
            line = line.replace(name.as_str(), value);
        }
        let expected = &mut step.expected;
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match word {
            "silence" => expected.silence = true,
            "held" => expected.held_s = rest.parse().map_err(|error| format!("{error}"))?,
            "octets" => expected.most_octets = Some(rest.parse().map_err(|error| format!("{error}"))?),
            "answer" | "authority" | "additional" if rest == "*" => expected.any.push(word.to_owned()),
            "answer" | "authority" | "additional" => {
                // A record that starts with its TTL is at the name that was asked for.
                let name = step.text.split(' ').nth(1).unwrap_or_default();
                expected.lines.push(
                    if rest.starts_with(|first: char| first.is_ascii_digit())
                        && !rest.split(' ').next().unwrap_or_default().contains('.')
                    {
                        format!("{word} {} {rest}", repeat(name).to_ascii_lowercase())
                    } else {
                        line.clone()
                    },
                );
            }
            "edns" => expected.lines.push(line.clone()),
            code if code.bytes().all(|octet| octet.is_ascii_uppercase() || octet.is_ascii_digit()) => {
                expected.lines.insert(0, line.clone());
            }
            _ => return Err("unknown expectation".to_owned()),
        }
        Ok(())
    }
}

/// `{TEXT*N}` becomes N times the text.
fn repeat(line: &str) -> String {
    let mut result = String::new();
    let mut rest = line;
    while let Some((before, (text, count, after))) = rest.split_once('{').and_then(|(before, after)| {
        let (inside, after) = after.split_once('}')?;
        let (text, count) = inside.rsplit_once('*')?;
        Some((before, (text, count.parse::<usize>().ok()?, after)))
    }) {
        result.push_str(before);
        result.push_str(&text.repeat(count));
        rest = after;
    }
    result + rest
}

impl Expected {
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
        let echoed = super::message::question(reply);
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

/// The request of a step, with the last cookie in its place if it wants that.
pub(crate) fn request_of(step: &Step, last_cookie: Option<&Vec<u8>>) -> Arc<[u8]> {
    let mut request = step.request.clone();
    if let Some(cookie) = last_cookie.filter(|_| step.wants_last_cookie) {
        let at = request.len() - cookie.len();
        request[at..].copy_from_slice(cookie);
    }
    request.into()
}
