//! A running server: sockets, workers, reloader, metrics and signals, tied together.
//!
//! The order matters. Sockets are bound first, while that is still allowed; then privileges go; then the zones are loaded;
//! and only then does anything answer, so that no client ever hears of a zone that is merely not there yet. At the end those that
//! ask go first, then what they ask for.
//!
//! ```text
//! doors.rs       the doors for changing live listings by message
//! listings.rs    live listings, opened before anything is answered
//! responder.rs   what each worker does with a request: answer, count, note
//! query_log.rs   the query log that is switched on while the server runs
//! collector.rs   what is told to Prometheus
//! statistics.rs  what is told to those who control it
//! http.rs        metrics, readiness and the door for live listings over HTTP
//! monitor.rs     the self-test, once a minute and when something new is served
//! probe.rs       the questions that it asks
//! progress.rs    a bar for a first load that takes long
//! notify.rs      telling systemd that the service is up
//! descriptors.rs enough of them for everything
//! privileges.rs  giving up what is no longer needed
//! ```

pub mod collector;
mod descriptors;
mod doors;
mod http;
mod listings;
pub mod monitor;
mod notify;
mod privileges;
pub mod probe;
pub(crate) mod progress;
pub mod query_log;
mod responder;
mod statistics;

use std::{
    net::{Ipv6Addr, SocketAddr, TcpListener},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};
use tracing::{debug, info, warn};

use collector::ServerCollector;
use monitor::Monitor;
use notify::Notifier;
pub use privileges::confine;
pub(crate) use privileges::give_up_capabilities;
use query_log::QueryTap;
pub use query_log::{LoggedQueries, LoggedQuery, QueryLog};
use responder::Shared;

use crate::{
    answer::Policy,
    config::{Config, no_state},
    control::{self, Desk, api, rspamd, tally::Tally},
    live::{
        clock,
        kept::Kept,
        listings::{Listings, Places, StoreError},
        memory,
        reloader::{self, ReloadReport, Reloader},
        served::{Cell, LiveCell, Served},
        state::{FOLDER_MODE, is_nothing, remedy},
        status::SharedStatus,
        watch::{Trigger, Watch},
        zones::ZoneSource,
    },
    metrics::{IGNORED, LogDrops, Totals, ZoneCounters},
    net::{Counters, Listeners, Settings},
};

/// What a running server lets others see of it.
#[derive(Clone)]
pub struct Running {
    /// What is served.
    pub cell: Cell,
    /// Counts of what is in no zone.
    pub outside: Arc<ZoneCounters>,
    /// Counts of the transports.
    pub transports: Counters,
    /// What is known of reloads.
    pub status: SharedStatus,
    /// What the self-test found.
    pub monitor: Monitor,
    /// The switch of the query log.
    pub query_tap: Arc<QueryTap>,
    /// When it started.
    pub started: Instant,
    /// What is told to Prometheus: whoever has something to tell registers a collector.
    pub registry: prometheus::Registry,
    /// What is listed by command.
    pub live: LiveCell,
    /// Whether there is to be a store of that: a state folder is configured.
    pub has_state: bool,
    /// The store, or why there is none.
    pub listings: Result<Listings, StoreError>,
    /// Counts of what came in by the doors for live listings.
    pub doors: Arc<Tally>,
    /// Log lines that were not written.
    pub log_drops: LogDrops,
}

impl Running {
    /// Counts of everything, zones or not.
    pub fn totals(&self) -> Totals {
        let mut all = self.outside.totals();
        all += self.cell.load().totals();
        all
    }

    /// Requests met with silence, by reason: those among `all` that were read, and those that could not be.
    fn dropped(&self, all: &Totals) -> impl Iterator<Item = (&'static str, u64)> {
        let [v4, v6] = self.transports.unread();
        let unread = v4.into_iter().zip(v6).map(|((reason, v4), (_, v6))| (reason, v4 + v6));
        IGNORED.map(|(ignored, reason)| (reason, all.ignored_for(ignored))).into_iter().chain(unread)
    }

