//! The ingest pipeline: submit, chunk, embed, index, acknowledge.
//!
//! ```text
//! submit ─▶ [chunk] ─▶ chunk ─▶ [embed] ─▶ embed ─▶ [index] ─▶ index ─▶ visible
//!    │                   │                   │                   │
//!  ledger: body        ledger: spans     vectors, cache     lexical commit, ledger: visible
//! ```
//!
//! Brackets are durable queues. A message is one document version. Messages of producers pass
//! [`intake`] first, and their producers receive an event when the version ends. Each stage has one
//! function (`chunk_batch`, `embed_batch`, `index_batch`) that takes a batch of tasks and returns one
//! [`TaskOutcome`] per task. Only [`acknowledge`] turns outcomes into acknowledgements. Running a
//! stage twice leaves the same state, because ids derive from content.

pub mod acknowledge;
pub mod chunk;
pub mod chunked_document_cache;
pub mod counters;
mod document_reader;
mod document_writes;
pub mod embed;
mod enclosed_documents;
pub mod engine_watch;
pub mod estimate;
mod event_publisher;
mod fault_log;
pub mod housekeeping;
pub mod index;
pub mod intake;
pub mod log_follower;
pub mod prepare_documents;
pub mod restore;
pub mod submit;
pub mod sweep;
pub mod usage;
pub mod worker;

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::domain::ids::{Epoch, GenerationNumber};
use crate::domain::task::{IngestStage, IngestTask};
use crate::fault::Fault;
use crate::ports::broker::Broker;
use crate::ports::catalog::{CollectionCatalog, OpenCollection};
use crate::ports::clock::WallClock;
use crate::ports::extractor::DocumentExtractor;
use crate::ports::generations::GenerationRecord;
use crate::ports::ledger::{CollectionRecord, Ledger, VersionOutcome, VersionRecord};
use crate::ports::meter::IngestMeter;
use crate::ports::producers::ProducerEventSink;
use crate::ports::shared_states::SharedStateStore;

pub use chunked_document_cache::ChunkedDocumentCache;
pub use counters::{IngestCounters, IngestProgress};
pub use embed::single_flight::EmbeddingSingleFlight;
pub use engine_watch::EngineWatch;

/// Dependencies and limits that all stages share.
pub struct StageResources {
    /// The record of all versions and their states.
    pub ledger: Arc<dyn Ledger>,
    /// The queues.
    pub broker: Arc<dyn Broker>,
    /// The open collections.
    pub catalog: Arc<dyn CollectionCatalog>,
    /// The source of time.
    pub clock: Arc<dyn WallClock>,
    /// Reads documents that are no text.
    pub extractor: Arc<dyn DocumentExtractor>,
    /// Limits of batches.
    pub limits: StageLimits,
    /// Counts since the process started.
    pub counters: IngestCounters,
    /// Receives measurements.
    pub meter: Arc<dyn IngestMeter>,
    /// Chunked documents that later stages of this process need.
    pub chunked_documents: ChunkedDocumentCache,
    /// Texts that this process is embedding now.
    pub single_flight: EmbeddingSingleFlight,
    /// Which engines answer.
    pub engines: EngineWatch,
    /// Shared state outside the ledger: usage counts.
    pub states: Arc<dyn SharedStateStore>,
    /// Receives an event when a version ends; `None` without a broker for producers.
    pub events: Option<Arc<dyn ProducerEventSink>>,
    /// Whether other processes write to the same ledger, so that the index here follows its log.
    pub replicas: bool,
}

/// Limits of what a worker holds at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageLimits {
    /// Messages a chunk worker takes at once.
    pub chunk_batch_documents_max: usize,
    /// Messages an embed worker takes at once.
    pub embed_batch_documents_max: usize,
    /// Texts of one call to the embedder, if it takes that many.
    pub embed_batch_texts_max: usize,
    /// Tokens of one call to the embedder.
    pub embed_batch_tokens_max: usize,
    /// Time after which a text claim expires unless its process renews it. Short, so that a crashed
    /// process does not block documents for long.
    pub embed_claim_max: std::time::Duration,
    /// Documents of one commit.
    pub commit_documents_max: usize,
    /// How long a commit waits for more documents.
    pub commit_wait_max: std::time::Duration,
    /// Bytes of bodies that a worker holds at once; a larger body forms a batch of its own.
    pub batch_body_bytes_max: u64,
    /// Most chunks of one document.
    pub chunks_per_document_max: usize,
}

/// What a stage made of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskOutcome {
    /// The task moves to another stage.
    HandOn(IngestStage),
    /// The version has ended. `sweep` is true when vectors of losing versions may be staged.
    Ended {
        /// How.
        ending: VersionOutcome,
        /// Whether to look for vectors to remove.
        sweep: bool,
    },
    /// The task restarts under the serving generation, because the collection was re-indexed.
    StartAgain {
        /// The generation.
        generation: GenerationNumber,
        /// Its epoch.
        epoch: Epoch,
    },
    /// The version had ended before this delivery.
    AlreadyEnded,
    /// The stage failed.
    Failed(Fault),
}

/// The generation in which a task is processed.
enum TaskPlacement {
    /// The task's own generation.
    Here(Arc<OpenCollection>),
    /// Another generation; the task restarts at its first stage.
    Moved(CollectionRecord),
    /// None: the collection was dropped, and the version with it.
    Gone,
}

