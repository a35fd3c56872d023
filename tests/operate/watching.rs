//! Watching a running server: statistics, the query log that is switched while it runs, manual pages and completions.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;

use super::{
    explain::dnsbld,
    live::{Live, PATIENCE, Place, await_true},
    metrics::place,
};

#[test]
fn statistics_are_rates_and_states() {
    let place = place();
    let live = Live::start(&place, &[]);
    for _ in 0..3 {
        live.ask("2.0.0.127.bl.example");
    }
    live.ask("9.9.9.9.bl.example");
    await_true("a self-test", || live.metrics().contains("dnsbld_selftest_ok"), String::new);
    let (_, said) = live.tell(&["stats", "--json", "--every", "100ms"]);
    let told: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    let zone = &told["statistics"]["zones"]["bl.example"];
    assert_eq!((&zone["requests"], &zone["lookups"]["listed"]), (&4.into(), &3.into()), "{said}");
    assert_eq!((&zone["responses"]["NXDOMAIN"], &zone["entries"]), (&1.into(), &3.into()), "{said}");
    assert_eq!(told["per_second"]["bl.example"], 0.0);
    let (_, said) = live.tell(&["stats", "--every", "100ms"]);
    let line = said.lines().find(|line| line.starts_with("bl.example ")).unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("75.0%") && line.contains("loaded "), "{said}");
    let (is_well, said) = live.tell(&["stats", "--every", "0s"]);
    assert!(!is_well && said.contains("--every"), "{said}");
}

/// Queries between two samples are seen as a rate, which is what the two say themselves.
#[test]
fn rates_are_of_what_came_between_two_samples() {
    let place = place();
    let live = Live::start(&place, &[]);
    let mut command = live.command(&["stats", "--watch", "--json", "--every", "100ms"]);
    let mut watching = command.stdout(Stdio::piped()).spawn().expect("the program starts");
    let lines = BufReader::new(watching.stdout.take().expect("a pipe")).lines();
    let mut samples = lines.map(|line| serde_json::from_str::<Value>(&line.expect("a line")).expect("JSON"));
    let counted = |sample: &Value| {
        let zone = &sample["statistics"]["zones"]["bl.example"]["requests"];
        (zone.as_u64().expect("a count"), sample["statistics"]["uptime_ms"].as_u64().expect("a time"))
    };
    let mut before = samples.next().expect("a sample");
    assert_eq!((counted(&before).0, &before["per_second"]["bl.example"]), (0, &0.0.into()));
    (0..50).for_each(|_| drop(live.ask("2.0.0.127.bl.example")));
    while counted(&before).0 < 50 {
        let now = samples.next().expect("a sample");
        let ((old, begun_ms), (new, ended_ms)) = (counted(&before), counted(&now));
        let rate = (new - old) as f64 * 1_000.0 / (ended_ms - begun_ms) as f64;
        let told = now["per_second"]["bl.example"].as_f64().expect("a rate");
        assert!((told - rate).abs() <= 0.1, "{told} is not {rate}: {before} {now}");
        before = now;
    }
    watching.kill().expect("ended");
    watching.wait().expect("ended");
}

