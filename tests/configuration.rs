//! The configuration file and the words of the command line: what is a mistake, and what is said of it.

#[path = "support/mod.rs"]
mod support;

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr, TcpStream, UdpSocket},
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Command, Output},
};

use support::{daemon::Daemon, message::Query};

/// What a command says on standard error when it refuses, and what it wrote on standard output.
fn dnsbld(folder: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    let command = Command::new(env!("CARGO_BIN_EXE_dnsbld")).current_dir(folder).args(words).output();
    let Output { status, stdout, stderr } = command.expect("the program starts");
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    (status.code(), text(&stdout), text(&stderr))
}

/// A folder with a zone in it.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("zones")).expect("a folder");
    let list = "$SOA 1h ns.example.org host.example.org 0 1h 1h 1d 5m\n$NS 1h ns.example.org\n127.0.0.2\n";
    fs::write(folder.path().join("zones/bl.example.ip4set"), list).expect("written");
    folder
}

#[test]
fn addresses_on_the_command_line() {
    let folder = folder();
    for (words, expected) in [
        (&["--listen", "127.0.0.1"][..], "\"127.0.0.1\" is not ADDRESS:PORT, as in 127.0.0.1:53"),
        (&["-l", "5300"], "\"5300\" is not ADDRESS:PORT, as in 127.0.0.1:5300"),
        (&["-l", "::1"], "\"::1\" is not ADDRESS:PORT, as in [::1]:53"),
        (&["--http", "9153"], "\"9153\" is not ADDRESS:PORT, as in 127.0.0.1:9153, or off"),
    ] {
        let (code, _, errors) = dnsbld(folder.path(), &[&["serve", "zones"], words].concat());
        assert!(code == Some(2) && errors.contains(expected), "{words:?}: {errors}");
    }
    let (code, _, errors) =
        dnsbld(folder.path(), &["rbldnsd", "-n", "-b", "127.0.0.1:5398", "bl.example:ip4set:zones/bl.example.ip4set"]);
    assert!(code == Some(1) && errors.contains("write 127.0.0.1/5398"), "{errors}");
}

/// What cannot be understood is that for every option, and is told before anything is asked or done.
#[test]
fn values_that_cannot_be_understood() {
    let folder = folder();
    for (words, expected) in [
        (&["serve", "zones", "--check", "soon"][..], "\"soon\" is not a time such as 90s, 35m or 1h"),
        (&["stats", "--every", "soon"], "\"soon\" is not a time such as 90s, 35m or 1h"),
        (&["stats", "--every", "0"], "must not be 0"),
        (&["querylog", "on", "--for", "soon"], "\"soon\" is not a time such as 90s, 35m or 1h"),
        (&["querylog", "on", "--for", "0s"], "must not be 0"),
        // What begins with a hyphen is a value all the same.
        (&["serve", "zones", "--check", "-1h"], "\"-1h\" is not a time such as 90s, 35m or 1h"),
        (&["stats", "--every", "-1"], "\"-1\" is not a time such as 90s, 35m or 1h"),
        (&["querylog", "on", "--for", "-1h"], "\"-1h\" is not a time such as 90s, 35m or 1h"),
        (&["list", "bl.example", "192.0.2.1", "--for", "-1h"], "`-1h` is not a time such as 90s, 1h or 7d"),
        (&["list", "bl.example", "192.0.2.1", "--until", "-1h"], "expected a time such as 2026-11-23T10:00:00Z"),
        (&["querylog", "off", "--zone", "bl.example"], "dnsbld querylog on"),
        (&["querylog", "--listed"], "dnsbld querylog on"),
        (&["querylog", "on", "--client", "127.0.0.1/24"], "did you mean 127.0.0.0/24?"),
        (&["listings", "bl.example", "--after", "192.0.2.1/24"], "did you mean 192.0.2.0/24?"),
    ] {
        let (code, said, errors) = dnsbld(folder.path(), words);
        assert!(code == Some(2) && errors.contains(expected) && said.is_empty(), "{words:?}: {said}{errors}");
    }
}

