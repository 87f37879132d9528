//! The one port: accepts connections, speaks HTTP/1.1 and HTTP/2 on each, and drains at the end.
//!
//! gRPC is told from the rest by its content type, so that an unknown method is answered in gRPC's way and an
//! unknown path in HTTP's. Without TLS, HTTP/2 is by prior knowledge. A connection ends when its first request
//! does not begin within [`HEAD_MAX`], when an HTTP/1 client sends no further request for as long, when a peer
//! answers no ping of HTTP/2, and when one reads nothing for as long as a ping may take.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures::StreamExt;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::admission::{ServerPhase, wait_for_phase};
use super::connection::{self, ArrivedBytes, CountedConnection, WatchedConnection};
use super::http::metadata_refused;
use crate::config::ServerLimits;

/// Longest time until the head of a request has arrived, and until a TLS handshake is done.
pub(super) const HEAD_MAX: Duration = Duration::from_secs(10);
/// Bytes that tell HTTP/2 from HTTP/1: the preface.
const PREFACE_BYTES: usize = 24;
/// Smallest buffer of an HTTP/1 connection. A head beyond the limit and within it gets an answer with words.
const BUFFER_BYTES_MIN: usize = 64 * 1024;
/// Time for the answers of calls that were cut off to reach their callers.
const LAST_ANSWERS_TIME_MAX: Duration = Duration::from_millis(500);

/// What answers requests: the routes of gRPC, and all others.
#[derive(Clone)]
pub(super) struct ServedRoutes {
    pub(super) grpc: Router,
    pub(super) http: Router,
}

impl ServedRoutes {
    async fn answer(self, request: Request<Incoming>, metadata_bytes_max: usize) -> Response<Body> {
        if let Some(refused) = metadata_refused(&request, metadata_bytes_max) {
            return refused;
        }
        let router = if is_grpc(&request) { self.grpc } else { self.http };
        let Ok(answered) = router.oneshot(request.map(Body::new)).await;
        answered
    }
}

fn is_grpc<B>(request: &Request<B>) -> bool {
    // gRPC is HTTP/2 only; a page in a browser can speak HTTP/1.1 to this port, and must not reach gRPC by it.
    if request.version() != Version::HTTP_2 {
        return false;
    }
    let content_type = request.headers().get(CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// Everything that a connection needs.
#[derive(Clone)]
pub(super) struct ConnectionServer {
    builder: auto::Builder<TokioExecutor>,
    routes: ServedRoutes,
    tls: Option<TlsAcceptor>,
    metadata_bytes_max: usize,
    write_idle_max: Duration,
    phases: watch::Receiver<ServerPhase>,
}

impl ConnectionServer {
    pub(super) fn new(
        routes: ServedRoutes,
        tls: Option<TlsAcceptor>,
        limits: &ServerLimits,
        phases: watch::Receiver<ServerPhase>,
    ) -> Self {
        // 32 bits always fit into a `usize` here.
        let metadata_bytes_max = usize::try_from(limits.metadata_bytes_max).unwrap_or(usize::MAX);
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            // hyper panics on a header timeout without a timer.
            .timer(TokioTimer::new())
            // Also ends an idle connection: hyper waits for the next head as for the first.
            .header_read_timeout(HEAD_MAX)
            .max_buf_size(metadata_bytes_max.max(BUFFER_BYTES_MIN));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams_per_connection_max)
            .max_header_list_size(limits.metadata_bytes_max)
            .keep_alive_interval(limits.keepalive_interval)
            .keep_alive_timeout(limits.keepalive_timeout);
        let write_idle_max = limits.keepalive_interval + limits.keepalive_timeout;
        Self { builder, routes, tls, metadata_bytes_max, write_idle_max, phases }
    }

    /// Serves an accepted connection, after the handshake of TLS if there is one.
    async fn serve_accepted(mut self, connection: CountedConnection) {
        let Some(tls) = self.tls.take() else { return self.serve(connection).await };
        let handshake = tokio::time::timeout(HEAD_MAX, tls.accept(connection));
        let shaken = tokio::select! {
            shaken = handshake => shaken,
            () = wait_for_phase(self.phases.clone(), ServerPhase::Draining) => return,
        };
        match shaken {
            Ok(Ok(connection)) => self.serve(connection).await,
            Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
            Err(_elapsed) => tracing::debug!("a handshake took too long"),
        }
    }

    async fn serve<C>(self, stream: C)
    where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (arrived, began) = (ArrivedBytes::default(), Arc::new(AtomicBool::new(false)));
        let stream = WatchedConnection::new(stream, arrived.clone(), self.write_idle_max);
        let has_begun = began.clone();
        let (routes, metadata_bytes_max) = (self.routes, self.metadata_bytes_max);
        let service = service_fn(move |request| {
            began.store(true, Ordering::Relaxed);
            let answering = routes.clone().answer(request, metadata_bytes_max);
            async move { Ok::<_, Infallible>(answering.await) }
        });
        let mut conversation = pin!(self.builder.serve_connection(TokioIo::new(stream), service));
        // hyper bounds the head of a request, but not the bytes that tell which version it is of.
        let mut silent = pin!(tokio::time::sleep(HEAD_MAX));
        let mut draining = pin!(wait_for_phase(self.phases, ServerPhase::Draining));
        let (mut is_timed, mut is_draining) = (true, false);
        loop {
            tokio::select! {
                ended = conversation.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    return;
                }
                () = &mut silent, if is_timed => {
                    is_timed = false;
                    if arrived.count() < PREFACE_BYTES && !has_begun.load(Ordering::Relaxed) {
                        tracing::debug!("a connection said nothing");
                        return;
                    }
                }
                () = &mut draining, if !is_draining => {
                    is_draining = true;
                    conversation.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// Serves until `shutdown` ends; then calls `drained`, lets calls finish, and cuts off the rest.
pub(super) async fn serve_connections<D: Future<Output = ()>>(
    listener: TcpListener,
    server: ConnectionServer,
    limits: &ServerLimits,
    phase: watch::Sender<ServerPhase>,
    shutdown: impl Future<Output = ()> + Send,
    before_draining: impl FnOnce() -> D,
) {
    let mut open = JoinSet::new();
    {
        let mut incoming = pin!(connection::accept_connections(listener, limits.connections_max));
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                // Ended connections are joined at once, or the set would grow for ever.
                Some(_) = open.join_next() => {}
                Some(accepted) = incoming.next() => {
                    open.spawn(server.clone().serve_accepted(accepted));
                }
            }
        }
        // The listener is dropped here: nobody else gets in.
    }
    before_draining().await;
    // `send_replace` also stores the phase when nobody listens, unlike `send`.
    phase.send_replace(ServerPhase::Draining);
    let mut all_ended = pin!(async { while open.join_next().await.is_some() {} });
    if tokio::time::timeout(limits.drain_max, &mut all_ended).await.is_ok() {
        return;
    }
    tracing::warn!("calls were still in work when draining ended");
    phase.send_replace(ServerPhase::Cut);
    // The cut-off calls now send their UNAVAILABLE. What is left after that is dropped with its connection.
    let _ = tokio::time::timeout(LAST_ANSWERS_TIME_MAX, all_ended).await;
}
