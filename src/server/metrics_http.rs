//! Serves the metrics page over HTTP: `GET /metrics` and nothing else.
//!
//! Without configured credentials it is served on loopback only; with them, it needs a key with the scope
//! `metrics`. A connection carries one request and lives at most [`CONNECTION_MAX`]. At most
//! [`CONNECTIONS_MAX`] are open.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::auth::Authenticator;
use super::connection::{self, CountedConnection};
use crate::telemetry::metrics;
use contexture_core::domain::principal::AccessScope;

/// Most open connections; further ones wait in the backlog of the socket.
const CONNECTIONS_MAX: usize = 16;
/// Longest life of a connection, which carries one request.
const CONNECTION_MAX: Duration = Duration::from_secs(30);
/// Longest time until the head of a request has arrived.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// Largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Renders the metrics page.
#[async_trait]
pub trait MetricsPageApi: Send + Sync {
    /// Returns the current page.
    async fn page(&self) -> String;
}

/// Serves the page until its future is dropped.
pub async fn serve_metrics(
    listener: TcpListener,
    api: Arc<dyn MetricsPageApi>,
    authenticator: Arc<Authenticator>,
) -> Infallible {
    let incoming = connection::accept_connections(listener, CONNECTIONS_MAX);
    tokio::pin!(incoming);
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            // Ended connections are joined at once, or the set would grow for ever.
            Some(_) = open.join_next() => continue,
            accepted = incoming.next() => accepted,
        };
        let Some(accepted) = accepted else { continue };
        open.spawn(serve_connection(accepted, api.clone(), authenticator.clone()));
    }
}

async fn serve_connection(
    connection: CountedConnection,
    api: Arc<dyn MetricsPageApi>,
    authenticator: Arc<Authenticator>,
) {
    let service = service_fn(move |request| {
        let (api, authenticator) = (api.clone(), authenticator.clone());
        async move { Ok::<_, Infallible>(answer_metrics_request(&request, &*api, &authenticator).await) }
    });
    let conversation = http1::Builder::new()
        // One request per connection, so that an idle reader keeps no place.
        .keep_alive(false)
        // hyper panics on a header timeout without a timer.
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(connection), service);
    // Bounds slow readers of the answer, too; the header timeout does not.
    match tokio::time::timeout(CONNECTION_MAX, conversation).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a reader of metrics went away"),
        Err(_) => tracing::debug!("a reader of metrics was too slow"),
    }
}

async fn answer_metrics_request(
    request: &Request<Incoming>,
    api: &dyn MetricsPageApi,
    authenticator: &Authenticator,
) -> Response<String> {
    // Before authentication: these two answers reveal nothing.
    if request.uri().path() != "/metrics" {
        return plain_response(StatusCode::NOT_FOUND, "metrics are at /metrics\n");
    }
    if request.method() != Method::GET {
        return plain_response(StatusCode::METHOD_NOT_ALLOWED, "metrics are read with GET\n");
    }
    let why = "a key with the scope metrics is needed: 'authorization: Bearer <key>'\n";
    let Ok(principal) = authenticator.authenticate(request.headers()).await else {
        let mut refused = plain_response(StatusCode::UNAUTHORIZED, why);
        refused.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return refused;
    };
    if principal.require(AccessScope::Metrics).is_err() {
        return plain_response(StatusCode::FORBIDDEN, why);
    }
    let mut page = Response::new(api.page().await);
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::OPENMETRICS_CONTENT_TYPE));
    page
}

fn plain_response(status: StatusCode, words: &str) -> Response<String> {
    let mut response = Response::new(words.to_owned());
    *response.status_mut() = status;
    response
}
