//! Every request is counted once, and what must add up does; health is told apart from readiness.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{TcpStream, UdpSocket},
};

use serde_json::{Value, json};

use super::{
    live::{Live, Place, await_true},
    support::message::{Edns, Query},
};

/// All labels that there are: none is for an address or a name that was asked for.
const LABELS: [&str; 14] = [
    "zone", "proto", "family", "type", "rcode", "result", "reason", "dataset", "probe", "door", "op", "version", "le",
    "stage",
];

/// What dashboards and alerts rely on: families, with their labels in alphabetical order.
const FAMILIES: [(&str, &str); 24] = [
    ("dnsbld_dns_requests_total", "family proto type zone"),
    ("dnsbld_dns_responses_total", "rcode zone"),
    ("dnsbld_dns_request_duration_seconds_bucket", "le"),
    ("dnsbld_dns_response_size_bytes_bucket", "le"),
    ("dnsbld_dns_truncated_total", ""),
    ("dnsbld_dns_dropped_total", "reason"),
    ("dnsbld_lookups_total", "result zone"),
    ("dnsbld_zone_entries", "dataset zone"),
    ("dnsbld_zone_memory_bytes", "zone"),
    ("dnsbld_zone_serial", "zone"),
    ("dnsbld_zone_retired", "zone"),
    ("dnsbld_zone_loaded_timestamp_seconds", "zone"),
    ("dnsbld_zone_load_duration_seconds", "zone"),
    ("dnsbld_zone_load_failed_total", "reason zone"),
    ("dnsbld_zone_expired_entries_total", "zone"),
    ("dnsbld_zone_next_expiry_timestamp_seconds", "zone"),
    ("dnsbld_live_listings", "zone"),
    ("dnsbld_updates_total", "door op result zone"),
    ("dnsbld_selftest_ok", "probe zone"),
    ("dnsbld_build_info", "version"),
    ("dnsbld_tcp_connections", ""),
    ("process_cpu_seconds_total", ""),
    ("process_resident_memory_bytes", ""),
    ("process_open_fds", ""),
];

#[test]
fn each_family_has_its_labels() {
    let place = place();
    place.drop_file("ends.example.ip4set", "127.0.0.2 @ until=2099-01-01T00:00:00Z\n");
    let live = Live::start(&place, &[]);
    assert!(live.tell(&["list", "bl.example", "192.0.2.77", "--for", "1h"]).0);
    place.drop_file("guarded.example.ip4set", "not an address\n".repeat(20));
    live.await_words("refused");
    live.ask("2.0.0.127.bl.example");
    await_true(
        "a self-test",
        || live.metrics().contains("dnsbld_zone_next_expiry_timestamp_seconds{"),
        || live.metrics(),
    );
    let all = samples(&live);
    for (family, labels) in FAMILIES {
        let shown = all.keys().find(|name| name.split('{').next() == Some(family));
        let shown = shown.unwrap_or_else(|| panic!("no {family} in {}", live.metrics()));
        let given = shown.split_once('{').map_or("", |(_, labels)| labels);
        let mut given: Vec<&str> =
            given.split("\",").filter_map(|label| label.split_once("=\"").map(|(label, _)| label)).collect();
        given.sort_unstable();
        assert_eq!(given.join(" "), labels, "{shown}");
    }
}

/// A list of addresses, one of names, and a client that is met with silence.
pub(crate) fn place() -> Place {
    let place = Place::new();
    place.drop_file(
        "bl.example.ip4set",
        "$SOA 3600 ns.example. admin.example. 7 600 300 86400 300\n$NS 3600 ns.example.\n:2:listed, see $\n127.0.0.2\n192.0.2.0/24\n!192.0.2.9\n",
    );
    place.drop_file("names.example.dnset", ":3:bad\ntest\n.spam.example\n");
    place.drop_file("guarded.example.ip4set", "127.0.0.2\n");
    place.drop_file("guarded.example.acl", "127.0.0.0/8 :ignore\n");
    place
}

