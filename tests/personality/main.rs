//! Called as rbldnsd, the program behaves as one: daemon, process id, statistics, query log, signals, exit codes.

#[path = "../support/daemon.rs"]
#[allow(dead_code)] // the differential test uses more of it
mod daemon;
mod dry_run;
mod start;

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use daemon::{Daemon, await_true, dnsbld, free_address, program};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Asks for `2.0.0.127.bl.example A` and the like; returns the reply's length and code.
fn ask(server: SocketAddr, name: &[u8]) -> Option<(usize, u8)> {
    let socket = send(server, &[name, b"\0\0\x01\0\x01"].concat());
    let mut reply = [0; 512];
    socket.recv(&mut reply).ok().map(|length| (length, reply[3] & 0xf))
}

/// Asks one question, or what looks like one.
fn send(server: SocketAddr, question: &[u8]) -> UdpSocket {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
    let request = [b"\x11\x11\0\0\0\x01\0\0\0\0\0\0", question].concat();
    socket.send_to(&request, server).expect("sent");
    socket
}

const LISTED: &[u8] = b"\x012\x010\x010\x03127\x02bl\x07example";
const UNLISTED: &[u8] = b"\x019\x010\x010\x03127\x02bl\x07example";

fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("permitted");
    fs::write(folder.path().join("hosts"), "127.0.0.2\n").expect("written");
    folder
}

/// The program under rbldnsd's own name.
fn rbldnsd(folder: &Path) -> Command {
    let name = folder.join("rbldnsd");
    if !name.exists() {
        symlink(env!("CARGO_BIN_EXE_dnsbld"), &name).expect("a link");
    }
    let mut command = Command::new(name);
    command.current_dir(folder);
    if nix::unistd::geteuid().is_root() {
        command.args(["-u", "nobody"]);
    }
    command
}

