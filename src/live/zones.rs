//! What is to be served: which files hold which dataset of which zone.
//!
//! Either rbldnsd's words say so, `ZONE:TYPE:FILE,FILE`, or a folder does: each file `ZONE.TYPE[.anything][.gz|.zst]` in it
//! is a dataset of TYPE in ZONE.

use std::{
    collections::HashSet,
    fmt, fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use crate::{
    load::is_near,
    wire::name::{Name, NameError},
    zone::dataset::{Kind, UnknownKind},
};

/// A dataset: its type and the files that hold it. Zones that name the same one share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DatasetSpec {
    /// Its type.
    pub kind: Kind,
    /// Its files, read as one.
    pub files: Vec<PathBuf>,
}

impl fmt::Display for DatasetSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:", self.kind)?;
        for (index, file) in self.files.iter().enumerate() {
            write!(out, "{}{}", if index > 0 { "," } else { "" }, file.display())?;
        }
        Ok(())
    }
}

/// A dataset in its zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneSpec {
    /// The zone; `None` for an access list that holds for all.
    pub zone: Option<Name>,
    /// The dataset.
    pub dataset: DatasetSpec,
}

/// Why a specification cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SpecError(String);

impl SpecError {
    fn of(specification: &dyn fmt::Display, why: &dyn fmt::Display) -> Self {
        Self(format!("zone specification `{specification}`: {why}"))
    }
}

impl ZoneSpec {
    /// Reads `ZONE:TYPE:FILE,FILE`. Files may also be separated by colons, as in rbldnsd.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let wrong = |why: &dyn fmt::Display| SpecError::of(&text, why);
        let form = || wrong(&"expected ZONE:TYPE:FILE,FILE, as in bl.example.org:ip4set:hosts");
        let (zone, rest) = text.split_once(':').ok_or_else(form)?;
        let (kind, files) = rest.split_once(':').ok_or_else(form)?;
        let kind: Kind = kind.parse().map_err(|error: UnknownKind| wrong(&error))?;
        let files: Vec<PathBuf> = files.split([',', ':']).filter(|file| !file.is_empty()).map(PathBuf::from).collect();
        if files.is_empty() {
            return Err(form());
        }
        let zone = if zone.is_empty() || zone == "." {
            if !kind.is_access() {
                return Err(wrong(&"only acl and aclkey may hold for all zones; name a zone before the first colon"));
            }
            None
        } else {
            Some(zone_name(zone).map_err(|error| wrong(&error))?)
        };
        Ok(Self { zone, dataset: DatasetSpec { kind, files } })
    }
}

/// A zone's name as rbldnsd reads it: dots may be doubled.
fn zone_name(text: &str) -> Result<Name, NameError> {
    let labels: Vec<&str> = text.split('.').filter(|label| !label.is_empty()).collect();
    Name::parse(labels.join(".").as_bytes())
}

/// Checks specifications against each other.
///
/// # Errors
/// When an access list has nothing to give access to, or is one of two.
pub fn check(specs: &[ZoneSpec]) -> Result<(), SpecError> {
    let (access, data) = specs.iter().partition::<Vec<_>, _>(|spec| spec.dataset.kind.is_access());
    let with_data: HashSet<&Option<Name>> = data.iter().map(|spec| &spec.zone).collect();
    let mut known = HashSet::new();
    for ZoneSpec { zone, dataset } in access {
        if !known.insert((zone, dataset.kind)) {
            let (typed, whose) = match zone {
                Some(apex) => (format!("{apex}:{dataset}"), format!("zone {apex} has")),
                None => (format!(":{dataset}"), "all zones have".to_owned()),
            };
            let why = format!("{whose} a list of that type already; put both files into one specification");
            return Err(SpecError::of(&typed, &why));
        }
        if let Some(apex) = zone
            && !with_data.contains(zone)
        {
            return Err(SpecError(format!(
                "zone `{apex}` has access lists but no data; give it a dataset, or remove it"
            )));
        }
    }
    Ok(())
}

