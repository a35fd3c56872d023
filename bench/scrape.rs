//! What Prometheus costs: `bench/run scrape`. The same server under full load, with and without scrapes, in turns.
//!
//! The worker and the thread that answers scrapes share one core, which is the worst that can happen to the worker; the load
//! and the scraper are on the other. Prometheus asks every 15 s, this asks twenty times a second, so that there is something to
//! be seen.

#[allow(unsafe_code, reason = "sendmmsg and recvmmsg")]
#[allow(dead_code, reason = "no open loop here")]
#[path = "support/generator.rs"]
mod generator;

#[path = "support/data.rs"]
mod data;

#[path = "support/metrics.rs"]
mod metrics;

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use data::Extras;
use generator::{Outcome, Pace, Question, ask};
use metrics::scrape;

/// Many and short: what else the machine does comes and goes within a second, by a tenth of the throughput.
const PAIRS: usize = 500;
const RUN: Duration = Duration::from_millis(150);
const WINDOW: usize = 256;
const SCRAPE_EVERY: Duration = Duration::from_millis(50);
/// Prometheus's own default.
const USUAL_EVERY: Duration = Duration::from_secs(15);
const PORT: u16 = 5_911;
const HTTP_PORT: u16 = 5_912;
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that ends with the benchmark.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    /// Processor time so far, in seconds.
    fn cpu_s(&self) -> io::Result<f64> {
        const TICKS_PER_S: f64 = 100.0;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        Ok(fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_S)
    }
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let program =
        arguments.next().ok_or_else(|| io::Error::other("usage: scrape DNSBLD (bench/run scrape gives it)"))?;
    let folder = std::env::temp_dir().join(format!("dnsbld-scrape-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let list = data::hosts(1_000_000, 200_000, 1);
    fs::write(folder.join(format!("{}.ip4set", list.zone)), &list.text)?;
    let question = |name: &String| Question {
        octets: data::query(0, &format!("{name}.{}", list.zone), 1, Extras::default()),
        listed: false,
        values: None,
        until: None,
    };
    let questions: Vec<Question> = list.unlisted.iter().map(question).collect();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    let http = SocketAddr::from((Ipv4Addr::LOCALHOST, HTTP_PORT));
    let server = start(&program, &folder, address, http, &questions[0])?;

    println!("scraped\tqueries_per_s\tcpu_us\tscrapes");
    let mut rates = [Vec::new(), Vec::new()];
    // Without, with, with, without: what drifts slowly falls on both.
    for is_scraped in [false, true, true, false].into_iter().cycle().take(2 * PAIRS) {
        let before_s = server.cpu_s()?;
        let (outcome, scrapes) = run(address, http, &questions, is_scraped)?;
        let cpu_us = (server.cpu_s()? - before_s) * 1e6 / outcome.answered.max(1) as f64;
        println!("{is_scraped}\t{:.0}\t{cpu_us:.3}\t{scrapes}", outcome.per_second());
        rates[usize::from(is_scraped)].push(outcome.per_second());
    }
    // The machine has moods that last longer than a run: each run is held against its neighbour.
    let mut ratios: Vec<f64> = rates[0].iter().zip(&rates[1]).map(|(without, with)| with / without).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let scrape_ms = alone(&server, http)?;
    let usual = scrape_ms / 1e3 / USUAL_EVERY.as_secs_f64() * 100.0;
    // The median's 95 % interval by ranks: n/2 -+ 0.98 sqrt(n), the binomial distribution's two ends.
    let reach = (0.98 * (PAIRS as f64).sqrt()).ceil() as usize;
    println!(
        "throughput with a scrape every {SCRAPE_EVERY:?} is {:.4} of that without, median of {PAIRS} pairs ({:.4} to {:.4})",
        ratios[PAIRS / 2],
        ratios[PAIRS / 2 - reach],
        ratios[PAIRS / 2 + reach]
    );
    let cost = (1.0 - ratios[PAIRS / 2]) * SCRAPE_EVERY.as_secs_f64() / USUAL_EVERY.as_secs_f64() * 100.0;
    println!("so every {USUAL_EVERY:?} takes {cost:.4} % of the throughput");
    println!("a scrape takes {scrape_ms:.2} ms of one core: {usual:.4} % of it every {USUAL_EVERY:?}");
    drop(server);
    fs::remove_dir_all(&folder)
}

fn start(
    program: &str,
    folder: &std::path::Path,
    udp: SocketAddr,
    http: SocketAddr,
    question: &Question,
) -> io::Result<Server> {
    let child = Command::new("taskset")
        .args(["-c", "0", program, "serve"])
        .arg(folder)
        .args(["--workers", "1", "--listen", &udp.to_string(), "--http", &http.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut server = Server(child);
    let probe = UdpSocket::bind("127.0.0.1:0")?;
    probe.connect(udp)?;
    probe.set_read_timeout(Some(Duration::from_millis(5)))?;
    let begun = Instant::now();
    while probe.send(&question.octets).and_then(|_| probe.recv(&mut [0; 512])).is_err() {
        if let Some(status) = server.0.try_wait()? {
            return Err(io::Error::other(format!("the server ended: {status}")));
        }
        if begun.elapsed() > PATIENCE {
            return Err(io::Error::other("the server does not answer"));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(server)
}

/// Asks as fast as it goes, with scrapes beside it or without; tells how many there were.
fn run(udp: SocketAddr, http: SocketAddr, questions: &[Question], is_scraped: bool) -> io::Result<(Outcome, usize)> {
    let is_over = AtomicBool::new(!is_scraped);
    thread::scope(|scope| {
        let scraping = scope.spawn(|| {
            let mut count = 0;
            while !is_over.load(Ordering::Relaxed) {
                scrape(http)?;
                count += 1;
                thread::sleep(SCRAPE_EVERY);
            }
            Ok(count)
        });
        let outcome = ask(udp, questions, Pace::Closed(WINDOW), RUN, || {});
        is_over.store(true, Ordering::Relaxed);
        let scrapes = scraping.join().unwrap_or_else(|_| Err(io::Error::other("the scraper failed")))?;
        Ok((outcome?, scrapes))
    })
}

/// Milliseconds of processor time that a scrape takes of a server that does nothing else.
fn alone(server: &Server, http: SocketAddr) -> io::Result<f64> {
    const TIMES: u32 = 2_000;
    let before_s = server.cpu_s()?;
    for _ in 0..TIMES {
        scrape(http)?;
    }
    Ok((server.cpu_s()? - before_s) * 1e3 / f64::from(TIMES))
}
