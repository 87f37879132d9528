//! The vector store: staged points, without authority.
//!
//! Contract: `upsert` and `delete` return when the change is applied, as durable as the engine can make
//! it, and visible to `search`. Both are idempotent. `search` returns the nearest points by cosine, best
//! first, only those whose facets satisfy the filter and whose reader terms overlap the caller's.
//!
//! A hit is a hint: the caller verifies it in its lexical snapshot. Filters may be approximate in one
//! direction only: a point that matches is never left out because of its metadata.

use async_trait::async_trait;

use crate::domain::filter::MetadataFilter;
use crate::domain::filter_subject::PlaceRange;
use crate::domain::ids::{ChunkId, DocumentId, Version};
use crate::fault::Fault;

/// A chunk's vector and what it can be filtered by.
#[derive(Debug, Clone)]
pub struct VectorPoint {
    /// The chunk.
    pub id: ChunkId,
    /// Its unit vector.
    pub vector: Vec<f32>,
    /// The document.
    pub document_id: DocumentId,
    /// The version.
    pub version: Version,
    /// Facet terms of the chunk.
    pub facets: Vec<String>,
    /// Numbers of the document's metadata, for ranges.
    pub numbers: Vec<(String, Vec<f64>)>,
    /// Where it stands in its source, for filters.
    pub place: Option<PlaceRange>,
    /// Reader terms of the document.
    pub readers: Vec<String>,
}

/// A search hit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DenseHit {
    /// The chunk.
    pub id: ChunkId,
    /// Cosine similarity.
    pub score: f32,
}

/// A point as it stands in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredVectorPoint {
    /// Its id.
    pub id: ChunkId,
    /// The document and version it was stored for; none if the point does not say.
    pub owner: Option<(DocumentId, Version)>,
}

/// One collection generation's vectors.
#[async_trait]
pub trait VectorStore: Send + Sync {
    /// Stores points, replacing those of the same id.
    async fn upsert(&self, points: Vec<VectorPoint>) -> Result<(), Fault>;

    /// Removes points by id; unknown ids are fine.
    async fn delete(&self, ids: Vec<ChunkId>) -> Result<(), Fault>;

    /// The nearest `top_k` points.
    async fn search(
        &self,
        vector: Vec<f32>,
        filter: Option<&MetadataFilter>,
        readers: &[String],
        top_k: usize,
    ) -> Result<Vec<DenseHit>, Fault>;

    /// Points of a document with their versions, in any order.
    async fn ids_of(&self, document_id: &DocumentId) -> Result<Vec<(ChunkId, Version)>, Fault>;

    /// All points.
    async fn count(&self) -> Result<u64, Fault>;

    /// Points by id, after `after`, at most `limit`; an empty page is the end. Paging sees every point
    /// that is there all the while, whatever is added or removed meanwhile.
    async fn page(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredVectorPoint>, Fault>;

    /// Those of these points that exist, in any order.
    async fn stored(&self, ids: &[ChunkId]) -> Result<Vec<StoredVectorPoint>, Fault>;
}
