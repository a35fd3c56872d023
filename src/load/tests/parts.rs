//! Lists read in parts, held against the same ones read in one go; and lines that may be read from the block, against the same ones
//! that are not.

use super::*;

/// A line of a list of that kind, of the few keys that there are.
fn line(kind: Kind, (key, mark, value, limit, odd): (u8, usize, usize, usize, usize)) -> String {
    let (low, is_wide) = (key % 16, key % 5 == 4);
    let mut mark = ["", "", "", "!"][mark];
    let mut value = ["", "", ":2:two", ":3:three $", "text", ":4", "$1 and $0"][value];
    let limit = [
        "",
        "",
        "",
        " @ delay=5",
        " @ key=require",
        " @ key=nodelay",
        " @ until=1800000300",
        " @ ts=1799999000;delay=1h",
        " @ until=1799999999",
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
        Kind::Ip4Seen => {
            mark = "";
            format!("1.1.1.{low} {}", NOW_S - u64::from(key) * 40)
        }
        Kind::DnSet => format!("{}n{low}.example", if is_wide { "." } else { "" }),
        Kind::Ip6Trie => format!("2001:db8:1:{:x}::{}", low / 2, if is_wide { "/64" } else { "7" }),
        _ => format!("1.1.1.{low}{}", if is_wide { "/29" } else { "" }),
    };
    match odd {
        0 => format!("{key}!wrong :x\n"),
        1 => format!("{mark}{key} {value}{limit}\r\n"),
        2 => format!("{mark}{key} {value}\0{limit}\n"),
        3 => format!("# {key}\n"),
        4 => format!(" {mark}{key}\t{value} {limit} \n"),
        5 => "1.1.0.0-1.1.1.3\n".to_owned(),
        _ => format!("{mark}{key} {value}{limit}\n"),
    }
}

/// What may stand at the start of a file, and holds for what follows.
const SPECIAL: [&str; 16] = [
    "$TTL 60\n",
    "$TTL 70\n",
    "#$TTL 1h30m\n",
    ":5:five $ $1\n",
    ":6\n",
    ":x\n",
    "$0 zero $\n",
    "$1 one $0\n",
    "$= base $= $\n",
    "$LIFETIME 1h\n",
    "$LIFETIME 700s\n",
    "$LIFETIME 0\n",
    "$MAXRANGE4 /29\n",
    "$SOA 60 ns.example host.example 7 1h 2h 3h 4h\n",
    "$NS 60 ns1.example ns2.example\n",
    "$TIMESTAMP 20200101 20370101\n",
];

/// A file: its lines, and where those are cut.
#[derive(Debug)]
struct File {
    lines: Vec<String>,
    cuts: Vec<usize>,
}

impl File {
    fn text(&self) -> String {
        self.lines.concat()
    }

    /// Its start, and the other parts of it with the number of lines before each.
    fn parts(&self) -> (String, Vec<(usize, String)>) {
        let ends = self.cuts.iter().copied().chain([self.lines.len()]);
        let starts = self.cuts.iter().copied();
        let parts = starts.zip(ends.skip(1)).map(|(start, end)| (start, self.lines[start..end].concat()));
        let start_len = self.cuts.first().copied().unwrap_or(self.lines.len());
        (self.lines[..start_len].concat(), parts.collect())
    }
}

fn files(kind: Kind) -> impl Strategy<Value = Vec<File>> {
    let lines = prop::collection::vec((any::<u8>(), 0..4_usize, 0..7_usize, 0..9_usize, 0..40_usize), 0..40);
    let special = prop::collection::vec(prop::sample::select(SPECIAL.to_vec()), 0..4);
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
    let file = (special, lines, cuts, 0..4_u8).prop_map(move |(special, lines, cuts, end)| {
        let lines = lines.into_iter().map(|parts| line(kind, parts));
        let mut lines: Vec<String> = special.iter().map(ToString::to_string).chain(lines).collect();
        let rest_len = lines.len() - special.len();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| special.len() + cut.index(rest_len + 1)).collect();
        cuts.sort_unstable();
        if let Some(last) = lines.last_mut().filter(|_| end == 0) {
            last.pop();
        }
        File { lines, cuts }
    });
    prop::collection::vec(file, 1..4)
}

fn source(index: usize, text: &str) -> Source<'_> {
    Source { name: format!("file{}", index + 1), modified_s: MODIFIED_S, reader: Box::new(text.as_bytes()) }
}

/// Lines that are read one after the other, and the part of a file that is to be read behind them.
type Piece<'o> = (Loader<'o>, Report, Option<(usize, (usize, String))>);

fn fork<'o>(pieces: &[Piece<'o>]) -> Loader<'o> {
    pieces.last().and_then(|piece| piece.0.fork()).expect("no access list")
}

