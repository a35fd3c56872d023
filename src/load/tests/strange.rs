//! What is not as it should be: faults with their places, and octets that nobody wrote.

use super::*;

#[test]
fn ends_of_lines_and_strange_octets() {
    let (data, report) = data(Kind::Ip4Set, &["\u{feff}1.1.1.1\r\n1.1.1.2 text\r\n\r\n1.1.1.3\x001.1.1\n1.1.1.4"]);
    expect(&data, &[("1.1.1.1", "127.0.0.2"), ("1.1.1.2", "127.0.0.2 text"), ("1.1.1.3", "127.0.0.2")]);
    expect(&data, &[("1.1.1.4", "127.0.0.2")]);
    assert_eq!(faults(&report), [(Fault::Nul, 4, 8)]);
    assert_eq!(report.lines, 5);
}

#[test]
fn equal_words_mean_what_they_mean_where_they_stand() {
    let text = "1.1.1.1 text\n1.1.1.2 text\n:5:\n1.1.1.3 text\n$LIFETIME 1h\n1.1.1.4 text\n$LIFETIME 60\n1.1.1.5 text\n$LIFETIME 0\n";
    let (data, report) = data(Kind::Ip4Set, &[text, "1.1.1.6 text\n1.1.1.7 x @ ts=zz\n1.1.1.8 x @ ts=zz\n"]);
    expect(&data, &[("1.1.1.1", "127.0.0.2 text"), ("1.1.1.2", "127.0.0.2 text"), ("1.1.1.3", "127.0.0.5 text")]);
    expect(&data, &[("1.1.1.4", "127.0.0.5 text +3000"), ("1.1.1.5", "absent"), ("1.1.1.6", "127.0.0.2 text")]);
    assert_eq!(faults(&report), [(Fault::Parameter, 2, 13), (Fault::Parameter, 3, 13)], "every line has its own");
    assert_eq!(report.expired, 1);
    // One octet before the end of a line goes with that, in words that were read before too.
    let (data, _) = self::data(Kind::Ip4Set, &["1.1.1.1 text\r\r\n1.1.1.2 text\r\n1.1.1.3 text\r\r\n"]);
    expect(&data, &[("1.1.1.1", "127.0.0.2 text\r"), ("1.1.1.2", "127.0.0.2 text"), ("1.1.1.3", "127.0.0.2 text\r")]);
}

#[test]
fn parameters_of_a_default_are_text_and_a_mistake() {
    for kind in [Kind::Ip4Set, Kind::Ip4TSet, Kind::Ip4Trie, Kind::Ip6TSet, Kind::DnSet] {
        for (line, at) in [
            (":127.0.0.2:text @ lifetime=5s", Some(17)),
            (":2:text @ lifetme=5s", Some(11)),
            (":2:text @ ts=1;lifetime: 5s", Some(16)),
            (":2:mail me @ home", None),
        ] {
            let (data, report) = data(kind, &[&format!("{line}\n")]);
            let expected: Vec<_> = at.map(|at| (Fault::UnknownParameter, 1, at)).into_iter().collect();
            assert_eq!(faults(&report), expected, "{line}");
            let told = report.remarks().iter().all(|remark| remark.expected.contains("default"));
            assert!(told, "{line}: {:?}", report.remarks());
            assert_eq!(report.bad_lines, 0);
            drop(data);
        }
    }
}

/// What stands behind an exclusion is no text.
#[test]
fn unknown_parameters_are_told_in_words_that_hold_for_exclusions() {
    for line in ["!1.1.1.1 @ lifetme=5s", "1.1.1.1 x @ lifetme=5s"] {
        let (_, report) = data(Kind::Ip4Set, &[&format!("{line}\n")]);
        let remark = report.remarks().iter().find(|remark| remark.fault == Fault::UnknownParameter).expect(line);
        let expected = "delay, ts, key, lifetime or until; as it is, all from the `@` on is no parameter, and none of it is in force";
        assert_eq!(remark.expected, expected, "{line}");
    }
}

