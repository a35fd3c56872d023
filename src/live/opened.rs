//! A file while it is read: it stays the one that was opened, whatever takes its place, and tells whether it was changed itself.
//!
//! Nearly all files are whole when they are opened, and stay as they are. Some are written to at every moment: whoever waited
//! until such a file is quiet would never load it. If it only becomes longer, what it had when it was opened is whole up
//! to the end of a line, and that is read.

use std::{
    fs::{File, Metadata},
    io::{self, Read, Seek as _},
    os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::{clock, held::QUIET, loading::Progress, zones::no_file};
use crate::load::{self, LINE_MAX, LoadError, Options, Part, Source};

/// What tells one version of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    modified_ns: i128,
    size: u64,
    inode: u64,
    device: u64,
}

impl Stamp {
    pub(super) fn read(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self::of(&metadata))
    }

    fn of(metadata: &Metadata) -> Self {
        let modified_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Self {
            // A pipe changes whenever it is written to, and is the same.
            modified_ns: if metadata.file_type().is_fifo() { 0 } else { modified_ns },
            size: metadata.size(),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }

    /// Octets of the file.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether the file may be a copy that kept its time: another version may have the same time and size.
    pub(super) fn may_be_copy_of(&self, other: &Self) -> bool {
        (self.modified_ns, self.size) == (other.modified_ns, other.size)
    }

    /// Whether it is the same file, and has not become shorter since.
    pub(super) fn is_grown_from(&self, before: &Self) -> bool {
        (self.inode, self.device) == (before.inode, before.device) && self.size >= before.size
    }
}

/// What tells the contents of a file from all that were or will be in a file on the same disk, as whoever sets times cannot set this
/// one. It also changes where the contents do not, as by a new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    inode: u64,
    /// Seconds and nanoseconds.
    changed: (i64, i64),
}

/// The files of a dataset, in the order of its own, that are open; `None` is one that it does without.
pub(super) type OpenFiles = Vec<Option<Arc<Opened>>>;

/// What may happen to the files of a dataset while they are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Leeway {
    /// Nothing may happen to them. One that is alone may be replaced, for it is read to its end.
    #[default]
    Nothing,
    /// They have not been quiet for long. Each may be replaced if it was quiet itself, and become longer if it has grown out of the
    /// one of these that was loaded before.
    Restless(Vec<Option<Stamp>>),
    /// There is nothing better to serve: they may become longer.
    Longer,
}

impl Leeway {
    /// Whether they have not been quiet for long.
    pub(super) fn is_restless(&self) -> bool {
        matches!(self, Self::Restless(_))
    }

    fn may_grow(&self, stamp: &Stamp) -> bool {
        match self {
            Self::Nothing => false,
            Self::Restless(before) => before.iter().flatten().any(|before| stamp.is_grown_from(before)),
            Self::Longer => true,
        }
    }
}

/// What became of a file while it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is as it was.
    Same,
    /// It became longer, as it may.
    Longer,
    /// What was read may be anything.
    Changed,
}

/// A file that is open.
#[derive(Debug)]
pub(super) struct Opened {
    path: PathBuf,
    file: File,
    /// As it was when it was opened.
    pub(super) stamp: Stamp,
    modified: SystemTime,
    /// So far it is read, if it has an end.
    end: Option<u64>,
    may_grow: bool,
}

impl Opened {
    /// Opens a file, without waiting for anybody, unless pipes are asked for.
    ///
    /// # Errors
    /// When it cannot be opened, or is no file.
    pub(super) fn open(path: &Path, options: &Options, leeway: &Leeway) -> Result<Self, LoadError> {
        let open = || {
            let file = if options.pipes { File::open(path)? } else { open_file(path)? };
            let metadata = file.metadata()?;
            let (stamp, modified) = (Stamp::of(&metadata), metadata.modified()?);
            let end = metadata.is_file().then_some(stamp.size);
            let may_grow = end.is_some_and(|len| len > 0) && leeway.may_grow(&stamp);
            let mut opened = Self { path: path.to_owned(), file, stamp, modified, end, may_grow };
            if may_grow {
                opened.end_with_a_line()?;
            }
            Ok(opened)
        };
        open().map_err(|error| LoadError::Open { file: path.display().to_string(), error })
    }

