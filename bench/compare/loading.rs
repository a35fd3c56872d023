//! How long a list takes to load on one core, ours also on two, and the memory of an entry.
//!
//! The time is that from the start of the process to its first answer. Memory is what is resident then, less what is
//! resident with an empty list, so that it is the entries' alone.

use std::{fs, io};

use crate::{
    Bench, PAIRS, data,
    fixtures::{Fixture, Lie, addresses},
    report::{median, paired_ratio},
    servers::{BOTH_CORES, OURS, SERVER_CORE, THEIRS},
};

const MANY: usize = 10_000_000;
/// Ours with both cores, while the load rests.
const ON_BOTH: &str = "dnsbld-two-cores";
const SERVERS: [&str; 3] = [OURS, THEIRS, ON_BOTH];

/// One start of a server.
struct Start {
    server: &'static str,
    took_s: f64,
    resident_mib: f64,
    most_mib: f64,
}

pub(crate) fn run(bench: &mut Bench) -> io::Result<()> {
    let (mut table, mut raw, mut bars) = (Vec::new(), Vec::new(), [Vec::new(), Vec::new()]);
    for (name, make) in LISTS {
        let list = make(name, bench)?;
        let empty = Fixture { file: "empty".into(), ..list.as_kind(list.kind) };
        fs::write(bench.folder.join(&empty.file), data::HEAD)?;
        let start = |server: &'static str, list: &Fixture| -> io::Result<Start> {
            let (program, cores) = if server == ON_BOTH { (OURS, BOTH_CORES) } else { (server, SERVER_CORE) };
            let running = bench.programs.start_on(program, cores, 1, &bench.folder, &[list])?;
            let (resident_mib, most_mib) = (running.memory_mib("VmRSS")?, running.memory_mib("VmHWM")?);
            Ok(Start { server, took_s: running.start_s, resident_mib, most_mib })
        };
        let mut starts = Vec::new();
        for _ in 0..PAIRS {
            for server in SERVERS {
                starts.push(start(server, &list)?);
            }
        }
        let of = |server: &str, what: fn(&Start) -> f64| -> Vec<f64> {
            starts.iter().filter(|start| start.server == server).map(what).collect()
        };
        let took = SERVERS.map(|server| of(server, |start| start.took_s));
        let lines = list.lines as f64;
        for (server, took_s) in SERVERS.into_iter().zip(&took) {
            let base_mib = start(server, &empty)?.resident_mib;
            raw.push(format!("{name}, no entries\t{server}\t\t{base_mib:.1}\t"));
            let each = |mib: f64| (mib - base_mib) * 1_048_576.0 / lines;
            let bytes = each(median(of(server, |start| start.resident_mib)));
            let most = each(median(of(server, |start| start.most_mib)));
            let median_s = median(took_s.iter().copied());
            let (speed, ratio) = (lines / median_s / 1e6, paired_ratio(&took[1], took_s));
            table.push(format!("{name}\t{server}\t{median_s:.2}\t{speed:.2}\t{ratio:.2}\t{bytes:.1}\t{most:.1}"));
            bars[0].push((format!("{name} {server}"), speed));
            bars[1].push((format!("{name} {server}"), bytes));
        }
        for start in &starts {
            let Start { server, took_s, resident_mib, most_mib } = start;
            raw.push(format!("{name}\t{server}\t{took_s:.3}\t{resident_mib:.1}\t{most_mib:.1}"));
        }
        println!("{}", table[table.len() - SERVERS.len()..].join("\n"));
        fs::remove_file(bench.folder.join(&list.file))?;
    }
    bench.report.raw("loading.tsv", "list\tserver\tstart_s\tresident_mib\tmost_mib", &raw)?;
    bench.report.bars("loading.svg", &[("million lines a second", &bars[0])])?;
    bench.report.bars("memory.svg", &[("bytes an entry", &bars[1])])?;
    let columns = "list\tserver\ts\tM lines/s\tspeed, rbldnsd = 1\tbytes an entry\tbytes an entry at most";
    bench.report.table("Loading, and memory", columns, &table, NOTE)
}

const NOTE: &str = "Medians of the turns, each server on one core, `dnsbld-two-cores` on two, where the load rests. Lines \
    that say the same count as entries too. An entry's bytes are what the process holds beyond one without entries, so those \
    of short lists may come out of what that one had free.";

type Make = fn(&str, &Bench) -> io::Result<Fixture>;

const LISTS: [(&str, Make); 9] = [
    ("10M sorted ip4set", |name, bench| addresses(name, MANY, Lie::Sorted, 0, &bench.folder)),
    ("10M shuffled ip4set", |name, bench| addresses(name, MANY, Lie::Shuffled, 0, &bench.folder)),
    ("10M spread ip4set", |name, bench| addresses(name, MANY, Lie::Spread, 0, &bench.folder)),
    ("10M spread ip4tset", |name, bench| {
        Ok(Fixture { name: name.into(), ..addresses(name, MANY, Lie::Spread, 0, &bench.folder)?.as_kind("ip4tset") })
    }),
    ("10M with 300 values ip4set", |name, bench| addresses(name, MANY, Lie::Shuffled, 300, &bench.folder)),
    ("10M shuffled ip4trie", |name, bench| {
        Ok(Fixture { name: name.into(), ..addresses(name, MANY, Lie::Shuffled, 0, &bench.folder)?.as_kind("ip4trie") })
    }),
    ("200k prefixes ip4trie", |name, bench| Fixture::write(name, &data::prefixes(200_000, 1, 2), 0, &bench.folder)),
    ("200k prefixes ip4set", |name, bench| {
        let list = Fixture::write(name, &data::prefixes(200_000, 1, 2), 0, &bench.folder)?;
        Ok(Fixture { name: name.into(), ..list.as_kind("ip4set") })
    }),
    ("5M dnset", |name, bench| Fixture::write(name, &data::names(5_000_000, 1, 4), 0, &bench.folder)),
];
