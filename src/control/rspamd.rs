//! rspamd's update datagrams, as its fork of rbldnsd takes them: `ZONE NUL LINE`, answered `OK` or `FAIL`.
//!
//! LINE is a line of a dataset: a key, perhaps a value (`:127.0.0.3:text`), perhaps parameters (`@ lifetime=1h`); `!` in front
//! excludes. The fork cannot take a listing back; here `-` in front does. `OK` means that it is on disk and served, where the
//! fork says so whatever became of the line; `FAIL` means that nothing was changed, or that the store failed in the middle of it, and
//! the log says why.
//!
//! Nothing is signed, so the socket is one that only this machine reaches; who sent a datagram to a path is told by the
//! kernel. A path that is removed is made again, unless a chroot has put it out of reach.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    os::{
        fd::AsRawFd as _,
        unix::{fs::PermissionsExt as _, net::UnixDatagram},
    },
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrLike as _, UnixAddr, UnixCredentials, recvmsg, sendto, setsockopt,
    sockopt::PassCred,
};
use tracing::{error, info, warn};

use super::{
    claim::{claim, is_free},
    permit::Scope,
    sparing::{Sparing, and_more},
    tally::{Tally, Upshot},
    update::owner::Holds,
    users::{RecentUsers, user_name},
};
use crate::{
    live::{
        clock,
        listings::{Batch, Change, Door, Key, Lifetime, Listings, Op, Origin, Outcome, STILL_LISTED_MAX, Verdict},
        printable::printable,
        served::Cell,
    },
    load::{
        counted,
        single::{SingleLine, read_line},
    },
    wire::name::Name,
    zone::live::Place,
};

/// Longest datagram that the fork takes, in octets.
const DATAGRAM_MAX_LEN: usize = 4_095;

/// A pause after a failed receive, lest the thread spins on it.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// How often it is looked whether the path is still there.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Datagrams that wait for the disk at most; one more is answered `FAIL`.
const WAITING_MAX: usize = 2_048;

const OK: &[u8] = b"OK";
const FAIL: &[u8] = b"FAIL";

/// What a datagram asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked<'a> {
    zone: Name,
    line: &'a [u8],
}

fn split(datagram: &[u8]) -> Result<Asked<'_>, String> {
    let at = datagram.iter().position(|&octet| octet == 0).ok_or("no NUL between zone and line")?;
    let (zone, line) = (&datagram[..at], &datagram[at + 1..]);
    let zone = Name::parse(zone).map_err(|error| format!("zone {:?}: {error}", String::from_utf8_lossy(zone)))?;
    // Some senders end their lines as lines of a file, or as strings.
    let end = line.iter().rposition(|octet| !matches!(octet, 0 | b'\r' | b'\n')).map_or(0, |last| last + 1);
    Ok(Asked { zone, line: &line[..end] })
}

/// The changes that a datagram means, where `holds_of` tells which keys its zone takes, or why it takes none.
///
/// # Errors
/// Why it means none.
pub fn read(
    datagram: &[u8],
    holds_of: impl FnOnce(&Name) -> Result<Holds, String>,
    now_s: u64,
) -> Result<Vec<Change>, String> {
    if datagram.len() > DATAGRAM_MAX_LEN {
        return Err(format!("more than {DATAGRAM_MAX_LEN} octets"));
    }
    let Asked { zone, line } = split(datagram)?;
    changes(&zone, line, holds_of(&zone)?, now_s)
}

