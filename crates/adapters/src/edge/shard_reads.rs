//! What is read from a shard, whoever opened it.

use qdrant_edge::{
    CountRequest, EdgeShard, NamedQuery, PointId, QueryEnum, ScrollRequest, SearchRequest,
    WithPayloadInterface, WithVector,
};

use super::conversions::{engine_fault, owner_keys, parse_chunk_id, to_engine_filter, to_stored_point};
use super::qdrant_payload::{self, PayloadCondition};
use contexture_core::domain::ids::{ChunkId, DocumentId, Version};
use contexture_core::fault::Fault;
use contexture_core::ports::vectors::{DenseHit, StoredVectorPoint};

/// Points per page when the points of a document are listed.
const SCROLL_PAGE_POINTS: usize = 1024;

pub(super) fn search(
    shard: &EdgeShard,
    vector: Vec<f32>,
    condition: &PayloadCondition,
    top_k: usize,
) -> Result<Vec<DenseHit>, Fault> {
    let request = SearchRequest {
        query: QueryEnum::Nearest(NamedQuery::default_dense(vector)),
        filter: Some(to_engine_filter(condition)?),
        params: None,
        limit: top_k,
        offset: 0,
        with_payload: Some(WithPayloadInterface::Bool(false)),
        with_vector: Some(WithVector::Bool(false)),
        score_threshold: None,
    };
    let found = shard.search(request).map_err(engine_fault)?;
    let hit = |point: qdrant_edge::ScoredPoint| {
        Some(DenseHit { id: parse_chunk_id(&point.id)?, score: point.score })
    };
    Ok(found.into_iter().filter_map(hit).collect())
}

pub(super) fn ids_of(shard: &EdgeShard, document_id: &DocumentId) -> Result<Vec<(ChunkId, Version)>, Fault> {
    let filter = to_engine_filter(&qdrant_payload::document_condition(document_id))?;
    let mut ids = Vec::new();
    let mut offset = None;
    loop {
        let request = ScrollRequest {
            offset,
            limit: Some(SCROLL_PAGE_POINTS),
            filter: Some(filter.clone()),
            with_payload: Some(WithPayloadInterface::Bool(true)),
            with_vector: WithVector::Bool(false),
            order_by: None,
        };
        let (page, next) = shard.scroll(request).map_err(engine_fault)?;
        ids.extend(page.iter().filter_map(|record| {
            let version = record.payload.as_ref()?.0.get(qdrant_payload::VERSION_FIELD)?.as_u64()?;
            Some((parse_chunk_id(&record.id)?, qdrant_payload::parse_version(version)?))
        }));
        offset = next;
        if offset.is_none() {
            return Ok(ids);
        }
    }
}

pub(super) fn count(shard: &EdgeShard) -> Result<u64, Fault> {
    let count = shard.count(CountRequest { filter: None, exact: true }).map_err(engine_fault)?;
    Ok(count as u64)
}

pub(super) fn page(
    shard: &EdgeShard,
    after: Option<ChunkId>,
    limit: usize,
) -> Result<Vec<StoredVectorPoint>, Fault> {
    // Not the engine's own cursor: when a point is deleted while its page is read, the cursor ends the scan
    // early. The next id after the last one read always goes on.
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

pub(super) fn stored(shard: &EdgeShard, ids: &[ChunkId]) -> Result<Vec<StoredVectorPoint>, Fault> {
    let ids: Vec<PointId> = ids.iter().map(|id| PointId::Uuid(id.as_uuid())).collect();
    let found =
        shard.retrieve(&ids, Some(owner_keys()?), Some(WithVector::Bool(false))).map_err(engine_fault)?;
    Ok(found.iter().filter_map(to_stored_point).collect())
}
