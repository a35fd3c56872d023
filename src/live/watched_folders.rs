//! Where the kernel is to look for changes: the folders of the files, and every folder on the way to one in which a
//! symbolic link decides where the way leads.
//!
//! `current -> release-42` is switched in the folder of `current`, and nothing at all happens in `release-42`. A folder that
//! is removed and made again is another folder. So the ways are gone anew after each look, and watches follow.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    ffi::OsString,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

/// Links followed on one way; the kernel itself follows 40.
const LINKS_MAX: usize = 40;

/// Folders to be watched, with what tells a folder from one of the same name that comes after it.
pub(super) type WatchedFolders = BTreeMap<PathBuf, (u64, u64)>;

/// All folders in which something may happen that concerns these paths.
pub(super) fn watched_folders<'a>(paths: impl IntoIterator<Item = &'a Path>) -> WatchedFolders {
    let mut folders = WatchedFolders::new();
    let mut known: HashSet<&Path> = HashSet::new();
    for path in paths {
        // A thousand files of one folder are on one way, but for those that are links.
        let is_link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if is_link || parent.is_none_or(|parent| known.insert(parent)) {
            go(path, &mut folders);
        }
    }
    folders
}

/// Goes the way to `path`, link by link, and notes the folders in which it could be laid elsewhere.
fn go(path: &Path, folders: &mut WatchedFolders) {
    let (mut at, mut ahead) = (PathBuf::from("."), VecDeque::new());
    take(path, &mut at, &mut ahead);
    let mut link_count = 0;
    while let Some(word) = ahead.pop_front() {
        if word == ".." {
            at.push("..");
            continue;
        }
        let next = at.join(&word);
        match fs::symlink_metadata(&next) {
            Ok(metadata) if metadata.is_symlink() => {
                note(&at, folders);
                link_count += 1;
                let Ok(target) = fs::read_link(&next) else { return };
                if link_count > LINKS_MAX {
                    return;
                }
                take(&target, &mut at, &mut ahead);
            }
            Ok(metadata) if metadata.is_dir() => at = next,
            // A file, or the place where something is to appear.
            Ok(_) | Err(_) => return note(&at, folders),
        }
    }
    // A folder: it may be replaced, and things may happen in it.
    note(&at, folders);
    if let Some(parent) = at.parent() {
        note(if parent.as_os_str().is_empty() { Path::new(".") } else { parent }, folders);
    }
}

/// Puts the words of a path before those that are still to be gone; an absolute one starts over.
fn take(path: &Path, at: &mut PathBuf, ahead: &mut VecDeque<OsString>) {
    for component in path.components().rev() {
        match component {
            Component::RootDir | Component::Prefix(_) => *at = PathBuf::from("/"),
            Component::CurDir => {}
            Component::ParentDir => ahead.push_front("..".into()),
            Component::Normal(word) => ahead.push_front(word.to_owned()),
        }
    }
}

fn note(folder: &Path, folders: &mut WatchedFolders) {
    if let Ok(metadata) = fs::metadata(folder) {
        folders.insert(folder.to_owned(), (metadata.dev(), metadata.ino()));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_on_the_way_are_watched_where_they_stand() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path().canonicalize().expect("a folder");
        for folder in ["links", "data/release-42", "zones"] {
            fs::create_dir_all(root.join(folder)).expect("a folder");
        }
        fs::write(root.join("data/release-42/hosts"), "").expect("a file");
        symlink("../data/release-42", root.join("links/current")).expect("a link");
        symlink(root.join("links/current/hosts"), root.join("zones/bl.example.ip4set")).expect("a link");
        let found = watched_folders([root.join("zones/bl.example.ip4set").as_path()]);
        let found: Vec<_> = found.keys().filter_map(|path| path.canonicalize().ok()).collect();
        for expected in ["links", "data/release-42", "zones"] {
            assert!(found.contains(&root.join(expected)), "{expected} is not among {found:?}");
        }
    }

    #[test]
    fn what_is_not_there_yet_is_waited_for_where_it_will_appear() {
        let root = tempfile::tempdir().expect("a folder");
        let found = watched_folders([root.path().join("later/zones").as_path()]);
        assert!(found.contains_key(root.path()), "{found:?}");
    }

    #[test]
    fn links_in_circles_end() {
        let root = tempfile::tempdir().expect("a folder");
        symlink("b", root.path().join("a")).expect("a link");
        symlink("a", root.path().join("b")).expect("a link");
        assert!(watched_folders([root.path().join("a/hosts").as_path()]).contains_key(root.path()));
    }
}
