//! Restores visible documents in stores that lost data, from the ledger, as the stages wrote them.
//!
//! A restore decides nothing new: it writes the version that is visible in the ledger, and leaves a
//! version that was overtaken meanwhile to the stages. Vectors are staged before the commit, as in the
//! stages. Vectors of a version that lost while they were staged are deleted here, because its sweep
//! may be over. Cached embeddings cost no call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::ids::{ChunkId, DocumentId, VersionKey};
use crate::domain::task::{IngestStage, IngestTask};
use crate::fault::Fault;
use crate::ports::catalog::OpenCollection;
use crate::ports::ledger::{VersionRecord, VersionState};
use crate::resilience::retry;

use super::chunked_document_cache::ChunkedDocument;
use super::document_reader::{self, FoundDocuments};
use super::document_writes::{build_writes, indices_with_document};
use super::embed::{DocumentToEmbed, stage_documents};
use super::log_follower::read_visible_document;
use super::{IngestCounters, StageResources, TaskOutcome, tasks_within_bytes};

/// Attempts to embed a document before it counts as failed. Waiting for a throttling provider counts
/// as none.
const STAGING_TRIES_MAX: u32 = 3;

/// A visible version of which a store lacks data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionToRestore {
    /// The version.
    pub task: IngestTask,
    /// Whether to commit its head and chunks.
    pub index: bool,
    /// Whether to stage its vectors.
    pub vectors: bool,
}

/// Restores versions; returns those that cannot be restored, and why.
pub async fn restore_versions(
    stages: &StageResources,
    open: &OpenCollection,
    wanted: &[VersionToRestore],
) -> Result<Vec<(VersionKey, Fault)>, Fault> {
    let mut failed = Vec::new();
    let mut rest = wanted;
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(tasks_within_bytes(
            rest.iter().map(|one| &one.task),
            stages.limits.batch_body_bytes_max,
        ));
        failed.extend(restore_batch(stages, open, batch).await?);
        rest = later;
    }
    Ok(failed)
}

async fn restore_batch(
    stages: &StageResources,
    open: &OpenCollection,
    wanted: &[VersionToRestore],
) -> Result<Vec<(VersionKey, Fault)>, Fault> {
    let tasks: Vec<IngestTask> = wanted.iter().map(|wanted| wanted.task.clone()).collect();
    let all: Vec<usize> = (0..tasks.len()).collect();
    let mut found = document_reader::read_stored_documents(
        stages,
        &tasks,
        &indices_with_document(&tasks, &all),
        read_visible_document,
    )
    .await?;
    let mut failed = take_unreadable(&mut found);
    let ready =
        |index: usize, document: &Arc<ChunkedDocument>| DocumentToEmbed { index, document: document.clone() };
    let embedded: Vec<DocumentToEmbed> = found
        .iter()
        .filter(|(index, _)| wanted[**index].vectors)
        .filter_map(|(index, document)| Some(ready(*index, document.as_ref().ok()?)))
        .collect();
    failed.extend(stage_vectors(stages, open, &tasks, &embedded).await?);
    remove_superseded_vectors(stages, open, &tasks, &embedded).await?;
    let committed: Vec<usize> =
        all.into_iter().filter(|index| wanted[*index].index && !failed.contains_key(index)).collect();
    commit_visible_versions(stages, open, &tasks, committed, found).await?;
    Ok(failed.into_iter().map(|(index, fault)| (tasks[index].key.clone(), fault)).collect())
}

/// Removes documents that the ledger cannot provide and returns their faults. An overtaken version is
/// no failure.
fn take_unreadable(found: &mut FoundDocuments) -> BTreeMap<usize, Fault> {
    let mut failed = BTreeMap::new();
    found.retain(|index, document| {
        match document {
            Ok(_) => return true,
            Err(TaskOutcome::Failed(fault)) => drop(failed.insert(*index, fault.clone())),
            Err(TaskOutcome::HandOn(IngestStage::Chunk)) => {
                let detail = "its spans are not stored, so it has to be submitted again";
                failed.insert(*index, Fault::permanent("spans_missing", detail));
            }
            Err(_) => {}
        }
        false
    });
    failed
}

