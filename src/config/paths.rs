//! Paths at which a server makes something when it starts, looked at before.

use std::{fs, io, path::Path};

use super::{Config, DatagramSocket, Odd};
use crate::control::claim::other_than_socket;

/// Where folders are made for a unit when it starts (`RuntimeDirectory=`), and taken away when it ends.
const MADE_AT_START: [&str; 2] = ["/run", "/var/run"];

/// What keeps a server from making it, and what may do so, with the keys that name the paths.
pub(super) fn obstacles(config: &Config) -> (Odd, Odd) {
    let mut obstacles = (Odd::new(), Odd::new());
    let mut look = |keys: &[&str], path: &Path, what: &str, other: Option<String>| {
        let keys = keys.iter().copied().map(str::to_owned).collect();
        match (missing_folder(path), other) {
            (Some(folder), _) if MADE_AT_START.iter().any(|made| folder.starts_with(made)) => {
                let shown = folder.display();
                let why = format!(
                    "there is no folder {shown}; without it the server does not start, unless systemd makes it"
                );
                obstacles.1.push((keys, format!("{what}: {why} (RuntimeDirectory=)")));
            }
            (Some(folder), _) => obstacles.0.push((keys, format!("{what}: there is no folder {}", folder.display()))),
            (None, Some(other)) => obstacles.0.push((keys, format!("{what}: {other}"))),
            (None, None) => {}
        }
    };
    if let Some(path) = &config.process.pidfile {
        let other = path.is_dir().then(|| "it is a folder".to_owned());
        look(&["pidfile"], path, &format!("unable to write pidfile {}", path.display()), other);
    }
    if let Some(socket @ DatagramSocket::Unix { path, .. }) = config.doors.datagrams.as_ref().map(|door| &door.socket) {
        look(&["datagrams", "listen"], path, &format!("cannot take datagrams at {socket}"), other_than_socket(path));
    }
    obstacles
}

/// The folder of a path if there is none. One that may not be looked at may be there.
fn missing_folder(path: &Path) -> Option<&Path> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    let is_missing = match fs::metadata(folder) {
        Ok(found) => !found.is_dir(),
        Err(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
    };
    is_missing.then_some(folder)
}
