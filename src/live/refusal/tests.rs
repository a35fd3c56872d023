//! Each rule, on both sides of its limit.

use super::*;
use crate::load::{self, Options, Source};

fn judge(kind: Kind, text: &str, old_entries: Option<usize>, rules: &ReloadRules) -> Vec<Breach> {
    judge_at(1_800_000_000, kind, text, old_entries, rules)
}

fn judge_at(now_s: u64, kind: Kind, text: &str, old_entries: Option<usize>, rules: &ReloadRules) -> Vec<Breach> {
    let mut report = Report::default();
    let options = Options { now_s, ..Options::default() };
    let source = Source { name: "file".into(), modified_s: 1_700_000_000, reader: Box::new(text.as_bytes()) };
    let loaded = load::load(kind, "test", [Ok(source)], &options, &mut report).expect("loads");
    let servers = ["192.0.2.53".parse().expect("an address")];
    let loses_soa = kind != Kind::Acl && text.contains("# no $SOA");
    rules.judge(&Judged { loaded: &loaded, report: &report, old_entries, loses_soa, servers: &servers, now_s })
}

fn words(kind: Kind, text: &str, old_entries: Option<usize>) -> Vec<&'static str> {
    judge(kind, text, old_entries, &ReloadRules::default()).iter().map(Breach::word).collect()
}

#[test]
fn good_data_break_no_rule() {
    assert!(words(Kind::Ip4Set, "127.0.0.2\n192.0.2.1\n!127.0.0.1\n", Some(2)).is_empty());
    assert!(words(Kind::DnSet, "example.com\n", Some(1)).is_empty());
}

#[test]
fn each_rule() {
    assert_eq!(words(Kind::Ip4Set, "192.0.2.1\n", Some(1_000)), ["collapsed"]);
    assert!(words(Kind::Ip4Set, "192.0.2.1\n", Some(999)).is_empty(), "small lists may drain");
    assert_eq!(words(Kind::Acl, "127.0.0.1 :pass\n0/0 :refse\n", Some(2)), ["access"]);
    assert_eq!(words(Kind::Ip4Trie, "64.0.0.0/1\n192.0.2.1\n", None), [] as [&str; 0], "a mistake of the line");
    assert_eq!(words(Kind::Ip4Trie, "0.0.0.0/0\n!127.0.0.1\n!192.0.2.53\n", None), ["world"]);
    assert_eq!(words(Kind::Ip6Trie, "::/0\n!::ffff:0:0/96\n", None), ["world"]);
    assert_eq!(words(Kind::Ip4Set, "127.0.0.1\n", None), ["never_listed"]);
    assert_eq!(words(Kind::Ip4Set, "192.0.2.0/24\n", None), ["own_server"]);
    assert_eq!(words(Kind::Ip4Set, "198.51.100.1\n198.51.10", None), ["cut_short"]);
    assert_eq!(words(Kind::Ip4Set, "198.51.100.1\n# no $SOA\n", Some(1)), ["lost_soa"]);
    assert_eq!(words(Kind::Ip4Set, &"not an address\n".repeat(10), None), ["bad_lines"]);
    assert!(words(Kind::Ip4Trie, &"198.51.100.1\n".repeat(20), None).is_empty(), "what is said twice is said");
    assert_eq!(words(Kind::Ip4Set, "$TIMESTAMP 2020-01-01 2020-02-01\n192.0.2.1\n", None), ["expired"]);
}

