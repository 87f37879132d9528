//! Documents that are visible already, prepared for another generation: cut, embedded, staged.
//!
//! The stages' work without messages. The spans are stored last: where they stand, the vectors are
//! staged, so a crash in between only repeats work. A version that was superseded meanwhile gets no
//! spans, and its vectors are taken back at once; one that is superseded later is swept like any
//! loser, because its spans tell of them. Texts whose embedding is known cost no call.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::ids::ChunkId;
use crate::domain::task::Task;
use crate::fault::{Fault, Reason, reason};
use crate::ports::catalog::OpenCollection;
use crate::ports::generations::BuildFailure;
use crate::ports::ledger::{State, StoredBody};

use super::chunk::stage::{cut_stored, is_sound, panicked};
use super::embed::{self, Ready};
use super::handover::CutDocument;
use super::usage::Usage;
use super::{Stages, Tally};

/// What became of documents that were to be prepared.
#[derive(Debug, Default)]
pub struct Prepared {
    /// How many are.
    pub documents: u64,
    /// Places of those that are neither prepared nor failed for good, and why.
    pub postponed: Vec<(usize, Fault)>,
    /// What was asked of the model.
    pub spent: Usage,
}

/// Prepares visible documents for the generation that is open; their tasks are of it.
/// Counts in `tally`, so that what is embedded for a build is not taken for live documents'. Once
/// `stop` is true, no call begins any more.
pub async fn run(
    stages: &Stages,
    open: &Arc<OpenCollection>,
    tasks: &[Task],
    tally: &Tally,
    stop: &watch::Receiver<bool>,
) -> Result<Prepared, Fault> {
    open.takes_in()?;
    let generation = open.record.generation;
    let mut failures = Vec::new();
    let mut ready = Vec::with_capacity(tasks.len());
    for (index, cut) in cut(stages, open, tasks).await?.into_iter().enumerate() {
        match cut {
            Cut::Whole(document) => ready.push(Ready { index, document }),
            Cut::Failed(reason) => failures.push(BuildFailure { key: tasks[index].key.clone(), reason }),
            Cut::Gone => {}
        }
    }
    let embed::Staged { failed, spent } =
        embed::stage_documents(stages, open, tasks, &ready, tally, stop).await?;
    let mut done = Prepared { spent, ..Prepared::default() };
    for (index, fault) in &failed {
        match fault {
            Fault::Permanent(reason) => {
                failures.push(BuildFailure { key: tasks[*index].key.clone(), reason: reason.clone() });
            }
            other => done.postponed.push((*index, other.clone())),
        }
    }
    ready.retain(|ready| !failed.contains_key(&ready.index));
    let spans = ready.iter().map(|ready| (tasks[ready.index].key.clone(), ready.document.spans.clone()));
    let stored = stages.ledger.prepared(generation, spans.collect()).await?;
    stages.ledger.fail_preparing(generation, failures).await?;
    let overtaken = ready.iter().zip(&stored).filter(|(_, stored)| !**stored);
    let ids: Vec<ChunkId> =
        overtaken.flat_map(|(ready, _)| chunk_ids(&tasks[ready.index], &ready.document)).collect();
    if !ids.is_empty() {
        open.vectors.delete(ids).await?;
    }
    done.documents = stored.iter().filter(|stored| **stored).count() as u64;
    Ok(done)
}

/// A document on its way into a generation.
enum Cut {
    Whole(Arc<CutDocument>),
    Failed(Reason),
    /// Not visible any more.
    Gone,
}

async fn cut(stages: &Stages, open: &Arc<OpenCollection>, tasks: &[Task]) -> Result<Vec<Cut>, Fault> {
    let keys: Vec<_> = tasks.iter().map(|task| task.key.clone()).collect();
    let bodies = stages.ledger.bodies(&keys).await?;
    let (open, chunks_max) = (open.clone(), stages.limits.chunks_per_document_max);
    let tasks = tasks.to_vec();
    let cut_all =
        move || tasks.iter().zip(bodies).map(|(task, body)| cut_one(&open, chunks_max, task, body)).collect();
    tokio::task::spawn_blocking(cut_all).await.map_err(panicked)
}

fn cut_one(open: &OpenCollection, chunks_max: usize, task: &Task, body: Option<StoredBody>) -> Cut {
    let Some(stored) = body.filter(|stored| stored.state == State::Visible) else { return Cut::Gone };
    if !is_sound(task, &stored) {
        let detail = "the stored body does not match the hash it was accepted with";
        return Cut::Failed(Reason::new(reason::BODY_CORRUPT, detail));
    }
    match cut_stored(open, chunks_max, task, stored) {
        Ok(document) => Cut::Whole(Arc::new(document)),
        Err(reason) => Cut::Failed(reason),
    }
}

fn chunk_ids(task: &Task, document: &CutDocument) -> impl Iterator<Item = ChunkId> {
    let count = u32::try_from(document.spans.len()).unwrap_or(u32::MAX);
    (0..count).map(|ordinal| ChunkId::derive(&task.epoch, &task.key, &task.content_hash, ordinal))
}
