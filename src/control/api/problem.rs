//! What went wrong, for people and for programs (RFC 9457).

use axum::{
    body::Bytes,
    extract::{self, FromRequest, FromRequestParts, Request},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::task;

use super::BODY_MAX_LEN;
use crate::live::listings::{Refusal, StoreError};

/// A problem's details.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    /// `about:blank`: the status says what kind it is (RFC 9457 section 4.2.1).
    r#type: &'static str,
    title: &'static str,
    status: u16,
    pub(super) detail: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { r#type: "about:blank", title, status: status.as_u16(), detail: detail.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 15.5.2: it must say how.
            response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::NoZone { .. } | Refusal::Subzone { .. } => StatusCode::NOT_FOUND,
            Refusal::Shape { .. } | Refusal::Time { .. } | Refusal::Value { .. } | Refusal::TooLong { .. } => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            _ => StatusCode::CONFLICT,
        };
        Self::new(status, refusal.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

/// Whoever worked aside panicked, or was not begun with as the server ends.
impl From<task::JoinError> for Problem {
    fn from(error: task::JoinError) -> Self {
        if error.is_panic() {
            let detail = "a panic met the request; please report it, with what the log says of it";
            return Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail);
        }
        StoreError::Ending.into()
    }
}

/// What a path says.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = extract::Path::from_request_parts(parts, state).await;
        let extract::Path(told) = read.map_err(|error| Problem::new(error.status(), error.body_text()))?;
        Ok(Self(told))
    }
}

/// What stands behind its question mark.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = extract::Query::from_request_parts(parts, state).await;
        let extract::Query(told) = read.map_err(|error| {
            let text = error.body_text();
            let why = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            let why = why.replace("invalid digit found in string", "expected a whole number");
            let why = why.replace("expected a nonzero usize", "expected a whole number from 1");
            Problem::new(error.status(), format!("what stands behind the question mark cannot be read: {why}"))
        })?;
        Ok(Self(told))
    }
}

/// The octets behind the head.
pub(super) struct Body(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let read = Bytes::from_request(request, state).await;
        read.map(Self).map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body is longer than {BODY_MAX_LEN} octets: send it in parts"),
            ),
            status => Problem::new(status, error.body_text()),
        })
    }
}

/// Reads a body.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the body cannot be read: {}", plain(&error))))
}

/// What is wrong with JSON, in the words of JSON.
pub(super) fn plain(error: &serde_json::Error) -> String {
    error
        .to_string()
        .replace("expected a map", "expected an object, as {\"for\": \"1h\"}")
        .replace("expected a sequence", "expected an array, as [{\"key\": \"192.0.2.1\"}]")
        .replace("sequence, ", "array, ")
        .replace("map, ", "object, ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_no_end_of_the_server() {
        let panics: fn() = || panic!("as a bug of ours would");
        let problem = Problem::from(task::spawn_blocking(panics).await.expect_err("a panic"));
        assert!(problem.status == 500 && problem.detail.starts_with("a panic met the request"), "{problem:?}");
        let pending = tokio::spawn(std::future::pending::<()>());
        pending.abort();
        let problem = Problem::from(pending.await.expect_err("it was broken off"));
        assert_eq!((problem.status, &*problem.detail), (503, "the server is ending"));
    }
}
