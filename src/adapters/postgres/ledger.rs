//! The ledger port on Postgres: each call is one transaction, or one statement.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;

use super::{
    Database, PostgresConfig, PostgresStates, cache, claims, endings, intake, leases, log, queries, stages,
};
use crate::domain::chunk::ChunkSpan;
use crate::domain::document::Submission;
use crate::domain::ids::{CollectionKey, DocumentId, EmbeddingKey, Epoch, VersionKey};
use crate::domain::task::{Stage, Task};
use crate::fault::Fault;
use crate::ports::clock::Clock;
use crate::ports::ledger::{
    Change, CollectionRecord, Counts, DeadFilter, DeadLetter, Ending, Ledger, Loser, Receipt, StoredBody,
    VersionRecord,
};

/// A handle on the ledger in a Postgres schema; its clones share connections and leases.
#[derive(Clone)]
pub struct PostgresLedger {
    database: Database,
    clock: Arc<dyn Clock>,
    /// What leases are held under.
    holder: String,
    cache_bytes_max: u64,
}

impl PostgresLedger {
    /// Connects and brings the schema up to date; stamps by `clock`.
    pub async fn connect(config: &PostgresConfig, clock: Arc<dyn Clock>) -> Result<Self, Fault> {
        let database = Database::connect(config).await?;
        let holder = database.run((), |(), db| leases::new_holder(db).boxed()).await?;
        Ok(Self { database, clock, holder, cache_bytes_max: config.cache_bytes_max })
    }

    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    /// The states that processes share beside this ledger.
    pub fn states(&self) -> PostgresStates {
        PostgresStates(self.database.clone())
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
        self.database
            .write((key, pipeline, epoch), |(key, pipeline, epoch), db| {
                intake::ensure_collection(db, key, pipeline, *epoch).boxed()
            })
            .await
    }

    async fn collection(&self, key: &CollectionKey) -> Result<Option<CollectionRecord>, Fault> {
        self.database.run(key, |key, db| intake::collection(db, key).boxed()).await
    }

    async fn collections(&self) -> Result<Vec<CollectionRecord>, Fault> {
        self.database.run((), |(), db| intake::collections(db).boxed()).await
    }

    async fn accept(&self, submissions: Vec<Submission>) -> Result<Vec<Receipt>, Fault> {
        let now_ms = self.clock.now_ms();
        self.database
            .write((&submissions, now_ms), |(submissions, now_ms), db| {
                intake::accept(db, submissions, *now_ms).boxed()
            })
            .await
    }

    async fn mark_published(&self, keys: &[VersionKey]) -> Result<(), Fault> {
        if keys.is_empty() {
            return Ok(());
        }
        self.database.write(keys, |keys, db| stages::mark_published(db, keys).boxed()).await
    }

    async fn unpublished(&self, limit: usize) -> Result<Vec<Task>, Fault> {
        self.database.run(limit, |limit, db| stages::unpublished(db, *limit).boxed()).await
    }

    async fn stuck(&self, before_ms: u64, limit: usize) -> Result<Vec<(Stage, Task)>, Fault> {
        self.database
            .run((before_ms, limit), |(before_ms, limit), db| stages::stuck(db, *before_ms, *limit).boxed())
            .await
    }

