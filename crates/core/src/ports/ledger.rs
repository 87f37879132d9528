//! The ledger: the record of everything accepted, from which all else can be rebuilt.
//!
//! Contract: every call is one transaction and durable when it returns. Batches are applied in
//! order. `accept` decides the version fence under the document's lock, so of two concurrent
//! submissions of one document one is first. A version's state only moves forward:
//! accepted → chunked → embedded → visible, superseded or dead. Only `replay` moves a dead one back
//! to accepted. For every collection, at any time,
//! `accepted = in_flight + visible + superseded + dead` (promise C7).
//!
//! Several processes may share one ledger; each opens its own handle. The trait is split by use:
//! the stages ([`Ledger`]), the builds of a collection ([`GenerationLedger`]), callers who list
//! documents ([`DocumentLedger`]), producers who keep a collection in step with a source
//! ([`SourceLedger`]), drops of collections ([`CollectionDropLedger`]), and audits and repairs, which compare
//! the ledger with the stores ([`CollectionStateLedger`]).

use std::time::Duration;

use async_trait::async_trait;

use super::collection_drops::CollectionDropLedger;
use super::converter::ConvertedText;
use super::document_ledger::DocumentLedger;
use super::generations::GenerationLedger;
pub use super::ledger_records::{
    ChangeLogEntry, ChangeLogExtent, CollectionRecord, DeadLetter, DeadLetterFilter, IntakeDecision,
    StoredBody, SubmissionReceipt, UnsweptVersion, VersionCounts, VersionOutcome, VersionRecord,
    VersionState,
};
use super::source_ledger::SourceLedger;
use crate::domain::chunk::ChunkSpan;
use crate::domain::document::Submission;
use crate::domain::ids::{CollectionKey, DocumentId, EmbeddingKey, Epoch, GenerationNumber, VersionKey};
use crate::domain::task::{IngestStage, IngestTask};
use crate::fault::Fault;

/// Default bound of the embedding cache, in bytes (1 GiB).
pub const EMBEDDING_CACHE_BYTES_MAX: u64 = 1 << 30;
/// Overhead of an entry of the embedding cache, beside the 4 bytes of each number.
pub const EMBEDDING_CACHE_ENTRY_BYTES: u64 = 128;
/// Resolution of the last use of a cache entry: a use is written at most once per period, in ms (1
/// hour). So most hits cost no write.
pub const EMBEDDING_CACHE_USE_PERIOD_MS: u64 = 60 * 60 * 1000;

/// Bytes that an entry with this vector takes of the cache's bound.
pub fn embedding_cache_cost(vector: &[f32]) -> u64 {
    EMBEDDING_CACHE_ENTRY_BYTES + 4 * vector.len() as u64
}

