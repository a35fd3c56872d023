//! Which lines are cited, and which of them decide.

use std::{
    fs::File,
    time::{Duration, SystemTime},
};

use proptest::prelude::*;

use super::*;
use crate::{wire::name::QueryName, zone::ruling::Finding};

#[test]
fn the_widest_prefix_within_a_range() {
    assert_eq!(prefix_len(0, u32::MAX, 7), 0);
    assert_eq!(prefix_len(0x0a00_0001_u32, 0x0a00_0006, 0x0a00_0004), 31);
    assert_eq!(prefix_len(0x0a00_0001_u32, 0x0a00_0006, 0x0a00_0001), 32);
    assert_eq!(prefix_len(0, u128::MAX, 7), 0);
}

/// What files of these texts, modified at second 999,900, say of a key a hundred seconds later.
fn cited(kind: Kind, texts: &[&str], key: &str) -> Vec<Citation> {
    try_to_cite(kind, texts, key).expect("readable")
}

fn try_to_cite(kind: Kind, texts: &[&str], key: &str) -> io::Result<Vec<Citation>> {
    let (_folder, spec) = written(kind, texts);
    cite_at_once(&spec, key)
}

fn written(kind: Kind, texts: &[&str]) -> (tempfile::TempDir, DatasetSpec) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |(index, text): (usize, &&str)| {
        let path = folder.path().join(index.to_string());
        std::fs::write(&path, text).expect("written");
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(999_900);
        File::options().append(true).open(&path).and_then(|file| file.set_modified(modified)).expect("set");
        path
    };
    let files = texts.iter().enumerate().map(file).collect();
    (folder, DatasetSpec { kind, files })
}

fn cite_at_once(spec: &DatasetSpec, key: &str) -> io::Result<Vec<Citation>> {
    let options = Options { now_s: 1_000_000, ..Options::default() };
    cite(spec, &AskedKey::parse(key).expect("a key"), &options).map(|(found, _)| found)
}

#[test]
fn a_file_that_is_gone_hides_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let files: Vec<_> = ["one", "gone", "two"].iter().map(|name| folder.path().join(name)).collect();
    for file in [&files[0], &files[2]] {
        std::fs::write(file, "192.0.2.1\n").expect("written");
    }
    let spec = DatasetSpec { kind: Kind::Ip4Set, files };
    let key = AskedKey::parse("192.0.2.1").expect("a key");
    let (found, gone) = cite(&spec, &key, &Options::default()).expect("the others are readable");
    assert_eq!((found.len(), gone), (2, vec![&*spec.files[1]]));
}

fn lines(kind: Kind, text: &str, key: &str) -> Vec<(u64, bool, Effect)> {
    let found = cited(kind, &[text], key);
    found.into_iter().map(|line| (line.line, line.excludes, line.effect)).collect()
}

#[test]
fn a_passage_is_no_longer_than_lines_may_be() {
    let passage =
        |text: &mut dyn Read| Passage::read(&mut load::lines(Box::new(text)).expect("readable"), 0).expect("readable");
    let endless = passage(&mut io::repeat(b'x').take(64 << 20));
    assert_eq!(endless.lines.len(), 1);
    assert!(endless.octets.capacity() < 1 << 20, "{}", endless.octets.capacity());
    let long = [b"x".repeat(60_000), b"\n".to_vec()].concat().repeat(100);
    let many = passage(&mut &*long);
    assert_eq!(many.lines.len(), PASSAGE_LEN / 60_001 + 1, "the next passage has the others");
    assert_eq!(many.text(&many.lines), &long[..many.octets.len()]);
}

