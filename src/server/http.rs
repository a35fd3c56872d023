//! What is told over HTTP: metrics in Prometheus' text format, whether the process lives, and whether it serves all it
//! should; and beside them the door for live listings, if a token opens it.
//!
//! | path | 200 | 503 |
//! |---|---|---|
//! | `/metrics` | all metrics | |
//! | `/healthz` | the process answers | |
//! | `/readyz` | every zone is loaded and none has expired | names those that are not; or no zone at all, or another server has the live listings |
//! | `/v1` | see [`api`] | |
//!
//! Whoever connects takes a descriptor that DNS over TCP, drops and commands need too: so there is a most of connections, each
//! must bring its request soon, and none lives for ever.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
    extract::{ConnectInfo, State},
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use prometheus::{Encoder, TextEncoder};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tracing::warn;

use super::Running;
use crate::{
    control::api,
    live::{clock, listings::Listings},
    zone::ruling::Context,
};

/// Most connections open at once: monitoring and a few programs. More of them wait, without a descriptor of ours.
const CONNECTIONS_MAX: usize = 64;

/// How long a connection may take.
#[derive(Clone, Copy)]
struct Limits {
    /// Until the head of a request is here, the next one on the same connection too.
    head: Duration,
    /// Until no more requests are taken from it: it may be a reader that does not read, or a body that drips.
    life: Duration,
    /// From then on, for the request that is being met: more than the longest change of many takes.
    rest: Duration,
}

const LIMITS: Limits =
    Limits { head: Duration::from_secs(10), life: Duration::from_secs(60), rest: Duration::from_secs(60) };

/// Serves until the runtime ends.
pub(super) async fn serve(listener: TcpListener, running: Running, listings: Option<api::Desk>) {
    let metrics = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(Arc::new(running));
    let router = listings.map_or_else(Router::new, api::Desk::router).merge(metrics);
    accept(&listener, &router, LIMITS).await;
}

async fn accept(listener: &TcpListener, router: &Router, limits: Limits) {
    const PAUSE: Duration = Duration::from_secs(1);
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut told = None;
    while let Some(seat) = seat(&seats, &mut told).await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let router = router.clone().layer(Extension(ConnectInfo(peer)));
                tokio::spawn(async move {
                    attend(stream, router, limits).await;
                    drop(seat);
                });
            }
            Err(error) => {
                warn!("cannot accept an HTTP connection: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Waits until there may be one more connection, and says so from time to time if that is not at once.
async fn seat(seats: &Arc<Semaphore>, told: &mut Option<Instant>) -> Option<OwnedSemaphorePermit> {
    const COMPLAIN: Duration = Duration::from_secs(60);
    if let Ok(seat) = Arc::clone(seats).try_acquire_owned() {
        return Some(seat);
    }
    if told.is_none_or(|at| at.elapsed() >= COMPLAIN) {
        *told = Some(Instant::now());
        warn!(
            "{CONNECTIONS_MAX} HTTP connections are open, and more wait until one is closed: `ss -tn` shows whose they \
             are; let only your monitoring and your programs reach `http`"
        );
    }
    Arc::clone(seats).acquire_owned().await.ok()
}

/// Serves one connection, as long as it may be.
async fn attend(stream: TcpStream, router: Router, limits: Limits) {
    let service = TowerToHyperService::new(router);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.head);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // How a client goes is its own affair.
    if timeout(limits.life, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(limits.rest, connection).await;
    }
}

async fn metrics(State(running): State<Arc<Running>>) -> impl IntoResponse {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&running.registry.gather(), &mut text) {
        Ok(()) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn ready(State(running): State<Arc<Running>>) -> impl IntoResponse {
    let served = running.cell.load();
    let zones = served.snapshot.zones();
    if zones.is_empty() {
        return (StatusCode::SERVICE_UNAVAILABLE, "no zone is served\n".to_owned());
    }
    let context = Context { now_s: clock::now_s(), keyed: false };
    let missing = zones.iter().filter(|zone| !zone.is_served(&context)).map(|zone| {
        let why = if zone.content.is_some() { "has expired" } else { "is not loaded" };
        format!("zone {} {why}\n", zone.apex)
    });
    let mut missing: String = missing.collect();
    if let Some(why) = running.listings.as_ref().filter(|listings| listings.waits()).and_then(Listings::alarm) {
        missing.push_str(&why);
        missing.push('\n');
    }
    if missing.is_empty() { (StatusCode::OK, "ready\n".to_owned()) } else { (StatusCode::SERVICE_UNAVAILABLE, missing) }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net,
    };

    use super::*;

    /// Where a server of short patience listens; its pages are a short one and a very long one.
    fn start(limits: Limits) -> net::SocketAddr {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                sender.send(listener.local_addr().expect("an address")).expect("who waits");
                let octets = axum::body::Bytes::from(vec![b'x'; 16 << 20]);
                let long = get(move || std::future::ready(octets.clone()));
                let router = Router::new().route("/short", get(async || "ok")).route("/long", long);
                accept(&listener, &router, limits).await;
            });
        });
        receiver.recv().expect("it listens")
    }

    fn connect(address: net::SocketAddr) -> net::TcpStream {
        let stream = net::TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream
    }

    /// Whether it is closed, and not only silent.
    fn is_closed(mut stream: &net::TcpStream) -> bool {
        stream.read(&mut [0]).is_ok_and(|length| length == 0)
    }

    #[test]
    fn a_connection_without_a_request_is_closed() {
        let minute = Duration::from_secs(60);
        let address = start(Limits { head: Duration::from_millis(200), life: minute, rest: minute });
        let silent = connect(address);
        let mut half = connect(address);
        half.write_all(b"GET /short HTTP/1.1\r\n").expect("written");
        let mut idle = connect(address);
        idle.write_all(b"GET /short HTTP/1.1\r\nHost: x\r\n\r\n").expect("written");
        let mut reply = String::new();
        idle.read_to_string(&mut reply).expect("a reply and an end");
        assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
        assert!(is_closed(&silent) && is_closed(&half));
    }

    #[test]
    fn no_connection_lives_for_ever() {
        let brief = Duration::from_millis(300);
        let address = start(Limits { head: Duration::from_secs(60), life: brief, rest: brief });
        let mut lazy: Vec<_> = (0..CONNECTIONS_MAX).map(|_| connect(address)).collect();
        for stream in &mut lazy {
            stream.write_all(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n").expect("written");
        }
        // All seats are taken by those who do not read: this one waits until they have gone.
        let mut stream = connect(address);
        stream.write_all(b"GET /short HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("written");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("a reply");
        assert!(reply.ends_with("ok"), "{reply}");
        drop(lazy);
    }
}
