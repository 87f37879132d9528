//! The first two phases: every visible version is whole in the stores, and the index has nothing else.

use std::collections::{HashMap, HashSet};

use super::report::{AuditFinding, AuditFindingKind};
use super::suspects::SuspectVerdict;
use crate::domain::ids::{ChunkId, DocumentId, Version};
use crate::domain::task::IngestTask;
use crate::fault::Fault;
use crate::ingest::restore::VersionToRestore;
use crate::ports::catalog::OpenCollection;
use crate::ports::ledger::{CollectionRecord, VersionRecord, VersionState};
use crate::ports::lexical::IndexedDocument;
use crate::ports::vectors::StoredVectorPoint;

/// Compares both stores with what the ledger says of these documents. One verdict each, in order.
pub(super) async fn inspect_documents(
    open: &OpenCollection,
    documents: &[DocumentId],
    version_lists: &[Vec<VersionRecord>],
) -> Result<Vec<SuspectVerdict>, Fault> {
    let snapshot = open.lexical()?.snapshot();
    let ids = documents.to_vec();
    let read = move || ids.iter().map(|id| snapshot.holding(id)).collect::<Result<Vec<_>, Fault>>();
    let indexed_documents = tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| Fault::transient_error("reading documents of the index", error))??;
    let home = &open.record;
    let expected: Vec<Vec<ChunkId>> = version_lists
        .iter()
        .map(|versions| {
            visible_version(versions).map(|record| expected_chunk_ids(home, record)).unwrap_or_default()
        })
        .collect();
    // One request for the points of the whole page.
    let points = stored_point_owners(open, &expected.concat()).await?;
    let verdicts =
        version_lists.iter().zip(indexed_documents).zip(&expected).map(|((versions, indexed), expected)| {
            judge_document(home, versions, &indexed, expected, &points)
        });
    Ok(verdicts.collect())
}

/// The owners of the points with these ids. A point that is not stored is left out.
async fn stored_point_owners(
    open: &OpenCollection,
    ids: &[ChunkId],
) -> Result<HashMap<ChunkId, Option<(DocumentId, Version)>>, Fault> {
    let found = if ids.is_empty() { Vec::new() } else { open.vectors.stored(ids).await? };
    Ok(found.into_iter().map(|StoredVectorPoint { id, owner }| (id, owner)).collect())
}

/// The visible version, if there is one.
pub(super) fn visible_version(versions: &[VersionRecord]) -> Option<&VersionRecord> {
    versions.iter().rfind(|record| record.state == VersionState::Visible)
}

/// Whether the head is of a version in flight: it is committed, and the ledger learns of it in a moment.
pub(super) fn is_head_in_flight(versions: &[VersionRecord], indexed: &IndexedDocument) -> bool {
    indexed.head.as_ref().is_some_and(|head| {
        versions.iter().any(|record| {
            !record.state.is_terminal()
                && record.key.version == head.version
                && record.content_hash == head.content_hash
        })
    })
}

/// The ids that the chunks of a version have in a generation. They derive from content and epoch alone.
pub(super) fn expected_chunk_ids(home: &CollectionRecord, record: &VersionRecord) -> Vec<ChunkId> {
    // A deletion has a head and no chunks.
    let count = if record.deletes { 0 } else { record.chunk_count.unwrap_or(0) };
    (0..count)
        .map(|ordinal| ChunkId::derive(&home.epoch, &record.key, &record.content_hash, ordinal))
        .collect()
}

fn judge_document(
    home: &CollectionRecord,
    versions: &[VersionRecord],
    indexed: &IndexedDocument,
    expected: &[ChunkId],
    points: &HashMap<ChunkId, Option<(DocumentId, Version)>>,
) -> SuspectVerdict {
    // The second phase covers documents without a visible version.
    let Some(record) = visible_version(versions) else { return SuspectVerdict::Fine };
    // The index has a newer version than the ledger says. That is right for a moment.
    if is_head_in_flight(versions, indexed) {
        return SuspectVerdict::Moving;
    }
    let index = index_severity(home, record, indexed, expected);
    let vectors = vector_severity(record, expected, points);
    let Some(kind) = index.max(vectors) else { return SuspectVerdict::Fine };
    let wanted = VersionToRestore {
        task: indexing_task(home, record),
        index: index.is_some(),
        vectors: vectors.is_some(),
    };
    SuspectVerdict::Wrong(AuditFinding::Document(kind.kind(), wanted))
}

