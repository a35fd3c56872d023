//! What `dnsbld dump` prints means to NSD what the zone means to us: `named-checkzone` accepts it, and NSD, serving it, lists
//! and does not list the same names.

#[path = "support/daemon.rs"]
#[allow(dead_code)] // the differential test uses more of it
mod daemon;

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    path::Path,
    process::Command,
    time::Duration,
};

use daemon::{Daemon, dnsbld, free_address, program};
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RData, RecordType},
};

/// The A records of a name, sorted; none if it is not listed, whatever the reason.
fn ask(server: SocketAddr, name: &str) -> Vec<String> {
    let mut request = vec![0x44, 0x44, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        request.push(u8::try_from(label.len()).expect("a label"));
        request.extend_from_slice(label.as_bytes());
    }
    request.extend_from_slice(&[0, 0, 1, 0, 1]);
    let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    socket.send_to(&request, server).expect("sent");
    let mut reply = [0; 4096];
    let length = socket.recv(&mut reply).unwrap_or_else(|error| panic!("{server} does not answer {name}: {error}"));
    let message = Message::from_vec(&reply[..length]).expect("a message");
    assert!(
        matches!(message.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain),
        "{name}: {:?}",
        message.metadata.response_code
    );
    let mut addresses: Vec<String> = message
        .answers
        .iter()
        .filter(|record| record.record_type() == RecordType::A)
        .map(|record| match &record.data {
            RData::A(address) => address.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    addresses.sort();
    addresses
}

/// Serves a zone with NSD from a file.
fn nsd(folder: &Path, zone: &str) -> Daemon {
    let address = free_address();
    let config = folder.join("nsd.conf");
    let path = folder.display();
    fs::write(
        &config,
        format!(
            "server:\n  ip-address: {}@{}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{path}\"\n  \
             database: \"\"\n  pidfile: \"{path}/nsd.pid\"\n  xfrdfile: \"{path}/xfrd\"\n  zonelistfile: \"{path}/list\"\n  \
             server-count: 1\n\
             remote-control:\n  control-enable: no\n\
             zone:\n  name: \"{zone}\"\n  zonefile: \"zone\"\n",
            address.ip(),
            address.port()
        ),
    )
    .expect("written");
    let mut command = Command::new(program("nsd", "nsd"));
    command.arg("-d").arg("-c").arg(&config);
    Daemon::start_at(&[address], command).unwrap_or_else(|why| panic!("{why}"))
}

/// Dumps `specs`, has the dump checked, serves it with NSD beside ourselves, and asks both for all `names`. Returns the dump.
fn same_listings(zone: &str, files: &[(&str, &str)], specs: &[&str], names: &[String]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("written");
    }
    let specs: Vec<String> = specs.iter().map(|spec| format!("{zone}:{spec}")).collect();
    let dump = dnsbld().current_dir(folder.path()).arg("dump").args(&specs).output().expect("runs");
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    fs::write(folder.path().join("zone"), &dump.stdout).expect("written");
    let checked = Command::new(program("named-checkzone", "bind9-utils"))
        .arg(zone)
        .arg(folder.path().join("zone"))
        .output()
        .expect("runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));

    let theirs = nsd(folder.path(), zone);
    let mut command = dnsbld();
    command.current_dir(folder.path()).args(["serve", "--http", "off", "--state", "off"]);
    command.args(["--listen", "127.0.0.1:0"]).args(&specs);
    let ours = Daemon::start(command);
    for name in names {
        let name = format!("{name}.{zone}");
        assert_eq!(ask(theirs.address(), &name), ask(ours.address(), &name), "{name}");
    }
    String::from_utf8(dump.stdout).expect("text")
}

const HEAD: &str = "$SOA 1h ns.elsewhere.test host.elsewhere.test 1 1h 1h 1d 5m\n$NS 1h ns.elsewhere.test\n";

/// Small and bounded, and the same each time.
fn numbers(count: usize) -> impl Iterator<Item = u32> {
    let mut state = 0x2545_f491u32;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    })
    .take(count)
}

