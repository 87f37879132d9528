//! The first walk: every visible version is in the stores, whole, and the index has no other.

use std::collections::{HashMap, HashSet};

use super::report::{Finding, Kind};
use super::suspects::Look;
use crate::domain::ids::{ChunkId, DocumentId, Version};
use crate::domain::task::Task;
use crate::fault::Fault;
use crate::ingest::restore::Wanted;
use crate::ports::catalog::OpenCollection;
use crate::ports::ledger::{CollectionRecord, State, VersionRecord};
use crate::ports::lexical::Holding;
use crate::ports::vectors::StoredPoint;

/// Looks at the stores beside what the ledger says of these documents; one look each, in order.
pub(super) async fn look(
    open: &OpenCollection,
    documents: &[DocumentId],
    standings: &[Vec<VersionRecord>],
) -> Result<Vec<Look>, Fault> {
    let snapshot = open.lexical()?.snapshot();
    let ids = documents.to_vec();
    let read = move || ids.iter().map(|id| snapshot.holding(id)).collect::<Result<Vec<_>, Fault>>();
    let holdings = tokio::task::spawn_blocking(read).await.map_err(Fault::transient)??;
    let home = &open.record;
    let expected: Vec<Vec<ChunkId>> = standings
        .iter()
        .map(|standing| visible(standing).map(|record| chunk_ids(home, record)).unwrap_or_default())
        .collect();
    let points = stored(open, &expected.concat()).await?;
    let looks = standings
        .iter()
        .zip(holdings)
        .zip(&expected)
        .map(|((standing, holding), expected)| judge(home, standing, &holding, expected, &points));
    Ok(looks.collect())
}

/// Whose points of these ids are.
async fn stored(
    open: &OpenCollection,
    ids: &[ChunkId],
) -> Result<HashMap<ChunkId, Option<(DocumentId, Version)>>, Fault> {
    let found = if ids.is_empty() { Vec::new() } else { open.vectors.stored(ids).await? };
    Ok(found.into_iter().map(|StoredPoint { id, owner }| (id, owner)).collect())
}

/// The visible version, if there is one.
pub(super) fn visible(standing: &[VersionRecord]) -> Option<&VersionRecord> {
    standing.iter().rfind(|record| record.state == State::Visible)
}

/// Whether the head is a version in flight: committed, and the ledger hears of it in a moment.
pub(super) fn is_on_its_way(standing: &[VersionRecord], holding: &Holding) -> bool {
    holding.head.as_ref().is_some_and(|head| {
        standing.iter().any(|record| {
            !record.state.is_terminal()
                && record.key.version == head.version
                && record.content_hash == head.content_hash
        })
    })
}

/// The chunks of a version in a generation.
pub(super) fn chunk_ids(home: &CollectionRecord, record: &VersionRecord) -> Vec<ChunkId> {
    let count = if record.deletes { 0 } else { record.chunk_count.unwrap_or(0) };
    (0..count)
        .map(|ordinal| ChunkId::derive(&home.epoch, &record.key, &record.content_hash, ordinal))
        .collect()
}

fn judge(
    home: &CollectionRecord,
    standing: &[VersionRecord],
    holding: &Holding,
    expected: &[ChunkId],
    points: &HashMap<ChunkId, Option<(DocumentId, Version)>>,
) -> Look {
    // Without a visible version it is the second walk's.
    let Some(record) = visible(standing) else { return Look::Fine };
    if is_on_its_way(standing, holding) {
        return Look::Moving;
    }
    let index = of_index(home, record, holding, expected);
    let vectors = of_vectors(record, expected, points);
    let Some(kind) = index.max(vectors) else { return Look::Fine };
    let wanted = Wanted { task: task(home, record), index: index.is_some(), vectors: vectors.is_some() };
    Look::Wrong(Finding::Document(kind.kind(), wanted))
}

/// Kinds by gravity: what serves the wrong text counts before what serves none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gravity {
    Missing,
    Drift,
    Stale,
}

impl Gravity {
    fn kind(self) -> Kind {
        match self {
            Self::Missing => Kind::Missing,
            Self::Drift => Kind::Drift,
            Self::Stale => Kind::Stale,
        }
    }
}

fn of_index(
    home: &CollectionRecord,
    record: &VersionRecord,
    holding: &Holding,
    expected: &[ChunkId],
) -> Option<Gravity> {
    let Some(head) = &holding.head else { return Some(Gravity::Missing) };
    if head.version != record.key.version {
        return Some(Gravity::Stale);
    }
    let as_accepted = head.content_hash == record.content_hash
        && head.epoch == home.epoch
        && head.deleted == record.deletes
        && head.chunk_count as usize == expected.len();
    if !as_accepted {
        return Some(Gravity::Drift);
    }
    let in_index: HashSet<&ChunkId> = holding.chunks.iter().collect();
    if expected.iter().any(|id| !in_index.contains(id)) {
        return Some(Gravity::Missing);
    }
    (holding.chunks.len() > expected.len()).then_some(Gravity::Drift)
}

fn of_vectors(
    record: &VersionRecord,
    expected: &[ChunkId],
    points: &HashMap<ChunkId, Option<(DocumentId, Version)>>,
) -> Option<Gravity> {
    let is_its_own = |owner: &Option<(DocumentId, Version)>| {
        owner.as_ref().is_some_and(|(document_id, version)| {
            *document_id == record.key.document_id && *version == record.key.version
        })
    };
    let wrong = expected.iter().filter_map(|id| match points.get(id) {
        None => Some(Gravity::Missing),
        Some(owner) if !is_its_own(owner) => Some(Gravity::Drift),
        Some(_) => None,
    });
    wrong.max()
}

/// The task that had made it visible.
fn task(home: &CollectionRecord, record: &VersionRecord) -> Task {
    Task {
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