/// The changes that a line means in a zone that holds such keys.
fn changes(zone: &Name, line: &[u8], holds: Holds, now_s: u64) -> Result<Vec<Change>, String> {
    let removed = line.strip_prefix(b"-").map(<[u8]>::trim_ascii_start);
    // Whoever sends spam names hosts: one with a hyphen before it is a host as well, and takes back nothing that was said of
    // another.
    let removed_name = removed.filter(|_| line.get(1).is_some_and(u8::is_ascii_whitespace));
    let of_addresses = holds.v6.then(|| read_line(removed.unwrap_or(line), true, removed.is_some()));
    let of_names = || holds.names.then(|| read_line(removed_name.unwrap_or(line), false, removed_name.is_some()));
    let (read, is_removal) = match of_addresses {
        Some(Ok(read)) => (read, removed.is_some()),
        Some(Err(wrong)) => match of_names() {
            Some(Ok(read)) => (read, removed_name.is_some()),
            Some(Err(of_names)) => return Err(format!("{wrong}; or as a name, {of_names}")),
            None => return Err(wrong),
        },
        None => (of_names().ok_or("the zone holds no entries")??, removed_name.is_some()),
    };
    let says_more = read.address.is_some() || read.text.is_some() || read.is_exclusion;
    if is_removal && says_more {
        return Err("`-` takes a key back and nothing else".to_owned());
    }
    let reason = read.text.as_deref().map(|text| String::from_utf8_lossy(text).into_owned());
    let op = if is_removal { Op::Delist } else { put(&read, now_s)? };
    let change = |place| Change { zone: zone.clone(), key: key(place), op: op.clone(), reason: reason.clone() };
    Ok(read.places.iter().map(change).collect())
}

fn put(read: &SingleLine, now_s: u64) -> Result<Op, String> {
    let seen_s = read.seen_s.map_or(now_s, |seen_s| u64::from(seen_s).min(now_s));
    let lifetime = match (read.until_s.map(u64::from), read.lifetime_s) {
        (None, None) => Lifetime::Default,
        (None, Some(0)) => Lifetime::Endless,
        (None, Some(lifetime_s)) if read.seen_s.is_none() => Lifetime::For(Duration::from_secs(lifetime_s.into())),
        // A datagram that comes late says nothing of what was listed since.
        (None, Some(lifetime_s)) => Lifetime::AtLeastUntil(seen_s + u64::from(lifetime_s)),
        (Some(until_s), None | Some(0)) => Lifetime::Until(until_s),
        // As in files, the earlier of both counts.
        (Some(until_s), Some(lifetime_s)) => match seen_s + u64::from(lifetime_s) {
            end_s if end_s < until_s => Lifetime::AtLeastUntil(end_s),
            _ => Lifetime::Until(until_s),
        },
    };
    let text = read.text.clone().map(String::from_utf8).transpose().map_err(|_| "a text that is not UTF-8")?;
    let verdict = if read.is_exclusion { Verdict::Excluded } else { Verdict::Listed { address: read.address, text } };
    Ok(Op::Put { verdict, lifetime })
}

/// The key of a place; IPv4 prefixes may be in IPv6 clothes.
fn key(place: &Place) -> Key {
    match Key::of(place) {
        Key::Prefix(net) => Key::prefix(net),
        name @ Key::Name { .. } => name,
    }
}

/// A bound socket.
pub enum Socket {
    /// UDP on a loopback address.
    Udp(UdpSocket),
    /// A path and its permissions, as long as it is in reach.
    Unix(UnixDatagram, Option<(PathBuf, u32)>),
}

impl Socket {
    /// Binds a UDP address.
    ///
    /// # Errors
    /// As the system says.
    pub fn udp(address: SocketAddr) -> io::Result<Self> {
        UdpSocket::bind(address).map(Self::Udp)
    }

    /// Binds a path, to which those may send whom `mode` permits to write. One that a server left behind is taken over.
    ///
    /// # Errors
    /// When the folder does not permit it, or another server listens there, or something else lies there.
    pub fn unix(path: &Path, mode: u32) -> io::Result<Self> {
        claim(path, UnixDatagram::unbound()?.connect(path))?;
        let socket = UnixDatagram::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        setsockopt(&socket, PassCred, &true)?;
        socket.set_read_timeout(Some(LOOK_EVERY))?;
        Ok(Self::Unix(socket, Some((path.to_owned(), mode))))
    }

