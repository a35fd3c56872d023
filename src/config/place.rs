//! Where in the file a mistake is, and what to write instead: errors carry the key that they are about, and the text says where
//! that stands.

use std::{fmt, path::Path};

use toml::de::{DeTable, DeValue};

/// An error with the key that it is about.
#[derive(Debug)]
struct AtKeys {
    /// From the outermost table to the key.
    keys: Vec<String>,
    error: anyhow::Error,
}

impl fmt::Display for AtKeys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {:#}", written(&self.keys), self.error)
    }
}

impl std::error::Error for AtKeys {}

/// What may go wrong about a key.
pub(super) trait AtKey<T> {
    /// Says which key; called again by whoever knows the table around it.
    fn at_key(self, key: &str) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> AtKey<T> for Result<T, E> {
    fn at_key(self, key: &str) -> anyhow::Result<T> {
        self.map_err(|error| {
            let (mut keys, error) = match error.into().downcast::<AtKeys>() {
                Ok(inner) => (inner.keys, inner.error),
                Err(error) => (Vec::new(), error),
            };
            keys.insert(0, key.to_owned());
            AtKeys { keys, error }.into()
        })
    }
}

/// Keys as they are written in one: `listings.zones."bl.example".lifetime`.
fn written(keys: &[String]) -> String {
    let is_bare = |key: &str| key.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'));
    let words: Vec<String> =
        keys.iter().map(|key| if is_bare(key) { key.clone() } else { format!("{key:?}") }).collect();
    format!("`{}`", words.join("."))
}

/// A key with the place where it stands, or where the innermost of its tables does that is in the text.
pub(super) fn place(path: &Path, text: &str, keys: &[String]) -> String {
    let start = DeTable::parse(text).ok().and_then(|table| find(table.get_ref(), keys));
    match start {
        Some(start) => format!("{}: {}", at(path, text, start), written(keys)),
        None => format!("{}: {}", path.display(), written(keys)),
    }
}

fn find(table: &DeTable<'_>, keys: &[String]) -> Option<usize> {
    let (first, rest) = keys.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| *key.get_ref() == first.as_str())?;
    let inner = match value.get_ref() {
        DeValue::Table(table) => find(table, rest),
        _ => None,
    };
    Some(inner.unwrap_or(key.span().start))
}

fn at(path: &Path, text: &str, start: usize) -> String {
    let before = text.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{}:{line}:{column}", path.display())
}

/// What is wrong with a configuration that could be read, in one line: where, what, and what was expected.
pub(super) fn mistaken(path: &Path, text: &str, error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<AtKeys>() {
        Ok(AtKeys { keys, error }) => anyhow::anyhow!("{}: {error:#}", place(path, text, &keys)),
        Err(error) => error.context(path.display().to_string()),
    }
}

/// What cannot be read in a configuration, in one line: where, what, and what was expected.
pub(super) fn misread(path: &Path, text: &str, error: &toml::de::Error) -> anyhow::Error {
    let span = error.span().unwrap_or_default();
    let value = text.get(span.clone()).unwrap_or_default();
    let said = plain_words(&error.message().replace('\n', " "), value);
    let hint = DeTable::parse(text).ok().and_then(|table| unquoted(table.get_ref(), span.start)).unwrap_or_default();
    anyhow::anyhow!("{}: {said}{hint}", at(path, text, span.start))
}

/// Tables that have tables with names of an operator's choice in them, which may have dots in them.
const OF_NAMES: [&[&str]; 3] = [&["listings", "zones"], &["keys"], &["tokens"]];

