//! The text of a golden script, line by line, into its files and steps. The format is described in `golden/README.md`.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::Duration,
};

use super::{
    happening::{Action, Aftermath},
    question::Question,
    script::{Deed, File, Moment, NOON, Script, Step, seconds, since_epoch},
};

/// What the reply to a query with EDNS says that the server takes, if the script does not set it.
const PAYLOAD_LEN: u16 = 1232;

/// Reads a script.
///
/// # Panics
/// If it is not one: the message names the line.
pub(crate) fn read(path: &Path) -> Script {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut reader = Reader {
        script: Script { name: name.clone(), ..Script::default() },
        definitions: Vec::new(),
        now: Moment { clock: since_epoch(NOON).expect("noon"), passed: Duration::ZERO },
        from: None,
    };
    for (index, line) in text.lines().enumerate() {
        if let Err(error) = reader.line(index + 1, line) {
            panic!("{name}:{}: {error}: {line}", index + 1);
        }
    }
    let mut script = reader.script;
    let starts = matches!(script.steps.first(), Some(Step { deed: Deed::Act(Action::Start, _), .. }));
    assert!(starts || !script.has_events(), "{name}: the first step must be `start`, since others than queries follow");
    let payload_len = script.options.payload_len.unwrap_or(PAYLOAD_LEN);
    for step in &mut script.steps {
        if let Deed::Ask(asked) = &mut step.deed {
            asked.complete(payload_len);
            assert!(!asked.expected.is_empty(), "{name}:{}: expects nothing", step.line);
        }
    }
    script
}

struct Reader {
    script: Script,
    definitions: Vec<(String, String)>,
    now: Moment,
    from: Option<IpAddr>,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<(), String> {
        if let Some(content) = line.strip_prefix('|') {
            let octets = &mut self.open_file()?.octets;
            octets.extend(repeat(content.strip_prefix(' ').unwrap_or(content)).bytes());
            octets.push(b'\n');
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
            "file" => self.file(number, rest)?,
            "times" => self.times(rest)?,
            "cut" => self.open_file()?.cut_len = rest.parse().map_err(|error| format!("{error}"))?,
            "serve" => self.script.specs.push(rest.to_owned()),
            "let" => {
                let (name, value) = rest.split_once(" = ").ok_or("let NAME = VALUE")?;
                self.definitions.push((format!("${name}"), value.to_owned()));
            }
            "time" | "clock" => self.time(word == "clock", since_epoch(rest)?)?,
            "from" => self.from = Some(rest.parse().map_err(|error| format!("{error}"))?),
            "ask" | "raw" => {
                let rest = &repeat(rest);
                let mut asked = if word == "ask" { Question::ask(rest)? } else { Question::raw(rest)? };
                asked.from = self.from;
                self.step(number, format!("{word} {rest}"), Deed::Ask(asked));
            }
            "remove" => self.step(number, line.to_owned(), Deed::Remove(rest.to_owned())),
            _ => {
                let action = Action::read(word, rest).ok_or("unknown word")?;
                self.step(number, line.to_owned(), Deed::Act(action, Aftermath::default()));
            }
        }
        Ok(())
    }

    fn step(&mut self, line: usize, text: String, deed: Deed) {
        self.script.steps.push(Step { line, text, at: self.now, deed });
    }

    /// Before the first step, time does not pass: that is when the script begins.
    fn time(&mut self, is_set: bool, to: Duration) -> Result<(), String> {
        self.script.sets_clock = true;
        if !is_set && !self.script.steps.is_empty() {
            let passed =
                to.checked_sub(self.now.clock).ok_or("time does not go back; a clock that is set is `clock`")?;
            self.now.passed += passed;
        }
        self.now.clock = to;
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
            ("reload", text) => options.reload.push(text.to_owned()),
            _ => return Err("unknown option".to_owned()),
        }
        Ok(())
    }

    /// `file NAME [TIME] [= PATH]`
    fn file(&mut self, number: usize, rest: &str) -> Result<(), String> {
        let (name, path) = rest.split_once(" = ").map_or((rest, None), |(rest, path)| (rest, Some(path)));
        let (name, time) = name.split_once(' ').map_or((name, None), |(name, time)| (name, Some(time)));
        let octets = match path {
            Some(path) => {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
                std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?
            }
            None => Vec::new(),
        };
        let modified_s = time.map_or(Ok(self.now.now_s()), seconds)?;
        let file = File { name: name.to_owned(), modified_s, octets, cut_len: 0 };
        if self.script.steps.is_empty() {
            self.script.files.push(file);
        } else {
            self.step(number, format!("file {rest}"), Deed::Drop(file));
        }
        Ok(())
    }

    /// The file that lines are added to.
    fn open_file(&mut self) -> Result<&mut File, String> {
        let file = match self.script.steps.last_mut() {
            None => self.script.files.last_mut(),
            Some(Step { deed: Deed::Drop(file), .. }) => Some(file),
            Some(_) => None,
        };
        file.ok_or_else(|| "no file to add to".to_owned())
    }

    /// `times FIRST LAST LINE`: the line once for each number, which stands for `{}`; `{10.0.0.0}` is the address so far behind.
    fn times(&mut self, rest: &str) -> Result<(), String> {
        let mut words = rest.splitn(3, ' ');
        let mut number = || words.next()?.parse::<u32>().ok();
        let (first, last) = (number().ok_or("a number")?, number().ok_or("a number")?);
        let line = words.next().ok_or("a line")?;
        let base = line.split_once('{').and_then(|(_, rest)| rest.split_once('}')?.0.parse::<Ipv4Addr>().ok());
        let octets = &mut self.open_file()?.octets;
        for number in first..=last {
            let mut text = line.replace("{}", &number.to_string());
            if let Some(base) = base {
                text = text.replace(&format!("{{{base}}}"), &Ipv4Addr::from(u32::from(base) + number).to_string());
            }
            octets.extend(repeat(&text).bytes());
            octets.push(b'\n');
        }
        Ok(())
    }

    /// A line below a step.
    fn expectation(&mut self, line: &str) -> Result<(), String> {
        let mut line = line.to_owned();
        if let Some((name, value)) =
            self.definitions.iter().rev().find(|(name, _)| line.split(' ').any(|word| word == name.as_str()))
        {
            line = line.replace(name.as_str(), value);
        }
        match self.script.steps.last_mut().map(|step| &mut step.deed) {
            Some(Deed::Ask(asked)) => asked.expect(&line),
            Some(Deed::Act(_, aftermath)) => aftermath.expect(&line),
            _ => Err("nothing was asked or done".to_owned()),
        }
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
