//! The composition root: the only place that sees adapters and server at once.
//!
//! [`Stack`] is everything one process runs: ledger, queues, open collections, workers, engine.
//! A data directory belongs to one process at a time (a lock); only a command that asks a question
//! of a shared ledger may read the indexes that another process on its machine writes.

mod api;
mod catalog;
mod comparing;
mod credentials;
mod embedding;
mod engines;
mod intake;
mod jobs;
mod lacking;
mod lasting;
mod lock;
mod metrics;
mod readers;
mod reindexing;
mod reranking;
mod roles;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::context::fuse::Weights;
use crate::context::{ContextEngine, Tokenizers};
use crate::domain::ids::{CollectionId, CollectionKey};
use crate::domain::pipeline::{DEFAULT_TOML, Pipeline};
use crate::domain::principal::Principal;
use crate::domain::task::Stage;
use crate::fault::{Fault, Refusal, RefusalKind};
pub use crate::ingest::Progress;
use crate::ingest::submit::Submitter;
use crate::ingest::usage::{self, Usage};
use crate::ingest::{Flights, Handover, StageLimits, Stages, replay};
use crate::jobs::sample::Sampler;
use crate::ports::catalog::{Catalog, OpenCollection};
use crate::ports::clock::SystemClock;
use crate::ports::embedder::Waiting;
use crate::ports::ledger::{CollectionRecord, DeadFilter, Ledger};
use crate::ports::tokenizer::Tokenizer;
use crate::resilience::terms::Standing;
use crate::server::auth::{Authenticator, local_principal};
use crate::server::{self, ServeError, Services};
use crate::telemetry::metrics::Metrics;

use catalog::{IndexMode, StoreCatalog};
pub use comparing::Comparing;
use embedding::Models;
use lock::DataLock;
use metrics::Page;
use roles::Duties;
pub use roles::Roles;

/// How long workers may take to finish their batch when the process stops.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Bodies on their way to the ledger at once.
const PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Cut documents that wait for the next stage of this process.
const HANDOVER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a text is left to a process that gives no sign of life.
const EMBED_CLAIM_MAX: Duration = Duration::from_secs(30);

/// Everything, wired.
pub struct Stack {
    /// Intake.
    pub submitter: Arc<Submitter>,
    /// Queries.
    pub engine: Arc<ContextEngine>,
    /// The record.
    pub ledger: Arc<dyn Ledger>,
    /// The caller on this machine.
    pub principal: Principal,
    catalog: Arc<StoreCatalog>,
    models: Arc<Models>,
    stages: Arc<Stages>,
    tokenizers: Tokenizers,
    stop: watch::Sender<bool>,
    workers: Vec<JoinHandle<()>>,
    sampler: Option<Arc<Sampler>>,
    metrics: Arc<Metrics>,
    shared: bool,
    #[cfg(feature = "rabbitmq")]
    rabbit: Option<crate::adapters::rabbitmq::RabbitBroker>,
    _lock: Option<DataLock>,
}