/// Samples by name and labels.
pub(crate) fn samples(live: &Live) -> BTreeMap<String, f64> {
    let text = live.metrics();
    let body = text.split("\r\n\r\n").nth(1).expect("a body");
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.filter_map(|line| line.rsplit_once(' ')).map(|(name, value)| {
        (name.to_owned(), value.parse().unwrap_or_else(|error| panic!("{name} {value}: {error}")))
    });
    samples.collect()
}

/// The sum of all samples of a family that have these words among their labels.
pub(crate) fn sum(samples: &BTreeMap<String, f64>, family: &str, labels: &[&str]) -> f64 {
    let is_of = |name: &str| {
        let (own, own_labels) = name.split_once('{').unwrap_or((name, ""));
        own == family && labels.iter().all(|label| own_labels.contains(label))
    };
    samples.iter().filter(|(name, _)| is_of(name)).map(|(_, value)| value).sum()
}

/// Sends octets and takes the answer, if one is to come.
fn ask(live: &Live, octets: &[u8], is_answered: bool) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.send_to(octets, live.address()).expect("sent");
    socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).expect("a timeout");
    if is_answered {
        socket.recv(&mut [0; 4096]).expect("an answer");
    }
}

fn ask_on_stream(live: &Live, octets: &[u8]) {
    let mut stream = TcpStream::connect(live.address()).expect("a connection");
    let message = [&(octets.len() as u16).to_be_bytes()[..], octets].concat();
    stream.write_all(&message).expect("sent");
    stream.read_exact(&mut [0; 14]).expect("an answer");
}

/// What else never came has no series.
#[test]
fn the_usual_begins_with_zeros() {
    let place = place();
    let all = samples(&Live::start(&place, &[]));
    let is_of_traffic =
        |name: &str| ["dnsbld_dns_requests_", "dnsbld_dns_responses_"].iter().any(|family| name.starts_with(family));
    let found = all.iter().filter(|(name, _)| is_of_traffic(name) && name.contains("names.example"));
    let found: Vec<String> = found.map(|(name, value)| format!("{name} {value}")).collect();
    let usual = [
        r#"dnsbld_dns_requests_total{zone="names.example",proto="udp",family="1",type="A"} 0"#,
        r#"dnsbld_dns_responses_total{zone="names.example",rcode="NOERROR"} 0"#,
        r#"dnsbld_dns_responses_total{zone="names.example",rcode="NXDOMAIN"} 0"#,
    ];
    assert_eq!(found, usual);
}