/// Has it listen on a port that nobody has.
const ANYWHERE: &str = "-b127.0.0.1/0";

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[test]
fn usage_and_mistakes() {
    let folder = folder();
    let run = |arguments: &[&str]| {
        let output = rbldnsd(folder.path()).args(arguments).output().expect("runs");
        (output.status.code(), text(&output))
    };
    let alone = rbldnsd(folder.path()).get_program().to_owned();
    let help = Command::new(&alone).arg("-h").output().expect("runs");
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("\n -6"));
    let nothing = Command::new(&alone).output().expect("runs");
    assert_eq!(nothing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nothing.stdout).starts_with("rbldnsd: rbl dns daemon"));
    for arguments in [&["-n", ANYWHERE, "bl.example:ip4set:absent"][..], &["-d", "bl.example:ip4set:absent"]] {
        let (code, said) = run(arguments);
        assert!(code == Some(1) && said.contains("cannot open absent"), "{said}");
        assert!(!said.contains("until it loads"), "nobody waits for that: {said}");
    }
    let (_, said) = run(&["-n", ANYWHERE, "bl.example:ip4set:hosts", "bl.example:acl:hosts", "bl.example:acl:stats"]);
    assert!(said.contains("`bl.example:acl:stats`: zone bl.example has a list of that type already"), "{said}");
    for (arguments, says) in [
        (&["-n"][..], "no zone(s) to service specified"),
        (&["-n", "bl.example:ip4set:hosts"], "no address to listen on"),
        (&["-n", "-b", "127.0.0.1/0", "bl.example"], "ZONE:TYPE:FILE"),
        (&["-n", "-b", "127.0.0.1/0", "bl.example:nosuch:hosts"], "unknown dataset type"),
        (&["-n", "-b", "127.0.0.1/0", "bl.example:ip4set:absent"], "cannot open absent"),
        (&["-n", "-b", "127.0.0.1/0", "bl.example:acl:hosts"], "no data"),
        (&["-n", "-b", "127.0.0.1/0", "-t", "x", "bl.example:ip4set:hosts"], "invalid ttl"),
        (&["-n", "-b", "127.0.0.1/0", "-c", "soon", "bl.example:ip4set:hosts"], "invalid check interval"),
        (&["-n", "-b", "127.0.0.1/0", "-F", "nosuch", "bl.example:ip4set:hosts"], "log facility"),
        (&["-n", "-b", "127.0.0.1/0", "-x", "some.so", "bl.example:ip4set:hosts"], "-s FILE counts queries"),
        (&["-Z"], "type `rbldnsd -h' for help"),
    ] {
        let (code, said) = run(arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}

#[test]
fn statistics_log_and_signals() {
    let folder = folder();
    let mut command = rbldnsd(folder.path());
    // Options run together and after the zones, as getopt lets them.
    command.args(["-nf", "-c", "0", "-p", "pid", "-l+queries", ANYWHERE, "bl.example:ip4set:hosts", "-s", "stats"]);
    let mut server = Daemon::start(command);
    let address = server.address();
    let wait_until = |what: &str, holds: &dyn Fn() -> bool| await_true(what, holds, || server.said());
    let path = |name: &str| folder.path().join(name);
    let read = |name: &str| fs::read_to_string(path(name)).unwrap_or_default();
    assert_eq!(read("pid"), format!("{}\n", server.id()));
    assert!(server.said().contains("-f is not needed"));

    assert_eq!(ask(address, LISTED).map(|(_, code)| code), Some(0));
    let (length, code) = ask(address, UNLISTED).expect("an answer");
    assert_eq!(code, 3);
    wait_until("the query log", &|| {
        read("queries").contains(&format!(" 127.0.0.1 9.0.0.127.bl.example A IN: NXDOMAIN/0/{length}\n"))
    });
    assert!(read("queries").contains(" 127.0.0.1 2.0.0.127.bl.example A IN: NOERROR/1/"));

    server.send(Signal::SIGUSR2);
    wait_until("statistics", &|| read("stats").lines().count() == 3);
    let stats = read("stats");
    let line = stats.lines().nth(1).expect("a line");
    let (_, counts) = line.split_once(' ').expect("a time and counts");
    assert!(counts.starts_with("bl.example:2:1:1:") && counts.contains(" *:"), "{counts}");
    wait_until("the log of counters", &|| server.said().contains("zone bl.example: tot=2 ok=1 nxd=1 err=0"));
    wait_until("and of all", &|| server.said().contains("sec: tot=2 ok=1 nxd=1 err=0"));
    server.send(Signal::SIGUSR1);
    wait_until("counters that began anew", &|| server.said().contains("zone bl.example: tot=0 ok=0 nxd=0 err=0"));

    // A log that was rotated is opened anew, and files are looked at even without an interval.
    fs::rename(path("queries"), path("queries.1")).expect("renamed");
    fs::write(path("hosts"), "127.0.0.2\n127.0.0.9\n").expect("written");
    server.send(Signal::SIGHUP);
    wait_until("the reload", &|| ask(address, UNLISTED).is_some_and(|(_, code)| code == 0));
    wait_until("the new log", &|| read("queries").contains("9.0.0.127.bl.example A IN: NOERROR"));

    server.send(Signal::SIGTERM);
    assert!(server.await_end().success(), "{}", server.said());
    assert!(server.said().contains("terminating"));
    assert_eq!(server.said().matches("secs zone bl.example: tot=").count(), 3, "{}", server.said());
    assert_eq!(read("stats").lines().last().map(|line| line.contains(' ')), Some(false), "a bare time at the end");
}

#[test]
fn a_zone_without_a_section_is_told_of() {
    let folder = folder();
    fs::write(folder.path().join("parts"), "# nothing yet\n").expect("written");
    let mut command = rbldnsd(folder.path());
    command.args(["-n", ANYWHERE, "bl.example:combined:parts"]);
    let server = Daemon::start(command);
    assert!(server.said().contains("zone bl.example: 0 entries in no dataset, "), "{}", server.said());
}

/// What an access list ignores was received, and is told of in the total, as rbldnsd does; a zone's counts are of answers.
#[test]
fn what_is_ignored_counts_in_the_total() {
    let folder = folder();
    fs::write(folder.path().join("clients"), "127.0.0.9 :ignore\n").expect("written");
    let mut command = rbldnsd(folder.path());
    command.args(["-n", "-s", "stats", ANYWHERE, "bl.example:ip4set:hosts", "bl.example:acl:clients"]);
    let mut server = Daemon::start(command);
    let ignored = UdpSocket::bind(("127.0.0.9", 0)).expect("a socket");
    let request = [b"\x11\x11\0\0\0\x01\0\0\0\0\0\0", LISTED, b"\0\0\x01\0\x01"].concat();
    for _ in 0..3 {
        ignored.send_to(&request, server.address()).expect("sent");
    }
    assert_eq!(ask(server.address(), LISTED).map(|(_, code)| code), Some(0));
    // Another worker may still be at them.
    await_true(
        "statistics of all",
        || {
            server.send(Signal::SIGUSR1);
            server.said().contains("sec: tot=4 ok=1 nxd=0 err=3 ")
        },
        || server.said(),
    );
    server.send(Signal::SIGTERM);
    assert!(server.await_end().success(), "{}", server.said());
    assert!(server.said().contains("zone bl.example: tot=1 ok=1 nxd=0 err=0 "), "{}", server.said());
    let stats = fs::read_to_string(folder.path().join("stats")).expect("statistics");
    let line = stats.lines().rfind(|line| line.contains(' ')).expect("a line");
    assert!(line.contains(" bl.example:1:1:0:") && line.contains(" *:4:1:0:"), "{line}");
}

/// What is asked is called there what rbldnsd calls it, and what cannot be read has no line.
#[test]
fn the_query_log_is_rbldnsds() {
    let folder = folder();
    let asked = |server: SocketAddr, log: &str| {
        let ask = |question: &[u8]| send(server, question).recv(&mut [0; 512]).ok();
        let fields = |kind: u16, class: u16| [kind.to_be_bytes(), class.to_be_bytes()].concat();
        for unreadable in
            [&b"\xc0\x0c\0\x01\0\x01"[..], &[&[80][..], &[b'x'; 80], b"\0\0\x01\0\x01"].concat(), LISTED, b""]
        {
            drop(send(server, unreadable));
        }
        for kind in (0..=300).chain([32_769, u16::MAX]) {
            ask(&[LISTED, b"\0", &fields(kind, 1)].concat());
        }
        for class in [0, 2, 3, 4, 254, 255, 256] {
            ask(&[LISTED, b"\0", &fields(1, class)].concat());
        }
        for first in (0..=255).step_by(16) {
            let label: Vec<u8> = (first..=first + 15).collect();
            ask(&[b"\x10", &*label, b"\x02BL\x07Example\0", &fields(1, 1)].concat());
        }
        ask(&[b"\0", &fields(1, 1)[..]].concat());
        ask(&[b"\x04last\0", &fields(1, 1)[..]].concat());
        let path = folder.path().join(log);
        let read = || fs::read_to_string(&path).unwrap_or_default();
        await_true("the last one is logged", || read().contains(" last A IN: "), read);
        let questions = read();
        let questions =
            questions.lines().filter_map(|line| line.splitn(3, ' ').nth(2)?.rsplit_once(": ")).map(|(asked, _)| asked);
        questions.filter(|asked| !asked.starts_with("ready.")).map(str::to_owned).collect::<Vec<_>>()
    };
    let common = |mut command: Command, log: &str| {
        command.args(["-n", "-c", "0", &format!("-l+{log}"), "bl.example:ip4set:hosts"]);
        command
    };
    let server = Daemon::start({
        let mut command = common(rbldnsd(folder.path()), "ours");
        command.args(["-W1", ANYWHERE]);
        command
    });
    let ours = asked(server.address(), "ours");
    let address = free_address();
    let mut command = Command::new(program("rbldnsd", "rbldnsd"));
    command.current_dir(folder.path()).arg(format!("-b{}/{}", address.ip(), address.port()));
    if nix::unistd::geteuid().is_root() {
        command.args(["-u", "nobody"]);
    }
    let server = Daemon::start_at(&[address], common(command, "theirs")).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(ours, asked(server.address(), "theirs"));
    for expected in ["2.0.0.127.bl.example CNAME IN", "\\032!\\\"#\\$%&'()*+,-\\./.BL.Example A IN", ". A IN"] {
        assert!(ours.iter().any(|line| line == expected), "{expected}: {ours:#?}");
    }
}

/// A disk that was full is one that may have room again.
#[test]
fn a_query_log_that_could_not_be_written_is_opened_anew() {
    let folder = folder();
    let log = folder.path().join("queries");
    symlink("/dev/full", &log).expect("a link");
    let mut command = rbldnsd(folder.path());
    command.args(["-n", "-l+queries", ANYWHERE, "bl.example:ip4set:hosts"]);
    let server = Daemon::start(command);
    assert_eq!(ask(server.address(), LISTED).map(|(_, code)| code), Some(0));
    await_true("a complaint", || server.said().contains("cannot write the query log"), || server.said());
    fs::remove_file(&log).expect("removed");
    server.send(Signal::SIGHUP);
    let is_logged = || {
        ask(server.address(), LISTED);
        fs::read_to_string(&log).is_ok_and(|log| log.contains("2.0.0.127.bl.example"))
    };
    await_true("the log", is_logged, || server.said());
}

/// Whoever rotates logs goes by the process id, which is there before the zones are.
#[test]
fn signals_during_the_first_load_wait_for_its_end() {
    let folder = folder();
    let comments = format!("# {}\n", "never mind ".repeat(90)).repeat(100_000);
    fs::write(folder.path().join("hosts"), format!("{comments}127.0.0.2\n")).expect("written");
    let mut command = rbldnsd(folder.path());
    command.args(["-nt", "3000000000", "-c", "0", "-p", "pid", ANYWHERE, "bl.example:ip4set:hosts"]);
    let pidfile = folder.path().join("pid");
    let sender = thread::spawn(move || {
        let read = || fs::read_to_string(&pidfile).ok()?.trim().parse().ok();
        await_true("a process id", || read().is_some(), String::new);
        let pid = Pid::from_raw(read().expect("a number"));
        [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2].map(|signal| kill(pid, signal))
    });
    let server = Daemon::start(command);
    assert!(sender.join().expect("no panic").iter().all(Result::is_ok));
    await_true("statistics, twice", || server.said().matches("sec: tot=").count() == 2, || server.said());
    assert!(server.said().contains("-t: 3000000000: TTL too large: at most 2147483647 seconds"), "{}", server.said());
}

#[test]
fn a_query_log_that_cannot_be_opened_stops_nothing() {
    let folder = folder();
    let mut command = rbldnsd(folder.path());
    command.args(["-n", "-l", "later/queries", ANYWHERE, "bl.example:ip4set:hosts"]);
    let server = Daemon::start(command);
    assert_eq!(ask(server.address(), LISTED).map(|(_, code)| code), Some(0));
    assert!(server.said().contains("unable to open logfile later/queries: No such file"), "{}", server.said());
    // It is tried again when it is to be reopened.
    let later = folder.path().join("later");
    fs::create_dir(&later).expect("a folder");
    fs::set_permissions(&later, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("permitted");
    server.send(Signal::SIGHUP);
    let is_logged = || {
        ask(server.address(), LISTED);
        fs::read_to_string(folder.path().join("later/queries")).is_ok_and(|log| log.contains("2.0.0.127.bl.example"))
    };
    await_true("the log", is_logged, || server.said());
}

#[test]
fn a_log_that_takes_nothing_costs_the_log_alone() {
    let folder = folder();
    let zones = folder.path().join("zones");
    fs::create_dir(&zones).expect("a folder");
    let drop_hosts = |hosts: &str| {
        fs::write(folder.path().join("aside"), hosts).expect("written");
        fs::rename(folder.path().join("aside"), zones.join("bl.example.ip4set")).expect("renamed");
    };
    drop_hosts("127.0.0.2\n");
    for format in ["text", "json"] {
        let address = free_address();
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$@\" >/dev/full 2>&1", "sh", env!("CARGO_BIN_EXE_dnsbld"), "serve"]);
        command.args(["--http", "off", "--log", format, "--listen", &address.to_string()]).arg(&zones);
        let mut server = Daemon::start_at(&[address], command).unwrap_or_else(|why| panic!("{why}"));
        let await_code = |what: &str, code: u8| {
            await_true(what, || ask(address, UNLISTED).is_some_and(|(_, found)| found == code), String::new);
        };
        drop_hosts("127.0.0.2\n127.0.0.9\n");
        await_code("the drop", 0);
        drop_hosts("127.0.0.2\n");
        server.send(Signal::SIGHUP);
        await_code("the reload", 3);
        assert!(server.is_running());
    }
}