impl Stack {
    /// Opens what the roles need, and starts what they run.
    pub async fn open(config: &Config, roles: Roles) -> Result<Self, Refusal> {
        let duties = roles.duties(config);
        let metrics = Arc::new(Metrics::default());
        let clock = Arc::new(SystemClock);
        let reranking = reranking::open(config, clock.clone())?;
        let tokenizers = readers::tokenizers(config)?;
        if matches!(roles, Roles::Serve { .. }) {
            readers::check(config, &tokenizers).await?;
        }
        let templates = readers::templates(config).await?;
        let (lock, mode) = index_mode(config, &duties)?;
        let engines = engines::open(config, clock.clone()).await?;
        let (ledger, broker) = (engines.ledger, engines.broker);
        let models = Arc::new(Models::new(config, tokenizers.clone(), engines.states.clone(), clock.clone()));
        let catalog = Arc::new(StoreCatalog::new(ledger.clone(), config, mode, models.clone()));
        let stages = Arc::new(Stages {
            ledger: ledger.clone(),
            broker: broker.clone(),
            catalog: catalog.clone(),
            clock,
            limits: stage_limits(config),
            tally: crate::ingest::Tally::default(),
            meter: metrics.clone(),
            handover: Handover::new(handover_bytes(&duties)),
            flights: Flights::default(),
            states: engines.states,
            events: engines.exchange.as_ref().map(|exchange| exchange.events.clone()),
            replicas: mode == IndexMode::Followed,
        });
        let weights =
            Weights { lexical: config.retrieval.lexical_weight, dense: config.retrieval.dense_weight };
        let stop = watch::Sender::new(false);
        let body_bytes_max = config.limits.body_bytes_max;
        let submitter = Submitter::new(ledger.clone(), broker, body_bytes_max, PENDING_BYTES_MAX);
        let submitter = Arc::new(submitter);
        let intake = match (&config.backends.broker, engines.exchange, duties.submit) {
            (Some(broker), Some(exchange), true) => {
                Some(intake::open(broker, exchange, submitter.clone(), ledger.clone(), catalog.clone())?)
            }
            _ => None,
        };
        let is_writer = matches!(mode, IndexMode::Written | IndexMode::Followed);
        let sampler = comparing::sampler(config, &roles, &stages).await?;
        let mut workers = lasting::start(&stages, intake.map(Arc::new), &duties, is_writer, &stop);
        workers.extend(jobs::start(&stages, config, &duties, &stop));
        workers.extend(
            sampler
                .clone()
                .map(|sampler| lasting::spawn("sample", &stop, move |stop| sampler.clone().run(stop))),
        );
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
            let pipeline = pipeline.cloned().map_or_else(|| Pipeline::from_toml(DEFAULT_TOML), Ok)?;
            self.catalog.found(&key, &pipeline).await?;
        } else if let (Some(record), Some(pipeline)) = (&existing, pipeline) {
            require_same(record, pipeline)?;
        }
        self.catalog
            .open(&key)
            .await?
            .ok_or_else(|| Fault::transient("a collection just made is gone").into())
    }

    /// What calls of a collection's model wait for: as this process knows, or, where others
    /// embed, as the ledger says.
    pub async fn waiting(&self, collection: &CollectionKey) -> Option<Waiting> {
        if self.shared {
            let record = self.ledger.collection(collection).await.ok()??;
            let pipeline = Pipeline::from_toml(&record.pipeline).ok()?;
            return self.models.waiting(&pipeline.embedder).await;
        }
        let opened = self.catalog.opened().await;
        opened.iter().find(|open| open.record.key == *collection)?.embedder.waiting()
    }

    /// How the providers of the configuration stand, as all processes share it.
    pub async fn providers(&self) -> Result<Vec<(String, Standing)>, Refusal> {
        Ok(self.models.standings().await?)
    }

    /// What embedding cost the local tenant in so many days, by model.
    pub async fn usage(&self, days: u64) -> Result<Vec<(String, Usage)>, Refusal> {
        let now_ms = self.stages.clock.now_ms();
        Ok(usage::since(&*self.stages.states, self.principal.tenant(), days, now_ms).await?)
    }

    /// Whether other processes work with the same ledger, so that this one sees a part of the work.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Changes whenever versions end or texts are embedded.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.stages.tally.watch()
    }

    /// The reading model's tokenizer of that name.
    pub fn reader(&self, name: &str) -> Result<Arc<dyn Tokenizer>, Refusal> {
        self.tokenizers.get(name)
    }

    /// Sends dead versions on their way again; returns how many.
    pub async fn replay(&self, filter: &DeadFilter) -> Result<u64, Refusal> {
        Ok(replay::run(&self.stages, filter).await?)
    }

    /// Serves the API until `shutdown` ends.
    pub async fn serve(
        &self,
        config: &Config,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), Refusal> {
        let services = Services {
            ingest: Arc::new(api::Ingest(self.submitter.clone())),
            context: Arc::new(api::Context {
                engine: self.engine.clone(),
                sampler: self.sampler.clone(),
                metrics: self.metrics.clone(),
            }),
            admin: Arc::new(api::Admin::new(self, config.audit)),
            authenticator: Arc::new(Authenticator::new(config.keys.clone())?),
            metrics: self.metrics.clone(),
        };
        server::run(listener, services, config.server.limits.clone(), shutdown).await.map_err(|error| {
            match error {
                ServeError::Refused(refusal) => refusal,
                other => Refusal::new(RefusalKind::Unavailable, "server_failed", "", other.to_string()),
            }
        })
    }

    /// Answers whoever reads the metrics, for as long as it is awaited.
    pub async fn serve_metrics(&self, config: &Config, listener: TcpListener) -> Result<Infallible, Refusal> {
        let page = Page::new(self.metrics.clone(), self.stages.clone(), self.models.clone());
        let authenticator = Arc::new(Authenticator::new(config.keys.clone())?);
        Ok(server::http::serve(listener, Arc::new(page), authenticator).await)
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
pub fn is_untouched(config: &Config) -> bool {
    config.backends.ledger.is_none() && !engines::ledger_file(config).exists()
}

/// Checks what a configuration names and only opening it tells: files of tokenizers and templates,
/// the reranker's URL. Connects to nothing.
pub async fn check(config: &Config) -> Result<(), Refusal> {
    reranking::open(config, Arc::new(SystemClock))?;
    readers::templates(config).await?;
    readers::check(config, &readers::tokenizers(config)?).await
}

/// The lock on the data directory, where something is written to it, and how indexes are opened.
fn index_mode(config: &Config, duties: &Duties) -> Result<(Option<DataLock>, IndexMode), Refusal> {
    let mode = match (duties.index, duties.shared) {
        (false, _) => IndexMode::Absent,
        (true, false) => IndexMode::Written,
        (true, true) => IndexMode::Followed,
    };
    if !duties.index && (duties.shared || duties.looks) {
        return Ok((None, mode));
    }
    match DataLock::take(&config.data_dir) {
        Ok(lock) => Ok((Some(lock), mode)),
        Err(refusal) if duties.may_read_only && refusal.code == "data_dir_in_use" => {
            Ok((None, IndexMode::ReadOnly))
        }
        Err(refusal) => Err(refusal),
    }
}

/// Documents are kept for the next stage only where that stage runs.
fn handover_bytes(duties: &Duties) -> usize {
    let runs = |stage| duties.stages.contains(&stage);
    if runs(Stage::Chunk) && runs(Stage::Embed) { HANDOVER_BYTES_MAX } else { 0 }
}

fn stage_limits(config: &Config) -> StageLimits {
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

fn require_same(record: &CollectionRecord, pipeline: &Pipeline) -> Result<(), Refusal> {
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
fn internal(error: tokio::task::JoinError) -> Refusal {
    Refusal::new(RefusalKind::Internal, "internal", "", error.to_string())
}