#[test]
fn all_that_comes_is_counted_once_and_adds_up() {
    let place = place();
    let live = Live::start(&place, &[]);
    let lookups = [
        ("2.0.0.127.bl.example", "listed"),
        ("1.0.0.127.bl.example", "unlisted"),
        ("9.2.0.192.bl.example", "unlisted"),
        ("2.0.192.bl.example", "empty_non_terminal"),
        ("192.bl.example", "empty_non_terminal"),
        ("5.6.bl.example", "unlisted"),
        ("spam.example.bl.example", "misuse"),
        ("xn--p1ai.bl.example", "misuse"),
        ("02.0.0.127.bl.example", "malformed"),
        ("1.2.0.0.127.bl.example", "malformed"),
        ("a.spam.example.names.example", "listed"),
        ("ham.example.names.example", "unlisted"),
        ("example.names.example", "empty_non_terminal"),
        ("2.0.0.127.names.example", "misuse"),
    ];
    let mut requests = 0_u32;
    for (name, _) in lookups {
        for kind in [1, 16, 28, 99] {
            ask(&live, &Query::new(name, kind).octets(), true);
            requests += 1;
        }
    }
    ask_on_stream(&live, &Query::new("2.0.0.127.bl.example", 16).octets());
    ask(&live, &Query::new("elsewhere.test", 1).octets(), true);
    ask(&live, &Query::new("bl.example", 6).octets(), true);
    // What is refused was asked for all the same.
    let refused = Edns { payload_len: 1232, version: 1, flags: 0, options: Vec::new() };
    ask(&live, &Query { edns: Some(refused), ..Query::new("2.0.0.127.bl.example", 16) }.octets(), true);
    // Silence: an access list, a response, half a header, more than is taken.
    ask(&live, &Query::new("2.0.0.127.guarded.example", 1).octets(), false);
    let mut response = Query::new("2.0.0.127.bl.example", 1).octets();
    response[2] |= 0x80;
    ask(&live, &response, false);
    ask(&live, b"half a he", false);
    ask(&live, &[0; 5_000], false);
    requests += 8;

    await_true(
        "all counted",
        || sum(&samples(&live), "dnsbld_dns_request_duration_seconds_count", &[]) >= f64::from(requests),
        || live.metrics(),
    );
    let all = samples(&live);
    let is = |family: &str, labels: &[&str], expected: u32| {
        let found = sum(&all, family, labels);
        assert!((found - f64::from(expected)).abs() < 0.5, "{family}{labels:?} is {found}, not {expected}\n{all:#?}");
    };
    is("dnsbld_dns_requests_total", &[], requests);
    is("dnsbld_dns_dropped_total", &[], 4);
    for reason in ["acl", "response", "short", "long"] {
        is("dnsbld_dns_dropped_total", &[&format!("reason=\"{reason}\"")], 1);
    }
    // Whoever asks by command is told the same.
    let (_, said) = live.tell(&["stats", "--json", "--every", "1ms"]);
    let told: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    let dropped = json!({ "acl": 1, "response": 1, "short": 1, "long": 1, "port_zero": 0 });
    assert_eq!((&told["statistics"]["dropped"], &told["statistics"]["zones"]["-"]["requests"]), (&dropped, &json!(5)));
    is("dnsbld_dns_responses_total", &[], requests - 4);
    is("dnsbld_dns_response_size_bytes_count", &[], requests - 4);
    is("dnsbld_dns_request_duration_seconds_count", &[], requests);
    is("dnsbld_dns_requests_total", &["proto=\"tcp\"", "type=\"TXT\""], 1);
    // What is not asked for often has no series of its own.
    is("dnsbld_dns_requests_total", &["type=\"other\"", "zone=\"bl.example\""], 10);
    is("dnsbld_dns_requests_total", &["zone=\"-\""], 5);
    is("dnsbld_dns_requests_total", &["zone=\"-\"", "type=\"TXT\""], 1);
    is("dnsbld_dns_responses_total", &["zone=\"-\"", "BADVERS"], 1);
    is("dnsbld_dns_responses_total", &["zone=\"-\"", "REFUSED"], 1);
    for result in ["listed", "unlisted", "empty_non_terminal", "malformed", "misuse"] {
        for zone in ["bl.example", "names.example"] {
            let own = lookups.iter().filter(|(name, of)| *of == result && name.ends_with(&format!(".{zone}"))).count();
            // The question on a stream, and the one for the apex.
            let besides = usize::from(["listed", "empty_non_terminal"].contains(&result) && zone == "bl.example");
            let labels = [format!("result=\"{result}\""), format!("zone=\"{zone}\"")];
            is("dnsbld_lookups_total", &[&labels[0], &labels[1]], (4 * own + besides) as u32);
        }
    }
    is("dnsbld_dns_requests_total", &["family=\"1\"", "proto=\"udp\""], requests - 1);
    for name in all.keys() {
        let labels = name.split_once('{').map_or("", |(_, labels)| labels);
        for label in labels.split("\",").filter_map(|label| label.split_once("=\"").map(|(label, _)| label)) {
            assert!(LABELS.contains(&label), "{label} of {name}");
        }
        assert!(!name.contains("127.0.0") && !name.contains("spam"), "an address or a name is a label: {name}");
    }
}

