//! A server in process, without its sockets: a script's files, loaded and put together by the server's own reloader, whose
//! clocks and looks are the script's, and asked through the one pure function.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use dnsbld::{
    answer::{self, Client, DEFAULT_UDP_PAYLOAD_LEN, Outcome, Policy, Transport},
    config::Config,
    control,
    live::{
        kept::Kept,
        reloader::{ALL_ZONES, Occasion, Reloader, Settings},
        served::Cell,
        zones::DatasetSpec,
    },
    wire::name::Name,
};
use tracing::Level;

use super::{
    both_ways,
    happening::Action,
    script::{File, Moment, Options, Script},
    server::{write_file, write_files},
};

/// What is served, and how the server presents itself.
pub(crate) struct World {
    root: tempfile::TempDir,
    config: Config,
    policy: Policy,
    cell: Cell,
    reloader: Reloader,
    /// When the script began, by the clock that only runs.
    began: Instant,
    /// The last moment of the script.
    last: Moment,
    /// Failed loads so far, by zone and reason.
    failed: BTreeMap<(String, &'static str), u64>,
    /// What was logged while nothing else was to be done.
    logged: Vec<String>,
}

impl World {
    /// What a script begins with; its zones are loaded unless it says itself when the server starts.
    pub(crate) fn new(script: &Script) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(zones(root.path())).expect("a folder");
        write_files(&zones(root.path()), &script.files);
        let config = configuration(root.path(), &script.specs, &script.options);
        let (cell, reloader) = unloaded(&config);
        let mut world = Self {
            root,
            config,
            policy: policy(&script.options),
            cell,
            reloader,
            began: Instant::now(),
            last: Moment::default(),
            failed: BTreeMap::new(),
            logged: Vec::new(),
        };
        if let Some(first) = script.steps.first().filter(|_| !script.has_events()) {
            world.act(&Action::Start, first.at);
        }
        world
    }

    /// Lets time pass until then. A server that has nothing else to do keeps what went live.
    pub(crate) fn pass_time(&mut self, until: Moment) {
        if until.passed > self.last.passed {
            self.keep();
        }
        self.last = until;
    }

    fn keep(&mut self) {
        let reloader = &mut self.reloader;
        self.logged.extend(logged(|| while reloader.keep_next(&mut |_| {}) {}).1);
    }

    /// A file comes, at once and whole.
    pub(crate) fn drop_file(&self, file: &File) {
        write_file(&zones(self.root.path()), file);
    }

