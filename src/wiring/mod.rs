//! The composition root: the only place that sees adapters and server at once.
//!
//! [`ServiceStack`] is everything one process runs: ledger, queues, open collections, workers, engine.
//! A data directory belongs to one process at a time (a lock); only a command that asks a question
//! of a shared ledger may read the indexes that another process on its machine writes.

mod api;
mod audit_and_repair;
mod backends;
mod background_tasks;
mod catalog;
mod comparison;
mod completeness_check;
mod credentials;
mod data_directory_lock;
mod embedding;
mod intake;
mod metrics;
mod reindexing;
mod reranking;
mod roles;
mod tokenizers_and_templates;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::ContextureConfig;
use crate::server::auth::{Authenticator, local_principal};
use crate::server::{self, ApiServices, ServeError};
use crate::telemetry::metrics::ProcessMetrics;
use contexture_core::context::fuse::FusionWeights;
use contexture_core::context::{ContextEngine, TokenizerRegistry};
use contexture_core::domain::ids::{CollectionId, CollectionKey};
use contexture_core::domain::pipeline::{DEFAULT_PIPELINE_TOML, Pipeline};
use contexture_core::domain::principal::Principal;
use contexture_core::domain::task::IngestStage;
use contexture_core::fault::{Fault, Refusal, RefusalKind};
pub use contexture_core::ingest::IngestProgress;
use contexture_core::ingest::submit::DocumentSubmitter;
use contexture_core::ingest::usage::{self, ModelUsage};
use contexture_core::ingest::{
    ChunkedDocumentCache, EmbeddingSingleFlight, StageLimits, StageResources, replay,
};
use contexture_core::jobs::question_sampler::QuestionSampler;
use contexture_core::ports::catalog::{CollectionCatalog, OpenCollection};
use contexture_core::ports::clock::SystemClock;
use contexture_core::ports::embedder::EmbedderWaitStatus;
use contexture_core::ports::ledger::{CollectionRecord, DeadLetterFilter, Ledger};
use contexture_core::ports::tokenizer::Tokenizer;
use contexture_core::resilience::quota_protocol::QuotaStatus;

use catalog::{CollectionStoreCatalog, IndexAccessMode};
pub use comparison::GenerationComparer;
use data_directory_lock::DataDirectoryLock;
use embedding::EmbedderFactory;
use metrics::MetricsPageSource;
pub use roles::ProcessRole;
use roles::StartupPlan;

/// How long workers may take to finish their batch when the process stops.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Bodies on their way to the ledger at once.
const PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Cut documents that wait for the next stage of this process.
const HANDOVER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a text is left to a process that gives no sign of life.
const EMBED_CLAIM_MAX: Duration = Duration::from_secs(30);

/// Everything, wired.
pub struct ServiceStack {
    /// Intake.
    pub submitter: Arc<DocumentSubmitter>,
    /// Queries.
    pub engine: Arc<ContextEngine>,
    /// The record.
    pub ledger: Arc<dyn Ledger>,
    /// The caller on this machine.
    pub principal: Principal,
    catalog: Arc<CollectionStoreCatalog>,
    models: Arc<EmbedderFactory>,
    stages: Arc<StageResources>,
    tokenizers: TokenizerRegistry,
    stop: watch::Sender<bool>,
    workers: Vec<JoinHandle<()>>,
    sampler: Option<Arc<QuestionSampler>>,
    metrics: Arc<ProcessMetrics>,
    shared: bool,
    #[cfg(feature = "rabbitmq")]
    rabbit: Option<contexture_adapters::rabbitmq::RabbitMqBroker>,
    _lock: Option<DataDirectoryLock>,
}

