//! Documents that are visible already, prepared for another generation: cut, embedded, staged.
//!
//! The stages' work without messages. The spans are stored last: where they stand, the vectors are
//! staged, so a crash in between only repeats work. A version that was superseded meanwhile gets no
//! spans, and its vectors are taken back at once; one that is superseded later is swept like any
//! loser, because its spans tell of them. Texts whose embedding is known cost no call.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::ids::ChunkId;
use crate::domain::task::IngestTask;
use crate::fault::{FailureReason, Fault, reason};
use crate::ports::catalog::OpenCollection;
use crate::ports::generations::GenerationBuildFailure;
use crate::ports::ledger::{StoredBody, VersionState};

use super::chunk::stage::{chunk_stored_body, fault_from_join_error, matches_accepted_hash};
use super::chunked_document_cache::ChunkedDocument;
use super::embed::{self, DocumentToEmbed};
use super::usage::ModelUsage;
use super::{IngestCounters, StageResources};

/// What became of documents that were to be prepared.
#[derive(Debug, Default)]
pub struct PreparedDocuments {
    /// How many are.
    pub documents: u64,
    /// Places of those that are neither prepared nor failed for good, and why.
    pub postponed: Vec<(usize, Fault)>,
    /// What was asked of the model.
    pub spent: ModelUsage,
}

/// Prepares visible documents for the generation that is open; their tasks are of it.
/// Counts in `tally`, so that what is embedded for a build is not taken for live documents'. Once
/// `stop` is true, no call begins any more.
pub async fn prepare_visible_documents(
    stages: &StageResources,
    open: &Arc<OpenCollection>,
    tasks: &[IngestTask],
    tally: &IngestCounters,
    stop: &watch::Receiver<bool>,
) -> Result<PreparedDocuments, Fault> {
    open.takes_in()?;
    let generation = open.record.generation;
    let mut failures = Vec::new();
    let mut ready = Vec::with_capacity(tasks.len());
    for (index, cut) in chunk_visible_documents(stages, open, tasks).await?.into_iter().enumerate() {
        match cut {
            PreparationCut::Whole(document) => ready.push(DocumentToEmbed { index, document }),
            PreparationCut::Failed(reason) => {
                failures.push(GenerationBuildFailure { key: tasks[index].key.clone(), reason })
            }
            PreparationCut::Gone => {}
        }
    }
    let embed::StagingResult { failed, spent } =
        embed::stage_documents(stages, open, tasks, &ready, tally, stop).await?;
    let mut done = PreparedDocuments { spent, ..PreparedDocuments::default() };
    for (index, fault) in &failed {
        match fault {
            Fault::Permanent(reason) => {
                failures
                    .push(GenerationBuildFailure { key: tasks[*index].key.clone(), reason: reason.clone() });
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
        overtaken.flat_map(|(ready, _)| document_chunk_ids(&tasks[ready.index], &ready.document)).collect();
    if !ids.is_empty() {
        open.vectors.delete(ids).await?;
    }
    done.documents = stored.iter().filter(|stored| **stored).count() as u64;
    Ok(done)
}

/// A document on its way into a generation.
enum PreparationCut {
    Whole(Arc<ChunkedDocument>),
    Failed(FailureReason),
    /// Not visible any more.
    Gone,
}

async fn chunk_visible_documents(
    stages: &StageResources,
    open: &Arc<OpenCollection>,
    tasks: &[IngestTask],
) -> Result<Vec<PreparationCut>, Fault> {
    let keys: Vec<_> = tasks.iter().map(|task| task.key.clone()).collect();
    let bodies = stages.ledger.bodies(&keys).await?;
    let (open, chunks_max) = (open.clone(), stages.limits.chunks_per_document_max);
    let tasks = tasks.to_vec();
    let cut_all = move || {
        tasks
            .iter()
            .zip(bodies)
            .map(|(task, body)| chunk_visible_document(&open, chunks_max, task, body))
            .collect()
    };
    tokio::task::spawn_blocking(cut_all).await.map_err(fault_from_join_error)
}

fn chunk_visible_document(
    open: &OpenCollection,
    chunks_max: usize,
    task: &IngestTask,
    body: Option<StoredBody>,
) -> PreparationCut {
    let Some(stored) = body.filter(|stored| stored.state == VersionState::Visible) else {
        return PreparationCut::Gone;
    };
    if !matches_accepted_hash(task, &stored) {
        let detail = "the stored body does not match the hash it was accepted with";
        return PreparationCut::Failed(FailureReason::new(reason::BODY_CORRUPT, detail));
    }
    match chunk_stored_body(open, chunks_max, task, stored) {
        Ok(document) => PreparationCut::Whole(Arc::new(document)),
        Err(reason) => PreparationCut::Failed(reason),
    }
}

fn document_chunk_ids(task: &IngestTask, document: &ChunkedDocument) -> impl Iterator<Item = ChunkId> {
    let count = u32::try_from(document.spans.len()).unwrap_or(u32::MAX);
    (0..count).map(|ordinal| ChunkId::derive(&task.epoch, &task.key, &task.content_hash, ordinal))
}
