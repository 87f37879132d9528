//! A document's way: submit, chunk, embed, index, and what ends it.
//!
//! ```text
//! submit ─▶ [chunk] ─▶ chunk ─▶ [embed] ─▶ embed ─▶ [index] ─▶ index ─▶ visible
//!    │                   │                   │                   │
//!  ledger: body        ledger: spans     vectors, cache     lexical commit, ledger: visible
//! ```
//!
//! What comes over the broker passes [`intake`] first, whose producers are told how it ends.
//! Brackets are durable queues; a message is one document version. Each stage has one `run`
//! that takes a batch of tasks and gives one [`TaskOutcome`] each; [`acknowledge`] alone turns outcomes
//! into acknowledgements. Running a stage twice leaves the same state (ids derive from content).

pub mod acknowledge;
pub mod chunk;
pub mod chunked_document_cache;
pub mod counters;
mod document_reader;
pub mod embed;
pub mod estimate;
mod event_publisher;
pub mod housekeeping;
pub mod index;
pub mod intake;
pub mod log_follower;
pub mod prepare_documents;
pub mod replay;
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
use crate::ports::generations::GenerationRecord;
use crate::ports::ledger::{CollectionRecord, Ledger, VersionOutcome};
use crate::ports::meter::IngestMeter;
use crate::ports::producers::ProducerEventSink;
use crate::ports::shared_states::SharedStateStore;

pub use chunked_document_cache::ChunkedDocumentCache;
pub use counters::{IngestCounters, IngestProgress};
pub use embed::single_flight::EmbeddingSingleFlight;

/// What every stage works with.
pub struct StageResources {
    /// The record.
    pub ledger: Arc<dyn Ledger>,
    /// The queues.
    pub broker: Arc<dyn Broker>,
    /// The open collections.
    pub catalog: Arc<dyn CollectionCatalog>,
    /// Time.
    pub clock: Arc<dyn WallClock>,
    /// Bounds of batches.
    pub limits: StageLimits,
    /// What has been done since start.
    pub tally: IngestCounters,
    /// Where it is measured.
    pub meter: Arc<dyn IngestMeter>,
    /// Documents on their way from one stage here to the next.
    pub handover: ChunkedDocumentCache,
    /// Texts that are being embedded here.
    pub flights: EmbeddingSingleFlight,
    /// What is shared beside the ledger: usage.
    pub states: Arc<dyn SharedStateStore>,
    /// Where the ends of versions are told; none where nobody can listen.
    pub events: Option<Arc<dyn ProducerEventSink>>,
    /// Whether other processes write to the same ledger, so that the index here follows its log.
    pub replicas: bool,
}

/// Bounds of what a worker holds at once.
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
    /// How long a text is left to the process that claimed it, unless it renews its claim: one that
    /// is gone must not hold its documents up for long.
    pub embed_claim_max: std::time::Duration,
    /// Documents of one commit.
    pub commit_documents_max: usize,
    /// How long a commit waits for more documents.
    pub commit_wait_max: std::time::Duration,
    /// Bodies a worker holds at once, in bytes; a single larger one goes alone.
    pub batch_body_bytes_max: u64,
    /// Most chunks of one document.
    pub chunks_per_document_max: usize,
}

/// What a stage made of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskOutcome {
    /// Goes on to another stage.
    HandOn(IngestStage),
    /// Has ended; `sweep` when vectors of losing versions may be staged.
    Ended {
        /// How.
        ending: VersionOutcome,
        /// Whether to look for vectors to remove.
        sweep: bool,
    },
    /// Begins again under the generation that serves now: the collection was re-indexed meanwhile.
    StartAgain {
        /// The generation.
        generation: GenerationNumber,
        /// Its epoch.
        epoch: Epoch,
    },
    /// Had ended before this delivery.
    AlreadyEnded,
    /// Did not work.
    Failed(Fault),
}

/// Where a task is worked on.
enum TaskPlacement {
    /// In this generation, which is its own.
    Here(Arc<OpenCollection>),
    /// In this one, from the start.
    Moved(CollectionRecord),
}

impl StageResources {
    /// The generation a task is worked on in: its own as long as that serves. A process may learn
    /// late that another does; then the ledger tells.
    async fn place(&self, task: &IngestTask) -> Result<TaskPlacement, Fault> {
        let key = task.key.collection_key();
        let gone = || {
            let detail = format!("collection '{}' is gone", key.collection);
            Fault::permanent(crate::fault::reason::EPOCH_MISMATCH, detail)
        };
        let is_own = |home: &CollectionRecord| home.generation == task.generation && home.epoch == task.epoch;
        let open = self.catalog.open(&key).await?.ok_or_else(gone)?;
        if is_own(&open.record) {
            if open.takes_in().is_ok() {
                return Ok(TaskPlacement::Here(open));
            }
            // Unless it was built anew meanwhile, it waits.
            let home = self.ledger.collection(&key).await?.ok_or_else(gone)?;
            return if is_own(&home) {
                open.takes_in().map(|()| TaskPlacement::Here(open))
            } else {
                Ok(TaskPlacement::Moved(home))
            };
        }
        let home = self.ledger.collection(&key).await?.ok_or_else(gone)?;
        if is_own(&home) {
            return Ok(TaskPlacement::Here(self.catalog.open_generation(&home).await?));
        }
        Ok(TaskPlacement::Moved(home))
    }

    /// Lets go of a dropped generation in this process; what cannot be removed now is tried again.
    async fn let_go_of(&self, record: &GenerationRecord) {
        if let Err(fault) = self.catalog.remove(&record.home, false).await {
            let CollectionRecord { key, generation, .. } = &record.home;
            tracing::warn!(
                tenant = %key.tenant, collection = %key.collection, generation, %fault,
                "a dropped generation stays here"
            );
        }
    }

    /// One outcome per task, in order: what `work` makes of the tasks of one collection and
    /// generation at a time.
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
                Ok(TaskPlacement::Moved(home)) => {
                    let CollectionRecord { generation, epoch, .. } = home;
                    Ok(vec![TaskOutcome::StartAgain { generation, epoch }; run.len()])
                }
                Err(fault) => Err(fault),
            };
            match done {
                Ok(done) => outcomes.extend(done),
                Err(fault) => outcomes.extend(run.iter().map(|_| TaskOutcome::Failed(fault.clone()))),
            }
        }
        outcomes
    }
}

/// How many tasks from the first on fit into `bytes_max` by their bodies, but at least one.
pub(crate) fn tasks_within_bytes<'a>(tasks: impl Iterator<Item = &'a IngestTask>, bytes_max: u64) -> usize {
    let mut bytes = 0;
    let fits = |task: &&IngestTask| {
        bytes += task.body_bytes;
        bytes <= bytes_max
    };
    tasks.take_while(fits).count().max(1)
}

/// Splits tasks into runs of one collection and generation each, in order, as index ranges.
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
