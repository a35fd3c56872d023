//! A start meets a machine as rbldnsd meets it: families of addresses, neighbours on the port, readers of its output, signals.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    process::{Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    LISTED, UNLISTED, ask,
    daemon::{Daemon, await_true, dnsbld, free_address},
    folder, rbldnsd,
};

/// A port that nobody has in either family, by the system's choice.
fn free_port() -> u16 {
    UdpSocket::bind("[::]:0").and_then(|socket| socket.local_addr()).expect("a port").port()
}

/// rbldnsd's one socket of all addresses takes both families, whatever the options say.
#[test]
fn a_wildcard_of_ipv6_takes_ipv4_too() {
    let folder = folder();
    for host in ["::", "*"] {
        let port = free_port();
        let mut command = rbldnsd(folder.path());
        command.args(["-n", "-6", "-b", &format!("{host}/{port}"), "bl.example:ip4set:hosts"]);
        let server = Daemon::start(command);
        let code = ask((Ipv4Addr::LOCALHOST, port).into(), LISTED).map(|(_, code)| code);
        assert_eq!(code, Some(0), "{host}: {}", server.said());
    }
}

#[test]
fn a_mapped_address_is_the_ipv4_address() {
    let folder = folder();
    let mut asked = Vec::new();
    for options in [&["-n"][..], &["-n", "-6"], &["-n", "-4"]] {
        let mut command = rbldnsd(folder.path());
        command.args(options).args(["-b::ffff:127.0.0.1/0", "bl.example:ip4set:hosts"]);
        asked.push(command);
    }
    let mut command = dnsbld();
    command.args(["serve", "--http", "off", "--state", "off", "--listen", "[::ffff:127.0.0.1]:0"]);
    command.arg(format!("bl.example:ip4set:{}", folder.path().join("hosts").display()));
    asked.push(command);
    for command in asked {
        let server = Daemon::start(command);
        assert_eq!(server.address().ip(), Ipv4Addr::LOCALHOST);
        assert_eq!(ask(server.address(), LISTED).map(|(_, code)| code), Some(0), "{}", server.said());
    }
}

/// Nobody who comes from rbldnsd asked for TCP, and somebody else may have it for zone transfers.
#[test]
fn a_tcp_port_of_somebody_else_costs_tcp_alone() {
    let folder = folder();
    let neighbour = TcpListener::bind(free_address()).expect("a listener");
    let address = neighbour.local_addr().expect("an address");
    let mut command = rbldnsd(folder.path());
    command.args(["-n", &format!("-b{}/{}", address.ip(), address.port()), "bl.example:ip4set:hosts"]);
    let server = Daemon::start(command);
    assert_eq!(ask(address, LISTED).map(|(_, code)| code), Some(0));
    let said = server.said();
    assert!(said.contains(&format!("{address} (TCP): Address already in use")), "{said}");
    assert!(said.contains("by UDP alone"), "{said}");
    // Another server of UDP is noticed as ever, and whoever asks for both gets both.
    let mut second = rbldnsd(folder.path());
    second.args(["-n", &format!("-b{}/{}", address.ip(), address.port()), "bl.example:ip4set:hosts"]);
    assert!(Daemon::try_start(second).err().is_some_and(|why| why.contains("(UDP): Address already in use")));
    drop(server);
    let mut serve = dnsbld();
    serve.args(["serve", "--http", "off", "--state", "off", "--listen", &address.to_string()]);
    serve.arg(format!("bl.example:ip4set:{}", folder.path().join("hosts").display()));
    assert!(Daemon::try_start(serve).err().is_some_and(|why| why.contains("(TCP): Address already in use")));
}

/// A daemon keeps its standard output where that is the query log, and only there.
#[test]
fn a_daemon_logs_queries_to_its_output() {
    let folder = folder();
    for log in ["-l+-", "-l-"] {
        let address = free_address();
        let mut command = rbldnsd(folder.path());
        command.args(["-ppid", log, &format!("-b{}/{}", address.ip(), address.port()), "bl.example:ip4set:hosts"]);
        let mut started = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("runs");
        assert!(started.wait().expect("it ends").success());
        let pid = fs::read_to_string(folder.path().join("pid")).expect("a process id");
        let pid = Pid::from_raw(pid.trim().parse().expect("a number"));
        let code = ask(address, LISTED).map(|(_, code)| code);
        let errors = fs::read_link(format!("/proc/{pid}/fd/2"));
        // What is left in the log is written at the end, which closes it.
        kill(pid, Signal::SIGTERM).expect("sent");
        let lines = BufReader::new(started.stdout.take().expect("its output")).lines();
        let logged: Vec<String> = lines.map_while(Result::ok).filter(|line| !line.starts_with("rbldnsd: ")).collect();
        assert_eq!(code, Some(0));
        assert_eq!(errors.ok(), Some("/dev/null".into()));
        assert!(logged.len() == 1 && logged[0].contains(" 2.0.0.127.bl.example A IN: NOERROR/1/"), "{log}: {logged:?}");
    }
}

/// The alarm of `-c` may be sent by others as well.
#[test]
fn an_alarm_is_a_look_at_the_files() {
    let folder = folder();
    let hosts = folder.path().join("hosts");
    let mut under_its_name = rbldnsd(folder.path());
    under_its_name.args(["-n", "-c0", "-sstats", "-b127.0.0.1/0", "bl.example:ip4set:hosts"]);
    let mut serve = dnsbld();
    serve.args(["serve", "--http", "off", "--state", "off", "--check", "0", "--listen", "127.0.0.1:0"]);
    serve.arg(format!("bl.example:ip4set:{}", hosts.display()));
    let is_listed = |address: SocketAddr| ask(address, UNLISTED).is_some_and(|(_, code)| code == 0);
    for (command, writes_statistics) in [(under_its_name, true), (serve, false)] {
        fs::write(&hosts, "127.0.0.2\n").expect("written");
        let server = Daemon::start(command);
        assert!(!is_listed(server.address()));
        fs::write(&hosts, "127.0.0.2\n127.0.0.9\n").expect("written");
        server.send(Signal::SIGALRM);
        await_true("the reload", || is_listed(server.address()), || server.said());
        let statistics = fs::read_to_string(folder.path().join("stats")).unwrap_or_default();
        assert!(!writes_statistics || statistics.lines().any(|line| line.contains(" bl.example:")), "{statistics}");
    }
}

/// What a daemon has for its output is let go of by the one that was started: whoever waits for its end is not kept.
#[test]
fn a_daemon_without_such_a_log_lets_go_of_its_output() {
    let folder = folder();
    let address = free_address();
    let mut command: Command = rbldnsd(folder.path());
    command.args(["-ppid", "-l+queries", &format!("-b{}/{}", address.ip(), address.port()), "bl.example:ip4set:hosts"]);
    assert!(command.output().expect("its output ends").status.success());
    let pid = fs::read_to_string(folder.path().join("pid")).expect("a process id");
    kill(Pid::from_raw(pid.trim().parse().expect("a number")), Signal::SIGTERM).expect("sent");
}
