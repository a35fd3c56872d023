//! What happens to a server in a script besides queries, and what must have come of it.
//!
//! All that an action leaves is told in lines, and a script must name each of them, but for the numbers of entries: what is not
//! named must not be there. Lines that are texts for people are named by parts of theirs, the others in full.

/// What has the server look at its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It starts; if it runs, it was stopped before, as it should be.
    Start,
    /// The kernel says that something happened to a file.
    Change,
    /// The `check` interval is over.
    Check,
    /// SIGHUP, or `dnsbld reload`.
    Reload,
    /// `dnsbld reload --accept ZONE`.
    Accept(String),
}

impl Action {
    /// Reads a line of a script.
    pub(crate) fn read(word: &str, rest: &str) -> Option<Self> {
        match (word, rest) {
            ("start", "") => Some(Self::Start),
            ("change", "") => Some(Self::Change),
            ("check", "") => Some(Self::Check),
            ("reload", "") => Some(Self::Reload),
            ("accept", zone) if !zone.is_empty() => Some(Self::Accept(zone.to_owned())),
            _ => None,
        }
    }
}

/// What an action must leave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Aftermath {
    lines: Vec<String>,
}

/// Lines that are texts for people.
const TEXTS: [&str; 3] = ["trouble", "warning", "error"];
/// Those that are not.
const FACTS: [&str; 5] = ["read", "published", "failed", "waiting", "entries"];

impl Aftermath {
    /// A line of what must come.
    pub(crate) fn expect(&mut self, line: &str) -> Result<(), String> {
        let word = first_word(line);
        if !TEXTS.contains(&word) && !FACTS.contains(&word) {
            return Err("unknown expectation".to_owned());
        }
        if TEXTS.contains(&line) {
            return Err(format!("a part of the text, or `{line} *`"));
        }
        self.lines.push(line.to_owned());
        Ok(())
    }

    /// Holds what came against what is expected.
    ///
    /// # Errors
    /// Both as text.
    pub(crate) fn check(&self, actual: &[String]) -> Result<(), String> {
        let mut left: Vec<&String> = actual.iter().collect();
        let mut missing = Vec::new();
        for line in &self.lines {
            let any = line.strip_suffix(" *");
            match left.iter().position(|found| is_such(line, found)) {
                _ if any.is_some() => left.retain(|found| Some(first_word(found)) != any),
                Some(at) => drop(left.remove(at)),
                None => missing.push(line),
            }
        }
        left.retain(|line| first_word(line) != "entries");
        if missing.is_empty() && left.is_empty() {
            return Ok(());
        }
        let show = |lines: &mut dyn Iterator<Item = (bool, &String)>| {
            let marked: Vec<_> =
                lines.map(|(is_off, line)| format!("  {} {line}", if is_off { '*' } else { ' ' })).collect();
            marked.join("\n")
        };
        let expected = show(&mut self.lines.iter().map(|line| (missing.contains(&line), line)));
        let got = show(&mut actual.iter().map(|line| (left.contains(&line), line)));
        Err(format!("expected\n{expected}\ngot\n{got}"))
    }
}

fn first_word(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

/// Whether a line is the one that is expected: a text has its parts in their order, with anything between, before and behind.
fn is_such(expected: &str, found: &str) -> bool {
    let word = first_word(expected);
    if !TEXTS.contains(&word) {
        return expected == found;
    }
    let (parts, mut rest) = (expected[word.len()..].trim().split(" ... "), found);
    word == first_word(found)
        && parts.into_iter().all(|part| {
            let found = rest.split_once(part).map(|(_, behind)| behind);
            rest = found.unwrap_or_default();
            found.is_some()
        })
}
