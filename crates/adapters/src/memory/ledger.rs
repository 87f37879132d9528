//! A ledger in memory. One lock is the transaction: each call is atomic, calls are serial.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::collection::{
    MemoryCollection, VersionEntry, VersionHistory, decide_version, is_overtaken, matches_dead_filter,
    supersede_older_versions, unknown_collection,
};
use super::embedding_cache::MemoryEmbeddingCache;
use super::generations::CollectionGenerations;
use super::leases::LeaseTable;
use super::lock_ignoring_poison;
use contexture_core::domain::chunk::ChunkSpan;
use contexture_core::domain::document::Submission;
use contexture_core::domain::ids::{
    CollectionKey, DocumentId, EmbeddingKey, Epoch, GenerationNumber, Version, VersionKey,
};
use contexture_core::domain::task::{IngestStage, IngestTask};
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::ledger::{
    ChangeLogEntry, CollectionRecord, DeadLetter, DeadLetterFilter, EMBEDDING_CACHE_BYTES_MAX,
    IntakeDecision, Ledger, StoredBody, SubmissionReceipt, UnsweptVersion, VersionCounts, VersionOutcome,
    VersionRecord, VersionState,
};

/// A ledger that lives as long as its last handle.
pub struct MemoryLedger {
    clock: Arc<dyn WallClock>,
    books: Arc<Mutex<MemoryLedgerState>>,
    leases: Arc<LeaseTable>,
    holder: u64,
    cache_bytes_max: u64,
}

#[derive(Default)]
struct MemoryLedgerState {
    rooms: BTreeMap<CollectionKey, MemoryCollection>,
    /// Versions to publish, by the order they were accepted or replayed in.
    outbox: BTreeMap<u64, VersionKey>,
    letters: BTreeMap<u64, DeadLetter>,
    vectors: MemoryEmbeddingCache,
    /// Numbers outbox entries and dead letters.
    sequence: u64,
}

impl MemoryLedger {
    /// An empty ledger that stamps by `clock`.
    pub fn new(clock: Arc<dyn WallClock>) -> Self {
        let leases = Arc::new(LeaseTable::default());
        let holder = leases.new_holder();
        Self { clock, books: Arc::default(), leases, holder, cache_bytes_max: EMBEDDING_CACHE_BYTES_MAX }
    }

    /// Another handle on the same books, as another process would have it.
    #[must_use]
    pub fn peer(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            books: self.books.clone(),
            leases: self.leases.clone(),
            holder: self.leases.new_holder(),
            cache_bytes_max: self.cache_bytes_max,
        }
    }

    /// The same handle with another bound of its embedding cache; 0 keeps nothing.
    #[must_use]
    pub fn with_cache_bytes_max(self, cache_bytes_max: u64) -> Self {
        Self { cache_bytes_max, ..self }
    }

    /// A collection's books and the time, while nobody else has them.
    pub(super) fn in_room<T>(
        &self,
        key: &CollectionKey,
        work: impl FnOnce(&mut MemoryCollection, u64) -> T,
    ) -> Option<T> {
        let now_ms = self.clock.now_ms();
        lock_ignoring_poison(&self.books).rooms.get_mut(key).map(|room| work(room, now_ms))
    }

    /// The keys of all collections.
    pub(super) fn room_keys(&self) -> Vec<CollectionKey> {
        lock_ignoring_poison(&self.books).rooms.keys().cloned().collect()
    }

    /// Changes the entries of these versions; unknown ones are passed over.
    fn change(&self, keys: &[VersionKey], mut change: impl FnMut(&mut VersionEntry, u64)) {
        let now_ms = self.clock.now_ms();
        let mut books = lock_ignoring_poison(&self.books);
        for key in keys {
            if let Some(entry) = books.entry_mut(key) {
                change(entry, now_ms);
            }
        }
    }
}

impl MemoryLedgerState {
    fn history(&self, key: &VersionKey) -> Option<&VersionHistory> {
        self.rooms.get(&key.collection_key())?.documents.get(&key.document_id)
    }

