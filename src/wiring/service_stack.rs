//! Everything that one process runs, opened and started.
//!
//! [`ServiceStack::open`] connects the parts in the order in which they need each other: lock, backends,
//! models, catalog, stages, then the tasks that use them. [`ServiceStack::shutdown`] stops the tasks first
//! and drops the rest after them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::catalog::{CollectionStoreCatalog, IndexAccessMode};
use super::collection_creator::CollectionCreator;
use super::data_directory_lock::{DataDirectoryLock, lock_data_directory};
use super::embedding::EmbedderFactory;
use super::roles::{ProcessRole, StartupPlan};
use super::{backends, background_tasks, document_conversion, query_resources};
use crate::config::ContextureConfig;
use crate::operations::service::require_same_pipeline;
use crate::server::auth::local_principal;
use crate::telemetry::metrics::ProcessMetrics;
use contexture_adapters::disk_floor::DiskFloor;
use contexture_core::context::fuse::FusionWeights;
use contexture_core::context::{ContextEngine, TokenizerRegistry};
use contexture_core::domain::ids::{CollectionId, CollectionKey};
use contexture_core::domain::pipeline::{DEFAULT_PIPELINE_TOML, Pipeline};
use contexture_core::domain::principal::Principal;
use contexture_core::domain::task::IngestStage;
use contexture_core::fault::{Fault, Refusal};
use contexture_core::ingest::submit::{self, DocumentSubmitter};
use contexture_core::ingest::usage::{self, ModelUsage};
use contexture_core::ingest::{
    ChunkedDocumentCache, EmbeddingSingleFlight, EngineWatch, IngestCounters, IngestProgress, StageLimits,
    StageResources,
};
use contexture_core::jobs::question_sampler::QuestionSampler;
use contexture_core::ports::catalog::{CollectionCatalog, OpenCollection};
use contexture_core::ports::clock::{SystemClock, WallClock};
use contexture_core::ports::disk_space::DiskSpace;
use contexture_core::ports::embedder::EmbedderWaitStatus;
use contexture_core::ports::ledger::{DeadLetterFilter, Ledger};
use contexture_core::ports::tokenizer::Tokenizer;
use contexture_core::resilience::quota_protocol::QuotaStatus;

/// How long workers may take to finish their batch at shutdown.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Bytes of bodies that may be on their way to the ledger at once.
const PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of chunked documents kept in memory for the embed stage of this process.
const HANDOVER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a process may hold its claim on a text. Then another process embeds the text.
const EMBED_CLAIM_MAX: Duration = Duration::from_secs(30);

/// All parts of one process, connected.
pub struct ServiceStack {
    /// Accepts documents.
    pub submitter: Arc<DocumentSubmitter>,
    /// Answers queries.
    pub engine: Arc<ContextEngine>,
    /// The record of all versions.
    pub ledger: Arc<dyn Ledger>,
    /// The local caller.
    pub principal: Principal,
    pub(super) catalog: Arc<CollectionStoreCatalog>,
    pub(super) embedders: Arc<EmbedderFactory>,
    pub(super) stages: Arc<StageResources>,
    pub(super) tokenizers: TokenizerRegistry,
    stop: watch::Sender<bool>,
    workers: Vec<JoinHandle<()>>,
    pub(super) sampler: Option<Arc<QuestionSampler>>,
    pub(super) metrics: Arc<ProcessMetrics>,
    pub(super) shared: bool,
    #[cfg(feature = "rabbitmq")]
    rabbit: Option<contexture_adapters::rabbitmq::RabbitMqBroker>,
    _lock: Option<DataDirectoryLock>,
}

