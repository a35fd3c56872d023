//! `dnsbld rbldnsd`: rbldnsd's command line, messages, files and signals.
//!
//! Options are read as getopt reads them, in any order and run together. What rbldnsd needs an option for and this server
//! does anyway (`-f`) is accepted and said to be so.

mod daemon;
mod dry_run;
mod options;
mod query_log;
mod stats;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::{ArgAction, CommandFactory as _, FromArgMatches as _};
use tracing::info;

use self::{query_log::QueryLogFile, stats::Statistics};
use super::{dump, fail, logging};
use crate::{
    config::{Config, Oddity, Process},
    live::{
        refusal::ReloadRules,
        reloader::ReloadReport,
        zones::{ZoneSource, ZoneSpec, check},
    },
    load::{TTL_MAX_S, time_s},
    server::{Bound, Personality, QueryLog, Running, Signal},
};

const USAGE: &str = "rbldnsd: rbl dns daemon, as served by dnsbld
Usage is: rbldnsd options zonespec...
where options are:
 -u user[:group] - run as this user:group (rbldns)
 -r rootdir - chroot to this directory
 -w workdir - working directory with zone files
 -b address[/port] - bind to (listen on) this address (required)
 -4 - use IPv4 socket type
 -6 - use IPv6 socket type
 -t ttl[:min[:max]] - default TTL value to set in answers (35m), and limits
 -v - hide version information in replies to version.bind CH TXT
  (second -v makes rbldnsd to refuse such requests completely)
 -e - enable CIDR ranges where prefix is not on the range boundary
  (by default ranges such 127.0.0.1/8 will be rejected)
 -c check - time interval to check for data file updates (1m)
 -p pidfile - write pid to specified file
 -n - do not become a daemon
 -f - accepted; reloads never stop queries here
 -q - quickstart, load zones after backgrounding
 -l [+]logfile - log queries and answers to this file (+ for unbuffered)
 -s [+]statsfile - write a line with short statistics summary into this
  file every `check' (-c) seconds, for rrdtool-like applications
  (+ to log relative, not absolute, statistics counters)
 -a - omit AUTH section from regular replies, do not return list of
  nameservers, but only return NS info when explicitly asked.
 -A - put AUTH section in every reply.
 -F facility - log facility for syslog. Default is 'daemon'.
 -C - disable on-the-fly decompression of dataset files
 -W n - number of workers for each address (number of cores)
 -D - load all zones as a start with these options would, look whether it
  would find its user, addresses and pid file's folder, report, and exit
 -d - dump all zones in BIND format to standard output and exit
each zone specified using `name:type:file,file...'
syntax, repeated names constitute the same zone.
Available dataset types:
 ip4set - set of (ip4 range, value) pairs
 ip4tset - (trivial) set of ip4 addresses
 ip4trie - set of (ip4cidr or ip6cidr, value) pairs
 ip4seen - set of (ip4 address, time last seen) pairs
 ip6tset - (trivial) set of ip6 addresses
 ip6trie - set of (ip6cidr, value) pairs
 dnset - set of (domain name, value) pairs
 dnhash - the same
 combined - several datasets/subzones combined
 generic - generic simplified bind-format
 acl - Access Control List dataset
 aclkey - access by a label of the query name
 retired - the list has ended: plain records, and nothing is listed
";

