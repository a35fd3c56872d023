//! Asking and telling a running server. Nothing here is on the way of a query.
//!
//! | door | who may | where |
//! |---|---|---|
//! | the control socket, a Unix socket in the state folder | whom the permissions of the folder let in | here |
//! | HTTP with JSON | the holder of a token | `api/` |
//! | DNS UPDATE (RFC 2136) | the holder of a key, who signs | `update/` |
//! | rspamd's datagrams | this machine, or whom the permissions of a path let in | `rspamd.rs` |
//!
//! Over the control socket anything can be asked, and over the others live listings only. A request there is one line of JSON,
//! and so is its answer; then the server closes.
//!
//! ```text
//! listings.rs    lists, delists, and tells of listings over the control socket
//! typed.rs       keys, times and lines as operators type them
//! lines.rs       many lines behind a request
//! unmet.rs       why one is not met
//! client.rs      who asks
//! changed.rs     what became of a change, and what else lists its key
//! explain.rs     why a key is listed; by_command.rs, as far as that was by command
//! compare.rs     what would change if files were dropped
//! stats.rs       what was counted, as it is told
//! query_log.rs   the query log, as it is switched
//! permit.rs      keys, tokens, and the zones that they are for
//! tally.rs       what came in by each door, counted
//! api/           HTTP: requests, bodies, many changes at once, errors
//! update/        DNS UPDATE: from a message to changes and back
//! message.rs     DNS messages with all their records
//! tsig.rs        who signed one (RFC 8945)
//! rspamd.rs      datagrams
//! users.rs       names of those who send
//! sparing.rs     what others can cause, said now and then
//! claim.rs       the paths of sockets, and what may be removed there
//! ```

pub mod api;
mod by_command;
mod changed;
pub(crate) mod claim;
mod client;
mod compare;
mod explain;
mod lines;
pub mod listings;
pub mod message;
pub mod permit;
mod query_log;
pub mod rspamd;
mod sparing;
mod stats;
pub mod tally;
pub mod tsig;
mod typed;
mod unmet;
pub mod update;
mod users;

use std::{
    collections::BTreeSet,
    io,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::UnixListener,
};
use tracing::{debug, info, warn};

pub use by_command::ByCommand;
use claim::{claim, is_free};
pub use client::{ask, ask_for_lines, ask_with_lines};
pub use compare::{Comparison, ToldAccess, ToldAmounts, ToldChange, faults};
pub use explain::{Explanation, Ground, Listing, explain, show_expired};
use listings::{Clerk, ListingsAnswer, ListingsRequest};
pub use query_log::{QueryLogState, QueryRules};
use sparing::Sparing;
pub use stats::{NO_ZONE, Statistics, ZoneStatistics};
use tally::Tally;
use users::user_name;

use crate::{
    live::{
        clock,
        drops::{Drop, compare_drops},
        listings::{Door, Listings, Origin, StoreError},
        reloader::ALL_ZONES,
        served::{Cell, LiveCell},
        state::{make_again, remedy},
        status::SharedStatus,
        watch::Trigger,
        zones::DatasetSpec,
    },
    load::{Options, Report},
    wire::name::Name,
    zone::snapshot::Snapshot,
};

/// The socket's name in the state folder.
const SOCKET_NAME: &str = "control";

/// Its owner and group may connect: those whom the folder lets in.
const SOCKET_MODE: u32 = 0o660;

/// Longest request, in octets: whoever holds a folder against what is served names its files, some tens of thousands at most.
const REQUEST_MAX_LEN: u64 = 4 << 20;

/// What can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "command")]
pub enum Request {
    /// Look at the files now.
    Reload {
        /// Take what was refused of these zones after all.
        accept: Vec<String>,
    },
    /// Why, and for how long, is this listed?
    Explain {
        /// An address or a domain name.
        key: String,
        /// Only in these zones; none means all.
        zones: Vec<String>,
    },
    /// What would change if these files were dropped?
    Diff {
        /// The files, which the server must be able to read.
        drops: Vec<Drop>,
        /// So many changes of each kind are to be shown.
        show: usize,
    },
    /// What was counted, what is served, and what is wrong with it?
    Stats,
    /// What is the query log doing?
    QueryLog,
    /// Log queries by these rules, or none.
    SwitchQueryLog {
        /// Which; none switches it off.
        rules: Option<QueryRules>,
    },
    /// List, delist, and tell of what is listed by command.
    Listings {
        /// What of it. It has a tag of its own: were it one of these (`untagged`), nobody could say why a request cannot be read.
        asked: ListingsRequest,
    },
}