/// The ledger, as the stages use it.
#[async_trait]
pub trait Ledger:
    GenerationLedger + CollectionStateLedger + DocumentLedger + CollectionDropLedger + SourceLedger
{
    /// Creates a collection unless it exists; returns what is stored. Its first generation is 1, or
    /// follows the last one of a dropped collection of that name.
    async fn ensure_collection(
        &self,
        key: &CollectionKey,
        pipeline: &str,
        epoch: Epoch,
    ) -> Result<CollectionRecord, Fault>;

    /// A collection, if it exists.
    async fn collection(&self, key: &CollectionKey) -> Result<Option<CollectionRecord>, Fault>;

    /// All collections.
    async fn collections(&self) -> Result<Vec<CollectionRecord>, Fault>;

    /// Decides and stores submissions to existing collections; one receipt each, in order.
    async fn accept(&self, submissions: Vec<Submission>) -> Result<Vec<SubmissionReceipt>, Fault>;

    /// Records that the first stage message of these versions is durable in the broker.
    async fn mark_published(&self, keys: &[VersionKey]) -> Result<(), Fault>;

    /// The outbox: accepted versions whose first message was never confirmed, oldest first.
    async fn unpublished(&self, limit: usize) -> Result<Vec<IngestTask>, Fault>;

    /// In-flight versions whose state has not changed since `before_ms`, oldest first, at most `limit`,
    /// with the stage that each waits for.
    async fn stuck(&self, before_ms: u64, limit: usize) -> Result<Vec<(IngestStage, IngestTask)>, Fault>;

    /// Bodies of versions, in order; none where a version is unknown or its body was removed.
    async fn bodies(&self, keys: &[VersionKey]) -> Result<Vec<Option<StoredBody>>, Fault>;

    /// Keeps what converters made of versions in flight, beside their bodies and for as long. The first of a
    /// version stays. Returns what is kept, in order; none where a version is unknown or has ended.
    async fn keep_conversions(
        &self,
        converted: Vec<(VersionKey, ConvertedText)>,
    ) -> Result<Vec<Option<ConvertedText>>, Fault>;

    /// Stores the spans of versions in flight in a generation and moves them to chunked.
    async fn store_spans(
        &self,
        generation: GenerationNumber,
        spans: Vec<(VersionKey, Vec<ChunkSpan>)>,
    ) -> Result<(), Fault>;

    /// Spans of versions in a generation, in order; none where they were never stored.
    async fn spans(
        &self,
        generation: GenerationNumber,
        keys: &[VersionKey],
    ) -> Result<Vec<Option<Vec<ChunkSpan>>>, Fault>;

    /// Moves versions to embedded.
    async fn mark_embedded(&self, keys: &[VersionKey]) -> Result<(), Fault>;

    /// Records outcomes. Terminal versions stay as they are, except that a visible one becomes
    /// superseded when a newer version becomes visible. One that was committed to a generation that its
    /// collection does not have stays as well: that commit was of a dropped collection. The other outcomes
    /// name no generation, so the caller leaves out those of a dropped collection.
    ///
    /// A version that becomes visible keeps only its spans of the generation it was committed to. Spans
    /// of another generation may be there without staged vectors, and a builder relies on spans.
    async fn finish(&self, outcomes: Vec<(VersionKey, VersionOutcome)>) -> Result<(), Fault>;

    /// Documents of a collection that became visible, or visible anew, after a position, in that order,
    /// at most `limit`. Each appears once, with its currently visible version. From position 0 on this
    /// is every document that a reader may see, tombstones included.
    async fn changes(
        &self,
        collection: &CollectionKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ChangeLogEntry>, Fault>;

    /// Versions of these documents that lost (superseded or dead) and are not swept yet: one entry per
    /// live generation that has chunks of the version, or one entry without chunks.
    async fn unswept_versions(
        &self,
        documents: &[(CollectionKey, DocumentId)],
    ) -> Result<Vec<UnsweptVersion>, Fault>;

    /// Documents that have unswept versions, at most `limit`.
    async fn unswept_documents(&self, limit: usize) -> Result<Vec<(CollectionKey, DocumentId)>, Fault>;

    /// Records that the vectors of these versions are deleted; deletes bodies of superseded versions.
    async fn mark_swept(&self, keys: &[VersionKey]) -> Result<(), Fault>;

    /// The cached vectors of these keys, in order. Records their use.
    async fn cached_vectors(&self, keys: &[EmbeddingKey]) -> Result<Vec<Option<Vec<f32>>>, Fault>;

    /// Adds vectors to the cache. Past the handle's bound the least recently used are evicted until a
    /// sixteenth of it is free. A bound of 0 keeps nothing. A lowered bound is reached over several
    /// calls.
    async fn cache_vectors(&self, vectors: Vec<(EmbeddingKey, Vec<f32>)>) -> Result<(), Fault>;

    /// Claims texts that are about to be embedded, or renews this handle's claims, for `ttl` from now.
    /// False where another handle has the claim. A claim saves money and is no lock: a paused process
    /// may go on past its end. The default is for ledgers of one process, which have no other handle.
    async fn claim_texts(&self, keys: &[EmbeddingKey], _ttl: Duration) -> Result<Vec<bool>, Fault> {
        Ok(vec![true; keys.len()])
    }

    /// Ends claims of this handle early.
    async fn release_texts(&self, _keys: &[EmbeddingKey]) -> Result<(), Fault> {
        Ok(())
    }

    /// Deletes claims that ended at least this long ago, because their processes are gone. Returns how
    /// many.
    async fn forget_claims(&self, _ended: Duration) -> Result<u64, Fault> {
        Ok(0)
    }

    /// Overwrites what the ledger's own files still hold of deleted rows, where that is its work. The default is for
    /// servers, which have operators for that.
    async fn erase_deleted(&self) -> Result<(), Fault> {
        Ok(())
    }

    /// Versions of a document, newest first.
    async fn history(
        &self,
        collection: &CollectionKey,
        document_id: &DocumentId,
    ) -> Result<Vec<VersionRecord>, Fault>;

    /// Versions by state.
    async fn counts(&self, collection: &CollectionKey) -> Result<VersionCounts, Fault>;

    /// Dead letters by number, which is oldest first, at most `limit`.
    async fn dead(&self, filter: &DeadLetterFilter, limit: usize) -> Result<Vec<DeadLetter>, Fault>;

    /// Moves dead versions back to accepted. Those that a newer version has overtaken become superseded
    /// instead. Returns the tasks to publish.
    async fn replay(&self, ids: &[u64]) -> Result<Vec<IngestTask>, Fault>;

    /// Removes dead letters from the list; their versions become superseded, and submitting their content
    /// again makes a new version. Returns how many.
    async fn drop_dead_letters(&self, ids: &[u64]) -> Result<u64, Fault>;

    /// Takes or renews the lease of a role for `ttl` from now; false while another handle has it. A lease
    /// saves work and is no lock: a paused process may go on past its end. So what is done under a lease
    /// must be safe to do twice.
    async fn acquire_lease(&self, role: &str, ttl: Duration) -> Result<bool, Fault>;

    /// Ends a lease early, if this handle has it.
    async fn release_lease(&self, role: &str) -> Result<(), Fault>;
}

/// The ledger, as audits and repairs compare it with the stores.
///
/// What a document may have in a store belongs to its visible version, to one in flight, or to one that
/// lost and is not swept yet. All other versions have left nothing that is wanted.
#[async_trait]
pub trait CollectionStateLedger: Send + Sync {
    /// The versions of each document that may have data in a store, oldest first: the visible one, those
    /// in flight, and unswept ones. Chunks are counted in this generation.
    async fn versions_in_stores(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        documents: &[DocumentId],
    ) -> Result<Vec<Vec<VersionRecord>>, Fault>;

    /// The extent of a collection's log.
    async fn log_extent(&self, collection: &CollectionKey) -> Result<ChangeLogExtent, Fault>;
}
