//! The two ways through the house, and whole collections, as the server calls them.

use std::sync::Arc;

use async_trait::async_trait;

use crate::config::AuditConfig;
use crate::server::{AdminApi, ContextApi, IngestApi};
use crate::telemetry::metrics::ProcessMetrics;
use contexture_core::context::ContextEngine;
use contexture_core::context::answer::{AnswerDegradation, ContextAnswer, SearchAnswer};
use contexture_core::context::request::{AssemblyRequest, ContextQuery};
use contexture_core::domain::document::Submission;
use contexture_core::domain::ids::{CollectionId, CollectionKey, DocumentId};
use contexture_core::domain::pipeline::Pipeline;
use contexture_core::domain::principal::Principal;
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ingest::StageResources;
use contexture_core::ingest::submit::DocumentSubmitter;
use contexture_core::jobs::audit::{AuditPace, AuditProgress};
use contexture_core::jobs::question_sampler::QuestionSampler;
use contexture_core::jobs::reindex::ReindexControl;
use contexture_core::jobs::repair::RepairOutcome;
use contexture_core::ports::catalog::CollectionCatalog;
use contexture_core::ports::generations::GenerationBuildPace;
use contexture_core::ports::ledger::{SubmissionReceipt, VersionRecord};
use contexture_lab::compare::{ComparisonRequest, GenerationComparison};

use super::catalog::CollectionStoreCatalog;
use super::{GenerationComparer, ServiceStack, audit_and_repair};

pub(super) struct IngestApiService(pub(super) Arc<DocumentSubmitter>);

#[async_trait]
impl IngestApi for IngestApiService {
    async fn submit(&self, submissions: Vec<Submission>) -> Result<Vec<SubmissionReceipt>, Refusal> {
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

pub(super) struct ContextApiService {
    pub(super) engine: Arc<ContextEngine>,
    pub(super) sampler: Option<Arc<QuestionSampler>>,
    pub(super) metrics: Arc<ProcessMetrics>,
}

#[async_trait]
impl ContextApi for ContextApiService {
    async fn assemble(
        &self,
        query: ContextQuery,
        assembly: AssemblyRequest,
    ) -> Result<ContextAnswer, Refusal> {
        let asked = self.asked(&query);
        let answer = self.engine.assemble(query, assembly).await?;
        self.note(asked);
        self.metrics.assembled(answer.tokens as u64, answer.budget as u64);
        self.count(&answer.degraded);
        Ok(answer)
    }

    async fn search(&self, query: ContextQuery) -> Result<SearchAnswer, Refusal> {
        let asked = self.asked(&query);
        let ranking = self.engine.search(query).await?;
        self.note(asked);
        self.count(&ranking.degraded);
        Ok(ranking)
    }
}

impl ContextApiService {
    fn count(&self, degraded: &[AnswerDegradation]) {
        for without in degraded {
            self.metrics.degraded(without.name());
        }
    }

    /// What is to be noted of a query, if anything is.
    fn asked(&self, query: &ContextQuery) -> Option<(CollectionKey, String)> {
        self.sampler.as_ref().map(|_| (query.collection.clone(), query.question.clone()))
    }

    /// Notes a question that was answered: of one that was not, the collection may not exist.
    fn note(&self, asked: Option<(CollectionKey, String)>) {
        if let (Some(sampler), Some((collection, question))) = (&self.sampler, asked) {
            sampler.note(&collection, &question);
        }
    }
}

pub(super) struct AdminApiService {
    reindexing: ReindexControl,
    comparing: GenerationComparer,
    catalog: Arc<CollectionStoreCatalog>,
    stages: Arc<StageResources>,
    pace: AuditPace,
}

impl AdminApiService {
    pub(super) fn new(stack: &ServiceStack, audit: AuditConfig) -> Self {
        Self {
            reindexing: stack.reindexing(),
            comparing: stack.comparing(),
            catalog: stack.catalog.clone(),
            stages: stack.stages.clone(),
            pace: audit_and_repair::audit_pace(audit.entries_per_second_max, stack.shared),
        }
    }
}

#[async_trait]
impl AdminApi for AdminApiService {
    async fn start_reindex(
        &self,
        collection: &CollectionKey,
        pipeline: &str,
        pace: GenerationBuildPace,
    ) -> Result<(), Refusal> {
        let pipeline = Pipeline::from_toml(pipeline)?;
        let epoch = self.catalog.epoch_of(&pipeline).await?;
        self.reindexing.start(collection, &pipeline.to_toml()?, epoch, pace).await.map(|_| ())
    }

    async fn audit(
        &self,
        collection: &CollectionKey,
        repair: bool,
        mut show: Box<dyn FnMut(AuditProgress, u64) + Send>,
    ) -> Result<RepairOutcome, Refusal> {
        let open = self.catalog.open(collection).await?.ok_or_else(|| {
            let message = format!("there is no collection '{}'", collection.collection);
            Refusal::new(RefusalKind::NotFound, "unknown_collection", "collection", message)
        })?;
        if repair {
            return Ok(audit_and_repair::repair_and_record(&self.stages, &open, show).await?);
        }
        let show = move |progress| show(progress, 0);
        let audited = audit_and_repair::audit_and_record(&self.stages, &open, self.pace, 0, show).await?;
        Ok(RepairOutcome { found: audited.report, ..RepairOutcome::default() })
    }

    async fn compare(
        &self,
        principal: &Principal,
        collection: &CollectionId,
        asking: ComparisonRequest,
        show: Box<dyn FnMut(usize, usize) + Send>,
    ) -> Result<GenerationComparison, Refusal> {
        self.comparing.run(principal, collection, asking, show).await
    }

    fn reindexing(&self) -> &ReindexControl {
        &self.reindexing
    }

    fn now_ms(&self) -> u64 {
        self.stages.clock.now_ms()
    }
}