    /// A file goes.
    pub(crate) fn remove_file(&self, name: &str) {
        let path = zones(self.root.path()).join(name);
        fs::remove_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Has the server look at its files, and tells what came of it, a line each.
    pub(crate) fn act(&mut self, action: &Action, at: Moment) -> Vec<String> {
        if *action == Action::Start {
            self.keep();
            (self.cell, self.reloader) = unloaded(&self.config);
            self.failed.clear();
        }
        let zone = match action {
            Action::Accept(zone) if zone == ALL_ZONES => Some(Name::root()),
            Action::Accept(zone) => Some(Name::parse(zone.as_bytes()).expect("a zone's name")),
            _ => None,
        };
        let occasion = match action {
            Action::Change => Occasion::Change,
            Action::Check => Occasion::Interval,
            Action::Start | Action::Reload | Action::Accept(_) => Occasion::Command(zone.as_slice()),
        };
        let time = (at.now_s(), self.began + at.passed);
        let (before, reloader) = (self.cell.load_full(), &mut self.reloader);
        let (report, log) = logged(|| reloader.look_at(time, occasion, &mut |_| {}));
        let mut lines = std::mem::take(&mut self.logged);
        lines.extend(log);
        lines.extend(report.datasets.iter().map(|read| format!("read {}", files_of(&read.dataset))));
        let went_live = report.datasets.iter().any(|read| read.failure.is_none());
        if *action != Action::Start && !went_live && !Arc::ptr_eq(&before, &self.cell.load()) {
            lines.push("published".to_owned());
        }
        lines.extend(self.standing());
        let root = format!("{}/", self.root.path().display());
        for line in &mut lines {
            *line = line.replace(&format!("{root}zones/"), "").replace(&root, "");
        }
        lines
    }

    /// What can be told of the server now, and what failed since the last time.
    fn standing(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let status = self.reloader.status().read().clone();
        for ((zone, reason), count) in &status.failed_loads {
            let before = self.failed.insert((zone.clone(), reason), *count).unwrap_or(0);
            lines.extend((before..*count).map(|_| format!("failed {zone} {reason}")));
        }
        lines.extend(status.troubles.iter().map(|(dataset, trouble)| format!("trouble {dataset}: {}", trouble.text)));
        if self.reloader.has_unquiet() {
            lines.push("waiting".to_owned());
        }
        for zone in self.cell.load().snapshot.zones() {
            let datasets = zone.content.iter().flat_map(|content| content.datasets());
            lines.push(format!("entries {} {}", zone.apex, datasets.map(|dataset| dataset.len()).sum::<usize>()));
        }
        lines
    }

    /// Asks, and returns what became of it with the octets of the reply.
    pub(crate) fn ask(&self, address: IpAddr, transport: Transport, now_s: u64, request: &[u8]) -> (Outcome, Vec<u8>) {
        let mut buffer = vec![0; 65_535];
        let served = self.cell.load();
        let live = dnsbld::zone::live::Live::NONE;
        let world = answer::World { snapshot: &served.snapshot, policy: &self.policy, now_s, live };
        let outcome = both_ways::answer(world, Client { address, transport }, request, &mut buffer);
        buffer.truncate(outcome.reply_len.into());
        (outcome, buffer)
    }
}

fn zones(root: &Path) -> PathBuf {
    root.join("zones")
}

fn files_of(dataset: &DatasetSpec) -> String {
    dataset.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(",")
}

/// What the server makes of a configuration file that says what the script does.
fn configuration(root: &Path, specs: &[String], options: &Options) -> Config {
    let zones = zones(root);
    let source =
        if specs.is_empty() { format!("folder = '{}'", zones.display()) } else { format!("zones = {specs:?}") };
    // Beside the files, since their paths are read from there; hidden, since it is no zone.
    let path = zones.join(".dnsbld.toml");
    let state = root.join("state");
    let text = format!("{source}\nstate = '{}'\n[reload]\n{}\n", state.display(), options.reload.join("\n"));
    fs::write(&path, text).expect("a configuration written");
    Config::from_file(&path).unwrap_or_else(|error| panic!("{error:#}"))
}

fn policy(options: &Options) -> Policy {
    Policy {
        udp_payload_len: options.payload_len.unwrap_or(DEFAULT_UDP_PAYLOAD_LEN),
        minimal: options.minimal,
        version: options.version.as_deref().map(Into::into),
        identity: options.identity.as_deref().map(Into::into),
        cookie_secret: *b"a golden secret!",
        leaves_signed: false,
    }
}

/// A server before its first look.
fn unloaded(config: &Config) -> (Cell, Reloader) {
    let state = config.state.as_deref().expect("a state folder");
    let cell = Cell::default();
    let settings = Settings {
        rules: config.rules.clone(),
        kept: Some(Kept::new(state, config.kept_max_bytes).expect("a state folder")),
        accept_command: control::accept_command(Some(state)),
        ..Settings::new(config.zones.clone(), config.load.clone())
    };
    let reloader = Reloader::new(settings, Arc::clone(&cell));
    (cell, reloader)
}

/// Does something, and returns the warnings and errors that were logged meanwhile, a line each.
fn logged<T>(done: impl FnOnce() -> T) -> (T, Vec<String>) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::WARN)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .finish();
    let result = tracing::subscriber::with_default(subscriber, done);
    let octets = log.0.lock().unwrap_or_else(PoisonError::into_inner);
    let lines = String::from_utf8_lossy(&octets).into_owned();
    let line = |line: &str| {
        let line = line.trim_start();
        line.strip_prefix("ERROR ")
            .map_or_else(|| line.replacen("WARN ", "warning ", 1), |text| format!("error {text}"))
    };
    (result, lines.lines().map(line).collect())
}

/// What is logged.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