#[test]
fn what_no_list_may_hold() {
    for (kind, line) in [
        (Kind::Ip4Set, "127.0.0.1"),
        (Kind::Ip6Trie, "::ffff:7f00:1"),
        (Kind::Ip6Trie, "::ffff:0:0/96"),
        (Kind::Ip6Trie, "::/80"),
        (Kind::DnSet, "invalid"),
        (Kind::DnSet, ".invalid"),
        (Kind::DnSet, "INVALID :3:x"),
        (Kind::DnSet, "invalid @ key=require"),
        (Kind::DnSet, ".invalid\n!invalid @ until=1800003600"),
        (Kind::DnHash, "invalid"),
    ] {
        assert_eq!(words(kind, &format!("{line}\n"), None), ["never_listed"], "{kind} {line}");
    }
    for (kind, lines) in [
        (Kind::Ip6Trie, "::ffff:7f00:2\n2001:db8::/32"),
        (Kind::Ip6Trie, "::ffff:0:0/96\n!::ffff:7f00:1/128"),
        (Kind::DnSet, ".invalid\n!invalid"),
        (Kind::DnSet, "x.invalid\n*.invalid\ninvalid.example\ntest\n.example"),
        (Kind::DnSet, "invalid @ until=1799999999\ntest"),
    ] {
        assert!(words(kind, &format!("{lines}\n"), None).is_empty(), "{kind} {lines}");
    }
    assert!(judge(Kind::DnSet, "invalid\n", None, &ReloadRules::none()).is_empty());
}

#[test]
fn what_will_be_listed_counts_as_well() {
    let until = "@ until=1800003600";
    for (lines, word) in [
        (format!("127.0.0.0/8\n!127.0.0.1 {until}\n"), "never_listed"),
        ("127.0.0.1 @ ts=1800000000;delay=20m\n".to_owned(), "never_listed"),
        ("127.0.0.1 @ key=require\n".to_owned(), "never_listed"),
        (format!("192.0.2.0/24\n!192.0.2.53 {until}\n"), "own_server"),
        (format!("0.0.0.0/0\n!0.0.0.0/1 {until}\n!128.0.0.0/1 {until}\n!127.0.0.1\n!192.0.2.53\n"), "world"),
    ] {
        assert_eq!(words(Kind::Ip4Trie, &lines, None), [word], "{lines}");
    }
    // What is over already, and what stays excluded.
    assert!(words(Kind::Ip4Trie, "127.0.0.1 @ until=1799999999\n127.0.0.0/8\n!127.0.0.0/24\n", None).is_empty());
    assert!(words(Kind::Ip4Set, &format!("127.0.0.0/24 {until}\n!127.0.0.1\n"), None).is_empty());
}

#[test]
fn what_has_no_end_is_still_listed_when_32_bits_are_over() {
    let breaches = judge_at(1 << 33, Kind::Ip4Set, "127.0.0.1 @ key=require\n", None, &ReloadRules::default());
    assert_eq!(breaches.iter().map(Breach::word).collect::<Vec<_>>(), ["never_listed"]);
}

#[test]
fn each_says_what_to_do() {
    let remedies = [
        ("192.0.2.1\n", "`min-share`"),
        ("0.0.0.0/0\n!127.0.0.1\n!192.0.2.53\n", "look for a prefix that is too short"),
        ("127.0.0.1\n", "`!127.0.0.1/32`"),
        ("::ffff:7f00:1\n", "`!::ffff:7f00:1/128`"),
        ("invalid\n", "`!invalid`"),
        ("192.0.2.0/24\n", "`!192.0.2.53`"),
        ("198.51.100.1\n198.51.10", "write to another name and rename it"),
        ("198.51.100.1\n# no $SOA\n", "`refuse-lost-soa`"),
        (&"not an address\n".repeat(10), "`max-bad-share`"),
        ("$TIMESTAMP 2020-01-01 2020-02-01\n192.0.2.1\n", "see their $TIMESTAMP"),
    ];
    for (text, remedy) in remedies {
        let old_entries = Some(1_000).filter(|_| remedy == "`min-share`");
        let kind = match text {
            "invalid\n" => Kind::DnSet,
            _ if text.contains("::") => Kind::Ip6Trie,
            _ => Kind::Ip4Trie,
        };
        let breaches = judge(kind, text, old_entries, &ReloadRules::default());
        assert!(breaches[0].to_string().contains(remedy), "{text}: {}", breaches[0]);
    }
}

