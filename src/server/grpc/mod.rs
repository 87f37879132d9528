//! gRPC: the transport, call admission and the services.

mod admin;
mod call_admission;
mod call_frame;
mod compare_convert;
mod context;
mod convert;
mod ingest;
#[allow(missing_docs, unreachable_pub, clippy::pedantic, reason = "generated code")]
pub mod proto;
mod submit_stream;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::health_reporter;

use self::admin::AdminHandler;
use self::call_admission::{CallAdmission, GatedService};
use self::call_frame::ServerPhase;
use self::context::ContextHandler;
use self::ingest::IngestHandler;
use self::proto::admin_service_server::AdminServiceServer;
use self::proto::context_service_server::ContextServiceServer;
use self::proto::ingest_service_server::IngestServiceServer;
pub use self::proto::{DESCRIPTOR_SET, SERVICE_NAMES};
use super::api::{ApiServices, ServeError};
use super::connection;
use crate::config::ServerLimits;

/// Largest message of a query, in bytes. Single fields have lower limits, whose refusals name the field.
const QUERY_MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Time for the answers of calls that were cut off to reach their callers.
const LAST_ANSWERS_TIME_MAX: Duration = Duration::from_millis(500);

fn reflection_builder() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// The services behind admission, as the server mounts them. Tests call them without a network.
pub struct GrpcServices {
    /// Ingest.
    pub ingest: GatedService<IngestServiceServer<IngestHandler>>,
    /// Queries.
    pub context: GatedService<ContextServiceServer<ContextHandler>>,
    /// Administration.
    pub admin: GatedService<AdminServiceServer<AdminHandler>>,
    phase: watch::Sender<ServerPhase>,
}

impl GrpcServices {
    /// Creates all services behind one admission.
    pub fn new(services: ApiServices, limits: ServerLimits) -> Self {
        let (phase, phases) = watch::channel(ServerPhase::Serving);
        let message_bytes_max = limits.message_bytes_max;
        let limits = Arc::new(limits);
        let keeper = Arc::new(CallAdmission::new(
            services.authenticator,
            services.metrics,
            Arc::clone(&limits),
            phases.clone(),
        ));
        let admin = AdminHandler::new(services.admin, phases.clone());
        let ingest = IngestHandler::new(services.ingest, limits, phases);
        let context = ContextHandler::new(services.context);
        Self {
            ingest: GatedService::new(
                IngestServiceServer::new(ingest).max_decoding_message_size(message_bytes_max),
                Arc::clone(&keeper),
            ),
            context: GatedService::new(
                ContextServiceServer::new(context).max_decoding_message_size(QUERY_MESSAGE_BYTES_MAX),
                Arc::clone(&keeper),
            ),
            admin: GatedService::new(
                AdminServiceServer::new(admin).max_decoding_message_size(QUERY_MESSAGE_BYTES_MAX),
                keeper,
            ),
            phase,
        }
    }
}

pub(super) async fn serve_grpc(
    listener: TcpListener,
    services: ApiServices,
    limits: ServerLimits,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let address = listener.local_addr()?;
    let drain_max = limits.drain_max;
    let unreadable = |error: tonic_reflection::server::Error| std::io::Error::other(error.to_string());
    let newer_reflection = reflection_builder().build_v1().map_err(unreadable)?;
    // Many clients know only the older version of reflection, which differs in its name.
    let older_reflection = reflection_builder().build_v1alpha().map_err(unreadable)?;
    let (mut reporter, health) = health_reporter();
    // Set before the first accept, so that no health check sees an unknown service.
    for name in SERVICE_NAMES {
        reporter.set_service_status(name, ServingStatus::Serving).await;
    }
    let mut transport = Server::builder()
        .max_concurrent_streams(limits.streams_per_connection_max)
        .http2_max_header_list_size(limits.metadata_bytes_max)
        .http2_keepalive_interval(Some(limits.keepalive_interval))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout));
    let incoming = connection::accept_connections(listener, limits.connections_max);
    let GrpcServices { ingest, context, admin, phase } = GrpcServices::new(services, limits);
    let mut phases = phase.subscribe();
    let stop_accepting = async move {
        // The sender lives in this function, so the channel cannot close before draining begins.
        let _ = phases.wait_for(|phase| *phase >= ServerPhase::Draining).await;
    };
    let serving = transport
        .add_service(health)
        .add_service(newer_reflection)
        .add_service(older_reflection)
        .add_service(ingest)
        .add_service(context)
        .add_service(admin)
        .serve_with_incoming_shutdown(incoming, stop_accepting);
    // Pinned, because it is polled until the shutdown and again while draining.
    tokio::pin!(serving);
    tracing::info!(%address, "serving gRPC");
    tokio::select! {
        result = &mut serving => return Ok(result?),
        () = shutdown => {}
    }
    tracing::info!(%address, drain_ms_max = drain_max.as_millis(), "draining");
    // Health watchers hold their connections open. Clearing a status ends their streams.
    for name in SERVICE_NAMES.into_iter().chain([""]) {
        reporter.set_service_status(name, ServingStatus::NotServing).await;
        reporter.clear_service_status(name).await;
    }
    // `send_replace` also stores the phase when nobody listens, unlike `send`.
    phase.send_replace(ServerPhase::Draining);
    if let Ok(result) = tokio::time::timeout(drain_max, &mut serving).await {
        return Ok(result?);
    }
    tracing::warn!(%address, "calls were still in work when draining ended");
    phase.send_replace(ServerPhase::Cut);
    // The cut-off calls now send their UNAVAILABLE. What is left after that is dropped with the transport.
    tokio::time::timeout(LAST_ANSWERS_TIME_MAX, serving).await.map_or(Ok(()), |result| Ok(result?))
}
