//! What the README and the sample zones promise, asked of the program as it is built.
//!
//! Each `dig` line of a ```` ```console ```` block in README.md is asked of `dnsbld serve zones/`; where output follows it, the
//! answer must be that. Each entry of each sample zone is asked for, and each exclusion.

mod support;

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use support::{
    message::{Query, kind_number, reversed, show_reply},
    server::{Server, files_of},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// A `dig` line and what is shown after it.
struct Dig {
    line: String,
    name: String,
    kind: u16,
    short: bool,
    tcp: bool,
    shown: Vec<String>,
}

/// The `dig` lines of the console blocks; prompts are `$ ` or `# `.
fn digs(text: &str) -> Vec<Dig> {
    let mut digs: Vec<Dig> = Vec::new();
    let (mut in_block, mut in_dig) = (false, false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = line.trim() == "```console";
            in_dig = false;
        } else if let Some(command) = line.strip_prefix("$ ").or(line.strip_prefix("# ")).filter(|_| in_block) {
            let command = command.split(['|', '>']).next().unwrap_or_default().trim();
            in_dig = command.split(' ').next() == Some("dig");
            if in_dig {
                digs.push(dig(command));
            }
        } else if let Some(dig) = digs.last_mut().filter(|_| in_dig && !line.trim().is_empty()) {
            dig.shown.push(line.to_owned());
        }
    }
    digs
}

fn dig(command: &str) -> Dig {
    let mut words = command.split_whitespace().skip(1);
    let mut dig =
        Dig { line: command.to_owned(), name: String::new(), kind: 1, short: false, tcp: false, shown: Vec::new() };
    while let Some(word) = words.next() {
        match word {
            "-p" | "-b" | "-c" => {
                words.next();
            }
            "-x" => panic!("{command}: dig -x asks in-addr.arpa, not a list"),
            "+short" => dig.short = true,
            "+tcp" => dig.tcp = true,
            word if word.starts_with(['@', '+', '-']) => {}
            word => match kind_number(&word.to_ascii_uppercase()) {
                Some(kind) if !dig.name.is_empty() => dig.kind = kind,
                _ => word.clone_into(&mut dig.name),
            },
        }
    }
    assert!(!dig.name.is_empty(), "{command}: no name");
    dig
}

#[test]
fn every_dig_line_of_the_readme() {
    let text = fs::read_to_string(root().join("README.md")).expect("README.md");
    let digs = digs(&text);
    assert!(!digs.is_empty(), "README.md shows no dig line in a ```console block: how is anyone to try it?");
    let server = Server::on_folder(&root().join("zones"));
    for dig in digs {
        let request = Query::new(&dig.name, dig.kind).octets();
        let reply = if dig.tcp { server.ask_tcp(None, &request, false) } else { server.ask_udp(None, &request, false) };
        let lines = show_reply(&reply.unwrap_or_else(|| panic!("{}: no answer", dig.line))).expect("a reply");
        let code = lines[0].split(' ').next().unwrap_or_default();
        let mut found: Vec<String> = lines
            .iter()
            .filter(|line| line.starts_with("answer "))
            .filter_map(|line| line.splitn(5, ' ').nth(4))
            .map(|data| data.trim_end_matches('.').to_owned())
            .collect();
        found.sort();
        if dig.short {
            let mut shown: Vec<String> = dig.shown.iter().map(|line| line.trim_end_matches('.').to_owned()).collect();
            shown.sort();
            assert_eq!(found, shown, "{}", dig.line);
        } else if let Some(status) = dig.shown.iter().find_map(|line| line.split("status: ").nth(1)) {
            assert_eq!(Some(code), status.split(',').next(), "{}", dig.line);
        } else {
            assert!(matches!(code, "NOERROR" | "NXDOMAIN"), "{}: {code}", dig.line);
            for line in dig.shown.iter().filter(|line| line.contains("\tIN\t") || line.contains(" IN ")) {
                let data = line.split_whitespace().skip(4).collect::<Vec<_>>().join(" ");
                let known = |found: &String| {
                    found.split_whitespace().collect::<Vec<_>>().join(" ") == data.trim_end_matches('.')
                };
                assert!(found.iter().any(known), "{}: {data:?} is not among {found:?}", dig.line);
            }
        }
    }
}

