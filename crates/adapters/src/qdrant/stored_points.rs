//! Reads stored points with their owners, for comparing the vectors with the ledger.

use qdrant_client::qdrant::{GetPoints, RetrievedPoint, ScrollPoints};

use super::{QdrantVectors, majority_consistency, no_vectors, payload_keys, points, qdrant_payload};
use contexture_core::domain::ids::ChunkId;
use contexture_core::fault::Fault;
use contexture_core::ports::vectors::StoredVectorPoint;

/// Ids per call.
const GET_IDS_MAX: usize = 1024;
/// Payload keys of a point's owner; the rest of the payload is not transferred.
const OWNER_KEYS: [&str; 2] = [qdrant_payload::DOCUMENT_FIELD, qdrant_payload::VERSION_FIELD];

/// Reads up to `limit` points after an id, in order of ids.
pub(super) async fn read_page(
    vectors: &QdrantVectors,
    after: Option<ChunkId>,
    limit: usize,
) -> Result<Vec<StoredVectorPoint>, Fault> {
    // Not the server's own cursor: when a point is deleted while its page is read, the cursor can
    // end the scan early. The next id after the last one read always goes on. None: the last id.
    let Some(from) = qdrant_payload::next_point_id(after) else { return Ok(Vec::new()) };
    let request = ScrollPoints {
        collection_name: vectors.collection.clone(),
        filter: None,
        offset: Some(points::id_to_wire(from)),
        limit: Some(u32::try_from(limit).unwrap_or(u32::MAX)),
        with_payload: Some(payload_keys(&OWNER_KEYS)),
        with_vectors: Some(no_vectors()),
        read_consistency: Some(majority_consistency()),
        shard_key_selector: None,
        order_by: None,
        timeout: Some(vectors.server.timeout_seconds()),
    };
    let page = vectors.server.call(vectors.server.client.scroll(request)).await?;
    Ok(page.result.into_iter().filter_map(to_stored_point).collect())
}

/// Reads those of these points that exist.
pub(super) async fn read_points(
    vectors: &QdrantVectors,
    ids: &[ChunkId],
) -> Result<Vec<StoredVectorPoint>, Fault> {
    // The result can be shorter than `ids`: the server leaves out points that do not exist.
    let mut stored = Vec::with_capacity(ids.len());
    for batch in ids.chunks(GET_IDS_MAX) {
        let request = GetPoints {
            collection_name: vectors.collection.clone(),
            ids: batch.iter().copied().map(points::id_to_wire).collect(),
            with_payload: Some(payload_keys(&OWNER_KEYS)),
            with_vectors: Some(no_vectors()),
            read_consistency: Some(majority_consistency()),
            shard_key_selector: None,
            timeout: Some(vectors.server.timeout_seconds()),
        };
        let found = vectors.server.call(vectors.server.client.get_points(request)).await?;
        stored.extend(found.result.into_iter().filter_map(to_stored_point));
    }
    Ok(stored)
}

fn to_stored_point(point: RetrievedPoint) -> Option<StoredVectorPoint> {
    let owner = points::owner_in_payload(&point.payload);
    Some(StoredVectorPoint { id: points::id_from_wire(point.id)?, owner })
}