/// Where specifications come from.
#[derive(Clone, Debug)]
pub enum ZoneSource {
    /// Given once and for all.
    Specs(Vec<ZoneSpec>),
    /// The files of a folder, looked up anew each time.
    Folder(PathBuf),
}

/// A zone that the configuration names without serving it by that: a rule for it, a key to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedZone {
    /// Where: file, line, column, key.
    pub place: String,
    /// Which.
    pub zone: Name,
}

/// What a folder holds.
#[derive(Debug, Default)]
pub struct FolderListing {
    /// Files whose names say what they are, in order of their names.
    pub specs: Vec<ZoneSpec>,
    /// What is passed over although it may have been meant, and why.
    pub ignored: Vec<(PathBuf, String)>,
}

impl ZoneSource {
    /// The specifications as of now.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> io::Result<FolderListing> {
        match self {
            Self::Specs(specs) => Ok(FolderListing { specs: specs.clone(), ignored: Vec::new() }),
            Self::Folder(folder) => list_folder(folder),
        }
    }

    /// The same, with an error that names the folder.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn list_or_say(&self) -> Result<FolderListing, String> {
        let folder = || self.folders().first().map(|folder| folder.display().to_string()).unwrap_or_default();
        self.list().map_err(|error| format!("cannot read the zones folder {}: {error}", folder()))
    }

    /// The folders to be watched.
    pub fn folders(&self) -> Vec<PathBuf> {
        match self {
            Self::Folder(folder) => vec![folder.clone()],
            Self::Specs(specs) => {
                let mut folders: Vec<PathBuf> = specs
                    .iter()
                    .flat_map(|spec| &spec.dataset.files)
                    .map(|file| match file.parent() {
                        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
                        _ => PathBuf::from("."),
                    })
                    .collect();
                folders.sort();
                folders.dedup();
                folders
            }
        }
    }
}

/// A path that says the same in another working folder.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Ends of names that files have before they are complete, or after they were replaced, those of editors, of programs that copy,
/// and of package managers; and of what is made of files to check them by. `deploy/reload.md` lists them.
const UNFINISHED: [&str; 40] = [
    "~",
    ".tmp",
    ".temp",
    ".part",
    ".partial",
    ".filepart",
    ".crdownload",
    ".new",
    ".old",
    ".bak",
    ".orig",
    ".rej",
    ".save",
    ".swp",
    ".swo",
    ".swx",
    ".dpkg-new",
    ".dpkg-old",
    ".dpkg-dist",
    ".dpkg-bak",
    ".dpkg-tmp",
    ".dpkg-divert",
    ".dpkg-remove",
    ".dpkg-backup",
    ".ucf-new",
    ".ucf-old",
    ".ucf-dist",
    ".rpmnew",
    ".rpmsave",
    ".rpmorig",
    ".pacnew",
    ".pacsave",
    ".pacorig",
    ".apk-new",
    ".md5",
    ".sha1",
    ".sha256",
    ".sha512",
    ".asc",
    ".sig",
];

fn list_folder(folder: &Path) -> io::Result<FolderListing> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.sort();
    let mut listing = FolderListing::default();
    for name in names {
        let path = folder.join(&name);
        let is_file = fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()); // followed, so that a link to one is one
        let Some(name) = name.to_str() else {
            listing.ignored.extend(is_file.then(|| (path, "its name is not UTF-8".to_owned())));
            continue;
        };
        if name.contains(char::is_control) {
            let reason = "its name has control characters, which could forge lines of a log: rename it";
            listing.ignored.extend(is_file.then(|| (path, reason.to_owned())));
            continue;
        }
        if name.starts_with(['.', '#']) || UNFINISHED.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        match read_file_name(name) {
            // Without an access list its zone would be open to all: whatever is in its place is one that fails.
            Ok((zone, kind)) if is_file || kind.is_access() && is_anything(&path) => {
                listing.specs.push(ZoneSpec { zone, dataset: DatasetSpec { kind, files: vec![path] } });
            }
            Ok(_) => listing.ignored.extend(not_in_folder(&path).map(|reason| (path, reason))),
            Err(reason) => listing.ignored.extend(is_file.then_some((path, reason))),
        }
    }
    Ok(listing)
}

