//! The ledger port on Postgres. Each call is one transaction, or one statement.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;

use super::{
    PostgresConfig, PostgresDatabase, PostgresSharedStates, change_log, conversions, embedding_cache, intake,
    leases, stages, version_outcomes, version_queries,
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
    ChangeLogEntry, CollectionRecord, DeadLetter, DeadLetterFilter, Ledger, StoredBody, SubmissionReceipt,
    UnsweptVersion, VersionCounts, VersionOutcome, VersionRecord,
};

/// A handle on the ledger in a Postgres schema; its clones share connections, leases and claims.
#[derive(Clone)]
pub struct PostgresLedger {
    database: PostgresDatabase,
    clock: Arc<dyn WallClock>,
    /// The name under which leases and claims are held.
    holder: String,
    cache_bytes_max: u64,
}

impl PostgresLedger {
    /// Connects and brings the schema up to date; `clock` provides timestamps.
    pub async fn connect(config: &PostgresConfig, clock: Arc<dyn WallClock>) -> Result<Self, Fault> {
        let database = PostgresDatabase::connect(config).await?;
        let holder = database.run("connect", (), |(), db| leases::create_holder_id(db).boxed()).await?;
        Ok(Self { database, clock, holder, cache_bytes_max: config.cache_bytes_max })
    }

    pub(super) fn database(&self) -> &PostgresDatabase {
        &self.database
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// The shared states beside this ledger.
    pub fn states(&self) -> PostgresSharedStates {
        PostgresSharedStates(self.database.clone())
    }
}

#[async_trait]
impl Ledger for PostgresLedger {
    async fn ensure_collection(
        &self,
        key: &CollectionKey,
        pipeline: &str,
        epoch: Epoch,
    ) -> Result<CollectionRecord, Fault> {
        let now_ms = self.clock.now_ms();
        self.database
            .write(
                "ensure collection",
                (key, pipeline, epoch, now_ms),
                |(key, pipeline, epoch, now_ms), db| {
                    intake::ensure_collection(db, key, pipeline, *epoch, *now_ms).boxed()
                },
            )
            .await
    }

    async fn collection(&self, key: &CollectionKey) -> Result<Option<CollectionRecord>, Fault> {
        self.database.run("collection", key, |key, db| intake::find_collection(db, key).boxed()).await
    }

    async fn collections(&self) -> Result<Vec<CollectionRecord>, Fault> {
        self.database.run("collections", (), |(), db| intake::list_collections(db).boxed()).await
    }

    async fn accept(&self, submissions: Vec<Submission>) -> Result<Vec<SubmissionReceipt>, Fault> {
        let now_ms = self.clock.now_ms();
        self.database
            .write("accept", (&submissions, now_ms), |(submissions, now_ms), db| {
                intake::accept_submissions(db, submissions, *now_ms).boxed()
            })
            .await
    }

    async fn mark_published(&self, keys: &[VersionKey]) -> Result<(), Fault> {
        // Nothing to do, here and below: an empty batch would cost a connection and round trips.
        if keys.is_empty() {
            return Ok(());
        }
        self.database.write("mark published", keys, |keys, db| stages::mark_published(db, keys).boxed()).await
    }

    async fn unpublished(&self, limit: usize) -> Result<Vec<IngestTask>, Fault> {
        self.database
            .run("unpublished", limit, |limit, db| stages::read_unpublished_tasks(db, *limit).boxed())
            .await
    }

    async fn stuck(&self, before_ms: u64, limit: usize) -> Result<Vec<(IngestStage, IngestTask)>, Fault> {
        self.database
            .run("stuck", (before_ms, limit), |(before_ms, limit), db| {
                stages::read_stuck_tasks(db, *before_ms, *limit).boxed()
            })
            .await
    }

    async fn bodies(&self, keys: &[VersionKey]) -> Result<Vec<Option<StoredBody>>, Fault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.database.run("bodies", keys, |keys, db| stages::read_bodies(db, keys).boxed()).await
    }

