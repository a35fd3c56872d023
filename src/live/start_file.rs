//! The configuration file as it was when the server started, and the files of keys and tokens that it names. They are read then and
//! never again, so whoever changes one and asks for a reload is told that this does nothing.

use std::{
    fs::{self, Metadata},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// The configuration file, and the files of secrets that it names.
#[derive(Clone, Debug)]
pub struct StartFile {
    configuration: ReadFile,
    secrets: Vec<ReadFile>,
}

/// A file that was read at the start, and what tells another version of it from that one.
#[derive(Clone, Debug)]
pub struct ReadFile {
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
    Version { modified: (i64, i64), len: u64 },
    Unknown {
        why: String,
        /// The server's user may not look there.
        is_barred: bool,
    },
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        Self::Version { modified: (metadata.mtime(), metadata.mtime_nsec()), len: metadata.len() }
    }
}

impl StartFile {
    /// The file that was just read, and those that it names; nothing if it cannot be looked at again, as a pipe.
    pub fn new(path: &Path, text: &str, secrets: Vec<ReadFile>) -> Option<Self> {
        Some(Self { configuration: ReadFile::new(path, text)?, secrets })
    }

    /// What to tell whoever asks for a reload, once for each change: a file is another one than at the start.
    pub fn news(&mut self) -> Option<String> {
        let mut news: Vec<String> = self.secrets.iter_mut().filter_map(ReadFile::news_of_secret).collect();
        news.splice(..0, self.configuration.news_of_configuration());
        (!news.is_empty()).then(|| news.join("; "))
    }
}

impl ReadFile {
    /// A file that was just read; nothing if it cannot be looked at again.
    pub fn new(path: &Path, text: &str) -> Option<Self> {
        let metadata = fs::metadata(path).ok().filter(Metadata::is_file)?;
        let path = std::path::absolute(path).ok()?;
        Some(Self { path, version: State::of(&metadata), contents: hash(text.as_bytes()), last: State::Same })
    }

    fn news_of_configuration(&mut self) -> Option<String> {
        if !self.has_changed() {
            return None;
        }
        let path = self.path.display();
        match &self.last {
            State::Same => None,
            State::Version { .. } => Some(format!(
                "{path} was changed since the start, and no reload reads it: `dnsbld check --config {path}` says whether it is \
                 good, and a restart of the server takes it"
            )),
            State::Unknown { why, .. } => Some(format!(
                "{path} cannot be looked at: {why}; whether it was changed is not known, no reload reads it, and the next start \
                 needs it: `dnsbld check --config {path}` says whether it is good"
            )),
        }
    }

    /// Whoever takes a secret away means to shut its door. That it lies where the server's user may not look is as it should be.
    fn news_of_secret(&mut self) -> Option<String> {
        if !self.has_changed() {
            return None;
        }
        let path = self.path.display();
        let goes_on =
            "the key or token that was in it at the start goes on to open its door, until a restart of the server";
        match &self.last {
            State::Same | State::Unknown { is_barred: true, .. } => None,
            State::Version { .. } => {
                Some(format!("{path} was changed since the start, and no reload reads it: {goes_on} takes the new one"))
            }
            State::Unknown { why, .. } => {
                Some(format!("{path} cannot be looked at: {why}; no reload reads it: {goes_on}, which needs the file"))
            }
        }
    }

    /// Whether what is found is another state than the last time.
    fn has_changed(&mut self) -> bool {
        let now = self.look();
        let has_changed = now != self.last;
        self.last = now;
        has_changed
    }

    fn look(&self) -> State {
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return State::Unknown { why: "it is no file".to_owned(), is_barred: false },
            Err(error) => {
                let is_barred = error.kind() == ErrorKind::PermissionDenied;
                return State::Unknown { why: error.to_string(), is_barred };
            }
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
        let mut file = StartFile::new(&path, "minimal = true\n", Vec::new()).expect("a file");
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
        assert!(ReadFile::new(&path, "").is_none() && ReadFile::new(Path::new("/dev/null"), "").is_none());
    }

    #[test]
    fn secrets_are_told_beside() {
        let folder = tempfile::tempdir().expect("a folder");
        let [path, token, key] = ["dnsbld.toml", "token", "key"].map(|name| folder.path().join(name));
        let write = |path: &Path, text: &str| fs::write(path, text).expect("written");
        for path in [&path, &token, &key] {
            write(path, "as it was");
        }
        let secrets = [&token, &key].map(|path| ReadFile::new(path, "as it was").expect("a file")).to_vec();
        let mut file = StartFile::new(&path, "as it was", secrets).expect("a file");
        assert_eq!(file.news(), None);
        write(&path, "another");
        write(&token, "another");
        fs::remove_file(&key).expect("removed");
        let news = file.news().expect("news");
        let told: Vec<&str> = news.split("; ").collect();
        assert!(told[0].contains("dnsbld.toml was changed") && told[1].contains("token was changed"), "{news}");
        assert!(news.contains("key cannot be looked at: No such file") && news.contains("goes on to open"), "{news}");
        assert_eq!(file.news(), None, "once");
        write(&token, "as it was");
        write(&key, "as it was");
        assert_eq!(file.news(), None, "all is as it was");
    }
}
