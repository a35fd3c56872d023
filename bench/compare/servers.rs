//! How each server is started: on core 0, with the words that it takes, and a port of its own.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    data::{self, Extras},
    fixtures::Fixture,
    generator::{Outcome, Pace, Question, ask},
    server::{Server, pinned},
};

pub(crate) const OURS: &str = "dnsbld";
pub(crate) const THEIRS: &str = "rbldnsd";
/// Debian's rbldnsd with `-f`: it forks for a reload, and the child answers meanwhile.
pub(crate) const FORKING: &str = "rbldnsd-f";
/// Ours on a folder, as `dnsbld serve`: files are taken unasked, their last good versions kept.
pub(crate) const SERVING: &str = "dnsbld-serve";
/// `dnsbld serve` with requests taken straight from a network interface.
pub(crate) const TAPPING: &str = "dnsbld-interface";
pub(crate) const ECHO_ONE: &str = "echo-recvfrom";
pub(crate) const ECHO_BATCH: &str = "echo-recvmmsg";
/// The folder of the files that `dnsbld serve` serves.
pub(crate) const ZONES: &str = "zones";
/// What it keeps.
const STATE: &str = "state";
pub(crate) const SERVER_CORE: &str = "0";
/// Where the load rests meanwhile.
pub(crate) const BOTH_CORES: &str = "0,1";

/// The programs to measure.
pub(crate) struct Programs {
    pub(crate) ours: PathBuf,
    pub(crate) theirs: PathBuf,
    own: PathBuf,
}

/// What is written down of a run.
pub(crate) struct Row {
    pub(crate) server: &'static str,
    pub(crate) list: String,
    pub(crate) what: String,
    pub(crate) outcome: Outcome,
    user_us: f64,
    system_us: f64,
}

impl Programs {
    pub(crate) fn new(ours: &str, theirs: &str) -> io::Result<Self> {
        Ok(Self { ours: ours.into(), theirs: theirs.into(), own: std::env::current_exe()? })
    }

    /// rbldnsd's command line: ours with so many workers, or theirs.
    pub(crate) fn command(&self, name: &str, cores: &str, workers: usize) -> Command {
        with_words(pinned(cores, self.program(name)), name, workers)
    }

    pub(crate) fn program(&self, name: &str) -> &Path {
        match name {
            OURS | SERVING | TAPPING => &self.ours,
            ECHO_ONE | ECHO_BATCH => &self.own,
            _ => &self.theirs,
        }
    }

    /// A server of these lists on core 0, with one worker.
    pub(crate) fn start(&self, name: &'static str, folder: &Path, lists: &[&Fixture]) -> io::Result<Server> {
        self.start_on(name, SERVER_CORE, 1, folder, lists)
    }

    /// A server of these lists on those cores.
    pub(crate) fn start_on(
        &self,
        name: &'static str,
        cores: &str,
        workers: usize,
        folder: &Path,
        lists: &[&Fixture],
    ) -> io::Result<Server> {
        start(name, self.command(name, cores, workers), here(name), folder, lists)
    }

    /// A server of a list with one worker on core 0, whose instructions are counted and written there when it ends.
    pub(crate) fn start_counted(
        &self,
        name: &'static str,
        folder: &Path,
        list: &Fixture,
        profile: &Path,
    ) -> io::Result<Server> {
        let mut command = pinned(SERVER_CORE, "valgrind".as_ref());
        command.args(["--tool=callgrind", "--quiet", &format!("--callgrind-out-file={}", profile.display())]);
        command.arg(self.program(name));
        start(name, with_words(command, name, 1), here(name), folder, &[list])
    }

    /// `dnsbld serve` on core 0, with one worker, of a folder's [`ZONES`], with nothing that was kept before; with `more` in its
    /// configuration, and with metrics at that address or `off`.
    pub(crate) fn start_serving(&self, folder: &Path, more: &str, http: &str, zone: &str) -> io::Result<Server> {
        let (config, state) = (folder.join("dnsbld.toml"), folder.join(STATE));
        fs::write(&config, format!("folder = \"{ZONES}\"\nstate = \"{STATE}\"\n{more}"))?;
        if state.exists() {
            fs::remove_dir_all(state)?;
        }
        let address = here(SERVING);
        let mut command = pinned(SERVER_CORE, self.program(SERVING));
        command.args(["serve", "--workers", "1", "--http", http, "--listen", &address.to_string()]);
        command.arg("--config").arg(config);
        Server::start(SERVING, command, address, &probe(zone))
    }

