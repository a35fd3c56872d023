//! The doors for changing live listings by message, as the file describes them: keys, tokens, datagrams. All are shut unless
//! the file opens them, but for one token that may come in the environment.

use std::{
    collections::{BTreeMap, HashSet},
    env, fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::Deserialize;

use super::{Odd, path_in, place::AtKey as _};
use crate::{
    control::{
        permit::{SECRET_MIN_LEN, Scope, Tokens, read_secret, unknown_algorithm},
        tsig::{Algorithm, Key},
        update::{Keys, Permit},
    },
    live::{listings::StoreError, start_file::ReadFile},
    wire::name::Name,
};

/// The environment variable of a token for all zones.
const TOKEN_VARIABLE: &str = "DNSBLD_TOKEN";

/// What is said of tokens where nobody can come with one.
pub const TOKENS_WITHOUT_HTTP: &str = "tokens are configured, but HTTP is off: see `http`";

/// What is said of doors behind which is nothing.
pub fn doors_to_nothing(why: &StoreError) -> String {
    format!("keys, tokens or datagrams are configured, and nothing can be changed by them: {why}")
}

/// Why there is no store where there is no folder for it.
pub fn no_state() -> StoreError {
    StoreError::Closed("no state folder is configured (see `state` or --state)".to_owned())
}

/// Who may come in, by which way.
#[derive(Clone, Debug, Default)]
pub struct Doors {
    /// For DNS UPDATE.
    pub keys: Keys,
    /// For HTTP.
    pub tokens: Tokens,
    /// For rspamd's datagrams.
    pub datagrams: Option<Datagrams>,
    /// The files that keys and tokens were read from.
    pub(super) files: Vec<ReadFile>,
}

/// Where datagrams are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagrams {
    /// The socket.
    pub socket: DatagramSocket,
    /// What they may change.
    pub scope: Scope,
}

