//! Reading the files of one dataset, large ones in parts side by side.
//!
//! What stands at the start of a file holds for what follows, so the starts of all files are read one after the other, and what is
//! left of them in any order. A compressed file is read as a whole, since nobody can say where in it a line begins.
//!
//! Only files are read: whoever opened a pipe or a device would wait for as long as somebody else likes, and the reloader with him.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    loading::{Progress, side_by_side},
    opened::{Leeway, Opened},
};
use crate::{
    load::{LoadError, Loaded, Loader, Options, Part, Report},
    zone::dataset::Kind,
};

/// Lines that are read one after the other: starts of files, and perhaps a part of one that is still to be read.
struct Piece<'a> {
    loader: Loader<'a>,
    report: Report,
    rest: Option<(Arc<Opened>, Part)>,
}

/// What holds for all files of a dataset.
#[derive(Clone, Copy)]
pub(super) struct Manner<'a> {
    pub(super) options: &'a Options,
    pub(super) progress: &'a Arc<Progress>,
    /// What may happen to the files.
    pub(super) leeway: &'a Leeway,
    /// With up to so many threads.
    pub(super) threads: usize,
}

/// Reads the files of a dataset, and leaves those that it opened open, in their order.
pub(super) fn read(
    (kind, label): (Kind, &str),
    files: &[PathBuf],
    manner: Manner<'_>,
    report: &mut Report,
    opened: &mut Vec<Arc<Opened>>,
) -> Result<Loaded, LoadError> {
    let Manner { options, .. } = manner;
    let first =
        Piece { loader: Loader::new(kind, label, options), report: Report::keeping(options.told_max), rest: None };
    let mut pieces = vec![first];
    let mut result = Ok(());
    for file in files {
        result = begin(&mut pieces, file, manner, opened);
        if result.is_err() {
            break;
        }
    }
    // What was begun is read even if what follows cannot be, since its faults may say why.
    let mut whole: Option<Loader<'_>> = None;
    for (piece, finished) in finish_all(pieces, manner) {
        report.absorb(piece.report);
        match &mut whole {
            Some(whole) => whole.absorb(piece.loader),
            None => whole = Some(piece.loader),
        }
        finished?;
    }
    result?;
    whole.unwrap_or_else(|| Loader::new(kind, label, options)).build(report)
}

/// Reads the start of a file, and adds pieces for the rest. A small one is its start.
fn begin<'a>(
    pieces: &mut Vec<Piece<'a>>,
    file: &Path,
    manner: Manner<'a>,
    opened: &mut Vec<Arc<Opened>>,
) -> Result<(), LoadError> {
    let Manner { options, progress, leeway, threads } = manner;
    let fork = |pieces: &[Piece<'a>], rest| {
        let loader = pieces.last()?.loader.fork()?;
        Some(Piece { loader, report: Report::keeping(options.told_max), rest })
    };
    // The lines of the piece before come first, so those of this file do not go there.
    if pieces.last().is_some_and(|last| last.rest.is_some()) {
        pieces.extend(fork(pieces, None));
    }
    let file = Arc::new(Opened::open(file, options, leeway)?);
    opened.push(Arc::clone(&file));
    let is_parted = threads > 1 && pieces.last().is_some_and(|last| last.loader.can_be_parted());
    let mut parts = if is_parted { file.parts(options, threads)? } else { Vec::new() }.into_iter();
    let start = parts.next().filter(|_| parts.len() > 0);
    let last = pieces.last_mut().expect("one to begin with");
    last.loader.file(file.source(start, progress), &mut last.report)?;
    if start.is_some() {
        last.rest = parts.next().map(|part| (Arc::clone(&file), part));
        for part in parts {
            pieces.extend(fork(pieces, Some((Arc::clone(&file), part))));
        }
    }
    Ok(())
}

/// Reads what is left of all pieces, and gives them back in order.
fn finish_all<'a>(pieces: Vec<Piece<'a>>, manner: Manner<'_>) -> Vec<(Piece<'a>, Result<(), LoadError>)> {
    let finish = |mut piece: Piece<'a>| {
        let result = piece.finish(manner.progress);
        (piece, result)
    };
    let threads = manner.threads.min(pieces.iter().filter(|piece| piece.rest.is_some()).count());
    // This thread is there already.
    if threads < 2 {
        return pieces.into_iter().map(finish).collect();
    }
    side_by_side(pieces, threads, finish, &mut || {})
}

