//! Index writes: chunked documents to heads and chunks.
//!
//! The index stage, the log follower and the restore build their commits here, so all of them write
//! a version in the same form.

use std::collections::HashMap;

use crate::domain::chunk::Chunk;
use crate::domain::document::{DocumentAcl, DocumentHead};
use crate::domain::ids::ChunkId;
use crate::domain::task::IngestTask;
use crate::fault::Fault;
use crate::ports::lexical::DocumentWrite;

use super::TaskOutcome;
use super::chunk::stage::fault_from_join_error;
use super::chunked_document_cache::ChunkedDocument;
use super::document_reader::FoundDocuments;

/// Builds the writes of the tasks at `applied` from the documents `found` for them. Returns an outcome
/// for each task that cannot be written.
pub(super) async fn build_writes(
    tasks: &[IngestTask],
    applied: &[usize],
    found: FoundDocuments,
) -> Result<(Vec<DocumentWrite>, HashMap<usize, TaskOutcome>), Fault> {
    let mut refused = HashMap::new();
    let mut jobs = Vec::with_capacity(found.len());
    for (index, document) in found {
        match document {
            Ok(document) => jobs.push((index, tasks[index].clone(), document)),
            Err(outcome) => drop(refused.insert(index, outcome)),
        }
    }
    // The map iterates in random order; the commit must be the same on every run.
    jobs.sort_unstable_by_key(|(index, ..)| *index);
    let build = move || jobs.iter().map(|(_, task, document)| document_write(task, document)).collect();
    let mut writes: Vec<_> = tokio::task::spawn_blocking(build).await.map_err(fault_from_join_error)?;
    let deletes = applied.iter().map(|index| &tasks[*index]).filter(|task| task.deletes);
    writes.extend(deletes.map(|task| write_without_chunks(task, true)));
    Ok((writes, refused))
}

/// Returns those of `applied` whose task has a document; a delete has none.
pub(super) fn indices_with_document(tasks: &[IngestTask], applied: &[usize]) -> Vec<usize> {
    applied.iter().copied().filter(|index| !tasks[*index].deletes).collect()
}

fn document_write(task: &IngestTask, document: &ChunkedDocument) -> DocumentWrite {
    let ChunkedDocument { text, description, spans } = document;
    let chunk_count = u32::try_from(spans.len()).unwrap_or(u32::MAX);
    let head = DocumentHead {
        document_id: task.key.document_id.clone(),
        version: task.key.version,
        content_hash: task.content_hash,
        epoch: task.epoch,
        chunk_count,
        acl: description.acl.clone(),
        deleted: false,
    };
    let chunks = (0_u32..).zip(spans).map(|(ordinal, span)| Chunk {
        id: ChunkId::derive(&task.epoch, &task.key, &task.content_hash, ordinal),
        document_id: task.key.document_id.clone(),
        version: task.key.version,
        ordinal,
        chunk_count,
        span: span.span,
        heading: span.heading.clone(),
        embed_tokens: span.embed_tokens,
        open_fence: span.open_fence.clone(),
        source: Some(text.source_excerpt(span.span)),
        text: text.text[span.span.start..span.span.end].to_owned(),
        description: description.clone(),
    });
    DocumentWrite { head, chunks: chunks.collect() }
}

/// Builds a head without chunks: a tombstone, or a version that failed to prepare for its generation.
pub(super) fn write_without_chunks(task: &IngestTask, deleted: bool) -> DocumentWrite {
    let head = DocumentHead {
        document_id: task.key.document_id.clone(),
        version: task.key.version,
        content_hash: task.content_hash,
        epoch: task.epoch,
        chunk_count: 0,
        // The empty set of groups: nobody may read a version without text.
        acl: DocumentAcl::Groups(std::collections::BTreeSet::new()),
        deleted,
    };
    DocumentWrite { head, chunks: Vec::new() }
}
