//! Prepares visible documents for another generation: chunk, embed, stage vectors, store spans.
//!
//! This is the work of the stages without messages. Spans are stored last: stored spans imply staged
//! vectors, so a crash in between only repeats work. A version that was superseded meanwhile gets no
//! spans, and its vectors are deleted at once. A version that is superseded later is swept like any
//! loser, because the ledger knows its spans. Cached embeddings cost no call.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::ids::ChunkId;
use crate::domain::task::IngestTask;
use crate::fault::{FailureReason, Fault, reason};
use crate::ports::catalog::OpenCollection;
use crate::ports::extractor::DocumentExtractor;
use crate::ports::generations::GenerationBuildFailure;
use crate::ports::ledger::{StoredBody, VersionState};

use super::chunk::stage::{chunk_stored_body, fault_from_join_error, matches_accepted_hash};
use super::chunked_document_cache::ChunkedDocument;
use super::embed::{self, DocumentToEmbed};
use super::usage::ModelUsage;
use super::{IngestCounters, StageResources};

/// Result of preparing documents.
#[derive(Debug, Default)]
pub struct PreparedDocuments {
    /// Number of prepared documents.
    pub documents: u64,
    /// Indices of tasks that are neither prepared nor permanently failed, and why.
    pub postponed: Vec<(usize, Fault)>,
    /// Calls, texts and tokens of the model.
    pub spent: ModelUsage,
}

/// Prepares visible documents for the generation `open`, to which the tasks belong. It counts in
/// `counters`, so that a build is not reported as live work. Once `stop` is true, no call begins.
pub async fn prepare_visible_documents(
    stages: &StageResources,
    open: &Arc<OpenCollection>,
    tasks: &[IngestTask],
    counters: &IngestCounters,
    stop: &watch::Receiver<bool>,
) -> Result<PreparedDocuments, Fault> {
    open.check_accepts_documents()?;
    let generation = open.record.generation;
    let mut failures = Vec::new();
    let mut ready = Vec::with_capacity(tasks.len());
    for (index, cut) in chunk_visible_documents(stages, open, tasks).await?.into_iter().enumerate() {
        match cut {
            PreparationCut::Whole(document) => ready.push(DocumentToEmbed { index, document }),
            PreparationCut::Failed(reason) => {
                failures.push(GenerationBuildFailure { key: tasks[index].key.clone(), reason });
            }
            PreparationCut::Gone => {}
        }
    }
    let embed::StagingResult { failed, spent } =
        embed::stage_documents(stages, open, tasks, &ready, counters, stop).await?;
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
    // Vectors are staged; from here on spans may be stored. The ledger stores them only for versions
    // that are still visible, and says for which.
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

/// Result of chunking one document.
enum PreparationCut {
    Whole(Arc<ChunkedDocument>),
    Failed(FailureReason),
    /// The version is not visible any more.
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
    let extractor = stages.extractor.clone();
    let tasks = tasks.to_vec();
    let cut_all = move || {
        tasks
            .iter()
            .zip(bodies)
            .map(|(task, body)| chunk_visible_document(&open, &*extractor, chunks_max, task, body))
            .collect()
    };
    tokio::task::spawn_blocking(cut_all).await.map_err(fault_from_join_error)?
}

/// Cuts one document. A fault that is not the document's ends the whole page, which is tried again.
fn chunk_visible_document(
    open: &OpenCollection,
    extractor: &dyn DocumentExtractor,
    chunks_max: usize,
    task: &IngestTask,
    body: Option<StoredBody>,
) -> Result<PreparationCut, Fault> {
    let Some(stored) = body.filter(|stored| stored.state == VersionState::Visible) else {
        return Ok(PreparationCut::Gone);
    };
    if !matches_accepted_hash(task, &stored) {
        let detail = "the stored body does not match the hash it was accepted with";
        return Ok(PreparationCut::Failed(FailureReason::new(reason::BODY_CORRUPT, detail)));
    }
    match chunk_stored_body(open, extractor, chunks_max, task, &stored) {
        Ok(document) => Ok(PreparationCut::Whole(Arc::new(document))),
        Err(Fault::Permanent(reason)) => Ok(PreparationCut::Failed(reason)),
        Err(other) => Err(other),
    }
}

fn document_chunk_ids(task: &IngestTask, document: &ChunkedDocument) -> impl Iterator<Item = ChunkId> {
    let count = u32::try_from(document.spans.len()).unwrap_or(u32::MAX);
    (0..count).map(|ordinal| ChunkId::derive(&task.epoch, &task.key, &task.content_hash, ordinal))
}
