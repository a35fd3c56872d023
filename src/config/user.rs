//! Whom the server becomes: looked up when it is told, so that a name that nobody has is noticed before anything runs.

use anyhow::{Context as _, bail};
use nix::unistd::{Gid, Group, Uid, User};

/// Reads `user[:group]`, names or numbers.
///
/// # Errors
/// When there is no such user or group on this machine, or it is root.
pub fn find_user(text: &str) -> anyhow::Result<(Uid, Gid)> {
    let (user_text, group_text) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let (user, mut group) = if let Ok(number) = user_text.parse::<u32>() {
        (Uid::from_raw(number), Gid::from_raw(number))
    } else {
        let user = User::from_name(user_text)?.with_context(|| {
            format!("unknown user `{user_text}': create it (adduser --system {user_text}) or name another")
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
        bail!("the server should not run as root: name another user");
    }
    Ok((user, group))
}
