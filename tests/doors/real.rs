//! Whole chains with the parts that people run: fail2ban bans from a line of a log, a scanner's finding becomes a note.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use super::{HEAD, SECRET, Server, TOKEN, is_listed};

/// Runs a command with a limit of time and returns whether it is content, and all that it says.
fn run_for(seconds: u32, words: &[&str], folder: &Path) -> (bool, String) {
    let output = Command::new("timeout")
        .arg(seconds.to_string())
        .args(words)
        .current_dir(folder)
        .env("DNSBLD", env!("CARGO_BIN_EXE_dnsbld"))
        .stdin(Stdio::null())
        .output()
        .expect("timeout runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

/// Debian's fail2ban with its own action nsupdate, unchanged: jail and filter are ours, as any site's are.
#[test]
fn fail2ban_bans_and_unbans() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let shown = folder.path().display();
    fs::create_dir_all(path("fail2ban/filter.d")).expect("a folder");
    fs::create_dir(path("zones")).expect("a folder");
    let head = HEAD.replace("bl.example", "virbl.example").replace(":2:listed $\n", "");
    fs::write(path("zones/virbl.example.ip4set"), format!("{head}127.0.0.2\n")).expect("written");
    let key = format!("key \"fail2ban\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{SECRET}\";\n}};\n");
    fs::write(path("fail2ban.key"), key).expect("written");
    let config = "listen = [\"127.0.0.1:53\"]\nhttp = false\nfolder = \"zones\"\nstate = \"state\"\n\
                  [keys.fail2ban]\nsecret-file = \"fail2ban.key\"\nzones = [\"virbl.example\"]\n";
    fs::write(path("dnsbld.toml"), config).expect("written");
    let own = Path::new("/etc/fail2ban");
    std::os::unix::fs::symlink(own.join("action.d"), path("fail2ban/action.d")).expect("a link");
    let main = fs::read_to_string(own.join("fail2ban.conf")).expect("Debian's package fail2ban");
    let main: String = main
        .lines()
        .map(|line| match line.split(" = ").next() {
            Some("dbfile") => "dbfile = None\n".to_owned(),
            Some("logtarget") => format!("logtarget = {shown}/fail2ban.log\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    fs::write(path("fail2ban/fail2ban.conf"), main).expect("written");
    let jail = format!(
        "[virus]\nenabled = true\nfilter = virus\nlogpath = {shown}/mail.log\nbackend = polling\nmaxretry = 1\n\
         findtime = 1h\nbantime = 1h\naction = nsupdate[domain=virbl.example, ttl=3600, keyfile={shown}/fail2ban.key]\n"
    );
    fs::write(path("fail2ban/jail.conf"), jail).expect("written");
    fs::write(path("fail2ban/filter.d/virus.conf"), "[Definition]\nfailregex = virus \\S+ from <HOST>$\n")
        .expect("written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/doors/fail2ban.sh");
    let folder_name = shown.to_string();
    let script_name = script.display().to_string();
    let unshare = ["unshare", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"];
    let words = [&unshare[..], &["sh", &script_name, &folder_name]].concat();
    let (is_well, said) = run_for(90, &words, folder.path());
    assert!(is_well && said.contains("UNBANNED"), "{said}");
}

/// A message with the test virus of the European Institute for Computer Anti-Virus Research; taken apart here, so that no
/// scanner takes this file for one.
fn infected_message() -> String {
    let eicar = ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$EIC", "AR-STANDARD-ANTIVIRUS-TEST-FI", "LE!$H+H*"].concat();
    format!(
        "From: sender@example.org\nTo: you@example.net\nSubject: an invoice\nMIME-Version: 1.0\nContent-Type: text/plain\n\n{eicar}\n"
    )
}

/// The mail filter's part, run by Perl as it would run it: the scanner finds the virus, the filter lists the relay for an hour.
#[test]
fn a_virus_is_noted_within_the_message() {
    let file = format!("{HEAD}127.0.0.2\n");
    let config = "[tokens.mimedefang]\nfile = \"token\"\nzones = [\"bl.example\"]\n";
    let server = Server::with_config(&[("zones/bl.example.ip4set", &file), ("token", TOKEN)], config);
    let folder = server.folder();
    // A signature of our own: the string by which every scanner knows the test virus.
    let signature: Vec<String> =
        "EICAR-STANDARD-ANTIVIRUS-TEST-FILE".bytes().map(|octet| format!("{octet:02x}")).collect();
    let signature = signature.concat();
    fs::write(folder.join("own.ndb"), format!("Eicar-Test-Signature:0:*:{signature}\n")).expect("written");
    fs::write(folder.join("INPUTMSG"), infected_message()).expect("written");
    fs::write(folder.join("CLEANMSG"), infected_message().replace("EICAR", "clean")).expect("written");
    let harness = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/doors/mimedefang.pl");
    let fragment = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/mimedefang/virbl.pl");
    let (harness, fragment) = (harness.display().to_string(), fragment.display().to_string());
    let url = format!("http://{}", server.http());
    let filter = |message: &str, relay: &str| {
        let (is_well, said) = run_for(120, &["perl", &harness, &fragment, &url, "bl.example", message, relay], folder);
        assert!(is_well, "{said}");
        said
    };
    assert!(filter("CLEANMSG", "192.0.2.54").contains("ACCEPTED"));
    assert!(!is_listed(&server, "54.2.0.192.bl.example"));
    let said = filter("INPUTMSG", "192.0.2.55");
    assert!(said.contains("DISCARDED") && said.contains("192.0.2.55 is listed in bl.example until"), "{said}");
    assert!(is_listed(&server, "55.2.0.192.bl.example"));
    let listing = super::http::get(&server, "/v1/zones/bl.example/listings/192.0.2.55");
    assert!(listing["reason"].as_str().is_some_and(|virus| virus.starts_with("Eicar-Test-Signature")), "{listing}");
    assert_eq!(listing["by"]["who"], "mimedefang");
    fs::write(folder.join("token"), "another-token-than-the-server's").expect("written");
    let said = filter("INPUTMSG", "192.0.2.56");
    assert!(said.contains("DISCARDED") && said.contains("192.0.2.56 is not listed"), "the mail does not wait: {said}");
}