/// Prometheus takes a counter that falls for one that began anew, and adds all of it.
#[test]
fn what_a_zone_counted_stays_in_the_totals_when_it_is_let_go() {
    let place = place();
    let live = Live::start(&place, &[]);
    for _ in 0..20 {
        ask(&live, &Query::new("2.0.0.127.bl.example", 16).octets(), true);
        ask(&live, &Query::new("2.0.0.127.guarded.example", 1).octets(), false);
    }
    // Silence is counted some time after it was sent.
    await_true("all counted", || sum(&samples(&live), "dnsbld_dns_dropped_total", &["acl"]) > 19.5, || live.metrics());
    let is_of_all = |name: &str| {
        let is_count = ["_count", "_sum", "_total"]
            .iter()
            .any(|end| name.split('{').next().is_some_and(|name| name.ends_with(end)));
        name.starts_with("dnsbld_dns_") && (is_count || name.contains("_bucket")) && !name.contains("zone=")
    };
    let totals = || samples(&live).into_iter().filter(|(name, _)| is_of_all(name)).collect::<BTreeMap<_, _>>();
    let before = totals();
    assert!(before.len() > 20, "{before:#?}");
    for file in ["bl.example.ip4set", "guarded.example.ip4set", "guarded.example.acl"] {
        std::fs::remove_file(place.zone(file)).expect("removed");
    }
    await_true("noticed", || live.status().matches("the file is gone").count() == 3, || live.status());
    let let_go = |zones: &[&str]| {
        let words: Vec<&str> = zones.iter().flat_map(|zone| ["--accept", zone]).collect();
        let (is_well, said) = live.tell(&[&["reload"], &*words].concat());
        assert!(is_well, "{said}");
    };
    let never_less = |what: &str| {
        let now = totals();
        for (name, value) in &before {
            assert!(now.get(name).is_some_and(|now| now >= value), "{what}: {name} was {value}: {:?}", now.get(name));
        }
    };
    let_go(&["bl.example", "guarded.example"]);
    assert!(
        !samples(&live).keys().any(|name| name.starts_with("dnsbld_dns_") && name.contains("bl.example")),
        "it is gone: {}",
        live.metrics()
    );
    never_less("let go");
    let (_, said) = live.tell(&["stats", "--json", "--every", "1ms"]);
    let told: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(told["statistics"]["dropped"]["acl"], json!(20), "{said}");
    // When something else is served, what no worker counts in any more is added up.
    for count in 0..3 {
        place.drop_file("other.example.ip4set", format!("127.0.0.{}\n", 2 + count));
        live.await_words("zone other.example");
        std::thread::sleep(std::time::Duration::from_millis(300));
        let_go(&[]);
        never_less("and something else came");
    }
    // And when it comes again, it begins anew, and nothing counts twice.
    place.drop_file("bl.example.ip4set", "127.0.0.2\n");
    let is_back = || sum(&samples(&live), "dnsbld_zone_served", &["\"bl.example\""]) > 0.5;
    await_true("back again", is_back, || live.log());
    never_less("back again");
    let counted = |name: &str| totals()[name];
    assert!((counted("dnsbld_dns_dropped_total{reason=\"acl\"}") - 20.0).abs() < 0.5);
    assert!((counted("dnsbld_dns_response_size_bytes_count") - 20.0).abs() < 0.5, "{:#?}", totals());
}

#[test]
fn what_is_served_is_told() {
    let place = place();
    place.drop_file("ended.example.ip4set", "127.0.0.2\n");
    place.drop_file("ended.example.retired", "@ TXT ended\n");
    let live = Live::start(&place, &[]);
    await_true("a self-test", || live.metrics().contains("dnsbld_selftest_ok"), || live.metrics());
    let all = samples(&live);
    for (family, labels, expected) in [
        ("dnsbld_zone_entries", "bl.example", 3.0),
        ("dnsbld_zone_entries", "names.example", 2.0),
        ("dnsbld_zone_serial", "bl.example", 7.0),
        ("dnsbld_zone_served", "guarded.example", 1.0),
        ("dnsbld_zone_retired", "ended.example", 1.0),
        ("dnsbld_zone_retired", "bl.example", 0.0),
        ("dnsbld_build_info", env!("CARGO_PKG_VERSION"), 1.0),
    ] {
        let found = sum(&all, family, &[labels]);
        assert!((found - expected).abs() < 0.5, "{family} of {labels} is {found}");
    }
    assert!(sum(&all, "dnsbld_zone_memory_bytes", &["bl.example"]) > 0.0);
    assert!(sum(&all, "dnsbld_zone_loaded_timestamp_seconds", &["bl.example"]) > 1.7e9);
    assert!(sum(&all, "dnsbld_zone_load_duration_seconds", &["bl.example"]) > 0.0);
    assert!(sum(&all, "process_resident_memory_bytes", &[]) > 1e6);
    assert!(live.get("/healthz").starts_with("HTTP/1.0 200"));
    assert!(live.get("/readyz").starts_with("HTTP/1.0 200"), "{}", live.get("/readyz"));
}