/// A zone whose `$TIMESTAMP` runs out while it is served: whoever looks is told, and the log once.
#[test]
fn a_zone_that_expires_is_told_of() {
    let place = Place::new();
    let end = SystemTime::now() + Duration::from_secs(6);
    let end = humantime::format_rfc3339_seconds(end).to_string();
    let stamp = end.trim_end_matches('Z').replace('T', ":");
    place.drop_file("bl.example.ip4set", format!("$TIMESTAMP 0 {stamp}\n127.0.0.2\n"));
    let live = Live::start(&place, &[]);
    assert_eq!(live.ask("2.0.0.127.bl.example"), "2");
    assert!(live.tell(&["status"]).0 && live.tell(&["explain", "127.0.0.2"]).1.contains("bl.example: listed as"));

    let words = format!("its data expired at {end} by their $TIMESTAMP, and it answers SERVFAIL: fetch newer data");
    live.await_words(&words);
    assert_eq!(live.ask("2.0.0.127.bl.example"), "SERVFAIL");
    let (is_well, said) = live.tell(&["status"]);
    assert!(!is_well && said.contains(&format!("bl.example: 1 entry, but {words}")), "{said}");
    let (is_well, said) = live.tell(&["stats", "--every", "100ms"]);
    assert!(!is_well && said.contains(&format!("EXPIRED at {end}, answers SERVFAIL")), "{said}");
    let (_, said) = live.tell(&["explain", "127.0.0.2"]);
    assert!(said.starts_with(&format!("bl.example: {words}")) && said.contains("would be listed as"), "{said}");
    // What is new is tested, and whoever tests looks at this zone again.
    place.drop_file("other.example.ip4set", "127.0.0.2\n");
    let is_tested = |line: &str| line.starts_with("dnsbld_selftest_ok{") && line.contains("other.example");
    await_true("it was looked at again", || live.metrics().lines().any(is_tested), || live.metrics());

    place.drop_file("bl.example.ip4set", "127.0.0.2\n");
    live.await_answer("2.0.0.127.bl.example", "2", PATIENCE);
    live.await_words("its data are current again");
    assert!(live.tell(&["status"]).0 && live.tell(&["stats", "--every", "100ms"]).0);
    let told = live.log().lines().filter(|line| line.contains("ERROR") && line.contains(&words)).count();
    assert_eq!(told, 1, "{}", live.log());
}

/// What is not served, and what does not take the way it was to take, is told of beside what is served.
#[test]
fn what_is_passed_over_and_which_interfaces_are_not_used() {
    let place = place();
    place.drop_file("bl.example.ip4sett", "127.0.0.2\n");
    let live = Live::start(&place, &[]);
    let (is_well, said) = live.tell(&["status"]);
    let file = place.zone("bl.example.ip4sett").display().to_string();
    assert!(is_well, "a file that is passed over may be nobody's list: {said}");
    assert!(said.contains(&format!("{file}: not served: ip4sett is no type; is ip4set meant?")), "{said}");
    let (_, said) = live.tell(&["status", "--json"]);
    let told: Value = serde_json::from_str(&said).expect("JSON");
    let told = &told["statistics"];
    assert_eq!((&told["passed_over"][0][0], told["interfaces"].as_array().map(Vec::len)), (&file.into(), Some(0)));
    fs::remove_file(place.zone("bl.example.ip4sett")).expect("removed");
    live.tell(&["reload"]);
    let (_, said) = live.tell(&["status"]);
    assert!(!said.contains("not served"), "{said}");
    for (numbers, more, logged) in [
        (0..21, "1 more file is not served (--json", "16 more files are not served: `dnsbld status --json` names them"),
        (21..27, "7 more files are not served (--json", "1 more file is not served: `dnsbld status --json` names it"),
    ] {
        for number in numbers {
            fs::write(place.zone(&format!("note-{number}.txt")), "").expect("written");
        }
        live.tell(&["reload"]);
        let (_, said) = live.tell(&["status"]);
        assert_eq!((said.matches("not served: ").count(), said.contains(more)), (20, true), "{said}");
        assert!(live.log().contains(logged), "{}", live.log());
    }
    drop(live);

    let live = Live::start(&place, &["--xdp", "dnsbld-none"]);
    let (is_well, said) = live.tell(&["status"]);
    let words =
        "interface dnsbld-none: its requests take the kernel's way: dnsbld-none: no address to take requests to";
    assert!(!is_well && said.contains(words), "{said}");
    let (is_well, said) = live.tell(&["stats", "--every", "100ms"]);
    assert!(!is_well && said.contains(words), "{said}");
}

/// The lines of the query log so far.
fn logged(live: &Live) -> Vec<String> {
    live.log().lines().filter(|line| line.contains(" query client=")).map(str::to_owned).collect()
}