/// Stages vectors. It waits while a provider throttles.
async fn stage_vectors(
    stages: &StageResources,
    open: &OpenCollection,
    tasks: &[IngestTask],
    ready: &[DocumentToEmbed],
) -> Result<BTreeMap<usize, Fault>, Fault> {
    let mut failed = BTreeMap::new();
    let mut left: Vec<DocumentToEmbed> = ready
        .iter()
        .map(|ready| DocumentToEmbed { index: ready.index, document: ready.document.clone() })
        .collect();
    let mut tries = 1;
    // A repair is cancelled by dropping its future, so nothing ever sets this signal. The sender is
    // kept so that the receiver does not see a closed channel.
    let (_going_on, stop) = watch::channel(false);
    while !left.is_empty() {
        let mut wait = Duration::ZERO;
        let without =
            stage_documents(stages, open, tasks, &left, &IngestCounters::default(), &stop).await?.failed;
        left.retain(|ready| match without.get(&ready.index) {
            None => false,
            Some(Fault::Throttled { retry_after, .. }) => {
                wait = wait.max(*retry_after);
                true
            }
            Some(Fault::Transient(_)) if tries < STAGING_TRIES_MAX => true,
            Some(fault) => {
                failed.insert(ready.index, fault.clone());
                false
            }
        });
        if left.is_empty() {
            break;
        }
        // Waiting as a provider asked costs no attempt.
        if wait.is_zero() {
            wait = retry::reopen_delay(tries);
            tries += 1;
        }
        tokio::time::sleep(wait).await;
    }
    Ok(failed)
}

/// Deletes the vectors of versions that lost while they were staged.
async fn remove_superseded_vectors(
    stages: &StageResources,
    open: &OpenCollection,
    tasks: &[IngestTask],
    embedded: &[DocumentToEmbed],
) -> Result<(), Fault> {
    let indexes: Vec<usize> = embedded.iter().map(|ready| ready.index).collect();
    let standings = read_version_standings(stages, open, tasks, &indexes).await?;
    let lost = embedded
        .iter()
        .zip(&standings)
        .filter(|(ready, standing)| !is_visible_version(standing, &tasks[ready.index]));
    let ids = lost.flat_map(|(ready, _)| {
        let task = &tasks[ready.index];
        let count = u32::try_from(ready.document.spans.len()).unwrap_or(u32::MAX);
        (0..count).map(|ordinal| ChunkId::derive(&task.epoch, &task.key, &task.content_hash, ordinal))
    });
    open.vectors.delete(ids.collect()).await
}

/// Commits the versions that are still visible.
async fn commit_visible_versions(
    stages: &StageResources,
    open: &OpenCollection,
    tasks: &[IngestTask],
    committed: Vec<usize>,
    mut found: FoundDocuments,
) -> Result<(), Fault> {
    if committed.is_empty() {
        return Ok(());
    }
    let lexical = open.lexical()?;
    // Held from reading the ledger to the commit: no newer version can be committed in between and then
    // be overwritten.
    let _writing = open.writing.lock().await;
    let standings = read_version_standings(stages, open, tasks, &committed).await?;
    let snapshot = lexical.snapshot();
    let mut applied = Vec::with_capacity(committed.len());
    for (index, standing) in committed.into_iter().zip(&standings) {
        let task = &tasks[index];
        let head = snapshot.head(&task.key.document_id)?;
        // The index stage has committed another version, and the ledger does not know yet.
        let on_its_way = head.is_some_and(|head| {
            standing.iter().any(|record| !record.state.is_terminal() && record.key.version == head.version)
        });
        if is_visible_version(standing, task) && !on_its_way && (task.deletes || found.contains_key(&index)) {
            applied.push(index);
        }
    }
    found.retain(|index, _| applied.contains(index));
    let (writes, _) = build_writes(tasks, &applied, found).await?;
    if writes.is_empty() {
        return Ok(());
    }
    lexical.commit(writes, open.log_position()).await
}

async fn read_version_standings(
    stages: &StageResources,
    open: &OpenCollection,
    tasks: &[IngestTask],
    indexes: &[usize],
) -> Result<Vec<Vec<VersionRecord>>, Fault> {
    let ids: Vec<DocumentId> = indexes.iter().map(|index| tasks[*index].key.document_id.clone()).collect();
    stages.ledger.versions_in_stores(&open.record.key, open.record.generation, &ids).await
}

/// Whether the task's version is the visible one.
fn is_visible_version(standing: &[VersionRecord], task: &IngestTask) -> bool {
    standing.iter().any(|record| {
        record.state == VersionState::Visible
            && record.key.version == task.key.version
            && record.content_hash == task.content_hash
    })
}
