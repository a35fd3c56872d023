//! Giving up what is no longer needed: the file system outside one folder, and root.

use std::{env, path::Path};

use anyhow::Context as _;
use nix::unistd::{chroot, setgid, setgroups, setuid};

use super::write_pidfile;
use crate::config::{Process, find_user};

/// Writes the process id file, then confines the process, in rbldnsd's order: folder first, then user.
pub(super) fn confine(process: &Process) -> anyhow::Result<()> {
    let identity = process.user.as_deref().map(find_user).transpose()?;
    if let Some(path) = &process.pidfile {
        write_pidfile(path)?;
    }
    if let Some(root) = &process.chroot {
        env::set_current_dir(root).with_context(|| format!("unable to chroot to {}", root.display()))?;
        chroot(Path::new(".")).with_context(|| format!("unable to chroot to {}", root.display()))?;
    }
    if let Some(folder) = &process.workdir {
        env::set_current_dir(folder).with_context(|| format!("unable to chdir to {}", folder.display()))?;
    }
    if let Some((user, group)) = identity {
        setgroups(&[group]).context("unable to set groups")?;
        setgid(group).with_context(|| format!("unable to become group {group}"))?;
        setuid(user).with_context(|| format!("unable to become user {user}"))?;
    }
    Ok(())
}