#[test]
fn a_folder_is_no_configuration_file() {
    let folder = folder();
    for command in ["check", "serve", "dump"] {
        let (code, _, errors) = dnsbld(folder.path(), &[command, "--config", "zones"]);
        assert!(code == Some(1) && errors.contains("zones: a folder, and no configuration file"), "{errors}");
    }
}

/// systemd names several folders with colons between them.
#[test]
fn of_several_state_folders_the_first_is_meant() {
    let folder = folder();
    let mut command = Command::new(env!("CARGO_BIN_EXE_dnsbld"));
    command.arg("status").env("STATE_DIRECTORY", "/nowhere/one:/nowhere/two");
    let Output { stderr, .. } = command.current_dir(folder.path()).output().expect("the program starts");
    let errors = String::from_utf8_lossy(&stderr);
    assert!(errors.contains("/nowhere/one/control") && !errors.contains("two"), "{errors}");
}

/// That of the environment is for every zone, and whoever has one for some of them must not have more by it.
#[test]
fn a_token_in_the_environment_is_none_of_the_file() {
    let folder = folder();
    fs::write(folder.path().join("other.token"), "0123456789abcdef\n").expect("written");
    let text = "folder = \"zones\"\n[tokens.other]\nfile = \"other.token\"\nzones = [\"n.example\"]\n";
    fs::write(folder.path().join("dnsbld.toml"), text).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_dnsbld"));
    // Were the token taken, the user would be what ends it.
    command.args(["serve", "--config", "dnsbld.toml", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    command.args(["--user", "no-such-user"]);
    command.env("DNSBLD_TOKEN", "0123456789abcdef").current_dir(folder.path());
    let Output { status, stderr, .. } = command.output().expect("the program starts");
    let errors = String::from_utf8_lossy(&stderr);
    let words = "DNSBLD_TOKEN: has the same token as `other`: give each its own";
    assert!(status.code() == Some(1) && errors.contains(words), "{errors}");
}

/// A list that is not served for its name is as bad as one that cannot be loaded: a gate must be able to see it.
#[test]
fn files_that_are_passed_over_are_told_by_check() {
    let folder = folder();
    let check = |options: &[&str]| {
        let (code, said, errors) = dnsbld(folder.path(), &[&["check", "zones"], options].concat());
        assert_eq!(errors, "", "it is all in the report");
        (code, said)
    };
    let (code, before) = check(&["--strict"]);
    assert!(code == Some(0) && before.contains("1 zone, 0 errors, 0 warnings"), "{before}");
    let zones = folder.path().join("zones");
    std::os::unix::fs::symlink("gone", zones.join("a.test.ip4set")).expect("a link");
    fs::write(zones.join("b.test.ip4sett"), "").expect("written");
    fs::write(zones.join("b.test.ip4set.dpkg-dist"), "").expect("written");
    let (code, said) = check(&[]);
    assert!(code == Some(0) && said.contains("1 zone, 0 errors, 2 warnings"), "{said}");
    let link = "zones/a.test.ip4set: warning: not served: it is a symbolic link to gone, which does not exist\n";
    assert!(said.contains(link) && said.contains("zones/b.test.ip4sett: warning: not served: ip4sett is no type; is"));
    assert_eq!(check(&["--strict"]).0, Some(1));
    let (_, said) = check(&["--json"]);
    let told: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let first = serde_json::json!(["zones/a.test.ip4set", "it is a symbolic link to gone, which does not exist"]);
    assert_eq!((&told["passed_over"][0], &told["warnings"]), (&first, &2.into()), "{said}");
}

#[test]
fn a_zones_folder_that_is_not_there_is_named() {
    let folder = folder();
    fs::write(folder.path().join("dnsbld.toml"), "folder = \"zonez\"\n").expect("written");
    let (code, said, errors) = dnsbld(folder.path(), &["check", "--config", "dnsbld.toml"]);
    let words = "error: cannot read the zones folder zonez: No such file or directory (os error 2); check its name";
    assert!(code == Some(1) && said.contains(words) && errors.is_empty(), "{said}{errors}");
    let (code, _, errors) = dnsbld(folder.path(), &["diff", "dnsbld.toml", "zones"]);
    assert!(code == Some(2) && errors.contains("cannot read the zones folder zonez: "), "{errors}");
}

/// Who writes 7d means it: that it will be less is said before it is.
#[test]
fn a_step_that_is_longer_than_any_listing_may_be() {
    let folder = folder();
    let text = "folder = \"zones\"\nstate = \"state\"\n[listings]\nlongest = \"2d\"\nescalate = [\"1d\", \"7d\"]\n";
    fs::write(folder.path().join("dnsbld.toml"), text).expect("written");
    let (code, said, _) = dnsbld(folder.path(), &["check", "--config", "dnsbld.toml"]);
    let words =
        "a step of `escalate`, 604800 seconds, is more than `longest`, and such a listing holds for 172800 seconds";
    let line = format!("dnsbld.toml:5:1: `listings.escalate`: warning: {words}");
    assert!(code == Some(0) && said.contains(&line) && said.contains("1 warning\n"), "{said}");
    // The server says it too, also where it cannot go on.
    let words =
        ["serve", "--config", "dnsbld.toml", "--listen", "127.0.0.1:0", "--http", "off", "--user", "no-such-user"];
    let (_, _, errors) = dnsbld(folder.path(), &words);
    assert!(errors.contains("dnsbld.toml:5:1: `listings.escalate`: a step of `escalate`, 604800"), "{errors}");
}

/// The configuration may be for another machine, so that is not even a warning.
#[test]
fn interfaces_that_this_machine_does_not_have() {
    let folder = folder();
    fs::write(folder.path().join("dnsbld.toml"), "folder = \"zones\"\nxdp = [\"lo\", \"dnsbld-none\"]\n")
        .expect("written");
    let check = |options: &[&str]| dnsbld(folder.path(), &[&["check", "--config", "dnsbld.toml"], options].concat());
    let (code, said, _) = check(&[]);
    assert!(code == Some(0) && said.contains("xdp: note: this machine has no interface dnsbld-none ("), "{said}");
    assert!(said.contains("0 errors, 0 warnings\n"), "{said}");
    let (code, said, _) = check(&["--strict", "--json"]);
    assert!(code == Some(0) && said.contains("xdp: this machine has no interface dnsbld-none"), "{said}");
}

/// A name with a typing mistake protects nobody: whoever checks or starts is told.
#[test]
fn zones_that_are_named_and_not_served() {
    let folder = folder();
    let text = r#"folder = "zones"
[listings]
yields-to = ["grwhitelst.tee.gr"]
[listings.zones."nozone.example"]
yields-to = ["bl.example", "winner.example"]
[keys.fail2ban]
secret = "MDEyMzQ1Njc4OWFiY2RlZg=="
zones = ["nozone.gr", "bl.example"]
[datagrams]
listen = "127.0.0.1:5392"
zones = ["*"]
"#;
    fs::write(folder.path().join("dnsbld.toml"), text).expect("written");
    let (code, said, errors) = dnsbld(folder.path(), &["check", "--config", "dnsbld.toml"]);
    assert!(code == Some(0) && said.contains("1 zone, 0 errors"), "{said}{errors}");
    for expected in [
        "dnsbld.toml:3:1: `listings.yields-to`: zone grwhitelst.tee.gr is not served",
        "dnsbld.toml:4:17: `listings.zones.\"nozone.example\"`: zone nozone.example is not served",
        "dnsbld.toml:5:1: `listings.zones.\"nozone.example\".yields-to`: zone winner.example is not served",
        "dnsbld.toml:8:1: `keys.fail2ban.zones`: zone nozone.gr is not served",
    ] {
        assert!(said.contains(&expected.replacen("`: ", "`: warning: ", 1)), "{expected}: {said}");
    }
    assert!(said.contains("4 warnings") && errors.is_empty(), "{said}{errors}");
    let (code, ..) = dnsbld(folder.path(), &["check", "--strict", "--config", "dnsbld.toml"]);
    assert_eq!(code, Some(1));
}

/// Whoever configures them means them to do something.
#[test]
fn doors_that_are_shut_again() {
    let folder = folder();
    fs::write(folder.path().join("token"), "0123456789abcdef").expect("written");
    let token = "[tokens.scanner]\nfile = \"token\"\nzones = [\"*\"]\n";
    let key = "[keys.fail2ban]\nsecret = \"MDEyMzQ1Njc4OWFiY2RlZg==\"\nzones = [\"*\"]\n";
    let datagrams = "[datagrams]\nlisten = \"127.0.0.1:5392\"\nzones = [\"*\"]\n";
    let no_http = "dnsbld.toml:2:1: `http`: warning: tokens are configured, but HTTP is off: see `http`";
    let no_state = "dnsbld.toml:2:1: `state`: warning: keys, tokens or datagrams are configured, and nothing can be changed by \
                    them: the store of live listings cannot be opened: no state folder is configured";
    for (text, expected) in [
        (format!("http = false\n{token}"), Some(no_http)),
        (format!("http = false\n{key}"), None),
        (format!("state = false\n{key}"), Some(no_state)),
        (format!("state = false\n{token}"), Some(no_state)),
        (format!("state = false\n{datagrams}"), Some(no_state)),
        (format!("state = true\n{key}{token}"), None),
        ("state = false\nhttp = false\n".to_owned(), None),
    ] {
        fs::write(folder.path().join("dnsbld.toml"), format!("folder = \"zones\"\n{text}")).expect("written");
        let (code, said, errors) = dnsbld(folder.path(), &["check", "--strict", "--config", "dnsbld.toml"]);
        assert_eq!((code, errors.as_str()), (Some(i32::from(expected.is_some())), ""), "{text}: {said}");
        assert!(expected.is_none_or(|words| said.contains(words)), "{text}: {said}");
        let warnings = if expected.is_some() { "1 warning\n" } else { "0 warnings\n" };
        assert!(said.contains(&format!("1 zone, 0 errors, {warnings}")), "{text}: {said}");
    }
}

/// systemd hands credentials and variables to the unit; whoever checks the file before a restart has neither.
#[test]
fn secrets_that_only_the_unit_has() {
    let folder = folder();
    let key = "[keys.fail2ban]\nsecret-file = \"/run/credentials/dnsbld-none.service/key\"\nzones = [\"*\"]\n";
    let file = "[tokens.scanner]\nfile = \"/run/credentials/dnsbld-none.service/token\"\nzones = [\"*\"]\n";
    let variable = "[tokens.scanner]\nvariable = \"DNSBLD_NO_SUCH_TOKEN\"\nzones = [\"*\"]\n";
    for (text, expected) in [
        (
            key,
            "dnsbld.toml:3:1: `keys.fail2ban.secret-file`: cannot read /run/credentials/dnsbld-none.service/key: No such",
        ),
        (
            file,
            "dnsbld.toml:3:1: `tokens.scanner.file`: cannot read /run/credentials/dnsbld-none.service/token: No such",
        ),
        (variable, "dnsbld.toml:3:1: `tokens.scanner.variable`: environment variable DNSBLD_NO_SUCH_TOKEN: "),
    ] {
        fs::write(folder.path().join("dnsbld.toml"), format!("folder = \"zones\"\n{text}")).expect("written");
        let (code, said, errors) = dnsbld(folder.path(), &["check", "--config", "dnsbld.toml"]);
        let warning = expected.replacen("`: ", "`: warning: not looked at: ", 1);
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{text}: {said}");
        assert!(said.contains(&warning) && said.contains("1 zone, 0 errors, 1 warning\n"), "{text}: {said}");
        assert_eq!(dnsbld(folder.path(), &["check", "--strict", "--config", "dnsbld.toml"]).0, Some(1), "{text}");
        assert_eq!(dnsbld(folder.path(), &["dump", "--config", "dnsbld.toml"]).0, Some(0), "it needs no secret");
        let (code, _, errors) = dnsbld(folder.path(), &["serve", "--config", "dnsbld.toml"]);
        assert!(code == Some(1) && errors.contains(expected), "{text}: {errors}");
    }
    // What is wrong beside the secret is so all the same, and any other file is to be there.
    for (text, expected) in [
        (key.replace("\"*\"", ""), "`keys.fail2ban.zones`: is empty"),
        (key.replace("/run/credentials", "/run/dnsbld-none"), "`keys.fail2ban.secret-file`: cannot read"),
    ] {
        fs::write(folder.path().join("dnsbld.toml"), format!("folder = \"zones\"\n{text}")).expect("written");
        let (code, _, errors) = dnsbld(folder.path(), &["check", "--config", "dnsbld.toml"]);
        assert!(code == Some(1) && errors.contains(expected), "{text}: {errors}");
    }
}

/// A wildcard of IPv6 is one of IPv4 as well, as with rbldnsd, unless an address of IPv4 stands beside it.
#[test]
fn a_wildcard_of_ipv6_takes_both_families() {
    let folder = folder();
    fs::write(folder.path().join("dnsbld.toml"), "folder = \"zones\"\nlisten = [\"[::]:0\"]\n").expect("written");
    let start = |words: &[&str]| {
        let mut command = support::daemon::dnsbld();
        command.args(["serve"]).args(words).args(["--http", "off", "--state", "off", "--workers", "1"]);
        command.current_dir(folder.path());
        Daemon::start(command)
    };
    for words in [
        &["--config", "dnsbld.toml"][..],
        &["zones", "--listen", "[::]:0"],
        &["zones", "--listen", "[::]:0", "--listen", "0.0.0.0:0"],
    ] {
        let server = start(words);
        assert_eq!(server.said().matches("listening on ").count(), 2, "{words:?}: {}", server.said());
        for client in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
            let address = server.address_for(client).unwrap_or_else(|| panic!("{words:?}: not at {client}"));
            let socket = UdpSocket::bind((client, 0)).expect("a socket");
            socket.set_read_timeout(Some(support::daemon::PATIENCE)).expect("set");
            let question = Query::new("2.0.0.127.bl.example", 1).octets();
            socket.send_to(&question, (client, address.port())).expect("sent");
            assert!(socket.recv(&mut [0; 512]).is_ok_and(|length| length > question.len()), "{words:?}: {client}");
            TcpStream::connect((client, address.port())).expect("a connection");
        }
    }
    let server = start(&["zones", "--listen", "[::]:0", "--listen", "127.0.0.1:0"]);
    assert!(!server.said().contains("listening on 0.0.0.0/"), "{}", server.said());
}

/// What can be seen of the file and its surroundings must not come out at the restart.
#[test]
fn what_keeps_a_server_from_starting_is_told_by_check() {
    let folder = folder();
    fs::create_dir(folder.path().join("folder")).expect("a folder");
    fs::write(folder.path().join("plain"), "").expect("written");
    let _left_behind = UnixDatagram::bind(folder.path().join("socket")).expect("bound");
    let check = |text: &str, options: &[&str]| {
        fs::write(folder.path().join("dnsbld.toml"), format!("folder = \"zones\"\n{text}")).expect("written");
        dnsbld(folder.path(), &[&["check", "--config", "dnsbld.toml"], options].concat())
    };
    let datagrams = |listen: &str| format!("[datagrams]\nlisten = \"{listen}\"\nzones = [\"*\"]\n");
    let covers = "another address of this list covers it";
    for (text, key, words) in [
        (
            "listen = [\"0.0.0.0:5300\", \"127.0.0.1:5300\"]".to_owned(),
            "2:1: `listen`",
            &*format!("127.0.0.1:5300: {covers}: 0.0.0.0:5300"),
        ),
        (
            "listen = [\"[::1]:5300\", \"[::]:5300\"]".to_owned(),
            "2:1: `listen`",
            &*format!("[::1]:5300: {covers}: [::]:5300"),
        ),
        (
            "listen = [\"127.0.0.1:5300\"]\nhttp = \"127.0.0.1:5300\"".to_owned(),
            "3:1: `http`",
            "cannot listen for HTTP on 127.0.0.1:5300: `listen` has it, as 127.0.0.1:5300",
        ),
        (
            "listen = [\"127.0.0.1:5300\"]\nhttp = \"[::]:5300\"".to_owned(),
            "3:1: `http`",
            "cannot listen for HTTP on [::]:5300: `listen` has it, as 127.0.0.1:5300",
        ),
        (
            "listen = [\"0.0.0.0:9153\"]".to_owned(),
            " `http`",
            "cannot listen for HTTP on 127.0.0.1:9153: `listen` has it, as 0.0.0.0:9153",
        ),
        (
            "pidfile = \"none/pid\"".to_owned(),
            "2:1: `pidfile`",
            "unable to write pidfile none/pid: there is no folder none",
        ),
        (
            "pidfile = \"plain/pid\"".to_owned(),
            "2:1: `pidfile`",
            "unable to write pidfile plain/pid: there is no folder plain",
        ),
        ("pidfile = \"folder\"".to_owned(), "2:1: `pidfile`", "unable to write pidfile folder: it is a folder"),
        (
            format!("listen = [\"127.0.0.1:5300\"]\n{}", datagrams("127.0.0.1:5300")),
            "4:1: `datagrams.listen`",
            "cannot take datagrams at 127.0.0.1:5300: `listen` of the server has it, as 127.0.0.1:5300",
        ),
        (
            format!("listen = [\"[::]:5300\"]\n{}", datagrams("127.0.0.1:5300")),
            "4:1: `datagrams.listen`",
            "cannot take datagrams at 127.0.0.1:5300: `listen` of the server has it, as 0.0.0.0:5300",
        ),
        (
            datagrams("./none/socket"),
            "3:1: `datagrams.listen`",
            "cannot take datagrams at ./none/socket: there is no folder ./none",
        ),
        (
            datagrams("./plain"),
            "3:1: `datagrams.listen`",
            "cannot take datagrams at ./plain: ./plain is no socket, and is left as it is: name another path, or move it away",
        ),
        (datagrams("./folder"), "3:1: `datagrams.listen`", "./folder is no socket, and is left as it is"),
    ] {
        let line = format!("dnsbld.toml:{key}: error: ");
        for options in [&[][..], &["--strict"]] {
            let (code, said, errors) = check(&text, options);
            assert_eq!((code, errors.as_str()), (Some(1), ""), "{text}: {said}");
            assert!(said.contains(&line) && said.contains(words), "{text}: {said}");
            assert!(said.contains("1 zone, 1 error, 0 warnings\n"), "{text}: {said}");
        }
        let (_, said, _) = check(&text, &["--json"]);
        let told: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        let told = (told["errors"].as_u64(), told["hindrances"][0].as_str().is_some_and(|told| told.contains(words)));
        assert_eq!(told, (Some(1), true), "{text}: {said}");
    }
    for text in [
        "listen = [\"0.0.0.0:5300\", \"[::]:5300\"]".to_owned(),
        "listen = [\"127.0.0.1:5300\", \"[::]:5300\", \"127.0.0.1:5301\"]".to_owned(),
        "listen = [\"127.0.0.1:5300\", \"127.0.0.1:5300\"]".to_owned(),
        "listen = [\"0.0.0.0:0\", \"127.0.0.1:0\"]\nhttp = \"127.0.0.1:0\"".to_owned(),
        "pidfile = \"plain\"".to_owned(),
        "pidfile = \"new.pid\"".to_owned(),
        format!("http = \"127.0.0.1:5392\"\n{}", datagrams("127.0.0.1:5392")),
        datagrams("./new"),
        datagrams("./socket"),
    ] {
        let (code, said, errors) = check(&text, &["--strict"]);
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{text}: {said}");
    }
    // What is below /run may be made for the unit, when that starts.
    let (code, said, _) = check("pidfile = \"/run/dnsbld-none/pid\"", &[]);
    let words = "`pidfile`: warning: unable to write pidfile /run/dnsbld-none/pid: there is no folder /run/dnsbld-none";
    assert!(code == Some(0) && said.contains(words) && said.contains("RuntimeDirectory="), "{said}");
}
