//! The implementation of the server's API: ingest, context and administration.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::net::TcpListener;

use crate::config::{AuditConfig, ContextureConfig};
use crate::operations::service::{CollectionSettingsStore, DocumentUrls, ModelCatalog, StoreOperations};
use crate::operations::{AdminApi, ApiServices, ContextApi, IngestApi};
use crate::server::auth::Authenticator;
use crate::server::{self, ServeError, ServedApi};
use crate::telemetry::metrics::ProcessMetrics;
use contexture_core::context::ContextEngine;
use contexture_core::context::answer::{AnswerDegradation, ContextAnswer, SearchAnswer};
use contexture_core::context::request::{AssemblyRequest, ContextQuery};
use contexture_core::domain::document::Submission;
use contexture_core::domain::ids::{CollectionId, CollectionKey, DocumentId, Epoch};
use contexture_core::domain::pipeline::Pipeline;
use contexture_core::domain::principal::Principal;
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ingest::StageResources;
use contexture_core::ingest::submit::{DocumentSubmitter, unknown_collection_refusal};
use contexture_core::jobs::audit::{AuditPace, AuditProgress};
use contexture_core::jobs::question_sampler::QuestionSampler;
use contexture_core::jobs::reindex::ReindexControl;
use contexture_core::jobs::repair::RepairOutcome;
use contexture_core::ports::catalog::CollectionCatalog;
use contexture_core::ports::generations::GenerationBuildPace;
use contexture_core::ports::ledger::{SubmissionReceipt, VersionRecord};
use contexture_core::resilience::quota_protocol::QuotaStatus;
use contexture_lab::compare::{ComparisonRequest, GenerationComparison};

use super::audit_and_repair;
use super::background_tasks::audit_pace;
use super::catalog::CollectionStoreCatalog;
use super::collection_creator::CollectionCreator;
use super::comparison::GenerationComparer;
use super::embedding::EmbedderFactory;
use super::metrics::MetricsPageSource;
use super::service_stack::ServiceStack;

/// Accepts documents over the API.
pub(super) struct IngestApiService {
    submitter: Arc<DocumentSubmitter>,
    creator: Option<CollectionCreator>,
}

#[async_trait]
impl IngestApi for IngestApiService {
    async fn submit(&self, submissions: Vec<Submission>) -> Result<Vec<SubmissionReceipt>, Refusal> {
        // Submitting first: collections almost always exist, and a look before would cost a query.
        let Some(creator) = &self.creator else { return self.submitter.submit(submissions).await };
        match self.submitter.submit(submissions.clone()).await {
            Err(refusal) if refusal.code == "unknown_collection" => {
                creator.create_missing(&submissions).await?;
                self.submitter.submit(submissions).await
            }
            decided => decided,
        }
    }

    async fn document(
        &self,
        principal: &Principal,
        collection: CollectionId,
        id: DocumentId,
    ) -> Result<Vec<VersionRecord>, Refusal> {
        self.submitter.document(principal, collection, id).await
    }

    fn body_bytes_max(&self) -> usize {
        self.submitter.body_bytes_max()
    }
}

/// Answers queries over the API. It also counts them, and samples their questions.
struct ContextApiService {
    engine: Arc<ContextEngine>,
    sampler: Option<Arc<QuestionSampler>>,
    metrics: Arc<ProcessMetrics>,
    settings: Arc<CollectionSettingsStore>,
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
        let tenant = query.principal.tenant().clone();
        let home = query.collection.collection.clone();
        let mut answer = self.engine.assemble(query, assembly).await?;
        let mut urls = DocumentUrls::new(&self.settings, tenant, home);
        for passage in &mut answer.passages {
            passage.url = urls.passage_url(passage).await?;
        }
        self.sample(asked);
        self.metrics.assembled(answer.tokens as u64, answer.budget as u64);
        self.count(&answer.degraded);
        Ok(answer)
    }

    async fn search(&self, query: ContextQuery) -> Result<SearchAnswer, Refusal> {
        let asked = self.sampled_question(&query);
        let tenant = query.principal.tenant().clone();
        let home = query.collection.collection.clone();
        let mut ranking = self.engine.search(query).await?;
        let mut urls = DocumentUrls::new(&self.settings, tenant, home);
        for ranked in &mut ranking.results {
            ranked.url = urls.chunk_url(ranked).await?;
        }
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
    fn sampled_question(&self, query: &ContextQuery) -> Option<(Vec<CollectionKey>, String)> {
        self.sampler.as_ref().map(|_| (query.searched().cloned().collect(), query.question.clone()))
    }

    /// Samples a question that was answered. The collection of one that failed may not exist.
    fn sample(&self, asked: Option<(Vec<CollectionKey>, String)>) {
        if let (Some(sampler), Some((collections, question))) = (&self.sampler, asked) {
            for collection in &collections {
                sampler.note(collection, &question);
            }
        }
    }
}

