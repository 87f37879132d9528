//! The index stage: commits a batch of documents at once.
//!
//! The single writer makes the final decision of the version fence here, against the committed heads
//! and against other versions of the same batch. The commit is durable before the stage returns an
//! outcome. The files inside a document are submitted behind its commit ([`enclosed_documents`]). The
//! acknowledgement and the sweep of losing vectors follow it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::FutureExt;

use crate::domain::ids::{ContentHash, DocumentId, Version};
use crate::domain::task::{IngestStage, IngestTask};
use crate::domain::version_fence::{FenceDecision, check_version_fence};
use crate::fault::{FailureReason, Fault, reason};
use crate::ports::catalog::OpenCollection;
use crate::ports::ledger::VersionOutcome;
use crate::ports::lexical::LexicalSnapshot;

use super::document_reader;
use super::document_writes::{build_writes, indices_with_document};
use super::{StageResources, TaskOutcome, enclosed_documents, log_follower};

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
    // Held from the fence to the commit: no other writer may change a head in between.
    let writing = open.writing.lock().await;
    // The fence must see versions that other processes made visible, or it would accept an older one.
    if stages.replicas {
        log_follower::catch_up_with_log(stages, &open).await?;
    }
    let verdicts = decide_fence(&*lexical.snapshot(), tasks)?;
    let applied: Vec<usize> =
        (0..tasks.len()).filter(|index| verdicts[*index].0 == FenceDecision::Apply).collect();
    let found =
        document_reader::read_documents_in_flight(stages, tasks, &indices_with_document(tasks, &applied))
            .await?;
    let enclosing: HashSet<usize> = found
        .iter()
        .filter(|(_, document)| document.as_ref().is_ok_and(|document| document.text.encloses))
        .map(|(index, _)| *index)
        .collect();
    let (writes, mut refused) = build_writes(tasks, &applied, found).await?;
    if !writes.is_empty() {
        let chunks: usize = writes.iter().map(|write| write.chunks.len()).sum();
        lexical.commit(writes, open.log_position()).await?;
        stages.counters.committed(chunks as u64);
        stages.meter.committed(chunks as u64);
    }
    drop(writing);
    // A document that replaces nothing and has nothing inside has none. A redelivery may have crashed before this.
    let in_question = (0..tasks.len()).filter(|index| !refused.contains_key(index)).filter_map(|index| {
        let encloses = enclosing.contains(&index);
        match verdicts[index] {
            (FenceDecision::Apply, replaces) => (replaces || encloses).then_some((index, encloses)),
            (FenceDecision::Duplicate, _) => Some((index, true)),
            _ => None,
        }
    });
    let in_question = in_question.collect();
    refused.extend(enclosed_documents::keep_in_step(stages, tasks, in_question).await);
    let generation = open.record.generation;
    let outcomes = verdicts.into_iter().enumerate().map(|(index, (verdict, replaces))| {
        refused.remove(&index).unwrap_or_else(|| match verdict {
            FenceDecision::Apply => {
                TaskOutcome::Ended { ending: VersionOutcome::Visible(generation), sweep: replaces }
            }
            // A redelivery after the commit. The first delivery may have crashed before its sweep.
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

/// Returns one decision per task, and whether the task replaces a committed version.
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
                // Only the highest version of a batch applies, and only once; copies of it are duplicates.
                FenceDecision::Duplicate if taken.insert(document_id, true).is_none() => FenceDecision::Apply,
                other => other,
            },
            other => other,
        };
        (verdict, head.is_some())
    });
    Ok(verdicts.collect())
}
