//! Collections that are open in this process: a record, a model, and two stores.
//!
//! Contract: opening the same collection twice gives the same stores (each has one writer).
//! What is opened matches the ledger's record; a collection whose stores or model cannot be
//! opened is a fault, not an empty collection.

use std::sync::Arc;

use async_trait::async_trait;

use super::embedder::Embedder;
use super::ledger::CollectionRecord;
use super::lexical::Lexical;
use super::vectors::Vectors;
use crate::domain::ids::CollectionKey;
use crate::fault::Fault;

/// One collection's active generation, ready to use.
pub struct OpenCollection {
    /// What the ledger says of it.
    pub record: CollectionRecord,
    /// Token bounds of its chunks.
    pub sizes: ChunkSizes,
    /// The model.
    pub embedder: Arc<dyn Embedder>,
    /// The vector store.
    pub vectors: Arc<dyn Vectors>,
    /// The lexical index.
    pub lexical: Arc<dyn Lexical>,
}

/// How large chunks are, in tokens of the embedder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSizes {
    /// Most tokens of the embedded text, special tokens included.
    pub tokens_max: usize,
    /// Size the chunker aims at.
    pub tokens_target: usize,
    /// Special tokens and prefix the embedder adds.
    pub tokens_reserved: usize,
}

/// Opens collections.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// The collection, or none when the ledger does not know it.
    async fn open(&self, key: &CollectionKey) -> Result<Option<Arc<OpenCollection>>, Fault>;
}
