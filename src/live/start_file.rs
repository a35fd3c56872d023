//! The configuration file as it was when the server started. It is read then and never again, so whoever changes it and asks for a
//! reload is told that this does nothing.

use std::{
    fs::{self, Metadata},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// A file, and what tells another version of it from that of the start.
#[derive(Clone, Debug)]
pub struct StartFile {
    path: PathBuf,
    version: State,
    contents: u64,
    /// What was found when it was last looked at.
    last: State,
}

/// A version of a file, or why it is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// That of the start, or what has the same contents.
    Same,
    /// Of this time and size.
    Version {
        modified: (i64, i64),
        len: u64,
    },
    Unknown(String),
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        Self::Version { modified: (metadata.mtime(), metadata.mtime_nsec()), len: metadata.len() }
    }
}

impl StartFile {
    /// The file that was just read; nothing if it cannot be looked at again, as a pipe.
    pub fn new(path: &Path, text: &str) -> Option<Self> {
        let metadata = fs::metadata(path).ok().filter(Metadata::is_file)?;
        let path = std::path::absolute(path).ok()?;
        Some(Self { path, version: State::of(&metadata), contents: hash(text.as_bytes()), last: State::Same })
    }

    /// What to tell whoever asks for a reload, once for each change: the file is another one than at the start.
    pub fn news(&mut self) -> Option<String> {
        let now = self.look();
        if now == self.last {
            return None;
        }
        self.last = now;
        let path = self.path.display();
        match &self.last {
            State::Same => None,
            State::Version { .. } => Some(format!(
                "{path} was changed since the start, and no reload reads it: `dnsbld check --config {path}` says whether it is \
                 good, and a restart of the server takes it"
            )),
            State::Unknown(why) => Some(format!(
                "{path} cannot be looked at: {why}; whether it was changed is not known, no reload reads it, and the next start \
                 needs it: `dnsbld check --config {path}` says whether it is good"
            )),
        }
    }

    fn look(&self) -> State {
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return State::Unknown("it is no file".to_owned()),
            Err(error) => return State::Unknown(error.to_string()),
        };
        let found = State::of(&metadata);
        // With secrets in it, it may not be the server's user's to read.
        let is_same = || fs::read(&self.path).is_ok_and(|octets| hash(&octets) == self.contents);
        if found == self.version || is_same() { State::Same } else { found }
    }
}

fn hash(octets: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    octets.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_told_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("dnsbld.toml");
        let write = |text: &str| fs::write(&path, text).expect("written");
        write("minimal = true\n");
        let mut file = StartFile::new(&path, "minimal = true\n").expect("a file");
        let mut told = |words: Option<&str>| {
            let news = file.news();
            assert_eq!(news.is_some(), words.is_some(), "{news:?}");
            assert!(news.iter().all(|news| news.contains(words.unwrap_or_default())), "{news:?}");
            assert_eq!(file.news(), None, "once");
        };
        told(None);
        write("minimal = false\n");
        told(Some("was changed since the start"));
        write("minimal = 1\n");
        told(Some("dnsbld.toml` says whether it is good"));
        // As by a tool that writes what is there already.
        write("minimal = true\n");
        told(None);
        fs::remove_file(&path).expect("removed");
        told(Some("cannot be looked at: No such file"));
        fs::create_dir(&path).expect("made");
        told(Some("it is no file"));
        assert!(StartFile::new(&path, "").is_none() && StartFile::new(Path::new("/dev/null"), "").is_none());
    }
}