/// What the composition root knows of models and providers.
struct OpenedModels {
    catalog: Arc<CollectionStoreCatalog>,
    embedders: Arc<EmbedderFactory>,
}

#[async_trait]
impl ModelCatalog for OpenedModels {
    async fn epoch_of(&self, pipeline: &Pipeline) -> Result<Epoch, Refusal> {
        self.catalog.epoch_of(pipeline).await
    }

    async fn provider_quotas(&self) -> Result<Vec<(String, QuotaStatus)>, Refusal> {
        Ok(self.embedders.quota_statuses().await?)
    }
}

/// Re-indexes, audits and compares collections over the API.
struct AdminApiService {
    store: Arc<StoreOperations>,
    reindexing: ReindexControl,
    comparing: GenerationComparer,
    catalog: Arc<CollectionStoreCatalog>,
    stages: Arc<StageResources>,
    pace: AuditPace,
}

impl AdminApiService {
    fn new(stack: &ServiceStack, store: Arc<StoreOperations>, audit: AuditConfig) -> Self {
        Self {
            store,
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
        let pipeline = self.store.pipeline(Some(pipeline))?;
        let epoch = self.catalog.epoch_of(&pipeline).await?;
        self.reindexing.start(collection, &pipeline.to_toml()?, epoch, pace).await.map(|_| ())
    }

    async fn audit(
        &self,
        collection: &CollectionKey,
        repair: bool,
        mut show: Box<dyn FnMut(AuditProgress, u64) + Send>,
    ) -> Result<RepairOutcome, Refusal> {
        let open = self.catalog.open(collection).await?;
        let open = open.ok_or_else(|| unknown_collection_refusal(&collection.collection))?;
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

fn authenticator(config: &ContextureConfig) -> Result<Authenticator, Refusal> {
    Authenticator::with_issuers(config.keys.clone(), config.issuers.clone())
}

impl ServiceStack {
    /// All operations over what this process has opened.
    pub fn operations(&self, config: &ContextureConfig) -> Result<ApiServices, Refusal> {
        let settings = Arc::new(CollectionSettingsStore::new(self.stages.states.clone()));
        let ingest = Arc::new(IngestApiService {
            submitter: self.submitter.clone(),
            creator: CollectionCreator::of_all_doors(&self.catalog, config)?,
        });
        let models = OpenedModels { catalog: self.catalog.clone(), embedders: self.embedders.clone() };
        let store = Arc::new(
            StoreOperations::new(
                self.stages.clone(),
                ingest.clone(),
                Arc::new(models),
                settings.clone(),
                config.pipelines.clone(),
            )?
            .with_sampler(self.sampler.clone()),
        );
        let context = ContextApiService {
            engine: self.engine.clone(),
            sampler: self.sampler.clone(),
            metrics: self.metrics.clone(),
            settings,
        };
        Ok(ApiServices {
            ingest,
            context: Arc::new(context),
            admin: Arc::new(AdminApiService::new(self, store.clone(), config.audit)),
            collections: store.clone(),
            documents: store.clone(),
            events: store.clone(),
            dead_letters: store.clone(),
            sources: store.clone(),
            status: store,
        })
    }

    /// Serves the API until `shutdown` ends.
    pub async fn serve(
        &self,
        config: &ContextureConfig,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), Refusal> {
        let services = self.operations(config)?;
        let api = ServedApi {
            mcp_tools: self.mcp_tools(services.clone())?,
            services,
            authenticator: Arc::new(authenticator(config)?),
            metrics: self.metrics.clone(),
        };
        server::run_server(listener, api, config.server.clone(), shutdown).await.map_err(
            |error| match error {
                ServeError::Refused(refusal) => refusal,
                ServeError::Socket(error) => {
                    let message = format!("the listening socket failed: {error}");
                    Refusal::new(RefusalKind::Unavailable, "server_failed", "", message)
                }
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
        let authenticator = Arc::new(authenticator(config)?);
        Ok(server::metrics_http::serve_metrics(listener, Arc::new(page), authenticator).await)
    }
}
