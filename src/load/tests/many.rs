//! Much of one thing: values of one key, records of one name, ranges around one address, sections of one file.

use super::*;
use crate::zone::{records::RECORDS_MAX, standing::VALUES_MAX};

/// So many lines that what costs their square would be noticed.
const LINES: usize = 20_000;

fn lines(line: impl FnMut(usize) -> String) -> String {
    (0..LINES).map(line).collect()
}

/// How many values a key has, and the first of them.
fn values(dataset: &Dataset, key: &str) -> (usize, String) {
    let answer = ask(dataset, key, &context());
    let first = answer.split(" / ").next().unwrap_or_default().to_owned();
    (answer.split(" / ").count(), first)
}

#[test]
fn values_of_one_key() {
    let life = " @ until=2027-03-01T00:00:00Z";
    for (kind, key, asked) in [
        (Kind::Ip4Set, "1.2.3.4", "1.2.3.4"),
        (Kind::Ip4Set, "1.0.0.0/8", "1.2.3.4"),
        (Kind::DnSet, "bad.example", "bad.example"),
        (Kind::DnSet, ".bad.example", "x.bad.example"),
    ] {
        for end in ["", life] {
            let text = lines(|line| format!("{key} :{}:x{line}{end}\n", line % 200 + 2));
            let (data, report) = data(kind, &[&text]);
            let dataset = &data.sections[0].dataset;
            let (count, first) = values(dataset, asked);
            assert_eq!((count, dataset.len()), (VALUES_MAX, LINES), "{key}");
            assert!(first.starts_with("127.0.0.2 x0"), "{first}");
            let column = 1 + usize::from(key.starts_with('.'));
            assert_eq!(faults(&report), [(Fault::ManyValues, VALUES_MAX as u64 + 1, column)], "{key}");
        }
    }
}

#[test]
fn values_of_keys_in_turn_are_told_by_their_keys() {
    let text = lines(|line| format!("1.2.{}.0/24 :2:x{line}\n", line % 3));
    let (data, report) = data(Kind::Ip4Set, &[&text]);
    assert_eq!(values(&data.sections[0].dataset, "1.2.1.9"), (VALUES_MAX, "127.0.0.2 x1".into()));
    assert_eq!(report.count(Fault::ManyValues), 3);
    let said = report.remarks()[1].to_string();
    assert!(
        said.starts_with("label: warning: too many values `1.2.1.0/24`: expected at most 256 of one key"),
        "{said}"
    );
    let text = lines(|line| format!("a{}.example x{line}\n", line % 3));
    let (_, report) = self::data(Kind::DnSet, &[&text]);
    assert_eq!(report.count(Fault::ManyValues), 3);
    assert!(report.remarks()[2].to_string().contains("`a2.example`"));
}

#[test]
fn values_kept_for_too_many_prefixes_are_told_by_the_prefix() {
    use std::fmt::Write as _;
    let mut text = String::new();
    for group in 0..40 {
        (0..255).for_each(|value| writeln!(text, "1.2.{group}.0/25 :2:x{value}").expect("in memory"));
        (0..128).for_each(|host| writeln!(text, "1.2.{group}.{host} :2:y{group}.{host}").expect("in memory"));
    }
    let (data, report) = data(Kind::Ip4Set, &[&text]);
    let dataset = &data.sections[0].dataset;
    let told = report.count(Fault::ManyValues) as usize;
    assert!((1..40).contains(&told), "{told}");
    let said = report.remarks()[0].to_string();
    let expected =
        format!("label: warning: too many values `1.2.{}.0/25`: expected fewer of a prefix that has", 40 - told);
    assert!(said.starts_with(&expected), "{said}");
    assert_eq!(values(dataset, "1.2.0.7").0, 256);
    assert_eq!(values(dataset, "1.2.39.127"), (1, "127.0.0.2 y39.127".into()));
}

#[test]
fn a_listing_renewed_is_one_value() {
    let text = lines(|line| format!("1.2.3.4 :2:x @ ts={};lifetime=30d\n", NOW_S as usize - LINES + line));
    let (data, report) = data(Kind::Ip4Set, &[&text]);
    assert_eq!(values(&data.sections[0].dataset, "1.2.3.4").0, 1);
    assert_eq!(report.remarks(), []);
}

#[test]
fn records_of_one_name() {
    let text = lines(|line| format!("www TXT {line}\nwww TXT {line}\n"));
    let (data, report) = data(Kind::Generic, &[&text]);
    assert_eq!(records(&data, 0, "www").len(), RECORDS_MAX);
    assert_eq!(faults(&report), [(Fault::ManyValues, 2 * RECORDS_MAX as u64 + 1, 1)]);
}

#[test]
fn ranges_around_ranges() {
    /// Each is some twenty prefixes.
    const RANGES: usize = 3_000;
    for (sign, end) in [("", ""), ("", " @ until=2027-03-01T00:00:00Z"), ("!", "")] {
        let text: String = (0..RANGES)
            .map(|line| {
                let [first, last] =
                    [0x2000_0000 + line as u32, 0x4000_0000 - line as u32].map(std::net::Ipv4Addr::from_bits);
                if line % 2 == 0 || sign.is_empty() {
                    format!("{first}-{last} :2:x{line}{end}\n")
                } else {
                    format!("{sign}{first}-{last}\n")
                }
            })
            .collect();
        let (data, _) = data(Kind::Ip4Set, &[&text]);
        let dataset = &data.sections[0].dataset;
        let middle = ask(dataset, "48.0.0.0", &context());
        assert_eq!(middle == "excluded", sign == "!");
        assert!(middle.split(" / ").count() <= VALUES_MAX);
        // The outermost addresses have one range or two.
        let outer = ask(dataset, "32.0.0.0", &context());
        assert!(outer.starts_with("127.0.0.2 x0") && outer.split(" / ").count() == 1, "{outer}");
        assert!(dataset.memory_bytes() < 6_000 * RANGES, "{}", dataset.memory_bytes());
    }
}

#[test]
fn sections_of_one_file() {
    let text = lines(|line| format!("$DATASET ip4set:x{line} s{line}\n1.2.3.{} :2:$1 {line}\n$1 one\n", line % 250));
    let (data, report) = data(Kind::Combined, &[&text]);
    assert_eq!((data.sections.len(), report.remarks()), (LINES, &[][..]));
    let last = &data.sections[LINES - 1].dataset;
    assert_eq!(ask(last, "1.2.3.249", &context()), "127.0.0.2 one 19999");
}