#[test]
fn the_query_log_is_switched_while_it_runs() {
    let place = place();
    let live = Live::start(&place, &[]);
    let ask_all = || {
        for name in ["2.0.0.127.bl.example", "9.9.9.9.bl.example", "spam.example.names.example", "elsewhere.test"] {
            live.ask(name);
        }
    };
    let switch = |words: &[&str]| {
        let (is_well, said) = live.tell(&[&["querylog"], words].concat());
        assert!(is_well, "{said}");
        said
    };
    // Workers look with their next batch: the first query may still be answered by the rules before.
    let settle = || (0..2).for_each(|_| drop(live.ask("settle.test")));
    ask_all();
    assert_eq!(logged(&live), [""; 0]);
    assert!(switch(&[]).contains("is off"));

    switch(&["on", "--zone", "bl.example", "--listed", "--client", "127.0.0.0/8"]);
    settle();
    ask_all();
    await_true("a line", || logged(&live).len() == 1, || live.log());
    let line = logged(&live).remove(0);
    for word in [
        "client=127.0.0.1",
        "zone=\"bl.example\"",
        "name=2.0.0.127.bl.example",
        "type=A",
        "rcode=\"NOERROR\"",
        "result=\"listed\"",
    ] {
        assert!(line.contains(word), "{word}: {line}");
    }
    assert!(switch(&[]).contains("1 logged, 0 not logged"), "{}", switch(&[]));

    switch(&["on", "--client", "192.0.2.0/24"]);
    settle();
    ask_all();
    switch(&["on", "--sample", "10", "--zone", "names.example"]);
    settle();
    (0..30).for_each(|_| drop(live.ask("spam.example.names.example")));
    await_true("one in ten", || logged(&live).len() == 4, || live.log());

    switch(&["off"]);
    settle();
    ask_all();
    assert_eq!(logged(&live).len(), 4);
    assert!(switch(&["on", "--for", "18446744073709551615"]).contains("until 18446744073709551615"), "no end in sight");
    let (is_well, said) = live.tell(&["querylog", "on", "--zone", "other.example"]);
    assert!(!is_well && said.contains("no zone other.example is served here; there are: "), "{said}");
    let (_, errors, code) = dnsbld(&["querylog", "on", "--client", "192.0.2.0/99"]);
    assert!(code == 2 && errors.contains("an address or a network"), "{errors}");

    switch(&["on", "--for", "1s"]);
    live.await_words("query log switched off");
    await_true("off by itself", || switch(&[]).contains("is off"), || live.log());
}

/// A flood does not wait for the log: each query is answered, and either logged or counted as not logged.
#[test]
fn the_query_log_counts_what_it_has_no_room_for() {
    let place = place();
    let live = Live::start(&place, &[]);
    let (is_well, said) = live.tell(&["querylog", "on"]);
    assert!(is_well, "{said}");
    live.ask("settle.test");
    let before = super::metrics::sum(&super::metrics::samples(&live), "dnsbld_dns_requests_total", &[]);
    let count = |word: &str| -> u64 {
        let (_, said) = live.tell(&["querylog", "--json"]);
        let state: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
        state["state"][word].as_u64().expect("a number")
    };
    let logged_before = count("logged") + count("dropped");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(live.address()).expect("connected");
    socket.set_nonblocking(true).expect("set");
    let question = super::support::message::Query::new("2.0.0.127.bl.example", 1).octets();
    for _ in 0..20_000 {
        let _ = socket.send(&question);
        while socket.recv(&mut [0; 512]).is_ok() {}
    }
    // Some of a flood may be lost on its way; what has come is seen once nothing more does.
    let seen = || {
        let all = super::metrics::sum(&super::metrics::samples(&live), "dnsbld_dns_requests_total", &[]) - before;
        (all, (count("logged") + count("dropped") - logged_before) as f64)
    };
    let is_all_noted = || matches!(seen(), (all, noted) if all > 1_000.0 && (noted - all).abs() < 0.5);
    await_true("all noted", is_all_noted, || format!("{:?}", seen()));
}

