//! Whole files, from their octets to what is found in the data.

mod many;
mod parts;
mod records;
mod speed;
mod strange;

use std::net::{IpAddr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::{
    wire::{name::QueryName, rr},
    zone::{
        access::{Action, KeyVerdict},
        apex::ZoneSoa,
        dataset::Entries,
        records::Record,
        ruling::{Context, Finding},
    },
};

const NOW_S: u64 = 1_800_000_000;
const MODIFIED_S: u64 = NOW_S - 600;

fn options() -> Options {
    Options { now_s: NOW_S, ..Options::default() }
}

fn load_files(kind: Kind, files: &[&[u8]], report: &mut Report) -> Result<Loaded, LoadError> {
    let sources = files.iter().enumerate().map(|(index, octets)| {
        Ok(Source { name: format!("file{}", index + 1), modified_s: MODIFIED_S, reader: Box::new(*octets) })
    });
    load(kind, "label", sources, &options(), report)
}

fn data(kind: Kind, files: &[&str]) -> (ZoneData, Report) {
    let mut report = Report::default();
    let files: Vec<&[u8]> = files.iter().map(|text| text.as_bytes()).collect();
    match load_files(kind, &files, &mut report).expect("loads") {
        Loaded::Data(data) => (data, report),
        other => panic!("{other:?}"),
    }
}

/// One file without faults.
fn clean(kind: Kind, text: &str) -> ZoneData {
    let (data, report) = data(kind, &[text]);
    assert_eq!(report.remarks(), [], "{text}");
    data
}

fn context() -> Context {
    Context { now_s: NOW_S, keyed: false }
}

/// What a dataset answers to a key: `excluded`, `absent`, or its values as `A text`, with `/` between.
fn ask(dataset: &Dataset, key: &str, context: &Context) -> String {
    let name = |key: &str| {
        let mut name = QueryName::new();
        name.read(Name::parse(key.as_bytes()).expect("a name").as_wire()).expect("a name");
        name
    };
    let finding = match (&dataset.entries, key.parse()) {
        (Entries::Addresses(addresses), Ok(IpAddr::V4(key))) => addresses.find_v4(key.to_bits(), context),
        (Entries::Addresses(addresses), Ok(IpAddr::V6(key))) => addresses.find_v6(key.to_bits(), context),
        (Entries::Names(names), _) => {
            let name = name(key);
            names.look_up(name.relative(name.label_count()), context).finding
        }
        _ => panic!("{key} cannot be asked for"),
    };
    match finding {
        Finding::Absent => return "absent".into(),
        Finding::Excluded => return "excluded".into(),
        _ => {}
    }
    let mut values = Vec::new();
    finding.for_each_value(context, |id, until_s, hold_s| {
        let text = dataset.values.text(id).map(|text| dataset.values.expand(text, key.as_bytes()));
        let text = text.map_or_else(String::new, |text| format!(" {}", String::from_utf8_lossy(&text)));
        let until = if until_s == u32::MAX { String::new() } else { format!(" +{}", u64::from(until_s) - NOW_S) };
        let hold = if hold_s == 0 { String::new() } else { format!(" held {hold_s}") };
        values.push(format!("{}{text}{until}{hold}", dataset.values.address(id)));
    });
    values.join(" / ")
}

fn expect(data: &ZoneData, expected: &[(&str, &str)]) {
    for (key, answer) in expected {
        assert_eq!(ask(&data.sections[0].dataset, key, &context()), *answer, "{key}");
    }
}

/// The faults with their lines and columns.
fn faults(report: &Report) -> Vec<(Fault, u64, usize)> {
    report.remarks().iter().map(|remark| (remark.fault, remark.line, remark.column)).collect()
}

#[test]
fn an_ip4set() {
    let data = clean(
        Kind::Ip4Set,
        "# a comment\n$TTL 60 # c\n:5:five $1\n1.2.3.4\n1.2.3.5 text for $\n1.2.3.6 :7\n!1.2.3.7\n1.2.3\n:6\n9.9.9.1-9 #c\n$1 one\n",
    );
    expect(
        &data,
        &[
            ("1.2.3.4", "127.0.0.5 five one"),
            ("1.2.3.5", "127.0.0.5 text for 1.2.3.5"),
            ("1.2.3.6", "127.0.0.7 five one"),
            ("1.2.3.7", "excluded"),
            ("1.2.3.200", "127.0.0.5 five one"),
            ("9.9.9.9", "127.0.0.6"),
            ("9.9.9.10", "absent"),
        ],
    );
    assert_eq!(data.sections[0].dataset.ttl_s, 60);
    assert_eq!(data.sections[0].subzones, [Name::root()]);
}

#[test]
fn defaults_end_with_their_file_and_variables_do_not() {
    let (data, report) = data(Kind::Ip4Set, &[":5:five\n$1 one\n1.1.1.1", "$1 two\n1.1.1.2\n1.1.1.3 $1"]);
    assert_eq!(report.warnings(), 0);
    expect(&data, &[("1.1.1.1", "127.0.0.5 five"), ("1.1.1.2", "127.0.0.2"), ("1.1.1.3", "127.0.0.2 one")]);
}

#[test]
fn a_base_template_gives_texts_to_entries_without() {
    let data = clean(Kind::Ip4Set, "1.1.1.1\n1.1.1.2 why\n1.1.1.3 =own\n$= See $=\n");
    let expected =
        [("1.1.1.1", "127.0.0.2 See 1.1.1.1"), ("1.1.1.2", "127.0.0.2 See why"), ("1.1.1.3", "127.0.0.2 own")];
    expect(&data, &expected);
}

/// What rbldnsd 1.0 dumps of the same file.
#[test]
fn settings_of_a_dataset() {
    let text = ":5:five $1\n1.1.1.1\n:6\n1.1.1.2\n1.1.1.3 txt $$ $1 $9\n$MAXRANGE4 /24\n1.2/16\n1.3.3\n$MAXRANGE4 /25\n\
                1.4.3\n$TTL 77\n$1 one\n$= base [$=] $1\n1.1.1.4 =own $=\n1.1.1.5 :7:\n";
    let (data, report) = data(Kind::Ip4Set, &[text]);
    expect(
        &data,
        &[
            ("1.1.1.1", "127.0.0.5 base [five $1] one"),
            ("1.1.1.2", "127.0.0.6 base [1.1.1.2] one"),
            ("1.1.1.3", "127.0.0.6 base [txt $$ $1 $9] one"),
            ("1.1.1.4", "127.0.0.6 own own $="),
            ("1.1.1.5", "127.0.0.7 base [1.1.1.5] one"),
            ("1.3.3.0", "127.0.0.6 base [1.3.3.0] one"),
            ("1.2.0.0", "absent"),
            ("1.4.3.0", "absent"),
        ],
    );
    assert_eq!(faults(&report), [(Fault::LargeRange, 7, 1), (Fault::LargeRange, 10, 1)]);
}

/// As in rbldnsd; but there nobody is told.
#[test]
fn only_at_the_start_is_an_asterisk_a_wildcard() {
    let text = "*\n!.a.*.example\n*.*.deep :2:x\n  *foo.test\n*.fine\n\\042.meant\n*.\n* :999:bad\n";
    let (data, report) = data(Kind::DnSet, &[text]);
    expect(
        &data,
        &[
            (r"\042", "127.0.0.2"),
            ("x", "absent"),
            ("a.b.example", "absent"),
            (r"x.\042.deep", "127.0.0.2 x"),
            ("x.y.deep", "absent"),
            ("bfoo.test", "absent"),
            (r"\042foo.test", "127.0.0.2"),
            ("x.fine", "127.0.0.2"),
            (r"\042.meant", "127.0.0.2"),
        ],
    );
    let asterisks = [(1, 1), (2, 5), (3, 3), (4, 3)].map(|(line, column)| (Fault::Asterisk, line, column));
    assert_eq!(faults(&report), [&asterisks[..], &[(Fault::Name, 7, 3), (Fault::ARecord, 8, 4)]].concat());
    assert!(report.remarks()[0].to_string().contains("expected `*.` at the start"));
    let (_, report) = self::data(Kind::Generic, &["*.www A 192.0.2.1\n\\042.www A 192.0.2.1\n"]);
    assert_eq!(faults(&report), [(Fault::Asterisk, 1, 1)]);
}

#[test]
fn all_of_an_ip4tset_share_the_first_default() {
    let (data, report) = data(Kind::Ip4TSet, &["1.1.1.1\n:3:three\n:4:four\n1.1.1.2 ignored\n!1.1.1.3\n1.1/16\n"]);
    expect(&data, &[("1.1.1.1", "127.0.0.3 three"), ("1.1.1.2", "127.0.0.3 three"), ("1.1.1.3", "absent")]);
    let expected = [(Fault::Unused, 3, 1), (Fault::Unused, 4, 9), (Fault::Address, 5, 1), (Fault::Address, 6, 4)];
    assert_eq!(faults(&report), expected);
}

#[test]
fn tries() {
    let (data, report) = data(
        Kind::Ip4Trie,
        &["0/0 wild\n127.0.0.1 localhost\n!10/8\n10.1/16 inside\n10.1/16 again\n2001:db8::/32 six\n::1 loop\n"],
    );
    expect(
        &data,
        &[
            ("192.0.2.1", "127.0.0.2 wild"),
            ("127.0.0.1", "127.0.0.2 localhost"),
            ("10.2.3.4", "excluded"),
            ("10.1.3.4", "127.0.0.2 inside"),
            ("2001:db8::9", "127.0.0.2 six"),
            ("::1", "127.0.0.2 loop"),
            ("::2", "absent"),
        ],
    );
    assert_eq!(faults(&report), [(Fault::Duplicate, 5, 1)]);
    assert!(report.remarks()[0].expected.ends_with("the first line counts, unless a later one holds longer"));
    let text = format!("1.2.3.4 for an hour @ until={}\n1.2.3.4 for ever\n", NOW_S + 3_600);
    let (data, _) = self::data(Kind::Ip4Trie, &[&text]);
    expect(&data, &[("1.2.3.4", "127.0.0.2 for ever")]);
    let data = clean(Kind::Ip6Trie, ":3:x\ndead::/16\n!dead::beef\n::/0 all");
    expect(&data, &[("dead::1", "127.0.0.3 x"), ("dead::beef", "excluded"), ("1::", "127.0.0.3 all")]);
}

proptest! {
    /// Lines with a blank before them are all read as the formats have it.
    #[test]
    fn usual_lines_say_what_they_say_with_a_blank_before_them(
        kind in prop_oneof![Just(Kind::Ip4Set), Just(Kind::Ip4Trie), Just(Kind::Ip6Trie), Just(Kind::Ip4TSet)],
        lifetime in prop_oneof![Just(""), Just("$LIFETIME 1h\n")],
        lines in proptest::collection::vec((
            prop_oneof![4 => Just(""), 1 => Just("!"), 1 => Just("! ")],
            prop_oneof!["1\\.[12]\\.[12]\\.[0-3](/3[0-2])?", "[12]\\.0\\.0\\.0/(8|9|33)", "2001:db8:[0-2]::(/48|/64|1)?", "1::[0-9]/[0-9]{1,3}"],
            prop_oneof![4 => Just(""), 1 => Just(" :3:three"), 1 => Just("#c"), 1 => Just(":4")],
        ), 1..60),
    ) {
        let lines: Vec<String> = lines.into_iter().map(|(mark, key, rest)| format!("{mark}{key}{rest}\n")).collect();
        // What ends the file is never usual.
        let end = "# and a long comment to come behind the others\n";
        let (usual, report) = data(kind, &[&format!("{lifetime}{}{end}", lines.concat())]);
        let (other, other_report) = data(kind, &[&format!("{lifetime} {}{end}", lines.join(" "))]);
        prop_assert_eq!(
            format!("{:?}", usual.sections[0].dataset.entries),
            format!("{:?}", other.sections[0].dataset.entries)
        );
        let places = |report: &Report| faults(report).iter().map(|fault| (fault.0, fault.1)).collect::<Vec<_>>();
        prop_assert_eq!((places(&report), report.to_string()), (places(&other_report), other_report.to_string()));
    }
}

#[test]
fn an_ip6tset() {
    let (data, report) = data(Kind::Ip6TSet, &["2001:db8:1:2\n!2001:db8:1:2::9\n:4:x\n1:2:3:4/64\n::1\n"]);
    let key = |last: u128| Ipv6Addr::from_bits(0x2001_0db8_0001_0002 << 64 | last).to_string();
    expect(&data, &[(&key(1), "127.0.0.4 x"), (&key(9), "excluded"), ("::1", "absent")]);
    assert_eq!(faults(&report), [(Fault::Address, 4, 8), (Fault::ARecord, 5, 2)]);
}

#[test]
fn addresses_seen() {
    let text = format!(
        "$LIFETIME 1h\n1.1.1.1\t{}\n1.1.1.2 {} virus\n1.1.1.3 {}\n1.1.1.4\n1.1.1.5 soon\n1.1.1.1 {}\n1.1.1.6 {}\n",
        NOW_S - 60,
        NOW_S - 3_599,
        NOW_S - 3_600,
        NOW_S - 600,
        NOW_S + 200_000
    );
    let (data, report) = data(Kind::Ip4Seen, &[&text]);
    expect(
        &data,
        &[
            ("1.1.1.1", "127.0.0.2 +3540"),
            ("1.1.1.2", "127.0.0.2 virus +1"),
            ("1.1.1.3", "absent"),
            ("1.1.1.6", "127.0.0.2 +3600"),
        ],
    );
    assert_eq!(faults(&report), [(Fault::Time, 5, 8), (Fault::Time, 6, 9), (Fault::Future, 8, 9)]);
    assert_eq!(report.expired, 1);
    let data = clean(Kind::Ip4Seen, "1.1.1.1 5\n");
    expect(&data, &[("1.1.1.1", "127.0.0.2")]);
}

#[test]
fn a_dnset() {
    let (data, report) = data(
        Kind::DnSet,
        &["Plain.Example\n*.wild.tld :3:below\n.both.tld both $\n!ex.both.tld\nplain.example two\na#x :4\n.\n* star\n"],
    );
    expect(
        &data,
        &[
            ("plain.example", "127.0.0.2 / 127.0.0.2 two"),
            ("x.plain.example", "absent"),
            ("wild.tld", "absent"),
            ("a.b.wild.tld", "127.0.0.3 below"),
            ("both.tld", "127.0.0.2 both both.tld"),
            ("ex.both.tld", "excluded"),
            ("a#x", "127.0.0.4"),
            ("*", "127.0.0.2 star"),
        ],
    );
    assert_eq!(faults(&report), [(Fault::Character, 6, 2), (Fault::Name, 7, 2), (Fault::Asterisk, 8, 1)]);
}

#[test]
fn parameters_and_lifetimes() {
    let text = format!(
        "a @ ts={};delay=60s\nb B @ ts={};delay=60s\nc C @ key=require\nd D @ ts={};delay=1h;key=nodelay\ne E @ delay=5\n\
         f @ lifetime=20m\ng old @ until=1000\n$LIFETIME 15m\nh H\ni @ lifetime=0\nj @ until=1800000007\n$LIFETIME 0\n\
         k me @ home\nl L @ key=require;key=nodelay;delay=9\n!m @ lifetime=20m\nn @ ts={};lifetime=1h\n",
        NOW_S,
        NOW_S - 120,
        NOW_S,
        NOW_S + 100_000
    );
    let (data, report) = data(Kind::DnHash, &[&text]);
    expect(
        &data,
        &[
            ("a", "absent"),
            ("b", "127.0.0.2 B"),
            ("c", "absent"),
            ("d", "absent"),
            ("e", "127.0.0.2 E held 5"),
            ("f", "127.0.0.2 +600"),
            ("g", "absent"),
            ("h", "127.0.0.2 H +300"),
            ("i", "127.0.0.2"),
            ("j", "127.0.0.2 +7"),
            ("k", "127.0.0.2 me @ home"),
            ("l", "absent"),
            ("m", "excluded"),
            ("n", "127.0.0.2 +3600"),
        ],
    );
    let keyed = Context { keyed: true, ..context() };
    let dataset = &data.sections[0].dataset;
    let answers = ["c", "d", "l"].map(|key| ask(dataset, key, &keyed));
    assert_eq!(answers, ["127.0.0.2 C", "127.0.0.2 D", "127.0.0.2 L"]);
    assert_eq!(faults(&report), [(Fault::Future, 16, 4)]);
    assert_eq!(report.expired, 1);
}

fn records(data: &ZoneData, section: usize, name: &str) -> Vec<Record> {
    let Entries::Records(records) = &data.sections[section].dataset.entries else { panic!("not records") };
    let mut query = QueryName::new();
    query.read(Name::parse(name.as_bytes()).expect("a name").as_wire()).expect("a name");
    records.at(query.relative(query.label_count())).unwrap_or_default().to_vec()
}

#[test]
fn long_texts_become_several_strings() {
    let text = format!("a TXT {}\n", "x".repeat(300));
    assert_eq!(records(&clean(Kind::Generic, &text), 0, "a")[0].data.len(), 302);
    let data = clean(Kind::Ip4Set, &format!("1.1.1.1 {}\n", "x".repeat(60_000)));
    expect(&data, &[("1.1.1.1", &format!("127.0.0.2 {}", "x".repeat(60_000)))]);
    let (_, report) = self::data(Kind::Ip4Set, &[&format!("1.1.1.1 {}\n", "x".repeat(60_001))]);
    assert_eq!(faults(&report), [(Fault::LongText, 1, 9)]);
}

#[test]
fn sections() {
    let text = "$TTL 50\n$1 one\n1.1.1.1\n$SOA 0 ns.x. me.x. 7 1h 1h 1h 0\n$DATASET ip4set:proxies proxies @ # c\n:3:$1 $2\n\
                $TTL 90\n$1 late\n$2 two\n1.2.3.4\n$DATASET dnset dom a..b\nbad.example\n$DATASET nothing x\nlost\n$TTL 5\n\
                $DATASET generic g\nwww A 1.2.3.4\n$DATASET ip4set\n9.9.9.9\n$DATASET acl x\n1.1.1.1\n";
    let (data, report) = data(Kind::Combined, &[text, "early\n$DATASET generic h\nx TXT y $2\n"]);
    let names: Vec<Vec<String>> =
        data.sections.iter().map(|section| section.subzones.iter().map(Name::to_string).collect()).collect();
    assert_eq!(names, [&["proxies", "."][..], &["dom", "a.b"], &["g"], &["h"]]);
    let ttls: Vec<u32> = data.sections.iter().map(|section| section.dataset.ttl_s).collect();
    assert_eq!(ttls, [90, 50, 50, 50]);
    assert_eq!(ask(&data.sections[0].dataset, "1.2.3.4", &context()), "127.0.0.3 one two");
    assert_eq!(ask(&data.sections[1].dataset, "bad.example", &context()), "127.0.0.2");
    assert_eq!(records(&data, 2, "www").len(), 1);
    assert_eq!(records(&data, 3, "x").len(), 1);
    assert_eq!(&*data.sections[0].dataset.label, "label:proxies");
    assert_eq!(data.soa.expect("a SOA").ttl_s, 50);
    let expected = [
        (Fault::Unread, 3, 1),
        (Fault::SectionKind, 13, 10),
        (Fault::Unread, 14, 1),
        (Fault::NoSubzone, 18, 16),
        (Fault::SectionKind, 20, 10),
        (Fault::Unread, 21, 1),
        (Fault::Unread, 1, 1),
    ];
    assert_eq!(faults(&report), expected);
}

#[test]
fn what_stands_at_the_apex() {
    let text = "$SOA 5 bad\n#$SOA 3000 Ns1.ex.com host.ex.com 0 10m 5m 1d 2m ; c\n$SOA later is not looked at\n\
                :$NS 1d Ns1.ex -old.ex a\\999 ns1.EX ns2.ex # the second\n$NAMESERVER 5 late\n$MAXRANGE4 /24\n1.2/16\n\
                $MAXRANGE4 9999\n$TIMESTAMP 2020-01-02 +1w\n$TIMESTAMP 20200101 2020:01:05:10\n";
    let (data, report) = data(Kind::Ip4Set, &[text]);
    let soa = data.soa.expect("a SOA");
    assert_eq!(soa.origin.to_string(), "Ns1.ex.com");
    let numbers = [soa.ttl_s, soa.serial, soa.refresh_s, soa.retry_s, soa.expire_s, soa.minimum_s];
    assert_eq!(numbers, [3_000, 0, 600, 300, 86_400, 120]);
    let servers = data.servers.expect("servers");
    assert_eq!((servers.ttl_s, servers.names.len()), (86_400, 2));
    assert_eq!(data.expires_s, Some(1_578_218_400));
    let mut expected =
        vec![(Fault::Special, 1, 11), (Fault::Name, 4, 24), (Fault::LargeRange, 7, 1), (Fault::RaisedLimit, 8, 12)];
    expected.extend([(Fault::PastEnd, 9, 12), (Fault::PastEnd, 10, 12)]);
    assert_eq!(faults(&report), expected);
}

#[test]
fn special_lines_that_are_refused() {
    for text in [
        "$TTL",
        "$TTL x",
        "$TTL 1h30m",
        "$TTL 5 5",
        "$1",
        "$1x y",
        "$ TTL 5",
        "$=",
        "$=x",
        "$NONE x",
        "$DATASET ip4set x",
        "$NS ns.x",
        "$NS 60",
        "$NS 60 # c",
        "$MAXRANGE4 0",
        "$MAXRANGE4 /0",
        "$MAXRANGE4 /33",
        "$MAXRANGE4 5x",
        "$SOA 0 a b 1 2 3 4",
        "$SOA 0 a b 1 2 3 4 5 6",
        "$SOA 0 a b 1h 2 3 4 5",
        "$TIMESTAMP 2020.01.02",
        "$TIMESTAMP 2020-13-01",
        "$TIMESTAMP 2019-02-29",
        "$TIMESTAMP 20-01-01",
        "$TIMESTAMP 2020-01-01--",
        "$TIMESTAMP 0 +5",
        "$TIMESTAMP 2020-01-01 +0",
        "$TIMESTAMP 2020:01:",
        "$TIMESTAMP 2020-01-01 0 x",
        "$LIFETIME soon",
    ] {
        let (_, report) = data(Kind::Ip4Set, &[text]);
        assert_eq!(report.count(Fault::Special), 1, "{text}: {:?}", report.remarks());
        assert_eq!(report.warnings(), 1, "{text}");
    }
    for text in ["$ttl 5", "$TIMESTAMP 0", "$TIMESTAMP - 2039", "$TIMESTAMP 200501023", "# $TTL x", "$1 # text"] {
        let (_, report) = data(Kind::Ip4Set, &[text]);
        assert_eq!(report.warnings(), u64::from(text.ends_with("2039")), "{text}");
    }
}

#[test]
fn ttl_limits() {
    let options = Options { min_ttl_s: 100, max_ttl_s: 200, default_ttl_s: 150, ..options() };
    for (text, expected) in [("", 150), ("$TTL 0", 150), ("$TTL 5", 100), ("$TTL 1h", 200), ("$TTL 160", 160)] {
        let source = Source { name: "f".into(), modified_s: 0, reader: Box::new(text.as_bytes()) };
        let loaded = load(Kind::Ip4Set, "l", [Ok(source)], &options, &mut Report::default()).expect("loads");
        let Loaded::Data(data) = loaded else { panic!("no data") };
        assert_eq!(data.sections[0].dataset.ttl_s, expected, "{text}");
    }
}

/// "Not listed" is kept for no longer than the file says, however long records are to be kept at least.
#[test]
fn no_least_ttl_for_negative_answers() {
    let options = Options { min_ttl_s: 600, max_ttl_s: 3_600, ..options() };
    for (ttl_s, minimum_s, expected) in
        [(30, 7_200, (600, 30)), (700, 40, (700, 40)), (7_200, 7_200, (3_600, 3_600)), (0, 7_200, (2_100, 2_100))]
    {
        let text = format!("$SOA {ttl_s} ns.ex host.ex 1 1h 1h 1d {minimum_s}\n");
        let source = Source { name: "f".into(), modified_s: 0, reader: Box::new(text.as_bytes()) };
        let loaded = load(Kind::Ip4Set, "l", [Ok(source)], &options, &mut Report::default()).expect("loads");
        let Loaded::Data(data) = loaded else { panic!("no data") };
        let (soa, apex) = (data.soa.expect("a SOA"), Name::parse(b"bl.example").expect("a name"));
        let laid = |ttl_s| ZoneSoa::new(Soa { ttl_s, ..soa.clone() }, &apex, 0).answer().clone();
        let zone_soa = ZoneSoa::new(soa.clone(), &apex, 0);
        assert_eq!((zone_soa.answer(), zone_soa.negative()), (&laid(expected.0), &laid(expected.1)), "{text}");
    }
}

#[test]
fn names_that_no_query_carries() {
    let text =
        b"b\xc3\xbccher.de\n*.b\xc3\xbccher.de :2:x\nb\xfccher.de\nb\\252cher.de\nxn--bcher-kva.de b\xc3\xbccher\n";
    let mut report = Report::keeping(9);
    load_files(Kind::DnSet, &[text], &mut report).expect("loads");
    let columns = [(1, 1), (2, 3), (3, 1), (4, 1)];
    assert_eq!(faults(&report), columns.map(|(line, column)| (Fault::NotAscii, line, column)));
    let expected: Vec<bool> =
        report.remarks().iter().map(|remark| remark.expected.contains("`xn--bcher-kva.de`")).collect();
    assert_eq!(expected, [true, true, false, false]);
}

#[test]
fn an_access_list() {
    let text = b"$SOA 0 example.org. hostmaster.example.com. 0 1h 1h 2d 1h\n127.0.0.1 :refuse\n10/8 =Empty # c\n:refuse\n\
        11/8\n12/8 text\n13/8 :5\n0::1 :pass\n14/8 =bad\n15/8 :bad\n:5:five\n16/8\n:6\n17/8\n10/8 :pass\n!18/8\n1.2.3.0-9\n";
    let mut report = Report::keeping(9);
    let Ok(Loaded::Acl(list)) = load_files(Kind::Acl, &[text], &mut report) else { panic!("not an acl") };
    let action = |client: &str| list.action(client.parse().expect("an address"));
    let listed = |client: &str| match action(client) {
        Action::Listed(id) => {
            let text = list.values.text(id).map(|text| list.values.expand(text, b"")).unwrap_or_default();
            format!("{} {}", list.values.address(id), String::from_utf8_lossy(&text))
        }
        other => format!("{other:?}"),
    };
    assert_eq!(action("127.0.0.1"), Action::Refuse);
    assert_eq!((action("10.1.1.1"), action("11.1.1.1")), (Action::Empty, Action::Refuse));
    assert_eq!((listed("12.1.1.1"), listed("13.1.1.1")), ("127.0.0.2 text".into(), "127.0.0.5 ".into()));
    assert_eq!((listed("16.1.1.1"), listed("17.1.1.1")), ("127.0.0.5 five".into(), "127.0.0.6 five".into()));
    assert_eq!(action("::1"), Action::Pass);
    let expected = [
        (Fault::Unused, 1, 1),
        (Fault::Keyword, 9, 7),
        (Fault::Keyword, 10, 7),
        (Fault::Duplicate, 15, 1),
        (Fault::Address, 16, 1),
        (Fault::Address, 17, 8),
    ];
    assert_eq!(faults(&report), expected);
}

#[test]
fn a_keyword_without_its_mark_is_a_text_and_a_mistake() {
    for (kind, key) in [(Kind::Acl, "127.0.0.1"), (Kind::AclKey, "secret")] {
        for (value, is_mistake) in
            [("pass", true), ("Refuse # all", true), ("pass on", false), ("refused", false), (":5:pass", false)]
        {
            let mut report = Report::default();
            load_files(kind, &[format!("{key} {value}\n").as_bytes()], &mut report).expect("loads");
            let expected: &[_] = if is_mistake { &[(Fault::Keyword, 1, key.len() + 2)] } else { &[] };
            assert_eq!(faults(&report), expected, "{value}");
        }
    }
}

#[test]
fn access_keys() {
    let mut report = Report::default();
    let long = "k".repeat(64);
    let text =
        format!("$NS 1d ns.x\nfirst\n:refuse\nSecret :pass\nother:accept\nthird=empty\nfourth\nthird\n{long} :pass\n");
    let Ok(Loaded::Keys(list)) = load_files(Kind::AclKey, &[text.as_bytes()], &mut report) else { panic!("no keys") };
    let action = |key: &str| list.verdict(Some(key.as_bytes()));
    let known = |action| KeyVerdict { is_key: true, action };
    assert_eq!(action("first"), known(Action::Ignore));
    assert_eq!((action("secret"), action("other")), (known(Action::Pass), known(Action::Pass)));
    assert_eq!((action("third"), action("fourth")), (known(Action::Refuse), known(Action::Refuse)));
    assert_eq!(list.verdict(None), KeyVerdict { is_key: false, action: Action::Refuse });
    assert_eq!(faults(&report), [(Fault::Unused, 1, 1), (Fault::DuplicateKey, 8, 1), (Fault::Key, 9, 1)]);
    let Ok(Loaded::Keys(list)) = load_files(Kind::AclKey, &[b"k :pass"], &mut report) else { panic!("no keys") };
    assert_eq!(list.verdict(None).action, Action::Ignore);
}
