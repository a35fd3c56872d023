//! A real Prometheus scrapes a running server: promtool finds nothing to blame, every alert is tested, and every query of the
//! dashboard finds something.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::{
    live::{Live, await_true},
    metrics::place,
    support::daemon::{free_address, program},
};

fn deployed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

fn promtool(arguments: &[&str], input: &str) -> (bool, String) {
    let mut command = Command::new(program("promtool", "prometheus"));
    command.args(arguments).current_dir(deployed("prometheus"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("promtool");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.success(), text)
}

/// Prometheus, ended by its id.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn start(target: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = fs::read_to_string(deployed("prometheus/scrape.yml")).expect("scrape.yml");
        let config = config.replace("15s", "1s").replace("127.0.0.1:9153", &target.to_string());
        let config = config.replace("dnsbld.rules.yml", &deployed("prometheus/dnsbld.rules.yml").display().to_string());
        let path = folder.path().join("prometheus.yml");
        fs::write(&path, config).expect("written");
        let address = free_address();
        let mut command = Command::new(program("prometheus", "prometheus"));
        command.arg(format!("--config.file={}", path.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}")).arg("--log.level=warn");
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("prometheus");
        Self { child, address, _folder: folder }
    }

    /// The answer to a request of its API, if it is there yet.
    fn get(&self, path: &str) -> Option<serde_json::Value> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: prometheus\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        serde_json::from_str(text.split("\r\n\r\n").nth(1)?).ok()
    }

    /// What a query finds.
    fn query(&self, expression: &str) -> Vec<serde_json::Value> {
        let octets = expression.bytes().map(|octet| match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => (octet as char).to_string(),
            _ => format!("%{octet:02X}"),
        });
        let answer = self.get(&format!("/api/v1/query?query={}", octets.collect::<String>()));
        let answer = answer.unwrap_or_else(|| panic!("no answer to {expression}"));
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        answer["data"]["result"].as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every query of the dashboard, with its panel's title.
fn dashboard() -> Vec<(String, String)> {
    let text = fs::read_to_string(deployed("grafana/dnsbld.json")).expect("the dashboard");
    let dashboard: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let word = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
            queries.push((word(&panel["title"]), word(&target["expr"])));
        }
    }
    queries
}

/// Panels that may well be empty: nothing of the sort has happened to the server of the test.
const QUIET: [&str; 2] = ["Loads refused or failed", "Next listing to end"];

#[test]
fn prometheus_scrapes_and_the_dashboard_shows() {
    let place = place();
    let live = Live::start(&place, &[]);
    let (is_fine, said) = promtool(&["check", "metrics"], live.metrics().split("\r\n\r\n").nth(1).expect("a body"));
    assert!(is_fine && said.is_empty(), "promtool check metrics: {said}");
    let prometheus = Prometheus::start(live.http());
    let is_up = || prometheus.get("/-/ready").is_some() || TcpStream::connect(prometheus.address).is_ok();
    await_true("prometheus", is_up, String::new);
    // A rate takes two scrapes, a second apart, with something happening in between.
    let is_scraped = || {
        for name in ["2.0.0.127.bl.example", "9.9.9.9.bl.example", "2.0.0.127.names.example"] {
            live.ask(name);
        }
        prometheus.get("/api/v1/query?query=up").is_some()
            && !prometheus.query("rate(dnsbld_lookups_total{result=\"listed\"}[1m]) > 0").is_empty()
            && !prometheus.query("dnsbld_selftest_ok").is_empty()
    };
    await_true("scraped", is_scraped, || live.log());
    let queries = dashboard();
    assert!(queries.len() > 30, "{queries:?}");
    for (title, expression) in &queries {
        let expression = expression.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$zone", ".*");
        assert!(!expression.contains('$'), "{title}: a variable is left in {expression}");
        let found = prometheus.query(&expression);
        assert!(!found.is_empty() || QUIET.contains(&title.as_str()), "{title}: nothing for {expression}");
    }
    let rules = prometheus.get("/api/v1/rules").expect("rules");
    let rules = rules["data"]["groups"][0]["rules"].as_array().cloned().unwrap_or_default();
    assert!(rules.len() > 10, "the rules are loaded");
    assert!(rules.iter().all(|rule| rule["health"] != "err"), "{rules:#?}");
}

#[test]
fn every_alert_has_a_test_that_passes() {
    for arguments in [["check", "rules", "dnsbld.rules.yml"], ["test", "rules", "dnsbld.rules.test.yml"]] {
        let (is_fine, said) = promtool(&arguments, "");
        assert!(is_fine, "promtool {arguments:?}: {said}");
    }
    let rules = fs::read_to_string(deployed("prometheus/dnsbld.rules.yml")).expect("rules");
    let tests = fs::read_to_string(deployed("prometheus/dnsbld.rules.test.yml")).expect("tests");
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        let test = tests.split(&format!("alertname: {alert}\n")).nth(1).unwrap_or_else(|| panic!("{alert}: no test"));
        assert!(
            test.trim_start().starts_with("exp_alerts:\n") && test.contains("exp_labels"),
            "{alert} never goes off"
        );
    }
}

/// Alerts and dashboard speak of metrics that there are, and the manual of all that there are.
#[test]
fn names_are_known() {
    let known: Vec<&str> = dnsbld::server::collector::FAMILIES.iter().map(|family| family.name).collect();
    let manual = fs::read_to_string(deployed("metrics.md")).expect("deploy/metrics.md");
    for family in dnsbld::server::collector::FAMILIES {
        let labels = family.labels.join(",");
        let shown =
            if labels.is_empty() { format!("`{}`", family.name) } else { format!("`{}{{{labels}}}`", family.name) };
        assert!(manual.contains(&shown), "deploy/metrics.md does not show {shown}");
    }
    let rules = fs::read_to_string(deployed("prometheus/dnsbld.rules.yml")).expect("rules");
    let queries =
        dashboard().into_iter().map(|(_, expression)| expression).chain([rules]).collect::<Vec<_>>().join("\n");
    for word in queries.split(|letter: char| letter != '_' && !letter.is_ascii_alphanumeric()) {
        let bare = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
        assert!(!word.starts_with("dnsbld_") || known.contains(&bare), "{word} is no metric");
    }
}
