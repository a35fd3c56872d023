//! What the system says of a network interface, in `/sys/class/net`: whether requests can be taken from it, and how.

use std::path::Path;
use std::{fs, io};

use nix::net::if_::{if_indextoname, if_nametoindex};

/// Linux's number of Ethernet among the kinds of interfaces (`ARPHRD_ETHER`).
const ETHERNET: &str = "1";

/// Where the system shows its interfaces.
const FOLDER: &str = "/sys/class/net";

/// The least MTU with which replies fit: 512 octets, what every client takes (RFC 1035 section 4.2.1), behind the headers of IPv6
/// and UDP. It is what every way carries in one piece as well (RFC 791).
const MTU_MIN: usize = 576;

/// Whether this machine has an interface of that name.
pub fn has_interface(name: &str) -> bool {
    if_nametoindex(name).is_ok()
}

/// An Ethernet interface by itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Card {
    pub(super) index: u32,
    /// Octets that a frame carries at most.
    pub(super) mtu: usize,
    /// Its address.
    pub(super) station: [u8; 6],
    /// Queues that both receive and send.
    pub(super) queues: u32,
    /// Queues that only receive, to which replies could not be given.
    pub(super) one_way: u32,
}

impl Card {
    /// Looks an interface up.
    ///
    /// # Errors
    /// There is none of that name, it is no Ethernet interface, or it is a part of another or carries one.
    pub(super) fn of(name: &str) -> io::Result<Self> {
        // It may have been called by one of its other names.
        Self::numbered(if_nametoindex(name)?)
    }

    /// Looks the interface of an index up, whatever it is called now.
    ///
    /// # Errors
    /// As for [`Self::of`].
    pub(super) fn numbered(index: u32) -> io::Result<Self> {
        let name = if_indextoname(index)?.to_string_lossy().into_owned();
        Self::described(index, &Path::new(FOLDER).join(name))
    }

    /// Whether interfaces can be looked up: not from a root folder that has no `/sys`.
    pub(super) fn are_shown() -> bool {
        Path::new(FOLDER).is_dir()
    }

    /// What a folder says of it.
    fn described(index: u32, folder: &Path) -> io::Result<Self> {
        let field = |name: &str| fs::read_to_string(folder.join(name)).map(|text| text.trim().to_owned());
        if field("ifindex").ok() != Some(index.to_string()) {
            return Err(io::Error::other("/sys shows the interfaces of another network namespace"));
        }
        if field("type")? != ETHERNET {
            return Err(io::Error::other("it is no Ethernet interface"));
        }
        // Tags of VLANs are taken off before the program sees a frame; of a bond the parts run it, and not the whole.
        if let Some((_, related)) = entries(folder, &["lower_", "upper_"])?.first() {
            return Err(io::Error::other(format!("it is not by itself: {related} is above or below it")));
        }
        if ["bridge", "bonding"].iter().any(|kind| folder.join(kind).exists()) {
            return Err(io::Error::other("it is a bridge or bond"));
        }
        let mtu = field("mtu")?.parse().map_err(io::Error::other)?;
        if mtu < MTU_MIN {
            return Err(io::Error::other(format!("its MTU is {mtu}, and replies need {MTU_MIN}")));
        }
        let queues = entries(&folder.join("queues"), &["rx-", "tx-"])?;
        let count = |kind: &str| queues.iter().filter(|(prefix, _)| *prefix == kind).count() as u32;
        let (receiving, sending) = (count("rx-"), count("tx-"));
        let queues = receiving.min(sending);
        Ok(Self {
            index,
            mtu,
            station: station(&field("address")?).ok_or_else(|| io::Error::other("it has no address of six octets"))?,
            queues,
            one_way: receiving - queues,
        })
    }
}

/// The entries of a folder that begin with one of these, without it.
fn entries<'a>(folder: &Path, prefixes: &[&'a str]) -> io::Result<Vec<(&'a str, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let split = prefixes.iter().find_map(|&prefix| Some((prefix, name.strip_prefix(prefix)?)));
        found.extend(split.map(|(prefix, rest)| (prefix, rest.to_owned())));
    }
    Ok(found)
}

/// Six octets as in `02:00:00:00:00:01`.
fn station(text: &str) -> Option<[u8; 6]> {
    let octets = text.split(':').map(|octet| u8::from_str_radix(octet, 16)).collect::<Result<Vec<_>, _>>().ok()?;
    octets.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder as the kernel shows it.
    fn folder(entries: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let usual = [
            ("ifindex", "7"),
            ("type", "1"),
            ("mtu", "1500"),
            ("address", "02:00:00:0a:ff:01"),
            ("queues/rx-0", ""),
            ("queues/tx-0", ""),
        ];
        fs::create_dir(folder.path().join("queues")).expect("a folder");
        for (name, text) in usual.iter().chain(entries) {
            fs::write(folder.path().join(name), format!("{text}\n")).expect("a file");
        }
        folder
    }

    #[test]
    fn an_interface_by_itself_is_described() {
        let card = |entries: &[(&str, &str)]| Card::described(7, folder(entries).path()).expect("a card");
        let usual = Card { index: 7, mtu: 1500, station: [2, 0, 0, 10, 255, 1], queues: 1, one_way: 0 };
        assert_eq!(card(&[]), usual);
        assert_eq!(
            card(&[("queues/rx-1", ""), ("queues/rx-2", ""), ("queues/tx-1", "")]),
            Card { queues: 2, one_way: 1, ..usual }
        );
        assert_eq!(card(&[("mtu", "9000"), ("queues/tx-1", "")]).mtu, 9000);
        assert_eq!(card(&[("mtu", "576")]).mtu, MTU_MIN);
    }

    #[test]
    fn what_is_not_is_refused() {
        let refusal =
            |entries: &[(&str, &str)]| Card::described(7, folder(entries).path()).expect_err("refused").to_string();
        assert_eq!(refusal(&[("type", "772")]), "it is no Ethernet interface");
        assert_eq!(refusal(&[("upper_eth0.100", "")]), "it is not by itself: eth0.100 is above or below it");
        assert_eq!(refusal(&[("lower_eth1", "")]), "it is not by itself: eth1 is above or below it");
        assert_eq!(refusal(&[("bridge", "")]), "it is a bridge or bond");
        assert!(refusal(&[("ifindex", "8")]).contains("another network namespace"));
        assert_eq!(refusal(&[("address", "02:00")]), "it has no address of six octets");
        assert_eq!(refusal(&[("mtu", "575")]), "its MTU is 575, and replies need 576");
    }
}