    /// Leaves out the start of a line that is still being written.
    fn end_with_a_line(&mut self) -> io::Result<()> {
        /// Who wrote to it longer ago has left its last line as it is.
        const LATELY: Duration = Duration::from_secs(10);
        if self.modified.elapsed().is_ok_and(|ago| ago >= LATELY) {
            return Ok(());
        }
        let len = self.stamp.size;
        let last_len = len.min(LINE_MAX as u64);
        let mut last = vec![0; last_len as usize];
        self.file.read_exact_at(&mut last, len - last_len)?;
        let begun = last.iter().rev().take_while(|octet| **octet != b'\n').count();
        if begun == 0 || begun == last.len() {
            return Ok(());
        }
        thread::sleep(QUIET);
        if Stamp::of(&self.file.metadata()?) != self.stamp {
            self.end = Some(len - begun as u64);
        }
        Ok(())
    }

    /// What became of it since it was opened.
    pub(super) fn fate(&self) -> Fate {
        match self.file.metadata().map(|metadata| Stamp::of(&metadata)) {
            Ok(now) if now == self.stamp => Fate::Same,
            Ok(now) if self.may_grow && now.is_grown_from(&self.stamp) => Fate::Longer,
            _ => Fate::Changed,
        }
    }

    /// What tells its contents from others.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub(super) fn origin(&self) -> io::Result<Origin> {
        let metadata = self.file.metadata()?;
        Ok(Origin { inode: metadata.ino(), changed: (metadata.ctime(), metadata.ctime_nsec()) })
    }

    /// Copies all of it, with its time, which is the time of its entries. Nobody else may be reading it.
    ///
    /// # Errors
    /// When it cannot be read, or the copy not be written.
    pub(super) fn copy_to(&self, mut copy: &File) -> io::Result<()> {
        let mut file = &self.file;
        file.rewind()?;
        io::copy(&mut file, &mut copy)?;
        copy.set_modified(self.modified)
    }

    /// Whether a copy, made when it was of that origin, has what is in it. Nobody else may be reading it.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(super) fn is_copied_in(&self, copy: &Path, origin: Option<Origin>) -> io::Result<bool> {
        let copy = open_file(copy)?;
        if !Stamp::of(&copy.metadata()?).may_be_copy_of(&self.stamp) {
            return Ok(false);
        }
        if origin.is_some_and(|origin| self.origin().is_ok_and(|own| own == origin)) {
            return Ok(true);
        }
        (&self.file).rewind()?;
        Ok(have_same_contents(&self.file, &copy)? && self.fate() == Fate::Same)
    }

    /// When it was last written to, in seconds since the epoch.
    pub(super) fn modified_s(&self) -> u64 {
        clock::seconds(self.modified)
    }

    /// Where it may be parted into up to so many parts; nothing if it has no end that is known, or nobody knows where in it a line
    /// begins.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn parts(&self, options: &Options, count: usize) -> Result<Vec<Part>, LoadError> {
        let unreadable = |error| LoadError::Read { file: self.path.display().to_string(), error };
        let Some(len) = self.end else { return Ok(Vec::new()) };
        let whole = || Section { file: &self.file, at: Some(0), left: len, progress: None };
        if options.decompress && load::is_packed(&mut whole()).map_err(unreadable)? {
            return Ok(Vec::new());
        }
        load::parts(whole(), len, count).map_err(unreadable)
    }

    /// All of it or a part of it, to be read.
    pub(super) fn source(&self, part: Option<Part>, progress: &Arc<Progress>) -> Source<'_> {
        let end = self.end.filter(|_| self.may_grow).unwrap_or(u64::MAX);
        let Part { start, end, .. } = part.unwrap_or(Part { start: 0, end, lines_before: 0 });
        // What has no end that is known cannot be read from any place in it.
        let at = (start > 0).then_some(start);
        let reader =
            Box::new(Section { file: &self.file, at, left: end - start, progress: Some(Arc::clone(progress)) });
        Source { name: self.path.display().to_string(), modified_s: self.modified_s(), reader }
    }
}

/// Opens files again that had these stamps.
///
/// # Errors
/// When one of them cannot be opened, or has changed.
pub(super) fn open_again(files: &[PathBuf], stamps: &[Option<Stamp>], options: &Options) -> io::Result<OpenFiles> {
    let open = |(file, stamp): (&PathBuf, &Option<Stamp>)| {
        let Some(stamp) = stamp else { return Ok(None) };
        let opened = Opened::open(file, options, &Leeway::Nothing).map_err(io::Error::other)?;
        if opened.stamp == *stamp { Ok(Some(Arc::new(opened))) } else { Err(io::Error::other(CHANGED_AGAIN)) }
    };
    files.iter().zip(stamps).map(open).collect()
}

/// Why a version cannot be kept whose files are not there any more.
pub(super) const CHANGED_AGAIN: &str = "they have changed again";

