//! The ledger: the record of everything accepted, from which all else can be rebuilt.
//!
//! Contract: every call is one transaction, durable when it returns; batches are applied in
//! order. `accept` decides the version fence under the document's lock, so of two concurrent
//! submissions of a document one is first. A version's state moves only forward:
//! accepted → chunked → embedded → visible, superseded or dead; `replay` alone moves a dead
//! one back to accepted. For every collection, at any time,
//! `accepted = in_flight + visible + superseded + dead` (promise C7).
//!
//! Several processes may share one ledger: each opens a handle of its own.

use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use super::collection_state::CollectionStateLedger;
use super::generations::GenerationLedger;
use crate::domain::chunk::ChunkSpan;
use crate::domain::document::{DocumentDescription, Submission};
use crate::domain::ids::{
    CollectionKey, ContentHash, DocumentId, EmbeddingKey, Epoch, GenerationNumber, Version, VersionKey,
};
use crate::domain::task::{IngestStage, IngestTask};
use crate::fault::{FailureReason, Fault};

/// The embedding cache's bound unless another is given, in bytes (1 GiB).
pub const EMBEDDING_CACHE_BYTES_MAX: u64 = 1 << 30;
/// What an entry of the embedding cache costs beside the 4 bytes of each number.
pub const EMBEDDING_CACHE_ENTRY_BYTES: u64 = 128;
/// How finely the embedding cache tells when an entry was used last: a use is noted at most
/// once per period, in ms (1 hour).
pub const EMBEDDING_CACHE_USE_PERIOD_MS: u64 = 60 * 60 * 1000;

/// Bytes an entry with this vector takes of the embedding cache's bound.
pub fn embedding_cache_cost(vector: &[f32]) -> u64 {
    EMBEDDING_CACHE_ENTRY_BYTES + 4 * vector.len() as u64
}

/// A collection and one of its generations: the active one, where nothing else is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionRecord {
    /// Its key.
    pub key: CollectionKey,
    /// The generation's pipeline definition, as TOML.
    pub pipeline: String,
    /// The generation.
    pub generation: GenerationNumber,
    /// That generation's epoch.
    pub epoch: Epoch,
}

/// How a submission was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IntakeDecision {
    /// Stored; it will be processed.
    Accepted,
    /// Nothing to do: this content is what the document already has.
    Duplicate,
    /// The same version is stored with other content.
    Conflict,
    /// A higher version is stored already.
    Superseded,
}

/// The answer to one submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmissionReceipt {
    /// The version it has, or that beat it.
    pub version: Version,
    /// How it was decided.
    pub intake: IntakeDecision,
    /// The task to publish, when accepted.
    pub task: Option<IngestTask>,
}

/// Where a version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionState {
    /// Stored, not yet chunked.
    Accepted,
    /// Spans are stored.
    Chunked,
    /// Vectors are staged.
    Embedded,
    /// Committed to the index.
    Visible,
    /// A newer version won.
    Superseded,
    /// Given up, with a reason.
    Dead,
}

impl VersionState {
    /// The name in answers and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Chunked => "chunked",
            Self::Embedded => "embedded",
            Self::Visible => "visible",
            Self::Superseded => "superseded",
            Self::Dead => "dead",
        }
    }

    /// Whether nothing more will happen to it by itself.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Visible | Self::Superseded | Self::Dead)
    }
}

/// A stored body and what was said about it.
#[derive(Debug, Clone)]
pub struct StoredBody {
    /// The bytes as submitted.
    pub body: Vec<u8>,
    /// Title, type, metadata, readers.
    pub description: DocumentDescription,
    /// The fingerprint at intake.
    pub content_hash: ContentHash,
    /// The version's state now.
    pub state: VersionState,
    /// Whether a newer version of the document is visible already.
    pub overtaken: bool,
}

