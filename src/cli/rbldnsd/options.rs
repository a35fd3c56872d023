//! The values of rbldnsd's options: times, TTLs, addresses, facilities.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};

use anyhow::{Context as _, bail};

use crate::load::{Options, TTL_MAX_S, time_s};

/// Which addresses of a host name count (`-4`, `-6`); of both options the last one does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub(super) v4: bool,
    pub(super) v6: bool,
}

impl Family {
    fn admits(self, address: IpAddr) -> bool {
        self.v4 == self.v6 || address.is_ipv4() == self.v4
    }
}

/// `-t def:min:max`, each of which may be left out. A default that was not given bends to the limits, so that the manual's
/// own example `-t ::2m` works. Returns whether something was more than a TTL can be, and was cut to that.
pub(super) fn ttl(text: &str, options: &mut Options) -> anyhow::Result<bool> {
    let fields: Vec<&str> = text.split(':').collect();
    if fields.len() > 3 {
        bail!("invalid value for -t (ttl) option: `{text}': expected def:min:max");
    }
    let mut is_cut = false;
    let mut field = |index: usize, name: &str| match fields.get(index).copied().unwrap_or_default() {
        "" => Ok(None),
        text => {
            let ttl_s = time_s(text.as_bytes()).with_context(|| format!("invalid {name} (-t) value `{text}'"))?;
            is_cut |= ttl_s > TTL_MAX_S;
            anyhow::Ok(Some(ttl_s.min(TTL_MAX_S)))
        }
    };
    let default = field(0, "ttl")?;
    anyhow::ensure!(default != Some(0), "invalid ttl (-t) value `0'");
    let (min, max) = (field(1, "minttl")?.unwrap_or(0), field(2, "maxttl")?.unwrap_or(0));
    let limit = |ttl: u32| if max > 0 { ttl.min(max) } else { ttl };
    let def = default.unwrap_or_else(|| limit(options.default_ttl_s.max(min)));
    if max > 0 && (def > max || min > max) || def < min {
        bail!("inconsistent def:min:max ttl: {def}:{min}:{max}");
    }
    (options.default_ttl_s, options.min_ttl_s, options.max_ttl_s) = (def, min, max);
    Ok(is_cut)
}

/// The addresses of all `-b host[/port]`. An address of IPv4 mapped into IPv6 is of both families.
pub(super) fn bind_addresses(texts: &[String], family: Family) -> anyhow::Result<Vec<SocketAddr>> {
    let mut addresses = Vec::new();
    for text in texts {
        if let Some(right) = with_slash(text) {
            bail!("{text}: the port stands behind a slash: write {right}");
        }
        let (host, port) = text.split_once('/').unwrap_or((text, ""));
        anyhow::ensure!(!host.is_empty(), "missing host part in bind address `{text}'");
        let port = port_number(port).with_context(|| format!("{text}: unknown port `{port}'"))?;
        // rbldnsd's word for all addresses.
        let mut found: Vec<SocketAddr> = if host == "*" {
            vec![(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()]
        } else {
            (host, port).to_socket_addrs().with_context(|| format!("{text}: cannot resolve"))?.collect()
        };
        found.retain(|address| family.admits(address.ip()) || family.admits(address.ip().to_canonical()));
        anyhow::ensure!(!found.is_empty(), "{text}: no available protocols (see -4 and -6)");
        for address in found {
            addresses.push(address);
            // A wildcard of IPv6 takes IPv4 too where the system is left as it is, and rbldnsd leaves it, also with -6.
            if address.ip().is_unspecified() && address.is_ipv6() {
                addresses.push(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port));
            }
        }
    }
    let mut seen = Vec::new();
    addresses.retain(|address| {
        !seen.contains(address) && {
            seen.push(*address);
            true
        }
    });
    Ok(addresses)
}

/// What was meant by `ADDRESS:PORT`, as `serve --listen` takes it. An IPv6 address without brackets is only that.
fn with_slash(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok())?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_port = bare.is_some() || !host.contains([':', '/']);
    is_port.then(|| format!("{}/{port}", bare.unwrap_or(host)))
}

