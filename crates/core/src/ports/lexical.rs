//! The lexical index: the read model, and the commit point of every document version.
//!
//! Contract: `commit` publishes all writes of one call together or not at all. It is durable when it
//! returns, and later snapshots see it. A write replaces everything that the index holds of its
//! document: old chunks and old head go, new head and chunks come. A [`LexicalSnapshot`] never changes.
//! There is one writer: opening a second one fails. User text never reaches a query parser; it is
//! analysed into terms.
//!
//! A commit also stores a position: how far the index holds the ledger's log of visible versions
//! ([`super::ledger::Ledger::changes`]).

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::chunk::Chunk;
use crate::domain::document::DocumentHead;
use crate::domain::filter::MetadataFilter;
use crate::domain::ids::{ChunkId, DocumentId};
use crate::fault::Fault;

/// How text becomes terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnalyzerSettings {
    /// English name of the language, such as `english`.
    pub language: String,
    /// Whether words are reduced to their stems.
    pub stem: bool,
    /// Whether the language's stop words are left out.
    pub stop_words: bool,
}

/// One document's new state: a head, and its chunks (none for a tombstone).
#[derive(Debug, Clone)]
pub struct DocumentWrite {
    /// The head.
    pub head: DocumentHead,
    /// The chunks, by ordinal.
    pub chunks: Vec<Chunk>,
}

/// A BM25 hit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LexicalHit {
    /// The chunk.
    pub id: ChunkId,
    /// BM25 score.
    pub score: f32,
}

/// Everything an index holds of a document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexedDocument {
    /// Its head, tombstones included.
    pub head: Option<DocumentHead>,
    /// Its chunks, in any order.
    pub chunks: Vec<ChunkId>,
}

/// Counts of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexCounts {
    /// Documents with a live head.
    pub documents: u64,
    /// Tombstones.
    pub tombstones: u64,
    /// Chunks.
    pub chunks: u64,
}

/// One collection generation's index, with its single writer.
#[async_trait]
pub trait LexicalIndex: Send + Sync {
    /// Publishes writes of different documents, and the position, in one durable step. A position
    /// below the stored one leaves that as it is.
    async fn commit(&self, writes: Vec<DocumentWrite>, position: u64) -> Result<(), Fault>;

    /// The newest committed state.
    fn snapshot(&self) -> Arc<dyn LexicalSnapshot>;

    /// Removes everything it holds of these documents, heads included, in one durable step. Only for
    /// documents that the ledger does not know: a deleted document keeps its tombstone.
    async fn remove(&self, documents: Vec<DocumentId>) -> Result<(), Fault>;

    /// Rewrites files that still hold the text of deleted or replaced documents, so that the disk has it no more. Files
    /// of more than `entries_max` entries are left for another time. Changes no answer. Returns how many were rewritten;
    /// the default is for indexes that hold no files.
    async fn erase_deleted(&self, _entries_max: u32) -> Result<usize, Fault> {
        Ok(0)
    }
}

/// The analysed words of a question, to be found in texts.
pub trait QuestionTerms: Send + Sync {
    /// Distinct terms, at most [`QUESTION_TERMS_MAX`].
    fn count(&self) -> usize;

    /// Calls back for every occurrence, in order: index of the text, byte offset in it, index of the
    /// term.
    fn find(&self, texts: &[&str], found: &mut dyn FnMut(usize, usize, usize));
}

/// Most distinct words of a question that are searched.
pub const QUESTION_TERMS_MAX: usize = 512;

/// An immutable committed state. Calls block briefly, on memory-mapped files.
pub trait LexicalSnapshot: Send + Sync {
    /// A number that grows with every commit.
    fn id(&self) -> u64;

    /// Position up to which it holds the ledger's log of visible versions.
    fn position(&self) -> u64;

    /// The best `top_k` chunks by BM25 for the words of `question`, within filter and readers. Chunks beside those
    /// that have a word may be among them.
    fn search(
        &self,
        question: &str,
        filter: Option<&MetadataFilter>,
        readers: &[String],
        top_k: usize,
    ) -> Result<Vec<LexicalHit>, Fault>;

    /// Whether a chunk that these readers may see has metadata under this key.
    fn has_metadata_key(&self, key: &str, readers: &[String]) -> Result<bool, Fault>;

    /// The analysed words of a question; none when it has none.
    fn question_terms(&self, question: &str) -> Result<Option<Arc<dyn QuestionTerms>>, Fault>;

    /// The chunks of these ids, in order; none for an id that is not in this snapshot.
    fn chunks(&self, ids: &[ChunkId]) -> Result<Vec<Option<Arc<Chunk>>>, Fault>;

    /// The chunks of a document with ordinals in `first..=last`, by ordinal.
    fn chunk_range(&self, document_id: &DocumentId, first: u32, last: u32) -> Result<Vec<Arc<Chunk>>, Fault>;

    /// The head of a document, tombstones included.
    fn head(&self, document_id: &DocumentId) -> Result<Option<DocumentHead>, Fault>;

    /// Everything the snapshot holds of a document.
    fn holding(&self, document_id: &DocumentId) -> Result<IndexedDocument, Fault>;

    /// Documents of which it holds anything, by id, after `after`, at most `limit`; an empty page is the
    /// end.
    fn held(&self, after: Option<&DocumentId>, limit: usize) -> Result<Vec<DocumentId>, Fault>;

    /// Whether it holds the chunks of these ids, in order.
    fn holds(&self, ids: &[ChunkId]) -> Result<Vec<bool>, Fault>;

    /// Totals.
    fn counts(&self) -> Result<IndexCounts, Fault>;
}
