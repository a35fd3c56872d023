//! The same as `throughput` across a network interface, which ours may take requests from directly.
//!
//! Each server has a network namespace of its own, and a pair of `veth` interfaces that joins it to the namespace of the load.
//! So the program that ours puts on an interface stands in no other server's way.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, id},
    thread,
};

use nix::{
    sched::{CloneFlags, setns},
    unistd::Uid,
};

use crate::{
    Bench,
    fixtures::Fixture,
    server::Server,
    servers::{ECHO_BATCH, OURS, Row, SERVER_CORE, TAPPING, THEIRS, probe, start, start_echo, with_words},
    throughput::{columns, made_up, table, take_turns},
};

const SERVERS: [&str; 4] = [TAPPING, OURS, THEIRS, ECHO_BATCH];
const PORT: u16 = 5300;
/// A server's interface, as its namespace knows it.
const INTERFACE: &str = "server";

/// Only root may make namespaces.
pub(crate) fn may_run() -> bool {
    Uid::effective().is_root()
}

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    if !may_run() {
        return Err(io::Error::other("this part needs root, for it makes network namespaces"));
    }
    let lists = made_up(bench)?;
    let (mut rows, mut taken) = (Vec::new(), String::new());
    for list in &lists {
        taken = in_namespaces(bench, list, &mut rows)?;
    }
    let lines: Vec<String> = rows.iter().map(Row::line).collect();
    bench.report.raw("interface.tsv", Row::COLUMNS, &lines)?;
    let table = table(&lists, &SERVERS, ECHO_BATCH, &rows);
    let title = "Throughput and processor time across an interface";
    bench.report.table(title, &columns(ECHO_BATCH), &table, &format!("{NOTE} `{TAPPING}` says: \"{taken}\"."))
}

const NOTE: &str = "Medians of the turns; the two ratios are medians of the ratios of each turn. Each server has a pair of \
                    virtual interfaces of its own. Whoever sends on such a pair also carries the datagram to where the other \
                    end waits for it: that of a request is on the load's core and in no server's processor time, that of a \
                    reply is in the server's.";

/// Measures all servers with that list, and returns what ours said of the interface.
fn in_namespaces(bench: &Bench, list: &Fixture, rows: &mut Vec<Row>) -> io::Result<String> {
    let mut namespaces = Namespaces::default();
    let load = namespaces.add("load")?;
    let mut links = Vec::new();
    for (number, name) in (0..).zip(SERVERS) {
        links.push((name, namespaces.link(&load, number)?));
    }
    // A thread of its own, that no way back to this network need be found.
    let measured = thread::scope(|scope| {
        let measuring = scope.spawn(|| {
            setns(fs::File::open(Path::new("/run/netns").join(&load))?, CloneFlags::CLONE_NEWNET)?;
            let servers = links.iter().map(|(name, link)| link.start(bench, name, list));
            let servers = servers.collect::<io::Result<Vec<_>>>()?;
            // Without their names they end with the last that runs in them, even if this is killed.
            drop(namespaces);
            let taken = taken(&servers[0])?;
            take_turns(&servers, list, rows)?;
            Ok(taken)
        });
        measuring.join()
    });
    measured.unwrap_or_else(|_| Err(io::Error::other("the thread of the load panicked")))
}

/// How ours takes requests from the interface.
fn taken(server: &Server) -> io::Result<String> {
    let said = server.said()?;
    let taken = said.lines().find_map(|line| Some(&line[line.find(&format!("{INTERFACE}: requests are taken"))?..]));
    taken.map(str::to_owned).ok_or_else(|| io::Error::other(format!("no word of the interface: {said}")))
}

/// The names of network namespaces, removed again in the end. The interfaces go with the namespaces.
#[derive(Default)]
struct Namespaces {
    names: Vec<String>,
}

/// A server's namespace.
struct Link {
    namespace: String,
    /// Where the load reaches the server.
    server: SocketAddr,
}

impl Namespaces {
    fn add(&mut self, role: &str) -> io::Result<String> {
        let name = format!("dnsbld-{}-{role}", id());
        ip(&["netns", "add", &name])?;
        self.names.push(name.clone());
        Ok(name)
    }

    /// A namespace for server `number`, joined to that of the load.
    fn link(&mut self, load: &str, number: u8) -> io::Result<Link> {
        let namespace = self.add(&number.to_string())?;
        let near = format!("load{number}");
        let pair =
            ["link", "add", &near, "netns", load, "type", "veth", "peer", "name", INTERFACE, "netns", &namespace];
        ip(&pair)?;
        // Of the addresses for measurements (RFC 2544).
        let address = |host| Ipv4Addr::new(198, 18, number, host);
        for (namespace, interface, host) in [(&*namespace, INTERFACE, 1), (load, &*near, 2)] {
            ip(&["-n", namespace, "address", "add", &format!("{}/24", address(host)), "dev", interface])?;
            ip(&["-n", namespace, "link", "set", interface, "up"])?;
        }
        Ok(Link { namespace, server: (address(1), PORT).into() })
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.names {
            if let Err(error) = ip(&["netns", "delete", name]) {
                println!("{error}");
            }
        }
    }
}

impl Link {
    fn start(&self, bench: &Bench, name: &'static str, list: &Fixture) -> io::Result<Server> {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.namespace, "taskset", "-c", SERVER_CORE])
            .arg(bench.programs.program(name));
        match name {
            ECHO_BATCH => start_echo(name, command, self.server),
            TAPPING => {
                let config = bench.folder.join("dnsbld.toml");
                fs::write(&config, config_of(self.server, list))?;
                command.args(["serve", "--config"]).arg(config);
                Server::start(name, command, self.server, &probe(list.zone))
            }
            _ => start(name, with_words(command, name, 1), self.server, &bench.folder, &[list]),
        }
    }
}

/// For `dnsbld serve` on the interface.
fn config_of(server: SocketAddr, list: &Fixture) -> String {
    format!(
        "listen = [\"{server}\"]\nhttp = false\nxdp = [\"{INTERFACE}\"]\nworkers = 1\nzones = [\"{}\"]\n",
        list.spec()
    )
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    let ran = Command::new("ip").args(arguments).output()?;
    if ran.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ran.stderr);
    Err(io::Error::other(format!("ip {}: {}", arguments.join(" "), said.trim_end())))
}
