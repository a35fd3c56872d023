//! What the server is told: a validated [`Config`], and the file that may fill it.
//!
//! Command lines and the file end in the same [`Config`], so that nothing below knows where a setting came from. The file is
//! TOML; a key that is not known is an error, with its place.

mod addresses;
mod doors;
mod listings;
mod paths;
mod place;
mod reload;
mod switchable;
mod tcp;
mod user;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fmt,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

pub use addresses::with_ipv4;
use anyhow::Context as _;
pub use doors::{DatagramSocket, Datagrams, Doors, TOKENS_WITHOUT_HTTP, doors_to_nothing, no_state};
use doors::{DatagramsSpec, KeySpec, TokenSpec};
pub use listings::ListingsConfig;
use listings::ListingsSpec;
use place::{AtKey as _, misread, mistaken};
use reload::ReloadSpec;
use serde::Deserialize;
use switchable::{Switchable, http_address, not_off, switch};
use tcp::TcpSpec;
pub use user::find_user;

use crate::{
    answer::DEFAULT_UDP_PAYLOAD_LEN,
    live::{
        clock,
        kept::DEFAULT_MAX_BYTES,
        refusal::ReloadRules,
        start_file::StartFile,
        zones::{NamedZone, ZoneSource, ZoneSpec, check},
    },
    load::{Options, TTL_MAX_S},
    net::Limits,
    wire::name::Name,
};

/// Where the server listens unless told otherwise: no privileges, and only this machine.
pub const DEFAULT_LISTEN: [&str; 2] = ["127.0.0.1:5300", "[::1]:5300"];
/// Where metrics are served unless told otherwise.
pub const DEFAULT_HTTP: &str = "127.0.0.1:9153";
/// How often files are looked at even if nothing is heard of them.
pub const DEFAULT_CHECK: Duration = Duration::from_secs(60);

/// Where a served folder keeps the server's state unless told otherwise: names that begin with a dot are no zones.
pub const STATE_IN_ZONES: &str = ".dnsbld";

/// Everything that the server is told, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to answer on.
    pub listen: Vec<SocketAddr>,
    /// The addresses are the defaults: one whose family this machine lacks may be missing.
    pub listens_by_default: bool,
    /// Address of the metrics.
    pub http: Option<SocketAddr>,
    /// Interfaces that requests are taken from directly.
    pub xdp: Vec<String>,
    /// UDP workers for each address.
    pub udp_workers: usize,
    /// Bind each worker to a core.
    pub pin_workers: bool,
    /// What is to be served.
    pub zones: ZoneSource,
    /// What holds for all files.
    pub load: Options,
    /// How often files are looked at; `None` leaves it to signals.
    pub check: Option<Duration>,
    /// Largest reply over UDP, in octets.
    pub udp_payload_len: u16,
    /// Leave the name servers out of answers that do not ask for them.
    pub minimal: bool,
    /// What `version.bind` is told.
    pub version: Option<String>,
    /// What `id.server` and NSID are told.
    pub identity: Option<String>,
    /// The secret of DNS cookies; servers behind one address share it.
    pub cookie_secret: Option<[u8; 16]>,
    /// Limits of TCP.
    pub tcp: Limits,
    /// When a reload is refused.
    pub rules: ReloadRules,
    /// Where the control socket and last good versions are; `None` does without.
    pub state: Option<PathBuf>,
    /// Most octets of a dataset of which the last good version is kept.
    pub kept_max_bytes: u64,
    /// What may be listed by command.
    pub listings: ListingsConfig,
    /// Who may change live listings by message.
    pub doors: Doors,
    /// Whom to run as, where, and who is told.
    pub process: Process,
    /// Zones that rules, keys and the like are for, with their places in the file.
    pub named_zones: Vec<NamedZone>,
    /// What is odd, with its place in the file.
    pub oddities: Vec<Oddity>,
    /// Secrets that are not here, with the keys that name them: of those that systemd hands to a running unit alone.
    pub absent_secrets: Vec<Oddity>,
    /// Doors in the file that it shuts again. The command line may open them: what a server does is said by itself.
    pub shut_doors: Vec<Oddity>,
    /// What keeps a server from starting, as far as it can be seen before. The command line may do away with it, too.
    pub hindrances: Vec<Oddity>,
    /// What may do so, if it is not mended by then.
    pub doubts: Vec<Oddity>,
    /// That file, if there is one.
    pub file: Option<StartFile>,
}

