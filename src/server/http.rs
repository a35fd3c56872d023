//! What is told over HTTP: metrics in Prometheus' text format, whether the process lives, and whether it serves all it
//! should; and beside them the door for live listings, if a token opens it.
//!
//! | path | 200 | 503 |
//! |---|---|---|
//! | `/metrics` | all metrics | |
//! | `/healthz` | the process answers | |
//! | `/readyz` | every zone is loaded and none has expired | names those that are not, or there is no zone at all |
//! | `/v1` | see [`api`] | |

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use prometheus::{Encoder, TextEncoder};
use tracing::error;

use super::Running;
use crate::{control::api, live::clock, zone::ruling::Context};

/// Serves until the runtime ends.
pub(super) async fn serve(listener: tokio::net::TcpListener, running: Running, listings: Option<api::Desk>) {
    let metrics = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(Arc::new(running));
    let router = listings.map_or_else(Router::new, api::Desk::router).merge(metrics);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    if let Err(error) = axum::serve(listener, service).await {
        error!("HTTP has ended: {error}");
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
    let missing: String = missing.collect();
    if missing.is_empty() { (StatusCode::OK, "ready\n".to_owned()) } else { (StatusCode::SERVICE_UNAVAILABLE, missing) }
}
