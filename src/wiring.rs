//! Stand-in for the composition root, to be dropped at the merge.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

use crate::config::Config;
use crate::context::ContextEngine;
use crate::domain::ids::CollectionId;
use crate::domain::pipeline::Pipeline;
use crate::domain::principal::Principal;
use crate::fault::{Refusal, RefusalKind};
use crate::ingest::submit::Submitter;
use crate::ports::ledger::{DeadFilter, Ledger};
use crate::ports::tokenizer::Tokenizer;

/// What runs in this process.
#[derive(Debug, Clone, Copy)]
pub struct Roles {
    /// Whether the stages run.
    pub workers: bool,
}

/// What has happened since open.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// Versions that ended.
    pub settled: u64,
    /// Chunks of them.
    pub chunks: u64,
    /// Texts embedded.
    pub embedded: u64,
    /// Texts found in the cache.
    pub cached: u64,
}

/// An opened collection.
pub struct CollectionInfo;

/// Everything, wired.
pub struct Stack {
    /// Intake.
    pub submitter: Arc<Submitter>,
    /// Queries.
    pub engine: Arc<ContextEngine>,
    /// The record.
    pub ledger: Arc<dyn Ledger>,
    /// The local caller.
    pub principal: Principal,
}

fn absent<T>() -> Result<T, Refusal> {
    Err(Refusal::new(RefusalKind::Internal, "not_wired", "", "stand-in"))
}

#[expect(clippy::unused_async, clippy::unused_self, reason = "stand-in")]
impl Stack {
    /// Opens the stack.
    pub async fn open(_config: &Config, _roles: Roles) -> Result<Self, Refusal> {
        absent()
    }

    /// Creates or opens a collection.
    pub async fn ensure_collection(
        &self,
        _collection: &CollectionId,
        _pipeline: Option<&Pipeline>,
    ) -> Result<CollectionInfo, Refusal> {
        absent()
    }

    /// Counters since open.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        watch::channel(Progress::default()).1
    }

    /// The reading model's tokenizer of that name.
    pub fn reader(&self, _name: &str) -> Result<Arc<dyn Tokenizer>, Refusal> {
        absent()
    }

    /// Publishes dead versions again.
    pub async fn replay(&self, _filter: &DeadFilter) -> Result<u64, Refusal> {
        absent()
    }

    /// Serves until shutdown.
    pub async fn serve(
        &self,
        _config: &Config,
        _listener: tokio::net::TcpListener,
        _shutdown: impl Future<Output = ()>,
    ) -> Result<(), Refusal> {
        absent()
    }

    /// Stops.
    pub async fn shutdown(self) {}
}
