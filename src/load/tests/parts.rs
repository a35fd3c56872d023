//! Lists read in parts, held against the same ones read in one go.

use super::*;

/// A line of a list of that kind, of the few keys that there are.
fn line(kind: Kind, (key, mark, value, limit): (u8, usize, usize, usize)) -> String {
    let (low, is_wide) = (key % 16, key % 5 == 4);
    let mut mark = ["", "", "", "!"][mark];
    let mut value = ["", "", ":2:two", ":3:three $", "text", ":4"][value];
    let limit = [
        "",
        "",
        "",
        " @ delay=5",
        " @ key=require",
        " @ key=nodelay",
        " @ until=1800000300",
        " @ ts=1799999000;delay=1h",
    ][limit];
    let key = match kind {
        Kind::Ip4TSet => {
            (mark, value) = ("", "");
            format!("1.1.1.{low}")
        }
        Kind::Ip6TSet => {
            value = "";
            format!("2001:db8:1:{low}{}", if mark.is_empty() { "" } else { "::7" })
        }
        Kind::Ip4Seen => return format!("1.1.1.{low} {}\n", NOW_S - u64::from(key) * 40),
        Kind::DnSet => format!("{}n{low}.example", if is_wide { "." } else { "" }),
        _ => format!("1.1.1.{low}{}", if is_wide { "/29" } else { "" }),
    };
    format!("{mark}{key} {value}{limit}\n")
}

/// All that its keys are answered with, by whom and when.
fn answers(kind: Kind, dataset: &Dataset) -> Vec<String> {
    let keys = (0..18_u8).map(|low| match kind {
        Kind::Ip6TSet => format!("2001:db8:1:{}::{}", low / 2, if low % 2 == 0 { 7 } else { 8 }),
        Kind::DnSet => format!("{}n{}.example", if low % 2 == 0 { "x." } else { "" }, low / 2),
        _ => format!("1.1.1.{low}"),
    });
    let contexts = [0, 250, 350, 3_000]
        .into_iter()
        .flat_map(|later| [false, true].map(|keyed| Context { now_s: NOW_S + later, keyed }));
    let contexts: Vec<Context> = contexts.collect();
    keys.flat_map(|key| contexts.iter().map(move |context| ask(dataset, &key, context))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn parts_say_what_the_whole_says(
        kind in prop::sample::select(vec![Kind::Ip4Set, Kind::Ip4TSet, Kind::Ip6TSet, Kind::Ip4Seen, Kind::DnSet]),
        head in prop::sample::select(vec!["", "$LIFETIME 1h\n", "$TTL 60\n$0 before $\n"]),
        lines in prop::collection::vec((any::<u8>(), 0..4_usize, 0..6_usize, 0..8_usize), 1..60),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let lines: Vec<String> = lines.into_iter().map(|parts| line(kind, parts)).collect();
        let (whole, report) = data(kind, &[&format!("{head}{}", lines.concat())]);

        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(lines.len() + 1)).chain([0, lines.len()]).collect();
        cuts.sort_unstable();
        let (options, mut same_report) = (options(), Report::default());
        let source = |text| Source { name: "file1".to_owned(), modified_s: MODIFIED_S, reader: Box::new(text) };
        let mut loader = Loader::new(kind, "label", &options);
        loader.start_file();
        loader.part(source(head.as_bytes()), 0, &mut same_report).expect("read");
        let head_lines = head.lines().count();
        let texts: Vec<(usize, String)> = cuts.windows(2).map(|cut| (cut[0], lines[cut[0]..cut[1]].concat())).collect();
        for (before, text) in &texts {
            let mut part = loader.fork().expect("no access list");
            let mut part_report = Report::default();
            part.part(source(text.as_bytes()), (head_lines + before) as u64, &mut part_report).expect("read");
            loader.absorb(part);
            same_report.absorb(part_report);
        }
        let Ok(Loaded::Data(parted)) = loader.build(&mut same_report) else { panic!("no data") };
        let [whole, parted] = [&whole, &parted].map(|data| &data.sections[0].dataset);
        prop_assert_eq!(answers(kind, whole), answers(kind, parted));
        prop_assert_eq!((whole.len(), whole.ttl_s), (parted.len(), parted.ttl_s));
        prop_assert_eq!((report.lines, report.to_string()), (same_report.lines, same_report.to_string()));
    }
}
