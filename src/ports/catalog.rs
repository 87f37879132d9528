//! Collections that are open in this process: a record, a model, and two stores.
//!
//! Contract: opening the same collection twice gives the same stores (each has one writer).
//! What is opened matches the ledger's record; a collection whose stores or model cannot be
//! opened is a fault, not an empty collection. A process that only chunks or embeds opens no
//! lexical index.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use tokio::sync::{Mutex, watch};

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
    /// Held from the decision about a version to its commit: the index has one writer.
    pub writing: Mutex<()>,
    lexical: Option<Arc<dyn Lexical>>,
    followed: AtomicU64,
    ready: watch::Sender<bool>,
    lacking: AtomicBool,
}

/// What a collection consists of.
pub struct Parts {
    /// What the ledger says of it.
    pub record: CollectionRecord,
    /// Token bounds of its chunks.
    pub sizes: ChunkSizes,
    /// The model.
    pub embedder: Arc<dyn Embedder>,
    /// The vector store.
    pub vectors: Arc<dyn Vectors>,
    /// The lexical index, in a process that has one.
    pub lexical: Option<Arc<dyn Lexical>>,
}

impl OpenCollection {
    /// A collection of these parts; `ready` when its index holds all that it should already.
    pub fn new(parts: Parts, ready: bool) -> Self {
        let Parts { record, sizes, embedder, vectors, lexical } = parts;
        let followed = lexical.as_ref().map_or(0, |lexical| lexical.snapshot().position());
        Self {
            record,
            sizes,
            embedder,
            vectors,
            writing: Mutex::new(()),
            lexical,
            followed: AtomicU64::new(followed),
            ready: watch::Sender::new(ready),
            lacking: AtomicBool::new(false),
        }
    }

    /// The lexical index; a fault in a process that has none.
    pub fn lexical(&self) -> Result<&Arc<dyn Lexical>, Fault> {
        self.lexical
            .as_ref()
            .ok_or_else(|| Fault::permanent("no_index_here", "this process holds no lexical index"))
    }

    /// How far the index holds the ledger's log, whether that is stored yet or not.
    pub fn followed(&self) -> u64 {
        self.followed.load(Ordering::Acquire)
    }

    /// Notes that the index holds the log up to here.
    pub fn follow_to(&self, position: u64) {
        self.followed.fetch_max(position, Ordering::AcqRel);
    }

    /// Notes that the index holds all that it should.
    pub fn set_ready(&self) {
        self.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
    }

    /// Returns once the index holds all that it should when it was opened.
    pub async fn until_ready(&self) {
        // The sender lives in self, so the channel cannot close first.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }
}

impl OpenCollection {
    /// Whether its stores are known to lack documents that the ledger has: answers say so.
    pub fn is_lacking(&self) -> bool {
        self.lacking.load(Ordering::Acquire)
    }

    /// Notes whether they do, as whoever compared them found.
    pub fn set_lacking(&self, lacking: bool) {
        self.lacking.store(lacking, Ordering::Release);
    }
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

    /// The collections that are open.
    async fn opened(&self) -> Vec<Arc<OpenCollection>>;
}