/// What to write instead where a key is none and is the part of a name behind a dot: without quotes, that is a table of its own.
fn unquoted(root: &DeTable<'_>, start: usize) -> Option<String> {
    OF_NAMES.iter().find_map(|tables| {
        let outer = tables.iter().try_fold(root, |table, key| table.get(*key)?.get_ref().as_table())?;
        let name = outer.iter().find_map(|(first, inner)| {
            let inner = inner.get_ref().as_table()?;
            let (second, below) = inner.iter().find(|(key, _)| key.span().start == start)?;
            let mut labels = vec![first.get_ref().as_ref(), second.get_ref().as_ref()];
            let mut below = below.get_ref().as_table()?;
            while let Some((key, value)) = below.iter().next()
                && let (1, Some(deeper)) = (below.len(), value.get_ref().as_table())
            {
                labels.push(key.get_ref().as_ref());
                below = deeper;
            }
            Some(labels.join("."))
        })?;
        Some(format!("; a name with dots stands in quotes: [{}.\"{name}\"]", tables.join(".")))
    })
}

/// What the parser says, in an operator's words and not in those of the program, with the value that it says it of put right.
fn plain_words(message: &str, value: &str) -> String {
    let bare = value.trim_matches(['"', '\'']);
    let write = |right: Option<String>| right.map_or_else(String::new, |right| format!(": write {right}"));
    if let Some((what, expected)) = message.split_once(", expected ") {
        let words = match expected {
            "a sequence" => format!("a list{}", write(Some(format!("[{value}]")))),
            "usize" | "u64" | "u32" => format!("a whole number{}", write(number::<u32>(bare))),
            "u8" => format!("a whole number up to 255{}", write(number::<u8>(bare))),
            "u16" => format!("a whole number up to 65535{}", write(number::<u16>(bare))),
            "f64" => format!("a number such as 0.5{}", write(share(bare))),
            "a boolean" => {
                format!("true or false{}", write(matches!(bare, "true" | "false").then(|| bare.to_owned())))
            }
            "a string" | "path string" => {
                let is_scalar = !value.starts_with(['[', '{']);
                format!("a text in quotes{}", write(is_scalar.then(|| format!("\"{bare}\""))))
            }
            "a map" => "a table of keys".to_owned(),
            table if table.starts_with("struct ") => "a table of keys".to_owned(),
            other => other.to_owned(),
        };
        return format!("{what}, expected {words}");
    }
    let hint = match message {
        "invalid socket address syntax" => ": write ADDRESS:PORT, as in 127.0.0.1:53 or [::1]:53",
        _ => "",
    };
    format!("{message}{hint}")
}

/// What stands in quotes and is a number.
fn number<T: std::str::FromStr>(text: &str) -> Option<String> {
    text.parse::<T>().ok().map(|_| text.to_owned())
}

