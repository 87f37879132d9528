//! Collections that are open in this process: a record, a model, and two stores.
//!
//! Contract: opening the same generation twice gives the same stores (each has one writer).
//! What is opened matches the ledger's record; a collection whose stores or model cannot be
//! opened is a fault, not an empty collection. A process that only chunks or embeds opens no
//! lexical index. Which generation serves is looked up once, and then changes by
//! [`CollectionCatalog::serve`] alone: whoever opened a collection keeps its generation to the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use tokio::sync::{Mutex, watch};

use super::embedder::Embedder;
use super::ledger::CollectionRecord;
use super::lexical::LexicalIndex;
use super::vectors::VectorStore;
use crate::domain::ids::CollectionKey;
use crate::fault::Fault;

/// One generation of a collection, ready to use.
pub struct OpenCollection {
    /// What the ledger says of it.
    pub record: CollectionRecord,
    /// Token bounds of its chunks.
    pub sizes: EmbedderChunkSizes,
    /// The model.
    pub embedder: Arc<dyn Embedder>,
    /// The vector store.
    pub vectors: Arc<dyn VectorStore>,
    /// Held from the decision about a version to its commit: the index has one writer.
    pub writing: Mutex<()>,
    lexical: Option<Arc<dyn LexicalIndex>>,
    outdated: Option<String>,
    followed: AtomicU64,
    ready: watch::Sender<bool>,
    lacking: AtomicBool,
}

/// What a collection consists of.
pub struct CollectionParts {
    /// What the ledger says of it.
    pub record: CollectionRecord,
    /// Token bounds of its chunks.
    pub sizes: EmbedderChunkSizes,
    /// The model.
    pub embedder: Arc<dyn Embedder>,
    /// The vector store.
    pub vectors: Arc<dyn VectorStore>,
    /// The lexical index, in a process that has one.
    pub lexical: Option<Arc<dyn LexicalIndex>>,
}

impl OpenCollection {
    /// A collection of these parts; `ready` when its index holds all that it should already.
    pub fn new(parts: CollectionParts, ready: bool) -> Self {
        let CollectionParts { record, sizes, embedder, vectors, lexical } = parts;
        let followed = lexical.as_ref().map_or(0, |lexical| lexical.snapshot().position());
        Self {
            record,
            sizes,
            embedder,
            vectors,
            writing: Mutex::new(()),
            lexical,
            outdated: None,
            followed: AtomicU64::new(followed),
            ready: watch::Sender::new(ready),
            lacking: AtomicBool::new(false),
        }
    }

    /// The same, built by another model, chunker or schema than this program's, as `why` says: it is
    /// served as it is, and takes in nothing.
    #[must_use]
    pub fn outdated(self, why: Option<String>) -> Self {
        Self { outdated: why, ..self }
    }

    /// Refuses where documents would be processed otherwise than those that are there: nothing is
    /// wrong with them, and no attempt is spent.
    pub fn takes_in(&self) -> Result<(), Fault> {
        self.outdated.as_ref().map_or(Ok(()), |why| Err(Fault::Unauthorized(why.clone())))
    }

    /// The lexical index; a fault in a process that has none.
    pub fn lexical(&self) -> Result<&Arc<dyn LexicalIndex>, Fault> {
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
pub struct EmbedderChunkSizes {
    /// Most tokens of the embedded text, special tokens included.
    pub tokens_max: usize,
    /// Size the chunker aims at.
    pub tokens_target: usize,
    /// Special tokens and prefix the embedder adds.
    pub tokens_reserved: usize,
}

/// Opens collections.
#[async_trait]
pub trait CollectionCatalog: Send + Sync {
    /// The collection as it serves here, or none when the ledger does not know it.
    async fn open(&self, key: &CollectionKey) -> Result<Option<Arc<OpenCollection>>, Fault>;

    /// One live generation of a collection, whether it serves or not.
    ///
    /// A catalog without other generations than those that serve has those.
    async fn open_generation(&self, home: &CollectionRecord) -> Result<Arc<OpenCollection>, Fault> {
        let open = self.open(&home.key).await?.filter(|open| open.record.generation == home.generation);
        open.ok_or_else(|| {
            let detail = format!("generation {} is not here", home.generation);
            Fault::permanent("unknown_generation", detail)
        })
    }

    /// Lets an open generation serve from now on. What was handed out before stays usable.
    async fn serve(&self, _open: &Arc<OpenCollection>) {}

    /// The collections that are open, as they serve.
    async fn opened(&self) -> Vec<Arc<OpenCollection>>;

    /// Closes a dropped generation and removes what this machine holds of it; with `shared` also what
    /// engines beside it hold. One that still serves here, because the active one cannot yet, stays; with
    /// `shared` that is a fault that passes.
    async fn remove(&self, _home: &CollectionRecord, _shared: bool) -> Result<(), Fault> {
        Ok(())
    }
}