/// What is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Answer {
    /// The reload is over.
    Reloaded {
        /// Datasets that were read.
        loaded: usize,
        /// Datasets that are served no more, as their files are gone, or for want of data that they give access to.
        #[serde(default)]
        let_go: Vec<String>,
        /// Datasets whose newest files are not what is served, and why.
        troubles: Vec<(String, String)>,
    },
    /// What each zone says of the key.
    Explained {
        /// Zone by zone.
        zones: Vec<Explanation>,
    },
    /// What would change.
    Difference {
        /// Zone by zone, of those that the files are for.
        zones: Vec<Comparison>,
        /// What is wrong with lines of the files, which list nothing then.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        faults: Vec<String>,
    },
    /// What was counted, and how it is.
    Stats {
        /// Counts since the start, and the state of zones.
        statistics: Statistics,
    },
    /// What the query log does.
    QueryLog {
        /// Its state.
        state: QueryLogState,
    },
    /// The request cannot be met.
    Error {
        /// Why.
        text: String,
    },
    /// What became of a request about live listings.
    Listings {
        /// Of that request.
        told: ListingsAnswer,
    },
}

/// The path of the socket of a server with that state folder.
pub fn socket_path(state: &Path) -> PathBuf {
    state.join(SOCKET_NAME)
}

/// The command by which an operator accepts what was refused, up to the zone's name; nothing without a state folder.
pub fn accept_command(state: Option<&Path>) -> String {
    state.map(|state| format!("dnsbld reload --state {} --accept", state.display())).unwrap_or_default()
}

/// Binds the socket. One that a server left behind is taken over; one that a server answers is not.
///
/// # Errors
/// When the folder does not permit it, or another server uses it, or something else lies there.
pub fn bind(state: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    let path = socket_path(state);
    let advise = |error: io::Error| match error.kind() {
        // Those say it.
        io::ErrorKind::AddrInUse | io::ErrorKind::AlreadyExists => error,
        kind => io::Error::new(kind, format!("{error}: {}", remedy(state, &error))),
    };
    claim(&path, UnixStream::connect(&path).map(drop)).map_err(advise)?;
    let listener = std::os::unix::net::UnixListener::bind(&path).map_err(advise)?;
    // To connect is to write (unix(7)): the umask leaves that to the owner, and the folder lets its group in.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The rest of a running server, as far as it can be asked and told from here.
pub trait Operator: Send + Sync {
    /// What was counted.
    fn statistics(&self) -> Statistics;

    /// Datasets whose newest files are not what is served, and why; and what is wrong with live listings.
    fn troubles(&self) -> Vec<(String, String)>;

    /// Switches the query log.
    ///
    /// # Errors
    /// In words for whoever switched.
    fn switch_query_log(&self, rules: Option<QueryRules>) -> Result<(), String>;

    /// What the query log does.
    fn query_log(&self) -> QueryLogState;
}

/// What requests are met from.
#[derive(Clone)]
pub struct Desk {
    /// What is served.
    pub cell: Cell,
    /// What is known of reloads.
    pub status: SharedStatus,
    /// How files are read.
    pub options: Options,
    /// Everything else.
    pub operator: Arc<dyn Operator>,
    /// The reloading thread.
    pub reloader: mpsc::Sender<Trigger>,
    /// What of it is listed by command.
    pub live: LiveCell,
    /// The store of that, or why there is none.
    pub listings: Result<Listings, StoreError>,
    /// What came in by the doors to it.
    pub doors: Arc<Tally>,
}

/// Serves requests until the runtime ends. If the socket could not be bound, as another server has it, that is tried again from time
/// to time, and what is wrong is told once.
pub async fn serve_in_turn(mut bound: io::Result<std::os::unix::net::UnixListener>, state: PathBuf, desk: Desk) {
    const TRY_EVERY: Duration = Duration::from_secs(10);
    const LOOK_EVERY: Duration = Duration::from_millis(500);
    let (socket, mut told) = (socket_path(&state), String::new());
    loop {
        let is_taken = bound.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse);
        match bound.and_then(UnixListener::from_std) {
            Ok(listener) => {
                if !told.is_empty() {
                    info!(socket = %socket.display(), "the control socket is free, and this server's from now on");
                }
                return serve(listener, state, desk).await;
            }
            Err(error) if is_news(&error, &mut told) => warn!(socket = %socket.display(), "no control socket: {error}"),
            Err(_) => {}
        }
        // While the other one has the listings, it is to be asked as well; once they are this server's, that is ready.
        let waits = || is_taken && desk.listings.as_ref().is_ok_and(Listings::waits);
        tokio::time::sleep(if waits() { LOOK_EVERY } else { TRY_EVERY }).await;
        while waits() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        // To look whether somebody is there may take a while.
        let folder = state.clone();
        bound = tokio::task::spawn_blocking(move || bind(&folder)).await.unwrap_or_else(|error| Err(error.into()));
    }
}