#[test]
fn addresses() {
    let set = format!("{HEAD}10.0.0.0/8\n!10.1.2.3\n10.1.0.0/16 :3\n192.0.2.0/25 :4:text\n!192.0.2.7\n198.51.100.9\n");
    let trie = "10.1.2.0/24 :9\n!10.1.2.128/25\n192.0.2.0/24 :7\n203.0.113.16/28\n";
    let mut names: Vec<String> =
        ["3.2.1.10", "4.2.1.10", "200.2.1.10", "1.1.1.10", "1.1.1.11", "9.100.51.198", "7.2.0.192"]
            .map(str::to_owned)
            .to_vec();
    for number in numbers(300) {
        let [a, b, c, d] = number.to_be_bytes();
        let (first, second, third) =
            [(10, 1, 2), (10, a, b), (192, 0, 2), (203, 0, 113), (198, 51, 100)][usize::from(c) % 5];
        names.push(format!("{d}.{third}.{second}.{first}"));
    }
    same_listings("list.example", &[("set", &set), ("trie", trie)], &["ip4set:set", "ip4trie:trie"], &names);
}

#[test]
fn addresses_of_ipv6() {
    let trie =
        format!("{HEAD}2001:db8::/32\n!2001:db8:1::/48\n2001:db8:1:2::/64 :3\n::ffff:7f00:2\n2001:db8:5::/45 :9\n");
    let halves = "2001:db8:1:7\n!2001:db8:1:7::9\n";
    let mut names = Vec::new();
    for number in numbers(300) {
        let [a, b, c, d] = number.to_be_bytes().map(u128::from);
        let base = 0x2001_0db8_u128 << 96;
        let address = match a % 5 {
            0 => base | (b % 9) << 80 | c,
            1 => base | 1 << 80 | (c % 9) << 64 | d,
            2 => base | 1 << 80 | 7 << 64 | (d % 12),
            3 => base | (b % 16) << 80 | d << 60,
            _ => 0xffff_7f00_0000 | (d % 4),
        };
        let nibbles: Vec<String> = (0..32).map(|place| format!("{:x}", (address >> (4 * place)) & 0xf)).collect();
        names.push(nibbles.join("."));
    }
    same_listings("list.example", &[("trie", &trie), ("halves", halves)], &["ip6trie:trie", "ip6tset:halves"], &names);
}

#[test]
fn names() {
    let set = format!(
        "{HEAD}a.example\n*.wild.example\n.both.example :3\n!no.wild.example\n!.never.both.example\nx.y.wild.example :4\n\
         deep.in.the.tree.test\n!only.excluded.test\n"
    );
    let records = "www A 192.0.2.80\n@ A 192.0.2.81\n@ MX 10 mail.example.org\nsome.host TXT \"a text\"\n";
    let mut names = Vec::new();
    for name in [
        "a.example",
        "b.a.example",
        "example",
        "wild.example",
        "x.wild.example",
        "y.wild.example",
        "x.y.wild.example",
        "z.y.wild.example",
        "q.x.y.wild.example",
        "no.wild.example",
        "x.no.wild.example",
        "both.example",
        "x.both.example",
        "never.both.example",
        "x.never.both.example",
        "z.x.both.example",
        "deep.in.the.tree.test",
        "in.the.tree.test",
        "tree.test",
        "only.excluded.test",
        "www",
        "x.www",
        "some.host",
        "host",
        "nothing",
        "excluded",
    ] {
        names.push(name.to_owned());
    }
    let files = [("set", &*set), ("records", records)];
    let dump = same_listings("list.example", &files, &["dnset:set", "generic:records"], &names);
    // An alias only where a wildcard would list the name.
    let aliases = dump.lines().filter(|line| line.contains("CNAME")).filter_map(|line| line.split('\t').next());
    assert!(aliases.eq(["never.both.example"]), "{dump}");
}

