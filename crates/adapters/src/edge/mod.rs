//! The [`VectorStore`] on Qdrant's engine, in process (`qdrant-edge` 0.7.2).
//!
//! This version of the engine replays no write-ahead log, and its `flush` panics during a
//! concurrent `update`. Therefore one thread applies all changes: it takes a batch from its queue,
//! flushes once, and only then answers. An answered change survives a kill of the process. After
//! [`OPTIMIZE_IDLE`] without changes and with at least [`OPTIMIZE_POINTS`] new points, the same
//! thread builds the HNSW index; readers do not wait for it. Searches run on blocking threads and
//! take no lock of ours.
//!
//! Other processes read beside the owner with a [`QdrantEdgeReader`].

mod conversions;
mod reader;
mod shard_mirror;
mod shard_reads;
mod shard_writer;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use qdrant_edge::{
    Distance, EdgeConfigBuilder, EdgeShard, EdgeVectorParamsBuilder, PointId, PointInsertOperations,
    PointOperations, UpdateOperation,
};

use super::qdrant_payload;
use contexture_core::domain::filter::MetadataFilter;
use contexture_core::domain::ids::{ChunkId, DocumentId, Version};
use contexture_core::fault::Fault;
use contexture_core::ports::vectors::{DenseHit, StoredVectorPoint, VectorPoint, VectorStore};

use conversions::{engine_fault, index_creation, to_engine_point};
pub use reader::QdrantEdgeReader;
use shard_writer::ShardWriterThread;
pub use shard_writer::{OPTIMIZE_IDLE, OPTIMIZE_POINTS};

/// Payload keys with an index.
const INDEXED_KEYS: [&str; 3] =
    [qdrant_payload::DOCUMENT_FIELD, qdrant_payload::READERS_FIELD, qdrant_payload::FACETS_FIELD];

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
        let created = !directory.join(shard_mirror::CONFIG_FILE).exists();
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
        let condition = qdrant_payload::readable_condition(filter, readers);
        self.read(move |shard| shard_reads::search(shard, vector, &condition, top_k)).await
    }

    async fn ids_of(&self, document_id: &DocumentId) -> Result<Vec<(ChunkId, Version)>, Fault> {
        let document_id = document_id.clone();
        self.read(move |shard| shard_reads::ids_of(shard, &document_id)).await
    }

    async fn count(&self) -> Result<u64, Fault> {
        self.read(shard_reads::count).await
    }

    async fn page(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredVectorPoint>, Fault> {
        self.read(move |shard| shard_reads::page(shard, after, limit)).await
    }

    async fn stored(&self, ids: &[ChunkId]) -> Result<Vec<StoredVectorPoint>, Fault> {
        let ids = ids.to_vec();
        self.read(move |shard| shard_reads::stored(shard, &ids)).await
    }
}