    /// The same when the process was confined to a folder since it was bound: what its path leads to now is something else.
    #[must_use]
    pub fn out_of_reach(self) -> Self {
        match self {
            Self::Unix(socket, _) => Self::Unix(socket, None),
            socket @ Self::Udp(_) => socket,
        }
    }

    /// Binds the path again where nothing is at its place any more.
    fn again(&self) -> io::Result<Option<Self>> {
        let Self::Unix(_, Some((path, mode))) = self else { return Ok(None) };
        if !is_free(path) {
            return Ok(None);
        }
        let socket = Self::unix(path, *mode)?;
        warn!(socket = %path.display(), "the socket for datagrams was removed under the running server, and is made again");
        Ok(Some(socket))
    }
}

/// Whom a reply goes to.
enum Sender {
    Udp(SocketAddr),
    /// None if the sender has no name, as most that only send, and then no reply.
    Unix(Option<UnixAddr>),
}

/// Whether an address has a name, and may be asked for it: of a sender without one the kernel gives no octet, not even the
/// family, and nix asserts that there is one.
fn is_named(address: &UnixAddr) -> bool {
    address.len() > UnixAddr::new_unnamed().len()
}

impl Socket {
    /// Waits for a datagram: its length, its sender, and who that is, if that can be told.
    fn receive(&self, buffer: &mut [u8], users: &mut RecentUsers) -> io::Result<(usize, Sender, Option<Origin>)> {
        let origin = |who: String, from: Option<IpAddr>| Some(Origin { door: Door::Rspamd, who, from });
        match self {
            Self::Udp(socket) => {
                let (length, sender) = socket.recv_from(buffer)?;
                Ok((length, Sender::Udp(sender), origin("datagram".to_owned(), Some(sender.ip()))))
            }
            Self::Unix(socket, ..) => {
                // There is room for the sender only, so file descriptors are not let in; the kernel cuts them off.
                let mut space = nix::cmsg_space!(UnixCredentials);
                let mut places = [io::IoSliceMut::new(buffer)];
                let flags = MsgFlags::MSG_CMSG_CLOEXEC;
                let received = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut places, Some(&mut space), flags)?;
                // An error says that something was cut off, and then nothing is told of the sender either.
                let credentials = received.cmsgs().ok().and_then(|mut messages| {
                    messages.find_map(|message| match message {
                        ControlMessageOwned::ScmCredentials(credentials) => Some(credentials),
                        _ => None,
                    })
                });
                let mut name = |uid| users.name(uid, Instant::now(), user_name);
                let origin = credentials.and_then(|credentials| origin(name(credentials.uid()), None));
                Ok((received.bytes, Sender::Unix(received.address.filter(is_named)), origin))
            }
        }
    }

    fn reply(&self, to: &Sender, words: &[u8]) {
        let sent = match (self, to) {
            (Self::Udp(socket), Sender::Udp(sender)) => socket.send_to(words, sender).map(drop),
            (Self::Unix(socket, ..), Sender::Unix(Some(sender))) => {
                sendto(socket.as_raw_fd(), words, sender, MsgFlags::MSG_DONTWAIT).map(drop).map_err(io::Error::from)
            }
            _ => Ok(()),
        };
        if let Err(error) = sent {
            warn!("a datagram cannot be answered: {error}");
        }
    }
}

/// What datagrams are met from.
pub struct Desk {
    /// What is served.
    pub cell: Cell,
    /// What is changed.
    pub listings: Listings,
    /// Which zones may be changed.
    pub scope: Scope,
    /// Where it is counted.
    pub tally: Arc<Tally>,
}

