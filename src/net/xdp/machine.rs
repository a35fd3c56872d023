//! The machine's addresses, and a check once a second that each program on an interface still matches them.
//!
//! A program was made for some addresses and answers to them for as long as it is there, whether they are still this machine's
//! or not. Who takes an address away wants it silent, and who moves one elsewhere, if only to a VLAN or bond above the same
//! interface, wants it answered there. So where anything is no longer as it was, the interface is let go, and its requests take the
//! kernel's way, which knows.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

use super::card::Card;
use crate::net::Stop;

/// How soon a stop is seen.
const PAUSE: Duration = Duration::from_millis(250);
/// After so many pauses it is looked again.
const PAUSES: u32 = 4;

/// Addresses of this machine at one moment.
#[derive(Debug, Default)]
pub(super) struct Machine {
    /// Of its Ethernet interfaces, by their index.
    stations: Vec<(u32, [u8; 6])>,
    /// Of the machine, whichever interface has them.
    pub(super) addresses: BTreeSet<IpAddr>,
    /// Of all machines on one of its networks.
    pub(super) broadcasts: BTreeSet<IpAddr>,
}

impl Machine {
    /// Looks at it now.
    pub(super) fn now() -> io::Result<Self> {
        let mut machine = Self::default();
        for entry in getifaddrs()? {
            if let Some(link) = entry.address.as_ref().and_then(SockaddrStorage::as_link_addr) {
                let station = link.addr().zip(u32::try_from(link.ifindex()).ok());
                machine.stations.extend(station.map(|(station, index)| (index, station)));
            }
            machine.addresses.extend(entry.address.as_ref().and_then(ip));
            machine.broadcasts.extend(entry.broadcast.as_ref().and_then(ip));
        }
        Ok(machine)
    }
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip())))
}

/// A program on an interface.
pub(super) struct Hold {
    name: String,
    /// What keeps it there: it leaves with its last descriptor. To take it off by a call would need privileges that are gone,
    /// on kernels before 5.19.
    link: Mutex<Option<OwnedFd>>,
    /// Why the program was taken off, once it was.
    let_go: OnceLock<String>,
}

impl Hold {
    pub(super) fn new(name: String, link: OwnedFd) -> Self {
        Self { name, link: Mutex::new(Some(link)), let_go: OnceLock::new() }
    }

    /// The interface's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_active(&self) -> bool {
        self.let_go.get().is_none()
    }

    /// Why the program is on the interface no more, if so.
    pub(super) fn why_let_go(&self) -> Option<&str> {
        self.let_go.get().map(String::as_str)
    }

    /// Takes the program off the interface, for that reason.
    pub(super) fn let_go(&self, why: &str) {
        if self.let_go.set(why.to_owned()).is_err() {
            return;
        }
        drop(self.link.lock().unwrap_or_else(PoisonError::into_inner).take());
        tracing::warn!("{}: {why}: its requests take the kernel's way until a new start", self.name);
    }
}

/// What a program was made for.
pub(in crate::net) struct Watched {
    pub(super) hold: Arc<Hold>,
    pub(super) card: Card,
    /// The addresses it takes requests to.
    pub(super) addresses: Vec<IpAddr>,
}

impl Watched {
    /// What is no longer as it was; `card` is the interface as it is now, if that is shown.
    fn change(&self, machine: &Machine, card: Option<&io::Result<Card>>) -> Option<String> {
        if !machine.stations.contains(&(self.card.index, self.card.station)) {
            return Some("it is gone, or has another hardware address".to_owned());
        }
        if let Some(lost) = self.addresses.iter().find(|address| !machine.addresses.contains(address)) {
            return Some(format!("{lost} is no address of this machine any more"));
        }
        match card? {
            Ok(card) => (*card != self.card).then(|| "it has another MTU, or other queues".to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }
}

/// Watches until the server stops.
pub(in crate::net) fn watch(all: &[Watched], stop: &Stop) {
    if !Card::are_shown() {
        tracing::warn!("interfaces whose MTU, queues or parts change go unnoticed: there is no /sys (see chroot)");
    }
    let mut is_blind = false;
    for pause in 1_u32.. {
        thread::sleep(PAUSE);
        if stop.is_set() {
            return;
        }
        if pause % PAUSES != 0 {
            continue;
        }
        match Machine::now() {
            Ok(machine) => {
                for watched in all.iter().filter(|watched| watched.hold.is_active()) {
                    let card = Card::are_shown().then(|| Card::numbered(watched.card.index));
                    if let Some(why) = watched.change(&machine, card.as_ref()) {
                        watched.hold.let_go(&why);
                    }
                }
            }
            Err(error) if !is_blind => {
                is_blind = true;
                tracing::warn!("changed addresses go unnoticed: {error} (systemd: RestrictAddressFamilies=AF_NETLINK)");
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn this_machine_has_addresses() {
        let machine = Machine::now().expect("a look");
        assert!(machine.addresses.contains(&IpAddr::from([127, 0, 0, 1])), "{machine:?}");
    }

    #[test]
    fn changes_are_noticed() {
        let address = IpAddr::from([192, 0, 2, 53]);
        let (link, mut program) = UnixStream::pair().expect("a pair");
        program.set_nonblocking(true).expect("set");
        let hold = Arc::new(Hold::new("eth0".to_owned(), link.into()));
        let card = |mtu: usize| Card { index: 2, mtu, station: [2, 0, 0, 0, 0, 1], queues: 1, one_way: 0 };
        let watched = Watched { hold, card: card(1500), addresses: vec![address] };
        let machine = |station: u8, address: [u8; 4]| Machine {
            stations: vec![(1, [0; 6]), (2, [2, 0, 0, 0, 0, station])],
            addresses: BTreeSet::from([[127, 0, 0, 1].into(), address.into()]),
            broadcasts: BTreeSet::new(),
        };
        let as_it_was = machine(1, [192, 0, 2, 53]);
        assert_eq!(watched.change(&as_it_was, None), None, "nothing is shown of it");
        assert_eq!(watched.change(&as_it_was, Some(&Ok(card(1500)))), None);
        let words = |card: io::Result<Card>| watched.change(&as_it_was, Some(&card)).expect("a change");
        assert_eq!(words(Ok(card(1400))), "it has another MTU, or other queues");
        assert_eq!(words(Err(io::Error::other("it is not by itself"))), "it is not by itself");
        let words = |machine: Machine| watched.change(&machine, Some(&Ok(card(1500)))).expect("a change");
        assert!(words(machine(9, [192, 0, 2, 53])).contains("another hardware address"));
        assert!(watched.hold.is_active());
        assert!(program.read(&mut [0]).is_err(), "the link is held");
        for why in ["it is gone", "it has been for long"] {
            watched.hold.let_go(why);
        }
        assert_eq!(program.read(&mut [0]).ok(), Some(0), "nothing holds the link any more");
        assert_eq!((watched.hold.is_active(), watched.hold.why_let_go()), (false, Some("it is gone")));
        assert_eq!(words(machine(1, [192, 0, 2, 54])), "192.0.2.53 is no address of this machine any more");
    }
}
