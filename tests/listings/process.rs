//! The program: its command line, its socket, and its death.

use std::{
    fs,
    io::{self, BufRead as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use dnsbld::control::{
    Answer, Request, ask,
    listings::{ListingsAnswer, ListingsRequest},
};

use super::support::{
    daemon::{Daemon, await_true, await_true_within, dnsbld},
    message::{Query, show_reply},
};

/// A server on a folder of its own.
pub(crate) struct Site {
    pub(crate) root: tempfile::TempDir,
    daemon: Option<Daemon>,
}

impl Site {
    pub(crate) fn new(files: &[(&str, &str)], config: &str) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        // A server that root starts may become another user.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o777)).expect("a folder of ours");
        fs::create_dir(root.path().join("zones")).expect("a folder");
        for (file, text) in files {
            fs::write(root.path().join("zones").join(file), text).expect("written");
        }
        fs::write(
            root.path().join("dnsbld.toml"),
            format!("folder = \"zones\"\nhttp = false\nstate = \"state\"\n{config}"),
        )
        .expect("written");
        let mut site = Self { root, daemon: None };
        site.start();
        site
    }

    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    pub(crate) fn start_with(&mut self, arguments: &[&str]) {
        self.daemon = Some(Daemon::start(self.serving(arguments)));
    }

    /// The command for a server on this folder.
    fn serving(&self, arguments: &[&str]) -> Command {
        let mut command = dnsbld();
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(arguments);
        command.arg("--config").arg(self.root.path().join("dnsbld.toml"));
        command
    }

    pub(crate) fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("it runs")
    }

    pub(crate) fn daemon_mut(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("it runs")
    }

    /// What the server has said since it started.
    pub(crate) fn said(&self) -> String {
        self.daemon().said()
    }

    /// Kills the server at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.daemon = None;
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.path().join("state")
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = dnsbld();
        command.args(words).arg("--state").arg(self.state());
        command
    }

    /// Runs a command, and tells its output and whether it was a success.
    pub(crate) fn run(&self, words: &[&str]) -> (String, bool) {
        told(self.command(words).stdin(Stdio::null()).output().expect("the program runs"))
    }

    /// The same with an input.
    pub(crate) fn run_with(&self, words: &[&str], input: &str) -> (String, bool) {
        let mut command = self.command(words);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("the program runs");
        let mut stdin = child.stdin.take().expect("piped");
        match stdin.write_all(input.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => panic!("{error}"),
            _ => drop(stdin),
        }
        told(child.wait_with_output().expect("it ends"))
    }

    pub(crate) fn ask(&self, question: &str, kind: u16) -> Vec<String> {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        socket.send_to(&Query::new(question, kind).octets(), self.daemon().address()).expect("sent");
        let mut reply = [0; 1232];
        let length = socket.recv(&mut reply).expect("an answer");
        let lines = show_reply(&reply[..length]).unwrap_or_else(|error| panic!("{error}"));
        let code = lines[0].split(' ').next().expect("a code").to_owned();
        std::iter::once(code).chain(lines[1..].iter().filter(|line| line.starts_with("answer")).cloned()).collect()
    }
}

/// What a server that listens for HTTP says of whether it is ready.
pub(crate) fn ready(server: &Daemon) -> String {
    let mut stream = TcpStream::connect(server.http()).expect("it listens");
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").expect("written");
    io::read_to_string(stream).expect("a reply")
}

pub(crate) fn told(output: Output) -> (String, bool) {
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).expect("a text"), output.status.success())
}

pub(crate) const FILES: [(&str, &str); 2] =
    [("virbl.tee.gr.ip4set", ":127.0.0.3:virus from $\n192.0.2.77\n"), ("rhsbl.tee.gr.dnset", "a.test\n")];

