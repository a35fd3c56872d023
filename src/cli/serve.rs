//! `dnsbld serve`: serves zones, with defaults that need no root and no set-up.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use tracing::{info, warn};

use super::{
    logging::{self, LogFormat, ServerLog},
    zones_args::ZonesArguments,
};
use crate::{
    config,
    live::{reloader::ReloadReport, zones::ZoneSource},
    load::counted,
    metrics::LogDrops,
    server::{Bound, Personality, Running, Signal},
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    zones: ZonesArguments,
    /// Address and port to answer on; repeat for several. `[::]:PORT` is every address, of IPv4 too unless one of those with this
    /// port is named [default: port 5300 of this machine]
    #[arg(long, short, value_name = "ADDRESS:PORT", value_parser = config::socket_address)]
    listen: Vec<SocketAddr>,
    /// Address and port for /metrics, or `off` [default: 127.0.0.1:9153]
    #[arg(long, value_name = "ADDRESS:PORT|off", value_parser = http)]
    http: Option<Http>,
    /// UDP workers for each address [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// Ethernet interface from which UDP queries are taken directly, past most of the kernel's way (`AF_XDP`); repeat for several
    #[arg(long, value_name = "INTERFACE")]
    xdp: Vec<String>,
    /// Leave the name servers out of answers that do not ask for them
    #[arg(long)]
    minimal: bool,
    /// How often files are looked at even if nothing is heard of them; 0: only at SIGHUP and `dnsbld reload` [default: 1m]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = config::duration)]
    check: Option<Duration>,
    /// Folder for the control socket and the last good versions, or `off` [default: `$STATE_DIRECTORY`, or .dnsbld in the
    /// zones folder]
    #[arg(long, value_name = "FOLDER|off")]
    state: Option<PathBuf>,
    /// User (and group) to become once the sockets are bound
    #[arg(long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// File to write the process id to
    #[arg(long, value_name = "FILE")]
    pidfile: Option<PathBuf>,
    /// Form of log messages on standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log: LogFormat,
}

/// Where HTTP is served, if it is.
#[derive(Clone, Copy, Debug)]
struct Http(Option<SocketAddr>);

fn http(text: &str) -> Result<Http, String> {
    if text == "off" {
        return Ok(Http(None));
    }
    config::socket_address(text).map(|address| Http(Some(address))).map_err(|error| format!("{error}, or off"))
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let log = logging::start_for_server(arguments.log, "info");
    let mut config = arguments.zones.config()?;
    config.demand_secrets()?;
    super::warn_of_oddities(&config);
    if !arguments.listen.is_empty() {
        config.listen = config::with_ipv4(&arguments.listen);
        config.listens_by_default = false;
    }
    if let Some(Http(address)) = arguments.http {
        config.http = address;
    }
    if let Some(workers) = arguments.workers {
        config.udp_workers = usize::from(workers);
    }
    if !arguments.xdp.is_empty() {
        config.xdp = arguments.xdp;
    }
    if let Some(check) = arguments.check {
        config.check = (!check.is_zero()).then_some(check);
    }
    match arguments.state {
        None => {}
        Some(state) if state.as_os_str() == "off" => config.state = None,
        Some(state) => config.state = Some(state),
    }
    config.minimal |= arguments.minimal;
    config.doors.heed_environment()?;
    config.process.user = arguments.user.or(config.process.user);
    config.process.pidfile = arguments.pidfile.or(config.process.pidfile);
    let folder = match &config.zones {
        ZoneSource::Folder(folder) => std::path::absolute(folder).ok(),
        ZoneSource::Specs(_) => None,
    };
    let server = Bound::new(config)?;
    server.confine()?;
    log.confine();
    server.run(&mut Plain { folder, log: &log })?;
    Ok(ExitCode::SUCCESS)
}

/// The server as it is.
struct Plain<'l> {
    /// The zones folder, if there is one.
    folder: Option<PathBuf>,
    log: &'l ServerLog,
}

impl Personality for Plain<'_> {
    fn loaded(&mut self, report: &ReloadReport) -> anyhow::Result<()> {
        anyhow::ensure!(!report.is_all_lost(), "nothing could be loaded");
        Ok(())
    }

    /// Whoever gets an answer finds in the log how the start went.
    fn ready(&mut self) {
        self.log.flush();
    }

    fn started(&mut self, running: &Running) -> anyhow::Result<()> {
        let zones = running.cell.load().snapshot.zones().len();
        match &self.folder {
            Some(folder) if zones == 0 => {
                let what = "files named ZONE.TYPE, as in bl.example.org.ip4set, are served as they arrive";
                warn!("no zones yet in {}: {what}", folder.display());
            }
            None if zones == 0 => warn!("no zones: access lists alone are no zone; name its data as ZONE:TYPE:FILE"),
            Some(_) | None => {}
        }
        info!("serving {}", counted(zones, "zone", "zones"));
        Ok(())
    }

    fn signalled(&mut self, _: Signal, _: &Running) {}

    fn ticked(&mut self, _: &Running) {}

    fn ending(&mut self, _: &Running) {
        info!("ended");
    }

    fn log_drops(&self) -> LogDrops {
        self.log.drops()
    }
}