/// A port by number or by name; the usual one where none is given.
fn port_number(text: &str) -> Option<u16> {
    match text {
        "" | "domain" => Some(53),
        number if number.bytes().all(|octet| octet.is_ascii_digit()) => number.parse().ok(),
        name => std::fs::read_to_string("/etc/services").ok()?.lines().find_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let (service, port) = (words.next()?, words.next()?);
            let port = port.strip_suffix("/udp")?;
            (service == name || words.any(|alias| alias == name)).then(|| port.parse().ok())?
        }),
    }
}

/// The number of a facility of the system's log.
pub(super) fn facility(name: &str) -> anyhow::Result<u8> {
    const NAMES: [&str; 12] =
        ["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"];
    let name = name.to_ascii_lowercase();
    if let Some(number) = NAMES.iter().position(|known| *known == name) {
        return Ok(number as u8);
    }
    match name.strip_prefix("local").and_then(|number| number.parse::<u8>().ok()) {
        Some(number) if number < 8 => Ok(16 + number),
        _ => bail!("log facility {name} is not valid: expected daemon, local0 to local7, mail, user, ..."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttls() {
        let read = |text| {
            let mut options = Options::default();
            let is_cut = ttl(text, &mut options).ok()?;
            let longest_s = options.default_ttl_s.max(options.min_ttl_s).max(options.max_ttl_s);
            assert_eq!(is_cut, longest_s == TTL_MAX_S, "{text}");
            Some((options.default_ttl_s, options.min_ttl_s, options.max_ttl_s))
        };
        assert_eq!(read("30"), Some((30, 0, 0)));
        assert_eq!(read("1h:5m:2h"), Some((3_600, 300, 7_200)));
        assert_eq!(read("::2m"), Some((120, 0, 120)));
        assert_eq!(read(":1h"), Some((3_600, 3_600, 0)));
        assert_eq!(read("2147483648:60:4294967295"), Some((TTL_MAX_S, 60, TTL_MAX_S)));
        assert_eq!(read(":7000w:7101w"), Some((TTL_MAX_S, TTL_MAX_S, TTL_MAX_S)));
        for wrong in ["0", "x", "1:2:3:4", "10:20", "30::20", "1::x", "1h30m", "-1", "1 m", "99999999999"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn addresses() {
        const BOTH: Family = Family { v4: false, v6: false };
        let bind = |texts: &[&str], family| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            bind_addresses(&texts, family).ok().map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let listen = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            bind(&["127.0.0.1/5300", "::1/53", "127.0.0.1/5300"], BOTH),
            listen(&["127.0.0.1:5300", "[::1]:53"])
        );
        assert_eq!(bind(&["127.2"], BOTH), listen(&["127.0.0.2:53"]));
        assert_eq!(bind(&["::"], BOTH), listen(&["[::]:53", "0.0.0.0:53"]));
        assert_eq!(bind(&["::"], Family { v4: false, v6: true }), listen(&["[::]:53", "0.0.0.0:53"]));
        assert_eq!(bind(&["::1"], Family { v4: true, v6: false }), None);
        assert_eq!(bind(&["*"], BOTH), listen(&["0.0.0.0:53", "[::]:53"]));
        assert_eq!(bind(&["*/5300"], Family { v4: true, v6: false }), listen(&["0.0.0.0:5300"]));
        assert_eq!(bind(&["*/5300"], Family { v4: false, v6: true }), listen(&["[::]:5300", "0.0.0.0:5300"]));
        let mistake = |text: &str| format!("{:#}", bind_addresses(&[text.to_owned()], BOTH).expect_err(text));
        assert!(mistake("127.0.0.1:5398").ends_with("write 127.0.0.1/5398"), "{}", mistake("127.0.0.1:5398"));
        assert!(mistake("[::1]:53").ends_with("write ::1/53"));
        assert_eq!(bind(&["::1:53/5"], Family { v4: true, v6: false }), None);
        assert_eq!(bind(&["/53"], BOTH), None);
        assert_eq!(bind(&["127.0.0.1/99999"], BOTH), None);
    }

    #[test]
    fn facilities() {
        assert_eq!((facility("daemon").ok(), facility("LOCAL7").ok()), (Some(3), Some(23)));
        assert!(facility("local8").is_err() && facility("nosuch").is_err());
    }
}
