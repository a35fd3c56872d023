//! The corpora of the fuzz targets, replayed: what once was found to be difficult stays tried with every `cargo test`.

#[path = "../fuzz/functions.rs"]
mod functions;

use std::{fs, path::Path};

#[test]
fn every_input_of_every_corpus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut count = 0;
    for target in fs::read_dir(&folder).expect("corpora") {
        let target = target.expect("a folder").path();
        let name = target.file_name().expect("a name").to_string_lossy().into_owned();
        for input in fs::read_dir(&target).expect("a corpus") {
            let input = input.expect("an input").path();
            let octets = fs::read(&input).expect("a readable input");
            // Tells which one, if it does not return.
            println!("{}", input.display());
            match &*name {
                "answer" => functions::answer(&octets),
                "update" => functions::update(&octets),
                "datagram" => functions::datagram(&octets),
                "body" => functions::body(&octets),
                load => functions::load(functions::kind_of_target(load), &octets),
            }
            count += 1;
        }
    }
    assert!(count >= 40, "only {count} inputs");
}

/// The sample zones are inputs too, in all their shortenings: a file that is cut off anywhere loads or is refused.
#[test]
fn sample_zones_cut_off_anywhere() {
    for zone in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("zones")).expect("sample zones") {
        let path = zone.expect("a zone").path();
        if path.is_dir() {
            continue;
        }
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        let kind = file.rsplit('.').next().expect("a type").parse().unwrap_or_else(|error| panic!("{file}: {error}"));
        let octets = fs::read(&path).expect("a readable zone");
        for length in (0..octets.len()).step_by(7) {
            functions::read(kind, &octets[..length]);
        }
        functions::load(kind, &octets);
    }
}
