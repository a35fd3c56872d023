//! HTTP with JSON: every route, every kind of reply, each held against the description that the server itself gives.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

use super::{HEAD, Server, TOKEN, ask, is_listed, open, run};

/// A reply: status, type of content, body.
struct Reply {
    status: u16,
    kind: String,
    body: Value,
}

/// Sends a request and reads the reply.
fn request(server: &Server, method: &str, path: &str, token: Option<&str>, kind: &str, body: &str) -> Reply {
    let address = server.http();
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let token = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{token}Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).expect("written");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("a reply");
    let (head, body) = reply.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default().to_owned();
    Reply { status, kind, body: serde_json::from_str(body).unwrap_or(Value::Null) }
}

/// Lists or excludes, and returns what is said of it.
pub(crate) fn put(server: &Server, zone: &str, key: &str, body: &str) -> Value {
    let path = format!("/v1/zones/{zone}/listings/{key}");
    let reply = request(server, "PUT", &path, Some(TOKEN), "application/json", body);
    assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    reply.body
}

/// Reads what must be there.
pub(crate) fn get(server: &Server, path: &str) -> Value {
    let reply = request(server, "GET", path, Some(TOKEN), "application/json", "");
    assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    reply.body
}

#[test]
fn a_listing_comes_is_seen_and_goes() {
    let server = open();
    let body = r#"{"address":"127.0.0.4","text":"virus from $","for":"1h","reason":"Eicar"}"#;
    let said = put(&server, "bl.example", "192.0.2.1", body);
    assert_eq!((&said["outcome"], &said["times"]), (&json!("listed"), &json!(1)));
    assert_eq!(ask(&server, "1.2.0.192.bl.example", 1), "No Error 127.0.0.4");
    assert_eq!(ask(&server, "1.2.0.192.bl.example", 16), "No Error virus from 192.0.2.1");
    let again = put(&server, "bl.example", "192.0.2.1", r#"{"for":"7200"}"#);
    assert_eq!(again["outcome"], "extended");
    let listing = get(&server, "/v1/zones/bl.example/listings/192.0.2.1");
    assert_eq!(listing["by"], json!({ "door": "http", "who": "tester", "from": "127.0.0.1" }));
    assert_eq!(listing["until"], again["until"]);
    let path = "/v1/zones/bl.example/listings/192.0.2.1?reason=cleaned%20up";
    let gone = request(&server, "DELETE", path, Some(TOKEN), "application/json", "");
    assert_eq!((gone.status, &gone.body["outcome"]), (200, &json!("delisted")));
    assert!(!is_listed(&server, "1.2.0.192.bl.example"));
    let twice = request(&server, "DELETE", path, Some(TOKEN), "application/json", "");
    assert_eq!((twice.status, &twice.body["outcome"]), (200, &json!("unchanged")), "idempotent");
    let events = get(&server, "/v1/zones/bl.example/history/192.0.2.1");
    let what: Vec<&Value> = events["events"].as_array().expect("events").iter().map(|event| &event["what"]).collect();
    assert_eq!(what, ["listed", "extended", "delisted"]);
    assert_eq!(
        (&events["events"][0]["reason"], &events["events"][2]["reason"]),
        (&json!("Eicar"), &json!("cleaned up"))
    );
}

#[test]
fn where_there_is_no_store_it_is_said_why() {
    let zone = format!("{HEAD}127.0.0.2\n");
    let files = [("zones/bl.example.ip4set", &*zone), ("token", TOKEN), ("listings.redb", "no database")];
    let config = "[tokens.tester]\nfile = \"token\"\nzones = [\"bl.example\"]\n";
    for (state, why) in [(".", "is damaged or no store"), ("token/state", "no state folder"), ("/sys", "/sys/listings")]
    {
        let server = Server::with_state(state, &files, config);
        let log = server.said();
        let warned = log.lines().find(|line| line.contains("nothing can be changed by them"));
        assert!(warned.is_some_and(|line| line.contains(why)), "{log}");
        for (method, of_zone, body) in [
            ("GET", "listings/127.0.0.2", ""),
            ("PUT", "listings/127.0.0.2", "{}"),
            ("DELETE", "listings/127.0.0.2", ""),
            ("GET", "listings", ""),
            ("POST", "listings", r#"[{"key":"192.0.2.1"}]"#),
            ("GET", "history/127.0.0.2", ""),
        ] {
            let path = format!("/v1/zones/bl.example/{of_zone}");
            let reply = request(&server, method, &path, Some(TOKEN), "application/json", body);
            assert_eq!((reply.status, &*reply.kind), (503, "application/problem+json"), "{state}: {method} {path}");
            assert!(reply.body["detail"].as_str().is_some_and(|detail| detail.contains(why)), "{}", reply.body);
            assert_eq!(request(&server, method, &path, None, "application/json", body).status, 401, "{method} {path}");
        }
        assert_eq!(request(&server, "GET", "/v1/openapi.json", None, "", "").status, 200);
    }
}

/// It is listed, and nobody who asks is told; what is not done is not said to be unserved.
#[test]
fn what_is_listed_where_nothing_is_answered_is_said_to_be() {
    let files = [
        ("zones/bad.example.ip4set", "127.0.0.2\n"),
        ("zones/bad.example.acl", "192.0.2.1 :refuze\n"),
        ("token", TOKEN),
    ];
    let server = Server::with_config(&files, "[tokens.tester]\nfile = \"token\"\nzones = [\"*\"]\n");
    assert!(ask(&server, "2.0.0.127.bad.example", 1).starts_with("Server Failure"));
    let document = request(&server, "GET", "/v1/openapi.json", None, "", "").body;
    let mut claims = Vec::new();
    let (one, many) = ("/v1/zones/{zone}/listings/{key}", "/v1/zones/{zone}/listings");
    for (method, route, path, body, expected) in [
        ("PUT", one, "/192.0.2.1", "", json!(false)),
        ("DELETE", one, "/192.0.2.1", "", json!(false)),
        ("DELETE", one, "/192.0.2.1", "", Value::Null),
        ("POST", many, "", r#"[{"key":"192.0.2.2"}]"#, json!(false)),
        ("POST", many, "", r#"[{"key":"192.0.2.9","delist":true}]"#, Value::Null),
    ] {
        let path = format!("/v1/zones/bad.example/listings{path}");
        let reply = request(&server, method, &path, Some(TOKEN), "application/json", body);
        assert_eq!((reply.status, &reply.body["served"]), (200, &expected), "{method} {path}: {}", reply.body);
        claims.push(claim(&document, route, method, &reply));
    }
    judge(claims);
}

#[test]
fn prefixes_names_exclusions_and_ends() {
    let server = open();
    put(&server, "bl.example", "198.51.100.0/24", "");
    put(&server, "bl.example", "2001:db8::%2F32", r#"{"until":"2100-01-01T00:00:00Z"}"#);
    assert!(
        is_listed(&server, "9.100.51.198.bl.example")
            && is_listed(&server, &format!("{}8.b.d.0.1.0.0.2.bl.example", "0.".repeat(24)))
    );
    put(&server, "names.example", "*.spam.example", r#"{"forever":true}"#);
    assert!(is_listed(&server, "www.spam.example.names.example"));
    assert_eq!(put(&server, "bl.example", "127.0.0.2", r#"{"excluded":true,"for":"7d"}"#)["outcome"], "excluded");
    assert!(!is_listed(&server, "2.0.0.127.bl.example"), "an exclusion wins over files");
    let reply = request(&server, "PUT", "/v1/zones/bl.example/listings/127.0.0.2", Some(TOKEN), "application/json", "");
    assert_eq!(reply.status, 409, "and over listings: {}", reply.body);
    let said = put(&server, "bl.example", "127.0.0.0%2F8", r#"{"excluded":true}"#);
    assert_eq!(said["still_listed"], 0, "{said}");
    put(&server, "bl.example", "203.0.113.5", "");
    let wide = put(&server, "bl.example", "203.0.113.0%2F24", r#"{"excluded":true}"#);
    assert_eq!(wide["still_listed"], 1, "{wide}");
    for host in [5, 6] {
        let path = format!("/v1/zones/bl.example/listings/203.0.113.{host}");
        let reply = request(&server, "PUT", &path, Some(TOKEN), "application/json", "");
        let detail = reply.body["detail"].as_str().unwrap_or_default();
        assert!(reply.status == 409 && detail.contains("203.0.113.0/24 is excluded in zone"), "{}", reply.body);
    }
    let body = r#"[{"key":"203.0.113.0/24","excluded":true},{"key":"203.0.113.9","excluded":true}]"#;
    let reply = request(&server, "POST", "/v1/zones/bl.example/listings", Some(TOKEN), "application/json", body);
    assert_eq!(reply.body, json!({ "outcomes": { "excluded": 2 }, "excluded_with_listings": 1, "refused": [] }));
}

#[test]
fn pages_follow_one_another() {
    let server = open();
    let lines: Vec<String> = (0..250).map(|host| format!("{{\"key\":\"10.0.0.{host}\"}}\n")).collect();
    let lines = lines.concat();
    let reply = request(&server, "POST", "/v1/zones/bl.example/listings", Some(TOKEN), "application/x-ndjson", &lines);
    assert_eq!((reply.status, reply.body), (200, json!({ "outcomes": { "listed": 250 }, "refused": [] })));
    let (mut seen, mut path) = (Vec::new(), "/v1/zones/bl.example/listings?limit=100".to_owned());
    for _ in 0..10 {
        let page = get(&server, &path);
        let listings = page["listings"].as_array().expect("listings");
        seen.extend(listings.iter().map(|listing| listing["key"].as_str().expect("a key").to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/zones/bl.example/listings?limit=100&after={next}");
    }
    assert_eq!(seen.len(), 250);
    seen.dedup();
    assert_eq!(seen.len(), 250, "each once");
}

#[test]
fn many_at_once_are_told_apart() {
    let server = open();
    let body = json!([
        { "key": "192.0.2.1", "for": "1h", "reason": "bulk" },
        { "key": "192.0.2.1/24" },
        { "key": "192.0.2.2", "colour": "red" },
        { "key": "example.com" },
        { "key": "192.0.2.3", "for": "1h", "until": 1 },
        { "key": "192.0.2.1", "delist": true },
        7
    ]);
    let reply =
        request(&server, "POST", "/v1/zones/bl.example/listings", Some(TOKEN), "application/json", &body.to_string());
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.body["outcomes"], json!({ "listed": 1, "delisted": 1, "refused": 5 }));
    let places: Vec<u64> =
        reply.body["refused"].as_array().expect("a list").iter().filter_map(|one| one["index"].as_u64()).collect();
    assert_eq!(places, [1, 2, 3, 4, 6]);
    for (at, why) in
        [(0, "192.0.2.0/24"), (1, "expected one of `key`, `delist`, `address`"), (4, "as {\"key\": \"192.0.2.1\"}")]
    {
        let detail = reply.body["refused"][at]["detail"].as_str().expect("a text");
        assert!(detail.contains(why), "{detail}");
    }
    let lines = "{\"key\":\"192.0.2.1\"}\n{\"key\":\"192.0.2.2\"}\n";
    let reply = request(&server, "POST", "/v1/zones/bl.example/listings", Some(TOKEN), "application/json", lines);
    let detail = reply.body["detail"].as_str().expect("a text");
    assert!(reply.status == 400 && detail.contains("is sent as `Content-Type: application/x-ndjson`"), "{detail}");
}

#[test]
fn problems_have_details() {
    let server = open();
    let key = "/v1/zones/bl.example/listings/192.0.2.1";
    let check = |method: &str, path: &str, token: Option<&str>, body: &str, status: u16, words: &str| {
        let reply = request(&server, method, path, token, "application/json", body);
        assert_eq!(
            (reply.status, &*reply.kind),
            (status, "application/problem+json"),
            "{method} {path} {body}: {}",
            reply.body
        );
        assert_eq!(reply.body["status"], status);
        assert!(reply.body["detail"].as_str().is_some_and(|text| text.contains(words)), "{words}: {}", reply.body);
    };
    let token = Some(TOKEN);
    check("GET", key, None, "", 401, "Authorization: Bearer");
    check("GET", key, Some("0123456789abcdef-tokem"), "", 401, "nobody here knows");
    check("GET", key, token, "", 404, "nothing is said of 192.0.2.1");
    check("PUT", "/v1/zones/other.example/listings/192.0.2.1", token, "", 403, "token tester");
    check("GET", "/v1/zones/b..l/listings", token, "", 400, "empty label");
    check("PUT", "/v1/zones/bl.example/listings/192.0.2.1/24", token, "", 400, "192.0.2.0/24");
    check("PUT", key, token, "{\"colour\":1}", 400, "colour");
    check("PUT", key, token, "[", 400, "cannot be read");
    check("PUT", key, token, "[]", 400, "array, expected an object, as {\"for\": \"1h\"}");
    check("PUT", key, token, "{\"for\":-1}", 400, "integer `-1`, expected seconds or a text as 90s");
    check("PUT", key, token, "{\"until\":[]}", 400, "array, expected seconds since 1970 or a text as 2026");
    check("POST", "/v1/zones/bl.example/listings", token, "{}", 400, "object, expected an array, as [{\"key\"");
    check("PUT", key, token, "{\"for\":\"soon\"}", 400, "90s, 35m or 1h");
    check("PUT", key, token, "{\"until\":\"tomorrow\"}", 400, "RFC 3339");
    check("PUT", key, token, "{\"for\":1,\"forever\":true}", 400, "only one");
    check("PUT", key, token, "{\"excluded\":true,\"text\":\"x\"}", 400, "no text");
    check("PUT", key, token, "{\"until\":1000}", 422, "over already");
    for none in ["0", "\"0\"", "\"0s\"", "\"500ms\""] {
        check("PUT", key, token, &format!("{{\"for\":{none}}}"), 422, "less than a second");
    }
    check("PUT", "/v1/zones/bl.example/listings/spam.example", token, "", 422, "addresses, and this is not one");
    let all = "/v1/zones/bl.example/listings";
    check("GET", &format!("{all}?limit=0"), token, "", 400, "integer `0`, expected a whole number from 1");
    check("GET", &format!("{all}?lmit=1"), token, "", 400, "unknown field `lmit`");
    check("DELETE", &format!("{all}/192.0.2.1?reaosn=x"), token, "", 400, "unknown field `reaosn`");
    // What is not met is refused: it would list what was to be excluded.
    check("PUT", &format!("{all}/192.0.2.1?excluded=true&for=7d"), token, "", 400, "unknown field `excluded`");
    check("GET", &format!("{all}/192.0.2.1?foo=1"), token, "", 400, "unknown field `foo`");
    check("POST", &format!("{all}?for=1m"), token, "[]", 400, "unknown field `for`");
    let both = r#"[{"key":"192.0.2.2","delist":true,"excluded":true}]"#;
    let reply = request(&server, "POST", all, token, "application/json", both);
    let refused = reply.body["refused"][0]["detail"].as_str().unwrap_or_default();
    assert!(reply.status == 200 && refused.ends_with("`reason` and nothing else"), "{}", reply.body);
    let history = "/v1/zones/bl.example/history/192.0.2.1";
    check("GET", &format!("{history}?after=192.0.2.0"), token, "", 400, "unknown field `after`");
    check("DELETE", &format!("{all}/192.0.2.1"), token, "{\"reason\":\"x\"}", 400, "behind the question mark");
    check("GET", &format!("{all}?limit=x"), token, "", 400, "limit: expected a whole number");
    check("GET", &format!("{all}?limit=-1"), token, "", 400, "limit: expected a whole number");
    check("GET", &format!("{all}?limit=1&limit=2"), token, "", 400, "duplicate field `limit`");
    check("DELETE", &format!("{key}?reason=1&reason=2"), token, "", 400, "duplicate field `reason`");
    check("GET", &format!("{all}/%FF"), token, "", 400, "UTF-8");
    check("GET", "/v1/zones/%FF/listings", token, "", 400, "UTF-8");
    let long = " ".repeat((32 << 20) + 1);
    check("PUT", key, token, &long, 413, "longer than 33554432 octets");
    check("POST", all, token, &long, 413, "longer than 33554432 octets");
    check("PUT", "/v1/zones/names.example/listings/.spam.example", token, "", 400, "and `*.spam.example`");
    let unfinished = "/v1/zones/names.example/listings/10.0.1";
    for method in ["PUT", "GET", "DELETE"] {
        check(method, unfinished, token, "", 400, "`10.0.1` is no address, and no domain ends in a number");
    }
    let named = request(&server, "PUT", &format!("{unfinished}."), token, "application/json", "");
    assert_eq!((named.status, &named.body["key"]), (200, &"10.0.1.".into()), "{}", named.body);
    check("PATCH", key, token, "", 405, "openapi");
    check("GET", "/v1/nothing", token, "", 404, "openapi");
    check("POST", "/v1/zones/bl.example/listings", token, "{}", 400, "cannot be read");
}

#[test]
fn without_a_token_nothing_is_there() {
    let file = format!("{HEAD}127.0.0.2\n");
    let server = Server::with_config(&[("zones/bl.example.ip4set", &file)], "");
    for path in ["/v1/openapi.json", "/v1/zones/bl.example/listings"] {
        assert_eq!(request(&server, "GET", path, Some(TOKEN), "application/json", "").status, 404, "{path}");
    }
    assert_eq!(request(&server, "GET", "/healthz", None, "text/plain", "").status, 200);
}

#[test]
fn curl_does_it() {
    let server = open();
    let url = format!("http://{}/v1/zones/bl.example/listings/192.0.2.7", server.http());
    let header = format!("Authorization: Bearer {TOKEN}");
    let (is_well, said) =
        run("curl", &["-sS", "--fail-with-body", "-X", "PUT", "-H", &header, "-d", r#"{"for":"1h"}"#, &url], "");
    assert!(is_well && is_listed(&server, "7.2.0.192.bl.example"), "{said}");
    let (is_well, said) = run("curl", &["-sS", "--fail-with-body", "-X", "DELETE", &url], "");
    assert!(!is_well && said.contains("Bearer"), "{said}");
}

/// Something that is or is not as a part of the description says, judged by Python's `jsonschema`.
struct Claim {
    schema: Value,
    instance: Value,
    is_right: bool,
    what: String,
}

/// Reads claims, and names those that do not hold.
const JUDGE: &str = "
import json, sys, jsonschema
for claim in json.load(sys.stdin):
    validator = jsonschema.Draft202012Validator(claim['schema'], format_checker=jsonschema.FormatChecker())
    faults = [fault.message for fault in validator.iter_errors(claim['instance'])]
    if (not faults) != claim['is_right']:
        print(claim['what'], faults, claim['instance'])
";

/// What a reply claims, by the description of its operation.
fn claim(document: &Value, route: &str, method: &str, reply: &Reply) -> Claim {
    let responses = &document["paths"][route][method.to_lowercase()]["responses"];
    let described = responses.get(reply.status.to_string()).unwrap_or(&responses["default"]);
    let described = match described["$ref"].as_str() {
        Some(reference) => {
            document.pointer(reference.trim_start_matches('#')).expect("a reference that leads somewhere")
        }
        None => described,
    };
    let schema = &described["content"][&reply.kind]["schema"];
    assert!(schema.is_object(), "{method} {route}: {} of {} is not described", reply.status, reply.kind);
    let what = format!("{method} {route}: {}", reply.status);
    Claim { schema: whole(document, schema), instance: reply.body.clone(), is_right: true, what }
}

/// A part of the description with all that it refers to.
fn whole(document: &Value, schema: &Value) -> Value {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    whole
}

#[test]
fn who_may_not_change_a_zone_sends_no_body() {
    let server = open();
    let mut stream = TcpStream::connect(server.http()).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let head = format!(
        "POST /v1/zones/other.example/listings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 30000000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("written");
    let mut reply = [0; 12];
    stream.read_exact(&mut reply).expect("a reply, though nothing of the body came");
    assert_eq!(reply, *b"HTTP/1.1 403");
}

fn judge(claims: Vec<Claim>) {
    let claims: Vec<Value> = claims
        .into_iter()
        .map(|Claim { schema, instance, is_right, what }| {
            json!({ "schema": schema, "instance": instance, "is_right": is_right, "what": what })
        })
        .collect();
    let (is_well, said) = run("/usr/bin/python3", &["-c", JUDGE], &Value::from(claims).to_string());
    assert!(is_well && said.is_empty(), "Debian's package python3-jsonschema: {said}");
}

#[test]
fn the_description_holds() {
    let server = open();
    let document = request(&server, "GET", "/v1/openapi.json", None, "application/json", "");
    assert_eq!(document.status, 200, "it needs no token");
    let document = document.body;
    let (zone, one, many, past) = (
        "/v1/zones/bl.example/listings",
        "/v1/zones/{zone}/listings/{key}",
        "/v1/zones/{zone}/listings",
        "/v1/zones/{zone}/history/{key}",
    );
    let everything = r#"{"address":"127.0.0.4","text":"of $","for":"1h","reason":"why"}"#;
    let excluded = r#"{"excluded":true,"until":"2100-01-01T00:00:00Z"}"#;
    let list = r#"[{"key":"10.0.0.1"},{"key":"10.0.0.2","delist":true},{"key":"no/t"}]"#;
    let (key, other) = (format!("{zone}/192.0.2.1"), format!("{zone}/192.0.2.2"));
    let (mut seen, mut claims) = (std::collections::BTreeSet::new(), Vec::new());
    let mut step = |method: &str, route: &str, path: &str, token: Option<&str>, body: &str, status: u16| {
        let reply = request(&server, method, path, token, "application/json", body);
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.body);
        claims.push(claim(&document, route, method, &reply));
        let asked =
            &document["paths"][route][method.to_lowercase()]["requestBody"]["content"]["application/json"]["schema"];
        if asked.is_object() && !body.is_empty() {
            let instance = serde_json::from_str(body).expect("JSON");
            let what = format!("{method} {route}: the description and the server differ on a request");
            claims.push(Claim { schema: whole(&document, asked), instance, is_right: status != 400, what });
        }
        seen.insert((route.to_owned(), method.to_lowercase()));
    };
    let token = Some(TOKEN);
    step("PUT", one, &key, token, everything, 200);
    step("PUT", one, &key, token, "", 200);
    step("PUT", one, &other, token, excluded, 200);
    step("PUT", one, &key, token, r#"{"colour":1}"#, 400);
    step("PUT", one, &key, token, r#"{"until":7}"#, 422);
    step("PUT", one, &key, None, "", 401);
    step("PUT", one, "/v1/zones/other.example/listings/192.0.2.1", token, "", 403);
    step("GET", one, &key, token, "", 200);
    step("GET", one, &other, token, "", 200);
    step("GET", one, &format!("{zone}/192.0.2.9"), token, "", 404);
    step("POST", many, zone, token, list, 200);
    step("GET", many, zone, token, "", 200);
    step("GET", many, &format!("{zone}?limit=1"), token, "", 200);
    step("DELETE", one, &key, token, "", 200);
    step("DELETE", one, &key, token, "", 200);
    step("DELETE", one, &format!("{key}?reason={}", "x".repeat(1_001)), token, "", 422);
    step("GET", past, "/v1/zones/bl.example/history/192.0.2.1", token, "", 200);
    step("GET", "/v1/openapi.json", "/v1/openapi.json", None, "", 200);
    let item = &document["components"]["schemas"]["Item"];
    for (instance, is_right) in [
        (json!({ "key": "10.0.0.1", "for": "1h", "delist": false }), true),
        (json!({ "key": "10.0.0.1", "colour": "red" }), false),
        (json!({ "for": "1h" }), false),
    ] {
        claims.push(Claim { schema: whole(&document, item), instance, is_right, what: "one of many".to_owned() });
    }
    judge(claims);
    for (route, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("methods").keys().filter(|name| *name != "parameters") {
            assert!(seen.contains(&(route.clone(), method.clone())), "{method} {route} is described and was not asked");
        }
    }
}

/// The value of a line of `/metrics`.
pub(crate) fn metric(server: &Server, line: &str) -> Option<f64> {
    let (is_well, text) = run("curl", &["-sS", &format!("http://{}/metrics", server.http())], "");
    assert!(is_well, "{text}");
    text.lines().find_map(|said| said.strip_prefix(line)?.trim().parse().ok())
}

#[test]
fn questions_without_an_answer_and_changes_that_are_not_taken_are_told_apart() {
    let server = open();
    let of_http = || {
        let count =
            |result: &str| metric(&server, &format!("dnsbld_door_requests_total{{door=\"http\",result=\"{result}\"}}"));
        ["done", "answered", "refused"].map(|result| count(result).expect("it is open") as u32)
    };
    let missing = "/v1/zones/bl.example/listings/192.0.2.9";
    assert_eq!(request(&server, "GET", missing, Some(TOKEN), "application/json", "").status, 404);
    assert_eq!(of_http(), [0, 1, 0], "that nothing is said of it is an answer");
    for (body, counted) in [(r#"[{"key":"192.0.2.1"}]"#, [1, 1, 0]), (r#"[{"key":"x.example"}]"#, [1, 1, 1])] {
        let reply = request(&server, "POST", "/v1/zones/bl.example/listings", Some(TOKEN), "application/json", body);
        assert_eq!((reply.status, of_http()), (200, counted));
    }
}
