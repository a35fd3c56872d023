//! The state folder of a running server, which somebody may remove.

use std::{fs::DirBuilder, io, os::unix::fs::DirBuilderExt as _, path::Path};

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