    fn history_mut(&mut self, key: &VersionKey) -> Option<&mut VersionHistory> {
        self.rooms.get_mut(&key.collection_key())?.documents.get_mut(&key.document_id)
    }

    fn entry(&self, key: &VersionKey) -> Option<&VersionEntry> {
        self.history(key)?.get(&key.version)
    }

    fn entry_mut(&mut self, key: &VersionKey) -> Option<&mut VersionEntry> {
        self.history_mut(key)?.get_mut(&key.version)
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn accept(&mut self, submission: &Submission, now_ms: u64) -> Result<SubmissionReceipt, Fault> {
        let room =
            self.rooms.get_mut(submission.collection()).ok_or_else(|| unknown_collection(submission))?;
        let history = room.documents.entry(submission.document_id().clone()).or_default();
        let version = match decide_version(history, submission) {
            Ok(version) => version,
            Err((intake, version)) => return Ok(SubmissionReceipt { version, intake, task: None }),
        };
        let key = submission.key(version);
        let entry = VersionEntry::new(submission, now_ms);
        let task = entry.task(key.clone(), room.builds.active());
        history.insert(version, entry);
        let sequence = self.next_sequence();
        self.outbox.insert(sequence, key);
        Ok(SubmissionReceipt { version, intake: IntakeDecision::Accepted, task: Some(task) })
    }

    fn finish(&mut self, key: VersionKey, ending: VersionOutcome, now_ms: u64) {
        let Some(history) = self.history_mut(&key) else { return };
        let overtaken = is_overtaken(history, key.version);
        let Some(entry) = history.get_mut(&key.version).filter(|entry| !entry.state.is_terminal()) else {
            return;
        };
        match ending {
            VersionOutcome::Visible(_) if overtaken => entry.enter(VersionState::Superseded, now_ms),
            VersionOutcome::Visible(generation) => {
                entry.enter(VersionState::Visible, now_ms);
                entry.spans.retain(|other, _| *other == generation);
                supersede_older_versions(history, key.version, now_ms);
                if let Some(room) = self.rooms.get_mut(&key.collection_key()) {
                    room.append_to_log(&key.document_id);
                }
            }
            VersionOutcome::Superseded => entry.enter(VersionState::Superseded, now_ms),
            VersionOutcome::Dead(stage, reason) => {
                entry.enter(VersionState::Dead, now_ms);
                entry.reason = Some(reason.clone());
                let id = self.next_sequence();
                self.letters.insert(id, DeadLetter { id, key, stage, reason, died_ms: now_ms });
            }
        }
    }

    fn replay(&mut self, id: u64, now_ms: u64) -> Option<IngestTask> {
        let key = self.letters.remove(&id)?.key;
        let overtaken = is_overtaken(self.history(&key)?, key.version);
        let home = self.rooms.get(&key.collection_key())?.record().clone();
        let entry = self.entry_mut(&key)?;
        entry.enter(if overtaken { VersionState::Superseded } else { VersionState::Accepted }, now_ms);
        entry.reason = None;
        entry.swept = false;
        let task = (!overtaken).then(|| entry.task(key.clone(), &home));
        if task.is_some() {
            let sequence = self.next_sequence();
            self.outbox.insert(sequence, key);
        }
        task
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
        let mut books = lock_ignoring_poison(&self.books);
        let room = books.rooms.entry(key.clone()).or_insert_with(|| MemoryCollection {
            builds: CollectionGenerations::new(key, pipeline, epoch, now_ms),
            documents: BTreeMap::new(),
            log: BTreeMap::new(),
            log_position: 0,
        });
        Ok(room.record().clone())
    }

    async fn collection(&self, key: &CollectionKey) -> Result<Option<CollectionRecord>, Fault> {
        Ok(lock_ignoring_poison(&self.books).rooms.get(key).map(|room| room.record().clone()))
    }

    async fn collections(&self) -> Result<Vec<CollectionRecord>, Fault> {
        Ok(lock_ignoring_poison(&self.books).rooms.values().map(|room| room.record().clone()).collect())
    }

    async fn accept(&self, submissions: Vec<Submission>) -> Result<Vec<SubmissionReceipt>, Fault> {
        let now_ms = self.clock.now_ms();
        let mut books = lock_ignoring_poison(&self.books);
        let homeless = submissions.iter().find(|one| !books.rooms.contains_key(one.collection()));
        if let Some(submission) = homeless {
            return Err(unknown_collection(submission));
        }
        submissions.iter().map(|submission| books.accept(submission, now_ms)).collect()
    }

    async fn mark_published(&self, keys: &[VersionKey]) -> Result<(), Fault> {
        lock_ignoring_poison(&self.books).outbox.retain(|_, key| !keys.contains(key));
        Ok(())
    }

    async fn unpublished(&self, limit: usize) -> Result<Vec<IngestTask>, Fault> {
        let books = lock_ignoring_poison(&self.books);
        let waiting = books.outbox.values().filter_map(|key| {
            let entry = books.entry(key).filter(|entry| entry.state == VersionState::Accepted)?;
            Some(entry.task(key.clone(), books.rooms.get(&key.collection_key())?.record()))
        });
        Ok(waiting.take(limit).collect())
    }

    async fn stuck(&self, before_ms: u64, limit: usize) -> Result<Vec<(IngestStage, IngestTask)>, Fault> {
        let books = lock_ignoring_poison(&self.books);
        let mut waiting: Vec<_> = books
            .rooms
            .values()
            .flat_map(|room| room.entries().map(move |(key, entry)| (room, key, entry)))
            .filter(|(.., entry)| entry.updated_ms < before_ms)
            .filter_map(|(room, key, entry)| {
                Some((entry.updated_ms, entry.waits_for()?, entry.task(key, room.record())))
            })
            .collect();
        waiting.sort_by_key(|(updated_ms, _, _)| *updated_ms);
        Ok(waiting.into_iter().take(limit).map(|(_, stage, task)| (stage, task)).collect())
    }

    async fn bodies(&self, keys: &[VersionKey]) -> Result<Vec<Option<StoredBody>>, Fault> {
        let books = lock_ignoring_poison(&self.books);
        let body = |key| {
            let history = books.history(key)?;
            history.get(&key.version)?.stored_body(is_overtaken(history, key.version))
        };
        Ok(keys.iter().map(body).collect())
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
        let books = lock_ignoring_poison(&self.books);
        Ok(keys.iter().map(|key| books.entry(key)?.spans.get(&generation).cloned()).collect())
    }

    async fn mark_embedded(&self, keys: &[VersionKey]) -> Result<(), Fault> {
        self.change(keys, |entry, now_ms| {
            if matches!(entry.state, VersionState::Accepted | VersionState::Chunked) {
                entry.enter(VersionState::Embedded, now_ms);
            }
        });
        Ok(())
    }

    async fn finish(&self, endings: Vec<(VersionKey, VersionOutcome)>) -> Result<(), Fault> {
        let now_ms = self.clock.now_ms();
        let mut books = lock_ignoring_poison(&self.books);
        for (key, ending) in endings {
            books.finish(key, ending, now_ms);
        }
        Ok(())
    }

    async fn changes(
        &self,
        collection: &CollectionKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ChangeLogEntry>, Fault> {
        let books = lock_ignoring_poison(&self.books);
        Ok(books.rooms.get(collection).into_iter().flat_map(|room| room.changes(after)).take(limit).collect())
    }

    async fn losers(&self, documents: &[(CollectionKey, DocumentId)]) -> Result<Vec<UnsweptVersion>, Fault> {
        let books = lock_ignoring_poison(&self.books);
        let mut losers = Vec::new();
        for (collection, document_id) in documents {
            let Some(room) = books.rooms.get(collection) else { continue };
            let history = room.documents.get(document_id).into_iter().flatten();
            let lost = history.filter(|(_, entry)| entry.is_unswept_loser());
            losers.extend(
                lost.flat_map(|(version, entry)| room.losers(&room.key(document_id, *version), entry)),
            );
        }
        Ok(losers)
    }

    async fn unswept(&self, limit: usize) -> Result<Vec<(CollectionKey, DocumentId)>, Fault> {
        let books = lock_ignoring_poison(&self.books);
        let documents = books.rooms.iter().flat_map(|(collection, room)| {
            let unswept = |history: &VersionHistory| history.values().any(VersionEntry::is_unswept_loser);
            let losing = room.documents.iter().filter(move |(_, history)| unswept(history));
            losing.map(|(document_id, _)| (collection.clone(), document_id.clone()))
        });
        Ok(documents.take(limit).collect())
    }

    async fn mark_swept(&self, keys: &[VersionKey]) -> Result<(), Fault> {
        self.change(keys, |entry, _| {
            entry.swept = matches!(entry.state, VersionState::Superseded | VersionState::Dead);
            if entry.state == VersionState::Superseded {
                entry.spans.clear();
                entry.body = None;
            }
        });
        Ok(())
    }

    async fn cached_vectors(&self, keys: &[EmbeddingKey]) -> Result<Vec<Option<Vec<f32>>>, Fault> {
        if self.cache_bytes_max == 0 {
            return Ok(vec![None; keys.len()]);
        }
        let now_ms = self.clock.now_ms();
        let mut books = lock_ignoring_poison(&self.books);
        Ok(keys.iter().map(|key| books.vectors.get(key, now_ms)).collect())
    }

    async fn cache_vectors(&self, vectors: Vec<(EmbeddingKey, Vec<f32>)>) -> Result<(), Fault> {
        lock_ignoring_poison(&self.books).vectors.insert(vectors, self.cache_bytes_max, self.clock.now_ms());
        Ok(())
    }

    async fn history(
        &self,
        collection: &CollectionKey,
        document_id: &DocumentId,
    ) -> Result<Vec<VersionRecord>, Fault> {
        let books = lock_ignoring_poison(&self.books);
        let Some(room) = books.rooms.get(collection) else { return Ok(Vec::new()) };
        let versions = room.documents.get(document_id).into_iter().flatten().rev();
        let record = |(version, entry): (&Version, &VersionEntry)| {
            entry.version_record(room.key(document_id, *version), room.record().generation)
        };
        Ok(versions.map(record).collect())
    }

    async fn counts(&self, collection: &CollectionKey) -> Result<VersionCounts, Fault> {
        Ok(lock_ignoring_poison(&self.books)
            .rooms
            .get(collection)
            .map(MemoryCollection::counts)
            .unwrap_or_default())
    }

    async fn dead(&self, filter: &DeadLetterFilter, limit: usize) -> Result<Vec<DeadLetter>, Fault> {
        let books = lock_ignoring_poison(&self.books);
        let wanted = books.letters.values().filter(|letter| matches_dead_filter(filter, letter));
        Ok(wanted.take(limit).cloned().collect())
    }

    async fn replay(&self, ids: &[u64]) -> Result<Vec<IngestTask>, Fault> {
        let now_ms = self.clock.now_ms();
        let mut books = lock_ignoring_poison(&self.books);
        Ok(ids.iter().filter_map(|id| books.replay(*id, now_ms)).collect())
    }

    async fn drop_dead(&self, ids: &[u64]) -> Result<u64, Fault> {
        let mut books = lock_ignoring_poison(&self.books);
        Ok(ids.iter().filter(|id| books.letters.remove(id).is_some()).count() as u64)
    }

    async fn lead(&self, role: &str, ttl: Duration) -> Result<bool, Fault> {
        Ok(self.leases.lead(role, self.holder, self.clock.now_ms(), ttl))
    }

    async fn resign(&self, role: &str) -> Result<(), Fault> {
        self.leases.resign(role, self.holder);
        Ok(())
    }
}