#[test]
fn readiness_wants_every_zone() {
    let place = Place::new();
    let live = Live::start(&place, &[]);
    assert!(live.get("/readyz").starts_with("HTTP/1.0 503"), "no zone at all");
    place.drop_file("bl.example.ip4set", "127.0.0.2\n");
    await_true("ready", || live.get("/readyz").starts_with("HTTP/1.0 200"), || live.log());
    place.drop_file("broken.example.ip4set.gz", b"\x1f\x8b broken");
    await_true("not ready", || live.get("/readyz").starts_with("HTTP/1.0 503"), || live.log());
    assert!(live.get("/readyz").contains("zone broken.example is not loaded"), "{}", live.get("/readyz"));
    place.drop_file("broken.example.ip4set.gz", super::live::gzip("127.0.0.2\n"));
    await_true("ready again", || live.get("/readyz").starts_with("HTTP/1.0 200"), || live.log());
    // One that has expired is answered SERVFAIL: not ready either.
    place.drop_file("old.example.ip4set", "$TIMESTAMP 2020:01:01 2020:02:01\n127.0.0.2\n");
    await_true("not ready", || live.get("/readyz").starts_with("HTTP/1.0 503"), || live.log());
    assert!(live.get("/readyz").contains("old.example"), "{}", live.get("/readyz"));
    assert!(live.get("/healthz").starts_with("HTTP/1.0 200"));
}

/// The self-test sees what a client would: a list of the world, one without its test entry, and one that is mended.
#[test]
fn the_self_test_alarms_and_calms_down() {
    let place = Place::new();
    place.drop_file("good.example.ip4set", "127.0.0.2\n192.0.2.0/24\n");
    place.drop_file("world.example.ip4set", "0.0.0.0/1\n");
    place.drop_file("lame.example.dnset", "*.spam.example\n!x.spam.example\n");
    let live = Live::start(&place, &[]);
    let probe =
        |zone: &str, probe: &str| sum(&samples(&live), "dnsbld_selftest_ok", &[zone, &format!("\"{probe}\"")]) > 0.5;
    live.await_words("self-test failed");
    await_true("all tested", || probe("good.example", "own_entries"), || live.metrics());
    assert!(probe("good.example", "v4_test_entry") && probe("good.example", "v4_never_listed"));
    assert!(probe("world.example", "v4_test_entry") && !probe("world.example", "v4_never_listed"));
    assert!(probe("lame.example", "own_entries") && !probe("lame.example", "name_test_entry"));
    // What is measured is seen a moment before what is said.
    live.await_words("127.0.0.1 is listed, and must not be");
    place.drop_file("lame.example.dnset", "test\n.spam.example\n");
    await_true("mended", || probe("lame.example", "name_test_entry"), || live.log());
    live.await_words("self-test passed");
}

/// What is listed by command is listed, and what is excluded by command is not; that an entry is excluded is no fault of the zone's.
#[test]
fn the_self_test_sees_what_is_listed_by_command() {
    let place = Place::new();
    place.drop_file("hidden.example.ip4set", "127.0.0.2\n");
    place.drop_file("shown.example.ip4set", "192.0.2.1\n");
    let live = Live::start(&place, &[]);
    let probe =
        |zone: &str, probe: &str| sum(&samples(&live), "dnsbld_selftest_ok", &[zone, &format!("\"{probe}\"")]) > 0.5;
    await_true("tested", || probe("hidden.example", "v4_test_entry"), || live.metrics());
    assert!(!probe("shown.example", "v4_test_entry"), "{}", live.metrics());
    assert!(live.tell(&["list", "--exclude", "hidden.example", "127.0.0.2"]).0);
    assert!(live.tell(&["list", "shown.example", "127.0.0.2"]).0);
    // What is new is tested at once.
    place.drop_file("other.example.ip4set", "127.0.0.2\n");
    await_true("tested again", || probe("shown.example", "v4_test_entry"), || live.metrics());
    assert!(!probe("hidden.example", "v4_test_entry"), "{}", live.metrics());
    assert!(probe("hidden.example", "own_entries"), "{}", live.metrics());
}
