//! Reads documents for a stage: from the cache of this process, or from the ledger.

use std::collections::HashMap;
use std::sync::Arc;

use super::chunk::stage::{check_stored_body, decode_stored_body, fault_from_join_error};
use super::chunked_document_cache::ChunkedDocument;
use super::{StageResources, TaskOutcome};
use crate::domain::chunk::ChunkSpan;
use crate::domain::task::{IngestStage, IngestTask};
use crate::fault::Fault;
use crate::ports::extractor::DocumentExtractor;
use crate::ports::ledger::StoredBody;

/// Documents by the index of their task, or the outcome of a task whose document cannot be read.
pub(super) type FoundDocuments = HashMap<usize, Result<Arc<ChunkedDocument>, TaskOutcome>>;

/// Makes a document of what the ledger holds of a task.
pub(super) type DocumentReadFn =
    fn(&dyn DocumentExtractor, &IngestTask, Option<StoredBody>, Option<Vec<ChunkSpan>>) -> ReadDocument;

/// A document, or the outcome of its task.
pub(super) type ReadDocument = Result<ChunkedDocument, TaskOutcome>;

/// Reads the documents of the tasks at `wanted`, which are in flight.
pub(super) async fn read_documents_in_flight(
    stages: &StageResources,
    tasks: &[IngestTask],
    wanted: &[usize],
) -> Result<FoundDocuments, Fault> {
    let mut found = FoundDocuments::with_capacity(wanted.len());
    let mut missing = Vec::new();
    for index in wanted {
        match stages.chunked_documents.get(&tasks[*index]) {
            Some(document) => drop(found.insert(*index, Ok(document))),
            None => missing.push(*index),
        }
    }
    if !missing.is_empty() {
        found.extend(read_stored_documents(stages, tasks, &missing, read_document_in_flight).await?);
    }
    Ok(found)
}

/// Reads the documents of the tasks at `wanted` from the ledger, with `read`. All tasks are of one
/// generation.
pub(super) async fn read_stored_documents(
    stages: &StageResources,
    tasks: &[IngestTask],
    wanted: &[usize],
    read: DocumentReadFn,
) -> Result<FoundDocuments, Fault> {
    let Some(generation) = wanted.first().map(|index| tasks[*index].generation) else {
        return Ok(FoundDocuments::new());
    };
    let keys: Vec<_> = wanted.iter().map(|index| tasks[*index].key.clone()).collect();
    let (bodies, spans) =
        tokio::try_join!(stages.ledger.bodies(&keys), stages.ledger.spans(generation, &keys))?;
    let jobs: Vec<_> = wanted
        .iter()
        .zip(bodies.into_iter().zip(spans))
        .map(|(index, (body, spans))| (*index, tasks[*index].clone(), body, spans))
        .collect();
    let extractor = stages.extractor.clone();
    let read_all = move || {
        let read = |(index, task, body, spans)| (index, read(&*extractor, &task, body, spans).map(Arc::new));
        jobs.into_iter().map(read).collect()
    };
    tokio::task::spawn_blocking(read_all).await.map_err(fault_from_join_error)
}

/// Reads text and spans of a task in flight.
fn read_document_in_flight(
    extractor: &dyn DocumentExtractor,
    task: &IngestTask,
    body: Option<StoredBody>,
    spans: Option<Vec<ChunkSpan>>,
) -> ReadDocument {
    chunked_document_from_spans(extractor, task, &check_stored_body(task, body)?, spans)
}

/// Combines the text of a checked body with its spans.
pub(super) fn chunked_document_from_spans(
    extractor: &dyn DocumentExtractor,
    task: &IngestTask,
    stored: &StoredBody,
    spans: Option<Vec<ChunkSpan>>,
) -> ReadDocument {
    // Without spans the task goes back to the chunk stage, which stores them again.
    let Some(spans) = spans else {
        return Err(TaskOutcome::HandOn(IngestStage::Chunk));
    };
    let (text, description) = decode_stored_body(extractor, task, stored).map_err(TaskOutcome::Failed)?;
    Ok(ChunkedDocument { text, description, spans })
}