/// A socket for datagrams. Nobody signs those, so it is one that strangers cannot reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatagramSocket {
    /// UDP on a loopback address.
    Udp(SocketAddr),
    /// A path; permissions decide.
    Unix {
        /// The path.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

impl fmt::Display for DatagramSocket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => address.fmt(out),
            Self::Unix { path, .. } => path.display().fmt(out),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct KeySpec {
    algorithm: Option<String>,
    secret: Option<String>,
    secret_file: Option<PathBuf>,
    zones: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct TokenSpec {
    file: Option<PathBuf>,
    variable: Option<String>,
    zones: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct DatagramsSpec {
    listen: String,
    mode: Option<String>,
    zones: Vec<String>,
}

/// The zones that each door opens, with the keys that say so.
pub(super) fn scopes<'a>(
    keys: &'a BTreeMap<String, KeySpec>,
    tokens: &'a BTreeMap<String, TokenSpec>,
    datagrams: Option<&'a DatagramsSpec>,
) -> Vec<(Vec<String>, &'a [String])> {
    let path = |table: &str, name: &str| vec![table.to_owned(), name.to_owned(), "zones".to_owned()];
    let keys = keys.iter().map(|(name, spec)| (path("keys", name), &*spec.zones));
    let tokens = tokens.iter().map(|(name, spec)| (path("tokens", name), &*spec.zones));
    let datagrams = datagrams.map(|spec| (vec!["datagrams".to_owned(), "zones".to_owned()], &*spec.zones));
    keys.chain(tokens).chain(datagrams).collect()
}

impl Doors {
    /// What the file says, and the environment; and the secrets that are not here, of those that only a unit has.
    pub(super) fn open(
        keys: BTreeMap<String, KeySpec>,
        tokens: BTreeMap<String, TokenSpec>,
        datagrams: Option<DatagramsSpec>,
        beside: &Path,
    ) -> anyhow::Result<(Self, Odd)> {
        let (mut doors, mut absent) = (Self::default(), Odd::new());
        let mut files = Files { beside, read: Vec::new() };
        // Names of keys are domain names, so case does not tell them apart, and one would have the zones of the other.
        let mut names = HashSet::new();
        for name in keys.keys() {
            let is_new = names.insert(Name::parse(name.as_bytes()).at_key(name).at_key("keys")?).then_some(());
            is_new.context("two keys have this name, in whatever case: rename one").at_key(name).at_key("keys")?;
        }
        let mut permits = Vec::new();
        for (name, spec) in keys {
            match spec.open(&name, &mut files).at_key(&name).at_key("keys")? {
                Ok(permit) => permits.push(permit),
                Err(why) => absent.push((["keys", &name, "secret-file"].map(str::to_owned).into(), why)),
            }
        }
        doors.keys = Keys::new(permits);
        for (name, spec) in tokens {
            let key = if spec.file.is_some() { "file" } else { "variable" };
            let (secret, scope) = match spec.open(&mut files).at_key(&name).at_key("tokens")? {
                Ok(opened) => opened,
                Err(why) => {
                    absent.push((["tokens", &name, key].map(str::to_owned).into(), why));
                    continue;
                }
            };
            doors.admit(&name, &secret, scope).at_key(&name).at_key("tokens")?;
        }
        doors.files = files.read;
        doors.datagrams = datagrams.map(|spec| spec.open(beside)).transpose().at_key("datagrams")?;
        Ok((doors, absent))
    }

    /// Adds a token. Of two that are one nobody could tell which is meant, and for which zones.
    fn admit(&mut self, name: &str, secret: &str, scope: Scope) -> anyhow::Result<()> {
        if let Some((other, _)) = self.tokens.holder(secret) {
            anyhow::bail!("has the same token as `{other}`: give each its own");
        }
        self.tokens.add(name.to_owned(), secret, scope);
        Ok(())
    }

    /// Whether anybody may come in by any of them.
    pub fn is_any(&self) -> bool {
        !self.keys.is_empty() || !self.tokens.is_empty() || self.datagrams.is_some()
    }

    /// Adds the token that the environment has, if it has one.
    ///
    /// # Errors
    /// When it is too easily guessed, or is a token of the file, which may be for fewer zones.
    pub fn heed_environment(&mut self) -> anyhow::Result<()> {
        let Ok(text) = env::var(TOKEN_VARIABLE) else { return Ok(()) };
        token(&text).and_then(|secret| self.admit("environment", secret, Scope::All)).context(TOKEN_VARIABLE)
    }
}

/// What opens a door, or why its secret is not here: systemd hands credentials and variables to a unit alone, so that whoever
/// checks the file for it has none of them.
type Unless<T> = Result<T, String>;

impl KeySpec {
    fn open(self, name: &str, files: &mut Files<'_>) -> anyhow::Result<Unless<Permit>> {
        let text = match (self.secret, self.secret_file) {
            (Some(secret), None) => Ok(secret),
            (None, Some(file)) => files.read(&file).at_key("secret-file")?,
            _ => anyhow::bail!("give either `secret-file` or `secret`"),
        };
        let given = self.algorithm.map(|text| Algorithm::named(&text).ok_or_else(|| unknown_algorithm(&text)));
        let given = given.transpose().map_err(anyhow::Error::msg)?;
        let scope = scope(&self.zones).at_key("zones")?;
        let text = match text {
            Ok(text) => text,
            Err(why) => return Ok(Err(why)),
        };
        let read = read_secret(&text).map_err(anyhow::Error::msg)?;
        let key_name = Name::parse(name.as_bytes())?;
        if let Some(other) = &read.name {
            anyhow::ensure!(
                Name::parse(other.as_bytes()).ok().as_ref() == Some(&key_name),
                "the file is of key `{other}`"
            );
        }
        let algorithm = match (given, read.algorithm) {
            (Some(given), Some(read)) if given != read => anyhow::bail!("the file says algorithm {}", read.name()),
            (given, read) => given.or(read).unwrap_or(Algorithm::HmacSha256),
        };
        Ok(Ok(Permit { key: Key { name: key_name, algorithm, secret: read.octets }, scope }))
    }
}

impl TokenSpec {
    fn open(self, files: &mut Files<'_>) -> anyhow::Result<Unless<(String, Scope)>> {
        let text = match (self.file, self.variable) {
            (Some(file), None) => files.read(&file).at_key("file")?,
            (None, Some(variable)) => match env::var(&variable) {
                Err(error @ env::VarError::NotPresent) => Err(format!("environment variable {variable}: {error}")),
                text => Ok(text.with_context(|| format!("environment variable {variable}"))?),
            },
            _ => anyhow::bail!("give either `file` or `variable`"),
        };
        let scope = scope(&self.zones).at_key("zones")?;
        Ok(match text {
            Ok(text) => Ok((token(&text)?.to_owned(), scope)),
            Err(why) => Err(why),
        })
    }
}

impl DatagramsSpec {
    fn open(self, beside: &Path) -> anyhow::Result<Datagrams> {
        const DEFAULT_MODE: u32 = 0o660;
        let mode = self.mode.as_deref().map(|text| {
            u32::from_str_radix(text, 8)
                .ok()
                .filter(|&mode| mode <= 0o777)
                .with_context(|| format!("{text:?}: expected permissions such as \"0660\""))
        });
        let mode = mode.transpose().at_key("mode")?;
        let socket = if let Ok(address) = self.listen.parse::<SocketAddr>() {
            anyhow::ensure!(
                address.ip().to_canonical().is_loopback(),
                "`listen` = {address}: datagrams are not signed, so only a loopback address or a path will do"
            );
            anyhow::ensure!(mode.is_none(), "`mode` is for a path");
            DatagramSocket::Udp(address)
        } else {
            anyhow::ensure!(
                self.listen.contains('/'),
                "`listen` = {:?}: expected an address such as 127.0.0.1:5392, or a path with a slash, as ./updates",
                self.listen
            );
            DatagramSocket::Unix { path: beside.join(self.listen), mode: mode.unwrap_or(DEFAULT_MODE) }
        };
        Ok(Datagrams { socket, scope: scope(&self.zones).at_key("zones")? })
    }
}

fn scope(zones: &[String]) -> anyhow::Result<Scope> {
    if zones.iter().any(|zone| zone == "*") {
        anyhow::ensure!(zones.len() == 1, "names every zone (\"*\") and others besides");
        return Ok(Scope::All);
    }
    anyhow::ensure!(!zones.is_empty(), "is empty: name the zones that may be changed, or \"*\" for all");
    let parse = |zone: &String| Name::parse(zone.as_bytes()).with_context(|| format!("zone {zone:?}"));
    zones.iter().map(parse).collect::<anyhow::Result<_>>().map(Scope::Zones)
}

fn token(text: &str) -> anyhow::Result<&str> {
    let text = text.trim();
    anyhow::ensure!(
        text.len() >= SECRET_MIN_LEN && text.bytes().all(|octet| octet.is_ascii_graphic()),
        "a token has {SECRET_MIN_LEN} visible ASCII characters or more; `openssl rand -hex 32` makes a good one"
    );
    Ok(text)
}

/// Where systemd puts what `LoadCredential=` and the like name, for as long as the unit runs, and for its user alone.
const CREDENTIALS: &str = "/run/credentials";

/// Files with secrets, as they are read.
struct Files<'b> {
    beside: &'b Path,
    read: Vec<ReadFile>,
}

impl Files<'_> {
    fn read(&mut self, file: &Path) -> anyhow::Result<Unless<String>> {
        let path = path_in(self.beside, file)?;
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                self.read.extend(ReadFile::new(&path, &text));
                Ok(Ok(text))
            }
            Err(error) => {
                let is_out_of_reach = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied);
                let why = format!("cannot read {}: {error}", path.display());
                if path.starts_with(CREDENTIALS) && is_out_of_reach {
                    Ok(Err(why))
                } else {
                    Err(anyhow::Error::msg(why))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Tables {
        #[serde(default)]
        keys: BTreeMap<String, KeySpec>,
        #[serde(default)]
        tokens: BTreeMap<String, TokenSpec>,
        datagrams: Option<DatagramsSpec>,
    }

    fn open(text: &str, beside: &Path) -> anyhow::Result<Doors> {
        let Tables { keys, tokens, datagrams } = toml::from_str(text)?;
        Ok(Doors::open(keys, tokens, datagrams, beside)?.0)
    }

    /// The sample file is the manual: what it shows of doors opens them, and it shows all that can be said.
    #[test]
    fn the_sample_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = "key \"fail2ban\" {\n\talgorithm hmac-sha256;\n\tsecret \"MDEyMzQ1Njc4OWFiY2RlZg==\";\n};\n";
        std::fs::write(folder.path().join("fail2ban.key"), key).expect("a file written");
        std::fs::write(folder.path().join("scanner.token"), "0123456789abcdef\n").expect("a file written");
        let sample = include_str!("../../deploy/dnsbld.toml").split("# The doors").nth(1).expect("the part of doors");
        let shown: Vec<&str> = sample.lines().filter_map(|line| line.strip_prefix("#   ")).collect();
        let doors = open(&shown.join("\n"), folder.path()).expect("valid");
        let zone = Name::parse(b"virbl.example.org").expect("a name");
        assert!(!doors.keys.is_empty());
        assert!(
            doors
                .tokens
                .holder("0123456789abcdef")
                .is_some_and(|(name, scope)| name == "scanner" && *scope == Scope::All)
        );
        let address = "127.0.0.1:5392".parse().expect("an address");
        let datagrams = Datagrams { socket: DatagramSocket::Udp(address), scope: Scope::Zones(vec![zone]) };
        assert_eq!(doors.datagrams, Some(datagrams));
        for field in ["secret", "secret-file", "algorithm", "zones", "file", "variable", "listen", "mode"] {
            assert!(shown.iter().any(|line| line.contains(&format!("{field} = "))), "{field} is not shown");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("short"), "0123").expect("a file written");
        std::fs::write(folder.path().join("other"), "key b { secret MDEyMzQ1Njc4OWFiY2RlZg==; };").expect("written");
        let mistake = |text: &str| match open(text, folder.path()) {
            Ok(_) => panic!("{text}"),
            Err(error) => format!("{error:#}"),
        };
        let secret = "secret = 'MDEyMzQ1Njc4OWFiY2RlZg=='";
        assert!(mistake("[keys.a]\nzones = ['x']").contains("`keys.a`: give either"));
        assert!(mistake(&format!("[keys.a]\n{secret}\nzones = []")).contains("\"*\" for all"));
        assert!(mistake(&format!("[keys.a]\n{secret}\nzones = ['*', 'x']")).contains("every zone"));
        assert!(mistake(&format!("[keys.a]\n{secret}\nalgorithm = 'hmac-md5'\nzones = ['*']")).contains("hmac-sha512"));
        let both = format!("[keys.a]\n{secret}\nzones = ['x']\n[keys.A]\n{secret}\nzones = ['y']");
        assert!(mistake(&both).contains("`keys.a`: two keys have this name"));
        assert!(mistake("[keys.a]\nsecret-file = 'other'\nzones = ['*']").contains("of key `b`"));
        assert!(mistake("[keys.a]\nsecret-file = 'missing'\nzones = ['*']").contains("cannot read"));
        assert!(mistake("[tokens.a]\nfile = 'short'\nzones = ['*']").contains("16 visible"));
        assert!(mistake("[tokens.a]\nzones = ['*']").contains("`tokens.a`: give either"));
        std::fs::write(folder.path().join("good"), "0123456789abcdef\n").expect("a file written");
        std::fs::write(folder.path().join("same"), "0123456789abcdef").expect("a file written");
        let both = "[tokens.a]\nfile = 'good'\nzones = ['x']\n[tokens.b]\nfile = 'same'\nzones = ['y']";
        assert!(mistake(both).contains("`tokens.b`: has the same token as `a`: give each its own"));
        assert!(mistake("[datagrams]\nlisten = '192.0.2.1:5392'\nzones = ['*']").contains("loopback"));
        assert!(mistake("[datagrams]\nlisten = 'localhost'\nzones = ['*']").contains("or a path with a slash, as ./"));
        assert!(mistake("[datagrams]\nlisten = '/x'\nmode = '888'\nzones = ['*']").contains("0660"));
        let unix = open("[datagrams]\nlisten = 'run/updates'\nzones = ['*']", Path::new("/srv")).expect("valid");
        let socket = DatagramSocket::Unix { path: "/srv/run/updates".into(), mode: 0o660 };
        assert_eq!(unix.datagrams.map(|datagrams| datagrams.socket), Some(socket));
    }
}