/// A share as a number, where it was given in percent or in quotes.
fn share(text: &str) -> Option<String> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok()? / 100.0,
        None => text.parse::<f64>().ok()?,
    };
    (0.0..=1.0).contains(&share).then(|| share.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    /// What is said of a file, behind its name.
    fn said(text: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("dnsbld.toml");
        std::fs::write(&path, text).expect("written");
        let error = format!("{:#}", Config::from_file(&path).expect_err(text));
        assert_eq!(error.lines().count(), 1, "{error}");
        error.strip_prefix(&*path.display().to_string()).expect("the file first").to_owned()
    }

    #[test]
    fn types_are_told_in_plain_words() {
        for (line, expected) in [
            (
                "listen = \"127.0.0.1:5301\"",
                ":2:10: invalid type: string \"127.0.0.1:5301\", expected a list: write [\"127.0.0.1:5301\"]",
            ),
            ("workers = \"2\"", ":2:11: invalid type: string \"2\", expected a whole number: write 2"),
            ("workers = -2", ":2:11: invalid value: integer `-2`, expected a whole number"),
            (
                "udp-payload = \"1232\"",
                ":2:15: invalid type: string \"1232\", expected a whole number up to 65535: write 1232",
            ),
            ("minimal = \"true\"", ":2:11: invalid type: string \"true\", expected true or false: write true"),
            ("check = 60", ":2:9: invalid type: integer `60`, expected a text in quotes: write \"60\""),
            ("user = 60", ":2:8: invalid type: integer `60`, expected a text in quotes: write \"60\""),
            ("version = -1", ":2:1: `version`: expected a text in quotes, or false: write \"-1\""),
            ("identity = 7", ":2:1: `identity`: expected a text in quotes, or false: write \"7\""),
            ("state = -1", ":2:1: `state`: expected a text in quotes, or false: write \"-1\""),
            ("version = 1.5", ":2:11: invalid type: floating point `1.5`, expected a text in quotes, or false"),
            ("tcp = 5", ":2:7: invalid type: integer `5`, expected a table of keys"),
            (
                "[reload]\nmin-share = \"50%\"",
                ":3:13: invalid type: string \"50%\", expected a number such as 0.5: write 0.5",
            ),
            ("[listings]\nwidest-name = 300", ":3:15: invalid value: integer `300`, expected a whole number up to 255"),
            (
                "listen = [\"localhost\"]",
                ":2:11: invalid socket address syntax: write ADDRESS:PORT, as in 127.0.0.1:53 or [::1]:53",
            ),
        ] {
            assert_eq!(said(&format!("folder = \"zones\"\n{line}\n")), expected, "{line}");
        }
    }

    /// TOML takes what is behind each dot for a table within.
    #[test]
    fn names_without_quotes_are_told() {
        let hint = |name: &str| format!("; a name with dots stands in quotes: [{name}]");
        for (lines, expected) in [
            ("[listings.zones.virbl.tee.gr]\nlifetime = '1h'", Some("listings.zones.\"virbl.tee.gr\"")),
            ("[listings.zones.bl.example]", Some("listings.zones.\"bl.example\"")),
            ("[listings.zones]\nbl.example.lifetime = '1h'", Some("listings.zones.\"bl.example\"")),
            ("[keys.ns1.bl.example]\nzones = ['*']\nsecret = 'x'", Some("keys.\"ns1.bl.example\"")),
            ("[listings.zones.'bl.example']\nlifetme = '1h'", None),
            ("[listings.zones.'bl.example']\nlifetime = { zones = '1h' }", None),
            ("[listing.zones.bl.example]", None),
        ] {
            let said = said(&format!("folder = 'zones'\n{lines}\n"));
            assert!(!said.contains("in quotes:") || expected.is_some(), "{lines}: {said}");
            let is_told = |name: &str| said.contains("unknown field `") && said.ends_with(&hint(name));
            assert!(expected.is_none_or(is_told), "{lines}: {said}");
        }
    }

    #[test]
    fn contradictions_are_told() {
        for (line, expected) in [
            ("listen = []", ":2:1: `listen`: names no address"),
            ("min-ttl = \"2h\"\nmax-ttl = \"30m\"", ":2:1: `min-ttl`: 7200 seconds are more than `max-ttl`, 1800"),
            (
                "ttl = \"1m\"\nmin-ttl = \"5m\"\nmax-ttl=\"1h\"",
                ":2:1: `ttl`: must be 300 to 3600 seconds, by `min-ttl` and `max-ttl`",
            ),
            ("[tcp]\nlifetime = \"0\"", ":3:1: `tcp.lifetime`: must not be 0"),
            ("[tcp]\nidle-close = \"0s\"", ":3:1: `tcp.idle-close`: must not be 0"),
            ("[tcp]\nmax-connections = 0", ":3:1: `tcp.max-connections`: must not be 0"),
            ("[tcp]\nmax-connections-per-client = 0", ":3:1: `tcp.max-connections-per-client`: must not be 0"),
            ("[tcp]\nmax-queries = 0", ":3:1: `tcp.max-queries`: must not be 0"),
            (
                "[listings]\nlifetime = \"2h\"\nlongest = \"1h\"",
                ":3:1: `listings.lifetime`: 7200 seconds are more than `longest`, 3600",
            ),
            (
                "[listings]\nlongest = \"1h\"\n[listings.zones.\"a.b\"]\nlifetime = \"1d\"",
                ":5:1: `listings.zones.\"a.b\".lifetime`: 86400",
            ),
        ] {
            let said = said(&format!("folder = \"zones\"\n{line}\n"));
            assert!(said.starts_with(expected), "{line}: {said}");
        }
    }

    #[test]
    fn what_is_meant_is_told_with_its_place() {
        for (line, expected) in [
            ("http = 9153", ":2:1: `http`: \"9153\" is not ADDRESS:PORT, as in 127.0.0.1:9153"),
            ("http = \"::1\"", ":2:1: `http`: \"::1\" is not ADDRESS:PORT, as in [::1]:53"),
            ("http = \"off\"", ":2:1: `http`: \"off\" is no address: write false, without quotes, for no HTTP"),
            ("state = \"off\"", ":2:1: `state`: \"off\" is no folder: write false, without quotes, for none"),
            ("state = \"\"", ":2:1: `state`: is empty: name a path, or leave the key out"),
            ("chroot = \"\"", ":2:1: `chroot`: is empty: "),
            ("workdir = \"\"", ":2:1: `workdir`: is empty: "),
            ("chroot = \"/\"\nworkdir = \"\"", ":3:1: `workdir`: is empty: "),
            ("pidfile = \"\"", ":2:1: `pidfile`: is empty: "),
            (
                "[keys.k]\nzones = [\"a.b\"]\nsecret-file = \"\"",
                ":4:1: `keys.k.secret-file`: is empty: name a path, or leave the key out",
            ),
            ("[tokens.t]\nzones = [\"*\"]\nfile = \"\"", ":4:1: `tokens.t.file`: is empty: "),
            ("workdir = \"nowhere\"", ":2:1: `workdir`: there is no such folder"),
            (
                "[reload]\nnever-list = [\"192.0.2.1/24\"]",
                ":3:1: `reload.never-list`: `192.0.2.1/24` has bits set beyond its prefix",
            ),
            ("workers = 0", ":2:1: `workers`: 0 must be 1 to 256"),
            ("  udp-payload = 99", ":2:3: `udp-payload`: 99 must be 512 to 4096 octets"),
            ("check = \"soon\"", ":2:1: `check`: \"soon\" is not a time such as 90s, 35m or 1h"),
            ("cookie-secret = \"00\"", ":2:1: `cookie-secret`: must be 32 hexadecimal digits"),
            (
                "user = \"nosuch\"",
                ":2:1: `user`: unknown user `nosuch': create it (adduser --system nosuch) or name another",
            ),
            ("user = \"root\"", ":2:1: `user`: the server should not run as root: name another user"),
            ("zones = [\"a:b\"]", ":2:1: `zones`: both `folder` and `zones` are given: keep one of them"),
            ("[reload]\nmin-share = 50", ":3:1: `reload.min-share`: must be 0 to 1"),
            ("[tcp]\nlifetime = \"x\"", ":3:1: `tcp.lifetime`: \"x\" is not a time"),
            ("tcp.lifetime = \"x\"", ":2:5: `tcp.lifetime`: \"x\" is not a time"),
            ("[listings]\nexclusion = \"0\"", ":3:1: `listings.exclusion`: must not be 0"),
            (
                "[listings.zones.\"a.b\"]\n\nescalate = [\"x\"]",
                ":4:1: `listings.zones.\"a.b\".escalate`: \"x\" is not a time",
            ),
            ("[listings.zones.\"a..b\"]", ":2:17: `listings.zones.\"a..b\"`: "),
            ("[keys.k]\nzones = []\nsecret = \"MDEyMzQ1Njc4OWFiY2RlZg==\"", ":3:1: `keys.k.zones`: is empty"),
            ("[keys.k]\nzones = []", ":2:7: `keys.k`: give either `secret-file` or `secret`"),
            ("[tokens.t]\nzones = [\"*\"]\nfile = \"none\"", ":4:1: `tokens.t.file`: cannot read "),
        ] {
            let said = said(&format!("folder = \"zones\"\n{line}\n"));
            assert!(said.starts_with(expected), "{line}: {said}");
        }
        assert!(said("zones = []\n").starts_with(":1:1: `zones`: is empty: say what to serve"));
        assert!(said("\nfolder = \"\"\n").starts_with(":2:1: `folder`: is empty: name a path"));
        let said = said("\nzones = [\"a:b\"]\n");
        assert!(said.starts_with(":2:1: `zones`: zone specification `a:b`: expected ZONE:TYPE:FILE"), "{said}");
    }
}