impl ServiceStack {
    /// Opens what the roles need, and starts what they run.
    pub async fn open(config: &ContextureConfig, roles: ProcessRole) -> Result<Self, Refusal> {
        let duties = roles.duties(config);
        let metrics = Arc::new(ProcessMetrics::default());
        let clock = Arc::new(SystemClock);
        let reranking = reranking::open_reranker(config, clock.clone())?;
        let tokenizers = tokenizers_and_templates::known_tokenizers(config)?;
        if matches!(roles, ProcessRole::Serve { .. }) {
            tokenizers_and_templates::check_tokenizers(config, &tokenizers).await?;
        }
        let templates = tokenizers_and_templates::read_templates(config).await?;
        let (lock, mode) = lock_data_directory(config, &duties)?;
        let engines = backends::open_backends(config, clock.clone()).await?;
        let (ledger, broker) = (engines.ledger, engines.broker);
        let models =
            Arc::new(EmbedderFactory::new(config, tokenizers.clone(), engines.states.clone(), clock.clone()));
        let catalog = Arc::new(CollectionStoreCatalog::new(ledger.clone(), config, mode, models.clone()));
        let stages = Arc::new(StageResources {
            ledger: ledger.clone(),
            broker: broker.clone(),
            catalog: catalog.clone(),
            clock,
            limits: stage_limits(config),
            tally: contexture_core::ingest::IngestCounters::default(),
            meter: metrics.clone(),
            handover: ChunkedDocumentCache::new(handover_bytes(&duties)),
            flights: EmbeddingSingleFlight::default(),
            states: engines.states,
            events: engines.exchange.as_ref().map(|exchange| exchange.events.clone()),
            replicas: mode == IndexAccessMode::Followed,
        });
        let weights =
            FusionWeights { lexical: config.retrieval.lexical_weight, dense: config.retrieval.dense_weight };
        let stop = watch::Sender::new(false);
        let body_bytes_max = config.limits.body_bytes_max;
        let submitter = DocumentSubmitter::new(ledger.clone(), broker, body_bytes_max, PENDING_BYTES_MAX);
        let submitter = Arc::new(submitter);
        let intake = match (&config.backends.broker, engines.exchange, duties.submit) {
            (Some(broker), Some(exchange), true) => Some(intake::open_intake(
                broker,
                exchange,
                submitter.clone(),
                ledger.clone(),
                catalog.clone(),
            )?),
            _ => None,
        };
        let is_writer = matches!(mode, IndexAccessMode::Written | IndexAccessMode::Followed);
        let sampler = comparison::create_question_sampler(config, &roles, &stages).await?;
        let mut workers = background_tasks::start_background_tasks(
            &stages,
            intake.map(Arc::new),
            &duties,
            is_writer,
            &stop,
        );
        workers.extend(audit_and_repair::start_scheduled_audits(&stages, config, &duties, &stop));
        workers.extend(sampler.clone().map(|sampler| {
            background_tasks::spawn_restarting("sample", &stop, move |stop| sampler.clone().run(stop))
        }));
        let engine = ContextEngine::new(catalog.clone(), tokenizers.clone(), weights);
        Ok(Self {
            submitter,
            engine: Arc::new(engine.with_templates(templates).with_reranking(reranking)),
            ledger,
            principal: local_principal()?,
            catalog,
            models,
            stages,
            tokenizers,
            stop,
            workers,
            sampler,
            metrics,
            shared: duties.shared,
            #[cfg(feature = "rabbitmq")]
            rabbit: engines.rabbit,
            _lock: lock,
        })
    }

    /// Creates the collection with this pipeline (the default one if none), or opens it; a
    /// pipeline other than the stored one is refused.
    pub async fn ensure_collection(
        &self,
        collection: &CollectionId,
        pipeline: Option<&Pipeline>,
    ) -> Result<Arc<OpenCollection>, Refusal> {
        let key = self.key(collection);
        let existing = self.ledger.collection(&key).await?;
        if existing.is_none() {
            let pipeline =
                pipeline.cloned().map_or_else(|| Pipeline::from_toml(DEFAULT_PIPELINE_TOML), Ok)?;
            self.catalog.found(&key, &pipeline).await?;
        } else if let (Some(record), Some(pipeline)) = (&existing, pipeline) {
            require_same_pipeline(record, pipeline)?;
        }
        self.catalog
            .open(&key)
            .await?
            .ok_or_else(|| Fault::transient("a collection just made is gone").into())
    }

    /// What calls of a collection's model wait for: as this process knows, or, where others
    /// embed, as the ledger says.
    pub async fn waiting(&self, collection: &CollectionKey) -> Option<EmbedderWaitStatus> {
        if self.shared {
            let record = self.ledger.collection(collection).await.ok()??;
            let pipeline = Pipeline::from_toml(&record.pipeline).ok()?;
            return self.models.waiting(&pipeline.embedder).await;
        }
        let opened = self.catalog.opened().await;
        opened.iter().find(|open| open.record.key == *collection)?.embedder.waiting()
    }

    /// How the providers of the configuration stand, as all processes share it.
    pub async fn providers(&self) -> Result<Vec<(String, QuotaStatus)>, Refusal> {
        Ok(self.models.standings().await?)
    }

    /// What embedding cost the local tenant in so many days, by model.
    pub async fn usage(&self, days: u64) -> Result<Vec<(String, ModelUsage)>, Refusal> {
        let now_ms = self.stages.clock.now_ms();
        Ok(usage::usage_since(&*self.stages.states, self.principal.tenant(), days, now_ms).await?)
    }

    /// Whether other processes work with the same ledger, so that this one sees a part of the work.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Changes whenever versions end or texts are embedded.
    pub fn progress(&self) -> watch::Receiver<IngestProgress> {
        self.stages.tally.watch()
    }

    /// The reading model's tokenizer of that name.
    pub fn reader(&self, name: &str) -> Result<Arc<dyn Tokenizer>, Refusal> {
        self.tokenizers.get(name)
    }

    /// Sends dead versions on their way again; returns how many.
    pub async fn replay(&self, filter: &DeadLetterFilter) -> Result<u64, Refusal> {
        Ok(replay::replay_dead_versions(&self.stages, filter).await?)
    }