/// All that a name may be made of, and what some name servers refuse unless it is written by number.
#[test]
fn names_of_punctuation() {
    const MARKS: &str = "!#$%&'*+,-/:;<=>?@[]^_`{|}~()\"";
    let mut set = HEAD.to_owned();
    let records = "web(site) A 192.0.2.80\n@ MX 10 mail(1).example.org\n";
    let mut names = vec!["web(site)".to_owned()];
    for mark in MARKS.chars() {
        set.extend([format!("x{mark}y.in.name.test\n*.x{mark}y.below.test\n")]);
        names.push(format!("x{mark}y.in.name.test"));
        names.push(format!("z.x{mark}y.below.test"));
    }
    let dump = same_listings(
        "list.example",
        &[("set", &set), ("records", records)],
        &["dnset:set", "generic:records"],
        &names,
    );
    for mark in MARKS.chars() {
        let shown = if matches!(mark, '-' | '_') { mark.to_string() } else { format!("\\{:03}", mark as u32) };
        assert!(dump.contains(&format!("\nx{shown}y.in.name.test\t")), "{mark}: {dump}");
    }
    assert!(dump.contains("\tmail\\0401\\041.example.org.\n"), "{dump}");
}

/// An asterisk of their own makes names no wildcards here; elsewhere it would, and what it lists there is everything.
#[test]
fn names_that_begin_with_an_asterisk() {
    let set = format!(
        "{HEAD}\\*.o.test\n.\\*.both.test\na.\\*.mid.test\n.wild.test\n!\\*.wild.test\n.under.test\nb.\\*.under.test\n"
    );
    let records = "\\*.web A 192.0.2.80\n";
    let names =
        ["any.o.test", "o.test", "any.both.test", "x.*.both.test", "a.*.mid.test", "b.*.mid.test", "a.x.mid.test"]
            .into_iter()
            .chain(["any.wild.test", "wild.test", "a.any.wild.test", "any.under.test", "b.*.under.test", "any.web"])
            .map(str::to_owned)
            .collect::<Vec<_>>();
    let specs = ["dnset:set", "generic:records"];
    let dump = same_listings("list.example", &[("set", &set), ("records", records)], &specs, &names);
    let left_out: Vec<&str> = dump
        .lines()
        .filter_map(|line| line.strip_prefix("; left out, ")?.split_once(": "))
        .map(|(_, what)| what)
        .collect();
    let expected = [
        "\\042.web\t2100\tA\t192.0.2.80",
        "\\042.both.test\t2100\tA\t127.0.0.2",
        "\\042.o.test\t2100\tA\t127.0.0.2",
        "\\042.wild.test\t300\tCNAME\texcluded",
    ];
    assert!(expected.iter().all(|what| left_out.contains(what)) && left_out.len() == expected.len(), "{dump}");
}

#[test]
fn subzones() {
    let combined = format!(
        "{HEAD}$DATASET ip4set proxies @\n:2:proxy\n127.0.0.2\n192.0.2.0/24\n$DATASET ip4set relays @\n:3:relay\n127.0.0.2\n\
         $DATASET generic:common relays @\n@ A 192.0.2.8\nwww A 192.0.2.8\n"
    );
    let names: Vec<String> =
        ["2.0.0.127", "2.0.0.127.proxies", "2.0.0.127.relays", "9.2.0.192", "9.2.0.192.relays", "www"]
            .into_iter()
            .chain(["www.relays", "www.proxies", "relays", "proxies", "nothing", "9.2.0.192.proxies"])
            .map(str::to_owned)
            .collect();
    same_listings("list.example", &[("combined", &combined)], &["combined:combined"], &names);
}