    /// Where operators ask and tell.
    fn desk(&self, config: &Config, reloader: mpsc::Sender<Trigger>) -> Desk {
        Desk {
            cell: Arc::clone(&self.cell),
            status: self.status.clone(),
            options: config.load.clone(),
            operator: Arc::new(self.clone()),
            reloader,
            listings: self.listings.clone(),
            live: Arc::clone(&self.live),
            doors: Arc::clone(&self.doors),
        }
    }

    /// Registers what the server itself has to tell.
    fn register(&self) {
        let collectors: [Box<dyn prometheus::core::Collector>; 2] = [
            Box::new(ServerCollector::new(self.clone())),
            Box::new(prometheus::process_collector::ProcessCollector::for_self()),
        ];
        for collector in collectors {
            if let Err(error) = self.registry.register(collector) {
                warn!("some metrics are missing: {error}");
            }
        }
    }
}

/// What a personality adds to the server: what it does at certain moments.
pub trait Personality {
    /// The sockets are bound and other signals than those that end the server are taken; nothing is loaded yet.
    ///
    /// # Errors
    /// Ends the server.
    fn bound(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Whether it ends where not all can be loaded for the first time.
    fn is_all_or_none(&self) -> bool {
        false
    }

    /// The zones are loaded for the first time.
    ///
    /// # Errors
    /// Ends the server.
    fn loaded(&mut self, report: &ReloadReport) -> anyhow::Result<()>;

    /// Queries are about to be answered.
    fn ready(&mut self) {}

    /// Queries are answered from now on.
    ///
    /// # Errors
    /// Ends the server.
    fn started(&mut self, running: &Running) -> anyhow::Result<()>;

    /// A signal came, besides those that end the server.
    fn signalled(&mut self, signal: Signal, running: &Running);

    /// The interval between two looks at the files has passed, or SIGALRM says so.
    fn ticked(&mut self, running: &Running);

    /// The server is about to end.
    fn ending(&mut self, running: &Running);

    /// Where queries are logged.
    fn query_log(&self) -> Option<QueryLog> {
        None
    }

    /// Where log lines are counted that are not written.
    fn log_drops(&self) -> LogDrops {
        LogDrops::default()
    }
}

/// Signals that do not end the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP; the files are looked at again besides.
    Hangup,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
}

/// Sockets that are bound and signals that are taken, and nothing else yet.
pub struct Bound {
    config: Config,
    listeners: Listeners,
    http: Option<TcpListener>,
    datagrams: Option<rspamd::Socket>,
    notifier: Notifier,
    runtime: Runtime,
    signals: Signals,
}

impl Bound {
    /// Binds everything.
    ///
    /// # Errors
    /// Names the address and what to do.
    pub fn new(config: Config) -> anyhow::Result<Self> {
        Self::bind(config, true)
    }

    /// Binds everything but TCP at addresses where it cannot be had, of which it warns.
    ///
    /// # Errors
    /// The same.
    pub fn with_tcp_where_it_is_free(config: Config) -> anyhow::Result<Self> {
        Self::bind(config, false)
    }