    async fn keep_conversions(
        &self,
        converted: Vec<(VersionKey, ConvertedText)>,
    ) -> Result<Vec<Option<ConvertedText>>, Fault> {
        if converted.is_empty() {
            return Ok(Vec::new());
        }
        self.database
            .write("keep conversions", &converted, |converted, db| {
                conversions::keep_conversions(db, converted).boxed()
            })
            .await
    }

    async fn store_spans(
        &self,
        generation: GenerationNumber,
        spans: Vec<(VersionKey, Vec<ChunkSpan>)>,
    ) -> Result<(), Fault> {
        if spans.is_empty() {
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        self.database
            .write("store spans", (generation, &spans, now_ms), |(generation, spans, now_ms), db| {
                stages::store_spans(db, *generation, spans, *now_ms).boxed()
            })
            .await
    }

    async fn spans(
        &self,
        generation: GenerationNumber,
        keys: &[VersionKey],
    ) -> Result<Vec<Option<Vec<ChunkSpan>>>, Fault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.database
            .run("spans", (generation, keys), |(generation, keys), db| {
                stages::read_spans(db, *generation, keys).boxed()
            })
            .await
    }

    async fn mark_embedded(&self, keys: &[VersionKey]) -> Result<(), Fault> {
        if keys.is_empty() {
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        self.database
            .write("mark embedded", (keys, now_ms), |(keys, now_ms), db| {
                stages::mark_embedded(db, keys, *now_ms).boxed()
            })
            .await
    }

    async fn finish(&self, outcomes: Vec<(VersionKey, VersionOutcome)>) -> Result<(), Fault> {
        if outcomes.is_empty() {
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        self.database
            .write("finish", (&outcomes, now_ms), |(outcomes, now_ms), db| {
                version_outcomes::finish_versions(db, outcomes, *now_ms).boxed()
            })
            .await
    }

    async fn changes(
        &self,
        collection: &CollectionKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ChangeLogEntry>, Fault> {
        self.database
            .run("changes", (collection, after, limit), |(collection, after, limit), db| {
                change_log::read_changes(db, collection, *after, *limit).boxed()
            })
            .await
    }

    async fn unswept_versions(
        &self,
        documents: &[(CollectionKey, DocumentId)],
    ) -> Result<Vec<UnsweptVersion>, Fault> {
        if documents.is_empty() {
            return Ok(Vec::new());
        }
        self.database
            .run("unswept versions", documents, |documents, db| {
                version_outcomes::read_unswept_versions(db, documents).boxed()
            })
            .await
    }

    async fn unswept_documents(&self, limit: usize) -> Result<Vec<(CollectionKey, DocumentId)>, Fault> {
        self.database
            .run("unswept documents", limit, |limit, db| {
                version_outcomes::read_unswept_documents(db, *limit).boxed()
            })
            .await
    }

    async fn mark_swept(&self, keys: &[VersionKey]) -> Result<(), Fault> {
        if keys.is_empty() {
            return Ok(());
        }
        self.database
            .write("mark swept", keys, |keys, db| version_outcomes::mark_swept(db, keys).boxed())
            .await
    }

    async fn cached_vectors(&self, keys: &[EmbeddingKey]) -> Result<Vec<Option<Vec<f32>>>, Fault> {
        if self.cache_bytes_max == 0 || keys.is_empty() {
            return Ok(vec![None; keys.len()]);
        }
        let now_ms = self.clock.now_ms();
        let embedding_cache::PostgresCacheLookup { vectors, stale } = self
            .database
            .run("cached vectors", (keys, now_ms), |(keys, now_ms), db| {
                embedding_cache::read_cached_vectors(db, keys, *now_ms).boxed()
            })
            .await?;
        // Outside of the read: a single statement, so that look-ups hold no locks.
        if !stale.is_empty() {
            self.database
                .run("cached vectors", (&stale, now_ms), |(stale, now_ms), db| {
                    embedding_cache::mark_entries_used(db, stale, *now_ms).boxed()
                })
                .await?;
        }
        Ok(vectors)
    }

    async fn cache_vectors(&self, vectors: Vec<(EmbeddingKey, Vec<f32>)>) -> Result<(), Fault> {
        if vectors.is_empty() {
            return Ok(());
        }
        let (bytes_max, now_ms) = (self.cache_bytes_max, self.clock.now_ms());
        self.database
            .write("cache vectors", (&vectors, bytes_max, now_ms), |(vectors, bytes_max, now_ms), db| {
                embedding_cache::cache_vectors(db, vectors, *bytes_max, *now_ms).boxed()
            })
            .await
    }

    async fn claim_texts(&self, keys: &[EmbeddingKey], ttl: Duration) -> Result<Vec<bool>, Fault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.database
            .run("claim texts", (keys, &self.holder, ttl), |(keys, holder, ttl), db| {
                leases::claim_texts(db, keys, holder, *ttl).boxed()
            })
            .await
    }

    async fn release_texts(&self, keys: &[EmbeddingKey]) -> Result<(), Fault> {
        if keys.is_empty() {
            return Ok(());
        }
        self.database
            .run("release texts", (keys, &self.holder), |(keys, holder), db| {
                leases::release_claims(db, keys, holder).boxed()
            })
            .await
    }

    async fn forget_claims(&self, ended: Duration) -> Result<u64, Fault> {
        self.database
            .run("forget claims", ended, |ended, db| leases::delete_ended_claims(db, *ended).boxed())
            .await
    }

    async fn history(
        &self,
        collection: &CollectionKey,
        document_id: &DocumentId,
    ) -> Result<Vec<VersionRecord>, Fault> {
        self.database
            .run("history", (collection, document_id), |(collection, document_id), db| {
                version_queries::read_history(db, collection, document_id).boxed()
            })
            .await
    }

    async fn counts(&self, collection: &CollectionKey) -> Result<VersionCounts, Fault> {
        self.database
            // A transaction although it only reads: SET LOCAL needs one.
            .write("counts", collection, |collection, db| {
                version_queries::read_counts(db, collection).boxed()
            })
            .await
    }

    async fn dead(&self, filter: &DeadLetterFilter, limit: usize) -> Result<Vec<DeadLetter>, Fault> {
        self.database
            .run("dead", (filter, limit), |(filter, limit), db| {
                version_outcomes::read_dead_letters(db, filter, *limit).boxed()
            })
            .await
    }

    async fn replay(&self, ids: &[u64]) -> Result<Vec<IngestTask>, Fault> {
        let now_ms = self.clock.now_ms();
        self.database
            .write("replay", (ids, now_ms), |(ids, now_ms), db| {
                version_outcomes::replay_dead_letters(db, ids, *now_ms).boxed()
            })
            .await
    }

    async fn drop_dead_letters(&self, ids: &[u64]) -> Result<u64, Fault> {
        let now_ms = self.now_ms();
        self.database
            .write("drop dead letters", (ids, now_ms), |(ids, now_ms), db| {
                version_outcomes::drop_dead_letters(db, ids, *now_ms).boxed()
            })
            .await
    }

    async fn acquire_lease(&self, role: &str, ttl: Duration) -> Result<bool, Fault> {
        self.database
            .run("acquire lease", (role, &self.holder, ttl), |(role, holder, ttl), db| {
                leases::acquire_lease(db, role, holder, *ttl).boxed()
            })
            .await
    }

    async fn release_lease(&self, role: &str) -> Result<(), Fault> {
        self.database
            .run("release lease", (role, &self.holder), |(role, holder), db| {
                leases::release_lease(db, role, holder).boxed()
            })
            .await
    }
}