/// Takes out the access lists of zones that have nothing to give access to, with the words for each file: the name of a zone
/// may be wrong, and the one that was meant would be open to all.
pub fn take_lone_access_lists(specs: &mut Vec<ZoneSpec>) -> Vec<(PathBuf, String)> {
    let with_data: HashSet<Option<Name>> =
        specs.iter().filter(|spec| !spec.dataset.kind.is_access()).map(|spec| spec.zone.clone()).collect();
    let is_lone = |spec: &mut ZoneSpec| spec.zone.is_some() && !with_data.contains(&spec.zone);
    let reason = |zone: &Name| format!("no file here has data for zone {zone}: is that its name?");
    let lone = specs.extract_if(.., is_lone);
    lone.flat_map(|ZoneSpec { zone, dataset }| {
        let reason = zone.as_ref().map_or_else(String::new, reason);
        dataset.files.into_iter().map(move |file| (file, reason.clone()))
    })
    .collect()
}

/// Why what is there is no file; the one device that is read is that which never has anything.
pub(super) fn no_file(metadata: &fs::Metadata) -> Option<&'static str> {
    let is_null = || metadata.file_type().is_char_device() && metadata.rdev() == libc::makedev(1, 3);
    if metadata.is_file() || is_null() {
        None
    } else if metadata.is_dir() {
        Some("it is a folder, and no file")
    } else {
        Some("it is a pipe, a socket or a device, and no file")
    }
}

/// Whether there is something, be it a link to nowhere, or what may not be looked at.
fn is_anything(path: &Path) -> bool {
    !fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Why what is in a folder is no file of it, unless nothing is there any more.
fn not_in_folder(path: &Path) -> Option<String> {
    let error = match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            return Some("it is a folder: the files belong here, not below".to_owned());
        }
        Ok(metadata) => return no_file(&metadata).map(str::to_owned), // one since a moment ago: the next look will see it
        Err(error) => error,
    };
    match fs::read_link(path) {
        Ok(_) if error.raw_os_error() == Some(libc::ELOOP) => {
            Some("it is a symbolic link that leads back to itself".to_owned())
        }
        Ok(target) if error.kind() == io::ErrorKind::NotFound => {
            Some(format!("it is a symbolic link to {}, which does not exist", target.display()))
        }
        Ok(target) => Some(format!("it is a symbolic link to {}: {error}", target.display())),
        Err(_) => (error.kind() != io::ErrorKind::NotFound).then(|| error.to_string()),
    }
}

/// Reads `ZONE.TYPE[.anything]`. The last word that is a type counts, since zones may contain such words too; `@` is the
/// zone of access lists that hold for all.
pub(super) fn read_file_name(name: &str) -> Result<(Option<Name>, Kind), String> {
    let words: Vec<&str> = name.split('.').collect();
    let (place, kind) = words
        .iter()
        .enumerate()
        .skip(1)
        .rev()
        .find_map(|(place, word)| Some((place, word.parse::<Kind>().ok()?)))
        .ok_or_else(|| no_type(&words))?;
    if kind == Kind::Retired && words[place - 1].parse::<Kind>().is_ok() {
        return Err(format!(
            "it has two types, {} and {kind}: a list ends by a file ZONE.{kind}, and one that is set aside is called otherwise, as .old",
            words[place - 1]
        ));
    }
    if words[..place] == ["@"] {
        let for_all = "only acl and aclkey may hold for all zones (@)";
        return if kind.is_access() { Ok((None, kind)) } else { Err(for_all.to_owned()) };
    }
    let zone =
        Name::parse(words[..place].join(".").as_bytes()).map_err(|_| "its name does not begin with a zone's name")?;
    Ok((Some(zone), kind))
}