/// Something in the file that does less than it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oddity {
    /// Where: file, line, column, key.
    pub place: String,
    /// What.
    pub text: String,
}

/// The same, with the keys that it is about.
type Odd = Vec<(Vec<String>, String)>;

/// The process itself.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// `user[:group]` to become after the sockets are bound.
    pub user: Option<String>,
    /// Folder to be confined to.
    pub chroot: Option<PathBuf>,
    /// Folder to work in.
    pub workdir: Option<PathBuf>,
    /// File for the process id.
    pub pidfile: Option<PathBuf>,
}

impl Config {
    /// The defaults, serving what `zones` names.
    ///
    /// # Panics
    /// Never: the default addresses are addresses.
    pub fn serving(zones: ZoneSource) -> Self {
        let state = state_directory().or_else(|| match &zones {
            ZoneSource::Folder(folder) => Some(folder.join(STATE_IN_ZONES)),
            ZoneSource::Specs(_) => None,
        });
        Self {
            listen: DEFAULT_LISTEN.iter().map(|address| address.parse().expect("an address")).collect(),
            listens_by_default: true,
            http: DEFAULT_HTTP.parse().ok(),
            xdp: Vec::new(),
            udp_workers: std::thread::available_parallelism().map_or(1, usize::from),
            pin_workers: false,
            zones,
            load: Options::default(),
            check: Some(DEFAULT_CHECK),
            udp_payload_len: DEFAULT_UDP_PAYLOAD_LEN,
            minimal: false,
            version: Some(concat!("dnsbld ", env!("CARGO_PKG_VERSION")).to_owned()),
            identity: host_name(),
            cookie_secret: None,
            tcp: Limits::default(),
            rules: ReloadRules::default(),
            state,
            kept_max_bytes: DEFAULT_MAX_BYTES,
            listings: ListingsConfig::default(),
            doors: Doors::default(),
            process: Process::default(),
            named_zones: Vec::new(),
            oddities: Vec::new(),
            absent_secrets: Vec::new(),
            shut_doors: Vec::new(),
            hindrances: Vec::new(),
            doubts: Vec::new(),
            file: None,
        }
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// When it cannot be read or understood; the message names the place and what was expected.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        anyhow::ensure!(!path.is_dir(), "{}: a folder, and no configuration file", path.display());
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let spec: Spec = toml::from_str(&text).map_err(|error| misread(path, &text, &error))?;
        let (named, is_stateless) = (spec.named_zones(), matches!(spec.state, Some(Switchable::Switch(false))));
        let mut beside = path.parent().unwrap_or(Path::new("")).to_owned();
        if spec.workdir.is_some() && spec.chroot.is_none() {
            // What is beside the file is to be found from there, too.
            beside = std::path::absolute(path)?.with_file_name("");
        }
        let config = spec.validate(&beside);
        let config = config.and_then(|(mut config, odd, absent)| {
            let placed =
                |(keys, zone): (Vec<String>, Name)| NamedZone { place: place::place(path, &text, &keys), zone };
            config.named_zones = named.into_iter().map(placed).collect();
            let placed = |odd: Odd| -> Vec<Oddity> {
                let placed =
                    |(keys, what): (Vec<String>, _)| Oddity { place: place::place(path, &text, &keys), text: what };
                odd.into_iter().map(placed).collect()
            };
            config.shut_doors = placed(shut_doors(&config, is_stateless));
            config.oddities = placed(odd);
            config.absent_secrets = placed(absent);
            let (obstacles, doubts) = paths::obstacles(&config);
            config.hindrances = placed([addresses::collisions(&config), obstacles].concat());
            config.doubts = placed(doubts);
            config.file = StartFile::new(path, &text, std::mem::take(&mut config.doors.files));
            config.process.user.as_deref().map(find_user).transpose().at_key("user")?;
            let Process { chroot, workdir, .. } = &config.process;
            let workdir = workdir.as_ref().filter(|_| chroot.is_none());
            for (folder, key) in [(chroot.as_ref(), "chroot"), (workdir, "workdir")] {
                let is_there = folder.is_none_or(|folder| folder.is_dir()).then_some(());
                is_there.context("there is no such folder").at_key(key)?;
            }
            Ok(config)
        });
        config.map_err(|error| mistaken(path, &text, error))
    }

