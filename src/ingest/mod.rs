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
//! that takes a batch of tasks and gives one [`Outcome`] each; [`settle`] alone turns outcomes
//! into acknowledgements. Running a stage twice leaves the same state (ids derive from content).

pub mod chunk;
pub mod embed;
pub mod estimate;
pub mod follow;
pub mod handover;
pub mod housekeeping;
pub mod index;
pub mod intake;
mod read;
pub mod replay;
pub mod restore;
pub mod settle;
pub mod submit;
pub mod sweep;
pub mod tally;
mod tell;
pub mod usage;
pub mod worker;

use std::sync::Arc;

use crate::domain::task::{Stage, Task};
use crate::fault::Fault;
use crate::ports::broker::Broker;
use crate::ports::catalog::{Catalog, OpenCollection};
use crate::ports::clock::Clock;
use crate::ports::ledger::{Ending, Ledger};
use crate::ports::producers::EventSink;
use crate::ports::states::SharedStates;

pub use embed::flights::Flights;
pub use handover::Handover;
pub use tally::{Progress, Tally};

/// What every stage works with.
pub struct Stages {
    /// The record.
    pub ledger: Arc<dyn Ledger>,
    /// The queues.
    pub broker: Arc<dyn Broker>,
    /// The open collections.
    pub catalog: Arc<dyn Catalog>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Bounds of batches.
    pub limits: StageLimits,
    /// What has been done since start.
    pub tally: Tally,
    /// Documents on their way from one stage here to the next.
    pub handover: Handover,
    /// Texts that are being embedded here.
    pub flights: Flights,
    /// What is shared beside the ledger: usage.
    pub states: Arc<dyn SharedStates>,
    /// Where the ends of versions are told; none where nobody can listen.
    pub events: Option<Arc<dyn EventSink>>,
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
pub enum Outcome {
    /// Goes on to another stage.
    HandOn(Stage),
    /// Has ended; `sweep` when vectors of losing versions may be staged.
    Ended {
        /// How.
        ending: Ending,
        /// Whether to look for vectors to remove.
        sweep: bool,
    },
    /// Had ended before this delivery.
    AlreadyEnded,
    /// Did not work.
    Failed(Fault),
}

impl Stages {
    /// Opens a task's collection and checks that the task was made for its epoch.
    async fn open(&self, task: &Task) -> Result<Arc<OpenCollection>, Fault> {
        let key = task.key.collection_key();
        let open = self.catalog.open(&key).await?.ok_or_else(|| {
            Fault::permanent(
                crate::fault::reason::EPOCH_MISMATCH,
                format!("collection '{}' is gone", key.collection),
            )
        })?;
        if open.record.epoch != task.epoch {
            return Err(Fault::permanent(
                crate::fault::reason::EPOCH_MISMATCH,
                "the collection was rebuilt under another epoch since this message was sent",
            ));
        }
        Ok(open)
    }
}

/// Splits tasks into runs of one collection each, in order, as index ranges.
fn runs_by_collection(tasks: &[Task]) -> Vec<std::ops::Range<usize>> {
    let same = |left: &Task, right: &Task| {
        left.key.tenant == right.key.tenant
            && left.key.collection == right.key.collection
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
