//! The API: gRPC over the two ways through the house, and over whole collections; and the page of
//! metrics ([`metrics_http`]).
//!
//! [`run_server`] serves until its shutdown future ends, then stops accepting, lets calls in work
//! finish for [`ServerLimits::drain_max`], answers the rest UNAVAILABLE, and returns. Every
//! call passes one gate, in this order: who is it, when must it be answered, is there room.
//! Whoever is refused there costs no memory for a body. A panic in a handler is that call's
//! INTERNAL and nobody else's.
//!
//! [`status`] is the one map from refusals to codes, [`auth`] the one place that makes a
//! [`Principal`]. Health and reflection stand before the gate: they hold nothing of a tenant.

pub mod auth;
mod connection;
pub mod grpc;
pub mod limits;
pub mod metrics_http;
pub mod status;

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::net::TcpListener;

use self::auth::Authenticator;
pub use crate::config::ServerLimits;
use crate::telemetry::metrics::ProcessMetrics;
use contexture_core::context::answer::{ContextAnswer, SearchAnswer};
use contexture_core::context::request::{AssemblyRequest, ContextQuery};
use contexture_core::domain::document::Submission;
use contexture_core::domain::ids::{CollectionId, CollectionKey, DocumentId};
use contexture_core::domain::principal::Principal;
use contexture_core::fault::Refusal;
use contexture_core::jobs::audit::AuditProgress;
use contexture_core::jobs::reindex::ReindexControl;
use contexture_core::jobs::repair::RepairOutcome;
use contexture_core::ports::generations::GenerationBuildPace;
use contexture_core::ports::ledger::{SubmissionReceipt, VersionRecord};
use contexture_lab::compare::{ComparisonRequest, GenerationComparison};

/// A document's way, as the API calls it.
#[async_trait]
pub trait IngestApi: Send + Sync {
    /// Stores submissions durably; one receipt each, in order, or none stored.
    async fn submit(&self, submissions: Vec<Submission>) -> Result<Vec<SubmissionReceipt>, Refusal>;

    /// Versions of a document, newest first; not found when there is none.
    async fn document(
        &self,
        principal: &Principal,
        collection: CollectionId,
        id: DocumentId,
    ) -> Result<Vec<VersionRecord>, Refusal>;

    /// Largest body, in bytes.
    fn body_bytes_max(&self) -> usize;
}

/// A query's way, as the API calls it.
#[async_trait]
pub trait ContextApi: Send + Sync {
    /// The context for a question.
    async fn assemble(
        &self,
        query: ContextQuery,
        assembly: AssemblyRequest,
    ) -> Result<ContextAnswer, Refusal>;

    /// The ranked chunks for a question.
    async fn search(&self, query: ContextQuery) -> Result<SearchAnswer, Refusal>;
}

/// Whole collections, as the API looks after them.
#[async_trait]
pub trait AdminApi: Send + Sync {
    /// Begins to build a generation under another pipeline, given as TOML.
    async fn start_reindex(
        &self,
        collection: &CollectionKey,
        pipeline: &str,
        pace: GenerationBuildPace,
    ) -> Result<(), Refusal>;

    /// Compares a collection's stores with the ledger, and with `repair` mends them. `show` is called
    /// with how far it is and how much is mended.
    async fn audit(
        &self,
        collection: &CollectionKey,
        repair: bool,
        show: Box<dyn FnMut(AuditProgress, u64) + Send>,
    ) -> Result<RepairOutcome, Refusal>;

    /// Asks two generations the same questions. `show` is called with how many of how many are through.
    async fn compare(
        &self,
        principal: &Principal,
        collection: &CollectionId,
        asking: ComparisonRequest,
        show: Box<dyn FnMut(usize, usize) + Send>,
    ) -> Result<GenerationComparison, Refusal>;

    /// The generations of collections.
    fn reindexing(&self) -> &ReindexControl;

    /// The time, in ms since the Unix epoch.
    fn now_ms(&self) -> u64;
}

/// What the server serves, and to whom.
#[derive(Clone)]
pub struct ApiServices {
    /// Documents in.
    pub ingest: Arc<dyn IngestApi>,
    /// Context out.
    pub context: Arc<dyn ContextApi>,
    /// Whole collections.
    pub admin: Arc<dyn AdminApi>,
    /// Who may call.
    pub authenticator: Arc<Authenticator>,
    /// Where calls are counted.
    pub metrics: Arc<ProcessMetrics>,
}

/// Why the server could not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It would have let anyone in from anywhere.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The socket failed.
    #[error("the listening socket failed: {0}")]
    Socket(#[from] std::io::Error),
    /// The transport failed.
    #[error("the gRPC transport failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

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
