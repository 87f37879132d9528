//! The [`VectorStore`] on Qdrant's engine, in process (`qdrant-edge` 0.7.2).
//!
//! This version of the engine replays no write-ahead log, and its `flush` panics during a
//! concurrent `update`. Therefore one thread applies all changes: it takes a batch from its queue,
//! flushes once, and only then answers. An answered change survives a kill of the process. After
//! [`OPTIMIZE_IDLE`] without changes and with at least [`OPTIMIZE_POINTS`] new points, the same
//! thread builds the HNSW index; readers do not wait for it. Searches run on blocking threads and
//! take no lock of ours.

mod conversions;
mod shard_writer;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use qdrant_edge::{
    CountRequest, Distance, EdgeConfigBuilder, EdgeShard, EdgeVectorParamsBuilder, NamedQuery, PointId,
    PointInsertOperations, PointOperations, QueryEnum, ScrollRequest, SearchRequest, UpdateOperation,
    WithPayloadInterface, WithVector,
};

use super::qdrant_payload;
use contexture_core::domain::filter::MetadataFilter;
use contexture_core::domain::ids::{ChunkId, DocumentId, Version};
use contexture_core::fault::Fault;
use contexture_core::ports::vectors::{DenseHit, StoredVectorPoint, VectorPoint, VectorStore};

use conversions::{
    engine_fault, index_creation, owner_keys, parse_chunk_id, to_engine_filter, to_engine_point,
    to_stored_point,
};
use shard_writer::ShardWriterThread;
pub use shard_writer::{OPTIMIZE_IDLE, OPTIMIZE_POINTS};

/// Payload keys with an index.
const INDEXED_KEYS: [&str; 3] =
    [qdrant_payload::DOCUMENT_FIELD, qdrant_payload::READERS_FIELD, qdrant_payload::FACETS_FIELD];
/// Points per page when the points of a document are listed.
const SCROLL_PAGE_POINTS: usize = 1024;

/// The vectors of one generation, in a directory.
pub struct QdrantEdgeVectors {
    shard: Arc<EdgeShard>,
    writer: ShardWriterThread,
    dims: usize,
}

impl QdrantEdgeVectors {
    /// Opens or creates the directory. This process owns it until the value is dropped.
    pub fn open(directory: &Path, dims: usize) -> Result<Self, Fault> {
        std::fs::create_dir_all(directory)
            .map_err(|error| Fault::transient_error("vectors: making their directory", error))?;
        let unfinished_segments = directory.join("temp_segments");
        // Left by an optimization that was cut short; the shard does not refer to them.
        if unfinished_segments.exists() {
            std::fs::remove_dir_all(&unfinished_segments)
                .map_err(|error| Fault::transient_error("vectors: removing unfinished_segments", error))?;
        }
        let created = !directory.join("edge_config.json").exists();
        let shard = if created {
            let params = EdgeVectorParamsBuilder::new(dims, Distance::Cosine).build();
            EdgeShard::new(directory, EdgeConfigBuilder::new().vector("", params).build())
        } else {
            EdgeShard::load(directory, None)
        }
        .map_err(engine_fault)?;
        // On every open, because a crash may have come between the shard and its indexes.
        for key in INDEXED_KEYS {
            shard.update(index_creation(key)?).map_err(engine_fault)?;
        }
        let shard = Arc::new(shard);
        Ok(Self { writer: ShardWriterThread::start(shard.clone())?, shard, dims })
    }

    /// Runs a read on a blocking thread.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&EdgeShard) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let shard = self.shard.clone();
        tokio::task::spawn_blocking(move || work(&shard))
            .await
            .map_err(|error| Fault::transient_error("vectors: reading", error))?
    }
}

#[async_trait]
impl VectorStore for QdrantEdgeVectors {
    async fn upsert(&self, points: Vec<VectorPoint>) -> Result<(), Fault> {
        if points.is_empty() {
            return Ok(());
        }
        for point in &points {
            qdrant_payload::check_dimensions(&point.vector, self.dims)?;
        }
        let count = points.len();
        let list = points.into_iter().map(to_engine_point).collect();
        let upsert = PointOperations::UpsertPoints(PointInsertOperations::PointsList(list));
        self.writer.apply(UpdateOperation::PointOperation(upsert), count).await
    }

    async fn delete(&self, ids: Vec<ChunkId>) -> Result<(), Fault> {
        if ids.is_empty() {
            return Ok(());
        }
        let ids = ids.into_iter().map(|id| PointId::Uuid(id.as_uuid())).collect();
        self.writer.apply(UpdateOperation::PointOperation(PointOperations::DeletePoints { ids }), 0).await
    }

    async fn search(
        &self,
        vector: Vec<f32>,
        filter: Option<&MetadataFilter>,
        readers: &[String],
        top_k: usize,
    ) -> Result<Vec<DenseHit>, Fault> {
        qdrant_payload::check_dimensions(&vector, self.dims)?;
        let filter = to_engine_filter(&qdrant_payload::readable_condition(filter, readers))?;
        self.read(move |shard| {
            let request = SearchRequest {
                query: QueryEnum::Nearest(NamedQuery::default_dense(vector)),
                filter: Some(filter),
                params: None,
                limit: top_k,
                offset: 0,
                with_payload: Some(WithPayloadInterface::Bool(false)),
                with_vector: Some(WithVector::Bool(false)),
                score_threshold: None,
            };
            let found = shard.search(request).map_err(engine_fault)?;
            Ok(found
                .into_iter()
                .filter_map(|point| Some(DenseHit { id: parse_chunk_id(&point.id)?, score: point.score }))
                .collect())
        })
        .await
    }

    async fn ids_of(&self, document_id: &DocumentId) -> Result<Vec<(ChunkId, Version)>, Fault> {
        let filter = to_engine_filter(&qdrant_payload::document_condition(document_id))?;
        self.read(move |shard| {
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
        })
        .await
    }

    async fn count(&self) -> Result<u64, Fault> {
        self.read(|shard| {
            let count = shard.count(CountRequest { filter: None, exact: true }).map_err(engine_fault)?;
            Ok(count as u64)
        })
        .await
    }

    async fn page(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredVectorPoint>, Fault> {
        self.read(move |shard| {
            // Not the engine's own cursor: when a point is deleted while its page is read, the
            // cursor ends the scan early. The next id after the last one read always goes on.
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
        })
        .await
    }

    async fn stored(&self, ids: &[ChunkId]) -> Result<Vec<StoredVectorPoint>, Fault> {
        let ids: Vec<PointId> = ids.iter().map(|id| PointId::Uuid(id.as_uuid())).collect();
        self.read(move |shard| {
            let found = shard
                .retrieve(&ids, Some(owner_keys()?), Some(WithVector::Bool(false)))
                .map_err(engine_fault)?;
            Ok(found.iter().filter_map(to_stored_point).collect())
        })
        .await
    }
}