/// Classless delegation has owners with a slash (RFC 2317 section 4).
#[test]
fn owners_with_a_slash_are_no_bad_lines() {
    let (data, report) = data(Kind::Generic, &["0/25 PTR a.example.\n1.128/26 PTR b.example.\n"]);
    assert_eq!((report.warnings(), report.bad_lines), (0, 0), "{:?}", report.remarks());
    assert_eq!([records(&data, 0, "0/25").len(), records(&data, 0, "1.128/26").len()], [1, 1]);
    let (_, report) = self::data(Kind::Generic, &["a,b A 5\n*.x A 5\n"]);
    assert_eq!(faults(&report), [(Fault::Character, 1, 2), (Fault::Asterisk, 2, 1)]);
}

#[test]
fn mail_addresses_have_their_own_advice() {
    let text = "john\\.doe@example.com\nm\u{fc}ller@example.com\na@b\u{fc}cher.de\n";
    let (_, report) = data(Kind::DnSet, &[text]);
    assert_eq!(faults(&report), [(Fault::NotAscii, 2, 1), (Fault::NotAscii, 3, 1)]);
    for remark in report.remarks() {
        assert!(!remark.expected.contains("xn--") && remark.expected.contains("mail address"), "{}", remark.expected);
    }
}

#[test]
fn clients_of_ipv4_in_an_access_list_are_written_in_any_way() {
    let text =
        b"::ffff:10.0.0.1 :refuse\n::FFFF:10.1.0.0/112 :refuse\n::ffff:a02:0/112 :refuse\n::ffff:10.3.0.1:refuse\n\
        ::ffff:10.4.0.1/112 :refuse\n::ffff:10.5/112 :refuse\n::ffff:10.6.0.0/95 :refuse\n::ffff:10.7.0.0x :refuse\n";
    let mut report = Report::keeping(9);
    let Ok(Loaded::Acl(list)) = load_files(Kind::Acl, &[text], &mut report) else { panic!("not an acl") };
    let is_refused = |client: &str| list.action(client.parse().expect("an address")) == Action::Refuse;
    for (client, expected) in [
        ("10.0.0.1", true),
        ("10.0.0.2", false),
        ("10.1.255.1", true),
        ("10.2.0.1", true),
        ("10.3.0.1", true),
        ("10.4.0.1", false),
        ("10.6.0.1", false),
        ("10.7.0.0", false),
    ] {
        assert_eq!(is_refused(client), expected, "{client}");
    }
    let lines: Vec<_> = faults(&report).into_iter().map(|(fault, line, _)| (fault, line)).collect();
    let address = |line| (Fault::Address, line);
    assert_eq!(lines, [(Fault::HostBits, 5), address(6), (Fault::HostBits, 7), address(8)]);
    let (_, report) = data(Kind::Ip4Trie, &["::ffff:10.0.0.1\n"]);
    assert_eq!(report.count(Fault::Address), 1, "rbldnsd's datasets have no such form");
}

#[test]
fn what_fails_a_load() {
    let mut report = Report::default();
    let mut fail = |octets: &[u8], options: &Options| {
        let source = Source { name: "bl.gz".into(), modified_s: 0, reader: Box::new(octets) };
        let error = load(Kind::Ip4Set, "label", [Ok(source)], options, &mut report).expect_err("fails");
        error.to_string()
    };
    let plain = Options { decompress: false, ..options() };
    assert!(fail(b"\x1f\x8b\x08", &plain).starts_with("bl.gz is compressed and decompression is disabled"));
    assert!(fail(b"\x1f\x8b\x08", &options()).starts_with("bl.gz is compressed and cannot be unpacked"));
    assert!(fail(b"", &options()).starts_with("bl.gz is compressed and cannot be unpacked: it is empty"));
    let future = fail(b"1.2.3.4\n$TIMESTAMP 2037-01-01\n", &options());
    assert!(future.starts_with("bl.gz:2: data timestamp is 314"), "{future}");
    let missing = LoadError::Open { file: "bl".into(), error: io::ErrorKind::NotFound.into() };
    let error = load(Kind::Ip4Set, "label", [Err(missing)], &options(), &mut Report::default());
    assert!(error.expect_err("fails").to_string().starts_with("cannot open bl"));
}