/// A subzone hides what its own file says above it, and not what others say: what is dumped is what is answered.
#[test]
fn subzones_hide_what_their_file_says_above() {
    let combined = format!(
        "{HEAD}$DATASET dnset:a @\n:2:zone\nx.s\n*.w.s\n*.s\nk\n.q\n*.t.u\n$DATASET dnset:e s\n:3:subzone\ny\n!z.y\n$DATASET ip4set:f t\n\
         1.2.3.4\n$DATASET generic:g @\nhost.t A 192.0.2.1\nhost A 192.0.2.2\n$DATASET ip4set:h v v.q s.t.u\n$DATASET dnset:i deep.s\n"
    );
    let set = ":7:file\nfoo.s\n*.wild.s\n.both.s\n*.y.s\ns.t.u\n!no.wild.s\n*.deep.s\n";
    let records = "srv.s A 192.0.2.3\n";
    let mut names = Vec::new();
    for name in [
        "x", "a.w", "w", "y", "z.y", "a.y", "foo", "wild", "a.wild", "no.wild", "both", "a.both", "srv", "other",
        "deep", "a.deep",
    ] {
        names.push(format!("{name}.s"));
    }
    for name in [
        "s",
        "t",
        "host.t",
        "host",
        "4.3.2.1.t",
        "k",
        "a.k",
        "q",
        "a.q",
        "v.q",
        "a.v.q",
        "v",
        "a.v",
        "u",
        "t.u",
        "a.t.u",
        "s.t.u",
        "a.s.t.u",
    ] {
        names.push(name.to_owned());
    }
    let files = [("combined", &*combined), ("set", set), ("records", records)];
    let specs = ["combined:combined", "dnset:set", "generic:records"];
    let dump = same_listings("list.example", &files, &specs, &names);
    for hidden in ["x.s\t", "w.s\t", "host.t\t"] {
        assert!(!dump.contains(hidden), "{hidden}: {dump}");
    }
    // Nothing is in it, and what is above does not reach into it.
    assert!(dump.contains("$ORIGIN\tv.q.list.example.\n@\t300\tCNAME\texcluded\n"), "{dump}");
}

/// Names that nobody can ask for are left out, and the others are there.
#[test]
fn names_that_are_too_long_are_passed_over() {
    let label = "x".repeat(60);
    let long = [label.as_str(); 4].join(".");
    let set = format!("{HEAD}a\n*.b\n{long}\n");
    let combined = format!("$DATASET ip4set {long} s\n127.0.0.2\n$DATASET ip4set t.{}\n127.0.0.2\n", &long[61..]);
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [("set", &*set), ("combined", &combined), ("hosts", "192.0.2.1\n")] {
        fs::write(folder.path().join(name), text).expect("written");
    }
    let zone = format!("{}.example", "z".repeat(40));
    let specs =
        [format!("{zone}:dnset:set"), format!("{zone}:combined:combined"), "other.example:ip4set:hosts".to_owned()];
    let dump = dnsbld().current_dir(folder.path()).arg("dump").args(&specs).output().expect("runs");
    let [said, errors] = [&dump.stdout, &dump.stderr].map(|octets| String::from_utf8_lossy(octets));
    assert!(dump.status.success(), "{errors}");
    for part in ["\na\t", "\n*.b\t", "\n2.0.0.127\t", "$ORIGIN\tother.example.", "\n1.2.0.192\t"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains(&long) && errors.contains("passed over") && errors.contains(&long), "{errors}");
    fs::write(folder.path().join("zone"), said.split("; zone other").next().expect("the first")).expect("written");
    let mut checker = Command::new(program("named-checkzone", "bind9-utils"));
    let checked = checker.arg(&zone).arg(folder.path().join("zone")).output().expect("runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let check = dnsbld().current_dir(folder.path()).arg("check").args(&specs).output().expect("runs");
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(said.contains("combined:1:17: warning: subzone that nobody can ask for `"), "{said}");
}

/// Nothing that is listed outlives the zone's data, here as in answers.
#[test]
fn no_ttl_is_longer_than_the_data_are_good() {
    let end = std::time::SystemTime::now() + Duration::from_secs(100);
    let end = humantime::format_rfc3339_seconds(end).to_string();
    let stamp = end.trim_end_matches('Z').replace(['-', 'T'], ":");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("list.example.ip4set");
    let records = folder.path().join("list.example.generic");
    fs::write(&records, "www A 192.0.2.80\n").expect("written");
    for (stamp, is_good) in [(stamp, true), ("2020:01:01".to_owned(), false)] {
        fs::write(&path, format!("{HEAD}$TIMESTAMP 0 {stamp}\n192.0.2.1\n")).expect("written");
        let dump = dnsbld().arg("dump").arg(folder.path()).output().expect("runs");
        let [said, errors] = [&dump.stdout, &dump.stderr].map(|octets| String::from_utf8_lossy(octets));
        assert_eq!(errors.contains("its data expired at "), !is_good, "{errors}");
        let ttls = said.lines().filter(|line| line.contains("\tA\t")).filter_map(|line| line.split('\t').nth(1));
        let ttls: Vec<u32> = ttls.map(|ttl| ttl.parse().expect("a TTL")).collect();
        let expected = if is_good { 60..=101 } else { 2_100..=2_100 };
        assert!(ttls.len() == 2 && ttls.iter().all(|ttl| expected.contains(ttl)), "{said}");
    }
}

/// Nothing is no zone, and whoever makes files of it is to know.
#[test]
fn nothing_is_dumped_with_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for name in ["empty", "lone"] {
        fs::create_dir(path(name)).expect("a folder");
    }
    fs::write(path("lone/bl.example.acl"), "127.0.0.1 :pass\n").expect("written");
    fs::write(path("dnsbld.toml"), "folder = \"missing\"\n").expect("written");
    for (words, expected) in [
        (&["empty"][..], "nothing to read"),
        (&["lone"], "nothing to read"),
        (&["--config", "dnsbld.toml"], "cannot read the zones folder"),
    ] {
        let dump = dnsbld().current_dir(folder.path()).arg("dump").args(words).output().expect("runs");
        let said = String::from_utf8_lossy(&dump.stderr);
        assert_eq!((dump.status.code(), dump.stdout.len()), (Some(1), 0), "{words:?}: {said}");
        assert!(said.contains(expected), "{words:?}: {said}");
    }
}

