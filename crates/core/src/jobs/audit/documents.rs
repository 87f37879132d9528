//! The first walk: every visible version is in the stores, whole, and the index has no other.

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

/// Looks at the stores beside what the ledger says of these documents; one look each, in order.
pub(super) async fn inspect_documents(
    open: &OpenCollection,
    documents: &[DocumentId],
    standings: &[Vec<VersionRecord>],
) -> Result<Vec<SuspectVerdict>, Fault> {
    let snapshot = open.lexical()?.snapshot();
    let ids = documents.to_vec();
    let read = move || ids.iter().map(|id| snapshot.holding(id)).collect::<Result<Vec<_>, Fault>>();
    let holdings = tokio::task::spawn_blocking(read).await.map_err(Fault::transient)??;
    let home = &open.record;
    let expected: Vec<Vec<ChunkId>> = standings
        .iter()
        .map(|standing| {
            visible_version(standing).map(|record| expected_chunk_ids(home, record)).unwrap_or_default()
        })
        .collect();
    let points = stored_point_owners(open, &expected.concat()).await?;
    let looks =
        standings.iter().zip(holdings).zip(&expected).map(|((standing, holding), expected)| {
            judge_document(home, standing, &holding, expected, &points)
        });
    Ok(looks.collect())
}

/// Whose points of these ids are.
async fn stored_point_owners(
    open: &OpenCollection,
    ids: &[ChunkId],
) -> Result<HashMap<ChunkId, Option<(DocumentId, Version)>>, Fault> {
    let found = if ids.is_empty() { Vec::new() } else { open.vectors.stored(ids).await? };
    Ok(found.into_iter().map(|StoredVectorPoint { id, owner }| (id, owner)).collect())
}

/// The visible version, if there is one.
pub(super) fn visible_version(standing: &[VersionRecord]) -> Option<&VersionRecord> {
    standing.iter().rfind(|record| record.state == VersionState::Visible)
}

/// Whether the head is a version in flight: committed, and the ledger hears of it in a moment.
pub(super) fn is_head_in_flight(standing: &[VersionRecord], holding: &IndexedDocument) -> bool {
    holding.head.as_ref().is_some_and(|head| {
        standing.iter().any(|record| {
            !record.state.is_terminal()
                && record.key.version == head.version
                && record.content_hash == head.content_hash
        })
    })
}

/// The chunks of a version in a generation.
pub(super) fn expected_chunk_ids(home: &CollectionRecord, record: &VersionRecord) -> Vec<ChunkId> {
    let count = if record.deletes { 0 } else { record.chunk_count.unwrap_or(0) };
    (0..count)
        .map(|ordinal| ChunkId::derive(&home.epoch, &record.key, &record.content_hash, ordinal))
        .collect()
}

fn judge_document(
    home: &CollectionRecord,
    standing: &[VersionRecord],
    holding: &IndexedDocument,
    expected: &[ChunkId],
    points: &HashMap<ChunkId, Option<(DocumentId, Version)>>,
) -> SuspectVerdict {
    // Without a visible version it is the second walk's.
    let Some(record) = visible_version(standing) else { return SuspectVerdict::Fine };
    if is_head_in_flight(standing, holding) {
        return SuspectVerdict::Moving;
    }
    let index = index_severity(home, record, holding, expected);
    let vectors = vector_severity(record, expected, points);
    let Some(kind) = index.max(vectors) else { return SuspectVerdict::Fine };
    let wanted = VersionToRestore {
        task: indexing_task(home, record),
        index: index.is_some(),
        vectors: vectors.is_some(),
    };
    SuspectVerdict::Wrong(AuditFinding::Document(kind.kind(), wanted))
}

/// Kinds by gravity: what serves the wrong text counts before what serves none.
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
    holding: &IndexedDocument,
    expected: &[ChunkId],
) -> Option<FindingSeverity> {
    let Some(head) = &holding.head else { return Some(FindingSeverity::Missing) };
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
    let in_index: HashSet<&ChunkId> = holding.chunks.iter().collect();
    if expected.iter().any(|id| !in_index.contains(id)) {
        return Some(FindingSeverity::Missing);
    }
    (holding.chunks.len() > expected.len()).then_some(FindingSeverity::Drift)
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
    let wrong = expected.iter().filter_map(|id| match points.get(id) {
        None => Some(FindingSeverity::Missing),
        Some(owner) if !is_its_own(owner) => Some(FindingSeverity::Drift),
        Some(_) => None,
    });
    wrong.max()
}

/// The task that had made it visible.
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
