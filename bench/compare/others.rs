//! Other servers with the same zone, as `dnsbld dump` writes it: NSD and Knot, where they are installed.
//!
//! They keep whole zones of ordinary records, so the list is small; a blocklist of millions is not what they are for.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    Bench, PAIRS, WINDOW, data,
    data::Extras,
    fixtures::{Fixture, LISTED_PERCENT},
    generator::Pace,
    report::{median, paired_ratio},
    server::{Server, pinned},
    servers::{OURS, Row, SERVER_CORE, THEIRS, measure, of},
};

const RUN: Duration = Duration::from_millis(1_500);
const HOSTS: usize = 50_000;
const QUESTIONS: usize = 200_000;

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let list = data::hosts(HOSTS, QUESTIONS, 1);
    let list = Fixture::write("ip4set 50k", &list, LISTED_PERCENT, &bench.folder)?;
    dump(bench, &list)?;
    let mut servers = Vec::new();
    for server in [OURS, THEIRS] {
        servers.push(bench.programs.start(server, &bench.folder, &[&list])?);
    }
    let others: [(&'static str, Start); 2] = [("nsd", nsd), ("knotd", knot)];
    for (name, start) in others {
        match ["/usr/sbin", "/usr/local/sbin"]
            .iter()
            .map(|folder| Path::new(folder).join(name))
            .find(|path| path.exists())
        {
            Some(program) => servers.push(start(&program, &bench.folder, &list)?),
            None => println!("{name} is not installed: without it"),
        }
    }
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        for server in &servers {
            let row = measure(server, &list.name, &list.questions, Pace::Closed(WINDOW), RUN)?;
            lines.push(format!("{}\t{:.1}", row.line(), server.memory_mib("VmRSS")?));
            rows.push(row);
        }
    }
    let theirs = of(&rows, THEIRS, &list.name, Row::cpu_us);
    let (mut table, mut bars) = (Vec::new(), Vec::new());
    for server in &servers {
        let all = |what: fn(&Row) -> f64| of(&rows, server.name, &list.name, what);
        let cpu = all(Row::cpu_us);
        let (rate, cost) = (median(all(|row| row.outcome.per_second())), median(cpu.iter().copied()));
        let lost: f64 = all(|row| row.outcome.lost as f64).iter().sum();
        let wrong: f64 = all(|row| row.outcome.wrong as f64).iter().sum();
        let (memory, ratio) = (server.memory_mib("VmRSS")?, paired_ratio(&theirs, &cpu));
        table.push(format!("{}\t{rate:.0}\t{cost:.2}\t{ratio:.2}\t{memory:.0}\t{lost}\t{wrong}", server.name));
        bars.push((format!("{} {}", list.name, server.name), cost));
    }
    bench.report.raw("others.tsv", &format!("{}\tresident_mib", Row::COLUMNS), &lines)?;
    bench.report.bars("others.svg", &[("microseconds of processor time a query", &bars)])?;
    let columns = "server\tqueries/s\tcpu µs\tqueries per cpu second, rbldnsd = 1\tMiB\tlost\twrong";
    bench.report.table(
        "Other servers, 50,000 addresses",
        columns,
        &table,
        "Medians of the turns; memory of all processes.",
    )
}

type Start = fn(&Path, &Path, &Fixture) -> io::Result<Server>;

fn zone_file(folder: &Path) -> PathBuf {
    folder.join("zone")
}

/// Writes the list as an ordinary zone file.
fn dump(bench: &Bench, list: &Fixture) -> io::Result<()> {
    let zone = format!("{}:{}:{}", list.zone, list.kind, bench.folder.join(&list.file).display());
    let dumped = std::process::Command::new(&bench.programs.ours).arg("dump").arg(zone).output()?;
    if !dumped.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&dumped.stderr).into_owned()));
    }
    fs::write(zone_file(&bench.folder), dumped.stdout)
}

fn start(name: &'static str, program: &Path, arguments: &[&Path], port: u16, list: &Fixture) -> io::Result<Server> {
    let mut command = pinned(SERVER_CORE, program);
    command.args(arguments);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Server::start(name, command, address, &data::query(0, list.zone, 6, Extras::default()))
}

fn nsd(program: &Path, folder: &Path, list: &Fixture) -> io::Result<Server> {
    const PORT: u16 = 5921;
    let (home, configuration) = (folder.display(), folder.join("nsd.conf"));
    fs::write(
        &configuration,
        format!(
            "server:\n  ip-address: 127.0.0.1@{PORT}\n  server-count: 1\n  username: \"\"\n  database: \"\"\n  \
             zonesdir: \"{home}\"\n  pidfile: \"{home}/nsd.pid\"\n  xfrdfile: \"{home}/xfrd.state\"\n  \
             xfrdir: \"{home}\"\n  zonelistfile: \"{home}/zone.list\"\n  logfile: \"{home}/nsd.log\"\n  \
             rrl-ratelimit: 0\nremote-control:\n  control-enable: no\nzone:\n  name: {}\n  zonefile: zone\n",
            list.zone
        ),
    )?;
    start("nsd", program, &["-d".as_ref(), "-c".as_ref(), &configuration], PORT, list)
}

fn knot(program: &Path, folder: &Path, list: &Fixture) -> io::Result<Server> {
    const PORT: u16 = 5922;
    let (home, configuration) = (folder.display(), folder.join("knot.conf"));
    fs::write(
        &configuration,
        format!(
            "server:\n  rundir: {home}\n  listen: 127.0.0.1@{PORT}\n  udp-workers: 1\n  tcp-workers: 1\n  \
             background-workers: 1\ndatabase:\n  storage: {home}/knot\nlog:\n  - target: {home}/knot.log\n    any: error\n\
             zone:\n  - domain: {}\n    file: {}\n    zonefile-sync: -1\n    journal-content: none\n",
            list.zone,
            zone_file(folder).display()
        ),
    )?;
    start("knotd", program, &["-c".as_ref(), &configuration], PORT, list)
}