/// Whether two files have the same contents, from where they are read next.
fn have_same_contents(one: &File, other: &File) -> io::Result<bool> {
    const AT_ONCE: u64 = 1 << 16;
    let read = |file: &File, octets: &mut Vec<u8>| {
        octets.clear();
        file.take(AT_ONCE).read_to_end(octets)
    };
    let (mut octets, mut others) = (Vec::new(), Vec::new());
    loop {
        read(one, &mut octets)?;
        read(other, &mut others)?;
        if octets != others {
            return Ok(false);
        }
        if octets.is_empty() {
            return Ok(true);
        }
    }
}

/// Opens a file, without waiting for anybody.
///
/// # Errors
/// When it cannot be opened, or is none.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    let opened = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = match opened {
        // Somebody who holds a lease of this file is told to let go of it: that takes a while, and has an end.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => File::open(path)?,
        opened => opened?,
    };
    no_file(&file.metadata()?).map_or(Ok(file), |reason| Err(io::Error::other(reason)))
}

/// A part of a file, of which others may be read at the same time.
struct Section<'a> {
    file: &'a File,
    /// Where in the file it goes on; if nothing is said, where whoever read last left off.
    at: Option<u64>,
    /// So many octets are left of it.
    left: u64,
    /// Says how far it was read.
    progress: Option<Arc<Progress>>,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..room];
        let count = match &mut self.at {
            None => self.file.read(buffer)?,
            Some(at) => {
                let count = self.file.read_at(buffer, *at)?;
                *at += count as u64;
                count
            }
        };
        self.left -= count as u64;
        if let Some(progress) = &self.progress {
            progress.read_bytes.fetch_add(count as u64, Ordering::Relaxed);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::Write as _,
        sync::atomic::{AtomicBool, Ordering},
    };

    use super::*;

    /// A file with some text.
    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("list");
        fs::write(&path, text).expect("written");
        (folder, path)
    }

    fn open(path: &Path, leeway: &Leeway) -> Opened {
        Opened::open(path, &Options::default(), leeway).expect("it can be opened")
    }

    fn append(path: &Path, text: &str) {
        let mut file = File::options().append(true).open(path).expect("it is there");
        file.write_all(text.as_bytes()).expect("written");
    }

    /// What is left of it.
    fn text(opened: &Opened) -> String {
        let mut text = String::new();
        opened.source(None, &Arc::default()).reader.read_to_string(&mut text).expect("text");
        text
    }

    #[test]
    fn what_takes_its_place_is_not_read() {
        let (folder, path) = file("one\n");
        let opened = open(&path, &Leeway::Nothing);
        fs::write(folder.path().join("other"), "two\n").expect("written");
        fs::rename(folder.path().join("other"), &path).expect("renamed");
        assert_eq!((text(&opened), opened.fate()), ("one\n".to_owned(), Fate::Same));
        assert_ne!(Stamp::read(&path), Some(opened.stamp));
    }

    #[test]
    fn only_what_may_grow_is_read_as_far_as_it_was() {
        let (_folder, path) = file("one\n");
        let before = Stamp::read(&path);
        let [strict, restless, longer, other] =
            [Leeway::Nothing, Leeway::Restless(vec![None, before]), Leeway::Longer, Leeway::Restless(Vec::new())]
                .map(|leeway| open(&path, &leeway));
        append(&path, "two\n");
        for grown in [restless, longer] {
            assert_eq!((text(&grown), grown.fate()), ("one\n".to_owned(), Fate::Longer));
        }
        for changed in [strict, other] {
            assert_eq!((text(&changed), changed.fate()), ("one\ntwo\n".to_owned(), Fate::Changed));
        }
        // What was loaded before was longer than this is now.
        let before = Stamp::read(&path);
        fs::write(&path, "one\n").expect("written");
        let shorter = open(&path, &Leeway::Restless(vec![before]));
        append(&path, "two\n");
        assert_eq!(shorter.fate(), Fate::Changed);
        let longer = open(&path, &Leeway::Longer);
        fs::write(&path, "").expect("written");
        assert_eq!(longer.fate(), Fate::Changed);
    }

    #[test]
    fn a_line_that_is_being_written_is_left_out_and_one_that_stays_is_not() {
        for (is_written_to, expected) in [(true, "one\n"), (false, "one\ntw")] {
            let (_folder, path) = file("one\ntw");
            let is_done = AtomicBool::new(!is_written_to);
            let opened = thread::scope(|scope| {
                scope.spawn(|| {
                    while !is_done.load(Ordering::Relaxed) {
                        append(&path, "o");
                        thread::sleep(Duration::from_millis(5));
                    }
                });
                let opened = open(&path, &Leeway::Longer);
                is_done.store(true, Ordering::Relaxed);
                opened
            });
            assert_eq!(text(&opened), expected);
        }
    }
}
