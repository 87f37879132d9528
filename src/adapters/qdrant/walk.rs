//! Points one by one, as they stand on the server.

use qdrant_client::qdrant::{GetPoints, RetrievedPoint, ScrollPoints};

use super::{QdrantVectors, majority, no_vectors, only, points, staged};
use crate::domain::ids::ChunkId;
use crate::fault::Fault;
use crate::ports::vectors::StoredPoint;

/// Most ids of one call.
const GET_IDS_MAX: usize = 1024;
/// Only whose it is.
const OWNER: [&str; 2] = [staged::DOCUMENT, staged::VERSION];

/// The page after an id. The server's own cursor may end a walk early where a point goes while its
/// page is read, so the walk goes on from the last id that was read.
pub(super) async fn page(
    vectors: &QdrantVectors,
    after: Option<ChunkId>,
    limit: usize,
) -> Result<Vec<StoredPoint>, Fault> {
    let Some(from) = staged::after(after) else { return Ok(Vec::new()) };
    let request = ScrollPoints {
        collection_name: vectors.collection.clone(),
        filter: None,
        offset: Some(points::id_to_wire(from)),
        limit: Some(u32::try_from(limit).unwrap_or(u32::MAX)),
        with_payload: Some(only(&OWNER)),
        with_vectors: Some(no_vectors()),
        read_consistency: Some(majority()),
        shard_key_selector: None,
        order_by: None,
        timeout: Some(vectors.server.timeout_seconds()),
    };
    let page = vectors.server.call(vectors.server.client.scroll(request)).await?;
    Ok(page.result.into_iter().filter_map(as_stored).collect())
}

pub(super) async fn stored(vectors: &QdrantVectors, ids: &[ChunkId]) -> Result<Vec<StoredPoint>, Fault> {
    let mut stored = Vec::with_capacity(ids.len());
    for batch in ids.chunks(GET_IDS_MAX) {
        let request = GetPoints {
            collection_name: vectors.collection.clone(),
            ids: batch.iter().copied().map(points::id_to_wire).collect(),
            with_payload: Some(only(&OWNER)),
            with_vectors: Some(no_vectors()),
            read_consistency: Some(majority()),
            shard_key_selector: None,
            timeout: Some(vectors.server.timeout_seconds()),
        };
        let found = vectors.server.call(vectors.server.client.get_points(request)).await?;
        stored.extend(found.result.into_iter().filter_map(as_stored));
    }
    Ok(stored)
}

fn as_stored(point: RetrievedPoint) -> Option<StoredPoint> {
    let owner = points::owner_of(&point.payload);
    Some(StoredPoint { id: points::id_from_wire(point.id)?, owner })
}
