//! Giving up what is no longer needed: the file system outside one folder, and root.

use std::{env, path::Path};

use anyhow::{Context as _, bail};
use nix::unistd::{Gid, Group, Uid, User, chroot, setgid, setgroups, setuid};

use super::write_pidfile;
use crate::config::Process;

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

/// Reads `user[:group]`, names or numbers.
fn find_user(text: &str) -> anyhow::Result<(Uid, Gid)> {
    let (user_text, group_text) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let (user, mut group) = if let Ok(number) = user_text.parse::<u32>() {
        (Uid::from_raw(number), Gid::from_raw(number))
    } else {
        let user = User::from_name(user_text)?.with_context(|| {
            format!("unknown user `{user_text}': create it (adduser --system {user_text}) or name another with -u")
        })?;
        (user.uid, user.gid)
    };
    if let Some(group_text) = group_text.filter(|text| !text.is_empty()) {
        group = if let Ok(number) = group_text.parse::<u32>() {
            Gid::from_raw(number)
        } else {
            Group::from_name(group_text)?.with_context(|| format!("unknown group `{group_text}'"))?.gid
        };
    }
    if user.is_root() {
        bail!("the server should not run as root: name another user with -u");
    }
    Ok((user, group))
}
