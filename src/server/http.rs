//! What is told over HTTP: metrics in Prometheus' text format, whether the process lives, and whether it serves all it
//! should; and beside them the door for live listings, if a token opens it.
//!
//! | path | 200 | 503 |
//! |---|---|---|
//! | `/metrics` | all metrics | |
//! | `/healthz` | the process answers | |
//! | `/readyz` | every zone is loaded and none has expired | names those that are not; or no zone at all, or the store of live listings cannot be opened yet |
//! | `/v1` | see [`api`] | |
//!
//! Whoever connects takes a descriptor that DNS over TCP, drops and commands need too: so there is a most of connections, each
//! must bring its request soon, and none lives for ever. When all seats are taken, by clients that are slow perhaps, some more
//! connections may stand: who only wants to know whether the server lives is told so there at once, as a watchdog may restart it
//! otherwise; everything else waits for a seat.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
    extract::{ConnectInfo, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
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
    sync::Semaphore,
    time::{sleep, timeout},
};
use tracing::warn;

use super::Running;
use crate::{
    control::api,
    live::{clock, listings::Listings},
    zone::ruling::Context,
};

/// Most connections whose requests are met at once: monitoring and a few programs.
const SEATS: usize = 64;

/// So many more may stand. More of them wait, without a descriptor of ours.
const STANDING: usize = 16;

/// Most connections.
pub(super) const PLACES: usize = SEATS + STANDING;

/// How long those may take until the head of a request is here: they are in the way of the next one who asks how the server is.
const STANDING_HEAD: Duration = Duration::from_secs(2);

/// How long a connection may take.
#[derive(Clone, Copy)]
struct Limits {
    /// Until the head of a request is here, the next one on the same connection too.
    head: Duration,
    /// Until a request that came without a seat has one: by then those are free whose connections were idle.
    seat: Duration,
    /// Until no more requests are taken from it: it may be a reader that does not read, or a body that drips.
    life: Duration,
    /// From then on, for the request that is being met: more than the longest change of many takes.
    rest: Duration,
}

const LIMITS: Limits = Limits {
    head: Duration::from_secs(10),
    seat: Duration::from_secs(10),
    life: Duration::from_secs(60),
    rest: Duration::from_secs(60),
};

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
    let (places, seats) = (Arc::new(Semaphore::new(PLACES)), Arc::new(Semaphore::new(SEATS)));
    let mut told = None;
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (mut router, mut limits) = (router.clone().layer(Extension(ConnectInfo(peer))), limits);
                let seat = Arc::clone(&seats).try_acquire_owned().ok();
                if seat.is_none() {
                    complain(&mut told);
                    router = router.layer(middleware::from_fn_with_state((Arc::clone(&seats), limits.seat), stand));
                    limits.head = limits.head.min(STANDING_HEAD);
                }
                tokio::spawn(async move {
                    attend(stream, router, limits).await;
                    drop((seat, place));
                });
            }
            Err(error) => {
                warn!("cannot accept an HTTP connection: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Says from time to time that all seats are taken.
fn complain(told: &mut Option<Instant>) {
    const COMPLAIN: Duration = Duration::from_secs(60);
    if told.is_none_or(|at| at.elapsed() >= COMPLAIN) {
        *told = Some(Instant::now());
        warn!(
            "{SEATS} HTTP connections are open, and until one is closed only /healthz and /readyz are answered to others: \
             `ss -tn` shows whose they are; let only your monitoring and your programs reach `http`"
        );
    }
}

/// What those are told who came without a seat and got none (RFC 9457).
const TOO_MANY: &str = r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"too many HTTP connections are open: try again"}"#;

/// Meets a request that came without a seat.
async fn stand(State((seats, patience)): State<(Arc<Semaphore>, Duration)>, request: Request, next: Next) -> Response {
    if matches!(request.uri().path(), "/healthz" | "/readyz") {
        return next.run(request).await;
    }
    let Ok(Ok(_seat)) = timeout(patience, seats.acquire()).await else {
        let head = [(header::RETRY_AFTER, "1"), (header::CONTENT_TYPE, "application/problem+json")];
        return (StatusCode::SERVICE_UNAVAILABLE, head, TOO_MANY).into_response();
    };
    next.run(request).await
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
    if let Some(why) = running.listings.as_ref().ok().filter(|listings| listings.waits()).and_then(Listings::alarm) {
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
                let router = router.route("/healthz", get(async || "well"));
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
        let address = start(Limits { head: Duration::from_millis(200), seat: minute, life: minute, rest: minute });
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
        let address =
            start(Limits { head: Duration::from_secs(60), seat: Duration::from_secs(60), life: brief, rest: brief });
        let mut lazy: Vec<_> = (0..SEATS + STANDING).map(|_| connect(address)).collect();
        for stream in &mut lazy {
            stream.write_all(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n").expect("written");
        }
        // All places are taken by those who do not read: this one waits until they have gone.
        assert!(asked(address, "/short").ends_with("ok"));
        drop(lazy);
    }

    #[test]
    fn whoever_has_no_seat_is_told_how_the_server_is() {
        let minute = Duration::from_secs(60);
        let limits = Limits { head: minute, seat: Duration::from_millis(100), life: minute, rest: minute };
        let address = start(limits);
        let mut seated: Vec<_> = (0..SEATS).map(|_| connect(address)).collect();
        for stream in &mut seated {
            stream.write_all(b"GET /short HTTP/1.1\r\n").expect("written");
        }
        for _ in 0..2 * STANDING {
            assert!(asked(address, "/healthz").ends_with("well"));
        }
        let reply = asked(address, "/short");
        assert!(reply.starts_with("HTTP/1.1 503") && reply.contains("retry-after: 1"), "{reply}");
        assert!(reply.contains("application/problem+json") && reply.contains("too many HTTP connections"), "{reply}");
        // They are closed soon, and are not long in the way of others.
        let standing: Vec<_> = (0..STANDING).map(|_| connect(address)).collect();
        assert!(asked(address, "/healthz").ends_with("well"));
        drop((seated, standing));
        // A seat is free by and by.
        assert!((0..100).any(|_| asked(address, "/short").ends_with("ok")));
    }

    fn asked(address: net::SocketAddr, path: &str) -> String {
        let mut stream = connect(address);
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("written");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("a reply");
        reply
    }
}
