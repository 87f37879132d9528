//! Collections that are open in this process: a record, a model and two stores.
//!
//! Contract: opening the same generation twice gives the same stores, because each has one writer.
//! What is opened matches the ledger's record. A collection whose stores or model cannot be opened is
//! a fault, not an empty collection. A process that only chunks or embeds opens no lexical index.
//!
//! Which generation serves is looked up once. After that it changes only by [`CollectionCatalog::serve`].
//! Whoever opened a collection keeps its generation to the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use tokio::sync::{Mutex, watch};

use super::embedder::Embedder;
use super::ledger::CollectionRecord;
use super::lexical::LexicalIndex;
use super::vectors::VectorStore;
use crate::domain::ids::CollectionKey;
use crate::domain::pipeline::ChunkerKind;
use crate::fault::Fault;

/// One generation of a collection, ready to use.
pub struct OpenCollection {
    /// Its record in the ledger.
    pub record: CollectionRecord,
    /// Token bounds of its chunks.
    pub sizes: EmbedderChunkSizes,
    /// The model.
    pub embedder: Arc<dyn Embedder>,
    /// The vector store.
    pub vectors: Arc<dyn VectorStore>,
    /// Held from the decision about a version to its commit, so that no other version of the document
    /// is committed in between.
    pub writing: Mutex<()>,
    lexical: Option<Arc<dyn LexicalIndex>>,
    outdated: Option<String>,
    log_position: AtomicU64,
    ready: watch::Sender<bool>,
    incomplete: AtomicBool,
    dense_fails: AtomicBool,
}

/// The parts of an open collection.
pub struct CollectionParts {
    /// Its record in the ledger.
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
    /// A collection of these parts; `ready` if its index is complete already.
    pub fn new(parts: CollectionParts, ready: bool) -> Self {
        let CollectionParts { record, sizes, embedder, vectors, lexical } = parts;
        // A new process continues where the last commit of the index ended.
        let log_position = lexical.as_ref().map_or(0, |lexical| lexical.snapshot().position());
        Self {
            record,
            sizes,
            embedder,
            vectors,
            writing: Mutex::new(()),
            lexical,
            outdated: None,
            log_position: AtomicU64::new(log_position),
            ready: watch::Sender::new(ready),
            incomplete: AtomicBool::new(false),
            dense_fails: AtomicBool::new(false),
        }
    }

    /// The same collection, marked as built by another model, chunker or schema than this program's, as
    /// `why` says. It serves as it is and accepts no documents.
    #[must_use]
    pub fn outdated(self, why: Option<String>) -> Self {
        Self { outdated: why, ..self }
    }

    /// Refuses where new documents would be processed otherwise than the stored ones. Nothing is wrong
    /// with the documents, so the fault costs no attempt.
    pub fn check_accepts_documents(&self) -> Result<(), Fault> {
        self.outdated.as_ref().map_or(Ok(()), |why| Err(Fault::unauthorized(why.clone())))
    }

    /// The lexical index; a fault in a process that has none.
    pub fn lexical(&self) -> Result<&Arc<dyn LexicalIndex>, Fault> {
        self.lexical
            .as_ref()
            .ok_or_else(|| Fault::permanent("no_index_here", "this process holds no lexical index"))
    }

    /// Position in the ledger's log up to which the index holds it, stored or not yet.
    pub fn log_position(&self) -> u64 {
        self.log_position.load(Ordering::Acquire)
    }

    /// Records that the index holds the log up to `position`. Never moves back.
    pub fn advance_log_position(&self, position: u64) {
        self.log_position.fetch_max(position, Ordering::AcqRel);
    }

    /// Records that the index is complete.
    pub fn set_ready(&self) {
        // Wakes the waiters once; later calls change nothing.
        self.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
    }

    /// Returns once the index holds all that was in the log when the collection was opened.
    pub async fn until_ready(&self) {
        // The sender lives in self, so the channel cannot close first.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Whether its stores are known to lack documents that the ledger has. Answers say so.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete.load(Ordering::Acquire)
    }

    /// Records whether the vectors answered a question; true if that was otherwise before. So a log can say it once.
    pub fn dense_answered(&self, answered: bool) -> bool {
        self.dense_fails.swap(!answered, Ordering::AcqRel) == answered
    }

    /// Records the result of comparing the stores with the ledger.
    pub fn set_incomplete(&self, incomplete: bool) {
        self.incomplete.store(incomplete, Ordering::Release);
    }
}

/// Sizes of chunks, in tokens of the embedder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbedderChunkSizes {
    /// Where texts are cut.
    pub chunker: ChunkerKind,
    /// Most tokens of the embedded text, special tokens included.
    pub tokens_max: usize,
    /// Size that the chunker aims at.
    pub tokens_target: usize,
    /// Special tokens and prefix that the embedder adds.
    pub tokens_reserved: usize,
}

/// Opens collections.
#[async_trait]
pub trait CollectionCatalog: Send + Sync {
    /// The generation that serves here; none when the ledger does not know the collection.
    async fn open(&self, key: &CollectionKey) -> Result<Option<Arc<OpenCollection>>, Fault>;

    /// One live generation of a collection, whether it serves or not.
    ///
    /// The default implementation knows only the generation that serves.
    async fn open_generation(&self, home: &CollectionRecord) -> Result<Arc<OpenCollection>, Fault> {
        let open = self.open(&home.key).await?.filter(|open| open.record.generation == home.generation);
        open.ok_or_else(|| {
            let detail = format!("generation {} is not here", home.generation);
            Fault::permanent("unknown_generation", detail)
        })
    }

    /// Makes an open generation the serving one. Handles given out before stay usable.
    async fn serve(&self, _open: &Arc<OpenCollection>) {}

    /// The serving generations of all open collections.
    async fn opened(&self) -> Vec<Arc<OpenCollection>>;

    /// Closes a dropped generation and deletes its files on this machine; with `shared` also its data in
    /// shared engines. A generation that still serves here, because the active one is not ready, stays;
    /// with `shared` that is a transient fault.
    async fn remove(&self, _home: &CollectionRecord, _shared: bool) -> Result<(), Fault> {
        Ok(())
    }

    /// Closes generations of dropped collections, whether they serve or not, and deletes their files on
    /// this machine; with `shared` also their data in shared engines. Handles given out before stay usable
    /// until they are dropped, as far as their files go. Does nothing where nothing is left.
    async fn remove_collection(&self, _homes: &[CollectionRecord], _shared: bool) -> Result<(), Fault> {
        Ok(())
    }
}
