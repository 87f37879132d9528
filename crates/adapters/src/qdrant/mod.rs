//! Vectors in a Qdrant server, over gRPC (`qdrant-client` 1.19).
//!
//! Every generation of a tenant's collection has a Qdrant collection of its own
//! ([`collection_name`]): cosine, an optional int8 copy with rescoring, indexes on document,
//! readers, facets and version. Changes wait until they are applied and count only when the
//! server says `Completed`; `Acknowledged` and `WaitTimeout` are unknown and sent again. That
//! is visible, not durable: a power cut can cost the server about 5 s of points. A change goes
//! in calls of [`UPSERT_POINTS_MAX`] points and [`UPSERT_BYTES_MAX`] bytes, or
//! [`DELETE_IDS_MAX`] ids; one that fails half-way is repeated as a whole.
//!
//! Every call has the configured deadline. The client repeats a call once when the connection
//! is lost; everything here can be repeated. Servers 1.18 to 1.20 are accepted, others refused
//! when opening, as is a collection of other dimensions or distance.

mod collection;
mod config;
mod faults;
mod filter;
mod points;
mod server;
mod stored_points;

use async_trait::async_trait;
use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use qdrant_client::qdrant::{
    CountPoints, DeletePoints, PayloadIncludeSelector, PointsIdsList, PointsSelector,
    QuantizationSearchParams, Query, QueryPoints, ReadConsistency, ReadConsistencyType, ScrollPoints,
    SearchParams, UpsertPoints, VectorInput, WithPayloadSelector, WithVectorsSelector, read_consistency,
    with_payload_selector, with_vectors_selector,
};

use super::qdrant_payload;
use contexture_core::domain::filter::MetadataFilter;
use contexture_core::domain::ids::{ChunkId, DocumentId, Version};
use contexture_core::fault::Fault;
use contexture_core::ports::vectors::{DenseHit, StoredVectorPoint, VectorPoint, VectorStore};

pub use collection::{SERVER_VERSION_MAX, SERVER_VERSION_MIN};
pub use config::{CollectionOptions, QdrantConfig, collection_name};
pub use faults::{COLLECTION_MISSING, QDRANT_REFUSED};
pub use points::{UPSERT_BYTES_MAX, UPSERT_POINTS_MAX};
use server::{QdrantServer, check_completed};

/// Most ids of one delete.
pub const DELETE_IDS_MAX: usize = 1024;
/// Points read per page when all points of a document are listed.
const SCROLL_PAGE_POINTS: u32 = 1024;
/// How many times as many points the int8 copy proposes as the originals then rank.
const INT8_OVERSAMPLING: f64 = 2.0;

/// One generation's vectors on a server.
pub struct QdrantVectors {
    server: QdrantServer,
    collection: String,
    dims: usize,
    int8: bool,
}

impl QdrantVectors {
    /// Opens or creates a collection, once the server's version has been checked.
    pub async fn open(
        config: &QdrantConfig,
        collection: &str,
        dims: usize,
        options: CollectionOptions,
    ) -> Result<Self, Fault> {
        let server = QdrantServer::new(config)?;
        collection::check_version(&server).await?;
        let int8 = Box::pin(collection::ensure_collection(&server, collection, dims, options)).await?;
        Ok(Self { server, collection: collection.to_owned(), dims, int8 })
    }

    /// Removes the collection and everything in it; fine when it is gone already.
    pub async fn remove(&self) -> Result<(), Fault> {
        self.server.remove(&self.collection).await
    }

    /// The same of a collection that need not be open.
    pub async fn remove_named(config: &QdrantConfig, collection: &str) -> Result<(), Fault> {
        QdrantServer::new(config)?.remove(collection).await
    }

    fn search_params(&self) -> SearchParams {
        SearchParams {
            hnsw_ef: None,
            exact: Some(false),
            quantization: self.int8.then_some(QuantizationSearchParams {
                ignore: Some(false),
                rescore: Some(true),
                oversampling: Some(INT8_OVERSAMPLING),
            }),
            // Points that are not indexed yet are found, too.
            indexed_only: Some(false),
            acorn: None,
            idf: None,
        }
    }
}

#[async_trait]
impl VectorStore for QdrantVectors {
    async fn upsert(&self, points: Vec<VectorPoint>) -> Result<(), Fault> {
        points.iter().try_for_each(|point| qdrant_payload::check_dimensions(&point.vector, self.dims))?;
        for batch in points::batch_upserts(points) {
            let request = UpsertPoints {
                collection_name: self.collection.clone(),
                wait: Some(true),
                points: batch,
                ordering: Some(collection::write_ordering()),
                shard_key_selector: None,
                update_filter: None,
                timeout: Some(self.server.timeout_seconds()),
                update_mode: None,
            };
            let upserted = self.server.call(self.server.client.upsert_points(request)).await;
            check_completed(&upserted.map_err(faults::write_fault)?)?;
        }
        Ok(())
    }

