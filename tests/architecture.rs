//! The house keeps its shape: which module may use which, and what the pure ones must not touch.
//!
//! The arrows are those of the tour in `lib.rs`. They point down only, so that whoever reads a module need not know what is
//! built on it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What each module may use of the others.
const ARROWS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("zone", &["wire"]),
    ("answer", &["wire", "zone"]),
    ("load", &["wire", "zone"]),
    ("turns", &[]),
    ("net", &["wire", "answer", "turns"]),
    ("metrics", &["wire", "answer", "net"]),
    ("live", &["wire", "zone", "answer", "load", "net", "metrics", "turns"]),
    ("control", &["wire", "zone", "answer", "load", "net", "live"]),
    ("config", &["wire", "load", "answer", "net", "live", "control"]),
    ("server", &["wire", "zone", "answer", "load", "net", "metrics", "live", "config", "control", "turns"]),
    ("cli", &["wire", "zone", "answer", "load", "net", "metrics", "live", "config", "control", "server"]),
];

/// Modules that open nothing, read no clock, start no thread and have no unsafe code.
const PURE: &[&str] = &["wire", "zone", "answer", "load"];

/// What the pure ones must not name. Addresses are values, and fine; so are readers that are handed over.
const IMPURE: &[&str] = &[
    "unsafe ",
    "unsafe{",
    "std::fs",
    "fs::",
    "File::",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "UnixStream",
    "UnixDatagram",
    "std::os",
    "std::env",
    "std::process",
    "std::thread",
    "thread::",
    "SystemTime",
    "Instant",
    "Mutex",
    "RwLock",
    "Atomic",
    "OnceLock",
    "RefCell",
    "static mut",
    "println!",
    "tokio",
    "tracing",
    "socket2",
    "libc::",
    "nix::",
];

/// The code of a file: without comments, and without its tests, which may do as they like.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// All files below a folder of the sources, with the module that each belongs to.
fn sources() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut files) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the sources") {
            let path = entry.expect("the sources").path();
            let is_test = path.ends_with("tests.rs") || path.ends_with("tests");
            if path.is_dir() && !is_test {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
                let inside = path.strip_prefix(&root).expect("below it");
                let first = inside.iter().next().expect("a name").to_string_lossy();
                files.push((first.trim_end_matches(".rs").to_owned(), path));
            }
        }
    }
    files.sort();
    files
}

/// The modules that code names after `crate::`.
fn used_modules(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (at, found) in code.match_indices("crate::") {
        let rest = &code[at + found.len()..];
        let word = |text: &str| -> String {
            text.trim_start().chars().take_while(|&letter| letter == '_' || letter.is_ascii_alphanumeric()).collect()
        };
        let Some(group) = rest.strip_prefix('{') else {
            used.insert(word(rest));
            continue;
        };
        let (mut depth, mut starts) = (0, vec![0]);
        for (offset, letter) in group.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => starts.push(offset + 1),
                _ => {}
            }
        }
        used.extend(starts.iter().map(|&start| word(&group[start..])).filter(|word| !word.is_empty()));
    }
    used
}

#[test]
fn arrows_point_down_only() {
    let mut wrong = Vec::new();
    for (module, path) in sources() {
        if module == "lib" || module == "main" {
            continue;
        }
        let allowed = ARROWS.iter().find(|(name, _)| *name == module);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{module} is new: give it its arrows here and in lib.rs"));
        for used in used_modules(&code(&path)) {
            if used != module && !allowed.contains(&&*used) {
                wrong.push(format!("{}: {module} must not use {used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_transports_know_one_word_of_the_answers() {
    for (_, path) in sources().into_iter().filter(|(module, _)| module == "net") {
        let code = code(&path);
        for (at, _) in code.match_indices("crate::answer") {
            assert!(code[at..].starts_with("crate::answer::Transport"), "{}", path.display());
        }
    }
}

#[test]
fn the_core_is_pure() {
    let mut wrong = Vec::new();
    for (_, path) in sources().into_iter().filter(|(module, _)| PURE.contains(&&**module)) {
        let code = code(&path);
        for word in IMPURE.iter().filter(|word| code.contains(**word)) {
            wrong.push(format!("{}: {word}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_tour_names_every_module() {
    let tour = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("lib.rs");
    let modules: BTreeSet<String> = sources().into_iter().map(|(module, _)| module).collect();
    for module in modules.iter().filter(|module| *module != "lib" && *module != "main") {
        assert!(tour.contains(&format!("//! | [`{module}`]")), "the tour in lib.rs does not name {module}");
    }
}

/// The lines of a module's head that are rows of a table or of a block, where files are told with what is in them.
fn rows(text: &str) -> String {
    let mut is_block = false;
    let head = text.lines().map_while(|line| line.strip_prefix("//!"));
    let is_row = |line: &&str| {
        is_block ^= line.trim_start().starts_with("```");
        is_block || line.starts_with(" |")
    };
    head.filter(is_row).collect::<Vec<_>>().join("\n")
}

fn is_rust(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "rs")
}

/// Files with the names of Rust's.
fn named_files(rows: &str) -> BTreeSet<&str> {
    let words = rows.split(|letter: char| !"._/".contains(letter) && !letter.is_ascii_alphanumeric());
    words.filter(|word| is_rust(word)).collect()
}

/// A head that tells the files of its folder tells all of them: whoever looks for a thing there looks no further.
#[test]
fn tables_of_files_are_whole() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (_, path) in sources() {
        let is_mod = path.ends_with("mod.rs");
        let folder = if is_mod { path.with_file_name("") } else { path.with_extension("") };
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let text = fs::read_to_string(&path).expect("a source");
        let rows = rows(&text);
        let told = named_files(&rows);
        let names = entries.map(|entry| entry.expect("the sources").file_name().to_string_lossy().into_owned());
        let there: BTreeSet<String> =
            names.filter(|name| is_rust(name) && name != "mod.rs" && name != "tests.rs").collect();
        // Words on an example or on one file are no table of all.
        if told.iter().filter(|name| there.contains(**name)).count() < 2 {
            continue;
        }
        count += 1;
        let missing =
            there.iter().filter(|name| !told.contains(&***name)).map(|name| format!("does not tell of {name}"));
        let gone = told
            .iter()
            .filter(|name| !folder.join(name).exists())
            .map(|name| format!("tells of {name}, which is gone"));
        wrong.extend(missing.chain(gone).map(|what| format!("{}: the head {what}", path.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 5, "{count} tables are found");
}

/// Whoever adds a kind of test says what it proves.
#[test]
fn every_test_has_its_row() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let page = fs::read_to_string(tests.join("README.md")).expect("a page");
    let rows: String = page.lines().filter(|line| line.starts_with('|')).collect();
    for entry in fs::read_dir(&tests).expect("the tests") {
        let path = entry.expect("a test").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        if path.extension().is_some_and(|extension| extension == "rs") {
            assert!(rows.contains(&format!("`{name}`")), "tests/README.md has no row for {name}");
        } else if path.join("main.rs").exists() {
            assert!(rows.contains(&format!("`{name}/`")), "tests/README.md has no row for {name}/");
        }
    }
}

#[test]
fn groups_are_read() {
    let code = "use crate::{a::{b, c}, d, e::f};\nuse crate::g::h; let x = crate::i::j();";
    let used: Vec<String> = used_modules(code).into_iter().collect();
    assert_eq!(used, ["a", "d", "e", "g", "i"]);
}
