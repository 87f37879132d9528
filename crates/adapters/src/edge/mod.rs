//! Vectors in Qdrant's own engine, in process (`qdrant-edge` 0.7.2).
//!
//! That version replays no write-ahead log and its `flush` panics beside an `update`, so one
//! thread owns all changes: it applies what has queued up, flushes once, and only then answers;
//! what is answered survives a kill. When nothing has come for [`OPTIMIZE_IDLE`] and at least
//! [`OPTIMIZE_POINTS`] points are new, the same thread builds the HNSW index; readers never
//! wait for it. Searches run on blocking threads and need no lock.

mod filter;
mod shard_writer;
mod stored_points;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use qdrant_edge::{
    CountRequest, CreateIndex, Distance, EdgeConfigBuilder, EdgeShard, EdgeVectorParamsBuilder,
    FieldIndexOperations, NamedQuery, Payload, PayloadFieldSchema, PayloadSchemaType, PointId,
    PointInsertOperations, PointOperations, PointStructPersisted, QueryEnum, ScrollRequest, SearchRequest,
    UpdateOperation, VectorStructPersisted, WithPayloadInterface, WithVector,
};

use super::qdrant_payload;
use contexture_core::domain::filter::MetadataFilter;
use contexture_core::domain::ids::{ChunkId, DocumentId, Version};
use contexture_core::fault::Fault;
use contexture_core::ports::vectors::{DenseHit, StoredVectorPoint, VectorPoint, VectorStore};

use shard_writer::ShardWriterThread;
pub use shard_writer::{OPTIMIZE_IDLE, OPTIMIZE_POINTS};

/// Payload keys that have an index of their own.
const INDEXED_KEYS: [&str; 3] =
    [qdrant_payload::DOCUMENT_FIELD, qdrant_payload::READERS_FIELD, qdrant_payload::FACETS_FIELD];
/// Points read per page when all points of a document are listed.
const SCROLL_PAGE_POINTS: usize = 1024;

/// One generation's vectors in a directory.
pub struct QdrantEdgeVectors {
    shard: Arc<EdgeShard>,
    owner: ShardWriterThread,
    dims: usize,
}

impl QdrantEdgeVectors {
    /// Opens or creates the directory; it belongs to this process until dropped.
    pub fn open(directory: &Path, dims: usize) -> Result<Self, Fault> {
        std::fs::create_dir_all(directory).map_err(Fault::transient)?;
        let leftovers = directory.join("temp_segments");
        if leftovers.exists() {
            std::fs::remove_dir_all(&leftovers).map_err(Fault::transient)?;
        }
        let created = !directory.join("edge_config.json").exists();
        let shard = if created {
            let params = EdgeVectorParamsBuilder::new(dims, Distance::Cosine).build();
            EdgeShard::new(directory, EdgeConfigBuilder::new().vector("", params).build())
        } else {
            EdgeShard::load(directory, None)
        }
        .map_err(engine_fault)?;
        for key in INDEXED_KEYS {
            shard.update(index_creation(key)?).map_err(engine_fault)?;
        }
        let shard = Arc::new(shard);
        Ok(Self { owner: ShardWriterThread::start(shard.clone())?, shard, dims })
    }

    /// Runs a read on a blocking thread.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&EdgeShard) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let shard = self.shard.clone();
        tokio::task::spawn_blocking(move || work(&shard)).await.map_err(Fault::transient)?
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
        self.owner.apply(UpdateOperation::PointOperation(upsert), count).await
    }

    async fn delete(&self, ids: Vec<ChunkId>) -> Result<(), Fault> {
        if ids.is_empty() {
            return Ok(());
        }
        let ids = ids.into_iter().map(|id| PointId::Uuid(id.as_uuid())).collect();
        self.owner.apply(UpdateOperation::PointOperation(PointOperations::DeletePoints { ids }), 0).await
    }

    async fn search(
        &self,
        vector: Vec<f32>,
        filter: Option<&MetadataFilter>,
        readers: &[String],
        top_k: usize,
    ) -> Result<Vec<DenseHit>, Fault> {
        qdrant_payload::check_dimensions(&vector, self.dims)?;
        let filter = filter::to_engine_filter(&qdrant_payload::readable_condition(filter, readers))?;
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
        let filter = filter::to_engine_filter(&qdrant_payload::document_condition(document_id))?;
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
        self.read(move |shard| stored_points::read_page(shard, after, limit)).await
    }

    async fn stored(&self, ids: &[ChunkId]) -> Result<Vec<StoredVectorPoint>, Fault> {
        let ids = ids.to_vec();
        self.read(move |shard| stored_points::read_points(shard, &ids)).await
    }
}

fn index_creation(key: &str) -> Result<UpdateOperation, Fault> {
    let field_name = key.parse().map_err(|()| Fault::permanent("invalid_payload_key", key))?;
    Ok(UpdateOperation::FieldIndexOperation(FieldIndexOperations::CreateIndex(CreateIndex {
        field_name,
        field_schema: Some(PayloadFieldSchema::FieldType(PayloadSchemaType::Keyword)),
    })))
}

fn to_engine_point(point: VectorPoint) -> PointStructPersisted {
    PointStructPersisted {
        id: PointId::Uuid(point.id.as_uuid()),
        payload: Some(Payload(qdrant_payload::build_payload(&point))),
        vector: VectorStructPersisted::Single(point.vector),
    }
}

fn parse_chunk_id(id: &PointId) -> Option<ChunkId> {
    match id {
        PointId::Uuid(uuid) => Some(ChunkId::from_uuid(*uuid)),
        PointId::NumId(_) => None,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn engine_fault(error: qdrant_edge::OperationError) -> Fault {
    Fault::Transient(format!("vectors: {error}"))
}
