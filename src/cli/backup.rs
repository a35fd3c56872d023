//! `dnsbld listings backup`: a copy of the store, which the server writes, and the search for it from here.
//!
//! A server may see other folders than whoever asks it: a unit with `PrivateTmp=yes` has a /tmp of its own, and one with `chroot`
//! takes every path as one inside. A backup that nobody finds is none.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::control::StateArgument;
use crate::control::{
    Answer, Request,
    listings::{ListingsAnswer, ListingsRequest},
};

pub(super) fn backup(file: &Path, state: &StateArgument) -> anyhow::Result<ExitCode> {
    // The server may work elsewhere.
    let path = std::path::absolute(file)?;
    let may_look = path.try_exists().is_ok();
    // A server that sees one of these as the file writes nothing over it.
    let mut places = places(&path, &std::path::absolute(state.folder()?)?);
    places.retain(|place| !exists(place));
    let answer = state.request(&Request::Listings { asked: ListingsRequest::Backup { path: path.clone() } })?;
    let is_written = matches!(answer, Answer::Listings { told: ListingsAnswer::BackedUp { .. } });
    if !is_written || !may_look {
        return state.print(&answer);
    }
    let Some(place) = places.iter().find(|place| exists(place)) else {
        anyhow::bail!(
            "the server says that the copy is written, but {} is not there: the server sees other folders than this command, as \
             a unit with PrivateTmp=yes has a /tmp of its own. Give a path in its state folder, or in another that both see",
            path.display()
        );
    };
    if *place != path && !state.is_json() {
        super::tell_reader(format!("the server has that path inside its chroot: {}\n", place.display()).as_bytes())?;
    }
    state.print(&answer)
}

/// Where a file may be that a server calls so: there, or inside a folder that the server was locked into, which is one above its
/// state.
fn places(path: &Path, state: &Path) -> Vec<PathBuf> {
    let inside = path.strip_prefix("/").unwrap_or(path);
    let locked = state.ancestors().map(|above| above.join(inside)).filter(|place| place != path);
    std::iter::once(path.to_owned()).chain(locked).collect()
}

fn exists(path: &Path) -> bool {
    matches!(path.try_exists(), Ok(true))
}