/// Zone, name below it, and whether it is listed, for each line of a sample zone that has a key.
fn promises(path: &Path) -> Vec<(String, bool)> {
    let file = path.file_name().expect("a name").to_string_lossy().into_owned();
    let (zone, kind) = file.rsplit_once('.').expect("ZONE.TYPE");
    let text = fs::read_to_string(path).expect("a sample zone");
    let mut promises = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '$'])) {
        if line.starts_with(':') && !line.starts_with("::") {
            continue;
        }
        let key = line.split_whitespace().next().unwrap_or_default();
        let (key, listed) = key.strip_prefix('!').map_or((key, true), |key| (key, false));
        let names = match kind {
            "ip4set" | "ip4trie" => vec![v4_name(key, listed)],
            "ip6trie" => vec![v6_name(key)],
            "generic" => vec![key.trim_end_matches('@').to_owned()],
            "dnset" => match (key.strip_prefix("*."), key.strip_prefix('.')) {
                (Some(below), _) => vec![format!("any.{below}")],
                (_, Some(name)) => vec![name.to_owned(), format!("a.b.{name}")],
                _ => vec![key.to_owned()],
            },
            kind => panic!("{file}: say how entries of {kind} are asked for"),
        };
        for name in names {
            promises.push((if name.is_empty() { zone.to_owned() } else { format!("{name}.{zone}") }, listed));
        }
    }
    promises
}

/// The first address of a range that is listed; the last of one that is excluded, since a listing inside it may be first.
fn v4_name(key: &str, first: bool) -> String {
    let (address, bits) =
        key.split_once('/').map_or((key, 32), |(address, bits)| (address, bits.parse().expect("bits")));
    let address = address.split('-').next().unwrap_or_default();
    let start = u32::from(address.parse::<Ipv4Addr>().unwrap_or_else(|error| panic!("{key}: {error}")));
    let last = start | u32::MAX.checked_shr(bits).unwrap_or(0);
    reversed(Ipv4Addr::from(if first { start } else { last }))
}

fn v6_name(key: &str) -> String {
    let address = key.split('/').next().unwrap_or_default();
    reversed(address.parse::<Ipv6Addr>().unwrap_or_else(|error| panic!("{key}: {error}")))
}

#[test]
fn every_entry_of_every_sample_zone() {
    let folder = root().join("zones");
    let server = Server::on_folder(&folder);
    let (mut listed_count, mut excluded_count) = (0, 0);
    for path in files_of(&folder) {
        for (name, listed) in promises(&path) {
            let reply = server.ask_udp(None, &Query::new(&name, 255).octets(), false).expect("an answer");
            let lines = show_reply(&reply).expect("a reply");
            let has_answer = lines.iter().any(|line| line.starts_with("answer "));
            assert_eq!(has_answer, listed, "{name}: {lines:?}");
            if listed { listed_count += 1 } else { excluded_count += 1 }
        }
    }
    assert!(listed_count > 30 && excluded_count > 5, "{listed_count} listed, {excluded_count} excluded");
}

#[test]
fn dig_lines_are_read() {
    let text =
        "```console\n$ dig +short -p 5300 @127.0.0.1 2.0.0.127.virbl.tee.gr TXT\n\"x\"\n$ ls\nfile\n```\n$ dig no\n";
    let digs = digs(text);
    assert_eq!(digs.len(), 1);
    assert_eq!((&*digs[0].name, digs[0].kind, digs[0].short), ("2.0.0.127.virbl.tee.gr", 16, true));
    assert_eq!(digs[0].shown, ["\"x\""]);
}