/// What is wrong with a name in which no word is a type.
fn no_type(words: &[&str]) -> String {
    /// Shorter words may be anything.
    const WORD_MIN_LEN: usize = 4;
    let types = Kind::ALL.map(Kind::word);
    for word in words.iter().skip(1).rev() {
        let small = word.to_ascii_lowercase();
        if types.contains(&&*small) {
            return format!("its type is in capitals, and types are written small: {small}");
        }
        let is_meant = |known: &&&str| word.len() >= WORD_MIN_LEN && is_near(small.as_bytes(), known.as_bytes());
        if let Some(near) = types.iter().find(is_meant) {
            return format!("{word} is no type; is {near} meant? Types are {}", types.join(", "));
        }
    }
    format!("its name is not ZONE.TYPE, as in bl.example.org.ip4set, with one of the types {}", types.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifications() {
        let spec = ZoneSpec::parse("BL.Example.org:ip4set:hosts,more:third").expect("a specification");
        assert_eq!(spec.zone.as_ref().map(Name::to_string).as_deref(), Some("bl.example.org"));
        assert_eq!(spec.dataset.to_string(), "ip4set:hosts,more,third");
        assert!(ZoneSpec::parse(":acl:clients").is_ok_and(|spec| spec.zone.is_none()));
        for wrong in ["bl.example.org", "bl:ip4set", "bl:nosuch:f", ":ip4set:f", "bl:ip4set:", "b\\999:ip4set:f"] {
            assert!(ZoneSpec::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn specifications_that_contradict() {
        let specs = |texts: &[&str]| texts.iter().map(|text| ZoneSpec::parse(text).expect(text)).collect::<Vec<_>>();
        assert!(check(&specs(&["a:ip4set:f", "a:acl:c", ":acl:d"])).is_ok());
        let wrong = |texts: &[&str]| check(&specs(texts)).expect_err("a contradiction").to_string();
        assert!(wrong(&["a:acl:c"]).starts_with("zone `a` has access lists but no data"));
        assert!(
            wrong(&["a:ip4set:f", "a:acl:c", "a:acl:d"])
                .contains("`a:acl:d`: zone a has a list of that type already; put both files into one")
        );
    }

    #[test]
    fn file_names() {
        let read = |name| {
            read_file_name(name)
                .map(|(zone, kind)| format!("{} {kind}", zone.map_or("@".into(), |zone| zone.to_string())))
        };
        assert_eq!(read("virbl.tee.gr.ip4set").as_deref(), Ok("virbl.tee.gr ip4set"));
        assert_eq!(read("virbl.tee.gr.ip4set.spamtrap.gz").as_deref(), Ok("virbl.tee.gr ip4set"));
        assert_eq!(read("my.generic.example.dnset").as_deref(), Ok("my.generic.example dnset"));
        assert_eq!(read("@.acl").as_deref(), Ok("@ acl"));
        assert!(read("@.ip4set").is_err());
        assert!(read("README").is_err());
        assert!(read("ip4set").is_err());
    }

    #[test]
    fn types_that_are_none() {
        let mistake = |name: &str| read_file_name(name).expect_err(name);
        assert_eq!(mistake("b.test.IP4SET.gz"), "its type is in capitals, and types are written small: ip4set");
        for (name, near) in [
            ("b.test.ip4sett", "is ip4set meant?"),
            ("b.test.ip4ste.gz", "is ip4set meant?"),
            ("b.test.dnse", "is dnset meant?"),
            ("b.test.ip7trie", "is ip4trie meant?"),
            ("b.test.AcLs", "is acl meant?"),
            ("notes.txt", "not ZONE.TYPE"),
            ("b.test.ac", "not ZONE.TYPE"),
        ] {
            let mistake = mistake(name);
            assert!(mistake.contains(near) && mistake.contains("ip4tset, ip4trie"), "{name}: {mistake}");
        }
    }

    #[test]
    fn what_stands_beside_a_zone_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let beside = ["", ".md5", ".sha1", ".sha256", ".sha512", ".asc", ".sig"];
        for end in beside {
            fs::write(folder.path().join(format!("a.test.ip4set{end}")), "").expect("written");
        }
        let forged = "b.test.ip4set\nERROR all is lost";
        fs::write(folder.path().join(forged), "").expect("written");
        let listing = list_folder(folder.path()).expect("readable");
        assert_eq!(listing.specs.len(), 1);
        let [(path, reason)] = &listing.ignored[..] else { panic!("{:?}", listing.ignored) };
        assert!(path.ends_with(forged) && reason.starts_with("its name has control characters"), "{reason}");
    }

    /// Nothing that bears the name of a zone's file vanishes without a word, but for what programs leave behind.
    #[test]
    fn what_is_no_file() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        symlink("gone", at("dangling.test.ip4set")).expect("a link");
        symlink("loop.test.ip4set", at("loop.test.ip4set")).expect("a link");
        fs::create_dir(at("folder.test.ip4set")).expect("a folder");
        fs::create_dir(at("archive")).expect("a folder");
        nix::unistd::mkfifo(&at("pipe.test.ip4set"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        for end in UNFINISHED {
            fs::write(at(&format!("a.test.ip4set{end}")), "").expect("a file");
        }
        let listing = ZoneSource::Folder(folder.path().into()).list().expect("readable");
        assert!(listing.specs.is_empty(), "{:?}", listing.specs);
        let ignored: Vec<String> = listing
            .ignored
            .iter()
            .map(|(path, reason)| format!("{} {reason}", path.file_name().unwrap_or_default().display()))
            .collect();
        assert_eq!(
            ignored,
            [
                "dangling.test.ip4set it is a symbolic link to gone, which does not exist",
                "folder.test.ip4set it is a folder: the files belong here, not below",
                "loop.test.ip4set it is a symbolic link that leads back to itself",
                "pipe.test.ip4set it is a pipe, a socket or a device, and no file",
            ]
        );
        let manual = include_str!("../../deploy/reload.md");
        for end in UNFINISHED {
            assert!(manual.contains(&format!("`{end}`")), "deploy/reload.md does not name {end}");
        }
    }

    /// Its zone would be open to all while a disk is not mounted, say.
    #[test]
    fn an_access_list_that_is_no_file_is_one_that_fails() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("gone", at("a.test.acl")).expect("a link");
        fs::create_dir(at("b.test.acl")).expect("a folder");
        nix::unistd::mkfifo(&at("c.test.aclkey"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        std::os::unix::fs::symlink("b.test.acl", at("@.acl")).expect("a link");
        fs::create_dir(at("d.test.acl.old")).expect("a folder");
        let listing = list_folder(folder.path()).expect("readable");
        let specs: Vec<String> = listing.specs.iter().map(|spec| spec.dataset.files[0].display().to_string()).collect();
        let expected =
            ["@.acl", "a.test.acl", "b.test.acl", "c.test.aclkey"].map(|name| at(name).display().to_string());
        assert_eq!(specs, expected);
        assert!(listing.ignored.is_empty(), "{:?}", listing.ignored);
    }

    #[test]
    fn a_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in
            ["b.example.ip4set", "a.example.dnset.zst", ".a.example.dnset.Xy12", "a.example.dnset~", "notes.txt"]
        {
            fs::write(folder.path().join(name), "").expect("a file");
        }
        let listing = ZoneSource::Folder(folder.path().into()).list().expect("readable");
        let zones: Vec<String> =
            listing.specs.iter().filter_map(|spec| spec.zone.as_ref()).map(Name::to_string).collect();
        assert_eq!(zones, ["a.example", "b.example"]);
        assert_eq!(listing.ignored.len(), 1, "a stranger's file is named, an unfinished one is not");
    }
}
