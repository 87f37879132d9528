//! The index stage: everything of many documents to one commit.
//!
//! The fence is decided here for good, by the single writer, against committed heads and
//! against other versions in the same batch. The commit is durable before anything is
//! answered; the acknowledgement and the sweep of losers' vectors come after it.

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt;

use crate::domain::chunk::Chunk;
use crate::domain::document::{DocumentAcl, DocumentHead};
use crate::domain::ids::{ChunkId, ContentHash, DocumentId, Version};
use crate::domain::task::{IngestStage, IngestTask};
use crate::domain::version_fence::{FenceDecision, check_version_fence};
use crate::fault::{FailureReason, Fault, reason};
use crate::ports::catalog::OpenCollection;
use crate::ports::ledger::VersionOutcome;
use crate::ports::lexical::{DocumentWrite, LexicalSnapshot};

use super::chunk::stage::fault_from_join_error;
use super::chunked_document_cache::ChunkedDocument;
use super::document_reader::{self, FoundDocuments};
use super::{StageResources, TaskOutcome, log_follower};

/// Commits each task's document; one outcome each, in order.
pub async fn index_batch(stages: &StageResources, tasks: &[IngestTask]) -> Vec<TaskOutcome> {
    stages
        .by_collection(tasks, |stages, open, tasks| index_collection_batch(stages, open, tasks).boxed())
        .await
}

async fn index_collection_batch(
    stages: &StageResources,
    open: Arc<OpenCollection>,
    tasks: &[IngestTask],
) -> Result<Vec<TaskOutcome>, Fault> {
    let lexical = open.lexical()?;
    let _writing = open.writing.lock().await;
    if stages.replicas {
        log_follower::catch_up_with_log(stages, &open).await?;
    }
    let verdicts = decide_fence(&*lexical.snapshot(), tasks)?;
    let applied: Vec<usize> =
        (0..tasks.len()).filter(|index| verdicts[*index].0 == FenceDecision::Apply).collect();
    let found =
        document_reader::read_documents_in_flight(stages, tasks, &indices_with_document(tasks, &applied))
            .await?;
    let (writes, mut refused) = build_writes(tasks, &applied, found).await?;
    if !writes.is_empty() {
        let chunks: usize = writes.iter().map(|write| write.chunks.len()).sum();
        lexical.commit(writes, open.followed()).await?;
        stages.tally.committed(chunks as u64);
        stages.meter.committed(chunks as u64);
    }
    let generation = open.record.generation;
    let outcomes = verdicts.into_iter().enumerate().map(|(index, (verdict, replaces))| {
        refused.remove(&index).unwrap_or_else(|| match verdict {
            FenceDecision::Apply => {
                TaskOutcome::Ended { ending: VersionOutcome::Visible(generation), sweep: replaces }
            }
            FenceDecision::Duplicate => {
                TaskOutcome::Ended { ending: VersionOutcome::Visible(generation), sweep: true }
            }
            FenceDecision::Superseded => {
                TaskOutcome::Ended { ending: VersionOutcome::Superseded, sweep: true }
            }
            FenceDecision::Conflict => {
                let reason =
                    FailureReason::new(reason::CONFLICT, "the same version was committed with other content");
                TaskOutcome::Ended { ending: VersionOutcome::Dead(IngestStage::Index, reason), sweep: true }
            }
        })
    });
    Ok(outcomes.collect())
}

/// One verdict per task, and whether it replaces a committed version.
fn decide_fence(
    snapshot: &dyn LexicalSnapshot,
    tasks: &[IngestTask],
) -> Result<Vec<(FenceDecision, bool)>, Fault> {
    let mut best: HashMap<&DocumentId, (Version, ContentHash)> = HashMap::new();
    let mut committed: HashMap<&DocumentId, Option<(Version, ContentHash)>> = HashMap::new();
    for task in tasks {
        let document_id = &task.key.document_id;
        if !committed.contains_key(document_id) {
            let head = snapshot.head(document_id)?.map(|head| (head.version, head.content_hash));
            committed.insert(document_id, head);
        }
        let candidate = (task.key.version, task.content_hash);
        best.entry(document_id)
            .and_modify(|best| {
                if candidate.0 > best.0 {
                    *best = candidate;
                }
            })
            .or_insert(candidate);
    }
    let mut taken: HashMap<&DocumentId, bool> = HashMap::new();
    let verdicts = tasks.iter().map(|task| {
        let document_id = &task.key.document_id;
        let (version, content) = (task.key.version, task.content_hash);
        let head = committed[document_id];
        let verdict = match check_version_fence(head, version, content) {
            FenceDecision::Apply => match check_version_fence(Some(best[document_id]), version, content) {
                // The highest of this batch applies, once; its copies are duplicates of it.
                FenceDecision::Duplicate if taken.insert(document_id, true).is_none() => FenceDecision::Apply,
                other => other,
            },
            other => other,
        };
        (verdict, head.is_some())
    });
    Ok(verdicts.collect())
}

/// The writes of the tasks at `applied`, with the documents `found` for them; an outcome instead
/// for a task that cannot be written.
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
    jobs.sort_unstable_by_key(|(index, ..)| *index);
    let build = move || jobs.iter().map(|(_, task, document)| document_write(task, document)).collect();
    let mut writes: Vec<_> = tokio::task::spawn_blocking(build).await.map_err(fault_from_join_error)?;
    let deletes = applied.iter().map(|index| &tasks[*index]).filter(|task| task.deletes);
    writes.extend(deletes.map(|task| write_without_chunks(task, true)));
    Ok((writes, refused))
}

/// Those of the tasks at `applied` that have a document.
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
        text: text.text[span.span.start..span.span.end].to_owned(),
        description: description.clone(),
    });
    DocumentWrite { head, chunks: chunks.collect() }
}

/// The head of a version without chunks: a tombstone, or one that its generation cannot have.
pub(super) fn write_without_chunks(task: &IngestTask, deleted: bool) -> DocumentWrite {
    let head = DocumentHead {
        document_id: task.key.document_id.clone(),
        version: task.key.version,
        content_hash: task.content_hash,
        epoch: task.epoch,
        chunk_count: 0,
        acl: DocumentAcl::Groups(std::collections::BTreeSet::new()),
        deleted,
    };
    DocumentWrite { head, chunks: Vec::new() }
}
