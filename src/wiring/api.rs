//! The two ways through the house, and whole collections, as the server calls them.

use std::sync::Arc;

use async_trait::async_trait;

use crate::context::ContextEngine;
use crate::context::answer::{Answer, Ranking};
use crate::context::request::{Assembly, Query};
use crate::domain::document::Submission;
use crate::domain::ids::{CollectionId, CollectionKey, DocumentId};
use crate::domain::pipeline::Pipeline;
use crate::domain::principal::Principal;
use crate::fault::Refusal;
use crate::ingest::submit::Submitter;
use crate::jobs::reindex::Reindexing;
use crate::ports::clock::Clock;
use crate::ports::generations::BuildPace;
use crate::ports::ledger::{Receipt, VersionRecord};
use crate::server::{AdminApi, ContextApi, IngestApi};

use super::Stack;
use super::catalog::StoreCatalog;

pub(super) struct Ingest(pub(super) Arc<Submitter>);

#[async_trait]
impl IngestApi for Ingest {
    async fn submit(&self, submissions: Vec<Submission>) -> Result<Vec<Receipt>, Refusal> {
        self.0.submit(submissions).await
    }

    async fn document(
        &self,
        principal: &Principal,
        collection: CollectionId,
        id: DocumentId,
    ) -> Result<Vec<VersionRecord>, Refusal> {
        self.0.document(principal, collection, id).await
    }

    fn body_bytes_max(&self) -> usize {
        self.0.body_bytes_max()
    }
}

pub(super) struct Context(pub(super) Arc<ContextEngine>);

#[async_trait]
impl ContextApi for Context {
    async fn assemble(&self, query: Query, assembly: Assembly) -> Result<Answer, Refusal> {
        self.0.assemble(query, assembly).await
    }

    async fn search(&self, query: Query) -> Result<Ranking, Refusal> {
        self.0.search(query).await
    }
}

pub(super) struct Admin {
    reindexing: Reindexing,
    catalog: Arc<StoreCatalog>,
    clock: Arc<dyn Clock>,
}

impl Admin {
    pub(super) fn new(stack: &Stack) -> Self {
        let clock = stack.stages.clock.clone();
        Self { reindexing: stack.reindexing(), catalog: stack.catalog.clone(), clock }
    }
}

#[async_trait]
impl AdminApi for Admin {
    async fn start_reindex(
        &self,
        collection: &CollectionKey,
        pipeline: &str,
        pace: BuildPace,
    ) -> Result<(), Refusal> {
        let pipeline = Pipeline::from_toml(pipeline)?;
        let epoch = self.catalog.epoch_of(&pipeline).await?;
        self.reindexing.start(collection, &pipeline.to_toml()?, epoch, pace).await.map(|_| ())
    }

    fn reindexing(&self) -> &Reindexing {
        &self.reindexing
    }

    fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }
}
