//! The server: gRPC for ingest, context and administration, and the metrics page ([`metrics_http`]).
//!
//! [`run_server`] serves until its shutdown future ends. Then it stops accepting, lets running calls finish
//! for [`ServerLimits::drain_max`], answers the rest UNAVAILABLE, and returns. Every call passes admission in
//! this order: authentication, deadline, room. A refused call costs no memory for a body. A panic in a handler
//! is INTERNAL for that call and affects no other.
//!
//! [`status`] is the only map from refusals to codes. [`auth`] is the only place that makes a
//! [`Principal`](contexture_core::domain::principal::Principal). Health and reflection need no admission: they
//! contain nothing of a tenant.

mod api;
pub mod auth;
mod connection;
pub mod grpc;
pub mod limits;
pub mod metrics_http;
pub mod status;

use std::future::Future;

use tokio::net::TcpListener;

pub use self::api::{AdminApi, ApiServices, ContextApi, IngestApi, ServeError};
pub use crate::config::ServerLimits;

/// Serves until `shutdown` ends, then drains.
pub async fn run_server(
    listener: TcpListener,
    services: ApiServices,
    limits: ServerLimits,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    services.authenticator.check_bind(listener.local_addr()?)?;
    grpc::serve_grpc(listener, services, limits, shutdown).await
}
