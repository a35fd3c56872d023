//! How fast lines are read: `cargo test --release --lib speed -- --ignored --nocapture`.

use std::{fmt::Write as _, net::Ipv4Addr};

use super::*;

#[test]
#[ignore = "takes a while, and says something in release builds only"]
fn speed() {
    type Write = fn(u32, &mut String) -> std::fmt::Result;
    let shapes: [(&str, Kind, u32, Write); 7] = [
        ("sorted hosts", Kind::Ip4Set, 10_000_000, |index, text| {
            writeln!(text, "{}", Ipv4Addr::from_bits(0x0a00_0000 + index * 37))
        }),
        ("sorted hosts", Kind::Ip4TSet, 10_000_000, |index, text| {
            writeln!(text, "{}", Ipv4Addr::from_bits(0x0a00_0000 + index * 37))
        }),
        ("hosts with values", Kind::Ip4Set, 5_000_000, |index, text| {
            writeln!(
                text,
                "{} :{}:listed, see $",
                Ipv4Addr::from_bits(index.wrapping_mul(2_654_435_761)),
                2 + index / 1_000 % 5
            )
        }),
        ("prefixes", Kind::Ip4Trie, 2_000_000, |index, text| writeln!(text, "{}/24", Ipv4Addr::from_bits(index << 9))),
        ("hosts seen", Kind::Ip4Seen, 5_000_000, |index, text| {
            writeln!(text, "{}\t{}", Ipv4Addr::from_bits(index * 411), NOW_S - u64::from(index % 3_000))
        }),
        ("/64s", Kind::Ip6Trie, 1_000_000, |index, text| {
            writeln!(text, "2001:db8:{:x}:{:x}::/64", index >> 16, index & 0xffff)
        }),
        ("names", Kind::DnSet, 2_000_000, |index, text| writeln!(text, ".bad{}.example{}.com", index, index % 7_919)),
    ];
    for (what, kind, count, write) in shapes {
        let mut text = String::new();
        (0..count).for_each(|index| write(index, &mut text).expect("in memory"));
        let start = std::time::Instant::now();
        let options = options();
        let mut loader = Loader::new(kind, "l", &options);
        let mut report = Report::default();
        let source = Source { name: "f".into(), modified_s: NOW_S, reader: Box::new(text.as_bytes()) };
        loader.file(source, &mut report).expect("loads");
        let read = start.elapsed();
        let Ok(Loaded::Data(data)) = loader.build(&mut report) else { panic!("builds") };
        let dataset = &data.sections[0].dataset;
        let whole = start.elapsed();
        assert_eq!(report.warnings(), 0);
        let rate = |time: std::time::Duration| f64::from(count) / time.as_secs_f64() / 1e6;
        println!(
            "{kind:8} {what:18} {count:9} lines: read {:6.2} M/s, read and built {:6.2} M/s, {} B each",
            rate(read),
            rate(whole),
            dataset.memory_bytes() / count as usize
        );
    }
}