/// One version in a document's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRecord {
    /// The version.
    pub key: VersionKey,
    /// Where it is.
    pub state: VersionState,
    /// Why it is dead.
    pub reason: Option<FailureReason>,
    /// Whether it deletes the document.
    pub deletes: bool,
    /// Its fingerprint.
    pub content_hash: ContentHash,
    /// Bytes of its body.
    pub body_bytes: u64,
    /// Chunks, once chunked.
    pub chunk_count: Option<u32>,
    /// When it was accepted, ms since the Unix epoch.
    pub accepted_ms: u64,
    /// When its state last changed.
    pub updated_ms: u64,
}

/// Versions of a collection by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct VersionCounts {
    /// Every version ever accepted.
    pub accepted: u64,
    /// Not yet terminal.
    pub in_flight: u64,
    /// Serving; at most one per document.
    pub visible: u64,
    /// Beaten by a newer version.
    pub superseded: u64,
    /// Given up.
    pub dead: u64,
    /// Documents with a live (not deleted) visible version.
    pub documents: u64,
}

/// What ended a version, as `settle` records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionOutcome {
    /// Committed to the index of this generation; the version that was visible before becomes
    /// superseded.
    Visible(GenerationNumber),
    /// A newer version was committed first.
    Superseded,
    /// Given up.
    Dead(IngestStage, FailureReason),
}

/// A dead version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Number to address it by.
    pub id: u64,
    /// The version.
    pub key: VersionKey,
    /// The stage that gave up.
    pub stage: IngestStage,
    /// Why.
    pub reason: FailureReason,
    /// When, ms since the Unix epoch.
    pub died_ms: u64,
}

/// Which dead letters.
#[derive(Debug, Clone, Default)]
pub struct DeadLetterFilter {
    /// Only these numbers, if any are given.
    pub ids: Vec<u64>,
    /// Only this collection.
    pub collection: Option<CollectionKey>,
    /// Only this reason code.
    pub reason: Option<String>,
    /// Only this stage.
    pub stage: Option<IngestStage>,
    /// Only those that died at or after this time, ms since the Unix epoch.
    pub since_ms: Option<u64>,
}

/// An entry of the log of visible versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeLogEntry {
    /// Grows by one with every version of the collection that becomes visible.
    pub position: u64,
    /// The document's visible version.
    pub task: IngestTask,
}

/// A version whose staged vectors are no longer wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsweptVersion {
    /// The version.
    pub key: VersionKey,
    /// Its fingerprint.
    pub content_hash: ContentHash,
    /// Its chunks in this generation, ordinals `0..chunk_count`.
    pub chunk_count: u32,
    /// The generation they were made for.
    pub generation: GenerationNumber,
    /// That generation's epoch.
    pub epoch: Epoch,
}

/// The write model.
#[async_trait]
pub trait Ledger: GenerationLedger + CollectionStateLedger {
    /// Creates a collection with generation 1 unless it exists; returns what is stored.
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

    /// Decides and stores submissions of existing collections; one receipt each, in order.
    async fn accept(&self, submissions: Vec<Submission>) -> Result<Vec<SubmissionReceipt>, Fault>;

    /// Notes that the first stage message of these versions is durable in the broker.
    async fn mark_published(&self, keys: &[VersionKey]) -> Result<(), Fault>;

    /// Accepted versions whose first message was never confirmed, oldest first (the outbox).
    async fn unpublished(&self, limit: usize) -> Result<Vec<IngestTask>, Fault>;

    /// In-flight versions whose state has not moved since `before_ms`, oldest first, at most
    /// `limit`; with the stage each waits for.
    async fn stuck(&self, before_ms: u64, limit: usize) -> Result<Vec<(IngestStage, IngestTask)>, Fault>;

    /// Bodies of versions, in order; none where a version is unknown or its body was removed.
    async fn bodies(&self, keys: &[VersionKey]) -> Result<Vec<Option<StoredBody>>, Fault>;

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