/// Whether an error is another than the one that was told last; if so, it is that from now on.
fn is_news(error: &io::Error, told: &mut String) -> bool {
    let text = error.to_string();
    let is_news = text != *told;
    *told = text;
    is_news
}

/// Serves requests until the runtime ends, at the socket of that state folder; one that is removed is made again.
async fn serve(mut listener: UnixListener, state: PathBuf, desk: Desk) {
    const PAUSE: Duration = Duration::from_millis(100);
    const LOOK: Duration = Duration::from_secs(2);
    let mut looks = tokio::time::interval(LOOK);
    let mut may_complain = true;
    let failures = Sparing::once();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = looks.tick() => {
                match bind_again(&state) {
                    Ok(bound) => {
                        listener = bound.unwrap_or(listener);
                        may_complain = true;
                    }
                    Err(error) if may_complain => {
                        warn!(socket = %socket_path(&state).display(), "the control socket is gone: {error}");
                        may_complain = false;
                    }
                    Err(_) => {}
                }
                continue;
            }
        };
        match accepted {
            Ok((stream, _)) => {
                let desk = desk.clone();
                tokio::spawn(async move {
                    match attend(stream, &desk).await {
                        Err(error) if is_clients(&error) => debug!("a control connection ended: {error}"),
                        Err(error) => warn!("a control connection ended: {error}"),
                        Ok(()) => {}
                    }
                });
            }
            Err(error) => {
                if let Some(count) = failures.add(clock::now_s()) {
                    warn!("cannot accept a control connection: {error} ({count} times since this was last said)");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Makes the socket again where nothing is at its place any more, and its folder as well.
fn bind_again(state: &Path) -> io::Result<Option<UnixListener>> {
    let path = socket_path(state);
    if !is_free(&path) {
        return Ok(None);
    }
    make_again(state)?;
    let listener = UnixListener::from_std(bind(state)?)?;
    warn!(socket = %path.display(), "the control socket was removed under the running server, and is made again");
    Ok(Some(listener))
}

/// Reads the name of a zone, which must be served; if it is not, says which are.
pub(crate) fn served_zone(snapshot: &Snapshot, text: &str) -> Result<Name, String> {
    /// A hosting provider has thousands.
    const NAMED: usize = 20;
    let name = Name::parse(text.as_bytes()).map_err(|error| format!("{text}: {error}"))?;
    if snapshot.zone(&name).is_some() {
        return Ok(name);
    }
    if let Some(zone) = snapshot.subzone(&name) {
        return Err(format!("{name} is a subzone of zone {}: name that", zone.apex));
    }
    let mut served: Vec<String> = snapshot.zones().iter().take(NAMED).map(|zone| zone.apex.to_string()).collect();
    if let more @ 1.. = snapshot.zones().len().saturating_sub(NAMED) {
        served.push(format!("{more} more (`dnsbld status`)"));
    }
    if served.is_empty() {
        served.push("none (`dnsbld status`)".to_owned());
    }
    Err(format!("no zone {name} is served here; there are: {}", served.join(", ")))
}

async fn attend(stream: tokio::net::UnixStream, desk: &Desk) -> io::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let uid = stream.peer_cred()?.uid();
    let (reader, mut writer) = stream.into_split();
    let mut line = Vec::new();
    let mut reader = tokio::io::BufReader::new(reader);
    let read = tokio::time::timeout(PATIENCE, (&mut reader).take(REQUEST_MAX_LEN).read_until(b'\n', &mut line)).await;
    if read?? == 0 {
        return Ok(()); // somebody looked whether anybody is there
    }
    let answer = match read_request(&line) {
        Ok(request) => desk.meet(request, uid, &mut reader, &mut writer).await?,
        Err(why) => Answer::Error { text: why },
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    writer.write_all(&line).await
}

/// Whether a connection ended as its client went away, or said nothing: that is no trouble of the server.
fn is_clients(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::TimedOut)
}

/// Reads a request. Nobody asks here but this program, so what it cannot read comes from another version of it.
fn read_request(line: &[u8]) -> Result<Request, String> {
    let unreadable = |error: &dyn std::fmt::Display| {
        format!("the request cannot be read: {error}: is this server of another version than the command that asks?")
    };
    if line.len() as u64 >= REQUEST_MAX_LEN && !line.ends_with(b"\n") {
        return Err(unreadable(&format_args!("it is longer than {REQUEST_MAX_LEN} octets")));
    }
    serde_json::from_slice(line).map_err(|error| unreadable(&error))
}

impl Desk {
    /// Meets a request of that user; lines behind it are read from `reader`, and those behind the answer are written.
    async fn meet(
        &self,
        request: Request,
        uid: u32,
        reader: &mut (impl AsyncBufRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<Answer> {
        Ok(match request {
            Request::Reload { accept } => self.reload(accept).await,
            Request::Explain { key, zones } => self.explain(key, zones).await,
            Request::Listings { asked } => match &self.listings {
                Ok(listings) => {
                    let who = tokio::task::spawn_blocking(move || user_name(uid)).await?;
                    let origin = Origin { door: Door::Command, who, from: None };
                    let clerk = Clerk { listings, cell: &self.cell, origin };
                    let asks_only = asked.asks_only();
                    let told = clerk.meet(asked, reader, writer).await?;
                    self.doors.count(Door::Command, unmet::upshot(&told, asks_only));
                    match told {
                        Ok(told) => Answer::Listings { told },
                        Err(why) => Answer::Error { text: why.to_string() },
                    }
                }
                Err(why) => Answer::Error { text: why.to_string() },
            },
            Request::Stats => Answer::Stats { statistics: self.operator.statistics() },
            Request::QueryLog => Answer::QueryLog { state: self.operator.query_log() },
            Request::SwitchQueryLog { rules } => match self.operator.switch_query_log(rules) {
                Ok(()) => Answer::QueryLog { state: self.operator.query_log() },
                Err(text) => Answer::Error { text },
            },
            Request::Diff { drops, show } => self.compare(drops, show).await,
        })
    }

    async fn reload(&self, accept: Vec<String>) -> Answer {
        let served = self.cell.load();
        let zone_of = |text: &String| match &**text {
            ALL_ZONES => Ok(Name::root()),
            zone => served_zone(&served.snapshot, zone),
        };
        let accept = match accept.iter().map(zone_of).collect::<Result<_, _>>() {
            Ok(accept) => accept,
            Err(text) => return Answer::Error { text },
        };
        drop(served);
        let datasets =
            || -> BTreeSet<String> { self.status.read().specs.iter().map(|spec| spec.dataset.to_string()).collect() };
        let before = datasets();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        if self.reloader.send(Trigger::Now { accept, done: Some(sender) }).is_err() {
            return Answer::Error { text: "the reloader has ended".to_owned() };
        }
        match receiver.await {
            Ok(loaded) => {
                let let_go = before.difference(&datasets()).cloned().collect();
                Answer::Reloaded { loaded, let_go, troubles: self.operator.troubles() }
            }
            // Nobody holds the other end any more.
            Err(_) => Answer::Error {
                text: "the reload was broken off: the server is ending, or its log says why".to_owned(),
            },
        }
    }

    /// Reads files again, so not on the thread that attends to everyone.
    async fn explain(&self, key: String, zones: Vec<String>) -> Answer {
        let (served, specs) = (self.cell.load_full(), self.status.read().specs.clone());
        let options = Options { now_s: clock::now_s(), ..self.options.clone() };
        let by_command = ByCommand { live: self.live.load_full(), listings: self.listings.clone().ok() };
        let work = move || explain(&served.snapshot, &specs, &options, Some(&by_command), &key, &zones);
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(mut zones)) => {
                self.add_troubles(&mut zones);
                Answer::Explained { zones }
            }
            Ok(Err(text)) => Answer::Error { text },
            Err(error) => Answer::Error { text: format!("the server failed to look: {error}") },
        }
    }

    /// Says where what is answered is not what the files say now.
    fn add_troubles(&self, explanations: &mut [Explanation]) {
        let (status, served) = (self.status.read(), self.cell.load());
        for explanation in explanations {
            // What is explained may be a subzone of the zone.
            let name = Name::parse(explanation.zone.as_bytes()).ok();
            let zone = name.and_then(|name| served.snapshot.zone_of(&name, &Name::root()));
            let Some(apex) = zone.map(|zone| zone.apex.to_string()) else { continue };
            let troubles = status.troubles.iter().filter(|(_, trouble)| trouble.zones.contains(&apex));
            explanation.troubles = troubles.map(|(dataset, trouble)| (dataset.clone(), trouble.text.clone())).collect();
        }
    }

    /// Loads files aside, so not on the thread that attends to everyone.
    async fn compare(&self, drops: Vec<Drop>, show: usize) -> Answer {
        let (served, specs) = (self.cell.load_full(), self.status.read().specs.clone());
        let options = self.options.clone();
        let work = move || {
            let mut found = Vec::new();
            // The log tells of those beside them.
            let mut tell = |dataset: &DatasetSpec, report: &Report| {
                if drops.iter().any(|drop| drop.is_of(dataset)) {
                    found.extend(faults(dataset, report));
                }
            };
            compare_drops(&served, &specs, &drops, &options, show, &mut tell).map(|differences| (differences, found))
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok((differences, faults))) => {
                Answer::Difference { zones: differences.iter().map(Comparison::from).collect(), faults }
            }
            Ok(Err(text)) => Answer::Error { text },
            Err(error) => Answer::Error { text: format!("the server failed to compare: {error}") },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_cannot_be_read_says_why() {
        let show = |rest: &str| format!(r#"{{"command": "listings", "asked": {{"command": "show", {rest}}}}}"#);
        let whole = show(r#""zone": "bl.example", "limit": 1, "counts_more": false"#);
        assert!(read_request(whole.as_bytes()).is_ok(), "{:?}", read_request(whole.as_bytes()));
        for (line, why) in [
            (r#"{"command": "explain", "key": "192.0.2.1"}"#, "missing field `zones`"),
            (r#"{"command": "frobnicate"}"#, "unknown variant `frobnicate`"),
            // As it was before listings had a place of their own.
            (r#"{"command": "show", "zone": "bl.example", "limit": 1}"#, "unknown variant `show`"),
            (&show(r#""zone": "bl.example", "limit": 1"#), "missing field `counts_more`"),
            (r#"{"command": "listings", "asked": {"command": "frobnicate"}}"#, "unknown variant `frobnicate`"),
        ] {
            let said = read_request(line.as_bytes()).expect_err(line);
            assert!(said.contains(why) && said.contains("is this server of another version"), "{said}");
        }
    }

    #[test]
    fn a_file_at_its_place_stays() {
        let state = tempfile::tempdir().expect("a folder");
        std::fs::write(socket_path(state.path()), "Source: dnsbld").expect("written");
        let why = bind(state.path()).expect_err("no socket").to_string();
        assert!(why.contains("control is no socket, and is left as it is"), "{why}");
        assert_eq!(std::fs::read_to_string(socket_path(state.path())).expect("it is there"), "Source: dnsbld");
    }

    #[test]
    fn a_folder_that_will_not_do_says_what_will() {
        let state = Path::new("/tmp").join("long".repeat(50));
        let why = bind(&state).expect_err("no socket").to_string();
        assert!(why.contains(": name another folder (`state` or --state)"), "{why}");
    }

    #[test]
    fn what_is_wrong_is_told_once() {
        let state = tempfile::tempdir().expect("a folder");
        let (socket, mut told) = (socket_path(state.path()), String::new());
        let mut tells = || bind(state.path()).is_err_and(|error| is_news(&error, &mut told));
        std::fs::create_dir(&socket).expect("made");
        assert_eq!([tells(), tells()], [true, false]);
        std::fs::remove_dir(&socket).expect("removed");
        let another = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
        assert_eq!([tells(), tells()], [true, false]);
        drop(another);
        assert!(!tells(), "it is taken over");
    }

    #[test]
    fn owner_and_group_may_connect() {
        let state = tempfile::tempdir().expect("a folder");
        let listener = bind(state.path()).expect("bound");
        let mode = std::fs::metadata(socket_path(state.path())).expect("a socket").permissions().mode();
        assert_eq!(mode & 0o777, 0o660, "and no umask decides otherwise");
        drop(listener);
    }
}