#[test]
fn every_command_has_a_page_and_completions() {
    let folder = tempfile::tempdir().expect("a folder");
    let (said, errors, code) = dnsbld(&["man", folder.path().to_str().expect("UTF-8")]);
    assert_eq!(code, 0, "{said}{errors}");
    let (help, _, _) = dnsbld(&["--help"]);
    let commands = help.split("Commands:\n").nth(1).expect("commands").lines().take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 10, "{help}");
    for (shell, word) in [("zsh", "#compdef dnsbld"), ("fish", "complete -c dnsbld")] {
        let (completions, _, _) = dnsbld(&["completions", shell]);
        assert!(completions.contains(word) && commands.iter().all(|command| completions.contains(command)), "{shell}");
    }
    let (completions, _, _) = dnsbld(&["completions", "bash"]);
    for command in commands.into_iter().filter(|command| *command != "help") {
        let page = fs::read_to_string(folder.path().join(format!("dnsbld-{command}.1")));
        let page = page.unwrap_or_else(|error| panic!("{command}: {error}"));
        for section in [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH \"EXIT STATUS\"", ".SH FILES"] {
            assert!(page.contains(section), "{command} lacks {section}:\n{page}");
        }
        assert!(completions.contains(&format!("dnsbld,{command})")), "{command} is not completed");
    }
    assert!(folder.path().join("dnsbld.1").is_file());
    // A page refers to none that is not there.
    for page in fs::read_dir(folder.path()).expect("a folder").flatten() {
        let text = fs::read_to_string(page.path()).expect("a page").replace('\\', "");
        for name in text.lines().filter_map(|line| line.strip_suffix("(1)")) {
            assert!(folder.path().join(format!("{name}.1")).is_file(), "{name}(1), of {:?}", page.file_name());
        }
    }
    // Debian's lintian would complain of what mandoc does.
    let pages = fs::read_dir(folder.path()).expect("a folder").flatten().map(|page| page.path());
    let lint = Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).args(pages).output().expect("mandoc");
    assert!(
        lint.status.success(),
        "{}{}",
        String::from_utf8_lossy(&lint.stdout),
        String::from_utf8_lossy(&lint.stderr)
    );
}

