//! The ledger port on SQLite. Each call is one closure on a reading or the writing connection.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;

use super::{
    SqliteDatabase, change_log, conversions, embedding_cache, intake, stages, version_outcomes,
    version_queries,
};
use contexture_core::domain::chunk::ChunkSpan;
use contexture_core::domain::document::Submission;
use contexture_core::domain::ids::{
    CollectionKey, DocumentId, EmbeddingKey, Epoch, GenerationNumber, VersionKey,
};
use contexture_core::domain::task::{IngestStage, IngestTask};
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::converter::ConvertedText;
use contexture_core::ports::ledger::{
    ChangeLogEntry, CollectionRecord, DeadLetter, DeadLetterFilter, EMBEDDING_CACHE_BYTES_MAX, Ledger,
    StoredBody, SubmissionReceipt, UnsweptVersion, VersionCounts, VersionOutcome, VersionRecord,
};

/// The ledger in a SQLite file.
#[derive(Clone)]
pub struct SqliteLedger {
    database: SqliteDatabase,
    clock: Arc<dyn WallClock>,
    holder: u64,
    cache_bytes_max: u64,
}

impl SqliteLedger {
    /// Creates a handle on the ledger of an open file. Clones of a handle share its leases.
    pub fn new(database: SqliteDatabase, clock: Arc<dyn WallClock>) -> Self {
        let holder = database.0.leases.new_holder();
        Self { database, clock, holder, cache_bytes_max: EMBEDDING_CACHE_BYTES_MAX }
    }

    /// The same handle with another bound of its embedding cache; 0 caches nothing.
    #[must_use]
    pub fn with_cache_bytes_max(self, cache_bytes_max: u64) -> Self {
        Self { cache_bytes_max, ..self }
    }
}

