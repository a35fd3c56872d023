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

/// What to do where something in a state folder cannot be made, opened or written.
pub fn remedy(folder: &Path, error: &io::Error) -> String {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let folder = folder.display();
    match error.kind() {
        PermissionDenied => {
            format!("make {folder} and what is in it writable for the user that the server runs as (uid {})", geteuid())
        }
        ReadOnlyFilesystem => format!("mount what {folder} is on so that it can be written"),
        StorageFull | QuotaExceeded => format!("make room in {folder}"),
        _ if error.raw_os_error() == Some(libc::EIO) => "see what the system says of that disk".to_owned(),
        _ => "name another folder (`state` or --state)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lacks_what_is_named() {
        let folder = Path::new("/var/lib/dnsbld");
        let said = |number| remedy(folder, &io::Error::from_raw_os_error(number));
        let writable = said(libc::EACCES);
        assert!(writable.starts_with("make /var/lib/dnsbld and what is in it writable for the user"), "{writable}");
        assert!(writable.ends_with(&format!(" (uid {})", geteuid())), "{writable}");
        assert_eq!(said(libc::ENOSPC), "make room in /var/lib/dnsbld");
        assert_eq!(said(libc::EROFS), "mount what /var/lib/dnsbld is on so that it can be written");
        assert_eq!(said(libc::EIO), "see what the system says of that disk");
        assert_eq!(said(libc::ENAMETOOLONG), "name another folder (`state` or --state)");
    }
}