    fn bind(config: Config, needs_tcp: bool) -> anyhow::Result<Self> {
        let mut addresses = config.listen.clone();
        if config.listens_by_default && TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
            addresses.retain(SocketAddr::is_ipv4);
        }
        let mut tcp = config.tcp.clone();
        let sockets = addresses.len() * (config.udp_workers + 1);
        descriptors::make_room(&mut tcp, sockets);
        let settings = Settings {
            udp_workers: config.udp_workers,
            pin_workers: config.pin_workers,
            tcp: Some(tcp),
            needs_tcp,
            ..Settings::default()
        };
        let mut listeners = Listeners::bind(&addresses, settings)?;
        let http = config.http.map(bind_http).transpose()?;
        let datagrams = doors::bind(&config)?;
        // Last, since some cards lose their link for a moment.
        listeners.tap(&config.xdp);
        for address in listeners.addresses() {
            info!("listening on {}/{}", address.ip(), address.port());
        }
        if let Some(address) = http.as_ref().and_then(|listener| listener.local_addr().ok()) {
            info!("metrics on http://{address}/metrics");
        }
        let (runtime, signals) = runtime()?;
        Ok(Self { config, listeners, http, datagrams, notifier: Notifier::new(), runtime, signals })
    }

    /// Writes the process id, and gives up all privileges that are not needed any more.
    ///
    /// # Errors
    /// Names the user, group, folder or file.
    pub fn confine(&self) -> anyhow::Result<()> {
        confine(&self.config.process)
    }

    /// Loads and answers until a signal ends it.
    ///
    /// # Errors
    /// When the personality wants none of it, or the system gives no threads.
    pub fn run(self, personality: &mut dyn Personality) -> anyhow::Result<()> {
        self.prepare(personality)?.serve(personality)
    }

    /// Loads, and opens what is changed and asked while it serves.
    fn prepare(self, personality: &mut dyn Personality) -> anyhow::Result<Prepared> {
        let Self { config, listeners, http, datagrams, notifier, runtime, signals } = self;
        let worker_count = listeners.worker_count();
        let cell: Cell = Arc::new(ArcSwap::from_pointee(Served::default()));
        let live_cell = LiveCell::default();
        personality.bound()?;
        memory::keep_large_blocks_apart();
        let state = prepare_state(&config);
        let settings = reloader::Settings {
            is_all_or_none: personality.is_all_or_none(),
            ..reloader_settings(&config, state.as_deref().ok(), worker_count)
        };
        let mut reloader = Reloader::new(settings, Arc::clone(&cell));
        let first = load_first(&mut reloader);
        personality.loaded(&first)?;

        let places = Places { served: Arc::clone(&cell), live: Arc::clone(&live_cell), slots: reloader.live_slots() };
        let listings = state.as_deref().map_err(Clone::clone).and_then(|state| listings::open(&config, state, places));
        let policy = Arc::new(policy(&config)?);
        let cells = (&cell, &live_cell);
        // Signed queries are answered beside the workers.
        let tap = Arc::new(QueryTap::new(worker_count + 1));
        let note = query_log::noter(Arc::clone(&tap), worker_count);
        let doors::Open { updates, api, tally } =
            doors::open(&config, datagrams, cells, &policy, listings.clone(), note)?;
        let shared = Shared {
            cell,
            live_cell,
            policy,
            outside: Arc::new(ZoneCounters::new(worker_count)),
            log: personality.query_log().map(|log| log.of_workers(worker_count)),
            tap,
            updates,
        };
        let http = http.map(|listener| (listener, api));
        let state = state.ok();
        Ok(Prepared { config, state, listeners, http, notifier, runtime, signals, reloader, listings, tally, shared })
    }
}

/// What is loaded, and does not answer yet.
struct Prepared {
    config: Config,
    /// The state folder, if there is one.
    state: Option<PathBuf>,
    listeners: Listeners,
    http: Option<(TcpListener, Option<api::Desk>)>,
    notifier: Notifier,
    runtime: Runtime,
    signals: Signals,
    reloader: Reloader,
    listings: Result<Listings, StoreError>,
    tally: Arc<Tally>,
    shared: Shared,
}