#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools)] // getopt has nothing else
pub(super) struct Arguments {
    /// Print rbldnsd's help
    #[arg(short = 'h', long = "help", action = ArgAction::SetTrue)]
    help: bool,
    /// Run as this user and group [default: rbldns, if root starts it]
    #[arg(short = 'u', value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Be confined to this folder
    #[arg(short = 'r', value_name = "ROOTDIR")]
    root: Option<PathBuf>,
    /// Work in this folder, where the files of the zones are; with -r, within that
    #[arg(short = 'w', value_name = "WORKDIR")]
    workdir: Option<PathBuf>,
    /// Answer on this address or host name, and on port 53 unless another one is given; repeat for several. It is required
    #[arg(short = 'b', value_name = "ADDRESS[/PORT]")]
    bind: Vec<String>,
    /// Take only IPv4 addresses of a host name
    #[arg(short = '4', action = ArgAction::Count, overrides_with = "ipv6")]
    ipv4: u8,
    /// Take only IPv6 addresses of a host name
    #[arg(short = '6', action = ArgAction::Count, overrides_with = "ipv4")]
    ipv6: u8,
    /// TTL of answers where files say none, and limits of those that they say, as in 35m:1m:1d; each may be left out
    /// [default: 35m]
    #[arg(short = 't', value_name = "TTL[:MIN[:MAX]]", allow_hyphen_values = true)]
    ttl: Option<String>,
    /// How often files are looked at if nothing is heard of them; 0 leaves it to SIGHUP [default: 1m]
    #[arg(short = 'c', value_name = "CHECK")]
    check: Option<String>,
    /// Take prefixes whose address has bits beyond their length, such as 127.0.0.1/8
    #[arg(short = 'e', action = ArgAction::Count)]
    allow_host_bits: u8,
    /// Start quickly: go to the background before the zones are loaded, and run even if they cannot be
    #[arg(short = 'q', action = ArgAction::Count)]
    quick: u8,
    /// Write the process id to this file
    #[arg(short = 'p', value_name = "PIDFILE")]
    pidfile: Option<PathBuf>,
    /// Log queries and answers to this file; with a + before its name each at once. SIGHUP opens it anew
    #[arg(short = 'l', value_name = "[+]LOGFILE", allow_hyphen_values = true)]
    log: Option<String>,
    /// Write a line of counts to this file every -c; with a + before its name what was counted since the last one
    #[arg(short = 's', value_name = "[+]STATSFILE", allow_hyphen_values = true)]
    stats: Option<String>,
    /// Stay in the foreground
    #[arg(short = 'n', action = ArgAction::Count)]
    foreground: u8,
    /// Accepted, and not needed: reloads never stop queries
    #[arg(short = 'f', action = ArgAction::Count)]
    fork: u8,
    /// Print all zones as BIND zone files, and exit
    #[arg(short = 'd', action = ArgAction::Count)]
    dump: u8,
    /// Tell version.bind no version; given twice, refuse such queries
    #[arg(short = 'v', action = ArgAction::Count)]
    hide_version: u8,
    /// Do not unpack compressed files
    #[arg(short = 'C', action = ArgAction::Count)]
    no_decompression: u8,
    /// Leave the name servers out of answers that do not ask for them
    #[arg(short = 'a', action = ArgAction::Count, overrides_with = "full")]
    minimal: u8,
    /// Put the name servers into all answers, as without -a
    #[arg(short = 'A', action = ArgAction::Count, overrides_with = "minimal")]
    full: u8,
    /// Facility of the system's log, where messages go in the background [default: daemon]
    #[arg(short = 'F', value_name = "FACILITY")]
    facility: Option<String>,
    /// UDP workers for each address [default: one for each core]
    #[arg(short = 'W', value_name = "N")]
    workers: Option<u16>,
    /// Load all zones as a start with the same options would, by the user of -u if root looks; see besides whether that user, the
    /// addresses of -b (not their ports) and the place of the process id are there; report, and exit
    #[arg(short = 'D', action = ArgAction::Count)]
    dry_run: u8,
    // These are known in order to be refused with what to do instead.
    #[arg(short = 'x', hide = true)]
    extension: Option<String>,
    #[arg(short = 'X', hide = true)]
    extension_argument: Option<String>,
    #[arg(short = 'U', hide = true)]
    update_socket: Option<String>,
    /// What to serve: a zone, the type of its files, and the files. Repeated names are one zone; -h names the types
    #[arg(value_name = "NAME:TYPE:FILE,FILE...")]
    zones: Vec<String>,
}

/// A command of its own around the arguments, without clap's help: rbldnsd's is printed.
#[derive(Debug, clap::Parser)]
#[command(name = "rbldnsd", disable_help_flag = true, args_override_self = true)]
struct Alone {
    #[command(flatten)]
    arguments: Arguments,
}

/// Runs with an argument vector of rbldnsd's own.
pub(super) fn run_from(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> =
        std::iter::once(OsString::from("rbldnsd")).chain(arguments.into_iter().skip(1)).collect();
    let is_bare = arguments.len() == 1;
    let parsed = Alone::command().try_get_matches_from(arguments).and_then(|matches| Alone::from_arg_matches(&matches));
    let result = match parsed {
        Ok(_) if is_bare => show_usage(ExitCode::FAILURE),
        Ok(alone) => run(&alone.arguments),
        Err(error) => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Err(anyhow::anyhow!("{first}\ntype `rbldnsd -h' for help"))
        }
    };
    result.unwrap_or_else(|error| fail("rbldnsd", &error))
}

fn show_usage(code: ExitCode) -> anyhow::Result<ExitCode> {
    io::stdout().write_all(USAGE.as_bytes())?;
    Ok(code)
}

