//! The state folder of a running server, which somebody may remove.

use std::{fs::DirBuilder, io, os::unix::fs::DirBuilderExt as _, path::Path};

use nix::unistd::geteuid;

/// Readable to its owner and group only: who may enter may command.
pub const FOLDER_MODE: u32 = 0o750;

/// Makes a state folder that is gone. Those above it are not made with it: one that is just being moved or mounted must find its
/// place free.
///
/// # Errors
/// When it cannot be made.
pub fn make_again(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Whether there is nothing at a path, and with that name nothing can be.
pub fn is_nothing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::ENAMETOOLONG))
}

/// What to do where something in a state folder cannot be made or written.
pub fn remedy(folder: &Path, kind: io::ErrorKind) -> String {
    match kind {
        io::ErrorKind::PermissionDenied => format!(
            "make {} and what is in it writable for the user that the server runs as (uid {})",
            folder.display(),
            geteuid()
        ),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => format!("make room in {}", folder.display()),
        _ => "name another folder (`state` or --state)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lacks_what_is_named() {
        let folder = Path::new("/var/lib/dnsbld");
        let said = remedy(folder, io::ErrorKind::PermissionDenied);
        assert!(said.starts_with("make /var/lib/dnsbld and what is in it writable for the user"), "{said}");
        assert!(said.ends_with(&format!(" (uid {})", geteuid())), "{said}");
        assert_eq!(remedy(folder, io::ErrorKind::StorageFull), "make room in /var/lib/dnsbld");
    }
}