#[test]
fn lines_count_as_where_they_are_served() {
    let long = format!("192.0.2.1 {}\n192.0.2.1\n", "x".repeat(200_000));
    let found = cited(Kind::Ip4Set, &[&long], "192.0.2.1");
    assert_eq!(found.iter().map(|line| line.line).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(found[0].text.len(), SHOWN_LEN);
    // Only the start of a file has a mark of its encoding, and only one octet before the end of a line goes with that.
    let marked = "\u{feff}192.0.2.1\r\n\u{feff}192.0.2.1\n192.0.2.1\r\r\n192.0.2.1\r\n";
    assert_eq!(cited(Kind::Ip4Set, &[marked], "192.0.2.1").iter().map(|line| line.line).collect::<Vec<_>>(), [1, 4]);
}

#[test]
fn what_a_file_sets_holds_for_the_next() {
    let texts = ["$LIFETIME 1h\n192.0.2.1\n", "192.0.2.1\n"];
    let found = cited(Kind::Ip4Set, &texts, "192.0.2.1");
    assert_eq!(found.iter().map(|line| line.until_s).collect::<Vec<_>>(), [Some(1_003_500); 2]);
}

/// A line that costs the whole dataset where it is served does so here, wherever it stands.
#[test]
fn nothing_is_cited_of_what_cannot_be_loaded() {
    let far = format!("192.0.2.1\n{}$TIMESTAMP 1971-01-01\n192.0.2.1\n", "10.0.0.1\n".repeat(2 * PASSAGE_LINES));
    for (text, line) in [("192.0.2.1\n$TIMESTAMP 1971-01-01\n192.0.2.1\n", 2), (&far, 2 + 2 * PASSAGE_LINES)] {
        let error = try_to_cite(Kind::Ip4Set, &["192.0.2.1\n", text, "192.0.2.1\n"], "192.0.2.1").expect_err("none");
        let error = error.to_string();
        assert!(error.contains(&format!("1:{line}: data timestamp is 30536000 s in the future")), "{error}");
    }
}

#[test]
fn the_line_and_what_stands_behind_it() {
    use Effect::{Behind, Decides, NotInForce};
    let text = "# list\n:2:x\n192.0.2.0/24\n!192.0.2.7\n:3:\n192.0.0.0/16 :4:y\n192.0.2.5 :5:\n192.0.2.5 :6:\n";
    assert_eq!(lines(Kind::Ip4Set, text, "192.0.2.9"), [(3, false, Decides), (6, false, Behind)]);
    let excluded = lines(Kind::Ip4Set, text, "192.0.2.7");
    assert!(excluded.contains(&(4, true, Decides)) && excluded.contains(&(3, false, Behind)), "{excluded:?}");
    assert_eq!(lines(Kind::Ip4Set, text, "192.0.2.5")[..2], [(7, false, Decides), (8, false, Decides)]);
    assert_eq!(lines(Kind::Ip4Trie, text, "192.0.2.5")[..2], [(7, false, Decides), (8, false, Behind)]);
    assert_eq!(lines(Kind::Ip4Set, text, "10.0.0.1"), []);
    let keyed = lines(Kind::Ip4Set, "192.0.2.7 @ key=require\n192.0.2.0/24\n", "192.0.2.7");
    assert_eq!(keyed, [(1, false, NotInForce), (2, false, Decides)]);
    let names = "spam.example\n.example\n!good.spam.example\n*.spam.example\n";
    assert_eq!(lines(Kind::DnSet, names, "spam.example"), [(1, false, Decides), (2, false, Behind)]);
    assert_eq!(lines(Kind::DnSet, names, "x.spam.example"), [(4, false, Decides), (2, false, Behind)]);
    let good = lines(Kind::DnSet, names, "good.spam.example");
    assert_eq!(good, [(3, true, Decides), (4, false, Behind), (2, false, Behind)]);
    assert_eq!(lines(Kind::Ip6Trie, "::/0 :2:a\n:3:b\n2001:db8::/32\n", "2001:db8::1").len(), 2);
    let notes = "192.0.2.1 999000\n192.0.2.1 999500\n";
    assert_eq!(lines(Kind::Ip4Seen, notes, "192.0.2.1"), [(1, false, Behind), (2, false, Decides)]);
}

#[test]
fn lines_far_down_are_found_with_their_number() {
    use std::fmt::Write as _;
    let mut text = String::from("$LIFETIME 0\n");
    for number in 0..30_000_u32 {
        let _ = writeln!(text, "{}", std::net::Ipv4Addr::from(0x0a00_0000 + number));
    }
    text.push_str("10.0.0.0/8\n");
    let found = lines(Kind::Ip4Set, &text, "10.0.97.13");
    assert_eq!(found, [(2 + 97 * 256 + 13, false, Effect::Decides), (30_002, false, Effect::Behind)]);
}

#[test]
fn each_section_of_a_combined_file_for_itself() {
    for subzones in ["two three", "one"] {
        let text = format!("$DATASET ip4set one\n:2:\n192.0.2.1\n$DATASET ip4set {subzones}\n:3:\n192.0.2.0/24\n");
        let found = lines(Kind::Combined, &text, "192.0.2.1");
        assert_eq!(found, [(3, false, Effect::Decides), (6, false, Effect::Decides)], "{subzones}");
    }
}

/// A line about one of a few keys, with a text that tells its number where it may have one.
fn any_line(kind: Kind, number: usize, (key, mark, limit): (usize, usize, usize)) -> String {
    let limit =
        ["", "", " @ until=1000300", " @ until=1000200", " @ key=require", " @ delay=5", " @ ts=999950;delay=1h"]
            [limit];
    let (low, wide) = (key % 4, key / 4 == 1);
    let key = match kind {
        Kind::Ip4Set if wide && low == 0 => "192.0.1.7-192.0.2.3".to_owned(),
        Kind::Ip4Set | Kind::Ip4Trie if wide => format!("192.0.2.0/{}", [24, 28, 30, 31][low]),
        Kind::Ip6Trie if wide => format!("2001:db8::/{}", [32, 64, 126, 127][low]),
        Kind::DnSet => ["x.example", "*.example", ".example", ".x.example"][low].to_owned(),
        Kind::Ip6TSet if mark == 0 => format!("!2001:db8::{low}"),
        Kind::Ip6TSet => "2001:db8:0:0".to_owned(),
        Kind::Ip6Trie => format!("2001:db8::{low}"),
        Kind::Ip4Seen => format!("192.0.2.{low} {}", 999_000 + key),
        _ => format!("192.0.2.{low}"),
    };
    let has_text = !matches!(kind, Kind::Ip4TSet | Kind::Ip6TSet);
    match mark {
        0 if kind.has_exclusions() => format!("{}{key}{limit}", if kind == Kind::Ip6TSet { "" } else { "!" }),
        _ if has_text => format!("{key} line {number}{limit}"),
        _ => format!("{key}{limit}"),
    }
}

/// The texts of what is listed, or that it is excluded.
fn served(kind: Kind, texts: &[&str], key: &AskedKey) -> Vec<String> {
    let options = Options { now_s: 1_000_000, ..Options::default() };
    let sources = texts
        .iter()
        .map(|text| Ok(Source { name: String::new(), modified_s: 999_900, reader: Box::new(text.as_bytes()) }));
    let loaded = load::load(kind, "", sources, &options, &mut Report::default());
    let Ok(Loaded::Data(data)) = loaded else { panic!("{loaded:?}") };
    let context = Context { now_s: 1_000_000, keyed: false };
    let dataset = &data.sections[0].dataset;
    let mut name = QueryName::new();
    let finding = match (&dataset.entries, key) {
        (Entries::Addresses(addresses), AskedKey::V4(address)) => addresses.find_v4(*address, &context),
        (Entries::Addresses(addresses), AskedKey::V6(address)) => addresses.find_v6(*address, &context),
        (Entries::Names(names), AskedKey::Name(asked)) => {
            name.read(asked.as_wire()).expect("a name");
            names.look_up(name.relative(name.label_count()), &context).finding
        }
        _ => panic!("{key:?}"),
    };
    if matches!(finding, Finding::Excluded) {
        return vec!["excluded".to_owned()];
    }
    let mut listed = Vec::new();
    finding.for_each_value(&context, |value, _, _| {
        let text = dataset.values.text(value).map(|text| dataset.values.expand(text, b""));
        listed.push(String::from_utf8(text.unwrap_or_default()).expect("text"));
    });
    listed.sort();
    listed
}

/// The same of a line.
fn what_it_says(line: &Citation) -> String {
    if line.excludes {
        return "excluded".to_owned();
    }
    let own = line.text.split(" @").next().unwrap_or_default();
    own.find("line").map_or_else(String::new, |at| own[at..].to_owned())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_decides_is_what_is_served(
        kind in prop::sample::select(vec![
            Kind::Ip4Set, Kind::Ip4TSet, Kind::Ip4Trie, Kind::Ip6Trie, Kind::Ip6TSet, Kind::Ip4Seen, Kind::DnSet,
        ]),
        lines in prop::collection::vec((0..8_usize, 0..4_usize, 0..7_usize), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let lines: Vec<String> =
            lines.into_iter().enumerate().map(|(number, line)| any_line(kind, number, line) + "\n").collect();
        let (one, two) = lines.split_at(cut.index(lines.len()));
        let texts = [&*one.concat(), &*two.concat()];
        let keys: &[&str] = match kind {
            Kind::DnSet => &["x.example", "y.x.example", "y.example", "example"],
            Kind::Ip6Trie | Kind::Ip6TSet => &["2001:db8::", "2001:db8::1", "2001:db8::3", "2001:db8::9"],
            _ => &["192.0.2.0", "192.0.2.1", "192.0.2.3", "192.0.2.9"],
        };
        let (_folder, spec) = written(kind, &texts);
        for key in keys {
            let served = served(kind, &texts, &AskedKey::parse(key).expect("a key"));
            let cited = cite_at_once(&spec, key).expect("readable");
            let mut decides: Vec<String> =
                cited.iter().filter(|line| line.effect == Effect::Decides).map(what_it_says).collect();
            decides.sort();
            if served == ["excluded"] {
                decides.dedup();
            }
            prop_assert_eq!(&decides, &served, "{} {} {:?}", kind, key, cited);
        }
    }
}