    /// Records endings. Versions that are terminal already stay as they are, except that
    /// visible yields to superseded when a newer version becomes visible. One that becomes visible
    /// keeps its spans of the generation it was committed to, and no others: who had begun it again
    /// in another may not have staged its vectors there, and a builder goes by the spans.
    async fn finish(&self, endings: Vec<(VersionKey, VersionOutcome)>) -> Result<(), Fault>;

    /// The documents of a collection that became visible, or visible anew, after a position, in
    /// that order, at most `limit`; each once, with its visible version of now. From 0 on it
    /// is every document that a reader may see, tombstones included.
    async fn changes(
        &self,
        collection: &CollectionKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ChangeLogEntry>, Fault>;

    /// Versions of these documents that lost (superseded or dead) and were not swept yet: one
    /// entry per live generation that has chunks of it, or one without chunks.
    async fn losers(&self, documents: &[(CollectionKey, DocumentId)]) -> Result<Vec<UnsweptVersion>, Fault>;

    /// Documents that have losers, at most `limit`.
    async fn unswept(&self, limit: usize) -> Result<Vec<(CollectionKey, DocumentId)>, Fault>;

    /// Notes that the vectors of these versions are gone; bodies of superseded versions go too.
    async fn mark_swept(&self, keys: &[VersionKey]) -> Result<(), Fault>;

    /// The cached vectors of these keys, in order; notes their use.
    async fn cached_vectors(&self, keys: &[EmbeddingKey]) -> Result<Vec<Option<Vec<f32>>>, Fault>;

    /// Adds vectors to the cache. Past the handle's bound the least recently used go, until a
    /// sixteenth of it is free. A bound of 0 keeps nothing; one that was lowered is reached over
    /// several calls.
    async fn cache_vectors(&self, vectors: Vec<(EmbeddingKey, Vec<f32>)>) -> Result<(), Fault>;

    /// Claims texts that are about to be embedded, or renews this handle's claims, for `ttl` from now;
    /// false where another handle has the claim. It saves money and excludes nobody: who was paused
    /// may go on past its end. A ledger of one process has nobody else to claim from.
    async fn claim_texts(&self, keys: &[EmbeddingKey], _ttl: Duration) -> Result<Vec<bool>, Fault> {
        Ok(vec![true; keys.len()])
    }

    /// Ends those claims that this handle has before their time.
    async fn release_texts(&self, _keys: &[EmbeddingKey]) -> Result<(), Fault> {
        Ok(())
    }

    /// Removes what is left of claims that ended so long ago: their processes are gone. Returns how
    /// many.
    async fn forget_claims(&self, _ended: Duration) -> Result<u64, Fault> {
        Ok(0)
    }

    /// Versions of a document, newest first.
    async fn history(
        &self,
        collection: &CollectionKey,
        document_id: &DocumentId,
    ) -> Result<Vec<VersionRecord>, Fault>;

    /// Versions by state.
    async fn counts(&self, collection: &CollectionKey) -> Result<VersionCounts, Fault>;

    /// Dead letters, oldest first, at most `limit`.
    async fn dead(&self, filter: &DeadLetterFilter, limit: usize) -> Result<Vec<DeadLetter>, Fault>;

    /// Moves dead versions back to accepted, to be published again; those a newer version has
    /// overtaken become superseded instead. Returns the tasks to publish.
    async fn replay(&self, ids: &[u64]) -> Result<Vec<IngestTask>, Fault>;

    /// Removes dead letters from the list; their versions stay dead. Returns how many.
    async fn drop_dead(&self, ids: &[u64]) -> Result<u64, Fault>;

    /// Takes or renews the lease of a role for `ttl` from now; false while another handle has
    /// it. It saves work and excludes nobody: who was paused may go on past its end, so what is
    /// done under a lease must bear being done twice.
    async fn lead(&self, role: &str, ttl: Duration) -> Result<bool, Fault>;

    /// Gives a lease up before its end, if this handle has it.
    async fn resign(&self, role: &str) -> Result<(), Fault>;
}
