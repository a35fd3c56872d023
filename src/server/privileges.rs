//! Giving up what is no longer needed: the file system outside one folder, and root.

use std::{env, fs, io, path::Path, process};

use anyhow::Context as _;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{chroot, geteuid, setgid, setgroups, setuid};

use crate::{
    config::{Process, find_user},
    turns,
};

/// Writes the process id file, then confines the process, in rbldnsd's order: folder first, then user.
///
/// # Errors
/// Names the user, group, folder or file.
pub fn confine(wanted: &Process) -> anyhow::Result<()> {
    let identity = wanted.user.as_deref().map(find_user).transpose()?;
    if let Some(path) = &wanted.pidfile {
        fs::write(path, format!("{}\n", process::id()))
            .with_context(|| format!("unable to write pidfile {}", path.display()))?;
    }
    if let Some(root) = &wanted.chroot {
        env::set_current_dir(root).with_context(|| format!("unable to chroot to {}", root.display()))?;
        chroot(Path::new(".")).with_context(|| format!("unable to chroot to {}", root.display()))?;
    }
    if let Some(folder) = &wanted.workdir {
        env::set_current_dir(folder).with_context(|| format!("unable to chdir to {}", folder.display()))?;
    }
    if let Some((user, group)) = identity {
        allow_low_priority();
        setgroups(&[group]).context("unable to set groups")?;
        setgid(group).with_context(|| format!("unable to become group {group}"))?;
        setuid(user).with_context(|| format!("unable to become user {user}"))?;
    }
    give_up_capabilities().context("unable to give up capabilities")
}

/// Has threads be allowed a low priority, which those need that [take none at all](turns::stand_aside) where they get too little. If that
/// fails, none of them goes so far.
fn allow_low_priority() {
    /// 20 less the priority.
    const LOW: u64 = 20 - turns::NICE_IF_STARVED as u64;
    let Ok((permitted, most)) = getrlimit(Resource::RLIMIT_NICE) else { return };
    if let Err(error) = setrlimit(Resource::RLIMIT_NICE, permitted.max(LOW), most.max(LOW)) {
        tracing::debug!(%error, "threads that read lists will not stand aside");
    }
}

/// Gives up what a service manager gave for opening sockets (`AmbientCapabilities=`). It goes for this thread and those that it
/// starts; one that runs already (the log's) has to do so itself. Who is root and was not told whom to become stays root.
///
/// # Errors
/// The system's own.
#[allow(unsafe_code, reason = "no crate of ours wraps the call")]
pub(crate) fn give_up_capabilities() -> io::Result<()> {
    /// `_LINUX_CAPABILITY_VERSION_3`: two words of each set.
    const VERSION: u32 = 0x2008_0522;
    if geteuid().is_root() {
        return Ok(());
    }
    let header = [VERSION, 0];
    let none = [0_u32; 6];
    // SAFETY: the kernel reads a version, a thread (0: this one) and, for that version, six words.
    let outcome = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
