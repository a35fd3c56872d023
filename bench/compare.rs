//! Ours beside rbldnsd: `bench/run compare`. Same files, same command line, the server on one core and the load on the other.
//!
//! Both run at once and take turns, A B A B, so that whatever else the machine does meets both. What counts is the processor
//! time that a query takes, from `/proc`: it says what a server could do, even where the load cannot fill it.

#[allow(unsafe_code, reason = "sendmmsg and recvmmsg")]
#[path = "support/generator.rs"]
mod generator;

#[path = "support/data.rs"]
mod data;

use std::{
    fmt::Write as _,
    fs, io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use data::{Extras, List};
use generator::{Outcome, Pace, Question, ask};
use rand::{Rng, seq::SliceRandom};

const PAIRS: usize = 5;
const RUN: Duration = Duration::from_secs(3);
/// Queries under way in a closed loop.
const WINDOW: usize = 256;
/// Enough that what is looked up is not in the caches already.
const QUESTIONS: usize = 500_000;
/// Rates of the open loop, in queries a second.
const RATES: [f64; 2] = [20_000.0, 50_000.0];
const STORM_RATE: f64 = 20_000.0;
/// Replacements of each list in the storm, and the time between two.
const REPLACEMENTS: usize = 10;
const REPLACE_EVERY: Duration = Duration::from_millis(1_500);
const SERVER_CORE: &str = "0";

/// A server that runs.
struct Server {
    name: &'static str,
    child: Child,
    address: SocketAddr,
    load_s: f64,
}

/// Processor time in seconds.
#[derive(Clone, Copy)]
struct Cpu {
    user_s: f64,
    system_s: f64,
}

/// What is written down of a run.
struct Row {
    server: &'static str,
    list: &'static str,
    what: String,
    outcome: Outcome,
    user_us: f64,
    system_us: f64,
}

impl Server {
    /// Starts a server with rbldnsd's words, and waits until it answers.
    fn start(name: &'static str, program: &[&str], port: u16, folder: &Path, zones: &[String]) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let started = Instant::now();
        let mut child = Command::new("taskset")
            .args(["-c", SERVER_CORE])
            .args(program)
            .args(["-n", "-c", "0", "-b", &format!("127.0.0.1/{port}"), "-w"])
            .arg(folder)
            .args(zones)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let zone = zones[0].split(':').next().unwrap_or_default();
        let probe = UdpSocket::bind("127.0.0.1:0")?;
        probe.connect(address)?;
        probe.set_read_timeout(Some(Duration::from_millis(5)))?;
        let query = data::query(0, &format!("0.0.0.0.{zone}"), 1, Extras::default());
        // A port that is not open yet refuses at once.
        while probe.send(&query).and_then(|_| probe.recv(&mut [0; 512])).is_err() {
            thread::sleep(Duration::from_millis(5));
            if let Some(status) = child.try_wait()? {
                return Err(io::Error::other(format!("{name} ended: {status}")));
            }
        }
        Ok(Self { name, child, address, load_s: started.elapsed().as_secs_f64() })
    }

    fn process(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }

    fn cpu(&self) -> Cpu {
        const TICKS_PER_S: f64 = 100.0;
        let stat = self.process("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let seconds = |index: usize| fields.get(index).and_then(|text| text.parse().ok()).unwrap_or(0.0) / TICKS_PER_S;
        Cpu { user_s: seconds(11), system_s: seconds(12) }
    }

    /// A line of `/proc/PID/status`, in MiB.
    fn memory_mib(&self, field: &str) -> f64 {
        let status = self.process("status");
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    }

    fn measure(&self, list: &'static str, questions: &[Question], pace: Pace, time: Duration) -> io::Result<Row> {
        let before = self.cpu();
        let outcome = ask(self.address, questions, pace, time, || {})?;
        let after = self.cpu();
        let each_us = |seconds: f64| seconds * 1e6 / (outcome.sent - outcome.lost).max(1) as f64;
        let what = match pace {
            Pace::Closed(window) => format!("closed {window}"),
            Pace::Open(rate) => format!("open {rate}"),
        };
        let (user_us, system_us) = (each_us(after.user_s - before.user_s), each_us(after.system_s - before.system_s));
        Ok(Row { server: self.name, list, what, outcome, user_us, system_us })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Questions to a list, so many of a hundred of them about what it lists.
fn questions(list: &List, listed_percent: u32) -> Vec<Question> {
    let mut random = data::random(9);
    let listed = || list.listed.iter().chain(&list.wild);
    let mut names: Vec<(&String, bool)> = Vec::new();
    for (name, other) in list.unlisted.iter().zip(listed().cycle()) {
        let is_listed = random.random_ratio(listed_percent, 100);
        names.push((if is_listed { other } else { name }, is_listed));
    }
    names.shuffle(&mut random);
    let ask = |(name, listed): (&String, bool)| Question {
        octets: data::query(0, &format!("{name}.{}", list.zone), 1, Extras::default()),
        listed,
    };
    names.into_iter().map(ask).collect()
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (Some(ours), Some(theirs), Some(results)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err(io::Error::other("usage: compare DNSBLD RBLDNSD FOLDER (bench/run compare gives them)"));
    };
    let results = PathBuf::from(results);
    let folder = std::env::temp_dir().join(format!("dnsbld-compare-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let lists = [
        data::hosts(1_000_000, QUESTIONS, 1),
        data::names(1_000_000, QUESTIONS, 4),
        data::prefixes(200_000, QUESTIONS, 2),
    ];
    for list in &lists {
        fs::write(folder.join(list.kind.word()), &list.text)?;
    }
    let start = |lists: &[List]| -> io::Result<[Server; 2]> {
        let zones: Vec<String> = lists.iter().map(|list| format!("{}:{1}:{1}", list.zone, list.kind)).collect();
        Ok([
            Server::start("dnsbld", &[&ours, "rbldnsd", "-W", "1"], 5901, &folder, &zones)?,
            Server::start("rbldnsd", &[&theirs], 5902, &folder, &zones)?,
        ])
    };
    let (mut rows, mut notes) = (Vec::new(), String::from("server\tlist\tload_s\trss_mib\n"));
    for list in &lists {
        let servers = start(std::slice::from_ref(list))?;
        for server in &servers {
            let (load_s, rss) = (server.load_s, server.memory_mib("VmRSS"));
            writeln!(notes, "{}\t{}\t{load_s:.2}\t{rss:.1}", server.name, list.kind).expect("in memory");
        }
        pairs(list, &servers, &mut rows)?;
    }
    storm(&start(&lists)?, &lists, &folder, &mut rows)?;
    fs::remove_dir_all(&folder)?;
    report(&rows, &notes, &results)
}

/// A B A B, closed loop; then each rate once more.
fn pairs(list: &List, servers: &[Server], rows: &mut Vec<Row>) -> io::Result<()> {
    let questions = questions(list, 10);
    let paces = [Pace::Closed(WINDOW); PAIRS].into_iter().chain(RATES.map(Pace::Open));
    for pace in paces {
        for server in servers {
            let row = server.measure(list.kind.word(), &questions, pace, RUN)?;
            println!("{}", row.line());
            rows.push(row);
        }
    }
    Ok(())
}

/// Replaces each file in turn while queries come at an even rate.
fn storm(servers: &[Server], lists: &[List], folder: &Path, rows: &mut Vec<Row>) -> io::Result<()> {
    let mut questions: Vec<Question> = lists.iter().flat_map(|list| questions(list, 10)).collect();
    questions.shuffle(&mut data::random(10));
    let copies: Vec<(PathBuf, PathBuf)> =
        lists.iter().map(|list| (folder.join(format!("{}.new", list.kind)), folder.join(list.kind.word()))).collect();
    for server in servers {
        let count = REPLACEMENTS * lists.len();
        // Copying takes its time too, and the last one is to be over before the queries are.
        let time = REPLACE_EVERY * (count + 4) as u32;
        let replace = |(new, file): &(PathBuf, PathBuf)| -> io::Result<()> {
            fs::copy(file, new)?;
            fs::rename(new, file)?;
            Command::new("kill").args(["-HUP", &server.child.id().to_string()]).status().map(drop)
        };
        let (mut row, replaced) = thread::scope(|scope| {
            let replacing = scope.spawn(|| {
                let due = copies.iter().cycle().take(count);
                due.map(|pair| (thread::sleep(REPLACE_EVERY), replace(pair)).1).take_while(io::Result::is_ok).count()
            });
            let row = server.measure("all", &questions, Pace::Open(STORM_RATE), time)?;
            Ok::<_, io::Error>((row, replacing.join().unwrap_or(0)))
        })?;
        row.what = format!("reloads {replaced}, peak {:.0} MiB", server.memory_mib("VmHWM"));
        println!("{}", row.line());
        rows.push(row);
    }
    Ok(())
}

const COLUMNS: &str = "server\tlist\twhat\tsent\tanswered\tlost\twrong\tper_s\tuser_us\tsystem_us\tcpu_us\tp50_us\tp90_us\tp99_us\tp999_us\tlongest_us";

impl Row {
    fn line(&self) -> String {
        let Self { server, list, what, outcome, user_us, system_us } = self;
        let Outcome { sent, answered, lost, wrong, .. } = outcome;
        let [p50, p90, p99, p999, longest] = [500, 900, 990, 999, 1_000].map(|permille| outcome.permille_us(permille));
        format!(
            "{server}\t{list}\t{what}\t{sent}\t{answered}\t{lost}\t{wrong}\t{:.0}\t{user_us:.3}\t{system_us:.3}\t{:.3}\t{p50}\t{p90}\t{p99}\t{p999}\t{longest}",
            outcome.per_second(),
            self.cpu_us(),
        )
    }

    fn cpu_us(&self) -> f64 {
        self.user_us + self.system_us
    }
}

/// Writes the raw numbers, the medians of the closed loop, and plots.
fn report(rows: &[Row], notes: &str, results: &Path) -> io::Result<()> {
    fs::create_dir_all(results)?;
    let raw: String = rows.iter().fold(format!("{COLUMNS}\n"), |raw, row| raw + &row.line() + "\n");
    fs::write(results.join("runs.tsv"), raw)?;
    fs::write(results.join("starts.tsv"), notes)?;
    let mut summary = String::from("list\tserver\tmedian_per_s\tmedian_cpu_us\tratio_of_cpu\n");
    let mut bars: [Vec<(String, f64)>; 2] = Default::default();
    for list in ["ip4set", "dnset", "ip4trie"] {
        let median = |server: &str, of: fn(&Row) -> f64| {
            let is_asked = |row: &&Row| row.server == server && row.list == list && row.what.starts_with("closed");
            let mut values: Vec<f64> = rows.iter().filter(is_asked).map(of).collect();
            values.sort_unstable_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(0.0)
        };
        let theirs = median("rbldnsd", Row::cpu_us);
        for server in ["dnsbld", "rbldnsd"] {
            let (rate, cpu_us) = (median(server, |row| row.outcome.per_second()), median(server, Row::cpu_us));
            let ratio = theirs / cpu_us;
            writeln!(summary, "{list}\t{server}\t{rate:.0}\t{cpu_us:.3}\t{ratio:.2}").expect("in memory");
            bars[0].push((format!("{list} {server}"), rate));
            bars[1].push((format!("{list} {server}"), cpu_us));
        }
    }
    print!("{notes}{summary}");
    fs::write(results.join("summary.tsv"), summary)?;
    fs::write(results.join("throughput.svg"), plot("queries answered a second, one core, closed loop", &bars[0]))?;
    fs::write(results.join("cpu.svg"), plot("microseconds of processor time a query", &bars[1]))
}

/// Bars, one below the other.
fn plot(title: &str, bars: &[(String, f64)]) -> String {
    const LEFT: usize = 150;
    const WIDE: f64 = 420.0;
    const HIGH: usize = 24;
    let most = bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let height = HIGH * (bars.len() + 2);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"660\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"660\" height=\"{height}\" fill=\"white\"/>\n<text x=\"10\" y=\"18\">{title}</text>\n"
    );
    for (index, (label, value)) in bars.iter().enumerate() {
        let (y, wide) = (HIGH * (index + 1) + 6, value / most * WIDE);
        let fill = if label.ends_with("rbldnsd") { "#b0b0b0" } else { "#3b6ea5" };
        let shown = if *value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") };
        writeln!(
            svg,
            "<text x=\"10\" y=\"{}\">{label}</text><rect x=\"{LEFT}\" y=\"{y}\" width=\"{wide:.1}\" height=\"18\" fill=\"{fill}\"/>\
             <text x=\"{:.1}\" y=\"{}\">{shown}</text>",
            y + 14,
            LEFT as f64 + wide + 6.0,
            y + 14
        )
        .expect("in memory");
    }
    svg + "</svg>\n"
}