#[test]
fn lines_that_come_one_by_one_are_listed_as_they_come() {
    let site = Site::new(&FILES, "");
    let child = site.command(&["list", "virbl.tee.gr", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.expect("the program runs");
    let mut lines = child.stdin.take().expect("piped");
    for number in 1..=3 {
        // A line may come in pieces.
        lines.write_all(format!("192.0.2.{number}\n192.0.").as_bytes()).expect("read");
        let is_listed = || site.ask(&format!("{number}.2.0.192.virbl.tee.gr"), 1)[0] == "NOERROR";
        await_true(&format!("line {number}, which waits for the next ones"), is_listed, || site.said());
        lines.write_all(format!("3.{number}\n").as_bytes()).expect("read");
    }
    drop(lines);
    let (said, is_well) = told(child.wait_with_output().expect("it ends"));
    assert!(is_well && said.contains("6 listed"), "{said}");
}

#[test]
fn what_others_wrote_forges_no_line_and_commands_no_terminal() {
    let site = Site::new(&FILES, "");
    let reason = "x\n2026-11-22T10:00:00Z 192.0.2.9 delisted in virbl.tee.gr, by root (command)\u{1b}[2J";
    let shown = reason.replace('\n', "\\n").replace('\u{1b}', "\\u{1b}");
    let (said, is_well) =
        site.run(&["list", "virbl.tee.gr", "192.0.2.9", "--for", "1h", "--reason", reason, "--text", "t\u{1b}c\r"]);
    assert!(is_well, "{said}");
    for (words, line_count) in
        [(["history", "192.0.2.9"], 1), (["listings", "virbl.tee.gr"], 1), (["explain", "192.0.2.9"], 3)]
    {
        let (said, is_well) = site.run(&words);
        assert!(is_well && said.contains(&shown) && said.lines().count() == line_count, "{words:?}: {said:?}");
        assert!(!said.contains(|c: char| c.is_control() && c != '\n'), "{words:?}: {said:?}");
    }
    assert!(site.run(&["explain", "192.0.2.9"]).0.contains("    t\\u{1b}c\\r\n"));
    let (said, is_well) = site.run(&["history", "192.0.2.9", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert!(is_well && told["events"][0]["reason"] == reason, "programs get it as it is: {said}");
}

#[test]
fn an_operators_morning() {
    let site = Site::new(&FILES, "[listings.zones.\"virbl.tee.gr\"]\nnever-list = [\"203.0.113.0/24\"]\n");
    let (text, is_well) = site.run(&["list", "virbl.tee.gr", "192.0.2.55", "--for", "1h", "--reason", "Eicar"]);
    assert!(is_well && text.starts_with("192.0.2.55: listed until ") && text.ends_with(", 1h from now\n"), "{text}");
    assert!(site.ask("55.2.0.192.virbl.tee.gr", 16)[1].ends_with("TXT \"virus from 192.0.2.55\""));
    let (text, _) = site.run(&["list", "virbl.tee.gr", "192.0.2.55", "--for", "2h"]);
    assert!(text.starts_with("192.0.2.55: was listed already, now until "), "{text}");
    let (text, is_well) = site.run(&["list", "virbl.tee.gr", "192.0.2.56", "203.0.113.9"]);
    assert!(
        !is_well && text.contains("203.0.113.9: REFUSED: 203.0.113.0/24 is never listed in zone virbl.tee.gr"),
        "{text}"
    );
    let (text, is_well) = site.run(&["list", "virbl.tee.gr", "192.0.2.1/24"]);
    assert!(!is_well && text.contains("did you mean 192.0.2.0/24?"), "{text}");
    let (text, is_well) = site.run(&["list", "virbl.tee.gr", "192.0.2.1", "--until", "2020-01-01T00:00:00Z"]);
    assert!(!is_well && text.contains("192.0.2.1: REFUSED: the time is over already"), "{text}");
    let (text, is_well) = site.run(&["list", "virbl.tee.gr", "192.0.2.1", "--value", "0.0.0.0"]);
    assert!(!is_well && text.contains("192.0.2.1: REFUSED: 0.0.0.0 is no value"), "{text}");
    let (text, is_well) = site.run(&["list", "virbl.tee.gr", "::/0"]);
    assert!(!is_well && text.contains("::/0: REFUSED: 203.0.113.0/24 is never listed"), "{text}");
    let (text, is_well) = site.run(&["list", "rhsbl.tee.gr", "*"]);
    assert!(!is_well && text.contains("all names there are"), "{text}");
    let (text, is_well) = site.run(&["list", "nowhere.example", "192.0.2.1"]);
    assert!(!is_well && text.contains("no zone nowhere.example is served here; there are: "), "{text}");
    let (text, _) =
        site.run(&["list", "virbl.tee.gr", "192.0.2.77", "--exclude", "--forever", "--reason", "our relay"]);
    assert_eq!(text, "192.0.2.77: excluded until it is delisted\n");
    assert_eq!(site.ask("77.2.0.192.virbl.tee.gr", 1), ["NXDOMAIN"]);
    let (text, _) =
        site.run(&["list", "rhsbl.tee.gr", ".b.test", "--value", "127.0.0.9", "--until", "2099-01-01T00:00:00Z"]);
    assert!(text.contains("\n*.b.test: listed until 2099-01-01T00:00:00Z"), "{text}");
    assert!(site.ask("x.b.test.rhsbl.tee.gr", 1)[1].ends_with("A 127.0.0.9"));

    for (words, line) in [
        (&["status"][..], "1 entry, 2 listings and 1 exclusion by command\n"),
        (&["stats", "--every", "1ms"], ", 2 listings and 1 exclusion by command"),
    ] {
        let (text, _) = site.run(words);
        assert!(text.contains(line), "{words:?}: {text}");
    }
    let (text, _) = site.run(&["listings", "virbl.tee.gr"]);
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains("192.0.2.77 excluded since") && text.contains("(command): our relay"), "{text}");
    let (text, _) = site.run(&["listings", "virbl.tee.gr", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(told["listings"][2]["verdict"], "excluded");
    let (text, _) = site.run(&["explain", "192.0.2.77", "virbl.tee.gr"]);
    assert!(
        text.starts_with("virbl.tee.gr: not listed, excluded by command: 192.0.2.77 by ") && text.contains("our relay")
    );
    let (text, _) = site.run(&["explain", "192.0.2.55", "virbl.tee.gr"]);
    assert!(text.contains("listed as 127.0.0.3 by command: 192.0.2.55 by ") && text.contains("virus from 192.0.2.55"));
    let (text, _) = site.run(&["explain", "y.b.test", "rhsbl.tee.gr"]);
    assert!(text.contains("by command: *.b.test by "), "{text}");
    assert_eq!(site.run(&["delist", "virbl.tee.gr", "192.0.2.55", "--reason", "cleaned"]).0, "192.0.2.55: delisted\n");
    for (key, advice) in [
        (
            "192.0.2.55",
            "if files list it (dnsbld explain 192.0.2.55 says), hide it: dnsbld list --exclude virbl.tee.gr 192.0.2.55",
        ),
        ("203.0.113.0/24", "if files list it, hide it: dnsbld list --exclude virbl.tee.gr 203.0.113.0/24"),
        ("*.c.test", "hide it: dnsbld list --exclude virbl.tee.gr '*.c.test'"),
    ] {
        let said = site.run(&["delist", "virbl.tee.gr", key]).0;
        assert!(said.contains("was not listed by command") && said.contains(advice), "{said}");
    }
    let (text, _) = site.run(&["history", "192.0.2.55"]);
    let what = |line: &str| line.split_once(" in ").expect("where").0.splitn(3, ' ').nth(2).expect("what").to_owned();
    assert_eq!(text.lines().map(what).collect::<Vec<_>>(), ["listed", "listed again", "delisted"], "{text}");
    assert!(text.contains(": Eicar\n") && text.contains(": cleaned\n"));
}

/// So many addresses from 10.0.0.0 on, one a line.
pub(crate) fn addresses(count: u32) -> String {
    (0..count).map(|number| format!("{}\n", Ipv4Addr::from(0x0a00_0000 + number))).collect::<Vec<_>>().concat()
}

#[test]
fn the_server_tells_a_page_at_a_time_and_the_command_as_many_as_are_wanted() {
    let site = Site::new(&FILES, "");
    let lines = addresses(2_500);
    let (text, is_well) = site.run_with(&["list", "virbl.tee.gr", "-"], &lines);
    assert!(is_well && text == "2500 listed\n", "{text}");
    let page = |limit: usize, counts_more: bool| {
        let request = ListingsRequest::Show { zone: "virbl.tee.gr".to_owned(), after: None, limit, counts_more };
        match ask(&site.state(), &Request::Listings { asked: request }).expect("an answer") {
            Answer::Listings { told: ListingsAnswer::Listings { listings, more } } => (listings.len(), more),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        [page(9_999_999, true), page(9_999_999, false), page(700, true)],
        [(1_000, 1_500), (1_000, 0), (700, 1_800)]
    );
    for (limit, more) in [(2_300, 200), (2_000, 500), (1_000, 1_500), (2_500, 0), (9_999_999, 0)] {
        let (text, _) = site.run(&["listings", "virbl.tee.gr", "--limit", &limit.to_string(), "--json"]);
        let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let mut keys: Vec<_> = told["listings"].as_array().expect("listings").iter().map(|one| &one["key"]).collect();
        keys.dedup();
        assert_eq!((keys.len(), &told["more"]), (limit.min(2_500), &more.into()));
    }
}

#[test]
fn of_a_long_history_the_last_events_are_told() {
    let site = Site::new(&FILES, "");
    let (text, is_well) = site.run_with(&["list", "virbl.tee.gr", "-"], &"10.0.0.1\n".repeat(1_100));
    assert!(is_well && text == "1 listed, 1099 listed already\n", "{text}");
    let request = ListingsRequest::History { zones: Vec::new(), key: "10.0.0.1".to_owned(), limit: 9_999_999 };
    match ask(&site.state(), &Request::Listings { asked: request }).expect("an answer") {
        Answer::Listings { told: ListingsAnswer::History { events } } => assert_eq!(events.len(), 1_000),
        other => panic!("{other:?}"),
    }
}

#[test]
fn many_lines_and_one_report() {
    let mut site = Site::new(&FILES, "");
    let line = |number: u32| format!("{}\n", Ipv4Addr::from(0x0a00_0000 + number));
    let lines = (0..100_000).map(line).collect::<Vec<_>>().concat();
    let bad = "# from the trap\n\n!192.0.2.77 7d ours\n10.9.9.9 1h seen twice\n10.0.0.256\n192.0.2.1 soon\na.test\n";
    let (text, is_well) = site.run_with(&["list", "virbl.tee.gr", "-", "--for", "1d"], &format!("{bad}{lines}"));
    assert!(!is_well);
    let said: Vec<&str> = text.lines().collect();
    assert_eq!(said.len(), 4, "{text}");
    assert!(said[0].starts_with("line 5: `10.0.0.256` is no address, and no domain ends in a number"), "{text}");
    assert!(said[1].starts_with("line 6: `soon` is not a time"), "{text}");
    assert_eq!(said[2], "line 7: zone virbl.tee.gr holds addresses, and this is not one");
    assert_eq!(said[3], "100001 listed, 1 excluded, 3 NOT DONE");
    assert_eq!(site.ask("3.2.1.10.virbl.tee.gr", 1).len(), 2);

    let (exported, is_well) = site.run(&["listings", "export"]);
    assert!(is_well);
    assert_eq!(exported.lines().count(), 100_002);
    let copy = site.root.path().join("copy.redb");
    let (text, is_well) = site.run(&["listings", "backup", copy.to_str().expect("a path")]);
    assert!(is_well && text.starts_with("backed up, "), "{text}");
    let (text, is_well) = site.run(&["listings", "backup", copy.to_str().expect("a path")]);
    assert!(!is_well, "nothing is written over");
    assert!(text.contains("the copy cannot be written: ") && text.contains("the store itself is well"), "{text}");
    let (text, is_well) = site.run(&["listings", "virbl.tee.gr", "--limit", "2"]);
    let last = text.lines().last().unwrap_or_default();
    assert!(is_well && text.lines().count() == 3 && last.starts_with("and 100000 more: "), "{text}");
    let after = last.split_once("--after '").and_then(|(_, rest)| rest.split_once('\'')).expect("a key").0;
    assert_eq!(
        site.run(&["listings", "virbl.tee.gr", "--limit", "200000", "--after", after]).0.lines().count(),
        100_000
    );
    let (text, _) = site.run(&["listings", "virbl.tee.gr", "--limit", "2", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(told["more"], 100_000);
    for command in ["listings", "history"] {
        let (text, is_well) = site.run(&[command, "virbl.tee.gr", "--limit", "0"]);
        assert!(!is_well && text.contains("expected a whole number from 1"), "{text}");
    }
    let (text, is_well) = site.run_with(&["delist", "virbl.tee.gr", "-"], &lines);
    assert!(is_well && text == "100000 delisted\n", "{text}");
    assert_eq!(site.ask("3.1.0.10.virbl.tee.gr", 1), ["NXDOMAIN"]);

    let (text, is_well) = site.run(&["listings", "virbl.tee.gr", "--after", "255.255.255.255"]);
    assert!(is_well && text == "nothing more is listed by command after 255.255.255.255\n", "{text}");

    // More keys than one request takes.
    let keys: Vec<String> = (0..6_000).map(|number| format!("10.7.{}.{}", number / 250, number % 250)).collect();
    let words = |command: &'static str| [command, "virbl.tee.gr"].into_iter().chain(keys.iter().map(String::as_str));
    let (text, is_well) = site.run(&words("list").collect::<Vec<_>>());
    assert!(is_well && text.lines().filter(|line| line.contains(": listed ")).count() == keys.len());
    let (text, is_well) = site.run(&words("delist").collect::<Vec<_>>());
    assert!(is_well && text.lines().filter(|line| line.ends_with(": delisted")).count() == keys.len());
    let (text, is_well) = site.run(&["list", "virbl.tee.gr", "10.7.0.1", "--reason", &"x".repeat(70_000)]);
    assert!(!is_well && text.contains("the reason is longer than 1000 octets"), "{text}");
    for time in [["--for", "0"], ["--for", "1x"], ["--until", "tomorrow"]] {
        let words = ["list", "virbl.tee.gr", "10.7.0.1", time[0], time[1]];
        let output = site.command(&words).output().expect("the program runs");
        assert_eq!(output.status.code(), Some(2), "{words:?}");
    }

    // What was exported comes back as it was; and so does a backup.
    let (text, is_well) = site.run_with(&["listings", "import", "-"], &exported);
    assert!(is_well && text == "100000 listed, 1 listed already, 1 excluded\n", "10.9.9.9 was left: {text}");
    let again = site.run(&["listings", "export"]).0;
    assert!(again == exported, "an import is what was exported");
    site.kill();
    fs::copy(&copy, site.state().join("listings.redb")).expect("copied");
    site.start();
    assert!(site.run(&["listings", "export"]).0 == exported, "a backup is what was there");
}

#[test]
fn a_line_counts_with_its_end() {
    let site = Site::new(&FILES, "");
    let listed = || site.run(&["listings", "virbl.tee.gr"]).0;
    let (text, is_well) = site.run_with(&["list", "virbl.tee.gr", "-"], "10.0.0.1\n10.0.0.12");
    assert!(!is_well && text.starts_with("line 2: the last line has no end"), "{text}");
    assert!(text.ends_with("\n1 listed, 1 NOT DONE\n") && !listed().contains("10.0.0.12"), "{text}");
    assert!(site.run_with(&["list", "virbl.tee.gr", "-"], "10.0.0.12\n10.0.0.124\n").1);
    let (text, is_well) = site.run_with(&["delist", "virbl.tee.gr", "-"], "10.0.0.124\n10.0.0.12");
    assert!(!is_well && text.ends_with("\n1 delisted, 1 NOT DONE\n") && listed().contains("10.0.0.12 "), "{text}");
    let exported = site.run(&["listings", "export"]).0;
    let (text, is_well) = site.run_with(&["listings", "import", "-"], "10.0.0.9 1h\n");
    assert!(!is_well && text.starts_with("line 1: not what `dnsbld listings export` writes; keys that are"), "{text}");
    let (text, is_well) = site.run_with(&["listings", "import", "-"], exported.trim_end());
    assert!(!is_well && text.starts_with("line 2: the last line has no end"), "{text}");

    // What stands before a line that is too long is done, also where there is much behind it.
    let long = format!("10.0.0.3\n10.0.0.x\n10.0.0.4 1h {}\n{}", "x".repeat(20_000), "10.0.0.5\n".repeat(100_000));
    let (text, is_well) = site.run_with(&["list", "virbl.tee.gr", "-"], &long);
    assert!(!is_well && text.contains("longer than 16384 octets; stopped at line 3, after 1 change"), "{text}");
    assert!(listed().contains("10.0.0.3 ") && !listed().contains("10.0.0.5"), "{}", listed());
    let (text, is_well) = site.run_with(&["listings", "import", "-"], &format!("{exported}{}", "x".repeat(20_000)));
    assert!(!is_well && text.contains("stopped at line 3, after 2 changes"), "{text}");
}

/// Whoever writes to the socket what is no request is told so, and whoever goes away is no trouble of the server.
#[test]
fn what_clients_do_is_not_in_the_log() {
    let site = Site::new(&FILES, "");
    let connect = |octets: &[u8]| {
        let mut stream = UnixStream::connect(site.state().join("control")).expect("a connection");
        stream.write_all(octets).expect("written");
        stream
    };
    let long = vec![b'x'; 4 << 20];
    for (octets, why) in
        [(&b"\"\xff\"\n"[..], "the request cannot be read"), (&long, "it is longer than 4194304 octets")]
    {
        let mut said = String::new();
        io::BufReader::new(connect(octets)).read_line(&mut said).expect("an answer");
        assert!(said.starts_with(r#"{"answer":"error""#) && said.contains(why), "{said}");
    }
    // They do not wait for their answers, and the export for its lines.
    for request in [r#"{"command":"stats"}"#, r#"{"command":"listings","asked":{"command":"export","zones":[]}}"#, "{"]
    {
        drop(connect(format!("{request}\n").as_bytes()));
    }
    assert!(site.run(&["history", "192.0.2.1"]).1 && site.run(&["listings", "virbl.tee.gr"]).1);
    assert!(!site.said().contains("a control connection ended"), "{}", site.said());
}

#[test]
fn a_delisting_in_vain_names_what_lists_it() {
    let site = Site::new(&FILES, "");
    assert!(site.run(&["list", "virbl.tee.gr", "10.5.0.0/16"]).1);
    let (said, _) = site.run(&["delist", "virbl.tee.gr", "10.5.1.1", "10.6.1.1"]);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("10.5.1.1: was not listed by itself, but 10.5.0.0/16 is, by command"), "{said}");
    assert!(lines[1].starts_with("10.6.1.1: was not listed by command; if files list it"), "{said}");
    assert!(site.run(&["list", "virbl.tee.gr", "--exclude", "10.7.0.0/16"]).1);
    let (said, _) = site.run(&["delist", "virbl.tee.gr", "10.7.1.1"]);
    assert!(said.contains("is hidden already: 10.7.0.0/16 is excluded by command"), "{said}");
    assert!(site.run(&["list", "rhsbl.tee.gr", "*.b.test", "1.2.0.192."]).1);
    let (said, _) = site.run(&["delist", "rhsbl.tee.gr", "x.y.b.test", "b.test"]);
    assert!(said.contains("x.y.b.test: was not listed by itself, but *.b.test is"), "{said}");
    assert!(said.contains("\nb.test: was not listed by command"), "the name is not below itself: {said}");
    let (said, is_well) = site.run(&["explain", "1.2.0.192."]);
    assert!(is_well && said.contains("rhsbl.tee.gr: listed as"), "{said}");
}

#[test]
fn programs_get_errors_as_answers() {
    let site = Site::new(&FILES, "");
    let nowhere = site.root.path().join("nowhere");
    let ask = |words: &[&str], state: &Path| {
        let output = dnsbld().args(words).args(["--json", "--state"]).arg(state).output().expect("the program runs");
        assert!(!output.status.success() && !output.stderr.is_empty(), "{words:?}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    };
    for words in [&["list", "nozone", "192.0.2.1"][..], &["listings", "nozone"]] {
        let told = ask(words, &site.state());
        assert_eq!(told["answer"], "error", "{words:?}");
        assert!(told["text"].as_str().is_some_and(|text| text.contains("no zone nozone")), "{told}");
    }
    for words in
        [&["status"][..], &["reload"], &["stats"], &["list", "virbl.tee.gr", "192.0.2.1"], &["history", "a.test"]]
    {
        let told = ask(words, &nowhere);
        assert!(told["text"].as_str().is_some_and(|text| text.contains("no server answers")), "{words:?}: {told}");
    }
    // And so are those of words that are no command.
    for (words, text) in [
        (&["list", "virbl.tee.gr", "192.0.2.1", "--for", "1 fortnight", "--json"][..], "invalid value '1 fortnight'"),
        (&["history", "--json"], "the following required arguments were not provided:\n  <KEY>"),
        (
            &["status", "--josn", "--json"],
            "unexpected argument '--josn' found\n\n  tip: a similar argument exists: '--json'",
        ),
    ] {
        let output = dnsbld().args(words).output().expect("the program runs");
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(told["answer"], "error", "{told}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            told["text"].as_str().is_some_and(|told| told.starts_with(text) && said.contains(told)),
            "{told} {said}"
        );
    }
    let output = dnsbld().args(["history", "--", "--json"]).output().expect("the program runs");
    assert!(output.stdout.is_empty(), "it is a key");
}

/// Whatever is answered says so in the same way, and what is said to people is there for programs.
#[test]
fn answers_for_programs_have_one_tag() {
    let site = Site::new(&FILES, "[listings.zones.\"virbl.tee.gr\"]\nnever-list = [\"203.0.113.0/24\"]\n");
    let ask = |words: &[&str]| {
        let output = site.command(&[words, &["--json"]].concat()).output().expect("the program runs");
        let said = String::from_utf8(output.stdout).expect("text");
        serde_json::from_str::<serde_json::Value>(&said).unwrap_or_else(|error| panic!("{words:?}: {error}: {said}"))
    };
    let told = ask(&["list", "virbl.tee.gr", "192.0.2.55", "203.0.113.9", "--reason", "Eicar"]);
    assert_eq!((&told["answer"], &told["changes"][0]["outcome"]), (&"changed".into(), &"listed".into()), "{told}");
    let refused = &told["changes"][1];
    let text = "203.0.113.0/24 is never listed in zone virbl.tee.gr (never-list)";
    assert_eq!((&refused["refusal"]["refused"], &refused["text"]), (&"never-listed".into(), &text.into()), "{told}");
    for (words, answer) in [
        (&["listings", "virbl.tee.gr"][..], "listings"),
        (&["history", "192.0.2.55"], "history"),
        (&["status"], "stats"),
        (&["querylog"], "query-log"),
        (&["reload"], "reloaded"),
        (&["history", "192.0.2.1/24"], "error"),
        (&["querylog", "off", "--listed"], "error"),
        (&["querylog", "on", "--sample", "0"], "error"),
        (&["diff", "zones", "running"], "error"),
        (&["diff", "running", "nowhere"], "error"),
        (&["check", "--config", "nowhere.toml"], "error"),
        (&["listings", "export", "nozone"], "error"),
    ] {
        let told = ask(words);
        assert_eq!(told["answer"], answer, "{words:?}: {told}");
        assert!(answer != "error" || told["text"].is_string(), "{told}");
    }
    // Of more than go in one request nothing is done either, if one of them cannot be read; that is said in one line.
    let many: Vec<String> = (0..5_000_u32).map(|number| Ipv4Addr::from(0x0a00_0000 + number).to_string()).collect();
    let words = [
        &["list", "virbl.tee.gr", "--json"][..],
        &many.iter().map(String::as_str).collect::<Vec<_>>(),
        &["192.0.2.1/24"],
    ];
    let output = site.command(&words.concat()).output().expect("the program runs");
    let said = String::from_utf8(output.stdout).expect("text");
    let told = serde_json::Deserializer::from_str(&said).into_iter::<serde_json::Value>();
    let told: Vec<_> = told.map(|told| told.expect("JSON")["answer"].clone()).collect();
    assert_eq!(told, ["error"]);
    assert!(said.lines().last().is_some_and(|line| line.starts_with(r#"{"answer":"error","text":"#)), "{said}");
    let output = dnsbld().args(["explain", "--json", "--from", "nowhere", "192.0.2.1"]).output().expect("it runs");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(told["text"].as_str().is_some_and(|text| text.contains("nowhere: no such folder or file")), "{told}");
    let told = ask(&["explain", "192.0.2.55", "virbl.tee.gr"]);
    let by = &told["zones"][0]["listings"][0]["command"];
    assert_eq!((&by["key"], &by["record"]["reason"]), (&"192.0.2.55".into(), &"Eicar".into()), "{told}");
    assert_eq!(by["record"]["door"], "command");
}

#[test]
fn only_one_and_only_its_owner() {
    let mut site = Site::new(&FILES, "");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&site.state()), 0o750, "permissions of the folder decide who may");
    assert_eq!(mode(&site.state().join("listings.redb")), 0o640);
    assert_eq!(mode(&site.state().join("listings.lock")), 0o640);
    // It serves what the files say.
    let second = Daemon::start(site.serving(&["--http", "127.0.0.1:0"]));
    assert!(second.said().contains("another server uses the store of live listings"), "{}", second.said());
    let ready = || ready(&second);
    assert!(site.run(&["list", "virbl.tee.gr", "192.0.2.5"]).1, "the first goes on");
    let reply = ready();
    assert!(reply.starts_with("HTTP/1.0 503") && reply.contains("another server uses the store"), "{reply}");
    // Once that has ended, its listings and its socket are the second one's.
    site.kill();
    // It looks every ten seconds.
    let is_ready = || ready().starts_with("HTTP/1.0 200");
    await_true_within(Duration::from_secs(25), "the second has taken over", is_ready, || second.said());
    let is_asked = || site.run(&["listings", "virbl.tee.gr"]).0.contains("192.0.2.5 listed");
    await_true_within(Duration::from_secs(5), "who is ready can be asked", is_asked, || second.said());
    assert!(site.run(&["list", "virbl.tee.gr", "192.0.2.6"]).1);
}
