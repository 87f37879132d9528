//! The [`VectorStore`] on a Qdrant server, over gRPC (`qdrant-client` 1.19).
//!
//! Every generation of a tenant's collection has its own Qdrant collection ([`collection_name`]),
//! with cosine distance, an optional int8 copy with rescoring, and indexes on document, readers,
//! facets and version.
//!
//! A change succeeds only when the server reports `Completed`. After `Acknowledged` or
//! `WaitTimeout` its outcome is unknown and it is sent again. A completed change is visible, but
//! not durable: a power cut can cost the server about 5 s of points. A change is split into calls
//! of [`UPSERT_POINTS_MAX`] points and [`UPSERT_BYTES_MAX`] bytes, or [`DELETE_IDS_MAX`] ids. If
//! one call fails, the whole change is repeated.
//!
//! Every call has the configured deadline. The client retries a call once when the connection is
//! lost, which is safe because all calls are idempotent. Opening refuses servers other than 1.18
//! to 1.20, and collections of other dimensions or distance.

mod collection;
mod config;
mod faults;
mod filter;
mod on_demand;
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
pub use on_demand::QdrantVectorsOnDemand;
pub use points::{UPSERT_BYTES_MAX, UPSERT_POINTS_MAX};
use server::{QdrantServer, check_completed};

/// Most ids of one delete.
pub const DELETE_IDS_MAX: usize = 1024;
/// Points per page when the points of a document are listed.
const SCROLL_PAGE_POINTS: u32 = 1024;
/// Candidates taken from the int8 copy, as a multiple of the points that the originals rank.
const INT8_OVERSAMPLING: f64 = 2.0;

/// The vectors of one generation on a server.
pub struct QdrantVectors {
    server: QdrantServer,
    collection: String,
    dims: usize,
    int8: bool,
}

impl QdrantVectors {
    /// Checks the server's version, then opens or creates a collection.
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

    /// Deletes the collection with its points. Succeeds when it does not exist.
    pub async fn remove(&self) -> Result<(), Fault> {
        self.server.remove(&self.collection).await
    }

    /// Deletes a collection that need not be open. Succeeds when it does not exist.
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
            // Otherwise points that are not indexed yet would not be found.
            indexed_only: Some(false),
            acorn: None,
            idf: None,
        }
    }
}

#[async_trait]
impl VectorStore for QdrantVectors {
    async fn upsert(&self, points: Vec<VectorPoint>) -> Result<(), Fault> {
        // All of them before the first call, so that an invalid point fails before anything is written.
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
        // Nothing can match, so the call is saved.
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

/// Read consistency for counting and comparing: the state that a majority of replicas agrees on.
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
