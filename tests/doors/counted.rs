//! What becomes of changes is counted, by whatever door they come, and the sums hold.

use std::collections::BTreeMap;

use super::{
    Server,
    datagrams::send,
    http::{get, metric, put},
    open, run,
    updates::{refusal, update},
};

/// Runs a command on the server's state folder; whether it was a success.
fn command(server: &Server, words: &[&str], input: &str) -> bool {
    let state = server.folder().join("state");
    let words = [words, &["--state", state.to_str().expect("a path")]].concat();
    run(env!("CARGO_BIN_EXE_dnsbld"), &words, input).0
}

/// The samples of a family, by their labels.
fn samples(server: &Server, family: &str) -> BTreeMap<String, u64> {
    let (is_well, text) = run("curl", &["-sS", &format!("http://{}/metrics", server.http())], "");
    assert!(is_well, "{text}");
    let of_family = text.lines().filter_map(|line| line.strip_prefix(family)?.strip_prefix('{')?.split_once("} "));
    of_family.map(|(labels, value)| (labels.replace('"', ""), value.parse().expect("a count"))).collect()
}

#[test]
fn each_change_is_counted_once_with_its_end() {
    let server = open();
    let by_message = || {
        let requests = samples(&server, "dnsbld_door_requests_total");
        let of = |door: &str, result: &str| requests[&format!("door={door},result={result}")];
        ["command", "dns-update", "http", "rspamd"]
            .map(|door| ["done", "refused", "answered"].map(|result| of(door, result)))
    };
    assert!(samples(&server, "dnsbld_updates_total").is_empty(), "nothing came in");
    assert_eq!(by_message(), [[0; 3]; 4], "but each door has its series");
    assert!(command(&server, &["list", "bl.example", "192.0.2.1", "192.0.2.2"], ""));
    assert!(command(&server, &["list", "bl.example", "192.0.2.2"], ""));
    assert!(command(&server, &["list", "bl.example", "127.0.0.2", "--exclude"], ""));
    put(&server, "bl.example", "192.0.2.3", "");
    assert!(command(&server, &["delist", "bl.example", "192.0.2.1"], ""));
    assert!(!command(&server, &["list", "names.example", "192.0.2.1"], ""), "it holds names");
    update(&server, "update add 4.2.0.192.bl.example 60 A 127.0.0.2");
    let unless_listed = "prereq nxdomain 4.2.0.192.bl.example\nupdate delete 4.2.0.192.bl.example";
    assert!(refusal(&server, unless_listed).contains("YXDOMAIN"), "no change comes of it");
    assert_eq!(send(&server, b"bl.example\x00-192.0.2.9"), "OK");
    let foreign = concat!(
        r#"{"zone":"elsewhere.example","key":"192.0.2.1","verdict":"excluded","since_s":1,"changed_s":1,"until_s":null,"times":0,"counted_s":0,"door":"http","who":"moved"}"#,
        "\n"
    );
    assert!(!command(&server, &["listings", "import", "-"], foreign), "not served here");
    let expected = [
        ("command", "delist", "delisted", "bl.example", 1),
        ("command", "exclude", "excluded", "bl.example", 1),
        ("command", "exclude", "refused", "-", 1),
        ("command", "list", "extended", "bl.example", 1),
        ("command", "list", "listed", "bl.example", 2),
        ("command", "list", "refused", "names.example", 1),
        ("dns-update", "list", "listed", "bl.example", 1),
        ("http", "list", "listed", "bl.example", 1),
        ("rspamd", "delist", "unchanged", "bl.example", 1),
    ];
    let expected: BTreeMap<String, u64> = expected
        .into_iter()
        .map(|(door, op, result, zone, count)| (format!("zone={zone},door={door},op={op},result={result}"), count))
        .collect();
    assert_eq!(samples(&server, "dnsbld_updates_total"), expected);

    // By message: a zone that is not ours, an update without a key, HTTP without a token; and who only asks is answered.
    assert!(!command(&server, &["list", "elsewhere.example", "192.0.2.1"], ""));
    assert!(command(&server, &["history", "192.0.2.1"], ""));
    let unsigned = [&[0, 1, 0x28, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x02bl\x07example\x00\x00\x06\x00\x01"].concat();
    assert_eq!(server.ask_udp(None, &unsigned, false).expect("an answer")[3] & 0xf, 5, "REFUSED");
    let path = "/v1/zones/bl.example/listings/192.0.2.3";
    get(&server, path);
    assert!(!run("curl", &["-sS", "--fail", &format!("http://{}{path}", server.http())], "").0);
    // nsupdate asks for the zone before each of its two.
    assert_eq!(by_message(), [[4, 3, 1], [1, 2, 2], [1, 1, 1], [1, 0, 0]]);

    // What is listed is what was listed and not delisted since; exclusions are told apart.
    let sum = |word: &str| expected.iter().filter(|(labels, _)| labels.contains(word)).map(|(_, count)| count).sum();
    let listed: u64 = sum("result=listed");
    let is_left = listed - sum("result=delisted");
    let told = |family: &str| samples(&server, family)["zone=bl.example"];
    assert_eq!((told("dnsbld_live_listings"), told("dnsbld_live_exclusions")), (is_left, sum("result=excluded")));
    assert_eq!(
        samples(&server, "dnsbld_live_listings")["zone=other.example"],
        0,
        "a zone without any has a series too"
    );
    assert_eq!(metric(&server, "dnsbld_live_store_writable"), Some(1.0));
}
