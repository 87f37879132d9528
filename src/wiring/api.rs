//! The implementation of the server's API: ingest, context and administration.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::net::TcpListener;

use crate::config::{AuditConfig, ContextureConfig};
use crate::server::auth::Authenticator;
use crate::server::{self, AdminApi, ApiServices, ContextApi, IngestApi, ServeError};
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

use super::audit_and_repair;
use super::background_tasks::audit_pace;
use super::catalog::CollectionStoreCatalog;
use super::comparison::GenerationComparer;
use super::metrics::MetricsPageSource;
use super::service_stack::ServiceStack;

/// Accepts documents over the API.
struct IngestApiService(Arc<DocumentSubmitter>);

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

/// Answers queries over the API. It also counts them, and samples their questions.
struct ContextApiService {
    engine: Arc<ContextEngine>,
    sampler: Option<Arc<QuestionSampler>>,
    metrics: Arc<ProcessMetrics>,
}

#[async_trait]
impl ContextApi for ContextApiService {
    async fn assemble(
        &self,
        query: ContextQuery,
        assembly: AssemblyRequest,
    ) -> Result<ContextAnswer, Refusal> {
        // The engine consumes the query, and only an answered question is sampled.
        let asked = self.sampled_question(&query);
        let answer = self.engine.assemble(query, assembly).await?;
        self.sample(asked);
        self.metrics.assembled(answer.tokens as u64, answer.budget as u64);
        self.count(&answer.degraded);
        Ok(answer)
    }

    async fn search(&self, query: ContextQuery) -> Result<SearchAnswer, Refusal> {
        let asked = self.sampled_question(&query);
        let ranking = self.engine.search(query).await?;
        self.sample(asked);
        self.count(&ranking.degraded);
        Ok(ranking)
    }
}

impl ContextApiService {
    fn count(&self, degraded: &[AnswerDegradation]) {
        for degradation in degraded {
            self.metrics.degraded(degradation.name());
        }
    }

    /// The question of a query, copied before the query moves; none where nothing is sampled.
    fn sampled_question(&self, query: &ContextQuery) -> Option<(CollectionKey, String)> {
        self.sampler.as_ref().map(|_| (query.collection.clone(), query.question.clone()))
    }

    /// Samples a question that was answered. The collection of one that failed may not exist.
    fn sample(&self, asked: Option<(CollectionKey, String)>) {
        if let (Some(sampler), Some((collection, question))) = (&self.sampler, asked) {
            sampler.note(&collection, &question);
        }
    }
}

/// Re-indexes, audits and compares collections over the API.
struct AdminApiService {
    reindexing: ReindexControl,
    comparing: GenerationComparer,
    catalog: Arc<CollectionStoreCatalog>,
    stages: Arc<StageResources>,
    pace: AuditPace,
}

impl AdminApiService {
    fn new(stack: &ServiceStack, audit: AuditConfig) -> Self {
        Self {
            reindexing: stack.reindexing(),
            comparing: stack.comparing(),
            catalog: stack.catalog.clone(),
            stages: stack.stages.clone(),
            pace: audit_pace(audit.entries_per_second_max, stack.shared),
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
            // A repair ignores the pace, see `AuditPace::UNBOUNDED`.
            return Ok(audit_and_repair::repair_and_record(&self.stages, &open, show).await?);
        }
        // An audit repairs nothing, so the second number is always 0. Nor does the API show single findings.
        let show = move |progress| show(progress, 0);
        let audited = audit_and_repair::audit_and_record(&self.stages, &open, self.pace, 0, show).await?;
        Ok(RepairOutcome { found: audited.report, ..RepairOutcome::default() })
    }

    async fn compare(
        &self,
        principal: &Principal,
        collection: &CollectionId,
        request: ComparisonRequest,
        show: Box<dyn FnMut(usize, usize) + Send>,
    ) -> Result<GenerationComparison, Refusal> {
        self.comparing.run(principal, collection, request, show).await
    }

    fn reindexing(&self) -> &ReindexControl {
        &self.reindexing
    }

    fn now_ms(&self) -> u64 {
        self.stages.clock.now_ms()
    }
}

impl ServiceStack {
    /// Serves the API until `shutdown` ends.
    pub async fn serve(
        &self,
        config: &ContextureConfig,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), Refusal> {
        let services = ApiServices {
            ingest: Arc::new(IngestApiService(self.submitter.clone())),
            context: Arc::new(ContextApiService {
                engine: self.engine.clone(),
                sampler: self.sampler.clone(),
                metrics: self.metrics.clone(),
            }),
            admin: Arc::new(AdminApiService::new(self, config.audit)),
            authenticator: Arc::new(Authenticator::new(config.keys.clone())?),
            metrics: self.metrics.clone(),
        };
        server::run_server(listener, services, config.server.limits.clone(), shutdown).await.map_err(
            |error| match error {
                ServeError::Refused(refusal) => refusal,
                other => Refusal::new(RefusalKind::Unavailable, "server_failed", "", other.to_string()),
            },
        )
    }

    /// Serves the page of metrics. Never returns; the caller drops the future to stop it.
    pub async fn serve_metrics(
        &self,
        config: &ContextureConfig,
        listener: TcpListener,
    ) -> Result<Infallible, Refusal> {
        let page = MetricsPageSource::new(self.metrics.clone(), self.stages.clone(), self.embedders.clone());
        let authenticator = Arc::new(Authenticator::new(config.keys.clone())?);
        Ok(server::metrics_http::serve_metrics(listener, Arc::new(page), authenticator).await)
    }
}
