//! gRPC: call admission and the services, with health and reflection.

mod admin;
mod call_admission;
mod call_frame;
mod collections;
mod compare_convert;
mod context;
mod convert;
mod dead_letters;
mod document_convert;
mod ingest;
mod message_stream;
mod metadata_convert;
#[allow(missing_docs, unreachable_pub, clippy::pedantic, reason = "generated code")]
pub mod proto;
mod service_status;
mod submit_stream;

use std::sync::Arc;

use tokio::sync::watch;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use self::admin::AdminHandler;
use self::call_admission::GatedService;
use self::call_frame::ServerPhase;
use self::collections::CollectionHandler;
use self::context::ContextHandler;
use self::dead_letters::DeadLetterHandler;
use self::ingest::IngestHandler;
use self::proto::admin_service_server::AdminServiceServer;
use self::proto::collection_service_server::CollectionServiceServer;
use self::proto::context_service_server::ContextServiceServer;
use self::proto::dead_letter_service_server::DeadLetterServiceServer;
use self::proto::ingest_service_server::IngestServiceServer;
use self::proto::status_service_server::StatusServiceServer;
pub use self::proto::{DESCRIPTOR_SET, SERVICE_NAMES};
use self::service_status::StatusHandler;
use super::admission::CallAdmission;
use super::{ServeError, ServedApi};
use crate::config::ServerLimits;

/// Largest message of a query, in bytes. Single fields have lower limits, whose refusals name the field.
const QUERY_MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

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
    /// Collections.
    pub collections: GatedService<CollectionServiceServer<CollectionHandler>>,
    /// Documents that were given up.
    pub dead_letters: GatedService<DeadLetterServiceServer<DeadLetterHandler>>,
    /// How the service stands.
    pub status: GatedService<StatusServiceServer<StatusHandler>>,
    pub(super) admission: Arc<CallAdmission>,
    pub(super) phase: watch::Sender<ServerPhase>,
}

impl GrpcServices {
    /// Creates all services behind one admission.
    pub fn new(api: ServedApi, limits: ServerLimits) -> Self {
        let (phase, phases) = watch::channel(ServerPhase::Serving);
        let message_bytes_max = limits.message_bytes_max;
        let limits = Arc::new(limits);
        let admission =
            Arc::new(CallAdmission::new(api.authenticator, api.metrics, Arc::clone(&limits), phases.clone()));
        let services = api.services;
        let ingest = IngestHandler::new(&services, limits, phases.clone());
        let admin = AdminHandler::new(services.admin, phases);
        let context = ContextHandler::new(services.context);
        let collections = CollectionHandler::new(services.collections);
        let dead_letters = DeadLetterHandler::new(services.dead_letters);
        let status = StatusHandler::new(services.status);
        Self {
            ingest: GatedService::new(
                IngestServiceServer::new(ingest).max_decoding_message_size(message_bytes_max),
                Arc::clone(&admission),
            ),
            context: GatedService::new(
                ContextServiceServer::new(context).max_decoding_message_size(QUERY_MESSAGE_BYTES_MAX),
                Arc::clone(&admission),
            ),
            admin: GatedService::new(
                AdminServiceServer::new(admin).max_decoding_message_size(QUERY_MESSAGE_BYTES_MAX),
                Arc::clone(&admission),
            ),
            collections: GatedService::new(
                CollectionServiceServer::new(collections).max_decoding_message_size(QUERY_MESSAGE_BYTES_MAX),
                Arc::clone(&admission),
            ),
            dead_letters: GatedService::new(
                DeadLetterServiceServer::new(dead_letters).max_decoding_message_size(QUERY_MESSAGE_BYTES_MAX),
                Arc::clone(&admission),
            ),
            status: GatedService::new(
                StatusServiceServer::new(status).max_decoding_message_size(QUERY_MESSAGE_BYTES_MAX),
                Arc::clone(&admission),
            ),
            admission,
            phase,
        }
    }

    /// Returns the routes of the services, of health and of reflection; any other method is UNIMPLEMENTED.
    pub(super) fn into_router(self, health: &GrpcHealth) -> Result<axum::Router, ServeError> {
        let unreadable = |error: tonic_reflection::server::Error| std::io::Error::other(error.to_string());
        let newer_reflection = reflection_builder().build_v1().map_err(unreadable)?;
        // Many clients know only the older version of reflection, which differs in its name.
        let older_reflection = reflection_builder().build_v1alpha().map_err(unreadable)?;
        let routes = Routes::new(HealthServer::new(HealthService::from_health_reporter(health.0.clone())))
            .add_service(newer_reflection)
            .add_service(older_reflection)
            .add_service(self.ingest)
            .add_service(self.context)
            .add_service(self.admin)
            .add_service(self.collections)
            .add_service(self.dead_letters)
            .add_service(self.status);
        Ok(routes.prepare().into_axum_router())
    }
}

/// What the health service says.
pub(super) struct GrpcHealth(HealthReporter);

impl GrpcHealth {
    /// Creates it with all services serving, so that no health check sees an unknown service.
    pub(super) async fn serving() -> Self {
        let reporter = HealthReporter::new();
        for name in SERVICE_NAMES {
            reporter.set_service_status(name, ServingStatus::Serving).await;
        }
        Self(reporter)
    }

    /// Says that nothing is served any more. Watchers hold their connections open; this ends their streams.
    pub(super) async fn end(mut self) {
        for name in SERVICE_NAMES.into_iter().chain([""]) {
            self.0.set_service_status(name, ServingStatus::NotServing).await;
            self.0.clear_service_status(name).await;
        }
    }
}
