//! A store that cannot be opened when the server starts: what is listed and excluded is not forgotten.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
    time::Duration,
};

use super::{
    process::{Site, ready},
    support::daemon::{await_true, await_true_within, program},
};

const ZONE: &str = "virbl.tee.gr";
const FILES: [(&str, &str); 1] = [("virbl.tee.gr.ip4set", "192.0.2.77\n")];
const HTTP: [&str; 2] = ["--http", "127.0.0.1:0"];

/// A server that is not root, to whom permissions are nothing.
fn site() -> Site {
    Site::new(&FILES, if nix::unistd::geteuid().is_root() { "user = \"nobody\"\n" } else { "" })
}

fn permit(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permitted");
}

/// What is kept cannot be had at the start, and can later on.
fn start_without_what_is_kept(bar: impl Fn(&Site), unbar: impl Fn(&Site)) {
    let mut site = site();
    assert!(site.run(&["list", ZONE, "192.0.2.77", "--exclude", "--forever"]).1);
    assert!(site.run(&["list", ZONE, "192.0.2.55", "--forever"]).1);
    site.kill();
    bar(&site);
    site.start_with(&HTTP);
    let said = site.said();
    for words in ["cannot be opened", "Permission denied", "writable for the user", "tried again by itself", "/readyz"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    let reply = ready(site.daemon());
    assert!(reply.starts_with("HTTP/1.0 503") && reply.contains("cannot be opened"), "{reply}");
    assert_eq!(site.ask("77.2.0.192.virbl.tee.gr", 1)[0], "NOERROR", "as its file says");
    unbar(&site);
    // It looks every ten seconds.
    let is_ready = || ready(site.daemon()).starts_with("HTTP/1.0 200");
    await_true_within(Duration::from_secs(25), "it is ready", is_ready, || site.said());
    assert_eq!(site.ask("77.2.0.192.virbl.tee.gr", 1), ["NXDOMAIN"]);
    assert_eq!(site.ask("55.2.0.192.virbl.tee.gr", 1)[0], "NOERROR");
}

#[test]
fn a_store_that_cannot_be_written_is_waited_for() {
    let of_both = |site: &Site, file: u32, folder: u32| {
        permit(&site.state().join("listings.redb"), file);
        permit(&site.state(), folder);
    };
    start_without_what_is_kept(|site| of_both(site, 0o400, 0o500), |site| of_both(site, 0o640, 0o750));
}

#[test]
fn a_state_folder_that_cannot_be_reached_is_waited_for() {
    let above = |site: &Site| site.root.path().join("above");
    let bar = |site: &Site| {
        fs::create_dir(above(site)).expect("a folder");
        fs::rename(site.state(), above(site).join("state")).expect("renamed");
        symlink("above/state", site.state()).expect("a link");
        permit(&above(site), 0o000);
    };
    start_without_what_is_kept(bar, |site| permit(&above(site), 0o755));
}

#[test]
fn a_new_server_needs_no_store() {
    let mut site = site();
    site.kill();
    for file in fs::read_dir(site.state()).expect("a folder").flatten().filter(|file| file.path().is_file()) {
        fs::remove_file(file.path()).expect("removed");
    }
    permit(&site.state(), 0o500);
    site.start_with(&HTTP);
    let said = site.said();
    assert!(
        said.contains("writable for the user that the server runs as") && said.contains("; restart the server then"),
        "{said}"
    );
    assert!(ready(site.daemon()).starts_with("HTTP/1.0 200"));
    permit(&site.state(), 0o750);
}

#[test]
fn what_to_do_about_a_damaged_store_is_said() {
    let mut site = site();
    site.kill();
    fs::write(site.state().join("listings.redb"), "no database").expect("written");
    site.start_with(&HTTP);
    let remedy = "put a backup in its place, or move it away";
    assert!(site.said().contains(remedy), "{}", site.said());
    for words in [&["status"][..], &["list", ZONE, "192.0.2.1"]] {
        let (said, is_well) = site.run(words);
        assert!(!is_well && said.contains(remedy), "{said}");
    }
    assert!(ready(site.daemon()).starts_with("HTTP/1.0 200"));
}

/// Whoever has no handler is ended by the signal that comes with it.
#[test]
fn a_limit_to_the_size_of_files_ends_no_server() {
    let mut site = Site::new(&FILES, "");
    assert!(site.run(&["list", ZONE, "192.0.2.55", "--forever"]).1);
    let limit = |site: &Site, octets: &str| {
        let mut prlimit = Command::new(program("prlimit", "util-linux"));
        prlimit.args(["--pid", &site.daemon().id().to_string(), &format!("--fsize={octets}:")]);
        assert!(prlimit.status().expect("it runs").success());
    };
    limit(&site, "100000");
    let line = |number| format!("10.0.{}.{}\n", number / 250, number % 250);
    let lines = (0..3_000).map(line).collect::<Vec<_>>().concat();
    let (said, is_well) = site.run_with(&["list", ZONE, "-"], &lines);
    assert!(!is_well && said.contains("File too large"), "{said}\n{}", site.said());
    assert!(site.daemon_mut().is_running(), "{}", site.said());
    assert_eq!(site.ask("55.2.0.192.virbl.tee.gr", 1)[0], "NOERROR");
    assert!(!site.run(&["status"]).1, "it says so");
    limit(&site, "unlimited");
    let is_taken = || site.run(&["list", ZONE, "10.0.0.1"]).1;
    await_true("it takes listings again", is_taken, || site.said());
    assert_eq!(site.ask("1.0.0.10.virbl.tee.gr", 1)[0], "NOERROR");
}
