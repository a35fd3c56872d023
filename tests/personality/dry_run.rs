//! `-D` finds what would stop a start with the same command line, and changes nothing.

use std::{fs, net::UdpSocket, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use super::{daemon::free_address, folder, rbldnsd, text};

/// What it says of a command line, and whether it finds a fault.
fn dry(mut command: Command, words: &[&str]) -> (bool, String) {
    let output = command.arg("-D").args(words).output().expect("runs");
    (!output.status.success(), text(&output))
}

#[track_caller]
fn assert_fault(folder: &Path, words: &[&str], what: &str) {
    let (is_faulty, said) = dry(rbldnsd(folder), words);
    assert!(is_faulty && said.contains(what), "{words:?}: {said}");
    assert!(said.contains(", 1 error, "), "{words:?}: {said}");
}

#[test]
fn what_would_stop_a_start_is_a_fault() {
    let folder = folder();
    let folder = folder.path();
    nix::unistd::mkfifo(&folder.join("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    for (words, what) in [
        (&["-u", "nosuchuser", "bl.example:ip4set:hosts"][..], "unknown user `nosuchuser'"),
        (&["-u", "root", "bl.example:ip4set:hosts"], "should not run as root"),
        (&["-p", "absent/pid", "bl.example:ip4set:hosts"], "unable to write pidfile absent/pid: "),
        (&["-p", "/dev", "bl.example:ip4set:hosts"], "unable to write pidfile /dev: "),
        (&["-b", "192.0.2.250", "bl.example:ip4set:hosts"], "192.0.2.250:53 (UDP): Cannot assign"),
        (&["-F", "nosuch", "bl.example:ip4set:hosts"], "log facility nosuch"),
        (&["bl.example:ip4set:pipe"], "pipe: "),
    ] {
        assert_fault(folder, words, what);
    }
    // All of them are said, and the files are looked at besides.
    let words = ["-unosuchuser", "-pabsent/pid", "-b192.0.2.250", "bl.example:ip4set:absent"];
    let (is_faulty, said) = dry(rbldnsd(folder), &words);
    assert!(is_faulty && said.contains("cannot open absent") && said.contains(", 4 errors, "), "{said}");
}

/// It is run beside the server that it is to take the place of.
#[test]
fn a_port_in_use_and_a_process_id_that_is_there_are_no_faults() {
    let folder = folder();
    let other = UdpSocket::bind(free_address()).expect("a socket");
    let address = other.local_addr().expect("an address");
    let bind = format!("-b{}/{}", address.ip(), address.port());
    fs::write(folder.path().join("pid"), "1\n").expect("written");
    let (is_faulty, said) = dry(rbldnsd(folder.path()), &[&bind, "-ppid", "bl.example:ip4set:hosts"]);
    assert!(!is_faulty && said.contains("1 zone, 0 errors, "), "{said}");
    assert_eq!(fs::read_to_string(folder.path().join("pid")).ok().as_deref(), Some("1\n"));
}

/// Files are read by the user who would read them.
#[test]
fn what_the_user_cannot_read_is_a_fault() {
    let folder = folder();
    let hosts = folder.path().join("hosts");
    fs::set_permissions(&hosts, fs::Permissions::from_mode(0o600)).expect("permitted");
    if nix::unistd::geteuid().is_root() {
        assert_fault(folder.path(), &["bl.example:ip4set:hosts"], "cannot open hosts: Permission denied");
    }
    fs::set_permissions(&hosts, fs::Permissions::from_mode(0o644)).expect("permitted");
    let (is_faulty, said) = dry(rbldnsd(folder.path()), &["bl.example:ip4set:hosts"]);
    assert!(!is_faulty, "{said}");
}