impl SqliteLedger {
    pub(super) fn database(&self) -> &SqliteDatabase {
        &self.database
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn ensure_collection(
        &self,
        key: &CollectionKey,
        pipeline: &str,
        epoch: Epoch,
    ) -> Result<CollectionRecord, Fault> {
        // Copies, here and below: the closure moves to the thread of a connection.
        let (key, pipeline, now_ms) = (key.clone(), pipeline.to_owned(), self.clock.now_ms());
        self.database
            .write("ensure collection", move |db| {
                intake::ensure_collection(db, &key, &pipeline, epoch, now_ms)
            })
            .await
    }

    async fn collection(&self, key: &CollectionKey) -> Result<Option<CollectionRecord>, Fault> {
        let key = key.clone();
        self.database.read("collection", move |db| intake::find_collection(db, &key)).await
    }

    async fn collections(&self) -> Result<Vec<CollectionRecord>, Fault> {
        self.database.read("collections", intake::list_collections).await
    }

    async fn accept(&self, submissions: Vec<Submission>) -> Result<Vec<SubmissionReceipt>, Fault> {
        let now_ms = self.clock.now_ms();
        self.database.write("accept", move |db| intake::accept_submissions(db, &submissions, now_ms)).await
    }

    async fn mark_published(&self, keys: &[VersionKey]) -> Result<(), Fault> {
        let keys = keys.to_vec();
        self.database.write("mark published", move |db| stages::mark_published(db, &keys)).await
    }

    async fn unpublished(&self, limit: usize) -> Result<Vec<IngestTask>, Fault> {
        self.database.read("unpublished", move |db| stages::read_unpublished_tasks(db, limit)).await
    }

    async fn stuck(&self, before_ms: u64, limit: usize) -> Result<Vec<(IngestStage, IngestTask)>, Fault> {
        self.database.read("stuck", move |db| stages::read_stuck_tasks(db, before_ms, limit)).await
    }

    async fn bodies(&self, keys: &[VersionKey]) -> Result<Vec<Option<StoredBody>>, Fault> {
        let keys = keys.to_vec();
        self.database.read("bodies", move |db| stages::read_bodies(db, &keys)).await
    }

    async fn keep_conversions(
        &self,
        converted: Vec<(VersionKey, ConvertedText)>,
    ) -> Result<Vec<Option<ConvertedText>>, Fault> {
        self.database.write("keep conversions", move |db| conversions::keep_conversions(db, &converted)).await
    }

    async fn store_spans(
        &self,
        generation: GenerationNumber,
        spans: Vec<(VersionKey, Vec<ChunkSpan>)>,
    ) -> Result<(), Fault> {
        let now_ms = self.clock.now_ms();
        self.database
            .write("store spans", move |db| stages::store_spans(db, generation, &spans, now_ms))
            .await
    }

    async fn spans(
        &self,
        generation: GenerationNumber,
        keys: &[VersionKey],
    ) -> Result<Vec<Option<Vec<ChunkSpan>>>, Fault> {
        let keys = keys.to_vec();
        self.database.read("spans", move |db| stages::read_spans(db, generation, &keys)).await
    }

    async fn mark_embedded(&self, keys: &[VersionKey]) -> Result<(), Fault> {
        let (keys, now_ms) = (keys.to_vec(), self.clock.now_ms());
        self.database.write("mark embedded", move |db| stages::mark_embedded(db, &keys, now_ms)).await
    }

    async fn finish(&self, outcomes: Vec<(VersionKey, VersionOutcome)>) -> Result<(), Fault> {
        let now_ms = self.clock.now_ms();
        self.database
            .write("finish", move |db| version_outcomes::finish_versions(db, &outcomes, now_ms))
            .await
    }

    async fn changes(
        &self,
        collection: &CollectionKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ChangeLogEntry>, Fault> {
        let collection = collection.clone();
        self.database.read("changes", move |db| change_log::read_changes(db, &collection, after, limit)).await
    }

    async fn unswept_versions(
        &self,
        documents: &[(CollectionKey, DocumentId)],
    ) -> Result<Vec<UnsweptVersion>, Fault> {
        let documents = documents.to_vec();
        self.database
            .read("unswept versions", move |db| version_outcomes::read_unswept_versions(db, &documents))
            .await
    }

    async fn unswept_documents(&self, limit: usize) -> Result<Vec<(CollectionKey, DocumentId)>, Fault> {
        self.database
            .read("unswept documents", move |db| version_outcomes::read_unswept_documents(db, limit))
            .await
    }

    async fn erase_deleted(&self) -> Result<(), Fault> {
        self.database.truncate_log().await
    }

    async fn mark_swept(&self, keys: &[VersionKey]) -> Result<(), Fault> {
        let keys = keys.to_vec();
        self.database.write("mark swept", move |db| version_outcomes::mark_swept(db, &keys)).await
    }

    async fn cached_vectors(&self, keys: &[EmbeddingKey]) -> Result<Vec<Option<Vec<f32>>>, Fault> {
        // Entries of an earlier bound may be left. A cache that is off must not answer from them.
        if self.cache_bytes_max == 0 {
            return Ok(vec![None; keys.len()]);
        }
        let (keys, now_ms) = (keys.to_vec(), self.clock.now_ms());
        let embedding_cache::SqliteCacheLookup { vectors, stale } = self
            .database
            .read("cached vectors", move |db| embedding_cache::read_cached_vectors(db, &keys, now_ms))
            .await?;
        // A second call: reads stay off the writer unless a use has to be recorded. A process that only
        // reads records none.
        if !stale.is_empty() && !self.database.is_read_only() {
            self.database
                .write("cached vectors", move |db| embedding_cache::mark_entries_used(db, &stale, now_ms))
                .await?;
        }
        Ok(vectors)
    }

    async fn cache_vectors(&self, vectors: Vec<(EmbeddingKey, Vec<f32>)>) -> Result<(), Fault> {
        let (bytes_max, now_ms) = (self.cache_bytes_max, self.clock.now_ms());
        self.database
            .write("cache vectors", move |db| embedding_cache::cache_vectors(db, &vectors, bytes_max, now_ms))
            .await
    }

    async fn history(
        &self,
        collection: &CollectionKey,
        document_id: &DocumentId,
    ) -> Result<Vec<VersionRecord>, Fault> {
        let (collection, document_id) = (collection.clone(), document_id.clone());
        self.database
            .read("history", move |db| version_queries::read_history(db, &collection, &document_id))
            .await
    }

    async fn counts(&self, collection: &CollectionKey) -> Result<VersionCounts, Fault> {
        let collection = collection.clone();
        self.database.read("counts", move |db| version_queries::read_counts(db, &collection)).await
    }

    async fn dead(&self, filter: &DeadLetterFilter, limit: usize) -> Result<Vec<DeadLetter>, Fault> {
        let filter = filter.clone();
        self.database.read("dead", move |db| version_outcomes::read_dead_letters(db, &filter, limit)).await
    }

    async fn replay(&self, ids: &[u64]) -> Result<Vec<IngestTask>, Fault> {
        let (ids, now_ms) = (ids.to_vec(), self.clock.now_ms());
        self.database.write("replay", move |db| version_outcomes::replay_dead_letters(db, &ids, now_ms)).await
    }

    async fn drop_dead_letters(&self, ids: &[u64]) -> Result<u64, Fault> {
        let (ids, now_ms) = (ids.to_vec(), self.clock.now_ms());
        let drop = move |db: &Connection| version_outcomes::drop_dead_letters(db, &ids, now_ms);
        // No stage works on a dead version, so a process that only reads may do it.
        if self.database.is_read_only() {
            self.database.write_apart("drop dead letters", drop).await
        } else {
            self.database.write("drop dead letters", drop).await
        }
    }

    async fn acquire_lease(&self, role: &str, ttl: Duration) -> Result<bool, Fault> {
        // In memory and not in the file: one process owns the file, and a lease need not outlive it.
        Ok(self.database.0.leases.acquire_lease(role, self.holder, self.clock.now_ms(), ttl))
    }

    async fn release_lease(&self, role: &str) -> Result<(), Fault> {
        self.database.0.leases.release_lease(role, self.holder);
        Ok(())
    }
}
