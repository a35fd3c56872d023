//! What a look loads, and what it leaves to the next.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use super::*;

/// It is read until something is written.
fn make_pipe(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
}

/// Serves these files of a folder; returns the path of the first.
fn reloader(folder: &tempfile::TempDir, files: &[&str]) -> (Reloader, PathBuf) {
    let paths: Vec<_> = files.iter().map(|file| folder.path().join(file)).collect();
    let spec = |path: &PathBuf| ZoneSpec::parse(&format!("bl.example:ip4set:{}", path.display()));
    let specs = paths.iter().map(|path| spec(path).expect("a specification")).collect();
    let options = Options { pipes: true, ..Options::default() };
    let settings = Settings::new(ZoneSource::Specs(specs), options);
    (Reloader::new(settings, Cell::default()), paths[0].clone())
}

#[test]
fn what_a_panic_broke_off_is_loaded_by_the_next_look() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut reloader, file) = reloader(&folder, &["hosts"]);
    make_pipe(&file);
    let looked = catch_unwind(AssertUnwindSafe(|| {
        reloader.look_at((1, Instant::now()), Occasion::Command(&[]), &mut |_| {
            fs::write(&file, "").expect("somebody reads it");
            panic!("as a bug of ours would");
        })
    }));
    assert!(looked.is_err(), "it panicked");
    fs::remove_file(&file).expect("removed");
    fs::write(&file, "127.0.0.2\n").expect("written");
    reloader.begin_anew();
    assert_eq!(reloader.reload(2).datasets.len(), 1);
}

#[test]
fn while_a_file_is_read_only_small_ones_are_read_beside_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut reloader, file) = reloader(&folder, &["hosts", "large", "small"]);
    let write = |file: &str, lines: usize| {
        fs::write(folder.path().join(file), "127.0.0.2\n".repeat(lines)).expect("written");
    };
    for file in ["hosts", "large", "small"] {
        write(file, 1);
    }
    reloader.reload(1);
    fs::remove_file(&file).expect("removed");
    make_pipe(&file);
    let mut beside = None;
    reloader.look_at((2, Instant::now()), Occasion::Command(&[]), &mut |reloader| {
        if beside.is_none() {
            write("large", 200_000);
            write("small", 2);
            let loaded = reloader.look_beside(2, Occasion::Command(&[])).datasets.len();
            beside = Some((loaded, reloader.has_unquiet()));
            fs::write(&file, "127.0.0.2\n").expect("somebody reads it");
        }
    });
    assert_eq!(beside, Some((1, false)), "the large one waits");
    assert!(reloader.has_unquiet(), "and no longer");
    fs::remove_file(&file).expect("removed");
    assert!(reloader.reload(3).datasets.iter().any(|report| report.dataset.files[0].ends_with("large")));
}

#[test]
fn what_was_judged_by_a_clock_that_was_wrong_only_meanwhile_is_judged_again() {
    const NOW_S: u64 = 1_800_000_000;
    for (meanwhile_s, again) in [(NOW_S, 0), (NOW_S + 86_400, 1)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut reloader, file) = reloader(&folder, &["hosts", "small"]);
        let write = |file: &str, text: &str| fs::write(folder.path().join(file), text).expect("written");
        write("hosts", "127.0.0.2\n");
        write("small", "127.0.0.2\n");
        reloader.reload(NOW_S);
        fs::remove_file(&file).expect("removed");
        make_pipe(&file);
        let mut beside = 0;
        reloader.look_at((NOW_S, Instant::now()), Occasion::Command(&[]), &mut |reloader| {
            if beside == 0 {
                write("small", &format!("127.0.0.2\n192.0.2.1 @ until={}\n", NOW_S + 3_600));
                beside = reloader.look_beside(meanwhile_s, Occasion::Command(&[])).datasets.len();
                fs::write(&file, "127.0.0.2\n").expect("somebody reads it");
            }
        });
        assert_eq!(beside, 1);
        let report = reloader.look_at((NOW_S, Instant::now()), Occasion::Interval, &mut |_| {});
        assert_eq!(report.datasets.len(), again, "at {meanwhile_s}");
    }
}

#[test]
fn a_large_file_that_is_given_its_soa_beside_another_waits_for_that() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut reloader, file) = reloader(&folder, &["hosts", "large", "small"]);
    let write = |file: &str, text: &str| fs::write(folder.path().join(file), text).expect("written");
    let soa = "$SOA 600 ns.example h.example 1 600 300 86400 120\n";
    write("hosts", "127.0.0.2\n");
    write("large", soa);
    write("small", "127.0.0.2\n");
    reloader.reload(1);
    write("large", &"127.0.0.2\n".repeat(200_000));
    assert!(reloader.reload(2).has_failures(), "no other has it");
    fs::remove_file(&file).expect("removed");
    make_pipe(&file);
    let mut beside = None;
    let report = reloader.look_at((3, Instant::now()), Occasion::Command(&[]), &mut |reloader| {
        if beside.is_none() {
            write("small", soa);
            beside = Some(reloader.look_beside(3, Occasion::Command(&[])).datasets.len());
            fs::write(&file, "127.0.0.2\n").expect("somebody reads it");
        }
    });
    let names: Vec<_> = report.datasets.iter().map(|report| report.dataset.files[0].file_name()).collect();
    assert_eq!((beside, names), (Some(1), vec![Some("hosts".as_ref()), Some("large".as_ref())]));
    assert!(!report.has_failures());
}

#[test]
fn what_is_refused_and_then_given_what_it_lacked_is_told_of_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut reloader, _) = reloader(&folder, &["large", "small"]);
    let write = |file: &str, text: &str| fs::write(folder.path().join(file), text).expect("written");
    let soa = "$SOA 600 ns.example h.example 1 600 300 86400 120\n";
    write("large", "127.0.0.2\n");
    write("small", soa);
    reloader.reload(1);
    // The small one is tried first, and lacks the SOA that the large one brings.
    write("large", &(soa.to_owned() + &"127.0.0.2\n".repeat(200_000)));
    write("small", "127.0.0.3\n");
    let report = reloader.reload(2);
    let names: Vec<_> = report.datasets.iter().map(|report| report.dataset.files[0].file_name()).collect();
    assert_eq!(names, [Some("large".as_ref()), Some("small".as_ref())]);
    assert!(!report.has_failures(), "it is served at last");
}

#[test]
fn what_may_be_opened_now_is_loaded_though_nothing_else_has_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("it is ours");
    // Root may open any file, and is somebody else on this thread.
    nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65_534));
    let file = folder.path().join("bl.example.ip4set");
    fs::write(&file, "127.0.0.2\n").expect("written");
    let allow = |mode| fs::set_permissions(&file, Permissions::from_mode(mode)).expect("it is ours");
    let settings = Settings::new(ZoneSource::Folder(folder.path().to_owned()), Options::default());
    let mut reloader = Reloader::new(settings, Cell::default());
    let mut failures = |occasion| {
        let report = reloader.look_at((1, Instant::now()), occasion, &mut |_| {});
        report.datasets.iter().map(|dataset| dataset.failure.is_some()).collect::<Vec<_>>()
    };
    allow(0);
    assert_eq!(failures(Occasion::Command(&[])), [true]);
    assert_eq!(failures(Occasion::Change), [false; 0], "nothing has changed");
    allow(0o444);
    assert_eq!(failures(Occasion::Change), [false]);
}