#[test]
fn a_daemon_says_how_it_went() {
    let folder = folder();
    let address = free_address();
    let bind = format!("-b{}/{}", address.ip(), address.port());
    let failed = rbldnsd(folder.path()).args([&bind, "bl.example:ip4set:absent"]).output().expect("runs");
    assert_eq!(failed.status.code(), Some(1), "{}", text(&failed));
    assert!(text(&failed).contains("zone loading errors, aborting"));

    let began = Instant::now();
    let started = rbldnsd(folder.path())
        .args(["-p", "pid", &bind, "bl.example:ip4set:hosts"])
        .output()
        .expect("runs, and lets go of its output");
    assert!(started.status.success(), "{}", text(&started));
    assert!(began.elapsed() < Duration::from_secs(10));
    let pid = fs::read_to_string(folder.path().join("pid")).expect("a process id");
    let pid = Pid::from_raw(pid.trim().parse().expect("a number"));
    // Whoever started it may ask at once.
    let code = ask(address, LISTED).map(|(_, code)| code);
    kill(pid, Signal::SIGTERM).expect("sent");
    assert_eq!(code, Some(0));
    await_true("the end", || kill(pid, None).is_err(), String::new);
}

#[test]
fn dumps_and_dry_runs() {
    let folder = folder();
    let dump = rbldnsd(folder.path()).args(["-d", "bl.example:ip4set:hosts"]).output().expect("runs");
    assert!(dump.status.success() && text(&dump).contains("2.0.0.127\t2100\tA\t127.0.0.2"), "{}", text(&dump));
    // What `$TTL 0` stands for is no fault of the line.
    fs::write(folder.path().join("zero"), "$TTL 0\n127.0.0.2\n").expect("written");
    let long = rbldnsd(folder.path()).args(["-d", "-t3000000000", "bl.example:ip4set:zero"]).output().expect("runs");
    let said = text(&long);
    assert!(said.contains("2.0.0.127\t2147483647\tA"), "{said}");
    assert!(said.contains("-t: 3000000000: TTL too large") && said.matches("too large").count() == 1, "{said}");
    let dry = rbldnsd(folder.path()).args(["-D", "bl.example:ip4set:hosts"]).output().expect("runs");
    assert!(dry.status.success(), "{}", text(&dry));
    // Whatever else the command line says of a server: the files are read as it would read them.
    fs::write(folder.path().join("wide"), "192.0.2.1/24\n").expect("written");
    for (option, warnings) in [("-De", "no warnings"), ("-D", "1 warning (1 invalid range (non-zero host part))")] {
        let words = [option, "-q", "-b*", "-l+log", "-sstats", "-ppid", "bl.example:ip4set:wide"];
        let dry = rbldnsd(folder.path()).args(words).output().expect("runs");
        let said = text(&dry);
        assert!(dry.status.success() && said.contains(&format!("ip4set:wide: {warnings}\n")), "{option}: {said}");
    }
    for file in ["log", "stats", "pid"] {
        assert!(!folder.path().join(file).exists(), "{file}: nothing is served");
    }
    let broken = rbldnsd(folder.path()).args(["-d", "bl.example:ip4set:absent"]).output().expect("runs");
    assert_eq!((broken.status.code(), broken.stdout.len()), (Some(1), 0));
}

