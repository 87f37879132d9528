//! Points one by one, as they stand in the shard.

use qdrant_edge::{EdgeShard, PointId, Record, ScrollRequest, WithPayloadInterface, WithVector};

use super::{engine_fault, parse_chunk_id, qdrant_payload};
use contexture_core::domain::ids::ChunkId;
use contexture_core::fault::Fault;
use contexture_core::ports::vectors::StoredVectorPoint;

/// The page after an id. The engine's own cursor ends a walk early where a point goes while its
/// page is read, so the walk goes on from the last id that was read.
pub(super) fn read_page(
    shard: &EdgeShard,
    after: Option<ChunkId>,
    limit: usize,
) -> Result<Vec<StoredVectorPoint>, Fault> {
    let Some(from) = qdrant_payload::next_point_id(after) else { return Ok(Vec::new()) };
    let request = ScrollRequest {
        offset: Some(PointId::Uuid(from.as_uuid())),
        limit: Some(limit),
        filter: None,
        with_payload: Some(owner_keys()?),
        with_vector: WithVector::Bool(false),
        order_by: None,
    };
    let (page, _) = shard.scroll(request).map_err(engine_fault)?;
    Ok(page.iter().filter_map(to_stored_point).collect())
}

pub(super) fn read_points(shard: &EdgeShard, ids: &[ChunkId]) -> Result<Vec<StoredVectorPoint>, Fault> {
    let ids: Vec<PointId> = ids.iter().map(|id| PointId::Uuid(id.as_uuid())).collect();
    let found =
        shard.retrieve(&ids, Some(owner_keys()?), Some(WithVector::Bool(false))).map_err(engine_fault)?;
    Ok(found.iter().filter_map(to_stored_point).collect())
}

/// Only whose it is.
fn owner_keys() -> Result<WithPayloadInterface, Fault> {
    let key = |name: &str| name.parse().map_err(|()| Fault::permanent("invalid_payload_key", name));
    Ok(WithPayloadInterface::Fields(vec![
        key(qdrant_payload::DOCUMENT_FIELD)?,
        key(qdrant_payload::VERSION_FIELD)?,
    ]))
}

fn to_stored_point(record: &Record) -> Option<StoredVectorPoint> {
    let owner = record.payload.as_ref().and_then(|payload| {
        let document_id =
            qdrant_payload::parse_document_id(payload.0.get(qdrant_payload::DOCUMENT_FIELD)?.as_str()?)?;
        Some((
            document_id,
            qdrant_payload::parse_version(payload.0.get(qdrant_payload::VERSION_FIELD)?.as_u64()?)?,
        ))
    });
    Some(StoredVectorPoint { id: parse_chunk_id(&record.id)?, owner })
}
