//! The server: one port for gRPC, HTTP and [MCP](mcp), and the metrics page ([`metrics_http`]).
//!
//! [`run_server`] serves until its shutdown future ends. Then it stops accepting, lets running calls finish
//! for [`ServerLimits::drain_max`], answers the rest UNAVAILABLE, and returns. Every call passes admission in
//! this order: authentication, deadline, room. A refused call costs no memory for a body. A panic in a handler
//! is INTERNAL for that call and affects no other.
//!
//! [`status`] is the only map from refusals to gRPC codes, [`http::problem`] the only one to HTTP's. [`auth`] is
//! the only place that makes a [`Principal`](contexture_core::domain::principal::Principal). Health and
//! reflection need no admission: they contain nothing of a tenant.

mod admission;
pub mod auth;
mod connection;
pub mod grpc;
pub mod http;
pub mod limits;
pub mod mcp;
pub mod metrics_http;
pub mod status;
mod submission_windows;
pub mod tls;
mod transport;

use std::future::Future;
use std::sync::Arc;

use tokio::net::TcpListener;

pub use self::admission::AdmittedCall;
use self::auth::Authenticator;
use self::grpc::{GrpcHealth, GrpcServices};
use self::mcp::McpTools;
use self::tls::ReloadedTls;
use self::transport::{ConnectionServer, ServedRoutes, serve_connections};
pub use crate::config::{ServerConfig, ServerLimits};
use crate::operations::ApiServices;
use crate::telemetry::metrics::ProcessMetrics;
use contexture_core::fault::Refusal;

/// What a server serves, and what it needs to admit and count calls.
#[derive(Clone)]
pub struct ServedApi {
    /// The operations.
    pub services: ApiServices,
    /// Authenticates callers.
    pub authenticator: Arc<Authenticator>,
    /// Counts calls.
    pub metrics: Arc<ProcessMetrics>,
    /// The tools of MCP.
    pub mcp_tools: Arc<McpTools>,
}

/// Why the server could not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is reachable by others while no credential is configured.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The socket failed.
    #[error("the listening socket failed: {0}")]
    Socket(#[from] std::io::Error),
}

/// Serves until `shutdown` ends, then drains.
pub async fn run_server(
    listener: TcpListener,
    api: ServedApi,
    config: ServerConfig,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let address = listener.local_addr()?;
    api.authenticator.check_bind(address)?;
    let tls = config.tls.clone().map(ReloadedTls::open).transpose()?;
    if tls.is_none() && !address.ip().is_loopback() {
        tracing::warn!(%address, "served without TLS: keys can be read on the way unless a proxy encrypts");
    }
    let limits = config.limits.clone();
    let grpc = GrpcServices::new(api.clone(), limits.clone());
    let http = http::http_router(&api, &grpc.admission, &config);
    let health = GrpcHealth::serving().await;
    let phase = grpc.phase.clone();
    let routes = ServedRoutes { grpc: grpc.into_router(&health)?, http: http.with_state(()) };
    let server =
        ConnectionServer::new(routes, tls.as_ref().map(ReloadedTls::acceptor), &limits, phase.subscribe());
    tracing::info!(%address, "serving");
    let serving = serve_connections(listener, server, &limits, phase, shutdown, async || {
        tracing::info!(%address, drain_ms_max = limits.drain_max.as_millis(), "draining");
        health.end().await;
    });
    match &tls {
        Some(tls) => tokio::select! {
            () = serving => {}
            never = tls.follow_files() => match never {},
        },
        None => serving.await,
    }
    Ok(())
}
