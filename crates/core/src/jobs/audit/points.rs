//! The third walk: what the vectors hold is of versions that may have points.

use std::collections::{HashMap, HashSet};

use super::documents::expected_chunk_ids;
use super::report::AuditFinding;
use super::suspects::SuspectVerdict;
use crate::domain::ids::{ChunkId, DocumentId};
use crate::fault::Fault;
use crate::ports::catalog::OpenCollection;
use crate::ports::ledger::{VersionRecord, VersionState};
use crate::ports::vectors::StoredVectorPoint;

/// Points of a page that are no chunk of the index, and the last point of the page; none at the end.
/// The first walk has seen whether the index has the right chunks.
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
    tokio::task::spawn_blocking(read).await.map_err(Fault::transient)?
}

/// Whether the ledger has lost the spans of a version that was cut: nobody can say then which points
/// are its own. The first walk tells of it.
fn lacks_spans(standing: &[VersionRecord]) -> bool {
    let was_cut =
        |state| matches!(state, VersionState::Chunked | VersionState::Embedded | VersionState::Visible);
    standing.iter().any(|record| !record.deletes && record.chunk_count.is_none() && was_cut(record.state))
}

/// A page of the walk.
pub(super) struct UnknownPointPage {
    pub(super) unknown: Vec<StoredVectorPoint>,
    pub(super) last: ChunkId,
    pub(super) count: usize,
}

/// Looks at these points beside what the ledger says of their documents; one look each, in order.
pub(super) async fn inspect_points(
    open: &OpenCollection,
    points: &[(ChunkId, Option<DocumentId>)],
    standings: &[Vec<VersionRecord>],
) -> Result<Vec<SuspectVerdict>, Fault> {
    let ids: Vec<ChunkId> = points.iter().map(|(id, _)| *id).collect();
    let there: HashSet<ChunkId> =
        open.vectors.stored(&ids).await?.into_iter().map(|point| point.id).collect();
    let mut wanted: HashMap<&DocumentId, HashSet<ChunkId>> = HashMap::new();
    let looks = points.iter().zip(standings).map(|((id, document_id), standing)| {
        let of_document = |document_id| {
            let ids =
                || standing.iter().flat_map(|record| expected_chunk_ids(&open.record, record)).collect();
            wanted.entry(document_id).or_insert_with(ids).contains(id)
        };
        if !there.contains(id) || lacks_spans(standing) || document_id.as_ref().is_some_and(of_document) {
            SuspectVerdict::Fine
        } else {
            SuspectVerdict::Wrong(AuditFinding::Point(*id, document_id.clone()))
        }
    });
    Ok(looks.collect())
}
