//! The paths of sockets. A server that was killed leaves its socket behind, and the next one has to remove it before it binds its
//! own; but the path comes from a configuration, where a slip names something else, and whoever removes may be root. So nothing
//! is removed but a socket at which nobody listens.

use std::{io, os::unix::fs::FileTypeExt as _, path::Path};

/// Makes a path free for a socket, where `connected` tells how an attempt to connect to it went.
///
/// # Errors
/// When a server listens there, or it is not known that none does, or something else than a socket lies there; names the path and
/// what to change.
pub(super) fn claim(path: &Path, connected: io::Result<()>) -> io::Result<()> {
    let place = path.display();
    let Err(error) = connected else {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("another server listens at {place}")));
    };
    match std::fs::symlink_metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io::Error::new(error.kind(), format!("{place}: {error}"))),
    }
    let text = if let Some(text) = other_than_socket(path) {
        text
    } else if error.kind() == io::ErrorKind::ConnectionRefused {
        return std::fs::remove_file(path).map_err(|error| io::Error::new(error.kind(), format!("{place}: {error}")));
    } else {
        format!(
            "{place} may be another program's socket, and is left as it is: name another path, or remove it if no program \
             listens there: {error}"
        )
    };
    Err(io::Error::new(io::ErrorKind::AlreadyExists, text))
}

/// What is said of something else than a socket at a path, if there is such a thing.
pub(crate) fn other_than_socket(path: &Path) -> Option<String> {
    let is_other = std::fs::symlink_metadata(path).is_ok_and(|file| !file.file_type().is_socket());
    let text = || format!("{} is no socket, and is left as it is: name another path, or move it away", path.display());
    is_other.then(text)
}

/// Whether nothing is at a path, as where a socket was removed that had been bound.
pub(super) fn is_free(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    use super::*;

    fn claim_for_datagrams(path: &Path) -> Result<(), String> {
        claim(path, UnixDatagram::unbound().and_then(|socket| socket.connect(path))).map_err(|error| error.to_string())
    }

    fn claim_for_streams(path: &Path) -> Result<(), String> {
        claim(path, UnixStream::connect(path).map(drop)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_was_left_behind_is_taken_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        for claim in [claim_for_datagrams, claim_for_streams] {
            assert_eq!(claim(&path), Ok(()), "nothing is there");
            drop(UnixListener::bind(&path).expect("bound"));
            assert!(!is_free(&path));
            assert_eq!((claim(&path), is_free(&path)), (Ok(()), true));
            drop(UnixDatagram::bind(&path).expect("bound"));
            assert_eq!((claim(&path), is_free(&path)), (Ok(()), true));
        }
        assert!(claim_for_streams(&folder.path().join("none/socket")).is_ok(), "to bind says what is wrong");
    }

    #[test]
    fn nothing_else_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("token"), "secret").expect("written");
        std::fs::create_dir(at("folder")).expect("made");
        std::os::unix::fs::symlink(at("token"), at("link")).expect("made");
        std::os::unix::fs::symlink(at("nowhere"), at("dangling")).expect("made");
        for name in ["token", "folder", "link", "dangling"] {
            for claim in [claim_for_datagrams, claim_for_streams] {
                let why = claim(&at(name)).expect_err(name);
                assert!(
                    why.contains(&format!("{name} is no socket, and is left as it is: name another path")),
                    "{why}"
                );
            }
            assert!(!is_free(&at(name)), "{name}");
        }
        let _stream = UnixListener::bind(at("stream")).expect("bound");
        let _datagram = UnixDatagram::bind(at("datagram")).expect("bound");
        for (claim, name, expected) in [
            (claim_for_streams as fn(&Path) -> _, "stream", "another server listens at "),
            (claim_for_datagrams, "datagram", "another server listens at "),
            (claim_for_streams, "datagram", "may be another program's socket"),
            (claim_for_datagrams, "stream", "may be another program's socket"),
        ] {
            let why = claim(&at(name)).expect_err(name);
            assert!(why.contains(expected) && !is_free(&at(name)), "{why}");
        }
    }

    /// Whoever may not connect does not learn whether somebody listens. (As root one always may.)
    #[test]
    fn what_another_user_left_behind_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        drop(UnixListener::bind(&path).expect("bound"));
        let why = claim(&path, Err(io::ErrorKind::PermissionDenied.into())).expect_err("it is left").to_string();
        assert!(why.contains("remove it if no program listens there: permission denied"), "{why}");
        assert!(!is_free(&path));
    }
}