    /// Whoever serves needs every secret: a door that stays shut without a word is no door.
    ///
    /// # Errors
    /// Names the first that is not here.
    pub fn demand_secrets(&self) -> anyhow::Result<()> {
        self.absent_secrets.first().map_or(Ok(()), |Oddity { place, text }| Err(anyhow::anyhow!("{place}: {text}")))
    }
}

/// What opens doors to nothing.
fn shut_doors(config: &Config, is_stateless: bool) -> Odd {
    let mut shut = Odd::new();
    if is_stateless && config.doors.is_any() {
        shut.push((vec!["state".to_owned()], doors_to_nothing(&no_state())));
    }
    if config.http.is_none() && !config.doors.tokens.is_empty() {
        shut.push((vec!["http".to_owned()], TOKENS_WITHOUT_HTTP.to_owned()));
    }
    shut
}

/// The state folder that systemd has made; of several, the first.
pub fn state_directory() -> Option<PathBuf> {
    let folders = std::env::var_os("STATE_DIRECTORY")?;
    let first = folders.as_bytes().split(|&octet| octet == b':').next()?;
    (!first.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(first)))
}

fn host_name() -> Option<String> {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).filter(|name| !name.is_empty())
}

/// The file as it is written. Every key may be left out; see `deploy/dnsbld.toml` for what each means.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Spec {
    listen: Option<Vec<SocketAddr>>,
    http: Option<Switchable>,
    xdp: Option<Vec<String>>,
    workers: Option<usize>,
    pin_workers: Option<bool>,
    folder: Option<PathBuf>,
    zones: Option<Vec<String>>,
    check: Option<String>,
    ttl: Option<String>,
    min_ttl: Option<String>,
    max_ttl: Option<String>,
    allow_host_bits: Option<bool>,
    udp_payload: Option<u16>,
    minimal: Option<bool>,
    version: Option<Switchable>,
    identity: Option<Switchable>,
    cookie_secret: Option<String>,
    user: Option<String>,
    chroot: Option<PathBuf>,
    workdir: Option<PathBuf>,
    pidfile: Option<PathBuf>,
    state: Option<Switchable>,
    #[serde(default)]
    tcp: TcpSpec,
    #[serde(default)]
    reload: ReloadSpec,
    #[serde(default)]
    listings: ListingsSpec,
    #[serde(default)]
    keys: BTreeMap<String, KeySpec>,
    #[serde(default)]
    tokens: BTreeMap<String, TokenSpec>,
    datagrams: Option<DatagramsSpec>,
}

/// A year: whoever wants it longer wants none.
const CHECK_MAX_S: u64 = 366 * 86_400;

/// What a folder or specifications are to be served from.
fn zone_source(folder: Option<&Path>, zones: Option<&[String]>, beside: &Path) -> anyhow::Result<ZoneSource> {
    match (folder, zones) {
        (Some(folder), None | Some([])) => Ok(ZoneSource::Folder(path_in(beside, folder).at_key("folder")?)),
        (None, Some(zones)) => specifications(zones, beside).at_key("zones").map(ZoneSource::Specs),
        (Some(_), Some(_)) => {
            Err(anyhow::Error::msg("both `folder` and `zones` are given: keep one of them")).at_key("zones")
        }
        (None, None) => anyhow::bail!("neither `folder` nor `zones` is given: say what to serve"),
    }
}

fn specifications(zones: &[String], beside: &Path) -> anyhow::Result<Vec<ZoneSpec>> {
    anyhow::ensure!(!zones.is_empty(), "is empty: say what to serve");
    let mut specs = zones.iter().map(|text| ZoneSpec::parse(text)).collect::<Result<Vec<_>, _>>()?;
    check(&specs)?;
    for file in specs.iter_mut().flat_map(|spec| &mut spec.dataset.files) {
        *file = beside.join(&*file);
    }
    Ok(specs)
}