#[test]
fn a_refusal_has_an_end() {
    let never_list = (1..=200).map(|number| IpNet::from(IpAddr::from([203, 0, 113, number]))).collect();
    let rules = ReloadRules { never_list, ..ReloadRules::default() };
    let said = |text: &str| in_words(&judge(Kind::Ip4Trie, text, Some(2_000), &rules));
    assert_eq!(said("127.0.0.1\n203.0.113.7\n").len(), 3, "all of a few");
    let [collapsed, never_listed @ .., more, own_server] = &said("127.0.0.1\n192.0.2.0/24\n203.0.0.0/8\n")[..] else {
        panic!("several")
    };
    assert!(collapsed.contains("where there were 2000") && own_server.contains("192.0.2.53"), "{own_server}");
    assert!(never_listed.iter().all(|said| said.contains("must never be listed")), "{never_listed:?}");
    assert_eq!((never_listed.len(), &**more), (5, "and 196 more of that kind"));
}

#[test]
fn what_has_no_exclusions_is_not_told_to_exclude() {
    let rules = ReloadRules::default();
    let said = |text: &str, kind| judge(kind, text, None, &rules).iter().map(ToString::to_string).collect::<String>();
    for (kind, text) in [(Kind::Ip4TSet, "127.0.0.1\n192.0.2.53\n"), (Kind::Ip4Seen, "127.0.0.1 1\n192.0.2.53 1\n")] {
        let said = said(text, kind);
        assert!(said.contains("take them out") && said.contains("take it out") && !said.contains('!'), "{said}");
    }
}

#[test]
fn shares_are_limits() {
    let lines = |bad: usize| format!("{}{}", "not an address\n".repeat(bad), "192.0.2.1\n".repeat(200 - bad));
    assert!(words(Kind::Ip4Set, &lines(20), None).is_empty(), "a tenth is allowed");
    assert_eq!(words(Kind::Ip4Set, &lines(21), None), ["bad_lines"]);
    // A line counts once, whatever is wrong with it.
    let twice = format!("{}{}", "192.0.2.1 @ lifetime=x;until=x\n".repeat(20), "192.0.2.1\n".repeat(180));
    assert!(words(Kind::Ip4Set, &twice, None).is_empty(), "a tenth is allowed");
    // Of entries that are equal each counts.
    let hosts = |count| "10.0.0.1\n".repeat(count);
    assert!(words(Kind::Ip4Set, &hosts(1_000), Some(2_000)).is_empty(), "a half is allowed");
    assert_eq!(words(Kind::Ip4Set, &hosts(999), Some(2_000)), ["collapsed"]);
    assert!(words(Kind::Ip4Trie, "128.0.0.0/2\n", None).is_empty(), "a quarter is allowed");
    assert_eq!(words(Kind::Ip4Trie, "128.0.0.0/2\n1.2.3.4\n", None), ["world"]);
    assert_eq!(words(Kind::Ip6Trie, "2000::/5\n", None), [] as [&str; 0]);
    assert_eq!(words(Kind::Ip6Trie, "2000::/5\n2800::/16\n", None), ["world"]);
}

#[test]
fn what_is_left_without_entries() {
    let over = "192.0.2.1 @ until=1799999999\n";
    for kind in [Kind::Ip4Set, Kind::Ip6Trie, Kind::DnSet, Kind::Generic] {
        for text in ["", "# nobody\n", "$TTL 1h\n"] {
            assert_eq!(words(kind, text, Some(10)), ["collapsed"], "{kind}: {text}");
            assert!(words(kind, text, Some(9)).is_empty(), "{kind}: {text}: a few may go");
        }
    }
    // An error's page, whose blank lines are no better.
    assert_eq!(words(Kind::Ip4Set, "<html>\n\n404\n\n\n", Some(3)), ["bad_lines"]);
    assert_eq!(words(Kind::Ip4Set, "<html>\n", Some(30)), ["collapsed", "bad_lines"]);
    assert_eq!(words(Kind::Ip4Set, "<html>\n", None), ["bad_lines"]);
    assert!(words(Kind::Ip4Set, &format!("<html>\n{over}"), Some(3)).is_empty(), "that was an entry");
    // A page has names in it for those who take anything for one.
    assert_eq!(words(Kind::DnSet, "<html>\n\n</html>\n\n\n", Some(3)), ["bad_lines"]);
    assert_eq!(words(Kind::DnSet, "<html>\n\n</html>\n\n\n", Some(901)), ["collapsed", "bad_lines"]);
    assert_eq!(words(Kind::DnSet, "<p>The server is\nbusy</p>\nnow\n<hr>\n</html>\n", Some(9)), ["bad_lines"]);
    assert!(words(Kind::DnSet, "a,b\nb.example\nc.example\n", Some(3)).is_empty(), "a mistake");
    assert!(words(Kind::DnSet, "a,b\nb.example\n", Some(3)).is_empty(), "half of them are not most");
    assert!(words(Kind::Ip4Set, over, Some(999)).is_empty(), "so was that");
    let free = ReloadRules { min_share: 0.0, max_bad_share: 1.0, ..ReloadRules::default() };
    for text in ["", "<html>\n"] {
        assert!(judge(Kind::Ip4Set, text, Some(999), &free).is_empty(), "{text}");
        assert!(judge(Kind::Ip4Set, text, Some(999), &ReloadRules::none()).is_empty(), "{text}");
    }
}