/// Starts the thread that takes datagrams, which ends with the process.
///
/// # Errors
/// When the system gives no thread.
pub fn serve(socket: Socket, desk: Desk) -> io::Result<()> {
    let attend = move || {
        let (mut socket, under_way) = (Arc::new(socket), Arc::new(UnderWay::default()));
        let mut buffer = [0; DATAGRAM_MAX_LEN + 1];
        let (mut looked, mut may_complain) = (Instant::now(), true);
        let mut users = RecentUsers::default();
        loop {
            if looked.elapsed() >= LOOK_EVERY {
                looked = Instant::now();
                match socket.again() {
                    Ok(bound) => {
                        socket = bound.map_or(socket, Arc::new);
                        may_complain = true;
                    }
                    Err(error) if may_complain => {
                        warn!("the socket for datagrams is gone, and cannot be made again: {error}");
                        may_complain = false;
                    }
                    Err(_) => {}
                }
            }
            match socket.receive(&mut buffer, &mut users) {
                Ok((length, sender, origin)) => {
                    let take = || desk.take(&buffer[..length], sender, origin, &socket, &under_way);
                    if catch_unwind(AssertUnwindSafe(take)).is_err() {
                        desk.tally.count(Door::Rspamd, Upshot::Failed);
                        error!("a panic met a datagram, which goes unanswered; please report this");
                    }
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
                Err(error) => {
                    error!("a datagram cannot be received: {error}");
                    desk.tally.count(Door::Rspamd, Upshot::Failed);
                    std::thread::sleep(ERROR_PAUSE);
                }
            }
        }
    };
    std::thread::Builder::new().name("datagrams".to_owned()).spawn(attend).map(drop)
}

/// What datagrams share while they are met.
struct UnderWay {
    /// So many wait for the disk.
    count: AtomicUsize,
    refusals: Sparing,
}

impl Default for UnderWay {
    fn default() -> Self {
        Self { count: AtomicUsize::new(0), refusals: Sparing::of_refusals() }
    }
}

impl UnderWay {
    fn tell_refusal(&self, who: &str, why: &str) {
        if let Some(count) = self.refusals.add(clock::now_s()) {
            info!(who, "a datagram is refused: {why}{}", and_more(count));
        }
    }
}

impl Desk {
    fn take(
        &self,
        datagram: &[u8],
        sender: Sender,
        origin: Option<Origin>,
        socket: &Arc<Socket>,
        under_way: &Arc<UnderWay>,
    ) {
        let refuse = |who: &str, (upshot, why): (Upshot, &str)| {
            under_way.tell_refusal(who, why);
            self.tally.count(Door::Rspamd, upshot);
            socket.reply(&sender, FAIL);
        };
        let Some(origin) = origin else {
            return refuse("unknown", (Upshot::Refused, "its sender is not told: do file descriptors come with it?"));
        };
        let changes = match self.read(datagram) {
            Ok(changes) => changes,
            Err((upshot, why)) => return refuse(&origin.who, (upshot, &why)),
        };
        if under_way.count.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            under_way.count.fetch_sub(1, Ordering::Relaxed);
            return refuse(&origin.who, (Upshot::Failed, "too many wait for the disk"));
        }
        let asked: Vec<(Name, Key)> = changes.iter().map(|one| (one.zone.clone(), one.key.clone())).collect();
        let who = origin.who.clone();
        let batch = Batch { changes, origin, is_atomic: true, condition: None };
        let (socket, under_way, tally) = (Arc::clone(socket), Arc::clone(under_way), Arc::clone(&self.tally));
        self.listings.submit(batch, move |applied| {
            under_way.count.fetch_sub(1, Ordering::Relaxed);
            log_still_listed(&asked, applied.as_deref().unwrap_or_default());
            let refusal = match &applied {
                Ok(outcomes) => {
                    outcomes.iter().find_map(Outcome::refusal).map(|why| (why.to_string(), Upshot::Refused))
                }
                Err(error) => Some((error.to_string(), Upshot::Failed)),
            };
            if let Some((why, _)) = &refusal {
                under_way.tell_refusal(&who, &printable(why));
            }
            tally.count(Door::Rspamd, refusal.as_ref().map_or(Upshot::Done, |(_, upshot)| *upshot));
            socket.reply(&sender, if refusal.is_some() { FAIL } else { OK });
        });
    }

    /// The changes that a datagram means, or as what it counts that it means none, and why.
    fn read(&self, datagram: &[u8]) -> Result<Vec<Change>, (Upshot, String)> {
        let mut upshot = Upshot::Refused;
        let holds_of = |zone: &Name| {
            let served = self.cell.load();
            let found = served.snapshot.zone(zone).ok_or_else(|| format!("no zone {zone} is served here"))?;
            if !self.scope.admits(zone) {
                return Err(format!("zone {zone} is not for datagrams"));
            }
            let content = found.content.as_ref().ok_or_else(|| {
                upshot = Upshot::Failed;
                format!("zone {zone} is not loaded")
            })?;
            Ok(Holds::of(content))
        };
        read(datagram, holds_of, self.listings.now_s()).map_err(|why| (upshot, why))
    }
}