impl Piece<'_> {
    /// Reads what is still to be read.
    fn finish(&mut self, progress: &Arc<Progress>) -> Result<(), LoadError> {
        let Some((file, part)) = self.rest.take() else { return Ok(()) };
        self.loader.part(file.source(Some(part), progress), part.lines_before, &mut self.report)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fmt::Write as _,
        io::{self, Write as _},
        net::Ipv4Addr,
        os::fd::AsRawFd as _,
        sync::mpsc,
        thread,
        time::Duration,
    };

    use super::*;
    use crate::zone::{
        dataset::{Dataset, Entries},
        ruling::{Context, Finding},
    };

    /// What a dataset says of some keys.
    fn said(dataset: &Dataset) -> Vec<String> {
        let context = Context { now_s: 1_800_000_000, keyed: false };
        let mut said = Vec::new();
        let mut say = |key: String, finding: Finding<'_>| {
            let mut line = format!("{key} {finding:?}");
            finding.for_each_value(&context, |value, _, _| {
                let text = dataset.values.text(value).map(|text| dataset.values.expand(text, b"KEY"));
                write!(line, " {} {text:?}", dataset.values.address(value)).expect("in memory");
            });
            said.push(line);
        };
        match &dataset.entries {
            Entries::Addresses(addresses) => {
                addresses.for_each_v4(|first, last, standings| {
                    say(format!("{first}-{last}"), addresses.decide(standings, &context));
                });
                addresses.for_each_v6(|first, last, standings| {
                    say(format!("{first:x}-{last:x}"), addresses.decide(standings, &context));
                });
            }
            Entries::Names(names) => names.for_each(|name, exact, wildcard| {
                let name = name.to_name();
                say(format!("{name:?}"), names.decide(exact, &context));
                say(format!("*{name:?}"), names.decide(wildcard, &context));
            }),
            Entries::Records(_) => {}
        }
        said
    }

    fn load(kind: Kind, files: &[PathBuf], threads: usize) -> (Vec<String>, Report, usize) {
        let options = Options { now_s: 1_800_000_000, ..Options::default() };
        let (mut report, progress) = (Report::default(), Arc::default());
        let manner = Manner { options: &options, progress: &progress, leeway: &Leeway::Nothing, threads };
        let loaded = read((kind, "test"), files, manner, &mut report, &mut Vec::new());
        let Ok(Loaded::Data(data)) = loaded else { panic!("{loaded:?}") };
        let dataset = &data.sections[0].dataset;
        (said(dataset), report, dataset.len())
    }

    /// Two files: lines in order and not, with values in turn, with faults, with something set in between.
    fn files(folder: &Path, line: impl Fn(u32) -> String) -> Vec<PathBuf> {
        let text = |from: u32, count: u32| (from..from + count).map(|index| line(index) + "\n").collect::<String>();
        let (one, two) = (folder.join("one"), folder.join("two"));
        let head = ":127.0.0.3:by default\n$LIFETIME 0\n$TTL 77\n";
        let first = format!("{head}{}{}", text(0, 180_000), "wrong!line :x\nanother wrong :0\n".repeat(20));
        let second = format!("$1 later\n{}", text(60_000, 180_000));
        std::fs::write(&one, first).expect("a file");
        std::fs::write(&two, second).expect("a file");
        vec![one, two]
    }

    #[test]
    fn nobody_is_waited_for_who_may_never_write() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, pipe) = (folder.path().join("file"), folder.path().join("pipe"));
        std::fs::write(&file, "192.0.2.1\n").expect("a file");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let read_all = |files: Vec<PathBuf>, pipes: bool| {
            let (sender, receiver) = mpsc::channel();
            thread::spawn(move || {
                let options = Options { pipes, ..Options::default() };
                let (mut report, progress) = (Report::default(), Arc::default());
                let manner = Manner { options: &options, progress: &progress, leeway: &Leeway::Nothing, threads: 2 };
                let read = read((Kind::Ip4Set, "test"), &files, manner, &mut report, &mut Vec::new());
                sender.send(read.map(|_| report.lines).map_err(|error| error.to_string())).expect("somebody waits");
            });
            receiver.recv_timeout(Duration::from_secs(20)).expect("it waits for nobody")
        };
        for (other, what) in [(&*pipe, "a pipe"), (Path::new("/dev/zero"), "a device"), (folder.path(), "a folder")] {
            let error = read_all(vec![file.clone(), other.into()], false).expect_err("no file");
            assert!(error.contains(what) && error.contains("and no file"), "{error}");
        }
        assert_eq!(read_all(vec![file.clone(), "/dev/null".into()], false), Ok(1));
        let (reader, mut writer) = io::pipe().expect("a pipe");
        writer.write_all(b"192.0.2.2\n192.0.2.3\n").expect("written");
        drop(writer);
        assert_eq!(read_all(vec![format!("/dev/fd/{}", reader.as_raw_fd()).into()], true), Ok(2));
    }

    #[test]
    fn parts_say_what_the_whole_says() {
        type Line<'a> = &'a dyn Fn(u32) -> String;
        let scattered = |index: u32| Ipv4Addr::from(index.wrapping_mul(2_654_435_761));
        let limits = |index: u32| ["", "@ delay=1h", "@ key=require", "@ ts=1700000000;delay=1h"][index as usize % 4];
        let shapes: [(Kind, Line<'_>); 7] = [
            (Kind::Ip4Set, &|index| Ipv4Addr::from(0x6464_0000 + index * 40).to_string()),
            (Kind::Ip4Set, &|index| format!("{} :{}:$1 {}", scattered(index), 2 + index / 35_000, index / 45_000)),
            (Kind::Ip4TSet, &|index| scattered(index).to_string()),
            (Kind::Ip4TSet, &|index| format!("{} {}", scattered(index), limits(index / 40_000))),
            (Kind::Ip6TSet, &|index| {
                let (mark, end) = if index % 3 == 0 { ("!", "::7") } else { ("", "") };
                format!(
                    "{mark}2001:db8:{:x}:{index:x}{end} {}",
                    index >> 16,
                    limits(index / 40_000),
                    index = index & 0xffff
                )
            }),
            (Kind::Ip4Set, &|index| {
                let value = [":5:x", "", "text", "@ ts=1700000000;delay=1h"][(index / 40_000) as usize % 4];
                format!("{}/{} {value}", Ipv4Addr::from(index * 1_024), 23 + index % 10)
            }),
            (Kind::DnSet, &|index| {
                let value = [":5:x", "", "text", "@ ts=1700000000;delay=1h"][(index / 40_000) as usize % 4];
                format!(
                    "{}n{}.example {value}",
                    [".", "", "*."][index as usize % 3],
                    index.wrapping_mul(77_777) % 100_000
                )
            }),
        ];
        for (kind, line) in shapes {
            let folder = tempfile::tempdir().expect("a folder");
            let files = files(folder.path(), line);
            let (alone, report, len) = load(kind, &files, 1);
            let (together, same, same_len) = load(kind, &files, 2);
            assert!(alone == together, "{kind}: {:?}", alone.iter().zip(&together).find(|(one, two)| one != two));
            assert_eq!(len, same_len);
            assert_eq!((report.lines, report.to_string()), (same.lines, same.to_string()));
            assert_eq!(report.remarks(), same.remarks());
        }
    }

    #[test]
    fn what_a_last_line_without_its_end_sets_holds_for_the_next_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
        let entries: Vec<String> = (0..300_000).map(|index| Ipv4Addr::from(index * 77).to_string()).collect();
        std::fs::write(&one, entries.join("\n") + "\n$LIFETIME 1h").expect("a file");
        std::fs::write(&two, "255.255.255.255 @ ts=1700000000\n").expect("a file");
        let files = [one, two];
        let [alone, together] = [1, 2].map(|threads| load(Kind::Ip4Set, &files, threads).0);
        assert!(alone.last().is_some_and(|last| !last.starts_with(&u32::MAX.to_string())), "it is over");
        assert!(alone == together);
    }
}
