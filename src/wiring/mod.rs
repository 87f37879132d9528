//! The composition root: the only place that sees adapters and server at once.
//!
//! [`Stack`] is everything one process runs: ledger, queues, open collections, workers, engine.
//! The embedded stack belongs to one process at a time (a lock on the data directory).

mod api;
mod catalog;
mod lock;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::adapters::sqlite::{Database, SqliteBroker, SqliteLedger};
use crate::adapters::tokenizer::bpe::Bpe;
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
use crate::ingest::{StageLimits, Stages, housekeeping, replay, worker};
use crate::ports::broker::Broker;
use crate::ports::catalog::{Catalog, OpenCollection};
use crate::ports::clock::SystemClock;
use crate::ports::ledger::{CollectionRecord, DeadFilter, Ledger};
use crate::ports::tokenizer::Tokenizer;
use crate::server::auth::{Authenticator, local_principal};
use crate::server::{self, ServeError, Services};

use catalog::EmbeddedCatalog;
use lock::DataLock;

/// How long workers may take to finish their batch when the process stops.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Bodies on their way to the ledger at once.
const PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What this process does.
#[derive(Debug, Clone, Copy)]
pub struct Roles {
    /// Whether it runs the stages.
    pub workers: bool,
}

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
    catalog: Arc<EmbeddedCatalog>,
    stages: Arc<Stages>,
    tokenizers: Tokenizers,
    stop: watch::Sender<bool>,
    workers: Vec<JoinHandle<()>>,
    _lock: DataLock,
}

impl Stack {
    /// Opens the data directory, and starts the stages if they are among the roles.
    pub async fn open(config: &Config, roles: Roles) -> Result<Self, Refusal> {
        let lock = DataLock::take(&config.data_dir)?;
        let clock = Arc::new(SystemClock);
        let file = config.data_dir.join("ledger.sqlite");
        let database =
            tokio::task::spawn_blocking(move || Database::open(&file)).await.map_err(internal)??;
        let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::new(database.clone(), clock.clone()));
        let broker: Arc<dyn Broker> = Arc::new(SqliteBroker::new(database, clock.clone()).await?);
        let catalog = Arc::new(EmbeddedCatalog::new(ledger.clone(), &config.data_dir));
        let stages = Arc::new(Stages {
            ledger: ledger.clone(),
            broker: broker.clone(),
            catalog: catalog.clone(),
            clock,
            limits: stage_limits(config),
            tally: crate::ingest::Tally::default(),
            replicas: false,
        });
        let tokenizers = Tokenizers::new(vec![
            ("cl100k_base", || Arc::new(Bpe::cl100k())),
            ("o200k_base", || Arc::new(Bpe::o200k())),
        ]);
        let weights =
            Weights { lexical: config.retrieval.lexical_weight, dense: config.retrieval.dense_weight };
        let stop = watch::Sender::new(false);
        let workers = if roles.workers { start(&stages, &stop) } else { Vec::new() };
        let body_bytes_max = config.limits.body_bytes_max;
        Ok(Self {
            submitter: Arc::new(Submitter::new(ledger.clone(), broker, body_bytes_max, PENDING_BYTES_MAX)),
            engine: Arc::new(ContextEngine::new(catalog.clone(), tokenizers.clone(), weights)),
            ledger,
            principal: local_principal()?,
            catalog,
            stages,
            tokenizers,
            stop,
            workers,
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
            let epoch = self.catalog.epoch(&pipeline).await?;
            self.ledger.ensure_collection(&key, &pipeline.to_toml()?, epoch).await?;
        } else if let (Some(record), Some(pipeline)) = (&existing, pipeline) {
            require_same(record, pipeline)?;
        }
        self.catalog
            .open(&key)
            .await?
            .ok_or_else(|| Fault::transient("a collection just made is gone").into())
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
            context: Arc::new(api::Context(self.engine.clone())),
            authenticator: Arc::new(Authenticator::new(config.keys.clone())?),
        };
        server::run(listener, services, config.server.limits.clone(), shutdown).await.map_err(|error| {
            match error {
                ServeError::Refused(refusal) => refusal,
                other => Refusal::new(RefusalKind::Unavailable, "server_failed", "", other.to_string()),
            }
        })
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
        // Closing waits for threads; that must not hold up the runtime.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    fn key(&self, collection: &CollectionId) -> CollectionKey {
        CollectionKey { tenant: self.principal.tenant().clone(), collection: collection.clone() }
    }
}

fn start(stages: &Arc<Stages>, stop: &watch::Sender<bool>) -> Vec<JoinHandle<()>> {
    let mut workers: Vec<JoinHandle<()>> = Stage::ALL
        .into_iter()
        .flat_map(|stage| std::iter::repeat_n(stage, workers_of(stage)))
        .map(|stage| tokio::spawn(worker::run(stages.clone(), stage, stop.subscribe())))
        .collect();
    workers.push(tokio::spawn(housekeeping::run(stages.clone(), stop.subscribe())));
    workers
}

/// One writes the index, because it has one writer. Two embed: while one waits for its points to
/// be on disk, the other computes.
fn workers_of(stage: Stage) -> usize {
    match stage {
        Stage::Chunk | Stage::Index => 1,
        Stage::Embed => 2,
    }
}

fn stage_limits(config: &Config) -> StageLimits {
    StageLimits {
        chunk_batch_documents_max: config.workers.chunk_batch_documents_max,
        embed_batch_documents_max: config.workers.embed_batch_documents_max,
        embed_batch_texts_max: config.workers.embed_batch_texts_max,
        embed_batch_tokens_max: config.workers.embed_batch_tokens_max,
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
            "collection '{}' was made with another pipeline; leave --pipeline out, or ingest into a new collection",
            record.key.collection
        ),
    ))
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn internal(error: tokio::task::JoinError) -> Refusal {
    Refusal::new(RefusalKind::Internal, "internal", "", error.to_string())
}
