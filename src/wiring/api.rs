//! The two ways through the house, and whole collections, as the server calls them.

use std::sync::Arc;

use async_trait::async_trait;

use crate::config::AuditConfig;
use crate::context::ContextEngine;
use crate::context::answer::{Answer, Degraded, Ranking};
use crate::context::request::{Assembly, Query};
use crate::domain::document::Submission;
use crate::domain::ids::{CollectionId, CollectionKey, DocumentId};
use crate::domain::pipeline::Pipeline;
use crate::domain::principal::Principal;
use crate::fault::{Refusal, RefusalKind};
use crate::ingest::Stages;
use crate::ingest::submit::Submitter;
use crate::jobs::audit::{Pace, Progress};
use crate::jobs::compare::{Asking, Comparison};
use crate::jobs::reindex::Reindexing;
use crate::jobs::repair::Repaired;
use crate::jobs::sample::Sampler;
use crate::ports::catalog::Catalog;
use crate::ports::generations::BuildPace;
use crate::ports::ledger::{Receipt, VersionRecord};
use crate::server::{AdminApi, ContextApi, IngestApi};
use crate::telemetry::metrics::Metrics;

use super::catalog::StoreCatalog;
use super::{Comparing, Stack, jobs};

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

pub(super) struct Context {
    pub(super) engine: Arc<ContextEngine>,
    pub(super) sampler: Option<Arc<Sampler>>,
    pub(super) metrics: Arc<Metrics>,
}

#[async_trait]
impl ContextApi for Context {
    async fn assemble(&self, query: Query, assembly: Assembly) -> Result<Answer, Refusal> {
        let asked = self.asked(&query);
        let answer = self.engine.assemble(query, assembly).await?;
        self.note(asked);
        self.metrics.assembled(answer.tokens as u64, answer.budget as u64);
        self.count(&answer.degraded);
        Ok(answer)
    }

    async fn search(&self, query: Query) -> Result<Ranking, Refusal> {
        let asked = self.asked(&query);
        let ranking = self.engine.search(query).await?;
        self.note(asked);
        self.count(&ranking.degraded);
        Ok(ranking)
    }
}

impl Context {
    fn count(&self, degraded: &[Degraded]) {
        for without in degraded {
            self.metrics.degraded(without.name());
        }
    }

    /// What is to be noted of a query, if anything is.
    fn asked(&self, query: &Query) -> Option<(CollectionKey, String)> {
        self.sampler.as_ref().map(|_| (query.collection.clone(), query.question.clone()))
    }

    /// Notes a question that was answered: of one that was not, the collection may not exist.
    fn note(&self, asked: Option<(CollectionKey, String)>) {
        if let (Some(sampler), Some((collection, question))) = (&self.sampler, asked) {
            sampler.note(&collection, &question);
        }
    }
}

pub(super) struct Admin {
    reindexing: Reindexing,
    comparing: Comparing,
    catalog: Arc<StoreCatalog>,
    stages: Arc<Stages>,
    pace: Pace,
}

impl Admin {
    pub(super) fn new(stack: &Stack, audit: AuditConfig) -> Self {
        Self {
            reindexing: stack.reindexing(),
            comparing: stack.comparing(),
            catalog: stack.catalog.clone(),
            stages: stack.stages.clone(),
            pace: jobs::pace(audit.entries_per_second_max, stack.shared),
        }
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

    async fn audit(
        &self,
        collection: &CollectionKey,
        repair: bool,
        mut show: Box<dyn FnMut(Progress, u64) + Send>,
    ) -> Result<Repaired, Refusal> {
        let open = self.catalog.open(collection).await?.ok_or_else(|| {
            let message = format!("there is no collection '{}'", collection.collection);
            Refusal::new(RefusalKind::NotFound, "unknown_collection", "collection", message)
        })?;
        if repair {
            return Ok(jobs::repaired(&self.stages, &open, show).await?);
        }
        let show = move |progress| show(progress, 0);
        let audited = jobs::audited(&self.stages, &open, self.pace, 0, show).await?;
        Ok(Repaired { found: audited.report, ..Repaired::default() })
    }

    async fn compare(
        &self,
        principal: &Principal,
        collection: &CollectionId,
        asking: Asking,
        show: Box<dyn FnMut(usize, usize) + Send>,
    ) -> Result<Comparison, Refusal> {
        self.comparing.run(principal, collection, asking, show).await
    }

    fn reindexing(&self) -> &Reindexing {
        &self.reindexing
    }

    fn now_ms(&self) -> u64 {
        self.stages.clock.now_ms()
    }
}