    /// Serves the API until `shutdown` ends.
    pub async fn serve(
        &self,
        config: &ContextureConfig,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), Refusal> {
        let services = ApiServices {
            ingest: Arc::new(api::IngestApiService(self.submitter.clone())),
            context: Arc::new(api::ContextApiService {
                engine: self.engine.clone(),
                sampler: self.sampler.clone(),
                metrics: self.metrics.clone(),
            }),
            admin: Arc::new(api::AdminApiService::new(self, config.audit)),
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

    /// Answers whoever reads the metrics, for as long as it is awaited.
    pub async fn serve_metrics(
        &self,
        config: &ContextureConfig,
        listener: TcpListener,
    ) -> Result<Infallible, Refusal> {
        let page = MetricsPageSource::new(self.metrics.clone(), self.stages.clone(), self.models.clone());
        let authenticator = Arc::new(Authenticator::new(config.keys.clone())?);
        Ok(server::metrics_http::serve_metrics(listener, Arc::new(page), authenticator).await)
    }

    /// Stops consuming, lets the batch at hand finish within ten seconds, closes everything.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        let deadline = tokio::time::Instant::now() + DRAIN_MAX;
        for worker in self.workers.drain(..) {
            let abort = worker.abort_handle();
            if tokio::time::timeout_at(deadline, worker).await.is_err() {
                abort.abort();
            }
        }
        #[cfg(feature = "rabbitmq")]
        if let Some(rabbit) = &self.rabbit {
            rabbit.close().await;
        }
        // Closing waits for threads; that must not hold up the runtime.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    fn key(&self, collection: &CollectionId) -> CollectionKey {
        CollectionKey { tenant: self.principal.tenant().clone(), collection: collection.clone() }
    }
}

/// Whether a configuration names stores of this machine that nothing was ever put into: who only asks
/// must not make them.
pub fn is_local_ledger_absent(config: &ContextureConfig) -> bool {
    config.backends.ledger.is_none() && !backends::ledger_file(config).exists()
}

/// Checks what a configuration names and only opening it tells: files of tokenizers and templates,
/// the reranker's URL. Connects to nothing.
pub async fn check_named_resources(config: &ContextureConfig) -> Result<(), Refusal> {
    reranking::open_reranker(config, Arc::new(SystemClock))?;
    tokenizers_and_templates::read_templates(config).await?;
    tokenizers_and_templates::check_tokenizers(config, &tokenizers_and_templates::known_tokenizers(config)?)
        .await
}

/// The lock on the data directory, where something is written to it, and how indexes are opened.
fn lock_data_directory(
    config: &ContextureConfig,
    duties: &StartupPlan,
) -> Result<(Option<DataDirectoryLock>, IndexAccessMode), Refusal> {
    let mode = match (duties.index, duties.shared) {
        (false, _) => IndexAccessMode::Absent,
        (true, false) => IndexAccessMode::Written,
        (true, true) => IndexAccessMode::Followed,
    };
    if !duties.index && (duties.shared || duties.looks) {
        return Ok((None, mode));
    }
    match DataDirectoryLock::acquire(&config.data_dir) {
        Ok(lock) => Ok((Some(lock), mode)),
        Err(refusal) if duties.may_read_only && refusal.code == "data_dir_in_use" => {
            Ok((None, IndexAccessMode::ReadOnly))
        }
        Err(refusal) => Err(refusal),
    }
}

/// Documents are kept for the next stage only where that stage runs.
fn handover_bytes(duties: &StartupPlan) -> usize {
    let runs = |stage| duties.stages.contains(&stage);
    if runs(IngestStage::Chunk) && runs(IngestStage::Embed) { HANDOVER_BYTES_MAX } else { 0 }
}

fn stage_limits(config: &ContextureConfig) -> StageLimits {
    StageLimits {
        chunk_batch_documents_max: config.workers.chunk_batch_documents_max,
        embed_batch_documents_max: config.workers.embed_batch_documents_max,
        embed_batch_texts_max: config.workers.embed_batch_texts_max,
        embed_batch_tokens_max: config.workers.embed_batch_tokens_max,
        embed_claim_max: EMBED_CLAIM_MAX,
        commit_documents_max: config.workers.index_commit_documents_max,
        commit_wait_max: config.workers.index_commit_interval_max,
        batch_body_bytes_max: config.workers.index_commit_bytes_max as u64,
        chunks_per_document_max: config.limits.chunks_per_document_max,
    }
}

fn require_same_pipeline(record: &CollectionRecord, pipeline: &Pipeline) -> Result<(), Refusal> {
    if record.pipeline == pipeline.to_toml()? {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalKind::Conflict,
        "pipeline_differs",
        "pipeline",
        format!(
            "collection '{name}' has another pipeline; leave --pipeline out, or build it anew under this one with \
             'contexture reindex start --collection {name} --pipeline FILE'",
            name = record.key.collection
        ),
    ))
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn internal_refusal(error: tokio::task::JoinError) -> Refusal {
    Refusal::new(RefusalKind::Internal, "internal", "", error.to_string())
}
