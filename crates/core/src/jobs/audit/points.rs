//! The third phase: every stored point belongs to a version that may have points.

use std::collections::{HashMap, HashSet};

use super::documents::expected_chunk_ids;
use super::report::AuditFinding;
use super::suspects::SuspectVerdict;
use crate::domain::ids::{ChunkId, DocumentId};
use crate::fault::Fault;
use crate::ports::catalog::OpenCollection;
use crate::ports::ledger::{VersionRecord, VersionState};
use crate::ports::vectors::StoredVectorPoint;

/// Reads a page of points and keeps those that are no chunk of the index. None at the end.
/// The first phase has checked whether the index has the right chunks.
pub(super) async fn read_point_page(
    open: &OpenCollection,
    after: Option<ChunkId>,
    limit: usize,
) -> Result<Option<UnknownPointPage>, Fault> {
    let points = open.vectors.page(after, limit).await?;
    let Some(last) = points.last().map(|point| point.id) else { return Ok(None) };
    let snapshot = open.lexical()?.snapshot();
    let read = move || {
        let ids: Vec<ChunkId> = points.iter().map(|point| point.id).collect();
        let held = snapshot.holds(&ids)?;
        let count = points.len();
        let unknown = points.into_iter().zip(held).filter_map(|(point, held)| (!held).then_some(point));
        Ok(Some(UnknownPointPage { unknown: unknown.collect(), last, count }))
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| Fault::transient_error("reading chunks of the index", error))?
}

/// Whether the ledger lacks the chunk count of a version that was chunked. Then nobody can say which
/// points are its own; the first phase reports the version.
fn lacks_spans(versions: &[VersionRecord]) -> bool {
    let was_cut =
        |state| matches!(state, VersionState::Chunked | VersionState::Embedded | VersionState::Visible);
    versions.iter().any(|record| !record.deletes && record.chunk_count.is_none() && was_cut(record.state))
}

/// A page of points.
pub(super) struct UnknownPointPage {
    pub(super) unknown: Vec<StoredVectorPoint>,
    pub(super) last: ChunkId,
    pub(super) count: usize,
}

/// Compares these points with what the ledger says of their documents. One verdict each, in order.
pub(super) async fn inspect_points(
    open: &OpenCollection,
    points: &[(ChunkId, Option<DocumentId>)],
    version_lists: &[Vec<VersionRecord>],
) -> Result<Vec<SuspectVerdict>, Fault> {
    let ids: Vec<ChunkId> = points.iter().map(|(id, _)| *id).collect();
    let stored: HashSet<ChunkId> =
        open.vectors.stored(&ids).await?.into_iter().map(|point| point.id).collect();
    let mut expected: HashMap<&DocumentId, HashSet<ChunkId>> = HashMap::new();
    // Many points of a page share a document, so its ids are derived once.
    let verdicts = points.iter().zip(version_lists).map(|((id, document_id), versions)| {
        let of_document = |document_id| {
            let ids =
                || versions.iter().flat_map(|record| expected_chunk_ids(&open.record, record)).collect();
            expected.entry(document_id).or_insert_with(ids).contains(id)
        };
        if !stored.contains(id) || lacks_spans(versions) || document_id.as_ref().is_some_and(of_document) {
            SuspectVerdict::Fine
        } else {
            SuspectVerdict::Wrong(AuditFinding::Point(*id, document_id.clone()))
        }
    });
    Ok(verdicts.collect())
}