/// Runs with parsed arguments.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.help {
        return show_usage(ExitCode::SUCCESS);
    }
    for (option, given, instead) in [
        (
            "-x",
            arguments.extension.is_some(),
            "extension support is not compiled in: -s FILE counts queries, and `dnsbld serve` counts them at /metrics",
        ),
        ("-X", arguments.extension_argument.is_some(), "extension support is not compiled in"),
        (
            "-U",
            arguments.update_socket.is_some(),
            "`dnsbld serve --config` takes update datagrams, and keeps what they list ([datagrams])",
        ),
    ] {
        anyhow::ensure!(!given, "option {option}: {instead}");
    }
    let mut config = arguments.config()?;
    if arguments.dump > 0 {
        logging::RbldnsdLog::start("rbldnsd", true, 3, false);
        super::warn_of_oddities(&config);
        privileged_paths(&config)?;
        return dump::print(&config, &mut io::stdout().lock());
    }
    if arguments.dry_run > 0 {
        logging::RbldnsdLog::start("rbldnsd", false, 3, false);
        default_user(&mut config);
        let mut faults = dry_run::faults_of_start(&config);
        faults.extend(arguments.facility().err());
        let faults: Vec<String> = faults.iter().map(|fault| format!("{fault:#}")).collect();
        dry_run::go_where_files_are_read(&config)?;
        return super::check::run_for(&config, &faults);
    }
    let hint = if std::env::var_os("LISTEN_FDS").is_some() {
        "; sockets handed over by systemd are not taken: disable the socket unit"
    } else {
        ""
    };
    anyhow::ensure!(!config.listen.is_empty(), "no address to listen on (-b option) specified{hint}");
    serve(arguments, config)
}

/// Goes where the files are, for commands that end soon.
fn privileged_paths(config: &Config) -> anyhow::Result<()> {
    let folders = Process { user: None, pidfile: None, ..config.process.clone() };
    crate::server::confine(&folders)
}

/// Root serves as somebody else.
fn default_user(config: &mut Config) {
    if nix::unistd::geteuid().is_root() && config.process.user.is_none() {
        config.process.user = Some("rbldns".to_owned());
    }
}

fn serve(arguments: &Arguments, mut config: Config) -> anyhow::Result<ExitCode> {
    let facility = arguments.facility()?;
    // Under systemd's Type=notify, as Debian's unit has it, rbldnsd stays in the foreground too.
    let is_daemon = arguments.foreground == 0 && std::env::var_os("NOTIFY_SOCKET").is_none();
    let keeps_output = arguments.log.as_deref().is_some_and(query_log::is_output);
    let parent = if is_daemon { daemon::fork(keeps_output)? } else { daemon::Parent::none() };
    let parent = match parent {
        daemon::Fork::Parent(code) => return Ok(code),
        daemon::Fork::Child(parent) => parent,
    };
    logging::RbldnsdLog::start("rbldnsd", arguments.quick > 0 && is_daemon, facility, is_daemon);
    super::warn_of_oddities(&config);
    default_user(&mut config);
    if arguments.fork > 0 {
        info!("option -f is not needed: reloads never stop queries");
    }
    // Nobody who comes from rbldnsd asked for TCP.
    let server = Bound::with_tcp_where_it_is_free(config)?;
    server.confine()?;
    let mut personality = Rbldnsd {
        is_quick: arguments.quick > 0,
        parent: Some(parent),
        stats: Statistics::new(arguments.stats.as_deref().unwrap_or_default()),
        log: arguments.log.as_deref().map(QueryLogFile::start).transpose()?.flatten(),
    };
    server.run(&mut personality)?;
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    /// The facility of the system's log.
    fn facility(&self) -> anyhow::Result<u8> {
        options::facility(self.facility.as_deref().unwrap_or("daemon"))
    }

    /// The configuration that the arguments make.
    fn config(&self) -> anyhow::Result<Config> {
        if self.zones.is_empty() {
            bail!("no zone(s) to service specified (-h for help)");
        }
        let specs = self.zones.iter().map(|text| ZoneSpec::parse(text)).collect::<Result<Vec<_>, _>>()?;
        check(&specs)?;
        let mut config = Config::serving(ZoneSource::Specs(specs));
        config.http = None;
        config.state = None;
        // Whoever comes from rbldnsd expects that what loads is served.
        config.rules = ReloadRules::none();
        let family = options::Family { v4: self.ipv4 > 0, v6: self.ipv6 > 0 };
        config.listen = options::bind_addresses(&self.bind, family)?;
        config.listens_by_default = false;
        if let Some(text) = &self.ttl
            && options::ttl(text, &mut config.load)?
        {
            // To be said where there is a log.
            let text = format!("{text}: TTL too large: at most {TTL_MAX_S} seconds, which it is read as");
            config.oddities.push(Oddity { place: "-t".to_owned(), text });
        }
        if let Some(text) = &self.check {
            let seconds =
                time_s(text.as_bytes()).with_context(|| format!("invalid check interval (-c) value `{text}'"))?;
            config.check = (seconds > 0).then(|| std::time::Duration::from_secs(u64::from(seconds)));
        }
        config.load.allow_host_bits = self.allow_host_bits > 0;
        config.load.decompress = self.no_decompression == 0;
        config.minimal = self.minimal > 0;
        config.version = match self.hide_version {
            0 => Some(concat!("dnsbld ", env!("CARGO_PKG_VERSION")).to_owned()),
            1 => Some("rbldnsd".to_owned()),
            _ => None,
        };
        config.identity = None;
        if let Some(workers) = self.workers {
            anyhow::ensure!((1..=128).contains(&workers), "invalid number of workers (-W) `{workers}': 1 to 128");
            config.udp_workers = usize::from(workers);
        }
        config.process = Process {
            user: self.user.clone(),
            chroot: self.root.clone(),
            workdir: self.workdir.clone(),
            pidfile: self.pidfile.clone(),
        };
        Ok(config)
    }
}

