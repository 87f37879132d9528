//! A ledger in memory. One lock is the transaction: each call is atomic, and calls are serial.
//!
//! The lock is a standard mutex. It is never held across an await.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::collection::{
    MemoryCollection, VersionEntry, VersionHistory, is_overtaken, matches_dead_letter_filter,
    unknown_collection,
};
use super::generations::CollectionGenerations;
use super::ledger_state::MemoryLedgerState;
use super::{LeaseTable, lock_ignoring_poison};
use contexture_core::domain::chunk::ChunkSpan;
use contexture_core::domain::document::Submission;
use contexture_core::domain::ids::{
    CollectionKey, DocumentId, EmbeddingKey, Epoch, GenerationNumber, Version, VersionKey,
};
use contexture_core::domain::task::{IngestStage, IngestTask};
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::converter::ConvertedText;
use contexture_core::ports::ledger::{
    ChangeLogEntry, ChangeLogExtent, CollectionRecord, CollectionStateLedger, DeadLetter, DeadLetterFilter,
    EMBEDDING_CACHE_BYTES_MAX, Ledger, StoredBody, SubmissionReceipt, UnsweptVersion, VersionCounts,
    VersionOutcome, VersionRecord, VersionState,
};

/// A ledger that lives as long as its last handle.
pub struct MemoryLedger {
    clock: Arc<dyn WallClock>,
    state: Arc<Mutex<MemoryLedgerState>>,
    leases: Arc<LeaseTable>,
    holder: u64,
    cache_bytes_max: u64,
}

impl MemoryLedger {
    /// Creates an empty ledger; `clock` provides timestamps.
    pub fn new(clock: Arc<dyn WallClock>) -> Self {
        let leases = Arc::new(LeaseTable::default());
        let holder = leases.new_holder();
        Self { clock, state: Arc::default(), leases, holder, cache_bytes_max: EMBEDDING_CACHE_BYTES_MAX }
    }