#[test]
fn half_an_access_list_is_none() {
    for rules in [ReloadRules::default(), ReloadRules::none()] {
        let said = |kind, text: &str, old_entries| {
            judge(kind, text, old_entries, &rules).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(said(Kind::Acl, "127.0.0.1 :pass\n0/0 :refuse\n", Some(3)), "");
        assert_eq!(said(Kind::AclKey, ":refuse\nsecret :pass\n", Some(3)), "");
        assert_eq!(said(Kind::Acl, "0/0 :refuse\n0/0 :refuse\n", Some(3)), "");
        assert_eq!((said(Kind::Acl, "", None), said(Kind::AclKey, "", Some(0))), Default::default());
        let mended = said(Kind::Acl, "127.0.0.1 :pass\n0/0 :refse\n", Some(2));
        assert!(mended.starts_with("1 line is bad") && mended.ends_with("mend them"), "{mended}");
        assert!(said(Kind::Acl, "127.0.0.1 :pass\n0/0 refuse\n", Some(2)).starts_with("1 line is bad"));
        assert!(said(Kind::AclKey, "a :x\nb :y\n", None).starts_with("2 lines are bad"));
        let empty = said(Kind::Acl, "# open\n", Some(1));
        assert!(empty.starts_with("no entries where there were 1"), "{empty}");
        assert!(empty.ends_with("see whether the file is complete"), "{empty}");
        let both = said(Kind::AclKey, "a :x\n", Some(7));
        assert!(both.contains("1 line is bad") && both.contains("there were 7"), "{both}");
    }
    for text in ["", "127.0.0.1 :pass\n"] {
        assert_eq!(
            words(Kind::Acl, text, Some(1_000)).first(),
            Some(&if text.is_empty() { "access" } else { "collapsed" })
        );
    }
}

#[test]
fn what_the_operator_names_is_never_listed() {
    let rules = ReloadRules { never_list: vec!["203.0.113.0/24".parse().expect("a prefix")], ..ReloadRules::default() };
    assert_eq!(judge(Kind::Ip4Set, "203.0.113.9\n", None, &rules)[0].word(), "never_listed");
    assert_eq!(judge(Kind::Ip6Trie, "::ffff:cb00:7109\n", None, &rules)[0].word(), "never_listed");
    assert!(judge(Kind::Ip4Set, "0/8\n203.0.113.9\n", Some(5_000_000), &ReloadRules::none()).is_empty());
    // Whoever switches all others off has said nothing of these.
    let shares = ReloadRules { min_share: 0.0, max_address_share: 1.0, max_bad_share: 1.0, ..rules };
    let rules = ReloadRules { refuse_cut_short: false, refuse_own_servers: false, refuse_lost_soa: false, ..shares };
    assert_eq!(judge(Kind::Ip4Set, "203.0.113.9\n", None, &rules)[0].word(), "never_listed");
    assert_eq!(judge(Kind::Ip4Set, "127.0.0.1\n", None, &rules)[0].word(), "never_listed");
}