/// What rbldnsd does at certain moments.
struct Rbldnsd {
    is_quick: bool,
    /// The process that waits to hear that all went well.
    parent: Option<daemon::Parent>,
    stats: Statistics,
    log: Option<QueryLogFile>,
}

impl Personality for Rbldnsd {
    fn bound(&mut self) -> anyhow::Result<()> {
        // Quick start: whoever waits need not wait for the zones.
        self.parent.take_if(|_| self.is_quick).map_or(Ok(()), daemon::Parent::release)
    }

    fn is_all_or_none(&self) -> bool {
        !self.is_quick
    }

    fn loaded(&mut self, report: &ReloadReport) -> anyhow::Result<()> {
        if report.has_failures() && self.is_all_or_none() {
            bail!("zone loading errors, aborting");
        }
        Ok(())
    }

    fn started(&mut self, running: &Running) -> anyhow::Result<()> {
        let zones = running.cell.load().snapshot.zones().len();
        let sockets = running.transports.udp.len();
        info!("dnsbld {} started ({sockets} socket(s), {zones} zone(s))", env!("CARGO_PKG_VERSION"));
        self.stats.begin();
        self.parent.take().map_or(Ok(()), daemon::Parent::release)
    }

    fn signalled(&mut self, signal: Signal, running: &Running) {
        match signal {
            Signal::Hangup => {
                if let Some(log) = &self.log {
                    log.reopen();
                }
            }
            Signal::User1 | Signal::User2 => {
                self.stats.write(running);
                self.stats.log(running);
                if signal == Signal::User2 {
                    self.stats.restart(running);
                }
            }
        }
    }

    fn ticked(&mut self, running: &Running) {
        self.stats.write(running);
    }

    fn ending(&mut self, running: &Running) {
        info!("terminating");
        self.stats.write(running);
        self.stats.log(running);
        self.stats.end();
        if let Some(log) = self.log.take() {
            log.finish();
        }
    }

    fn query_log(&self) -> Option<QueryLog> {
        self.log.as_ref().map(QueryLogFile::sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The manual page is made of what the options say of themselves; the help is rbldnsd's own.
    #[test]
    fn every_option_of_the_help_says_what_it_does() {
        let command = Alone::command();
        let described: Vec<char> = command
            .get_arguments()
            .filter(|argument| !argument.is_hide_set() && argument.get_help().is_some())
            .filter_map(clap::Arg::get_short)
            .collect();
        let named: Vec<char> = USAGE.lines().filter_map(|line| line.strip_prefix(" -")?.chars().next()).collect();
        assert!(named.len() > 20 && named.iter().all(|option| described.contains(option)), "{named:?} {described:?}");
        assert_eq!(described.len(), named.len() + 1, "but for -h");
        let without: Vec<_> = command.get_arguments().filter(|argument| argument.get_help().is_none()).collect();
        assert!(without.iter().all(|argument| argument.is_hide_set()), "{without:?}");
    }
}