    async fn bodies(&self, keys: &[VersionKey]) -> Result<Vec<Option<StoredBody>>, Fault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.database.run(keys, |keys, db| stages::bodies(db, keys).boxed()).await
    }

    async fn store_spans(&self, spans: Vec<(VersionKey, Vec<ChunkSpan>)>) -> Result<(), Fault> {
        if spans.is_empty() {
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        self.database
            .write((&spans, now_ms), |(spans, now_ms), db| stages::store_spans(db, spans, *now_ms).boxed())
            .await
    }

    async fn spans(&self, keys: &[VersionKey]) -> Result<Vec<Option<Vec<ChunkSpan>>>, Fault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.database.run(keys, |keys, db| stages::spans(db, keys).boxed()).await
    }

    async fn mark_embedded(&self, keys: &[VersionKey]) -> Result<(), Fault> {
        if keys.is_empty() {
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        self.database
            .write((keys, now_ms), |(keys, now_ms), db| stages::mark_embedded(db, keys, *now_ms).boxed())
            .await
    }

    async fn finish(&self, endings: Vec<(VersionKey, Ending)>) -> Result<(), Fault> {
        if endings.is_empty() {
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        self.database
            .write((&endings, now_ms), |(endings, now_ms), db| endings::finish(db, endings, *now_ms).boxed())
            .await
    }

    async fn changes(
        &self,
        collection: &CollectionKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Change>, Fault> {
        self.database
            .run((collection, after, limit), |(collection, after, limit), db| {
                log::changes(db, collection, *after, *limit).boxed()
            })
            .await
    }

    async fn losers(&self, documents: &[(CollectionKey, DocumentId)]) -> Result<Vec<Loser>, Fault> {
        if documents.is_empty() {
            return Ok(Vec::new());
        }
        self.database.run(documents, |documents, db| endings::losers(db, documents).boxed()).await
    }

    async fn unswept(&self, limit: usize) -> Result<Vec<(CollectionKey, DocumentId)>, Fault> {
        self.database.run(limit, |limit, db| endings::unswept(db, *limit).boxed()).await
    }

    async fn mark_swept(&self, keys: &[VersionKey]) -> Result<(), Fault> {
        if keys.is_empty() {
            return Ok(());
        }
        self.database.write(keys, |keys, db| endings::mark_swept(db, keys).boxed()).await
    }

    async fn cached_vectors(&self, keys: &[EmbeddingKey]) -> Result<Vec<Option<Vec<f32>>>, Fault> {
        if self.cache_bytes_max == 0 || keys.is_empty() {
            return Ok(vec![None; keys.len()]);
        }
        let now_ms = self.clock.now_ms();
        let cache::Found { vectors, stale } = self
            .database
            .run((keys, now_ms), |(keys, now_ms), db| cache::cached_vectors(db, keys, *now_ms).boxed())
            .await?;
        if !stale.is_empty() {
            self.database
                .run((&stale, now_ms), |(stale, now_ms), db| cache::touch(db, stale, *now_ms).boxed())
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
            .write((&vectors, bytes_max, now_ms), |(vectors, bytes_max, now_ms), db| {
                cache::cache_vectors(db, vectors, *bytes_max, *now_ms).boxed()
            })
            .await
    }

    async fn claim_texts(&self, keys: &[EmbeddingKey], ttl: Duration) -> Result<Vec<bool>, Fault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.database.run((keys, ttl), |(keys, ttl), db| claims::claim(db, keys, *ttl).boxed()).await
    }

    async fn release_texts(&self, keys: &[EmbeddingKey]) -> Result<(), Fault> {
        if keys.is_empty() {
            return Ok(());
        }
        self.database.run(keys, |keys, db| claims::release(db, keys).boxed()).await
    }

    async fn history(
        &self,
        collection: &CollectionKey,
        document_id: &DocumentId,
    ) -> Result<Vec<VersionRecord>, Fault> {
        self.database
            .run((collection, document_id), |(collection, document_id), db| {
                queries::history(db, collection, document_id).boxed()
            })
            .await
    }

    async fn counts(&self, collection: &CollectionKey) -> Result<Counts, Fault> {
        self.database.write(collection, |collection, db| queries::counts(db, collection).boxed()).await
    }

    async fn dead(&self, filter: &DeadFilter, limit: usize) -> Result<Vec<DeadLetter>, Fault> {
        self.database
            .run((filter, limit), |(filter, limit), db| endings::dead(db, filter, *limit).boxed())
            .await
    }

    async fn replay(&self, ids: &[u64]) -> Result<Vec<Task>, Fault> {
        let now_ms = self.clock.now_ms();
        self.database
            .write((ids, now_ms), |(ids, now_ms), db| endings::replay(db, ids, *now_ms).boxed())
            .await
    }

    async fn drop_dead(&self, ids: &[u64]) -> Result<u64, Fault> {
        self.database.write(ids, |ids, db| endings::drop_dead(db, ids).boxed()).await
    }

    async fn lead(&self, role: &str, ttl: Duration) -> Result<bool, Fault> {
        self.database
            .run((role, &self.holder, ttl), |(role, holder, ttl), db| {
                leases::lead(db, role, holder, *ttl).boxed()
            })
            .await
    }

    async fn resign(&self, role: &str) -> Result<(), Fault> {
        self.database
            .run((role, &self.holder), |(role, holder), db| leases::resign(db, role, holder).boxed())
            .await
    }
}
