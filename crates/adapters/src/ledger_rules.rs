//! Decisions that every ledger takes alike, whatever it stores its records in.

use contexture_core::domain::document::{DocumentDescription, Submission};
use contexture_core::domain::ids::{CollectionId, Epoch, GenerationNumber, Version};
use contexture_core::domain::task::{IngestStage, IngestTask};
use contexture_core::fault::Fault;
use contexture_core::ports::document_ledger::DocumentRecord;
use contexture_core::ports::generations::{BeginBuildOutcome, GenerationRecord, GenerationState};
use contexture_core::ports::ledger::{CollectionRecord, VersionCounts, VersionRecord, VersionState};

/// Whether a submission without a version repeats the latest one, which has the same content. What died is
/// replayed and not submitted again, else every run over a folder would add a letter; a deletion has no other
/// way. What was dropped from the letters is new.
pub(super) fn repeats_latest(latest: VersionState, deletes: bool) -> bool {
    match latest {
        VersionState::Superseded => false,
        VersionState::Dead => !deletes,
        VersionState::Accepted | VersionState::Chunked | VersionState::Embedded | VersionState::Visible => {
            true
        }
    }
}

/// Returns what stands in the way of a build: a live generation of this epoch, or another build. None if the
/// build may begin.
pub(super) fn existing_build<'r>(
    known: impl Iterator<Item = &'r GenerationRecord>,
    epoch: Epoch,
) -> Option<BeginBuildOutcome> {
    let live: Vec<_> = known.filter(|record| record.state != GenerationState::Dropped).collect();
    // Equal epochs mean equal chunk ids and vectors, so a live generation with this one is the same build.
    if let Some(record) = live.iter().find(|record| record.home.epoch == epoch) {
        return Some(BeginBuildOutcome::Known((*record).clone()));
    }
    let building = live.into_iter().find(|record| record.state == GenerationState::Building)?;
    Some(BeginBuildOutcome::Busy(building.clone()))
}

/// Returns the number of the next generation. Dropped generations keep their records, so a number is never
/// reused.
pub(super) fn next_generation<'r>(known: impl Iterator<Item = &'r GenerationRecord>) -> GenerationNumber {
    known.map(|record| record.home.generation).max().unwrap_or(0) + 1
}

/// Returns the stage that a version in this state waits for.
pub(super) fn waiting_stage(state: VersionState, deletes: bool) -> IngestStage {
    match state {
        // A delete has no text, so it goes straight to the index stage.
        VersionState::Accepted if !deletes => IngestStage::Chunk,
        VersionState::Chunked => IngestStage::Embed,
        _ => IngestStage::Index,
    }
}

/// Makes documents of versions: of each its newest, and behind that its visible one where that is another.
pub(super) fn group_by_document(
    versions: impl IntoIterator<Item = (VersionRecord, Option<DocumentDescription>)>,
) -> Vec<DocumentRecord> {
    let mut documents: Vec<DocumentRecord> = Vec::new();
    for (record, description) in versions {
        match documents.last_mut() {
            Some(last) if last.newest.key.document_id == record.key.document_id => {
                last.visible = Some(record);
                // A visible deletion says nothing, so the newest version is described then.
                last.description = description.or(last.description.take());
            }
            _ => {
                let visible = (record.state == VersionState::Visible).then(|| record.clone());
                documents.push(DocumentRecord { newest: record, visible, description });
            }
        }
    }
    documents
}

/// Adds versions in one state to the counts of a collection.
pub(super) fn count_versions(counts: &mut VersionCounts, state: VersionState, deletes: bool, versions: u64) {
    counts.accepted += versions;
    match state {
        VersionState::Accepted | VersionState::Chunked | VersionState::Embedded => {
            counts.in_flight += versions;
        }
        VersionState::Visible => {
            counts.visible += versions;
            // A visible tombstone is a version but not a document.
            counts.documents += if deletes { 0 } else { versions };
        }
        VersionState::Superseded => counts.superseded += versions,
        VersionState::Dead => counts.dead += versions,
    }
}

/// Returns the task of a version that has just been accepted.
pub(super) fn accepted_task(
    submission: &Submission,
    version: Version,
    collection: &CollectionRecord,
    now_ms: u64,
) -> IngestTask {
    IngestTask {
        key: submission.key(version),
        generation: collection.generation,
        epoch: collection.epoch,
        content_hash: submission.content_hash(),
        deletes: submission.deletes(),
        body_bytes: submission.body().len() as u64,
        attempt: 0,
        accepted_ms: now_ms,
        origin: None,
    }
}

/// The fault of a call on a collection that does not exist.
pub(super) fn unknown_collection(name: &CollectionId) -> Fault {
    Fault::permanent("unknown_collection", format!("collection '{name}' does not exist"))
}