/// What closes a zone here does not close it elsewhere, and whoever takes it there is to know.
#[test]
fn access_lists_are_said_to_be_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("clients"), "127.0.0.1 :refuse\n").expect("written");
    fs::write(folder.path().join("hosts"), "127.0.0.2\n").expect("written");
    let said_of = |words: &[&str]| {
        let dump = dnsbld().current_dir(folder.path()).args(words).output().expect("runs");
        let said = String::from_utf8_lossy(&dump.stderr).into_owned();
        assert!(dump.status.success(), "{words:?}: {said}");
        (said, String::from_utf8_lossy(&dump.stdout).contains("2.0.0.127\t"))
    };
    let clients = "bl.example:acl:clients";
    for command in [&["dump"][..], &["rbldnsd", "-d"]] {
        let (said, is_dumped) = said_of(&[command, &["bl.example:ip4set:hosts", clients]].concat());
        assert!(is_dumped && said.matches("not dumped").count() == 1 && said.contains("acl:clients"), "{said}");
        assert_eq!(said_of(&[command, &["bl.example:ip4set:hosts"]].concat()), (String::new(), true));
    }
    // As rbldnsd, which prints two comments.
    let (said, is_dumped) = said_of(&["rbldnsd", "-d", ":acl:clients"]);
    assert!(!is_dumped && said.contains("not dumped"), "{said}");
}

/// The sample zones, each as named-checkzone likes it.
#[test]
fn sample_zones() {
    let zones = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones");
    let samples = ["bogusmx.rfc-ignorant.org", "grwhitelist.tee.gr", "virbl.tee.gr"];
    for zone in samples {
        let specs = fs::read_dir(&zones).expect("readable").filter_map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name()?.to_str()?.to_owned();
            let kind = name.strip_prefix(zone)?.strip_prefix('.')?;
            Some(format!("{zone}:{kind}:{}", path.display()))
        });
        let dump = dnsbld().arg("dump").args(specs).output().expect("runs");
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("zone");
        fs::write(&file, &dump.stdout).expect("written");
        for (checker, package) in [("named-checkzone", "bind9-utils"), ("nsd-checkzone", "nsd")] {
            let checked = Command::new(program(checker, package)).arg(zone).arg(&file).output().expect("runs");
            assert!(checked.status.success(), "{checker}: {}", String::from_utf8_lossy(&checked.stdout));
        }
    }
}