impl Prepared {
    /// Answers until a signal ends it.
    fn serve(self, personality: &mut dyn Personality) -> anyhow::Result<()> {
        let Self { config, state, listeners, http, notifier, runtime, signals, reloader, listings, tally, shared } =
            self;
        let ends = within(&runtime, Ends::new)?;
        let Shared { cell, live_cell, outside, tap, .. } = shared.clone();
        personality.ready();
        let server = listeners.start(shared.into_factory()).context("cannot start the workers")?;
        let running = Running {
            cell,
            outside,
            transports: server.counters(),
            status: reloader.status(),
            monitor: Monitor::default(),
            query_tap: tap,
            started: Instant::now(),
            registry: prometheus::Registry::new(),
            live: live_cell,
            has_state: config.state.is_some(),
            listings,
            doors: tally,
            log_drops: personality.log_drops(),
        };
        running.register();
        let watch = Watch::start(reloader, config.check).context("cannot start the reloader")?;
        let desk = running.desk(&config, watch.sender());
        let control = state.as_deref().map(control::bind);
        personality.started(&running)?;
        notifier.ready();
        let attended = runtime.block_on(async {
            let (cell, live, listings) = (&running.cell, &running.live, running.listings.as_ref().ok().cloned());
            tokio::spawn(running.monitor.clone().run(Arc::clone(cell), Arc::clone(live), listings));
            if let (Some(state), Some(control)) = (state, control) {
                tokio::spawn(control::serve_in_turn(control, state, desk));
            }
            attend(signals, ends, &config, http, &running, &watch, personality).await?;
            // Queries and operators are answered until the reload in hand is over, which may take a while.
            // No thread waits for it, for there may be none to be had.
            watch.tell_end();
            while !watch.has_ended() {
                tokio::time::sleep(LOOK_FOR_END).await;
            }
            watch.stop();
            anyhow::Ok(())
        });
        // Those who change listings go before the listings: what comes in while these end would be met from nothing.
        server.stop();
        let joined = server.join();
        runtime.shutdown_timeout(LAST_COMMANDS);
        if let Ok(listings) = &running.listings {
            listings.stop();
        }
        attended?;
        joined.context("a worker failed")?;
        personality.ending(&running);
        Ok(())
    }
}

/// How long the end waits for what was asked by command. A backup or an import may yet be done; but to compare a large file may take
/// minutes, and whoever asked hears of nothing any more.
const LAST_COMMANDS: Duration = Duration::from_secs(1);

/// How often is looked whether the reloader has ended.
const LOOK_FOR_END: Duration = Duration::from_millis(20);

/// What waits for operators and signals. The signals must have their handlers before anyone is told which process it is: they end
/// one that has none.
fn runtime() -> anyhow::Result<(Runtime, Signals)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = within(&runtime, Signals::new)?;
    Ok((runtime, signals))
}

fn within<T>(runtime: &Runtime, make: impl FnOnce() -> T) -> T {
    let _entered = runtime.enter();
    make()
}

fn reloader_settings(config: &Config, state: Option<&Path>, worker_count: usize) -> reloader::Settings {
    let kept = state.and_then(|state| match Kept::new(state, config.kept_max_bytes) {
        Ok(kept) => Some(kept),
        Err(error) => {
            let remedy = remedy(state, &error);
            warn!(state = %state.display(), "last good versions are not kept: {error}: {remedy}, and restart the server");
            None
        }
    });
    // Whoever reads the advice may be in another folder.
    let absolute_state = state.and_then(|state| std::path::absolute(state).ok());
    reloader::Settings {
        rules: config.rules.clone(),
        kept,
        accept_command: control::accept_command(absolute_state.as_deref()),
        worker_count,
        named_zones: config.named_zones.clone(),
        // From within a chroot it is out of reach.
        configuration: config.file.clone().filter(|_| config.process.chroot.is_none()),
        ..reloader::Settings::new(config.zones.clone(), config.load.clone())
    }
}

/// Makes the state folder, readable to its owner and group only: who may enter may command. The zones folder is not made with it:
/// it may be named by mistake. Says why there is none.
fn prepare_state(config: &Config) -> Result<PathBuf, StoreError> {
    let Some(state) = &config.state else {
        debug!("no state folder: live listings are not taken (see --state)");
        return Err(no_state());
    };
    let none =
        |why: &dyn std::fmt::Display| Err(StoreError::Closed(format!("no state folder {}: {why}", state.display())));
    if let ZoneSource::Folder(folder) = &config.zones
        && state.starts_with(folder)
        && !folder.is_dir()
    {
        warn!(
            state = %state.display(),
            "no state folder: it would lie in the zones folder, which is not there; until a restart the server runs without \
             control socket, live listings and last good versions (name one elsewhere: `state` or --state)"
        );
        return none(&"it would lie in the zones folder, which is not there");
    }
    let Err(error) = std::fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(state) else {
        return Ok(state.clone());
    };
    if std::fs::metadata(state).is_err_and(|why| !is_nothing(&why)) {
        // It may be there, with listings in it.
        return Ok(state.clone());
    }
    // Another such folder would have done.
    let is_other = state.exists();
    let why = if is_other { "there is something else of that name".to_owned() } else { error.to_string() };
    warn!(
        state = %state.display(),
        "no state folder: {why}; the server runs without control socket, live listings and last good versions (see \
         --state)"
    );
    none(&why)
}

