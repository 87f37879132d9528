//! Points one by one, as they stand in the shard.

use qdrant_edge::{EdgeShard, PointId, Record, ScrollRequest, WithPayloadInterface, WithVector};

use super::{chunk_id, engine_fault, staged};
use crate::domain::ids::ChunkId;
use crate::fault::Fault;
use crate::ports::vectors::StoredPoint;

/// The page after an id. The engine's own cursor ends a walk early where a point goes while its
/// page is read, so the walk goes on from the last id that was read.
pub(super) fn page(
    shard: &EdgeShard,
    after: Option<ChunkId>,
    limit: usize,
) -> Result<Vec<StoredPoint>, Fault> {
    let Some(from) = staged::after(after) else { return Ok(Vec::new()) };
    let request = ScrollRequest {
        offset: Some(PointId::Uuid(from.as_uuid())),
        limit: Some(limit),
        filter: None,
        with_payload: Some(payload()?),
        with_vector: WithVector::Bool(false),
        order_by: None,
    };
    let (page, _) = shard.scroll(request).map_err(engine_fault)?;
    Ok(page.iter().filter_map(as_stored).collect())
}

pub(super) fn stored(shard: &EdgeShard, ids: &[ChunkId]) -> Result<Vec<StoredPoint>, Fault> {
    let ids: Vec<PointId> = ids.iter().map(|id| PointId::Uuid(id.as_uuid())).collect();
    let found =
        shard.retrieve(&ids, Some(payload()?), Some(WithVector::Bool(false))).map_err(engine_fault)?;
    Ok(found.iter().filter_map(as_stored).collect())
}

/// Only whose it is.
fn payload() -> Result<WithPayloadInterface, Fault> {
    let key = |name: &str| name.parse().map_err(|()| Fault::permanent("invalid_payload_key", name));
    Ok(WithPayloadInterface::Fields(vec![key(staged::DOCUMENT)?, key(staged::VERSION)?]))
}

fn as_stored(record: &Record) -> Option<StoredPoint> {
    let owner = record.payload.as_ref().and_then(|payload| {
        let document_id = staged::document(payload.0.get(staged::DOCUMENT)?.as_str()?)?;
        Some((document_id, staged::version(payload.0.get(staged::VERSION)?.as_u64()?)?))
    });
    Some(StoredPoint { id: chunk_id(&record.id)?, owner })
}