impl Spec {
    /// The zones that are named besides those that are to be served, with the keys that name them.
    fn named_zones(&self) -> Vec<(Vec<String>, Name)> {
        let mut named = self.listings.named_zones();
        let scopes = doors::scopes(&self.keys, &self.tokens, self.datagrams.as_ref());
        named.extend(scopes.into_iter().flat_map(|(keys, zones)| {
            // A door may open every zone.
            let zones = zones.iter().filter(|zone| *zone != "*");
            zones.map(move |zone| (keys.clone(), zone))
        }));
        let read = |(keys, zone): (Vec<String>, &String)| Some((keys, Name::parse(zone.as_bytes()).ok()?));
        named.into_iter().filter_map(read).collect()
    }

    /// The configuration, what is odd about it, and the secrets that are not here.
    fn validate(self, beside: &Path) -> anyhow::Result<(Config, Odd, Odd)> {
        let mut config = Config::serving(zone_source(self.folder.as_deref(), self.zones.as_deref(), beside)?);
        config.listens_by_default = self.listen.is_none();
        set(&mut config.listen, self.listen.as_deref().map(with_ipv4));
        let is_any = (!config.listen.is_empty()).then_some(());
        is_any
            .context("names no address, so nobody could ask: leave the key out for the usual ones")
            .at_key("listen")?;
        set(&mut config.xdp, self.xdp);
        set(&mut config.udp_workers, self.workers);
        within(config.udp_workers, &(1..=256), "").at_key("workers")?;
        set(&mut config.pin_workers, self.pin_workers);
        set(&mut config.minimal, self.minimal);
        set(&mut config.load.allow_host_bits, self.allow_host_bits);
        if let Some(http) = self.http {
            config.http = http_address(&http).at_key("http")?;
        }
        if let Some(length) = self.udp_payload {
            within(length, &(512..=4096), " octets").at_key("udp-payload")?;
            config.udp_payload_len = length;
        }
        if let Some(text) = self.check {
            let check = duration(&text).at_key("check")?;
            within(check.as_secs(), &(0..=CHECK_MAX_S), " seconds").at_key("check")?;
            config.check = (!check.is_zero()).then_some(check);
        }
        read_ttls(&mut config.load, [self.ttl, self.min_ttl, self.max_ttl])?;
        switch(&mut config.version, self.version, Ok).at_key("version")?;
        switch(&mut config.identity, self.identity, Ok).at_key("identity")?;
        config.cookie_secret = self.cookie_secret.as_deref().map(secret).transpose().at_key("cookie-secret")?;
        let mut oddities = self.tcp.apply(&mut config.tcp).at_key("tcp")?;
        self.reload.apply(&mut config.rules, &mut config.kept_max_bytes).at_key("reload")?;
        oddities.extend(self.listings.apply(&mut config.listings).at_key("listings")?);
        let folder = |text: String| path_in(beside, not_off(&text, "folder: write false, without quotes, for none")?);
        switch(&mut config.state, self.state, folder).at_key("state")?;
        let (doors, absent) = Doors::open(self.keys, self.tokens, self.datagrams, beside)?;
        config.doors = doors;
        let read = |path: Option<PathBuf>, beside: &Path, key: &str| {
            path.map(|path| path_in(beside, path)).transpose().at_key(key)
        };
        // What is within a chroot is found there.
        let workdir = read(self.workdir, if self.chroot.is_some() { Path::new("") } else { beside }, "workdir")?;
        let (chroot, pidfile) = (read(self.chroot, beside, "chroot")?, read(self.pidfile, beside, "pidfile")?);
        config.process = Process { user: self.user, chroot, workdir, pidfile };
        Ok((config, oddities, absent))
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn within<T: Copy + PartialOrd + fmt::Display>(value: T, range: &RangeInclusive<T>, unit: &str) -> anyhow::Result<()> {
    anyhow::ensure!(range.contains(&value), "{value} must be {} to {}{unit}", range.start(), range.end());
    Ok(())
}

/// Where a path of the file leads. An empty one would be the folder that it is in.
fn path_in(beside: &Path, path: impl AsRef<Path>) -> anyhow::Result<PathBuf> {
    let path = path.as_ref();
    anyhow::ensure!(!path.as_os_str().is_empty(), "is empty: name a path, or leave the key out");
    Ok(beside.join(path))
}

/// Reads `ttl`, `min-ttl` and `max-ttl`, which must not contradict each other.
fn read_ttls(options: &mut Options, [default, min, max]: [Option<String>; 3]) -> anyhow::Result<()> {
    let read = |text: Option<&String>, key| text.map(|text| ttl(text)).transpose().at_key(key);
    set(&mut options.min_ttl_s, read(min.as_ref(), "min-ttl")?);
    set(&mut options.max_ttl_s, read(max.as_ref(), "max-ttl")?);
    let (min_s, max_s) = (options.min_ttl_s, if options.max_ttl_s > 0 { options.max_ttl_s } else { TTL_MAX_S });
    let is_range = (min_s <= max_s).then_some(());
    is_range.with_context(|| format!("{min_s} seconds are more than `max-ttl`, {max_s}")).at_key("min-ttl")?;
    let default_s = read(default.as_ref(), "ttl")?;
    let is_within = default_s.is_none_or(|ttl_s| (min_s..=max_s).contains(&ttl_s)).then_some(());
    is_within
        .with_context(|| format!("must be {min_s} to {max_s} seconds, by `min-ttl` and `max-ttl`"))
        .at_key("ttl")?;
    // What was not said bends to the limits.
    options.default_ttl_s = default_s.unwrap_or(options.default_ttl_s.clamp(min_s, max_s));
    Ok(())
}

fn ttl(text: &str) -> anyhow::Result<u32> {
    let ttl_s = u32::try_from(duration(text)?.as_secs()).ok().filter(|&ttl_s| ttl_s <= TTL_MAX_S);
    ttl_s.with_context(|| format!("{text:?} is more than {TTL_MAX_S} seconds, which no TTL can be"))
}

/// An address with a port, of which nothing may be left out.
///
/// # Errors
/// Says what to write instead.
pub fn socket_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let bare = text.trim_matches(['[', ']']);
    let example = match (bare.parse::<IpAddr>(), text.trim_start_matches(':').parse::<u16>()) {
        (Ok(IpAddr::V4(address)), _) => format!("{address}:53"),
        (Ok(IpAddr::V6(address)), _) => format!("[{address}]:53"),
        (_, Ok(port)) => format!("127.0.0.1:{port}"),
        _ => "127.0.0.1:53 or [::1]:53".to_owned(),
    };
    Err(format!("{text:?} is not ADDRESS:PORT, as in {example}"))
}

/// A time such as `90s`, `35m` or `1h 30m`; a bare number is seconds.
///
/// # Errors
/// When it is not one.
pub fn duration(text: &str) -> anyhow::Result<Duration> {
    clock::parse_span(text).with_context(|| format!("{text:?} is not a time such as 90s, 35m or 1h"))
}

fn secret(hex: &str) -> anyhow::Result<[u8; 16]> {
    let octets: Option<Vec<u8>> = (0..hex.len())
        .step_by(2)
        .map(|at| hex.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    octets.and_then(|octets| octets.try_into().ok()).context("must be 32 hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Config> {
        Ok(toml::from_str::<Spec>(text)?.validate(Path::new("/etc/dnsbld"))?.0)
    }

    #[test]
    fn every_key() {
        let config = read(
            r#"
            listen = ["192.0.2.1:53"]
            http = false
            workers = 3
            pin-workers = true
            zones = ["bl.example:ip4set:hosts", "bl.example:acl:/srv/clients"]
            check = "10s"
            ttl = "1h"
            min-ttl = 60
            "#,
        );
        assert!(config.is_err(), "a time is a text");
        let why =
            format!("{:?}", read("folder = \"zones\"\ncheck = \"500000000000y\"").expect_err("beyond all clocks"));
        assert!(why.contains("31622400"), "{why}");
        let config = read(
            r#"
            listen = ["192.0.2.1:53"]
            http = false
            workers = 3
            zones = ["bl.example:ip4set:hosts", "bl.example:acl:/srv/clients"]
            check = "10s"
            ttl = "1h"
            version = false
            identity = "ns1"
            cookie-secret = "000102030405060708090a0b0c0d0e0f"
            [tcp]
            idle-close = "3s"
            "#,
        )
        .expect("valid");
        assert_eq!((config.http, config.udp_workers, config.load.default_ttl_s), (None, 3, 3_600));
        assert_eq!((config.version, config.identity.as_deref()), (None, Some("ns1")));
        assert_eq!(config.tcp.idle_close_ms, 3_000);
        let ZoneSource::Specs(specs) = config.zones else { panic!("a folder") };
        assert_eq!(specs[0].dataset.files[0], Path::new("/etc/dnsbld/hosts"));
        assert_eq!(specs[1].dataset.files[0], Path::new("/srv/clients"));
    }

    #[test]
    fn the_usual_ttl_keeps_to_the_limits() {
        let ttl_s = |text| read(&format!("folder = 'z'\n{text}")).expect(text).load.default_ttl_s;
        assert_eq!((ttl_s(""), ttl_s("max-ttl = '30m'"), ttl_s("min-ttl = '1h'")), (2_100, 1_800, 3_600));
    }

    /// The sample file is the manual: every key in it is one, and what it says of defaults is so.
    #[test]
    fn the_sample_file() {
        let sample = include_str!("../deploy/dnsbld.toml");
        let is_key = |line: &str| {
            let (key, value) = line.split_once(" = ").unwrap_or_default();
            !value.is_empty() && key.bytes().all(|octet| octet == b'-' || octet.is_ascii_lowercase())
        };
        // With those lines uncommented that are to be.
        let uncommented = |is_meant: fn(&str) -> bool| {
            let bare = |line: &'static str| {
                let bare = line.strip_prefix("# ").filter(|bare| is_key(bare) && !bare.starts_with("zones = "));
                bare.filter(|bare| is_meant(bare)).unwrap_or(line)
            };
            sample.lines().map(bare).collect::<Vec<_>>().join("\n")
        };
        let read_it = |text: &str| read(text).unwrap_or_else(|error| panic!("{error:#}\n{text}"));
        let plain = read_it(sample);
        let defaults = uncommented(|line| !line.ends_with("# example"));
        assert!(defaults.lines().filter(|line| is_key(line)).count() > 30, "{defaults}");
        // That addresses are named counts as such.
        let defaults = Config { listens_by_default: true, ..read_it(&defaults) };
        assert_eq!(format!("{defaults:#?}"), format!("{plain:#?}"));
        let text = uncommented(|_| true);
        assert_eq!(read_it(&text).state.as_deref(), Some(Path::new("/var/lib/dnsbld")));
        // Every key that there is stands in it.
        let spec = [
            include_str!("config/reload.rs"),
            include_str!("config/tcp.rs"),
            include_str!("config.rs"),
            include_str!("config/listings.rs"),
        ]
        .concat();
        for start in ["struct Spec {", "struct TcpSpec {", "struct ReloadSpec {", "\npub(super) struct ListingsSpec {"]
        {
            let body = spec.split(start).nth(1).and_then(|rest| rest.split("\n}").next()).expect("a struct");
            for field in body.lines().filter_map(|line| line.trim().split_once(": ")) {
                let key = field.0.replace('_', "-");
                let is_shown = text.lines().any(|line| {
                    line.trim_start_matches("# ")
                        .split(['=', ']'])
                        .next()
                        .is_some_and(|word| word.trim_matches(['[', ' ']).split('.').next() == Some(&*key))
                });
                assert!(is_shown, "deploy/dnsbld.toml does not show `{key}`");
            }
        }
    }

    #[test]
    fn mistakes_are_named() {
        let message = |text: &str| format!("{:#}", read(text).expect_err("a mistake"));
        assert!(message("folder = 'zones'\nlisten-on = []").contains("listen-on"));
        assert!(message("").contains("say what to serve"));
        assert!(message("folder = 'z'\nworkers = 0").contains("workers"));
        assert!(message("folder = 'z'\ncheck = 'soon'").contains("soon"));
        assert!(message("zones = ['a:b']").contains("ZONE:TYPE:FILE"));
        for key in ["ttl", "min-ttl", "max-ttl"] {
            let said = message(&format!("folder = 'z'\n{key} = '2147483648s'"));
            assert!(said.contains(key) && said.contains("more than 2147483647 seconds"), "{said}");
            read(&format!("folder = 'z'\n{key} = '2147483647s'")).expect(key);
        }
    }
}