#[test]
fn versions_are_hidden_as_asked() {
    let folder = folder();
    let version = b"\x07version\x04bind\0\0\x10\0\x03";
    for (options, expected) in [(&["-n"][..], Some("dnsbld ")), (&["-nv"], Some("rbldnsd")), (&["-nvv"], None)] {
        let mut command = rbldnsd(folder.path());
        command.args(options).args([ANYWHERE, "bl.example:ip4set:hosts"]);
        let server = Daemon::start(command);
        let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
        let request = [b"\x11\x11\0\0\0\x01\0\0\0\0\0\0", &version[..]].concat();
        socket.send_to(&request, server.address()).expect("sent");
        let mut reply = [0; 512];
        let length = socket.recv(&mut reply).expect("a reply");
        let shown = String::from_utf8_lossy(&reply[..length]);
        match expected {
            Some(text) => assert!(shown.contains(text), "{options:?}: {shown}"),
            None => assert_eq!(reply[3] & 0xf, 5, "{options:?}"),
        }
    }
}

/// Of both, the last one counts.
#[test]
fn one_family_or_the_other() {
    let folder = folder();
    for (option, is_taken) in [("-4", true), ("-6", false), ("-64", true), ("-46", false), ("-464", true)] {
        let mut command = rbldnsd(folder.path());
        command.args(["-n", option, ANYWHERE, "bl.example:ip4set:hosts"]);
        match Daemon::try_start(command) {
            Ok(_) => assert!(is_taken, "{option}"),
            Err(why) => assert!(!is_taken && why.contains("no available protocols"), "{option}: {why}"),
        }
    }
}