#[test]
fn strings_of_a_record_have_an_end() {
    // 235 strings, with the octets that tell how long each is: all that there is room for.
    let longest = "x".repeat(60_000 - 235);
    for more in ["\"\"", "\"x\"", "\"\" \"x\"", "\"x\" \"\"", &"\"\" ".repeat(1_900)] {
        let (data, report) = data(Kind::Generic, &[&format!("a TXT \"{longest}\" {more}\n")]);
        assert_eq!(records(&data, 0, "a")[0].data.len(), 60_000, "{more}");
        assert_eq!(faults(&report), [(Fault::LongText, 1, 7)], "{more}");
    }
    let whole = clean(Kind::Generic, &format!("a TXT \"{}\" \"\"\n", &longest[1..]));
    assert_eq!(records(&whole, 0, "a")[0].data.len(), 60_000);
}

/// Lines of which each has something wrong, for every kind.
const WRONG: &str = "$TTL x\n1.2.3.x\n1.2.3.4/8 x\n1.2.3.4 :2x\n1.2.3.4 :0\nx WHAT y\n$DATASET x\n1.2.3.4 99999999999\n1.2.3.4 =bad\n!\n";

#[test]
fn every_remark_says_where_and_what() {
    for kind in Kind::ALL {
        let mut report = Report::keeping(100);
        load_files(kind, &[WRONG.as_bytes()], &mut report).expect("loads");
        assert!(report.warnings() > 0, "{kind}");
        for remark in report.remarks() {
            let line = WRONG.lines().nth(remark.line as usize - 1).expect("a line of the file");
            assert_eq!(remark.file, "file1");
            assert!((1..=line.len() + 1).contains(&remark.column), "{kind}: {remark}");
            assert_eq!(remark.text, line, "{kind}: {remark}");
            assert!(!remark.expected.is_empty(), "{kind}: {remark}");
        }
    }
}

/// Octets that are more telling than most.
fn telling() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&'static [u8]> = vec![
        b"\n",
        b"\n",
        b" ",
        b"\t",
        b":",
        b"::",
        b"!",
        b"$",
        b"$TTL ",
        b"$SOA ",
        b"$NS ",
        b"$DATASET ",
        b"$TIMESTAMP ",
        b"$MAXRANGE4 ",
        b"$LIFETIME ",
        b"$1 ",
        b"$= ",
        b"ip4set",
        b"generic",
        b"dnset",
        b" @ ",
        b" @ ts=",
        b"delay=",
        b";until=",
        b"1.2.3.4",
        b"0/0",
        b"/",
        b"-",
        b".",
        b"*.",
        b"2001:db8::",
        b"ffff",
        b"99999999999",
        b"1h",
        b"a",
        b"A ",
        b"TXT ",
        b"MX ",
        b"SRV ",
        b"CAA ",
        b"SVCB ",
        b"NAPTR ",
        b"\"",
        b"\\",
        b"\\255",
        b"\0",
        b"\r\n",
        b"\xff",
        b"#",
        b"=refuse",
        b"(",
        b")",
        b"2020-01-01",
        b"+5",
        b"0",
        b"7",
    ];
    let word = prop_oneof![8 => proptest::sample::select(words).prop_map(<[u8]>::to_vec), 1 => any::<u8>().prop_map(|octet| vec![octet])];
    proptest::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(octets in telling()) {
        for kind in Kind::ALL {
            let mut report = Report::keeping(1_000);
            let _ = load_files(kind, &[&octets], &mut report);
            for remark in report.remarks() {
                prop_assert!(remark.line == 0 || remark.column > 0);
                prop_assert!(!remark.expected.is_empty() && remark.to_string().is_ascii());
            }
        }
    }
}

/// Lines of a list that is not read in parts are never lost in silence.
#[test]
#[should_panic(expected = "generic is not read in parts")]
fn what_cannot_be_parted_is_not_absorbed() {
    let options = Options::default();
    let mut loader = Loader::new(Kind::Generic, "label", &options);
    let later = loader.fork().expect("no access list");
    loader.absorb(later);
}