    async fn delete(&self, ids: Vec<ChunkId>) -> Result<(), Fault> {
        for batch in ids.chunks(DELETE_IDS_MAX) {
            let ids = batch.iter().copied().map(points::id_to_wire).collect();
            let selected = PointsSelectorOneOf::Points(PointsIdsList { ids });
            let request = DeletePoints {
                collection_name: self.collection.clone(),
                wait: Some(true),
                points: Some(PointsSelector { points_selector_one_of: Some(selected) }),
                ordering: Some(collection::write_ordering()),
                shard_key_selector: None,
                timeout: Some(self.server.timeout_seconds()),
            };
            check_completed(&self.server.call(self.server.client.delete_points(request)).await?)?;
        }
        Ok(())
    }

    async fn search(
        &self,
        vector: Vec<f32>,
        filter: Option<&MetadataFilter>,
        readers: &[String],
        top_k: usize,
    ) -> Result<Vec<DenseHit>, Fault> {
        qdrant_payload::check_dimensions(&vector, self.dims)?;
        if top_k == 0 || readers.is_empty() {
            return Ok(Vec::new());
        }
        let request = QueryPoints {
            collection_name: self.collection.clone(),
            prefetch: Vec::new(),
            query: Some(Query::new_nearest(VectorInput::new_dense(vector))),
            using: None,
            filter: Some(filter::to_qdrant_filter(&qdrant_payload::readable_condition(filter, readers))),
            params: Some(self.search_params()),
            score_threshold: None,
            limit: Some(top_k as u64),
            offset: None,
            with_vectors: Some(no_vectors()),
            with_payload: Some(no_payload()),
            read_consistency: None,
            shard_key_selector: None,
            lookup_from: None,
            timeout: Some(self.server.timeout_seconds()),
        };
        let found = self.server.call(Box::pin(self.server.client.query(request))).await?.result;
        Ok(found
            .into_iter()
            .filter_map(|point| Some(DenseHit { id: points::id_from_wire(point.id)?, score: point.score }))
            .collect())
    }

    async fn ids_of(&self, document_id: &DocumentId) -> Result<Vec<(ChunkId, Version)>, Fault> {
        let filter = filter::to_qdrant_filter(&qdrant_payload::document_condition(document_id));
        let mut ids = Vec::new();
        let mut offset = None;
        loop {
            let request = ScrollPoints {
                collection_name: self.collection.clone(),
                filter: Some(filter.clone()),
                offset,
                limit: Some(SCROLL_PAGE_POINTS),
                with_payload: Some(payload_keys(&[qdrant_payload::VERSION_FIELD])),
                with_vectors: Some(no_vectors()),
                read_consistency: Some(majority_consistency()),
                shard_key_selector: None,
                order_by: None,
                timeout: Some(self.server.timeout_seconds()),
            };
            let page = self.server.call(self.server.client.scroll(request)).await?;
            ids.extend(page.result.into_iter().filter_map(|point| {
                let version = points::version_in_payload(&point.payload)?;
                Some((points::id_from_wire(point.id)?, version))
            }));
            offset = page.next_page_offset;
            if offset.is_none() {
                return Ok(ids);
            }
        }
    }

    async fn count(&self) -> Result<u64, Fault> {
        let request = CountPoints {
            collection_name: self.collection.clone(),
            filter: None,
            exact: Some(true),
            read_consistency: Some(majority_consistency()),
            shard_key_selector: None,
            timeout: Some(self.server.timeout_seconds()),
        };
        let answer = self.server.call(self.server.client.count(request)).await?;
        answer
            .result
            .map(|result| result.count)
            .ok_or_else(|| faults::transient_fault("the server counted nothing"))
    }

    async fn page(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredVectorPoint>, Fault> {
        stored_points::read_page(self, after, limit).await
    }

    async fn stored(&self, ids: &[ChunkId]) -> Result<Vec<StoredVectorPoint>, Fault> {
        stored_points::read_points(self, ids).await
    }
}

/// For bookkeeping: what most copies agree on.
fn majority_consistency() -> ReadConsistency {
    let value = read_consistency::Value::Type(ReadConsistencyType::Majority as i32);
    ReadConsistency { value: Some(value) }
}

fn no_vectors() -> WithVectorsSelector {
    WithVectorsSelector { selector_options: Some(with_vectors_selector::SelectorOptions::Enable(false)) }
}

fn no_payload() -> WithPayloadSelector {
    WithPayloadSelector { selector_options: Some(with_payload_selector::SelectorOptions::Enable(false)) }
}

fn payload_keys(keys: &[&str]) -> WithPayloadSelector {
    let fields = PayloadIncludeSelector { fields: keys.iter().map(|&key| key.to_owned()).collect() };
    WithPayloadSelector { selector_options: Some(with_payload_selector::SelectorOptions::Include(fields)) }
}