    /// Another handle on the same state, as another process would have it.
    #[must_use]
    pub fn peer(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            state: self.state.clone(),
            leases: self.leases.clone(),
            holder: self.leases.new_holder(),
            cache_bytes_max: self.cache_bytes_max,
        }
    }

    /// The same handle with another bound of its embedding cache; 0 caches nothing.
    #[must_use]
    pub fn with_cache_bytes_max(self, cache_bytes_max: u64) -> Self {
        Self { cache_bytes_max, ..self }
    }

    /// Runs `work` on a collection under the lock, with the time; none if the collection is unknown.
    pub(super) fn with_collection<T>(
        &self,
        key: &CollectionKey,
        work: impl FnOnce(&mut MemoryCollection, u64) -> T,
    ) -> Option<T> {
        let now_ms = self.clock.now_ms();
        lock_ignoring_poison(&self.state).collections.get_mut(key).map(|found| work(found, now_ms))
    }

    /// Runs `work` on everything under the lock, with the time.
    pub(super) fn with_state<T>(&self, work: impl FnOnce(&mut MemoryLedgerState, u64) -> T) -> T {
        let now_ms = self.clock.now_ms();
        work(&mut lock_ignoring_poison(&self.state), now_ms)
    }

    /// The keys of all collections.
    pub(super) fn collection_keys(&self) -> Vec<CollectionKey> {
        lock_ignoring_poison(&self.state).collections.keys().cloned().collect()
    }

    /// Changes the entries of these versions; unknown ones are skipped.
    fn change(&self, keys: &[VersionKey], mut change: impl FnMut(&mut VersionEntry, u64)) {
        let now_ms = self.clock.now_ms();
        let mut state = lock_ignoring_poison(&self.state);
        for key in keys {
            if let Some(entry) = state.entry_mut(key) {
                change(entry, now_ms);
            }
        }
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn ensure_collection(
        &self,
        key: &CollectionKey,
        pipeline: &str,
        epoch: Epoch,
    ) -> Result<CollectionRecord, Fault> {
        let now_ms = self.clock.now_ms();
        let mut state = lock_ignoring_poison(&self.state);
        let first = 1 + state.used_generations.get(key).copied().unwrap_or(0);
        let home =
            CollectionRecord { key: key.clone(), pipeline: pipeline.to_owned(), generation: first, epoch };
        let found = state.collections.entry(key.clone()).or_insert_with(|| MemoryCollection {
            generations: CollectionGenerations::new(home, now_ms),
            documents: BTreeMap::new(),
            log: BTreeMap::new(),
            log_position: 0,
            sources: BTreeMap::new(),
        });
        Ok(found.record().clone())
    }

    async fn collection(&self, key: &CollectionKey) -> Result<Option<CollectionRecord>, Fault> {
        Ok(lock_ignoring_poison(&self.state).collections.get(key).map(|found| found.record().clone()))
    }

    async fn collections(&self) -> Result<Vec<CollectionRecord>, Fault> {
        Ok(lock_ignoring_poison(&self.state)
            .collections
            .values()
            .map(|found| found.record().clone())
            .collect())
    }

    async fn accept(&self, submissions: Vec<Submission>) -> Result<Vec<SubmissionReceipt>, Fault> {
        let now_ms = self.clock.now_ms();
        let mut state = lock_ignoring_poison(&self.state);
        // Refused before the first one is stored, so that the call has no effect at all.
        let unknown = submissions.iter().find(|one| !state.collections.contains_key(one.collection()));
        if let Some(submission) = unknown {
            return Err(unknown_collection(submission));
        }
        submissions.iter().map(|submission| state.accept(submission, now_ms)).collect()
    }

    async fn mark_published(&self, keys: &[VersionKey]) -> Result<(), Fault> {
        lock_ignoring_poison(&self.state).outbox.retain(|_, key| !keys.contains(key));
        Ok(())
    }

    async fn unpublished(&self, limit: usize) -> Result<Vec<IngestTask>, Fault> {
        let state = lock_ignoring_poison(&self.state);
        let waiting = state.outbox.values().filter_map(|key| {
            let entry = state.entry(key).filter(|entry| entry.state == VersionState::Accepted)?;
            Some(entry.task(key.clone(), state.collections.get(&key.collection_key())?.record()))
        });
        Ok(waiting.take(limit).collect())
    }

    async fn stuck(&self, before_ms: u64, limit: usize) -> Result<Vec<(IngestStage, IngestTask)>, Fault> {
        let state = lock_ignoring_poison(&self.state);
        let mut waiting: Vec<_> = state
            .collections
            .values()
            .flat_map(|found| found.entries().map(move |(key, entry)| (found, key, entry)))
            .filter(|(.., entry)| entry.updated_ms < before_ms)
            .filter_map(|(found, key, entry)| {
                Some((entry.updated_ms, entry.waits_for()?, entry.task(key, found.record())))
            })
            .collect();
        waiting.sort_by_key(|(updated_ms, _, _)| *updated_ms);
        Ok(waiting.into_iter().take(limit).map(|(_, stage, task)| (stage, task)).collect())
    }

    async fn bodies(&self, keys: &[VersionKey]) -> Result<Vec<Option<StoredBody>>, Fault> {
        let state = lock_ignoring_poison(&self.state);
        let body = |key| {
            let history = state.history(key)?;
            history.get(&key.version)?.stored_body(is_overtaken(history, key.version))
        };
        Ok(keys.iter().map(body).collect())
    }

    async fn keep_conversions(
        &self,
        converted: Vec<(VersionKey, ConvertedText)>,
    ) -> Result<Vec<Option<ConvertedText>>, Fault> {
        let mut state = lock_ignoring_poison(&self.state);
        Ok(converted.into_iter().map(|(key, converted)| state.keep_conversion(&key, converted)).collect())
    }

    async fn store_spans(
        &self,
        generation: GenerationNumber,
        spans: Vec<(VersionKey, Vec<ChunkSpan>)>,
    ) -> Result<(), Fault> {
        for (key, spans) in spans {
            self.change(std::slice::from_ref(&key), |entry, now_ms| {
                entry.chunk(generation, spans.clone(), now_ms);
            });
        }
        Ok(())
    }

    async fn spans(
        &self,
        generation: GenerationNumber,
        keys: &[VersionKey],
    ) -> Result<Vec<Option<Vec<ChunkSpan>>>, Fault> {
        let state = lock_ignoring_poison(&self.state);
        Ok(keys.iter().map(|key| state.entry(key)?.spans.get(&generation).cloned()).collect())
    }

    async fn mark_embedded(&self, keys: &[VersionKey]) -> Result<(), Fault> {
        self.change(keys, |entry, now_ms| {
            if matches!(entry.state, VersionState::Accepted | VersionState::Chunked) {
                entry.enter(VersionState::Embedded, now_ms);
            }
        });
        Ok(())
    }

    async fn finish(&self, outcomes: Vec<(VersionKey, VersionOutcome)>) -> Result<(), Fault> {
        let now_ms = self.clock.now_ms();
        let mut state = lock_ignoring_poison(&self.state);
        for (key, outcome) in outcomes {
            state.finish(key, outcome, now_ms);
        }
        Ok(())
    }

    async fn changes(
        &self,
        collection: &CollectionKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ChangeLogEntry>, Fault> {
        let state = lock_ignoring_poison(&self.state);
        Ok(state
            .collections
            .get(collection)
            .into_iter()
            .flat_map(|found| found.changes(after))
            .take(limit)
            .collect())
    }

    async fn unswept_versions(
        &self,
        documents: &[(CollectionKey, DocumentId)],
    ) -> Result<Vec<UnsweptVersion>, Fault> {
        let state = lock_ignoring_poison(&self.state);
        let mut unswept = Vec::new();
        for (collection, document_id) in documents {
            let Some(found) = state.collections.get(collection) else { continue };
            let history = found.documents.get(document_id).into_iter().flatten();
            let lost = history.filter(|(_, entry)| entry.is_unswept());
            unswept.extend(lost.flat_map(|(version, entry)| {
                found.unswept_versions(&found.key(document_id, *version), entry)
            }));
        }
        Ok(unswept)
    }

    async fn unswept_documents(&self, limit: usize) -> Result<Vec<(CollectionKey, DocumentId)>, Fault> {
        let state = lock_ignoring_poison(&self.state);
        let documents = state.collections.iter().flat_map(|(collection, found)| {
            let unswept = |history: &VersionHistory| history.values().any(VersionEntry::is_unswept);
            let losing = found.documents.iter().filter(move |(_, history)| unswept(history));
            losing.map(|(document_id, _)| (collection.clone(), document_id.clone()))
        });
        Ok(documents.take(limit).collect())
    }

    async fn mark_swept(&self, keys: &[VersionKey]) -> Result<(), Fault> {
        self.change(keys, |entry, _| {
            // A version may have been replayed since the sweep began; then nothing is marked.
            entry.swept = matches!(entry.state, VersionState::Superseded | VersionState::Dead);
            // Dead versions keep spans and body: they can be replayed.
            if entry.state == VersionState::Superseded {
                entry.spans.clear();
                (entry.body, entry.converted) = (None, None);
            }
        });
        Ok(())
    }

    async fn cached_vectors(&self, keys: &[EmbeddingKey]) -> Result<Vec<Option<Vec<f32>>>, Fault> {
        if self.cache_bytes_max == 0 {
            return Ok(vec![None; keys.len()]);
        }
        let now_ms = self.clock.now_ms();
        let mut state = lock_ignoring_poison(&self.state);
        Ok(keys.iter().map(|key| state.vectors.get(key, now_ms)).collect())
    }

    async fn cache_vectors(&self, vectors: Vec<(EmbeddingKey, Vec<f32>)>) -> Result<(), Fault> {
        lock_ignoring_poison(&self.state).vectors.insert(vectors, self.cache_bytes_max, self.clock.now_ms());
        Ok(())
    }

    async fn history(
        &self,
        collection: &CollectionKey,
        document_id: &DocumentId,
    ) -> Result<Vec<VersionRecord>, Fault> {
        let state = lock_ignoring_poison(&self.state);
        let Some(found) = state.collections.get(collection) else { return Ok(Vec::new()) };
        let versions = found.documents.get(document_id).into_iter().flatten().rev();
        let record = |(version, entry): (&Version, &VersionEntry)| {
            entry.version_record(found.key(document_id, *version), found.record().generation)
        };
        Ok(versions.map(record).collect())
    }

    async fn counts(&self, collection: &CollectionKey) -> Result<VersionCounts, Fault> {
        Ok(lock_ignoring_poison(&self.state)
            .collections
            .get(collection)
            .map(MemoryCollection::counts)
            .unwrap_or_default())
    }

    async fn dead(&self, filter: &DeadLetterFilter, limit: usize) -> Result<Vec<DeadLetter>, Fault> {
        let state = lock_ignoring_poison(&self.state);
        let wanted = state.dead_letters.values().filter(|letter| matches_dead_letter_filter(filter, letter));
        Ok(wanted.take(limit).cloned().collect())
    }

    async fn replay(&self, ids: &[u64]) -> Result<Vec<IngestTask>, Fault> {
        let now_ms = self.clock.now_ms();
        let mut state = lock_ignoring_poison(&self.state);
        Ok(ids.iter().filter_map(|id| state.replay(*id, now_ms)).collect())
    }

    async fn drop_dead_letters(&self, ids: &[u64]) -> Result<u64, Fault> {
        let now_ms = self.clock.now_ms();
        let mut state = lock_ignoring_poison(&self.state);
        let mut dropped = 0;
        for id in ids {
            let Some(letter) = state.dead_letters.remove(id) else { continue };
            dropped += 1;
            if let Some(entry) =
                state.entry_mut(&letter.key).filter(|entry| entry.state == VersionState::Dead)
            {
                entry.enter(VersionState::Superseded, now_ms);
                // The sweep deletes the body: nothing can be replayed any more.
                (entry.swept, entry.reason) = (false, None);
            }
        }
        Ok(dropped)
    }

    async fn acquire_lease(&self, role: &str, ttl: Duration) -> Result<bool, Fault> {
        Ok(self.leases.acquire_lease(role, self.holder, self.clock.now_ms(), ttl))
    }

    async fn release_lease(&self, role: &str) -> Result<(), Fault> {
        self.leases.release_lease(role, self.holder);
        Ok(())
    }
}

#[async_trait]
impl CollectionStateLedger for MemoryLedger {
    async fn versions_in_stores(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        documents: &[DocumentId],
    ) -> Result<Vec<Vec<VersionRecord>>, Fault> {
        let standings = self.with_collection(collection, |found, _| {
            documents.iter().map(|document_id| document_versions(found, generation, document_id)).collect()
        });
        Ok(standings.unwrap_or_else(|| vec![Vec::new(); documents.len()]))
    }

    async fn log_extent(&self, collection: &CollectionKey) -> Result<ChangeLogExtent, Fault> {
        let extent = self.with_collection(collection, |found, _| ChangeLogExtent {
            documents: found.log.len() as u64,
            end: found.log_position,
        });
        Ok(extent.unwrap_or_default())
    }
}

fn document_versions(
    found: &MemoryCollection,
    generation: GenerationNumber,
    document_id: &DocumentId,
) -> Vec<VersionRecord> {
    // Terminal versions are of interest while they are visible, or until they are swept.
    let stands = |entry: &VersionEntry| !entry.state.is_terminal() || entry.state == VersionState::Visible;
    let versions = found.documents.get(document_id).into_iter().flatten();
    versions
        .filter(|(_, entry)| stands(entry) || entry.is_unswept())
        .map(|(version, entry)| entry.version_record(found.key(document_id, *version), generation))
        .collect()
}