    /// A server that only sends back.
    pub(crate) fn start_echo(&self, name: &'static str) -> io::Result<Server> {
        start_echo(name, pinned(SERVER_CORE, self.program(name)), here(name))
    }
}

/// A server that only sends back, by a command line that lacks no more than how and where.
pub(crate) fn start_echo(name: &'static str, mut command: Command, address: SocketAddr) -> io::Result<Server> {
    command.args(["echo", if name == ECHO_BATCH { "batch" } else { "one" }, &address.to_string()]);
    Server::start(name, command, address, &data::query(0, "example", 1, Extras::default()))
}

/// What a server's own command line begins with.
pub(crate) fn with_words(mut command: Command, name: &str, workers: usize) -> Command {
    match name {
        OURS => command.args(["rbldnsd", "-W", &workers.to_string()]),
        FORKING => command.arg("-f"),
        _ => &mut command,
    };
    command
}

/// Starts a server of these lists by a command line that lacks no more than them and the address.
pub(crate) fn start(
    name: &'static str,
    mut command: Command,
    address: SocketAddr,
    folder: &Path,
    lists: &[&Fixture],
) -> io::Result<Server> {
    command.args(["-n", "-c", "0", "-b", &format!("{}/{}", address.ip(), address.port()), "-w"]).arg(folder);
    command.args(lists.iter().map(|list| list.spec()));
    Server::start(name, command, address, &probe(lists[0].zone))
}

/// What a server is asked until it answers.
pub(crate) fn probe(zone: &str) -> Vec<u8> {
    data::query(0, &format!("0.0.0.0.{zone}"), 1, Extras::default())
}

/// Each server has its own port, and so may run beside the others.
fn here(name: &str) -> SocketAddr {
    let port = match name {
        OURS => 5901,
        THEIRS => 5902,
        FORKING => 5903,
        ECHO_ONE => 5904,
        SERVING => 5906,
        _ => 5905,
    };
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Asks a server, and takes its processor time with it.
pub(crate) fn measure(
    server: &Server,
    list: &str,
    questions: &[Question],
    pace: Pace,
    time: Duration,
) -> io::Result<Row> {
    let before = server.cpu()?;
    let outcome = ask(server.address, questions, pace, time, || {})?;
    let [user_us, system_us] = server.cpu()?.each_us(before, outcome.sent - outcome.lost);
    let (list, what) = (list.to_owned(), pace.to_string());
    let row = Row { server: server.name, list, what, outcome, user_us, system_us };
    println!("{}", row.line());
    Ok(row)
}

impl Row {
    pub(crate) const COLUMNS: &str = "server\tlist\twhat\tsent\tanswered\tlost\twrong\tper_s\tuser_us\tsystem_us\tcpu_us\t\
                                      p50_us\tp90_us\tp99_us\tp999_us\tlongest_us\tload_late_us";

    pub(crate) fn line(&self) -> String {
        let Self { server, list, what, outcome, user_us, system_us } = self;
        let Outcome { sent, answered, lost, wrong, late_us, .. } = outcome;
        let [p50, p90, p99, p999, longest] = [500, 900, 990, 999, 1_000].map(|permille| outcome.permille_us(permille));
        format!(
            "{server}\t{list}\t{what}\t{sent}\t{answered}\t{lost}\t{wrong}\t{:.0}\t{user_us:.3}\t{system_us:.3}\t{:.3}\t\
             {p50}\t{p90}\t{p99}\t{p999}\t{longest}\t{late_us}",
            outcome.per_second(),
            self.cpu_us(),
        )
    }

    pub(crate) fn cpu_us(&self) -> f64 {
        self.user_us + self.system_us
    }

    pub(crate) fn user_us(&self) -> f64 {
        self.user_us
    }

    pub(crate) fn system_us(&self) -> f64 {
        self.system_us
    }
}

/// What that server's runs with that list came to, in the order of the turns.
pub(crate) fn of(rows: &[Row], server: &str, list: &str, what: impl Fn(&Row) -> f64) -> Vec<f64> {
    rows.iter().filter(|row| row.server == server && row.list == list).map(what).collect()
}