/// Who excludes by a datagram is told no more than `OK`, so the log says what stays listed all the same.
fn log_still_listed(asked: &[(Name, Key)], outcomes: &[Outcome]) {
    for ((zone, key), outcome) in asked.iter().zip(outcomes) {
        if let Outcome::Excluded { still_listed, .. } = outcome
            && outcome.leaves_listed()
        {
            let count = match *still_listed {
                STILL_LISTED_MAX => format!("at least {STILL_LISTED_MAX} listings"),
                count => counted(count, "listing", "listings"),
            };
            info!(
                %key,
                "within what a datagram excludes, what was listed by command stays listed: {count}; dnsbld listings {zone} shows it"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESSES: Holds = Holds { v4: true, v6: true, names: false };
    const NAMES: Holds = Holds { v4: false, v6: false, names: true };
    const NOW_S: u64 = 1_800_000_000;

    fn ops(line: &str, holds: Holds) -> Vec<(String, Op)> {
        let zone = Name::parse(b"bl.example").expect("a name");
        let changes = changes(&zone, line.as_bytes(), holds, NOW_S).unwrap_or_else(|why| panic!("{line}: {why}"));
        changes.into_iter().map(|change| (change.key.to_string(), change.op)).collect()
    }

    fn listed(address: Option<[u8; 4]>, text: Option<&str>, lifetime: Lifetime) -> Op {
        let verdict = Verdict::Listed { address: address.map(Into::into), text: text.map(str::to_owned) };
        Op::Put { verdict, lifetime }
    }

    #[test]
    fn a_path_is_taken_over_and_bound_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("updates.sock");
        std::fs::write(&path, "a token").expect("written");
        let why = Socket::unix(&path, 0o660).err().expect("a file is no socket").to_string();
        assert!(why.contains("is no socket, and is left as it is"), "{why}");
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "a token");
        std::fs::remove_file(&path).expect("removed");
        drop(Socket::unix(&path, 0o660).expect("bound"));
        let socket = Socket::unix(&path, 0o660).expect("one that was left behind is taken over");
        assert!(socket.again().is_ok_and(|bound| bound.is_none()), "it is there");
        std::fs::remove_file(&path).expect("removed");
        let socket = socket.again().expect("bound").expect("made again").out_of_reach();
        std::fs::remove_file(&path).expect("removed");
        assert!(socket.again().is_ok_and(|bound| bound.is_none()) && is_free(&path), "within a chroot it is not there");
    }

    #[test]
    fn datagrams_are_a_zone_and_a_line() {
        let asked = split(b"BL.example\x00192.0.2.1 :2:x\n\0").expect("both");
        assert_eq!((asked.zone.to_string(), asked.line), ("bl.example".to_owned(), &b"192.0.2.1 :2:x"[..]));
        assert!(split(b"bl.example 192.0.2.1").is_err());
        assert!(split(b"bl..example\0x").is_err());
    }

    #[test]
    fn lines_are_listings() {
        let plain = || listed(None, None, Lifetime::Default);
        assert_eq!(ops("192.0.2.1", ADDRESSES), [("192.0.2.1".to_owned(), plain())]);
        let value = listed(Some([127, 0, 0, 3]), Some("bad"), Lifetime::For(Duration::from_secs(60)));
        assert_eq!(ops("192.0.2.0/24 :3:bad @ lifetime=1m", ADDRESSES), [("192.0.2.0/24".to_owned(), value)]);
        let seen = listed(None, None, Lifetime::AtLeastUntil(1_700_003_600));
        assert_eq!(ops("2001:db8::1 @ ts=1700000000;lifetime=1h", ADDRESSES), [("2001:db8::1".to_owned(), seen)]);
        assert_eq!(ops("::ffff:c000:201", ADDRESSES), [("192.0.2.1".to_owned(), plain())]);
        let endless = listed(None, None, Lifetime::Endless);
        assert_eq!(ops("192.0.2.1 @ lifetime=0", ADDRESSES), [("192.0.2.1".to_owned(), endless)]);
        for (times, lifetime) in [
            ("until=1900000000;lifetime=1h", Lifetime::AtLeastUntil(NOW_S + 3_600)),
            ("until=1800000060;lifetime=1h", Lifetime::Until(NOW_S + 60)),
            ("until=1800000060;lifetime=0", Lifetime::Until(NOW_S + 60)),
            ("ts=1799999000;until=1800003000;lifetime=1h", Lifetime::AtLeastUntil(NOW_S + 2_600)),
            ("ts=1900000000;lifetime=1h", Lifetime::AtLeastUntil(NOW_S + 3_600)),
        ] {
            let ends = listed(None, None, lifetime);
            assert_eq!(ops(&format!("192.0.2.1 @ {times}"), ADDRESSES), [("192.0.2.1".to_owned(), ends)], "{times}");
        }
        let both = [("spam.example".to_owned(), plain()), ("*.spam.example".to_owned(), plain())];
        assert_eq!(ops(".spam.example", NAMES), both);
        let mixed = Holds { names: true, ..ADDRESSES };
        assert_eq!(ops("spam.example", mixed), [("spam.example".to_owned(), plain())]);
    }

    #[test]
    fn lines_exclude_and_take_back() {
        let until = Lifetime::Until(1_900_000_000);
        let excluded = Op::Put { verdict: Verdict::Excluded, lifetime: until };
        assert_eq!(ops("!192.0.2.1 @ until=1900000000", ADDRESSES), [("192.0.2.1".to_owned(), excluded)]);
        assert_eq!(ops("-192.0.2.1", ADDRESSES), [("192.0.2.1".to_owned(), Op::Delist)]);
        assert_eq!(ops("- 192.0.2.1", ADDRESSES), [("192.0.2.1".to_owned(), Op::Delist)]);
        assert_eq!(ops("- *.spam.example", NAMES), [("*.spam.example".to_owned(), Op::Delist)]);
        // The host of a link in spam may be called so, and a filter lists it.
        let host = Op::Put { verdict: Verdict::LISTED, lifetime: Lifetime::For(Duration::from_secs(3_600)) };
        for holds in [NAMES, Holds { names: true, ..ADDRESSES }] {
            let listed = [("-y.spam.example".to_owned(), host.clone())];
            assert_eq!(ops("-y.spam.example @ lifetime=1h", holds), listed);
        }
        let zone = Name::root();
        for (line, holds) in
            [("-192.0.2.1 :2:x", ADDRESSES), ("-!192.0.2.1", ADDRESSES), ("", ADDRESSES), ("x y\u{fffd}", ADDRESSES)]
        {
            assert!(changes(&zone, line.as_bytes(), holds, NOW_S).is_err(), "{line}");
        }
        assert!(changes(&zone, b"192.0.2.1 \xff", ADDRESSES, NOW_S).is_err(), "not UTF-8");
        assert!(changes(&zone, b"192.0.2.1", Holds::default(), NOW_S).is_err());
        let both = Holds { names: true, ..ADDRESSES };
        let why = changes(&zone, b"spam.*.example", both, NOW_S).expect_err("neither");
        assert!(why.contains("an IPv4 address") && why.contains("as a name, column 6"), "{why}");
    }
}
