//! The Debian package, by installing it: into a folder of its own, over an older one, and away again.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Runs a command, which must succeed, and returns what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].map(|octets| String::from_utf8_lossy(&octets).into_owned()).concat();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

fn make(version: &str, folder: &Path) -> PathBuf {
    let maker = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/debian/make");
    run(Command::new(maker).env("DNSBLD_DEB_VERSION", version).arg(env!("CARGO_BIN_EXE_dnsbld")).arg(folder));
    let architecture = run(Command::new("dpkg").arg("--print-architecture"));
    folder.join(format!("dnsbld_{version}_{}.deb", architecture.trim()))
}

/// A folder that dpkg takes for the root of a machine on which nothing is installed.
struct Root(tempfile::TempDir);

impl Root {
    fn new() -> Self {
        let root = Self(tempfile::tempdir().expect("a folder"));
        for folder in ["info", "updates", "triggers"] {
            fs::create_dir_all(root.at("var/lib/dpkg").join(folder)).expect("a folder");
        }
        fs::write(root.at("var/lib/dpkg/status"), "").expect("written");
        root
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    fn dpkg(&self, words: &[&str]) -> String {
        let path = format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default());
        let mut dpkg = Command::new("dpkg");
        dpkg.env("PATH", path).arg(format!("--root={}", self.0.path().display())).arg("--log=/dev/null");
        run(dpkg.args(["--force-not-root", "--force-script-chrootless", "--force-depends"]).args(words))
    }

    /// What the installed program says.
    fn dnsbld(&self, words: &[&str]) -> String {
        run(Command::new(self.at("usr/bin/dnsbld")).args(words))
    }
}

/// The files that pages below a folder lead to, but for those elsewhere.
fn links(folder: &Path) -> Vec<PathBuf> {
    let mut links = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.is_dir() {
            links.extend(self::links(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let text = fs::read_to_string(&path).expect("a page");
            let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
            let inside = targets.filter(|target| !target.is_empty() && !target.contains("://"));
            links.extend(inside.map(|target| folder.join(target)));
        }
    }
    links
}

#[test]
fn it_is_installed_upgraded_removed_and_purged() {
    let (packages, root) = (tempfile::tempdir().expect("a folder"), Root::new());
    let [old, new] = ["0.0.1", "0.0.2"].map(|version| make(version, packages.path()).display().to_string());
    let said = root.dpkg(&["--install", &old]);
    assert!(said.contains("put files ZONE.TYPE into /var/lib/dnsbld/zones"), "{said}");
    assert_eq!(root.dpkg(&["--verify", "dnsbld"]), "", "all is as it was packed");
    assert!(root.dnsbld(&["--version"]).starts_with("dnsbld "));

    // What the unit starts is there, and the configuration serves the folder.
    let unit = fs::read_to_string(root.at("usr/lib/systemd/system/dnsbld.service")).expect("a unit");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("what it starts");
    let paths: Vec<&str> = start.split(' ').filter(|word| word.starts_with('/')).collect();
    assert_eq!(paths, ["/usr/bin/dnsbld", "/etc/dnsbld/dnsbld.toml"]);
    let config = root.at(paths[1]);
    let text = fs::read_to_string(&config).expect("a configuration");
    let zones = root.at("var/lib/dnsbld/zones");
    assert!(text.contains("\nfolder = \"/var/lib/dnsbld/zones\"\n"), "{text}");
    for zone in fs::read_dir(root.at("usr/share/doc/dnsbld/zones")).expect("sample zones") {
        let zone = zone.expect("a file");
        fs::copy(zone.path(), zones.join(zone.file_name())).expect("copied");
    }
    let here = text.replace("\"/var/lib/dnsbld/zones\"", &format!("{:?}", zones.display().to_string()));
    fs::write(root.at("here.toml"), here).expect("written");
    let checked = root.dnsbld(&["check", "--config", &root.at("here.toml").display().to_string()]);
    assert!(checked.contains("3 zones, 0 errors"), "{checked}");
    for page in ["usr/share/man/man1/dnsbld-list.1.gz", "usr/share/bash-completion/completions/dnsbld"] {
        assert!(fs::metadata(root.at(page)).is_ok_and(|metadata| metadata.len() > 500), "{page}");
    }

    let dead: Vec<_> = links(&root.at("usr/share/doc/dnsbld")).into_iter().filter(|link| !link.exists()).collect();
    assert!(dead.is_empty(), "{dead:?}");

    // An upgrade keeps what the operator has; so does a removal; with all its settings goes what is the package's own.
    fs::write(&config, format!("{text}\nworkers = 1\n")).expect("written");
    let said = root.dpkg(&["--install", &new]);
    assert!(!said.contains("put files"), "{said}");
    let is_there = |path: &str| root.at(path).exists();
    assert!(fs::read_to_string(&config).is_ok_and(|text| text.ends_with("workers = 1\n")));
    root.dpkg(&["--remove", "dnsbld"]);
    assert!(!is_there("usr/bin/dnsbld") && !is_there("usr/lib/systemd") && is_there("etc/dnsbld/dnsbld.toml"));
    root.dpkg(&["--purge", "dnsbld"]);
    assert!(!is_there("etc/dnsbld") && is_there("var/lib/dnsbld/zones/virbl.tee.gr.ip4set"));
}