/// Kinds by severity: serving the wrong text is worse than serving none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum FindingSeverity {
    Missing,
    Drift,
    Stale,
}

impl FindingSeverity {
    fn kind(self) -> AuditFindingKind {
        match self {
            Self::Missing => AuditFindingKind::Missing,
            Self::Drift => AuditFindingKind::Drift,
            Self::Stale => AuditFindingKind::Stale,
        }
    }
}

fn index_severity(
    home: &CollectionRecord,
    record: &VersionRecord,
    indexed: &IndexedDocument,
    expected: &[ChunkId],
) -> Option<FindingSeverity> {
    let Some(head) = &indexed.head else { return Some(FindingSeverity::Missing) };
    if head.version != record.key.version {
        return Some(FindingSeverity::Stale);
    }
    let as_accepted = head.content_hash == record.content_hash
        && head.epoch == home.epoch
        && head.deleted == record.deletes
        && head.chunk_count as usize == expected.len();
    if !as_accepted {
        return Some(FindingSeverity::Drift);
    }
    let in_index: HashSet<&ChunkId> = indexed.chunks.iter().collect();
    if expected.iter().any(|id| !in_index.contains(id)) {
        return Some(FindingSeverity::Missing);
    }
    // All expected chunks are there, so a longer list has others beside them.
    (indexed.chunks.len() > expected.len()).then_some(FindingSeverity::Drift)
}

fn vector_severity(
    record: &VersionRecord,
    expected: &[ChunkId],
    points: &HashMap<ChunkId, Option<(DocumentId, Version)>>,
) -> Option<FindingSeverity> {
    let is_its_own = |owner: &Option<(DocumentId, Version)>| {
        owner.as_ref().is_some_and(|(document_id, version)| {
            *document_id == record.key.document_id && *version == record.key.version
        })
    };
    // The gravest of all points decides.
    let wrong = expected.iter().filter_map(|id| match points.get(id) {
        None => Some(FindingSeverity::Missing),
        Some(owner) if !is_its_own(owner) => Some(FindingSeverity::Drift),
        Some(_) => None,
    });
    wrong.max()
}

/// The task that made the version visible, for indexing it again.
fn indexing_task(home: &CollectionRecord, record: &VersionRecord) -> IngestTask {
    IngestTask {
        key: record.key.clone(),
        generation: home.generation,
        epoch: home.epoch,
        content_hash: record.content_hash,
        deletes: record.deletes,
        body_bytes: record.body_bytes,
        attempt: 0,
        accepted_ms: record.accepted_ms,
        origin: None,
    }
}

/// A page of the documents that the index holds anything of, in order of their ids.
pub(super) async fn read_head_page(
    open: &OpenCollection,
    after: Option<&DocumentId>,
    limit: usize,
) -> Result<Vec<DocumentId>, Fault> {
    let snapshot = open.lexical()?.snapshot();
    let after = after.cloned();
    let read = move || snapshot.held(after.as_ref(), limit);
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| Fault::transient_error("reading documents of the index", error))?
}

/// Compares the index with what the ledger says of these documents. One verdict each, in order.
pub(super) async fn inspect_heads(
    open: &OpenCollection,
    documents: &[DocumentId],
    version_lists: &[Vec<VersionRecord>],
) -> Result<Vec<SuspectVerdict>, Fault> {
    let snapshot = open.lexical()?.snapshot();
    let inspected: Vec<_> = documents.iter().cloned().zip(version_lists.iter().cloned()).collect();
    let read = move || {
        let inspect = |(document_id, versions): &(DocumentId, Vec<VersionRecord>)| {
            // The first phase covers visible documents, whatever is wrong with them.
            if visible_version(versions).is_some() {
                return Ok(SuspectVerdict::Fine);
            }
            let indexed = snapshot.holding(document_id)?;
            Ok(if indexed.head.is_none() && indexed.chunks.is_empty() {
                SuspectVerdict::Fine
            } else if is_head_in_flight(versions, &indexed) {
                SuspectVerdict::Moving
            } else {
                SuspectVerdict::Wrong(AuditFinding::Head(document_id.clone()))
            })
        };
        inspected.iter().map(inspect).collect()
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| Fault::transient_error("reading documents of the index", error))?
}