impl StageResources {
    /// Decides in which generation a task is processed: its own for as long as that one serves. The
    /// ledger decides when this process does not know yet that another generation serves.
    async fn place(&self, task: &IngestTask) -> Result<TaskPlacement, Fault> {
        let key = task.key.collection_key();
        let is_own = |home: &CollectionRecord| home.generation == task.generation && home.epoch == task.epoch;
        let Some(open) = self.catalog.open(&key).await? else { return Ok(TaskPlacement::Gone) };
        if is_own(&open.record) {
            if open.check_accepts_documents().is_ok() {
                return Ok(TaskPlacement::Here(open));
            }
            // The generation accepts no writes, and the catalog may be stale. The ledger says whether
            // a re-index replaced it; if not, `check_accepts_documents` returns the fault that makes the
            // task wait.
            let Some(home) = self.ledger.collection(&key).await? else { return Ok(TaskPlacement::Gone) };
            return if is_own(&home) {
                open.check_accepts_documents().map(|()| TaskPlacement::Here(open))
            } else {
                Ok(TaskPlacement::Moved(home))
            };
        }
        let Some(home) = self.ledger.collection(&key).await? else { return Ok(TaskPlacement::Gone) };
        if is_own(&home) {
            return Ok(TaskPlacement::Here(self.catalog.open_generation(&home).await?));
        }
        Ok(TaskPlacement::Moved(home))
    }

    /// Restarts tasks in the generation that serves now. A task of a dropped collection does not move to
    /// the one that was made again under its name: the ledger there does not know what it was accepted for.
    async fn start_again(
        &self,
        home: &CollectionRecord,
        tasks: &[IngestTask],
    ) -> Result<Vec<TaskOutcome>, Fault> {
        let CollectionRecord { key, generation, epoch, .. } = home;
        let mut outcomes = Vec::with_capacity(tasks.len());
        // One by one, because it is rare: after a re-index, for what was in flight.
        for task in tasks {
            let history = self.ledger.history(key, &task.key.document_id).await?;
            let is_known = |known: &VersionRecord| {
                known.key.version == task.key.version && known.content_hash == task.content_hash
            };
            outcomes.push(if history.iter().any(is_known) {
                TaskOutcome::StartAgain { generation: *generation, epoch: *epoch }
            } else {
                TaskOutcome::AlreadyEnded
            });
        }
        Ok(outcomes)
    }

    /// Closes the generations of dropped collections in this process. A failure is only logged: the next
    /// round of housekeeping or of the log follower tries again.
    async fn close_dropped_collections(&self) -> Result<(), Fault> {
        for dropped in self.ledger.dropped_generations().await? {
            let home = std::slice::from_ref(&dropped.home);
            if let Err(fault) = self.catalog.remove_collection(home, false).await {
                let CollectionRecord { key, generation, .. } = &dropped.home;
                tracing::warn!(
                    tenant = %key.tenant, collection = %key.collection, generation, %fault,
                    "a generation of a dropped collection cannot be closed yet"
                );
            }
        }
        Ok(())
    }

    /// Closes a dropped generation in this process. A failure is only logged: the next round of
    /// housekeeping or of the log follower tries again.
    async fn close_dropped_generation(&self, record: &GenerationRecord) {
        if let Err(fault) = self.catalog.remove(&record.home, false).await {
            let CollectionRecord { key, generation, .. } = &record.home;
            tracing::warn!(
                tenant = %key.tenant, collection = %key.collection, generation, %fault,
                "a dropped generation cannot be closed yet"
            );
        }
    }

    /// Calls `work` once per run of tasks of one collection and generation. Returns one outcome per
    /// task, in order.
    async fn by_collection<'a, W>(&'a self, tasks: &'a [IngestTask], work: W) -> Vec<TaskOutcome>
    where
        W: Fn(
            &'a Self,
            Arc<OpenCollection>,
            &'a [IngestTask],
        ) -> BoxFuture<'a, Result<Vec<TaskOutcome>, Fault>>,
    {
        let mut outcomes = Vec::with_capacity(tasks.len());
        for run in split_by_collection(tasks) {
            let run = &tasks[run];
            let done = match self.place(&run[0]).await {
                Ok(TaskPlacement::Here(open)) => work(self, open, run).await,
                Ok(TaskPlacement::Moved(home)) => self.start_again(&home, run).await,
                Ok(TaskPlacement::Gone) => Ok(vec![TaskOutcome::AlreadyEnded; run.len()]),
                Err(fault) => Err(fault),
            };
            match done {
                Ok(done) => outcomes.extend(done),
                Err(fault) => outcomes.extend(run.iter().map(|_| TaskOutcome::Failed(fault.clone()))),
            }
        }
        // Outcomes are matched to deliveries by position, so a missing one would acknowledge the wrong message.
        debug_assert_eq!(outcomes.len(), tasks.len());
        outcomes
    }
}

/// Counts the leading tasks whose bodies fit into `bytes_max`; at least one.
pub(crate) fn tasks_within_bytes<'a>(tasks: impl Iterator<Item = &'a IngestTask>, bytes_max: u64) -> usize {
    let mut bytes = 0;
    let fits = |task: &&IngestTask| {
        bytes += task.body_bytes;
        bytes <= bytes_max
    };
    // One body may exceed the limit by itself; without the minimum it would never be processed.
    tasks.take_while(fits).count().max(1)
}

/// Splits tasks into index ranges of one collection and generation each. The order stays.
fn split_by_collection(tasks: &[IngestTask]) -> Vec<std::ops::Range<usize>> {
    let same = |left: &IngestTask, right: &IngestTask| {
        left.key.tenant == right.key.tenant
            && left.key.collection == right.key.collection
            && left.generation == right.generation
            && left.epoch == right.epoch
    };
    let mut runs = Vec::new();
    let mut start = 0;
    for next in 1..=tasks.len() {
        if next == tasks.len() || !same(&tasks[start], &tasks[next]) {
            runs.push(start..next);
            start = next;
        }
    }
    runs
}
