//! Vectors of a server that need not be there yet.
//!
//! A server that is away when a generation is opened is opened by the first call that finds it. Until then every call is
//! a transient fault, so that what needs no vectors works: answers by words, and deletions. A server that is there
//! and refuses, for its version or another shape of the collection, is refused at once.

use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::{CollectionOptions, QdrantConfig, QdrantVectors};
use contexture_core::domain::filter::MetadataFilter;
use contexture_core::domain::ids::{ChunkId, DocumentId, Version};
use contexture_core::fault::Fault;
use contexture_core::ports::vectors::{DenseHit, StoredVectorPoint, VectorPoint, VectorStore};

/// The vectors of one generation on a server, opened when it answers.
pub struct QdrantVectorsOnDemand {
    opened: OnceCell<QdrantVectors>,
    config: QdrantConfig,
    collection: String,
    dims: usize,
    options: CollectionOptions,
}

impl QdrantVectorsOnDemand {
    /// Opens or creates a collection; if the server is away, later.
    pub async fn open(
        config: &QdrantConfig,
        collection: &str,
        dims: usize,
        options: CollectionOptions,
    ) -> Result<Self, Fault> {
        let vectors = Self {
            opened: OnceCell::new(),
            config: config.clone(),
            collection: collection.to_owned(),
            dims,
            options,
        };
        match vectors.get().await {
            Err(Fault::Transient(cause)) => {
                tracing::warn!(
                    collection,
                    what = cause.as_str(),
                    "the vectors are away; answers are lexical until they are back"
                );
            }
            other => drop(other?),
        }
        Ok(vectors)
    }

    async fn get(&self) -> Result<&QdrantVectors, Fault> {
        let open = || QdrantVectors::open(&self.config, &self.collection, self.dims, self.options);
        self.opened.get_or_try_init(open).await
    }
}

#[async_trait]
impl VectorStore for QdrantVectorsOnDemand {
    async fn upsert(&self, points: Vec<VectorPoint>) -> Result<(), Fault> {
        self.get().await?.upsert(points).await
    }

    async fn delete(&self, ids: Vec<ChunkId>) -> Result<(), Fault> {
        self.get().await?.delete(ids).await
    }

    async fn search(
        &self,
        vector: Vec<f32>,
        filter: Option<&MetadataFilter>,
        readers: &[String],
        top_k: usize,
    ) -> Result<Vec<DenseHit>, Fault> {
        self.get().await?.search(vector, filter, readers, top_k).await
    }

    async fn ids_of(&self, document_id: &DocumentId) -> Result<Vec<(ChunkId, Version)>, Fault> {
        self.get().await?.ids_of(document_id).await
    }

    async fn count(&self) -> Result<u64, Fault> {
        self.get().await?.count().await
    }

    async fn page(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredVectorPoint>, Fault> {
        self.get().await?.page(after, limit).await
    }

    async fn stored(&self, ids: &[ChunkId]) -> Result<Vec<StoredVectorPoint>, Fault> {
        self.get().await?.stored(ids).await
    }
}