#[test]
fn our_own_name_takes_the_same_words() {
    let output = dnsbld().args(["rbldnsd", "-n", "-b", "127.0.0.1/0"]).output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("no zone(s) to service specified"));
}

/// Files are found inside the folder that the process is confined to; who may not confine is told.
/// Nothing of the file system that it had is there for it then.
#[test]
fn a_confined_daemon_lets_go_of_its_terminal() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let folder = folder();
    let jail = folder.path().join("jail");
    fs::create_dir(&jail).expect("made");
    fs::write(jail.join("hosts"), "127.0.0.2\n").expect("written");
    let mut command = rbldnsd(folder.path());
    command.args([&format!("-r{}", jail.display()), "-w/", "-ppid", ANYWHERE, "bl.example:ip4set:hosts"]);
    let [said, complained] =
        ["said", "complained"].map(|name| fs::File::create(folder.path().join(name)).expect("made"));
    let status = command.stdout(said).stderr(complained).status().expect("it starts");
    assert!(status.success(), "{}", fs::read_to_string(folder.path().join("complained")).expect("text"));
    let pid = fs::read_to_string(folder.path().join("pid")).expect("a process id");
    let pid = Pid::from_raw(pid.trim().parse().expect("a number"));
    let open: Vec<_> = (0..3).map(|number| fs::read_link(format!("/proc/{pid}/fd/{number}")).ok()).collect();
    kill(pid, Signal::SIGTERM).expect("it runs");
    assert_eq!(open, vec![Some("/dev/null".into()); 3]);
}

#[test]
fn a_folder_to_be_confined_to() {
    let folder = folder();
    fs::create_dir(folder.path().join("jail")).expect("made");
    fs::write(folder.path().join("jail/hosts"), "127.0.0.2\n").expect("written");
    let mut command = rbldnsd(folder.path());
    command.arg("-n").arg(format!("-r{}", folder.path().join("jail").display()));
    command.args(["-w/", ANYWHERE, "bl.example:ip4set:hosts"]);
    let started = Daemon::try_start(command);
    if nix::unistd::geteuid().is_root() {
        let server = started.unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(ask(server.address(), LISTED).map(|(_, code)| code), Some(0));
        // What arrives there is seen there.
        fs::write(folder.path().join("jail/hosts"), "127.0.0.2\n127.0.0.9\n").expect("written");
        let is_listed = || ask(server.address(), UNLISTED).is_some_and(|(_, code)| code == 0);
        await_true("the reload", is_listed, || server.said());
    } else {
        assert!(started.err().is_some_and(|why| why.contains("unable to chroot")));
    }
}
