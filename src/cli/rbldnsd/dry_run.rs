//! A look before a start (`-D`): what would stop it, and who would read the files. Nothing is changed, and a server that runs with
//! the same options is no fault.

use std::{io, path::Path};

use anyhow::Context as _;
use nix::unistd::{AccessFlags, access, geteuid};

use crate::{
    config::{Config, Process, find_user},
    net,
    server::confine,
};

/// What of its user, process id and addresses would stop a start. To be asked before the process is confined, as a start does it.
pub(super) fn faults_of_start(config: &Config) -> Vec<anyhow::Error> {
    let process = &config.process;
    let user = process.user.as_deref().and_then(|user| find_user(user).err());
    let pidfile = process
        .pidfile
        .as_deref()
        .and_then(|path| may_write(path).with_context(|| format!("unable to write pidfile {}", path.display())).err());
    let addresses = net::unbindable(&config.listen).map(anyhow::Error::from);
    user.into_iter().chain(pidfile).chain(addresses).collect()
}

/// Whether a file could be written, without doing so.
fn may_write(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if path.exists() {
        return Ok(access(path, AccessFlags::W_OK)?);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(access(folder, AccessFlags::W_OK | AccessFlags::X_OK)?)
}

/// Goes to the folder where the files are read, and becomes the user who reads them. Who is not root reads them as he is.
///
/// # Errors
/// Names the folder.
pub(super) fn go_where_files_are_read(config: &Config) -> anyhow::Result<()> {
    let is_known = |user: &String| geteuid().is_root() && find_user(user).is_ok();
    let user = config.process.user.clone().filter(is_known);
    confine(&Process { user, pidfile: None, ..config.process.clone() })
}
