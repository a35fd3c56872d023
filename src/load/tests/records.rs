//! Plain records.

use super::*;

#[test]
fn plain_records() {
    let data = clean(
        Kind::Generic,
        "$TTL 60\n@ A 1.2.3.4\n@ 5m IN mx 10 Mail.Example.\n$TTL 70\nwww 0 txt \"one\" \"two\"\nwww TXT raw # text\n\
         www TXT \"q\"1\"\n6 AAAA 2001:db8::1\n_x._tcp SRV 1 2 3 Host.Example.\nc CAA 0 issue \"ca.example\"\np PTR A.b.\ne TXT \"\"\nn A 5 # c\n",
    );
    let record = |kind, ttl_s, data: &[u8]| Record { kind, ttl_s, data: data.into() };
    let expected: &[(&str, &[Record])] = &[
        (".", &[record(rr::A, 60, &[1, 2, 3, 4]), record(rr::MX, 300, b"\0\x0a\x04Mail\x07Example\0")]),
        (
            "www",
            &[
                record(rr::TXT, 70, b"\x03one\x03two"),
                record(rr::TXT, 70, b"\x0araw # text"),
                record(rr::TXT, 70, b"\x03q\"1"),
            ],
        ),
        ("6", &[record(rr::AAAA, 70, &"2001:db8::1".parse::<Ipv6Addr>().expect("an address").octets())]),
        ("_x._tcp", &[record(33, 70, b"\0\x01\0\x02\0\x03\x04host\x07example\0")]),
        ("c", &[record(257, 70, b"\0\x05issueca.example")]),
        ("p", &[record(rr::PTR, 70, b"\x01a\x01b\0")]),
        ("e", &[record(rr::TXT, 70, b"\0")]),
        ("n", &[record(rr::A, 70, &[0, 0, 0, 5])]),
    ];
    for (name, expected) in expected {
        assert_eq!(records(&data, 0, name), *expected, "{name}");
    }
}

#[test]
fn a_ttl_ends_where_caches_take_it_for_none() {
    let lines =
        "$TTL 2147483648\n$SOA 4294967295 a b 1 2 3 4 5\n$NS 25000d ns\na A 5\na 2147483648 A 6\na 2147483647 A 7\n";
    let (data, report) = data(Kind::Generic, &[lines]);
    let longest_s = i32::MAX as u32;
    assert_eq!(records(&data, 0, "a").iter().map(|record| record.ttl_s).collect::<Vec<_>>(), [longest_s; 3]);
    let head = (data.soa.expect("a SOA").ttl_s, data.servers.expect("a server").ttl_s);
    assert_eq!(head, (longest_s, longest_s));
    assert_eq!(faults(&report), [(1, 6), (2, 6), (3, 5), (5, 3)].map(|(line, column)| (Fault::LongTtl, line, column)));
}

#[test]
fn plain_records_that_are_refused() {
    let lines = "a NS ns.x.\na CNAME b.\na DS 1 2 3\na WHAT x\na 5x A 1.2.3.4\na IN 60 A 1.2.3.4\na MX 10\na MX 10 m. x\n\
                 a MX 70000 m.\n. A 1.2.3.4\na\na AAAA 1.2.3.4\na SRV 1 2\na A 1.2.3.400\na CH A 1.2.3.4\na CAA \u{e9}\na TXT \n";
    let mut report = Report::keeping(99);
    load_files(Kind::Generic, &[lines.as_bytes()], &mut report).expect("loads");
    let found: Vec<_> = report.remarks().iter().map(|remark| (remark.line, remark.fault)).collect();
    let lines = 1..=17;
    let expected: Vec<_> = lines
        .map(|line| {
            let fault = match line {
                1..=3 => Fault::RecordType,
                10 => Fault::Name,
                14 => Fault::ARecord,
                _ => Fault::Record,
            };
            (line, fault)
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn services_are_those_that_a_client_takes() {
    let data = clean(
        Kind::Generic,
        "a SVCB 1 . port=53 mandatory=port,alpn alpn=dot\na HTTPS 0 b.\n\
         b HTTPS 1 . no-default-alpn alpn=h2,h3 ipv6hint=2001:db8::1,2001:db8::2 key7=/dns-query{?dns} key8 key4660=any\n",
    );
    let kinds: Vec<u16> = records(&data, 0, "a").iter().map(|record| record.kind).collect();
    assert_eq!(kinds, [64, 65]);
    // Keys stand in the order of their numbers (RFC 9460 section 2.2), those that are mandatory too (section 8).
    let wire = b"\0\x01\0\0\0\0\x04\0\x01\0\x03\0\x01\0\x04\x03dot\0\x03\0\x02\0\x35";
    assert_eq!(&*records(&data, 0, "a")[0].data, wire);
    assert_eq!(records(&data, 0, "b").len(), 1);
    for refused in [
        "mandatory=alpn",
        "mandatory=mandatory,alpn alpn=h2",
        "mandatory=alpn,alpn alpn=h2",
        "mandatory=key4660 alpn=h2",
        "no-default-alpn",
        "alpn=h2 alpn=h3",
        "alpn=h2,,h3",
        "key0=x",
        "key1=x",
        "key1=",
        "key2=x alpn=h2",
        "key3=x",
        "ipv4hint=",
        "key6=x",
        "key7=x",
        "key7=/dns-query",
        "key8=x",
    ] {
        for kind in ["SVCB", "HTTPS"] {
            let (data, report) = self::data(Kind::Generic, &[&format!("a {kind} 1 . {refused}\n")]);
            assert_eq!(faults(&report), [(Fault::Record, 1, 4 + kind.len())], "{refused}");
            assert!(records(&data, 0, "a").is_empty());
        }
    }
}

#[test]
fn what_no_reply_holds_is_told() {
    let texts = |name: &str, count: u32, octets: usize| {
        let lines = (0..count).map(|line| format!("{name} TXT {line:03}{}\n", "x".repeat(octets - 4)));
        lines.collect::<Vec<_>>().concat()
    };
    // 1,000 records of 12 and 53 octets, and the same with an octet more.
    let text = [texts("fits", 1_000, 53), texts("long", 1_000, 54), texts("both", 600, 96), "both A 1.2.3.4\n".into()]
        .concat();
    let (data, report) = data(Kind::Generic, &[&text]);
    assert_eq!(faults(&report), [(Fault::ManyValues, 0, 0)]);
    let said = report.remarks()[0].to_string();
    assert!(said.starts_with("label: warning: too many values `long TXT`: expected at most 65200 octets"), "{said}");
    assert_eq!(records(&data, 0, "long").len(), 1_000);
}