impl ServiceStack {
    /// Opens what the role needs, and starts what it runs.
    pub async fn open(config: &ContextureConfig, role: ProcessRole) -> Result<Self, Refusal> {
        let plan = role.startup_plan(config);
        let metrics = Arc::new(ProcessMetrics::default());
        let clock: Arc<dyn WallClock> = Arc::new(SystemClock);
        let reranking = query_resources::open_reranker(config, clock.clone())?;
        let tokenizers = query_resources::known_tokenizers(config)?;
        // A server must not fail at its first query, so it reads every file at startup.
        if matches!(role, ProcessRole::Serve { .. }) {
            query_resources::check_tokenizers(config, &tokenizers).await?;
        }
        let templates = query_resources::read_templates(config).await?;
        // The lock comes before the backends: a writer of the embedded ledger writes when it opens it.
        let (lock, mode) = lock_data_directory(config, &plan)?;
        let backends = backends::open_backends(config, clock.clone(), plan.reads_beside).await?;
        let (ledger, broker) = (backends.ledger, backends.broker);
        let disk: Arc<dyn DiskSpace> =
            Arc::new(DiskFloor::new(config.data_dir.clone(), config.limits.disk_free_bytes_min));
        let extractor = document_conversion::open_converters(config, &backends.states, &clock)?;
        let embedders = Arc::new(EmbedderFactory::new(
            config,
            tokenizers.clone(),
            backends.states.clone(),
            clock.clone(),
        ));
        let catalog = Arc::new(CollectionStoreCatalog::new(
            ledger.clone(),
            config,
            mode,
            embedders.clone(),
            disk.clone(),
        ));
        let stages = Arc::new(StageResources {
            ledger: ledger.clone(),
            broker: broker.clone(),
            catalog: catalog.clone(),
            clock,
            extractor,
            limits: stage_limits(config),
            counters: IngestCounters::default(),
            meter: metrics.clone(),
            chunked_documents: ChunkedDocumentCache::new(handover_bytes(&plan)),
            single_flight: EmbeddingSingleFlight::default(),
            engines: EngineWatch::new(disk.clone()),
            states: backends.states,
            events: backends.exchange.as_ref().map(|exchange| exchange.events.clone()),
            // Only with a shared ledger can others commit what this index does not have yet.
            replicas: mode == IndexAccessMode::Followed,
        });
        let weights =
            FusionWeights { lexical: config.retrieval.lexical_weight, dense: config.retrieval.dense_weight };
        let stop = watch::Sender::new(false);
        let body_bytes_max = config.limits.body_bytes_max;
        let submitter = DocumentSubmitter::new(ledger.clone(), broker, body_bytes_max, PENDING_BYTES_MAX)
            .with_disk(disk.clone());
        let submitter = Arc::new(submitter);
        // Only RabbitMQ has an exchange; the embedded broker takes no messages from producers.
        let intake = match (&config.backends.broker, backends.exchange, plan.submit) {
            (Some(broker), Some(exchange), true) => Some(background_tasks::open_intake(
                broker,
                exchange,
                submitter.clone(),
                ledger.clone(),
                CollectionCreator::of_broker(&catalog, config)?,
            )?),
            _ => None,
        };
        let is_writer = matches!(mode, IndexAccessMode::Written | IndexAccessMode::Followed);
        let sampler = background_tasks::create_question_sampler(config, &role, &stages).await?;
        let mut workers =
            background_tasks::start_background_tasks(&stages, intake.map(Arc::new), &plan, is_writer, &stop);
        workers.extend(background_tasks::start_scheduled_audits(&stages, config, &plan, &stop));
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
            embedders,
            stages,
            tokenizers,
            stop,
            workers,
            sampler,
            metrics,
            shared: plan.shared,
            #[cfg(feature = "rabbitmq")]
            rabbit: backends.rabbit,
            _lock: lock,
        })
    }

    /// Opens a collection, or creates it with this pipeline (without one, with the default). Refuses a
    /// pipeline that differs from the stored one.
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
            self.catalog.create_collection(&key, &pipeline).await?;
        } else if let (Some(record), Some(pipeline)) = (&existing, pipeline) {
            // Without a pipeline the stored one applies, whatever it is.
            require_same_pipeline(record, pipeline)?;
        }
        self.catalog
            .open(&key)
            .await?
            .ok_or_else(|| Fault::transient("a collection just made is gone").into())
    }

    /// Takes the text of deleted documents of a collection off the disk, as far as that is quick: files of the index
    /// of more than `entries_max` entries are left to a process that runs for long.
    pub async fn erase_deleted(&self, collection: &CollectionKey, entries_max: u32) -> Result<(), Fault> {
        if let Some(open) = self.catalog.open(collection).await?
            && let Ok(lexical) = open.lexical()
        {
            lexical.erase_deleted(entries_max).await?;
        }
        self.ledger.erase_deleted().await
    }

    /// Stages whose messages nobody works on, with how many wait; empty where the broker does not know.
    pub async fn unattended_stages(&self) -> Result<Vec<(IngestStage, u64)>, Fault> {
        let mut unattended = Vec::new();
        for stage in IngestStage::ALL {
            if self.stages.broker.consumers(stage).await? == Some(0) {
                let depth = self.stages.broker.depth(stage).await?;
                unattended.extend((depth > 0).then_some((stage, depth)));
            }
        }
        Ok(unattended)
    }

    /// The engine that this process cannot use at the moment, in words.
    pub fn engine_outage(&self) -> Option<String> {
        self.stages.engines.outage().map(|outage| outage.to_string())
    }

    /// What calls of a collection's model wait for. Read from this process, or from the ledger where
    /// other processes embed as well.
    pub async fn waiting(&self, collection: &CollectionKey) -> Option<EmbedderWaitStatus> {
        // Workers elsewhere hold the limiter that counts, so its shared state is asked.
        if self.shared {
            let record = self.ledger.collection(collection).await.ok()??;
            let pipeline = Pipeline::from_toml(&record.pipeline).ok()?;
            return self.embedders.waiting(&pipeline.embedder).await;
        }
        let opened = self.catalog.opened().await;
        opened.iter().find(|open| open.record.key == *collection)?.embedder.waiting()
    }

    /// The quota state of the configured providers, as all processes share it.
    pub async fn providers(&self) -> Result<Vec<(String, QuotaStatus)>, Refusal> {
        Ok(self.embedders.quota_statuses().await?)
    }

    /// What embedding cost the local tenant in the last `days`, by model.
    pub async fn usage(&self, days: u64) -> Result<Vec<(String, ModelUsage)>, Refusal> {
        let now_ms = self.stages.clock.now_ms();
        Ok(usage::usage_since(&*self.stages.states, self.principal.tenant(), days, now_ms).await?)
    }

    /// Whether other processes may use the same ledger. This process then sees only a part of the work.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Notifies when versions end or texts are embedded.
    pub fn progress(&self) -> watch::Receiver<IngestProgress> {
        self.stages.counters.watch()
    }

    /// The tokenizer of a reading model, by name.
    pub fn reader(&self, name: &str) -> Result<Arc<dyn Tokenizer>, Refusal> {
        self.tokenizers.get(name)
    }

    /// Resubmits dead versions. Returns how many.
    pub async fn replay(&self, filter: &DeadLetterFilter) -> Result<u64, Refusal> {
        Ok(submit::replay_dead_versions(&self.stages, filter).await?)
    }

    /// Stops all tasks, gives their current batch ten seconds to finish, and closes everything.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        let deadline = tokio::time::Instant::now() + DRAIN_MAX;
        for worker in self.workers.drain(..) {
            let abort = worker.abort_handle();
            // One deadline for all of them. An aborted batch is delivered again, so nothing is lost.
            if tokio::time::timeout_at(deadline, worker).await.is_err() {
                abort.abort();
            }
        }
        #[cfg(feature = "rabbitmq")]
        // After the workers: they acknowledge their messages over this connection.
        if let Some(rabbit) = &self.rabbit {
            rabbit.close().await;
        }
        // Closing the stores joins their threads. That would block a thread of the runtime.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    pub(super) fn key(&self, collection: &CollectionId) -> CollectionKey {
        CollectionKey { tenant: self.principal.tenant().clone(), collection: collection.clone() }
    }
}

/// The limit of the chunked-document cache: 0 unless both stages run here, because nobody else reads it.
fn handover_bytes(plan: &StartupPlan) -> usize {
    // A worker of only one of the stages never hands anything over.
    let runs = |stage| plan.stages.contains(&stage);
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
