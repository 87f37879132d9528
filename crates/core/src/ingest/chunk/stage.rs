//! The chunk stage: bodies to stored spans.

use std::sync::Arc;

use futures::FutureExt;

use crate::domain::document::{DocumentDescription, hash_content};
use crate::domain::task::{IngestStage, IngestTask};
use crate::fault::{Fault, reason};
use crate::ingest::chunked_document_cache::ChunkedDocument;
use crate::ingest::{StageResources, TaskOutcome};
use crate::ports::catalog::OpenCollection;
use crate::ports::extractor::DocumentExtractor;
use crate::ports::ledger::{StoredBody, VersionOutcome};

use super::{ChunkLimits, NormalisedText, decode_document, split_document};

/// Splits the body of each task and stores its spans; one outcome each, in order.
pub async fn chunk_batch(stages: &StageResources, tasks: &[IngestTask]) -> Vec<TaskOutcome> {
    stages
        .by_collection(tasks, |stages, open, tasks| chunk_collection_batch(stages, open, tasks).boxed())
        .await
}

async fn chunk_collection_batch(
    stages: &StageResources,
    open: Arc<OpenCollection>,
    tasks: &[IngestTask],
) -> Result<Vec<TaskOutcome>, Fault> {
    let generation = open.record.generation;
    let keys: Vec<_> = tasks.iter().map(|task| task.key.clone()).collect();
    let bodies = stages.ledger.bodies(&keys).await?;
    let chunks_max = stages.limits.chunks_per_document_max;
    let owned: Vec<IngestTask> = tasks.to_vec();
    let extractor = stages.extractor.clone();
    let cut_all = move || -> Vec<Result<ChunkedDocument, TaskOutcome>> {
        let cut = |(task, body)| chunk_task_body(&open, &*extractor, chunks_max, task, body);
        owned.iter().zip(bodies).map(cut).collect()
    };
    // Chunking takes milliseconds to seconds of CPU, too long for the runtime's threads.
    let cuts = tokio::task::spawn_blocking(cut_all).await.map_err(fault_from_join_error)?;
    let mut outcomes = Vec::with_capacity(keys.len());
    let mut spans = Vec::with_capacity(keys.len());
    let mut documents = Vec::with_capacity(keys.len());
    for ((key, task), cut) in keys.into_iter().zip(tasks).zip(cuts) {
        outcomes.push(match cut {
            Ok(document) => {
                spans.push((key, document.spans.clone()));
                documents.push((task, document));
                TaskOutcome::HandOn(IngestStage::Embed)
            }
            Err(outcome) => outcome,
        });
    }
    if !spans.is_empty() {
        stages.ledger.store_spans(generation, spans).await?;
    }
    // Cached only now: a later stage must not find a document whose spans the ledger does not have.
    for (task, document) in documents {
        stages.chunked_documents.keep(task, document);
    }
    Ok(outcomes)
}

fn chunk_task_body(
    open: &OpenCollection,
    extractor: &dyn DocumentExtractor,
    chunks_max: usize,
    task: &IngestTask,
    body: Option<StoredBody>,
) -> Result<ChunkedDocument, TaskOutcome> {
    let stored = check_stored_body(task, body)?;
    let ended = |fault| match fault {
        Fault::Permanent(reason) => {
            TaskOutcome::Ended { ending: VersionOutcome::Dead(IngestStage::Chunk, reason), sweep: false }
        }
        other => TaskOutcome::Failed(other),
    };
    chunk_stored_body(open, extractor, chunks_max, task, stored).map_err(ended)
}

/// Decodes a stored body and splits it with the chunk sizes of a generation.
pub(in crate::ingest) fn chunk_stored_body(
    open: &OpenCollection,
    extractor: &dyn DocumentExtractor,
    chunks_max: usize,
    task: &IngestTask,
    stored: StoredBody,
) -> Result<ChunkedDocument, Fault> {
    let (text, description) = decode_stored_body(extractor, task, stored)?;
    let limits = ChunkLimits {
        tokens_max: open.sizes.tokens_max,
        tokens_target: open.sizes.tokens_target,
        tokens_reserved: open.sizes.tokens_reserved,
        chunks_max,
    };
    let tokenizer = open.embedder.tokenizer();
    let title = description.title.as_deref();
    let spans =
        split_document(open.sizes.chunker, &text, title, &*tokenizer, &limits).map_err(Fault::Permanent)?;
    Ok(ChunkedDocument { text, description, spans })
}

/// Decodes a checked body. Returns its text and description, with the title found in the text if the producer
/// gave none.
pub(in crate::ingest) fn decode_stored_body(
    extractor: &dyn DocumentExtractor,
    task: &IngestTask,
    stored: StoredBody,
) -> Result<(NormalisedText, DocumentDescription), Fault> {
    let StoredBody { body, mut description, .. } = stored;
    let id = task.key.document_id.as_str();
    let text = decode_document(&body, description.media_type.as_deref(), id, extractor)?;
    for note in &text.notes {
        tracing::info!(document = %task.key.document_id, version = task.key.version.get(), note, "a document was read with losses");
    }
    describe_from_text(&mut description, &text);
    Ok((text, description))
}

/// Adds what a document says about itself to what its producer said, which wins.
pub(in crate::ingest) fn describe_from_text(description: &mut DocumentDescription, text: &NormalisedText) {
    if description.title.is_none() {
        description.title.clone_from(&text.title);
    }
    for (name, value) in text.metadata() {
        description.metadata.insert_missing(name, value);
    }
}

/// Returns the body of a task, unless the version has ended, was overtaken, or is corrupt.
pub(in crate::ingest) fn check_stored_body(
    task: &IngestTask,
    body: Option<StoredBody>,
) -> Result<StoredBody, TaskOutcome> {
    let corrupt = |detail: &str| TaskOutcome::Failed(Fault::permanent(reason::BODY_CORRUPT, detail));
    let Some(stored) = body else {
        return Err(corrupt("the ledger holds no body for this version"));
    };
    if stored.state.is_terminal() {
        return Err(TaskOutcome::AlreadyEnded);
    }
    if stored.overtaken {
        return Err(TaskOutcome::Ended { ending: VersionOutcome::Superseded, sweep: true });
    }
    // The message is of a dropped collection, and this version of the one made again under its name.
    if stored.content_hash != task.content_hash {
        return Err(TaskOutcome::AlreadyEnded);
    }
    if !matches_accepted_hash(task, &stored) {
        return Err(corrupt("the stored body does not match the hash it was accepted with"));
    }
    Ok(stored)
}

/// Whether a stored body has the hash that was accepted.
pub(in crate::ingest) fn matches_accepted_hash(task: &IngestTask, stored: &StoredBody) -> bool {
    hash_content(&stored.description, &stored.body) == task.content_hash
}

/// Resumes the panic of a blocking task, so that the worker can find the task that caused it. A cancelled
/// task is a transient fault.
pub(in crate::ingest) fn fault_from_join_error(error: tokio::task::JoinError) -> Fault {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(cancelled) => Fault::transient_error("cutting documents", cancelled),
    }
}