/// On a terminal each interval begins in the corner of an empty screen, and what is shown is new.
#[test]
fn statistics_are_drawn_again() {
    let place = place();
    let live = Live::start(&place, &[]);
    let words =
        format!("{} stats --watch --every 200ms --state {}", env!("CARGO_BIN_EXE_dnsbld"), place.state().display());
    // script gives it a terminal.
    let mut watching = Command::new("script")
        .args(["-q", "-f", "-e", "-c", &words, "/dev/null"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script");
    let mut output = watching.stdout.take().expect("a pipe");
    let (mut shown, mut octets) = (String::new(), [0; 4096]);
    let begun = Instant::now();
    while !(shown.matches("\x1b[H\x1b[2Jup ").count() > 3 && shown.contains("listed ")) {
        assert!(begun.elapsed() < PATIENCE, "{shown:?}");
        live.ask("2.0.0.127.bl.example");
        let count = output.read(&mut octets).expect("what is drawn");
        assert!(count > 0, "it ended: {shown:?}");
        shown.push_str(&String::from_utf8_lossy(&octets[..count]));
    }
    watching.kill().expect("ended");
    watching.wait().expect("ended");
    let screens: Vec<&str> = shown.split("\x1b[H\x1b[2J").skip(1).collect();
    assert!(screens[..3].iter().all(|screen| screen.contains("bl.example ")), "{shown:?}");
    // Its output was a terminal; into a pipe go lines alone.
    let (_, said) = live.tell(&["stats", "--every", "100ms"]);
    assert!(!said.contains('\x1b'), "{said:?}");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let place = Place::new();
    let nowhere = place.at("nowhere").display().to_string();
    for command in ["status", "stats", "querylog", "reload"] {
        let (_, errors, code) = dnsbld(&[command, "--state", &nowhere]);
        assert!(
            code == 1 && errors.lines().count() == 1 && errors.contains("no server answers at"),
            "{command}: {errors}"
        );
    }
}

/// The manual's sample is what the program prints, and none of these commands is left out.
#[test]
fn the_manual_shows_what_the_program_says() {
    let manual = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/operate.md")).expect("the manual");
    let place = Place::new();
    let list = "$TTL 2h\n:2:x\n192.0.2.0/24\n\n192.0.2.7 :3:by itself @ until=4102444800\n";
    place.drop_file("bl.example.ip4set", list);
    let (said, _, _) = dnsbld(&["explain", "--from", &place.zones().display().to_string(), "192.0.2.7"]);
    let said = said.replace(&place.zones().display().to_string(), "zones");
    for line in said.lines() {
        // How long that is from now changes by the day.
        let until = line.split(" from now").next().filter(|until| *until != line);
        let shown = until.and_then(|until| until.rsplit_once(", ")).map_or(line, |(shown, _)| shown);
        assert!(manual.contains(shown), "the manual does not show: {line}");
    }
    for command in ["explain", "diff", "check", "stats", "querylog", "status", "man"] {
        assert!(manual.contains(&format!("dnsbld {command}")), "{command}");
    }
}

/// Messages are lines with fields, as text or JSON; where there is no journal, the log says so and goes on.
#[test]
fn messages_have_forms() {
    let place = place();
    let live = Live::start(&place, &["--log", "json"]);
    for line in live.log().lines() {
        let message: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(message["timestamp"].is_string() && message["level"].is_string() && message["message"].is_string());
    }
    drop(live);
    if !std::path::Path::new("/run/systemd/journal/socket").exists() {
        let live = Live::start(&place, &["--log", "journald"]);
        assert!(live.log().contains("messages go to standard error"), "{}", live.log());
    }
}

/// Who writes `wran` means less than what is logged without it.
#[test]
fn what_is_to_be_logged_and_cannot_be_understood_is_told() {
    let place = place();
    let said = |level: &str| {
        let mut command = super::support::daemon::dnsbld();
        command.env("RUST_LOG", level).arg("serve").arg(place.zones()).arg("--state").arg(place.state());
        Live::spawn(command, &place).log()
    };
    for level in ["dnsbld=wran", "garbage=foo"] {
        let said = said(level);
        let words = format!("RUST_LOG is not understood, and does nothing: `{level}`: ");
        assert!(said.matches(&words).count() == 1 && said.contains(" INFO "), "{said}");
    }
    assert!(!said("dnsbld=info").contains("RUST_LOG"));
}

/// systemd's own journald, in namespaces of the test, takes messages and the query log with each field by itself; and when it
/// stands still, nothing waits for it.
#[test]
fn the_journal_has_fields_and_stops_nobody() {
    let place = place();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/operate/journal.sh");
    let unshare = ["--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"];
    let mut command = Command::new("timeout");
    command.args(["60", "unshare"]).args(unshare).args(["bash", script, env!("CARGO_BIN_EXE_dnsbld")]);
    let output = command.arg(place.zones()).output().expect("unshare");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let messages: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    let with = |text: &str| {
        let found = messages.iter().find(|message| message["MESSAGE"].as_str().is_some_and(|said| said.contains(text)));
        found.unwrap_or_else(|| panic!("no `{text}` in {said}"))
    };
    assert_eq!(
        (&with("serving ")["PRIORITY"], &with("serving ")["SYSLOG_IDENTIFIER"]),
        (&"5".into(), &"dnsbld".into())
    );
    assert_eq!(with("bad.example")["PRIORITY"], "4", "a warning");
    let query = messages.iter().find(|message| message["MESSAGE"] == "query").expect("a line of the query log");
    for (field, value) in [
        ("NAME", "2.0.0.127.bl.example"),
        ("CLIENT", "127.0.0.1"),
        ("TYPE", "TXT"),
        ("RESULT", "listed"),
        ("ZONE", "bl.example"),
    ] {
        assert_eq!(query[format!("DNSBLD_{field}")], value, "{query}");
    }
}
