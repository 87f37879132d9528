//! What the server calls: one trait per service, implemented by the composition root.

use std::sync::Arc;

use async_trait::async_trait;

use super::auth::Authenticator;
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

/// Ingest, as the server calls it.
#[async_trait]
pub trait IngestApi: Send + Sync {
    /// Stores submissions durably; one receipt each, in order, or none stored.
    async fn submit(&self, submissions: Vec<Submission>) -> Result<Vec<SubmissionReceipt>, Refusal>;

    /// Returns the versions of a document, newest first; not found when there is none.
    async fn document(
        &self,
        principal: &Principal,
        collection: CollectionId,
        id: DocumentId,
    ) -> Result<Vec<VersionRecord>, Refusal>;

    /// Returns the largest accepted body, in bytes.
    fn body_bytes_max(&self) -> usize;
}

/// Queries, as the server calls them.
#[async_trait]
pub trait ContextApi: Send + Sync {
    /// Assembles the context for a question.
    async fn assemble(
        &self,
        query: ContextQuery,
        assembly: AssemblyRequest,
    ) -> Result<ContextAnswer, Refusal>;

    /// Ranks the chunks for a question.
    async fn search(&self, query: ContextQuery) -> Result<SearchAnswer, Refusal>;
}

/// Administration of collections, as the server calls it.
#[async_trait]
pub trait AdminApi: Send + Sync {
    /// Starts to build a generation under another pipeline, given as TOML.
    async fn start_reindex(
        &self,
        collection: &CollectionKey,
        pipeline: &str,
        pace: GenerationBuildPace,
    ) -> Result<(), Refusal>;

    /// Compares the stores of a collection with the ledger; with `repair` also repairs them. `show` receives
    /// the progress and the number of repairs.
    async fn audit(
        &self,
        collection: &CollectionKey,
        repair: bool,
        show: Box<dyn FnMut(AuditProgress, u64) + Send>,
    ) -> Result<RepairOutcome, Refusal>;

    /// Asks two generations the same questions. `show` receives the number of answered questions and the total.
    async fn compare(
        &self,
        principal: &Principal,
        collection: &CollectionId,
        asking: ComparisonRequest,
        show: Box<dyn FnMut(usize, usize) + Send>,
    ) -> Result<GenerationComparison, Refusal>;

    /// Controls the generations of collections.
    fn reindexing(&self) -> &ReindexControl;

    /// Returns the time in ms since the Unix epoch.
    fn now_ms(&self) -> u64;
}

/// The services of the server and what it needs to admit and count calls.
#[derive(Clone)]
pub struct ApiServices {
    /// Ingest.
    pub ingest: Arc<dyn IngestApi>,
    /// Queries.
    pub context: Arc<dyn ContextApi>,
    /// Administration.
    pub admin: Arc<dyn AdminApi>,
    /// Authenticates callers.
    pub authenticator: Arc<Authenticator>,
    /// Counts calls.
    pub metrics: Arc<ProcessMetrics>,
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
    /// The transport failed.
    #[error("the gRPC transport failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}