/// Reads the starts of all files one after the other, then the other parts from the last to the first, and puts them together.
fn in_parts(kind: Kind, files: &[File], options: &Options) -> (ZoneData, Report) {
    let mut pieces: Vec<Piece<'_>> = vec![(Loader::new(kind, "label", options), Report::default(), None)];
    for (index, file) in files.iter().enumerate() {
        let (start, parts) = file.parts();
        if pieces.last().is_some_and(|piece| piece.2.is_some()) {
            pieces.push((fork(&pieces), Report::default(), None));
        }
        let (loader, report, rest) = pieces.last_mut().expect("one");
        loader.file(source(index, &start), report).expect("read");
        let mut parts = parts.into_iter().map(|part| (index, part));
        *rest = parts.next();
        for part in parts {
            pieces.push((fork(&pieces), Report::default(), Some(part)));
        }
    }
    for (loader, report, rest) in pieces.iter_mut().rev() {
        if let Some((index, (lines_before, text))) = rest.take() {
            loader.part(source(index, &text), lines_before as u64, report).expect("read");
        }
    }
    let (mut whole, mut report, _) = pieces.remove(0);
    for (later, later_report, _) in pieces {
        whole.absorb(later);
        report.absorb(later_report);
    }
    let Ok(Loaded::Data(data)) = whole.build(&mut report) else { panic!("no data") };
    (data, report)
}

/// All that its keys are answered with, by whom and when.
fn answers(kind: Kind, dataset: &Dataset) -> Vec<String> {
    let keys = (0..18_u8).map(|low| match kind {
        Kind::Ip6TSet | Kind::Ip6Trie => format!("2001:db8:1:{}::{}", low / 2, if low % 2 == 0 { 7 } else { 8 }),
        Kind::DnSet => format!("{}n{}.example", if low % 2 == 0 { "x." } else { "" }, low / 2),
        _ => format!("1.1.1.{low}"),
    });
    let contexts = [0, 250, 350, 3_000]
        .into_iter()
        .flat_map(|later| [false, true].map(|keyed| Context { now_s: NOW_S + later, keyed }));
    let contexts: Vec<Context> = contexts.collect();
    keys.flat_map(|key| contexts.iter().map(move |context| ask(dataset, &key, context))).collect()
}

/// All else that is told of data and of what was wrong with them.
fn told(data: &ZoneData, report: &Report) -> Vec<String> {
    let dataset = &data.sections[0].dataset;
    let value = dataset.default_value.map(|value| {
        let text = dataset.values.text(value).map(|text| dataset.values.expand(text, b"KEY"));
        (dataset.values.address(value), text)
    });
    vec![
        format!("{:?} {:?} {:?}", data.soa, data.servers, data.expires_s),
        format!("{} entries, {:?}, TTL {}, {value:?}", dataset.len(), dataset.lifetimes(NOW_S), dataset.ttl_s),
        format!("{} lines, {} bad, {:?}, {report}", report.lines, report.bad_lines, report.cut_short),
        format!("{:#?}", report.remarks()),
    ]
}

/// Files of one of these kinds.
fn any_of(kinds: Vec<Kind>) -> impl Strategy<Value = (Kind, Vec<File>)> {
    prop::sample::select(kinds).prop_flat_map(|kind| (Just(kind), files(kind)))
}

fn whole(kind: Kind, texts: &[String]) -> (ZoneData, Report) {
    data(kind, &texts.iter().map(String::as_str).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn parts_say_what_the_whole_says(
        (kind, files) in any_of(vec![Kind::Ip4Set, Kind::Ip4TSet, Kind::Ip6TSet, Kind::Ip4Seen, Kind::DnSet]),
    ) {
        let (whole, report) = whole(kind, &files.iter().map(File::text).collect::<Vec<_>>());
        let options = options();
        let (parted, parted_report) = in_parts(kind, &files, &options);
        prop_assert_eq!(told(&whole, &report), told(&parted, &parted_report));
        let [whole, parted] = [&whole, &parted].map(|data| answers(kind, &data.sections[0].dataset));
        prop_assert_eq!(whole, parted);
    }

    /// Only lines that end in a newline alone are read from the block.
    #[test]
    fn lines_say_the_same_whatever_they_end_in(
        (kind, files) in any_of(vec![
            Kind::Ip4Set, Kind::Ip4TSet, Kind::Ip4Trie, Kind::Ip6Trie, Kind::Ip6TSet, Kind::Ip4Seen, Kind::DnSet,
        ]),
    ) {
        let texts: Vec<String> = files.iter().map(|file| file.text().replace("\r\n", "\n")).collect();
        let others: Vec<String> = texts.iter().map(|text| text.replace('\n', "\r\n")).collect();
        let [usual, other] = [whole(kind, &texts), whole(kind, &others)];
        prop_assert_eq!(told(&usual.0, &usual.1), told(&other.0, &other.1));
        let [usual, other] = [usual, other].map(|(data, _)| answers(kind, &data.sections[0].dataset));
        prop_assert_eq!(usual, other);
    }
}