/// Loads for the first time, with a progress bar if that takes long and somebody watches.
fn load_first(reloader: &mut Reloader) -> ReloadReport {
    let bar = progress::Bar::start(reloader.progress());
    let report = reloader.reload(clock::now_s());
    bar.finish();
    report
}

fn policy(config: &Config) -> anyhow::Result<Policy> {
    let mut cookie_secret = config.cookie_secret.unwrap_or_default();
    if config.cookie_secret.is_none() {
        getrandom::fill(&mut cookie_secret)
            .map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    }
    Ok(Policy {
        udp_payload_len: config.udp_payload_len,
        minimal: config.minimal,
        version: config.version.as_deref().map(Into::into),
        identity: config.identity.as_deref().map(Into::into),
        cookie_secret,
        leaves_signed: !config.doors.keys.is_empty(),
    })
}

fn bind_http(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| {
        format!("cannot listen for HTTP on {address}: choose another address with --http, or --http off")
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Signals that do not end the server. Those that come while the zones are loaded wait until that is done.
struct Signals {
    hangup: tokio::signal::unix::Signal,
    /// rbldnsd's own word that an interval has passed, which others may send as well.
    alarm: tokio::signal::unix::Signal,
    user_1: tokio::signal::unix::Signal,
    user_2: tokio::signal::unix::Signal,
    /// That a file grew beyond a limit of the system, which ends a process without a handler. With one, whoever writes is told so
    /// (EFBIG, setrlimit(2)), as of a full disk, and all else goes on.
    _file_size: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            alarm: signal(SignalKind::alarm())?,
            user_1: signal(SignalKind::user_defined1())?,
            user_2: signal(SignalKind::user_defined2())?,
            _file_size: signal(SignalKind::from_raw(libc::SIGXFSZ))?,
        })
    }
}

/// Signals that do. They have no handlers while the zones are loaded, so that they end that too.
struct Ends {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Ends {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }
}

/// Attends to signals, time and HTTP until a signal says to end.
async fn attend(
    mut signals: Signals,
    mut ends: Ends,
    config: &Config,
    http: Option<(TcpListener, Option<api::Desk>)>,
    running: &Running,
    watch: &Watch,
    personality: &mut dyn Personality,
) -> anyhow::Result<()> {
    if let Some((listener, api)) = http {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::spawn(http::serve(listener, running.clone(), api));
    }
    let mut ticks = config.check.map(tokio::time::interval);
    if let Some(ticks) = &mut ticks {
        ticks.tick().await; // the first is now
    }
    let mut next_tick = async || match &mut ticks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => std::future::pending().await,
    };
    let look_now =
        || watch.sender().send(Trigger::Now { accept: Vec::new(), done: None }).context("the reloader has ended");
    loop {
        tokio::select! {
            _ = ends.terminate.recv() => return Ok(()),
            _ = ends.interrupt.recv() => return Ok(()),
            _ = signals.hangup.recv() => {
                personality.signalled(Signal::Hangup, running);
                look_now()?;
            }
            _ = signals.alarm.recv() => {
                personality.ticked(running);
                look_now()?;
            }
            _ = signals.user_1.recv() => personality.signalled(Signal::User1, running),
            _ = signals.user_2.recv() => personality.signalled(Signal::User2, running),
            () = next_tick() => personality.ticked(running),
        }
    }
}
