//! The API: gRPC over the two ways through the house, and over whole collections; and the page of
//! metrics ([`http`]).
//!
//! [`run`] serves until its shutdown future ends, then stops accepting, lets calls in work
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
pub mod http;
pub mod limits;
pub mod status;

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::net::TcpListener;

use self::auth::Authenticator;
pub use crate::config::ServerLimits;
use crate::context::answer::{Answer, Ranking};
use crate::context::request::{Assembly, Query};
use crate::domain::document::Submission;
use crate::domain::ids::{CollectionId, CollectionKey, DocumentId};
use crate::domain::principal::Principal;
use crate::fault::Refusal;
use crate::jobs::audit::Progress;
use crate::jobs::compare::{Asking, Comparison};
use crate::jobs::reindex::Reindexing;
use crate::jobs::repair::Repaired;
use crate::ports::generations::BuildPace;
use crate::ports::ledger::{Receipt, VersionRecord};
use crate::telemetry::metrics::Metrics;

/// A document's way, as the API calls it.
#[async_trait]
pub trait IngestApi: Send + Sync {
    /// Stores submissions durably; one receipt each, in order, or none stored.
    async fn submit(&self, submissions: Vec<Submission>) -> Result<Vec<Receipt>, Refusal>;

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
    async fn assemble(&self, query: Query, assembly: Assembly) -> Result<Answer, Refusal>;

    /// The ranked chunks for a question.
    async fn search(&self, query: Query) -> Result<Ranking, Refusal>;
}

/// Whole collections, as the API looks after them.
#[async_trait]
pub trait AdminApi: Send + Sync {
    /// Begins to build a generation under another pipeline, given as TOML.
    async fn start_reindex(
        &self,
        collection: &CollectionKey,
        pipeline: &str,
        pace: BuildPace,
    ) -> Result<(), Refusal>;

    /// Compares a collection's stores with the ledger, and with `repair` mends them. `show` is called
    /// with how far it is and how much is mended.
    async fn audit(
        &self,
        collection: &CollectionKey,
        repair: bool,
        show: Box<dyn FnMut(Progress, u64) + Send>,
    ) -> Result<Repaired, Refusal>;

    /// Asks two generations the same questions. `show` is called with how many of how many are through.
    async fn compare(
        &self,
        principal: &Principal,
        collection: &CollectionId,
        asking: Asking,
        show: Box<dyn FnMut(usize, usize) + Send>,
    ) -> Result<Comparison, Refusal>;

    /// The generations of collections.
    fn reindexing(&self) -> &Reindexing;

    /// The time, in ms since the Unix epoch.
    fn now_ms(&self) -> u64;
}

/// What the server serves, and to whom.
#[derive(Clone)]
pub struct Services {
    /// Documents in.
    pub ingest: Arc<dyn IngestApi>,
    /// Context out.
    pub context: Arc<dyn ContextApi>,
    /// Whole collections.
    pub admin: Arc<dyn AdminApi>,
    /// Who may call.
    pub authenticator: Arc<Authenticator>,
    /// Where calls are counted.
    pub metrics: Arc<Metrics>,
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
pub async fn run(
    listener: TcpListener,
    services: Services,
    limits: ServerLimits,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    services.authenticator.check_bind(listener.local_addr()?)?;
    grpc::serve(listener, services, limits, shutdown).await
}
